"""Checks of chapter 01: the noise schedule."""

import math

import torch

from checks.probes import ch01_noise_schedule as probes
from checks.theory import cosine_curve, irregular_betas, require_each
from course.grading.checking import brief, check, require, require_close, require_tensor

# 1.1


def hundredths(g: torch.Generator, least: int, most: int) -> float:
    """A number drawn from least/100 ... most/100: what is made up beforehand does not fit it."""
    return int(torch.randint(least, most + 1, (), generator=g)) / 100


def some_ends(g: torch.Generator) -> dict:
    return {"num_steps": 7, "beta_start": hundredths(g, 1, 9), "beta_end": hundredths(g, 31, 60)}


@check(
    "1.1",
    probe=probes.linear_betas,
    inputs=some_ends,
    call="linear_betas(num_steps=7, beta_start={beta_start}, beta_end={beta_end})",
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


def require_refused(raised: list[str], values: list[str]) -> None:
    """Fail unless each of these bad values raised a ValueError."""
    for error, value in zip(raised, values):
        require(
            error == "ValueError",
            f"a ValueError for {value}, as the first lines of the exercise had it",
            "a result" if error == "nothing" else f"{error} was raised",
        )


TOO_FEW = [1, 0, -3]


@check(
    "1.1",
    probe=probes.bad_linear_betas,
    inputs=lambda g: {
        "num_steps": TOO_FEW,
        "ends": torch.tensor(
            [
                (0.0, 0.1),
                (-0.1, 0.1),
                (0.2, 0.1),
                (0.1, 1.0),
                (0.1, 1.5),
                (math.nan, 0.1),
                (0.1, math.nan),
            ],
            dtype=torch.float64,
        ),
    },
    call="linear_betas with num_steps = 1, 0 and -3, then with ends that are no betas",
)
def test_linear_betas_refuses_what_is_no_schedule(got, ref, inputs):
    """Fewer than two steps are refused, and so are ends that are no betas"""
    require_refused(got["num_steps"], [f"num_steps = {number}" for number in TOO_FEW])
    require_refused(
        got["ends"],
        [f"beta_start = {start:g}, beta_end = {end:g}" for start, end in inputs["ends"].tolist()],
    )


@check(
    "1.1",
    probe=probes.linear_betas_of_each,
    inputs=lambda g: {
        "cases": [
            {"num_steps": 2, "beta_start": 0.1, "beta_end": 0.3},
            {"num_steps": 4, "beta_start": 0.05, "beta_end": 0.05},
            {"num_steps": 3, "beta_start": 1e-9, "beta_end": 3e-9},
            {"num_steps": 3, "beta_start": 0.9995, "beta_end": 0.9999},
        ]
    },
    call="linear_betas with 2 steps, with equal ends, with ends of 1e-9, with ends close to 1",
)
def test_linear_betas_takes_what_is_allowed(got, ref, inputs):
    """Two steps are enough, and the ends may be equal, close to 0 or close to 1"""
    for betas, target, case in zip(got["betas"], ref["betas"], inputs["cases"]):
        require_close(
            betas,
            target,
            f"equal steps from {case['beta_start']:g} to {case['beta_end']:g}",
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
    inputs=lambda g: {
        "num_steps": 9,
        # f(0) is far from 1, so that it shows where it is left out; and pi/2, made of any of these
        # in whatever order, does not round to more, where the cosine is negative.
        "s": hundredths(g, 20, 26),
        "max_beta": hundredths(g, 45, 65),
    },
    call="cosine_betas(num_steps=9, s={s}, max_beta={max_beta})",
)
def test_cosine_betas_uses_its_arguments(got, ref, inputs):
    """The offset s and the clip max_beta are the caller's"""
    betas = require_tensor(got["betas"], "betas", (9,))
    s, most = inputs["s"], inputs["max_beta"]
    require(
        float(betas.max()) <= most + 1e-6,
        f"no beta above max_beta = {most}",
        f"a beta of {float(betas.max()):.6g}",
    )
    require_close(betas, ref["betas"], f"betas made with s = {s}, clipped at {most}", "betas")


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
        # Two float32 neighbours are 1.2e-7 apart at most, and float64 is far more precise.
        rtol=1.3e-7,
        atol=0,
    )


