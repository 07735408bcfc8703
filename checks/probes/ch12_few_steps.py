"""Probes of chapter 12: they call the code under test and report what it returns."""

import torch
from torch import Tensor, nn

from checks.probes.toys import (
    GeneratorElsewhere,
    GridElsewhere,
    copied,
    draws_again,
    generator,
    identical,
    kind,
    look_of_noise,
    name_of_error,
    on_meta,
    parts,
    place,
    place_of,
    plain,
    strided,
)

# By torch, which takes seconds: for the meta device.
IMPORTED_AT_FIRST_USE = ("torch._dynamo",)


def weight_at(alpha_bars, t):
    """alpha_bar at each image's step, 1 where t = -1, shape (B, 1, 1, 1)."""
    return torch.where(t < 0, 1.0, alpha_bars[t.clamp(min=0)]).view(-1, 1, 1, 1)


def q_sample(x0, t, eps, alpha_bars):
    """Chapter 02's jump."""
    a = alpha_bars[t].view(-1, 1, 1, 1)
    return a.sqrt() * x0 + (1 - a).sqrt() * eps


# 12.1


def _three(result) -> list:
    """The three things of a result, which may be the rows of one tensor."""
    return list(result) if isinstance(result, Tensor) and len(result) == 3 else parts(result, 3)


def pairs(impl, inputs):
    """The three parts for each grid."""
    return {"walks": [_three(impl.paired_steps(timesteps=grid)) for grid in inputs["grids"]]}


def pairs_of_pairs(impl, inputs):
    """A walk taken in twos again and again, as long as that goes."""
    grid, found = inputs["grid"], []
    while len(grid) > 1:
        grid, t_mid, t_next = _three(impl.paired_steps(grid))
        found.append([grid, t_mid, t_next])
    return {"walks": found}


def pairs_refused(impl, inputs):
    return {"raised": [name_of_error(lambda g=g: impl.paired_steps(g)) for g in inputs["grids"]]}


def pairs_elsewhere(impl, inputs):
    """Where the three lie if the grid is on another device than the CPU."""
    impl.paired_steps(inputs["grid"])  # raises here if it is not written yet
    there = on_meta(inputs["grid"])
    return {"places": [place_of(lambda i=i: _three(impl.paired_steps(there))[i]) for i in range(3)]}


# 12.2


JUMP = ("x_t", "x_next", "t", "t_next", "alpha_bars")


def _jump(impl, inputs):
    return impl.jump_x0(*(inputs[name] for name in JUMP))


def jump(impl, inputs):
    return {"x0": _jump(impl, inputs)}


def jump_by_name(impl, inputs):
    """One call with all arguments by name."""
    return {"x0": impl.jump_x0(**{name: inputs[name] for name in JUMP})}


def jump_together_and_alone(impl, inputs):
    """A batch of images, not contiguous, and the same images handed in one at a time."""
    inputs = inputs | {name: strided(inputs[name]) for name in ("x_t", "x_next")}
    names = ("x_t", "x_next", "t", "t_next")
    alone = [
        _jump(impl, {**inputs, **{name: inputs[name][i : i + 1] for name in names}})
        for i in range(len(inputs["x_t"]))
    ]
    return {"together": _jump(impl, inputs), "alone": torch.cat(alone)}


def jump_elsewhere(impl, inputs):
    _jump(impl, inputs)  # raises here if it is not written yet
    return {"places": [place_of(lambda: _jump(impl, on_meta(inputs)))]}


# 12.3 and 12.4: networks that keep a record


class LinearInAll(nn.Module):
    """A network whose answer depends on image, step and label, and which records its calls."""

    def __init__(self, weights: dict[str, Tensor]):
        super().__init__()
        for name, value in weights.items():  # image, step, label, each (C, 1, 1)
            self.register_parameter(name, nn.Parameter(value.clone()))
        self.calls = []

    def forward(self, x: Tensor, t: Tensor, labels: Tensor) -> Tensor:
        self.calls.append({"x": plain(copied(x)), "t": copied(t), "labels": copied(labels)})
        step, label = (value.view(-1, 1, 1, 1).to(x.dtype) for value in (t, labels))
        return self.image * x + self.step * step + self.label * label

    def slopes(self) -> dict:
        """The gradient in each weight, zeros where none came."""
        return {
            name: torch.zeros_like(weight) if weight.grad is None else weight.grad.clone()
            for name, weight in self.named_parameters()
        }


