"""Right answers to chapter 01 in other styles. Every check must accept them."""

import functools
import itertools
import math
from types import SimpleNamespace

import numpy as np
import torch

from course.grading.answers import Answers
from solutions import ch01_noise_schedule as ref

answers = Answers()


# 1.1


@answers.right("1.1", "a loop over Python floats")
def linear_betas(num_steps, beta_start=1e-4, beta_end=0.02):
    step = (beta_end - beta_start) / (num_steps - 1)
    return torch.tensor([beta_start + step * t for t in range(num_steps)], dtype=torch.float32)


@answers.right("1.1", "the formula on a range of indices")
def linear_betas(num_steps, beta_start=1e-4, beta_end=0.02):
    t = torch.arange(num_steps, dtype=torch.float64)
    return (beta_start + (beta_end - beta_start) * t / (num_steps - 1)).to(torch.float32)


@answers.right("1.1", "NumPy")
def linear_betas(num_steps, beta_start=1e-4, beta_end=0.02):
    return torch.from_numpy(np.linspace(beta_start, beta_end, num_steps)).float()


@answers.right("1.1", "linspace in float32")
def linear_betas(num_steps, beta_start=1e-4, beta_end=0.02):
    return torch.linspace(beta_start, beta_end, num_steps)


@answers.right("1.1", "a weighted mean of the ends")
def linear_betas(num_steps, beta_start=1e-4, beta_end=0.02):
    w = torch.linspace(0, 1, num_steps, dtype=torch.float64)
    return torch.lerp(torch.full_like(w, beta_start), torch.full_like(w, beta_end), w).float()


@answers.right("1.1", "one step added again and again, in Python floats")
def linear_betas(num_steps, beta_start=1e-4, beta_end=0.02):
    betas, step = [beta_start], (beta_end - beta_start) / (num_steps - 1)
    for _ in range(num_steps - 1):
        betas.append(betas[-1] + step)
    return torch.Tensor(betas)


@answers.right("1.1", "a running sum of equal steps")
def linear_betas(num_steps, beta_start=1e-4, beta_end=0.02):
    steps = torch.full([num_steps], (beta_end - beta_start) / (num_steps - 1), dtype=torch.float64)
    steps[0] = beta_start
    return steps.cumsum(dim=0).to(dtype=torch.float32)


@answers.right("1.1", "the formula in float32, on a grid from 0 to 1")
def linear_betas(num_steps, beta_start=1e-4, beta_end=0.02):
    return beta_start + (beta_end - beta_start) * torch.linspace(start=0, end=1, steps=num_steps)


@answers.right("1.1", "two points stretched by interpolate")
def linear_betas(num_steps, beta_start=1e-4, beta_end=0.02):
    ends = torch.tensor([[[beta_start, beta_end]]], dtype=torch.float64)
    stretched = torch.nn.functional.interpolate(
        ends, size=num_steps, mode="linear", align_corners=True
    )
    return stretched.flatten().float()


# 1.2


@answers.right("1.2", "a loop over Python floats")
def cosine_betas(num_steps, s=0.008, max_beta=0.999):
    def f(u):
        return math.cos((u + s) / (1 + s) * math.pi / 2) ** 2

    betas = [1 - f((t + 1) / num_steps) / f(t / num_steps) for t in range(num_steps)]
    return torch.tensor([min(beta, max_beta) for beta in betas])


@answers.right("1.2", "alpha_bars first, then their ratios")
def cosine_betas(num_steps, s=0.008, max_beta=0.999):
    u = torch.linspace(0, 1, num_steps + 1, dtype=torch.float64)
    f = torch.cos((u + s) / (1 + s) * torch.pi * 0.5).pow(2)
    alpha_bars = f / f[0]
    betas = 1 - alpha_bars[1:] / alpha_bars[:-1]
    return torch.minimum(betas, torch.tensor(max_beta, dtype=torch.float64)).to(torch.float32)


@answers.right("1.2", "half-angle form of the squared cosine")
def cosine_betas(num_steps, s=0.008, max_beta=0.999):
    u = torch.arange(num_steps + 1).double() / num_steps
    f = (1 + torch.cos((u + s) / (1 + s) * math.pi)) / 2
    return torch.clip(1 - f[1:] / f[:-1], max=max_beta).float()


@answers.right("1.2", "NumPy")
def cosine_betas(num_steps, s=0.008, max_beta=0.999):
    f = np.cos((np.arange(num_steps + 1) / num_steps + s) / (1 + s) * np.pi / 2) ** 2
    return torch.from_numpy(np.clip(1 - f[1:] / f[:-1], 0, max_beta).astype(np.float32))


