"""Measure three ways to 64 pixels at about the same cost: pixels, patches, and latents.

course train --preset large-pixels       and large-patches, large-latent: the runs
python -m benchmarks.large               a table from those of these runs that are there
python -m benchmarks.large RUN ...       or from runs of another name
python -m benchmarks.large --write       and benchmarks/results/large.json with its picture

attributes   how often digit, colour, ground and all of it are what the caption says, of captions
             whose combinations were in the training and of those that were kept out of it
Frechet      the distance of drawn pictures to real ones, in the features of a network that has
             learned to name digit, colour and ground; as a multiple of that of other real pictures
costs        minutes and steps of the run, time and memory of a step, seconds a picture
autoencoder  what the latents alone lose: the same figures of real pictures that went through them

The network of the features is trained once, and kept in runs/large_features/.
What was measured is kept: the same command goes on with what is missing, or was trained anew.
Everything runs on --threads threads. MNIST has to be there if the runs were trained on it.
"""

import argparse
import hashlib
import json
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from tqdm.auto import tqdm

from benchmarks import preset_costs
from benchmarks.kept import load, save
from course import ROOT
from course.learner.workspace import home
from course.model.digit_networks import Residual, conv, quantise
from course.model.evaluation import data_of
from course.model.forms import Form
from course.model.images import Images
from course.model.models import load_model, read_config
from course.model.pictures import save_picture
from course.model.prompt_evaluation import as_dict, shares_of
from course.model.sampling import draw
from course.model.scenes import COLOURS, GROUNDS, PARTS, Facts, Reader, Scenes, make_scenes
from course.model.training import PRESETS, Processes, Run
from course.model.weights import fill, read_weights, write_weights
from course.probing.loading import Implementation

RESULTS = ROOT / "benchmarks" / "results" / "large.json"
KIND = "large scenes"
RUNS = ("large-pixels", "large-patches", "large-latent")
SAMPLER, STEPS, GUIDANCE = "2m", 25, 2.0
SHOWN = 5  # pictures of seen and of held-out combinations in the picture
FEATURE_STEPS = 1000
FEATURE_BATCH = (50, 10)  # pictures of seen and of held-out combinations, in each step
FEATURE_SCENES = 30_000  # of seen combinations, and as many of held-out ones
FACTORS = ("digit", "colour", "ground")
SOLUTIONS = Implementation("solutions")


# Features to compare sets of pictures with


class SceneFeatures(nn.Module):
    """A network that names digit, colour and ground; its last layer but one are the features.

    It sees the picture in patches, so that it is quick.
    """

    def __init__(self, channels: int = 64):
        super().__init__()
        self.body = nn.Sequential(
            nn.PixelUnshuffle(2),  # (B, 12, 32, 32)
            conv(12, 32, stride=2),
            conv(32, 48, stride=2),  # (B, 48, 8, 8)
            Residual(48),
            conv(48, channels, stride=2),
            nn.Flatten(),  # (B, channels * 4 * 4)
            nn.Linear(channels * 16, channels),
            nn.ReLU(),
        )
        self.heads = nn.Linear(channels, 10 + len(COLOURS) + len(GROUNDS))

    def features(self, pictures: Tensor) -> Tensor:
        """(B, 3, 64, 64) in [-1, 1] -> (B, channels)."""
        return self.body(pictures)

    def forward(self, pictures: Tensor) -> tuple[Tensor, ...]:
        """(B, 3, 64, 64) in [-1, 1] -> the logits of digit, colour and ground."""
        sizes = (10, len(COLOURS), len(GROUNDS))
        return self.heads(self.features(pictures)).split(sizes, dim=1)


def answers(facts: Facts) -> tuple[Tensor, ...]:
    return facts.digit[:, 0], facts.colour[:, 0], facts.ground


