"""How good are the digits for how many calls of the network? A line for each way to walk.

python -m benchmarks.calls             what is missing is measured, then a table
python -m benchmarks.calls --line flow runs/flow/models/model.safetensors flow-euler
python -m benchmarks.calls --again     measures everything again

The lines of the shipped model are all the samplers of `course sample`. --line adds one of another
model: its name, its file and its sampler. Every walk draws as many of each digit, from the same
noise, and is counted by the calls that it makes: a step of Heun's is two. The judge counts the
right digits, and the Fréchet distance is a ratio to that between as many real images (see `course
evaluate`). Every finished walk is kept in benchmarks/results/calls.json at once, so an interrupted
measurement goes on where it stopped, and lines that others have measured stay.
"""

import argparse
import hashlib
from pathlib import Path

import torch

from benchmarks import kept
from course import ROOT, CourseError
from course.model import SAMPLERS
from course.model.evaluation import Ruler, data_of
from course.model.models import SHIPPED, load_model
from course.model.sampling import calls_of, draw
from course.probing.loading import Implementation

RESULTS = ROOT / "benchmarks" / "results" / "calls.json"
CALLS = (4, 8, 16)
SHIPPED_LINES = tuple((sampler, SHIPPED, sampler) for sampler in SAMPLERS)
Line = tuple[str, Path, str]  # its name, the file of its model, its sampler


def measure(path: Path, lines: list[Line], count: int, guidance: float, seed: int) -> dict:
    """All walks of these lines at `count` images of each digit; what the file holds stays."""
    solutions = Implementation("solutions")
    labels = list(range(10)) * count
    settings = {"images": len(labels), "guidance": guidance, "seed": seed}
    result, ruler = kept.load(path, settings), None
    # From short to long, so that a first figure is there early.
    for calls in CALLS:
        for line, file, sampler in lines:
            sha256 = hashlib.sha256(file.read_bytes()).hexdigest()
            name = f"{line} {calls}"
            if result["measured"].get(name, {}).get("model_sha256") == sha256:
                continue
            model, config = load_model(file, solutions)
            ruler = ruler or Ruler(solutions, *data_of(config.data), torch.tensor(labels))
            steps = next(n for n in range(1, calls + 1) if calls_of(sampler, n) == calls)
            images, _ = draw(
                solutions, model, config, labels, guidance, steps, seed,
                sampler=sampler, progress=name,
            )  # fmt: skip
            measured = ruler.measure(images)
            result["measured"][name] = {
                "line": line,
                "model_sha256": sha256,
                "predicts": config.prediction,
                "sampler": sampler,
                "calls": calls,
                **kept.digits(measured),
            }
            kept.save(path, result)
    return result


def table(result: dict) -> list[str]:
    """The walks as a Markdown table, line by line."""
    lines = [
        "| line | calls | right | 95 % interval | Fréchet ratio | recall | coverage |",
        "|---|---|---|---|---|---|---|",
    ]
    order = list(dict.fromkeys(walk["line"] for walk in result["measured"].values()))
    for walk in sorted(
        result["measured"].values(), key=lambda walk: (order.index(walk["line"]), walk["calls"])
    ):
        low, high = walk["interval"]
        lines.append(
            f"| {walk['line']} | {walk['calls']} | {walk['right']:.1%} | {low:.1%} – {high:.1%} "
            f"| {walk['frechet_ratio']:.1f} | {walk['recall_ratio']:.2f} "
            f"| {walk['coverage_ratio']:.2f} |"
        )
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--count", type=int, default=20, help="images of each digit (default 20)")
    parser.add_argument("--guidance", type=float, default=0.5, help="w (default 0.5)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--line", nargs=3, action="append", metavar=("NAME", "FILE", "SAMPLER"), default=[],
        help="a line of another model, beside those of the shipped one",
    )  # fmt: skip
    parser.add_argument("--again", action="store_true", help="forget what was measured before")
    options = parser.parse_args()
    if options.again:
        RESULTS.unlink(missing_ok=True)
    lines = [*SHIPPED_LINES, *((name, Path(file), how) for name, file, how in options.line)]
    try:
        result = measure(RESULTS, lines, options.count, options.guidance, options.seed)
    except CourseError as error:
        parser.exit(2, f"{error}\n")
    print(*table(result), sep="\n")


if __name__ == "__main__":
    main()
