"""Checks of chapter 11: flow matching."""

import math

import torch
from torch import Tensor

from checks.probes import ch11_flow_matching as probes
from checks.theory import (
    NETWORK,
    SECONDS,
    draw_images,
    require_generator_decides,
    require_same_device,
    require_value_errors,
    require_whole_gradient,
    seed_and_stream,
)
from course.grading.checking import check, listed, require, require_close, require_tensor


def column(values: Tensor) -> Tensor:
    """One number for each image, in float64, shape (B, 1, 1, 1)."""
    return values.double().view(-1, 1, 1, 1)


def require_pair(got: dict, words: str) -> None:
    require(got["pair"], f"a pair {words}", got["returned"])


# 11.1

ELEVEN_ONE = "straight_path(x0, eps, t)"


def line_inputs(times: list[float], *shape: int, dtype: torch.dtype = torch.float32):
    def inputs(g: torch.Generator) -> dict:
        size = (len(times), *shape)
        return {
            # Drawn in this dtype, so that all its digits are in use.
            "x0": 2 * torch.rand(size, generator=g, dtype=dtype) - 1,
            "eps": torch.randn(size, generator=g, dtype=dtype),
            "t": torch.tensor(times, dtype=dtype),
        }

    return inputs


# As many images as columns, so that a (B,) against the wrong axis raises no error.
ON_THE_WAY = line_inputs([0.25, 0.9, 0.5, 0.07], 2, 5, 4)


@check(
    "11.1",
    probe=probes.path,
    inputs=line_inputs([0.0, 1.0, 0.0], 2, 5, 4),
    call=ELEVEN_ONE + ", three images of shape (2, 5, 4), t = [0, 1, 0]",
)
def test_path_has_its_ends(got, ref, inputs):
    """The line begins in the image, at t = 0, and ends in the noise, at t = 1"""
    require_pair(got, "(x_t, velocity)")
    x_t = require_tensor(got["x_t"], "x_t", tuple(inputs["x0"].shape))
    for place, t, wanted, name in (
        (0, 0, inputs["x0"], "x0"),
        (1, 1, inputs["eps"], "eps"),
        (2, 0, inputs["x0"], "x0"),
    ):
        require_close(x_t[place], wanted[place], f"x_t = {name} where t = {t}", f"x_t[{place}]")


@check(
    "11.1",
    probe=probes.path,
    inputs=ON_THE_WAY,
    call=ELEVEN_ONE + ", t = [0.25, 0.9, 0.5, 0.07], shape (4, 2, 5, 4)",
)
def test_path_is_a_straight_line(got, ref, inputs):
    """Between its ends x_t is on the straight line, each image at its own time"""
    t = column(inputs["t"])
    wanted = inputs["x0"].double() + t * (inputs["eps"].double() - inputs["x0"].double())
    require_close(
        got["x_t"], wanted.float(), "the share t of the way from x0 to eps behind it", "x_t"
    )


@check(
    "11.1",
    probe=probes.path_of_strided,
    inputs=line_inputs([0.25, 0.9, 0.0, 1.0], 2, 5, 4),
    call=ELEVEN_ONE + ", t = [0.25, 0.9, 0, 1], images not contiguous in memory",
)
def test_path_has_its_velocity(got, ref, inputs):
    """The velocity is the change of x_t for a change of t by 1, the same all the way"""
    wanted = inputs["eps"].double() - inputs["x0"].double()
    require_close(
        got["velocity"],
        wanted.float(),
        "what x_t changes by while t grows from 0 to 1",
        "the velocity",
    )


@check(
    "11.1",
    probe=probes.path,
    inputs=line_inputs([0.3, 0.8], 3, 2, 5, dtype=torch.float64),
    call=ELEVEN_ONE + ", all in float64",
)
def test_path_keeps_the_dtype(got, ref, inputs):
    """x_t and the velocity have the dtype of the images, and its digits"""
    x0, eps, t = inputs["x0"], inputs["eps"], column(inputs["t"])
    for name, wanted in (("x_t", (1 - t) * x0 + t * eps), ("velocity", eps - x0)):
        require_close(
            got[name], wanted, f"{name} to the digits of float64", name, rtol=1e-9, atol=1e-11
        )


@check(
    "11.1",
    probe=probes.path_elsewhere,
    inputs=ON_THE_WAY,
    call=ELEVEN_ONE + ", all of it on another device than the CPU",
    seconds=SECONDS,
)
def test_path_works_on_any_device(got, ref, inputs):
    """The line is where the images are, on whatever device"""
    for name in ("x_t", "velocity"):
        require_same_device([got[name]], name)


# 11.2

ELEVEN_TWO = "draw_times(count, generator, spread, mean, std)"
MANY = 20_000


def times_inputs(**more):
    def inputs(g: torch.Generator) -> dict:
        return {"seed": seed_and_stream(g)[0], **more}

    return inputs


@check(
    "11.2",
    probe=probes.drawn,
    inputs=times_inputs(count=7),
    call="draw_times(7, generator)",
)
def test_times_have_their_form(got, ref, inputs):
    """There is a float32 number from 0 to 1 for each image"""
    _require_form(got)


def _require_form(got: dict) -> None:
    wanted = "float32 tensor of shape (7,)"
    require(got["form"] == wanted, f"t to be a {wanted}", f"a {got['form']}")
    require(got["inside"], "times from 0 to 1", "times outside")


@check(
    "11.2",
    probe=probes.drawn,
    inputs=times_inputs(count=7, spread="logit_normal"),
    call='draw_times(7, generator, "logit_normal")',
)
def test_logit_normal_times_have_their_form(got, ref, inputs):
    """logit_normal: there is a float32 number from 0 to 1 for each image as well"""
    _require_form(got)


