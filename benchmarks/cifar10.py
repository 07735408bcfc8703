"""Measure photographs drawn by class: is it the class that was asked for, and how real are they?

course train --preset cifar10             the run
python -m benchmarks.cifar10              figures of runs/cifar10; --run PATH for another
python -m benchmarks.cifar10 --write      and benchmarks/results/cifar10.json with its picture
python -m benchmarks.cifar10 --fid        the FID too, by torchmetrics

class      how often a judge says the class that was asked for; and the same of real pictures
Fréchet    the distance of drawn pictures to real ones in the judge's features, as a multiple of
           that of other real pictures, as many as are drawn

The real pictures are of the test part, which neither the network nor the judge was trained on: in
the features of a judge, pictures that it has learned lie elsewhere than new ones. The judge is
trained once, for --judge-minutes, and kept in runs/cifar10_judge/. The distance is no FID: that
takes the weights of Inception, which `pip install torchmetrics[image]` and the internet give.
"""

import argparse
import hashlib
import json
import time
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor
from torchmetrics.image.fid import FrechetInceptionDistance

from benchmarks import preset_costs
from benchmarks.gpu_cifar10 import (
    CLASSES,
    Judge,
    Settings,
    accuracy,
    judged,
    to_bytes,
    train_judge,
)
from benchmarks.kept import load, save
from course import ROOT, CourseError
from course.learner.workspace import home
from course.model.data import load_images
from course.model.images import Images
from course.model.models import load_model
from course.model.pictures import save_classes
from course.model.sampling import draw
from course.model.weights import fill, read_weights, write_weights
from course.probing.loading import Implementation

RESULTS = ROOT / "benchmarks" / "results" / "cifar10.json"
SAMPLER, STEPS = "2m", 25
SHOWN = 8  # pictures of each class
JUDGE = replace(Settings(), judge_widths=(24, 48, 64, 128), judge_batch=256)
SOLUTIONS = Implementation("solutions")


def judge_of(folder: Path, train: Images, minutes: float) -> Judge:
    """The judge that is kept in this folder, or a new one, which is kept."""
    file = folder / "model.safetensors"
    settings = json.dumps({"data": train.name, "minutes": minutes})
    judge = Judge(JUDGE.judge_widths).eval()
    if file.is_file():
        weights, metadata = read_weights(file, needed=("settings", "steps"))
        if metadata["settings"] == settings:
            fill(judge, weights, f"the weights in {file} do not fit", "Delete it.")
            judge.steps = int(metadata["steps"])
            return judge
    folder.mkdir(parents=True, exist_ok=True)
    data = {"train_images": train.pixels, "train_labels": train.labels}
    judge = train_judge(replace(JUDGE, judge_seconds=60 * minutes), data, torch.device("cpu"))
    write_weights(file, judge, {"settings": settings, "steps": str(judge.steps)}, half=False)
    return judge


def inception() -> FrechetInceptionDistance:
    """Torchmetrics' FID, empty.

    Raises:
        CourseError: if it, or the weights of its network, cannot be had.
    """
    try:
        return FrechetInceptionDistance(feature=2048)
    except (ModuleNotFoundError, OSError) as error:
        raise CourseError(
            f"--fid needs `pip install torchmetrics[image]`, and the internet for the weights of "
            f"Inception, once ({type(error).__name__}: {error}); without it leave --fid out"
        ) from None


def fid(metric: FrechetInceptionDistance, drawn: Tensor, real: Tensor) -> float:
    """Of pictures (N, 3, H, W), uint8. It falls with N: compare only at the same number."""
    metric.reset()
    for pictures, are_real in ((drawn, False), (real, True)):
        for some in pictures.split(100):
            metric.update(some, real=are_real)
    return round(float(metric.compute()), 2)


class Ruler:
    """What drawn pictures are compared with: `count` real ones, and all others of the test part."""

    def __init__(
        self, judge: Judge, test: Images, count: int, metric: FrechetInceptionDistance | None
    ):
        self.judge, self.ch08 = judge, SOLUTIONS.chapter("ch08_evaluation")
        self.metric = metric  # None: without FID
        order = torch.randperm(len(test), generator=torch.Generator().manual_seed(2))
        some, others = order[:count], order[count:]
        _, features = judged(judge, test.pixels[others])
        self.scale = features.std(dim=0).clamp(min=1e-6)  # (D,), of each feature
        self.others = test.pixels[others]
        self.reference = self.moments(features)
        self.between = 1.0
        self.real = self.measure(test.pixels[some], test.labels[some])
        self.between = self.real["frechet"]
        self.real["frechet_ratio"] = 1.0

    def moments(self, features: Tensor) -> tuple[Tensor, Tensor]:
        return self.ch08.feature_moments((features / self.scale).double())

    def measure(self, pictures: Tensor, labels: Tensor) -> dict:
        """Of pictures (N, 3, 32, 32), uint8, and their classes."""
        logits, features = judged(self.judge, pictures)
        distance = float(self.ch08.frechet_distance(*self.reference, *self.moments(features)))
        of_inception = {"fid": fid(self.metric, pictures, self.others)} if self.metric else {}
        return {
            "pictures": len(pictures),
            **accuracy(logits, labels),
            **of_inception,
            "frechet": round(distance, 4),
            "frechet_ratio": round(distance / self.between, 2),
        }


