"""Checks of chapter 06: guided sampling."""

import math

import torch
from torch import Tensor

from checks.probes import ch06_guided_sampling as probes
from checks.probes.toys import strided
from checks.theory import (
    GAUSSIANS,
    SECONDS,
    across,
    at,
    cosine_curve,
    far_outside,
    guided_eps_line,
    images_at,
    irregular_betas,
    require_alone,
    require_bell_curve,
    require_fresh_draws,
    require_generator_decides,
    require_images_and_film,
    require_no_graph,
    require_same_device,
    seed_and_stream,
    solve_x0,
    tables_of,
    walk_answers,
)
from course.grading.checking import brief, check, listed, require, require_close, require_tensor


def irregular_schedule(g: torch.Generator, num_steps: int) -> dict[str, Tensor]:
    """The tables of a schedule in no order.

    No beta is so small that a formula in float32, such as 1 - alpha_bar, would lose its digits:
    code that computes the weights from the betas instead of reading them agrees to 1e-5.
    """
    return tables_of(irregular_betas(g, num_steps, least=0.05))


def require_refused(got: dict, cases: list, words: str) -> None:
    """Fail unless each case raised a ValueError."""
    for raised, case in zip(got["raised"], cases):
        require(
            raised == "ValueError",
            f"a ValueError for {words.format(case)}, as the first lines of the exercise had it",
            f"a {raised}" if raised != "nothing" else "no error",
        )


# 6.1

SIX_ONE = "p_sample(x_t, t, eps, noise, schedule, predict_x0, q_posterior)"


def clean_step(g: torch.Generator, t: list[int], shape: tuple[int, ...], num_steps=7, **more):
    """A reverse step whose x_0 lies inside (-0.9, 0.9), where nothing is clipped."""
    schedule = irregular_schedule(g, num_steps)
    t = torch.tensor(t)
    x_t, eps = images_at(g, schedule["alpha_bars"], t, shape)
    return {
        "x_t": x_t,
        "t": t,
        "eps": eps,
        "noise": torch.randn(x_t.shape, generator=g),
        "schedule": schedule,
        **more,
    }


def at_t(inputs: dict, name: str) -> Tensor:
    return at(inputs["schedule"][name], inputs["t"])


def guess_x0(inputs: dict) -> Tensor:
    return solve_x0(inputs["x_t"], inputs["eps"], at_t(inputs, "alpha_bars"))


def posterior_mean(inputs: dict, x0: Tensor) -> Tensor:
    x0_part = at_t(inputs, "posterior_x0_coef") * x0
    return (x0_part + at_t(inputs, "posterior_xt_coef") * inputs["x_t"].double()).float()


@check(
    "6.1",
    probe=probes.reverse_step,
    inputs=lambda g: clean_step(g, [6, 0, 2], (2, 5, 4)),
    call=SIX_ONE + ", x_t of shape (3, 2, 5, 4), t = [6, 0, 2], T = 7",
)
def test_p_sample_returns_images(got, ref, inputs):
    """x_{t-1} has the shape of x_t, and its dtype"""
    require_tensor(got["x"], "x_{t-1}", (3, 2, 5, 4))


@check(
    "6.1",
    probe=probes.parts_used,
    inputs=lambda g: clean_step(g, [3, 0, 6, 5], (2, 5, 4)),
    call=SIX_ONE + ", where predict_x0 and q_posterior are others than chapter 02's",
)
def test_p_sample_uses_the_parts_handed_in(got, ref, inputs):
    """The guess comes from predict_x0, mean and variance from q_posterior"""
    for name in ("predict_x0", "q_posterior"):
        require(name in got["called"], f"{name} to be called, which is handed in", "no call of it")
        dtype = got["called"][name]
        require(
            dtype == "torch.int64", f"{name} to be handed t as it is, in int64", f"t in {dtype}"
        )
    x_t, t, schedule = inputs["x_t"], inputs["t"], probes.NoiseSchedule(**inputs["schedule"])
    guess = probes.strange_x0(x_t, t, inputs["eps"], schedule.alpha_bars)
    mean, variance = probes.strange_posterior(guess, x_t, t, schedule)
    there = (t > 0).view(-1, 1, 1, 1)
    require_close(
        got["x"],
        mean + there * variance.sqrt() * inputs["noise"],
        "what q_posterior(x0, x_t, t, schedule) says of predict_x0(x_t, t, eps, alpha_bars): its "
        "mean, and where t > 0 the noise with its variance",
        "x_{t-1}",
        rtol=1e-4,
        atol=1e-5,
    )


@check(
    "6.1",
    probe=probes.without_noise,
    inputs=lambda g: clean_step(g, [0, 0, 0], (2, 5, 4)),
    call=SIX_ONE + ", all images at t = 0, noise of zeros",
)
def test_p_sample_lands_on_x0(got, ref, inputs):
    """The last step, t = 0, lands on the x_0 that eps points to"""
    require_close(
        got["x"],
        guess_x0(inputs).float(),
        "the x_0 from which the forward process, with this eps, leads to x_t",
        "the image",
        atol=1e-5,
    )


@check(
    "6.1",
    probe=probes.without_noise,
    inputs=lambda g: clean_step(g, [6, 3, 0, 4], (2, 5, 3)),
    call=SIX_ONE + ", t = [6, 3, 0, 4], noise of zeros",
)
def test_p_sample_follows_the_posterior_mean(got, ref, inputs):
    """Without noise x_{t-1} is the posterior's mean, for each image at its own t"""
    require_close(
        got["x"],
        posterior_mean(inputs, guess_x0(inputs)),
        "x_0 and x_t, weighted with the two posterior weights of each image's own t",
        "x_{t-1}",
        rtol=1e-4,
        atol=1e-5,  # float32: x_0 is divided by sqrt(alpha_bar), which is 0.16 at the least
    )


@check(
    "6.1",
    probe=probes.noise_part,
    inputs=lambda g: clean_step(g, [3, 6, 1, 5], (2, 5, 3)),
    call=SIX_ONE + ", once with noise and once with noise of zeros",
)
def test_p_sample_scales_the_noise(got, ref, inputs):
    """The noise enters with the posterior's standard deviation"""
    _require_noise(got, at_t(inputs, "posterior_variance").sqrt() * inputs["noise"])


