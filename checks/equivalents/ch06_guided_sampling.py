"""Right answers to chapter 06 in other styles. Every check must accept them."""

import functools
import math

import numpy as np
import torch
from torch.nn import functional as F
from torchvision.utils import make_grid

from course.grading.answers import Answers

answers = Answers()


def refuse(wrong):
    """What the first lines of an exercise do."""
    if wrong:
        raise ValueError("out of range")


# 6.1


@answers.right("6.1", "a loop over the images, with Python floats")
def p_sample(x_t, t, eps, noise, schedule, predict_x0, q_posterior, variance="small"):
    refuse(variance not in ("small", "large"))
    result = []
    for i, step in enumerate(t.tolist()):
        here = slice(i, i + 1)
        x0 = predict_x0(x_t[here], t[here], eps[here], schedule.alpha_bars)
        mean, small = q_posterior(torch.clamp(x0, -1.0, 1.0), x_t[here], t[here], schedule)
        var = small.item() if variance == "small" else schedule.betas[step].item()
        result.append(mean + math.sqrt(var) * noise[here] if step > 0 else mean)
    return torch.cat(result)


@answers.right("6.1", "torch.where for the last step, arguments by name")
def p_sample(x_t, t, eps, noise, schedule, predict_x0, q_posterior, variance="small"):
    refuse(variance not in ("small", "large"))
    x0 = predict_x0(x_t=x_t, t=t, eps=eps, alpha_bars=schedule.alpha_bars).clip(-1, 1)
    mean, small = q_posterior(x0, x_t, t, schedule)
    var = {"small": small, "large": schedule.betas[t][:, None, None, None]}[variance]
    return torch.where(t[:, None, None, None] == 0, mean, mean + var.sqrt() * noise)


@answers.right("6.1", "in float64, back to the dtype of x_t")
def p_sample(x_t, t, eps, noise, schedule, predict_x0, q_posterior, variance="small"):
    refuse(variance not in ("small", "large"))
    x0 = predict_x0(x_t, t, eps, schedule.alpha_bars)
    x0 = torch.minimum(torch.maximum(x0, -torch.ones_like(x0)), torch.ones_like(x0))
    mean, var = (part.double() for part in q_posterior(x0, x_t, t, schedule))
    if variance != "small":
        var = schedule.betas.double().gather(0, t).reshape(-1, 1, 1, 1)
    sigma = var.sqrt().masked_fill(t.eq(0).reshape(-1, 1, 1, 1), 0)
    return (mean + sigma * noise).to(x_t.dtype)


@answers.right("6.1", "einsum, hardtanh, a mask of floats")
def p_sample(x_t, t, eps, noise, schedule, predict_x0, q_posterior, variance="small"):
    refuse(variance not in ("small", "large"))
    guess = F.hardtanh(predict_x0(x_t, t, eps, schedule.alpha_bars))
    mean, var = q_posterior(guess, x_t, t, schedule)
    var = schedule.betas[t] if variance == "large" else var.flatten()
    nonzero = (t != 0).to(x_t.dtype)
    return mean + torch.einsum("b,bchw->bchw", var.sqrt() * nonzero, noise)


@answers.right("6.1", "NumPy for the clip and the noise")
def p_sample(x_t, t, eps, noise, schedule, predict_x0, q_posterior, variance="small"):
    refuse(variance not in ("small", "large"))
    x0 = np.clip(predict_x0(x_t, t, eps, schedule.alpha_bars).numpy(), -1, 1)
    mean, var = q_posterior(torch.from_numpy(x0), x_t, t, schedule)
    table = var.numpy() if variance == "small" else schedule.betas.numpy()[t.numpy()]
    sigma = np.sqrt(table.reshape(-1, 1, 1, 1)) * (t.numpy().reshape(-1, 1, 1, 1) > 0)
    return torch.from_numpy((mean.numpy() + sigma * noise.numpy()).astype(np.float32))


@answers.right("6.1", "the batch axis moved to the end")
def p_sample(x_t, t, eps, noise, schedule, predict_x0, q_posterior, variance="small"):
    refuse(variance not in ("small", "large"))
    x0 = predict_x0(x_t, t, eps, schedule.alpha_bars).clamp(min=-1).clamp(max=1)
    mean, var = q_posterior(x0, x_t, t, schedule)
    var = schedule.betas.index_select(0, t) if variance == "large" else var.view(len(t))
    var = var.masked_fill(t == 0, 0.0)
    noise = noise.movedim(0, -1)  # (C, H, W, B)
    return torch.addcmul(mean.movedim(0, -1), var.sqrt().expand_as(noise), noise).movedim(-1, 0)


