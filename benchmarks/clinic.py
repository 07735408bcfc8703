"""The evidence of the clinic's cases: each is run as its owner would, and what it shows is kept.

python -m benchmarks.clinic --write      into benchmarks/results/clinic.json; some minutes
"""

import argparse
import dataclasses
import json
import statistics
import sys
import time
from collections.abc import Callable

import torch

from course.files import write_whole
from course.pages import clinic
from course.pages.toy import SHAPES, distance, points_on

BINS = 60  # of a loss curve
DRAWS = 50  # of sets of points, for a metric of them


def kept(run: clinic.Run, updates: int) -> dict:
    """A run's loss, averaged in bins, and its drawings, rounded."""
    losses = torch.tensor(run.losses)
    size = max(1, len(losses) // BINS)
    binned = losses[: size * (len(losses) // size)].view(-1, size).mean(dim=1)
    moments = [updates * moment // clinic.UPDATES for moment in clinic.MOMENTS]
    return {
        "at": [size * (n + 1) for n in range(len(binned))],
        "losses": [round(value, 4) for value in binned.tolist()],
        "moments": moments,
        "drawings": [rounded(points) for points in run.drawings],
        "numbers": {clinic.LAST: round(float(losses[-100:].mean()), 3)},
    }


def rounded(points: torch.Tensor) -> list[list[float]]:
    """Points with two digits, and none further out than 9."""
    return [[round(v, 2) for v in p] for p in points.flatten(1).clamp(-9, 9).tolist()]


def measure(number: int, sound: clinic.Run) -> dict:
    """One case, run and kept."""
    case = clinic.case_of(number)
    if case.exercise == "5.5":
        whole, resumed = clinic.stop_and_go_on(case)
        found = kept(resumed, clinic.UPDATES)
        found["losses without a stop"] = kept(whole, clinic.UPDATES)["losses"]
        resumed.asked = sound.asked
        found["moments"] = [len(resumed.losses)]
        found["drawings"] = [rounded(clinic.draw(resumed, None, clinic.SETTINGS))]
        pairs = zip(whole.network.parameters(), resumed.network.parameters())
        apart = max(float((a - b).detach().abs().max()) for a, b in pairs)
        found["numbers"]["largest difference of a weight"] = round(apart, 3)
        return found
    if case.exercise == "8.4":
        found = kept(sound, clinic.UPDATES)
        found["ratios"] = {
            name: ratios(clinic.of_case(whose, "8.4").distance_ratio, sound)
            for name, whose in (("ill", case), ("mended", None))
        }
        found["numbers"] |= {
            f"ratio of {name}, median of {DRAWS} draws": median
            for name, (_, median, _) in found["ratios"]["ill"].items()
        }
        return found
    torch.manual_seed(0)  # dropout draws from torch's own generator
    run = clinic.start(case)
    found = kept(run, case.shown["updates"])
    if "def predict(" in case.code:
        again = clinic.draw(run, case, case.shown)
        torch.manual_seed(1)
        other = clinic.draw(run, case, case.shown)
        apart = float((again - other).abs().mean())
        found["numbers"]["mean difference of two drawings, same seed"] = round(apart, 3)
    return found


def ratios(ratio: Callable[..., float], sound: clinic.Run) -> dict[str, list[float]]:
    """A metric's least, median and largest value over draws, for sets of several sizes."""
    many = dataclasses.replace(sound, asked=torch.arange(DRAWS * clinic.DRAWN) % 2)
    drawn = clinic.draw(many, None, clinic.SETTINGS).flatten(1).split(clinic.DRAWN)
    sets = {
        "40 points drawn": [some[:40] for some in drawn],
        "200 points drawn": drawn,
        "40 points of the data itself": [fresh(40, 3000 + n) for n in range(DRAWS)],
    }
    found = {}
    for name, draws in sets.items():
        values = []
        for n, some in enumerate(draws):
            real, held_out = fresh(1000, 1000 + n), fresh(1000, 2000 + n)
            chance = torch.Generator().manual_seed(n)
            values.append(ratio(distance, real, held_out, some, chance))
        three = min(values), statistics.median(values), max(values)
        found[name] = [round(value, 2) for value in three]
    return found


def fresh(count: int, seed: int) -> torch.Tensor:
    """Points of the shape as rows, (count, 2)."""
    return points_on(SHAPES[clinic.SHAPE], count, seed)[0].flatten(1)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--write", action="store_true", help="write what is found")
    parser.add_argument("--only", type=int, nargs="+", help="numbers of cases; the rest is kept")
    options = parser.parse_args()
    found = json.loads(clinic.EVIDENCE.read_text()) if options.only else {}
    sound = clinic.start()
    found["sound"] = kept(sound, clinic.UPDATES)
    found["sound"]["numbers"]["distance"] = round(whole_distance(sound), 4)
    for number in options.only or range(1, len(clinic.cases()) + 1):
        begin = time.perf_counter()
        found[str(number)] = measure(number, sound)
        name, numbers = clinic.diagnosis(clinic.case_of(number)), found[str(number)]["numbers"]
        print(
            f"{number:>2} {name}: {numbers}, {time.perf_counter() - begin:.0f} s",
            flush=True,
        )
        if options.write:
            write_whole(clinic.EVIDENCE, json.dumps(found, separators=(",", ":")) + "\n")
    return 0


def whole_distance(run: clinic.Run) -> float:
    """How far the last drawing is from fresh points of the shape."""
    return distance(run.drawings[-1], points_on(SHAPES[clinic.SHAPE], 1000, seed=7)[0])


if __name__ == "__main__":
    sys.exit(main())
