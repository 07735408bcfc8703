"""Checks of chapter 02: the forward process."""

import math

import torch
from torch import Tensor

from checks.probes import ch02_forward_process as probes
from checks.theory import (
    SECONDS,
    at,
    bars_of,
    draw_images,
    irregular_betas,
    require_each,
    solve_x0,
    tables_of,
)
from course.grading.checking import check, require, require_close, require_tensor

# Most checks have as many images as columns: there a table of shape (B,) meets the image's width
# without an error, and the evidence shows what it does. The checks with OTHER, where no two sizes
# are equal, are for code that works by such a coincidence.
SIZE = (5, 2, 3, 5)  # (B, C, H, W)
OTHER = (6, 2, 3, 4)
NUM_STEPS = 7
# Neither sorted nor beginning at 0, with both ends of time.
STEPS = [3, 0, 6, 1, 4, 2]


def draw_betas(g: torch.Generator) -> Tensor:
    """Irregular betas between 0.03 and 0.4, so that each t has its own, clearly different numbers.

    They are also large enough that 1 - alpha_bar keeps its digits in float32: code that works
    the posterior out from betas and alpha_bars agrees with the tables to about 1e-5.
    """
    order = torch.randperm(NUM_STEPS, generator=g)
    # One beta in each of seven intervals, so that no two are alike whatever the seed.
    return 0.02 + 0.38 * (order + 0.2 + 0.6 * torch.rand(NUM_STEPS, generator=g)) / NUM_STEPS


def draw_tiny_betas(g: torch.Generator, dtype: torch.dtype) -> dict:
    """Betas between 1e-7 and 1e-6. In float32, 1 - beta is off by up to 3e-8, a third of the least.

    In float64 all tables keep nine digits.
    """
    return {"betas": (1e-7 * (1 + 9 * torch.rand(9, generator=g, dtype=torch.float64))).to(dtype)}


def draw_alpha_bars(g: torch.Generator) -> Tensor:
    return bars_of(draw_betas(g))


def steps(size: tuple[int, ...]) -> Tensor:
    return torch.tensor(STEPS[: size[0]])


def draw_noise(g: torch.Generator, size: tuple[int, ...] = SIZE) -> Tensor:
    """Gaussian noise, adjusted so that each image's mean is 0 and its variance is 1.

    Then variances that theory gives hold to float32 precision, without a sampling error. But such
    noise would hide code that standardises it, so the checks with OTHER take `draw_raw_noise`.
    """
    noise = torch.randn(size, generator=g, dtype=torch.float64)
    mean = noise.mean(dim=(1, 2, 3), keepdim=True)
    std = noise.std(dim=(1, 2, 3), keepdim=True, correction=0)
    return ((noise - mean) / std).float()


def draw_raw_noise(g: torch.Generator, size: tuple[int, ...] = OTHER) -> Tensor:
    """Noise whose mean is clearly not 0 and whose variance is clearly not 1.

    One pixel of each channel is far out, as noise now and then is.
    """
    noise = 1.3 * torch.randn(size, generator=g) + 0.4
    noise[..., 0, 0] = 6.0
    return noise


def power(images: Tensor) -> Tensor:
    """The mean square of each image, shape (B,)."""
    return images.double().square().mean(dim=(1, 2, 3))


def require_same_alone(together: Tensor, alone: list, name: str) -> None:
    """Fail unless each image's result is the same without the rest of its batch."""
    for b, single in enumerate(alone):
        require_close(
            single,
            together[b : b + 1],
            "an image to give the same result alone, as a batch of one, and among others",
            f"{name} of image {b} alone",
            atol=1e-5,
        )


def require_given_noise(got: dict, given: str) -> None:
    """Fail unless the same call gives the same x_t, and draws nothing itself."""
    require_close(
        got["second"],
        require_tensor(got["first"], "x_t", SIZE),
        f"the same x_t from the same {given}",
        "the second x_t",
    )
    require(
        not got["generator used"],
        "torch's random generator to be left alone, for the noise is given",
        "a generator that was used or seeded",
    )


def require_same_strided(got: dict, name: str) -> None:
    """Fail unless images that are not contiguous in memory give the same result."""
    require_close(
        got["strided"],
        got["together"],
        "the same from images whose last two axes are exchanged in memory (not contiguous)",
        name,
        atol=1e-5,
    )


def in_float64(drawn: dict) -> dict:
    """Images and table in float64: a third of each number, which float32 would have to round."""
    return {key: value if key == "t" else value.double() / 3 for key, value in drawn.items()}


def require_float64(got: dict, target: Tensor, name: str) -> None:
    """Fail unless images in float64 stay in float64, with a table in float64 or in float32."""
    require_close(
        got["float32"],
        target,
        "float64 from images in float64, and the same numbers as in float32",
        f"with a table in float32, {name}",
        atol=2e-5,
    )
    require_close(
        got["float64"],
        target,
        "float64 from images and a table in float64, with digits that float32 does not have",
        f"with a table in float64, {name}",
        rtol=1e-9,
        atol=1e-9,
    )


def require_edge_weights(images: Tensor, drawn: Tensor, weights: Tensor, name: str) -> None:
    """Fail unless these images are what was drawn, each times its weight, however small."""
    # In float64 also the root of 1 - table, or of 1 - root^2, has at least five digits.
    require_close(
        images,
        weights.sqrt() * drawn,
        "weights as small and as large as the table says, without limits of your own",
        name,
        rtol=1e-4,
        atol=0,
    )


# Next to 0 and next to 1, as the ends of long schedules are. STEPS begins with 3, 0, 6, 1, 4.
EDGES = torch.tensor([1e-12, 1e-8, 0.3, 1e-5, 1 - 1e-5, 0.5, 1 - 1e-10], dtype=torch.float64)
EDGE_WORDS = "in float64, {} from 1e-12 to 1 - 1e-10"


def at_the_edges(drawn: dict, table: str) -> dict:
    """The same images in float64, with a table that goes to both limits."""
    kept = {key: value if key == "t" else value.double() for key, value in drawn.items()}
    return kept | {table: EDGES.clone()}


def require_elsewhere(devices: list[str]) -> None:
    """Fail if the code makes a tensor on the CPU while its inputs lie on another device."""
    expected = "new tensors to be made on the device of the inputs, a graphics card for instance"
    require(
        "two devices meet" not in devices,
        expected,
        "a new tensor on the CPU, where it cannot meet the inputs",
    )
    require("cpu" not in devices, expected, "a result on the CPU")


# 2.1


def draw_table(g: torch.Generator) -> dict:
    return {"values": 0.1 + torch.rand(NUM_STEPS, generator=g), "t": steps(SIZE), "ndim": 4}


GATHER_CALL = "gather_at(values, t, 4), values of shape (7,), t = [3, 0, 6, 1, 4]"


@check("2.1", probe=probes.gather, inputs=draw_table, call=GATHER_CALL)
def test_gather_makes_one_number_per_image(got, ref, inputs):
    """There is one number per image, and a length of 1 in every other axis"""
    picked = require_tensor(got["picked"], "the result", dtype=None)
    require(
        tuple(picked.shape) == (5, 1, 1, 1),
        "shape (5, 1, 1, 1): 5 images, and an axis of length 1 for channels, height and width",
        f"shape {tuple(picked.shape)}",
    )


@check("2.1", probe=probes.gather, inputs=draw_table, call=GATHER_CALL)
def test_gather_looks_up_each_images_step(got, ref, inputs):
    """Image b gets the table's entry for its own step t[b]"""
    picked = require_tensor(got["picked"], "the result", (5, 1, 1, 1))
    target = at(inputs["values"], inputs["t"]).float()
    for b, step in enumerate(inputs["t"].tolist()):
        where = (inputs["values"] == picked[b].item()).nonzero().flatten().tolist()
        require(
            torch.equal(picked[b], target[b]),
            "each image's number to be the entry at its own t, counted from 0",
            f"for image {b}, with t = {step}, "
            + (f"the entry at {where[0]}" if where else "a number that is not in the table"),
        )


