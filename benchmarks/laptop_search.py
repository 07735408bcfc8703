"""How the `laptop` preset was chosen: variants of it, each trained for the same CPU time.

python -m benchmarks.laptop_search                    those that are not measured yet
python -m benchmarks.laptop_search --only "batch 16"  one of them, again

Each variant trains on one thread for 300 seconds of CPU time, with the learning rate's cosine
fitted to the number of steps that this allows. Then 50 images of each digit are drawn without
guidance by 20 steps of 2M, and the judge counts the right ones. Few steps and no guidance: that is
where variants differ most. Every finished variant is kept in
benchmarks/results/laptop_search.json at once.
"""

import argparse
import sys
import time
from dataclasses import replace
from pathlib import Path

import torch
from tqdm import tqdm

from benchmarks import kept
from course import ROOT, CourseError
from course.judges import count_right, load_judge, quantise
from course.loading import Implementation
from course.models import ModelConfig
from course.runs import Preset, Run, get_preset
from course.sampling import draw

RESULTS = ROOT / "benchmarks" / "results" / "laptop_search.json"
CPU_SECONDS = 300.0
TRIAL_STEPS = 25  # from which the time of a step is taken
IMAGES = 500
CALLS = 20


def variants() -> dict[str, Preset]:
    """The preset as it is, and with other choices, by name."""
    laptop = get_preset("laptop")
    narrow, wide = laptop.model, replace(laptop.model, base_channels=24, channel_mults=(1, 2, 2))

    def network(model: ModelConfig) -> Preset:
        return replace(laptop, model=model)

    return {
        "16 channels, widths 1 2 4 (the preset)": laptop,
        "24 channels, widths 1 2 2": network(wide),
        "24 channels, widths 1 2 2, attention": network(replace(wide, attention=True)),
        "24 channels, widths 1 2 2, learning rate 4e-3": replace(network(wide), lr=4e-3),
        "16 channels, widths 1 3 4, attention": network(
            replace(narrow, channel_mults=(1, 3, 4), attention=True)
        ),
        "learning rate 4e-3": replace(laptop, lr=4e-3),
        "batch 16, learning rate 1.5e-3": replace(laptop, batch_size=16, lr=1.5e-3),
        "batch 64, learning rate 3e-3": replace(laptop, batch_size=64, lr=3e-3),
        "24 channels, widths 1 2 4": network(replace(narrow, base_channels=24)),
        "predicts eps": network(replace(narrow, prediction="eps")),
    }


def train(preset: Preset) -> tuple[Run, int]:
    """Train for the CPU time; the run, and its number of steps."""

    def new_run(num_steps: int) -> Run:
        shaped = replace(preset, epochs=1, images_per_epoch=num_steps * preset.batch_size)
        return Run(Path("unused"), shaped, Implementation("solutions"), "mnist", quiet=True)

    def steps(run: Run, count: int) -> None:
        for step, batch in zip(tqdm(range(count), leave=False), run.batches(0)):
            run.step_once(batch, step)

    trial = new_run(2 * TRIAL_STEPS)
    steps(trial, 5)  # memory is fetched, kernels are chosen
    start = time.process_time()
    steps(trial, TRIAL_STEPS)
    count = int(CPU_SECONDS / (time.process_time() - start) * TRIAL_STEPS)
    run = new_run(count)
    steps(run, count)
    return run, count


def measure(preset: Preset) -> dict:
    """What a variant comes to."""
    run, count = train(preset)
    labels = [n % 10 for n in range(IMAGES)]
    judge, _ = load_judge("judge")
    images, _ = draw(run.impl, run.ema.model, run.config, labels, 0, CALLS, seed=1, sampler="2m")
    right = count_right(judge, quantise(images), torch.tensor(labels))
    return {
        "parameters": sum(p.numel() for p in run.model.parameters()),
        "steps": count,
        "held_out_eps_mse": round(run.held_out_eps_mse(), 4),
        "right": right / IMAGES,
    }


def table(found: dict[str, dict]) -> list[str]:
    """All variants as a Markdown table."""
    lines = [
        "| variant | parameters | steps | held-out ε-MSE | right, unguided |",
        "|---|---|---|---|---|",
    ]
    for name, one in found.items():
        lines.append(
            f"| {name} | {one['parameters']:,} | {one['steps']:,} "
            f"| {one['held_out_eps_mse']:.4f} | {one['right']:.1%} |"
        )
    return lines


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--only", choices=list(variants()), metavar="NAME", help="one variant")
    options = parser.parse_args()
    torch.set_num_threads(1)
    settings = {"cpu_seconds": CPU_SECONDS, "images": IMAGES, "calls": CALLS}
    result = kept.load(RESULTS, settings)
    found = result["measured"]
    for name in [options.only] if options.only else variants():
        if name in found and not options.only:
            continue
        try:
            found[name] = measure(variants()[name])
        except CourseError as error:
            parser.exit(2, f"{error}\n")
        kept.save(RESULTS, result)
    print(*table(found), sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