def _require_own_draws(got: dict) -> None:
    require(
        got["form"] == "times",
        f"a time for each of {MANY:,} images",
        f"a {got['form']}",
    )
    require(
        not got["repeated"],
        "any number between 0 and 1 to come up",
        "numbers that come up more often than chance would have it",
    )
    for name, words in (
        ("sorted", "times in the order of their size"),
        ("neighbours", "times that go with those of their neighbours"),
        ("halves", "times that go with those half a batch further on"),
        ("mirrored", "times that go with those at the same place from the end"),
        ("even", "times at even distances"),
    ):
        require(not got[name], "for each image a draw of its own, whatever the others get", words)


def _require_figures(got: dict, wanted: dict, words: str, room: float) -> None:
    for name, value in wanted.items():
        require(
            abs(got[name] - value) <= room,
            f"{words}, with {name} about {value:.2f}",
            f"{name} {got[name]:g}",
        )


# Of 20,000 draws. The standard deviations are below 0.003 for the figures of a uniform draw, and
# below 0.01 for those of a normal one, each rounded to 0.05, and the shares to 0.01.
UNIFORM = {"mean": 0.5, "std": 1 / math.sqrt(12), "beyond two": 0.0}


def _require_uniform(got: dict) -> None:
    _require_own_draws(got)
    _require_figures(got["t"], UNIFORM, "t from 0 to 1, all alike", 0.04)
    for name, words in (("low", "below 0.1"), ("high", "above 0.9")):
        require(
            abs(got[name] - 0.1) <= 0.02,
            f"10 % of the times {words}",
            f"{got[name]:.0%} of them",
        )


@check(
    "11.2",
    probe=probes.look,
    inputs=times_inputs(count=MANY, spread="uniform"),
    call=f'draw_times({MANY}, generator, "uniform")',
)
def test_times_are_uniform(got, ref, inputs):
    """uniform: all times from 0 to 1 alike, drawn for each image anew"""
    _require_uniform(got)


@check(
    "11.2",
    probe=probes.look,
    inputs=times_inputs(count=MANY),
    call=f"draw_times({MANY}, generator), without a spread",
)
def test_times_are_uniform_by_default(got, ref, inputs):
    """Without a spread the times are uniform"""
    _require_uniform(got)


@check(
    "11.2",
    probe=probes.times_again,
    inputs=times_inputs(count=30),
    call="draw_times(30, generator, spread), several times, with equal and with other generators",
)
def test_times_come_from_the_generator(got, ref, inputs):
    """The generator decides on the times, and nothing else does"""
    for spread, found in got.items():
        for name, wanted, words in (
            ("same seed, same result", True, "other times from an equal generator"),
            ("other seed, same result", False, "the same times from another generator"),
            ("later draws, same result", False, "the same times from the next call"),
            ("torch's own untouched", True, "draws from torch's own generator"),
        ):
            require(
                found[name] == wanted,
                f"{spread} times that follow from the state of `generator` alone",
                words,
            )


@check(
    "11.2",
    probe=probes.ends_reached,
    # Of 100 * 20,000 times 20 are below 0.00001 on average: that none is happens with e^-20.
    inputs=times_inputs(count=MANY, spread="uniform", calls=100, closer=1e-5),
    call=f'draw_times({MANY}, generator, "uniform"), up to 100 times',
)
def test_uniform_times_reach_the_ends(got, ref, inputs):
    """uniform: times come up however close to 0, and however close to 1"""
    for end in (0, 1):
        require(got[f"near {end}"], f"some times that are {end} to 0.00001", "none of 2,000,000")


def _require_logit_normal(got: dict, mean: float, std: float) -> None:
    _require_own_draws(got)
    wanted = {"mean": mean, "std": std, "beyond two": 0.0455}
    words = f"log( t / (1 - t) ) to be Gaussian, mean {mean:g}, standard deviation {std:g}"
    _require_figures(got["logit"], wanted, words, 0.06)
    require(
        got["logit"]["beyond two"] >= 0.03,
        "the bell curve: 4.6 % of the numbers beyond two standard deviations",
        f"{got['logit']['beyond two']:.0%} of them",
    )


@check(
    "11.2",
    probe=probes.look_by_name,
    inputs=times_inputs(count=MANY, spread="logit_normal", mean=-0.8, std=0.4),
    call=f'draw_times(count={MANY}, generator=..., spread="logit_normal", mean=-0.8, std=0.4)',
)
def test_times_are_logit_normal(got, ref, inputs):
    """logit_normal: log( t / (1 - t) ) is Gaussian, of this mean and this standard deviation"""
    _require_logit_normal(got, -0.8, 0.4)


@check(
    "11.2",
    probe=probes.look_by_default,
    inputs=times_inputs(count=MANY, spread="logit_normal"),
    call=f'draw_times({MANY}, generator, "logit_normal"), without and with mean = 0, std = 1',
)
def test_times_are_logit_normal_by_default(got, ref, inputs):
    """logit_normal without more: mean 0 and standard deviation 1"""
    _require_logit_normal(got, 0.0, 1.0)
    require(
        got["as named"],
        "the times that mean = 0.0 and std = 1.0 give, from an equal generator",
        "others",
    )


def close_normals(g: torch.Generator) -> dict:
    # The second mean is so low that the times themselves are about 0.000005.
    mean = 0.01 * int(torch.randint(-90, 90, (), generator=g)) + 0.004
    normals = [(mean, 0.0043), (-12.3, 0.5)]
    return times_inputs(count=MANY, spread="logit_normal", normals=normals)(g)


@check(
    "11.2",
    probe=probes.looks_closer,
    inputs=close_normals,
    call=f'draw_times({MANY}, generator, "logit_normal", mean, std), with std = 0.0043, '
    "and with mean = -12.3 and std = 0.5",
)
def test_logit_normal_takes_any_mean_and_spread(got, ref, inputs):
    """logit_normal: mean and standard deviation are kept to, however small or far from 0"""
    for (mean, std), found in zip(inputs["normals"], got["found"]):
        require(
            found["form"] == "times", f"a time for each of {MANY:,} images", f"a {found['form']}"
        )
        require(
            abs(found["mean"] - mean) <= 0.1 * std and abs(found["std"] - std) <= 0.1 * std,
            f"log( t / (1 - t) ) of mean {mean:g} and standard deviation {std:g}",
            f"mean {found['mean']:g} and standard deviation {found['std']:g}",
        )


