"""Checks of chapter 05: training."""

import math

import torch
from torch import Tensor

from checks.probes import ch05_training as probes
from checks.theory import SECONDS, at, draw_images
from course.grading.checking import (
    brief,
    check,
    require,
    require_close,
    require_number,
    require_tensor,
)

# What most verdicts allow: float32 rounding of a formula of a few terms. Some right ways to
# write the formulas divide by sqrt(alpha_bar) or its complement, which multiplies the rounding
# by up to 20 for the smallest value used here.
RTOL, ATOL = 1e-4, 1e-5


def require_weights(value: dict, target: dict, expected: str, name: str, rtol=RTOL, atol=ATOL):
    """Fail unless all the named tensors are like their targets."""
    missing = [key for key in target if value.get(key) is None]
    require(not missing, expected, f"{name} without {', '.join(missing)}")
    for key in target:
        require_close(value[key], target[key], expected, f"{key} of {name}", rtol, atol)


# 5.1


def draw_alpha_bars(g: torch.Generator, num_steps: int) -> Tensor:
    """An irregular descent from hardly any noise to hardly any signal."""
    inner = 0.02 + 0.96 * torch.rand(num_steps - 2, generator=g)
    falling = inner.sort(descending=True).values
    return torch.cat([torch.tensor([0.997]), falling, torch.tensor([0.003])])


def draw_t(g: torch.Generator, batch_size: int, num_steps: int) -> Tensor:
    """Steps in any order, the first and the last among them."""
    t = torch.randint(0, num_steps, (batch_size,), generator=g)
    t[:1], t[1:2] = num_steps - 1, 0
    return t[torch.randperm(batch_size, generator=g)]


def draw_batch(g: torch.Generator, *shape: int, num_steps: int = 7) -> dict:
    """Images, noise and steps, with the noisy images and v that go with them."""
    x0, eps = draw_images(g, shape), torch.randn(shape, generator=g)
    t, alpha_bars = draw_t(g, shape[0], num_steps), draw_alpha_bars(g, num_steps)
    signal, noise = amplitudes({"t": t, "alpha_bars": alpha_bars})
    return {
        "x0": x0,
        "eps": eps,
        "t": t,
        "alpha_bars": alpha_bars,
        "x_t": (signal * x0 + noise * eps).float(),
        "v": (signal * eps - noise * x0).float(),
    }


def amplitudes(inputs: dict) -> tuple[Tensor, Tensor]:
    """sqrt(alpha_bar_t) and sqrt(1 - alpha_bar_t) in float64, to be multiplied with images."""
    alpha_bar = at(inputs["alpha_bars"], inputs["t"])
    return alpha_bar.sqrt(), (1 - alpha_bar).sqrt()


DRAW_CALL = "draw_noise(x0, num_steps={}, generator), x0 of shape {}"


def draw_inputs(*shape: int, num_steps: int, dtype: torch.dtype = torch.float32):
    def inputs(g: torch.Generator) -> dict:
        seed = int(torch.randint(0, 10_000, (), generator=g))
        return {"x0": draw_images(g, shape).to(dtype), "num_steps": num_steps, "seed": seed}

    return inputs


@check(
    "5.1",
    probe=probes.drawn_shapes,
    inputs=draw_inputs(5, 3, 4, 6, num_steps=9),
    call=DRAW_CALL.format(9, "(5, 3, 4, 6)"),
)
def test_draws_have_the_right_shapes(got, ref, inputs):
    """There is a whole-numbered step for each image, and noise for each pixel"""
    require(got["pair"], "a pair (t, eps)", got.get("returned", ""))
    require_tensor(got["t"], "t, one step for each image,", (5,), torch.int64)
    require_tensor(got["eps"], "eps, one number for each pixel,", (5, 3, 4, 6))


@check(
    "5.1",
    probe=probes.drawn_shapes,
    inputs=draw_inputs(4, 2, 7, 3, num_steps=9, dtype=torch.float64),
    call=DRAW_CALL.format(9, "(4, 2, 7, 3), in float64"),
)
def test_noise_has_the_dtype_of_the_images(got, ref, inputs):
    """The noise has the dtype of the images"""
    require_tensor(got["eps"], "eps, like x0,", (4, 2, 7, 3), torch.float64)


@check(
    "5.1",
    probe=probes.drawn_variety,
    inputs=draw_inputs(64, 1, 1, 1, num_steps=1000),
    call=DRAW_CALL.format(1000, "(64, 1, 1, 1)"),
)
def test_each_image_gets_its_own_step(got, ref, inputs):
    """Each image of a batch gets a step of its own"""
    require(
        got["several"],
        "different steps within a batch of 64 images",
        "the same step for all of them",
    )


@check(
    "5.1",
    probe=probes.drawn_range,
    inputs=draw_inputs(640, 1, 1, 1, num_steps=3),
    call=DRAW_CALL.format(3, "(640, 1, 1, 1)"),
)
def test_every_step_is_drawn(got, ref, inputs):
    """Every step from 0 to T-1 is drawn, both ends included"""
    # That one of three steps is missing among 640 draws has a probability of 1e-112.
    steps = [int(step) for step in got["steps"]]
    require(
        steps == [0, 1, 2],
        "the steps 0, 1 and 2, and no others, to come up for T = 3",
        f"only {steps}" if set(steps) < {0, 1, 2} else f"{steps}",
    )


