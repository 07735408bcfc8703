"""Probes of chapter 06: they call the code under test and report what it returns."""

from types import SimpleNamespace

import torch
from torch import Tensor


def _equal(a: Tensor, b: Tensor) -> bool:
    return a.dtype == b.dtype and a.shape == b.shape and torch.equal(a, b)


# A second device without a second device: tensors on torch's meta device have a shape and a dtype,
# but no numbers, and torch refuses to combine them with the CPU's. Code that looks at numbers, as
# x.tolist() does, fails there and may do well on a graphics card: it is "unknown".


def _on_meta(value):
    """Tensors, and dicts of tensors, moved to the meta device; anything else as it is."""
    if isinstance(value, dict):
        return {name: _on_meta(part) for name, part in value.items()}
    return value.to("meta") if isinstance(value, Tensor) else value


def _why(error: Exception) -> str:
    """What an exception on the meta device tells."""
    mixed = ("is not on the expected device", "Expected all tensors to be on the same device")
    return "two devices meet" if any(words in str(error) for words in mixed) else "unknown"


def _place(value) -> str:
    return value.device.type if isinstance(value, Tensor) else "unknown"


# 6.1


def reverse_step(impl, inputs):
    """One call; the inputs may name a variance."""
    return {"x": _step(impl, inputs, inputs["noise"])}


def without_noise(impl, inputs):
    return {"x": _step(impl, inputs, torch.zeros_like(inputs["noise"]))}


def without_noise_either_way(impl, inputs):
    """A step without noise, with both variances."""
    calls = {kind: {**inputs, "variance": kind} for kind in ("small", "large")}
    return {kind: without_noise(impl, call)["x"] for kind, call in calls.items()}


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
    images = range(len(inputs["x_t"]))
    names = ("x_t", "t", "eps", "noise")
    one = [{**inputs, **{name: inputs[name][i : i + 1] for name in names}} for i in images]
    return {
        "together": _step(impl, inputs, inputs["noise"]),
        "alone": torch.cat([_step(impl, each, each["noise"]) for each in one]),
    }


def reverse_step_elsewhere(impl, inputs):
    """Where the result lies if everything handed in lies on another device than the CPU."""
    reverse_step(impl, inputs)  # raises here if it is not written yet
    there, places = _on_meta(inputs), []
    for kind in ("small", "large"):
        try:
            places.append(_place(_step(impl, {**there, "variance": kind}, there["noise"])))
        except Exception as error:
            places.append(_why(error))
    return {"places": places}


def _step(impl, inputs, noise):
    option = {"variance": inputs["variance"]} if "variance" in inputs else {}
    schedule = SimpleNamespace(**inputs["schedule"])
    return impl.p_sample(inputs["x_t"], inputs["t"], inputs["eps"], noise, schedule, **option)


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
    and with which label; sorted, for the order in the batch is free.
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
    eps = _guided(impl, inputs, lambda x, t, labels: weight * toy_eps(x, t, labels))
    return {"eps": eps.detach() if isinstance(eps, Tensor) else eps}


def guided_elsewhere(impl, inputs):
    """Where the network's inputs and the result lie if x_t, t and labels are not on the CPU."""
    _guided(impl, inputs, Network())  # raises here if it is not written yet
    places = {}

    def network(x, t, labels):
        places.update(x=_place(x), t=_place(t), labels=_place(labels))
        return x.clone()

    try:
        places["eps"] = _place(_guided(impl, _on_meta(inputs), network))
    except Exception as error:
        places["eps"] = _why(error)
    return {"places": places}


def _guided(impl, inputs, network):
    names = ("x_t", "t", "labels", "guidance_scale", "null_label")
    return impl.guided_eps(network, *(inputs[name] for name in names))


def _rows(asked, images):
    """(number of the image, t, label) for each row of a batch; -1 for an unknown image."""
    x, t, labels = asked
    for row, step, label in zip(x, t.flatten().tolist(), labels.flatten().tolist()):
        known = [i for i, image in enumerate(images) if _equal(image, row)]
        yield (known[0] if known else -1, step, label)


# 6.3


