"""Put a model together from the chapters' parts, and keep it in a safetensors file."""

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Protocol

import torch
from torch import Tensor, nn

from course import ROOT, CourseError
from course.model.weights import fill, read_weights, write_weights

SHIPPED = ROOT / "models" / "mnist.safetensors"
SHIPPED_FEW = ROOT / "models" / "mnist_few.safetensors"  # distilled: draws in few calls
SHIPPED_PROMPTS = ROOT / "models" / "prompts.safetensors"  # draws what a sentence says
ALL_SHIPPED = (SHIPPED, SHIPPED_FEW, SHIPPED_PROMPTS)


class Implementation(Protocol):
    """The chapters' code that a model is built from: the reference's, the learner's, another's."""

    folder: Path

    def chapter(self, chapter: str) -> ModuleType:
        """The module of one chapter, for example "ch04_unet"."""


# The noise, v, or the velocity of chapter 11's straight lines.
PREDICTIONS = ("eps", "v", "flow")

# How captions reach a network. cross: the words know their places, and each pixel looks at those
# that it needs; pooled: it is told their mean alone; bag: the mean of words that know no places.
ENCODERS = ("cross", "pooled", "bag")


@dataclass(frozen=True)
class TextConfig:
    """What a network that is told captions needs to read them."""

    words: tuple[str, ...] = ()  # that it knows
    length: int = 2  # of every row of tokens
    dim: int = 64  # of a word's vector
    heads: int = 4
    encoder: str = "cross"  # one of ENCODERS
    places: bool = False  # are pixels that look at the words told where they are?


@dataclass(frozen=True)
class LatentConfig:
    """The autoencoder in whose latents a network works, and how large these latents are."""

    base_channels: int = 16
    channel_mults: tuple[int, ...] = (1, 2, 2)  # a resolution each, half the one before
    latent_channels: int = 4
    groups: int = 8
    scale: float = 1.0  # that brings latents to standard deviation 1, measured in training
    furthest: float = 1.0  # from 0, of all numbers in the scaled latents of the training part

    @property
    def factor(self) -> int:
        """Pixels a side that become one of a latent."""
        return 2 ** (len(self.channel_mults) - 1)


@dataclass(frozen=True)
class ModelConfig:
    """All that is needed to build a network and to sample from it."""

    base_channels: int = 64
    channel_mults: tuple[int, ...] = (1, 2, 2)
    time_dim: int = 128
    attention: bool = False
    groups: int = 8
    num_classes: int = 10
    classes: tuple[str, ...] = ()  # their names, in the order of the labels; none for digits
    prediction: str = "eps"  # what the network predicts: one of PREDICTIONS
    num_steps: int = 1000  # of the cosine schedule
    data: str = "mnist"  # what it was trained on
    image_channels: int = 1
    image_size: int = 28  # pixels, in height and width
    text: TextConfig | None = None  # captions instead of labels
    calls: int = 0  # that it was distilled for, with guidance in its weights; 0: any number
    patch: int = 1  # pixels a side that become channels of one
    shift: float = 1.0  # the schedule's: that of an image with so many times the pixels a side
    latent: LatentConfig | None = None  # the network works on latents, not on pixels
    attention_levels: tuple[int, ...] = ()  # of chapter 10's U-Net; (): chapter 04's

    @property
    def null_label(self) -> int:
        return self.num_classes

    @property
    def image_shape(self) -> tuple[int, int, int]:
        return self.image_channels, self.image_size, self.image_size

    @property
    def network_shape(self) -> tuple[int, int, int]:
        """Of what the network works on: of a picture itself, of its patches, or of its latent."""
        if self.latent:
            side = self.image_size // self.latent.factor
            return self.latent.latent_channels, side, side
        side = self.image_size // self.patch
        return self.image_channels * self.patch**2, side, side

    @property
    def bound(self) -> float:
        """How far from 0 the numbers lie that the network works on."""
        return self.latent.furthest if self.latent else 1.0


