"""How fast does training go, beside the libraries that one could take instead?

python -m benchmarks.training_speed                         images a second
python -m benchmarks.training_speed --minutes 10            and how soon the noise is predicted well
python -m benchmarks.training_speed --minutes 10 --write    into results/training_speed.json
python -m benchmarks.training_speed --quick                 a look at both, in about two minutes
pip install -e ".[bench]"                                   gets what it is compared with

Three networks of like size learn MNIST on the same machine, in the same process, with the same
threads, on the same batches of 32 images in float32, one after the other in rounds, so that
whatever else the machine does hits all alike:

    course       the preset laptop-adamw of this course, by `Run.steps`, its learning rate falling
                 over five epochs
    diffusers    UNet2DModel and DDPMScheduler, trained as in Hugging Face's diffusion course
    lucidrains   denoising_diffusion_pytorch: Unet and GaussianDiffusion of its module
                 classifier_free_guidance, trained as its Trainer does

Each trains in its own way: what it predicts, its learning rate, clipping and averaging are its own
(`--peer-lr` gives the two others another learning rate). Only `course` and `lucidrains` average the
weights, clip gradients and drop labels; diffusers' loop has less to do.

The limit is a product of two large matrices in float32, taken in the same rounds. A step's
operations are counted by torch.utils.flop_counter: convolutions and products, forward and back.
What a step does besides, such as normalising, is not in the count but in the time. On a busy
machine, the columns of processor time say more than those of the clock on the wall.

With `--minutes`, each trains from its first step, in turns, for so long at most; the clock stands
still while the error is measured. The error is the mean squared error of the predicted noise on
held-out images (`course.model.held_out`); from a prediction of v the noise is derived. It is
measured with the weights that samples would be drawn with.

With `--device cuda` the same runs on a GPU; benchmarks/gpu.py is made for one.
"""

import argparse
import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from course import ROOT, CourseError
from course.model.data import Images, load_images
from course.model.held_out import eps_mse
from course.model.models import ModelConfig, build_schedule, choose_device
from course.model.sampling import eps_network
from course.model.training import MSE_IMAGES, PRESETS, Run
from course.probing.loading import Implementation

RESULTS = ROOT / "benchmarks" / "results" / "training_speed.json"
BATCH_SIZE = 32


@dataclass(frozen=True)
class Contestant:
    """One way of training: what it takes to make a step and to see how good it has become."""

    name: str
    model: nn.Module
    step_once: Callable[[Tensor, Tensor, int], None]  # (x0 in [-1, 1], labels, number of the step)
    predict_eps: Callable[[Tensor, Tensor, Tensor], Tensor]  # (x_t, t, labels), to be measured
    most_steps: float = float("inf")  # where its learning rate ends

    @property
    def parameters(self) -> int:
        return sum(p.numel() for p in self.model.parameters())


# The three


def course(device: torch.device, lr: float | None = None) -> Contestant:
    """The preset `laptop-adamw` with its own learning rate; `lr` is for the others."""
    solutions = Implementation("solutions")
    # Five epochs, so that the race does not end before its time.
    preset = replace(PRESETS["laptop-adamw"], epochs=5)
    run = Run(Path("unused"), preset, solutions, "mnist", str(device), quiet=True)

    def step_once(x0: Tensor, labels: Tensor, step: int) -> None:
        next(run.steps([(x0, labels)], step))

    predict_eps = eps_network(solutions, run.ema.model, run.config, run.schedule.alpha_bars)
    return Contestant("course", run.model, step_once, predict_eps, run.num_steps)


def diffusers(
    device: torch.device, lr: float | None = None, widths: tuple[int, ...] = (24, 40, 40)
) -> Contestant:
    """The loop of unit 2's notebook on MNIST's classes, with its learning rate of 1e-3.

    The class enters beside the time, where UNet2DModel has a place for it.
    """
    from diffusers import DDPMScheduler, UNet2DModel

    model = UNet2DModel(
        sample_size=28,
        in_channels=1,
        out_channels=1,
        layers_per_block=1,
        block_out_channels=widths,
        down_block_types=("DownBlock2D",) * 3,
        up_block_types=("UpBlock2D",) * 3,
        add_attention=False,
        norm_num_groups=8,
        num_class_embeds=10,
    ).to(device)
    scheduler = DDPMScheduler(num_train_timesteps=1000, beta_schedule="squaredcos_cap_v2")
    optimizer = torch.optim.AdamW(model.parameters(), lr=lr or 1e-3)

    def step_once(x0: Tensor, labels: Tensor, step: int) -> None:
        x0, labels = x0.to(device), labels.to(device)
        noise = torch.randn_like(x0)
        t = torch.randint(0, 1000, (len(x0),), device=device)
        predicted = model(scheduler.add_noise(x0, noise, t), t, labels).sample
        loss = F.mse_loss(predicted, noise)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        loss.item()

    return Contestant("diffusers", model, step_once, lambda *inputs: model(*inputs).sample)


