"""Probes of chapter 05: they call the code under test and report what it returns.

The networks here are toys that keep a record of how they were used.
"""

import gc
import os
import pickle
import tempfile
import weakref
from pathlib import Path

import torch
from torch import Tensor, nn

from checks.probes.toys import GeneratorElsewhere, generator, place_of

# By torch, which takes seconds: for the meta device and optimisers.
IMPORTED_AT_FIRST_USE = ("torch._dynamo",)

# 5.1 and 5.2


def plain(value):
    """Something that the code returned, as plain data."""
    if isinstance(value, Tensor):
        return value.detach().clone()
    if value is None or isinstance(value, bool | int | float | str):
        return value
    return f"<{type(value).__name__}>"


def blank(value):
    """A tensor's shape and dtype without its values; anything else as it is."""
    value = plain(value)
    return torch.zeros_like(value) if isinstance(value, Tensor) else value


def drawn_shapes(impl, inputs):
    """What kind of things are drawn, whatever their values."""
    made = impl.draw_noise(inputs["x0"], inputs["num_steps"], generator(inputs["seed"]))
    if not isinstance(made, tuple | list) or len(made) != 2:
        return {"pair": False, "returned": f"a {type(made).__name__}"}
    return {"pair": True, "t": blank(made[0]), "eps": blank(made[1])}


def drawn_order(impl, inputs):
    """Do the steps of a batch have to do with each other, or with an image's place in it?

    Rounded, so that the same mistake gives the same figures in whatever order numbers are drawn.
    """
    t, _ = impl.draw_noise(inputs["x0"], inputs["num_steps"], generator(inputs["seed"]))
    steps, place, half = t.double(), torch.arange(len(t)), len(t) // 2

    def alike(one, other):
        both = torch.stack([one.double(), other.double()])
        return round(float(torch.corrcoef(both).nan_to_num()[0, 1]), 1) + 0.0

    _, counts = t.unique(return_counts=True)
    return {
        "its place in the batch": alike(steps, place),
        "the step of its neighbour": alike(steps[1:], steps[:-1]),
        "the step of the image half a batch further on": alike(steps[:half], steps[half:]),
        "the step of the image at the same place from the end": alike(
            steps[:half], steps.flip(0)[:half]
        ),
        "each just as often": len(counts.unique()) == 1,
    }


def drawn_steps(impl, inputs):
    """How often each step is drawn."""
    t, _ = impl.draw_noise(inputs["x0"], inputs["num_steps"], generator(inputs["seed"]))
    steps, counts = t.unique(return_counts=True)
    return {"steps": steps, "counts": counts}


def drawn_range(impl, inputs):
    """Which steps are drawn at all."""
    return {"steps": drawn_steps(impl, inputs)["steps"]}


def drawn_variety(impl, inputs):
    """Do the images of one batch get different steps?"""
    return {"several": len(drawn_steps(impl, inputs)["steps"]) > 1}


def drawn_noise(impl, inputs):
    """The noise itself."""
    _, eps = impl.draw_noise(inputs["x0"], inputs["num_steps"], generator(inputs["seed"]))
    return {"eps": plain(eps)}


def drawn_elsewhere(impl, inputs):
    """Where the draws lie if the images lie on another device than the CPU."""
    x0, num_steps, seed = inputs["x0"], inputs["num_steps"], inputs["seed"]
    impl.draw_noise(x0, num_steps, generator(seed))  # raises here if it is not written yet

    def drawn(number):
        source = GeneratorElsewhere().manual_seed(seed)
        return impl.draw_noise(x0.to("meta"), num_steps, source)[number]

    return {"t": place_of(lambda: drawn(0)), "eps": place_of(lambda: drawn(1))}


def drawn_again(impl, inputs):
    """Does the generator decide on the draws, and nothing else?"""
    x0, num_steps, seed = inputs["x0"], inputs["num_steps"], inputs["seed"]
    torch.manual_seed(seed + 1)
    one = generator(seed)
    first = impl.draw_noise(x0, num_steps, one)
    following = impl.draw_noise(x0, num_steps, one)
    torch.manual_seed(seed + 2)
    again = impl.draw_noise(x0, num_steps, generator(seed))
    other = impl.draw_noise(x0, num_steps, generator(seed + 3))
    evidence = {}
    for i, name in enumerate(("t", "eps")):
        evidence[name] = {
            "same seed, same draw": torch.equal(first[i], again[i]),
            "other seed, other draw": not torch.equal(first[i], other[i]),
            "next draw is new": not torch.equal(first[i], following[i]),
        }
    torch.manual_seed(seed + 4)  # another than the generator is given
    before = torch.get_rng_state()
    impl.draw_noise(x0, num_steps, generator(seed))
    return {**evidence, "global untouched": torch.equal(before, torch.get_rng_state())}


