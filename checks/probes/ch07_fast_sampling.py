"""Probes of chapter 07: they call the code under test and report what it returns."""

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


def _pair(result):
    """The two things that a call returns, or (result, None) if it does not return a pair."""
    if isinstance(result, tuple | list) and len(result) == 2:
        return tuple(result)
    return result, None


# 7.1


def grids(impl, inputs):
    """One grid for each case, of which each names a schedule, a length and some options."""
    return {"grids": [_grid(impl, case) for case in inputs["cases"]]}


def _grid(impl, case):
    options = {name: case[name] for name in ("spacing", "lambda_min") if name in case}
    return impl.time_grid(case["alpha_bars"], case["num_steps"], **options)


def grids_elsewhere(impl, inputs):
    """Where the grids lie if the schedule is on another device than the CPU."""
    grids(impl, inputs)  # raises here if it is not written yet
    places = []
    for case in inputs["cases"]:
        try:
            places.append(_place(_grid(impl, _on_meta(case))))
        except Exception as error:
            places.append(_why(error))
    return {"places": places}


# 7.2


def _ddim(impl, inputs, noise="noise"):
    """One call; `noise` names the input that is handed in as noise, and may be None."""
    option = {"eta": inputs["eta"]} if "eta" in inputs else {}
    names = ("x_t", "t", "t_next", "eps")
    noise = None if noise is None else inputs[noise]
    return impl.ddim_step(*(inputs[n] for n in names), noise, inputs["alpha_bars"], **option)


def ddim(impl, inputs):
    """One call, with whatever noise the inputs hold."""
    return {"x": _ddim(impl, inputs)}


def ddim_without_noise(impl, inputs):
    """One call with noise of zeros."""
    return {"x": _ddim(impl, {**inputs, "noise": torch.zeros_like(inputs["x_t"])})}


def ddim_noise_or_none(impl, inputs):
    """The same call with noise and with None in its place."""
    return {"noise": _ddim(impl, inputs), "none": _ddim(impl, inputs, noise=None)}


def ddim_noise_part(impl, inputs):
    """The same step with and without noise, for each eta."""
    still = {**inputs, "noise": torch.zeros_like(inputs["x_t"])}
    return {
        "still": [_ddim(impl, {**still, "eta": eta}) for eta in inputs["etas"]],
        "moved": [_ddim(impl, {**inputs, "eta": eta}) for eta in inputs["etas"]],
    }


def _image(inputs, i):
    """The inputs with one image of the batch only."""
    names = [n for n in ("x_t", "t", "t_next", "eps", "noise", "t_before") if n in inputs]
    names += [n for n in ("x_before", "eps_before") if n in inputs]
    return {**inputs, **{name: inputs[name][i : i + 1] for name in names}}


def ddim_together_and_alone(impl, inputs):
    """A batch of images, and the same images handed in one at a time."""
    alone = [_ddim(impl, _image(inputs, i)) for i in range(len(inputs["x_t"]))]
    return {"together": _ddim(impl, inputs), "alone": torch.cat(alone)}


def ddim_elsewhere(impl, inputs):
    """Where the result lies if everything handed in lies on another device than the CPU."""
    _ddim(impl, inputs)  # raises here if it is not written yet
    places = []
    for eta in (0.0, 0.7):
        try:
            places.append(_place(_ddim(impl, {**_on_meta(inputs), "eta": eta})))
        except Exception as error:
            places.append(_why(error))
    return {"places": places}


def best_eps(x, t, alpha_bars, mean, std):
    """The exact eps where the data is Gaussian, N(mean, std^2)."""
    a = alpha_bars[t].view(-1, 1, 1, 1)
    return (1 - a).sqrt() * (x - a.sqrt() * mean) / (a * std**2 + 1 - a)


def _walk(inputs, walk, step):
    """Go through a walk in steps of `step(x, t, t_next, eps, number)`, for Gaussian data."""
    x, alpha_bars = inputs["x_T"], walk["alpha_bars"]
    grid = walk["grid"]
    for number, (now, following) in enumerate(zip(grid[:-1], grid[1:])):
        t, t_next = (torch.full((len(x),), value) for value in (now, following))
        eps = best_eps(x, t, alpha_bars, inputs["mean"], inputs["std"])
        x = step(x, t, t_next, eps, number)
    return x


def ddim_walks(impl, inputs):
    """Walks with the exact eps of Gaussian data; each has its schedule, its grid and its noise."""
    found = []
    for walk in inputs["walks"]:
        eta, alpha_bars = walk.get("eta", 0.0), walk["alpha_bars"]

        def step(x, t, t_next, eps, number, walk=walk, eta=eta, alpha_bars=alpha_bars):
            noise = walk["noise"][number] if "noise" in walk else torch.zeros_like(x)
            return impl.ddim_step(x, t, t_next, eps, noise, alpha_bars, eta)

        found.append(_walk(inputs, walk, step))
    return {"x": found}