@answers.right("1.2", "filled in place")
def cosine_betas(num_steps, s=0.008, max_beta=0.999):
    betas = torch.empty(num_steps, dtype=torch.float64)
    later = math.cos(s / (1 + s) * math.pi / 2) ** 2
    for t in range(num_steps):
        earlier, later = later, math.cos(((t + 1) / num_steps + s) / (1 + s) * math.pi / 2) ** 2
        betas[t] = 1 - later / earlier
    return betas.clamp_(max=max_beta).float()


@answers.right("1.2", "by the sine of a difference")
def cosine_betas(num_steps, s=0.008, max_beta=0.999):
    # cos(a)^2 - cos(b)^2 = sin(b - a) sin(b + a)
    angles = (torch.arange(num_steps + 1).double() / num_steps + s) / (1 + s) * math.pi / 2
    a, b = angles[:-1], angles[1:]
    betas = torch.sin(b - a) * torch.sin(b + a) / torch.cos(a).square()
    return torch.clamp_max(betas, max_beta).float()


@answers.right("1.2", "helper functions and pairs of neighbours")
def cosine_betas(num_steps, s=0.008, max_beta=0.999):
    def alpha_bar(step):
        return math.cos((step / num_steps + s) / (1 + s) * (math.pi / 2)) ** 2

    def beta(before, after):
        return min(max_beta, 1 - after / before)

    curve = map(alpha_bar, range(num_steps + 1))
    return torch.tensor(list(itertools.starmap(beta, itertools.pairwise(curve))))


@answers.right("1.2", "a window over f, and the clip by where")
def cosine_betas(num_steps, s=0.008, max_beta=0.999):
    u = torch.linspace(0.0, 1.0, steps=num_steps + 1, dtype=torch.double)
    earlier, later = torch.cos((u + s) * math.pi / (2 * (1 + s))).square().unfold(0, 2, 1).unbind(1)
    betas = (earlier - later) / earlier
    return torch.where(betas > max_beta, max_beta, betas).to(torch.float32)


@answers.right("1.2", "differences of logarithms, clipped in place")
def cosine_betas(num_steps, s=0.008, max_beta=0.999):
    u = torch.arange(0, num_steps + 1, 1, dtype=torch.float64).div_(num_steps)
    log_f = 2 * torch.log(torch.cos(u.add_(s).mul_(0.5 * math.pi / (1 + s))))
    betas = -torch.expm1(log_f.diff())
    betas[betas > max_beta] = max_beta
    return betas.float()


# 1.3


@answers.right("1.3", "a loop that multiplies up")
def compute_alpha_bars(betas):
    result, product = [], 1.0
    for beta in betas.tolist():
        product *= 1 - beta
        result.append(product)
    return torch.tensor(result, dtype=torch.float32)


@answers.right("1.3", "a sum of logarithms")
def compute_alpha_bars(betas):
    return torch.log1p(-betas.double()).cumsum(0).exp().float()


@answers.right("1.3", "products of slices")
def compute_alpha_bars(betas):
    alphas = 1 - betas.to(torch.float64)
    return torch.stack([alphas[: t + 1].prod() for t in range(len(alphas))]).float()


@answers.right("1.3", "NumPy")
def compute_alpha_bars(betas):
    return torch.from_numpy(np.cumprod(1 - betas.double().numpy())).to(torch.float32)


@answers.right("1.3", "the method of the tensor, float32 at the end only")
def compute_alpha_bars(betas):
    return (1.0 - betas.double()).cumprod(dim=-1).type(torch.float32)


@answers.right("1.3", "itertools.accumulate")
def compute_alpha_bars(betas):
    products = itertools.accumulate((1 - beta.item() for beta in betas), lambda a, b: a * b)
    return torch.tensor(list(products)).float()


@answers.right("1.3", "filled in place, each product from the one before")
def compute_alpha_bars(betas):
    alpha_bars = torch.ones_like(betas, dtype=torch.float64).sub_(betas)
    for t in range(1, len(alpha_bars)):
        alpha_bars[t] *= alpha_bars[t - 1]
    return alpha_bars.float()


@answers.right("1.3", "a triangle of factors")
def compute_alpha_bars(betas):
    alphas = betas.double().neg().add(1)
    square = alphas.expand(len(alphas), -1)
    return square.tril().masked_fill(torch.ones_like(square).triu(1).bool(), 1).prod(1).float()


@answers.right("1.3", "an out= argument and keyword arguments")
def compute_alpha_bars(betas):
    out = torch.empty(betas.shape, dtype=torch.float64)
    torch.cumprod(input=1 - betas.to(dtype=torch.float64), dim=-1, out=out)
    return out.to(dtype=torch.float32)