class LinearInAll(nn.Module):
    """A network whose output depends on image, step and label, and which records its calls."""

    def __init__(self, weights: dict[str, Tensor]):
        super().__init__()
        for name, value in weights.items():  # image, step, label, each (C, 1, 1)
            self.register_parameter(name, nn.Parameter(value.clone()))
        self.calls = []

    def __call__(self, x: Tensor, t: Tensor, labels: Tensor) -> Tensor:
        self.calls.append({"x_t": plain(x), "t": plain(t), "labels": plain(labels)})
        return super().__call__(x, t, labels)

    def forward(self, x: Tensor, t: Tensor, labels: Tensor) -> Tensor:
        t, labels = torch.as_tensor(t).float(), torch.as_tensor(labels).float()
        return (
            self.image * x
            + self.step * t.reshape(-1, 1, 1, 1)
            + self.label * labels.reshape(-1, 1, 1, 1)
        )


LOSS_INPUTS = ("x0", "t", "labels", "eps", "alpha_bars")


class Jump:
    """Stands in for chapter 02's q_sample: records its calls, and answers what no formula gives.

    So it shows whether the code uses what it was handed. The dtype alone is that of chapter 02's.
    """

    def __init__(self, answer: Tensor):
        self.answer, self.calls = answer, []

    def __call__(self, x0: Tensor, t: Tensor, eps: Tensor, alpha_bars: Tensor) -> Tensor:
        asked = {"x0": x0, "t": t, "eps": eps, "alpha_bars": alpha_bars}
        self.calls.append({name: plain(value) for name, value in asked.items()})
        doubled = torch.float64 in [getattr(value, "dtype", 0) for value in (x0, eps, alpha_bars)]
        return self.answer.double() if doubled else self.answer.clone()


def call_loss(impl, inputs, **options):
    model, jump = LinearInAll(inputs["weights"]), Jump(inputs["x_t"])
    arguments = (inputs[name] for name in LOSS_INPUTS)
    return model, jump, impl.diffusion_loss(model, *arguments, jump, **options)


def loss_jump(impl, inputs):
    """What q_sample is asked for."""
    _, jump, _ = call_loss(impl, inputs)
    return {"asked": jump.calls}


def loss_call(impl, inputs):
    """What the network is asked."""
    model, _, _ = call_loss(impl, inputs)
    return {"calls": model.calls}


def loss_value(impl, inputs):
    """What the loss comes to."""
    _, _, loss = call_loss(impl, inputs)
    return {"loss": plain(loss)}


class OffBy(nn.Module):
    """A network whose answer is the right one plus a number."""

    def __init__(self, right: Tensor, by: float):
        super().__init__()
        self.right, self.by = right, nn.Parameter(torch.tensor(by))

    def forward(self, x, t, labels):
        return self.right + self.by


def loss_of_known_errors(impl, inputs):
    """The loss of answers that are off by the same in every pixel."""
    arguments = [inputs[name] for name in LOSS_INPUTS]
    jump = Jump(inputs["x_t"])
    zeros = torch.zeros_like(inputs["eps"])

    def target(x0, eps, t, alpha_bars):
        return zeros.clone()

    models = [OffBy(zeros, by) for by in inputs["errors"]]
    return {
        "losses": [plain(impl.diffusion_loss(model, *arguments, jump, target)) for model in models]
    }


def loss_leaves_model(impl, inputs):
    """Mode, weights and gradients of the network before and after it was asked, in both modes."""
    evidence = {}
    for training in (True, False):
        model = LinearInAll(inputs["weights"]).train(training)
        for p in model.parameters():
            p.grad = torch.ones_like(p)
        arguments = (inputs[name] for name in LOSS_INPUTS)
        impl.diffusion_loss(model, *arguments, Jump(inputs["x_t"]))
        evidence[f"training={training}"] = {
            "training": model.training,
            "weights": weights_of(model),
            "gradients": {name: plain(p.grad) for name, p in model.named_parameters()},
        }
    return evidence


def loss_gradients(impl, inputs):
    """Which gradients reach the network."""
    model, _, loss = call_loss(impl, inputs)
    if not isinstance(loss, Tensor) or not loss.requires_grad:
        return {"differentiable": False}
    loss.sum().backward()
    return {
        "differentiable": True,
        "gradients": {name: plain(p.grad) for name, p in model.named_parameters()},
    }