def train_features(images: Images, seed: int = 303) -> SceneFeatures:
    """On large scenes with these digits; one cycle of the learning rate.

    One picture in six has a held-out combination, because one combination in six is held out: were
    there more of them, the colour would tell the digit.
    """
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = SceneFeatures()
    generator = torch.Generator().manual_seed(seed)
    parts = [make_scenes(KIND, images, FEATURE_SCENES, generator, part) for part in PARTS]
    optimizer = torch.optim.AdamW(model.parameters(), weight_decay=0.05)
    cycle = torch.optim.lr_scheduler.OneCycleLR(optimizer, 4e-3, FEATURE_STEPS)
    for _ in tqdm(range(FEATURE_STEPS), "features", mininterval=5):
        some = [
            (scenes, torch.randint(len(scenes), (count,), generator=generator))
            for scenes, count in zip(parts, FEATURE_BATCH)
        ]
        said = model(torch.cat([real(scenes, index) for scenes, index in some]))
        right = zip(*(answers(scenes.facts[index]) for scenes, index in some))
        loss = sum(F.cross_entropy(a, torch.cat(b)) for a, b in zip(said, right))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        cycle.step()
    return model.eval()


def features_of(folder: Path, images: Images) -> SceneFeatures:
    """The network that is kept in this folder, or a new one, which is kept."""
    file = folder / "model.safetensors"
    settings = json.dumps({"steps": FEATURE_STEPS, "batch": FEATURE_BATCH, "digits": images.name})
    model = SceneFeatures().eval()
    if file.is_file():
        weights, metadata = read_weights(file, needed=("settings",))
        if metadata["settings"] == settings:
            fill(model, weights, f"the weights in {file} do not fit", "Delete it.")
            return model
    model = train_features(images)
    write_weights(file, model, {"settings": settings}, half=False)
    return model


def real(scenes: Scenes, index: Tensor | slice = slice(None)) -> Tensor:
    """Painted pictures, (B, 3, 64, 64), in [-1, 1]."""
    return scenes.pixels(index).float() / 127.5 - 1


# What is measured


class Ruler:
    """Real pictures to compare with, and how pictures are compared."""

    def __init__(self, digits: str, options: argparse.Namespace):
        train, test = data_of(digits)
        count, seed = options.count, options.seed
        self.ch08, self.reader = SOLUTIONS.chapter("ch08_evaluation"), Reader()
        self.features = features_of(options.runs_folder / "large_features", train)
        self.scenes = {
            part: make_scenes(KIND, test, count, torch.Generator().manual_seed(seed), part)
            for part in PARTS
        }
        self.painted = {part: real(scenes) for part, scenes in self.scenes.items()}
        # Real pictures with digits of the training part, and with held-out digits, no two of whose
        # captions have to be the same.
        generator = torch.Generator().manual_seed(seed + 1)
        self.reference = self.extract(real(make_scenes(KIND, train, count, generator)))
        self.between = self.frechet(self.reference, self.extract(self.painted["seen"]))

    @torch.no_grad()
    def extract(self, pictures: Tensor) -> Tensor:
        parts = quantise(pictures).split(500)
        return torch.cat([self.features.features(part) for part in parts]).double()

    def frechet(self, a: Tensor, b: Tensor) -> float:
        moments = self.ch08.feature_moments
        return float(self.ch08.frechet_distance(*moments(a), *moments(b)))

    @torch.no_grad()
    def real(self) -> dict:
        """The figures of painted pictures, and how often their features say what they show."""
        said = self.features(self.painted["seen"])
        right = {
            name: float((each.argmax(dim=1) == what).double().mean())
            for name, each, what in zip(FACTORS, said, answers(self.scenes["seen"].facts))
        }
        return {**self.measure(self.painted), "named_by_the_features": right}

    def some(self, of: dict) -> Tensor:
        return torch.cat([of[part][:SHOWN] for part in PARTS])

    def some_captions(self) -> list[str]:
        return [caption for part in PARTS for caption in self.scenes[part].captions[:SHOWN]]

    def measure(self, pictures: dict[str, Tensor]) -> dict:
        """Of pictures for the captions of each part: attributes, and distances to real pictures."""
        shares = {
            part: shares_of(
                self.ch08, KIND, self.reader.read(pictures[part]), self.scenes[part].facts
            )
            for part in PARTS
        }
        distance = self.frechet(self.reference, self.extract(pictures["seen"]))
        figures = {"frechet": distance, "frechet_ratio": distance / self.between}
        return {**as_dict(shares), **figures}