@check(
    "1.2",
    probe=probes.bad_cosine_betas,
    inputs=lambda g: {"num_steps": TOO_FEW},
    call="cosine_betas with num_steps = 1, 0 and -3",
)
def test_cosine_betas_refuses_what_is_no_schedule(got, ref, inputs):
    """Fewer than two steps are refused"""
    require_refused(got["num_steps"], [f"num_steps = {number}" for number in TOO_FEW])


@check(
    "1.2",
    probe=probes.cosine_betas_of_each,
    inputs=lambda g: {
        "cases": [
            {"num_steps": 2},
            {"num_steps": 5, "max_beta": 0.99999},
            {"num_steps": 20_000, "s": 1e-6},
        ]
    },
    call="cosine_betas with 2 steps, with max_beta = 0.99999, with 20,000 steps and s = 1e-6",
)
def test_cosine_betas_takes_what_is_allowed(got, ref, inputs):
    """Two steps are enough, and betas may be close to 0 and close to 1"""
    for betas, target, case in zip(got["betas"], ref["betas"], inputs["cases"]):
        given = ", ".join(f"{name} = {value:g}" for name, value in case.items())
        # The least beta is 6e-9, and a difference of numbers near 1 is off by some 1e-16.
        require_close(
            betas,
            target,
            "betas that follow the curve, and of which only those above max_beta are clipped",
            f"with {given}, betas",
            rtol=1e-6,
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
        "alpha_bars[0] = 1 - beta_0: t = 0 is already one step of noise",
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
        "the running product of 1 - beta, computed in float64",
        "alpha_bars",
        # Two float32 neighbours are 1.2e-7 apart at most, and float64 is far more precise.
        rtol=1.3e-7,
        atol=0,
    )


@check(
    "1.3",
    probe=probes.alpha_bars,
    # In float32 the neighbours of 1 are 6e-8 away, so 1 - beta is 1 there for all of these.
    inputs=lambda g: {"betas": 1e-9 * (1 + 2 * torch.rand(1000, generator=g))},
    call="compute_alpha_bars(betas), 1000 betas of about 2e-9 in float32",
)
def test_alpha_bars_notice_tiny_betas(got, ref, inputs):
    """A thousand tiny losses add up"""
    alpha_bars = require_tensor(got["alpha_bars"], "alpha_bars", (1000,))
    # The exact loss differs from the sum of the betas, about 2e-6, by 1e-12.
    lost, total = 1 - float(alpha_bars[-1]), float(inputs["betas"].double().sum())
    require(
        abs(lost - total) < 2e-7,
        f"the last alpha_bar to lie below 1 by what all betas add up to, {total:.3g}",
        f"one that lies below 1 by {lost:.3g}",
    )
    require_close(
        alpha_bars,
        ref["alpha_bars"],
        "a product that falls with every step",
        "alpha_bars",
        rtol=2e-7,
        atol=0,
    )


def draw_betas_near_one(g: torch.Generator) -> dict:
    """Betas that lack between 1e-3 and 1e-5 to 1, in float64.

    In float32 they would be off by 3e-8, which is 0.3 % of 1e-5. The last product is above 1e-30.
    """
    betas = 1 - 10 ** (-3 - 2 * torch.rand(6, generator=g, dtype=torch.float64))
    return {"tables": [betas, betas[:1].clone()]}


@check(
    "1.3",
    probe=probes.alpha_bars_of_each,
    inputs=draw_betas_near_one,
    call="compute_alpha_bars(betas), 6 betas between 0.999 and 0.99999 in float64, then one alone",
)
def test_alpha_bars_may_be_tiny(got, ref, inputs):
    """However little is left of the signal, it is more than nothing and has its digits"""
    for alpha_bars, target in zip(got["alpha_bars"], ref["alpha_bars"]):
        require_close(
            alpha_bars,
            target,
            "products as small as they are, with all digits that the betas allow",
            "alpha_bars",
            rtol=1e-6,
            atol=0,
        )


def final_share(num_steps: int, beta_start: float, beta_end: float) -> float:
    """What a linear schedule leaves of the power, in float64."""
    return float((1 - torch.linspace(beta_start, beta_end, num_steps, dtype=torch.float64)).prod())


