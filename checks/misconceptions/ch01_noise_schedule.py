"""Known wrong answers to chapter 01, each with the misunderstanding behind it."""

from dataclasses import replace

import torch

from course.grading.answers import Answers
from solutions import ch01_noise_schedule as ref

answers = Answers()

HANDED_OUT_FLOAT64 = (
    "Compute in float64, but hand out float32. Otherwise every image that meets the table turns "
    "into float64 as well."
)


# 1.1


@answers.wrong(
    "1.1",
    "dividing by T instead of T-1",
    "Between T values there are T-1 gaps. With T gaps the last value falls short of beta_end.",
)
def linear_betas(num_steps, beta_start=1e-4, beta_end=0.02):
    t = torch.arange(num_steps, dtype=torch.float64)
    return (beta_start + (beta_end - beta_start) * t / num_steps).float()


answers.edit(
    "1.1",
    "one value too many",
    "There are T steps, and each has its own beta. Think of a fence: the betas are the posts, and "
    "there is one gap less.",
    ("num_steps, dtype", "num_steps + 1, dtype"),
)

answers.edit(
    "1.1",
    "equal ratios instead of equal steps",
    "A geometric schedule multiplies by a constant. The linear one adds a constant.",
    (
        "torch.linspace(beta_start, beta_end,",
        "torch.logspace(math.log10(beta_start), math.log10(beta_end),",
    ),
)

answers.edit(
    "1.1",
    "equal steps in sqrt(beta)",
    "That is the 'scaled linear' schedule of latent diffusion models. Here beta itself is linear.",
    ("beta_start, beta_end, num", "beta_start**0.5, beta_end**0.5, num"),
    ("betas.float()", "betas.float() ** 2"),
)

answers.edit(
    "1.1",
    "alphas instead of betas",
    "beta is the noise that a step adds; alpha = 1 - beta is what it keeps.",
    ("betas.float()", "1 - betas.float()"),
)

answers.edit(
    "1.1",
    "running backwards",
    "The forward process begins gently: the first beta is the smallest.",
    ("betas.float()", "betas.float().flip(0)"),
)

answers.edit(
    "1.1",
    "ignoring beta_start and beta_end",
    "The ends are arguments. The paper's values are only the defaults; use what the caller gives.",
    ("(beta_start, beta_end, num", "(1e-4, 0.02, num"),
)

answers.edit(
    "1.1",
    "float64 handed out",
    HANDED_OUT_FLOAT64,
    ("betas.float()", "betas"),
)


@answers.wrong(
    "1.1",
    "torch.arange, which leaves the end out",
    "torch.arange stops before its end, so beta_end itself is missing. Another function of torch "
    "makes equal steps with both ends included.",
)
def linear_betas(num_steps, beta_start=1e-4, beta_end=0.02):
    step = (beta_end - beta_start) / (num_steps - 1)
    return torch.arange(beta_start, beta_end, step, dtype=torch.float64).float()


@answers.wrong(
    "1.1",
    "t counted from 1",
    "This course counts t from 0 to T-1. The first beta belongs to t = 0, and it is beta_start "
    "itself.",
)
def linear_betas(num_steps, beta_start=1e-4, beta_end=0.02):
    t = torch.arange(1, num_steps + 1, dtype=torch.float64)
    return (beta_start + (beta_end - beta_start) * t / num_steps).float()


@answers.wrong(
    "1.1",
    "beta_end taken for the whole way",
    "The way from the first beta to the last is beta_end - beta_start. With beta_end alone the "
    "last value lies beyond the end.",
)
def linear_betas(num_steps, beta_start=1e-4, beta_end=0.02):
    t = torch.arange(num_steps, dtype=torch.float64)
    return (beta_start + beta_end * t / (num_steps - 1)).float()


@answers.wrong(
    "1.1",
    "each beta made from the last one, in float32",
    "Every sum is rounded, and a thousand roundings add up. Work out each beta from t on its own, "
    "or add up in float64.",
)
def linear_betas(num_steps, beta_start=1e-4, beta_end=0.02):
    betas = [torch.tensor(beta_start)]
    step = torch.tensor((beta_end - beta_start) / (num_steps - 1))
    while len(betas) < num_steps:
        betas.append(betas[-1] + step)
    return torch.stack(betas)


# 1.2


