"""Right answers to chapter 12 in other styles. Every check must accept them."""

import math

import torch
from torch.nn import functional as F

from course.grading.answers import Answers

answers = Answers()


# 12.1


def _refuse(timesteps):
    if len(timesteps) < 1 or len(timesteps) % 2 == 1:
        raise ValueError(f"{len(timesteps)} steps")


@answers.right("12.1", "two columns, and the first one moved up")
def paired_steps(timesteps):
    _refuse(timesteps)
    t, t_mid = timesteps.reshape(-1, 2).unbind(dim=1)
    t_next = t.roll(-1)
    t_next[-1] = -1
    return t, t_mid, t_next


@answers.right("12.1", "a loop over Python numbers")
def paired_steps(timesteps):
    _refuse(timesteps)
    steps = [*timesteps.tolist(), -1]
    pairs = [(steps[i], steps[i + 1], steps[i + 2]) for i in range(0, len(steps) - 1, 2)]
    return tuple(torch.tensor(part, device=timesteps.device) for part in zip(*pairs))


@answers.right("12.1", "padding with -1")
def paired_steps(timesteps):
    _refuse(timesteps)
    padded = F.pad(timesteps, (0, 1), value=-1)
    return padded[0:-1:2], padded[1::2], padded[2::2]


@answers.right("12.1", "the rows of one tensor, by indices")
def paired_steps(timesteps):
    _refuse(timesteps)
    n = timesteps.shape[0]
    padded = torch.cat([timesteps, timesteps.new_full((1,), -1)])
    first = torch.arange(0, n, 2, device=timesteps.device)
    return torch.stack([padded[first], padded[first + 1], padded[first + 2]])


# 12.2


def _at(alpha_bars, t):
    values = alpha_bars.gather(0, t.clamp_min(0)).masked_fill(t < 0, 1.0)
    return values.reshape(-1, 1, 1, 1)


@answers.right("12.2", "velocity in y over u")
def jump_x0(x_t, x_next, t, t_next, alpha_bars):
    a, a_next = _at(alpha_bars.double(), t), _at(alpha_bars.double(), t_next)
    y, u = x_t / (1 - a).sqrt(), (a / (1 - a)).sqrt()
    clean = a_next == 1
    noisy = torch.where(clean, 0.5, a_next)  # for the clean image there is no y
    y_next, u_next = x_next / (1 - noisy).sqrt(), (noisy / (1 - noisy)).sqrt()
    return torch.where(clean, x_next, (y_next - y) / (u_next - u)).to(x_t.dtype)


@answers.right("12.2", "a loop over the images, with Python floats")
def jump_x0(x_t, x_next, t, t_next, alpha_bars):
    found = []
    for i in range(len(x_t)):
        a = alpha_bars[t[i]].item()
        a_next = alpha_bars[t_next[i]].item() if t_next[i] >= 0 else 1.0
        r = math.sqrt((1 - a_next) / (1 - a))
        found.append((x_next[i] - r * x_t[i]) / (math.sqrt(a_next) - r * math.sqrt(a)))
    return torch.stack(found)


@answers.right("12.2", "two equations solved by a determinant")
def jump_x0(x_t, x_next, t, t_next, alpha_bars):
    a, a_next = _at(alpha_bars, t), _at(alpha_bars, t_next)
    sigma, sigma_next = torch.sqrt(1 - a), torch.sqrt(1 - a_next)
    determinant = torch.sqrt(a_next) * sigma - torch.sqrt(a) * sigma_next
    return (sigma * x_next - sigma_next * x_t) / determinant


@answers.right("12.2", "angles of the quarter circle")
def jump_x0(x_t, x_next, t, t_next, alpha_bars):
    table = F.pad(alpha_bars.double(), (0, 1), value=1.0)  # index -1 finds the 1
    angle, angle_next = (torch.acos(table[s].sqrt())[:, None, None, None] for s in (t, t_next))
    x0 = angle.sin() * x_next.double() - angle_next.sin() * x_t.double()
    return (x0 / (angle - angle_next).sin()).float()


