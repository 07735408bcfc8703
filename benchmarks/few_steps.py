"""What is left of the digits in 8, 4, 2 and 1 calls, with distilling and without?

course distil --calls 1 --name few                 makes what is measured, run `few`
python -m benchmarks.few_steps --run few           what is missing is measured, then a table
python -m benchmarks.few_steps --run few --again   measures everything again

The shipped model with guidance w, as it was distilled, each student of the run and the one that
ships (in half precision) draw the same number of every digit, from the same noise, by DDIM over the
students' grids. The judge counts the
right digits; Fréchet distance, recall and coverage are ratios to those of as many real images
(see `course evaluate`). `ten` is how long ten digits take by the clock, the median of five times.
Every finished walk is kept in benchmarks/results/few_steps.json at once, and those of a run of
another name in few_steps_NAME.json.
"""

import argparse
import hashlib
import json
import statistics
import time
from pathlib import Path

import torch
from torch import Tensor, nn

from benchmarks import kept
from course import ROOT, CourseError
from course.learner.workspace import home
from course.model.evaluation import Ruler, data_of
from course.model.models import (
    SHIPPED,
    SHIPPED_FEW,
    ModelConfig,
    build_schedule,
    load_model,
    read_config,
)
from course.model.sampling import MAX_BATCH, eps_network, fast_walk, few_steps_grid, labelled
from course.probing.loading import Implementation

RESULTS = ROOT / "benchmarks" / "results"
CALLS = (16, 8, 4, 2, 1)


def walk_of(model: nn.Module, config: ModelConfig, guidance: float, calls: int):
    """Drawing by DDIM in so many calls, as (labels, seed) -> images."""
    solutions = Implementation("solutions")
    alpha_bars = build_schedule(solutions, config).alpha_bars
    network = eps_network(solutions, model, config, alpha_bars)
    walk = fast_walk(solutions, "ddim", alpha_bars, few_steps_grid(solutions, alpha_bars, calls))

    def draw(labels: list[int], seed: int) -> Tensor:
        guided = solutions.chapter("ch06_guided_sampling").guided_eps
        told = labelled(solutions, config, network, labels, guidance, torch.device("cpu"), guided)
        generator, found = torch.Generator().manual_seed(seed), []
        for first in range(0, len(labels), MAX_BATCH):
            part = slice(first, first + MAX_BATCH)
            count = len(labels[part])
            x_T = torch.randn(count, *config.image_shape, generator=generator)
            images, _ = walk(lambda x, t, part=part: told(x, t, part), x_T, generator)
            found.append(images)
        return torch.cat(found)

    return draw


def seconds_for_ten(draw) -> float:
    """How long ten digits take, the median of five times."""
    times = []
    for seed in range(5):
        start = time.perf_counter()
        draw(list(range(10)), seed)
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def measure(path: Path, run: Path, count: int, seed: int) -> dict:
    """All walks at `count` images of each digit; those that the file holds already are kept."""
    solutions = Implementation("solutions")
    recipe = json.loads((run / "config.json").read_text(encoding="utf-8"))
    shipped, config = load_model(SHIPPED, solutions)
    labels = list(range(config.num_classes)) * count
    settings = {
        "model_sha256": hashlib.sha256(SHIPPED.read_bytes()).hexdigest(),
        "recipe": recipe,
        "images": len(labels),
        "seed": seed,
        "threads": torch.get_num_threads(),
    }
    result = kept.load(path, settings)
    ruler = Ruler(solutions, *data_of(config.data), torch.tensor(labels))
    students = {
        ("distilled", calls): file
        for calls in CALLS
        if (file := run / "models" / f"{calls}_calls.safetensors").is_file()
    }
    if SHIPPED_FEW.is_file():
        students["distilled, ships", read_config(SHIPPED_FEW).calls] = SHIPPED_FEW
    walks = [*(("shipped", calls) for calls in CALLS), *students]
    for name, calls in walks:
        if f"{name} {calls}" in result["measured"]:
            continue
        model, guidance = shipped, recipe["guidance"]
        if (name, calls) in students:
            model, guidance = load_model(students[name, calls], solutions)[0], 0.0
        draw = walk_of(model, config, guidance, calls)
        measured = ruler.measure(draw(labels, seed))
        result["measured"][f"{name} {calls}"] = {
            "model": name,
            "calls": calls,
            **kept.digits(measured),
            "worst_digit": measured.values.worst_digit,
            "worst_right": measured.values.by_digit[measured.values.worst_digit].value,
            **{
                f"{ratio}_ratio": round(measured.ratio(ratio), 3)
                for ratio in ("spread", "sharpness")
            },
            "ten_digits_seconds": round(seconds_for_ten(draw), 3),
        }
        kept.save(path, result)
    return result


def table(result: dict) -> list[str]:
    """The walks as a Markdown table."""
    lines = [
        "| model | calls | right | 95 % interval | worst digit | Fréchet ratio | recall | coverage "
        "| ten digits |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for walk in result["measured"].values():
        low, high = walk["interval"]
        lines.append(
            f"| {walk['model']} | {walk['calls']} | {walk['right']:.1%} | {low:.1%} – {high:.1%} "
            f"| {walk['worst_digit']}: {walk['worst_right']:.0%} | {walk['frechet_ratio']:.1f} "
            f"| {walk['recall_ratio']:.2f} | {walk['coverage_ratio']:.2f} "
            f"| {walk['ten_digits_seconds']:.2f} s |"
        )
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--run", default="few", help="of `course distil`, in runs/ (default few)")
    parser.add_argument("--count", type=int, default=100, help="images of each digit (default 100)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--again", action="store_true", help="forget what was measured before")
    options = parser.parse_args()
    run = home() / "runs" / options.run
    if not (run / "config.json").is_file():
        parser.exit(2, f"there is no run {run}; make it with: course distil --name {run.name}\n")
    results = RESULTS / ("few_steps.json" if run.name == "few" else f"few_steps_{run.name}.json")
    if options.again:
        results.unlink(missing_ok=True)
    try:
        result = measure(results, run, options.count, options.seed)
    except CourseError as error:
        parser.exit(2, f"{error}\n")
    print(*table(result), sep="\n")


if __name__ == "__main__":
    main()
