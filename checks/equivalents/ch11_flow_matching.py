"""Right answers to chapter 11 in other styles. Every check must accept them."""

import math

import torch
from torch import nn
from torch.nn import functional as F

from course.grading.answers import Answers

answers = Answers()

SCALE = 1000.0


# 11.1


@answers.right("11.1", "the velocity first, and x_t from it")
def straight_path(x0, eps, t):
    velocity = eps - x0
    return x0 + t[:, None, None, None] * velocity, velocity


@answers.right("11.1", "torch.lerp")
def straight_path(x0, eps, t):
    x_t = torch.lerp(x0, eps, t.reshape(-1, 1, 1, 1).expand_as(x0))
    return x_t, torch.sub(eps, x0)


@answers.right("11.1", "a loop over the images")
def straight_path(x0, eps, t):
    points = [(1 - time) * image + time * noise for image, noise, time in zip(x0, eps, t)]
    return torch.stack(points), torch.stack([noise - image for image, noise in zip(x0, eps)])


@answers.right("11.1", "einsum over the batch")
def straight_path(x0, eps, t):
    x_t = torch.einsum("b,b...->b...", 1 - t, x0) + torch.einsum("b,b...->b...", t, eps)
    return (x_t, -x0 + eps)


# 11.2


def _refuse(spread):
    if spread not in {"uniform", "logit_normal"}:
        raise ValueError(f"no spread {spread}")


@answers.right("11.2", "in-place draws into empty tensors")
def draw_times(count, generator, spread="uniform", mean=0.0, std=1.0):
    _refuse(spread)
    t = torch.empty(count, device=generator.device)
    if spread == "logit_normal":
        return t.normal_(mean, std, generator=generator).sigmoid_()
    return t.uniform_(0, 1, generator=generator)


@answers.right("11.2", "the exponential written out")
def draw_times(count, generator, spread="uniform", mean=0.0, std=1.0):
    _refuse(spread)
    draw = {"uniform": torch.rand, "logit_normal": torch.randn}[spread]
    z = draw((count,), generator=generator, device=generator.device)
    return z if spread == "uniform" else 1 / (1 + torch.exp(-(z * std + mean)))


@answers.right("11.2", "from the other end, and uniform draws through the inverse")
def draw_times(count, generator, spread="uniform", mean=0.0, std=1.0):
    _refuse(spread)
    u = 1 - torch.rand(count, generator=generator, device=generator.device)
    if spread == "uniform":
        return u
    z = math.sqrt(2) * torch.erfinv(2 * u.clamp(1e-7, 1 - 1e-7) - 1)
    return torch.sigmoid(mean + std * z)


@answers.right("11.2", "a tanh for the sigmoid")
def draw_times(count, generator, spread="uniform", mean=0.0, std=1.0):
    _refuse(spread)
    device = generator.device
    if spread == "uniform":
        return torch.rand((count,), generator=generator, device=device, dtype=torch.float32)
    z = mean + std * torch.randn((count,), generator=generator, device=device)
    return 0.5 + 0.5 * torch.tanh(z / 2)


# 11.3


@answers.right("11.3", "torch's mse_loss")
def flow_loss(model, x0, t, labels, eps, path):
    x_t, velocity = path(x0, eps, t)
    return F.mse_loss(model(x_t, t * SCALE, labels), velocity)


@answers.right("11.3", "the mean of each image first")
def flow_loss(model, x0, t, labels, eps, path):
    point, wanted = path(x0, eps, t)
    error = model(point, SCALE * t, labels) - wanted
    return error.square().flatten(1).mean(dim=1).mean()


@answers.right("11.3", "a norm divided by the number of values")
def flow_loss(model, x0, t, labels, eps, path):
    point, wanted = path(x0, eps, t)
    error = wanted - model(point, torch.mul(t, 1000), labels)
    return (error * error).sum() / error.numel()