class Model:
    """A finished run."""

    def __init__(self, folder: Path):
        self.folder, self.file = folder, folder / "models" / "model.safetensors"
        self.sha256 = hashlib.sha256(self.file.read_bytes()).hexdigest()
        self.model, self.config = load_model(self.file, SOLUTIONS)
        self.run = json.loads((folder / "config.json").read_text(encoding="utf-8"))

    @property
    def works_on(self) -> str:
        shifted = f", schedule shifted by {self.config.shift:g}" if self.config.shift != 1 else ""
        if self.config.latent:
            return f"latents{shifted}"
        return f"{'patches' if self.config.patch > 1 else 'pixels'}{shifted}"

    def draw(self, captions: list[str], seed: int) -> Tensor:
        return draw(
            SOLUTIONS, self.model, self.config, captions, GUIDANCE, STEPS, seed,
            sampler=SAMPLER, progress=self.folder.name,
        )[0]  # fmt: skip

    def training(self, times_unit: float) -> dict:
        """What the run has cost: steps, and minutes as preset_costs counts them.

        The autoencoder's minutes are those that the run wrote down.
        """
        metrics = json.loads((self.folder / "metrics.json").read_text(encoding="utf-8"))
        steps = len(metrics["losses"])
        minutes = preset_costs.minutes(steps, times_unit)
        figures = {"steps": steps, "batch_size": self.run["batch_size"]}
        if self.config.latent:
            kept = self.folder / "models" / "autoencoder.safetensors"
            record = json.loads(read_weights(kept, needed=("record",))[1]["record"])
            figures["autoencoder_minutes"] = round(record["seconds"] / 60, 2)
            figures["autoencoder_steps"] = self.run["autoencoder"]["steps"]
            figures["held_out_mse_of_autoencoder"] = record["held_out_mse"]
            minutes += record["seconds"] / 60
        return {"minutes": round(minutes, 2), **figures}

    def measure(self, ruler: Ruler, seed: int) -> dict:
        """All figures of pictures that are drawn for the ruler's captions."""
        started = time.monotonic()
        drawn = {part: self.draw(scenes.captions, seed) for part, scenes in ruler.scenes.items()}
        seconds = (time.monotonic() - started) / sum(map(len, drawn.values()))
        latent = self.config.latent
        step = preset_costs.apart("benchmarks.large", "--cost", str(self.file))
        figures = {
            "works_on": self.works_on,
            "shape": list(self.config.network_shape),
            "shift": self.config.shift,
            "parameters": sum(weight.numel() for weight in self.model.parameters()),
            "training": self.training(step["times_unit"]),
            "step": step,
            "seconds_a_picture": round(seconds, 4),
            **ruler.measure(drawn),
        }
        if latent:
            form = Form(SOLUTIONS, self.config, self.model)
            through = {
                part: torch.cat([form.pictures(form.of(x)) for x in pictures.split(100)])
                for part, pictures in ruler.painted.items()
            }
            figures["real_through_autoencoder"] = ruler.measure(through)
        return figures


# What a step costs


def cost_of_a_step(model_file: Path) -> dict:
    """Time and memory of a step of training such a network, if what it learns from is ready."""
    preset = replace(PRESETS["large-pixels"], model=read_config(model_file), num_scenes=100)
    with tempfile.TemporaryDirectory() as folder:
        run = Run(Path(folder), preset, SOLUTIONS, "mnist5k", "cpu", True, processes=Processes())
    return preset_costs.cost_of_a_step(run)


