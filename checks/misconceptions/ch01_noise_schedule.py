"""Known wrong answers to chapter 01, each with the misunderstanding behind it."""

import math
from dataclasses import replace

import torch

from course.answers import Answers
from solutions import ch01_noise_schedule as ref

answers = Answers()


# 1.1


@answers.wrong(
    "1.1",
    "dividing by T instead of T-1",
    "Between T values there are T-1 gaps. With T gaps the last value falls short of beta_end.",
)
def linear_betas(num_steps, beta_start=1e-4, beta_end=0.02):
    t = torch.arange(num_steps, dtype=torch.float64)
    return (beta_start + (beta_end - beta_start) * t / num_steps).float()


@answers.wrong(
    "1.1",
    "one value too many",
    "The schedule has one beta for each of its T steps; T+1 values belong to T+1 boundaries.",
)
def linear_betas(num_steps, beta_start=1e-4, beta_end=0.02):
    return torch.linspace(beta_start, beta_end, num_steps + 1)


@answers.wrong(
    "1.1",
    "equal ratios instead of equal steps",
    "A geometric schedule multiplies by a constant. The linear one adds a constant.",
)
def linear_betas(num_steps, beta_start=1e-4, beta_end=0.02):
    ends = math.log10(beta_start), math.log10(beta_end)
    return torch.logspace(*ends, num_steps, dtype=torch.float64).float()


@answers.wrong(
    "1.1",
    "equal steps in sqrt(beta)",
    "That is the 'scaled linear' schedule of latent diffusion models. Here beta itself is linear.",
)
def linear_betas(num_steps, beta_start=1e-4, beta_end=0.02):
    return (
        torch.linspace(beta_start**0.5, beta_end**0.5, num_steps, dtype=torch.float64).float() ** 2
    )


@answers.wrong(
    "1.1",
    "alphas instead of betas",
    "beta is the noise that a step adds; alpha = 1 - beta is what it keeps.",
)
def linear_betas(num_steps, beta_start=1e-4, beta_end=0.02):
    return 1 - ref.linear_betas(num_steps, beta_start, beta_end)


@answers.wrong(
    "1.1",
    "running backwards",
    "The forward process begins gently: the first beta is the smallest.",
)
def linear_betas(num_steps, beta_start=1e-4, beta_end=0.02):
    return ref.linear_betas(num_steps, beta_start, beta_end).flip(0)


@answers.wrong(
    "1.1",
    "ignoring beta_start and beta_end",
    "The ends are arguments. The paper's values are only the defaults; use what the caller gives.",
)
def linear_betas(num_steps, beta_start=1e-4, beta_end=0.02):
    return ref.linear_betas(num_steps)


@answers.wrong(
    "1.1",
    "float64 handed out",
    "Compute in float64, but return float32, or every image that meets the table turns float64.",
)
def linear_betas(num_steps, beta_start=1e-4, beta_end=0.02):
    return torch.linspace(beta_start, beta_end, num_steps, dtype=torch.float64)


# 1.2


@answers.wrong(
    "1.2",
    "the cosine is not squared",
    "alpha_bar is a power and its root an amplitude: cos is the amplitude, cos^2 is alpha_bar.",
)
def cosine_betas(num_steps, s=0.008, max_beta=0.999):
    u = torch.arange(num_steps + 1, dtype=torch.float64) / num_steps
    f = torch.cos((u + s) / (1 + s) * math.pi / 2)
    return (1 - f[1:] / f[:-1]).clamp(max=max_beta).float()


@answers.wrong(
    "1.2",
    "no offset s",
    "Without s the curve starts flat and the first betas are almost 0: the first steps do nothing.",
)
def cosine_betas(num_steps, s=0.008, max_beta=0.999):
    return ref.cosine_betas(num_steps, 0.0, max_beta)


@answers.wrong(
    "1.2",
    "no clip at max_beta",
    "f ends at 0, so the last beta comes out as 1: one step would erase everything.",
)
def cosine_betas(num_steps, s=0.008, max_beta=0.999):
    return ref.cosine_betas(num_steps, s, max_beta=1.0)


@answers.wrong(
    "1.2",
    "clipped at 0.02",
    "0.02 is where the linear schedule ends. The cosine schedule's betas grow to max_beta.",
)
def cosine_betas(num_steps, s=0.008, max_beta=0.999):
    return ref.cosine_betas(num_steps, s, max_beta=0.02)