answers.edit(
    "1.2",
    "the cosine is not squared",
    "alpha_bar is a power and its root an amplitude: cos is the amplitude, cos^2 is alpha_bar.",
    (" ** 2", ""),
)

answers.edit(
    "1.2",
    "no offset s",
    "Without s the curve starts flat and the first betas are almost 0: the first steps do nothing.",
    ("(u + s) / (1 + s)", "u"),
)

answers.edit(
    "1.2",
    "no clip at max_beta",
    "f ends at 0, so the last beta comes out as 1: one step would erase everything.",
    (".clamp(max=max_beta)", ""),
)

answers.edit(
    "1.2",
    "clipped at 0.02",
    "0.02 is where the linear schedule ends. The cosine schedule's betas grow to max_beta.",
    ("max=max_beta", "max=0.02"),
)

answers.edit(
    "1.2",
    "alpha_bars instead of betas",
    "f(u)/f(0) is alpha_bar. A beta compares two neighbours of it.",
    ("1 - f[1:] / f[:-1]", "f[1:] / f[0]"),
)

answers.edit(
    "1.2",
    "the ratio upside down",
    "A step keeps f(later) / f(earlier), which is below 1. The other way round, beta is negative.",
    ("f[1:] / f[:-1]", "f[:-1] / f[1:]"),
)

answers.edit(
    "1.2",
    "not divided by 1 + s",
    "Adding s shifts the whole curve. Without dividing by 1 + s it reaches its end before u = 1, "
    "and then rises again.",
    (" / (1 + s)", ""),
)

answers.edit(
    "1.2",
    "T points of f, with a 1 put in front",
    "T betas compare T pairs of neighbours, so f itself is needed at T+1 points, from u = 0/T to "
    "T/T. A value put in front does not lie on the curve.",
    (
        "torch.arange(num_steps + 1, dtype=torch.float64) / num_steps",
        "torch.linspace(0, 1, num_steps, dtype=torch.float64)",
    ),
    ("    betas =", "    f = torch.cat([torch.ones_like(f[:1]), f])\n    betas ="),
)

answers.edit(
    "1.2",
    "computed in float32",
    "The first betas are differences of numbers near 1; in float32 few of their digits survive.",
    ("torch.float64", "torch.float32"),
)

answers.edit(
    "1.2",
    "s outside the fraction",
    "s is added to u before the division, not to the quotient. Put brackets around u + s.",
    ("(u + s) / (1 + s)", "(u + s / (1 + s))"),
)

answers.edit(
    "1.2",
    "pi instead of pi / 2",
    "From 0 to pi the cosine falls and its square rises again. A quarter of a turn, up to pi / 2, "
    "takes it from 1 to 0.",
    ("math.pi / 2", "math.pi"),
)

answers.edit(
    "1.2",
    "1 - f instead of 1 - a ratio",
    "1 - f is all the noise so far. A beta is what one single step adds, so it compares f after "
    "the step with f before it.",
    ("f[1:] / f[:-1]", "f[1:]"),
)

answers.edit(
    "1.2",
    "a difference instead of a ratio",
    "The difference of two neighbours says what is lost of the whole. A beta is what a step takes "
    "of what it received, which is a ratio.",
    ("1 - f[1:] / f[:-1]", "f[:-1] - f[1:]"),
)

answers.edit(
    "1.2",
    "T points of f, from u = 0 to 1",
    "Each beta compares two neighbours, and T points have only T-1 pairs of neighbours. How many "
    "points make T pairs?",
    (
        "torch.arange(num_steps + 1, dtype=torch.float64) / num_steps",
        "torch.linspace(0, 1, num_steps, dtype=torch.float64)",
    ),
)

answers.edit(
    "1.2",
    "T points of f, without u = 1",
    "The last beta compares u = 1 with the point before. torch.arange(T) ends at T-1, so that "
    "point is missing.",
    ("torch.arange(num_steps + 1,", "torch.arange(num_steps,"),
)

answers.edit(
    "1.2",
    "clamped from below",
    "The first argument of clamp is the smallest value allowed. Name the one that you mean: "
    "min=... or max=...",
    ("max=max_beta", "max_beta"),
)

answers.edit(
    "1.2",
    "the numbers 0.008 and 0.999 written into the code",
    "They are only the defaults. Use s and max_beta, so that a caller can choose others.",
    ("    u =", "    s, max_beta = 0.008, 0.999\n    u ="),
)

