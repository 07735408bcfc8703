"""Probes of chapter 07: they call the code under test and report what it returns."""

import torch
from torch import Tensor

from checks.probes.toys import (
    GeneratorElsewhere,
    GridElsewhere,
    Walk,
    batch_and_singles,
    best_eps,
    copied,
    draws_again,
    generator,
    graph_of_walk,
    guided_network,
    kind,
    look_of_noise,
    name_of_error,
    on_meta,
    parts,
    place,
    place_of,
    strided,
)

# By torch, which takes seconds: for the meta device.
IMPORTED_AT_FIRST_USE = ("torch._dynamo",)

# 7.1


def grids(impl, inputs):
    """One grid for each case, of which each names a schedule, a length and some options."""
    return {"grids": [_grid(impl, case) for case in inputs["cases"]]}


def _grid(impl, case):
    options = {name: case[name] for name in ("spacing", "lambda_min") if name in case}
    return impl.time_grid(case["alpha_bars"], case["num_steps"], **options)


def refusals(impl, inputs):
    """What is raised in each case."""
    return {
        "raised": [name_of_error(lambda case=case: _grid(impl, case)) for case in inputs["cases"]]
    }


def grid_by_name(impl, inputs):
    """One grid, for which all arguments are named."""
    return {"grids": [impl.time_grid(**case) for case in inputs["cases"]]}


def grids_elsewhere(impl, inputs):
    """Where the grids lie if the schedule is on another device than the CPU."""
    grids(impl, inputs)  # raises here if it is not written yet
    there = [on_meta(case) for case in inputs["cases"]]
    return {"places": [place_of(lambda case=case: _grid(impl, case)) for case in there]}


# What the steps are handed to guess x_0 with


def predict_x0(x_t, t, eps, alpha_bars):
    """Chapter 02's: the x_0 from which the forward process, with this eps, arrives at x_t."""
    a = alpha_bars[t].view(-1, 1, 1, 1)
    return (x_t - (1 - a).sqrt() * eps) / a.sqrt()


def another_guess(x_t, t, eps, alpha_bars):
    """A guess of another kind, to which all four arguments matter."""
    a = alpha_bars[t].view(-1, 1, 1, 1)
    return 0.3 * x_t - 0.5 * eps + 0.7 * a


def handed_to_predict_x0(step, inputs):
    """In what form step(predict) hands the steps and the schedule to `predict`, each form once."""
    steps, schedules = set(), set()

    def predict(x_t, t, eps, alpha_bars):
        whole = isinstance(alpha_bars, Tensor) and alpha_bars.shape == inputs["alpha_bars"].shape
        schedules.add("the full schedule" if whole else kind(alpha_bars))
        each = kind(t) == f"int64 tensor of shape ({len(x_t)},)"
        steps.add("an int64 step for each image" if each else kind(t))
        return predict_x0(x_t, t, eps, alpha_bars)

    step(predict)
    return {"steps": sorted(steps), "schedules": sorted(schedules)}


IMAGES = ("x_t", "eps", "noise", "x_before", "eps_before")


def not_contiguous(inputs):
    """The inputs, the images among them not contiguous in memory."""
    return inputs | {name: strided(inputs[name]) for name in IMAGES if name in inputs}


# 7.2


def _ddim(impl, inputs, noise="noise", predict=predict_x0):
    """One call; `noise` names the input that is handed in as noise, and may be None."""
    option = {"eta": inputs["eta"]} if "eta" in inputs else {}
    names = ("x_t", "t", "t_next", "eps")
    noise = None if noise is None else inputs[noise]
    return impl.ddim_step(
        *(inputs[n] for n in names), noise, inputs["alpha_bars"], predict, **option
    )


def ddim(impl, inputs):
    """One call, with whatever noise the inputs hold."""
    return {"x": _ddim(impl, inputs)}


def ddim_without_noise(impl, inputs):
    """One call with noise of zeros."""
    return {"x": _ddim(impl, {**inputs, "noise": torch.zeros_like(inputs["x_t"])})}


def ddim_with_another_guess(impl, inputs):
    """One call with noise of zeros, all arguments by name, x_0 guessed in another way."""
    inputs = {**inputs, "noise": torch.zeros_like(inputs["x_t"])}
    return {"x": impl.ddim_step(**inputs, predict_x0=another_guess)}


def ddim_hands_over(impl, inputs):
    return handed_to_predict_x0(lambda predict: _ddim(impl, inputs, predict=predict), inputs)


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