@answers.right("6.1", "only the images that are not at the last step get noise, in place")
def p_sample(x_t, t, eps, noise, schedule, predict_x0, q_posterior, variance="small"):
    refuse(variance not in ("small", "large"))
    guess = predict_x0(x_t, t, eps, schedule.alpha_bars)
    guess = torch.where(guess.abs() > 1, guess.sign(), guess)
    x, var = q_posterior(guess, x_t, t, schedule)
    if variance == "large":
        var = schedule.betas[t].unflatten(0, (-1, 1, 1, 1))
    moving = t.nonzero().flatten()
    x[moving] += torch.sqrt(var[moving]) * noise[moving]
    return x


@answers.right("6.1", "a table of standard deviations, with a 0 in front")
def p_sample(x_t, t, eps, noise, schedule, predict_x0, q_posterior, variance="small"):
    refuse(variance not in ("small", "large"))

    def look_up(table):
        return table[t].view(len(t), 1, 1, 1)

    mean, var = q_posterior(
        predict_x0(x_t, t, eps, schedule.alpha_bars).clamp(-1, 1), x_t, t, schedule
    )
    if variance == "large":
        return mean + look_up(F.pad(schedule.betas[1:].sqrt(), (1, 0))) * noise
    return mean + var.pow(0.5) * noise * look_up((torch.arange(len(schedule.betas)) > 0).to(t))


# 6.2


@answers.right("6.2", "the difference added to the conditional prediction")
def guided_eps(predict_eps, x_t, t, labels, guidance_scale, null_label):
    nothing = torch.full(labels.shape, null_label, dtype=torch.int64, device=labels.device)
    eps = predict_eps(x_t.repeat(2, 1, 1, 1), t.repeat(2), torch.cat((labels, nothing), 0))
    cond, null = eps[: len(x_t)], eps[len(x_t) :]
    return cond + guidance_scale * (cond - null)


@answers.right("6.2", "the null half first")
def guided_eps(predict_eps, x_t, t, labels, guidance_scale, null_label):
    labels = torch.cat([torch.zeros_like(labels) + null_label, labels])
    null, cond = predict_eps(torch.cat([x_t] * 2), torch.cat([t] * 2), labels).split(len(t))
    return null + (1 + guidance_scale) * (cond - null)


@answers.right("6.2", "the two copies of an image next to each other")
def guided_eps(predict_eps, x_t, t, labels, guidance_scale, null_label):
    pairs = torch.stack([labels, labels.new_full(labels.shape, null_label)], dim=1)
    eps = predict_eps(
        x_t.repeat_interleave(2, dim=0), t.repeat_interleave(2), pairs.reshape(-1)
    ).unflatten(0, (-1, 2))
    weights = torch.tensor([1 + guidance_scale, -guidance_scale], device=eps.device)
    return torch.einsum("bk...,k->b...", eps, weights)


@answers.right("6.2", "extrapolation by lerp")
def guided_eps(predict_eps, x_t, t, labels, guidance_scale, null_label):
    both = labels.repeat(2)
    both[len(labels) :] = null_label
    x = x_t.expand(2, *x_t.shape).flatten(0, 1)
    cond, null = predict_eps(x, t.expand(2, -1).flatten(), both).view(2, *x_t.shape)
    return torch.lerp(null, cond, 1 + guidance_scale)


@answers.right("6.2", "a loop over the images of the answer, in float64")
def guided_eps(predict_eps, x_t, t, labels, guidance_scale, null_label):
    count = x_t.shape[0]
    asked = labels.new_tensor([*labels.tolist(), *[null_label] * count])
    eps = predict_eps(torch.vstack([x_t, x_t]), torch.hstack([t, t]), asked).double()
    result = torch.empty_like(x_t)
    for i in range(count):
        result[i] = (1 + guidance_scale) * eps[i] - guidance_scale * eps[i + count]
    return result