def loss_target(impl, inputs):
    """How another target is asked for, and what the loss makes of it."""
    asked = []

    def target(x0, eps, t, alpha_bars):
        asked.append({name: plain(value) for name, value in locals().items() if name != "asked"})
        return inputs["wanted"].clone()

    _, _, loss = call_loss(impl, inputs, target=target)
    return {"asked": asked, "loss": plain(loss)}


V_TARGET_INPUTS = ("x0", "eps", "t", "alpha_bars")
EPS_FROM_V_INPUTS = ("x_t", "v", "t", "alpha_bars")


def v_target(impl, inputs):
    """v of each batch."""
    batches = [[batch[name] for name in V_TARGET_INPUTS] for batch in inputs["batches"]]
    return {"found": [plain(impl.v_target(*batch)) for batch in batches]}


def eps_from_v(impl, inputs):
    """The noise of each batch."""
    batches = [[batch[name] for name in EPS_FROM_V_INPUTS] for batch in inputs["batches"]]
    return {"found": [plain(impl.eps_from_v(*batch)) for batch in batches]}


# 5.3. The probes that call update() are under enable_grad(), which puts back on what code may
# have switched off for good; otherwise the checks that come later would suffer.


class Followed(nn.Module):
    """A network with parameters of all kinds, buffers, and layers that have two modes."""

    def __init__(self):
        super().__init__()
        self.first = nn.Linear(3, 4)
        self.norm = nn.BatchNorm1d(4)  # running_mean, running_var, num_batches_tracked
        self.drop = nn.Dropout(0.5)
        self.last = nn.Linear(4, 2, bias=False)
        self.gain = nn.Parameter(torch.zeros(()))
        self.fixed = nn.Parameter(torch.zeros(2), requires_grad=False)
        self.register_buffer("table", torch.zeros(5))
        self.register_buffer("cache", torch.zeros(3), persistent=False)  # not in the state dict


PARAMETER_SHAPES = {
    "first.weight": (4, 3),
    "first.bias": (4,),
    "norm.weight": (4,),
    "norm.bias": (4,),
    "last.weight": (2, 4),
    "gain": (),
    "fixed": (2,),
}
BUFFER_SHAPES = {
    "norm.running_mean": (4,),
    "norm.running_var": (4,),
    "table": (5,),
    "cache": (3,),
}
COUNT = "norm.num_batches_tracked"


def followed(weights: dict[str, Tensor]) -> Followed:
    model = Followed()
    set_weights(model, weights)
    return model


@torch.no_grad()
def set_weights(model: nn.Module, weights: dict[str, Tensor]) -> None:
    """Write weights into a network as an optimiser does: in place."""
    own = tensors_of(model)
    for name, value in weights.items():
        own[name].copy_(value)


def tensors_of(model: nn.Module) -> dict[str, Tensor]:
    """All parameters and buffers, those that are not in the state dict among them."""
    return {**dict(model.named_parameters()), **dict(model.named_buffers())}


def weights_of(model: nn.Module) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in tensors_of(model).items()}


def count_of(ema) -> int | float | str | None:
    """The number of updates, be it a number or a tensor that holds one."""
    value = ema.num_updates
    return value.item() if isinstance(value, Tensor) and value.numel() == 1 else plain(value)


def modes(model: nn.Module) -> dict:
    """Which mode the network and its parts are in, and whether its parameters want gradients."""
    return {
        "training": sorted({part.training for part in model.modules()}),
        "requires_grad": sorted({p.requires_grad for p in model.parameters()}),
    }


def settings(model: nn.Module) -> dict:
    """The mode of each part, whether each parameter wants a gradient, and which it holds."""
    return {
        "training": {name: part.training for name, part in model.named_modules()},
        "requires_grad": {name: p.requires_grad for name, p in model.named_parameters()},
        "gradients": {name: plain(p.grad) for name, p in model.named_parameters()},
    }


@torch.enable_grad()
def ema_start(impl, inputs):
    """A fresh average, before and after the network has moved on."""
    model = followed(inputs["start"])
    ema = impl.EMA(model)
    before, count = weights_of(ema.model), count_of(ema)
    set_weights(model, inputs["moved"])
    return {"before": before, "num_updates": count, "after": weights_of(ema.model)}


@torch.enable_grad()
def ema_modes(impl, inputs):
    """Mode and need of gradients of both networks."""
    model = followed(inputs["start"]).requires_grad_(True)
    ema = impl.EMA(model)
    evidence = {"average": modes(ema.model), "network": modes(model)}
    for _ in range(2):
        ema.update(model)
    return {
        **evidence,
        "average, updated": modes(ema.model),
        "network, updated": modes(model),
        "switched off": not torch.is_grad_enabled(),
    }