# 1.4


@answers.right("1.4", "a loop over t with Python floats")
def make_schedule(betas):
    rows, previous = [], 1.0
    for beta in betas.tolist():
        alpha = 1 - beta
        bar = previous * alpha
        rows.append(
            {
                "betas": beta,
                "alphas": alpha,
                "alpha_bars": bar,
                "alpha_bars_prev": previous,
                "posterior_variance": beta * (1 - previous) / (1 - bar),
                "posterior_x0_coef": math.sqrt(previous) * beta / (1 - bar),
                "posterior_xt_coef": math.sqrt(alpha) * (1 - previous) / (1 - bar),
            }
        )
        previous = bar
    return SimpleNamespace(
        **{key: torch.tensor([row[key] for row in rows], dtype=torch.float32) for key in rows[0]}
    )


@answers.right("1.4", "padding instead of cat, and a dict of tables")
def make_schedule(betas):
    b = betas.to(torch.float64)
    bar = (1 - b).cumprod(0)
    prev = torch.nn.functional.pad(bar[:-1], (1, 0), value=1.0)
    tables = {
        "betas": b,
        "alphas": 1 - b,
        "alpha_bars": bar,
        "alpha_bars_prev": prev,
        "posterior_variance": (1 - prev) / (1 - bar) * b,
        "posterior_x0_coef": b * torch.sqrt(prev) / (1 - bar),
        "posterior_xt_coef": (1 - prev) * torch.sqrt(1 - b) / (1 - bar),
    }
    return SimpleNamespace(**{key: value.float() for key, value in tables.items()})


@answers.right("1.4", "alpha_bars_prev by division")
def make_schedule(betas):
    b = betas.double()
    a = 1 - b
    bar = torch.cumprod(a, 0)
    prev = bar / a
    prev[0] = 1
    variance = b * (1 - prev) / (1 - bar)
    return SimpleNamespace(
        betas=b.float(),
        alphas=a.float(),
        alpha_bars=bar.float(),
        alpha_bars_prev=prev.float(),
        posterior_variance=variance.float(),
        posterior_x0_coef=(prev.sqrt() * b / (1 - bar)).float(),
        posterior_xt_coef=(a.sqrt() * variance / b).float(),
    )


@answers.right("1.4", "roll, with the first entry mended")
def make_schedule(betas):
    b = betas.double()
    bar = torch.cumprod(1 - b, 0)
    prev = bar.roll(1)
    prev[0] = 1.0
    rest = 1 - bar
    return SimpleNamespace(
        betas=b.float(),
        alphas=(1 - b).float(),
        alpha_bars=bar.float(),
        alpha_bars_prev=prev.float(),
        posterior_variance=(b * (1 - prev) / rest).float(),
        posterior_x0_coef=(prev.sqrt() * b / rest).float(),
        posterior_xt_coef=((1 - b).sqrt() * (1 - prev) / rest).float(),
    )


@answers.right("1.4", "NumPy")
def make_schedule(betas):
    b = betas.double().numpy()
    bar = np.cumprod(1 - b)
    prev = np.append(1.0, bar[:-1])
    tables = dict(
        betas=b,
        alphas=1 - b,
        alpha_bars=bar,
        alpha_bars_prev=prev,
        posterior_variance=b * (1 - prev) / (1 - bar),
        posterior_x0_coef=np.sqrt(prev) * b / (1 - bar),
        posterior_xt_coef=np.sqrt(1 - b) * (1 - prev) / (1 - bar),
    )
    return SimpleNamespace(
        **{key: torch.from_numpy(np.array(value)).float() for key, value in tables.items()}
    )


@answers.right("1.4", "the reference's class by position, shifted before the product")
def make_schedule(betas):
    beta = betas.type(torch.float64)
    alpha = 1 - beta
    shifted = alpha.new_ones(len(alpha))
    shifted[1:] = alpha[:-1]
    bar, prev = alpha.cumprod(0), shifted.cumprod(0)
    ratio = (1 - prev) / (1 - bar)
    tables = (
        beta,
        alpha,
        bar,
        prev,
        beta * ratio,
        beta / (1 - bar) * prev**0.5,
        alpha**0.5 * ratio,
    )
    return ref.NoiseSchedule(*[table.float() for table in tables])