class Walk:
    """A predict_eps and a reverse_step that answer from a list and write down what they get.

    Their answers do not depend on their arguments, so every tensor can be told by its values.
    """

    def __init__(self, inputs):
        self.x_T, self.eps, self.states = inputs["x_T"], inputs["eps"], inputs["states"]
        self.last = len(self.states) - 1
        self.schedule, self.seed = SimpleNamespace(**inputs["schedule"]), inputs["seed"]
        self.network_t: list[Tensor] = []
        self.step_t: list[Tensor] = []
        self.network_x: list[str] = []
        self.step_arguments: list[list[str]] = []

    def predict_eps(self, x, t):
        call = min(len(self.network_t), self.last)
        self.network_t.append(_copy(t))
        self.network_x.append(self.name(x))
        return self.eps[call].clone()

    def reverse_step(self, x, /, t, eps, noise, schedule):
        call = min(len(self.step_t), self.last)
        self.step_t.append(_copy(t))
        self.step_arguments.append([self.name(value) for value in (x, t, eps, noise, schedule)])
        return self.states[call].clone()

    def name(self, value) -> str:
        """What this value is, in words."""
        if value is self.schedule:
            return "the schedule"
        if not isinstance(value, Tensor):
            return f"a value of type {type(value).__name__}"
        if not value.is_floating_point():
            return "t"
        for call in range(self.last + 1):
            if _equal(value, self.states[call]):
                return f"the result of reverse_step number {call + 1}"
            if _equal(value, self.eps[call]):
                return f"the eps of call {call + 1}"
        if _equal(value, self.x_T):
            return "x_T"
        kind = str(value.dtype).removeprefix("torch.")
        return f"a new {kind} tensor of shape {tuple(value.shape)}"

    def run(self, impl, *film_steps):
        generator = torch.Generator().manual_seed(self.seed)
        return impl.ancestral_sample(
            self.predict_eps, self.reverse_step, self.x_T, self.schedule, generator, *film_steps
        )


def _copy(value):
    return value.clone() if isinstance(value, Tensor) else value


def _pair(result):
    """The two things that a call returns, or (result, None) if it does not return a pair."""
    if isinstance(result, tuple | list) and len(result) == 2:
        return tuple(result)
    return result, None


def _numbers(value) -> list:
    """All numbers in a t, which may have come as a tensor or as a plain number."""
    if isinstance(value, Tensor):
        return value.flatten().tolist()
    return [value] if isinstance(value, int | float) else []


def returned(impl, inputs):
    x0, film = _pair(Walk(inputs).run(impl))
    return {"x0": x0, "film": "a list" if isinstance(film, list | tuple) else type(film).__name__}


def visited(impl, inputs):
    """Which steps the network and reverse_step were asked about, and t's form."""
    walk = Walk(inputs)
    walk.run(impl)
    forms = {
        f"{str(t.dtype).removeprefix('torch.')} tensor of shape {tuple(t.shape)}"
        if isinstance(t, Tensor)
        else f"value of type {type(t).__name__}"
        for t in walk.network_t + walk.step_t
    }
    return {
        "network": [sorted(set(_numbers(t))) for t in walk.network_t],
        "reverse_step": [sorted(set(_numbers(t))) for t in walk.step_t],
        "forms": sorted(forms),
    }


def chain(impl, inputs):
    """What was handed from step to step."""
    walk = Walk(inputs)
    x0, _ = _pair(walk.run(impl))
    return {
        "network": walk.network_x,
        "reverse_step": walk.step_arguments,
        "x0": walk.name(x0),
    }


def film(impl, inputs):
    """The film's frames, for steps given as a list, as a set, and not at all."""
    found = {}
    steps = inputs["film_steps"]
    for kind, arguments in {"list": [list(steps)], "set": [set(steps)], "none": []}.items():
        walk = Walk(inputs)
        _, frames = _pair(walk.run(impl, *arguments))
        found[kind] = "no film" if frames is None else [walk.name(frame) for frame in frames]
    return found


def fresh_noise(impl, inputs):
    """What the noise of the steps t > 0 looks like, in figures that any draw agrees on."""
    taken: list[Tensor] = []

    def keep(x, /, t, eps, noise, schedule):
        taken.append(_copy(noise))
        return x.clone()

    x_T, schedule = inputs["x_T"], SimpleNamespace(**inputs["schedule"])
    generator = torch.Generator().manual_seed(inputs["seed"])
    impl.ancestral_sample(lambda x, t: x.clone(), keep, x_T, schedule, generator)

    def form(value):
        if not isinstance(value, Tensor):
            return f"a value of type {type(value).__name__}"
        kind = str(value.dtype).removeprefix("torch.")
        return f"a {kind} tensor of shape {tuple(value.shape)}"

    found = {"forms": sorted({form(noise) for noise in taken})}
    if found["forms"] != [form(x_T)]:
        return found
    noise = torch.stack(taken[:-1])  # without t = 0, where there need not be any
    # Rounded, so that the same mistake gives the same figures in whatever order noise is drawn.
    found["mean"] = round(float(noise.mean()), 1) + 0.0  # which turns -0.0 into 0.0
    found["variance"] = round(float(noise.var()), 1)
    found["beyond two"] = round(float((noise.abs() > 2).float().mean()), 2)
    found["a step without"] = bool((noise.flatten(1).var(dim=1) < 0.7).any())
    for axis, name in enumerate(("steps", "images", "channels", "rows", "columns")):
        found[name] = _alike(noise.movedim(axis, 0).flatten(1))
    found["x_T"] = _alike(torch.stack([x_T, *noise]).flatten(1))
    return found


def _alike(rows: Tensor) -> bool:
    """Do two of these rows go together? Independent ones correlate by far less than a half."""
    correlation = torch.corrcoef(rows.double()).nan_to_num().abs()
    return bool((correlation.fill_diagonal_(0) > 0.5).any())