answers.edit("1.2", "float64 handed out", HANDED_OUT_FLOAT64, (".float()", ""))


# 1.3


answers.edit(
    "1.3",
    "a running sum",
    "What one step keeps is multiplied by what the next one keeps. Use a product, not a sum.",
    ("cumprod", "cumsum"),
)

answers.edit(
    "1.3",
    "the product of the betas",
    "beta is what a step destroys. What is left is the product of 1 - beta.",
    ("1 - betas", "betas"),
)

answers.edit(
    "1.3",
    "one minus the sum of the betas",
    "Adding up losses ignores that a later step takes its share of what is left, not of the start.",
    ("torch.cumprod(alphas, dim=0)", "(1 - torch.cumsum(betas.double(), dim=0))"),
)


@answers.wrong(
    "1.3",
    "one step late",
    "At t = 0 one step of noise was added already, so the first entry is 1 - beta_0 and not 1.",
)
def compute_alpha_bars(betas):
    alpha_bars = torch.cumprod(1 - betas.double(), dim=0)
    return torch.cat([torch.ones(1, dtype=torch.float64), alpha_bars[:-1]]).float()


answers.edit(
    "1.3",
    "only the last product",
    "Every t needs its own product, so the result has as many entries as there are betas.",
    ("torch.cumprod(alphas, dim=0)", "torch.prod(alphas)"),
)

answers.edit(
    "1.3",
    "amplitude instead of power",
    "sqrt(alpha_bar) is what multiplies the image; alpha_bar itself has no root.",
    ("torch.cumprod(alphas, dim=0)", "torch.cumprod(alphas, dim=0).sqrt()"),
)

answers.edit(
    "1.3",
    "the share of the noise",
    "1 - alpha_bar is the noise's share. alpha_bar is the signal's, which begins near 1 and falls.",
    ("torch.cumprod(alphas, dim=0)", "(1 - torch.cumprod(alphas, dim=0))"),
)

answers.edit(
    "1.3",
    "multiplied up from the last step",
    "Time runs forward: entry t holds the steps 0 to t. Multiplied from the end, it would hold the "
    "steps that are still to come.",
    ("torch.cumprod(alphas, dim=0)", "torch.cumprod(alphas.flip(0), dim=0).flip(0)"),
)

answers.edit(
    "1.3",
    "1 - beta taken in float32",
    "float32 keeps about seven digits, so 1 minus a tiny beta is just 1, and converting later "
    "brings nothing back. Turn the betas into float64 before you subtract.",
    ("1 - betas.double()", "(1 - betas).double()"),
)

answers.edit("1.3", "float64 handed out", HANDED_OUT_FLOAT64, (".float()", ""))


answers.edit(
    "1.3",
    "the caller's betas overwritten",
    "Betas that are float64 already are not copied by double(), so methods that end in an "
    "underscore write into the caller's tensor. Plain operators make a new one.",
    ("1 - betas.double()", "betas.double().neg_().add_(1)"),
)


# 1.4


def _posterior(betas, alpha_bars_prev):
    """The reference's tables, but with these alpha_bars_prev in all formulas."""
    schedule = ref.make_schedule(betas)
    betas, alphas, alpha_bars = schedule.betas, schedule.alphas, schedule.alpha_bars
    return replace(
        schedule,
        alpha_bars_prev=alpha_bars_prev,
        posterior_variance=betas * (1 - alpha_bars_prev) / (1 - alpha_bars),
        posterior_x0_coef=alpha_bars_prev.sqrt() * betas / (1 - alpha_bars),
        posterior_xt_coef=alphas.sqrt() * (1 - alpha_bars_prev) / (1 - alpha_bars),
    )


answers.edit(
    "1.4",
    "amplitudes in the table of alphas",
    "alpha_t = 1 - beta_t is a power. The root is taken where an image is multiplied.",
    ("alphas=alphas.float()", "alphas=alphas.sqrt().float()"),
)


@answers.wrong(
    "1.4",
    "0 before the first step",
    "Before the first step nothing is lost yet, so alpha_bar there is 1: all signal, no noise.",
)
def make_schedule(betas):
    alpha_bars = ref.make_schedule(betas).alpha_bars
    return _posterior(betas, torch.cat([torch.zeros(1), alpha_bars[:-1]]))


