"""Right answers to chapter 02 in other styles. Every check must accept them."""

import functools
import math
from collections import namedtuple

import numpy as np
import torch

from course.grading.answers import Answers
from solutions import ch02_forward_process as ref

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
    a = alpha_bars[t].to(x0.dtype)
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
    a = alpha_bars.gather(0, t).to(x0.dtype)
    weights = torch.stack([a, 1 - a], dim=1).sqrt().unsqueeze(1)  # (B, 1, 2)
    pair = torch.stack([x0.flatten(1), eps.flatten(1)], dim=1)  # (B, 2, C*H*W)
    return torch.bmm(weights, pair).squeeze(1).unflatten(1, x0.shape[1:])


@answers.right("2.3", "the noise blended in by lerp")
def q_sample(x0, t, eps, alpha_bars):
    a = alpha_bars.to(x0)[t][:, None, None, None]
    signal, noise = a.sqrt(), (1 - a).sqrt()
    return (signal + noise) * torch.lerp(input=x0, end=eps, weight=noise / (signal + noise))


@answers.right("2.3", "the joint noise as a weighted sum")
def joint_noise(step_noise, betas):
    b = betas[: len(step_noise)].double()
    bars = torch.cumprod(1 - b, dim=0)
    weights = (b * bars[-1] / bars / (1 - bars[-1])).sqrt().float()
    return torch.einsum("s,sbchw->bchw", weights, step_noise)


@answers.right("2.3", "the joint noise kept at variance 1 all the way")
def joint_noise(step_noise, betas):
    eps, noise = step_noise[0], betas[0]
    for new, beta in zip(step_noise[1:], betas[1:]):
        old = (1 - beta) * noise
        noise = old + beta
        eps = (old / noise).sqrt() * eps + (beta / noise).sqrt() * new
    return eps


@answers.right("2.3", "the joint noise from a walk of any image, solved for eps")
def joint_noise(step_noise, betas):
    x0 = torch.linspace(-1, 1, step_noise[0].numel()).view_as(step_noise[0])
    x = x0.clone()
    for beta, eps in zip(betas, step_noise):
        x = (1 - beta).sqrt() * x + beta.sqrt() * eps
    bar = torch.prod(1 - betas[: step_noise.shape[0]])
    return (x - bar.sqrt() * x0) / (1 - bar).sqrt()


@answers.right("2.3", "the joint noise with the newest first")
def joint_noise(step_noise, betas):
    kept, total = 1.0, torch.zeros(step_noise.shape[1:])
    for i in reversed(range(len(step_noise))):
        total += math.sqrt(kept * betas[i].item()) * step_noise[i]
        kept *= 1 - betas[i].item()
    return total / math.sqrt(1 - kept)


@answers.right("2.3", "the joint noise divided by the root of the squares of its weights")
def joint_noise(step_noise, betas):
    alphas = 1 - betas[: len(step_noise)]
    later = torch.flip(torch.cumprod(torch.flip(alphas, [0]), 0), [0]) / alphas
    weights = torch.sqrt((1 - alphas) * later)
    weights = weights / torch.linalg.vector_norm(weights)
    return torch.tensordot(weights, step_noise, dims=1)


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
    a = alpha_bars[t].type(x_t.dtype)
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


@answers.right("2.4", "x_t less the noise, in columns of pixels")
def predict_x0(x_t, t, eps, alpha_bars):
    a = alpha_bars.to(x_t.dtype)[t].unsqueeze(1)
    pixels = x_t.reshape(len(t), -1) - (1 - a) ** 0.5 * eps.reshape(len(t), -1)
    return pixels.div(a**0.5).reshape(x_t.shape)


@answers.right("2.4", "the amplification as a quotient of weights")
def amplification(alpha_bars):
    return (1 - alpha_bars).sqrt() / alpha_bars.sqrt()


@answers.right("2.4", "the amplification by the log-SNR")
def amplification(alpha_bars):
    return torch.exp(-0.5 * torch.logit(alpha_bars.double())).to(alpha_bars.dtype)


@answers.right("2.4", "the amplification from reciprocals")
def amplification(alpha_bars):
    return (1 / alpha_bars - 1) ** 0.5


@answers.right("2.4", "the amplification measured on an image of one pixel")
def amplification(alpha_bars):
    steps = torch.arange(len(alpha_bars))
    empty = torch.zeros(len(steps), 1, 1, 1, dtype=alpha_bars.dtype)
    return -ref.predict_x0(empty, steps, torch.ones_like(empty), alpha_bars).flatten()


# 2.5


@answers.right("2.5", "certainties as shares, in float64")
def combine(mean_1, var_1, mean_2, var_2):
    v_1, v_2 = var_1.double(), var_2.double()
    share = torch.where(v_2 > 0, 1 / (1 + v_1 / v_2), 0.0)  # of the first witness
    mean = torch.where(share == 1, mean_1, share * mean_1 + (1 - share) * mean_2)
    return mean.to(mean_1.dtype), (share * v_1).to(mean_1.dtype)


@answers.right("2.5", "the share of the way to the second witness")
def combine(mean_1, var_1, mean_2, var_2):
    share = var_1 / (var_1 + var_2)
    return mean_1 + share * (mean_2 - mean_1), share * var_2