@check(
    "6.1",
    probe=probes.noise_part,
    inputs=lambda g: clean_step(g, [3, 6, 1, 5], (2, 5, 3), variance="large"),
    call='p_sample(..., variance="large"), with and without noise',
)
def test_p_sample_has_a_large_variance(got, ref, inputs):
    """With variance="large" the noise has the variance beta_t"""
    _require_noise(got, at_t(inputs, "betas").sqrt() * inputs["noise"])


def _require_noise(got: dict, wanted: Tensor) -> None:
    moved = require_tensor(got["moved"], "x_{t-1}", tuple(wanted.shape))
    still = require_tensor(got["still"], "x_{t-1}", tuple(wanted.shape))
    require_close(
        moved - still,
        wanted.float(),
        "the noise times the standard deviation at each image's t: the root of the variance",
        "what the noise adds",
        rtol=1e-4,
        atol=1e-5,  # float32: a difference of two numbers of size 1
    )


def mixed_batches(g: torch.Generator) -> dict:
    inputs = clean_step(g, [3, 0, 6, 0], (2, 5, 3), variance="large")
    batches = [[3, 0, 6, 0], [0, 5, 3, 0], [0, 0, 0, 0]]
    return {**inputs, "batches": [torch.tensor(batch) for batch in batches]}


@check(
    "6.1",
    probe=probes.noise_at_zero,
    inputs=mixed_batches,
    call='p_sample(..., variance="large"), t = [3, 0, 6, 0], [0, 5, 3, 0] and [0, 0, 0, 0]',
)
def test_p_sample_adds_no_noise_at_zero(got, ref, inputs):
    """At t = 0 no noise is added, whatever the other images of the batch do"""
    for t, part in zip(inputs["batches"], got["batches"]):
        shape, steps = tuple(inputs["x_t"].shape), t.tolist()
        moved = require_tensor(part["moved"], "x_{t-1}", shape)
        still = require_tensor(part["still"], "x_{t-1}", shape)
        added = (moved - still).flatten(1).abs().amax(dim=1)  # (B,)
        require(
            bool((added[t == 0] < 1e-6).all()),
            f"with t = {steps}, no difference between noise and no noise where t = 0",
            f"a difference of up to {float(added[t == 0].max()):.4g} there",
        )
        require(
            bool((added[t > 0] > 1e-3).all()),
            f"with t = {steps}, noise in the images whose t is above 0",
            f"no noise in {int((t > 0).sum() - (added[t > 0] > 1e-3).sum())} of "
            f"{int((t > 0).sum())} of them",
        )


def wild_step(g: torch.Generator) -> dict:
    """A step whose eps points to an x_0 far outside [-1, 1]."""
    inputs = clean_step(g, [4, 0, 6, 2], (2, 5, 3))
    a = inputs["schedule"]["alpha_bars"][inputs["t"]].view(-1, 1, 1, 1)
    x0 = far_outside(g, inputs["x_t"].shape)
    inputs["x_t"] = a.sqrt() * x0 + (1 - a).sqrt() * inputs["eps"]
    return inputs


@check(
    "6.1",
    probe=probes.without_noise_either_way,
    inputs=wild_step,
    call=SIX_ONE + ", where eps points to an x_0 far outside [-1, 1]; noise of zeros",
)
def test_p_sample_clips_x0(got, ref, inputs):
    """The guess of x_0 is clipped to [-1, 1], and x_{t-1} is not"""
    last = inputs["t"] == 0
    for kind in ("small", "large"):
        x = require_tensor(got[kind], "x_{t-1}", tuple(inputs["x_t"].shape))
        require_close(
            x[last],
            guess_x0(inputs)[last].clamp(-1, 1).float(),
            "at t = 0, where the step lands on x_0, that x_0 clipped to [-1, 1]",
            f'x_{{t-1}} at t = 0 with variance="{kind}"',
            atol=1e-5,
        )
        require_close(
            x,
            posterior_mean(inputs, guess_x0(inputs).clamp(-1, 1)),
            "the posterior's mean of the clipped x_0 and the whole x_t",
            f'x_{{t-1}} with variance="{kind}"',
            atol=1e-5,
        )


def steep_step(g: torch.Generator) -> dict:
    """The first steps of a walk on a schedule that ends, like the cosine one, in pure noise."""
    betas = torch.cat([irregular_betas(g, 5, least=0.05), torch.tensor([0.9, 0.999, 0.999])])
    inputs = clean_step(g, [7, 5, 7, 6], (2, 3, 5), num_steps=8)
    inputs["schedule"] = tables_of(betas)
    # A network that is wrong by 0.1 to 0.5 in every pixel.
    wrong = 0.1 + 0.4 * torch.rand(inputs["x_t"].shape, generator=g)
    inputs["x_t"] = torch.randn(wrong.shape, generator=g)
    inputs["eps"] = inputs["x_t"] + wrong * torch.randn(wrong.shape, generator=g).sign()
    return inputs


@check(
    "6.1",
    probe=probes.without_noise,
    inputs=steep_step,
    call=SIX_ONE + ", where alpha_bar falls to 1e-8 and eps is a little wrong; noise of zeros",
)
def test_p_sample_survives_a_steep_schedule(got, ref, inputs):
    """Where almost no signal is left, an error of eps does not blow up"""
    x = require_tensor(got["x"], "x_{t-1}", tuple(inputs["x_t"].shape))
    x0 = guess_x0(inputs).clamp(-1, 1)
    bound = at_t(inputs, "posterior_xt_coef") * inputs["x_t"].abs()
    bound = bound + at_t(inputs, "posterior_x0_coef")
    require(
        bool((x.abs() <= 1.001 * bound + 1e-4).all()),
        "no pixel beyond what an x_0 in [-1, 1] can lead to",
        f"pixels up to {float(x.abs().max()):.4g}",
    )
    require_close(
        x,
        posterior_mean(inputs, x0),
        "the posterior's mean of x_t and the clipped x_0",
        "x_{t-1}",
        rtol=1e-3,  # float32, for code that multiplies alpha_bar up from the betas again
        atol=1e-4,
    )


