"""Right answers to chapter 01 in other styles. Every check must accept them."""

import itertools
import math

import numpy as np
import torch

from course.grading.answers import Answers
from solutions import ch01_noise_schedule as ref

answers = Answers()


def _refuse(num_steps, beta_start=1e-4, beta_end=0.02):
    """What the first lines of the first two exercises do."""
    if num_steps < 2:
        raise ValueError(f"num_steps must be at least 2, got {num_steps}")
    if not 0 < beta_start <= beta_end < 1:
        raise ValueError(f"need 0 < beta_start <= beta_end < 1, got {beta_start} and {beta_end}")


# 1.1


@answers.right("1.1", "a loop over Python floats")
def linear_betas(num_steps, beta_start=1e-4, beta_end=0.02):
    _refuse(num_steps, beta_start, beta_end)
    step = (beta_end - beta_start) / (num_steps - 1)
    return torch.tensor([beta_start + step * t for t in range(num_steps)], dtype=torch.float32)


@answers.right("1.1", "the formula on a range of indices")
def linear_betas(num_steps, beta_start=1e-4, beta_end=0.02):
    _refuse(num_steps, beta_start, beta_end)
    t = torch.arange(num_steps, dtype=torch.float64)
    return (beta_start + (beta_end - beta_start) * t / (num_steps - 1)).to(torch.float32)


@answers.right("1.1", "NumPy")
def linear_betas(num_steps, beta_start=1e-4, beta_end=0.02):
    _refuse(num_steps, beta_start, beta_end)
    return torch.from_numpy(np.linspace(beta_start, beta_end, num_steps)).float()


@answers.right("1.1", "linspace in float32")
def linear_betas(num_steps, beta_start=1e-4, beta_end=0.02):
    _refuse(num_steps, beta_start, beta_end)
    return torch.linspace(beta_start, beta_end, num_steps)


@answers.right("1.1", "a weighted mean of the ends")
def linear_betas(num_steps, beta_start=1e-4, beta_end=0.02):
    _refuse(num_steps, beta_start, beta_end)
    w = torch.linspace(0, 1, num_steps, dtype=torch.float64)
    return torch.lerp(torch.full_like(w, beta_start), torch.full_like(w, beta_end), w).float()


@answers.right("1.1", "one step added again and again, in Python floats")
def linear_betas(num_steps, beta_start=1e-4, beta_end=0.02):
    _refuse(num_steps, beta_start, beta_end)
    betas, step = [beta_start], (beta_end - beta_start) / (num_steps - 1)
    for _ in range(num_steps - 1):
        betas.append(betas[-1] + step)
    return torch.Tensor(betas)


@answers.right("1.1", "a running sum of equal steps")
def linear_betas(num_steps, beta_start=1e-4, beta_end=0.02):
    _refuse(num_steps, beta_start, beta_end)
    steps = torch.full([num_steps], (beta_end - beta_start) / (num_steps - 1), dtype=torch.float64)
    steps[0] = beta_start
    return steps.cumsum(dim=0).to(dtype=torch.float32)


@answers.right("1.1", "the formula in float32, on a grid from 0 to 1")
def linear_betas(num_steps, beta_start=1e-4, beta_end=0.02):
    _refuse(num_steps, beta_start, beta_end)
    return beta_start + (beta_end - beta_start) * torch.linspace(start=0, end=1, steps=num_steps)


@answers.right("1.1", "two points stretched by interpolate")
def linear_betas(num_steps, beta_start=1e-4, beta_end=0.02):
    _refuse(num_steps, beta_start, beta_end)
    ends = torch.tensor([[[beta_start, beta_end]]], dtype=torch.float64)
    stretched = torch.nn.functional.interpolate(
        ends, size=num_steps, mode="linear", align_corners=True
    )
    return stretched.flatten().float()


