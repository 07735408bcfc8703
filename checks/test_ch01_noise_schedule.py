"""Checks of chapter 01: the noise schedule."""

import math

import torch

from checks.probes import ch01_noise_schedule as probes
from checks.theory import cosine_curve, irregular_betas, require_each
from course.grading.checking import check, require, require_close, require_tensor


def draw_tiny_betas(g: torch.Generator, dtype: torch.dtype) -> dict:
    """Betas between 1e-7 and 1e-6. In float32, 1 - beta is off by up to 3e-8, a third of the least.

    In float64 all tables keep nine digits.
    """
    return {"betas": (1e-7 * (1 + 9 * torch.rand(9, generator=g, dtype=torch.float64))).to(dtype)}


# 1.1


@check(
    "1.1",
    probe=probes.linear_betas,
    inputs=lambda g: {"num_steps": 7, "beta_start": 0.01, "beta_end": 0.31},
    call="linear_betas(num_steps=7, beta_start=0.01, beta_end=0.31)",
)
def test_linear_betas_rise_in_equal_steps(got, ref, inputs):
    """The betas rise in equal steps, both ends included"""
    betas = require_tensor(got["betas"], "betas", (7,))
    for end, name in ((0, "beta_start"), (-1, "beta_end")):
        require(
            math.isclose(float(betas[end]), inputs[name], rel_tol=1e-5),
            f"betas[{end}] to be {name}",
            f"betas[{end}] = {float(betas[end]):.6g}",
        )
    steps = betas.diff()
    # Each beta is rounded by at most 2e-8.
    require(
        float(steps.max() - steps.min()) < 1e-6,
        "equal steps between neighbouring betas",
        f"steps between {float(steps.min()):.4g} and {float(steps.max()):.4g}",
    )


@check(
    "1.1",
    probe=probes.linear_betas,
    inputs=lambda g: {"num_steps": 1000},
    call="linear_betas(num_steps=1000)",
)
def test_linear_betas_has_the_papers_defaults(got, ref, inputs):
    """Without further arguments the schedule is the one of the DDPM paper"""
    require_close(
        got["betas"],
        ref["betas"],
        "1000 betas in equal steps from 1e-4 to 0.02",
        "betas",
        rtol=1e-6,
        atol=0,
    )


# 1.2


@check(
    "1.2",
    probe=probes.cosine_betas,
    inputs=lambda g: {"num_steps": 11},
    call="cosine_betas(num_steps=11)",
)
def test_cosine_alpha_bars_follow_the_curve(got, ref, inputs):
    """The products of (1 - beta) follow the squared cosine"""
    betas = require_tensor(got["betas"], "betas", (11,)).double()
    require(
        bool((betas > 0).all() and (betas < 1).all()),
        "every beta above 0 and below 1",
        f"betas from {float(betas.min()):.6g} to {float(betas.max()):.6g}",
    )
    f = cosine_curve(11)
    # All but the last step, whose beta is clipped.
    alpha_bars, curve = torch.cumprod(1 - betas, dim=0)[:-1], f[1:-1] / f[0]
    require_each(
        alpha_bars,
        curve,
        "the product (1 - beta_0) ... (1 - beta_t) to follow the curve f((t+1)/T) / f(0)",
        lambda t: f"a product of {alpha_bars[t]:.4f} at t = {t}, where the curve is {curve[t]:.4f}",
        atol=1e-6,
    )
    require_close(got["betas"], ref["betas"], "the last beta clipped at max_beta", "betas")


@check(
    "1.2",
    probe=probes.cosine_betas,
    inputs=lambda g: {"num_steps": 9, "s": 0.05, "max_beta": 0.6},
    call="cosine_betas(num_steps=9, s=0.05, max_beta=0.6)",
)
def test_cosine_betas_uses_its_arguments(got, ref, inputs):
    """The offset s and the clip max_beta are the caller's"""
    betas = require_tensor(got["betas"], "betas", (9,))
    require(
        float(betas.max()) <= 0.6 + 1e-6,
        "no beta above max_beta = 0.6",
        f"a beta of {float(betas.max()):.6g}",
    )
    require_close(betas, ref["betas"], "betas made with s = 0.05, clipped at 0.6", "betas")


@check(
    "1.2",
    probe=probes.cosine_betas,
    inputs=lambda g: {"num_steps": 1000},
    call="cosine_betas(num_steps=1000)",
)
def test_cosine_betas_are_precise(got, ref, inputs):
    """With T = 1000 the first betas keep their digits"""
    require_close(
        got["betas"],
        ref["betas"],
        "betas computed in float64 (in float32, 1 - f/f loses the digits of small betas)",
        "betas",
        rtol=1e-5,
        atol=0,
    )


# 1.3