def small_variances(g: torch.Generator) -> dict:
    inputs = across(clean_step(g, [0, 1, 2, 3, 4, 5, 6], (2, 3, 5)))
    variances = torch.tensor([1e-2, 1e-12, 1e-8, 1e-5, 1e-3, 0.5, 900.0])
    inputs["schedule"] = {**inputs["schedule"], "betas": variances.flip(0)}
    return {**inputs, "variances": variances}


@check(
    "6.1",
    probe=probes.without_mean,
    inputs=small_variances,
    call='p_sample(..., variance), "small" and "large", x_t not contiguous; variances between 1e-12'
    " and 900, and a q_posterior of another kind, which always says the mean 0",
)
def test_p_sample_keeps_any_variance(got, ref, inputs):
    """However small or large the variance is, the noise has it, and x_{t-1} is not cut off"""
    cases = (
        ("small", inputs["variances"], "the variance that q_posterior says"),
        ("large", inputs["schedule"]["betas"], "beta_t"),
    )
    there = (inputs["t"] > 0).view(-1, 1, 1, 1)
    for name, table, words in cases:
        require_close(
            got[name],
            (at(table, inputs["t"]).sqrt() * there * inputs["noise"]).float(),
            f'with variance="{name}" the noise times the root of {words}, and nothing at t = 0',
            "x_{t-1}",
            rtol=1e-4,
            atol=1e-12,
        )


@check(
    "6.1",
    probe=probes.refused_variances,
    inputs=lambda g: {
        **clean_step(g, [3, 0], (2, 5, 4)),
        "names": ["medium", "Large", "SMALL", "", "smal", "fixed_large"],
    },
    call='p_sample(..., variance), variance neither "small" nor "large"',
)
def test_p_sample_refuses_other_variances(got, ref, inputs):
    """A variance that is neither "small" nor "large" is refused"""
    require_refused(got, inputs["names"], "variance = {!r}")


@check(
    "6.1",
    probe=probes.together_and_alone,
    inputs=lambda g: clean_step(g, [4, 0, 6, 1, 3], (2, 3, 5)),
    call=SIX_ONE + ", x_t of shape (5, 2, 3, 5): as many images as columns",
)
def test_p_sample_treats_each_image_alone(got, ref, inputs):
    """An image's step is the same alone as in a batch as large as the image is wide"""
    require_alone(got, inputs, "x_{t-1}", atol=1e-5)


@check(
    "6.1",
    probe=probes.reverse_step_elsewhere,
    inputs=lambda g: clean_step(g, [6, 0, 2], (2, 5, 4)),
    call=SIX_ONE + ", all of it on another device than the CPU",
    seconds=SECONDS,
)
def test_p_sample_works_on_any_device(got, ref, inputs):
    """The step works where the images and the schedule are, on whatever device"""
    require_same_device(got["places"], "x_{t-1}")


# 6.2

SIX_TWO = "guided_eps(predict_eps, x_t, t, labels, guidance_scale, null_label)"


def question(g: torch.Generator, labels: list[int], null_label: int, **more) -> dict:
    return {
        "x_t": torch.randn(len(labels), 2, 4, 3, generator=g),
        "t": torch.tensor([5, 0, 9, 2, 7][: len(labels)]),
        "labels": torch.tensor(labels),
        "null_label": null_label,
        **more,
    }


def both_predictions(inputs: dict) -> tuple[Tensor, Tensor]:
    """What the toy network says with the labels, and with the null label."""
    x, t, labels = inputs["x_t"], inputs["t"], inputs["labels"]
    nothing = torch.full_like(labels, inputs["null_label"])
    return probes.toy_eps(x, t, labels), probes.toy_eps(x, t, nothing)


@check(
    "6.2",
    probe=probes.guided,
    inputs=lambda g: question(g, [3, 0, 8], 10, guidance_scale=1.5),
    call=SIX_TWO + ", with B = 3 images",
)
def test_guidance_asks_once(got, ref, inputs):
    """The network is called once, with a batch of 2B"""
    require(
        got["calls"] == 1,
        "one call of predict_eps, with both questions in one batch",
        f"{got['calls']} calls",
    )
    for name, shape, wanted in zip(
        ("x", "t", "labels"), got["shapes"][0], ([6, 2, 4, 3], [6], [6])
    ):
        require(
            shape == wanted,
            f"predict_eps to be handed {name} of shape {tuple(wanted)}",
            f"shape {tuple(shape)}",
        )
    for name, dtype in zip(("x", "t", "labels"), got["dtypes"][0]):
        wanted = "torch.float32" if name == "x" else "torch.int64"
        require(
            dtype == wanted, f"predict_eps to be handed {name} of dtype {wanted}", f"dtype {dtype}"
        )
    require_tensor(got["eps"], "the guided eps", tuple(inputs["x_t"].shape))


def _require_rows(got: dict, inputs: dict) -> None:
    """Each image was seen at its t with its label and with the null label, in any order."""
    rows = [tuple(row) for row in got["rows"]]
    null = inputs["null_label"]
    require(
        all(image >= 0 for image, _, _ in rows),
        "the network to see the images of x_t unchanged",
        "other images",
    )
    for i, (t, label) in enumerate(zip(inputs["t"].tolist(), inputs["labels"].tolist())):
        seen = [(step, asked) for image, step, asked in rows if image == i]
        require(
            sorted(step for step, _ in seen) == [t, t],
            f"image {i} to be shown twice, both times with its t = {t}",
            f"it was shown with t = {[step for step, _ in seen]}",
        )
        require(
            sorted(asked for _, asked in seen) == sorted([label, null]),
            f"image {i} to be shown with its label {label} and with the null label {null}",
            f"it was shown with the labels {[asked for _, asked in seen]}",
        )