@answers.right("1.1", "ends that are refused in another order, as tensors")
def linear_betas(num_steps, beta_start=1e-4, beta_end=0.02):
    ends = torch.tensor([beta_start, beta_end], dtype=torch.float64)
    inside = bool((ends > 0).all() and (ends < 1).all())
    if not (inside and beta_start <= beta_end) or not num_steps >= 2:
        raise ValueError("no schedule")
    shares = torch.arange(num_steps).double() / (num_steps - 1)
    return ((1 - shares) * ends[0] + shares * ends[1]).float()


# 1.2


@answers.right("1.2", "a loop over Python floats")
def cosine_betas(num_steps, s=0.008, max_beta=0.999):
    _refuse(num_steps)

    def f(u):
        return math.cos((u + s) / (1 + s) * math.pi / 2) ** 2

    betas = [1 - f((t + 1) / num_steps) / f(t / num_steps) for t in range(num_steps)]
    return torch.tensor([min(beta, max_beta) for beta in betas])


@answers.right("1.2", "alpha_bars first, then their ratios")
def cosine_betas(num_steps, s=0.008, max_beta=0.999):
    _refuse(num_steps)
    u = torch.linspace(0, 1, num_steps + 1, dtype=torch.float64)
    f = torch.cos((u + s) / (1 + s) * torch.pi * 0.5).pow(2)
    alpha_bars = f / f[0]
    betas = 1 - alpha_bars[1:] / alpha_bars[:-1]
    return torch.minimum(betas, torch.tensor(max_beta, dtype=torch.float64)).to(torch.float32)


@answers.right("1.2", "half-angle form of the squared cosine")
def cosine_betas(num_steps, s=0.008, max_beta=0.999):
    _refuse(num_steps)
    u = torch.arange(num_steps + 1).double() / num_steps
    f = (1 + torch.cos((u + s) / (1 + s) * math.pi)) / 2
    return torch.clip(1 - f[1:] / f[:-1], max=max_beta).float()


@answers.right("1.2", "NumPy")
def cosine_betas(num_steps, s=0.008, max_beta=0.999):
    _refuse(num_steps)
    f = np.cos((np.arange(num_steps + 1) / num_steps + s) / (1 + s) * np.pi / 2) ** 2
    return torch.from_numpy(np.clip(1 - f[1:] / f[:-1], 0, max_beta).astype(np.float32))


@answers.right("1.2", "filled in place")
def cosine_betas(num_steps, s=0.008, max_beta=0.999):
    _refuse(num_steps)
    betas = torch.empty(num_steps, dtype=torch.float64)
    later = math.cos(s / (1 + s) * math.pi / 2) ** 2
    for t in range(num_steps):
        earlier, later = later, math.cos(((t + 1) / num_steps + s) / (1 + s) * math.pi / 2) ** 2
        betas[t] = 1 - later / earlier
    return betas.clamp_(max=max_beta).float()


@answers.right("1.2", "by the sine of a difference")
def cosine_betas(num_steps, s=0.008, max_beta=0.999):
    _refuse(num_steps)
    # cos(a)^2 - cos(b)^2 = sin(b - a) sin(b + a)
    angles = (torch.arange(num_steps + 1).double() / num_steps + s) / (1 + s) * math.pi / 2
    a, b = angles[:-1], angles[1:]
    betas = torch.sin(b - a) * torch.sin(b + a) / torch.cos(a).square()
    return torch.clamp_max(betas, max_beta).float()


@answers.right("1.2", "helper functions and pairs of neighbours")
def cosine_betas(num_steps, s=0.008, max_beta=0.999):
    _refuse(num_steps)

    def alpha_bar(step):
        return math.cos((step / num_steps + s) / (1 + s) * (math.pi / 2)) ** 2

    def beta(before, after):
        return min(max_beta, 1 - after / before)

    curve = map(alpha_bar, range(num_steps + 1))
    return torch.tensor(list(itertools.starmap(beta, itertools.pairwise(curve))))