@check(
    "5.1",
    probe=probes.drawn_steps,
    inputs=draw_inputs(20_000, 1, 1, 1, num_steps=5),
    call=DRAW_CALL.format(5, "(20000, 1, 1, 1)"),
)
def test_steps_are_drawn_equally_often(got, ref, inputs):
    """All steps are drawn equally often"""
    counts = got["counts"].double()
    # Chi-square with 4 degrees of freedom exceeds 50 with a probability of 4e-10.
    chi_square = float(((counts - 4000) ** 2 / 4000).sum())
    require(
        len(counts) == 5 and chi_square < 50,
        "each of the 5 steps about 4000 times among 20000 images",
        f"these numbers of times: {[int(count) for count in counts]}",
    )


@check(
    "5.1",
    probe=probes.drawn_noise,
    inputs=draw_inputs(40, 3, 16, 20, num_steps=5),
    call=DRAW_CALL.format(5, "(40, 3, 16, 20)"),
)
def test_noise_is_standard_normal(got, ref, inputs):
    """The noise is standard normal, drawn for each pixel anew"""
    eps = require_tensor(got["eps"], "eps", (40, 3, 16, 20)).double()
    # 38400 draws. The standard deviations of mean, variance, fourth moment and correlation are
    # 0.005, 0.007, 0.05 and at most 0.006; the tolerances are six of them or more.
    mean, variance = float(eps.mean()), float(eps.var())
    for axis, name in enumerate(("image", "channel", "row", "column")):
        n, centred = eps.shape[axis], eps - mean
        products = centred.narrow(axis, 0, n - 1) * centred.narrow(axis, 1, n - 1)
        correlation = float(products.mean()) / (variance or 1)
        require(
            abs(correlation) < 0.04,
            f"noise that is drawn anew for each {name}",
            f"noise that each {name} shares with the next (correlation {correlation:.2f})",
        )
    require(abs(mean) < 0.031, "noise with mean 0", f"a mean of {mean:.3f}")
    require(abs(variance - 1) < 0.044, "noise with variance 1", f"a variance of {variance:.3f}")
    fourth = float((eps**4).mean())
    require(
        abs(fourth - 3) < 0.35,
        "noise with the bell curve's tails, for which the mean of eps^4 is 3",
        f"a mean of eps^4 of {fourth:.3f}",
    )
    # Of so many draws 26 lie beyond 3.4; that none does has a probability of 6e-12.
    largest = float(eps.abs().max())
    require(
        largest > 3.4,
        "noise with the bell curve's tails, in which a few of 38400 numbers exceed 3.4",
        f"none larger than {largest:.3f}",
    )


@check(
    "5.1",
    probe=probes.drawn_again,
    inputs=draw_inputs(30, 2, 4, 5, num_steps=1000),
    call="draw_noise(x0, num_steps=1000, generator), several times",
)
def test_draws_come_from_the_generator(got, ref, inputs):
    """The generator decides on the draws, and nothing else does"""
    for name in ("t", "eps"):
        found = got[name]
        require(
            found["same seed, same draw"],
            f"the same {name} from a generator with the same seed",
            f"another {name}: it is drawn from somewhere else",
        )
        require(
            found["other seed, other draw"],
            f"another {name} from a generator with another seed",
            f"the same {name}",
        )
        require(
            found["next draw is new"],
            f"another {name} in the next call with the same generator",
            f"the same {name} again",
        )


@check(
    "5.1",
    probe=probes.drawn_elsewhere,
    inputs=draw_inputs(5, 3, 4, 6, num_steps=9),
    call=DRAW_CALL.format(9, "(5, 3, 4, 6)") + ", on another device than the CPU",
    seconds=SECONDS,
)
def test_draws_live_where_the_images_do(got, ref, inputs):
    """Steps and noise are made on the device of the images, such as a graphics card"""
    for name in ("t", "eps"):
        require(
            got[name] != "cpu",
            f"{name} on the device of x0, where the network will be, too",
            f"{name} on the CPU",
        )


LOSS_CALL = "diffusion_loss(model, x0, t, labels, eps, alpha_bars{}), x0 of shape {}"


def loss_inputs(*shape: int):
    def inputs(g: torch.Generator) -> dict:
        batch = draw_batch(g, *shape)
        labels = torch.randint(0, 10, shape[:1], generator=g)
        labels[2] = 10  # the null label
        weights = {
            name: torch.randn(shape[1], 1, 1, generator=g) * scale
            for name, scale in (("image", 1.0), ("step", 0.3), ("label", 0.2))
        }
        return {
            **{name: batch[name] for name in ("x0", "t", "eps", "alpha_bars")},
            "labels": labels,
            "weights": weights,
            "wanted": torch.randn(shape, generator=g),
        }

    return inputs


