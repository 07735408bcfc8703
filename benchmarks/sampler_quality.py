"""How good are the digits for how many calls of the network? Ancestral, DDIM and 2M side by side.

python -m benchmarks.sampler_quality             what is missing is measured, then a table
python -m benchmarks.sampler_quality --again     measures everything again
python -m benchmarks.sampler_quality --guidance 0.5 --longest 100

Each walk draws the same number of every digit with the shipped model. The judge counts the right
ones; the Fréchet distance is a ratio to that between as many real images (see `course evaluate`).
Every finished walk is kept in benchmarks/results/sampler_quality.json at once, so an interrupted
measurement goes on where it stopped. Figures with guidance have a file of their own, named for w.
Without guidance a call is one pass of the network over the images, with it two.
"""

import argparse
import hashlib
import time
from pathlib import Path

import torch

from benchmarks import kept
from course import ROOT, CourseError
from course.model.evaluation import Ruler, data_of
from course.model.models import SHIPPED, load_model
from course.model.sampling import draw
from course.probing.loading import Implementation

RESULTS = ROOT / "benchmarks" / "results"
WALKS = {
    "ancestral": (10, 20, 50, 100, 250, 1000),
    "ddim": (5, 10, 20, 50),
    "2m": (5, 10, 15, 20, 50),
}


def file_of(guidance: float) -> Path:
    """Where the figures for one guidance are kept."""
    return RESULTS / f"sampler_quality{f'_w{guidance:g}' if guidance else ''}.json"


def measure(path: Path, count: int, guidance: float, seed: int, longest: int = 1000) -> dict:
    """All walks at `count` images of each digit; those that the file holds already are kept."""
    solutions = Implementation("solutions")
    model, config = load_model(SHIPPED, solutions)
    labels = list(range(config.num_classes)) * count
    ruler = Ruler(solutions, *data_of(config.data), torch.tensor(labels))
    settings = {
        "model_sha256": hashlib.sha256(SHIPPED.read_bytes()).hexdigest(),
        "images": len(labels),
        "guidance": guidance,
        "seed": seed,
        "threads": torch.get_num_threads(),
    }
    result = kept.load(path, settings)
    # From short to long, so that a first figure is there early.
    walks = sorted((steps, sampler) for sampler, all_steps in WALKS.items() for steps in all_steps)
    walks = [(steps, sampler) for steps, sampler in walks if steps <= longest]
    for steps, sampler in walks:
        name = f"{sampler} {steps}"
        if name in result["measured"]:
            continue
        start = time.monotonic()
        images, _ = draw(
            solutions, model, config, labels, guidance, steps, seed, sampler=sampler, progress=name
        )
        seconds = time.monotonic() - start
        measured = ruler.measure(images)
        result["measured"][name] = {
            "sampler": sampler,
            "calls": steps,
            **kept.digits(measured),
            "seconds": round(seconds, 1),
        }
        kept.save(path, result)
    return result


def table(result: dict) -> list[str]:
    """The walks as a Markdown table, by sampler and number of calls."""
    lines = [
        "| sampler | calls | right | 95 % interval | Fréchet ratio | recall | coverage | seconds |",
        "|---|---|---|---|---|---|---|---|",
    ]
    order = list(WALKS)
    for walk in sorted(
        result["measured"].values(), key=lambda walk: (order.index(walk["sampler"]), walk["calls"])
    ):
        low, high = walk["interval"]
        lines.append(
            f"| {walk['sampler']} | {walk['calls']} | {walk['right']:.1%} | {low:.1%} – {high:.1%} "
            f"| {walk['frechet_ratio']:.1f} | {walk['recall_ratio']:.2f} "
            f"| {walk['coverage_ratio']:.2f} | {walk['seconds']:.0f} |"
        )
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--count", type=int, default=40, help="images of each digit (default 40)")
    parser.add_argument("--guidance", type=float, default=0.0, help="w (default 0)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--longest", type=int, default=1000, help="walks of more calls are left out"
    )
    parser.add_argument("--again", action="store_true", help="forget what was measured before")
    options = parser.parse_args()
    path = file_of(options.guidance)
    if options.again:
        path.unlink(missing_ok=True)
    try:
        result = measure(path, options.count, options.guidance, options.seed, options.longest)
    except CourseError as error:
        parser.exit(2, f"{error}\n")
    print(*table(result), sep="\n")


if __name__ == "__main__":
    main()