# What a configuration may ask for: far more than the course uses, and never more than a computer
# can build. Images of 28 pixels can be halved twice, those of 64 more often.
BOUNDS = {
    "time_dim": (4, 1024),
    "groups": (1, 1024),
    "num_classes": (1, 1000),
    "num_steps": (2, 100_000),
    "image_channels": (1, 4),
    "image_size": (4, 256),
    "calls": (0, 1000),
    "patch": (1, 64),
    "shift": (0.01, 100.0),
}
TEXT_BOUNDS = {"length": (2, 256), "dim": (1, 1024), "heads": (1, 64)}
MAX_WORDS = 10_000
MAX_WIDTH = 1024  # channels
MAX_LEVELS = 6
MAX_NAME = 255  # characters, of a class
LATENT_BOUNDS = {
    "latent_channels": (1, 64),
    "groups": (1, 1024),
    "scale": (1e-6, 1e6),
    "furthest": (1e-6, 1e6),
}


class InLatents(nn.Module):
    """A network that works on latents, and the autoencoder that makes pictures of them."""

    def __init__(self, network: nn.Module, autoencoder: nn.Module):
        super().__init__()
        self.network, self.autoencoder = network, autoencoder

    def forward(self, x: Tensor, t: Tensor, *asked: Tensor) -> Tensor:
        """As the network: latents (B, D, h, w), t (B,) and what is asked for -> (B, D, h, w)."""
        return self.network(x, t, *asked)


def build_model(impl: Implementation, config: ModelConfig) -> nn.Module:
    """The network, freshly initialised; if it works on latents, in one with its autoencoder.

    It is the U-Net of chapter 04, that of chapter 10 if attention has its levels, or chapter 09's
    if it is told captions.
    """
    if config.text is not None:
        model = _prompt_unet(impl, config)
    else:
        model = (_colour_unet if config.attention_levels else _unet)(impl, config)
    if config.latent:
        model = InLatents(model, _autoencoder(impl, config))
    # Channels side by side in memory: convolutions on a CPU are about a tenth quicker.
    return model.to(memory_format=torch.channels_last)


def _autoencoder(impl: Implementation, config: ModelConfig) -> nn.Module:
    ch10, latent = impl.chapter("ch10_colour_and_size"), config.latent
    return ch10.Autoencoder(
        ch10.AutoencoderConfig(
            image_channels=config.image_channels,
            base_channels=latent.base_channels,
            channel_mults=tuple(latent.channel_mults),
            latent_channels=latent.latent_channels,
            groups=latent.groups,
        )
    )


def _colour_unet(impl: Implementation, config: ModelConfig) -> nn.Module:
    ch03, ch04 = impl.chapter("ch03_embeddings"), impl.chapter("ch04_unet")
    ch10 = impl.chapter("ch10_colour_and_size")
    unet_config = ch10.ColourUNetConfig(
        image_channels=config.network_shape[0],
        base_channels=config.base_channels,
        channel_mults=tuple(config.channel_mults),
        attention_levels=tuple(config.attention_levels),
        time_dim=config.time_dim,
        num_classes=config.num_classes,
        groups=config.groups,
    )
    return ch10.ColourUNet(
        unet_config,
        ch03.TimeEmbedding(config.time_dim, unet_config.cond_dim),
        ch03.ClassEmbedding(config.num_classes, unet_config.cond_dim),
        ch10.Blocks(ch04.ResBlock, ch04.Downsample, ch04.Upsample, ch04.SelfAttention),
    )


def _unet(impl: Implementation, config: ModelConfig) -> nn.Module:
    ch03, ch04 = impl.chapter("ch03_embeddings"), impl.chapter("ch04_unet")
    unet_config = ch04.UNetConfig(
        image_channels=config.network_shape[0],
        base_channels=config.base_channels,
        channel_mults=tuple(config.channel_mults),
        time_dim=config.time_dim,
        num_classes=config.num_classes,
        groups=config.groups,
        attention=config.attention,
    )
    return ch04.UNet(
        unet_config,
        ch03.TimeEmbedding(config.time_dim, unet_config.cond_dim),
        ch03.ClassEmbedding(config.num_classes, unet_config.cond_dim),
        ch04.Blocks(ch04.ResBlock, ch04.Downsample, ch04.Upsample, ch04.SelfAttention),
    )