@answers.right("2.5", "certainties, and what is certain put right")
def combine(mean_1, var_1, mean_2, var_2):
    variance = 1 / (1 / var_1 + 1 / var_2)  # 1 / infinity = 0
    mean = variance * (mean_1 / var_1 + mean_2 / var_2)
    mean = torch.where(var_1 == 0, mean_1, torch.where(var_2 == 0, mean_2, mean))
    return mean, variance


@answers.right("2.5", "lerp, and a list as the pair")
def combine(mean_1, var_1, mean_2, var_2):
    weight = var_1.div(var_1 + var_2)
    return [torch.lerp(mean_1, mean_2, weight), weight.mul(var_2)]


@answers.right("2.5", "the Kalman filter's update")
def combine(mean_1, var_1, mean_2, var_2):
    gain = var_1 / (var_1 + var_2)
    return mean_1 + gain * (mean_2 - mean_1), (1 - gain) * var_1


@answers.right("2.5", "a loop over t with Python floats")
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
    return ref.NoiseSchedule(
        **{key: torch.tensor([row[key] for row in rows], dtype=torch.float32) for key in rows[0]}
    )


@answers.right("2.5", "padding instead of cat, and a dict of tables")
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
    return ref.NoiseSchedule(**{key: value.float() for key, value in tables.items()})


@answers.right("2.5", "alpha_bars_prev by division")
def make_schedule(betas):
    b = betas.double()
    a = 1 - b
    bar = torch.cumprod(a, 0)
    prev = bar / a
    prev[0] = 1
    variance = b * (1 - prev) / (1 - bar)
    return ref.NoiseSchedule(
        betas=b.float(),
        alphas=a.float(),
        alpha_bars=bar.float(),
        alpha_bars_prev=prev.float(),
        posterior_variance=variance.float(),
        posterior_x0_coef=(prev.sqrt() * b / (1 - bar)).float(),
        posterior_xt_coef=(a.sqrt() * variance / b).float(),
    )


@answers.right("2.5", "roll, with the first entry mended")
def make_schedule(betas):
    b = betas.double()
    bar = torch.cumprod(1 - b, 0)
    prev = bar.roll(1)
    prev[0] = 1.0
    rest = 1 - bar
    return ref.NoiseSchedule(
        betas=b.float(),
        alphas=(1 - b).float(),
        alpha_bars=bar.float(),
        alpha_bars_prev=prev.float(),
        posterior_variance=(b * (1 - prev) / rest).float(),
        posterior_x0_coef=(prev.sqrt() * b / rest).float(),
        posterior_xt_coef=((1 - b).sqrt() * (1 - prev) / rest).float(),
    )


@answers.right("2.5", "NumPy")
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
    return ref.NoiseSchedule(
        **{key: torch.from_numpy(np.array(value)).float() for key, value in tables.items()}
    )


@answers.right("2.5", "the reference's class by position, shifted before the product")
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


@answers.right("2.5", "two witnesses, whose certainties add up")
def make_schedule(betas):
    b = betas.double()
    log_bar = torch.cumsum(torch.log1p(-b), dim=0)
    log_prev = torch.cat([log_bar.new_zeros(1), log_bar[:-1]])
    noise_before = -torch.expm1(log_prev)
    variance = 1 / ((1 - b) / b + 1 / noise_before)  # 1 / infinity = 0 at t = 0
    x0_coef = variance * torch.exp(log_prev / 2) / noise_before
    x0_coef[0] = 1
    return ref.NoiseSchedule(
        betas=b.float(),
        alphas=(1 - b).float(),
        alpha_bars=log_bar.exp().float(),
        alpha_bars_prev=log_prev.exp().float(),
        posterior_variance=variance.float(),
        posterior_x0_coef=x0_coef.float(),
        posterior_xt_coef=(variance * torch.sqrt(1 - b) / b).float(),
    )


@answers.right("2.5", "a class of its own that works its tables out when they are read")
def make_schedule(betas):
    def table(formula):
        return property(lambda self: formula(self.b, self.bar, self.prev).to(torch.float32))

    class Schedule:
        def __init__(self, b):
            self.b = b
            self.bar = torch.cumprod(1 - b, dim=0)
            self.prev = torch.hstack((b.new_tensor([1.0]), self.bar[:-1]))

        def to(self, device):
            return Schedule(self.b.to(device))

        betas = table(lambda b, bar, prev: b)
        alphas = table(lambda b, bar, prev: 1 - b)
        alpha_bars = table(lambda b, bar, prev: bar)
        alpha_bars_prev = table(lambda b, bar, prev: prev)
        posterior_variance = table(lambda b, bar, prev: (1 - prev) * b / (1 - bar))
        posterior_x0_coef = table(lambda b, bar, prev: torch.sqrt(prev) * b / (1 - bar))
        posterior_xt_coef = table(lambda b, bar, prev: torch.sqrt(1 - b) * (1 - prev) / (1 - bar))

    return Schedule(betas.to(torch.float64))


@answers.right("2.5", "shares of the noise, without 1 - alpha_bar")
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