@check(
    "1.3",
    probe=probes.alpha_bars,
    inputs=lambda g: {"betas": irregular_betas(g, 6, least=0.02)},
    call="compute_alpha_bars(betas), betas of shape (6,)",
)
def test_alpha_bars_are_running_products(got, ref, inputs):
    """alpha_bar_t is the product of the first t+1 factors (1 - beta)"""
    alpha_bars = require_tensor(got["alpha_bars"], "alpha_bars", (6,))
    require(
        math.isclose(float(alpha_bars[0]), 1 - float(inputs["betas"][0]), rel_tol=1e-5),
        "alpha_bars[0] = 1 - beta_0, for t = 0 is already one step of noise",
        f"alpha_bars[0] = {float(alpha_bars[0]):.6g} with beta_0 = {float(inputs['betas'][0]):.6g}",
    )
    ratios, alphas = alpha_bars[1:] / alpha_bars[:-1], 1 - inputs["betas"][1:]
    require_each(
        ratios,
        alphas,
        "alpha_bar_t / alpha_bar_{t-1} = 1 - beta_t at every t",
        lambda i: f"a ratio of {ratios[i]:.4f} at t = {i + 1}, where 1 - beta_t = {alphas[i]:.4f}",
        atol=1e-6,
    )


@check(
    "1.3",
    probe=probes.alpha_bars,
    inputs=lambda g: {"betas": torch.linspace(1e-4, 0.02, 1000, dtype=torch.float64)},
    call="compute_alpha_bars(betas), 1000 linear betas in float64",
)
def test_alpha_bars_of_a_long_schedule(got, ref, inputs):
    """A thousand steps of the linear schedule leave hardly any signal"""
    require_close(
        got["alpha_bars"],
        ref["alpha_bars"],
        "the running product of 1 - beta",
        "alpha_bars",
        atol=0,
    )


@check(
    "1.3",
    probe=probes.alpha_bars,
    # In float32 the neighbours of 1 are 6e-8 away, so 1 - beta is 1 there for all of these.
    inputs=lambda g: {"betas": 1e-8 * (1 + torch.rand(1000, generator=g))},
    call="compute_alpha_bars(betas), 1000 betas of about 1.5e-8 in float32",
)
def test_alpha_bars_notice_tiny_betas(got, ref, inputs):
    """A thousand tiny losses add up"""
    alpha_bars = require_tensor(got["alpha_bars"], "alpha_bars", (1000,))
    # The exact loss differs from the sum of the betas, about 1.5e-5, by 1e-10.
    lost, total = 1 - float(alpha_bars[-1]), float(inputs["betas"].double().sum())
    require(
        abs(lost - total) < 2e-7,
        "alpha_bars to fall below 1 by as much as so small betas add up to",
        f"alpha_bars that fall by {lost:.3g} in the end, where the betas add up to {total:.3g}",
    )
    require_close(
        alpha_bars,
        ref["alpha_bars"],
        "a product that falls with every step",
        "alpha_bars",
        rtol=2e-7,
        atol=0,
    )


# 1.4


def schedule_betas(g: torch.Generator) -> dict:
    return {"betas": irregular_betas(g, 8, least=0.02)}


SCHEDULE_CALL = "make_schedule(betas), betas of shape (8,)"


@check("1.4", probe=probes.schedule, inputs=schedule_betas, call=SCHEDULE_CALL)
def test_schedule_tables_of_the_forward_process(got, ref, inputs):
    """betas, alphas and alpha_bars belong together"""
    require_close(got["betas"], inputs["betas"], "the betas that were handed in", "betas")
    require_close(got["alphas"], ref["alphas"], "alpha_t = 1 - beta_t", "alphas")
    require_close(
        got["alpha_bars"], ref["alpha_bars"], "the running product of alphas", "alpha_bars"
    )


@check("1.4", probe=probes.schedule, inputs=schedule_betas, call=SCHEDULE_CALL)
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


@check("1.4", probe=probes.schedule, inputs=schedule_betas, call=SCHEDULE_CALL)
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