def _learned(loss, model: nn.Module) -> dict:
    """The loss, and the gradients that it leaves in the model."""
    if not isinstance(loss, Tensor):
        return {"loss": loss, "connected": False, "slopes": {}}
    connected = loss.requires_grad and loss.ndim == 0
    if connected:
        loss.backward()
    return {"loss": plain(loss), "connected": connected, "slopes": model.slopes()}


class Lesson:
    """A student, a teacher and a jump whose answers are known, and a record of what they got."""

    def __init__(self, inputs):
        self.inputs = inputs
        self.student = LinearInAll(inputs["weights"])
        self.push = nn.Parameter(torch.ones(()))  # the teacher's own weight
        self.walked, self.jumped = [], []

    def teacher_step(self, x, t, t_next, labels):
        place = self.inputs["places"][min(len(self.walked), 1)]
        arguments = {"x": x, "t": t, "t_next": t_next, "labels": labels}
        self.walked.append({name: plain(copied(value)) for name, value in arguments.items()})
        # The numbers are the same whatever comes in, but gradients find a way through.
        return place.to(x.device) + (self.push - 1) + 0 * x

    def jump_x0(self, x_t, x_next, t, t_next, alpha_bars):
        arguments = {"x_t": x_t, "x_next": x_next, "t": t, "t_next": t_next, "bars": alpha_bars}
        self.jumped.append({name: plain(copied(value)) for name, value in arguments.items()})
        return self.inputs["x0"].to(x_t.device) + 0 * x_next

    def loss(self, impl, **changes):
        given = {**self.inputs, **changes}
        return impl.distillation_loss(
            student=given.get("student", self.student),
            teacher_step=given.get("teacher_step", self.teacher_step),
            x_t=given["x_t"],
            steps=(given["t"], given["t_mid"], given["t_next"]),
            labels=given["labels"],
            alpha_bars=given["alpha_bars"],
            jump_x0=given.get("jump_x0", self.jump_x0),
        )


def distilled(impl, inputs):
    """One loss, its gradients, and who was asked what."""
    lesson = Lesson(inputs)
    found = _learned(lesson.loss(impl), lesson.student)
    taught = lesson.push.grad is not None and bool(lesson.push.grad != 0)
    return {
        **found,
        "teacher learns": taught,
        "student": lesson.student.calls,
        "teacher": lesson.walked,
        "jump": lesson.jumped,
    }


def distilled_in_place(impl, inputs):
    """The student is its own teacher: gradients may come by the student's answer alone."""
    lesson = Lesson(inputs)

    def teacher_step(x, t, t_next, labels):
        return 0.9 * x - 0.1 * lesson.student(x, t, labels)

    def jump_x0(x_t, x_next, t, t_next, alpha_bars):
        return 0.3 * x_next - 0.2 * x_t

    loss = lesson.loss(impl, teacher_step=teacher_step, jump_x0=jump_x0)
    return _learned(loss, lesson.student)


def _exact_places(inputs):
    """Mean and spread of x at a step, for data N(mean, std^2), as functions of t."""

    def at(t):
        a = weight_at(inputs["alpha_bars"], t)
        return a.sqrt() * inputs["mean"], (a * inputs["std"] ** 2 + 1 - a).sqrt()

    return at