def x_t_and_error(inputs: dict, wanted: Tensor) -> tuple[Tensor, Tensor]:
    """In float64: the noisy images, and the toy network's answer minus what is wanted of it."""
    signal, noise = amplitudes(inputs)
    x_t = signal * inputs["x0"] + noise * inputs["eps"]
    weights = {name: value.double() for name, value in inputs["weights"].items()}
    answer = (
        weights["image"] * x_t
        + weights["step"] * inputs["t"].double()[:, None, None, None]
        + weights["label"] * inputs["labels"].double()[:, None, None, None]
    )
    return x_t, answer - wanted


def require_loss(loss, error: Tensor, expected: str) -> None:
    loss = require_tensor(loss, "the loss", (), dtype=None)
    require_number(float(loss), float((error**2).mean()), expected, "the loss", RTOL, ATOL)


# Four images of width 4: here coefficients of shape (B,) meet the wrong axis and nobody complains.
@check(
    "5.1",
    probe=probes.loss_call,
    inputs=loss_inputs(4, 3, 5, 4),
    call=LOSS_CALL.format("", "(4, 3, 5, 4)"),
)
def test_loss_asks_about_the_noisy_images(got, ref, inputs):
    """The network is asked once: about the noisy images, with their steps and labels"""
    calls = got["calls"]
    require(len(calls) == 1, "the model to be called once", f"{len(calls)} calls")
    x_t, _ = x_t_and_error(inputs, inputs["eps"])
    require_close(
        calls[0]["x_t"],
        x_t.float(),
        "the model to get x_t, where each image is mixed with noise according to its own t",
        "the model's first argument",
        RTOL,
        ATOL,
    )
    require_close(
        calls[0]["t"], inputs["t"], "the model to get t as it is", "the model's second argument"
    )
    require_close(
        calls[0]["labels"],
        inputs["labels"],
        "the model to get the labels as they are",
        "the model's third argument",
    )


@check(
    "5.1",
    probe=probes.loss_value,
    inputs=loss_inputs(5, 3, 4, 6),
    call=LOSS_CALL.format("", "(5, 3, 4, 6)"),
)
def test_loss_is_the_mean_squared_error(got, ref, inputs):
    """The loss is the mean squared error between the noise and the network's answer"""
    _, error = x_t_and_error(inputs, inputs["eps"])
    require_loss(
        got["loss"], error, "the mean, over images and pixels, of the squared difference to eps"
    )


@check(
    "5.1",
    probe=probes.loss_target,
    inputs=loss_inputs(5, 3, 4, 6),
    call=LOSS_CALL.format(", target)", "(5, 3, 4, 6)").replace("), x0", ", x0"),
)
def test_loss_uses_the_target_it_is_given(got, ref, inputs):
    """What the network is asked for is the target's choice"""
    require(len(got["asked"]) > 0, "target to be called", "a loss without asking target")
    for asked in got["asked"]:
        for name in ("x0", "eps", "t", "alpha_bars"):
            require_close(
                asked[name],
                inputs[name],
                f"target to be called as target(x0, eps, t, alpha_bars), with {name} as it is",
                f"target's {name}",
            )
    _, error = x_t_and_error(inputs, inputs["wanted"])
    require_loss(got["loss"], error, "the mean of the squared difference to what target returned")


@check(
    "5.1",
    probe=probes.loss_gradients,
    inputs=loss_inputs(5, 3, 4, 6),
    call=LOSS_CALL.format("", "(5, 3, 4, 6)") + ", then loss.backward()",
)
def test_loss_lets_gradients_through(got, ref, inputs):
    """Gradients flow from the loss to every weight of the network"""
    require(
        got["differentiable"],
        "a loss that remembers how it was computed, so that backward() works",
        "a loss without gradients (.item(), .detach() and torch.no_grad() cut them off)",
    )
    x_t, error = x_t_and_error(inputs, inputs["eps"])
    factors = {
        "image": x_t,
        "step": inputs["t"].double()[:, None, None, None],
        "label": inputs["labels"].double()[:, None, None, None],
    }
    slopes = {
        name: (2 * error * factor / error.numel()).sum((0, 2, 3))[:, None, None].float()
        for name, factor in factors.items()
    }
    require_weights(
        got["gradients"],
        slopes,
        "the gradient of the mean squared error in every weight of the model",
        "the gradients",
        1e-3,  # sums of 120 terms of both signs
        1e-4,
    )


# 5.2


def batches(names: tuple[str, ...], *shapes: tuple[int, ...]):
    def inputs(g: torch.Generator) -> dict:
        drawn = [draw_batch(g, *shape) for shape in shapes]
        return {"batches": [{name: batch[name] for name in names} for batch in drawn]}

    return inputs


def at_the_ends(names: tuple[str, ...]):
    """Four images, two of them almost clean and two almost lost in noise."""

    def inputs(g: torch.Generator) -> dict:
        batch = draw_batch(g, 4, 2, 3, 4)
        batch["t"] = torch.tensor([2, 0, 0, 2])
        batch["alpha_bars"] = torch.tensor([0.9999, 0.5, 0.0001])
        return {"batches": [{name: batch[name] for name in names}]}

    return inputs


# sqrt(1e-4) = 0.01 of the other ingredient is still in it, which is at most 5 in size.
END_ATOL = 0.06


