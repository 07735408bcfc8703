"""How fast is sampling, beside two libraries' samplers with the same network?

python -m benchmarks.sampling_speed            a table
python -m benchmarks.sampling_speed --write    into benchmarks/results/sampling_speed.json

The shipped model draws guided digits (w = 1):

    course      `course.model.sampling.draw`, by PyTorch
    exported    the same, with the network computed by ONNX Runtime, as `--onnx` does
    diffusers   a loop around its schedulers as its pipelines have it: one call of the network with
                a batch of 2B, then `scheduler.step`
    lucidrains  `sample` of denoising_diffusion_pytorch's GaussianDiffusion; the network is called
                twice with a batch of B, by the guidance of its own Unet; its short walk is DDIM
    network     as many calls of the network alone, by PyTorch

All take the same labels and number of steps, all but lucidrains the same noise, and they take
turns, so that whatever else the machine does hits all alike. All in one process with the same
threads. With one thread on a CPU the clock is the processor time of this process, otherwise the one
on the wall. `apart` is the largest difference of a pixel from the course's: a few thousandths is
rounding; diffusers' DPM-Solver does not clip x_0 and so ends elsewhere.

With `--device cuda` the same runs on a GPU, without the exported network; that has not been tried.
"""

import argparse
import contextlib
import io
import json
import statistics
import sys
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn

from benchmarks.training_speed import machine, seconds_of
from course import ROOT, CourseError
from course.model.exported import load_exported
from course.model.models import SHIPPED, ModelConfig, choose_device, load_model
from course.model.sampling import draw
from course.probing.loading import Implementation

try:
    from diffusers import DDIMScheduler, DDPMScheduler, DPMSolverMultistepScheduler
except ModuleNotFoundError:
    sys.exit('diffusers is not installed. Get it with: pip install -e ".[bench]"')

RESULTS = ROOT / "benchmarks" / "results" / "sampling_speed.json"
GUIDANCE = 1.0
SCHEDULERS = {
    "ancestral": (DDPMScheduler, {"variance_type": "fixed_small", "clip_sample": True}, {}),
    "ddim": (DDIMScheduler, {"clip_sample": True}, {"use_clipped_model_output": True}),
    "2m": (DPMSolverMultistepScheduler, {"solver_order": 2, "final_sigmas_type": "zero"}, {}),
}


@torch.no_grad()
def diffusers_draw(
    model: nn.Module, config: ModelConfig, sampler: str, labels: Tensor, num_steps: int, seed: int
) -> Tensor:
    """What `draw` does, with a scheduler of diffusers. (B, 1, 28, 28)."""
    kind, settings, options = SCHEDULERS[sampler]
    scheduler = kind(
        num_train_timesteps=config.num_steps,
        beta_schedule="squaredcos_cap_v2",
        timestep_spacing="trailing",
        prediction_type="v_prediction" if config.prediction == "v" else "epsilon",
        **settings,
    )
    scheduler.set_timesteps(num_steps, device=labels.device)
    generator = torch.Generator(labels.device).manual_seed(seed)
    if sampler != "2m":
        options = {**options, "generator": generator}
    both_labels = torch.cat([labels, torch.full_like(labels, config.null_label)])  # (2B,)
    x = torch.randn(len(labels), 1, 28, 28, generator=generator, device=labels.device)
    x = x * scheduler.init_noise_sigma
    for t in scheduler.timesteps:
        both = scheduler.scale_model_input(torch.cat([x] * 2), t)  # (2B, 1, 28, 28)
        conditional, unconditional = model(both, t.expand(len(both)), both_labels).chunk(2)
        predicted = unconditional + (1 + GUIDANCE) * (conditional - unconditional)
        x = scheduler.step(predicted, t, x, **options).prev_sample
    return x.cpu()


def lucidrains(model: nn.Module, config: ModelConfig, labels: Tensor, num_steps: int):
    """Their sampler around our network, as a function without arguments."""
    from denoising_diffusion_pytorch.classifier_free_guidance import GaussianDiffusion, Unet

    class AsTheirs(nn.Module):
        """Our network with the signature of their Unet, whose guidance it takes as it is."""

        channels = out_dim = 1
        random_or_learned_sinusoidal_cond = False
        forward_with_cond_scale = Unet.forward_with_cond_scale

        def forward(self, x: Tensor, t: Tensor, classes: Tensor, cond_drop_prob: float) -> Tensor:
            null = torch.full_like(classes, config.null_label)
            return model(x, t, null if cond_drop_prob else classes)

    diffusion = GaussianDiffusion(
        AsTheirs(),
        image_size=config.image_size,
        timesteps=config.num_steps,
        sampling_timesteps=num_steps,
        objective="pred_v" if config.prediction == "v" else "pred_noise",
        ddim_sampling_eta=0.0,
    ).to(labels.device)

    def sample() -> None:
        with contextlib.redirect_stderr(io.StringIO()):  # its progress bar
            diffusion.sample(labels, cond_scale=1 + GUIDANCE, rescaled_phi=0.0)

    return sample