@check(
    "6.2",
    probe=probes.guided,
    inputs=lambda g: question(g, [3, 6, 1, 0, 3], 6, guidance_scale=1.5),
    call=SIX_TWO + ", labels = [3, 6, 1, 0, 3], null_label = 6",
)
def test_guidance_asks_with_and_without_the_label(got, ref, inputs):
    """Each image is shown with its label and with the null label"""
    _require_rows(got, inputs)


@check(
    "6.2",
    probe=probes.guided,
    inputs=lambda g: question(g, [4, 2, 7], 0, guidance_scale=1.5),
    call=SIX_TWO + ", labels = [4, 2, 7], null_label = 0",
)
def test_guidance_uses_the_null_label_handed_in(got, ref, inputs):
    """The null label is the caller's, here 0"""
    _require_rows(got, inputs)


def at_all_scales(g: torch.Generator) -> dict:
    # Both checks below see all the scales, which tells more misconceptions apart.
    return across(question(g, [3, 0, 8, 5], 10, scales=[0.0, -1.0, 1.0, 2.5, 0.333, 12.0]))


@check(
    "6.2",
    probe=probes.guided_values,
    inputs=at_all_scales,
    call=SIX_TWO + ", with guidance_scale = 0 and with -1",
)
def test_guidance_at_its_fixed_points(got, ref, inputs):
    """w = 0 is the conditional prediction, w = -1 the unconditional one"""
    for eps, target, w, name in zip(
        got["eps"], both_predictions(inputs), (0, -1), ("the label", "the null label")
    ):
        require_close(
            eps,
            target,
            f"with w = {w} just what the network says with {name}",
            f"eps with w = {w}",
            atol=1e-5,
        )


@check(
    "6.2",
    probe=probes.guided_values,
    inputs=at_all_scales,
    call=SIX_TWO + ", with guidance_scale = 1, 2.5, 0.333 and 12, x_t not contiguous",
)
def test_guidance_steps_beyond_the_condition(got, ref, inputs):
    """w steps lead beyond the conditional prediction, away from the unconditional one"""
    cond, null = both_predictions(inputs)
    for eps, w in list(zip(got["eps"], inputs["scales"]))[2:]:
        require_tensor(eps, "eps", tuple(cond.shape))
        require_close(
            eps - cond,
            w * (cond - null),
            f"eps to lie w = {w:g} times the way from null to conditional beyond the conditional",
            "what guidance adds to the conditional prediction",
            atol=1e-5 * (1 + w),  # float32: differences of numbers of size 5, and w times that
        )


@check(
    "6.2",
    probe=probes.guided_values,
    inputs=lambda g: question(g, [3], 10, scales=[1.5]),
    call=SIX_TWO + ", with B = 1 image",
)
def test_guidance_of_one_image(got, ref, inputs):
    """One image is a batch as well"""
    cond, null = both_predictions(inputs)
    expected = "(1 + w) eps_cond - w eps_null of this one image, w = 1.5, with all four axes"
    require_close(got["eps"][0], cond + 1.5 * (cond - null), expected, "eps", atol=1e-5)


@check(
    "6.2",
    probe=probes.guided_with_gradients,
    inputs=lambda g: question(g, [3, 0, 8], 10, guidance_scale=1.5, weight=0.7),
    call=SIX_TWO + ", where predict_eps has a weight that is being trained",
)
def test_guidance_of_a_network_in_training(got, ref, inputs):
    """A network that is being trained can be asked as well"""
    cond, null = both_predictions(inputs)
    require_close(
        got["eps"],
        0.7 * (cond + 1.5 * (cond - null)),
        "the same guided eps as from a network that is not trained any more",
        "eps",
        atol=1e-5,
    )
    require(
        got["gradients on"],
        "gradients to be on after the call, as before",
        "gradients switched off for the whole program",
    )


@check(
    "6.2",
    probe=probes.guided_elsewhere,
    inputs=lambda g: question(g, [3, 0, 8], 10, guidance_scale=1.5),
    call=SIX_TWO + ", x_t, t and labels on another device than the CPU",
    seconds=SECONDS,
    free=("places",),
)
def test_guidance_works_on_any_device(got, ref, inputs):
    """The network is asked where the images are, on whatever device"""
    for name, words in (
        ("x", "predict_eps's images"),
        ("t", "predict_eps's t"),
        ("labels", "predict_eps's labels"),
        ("eps", "the guided eps"),
    ):
        require_same_device([got["places"].get(name, "unknown")], words)


# 6.3

SIX_THREE = "ancestral_sample(predict_eps, reverse_step, x_T, schedule, generator)"


def walk_inputs(g: torch.Generator, shape=(3, 2, 4, 5), num_steps: int = 6, **more) -> dict:
    """Images and answers for a walk, and a seed for its noise."""
    seed, g = seed_and_stream(g)
    answers = walk_answers(g, shape, num_steps)
    answers["states"] *= 3  # a step may lead far outside [-1, 1]
    return {
        "seed": seed,
        **answers,
        "schedule": irregular_schedule(g, num_steps),
        **more,
    }


def strided_walk(g: torch.Generator) -> dict:
    inputs = walk_inputs(g)
    return {**inputs, "x_T": strided(inputs["x_T"])}


@check(
    "6.3",
    probe=probes.returned,
    inputs=strided_walk,
    call=SIX_THREE + ", x_T not contiguous",
)
def test_walk_returns_images_and_film(got, ref, inputs):
    """The result is a pair: the images, and the list of the film's frames"""
    require_images_and_film(got, inputs)


@check("6.3", probe=probes.visited, inputs=walk_inputs, call=SIX_THREE + ", T = 6, B = 3")
def test_walk_visits_every_step(got, ref, inputs):
    """The walk goes through t = T-1, ..., 1, 0, each step once"""
    _require_visits(got, [5, 4, 3, 2, 1, 0])


def _require_visits(got: dict, wanted: list[int]) -> None:
    for who in ("network", "reverse_step"):
        name = "predict_eps" if who == "network" else who
        seen = [steps[0] if len(steps) == 1 else steps for steps in got[who]]
        require(
            seen == wanted,
            f"{name} to be called with t = {', '.join(map(str, wanted))}",
            f"calls with t = {listed(seen) or 'nothing'}",
        )