@answers.right("1.2", "a window over f, and the clip by where")
def cosine_betas(num_steps, s=0.008, max_beta=0.999):
    _refuse(num_steps)
    u = torch.linspace(0.0, 1.0, steps=num_steps + 1, dtype=torch.double)
    earlier, later = torch.cos((u + s) * math.pi / (2 * (1 + s))).square().unfold(0, 2, 1).unbind(1)
    betas = (earlier - later) / earlier
    return torch.where(betas > max_beta, max_beta, betas).to(torch.float32)


@answers.right("1.2", "differences of logarithms, clipped in place")
def cosine_betas(num_steps, s=0.008, max_beta=0.999):
    _refuse(num_steps)
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


@answers.right("1.3", "bisection until nothing changes any more")
def matching_beta_end(num_steps, final_alpha_bar, beta_start=1e-4):
    low, high = beta_start, 1.0
    while high - low > 1e-12:
        middle = 0.5 * (low + high)
        betas = np.linspace(beta_start, middle, num_steps)
        if np.prod(1 - betas) < final_alpha_bar:
            high = middle
        else:
            low = middle
    return high


@answers.right("1.3", "the secant method on the logarithm")
def matching_beta_end(num_steps, final_alpha_bar, beta_start=1e-4):
    shares = torch.linspace(0, 1, num_steps, dtype=torch.float64)

    def missing(end):
        return float(torch.log1p(-(beta_start + (end - beta_start) * shares)).sum()) - math.log(
            final_alpha_bar
        )

    before, end = beta_start, min(0.9, -math.log(final_alpha_bar) / num_steps + beta_start)
    for _ in range(100):
        a, b = missing(before), missing(end)
        if a == b:
            break
        step = b * (end - before) / (b - a)
        before, end = end, min((end + 1) / 2, end - step)  # never beyond 1
    return end


@answers.right("1.3", "Newton's method, differentiated by autograd, as a tensor")
def matching_beta_end(num_steps, final_alpha_bar, beta_start=1e-4):
    shares = torch.linspace(0, 1, num_steps, dtype=torch.float64)
    end = torch.tensor(beta_start, dtype=torch.float64, requires_grad=True)
    for _ in range(100):
        missing = torch.log1p(-(beta_start + (end - beta_start) * shares)).sum()
        missing = missing - math.log(final_alpha_bar)
        (slope,) = torch.autograd.grad(missing, end)
        new = torch.minimum((end + 1) / 2, end - missing / slope)
        end = new.detach().requires_grad_()
    return end.detach()


@answers.right("1.3", "a grid of candidates, made finer and finer")
def matching_beta_end(num_steps, final_alpha_bar, beta_start=1e-4):
    low, high = beta_start, 1 - 1e-9
    for _ in range(12):
        candidates = torch.linspace(low, high, 21, dtype=torch.float64).tolist()
        left = [
            ref.compute_alpha_bars(ref.linear_betas(num_steps, beta_start, end))[-1].item()
            for end in candidates
        ]
        best = min(range(21), key=lambda i: abs(left[i] - final_alpha_bar))
        low, high = candidates[max(best - 1, 0)], candidates[min(best + 1, 20)]
    return (low + high) / 2


@answers.right("1.3", "a search that stops once the share is right to 0.1 %")
def matching_beta_end(num_steps, final_alpha_bar, beta_start=1e-4):
    low, high, ratio = beta_start, 1.0, 0.0
    while not 0.999 <= ratio <= 1.001:
        end = (low + high) / 2
        betas = ref.linear_betas(num_steps, beta_start, end)
        ratio = ref.compute_alpha_bars(betas)[-1].item() / final_alpha_bar
        low, high = (end, high) if ratio > 1 else (low, end)
    return end


