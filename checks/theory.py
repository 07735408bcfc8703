"""What the verdicts of several chapters share: inputs, the theory, and what it asks for."""

import math

import torch
from torch import Tensor

from course.grading.checking import Wrong, require, require_close, require_tensor

# The first optimiser of a process, or its first sum on the meta device, which stands for a graphics
# card in the probes, imports a good part of torch. That takes seconds, and more on a busy machine.
SECONDS = 30.0

# Networks: float32 sums of some dozens of terms are off by about 1e-6, more where a norm divides by
# a small spread. Wrong formulas are off by 1e-2 and more.
NETWORK = {"rtol": 1e-3, "atol": 1e-4}


# Schedules


def irregular_betas(g: torch.Generator, num_steps: int, least: float) -> Tensor:
    """Betas between `least` and 0.4 in no order, so that no two steps can be mistaken."""
    return least + (0.4 - least) * torch.rand(num_steps, generator=g)


def bars_of(betas: Tensor) -> Tensor:
    """alpha_bars, computed in float64 and rounded to float32."""
    return torch.cumprod(1 - betas.double(), dim=0).float()


def tables_of(betas: Tensor) -> dict[str, Tensor]:
    """The fields of a NoiseSchedule, computed in float64 and rounded to float32."""
    b = betas.double()
    bars = torch.cumprod(1 - b, dim=0)
    prev = torch.cat([torch.ones(1, dtype=torch.float64), bars[:-1]])
    exact = {
        "betas": b,
        "alphas": 1 - b,
        "alpha_bars": bars,
        "alpha_bars_prev": prev,
        "posterior_variance": b * (1 - prev) / (1 - bars),
        "posterior_x0_coef": prev.sqrt() * b / (1 - bars),
        "posterior_xt_coef": (1 - b).sqrt() * (1 - prev) / (1 - bars),
    }
    return {name: value.float() for name, value in exact.items()}


def cosine_curve(num_steps: int) -> Tensor:
    """f of the cosine schedule at u = 0, 1/T, ... 1, in float64, shape (T + 1,)."""
    u = torch.arange(num_steps + 1, dtype=torch.float64) / num_steps
    return torch.cos((u + 0.008) / 1.008 * math.pi / 2) ** 2


def at(values: Tensor, t: Tensor) -> Tensor:
    """One number of a table per image, in float64, shape (B, 1, 1, 1)."""
    return values.double()[t].view(-1, 1, 1, 1)


# Images


def draw_images(g: torch.Generator, shape: tuple[int, ...]) -> Tensor:
    """Images in [-1, 1], as the data are."""
    return 2 * torch.rand(shape, generator=g) - 1


def across(inputs):
    """The same inputs with height and width exchanged in all images: no longer contiguous."""
    if isinstance(inputs, dict):
        return {name: across(part) for name, part in inputs.items()}
    if isinstance(inputs, list):
        return [across(part) for part in inputs]
    images = isinstance(inputs, Tensor) and inputs.ndim == 4
    return inputs.transpose(2, 3) if images else inputs


def far_outside(g: torch.Generator, shape: tuple[int, ...]) -> Tensor:
    """An x_0 between 1.5 and 4, or between -4 and -1.5, in each pixel."""
    size = 1.5 + 2.5 * torch.rand(shape, generator=g)
    return size * torch.randn(shape, generator=g).sign()


def images_at(g: torch.Generator, bars: Tensor, t: Tensor, shape: tuple[int, ...], clean=True):
    """(x_t, eps) whose x_0 lies inside (-0.9, 0.9), or else far outside [-1, 1] everywhere."""
    a = bars[t].view(-1, 1, 1, 1)
    x0 = 1.8 * torch.rand(len(t), *shape, generator=g) - 0.9
    if not clean:
        x0 = far_outside(g, x0.shape)
    eps = torch.randn(x0.shape, generator=g)
    return a.sqrt() * x0 + (1 - a).sqrt() * eps, eps