@check(
    "6.3",
    probe=probes.visited,
    inputs=lambda g: walk_inputs(g, shape=(4, 2, 3, 4), num_steps=3),
    call=SIX_THREE + ", T = 3, B = 4",
)
def test_walk_hands_out_a_batch_of_t(got, ref, inputs):
    """t is a batch: one int64 number for each image"""
    _require_visits(got, [2, 1, 0])
    require(
        got["forms"] == ["int64 tensor of shape (4,)"],
        "t to be an int64 tensor of shape (4,) in every call",
        f"t as: {' and '.join(got['forms'])}",
    )


@check("6.3", probe=probes.chain, inputs=walk_inputs, call=SIX_THREE)
def test_walk_goes_on_from_where_it_is(got, ref, inputs):
    """Each step begins with the images that the step before it made"""
    for call, (seen, arguments) in enumerate(zip(got["network"], got["reverse_step"])):
        wanted = f"the result of reverse_step number {call}" if call else "x_T"
        require(seen == wanted, f"predict_eps number {call + 1} to be handed {wanted}", seen)
        require(
            arguments[0] == wanted,
            f"reverse_step number {call + 1} to be handed {wanted} first",
            arguments[0],
        )
    require(
        got["x0"] == "the result of reverse_step number 6",
        "the images that the last step, t = 0, made",
        got["x0"],
    )


@check(
    "6.3",
    probe=probes.chain,
    inputs=lambda g: walk_inputs(g, shape=(4, 2, 3, 4)),
    call=SIX_THREE,
)
def test_walk_hands_over_the_arguments_in_order(got, ref, inputs):
    """reverse_step is called with x, t, eps, noise and schedule, in this order"""
    for call, arguments in enumerate(got["reverse_step"], start=1):
        for place, value, wanted, words in (
            ("second", arguments[1], "t", "t, an int64 tensor"),
            (
                "third",
                arguments[2],
                f"the eps of call {call}",
                "the eps that predict_eps gave for this step",
            ),
            ("fifth", arguments[4], "the schedule", "the schedule"),
            (
                "fourth",
                arguments[3],
                "a new float32 tensor of shape (4, 2, 3, 4)",
                "new noise, a float32 tensor with the shape of the images",
            ),
        ):
            require(
                value == wanted,
                f"the {place} argument of reverse_step to be {words}",
                f"{value}, at call number {call}",
            )


@check(
    "6.3",
    probe=probes.film,
    inputs=lambda g: walk_inputs(g, film_steps=[1, 5, 0, 3]),
    call="ancestral_sample(..., film_steps), T = 6, film_steps = [1, 5, 0, 3], as a set, or none",
)
def test_walk_keeps_a_film(got, ref, inputs):
    """The film holds what the chosen steps made, the noisiest first"""
    require(
        got["none"] == [],
        "an empty film if no film_steps are handed in",
        f"a film of length {len(got['none'])}",
    )
    after = {f"the result of reverse_step number {6 - t}": t for t in range(6)}
    for kind in ("list", "set"):
        frames = got[kind]
        require(
            len(frames) == 4,
            f"one frame for each of 4 film_steps, handed in as a {kind}",
            f"a film of length {len(frames)}",
        )
        for i, step in enumerate((5, 3, 1, 0)):
            require(
                after.get(frames[i]) == step,
                f"frame {i} to be the images after step t = {step}, and to stay so",
                f"the images after step t = {after[frames[i]]}"
                if frames[i] in after
                else frames[i],
            )


@check(
    "6.3",
    probe=probes.fresh_noise,
    inputs=lambda g: walk_inputs(g, shape=(16, 3, 16, 20), num_steps=7),
    call=SIX_THREE + ", looking at the noise of the steps t > 0",
)
def test_walk_draws_fresh_noise(got, ref, inputs):
    """The noise is standard normal, and new for every step, image and pixel"""
    wanted = "a float32 tensor of shape (16, 3, 16, 20)"
    require(
        got["forms"] == [wanted],
        f"noise to be {wanted} in every step",
        " and ".join(got["forms"]),
    )
    require_bell_curve(got)
    # Of 92160 draws 62 lie beyond 3.4; that none does has a probability of 1e-27.
    require(
        got["beyond 3.4"],
        "the bell curve's tails: a few numbers beyond -3.4 or 3.4",
        "none of 92160 beyond them",
    )
    require(
        not got["a step without"],
        "noise of variance 1 in every step with t > 0",
        "a step with less noise, or none",
    )
    require_fresh_draws(got)


@check(
    "6.3",
    probe=probes.generator_use,
    inputs=walk_inputs,
    call=SIX_THREE + ", several times, with equal and with other generators",
)
def test_walk_draws_from_the_generator(got, ref, inputs):
    """The same generator gives the same images, another gives others"""
    require_generator_decides(got)
    require(
        got["global untouched"],
        "torch's global random numbers to stay as they are",
        "a walk that draws from them or seeds them",
    )


@check(
    "6.3",
    probe=probes.gradient_graph,
    inputs=lambda g: walk_inputs(g, film_steps=[5, 2, 0]),
    call="ancestral_sample(...), with a predict_eps that has a trainable weight",
)
def test_walk_builds_no_graph(got, ref, inputs):
    """Sampling builds no graph for gradients, which would fill the memory"""
    require_no_graph(got)
    for before in ("on", "off"):
        require(
            got[f"gradients {before}"] is (before == "on"),
            f"gradients to be {before} after the walk, as before",
            f"gradients switched {'off' if before == 'on' else 'on'} for the whole program",
        )


@check(
    "6.3",
    probe=probes.walk_elsewhere,
    inputs=walk_inputs,
    call=SIX_THREE + ", x_T and the schedule on another device than the CPU",
    seconds=SECONDS,
    free=("t", "noise"),
)
def test_walk_works_on_any_device(got, ref, inputs):
    """t and the noise are made where the images are, on whatever device"""
    for name, words in (("t", "t"), ("noise", "the noise"), ("x_0", "x_0")):
        require_same_device(got[name], words)