SPREADS = ["cosine", "Uniform", "logit-normal", "normal", ""]


@check(
    "11.2",
    probe=probes.refused_spreads,
    inputs=lambda g: {"spreads": SPREADS},
    call="draw_times(3, generator, spread), with spreads that do not exist",
)
def test_times_refuse_another_spread(got, ref, inputs):
    """Another spread is refused"""
    require_value_errors(got["raised"], [f"spread = {spread!r}" for spread in SPREADS])


@check(
    "11.2",
    probe=probes.times_elsewhere,
    inputs=times_inputs(count=5),
    call=ELEVEN_TWO + ", with a generator of another device than the CPU",
    seconds=SECONDS,
)
def test_times_lie_where_the_generator_does(got, ref, inputs):
    """The times are made on the device of the generator"""
    require_same_device(got["places"], "t")


# 11.3

ELEVEN_THREE = "flow_loss(model, x0, t, labels, eps, path)"


def loss_inputs(*shape: int):
    def inputs(g: torch.Generator) -> dict:
        count = shape[0]
        return {
            "x0": draw_images(g, shape),
            "eps": torch.randn(shape, generator=g),
            "t": 0.05 + 0.9 * torch.rand(count, generator=g),
            "labels": torch.randint(0, 11, (count,), generator=g),
            # What path answers; no formula of x0 and eps gives it.
            "x_t": 2 * torch.randn(shape, generator=g),
            "velocity": 2 * torch.randn(shape, generator=g),
            "weight": 0.6,
            "errors": [1.0, -1.0, 2.0, 0.5, 0.0],
        }

    return inputs


SMALL = loss_inputs(4, 2, 5, 4)


@check("11.3", probe=probes.loss, inputs=SMALL, call=ELEVEN_THREE + ", B = 4 images")
def test_loss_walks_the_path_it_is_handed(got, ref, inputs):
    """path is asked once, about these images, this noise and these times"""
    require_tensor(got["loss"], "the loss", ())
    require(len(got["path"]) == 1, "one call of path", f"{len(got['path'])} calls")
    for name, right in got["path"][0].items():
        require(right, f"path(x0, eps, t) to be handed {name} as it is", "something else")


@check("11.3", probe=probes.loss, inputs=SMALL, call=ELEVEN_THREE + ", B = 4 images")
def test_loss_asks_the_network(got, ref, inputs):
    """The network is asked once: about the points of the lines, with the labels"""
    require(len(got["asked"]) == 1, "one call of the network", f"{len(got['asked'])} calls")
    x, _, labels = got["asked"][0]
    require_close(x, inputs["x_t"], "the network to be handed the x_t of path", "its images")
    require_close(labels, inputs["labels"], "the network to be handed the labels", "its labels")


@check("11.3", probe=probes.loss, inputs=SMALL, call=ELEVEN_THREE + ", t between 0.05 and 0.95")
def test_loss_tells_the_network_its_time(got, ref, inputs):
    """The network is told TIME_SCALE * t, one number for each image"""
    require_close(
        got["asked"][0][1],
        1000 * inputs["t"],
        "the network to be handed TIME_SCALE * t, from 0 to 1000",
        "its t",
    )


@check("11.3", probe=probes.loss_by_name, inputs=SMALL, call=ELEVEN_THREE + ", all by name")
def test_loss_is_the_mean_square(got, ref, inputs):
    """The loss is the mean, over batch and pixels, of the squared error of the velocity"""
    t, labels = 1000 * inputs["t"].double(), inputs["labels"]
    answer = probes.toy_velocity(inputs["x_t"].double(), t.double(), labels)
    wanted = ((answer - inputs["velocity"].double()) ** 2).mean().float()
    require_close(
        got["loss"], wanted, "the mean squared difference between velocity and answer", "the loss",
        **NETWORK,
    )  # fmt: skip


@check(
    "11.3",
    probe=probes.loss_of_known_errors,
    inputs=loss_inputs(3, 2, 4, 6),
    call=ELEVEN_THREE + ", with networks that are off by 1, -1, 2, 0.5 and 0 in every pixel",
)
def test_loss_of_known_errors(got, ref, inputs):
    """Off by 1 costs 1, twice as far costs four times as much, whether upwards or downwards"""
    for loss, by in zip(got["losses"], inputs["errors"]):
        wanted = torch.tensor(by**2)
        require_close(loss, wanted, f"a loss of {by**2:g} for an error of {by:g}", "the loss",
                      atol=3e-6)  # fmt: skip


@check(
    "11.3",
    probe=probes.loss_gradient,
    inputs=SMALL,
    call=ELEVEN_THREE + ", with a network that has a weight for each pixel",
)
def test_loss_teaches_the_network(got, ref, inputs):
    """The whole gradient reaches the network"""
    x, answer = inputs["x_t"].double(), inputs["weight"] * inputs["x_t"].double()
    right = 2 * (answer - inputs["velocity"].double()) * x / x.numel()
    require_whole_gradient(got["gradient"], right.float(), "the network's weights")


@check(
    "11.3",
    probe=probes.loss_elsewhere,
    inputs=SMALL,
    call=ELEVEN_THREE + ", all of it on another device than the CPU",
    seconds=SECONDS,
    free=("places",),
)
def test_loss_works_on_any_device(got, ref, inputs):
    """The network is asked where the images are, on whatever device"""
    for name, words in (
        ("x", "the network's images"),
        ("t", "the network's t"),
        ("labels", "the network's labels"),
        ("loss", "the loss"),
    ):
        require_same_device([got["places"].get(name, "unknown")], words)


# 11.4