@check(
    "5.2",
    probe=probes.v_target,
    inputs=at_the_ends(probes.V_TARGET_INPUTS),
    call="v_target(x0, eps, t, alpha_bars), alpha_bars = [0.9999, 0.5, 0.0001]",
)
def test_v_is_what_the_input_hides(got, ref, inputs):
    """On an almost clean image v is the noise, in almost pure noise it is minus the image"""
    v = require_tensor(got["found"][0], "v", (4, 2, 3, 4))
    batch = inputs["batches"][0]
    for end, target, name in ((0, batch["eps"], "eps"), (2, -batch["x0"], "-x_0")):
        there = batch["t"] == end
        expected = f"v near {name} where alpha_bar is near {0 if end else 1}"
        require_close(v[there], target[there], expected, "v", 0, END_ATOL)


def require_v(v, batch: dict) -> None:
    require_tensor(v, "v", tuple(batch["x0"].shape))
    signal, noise = amplitudes(batch)
    x_t = signal * batch["x0"] + noise * batch["eps"]
    require_close(
        (signal * x_t - noise * v.double()).float(),
        batch["x0"],
        "sqrt(alpha_bar_t) x_t - sqrt(1 - alpha_bar_t) v to be x_0, with each image's own t",
        "that difference",
        RTOL,
        ATOL,
    )
    require_close(
        (noise * x_t + signal * v.double()).float(),
        batch["eps"],
        "sqrt(1 - alpha_bar_t) x_t + sqrt(alpha_bar_t) v to be eps, with each image's own t",
        "that sum",
        RTOL,
        ATOL,
    )


@check(
    "5.2",
    probe=probes.v_target,
    inputs=batches(probes.V_TARGET_INPUTS, (6, 2, 3, 6)),
    call="v_target(x0, eps, t, alpha_bars), as many images as pixels in a row: (6, 2, 3, 6)",
)
def test_v_mixes_each_image_by_its_own_step(got, ref, inputs):
    """Image and noise can be read off v and x_t, for each image at its own step"""
    for v, batch in zip(got["found"], inputs["batches"]):
        require_v(v, batch)


@check(
    "5.2",
    probe=probes.v_target,
    inputs=batches(probes.V_TARGET_INPUTS, (5, 3, 4, 6), (1, 1, 5, 3)),
    call="v_target(x0, eps, t, alpha_bars), x0 of shape (5, 3, 4, 6), then (1, 1, 5, 3)",
)
def test_v_in_other_sizes(got, ref, inputs):
    """The same holds for images of other sizes"""
    for v, batch in zip(got["found"], inputs["batches"]):
        require_v(v, batch)


@check(
    "5.2",
    probe=probes.eps_from_v,
    inputs=at_the_ends(probes.EPS_FROM_V_INPUTS),
    call="eps_from_v(x_t, v, t, alpha_bars), alpha_bars = [0.9999, 0.5, 0.0001]",
)
def test_eps_from_v_at_the_ends(got, ref, inputs):
    """Where v is the noise, v is handed on; where x_t is nothing but noise, x_t is"""
    eps = require_tensor(got["found"][0], "eps", (4, 2, 3, 4))
    batch = inputs["batches"][0]
    for end, name in ((0, "v"), (2, "x_t")):
        there = batch["t"] == end
        expected = f"eps near {name} where alpha_bar is near {0 if end else 1}"
        require_close(eps[there], batch[name][there], expected, "eps", 0, END_ATOL)


def require_eps(eps, batch: dict) -> None:
    require_tensor(eps, "eps", tuple(batch["x_t"].shape))
    require_close(
        eps,
        batch["eps"],
        "the eps that went into x_t and v, with each image's own t",
        "eps",
        RTOL,
        ATOL,
    )


@check(
    "5.2",
    probe=probes.eps_from_v,
    inputs=batches((*probes.EPS_FROM_V_INPUTS, "eps"), (6, 2, 3, 6)),
    call="eps_from_v(x_t, v, t, alpha_bars), as many images as pixels in a row: (6, 2, 3, 6)",
)
def test_eps_from_v_undoes_v(got, ref, inputs):
    """From x_t and v the noise that went into both comes back, for each image at its own step"""
    for eps, batch in zip(got["found"], inputs["batches"]):
        require_eps(eps, batch)


@check(
    "5.2",
    probe=probes.eps_from_v,
    inputs=batches((*probes.EPS_FROM_V_INPUTS, "eps"), (5, 3, 4, 6), (1, 1, 5, 3)),
    call="eps_from_v(x_t, v, t, alpha_bars), x_t of shape (5, 3, 4, 6), then (1, 1, 5, 3)",
)
def test_eps_from_v_in_other_sizes(got, ref, inputs):
    """The noise comes back from images of other sizes, too"""
    for eps, batch in zip(got["found"], inputs["batches"]):
        require_eps(eps, batch)


# 5.3


def draw_state(g: torch.Generator) -> dict[str, Tensor]:
    """Values for all parameters and buffers of the followed network."""
    shapes = {**probes.PARAMETER_SHAPES, **probes.BUFFER_SHAPES}
    state = {name: torch.randn(shape, generator=g) for name, shape in shapes.items()}
    state["norm.running_var"] = state["norm.running_var"].abs()
    state[probes.COUNT] = torch.randint(1, 100, (), generator=g)
    return state


