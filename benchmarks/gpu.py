"""What a GPU makes of training: its speed, the speed of others' loops, and how good `seed` gets.

python -m benchmarks.gpu --out FOLDER               all parts, made for about 3.5 minutes of an H100
python -m benchmarks.gpu --out FOLDER --seconds 90  no part begins that would end after that time
python -m benchmarks.gpu --out FOLDER --smoke       the same code in miniature, on any device

MNIST has to be on the disk (DIFFUSION_DATA); --smoke takes mnist5k, and leaves the compiler out,
which takes minutes on a CPU. The parts, in this order:

    limits    products of two large matrices, in float32, TF32 and bfloat16: what the card can do
    speed     images a second of several ways to train the `seed` network, and of the loops of
              diffusers and denoising_diffusion_pytorch around networks that need as many operations
    tests     the tests that need CUDA
    runs      the preset `seed` from its start to its end, as `course train` does it, in TF32 and
              bfloat16; held-out error, and quality as `course evaluate --steps 10` has it
    variants  what the recipe leaves open, trained by one recording of the whole step
    samplers  other walks with the network that drew most right digits so far
    runs      the preset in float32, which takes longest; then more variants and samplers
    compiled  one more way for `speed`: the network compiled by torch.compile, the step recorded

After each part FOLDER/gpu.json is written. A part that fails leaves its traceback there, and the
next one begins. FOLDER/best.safetensors is the network that drew most right digits without
guidance (ten ancestral steps), in half precision, and FOLDER/best.png shows ten of each digit.

Ways to train, in `speed`:

    plain     `Run.steps` without a recording
    recorded  the same with the network's work replayed as a whole (benchmarks/recorded.py);
              draws, loss, optimiser and average as everywhere
    whole     what a GPU could do: draws on the card, and all of a step in one recording, with
              nothing to wait for. The same formulas, but other draws; `variants` trains this way

float32 is without TF32 everywhere. TF32 is with it in all products; torch's default has it in
convolutions only, which is nearly the same here. bfloat16 is autocast. However a network was
trained, it is measured with TF32. `unguided` and `unguided_7` are ten and seven ancestral steps.
"""

import argparse
import contextlib
import functools
import gc
import json
import math
import statistics
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from unittest import mock

import torch
from torch import Tensor, nn

from benchmarks import training_speed
from benchmarks.recorded import record
from benchmarks.training_speed import Contestant, machine, seconds_of
from course import ROOT
from course.model import sampling
from course.model.data import load_images
from course.model.digit_networks import load_network, logits, quantise
from course.model.evaluation import MSE_IMAGES, Ruler, as_dict
from course.model.held_out import eps_mse_by_band
from course.model.models import choose_device, save_model
from course.model.pictures import save_picture
from course.model.sampling import draw, eps_network
from course.model.training import PRESETS, Preset, Run
from course.probing.loading import Implementation

SOLUTIONS = Implementation("solutions")
PRECISIONS = ("float32", "tf32", "bfloat16")
# Networks that need about as many operations an image as the seed network (3.29 GFLOP, 3.12
# million parameters): 3.41 GFLOP and 3.20 million; 3.26 GFLOP and 3.57 million.
DIFFUSERS_WIDTHS = (56, 112, 112)
LUCIDRAINS_DIM = 48


@dataclass(frozen=True)
class Size:
    """How much of everything, and about how many seconds each part takes."""

    preset: Preset
    data: str
    rows: int  # of the matrices
    rounds: int
    steps: int  # of each way in a round
    measured: int  # digits measured with each guidance
    judged: int  # digits that are only judged to be right or wrong
    seconds: dict[str, float]  # expected, of a part or of one of its entries


FULL = Size(
    PRESETS["seed"], "mnist", 8192, 3, 20, 1000, 10_000,
    {"speed": 40, "tests": 25, "tf32": 30, "bfloat16": 30, "float32": 55, "variant": 15,
     "walk": 2, "compiled": 60},
)  # fmt: skip
SMOKE = Size(
    replace(
        PRESETS["seed"],
        model=replace(PRESETS["seed"].model, base_channels=8, time_dim=16),
        epochs=1,
        batch_size=8,
        images_per_epoch=16,
        sample_steps=2,
    ),
    "mnist5k", 256, 1, 1, 20, 20, {**dict.fromkeys(FULL.seconds, 0), "compiled": math.inf},
)  # fmt: skip


