"""Probes of chapter 06: they call the code under test and report what it returns."""

from dataclasses import dataclass, fields

import torch
from torch import Tensor

from checks.probes.toys import (
    GeneratorElsewhere,
    Walk,
    batch_and_singles,
    copied,
    draws_again,
    generator,
    graph_of_walk,
    guided_network,
    identical,
    kind,
    look_of_noise,
    name_of_error,
    on_meta,
    parts,
    place,
    place_of,
)

# By torch, which takes seconds: for the meta device.
IMPORTED_AT_FIRST_USE = ("torch._dynamo",)


@dataclass(frozen=True)
class NoiseSchedule:
    """Chapter 02's, written down again, for a chapter is graded without the others' files."""

    betas: Tensor
    alphas: Tensor
    alpha_bars: Tensor
    alpha_bars_prev: Tensor
    posterior_variance: Tensor
    posterior_x0_coef: Tensor
    posterior_xt_coef: Tensor

    def to(self, device: torch.device | str) -> "NoiseSchedule":
        return NoiseSchedule(**{f.name: getattr(self, f.name).to(device) for f in fields(self)})


# 6.1


def reverse_step(impl, inputs):
    """One call; the inputs may name a variance."""
    return {"x": _step(impl, inputs, inputs["noise"])}


def without_noise(impl, inputs):
    return {"x": _step(impl, inputs, torch.zeros_like(inputs["noise"]))}


def without_noise_either_way(impl, inputs):
    """A step without noise, with both variances."""
    calls = {name: {**inputs, "variance": name} for name in ("small", "large")}
    return {name: without_noise(impl, call)["x"] for name, call in calls.items()}


def noise_part(impl, inputs):
    """The same step with and without noise."""
    return {
        "still": _step(impl, inputs, torch.zeros_like(inputs["noise"])),
        "moved": _step(impl, inputs, inputs["noise"]),
    }


def noise_at_zero(impl, inputs):
    """The same images with and without noise, for several batches of t."""
    return {"batches": [noise_part(impl, {**inputs, "t": t}) for t in inputs["batches"]]}


def together_and_alone(impl, inputs):
    """A batch of images, and the same images handed in one at a time."""
    return batch_and_singles(lambda each: _step(impl, each, each["noise"]), inputs)


def reverse_step_elsewhere(impl, inputs):
    """Where the result lies if everything handed in lies on another device than the CPU."""
    reverse_step(impl, inputs)  # raises here if it is not written yet
    there = on_meta(inputs)

    def step(variance):
        return _step(impl, {**there, "variance": variance}, there["noise"])

    return {"places": [place_of(lambda: step("small")), place_of(lambda: step("large"))]}


def strange_x0(x_t, t, eps, alpha_bars):
    """In the place of predict_x0: what no schedule's formula says, always inside (-1, 1)."""
    return torch.tanh(0.5 * x_t - 0.4 * eps + _at(alpha_bars, t))


def strange_posterior(x0, x_t, t, schedule):
    """In the place of q_posterior."""
    return 0.5 * x0 - 0.25 * x_t, 0.1 + _at(schedule.betas, t) ** 2


def parts_used(impl, inputs):
    """What the step makes of two parts that answer something of their own."""
    schedule, called = NoiseSchedule(**inputs["schedule"]), {}

    def predict_x0(x_t, t, eps, alpha_bars):
        called["predict_x0"] = str(t.dtype)
        return strange_x0(x_t, t, eps, alpha_bars)

    def q_posterior(x0, x_t, t, schedule):
        called["q_posterior"] = str(t.dtype)
        return strange_posterior(x0, x_t, t, schedule)

    arguments = (inputs[name] for name in ("x_t", "t", "eps", "noise"))
    x = impl.p_sample(*arguments, schedule, predict_x0, q_posterior)
    return {"called": called, "x": x}


def without_mean(impl, inputs):
    """The step where q_posterior's mean is 0, with variances that are handed in."""
    schedule = NoiseSchedule(**inputs["schedule"])

    def q_posterior(x0, x_t, t, schedule):
        return torch.zeros_like(x_t), _at(inputs["variances"], t)

    arguments = [inputs[name] for name in ("x_t", "t", "eps", "noise")]
    return {
        name: impl.p_sample(*arguments, schedule, _predict_x0, q_posterior, variance=name)
        for name in ("small", "large")
    }


