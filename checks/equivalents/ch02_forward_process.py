"""Right answers to chapter 02 in other styles. Every check must accept them."""

import math
from collections import namedtuple

import numpy as np
import torch

from course.grading.answers import Answers

answers = Answers()


# 2.1


@answers.right("2.1", "indexing with None")
def gather_at(values, t, ndim):
    return values[t][(...,) + (None,) * (ndim - 1)]


@answers.right("2.1", "an axis at a time")
def gather_at(values, t, ndim):
    out = values[t]
    while out.dim() < ndim:
        out = out.unsqueeze(-1)
    return out


@answers.right("2.1", "torch.gather and view")
def gather_at(values, t, ndim):
    return values.gather(-1, t).view(t.shape[0], *((1,) * (ndim - 1)))


@answers.right("2.1", "index_select and reshape to a list")
def gather_at(values, t, ndim):
    return torch.index_select(values, 0, t).reshape([-1] + [1] * (ndim - 1))


@answers.right("2.1", "a loop over the images")
def gather_at(values, t, ndim):
    out = torch.zeros((len(t),) + (1,) * (ndim - 1), dtype=values.dtype, device=values.device)
    for b, step in enumerate(t):
        out[b] = values[step.item()]
    return out


@answers.right("2.1", "a product with one-hot rows")
def gather_at(values, t, ndim):
    rows = torch.nn.functional.one_hot(t, num_classes=len(values)).to(values.dtype)
    return torch.reshape(rows @ values, (len(t),) + (1,) * (ndim - 1))


@answers.right("2.1", "indices shaped first")
def gather_at(values, t, ndim):
    return values[t.view(-1, *[1] * (ndim - 1))]


@answers.right("2.1", "an embedding of width 1")
def gather_at(values, t, ndim):
    rows = torch.nn.functional.embedding(t, values.unsqueeze(1))
    return rows[(...,) + (None,) * (ndim - 2)]


@answers.right("2.1", "shapes added up")
def gather_at(values, t, ndim):
    return torch.take(values, t).view(t.shape + torch.Size([1]) * (ndim - 1))


@answers.right("2.1", "a table of rows, one for each image, and unflatten")
def gather_at(values, t, ndim):
    picked = values.repeat(t.size(0), 1).gather(dim=1, index=t.unsqueeze(1))
    return picked.unflatten(1, [1] * (ndim - 1))


@answers.right("2.1", "the steps moved to the CPU and back, as older code has it")
def gather_at(values, t, ndim):
    out = values.cpu().gather(-1, t.cpu())
    return out.reshape(t.shape[0], *((1,) * (ndim - 1))).to(t.device)


# 2.2


@answers.right("2.2", "indexing by hand")
def q_step(x_prev, t, eps, betas):
    b = betas[t][:, None, None, None]
    return torch.sqrt(1 - b) * x_prev + torch.sqrt(b) * eps


@answers.right("2.2", "a loop over the images with Python floats")
def q_step(x_prev, t, eps, betas):
    out = []
    for image, step, noise in zip(x_prev, t.tolist(), eps):
        beta = betas[step].item()
        out.append(math.sqrt(1 - beta) * image + math.sqrt(beta) * noise)
    return torch.stack(out)


@answers.right("2.2", "einsum")
def q_step(x_prev, t, eps, betas):
    keep, add = (1 - betas).sqrt()[t], betas.sqrt()[t]
    return torch.einsum("b,bchw->bchw", keep, x_prev) + torch.einsum("b,bchw->bchw", add, eps)


@answers.right("2.2", "float64 inside")
def q_step(x_prev, t, eps, betas):
    b = betas.double()[t].view(-1, 1, 1, 1)
    return ((1 - b) ** 0.5 * x_prev.double() + b**0.5 * eps.double()).to(x_prev.dtype)


@answers.right("2.2", "a preallocated result and the batch axis last")
def q_step(x_prev, t, eps, betas):
    out = torch.empty_like(x_prev)
    chosen = torch.take(betas, t)
    out[:] = (x_prev.movedim(0, -1) * (1 - chosen).sqrt()).movedim(-1, 0)
    out += (eps.movedim(0, -1) * chosen.sqrt()).movedim(-1, 0)
    return out


@answers.right("2.2", "NumPy")
def q_step(x_prev, t, eps, betas):
    b = betas.numpy()[t.numpy()].reshape(-1, 1, 1, 1)
    return torch.from_numpy(np.sqrt(1 - b) * x_prev.numpy() + np.sqrt(b) * eps.numpy())


