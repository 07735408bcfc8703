"""What a step of training costs with each preset: time beside one of `laptop-adamw`, and memory.

python -m benchmarks.preset_costs                  a table of all presets
python -m benchmarks.preset_costs cifar10 folder   or of these
python -m benchmarks.preset_costs --write          and benchmarks/results/preset_costs.json

Each preset has a process of its own, for memory that was used before counts, too. It trains on
random numbers in the form that its network works on, in turns with `laptop-adamw`, because one
computer is not as fast as another, nor as itself an hour later. Given is the median of how many
times as long a step takes. The minutes are those of a computer on which all steps of `laptop-adamw`
take five, and of the steps alone: samples after each epoch come on top, and the autoencoder of a
network that works on latents.
"""

import argparse
import json
import re
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from statistics import median

import numpy as np
import torch
from PIL import Image

from benchmarks.kept import load, save
from course import ROOT
from course.model import PRESET_NAMES
from course.model.forms import Stored
from course.model.photographs import FACE_CLASSES
from course.model.training import PRESETS, Preset, Processes, Run
from course.probing.loading import Implementation

RESULTS = ROOT / "benchmarks" / "results" / "preset_costs.json"
# One that is for tests, and those whose steps take a processor minutes.
NOT_MEASURED = ("smoke", "cifar10-gpu", "celeba-prompts-gpu")
TIMED, BEFORE = 15, 3  # steps
UNIT = "laptop-adamw"  # the preset whose step counts as 1
UNIT_MINUTES = 5  # for all its steps, on the computer that minutes are given for
MNIST = 60_000  # images of its training part
SOLUTIONS = Implementation("solutions")


def cost_of_a_step(run: Run) -> dict:
    """Of a run that has not begun: the process's memory in MB, and time in steps of UNIT."""
    mine = seconds_of_steps(run)
    for _ in range(BEFORE):
        next(mine)
    memory = peak_memory()
    with tempfile.TemporaryDirectory() as folder:
        unit = new_run(Path(folder), PRESETS[UNIT], "mnist5k")
    units = seconds_of_steps(unit)
    for _ in range(BEFORE):
        next(units)
    ratios = [next(mine) / next(units) for _ in range(TIMED)]
    return {"times_unit": round(median(ratios), 2), "memory_mb": memory}


def new_run(folder: Path, preset: Preset, data: str) -> Run:
    """A run with few scenes, if it has any, because how many there are costs no time."""
    few = replace(preset, num_scenes=100, images_per_epoch=preset.images_per_epoch or MNIST)
    return Run(folder, few, SOLUTIONS, data, "cpu", True, processes=Processes())


def seconds_of_steps(run: Run) -> Iterator[float]:
    """Make one step after another of the first epoch, on random numbers; yield its seconds."""
    asked = run.train_set.batch(slice(None))[1]
    run.stored = Stored(torch.randn(len(asked), *run.config.network_shape), asked)
    started = time.monotonic()
    for _ in run.steps(run.batches(0), first_step=0):
        yield time.monotonic() - started
        started = time.monotonic()


def minutes(steps: int, times_unit: float) -> float:
    """Of so many steps, on the computer on which UNIT takes UNIT_MINUTES."""
    unit = PRESETS[UNIT]
    its_steps = unit.epochs * (unit.images_per_epoch // unit.batch_size)
    return UNIT_MINUTES * times_unit * steps / its_steps


def peak_memory() -> int:
    """Of this process since it began, in MB.

    Linux's getrusage would count what the process that started this one had in use then.
    """
    status = Path("/proc/self/status")
    if not status.is_file():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    return int(re.search(r"VmHWM:\s+(\d+) kB", status.read_text())[1]) // 1024


def made_up(folder: Path, classes: int) -> str:
    """A folder of pictures of so many classes, as --data wants it."""
    picture = Image.fromarray(np.zeros((8, 8, 3), np.uint8))
    for label in range(classes):
        (folder / f"class{label}").mkdir(parents=True)
        for number in range(4):
            picture.save(folder / f"class{label}" / f"{number}.png")
    return f"folder:{folder}"


def cost(name: str) -> dict:
    """Of a preset, in this process."""
    preset = PRESETS[name]
    with tempfile.TemporaryDirectory() as folder:
        data = "mnist5k"
        if preset.pictures in ("folder", "cifar10", "celeba"):
            classes = len(FACE_CLASSES) if preset.pictures == "celeba" else 10
            data = made_up(Path(folder) / "pictures", classes)
            preset = replace(preset, pictures="folder")
        run = new_run(Path(folder), preset, data)
    figures = {
        "works_on": list(run.config.network_shape),
        "weights": sum(weight.numel() for weight in run.model.parameters()),
        "steps": run.num_steps,
        "batch_size": preset.batch_size,
        **cost_of_a_step(run),
    }
    return {**figures, "minutes": round(minutes(run.num_steps, figures["times_unit"]), 1)}


def apart(module: str, *arguments: str) -> dict:
    """What a process of this module prints last, with as many threads as this one."""
    command = [sys.executable, "-m", module, *arguments, "--threads", str(torch.get_num_threads())]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def table(measured: dict) -> list[str]:
    """The figures as a Markdown table."""
    lines = [
        f"| preset | network works on | weights | a step, `{UNIT}` = 1 | MB | steps of | minutes |",
        "|---" * 7 + "|",
    ]
    for name, one in measured.items():
        shape = " x ".join(map(str, one["works_on"]))
        steps = f"{one['steps']:,} of {one['batch_size']}"
        lines.append(
            f"| `{name}` | {shape} | {one['weights']:,} | {one['times_unit']:.1f} "
            f"| {one['memory_mb']:,} | {steps} | {one['minutes']:.0f} |"
        )
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("presets", nargs="*", metavar="PRESET", help="all, if none is named")
    parser.add_argument("--threads", type=int, default=2, help="of the processor (default 2)")
    parser.add_argument("--write", action="store_true", help=f"write {RESULTS.relative_to(ROOT)}")
    parser.add_argument("--cost", help=argparse.SUPPRESS)  # the other process
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if options.cost:
        print(json.dumps(cost(options.cost)))
        return
    record = load(RESULTS, {"threads": options.threads, "timed_steps": TIMED})
    for name in options.presets or [name for name in PRESET_NAMES if name not in NOT_MEASURED]:
        record["measured"][name] = apart("benchmarks.preset_costs", "--cost", name)
        print(table({name: record["measured"][name]})[-1], flush=True)
        if options.write:
            save(RESULTS, record)


if __name__ == "__main__":
    main()