def distilled_gaussian(impl, inputs):
    """For Gaussian data: the loss of the student that jumps as far as the curve, and of others."""
    at, bars = _exact_places(inputs), inputs["alpha_bars"]

    def along(x, t, t_next, labels):
        (m, s), (m_next, s_next) = at(t), at(t_next)
        return m_next + s_next * (x - m) / s

    def jump_x0(x_t, x_next, t, t_next, alpha_bars):
        a, a_next = weight_at(alpha_bars, t), weight_at(alpha_bars, t_next)
        # Both places are mixtures of the same two; taken together they give the image.
        weights = torch.stack([a.sqrt(), (1 - a).sqrt(), a_next.sqrt(), (1 - a_next).sqrt()])
        image, noise, image_next, noise_next = weights
        return (noise * x_next - noise_next * x_t) / (noise * image_next - noise_next * image)

    def student(x, t, labels):
        x_next = along(x, t, inputs["t_next"], labels)
        x0 = jump_x0(x, x_next, t, inputs["t_next"], bars) + inputs["off"]
        a = weight_at(bars, t)
        return (a.sqrt() * x - x0) / (1 - a).sqrt()

    lesson = Lesson(inputs)
    loss = lesson.loss(impl, student=student, teacher_step=along, jump_x0=jump_x0)
    return {"loss": plain(loss)}


def distilled_elsewhere(impl, inputs):
    lesson = Lesson(inputs)
    lesson.loss(impl)  # raises here if it is not written yet
    there = Lesson(inputs)
    there.student = there.student.to("meta")
    there.push = nn.Parameter(torch.ones((), device="meta"))
    names = ("x_t", "t", "t_mid", "t_next", "labels", "alpha_bars")
    changes = {name: inputs[name].to("meta") for name in names}
    return {"places": [place_of(lambda: there.loss(impl, student=there.student, **changes))]}


# 12.4


CONSISTENCY = ("x0", "t", "t_next", "labels", "eps", "alpha_bars")


def _consistent(impl, inputs, model, jump=q_sample):
    given = {name: inputs[name] for name in CONSISTENCY}
    return impl.consistency_loss(model=model, **given, q_sample=jump)


def consistent(impl, inputs):
    """One loss, its gradients, and what the network was asked about."""
    model = LinearInAll(inputs["weights"])
    found = _learned(_consistent(impl, inputs, model), model)
    forms = {str(call[name].dtype) for call in model.calls for name in ("t", "labels")}
    lowest = min((int(call["t"].min()) for call in model.calls), default=0)
    return {**found, "lowest": lowest, "forms": sorted(forms)}


def consistent_with_another_jump(impl, inputs):
    """The loss where q_sample makes other images than chapter 02's, and what it was handed."""
    asked = []

    def jump(x0, t, eps, alpha_bars):
        whole = identical(alpha_bars, inputs["alpha_bars"])
        asked.append({"lowest": int(t.min()), "whole": whole, "form": str(t.dtype)})
        return 0.4 * x0 + 0.7 * eps + 0.1 * t.view(-1, 1, 1, 1)

    model = LinearInAll(inputs["weights"])
    loss = plain(_consistent(impl, inputs, model, jump))
    return {
        "loss": loss,
        "lowest": min((call["lowest"] for call in asked), default=0),
        "whole": all(call["whole"] for call in asked),
        "forms": sorted({call["form"] for call in asked}),
    }


def consistent_gaussian(impl, inputs):
    """The loss of the exact consistency function for data N(mean, std^2), put as a v."""
    at, bars = _exact_places(inputs), inputs["alpha_bars"]

    def model(x, t, labels):
        m, s = at(t)
        a = weight_at(bars, t)
        image = inputs["mean"] + inputs["std"] * (x - m) / s
        return (a.sqrt() * x - image) / (1 - a).sqrt()

    return {"loss": plain(_consistent(impl, inputs, model))}


def consistent_elsewhere(impl, inputs):
    model = LinearInAll(inputs["weights"])
    _consistent(impl, inputs, model)  # raises here if it is not written yet
    there = on_meta(inputs)
    return {"places": [place_of(lambda: _consistent(impl, there, model.to("meta")))]}


# 12.5 and 12.6: walks