@answers.right("6.2", "arguments by name, and one prediction where w = 0")
def guided_eps(predict_eps, x_t, t, labels, guidance_scale, null_label):
    if guidance_scale == 0:
        return predict_eps(x_t, t, labels)
    eps = predict_eps(
        x=torch.cat([x_t, x_t]),
        t=torch.cat([t, t]),
        labels=torch.cat([labels, torch.full_like(labels, null_label)]),
    )
    cond, null = torch.tensor_split(eps, 2)
    return cond.mul(1 + guidance_scale).sub(null, alpha=guidance_scale)


@answers.right("6.2", "torch.where picks the labels, a product of matrices weighs the halves")
def guided_eps(predict_eps, x_t, t, labels, guidance_scale, null_label):
    twice = torch.arange(2 * len(t), device=t.device) % len(t)
    first = torch.arange(2 * len(t), device=t.device) < len(t)
    asked = torch.where(first, labels[twice], null_label)
    eps = predict_eps(x_t.index_select(0, twice), t[twice], asked).reshape(2, -1)
    weights = eps.new_tensor([[1 + guidance_scale, -guidance_scale]])
    return torch.mm(weights, eps).view_as(x_t)


@answers.right("6.2", "a class around the network, sums in place on copies")
def guided_eps(predict_eps, x_t, t, labels, guidance_scale, null_label):
    return Guided(predict_eps, guidance_scale, null_label)(x_t, t, labels)