def step_inputs(step: str, t: list[float], t_next: list[float], *shape: int):
    def inputs(g: torch.Generator) -> dict:
        return {
            "step": step,
            "x_t": torch.randn(len(t), *shape, generator=g),
            "t": torch.tensor(t),
            "t_next": torch.tensor(t_next),
            "velocity": torch.randn(len(t), *shape, generator=g),
        }

    return inputs


# As many images as columns; the third step leads back, towards the noise.
STEPS = ([1.0, 0.75, 0.2, 0.4], [0.6, 0.7, 0.5, 0.0], 2, 5, 4)
WHERE = ", t = [1, 0.75, 0.2, 0.4], t_next = [0.6, 0.7, 0.5, 0]"
EULER = "euler_step(velocity, x_t, t, t_next)"
HEUN = "heun_step(velocity, x_t, t, t_next)"


def exact_step(inputs: dict, x: Tensor, t: Tensor, t_next: Tensor, second: bool) -> Tensor:
    """A step along the probes' field, in float64."""
    h = (t_next - t).view(-1, 1, 1, 1)
    slope = probes.field(x, t)
    if second:
        slope = (slope + probes.field(x + h * slope, t_next)) / 2
    return x + h * slope


def _require_step(got: dict, inputs: dict, words: str) -> None:
    x, t, t_next = (inputs[name].double() for name in ("x_t", "t", "t_next"))
    wanted = exact_step(inputs, x, t, t_next, inputs["step"] == "heun_step")
    require_close(got["x"], wanted.float(), words, "x_next", atol=1e-5)


@check("11.4", probe=probes.one_step, inputs=step_inputs("euler_step", *STEPS), call=EULER + WHERE)
def test_euler_asks_where_it_begins(got, ref, inputs):
    """Euler asks for the velocity once, at x_t and t"""
    require_tensor(got["x"], "x_next", tuple(inputs["x_t"].shape))
    require(len(got["asked"]) == 1, "one call of velocity", f"{len(got['asked'])} calls")
    _require_asked(got["asked"][0], inputs["x_t"], inputs["t"], "the beginning of the step")


def _require_asked(asked: list, x: Tensor, t: Tensor, where: str) -> None:
    for value, right, name in ((asked[0], x, "place"), (asked[1], t, "time")):
        require_close(
            value, right, f"velocity(x, t) to be asked at {where}", f"its {name}", atol=1e-5
        )


@check("11.4", probe=probes.one_step, inputs=step_inputs("euler_step", *STEPS), call=EULER + WHERE)
def test_euler_goes_straight_on(got, ref, inputs):
    """Euler goes on for the time of the step with the velocity of its beginning, to and fro"""
    _require_step(got, inputs, "x_t and what the velocity there makes of it until t_next")


@check("11.4", probe=probes.one_step, inputs=step_inputs("heun_step", *STEPS), call=HEUN + WHERE)
def test_heun_asks_at_both_ends(got, ref, inputs):
    """Heun asks twice: where the step begins, and where Euler's would end, at t_next"""
    require_tensor(got["x"], "x_next", tuple(inputs["x_t"].shape))
    require(len(got["asked"]) == 2, "two calls of velocity", f"{len(got['asked'])} calls")
    x, t, t_next = (inputs[name].double() for name in ("x_t", "t", "t_next"))
    guess = exact_step(inputs, x, t, t_next, False).float()
    _require_asked(got["asked"][0], inputs["x_t"], inputs["t"], "the beginning of the step")
    _require_asked(got["asked"][1], guess, inputs["t_next"], "the end of Euler's step")


@check(
    "11.4",
    probe=probes.one_step_by_name,
    inputs=step_inputs("heun_step", *STEPS),
    call=HEUN + WHERE + ", all by name",
)
def test_heun_takes_the_mean(got, ref, inputs):
    """Heun goes from x_t in the mean of both velocities"""
    _require_step(got, inputs, "x_t and what the mean of both velocities makes of it until t_next")


@check(
    "11.4",
    probe=probes.steps_of_a_line,
    inputs=step_inputs("euler_step", [0.9, 0.0, 0.3], [0.0, 1.0, 0.1], 2, 4, 5),
    call="euler_step and heun_step, with a velocity that never changes",
)
def test_steps_follow_a_line_exactly(got, ref, inputs):
    """Where the velocity never changes both steps are exact, however long they are"""
    h = column(inputs["t_next"]) - column(inputs["t"])
    wanted = (inputs["x_t"].double() + h * inputs["velocity"].double()).float()
    for name in ("euler", "heun"):
        require_close(got[name], wanted, "the point of the line at t_next", f"{name}'s x_next",
                      atol=1e-5)  # fmt: skip


def gaussian_inputs(step: str, counts: list[int]):
    def inputs(g: torch.Generator) -> dict:
        x_1 = torch.randn(3, 2, 4, 5, generator=g)
        return {"step": step, "x_1": x_1, "counts": counts, "mean": 0.3, "std": 0.4}

    return inputs


def spread_at(t: float, std: float) -> tuple[float, float]:
    """(s, s'): the spread of x_t for Gaussian data, and how fast it changes."""
    s = math.sqrt((1 - t) ** 2 * std**2 + t**2)
    return s, (t - (1 - t) * std**2) / s


def gaussian_walk(inputs: dict, count: int) -> tuple[float, float]:
    """Where a walk from t = 1 to 0 ends, as factor * x_1 + offset: every step is affine."""
    mean, factor, offset = inputs["mean"], 1.0, 0.0

    def line(t: float) -> tuple[float, float]:
        """The velocity at time t, as slope * x + rest."""
        s, growth = spread_at(t, inputs["std"])
        return growth / s, -mean - growth / s * (1 - t) * mean

    for k in range(count):
        t, h = 1 - k / count, -1 / count
        slope, rest = line(t)
        if inputs["step"] == "heun_step":
            # v_2 = slope_2 * (x + h * (slope * x + rest)) + rest_2
            slope_2, rest_2 = line(t + h)
            slope, rest = (
                (slope + slope_2 * (1 + h * slope)) / 2,
                (rest + slope_2 * h * rest + rest_2) / 2,
            )
        factor, offset = (1 + h * slope) * factor, (1 + h * slope) * offset + h * rest
    return factor, offset