# 12.3


def _v(x_t, x0, a):
    return (a.sqrt() * x_t - x0) / (1 - a).sqrt()


@answers.right("12.3", "the target detached, and mse_loss")
def distillation_loss(student, teacher_step, x_t, steps, labels, alpha_bars, jump_x0):
    t, t_mid, t_next = steps
    end = teacher_step(teacher_step(x_t, t, t_mid, labels), t_mid, t_next, labels)
    x0 = jump_x0(x_t, end, t, t_next, alpha_bars).detach()
    return F.mse_loss(student(x_t, t, labels), _v(x_t, x0, _at(alpha_bars, t)))


@answers.right("12.3", "a loop over the two steps")
def distillation_loss(student, teacher_step, x_t, steps, labels, alpha_bars, jump_x0):
    said = student(x_t, steps[0], labels)
    x = x_t
    with torch.no_grad():
        for now, following in zip(steps[:2], steps[1:]):
            x = teacher_step(x, now, following, labels)
        x0 = jump_x0(x_t, x, steps[0], steps[2], alpha_bars)
    wanted = _v(x_t, x0, _at(alpha_bars, steps[0]))
    return torch.mean((wanted - said) ** 2)


@answers.right("12.3", "the error of x_0, weighted")
def distillation_loss(student, teacher_step, x_t, steps, labels, alpha_bars, jump_x0):
    t, t_mid, t_next = steps
    a = _at(alpha_bars, t)
    with torch.no_grad():
        x = teacher_step(x_t, t, t_mid, labels)
        x = teacher_step(x, t_mid, t_next, labels)
        x0 = jump_x0(x_t, x, t, t_next, alpha_bars)
    guess = a.sqrt() * x_t - (1 - a).sqrt() * student(x_t, t, labels)
    return ((guess - x0).square() / (1 - a)).mean()


@answers.right("12.3", "v from x_0 and its eps, image by image")
@torch.enable_grad()
def distillation_loss(student, teacher_step, x_t, steps, labels, alpha_bars, jump_x0):
    t, t_mid, t_next = steps
    with torch.no_grad():
        x_mid = teacher_step(x_t, t, t_mid, labels)
        x_next = teacher_step(x_mid, t_mid, t_next, labels)
        x0 = jump_x0(x_t, x_next, t, t_next, alpha_bars)
        a = _at(alpha_bars, t)
        eps = (x_t - a.sqrt() * x0) / (1 - a).sqrt()
        v = a.sqrt() * eps - (1 - a).sqrt() * x0
    errors = (student(x_t, t, labels) - v).pow(2)
    return errors.flatten(1).mean(dim=1).mean()


# 12.4


@answers.right("12.4", "the target detached, all in one batch")
def consistency_loss(model, x0, t, t_next, labels, eps, alpha_bars, q_sample):
    asked = torch.where(t_next < 0, 0, t_next)
    both = torch.cat([t, asked])
    x = q_sample(torch.cat([x0, x0]), both, torch.cat([eps, eps]), alpha_bars)
    a = _at(alpha_bars, both)
    guesses = a.sqrt() * x - (1 - a).sqrt() * model(x, both, labels.repeat(2))
    guess, target = guesses.chunk(2)
    target = torch.where((t_next < 0)[:, None, None, None], x0, target).detach()
    return ((guess - target) ** 2 / (1 - _at(alpha_bars, t))).mean()


@answers.right("12.4", "as the error of v")
def consistency_loss(model, x0, t, t_next, labels, eps, alpha_bars, q_sample):
    a, x_t = _at(alpha_bars, t), q_sample(x0, t, eps, alpha_bars)
    with torch.no_grad():
        safe = t_next.clamp(min=0)
        b, x_next = _at(alpha_bars, safe), q_sample(x0, safe, eps, alpha_bars)
        target = b.sqrt() * x_next - (1 - b).sqrt() * model(x_next, safe, labels)
        clean = (t_next < 0).view(-1, 1, 1, 1)
        target = clean * x0 + (~clean) * target
        v = (a.sqrt() * x_t - target) / (1 - a).sqrt()
    return F.mse_loss(model(x_t, t, labels), v)