@answers.right("11.3", "an nn.MSELoss object")
def flow_loss(model, x0, t, labels, eps, path):
    line = path(x0, eps, t)
    return nn.MSELoss()(model(line[0], 1000.0 * t, labels), line[1])


# 11.4


@answers.right("11.4", "the length as time that is left")
def euler_step(velocity, x_t, t, t_next):
    left = (t - t_next)[:, None, None, None]
    return x_t - left * velocity(x_t, t)


@answers.right("11.4", "the length as time that is left")
def heun_step(velocity, x_t, t, t_next):
    left = (t - t_next)[:, None, None, None]
    first = velocity(x_t, t)
    second = velocity(x_t - left * first, t_next)
    return x_t - left * (0.5 * first + 0.5 * second)


@answers.right("11.4", "Heun as Euler with a correction")
def heun_step(velocity, x_t, t, t_next):
    h = (t_next - t).reshape(-1, 1, 1, 1)
    first = velocity(x_t, t)
    guess = x_t + h * first
    return guess + h / 2 * (velocity(guess, t_next) - first)


@answers.right("11.4", "Heun as the mean of two Euler steps")
def heun_step(velocity, x_t, t, t_next):
    h = (t_next - t).view(len(t), 1, 1, 1)
    guess = torch.add(x_t, h * velocity(x_t, t))
    further = torch.add(guess, h * velocity(guess, t_next))
    return (x_t + further) / 2


@answers.right("11.4", "addcmul and einsum")
def euler_step(velocity, x_t, t, t_next):
    return torch.addcmul(x_t, (t_next - t).reshape(-1, 1, 1, 1), velocity(x_t, t))


@answers.right("11.4", "addcmul and einsum")
def heun_step(velocity, x_t, t, t_next):
    h, first = t_next - t, velocity(x_t, t)
    second = velocity(x_t + torch.einsum("b,bchw->bchw", h, first), t_next)
    return x_t + torch.einsum("b,bchw->bchw", h / 2, first + second)


# 11.5


def _columns(values):
    return values[:, None, None, None]


@answers.right("11.5", "by the angle on the quarter circle")
def to_flow(x_t, alpha_bar):
    angle = torch.atan2((1 - alpha_bar).sqrt(), alpha_bar.sqrt())
    r = angle.cos() + angle.sin()
    return x_t / _columns(r), angle.sin() / r


@answers.right("11.5", "by the angle on the quarter circle")
def to_diffusion(x, t):
    angle = torch.atan2(t, 1 - t)
    r = angle.cos() + angle.sin()
    return x * _columns(r), angle.cos() ** 2


@answers.right("11.5", "by the angle on the quarter circle")
def velocity_from_v(x_t, v, alpha_bar):
    angle = _columns(torch.atan2((1 - alpha_bar).sqrt(), alpha_bar.sqrt()))
    return (angle.sin() - angle.cos()) * x_t + (angle.sin() + angle.cos()) * v


@answers.right("11.5", "by way of the image")
def eps_from_velocity(x, velocity, t):
    x0 = x - _columns(t) * velocity
    return x0 + velocity


@answers.right("11.5", "one formula each")
def to_flow(x_t, alpha_bar):
    r = torch.sqrt(alpha_bar) + torch.sqrt(1 - alpha_bar)
    return x_t * (1 / r).view(-1, 1, 1, 1), torch.sqrt(1 - alpha_bar) / r


@answers.right("11.5", "one formula each")
def to_diffusion(x, t):
    r = torch.hypot(1 - t, t)
    return x / r.view(-1, 1, 1, 1), ((1 - t) / r) ** 2


@answers.right("11.5", "one formula each")
def velocity_from_v(x_t, v, alpha_bar):
    signal, noise = _columns(alpha_bar) ** 0.5, (1 - _columns(alpha_bar)) ** 0.5
    return noise * x_t + signal * v - signal * x_t + noise * v


@answers.right("11.5", "one formula each")
def eps_from_velocity(x, velocity, t):
    return torch.lerp(x + velocity, x, t.view(-1, 1, 1, 1).expand_as(x))