@answers.wrong(
    "1.2",
    "alpha_bars instead of betas",
    "f(u)/f(0) is alpha_bar. A beta compares two neighbours of it.",
)
def cosine_betas(num_steps, s=0.008, max_beta=0.999):
    u = torch.arange(1, num_steps + 1, dtype=torch.float64) / num_steps
    f = torch.cos((u + s) / (1 + s) * math.pi / 2) ** 2
    return (f / math.cos(s / (1 + s) * math.pi / 2) ** 2).clamp(max=max_beta).float()


@answers.wrong(
    "1.2",
    "the ratio upside down",
    "A step keeps f(later) / f(earlier), which is below 1. The other way round, beta is negative.",
)
def cosine_betas(num_steps, s=0.008, max_beta=0.999):
    u = torch.arange(num_steps + 1, dtype=torch.float64) / num_steps
    f = torch.cos((u + s) / (1 + s) * math.pi / 2) ** 2
    return (1 - f[:-1] / f[1:]).clamp(max=max_beta).float()


@answers.wrong(
    "1.2",
    "s outside the fraction",
    "s shifts u before it is rescaled: (u + s) / (1 + s), so that the curve still ends at u = 1.",
)
def cosine_betas(num_steps, s=0.008, max_beta=0.999):
    u = torch.arange(num_steps + 1, dtype=torch.float64) / num_steps
    f = torch.cos((u + s) * math.pi / 2) ** 2
    return (1 - f[1:] / f[:-1]).clamp(max=max_beta).float()


@answers.wrong(
    "1.2",
    "a grid of T points instead of T+1",
    "T betas compare T pairs of neighbours, so f is needed at T+1 points, from 0/T to T/T.",
)
def cosine_betas(num_steps, s=0.008, max_beta=0.999):
    u = torch.linspace(0, 1, num_steps, dtype=torch.float64)
    f = torch.cos((u + s) / (1 + s) * math.pi / 2) ** 2
    f = torch.cat([torch.ones(1, dtype=torch.float64), f])
    return (1 - f[1:] / f[:-1]).clamp(max=max_beta).float()


@answers.wrong(
    "1.2",
    "computed in float32",
    "The first betas are differences of numbers near 1; in float32 few of their digits survive.",
)
def cosine_betas(num_steps, s=0.008, max_beta=0.999):
    u = torch.arange(num_steps + 1, dtype=torch.float32) / num_steps
    f = torch.cos((u + s) / (1 + s) * math.pi / 2) ** 2
    return (1 - f[1:] / f[:-1]).clamp(max=max_beta)


# 1.3


@answers.wrong(
    "1.3",
    "a running sum",
    "What one step keeps is multiplied by what the next one keeps. Use a product, not a sum.",
)
def compute_alpha_bars(betas):
    return torch.cumsum(1 - betas.double(), dim=0).float()


@answers.wrong(
    "1.3",
    "the product of the betas",
    "beta is what a step destroys. What is left is the product of 1 - beta.",
)
def compute_alpha_bars(betas):
    return torch.cumprod(betas.double(), dim=0).float()


@answers.wrong(
    "1.3",
    "one minus the sum of the betas",
    "Adding up losses ignores that a later step takes its share of what is left, not of the start.",
)
def compute_alpha_bars(betas):
    return (1 - torch.cumsum(betas.double(), dim=0)).float()


@answers.wrong(
    "1.3",
    "one step late",
    "At t = 0 one step of noise was added already, so the first entry is 1 - beta_0 and not 1.",
)
def compute_alpha_bars(betas):
    alpha_bars = torch.cumprod(1 - betas.double(), dim=0)
    return torch.cat([torch.ones(1, dtype=torch.float64), alpha_bars[:-1]]).float()


@answers.wrong(
    "1.3",
    "only the last product",
    "Every t needs its own product, so the result has as many entries as there are betas.",
)
def compute_alpha_bars(betas):
    return torch.prod(1 - betas.double()).float()


@answers.wrong(
    "1.3",
    "amplitude instead of power",
    "sqrt(alpha_bar) is what multiplies the image; alpha_bar itself has no root.",
)
def compute_alpha_bars(betas):
    return torch.cumprod(1 - betas.double(), dim=0).sqrt().float()


@answers.wrong(
    "1.3",
    "the share of the noise",
    "1 - alpha_bar is the noise's share. alpha_bar is the signal's, which begins near 1 and falls.",
)
def compute_alpha_bars(betas):
    return (1 - torch.cumprod(1 - betas.double(), dim=0)).float()


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


@answers.wrong(
    "1.4",
    "amplitudes in the table of alphas",
    "alpha_t = 1 - beta_t is a power. The root is taken where an image is multiplied.",
)
def make_schedule(betas):
    schedule = ref.make_schedule(betas)
    return replace(schedule, alphas=schedule.alphas.sqrt())


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


