"""Training runs: presets, the run folder, resuming, and several processes with torchrun."""

import contextlib
import json
import os
import shutil
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from tqdm.auto import tqdm

from course import CourseError
from course.files import locked, replacing, write_whole
from course.model import PRESET_NAMES
from course.model.autoencoding import (
    Autoencoding,
    encoded,
    fetch_autoencoder,
    keep_autoencoder,
    measured,
    reconstruction_mse,
    train_autoencoder,
)
from course.model.data import kind_of, load_images
from course.model.forms import Form, Formed, Stored
from course.model.held_out import eps_mse
from course.model.images import Images, captions_of, fingerprint
from course.model.models import (
    Implementation,
    InLatents,
    LatentConfig,
    ModelConfig,
    TextConfig,
    build_model,
    build_schedule,
    choose_device,
    save_model,
)
from course.model.muon import Muon
from course.model.own_pictures import PREFIX
from course.model.photographs import PHOTOGRAPHS
from course.model.pictures import save_classes, save_picture, save_progress
from course.model.prompts import Captioned, as_told, for_scenes, load_scenes, text_of
from course.model.sampling import draw, eps_network
from course.model.scenes import SIZES

NUM_SAMPLES = 40  # in the grid of an epoch
FILM_FRAMES = 10
MSE_IMAGES = 64  # held-out images, each at ten noise levels; `course evaluate` takes more
COLUMNS = 10  # at most, in a grid
OF_A_CLASS = 8  # samples at the end of a run, of each of the first CLASSES_SHOWN classes
CLASSES_SHOWN = 20
TIMED = 20  # steps, from which the length of a run is estimated


@dataclass(frozen=True)
class Preset:
    """Everything that decides what a run computes."""

    model: ModelConfig
    epochs: int
    batch_size: int
    images_per_epoch: int | None  # None: each of them once; more than there are: some repeatedly
    lr: float
    warmup: int  # steps
    lr_decay: bool  # cosine decay to 0 over the run
    weight_decay: float = 1e-4
    max_grad_norm: float = 1.0
    ema_decay: float = 0.9999
    label_dropout: float = 0.1
    sample_steps: int = 100  # of the sample grids
    seed: int = 0
    spread: str = "uniform"  # of a flow's times: "uniform" or "logit_normal"
    pictures: str = "digits"  # or, with captions, a set of scenes.py; or PHOTOGRAPHS
    num_scenes: int = 60_000  # how many of these are made, to be gone through again and again
    precision: str = "float32"  # of the network's products in training, or "bfloat16"
    flip: bool = False  # mirror half of the images, each time they are seen
    autoencoder: Autoencoding | None = None  # how it is trained, if the network works on latents
    optimizer: str = "adamw"  # chapter 05's, or "muon"