# 7.3


def _dpm(impl, inputs):
    return impl.dpm_step(*(inputs[n] for n in ("x_t", "t", "t_next", "eps", "alpha_bars")))


def dpm(impl, inputs):
    return {"x": _dpm(impl, inputs)}


def dpm_together_and_alone(impl, inputs):
    """A batch of images, and the same images handed in one at a time."""
    alone = [_dpm(impl, _image(inputs, i)) for i in range(len(inputs["x_t"]))]
    return {"together": _dpm(impl, inputs), "alone": torch.cat(alone)}


def dpm_at_once_and_in_two(impl, inputs):
    """From t to t_next at once, and by way of t_between, with eps of one and the same x_0."""

    def step(x, t, t_next):
        a = inputs["alpha_bars"][t].view(-1, 1, 1, 1)
        eps = (x - a.sqrt() * inputs["x0"]) / (1 - a).sqrt()
        return impl.dpm_step(x, t, t_next, eps, inputs["alpha_bars"])

    x, t, between, t_next = (inputs[n] for n in ("x_t", "t", "t_between", "t_next"))
    return {"once": step(x, t, t_next), "twice": step(step(x, t, between), between, t_next)}


def dpm_elsewhere(impl, inputs):
    """Where the result lies if everything handed in lies on another device than the CPU."""
    _dpm(impl, inputs)  # raises here if it is not written yet
    try:
        return {"places": [_place(_dpm(impl, _on_meta(inputs)))]}
    except Exception as error:
        return {"places": [_why(error)]}


def dpm_walks(impl, inputs):
    """Walks with the exact eps of Gaussian data; each has its schedule and its grid."""
    found = []
    for walk in inputs["walks"]:
        bars = walk["alpha_bars"]

        def step(x, t, t_next, eps, number, bars=bars):
            return impl.dpm_step(x, t, t_next, eps, bars)

        found.append(_walk(inputs, walk, step))
    return {"x": found}


# 7.4


def _2m(impl, inputs, *memory):
    names = ("x_t", "t", "t_next", "eps", "alpha_bars")
    return _pair(impl.dpm_2m_step(*(inputs[n] for n in names), *memory))


def _step_before(impl, inputs):
    """The memory that the step from t_before to t leaves."""
    names = ("x_before", "t_before", "t", "eps_before", "alpha_bars")
    return _pair(impl.dpm_2m_step(*(inputs[n] for n in names)))[1]


def first_of_2m(impl, inputs):
    """A step without memory, the memory once left out and once None, and again after another."""
    left_out, memory = _2m(impl, inputs)
    none, _ = _2m(impl, inputs, None)
    _step_before(impl, inputs)
    after, _ = _2m(impl, inputs, None)
    return {"left out": left_out, "none": none, "after": after, "memory": memory is not None}


def second_of_2m(impl, inputs):
    """The second step of a walk whose first went from x_before, with eps_before, to t.

    Its images are not those that the first step made, so that each can be judged alone.
    """
    return {"x": _2m(impl, inputs, _step_before(impl, inputs))[0]}


def chain_of_2m(impl, inputs):
    """Several steps, each with images and eps of its own and the memory of the step before."""
    memory, found = None, []
    for part in inputs["steps"]:
        x, memory = _2m(impl, {**part, "alpha_bars": inputs["alpha_bars"]}, memory)
        found.append(x)
    return {"x": found}


def two_walks_of_2m(impl, inputs):
    """Two walks whose steps alternate, and an old memory handed in again."""
    memories, found = [None, None], [[], []]
    for number in range(2):
        for which, walk in enumerate(inputs["two walks"]):
            part = {**walk[number], "alpha_bars": inputs["alpha_bars"]}
            old = memories[which]
            x, memories[which] = _2m(impl, part, old)
            found[which].append(x)
            again, _ = _2m(impl, part, old)
            found[which].append(again)
    return {"first": found[0], "second": found[1]}


def together_and_alone_of_2m(impl, inputs):
    """A batch of images, and the same images handed in one at a time."""
    alone = [
        second_of_2m(impl, {**_image(inputs, i), "alpha_bars": inputs["alpha_bars"]})["x"]
        for i in range(len(inputs["x_t"]))
    ]
    return {"together": second_of_2m(impl, inputs)["x"], "alone": torch.cat(alone)}


def elsewhere_of_2m(impl, inputs):
    """Where the result lies if everything handed in lies on another device than the CPU."""
    second_of_2m(impl, inputs)  # raises here if it is not written yet
    try:
        return {"places": [_place(second_of_2m(impl, _on_meta(inputs))["x"])]}
    except Exception as error:
        return {"places": [_why(error)]}


