"""Checks of chapter 01: the noise schedule."""

import math

import torch

from checks.probes import ch01_noise_schedule as probes
from course.checking import check, require, require_close, require_tensor


def draw_betas(g: torch.Generator, num_steps: int) -> torch.Tensor:
    """Irregular betas between 0.02 and 0.4: nothing in them is even, sorted or symmetric."""
    return 0.02 + 0.38 * torch.rand(num_steps, generator=g)


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
    require_close(betas, ref["betas"], "equal steps between neighbouring betas", "betas")


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
        "every beta, a variance, between 0 and 1",
        f"betas from {float(betas.min()):.6g} to {float(betas.max()):.6g}",
    )
    s = 0.008
    u = torch.arange(12, dtype=torch.float64) / 11
    f = torch.cos((u + s) / (1 + s) * math.pi / 2) ** 2
    # All but the last step, whose beta is clipped.
    alpha_bars = torch.cumprod(1 - betas, dim=0)[:-1]
    require_close(
        alpha_bars.float(),
        (f[1:-1] / f[0]).float(),
        "(1 - beta_0) ... (1 - beta_t) to equal f((t+1)/T) / f(0)",
        "that product",
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
    inputs=lambda g: {"betas": draw_betas(g, 6)},
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
    ratios = alpha_bars[1:] / alpha_bars[:-1]
    require_close(
        ratios,
        1 - inputs["betas"][1:],
        "alpha_bar_t / alpha_bar_{t-1} = 1 - beta_t at every t",
        "that ratio",
    )


@check(
    "1.3",
    probe=probes.alpha_bars,
    inputs=lambda g: {"betas": torch.linspace(1e-4, 0.02, 1000, dtype=torch.float64)},
    call="compute_alpha_bars(betas), 1000 linear betas in float64",
)
def test_alpha_bars_of_a_long_schedule(got, ref, inputs):
    """A thousand steps of the linear schedule leave hardly any signal"""
    require_close(got["alpha_bars"], ref["alpha_bars"], "the running product of 1 - beta", atol=0)


# 1.4


def schedule_betas(g: torch.Generator) -> dict:
    return {"betas": draw_betas(g, 8)}


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
        prev[1:], got["alpha_bars"][:-1], "alpha_bars_prev[t] = alpha_bars[t-1]", "alpha_bars_prev"
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
    require_close(
        x0_coef + xt_coef * alpha_bars.sqrt(),
        prev.sqrt(),
        "x0_coef + xt_coef * sqrt(alpha_bar_t) = sqrt(alpha_bar_{t-1}) (law of total mean)",
        "the left side",
    )
    require_close(
        got["posterior_variance"] + xt_coef**2 * (1 - alpha_bars),
        1 - prev,
        "posterior_variance + xt_coef^2 (1 - alpha_bar_t) = 1 - alpha_bar_{t-1} "
        "(law of total variance)",
        "the left side",
    )
    for name in ("posterior_x0_coef", "posterior_xt_coef", "posterior_variance"):
        require_close(got[name], ref[name], f"{name} as in the docstring's formula", name)


@check(
    "1.4",
    probe=probes.schedule,
    inputs=lambda g: {"betas": 1e-5 + 1e-4 * torch.rand(9, generator=g, dtype=torch.float64)},
    call="make_schedule(betas), 9 very small betas in float64",
)
def test_schedule_is_precise_for_small_betas(got, ref, inputs):
    """Small betas keep their digits in every table"""
    for name in probes.TABLES:
        require_close(
            got[name],
            ref[name],
            f"{name} computed in float64 (1 - alpha_bar loses its digits in float32)",
            name,
            rtol=1e-4,
            atol=1e-12,
        )


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
    require_close(
        torch.sigmoid(value),
        inputs["alpha_bars"],
        "sigmoid(log-SNR) to give alpha_bar back (natural logarithm, powers)",
        "sigmoid(log-SNR)",
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