def gaussian_inputs(g: torch.Generator) -> dict:
    seed, g = seed_and_stream(g)
    return {
        "x_T": torch.randn(60, 2, 8, 9, generator=g),
        "schedule": irregular_schedule(g, 12),
        **GAUSSIANS,
        "seed": seed,
    }


def gaussian_result(inputs: dict) -> tuple[list[float], float]:
    """The exact means and variance of a guided walk: every step is x -> p x + q + sigma noise."""
    s = {name: value.tolist() for name, value in inputs["schedule"].items()}
    means = [0.0, 0.0]  # x_T is standard normal
    variance = 1.0
    for t in reversed(range(len(s["betas"]))):
        a = s["alpha_bars"][t]
        for i, class_mean in enumerate(inputs["class_means"]):
            slope, offset = guided_eps_line(a, inputs, class_mean)
            x0_coef, xt_coef = s["posterior_x0_coef"][t], s["posterior_xt_coef"][t]
            p = x0_coef * (1 - math.sqrt(1 - a) * slope) / math.sqrt(a) + xt_coef
            q = -x0_coef * math.sqrt(1 - a) * offset / math.sqrt(a)
            means[i] = p * means[i] + q
        variance = p**2 * variance + s["posterior_variance"][t]
    return means, variance


@check(
    "6.3",
    probe=probes.gaussian_walk,
    inputs=gaussian_inputs,
    call=SIX_THREE + ", for data that is Gaussian, with the exact eps and guidance w = 0.8",
)
def test_walk_samples_as_theory_says(got, ref, inputs):
    """For Gaussian data the samples have the mean and variance that theory gives"""
    means, variance = gaussian_result(inputs)
    count = inputs["x_T"].numel() // 2  # draws of one class
    for i in range(2):
        # Six standard errors of a mean, and of a variance, of so many draws.
        require(
            abs(got["means"][i] - means[i]) < 6 * math.sqrt(variance / count),
            f"the pixels of class {i} to have the mean that follows from the steps' formula",
            f"mean {got['means'][i]:.4f}",
        )
        require(
            abs(got["variances"][i] - variance) < 6 * variance * math.sqrt(2 / count),
            f"the pixels of class {i} to have the variance that follows from the steps' formula",
            f"variance {got['variances'][i]:.4f}",
        )


# 6.4


def pictures(
    g: torch.Generator, count: int, channels: int, low=-0.9, high=0.8, side=(5, 4)
) -> Tensor:
    """Images of 5 x 4 pixels, with values that do not reach the ends of the range."""
    return low + (high - low) * torch.rand(count, channels, *side, generator=g)


def cell(grid: Tensor, n: int, num_columns: int, gap: int, height=5, width=4) -> Tensor:
    """The place of image n on the picture."""
    row, column = n // num_columns, n % num_columns
    top, left = gap + row * (height + gap), gap + column * (width + gap)
    return grid[:, top : top + height, left : left + width]


def outside(grid: Tensor, count: int, num_columns: int, gap: int) -> Tensor:
    """True where there is no image, shape (H, W)."""
    mask = torch.ones(1, *grid.shape[1:], dtype=torch.bool)
    for n in range(count):
        cell(mask, n, num_columns, gap)[:] = False
    return mask[0]


@check(
    "6.4",
    probe=probes.grids,
    inputs=lambda g: {
        "cases": [
            {"images": pictures(g, 7, 3), "num_columns": 2},
            {"images": pictures(g, 8, 3), "num_columns": 4},
        ]
    },
    call="image_grid(images, num_columns) with 7 images of shape (3, 5, 4) in 2 columns, 8 in 4",
)
def test_grid_has_room_for_all(got, ref, inputs):
    """The picture has room for the images, and for a gap of 2 around each"""
    for grid, case, (rows, columns) in zip(got["grids"], inputs["cases"], ((4, 2), (2, 4))):
        name = f"the picture of {len(case['images'])} images in {columns} columns"
        require_tensor(grid, name, (3, rows * (5 + 2) + 2, columns * (4 + 2) + 2))


@check(
    "6.4",
    probe=probes.grid,
    inputs=lambda g: {"images": pictures(g, 2, 1), "num_columns": 2},
    call="image_grid(images, num_columns=2), images of shape (2, 1, 5, 4)",
)
def test_grid_brings_values_to_zero_and_one(got, ref, inputs):
    """-1 becomes 0, 0 becomes 0.5 and 1 becomes 1, for every image alike"""
    grid = require_tensor(got["grid"], "the picture", (1, 9, 14))
    wanted = (inputs["images"][0] + 1) / 2
    inside = cell(grid, 0, 2, 2)
    for name, turned in (
        ("upside down", wanted.flip(1)),
        ("mirrored", wanted.flip(2)),
        ("turned by half a turn", wanted.flip(1, 2)),
    ):
        require(
            not torch.allclose(inside, turned, atol=1e-5),
            "the image as it was handed in",
            f"the image {name}",
        )
    require_close(
        inside,
        wanted,
        "the range [-1, 1] brought to [0, 1]: 0 for -1, 0.5 for 0 and 1 for 1",
        "the first image on the picture",
        atol=1e-5,
    )


@check(
    "6.4",
    probe=probes.grid,
    inputs=lambda g: {"images": pictures(g, 7, 3), "num_columns": 3},
    call="image_grid(images, num_columns=3), images of shape (7, 3, 5, 4)",
)
def test_grid_goes_row_by_row(got, ref, inputs):
    """The images are laid out row by row, as one reads"""
    grid = require_tensor(got["grid"], "the picture", (3, 23, 20))
    wanted = (inputs["images"] + 1) / 2
    for n in range(7):
        there = cell(grid, n, 3, 2)
        found = [i for i in range(7) if torch.allclose(there, wanted[i], atol=1e-5)]
        require(
            found == [n],
            f"image {n} in row {n // 3} and column {n % 3}",
            f"image {found[0]} there" if found else "something else there",
        )