PRESETS = {
    "smoke": Preset(
        ModelConfig(base_channels=8, channel_mults=(1, 2), time_dim=16, prediction="v"),
        epochs=2,
        batch_size=16,
        images_per_epoch=128,
        lr=2e-3,
        warmup=4,
        lr_decay=True,
        sample_steps=5,
    ),
    "laptop": Preset(
        # Narrow where the image is large: two cores make twice as many steps in the same time.
        ModelConfig(base_channels=16, channel_mults=(1, 2, 4), prediction="v"),
        epochs=3,
        batch_size=32,
        images_per_epoch=28_800,
        lr=4e-3,
        warmup=100,
        lr_decay=True,
        sample_steps=50,
        optimizer="muon",
    ),
    "seed": Preset(
        ModelConfig(base_channels=64, prediction="eps"),
        epochs=5,
        batch_size=128,
        images_per_epoch=None,
        lr=2e-4,
        warmup=0,
        lr_decay=False,
    ),
    # Many short epochs: each leaves a checkpoint, and they show what is learned when.
    "prompts": Preset(
        ModelConfig(base_channels=16, channel_mults=(1, 2, 4), prediction="v", text=TextConfig()),
        epochs=9,
        batch_size=32,
        images_per_epoch=14_400,
        lr=2e-3,
        warmup=100,
        lr_decay=True,
        sample_steps=25,
        pictures="scenes",
    ),
}
# The same network and the same budget with other readers of the caption.
PRESETS |= {
    f"prompts-{encoder}": replace(
        PRESETS["prompts"],
        model=replace(PRESETS["prompts"].model, text=TextConfig(encoder=encoder)),
    )
    for encoder in ("pooled", "bag")
}
# The same with chapter 05's optimiser. The shipped model learned with it, for longer.
PRESETS["laptop-adamw"] = replace(PRESETS["laptop"], optimizer="adamw", lr=2e-3)
# What chapter 11 compares with it: all is the same, but for what the network is asked.
PRESETS["flow"] = replace(
    PRESETS["laptop-adamw"], model=replace(PRESETS["laptop"].model, prediction="flow")
)
PRESETS["flow-logit"] = replace(PRESETS["flow"], spread="logit_normal")
# Two digits in a relation: larger pictures, more words, and twice as many steps.
PRESETS["pairs"] = replace(
    PRESETS["prompts"],
    model=replace(PRESETS["prompts"].model, text=TextConfig(places=True)),
    epochs=9,
    images_per_epoch=32_000,
    pictures="pairs",
)
# What chapter 10 compares: scenes with more than twice the pixels a side, and three forms of them
# for the network to work on, for about as many minutes (docs/training.md has them).
# In pixels there is a level more, so that the lowest has 8 x 8 pixels, as with patches. The mean of
# 2 x 2 pixels is less noisy than they are: for it to be as noisy as the pixel of a picture of
# 32 x 32, the schedule is shifted.
PRESETS["large-pixels"] = replace(
    PRESETS["prompts"],
    model=replace(PRESETS["prompts"].model, channel_mults=(1, 2, 4, 4), shift=2.0),
    epochs=4,
    images_per_epoch=420 * 32,
    pictures="large scenes",
)
# 12 numbers a pixel fit through 16 channels. The 48 of patches of 4 would not, and noise that does
# not fit cannot be told.
PRESETS["large-patches"] = replace(
    PRESETS["large-pixels"],
    model=replace(PRESETS["prompts"].model, patch=2, shift=2.0),
    images_per_epoch=1530 * 32,
)
PRESETS["large-latent"] = replace(
    PRESETS["large-pixels"],
    model=replace(PRESETS["prompts"].model, latent=LatentConfig()),
    images_per_epoch=2700 * 32,
    num_scenes=30_000,  # fewer, because each has to be encoded first
    autoencoder=Autoencoding(steps=600),
)
# Photographs, by class: wider, because there is more to see. Steps for two cores, in about 20
# minutes for a folder and in about an hour for the others.
PRESETS["folder"] = Preset(
    ModelConfig(base_channels=32, channel_mults=(1, 2, 2), image_size=32, prediction="v"),
    epochs=5,
    batch_size=32,
    images_per_epoch=25_600,
    lr=1e-3,
    warmup=100,
    lr_decay=True,
    sample_steps=50,
    pictures="folder",
)
PRESETS["cifar10"] = replace(
    PRESETS["folder"],
    model=replace(PRESETS["folder"].model, attention_levels=(1, 2)),
    epochs=7,
    images_per_epoch=50_000,
    pictures="cifar10",
    flip=True,
)
# In patches of 2 x 2 pixels, a picture of 64 costs what one of 32 does.
PRESETS["celeba"] = replace(
    PRESETS["cifar10"],
    model=replace(PRESETS["cifar10"].model, image_size=64, patch=2),
    pictures="celeba",
)
PRESETS["celeba-prompts"] = replace(
    PRESETS["celeba"],
    model=replace(PRESETS["celeba"].model, attention_levels=(), text=TextConfig()),
)
# The same for a graphics card: four times as wide, and as many images as benchmarks/gpu_cifar10.py
# went through in four minutes on an H100.
PRESETS |= {
    name: replace(
        PRESETS[smaller],
        model=replace(PRESETS[smaller].model, base_channels=128),
        epochs=9,
        batch_size=256,
        images_per_epoch=250_000,
        lr=2e-3,
        precision="bfloat16",
        optimizer="muon",
    )
    for name, smaller in (("cifar10-gpu", "cifar10"), ("celeba-prompts-gpu", "celeba-prompts"))
}


def get_preset(name: str) -> Preset:
    if name not in PRESETS:
        raise CourseError(f"there is no preset {name!r}; choose one of {', '.join(PRESET_NAMES)}")
    return PRESETS[name]


# Pixels, to which pictures of one's own may be brought. In patches of 4 x 4, as 128 would need, a
# pixel has 48 numbers, too many for the network's 32 channels.
FOLDER_SIZES = (32, 64)


def with_size(preset: Preset, size: int) -> Preset:
    """A preset for pictures of one's own with so many pixels a side, in patches if they are many.

    Raises:
        CourseError: if the preset's pictures have a size of their own.
    """
    if preset.pictures != "folder":
        raise CourseError("--size is for a folder of your own pictures; others have their own size")
    patch = size // preset.model.image_size
    return replace(preset, model=replace(preset.model, image_size=size, patch=patch))


LEARNS_FROM = {  # what a preset's `pictures` may be, beside scenes, which are made of digits
    "digits": "digits",
    "cifar10": "CIFAR-10",
    "celeba": "CelebA",
    "folder": "a folder of pictures",
}