class Guided(torch.nn.Module):
    def __init__(self, network, w, null_label):
        super().__init__()
        self.network, self.w, self.null_label = network, w, null_label

    def forward(self, *question):
        x, t, labels = (torch.cat((part, part), dim=0) for part in question)
        labels[labels.shape[0] // 2 :] = self.null_label  # a copy, made by torch.cat
        with torch.no_grad():
            eps = self.network(x, t, labels)
        cond, null = (half.clone() for half in eps.tensor_split(2, dim=0))
        cond *= 1 + self.w
        cond -= null.mul_(self.w)
        return cond


# 6.3


@answers.right("6.3", "all noise drawn before the loop")
@torch.no_grad()
def ancestral_sample(predict_eps, reverse_step, x_T, schedule, generator, film_steps=()):
    num_steps, x = schedule.betas.shape[0], x_T.clone()
    noise = torch.randn(num_steps, *x_T.shape, generator=generator, device=generator.device)
    film = {}
    for step in range(num_steps - 1, -1, -1):
        t = torch.tensor([step] * len(x), device=x_T.device)
        x = reverse_step(x, t, predict_eps(x, t), noise[step], schedule)
        film[step] = x
    return x, [film[step] for step in sorted(film_steps, reverse=True)]


@answers.right("6.3", "no noise drawn at t = 0, and frames copied")
@torch.no_grad()
def ancestral_sample(predict_eps, reverse_step, x_T, schedule, generator, film_steps=()):
    film, x = [], x_T
    for step in torch.arange(len(schedule.alpha_bars)).flip(0):
        t = step.to(x.device).repeat(x.size(0))
        eps = predict_eps(x, t)
        if step > 0:
            noise = torch.empty_like(x).normal_(generator=generator)
        else:
            noise = torch.zeros_like(x)
        x = reverse_step(x, t, eps=eps, noise=noise, schedule=schedule)
        if int(step) in film_steps:
            film.append(x.detach().clone())
    return x, film


@answers.right("6.3", "counting with while, noise drawn before the network is asked")
def ancestral_sample(predict_eps, reverse_step, x_T, schedule, generator, film_steps=()):
    keep = set(film_steps)
    frames = []
    t = torch.full(x_T.shape[:1], len(schedule.betas) - 1, device=x_T.device)
    with torch.no_grad():
        x = x_T
        while t[0] >= 0:
            noise = torch.normal(0.0, 1.0, x.shape, generator=generator, device=x.device)
            x = reverse_step(x, t, predict_eps(x, t), noise, schedule)
            if t[0].item() in keep:
                frames += [x]
            t = t - 1
    return x, frames


@answers.right("6.3", "recursion, with noise image by image in float64")
@torch.no_grad()
def ancestral_sample(predict_eps, reverse_step, x_T, schedule, generator, film_steps=()):
    def walk(x, step):
        if step < 0:
            return x, []
        t = torch.ones(len(x), dtype=torch.long, device=x.device) * step
        eps = predict_eps(x, t)
        draws = [i.double().normal_(generator=generator) for i in x]
        x = reverse_step(x, t, eps, torch.stack(draws).float(), schedule)
        last, film = walk(x, step - 1)
        return last, [x, *film] if step in film_steps else film

    return walk(x_T, len(schedule.betas) - 1)


@answers.right("6.3", "all states kept, inference mode, detached in each step")
def ancestral_sample(predict_eps, reverse_step, x_T, schedule, generator, film_steps=()):
    states = [x_T]
    with torch.inference_mode():
        steps = list(range(len(schedule.betas)))[::-1]
        for step in steps:
            t = x_T.new_zeros(len(x_T), dtype=torch.int64).fill_(step)
            noise = x_T.new_empty(x_T.numel()).normal_(generator=generator).view_as(x_T)
            step_back = reverse_step(states[-1], t, predict_eps(states[-1], t), noise, schedule)
            states.append(step_back.detach())
    film = [state for step, state in zip(steps, states[1:]) if step in list(film_steps)]
    return states[-1], film


@answers.right("6.3", "one buffer, with copies for the film, and a tuple of frames")
@torch.no_grad()
def ancestral_sample(predict_eps, reverse_step, x_T, schedule, generator, film_steps=()):
    x, film = x_T.clone(), ()
    for i in range(len(schedule.betas)):
        step = len(schedule.betas) - 1 - i
        t = torch.full_like(x[:, 0, 0, 0], step, dtype=torch.int64)
        noise = torch.randn(x.shape, generator=generator, device=x.device)
        x.copy_(reverse_step(x, t, predict_eps(x, t), noise, schedule))
        film += (x.clone(),) if step in film_steps else ()
    return x, list(film)


@answers.right("6.3", "a generator function that yields every state")
def ancestral_sample(predict_eps, reverse_step, x_T, schedule, generator, film_steps=()):
    def states(x):
        for step, _ in reversed(list(enumerate(schedule.betas))):
            t = torch.empty(x.shape[0], dtype=torch.long, device=x.device).fill_(step)
            noise = torch.randn(*x.shape, dtype=x.dtype, device=x.device, generator=generator)
            eps = predict_eps(x, t)
            x = reverse_step(x, t, eps, noise, schedule)
            yield step, x

    x, film = x_T, []
    with torch.no_grad():
        for step, x in states(x_T):
            film.extend([x] if step in film_steps else [])
    return x, film


@answers.right("6.3", "a list of all t first, reduce over it, arguments by name")
def ancestral_sample(predict_eps, reverse_step, x_T, schedule, generator, film_steps=()):
    total, frames = schedule.alphas.numel(), {}
    all_t = torch.arange(total, device=x_T.device).expand(len(x_T), -1).T  # (T, B)

    def go_on(x, step):
        noise = torch.zeros_like(x).normal_(0, 1, generator=generator)
        t = all_t[step].contiguous()
        x = reverse_step(x, t=t, eps=predict_eps(x, t), noise=noise, schedule=schedule)
        frames[step] = x
        return x

    before = torch.is_grad_enabled()
    torch.set_grad_enabled(False)
    try:
        x_0 = functools.reduce(go_on, range(total - 1, -1, -1), x_T)
    finally:
        torch.set_grad_enabled(before)
    return [x_0, [frame for step, frame in frames.items() if step in set(film_steps)]]


# 6.4


@answers.right("6.4", "margins by padding, then rows joined and rows stacked")
def image_grid(images, num_columns, gap=2):
    refuse(len(images) == 0 or num_columns < 1)
    images = ((images + 1) * 0.5).clamp(0, 1)
    missing = -len(images) % num_columns
    images = torch.cat([images, torch.ones(missing, *images.shape[1:])])
    tiles = F.pad(images, (0, gap, 0, gap), value=1.0)  # a gap to the right and below
    rows = [torch.cat(list(row), dim=2) for row in tiles.split(num_columns)]
    return F.pad(torch.cat(rows, dim=1), (gap, 0, gap, 0), value=1.0)


@answers.right("6.4", "reshape and permute")
def image_grid(images, num_columns, gap=2):
    refuse(len(images) == 0 or num_columns < 1)
    count, channels, height, width = images.shape
    rows = math.ceil(count / num_columns)
    cells = torch.ones(rows * num_columns, channels, height + gap, width + gap)
    cells[:count, :, gap:, gap:] = torch.clip(images / 2 + 0.5, 0, 1)
    picture = cells.view(rows, num_columns, channels, height + gap, width + gap)
    picture = picture.permute(2, 0, 3, 1, 4).reshape(
        channels, rows * (height + gap), num_columns * (width + gap)
    )
    return F.pad(picture, (0, gap, 0, gap), value=1.0)


@answers.right("6.4", "pixel by pixel")
def image_grid(images, num_columns, gap=2):
    refuse(len(images) == 0 or num_columns < 1)
    count, channels, height, width = images.shape
    rows = (count + num_columns - 1) // num_columns
    picture = torch.ones(
        channels, gap + rows * (height + gap), gap + num_columns * (width + gap)
    ).tolist()
    for n, image in enumerate(images.tolist()):
        for c in range(channels):
            for i in range(height):
                for j in range(width):
                    y = gap + (n // num_columns) * (height + gap) + i
                    x = gap + (n % num_columns) * (width + gap) + j
                    picture[c][y][x] = min(max((image[c][i][j] + 1) / 2, 0.0), 1.0)
    return torch.tensor(picture)


@answers.right("6.4", "NumPy")
def image_grid(images, num_columns, gap=2):
    refuse(len(images) == 0 or num_columns < 1)
    array = np.clip((images.numpy() + 1) / 2, 0, 1)
    count, channels, height, width = array.shape
    rows = int(np.ceil(count / num_columns))
    picture = np.full(
        (channels, rows * (height + gap) + gap, num_columns * (width + gap) + gap), 1.0, np.float32
    )
    for n in range(count):
        y = gap + n // num_columns * (height + gap)
        x = gap + n % num_columns * (width + gap)
        picture[:, y : y + height, x : x + width] = array[n]
    return torch.from_numpy(picture)


@answers.right("6.4", "fold")
def image_grid(images, num_columns, gap=2):
    refuse(len(images) == 0 or num_columns < 1)
    count, channels, height, width = images.shape
    rows = -(-count // num_columns)
    size = (rows * (height + gap) + gap, num_columns * (width + gap) + gap)
    dark = 1 - images.clamp(-1, 1).add(1).div(2)  # fold adds, so work with 1 - brightness
    dark = torch.cat([dark, dark.new_zeros(rows * num_columns - count, *dark.shape[1:])])
    columns = F.pad(dark, (gap, 0, gap, 0)).flatten(1).T[None]  # (1, C * h * w, tiles)
    tile = (height + gap, width + gap)
    inner = (size[0] - gap, size[1] - gap)
    return F.pad(1 - F.fold(columns, inner, tile, stride=tile)[0], (0, gap, 0, gap), value=1.0)


@answers.right("6.4", "one row at a time, with white strips between")
def image_grid(images, num_columns, gap=2):
    refuse(len(images) == 0 or num_columns < 1)
    channels, height, width = images.shape[1:]
    images = [torch.clamp((image + 1) / 2, 0, 1) for image in images]
    images += [torch.ones(channels, height, width)] * (-len(images) % num_columns)
    upright = torch.ones(channels, height, gap)
    rows = []
    while images:
        row, images = images[:num_columns], images[num_columns:]
        rows.append(torch.cat([upright] + [part for image in row for part in (image, upright)], 2))
    flat = torch.ones(channels, gap, rows[0].shape[2])
    return torch.cat([flat] + [part for row in rows for part in (row, flat)], dim=1)


@answers.right("6.4", "torchvision's make_grid, on a last row that is filled up")
def image_grid(images, num_columns, gap=2):
    refuse(len(images) == 0 or num_columns < 1)
    white = torch.ones_like(images[:1]).repeat(-len(images) % num_columns, 1, 1, 1)
    tiles = torch.cat([images.clamp(-1, 1) * 0.5 + 0.5, white])
    if len(tiles) == 1:  # which make_grid hands back without a margin
        return F.pad(tiles[0], (gap,) * 4, value=1.0)
    grid = make_grid(tiles, nrow=num_columns, padding=gap, pad_value=1.0)
    return grid[: images.shape[1]]  # for it makes three channels of one


@answers.right("6.4", "each pixel of the picture looks up where it comes from")
def image_grid(images, num_columns, gap=2):
    refuse(len(images) == 0 or num_columns < 1)
    count, channels, height, width = images.shape
    rows = (count - 1) // num_columns + 1
    y = torch.arange(rows * (height + gap) + gap, device=images.device)[:, None] - gap
    x = torch.arange(num_columns * (width + gap) + gap, device=images.device)[None] - gap
    n = y.div(height + gap, rounding_mode="floor") * num_columns + x // (width + gap)
    y, x = y % (height + gap), x % (width + gap)
    inside = (y < height) & (x < width) & (n >= 0) & (n < count)
    n, y, x = (torch.where(inside, index, 0) for index in (n, y, x))
    picture = images.add(1).div(2).clip(0, 1)[n, :, y, x]  # (H, W, C)
    return torch.where(inside[..., None], picture, 1.0).permute(2, 0, 1)


@answers.right("6.4", "a new axis for rows and columns, filled by a view")
def image_grid(images, num_columns, gap=2):
    refuse(len(images) == 0 or num_columns < 1)
    count, *size = images.shape
    rows = divmod(count + num_columns - 1, num_columns)[0]
    channels, height, width = size
    picture = images.new_full(
        (channels, rows * (height + gap) + gap, num_columns * (width + gap) + gap), 1
    )
    # (C, rows, height + gap, columns, width + gap), the same memory as the picture's
    places = picture[:, gap:, gap:].unflatten(2, (num_columns, -1)).unflatten(1, (rows, -1))
    for n in range(count):
        places[:, n // num_columns, :height, n % num_columns, :width] = images[n]
    for place in (
        places[:, n // num_columns, :height, n % num_columns, :width] for n in range(count)
    ):
        place.add_(1).mul_(0.5).clamp_(0, 1)
    return picture


# 6.5


@answers.right("6.5", "a loop over the levels kept, with Python floats")
def respace(schedule_betas, num_steps):
    refuse(not 2 <= num_steps <= len(schedule_betas))
    total, level, levels = len(schedule_betas), 1.0, []
    for beta in schedule_betas.tolist():
        level *= 1 - beta
        levels.append(level)
    steps = [round(i * total / num_steps) - 1 for i in range(1, num_steps + 1)]
    betas, before = [], 1.0
    for step in steps:
        betas.append(1 - levels[step] / before)
        before = levels[step]
    device = schedule_betas.device
    return torch.tensor(betas, dtype=torch.float64, device=device), torch.tensor(steps).to(device)


@answers.right("6.5", "logarithms of the levels, the steps from the noisy end down")
def respace(schedule_betas, num_steps):
    refuse(not 2 <= num_steps <= len(schedule_betas))
    log_bars = torch.cumsum(torch.log1p(-schedule_betas.double()), dim=0)
    back = torch.arange(num_steps, device=log_bars.device) * len(log_bars) // num_steps
    timesteps = (len(log_bars) - 1 - back).flip(0)
    kept = log_bars[timesteps]
    return -torch.expm1(torch.diff(kept, prepend=kept.new_zeros(1))), timesteps


@answers.right("6.5", "the shares of each stretch multiplied, steps by linspace from 0 to T-1")
def respace(schedule_betas, num_steps):
    refuse(not 2 <= num_steps <= len(schedule_betas))
    total = len(schedule_betas)
    timesteps = torch.linspace(0, total - 1, num_steps, dtype=torch.float64).round().long()
    lengths = torch.diff(timesteps, prepend=timesteps.new_tensor([-1])).tolist()
    stretches = (1 - schedule_betas.double()).split(lengths)
    betas = torch.stack([1 - stretch.prod() for stretch in stretches])
    return betas, timesteps.to(betas.device)


@answers.right("6.5", "NumPy")
def respace(schedule_betas, num_steps):
    refuse(not 2 <= num_steps <= len(schedule_betas))
    bars = np.cumprod(1 - schedule_betas.numpy().astype(np.float64))
    steps = np.ceil(np.arange(1, num_steps + 1) * len(bars) / num_steps).astype(np.int64) - 1
    kept = np.concatenate([[1.0], bars[steps]])
    return torch.from_numpy(1 - kept[1:] / kept[:-1]), torch.from_numpy(steps)
