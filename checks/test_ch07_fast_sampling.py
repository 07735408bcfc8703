"""Checks of chapter 07: fast sampling."""

import math

import torch
from torch import Tensor

from checks.probes import ch07_fast_sampling as probes
from checks.theory import (
    GAUSSIANS,
    SECONDS,
    bars_of,
    cosine_curve,
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
    require_value_errors,
    seed_and_stream,
    solve_x0,
    walk_answers,
)
from course.grading.checking import check, require, require_close, require_tensor


def irregular_bars(g: torch.Generator, num_steps: int, least: float = 0.1) -> Tensor:
    """alpha_bars from betas between `least` and 0.4 in no order, so that no two can be mistaken."""
    return bars_of(irregular_betas(g, num_steps, least))


def cosine_bars(num_steps: int) -> Tensor:
    """alpha_bars of the cosine schedule, which ends in as good as nothing but noise."""
    f = cosine_curve(num_steps)
    return bars_of((1 - f[1:] / f[:-1]).clamp(max=0.999))


# 7.1

SEVEN_ONE = "time_grid(alpha_bars, num_steps, spacing, lambda_min)"


def cases(g: torch.Generator, lengths: list[tuple[int, int]], **options) -> dict:
    """A case for each (T, num_steps)."""
    return {
        "cases": [
            {"alpha_bars": irregular_bars(g, total), "num_steps": n, **options}
            for total, n in lengths
        ]
    }


LENGTHS = [(40, 8), (47, 9), (29, 13), (7, 7), (11, 2)]


def _require_grid(got: dict, inputs: dict, exact) -> None:
    """Each t within rounding of `exact(i, T, n)`; where two whole numbers are as near, any."""
    for case, steps in zip(inputs["cases"], got["grids"]):
        total, n = len(case["alpha_bars"]), case["num_steps"]
        steps = require_tensor(steps, "the grid", (n,), torch.int64).tolist()
        for i, step in enumerate(steps):
            require(
                abs(step - exact(i, total, n)) <= 0.5 + 1e-5,
                f"with T = {total} and n = {n}, t_{i} to be the whole number nearest to where "
                f"step number {i} of the grid belongs",
                f"t_{i} = {step} in {steps}",
            )


@check(
    "7.1",
    probe=probes.grids,
    inputs=lambda g: cases(g, [(40, 8), (47, 9)], spacing="trailing"),
    call='time_grid(alpha_bars, num_steps, "trailing"), T = 40 with 8 and T = 47 with 9 steps',
)
def test_grid_begins_where_the_noise_is(got, ref, inputs):
    """The grid is int64 and falls, and the trailing one begins at T - 1, where x_T belongs"""
    for case, steps in zip(inputs["cases"], got["grids"]):
        n = case["num_steps"]
        steps = require_tensor(steps, "the grid", (n,), torch.int64).tolist()
        require(
            all(a > b for a, b in zip(steps, steps[1:])),
            "a grid that falls from step to step",
            f"{steps}",
        )
        total = len(case["alpha_bars"])
        require(steps[0] == total - 1, f"t_0 = T - 1 = {total - 1}", f"t_0 = {steps[0]}")


@check(
    "7.1",
    probe=probes.grids,
    inputs=lambda g: cases(g, LENGTHS, spacing="trailing"),
    call='time_grid(alpha_bars, num_steps, "trailing"), for five pairs of T and num_steps',
)
def test_grid_trailing(got, ref, inputs):
    """trailing: equal distances, counted back from T - 1"""
    _require_grid(got, inputs, lambda i, total, n: (n - i) * total / n - 1)


@check(
    "7.1",
    probe=probes.grids,
    inputs=lambda g: cases(g, [(47, 9)]),
    call="time_grid(alpha_bars, num_steps), without a spacing",
)
def test_grid_is_trailing_by_default(got, ref, inputs):
    """Without a spacing the grid is the trailing one"""
    _require_grid(got, inputs, lambda i, total, n: (n - i) * total / n - 1)