@check(
    "2.1",
    probe=probes.gather_for_many,
    inputs=lambda g: {
        "values": torch.rand(NUM_STEPS, generator=g),
        "t": torch.tensor([4, 0, 6]),
        "ndims": [2, 3, 5],
    },
    call="gather_at(values, t, ndim) with ndim = 2, 3 and 5, t = [4, 0, 6]",
)
def test_gather_has_as_many_axes_as_asked(got, ref, inputs):
    """The number of axes is the caller's"""
    for ndim, picked in zip(inputs["ndims"], got["picked"]):
        shape = (3,) + (1,) * (ndim - 1)
        require_tensor(picked, f"with ndim = {ndim}, the result", shape)
        require_close(
            picked.flatten(),
            inputs["values"][inputs["t"]],
            "the same numbers whatever the number of axes",
            f"with ndim = {ndim}, a result",
        )


@check(
    "2.1",
    probe=probes.gather,
    inputs=lambda g: {
        "values": torch.rand(NUM_STEPS, generator=g),
        "t": torch.tensor([5]),
        "ndim": 4,
    },
    call="gather_at(values, t, 4), a batch of one: t = [5]",
)
def test_gather_keeps_the_batch_axis(got, ref, inputs):
    """A batch of one is still a batch"""
    picked = require_tensor(got["picked"], "the result", (1, 1, 1, 1))
    require_close(picked.flatten(), inputs["values"][5:6], "the entry at t = 5")


@check(
    "2.1",
    probe=probes.gather,
    inputs=lambda g: {
        # Large, tiny and negative: what is looked up is no probability.
        "values": torch.rand(3, generator=g, dtype=torch.float64)
        * torch.tensor([1e6, 1e-12, -1.0], dtype=torch.float64),
        "t": torch.tensor([2, 2, 0, 1, 2, 0, 0, 1]),
        "ndim": 4,
    },
    call="gather_at(values, t, 4), values of shape (3,) in float64, t = [2, 2, 0, 1, 2, 0, 0, 1]",
)
def test_gather_copies_the_table_as_it_is(got, ref, inputs):
    """A short float64 table serves a larger batch, digit for digit"""
    picked = require_tensor(got["picked"], "the result", (8, 1, 1, 1), torch.float64)
    require_close(
        picked,
        at(inputs["values"], inputs["t"]),
        "the entries with all the digits that they have in the table",
        rtol=1e-12,
        atol=0,
    )


@check(
    "2.1",
    probe=probes.gather_elsewhere,
    inputs=draw_table,
    call=GATHER_CALL + ", both on another device than the CPU",
    seconds=SECONDS,
)
def test_gather_works_on_any_device(got, ref, inputs):
    """The numbers lie where the table lies, on a graphics card too"""
    require_elsewhere(got["devices"])


# 2.2


def draw_step(g: torch.Generator, size: tuple[int, ...] = SIZE) -> dict:
    return {
        "x_prev": draw_images(g, size),
        "t": steps(size),
        "eps": draw_noise(g, size),
        "betas": draw_betas(g),
    }


STEP_CALL = "q_step(x_prev, t, eps, betas), 5 images of 2x3x5, t = [3, 0, 6, 1, 4]"


@check("2.2", probe=probes.q_step, inputs=draw_step, call=STEP_CALL)
def test_step_returns_images(got, ref, inputs):
    """One step turns images into images of the same shape"""
    require_tensor(got["x_t"], "x_t", SIZE)


@check("2.2", probe=probes.q_step_twice, inputs=draw_step, call=STEP_CALL + ", twice")
def test_step_uses_the_noise_it_is_given(got, ref, inputs):
    """The noise comes from the caller, so the same call gives the same result"""
    require_given_noise(got, "x_prev, t, eps and betas")


@check(
    "2.2",
    probe=probes.q_step_parts,
    inputs=draw_step,
    call=STEP_CALL + ", eps all 0",
)
def test_step_shrinks_the_image(got, ref, inputs):
    """Of an image's power, the share 1 - beta_t is left"""
    x_prev, t = inputs["x_prev"], inputs["t"]
    beta = at(inputs["betas"], t)
    share = power(require_tensor(got["signal"], "x_t", SIZE)) / power(x_prev)
    require_each(
        share,
        1 - beta,
        "without noise, the share 1 - beta_t of each image's power (the mean of its squares)",
        lambda b: (
            f"a share of {share[b]:.4f} at t = {t[b]}, where 1 - beta_t = {1 - beta[b].item():.4f}"
        ),
    )
    require_close(
        got["signal"],
        ((1 - beta).sqrt() * x_prev).float(),
        "each image a paler copy of itself: one factor for all its pixels",
        "x_t",
        atol=1e-5,
    )


@check(
    "2.2",
    probe=probes.q_step_parts,
    inputs=draw_step,
    call=STEP_CALL + ", x_prev all 0",
)
def test_step_adds_noise_of_variance_beta(got, ref, inputs):
    """The noise that a step adds has variance beta_t"""
    eps, t = inputs["eps"], inputs["t"]
    beta = at(inputs["betas"], t)
    variance = power(require_tensor(got["noise"], "x_t", SIZE))
    require_each(
        variance,
        beta,
        "on empty images, noise of variance beta_t (eps itself has variance 1)",
        lambda b: f"variance {variance[b]:.4g} at t = {t[b]}, where beta_t = {beta[b].item():.4f}",
    )
    require_close(
        got["noise"],
        (beta.sqrt() * eps).float(),
        "eps itself, with one positive factor for all pixels of an image",
        "x_t",
        atol=1e-5,
    )


def draw_chain(g: torch.Generator) -> dict:
    """Images and, for each step, noise: all of mean 0 and variance 1, and all uncorrelated.

    The columns of Q are orthogonal, the first one constant. So the others have mean 0, and
    variances simply add up, without a sampling error.
    """
    batch, *image = SIZE
    pixels = image[0] * image[1] * image[2]
    drawn = torch.randn(batch, pixels, NUM_STEPS + 2, generator=g, dtype=torch.float64)
    drawn[..., 0] = 1
    columns = torch.linalg.qr(drawn).Q.movedim(-1, 0)[1:] * pixels**0.5  # (T+1, B, pixels)
    x0, *noise = columns.reshape(-1, *SIZE).float()
    return {"x0": x0, "step_noise": list(noise), "betas": draw_betas(g)}


@check(
    "2.2",
    probe=probes.q_step_chain,
    inputs=draw_chain,
    call="q_step for t = 0, 1, ... 6 in a row, on 5 images of variance 1",
)
def test_step_keeps_a_variance_of_one(got, ref, inputs):
    """A variance of 1 stays 1, step after step"""
    for step, x in enumerate(got["states"]):
        variance = power(require_tensor(x, "x_t", SIZE))
        require_each(
            variance,
            torch.ones(len(variance)),
            "each step to add as much variance as it takes away, so that 1 stays 1",
            lambda b, v=variance, t=step: f"variance {v[b]:.4g} after the step t = {t}",
        )
    # What is left of x_0 in the end is its projection, for all noise is orthogonal to it.
    left = (got["states"][-1].double() * inputs["x0"].double()).mean(dim=(1, 2, 3))
    target = (1 - inputs["betas"].double()).prod().sqrt().expand(len(left))
    require_each(
        left,
        target,
        "after all steps the root of alpha_bar_{T-1}, the product of 1 - beta, times x_0",
        lambda b: f"{left[b]:.4f} times x_0 in image {b}",
    )