def ddim_together_and_alone(impl, inputs):
    """A batch of images, not contiguous, and the same images handed in one at a time."""
    return batch_and_singles(lambda each: _ddim(impl, each), not_contiguous(inputs))


def ddim_elsewhere(impl, inputs):
    """Where the result lies if everything handed in lies on another device than the CPU."""
    _ddim(impl, inputs)  # raises here if it is not written yet
    there = [{**on_meta(inputs), "eta": eta} for eta in (0.0, 0.7)]
    return {"places": [place_of(lambda case=case: _ddim(impl, case)) for case in there]}


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
            return impl.ddim_step(x, t, t_next, eps, noise, alpha_bars, predict_x0, eta)

        found.append(_walk(inputs, walk, step))
    return {"x": found}


# 7.3


def _dpm(impl, inputs, predict=predict_x0):
    names = ("x_t", "t", "t_next", "eps", "alpha_bars")
    return impl.dpm_step(*(inputs[n] for n in names), predict)


def dpm(impl, inputs):
    return {"x": _dpm(impl, inputs)}


def dpm_with_another_guess(impl, inputs):
    """One call, all arguments by name, x_0 guessed in another way."""
    named = {name: inputs[name] for name in ("x_t", "t", "t_next", "eps", "alpha_bars")}
    return {"x": impl.dpm_step(**named, predict_x0=another_guess)}


def dpm_hands_over(impl, inputs):
    return handed_to_predict_x0(lambda predict: _dpm(impl, inputs, predict), inputs)


def dpm_together_and_alone(impl, inputs):
    """A batch of images, not contiguous, and the same images handed in one at a time."""
    return batch_and_singles(lambda each: _dpm(impl, each), not_contiguous(inputs))


def dpm_at_once_and_in_two(impl, inputs):
    """From t to t_next at once, and by way of t_between, with eps of one and the same x_0."""

    def step(x, t, t_next):
        a = inputs["alpha_bars"][t].view(-1, 1, 1, 1)
        eps = (x - a.sqrt() * inputs["x0"]) / (1 - a).sqrt()
        return impl.dpm_step(x, t, t_next, eps, inputs["alpha_bars"], predict_x0)

    x, t, between, t_next = (inputs[n] for n in ("x_t", "t", "t_between", "t_next"))
    return {"once": step(x, t, t_next), "twice": step(step(x, t, between), between, t_next)}


def dpm_elsewhere(impl, inputs):
    """Where the result lies if everything handed in lies on another device than the CPU."""
    _dpm(impl, inputs)  # raises here if it is not written yet
    return {"places": [place_of(lambda: _dpm(impl, on_meta(inputs)))]}


def dpm_walks(impl, inputs):
    """Walks with the exact eps of Gaussian data; each has its schedule and its grid."""
    found = []
    for walk in inputs["walks"]:
        bars = walk["alpha_bars"]

        def step(x, t, t_next, eps, number, bars=bars):
            return impl.dpm_step(x, t, t_next, eps, bars, predict_x0)

        found.append(_walk(inputs, walk, step))
    return {"x": found}


# 7.4


NAMES = ("x_t", "t", "t_next", "eps", "alpha_bars")


def _2m(impl, inputs, *memory, predict=predict_x0):
    return parts(impl.dpm_2m_step(*(inputs[n] for n in NAMES), predict, *memory), 2)


def _step_before(impl, inputs, predict=predict_x0):
    """The memory that the step from t_before to t leaves."""
    names = ("x_before", "t_before", "t", "eps_before", "alpha_bars")
    return parts(impl.dpm_2m_step(*(inputs[n] for n in names), predict), 2)[1]


def first_of_2m(impl, inputs):
    """A step without memory, the memory once left out and once None, and again after another."""
    result = impl.dpm_2m_step(*(inputs[n] for n in NAMES), predict_x0)
    left_out, memory = parts(result, 2)
    none, _ = _2m(impl, inputs, None)
    _step_before(impl, inputs)
    after, _ = _2m(impl, inputs, None)
    return {
        "left out": left_out,
        "none": none,
        "after": after,
        "memory": isinstance(result, tuple) and memory is not None,
    }


def second_of_2m(impl, inputs):
    """The second step of a walk whose first went from x_before, with eps_before, to t.

    Its images are not those that the first step made, so that each can be judged alone.
    """
    return {"x": _2m(impl, inputs, _step_before(impl, inputs))[0]}


def second_with_another_guess(impl, inputs):
    """The same, all arguments by name, with x_0 guessed in another way in both steps."""
    memory = _step_before(impl, inputs, another_guess)
    named = {name: inputs[name] for name in NAMES}
    result = impl.dpm_2m_step(**named, predict_x0=another_guess, memory=memory)
    return {"x": parts(result, 2)[0]}