@answers.wrong(
    "1.4",
    "roll without mending the first entry",
    "torch.roll brings the last entry round to the front; alpha_bars_prev[0] has to be set to 1.",
)
def make_schedule(betas):
    return _posterior(betas, ref.make_schedule(betas).alpha_bars.roll(1))


@answers.wrong(
    "1.4",
    "looking forward instead of back",
    "'prev' is the step before t, nearer to the clean image: shift the table to the right.",
)
def make_schedule(betas):
    alpha_bars = ref.make_schedule(betas).alpha_bars
    return _posterior(betas, torch.cat([alpha_bars[1:], torch.zeros(1)]))


answers.edit(
    "1.4",
    "beta as the posterior variance",
    "beta_t is the variance of the forward step. Knowing x_0 makes the way back more certain.",
    ("betas * (1 - alpha_bars_prev) / (1 - alpha_bars)", "betas"),
)

answers.edit(
    "1.4",
    "a standard deviation where the variance belongs",
    "The table holds the variance. The sampler takes the root when it scales noise.",
    ("posterior_variance.float()", "posterior_variance.sqrt().float()"),
)

answers.edit(
    "1.4",
    "the two weights swapped",
    "The weight with beta_t belongs to x_0, the one with sqrt(alpha_t) to x_t.",
    ("x0_coef=posterior_x0_coef", "x0_coef=posterior_xt_coef"),
    ("xt_coef=posterior_xt_coef", "xt_coef=posterior_x0_coef"),
)

answers.edit(
    "1.4",
    "alpha_bar_t instead of alpha_bar_{t-1} in the weight of x_0",
    "The posterior is about x_{t-1}, so its mean contains sqrt(alpha_bar_{t-1}) x_0.",
    ("alpha_bars_prev.sqrt()", "alpha_bars.sqrt()"),
)

answers.edit(
    "1.4",
    "alpha_t without its root in the weight of x_t",
    "x_t carries x_{t-1} scaled by the amplitude sqrt(alpha_t), so the root appears in its weight.",
    ("alphas.sqrt()", "alphas"),
)

answers.edit(
    "1.4",
    "the noise ratio upside down",
    "(1 - alpha_bar_{t-1}) / (1 - alpha_bar_t) is below 1: the posterior is narrower than a step.",
    (
        "betas * (1 - alpha_bars_prev) / (1 - alpha_bars)",
        "betas * (1 - alpha_bars) / (1 - alpha_bars_prev)",
    ),
)

answers.edit(
    "1.4",
    "sqrt(alpha_bar_t) in the weight of x_t",
    "x_t is one step away from x_{t-1}, and one step shrinks by sqrt(alpha_t). The bar stands for "
    "all steps since x_0.",
    ("alphas.sqrt()", "alpha_bars.sqrt()"),
)

answers.edit(
    "1.4",
    "sqrt(alpha_t) in the weight of x_0",
    "x_{t-1} is all the steps before t away from x_0, so the root is that of alpha_bar_{t-1}. "
    "alpha_t belongs to a single step.",
    ("alpha_bars_prev.sqrt()", "alphas.sqrt()"),
)

answers.edit(
    "1.4",
    "the two roots swapped",
    "sqrt(alpha_bar_{t-1}) leads from x_0 to x_{t-1}, so it belongs to x_0. sqrt(alpha_t) leads "
    "from x_{t-1} to x_t, so it belongs to x_t.",
    ("alpha_bars_prev.sqrt() * betas", "alphas.sqrt() * betas"),
    ("alphas.sqrt() * (1", "alpha_bars_prev.sqrt() * (1"),
)

answers.edit(
    "1.4",
    "alpha_bar_{t-1} without its root in the weight of x_0",
    "x_{t-1} holds x_0 shrunk by an amplitude. alpha_bar_{t-1} is a power, so take its root.",
    ("alpha_bars_prev.sqrt()", "alpha_bars_prev"),
)

answers.edit(
    "1.4",
    "no root in either weight",
    "The weights multiply images, so both contain an amplitude, which is the root of a power.",
    ("alpha_bars_prev.sqrt()", "alpha_bars_prev"),
    ("alphas.sqrt()", "alphas"),
)


@answers.wrong(
    "1.4",
    "the posterior variance without beta_t",
    "The ratio says how much smaller the variance is than that of one forward step. It still has "
    "to be multiplied by that step's variance.",
)
def make_schedule(betas):
    schedule = ref.make_schedule(betas)
    ratio = (1 - schedule.alpha_bars_prev) / (1 - schedule.alpha_bars)
    return replace(schedule, posterior_variance=ratio)


