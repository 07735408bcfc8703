"""What the probes of several chapters share: toys that keep a record, and looks at results."""

import torch
from torch import Tensor

# Values that come back


def plain(value):
    """A tensor without its gradient; anything else as it is, for the verdict to name."""
    return value.detach() if isinstance(value, Tensor) else value


def copied(value):
    """A tensor as it is now; anything else as it is."""
    return value.clone() if isinstance(value, Tensor) else value


def identical(a: Tensor, b: Tensor) -> bool:
    return a.dtype == b.dtype and a.shape == b.shape and torch.equal(a, b)


def kind(value) -> str:
    """What kind of thing this is, in words."""
    if value is None:
        return "None"
    if not isinstance(value, Tensor):
        return f"value of type {type(value).__name__}"
    return f"{str(value.dtype).removeprefix('torch.')} tensor of shape {tuple(value.shape)}"


def parts(result, count: int) -> list:
    """The `count` things that a call returns; if there are not so many, the rest is None."""
    if isinstance(result, tuple | list) and len(result) == count:
        return list(result)
    return [result, *[None] * (count - 1)]


def name_of_error(function) -> str:
    """What `function` raises: "ValueError", also for its subclasses, another type, or "nothing"."""
    try:
        function()
    except NotImplementedError:  # an exercise that is not written yet
        raise
    except ValueError:
        return "ValueError"
    except Exception as error:
        return type(error).__name__
    return "nothing"


def strided(x: Tensor) -> Tensor:
    """The same numbers in a tensor that is not contiguous in memory."""
    return x.mT.contiguous().mT


PER_IMAGE = ("x_t", "t", "t_next", "eps", "noise", "x_before", "t_before", "eps_before")


def batch_and_singles(step, inputs) -> dict:
    """What step(inputs) makes of a batch of images, and of the same images one at a time."""
    names = [name for name in PER_IMAGE if name in inputs]
    singles = [
        step({**inputs, **{name: inputs[name][i : i + 1] for name in names}})
        for i in range(len(inputs["x_t"]))
    ]
    return {"together": step(inputs), "alone": torch.cat(singles)}


# A second device without a second device: tensors on torch's meta device have a shape and a dtype,
# but no numbers, and torch refuses to combine them with the CPU's, as it does with a GPU's.

MIXED = ("is not on the expected device", "to be on the same device")  # in torch's messages


def on_meta(value):
    """Tensors, and dicts of tensors, moved to the meta device; anything else as it is."""
    if isinstance(value, dict):
        return {name: on_meta(part) for name, part in value.items()}
    return value.to("meta") if isinstance(value, Tensor) else value


def place(value) -> str:
    return value.device.type if isinstance(value, Tensor) else "unknown"


def place_of(call) -> str:
    """Where the result of `call` lies: "meta", "cpu", "two devices meet" or "unknown".

    Only what is certain is told. Code that looks at numbers, as x.tolist() does, fails on the meta
    device and may do well on a graphics card: it is "unknown".
    """
    try:
        return place(call())
    except Exception as error:
        mixed = any(words in str(error) for words in MIXED)
        return "two devices meet" if mixed else "unknown"


class GeneratorElsewhere(torch.Generator):
    """Says that it belongs to the meta device, for which torch has no generator of its own."""

    device = torch.device("meta")


class GridElsewhere(Tensor):
    """Numbers that say that they lie on the meta device, and what is made of them says so too.

    Without its numbers no walk could go over a grid of steps.
    """

    device = torch.device("meta")

    @classmethod
    def __torch_function__(cls, function, types, args=(), kwargs=None):
        result = super().__torch_function__(function, types, args, kwargs)
        # torch.full takes a number from the grid, and makes its tensor where it is told.
        return result.as_subclass(Tensor) if function is torch.full else result


# Random numbers


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def draws_again(draw) -> dict:
    """Does the result of draw(generator) follow the generator, and nothing but the generator?"""

    def run(source, global_seed):
        torch.manual_seed(global_seed)
        return draw(source)

    source = generator(5)
    first = run(source, 1)
    second = run(source, 1)  # the same generator, which has moved on
    return {
        "same seed, same result": torch.equal(first, run(generator(5), 2)),
        "other seed, same result": torch.equal(first, run(generator(6), 1)),
        "later draws, same result": torch.equal(first, second),
    }