def hands_over_of_2m(impl, inputs):
    memory = _step_before(impl, inputs)
    return handed_to_predict_x0(lambda predict: _2m(impl, inputs, memory, predict=predict), inputs)


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
    """A batch of images, not contiguous, and the same images handed in one at a time."""
    return batch_and_singles(lambda each: second_of_2m(impl, each)["x"], not_contiguous(inputs))


def elsewhere_of_2m(impl, inputs):
    """Where the result lies if everything handed in lies on another device than the CPU."""
    second_of_2m(impl, inputs)  # raises here if it is not written yet
    return {"places": [place_of(lambda: second_of_2m(impl, on_meta(inputs))["x"])]}


def walks_of_2m(impl, inputs):
    """Walks with the exact eps of Gaussian data; each has its schedule and its grid."""
    found = []
    for walk in inputs["walks"]:
        bars, memory = walk["alpha_bars"], [None]

        def step(x, t, t_next, eps, number, bars=bars, memory=memory):
            x, memory[0] = parts(
                impl.dpm_2m_step(x, t, t_next, eps, bars, predict_x0, memory[0]), 2
            )
            return x

        found.append(_walk(inputs, walk, step))
    return {"x": found}


# 7.5


class FastWalk(Walk):
    """A walk over a grid, whose steps leave memories."""

    def __init__(self, inputs):
        super().__init__(inputs)
        self.grid = inputs["grid"]
        self.memories = [f"the memory of step {n + 1}" for n in range(len(self.states))]

    def step(self, x, t, t_next, eps, noise, memory):
        call = self.note_step((t, t_next), (x, t, t_next, eps, noise, memory))
        return self.states[call].clone(), self.memories[call]

    def name(self, value) -> str:
        if value is None:
            return "None"
        if isinstance(value, str) and value in self.memories:
            return value
        if isinstance(value, Tensor) and not value.is_floating_point():
            return "steps t"
        return super().name(value)

    def run(self, impl, source=None, **film_steps):
        return impl.fast_sample(
            self.predict_eps, self.step, self.x_T, self.grid, source, **film_steps
        )


def _numbers(value):
    """The numbers in a t, each once; a single one alone."""
    if isinstance(value, Tensor):
        value = sorted(set(value.flatten().tolist()))
        return value[0] if len(value) == 1 else value
    return value if isinstance(value, int | float) else "no number"


def returned(impl, inputs):
    result = FastWalk(inputs).run(impl)
    x0, film = parts(result, 2)
    a_list = isinstance(result, tuple) and isinstance(film, list)
    return {"x0": x0, "film": "a list" if a_list else type(film).__name__}


def visited(impl, inputs):
    """Which steps the network was asked about and which were walked, and the form of t."""
    found = []
    for grid in inputs["grids"]:
        walk = FastWalk({**inputs, "grid": grid})
        walk.run(impl)
        found.append(
            {
                "network": [_numbers(t) for _, t in walk.network],
                "steps": [[_numbers(t), _numbers(t_next)] for t, t_next in walk.steps],
                "forms of t": sorted({kind(t) for t, _ in walk.steps}),
                "forms of t_next": sorted({kind(t_next) for _, t_next in walk.steps}),
                "forms of network": sorted({kind(t) for _, t in walk.network}),
            }
        )
    return {"walks": found}


def chain(impl, inputs):
    """What was handed from step to step, without and with a generator."""
    found = {}
    for which in ("without", "with"):
        walk = FastWalk(inputs)
        source = generator(walk.seed) if which == "with" else None
        x0, _ = parts(walk.run(impl, source), 2)
        found[which] = {
            "network": [name for name, _ in walk.network],
            "steps": walk.arguments,
            "x0": walk.name(x0),
        }
    return found


def memories(impl, inputs):
    """The memory that each step is handed, in two walks, of which the second is filmed."""
    found = []
    for film_steps in ([], inputs["film_steps"]):
        walk = FastWalk(inputs)
        walk.run(impl, film_steps=film_steps)
        found.append([arguments[5] for arguments in walk.arguments])
    return {"walks": found}


def film(impl, inputs):
    """The film's frames, for steps given as a list, as a set, and not at all."""
    found = {}
    steps = inputs["film_steps"]
    asked = {"list": {"film_steps": list(steps)}, "set": {"film_steps": set(steps)}, "none": {}}
    for which, option in asked.items():
        walk = FastWalk(inputs)
        found[which] = walk.frames(walk.run(impl, **option))
    return found


