"""Checks of chapter 12: few steps."""

import torch
from torch import Tensor

from checks.probes import ch12_few_steps as probes
from checks.probes.toys import strided
from checks.theory import (
    SECONDS,
    bars_of,
    cosine_curve,
    draw_images,
    irregular_betas,
    require_bell_curve,
    require_fresh_draws,
    require_generator_decides,
    require_no_graph,
    require_same_device,
    require_value_errors,
    seed_and_stream,
)
from course.grading.checking import check, require, require_close, require_number, require_tensor


def irregular_bars(g: torch.Generator, num_steps: int) -> Tensor:
    """alpha_bars from betas between 0.1 and 0.4 in no order, so that no two can be mistaken."""
    return bars_of(irregular_betas(g, num_steps, 0.1))


def cosine_bars(num_steps: int) -> Tensor:
    """alpha_bars of the cosine schedule, which ends in as good as nothing but noise."""
    f = cosine_curve(num_steps)
    return bars_of((1 - f[1:] / f[:-1]).clamp(max=0.999))


def bar_at(inputs: dict, name: str = "t") -> Tensor:
    """alpha_bar at a step, 1 where it is -1, in float64, shape (B, 1, 1, 1)."""
    bars = inputs["alpha_bars"].double().tolist()
    values = [1.0 if step < 0 else bars[step] for step in inputs[name].tolist()]
    return torch.tensor(values, dtype=torch.float64).view(-1, 1, 1, 1)


# 12.1


TWELVE_ONE = "paired_steps(timesteps)"


def grids_of(*grids: list[int]):
    return lambda g: {"grids": [torch.tensor(grid) for grid in grids]}


def uneven_grids(g: torch.Generator) -> dict:
    drawn = [torch.randperm(100, generator=g)[:count] for count in (6, 8, 2)]
    return {"grids": [grid.sort(descending=True).values for grid in drawn]}


def _require_three(three, count: int) -> list[list[int]]:
    names = ("t", "t_mid", "t_next")
    return [
        require_tensor(part, name, (count,), torch.int64).tolist()
        for part, name in zip(three, names)
    ]