@check(
    "11.4",
    probe=probes.gaussian_walks,
    inputs=gaussian_inputs("euler_step", [1]),
    call="one euler_step from t = 1 to 0, for data that is Gaussian, mean 0.3",
)
def test_one_euler_step_lands_on_the_mean(got, ref, inputs):
    """In pure noise all that is known of the image is its mean: one Euler step lands there"""
    require_close(
        got["x"][0],
        torch.full_like(inputs["x_1"], inputs["mean"]),
        "the mean of the data in every pixel",
        "x_0",
        atol=1e-5,
    )


def _require_walks(got: dict, inputs: dict) -> None:
    for count, x in zip(inputs["counts"], got["x"]):
        factor, offset = gaussian_walk(inputs, count)
        require_close(
            x,
            (factor * inputs["x_1"].double() + offset).float(),
            f"after {count} steps the spread {factor:.5f}, where the curve itself ends with "
            f"{inputs['std']:g}",
            "x_0",
            atol=2e-5,
        )


@check(
    "11.4",
    probe=probes.gaussian_walks,
    inputs=gaussian_inputs("euler_step", [2, 16, 32]),
    call="walks of euler_step from t = 1 to 0, for data that is Gaussian, standard deviation 0.4",
)
def test_euler_is_of_first_order(got, ref, inputs):
    """For Gaussian data Euler's walk ends where theory says: half the step, half the error"""
    _require_walks(got, inputs)


@check(
    "11.4",
    probe=probes.gaussian_walks,
    inputs=gaussian_inputs("heun_step", [1, 16, 32]),
    call="walks of heun_step from t = 1 to 0, for data that is Gaussian, standard deviation 0.4",
)
def test_heun_is_of_second_order(got, ref, inputs):
    """For Gaussian data Heun's walk ends where theory says: half the step, a fourth of the error"""
    _require_walks(got, inputs)


@check(
    "11.4",
    probe=probes.steps_elsewhere,
    inputs=step_inputs("euler_step", *STEPS),
    call="euler_step and heun_step, all of it on another device than the CPU",
    seconds=SECONDS,
)
def test_steps_work_on_any_device(got, ref, inputs):
    """The steps work where the images are, on whatever device"""
    require_same_device(got["places"], "x_next")


# 11.5

LEVELS = [0.97, 0.5, 0.08, 1.0, 0.0, 0.3]  # no noise and nothing but noise among them
LEVELS_SHOWN = ", alpha_bar = [0.97, 0.5, 0.08, 1, 0, 0.3]"


def family_inputs(g: torch.Generator) -> dict:
    """The same images and noise in both models, at the same noise levels, in float32."""
    # As many images as columns, so that a (B,) against the wrong axis raises no error.
    a = torch.tensor(LEVELS, dtype=torch.float64)
    shape = (len(LEVELS), 2, 5, 6)
    x0, eps = draw_images(g, shape).double(), torch.randn(shape, generator=g).double()
    signal, noise = column(a.sqrt()), column((1 - a).sqrt())
    t = (noise / (signal + noise)).flatten()
    exact = {
        "alpha_bar": a,
        "t": t,
        "x_t": signal * x0 + noise * eps,
        "x": (1 - column(t)) * x0 + column(t) * eps,
        "v": signal * eps - noise * x0,
        "velocity": eps - x0,
        "eps": eps,
    }
    return {name: value.float() for name, value in exact.items()} | {"mean": 0.3, "std": 0.4}


@check(
    "11.5",
    probe=probes.flow_of,
    inputs=family_inputs,
    call="to_flow(x_t, alpha_bar)" + LEVELS_SHOWN,
)
def test_flow_time_is_as_noisy(got, ref, inputs):
    """to_flow: at time t there is as much noise for so much image as at alpha_bar"""
    require_pair(got, "(x, t)")
    require_close(
        got["t"],
        inputs["t"],
        "t / (1 - t) to be sqrt(1 - alpha_bar) / sqrt(alpha_bar), one t for each image",
        "t",
        atol=1e-5,
    )


@check(
    "11.5",
    probe=probes.flow_of,
    inputs=family_inputs,
    call="to_flow(x_t, alpha_bar)" + LEVELS_SHOWN,
)
def test_flow_point_is_on_its_line(got, ref, inputs):
    """to_flow: x is on the straight line from the image in x_t to the noise in it"""
    require_close(
        got["x"],
        inputs["x"],
        "(1 - t) x_0 + t eps, of the x_0 and eps that x_t is a mixture of",
        "x",
        atol=1e-5,
    )


@check(
    "11.5",
    probe=probes.diffusion_of,
    inputs=family_inputs,
    call="to_diffusion(x, t), t from 0 to 1, both included",
)
def test_diffusion_level_is_as_noisy(got, ref, inputs):
    """to_diffusion: at alpha_bar there is as much noise for so much image as at time t"""
    require_pair(got, "(x_t, alpha_bar)")
    require_close(
        got["alpha_bar"],
        inputs["alpha_bar"],
        "sqrt(1 - alpha_bar) / sqrt(alpha_bar) to be t / (1 - t), one alpha_bar for each image",
        "alpha_bar",
        atol=1e-5,
    )


@check(
    "11.5",
    probe=probes.diffusion_of,
    inputs=family_inputs,
    call="to_diffusion(x, t), t from 0 to 1, both included",
)
def test_diffusion_image_has_its_weights(got, ref, inputs):
    """to_diffusion: x_t mixes image and noise with weights whose squares add up to 1"""
    require_close(
        got["x_t"],
        inputs["x_t"],
        "sqrt(alpha_bar) x_0 + sqrt(1 - alpha_bar) eps, of the x_0 and eps of the line",
        "x_t",
        atol=1e-5,
    )