@check(
    "2.2",
    probe=probes.q_step_one_by_one,
    inputs=lambda g: (
        draw_step(g, OTHER) | {"x_prev": 2 * draw_images(g, OTHER), "eps": draw_raw_noise(g)}
    ),
    call="q_step(x_prev, t, eps, betas), 6 images of 2x3x4 together, then each alone",
)
def test_step_treats_each_image_by_itself(got, ref, inputs):
    """Any sizes will do, and each image is treated by itself"""
    beta = at(inputs["betas"], inputs["t"])
    x_t = (1 - beta).sqrt() * inputs["x_prev"] + beta.sqrt() * inputs["eps"]
    require_close(
        got["together"], x_t.float(), "shrunken image plus noise, in every image", "x_t", atol=1e-5
    )
    require_same_strided(got, "x_t")
    require_same_alone(got["together"], got["alone"], "x_t")


@check(
    "2.2",
    probe=probes.q_step_in_float64,
    inputs=lambda g: in_float64(draw_step(g)),
    call=STEP_CALL + ", images in float64, betas in float64 and then in float32",
)
def test_step_keeps_the_dtype(got, ref, inputs):
    """Images in float64 stay in float64, and keep their digits"""
    beta = at(inputs["betas"], inputs["t"])
    x_t = (1 - beta).sqrt() * inputs["x_prev"] + beta.sqrt() * inputs["eps"]
    require_float64(got, x_t, "x_t")


@check(
    "2.2",
    probe=probes.q_step_parts,
    inputs=lambda g: at_the_edges(draw_step(g), "betas"),
    call=STEP_CALL + ", eps all 0 or x_prev all 0, " + EDGE_WORDS.format("betas"),
)
def test_step_takes_any_beta(got, ref, inputs):
    """A beta may be next to 0 and next to 1"""
    beta = at(inputs["betas"], inputs["t"])
    require_edge_weights(got["signal"], inputs["x_prev"], 1 - beta, "without noise, x_t")
    require_edge_weights(got["noise"], inputs["eps"], beta, "of empty images, x_t")


# 2.3


def draw_jump(g: torch.Generator, size: tuple[int, ...] = SIZE) -> dict:
    return {
        "x0": draw_images(g, size),
        "t": steps(size),
        "eps": draw_noise(g, size),
        "alpha_bars": draw_alpha_bars(g),
    }


def jump(x0: Tensor, t: Tensor, eps: Tensor, alpha_bars: Tensor) -> Tensor:
    """The closed form, in float64."""
    alpha_bar = at(alpha_bars, t)
    return alpha_bar.sqrt() * x0.double() + (1 - alpha_bar).sqrt() * eps.double()


JUMP_CALL = "q_sample(x0, t, eps, alpha_bars), 5 images of 2x3x5, t = [3, 0, 6, 1, 4]"


@check("2.3", probe=probes.q_sample, inputs=draw_jump, call=JUMP_CALL)
def test_sample_returns_images(got, ref, inputs):
    """The jump turns images into images of the same shape"""
    require_tensor(got["x_t"], "x_t", SIZE)


@check("2.3", probe=probes.q_sample_twice, inputs=draw_jump, call=JUMP_CALL + ", twice")
def test_sample_uses_the_noise_it_is_given(got, ref, inputs):
    """The noise comes from the caller, so the same call gives the same result"""
    require_given_noise(got, "x0, t, eps and alpha_bars")


def draw_jump_of_grey(g: torch.Generator) -> dict:
    """Images of one grey each: their mean is the signal, the spread around it is the noise."""
    grey = 0.3 + 0.6 * torch.rand(SIZE[0], 1, 1, 1, generator=g)
    return draw_jump(g) | {"x0": grey.expand(SIZE).contiguous()}


GREY_CALL = JUMP_CALL + ", each image of one grey"


@check("2.3", probe=probes.q_sample, inputs=draw_jump_of_grey, call=GREY_CALL)
def test_sample_has_the_right_mean(got, ref, inputs):
    """The mean of x_t is x_0, shrunk to the share alpha_bar_t of its power"""
    t, alpha_bar = inputs["t"], at(inputs["alpha_bars"], inputs["t"])
    x_t = require_tensor(got["x_t"], "x_t", SIZE)
    mean = x_t.double().mean(dim=(1, 2, 3))  # the noise has mean 0 in each image
    share = mean.abs() * mean / inputs["x0"][:, 0, 0, 0].double() ** 2
    require_each(
        share,
        alpha_bar,
        "the share alpha_bar_t to be left of the power (the square) of each image's mean grey",
        lambda b: (
            f"a share of {share[b]:.4f} at t = {t[b]}, where alpha_bar_t = "
            f"{alpha_bar[b].item():.4f}"
        ),
    )


@check("2.3", probe=probes.q_sample, inputs=draw_jump_of_grey, call=GREY_CALL)
def test_sample_has_the_right_variance(got, ref, inputs):
    """The variance of x_t around its mean is 1 - alpha_bar_t"""
    t, alpha_bar = inputs["t"], at(inputs["alpha_bars"], inputs["t"])
    x_t = require_tensor(got["x_t"], "x_t", SIZE)
    variance = x_t.double().var(dim=(1, 2, 3), correction=0)
    require_each(
        variance,
        1 - alpha_bar,
        "pixels with variance 1 - alpha_bar_t around their mean (eps itself has variance 1)",
        lambda b: (
            f"variance {variance[b]:.4g} at t = {t[b]}, where 1 - alpha_bar_t = "
            f"{1 - alpha_bar[b].item():.4f}"
        ),
    )


def draw_walk(g: torch.Generator) -> dict:
    """Noise for each step, and the one eps that is worth the steps 0 ... t of an image."""
    betas = draw_betas(g).double()
    step_noise = torch.randn(NUM_STEPS, *SIZE, generator=g)
    t, alpha_bars = steps(SIZE), torch.cumprod(1 - betas, dim=0)
    added = walk(torch.zeros(SIZE), t, step_noise, betas)
    eps = added / (1 - at(alpha_bars, t)).sqrt()
    return {
        "x0": draw_images(g, SIZE),
        "t": t,
        "eps": eps.float(),
        "alpha_bars": alpha_bars.float(),
        "betas": betas,
        "step_noise": step_noise,
    }


def walk(x: Tensor, t: Tensor, step_noise: Tensor, betas: Tensor) -> Tensor:
    """Each image after its own steps 0 ... t, one at a time, in float64."""
    x = x.double()
    walked = torch.empty_like(x)
    for step, beta in enumerate(betas):
        x = (1 - beta).sqrt() * x + beta.sqrt() * step_noise[step].double()
        walked[t == step] = x[t == step]
    return walked


@check(
    "2.3",
    probe=probes.q_sample,
    inputs=draw_walk,
    call=JUMP_CALL + ", eps put together from the noise of the single steps",
)
def test_sample_agrees_with_single_steps(got, ref, inputs):
    """One jump lands where the single steps 0 ... t lead"""
    walked = walk(inputs["x0"], inputs["t"], inputs["step_noise"], inputs["betas"])
    require_close(
        got["x_t"],
        walked.float(),
        "the x_t that t+1 single steps reach when their noises are put together in eps",
        "x_t",
        atol=1e-5,
    )


@check(
    "2.3",
    probe=probes.q_sample_one_by_one,
    inputs=lambda g: (
        draw_jump(g, OTHER) | {"x0": 2 * draw_images(g, OTHER), "eps": draw_raw_noise(g)}
    ),
    call="q_sample(x0, t, eps, alpha_bars), 6 images of 2x3x4 together, then each alone",
)
def test_sample_treats_each_image_by_itself(got, ref, inputs):
    """Any sizes will do, and each image is treated by itself"""
    x_t = jump(**inputs).float()
    require_close(
        got["together"], x_t, "shrunken image plus noise, in every image", "x_t", atol=1e-5
    )
    require_same_strided(got, "x_t")
    require_same_alone(got["together"], got["alone"], "x_t")