class Walked:
    """A walk whose network and steps answer from a list and keep what they get."""

    def __init__(self, inputs):
        self.inputs, self.seen, self.steps, self.jumps = inputs, [], [], []
        self.last = len(inputs["states"]) - 1

    def predict_eps(self, x, t):
        self.seen.append({"x": plain(copied(x)), "t": copied(t)})
        return self.inputs["eps"][min(len(self.seen) - 1, self.last)].clone()

    def step(self, x, t, t_next, eps):
        arguments = {"x": x, "t": t, "t_next": t_next, "eps": eps}
        self.steps.append({name: plain(copied(value)) for name, value in arguments.items()})
        return self.inputs["states"][min(len(self.steps) - 1, self.last)].clone()

    def q_sample(self, x0, t, eps, alpha_bars):
        whole = identical(alpha_bars, self.bars)
        self.jumps.append({"whole": whole, "forms": [str(x0.dtype), kind(t)]})
        return q_sample(x0, t, eps, alpha_bars)

    @property
    def bars(self):
        return self.inputs["alpha_bars"]

    def record(self, result) -> dict:
        return {
            "x": plain(result),
            "seen": [call["x"] for call in self.seen],
            "stepped": [call["x"] for call in self.steps],
            "eps": [call["eps"] for call in self.steps],
            "t": [_numbers(call["t"]) for call in self.steps],
            "t_next": [_numbers(call["t_next"]) for call in self.steps],
            "asked": [_numbers(call["t"]) for call in self.seen],
            "forms": sorted({kind(c[n]) for c in self.steps for n in ("t", "t_next")}),
            "forms of network": sorted({kind(call["t"]) for call in self.seen}),
            "whole": all(jump["whole"] for jump in self.jumps),
            "jumps": sorted({form for jump in self.jumps for form in jump["forms"]}),
        }


def _numbers(value):
    """The numbers in a t, each once; a single one alone."""
    if isinstance(value, Tensor):
        value = sorted(set(value.flatten().tolist()))
        return value[0] if len(value) == 1 else value
    return value if isinstance(value, int | float) else "no number"


def _paint(impl, inputs, predict_eps, step, jump=q_sample, source=None):
    """A call of inpaint with all arguments by name."""
    return impl.inpaint(
        predict_eps=predict_eps,
        step=step,
        x_T=inputs["x_T"],
        timesteps=inputs["grid"],
        known=inputs["known"],
        mask=inputs["mask"],
        generator=source or generator(inputs["seed"]),
        alpha_bars=inputs["alpha_bars"],
        q_sample=jump,
    )


def _redraw(impl, inputs, predict_eps, step, jump=q_sample, source=None):
    """A call of edit with all arguments by name."""
    return impl.edit(
        predict_eps=predict_eps,
        step=step,
        picture=inputs["picture"],
        timesteps=inputs["grid"],
        t_start=inputs["t_start"],
        generator=source or generator(inputs["seed"]),
        alpha_bars=inputs["alpha_bars"],
        q_sample=jump,
    )


def painted(impl, inputs):
    walk = Walked(inputs)
    return walk.record(_paint(impl, inputs, walk.predict_eps, walk.step, walk.q_sample))


def redrawn(impl, inputs):
    walk = Walked(inputs)
    return walk.record(_redraw(impl, inputs, walk.predict_eps, walk.step, walk.q_sample))


def _mixing(x, t, t_next, eps):
    """A step in which every pixel has a say in every other."""
    return 0.6 * x + 0.3 * eps + x.mean(dim=(1, 2, 3), keepdim=True)


def _generator_use(call, inputs):
    def walk(source):
        return call(lambda x, t: 0.5 * x, _mixing, source)

    before = torch.get_rng_state()
    walk(generator(inputs["seed"]))
    untouched = torch.equal(before, torch.get_rng_state())
    return {**draws_again(walk), "torch's own untouched": untouched}


def painted_again(impl, inputs):
    """Does the result follow the generator, and nothing but the generator?"""
    return _generator_use(
        lambda network, step, source: _paint(impl, inputs, network, step, source=source), inputs
    )