def generator_use(impl, inputs):
    """Does the result follow the generator, and nothing but the generator?"""

    def add(x, /, t, eps, noise, schedule):
        return 0.6 * x + noise * (t.view(-1, 1, 1, 1) > 0)

    def run(generator, global_seed):
        torch.manual_seed(global_seed)
        schedule = SimpleNamespace(**inputs["schedule"])
        args = (lambda x, t: x.clone(), add, inputs["x_T"], schedule, generator)
        return _pair(impl.ancestral_sample(*args))[0]

    generator = torch.Generator().manual_seed(5)
    first = run(generator, 1)
    second = run(generator, 1)  # the same generator, which has moved on
    return {
        "same seed, same result": torch.equal(first, run(torch.Generator().manual_seed(5), 2)),
        "other seed, same result": torch.equal(first, run(torch.Generator().manual_seed(6), 1)),
        "later draws, same result": torch.equal(first, second),
    }


class GeneratorElsewhere(torch.Generator):
    """Says that it belongs to the meta device, for which torch has no generator of its own."""

    device = torch.device("meta")


def walk_elsewhere(impl, inputs):
    """Where t and the noise lie if x_T and the schedule are not on the CPU."""
    Walk(inputs).run(impl)  # raises here if it is not written yet
    there = _on_meta(inputs)
    places = {"t": set(), "noise": set(), "x_0": set()}

    def predict_eps(x, t):
        places["t"].add(_place(t))
        return x.clone()

    def reverse_step(x, /, t, eps, noise, schedule):
        places["t"].add(_place(t))
        places["noise"].add(_place(noise))
        return x.clone()

    generator = GeneratorElsewhere()
    generator.manual_seed(inputs["seed"])
    schedule = SimpleNamespace(**there["schedule"])
    try:
        x0, _ = _pair(
            impl.ancestral_sample(predict_eps, reverse_step, there["x_T"], schedule, generator)
        )
        places["x_0"].add(_place(x0))
    except Exception as error:
        places["x_0"].add(_why(error))
    return {name: sorted(found) for name, found in places.items()}


def gradient_graph(impl, inputs):
    """Which tensors of the walk hang on a graph, when the network has weights to train?"""
    weight = torch.tensor(0.5, requires_grad=True)
    inside = []

    def predict_eps(x, t):
        inside.append(x.requires_grad)
        return weight * x

    def reverse_step(x, /, t, eps, noise, schedule):
        return 0.9 * x - 0.1 * eps

    schedule = SimpleNamespace(**inputs["schedule"])
    generator = torch.Generator().manual_seed(5)
    x0, frames = _pair(
        impl.ancestral_sample(
            predict_eps, reverse_step, inputs["x_T"], schedule, generator, inputs["film_steps"]
        )
    )
    return {
        "during": any(inside),
        "x0": x0.requires_grad,
        "film": any(frame.requires_grad for frame in frames or ()),
    }


def gaussian_walk(impl, inputs):
    """Sample with guidance where each class of data is a Gaussian, so eps is known exactly.

    For data N(m, s^2) the best eps is sqrt(1 - a) (x - sqrt(a) m) / (a s^2 + 1 - a), with a
    for alpha_bar. The first half of the images asks for class 0, the second for class 1.
    """
    schedule = SimpleNamespace(**inputs["schedule"])
    x_T, w = inputs["x_T"], inputs["guidance_scale"]
    half = len(x_T) // 2
    m = torch.tensor(inputs["class_means"]).repeat_interleave(half).view(-1, 1, 1, 1)

    def best_eps(x, a, mean, std):
        return (1 - a).sqrt() * (x - a.sqrt() * mean) / (a * std**2 + 1 - a)

    def predict_eps(x, t):
        a = schedule.alpha_bars[t].view(-1, 1, 1, 1)
        cond = best_eps(x, a, m, inputs["class_std"])
        null = best_eps(x, a, inputs["null_mean"], inputs["null_std"])
        return (1 + w) * cond - w * null

    def reverse_step(x, /, t, eps, noise, schedule):
        def at_t(values):
            return values[t].view(-1, 1, 1, 1)

        a = at_t(schedule.alpha_bars)
        x0 = (x - (1 - a).sqrt() * eps) / a.sqrt()  # without the clip, which is not linear
        mean = at_t(schedule.posterior_x0_coef) * x0 + at_t(schedule.posterior_xt_coef) * x
        return mean + at_t(schedule.posterior_variance).sqrt() * noise

    generator = torch.Generator().manual_seed(inputs["seed"])
    x0, _ = _pair(impl.ancestral_sample(predict_eps, reverse_step, x_T, schedule, generator))
    return {
        "means": [float(part.mean()) for part in x0.split(half)],
        "variances": [float(part.var()) for part in x0.split(half)],
    }


# 6.4


def grid(impl, inputs):
    """One call; the inputs may name a gap."""
    option = {"gap": inputs["gap"]} if "gap" in inputs else {}
    return {"grid": impl.image_grid(inputs["images"], inputs["num_columns"], **option)}


def grids(impl, inputs):
    """One call for each case."""
    return {"grids": [grid(impl, case)["grid"] for case in inputs["cases"]]}