def draw_long_jump(g: torch.Generator) -> dict:
    betas = torch.linspace(1e-4, 0.02, 1000, dtype=torch.float64)
    size = (3, 2, 3, 4)
    return {
        "x0": draw_images(g, size),
        "t": torch.tensor([999, 0, 400]),
        "eps": draw_noise(g, size),
        "alpha_bars": bars_of(betas),
    }


@check(
    "2.3",
    probe=probes.q_sample,
    inputs=draw_long_jump,
    call="q_sample(x0, t, eps, alpha_bars), the paper's 1000 steps, t = [999, 0, 400]",
)
def test_sample_runs_from_image_to_noise(got, ref, inputs):
    """Over a thousand steps an image becomes nothing but noise"""
    x_t = require_tensor(got["x_t"], "x_t", (3, 2, 3, 4))
    for b, other, name in ((1, "x0", "image"), (0, "eps", "noise")):
        distance = float((x_t[b] - inputs[other][b]).square().mean().sqrt())
        # By theory about 0.01 (mostly the noise's weight, sqrt(1e-4)) and 0.004 (0.006 * x_0).
        require(
            distance < 0.02,
            f"at t = {int(inputs['t'][b])} next to nothing but {name}",
            f"pixels that differ from the {name} by {distance:.3g} (root mean square)",
        )
    # Rounding in float32 can change the weight of the noise at t = 0, 0.01, by some 1e-6.
    require_close(x_t, jump(**inputs).float(), "the closed form at every t", "x_t", atol=2e-5)


@check(
    "2.3",
    probe=probes.q_sample_in_float64,
    inputs=lambda g: in_float64(draw_jump(g)),
    call=JUMP_CALL + ", images in float64, alpha_bars in float64 and then in float32",
)
def test_sample_keeps_the_dtype(got, ref, inputs):
    """Images in float64 stay in float64, and keep their digits"""
    require_float64(got, jump(**inputs), "x_t")


@check(
    "2.3",
    probe=probes.q_sample_parts,
    inputs=lambda g: at_the_edges(draw_jump(g), "alpha_bars"),
    call=JUMP_CALL + ", eps all 0 or x0 all 0, " + EDGE_WORDS.format("alpha_bars"),
)
def test_sample_takes_any_alpha_bar(got, ref, inputs):
    """An alpha_bar may be next to 0 and next to 1"""
    alpha_bar = at(inputs["alpha_bars"], inputs["t"])
    require_edge_weights(got["signal"], inputs["x0"], alpha_bar, "without noise, x_t")
    require_edge_weights(got["noise"], inputs["eps"], 1 - alpha_bar, "of empty images, x_t")


def draw_step_noise(g: torch.Generator) -> dict:
    """Noise of five steps for each image: of variance 1, and all uncorrelated."""
    chain = draw_chain(g)
    return {"step_noise": torch.stack(chain["step_noise"][:5]), "betas": chain["betas"]}


JOINT_CALL = "joint_noise(step_noise, betas), noises of 5 steps for 5 images, 7 betas"


@check("2.3", probe=probes.joint_noise, inputs=draw_step_noise, call=JOINT_CALL)
def test_joint_noise_returns_noise_for_each_image(got, ref, inputs):
    """Of all the noises of an image there comes one"""
    require_tensor(got["eps"], "eps", SIZE)


@check("2.3", probe=probes.joint_noise, inputs=draw_step_noise, call=JOINT_CALL)
def test_joint_noise_has_variance_one(got, ref, inputs):
    """Made of independent noises of variance 1, eps has variance 1"""
    variance = power(require_tensor(got["eps"], "eps", SIZE))
    require_each(
        variance,
        torch.ones(len(variance)),
        "an eps of variance 1, as q_sample expects it",
        lambda b: f"variance {variance[b]:.4g} in image {b}",
    )


def joint_weights(betas: Tensor, count: int) -> Tensor:
    """What each of the first noises counts in the eps of them all, in float64."""
    alphas = 1 - betas[:count].double()
    later = torch.stack([alphas[i + 1 :].prod() for i in range(count)])
    return ((1 - alphas) * later / (1 - alphas.prod())).sqrt()


@check("2.3", probe=probes.joint_noise, inputs=draw_step_noise, call=JOINT_CALL)
def test_joint_noise_weighs_each_step(got, ref, inputs):
    """A noise counts by its own beta, less what later steps took of it"""
    eps, noises = require_tensor(got["eps"], "eps", SIZE), inputs["step_noise"]
    # The noises are orthogonal and have variance 1, so a projection gives the weight.
    weights = (noises.double() * eps.double()).mean(dim=(1, 2, 3, 4))
    target = joint_weights(inputs["betas"], len(noises))
    require_each(
        weights,
        target,
        "weights whose squares are the shares of the steps in the noise of x_t",
        lambda i: f"the noise of step {i} with weight {weights[i]:.4f}, not {target[i]:.4f}",
        atol=1e-5,
    )


def draw_uneven_walk(g: torch.Generator) -> dict:
    return {
        "x0": draw_images(g, OTHER),
        "step_noise": torch.stack([draw_raw_noise(g) for _ in range(4)]),
        "betas": draw_betas(g),
    }


@check(
    "2.3",
    probe=probes.joint_noise,
    inputs=draw_uneven_walk,
    call="joint_noise(step_noise, betas), noises of 4 steps for 6 images of 2x3x4, 7 betas",
)
def test_joint_noise_makes_walk_and_jump_meet(got, ref, inputs):
    """With the joint noise the jump lands where the walk leads"""
    eps = require_tensor(got["eps"], "eps", OTHER)
    t = torch.full((len(eps),), 3)
    walked = walk(inputs["x0"], t, inputs["step_noise"], inputs["betas"][:4].double())
    jumped = jump(inputs["x0"], t, eps, bars_of(inputs["betas"]))
    require_close(
        jumped.float(),
        walked.float(),
        "the x_t that the 4 steps reach",
        "the jump's x_t",
        atol=1e-5,
    )


@check(
    "2.3",
    probe=probes.joint_noise,
    inputs=lambda g: {"step_noise": draw_raw_noise(g)[None], "betas": draw_betas(g)},
    call="joint_noise(step_noise, betas), the noise of the step t = 0 alone",
)
def test_joint_noise_of_one_step_is_that_noise(got, ref, inputs):
    """After a single step, eps is what that step added"""
    require_close(
        got["eps"], inputs["step_noise"][0], "the noise of the step itself", "eps", atol=1e-5
    )


def draw_walks_to_the_end(g: torch.Generator) -> dict:
    """Noises, and tables that have just as many betas: from hardly any noise, and to nothing else.

    After the first table, 1 - alpha_bar is 8e-4, and float32 rounds alpha_bar by 3e-8.
    """
    tables = [torch.tensor(betas) for betas in ([1e-4, 2e-4, 5e-4], [1e-4], [0.3, 0.9, 0.9999])]
    noises = [draw_raw_noise(g, (1, 1, 3, 4)) for _ in range(3)]
    return {"step_noise": torch.stack(noises), "tables": tables}


@check(
    "2.3",
    probe=probes.joint_noise_of_each,
    inputs=draw_walks_to_the_end,
    call="joint_noise(step_noise, betas), as many betas as noises, one image of 1x3x4",
)
def test_joint_noise_of_gentle_and_violent_steps(got, ref, inputs):
    """The steps may be all that the schedule has, gentle or violent"""
    for eps, betas in zip(got["eps"], inputs["tables"]):
        noises = inputs["step_noise"][: len(betas)].double()
        weights = joint_weights(betas, len(betas)).view(-1, 1, 1, 1, 1)
        require_close(
            eps,
            (weights * noises).sum(dim=0).float(),
            "each noise with its share of what x_t holds of noise",
            f"for {len(betas)} betas up to {float(betas.max()):.4g}, eps",
            rtol=5e-4,  # three roundings of alpha_bar by 6e-8, beside a 1 - alpha_bar of 8e-4
            atol=1e-4,
        )