def refused_variances(impl, inputs):
    """What is raised for each name of a variance."""
    return {
        "raised": [
            name_of_error(lambda name=name: reverse_step(impl, {**inputs, "variance": name}))
            for name in inputs["names"]
        ]
    }


def _step(impl, inputs, noise):
    option = {"variance": inputs["variance"]} if "variance" in inputs else {}
    schedule = NoiseSchedule(**inputs["schedule"])
    arguments = (inputs["x_t"], inputs["t"], inputs["eps"], noise, schedule)
    return impl.p_sample(*arguments, _predict_x0, _q_posterior, **option)


def _at(values: Tensor, t: Tensor) -> Tensor:
    return values[t].view(-1, 1, 1, 1)


def _predict_x0(x_t, t, eps, alpha_bars):
    """Chapter 02's."""
    a = _at(alpha_bars, t)
    return (x_t - (1 - a).sqrt() * eps) / a.sqrt()


def _q_posterior(x0, x_t, t, schedule):
    """Chapter 02's."""
    mean = _at(schedule.posterior_x0_coef, t) * x0 + _at(schedule.posterior_xt_coef, t) * x_t
    return mean, _at(schedule.posterior_variance, t)


# 6.2


class Network:
    """A toy network that writes down what it is asked.

    Its eps depends on every pixel's right neighbour, on t and on the label, and for each
    image on that image's own inputs only.
    """

    def __init__(self):
        self.asked: list[tuple[Tensor, Tensor, Tensor]] = []

    def __call__(self, x: Tensor, t: Tensor, labels: Tensor) -> Tensor:
        self.asked.append((x.clone(), t.clone(), labels.clone()))
        lengths = [value.shape[0] if value.ndim else 0 for value in (x, t, labels)]
        if len(set(lengths)) > 1 or t.ndim != 1 or labels.ndim != 1:
            raise ValueError(
                f"predict_eps was handed x of shape {tuple(x.shape)}, t of shape "
                f"{tuple(t.shape)} and labels of shape {tuple(labels.shape)}"
            )
        return toy_eps(x, t, labels)


def toy_eps(x: Tensor, t: Tensor, labels: Tensor) -> Tensor:
    label, step = labels.view(-1, 1, 1, 1).float(), t.view(-1, 1, 1, 1).float()
    scale, shift = torch.sin(1.7 * label + 0.3), torch.cos(0.9 * label + 1.1)
    return scale * x + 0.3 * x.roll(-1, dims=-1) + shift * torch.sin(0.8 * step + 0.5)


def guided(impl, inputs):
    """The guided eps, and what the network was asked for it.

    `rows` tells for each image that the network saw which of the images it was, at which t
    and with which label; sorted, as the order in the batch is free.
    """
    network = Network()
    eps = _guided(impl, inputs, network)
    rows = sorted(row for asked in network.asked for row in _rows(asked, inputs["x_t"]))
    return {
        "eps": eps,
        "calls": len(network.asked),
        "shapes": [[list(value.shape) for value in asked] for asked in network.asked],
        "dtypes": [[str(value.dtype) for value in asked] for asked in network.asked],
        "rows": [list(row) for row in rows],
    }


def guided_values(impl, inputs):
    """The guided eps for several scales."""
    return {
        "eps": [_guided(impl, {**inputs, "guidance_scale": w}, Network()) for w in inputs["scales"]]
    }


def guided_with_gradients(impl, inputs):
    """The guided eps of a network whose weight is being trained."""
    weight = torch.tensor(inputs["weight"], requires_grad=True)
    with torch.enable_grad():
        eps = _guided(impl, inputs, lambda x, t, labels: weight * toy_eps(x, t, labels))
        on = torch.is_grad_enabled()
    return {"eps": eps.detach() if isinstance(eps, Tensor) else eps, "gradients on": on}


def guided_elsewhere(impl, inputs):
    """Where the network's inputs and the result lie if x_t, t and labels are not on the CPU."""
    _guided(impl, inputs, Network())  # raises here if it is not written yet
    places = {}

    def network(x, t, labels):
        places.update(x=place(x), t=place(t), labels=place(labels))
        return x.clone()

    places["eps"] = place_of(lambda: _guided(impl, on_meta(inputs), network))
    return {"places": places}