@torch.enable_grad()
def ema_follow(impl, inputs):
    """The averaged parameters after each of several updates."""
    model = followed(inputs["start"])
    ema = impl.EMA(model, **inputs["options"])
    path, counts = [], []
    for weights in inputs["path"]:
        set_weights(model, weights)
        ema.update(model)
        # What comes between two updates must not show in the average.
        set_weights(model, inputs["start"])
        now = weights_of(ema.model)
        path.append({name: now.get(name) for name in PARAMETER_SHAPES})
        counts.append(count_of(ema))
    return {"path": path, "counts": counts}


@torch.enable_grad()
def ema_buffers(impl, inputs):
    """The average's buffers after an update, and after the network's have changed again."""
    model = followed(inputs["start"])
    ema = impl.EMA(model)
    set_weights(model, inputs["moved"])
    ema.update(model)
    names = (*BUFFER_SHAPES, COUNT)
    updated = weights_of(ema.model)
    set_weights(model, inputs["start"])
    later = weights_of(ema.model)
    return {
        "updated": {name: updated.get(name) for name in names},
        "later": {name: later.get(name) for name in names},
    }


@torch.enable_grad()
def ema_leaves_network(impl, inputs):
    """The network's own weights and settings after it was followed, and whether it is held."""
    model = followed(inputs["start"])
    model.norm.eval()  # a part that is not in training mode, and a parameter that is frozen
    for p in (model.first.weight, model.gain):
        p.grad = torch.ones_like(p)
    ema = impl.EMA(model)
    made = settings(model)
    set_weights(model, inputs["moved"])
    ema.update(model)
    evidence = {"network": weights_of(model), "made": made, "updated": settings(model)}
    there = weakref.ref(model)
    del model
    gc.collect()
    return {**evidence, "kept": there() is not None}


@torch.enable_grad()
def ema_restored(impl, inputs):
    """An update after weights and count were put back from outside, as by a checkpoint."""
    model = followed(inputs["start"])
    ema = impl.EMA(model, **inputs["options"])
    set_weights(model, inputs["moved"])
    ema.update(model)
    set_weights(ema.model, inputs["restored"])
    ema.num_updates = inputs["num_updates"]
    set_weights(model, inputs["start"])
    ema.update(followed(inputs["moved"]))  # another network than the one that was copied
    return average_of(ema)


def average_of(ema) -> dict:
    now = weights_of(ema.model)
    return {
        "parameters": {name: now.get(name) for name in PARAMETER_SHAPES},
        "buffers": {name: now.get(name) for name in (*BUFFER_SHAPES, COUNT)},
        "num_updates": count_of(ema),
    }


@torch.enable_grad()
def ema_replaced(impl, inputs):
    """An update after another network and a smaller count were put in from outside."""
    model = followed(inputs["start"])
    ema = impl.EMA(model)
    for _ in range(3):
        ema.update(model)
    ema.model = followed(inputs["other"]).eval().requires_grad_(False)
    ema.num_updates = 0
    ema.update(followed(inputs["moved"]))
    return average_of(ema)


# 5.4


class TwoTensors(nn.Module):
    """A network of two parameters, with a part that has a mode of its own."""

    def __init__(self, weights: dict[str, Tensor]):
        super().__init__()
        self.matrix = nn.Parameter(weights["matrix"].clone())
        self.vector = nn.Parameter(weights["vector"].clone())
        self.drop = nn.Dropout(0.5)


class StubEMA:
    """Stands in for the learner's EMA and records what it is shown."""

    def __init__(self, model: nn.Module, watched: nn.Module):
        self.model, self.watched = model, watched
        self.num_updates = 0
        self.shown = []

    def update(self, model: nn.Module) -> None:
        self.num_updates += 1
        self.shown.append({"is the model": model is self.watched, "weights": weights_of(model)})


class Bench:
    """A network, its optimiser and an average, ready for training steps."""

    def __init__(self, inputs: dict):
        self.model = TwoTensors(inputs["weights"])
        self.average = TwoTensors(inputs["weights"]).requires_grad_(False)
        self.ema = StubEMA(self.average, watched=self.model)
        # Plain gradient descent: where the weights go follows from the gradient in one line.
        self.optimizer = torch.optim.SGD(
            self.model.parameters(), lr=inputs["lr"], **inputs.get("options", {})
        )
        self.asked = []

    def step(self, impl, slopes: dict[str, Tensor], *limit: float):
        """One training step on a loss whose gradient is `slopes`, everywhere."""

        def compute_loss(model: nn.Module) -> Tensor:
            loss = sum((slopes[name] * p).sum() for name, p in model.named_parameters())
            self.asked.append(
                {
                    "is the model": model is self.model,
                    "training": sorted({part.training for part in model.modules()}),
                    "loss": loss.item(),
                }
            )
            return loss

        return impl.training_step(self.model, self.ema, self.optimizer, compute_loss, *limit)

    def leftover(self) -> dict:
        """What is left in the gradients. No verdict reads it; it tells two mistakes apart."""
        return {name: plain(p.grad) for name, p in self.model.named_parameters()}