def parameters_in(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: state[name] for name in probes.PARAMETER_SHAPES}


def ema_inputs(updates: int = 0, **options: float):
    def inputs(g: torch.Generator) -> dict:
        start, moved = draw_state(g), draw_state(g)
        path = [draw_state(g) for _ in range(updates)]
        return {"start": start, "moved": moved, "path": path, "options": options}

    return inputs


def follow(shadow: dict[str, Tensor], weights: dict[str, Tensor], n: int, decay: float):
    """The docstring's recursion in float64."""
    d = min(decay, (1 + n) / (10 + n))
    return {name: d * shadow[name].double() + (1 - d) * weights[name].double() for name in shadow}


def kept_share(found: dict, before: dict, weights: dict) -> float | None:
    """The d with which `found` is d * before + (1 - d) * weights, or None if there is none."""
    if any(not isinstance(found.get(name), Tensor) for name in before):
        return None
    if any(found[name].shape != before[name].shape for name in before):
        return None
    way = torch.cat([(before[name] - weights[name]).double().flatten() for name in before])
    here = torch.cat([(found[name] - weights[name]).double().flatten() for name in before])
    d = float(here @ way / (way @ way))
    return d if torch.allclose(here, d * way, RTOL, ATOL) else None


def require_path(got: dict, inputs: dict, decay: float, expected: str) -> None:
    shadow = parameters_in(inputs["start"])
    for n, weights in enumerate(inputs["path"]):
        before, shadow = shadow, follow(shadow, weights, n, decay)
        target = {name: value.float() for name, value in shadow.items()}
        d, right = kept_share(got["path"][n], before, weights), min(decay, (1 + n) / (10 + n))
        require(
            d is None or abs(d - right) < 1e-4,
            expected,
            f"an average that keeps {d or 0:.4g} of what it was, at update number {n + 1}",
        )
        number = f"the average after {n + 1} update{'s' if n else ''}"
        require_weights(got["path"][n], target, expected, number)


def require_count(value, target: int, expected: str) -> None:
    require_number(value, target, expected, "num_updates", 0, 0)


@check("5.3", probe=probes.ema_start, inputs=ema_inputs(), call="EMA(model)")
def test_ema_begins_as_a_copy(got, ref, inputs):
    """The average begins as a copy of the network, with no updates made"""
    start = inputs["start"]
    require(
        got["before"].keys() == start.keys(),
        "ema.model to have the same parameters and buffers as the model",
        f"other names: {brief(sorted(got['before'].keys() ^ start.keys()))}",
    )
    require_weights(got["before"], start, "ema.model to begin with the model's values", "ema.model")
    require_count(got["num_updates"], 0, "ema.num_updates to begin at 0")


@check(
    "5.3",
    probe=probes.ema_start,
    inputs=ema_inputs(),
    call="EMA(model), then the model's weights change",
)
def test_ema_is_a_network_of_its_own(got, ref, inputs):
    """The average is a network of its own and stays where it is until it is updated"""
    require_weights(
        got["after"],
        inputs["start"],
        "ema.model to stay as it was: only update() moves it",
        "ema.model",
    )


@check(
    "5.3",
    probe=probes.ema_follow,
    inputs=ema_inputs(updates=1),
    call="EMA(model), then the model's weights change, then update(model)",
)
def test_ema_first_update(got, ref, inputs):
    """The first update keeps a tenth of the old and takes nine tenths of the new"""
    require_path(got, inputs, 0.9999, "n = 0 at the first update, so that it keeps d_0 = 1/10")
    require_count(got["counts"][0], 1, "num_updates = 1 after the first update")


@check(
    "5.3",
    probe=probes.ema_follow,
    inputs=ema_inputs(updates=5),
    call="EMA(model), then five times: the model's weights change, update(model)",
)
def test_ema_warms_up(got, ref, inputs):
    """With every update the average holds on to more of what it has"""
    require_path(got, inputs, 0.9999, "d_n = (1 + n) / (10 + n) with n = 0, 1, 2, 3, 4")
    for n, count in enumerate(got["counts"]):
        require_count(count, n + 1, f"num_updates = {n + 1} after {n + 1} updates")


@check(
    "5.3",
    probe=probes.ema_follow,
    inputs=ema_inputs(updates=6, decay=0.22),
    call="EMA(model, decay=0.22), then six times: the model's weights change, update(model)",
)
def test_ema_decay_is_the_upper_limit(got, ref, inputs):
    """d_n grows no further than decay"""
    require_path(got, inputs, 0.22, "d_n = 0.1, 0.18 and from then on 0.22, which is decay")