@torch.no_grad()
def call_network(model: nn.Module, config: ModelConfig, labels: Tensor, num_steps: int) -> None:
    """The network's part: as many calls with as many images."""
    x = torch.zeros(2 * len(labels), 1, 28, 28, device=labels.device)
    t = torch.zeros(len(x), dtype=torch.int64, device=labels.device)
    for _ in range(num_steps):
        model(x, t, torch.cat([labels, labels]))


def measure(count: int, num_steps: int, rounds: int, device: torch.device) -> dict[str, dict]:
    """For each sampler the figures of all that have it, in rounds of one walk each."""
    solutions = Implementation("solutions")
    model, config = load_model(SHIPPED, solutions)
    networks = {"course": model.to(device)}
    if device.type == "cpu":
        networks["exported"], _ = load_exported(SHIPPED, solutions)
    labels = torch.arange(count, device=device) % config.num_classes
    clock = 1 if device.type == "cpu" and torch.get_num_threads() == 1 else 0  # of seconds_of
    found = {}
    for sampler in SCHEDULERS:
        images: dict[str, Tensor] = {}

        def ours(name: str, sampler: str = sampler, images: dict = images) -> None:
            images[name], _ = draw(
                solutions,
                networks[name],
                config,
                labels.tolist(),
                GUIDANCE,
                num_steps,
                sampler=sampler,
            )

        def theirs(sampler: str = sampler, images: dict = images) -> None:
            images["diffusers"] = diffusers_draw(model, config, sampler, labels, num_steps, 0)

        work: dict[str, Callable[[], None]] = {name: partial(ours, name) for name in networks}
        work["diffusers"] = theirs
        if sampler == "ddim":
            with contextlib.suppress(ModuleNotFoundError):
                work["lucidrains"] = lucidrains(model, config, labels, num_steps)
        work["network"] = lambda: call_network(model, config, labels, num_steps)
        times: dict[str, list[float]] = {name: [] for name in work}
        for name in work:
            work[name]()  # the first time is slower
        for _ in range(rounds):
            for name in work:
                times[name].append(seconds_of(work[name], device)[clock])
        found[sampler] = figures(times, num_steps, images)
    return found


def figures(times: dict[str, list[float]], num_steps: int, images: dict[str, Tensor]) -> dict:
    """For each contestant its speed, and its time as a multiple of the course's.

    Ratios are taken within each round, then the median.
    """

    def row(name: str) -> dict:
        ratios = [time / course for time, course in zip(times[name], times["course"])]
        found = {
            "steps_per_second": round(num_steps / statistics.median(times[name]), 2),
            "time_over_course": round(statistics.median(ratios), 3),
        }
        if name in images:
            found["apart"] = float(f"{(images[name] - images['course']).abs().max():.2g}")
        return found

    return {name: row(name) for name in times}


def table(count: int, found: dict[str, dict]) -> list[str]:
    lines = [f"| {count} images | | steps/s | time, course = 1 | apart |", "|---|---|---|---|---|"]
    for sampler, rows in found.items():
        for name, row in rows.items():
            cells = [f"{value:g}" for value in row.values()]
            lines.append(f"| {sampler} | {name} | " + " | ".join([*cells, "", ""][:3]) + " |")
    return lines


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.sampling_speed",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--counts", type=int, nargs="+", default=[10, 100], help="images at a time")
    parser.add_argument("--steps", type=int, default=10, help="of each walk (default 10)")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--threads", type=int, help="default: torch's, one for each core")
    parser.add_argument("--device", default="auto", help="auto (default), cpu or cuda")
    parser.add_argument("--write", action="store_true", help=f"write {RESULTS.relative_to(ROOT)}")
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    try:
        device = choose_device(options.device)
        result = {"machine": machine(device), "steps": options.steps, "rounds": options.rounds}
        for count in options.counts:
            result[f"{count} images"] = measure(count, options.steps, options.rounds, device)
            print(*table(count, result[f"{count} images"]), sep="\n", flush=True)
    except CourseError as error:
        print(f"error: {error}")
        return 2
    if options.write:
        RESULTS.parent.mkdir(exist_ok=True)
        RESULTS.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