def walks_of_2m(impl, inputs):
    """Walks with the exact eps of Gaussian data; each has its schedule and its grid."""
    found = []
    for walk in inputs["walks"]:
        bars, memory = walk["alpha_bars"], [None]

        def step(x, t, t_next, eps, number, bars=bars, memory=memory):
            x, memory[0] = _pair(impl.dpm_2m_step(x, t, t_next, eps, bars, memory[0]))
            return x

        found.append(_walk(inputs, walk, step))
    return {"x": found}


# 7.5


class Walk:
    """A predict_eps and a step that answer from a list and write down what they get.

    Their answers do not depend on their arguments, so every tensor can be told by its values.
    """

    def __init__(self, inputs):
        self.x_T, self.eps, self.states = inputs["x_T"], inputs["eps"], inputs["states"]
        self.grid, self.seed = inputs["grid"], inputs["seed"]
        self.last = len(self.states) - 1
        self.memories = [f"the memory of step {n + 1}" for n in range(len(self.states))]
        self.network: list[tuple[str, Tensor]] = []
        self.steps: list[tuple] = []
        self.arguments: list[list[str]] = []

    def predict_eps(self, x, t):
        call = min(len(self.network), self.last)
        self.network.append((self.name(x), _copy(t)))
        return self.eps[call].clone()

    def step(self, x, t, t_next, eps, noise, memory):
        call = min(len(self.steps), self.last)
        self.steps.append((_copy(t), _copy(t_next)))
        self.arguments.append([self.name(value) for value in (x, t, t_next, eps, noise, memory)])
        return self.states[call].clone(), self.memories[call]

    def name(self, value) -> str:
        """What this value is, in words."""
        if value is None:
            return "None"
        if isinstance(value, str) and value in self.memories:
            return value
        if not isinstance(value, Tensor):
            return f"a value of type {type(value).__name__}"
        if not value.is_floating_point():
            return "steps t"
        for call in range(self.last + 1):
            if _equal(value, self.states[call]):
                return f"the images of step {call + 1}"
            if _equal(value, self.eps[call]):
                return f"the eps of call {call + 1}"
        if _equal(value, self.x_T):
            return "x_T"
        return f"a new {_kind(value)}"

    def run(self, impl, generator=None, **film_steps):
        return impl.fast_sample(
            self.predict_eps, self.step, self.x_T, self.grid, generator, **film_steps
        )


def _kind(value) -> str:
    if not isinstance(value, Tensor):
        return f"value of type {type(value).__name__}"
    return f"{str(value.dtype).removeprefix('torch.')} tensor of shape {tuple(value.shape)}"


def _copy(value):
    return value.clone() if isinstance(value, Tensor) else value


def _numbers(value):
    """The numbers in a t, each once; a single one alone."""
    if isinstance(value, Tensor):
        value = sorted(set(value.flatten().tolist()))
        return value[0] if len(value) == 1 else value
    return value if isinstance(value, int | float) else "no number"


def returned(impl, inputs):
    x0, film = _pair(Walk(inputs).run(impl))
    return {"x0": x0, "film": "a list" if isinstance(film, list | tuple) else type(film).__name__}


def visited(impl, inputs):
    """Which steps the network was asked about and which were walked, and the form of t."""
    found = []
    for grid in inputs["grids"]:
        walk = Walk({**inputs, "grid": grid})
        walk.run(impl)
        found.append(
            {
                "network": [_numbers(t) for _, t in walk.network],
                "steps": [[_numbers(t), _numbers(t_next)] for t, t_next in walk.steps],
                "forms of t": sorted({_kind(t) for t, _ in walk.steps}),
                "forms of t_next": sorted({_kind(t_next) for _, t_next in walk.steps}),
                "forms of network": sorted({_kind(t) for _, t in walk.network}),
            }
        )
    return {"walks": found}


def chain(impl, inputs):
    """What was handed from step to step, without and with a generator."""
    found = {}
    for kind in ("without", "with"):
        walk = Walk(inputs)
        generator = torch.Generator().manual_seed(walk.seed) if kind == "with" else None
        x0, _ = _pair(walk.run(impl, generator))
        found[kind] = {
            "network": [name for name, _ in walk.network],
            "steps": walk.arguments,
            "x0": walk.name(x0),
        }
    return found


def memories(impl, inputs):
    """The memory that each step is handed, in two walks, the second after the first."""
    found = []
    for _ in range(2):
        walk = Walk(inputs)
        walk.run(impl)
        found.append([arguments[5] for arguments in walk.arguments])
    return {"walks": found}