def step_returns(impl, inputs):
    """What one step gives back."""
    bench = Bench(inputs)
    returned = bench.step(impl, inputs["slopes"], 100.0)
    return {
        "float": isinstance(returned, float),
        "kind": type(returned).__name__,
        "loss": plain(returned),
        "computed": bench.asked[0]["loss"] if bench.asked else None,
    }


def step_asks(impl, inputs):
    """How the loss is asked for, with the network in eval mode before."""
    bench = Bench(inputs)
    bench.model.eval()
    bench.step(impl, inputs["slopes"], 100.0)
    return {"asked": bench.asked}


def step_moves(impl, inputs):
    """Where the weights are after one step."""
    bench = Bench(inputs)
    bench.step(impl, inputs["slopes"], *inputs["limit"])
    return {"weights": weights_of(bench.model), "leftover": bench.leftover()}


def steps_at_limits(impl, inputs):
    """Where the weights are after one step, for each of several gradients and limits."""
    found = []
    for case in inputs["cases"]:
        bench = Bench(inputs)
        bench.step(impl, case["slopes"], case["limit"])
        found.append(weights_of(bench.model))
    return {"found": found}


def step_after_stale_gradients(impl, inputs):
    """One step with gradients left over from something else."""
    bench = Bench(inputs)
    for name, p in bench.model.named_parameters():
        p.grad = inputs["stale"][name].clone()
    bench.step(impl, inputs["slopes"], 100.0)
    return {"weights": weights_of(bench.model)}


def steps_in_a_row(impl, inputs):
    """The weights after each of several steps, and what the average was shown."""
    bench = Bench(inputs)
    path = []
    for slopes in inputs["path"]:
        bench.step(impl, slopes, *inputs["limit"])
        path.append(weights_of(bench.model))
    return {"path": path, "shown": [found["weights"] for found in bench.ema.shown]}


def step_shows_average(impl, inputs):
    """What the average is shown."""
    bench = Bench(inputs)
    bench.step(impl, inputs["slopes"], 100.0)
    return {"shown": bench.ema.shown, "weights": weights_of(bench.model)}


# 5.5


class RunningMean(nn.Module):
    """Takes away the batch's mean when training, and a running mean when not."""

    def __init__(self, width: int):
        super().__init__()
        self.register_buffer("mean", torch.zeros(width))
        self.register_buffer("batches", torch.zeros((), dtype=torch.int64))

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return x - self.mean
        with torch.no_grad():
            self.mean.lerp_(x.mean(0), 0.1)
            self.batches.add_(1)
        return x - x.mean(0)


class Tiny(nn.Module):
    """A small network with buffers that training changes."""

    def __init__(self, seed: int):
        super().__init__()
        self.first = nn.Linear(3, 4)
        self.centre = RunningMean(4)
        self.last = nn.Linear(4, 2)
        g = generator(seed)
        with torch.no_grad():
            for p in self.parameters():
                p.copy_(torch.randn(p.shape, generator=g))

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.centre(self.first(x)).tanh())


class FollowingEMA:
    """A plain average with the two attributes that a checkpoint keeps."""

    def __init__(self, seed: int):
        self.model = Tiny(seed).eval().requires_grad_(False)
        self.num_updates = 0

    @torch.no_grad()
    def update(self, model: nn.Module) -> None:
        d = min(0.9, (1 + self.num_updates) / (4 + self.num_updates))
        for shadow, value in zip(self.model.parameters(), model.parameters()):
            shadow.lerp_(value, 1 - d)
        for shadow, value in zip(self.model.buffers(), model.buffers()):
            shadow.copy_(value)
        self.num_updates += 1