@answers.right("11.5", "in float64 and back")
def to_flow(x_t, alpha_bar):
    a = alpha_bar.double()
    signal, noise = a.sqrt(), (1 - a).sqrt()
    x = x_t.double() / _columns(signal + noise)
    return x.float(), (noise / (signal + noise)).float()


@answers.right("11.5", "in float64 and back")
def to_diffusion(x, t):
    t = t.double()
    power = 1 - 2 * t + 2 * t**2
    return (x.double() / _columns(power).sqrt()).float(), ((1 - t) ** 2 / power).float()


# 11.6


@answers.right("11.6", "the null half first")
def guided_velocity(model, x_t, t, labels, guidance_scale, null_label):
    asked = torch.cat([torch.zeros_like(labels) + null_label, labels])
    both = model(x_t.repeat(2, 1, 1, 1), SCALE * t.repeat(2), asked)
    null, cond = both[: len(x_t)], both[len(x_t) :]
    return cond + guidance_scale * (cond - null)


@answers.right("11.6", "torch.lerp beyond its end")
def guided_velocity(model, x_t, t, labels, guidance_scale, null_label):
    time = SCALE * t
    both = model(
        torch.cat((x_t, x_t)),
        torch.cat((time, time)),
        torch.cat((labels, labels.new_full(labels.shape, null_label))),
    )
    cond, null = torch.tensor_split(both, 2)
    return torch.lerp(null, cond, 1.0 + guidance_scale)


@answers.right("11.6", "stacked, with a sum over the weights")
def guided_velocity(model, x_t, t, labels, guidance_scale, null_label):
    images = torch.stack([x_t, x_t]).flatten(0, 1)
    times = torch.stack([t, t]).flatten() * 1000
    asked = torch.stack([labels, torch.full_like(labels, null_label)]).flatten()
    both = model(images, times, asked).unflatten(0, (2, len(t)))
    return both[0] * (guidance_scale + 1) - both[1] * guidance_scale


# 11.7


@answers.right("11.7", "the variance of the velocities over the steps")
@torch.no_grad()
def straightness(velocity, x_1, num_steps):
    x, found = x_1, []
    for left in range(num_steps, 0, -1):
        t = torch.full_like(x[:, 0, 0, 0], left / num_steps)
        found.append(velocity(x, t))
        x = x - found[-1] / num_steps
    return torch.stack(found).var(dim=0, correction=0).mean()


@answers.right("11.7", "the variance of the velocities over the steps")
def reflow_pairs(walk, shape, generator):
    with torch.no_grad():
        eps = torch.empty(shape, device=generator.device).normal_(generator=generator)
        x0 = walk(eps)
    return x0, eps


@answers.right("11.7", "linspace, and sums that grow")
def straightness(velocity, x_1, num_steps):
    with torch.no_grad():
        x, velocities = x_1.clone(), []
        for t in torch.linspace(1, 1 / num_steps, num_steps).tolist():
            now = velocity(x, x.new_full((len(x),), t))
            velocities.append(now)
            x = x + now * (-1 / num_steps)
        way = x_1 - x
        return sum((way - now).square().mean() for now in velocities) / num_steps


@answers.right("11.7", "linspace, and sums that grow")
@torch.no_grad()
def reflow_pairs(walk, shape, generator):
    noise = torch.randn(*shape, generator=generator, device=generator.device)
    images = walk(noise)
    return images, noise


@answers.right("11.7", "torch.inference_mode, and detached pairs")
@torch.inference_mode()
def straightness(velocity, x_1, num_steps):
    x, total = x_1, []
    times = [(num_steps - k) / num_steps for k in range(num_steps)]
    for time in times:
        v = velocity(x, torch.tensor([time] * len(x), device=x.device, dtype=x.dtype))
        total = [*total, v]
        x = x - v / num_steps
    errors = [((x_1 - x) - v) ** 2 for v in total]
    return torch.stack(errors).mean()