def lucidrains(device: torch.device, lr: float | None = None, dim: int = 16) -> Contestant:
    """The loop of its Trainer, with its learning rate of 1e-4, betas, clipping and average."""
    from denoising_diffusion_pytorch.classifier_free_guidance import GaussianDiffusion, Unet
    from ema_pytorch import EMA

    model = Unet(dim=dim, dim_mults=(1, 2, 2), num_classes=10, channels=1, cond_drop_prob=0.1)
    diffusion = GaussianDiffusion(model, image_size=28, timesteps=1000).to(device)
    optimizer = torch.optim.Adam(diffusion.parameters(), lr=lr or 1e-4, betas=(0.9, 0.99))
    ema = EMA(diffusion, beta=0.995, update_every=10)

    def step_once(x0: Tensor, labels: Tensor, step: int) -> None:
        images = (x0.to(device) + 1) / 2  # it wants images in [0, 1]
        loss = diffusion(images, classes=labels.to(device))
        loss.backward()
        nn.utils.clip_grad_norm_(diffusion.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        ema.update()
        loss.item()

    def predict_eps(x_t: Tensor, t: Tensor, labels: Tensor) -> Tensor:
        return ema.ema_model.model(x_t, t, labels, cond_drop_prob=0.0)

    return Contestant("lucidrains", model, step_once, predict_eps)


def contestants(device: torch.device, peer_lr: float | None) -> list[Contestant]:
    """Those of the three that are installed."""
    found = []
    for make in (course, diffusers, lucidrains):
        with torch.random.fork_rng():
            torch.manual_seed(0)
            try:
                found.append(make(device, peer_lr))
            except ModuleNotFoundError as error:
                print(
                    f"{make.__name__} is left out, because {error.name} is not installed. "
                    'Get it with: pip install -e ".[bench]"'
                )
    return found


# Images a second


def batches(images: Images, size: int = BATCH_SIZE) -> Iterator[tuple[Tensor, Tensor]]:
    """Batches without end, the same for all."""
    generator = torch.Generator().manual_seed(0)
    while True:
        order = torch.randperm(len(images), generator=generator)
        for index in order.split(size)[: len(images) // size]:
            yield images.batch(index)


def seconds_of(work: Callable[[], object], device: torch.device) -> tuple[float, float]:
    """How long it takes: by the clock on the wall, and on all processors together."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    wall, busy = time.perf_counter(), time.process_time()
    work()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - wall, time.process_time() - busy


def train(entry: Contestant, given: list[tuple[Tensor, Tensor]], done: int) -> None:
    """Make a step with each of the batches, after `done` steps."""
    for step, (x0, labels) in enumerate(given, start=done):
        entry.step_once(x0, labels, step)


def count_operations(contestant: Contestant, batch: tuple[Tensor, Tensor]) -> int:
    """Additions and multiplications of one step's convolutions and products."""
    with FlopCounterMode(display=False) as counter:
        contestant.step_once(*batch, 0)
    return counter.get_total_flops()


def speed(
    entries: list[Contestant],
    images: Images,
    device: torch.device,
    rounds: int,
    steps: int,
    size: int,
) -> dict:
    """Every round: `steps` steps of each, then the product of two matrices of `size` rows."""
    source = batches(images)
    operations = {entry.name: count_operations(entry, next(source)) for entry in entries}
    matrix = torch.randn(size, size, generator=torch.Generator().manual_seed(0)).to(device)
    given = [next(source) for _ in range(steps)]
    work = {entry.name: partial(train, entry, given, 0) for entry in entries}
    work["product"] = partial(torch.mm, matrix, matrix)
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in work}
    for name in work:
        seconds_of(work[name], device)  # the first time is slower
    for _ in range(rounds):
        for name in work:
            times[name].append(seconds_of(work[name], device))

    def ratio(one: str, other: str, which: int = 0) -> float:
        """Of times within each round, then the median."""
        return statistics.median(a[which] / b[which] for a, b in zip(times[one], times[other]))

    def figures(entry: Contestant) -> dict:
        wall, busy = (statistics.median(part) for part in zip(*times[entry.name]))
        relative = operations[entry.name] * steps / (2 * size**3)  # to the product
        return {
            "parameters": entry.parameters,
            "gflop_per_image": round(operations[entry.name] / BATCH_SIZE / 1e9, 4),
            "images_per_second": round(steps * BATCH_SIZE / wall, 1),
            "cpu_ms_per_image": round(1000 * busy / (steps * BATCH_SIZE), 3),
            "time_over_course": round(ratio(entry.name, "course"), 2),
            "cpu_time_over_course": round(ratio(entry.name, "course", 1), 2),
            "share_of_limit": round(relative / ratio(entry.name, "product"), 3),
            "cpu_share_of_limit": round(relative / ratio(entry.name, "product", 1), 3),
        }

    wall, busy = (statistics.median(part) for part in zip(*times["product"]))
    return {
        "rounds": rounds,
        "steps": steps,
        "limit_gflop_per_second": round(2e-9 * size**3 / wall, 1),
        "limit_gflop_per_cpu_second": round(2e-9 * size**3 / busy, 1),
        "contestants": {entry.name: figures(entry) for entry in entries},
    }


# Time to a good prediction


def race(
    entries: list[Contestant],
    images: Images,
    device: torch.device,
    minutes: float,
    target: float,
    every: int,
) -> dict[str, list[dict]]:
    """Train in turns of `every` steps, each until its error is at most `target` or time is up.

    Returns:
        for each, what was measured after every turn: steps, seconds, eps_mse.
    """
    held_out = load_images("mnist", train=False)
    alpha_bars = build_schedule(Implementation("solutions"), ModelConfig()).to(device).alpha_bars
    sources = {entry.name: batches(images) for entry in entries}
    curves: dict[str, list[dict]] = {entry.name: [] for entry in entries}
    seconds = dict.fromkeys(curves, 0.0)
    active = list(entries)
    while active:
        for entry in list(active):
            name = entry.name
            done = len(curves[name]) * every
            given = [next(sources[name]) for _ in range(every)]
            seconds[name] += seconds_of(partial(train, entry, given, done), device)[0]
            done, error = done + every, eps_mse(entry.predict_eps, alpha_bars, held_out, MSE_IMAGES)
            curves[name].append(
                {"steps": done, "seconds": round(seconds[name], 1), "eps_mse": round(error, 4)}
            )
            time_is_up = seconds[name] >= 60 * minutes or done + every > entry.most_steps
            if error <= target or time_is_up:
                print(f"{name}: {error:.4f} after {seconds[name]:.0f} s", flush=True)
                active.remove(entry)
    return curves


# What is printed and kept


def speed_table(result: dict) -> list[str]:
    lines = [
        "| | parameters | GFLOP an image | images/s | time, course = 1 | share of limit "
        "| CPU ms an image | CPU time, course = 1 | share of limit |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for name, row in result["contestants"].items():
        lines.append(
            f"| {name} | {row['parameters']:,} | {row['gflop_per_image']:.3f} "
            f"| {row['images_per_second']:.1f} | {row['time_over_course']:.2f} "
            f"| {row['share_of_limit']:.0%} | {row['cpu_ms_per_image']:.2f} "
            f"| {row['cpu_time_over_course']:.2f} | {row['cpu_share_of_limit']:.0%} |"
        )
    limit, of_cpu = result["limit_gflop_per_second"], result["limit_gflop_per_cpu_second"]
    return [*lines, "", f"limit: {limit:.0f} GFLOP/s, {of_cpu:.0f} for each second of a processor"]


def race_table(curves: dict[str, list[dict]], target: float) -> list[str]:
    lines = [f"| | seconds to eps-MSE {target:g} | steps | last eps-MSE |", "|---|---|---|---|"]
    for name, curve in curves.items():
        last = curve[-1]
        reached = "" if last["eps_mse"] <= target else "more than "
        lines.append(
            f"| {name} | {reached}{last['seconds']:.0f} | {last['steps']} | {last['eps_mse']:.4f} |"
        )
    return lines


def machine(device: torch.device) -> dict:
    return {
        "cores": os.cpu_count(),
        "processor": platform.machine(),
        "threads": torch.get_num_threads(),
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else str(device),
        "torch": torch.__version__,
    }


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.training_speed",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--steps", type=int, default=5, help="of each in a round (default 5)")
    parser.add_argument("--size", type=int, default=2048, help="rows of the matrices")
    parser.add_argument("--minutes", type=float, default=0.0, help="of training each, at most")
    parser.add_argument("--target", type=float, default=0.06, help="eps-MSE (default 0.06)")
    parser.add_argument("--every", type=int, default=25, help="steps between measurements")
    parser.add_argument("--peer-lr", type=float, help="the others' learning rate; else their own")
    parser.add_argument("--threads", type=int, help="default: torch's, one for each core")
    parser.add_argument("--device", default="auto", help="auto (default), cpu or cuda")
    parser.add_argument("--quick", action="store_true", help="few rounds, 15 seconds of training")
    parser.add_argument("--write", action="store_true", help=f"write {RESULTS.relative_to(ROOT)}")
    options = parser.parse_args()
    if options.quick:
        options.rounds, options.steps, options.minutes = 4, 2, options.minutes or 0.25
    if options.threads:
        torch.set_num_threads(options.threads)
    torch.manual_seed(0)  # the others' loops draw from torch's own generator
    torch.backends.cudnn.allow_tf32 = False  # float32 means float32, on a GPU as well
    try:
        device = choose_device(options.device)
        images = load_images("mnist", train=True)
    except CourseError as error:
        print(f"error: {error}")
        return 2
    result = {"machine": machine(device), "batch_size": BATCH_SIZE, "peer_lr": options.peer_lr}
    entries = contestants(device, options.peer_lr)
    result["speed"] = speed(entries, images, device, options.rounds, options.steps, options.size)
    print(*speed_table(result["speed"]), sep="\n", flush=True)
    if options.minutes:
        entries = contestants(device, options.peer_lr)  # untrained
        curves = race(entries, images, device, options.minutes, options.target, options.every)
        print(*race_table(curves, options.target), sep="\n")
        result["race"] = {"minutes": options.minutes, "target": options.target, "curves": curves}
    if options.write:
        RESULTS.parent.mkdir(exist_ok=True)
        RESULTS.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
