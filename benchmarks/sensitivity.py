"""What learning rate, number of steps, average and label dropout do to a short training run.

python -m benchmarks.sensitivity                 what is missing is trained and measured
python -m benchmarks.sensitivity --again         trains everything again

One setting of the preset `laptop-adamw` is changed at a time, in runs of 600 steps: few, so that
differences show. Measured are the held-out eps-MSE and how many of 400 drawn digits the judge takes
for what was asked for, unguided and with w = 1. The averages all follow one and the same run. Every
finished run is kept in benchmarks/results/sensitivity.json at once, so an interrupted measurement
goes on where it stopped; `--jobs` runs work side by side, a thread each.
"""

import argparse
import multiprocessing
import sys
from dataclasses import asdict, replace
from pathlib import Path

import torch
from torch import nn
from tqdm import tqdm

from benchmarks import kept
from course import ROOT, CourseError
from course.model.digit_networks import count_right, load_network, quantise
from course.model.sampling import draw
from course.model.training import Preset, Run, get_preset
from course.probing.loading import Implementation

RESULTS = ROOT / "benchmarks" / "results" / "sensitivity.json"
STEPS = 600  # of every run
IMAGES = 400  # drawn and judged
CALLS = 15  # of the 2M sampler

LEARNING_RATES = (1e-4, 5e-4, 2e-3, 8e-3, 3e-2)
NUM_STEPS = (20, 100, 1000, 4000)
LABEL_DROPOUTS = (0.0, 0.1, 0.3, 0.6)


class WithoutWarmUp:
    """The plain average: the same decay from the first update on."""

    def __init__(self, ema):
        self.ema, self.model = ema, ema.model

    def update(self, model: nn.Module) -> None:
        self.ema.num_updates = 10**9  # the warm-up is long over
        self.ema.update(model)


class Averages:
    """Several averages that follow one network; the first is the run's own."""

    def __init__(self, run: Run):
        EMA = run.ch05.EMA
        self.model = run.ema.model
        self.all = {
            "0.9999": run.ema,
            "0.9": EMA(run.model, 0.9),
            "0.9999 without warm-up": WithoutWarmUp(EMA(run.model, 0.9999)),
        }

    def update(self, model: nn.Module) -> None:
        for ema in self.all.values():
            ema.update(model)


def preset() -> Preset:
    """The preset that is varied, shortened."""
    whole = get_preset("laptop-adamw")
    return replace(whole, epochs=1, images_per_epoch=STEPS * whole.batch_size)


def runs() -> dict[str, Preset]:
    """The runs by name: one setting changed at a time."""
    base = preset()
    found = {"as it is": base}
    for lr in LEARNING_RATES:
        found[f"lr {lr:g}"] = replace(base, lr=lr)
    for steps in NUM_STEPS:
        found[f"T {steps}"] = replace(base, model=replace(base.model, num_steps=steps))
    for share in LABEL_DROPOUTS:
        found[f"dropout {share:g}"] = replace(base, label_dropout=share)
    return {name: one for name, one in found.items() if name == "as it is" or one != base}


def train_and_measure(name: str) -> dict:
    """One run; what its average draws. For the run as it is, also what other averages draw."""
    torch.set_num_threads(1)
    run = Run(Path("unused"), runs()[name], Implementation("solutions"), data="mnist", quiet=True)
    averages = Averages(run)
    run.ema = averages
    for step, batch in enumerate(run.batches(0)):
        next(run.steps([batch], step))
    found = {name: measured(run, run.ema.model)}
    if name == "as it is":
        others = {key: ema.model for key, ema in averages.all.items() if key != "0.9999"}
        for key, network in {"none": run.model, **others}.items():
            found[f"EMA {key}"] = measured(run, network)
    return found


def measured(run: Run, network: nn.Module) -> dict:
    """The figures of one set of weights."""
    network.eval()
    run.ema.model = network  # the held-out error is that of the run's average
    labels = [n % 10 for n in range(IMAGES)]
    judge, _ = load_network("judge")
    ch08 = run.impl.chapter("ch08_evaluation")
    figures = {"held_out_eps_mse": round(run.held_out_eps_mse(), 4)}
    for guidance in (0, 1):
        images, _ = draw(
            run.impl, network, run.config, labels, guidance,
            num_steps=min(CALLS, run.config.num_steps), seed=0, sampler="2m",
        )  # fmt: skip
        right = count_right(judge, quantise(images), torch.tensor(labels))
        interval = ch08.wilson_interval(right, IMAGES)
        figures[f"right_w{guidance}"] = {"value": right / IMAGES, "interval": list(interval)}
    return figures


def table(result: dict) -> list[str]:
    """All runs as a Markdown table."""
    lines = ["| run | held-out ε-MSE | right, w = 0 | right, w = 1 |", "|---|---|---|---|"]
    for name, figures in result["measured"].items():
        shares = [f"{figures[key]['value']:.1%}" for key in ("right_w0", "right_w1")]
        lines.append(f"| {name} | {figures['held_out_eps_mse']:.4f} | {' | '.join(shares)} |")
    return lines


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--jobs", type=int, default=2, help="runs at a time (default 2)")
    parser.add_argument("--again", action="store_true", help="forget what was measured before")
    options = parser.parse_args()
    if options.again:
        RESULTS.unlink(missing_ok=True)
    settings = {"preset": asdict(preset()), "steps": STEPS, "images": IMAGES, "calls": CALLS}
    result = kept.load(RESULTS, settings)
    missing = [name for name in runs() if name not in result["measured"]]
    try:
        with multiprocessing.get_context("spawn").Pool(options.jobs) as pool:
            for found in tqdm(pool.imap(train_and_measure, missing), total=len(missing)):
                result["measured"].update(found)
                kept.save(RESULTS, result)
    except CourseError as error:
        parser.exit(2, f"{error}\n")
    print(*table(result), sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