class TinyRun:
    """All the objects of a training run, which begins where the seed says."""

    def __init__(self, seed: int):
        self.model = Tiny(seed)
        self.ema = FollowingEMA(seed + 1)
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=0.05, weight_decay=0.1)
        self.generator = generator(seed + 2)

    def objects(self) -> tuple:
        return self.model, self.ema, self.optimizer, self.generator

    def train(self, steps: int) -> list[dict]:
        """Train; the weights, the average and the loss after each step."""
        found = []
        for _ in range(steps):
            for group in self.optimizer.param_groups:
                group["lr"] *= 0.9  # as a schedule does that goes by the rate before
            x = torch.randn(8, 3, generator=self.generator)
            y = torch.randn(8, 2, generator=self.generator)
            self.optimizer.zero_grad()
            loss = ((self.model(x) - y) ** 2).mean()
            loss.backward()
            self.optimizer.step()
            self.ema.update(self.model)
            found.append(
                {
                    "weights": weights_of(self.model),
                    "average": weights_of(self.ema.model),
                    "loss": loss.item(),
                }
            )
        return found

    def moments(self) -> list[dict]:
        """What the optimiser remembers of each parameter."""
        parameters = [p for group in self.optimizer.param_groups for p in group["params"]]
        remembered = [self.optimizer.state.get(p, {}) for p in parameters]
        return [
            {key: torch.as_tensor(value).clone() for key, value in sorted(one.items())}
            for one in remembered
        ]


# A run that is never saved, one that is saved in the middle, and one that is loaded.
BEFORE, BETWEEN, AFTER = 3, 2, 4
STEPS_DONE = 20_000_001  # float32 has no such number
NEW = 1000  # added to the seed for freshly made objects


def _run_and_save(impl, seed: int, folder: Path) -> tuple[TinyRun, Path, list[str]]:
    """Train, save, and move the file to another place and name, as a run does when it is whole.

    A second checkpoint is written a little later, so that the first has to hold its own. Where it
    is written, which is said by a string, there is another file already.
    """
    run, written = TinyRun(seed), []
    kept = folder / "kept" / "first.pt"
    kept.parent.mkdir()
    run.train(BEFORE)
    for number in range(2):
        there = folder / f"new{number}"
        there.mkdir()
        path = there / "last.part"
        if number == 1:
            path.write_bytes(b"an older file")
        where = str(path) if number == 1 else path
        impl.save_checkpoint(where, *run.objects(), STEPS_DONE + BETWEEN * number)
        written.append(sorted(file.name for file in there.iterdir()))
        if number == 0 and path.is_file():
            path.rename(kept)
            run.train(BETWEEN)
    return run, kept, written


def _load(impl, seed: int):
    """A checkpoint loaded into freshly made objects; and what loading returned."""
    with tempfile.TemporaryDirectory() as folder:
        _, kept, _ = _run_and_save(impl, seed, Path(folder))
        fresh = TinyRun(seed + NEW)
        made = fresh.objects()
        step = impl.load_checkpoint(kept, *made) if kept.is_file() else None
    return fresh, step


def checkpoint_file(impl, inputs):
    """Which files are written."""
    with tempfile.TemporaryDirectory() as folder:
        _, _, written = _run_and_save(impl, inputs["seed"], Path(folder))
    return {"written": written}


def checkpoint_step(impl, inputs):
    """The number of steps that comes back; and from a file saved before the first step, over an
    older one, and named by a string."""
    _, step = _load(impl, inputs["seed"])
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "early.pt")
        for done in (7, 0):
            impl.save_checkpoint(path, *TinyRun(inputs["seed"]).objects(), done)
        fresh = TinyRun(inputs["seed"] + NEW).objects()
        early = impl.load_checkpoint(path, *fresh) if Path(path).is_file() else None
    return {
        "steps": [plain(step), plain(early)],
        "integers": [type(step) is int, type(early) is int],
    }


def checkpoint_weights(impl, inputs):
    """The weights and their average after loading, and whether they share memory."""
    fresh, _ = _load(impl, inputs["seed"])
    evidence = {
        "model": weights_of(fresh.model),
        "average": weights_of(fresh.ema.model),
        "modes": {"model": modes(fresh.model), "average": modes(fresh.ema.model)},
    }
    with torch.no_grad():
        for value in (*fresh.model.parameters(), *fresh.model.buffers()):
            value.add_(1)
    return {**evidence, "average, the model changed": weights_of(fresh.ema.model)}


def checkpoint_rest(impl, inputs):
    """The state of everything else after loading."""
    fresh, _ = _load(impl, inputs["seed"])
    return {
        "moments": fresh.moments(),
        "num_updates": plain(fresh.ema.num_updates),
        "next draw": torch.randn(4, generator=fresh.generator),
    }


def checkpoint_continues(impl, inputs):
    """How a loaded run goes on."""
    fresh, _ = _load(impl, inputs["seed"])
    return {"path": fresh.train(AFTER)}


def checkpoint_leaves_run(impl, inputs):
    """How a run goes on after it was saved twice; and the modes of one that is saved at rest."""
    with tempfile.TemporaryDirectory() as folder:
        run, _, _ = _run_and_save(impl, inputs["seed"], Path(folder))
        resting = TinyRun(inputs["seed"])
        resting.model.eval()
        impl.save_checkpoint(Path(folder) / "resting.pt", *resting.objects(), 0)
    kept = {"model": modes(run.model), "average": modes(run.ema.model)}
    return {"modes": kept, "at rest": modes(resting.model)["training"], "path": run.train(AFTER)}