def _guided(impl, inputs, network):
    names = ("x_t", "t", "labels", "guidance_scale", "null_label")
    return impl.guided_eps(network, *(inputs[name] for name in names))


def _rows(asked, images):
    """(number of the image, t, label) for each row of a batch; -1 for an unknown image."""
    x, t, labels = asked
    for row, step, label in zip(x, t.flatten().tolist(), labels.flatten().tolist()):
        known = [i for i, image in enumerate(images) if identical(image, row)]
        yield (known[0] if known else -1, step, label)


# 6.3


class AncestralWalk(Walk):
    """A walk of reverse steps over a schedule."""

    made = "the result of reverse_step number {}"

    def __init__(self, inputs):
        super().__init__(inputs)
        self.schedule = NoiseSchedule(**inputs["schedule"])

    def reverse_step(self, x, /, t, eps, noise, schedule):
        call = self.note_step((t,), (x, t, eps, noise, schedule))
        return self.states[call].clone()

    def name(self, value) -> str:
        if value is self.schedule:
            return "the schedule"
        if isinstance(value, Tensor) and not value.is_floating_point():
            return "t"
        return super().name(value)

    def run(self, impl, *film_steps):
        return impl.ancestral_sample(
            self.predict_eps,
            self.reverse_step,
            self.x_T,
            self.schedule,
            generator(self.seed),
            *film_steps,
        )


def _numbers(value) -> list:
    """All numbers in a t, which may have come as a tensor or as a plain number."""
    if isinstance(value, Tensor):
        return value.flatten().tolist()
    return [value] if isinstance(value, int | float) else []


def returned(impl, inputs):
    x0, film = parts(AncestralWalk(inputs).run(impl), 2)
    return {"x0": x0, "film": "a list" if isinstance(film, list) else type(film).__name__}


def visited(impl, inputs):
    """Which steps the network and reverse_step were asked about, and t's form."""
    walk = AncestralWalk(inputs)
    walk.run(impl)
    network_t, step_t = [t for _, t in walk.network], [t for (t,) in walk.steps]
    return {
        "network": [sorted(set(_numbers(t))) for t in network_t],
        "reverse_step": [sorted(set(_numbers(t))) for t in step_t],
        "forms": sorted({kind(t) for t in network_t + step_t}),
    }


def chain(impl, inputs):
    """What was handed from step to step."""
    walk = AncestralWalk(inputs)
    x0, _ = parts(walk.run(impl), 2)
    return {
        "network": [name for name, _ in walk.network],
        "reverse_step": walk.arguments,
        "x0": walk.name(x0),
    }


def film(impl, inputs):
    """The film's frames, for steps given as a list, as a set, and not at all."""
    found = {}
    steps = inputs["film_steps"]
    for asked, arguments in {"list": [list(steps)], "set": [set(steps)], "none": []}.items():
        walk = AncestralWalk(inputs)
        found[asked] = walk.frames(walk.run(impl, *arguments))
    return found


def fresh_noise(impl, inputs):
    """What the noise of the steps t > 0 looks like."""
    taken: list[Tensor] = []

    def keep(x, /, t, eps, noise, schedule):
        taken.append(copied(noise))
        return x.clone()

    _sample(impl, inputs, lambda x, t: x.clone(), keep, generator(inputs["seed"]))
    forms = sorted({f"a {kind(noise)}" for noise in taken})
    if forms != [f"a {kind(inputs['x_T'])}"]:
        return {"forms": forms}
    noise = torch.stack(taken[:-1])  # without t = 0, where there need not be any
    return {
        "forms": forms,
        "a step without": bool((noise.flatten(1).var(dim=1) < 0.7).any()),
        "beyond 3.4": bool((noise.abs() > 3.4).any()),
        **look_of_noise(noise, inputs["x_T"]),
    }


def generator_use(impl, inputs):
    """Does the result follow the generator, and nothing but the generator?"""

    def add(x, /, t, eps, noise, schedule):
        return 0.6 * x + noise * (t.view(-1, 1, 1, 1) > 0)

    def draw(source):
        return parts(_sample(impl, inputs, lambda x, t: x.clone(), add, source), 2)[0]

    torch.manual_seed(inputs["seed"])
    before = torch.get_rng_state()
    draw(generator(5))
    untouched = torch.equal(before, torch.get_rng_state())
    return {**draws_again(draw), "global untouched": untouched}