def _set_flags(matrices: bool, convolutions: bool, search: bool) -> None:
    torch.backends.cuda.matmul.allow_tf32 = matrices
    torch.backends.cudnn.allow_tf32 = convolutions
    torch.backends.cudnn.benchmark = search


@contextlib.contextmanager
def precision_of(name: str, search: bool = False) -> Iterator[None]:
    """float32 without TF32, or TF32 in all products. `search`: cuDNN looks for its quickest way."""
    _set_flags(name != "float32", name != "float32", search)
    try:
        yield
    finally:
        _set_flags(False, True, False)  # as torch has them from the start


def autocast(device: torch.device, name: str) -> torch.autocast:
    """bfloat16 where `name` says so. A recording must not keep what was cast for later."""
    enabled = name == "bfloat16"
    return torch.autocast(device.type, torch.bfloat16, enabled=enabled, cache_enabled=False)


# The card


def limits(size: Size, device: torch.device) -> dict:
    """TFLOP a second of a product of two matrices of random numbers."""
    found = {}
    for name in PRECISIONS:
        dtype = torch.bfloat16 if name == "bfloat16" else torch.float32
        one, other = (torch.randn(size.rows, size.rows, device=device, dtype=dtype) for _ in "ab")
        with precision_of(name):
            seconds_of(partial(torch.mm, one, other), device)
            best = min(seconds_of(partial(torch.mm, one, other), device)[0] for _ in range(10))
        found[name] = round(2e-12 * size.rows**3 / best, 3)
    return found


# What a GPU could do: a whole step in one recording


class Whole:
    """Trains a Run's network and its average; all of a step is on the card and never waited for.

    `run.ema.model` is the result. The steps are those of `Run.steps`; t, noise, dropped labels
    and the order of the images are drawn on the device, so they are others than a Run draws.
    """

    def __init__(self, run: Run, precision: str):
        self.run, self.precision, self.device = run, precision, run.device
        self.pixels = run.train_set.pixels.to(self.device)
        self.labels = run.train_set.labels.to(self.device)
        self.generator = torch.Generator(self.device).manual_seed(run.preset.seed)
        self.lr = torch.tensor(run.preset.lr, device=self.device)
        self.kept = torch.tensor(0.0, device=self.device)  # of the average, in this step
        self.weights, self.average = list(run.model.parameters()), list(run.ema.model.parameters())
        on_gpu = self.device.type == "cuda"
        self.optimizer = torch.optim.AdamW(
            self.weights, self.lr, weight_decay=run.preset.weight_decay,
            capturable=on_gpu, fused=on_gpu,
        )  # fmt: skip
        self.inputs = self._draw(torch.arange(run.preset.batch_size, device=self.device))
        self.generator.manual_seed(run.preset.seed)  # these were only for their shapes
        self.loss = torch.tensor(0.0, device=self.device)
        self.done = 0
        self.replay = self._record() if on_gpu else self._step

    def _draw(self, index: Tensor) -> tuple[Tensor, ...]:
        run = self.run
        x0, labels = self.pixels[index].float() / 127.5 - 1, self.labels[index]
        t, eps = run.ch05.draw_noise(x0, run.config.num_steps, self.generator)
        labels = run.ch03.drop_labels(
            labels, run.preset.label_dropout, run.config.null_label, self.generator
        )
        return x0, t, labels, eps

    def _step(self) -> None:
        run = self.run
        self.optimizer.zero_grad()
        with autocast(self.device, self.precision):
            q_sample = run.impl.chapter("ch02_forward_process").q_sample
            loss = run.ch05.diffusion_loss(
                run.model, *self.inputs, run.schedule.alpha_bars, q_sample, run.target
            )
        loss.backward()
        nn.utils.clip_grad_norm_(self.weights, run.preset.max_grad_norm)
        self.optimizer.step()
        with torch.no_grad():
            torch._foreach_mul_(self.average, self.kept)
            torch._foreach_add_(self.average, torch._foreach_mul(self.weights, 1 - self.kept))
        self.loss.copy_(loss.detach())

    def _record(self) -> Callable[[], None]:
        """Three steps to warm up, which are then undone, and one to record."""
        trained = [*self.weights, *self.average]
        before = [tensor.detach().clone() for tensor in trained]
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(3):
                self._step()
        torch.cuda.current_stream().wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        self.optimizer.zero_grad()
        with torch.cuda.graph(graph):
            self._step()
        with torch.no_grad():
            torch._foreach_copy_(trained, before)
            for state in self.optimizer.state.values():
                for tensor in state.values():
                    tensor.zero_()
        return graph.replay

    def step_once(self, index: Tensor) -> None:
        """A step with the images of these numbers, on the device."""
        run, n = self.run, self.done
        rate = run.ch05.learning_rate(
            n, run.num_steps, run.preset.lr, run.preset.warmup, run.preset.lr_decay
        )
        self.lr.fill_(rate)
        self.kept.fill_(min(run.ema.decay, (1 + n) / (10 + n)))
        for place, drawn in zip(self.inputs, self._draw(index)):
            place.copy_(drawn)
        self.replay()
        self.done += 1

    def order(self) -> Iterator[Tensor]:
        """The numbers of an epoch's images, batch by batch."""
        order = torch.randperm(len(self.labels), device=self.device, generator=self.generator)
        batch = self.run.preset.batch_size
        yield from order[: self.run.steps_per_epoch * batch].split(batch)

    def train(self) -> None:
        for _ in range(self.run.preset.epochs):
            for index in self.order():
                self.step_once(index)