def run_without_checkpoints(seed: int, steps: int) -> TinyRun:
    """The same run, which nobody saves: what a checkpoint has to agree with."""
    run = TinyRun(seed)
    run.train(steps)
    return run


class Trap:
    """An object that makes a folder when it is unpickled: the proof that foreign code ran."""

    def __init__(self, folder: Path):
        self.folder = folder

    def __reduce__(self):
        return os.mkdir, (str(self.folder),)


def checkpoint_stranger(impl, inputs):
    """Does a checkpoint from a stranger get its code run?"""
    ran = []
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        proof = folder / "proof"
        torch.save({"step": Trap(proof)}, folder / "zip.pt")
        (folder / "pickle.pt").write_bytes(pickle.dumps({"step": Trap(proof)}, protocol=2))
        for file in ("zip.pt", "pickle.pt"):
            try:
                impl.load_checkpoint(folder / file, *TinyRun(inputs["seed"]).objects())
            except NotImplementedError:  # an exercise that is not written yet
                raise
            except Exception:
                pass  # neither file is a checkpoint, so it is right to refuse them
            ran.append(proof.exists())
            if proof.exists():
                proof.rmdir()
    return {"ran": ran}


# 5.6. The loop is driven from outside, batch by batch, with toys that keep a record; the draws, the
# loss and the step that it calls are those of the same file.


class NotingSGD(torch.optim.SGD):
    """Plain gradient descent that notes the learning rate of every step."""

    def __init__(self, model: nn.Module, lr: float):
        first, *rest = model.parameters()
        super().__init__([{"params": [first]}, {"params": rest}], lr=lr)
        self.rates = []

    def step(self, *arguments):
        self.rates.append([group["lr"] for group in self.param_groups])
        return super().step(*arguments)


class Loop:
    """One run of the learner's loop over a few batches.

    Args:
        inputs: `images`, (N, B, C, H, W); `labels`, (N, B); `weights`; `alpha_bars`, (T,); `seed`.
        lr: of the optimiser; with 0 the network stays as it is.
        a_list: the batches come as a list of lists, not one by one from a generator.
        options: of `train`.
    """

    def __init__(self, impl, inputs, lr: float = 0.0, a_list: bool = False, **options):
        self.model = LinearInAll(inputs["weights"])
        self.average = LinearInAll(inputs["weights"]).requires_grad_(False)
        self.ema = StubEMA(self.average, watched=self.model)
        self.optimizer = NotingSGD(self.model, lr)
        self.jumps, self.noisy, self.drops = [], [], []
        self.taken, self.handed_over = 0, list(zip(inputs["images"], inputs["labels"]))
        self.generator = generator(inputs["seed"])
        self.returned = impl.train(
            self.model,
            self.ema,
            self.optimizer,
            [list(batch) for batch in self.handed_over] if a_list else self._batches(),
            inputs["alpha_bars"],
            self.generator,
            self._jump,
            self._drop,
            **options,
        )

    def _batches(self):
        for x0, labels in self.handed_over:
            self.taken += 1
            yield x0, labels

    def _jump(self, x0, t, eps, alpha_bars):
        asked = {"x0": x0, "t": t, "eps": eps, "alpha_bars": alpha_bars}
        self.jumps.append({name: plain(value) for name, value in asked.items()})
        self.noisy.append(0.5 * x0 + eps)
        return self.noisy[-1].clone()

    def _drop(self, labels, generator):
        """Labels that no batch holds, so that they can be told from those that came in."""
        known = generator is self.generator
        self.drops.append({"labels": plain(labels), "the generator": known})
        return labels + 20

    def losses(self) -> list:
        """What the loop yields, to its end."""
        return [plain(loss) for loss in self.returned]

    def asked(self) -> list[dict]:
        """What the network was asked in each step."""
        return self.model.calls


def loop_yields(impl, inputs):
    """How many batches are taken and steps are made by the time of each loss."""
    loop = Loop(impl, inputs)
    before = loop.taken
    if not hasattr(loop.returned, "__next__"):
        return {"generator": False, "returned": f"a {type(loop.returned).__name__}"}
    path = [
        {"taken": loop.taken, "steps": len(loop.optimizer.rates), "number": isinstance(loss, float)}
        for loss in loop.returned
    ]
    losses = Loop(impl, inputs, a_list=True).losses()
    return {"generator": True, "before": before, "path": path, "of a list": losses}