@check(
    "5.3",
    probe=probes.ema_modes,
    inputs=ema_inputs(),
    call="EMA(model) with a model in training mode, then update(model) twice",
)
def test_ema_modes(got, ref, inputs):
    """The average is ready for sampling, and the network for more training"""
    for when, then in (("", ""), (", updated", " after an update")):
        average, network = got["average" + when], got["network" + when]
        require(
            average["training"] == [False],
            f"ema.model in eval mode{then}, all its parts included",
            "ema.model, or a part of it, in training mode",
        )
        require(
            average["requires_grad"] == [False],
            f"ema.model's parameters to need no gradient{then}",
            "requires_grad = True in ema.model",
        )
        require(
            network["training"] == [True],
            f"the model itself to stay in training mode{then}",
            "the model in eval mode",
        )
        require(
            network["requires_grad"] == [True],
            f"the model's own parameters to need gradients{then}, as before",
            "requires_grad = False in the model that is being trained",
        )
    require(
        not got["switched off"],
        "gradients to be on again after an update",
        "gradients switched off for the whole program (torch.no_grad() ends with its block)",
    )


@check(
    "5.3",
    probe=probes.ema_buffers,
    inputs=ema_inputs(),
    call="EMA(model), then the model's buffers change, update(model), and they change again",
)
def test_ema_copies_buffers(got, ref, inputs):
    """Buffers are copied as they are"""
    names = (*probes.BUFFER_SHAPES, probes.COUNT)
    target = {name: inputs["moved"][name] for name in names}
    require_weights(
        got["updated"],
        target,
        "ema.model's buffers to equal the model's after an update, without any averaging",
        "ema.model",
    )
    require_weights(
        got["later"],
        target,
        "ema.model's buffers to be copies, which do not change with the model's",
        "ema.model",
    )


@check(
    "5.3",
    probe=probes.ema_leaves_network,
    inputs=ema_inputs(),
    call="EMA(model), then the model's weights change, then update(model)",
)
def test_ema_leaves_the_network_alone(got, ref, inputs):
    """The network that is followed does not notice"""
    require_weights(
        got["network"],
        inputs["moved"],
        "update(model) to change ema.model and leave the model as it is",
        "the model",
    )


def restored_inputs(g: torch.Generator) -> dict:
    return {**ema_inputs()(g), "restored": draw_state(g), "num_updates": 89}


@check(
    "5.3",
    probe=probes.ema_restored,
    inputs=restored_inputs,
    call="ema.model.load_state_dict(...), ema.num_updates = 89, then update(model)",
)
def test_ema_goes_on_from_a_checkpoint(got, ref, inputs):
    """The average goes on from the weights and the count that a checkpoint puts back"""
    shadow = follow(parameters_in(inputs["restored"]), inputs["moved"], 89, 0.9999)
    require_weights(
        got["parameters"],
        {name: value.float() for name, value in shadow.items()},
        "the 90th update, from the weights in ema.model and with d_89 = 90/99",
        "the average",
    )
    require_count(got["num_updates"], 90, "num_updates = 90 after it")


def late_inputs(g: torch.Generator) -> dict:
    inputs = restored_inputs(g)
    # The network is so far away that a share of 1 - decay = 1e-4 of it is about 1.
    far = {name: 1e4 * value for name, value in parameters_in(inputs["moved"]).items()}
    return {**inputs, "moved": {**inputs["moved"], **far}, "num_updates": 10_000_000}


@check(
    "5.3",
    probe=probes.ema_restored,
    inputs=late_inputs,
    call="EMA(model), ema.num_updates = 10000000 as after a long run, then update(model)",
)
def test_ema_has_a_default_decay(got, ref, inputs):
    """Without another choice decay is 0.9999, however long the run"""
    restored, moved = parameters_in(inputs["restored"]), parameters_in(inputs["moved"])
    shadow = follow(restored, moved, 10_000_000, 0.9999)
    expected = "an average that still keeps 0.9999 of what it was, and no more"
    d = kept_share(got["parameters"], restored, moved)
    require(
        d is None or abs(d - 0.9999) < 1e-6, expected, f"one that keeps {d or 0:.7g} of what it was"
    )
    # Code that computes d in float32 is off by 3e-8 in 1 - d = 1e-4, which is 3e-4 of it.
    require_weights(
        got["parameters"],
        {name: value.float() for name, value in shadow.items()},
        expected,
        "the average",
        2e-3,
        2e-3,
    )


# 5.4


def step_inputs(*limit: float):
    def inputs(g: torch.Generator) -> dict:
        def draw(scale: float) -> dict[str, Tensor]:
            return {
                "matrix": scale * torch.randn(3, 2, generator=g),
                "vector": 2 * scale * torch.randn(4, generator=g),
            }

        return {
            "weights": draw(1.0),
            "slopes": draw(1.0),
            "stale": draw(3.0),
            # Gradients of many sizes, so that some are longer than 1 and some shorter.
            "path": [draw(scale) for scale in (1.0, 0.05, 2.0, 0.1)],
            "lr": 0.3,
            "limit": list(limit),
        }

    return inputs


def descend(weights: dict, slopes: dict, lr: float, limit: float) -> dict[str, Tensor]:
    """One step of clipped gradient descent, in float64."""
    norm = math.sqrt(sum(float((slope.double() ** 2).sum()) for slope in slopes.values()))
    scale = min(1.0, limit / norm)
    return {name: weights[name].double() - lr * scale * slopes[name].double() for name in weights}


def require_step(got: dict, inputs: dict, limit: float, expected: str) -> None:
    target = descend(inputs["weights"], inputs["slopes"], inputs["lr"], limit)
    target = {name: value.float() for name, value in target.items()}
    require_weights(got["weights"], target, expected, "the model")


