"""Right answers to chapter 01 in other styles. Every check must accept them."""

import math
from types import SimpleNamespace

import numpy as np
import torch

from course.answers import Answers

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