@check("1.4", probe=probes.schedule, inputs=schedule_betas, call=SCHEDULE_CALL)
def test_schedule_posterior_agrees_with_the_forward_process(got, ref, inputs):
    """Averaged over x_t, the posterior gives back the forward process at t-1"""
    alpha_bars, prev = got["alpha_bars"], got["alpha_bars_prev"]
    x0_coef, xt_coef = got["posterior_x0_coef"], got["posterior_xt_coef"]
    mean, wanted_mean = x0_coef + xt_coef * alpha_bars.sqrt(), prev.sqrt()
    require_each(
        mean,
        wanted_mean,
        "posterior_x0_coef + posterior_xt_coef * sqrt(alpha_bar_t) = sqrt(alpha_bar_{t-1}): one "
        "step back from the mean of x_t lies the mean of x_{t-1}",
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
        require_close(got[name], ref[name], f"{name} as in the docstring's formula", name)


def require_precise_tables(got: dict, ref: dict) -> None:
    for name in probes.TABLES:
        require_close(
            got[name],
            ref[name],
            f"{name} computed in float64 (1 - alpha_bar loses its digits in float32)",
            name,
            rtol=1e-4,
            atol=1e-12,
        )


@check(
    "1.4",
    probe=probes.schedule,
    inputs=lambda g: draw_tiny_betas(g, torch.float64),
    call="make_schedule(betas), 9 betas below 1e-6 in float64",
)
def test_schedule_is_precise_for_small_betas(got, ref, inputs):
    """Small betas keep their digits in every table"""
    require_precise_tables(got, ref)


@check(
    "1.4",
    probe=probes.schedule,
    inputs=lambda g: draw_tiny_betas(g, torch.float32),
    call="make_schedule(betas), 9 betas below 1e-6 in float32",
)
def test_schedule_is_precise_for_float32_betas(got, ref, inputs):
    """Betas that come in float32 give tables that are just as precise"""
    require_precise_tables(got, ref)


# 1.5


@check(
    "1.5",
    probe=probes.log_snr,
    inputs=lambda g: {"alpha_bars": torch.tensor([0.96, 0.8, 0.5, 0.15, 0.004])},
    call="log_snr(alpha_bars), alpha_bars = [0.96, 0.8, 0.5, 0.15, 0.004]",
)
def test_log_snr_compares_powers(got, ref, inputs):
    """The log-SNR is the logarithm of signal power over noise power"""
    value = require_tensor(got["log_snr"], "the log-SNR", (5,))
    require(
        abs(float(value[2])) < 1e-5,
        "a log-SNR of 0 where alpha_bar = 0.5: signal and noise are equally strong",
        f"{float(value[2]):.6g}",
    )
    require(
        float(value[0]) > 0 > float(value[-1]),
        "a positive log-SNR where the signal is stronger, a negative one where the noise is",
        f"{float(value[0]):.6g} at alpha_bar = 0.96 and {float(value[-1]):.6g} at 0.004",
    )
    # The logistic function undoes log(p / (1 - p)), so this is theory and not the reference.
    back, alpha_bars = torch.sigmoid(value), inputs["alpha_bars"]
    require_each(
        back,
        alpha_bars,
        "torch.sigmoid, which undoes log(p / (1 - p)), to give alpha_bar back",
        lambda t: f"sigmoid(log-SNR) = {back[t]:.4g}, where alpha_bar = {alpha_bars[t]:.4g}",
        atol=1e-6,
    )


@check(
    "1.5",
    probe=probes.log_snr,
    inputs=lambda g: {"alpha_bars": 1 - torch.logspace(-9, -6, 5, dtype=torch.float64)},
    call="log_snr(alpha_bars), alpha_bars very close to 1, in float64",
)
def test_log_snr_is_precise_near_one(got, ref, inputs):
    """Where there is almost no noise the log-SNR is large and precise"""
    require_close(got["log_snr"], ref["log_snr"], "the log-SNR computed in float64", "the log-SNR")


def draw_halves(g: torch.Generator) -> dict:
    """alpha_bars beside 0.5, by 1e-5 to 1e-4.

    The ratio of signal and noise is then nearly 1, and rounded by up to 6e-8 in float32. Its
    logarithm is only some 2e-4, so it is off by more than 1e-6 of itself in nearly all of them.
    """
    side = 1 - 2 * torch.randint(2, (31,), generator=g)
    return {"alpha_bars": 0.5 + side * (1e-5 + 9e-5 * torch.rand(31, generator=g))}


@check(
    "1.5",
    probe=probes.log_snr,
    inputs=draw_halves,
    call="log_snr(alpha_bars), 31 alpha_bars within 0.0001 of 0.5, in float32",
)
def test_log_snr_is_precise_near_one_half(got, ref, inputs):
    """Where signal and noise are almost equally strong, the small log-SNR keeps its digits"""
    value = require_tensor(got["log_snr"], "the log-SNR", (31,)).double()
    alpha_bars = inputs["alpha_bars"].double()
    # log(p / (1 - p)) = 2 artanh(2p - 1), and 2p - 1 is exact here.
    target = 2 * torch.atanh(2 * alpha_bars - 1)
    error = (value / target - 1).abs()
    worst = int(error.argmax())
    require(
        float(error[worst]) < 1e-6,
        "a log-SNR with all the digits that float32 can show",
        f"a log-SNR that is off by {100 * error[worst]:.2g} % at alpha_bar = "
        f"{alpha_bars[worst]:.7f}",
    )