@answers.right("1.3", "recursion")
def matching_beta_end(num_steps, final_alpha_bar, beta_start=1e-4):
    def between(low, high, rounds=40):
        middle = (low + high) / 2
        if rounds == 0:
            return middle
        left = ref.compute_alpha_bars(ref.linear_betas(num_steps, beta_start, middle))[-1]
        enough = bool(left <= final_alpha_bar)
        return between(*((low, middle) if enough else (middle, high)), rounds - 1)

    return between(beta_start, 1.0)


# 1.4


@answers.right("1.4", "a difference of logarithms")
def log_snr(alpha_bars):
    a = alpha_bars.double()
    return (a.log() - (1 - a).log()).float()


@answers.right("1.4", "torch.logit")
def log_snr(alpha_bars):
    return torch.logit(alpha_bars.double()).float()


@answers.right("1.4", "a loop over Python floats")
def log_snr(alpha_bars):
    return torch.tensor([math.log(a / (1 - a)) for a in alpha_bars.tolist()])


@answers.right("1.4", "twice the log-ratio of amplitudes")
def log_snr(alpha_bars):
    a = alpha_bars.double()
    return (2 * torch.log(a.sqrt() / (1 - a).sqrt())).to(torch.float32)


@answers.right("1.4", "log1p")
def log_snr(alpha_bars):
    a = alpha_bars.double()
    return (torch.log(a) - torch.log1p(-a)).float()


@answers.right("1.4", "the logarithm of one reciprocal")
def log_snr(alpha_bars):
    return -torch.log(1 / alpha_bars.double() - 1).float()


@answers.right("1.4", "the inverse of the hyperbolic tangent")
def log_snr(alpha_bars):
    return (2 * (2 * alpha_bars.to(torch.float64) - 1).atanh()).to(torch.float32)


@answers.right("1.4", "NumPy")
def log_snr(alpha_bars):
    power = alpha_bars.numpy().astype(np.float64)
    return torch.tensor(np.log(power) - np.log1p(-power), dtype=torch.float32)


@answers.right("1.4", "the inverse of a transform of torch.distributions")
def log_snr(alpha_bars):
    return torch.distributions.SigmoidTransform().inv(alpha_bars.double()).float()


@answers.right("1.4", "in place on a copy")
def log_snr(alpha_bars):
    ratio = alpha_bars.clone().double()
    return ratio.div_(1 - ratio).log_().float()


@answers.right("1.4", "a loop over the steps")
def equally_noisy(alpha_bars, other):
    there, steps = ref.log_snr(other).tolist(), []
    for here in ref.log_snr(alpha_bars).tolist():
        steps.append(min(range(len(there)), key=lambda step: abs(there[step] - here)))
    return torch.tensor(steps)


@answers.right("1.4", "torch.cdist, and the place of the minimum")
def equally_noisy(alpha_bars, other):
    here, there = (ref.log_snr(bars).double()[:, None] for bars in (alpha_bars, other))
    return torch.cdist(here, there, p=1).min(dim=1).indices


@answers.right("1.4", "searchsorted, and the nearer of two neighbours")
def equally_noisy(alpha_bars, other):
    here, there = ref.log_snr(alpha_bars), ref.log_snr(other)
    after = torch.searchsorted(-there, -here).clamp(1, len(there) - 1)
    before = after - 1
    nearer = (there[before] - here).abs() < (there[after] - here).abs()
    return torch.where(nearer, before, after)


@answers.right("1.4", "midpoints between the other's log-SNRs, counted")
def equally_noisy(alpha_bars, other):
    there = torch.logit(other.double())
    middles = (there[1:] + there[:-1]) / 2
    return (torch.logit(alpha_bars.double())[:, None] < middles).sum(dim=1)


@answers.right("1.4", "squared distances in NumPy")
def equally_noisy(alpha_bars, other):
    here, there = (ref.log_snr(bars).numpy().astype(np.float64) for bars in (alpha_bars, other))
    return torch.from_numpy(np.argmin(np.subtract.outer(here, there) ** 2, axis=-1))