# 2.4


def draw_noisy(g: torch.Generator) -> dict:
    """Noisy images with the noise that is in them. The clean ones can be worked out again."""
    return with_noise_in(draw_jump(g))


def draw_noisy_other(g: torch.Generator) -> dict:
    """The same in other sizes, with noise that is not standardised."""
    return with_noise_in(draw_jump(g, OTHER) | {"eps": draw_raw_noise(g)})


def with_noise_in(clean: dict) -> dict:
    """Replace clean images, the inputs of a jump, by what they become."""
    kept = {key: clean[key] for key in ("t", "eps", "alpha_bars")}
    return {"x_t": jump(**clean).float(), **kept}


def draw_noisy_parts(g: torch.Generator) -> dict:
    """Noisy images and, besides, what empty images become with the same noise."""
    drawn = draw_noisy(g)
    empty = jump(torch.zeros(SIZE), drawn["t"], drawn["eps"], drawn["alpha_bars"])
    return drawn | {"x_t_of_noise": empty.float()}


PREDICT_CALL = "predict_x0(x_t, t, eps, alpha_bars), 5 images of 2x3x5, t = [3, 0, 6, 1, 4]"


@check("2.4", probe=probes.predict_x0, inputs=draw_noisy, call=PREDICT_CALL)
def test_predict_returns_images(got, ref, inputs):
    """The prediction has the shape of the noisy images"""
    require_tensor(got["x0"], "x_0", SIZE)


@check(
    "2.4",
    probe=probes.predict_x0_parts,
    inputs=draw_noisy_parts,
    call=PREDICT_CALL + ", eps all 0",
)
def test_predict_undoes_the_shrinking(got, ref, inputs):
    """If there was no noise, x_0 is x_t with its power given back"""
    t, alpha_bar = inputs["t"], at(inputs["alpha_bars"], inputs["t"])
    kept = power(inputs["x_t"]) / power(require_tensor(got["signal"], "x_0", SIZE))
    require_each(
        kept,
        alpha_bar,
        "an x_0 so strong that x_t has the share alpha_bar_t of its power (the mean square)",
        lambda b: (
            f"a share of {kept[b]:.4f} at t = {t[b]}, where alpha_bar_t = {alpha_bar[b].item():.4f}"
        ),
    )
    # Dividing by sqrt(alpha_bar), here above 0.3, makes rounding errors at most 3 times larger.
    require_close(
        got["signal"],
        (inputs["x_t"] / alpha_bar.sqrt()).float(),
        "a stronger copy of x_t: one positive factor for all pixels of an image, nothing clipped",
        "x_0",
        atol=1e-5,
    )


@check(
    "2.4",
    probe=probes.predict_x0_parts,
    inputs=draw_noisy_parts,
    call=PREDICT_CALL + ", x_t nothing but noise",
)
def test_predict_removes_all_noise(got, ref, inputs):
    """If x_t is nothing but its noise, x_0 is empty"""
    x0 = require_tensor(got["noise"], "x_0", SIZE)
    left = power(x0).sqrt()
    worst = int(left.argmax())
    # x_t carries float32 rounding errors of about 1e-7, and the division enlarges them threefold.
    require(
        float(left[worst]) < 2e-5,
        "x_0 = 0 when x_t is just the noise that q_sample adds: all of it, and no more, removed",
        f"pixels of size {left[worst]:.4g} (root mean square) at t = {inputs['t'][worst]}",
    )


@check("2.4", probe=probes.predict_x0, inputs=draw_noisy, call=PREDICT_CALL + ", the true eps")
def test_predict_inverts_the_jump(got, ref, inputs):
    """With the true noise, the clean image comes back"""
    require_close(
        got["x0"],
        solve_x0(inputs["x_t"], inputs["eps"], at(inputs["alpha_bars"], inputs["t"])).float(),
        "the x_0 that q_sample made x_t of",
        "x_0",
        atol=2e-5,
    )


@check(
    "2.4",
    probe=probes.predict_x0,
    inputs=lambda g: draw_noisy(g) | {"eps": 2 * draw_noise(g)},
    call=PREDICT_CALL + ", an eps that is far off",
)
def test_predict_takes_eps_at_its_word(got, ref, inputs):
    """Any eps is believed, even if x_0 then leaves [-1, 1]"""
    x0 = require_tensor(got["x0"], "x_0", SIZE)
    again = jump(x0, inputs["t"], inputs["eps"], inputs["alpha_bars"]).float()
    require_close(
        again,
        inputs["x_t"],
        "an x_0 from which q_sample, with the same eps, makes x_t again (so nothing is clipped)",
        "x_t made again",
        atol=2e-5,
    )


@check(
    "2.4",
    probe=probes.predict_x0,
    inputs=lambda g: (
        draw_noisy(g) | {"alpha_bars": torch.tensor([0.9999, 0.9, 0.5, 0.1, 1e-2, 1e-4, 2e-8])}
    ),
    call=PREDICT_CALL + ", alpha_bars from 0.9999 down to 2e-8",
)
def test_predict_does_not_hold_back_at_the_end(got, ref, inputs):
    """Where hardly any signal is left, the factor is as large as the formula says"""
    x0 = require_tensor(got["x0"], "x_0", SIZE)
    again = jump(x0, inputs["t"], inputs["eps"], inputs["alpha_bars"]).float()
    # In x_t made again the division is undone, so only rounding of numbers near 1 is left.
    require_close(
        again,
        inputs["x_t"],
        "x_t again after q_sample with the same eps, however small alpha_bar_t is",
        "x_t made again",
        rtol=1e-4,
        atol=2e-5,
    )


@check(
    "2.4",
    probe=probes.predict_x0_parts,
    inputs=lambda g: at_the_edges(draw_noisy_parts(g), "alpha_bars"),
    call=PREDICT_CALL + ", eps all 0, " + EDGE_WORDS.format("alpha_bars"),
)
def test_predict_takes_any_alpha_bar(got, ref, inputs):
    """An alpha_bar may be next to 0 and next to 1"""
    alpha_bar = at(inputs["alpha_bars"], inputs["t"])
    require_edge_weights(got["signal"], inputs["x_t"], 1 / alpha_bar, "without noise, x_0")
    # What eps takes away: the difference of the two, in which x_t is still a large part.
    taken = got["signal"] - require_tensor(got["both"], "x_0", SIZE, torch.float64)
    require_close(
        taken * alpha_bar.sqrt(),
        (1 - alpha_bar).sqrt() * inputs["eps"],
        "the noise that q_sample adds to be taken away, however little it is",
        "what eps changes, times the root of alpha_bar,",
        rtol=1e-4,
        atol=1e-12,
    )


@check(
    "2.4",
    probe=probes.predict_x0_one_by_one,
    inputs=draw_noisy_other,
    call="predict_x0(x_t, t, eps, alpha_bars), 6 images of 2x3x4 together, then each alone",
)
def test_predict_treats_each_image_by_itself(got, ref, inputs):
    """Any sizes will do, and each image is treated by itself"""
    require_close(
        got["together"],
        solve_x0(inputs["x_t"], inputs["eps"], at(inputs["alpha_bars"], inputs["t"])).float(),
        "the x_0 that q_sample made x_t of, in every image",
        "x_0",
        atol=2e-5,
    )
    require_same_strided(got, "x_0")
    require_same_alone(got["together"], got["alone"], "x_0")