# The record and the picture


def measure(folders: list[Path], options: argparse.Namespace, record: dict) -> None:
    """Add to the record what it lacks of these runs; with --write, write it and the picture."""
    rulers: dict[str, Ruler] = {}
    shown: dict[str, Tensor] = {}
    for folder in folders:
        if not (folder / "models" / "model.safetensors").is_file():
            print(f"there is no run {folder.name}; to have it: course train --preset {folder.name}")
            continue
        model = Model(folder)
        digits = model.config.data.partition(" of ")[2]
        if digits not in rulers:
            rulers[digits] = Ruler(digits, options)
        ruler = rulers[digits]
        if record["measured"].get("real", {}).get("digits") != digits:
            record["measured"]["real"] = {"digits": digits, **ruler.real()}
        figures = record["measured"].get(folder.name, {})
        if figures.get("model_sha256") != model.sha256:
            figures = {"model_sha256": model.sha256, **model.measure(ruler, options.seed)}
            record["measured"][folder.name] = figures
            if options.write:
                save(RESULTS, record)
        shown["real"] = ruler.some(ruler.painted)
        shown[folder.name] = model.draw(ruler.some_captions(), options.seed)
    if options.write and shown:
        ch06 = SOLUTIONS.chapter("ch06_guided_sampling")
        grid = ch06.image_grid(torch.cat(list(shown.values())), 2 * SHOWN)
        save_picture(grid, RESULTS.with_name("large_grid.png"))
        record["measured"]["grid"] = {"rows": list(shown), "captions": ruler.some_captions()}
        save(RESULTS, record)


def table(measured: dict) -> list[str]:
    """The figures as a Markdown table."""
    heads = ["", "minutes", f"a step, `{preset_costs.UNIT}` = 1", "MB", "s a picture"]
    heads += [f"all right, {part}" for part in PARTS] + ["Fréchet, times real"]
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    rows = {name: figures for name, figures in measured.items() if name != "grid"}
    for run, figures in measured.items():
        if "real_through_autoencoder" in figures:
            rows[f"real, through {run}"] = figures["real_through_autoencoder"]
    for name, figures in rows.items():
        costs = [""] * 4
        if "training" in figures:
            name, step = f"`{name}`", figures["step"]
            costs = [f"{figures['training']['minutes']:.0f}", f"{step['times_unit']:.1f}"]
            costs += [f"{step['memory_mb']:,}", f"{figures['seconds_a_picture']:.2f}"]
        right = [f"{100 * figures[part]['all']['value']:.1f} %" for part in PARTS]
        cells = [name, *costs, *right, f"{figures['frechet_ratio']:.1f}"]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("runs", nargs="*", metavar="RUN", help=f"runs (default {' '.join(RUNS)})")
    parser.add_argument("--runs-folder", type=Path, help="where the runs are (default runs/)")
    parser.add_argument("--count", type=int, default=400, help="pictures of each (default 400)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2, help="of the processor (default 2)")
    parser.add_argument("--write", action="store_true", help=f"write {RESULTS.relative_to(ROOT)}")
    parser.add_argument("--cost", type=Path, metavar="FILE", help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if options.cost:
        print(json.dumps(cost_of_a_step(options.cost)))
        return
    settings = {
        "count": options.count,
        "seed": options.seed,
        "sampler": SAMPLER,
        "steps": STEPS,
        "guidance": GUIDANCE,
        "threads": options.threads,
    }
    record = load(RESULTS, settings)
    options.runs_folder = options.runs_folder or home() / "runs"
    measure([options.runs_folder / run for run in options.runs or RUNS], options, record)
    print(*table(record["measured"]), sep="\n")


if __name__ == "__main__":
    main()