def _prompt_unet(impl: Implementation, config: ModelConfig) -> nn.Module:
    ch03, ch04 = impl.chapter("ch03_embeddings"), impl.chapter("ch04_unet")
    ch09, text = impl.chapter("ch09_prompts"), config.text
    unet_config = ch09.PromptUNetConfig(
        image_channels=config.network_shape[0],
        base_channels=config.base_channels,
        channel_mults=tuple(config.channel_mults),
        time_dim=config.time_dim,
        word_dim=text.dim,
        heads=text.heads,
        groups=config.groups,
        cross_attention=text.encoder == "cross",
    )
    look = with_places(ch09.CrossAttention) if text.places else ch09.CrossAttention
    vocab_size = len(ch09.make_vocabulary(list(text.words)))
    if text.encoder == "bag":
        encoder = ch09.BagOfWords(vocab_size, text.length, text.dim)
    else:
        encoder = ch09.TextEncoder(vocab_size, text.length, text.dim, text.heads)
    return ch09.PromptUNet(
        unet_config,
        ch03.TimeEmbedding(config.time_dim, unet_config.cond_dim),
        encoder,
        ch09.PromptBlocks(ch04.ResBlock, ch04.Downsample, ch04.Upsample, look),
    )


def with_places(cross_attention: type[nn.Module]) -> type[nn.Module]:
    """Chapter 09's CrossAttention for pixels that know in which row and column they are.

    A convolution sees the same wherever it is. So a pixel has to guess its place from the padding
    at the edges, before it can look for the word that matters there. Here each channel is given a
    learned multiple of the row and of the column, which run from -1 to 1 (Liu et al. 2018,
    "CoordConv").
    """

    class Placed(nn.Module):
        def __init__(self, channels: int, word_dim: int, heads: int, groups: int):
            super().__init__()
            self.places = nn.Linear(2, channels)
            self.look = cross_attention(channels, word_dim, heads, groups)

        def forward(self, x: Tensor, words: Tensor, mask: Tensor) -> Tensor:
            """x (B, C, H, W), words (B, L, D), mask (B, L) -> (B, C, H, W)."""
            sides = (torch.linspace(-1, 1, side, device=x.device) for side in x.shape[2:])
            grid = torch.stack(torch.meshgrid(*sides, indexing="ij"), dim=-1)  # (H, W, 2)
            place = self.places(grid).permute(2, 0, 1)  # (C, H, W)
            return self.look(x + place, words, mask)

    return Placed


def build_schedule(impl: Implementation, config: ModelConfig):
    """The cosine schedule that the model is trained with, shifted if the model says so."""
    ch01, ch02 = impl.chapter("ch01_noise_schedule"), impl.chapter("ch02_forward_process")
    betas = ch01.cosine_betas(config.num_steps)
    if config.shift != 1:
        betas = impl.chapter("ch10_colour_and_size").shift_betas(betas, config.shift)
    return ch02.make_schedule(betas)


def save_model(path: Path, model: nn.Module, config: ModelConfig, half: bool = False) -> None:
    """Write weights, their hash and the configuration into one safetensors file.

    Args:
        half: matrices and kernels in half precision; `load_model` gives them back in single.
    """
    write_weights(path, model, {"config": json.dumps(asdict(config))}, half)


def load_model(path: Path, impl: Implementation) -> tuple[nn.Module, ModelConfig]:
    """Read a file that `save_model` wrote into a network built from `impl`.

    A file without a hash, from an older version of this course, is read all the same.

    Raises:
        CourseError: if the file is missing, damaged, altered, from elsewhere, or does not fit the
            network.
    """
    weights, config = _read(Path(path))
    model = build_model(impl, config)
    fill(
        model,
        weights,
        f"the weights in {path} do not fit the network in {impl.folder.name}/",
        "A model can only be loaded into the code that trained it: leave --impl out, or train "
        "with: course train --impl exercises",
    )
    return model.eval(), config