def redrawn_again(impl, inputs):
    return _generator_use(
        lambda network, step, source: _redraw(impl, inputs, network, step, source=source), inputs
    )


def painted_noise(impl, inputs):
    """What noise is on the known pixels when the network sees them; here all pixels are known."""
    walk, bars = Walked(inputs), inputs["alpha_bars"]
    _paint(impl, inputs, walk.predict_eps, walk.step)
    found = []
    for call in walk.seen:
        a = weight_at(bars, call["t"])
        found.append((call["x"] - a.sqrt() * inputs["known"]) / (1 - a).sqrt())
    return look_of_noise(torch.stack(found), inputs["x_T"])


def redrawn_noise(impl, inputs):
    """What noise is on the picture when it is first shown, in two walks with one generator."""
    source, found = generator(inputs["seed"]), []
    for _ in range(2):
        walk = Walked(inputs)
        _redraw(impl, inputs, walk.predict_eps, walk.step, source=source)
        a = weight_at(inputs["alpha_bars"], walk.seen[0]["t"])
        found.append((walk.seen[0]["x"] - a.sqrt() * inputs["picture"]) / (1 - a).sqrt())
    return look_of_noise(torch.stack(found), inputs["x_T"])


def _graph(call):
    """Does anything hang on a graph, when the network has weights to train?"""
    weight = torch.tensor(0.5, requires_grad=True)
    inside = []

    def predict_eps(x, t):
        inside.append(x.requires_grad)
        return weight * x

    x0 = call(predict_eps, _mixing)
    return {
        "during": any(inside),
        "x0": isinstance(x0, Tensor) and x0.requires_grad,
        "film": False,
        "afterwards": torch.is_grad_enabled(),
    }


def painted_graph(impl, inputs):
    return _graph(lambda network, step: _paint(impl, inputs, network, step))


def redrawn_graph(impl, inputs):
    return _graph(lambda network, step: _redraw(impl, inputs, network, step))


def _there(call, inputs, names):
    """Where t, t_next and the result lie if these inputs and the grid are on another device."""
    there = {**inputs, **{name: inputs[name].to("meta") for name in names}}
    there["grid"] = inputs["grid"].as_subclass(GridElsewhere)
    places = {"t": set(), "t_next": set(), "x_0": set()}

    def predict_eps(x, t):
        places["t"].add(place(t))
        return x.clone()

    def step(x, t, t_next, eps):
        places["t_next"].add(place(t_next))
        return x.clone()

    def jump(x0, t, eps, alpha_bars):
        places["t"].add(place(t))
        return x0 + eps

    source = GeneratorElsewhere().manual_seed(inputs["seed"])
    places["x_0"].add(place_of(lambda: call(there, predict_eps, step, jump, source)))
    return {name: sorted(found) for name, found in places.items()}


def painted_elsewhere(impl, inputs):
    painted(impl, inputs)  # raises here if it is not written yet
    names = ("x_T", "known", "mask", "alpha_bars")
    return _there(lambda *asked: _paint(impl, *asked), inputs, names)


def redrawn_elsewhere(impl, inputs):
    redrawn(impl, inputs)  # raises here if it is not written yet
    return _there(lambda *asked: _redraw(impl, *asked), inputs, ("picture", "alpha_bars"))


def redraws_refused(impl, inputs):
    """What is raised for each t_start."""
    walk = Walked(inputs)
    return {
        "raised": [
            name_of_error(
                lambda start=start: _redraw(
                    impl, {**inputs, "t_start": start}, walk.predict_eps, walk.step
                )
            )
            for start in inputs["starts"]
        ]
    }


def redraws(impl, inputs):
    """Walks that begin at several t_start."""
    found = []
    for start in inputs["starts"]:
        walk = Walked(inputs)
        result = _redraw(
            impl, {**inputs, "t_start": start}, walk.predict_eps, walk.step, walk.q_sample
        )
        found.append(walk.record(result))
    return {"walks": found}
