"""The evidence of the clinic's cases: each is run as its owner would, and what it shows is kept.

python -m benchmarks.clinic --write      into benchmarks/results/clinic.json; some minutes
"""

import argparse
import json
import sys
import time

import torch

from course.files import write_whole
from course.pages import clinic
from course.pages.toy import SHAPES, distance, points_on

BINS = 60  # of a loss curve


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
        "numbers": {"last loss": round(float(losses[-100:].mean()), 3)},
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
        return {**kept(sound, clinic.UPDATES), "numbers": ratios(case, sound)}
    run = clinic.start(case)
    found = kept(run, case.shown["updates"])
    if "def predict(" in case.code:
        again = clinic.draw(run, case, case.shown)
        torch.manual_seed(1)
        other = clinic.draw(run, case, case.shown)
        apart = float((again - other).abs().mean())
        found["numbers"]["mean difference of two drawings, same seed"] = round(apart, 3)
    return found


def ratios(case: clinic.Case, sound: clinic.Run) -> dict[str, float]:
    """The owner's metric for sets of several sizes."""
    ratio = clinic.of_case(case, "8.4").distance_ratio
    real, held_out = (points_on(SHAPES[clinic.SHAPE], 1000, seed=s)[0] for s in (11, 12))
    found = {}
    for count in (40, 200):
        drawn = sound.drawings[-1][:count]
        sets = (part.flatten(1) for part in (real, held_out, drawn))
        value = ratio(distance, *sets, torch.Generator().manual_seed(0))
        found[f"ratio with {count} points drawn"] = round(value, 2)
    some = points_on(SHAPES[clinic.SHAPE], 40, seed=13)[0].flatten(1)
    value = ratio(distance, real.flatten(1), held_out.flatten(1), some, torch.Generator())
    found["ratio of 40 points of the data itself"] = round(value, 2)
    return found


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
        print(
            f"{number:>2} {clinic.case_of(number).name}: {found[str(number)]['numbers']}, "
            f"{time.perf_counter() - begin:.0f} s",
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