def _sample(impl, inputs, predict_eps, reverse_step, source, *film_steps):
    schedule = NoiseSchedule(**inputs["schedule"])
    return impl.ancestral_sample(
        predict_eps, reverse_step, inputs["x_T"], schedule, source, *film_steps
    )


def walk_elsewhere(impl, inputs):
    """Where t and the noise lie if x_T and the schedule are not on the CPU."""
    AncestralWalk(inputs).run(impl)  # raises here if it is not written yet
    places = {"t": set(), "noise": set(), "x_0": set()}

    def predict_eps(x, t):
        places["t"].add(place(t))
        return x.clone()

    def reverse_step(x, /, t, eps, noise, schedule):
        places["t"].add(place(t))
        places["noise"].add(place(noise))
        return x.clone()

    source = GeneratorElsewhere().manual_seed(inputs["seed"])
    there = on_meta(inputs)
    places["x_0"].add(
        place_of(lambda: parts(_sample(impl, there, predict_eps, reverse_step, source), 2)[0])
    )
    return {name: sorted(found) for name, found in places.items()}


def gradient_graph(impl, inputs):
    """Which tensors of the walk hang on a graph, when the network has weights to train?"""

    def reverse_step(x, /, t, eps, noise, schedule):
        return 0.9 * x - 0.1 * eps

    def walk(network):
        return _sample(impl, inputs, network, reverse_step, generator(5), inputs["film_steps"])

    evidence = {}
    for before in (False, True):
        with torch.set_grad_enabled(before):
            evidence.update(graph_of_walk(walk))
            evidence[f"gradients {'on' if before else 'off'}"] = torch.is_grad_enabled()
    return evidence


def gaussian_walk(impl, inputs):
    """Sample with guidance where each class of data is a Gaussian, so eps is known exactly."""
    bars = inputs["schedule"]["alpha_bars"]

    def reverse_step(x, /, t, eps, noise, schedule):
        x0 = _predict_x0(x, t, eps, schedule.alpha_bars)  # without the clip, which is not linear
        mean, variance = _q_posterior(x0, x, t, schedule)
        return mean + variance.sqrt() * noise

    network, source = guided_network(inputs, bars), generator(inputs["seed"])
    x0, _ = parts(_sample(impl, inputs, network, reverse_step, source), 2)
    classes = x0.split(len(x0) // 2)
    return {
        "means": [float(images.mean()) for images in classes],
        "variances": [float(images.var()) for images in classes],
    }


# 6.4


def grid(impl, inputs):
    """One call; the inputs may name a gap."""
    option = {"gap": inputs["gap"]} if "gap" in inputs else {}
    return {"grid": impl.image_grid(inputs["images"], inputs["num_columns"], **option)}


def grids(impl, inputs):
    """One call for each case."""
    return {"grids": [grid(impl, case)["grid"] for case in inputs["cases"]]}


def refused_grids(impl, inputs):
    """What is raised in each case."""
    return {
        "raised": [name_of_error(lambda case=case: grid(impl, case)) for case in inputs["cases"]]
    }


# 6.5


def refused_lengths(impl, inputs):
    """What is raised for each number of steps."""
    return {
        "raised": [
            name_of_error(lambda n=n: impl.respace(inputs["betas"], n)) for n in inputs["lengths"]
        ]
    }


def respaced(impl, inputs):
    """The shorter schedule."""
    betas, timesteps = parts(impl.respace(inputs["betas"], inputs["num_steps"]), 2)
    return {"betas": copied(betas), "timesteps": copied(timesteps)}


def respaced_again(impl, inputs):
    """Shorter schedules of several lengths."""
    return {
        "found": [
            respaced(impl, {**inputs, "num_steps": num_steps}) for num_steps in inputs["lengths"]
        ]
    }


def respaced_elsewhere(impl, inputs):
    """Where the results lie if the betas lie on another device than the CPU."""
    respaced(impl, inputs)  # raises here if it is not written yet
    there = on_meta(inputs)
    return {
        name: place_of(lambda name=name: respaced(impl, there)[name])
        for name in ("betas", "timesteps")
    }
