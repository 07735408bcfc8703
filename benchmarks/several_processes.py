"""Does it pay to train in two processes, where one process with two threads would do?

python -m benchmarks.several_processes            images a second, in rounds; about six minutes
python -m benchmarks.several_processes --write    into results/several_processes.json

The `laptop` preset takes the same steps on `mnist5k`, from the same first weights, in three ways,
one after the other in every round, so that whatever else the machine does hits all alike:

    one thread       a process with one thread: what a core does alone
    two threads      a process with a thread on each of two cores
    two processes    torchrun with two processes of one thread each, each taking half of every
                     batch; after every step they share their gradients

Start and end are left out: the clock runs between the tenth step and the last. All draws are for
the whole batch, so the three should go the same way; the largest relative difference of a step's
loss from that of one thread says how nearly they do.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import torch

from course import ROOT
from course.model.training import PRESETS, Run
from course.probing.loading import Implementation

RESULTS = ROOT / "benchmarks" / "results" / "several_processes.json"
PRESET = "laptop"
WARM = 10  # steps before the clock runs


@dataclass(frozen=True)
class Way:
    """How many processes of how many threads."""

    processes: int
    threads: int

    def command(self, *arguments: str) -> list[str]:
        start = [sys.executable, "-m"]
        if self.processes > 1:
            start += ["torch.distributed.run", "--standalone"]
            start += [f"--nproc-per-node={self.processes}", "-m"]
        return [*start, "benchmarks.several_processes", *arguments]

    def measure(self, steps: int) -> dict:
        """Take that many steps: images a second, and the loss of each."""
        with tempfile.TemporaryDirectory() as folder:
            out = Path(folder) / "measured.json"
            subprocess.run(
                self.command("--steps", str(steps), "--worker", str(out)),
                cwd=ROOT,
                env={**os.environ, "OMP_NUM_THREADS": str(self.threads)},
                stderr=subprocess.DEVNULL,
                check=True,
            )
            return json.loads(out.read_text(encoding="utf-8"))


WAYS = {"one thread": Way(1, 1), "two threads": Way(1, 2), "two processes": Way(2, 1)}


def work(out: Path, steps: int) -> None:
    """What each process does; the first writes down what was measured."""
    solutions = Implementation("solutions")
    run = Run(out.parent, PRESETS[PRESET], solutions, "mnist5k", "cpu", quiet=True)
    losses, ends = [], []
    for loss in run.steps(islice(run.batches(0), WARM + steps), first_step=0):
        losses.append(run.processes.mean(loss, run.device))
        ends.append(time.perf_counter())
    if run.main:
        seconds = ends[-1] - ends[WARM - 1]
        speed = steps * run.preset.batch_size / seconds
        measured = {"images_per_second": speed, "losses": losses}
        out.write_text(json.dumps(measured), encoding="utf-8")


def measure(rounds: int, steps: int) -> dict:
    found: dict[str, list[dict]] = {name: [] for name in WAYS}
    for number in range(rounds):
        for name, way in WAYS.items():
            found[name].append(way.measure(steps))
            speed = found[name][-1]["images_per_second"]
            print(f"round {number + 1}, {name}: {speed:.0f} images/s", flush=True)
    alone = found["one thread"]
    ways = {}
    for name, measured in found.items():
        speeds = [one["images_per_second"] for one in measured]
        ratios = [one["images_per_second"] / base["images_per_second"]
                  for one, base in zip(measured, alone)]  # fmt: skip
        ways[name] = {
            "images_per_second": round(statistics.median(speeds), 1),
            "over_one_thread": round(statistics.median(ratios), 2),
            "least_and_most": [round(min(ratios), 2), round(max(ratios), 2)],
            "loss_differs_by": max(
                abs(ours - theirs) / theirs
                for ours, theirs in zip(measured[0]["losses"], alone[0]["losses"])
            ),
        }
    return {
        "machine": {"cores": os.cpu_count(), "torch": torch.__version__},
        "preset": PRESET,
        "rounds": rounds,
        "steps": steps,
        "ways": ways,
    }


def table(ways: dict) -> list[str]:
    head = "| | images a second | one thread = 1 | loss differs by at most |"
    lines = [head, "|---|---|---|---|"]
    for name, row in ways.items():
        least, most = row["least_and_most"]
        lines.append(
            f"| {name} | {row['images_per_second']:.0f} | {row['over_one_thread']:.2f} "
            f"({least:.2f} to {most:.2f}) | {row['loss_differs_by']:.1e} |"
        )
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.several_processes",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=60, help="that are timed (default 60)")
    parser.add_argument("--write", action="store_true", help=f"write {RESULTS.relative_to(ROOT)}")
    parser.add_argument("--worker", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        work(options.worker, options.steps)
        return
    result = measure(options.rounds, options.steps)
    print(*table(result["ways"]), sep="\n")
    if options.write:
        RESULTS.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