@answers.right("2.2", "addcmul")
def q_step(x_prev, t, eps, betas):
    b = betas[t].reshape(-1, 1, 1, 1)
    return torch.addcmul(x_prev * (1 - b).sqrt(), b.sqrt(), eps)


@answers.right("2.2", "added up in place on a tensor of its own")
def q_step(x_prev, t, eps, betas):
    beta = betas.index_select(0, t).view(-1, *[1] * (x_prev.dim() - 1))
    x_t = x_prev.clone()
    x_t *= (1 - beta).sqrt()
    x_t.addcmul_(beta.sqrt(), eps)
    return x_t


@answers.right("2.2", "a dot product of weights and pictures, with a helper class")
def q_step(x_prev, t, eps, betas):
    class Mixture:
        def __init__(self, *parts):
            self.parts = parts

        def __call__(self, image):
            return sum((weight**0.5 * part[image] for weight, part in self.parts))

    picked = [betas[step] for step in t]
    mixtures = [Mixture((1 - beta, x_prev), (beta, eps)) for beta in picked]
    return torch.stack([mixture(image) for image, mixture in enumerate(mixtures)])


@answers.right("2.2", "by way of the standard deviation")
def q_step(x_prev, t, eps, betas):
    std = torch.stack([betas.sqrt()[step] for step in t.unbind()])
    mean = torch.sqrt(1 - std.square())
    shape = [-1, *(1 for _ in x_prev.shape[1:])]
    return mean.reshape(shape).mul(x_prev).add(std.reshape(shape).mul(eps))


# 2.3


@answers.right("2.3", "indexing by hand")
def q_sample(x0, t, eps, alpha_bars):
    a = alpha_bars[t].view(-1, 1, 1, 1)
    return a.sqrt() * x0 + (1 - a).sqrt() * eps


@answers.right("2.3", "roots of the tables first")
def q_sample(x0, t, eps, alpha_bars):
    signal, noise = torch.sqrt(alpha_bars), torch.sqrt(1.0 - alpha_bars)
    shape = (x0.size(0),) + (1,) * (x0.dim() - 1)
    return signal.gather(0, t).reshape(shape) * x0 + noise.gather(0, t).reshape(shape) * eps


@answers.right("2.3", "an angle: cosine and sine as weights")
def q_sample(x0, t, eps, alpha_bars):
    angle = torch.acos(alpha_bars.double().sqrt())[t][:, None, None, None]
    return (angle.cos() * x0 + angle.sin() * eps).to(x0.dtype)


@answers.right("2.3", "a loop over the images")
def q_sample(x0, t, eps, alpha_bars):
    x_t = torch.zeros_like(x0)
    for b in range(len(x0)):
        a = alpha_bars[t[b]]
        x_t[b] = a**0.5 * x0[b] + (1 - a) ** 0.5 * eps[b]
    return x_t


@answers.right("2.3", "torch.vmap")
def q_sample(x0, t, eps, alpha_bars):
    def one(image, a, noise):
        return a.sqrt() * image + (1 - a).sqrt() * noise

    return torch.vmap(one)(x0, alpha_bars[t], eps)


@answers.right("2.3", "images as rows of a matrix")
def q_sample(x0, t, eps, alpha_bars):
    a = alpha_bars[t]
    rows = torch.diag(a.sqrt()) @ x0.flatten(1) + torch.diag((1 - a).sqrt()) @ eps.flatten(1)
    return rows.view_as(x0)


@answers.right("2.3", "by way of the signal-to-noise ratio")
def q_sample(x0, t, eps, alpha_bars):
    a = alpha_bars.double()
    log_snr = torch.log(a / (1 - a))[t].reshape(len(t), 1, 1, 1)
    x_t = torch.sigmoid(log_snr).sqrt() * x0 + torch.sigmoid(-log_snr).sqrt() * eps
    return x_t.type_as(x0)


@answers.right("2.3", "complex numbers: the real part of a product")
def q_sample(x0, t, eps, alpha_bars):
    a = alpha_bars[t].reshape(-1, 1, 1, 1)
    weight = torch.complex(a.sqrt(), -(1 - a).sqrt())
    return (weight * torch.complex(x0, eps)).real


@answers.right("2.3", "a batched matrix product with the pair of weights")
def q_sample(x0, t, eps, alpha_bars):
    a = alpha_bars.gather(0, t)
    weights = torch.stack([a, 1 - a], dim=1).sqrt().unsqueeze(1)  # (B, 1, 2)
    pair = torch.stack([x0.flatten(1), eps.flatten(1)], dim=1)  # (B, 2, C*H*W)
    return torch.bmm(weights, pair).squeeze(1).unflatten(1, x0.shape[1:])