def read_config(path: Path) -> ModelConfig:
    """The configuration in a file that `save_model` wrote.

    Raises:
        CourseError: as for `load_model`.
    """
    return _read(Path(path))[1]


def _read(path: Path) -> tuple[dict[str, Tensor], ModelConfig]:
    if not path.is_file():
        raise CourseError(f"there is no model at {path}; make one with: course train")
    weights, metadata = read_weights(path, needed=("config",))
    return weights, _parse_config(metadata["config"], path)


def _parse_config(text: str, path: Path) -> ModelConfig:
    """The configuration as `save_model` wrote it, with a look at every field."""
    try:
        given = dict(json.loads(text))
        given["channel_mults"] = tuple(given["channel_mults"])
        if "classes" in given:
            given["classes"] = _parse_classes(given["classes"])
        if given.get("text") is not None:
            given["text"] = _parse_text(dict(given["text"]))
        if given.get("latent") is not None:
            given["latent"] = _parse_latent(dict(given["latent"]))
        given["attention_levels"] = tuple(given.get("attention_levels", ()))
        config = ModelConfig(**given)
        like = replace(ModelConfig(), text=config.text, latent=config.latent)
        _check_fields(config, like, BOUNDS)
        if config.prediction not in PREDICTIONS:
            raise ValueError(f"prediction should be in {PREDICTIONS}, not {config.prediction!r}")
        if config.classes and len(config.classes) != config.num_classes:
            raise ValueError(f"{len(config.classes)} names for {config.num_classes} classes")
        if config.time_dim % 2:
            raise ValueError(f"time_dim should be even, not {config.time_dim}")
        widths = _check_widths(config)
        if config.text and any(width % config.text.heads for width in widths):
            raise ValueError(f"no widths {widths} with {config.text.heads} heads")
        _check_form(config)
        side, halvings = config.network_shape[1], len(widths) - 1
        if side % 2**halvings:
            raise ValueError(f"{side} pixels cannot be halved {halvings} times")
        if any(level not in range(len(widths)) for level in config.attention_levels):
            raise ValueError(f"attention_levels should be among 0 ... {halvings}")
        if config.attention_levels and config.text:
            raise ValueError("attention_levels are for a network that is told labels")
    except (ArithmeticError, KeyError, TypeError, ValueError, RecursionError) as error:
        why = str(error)[:200]
        raise CourseError(
            f"the configuration in {path} is not one that this version of the course writes "
            f"({why}); get the file again, or the version that wrote it"
        ) from None
    return config


def _check_widths(config: ModelConfig | LatentConfig) -> list[int]:
    """The channels on each level; raise ValueError if there are no such channels."""
    mults = config.channel_mults
    if not 1 <= len(mults) <= MAX_LEVELS or any(type(mult) is not int for mult in mults):
        raise ValueError(f"channel_mults should be 1 ... {MAX_LEVELS} whole numbers")
    widths = [config.base_channels * mult for mult in mults]
    if any(not 1 <= width <= MAX_WIDTH or width % config.groups for width in widths):
        raise ValueError(f"no widths {widths} with {config.groups} groups of channels")
    return widths


def _check_form(config: ModelConfig) -> None:
    """Raise ValueError if the network cannot work on such patches or latents, or be so shifted."""
    if config.latent and config.patch > 1:
        raise ValueError("a network works on patches or on latents, not on patches of latents")
    smaller = config.latent.factor if config.latent else config.patch
    if config.image_size % smaller:
        raise ValueError(f"{config.image_size} pixels cannot be divided by {smaller}")
    if config.shift != 1 and config.prediction == "flow":
        raise ValueError("a flow has no schedule that could be shifted")


def _parse_latent(given: dict) -> LatentConfig:
    given["channel_mults"] = tuple(given["channel_mults"])
    latent = LatentConfig(**given)
    _check_fields(latent, LatentConfig(), LATENT_BOUNDS)
    _check_widths(latent)
    return latent