@check(
    "2.4",
    probe=probes.predict_x0_in_float64,
    inputs=lambda g: in_float64(draw_noisy(g)),
    call=PREDICT_CALL + ", images in float64, alpha_bars in float64 and then in float32",
)
def test_predict_keeps_the_dtype(got, ref, inputs):
    """Images in float64 stay in float64, and keep their digits"""
    alpha_bar = at(inputs["alpha_bars"], inputs["t"])
    require_float64(got, solve_x0(inputs["x_t"], inputs["eps"], alpha_bar), "x_0")


AMPLIFICATION_CALL = "amplification(alpha_bars), alpha_bars = [0.99, 0.8, 0.5, 0.1, 0.004]"


def factors(alpha_bars: Tensor) -> Tensor:
    """How much larger the error in x_0 is than the one in eps, in float64."""
    a = alpha_bars.double()
    return ((1 - a) / a).sqrt()


@check(
    "2.4",
    probe=probes.amplification,
    inputs=lambda g: {"alpha_bars": torch.tensor([0.99, 0.8, 0.5, 0.1, 0.004])},
    call=AMPLIFICATION_CALL,
)
def test_errors_stay_as_large_where_image_and_noise_weigh_the_same(got, ref, inputs):
    """Where image and noise have the same weight, an error stays as large as it is"""
    found = require_tensor(got["factors"], "the amplification", (5,))
    require(
        abs(float(found[2]) - 1) < 1e-5,
        "a factor of 1 at alpha_bar = 0.5: x_0 and eps then have the same weight in x_t",
        f"{float(found[2]):.4g}",
    )
    require(
        float(found[0]) < 1 < float(found[-1]),
        "an error that shrinks at the clean end and grows at the noisy end",
        f"factors of {float(found[0]):.4g} at alpha_bar = 0.99 and {float(found[-1]):.4g} at 0.004",
    )


@check(
    "2.4",
    probe=probes.error_in_x0,
    inputs=lambda g: {
        "x_t": draw_noise(g, (NUM_STEPS, 2, 3, 5)),
        "eps": draw_noise(g, (NUM_STEPS, 2, 3, 5)),
        "alpha_bars": draw_alpha_bars(g),
    },
    call="amplification(alpha_bars), and predict_x0 with eps and with eps + 1",
)
def test_amplification_is_what_predict_x0_does(got, ref, inputs):
    """If eps is off by 1, predict_x0 is off by the amplification"""
    found = require_tensor(got["factors"], "the amplification", (NUM_STEPS,))
    # predict_x0 has passed its own checks, so this is what it must do.
    off, bars = factors(inputs["alpha_bars"]), inputs["alpha_bars"]
    require_each(
        found,
        off,
        "the factor by which x_0 is off when eps is off by 1",
        lambda t: (
            f"a factor of {found[t]:.4f} at t = {t}, where alpha_bar_t = {bars[t]:.4f} and x_0 "
            f"changes by {off[t]:.4f}"
        ),
        atol=1e-5,
    )


@check(
    "2.4",
    probe=probes.amplification,
    inputs=lambda g: {
        "alpha_bars": torch.tensor(
            [1 - 1e-11, 0.9, 1e-2, 2.428767e-6, 2.428767e-9, 1e-12], dtype=torch.float64
        )
    },
    call="amplification(alpha_bars), in float64 from 1 - 1e-11 down to 1e-12",
)
def test_amplification_at_the_end_of_the_schedule(got, ref, inputs):
    """At the end of the cosine schedule an error grows 20,000 times"""
    require_close(
        got["factors"],
        factors(inputs["alpha_bars"]),
        "a factor of about 20,291 at alpha_bar = 2.428767e-9, and of 1,000,000 at 1e-12",
        "the amplification",
        atol=0,
    )


# 2.5


def draw_witnesses(g: torch.Generator) -> dict:
    """Means and variances of two witnesses, in float64 and clearly different."""
    mean_1, mean_2 = 4 * torch.rand(2, 3, 4, generator=g, dtype=torch.float64) - 2
    var_1, var_2 = 0.1 + 2 * torch.rand(2, 3, 4, generator=g, dtype=torch.float64)
    return {"mean_1": mean_1, "var_1": var_1, "mean_2": mean_2 + 3, "var_2": var_2}


def require_combined(
    got: dict, shape: tuple[int, ...], dtype: torch.dtype = torch.float64
) -> tuple[Tensor, Tensor]:
    require("mean" in got, "two results, (mean, variance)", got.get("returned", "something else"))
    return (
        require_tensor(got["mean"], "the mean", shape, dtype),
        require_tensor(got["variance"], "the variance", shape, dtype),
    )


COMBINE_CALL = "combine(mean_1, var_1, mean_2, var_2), tensors of shape (3, 4) in float64"


@check("2.5", probe=probes.combine, inputs=draw_witnesses, call=COMBINE_CALL)
def test_certainties_add_up(got, ref, inputs):
    """Two witnesses are as certain as both certainties together"""
    _, variance = require_combined(got, (3, 4))
    narrower = torch.minimum(inputs["var_1"], inputs["var_2"])
    require(
        bool((variance > 0).all() and (variance < narrower).all()),
        "variances above 0 and below that of either witness: two know more than one",
        f"{int((~((variance > 0) & (variance < narrower))).sum())} of 12 that are not",
    )
    certainty = (1 / variance).flatten()
    target = 1 / inputs["var_1"] + 1 / inputs["var_2"]
    require_each(
        certainty,
        target,
        "certainties (1 / variance) that add up",
        lambda i: (
            f"a certainty of {certainty[i]:.4f}, where the two make {target.flatten()[i]:.4f}"
        ),
    )


@check("2.5", probe=probes.combine, inputs=draw_witnesses, call=COMBINE_CALL)
def test_each_witness_counts_by_its_certainty(got, ref, inputs):
    """The mean is nearer to the more certain witness"""
    mean, _ = require_combined(got, (3, 4))
    way = inputs["mean_2"] - inputs["mean_1"]
    went = ((mean - inputs["mean_1"]) / way).flatten()
    target = (inputs["var_1"] / (inputs["var_1"] + inputs["var_2"])).flatten()
    require_each(
        went,
        target,
        "a mean that goes from mean_1 towards mean_2 the share that the second witness has of the "
        "certainty",
        lambda i: f"{100 * went[i]:.1f} % of the way, where the share is {100 * target[i]:.1f} %",
    )


def draw_certain(g: torch.Generator) -> dict:
    """In the first row the first witness is certain, in the second the second, in the last none."""
    drawn = draw_witnesses(g)
    drawn["var_1"][0], drawn["var_2"][1] = 0, 0
    return drawn


@check(
    "2.5",
    probe=probes.combine_swapped,
    inputs=draw_certain,
    call="combine(mean_1, var_1, mean_2, var_2) in both orders, some variances 0",
)
def test_a_certain_witness_is_right(got, ref, inputs):
    """A witness with variance 0 decides alone"""
    for order in ("in order", "swapped"):
        mean, variance = require_combined(got[order], (3, 4))
        for row, name in ((0, "mean_1"), (1, "mean_2")):
            require_close(
                mean[row],
                inputs[name][row],
                "the mean of the witness whose variance is 0",
                "a mean",
                rtol=1e-9,
            )
            require(
                bool((variance[row] == 0).all()),
                "a variance of 0 where one witness is certain",
                f"variances up to {float(variance[row].abs().max()):.4g}",
            )


def draw_cases(g: torch.Generator) -> dict:
    """Witnesses in several shapes, and as certain and as uncertain as they may be."""
    drawn = draw_witnesses(g)
    small, large = (
        drawn | {name: scale * drawn[name] for name in ("var_1", "var_2")} for scale in (1e-9, 1e9)
    )
    return {
        "cases": [
            small,
            large,
            {name: value[0, 0].clone() for name, value in drawn.items()},
            {name: value.view(2, 1, 3, 2).float() for name, value in drawn.items()},
        ]
    }