@check(
    "11.5",
    probe=probes.there_and_back,
    inputs=family_inputs,
    call="to_diffusion(*to_flow(x_t, alpha_bar)) and to_flow(*to_diffusion(x, t))",
)
def test_there_and_back_changes_nothing(got, ref, inputs):
    """One leads back from where the other has led"""
    for way, names in (("diffusion", ("x_t", "alpha_bar")), ("flow", ("x", "t"))):
        for name, value in zip(names, got[way]):
            require_close(
                value, inputs[name], f"{name} as it was before the way there and back", name,
                atol=2e-5,
            )  # fmt: skip


@check(
    "11.5",
    probe=probes.velocity_of,
    inputs=family_inputs,
    call="velocity_from_v(x_t, v, alpha_bar)" + LEVELS_SHOWN,
)
def test_velocity_is_read_off_v(got, ref, inputs):
    """velocity_from_v: the velocity of the line from the image in x_t and v to their noise"""
    require_close(
        got["velocity"],
        inputs["velocity"],
        "the velocity of the line, at every noise level from alpha_bar = 1 to 0",
        "the velocity",
        atol=1e-5,
    )


@check(
    "11.5",
    probe=probes.eps_of,
    inputs=family_inputs,
    call="eps_from_velocity(x, velocity, t), t from 0 to 1, both included",
)
def test_eps_is_read_off_the_velocity(got, ref, inputs):
    """eps_from_velocity: the end of the line through x, at every time from 0 to 1"""
    require_close(
        got["eps"], inputs["eps"], "the noise at the other end of the line", "eps", atol=1e-5
    )


@check(
    "11.5",
    probe=probes.gaussian_family,
    inputs=family_inputs,
    call="to_flow and velocity_from_v, for data that is Gaussian, with the best v",
)
def test_the_best_v_is_the_best_velocity(got, ref, inputs):
    """For Gaussian data the best v stands for the flow's best velocity, at its place and time"""
    mean, std = inputs["mean"], inputs["std"]
    alpha_bar, x_t = column(inputs["alpha_bar"]), inputs["x_t"].double()
    r = alpha_bar.sqrt() + (1 - alpha_bar).sqrt()
    x, t = x_t / r, (1 - alpha_bar).sqrt() / r
    s = ((1 - t) ** 2 * std**2 + t**2).sqrt()
    growth = (t - (1 - t) * std**2) / s
    wanted = -mean + growth / s * (x - (1 - t) * mean)
    require_close(
        got["velocity"], wanted.float(), "-mu + s'/s (x - m), the flow's own velocity",
        "the velocity", atol=3e-5,
    )  # fmt: skip


@check(
    "11.5",
    probe=probes.family_elsewhere,
    inputs=family_inputs,
    call="all four functions, all of it on another device than the CPU",
    seconds=SECONDS,
)
def test_family_lives_on_any_device(got, ref, inputs):
    """The results are where the images are, on whatever device"""
    for name, places in got.items():
        require_same_device(places, f"what {name} returns")


# 11.6

ELEVEN_SIX = "guided_velocity(model, x_t, t, labels, guidance_scale, null_label)"


def question(g: torch.Generator, labels: list[int], null_label: int, **more) -> dict:
    count = len(labels)
    return {
        "x_t": torch.randn(count, 2, 3, 4, generator=g),
        "t": torch.tensor([0.5, 0.0, 0.875, 0.25, 1.0][:count]),
        "labels": torch.tensor(labels),
        "null_label": null_label,
        **more,
    }


def both_velocities(inputs: dict) -> tuple[Tensor, Tensor]:
    """What the toy network says with the labels, and with the null label."""
    x, t, labels = inputs["x_t"], 1000 * inputs["t"], inputs["labels"]
    nothing = torch.full_like(labels, inputs["null_label"])
    return probes.toy_velocity(x, t, labels), probes.toy_velocity(x, t, nothing)


@check(
    "11.6",
    probe=probes.guided,
    inputs=lambda g: question(g, [3, 0, 8], 10, guidance_scale=1.5),
    call=ELEVEN_SIX + ", with B = 3 images",
)
def test_guided_velocity_asks_once(got, ref, inputs):
    """The network is called once, with a batch of 2B"""
    require(
        got["calls"] == 1, "one call of the network, with both questions", f"{got['calls']} calls"
    )
    for name, shape, wanted in zip(
        ("x", "t", "labels"), got["shapes"][0], ([6, 2, 3, 4], [6], [6])
    ):
        require(
            shape == wanted,
            f"the network to be handed {name} of shape {tuple(wanted)}",
            f"shape {tuple(shape)}",
        )
    for name, dtype in zip(("x", "t", "labels"), got["dtypes"][0]):
        wanted = "torch.int64" if name == "labels" else "torch.float32"
        require(
            dtype == wanted, f"the network to be handed {name} of dtype {wanted}", f"dtype {dtype}"
        )
    require_tensor(got["velocity"], "the velocity", tuple(inputs["x_t"].shape))


def _require_rows(got: dict, inputs: dict, times: bool) -> None:
    """Each image was seen with its label and with the null label, in any order; at its time."""
    rows = [tuple(row) for row in got["rows"]]
    require(
        all(image >= 0 for image, _, _ in rows), "the network to see the images of x_t", "others"
    )
    for i, (t, label) in enumerate(zip(inputs["t"].tolist(), inputs["labels"].tolist())):
        seen = [(time, asked) for image, time, asked in rows if image == i]
        if times:
            require(
                all(abs(time - 1000 * t) < 0.01 for time, _ in seen),
                f"the network to be told {1000 * t:g} for t = {t:g}, as flow_loss tells it",
                listed(f"{time:g}" for time, _ in seen),
            )
        else:
            require(
                sorted(asked for _, asked in seen) == sorted([label, inputs["null_label"]]),
                f"image {i} to be shown with its label, {label}, and with the null label, "
                f"{inputs['null_label']}",
                f"the labels {listed(asked for _, asked in seen) or 'of no call'}",
            )