@answers.right("2.3", "the noise blended in by lerp")
def q_sample(x0, t, eps, alpha_bars):
    a = alpha_bars[t][:, None, None, None]
    signal, noise = a.sqrt(), (1 - a).sqrt()
    return (signal + noise) * torch.lerp(input=x0, end=eps, weight=noise / (signal + noise))


# 2.4


@answers.right("2.4", "indexing by hand")
def predict_x0(x_t, t, eps, alpha_bars):
    a = alpha_bars[t][:, None, None, None]
    return (x_t - torch.sqrt(1 - a) * eps) / torch.sqrt(a)


@answers.right("2.4", "multiplying by reciprocals")
def predict_x0(x_t, t, eps, alpha_bars):
    a = alpha_bars[t].view(-1, 1, 1, 1)
    return a.rsqrt() * x_t - (1 / a - 1).sqrt() * eps


@answers.right("2.4", "a loop over the images with Python floats")
def predict_x0(x_t, t, eps, alpha_bars):
    images = []
    for b, step in enumerate(t.tolist()):
        a = float(alpha_bars[step])
        images.append((x_t[b] - math.sqrt(1 - a) * eps[b]) / math.sqrt(a))
    return torch.stack(images, dim=0)


@answers.right("2.4", "float64 inside")
def predict_x0(x_t, t, eps, alpha_bars):
    a = alpha_bars.to(torch.float64)[t].reshape(-1, 1, 1, 1)
    clean = (x_t.double() - (1 - a).pow(0.5) * eps.double()) * a.pow(-0.5)
    return clean.to(x_t.dtype)


@answers.right("2.4", "a helper, and the batch axis last")
def predict_x0(x_t, t, eps, alpha_bars):
    def scale(images, factors):
        return (images.transpose(0, -1) * factors).transpose(0, -1)

    a = alpha_bars[t]
    return scale(x_t - scale(eps, (1 - a).sqrt()), a.rsqrt())


@answers.right("2.4", "a linear system solved for each image")
def predict_x0(x_t, t, eps, alpha_bars):
    a = alpha_bars[t]
    signal_only = x_t - torch.einsum("b,bchw->bchw", (1 - a) ** 0.5, eps)
    solved = torch.linalg.solve(torch.diag(a**0.5), signal_only.flatten(1))
    return solved.reshape(x_t.shape)


@answers.right("2.4", "by the noise-to-signal ratio")
def predict_x0(x_t, t, eps, alpha_bars):
    a = alpha_bars.gather(0, t).reshape(x_t.shape[0], 1, 1, 1)
    return x_t / a**0.5 - ((1 - a) / a) ** 0.5 * eps


@answers.right("2.4", "in place on a tensor of its own")
def predict_x0(x_t, t, eps, alpha_bars):
    shape = (len(t),) + (1,) * (x_t.dim() - 1)
    x0 = eps.mul((1.0 - alpha_bars).sqrt().take(t).view(shape)).neg_()
    x0 += x_t
    x0 /= alpha_bars.sqrt().take(t).view(shape)
    return x0


@answers.right("2.4", "addcmul and addcdiv")
def predict_x0(x_t, t, eps, alpha_bars):
    root = torch.sqrt(alpha_bars[t].view(-1, 1, 1, 1))
    rest = torch.addcmul(x_t, (1 - root * root).sqrt(), eps, value=-1)
    return torch.addcdiv(torch.zeros_like(x_t), rest, root)


@answers.right("2.4", "NumPy")
def predict_x0(x_t, t, eps, alpha_bars):
    a = alpha_bars.numpy()[t.numpy()].reshape(-1, 1, 1, 1)
    return torch.from_numpy((x_t.numpy() - np.sqrt(1 - a) * eps.numpy()) / np.sqrt(a))


# 2.5


def _at(values, t):
    return values[t].view(-1, 1, 1, 1)


@answers.right("2.5", "indexing by hand")
def q_posterior(x0, x_t, t, schedule):
    a = schedule.posterior_x0_coef[t][:, None, None, None]
    b = schedule.posterior_xt_coef[t][:, None, None, None]
    return a * x0 + b * x_t, schedule.posterior_variance[t][:, None, None, None]