@check(
    "6.4",
    probe=probes.grid,
    inputs=lambda g: {"images": pictures(g, 6, 3, -0.9, 0.3), "num_columns": 3},
    call="image_grid(images, num_columns=3), 6 images, which fill two rows",
)
def test_grid_is_white_between_images(got, ref, inputs):
    """Between the images, and around the whole, the picture is white"""
    grid = require_tensor(got["grid"], "the picture", (3, 16, 20))
    _require_white(grid, outside(grid, 6, 3, 2), "every pixel of the gaps and of the edge")


@check(
    "6.4",
    probe=probes.grid,
    inputs=lambda g: {"images": pictures(g, 5, 3, -0.9, 0.3), "num_columns": 4},
    call="image_grid(images, num_columns=4), 5 images: the second row has room for 3 more",
)
def test_grid_fills_the_last_row_with_white(got, ref, inputs):
    """What is left of the last row is white"""
    grid = require_tensor(got["grid"], "the picture", (3, 16, 26))
    _require_white(grid, outside(grid, 5, 4, 2), "every pixel where there is no image")
    require_close(
        cell(grid, 4, 4, 2), (inputs["images"][4] + 1) / 2, "image 4 in row 1, column 0", atol=1e-5
    )


def _require_white(grid: Tensor, mask: Tensor, where: str) -> None:
    values = grid[:, mask]
    require(
        bool((values - 1).abs().max() < 1e-6),
        f"{where} to be 1, which is white",
        f"values from {float(values.min()):.4g} to {float(values.max()):.4g} there",
    )


@check(
    "6.4",
    probe=probes.grid,
    inputs=lambda g: {"images": pictures(g, 4, 1, -1.5, 1.6), "num_columns": 2},
    call="image_grid(images, num_columns=2), where images reach from -1.5 to 1.6",
)
def test_grid_clips_what_lies_outside(got, ref, inputs):
    """Pixels beyond [-1, 1] become black or white, and the others do not change"""
    grid = require_tensor(got["grid"], "the picture", (1, 16, 14))
    require(
        float(grid.min()) >= 0 and float(grid.max()) <= 1,
        "a picture in [0, 1]",
        f"values from {float(grid.min()):.4g} to {float(grid.max()):.4g}",
    )
    for n in range(4):
        require_close(
            cell(grid, n, 2, 2),
            (inputs["images"][n].clamp(-1, 1) + 1) / 2,
            "the range [-1, 1] brought to [0, 1], and what lies beyond cut off",
            f"image {n} on the picture",
            atol=1e-6,
        )


@check(
    "6.4",
    probe=probes.grids,
    inputs=lambda g: {
        "cases": [
            {"images": pictures(g, 5, 3), "num_columns": 2, "gap": 0},
            {"images": pictures(g, 5, 3), "num_columns": 2, "gap": 3},
            {"images": pictures(g, 3, 1), "num_columns": 1, "gap": 1},
        ]
    },
    call="image_grid(images, num_columns, gap) with gap = 0, 3 and 1",
)
def test_grid_uses_the_gap(got, ref, inputs):
    """The gap is the caller's, and may be 0"""
    for grid, case in zip(got["grids"], inputs["cases"]):
        _require_layout(grid, case)


@check(
    "6.4",
    probe=probes.grids,
    inputs=lambda g: {
        "cases": [
            {"images": pictures(g, 2, 3), "num_columns": 5},
            {"images": pictures(g, 4, 3), "num_columns": 4},
            {"images": pictures(g, 1, 1), "num_columns": 3},
            {"images": pictures(g, 1, 3), "num_columns": 1},
            {"images": pictures(g, 70, 1), "num_columns": 9},
            {"images": pictures(g, 3, 2, side=(4, 5)).transpose(2, 3), "num_columns": 2},
        ]
    },
    call="image_grid(images, num_columns) with 2 images in 5 columns, 4 in 4, 1 in 3, 1 in 1, "
    "70 in 9, and 3 that are not contiguous in 2",
)
def test_grid_is_as_wide_as_its_columns(got, ref, inputs):
    """The width follows from num_columns, however few images there are"""
    for grid, case in zip(got["grids"], inputs["cases"]):
        _require_layout(grid, case)


@check(
    "6.4",
    probe=probes.refused_grids,
    inputs=lambda g: {
        "cases": [
            {"images": pictures(g, 0, 3), "num_columns": 2},
            {"images": pictures(g, 3, 3), "num_columns": 0},
            {"images": pictures(g, 3, 3), "num_columns": -1},
            {"images": pictures(g, 0, 3), "num_columns": 0},
        ]
    },
    call="image_grid(images, num_columns) without images, or with less than 1 column",
)
def test_grid_refuses_what_cannot_be_laid_out(got, ref, inputs):
    """No images, or no columns, are refused"""
    cases = [
        f"{len(case['images'])} images in {case['num_columns']} columns" for case in inputs["cases"]
    ]
    require_refused(got, cases, "{}")


def _require_layout(grid: Tensor, case: dict) -> None:
    images, num_columns, gap = case["images"], case["num_columns"], case.get("gap", 2)
    count, channels = images.shape[:2]
    rows = math.ceil(count / num_columns)
    size = (channels, rows * (5 + gap) + gap, num_columns * (4 + gap) + gap)
    name = f"the picture of {count} images in {num_columns} columns with gap {gap}"
    require_tensor(grid, name, size)
    empty = outside(grid, count, num_columns, gap)
    if empty.any():
        _require_white(grid, empty, f"in {name}, every pixel where there is no image")
    for n in range(count):
        require_close(
            cell(grid, n, num_columns, gap),
            (images[n] + 1) / 2,
            f"in {name}, image {n} in row {n // num_columns} and column {n % num_columns}",
            f"image {n} there",
            atol=1e-5,
        )


# 6.5

SIX_FIVE = "respace(schedule_betas, num_steps), T = {}, num_steps = {}"


def long_schedule(num_steps: int, *lengths: int):
    """Betas of a full schedule in no order, and how long the shorter ones are to be."""

    def inputs(g: torch.Generator) -> dict:
        betas = irregular_betas(g, num_steps, least=0.05)
        return {"betas": betas, "num_steps": lengths[0], "lengths": list(lengths)}

    return inputs