@check(
    "11.6",
    probe=probes.guided,
    inputs=lambda g: question(g, [4, 2, 7], 0, guidance_scale=1.5),
    call=ELEVEN_SIX + ", labels = [4, 2, 7], null_label = 0",
)
def test_guided_velocity_asks_with_and_without_the_label(got, ref, inputs):
    """Each image is shown with its label and with the null label that was handed in"""
    _require_rows(got, inputs, times=False)


@check(
    "11.6",
    probe=probes.guided,
    inputs=lambda g: question(g, [3, 6, 1, 0, 3], 6, guidance_scale=1.5),
    call=ELEVEN_SIX + ", t = [0.5, 0, 0.875, 0.25, 1]",
)
def test_guided_velocity_tells_the_time_as_in_training(got, ref, inputs):
    """Each image is shown at its own time, on the scale that flow_loss has taught"""
    _require_rows(got, inputs, times=True)


def at_all_scales(g: torch.Generator) -> dict:
    return question(g, [3, 0, 8, 5], 10, scales=[0.0, -1.0, 1.0, 2.5, 0.333, 12.0])


@check(
    "11.6",
    probe=probes.guided_values,
    inputs=at_all_scales,
    call=ELEVEN_SIX + ", with guidance_scale = 0 and with -1",
)
def test_guided_velocity_at_its_fixed_points(got, ref, inputs):
    """w = 0 is the velocity for the label, w = -1 that for any label"""
    for velocity, target, w, name in zip(
        got["velocity"], both_velocities(inputs), (0, -1), ("the label", "the null label")
    ):
        require_close(
            velocity,
            target,
            f"with w = {w} just what the network says with {name}",
            f"the velocity with w = {w}",
            atol=1e-5,
        )


@check(
    "11.6",
    probe=probes.guided_values,
    inputs=at_all_scales,
    call=ELEVEN_SIX + ", with guidance_scale = 1, 2.5, 0.333 and 12",
)
def test_guided_velocity_steps_beyond_the_condition(got, ref, inputs):
    """w steps lead beyond the velocity for the label, away from that for any label"""
    cond, null = both_velocities(inputs)
    for velocity, w in list(zip(got["velocity"], inputs["scales"]))[2:]:
        require_close(
            velocity,
            cond + w * (cond - null),
            f"a velocity w = {w:g} times the way from null to conditional beyond the conditional",
            "the velocity",
            atol=1e-5 * (1 + w),
        )


@check(
    "11.6",
    probe=probes.guided_in_training,
    inputs=lambda g: question(g, [3, 0, 8], 10, guidance_scale=1.5, weight=0.7),
    call=ELEVEN_SIX + ", where the network has a weight that is being trained",
)
def test_guided_velocity_of_a_network_in_training(got, ref, inputs):
    """A network that is being trained can be asked as well, and gradients stay on"""
    cond, null = both_velocities(inputs)
    require_close(
        got["velocity"], 0.7 * (cond + 1.5 * (cond - null)), "the same guided velocity as else",
        "the velocity", atol=1e-5,
    )  # fmt: skip
    require(
        got["gradients on"],
        "gradients to be on after the call, as before",
        "gradients switched off for the whole program",
    )


@check(
    "11.6",
    probe=probes.guided_elsewhere,
    inputs=lambda g: question(g, [3, 0, 8], 10, guidance_scale=1.5),
    call=ELEVEN_SIX + ", x_t, t and labels on another device than the CPU",
    seconds=SECONDS,
    free=("places",),
)
def test_guided_velocity_works_on_any_device(got, ref, inputs):
    """The network is asked where the images are, on whatever device"""
    for name, words in (
        ("x", "the network's images"),
        ("t", "the network's t"),
        ("labels", "the network's labels"),
        ("velocity", "the guided velocity"),
    ):
        require_same_device([got["places"].get(name, "unknown")], words)


# 11.7

STRAIGHT = "straightness(velocity, x_1, num_steps)"
PAIRS = "reflow_pairs(walk, shape, generator)"


def ways_inputs(*shape: int, **more):
    def inputs(g: torch.Generator) -> dict:
        return {
            "seed": seed_and_stream(g)[0],
            "x_1": torch.randn(shape, generator=g),
            "x0": torch.randn(shape, generator=g),
            "velocity": torch.randn(shape, generator=g),
            "shape": list(shape),
            **more,
        }

    return inputs


@check(
    "11.7",
    probe=probes.visited,
    inputs=ways_inputs(3, 2, 4, 5, num_steps=5),
    call=STRAIGHT + ", num_steps = 5, B = 3",
)
def test_straightness_walks_from_noise_to_image(got, ref, inputs):
    """The walk asks at t = 1, 4/5, ... 1/5, for all images, and goes against the velocity"""
    require(len(got["times"]) == 5, "5 calls of velocity", f"{len(got['times'])} calls")
    x, each = inputs["x_1"].double(), inputs["velocity"].double()
    for k, (t, seen) in enumerate(zip(got["times"], got["images"])):
        wanted = 1 - k / 5
        right = isinstance(t, list) and all(abs(value - wanted) < 1e-5 for value in t)
        require(
            right,
            f"call number {k + 1} at t = {wanted:g} for each of the 3 images",
            f"t = {t}" if isinstance(t, list) else f"a {t}",
        )
        require_close(
            seen, x.float(), f"call number {k + 1} at the images of {k} steps", "x", atol=1e-5
        )
        x = x - (k + 1) * each / 5


@check(
    "11.7",
    probe=probes.straight_ways,
    inputs=ways_inputs(3, 2, 4, 5, num_steps=4),
    call=STRAIGHT + ", with a velocity that never changes, and one that turns around halfway",
)
def test_straightness_of_lines_is_zero(got, ref, inputs):
    """Straight ways have 0; those that turn around halfway have the mean of their speed squared"""
    require_close(
        got["constant"], torch.tensor(0.0), "S = 0 where every way is a straight line", "S",
        atol=1e-5,
    )  # fmt: skip
    # Of the steps at t = 1, 3/4, 1/2 and 1/4 two lead forward and two back: they arrive at x_1.
    wanted = (inputs["velocity"].double() ** 2).mean().float()
    require_close(
        got["turning"], wanted, "the mean square of the velocity, where the ways end in x_1", "S",
        atol=1e-5,
    )  # fmt: skip