def require_matching_ends(ends: list, cases: list[dict]) -> None:
    for beta_end, case in zip(ends, cases, strict=True):
        num_steps, target = case["num_steps"], case["final_alpha_bar"]
        beta_start = case.get("beta_start", 1e-4)
        where = f"for {num_steps} steps and final_alpha_bar = {target:.3g}"
        number = isinstance(beta_end, torch.Tensor) and beta_end.numel() == 1
        number = number or (isinstance(beta_end, int | float) and not isinstance(beta_end, bool))
        require(number, "a number, which is beta_end", f"{where}, {brief(beta_end)}")
        beta_end = float(beta_end)
        require(
            beta_start <= beta_end < 1,
            f"a beta_end between beta_start = {beta_start:.3g} and 1",
            f"{where}, {beta_end:.6g}",
        )
        left = final_share(num_steps, beta_start, beta_end)
        # For code that stops at 0.1 %: in float32 the betas change the product by some 1e-6 of
        # itself, and a last one of 0.9999, the largest asked for here, by 6e-8 / 1e-4.
        rounding = 1e-5 + min(1e-7 / (1 - beta_end), 1e-3)
        require(
            abs(left / target - 1) < 1e-3 + rounding,
            "a linear schedule that leaves final_alpha_bar after its last step, to 0.1 % of it",
            f"{where}, beta_end = {beta_end:.6g}, which leaves {left:.4g}",
        )


PAPERS_END = 4.0358e-5  # what the paper's 1000 betas leave


@check(
    "1.3",
    probe=probes.matching,
    inputs=lambda g: {"cases": [{"num_steps": 100, "final_alpha_bar": PAPERS_END}]},
    call=f"matching_beta_end(100, {PAPERS_END})",
    free=("ends",),
)
def test_a_shorter_schedule_ends_at_the_same_noise(got, ref, inputs):
    """A tenth of the steps arrives where the paper's thousand do"""
    require_matching_ends(got["ends"], inputs["cases"])


def draw_ends(g: torch.Generator) -> dict:
    """Short schedules that leave between 10 and 60 % of the power, each with its own beta_start."""
    share, start = torch.rand(2, 3, generator=g, dtype=torch.float64)
    return {
        "cases": [
            {
                "num_steps": num_steps,
                "final_alpha_bar": 0.1 + 0.5 * float(share[i]),
                "beta_start": 0.002 + 0.008 * float(start[i]),
            }
            for i, num_steps in enumerate((8, 13, 29))
        ]
    }


@check(
    "1.3",
    probe=probes.matching,
    inputs=draw_ends,
    call="matching_beta_end(num_steps, final_alpha_bar, beta_start) for 8, 13 and 29 steps",
    free=("ends",),
)
def test_length_share_and_start_are_the_callers(got, ref, inputs):
    """Length, final share and first beta are the caller's"""
    require_matching_ends(got["ends"], inputs["cases"])


@check(
    "1.3",
    probe=probes.matching,
    inputs=lambda g: {
        "cases": [
            # No more steps: code that multiplies every pair of them is slow, but right.
            {"num_steps": 1000, "final_alpha_bar": 0.1},
            {"num_steps": 2, "final_alpha_bar": 0.05},
            {"num_steps": 10, "final_alpha_bar": 1e-6},
            {"num_steps": 2, "final_alpha_bar": 1e-4},
            {"num_steps": 2, "final_alpha_bar": 0.05, "beta_start": 1e-4},
        ]
    },
    call="matching_beta_end for 1000 steps, for 2, and for 10 with final_alpha_bar = 1e-6",
    free=("ends",),
)
def test_very_small_and_very_large_ends_are_found(got, ref, inputs):
    """A beta_end may be close to 0 and close to 1"""
    require_matching_ends(got["ends"], inputs["cases"])
    unsaid, said = float(got["ends"][1]), float(got["ends"][4])
    require(
        unsaid == said,
        f"beta_start to be 1e-4 if nothing is said, and so the same beta_end, {said:.9g}",
        f"{unsaid:.9g}",
    )