def _parse_classes(given: list) -> tuple[str, ...]:
    if type(given) is not list or any(type(name) is not str for name in given):
        raise ValueError("classes should be a list of names")
    if any(not 1 <= len(name) <= MAX_NAME for name in given) or len(set(given)) < len(given):
        raise ValueError(f"classes should be different names of 1 ... {MAX_NAME} characters")
    return tuple(given)


def _parse_text(given: dict) -> TextConfig:
    if type(given["words"]) is not list:
        raise ValueError(f"text.words should be a list, not {given['words']!r}")
    given["words"] = tuple(given["words"])
    text = TextConfig(**given)
    _check_fields(text, TextConfig(), TEXT_BOUNDS)
    words = text.words
    if not 1 <= len(words) <= MAX_WORDS or any(type(word) is not str for word in words):
        raise ValueError(f"text.words should be 1 ... {MAX_WORDS:,} words")
    if len(set(words)) < len(words):
        raise ValueError("text.words should all be different")
    if text.encoder not in ENCODERS:
        raise ValueError(f"text.encoder should be in {ENCODERS}, not {text.encoder!r}")
    if text.dim % text.heads:
        raise ValueError(f"no word vectors of {text.dim} numbers with {text.heads} heads")
    return text


def _check_fields(config, like, bounds: dict[str, tuple[int, int]]) -> None:
    """Raise ValueError unless each field is of the type that `like` has, and within its bounds."""
    for name, default in vars(like).items():
        value = getattr(config, name)
        whole = type(value) is int and type(default) is float  # 2 is as good as 2.0
        if type(value) is not type(default) and not whole:
            raise ValueError(f"{name} should be like {default!r}, not {value!r}")
    for name, (low, high) in bounds.items():
        if not low <= getattr(config, name) <= high:
            raise ValueError(f"{name} should be {low} ... {high}, not {getattr(config, name)}")


def device_of(model: nn.Module) -> torch.device:
    """Where a network computes; one without parameters, as an exported one, on the CPU."""
    return next((parameter.device for parameter in model.parameters()), torch.device("cpu"))


def choose_device(name: str = "auto") -> torch.device:
    """The device asked for; "auto" takes a CUDA GPU, else Apple's MPS, else the CPU.

    Raises:
        CourseError: if the device is not there.
    """
    there = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    if name == "auto":
        name = next(kind for kind, available in there.items() if available)
    if not there.get(name.split(":")[0], False):
        found = ", ".join(kind for kind, available in there.items() if available)
        raise CourseError(f"there is no device {name!r} here; there is: {found}")
    return torch.device(name)


def ship(
    run: Path, impl: Implementation, folder: Path = SHIPPED.parent
) -> tuple[Path, float, float]:
    """Write a run's model in half precision to where the shipped one is.

    Returns:
        the file; by how much half precision changes the output for fixed inputs, at most; and the
        output's size, root mean square.
    """
    model, config = load_model(run / "models" / "model.safetensors", impl)
    digits = config.data.removeprefix("scenes of ").removeprefix("pairs of ")
    if digits != "MNIST":
        raise CourseError(f"what ships draws MNIST's digits; {run} was trained on {config.data}")
    shipped = SHIPPED_FEW if config.calls else SHIPPED
    path = folder / (shipped if config.text is None else SHIPPED_PROMPTS).name
    save_model(path, model, config, half=True)
    exact = outputs(model, config)
    change = (outputs(load_model(path, impl)[0], config) - exact).abs().max()
    return path, float(change), float(exact.square().mean().sqrt())


@torch.no_grad()
def outputs(model: nn.Module, config: ModelConfig, count: int = 110) -> Tensor:
    """What the network says to fixed noise at steps from 0 to T-1, all labels or many words."""
    noise = torch.randn(count, *config.network_shape, generator=torch.Generator().manual_seed(0))
    t = torch.linspace(0, config.num_steps - 1, count).round().long()
    asked = torch.arange(count) % (config.num_classes + 1)
    if config.text is not None:
        asked = torch.arange(count * config.text.length).view(count, -1) % len(config.text.words)
    return model(noise, t, asked)