@answers.right("12.4", "the clean images left out of the question")
def consistency_loss(model, x0, t, t_next, labels, eps, alpha_bars, q_sample):
    target = x0.clone()
    noisy = t_next >= 0
    with torch.no_grad():
        if noisy.any():
            step = t_next[noisy]
            x = q_sample(x0[noisy], step, eps[noisy], alpha_bars)
            a = _at(alpha_bars, step)
            said = model(x, step, labels[noisy])
            target[noisy] = a.sqrt() * x - (1 - a).sqrt() * said
    x, a = q_sample(x0, t, eps, alpha_bars), _at(alpha_bars, t)
    guess = a.sqrt() * x - (1 - a).sqrt() * model(x, t, labels)
    return torch.mean(torch.square((guess - target) / torch.sqrt(1 - a)))


# 12.5


@answers.right("12.5", "put back after each step, and once before the first")
@torch.no_grad()
def inpaint(predict_eps, step, x_T, timesteps, known, mask, generator, alpha_bars, q_sample):
    def put_back(x, now):
        t = torch.full((len(x),), now, device=x.device)
        noise = torch.randn(x.shape, generator=generator, device=x.device, dtype=x.dtype)
        return q_sample(known, t, noise, alpha_bars).where(mask, x)

    grid = timesteps.tolist()
    x = put_back(x_T, grid[0])
    for i, now in enumerate(grid):
        t = torch.full((len(x),), now, device=x.device)
        following = grid[i + 1] if i + 1 < len(grid) else -1
        x = step(x, t, torch.full_like(t, following), predict_eps(x, t))
        x = put_back(x, following) if following >= 0 else known.where(mask, x)
    return x


@answers.right("12.5", "a mask of numbers, and inference mode off by hand")
def inpaint(predict_eps, step, x_T, timesteps, known, mask, generator, alpha_bars, q_sample):
    m, x = mask.to(x_T.dtype), x_T
    with torch.no_grad():
        for i in range(timesteps.shape[0]):
            t = timesteps[i].to(x.device).expand(x.shape[0])
            last = i + 1 == timesteps.shape[0]
            t_next = torch.full_like(t, -1) if last else timesteps[i + 1].to(x.device).expand_as(t)
            noise = torch.empty_like(x).normal_(generator=generator)
            x = m * q_sample(known, t, noise, alpha_bars) + (1 - m) * x
            eps = predict_eps(x, t)
            x = step(x, t, t_next, eps)
        return m * known + (1 - m) * x


@answers.right("12.5", "assignment at the known places of a copy")
@torch.no_grad()
def inpaint(predict_eps, step, x_T, timesteps, known, mask, generator, alpha_bars, q_sample):
    x, places = x_T.clone(), mask.expand(x_T.shape)
    steps = timesteps.tolist() + [-1]
    for now, following in zip(steps[:-1], steps[1:]):
        t = torch.full(x.shape[:1], now, device=x.device)
        noise = torch.randn(x.size(), generator=generator, device=x.device)
        x[places] = q_sample(known, t, noise, alpha_bars)[places]
        x = step(x, t, t * 0 + following, predict_eps(x, t)).clone()
    x[places] = known[places]
    return x


@answers.right("12.5", "steps that are made of the grid, on its device")
@torch.no_grad()
def inpaint(predict_eps, step, x_T, timesteps, known, mask, generator, alpha_bars, q_sample):
    ends = torch.cat([timesteps[1:], timesteps.new_tensor([-1])])
    x = x_T
    for now, following in zip(timesteps, ends):
        t, t_next = now.expand(len(x)).clone(), following.repeat(len(x))
        noise = torch.randn(x.shape, generator=generator, device=x.device)
        part = q_sample(known.masked_fill(~mask, 0.0), t, noise, alpha_bars)
        x = part.masked_fill(~mask, 0.0) + x.masked_fill(mask, 0.0)
        x = step(x, t, t_next, predict_eps(x, t))
    return torch.where(mask, known, x)