def solve_x0(x_t: Tensor, eps: Tensor, a: Tensor) -> Tensor:
    """The x_0 from which the forward process, with this eps, arrives at x_t; in float64."""
    return (x_t.double() - (1 - a).sqrt() * eps.double()) / a.sqrt()


# Walks from noise to images


def draw_seed(g: torch.Generator) -> int:
    return int(torch.randint(2**31, (), generator=g))


def seed_and_stream(g: torch.Generator) -> tuple[int, torch.Generator]:
    """A seed for a walk's noise, and a generator for all else.

    The images come from a stream of their own: otherwise the noise of a generator that happens
    to have the grader's seed would repeat x_T.
    """
    return draw_seed(g), torch.Generator().manual_seed(draw_seed(g))


def walk_answers(g: torch.Generator, shape: tuple[int, ...], num_steps: int) -> dict[str, Tensor]:
    """Where a walk begins, and what the network and the step answer in it."""
    return {
        "x_T": torch.randn(shape, generator=g),
        "eps": torch.randn(num_steps, *shape, generator=g),
        "states": torch.randn(num_steps, *shape, generator=g),
    }


# Data whose classes are Gaussian: the best eps is affine, and so is every step.

GAUSSIANS = {
    "class_means": [-0.5, 0.4],
    "class_std": 0.3,
    "null_mean": 0.1,
    "null_std": 0.6,
    "guidance_scale": 0.8,
}


def eps_line(a: float, mean: float, std: float) -> tuple[float, float]:
    """The best eps for data N(mean, std^2), as slope * x_t + offset."""
    slope = math.sqrt(1 - a) / (a * std**2 + 1 - a)
    return slope, -slope * math.sqrt(a) * mean


def guided_eps_line(a: float, inputs: dict, class_mean: float) -> tuple[float, float]:
    """The same with guidance towards one of the classes."""
    w = inputs["guidance_scale"]
    cond = eps_line(a, class_mean, inputs["class_std"])
    null = eps_line(a, inputs["null_mean"], inputs["null_std"])
    slope, offset = ((1 + w) * c - w * n for c, n in zip(cond, null))
    return slope, offset


# What verdicts ask for


def require_value_errors(raised: list[str], cases: list[str]) -> None:
    """Fail unless each of these cases, told in words, raised a ValueError."""
    for error, case in zip(raised, cases):
        require(
            error == "ValueError",
            f"a ValueError for {case}, as the docstring says",
            f"{error} was raised" if error != "nothing" else "a result",
        )


def require_each(value: Tensor, target: Tensor, expected: str, got, atol: float = 2e-6) -> None:
    """Fail with the worst entry's `got(index)` unless the numbers agree to float32 rounding."""
    value, target = value.double(), target.double().flatten()
    error = (value - target).abs() / (atol + 1e-4 * target.abs())
    require(bool((error < 1).all()), expected, got(int(error.argmax())))


def require_same_device(places: list[str], name: str) -> None:
    """Fail if it is certain that the code makes tensors on the CPU beside inputs elsewhere."""
    expected = f"{name} on the device of the inputs, where a graphics card would want it"
    require(
        "two devices meet" not in places,
        "new tensors on the device of the inputs, where a graphics card would want them",
        "an error: a tensor on the CPU met one on the other device",
    )
    require("cpu" not in places, expected, f"{name} on the CPU")


def require_alone(got: dict, inputs: dict, name: str, atol: float) -> None:
    """Fail unless each image's step is the same alone as in a batch."""
    alone = require_tensor(got["alone"], name, tuple(inputs["x_t"].shape))
    require_close(
        got["together"],
        alone,
        "each image to be moved as it is alone, whatever else is in the batch (values of shape "
        "(B,) would lie along the columns)",
        name,
        atol=atol,
    )


def require_images_and_film(got: dict, inputs: dict) -> None:
    require(
        got["film"] == "a list",
        "a pair (x_0, film), where film is a list",
        "None" if got["x0"] is None else "something that is not such a pair",
    )
    require_tensor(got["x0"], "x_0", tuple(inputs["x_T"].shape))


