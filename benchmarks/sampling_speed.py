"""How fast is sampling, beside diffusers' schedulers with the same network?

python -m benchmarks.sampling_speed            a table
python -m benchmarks.sampling_speed --write    into benchmarks/results/sampling_speed.json

The shipped model draws guided digits (w = 1) by `course.model.sampling.draw`, and by a loop around
diffusers' schedulers as its pipelines have it: one call of the network with a batch of 2B, then
`scheduler.step`. Both take the same noise, steps and labels, and take turns, so that whatever else
the machine does hits both alike; the calls of the network alone take turns with them. All in one
process with the same threads. `apart` is the largest difference of a pixel between the two: a few
thousandths is rounding; diffusers' DPM-Solver does not clip x_0 and so ends elsewhere.

With `--device cuda` the same runs on a GPU; that has not been tried.
"""

import argparse
import json
import statistics
import sys
from collections.abc import Callable

import torch
from torch import Tensor, nn

from benchmarks.training_speed import machine, seconds_of
from course import ROOT, CourseError
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


@torch.no_grad()
def call_network(model: nn.Module, config: ModelConfig, labels: Tensor, num_steps: int) -> None:
    """The network's part: as many calls with as many images."""
    x = torch.zeros(2 * len(labels), 1, 28, 28, device=labels.device)
    t = torch.zeros(len(x), dtype=torch.int64, device=labels.device)
    for _ in range(num_steps):
        model(x, t, torch.cat([labels, labels]))


def measure(count: int, num_steps: int, rounds: int, device: torch.device) -> dict[str, dict]:
    """For each sampler the figures of both, in rounds of one walk each."""
    solutions = Implementation("solutions")
    model, config = load_model(SHIPPED, solutions)
    model = model.to(device)
    labels = torch.arange(count, device=device) % config.num_classes
    found = {}
    for sampler in SCHEDULERS:
        images: dict[str, Tensor] = {}

        def course(sampler: str = sampler, images: dict = images) -> None:
            images["course"], _ = draw(
                solutions, model, config, labels.tolist(), GUIDANCE, num_steps, sampler=sampler
            )

        def theirs(sampler: str = sampler, images: dict = images) -> None:
            images["diffusers"] = diffusers_draw(model, config, sampler, labels, num_steps, 0)

        work: dict[str, Callable[[], None]] = {
            "course": course,
            "diffusers": theirs,
            "network": lambda: call_network(model, config, labels, num_steps),
        }
        times: dict[str, list[float]] = {name: [] for name in work}
        for name in work:
            work[name]()  # the first time is slower
        for _ in range(rounds):
            for name in work:
                times[name].append(seconds_of(work[name], device)[0])
        found[sampler] = figures(times, num_steps, images)
    return found


def figures(times: dict[str, list[float]], num_steps: int, images: dict[str, Tensor]) -> dict:
    """Medians; ratios are taken within each round, then the median."""

    def ratio(name: str, other: str) -> float:
        return round(statistics.median(a / b for a, b in zip(times[name], times[other])), 3)

    return {
        "course_steps_per_second": round(num_steps / statistics.median(times["course"]), 2),
        "diffusers_steps_per_second": round(num_steps / statistics.median(times["diffusers"]), 2),
        "diffusers_time_over_course": ratio("diffusers", "course"),
        "course_time_over_network": ratio("course", "network"),
        "diffusers_time_over_network": ratio("diffusers", "network"),
        "apart": round(float((images["course"] - images["diffusers"]).abs().max()), 4),
    }


def table(count: int, found: dict[str, dict]) -> list[str]:
    lines = [
        f"| {count} images | course: steps/s | diffusers: steps/s | time, course = 1 "
        "| course, network = 1 | diffusers, network = 1 | apart |",
        "|---|---|---|---|---|---|---|",
    ]
    for sampler, row in found.items():
        lines.append(f"| {sampler} | " + " | ".join(f"{value:g}" for value in row.values()) + " |")
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