@check(
    "5.4",
    probe=probes.step_returns,
    inputs=step_inputs(),
    call="training_step(model, ema, optimizer, compute_loss, 100.0)",
    seconds=SECONDS,
)
def test_step_returns_the_loss(got, ref, inputs):
    """The loss comes back as a Python number"""
    require(
        got["float"],
        "the loss as a Python float, which drags no gradients along",
        f"a {got['kind']}: {brief(got['loss'])}",
    )
    loss = sum(
        float((inputs["slopes"][name].double() * inputs["weights"][name].double()).sum())
        for name in inputs["slopes"]
    )
    require_number(
        got["loss"], loss, "the loss that compute_loss returned", "the result", 1e-4, 1e-4
    )


@check(
    "5.4",
    probe=probes.step_asks,
    inputs=step_inputs(),
    call="training_step(model, ema, optimizer, compute_loss, 100.0), the model in eval mode before",
    seconds=SECONDS,
)
def test_step_computes_the_loss_once_in_training_mode(got, ref, inputs):
    """The loss is computed once, with the network in training mode"""
    asked = got["asked"]
    require(len(asked) == 1, "compute_loss to be called once", f"{len(asked)} calls")
    require(asked[0]["is the model"], "compute_loss to be handed the model", "something else")
    require(
        asked[0]["training"] == [True],
        "the model in training mode while the loss is computed",
        "the model in eval mode, in which dropout and batch norm do not train",
    )


@check(
    "5.4",
    probe=probes.step_moves,
    inputs=step_inputs(100.0),
    call="training_step(model, ema, SGD, compute_loss, max_grad_norm=100.0), a gentle gradient",
    seconds=SECONDS,
    free=("leftover",),
)
def test_step_moves_the_weights(got, ref, inputs):
    """The weights move once against the gradient, which a generous limit does not touch"""
    require_step(
        got,
        inputs,
        100.0,
        "weights - learning rate * gradient, after one step of plain gradient descent",
    )


@check(
    "5.4",
    probe=probes.step_after_stale_gradients,
    inputs=step_inputs(),
    call="training_step(model, ema, SGD, compute_loss, 100.0), with old gradients in the model",
    seconds=SECONDS,
)
def test_step_forgets_old_gradients(got, ref, inputs):
    """Gradients that are there already do not take part"""
    require_step(got, inputs, 100.0, "the same step as with a model that held no gradients")


@check(
    "5.4",
    probe=probes.step_moves,
    inputs=step_inputs(0.37),
    call="training_step(model, ema, SGD, compute_loss, max_grad_norm=0.37), a steep gradient",
    seconds=SECONDS,
    free=("leftover",),
)
def test_step_clips_the_joint_norm(got, ref, inputs):
    """A steep gradient keeps its direction and is scaled down to max_grad_norm as a whole"""
    require_step(
        got, inputs, 0.37, "a step along the gradient as if all gradients together had norm 0.37"
    )


@check(
    "5.4",
    probe=probes.step_shows_average,
    inputs=step_inputs(),
    call="training_step(model, ema, SGD, compute_loss, 100.0)",
    seconds=SECONDS,
)
def test_step_updates_the_average_last(got, ref, inputs):
    """The average is updated once, when the weights have moved"""
    shown = got["shown"]
    require(len(shown) == 1, "ema.update to be called once", f"{len(shown)} calls")
    require(shown[0]["is the model"], "ema.update to be handed the model", "something else")
    target = descend(inputs["weights"], inputs["slopes"], inputs["lr"], 100.0)
    require_weights(
        shown[0]["weights"],
        {name: value.float() for name, value in target.items()},
        "ema.update to see the weights as they are after the optimiser's step",
        "the model in ema.update",
    )


@check(
    "5.4",
    probe=probes.steps_in_a_row,
    inputs=step_inputs(),
    call="training_step(model, ema, SGD, compute_loss), four times, gradients steep and gentle",
    seconds=SECONDS,
)
def test_steps_in_a_row(got, ref, inputs):
    """Every step of several stands for itself, and the limit is 1 unless another is given"""
    weights, steps = inputs["weights"], len(inputs["path"])
    for number, slopes in enumerate(inputs["path"]):
        weights = descend(weights, slopes, inputs["lr"], 1.0)
        require_weights(
            got["path"][number],
            {name: value.float() for name, value in weights.items()},
            f"step {number + 1} to go along its own gradient, at most 1 long",
            "the model",
        )
    require(
        len(got["shown"]) == steps,
        f"ema.update to be called in each of {steps} steps",
        f"{len(got['shown'])} calls",
    )


# 5.5


def run_inputs(g: torch.Generator) -> dict:
    return {"seed": int(torch.randint(0, 900, (), generator=g))}


SAVE_CALL = "save_checkpoint(path, model, ema, optimizer, generator, step)"
LOAD_CALL = "load_checkpoint(path, ...) into freshly made objects"
# A checkpoint gives back the very same numbers; this leaves room for a copy in another dtype.
SAME = {"rtol": 1e-6, "atol": 1e-7}


def saved_run(inputs: dict) -> probes.TinyRun:
    """The run as it was when the checkpoint was written."""
    return probes.run_without_checkpoints(inputs["seed"], probes.BEFORE)