@check(
    "6.5",
    probe=probes.respaced,
    inputs=long_schedule(12, 4),
    call=SIX_FIVE.format(12, 4),
)
def test_respace_returns_betas_and_steps(got, ref, inputs):
    """There is a beta in float64, and a whole-numbered step, for each step of the shorter walk"""
    require_tensor(got["betas"], "betas", (4,), torch.float64)
    require_tensor(got["timesteps"], "timesteps", (4,), torch.int64)


@check(
    "6.5",
    probe=probes.respaced_again,
    inputs=long_schedule(1000, 40, 7, 2, 300, 1000),
    call=SIX_FIVE.format(1000, "40, 7, 2, 300 and 1000"),
)
def test_respace_keeps_evenly_spaced_steps(got, ref, inputs):
    """The steps kept are evenly spaced, in the order of the schedule, and end at T-1"""
    for found, num_steps in zip(got["found"], inputs["lengths"]):
        steps = require_tensor(found["timesteps"], "timesteps", (num_steps,), torch.int64).tolist()
        require(
            steps[-1] == 999 and min(steps) >= 0,
            "the last of the steps kept to be T-1 = 999, where sampling begins, and none below 0",
            f"the first is {steps[0]}, the last {steps[-1]}: the steps {brief(steps)}",
        )
        gaps = [after - before for before, after in zip(steps, steps[1:])]
        require(
            min(gaps) >= 1 and max(gaps) - min(gaps) <= 1,
            f"{num_steps} steps, each as far from the one before, but for rounding",
            f"the steps {brief(steps)}",
        )
        require(
            steps[0] <= 1000 / num_steps,
            f"{num_steps} steps that reach from one end of the schedule to the other",
            f"the steps {brief(steps)}",
        )


@check(
    "6.5",
    probe=probes.respaced_again,
    inputs=long_schedule(30, 5, 7, 2, 29),
    call=SIX_FIVE.format(30, "5, 7, 2 and 29"),
)
def test_respace_passes_through_the_levels_kept(got, ref, inputs):
    """After each step the shorter walk's alpha_bar is that of the level kept"""
    bars = torch.cumprod(1 - inputs["betas"].double(), dim=0)
    for found, num_steps in zip(got["found"], inputs["lengths"]):
        reached = torch.cumprod(1 - found["betas"].double(), dim=0)
        kept = bars[found["timesteps"]]
        off = ((reached - kept).abs() / kept).tolist()
        worst = max(range(num_steps), key=off.__getitem__)
        require(
            off[worst] < 1e-4,  # float32 products along the way
            f"alpha_bar = {kept[worst]:.4g} after step {worst} of the shorter walk, as after step "
            f"{int(found['timesteps'][worst])} of the full one",
            f"{reached[worst]:.4g}, the product of 1 - beta so far",
        )


def steep_schedule(g: torch.Generator) -> dict:
    curve = cosine_curve(200)
    betas = (1 - curve[1:] / curve[:-1]).clamp(max=0.999).float()
    betas[-3:] = 0.999
    return {"betas": betas, "num_steps": 5}


@check(
    "6.5",
    probe=probes.respaced,
    inputs=steep_schedule,
    call="respace(schedule_betas, 5), a cosine schedule of 200 steps that ends with 0.999 thrice",
)
def test_respace_survives_a_steep_schedule(got, ref, inputs):
    """Where one step takes nearly all that is left, its beta is near 1 and not 1"""
    betas = require_tensor(got["betas"], "betas", (5,), torch.float64)
    require(
        bool((betas > 0).all() and (betas < 1).all()),
        "every beta between 0 and 1, both excluded",
        f"{float(betas.min()):.9g} to {float(betas.max()):.9g}",
    )
    bars = torch.cumprod(1 - inputs["betas"].double(), dim=0)
    reached = float((1 - betas).prod())
    require(
        abs(reached / float(bars[-1]) - 1) < 0.01,
        f"the last level to have alpha_bar = {float(bars[-1]):.3g}, as the full schedule has",
        f"{reached:.3g}",
    )


@check(
    "6.5",
    probe=probes.respaced,
    inputs=long_schedule(9, 9),
    call=SIX_FIVE.format(9, 9),
)
def test_respace_to_full_length_changes_nothing(got, ref, inputs):
    """A walk of all T steps is the full schedule"""
    require_close(got["timesteps"], torch.arange(9), "the steps 0, 1, ... T-1", "the steps", 0, 0)
    require_close(
        got["betas"], inputs["betas"].double(), "the betas of the full schedule", "betas", 1e-5, 0
    )


def gentle_schedule(g: torch.Generator) -> dict:
    return {"betas": 2e-5 * (1 + torch.rand(9, generator=g)), "num_steps": 9}


@check(
    "6.5",
    probe=probes.respaced,
    inputs=gentle_schedule,
    call=SIX_FIVE.format(9, 9) + ", betas between 2e-5 and 4e-5",
)
def test_respace_keeps_small_betas(got, ref, inputs):
    """A beta may be as small as it likes, since all is computed in float64"""
    expected = "the betas of the full schedule, however small they are"
    # float32 would be off by up to 6e-8, which is a thousandth of a beta. float64 is off by 1e-11.
    require_close(got["betas"], inputs["betas"].double(), expected, "betas", 1e-6, 0)


@check(
    "6.5",
    probe=probes.refused_lengths,
    inputs=long_schedule(12, 1, 0, -3, 13, 100),
    call="respace(schedule_betas, num_steps), T = 12, num_steps = 1, 0, -3, 13 and 100",
)
def test_respace_refuses_lengths_out_of_range(got, ref, inputs):
    """Less than 2 steps, or more than T, are refused"""
    require_refused(got, inputs["lengths"], "num_steps = {}")


@check(
    "6.5",
    probe=probes.respaced_elsewhere,
    inputs=long_schedule(12, 4),
    call=SIX_FIVE.format(12, 4) + ", the betas on another device than the CPU",
    seconds=SECONDS,
)
def test_respace_works_on_any_device(got, ref, inputs):
    """Betas and steps are made where the schedule is, on whatever device"""
    for name in ("betas", "timesteps"):
        require_same_device([got[name]], name)