# 12.6


@answers.right("12.6", "a list of the steps that are low enough")
@torch.no_grad()
def edit(predict_eps, step, picture, timesteps, t_start, generator, alpha_bars, q_sample):
    steps = [t for t in timesteps.tolist() if t <= t_start] + [-1]
    if len(steps) == 1:
        raise ValueError(f"nothing at or below {t_start}")
    noise = torch.empty_like(picture).normal_(generator=generator)
    x = None
    for now, following in zip(steps[:-1], steps[1:]):
        t = torch.full((picture.shape[0],), now, device=picture.device)
        x = q_sample(picture, t, noise, alpha_bars) if x is None else x
        x = step(x, t, torch.full_like(t, following), predict_eps(x, t))
    return x


@answers.right("12.6", "tensors of steps, and a with block")
def edit(predict_eps, step, picture, timesteps, t_start, generator, alpha_bars, q_sample):
    grid = torch.masked_select(timesteps, timesteps.le(t_start))
    if grid.numel() == 0:
        raise ValueError("t_start is below the grid")
    following = torch.cat([grid[1:], grid.new_tensor([-1])])
    with torch.no_grad():
        noise = torch.randn(
            picture.shape, generator=generator, device=picture.device, dtype=picture.dtype
        )
        batch = torch.ones(picture.shape[0], dtype=torch.int64, device=picture.device)
        x = q_sample(picture, batch * int(grid[0]), noise, alpha_bars)
        for i in range(len(grid)):
            t, t_next = batch * int(grid[i]), batch * int(following[i])
            eps = predict_eps(x, t)
            x = step(x, t, t_next, eps)
        return x


@answers.right("12.6", "the first step found by counting")
@torch.no_grad()
def edit(predict_eps, step, picture, timesteps, t_start, generator, alpha_bars, q_sample):
    grid = timesteps.tolist()
    above = sum(t > t_start for t in grid)
    if above == len(grid):
        raise ValueError(f"t_start = {t_start}")
    t = torch.full((len(picture),), grid[above], device=picture.device)
    shape, device = picture.shape, picture.device
    x = q_sample(picture, t, torch.randn(shape, generator=generator, device=device), alpha_bars)
    while above < len(grid):
        above += 1
        t_next = torch.full_like(t, grid[above] if above < len(grid) else -1)
        x = step(x, t, t_next, predict_eps(x, t))
        t = t_next
    return x


@answers.right("12.6", "a row of the grid for each image, and a walk that calls itself")
@torch.no_grad()
def edit(predict_eps, step, picture, timesteps, t_start, generator, alpha_bars, q_sample):
    walk = timesteps[timesteps <= t_start]
    if len(walk) == 0:
        raise ValueError(f"t_start = {t_start}")
    rows = torch.cat([walk, walk.new_tensor([-1])])[:, None].repeat(1, len(picture))

    def go_on(x, place):
        if place == len(rows) - 1:
            return x
        eps = predict_eps(x, rows[place])
        return go_on(step(x, rows[place], rows[place + 1], eps), place + 1)

    noise = torch.randn(picture.shape, generator=generator, device=picture.device)
    return go_on(q_sample(picture, rows[0], noise, alpha_bars), 0)


@answers.right("12.6", "steps taken off a list, tensors made like the grid")
@torch.no_grad()
def edit(predict_eps, step, picture, timesteps, t_start, generator, alpha_bars, q_sample):
    steps = [t for t in timesteps.tolist() if t <= t_start]
    if not steps:
        raise ValueError(f"t_start = {t_start}")
    t = timesteps.new_full((picture.shape[0],), steps.pop(0))
    x = q_sample(picture, t, torch.empty_like(picture).normal_(generator=generator), alpha_bars)
    while t[0] >= 0:
        t_next = torch.full_like(t, steps.pop(0) if steps else -1)
        x = step(x, t, t_next, predict_eps(x, t))
        t = t_next
    return x