@check(
    "2.5",
    probe=probes.combine_each,
    inputs=draw_cases,
    call="combine with variances of 1e-9, of 1e9, for one number, for images in float32",
)
def test_witnesses_of_any_size_and_certainty(got, ref, inputs):
    """Only the ratio of the variances decides, and any shape will do"""
    for pair, case in zip(got["pairs"], inputs["cases"]):
        like = case["mean_1"]
        where = f"with variances near {float(case['var_1'].max()):.2g}, shape {tuple(like.shape)},"
        mean, variance = require_combined(pair, tuple(like.shape), like.dtype)
        m_1, v_1, m_2, v_2 = (case[key].double() for key in ("mean_1", "var_1", "mean_2", "var_2"))
        certainty = 1 / v_1 + 1 / v_2
        rounding = 1e-5 if like.dtype == torch.float32 else 1e-9
        for found, target, name in (
            (mean, (m_1 / v_1 + m_2 / v_2) / certainty, "the mean"),
            (variance, 1 / certainty, "the variance"),
        ):
            require_close(
                found,
                target.to(like.dtype),
                "certainties that add up, and a mean weighted by them, however large they are",
                f"{where} {name}",
                rtol=rounding,
                atol=rounding if name == "the mean" else 0,
            )


def schedule_betas(g: torch.Generator) -> dict:
    return {"betas": irregular_betas(g, 8, least=0.02)}


SCHEDULE_CALL = "make_schedule(betas), betas of shape (8,)"


@check("2.5", probe=probes.schedule, inputs=schedule_betas, call=SCHEDULE_CALL)
def test_schedule_tables_of_the_forward_process(got, ref, inputs):
    """betas, alphas and alpha_bars belong together"""
    require(
        "betas" in got,
        "a NoiseSchedule, which holds the tables by their names and has `to`",
        got.get("returned", "something else"),
    )
    require_close(got["betas"], inputs["betas"], "the betas that were handed in", "betas")
    require_close(got["alphas"], ref["alphas"], "alpha_t = 1 - beta_t", "alphas")
    require_close(
        got["alpha_bars"], ref["alpha_bars"], "the running product of alphas", "alpha_bars"
    )


@check("2.5", probe=probes.schedule, inputs=schedule_betas, call=SCHEDULE_CALL)
def test_schedule_looks_one_step_back(got, ref, inputs):
    """alpha_bars_prev holds at t the alpha_bar of t-1, and 1 at t = 0"""
    prev = require_tensor(got["alpha_bars_prev"], "alpha_bars_prev", (8,))
    require(
        math.isclose(float(prev[0]), 1.0, rel_tol=1e-6),
        "alpha_bars_prev[0] = 1: before the first step there is no noise",
        f"alpha_bars_prev[0] = {float(prev[0]):.6g}",
    )
    require_close(
        prev[1:],
        got["alpha_bars"][:-1],
        "alpha_bars_prev[t] = alpha_bars[t-1]",
        "alpha_bars_prev[1:]",
    )


@check("2.5", probe=probes.schedule, inputs=schedule_betas, call=SCHEDULE_CALL)
def test_schedule_posterior_is_certain_at_zero(got, ref, inputs):
    """At t = 0 the posterior is x_0 itself: weight 1, weight 0, variance 0"""
    for name, value in (
        ("posterior_x0_coef", 1.0),
        ("posterior_xt_coef", 0.0),
        ("posterior_variance", 0.0),
    ):
        table = require_tensor(got[name], name, (8,))
        require(
            math.isclose(float(table[0]), value, abs_tol=1e-6),
            f"{name}[0] = {value:g}",
            f"{name}[0] = {float(table[0]):.6g}",
        )


@check("2.5", probe=probes.schedule, inputs=schedule_betas, call=SCHEDULE_CALL)
def test_schedule_posterior_agrees_with_the_forward_process(got, ref, inputs):
    """Averaged over x_t, the posterior gives back the forward process at t-1"""
    alpha_bars, prev = got["alpha_bars"], got["alpha_bars_prev"]
    x0_coef, xt_coef = got["posterior_x0_coef"], got["posterior_xt_coef"]
    mean, wanted_mean = x0_coef + xt_coef * alpha_bars.sqrt(), prev.sqrt()
    require_each(
        mean,
        wanted_mean,
        "posterior_x0_coef + posterior_xt_coef * sqrt(alpha_bar_t) = sqrt(alpha_bar_{t-1}): one "
        "step back from the mean of x_t is the mean of x_{t-1}",
        lambda t: f"{mean[t]:.4f} on the left and {wanted_mean[t]:.4f} on the right at t = {t}",
        atol=1e-6,
    )
    total, wanted_total = got["posterior_variance"] + xt_coef**2 * (1 - alpha_bars), 1 - prev
    require_each(
        total,
        wanted_total,
        "posterior_variance + posterior_xt_coef^2 (1 - alpha_bar_t) = 1 - alpha_bar_{t-1}: what is "
        "left to guess and what comes with x_t make up the noise in x_{t-1}",
        lambda t: f"{total[t]:.4f} on the left and {wanted_total[t]:.4f} on the right at t = {t}",
        atol=1e-6,
    )
    for name in ("posterior_x0_coef", "posterior_xt_coef", "posterior_variance"):
        require_close(got[name], ref[name], f"{name} as the two witnesses together have it", name)


def require_precise_tables(got: dict, ref: dict) -> None:
    for name in probes.TABLES:
        require_close(
            got[name],
            ref[name],
            f"{name} right to four digits, however small the betas are (float32 is too coarse)",
            name,
            rtol=1e-4,
            atol=1e-12,
        )


@check(
    "2.5",
    probe=probes.schedule,
    inputs=lambda g: draw_tiny_betas(g, torch.float64),
    call="make_schedule(betas), 9 betas below 1e-6 in float64",
)
def test_schedule_is_precise_for_small_betas(got, ref, inputs):
    """Small betas keep their digits in every table"""
    require_precise_tables(got, ref)


@check(
    "2.5",
    probe=probes.schedule,
    inputs=lambda g: draw_tiny_betas(g, torch.float32),
    call="make_schedule(betas), 9 betas below 1e-6 in float32",
)
def test_schedule_is_precise_for_float32_betas(got, ref, inputs):
    """Betas that come in float32 give tables that are just as precise"""
    require_precise_tables(got, ref)


@check(
    "2.5",
    probe=probes.schedule,
    inputs=lambda g: {"betas": torch.tensor([0.02, 1 - 1e-9, 0.5, 0.9, 0.3], dtype=torch.float64)},
    call="make_schedule(betas), 5 betas up to 1 - 1e-9, which leave 3e-11 of the signal",
)
def test_schedule_may_end_in_nothing_but_noise(got, ref, inputs):
    """However little signal is left, every table says how little"""
    for name in probes.TABLES:
        require_close(
            got[name],
            ref[name],
            f"{name} as small as it is, without a limit of your own",
            name,
            rtol=1e-4,
            atol=1e-14,
        )


def draw_pair(g: torch.Generator, size: tuple[int, ...] = SIZE) -> dict:
    """Clean images, and unrelated noisy ones, so that the two cannot be mistaken for each other."""
    return {
        "x0": draw_images(g, size),
        "x_t": draw_noise(g, size),
        "t": steps(size),
        "tables": tables_of(draw_betas(g)),
    }


def draw_mean_pair(g: torch.Generator) -> dict:
    """x_t is the mean of q(x_t | x_0)."""
    pair = draw_pair(g)
    x_t = at(pair["tables"]["alpha_bars"], pair["t"]).sqrt() * pair["x0"]
    return pair | {"x_t": x_t.float()}