def gaussian_velocities(inputs: dict, count: int) -> list[Tensor]:
    """The velocities of an Euler walk from x_1, exactly."""
    x, mean, std = inputs["x_1"].double(), inputs["mean"], inputs["std"]
    found = []
    for k in range(count):
        t = 1 - k / count
        s, growth = spread_at(t, std)
        found.append(-mean + growth / s * (x - (1 - t) * mean))
        x = x - found[-1] / count
    return found


@check(
    "11.7",
    probe=probes.gaussian_straightness,
    inputs=ways_inputs(3, 2, 4, 5, mean=0.3, std=0.4, counts=[1, 2, 7, 30]),
    call=STRAIGHT + ", for data that is Gaussian, x_1 not contiguous, num_steps = 1, 2, 7 and 30",
)
def test_straightness_is_what_theory_says(got, ref, inputs):
    """For Gaussian data S is the mean square of what is between displacement and velocity"""
    for count, found in zip(inputs["counts"], got["found"]):
        velocities = torch.stack(gaussian_velocities(inputs, count))
        wanted = ((velocities.mean(dim=0) - velocities) ** 2).mean().float()
        require_close(
            found,
            wanted,
            f"with {count} steps the mean, over steps and pixels, of ( (x_1 - x_0) - velocity )^2",
            "S",
            rtol=1e-3,
            atol=1e-6,
        )


@check(
    "11.7",
    probe=probes.straightness_graph,
    inputs=ways_inputs(3, 2, 4, 5, num_steps=4),
    call=STRAIGHT + ", with a velocity that has a trainable weight",
)
def test_straightness_builds_no_graph(got, ref, inputs):
    """Measuring builds no graph for gradients, and then ends that"""
    for name, words in (("during", "the images between the steps"), ("result", "S")):
        require(not got[name], f"{words} without a graph", "requires_grad is True")
    require(got["on"], "gradients to be switched on again afterwards", "gradients off for good")


@check(
    "11.7",
    probe=probes.pairs,
    inputs=ways_inputs(4, 2, 3, 5),
    call=PAIRS + ", shape = (4, 2, 3, 5)",
)
def test_pairs_belong_together(got, ref, inputs):
    """The pair is what the walk made, and the noise that it was made of"""
    require_pair(got, "(x0, eps)")
    require(got["calls"] == 1, "one call of walk", f"{got['calls']} calls")
    for form, name in zip(got["forms"], ("what walk is handed", "x0", "eps")):
        wanted = "float32 tensor of shape (4, 2, 3, 5)"
        require(form == wanted, f"{name} to be a {wanted}", f"a {form}")
    require(got["x0 is the walk's"], "x0 to be what walk returned", "something else")
    require(got["eps is the walk's"], "eps to be the noise that walk was handed", "something else")


@check(
    "11.7",
    probe=probes.pairs_of_a_flow,
    inputs=ways_inputs(10, 3, 16, 20, mean=0.3, std=0.4),
    call=PAIRS + ", with the exact flow of Gaussian data as walk, shape (10, 3, 16, 20)",
)
def test_pairs_of_an_exact_flow(got, ref, inputs):
    """The noise is standard normal, new in every pixel, and x0 lies where the flow leads it"""
    wanted = ["float32 tensor of shape (10, 3, 16, 20)"] * 2
    require(got["forms"] == wanted, f"x0 and eps, each a {wanted[0]}", " and ".join(got["forms"]))
    require(got["on the line"], "every x0 to be that of its own eps", "other pairs")
    # 9600 draws: mean and standard deviation vary by 0.01 and 0.007, and are rounded to 0.1.
    require(
        abs(got["mean"]) < 0.15 and abs(got["std"] - 1) < 0.15,
        "noise of mean 0 and standard deviation 1",
        f"mean {got['mean']:g} and standard deviation {got['std']:g}",
    )
    require(
        abs(got["beyond two"] - 0.0455) < 0.016,
        "the bell curve: 4.6 % of the numbers beyond two standard deviations",
        f"{got['beyond two']:.0%} of them",
    )
    for name in ("images", "channels", "rows", "columns"):
        require(not got[name], "noise that is drawn anew for every pixel", f"two {name} alike")


@check(
    "11.7",
    probe=probes.pairs_again,
    inputs=ways_inputs(4, 2, 3, 5),
    call=PAIRS + ", several times, with equal and with other generators",
)
def test_pairs_come_from_the_generator(got, ref, inputs):
    """The same generator gives the same pairs, another gives others, and torch's own is left be"""
    require_generator_decides(got)
    require(
        got["torch's own untouched"],
        "torch's own random generator to stay as it was",
        "it was used, or given a seed",
    )


@check(
    "11.7",
    probe=probes.pairs_graph,
    inputs=ways_inputs(4, 2, 3, 5),
    call=PAIRS + ", with a walk that has a trainable weight",
)
def test_pairs_build_no_graph(got, ref, inputs):
    """Making pairs builds no graph for gradients, and then ends that"""
    require(not got["result"], "x0 and eps without a graph", "requires_grad is True")
    require(got["on"], "gradients to be switched on again afterwards", "gradients off for good")


@check(
    "11.7",
    probe=probes.ways_elsewhere,
    inputs=ways_inputs(3, 2, 4, 5),
    call="straightness and reflow_pairs, x_1 and the generator on another device than the CPU",
    seconds=SECONDS,
    free=("places",),
)
def test_ways_live_on_any_device(got, ref, inputs):
    """Times, noise and results are made where x_1 and the generator are, on whatever device"""
    for name, words in (("t", "velocity's t"), ("S", "S"), ("eps", "eps")):
        require_same_device([got["places"].get(name, "unknown")], words)