@answers.wrong(
    "1.4",
    "beta as the posterior variance",
    "beta_t is the variance of the forward step. Knowing x_0 makes the way back more certain.",
)
def make_schedule(betas):
    schedule = ref.make_schedule(betas)
    return replace(schedule, posterior_variance=schedule.betas)


@answers.wrong(
    "1.4",
    "a standard deviation where the variance belongs",
    "The table holds the variance. The sampler takes the root when it scales noise.",
)
def make_schedule(betas):
    schedule = ref.make_schedule(betas)
    return replace(schedule, posterior_variance=schedule.posterior_variance.sqrt())


@answers.wrong(
    "1.4",
    "the two weights swapped",
    "The weight with beta_t belongs to x_0, the one with sqrt(alpha_t) to x_t.",
)
def make_schedule(betas):
    schedule = ref.make_schedule(betas)
    return replace(
        schedule,
        posterior_x0_coef=schedule.posterior_xt_coef,
        posterior_xt_coef=schedule.posterior_x0_coef,
    )


@answers.wrong(
    "1.4",
    "alpha_bar_t instead of alpha_bar_{t-1} in the weight of x_0",
    "The posterior is about x_{t-1}, so its mean contains sqrt(alpha_bar_{t-1}) x_0.",
)
def make_schedule(betas):
    schedule = ref.make_schedule(betas)
    coef = schedule.alpha_bars.sqrt() * schedule.betas / (1 - schedule.alpha_bars)
    return replace(schedule, posterior_x0_coef=coef)


@answers.wrong(
    "1.4",
    "alpha_t without its root in the weight of x_t",
    "x_t carries x_{t-1} scaled by the amplitude sqrt(alpha_t), so the root appears in its weight.",
)
def make_schedule(betas):
    schedule = ref.make_schedule(betas)
    return replace(schedule, posterior_xt_coef=schedule.posterior_xt_coef * schedule.alphas.sqrt())


@answers.wrong(
    "1.4",
    "the noise ratio upside down",
    "(1 - alpha_bar_{t-1}) / (1 - alpha_bar_t) is below 1: the posterior is narrower than a step.",
)
def make_schedule(betas):
    schedule = ref.make_schedule(betas)
    ratio = (1 - schedule.alpha_bars) / (1 - schedule.alpha_bars_prev)
    return replace(schedule, posterior_variance=schedule.betas * ratio)


# 1.5


@answers.wrong(
    "1.5",
    "a ratio of amplitudes",
    "sqrt(alpha_bar) and sqrt(1 - alpha_bar) are amplitudes; their log-ratio is half the log-SNR.",
)
def log_snr(alpha_bars):
    return 0.5 * ref.log_snr(alpha_bars)


@answers.wrong(
    "1.5",
    "noise over signal",
    "Signal to noise: alpha_bar stands above the line. The log-SNR falls as t grows.",
)
def log_snr(alpha_bars):
    return -ref.log_snr(alpha_bars)


@answers.wrong(
    "1.5",
    "the decimal logarithm",
    "Use the natural logarithm, torch.log. Only then does the sigmoid give alpha_bar back.",
)
def log_snr(alpha_bars):
    return ref.log_snr(alpha_bars) / math.log(10)


@answers.wrong(
    "1.5",
    "decibels",
    "10 log10 is the engineer's scale. The diffusion literature uses the natural logarithm.",
)
def log_snr(alpha_bars):
    return 10 * ref.log_snr(alpha_bars) / math.log(10)


@answers.wrong(
    "1.5",
    "the logarithm forgotten",
    "That is the SNR itself, which spans many powers of ten. Take its logarithm.",
)
def log_snr(alpha_bars):
    return ref.log_snr(alpha_bars).exp()


@answers.wrong(
    "1.5",
    "the signal alone",
    "log(alpha_bar) says how much signal is left, not how it compares with the noise.",
)
def log_snr(alpha_bars):
    return torch.log(alpha_bars.double()).float()


@answers.wrong(
    "1.5",
    "signal over the whole",
    "alpha_bar / (1 + alpha_bar) is not the ratio: the noise has power 1 - alpha_bar.",
)
def log_snr(alpha_bars):
    alpha_bars = alpha_bars.double()
    return torch.log(alpha_bars / (1 + alpha_bars)).float()


@answers.wrong(
    "1.5",
    "float32 before the subtraction",
    "1 - alpha_bar cancels nearly all digits of a float32 near 1. Subtract first, then round.",
)
def log_snr(alpha_bars):
    alpha_bars = alpha_bars.float()
    return torch.log(alpha_bars / (1 - alpha_bars))