def draw_noise_pair(g: torch.Generator) -> dict:
    """x_0 is empty, so x_t is noise of variance 1 - alpha_bar_t."""
    pair = draw_pair(g)
    x_t = (1 - at(pair["tables"]["alpha_bars"], pair["t"])).sqrt() * pair["x_t"]
    return pair | {"x0": torch.zeros(SIZE), "x_t": x_t.float()}


def bayes(x0: Tensor, x_t: Tensor, t: Tensor, tables: dict) -> tuple[Tensor, Tensor]:
    """Mean and variance of x_{t-1} by Bayes' rule, in float64, without the posterior tables.

    Prior N(sqrt(alpha_bar_{t-1}) x_0, 1 - alpha_bar_{t-1}), likelihood
    N(x_t; sqrt(alpha_t) x_{t-1}, beta_t): precisions add up, means are weighted by them.
    """
    alpha_bars = torch.cumprod(1 - tables["betas"].double(), dim=0)
    beta = at(tables["betas"], t)
    prev = at(torch.cat([torch.ones(1, dtype=torch.float64), alpha_bars[:-1]]), t)
    first = t[:, None, None, None] == 0
    rest = torch.where(first, 1.0, 1 - prev)  # any number but 0, where it is not used
    variance = 1 / ((1 - beta) / beta + 1 / rest)
    mean = variance * ((1 - beta).sqrt() / beta * x_t + prev.sqrt() / rest * x0)
    return torch.where(first, x0.double(), mean), torch.where(first, 0.0, variance)


def require_pair(got: dict, size: tuple[int, ...] = SIZE) -> tuple[Tensor, Tensor]:
    """The mean and the variance, if they have the right shapes."""
    require("mean" in got, "two results, (mean, variance)", got.get("returned", "something else"))
    mean = require_tensor(got["mean"], "the mean", size)
    return mean, require_tensor(got["variance"], "the variance", (size[0], 1, 1, 1))


POSTERIOR_CALL = "q_posterior(x0, x_t, t, schedule), 5 images of 2x3x5, t = [3, 0, 6, 1, 4]"


@check("2.5", probe=probes.q_posterior, inputs=draw_pair, call=POSTERIOR_CALL)
def test_posterior_returns_mean_and_variance(got, ref, inputs):
    """The mean is an image, the variance one number per image"""
    require_pair(got)


@check("2.5", probe=probes.q_posterior, inputs=draw_pair, call=POSTERIOR_CALL)
def test_posterior_is_certain_at_zero(got, ref, inputs):
    """At t = 0 nothing is left to guess: x_0 itself, with variance 0"""
    mean, variance = require_pair(got)
    first = int((inputs["t"] == 0).nonzero())
    # Where the weight of x_0 is computed as beta / (1 - alpha_bar), both 0.03 at the least,
    # float32 gives 1 to about 1e-5.
    off = float((mean[first] - inputs["x0"][first]).abs().max())
    require(
        off < 5e-5,
        "the mean at t = 0 to be x_0, whatever x_t is",
        f"a mean that differs from x_0 by up to {off:.4g}",
    )
    require(
        abs(float(variance[first])) < 1e-9,  # 1 - alpha_bars_prev is exactly 0 there
        "the variance at t = 0 to be 0",
        f"variance {float(variance[first]):.4g}",
    )


@check(
    "2.5",
    probe=probes.q_posterior,
    inputs=draw_mean_pair,
    call=POSTERIOR_CALL + ", x_t the mean of q(x_t | x_0)",
)
def test_posterior_obeys_the_law_of_total_mean(got, ref, inputs):
    """If x_t is just what x_0 becomes on average, so is the mean of x_{t-1}"""
    mean, _ = require_pair(got)
    t = inputs["t"]
    prev = at(inputs["tables"]["alpha_bars_prev"], t)
    share = power(mean) / power(inputs["x0"])
    require_each(
        share,
        prev,
        "a mean with the share alpha_bar_{t-1} of the power of x_0, as images have after step t-1",
        lambda b: (
            f"a share of {share[b]:.4f} at t = {t[b]}, where alpha_bar_{{t-1}} = "
            f"{prev[b].item():.4f}"
        ),
    )
    require_close(
        mean,
        (prev.sqrt() * inputs["x0"]).float(),
        "a paler copy of x_0: one positive factor for all pixels of an image",
        "the mean",
        atol=2e-5,
    )


@check("2.5", probe=probes.q_posterior, inputs=draw_pair, call=POSTERIOR_CALL)
def test_posterior_variance_obeys_bayes_rule(got, ref, inputs):
    """The variance is what the two witnesses, x_0 and x_t, leave open"""
    _, variance = require_pair(got)
    _, target = bayes(**inputs)
    beta = at(inputs["tables"]["betas"], inputs["t"])
    require_each(
        variance.double().flatten(),
        target,
        "a variance with which the certainties (1 / variance) of the two witnesses, x_0 and x_t, "
        "add up",
        lambda b: (
            f"variance {variance[b].item():.4g} at t = {inputs['t'][b]}, where beta_t = "
            f"{beta[b].item():.4f}"
        ),
    )


@check(
    "2.5",
    probe=probes.q_posterior,
    inputs=draw_noise_pair,
    call=POSTERIOR_CALL + ", x0 all 0, x_t noise of variance 1 - alpha_bar_t",
)
def test_posterior_obeys_the_law_of_total_variance(got, ref, inputs):
    """The spread of the means and the variance together are the noise of step t-1"""
    mean, variance = require_pair(got)
    t = inputs["t"]
    total = power(mean) + variance.double().flatten()
    prev = at(inputs["tables"]["alpha_bars_prev"], t)
    require_each(
        total,
        1 - prev,
        "the variance of the mean's pixels, plus the variance, to be 1 - alpha_bar_{t-1}, which is "
        "the noise after step t-1",
        lambda b: (
            f"together {total[b]:.4f} at t = {t[b]}, where 1 - alpha_bar_{{t-1}} = "
            f"{1 - prev[b].item():.4f}"
        ),
    )


@check(
    "2.5",
    probe=probes.q_posterior_one_by_one,
    inputs=lambda g: (
        draw_pair(g, OTHER) | {"x0": 2 * draw_images(g, OTHER), "x_t": draw_raw_noise(g)}
    ),
    call="q_posterior(x0, x_t, t, schedule), 6 images of 2x3x4 together, then each alone",
)
def test_posterior_treats_each_image_by_itself(got, ref, inputs):
    """Any sizes will do, and each image is treated by itself"""
    mean, variance = require_pair(got["together"], OTHER)
    target_mean, target_variance = bayes(**inputs)
    require_close(
        mean,
        target_mean.float(),
        "in every image a mean of x_0 and x_t, weighted by how certain each of them is",
        "the mean",
        atol=5e-5,
    )
    require_close(
        variance,
        target_variance.float(),
        "in every image the variance that the two witnesses leave open",
        "the variance",
        atol=1e-5,
    )
    strided = require_pair(got["strided"], OTHER)
    require_same_strided({"together": mean, "strided": strided[0]}, "the mean")
    require_same_strided({"together": variance, "strided": strided[1]}, "the variance")
    for pair in got["alone"]:
        require_pair(pair, (1, *OTHER[1:]))
    require_same_alone(mean, [pair["mean"] for pair in got["alone"]], "the mean")
    require_same_alone(variance, [pair["variance"] for pair in got["alone"]], "the variance")


@check(
    "2.5",
    probe=probes.q_posterior_elsewhere,
    inputs=draw_pair,
    call=POSTERIOR_CALL + ", all on another device than the CPU",
    seconds=SECONDS,
)
def test_posterior_works_on_any_device(got, ref, inputs):
    """Mean and variance lie where the images lie, on a graphics card too"""
    require_elsewhere(got["devices"])