@check(
    "1.3",
    probe=probes.matching,
    inputs=lambda g: {
        "cases": [
            # 0.905 would be left if every beta were beta_start.
            {"num_steps": 1000, "final_alpha_bar": 0.898},
            {"num_steps": 1000, "final_alpha_bar": 0.99, "beta_start": 1e-7},
            {"num_steps": 1000, "final_alpha_bar": 1e-12},
            {"num_steps": 1000, "final_alpha_bar": 1e-30},
        ]
    },
    call="matching_beta_end with final_alpha_bar = 0.898, 0.99, 1e-12 and 1e-30",
    free=("ends",),
)
def test_nearly_all_or_next_to_nothing_may_be_left(got, ref, inputs):
    """Nearly all of the signal may be left, or next to nothing"""
    require_matching_ends(got["ends"], inputs["cases"])


# 1.4


@check(
    "1.4",
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
    "1.4",
    probe=probes.log_snr,
    inputs=lambda g: {"alpha_bars": 1 - torch.logspace(-13, -6, 8, dtype=torch.float64)},
    call="log_snr(alpha_bars), alpha_bars very close to 1, in float64",
)
def test_log_snr_is_precise_near_one(got, ref, inputs):
    """Where there is almost no noise the log-SNR is large and precise"""
    require_close(got["log_snr"], ref["log_snr"], "the log-SNR computed in float64", "the log-SNR")


@check(
    "1.4",
    probe=probes.log_snr,
    inputs=lambda g: {"alpha_bars": torch.logspace(-13, -3, 11, dtype=torch.float64)},
    call="log_snr(alpha_bars), alpha_bars very close to 0, in float64",
)
def test_log_snr_is_precise_near_zero(got, ref, inputs):
    """However little signal is left, the log-SNR says how little"""
    require_close(
        got["log_snr"],
        ref["log_snr"],
        "a log-SNR that falls as far as alpha_bar does",
        "the log-SNR",
    )


def draw_halves(g: torch.Generator) -> dict:
    """alpha_bars beside 0.5, by 1e-5 to 1e-4.

    The ratio of signal and noise is then nearly 1, and rounded by up to 6e-8 in float32. Its
    logarithm is only some 2e-4, so it is off by more than 1e-6 of itself in nearly all of them.
    """
    side = 1 - 2 * torch.randint(2, (31,), generator=g)
    return {"alpha_bars": 0.5 + side * (1e-5 + 9e-5 * torch.rand(31, generator=g))}