def set_for(preset: Preset, data: str) -> str:
    """The name of the set that a preset learns from, where --data says `data`.

    Raises:
        CourseError: if the preset learns from another kind of set.
    """
    wanted = preset.pictures if preset.pictures in LEARNS_FROM else "digits"
    kind = wanted if data == "auto" else kind_of(data)
    if kind != wanted:
        right = "laptop, or another preset of digits" if kind == "digits" else kind
        raise CourseError(
            f"--data {data} and this preset, which learns from {LEARNS_FROM[wanted]}, do not go "
            f"together. For {data} take --preset {right}; or leave the preset and choose other data"
        )
    if data == "auto" and wanted == "folder":
        raise CourseError(
            "this preset learns from your own pictures: say which, --data folder:PATH"
        )
    return wanted if data == "auto" and wanted != "digits" else data


def for_photographs(impl: Implementation, model: ModelConfig, images: Images) -> ModelConfig:
    """A network's configuration with what has to be known to draw such images.

    Raises:
        CourseError: if the network is told captions, and these have no word.
    """
    model = replace(model, image_channels=images.pixels.shape[1], image_size=images.pixels.shape[2])
    if model.text is None:
        return replace(model, num_classes=len(images.classes), classes=images.classes)
    text = text_of(impl, captions_of(images), model.text)
    if not text.words:
        raise CourseError(f"no caption of {images.name} has a word, in letters from a to z")
    return replace(model, text=text)


@dataclass(frozen=True)
class Processes:
    """The processes that train together: one, or those that torchrun started."""

    rank: int = 0
    count: int = 1

    @classmethod
    def join(cls, device: torch.device) -> "Processes":
        """Meet the other processes, if torchrun started any."""
        count = int(os.environ.get("WORLD_SIZE", "1"))
        if count == 1:
            return cls()
        if not dist.is_initialized():
            dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
        return cls(dist.get_rank(), count)

    def mean(self, value: float, device: torch.device) -> float:
        """The mean of a number over all processes."""
        if self.count == 1:
            return value
        total = torch.tensor(value, device=device)
        dist.all_reduce(total)
        return total.item() / self.count

    def agree(self, number: int, device: torch.device) -> bool:
        """Is it the same number in all processes?"""
        if self.count == 1:
            return True
        ends = torch.tensor([number, -number], device=device)
        dist.all_reduce(ends, dist.ReduceOp.MAX)
        return ends[0].item() == -ends[1].item()


def _not_saved(path: Path, why: str) -> str:
    return (
        f"{path} cannot be written: {why}. What was saved before is whole: make room, or mend what "
        "is in the way, and the same command goes on from there"
    )


def _read_json(path: Path, fields: dict[str, type], remedy: str) -> dict:
    """A file that a run wrote, with a look at the fields that are used.

    Raises:
        CourseError: if it is damaged or something else; `remedy` says what to do.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        for name, kind in fields.items():
            if type(found[name]) is not kind:
                raise ValueError(f"{name} is no {kind.__name__}")
    except (ValueError, TypeError, LookupError, RecursionError) as error:
        raise CourseError(
            f"{path} is damaged or something else ({type(error).__name__}: {error}). {remedy}, or "
            "choose another --name"
        ) from None
    return found


def _flat(config: dict) -> dict:
    """The model's settings beside those of the run, with those that older versions did not have."""
    older = {
        **asdict(ModelConfig()),
        "spread": Preset.spread,
        "pictures": "digits",
        "num_scenes": Preset.num_scenes,
        "autoencoder": None,
        "flip": Preset.flip,
        "optimizer": Preset.optimizer,
    }
    rest = {key: config[key] for key in config if key != "model"}
    return {**older, **config.get("model", {}), **rest}


def made_with(model_file: Path) -> tuple[str, list[str]]:
    """Whose code made a run's model: the name of its folder, and which exercises were its own.

    Models outside a run are the reference's.

    Raises:
        CourseError: if it was made with code of another name, which is not known where.
    """
    config_file = Path(model_file).parents[1] / "config.json"
    if not config_file.is_file():
        return "solutions", []
    config = _read_json(config_file, {"implementation": str}, "Name the code with --impl")
    name = config["implementation"]
    if name not in ("solutions", "exercises"):
        raise CourseError(f"{model_file} was trained with the code in a folder {name}; say where: "
                          "--impl PATH")  # fmt: skip
    return name, config["yours"].split(", ") if "yours" in config else []