def require_bell_curve(got: dict) -> None:
    """Fail unless the noise of a walk is standard normal."""
    # 11520 draws: the mean varies by 0.009, the variance by 0.013 and the share by 0.002, and
    # each is rounded in the probe. The limits are more than five times that.
    require(
        abs(got["mean"]) < 0.15 and abs(got["variance"] - 1) < 0.15,
        "noise of mean 0 and variance 1",
        f"mean {got['mean']:g} and variance {got['variance']:g}",
    )
    require(
        abs(got["beyond two"] - 0.0455) < 0.016,
        "the bell curve: 4.6 % of the numbers beyond -2 or 2",
        f"{100 * got['beyond two']:.0f} % of them",
    )


def require_fresh_draws(got: dict) -> None:
    """Fail if two parts of a walk's noise are alike."""
    for name, between in (
        ("steps", "two steps"),
        ("images", "two images of the batch"),
        ("channels", "two channels"),
        ("rows", "two rows of pixels"),
        ("columns", "two columns of pixels"),
        ("x_T", "a step and x_T, or of two steps"),
    ):
        require(
            not got[name],
            "noise that is drawn anew for every step, every image and every pixel",
            f"the noise of {between} is the same, or nearly",
        )


def require_generator_decides(got: dict, what: str = "images", act: str = "walk") -> None:
    """Fail unless what a walk draws follows from the generator, and from nothing else."""
    require(
        got["same seed, same result"],
        f"the same {what} from two generators with the same seed, whatever torch.manual_seed says",
        f"different {what}: some of the randomness does not come from `generator`",
    )
    require(
        not got["other seed, same result"],
        f"other {what} from a generator with another seed",
        f"the same {what}",
    )
    require(
        not got["later draws, same result"],
        f"other {what} from a second {act} that goes on with the same generator",
        f"the same {what}: the generator was set back, or never used",
    )


def require_no_graph(got: dict) -> None:
    """Fail if a tensor of a walk hangs on a graph for gradients."""
    places = {"during": "the images between the steps", "x0": "x_0", "film": "the film's frames"}
    for key, place in places.items():
        require(
            not got[key],
            f"{place} without a graph (requires_grad is False)",
            "requires_grad is True: every step's intermediate results are kept",
        )


def require_whole_gradient(
    grad: Tensor | None, right: Tensor, name: str, expected: str = ""
) -> None:
    """Fail unless the gradient arrives whole; `expected` says more if its value may be wrong."""
    if grad is None:
        raise Wrong(f"a gradient to reach {name}", "none")
    everywhere = "on every way there (no .detach(), .data or no_grad)"
    require_close(
        grad,
        right,
        expected or f"the whole gradient to reach {name}, {everywhere}",
        f"the gradient of {name}",
        **NETWORK,
    )


def require_independent_drops(got: dict, what: str) -> None:
    """The share of 1500 calls that drop each `place` of ten, and the `variance` of their number."""
    # The share of 1500 draws has standard deviation sqrt(0.3 * 0.7 / 1500) = 0.012: six of them.
    place = require_tensor(got["place"], "the shares", (10,), torch.float64)
    worst = int((place - 0.3).abs().argmax())
    require(
        abs(float(place[worst]) - 0.3) < 0.071,
        "every place in the batch dropped in about 30 % of the calls",
        f"place {worst} dropped in {float(place[worst]):.0%}",
    )
    # Ten independent draws: variance 10 * 0.3 * 0.7 = 2.1. Over 1500 calls the estimate of it
    # has a relative standard deviation of sqrt(2 / 1500) = 0.037: six of them.
    require(
        abs(got["variance"] / 2.1 - 1) < 0.22,
        f"the number of dropped {what} to spread as that of ten independent draws (variance 2.1)",
        f"a variance of {got['variance']:.3g}: the {what} are dropped or kept together more or "
        "less often than by chance",
    )