# Images a second


def make_run(size: Size, device: torch.device, folder: Path, recorded: bool, **changes) -> Run:
    preset = replace(size.preset, **changes)
    run = Run(folder, preset, SOLUTIONS, size.data, str(device), quiet=True)
    if recorded and device.type == "cuda":
        labels = torch.zeros(preset.batch_size, dtype=torch.int64, device=device)
        x = torch.zeros(len(labels), 1, 28, 28, device=device)
        if why := record(run.model, (x, labels, labels.clone()), preset.precision):
            print(f"not recorded: {why}", flush=True)
    return run


def of_run(name: str, size: Size, device: torch.device, precision: str, recorded: bool):
    course = "bfloat16" if precision == "bfloat16" else "float32"  # TF32 is no matter of the preset
    run = make_run(size, device, Path("unused"), recorded, precision=course)

    def step_once(x0: Tensor, labels: Tensor, step: int) -> None:
        next(run.steps([(x0, labels)], step))

    return Contestant(name, run.model, step_once, run.model)


def of_whole(
    name: str, size: Size, device: torch.device, precision: str, compiled: bool = False
) -> Contestant:
    run = make_run(size, device, Path("unused"), False)
    if compiled:
        run.model.compile()
    whole = Whole(run, precision)
    every = whole.order()

    def step_once(x0: Tensor, labels: Tensor, step: int) -> None:
        nonlocal every
        index = next(every, None)
        if index is None:
            every = whole.order()
            index = next(every)
        whole.step_once(index)

    return Contestant(name, run.model, step_once, run.model)


def of_peer(name: str, device: torch.device, precision: str) -> Contestant:
    """Another library's loop; its own draws, on the device."""
    if name == "diffusers":
        entry = training_speed.diffusers(device, widths=DIFFUSERS_WIDTHS)
    else:
        entry = training_speed.lucidrains(device, dim=LUCIDRAINS_DIM)

    def step_once(x0: Tensor, labels: Tensor, step: int) -> None:
        with autocast(device, precision):
            entry.step_once(x0, labels, step)

    return replace(entry, name=f"{name} {precision}", step_once=step_once)


@dataclass(frozen=True)
class Way:
    """One way of training: `make` gives a contestant."""

    name: str
    precision: str
    make: Callable[[], Contestant]
    search: bool = False  # cuDNN looks for its quickest way

    @property
    def kind(self) -> str:
        return self.name.split()[0]


