"""How the `laptop` preset was chosen: variants of it, each trained for the same CPU time.

python -m benchmarks.laptop_search                    those that are not measured yet
python -m benchmarks.laptop_search --only "batch 16"  one of them, again

Each variant trains on one thread for 300 seconds of CPU time, with the learning rate's cosine
fitted to the number of steps that this allows. Then 50 images of each digit are drawn without
guidance by 20 steps of 2M, and the judge counts the right ones. Few steps and no guidance: that is
where variants differ most. Every finished variant is kept in
benchmarks/results/laptop_search.json at once.

Compiling is not counted: for the one variant that compiles, it is over before steps are timed.
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
from course import ROOT, CourseError
from course.model.digit_networks import count_right, load_network, quantise
from course.model.models import ModelConfig
from course.model.sampling import draw
from course.model.training import Preset, Run, get_preset
from course.probing.loading import Implementation

RESULTS = ROOT / "benchmarks" / "results" / "laptop_search.json"
CPU_SECONDS = 300.0
TRIAL_STEPS = 25  # from which the time of a step is taken
IMAGES = 500
CALLS = 20


@dataclass(frozen=True)
class Variant:
    """Other settings, or another function or class in a chapter of the solutions."""

    preset: Preset
    change: Callable[[Implementation], None] = lambda impl: None


def variants() -> dict[str, Variant]:
    """The preset with AdamW, and with other choices, by name."""
    adamw, muon = get_preset("laptop-adamw"), get_preset("laptop")
    narrow, wide = adamw.model, replace(adamw.model, base_channels=24, channel_mults=(1, 2, 2))

    def network(model: ModelConfig) -> Preset:
        return replace(adamw, model=model)

    return {
        "16 channels, widths 1 2 4": Variant(adamw),
        "24 channels, widths 1 2 2": Variant(network(wide)),
        "24 channels, widths 1 2 2, attention": Variant(network(replace(wide, attention=True))),
        "24 channels, widths 1 2 2, learning rate 4e-3": Variant(replace(network(wide), lr=4e-3)),
        "16 channels, widths 1 3 4, attention": Variant(
            network(replace(narrow, channel_mults=(1, 3, 4), attention=True))
        ),
        "learning rate 4e-3": Variant(replace(adamw, lr=4e-3)),
        "batch 16, learning rate 1.5e-3": Variant(replace(adamw, batch_size=16, lr=1.5e-3)),
        "batch 64, learning rate 3e-3": Variant(replace(adamw, batch_size=64, lr=3e-3)),
        "24 channels, widths 1 2 4": Variant(network(replace(narrow, base_channels=24))),
        "predicts eps": Variant(network(replace(narrow, prediction="eps"))),
        "loss weighted by min(SNR, 5)": Variant(adamw, weight_loss),
        "residual branches begin at zero": Variant(adamw, begin_at_zero),
        "the condition scales as well": Variant(adamw, scale_by_condition),
        "label dropout 5 %": Variant(replace(adamw, label_dropout=0.05)),
        "compiled": Variant(adamw, compile_network),
        # In the same hour as those below, for on another day a computer may be slower.
        "16 channels, widths 1 2 4, again": Variant(adamw),
        "Muon, learning rate 4e-3 (the preset)": Variant(muon),
        "Muon, more noise more often": Variant(muon, draw_more_noise),
    }


def weight_loss(impl: Implementation) -> None:
    """Weight v's error by min(SNR, 5) / (SNR + 1): most at SNR = 5, next to nothing at both ends.

    Source: Hang et al. 2023, "Efficient Diffusion Training via Min-SNR Weighting Strategy".
    """
    ch05 = impl.chapter("ch05_training")
    plain = ch05.diffusion_loss

    def weighted(model, x0, t, labels, eps, alpha_bars, q_sample, target) -> Tensor:
        if target is not ch05.v_target:  # the held-out error stays comparable
            return plain(model, x0, t, labels, eps, alpha_bars, q_sample, target)
        snr = alpha_bars[t] / (1 - alpha_bars[t])
        root = (snr.clamp(max=5) / (snr + 1)).sqrt().view(-1, 1, 1, 1)  # (B,) -> (B, 1, 1, 1)
        return plain(
            lambda *inputs: root * model(*inputs),
            *(x0, t, labels, eps, alpha_bars, q_sample),
            lambda *inputs: root * target(*inputs),
        )

    ch05.diffusion_loss = weighted


def begin_at_zero(impl: Implementation) -> None:
    """Each residual block begins as its shortcut, and the network with the answer 0.

    Source: Ho et al. 2020, the published code (`init_scale=0.`).
    """
    ch04 = impl.chapter("ch04_unet")

    class ResBlock(ch04.ResBlock):
        def __init__(self, *sizes):
            super().__init__(*sizes)
            nn.init.zeros_(self.conv2.weight)

    class UNet(ch04.UNet):
        def __init__(self, *parts):
            super().__init__(*parts)
            nn.init.zeros_(self.conv_out.weight)

    ch04.ResBlock, ch04.UNet = ResBlock, UNet


def scale_by_condition(impl: Implementation) -> None:
    """The condition shifts each channel after the second norm, and scales it too.

    Source: Dhariwal & Nichol 2021, "Diffusion Models Beat GANs", section 3.1 (adaptive group
    normalisation).
    """
    ch04 = impl.chapter("ch04_unet")

    class ResBlock(ch04.ResBlock):
        def __init__(self, in_channels: int, out_channels: int, cond_dim: int, groups: int):
            super().__init__(in_channels, out_channels, cond_dim, groups)
            self.cond_proj = nn.Linear(cond_dim, 2 * out_channels)

        def forward(self, x: Tensor, cond: Tensor) -> Tensor:
            h = self.conv1(nn.functional.silu(self.norm1(x)))
            both = self.cond_proj(nn.functional.silu(cond))[:, :, None, None]
            scale, shift = both.chunk(2, dim=1)
            h = self.conv2(nn.functional.silu(self.norm2(h) * (1 + scale) + shift))
            return h + self.shortcut(x)

    ch04.ResBlock = ResBlock


def draw_more_noise(impl: Implementation) -> None:
    """Steps t of T sqrt(u), u uniform: the density of t rises from 0 to 2 / T at the last one."""
    ch05 = impl.chapter("ch05_training")
    plain = ch05.draw_noise

    def draw_noise(x0: Tensor, num_steps: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        t, eps = plain(x0, num_steps**2, generator)
        return t.double().sqrt().long(), eps

    ch05.draw_noise = draw_noise


def compile_network(impl: Implementation) -> None:
    """`torch.compile` makes one program of the network, forwards and backwards."""
    ch04 = impl.chapter("ch04_unet")

    class UNet(ch04.UNet):
        def __init__(self, *parts):
            super().__init__(*parts)
            self.compile()

    ch04.UNet = UNet


def train(variant: Variant) -> tuple[Run, int]:
    """Train for the CPU time; the run, and its number of steps."""
    preset, impl = variant.preset, Implementation("solutions")
    variant.change(impl)

    def new_run(num_steps: int) -> Run:
        shaped = replace(preset, epochs=1, images_per_epoch=num_steps * preset.batch_size)
        return Run(Path("unused"), shaped, impl, "mnist", quiet=True)

    def steps(run: Run, count: int) -> None:
        for step, batch in zip(tqdm(range(count), leave=False), run.batches(0)):
            next(run.steps([batch], step))

    trial = new_run(2 * TRIAL_STEPS)
    steps(trial, 5)  # memory is fetched, kernels are chosen
    start = time.process_time()
    steps(trial, TRIAL_STEPS)
    count = int(CPU_SECONDS / (time.process_time() - start) * TRIAL_STEPS)
    run = new_run(count)
    steps(run, count)
    return run, count


def measure(variant: Variant) -> dict:
    """What a variant comes to."""
    run, count = train(variant)
    labels = [n % 10 for n in range(IMAGES)]
    judge, _ = load_network("judge")
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