@check(
    "1.4",
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


def draw_two_schedules(g: torch.Generator) -> dict:
    """alpha_bars of two schedules of different lengths, with log-SNRs from about 8 to -8.

    Near both ends the step that is nearest by alpha_bar is often not the nearest by log-SNR.
    """
    first, other = torch.rand(40, generator=g), torch.rand(25, generator=g)
    return {
        name: torch.sigmoid((8 - 16 * drawn.double()).sort(descending=True).values).float()
        for name, drawn in (("alpha_bars", first), ("other", other))
    }


NOISY_CALL = "equally_noisy(alpha_bars, other), schedules of 40 and of 25 steps"


@check("1.4", probe=probes.equally_noisy, inputs=draw_two_schedules, call=NOISY_CALL)
def test_equally_noisy_gives_a_step_for_each_step(got, ref, inputs):
    """There is one step of the other schedule for each step"""
    steps = require_tensor(got["steps"], "the result", (40,), torch.int64)
    require(
        bool((steps >= 0).all() and (steps < 25).all()),
        "steps of the other schedule, from 0 to 24",
        f"numbers from {int(steps.min())} to {int(steps.max())}",
    )


def require_nearest(steps: torch.Tensor, inputs: dict) -> None:
    """Fail unless no other step has a nearer log-SNR, give or take float32 rounding."""
    here, there = (torch.logit(inputs[name].double()) for name in ("alpha_bars", "other"))
    distances = (here[:, None] - there).abs()
    found, best = distances.gather(1, steps[:, None])[:, 0], distances.min(dim=1)
    worst = int((found - best.values).argmax())
    require(
        float(found[worst] - best.values[worst]) < 1e-4,
        "the step of the other schedule whose log-SNR is nearest",
        f"step {int(steps[worst])}, with log-SNR {there[steps[worst]]:.6g}, for a step with "
        f"{here[worst]:.6g}; step {int(best.indices[worst])} has {there[best.indices[worst]]:.6g}",
    )


@check("1.4", probe=probes.equally_noisy, inputs=draw_two_schedules, call=NOISY_CALL)
def test_equally_noisy_finds_the_nearest_step(got, ref, inputs):
    """No other step is nearer on the scale of log-SNR"""
    require_nearest(require_tensor(got["steps"], "the result", (40,), torch.int64), inputs)


@check(
    "1.4",
    probe=probes.equally_noisy,
    inputs=lambda g: {
        "alpha_bars": torch.tensor([0.9, 0.7, 0.4, 0.1]),
        "other": torch.tensor([0.9999, 0.998, 0.69, 0.38, 0.37, 1e-3, 1e-6]),
    },
    call="equally_noisy(alpha_bars, other), the other from far less noise to far more",
)
def test_equally_noisy_to_a_wider_schedule(got, ref, inputs):
    """The other schedule may be longer, and begin and end outside"""
    require_nearest(require_tensor(got["steps"], "the result", (4,), torch.int64), inputs)


def draw_one_schedule(g: torch.Generator) -> dict:
    alpha_bars = draw_two_schedules(g)["alpha_bars"]
    return {"alpha_bars": alpha_bars, "other": alpha_bars.clone()}


@check(
    "1.4",
    probe=probes.equally_noisy,
    inputs=draw_one_schedule,
    call="equally_noisy(alpha_bars, alpha_bars), a schedule and itself",
)
def test_each_step_is_as_noisy_as_itself(got, ref, inputs):
    """Compared with itself, a schedule gives back each step"""
    require_nearest(require_tensor(got["steps"], "the result", (40,), torch.int64), inputs)


def draw_clean_ends(g: torch.Generator) -> dict:
    """The clean ends of two schedules, in float64: in float32 some would be 1."""
    return {
        name: 1 - 10 ** (-7 - 4 * torch.rand(steps, generator=g, dtype=torch.float64)).sort().values
        for name, steps in (("alpha_bars", 12), ("other", 9))
    }


@check(
    "1.4",
    probe=probes.equally_noisy,
    inputs=draw_clean_ends,
    call="equally_noisy(alpha_bars, other), 12 and 9 alpha_bars very close to 1, in float64",
)
def test_equally_noisy_at_the_clean_end(got, ref, inputs):
    """Next to 1 alpha_bars in float64 are told apart"""
    require_nearest(require_tensor(got["steps"], "the result", (12,), torch.int64), inputs)


def draw_fine_schedules(g: torch.Generator) -> dict:
    """Two schedules whose log-SNRs fall from 1 to -1 in steps of about 0.002 and 0.007."""
    return {
        name: torch.sigmoid((1 - 2 * drawn).sort(descending=True).values).float()
        for name, drawn in (
            ("alpha_bars", torch.rand(1050, generator=g, dtype=torch.float64)),
            ("other", torch.rand(300, generator=g, dtype=torch.float64)),
        )
    }


@check(
    "1.4",
    probe=probes.equally_noisy,
    inputs=draw_fine_schedules,
    call="equally_noisy(alpha_bars, other), schedules of 1,050 and of 300 steps",
)
def test_equally_noisy_between_fine_schedules(got, ref, inputs):
    """However close to each other the steps are, the nearest one is found"""
    require_nearest(require_tensor(got["steps"], "the result", (1050,), torch.int64), inputs)


@check(
    "1.4",
    probe=probes.equally_noisy,
    inputs=lambda g: {
        "alpha_bars": torch.tensor([1e-3, 1e-4]),
        "other": torch.tensor([1 - 1e-9, 1 - 1e-8, 1 - 1e-7], dtype=torch.float64),
    },
    call="equally_noisy(alpha_bars, other), the other with far less noise and in float64",
)
def test_equally_noisy_where_all_is_far(got, ref, inputs):
    """Where every step of the other schedule is far away, the nearest of them is found"""
    require_nearest(require_tensor(got["steps"], "the result", (2,), torch.int64), inputs)