def ways(size: Size, device: torch.device) -> list[Way]:
    found = []
    for precision in PRECISIONS:
        for kind, recorded in (("plain", False), ("recorded", True)):
            name = f"{kind} {precision}"
            make = partial(of_run, name, size, device, precision, recorded)
            found.append(Way(name, precision, make))
        name = f"whole {precision}"
        make = partial(of_whole, name, size, device, precision)
        found.append(Way(name, precision, make))
        if precision != "float32":
            found.append(Way(f"{name}, cuDNN searches", precision, make, search=True))
            for peer in ("diffusers", "lucidrains"):
                make = partial(of_peer, peer, device, precision)
                found.append(Way(f"{peer} {precision}", precision, make))
    return [way for way in found if way.name != "recorded float32"]  # little waits there


def speed(size: Size, device: torch.device, limit: dict, tried: list[Way]) -> dict:
    """In turns: each round, `steps` steps of each way."""
    batch = size.preset.batch_size
    source = training_speed.batches(load_images(size.data, train=True), batch)
    given = [next(source) for _ in range(size.steps)]
    entries: dict[str, Contestant] = {}
    times: dict[str, list[float]] = {way.name: [] for way in tried}
    gflop, result = {}, {}
    for way in tried:
        try:
            with precision_of(way.precision, way.search):
                entry = way.make()
                if way.kind in ("plain", "diffusers", "lucidrains"):  # a recording hides them
                    gflop[way.kind] = training_speed.count_operations(entry, given[0]) / batch / 1e9
                training_speed.train(entry, given, 0)  # the first time is slower
            entries[way.name] = entry
        except Exception:
            result[way.name] = {"error": traceback.format_exc()}
            print(f"  {way.name}: {result[way.name]['error']}", flush=True)
    working = [way for way in tried if way.name in entries]
    for _ in range(size.rounds):
        for way in working:
            with precision_of(way.precision, way.search):
                work = partial(training_speed.train, entries[way.name], given, 0)
                times[way.name].append(seconds_of(work, device)[0])
    for way in working:
        seconds = statistics.median(times[way.name])
        each = gflop.get(way.kind, gflop.get("plain"))
        per_second = size.steps * batch / seconds
        result[way.name] = row = {
            "parameters": entries[way.name].parameters,
            "ms_per_step": round(1000 * seconds / size.steps, 2),
            "images_per_second": round(per_second),
        }
        if each and way.precision in limit:
            row["gflop_per_image"] = round(each, 3)
            row["share_of_limit"] = round(1e-3 * each * per_second / limit[way.precision], 4)
        print(f"  {way.name}: {row}", flush=True)
    return result


# How good it gets


class Judge:
    """Measures networks, all against the same real images."""

    def __init__(self, size: Size, device: torch.device):
        train, self.test_set = (load_images(size.data, train=part) for part in (True, False))
        self.size, self.device = size, device
        self.labels = torch.arange(size.measured) % 10
        self.ruler = Ruler(SOLUTIONS, train, self.test_set, self.labels)
        self.network = load_network("judge")[0].to(device)

    def eps_mse(self, run: Run) -> float:
        alpha_bars = run.schedule.alpha_bars
        network = eps_network(SOLUTIONS, run.ema.model, run.config, alpha_bars)
        bands = eps_mse_by_band(network, alpha_bars, self.test_set, MSE_IMAGES)
        return sum(bands) / len(bands)

    def quality(self, run: Run, guidance: float) -> dict:
        """As `course evaluate --steps 10` measures it."""
        images, _ = draw(
            SOLUTIONS, run.ema.model, run.config, self.labels.tolist(), guidance, num_steps=10
        )
        measured = self.ruler.measure(images)
        return {
            **as_dict(measured.values),
            "frechet_over_real": measured.ratio("frechet"),
            "recall_over_real": measured.ratio("recall"),
            "coverage_over_real": measured.ratio("coverage"),
        }

    def right(self, run: Run, sampler: str = "ancestral", steps: int = 10, w: float = 0.0) -> dict:
        """How many of many digits are right. A thousand walk together, so the draws are others."""
        labels = torch.arange(self.size.judged) % 10
        with mock.patch.object(sampling, "MAX_BATCH", 1000):
            images, _ = draw(
                SOLUTIONS, run.ema.model, run.config, labels.tolist(), w, steps, 1, sampler=sampler
            )
        said = logits(self.network, quantise(images).to(self.device)).argmax(dim=1).cpu()
        share = self.ruler.share((said == labels).sum(), torch.tensor(len(labels)))
        return {"right": share.value, "low": share.interval[0], "high": share.interval[1],
                "count": share.count}  # fmt: skip


