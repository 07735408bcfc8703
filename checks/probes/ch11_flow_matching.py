"""Probes of chapter 11: they call the code under test and report what it returns."""

import torch
from torch import Tensor

from checks.probes.toys import (
    GeneratorElsewhere,
    alike,
    copied,
    draws_again,
    generator,
    identical,
    kind,
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


def times(value, batch: int):
    """What the times are that something was called with; in words if they are none."""
    right = isinstance(value, Tensor) and value.shape == (batch,) and value.is_floating_point()
    return value.detach().float().tolist() if right else kind(value)


def came_as(result):
    """Whether a result is a tuple, and what it is."""
    return {"pair": isinstance(result, tuple), "returned": f"a {type(result).__name__}"}


# 11.1


def path(impl, inputs):
    """The line's point and its velocity, and whether they came as a pair."""
    result = impl.straight_path(x0=inputs["x0"], eps=inputs["eps"], t=inputs["t"])
    x_t, velocity = parts(result, 2)
    return {**came_as(result), "x_t": x_t, "velocity": velocity}


def path_of_strided(impl, inputs):
    """The same of images that are not contiguous in memory."""
    images = {name: strided(inputs[name]) for name in ("x0", "eps")}
    return path(impl, {**inputs, **images})


def path_elsewhere(impl, inputs):
    """Where the results lie if everything handed in lies on another device than the CPU."""
    path(impl, inputs)  # raises here if it is not written yet
    there = on_meta(inputs)
    return {
        name: place_of(lambda name=name: path(impl, there)[name]) for name in ("x_t", "velocity")
    }


# 11.2


def _times(impl, inputs, source):
    options = {name: inputs[name] for name in ("spread", "mean", "std") if name in inputs}
    return impl.draw_times(inputs["count"], source, **options)


def drawn(impl, inputs):
    """The form of the times, and whether they are from 0 to 1."""
    t = _times(impl, inputs, generator(inputs["seed"]))
    inside = isinstance(t, Tensor) and bool(((t >= 0) & (t <= 1)).all())
    return {"form": kind(t), "inside": inside}


def _figures(values):
    """Mean and spread of draws, and the share beyond two standard deviations.

    Rounded, so that the same mistake gives the same figures in whatever order numbers are drawn.
    """
    centred = (values - values.mean()) / values.std()
    return {
        "mean": round(20 * float(values.mean())) / 20,
        "std": round(20 * float(values.std())) / 20,
        "beyond two": round(float((centred.abs() > 2).double().mean()), 2),
    }


def _look(t):
    """What many draws look like, in figures that any draw agrees on; or their form."""
    if not isinstance(t, Tensor) or t.ndim != 1 or len(t) < 1000:
        return {"form": kind(t)}
    t = t.double()
    half = len(t) // 2
    neighbours = torch.stack([t[:-1], t[1:]])
    return {
        "form": "times",
        "t": _figures(t),
        "logit": _figures(torch.logit(t, eps=1e-3)),
        "low": round(float((t < 0.1).double().mean()), 2),
        "high": round(float((t > 0.9).double().mean()), 2),
        "repeated": len(t.unique()) < 0.99 * len(t),
        "sorted": bool((t.diff() >= 0).all() or (t.diff() <= 0).all()),
        "neighbours": alike(neighbours),
        "halves": alike(torch.stack([t[:half], t[half : 2 * half]])),
        "mirrored": alike(torch.stack([t[:half], t.flip(0)[:half]])),
        "even": float((t.sort().values - torch.linspace(0, 1, len(t)).double()).abs().max())
        < 2 / len(t),
    }


def look(impl, inputs):
    return _look(_times(impl, inputs, generator(inputs["seed"])))


def look_by_default(impl, inputs):
    """The same, and whether the default values are what is drawn when they are named."""
    t = _times(impl, inputs, generator(inputs["seed"]))
    named = _times(impl, {**inputs, "mean": 0.0, "std": 1.0}, generator(inputs["seed"]))
    alike_named = kind(t) == kind(named) and isinstance(t, Tensor) and torch.allclose(t, named)
    return {**_look(t), "as named": alike_named}


def look_by_name(impl, inputs):
    """The same with every argument named."""
    options = {name: inputs[name] for name in ("count", "spread", "mean", "std") if name in inputs}
    return _look(impl.draw_times(generator=generator(inputs["seed"]), **options))


def looks_closer(impl, inputs):
    """Mean and standard deviation of log( t / (1 - t) ), for several that are asked for.

    Rounded to a twentieth of the standard deviation asked for, which tells from others that are
    very close, and gives the same figures in whatever order numbers are drawn.
    """
    found = []
    for mean, std in inputs["normals"]:
        asked = {**inputs, "mean": mean, "std": std}
        t = _times(impl, asked, generator(inputs["seed"]))
        if not isinstance(t, Tensor) or t.ndim != 1 or len(t) < 1000:
            found.append({"form": kind(t)})
            continue
        z = (torch.logit(t.double(), eps=1e-9) - mean) / std
        figures = _figures(z)
        found.append(
            {
                "form": "times",
                "mean": mean + std * figures["mean"],
                "std": std * figures["std"],
            }
        )
    return {"found": found}


def ends_reached(impl, inputs):
    """Do times come up, in any of many calls, that are closer to 0 and to 1 than `closer`?"""
    source, near_0, near_1 = generator(inputs["seed"]), False, False
    for _ in range(inputs["calls"]):
        t = _times(impl, inputs, source)
        if not isinstance(t, Tensor):
            break
        near_0 = near_0 or bool((t < inputs["closer"]).any())
        near_1 = near_1 or bool((t > 1 - inputs["closer"]).any())
        if near_0 and near_1:
            break
    return {"near 0": near_0, "near 1": near_1}


def times_again(impl, inputs):
    """Does the generator decide on the draws, and nothing else?"""
    found = {}
    for spread in ("uniform", "logit_normal"):

        def draw(source, spread=spread):
            return _times(impl, {**inputs, "spread": spread}, source)

        before = torch.get_rng_state()
        draw(generator(inputs["seed"]))
        untouched = torch.equal(before, torch.get_rng_state())
        found[spread] = {**draws_again(draw), "torch's own untouched": untouched}
    return found


def refused_spreads(impl, inputs):
    def call(spread):
        return impl.draw_times(3, generator(1), spread)

    return {"raised": [name_of_error(lambda s=s: call(s)) for s in inputs["spreads"]]}


def times_elsewhere(impl, inputs):
    """Where the times lie if the generator belongs to another device than the CPU."""
    _times(impl, inputs, generator(1))  # raises here if it is not written yet
    source = GeneratorElsewhere().manual_seed(1)
    return {
        "places": [
            place_of(lambda spread=spread: _times(impl, {**inputs, "spread": spread}, source))
            for spread in ("uniform", "logit_normal")
        ]
    }


# Networks that keep a record


def toy_velocity(x, time, labels):
    """A velocity to which image, time and label matter. Time is on the network's scale."""
    time, labels = time.float().view(-1, 1, 1, 1), labels.float().view(-1, 1, 1, 1)
    return 0.8 * x + 0.3 * torch.cos(0.7 * labels + 0.01 * time) - 0.002 * time


class Network:
    """The toy velocity, which writes down what it is asked."""

    def __init__(self):
        self.asked = []

    def __call__(self, x, t, labels):
        self.asked.append(tuple(copied(value) for value in (x, t, labels)))
        return toy_velocity(x, t, labels)


# 11.3


class Path:
    """Stands in for 11.1's: records its calls, and answers what no formula gives."""

    def __init__(self, inputs):
        self.inputs, self.calls = inputs, []

    def __call__(self, x0, eps, t):
        asked = zip(("x0", "eps", "t"), (x0, eps, t))
        given = self.inputs
        self.calls.append(
            {
                name: isinstance(value, Tensor) and identical(value, given[name])
                for name, value in asked
            }
        )
        return self.inputs["x_t"], self.inputs["velocity"]  # themselves: nobody may change them


LOSS = ("x0", "t", "labels", "eps")


def loss(impl, inputs):
    """The loss, and what path and network were asked for it."""
    network, line = Network(), Path(inputs)
    value = impl.flow_loss(network, *(inputs[name] for name in LOSS), line)
    return {"loss": plain(value), "path": line.calls, "asked": [list(a) for a in network.asked]}


def loss_by_name(impl, inputs):
    """The loss alone, all arguments by name; images and noise not contiguous in memory."""
    named = {name: inputs[name] for name in LOSS}
    named |= {name: strided(inputs[name]) for name in ("x0", "eps")}
    value = impl.flow_loss(model=Network(), path=Path(inputs), **named)
    return {"loss": plain(value)}


def loss_of_known_errors(impl, inputs):
    """The loss of answers that are off by the same in every pixel."""
    arguments, line = [inputs[name] for name in LOSS], Path(inputs)
    return {
        "losses": [
            plain(impl.flow_loss(lambda x, t, y, by=by: inputs["velocity"] + by, *arguments, line))
            for by in inputs["errors"]
        ]
    }


def loss_gradient(impl, inputs):
    """The gradient that arrives at the network's weights."""
    weight = torch.full_like(inputs["x0"], inputs["weight"]).requires_grad_()
    arguments = [inputs[name] for name in LOSS]
    with torch.enable_grad():
        value = impl.flow_loss(lambda x, t, y: weight * x, *arguments, Path(inputs))
        if not isinstance(value, Tensor) or not value.requires_grad:
            return {"gradient": None}
        value.sum().backward()
    return {"gradient": weight.grad}


def loss_elsewhere(impl, inputs):
    """Where the network's inputs and the loss lie if all that is handed in lies elsewhere."""
    loss(impl, inputs)  # raises here if it is not written yet
    there, places = on_meta(inputs), {}

    def network(x, t, labels):
        places.update(x=place(x), t=place(t), labels=place(labels))
        return x.clone()

    def line(x0, eps, t):
        return there["x_t"].clone(), there["velocity"].clone()

    places["loss"] = place_of(
        lambda: impl.flow_loss(network, *(there[name] for name in LOSS), line)
    )
    return {"places": places}


# 11.4


def field(x, t):
    """A velocity that changes with place and time, and is no straight line in either."""
    t = t.view(-1, 1, 1, 1)
    return 0.6 * torch.sin(2 * x) + 0.9 * t**2 - 0.4 * x * t


class Field:
    """The same, with a record."""

    def __init__(self):
        self.asked = []

    def __call__(self, x, t):
        self.asked.append([copied(x), copied(t)])
        return field(x, t)


STEP = ("x_t", "t", "t_next")


def one_step(impl, inputs):
    """One step, and where the velocity was asked; images not contiguous in memory."""
    velocity, step = Field(), getattr(impl, inputs["step"])
    inputs = {**inputs, "x_t": strided(inputs["x_t"])}
    x = step(velocity, *(inputs[name] for name in STEP))
    return {"x": x, "asked": velocity.asked}


def one_step_by_name(impl, inputs):
    step = getattr(impl, inputs["step"])
    return {"x": step(velocity=field, **{name: inputs[name] for name in STEP})}


def steps_of_a_line(impl, inputs):
    """A step along velocities that never change, with both rules."""

    def velocity(x, t):
        return inputs["velocity"]  # itself: nobody may change it

    arguments = [inputs[name] for name in STEP]
    return {
        "euler": impl.euler_step(velocity, *arguments),
        "heun": impl.heun_step(velocity, *arguments),
    }


def gaussian_velocity(mean, std):
    """The exact velocity where the data is Gaussian, N(mean, std^2)."""

    def velocity(x, t):
        t = t.view(-1, 1, 1, 1)
        spread = ((1 - t) ** 2 * std**2 + t**2).sqrt()
        growth = (t - (1 - t) * std**2) / spread
        return -mean + growth / spread * (x - (1 - t) * mean)

    return velocity


def gaussian_walks(impl, inputs):
    """Walks from t = 1 to 0 for Gaussian data, in several numbers of steps."""
    velocity, step = gaussian_velocity(inputs["mean"], inputs["std"]), getattr(impl, inputs["step"])
    found = []
    for count in inputs["counts"]:
        x = inputs["x_1"]
        for k in range(count):
            t, t_next = (torch.full((len(x),), 1 - n / count) for n in (k, k + 1))
            x = step(velocity, x, t, t_next)
        found.append(x)
    return {"x": found}


def steps_elsewhere(impl, inputs):
    """Where the result lies if everything handed in lies on another device than the CPU."""
    names = ("euler_step", "heun_step")
    for name in names:
        one_step(impl, {**inputs, "step": name})  # raises here if it is not written yet
    there = on_meta({name: inputs[name] for name in STEP})
    return {"places": [place_of(lambda n=n: getattr(impl, n)(field, **there)) for n in names]}


# 11.5


def flow_of(impl, inputs):
    """The points of the lines and their times."""
    result = impl.to_flow(strided(inputs["x_t"]), inputs["alpha_bar"])
    x, t = parts(result, 2)
    return {**came_as(result), "x": x, "t": t}


def diffusion_of(impl, inputs):
    """The way back."""
    result = impl.to_diffusion(strided(inputs["x"]), inputs["t"])
    x_t, alpha_bar = parts(result, 2)
    return {**came_as(result), "x_t": x_t, "alpha_bar": alpha_bar}


def there_and_back(impl, inputs):
    """From the cosine model to the flow and back, and the other way round."""
    x, t = parts(impl.to_flow(inputs["x_t"], inputs["alpha_bar"]), 2)
    x_t, alpha_bar = parts(impl.to_diffusion(inputs["x"], inputs["t"]), 2)
    return {
        "diffusion": parts(impl.to_diffusion(x, t), 2),
        "flow": parts(impl.to_flow(x_t, alpha_bar), 2),
    }


def velocity_of(impl, inputs):
    """The velocity, all by name, from tensors that are not contiguous in memory."""
    images = {name: strided(inputs[name]) for name in ("x_t", "v")}
    return {"velocity": impl.velocity_from_v(alpha_bar=inputs["alpha_bar"], **images)}


def eps_of(impl, inputs):
    """The noise, all by name, from tensors that are not contiguous in memory."""
    images = {name: strided(inputs[name]) for name in ("x", "velocity")}
    return {"eps": impl.eps_from_velocity(t=inputs["t"], **images)}


def gaussian_family(impl, inputs):
    """For Gaussian data: the velocity that the best v stands for, at the flow's place and time."""
    a, mean, std = inputs["alpha_bar"].view(-1, 1, 1, 1), inputs["mean"], inputs["std"]
    x_t = inputs["x_t"]
    variance = a * std**2 + 1 - a
    excess = (x_t - a.sqrt() * mean) / variance
    x0, eps = mean + a.sqrt() * std**2 * excess, (1 - a).sqrt() * excess
    v = a.sqrt() * eps - (1 - a).sqrt() * x0
    x, t = parts(impl.to_flow(x_t, inputs["alpha_bar"]), 2)
    velocity = impl.velocity_from_v(x_t, v, inputs["alpha_bar"])
    return {"x": x, "t": t, "velocity": velocity}


def family_elsewhere(impl, inputs):
    """Where the results lie if everything handed in lies on another device than the CPU."""
    there = on_meta(inputs)

    def call(source, name):
        if name == "to_flow":
            return parts(impl.to_flow(source["x_t"], source["alpha_bar"]), 2)
        if name == "to_diffusion":
            return parts(impl.to_diffusion(source["x"], source["t"]), 2)
        if name == "velocity_from_v":
            return [impl.velocity_from_v(source["x_t"], source["v"], source["alpha_bar"])]
        return [impl.eps_from_velocity(source["x"], source["velocity"], source["t"])]

    found = {}
    names = {"to_flow": 2, "to_diffusion": 2, "velocity_from_v": 1, "eps_from_velocity": 1}
    for name, count in names.items():
        call(inputs, name)  # raises here if it is not written yet
        found[name] = [place_of(lambda n=name, i=i: call(there, n)[i]) for i in range(count)]
    return found


# 11.6

GUIDED = ("x_t", "t", "labels", "guidance_scale", "null_label")


def guided(impl, inputs):
    """The guided velocity, and what the network was asked for it.

    `rows` tells for each image that the network saw which of the images it was, at which time
    and with which label; sorted, as the order in the batch is free.
    """
    network = Network()
    velocity = impl.guided_velocity(network, *(inputs[name] for name in GUIDED))
    rows = sorted(row for asked in network.asked for row in _rows(asked, inputs["x_t"]))
    return {
        "velocity": velocity,
        "calls": len(network.asked),
        "shapes": [[list(value.shape) for value in asked] for asked in network.asked],
        "dtypes": [[str(value.dtype) for value in asked] for asked in network.asked],
        "rows": [list(row) for row in rows],
    }


def _rows(asked, images):
    """(number of the image, time, label) for each row of a batch; -1 for an unknown image."""
    x, t, labels = asked
    for row, time, label in zip(x, t.flatten().tolist(), labels.flatten().tolist()):
        known = [i for i, image in enumerate(images) if identical(image, row)]
        yield (known[0] if known else -1, round(time, 4), label)


def guided_values(impl, inputs):
    """The guided velocity for several scales, all arguments by name, x_t not contiguous."""
    named = {name: inputs[name] for name in GUIDED[1:3]} | {"null_label": inputs["null_label"]}
    x_t = strided(inputs["x_t"])
    return {
        "velocity": [
            impl.guided_velocity(model=Network(), x_t=x_t, guidance_scale=w, **named)
            for w in inputs["scales"]
        ]
    }


def guided_in_training(impl, inputs):
    """The guided velocity of a network whose weight is being trained, and are gradients on?"""
    weight = torch.tensor(inputs["weight"], requires_grad=True)
    with torch.enable_grad():
        velocity = impl.guided_velocity(
            lambda x, t, labels: weight * toy_velocity(x, t, labels),
            *(inputs[name] for name in GUIDED),
        )
        on = torch.is_grad_enabled()
    return {"velocity": plain(velocity), "gradients on": on}


def guided_elsewhere(impl, inputs):
    """Where the network's inputs and the result lie if x_t, t and labels are not on the CPU."""
    impl.guided_velocity(Network(), *(inputs[name] for name in GUIDED))
    there, places = on_meta(inputs), {}

    def network(x, t, labels):
        places.update(x=place(x), t=place(t), labels=place(labels))
        return x.clone()

    places["velocity"] = place_of(
        lambda: impl.guided_velocity(network, *(there[name] for name in GUIDED))
    )
    return {"places": places}


# 11.7


def straight_ways(impl, inputs):
    """The straightness of a flow whose velocities never change, and of one that turns around."""

    def constant(x, t):
        return inputs["velocity"].clone()

    def turning(x, t):
        return torch.where(t > 0.5, 1.0, -1.0).view(-1, 1, 1, 1) * inputs["velocity"]

    x_1 = inputs["x_1"]
    return {
        "constant": impl.straightness(constant, x_1, inputs["num_steps"]),
        "turning": impl.straightness(turning, x_1, inputs["num_steps"]),
    }


def gaussian_straightness(impl, inputs):
    """The straightness where the data is Gaussian, all arguments by name."""
    velocity = gaussian_velocity(inputs["mean"], inputs["std"])
    return {
        "found": [
            impl.straightness(velocity=velocity, x_1=strided(inputs["x_1"]), num_steps=n)
            for n in inputs["counts"]
        ]
    }


def visited(impl, inputs):
    """Where the velocity was asked, and the images handed to it."""
    seen = []

    def velocity(x, t):
        seen.append((copied(x), times(t, len(x))))
        return inputs["velocity"] * len(seen)

    impl.straightness(velocity, inputs["x_1"], inputs["num_steps"])
    return {"times": [t for _, t in seen], "images": [x for x, _ in seen]}


def straightness_graph(impl, inputs):
    """Does the number hang on a graph, if the velocity has a weight, and are they on again?"""
    weight, inside = torch.tensor(0.5, requires_grad=True), []

    def velocity(x, t):
        inside.append(x.requires_grad)
        return weight * x

    with torch.enable_grad():
        value = impl.straightness(velocity, inputs["x_1"], inputs["num_steps"])
        on = torch.is_grad_enabled()
    return {"during": any(inside), "result": _hangs(value), "on": on}


def _hangs(value) -> bool:
    return isinstance(value, Tensor) and value.requires_grad


def pairs(impl, inputs):
    """What the walk was handed, and what came back beside what."""
    handed = []

    def walk(x):
        handed.append(copied(x))
        return inputs["x0"].clone()

    source = generator(inputs["seed"])
    result = impl.reflow_pairs(walk=walk, shape=tuple(inputs["shape"]), generator=source)
    x0, eps = parts(result, 2)
    return {
        **came_as(result),
        "calls": len(handed),
        "forms": [kind(handed[0]) if handed else "nothing", kind(x0), kind(eps)],
        "x0 is the walk's": isinstance(x0, Tensor) and identical(x0, inputs["x0"]),
        "eps is the walk's": bool(handed) and isinstance(eps, Tensor) and identical(eps, handed[0]),
        "eps holds the same numbers": bool(handed)
        and isinstance(eps, Tensor)
        and identical(eps.flatten().sort().values, handed[0].flatten().sort().values),
    }


def pairs_of_a_flow(impl, inputs):
    """Pairs of the exact flow of Gaussian data: (x0, eps)."""

    def walk(x):
        return inputs["mean"] + inputs["std"] * x

    result = impl.reflow_pairs(walk, tuple(inputs["shape"]), generator(inputs["seed"]))
    x0, eps = parts(result, 2)
    if not isinstance(x0, Tensor) or not isinstance(eps, Tensor):
        return {"forms": [kind(x0), kind(eps)]}
    error = float((x0 - walk(eps)).abs().max())
    centred = (eps - eps.mean()) / eps.std()
    return {
        "forms": [kind(x0), kind(eps)],
        "on the line": error < 1e-5,
        "mean": round(float(eps.mean()), 1) + 0.0,
        "std": round(float(eps.std()), 1),
        "beyond two": round(float((centred.abs() > 2).float().mean()), 2),
        "images": alike(eps.flatten(1)),
        "channels": alike(eps.movedim(1, 0).flatten(1)),
        "rows": alike(eps.movedim(2, 0).flatten(1)),
        "columns": alike(eps.movedim(3, 0).flatten(1)),
    }


def pairs_again(impl, inputs):
    """Does the generator decide on the pairs, and nothing else?"""

    def draw(source):
        return parts(impl.reflow_pairs(lambda x: 2 * x, tuple(inputs["shape"]), source), 2)[0]

    before = torch.get_rng_state()
    draw(generator(inputs["seed"]))
    untouched = torch.equal(before, torch.get_rng_state())
    return {**draws_again(draw), "torch's own untouched": untouched}


def pairs_graph(impl, inputs):
    """Do the images hang on a graph, where the walk has a weight, and is it on again after?"""
    weight = torch.tensor(0.5, requires_grad=True)
    with torch.enable_grad():
        result = impl.reflow_pairs(
            lambda x: weight * x, tuple(inputs["shape"]), generator(inputs["seed"])
        )
        on = torch.is_grad_enabled()
    return {"result": any(_hangs(part) for part in parts(result, 2)), "on": on}


def ways_elsewhere(impl, inputs):
    """Where times, noise and results lie if x_1 and the generator are not on the CPU."""
    impl.straightness(lambda x, t: x.clone(), inputs["x_1"], 2)
    impl.reflow_pairs(lambda x: x.clone(), tuple(inputs["shape"]), generator(1))
    places = {}

    def velocity(x, t):
        places["t"] = place(t)
        return x.clone()

    places["S"] = place_of(lambda: impl.straightness(velocity, inputs["x_1"].to("meta"), 2))
    source = GeneratorElsewhere().manual_seed(1)
    shape = tuple(inputs["shape"])
    places["eps"] = place_of(lambda: impl.reflow_pairs(lambda x: x.clone(), shape, source)[1])
    return {"places": places}