def silence(impl, inputs):
    """Without a generator: what the steps got as noise, and whether torch's own was used."""
    walk = FastWalk(inputs)
    before = torch.get_rng_state()
    walk.run(impl)
    return {
        "noise": [arguments[4] for arguments in walk.arguments],
        "drawn": not torch.equal(before, torch.get_rng_state()),
    }


def fresh_noise(impl, inputs):
    """What the noise of all steps looks like, and whether any of it is nothing."""
    taken: list[Tensor] = []

    def keep(x, t, t_next, eps, noise, memory):
        taken.append(copied(noise))
        return x.clone(), None

    _sample(impl, inputs, lambda x, t: x.clone(), keep, generator=generator(inputs["seed"]))
    forms = sorted({kind(noise) for noise in taken})
    if forms != [kind(inputs["x_T"])]:
        return {"forms": forms}
    zeros = any(not noise.any() for noise in taken)
    return {"forms": forms, "zeros": zeros, **look_of_noise(torch.stack(taken), inputs["x_T"])}


def generator_use(impl, inputs):
    """Does the result follow the generator, and nothing but the generator?"""

    def add(x, t, t_next, eps, noise, memory):
        return 0.6 * x + noise, None

    def walk(source):
        found = _sample(impl, inputs, lambda x, t: x.clone(), add, generator=source)
        return parts(found, 2)[0]

    before = torch.get_rng_state()
    walk(generator(inputs["seed"]))
    untouched = torch.equal(before, torch.get_rng_state())
    return {**draws_again(walk), "torch's own untouched": untouched}


def _sample(impl, inputs, predict_eps, step, **options):
    """A walk for which all arguments are named."""
    x_T, grid = inputs["x_T"], inputs["grid"]
    return impl.fast_sample(predict_eps=predict_eps, step=step, x_T=x_T, timesteps=grid, **options)


def walk_elsewhere(impl, inputs):
    """Where t, t_next and the noise lie if x_T and the grid are not on the CPU.

    A grid on the meta device has no numbers: code that looks at them is given one that has.
    """
    FastWalk(inputs).run(impl)  # raises here if it is not written yet
    there = {**inputs, "x_T": inputs["x_T"].to("meta"), "grid": inputs["grid"].to("meta")}
    found = _walk_there(impl, there)
    if found["t"]:
        return found
    return _walk_there(impl, {**there, "grid": inputs["grid"].as_subclass(GridElsewhere)})


def _walk_there(impl, there):
    places = {"t": set(), "t_next": set(), "noise": set(), "x_0": set()}

    def predict_eps(x, t):
        places["t"].add(place(t))
        return x.clone()

    def step(x, t, t_next, eps, noise, memory):
        for name, value in (("t", t), ("t_next", t_next), ("noise", noise)):
            places[name].add(place(value))
        return x.clone(), None

    source = GeneratorElsewhere().manual_seed(there["seed"])
    places["x_0"].add(
        place_of(lambda: parts(_sample(impl, there, predict_eps, step, generator=source), 2)[0])
    )
    return {name: sorted(found) for name, found in places.items()}


def gradient_graph(impl, inputs):
    """What hangs on a graph, when the network has weights to train, and are graphs built again?"""

    def step(x, t, t_next, eps, noise, memory):
        return 0.9 * x - 0.1 * eps, None

    steps = inputs["film_steps"]
    found = graph_of_walk(lambda network: _sample(impl, inputs, network, step, film_steps=steps))
    return {**found, "afterwards": torch.is_grad_enabled()}


def gaussian_walk(impl, inputs):
    """A deterministic walk with guidance where each class of data is a Gaussian.

    The step takes the noise out and puts less of it back, and its memory counts the steps. x_T is
    not contiguous in memory.
    """
    inputs, bars = {**inputs, "x_T": strided(inputs["x_T"])}, inputs["alpha_bars"]

    def step(x, t, t_next, eps, noise, memory):
        a = bars[t].view(-1, 1, 1, 1)
        a_next = torch.where(t_next < 0, 1.0, bars[t_next.clamp(min=0)]).view(-1, 1, 1, 1)
        x0 = (x - (1 - a).sqrt() * eps) / a.sqrt()  # without the clip, which is not linear
        return a_next.sqrt() * x0 + (1 - a_next).sqrt() * eps, (memory or 0) + 1

    return {"x0": parts(_sample(impl, inputs, guided_network(inputs, bars), step), 2)[0]}