@check(
    "7.1",
    probe=probes.grids,
    inputs=lambda g: cases(g, LENGTHS, spacing="leading"),
    call='time_grid(alpha_bars, num_steps, "leading"), for five pairs of T and num_steps',
)
def test_grid_leading(got, ref, inputs):
    """leading: multiples of floor(T / n), down to 0"""
    for case, steps in zip(inputs["cases"], got["grids"]):
        total, n = len(case["alpha_bars"]), case["num_steps"]
        steps = require_tensor(steps, "the grid", (n,), torch.int64).tolist()
        wanted = [(n - 1 - i) * (total // n) for i in range(n)]
        require(
            steps == wanted,
            f"with T = {total} and n = {n}, steps at distances of floor(T / n) = {total // n} "
            "that end at 0",
            f"{steps}",
        )


@check(
    "7.1",
    probe=probes.grids,
    inputs=lambda g: cases(g, LENGTHS, spacing="linspace"),
    call='time_grid(alpha_bars, num_steps, "linspace"), for five pairs of T and num_steps',
)
def test_grid_linspace(got, ref, inputs):
    """linspace: equal distances from T - 1 to 0, both included"""
    _require_grid(got, inputs, lambda i, total, n: (n - 1 - i) * (total - 1) / (n - 1))


def half_log_snr(alpha_bars: Tensor) -> Tensor:
    a = alpha_bars.double()
    return torch.log(a / (1 - a)) / 2


def log_snr_steps(case: dict) -> list[int] | None:
    """The steps nearest to levels at equal distances; None where two are nearly as near."""
    lambdas = half_log_snr(case["alpha_bars"])
    n, lowest = case["num_steps"], case.get("lambda_min", -5.0)
    start, end = max(float(lambdas[-1]), lowest), float(lambdas[0])
    steps = []
    for i in range(n):
        distance = (lambdas - (start + (end - start) * i / (n - 1))).abs()
        nearest, second = distance.topk(2, largest=False).values.tolist()
        if second - nearest < 1e-4:
            return None
        steps.append(int(distance.argmin()))
    steps[0] = len(lambdas) - 1
    return sorted(set(steps), reverse=True)


def log_snr_cases(g: torch.Generator, *lengths: tuple[int, int], **options) -> dict:
    """Cases in which no level lies as near to one step as to another."""
    found = []
    for total, n in lengths:
        case = None
        while case is None or log_snr_steps(case) is None:
            bars = irregular_bars(g, total, least=0.05)
            case = {"alpha_bars": bars, "num_steps": n, "spacing": "log_snr", **options}
        found.append(case)
    return {"cases": found}


def cosine_cases(g: torch.Generator) -> dict:
    def case(total, n, **options):
        return {
            "alpha_bars": cosine_bars(total), "num_steps": n, "spacing": "log_snr", **options
        }  # fmt: skip

    return {
        "cases": [
            case(210, 9),
            case(170, 6),
            case(210, 9, lambda_min=-2.5),
            case(1000, 7, lambda_min=-20.0),
            case(3000, 6, lambda_min=-1.2349),
        ]
    }


def _require_log_snr(got: dict, inputs: dict) -> None:
    for case, steps in zip(inputs["cases"], got["grids"]):
        total, n = len(case["alpha_bars"]), case["num_steps"]
        wanted = log_snr_steps(case)
        steps = require_tensor(steps, "the grid", None, torch.int64)
        require(steps.ndim == 1, "a grid of one axis", f"shape {tuple(steps.shape)}")
        steps = steps.tolist()
        require(
            len(set(steps)) == len(steps),
            "each step once, where several levels fall on one",
            f"{steps}",
        )
        least = case.get("lambda_min")
        limit = f", lambda_min = {least:g}" if least is not None else ""
        require(
            steps == wanted,
            f"with T = {total} and n = {n}{limit}: T - 1, and then the steps whose lambda lies "
            "nearest to n values at equal distances",
            f"{steps}",
        )


@check(
    "7.1",
    probe=probes.grids,
    inputs=lambda g: log_snr_cases(g, (23, 5), (31, 7), (19, 2)),
    call='time_grid(alpha_bars, num_steps, "log_snr"), with T = 23, 31 and 19',
)
def test_grid_log_snr(got, ref, inputs):
    """log_snr: the steps that lie nearest to equal distances in lambda"""
    _require_log_snr(got, inputs)


@check(
    "7.1",
    probe=probes.grid_by_name,
    inputs=cosine_cases,
    call="time_grid(alpha_bars=..., num_steps=..., spacing='log_snr'), cosine schedules, also with "
    "a lambda_min",
)
def test_grid_log_snr_stays_above_lambda_min(got, ref, inputs):
    """log_snr spends no steps below lambda_min, and begins at T - 1 even so"""
    _require_log_snr(got, inputs)


@check(
    "7.1",
    probe=probes.grids,
    inputs=lambda g: log_snr_cases(g, (12, 11), (9, 9)),
    call='time_grid(alpha_bars, num_steps, "log_snr"), with nearly as many steps as there are',
)
def test_grid_log_snr_visits_no_step_twice(got, ref, inputs):
    """log_snr: where two levels fall on one step, it is visited once"""
    _require_log_snr(got, inputs)


def cases_of_all(g: torch.Generator) -> dict:
    bars = irregular_bars(g, 13)
    spacings = ("trailing", "leading", "linspace", "log_snr")
    return {"cases": [{"alpha_bars": bars, "num_steps": 4, "spacing": s} for s in spacings]}


@check(
    "7.1",
    probe=probes.grids_elsewhere,
    inputs=cases_of_all,
    call=SEVEN_ONE + ", alpha_bars on another device than the CPU",
    seconds=SECONDS,
)
def test_grid_lies_where_the_schedule_lies(got, ref, inputs):
    """The grid lies where alpha_bars lies, on whatever device"""
    require_same_device(got["places"], "the grid")


REFUSED = [(n, "trailing") for n in (1, 0, -4, 14)]
REFUSED += [(n, spacing) for spacing in ("leading", "linspace", "log_snr") for n in (1, 14)]
REFUSED += [(4, spacing) for spacing in ("cosine", "Trailing", "log-snr", "")]


def refused_cases(g: torch.Generator) -> dict:
    bars = irregular_bars(g, 13)
    return {"cases": [{"alpha_bars": bars, "num_steps": n, "spacing": s} for n, s in REFUSED]}


@check(
    "7.1",
    probe=probes.refusals,
    inputs=refused_cases,
    call=SEVEN_ONE + ", T = 13, with 1, 0, -4 and 14 steps, and with spacings that do not exist",
)
def test_grid_refuses_what_it_cannot_make(got, ref, inputs):
    """A num_steps outside of 2 ... T is refused, and so is another spacing"""
    require_value_errors(
        got["raised"], [f"T = 13, num_steps = {n}, spacing = {s!r}" for n, s in REFUSED]
    )


# 7.2

SEVEN_TWO = "ddim_step(x_t, t, t_next, eps, noise, alpha_bars, predict_x0, eta)"


def bar_at(inputs: dict, name: str = "t") -> Tensor:
    """alpha_bar at a step, 1 where it is -1, in float64, shape (B, 1, 1, 1)."""
    bars, t = inputs["alpha_bars"].double(), inputs[name]
    values = [1.0 if step < 0 else float(bars[step]) for step in t.tolist()]
    return torch.tensor(values, dtype=torch.float64).view(-1, 1, 1, 1)


def step_inputs(g, t, t_next, shape=(2, 5, 3), num_steps=8, bars=None, clean=True, **more) -> dict:
    """Images at steps t of a walk, the steps where they go, eps and noise."""
    bars = irregular_bars(g, num_steps) if bars is None else bars
    t, t_next = torch.tensor(t), torch.tensor(t_next)
    x_t, eps = images_at(g, bars, t, shape, clean)
    noise = torch.randn(x_t.shape, generator=g)
    return {
        "x_t": x_t, "t": t, "t_next": t_next, "eps": eps, "noise": noise,
        "alpha_bars": bars, **more,
    }  # fmt: skip


def guess_x0(inputs: dict, x: str = "x_t", t: str = "t", eps: str = "eps") -> Tensor:
    """The x_0 from which the forward process, with this eps, arrives at x_t, clipped."""
    return solve_x0(inputs[x], inputs[eps], bar_at(inputs, t)).clamp(-1, 1)


def other_x0(inputs: dict, x: str = "x_t", t: str = "t", eps: str = "eps") -> Tensor:
    """What the probes' other predict_x0 guesses, clipped."""
    guess = 0.3 * inputs[x].double() - 0.5 * inputs[eps].double() + 0.7 * bar_at(inputs, t)
    return guess.clamp(-1, 1)


ANOTHER_GUESS = ", all arguments by name, with a predict_x0 that guesses in another way"


def require_the_guess_of_predict_x0(got: dict, target: Tensor) -> None:
    require_close(
        got["x"],
        target,
        "the step to be made with what predict_x0(x_t, t, eps, alpha_bars) returns, clipped",
        "x_next",
        rtol=1e-3,
        atol=1e-4,
    )


def require_handed_over(got: dict) -> None:
    """Fail unless predict_x0 was called as the docstrings say, with the steps and the schedule."""
    for name, words, wanted in (
        ("steps", "t", "an int64 step for each image"),
        ("schedules", "alpha_bars", "the full schedule"),
    ):
        require(
            got[name] == [wanted],
            f"predict_x0(x_t, t, eps, alpha_bars) to be handed as {words} {wanted}",
            " and ".join(got[name]) or "no call of it",
        )


def eps_again(inputs: dict, x0: Tensor) -> Tensor:
    """The eps that belongs to x_t and the clipped x_0."""
    a = bar_at(inputs)
    return (inputs["x_t"].double() - a.sqrt() * x0) / (1 - a).sqrt()


def sigma_of(inputs: dict, eta: float) -> Tensor:
    a, a_next = bar_at(inputs), bar_at(inputs, "t_next")
    return eta * ((1 - a_next) / (1 - a) * (1 - a / a_next)).sqrt()


def ddim_mean(inputs: dict, eta: float = 0.0, x0: Tensor | None = None) -> Tensor:
    """x_next but for the noise; with this x_0, or the one that eps points to."""
    a_next = bar_at(inputs, "t_next")
    x0 = guess_x0(inputs) if x0 is None else x0
    rest = (1 - a_next - sigma_of(inputs, eta) ** 2).clamp(min=0)
    return (a_next.sqrt() * x0 + rest.sqrt() * eps_again(inputs, x0)).float()


@check(
    "7.2",
    probe=probes.ddim,
    inputs=lambda g: step_inputs(g, [7, 0, 4], [3, -1, 0], (2, 5, 4), noise=None),
    call=SEVEN_TWO + ", x_t of shape (3, 2, 5, 4), t = [7, 0, 4], t_next = [3, -1, 0], noise None",
)
def test_ddim_returns_images(got, ref, inputs):
    """x_next has the shape of x_t, and its dtype, and with eta = 0 no noise is needed"""
    require_tensor(got["x"], "x_next", (3, 2, 5, 4))


@check(
    "7.2",
    probe=probes.ddim_without_noise,
    inputs=lambda g: step_inputs(g, [7, 0, 4], [-1, -1, -1]),
    call=SEVEN_TWO + ", t = [7, 0, 4], t_next = [-1, -1, -1]",
)
def test_ddim_lands_on_x0(got, ref, inputs):
    """The step to t_next = -1 lands on the x_0 that eps points to"""
    _require_landing(got, inputs)


def _require_landing(got: dict, inputs: dict) -> None:
    require_close(
        got["x"],
        guess_x0(inputs).float(),
        "the x_0 from which the forward process, with this eps, leads to x_t",
        "the image",
        atol=2e-5,
    )


@check(
    "7.2",
    probe=probes.ddim_without_noise,
    inputs=lambda g: step_inputs(g, [7, 3, 0, 5], [2, 1, -1, 4]),
    call=SEVEN_TWO + ", t = [7, 3, 0, 5], t_next = [2, 1, -1, 4], eta = 0",
)
def test_ddim_goes_to_the_same_image_with_less_noise(got, ref, inputs):
    """x_next is what the forward process makes of the same x_0 and eps at t_next"""
    require_close(
        got["x"],
        ddim_mean(inputs),
        "the same x_0 and the same eps, mixed as the schedule mixes them at t_next",
        "x_next",
        atol=2e-5,  # float32: x_0 is divided by sqrt(alpha_bar), which is 0.15 at the least
    )


@check(
    "7.2",
    probe=probes.ddim_with_another_guess,
    inputs=lambda g: step_inputs(g, [7, 3, 0, 5], [2, 1, -1, 4]),
    call=SEVEN_TWO + ANOTHER_GUESS,
)
def test_ddim_asks_predict_x0(got, ref, inputs):
    """The guess of x_0 is the one that predict_x0 makes, which is handed in"""
    require_the_guess_of_predict_x0(got, ddim_mean(inputs, x0=other_x0(inputs)))


@check(
    "7.2",
    probe=probes.ddim_hands_over,
    inputs=lambda g: step_inputs(g, [7, 3, 0, 5], [2, 1, -1, 4]),
    call=SEVEN_TWO + ", looking at what predict_x0 is handed",
)
def test_ddim_hands_over_steps_and_schedule(got, ref, inputs):
    """predict_x0 is handed the images' steps as they are, and the full schedule"""
    require_handed_over(got)


@check(
    "7.2",
    probe=probes.ddim_without_noise,
    inputs=lambda g: step_inputs(g, [6, 0, 7, 2], [3, -1, 5, 0], clean=False),
    call=SEVEN_TWO + ", where eps points to an x_0 far outside [-1, 1]; eta = 0",
)
def test_ddim_clips_x0_and_derives_eps_again(got, ref, inputs):
    """x_0 is clipped to [-1, 1], and eps is what is left of x_t beside the clipped x_0"""
    require_close(
        got["x"][1],
        guess_x0(inputs)[1].float(),
        "where the step lands, x_0 clipped to [-1, 1]",
        "the image",
        atol=2e-5,
    )
    require_close(
        got["x"],
        ddim_mean(inputs),
        "the clipped x_0 and the eps that, with it, makes up x_t",
        "x_next",
        atol=5e-5,
    )


@check(
    "7.2",
    probe=probes.ddim_noise_or_none,
    inputs=lambda g: step_inputs(g, [7, 3, 0, 5], [2, 1, -1, 4], eta=0.0),
    call=SEVEN_TWO + ", eta = 0, once with noise and once with None in its place",
)
def test_ddim_needs_no_noise(got, ref, inputs):
    """With eta = 0 noise changes nothing, and may be None"""
    none = require_tensor(got["none"], "x_next", tuple(inputs["x_t"].shape))
    require_close(got["noise"], none, "the same x_next with noise and without", "x_next")


@check(
    "7.2",
    probe=probes.ddim_noise_part,
    inputs=lambda g: step_inputs(g, [7, 3, 6, 5], [2, 1, 0, 4], etas=[1, 0.6, 0.023]),
    call=SEVEN_TWO + ", eta = 1, 0.6 and 0.023, once with noise and once with noise of zeros",
)
def test_ddim_scales_the_noise(got, ref, inputs):
    """The noise enters with the standard deviation sigma of equation 16"""
    for eta, moved, still in zip(inputs["etas"], got["moved"], got["still"]):
        shape = tuple(inputs["x_t"].shape)
        moved = require_tensor(moved, "x_next", shape)
        still = require_tensor(still, "x_next", shape)
        require_close(
            moved - still,
            (sigma_of(inputs, eta) * inputs["noise"]).float(),
            f"with eta = {eta:g}, the noise times sigma, at each image's own t and t_next",
            "what the noise adds",
            rtol=1e-4,
            atol=1e-5,  # float32: a difference of two numbers of size 1
        )


@check(
    "7.2",
    probe=probes.ddim_noise_part,
    inputs=lambda g: step_inputs(g, [7, 3, 0, 5], [2, 1, -1, 4], etas=[1.0, 0.6]),
    call=SEVEN_TWO + ", eta = 1 and 0.6, noise of zeros",
)
def test_ddim_makes_room_for_the_noise(got, ref, inputs):
    """What noise brings in variance is taken from eps: together they have 1 - a_next"""
    for eta, still in zip(inputs["etas"], got["still"]):
        require_close(
            still,
            ddim_mean(inputs, eta),
            f"with eta = {eta:g}, eps times the root of 1 - a_next - sigma^2",
            "x_next without its noise",
            atol=2e-5,
        )


@check(
    "7.2",
    probe=probes.ddim_noise_part,
    inputs=lambda g: step_inputs(g, [7, 0, 4], [-1, -1, -1], etas=[1.0, 0.6]),
    call=SEVEN_TWO + ", t_next = -1, eta = 1 and 0.6, with noise and without",
)
def test_ddim_lands_without_noise(got, ref, inputs):
    """The clean image is free of noise, whatever eta is"""
    for eta, moved, still in zip(inputs["etas"], got["moved"], got["still"]):
        still = require_tensor(still, "x_next", tuple(inputs["x_t"].shape))
        require_close(
            moved, still, f"with eta = {eta:g} and t_next = -1, no noise in the image", "the image"
        )


def one_step_down(g: torch.Generator) -> dict:
    return step_inputs(g, [7, 1, 4, 2], [6, 0, 3, 1], (2, 3, 5), etas=[1.0])


def posterior(inputs: dict) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of q(x_{t-1} | x_t, x_0), for the clipped x_0."""
    a, a_prev = bar_at(inputs), bar_at(inputs, "t_next")
    beta = 1 - a / a_prev
    mean = a_prev.sqrt() * beta / (1 - a) * guess_x0(inputs)
    mean = mean + (a / a_prev).sqrt() * (1 - a_prev) / (1 - a) * inputs["x_t"].double()
    return mean.float(), (beta * (1 - a_prev) / (1 - a)).sqrt()


@check(
    "7.2",
    probe=probes.ddim_noise_part,
    inputs=one_step_down,
    call=SEVEN_TWO + ", t_next = t - 1, eta = 1, with noise and without",
)
def test_ddim_with_eta_1_is_the_ancestral_step(got, ref, inputs):
    """With eta = 1, a step from t to t - 1 has the posterior's mean and variance"""
    mean, std = posterior(inputs)
    still = require_tensor(got["still"][0], "x_next", tuple(mean.shape))
    require_close(still, mean, "the posterior's mean", "x_next without its noise", atol=2e-5)
    require_close(
        got["moved"][0] - still,
        (std * inputs["noise"]).float(),
        "noise with the posterior's variance",
        "what the noise adds",
        atol=1e-5,
    )


def steep_inputs(g: torch.Generator, t: list[int], t_next: list[int], **more) -> dict:
    """Steps on the cosine schedule of T = 1000, with eps that is wrong by 0.1 to 0.5 everywhere."""
    x_t, noise, sign = torch.randn(3, len(t), 2, 3, 4, generator=g)
    wrong = 0.1 + 0.4 * torch.rand(x_t.shape, generator=g)
    return {
        "x_t": x_t, "t": torch.tensor(t), "t_next": torch.tensor(t_next),
        "eps": x_t + wrong * sign.sign(), "noise": noise, "alpha_bars": cosine_bars(1000), **more,
    }  # fmt: skip


LONG_JUMPS = [998, 800, 797, 787, 773, 500, 93, 46, 23, 20, 11, 6]


@check(
    "7.2",
    probe=probes.ddim_noise_part,
    inputs=lambda g: steep_inputs(g, [999] * 11 + [998], LONG_JUMPS, etas=[1.0]),
    call=SEVEN_TWO + ", eta = 1, on the cosine schedule from t = 999, where alpha_bar is 2e-9",
)
def test_ddim_survives_a_steep_schedule(got, ref, inputs):
    """A variance that float32 makes a little negative does not become NaN"""
    mean, _ = posterior(inputs)
    require_close(
        got["still"][0],
        mean,
        "the posterior's mean, also where eps gets no variance at all",
        "x_next without its noise",
        rtol=1e-3,
        atol=5e-3,  # float32: where the root of 0 is due, it may be that of 1e-7, times eps
    )


STEEP = ([999, 998, 500, 50, 999], [900, 997, 400, 0, -1])
STEEP_CALL = (
    ", on the cosine schedule, where alpha_bar is 2e-9 at t = 999; t = [999, 998, 500, 50, 999] "
    "and t_next = [900, 997, 400, 0, -1]"
)
EXACT = {"rtol": 2e-5, "atol": 1e-5}  # float32, where nothing is divided by a small number


@check(
    "7.2",
    probe=probes.ddim_without_noise,
    inputs=lambda g: steep_inputs(g, *STEEP),
    call=SEVEN_TWO + STEEP_CALL + "; eta = 0",
)
def test_ddim_takes_the_schedule_as_it_is(got, ref, inputs):
    """alpha_bar may be as small, or as near to 1, as a schedule makes it"""
    require_close(
        got["x"],
        ddim_mean(inputs),
        "the clipped x_0 and the rest of x_t, mixed with the weights that alpha_bar gives",
        "x_next",
        **EXACT,
    )


# Gaussian data: the best eps is affine, and so is every step.


def x0_line(a: float, mean: float, std: float) -> tuple[float, float]:
    """The mean of x_0 given x_t, as slope * x_t + offset."""
    slope = math.sqrt(a) * std**2 / (a * std**2 + 1 - a)
    return slope, mean - slope * math.sqrt(a) * mean


def ddim_exact(inputs: dict, walk: dict) -> Tensor:
    """Where the walk arrives, by the recursion for x = p * x_T + q + noise."""
    grid, bars, eta = walk["grid"], walk["alpha_bars"].double().tolist(), walk.get("eta", 0.0)
    p, rest = 1.0, torch.zeros_like(inputs["x_T"], dtype=torch.float64)
    for number, (now, following) in enumerate(zip(grid[:-1], grid[1:])):
        a, a_next = bars[now], 1.0 if following < 0 else bars[following]
        slope, offset = x0_line(a, inputs["mean"], inputs["std"])
        sigma = eta * math.sqrt((1 - a_next) / (1 - a) * (1 - a / a_next))
        along = math.sqrt(max(0.0, 1 - a_next - sigma**2) / (1 - a))
        factor = math.sqrt(a_next) * slope + along * (1 - math.sqrt(a) * slope)
        shift = (math.sqrt(a_next) - along * math.sqrt(a)) * offset
        p, rest = factor * p, factor * rest + shift
        if eta:
            rest = rest + sigma * walk["noise"][number].double()
    return p * inputs["x_T"].double() + rest


def gaussian_walks(g: torch.Generator, etas: tuple[float, ...]) -> dict:
    """Walks over irregular schedules down to the clean image, x_0 well inside [-1, 1]."""
    x_T = 3 * (2 * torch.rand(3, 2, 4, 5, generator=g) - 1)
    grid = [8, 6, 5, 2, 0, -1]
    walks = [
        {
            "alpha_bars": irregular_bars(g, 9, least=0.15),
            "grid": grid,
            "eta": eta,
            "noise": torch.randn(len(grid) - 1, *x_T.shape, generator=g).clamp(-3, 3),
        }
        for eta in etas
    ]
    return {"x_T": x_T, "mean": 0.2, "std": 0.05, "walks": walks}


@check(
    "7.2",
    probe=probes.ddim_walks,
    inputs=lambda g: gaussian_walks(g, (0.0, 1.0, 0.5)),
    call=SEVEN_TWO + ", over a grid of 5 steps, with the exact eps of Gaussian data; eta = 0, 1, "
    "0.5",
)
def test_ddim_walks_as_theory_says(got, ref, inputs):
    """For Gaussian data a walk arrives where the recursion of its mean and variance says"""
    for walk, x in zip(inputs["walks"], got["x"]):
        require_close(
            x,
            ddim_exact(inputs, walk).float(),
            f"with eta = {walk['eta']:g}, the images that follow from x_T and the noise",
            "x_0",
            rtol=1e-3,
            atol=1e-4,
        )


HALVINGS = (8, 16, 32)


def finer_and_finer(g: torch.Generator) -> dict:
    """The same way, from lambda = -2.2 to 1, in 8, 16 and 32 equal steps."""
    return {
        "x_T": 2 * (2 * torch.rand(3, 2, 4, 5, generator=g) - 1),
        "mean": 0.2,
        "std": 0.25,
        "walks": [
            {
                "alpha_bars": torch.sigmoid(2 * torch.linspace(1, -2.2, n + 1)),
                "grid": list(range(n, -1, -1)),
            }
            for n in HALVINGS
        ],
    }


def errors_of(got: dict, inputs: dict) -> list[float]:
    """The distance of each walk's end to the curve that all of them follow.

    Along it (x - sqrt(a) mean) / sqrt(a std^2 + 1 - a) stays what it is.
    """
    mean, std, x_T = inputs["mean"], inputs["std"], inputs["x_T"].double()
    errors = []
    for walk, x in zip(inputs["walks"], got["x"]):
        x = require_tensor(x, "x_next", tuple(x_T.shape))
        first, last = (float(walk["alpha_bars"][t]) for t in (-1, 0))
        z = (x_T - math.sqrt(first) * mean) / math.sqrt(first * std**2 + 1 - first)
        right = math.sqrt(last) * mean + math.sqrt(last * std**2 + 1 - last) * z
        errors.append(float((x.double() - right).square().mean().sqrt()))
    return errors


def _require_slope(got: dict, inputs: dict, order: int, low: float, high: float) -> None:
    errors = errors_of(got, inputs)
    shown = ", ".join(f"{error:.3g} in {n} steps" for error, n in zip(errors, HALVINGS))
    require(max(errors) < 0.2, "walks that arrive near the exact solution", f"errors of {shown}")
    for coarse, fine in zip(errors, errors[1:]):
        slope = math.log2(coarse / max(fine, 1e-12))
        require(
            low < slope < high,
            f"an error that falls to about 1/{2**order} when the steps are half as long",
            f"errors of {shown}",
        )


@check(
    "7.2",
    probe=probes.ddim_walks,
    inputs=finer_and_finer,
    call=SEVEN_TWO + ", over the same way in 8, 16 and 32 steps, for Gaussian data",
)
def test_ddim_is_of_first_order(got, ref, inputs):
    """With steps half as long, DDIM's error is about half as large"""
    _require_slope(got, inputs, 1, 0.9, 1.1)


@check(
    "7.2",
    probe=probes.ddim_together_and_alone,
    inputs=lambda g: step_inputs(g, [4, 0, 7, 3, 6], [1, -1, 6, 0, 2], (2, 3, 5), eta=0.7),
    call=SEVEN_TWO + ", x_t of shape (5, 2, 3, 5), as many images as columns, not contiguous",
)
def test_ddim_treats_each_image_alone(got, ref, inputs):
    """An image's step is the same alone as in a batch as large as the image is wide"""
    require_alone(got, inputs, "x_next", atol=2e-5)


@check(
    "7.2",
    probe=probes.ddim_elsewhere,
    inputs=lambda g: step_inputs(g, [7, 0, 4], [3, -1, 0]),
    call=SEVEN_TWO + ", all of it on another device than the CPU",
    seconds=SECONDS,
)
def test_ddim_works_on_any_device(got, ref, inputs):
    """The step works where the images and the schedule are, on whatever device"""
    require_same_device(got["places"], "x_next")


# 7.3

SEVEN_THREE = "dpm_step(x_t, t, t_next, eps, alpha_bars, predict_x0)"


def dpm_formula(inputs: dict, D: Tensor) -> Tensor:
    """The step of DPM-Solver++ with this D in the place of x_0."""
    a, a_next = bar_at(inputs), bar_at(inputs, "t_next")
    ratio = ((1 - a_next) / (1 - a)).sqrt()
    # e^(-h), written out: sqrt(a / (1 - a)) * sqrt((1 - a_next) / a_next)
    shrunk = (a / (1 - a)).sqrt() * ((1 - a_next) / a_next).sqrt()
    return (ratio * inputs["x_t"].double() - a_next.sqrt() * (shrunk - 1) * D).float()


@check(
    "7.3",
    probe=probes.dpm,
    inputs=lambda g: step_inputs(g, [7, 0, 4], [3, -1, 0], (2, 5, 4)),
    call=SEVEN_THREE + ", x_t of shape (3, 2, 5, 4), t = [7, 0, 4], t_next = [3, -1, 0]",
)
def test_dpm_returns_images(got, ref, inputs):
    """x_next has the shape of x_t, and its dtype, and holds no NaN where h is infinite"""
    require_tensor(got["x"], "x_next", (3, 2, 5, 4))


@check(
    "7.3",
    probe=probes.dpm,
    inputs=lambda g: step_inputs(g, [7, 0, 4], [-1, -1, -1]),
    call=SEVEN_THREE + ", t = [7, 0, 4], t_next = [-1, -1, -1]",
)
def test_dpm_lands_on_x0(got, ref, inputs):
    """The step to t_next = -1, where h is infinite, lands on x_0"""
    _require_landing(got, inputs)


@check(
    "7.3",
    probe=probes.dpm,
    inputs=lambda g: step_inputs(g, [7, 3, 0, 5], [2, 1, -1, 4]),
    call=SEVEN_THREE + ", t = [7, 3, 0, 5], t_next = [2, 1, -1, 4]",
)
def test_dpm_is_ddim_without_noise(got, ref, inputs):
    """The step is that of DDIM with eta = 0, for each image at its own t and t_next"""
    require_close(
        got["x"],
        ddim_mean(inputs),
        "the same x_0 and the same eps, mixed as the schedule mixes them at t_next",
        "x_next",
        atol=3e-5,
    )


@check(
    "7.3",
    probe=probes.dpm_with_another_guess,
    inputs=lambda g: step_inputs(g, [7, 3, 0, 5], [2, 1, -1, 4]),
    call=SEVEN_THREE + ANOTHER_GUESS,
)
def test_dpm_asks_predict_x0(got, ref, inputs):
    """The guess of x_0 is the one that predict_x0 makes, which is handed in"""
    require_the_guess_of_predict_x0(got, dpm_formula(inputs, other_x0(inputs)))


@check(
    "7.3",
    probe=probes.dpm_hands_over,
    inputs=lambda g: step_inputs(g, [7, 3, 0, 5], [2, 1, -1, 4]),
    call=SEVEN_THREE + ", looking at what predict_x0 is handed",
)
def test_dpm_hands_over_steps_and_schedule(got, ref, inputs):
    """predict_x0 is handed the images' steps as they are, and the full schedule"""
    require_handed_over(got)


@check(
    "7.3",
    probe=probes.dpm,
    inputs=lambda g: step_inputs(g, [6, 0, 7, 2], [3, -1, 5, 0], clean=False),
    call=SEVEN_THREE + ", where eps points to an x_0 far outside [-1, 1]",
)
def test_dpm_clips_x0(got, ref, inputs):
    """x_0 is clipped to [-1, 1], and x_t is not"""
    require_close(
        got["x"],
        dpm_formula(inputs, guess_x0(inputs)),
        "the exact step for a constant x_0, which is the clipped guess, from the whole x_t",
        "x_next",
        atol=5e-5,
    )


def detour(g: torch.Generator) -> dict:
    inputs = step_inputs(g, [7, 5, 6, 4], [1, 0, -1, 2], (2, 5, 3))
    x0 = 1.6 * torch.rand(inputs["x_t"].shape, generator=g) - 0.8
    return {**inputs, "t_between": torch.tensor([3, 2, 4, 3]), "x0": x0}


@check(
    "7.3",
    probe=probes.dpm_at_once_and_in_two,
    inputs=detour,
    call=SEVEN_THREE + ", at once and by way of a step between, with the eps of the same x_0",
)
def test_dpm_is_exact_where_x0_stays(got, ref, inputs):
    """As long as x_0 stays the same, two steps lead where one does"""
    once = require_tensor(got["once"], "x_next", tuple(inputs["x_t"].shape))
    require_close(
        got["twice"],
        once,
        "the same images by way of a step between as at once",
        "x_next in two steps",
        atol=3e-5,
    )


@check(
    "7.3",
    probe=probes.dpm,
    inputs=lambda g: steep_inputs(g, *STEEP),
    call=SEVEN_THREE + STEEP_CALL,
)
def test_dpm_survives_a_steep_schedule(got, ref, inputs):
    """The step is right where lambda is far below 0 as well"""
    require_close(
        got["x"],
        dpm_formula(inputs, guess_x0(inputs)),
        "the exact step for a constant x_0, also in the first steps of a cosine schedule",
        "x_next",
        **EXACT,
    )


@check(
    "7.3",
    probe=probes.dpm_walks,
    inputs=finer_and_finer,
    call=SEVEN_THREE + ", over the same way in 8, 16 and 32 steps, for Gaussian data",
)
def test_dpm_is_of_first_order(got, ref, inputs):
    """With steps half as long, the error is about half as large"""
    _require_slope(got, inputs, 1, 0.9, 1.1)


@check(
    "7.3",
    probe=probes.dpm_together_and_alone,
    inputs=lambda g: step_inputs(g, [4, 0, 7, 3, 6], [1, -1, 6, 0, 2], (2, 3, 5)),
    call=SEVEN_THREE + ", x_t of shape (5, 2, 3, 5), as many images as columns, not contiguous",
)
def test_dpm_treats_each_image_alone(got, ref, inputs):
    """An image's step is the same alone as in a batch as large as the image is wide"""
    require_alone(got, inputs, "x_next", atol=2e-5)


@check(
    "7.3",
    probe=probes.dpm_elsewhere,
    inputs=lambda g: step_inputs(g, [7, 0, 4], [3, -1, 0]),
    call=SEVEN_THREE + ", all of it on another device than the CPU",
    seconds=SECONDS,
)
def test_dpm_works_on_any_device(got, ref, inputs):
    """The step works where the images and the schedule are, on whatever device"""
    require_same_device(got["places"], "x_next")


# 7.4

SEVEN_FOUR = "dpm_2m_step(x_t, t, t_next, eps, alpha_bars, predict_x0, memory)"


def two_steps(
    g, t_before, t, t_next, shape=(2, 5, 3), clean=True, clean_before=True, bars=None
) -> dict:
    """The images of a step, and those of the step before it, which are not related."""
    bars = irregular_bars(g, 8, least=0.2) if bars is None else bars
    inputs = step_inputs(g, t, t_next, shape, bars=bars, clean=clean)
    t_before = torch.tensor(t_before)
    x_before, eps_before = images_at(g, bars, t_before, shape, clean_before)
    return {**inputs, "t_before": t_before, "x_before": x_before, "eps_before": eps_before}


def guess_before(inputs: dict) -> Tensor:
    return guess_x0(inputs, "x_before", "t_before", "eps_before")


def lambda_at(inputs: dict, name: str) -> Tensor:
    return half_log_snr(bar_at(inputs, name))


def halfway(inputs: dict, x0_before: Tensor, x0: Tensor | None = None) -> Tensor:
    """D of algorithm 2, which is x_0 where the step lands."""
    x0, now = guess_x0(inputs) if x0 is None else x0, lambda_at(inputs, "t")
    h, h_before = lambda_at(inputs, "t_next") - now, now - lambda_at(inputs, "t_before")
    D = x0 + (x0 - x0_before) * h / (2 * h_before)
    return torch.where(inputs["t_next"].view(-1, 1, 1, 1) < 0, x0, D)


@check(
    "7.4",
    probe=probes.first_of_2m,
    inputs=lambda g: two_steps(g, [7, 5, 6], [4, 1, 3], [2, -1, 0], (2, 5, 4)),
    call=SEVEN_FOUR + ", without a memory, x_t of shape (3, 2, 5, 4)",
)
def test_2m_returns_images_and_a_memory(got, ref, inputs):
    """The result is a pair: the images, and a memory for the next step"""
    require_tensor(got["left out"], "x_next", (3, 2, 5, 4))
    require(
        got["memory"],
        "a tuple of two, (x_next, memory), the memory not None",
        "something that is not such a tuple",
    )


@check(
    "7.4",
    probe=probes.first_of_2m,
    inputs=lambda g: two_steps(g, [7, 5, 6, 7], [4, 1, 3, 6], [2, -1, 0, 5]),
    call=SEVEN_FOUR + ", without a memory, with None, and with None after another step",
)
def test_2m_begins_with_first_order(got, ref, inputs):
    """Without a memory the step is of first order, also after other steps"""
    for kind, words in (
        ("left out", "without a memory"),
        ("none", "with memory = None"),
        ("after", "with memory = None, after a step of another walk"),
    ):
        require_close(
            got[kind],
            dpm_formula(inputs, guess_x0(inputs)),
            f"{words}, the step of first order",
            "x_next",
            atol=3e-5,
        )


@check(
    "7.4",
    probe=probes.second_of_2m,
    inputs=lambda g: two_steps(g, [7, 6, 5, 7, 7], [5, 3, 4, 6, 1], [2, 1, 3, 0, 0]),
    call=SEVEN_FOUR + ", the second step of a walk; t_before = [7, 6, 5, 7, 7], "
    "t = [5, 3, 4, 6, 1], t_next = [2, 1, 3, 0, 0]",
)
def test_2m_looks_back(got, ref, inputs):
    """The second step works with x_0 as it will be halfway, if it goes on changing as it did"""
    require_close(
        got["x"],
        dpm_formula(inputs, halfway(inputs, guess_before(inputs))),
        "the step with D, which is x_0 halfway in lambda if it goes on changing as it did",
        "x_next",
        rtol=1e-3,
        atol=1e-4,  # float32: r is a ratio of differences of lambda
    )


@check(
    "7.4",
    probe=probes.second_with_another_guess,
    inputs=lambda g: two_steps(g, [7, 6, 5, 4], [5, 3, 4, 2], [2, 1, 3, 1]),
    call=SEVEN_FOUR + ANOTHER_GUESS + ", in both steps",
)
def test_2m_asks_predict_x0(got, ref, inputs):
    """Both guesses of x_0 are those that predict_x0 makes, which is handed in"""
    before = other_x0(inputs, "x_before", "t_before", "eps_before")
    require_the_guess_of_predict_x0(
        got, dpm_formula(inputs, halfway(inputs, before, other_x0(inputs)))
    )


@check(
    "7.4",
    probe=probes.hands_over_of_2m,
    inputs=lambda g: two_steps(g, [7, 6, 5, 4], [5, 3, 4, 2], [2, 1, 3, 1]),
    call=SEVEN_FOUR + ", the second step of a walk, looking at what predict_x0 is handed",
)
def test_2m_hands_over_steps_and_schedule(got, ref, inputs):
    """predict_x0 is handed the images' steps as they are, and the full schedule"""
    require_handed_over(got)


@check(
    "7.4",
    probe=probes.second_of_2m,
    inputs=lambda g: two_steps(g, [7, 6, 5, 4], [5, 3, 4, 2], [-1, 1, -1, 0]),
    call=SEVEN_FOUR + ", the second step of a walk; t_next = [-1, 1, -1, 0]",
)
def test_2m_lands_with_first_order(got, ref, inputs):
    """The step to t_next = -1 lands on x_0, whatever the other images of the batch do"""
    x = require_tensor(got["x"], "x_next", tuple(inputs["x_t"].shape))
    landing = inputs["t_next"] < 0
    require_close(
        x[landing],
        guess_x0(inputs)[landing].float(),
        "where t_next = -1, the x_0 that eps points to",
        "the image",
        atol=2e-5,
    )
    require_close(
        x[~landing],
        dpm_formula(inputs, halfway(inputs, guess_before(inputs)))[~landing],
        "where t_next is a step, second order",
        "x_next",
        rtol=1e-3,
        atol=1e-4,
    )


@check(
    "7.4",
    probe=probes.second_of_2m,
    inputs=lambda g: two_steps(
        g, [7, 6, 5, 4], [5, 3, 4, 2], [2, 1, 3, -1], clean=False, clean_before=False
    ),
    call=SEVEN_FOUR + ", where eps points to an x_0 far outside [-1, 1], now and before",
)
def test_2m_clips_both_guesses(got, ref, inputs):
    """Both guesses of x_0 are clipped to [-1, 1]; D and x_t are not"""
    require_close(
        got["x"],
        dpm_formula(inputs, halfway(inputs, guess_before(inputs))),
        "D made of two clipped guesses, and not clipped itself",
        "x_next",
        rtol=1e-3,
        atol=2e-4,
    )


def four_steps(g: torch.Generator) -> dict:
    """Four steps on one walk, each with images and eps of its own."""
    bars = irregular_bars(g, 9, least=0.2)
    grids = [[8, 7, 8], [6, 5, 7], [5, 3, 5], [2, 1, 4], [-1, 0, 2]]
    steps = []
    for t, t_next in zip(grids, grids[1:]):
        part = step_inputs(g, t, t_next, (2, 3, 4), bars=bars)
        steps.append({name: part[name] for name in ("x_t", "t", "t_next", "eps")})
    return {"alpha_bars": bars, "steps": steps}


@check(
    "7.4",
    probe=probes.chain_of_2m,
    inputs=four_steps,
    call=SEVEN_FOUR + ", four steps of a walk, each with the memory of the one before",
)
def test_2m_looks_back_one_step(got, ref, inputs):
    """Each step looks back to the step just before it"""
    before = None
    for number, (part, x) in enumerate(zip(inputs["steps"], got["x"]), start=1):
        part = {**part, "alpha_bars": inputs["alpha_bars"]}
        D = guess_x0(part)
        if before is not None:
            D = halfway({**part, "t_before": before["t"]}, guess_x0(before))
        require_close(
            x,
            dpm_formula(part, D),
            f"in step {number} of a walk, the D that follows from this step's x_0 and the last's",
            f"x_next of step {number}",
            rtol=1e-3,
            atol=1e-4,
        )
        before = part


def two_walks(g: torch.Generator) -> dict:
    bars = irregular_bars(g, 8, least=0.2)
    walks = []
    for grid in ([[7, 6], [5, 3], [2, 1]], [[6, 7], [4, 4], [3, 2]]):
        parts = []
        for t, t_next in zip(grid, grid[1:]):
            part = step_inputs(g, t, t_next, (2, 3, 4), bars=bars)
            parts.append({name: part[name] for name in ("x_t", "t", "t_next", "eps")})
        walks.append(parts)
    return {"alpha_bars": bars, "two walks": walks}


@check(
    "7.4",
    probe=probes.two_walks_of_2m,
    inputs=two_walks,
    call=SEVEN_FOUR + ", two walks whose steps alternate, each step taken twice",
)
def test_2m_remembers_nothing_of_its_own(got, ref, inputs):
    """All that a step knows of the past is the memory that it is handed"""
    for parts, name in zip(inputs["two walks"], ("first", "second")):
        parts = [{**part, "alpha_bars": inputs["alpha_bars"]} for part in parts]
        wanted = [
            dpm_formula(parts[0], guess_x0(parts[0])),
            dpm_formula(
                parts[1], halfway({**parts[1], "t_before": parts[0]["t"]}, guess_x0(parts[0]))
            ),
        ]
        for number, x in enumerate(got[name]):
            require_close(
                x,
                wanted[number // 2],
                "each of two walks as if it were alone, and a step with the same memory the same",
                f"x_next of step {number // 2 + 1} of the {name} walk",
                rtol=1e-3,
                atol=1e-4,
            )


def exact_of_2m(inputs: dict, walk: dict) -> Tensor:
    """Where a walk of 2M arrives for Gaussian data: x = p * x_T + q, and x_0 so too."""
    grid, bars = walk["grid"], walk["alpha_bars"].double().tolist()
    p, q, before = 1.0, 0.0, None
    for now, following in zip(grid[:-1], grid[1:]):
        a, a_next = bars[now], 1.0 if following < 0 else bars[following]
        slope, offset = x0_line(a, inputs["mean"], inputs["std"])
        x0 = (slope * p, slope * q + offset)
        D = x0
        level = math.log(a / (1 - a)) / 2
        if before is not None and following >= 0:
            h = math.log(a_next / (1 - a_next)) / 2 - level
            weight = h / (2 * (level - before[0]))
            D = tuple(new + weight * (new - old) for new, old in zip(x0, before[1]))
        before = (level, x0)
        ratio = math.sqrt((1 - a_next) / (1 - a))
        pull = math.sqrt(a_next) - ratio * math.sqrt(a)
        p, q = ratio * p + pull * D[0], ratio * q + pull * D[1]
    return p * inputs["x_T"].double() + q


@check(
    "7.4",
    probe=probes.walks_of_2m,
    inputs=lambda g: gaussian_walks(g, (0.0,)),
    call=SEVEN_FOUR + ", over a grid of 5 steps, with the exact eps of Gaussian data",
)
def test_2m_walks_as_theory_says(got, ref, inputs):
    """For Gaussian data a walk arrives where the recursion of its mean and variance says"""
    for walk, x in zip(inputs["walks"], got["x"]):
        require_close(
            x,
            exact_of_2m(inputs, walk).float(),
            "the images that follow from x_T, step by step",
            "x_0",
            rtol=1e-3,
            atol=2e-4,
        )


@check(
    "7.4",
    probe=probes.walks_of_2m,
    inputs=finer_and_finer,
    call=SEVEN_FOUR + ", over the same way in 8, 16 and 32 steps, for Gaussian data",
)
def test_2m_is_of_second_order(got, ref, inputs):
    """With steps half as long, the error is about a quarter as large"""
    _require_slope(got, inputs, 2, 1.8, 2.2)


def two_steep_steps(g: torch.Generator) -> dict:
    inputs = steep_inputs(g, [930, 990, 600, 200], [850, 950, 400, 0])
    before = steep_inputs(g, [999, 999, 800, 400], [0, 0, 0, 0])
    names = {"x_before": "x_t", "t_before": "t", "eps_before": "eps"}
    return {**inputs, **{name: before[other] for name, other in names.items()}}


@check(
    "7.4",
    probe=probes.second_of_2m,
    inputs=two_steep_steps,
    call=SEVEN_FOUR + ", on the cosine schedule from t = 999 on, where alpha_bar is 2e-9",
)
def test_2m_survives_a_steep_schedule(got, ref, inputs):
    """The step is right where lambda is far below 0 as well"""
    require_close(
        got["x"],
        dpm_formula(inputs, halfway(inputs, guess_before(inputs))),
        "the step with D in the place of x_0, also in the first steps of a cosine schedule",
        "x_next",
        rtol=1e-3,
        atol=5e-4,
    )


@check(
    "7.4",
    probe=probes.together_and_alone_of_2m,
    inputs=lambda g: two_steps(g, [7, 5, 6, 4, 7], [4, 3, 5, 2, 6], [1, -1, 3, 0, 2], (2, 3, 5)),
    call=SEVEN_FOUR + ", x_t of shape (5, 2, 3, 5), as many images as columns, not contiguous",
)
def test_2m_treats_each_image_alone(got, ref, inputs):
    """An image's step is the same alone as in a batch as large as the image is wide"""
    require_alone(got, inputs, "x_next", atol=2e-5)


@check(
    "7.4",
    probe=probes.elsewhere_of_2m,
    inputs=lambda g: two_steps(g, [7, 5, 6], [4, 1, 3], [2, -1, 0]),
    call=SEVEN_FOUR + ", all of it on another device than the CPU",
    seconds=SECONDS,
)
def test_2m_works_on_any_device(got, ref, inputs):
    """The step works where the images and the schedule are, on whatever device"""
    require_same_device(got["places"], "x_next")


# 7.5

SEVEN_FIVE = "fast_sample(predict_eps, step, x_T, timesteps, generator)"


def walk_inputs(g: torch.Generator, shape=(3, 2, 4, 5), grid=(17, 13, 8, 7, 2), **more) -> dict:
    """Images and answers for a walk, and a seed for its noise."""
    seed, g = seed_and_stream(g)
    return {
        "seed": seed,
        **walk_answers(g, shape, len(grid)),
        "grid": torch.tensor(grid),
        **more,
    }


GRID = ", timesteps = [17, 13, 8, 7, 2]"


@check("7.5", probe=probes.returned, inputs=walk_inputs, call=SEVEN_FIVE + GRID)
def test_walk_returns_images_and_film(got, ref, inputs):
    """The result is a pair: the images, and the list of the film's frames"""
    require_images_and_film(got, inputs)


def several_grids(g: torch.Generator) -> dict:
    grids = [torch.tensor(grid) for grid in ([17, 13, 8, 7, 2], [9, 4, 3, 0], [6])]
    return walk_inputs(g, grids=grids)


@check(
    "7.5",
    probe=probes.visited,
    inputs=several_grids,
    call=SEVEN_FIVE + ", timesteps = [17, 13, 8, 7, 2], [9, 4, 3, 0] and [6]",
)
def test_walk_goes_over_the_grid(got, ref, inputs):
    """The walk goes from each step of the grid to the next one, and from the last to -1"""
    for grid, walk in zip(inputs["grids"], got["walks"]):
        grid = grid.tolist()
        require(
            walk["network"] == grid,
            f"predict_eps to be called once with each t of the grid: {grid}",
            f"calls with t = {walk['network']}",
        )
        wanted = [[now, following] for now, following in zip(grid, [*grid[1:], -1])]
        shown = ", ".join(f"{now} to {following}" for now, following in walk["steps"])
        require(
            walk["steps"] == wanted,
            "step to be called with (t, t_next) = each t of the grid and the one after it, "
            "or -1 after the last",
            f"steps from {shown or 'nothing'}",
        )


@check(
    "7.5",
    probe=probes.visited,
    inputs=several_grids,
    call=SEVEN_FIVE + ", three grids, B = 3",
)
def test_walk_hands_out_batches_of_steps(got, ref, inputs):
    """t and t_next are batches: one int64 number for each image"""
    for grid, walk in zip(inputs["grids"], got["walks"]):
        require(
            len(walk["network"]) >= len(grid),
            f"predict_eps to be called in each of the {len(grid)} steps",
            f"{len(walk['network'])} of its calls",
        )
        for name, words in (
            ("forms of network", "the t of predict_eps"),
            ("forms of t", "the t of step"),
            ("forms of t_next", "t_next"),
        ):
            require(
                walk[name] == ["int64 tensor of shape (3,)"],
                f"{words} to be an int64 tensor of shape (3,) in every call",
                f"{words}: {' and '.join(walk[name])}",
            )


@check("7.5", probe=probes.chain, inputs=walk_inputs, call=SEVEN_FIVE + GRID)
def test_walk_goes_on_from_where_it_is(got, ref, inputs):
    """The network is asked at every step, about the images that the step before made"""
    for kind in ("without", "with"):
        for number, (seen, arguments) in enumerate(zip(got[kind]["network"], got[kind]["steps"])):
            wanted = f"the images of step {number}" if number else "x_T"
            require(seen == wanted, f"predict_eps number {number + 1} to be handed {wanted}", seen)
            for place, value, right in (
                ("first", arguments[0], wanted),
                ("fourth", arguments[3], f"the eps of call {number + 1}"),
            ):
                require(
                    value == right,
                    f"the {place} argument of step number {number + 1} to be {right}",
                    value,
                )
        require(
            got[kind]["x0"] == "the images of step 5",
            "the images of the last step",
            got[kind]["x0"],
        )


@check(
    "7.5",
    probe=probes.memories,
    inputs=lambda g: walk_inputs(g, film_steps=[13, 7]),
    call=SEVEN_FIVE + GRID + ", two walks, the second one filmed",
)
def test_walk_carries_the_memory(got, ref, inputs):
    """Each step gets the memory of the step before, and the first step of every walk gets None"""
    for which, seen in zip(("first", "second"), got["walks"]):
        for number, memory in enumerate(seen):
            wanted = f"the memory of step {number}" if number else "None"
            require(
                memory == wanted,
                f"step number {number + 1} of the {which} walk to be handed {wanted} as its memory",
                memory,
            )


@check(
    "7.5",
    probe=probes.film,
    inputs=lambda g: walk_inputs(g, film_steps=[7, 17, 2, 8]),
    call="fast_sample(..., film_steps), film_steps = [7, 17, 2, 8], as a set, or none" + GRID,
)
def test_walk_keeps_a_film(got, ref, inputs):
    """The film holds what the chosen steps made, the noisiest first"""
    require(
        got["none"] == [],
        "an empty film if no film_steps are handed in",
        f"a film of length {len(got['none'])}",
    )
    for kind in ("list", "set"):
        require(
            got[kind] == [f"the images of step {number}" for number in (1, 3, 4, 5)],
            f"with film_steps as a {kind}, the results of the steps t = 17, 8, 7 and 2, which are "
            "steps 1, 3, 4 and 5, and to stay so",
            f"{got[kind]}",
        )


@check("7.5", probe=probes.silence, inputs=walk_inputs, call=SEVEN_FIVE + ", generator = None")
def test_walk_draws_no_noise_without_a_generator(got, ref, inputs):
    """Without a generator no noise is drawn, and the steps are handed None"""
    require(
        all(noise == "None" for noise in got["noise"]),
        "the noise handed to step to be None",
        next((noise for noise in got["noise"] if noise != "None"), ""),
    )
    require(
        not got["drawn"],
        "torch's own random generator to stay as it was",
        "random numbers were drawn from it",
    )


@check(
    "7.5",
    probe=probes.fresh_noise,
    inputs=lambda g: walk_inputs(g, (8, 2, 10, 12), grid=(19, 17, 12, 9, 8, 4, 1)),
    call=SEVEN_FIVE + ", with a generator, looking at the noise of all steps",
)
def test_walk_draws_fresh_noise(got, ref, inputs):
    """With a generator the noise is standard normal, and new for every step, image and pixel"""
    wanted = "float32 tensor of shape (8, 2, 10, 12)"
    require(
        got["forms"] == [wanted],
        f"noise to be a {wanted} in every step",
        " and ".join(got["forms"]),
    )
    require(not got["zeros"], "noise in every step, the last one too", "a step handed zeros")
    require_bell_curve(got)
    require_fresh_draws(got)


@check(
    "7.5",
    probe=probes.generator_use,
    inputs=walk_inputs,
    call=SEVEN_FIVE + ", several times, with equal and with other generators",
)
def test_walk_draws_from_the_generator(got, ref, inputs):
    """The same generator gives the same images, another gives others, and torch's own is left be"""
    require_generator_decides(got)
    require(
        got["torch's own untouched"],
        "torch's own random generator to stay as it was",
        "it was used, or given a seed",
    )


@check(
    "7.5",
    probe=probes.gradient_graph,
    inputs=lambda g: walk_inputs(g, film_steps=[17, 8, 2]),
    call="fast_sample(...), with a predict_eps that has a trainable weight",
)
def test_walk_builds_no_graph(got, ref, inputs):
    """Sampling builds no graph for gradients, which would fill the memory, and then ends that"""
    require_no_graph(got)
    require(
        got["afterwards"],
        "gradients to be switched on again after the walk",
        "gradients switched off for good",
    )


@check(
    "7.5",
    probe=probes.walk_elsewhere,
    inputs=walk_inputs,
    call=SEVEN_FIVE + ", x_T on another device than the CPU",
    seconds=SECONDS,
)
def test_walk_works_on_any_device(got, ref, inputs):
    """t, t_next and the noise are made where the images are, on whatever device"""
    for name, words in (("t", "t"), ("t_next", "t_next"), ("noise", "the noise"), ("x_0", "x_0")):
        require_same_device(got[name], words)


def guided_inputs(g: torch.Generator) -> dict:
    return {
        "x_T": torch.randn(6, 2, 4, 5, generator=g),
        "alpha_bars": irregular_bars(g, 12),
        "grid": torch.tensor([11, 8, 5, 4, 1]),
        **GAUSSIANS,
    }


def guided_result(inputs: dict) -> Tensor:
    """Where a guided walk arrives: every step is x -> p x + q, of each class its own."""
    bars, grid = inputs["alpha_bars"].double().tolist(), inputs["grid"].tolist()
    halves = list(inputs["x_T"].double().chunk(2))
    for now, following in zip(grid, [*grid[1:], -1]):
        a, a_next = bars[now], 1.0 if following < 0 else bars[following]
        for i, class_mean in enumerate(inputs["class_means"]):
            slope, offset = guided_eps_line(a, inputs, class_mean)
            eps = slope * halves[i] + offset
            x0 = (halves[i] - math.sqrt(1 - a) * eps) / math.sqrt(a)
            halves[i] = math.sqrt(a_next) * x0 + math.sqrt(1 - a_next) * eps
    return torch.cat(halves)


@check(
    "7.5",
    probe=probes.gaussian_walk,
    inputs=guided_inputs,
    call=SEVEN_FIVE + ", for data that is Gaussian, with the exact eps and guidance w = 0.8; "
    "x_T not contiguous",
)
def test_walk_samples_as_theory_says(got, ref, inputs):
    """For Gaussian data a guided walk arrives where theory says"""
    require_close(
        got["x0"],
        guided_result(inputs).float(),
        "the images that follow from x_T, with guidance in every step",
        "x_0",
        rtol=1e-3,
        atol=1e-4,
    )