@answers.right("2.5", "the coefficients from betas and alpha_bars, in float32")
def q_posterior(x0, x_t, t, schedule):
    beta, bar, prev = (
        _at(table, t) for table in (schedule.betas, schedule.alpha_bars, schedule.alpha_bars_prev)
    )
    mean = prev.sqrt() * beta / (1 - bar) * x0
    mean = mean + (1 - beta).sqrt() * (1 - prev) / (1 - bar) * x_t
    return mean, beta * (1 - prev) / (1 - bar)


@answers.right("2.5", "everything from betas alone, in float32")
def q_posterior(x0, x_t, t, schedule):
    alphas = 1 - schedule.betas
    bars = torch.cumprod(alphas, 0)
    prevs = torch.cat([torch.ones(1, device=bars.device), bars[:-1]])
    beta, alpha, bar, prev = (_at(table, t) for table in (schedule.betas, alphas, bars, prevs))
    variance = (1 - prev) / (1 - bar) * beta
    return variance * (alpha.sqrt() / beta) * x_t + prev.sqrt() * beta / (1 - bar) * x0, variance


@answers.right("2.5", "Bayes' rule with precisions")
def q_posterior(x0, x_t, t, schedule):
    beta, prev = _at(schedule.betas.double(), t), _at(schedule.alpha_bars_prev.double(), t)
    variance = 1 / ((1 - beta) / beta + 1 / (1 - prev))  # 1 / infinity = 0 at t = 0
    mean = prev.sqrt() * x0 + variance * (1 - beta).sqrt() / beta * (
        x_t - ((1 - beta) * prev).sqrt() * x0
    )
    return mean.float(), variance.float()


@answers.right("2.5", "DDIM's form: x_0, the noise in x_t, and a smaller variance")
def q_posterior(x0, x_t, t, schedule):
    bar, prev = _at(schedule.alpha_bars, t), _at(schedule.alpha_bars_prev, t)
    variance = _at(schedule.posterior_variance, t)
    eps = (x_t - bar.sqrt() * x0) / (1 - bar).sqrt()
    return prev.sqrt() * x0 + (1 - prev - variance).clamp(min=0).sqrt() * eps, variance


@answers.right("2.5", "a loop over the images, and a named pair")
def q_posterior(x0, x_t, t, schedule):
    Gaussian = namedtuple("Gaussian", "mean variance")
    mean = torch.empty_like(x0)
    variance = torch.empty(len(t), 1, 1, 1, device=x0.device)
    for b, step in enumerate(t.tolist()):
        mean[b] = (
            schedule.posterior_x0_coef[step] * x0[b] + schedule.posterior_xt_coef[step] * x_t[b]
        )
        variance[b] = schedule.posterior_variance[step]
    return Gaussian(mean, variance)


@answers.right("2.5", "einsum")
def q_posterior(x0, x_t, t, schedule):
    coefs = torch.stack([schedule.posterior_x0_coef, schedule.posterior_xt_coef])[:, t]
    mean = torch.einsum("kb,kbchw->bchw", coefs, torch.stack([x0, x_t]))
    return mean, schedule.posterior_variance.index_select(0, t).reshape(-1, 1, 1, 1)


@answers.right("2.5", "a dict of looked-up tables, and float64 inside")
def q_posterior(x0, x_t, t, schedule):
    names = ("posterior_x0_coef", "posterior_xt_coef", "posterior_variance")
    found = {name: getattr(schedule, name).double()[t].reshape(-1, 1, 1, 1) for name in names}
    mean = found["posterior_x0_coef"] * x0.double() + found["posterior_xt_coef"] * x_t.double()
    return mean.type_as(x0), found["posterior_variance"].type_as(x0)


@answers.right("2.5", "addcmul, and a list as the pair")
def q_posterior(x0, x_t, t, schedule):
    shape = (x0.size(0), *[1] * (x0.ndim - 1))
    mean = schedule.posterior_x0_coef.gather(0, t).view(shape).mul(x0)
    mean.addcmul_(schedule.posterior_xt_coef.gather(0, t).view(shape), x_t)
    return [mean, schedule.posterior_variance.gather(0, t).view(shape)]


@answers.right("2.5", "torch.vmap over the images")
def q_posterior(x0, x_t, t, schedule):
    def one(image, noisy, a, b, variance):
        return a * image + b * noisy, variance.reshape(1, 1, 1)

    tables = (
        schedule.posterior_x0_coef,
        schedule.posterior_xt_coef,
        schedule.posterior_variance,
    )
    return torch.vmap(one)(x0, x_t, *(table[t] for table in tables))
