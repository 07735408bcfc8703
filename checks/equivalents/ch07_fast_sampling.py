"""Right answers to chapter 07 in other styles. Every check must accept them."""

import bisect
import functools
import itertools
import math

import numpy as np
import torch
from torch.nn import functional as F

from course.grading.answers import Answers

answers = Answers()


# 7.1


def _refuse(alpha_bars, num_steps, spacing):
    if num_steps < 2 or num_steps > len(alpha_bars):
        raise ValueError(f"{num_steps} steps of {len(alpha_bars)}")
    if spacing not in {"trailing", "leading", "linspace", "log_snr"}:
        raise ValueError(f"no spacing {spacing}")


@answers.right("7.1", "whole numbers in a Python loop")
def time_grid(alpha_bars, num_steps, spacing="trailing", lambda_min=-5.0):
    _refuse(alpha_bars, num_steps, spacing)
    T, n = len(alpha_bars), num_steps
    grid = []
    for k in range(n, 0, -1):
        if spacing == "trailing":
            grid.append((2 * k * T + n) // (2 * n) - 1)  # rounds half up
        elif spacing == "leading":
            grid.append((k - 1) * (T // n))
        elif spacing == "linspace":
            grid.append((2 * (k - 1) * (T - 1) + n - 1) // (2 * (n - 1)))
    if spacing == "log_snr":
        lambdas = [0.5 * math.log(a / (1 - a)) for a in alpha_bars.tolist()]
        start, end = max(lambdas[-1], lambda_min), lambdas[0]
        grid.append(T - 1)
        for i in range(1, n):
            level = start + (end - start) * i / (n - 1)
            nearest = min(range(T), key=lambda t: abs(lambdas[t] - level))
            if nearest != grid[-1]:
                grid.append(nearest)
    return torch.tensor(grid, dtype=torch.int64, device=alpha_bars.device)


@answers.right("7.1", "NumPy")
def time_grid(alpha_bars, num_steps, spacing="trailing", lambda_min=-5.0):
    _refuse(alpha_bars, num_steps, spacing)
    T = len(alpha_bars)
    if spacing == "trailing":
        grid = np.round(np.arange(T, 0, -T / num_steps)[:num_steps]) - 1
    elif spacing == "leading":
        grid = (np.arange(num_steps) * (T // num_steps))[::-1]
    elif spacing == "linspace":
        grid = np.linspace(0, T - 1, num_steps).round()[::-1]
    else:
        a = alpha_bars.double().numpy()
        lambdas = np.log(np.sqrt(a) / np.sqrt(1 - a))
        levels = np.linspace(max(lambdas[-1], lambda_min), lambdas[0], num_steps)
        grid = np.abs(lambdas[None, :] - levels[:, None]).argmin(1)
        grid[0] = T - 1
        grid = np.unique(grid)[::-1]
    return torch.from_numpy(grid.copy()).to(alpha_bars.device, torch.int64)


@answers.right("7.1", "torch.linspace and arange, sorted from the top")
def time_grid(alpha_bars, num_steps, spacing="trailing", lambda_min=-5.0):
    _refuse(alpha_bars, num_steps, spacing)
    T, n, device = len(alpha_bars), num_steps, alpha_bars.device
    if spacing == "trailing":
        grid = torch.linspace(T, T / n, n, dtype=torch.float64).round() - 1
    elif spacing == "leading":
        grid = torch.arange(0, n * (T // n), T // n).flip(0)
    elif spacing == "linspace":
        grid = torch.linspace(T - 1, 0, n, dtype=torch.float64).round()
    elif spacing == "log_snr":
        lambdas = torch.logit(alpha_bars.double()) / 2
        start = max(lambdas[-1].item(), lambda_min)
        levels = torch.linspace(start, lambdas[0].item(), n, dtype=torch.float64).to(device)
        grid = torch.cdist(levels[1:, None], lambdas[:, None]).argmin(1)
        grid = torch.cat([grid, torch.tensor([T - 1], device=device)])
        grid = torch.unique(grid).flip(0)
    return grid.long().to(device)


@answers.right("7.1", "a function for each spacing, and bisection for log_snr")
def time_grid(alpha_bars, num_steps, spacing="trailing", lambda_min=-5.0):
    _refuse(alpha_bars, num_steps, spacing)
    T, n = alpha_bars.shape[0], num_steps

    def log_snr():
        lambdas = [math.log(math.sqrt(a) / math.sqrt(1 - a)) for a in alpha_bars.tolist()]
        rising = lambdas[::-1]  # rising[k] is that of step T - 1 - k
        start, end = max(rising[0], lambda_min), rising[-1]
        steps = {T - 1}
        for i in range(1, n):
            level = start + i * (end - start) / (n - 1)
            k = min(max(bisect.bisect(rising, level), 1), T - 1)
            k = k - 1 if level - rising[k - 1] < rising[k] - level else k
            steps.add(T - 1 - k)
        return sorted(steps, reverse=True)

    grids = {
        "trailing": lambda: [round(T - i * T / n) - 1 for i in range(n)],
        "leading": lambda: list(range(0, n * (T // n), T // n))[::-1],
        "linspace": lambda: [round((n - 1 - i) * (T - 1) / (n - 1)) for i in range(n)],
        "log_snr": log_snr,
    }
    return torch.tensor(grids[spacing]()).to(alpha_bars.device)


@answers.right("7.1", "floor of a half more, and interpolation over lambda")
def time_grid(alpha_bars, num_steps, spacing="trailing", lambda_min=-5.0):
    _refuse(alpha_bars, num_steps, spacing)
    T, n = len(alpha_bars), num_steps
    down = torch.arange(n - 1, -1, -1, dtype=torch.float64).to(alpha_bars.device)
    match spacing:
        case "trailing":
            return torch.floor((down + 1) * (T / n) + 0.5).to(torch.int64) - 1
        case "leading":
            return down.to(torch.int64) * (T // n)
        case "linspace":
            return torch.floor(down * ((T - 1) / (n - 1)) + 0.5).to(torch.int64)
    lambdas = 0.5 * (torch.log(alpha_bars) - torch.log1p(-alpha_bars))
    start = torch.clamp(lambdas[-1], min=lambda_min)
    share = torch.arange(n, device=alpha_bars.device) / (n - 1)
    levels = torch.lerp(start, lambdas[0], share)
    between = (lambdas[1:] + lambdas[:-1]) / 2  # falling; a level above between[k] is nearer to k
    steps = (between[None, :] > levels[:, None]).sum(dim=1)
    return torch.cat([steps.new_tensor([T - 1]), steps[1:]]).unique_consecutive()


# 7.2


@answers.right("7.2", "a loop over the images, with Python floats")
def ddim_step(x_t, t, t_next, eps, noise, alpha_bars, predict_x0, eta=0.0):
    result = []
    for i in range(len(x_t)):
        a = alpha_bars[t[i]].item()
        a_next = alpha_bars[t_next[i]].item() if t_next[i] >= 0 else 1.0
        guess = predict_x0(x_t[i : i + 1], t[i : i + 1], eps[i : i + 1], alpha_bars)[0]
        x0 = torch.clamp(guess, -1.0, 1.0)
        e = (x_t[i] - math.sqrt(a) * x0) / math.sqrt(1 - a)
        variance = eta**2 * (1 - a_next) / (1 - a) * (1 - a / a_next)
        x = math.sqrt(a_next) * x0 + math.sqrt(max(1 - a_next - variance, 0)) * e
        if noise is not None:
            x = x + math.sqrt(variance) * noise[i]
        result.append(x)
    return torch.stack(result)


@answers.right("7.2", "a table that ends in 1, in float64")
def ddim_step(x_t, t, t_next, eps, noise, alpha_bars, predict_x0, eta=0.0):
    table = F.pad(alpha_bars.double(), (0, 1), value=1.0)  # index -1 finds the 1
    a, a_next = table[t][:, None, None, None], table[t_next][:, None, None, None]
    x = x_t.double()
    x0 = predict_x0(x, t, eps, alpha_bars).clip(-1, 1)
    e = (x - a**0.5 * x0) / (1 - a) ** 0.5
    sigma = eta * ((1 - a_next) / (1 - a)) ** 0.5 * (1 - a / a_next) ** 0.5
    x = a_next**0.5 * x0 + F.relu(1 - a_next - sigma**2) ** 0.5 * e
    if eta:
        x = x + sigma * noise
    return x.to(x_t.dtype)


@answers.right("7.2", "weights of x_0 and x_t")
def ddim_step(x_t, t, t_next, eps, noise, alpha_bars, predict_x0, eta=0.0):
    def weight(values):
        return values.reshape(-1, 1, 1, 1)

    a = alpha_bars.gather(0, t)
    a_next = alpha_bars.gather(0, t_next.clamp_min(0)).masked_fill(t_next == -1, 1.0)
    x0 = F.hardtanh(predict_x0(x_t, t, eps, alpha_bars))
    sigma2 = eta**2 * (1 - a_next) * (1 - a / a_next) / (1 - a)
    along = torch.sqrt(torch.clamp(1 - a_next - sigma2, min=0) / (1 - a))
    x = weight(a_next.sqrt() - along * a.sqrt()) * x0 + weight(along) * x_t
    return x if noise is None else x + weight(sigma2.sqrt()) * noise


@answers.right("7.2", "NumPy")
def ddim_step(x_t, t, t_next, eps, noise, alpha_bars, predict_x0, eta=0.0):
    table = np.append(alpha_bars.numpy().astype(np.float64), 1.0)
    a, a_next = (table[s.numpy()].reshape(-1, 1, 1, 1) for s in (t, t_next))
    x = x_t.numpy()
    x0 = np.clip(predict_x0(x_t, t, eps, alpha_bars).numpy(), -1, 1)
    e = (x - np.sqrt(a) * x0) / np.sqrt(1 - a)
    sigma = eta * np.sqrt((1 - a_next) / (1 - a)) * np.sqrt(1 - a / a_next)
    out = np.sqrt(a_next) * x0 + np.sqrt(np.maximum(1 - a_next - sigma**2, 0)) * e
    if noise is not None:
        out = out + sigma * noise.numpy()
    return torch.from_numpy(out.astype(np.float32))


@answers.right("7.2", "einsum, in float32, with a negative variance set to 0")
def ddim_step(x_t, t, t_next, eps, noise, alpha_bars, predict_x0, eta=0.0):
    times = functools.partial(torch.einsum, "b,b...->b...")
    one = torch.ones_like(t, dtype=alpha_bars.dtype)
    a = alpha_bars[t]
    a_next = torch.where(t_next >= 0, alpha_bars[t_next.clamp(0)], one)
    x0 = predict_x0(x_t=x_t, t=t, eps=eps, alpha_bars=alpha_bars).clamp(-1, 1)
    e = times(1 / (1 - a).sqrt(), x_t - times(a.sqrt(), x0))
    sigma = eta * torch.sqrt((1 - a_next) / (1 - a) * (1 - a / a_next))
    left = 1 - a_next - sigma.square()
    left = torch.where(left > 0, left, torch.zeros_like(left)).sqrt()
    x = times(a_next.sqrt(), x0) + times(left, e)
    if eta == 0:
        return x
    return torch.add(x, times(sigma, noise))


@answers.right("7.2", "the posterior's variance, for the ancestral part")
def ddim_step(x_t, t, t_next, eps, noise, alpha_bars, predict_x0, eta=0.0):
    landed = t_next < 0
    a = alpha_bars[t].double()
    a_next = alpha_bars[torch.where(landed, 0, t_next)].double()
    a_next = a_next * ~landed + landed
    beta = 1 - a / a_next
    variance = eta * eta * beta * (1 - a_next) / (1 - a)
    shape = (len(t), *[1] * (x_t.dim() - 1))
    a, a_next, variance = (v.view(shape) for v in (a, a_next, variance))
    x0 = predict_x0(x_t, t, eps, alpha_bars).clamp(min=-1).clamp(max=1)
    eps = (x_t - torch.sqrt(a) * x0) / torch.sqrt(1 - a)
    left = (1 - a_next - variance).clamp_min(0.0)
    mean = torch.sqrt(a_next) * x0 + torch.sqrt(left) * eps
    fresh = 0.0 if noise is None else noise
    return (mean + torch.sqrt(variance) * fresh).float()


# 7.3


@answers.right("7.3", "DDIM's formula")
def dpm_step(x_t, t, t_next, eps, alpha_bars, predict_x0):
    a, b = (
        torch.where(s < 0, torch.ones_like(alpha_bars[:1]), alpha_bars[s.clamp(min=0)])
        .view(-1, 1, 1, 1)
        for s in (t, t_next)
    )  # fmt: skip
    x0 = predict_x0(x_t, t, eps, alpha_bars).clamp(-1, 1)
    return b.sqrt() * x0 + ((1 - b) / (1 - a)).sqrt() * (x_t - a.sqrt() * x0)


@answers.right("7.3", "a loop over the images, with Python floats")
def dpm_step(x_t, t, t_next, eps, alpha_bars, predict_x0):
    result = []
    for i, (x, now, following, e) in enumerate(zip(x_t, t.tolist(), t_next.tolist(), eps)):
        a = alpha_bars[now].item()
        x0 = predict_x0(x[None], t[i : i + 1], e[None], alpha_bars)[0].clip(-1, 1)
        if following == -1:
            result.append(x0)
            continue
        b = alpha_bars[following].item()
        h = math.log(math.sqrt(b / (1 - b))) - math.log(math.sqrt(a / (1 - a)))
        result.append(math.sqrt((1 - b) / (1 - a)) * x + math.sqrt(b) * (1 - math.exp(-h)) * x0)
    return torch.stack(result)


@answers.right("7.3", "NumPy, with a table that ends in 1")
def dpm_step(x_t, t, t_next, eps, alpha_bars, predict_x0):
    table = np.append(alpha_bars.numpy().astype(np.float64), 1.0)
    a, b = (table[s.numpy()][:, None, None, None] for s in (t, t_next))
    with np.errstate(divide="ignore"):
        h = 0.5 * (np.log(b / (1 - b)) - np.log(a / (1 - a)))
    x0 = np.clip(predict_x0(x_t, t, eps, alpha_bars).numpy(), -1, 1)
    x = np.sqrt(1 - b) / np.sqrt(1 - a) * x_t.numpy() - np.sqrt(b) * np.expm1(-h) * x0
    return torch.from_numpy(x.astype("float32"))


@answers.right("7.3", "logit and float64")
def dpm_step(x_t, t, t_next, eps, alpha_bars, predict_x0):
    table = torch.cat([alpha_bars.double(), alpha_bars.new_ones(1).double()])
    lambdas = torch.logit(table) / 2  # inf at the end

    def at(values, step):
        return values[step].reshape(len(step), 1, 1, 1)

    alpha, sigma = table.sqrt(), (1 - table).sqrt()
    x0 = torch.clamp(predict_x0(x_t, t, eps, alpha_bars), -1, 1)
    h = at(lambdas, t_next) - at(lambdas, t)
    x = at(sigma, t_next) / at(sigma, t) * x_t + at(alpha, t_next) * -torch.expm1(-h) * x0
    return x.type_as(x_t)


@answers.right("7.3", "1 - exp(-h), in float32")
def dpm_step(x_t, t, t_next, eps, alpha_bars, predict_x0):
    def look_up(step):
        found = alpha_bars.take(step.clamp(min=0))
        return torch.where(step >= 0, found, torch.ones_like(found))[..., None, None, None]

    a, b = look_up(t), look_up(t_next)
    lambda_t = 0.5 * torch.log(a) - 0.5 * torch.log(1 - a)
    lambda_next = 0.5 * torch.log(b) - 0.5 * torch.log(1 - b)
    gone = torch.exp(lambda_t - lambda_next)
    x0 = F.hardtanh(predict_x0(x_t, t, eps, alpha_bars))
    return torch.sqrt(1 - b) * torch.rsqrt(1 - a) * x_t + torch.sqrt(b) * (1 - gone) * x0


# 7.4


@answers.right("7.4", "a loop over the images, with Python floats")
def dpm_2m_step(x_t, t, t_next, eps, alpha_bars, predict_x0, memory=None):
    def half_log_snr(step):
        a = alpha_bars[step].item()
        return math.log(a / (1 - a)) / 2

    moved, guesses = [], []
    for i in range(len(x_t)):
        now, following = t[i].item(), t_next[i].item()
        a = alpha_bars[now].item()
        guess = predict_x0(x_t[i : i + 1], t[i : i + 1], eps[i : i + 1], alpha_bars)[0]
        x0 = torch.clamp(guess, -1, 1)
        guesses.append(x0)
        if following < 0:
            moved.append(x0)
            continue
        b = alpha_bars[following].item()
        h, D = half_log_snr(following) - half_log_snr(now), x0
        if memory is not None:
            r = (half_log_snr(now) - half_log_snr(memory[0][i].item())) / h
            D = (1 + 1 / (2 * r)) * x0 - 1 / (2 * r) * memory[1][i]
        moved.append(math.sqrt((1 - b) / (1 - a)) * x_t[i] - math.sqrt(b) * math.expm1(-h) * D)
    return torch.stack(moved), (t, torch.stack(guesses))


@answers.right("7.4", "a table that ends in 1, in float64, and lambda in the memory")
def dpm_2m_step(x_t, t, t_next, eps, alpha_bars, predict_x0, memory=None):
    table = F.pad(alpha_bars.double(), (0, 1), value=1.0)
    a, b = (table[s].view(-1, 1, 1, 1) for s in (t, t_next))
    lam, lam_next = torch.logit(a) / 2, torch.logit(b) / 2
    x0 = predict_x0(x_t.double(), t, eps, alpha_bars).clamp(-1, 1)
    D, h = x0, lam_next - lam
    if memory:
        lam_before, x0_before = memory
        weight = torch.where(h.isinf(), 0.0, h / (2 * (lam - lam_before)))
        D = torch.lerp(x0_before, x0, 1 + weight)
    x = ((1 - b) / (1 - a)).sqrt() * x_t - b.sqrt() * torch.expm1(-h) * D
    return x.float(), (lam, x0)


@answers.right("7.4", "DDIM's formula with D, for each kind of step its branch")
def dpm_2m_step(x_t, t, t_next, eps, alpha_bars, predict_x0, memory=None):
    lands = t_next == -1
    a = alpha_bars[t]
    b = torch.where(lands, torch.ones_like(a), alpha_bars[t_next.clamp(min=0)])

    def wide(values):
        return values[:, None, None, None]

    x0 = predict_x0(x_t, t, eps, alpha_bars).clip(-1, 1)
    if memory is None:
        D = x0
    else:
        before = alpha_bars[memory[0]]
        lam, lam_before = (0.5 * (c / (1 - c)).log() for c in (a, before))
        inside = torch.where(lands, a, b)  # any number that is not 1
        h = 0.5 * (inside / (1 - inside)).log() - lam
        weight = (h / (lam - lam_before) / 2).masked_fill(lands, 0.0)
        D = x0 + wide(weight) * (x0 - memory[1])
    along = ((1 - b) / (1 - a)).sqrt()
    return wide(along) * x_t + wide(b.sqrt() - along * a.sqrt()) * D, (t, x0)


@answers.right("7.4", "NumPy")
def dpm_2m_step(x_t, t, t_next, eps, alpha_bars, predict_x0, memory=None):
    table = np.append(alpha_bars.numpy().astype(np.float64), 1.0)
    with np.errstate(divide="ignore"):
        lambdas = 0.5 * np.log(table / (1 - table))
    now, following = t.numpy(), t_next.numpy()

    def at(values, step):
        return values[step].reshape(-1, 1, 1, 1)

    a, b = at(table, now), at(table, following)
    x0 = np.clip(predict_x0(x_t, t, eps, alpha_bars).numpy(), -1, 1)
    h = at(lambdas, following) - at(lambdas, now)
    D = x0
    if memory is not None:
        before, x0_before = memory
        inverse_r = h / (at(lambdas, now) - at(lambdas, before))
        inverse_r[following == -1] = 0
        D = x0 + inverse_r / 2 * (x0 - x0_before)
    x = np.sqrt((1 - b) / (1 - a)) * x_t.numpy() - np.sqrt(b) * np.expm1(-h) * D
    return torch.from_numpy(x.astype(np.float32)), (now, x0)


@answers.right("7.4", "first order plus a correction, the memory a dict")
def dpm_2m_step(x_t, t, t_next, eps, alpha_bars, predict_x0, memory=None):
    def at(step):
        return torch.where(step < 0, 1.0, alpha_bars[step.clamp(min=0)]).view(-1, 1, 1, 1)

    def level(a):
        return 0.5 * torch.log(a) - 0.5 * torch.log1p(-a)

    a, b = at(t), at(t_next)
    x0 = F.hardtanh(predict_x0(x_t, t, eps, alpha_bars))
    h = level(b) - level(a)
    pull = -b.sqrt() * torch.expm1(-h)
    x = ((1 - b) / (1 - a)).sqrt() * x_t + pull * x0
    if memory is not None:
        slope = (x0 - memory["x0"]) / (level(a) - level(at(memory["t"])))
        change = torch.nan_to_num(h, posinf=0.0) / 2 * slope
        x = x + pull * change
    return x, {"t": t, "x0": x0}


# 7.5


@answers.right("7.5", "a while loop and an index")
@torch.no_grad()
def fast_sample(predict_eps, step, x_T, timesteps, generator=None, film_steps=()):
    x, memory, film, i = x_T, None, [], 0
    while i < len(timesteps):
        t = timesteps[i].repeat(len(x)).to(x.device)
        if i + 1 < len(timesteps):
            t_next = timesteps[i + 1].repeat(len(x)).to(x.device)
        else:
            t_next = torch.full_like(t, -1)
        eps = predict_eps(x, t)
        if generator is None:
            noise = None
        else:
            noise = torch.empty_like(x).normal_(generator=generator)
        result = step(x, t, t_next, eps, noise, memory)
        x, memory = result[0], result[1]
        if timesteps[i].item() in film_steps:
            film.append(x)
        i += 1
    return x, film


@answers.right("7.5", "steps taken from the grid itself, and looked at")
def fast_sample(predict_eps, step, x_T, timesteps, generator=None, film_steps=()):
    with torch.no_grad():
        x, memory, film = x_T, None, []
        for index, now in enumerate(timesteps):
            filmed = int(now) in film_steps
            t = now.expand(len(x))
            last = index + 1 == len(timesteps)
            t_next = torch.full_like(t, -1) if last else timesteps[index + 1].expand(len(x))
            noise = None
            if generator is not None:
                noise = torch.randn(x.shape, generator=generator, device=x.device, dtype=x.dtype)
            x, memory = step(x, t, t_next, predict_eps(x, t), noise, memory)
            if filmed:
                film.append(x)
    return x, film


@answers.right("7.5", "pairwise, in a with block")
def fast_sample(predict_eps, step, x_T, timesteps, generator=None, film_steps=()):
    wanted = set(film_steps)
    images, film, memory = x_T.clone(), [], None
    B, device = images.size(0), images.device
    with torch.no_grad():
        for now, following in itertools.pairwise([*timesteps.tolist(), -1]):
            t = torch.tensor([now] * B, device=device)
            t_next = torch.tensor([following] * B, device=device)
            noise = (
                None
                if generator is None
                else torch.randn(*images.shape, generator=generator, device=device)
            )
            images, memory = step(images, t, t_next, predict_eps(images, t), noise, memory)
            if now in wanted:
                film += [images.clone()]
    return images, film


@answers.right("7.5", "functools.reduce")
@torch.no_grad()
def fast_sample(predict_eps, step, x_T, timesteps, generator=None, film_steps=()):
    film = []

    def one(state, pair):
        x, memory = state
        t, t_next = (torch.full(x.shape[:1], v, dtype=torch.long, device=x.device) for v in pair)
        noise = generator and torch.randn(x.shape, generator=generator, device=x.device)
        x, memory = step(x, t, t_next, predict_eps(x, t), noise, memory)
        if pair[0] in film_steps:
            film.append(x)
        return x, memory

    steps = [int(t) for t in timesteps]
    x, _ = functools.reduce(one, zip(steps, steps[1:] + [-1]), (x_T, None))
    return x, film


@answers.right("7.5", "recursion")
@torch.inference_mode()
def fast_sample(predict_eps, step, x_T, timesteps, generator=None, film_steps=()):
    def rest(x, memory, steps):
        if not steps:
            return x, []
        now, *later = steps
        t = x.new_full((len(x),), now, dtype=torch.int64)
        t_next = x.new_full((len(x),), later[0] if later else -1, dtype=torch.int64)
        eps = predict_eps(x, t)
        noise = None
        if generator is not None:
            noise = torch.randn(x.shape, dtype=x.dtype, device=x.device, generator=generator)
        x, memory = step(x, t, t_next, eps, noise, memory)
        last, film = rest(x, memory, later)
        return last, ([x] if now in film_steps else []) + film

    return rest(x_T, None, timesteps.tolist())


@answers.right("7.5", "torch.normal, the arguments of step by name")
@torch.no_grad()
def fast_sample(predict_eps, step, x_T, timesteps, generator=None, film_steps=()):
    x, memory, noise, frames = x_T, None, None, []
    ends = torch.cat([timesteps[1:], timesteps.new_tensor([-1])])
    for now, following in zip(timesteps.tolist(), ends.tolist()):
        t, t_next = (x.new_full(x.shape[:1], s).to(torch.int64) for s in (now, following))
        eps = predict_eps(x=x, t=t)
        if generator is not None:
            noise = torch.normal(0.0, 1.0, x.shape, generator=generator, device=x.device)
        x, memory = step(x=x, t=t, t_next=t_next, eps=eps, noise=noise, memory=memory)
        frames.append((now, x))
    return x, [frame for now, frame in frames if now in film_steps]


@answers.right("7.5", "all the noise and all the steps drawn up beforehand")
@torch.no_grad()
def fast_sample(predict_eps, step, x_T, timesteps, generator=None, film_steps=()):
    n, B = len(timesteps), len(x_T)
    t = timesteps.to(x_T.device)[:, None].expand(n, B).contiguous()
    t_next = torch.cat([t[1:], torch.full_like(t[:1], -1)])
    if generator is None:
        noises = [None] * n
    else:
        noises = torch.randn((n, *x_T.shape), generator=generator, device=x_T.device)
    x, memory, frames = x_T, None, {}
    for now, following, noise in zip(t, t_next, noises):
        x, memory = step(x, now, following, predict_eps(x, now), noise, memory)
        frames[int(now[0]) if now.device.type != "meta" else -2] = x
    return x, [frame for step_t, frame in frames.items() if step_t in film_steps]