@answers.right("1.4", "two witnesses, whose certainties add up")
def make_schedule(betas):
    b = betas.double()
    log_bar = torch.cumsum(torch.log1p(-b), dim=0)
    log_prev = torch.cat([log_bar.new_zeros(1), log_bar[:-1]])
    noise_before = -torch.expm1(log_prev)
    variance = 1 / ((1 - b) / b + 1 / noise_before)  # 1 / infinity = 0 at t = 0
    x0_coef = variance * torch.exp(log_prev / 2) / noise_before
    x0_coef[0] = 1
    return SimpleNamespace(
        betas=b.float(),
        alphas=(1 - b).float(),
        alpha_bars=log_bar.exp().float(),
        alpha_bars_prev=log_prev.exp().float(),
        posterior_variance=variance.float(),
        posterior_x0_coef=x0_coef.float(),
        posterior_xt_coef=(variance * torch.sqrt(1 - b) / b).float(),
    )


@answers.right("1.4", "a class that works its tables out when they are read")
def make_schedule(betas):
    def table(formula):
        return property(lambda self: formula(self.b, self.bar, self.prev).to(torch.float32))

    class Schedule:
        def __init__(self, b):
            self.b = b
            self.bar = torch.cumprod(1 - b, dim=0)
            self.prev = torch.hstack((b.new_tensor([1.0]), self.bar[:-1]))

        betas = table(lambda b, bar, prev: b)
        alphas = table(lambda b, bar, prev: 1 - b)
        alpha_bars = table(lambda b, bar, prev: bar)
        alpha_bars_prev = table(lambda b, bar, prev: prev)
        posterior_variance = table(lambda b, bar, prev: (1 - prev) * b / (1 - bar))
        posterior_x0_coef = table(lambda b, bar, prev: torch.sqrt(prev) * b / (1 - bar))
        posterior_xt_coef = table(lambda b, bar, prev: torch.sqrt(1 - b) * (1 - prev) / (1 - bar))

    return Schedule(betas.to(torch.float64))


@answers.right("1.4", "shares of the noise, without 1 - alpha_bar")
def make_schedule(betas):
    # The noise after a step is what is left of the noise before it, and the step's own.
    def add_step(noises, beta):
        return [*noises, (1 - beta) * noises[-1] + beta]

    noises = functools.reduce(add_step, betas.tolist(), [0.0])
    before, after = torch.tensor([noises[:-1], noises[1:]], dtype=torch.float64)
    b = betas.double()
    tables = {
        "betas": b,
        "alphas": 1 - b,
        "alpha_bars": 1 - after,
        "alpha_bars_prev": 1 - before,
        "posterior_variance": b * (before / after),
        "posterior_x0_coef": (1 - before).sqrt() * (b / after),
        "posterior_xt_coef": (1 - b).sqrt() * (before / after),
    }
    return ref.NoiseSchedule(**{name: table.float() for name, table in tables.items()})


# 1.5


@answers.right("1.5", "a difference of logarithms")
def log_snr(alpha_bars):
    a = alpha_bars.double()
    return (a.log() - (1 - a).log()).float()


@answers.right("1.5", "torch.logit")
def log_snr(alpha_bars):
    return torch.logit(alpha_bars.double()).float()


@answers.right("1.5", "a loop over Python floats")
def log_snr(alpha_bars):
    return torch.tensor([math.log(a / (1 - a)) for a in alpha_bars.tolist()])


@answers.right("1.5", "twice the log-ratio of amplitudes")
def log_snr(alpha_bars):
    a = alpha_bars.double()
    return (2 * torch.log(a.sqrt() / (1 - a).sqrt())).to(torch.float32)


@answers.right("1.5", "log1p")
def log_snr(alpha_bars):
    a = alpha_bars.double()
    return (torch.log(a) - torch.log1p(-a)).float()


@answers.right("1.5", "the logarithm of one reciprocal")
def log_snr(alpha_bars):
    return -torch.log(1 / alpha_bars.double() - 1).float()


@answers.right("1.5", "the inverse of the hyperbolic tangent")
def log_snr(alpha_bars):
    return (2 * (2 * alpha_bars.to(torch.float64) - 1).atanh()).to(torch.float32)


@answers.right("1.5", "NumPy")
def log_snr(alpha_bars):
    power = alpha_bars.numpy().astype(np.float64)
    return torch.tensor(np.log(power) - np.log1p(-power), dtype=torch.float32)


@answers.right("1.5", "the inverse of a transform of torch.distributions")
def log_snr(alpha_bars):
    return torch.distributions.SigmoidTransform().inv(alpha_bars.double()).float()


@answers.right("1.5", "in place on a copy")
def log_snr(alpha_bars):
    ratio = alpha_bars.clone().double()
    return ratio.div_(1 - ratio).log_().float()