class Best:
    """The network that drew most right digits so far; its files are in the folder."""

    def __init__(self, out: Path):
        self.out, self.right, self.run, self.name = out, -1.0, None, ""

    def offer(self, name: str, run: Run, right: float) -> None:
        if right <= self.right:
            return
        self.name, self.run, self.right = name, run, right
        save_model(self.out / "best.safetensors", run.ema.model, run.config, half=True)
        labels = [digit for _ in range(10) for digit in range(10)]
        images, _ = draw(SOLUTIONS, run.ema.model, run.config, labels, 0.0, 10)
        ch06 = SOLUTIONS.chapter("ch06_guided_sampling")
        save_picture(ch06.image_grid(images, 10), self.out / "best.png", zoom=2)


def whole_run(
    size: Size, device: torch.device, precision: str, judge: Callable[[], Judge], best: Best
) -> dict:
    """The preset as `course train` does it: data, training, samples, checkpoints, files."""
    course = "bfloat16" if precision == "bfloat16" else "float32"
    with tempfile.TemporaryDirectory() as folder, precision_of(precision):
        started = time.perf_counter()
        run = make_run(size, device, Path(folder), True, precision=course)
        ready = time.perf_counter() - started
        run.train()
        wall = time.perf_counter() - started
        epochs = run.metrics["epochs"]
    row = {
        "wall_seconds": round(wall, 1),
        "until_the_first_step": round(ready, 1),
        "training_seconds": round(sum(epoch["seconds"] for epoch in epochs), 1),
        "steps": run.num_steps,
        "last_loss": epochs[-1]["loss"],
    }
    with precision_of("tf32"):
        row["held_out_eps_mse"] = judge().eps_mse(run)
        row["unguided"] = judge().right(run)
        row["unguided_7"] = judge().right(run, steps=7)
        row["quality"] = {f"w = {w:g}": judge().quality(run, w) for w in (0.0, 0.5, 1.0)}
    best.offer(f"run {precision}", run, row["unguided"]["right"])
    return row


def variants(preset: Preset) -> list[tuple[str, dict]]:
    """What the recipe leaves open, the most promising first: name, changes to the preset."""
    attention, wide = replace(preset.model, attention=True), (1, 2, 4)
    return [
        ("seed", {}),
        ("attention", {"model": attention}),
        ("widths 1, 2, 4", {"model": replace(preset.model, channel_mults=wide)}),
        ("learning rate falls", {"lr_decay": True}),
        ("attention, seed 1", {"model": attention, "seed": 1}),
        ("attention, learning rate falls", {"model": attention, "lr_decay": True}),
        ("seed, bfloat16", {"precision": "bfloat16"}),
        ("attention, widths 1, 2, 4", {"model": replace(attention, channel_mults=wide)}),
    ]


def variant(
    size: Size,
    device: torch.device,
    name: str,
    changes: dict,
    judge: Callable[[], Judge],
    best: Best,
) -> dict:
    with precision_of("tf32"):
        run = make_run(size, device, Path("unused"), False, **changes)
        precision = "bfloat16" if run.preset.precision == "bfloat16" else "tf32"
        started = time.perf_counter()
        whole = Whole(run, precision)
        wall, _ = seconds_of(whole.train, device)
        row = {
            "wall_seconds": round(time.perf_counter() - started, 1),
            "training_seconds": round(wall, 1),
            "parameters": sum(p.numel() for p in whole.weights),
            "last_loss": float(whole.loss),
            "held_out_eps_mse": judge().eps_mse(run),
            "unguided": judge().right(run),
            "unguided_7": judge().right(run, steps=7),
        }
        row["quality"] = {"w = 0": judge().quality(run, 0.0)}
    best.offer(name, run, row["unguided"]["right"])
    return row


WALKS = [
    ("ancestral", 6), ("ancestral", 8), ("2m", 10), ("ddim", 10), ("ancestral", 5), ("2m", 20),
    ("ancestral", 20), ("ancestral", 50),
]  # fmt: skip