@check("5.5", probe=probes.checkpoint_file, inputs=run_inputs, call=SAVE_CALL, seconds=SECONDS)
def test_checkpoint_is_one_file(got, ref, inputs):
    """A checkpoint is one file, under the name that was given"""
    for written in got["written"]:
        require(
            written == ["last.part"],
            "one file, at path, with just that name",
            f"these files in its folder: {', '.join(written)}" if written else "no file there",
        )


@check("5.5", probe=probes.checkpoint_step, inputs=run_inputs, call=LOAD_CALL, seconds=SECONDS)
def test_checkpoint_tells_the_step(got, ref, inputs):
    """Loading returns the number of steps done"""
    require(
        got["integer"] and got["step"] == probes.STEPS_DONE,
        f"the number of steps that was saved, {probes.STEPS_DONE}",
        brief(got["step"]),
    )


@check("5.5", probe=probes.checkpoint_weights, inputs=run_inputs, call=LOAD_CALL, seconds=SECONDS)
def test_checkpoint_keeps_weights_and_average(got, ref, inputs):
    """The weights and their average come back, each in its own place"""
    run = saved_run(inputs)
    model, average = probes.weights_of(run.model), probes.weights_of(run.ema.model)
    require_weights(
        got["model"], model, "the model to have the weights and buffers it had", "the model", **SAME
    )
    require_weights(
        got["average"],
        average,
        "ema.model to have the averaged weights and the buffers it had",
        "ema.model",
        **SAME,
    )
    for name, mode in (("model", True), ("average", False)):
        found = got["modes"][name]
        require(
            found == {"training": [mode], "requires_grad": [mode]},
            "loading to leave the model in training mode, and ema.model in eval mode and without "
            "need of gradients",
            f"{'the model' if mode else 'ema.model'} with training in {found['training']} "
            f"and requires_grad in {found['requires_grad']}",
        )
    require_weights(
        got["average, the model changed"],
        average,
        "ema.model to stay as it is when the model trains on",
        "ema.model, after a change of the model,",
        **SAME,
    )


@check("5.5", probe=probes.checkpoint_rest, inputs=run_inputs, call=LOAD_CALL, seconds=SECONDS)
def test_checkpoint_keeps_optimiser_generator_and_count(got, ref, inputs):
    """The optimiser's moments, the generator and the count of updates come back"""
    run = saved_run(inputs)
    for found, kept in zip(got["moments"], run.moments()):
        require(
            bool(found),
            "the optimiser to have its moments back for each parameter",
            "an optimiser that remembers nothing",
        )
        require_weights(
            found, kept, "the optimiser to have the moments it had", "the optimiser", **SAME
        )
    require_number(
        got["num_updates"],
        run.ema.num_updates,
        "ema.num_updates to be what it was, for the warm-up depends on it",
        "ema.num_updates",
        0,
        0,
    )
    require_close(
        got["next draw"],
        torch.randn(4, generator=run.generator),
        "the generator's next draw to be the one that was due",
        "the draw",
        **SAME,
    )


def require_same_path(found: list[dict], inputs: dict, done: int, expected: str) -> None:
    kept = probes.run_without_checkpoints(inputs["seed"], done).train(probes.AFTER)
    for number, (have, want) in enumerate(zip(found, kept)):
        when = f"{number + 1} step{'s' if number else ''} later"
        require_number(have["loss"], want["loss"], expected, f"the loss {when}", **SAME)
        require_weights(have["weights"], want["weights"], expected, f"the model {when}", **SAME)
        require_weights(have["average"], want["average"], expected, f"ema.model {when}", **SAME)


@check(
    "5.5",
    probe=probes.checkpoint_continues,
    inputs=run_inputs,
    call=f"{LOAD_CALL}, then {probes.AFTER} training steps",
    seconds=SECONDS,
)
def test_loaded_run_goes_on_as_if_never_stopped(got, ref, inputs):
    """A loaded run goes on as if it had never stopped"""
    require_same_path(
        got["path"],
        inputs,
        probes.BEFORE,
        "the same losses, weights and averages as in a run that was never interrupted",
    )


@check(
    "5.5",
    probe=probes.checkpoint_leaves_run,
    inputs=run_inputs,
    call=f"{SAVE_CALL}, then {probes.AFTER} more training steps with the same objects",
    seconds=SECONDS,
)
def test_saved_run_goes_on_undisturbed(got, ref, inputs):
    """Saving does not disturb the run"""
    require_same_path(
        got["path"],
        inputs,
        probes.BEFORE + probes.BETWEEN,
        "the same losses, weights and averages as in a run that was never saved",
    )


@check(
    "5.5",
    probe=probes.checkpoint_stranger,
    inputs=run_inputs,
    call="load_checkpoint(path, ...) on a file from a stranger, in which code is hidden",
    seconds=SECONDS,
)
def test_checkpoint_from_a_stranger_runs_no_code(got, ref, inputs):
    """A file from a stranger cannot run code"""
    require(
        not any(got["ran"]),
        "the file to be refused, and the code hidden in it not to run",
        "the stranger's code ran",
    )
