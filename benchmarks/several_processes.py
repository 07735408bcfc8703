"""Do two processes train faster than one with two threads, and do they reach the same weights?

python -m benchmarks.several_processes                 a table for laptop-adamw
python -m benchmarks.several_processes --preset seed   or for another
python -m benchmarks.several_processes --write         and several_processes.json in results/

The first steps of a run are made in each way of WAYS, with batches of one size in all, in turns and
so often as --rounds says, each time in new processes. Two processes are started by torchrun; each
draws for the whole batch and works on its half. A round's time is the median of its steps, after a
few that fetch memory. Two comparisons with one process that has one thread: the largest difference
of a step's loss, and how far apart the weights are at the end (a root mean square), as a share of
how far they have come. They are not 0: sums are rounded in another order, and AdamW makes whole
steps of gradients that are nearly 0.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from statistics import median

import torch
from safetensors.torch import load_file, save_file

from benchmarks.kept import load, save
from course import ROOT
from course.model.training import PRESETS, Run
from course.probing.loading import Implementation

RESULTS = ROOT / "benchmarks" / "results" / "several_processes.json"
WAYS = {  # processes, and threads of each
    "one process, one thread": (1, 1),
    "one process, two threads": (1, 2),
    "two processes, one thread each": (2, 1),
}
STEPS, UNTIMED = 40, 5
BEFORE, AFTER = "before.safetensors", "after.safetensors"


def weights_of(run: Run) -> dict[str, torch.Tensor]:
    return {
        name: weight.detach().clone(memory_format=torch.contiguous_format)
        for name, weight in run.model.named_parameters()
    }


def work(preset: str, folder: Path, threads: int) -> None:
    """Make a run's first steps, in this process or with those that torchrun started beside it.

    The first of them leaves in the folder the weights before and after, the losses, and the time
    of a step.
    """
    torch.set_num_threads(threads)
    settings = PRESETS[preset]
    settings = replace(settings, epochs=1, images_per_epoch=STEPS * settings.batch_size)
    run = Run(folder, settings, Implementation("solutions"), "mnist5k", "cpu", quiet=True)
    before = weights_of(run)
    losses, seconds, started = [], [], time.monotonic()
    for loss in run.steps(run.batches(0), first_step=0):
        losses.append(run.processes.mean(loss, run.device))
        seconds.append(time.monotonic() - started)
        started = time.monotonic()
    if run.main:
        save_file(before, folder / BEFORE)
        save_file(weights_of(run), folder / AFTER)
        figures = {"seconds": median(seconds[UNTIMED:]), "losses": losses}
        (folder / "figures.json").write_text(json.dumps(figures))


def make(preset: str, folder: Path, processes: int, threads: int) -> dict:
    """Losses, and seconds of a step, in one of the ways; the weights are left in the folder."""
    folder.mkdir()
    command = [sys.executable]
    if processes > 1:
        command += ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
    command += ["-m", "benchmarks.several_processes", "--preset", preset, "--work", str(folder)]
    command += ["--threads", str(threads)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} failed:\n{done.stderr[-2000:]}")
    return json.loads((folder / "figures.json").read_text())


def difference(one: Path, other: Path) -> float:
    """Of two files of weights: the root mean square of their differences."""
    a, b = load_file(one), load_file(other)
    return float(torch.cat([(a[name] - b[name]).flatten() for name in a]).square().mean().sqrt())


def measure(preset: str, rounds: int) -> dict:
    """Of each way: images a second, ratios to one process with two threads, and differences."""
    batch = PRESETS[preset].batch_size
    seconds: dict[str, list[float]] = {way: [] for way in WAYS}
    losses: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for number in range(rounds):
            for place, (way, (processes, threads)) in enumerate(WAYS.items()):
                figures = make(preset, Path(folder) / f"{number}-{place}", processes, threads)
                seconds[way].append(figures["seconds"])
                losses[way] = figures["losses"]
                print(f"{way}: {batch / seconds[way][-1]:.0f} images a second", flush=True)
        began, ended = (Path(folder) / "0-0" / name for name in (BEFORE, AFTER))
        come = difference(began, ended)
        apart = [
            difference(ended, Path(folder) / f"0-{place}" / AFTER) / come
            for place in range(len(WAYS))
        ]
    usual, first = seconds["one process, two threads"], losses[next(iter(WAYS))]
    return {
        "steps": STEPS,
        "batch_size": batch,
        "ways": {
            way: {
                "images_a_second": round(batch / median(seconds[way]), 1),
                "times_two_threads": round(median(b / a for a, b in zip(seconds[way], usual)), 3),
                "largest_difference_of_a_loss": max(abs(a - b) for a, b in zip(losses[way], first)),
                "weights_apart": apart[place],
            }
            for place, way in enumerate(WAYS)
        },
    }


def table(measured: dict) -> list[str]:
    """The figures as a Markdown table."""
    lines = [
        "| preset | | images a second | times two threads | losses differ by | weights apart by |",
        "|---" * 6 + "|",
    ]
    for preset, figures in measured.items():
        for way, one in figures["ways"].items():
            lines.append(
                f"| `{preset}` | {way} | {one['images_a_second']:.0f} "
                f"| {one['times_two_threads']:.2f} | {one['largest_difference_of_a_loss']:.1g} "
                f"| {one['weights_apart']:.1g} |"
            )
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--preset", default="laptop-adamw", help="of digits (default %(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="of all ways (default 3)")
    parser.add_argument("--write", action="store_true", help=f"write {RESULTS.relative_to(ROOT)}")
    parser.add_argument("--work", type=Path, help=argparse.SUPPRESS)  # the processes measured
    parser.add_argument("--threads", type=int, default=1, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.work:
        work(options.preset, options.work, options.threads)
        return
    record = load(RESULTS, {"rounds": options.rounds, "torch": torch.__version__})
    record["measured"][options.preset] = measure(options.preset, options.rounds)
    if options.write:
        save(RESULTS, record)
    print(*table(record["measured"]), sep="\n")


if __name__ == "__main__":
    main()