def other_walk(judge: Callable[[], Judge], best: Best, sampler: str, steps: int) -> dict:
    return judge().right(best.run, sampler, steps)


# The tests that need CUDA


def cuda_tests() -> dict:
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-rs", "-p", "no:cacheprovider"]
        + ["tests/test_cuda.py"],
        cwd=ROOT, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    return {"status": done.returncode, "output": (done.stdout + done.stderr)[-6000:]}


# All parts


class Report:
    """The parts' results, written after each; a part that fails leaves its traceback."""

    def __init__(self, out: Path, seconds: float):
        self.file, self.seconds, self.started = out / "gpu.json", seconds, time.monotonic()
        self.result: dict = {}

    def part(self, group: str, name: str, expected: float, work: Callable[[], dict]) -> None:
        """Do it, if there is the time; results of a group are kept under their names."""
        place = self.result.setdefault(group, {}) if name else self.result
        began = time.monotonic()
        title = " ".join(filter(None, (group, name)))
        if began - self.started + expected > self.seconds:
            place[name or group] = {"left out": "no time"}
        else:
            try:
                place[name or group] = work()
            except Exception:
                place[name or group] = {"error": traceback.format_exc()}
            gc.collect()  # recordings hold memory of the card
            torch.cuda.empty_cache()
        shown = place[name or group]
        took = round(time.monotonic() - began, 1)
        self.result.setdefault("seconds", {})[title] = took
        print(f"{title} ({took} s): {_short(shown)}", flush=True)
        self.file.write_text(json.dumps(self.result, indent=1) + "\n", encoding="utf-8")


def _short(shown: dict) -> str:
    if "error" in shown:
        return shown["error"]
    kept = {key: value for key, value in shown.items() if key != "quality"}
    for guidance, row in shown.get("quality", {}).items():
        ratios = [round(row[f"{key}_over_real"], 2) for key in ("frechet", "recall", "coverage")]
        kept[guidance] = [round(row["accuracy"]["value"], 4), *ratios]
    return str(kept)[:3000]


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.gpu",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--out", type=Path, required=True, help="the folder for the results")
    parser.add_argument("--seconds", type=float, default=210.0, help="in all (default 210)")
    parser.add_argument("--device", help="cuda (default where there is one) or cpu")
    parser.add_argument("--smoke", action="store_true", help="in miniature")
    options = parser.parse_args()
    device = choose_device(options.device or ("cuda" if torch.cuda.is_available() else "cpu"))
    size = SMOKE if options.smoke else FULL
    options.out.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(0)  # the others' loops draw from torch's own generator
    report, best = Report(options.out, options.seconds), Best(options.out)
    report.part("machine", "", 0, lambda: machine(device))
    report.part("limits", "", 5, lambda: limits(size, device))
    limit = report.result["limits"]
    tried = ways(size, device)
    report.part("speed", "", size.seconds["speed"], lambda: speed(size, device, limit, tried))
    report.part("tests", "", size.seconds["tests"], cuda_tests)

    @functools.cache
    def judge() -> Judge:
        return Judge(size, device)

    def train(name: str) -> None:
        work = partial(whole_run, size, device, name, judge, best)
        report.part("runs", name, size.seconds[name], work)

    def vary(some: list[tuple[str, dict]]) -> None:
        for name, changes in some:
            work = partial(variant, size, device, name, changes, judge, best)
            report.part("variants", name, size.seconds["variant"], work)

    def walk(some: list[tuple[str, int]]) -> None:
        for sampler, steps in some:
            name = f"{best.name}, {sampler} {steps}"
            expected = size.seconds["walk"] + size.seconds["walk"] * steps / 10
            work = partial(other_walk, judge, best, sampler, steps)
            report.part("samplers", name, expected, work)

    train("tf32")
    train("bfloat16")
    vary(variants(size.preset)[:4])
    walk(WALKS[:4])
    train("float32")
    vary(variants(size.preset)[4:])
    walk(WALKS[4:])
    way = Way(
        "whole bfloat16, compiled", "bfloat16",
        partial(of_whole, "compiled", size, device, "bfloat16", compiled=True),
    )  # fmt: skip
    report.part("compiled", "", size.seconds["compiled"], lambda: speed(size, device, limit, [way]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