def _require_pairs(three, grid: list[int], shown: str) -> None:
    t, t_mid, t_next = _require_three(three, len(grid) // 2)
    for name, seen, right, words in (
        ("t", t, grid[0::2], "where each pair of steps begins"),
        ("t_mid", t_mid, grid[1::2], "where the first step of each pair ends"),
        ("t_next", t_next, [*grid[2::2], -1], "where each pair ends, the last at the clean image"),
    ):
        require(seen == right, f"{name} to be {words}, for {shown}", f"{name} = {seen}")


@check(
    "12.1",
    probe=probes.pairs,
    inputs=grids_of([59, 49, 39, 29, 19, 9], [7, 6, 2, 0]),
    call=TWELVE_ONE + ", timesteps = [59, 49, 39, 29, 19, 9] and [7, 6, 2, 0]",
)
def test_pairs_are_three_rows_of_steps(got, ref, inputs):
    """A pair of steps has a beginning, a middle and an end: three int64 tensors, half as long"""
    for grid, three in zip(inputs["grids"], got["walks"]):
        _require_three(three, len(grid) // 2)


@check(
    "12.1",
    probe=probes.pairs,
    inputs=uneven_grids,
    call=TWELVE_ONE + ", with six, eight and two steps at uneven distances",
)
def test_pairs_follow_the_teacher(got, ref, inputs):
    """Each pair begins where the one before ended, and the last ends at the clean image, -1"""
    for grid, three in zip(inputs["grids"], got["walks"]):
        _require_pairs(three, grid.tolist(), f"timesteps = {grid.tolist()}")


@check(
    "12.1",
    probe=probes.pairs_of_pairs,
    inputs=lambda g: {"grid": torch.tensor([999, 874, 749, 624, 499, 374, 249, 124])},
    call=TWELVE_ONE + ", and again of the student's own grid, from 8 steps to 1",
)
def test_pairs_of_pairs(got, ref, inputs):
    """The student's grid is a grid again: halving goes on to a single step from T - 1"""
    grid = inputs["grid"].tolist()
    for three in got["walks"]:
        _require_pairs(three, grid, f"timesteps = {grid}")
        grid = grid[0::2]


@check(
    "12.1",
    probe=probes.pairs_refused,
    inputs=grids_of([9, 4, 1], [5], [], [9, 8, 4, 2, 0]),
    call=TWELVE_ONE + ", with 3, 1, 0 and 5 steps",
)
def test_pairs_need_an_even_number(got, ref, inputs):
    """An odd number of steps cannot be taken in twos, nor can none"""
    require_value_errors(got["raised"], [f"timesteps = {g.tolist()}" for g in inputs["grids"]])


@check(
    "12.1",
    probe=probes.pairs_elsewhere,
    inputs=lambda g: {"grid": torch.tensor([9, 7, 4, 1])},
    call=TWELVE_ONE + ", timesteps on another device than the CPU",
    seconds=SECONDS,
)
def test_pairs_lie_where_the_grid_lies(got, ref, inputs):
    """All three lie where the grid lies, on whatever device"""
    require_same_device(got["places"], "what comes back")


# 12.2

TWELVE_TWO = "jump_x0(x_t, x_next, t, t_next, alpha_bars)"


def ddim(x: Tensor, x0: Tensor, a: Tensor, a_next: Tensor) -> Tensor:
    """DDIM's step in float64, for a given guess."""
    eps = (x - a.sqrt() * x0) / (1 - a).sqrt()
    return a_next.sqrt() * x0 + (1 - a_next).sqrt() * eps


def jump_inputs(g, t, t_next, shape=(2, 5, 3), size=1.0, bars=None) -> dict:
    """A jump whose x_0 is known: `right`, of this size."""
    inputs = {
        "alpha_bars": irregular_bars(g, 8) if bars is None else bars,
        "t": torch.tensor(t),
        "t_next": torch.tensor(t_next),
    }
    x_t = torch.randn(len(t), *shape, generator=g)
    right = size * draw_images(g, x_t.shape)
    a, a_next = bar_at(inputs), bar_at(inputs, "t_next")
    x_next = ddim(x_t.double(), right.double(), a, a_next).float()
    return {**inputs, "x_t": x_t, "x_next": x_next, "right": right}


ROUNDED = {"rtol": 1e-4, "atol": 3e-5}  # float32: divided by a difference of about 0.1


@check(
    "12.2",
    probe=probes.jump,
    inputs=lambda g: jump_inputs(g, [7, 0, 4], [3, -1, 0], (2, 5, 4)),
    call=TWELVE_TWO + ", x_t of shape (3, 2, 5, 4), t = [7, 0, 4], t_next = [3, -1, 0]",
)
def test_jump_returns_images(got, ref, inputs):
    """x_0 has the shape of x_t, and its dtype"""
    require_tensor(got["x0"], "x_0", (3, 2, 5, 4))


@check(
    "12.2",
    probe=probes.jump,
    inputs=lambda g: jump_inputs(g, [7, 3, 0], [-1, -1, -1]),
    call=TWELVE_TWO + ", t = [7, 3, 0], t_next = [-1, -1, -1]",
)
def test_jump_to_the_clean_image(got, ref, inputs):
    """A jump to the clean image, where alpha_bar is 1, has that image as its x_0"""
    require_close(got["x0"], inputs["x_next"], "x_next itself where t_next = -1", "x_0", **ROUNDED)


@check(
    "12.2",
    probe=probes.jump_by_name,
    inputs=lambda g: jump_inputs(g, [7, 6, 4, 5], [2, 1, 0, -1]),
    call=TWELVE_TWO + ", all by name, x_next made from x_t by one step of DDIM with a known x_0",
)
def test_jump_finds_the_guess_of_a_step(got, ref, inputs):
    """If one step of DDIM led from x_t to x_next, x_0 is the guess that it was made with"""
    require_close(got["x0"], inputs["right"], "the x_0 of the step", "x_0", **ROUNDED)


@check(
    "12.2",
    probe=probes.jump,
    inputs=lambda g: jump_inputs(g, [7, 6, 4], [2, 1, -1], size=5.0),
    call=TWELVE_TWO + ", where x_0 lies outside [-1, 1]",
)
def test_jump_does_not_clip(got, ref, inputs):
    """What the jump was made with comes back as it is, also outside [-1, 1]"""
    require_close(got["x0"], inputs["right"], "the x_0 of the step", "x_0", 1e-4, 1e-4)


def two_guesses(g: torch.Generator) -> dict:
    """Two steps of DDIM with a guess each, and the mean of the two that leads there at once."""
    inputs = jump_inputs(g, [7, 6, 7, 5], [2, 1, -1, -1])
    middle = {**inputs, "t_mid": torch.tensor([5, 3, 4, 2])}
    a, b, c = bar_at(middle), bar_at(middle, "t_mid"), bar_at(middle, "t_next")
    first, second = (draw_images(g, inputs["x_t"].shape).double() for _ in range(2))
    x_mid = ddim(inputs["x_t"].double(), first, a, b)
    # How much of x_next each guess is: their sum is what one guess would be.
    of_second = c.sqrt() - ((1 - c) / (1 - b)).sqrt() * b.sqrt()
    of_first = ((1 - c) / (1 - b)).sqrt() * (b.sqrt() - ((1 - b) / (1 - a)).sqrt() * a.sqrt())
    mean = (of_first * first + of_second * second) / (of_first + of_second)
    x_next = ddim(x_mid, second, b, c)
    return {**inputs, "x_next": x_next.float(), "right": mean.float()}


@check(
    "12.2",
    probe=probes.jump,
    inputs=two_guesses,
    call=TWELVE_TWO + ", x_next made by two steps of DDIM with a guess each",
)
def test_jump_is_a_mean_of_two_guesses(got, ref, inputs):
    """Where the teacher went in two steps, x_0 is a weighted mean of its two guesses"""
    require_close(
        got["x0"],
        inputs["right"],
        "of the two guesses the mean that leads from x_t to x_next at once",
        "x_0",
        **ROUNDED,
    )


MEAN, STD = 0.2, 0.4


def exact_curve(g: torch.Generator) -> dict:
    """Jumps along the exact curve of Gaussian data; `right` is the mean velocity in y over u.

    With y = x / sqrt(1 - a) and u = sqrt(a) / sqrt(1 - a) the curve is dy / du = x_0(x), so a jump
    over all of it has the mean of x_0 over u. The mean is taken by the midpoints of 20,000 steps.
    """
    inputs = jump_inputs(g, [7, 6, 5], [3, 0, 1], (2, 3, 4))
    a, a_next = bar_at(inputs), bar_at(inputs, "t_next")
    x_t = inputs["x_t"].double()
    z = (x_t - a.sqrt() * MEAN) / (a * STD**2 + 1 - a).sqrt()  # stays the same along the curve

    def position(u):
        sigma = 1 / (1 + u**2).sqrt()
        alpha = u * sigma
        spread = (alpha**2 * STD**2 + sigma**2).sqrt()
        return alpha, sigma, spread

    start, end = ((b / (1 - b)).sqrt() for b in (a, a_next))
    share = (torch.arange(20_000, dtype=torch.float64) + 0.5) / 20_000
    alpha, _, spread = position(start + (end - start) * share.view(1, 1, 1, -1))
    slope = (alpha * STD**2 / spread).mean(dim=3, keepdim=True)  # x_0 is mean + slope * z
    alpha, sigma, spread = position(end)
    return {
        **inputs,
        "x_next": (alpha * MEAN + spread * z).float(),
        "right": (MEAN + slope * z).float(),
    }


@check(
    "12.2",
    probe=probes.jump,
    inputs=exact_curve,
    call=TWELVE_TWO + ", x_next on the exact curve through x_t, for Gaussian data",
)
def test_jump_is_an_average_velocity(got, ref, inputs):
    """Along a whole curve, x_0 is the mean of all guesses on the way: displacement over distance"""
    require_close(
        got["x0"],
        inputs["right"],
        "the mean of the best guesses along the curve, over sqrt(a) / sqrt(1 - a)",
        "x_0",
        rtol=1e-3,
        atol=1e-4,
    )


@check(
    "12.2",
    probe=probes.jump,
    inputs=lambda g: jump_inputs(
        g, [999, 999, 749, 249], [499, -1, 499, -1], bars=cosine_bars(1000)
    ),
    call=TWELVE_TWO + ", on the cosine schedule, also from t = 999, where alpha_bar is 2e-9",
)
def test_jump_takes_the_schedule_as_it_is(got, ref, inputs):
    """alpha_bar may be as small as a schedule makes it"""
    require_close(got["x0"], inputs["right"], "the x_0 of the step", "x_0", **ROUNDED)


@check(
    "12.2",
    probe=probes.jump_together_and_alone,
    inputs=lambda g: jump_inputs(g, [4, 0, 7, 3, 6], [1, -1, 5, 0, 2], (2, 3, 5)),
    call=TWELVE_TWO + ", x_t of shape (5, 2, 3, 5), as many images as columns, not contiguous",
)
def test_jump_treats_each_image_alone(got, ref, inputs):
    """An image's x_0 is the same alone as in a batch as large as the image is wide"""
    alone = require_tensor(got["alone"], "x_0", tuple(inputs["x_t"].shape))
    require_close(
        got["together"],
        alone,
        "each image's own t, in a batch as alone: as (B, 1, 1, 1) the values of t lie along the "
        "batch, as (B,) along the columns",
        "x_0",
        **ROUNDED,
    )


@check(
    "12.2",
    probe=probes.jump_elsewhere,
    inputs=lambda g: jump_inputs(g, [7, 0, 4], [3, -1, 0]),
    call=TWELVE_TWO + ", all of it on another device than the CPU",
    seconds=SECONDS,
)
def test_jump_works_on_any_device(got, ref, inputs):
    """x_0 lies where the images and the schedule are, on whatever device"""
    require_same_device(got["places"], "x_0")


# 12.3

TWELVE_THREE = "distillation_loss(student, teacher_step, x_t, steps, labels, alpha_bars, jump_x0)"


def network_weights(g: torch.Generator, channels: int) -> dict[str, Tensor]:
    """Weights of the toy network, for image, step and label."""
    return {
        name: scale * torch.randn(channels, 1, 1, generator=g)
        for name, scale in (("image", 1.0), ("step", 0.2), ("label", 0.2))
    }


def lesson_inputs(g: torch.Generator, t=(7, 4, 2, 7), t_mid=(5, 3, 1, 4), t_next=(2, 0, -1, -1)):
    shape = (len(t), 2, 5, 3)
    images = torch.randn(4, *shape, generator=g)
    return {
        "x_t": strided(images[0]),  # not contiguous in memory
        "x0": images[1].clamp(-1, 1),
        "places": [images[2], images[3]],
        "t": torch.tensor(t),
        "t_mid": torch.tensor(t_mid),
        "t_next": torch.tensor(t_next),
        "labels": torch.tensor([3, 10, 0, 7])[: len(t)],
        "alpha_bars": irregular_bars(g, 8),
        "weights": network_weights(g, 2),
    }


def answer(inputs: dict, x: Tensor, t: Tensor) -> Tensor:
    """What the toy network says, in float64."""
    w = {name: value.double() for name, value in inputs["weights"].items()}
    step, label = (value.double().view(-1, 1, 1, 1) for value in (t, inputs["labels"]))
    return w["image"] * x.double() + w["step"] * step + w["label"] * label


def slopes(inputs: dict, error: Tensor, by: Tensor, x: Tensor, t: Tensor) -> dict[str, Tensor]:
    """The gradients of mean(error^2) where d error = by * d(the network's answer at x, t)."""
    factors = {
        "image": x.double(),
        "step": t.double().view(-1, 1, 1, 1),
        "label": inputs["labels"].double().view(-1, 1, 1, 1),
    }
    return {
        name: (2 * error * by * factor / error.numel()).sum((0, 2, 3)).view(-1, 1, 1).float()
        for name, factor in factors.items()
    }


def require_loss(got: dict, right: float, expected: str) -> None:
    loss = require_tensor(got["loss"], "the loss", ())
    # float32: sums of some hundred numbers are off by some 1e-6, and a loss of 0 by their squares.
    require_number(float(loss), right, expected, "the loss", rtol=2e-5, atol=1e-8)


def require_slopes(got: dict, right: dict[str, Tensor], expected: str) -> None:
    require(
        got["connected"],
        "a loss through which gradients flow to the network",
        "a loss that hangs on no graph: nothing would be learned",
    )
    for name, gradient in right.items():
        require_close(
            got["slopes"].get(name), gradient, expected, f"the gradient of the {name}'s weight",
            rtol=2e-3, atol=1e-4,
        )  # fmt: skip


def v_of(inputs: dict) -> Tensor:
    """The v that belongs to x_t and to the x_0 of the jump."""
    a = bar_at(inputs)
    return (a.sqrt() * inputs["x_t"].double() - inputs["x0"].double()) / (1 - a).sqrt()


def _require_call(call: dict, wanted: dict[str, Tensor], who: str, number: str = "") -> None:
    for name, value in wanted.items():
        require_close(call[name], value, f"{who} to be handed {name} {number}".strip(), name)


@check(
    "12.3",
    probe=probes.distilled,
    inputs=lesson_inputs,
    call=TWELVE_THREE + ", four images, each with a pair of steps of its own",
)
def test_teacher_takes_two_steps(got, ref, inputs):
    """The teacher walks from x_t to t_mid, and from where it is then to t_next"""
    require_tensor(got["loss"], "the loss", ())
    calls = got["teacher"]
    require(len(calls) == 2, "two calls of teacher_step", f"{len(calls)} calls")
    for call, x, t, t_next, number, words in (
        (calls[0], inputs["x_t"], "t", "t_mid", "first", "x_t"),
        (calls[1], inputs["places"][0], "t_mid", "t_next", "second", "where the first step led"),
    ):
        require_close(
            call["x"], x, f"the {number} call of teacher_step to begin with {words}", "its x"
        )
        for name, steps in (("t", t), ("t_next", t_next)):
            require_close(
                call[name], inputs[steps], f"the {number} step to lead from {t} to {t_next}",
                f"its {name}",
            )  # fmt: skip
        require_close(
            call["labels"], inputs["labels"], "the teacher to be told the labels", "its labels"
        )


@check(
    "12.3",
    probe=probes.distilled,
    inputs=lesson_inputs,
    call=TWELVE_THREE + ", four images, each with a pair of steps of its own",
)
def test_jump_is_asked_about_the_whole_way(got, ref, inputs):
    """jump_x0 is asked about the way from x_t to where the teacher's second step led"""
    require(len(got["jump"]) > 0, "jump_x0 to be called", "no call of it")
    wanted = {
        "x_t": inputs["x_t"], "x_next": inputs["places"][1], "t": inputs["t"],
        "t_next": inputs["t_next"], "bars": inputs["alpha_bars"],
    }  # fmt: skip
    for call in got["jump"]:
        for name, value in wanted.items():
            require_close(
                call[name],
                value,
                "jump_x0 to be called as jump_x0(x_t, x_next, t, t_next, alpha_bars), from t to "
                "t_next, with x_next where the teacher's second step led",
                "alpha_bars" if name == "bars" else name,
            )


@check(
    "12.3",
    probe=probes.distilled,
    inputs=lesson_inputs,
    call=TWELVE_THREE + ", four images, each with a pair of steps of its own",
)
def test_student_is_asked_once(got, ref, inputs):
    """The student is asked once: about x_t, at t, with the labels"""
    require(len(got["student"]) == 1, "one call of the student", f"{len(got['student'])} calls")
    for name, value in (("x", "x_t"), ("t", "t"), ("labels", "labels")):
        require_close(
            got["student"][0][name], inputs[value], f"the student to be handed {value}", value
        )


@check(
    "12.3",
    probe=probes.distilled,
    inputs=lesson_inputs,
    call=TWELVE_THREE + ", four images, with a known x_0 of the jump",
)
def test_loss_is_the_error_of_v(got, ref, inputs):
    """The loss is the mean squared error of the student's v"""
    error = answer(inputs, inputs["x_t"], inputs["t"]) - v_of(inputs)
    require_loss(
        got,
        float(error.square().mean()),
        "the mean, over batch and pixels, of the squared distance between the student's answer and "
        "the v that belongs to x_t and the x_0 of the jump",
    )


@check(
    "12.3",
    probe=probes.distilled,
    inputs=lambda g: lesson_inputs(g, (7, 4, 2), (5, 3, 1), (2, 0, -1)),
    call=TWELVE_THREE + ", x_t of shape (3, 2, 5, 3), as many images as columns",
)
def test_loss_has_each_image_at_its_own_step(got, ref, inputs):
    """The weights of t belong to the images, also if there are as many images as columns"""
    error = answer(inputs, inputs["x_t"], inputs["t"]) - v_of(inputs)
    require_loss(
        got,
        float(error.square().mean()),
        "the mean, over batch and pixels, of the squared error of v, with each image's own "
        "alpha_bar: as (B, 1, 1, 1) it lies along the batch, as (B,) along the columns",
    )


@check(
    "12.3",
    probe=probes.distilled,
    inputs=lesson_inputs,
    call=TWELVE_THREE + ", and backward() of the loss",
)
def test_student_learns(got, ref, inputs):
    """The whole gradient flows to the student, and none to the teacher"""
    error = answer(inputs, inputs["x_t"], inputs["t"]) - v_of(inputs)
    right = slopes(inputs, error, torch.ones(()), inputs["x_t"], inputs["t"])
    require_slopes(got, right, "the gradient of the loss by way of the student's answer")
    require(
        not got["teacher learns"],
        "no gradient in the teacher's weights, which are not to move",
        "a gradient there",
    )


@check(
    "12.3",
    probe=probes.distilled_in_place,
    inputs=lesson_inputs,
    call=TWELVE_THREE + ", where the teacher shares its weights with the student, and backward()",
)
def test_target_does_not_learn(got, ref, inputs):
    """Even from a teacher with the student's weights no gradient comes by way of the target"""
    x, t = inputs["x_t"], inputs["t"]
    middle = 0.9 * x.double() - 0.1 * answer(inputs, x, t)
    end = 0.9 * middle - 0.1 * answer(inputs, middle, inputs["t_mid"])
    v = v_of({**inputs, "x0": 0.3 * end - 0.2 * x.double()})
    error = answer(inputs, x, t) - v
    require_loss(got, float(error.square().mean()), "the mean squared error of the student's v")
    right = slopes(inputs, error, torch.ones(()), x, t)
    require_slopes(got, right, "a gradient by way of the student's answer alone, not of the target")


def gaussian_lesson(off: float):
    def inputs(g: torch.Generator) -> dict:
        return {**lesson_inputs(g), "mean": MEAN, "std": STD, "off": off}

    return inputs


@check(
    "12.3",
    probe=probes.distilled_gaussian,
    inputs=gaussian_lesson(0.0),
    call=TWELVE_THREE + ", for Gaussian data, with a teacher on the exact curve",
)
def test_exact_student_has_no_loss(got, ref, inputs):
    """For Gaussian data a student that jumps along the curve as far as the teacher has loss 0"""
    require_loss(got, 0.0, "a loss of 0, for this student jumps where the teacher goes")


@check(
    "12.3",
    probe=probes.distilled_gaussian,
    inputs=gaussian_lesson(0.3),
    call=TWELVE_THREE + ", for Gaussian data, with a student whose guesses are 0.3 too bright",
)
def test_bright_student_has_a_loss(got, ref, inputs):
    """A student whose guesses of x_0 are 0.3 too bright has the loss that theory says"""
    right = float((0.3**2 / (1 - bar_at(inputs))).mean())
    require_loss(got, right, "0.3^2 / (1 - alpha_bar_t), on average over the images")


@check(
    "12.3",
    probe=probes.distilled_elsewhere,
    inputs=lesson_inputs,
    call=TWELVE_THREE + ", all of it on another device than the CPU",
    seconds=SECONDS,
)
def test_distillation_works_on_any_device(got, ref, inputs):
    """The loss lies where the images and the schedule are, on whatever device"""
    require_same_device(got["places"], "the loss")


# 12.4

TWELVE_FOUR = "consistency_loss(model, x0, t, t_next, labels, eps, alpha_bars, q_sample)"


def consistency_inputs(g: torch.Generator, t=(7, 4, 2, 7), t_next=(5, 0, -1, -1), size=1.0):
    shape = (len(t), 2, 5, 3)
    return {
        "x0": strided(size * draw_images(g, shape)),
        "t": torch.tensor(t),
        "t_next": torch.tensor(t_next),
        "labels": torch.tensor([3, 10, 0, 7])[: len(t)],
        "eps": strided(torch.randn(shape, generator=g)),
        "alpha_bars": irregular_bars(g, 8),
        "weights": network_weights(g, 2),
    }


def noised(inputs: dict, name: str) -> Tensor:
    a = bar_at(inputs, name)
    return a.sqrt() * inputs["x0"].double() + (1 - a).sqrt() * inputs["eps"].double()


def agreement(inputs: dict, jump=noised) -> Tensor:
    """The difference of the two guesses, divided by sqrt(1 - alpha_bar_t), in float64."""

    def guess(name):
        a = bar_at(inputs, name)
        x = jump(inputs, name)
        return a.sqrt() * x - (1 - a).sqrt() * answer(inputs, x, inputs[name])

    clean = inputs["t_next"].view(-1, 1, 1, 1) < 0
    target = torch.where(clean, inputs["x0"].double(), guess("t_next"))
    return (guess("t") - target) / (1 - bar_at(inputs)).sqrt()


def _require_agreement(got: dict, inputs: dict, expected: str, jump=noised) -> None:
    require_loss(got, float(agreement(inputs, jump).square().mean()), expected)


TWO_GUESSES = (
    "the squared difference of the guesses at t and at t_next, divided by 1 - alpha_bar_t, on "
    "average over batch and pixels"
)


@check(
    "12.4",
    probe=probes.consistent,
    inputs=lambda g: consistency_inputs(g, (7, 4, 6, 7), (5, 0, 1, 3)),
    call=TWELVE_FOUR + ", t = [7, 4, 6, 7], t_next = [5, 0, 1, 3]",
)
def test_consistency_compares_two_guesses(got, ref, inputs):
    """The loss compares the guesses of x_0 at two places with the same image and the same noise"""
    _require_agreement(got, inputs, TWO_GUESSES)


@check(
    "12.4",
    probe=probes.consistent,
    inputs=lambda g: consistency_inputs(g, (7, 4, 2, 5), (-1, -1, -1, -1)),
    call=TWELVE_FOUR + ", t_next = -1 for all images",
)
def test_consistency_ends_in_the_image(got, ref, inputs):
    """At t_next = -1 the target is the image itself, and the loss chapter 05's loss for v"""
    a = bar_at(inputs)
    v = a.sqrt() * inputs["eps"].double() - (1 - a).sqrt() * inputs["x0"].double()
    error = answer(inputs, noised(inputs, "t"), inputs["t"]) - v
    require_loss(
        got,
        float(error.square().mean()),
        "the mean squared error of v, for x_0 itself is the target where t_next = -1",
    )


@check(
    "12.4",
    probe=probes.consistent,
    inputs=lambda g: consistency_inputs(g, size=4.0),
    call=TWELVE_FOUR + ", guesses far outside [-1, 1], t_next = [5, 0, -1, -1]",
)
def test_consistency_does_not_clip(got, ref, inputs):
    """Guesses outside [-1, 1] stay what they are, and images of a batch may differ in t_next"""
    _require_agreement(got, inputs, TWO_GUESSES)


@check(
    "12.4",
    probe=probes.consistent,
    inputs=lambda g: consistency_inputs(g, (7, 4, 2), (5, 0, -1)),
    call=TWELVE_FOUR + ", x0 of shape (3, 2, 5, 3), as many images as columns",
)
def test_consistency_has_each_image_at_its_own_steps(got, ref, inputs):
    """The weights of t and t_next belong to the images, also if there are as many as columns"""
    _require_agreement(
        got,
        inputs,
        "the mean squared distance of the two guesses, with each image's own alpha_bar: as "
        "(B, 1, 1, 1) it lies along the batch, as (B,) along the columns",
    )


@check(
    "12.4",
    probe=probes.consistent,
    inputs=consistency_inputs,
    call=TWELVE_FOUR + ", and backward() of the loss",
)
def test_consistency_target_does_not_learn(got, ref, inputs):
    """The gradient comes by way of the guess at t alone, not of the target"""
    error = agreement(inputs)
    right = slopes(inputs, error, -torch.ones(()), noised(inputs, "t"), inputs["t"])
    require_slopes(got, right, "a gradient by way of the guess at t alone")


@check(
    "12.4",
    probe=probes.consistent,
    inputs=consistency_inputs,
    call=TWELVE_FOUR + ", t_next = [5, 0, -1, -1], looking at what the model is asked",
)
def test_consistency_asks_about_steps_that_are(got, ref, inputs):
    """The network is asked about steps from 0 on only"""
    require(
        got["lowest"] >= 0, "no question to the model about a step below 0", f"t = {got['lowest']}"
    )
    require_int64(got["forms"], "steps and labels, as the model gets them,")


def require_int64(forms: list[str], what: str) -> None:
    """Fail unless all of these dtypes are int64."""
    require(forms == ["torch.int64"], f"{what} to be int64", " and ".join(forms) or "no call")


def another_jump(inputs: dict, name: str) -> Tensor:
    t = inputs[name].double().view(-1, 1, 1, 1)
    return 0.4 * inputs["x0"].double() + 0.7 * inputs["eps"].double() + 0.1 * t


@check(
    "12.4",
    probe=probes.consistent_with_another_jump,
    inputs=consistency_inputs,
    call=TWELVE_FOUR + ", with a q_sample that makes other images",
)
def test_consistency_asks_q_sample(got, ref, inputs):
    """Both noisy images come from q_sample, which is handed in"""
    require(got["forms"], "q_sample to be asked for the noisy images", "no call of it")
    require(
        got["lowest"] >= 0, "no question to q_sample about a step below 0", f"t = {got['lowest']}"
    )
    require(got["whole"], "q_sample to be handed the full schedule", "something else")
    require_int64(got["forms"], "steps, as q_sample gets them,")
    _require_agreement(got, inputs, "the guesses at the images that q_sample makes", another_jump)


def gaussian_pairs(std: float):
    def inputs(g: torch.Generator) -> dict:
        found = consistency_inputs(g, (7, 4, 2, 6), (5, 1, -1, 0))
        x0 = MEAN + std * torch.randn(found["x0"].shape, generator=g)
        return {**found, "x0": x0, "mean": MEAN, "std": std}

    return inputs


@check(
    "12.4",
    probe=probes.consistent_gaussian,
    inputs=gaussian_pairs(0.0),
    call=TWELVE_FOUR + ", where there is one image only, and the model knows it",
)
def test_consistency_of_one_image(got, ref, inputs):
    """If there is one image only, and the model says it everywhere, the loss is 0"""
    require_loss(
        got,
        0.0,
        "a loss of 0, or 1e-8 at most, for the model's guesses agree everywhere and the squares of "
        "their rounding errors are smaller still",
    )


@check(
    "12.4",
    probe=probes.consistent_gaussian,
    inputs=gaussian_pairs(STD),
    call=TWELVE_FOUR + ", for Gaussian data, with the exact consistency function",
)
def test_consistency_of_gaussian_data(got, ref, inputs):
    """For Gaussian data the exact function mean + std (x - m) / s has the loss that theory says"""

    def image(name):
        a = bar_at(inputs, name)
        spread = (a * STD**2 + 1 - a).sqrt()
        return MEAN + STD * (noised(inputs, name) - a.sqrt() * MEAN) / spread

    error = (image("t") - image("t_next")) / (1 - bar_at(inputs)).sqrt()
    require_loss(got, float(error.square().mean()), TWO_GUESSES)


@check(
    "12.4",
    probe=probes.consistent_elsewhere,
    inputs=consistency_inputs,
    call=TWELVE_FOUR + ", all of it on another device than the CPU",
    seconds=SECONDS,
)
def test_consistency_works_on_any_device(got, ref, inputs):
    """The loss lies where the images and the schedule are, on whatever device"""
    require_same_device(got["places"], "the loss")


# 12.5

TWELVE_FIVE = (
    "inpaint(predict_eps, step, x_T, timesteps, known, mask, generator, alpha_bars, q_sample)"
)
GRID = ", timesteps = [7, 5, 4, 1]"
SEEN_AS_NOISE = (
    "; as the noise counts (x - sqrt(a) picture) / sqrt(1 - a), where the network is shown x, and "
    "a is alpha_bar at the t that it is told"
)


def walk_inputs(g: torch.Generator, shape=(3, 2, 4, 5), grid=(7, 5, 4, 1), num_steps=8, **more):
    """Images, not contiguous in memory, and answers for a walk, and a seed for its noise."""
    seed, g = seed_and_stream(g)
    mask = torch.rand(shape[0], 1, *shape[2:], generator=g) < 0.4
    mask[:, :, 0, 0], mask[:, :, 1, 1] = True, False
    picture = draw_images(g, shape)
    return {
        "seed": seed,
        "x_T": strided(torch.randn(shape, generator=g)),
        "eps": torch.randn(len(grid), *shape, generator=g),
        "states": torch.randn(len(grid), *shape, generator=g),
        "grid": torch.tensor(grid),
        "alpha_bars": irregular_bars(g, num_steps),
        "mask": strided(mask),
        "known": strided(torch.where(mask, picture, 50 * picture)),
        "picture": strided(picture),
        **more,
    }


@check("12.5", probe=probes.painted, inputs=walk_inputs, call=TWELVE_FIVE + GRID)
def test_painting_keeps_what_is_known(got, ref, inputs):
    """In the result the known pixels are the picture's own, and the others those of the walk"""
    x = require_tensor(got["x"], "the images", tuple(inputs["x_T"].shape))
    known, walked = (torch.where(inputs["mask"], image, 0) for image in (inputs["known"], x))
    require_close(walked, known, "the picture's own pixels where the mask is True", "the images")
    require_close(
        torch.where(inputs["mask"], 0, x),
        torch.where(inputs["mask"], 0, inputs["states"][-1]),
        "what the last step made where the mask is False",
        "the images",
    )


def require_grid(walk: dict, grid: list[int], count: int) -> None:
    """Fail unless a walk goes over this grid, in batches of `count` images."""
    require(
        walk["asked"] == grid,
        f"predict_eps to be called once with each t of the grid: {grid}",
        f"calls with t = {walk['asked']}",
    )
    following = [*grid[1:], -1]
    shown = ", ".join(f"{now} to {then}" for now, then in zip(walk["t"], walk["t_next"]))
    require(
        walk["t"] == grid and walk["t_next"] == following,
        "step to be called with (t, t_next) = each t of the grid and the one after it, or -1 "
        "after the last",
        f"steps from {shown or 'nothing'}",
    )
    for name, words in (("forms", "t and t_next of step"), ("forms of network", "predict_eps's t")):
        require(
            walk[name] == [f"int64 tensor of shape ({count},)"],
            f"{words} to be an int64 tensor of shape ({count},) in every call",
            " and ".join(walk[name]),
        )


@check("12.5", probe=probes.painted, inputs=walk_inputs, call=TWELVE_FIVE + GRID)
def test_painting_goes_over_the_grid(got, ref, inputs):
    """The walk goes from each step of the grid to the next one, and from the last to -1"""
    require_grid(got, inputs["grid"].tolist(), 3)


def require_answers(got: dict, inputs: dict) -> None:
    """Fail unless each step moves the images that the network saw, with its answer to them."""
    for number, (seen, stepped, eps) in enumerate(zip(got["seen"], got["stepped"], got["eps"]), 1):
        require_close(
            stepped, seen, f"step number {number} to move the images that the network was shown",
            "its x",
        )  # fmt: skip
        require_close(
            eps, inputs["eps"][number - 1], f"step number {number} to be handed the network's "
            "answer", "its eps",
        )  # fmt: skip


def require_jumps(walk: dict) -> None:
    """Fail unless q_sample was handed a picture, a step for each image and the full schedule."""
    require(walk["whole"], "q_sample to be handed the full schedule", "something else")
    require(
        walk["jumps"] == ["int64 tensor of shape (3,)", "torch.float32"],
        "q_sample to be handed a float32 picture, and t as an int64 tensor of shape (3,)",
        " and ".join(walk["jumps"]) or "no call of it",
    )


@check("12.5", probe=probes.painted, inputs=walk_inputs, call=TWELVE_FIVE + GRID)
def test_painting_walks_where_nothing_is_known(got, ref, inputs):
    """Where nothing is known the walk goes on from x_T, and from what each step has made"""
    before = [inputs["x_T"], *inputs["states"][:-1]]
    for number, (seen, image) in enumerate(zip(got["seen"], before)):
        seen = require_tensor(seen, "what the network is shown", tuple(image.shape))
        require_close(
            torch.where(inputs["mask"], 0, seen),
            torch.where(inputs["mask"], 0, image),
            f"the network to be shown {f'what step {number} made' if number else 'x_T'} where the "
            "mask is False",
            "its x",
        )
    require_answers(got, inputs)


def loud_picture(g: torch.Generator) -> dict:
    """A picture far larger than any noise, so that it shows with which weight it is there."""
    inputs = walk_inputs(g)
    return {**inputs, "known": 1e5 * inputs["picture"].sign()}


@check(
    "12.5",
    probe=probes.painted,
    inputs=loud_picture,
    call=TWELVE_FIVE + GRID + ", known pixels of -100,000 and 100,000",
)
def test_painting_puts_the_picture_back_at_each_step(got, ref, inputs):
    """Before each question the known pixels are put back, with the weight of this very step"""
    require_jumps(got)
    for t, seen in zip(inputs["grid"].tolist(), got["seen"]):
        share = inputs["alpha_bars"][t].sqrt()
        seen = require_tensor(seen, "what the network is shown", tuple(inputs["x_T"].shape))
        require_close(
            torch.where(inputs["mask"], seen, 0) / 1e5,
            torch.where(inputs["mask"], share * inputs["known"], 0) / 1e5,
            f"known pixels times sqrt(alpha_bar_{t}) when the network is asked at t = {t}",
            "what it is shown, in units of the picture,",
            rtol=0,
            atol=1e-3,  # the noise, which has a size of 1 to 5
        )


def all_known(g: torch.Generator) -> dict:
    shape = (8, 2, 10, 12)
    inputs = walk_inputs(g, shape, (11, 9, 8, 6, 4, 2, 1), 12)
    mask = torch.ones(8, 1, 10, 12, dtype=torch.bool)
    return {**inputs, "mask": mask, "known": inputs["picture"]}


@check(
    "12.5",
    probe=probes.painted_noise,
    inputs=all_known,
    call=TWELVE_FIVE + ", a grid of 7 steps, all pixels known" + SEEN_AS_NOISE,
)
def test_painting_draws_fresh_noise(got, ref, inputs):
    """The noise on the known pixels has this step's weight, and is new for every step and pixel"""
    require_bell_curve(got)
    require_fresh_draws(got)


def some_masks(g: torch.Generator, value: bool) -> dict:
    inputs = walk_inputs(g)
    return {**inputs, "mask": torch.full_like(inputs["mask"], value)}


@check(
    "12.5",
    probe=probes.painted,
    inputs=lambda g: some_masks(g, False),
    call=TWELVE_FIVE + GRID + ", nothing known",
)
def test_painting_without_a_picture_is_a_walk(got, ref, inputs):
    """If nothing is known, it is chapter 07's walk"""
    require_close(got["x"], inputs["states"][-1], "what the last step made", "the images")
    for seen, image in zip(got["seen"], [inputs["x_T"], *inputs["states"][:-1]]):
        require_close(seen, image, "the images of the walk, without any of the picture", "x")


@check(
    "12.5",
    probe=probes.painted_again,
    inputs=walk_inputs,
    call=TWELVE_FIVE + ", several times, with equal and with other generators",
)
def test_painting_draws_from_the_generator(got, ref, inputs):
    """The same generator gives the same images, another gives others, and torch's own is left be"""
    _require_generator(got)


def _require_generator(got: dict) -> None:
    require_generator_decides(got)
    require(
        got["torch's own untouched"],
        "torch's own random generator to stay as it was",
        "it was used, or given a seed",
    )


@check(
    "12.5",
    probe=probes.painted_graph,
    inputs=walk_inputs,
    call=TWELVE_FIVE + ", with a predict_eps that has a trainable weight",
)
def test_painting_builds_no_graph(got, ref, inputs):
    """The walk builds no graph for gradients, which would fill the memory, and then ends that"""
    _require_no_graph(got)


def _require_no_graph(got: dict) -> None:
    require_no_graph(got)
    require(
        got["afterwards"],
        "gradients to be switched on again after the walk",
        "gradients switched off for good",
    )


@check(
    "12.5",
    probe=probes.painted_elsewhere,
    inputs=walk_inputs,
    call=TWELVE_FIVE + ", images and schedule on another device than the CPU",
    seconds=SECONDS,
    free=("t", "t_next"),  # code that looks at numbers does not get that far there
)
def test_painting_works_on_any_device(got, ref, inputs):
    """t, t_next and the noise are made where the images are, on whatever device"""
    for name, words in (("t", "t"), ("t_next", "t_next"), ("x_0", "the result")):
        require_same_device(got[name], words)


# 12.6

TWELVE_SIX = "edit(predict_eps, step, picture, timesteps, t_start, generator, alpha_bars, q_sample)"
STARTS = (7, 6, 5, 4, 3, 2, 20)


def edit_inputs(g: torch.Generator, t_start=6, **more) -> dict:
    return walk_inputs(g, t_start=t_start, starts=list(STARTS), **more)


def rest_of(grid: Tensor, t_start: int) -> list[int]:
    return [t for t in grid.tolist() if t <= t_start]


@check("12.6", probe=probes.redrawn, inputs=edit_inputs, call=TWELVE_SIX + GRID + ", t_start = 6")
def test_edit_returns_what_the_walk_made(got, ref, inputs):
    """The result is what the last step made, and each step goes on from the one before"""
    require_close(
        got["x"],
        inputs["states"][2],
        "the images of the walk's last step, its third: from t_start = 6 on it visits 5, 4 and 1",
        "the result",
    )
    for seen, image in zip(got["seen"][1:], inputs["states"]):
        require_close(seen, image, "the network to be shown what the step before made", "its x")
    require_answers(got, inputs)


@check(
    "12.6",
    probe=probes.redraws,
    inputs=edit_inputs,
    call=TWELVE_SIX + GRID + ", t_start = 7, 6, 5, 4, 3, 2 and 20",
)
def test_edit_walks_the_rest_of_the_grid(got, ref, inputs):
    """The walk visits the steps of the grid that are not above t_start, and then the clean image"""
    for start, walk in zip(inputs["starts"], got["walks"]):
        grid = rest_of(inputs["grid"], start)
        require(
            walk["asked"] == grid,
            f"with t_start = {start}, the network to be asked at the steps {grid}",
            f"{walk['asked']}",
        )
        require_grid(walk, grid, 3)


def loud_edit(g: torch.Generator) -> dict:
    inputs = edit_inputs(g)
    return {**inputs, "picture": 1e5 * inputs["picture"].sign()}


@check(
    "12.6",
    probe=probes.redraws,
    inputs=loud_edit,
    call=TWELVE_SIX + GRID + ", several t_start, pixels of -100,000 and 100,000",
)
def test_edit_begins_with_the_picture(got, ref, inputs):
    """The walk begins with the picture, as noisy as images are at its first step"""
    for start, walk in zip(inputs["starts"], got["walks"]):
        require_jumps(walk)
        first = rest_of(inputs["grid"], start)[0]
        share = inputs["alpha_bars"][first].sqrt()
        seen = require_tensor(walk["seen"][0], "what the network is shown", (3, 2, 4, 5))
        require_close(
            seen / 1e5,
            share * inputs["picture"] / 1e5,
            f"with t_start = {start}, the picture times sqrt(alpha_bar_{first}), and noise",
            "what the network is shown first, in units of the picture,",
            rtol=0,
            atol=1e-3,  # the noise, which has a size of 1 to 5
        )


@check(
    "12.6",
    probe=probes.redrawn_noise,
    inputs=lambda g: edit_inputs(g, 9, shape=(24, 5, 8, 12), grid=(11, 8, 6, 1), num_steps=12),
    call=TWELVE_SIX
    + ", picture of shape (24, 5, 8, 12), timesteps = [11, 8, 6, 1], t_start = 9"
    + SEEN_AS_NOISE,
)
def test_edit_draws_noise(got, ref, inputs):
    """The noise has the weight of the first step, and is new for every image and pixel"""
    require_bell_curve(got)
    require_fresh_draws(got)


@check(
    "12.6",
    probe=probes.redrawn_again,
    inputs=edit_inputs,
    call=TWELVE_SIX + ", several times, with equal and with other generators",
)
def test_edit_draws_from_the_generator(got, ref, inputs):
    """The same generator gives the same images, another gives others, and torch's own is left be"""
    _require_generator(got)


@check(
    "12.6",
    probe=probes.redraws_refused,
    inputs=lambda g: {**edit_inputs(g), "starts": [0, -1, -5, 1]},
    call=TWELVE_SIX + GRID + ", t_start = 0, -1, -5 and 1",
)
def test_edit_needs_a_step_to_begin_with(got, ref, inputs):
    """If no step of the grid is as low as t_start, that is an error"""
    require_value_errors(
        got["raised"],
        [f"t_start = {start}, below all steps of the grid" for start in inputs["starts"][:3]],
    )
    require(
        got["raised"][3] == "nothing",
        "a walk of one step from t_start = 1, which is a step of the grid",
        f"{got['raised'][3]} was raised",
    )


@check(
    "12.6",
    probe=probes.redrawn_graph,
    inputs=edit_inputs,
    call=TWELVE_SIX + ", with a predict_eps that has a trainable weight",
)
def test_edit_builds_no_graph(got, ref, inputs):
    """The walk builds no graph for gradients, which would fill the memory, and then ends that"""
    _require_no_graph(got)


@check(
    "12.6",
    probe=probes.redrawn_elsewhere,
    inputs=edit_inputs,
    call=TWELVE_SIX + ", picture and schedule on another device than the CPU",
    seconds=SECONDS,
    free=("t", "t_next"),  # code that looks at numbers does not get that far there
)
def test_edit_works_on_any_device(got, ref, inputs):
    """t, t_next and the noise are made where the picture is, on whatever device"""
    for name, words in (("t", "t"), ("t_next", "t_next"), ("x_0", "the result")):
        require_same_device(got[name], words)