def look_of_noise(noise: Tensor, x_T: Tensor) -> dict:
    """What a walk's noise looks like, in figures that any draw agrees on.

    Rounded, so that the same mistake gives the same figures in whatever order noise is drawn.

    Args:
        noise: shape (steps, B, C, H, W).
        x_T: where the walk began, shape (B, C, H, W).
    """
    found = {
        "mean": round(float(noise.mean()), 1) + 0.0,  # which turns -0.0 into 0.0
        "variance": round(float(noise.var()), 1),
        "beyond two": round(float((noise.abs() > 2).float().mean()), 2),
    }
    for axis, name in enumerate(("steps", "images", "channels", "rows", "columns")):
        found[name] = alike(noise.movedim(axis, 0).flatten(1))
    found["x_T"] = alike(torch.stack([x_T, *noise]).flatten(1))
    return found


def alike(rows: Tensor) -> bool:
    """Do two of these rows go together? Independent ones correlate by far less than a half."""
    correlation = torch.corrcoef(rows.double()).nan_to_num().abs()
    return bool((correlation.fill_diagonal_(0) > 0.5).any())


# Walks from noise to images


class Walk:
    """A network and a step that answer from a list and write down what they get.

    Their answers do not depend on their arguments, so every tensor can be told by its values. The
    step itself is the chapter's.
    """

    made = "the images of step {}"  # what a step returned, in words

    def __init__(self, inputs):
        self.x_T, self.eps, self.states = inputs["x_T"], inputs["eps"], inputs["states"]
        self.seed, self.last = inputs["seed"], len(self.states) - 1
        self.network: list[tuple[str, Tensor]] = []
        self.steps: list[tuple] = []
        self.arguments: list[list[str]] = []

    def predict_eps(self, x, t):
        call = min(len(self.network), self.last)
        self.network.append((self.name(x), copied(t)))
        return self.eps[call].clone()

    def note_step(self, times: tuple, arguments: tuple) -> int:
        """Write a step down: at which times, with which arguments. The number of its answer."""
        call = min(len(self.steps), self.last)
        self.steps.append(tuple(copied(t) for t in times))
        self.arguments.append([self.name(value) for value in arguments])
        return call

    def name(self, value) -> str:
        """What this value is, in words."""
        if not isinstance(value, Tensor):
            return f"a {kind(value)}"
        for call in range(self.last + 1):
            if identical(value, self.states[call]):
                return self.made.format(call + 1)
            if identical(value, self.eps[call]):
                return f"the eps of call {call + 1}"
        if identical(value, self.x_T):
            return "x_T"
        return f"a new {kind(value)}"

    def frames(self, result) -> str | list[str]:
        """What the film shows, of the pair that the walk returned."""
        _, film = parts(result, 2)
        return "no film" if film is None else [self.name(frame) for frame in film]


def graph_of_walk(walk) -> dict:
    """Which tensors hang on a graph, when the network has weights to train?

    walk(predict_eps) returns a pair: the images, and the film's frames.
    """
    weight = torch.tensor(0.5, requires_grad=True)
    inside = []

    def predict_eps(x, t):
        inside.append(x.requires_grad)
        return weight * x

    x0, frames = parts(walk(predict_eps), 2)
    return {
        "during": any(inside),
        "x0": x0.requires_grad,
        "film": any(frame.requires_grad for frame in frames or ()),
    }


def best_eps(x, t, alpha_bars, mean, std):
    """The exact eps where the data is Gaussian, N(mean, std^2)."""
    a = alpha_bars[t].view(-1, 1, 1, 1)
    return (1 - a).sqrt() * (x - a.sqrt() * mean) / (a * std**2 + 1 - a)


def guided_network(inputs, alpha_bars):
    """A predict_eps with guidance where each class of data is a Gaussian.

    The first half of the images asks for class 0, the second for class 1.
    """
    w, half = inputs["guidance_scale"], len(inputs["x_T"]) // 2
    means = torch.tensor(inputs["class_means"]).repeat_interleave(half).view(-1, 1, 1, 1)

    def predict_eps(x, t):
        cond = best_eps(x, t, alpha_bars, means, inputs["class_std"])
        null = best_eps(x, t, alpha_bars, inputs["null_mean"], inputs["null_std"])
        return (1 + w) * cond - w * null

    return predict_eps