answers.edit(
    "1.4",
    "alpha_bars rounded to float32 on the way",
    "compute_alpha_bars hands out float32, and 1 - alpha_bar is then wrong where alpha_bar is "
    "close to 1. Stay in float64 until all tables are made.",
    ("torch.cumprod(alphas, dim=0)", "torch.cumprod(alphas, dim=0).float().double()"),
)


def _in_their_own_dtype(betas):
    """All tables in the dtype of the betas."""
    alphas = 1 - betas
    alpha_bars = torch.cumprod(alphas, dim=0)
    prev = torch.cat([torch.ones_like(alpha_bars[:1]), alpha_bars[:-1]])
    rest = 1 - alpha_bars
    return {
        "betas": betas,
        "alphas": alphas,
        "alpha_bars": alpha_bars,
        "alpha_bars_prev": prev,
        "posterior_variance": betas * (1 - prev) / rest,
        "posterior_x0_coef": prev.sqrt() * betas / rest,
        "posterior_xt_coef": alphas.sqrt() * (1 - prev) / rest,
    }


answers.edit(
    "1.4",
    "betas left in the dtype they came in",
    "Betas often come in float32, and all that follows is then rounded to seven digits. Turn them "
    "into float64 first.",
    ("betas.double()", "betas"),
)


@answers.wrong("1.4", "float64 handed out", HANDED_OUT_FLOAT64)
def make_schedule(betas):
    return ref.NoiseSchedule(**_in_their_own_dtype(betas.double()))


# 1.5


answers.edit(
    "1.5",
    "a ratio of amplitudes",
    "sqrt(alpha_bar) and sqrt(1 - alpha_bar) are amplitudes; their log-ratio is half the log-SNR.",
    ("torch.log(", "0.5 * torch.log("),
)

answers.edit(
    "1.5",
    "noise over signal",
    "Signal to noise: alpha_bar stands above the line. The log-SNR falls as t grows.",
    ("signal / noise", "noise / signal"),
)

answers.edit(
    "1.5",
    "the decimal logarithm",
    "Use the natural logarithm, torch.log. Only then does the sigmoid give alpha_bar back.",
    ("torch.log(", "torch.log10("),
)

answers.edit(
    "1.5",
    "decibels",
    "10 log10 is the engineer's scale. The diffusion literature uses the natural logarithm.",
    ("torch.log(", "10 * torch.log10("),
)

answers.edit(
    "1.5",
    "the logarithm forgotten",
    "That is the SNR itself, which spans many powers of ten. Take its logarithm.",
    ("torch.log(signal / noise)", "(signal / noise)"),
)

answers.edit(
    "1.5",
    "the signal alone",
    "log(alpha_bar) says how much signal is left, not how it compares with the noise.",
    ("signal / noise", "signal"),
)

answers.edit(
    "1.5",
    "1 + alpha_bar below the line",
    "Signal and noise share a power of 1 between them, so what is not signal is noise. That is a "
    "difference, not a sum.",
    ("1 - alpha_bars", "1 + alpha_bars"),
)

answers.edit(
    "1.5",
    "float32 before the subtraction",
    "1 - alpha_bar cancels nearly all digits of a float32 near 1. Subtract first, then round.",
    ("alpha_bars.double()", "alpha_bars.float()"),
)

answers.edit(
    "1.5",
    "the noise alone",
    "1 - alpha_bar is the noise's power. Its logarithm says nothing yet about the signal; you need "
    "the ratio of the two.",
    ("torch.log(signal / noise)", "-torch.log(noise)"),
)

answers.edit(
    "1.5",
    "a ratio of logarithms",
    "Divide first, then take the logarithm. The logarithm of a ratio is a difference of "
    "logarithms, not their ratio.",
    ("torch.log(signal / noise)", "(torch.log(signal) / torch.log(noise))"),
)

answers.edit(
    "1.5",
    "computed in the dtype that came in",
    "Near 1/2 the ratio is nearly 1, and float32 rounds away the little by which it differs. Turn "
    "alpha_bars into float64 first.",
    ("alpha_bars.double()", "alpha_bars"),
)

answers.edit("1.5", "float64 handed out", HANDED_OUT_FLOAT64, (".float()", ""))