def loop_asks(impl, inputs):
    """What q_sample, drop_labels and the network are asked in each step."""
    loop = Loop(impl, inputs)
    loop.losses()
    return {"asked": loop.asked(), "noisy": loop.noisy, "jumps": loop.jumps, "drops": loop.drops}


def loop_asks_for_images(impl, inputs):
    """What the loop makes of another target, and what it asks of the target.

    The losses are tiny where the network answers 0 and the target is hardly more.
    """
    asked, still = [], {name: 0 * value for name, value in inputs["weights"].items()}

    def target(x0, eps, t, alpha_bars):
        asked.append({"x0": plain(x0), "t": plain(t)})
        return 3 * x0 + 1

    def near(x0, eps, t, alpha_bars):
        return inputs["tiny"] * x0

    loop = Loop(impl, inputs, target=target)
    tiny = Loop(impl, {**inputs, "weights": still}, target=near)
    return {
        "losses": loop.losses(),
        "asked": asked,
        "calls": loop.asked(),
        "noisy": loop.noisy,
        "tiny losses": tiny.losses(),
    }


def loop_asks_for_noise(impl, inputs):
    """The losses with the target that is there if none is handed in."""
    loop = Loop(impl, inputs)
    return {"losses": loop.losses(), "calls": loop.asked(), "jumps": loop.jumps}


def loop_draws(impl, inputs):
    """The draws of every step: which steps there are at all, and whether any come twice."""
    loop = Loop(impl, inputs)
    loop.losses()
    steps, noise = [call["t"] for call in loop.jumps], [call["eps"] for call in loop.jumps]
    pairs = [(i, j) for j in range(len(noise)) for i in range(j)]
    images = torch.cat(noise).flatten(1)
    again = Loop(impl, inputs)
    again.losses()
    other = Loop(impl, {**inputs, "seed": inputs["seed"] + 1})
    other.losses()
    return {
        "levels": torch.cat(steps).unique(),
        "steps in order": any(torch.equal(t, t.sort().values) for t in steps),
        "noise shared": len(images.unique(dim=0)) < len(images),
        "noise again": any(torch.equal(noise[i], noise[j]) for i, j in pairs),
        "steps again": any(torch.equal(steps[i], steps[j]) for i, j in pairs),
        "same seed, same noise": torch.equal(noise[0], again.jumps[0]["eps"]),
        "other seed, other noise": not torch.equal(noise[0], other.jumps[0]["eps"]),
        "same seed, same steps": torch.equal(steps[0], again.jumps[0]["t"]),
        "other seed, other steps": not torch.equal(steps[0], other.jumps[0]["t"]),
    }


def loop_rates(impl, inputs):
    """The learning rate of every step: a function of the step, begun late, and none at all."""
    asked = []

    def rate(step):
        asked.append(type(step).__name__)
        return 0.001 * step

    loops = {
        "rates": Loop(impl, inputs, 0.5, rate=rate),
        "late": Loop(impl, inputs, 0.5, rate=rate, first_step=40),
        "none": Loop(impl, inputs, 0.5),
    }
    for loop in loops.values():
        loop.losses()
    return {"asked": sorted(set(asked)), **{n: loop.optimizer.rates for n, loop in loops.items()}}


def loop_moves(impl, inputs):
    """How far the weights move in each step, and what the average is shown."""
    evidence = {}
    for name, options in {"tight": {"max_grad_norm": 0.0123}, "unsaid": {}}.items():
        loop = Loop(impl, inputs, 1.0, **options)
        places = [flat(loop.model)]
        for _ in loop.returned:
            places.append(flat(loop.model))
        moved = [float((new - old).norm()) for old, new in zip(places, places[1:])]
        shown = [flat_weights(found["weights"]) for found in loop.ema.shown]
        first = places[1] - places[0] if moved else None
        evidence[name] = {
            "moved": moved,
            "first move": first,
            "places": places[1:],
            "shown": shown,
        }
    return {**evidence, "first call": loop.asked()[0], "first eps": loop.jumps[0]["eps"]}


def flat(model: nn.Module) -> Tensor:
    return flat_weights(weights_of(model))


def flat_weights(weights: dict[str, Tensor]) -> Tensor:
    return torch.cat([value.flatten() for value in weights.values()])


def loop_places(impl, inputs):
    """What happens to a batch of which this process keeps every other image."""

    def place(part):
        return part[1::2]

    whole, half = Loop(impl, inputs), Loop(impl, inputs, place=place)
    whole.losses()
    half.losses()
    return {
        "whole": whole.jumps,
        "half": half.jumps,
        "asked": half.asked(),
        "dropped": [len(call["labels"]) for call in half.drops],
    }