def film(impl, inputs):
    """The film's frames, for steps given as a list, as a set, and not at all."""
    found = {}
    steps = inputs["film_steps"]
    asked = {"list": {"film_steps": list(steps)}, "set": {"film_steps": set(steps)}, "none": {}}
    for kind, option in asked.items():
        walk = Walk(inputs)
        _, frames = _pair(walk.run(impl, **option))
        found[kind] = "no film" if frames is None else [walk.name(frame) for frame in frames]
    return found


def silence(impl, inputs):
    """Without a generator: what the steps got as noise, and whether torch's own was used."""
    walk = Walk(inputs)
    before = torch.get_rng_state()
    walk.run(impl)
    return {
        "noise": [arguments[4] for arguments in walk.arguments],
        "drawn": not torch.equal(before, torch.get_rng_state()),
    }


def fresh_noise(impl, inputs):
    """What the noise of all steps but the last looks like, in figures that any draw agrees on."""
    taken: list[Tensor] = []

    def keep(x, t, t_next, eps, noise, memory):
        taken.append(_copy(noise))
        return x.clone(), None

    x_T, generator = inputs["x_T"], torch.Generator().manual_seed(inputs["seed"])
    impl.fast_sample(lambda x, t: x.clone(), keep, x_T, inputs["grid"], generator)
    taken = taken[:-1]  # the last step ends in the clean image and has no use for noise
    found = {"forms": sorted({_kind(noise) for noise in taken})}
    if found["forms"] != [_kind(x_T)]:
        return found
    noise = torch.stack(taken)
    # Rounded, so that the same mistake gives the same figures in whatever order noise is drawn.
    found["mean"] = round(float(noise.mean()), 1) + 0.0  # which turns -0.0 into 0.0
    found["variance"] = round(float(noise.var()), 1)
    found["beyond two"] = round(float((noise.abs() > 2).float().mean()), 2)
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

    def add(x, t, t_next, eps, noise, memory):
        return 0.6 * x + noise * (t_next.view(-1, 1, 1, 1) >= 0), None

    def run(generator, global_seed):
        torch.manual_seed(global_seed)
        arguments = (lambda x, t: x.clone(), add, inputs["x_T"], inputs["grid"], generator)
        return _pair(impl.fast_sample(*arguments))[0]

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
    """Where t, t_next and the noise lie if x_T is not on the CPU."""
    Walk(inputs).run(impl)  # raises here if it is not written yet
    places = {"t": set(), "t_next": set(), "noise": set(), "x_0": set()}

    def predict_eps(x, t):
        places["t"].add(_place(t))
        return x.clone()

    def step(x, t, t_next, eps, noise, memory):
        for name, value in (("t", t), ("t_next", t_next), ("noise", noise)):
            places[name].add(_place(value))
        return x.clone(), None

    generator = GeneratorElsewhere()
    generator.manual_seed(inputs["seed"])
    x_T = inputs["x_T"].to("meta")
    try:
        x0, _ = _pair(impl.fast_sample(predict_eps, step, x_T, inputs["grid"], generator))
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

    def step(x, t, t_next, eps, noise, memory):
        return 0.9 * x - 0.1 * eps, None

    x0, frames = _pair(
        impl.fast_sample(
            predict_eps, step, inputs["x_T"], inputs["grid"], film_steps=inputs["film_steps"]
        )
    )
    return {
        "during": any(inside),
        "x0": x0.requires_grad,
        "film": any(frame.requires_grad for frame in frames or ()),
    }


def gaussian_walk(impl, inputs):
    """A deterministic walk with guidance where each class of data is a Gaussian.

    The first half of the images asks for class 0, the second for class 1. The step takes the
    noise out and puts less of it back, and its memory counts the steps.
    """
    bars, x_T, w = inputs["alpha_bars"], inputs["x_T"], inputs["guidance_scale"]
    half = len(x_T) // 2
    means = torch.tensor(inputs["class_means"]).repeat_interleave(half).view(-1, 1, 1, 1)

    def predict_eps(x, t):
        cond = best_eps(x, t, bars, means, inputs["class_std"])
        null = best_eps(x, t, bars, inputs["null_mean"], inputs["null_std"])
        return (1 + w) * cond - w * null

    def step(x, t, t_next, eps, noise, memory):
        a = bars[t].view(-1, 1, 1, 1)
        a_next = torch.where(t_next < 0, 1.0, bars[t_next.clamp(min=0)]).view(-1, 1, 1, 1)
        x0 = (x - (1 - a).sqrt() * eps) / a.sqrt()  # without the clip, which is not linear
        return a_next.sqrt() * x0 + (1 - a_next).sqrt() * eps, (memory or 0) + 1

    return {"x0": _pair(impl.fast_sample(predict_eps, step, x_T, inputs["grid"]))[0]}