def training(folder: Path) -> dict:
    """What the run has cost: steps, and minutes as preset_costs counts those of cifar10."""
    metrics = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    step = preset_costs.apart("benchmarks.preset_costs", "--cost", "cifar10")
    return {
        "steps": len(metrics["losses"]),
        "minutes": round(preset_costs.minutes(len(metrics["losses"]), step["times_unit"]), 2),
        "step_times_unit": step["times_unit"],
        "memory_mb": step["memory_mb"],
        "held_out_eps_mse": metrics["epochs"][-1]["held_out_eps_mse"],
    }


def show(pictures: Tensor, title: str) -> None:
    """A row of drawn pictures for each class."""
    grid = SOLUTIONS.chapter("ch06_guided_sampling").image_grid
    rows = [grid(pictures[label :: len(CLASSES)][:SHOWN], SHOWN) for label in range(len(CLASSES))]
    save_classes(rows, CLASSES, RESULTS.with_name("cifar10_classes.png"), title)


def measure(options: argparse.Namespace, record: dict) -> dict:
    """Add to the record what it lacks of this run; with --write, write it and the picture."""
    metric = inception() if options.fid else None  # first, because it may not be there
    file = options.run / "models" / "model.safetensors"
    if not file.is_file():
        raise CourseError(
            f"there is no finished run {options.run}; make it with: course train --preset cifar10"
        )
    sha256 = hashlib.sha256(file.read_bytes()).hexdigest()
    model, config = load_model(file, SOLUTIONS)
    train, test = (load_images("cifar10", train=part) for part in (True, False))
    judge = judge_of(options.run.parent / "cifar10_judge", train, options.judge_minutes)
    ruler = Ruler(judge, test, options.count, metric)
    logits, _ = judged(judge, test.pixels)
    record["judge"] = {"steps": judge.steps, "on_test_images": accuracy(logits, test.labels)}
    if record.get("model_sha256") != sha256:
        record |= {"model_sha256": sha256, "measured": {}}
    record |= {"data": train.name, "training": training(options.run)}
    record |= {"parameters": sum(weight.numel() for weight in model.parameters())}
    record["measured"]["real"] = ruler.real
    labels = torch.arange(options.count) % len(CLASSES)
    for w in options.guidance:
        if f"w = {w:g}" in record["measured"]:
            continue
        started = time.monotonic()
        pictures, _ = draw(
            SOLUTIONS, model, config, labels.tolist(), w, STEPS, options.seed,
            sampler=SAMPLER, progress=f"w = {w:g}",
        )  # fmt: skip
        figures = ruler.measure(to_bytes(pictures), labels)
        figures["seconds_a_picture"] = round((time.monotonic() - started) / len(labels), 3)
        record["measured"][f"w = {w:g}"] = figures
        if options.write:
            if w == options.guidance[0]:
                show(pictures, f"drawn by class, w = {w:g}, trained on {train.name}")
            save(RESULTS, record)
    return record


def table(measured: dict) -> list[str]:
    """The figures as a Markdown table; of the FID, where it was measured."""
    heads = ["", "pictures", "class right", "worst class", "Fréchet, times real"]
    with_fid = any("fid" in figures for figures in measured.values())
    rows = [heads + ["FID"] * with_fid, ["---"] * (len(heads) + with_fid)]
    for name, figures in measured.items():
        low, high = figures["interval"]
        row = [
            name,
            f"{figures['pictures']:,}",
            f"{figures['accuracy']:.1%} ({low:.1%} to {high:.1%})",
            f"{figures['worst_class']}, {figures['worst_accuracy']:.0%}",
            f"{figures['frechet_ratio']:.1f}",
        ]
        rows.append(row + [str(figures.get("fid", ""))] * with_fid)
    return [f"| {' | '.join(row)} |" for row in rows]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--run", type=Path, help="a finished run (default runs/cifar10)")
    parser.add_argument("--count", type=int, default=1000, help="pictures of each (default 1000)")
    parser.add_argument("--guidance", type=float, nargs="+", default=[1.0, 2.0], metavar="W")
    parser.add_argument("--judge-minutes", type=float, default=8)
    parser.add_argument("--fid", action="store_true", help="measure the FID too")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2, help="of the processor (default 2)")
    parser.add_argument("--write", action="store_true", help=f"write {RESULTS.relative_to(ROOT)}")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    options.run = options.run or home() / "runs" / "cifar10"
    settings = {
        "count": options.count,
        "seed": options.seed,
        "sampler": SAMPLER,
        "steps": STEPS,
        "judge_minutes": options.judge_minutes,
        "fid": options.fid,
        "threads": options.threads,
    }
    try:
        record = measure(options, load(RESULTS, settings))
    except CourseError as error:
        parser.exit(2, f"{error}\n")
    print(*table(record["measured"]), sep="\n")


if __name__ == "__main__":
    main()
