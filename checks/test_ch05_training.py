"""Checks of chapter 05: training."""

import math

import torch
from torch import Tensor

from checks.probes import ch05_training as probes
from checks.theory import SECONDS, across, at, draw_images
from course.grading.checking import (
    brief,
    check,
    listed,
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
    probe=probes.drawn_shapes,
    inputs=lambda g: across(draw_inputs(4, 2, 7, 3, num_steps=1, dtype=torch.bfloat16)(g)),
    call=DRAW_CALL.format(1, "(4, 2, 3, 7), in bfloat16 and not contiguous"),
)
def test_noise_is_drawn_for_any_images(got, ref, inputs):
    """Images in bfloat16, or transposed, get their noise as well, and T may be 1"""
    require_tensor(got["t"], "t", (4,), torch.int64)
    require_tensor(got["eps"], "eps, like x0,", (4, 2, 3, 7), torch.bfloat16)


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
    probe=probes.drawn_order,
    inputs=draw_inputs(20_000, 1, 1, 1, num_steps=5),
    call=DRAW_CALL.format(5, "(20000, 1, 1, 1)"),
)
def test_steps_have_nothing_to_do_with_each_other(got, ref, inputs):
    """A step depends neither on the image's place in the batch nor on the other images' steps"""
    # The standard deviation of a correlation is at most 0.01, and each is rounded to 0.1.
    for other, correlation in got.items():
        if other != "each just as often":
            require(
                abs(correlation) < 0.15,
                "for each image a step of its own, whatever the others get",
                f"steps that go with {other} (correlation {correlation:g})",
            )
    # That 20000 draws of 5 steps come out even has a probability of 4e-9.
    require(
        not got["each just as often"],
        "for each image a draw of its own, so that some steps come up more often than others",
        "each of the 5 steps exactly 4000 times",
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
    shared = {}  # by axis, how much neighbours along it have in common
    for axis, name in enumerate(("image", "channel", "row", "column")):
        n, centred = eps.shape[axis], eps - mean
        products = centred.narrow(axis, 0, n - 1) * centred.narrow(axis, 1, n - 1)
        shared[name] = float(products.mean()) / (variance or 1)
    name, correlation = max(shared.items(), key=lambda one: abs(one[1]))
    require(
        abs(correlation) < 0.04,
        f"noise that is drawn anew for each {name}",
        f"noise that each {name} shares with the next (correlation {correlation:.2f})",
    )
    require(abs(mean) < 0.031, "noise with mean 0", f"a mean of {mean:.3f}")
    for other, name in ((eps[20:], "half a batch further on"), (eps.flip(0)[:20], "from the end")):
        correlation = float((eps[:20] * other).mean()) / (variance or 1)
        require(
            abs(correlation) < 0.044,  # of 19200 products, whose mean varies by 0.007
            "noise that is drawn anew for each image",
            f"noise that goes with that of the image {name} (correlation {correlation:.2f})",
        )
    require(abs(variance - 1) < 0.044, "noise with variance 1", f"a variance of {variance:.3f}")
    fourth = float((eps**4).mean())
    require(
        abs(fourth - 3) < 0.35,
        "noise with the bell curve's tails, for which the mean of eps^4 is 3",
        f"a mean of eps^4 of {fourth:.3f}",
    )
    # Draws do not come out even. The sums below are chi-square with 40 degrees of freedom, hence
    # below 8 with a probability of 1e-8; mean and variance of all are so near with one of 6e-8.
    images = eps.flatten(1)
    means, spread = images.mean(1), images.square().mean(1) - 1
    for name, total in (("mean", means), ("variance", spread / math.sqrt(2))):
        require(
            float(960 * total.square().sum()) > 8,
            f"draws, so that an image's noise has a {name} that is a little off",
            f"noise whose {name} is evened out in every image",
        )
    require(
        abs(mean) > 5e-7 or abs(variance - 1) > 7e-6,
        "draws, so that the mean of all is a little off 0, and the variance a little off 1",
        "noise that has been shifted and scaled until both come out even",
    )
    # Of so many draws 18 lie beyond 3.5; that none does has a probability of 2e-8.
    largest = float(eps.abs().max())
    require(
        largest > 3.5,
        "noise with the bell curve's tails, in which a few of 38400 numbers exceed 3.5",
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
    require(
        got["global untouched"],
        "torch's global random numbers to stay as they are",
        "a call that draws from them or seeds them",
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


LOSS_CALL = "diffusion_loss(model, x0, t, labels, eps, alpha_bars, q_sample{}), x0 of shape {}"


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
            "x_t": 3 * torch.randn(shape, generator=g),
            "wanted": torch.randn(shape, generator=g),
        }

    return inputs


def answer_minus(inputs: dict, wanted: Tensor) -> Tensor:
    """In float64: the toy network's answer minus what is wanted of it."""
    return network_answer(inputs, inputs["x_t"], inputs["t"], inputs["labels"]) - wanted


def network_answer(inputs: dict, x_t: Tensor, t: Tensor, labels: Tensor) -> Tensor:
    """What the toy network answers, in float64."""
    weights = {name: value.double() for name, value in inputs["weights"].items()}
    return (
        weights["image"] * x_t.double()
        + weights["step"] * t.double()[:, None, None, None]
        + weights["label"] * labels.double()[:, None, None, None]
    )


def slopes_of(error: Tensor, x_t: Tensor, t: Tensor, labels: Tensor) -> dict[str, Tensor]:
    """The gradient of the mean squared error in each weight of the toy network."""
    factors = {
        "image": x_t.double(),
        "step": t.double()[:, None, None, None],
        "label": labels.double()[:, None, None, None],
    }
    return {
        name: (2 * error * factor / error.numel()).sum((0, 2, 3))[:, None, None].float()
        for name, factor in factors.items()
    }


def require_loss(loss, error: Tensor, expected: str) -> None:
    loss = require_tensor(loss, "the loss", (), dtype=None)
    require_number(float(loss), float((error**2).mean()), expected, "the loss", RTOL, ATOL)


JUMP = ("x0", "t", "eps", "alpha_bars")


def in_dtype(value, like: Tensor):
    """Floating-point numbers in the dtype of `like`; anything else as it is."""
    both = isinstance(value, Tensor) and value.is_floating_point() and like.is_floating_point()
    return value.to(like.dtype) if both else value


@check(
    "5.1",
    probe=probes.loss_jump,
    inputs=loss_inputs(4, 3, 5, 4),
    call=LOSS_CALL.format("", "(4, 3, 5, 4)"),
)
def test_loss_has_the_images_noised_by_q_sample(got, ref, inputs):
    """The noisy images come from q_sample"""
    require(
        len(got["asked"]) > 0,
        "q_sample to be called, which was handed in for this",
        "a loss without asking q_sample",
    )
    for asked in got["asked"]:
        for name in JUMP:
            require_close(
                in_dtype(asked[name], inputs[name]),  # float64 is as right
                inputs[name],
                f"q_sample to be called as q_sample(x0, t, eps, alpha_bars), with {name} as it is",
                f"q_sample's {name}",
            )


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
    require_close(
        calls[0]["x_t"],
        inputs["x_t"],
        "the model to get x_t, as it came from q_sample",
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
    error = answer_minus(inputs, inputs["eps"])
    require_loss(
        got["loss"], error, "the mean, over images and pixels, of the squared difference to eps"
    )


@check(
    "5.1",
    probe=probes.loss_target,
    inputs=lambda g: across(loss_inputs(5, 3, 6, 4)(g)),
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
    error = answer_minus(inputs, inputs["wanted"])
    require_loss(got["loss"], error, "the mean of the squared difference to what target returned")


ERRORS = [1.0, -1.0, 2.0, 300.0, -1e-3, 1e-5]


@check(
    "5.1",
    probe=probes.loss_of_known_errors,
    inputs=lambda g: {**loss_inputs(3, 2, 5, 4)(g), "errors": ERRORS},
    call="diffusion_loss(model, ..., target), where every pixel of the answer is off from what "
    "target returns by 1, -1, 2, ...",
)
def test_loss_of_known_errors(got, ref, inputs):
    """Off by 1 costs 1, and k times as far costs k^2 times as much, however large or small k is"""
    for loss, error in zip(got["losses"], ERRORS):
        loss = require_tensor(loss, "the loss", (), dtype=None)
        expected = f"the loss {error**2:g} where the answer is off by {error:g} in every pixel"
        require_number(float(loss), error**2, expected, "the loss", RTOL, 0)


@check(
    "5.1",
    probe=probes.loss_leaves_model,
    inputs=loss_inputs(3, 2, 5, 4),
    call=LOSS_CALL.format("", "(3, 2, 5, 4)") + ", a model that holds gradients, in either mode",
)
def test_loss_leaves_the_network_as_it_is(got, ref, inputs):
    """Asking the network changes nothing in it"""
    for training in (True, False):
        found = got[f"training={training}"]
        mode = "training mode" if training else "eval mode"
        require(
            found["training"] is training, f"the model to stay in {mode}", "the model in the other"
        )
        ones = {name: torch.ones_like(value) for name, value in inputs["weights"].items()}
        require_weights(
            found["weights"], inputs["weights"], "the weights to stay as they are", "the model"
        )
        require_weights(
            found["gradients"],
            ones,
            "the gradients that the model held before to stay as they are",
            "its gradients",
        )


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
    error = answer_minus(inputs, inputs["eps"])
    slopes = slopes_of(error, inputs["x_t"], inputs["t"], inputs["labels"])
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
    """Four images, two of them clean and two of them nothing but noise."""

    def inputs(g: torch.Generator) -> dict:
        batch = draw_batch(g, 4, 2, 3, 4)
        batch["t"] = torch.tensor([2, 0, 0, 2])
        batch["alpha_bars"] = torch.tensor([1.0, 0.5, 0.0])
        return {"batches": [{name: batch[name] for name in names}]}

    return inputs


@check(
    "5.2",
    probe=probes.v_target,
    inputs=at_the_ends(probes.V_TARGET_INPUTS),
    call="v_target(x0, eps, t, alpha_bars), alpha_bars = [1, 0.5, 0]",
)
def test_v_is_what_the_input_hides(got, ref, inputs):
    """On a clean image v is the noise, in pure noise it is minus the image"""
    v = require_tensor(got["found"][0], "v", (4, 2, 3, 4))
    batch = inputs["batches"][0]
    for end, target, name in ((0, batch["eps"], "eps"), (2, -batch["x0"], "-x_0")):
        there = batch["t"] == end
        expected = f"v = {name} where alpha_bar is {0 if end else 1}"
        require_close(v[there], target[there], expected, "v", RTOL, ATOL)


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
    inputs=lambda g: across(batches(probes.V_TARGET_INPUTS, (5, 3, 6, 4), (1, 1, 3, 5))(g)),
    call="v_target(x0, eps, t, alpha_bars), x0 not contiguous, (5, 3, 4, 6), then (1, 1, 5, 3)",
)
def test_v_in_other_sizes(got, ref, inputs):
    """The same holds for images of other sizes, and for transposed ones"""
    for v, batch in zip(got["found"], inputs["batches"]):
        require_v(v, batch)


@check(
    "5.2",
    probe=probes.eps_from_v,
    inputs=at_the_ends(probes.EPS_FROM_V_INPUTS),
    call="eps_from_v(x_t, v, t, alpha_bars), alpha_bars = [1, 0.5, 0]",
)
def test_eps_from_v_at_the_ends(got, ref, inputs):
    """Where v is the noise, v is handed on; where x_t is nothing but noise, x_t is"""
    eps = require_tensor(got["found"][0], "eps", (4, 2, 3, 4))
    batch = inputs["batches"][0]
    for end, name in ((0, "v"), (2, "x_t")):
        there = batch["t"] == end
        expected = f"eps = {name} where alpha_bar is {0 if end else 1}"
        require_close(eps[there], batch[name][there], expected, "eps", RTOL, ATOL)


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
    inputs=lambda g: across(
        batches((*probes.EPS_FROM_V_INPUTS, "eps"), (5, 3, 6, 4), (1, 1, 3, 5))(g)
    ),
    call="eps_from_v(x_t, v, t, alpha_bars), x_t not contiguous, (5, 3, 4, 6), then (1, 1, 5, 3)",
)
def test_eps_from_v_in_other_sizes(got, ref, inputs):
    """The noise comes back from images of other sizes, too, and from transposed ones"""
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
            f"an average that keeps {d or 0:.4g} of what it was, at update number {n}",
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
    probe=probes.ema_follow,
    inputs=ema_inputs(updates=2, decay=0.0),
    call="EMA(model, decay=0.0), then twice: the model's weights change, update(model)",
)
def test_ema_decay_may_be_small(got, ref, inputs):
    """A decay of 0 keeps nothing: the average is the network as it is now"""
    require_path(got, inputs, 0.0, "d_n = 0, which is decay")


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


def buffers_in(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: state[name] for name in (*probes.BUFFER_SHAPES, probes.COUNT)}


def require_buffers(buffers: dict, inputs: dict) -> None:
    require_weights(
        buffers,
        buffers_in(inputs["moved"]),
        "ema.model's buffers, all of them, to equal the model's after an update, without any "
        "averaging",
        "ema.model",
    )


@check(
    "5.3",
    probe=probes.ema_buffers,
    inputs=ema_inputs(),
    call="EMA(model), then the model's buffers change, update(model), and they change again",
)
def test_ema_copies_buffers(got, ref, inputs):
    """Buffers are copied as they are"""
    require_buffers(got["updated"], inputs)
    require_weights(
        got["later"],
        buffers_in(inputs["moved"]),
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
    for when in ("made", "updated"):
        found = got[when]
        modes = {name: name != "norm" for name in found["training"]}
        require(
            found["training"] == modes,
            "each part of the model to stay in its mode",
            f"parts in another one than before: {_others(found['training'], modes)}",
        )
        wants = {name: name != "fixed" for name in found["requires_grad"]}
        require(
            found["requires_grad"] == wants,
            "the model's frozen parameter to stay frozen, and no other to become so",
            f"changed requires_grad in {_others(found['requires_grad'], wants)}",
        )
        held = {name for name, grad in found["gradients"].items() if isinstance(grad, Tensor)}
        require(
            held == {"first.weight", "gain"}
            and all(bool((found["gradients"][name] == 1).all()) for name in held),
            "the gradients that the model holds to stay as they are",
            "other gradients than before",
        )
    require(
        not got["kept"],
        "the model to be copied, not kept: without another reference its memory is free again",
        "a model that the EMA still holds",
    )


def _others(found: dict, wanted: dict) -> str:
    return ", ".join(name or "the model" for name in wanted if found[name] != wanted[name])


def replaced_inputs(g: torch.Generator) -> dict:
    return {**ema_inputs()(g), "other": draw_state(g)}


@check(
    "5.3",
    probe=probes.ema_replaced,
    inputs=replaced_inputs,
    call="update(model) three times, ema.model = another network, ema.num_updates = 0, update(...)",
)
def test_ema_goes_on_from_what_is_put_in(got, ref, inputs):
    """model and num_updates may be set, and the next update goes on from what they are then"""
    shadow = follow(parameters_in(inputs["other"]), inputs["moved"], 0, 0.9999)
    require_weights(
        got["parameters"],
        {name: value.float() for name, value in shadow.items()},
        "a first update, d_0 = 1/10, of the network that was put into ema.model",
        "the average",
    )
    require_buffers(got["buffers"], inputs)
    require_count(got["num_updates"], 1, "num_updates = 1 after it")


def restored_inputs(g: torch.Generator) -> dict:
    return {**ema_inputs()(g), "restored": draw_state(g), "num_updates": 89}


@check(
    "5.3",
    probe=probes.ema_restored,
    inputs=restored_inputs,
    call="weights written into ema.model, ema.num_updates = 89, then update(another model)",
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
    require_buffers(got["buffers"], inputs)
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
    scale = min(1.0, limit / norm) if norm else 1.0
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
    expected = "the loss that compute_loss returned"
    require_number(got["computed"], loss, "compute_loss to be called", "its result", 1e-4, 1e-4)
    require_number(got["loss"], got["computed"], expected, "the result", 1e-7, 0)


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


def limit_inputs(g: torch.Generator) -> dict:
    inputs = step_inputs()(g)
    slopes = inputs["slopes"]
    norm = math.sqrt(sum(float((slope.double() ** 2).sum()) for slope in slopes.values()))
    nothing = {name: torch.zeros_like(slope) for name, slope in slopes.items()}
    cases = [
        {"slopes": slopes, "limit": 0.0},
        {"slopes": slopes, "limit": 0.002},
        {"slopes": slopes, "limit": 1.05 * norm},
        {"slopes": slopes, "limit": 0.95 * norm},
        {"slopes": nothing, "limit": 1.0},
    ]
    return {**inputs, "cases": cases}


@check(
    "5.4",
    probe=probes.steps_at_limits,
    inputs=limit_inputs,
    call="training_step(model, ema, SGD, compute_loss, max_grad_norm), the joint norm far above, "
    "just below and just above max_grad_norm, and 0",
    seconds=SECONDS,
)
def test_step_clips_what_exceeds_the_limit(got, ref, inputs):
    """However small the limit is, what exceeds it is scaled down to it, and nothing else is"""
    words = ("far above", "far above", "just below", "just above", "0, far below")
    for found, case, where in zip(got["found"], inputs["cases"], words):
        target = descend(inputs["weights"], case["slopes"], inputs["lr"], case["limit"])
        require_weights(
            found,
            {name: value.float() for name, value in target.items()},
            f"a step along the gradient, at most max_grad_norm = {case['limit']:.4g} long before "
            f"the learning rate, where the joint norm is {where} it",
            "the model",
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
    inputs=lambda g: {**step_inputs()(g), "options": {"momentum": 0.5, "weight_decay": 0.1}},
    call="training_step(model, ema, SGD with momentum and weight decay, compute_loss), four times",
    seconds=SECONDS,
)
def test_steps_in_a_row(got, ref, inputs):
    """Each of several steps is the optimiser's own, and the limit is 1 if none is given"""
    weights, steps = inputs["weights"], len(inputs["path"])
    still = {name: torch.zeros_like(value) for name, value in weights.items()}
    speed = still
    for number, slopes in enumerate(inputs["path"]):
        clipped = descend(still, slopes, 1.0, 1.0)  # minus the gradient, at most 1 long
        speed = {n: 0.5 * speed[n] + clipped[n] - 0.1 * weights[n] for n in speed}
        weights = {name: weights[name] + inputs["lr"] * speed[name] for name in weights}
        require_weights(
            got["path"][number],
            {name: value.float() for name, value in weights.items()},
            f"step {number + 1} to be what SGD with momentum and weight decay makes of its "
            "gradient, which is at most 1 long, and of those before",
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
    for step, integer, saved in zip(got["steps"], got["integers"], (probes.STEPS_DONE, 0)):
        require(
            integer and step == saved,
            f"the number of steps that was saved last under this name, {saved}",
            brief(step),
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
    require_modes(got["modes"], "loading")
    require_weights(
        got["average, the model changed"],
        average,
        "ema.model to stay as it is when the model trains on",
        "ema.model, after a change of the model,",
        **SAME,
    )


def require_modes(modes: dict, what: str) -> None:
    for name, mode in (("model", True), ("average", False)):
        found = modes[name]
        require(
            found == {"training": [mode], "requires_grad": [mode]},
            f"{what} to leave the model in training mode, and ema.model in eval mode and without "
            "need of gradients",
            f"{'the model' if mode else 'ema.model'} with training in {found['training']} "
            f"and requires_grad in {found['requires_grad']}",
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
        "ema.num_updates to be what it was, since the warm-up depends on it",
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
    require_modes(got["modes"], "saving")
    require(
        got["at rest"] == [False],
        "saving to leave a model in eval mode in that mode",
        "the model, or a part of it, in training mode",
    )
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


# 5.6

LOOP_CALL = "train(model, ema, optimizer, batches, alpha_bars, generator, q_sample, drop_labels{})"


def loop_inputs(batches: int = 3, batch_size: int = 6, num_steps: int = 5):
    def inputs(g: torch.Generator) -> dict:
        weights = {  # none near 0, so that every gradient is longer than 1
            name: scale * (1 + torch.rand(2, 1, 1, generator=g))
            for name, scale in (("image", 1.0), ("step", 3.0), ("label", 0.05))
        }
        return {
            "images": draw_images(g, (batches, batch_size, 2, 4, 3)),
            "labels": torch.randint(0, 10, (batches, batch_size), generator=g),
            "weights": weights,
            "alpha_bars": draw_alpha_bars(g, num_steps),
            "seed": int(torch.randint(0, 10_000, (), generator=g)),
        }

    return inputs


@check(
    "5.6",
    probe=probes.loop_yields,
    inputs=loop_inputs(),
    call=LOOP_CALL.format("") + ", with three batches",
    seconds=SECONDS,
)
def test_loop_yields_each_loss(got, ref, inputs):
    """One loss comes for each batch, as a number, when its step is made and before the next"""
    require(
        got["generator"],
        "a generator, which yields the losses one by one",
        got.get("returned", ""),
    )
    require(len(got["path"]) == 3, "three losses for three batches", f"{len(got['path'])} of them")
    require(
        all(point["number"] for point in got["path"]),
        "each loss as a Python number",
        "something else",
    )
    require(
        got["before"] == 0, "nothing to be done before the first loss is asked for", "a step before"
    )
    for number, point in enumerate(got["path"], start=1):
        require(
            point["taken"] == number and point["steps"] == number,
            f"{number} steps over {number} batches by the time of loss number {number}",
            f"{point['steps']} steps and {point['taken']} batches",
        )
    require(
        len(got["of a list"]) == 3,
        "three losses for a list of three batches",
        f"{len(got['of a list'])} of them",
    )


@check(
    "5.6",
    probe=probes.loop_asks,
    inputs=loop_inputs(),
    call=LOOP_CALL.format(""),
    seconds=SECONDS,
)
def test_loop_asks_about_noisy_images_with_dropped_labels(got, ref, inputs):
    """The network is asked about the batch's noisy images, with the labels left by drop_labels"""
    calls = got["asked"]
    require(len(calls) == 3, "the model to be called once in each step", f"{len(calls)} calls")
    for number, (call, noisy, jump) in enumerate(zip(calls, got["noisy"], got["jumps"])):
        images = inputs["images"][number]  # in float64 it is as right, as in 5.1
        require_close(
            in_dtype(jump["x0"], images),
            images,
            "q_sample to get the images of the batch",
            "its x0",
        )
        require_tensor(jump["t"], "q_sample's t", (6,), torch.int64)
        eps = in_dtype(jump["eps"], images)
        require_tensor(eps, "q_sample's eps", (6, 2, 4, 3))
        require_close(
            call["x_t"],
            in_dtype(noisy, images),
            "the model to get what q_sample made",
            "the model's first argument",
        )
        require_close(
            call["t"],
            jump["t"],
            "the model to get the t with which the images were noised",
            "the model's t",
        )
        require_close(
            in_dtype(jump["alpha_bars"], inputs["alpha_bars"]),
            inputs["alpha_bars"],
            "q_sample to get alpha_bars",
            "its alpha_bars",
        )
    require(
        len(got["drops"]) == 3,
        "drop_labels to be called in each step",
        f"{len(got['drops'])} calls",
    )
    for number, (call, drop) in enumerate(zip(calls, got["drops"])):
        labels = inputs["labels"][number]
        require_close(drop["labels"], labels, "drop_labels to get the batch's labels", "its labels")
        require(
            drop["the generator"],
            "drop_labels to get the generator that was handed in",
            "another one",
        )
        require_close(
            call["labels"],
            labels + 20,
            "the model to get the labels as drop_labels has returned them",
            "the model's labels",
        )


def require_losses(got: dict, inputs: dict, wanted: list[Tensor], expected: str) -> None:
    require(
        len(got["losses"]) == len(wanted) == len(got["calls"]),
        "a loss for each batch",
        f"{len(got['losses'])} losses",
    )
    for loss, call, target in zip(got["losses"], got["calls"], wanted):
        answer = network_answer(inputs, call["x_t"], call["t"], call["labels"])
        error = float(((answer - target.double()) ** 2).mean())
        require_number(loss, error, expected, "the loss", RTOL, ATOL)


@check(
    "5.6",
    probe=probes.loop_asks_for_images,
    inputs=lambda g: {**loop_inputs()(g), "tiny": 1e-4},
    call=LOOP_CALL.format(", target"),
    seconds=SECONDS,
)
def test_loop_asks_for_the_target(got, ref, inputs):
    """The network is asked for what `target` says"""
    wanted = [3 * images + 1 for images in inputs["images"]]
    require_losses(
        got, inputs, wanted, "the mean squared difference to what the target handed in returned"
    )
    for loss, images in zip(got["tiny losses"], inputs["images"]):
        require_number(
            loss,
            float((inputs["tiny"] * images.double()).square().mean()),
            "the mean squared difference to what the target handed in returned, however small",
            "the loss",
            RTOL,
            0,
        )


@check(
    "5.6",
    probe=probes.loop_asks_for_noise,
    inputs=loop_inputs(),
    call=LOOP_CALL.format(""),
    seconds=SECONDS,
)
def test_loop_asks_for_the_noise_if_nothing_is_said(got, ref, inputs):
    """Without a target the network is asked for the noise that is in its images"""
    require_losses(
        got,
        inputs,
        [call["eps"] for call in got["jumps"]],
        "the mean squared difference to the noise that q_sample got",
    )


@check(
    "5.6",
    probe=probes.loop_draws,
    inputs=loop_inputs(batches=8, batch_size=40, num_steps=5),
    call=LOOP_CALL.format("") + ", with eight batches of 40 images and T = 5",
    seconds=SECONDS,
)
def test_loop_draws_anew_for_each_batch(got, ref, inputs):
    """Steps and noise are drawn anew for each batch, over all T levels, from the generator"""
    # One of five steps is missing among 320 draws with a probability of 5e-31.
    levels = [int(level) for level in got["levels"]]
    require(
        levels == [0, 1, 2, 3, 4],
        "all the steps 0 ... 4 to come up, and no others, for T = 5",
        f"the steps {listed(levels)}",
    )
    for name in ("noise", "steps"):
        require(
            not got[f"{name} again"],
            f"other {name} for each batch",
            f"the same {name} a second time",
        )
        require(
            got[f"same seed, same {name}"] and got[f"other seed, other {name}"],
            f"the {name} to follow from the generator, and from nothing else",
            f"the same {name} from two generators"
            if got[f"same seed, same {name}"]
            else f"other {name} from a generator with the same seed",
        )
    require(not got["noise shared"], "noise of its own for each image", "two with the same noise")
    # That 40 draws of 5 steps come in order has a probability below 1e-20.
    require(not got["steps in order"], "a step of its own for each image", "the steps in order")


@check(
    "5.6",
    probe=probes.loop_rates,
    inputs=loop_inputs(),
    call=LOOP_CALL.format(", rate=rate") + ", from the start, and with first_step=40",
    seconds=SECONDS,
)
def test_loop_sets_the_rate_of_each_step(got, ref, inputs):
    """Each step is made with its own learning rate, counted from first_step on"""
    for name, first, words in (
        ("rates", 0, "rate(0), rate(1), rate(2)"),
        ("late", 40, "rate(40), rate(41), rate(42), with first_step = 40,"),
    ):
        require(len(got[name]) == 3, "a step for each of three batches", f"{len(got[name])} steps")
        for group, which in enumerate(("first", "second")):
            found = [rates[group] for rates in got[name]]
            wanted = [0.001 * (first + number) for number in range(3)]
            require(
                all(abs(a - b) < 1e-9 for a, b in zip(found, wanted)),
                f"the optimiser to make its steps with {words} which is "
                f"{', '.join(f'{value:g}' for value in wanted)}",
                f"{', '.join(f'{value:g}' for value in found)} in the {which} of its two groups",
            )
    require(got["asked"] == ["int"], "rate to be asked for whole-numbered steps", f"{got['asked']}")
    found = {rate for rates in got["none"] for rate in rates}
    require(
        found == {0.5},
        "the optimiser's own learning rate, 0.5, to stay where no rate is handed in",
        f"{sorted(found)}",
    )


@check(
    "5.6",
    probe=probes.loop_moves,
    inputs=loop_inputs(),
    call=LOOP_CALL.format(", max_grad_norm=0.0123") + ", and without max_grad_norm",
    seconds=SECONDS,
)
def test_loop_clips_and_lets_the_average_follow(got, ref, inputs):
    """Each step goes down, clipped at max_grad_norm, and the average sees the weights after it"""
    call, eps = got["first call"], got["first eps"]
    error = network_answer(inputs, call["x_t"], call["t"], call["labels"]) - eps
    slopes = slopes_of(error, call["x_t"], call["t"], call["labels"])
    down = -torch.cat([slopes[name].flatten() for name in ("image", "step", "label")])
    for name, limit in (("tight", 0.0123), ("unsaid", 1.0)):
        for moved in got[name]["moved"]:
            require(
                abs(moved - limit) < 0.001 * limit,
                f"a step of length {limit:g}, with a rate of 1 and a gradient that is longer and "
                f"clipped at {limit:g}",
                f"a step of length {moved:.4g}",
            )
        require_close(
            got[name]["first move"],
            down * limit / down.norm(),
            f"the first step to go {limit:g} far, down the gradient that the draws from this "
            "generator give",
            "the step",
            1e-3,
            1e-3 * limit,
        )
        require(
            len(got[name]["shown"]) == 3,
            "ema.update to be called once in each step",
            f"{len(got[name]['shown'])} calls in three steps",
        )
        for shown, place in zip(got[name]["shown"], got[name]["places"]):
            require_close(
                shown,
                place,
                "ema.update to see the weights as they are after the step",
                "what it was shown",
            )


@check(
    "5.6",
    probe=probes.loop_places,
    inputs=loop_inputs(batch_size=8),
    call=LOOP_CALL.format(", place=place") + ", where place keeps every other image of eight",
    seconds=SECONDS,
)
def test_loop_places_what_was_drawn(got, ref, inputs):
    """The draws are for the whole batch, and `place` says which part of them is used, and where"""
    require(
        set(got["dropped"]) == {8},
        "drop_labels to get the labels of the whole batch",
        f"{got['dropped']} labels",
    )
    for number, (whole, half, call) in enumerate(zip(got["whole"], got["half"], got["asked"])):
        require_close(
            in_dtype(half["alpha_bars"], inputs["alpha_bars"]),
            inputs["alpha_bars"],
            "alpha_bars as it was handed in",
            "alpha_bars",
        )
        for name in ("x0", "t", "eps"):
            drawn = "" if name == "x0" else "what the same seed draws for "
            require_close(
                half[name],
                whole[name][1::2],
                f"{name} as place has returned it: its part of {drawn}the whole batch",
                name,
            )
        require_close(
            call["labels"],
            inputs["labels"][number][1::2] + 20,
            "the labels as drop_labels and then place have returned them",
            "the model's labels",
        )
