"""Measure the samplers against the curve that they follow: how far off with how many calls?

python -m benchmarks.fast_sampling             a table
python -m benchmarks.fast_sampling --write     and benchmarks/results/fast_sampling.json

The shipped model draws the same images, from the same noise and with the same guidance, by DDIM
(eta = 0) and by DPM-Solver++(2M) in few steps. Both follow the same curve, so both are held against
DDIM over all steps of the schedule: the root mean square distance of the pixels. It says how well a
sampler solves its equation, not how good the digits are. Ancestral sampling draws other images from
the same noise and has no place in this table.
"""

import argparse
import json
from pathlib import Path

import torch

from course import ROOT
from course.model import SAMPLERS
from course.model.models import SHIPPED, load_model
from course.model.sampling import draw
from course.probing.loading import Implementation

RESULTS = ROOT / "benchmarks" / "results" / "fast_sampling.json"
STEPS = (5, 10, 20, 40, 80)
FAST = SAMPLERS[1:]  # all but the ancestral walk


def measure(count: int, guidance: float, seed: int, steps: tuple[int, ...] = STEPS) -> dict:
    """Distances of all samplers at all lengths, for `count` images of each digit."""
    torch.set_num_threads(1)  # so that the figures do not depend on the number of cores
    solutions = Implementation("solutions")
    model, config = load_model(SHIPPED, solutions)

    def images(sampler: str, num_steps: int) -> torch.Tensor:
        labels = list(range(config.num_classes)) * count
        return draw(
            solutions, model, config, labels, guidance, num_steps, seed,
            sampler=sampler, progress=f"{sampler} {num_steps}",
        )[0]  # fmt: skip

    exact = images("ddim", config.num_steps)

    def distance(sampler: str, num_steps: int) -> float:
        return round(float((images(sampler, num_steps) - exact).square().mean().sqrt()), 4)

    distances = {sampler: [distance(sampler, n) for n in steps] for sampler in FAST}
    return {
        "model": SHIPPED.name,
        "images": config.num_classes * count,
        "guidance": guidance,
        "seed": seed,
        "reference_steps": config.num_steps,
        "steps": list(steps),
        "distance": distances,
    }


def table(result: dict) -> list[str]:
    """The distances as a Markdown table."""
    lines = [
        "| sampler | " + " | ".join(f"{n} calls" for n in result["steps"]) + " |",
        "|---|" + "---|" * len(result["steps"]),
    ]
    for sampler, distances in result["distance"].items():
        lines.append(f"| {sampler} | " + " | ".join(f"{d:.3f}" for d in distances) + " |")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--count", type=int, default=2, help="images of each digit (default 2)")
    parser.add_argument("--guidance", type=float, default=1.0, help="w (default 1)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--write", action="store_true", help=f"write {RESULTS.relative_to(ROOT)}")
    options = parser.parse_args()
    result = measure(options.count, options.guidance, options.seed)
    print(*table(result), sep="\n")
    if options.write:
        write(result)


def write(result: dict, path: Path = RESULTS) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