class InBfloat16(nn.Module):
    """A network whose products are made in bfloat16; its weights stay in float32."""

    def __init__(self, network: nn.Module):
        super().__init__()
        self.network = network

    def forward(self, x: Tensor, t: Tensor, labels: Tensor) -> Tensor:
        with torch.autocast(x.device.type, torch.bfloat16):
            return self.network(x, t, labels).float()


class Run:
    """One training run and its folder.

    DIR/config.json            preset, data and implementation, exactly
    DIR/metrics.json           every step's loss; every epoch's held-out loss and seconds
    DIR/models/                last.pt to go on from, epoch_N.pt, model.safetensors at the end;
                               autoencoder.safetensors of a network that works on latents
    DIR/generated_samples/     a grid of samples for each epoch
    DIR/denoising_steps/       the reverse process, frame by frame
    DIR/progress.png           the epochs side by side
    DIR/samples_by_class.png   of photographs, at the end: a row for each class
    DIR/lock                   held while a process trains here
    """

    def __init__(
        self,
        folder: Path,
        preset: Preset,
        impl: Implementation,
        data: str = "auto",
        device: str = "auto",
        save_every: int = 200,
        quiet: bool = False,
        yours: Sequence[str] = (),  # the exercises of `impl` that are the learner's own
        processes: Processes | None = None,  # those of torchrun, if left out
    ):
        self.folder, self.impl, self.save_every = Path(folder), impl, save_every
        self.yours = ", ".join(yours)
        self.device = choose_device(device)
        self.processes = processes or Processes.join(self.device)
        if self.device.type == "cuda" and self.processes.count > 1:
            self.device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
        self.main = self.processes.rank == 0
        self.quiet = quiet or not self.main
        self.of_photographs = preset.pictures in (*PHOTOGRAPHS, "folder")
        self.found: dict[str, str] = {}  # of pictures that may change from one day to the next
        self.train_set, self.test_set, model = self._load_data(set_for(preset, data), preset)
        self.captions = model.text is not None
        self.preset = replace(preset, model=replace(model, data=self.train_set.name))
        self._check_sizes()

        self.ch05 = impl.chapter("ch05_training")
        self.config = self.preset.model
        self.schedule = build_schedule(impl, self.config).to(self.device)
        self.flow = self.config.prediction == "flow"
        self.target = self.ch05.v_target if self.config.prediction == "v" else self.ch05.eps_target
        with torch.random.fork_rng():
            torch.manual_seed(self.preset.seed)
            self.model = build_model(impl, self.config).to(self.device)
        if yours:
            # What a learner wrote may want the weights in plain order, as the checks have them.
            self.model.to(memory_format=torch.contiguous_format)
        self.autoencoder: nn.Module | None = None
        if isinstance(self.model, InLatents):
            self.model, self.autoencoder = self.model.network, self.model.autoencoder
        self.stored: Stored | None = None  # the latents of the training part
        self.ema = self.ch05.EMA(self.model, self.preset.ema_decay)
        self.parallel = self.model  # what is trained
        if self.preset.precision == "bfloat16":
            self.parallel = InBfloat16(self.model)
        if self.processes.count > 1:
            self.parallel = DistributedDataParallel(self.parallel)
        make_optimizer = Muon if self.preset.optimizer == "muon" else self.ch05.make_optimizer
        self.optimizer = make_optimizer(self.model, self.preset.lr, self.preset.weight_decay)
        self.generator = torch.Generator().manual_seed(self.preset.seed)
        self.metrics: dict[str, list] = {"losses": [], "epochs": []}

    def _load_data(
        self, name: str, preset: Preset
    ) -> tuple[Images | Captioned, Images | Captioned, ModelConfig]:
        """Both parts of the set, and the configuration of a network for it."""
        model, size = preset.model, preset.model.image_size
        if self.main:  # one process fetches, the others wait
            load_images(name, train=True, download=True, size=size)
        if self.processes.count > 1:
            dist.barrier()
        images = [load_images(name, train=train, size=size) for train in (True, False)]
        if preset.flip and not images[0].may_flip:
            raise CourseError(f"a mirrored digit is none: {images[0].name} is not to be flipped")
        if preset.flip and model.latent:
            raise CourseError("latents are made once, of pictures as they are: leave --flip out")
        if self.of_photographs:
            model = for_photographs(self.impl, model, images[0])
            train, test = (as_told(self.impl, model.text, part) for part in images)
            if preset.pictures == "folder":
                folder = os.path.abspath(os.path.expanduser(name.removeprefix(PREFIX)))
                self.found = {"folder": folder, "fingerprint": fingerprint(*images)}
        elif preset.pictures in SIZES:
            model = for_scenes(model, preset.pictures)
            counts = preset.num_scenes, max(MSE_IMAGES, NUM_SAMPLES)
            train, test = (
                load_scenes(self.impl, model.text, preset.pictures, part, count, preset.seed)
                for part, count in zip(images, counts)
            )
        else:
            train, test = images
        self.say(f"data: {train.name}, {len(train):,} images")
        for note in images[0].notes:
            self.say(f"  {note}")
        return train, test, model

    def _check_sizes(self) -> None:
        if self.preset.batch_size % self.processes.count:
            raise CourseError(
                f"a batch of {self.preset.batch_size} cannot be shared by "
                f"{self.processes.count} processes; choose a number that divides it"
            )

    def say(self, text: str) -> None:
        if not self.quiet:
            tqdm.write(text)

    # What one step needs

    @property
    def steps_per_epoch(self) -> int:
        return (self.preset.images_per_epoch or len(self.train_set)) // self.preset.batch_size

    @property
    def num_steps(self) -> int:
        return self.preset.epochs * self.steps_per_epoch

    def batches(self, epoch: int, skip: int = 0) -> Iterator[tuple[Tensor, Tensor]]:
        """The batches of one epoch, in an order that depends on nothing but seed and epoch.

        A set that has fewer images than the epoch is gone through again, each time in a new order.
        """
        seed = 1_000_003 * (self.preset.seed + 1) + epoch
        order = torch.Generator().manual_seed(seed)
        wanted, there = self.steps_per_epoch * self.preset.batch_size, len(self.train_set)
        passes = [torch.randperm(there, generator=order) for _ in range(0, wanted, there)]
        parts = torch.cat(passes)[:wanted].split(self.preset.batch_size)
        for number, index in enumerate(parts[skip:], start=skip):
            x, asked = (self.stored or self.train_set).batch(index)
            if self.preset.flip:
                x = self._flipped(x, asked, torch.Generator().manual_seed(seed + 7919 * number))
            yield x, asked

    def _flipped(self, x: Tensor, asked: Tensor, coins: torch.Generator) -> Tensor:
        """Half of the images mirrored, whatever their label or caption."""
        labels = torch.zeros(len(x), dtype=torch.int64) if self.captions else asked
        may_flip = torch.ones(self.config.num_classes, dtype=torch.bool)
        return self.impl.chapter("ch10_colour_and_size").flip_some(x, labels, may_flip, coins)

    @property
    def averaged(self) -> nn.Module:
        """The averaged network; if it works on latents, in one with its autoencoder."""
        if self.autoencoder is None:
            return self.ema.model
        return InLatents(self.ema.model, self.autoencoder)

    @property
    def form(self) -> Form:
        """What the network works on."""
        return Form(self.impl, self.config, self.averaged)

    def steps(self, batches: Iterable[tuple[Tensor, Tensor]], first_step: int) -> Iterator[float]:
        """The training loop of chapter 05, or a flow's, over these batches, wired to this run."""
        preset, ch05 = self.preset, self.ch05
        if self.stored is None:
            form = self.form
            batches = ((form.of(x), asked) for x, asked in batches)
        rank, count = self.processes.rank, self.processes.count

        def drop_labels(labels: Tensor, generator: torch.Generator) -> Tensor:
            if self.captions:
                ch09 = self.impl.chapter("ch09_prompts")
                return ch09.drop_captions(labels, preset.label_dropout, generator)
            ch03 = self.impl.chapter("ch03_embeddings")
            return ch03.drop_labels(labels, preset.label_dropout, self.config.null_label, generator)

        def rate(step: int) -> float:
            return ch05.learning_rate(
                step, self.num_steps, preset.lr, preset.warmup, preset.lr_decay
            )

        # Every process draws for the whole batch and keeps its part, so that the result does
        # not depend on their number.
        settings = {
            "rate": rate,
            "max_grad_norm": preset.max_grad_norm,
            "place": lambda part: part[rank::count].to(self.device),
            "first_step": first_step,
        }
        trained = (self.parallel, self.ema, self.optimizer, batches)
        if self.flow:
            return self.impl.chapter("ch11_flow_matching").flow_train(
                *trained, self.generator, ch05.training_step, drop_labels, preset.spread, **settings
            )
        return ch05.train(
            *trained,
            self.schedule.alpha_bars,
            self.generator,
            self.impl.chapter("ch02_forward_process").q_sample,
            drop_labels,
            self.target,
            **settings,
        )

    # The run as a whole

    def train(self) -> None:
        """Train to the end, from the last checkpoint if there is one.

        Raises:
            CourseError: if this cannot be, for example because another process trains here.
        """
        if not self.main:
            return self._train()
        self.folder.mkdir(parents=True, exist_ok=True)
        with locked(self.folder / "lock") as free:
            if not free:
                raise CourseError(
                    f"another process is training in {self.folder}; wait for its end, stop it, or "
                    "choose another --name"
                )
            self._train()

    def _train(self) -> None:
        done = self._begin()
        if not self.processes.agree(done, self.device):
            raise CourseError(
                f"the processes do not go on from the same step: this one finds {done} done in "
                f"{self.folder}. Put that folder on a disk that all machines share, or copy it to "
                "each of them"
            )
        if self.autoencoder is not None:
            self._make_latents(needed=done < self.num_steps)
        per_epoch, losses = self.steps_per_epoch, self.metrics["losses"]
        if self.main:
            self.say(self.price())
        ends = [time.monotonic()]  # of the first steps
        bar = tqdm(
            total=self.num_steps, initial=done, desc="training", unit="step", disable=self.quiet
        )
        with contextlib.closing(bar):
            for epoch in range(done // per_epoch, self.preset.epochs):
                started = time.monotonic()
                batches = self.batches(epoch, skip=done - epoch * per_epoch)
                for loss in self.steps(batches, first_step=done):
                    losses.append(self.processes.mean(loss, self.device))
                    done += 1
                    bar.update()
                    if len(ends) <= TIMED:
                        ends.append(time.monotonic())
                        if len(ends) > TIMED:
                            self.say(self.duration(ends, self.num_steps - done))
                    recent = losses[-50:]
                    bar.set_postfix(loss=f"{sum(recent) / len(recent):.4f}", refresh=False)
                    # The end of an epoch saves by itself, once the epoch's samples are drawn.
                    if done % self.save_every == 0 and done % per_epoch != 0:
                        self._save("last.pt", done)
                self._end_of_epoch(epoch, time.monotonic() - started)
        self._finish()

    def price(self) -> str:
        """How many steps a run takes, and how much room on the disk."""
        weights = sum(parameter.numel() for parameter in self.model.parameters())
        # A checkpoint holds the network, its average and at most two averages of the gradients.
        room = 4 * weights * (4 * (self.preset.epochs + 1) + 1)
        free = shutil.disk_usage(self.folder).free
        little = f"; only {free / 1e6:,.0f} MB are free" if free < room else ""
        return (
            f"cost: {self.num_steps:,} steps of {self.preset.batch_size} images, {weights:,} "
            f"weights, and {-(-room // 10**6):,} MB in {self.folder}{little}"
        )

    def duration(self, ends: list[float], left: int) -> str:
        """How long the rest of a run takes, from when its first steps ended."""
        a_step = sorted(after - before for before, after in zip(ends, ends[1:]))[TIMED // 2]
        minutes = round(a_step * left / 60)
        return (
            f"cost: {a_step:.2f} s for a step, by the first {TIMED} on this machine, so "
            f"{f'about {minutes:,} minutes' if minutes > 1 else 'a minute or less'} for the "
            f"{left:,} that are left; the samples after each epoch come on top"
        )

    def _begin(self) -> int:
        """Write or compare the configuration; the number of steps that are already done."""
        config_file, last = self.folder / "config.json", self.folder / "models" / "last.pt"
        config = {**asdict(self.preset), "implementation": self.impl.folder.name}
        config |= self.found
        if self.yours:
            config["yours"] = self.yours
        config = json.loads(json.dumps(config))  # tuples become lists, as in the file
        if config_file.is_file():
            found = _read_json(
                config_file,
                {"model": dict, "epochs": int},
                "Delete it to go on with this command's settings",
            )
            there, here = _flat(found), _flat(config)
            different = [
                key
                for key in {**there, **here}
                if there.get(key) != here.get(key) and key != "folder"  # it may have been moved
            ]
            if "fingerprint" in different and there["data"] == here["data"]:
                raise CourseError(
                    f"the pictures in {self.found['folder']} are not those that {self.folder} "
                    "began with: some came, went or were changed. Put them back as they were to "
                    "go on with it, or choose another --name to begin anew"
                )
            # Where the learning rate does not fall, nothing before an epoch depends on how many
            # come after it: a longer run goes on with a shorter one.
            longer = different == ["epochs"] and self.preset.epochs > found["epochs"]
            if different and not (longer and not self.preset.lr_decay):
                which = (f"{k} is {there.get(k)} there and {here.get(k)} here" for k in different)
                raise CourseError(
                    f"{self.folder} holds a run with other settings: {', '.join(which)}; "
                    "choose another --name, or the same settings to go on with it"
                )
        if self.main:
            for part in ("models", "generated_samples", "denoising_steps"):
                (self.folder / part).mkdir(parents=True, exist_ok=True)
            write_whole(config_file, json.dumps(config, indent=2) + "\n")
        if self.processes.count > 1:
            dist.barrier()
        if not last.is_file():
            return 0
        try:
            done = self._load(last)
        except Exception as error:
            raise CourseError(self._not_whole(last, error)) from None
        metrics_file = self.folder / "metrics.json"
        if metrics_file.is_file():
            self.metrics = _read_json(
                metrics_file,
                {"losses": list, "epochs": list},
                "Delete it to go on without the losses so far",
            )
        else:
            self.say(f"{metrics_file} is gone, and with it the losses so far")
        self.metrics["losses"] = self.metrics["losses"][:done]
        self.metrics["epochs"] = self.metrics["epochs"][: done // self.steps_per_epoch]
        self.say(f"going on after step {done} of {self.num_steps}")
        return done

    def _make_latents(self, needed: bool) -> None:
        """Train the autoencoder, or take the one that is kept; encode what is trained on.

        Args:
            needed: are the latents of the training part needed?
        """
        path, latent = self.folder / "models" / "autoencoder.safetensors", self.config.latent
        unscaled = None
        if self.main and not path.is_file():
            unscaled = self._train_autoencoder(path)
        if self.processes.count > 1:
            dist.barrier()
        latent = fetch_autoencoder(path, self.autoencoder, latent)
        self.autoencoder.eval().requires_grad_(False)
        self.config = replace(self.config, latent=latent)
        if needed:
            if unscaled is not None:
                self.stored = replace(unscaled, x=unscaled.x * latent.scale)
            else:
                self.stored = encoded(self.form.of, self.train_set, self.quiet)

    def _train_autoencoder(self, path: Path) -> Stored:
        """Train and keep the autoencoder; the latents of the training part, not yet scaled."""
        started, checkpoint = time.monotonic(), path.with_name("autoencoder.pt")
        autoencoder = train_autoencoder(
            self.impl,
            self.autoencoder,
            self.train_set,
            self.preset.autoencoder,
            self.preset.seed,
            checkpoint,
            self.save_every,
            self.quiet,
        )
        self.autoencoder.load_state_dict(autoencoder.state_dict())
        unscaled = encoded(self.form.of, self.train_set, self.quiet)
        latent = measured(self.impl, self.config.latent, unscaled.x)
        record = {
            "seconds": round(time.monotonic() - started, 1),
            "held_out_mse": reconstruction_mse(autoencoder, self.test_set),
        }
        keep_autoencoder(path, autoencoder, latent, record)
        checkpoint.unlink(missing_ok=True)
        self.say(
            f"autoencoder: held-out MSE {record['held_out_mse']:.4f}, {record['seconds']:.0f} s; "
            f"latents times {latent.scale:.3f} have standard deviation 1, the furthest number is "
            f"{latent.furthest:.1f}"
        )
        return unscaled

    def _load(self, path: Path) -> int:
        """Put back what a checkpoint holds; the number of steps done."""
        done = self.ch05.load_checkpoint(path, self.model, self.ema, self.optimizer, self.generator)
        if not 0 <= int(done) <= self.num_steps:
            raise ValueError(f"{done} steps done, and the run has {self.num_steps}")
        return int(done)

    def _not_whole(self, last: Path, error: Exception) -> str:
        """What is wrong with last.pt, and how to get on: with the newest epoch that can be read."""
        why = (str(error).strip().splitlines() or [""])[0][:200]
        text = (
            f"{last} ({last.stat().st_size:,} bytes) is no whole checkpoint of this run "
            f"({type(error).__name__}: {why}): it is damaged, was cut short, or is something else. "
        )
        for epoch in range(self.preset.epochs, 0, -1):
            kept = last.with_name(f"epoch_{epoch}.pt")
            with contextlib.suppress(Exception):
                self._load(kept)
                return text + f"To go on after epoch {epoch}, copy {kept.name} beside it to last.pt"
        return text + "Delete it to begin anew"

    def _save(self, name: str, step: int) -> None:
        """Write a checkpoint so that a crash in between leaves the old one whole."""
        if not self.main:
            return
        path = self.folder / "models" / name
        try:
            with replacing(path) as unfinished:
                self.ch05.save_checkpoint(
                    unfinished, self.model, self.ema, self.optimizer, self.generator, step
                )
                write_whole(self.folder / "metrics.json", json.dumps(self.metrics) + "\n")
        except OSError as error:
            raise CourseError(_not_saved(path, error.strerror or str(error))) from None
        except RuntimeError as error:
            if "inline_container" not in str(error):  # the part of torch that writes the file
                raise
            raise CourseError(
                _not_saved(
                    path, "torch could not write all of it, perhaps because the disk is full"
                )
            ) from None

    def _end_of_epoch(self, epoch: int, seconds: float) -> None:
        if not self.main:
            return
        losses = self.metrics["losses"][-self.steps_per_epoch :]
        held_out = self.held_out_eps_mse()
        self.metrics["epochs"].append(
            {
                "epoch": epoch + 1,
                "loss": sum(losses) / len(losses),
                "held_out_eps_mse": held_out,
                "seconds": round(seconds, 1),
            }
        )
        self.say(
            f"epoch {epoch + 1}/{self.preset.epochs}: loss {sum(losses) / len(losses):.4f}, "
            f"held-out eps-MSE {held_out:.4f}, {seconds:.0f} s"
        )
        self._draw_samples(epoch)
        step = (epoch + 1) * self.steps_per_epoch
        self._save(f"epoch_{epoch + 1}.pt", step)
        self._save("last.pt", step)

    @property
    def columns(self) -> int:
        """Of the grids: as many as let a column show one class, where there are not too many."""
        classes = self.config.num_classes
        return COLUMNS if self.captions or classes > COLUMNS else COLUMNS - COLUMNS % classes

    def _asked(self, count: int) -> list[int] | list[str]:
        """What the grids show: the classes in turn, or the first held-out pictures' captions."""
        if self.captions:
            return self.test_set.captions[:count]
        return [number % self.config.num_classes for number in range(count)]

    def _draw_samples(self, epoch: int) -> None:
        """The sample grid of one epoch, and the picture of all epochs so far side by side."""
        ch06 = self.impl.chapter("ch06_guided_sampling")
        images, _ = draw(
            self.impl,
            self.averaged,
            self.config,
            self._asked(NUM_SAMPLES // COLUMNS * self.columns),
            num_steps=self.preset.sample_steps,
            sampler="flow-euler" if self.flow else "ancestral",
            seed=self.preset.seed,
            progress=None if self.quiet else f"samples of epoch {epoch + 1}",
        )
        grids = self.folder / "generated_samples"
        save_picture(
            ch06.image_grid(images, self.columns), grids / f"epoch_{epoch + 1}.png", zoom=2
        )
        done = [grids / f"epoch_{n}.png" for n in range(1, epoch + 2)]
        save_progress(
            [path for path in done if path.is_file()],
            self.folder / "progress.png",
            f"guided samples, w = 1, trained on {self.config.data}",
        )

    def _finish(self) -> None:
        if not self.main:
            return
        save_model(self.folder / "models" / "model.safetensors", self.averaged, self.config)
        ch06 = self.impl.chapter("ch06_guided_sampling")
        _, film = draw(
            self.impl,
            self.averaged,
            self.config,
            self._asked(self.columns),
            num_steps=self.preset.sample_steps,
            sampler="flow-euler" if self.flow else "ancestral",
            seed=self.preset.seed,
            film_frames=FILM_FRAMES,
            progress=None if self.quiet else "denoising film",
        )
        steps = self.folder / "denoising_steps"
        for number, frame in enumerate(film):
            save_picture(
                ch06.image_grid(frame, self.columns), steps / f"frame_{number:02d}.png", zoom=2
            )
        save_picture(ch06.image_grid(torch.cat(film), self.columns), steps / "film.png", zoom=2)
        if self.config.classes and not self.captions:
            self._draw_classes()
        self.say(f"finished: {self.folder / 'models' / 'model.safetensors'}")

    def _draw_classes(self) -> None:
        """A row of samples for each of the first classes, with their names."""
        names = self.config.classes[:CLASSES_SHOWN]
        images, _ = draw(
            self.impl,
            self.ema.model,
            self.config,
            [label for label in range(len(names)) for _ in range(OF_A_CLASS)],
            num_steps=self.preset.sample_steps,
            sampler="flow-euler" if self.flow else "ancestral",
            seed=self.preset.seed,
            progress=None if self.quiet else "samples by class",
        )
        image_grid = self.impl.chapter("ch06_guided_sampling").image_grid
        rows = [image_grid(part, OF_A_CLASS) for part in images.split(OF_A_CLASS)]
        path = self.folder / "samples_by_class.png"
        of_all = f" (the first {len(names)} of {len(self.config.classes)})"
        shown = of_all if len(names) < len(self.config.classes) else ""
        save_classes(
            rows, names, path, f"samples by class{shown}, w = 1, trained on {self.config.data}"
        )
        self.say(f"samples by class{shown}: {path}")

    def held_out_eps_mse(self) -> float:
        """Mean squared error of the averaged network's eps on a few held-out images."""
        network = eps_network(self.impl, self.ema.model, self.config, self.schedule.alpha_bars)
        images = Formed(self.test_set, self.form)
        return eps_mse(network, self.schedule.alpha_bars, images, MSE_IMAGES)
