"""What the recipe leaves open in the `seed` preset: variants, each trained for half an epoch.

python -m benchmarks.seed_search                              those that are not measured yet
python -m benchmarks.seed_search --only "attention at 7 x 7"  one of them, again

The recipe says how wide the network is, what it predicts, which optimiser moves it at which
learning rate, and for how long. It does not say how the weights begin, where the condition enters,
how many residual blocks a level has, or where pixels look at each other. So that many variants can
be tried, the network is a quarter as wide here, and the learning rate twice as high: PyTorch draws
kernels twice as large where a quarter as many channels come in, so a step changes as large a share
of them. Each variant trains on one thread for 234 steps of 128 images, all in the same order and
with the same noise. Every finished variant is kept in benchmarks/results/seed_search.json at once.
"""

import argparse
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, nn
from tqdm import tqdm

from benchmarks import kept
from benchmarks.laptop_search import begin_at_zero, scale_by_condition
from course import ROOT, CourseError
from course.model.training import Run, get_preset
from course.probing.loading import Implementation

RESULTS = ROOT / "benchmarks" / "results" / "seed_search.json"
STEPS = 234
BASE_CHANNELS = 16
LR = 4e-4


@dataclass(frozen=True)
class Variant:
    """Kernels of another size, other attention, or another class in chapter 04."""

    kernel_scale: float = 1.0
    model: dict[str, object] | None = None  # fields of ModelConfig
    change: Callable[[Implementation], None] = lambda impl: None


@torch.no_grad()
def scale_kernels(model: nn.Module, factor: float) -> None:
    """Make the kernels of all convolutions `factor` times as large as they are.

    A GroupNorm takes the size of what a convolution gives out again. But Adam moves each weight by
    about the learning rate, however large the weight is: one that is a quarter as large turns four
    times as far in each step.

    Source: van Laarhoven 2017, "L2 Regularization versus Batch and Weight Normalization".
    """
    for weight in model.parameters():
        if weight.ndim == 4:  # (C_out, C_in, height, width)
            weight.mul_(factor)


def two_blocks_a_level(impl: Implementation) -> None:
    """Two residual blocks wherever there was one."""
    ch04 = impl.chapter("ch04_unet")
    one_block = ch04.ResBlock

    class ResBlock(nn.Module):
        def __init__(self, in_channels: int, out_channels: int, cond_dim: int, groups: int):
            super().__init__()
            self.first = one_block(in_channels, out_channels, cond_dim, groups)
            self.second = one_block(out_channels, out_channels, cond_dim, groups)

        def forward(self, x: Tensor, cond: Tensor) -> Tensor:
            return self.second(self.first(x, cond), cond)

    ch04.ResBlock = ResBlock


VARIANTS = {
    "as PyTorch draws it": Variant(),
    "kernels begin half as large": Variant(0.5),
    "a quarter as large": Variant(0.25),
    "a tenth as large": Variant(0.1),
    "residual branches begin at zero": Variant(change=begin_at_zero),
    "the condition scales as well": Variant(change=scale_by_condition),
    "attention at 7 x 7": Variant(model={"attention": True}),
    "attention at 14 x 14 and 7 x 7": Variant(model={"attention_levels": (1, 2)}),
    "two residual blocks a level": Variant(change=two_blocks_a_level),
    "a quarter, and the condition scales as well": Variant(0.25, change=scale_by_condition),
    "a quarter, and two residual blocks a level": Variant(0.25, change=two_blocks_a_level),
}


def measure(variant: Variant) -> dict:
    """What a variant comes to."""
    seed, impl = get_preset("seed"), Implementation("solutions")
    variant.change(impl)
    preset = replace(
        seed,
        model=replace(seed.model, base_channels=BASE_CHANNELS, **(variant.model or {})),
        epochs=1,
        images_per_epoch=STEPS * seed.batch_size,
        lr=LR,
    )
    run = Run(Path("unused"), preset, impl, "mnist", device="cpu", quiet=True)
    for network in (run.model, run.ema.model):
        scale_kernels(network, variant.kernel_scale)
    start = time.process_time()
    for _ in tqdm(run.steps(run.batches(0), 0), total=STEPS, leave=False):
        pass
    return {
        "parameters": sum(p.numel() for p in run.model.parameters()),
        "cpu_seconds": round(time.process_time() - start),
        "held_out_eps_mse": round(run.held_out_eps_mse(), 4),
    }


def table(found: dict[str, dict]) -> list[str]:
    """All variants as a Markdown table."""
    return [
        "| variant | parameters | held-out ε-MSE |",
        "|---|---|---|",
        *(
            f"| {name} | {found[name]['parameters']:,} | {found[name]['held_out_eps_mse']:.4f} |"
            for name in VARIANTS
            if name in found
        ),
    ]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--only", choices=list(VARIANTS), metavar="NAME", help="one variant")
    options = parser.parse_args()
    torch.set_num_threads(1)
    settings = {"steps": STEPS, "base_channels": BASE_CHANNELS, "lr": LR}
    for name in [options.only] if options.only else VARIANTS:
        if name in kept.load(RESULTS, settings)["measured"] and not options.only:
            continue
        try:
            figures = measure(VARIANTS[name])
        except CourseError as error:
            parser.exit(2, f"{error}\n")
        result = kept.load(RESULTS, settings)  # another process may have added to it
        result["measured"][name] = figures
        kept.save(RESULTS, result)
    print(*table(kept.load(RESULTS, settings)["measured"]), sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
