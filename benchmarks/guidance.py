"""Measure what guidance does: right digits, variety, and likeness to real ones, over w.

python -m benchmarks.guidance             a table
python -m benchmarks.guidance --write     and benchmarks/results/guidance.json and guidance.png

The shipped model draws the same digits, from the same noise, with each guidance scale, by
DPM-Solver++(2M) in 20 steps. Each set is measured as `course evaluate` measures, beside real
held-out images. The picture holds the first three images of each digit: 3 rows for each scale.
Minutes on one core; MNIST has to be there if the model was trained on it.
"""

import argparse
import hashlib
import json
from pathlib import Path

import torch
from torch import Tensor

from course import ROOT
from course.model.evaluation import Ruler, as_dict, data_of
from course.model.models import SHIPPED, load_model
from course.model.pictures import save_picture
from course.model.sampling import draw
from course.probing.loading import Implementation

RESULTS = ROOT / "benchmarks" / "results" / "guidance.json"
PICTURE = RESULTS.with_suffix(".png")
SCALES = (0.0, 0.5, 1.0, 2.0, 3.0, 5.0, 8.0)
SAMPLER, STEPS = "2m", 20
ROWS = 3  # of ten digits for each scale in the picture


def measure(
    count: int, seed: int, scales: tuple[float, ...] = SCALES, num_steps: int = STEPS
) -> tuple[dict, Tensor]:
    """Figures for each guidance scale, from `count` images of each digit, and the picture.

    Returns:
        (result, picture): what stands in the file, and (1, 28 * ROWS * scales, 280) in [0, 1].
    """
    torch.set_num_threads(1)  # so that the figures do not depend on the number of cores
    solutions = Implementation("solutions")
    model, config = load_model(SHIPPED, solutions)
    labels = torch.arange(10 * count) % 10
    ruler = Ruler(solutions, *data_of(config.data), labels, seed)
    rows, pictures = [], []
    for guidance in scales:
        images, _ = draw(
            solutions, model, config, labels.tolist(), guidance, num_steps, seed,
            sampler=SAMPLER, progress=f"w = {guidance:g}",
        )  # fmt: skip
        measurement = ruler.measure(images)
        ratios = {name: measurement.ratio(name) for name in ("frechet", "recall", "coverage")}
        rows.append({"guidance": guidance, **as_dict(measurement.values), "against_real": ratios})
        pictures.append(images[: 10 * ROWS])
    result = {
        "model": SHIPPED.name,
        "model_sha256": hashlib.sha256(SHIPPED.read_bytes()).hexdigest(),
        "data": config.data,
        "sampler": SAMPLER,
        "steps": num_steps,
        "images": len(labels),
        "seed": seed,
        "real": as_dict(ruler.real),
        "generated": rows,
    }
    image_grid = solutions.chapter("ch06_guided_sampling").image_grid
    return result, image_grid(torch.cat(pictures), num_columns=10, gap=0)


def table(result: dict) -> list[str]:
    """The figures as a Markdown table."""
    lines = [
        "| w | right digit (95 %) | recall | coverage | Fréchet distance | times real's |",
        "|---|---|---|---|---|---|",
    ]
    for name, row in [("real", result["real"])] + [
        (f"{row['guidance']:g}", row) for row in result["generated"]
    ]:
        right = row["accuracy"]
        ratio = row["against_real"]["frechet"] if "against_real" in row else 1.0
        lines.append(
            f"| {name} | {right['value']:.1%} ({right['low']:.1%} – {right['high']:.1%}) "
            f"| {row['recall']:.3f} | {row['coverage']:.3f} | {row['frechet']:.3f} | {ratio:.1f} |"
        )
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--count", type=int, default=40, help="images of each digit (default 40)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--write", action="store_true", help=f"write {RESULTS.relative_to(ROOT)}")
    options = parser.parse_args()
    result, picture = measure(options.count, options.seed)
    print(*table(result), sep="\n")
    if options.write:
        write(result, picture)


def write(result: dict, picture: Tensor, path: Path = RESULTS) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    save_picture(picture, path.with_suffix(".png"))


if __name__ == "__main__":
    main()
