"""Right answers to chapter 05 in other styles. Every check must accept them."""

import copy
import functools
import io
import itertools
import json
import math
import os
import pickle
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import nn

from course.grading.answers import Answers
from solutions import ch05_training as ref

answers = Answers()


def eps_itself(x0, eps, t, alpha_bars):
    return eps


# 5.1


@answers.right("5.1", "noise first, image by image")
def draw_noise(x0, num_steps, generator):
    eps = torch.stack([torch.empty_like(image).normal_(generator=generator) for image in x0])
    device = generator.device
    t = [int(torch.randint(num_steps, (), generator=generator, device=device)) for _ in x0]
    return torch.tensor(t, device=device), eps


@answers.right("5.1", "noise first, image by image")
def diffusion_loss(model, x0, t, labels, eps, alpha_bars, q_sample, target=eps_itself):
    answer = model(q_sample(x0, t, eps, alpha_bars), t, labels)
    return F.mse_loss(answer, target(x0, eps, t, alpha_bars))


@answers.right("5.1", "steps from uniform numbers, noise drawn in place")
def draw_noise(x0, num_steps, generator):
    u = torch.rand(len(x0), generator=generator, dtype=torch.float64, device=x0.device)
    eps = torch.empty_like(x0).normal_(generator=generator)
    return (u * num_steps).floor().long(), eps


@answers.right("5.1", "steps from uniform numbers, noise drawn in place")
def diffusion_loss(model, x0, t, labels, eps, alpha_bars, q_sample, target=eps_itself):
    x_t = q_sample(x0=x0, t=t, eps=eps, alpha_bars=alpha_bars)
    error = model(x_t, t, labels) - target(x0, eps, t, alpha_bars)
    return error.pow(2).sum() / error.numel()


@answers.right("5.1", "a single generator call for the steps, a list of helpers for the rest")
def draw_noise(x0, num_steps, generator):
    t = x0.new_empty(x0.size(0), dtype=torch.int64).random_(0, num_steps, generator=generator)
    eps = torch.normal(
        torch.zeros_like(x0), torch.ones_like(x0), generator=generator
    )  # mean 0, standard deviation 1
    return t, eps


@answers.right("5.1", "a single generator call for the steps, a list of helpers for the rest")
def diffusion_loss(model, x0, t, labels, eps, alpha_bars, q_sample, target=eps_itself):
    def noisy():
        return q_sample(x0, t, eps, alpha_bars)

    wanted = target(x0=x0, eps=eps, t=t, alpha_bars=alpha_bars)
    answer = model(noisy(), t, labels=labels)
    return torch.mean(torch.square(wanted - answer))


@answers.right("5.1", "einsum over the pixels, then a mean over images")
def draw_noise(x0, num_steps, generator):
    like = {"generator": generator, "device": x0.device}
    eps = torch.randn(x0.numel(), dtype=x0.dtype, **like).view_as(x0)
    return [torch.randint(0, num_steps, (len(x0),), **like), eps]


@answers.right("5.1", "einsum over the pixels, then a mean over images")
def diffusion_loss(model, x0, t, labels, eps, alpha_bars, q_sample, target=eps_itself):
    error = target(x0, eps, t, alpha_bars).detach()
    error = (error - model(q_sample(x0, t, eps, alpha_bars), t, labels)).flatten(1)
    return torch.einsum("bn,bn->b", error, error).mean() / error.shape[1]


@answers.right("5.1", "float64 inside, with the labels and steps left alone")
def draw_noise(x0, num_steps, generator):
    with torch.device(x0.device):
        eps = torch.randn(x0.shape, generator=generator, dtype=torch.float64).to(x0.dtype)
        t = torch.randint(high=num_steps, size=x0.shape[:1], generator=generator)
    return t, eps


@answers.right("5.1", "float64 inside, with the labels and steps left alone")
def diffusion_loss(model, x0, t, labels, eps, alpha_bars, q_sample, target=eps_itself):
    x_t = q_sample(x0.double(), t, eps.double(), alpha_bars.double()).to(x0.dtype)
    wanted = eps if target is eps_itself else target(x0, eps, t, alpha_bars)
    error = wanted.double() - model(x_t, t, labels).double()
    return (error.norm() ** 2 / error.numel()).to(x0.dtype)


class Lesson(NamedTuple):
    t: torch.Tensor
    eps: torch.Tensor


@answers.right("5.1", "normal numbers from uniform ones, and torch's own loss module")
def draw_noise(x0, num_steps, generator):
    def uniform(*shape):
        return torch.rand(shape, generator=generator, device=x0.device, dtype=torch.float64)

    # Box and Muller: a radius and an angle. 1 - u is never 0, whose logarithm is infinite.
    radius = (-2 * (1 - uniform(*x0.shape)).log()).sqrt()
    eps = radius * (2 * math.pi * uniform(*x0.shape)).cos()
    return Lesson((num_steps * uniform(x0.shape[0])).to(torch.int64), eps.to(x0.dtype))


@answers.right("5.1", "normal numbers from uniform ones, and torch's own loss module")
def diffusion_loss(model, x0, t, labels, eps, alpha_bars, q_sample, target=eps_itself):
    criterion = nn.MSELoss(reduction="mean")
    x_t = q_sample(x0, t, eps, alpha_bars)
    return criterion(model(x_t, t, labels), target(x0, eps, t, alpha_bars))


@answers.right("5.1", "NumPy seeded by the generator, vmap, a mean of means")
def draw_noise(x0, num_steps, generator):
    seed = torch.randint(2**62, (), generator=generator, device=generator.device).item()
    numbers = np.random.default_rng(seed)
    eps = torch.as_tensor(numbers.standard_normal(x0.shape), dtype=x0.dtype, device=x0.device)
    return torch.as_tensor(numbers.integers(num_steps, size=len(x0)), device=x0.device), eps


@answers.right("5.1", "NumPy seeded by the generator, vmap, a mean of means")
def diffusion_loss(model, x0, t, labels, eps, alpha_bars, q_sample, target=eps_itself):
    def miss(answer, wanted):  # of one image
        return (answer - wanted).square().mean()

    answer = model(q_sample(x0, t, eps, alpha_bars), t, labels)
    misses = torch.vmap(miss)(answer, target(x0, eps, t, alpha_bars))
    return sum(misses) / len(misses)


@answers.right("5.1", "steps from torch.multinomial, weights all the same")
def draw_noise(x0, num_steps, generator):
    chances = torch.ones(num_steps, device=x0.device)
    t = chances.multinomial(x0.shape[0], replacement=True, generator=generator)
    eps = x0.new_zeros(x0.shape)
    return t, eps.normal_(mean=0.0, std=1.0, generator=generator)


@answers.right("5.1", "steps from torch.multinomial, weights all the same")
def diffusion_loss(model, x0, t, labels, eps, alpha_bars, q_sample, target=eps_itself):
    x_t = q_sample(x0, t, eps, alpha_bars)
    difference = target(x0, eps, t, alpha_bars).sub(model(x_t, t, labels))
    weights = torch.full_like(difference, 1 / difference.numel())
    return torch.tensordot(weights, difference.square(), dims=4)


# 5.2


@answers.right("5.2", "a loop over images")
def v_target(x0, eps, t, alpha_bars):
    rows = []
    for i in range(len(x0)):
        a = alpha_bars[t[i]].item()
        rows.append(math.sqrt(a) * eps[i] - math.sqrt(1 - a) * x0[i])
    return torch.stack(rows)


@answers.right("5.2", "a loop over images")
def eps_from_v(x_t, v, t, alpha_bars):
    out = torch.zeros_like(v)
    for i in range(len(v)):
        a = alpha_bars[t[i]].item()
        out[i] = math.sqrt(1 - a) * x_t[i] + math.sqrt(a) * v[i]
    return out


@answers.right("5.2", "angles: cosine and sine of a quarter turn")
def v_target(x0, eps, t, alpha_bars):
    angle = torch.acos(alpha_bars.double().sqrt())[t][..., None, None, None]
    return (angle.cos() * eps - angle.sin() * x0).float()


@answers.right("5.2", "angles: cosine and sine of a quarter turn")
def eps_from_v(x_t, v, t, alpha_bars):
    angle = torch.acos(alpha_bars.double().sqrt())[t][..., None, None, None]
    return (angle.sin() * x_t + angle.cos() * v).float()


@answers.right("5.2", "by way of the other quantities, whichever division is harmless")
def v_target(x0, eps, t, alpha_bars):
    x0, eps = x0.double(), eps.double()
    a = alpha_bars.double()[t].view(-1, 1, 1, 1)
    x_t = a.sqrt() * x0 + (1 - a).sqrt() * eps
    return torch.where(
        a > 0.5,
        (eps - (1 - a).sqrt() * x_t) / a.sqrt().clamp(min=0.5),
        (a.sqrt() * x_t - x0) / (1 - a).sqrt().clamp(min=0.5),
    ).float()


@answers.right("5.2", "by way of the other quantities, whichever division is harmless")
def eps_from_v(x_t, v, t, alpha_bars):
    x_t, v = x_t.double(), v.double()
    a = alpha_bars.double()[t].view(-1, 1, 1, 1)
    x0 = a.sqrt() * x_t - (1 - a).sqrt() * v
    return torch.where(
        a > 0.5,
        (v + (1 - a).sqrt() * x0) / a.sqrt().clamp(min=0.5),
        (x_t - a.sqrt() * x0) / (1 - a).sqrt().clamp(min=0.5),
    ).float()


@answers.right("5.2", "einsum")
def v_target(x0, eps, t, alpha_bars):
    a = alpha_bars[t]
    mixed = torch.einsum("b,b...->b...", a.sqrt(), eps)
    return mixed - torch.einsum("b,b...->b...", (1 - a).sqrt(), x0)


@answers.right("5.2", "einsum")
def eps_from_v(x_t, v, t, alpha_bars):
    weights = torch.stack([(1 - alpha_bars[t]).sqrt(), alpha_bars[t].sqrt()])
    return torch.einsum("kb,kbchw->bchw", weights, torch.stack([x_t, v]))


@answers.right("5.2", "NumPy")
def v_target(x0, eps, t, alpha_bars):
    a = alpha_bars.numpy()[t.numpy()].reshape(-1, 1, 1, 1)
    return torch.from_numpy(np.sqrt(a) * eps.numpy() - np.sqrt(1 - a) * x0.numpy())


@answers.right("5.2", "NumPy")
def eps_from_v(x_t, v, t, alpha_bars):
    a = alpha_bars.numpy()[t.numpy()].reshape(-1, 1, 1, 1)
    return torch.from_numpy(np.sqrt(1 - a) * x_t.numpy() + np.sqrt(a) * v.numpy())


@answers.right("5.2", "complex numbers: a turn in the plane of image and noise")
def v_target(x0, eps, t, alpha_bars):
    return (torch.complex(x0, eps) * turn(t, alpha_bars).conj()).imag


@answers.right("5.2", "complex numbers: a turn in the plane of image and noise")
def eps_from_v(x_t, v, t, alpha_bars):
    return (torch.complex(x_t, v) * turn(t, alpha_bars)).imag


def turn(t, alpha_bars):
    """From image and noise to x_t and v, or back."""
    angle = torch.atan2(torch.sqrt(1 - alpha_bars), torch.sqrt(alpha_bars))[t]
    return torch.polar(torch.ones_like(angle), angle)[:, None, None, None]


@answers.right("5.2", "the roots of the whole tables first, everything in place")
def v_target(x0, eps, t, alpha_bars):
    v = eps.clone().mul_(alpha_bars.sqrt()[t].reshape(len(t), 1, 1, 1))
    v -= (1 - alpha_bars).sqrt()[t].reshape(len(t), 1, 1, 1) * x0
    return v


@answers.right("5.2", "the roots of the whole tables first, everything in place")
def eps_from_v(x_t, v, t, alpha_bars):
    eps = torch.zeros_like(x_t)
    eps.addcmul_((1 - alpha_bars).sqrt()[t].reshape(len(t), 1, 1, 1), x_t)
    return eps.addcmul_(alpha_bars.sqrt()[t].reshape(len(t), 1, 1, 1), v)


class Mixer:
    """Weighted sums of two images, with the weights of each image's step."""

    def __init__(self, t, alpha_bars):
        self.signal, self.noise = (
            alpha_bars.gather(0, t) ** 0.5,
            (1 - alpha_bars.gather(0, t)) ** 0.5,
        )

    def __call__(self, first, second):
        # With the batch as the last axis the weights line up with it.
        return (first.movedim(0, -1) * self.signal + second.movedim(0, -1) * self.noise).movedim(
            -1, 0
        )


@answers.right("5.2", "a class that mixes, with the batch moved to the end")
def v_target(x0, eps, t, alpha_bars):
    return Mixer(t, alpha_bars)(first=eps, second=-x0)


@answers.right("5.2", "a class that mixes, with the batch moved to the end")
def eps_from_v(x_t, v, t, alpha_bars):
    return Mixer(t, alpha_bars)(v, x_t)


# 5.3


@answers.right("5.3", "by name, with lerp")
class EMA:
    def __init__(self, model, decay=0.9999):
        self.max_decay, self.num_updates = decay, 0
        self.model = copy.deepcopy(model)
        self.model.eval()
        for p in self.model.parameters():
            p.requires_grad = False

    def update(self, model):
        d = min(self.max_decay, (self.num_updates + 1) / (self.num_updates + 10))
        self.num_updates += 1
        with torch.no_grad():
            new = dict(model.named_parameters())
            for name, shadow in self.model.named_parameters():
                shadow.lerp_(new[name], 1 - d)
            new = dict(model.named_buffers())
            for name, shadow in self.model.named_buffers():
                shadow.copy_(new[name])


@answers.right("5.3", "over all tensors by name, parameters told apart")
class EMA:
    def __init__(self, model, decay=0.9999):
        self.model = copy.deepcopy(model).eval()
        self.model.requires_grad_(False)
        self.decay, self.num_updates = decay, 0

    @torch.no_grad()
    def update(self, model):
        d = min(self.decay, (1 + self.num_updates) / (10 + self.num_updates))
        learned = {name for name, _ in model.named_parameters()}
        new = all_tensors(model)
        for name, old in all_tensors(self.model).items():
            old.copy_(d * old + (1 - d) * new[name] if name in learned else new[name])
        self.num_updates = self.num_updates + 1


def all_tensors(model):
    return dict(itertools.chain(model.named_parameters(), model.named_buffers()))


@answers.right("5.3", "a new state dict for every update, in float64, and the buffers again")
class EMA:
    def __init__(self, model, decay=0.9999):
        self.model, self.num_updates, self.decay = copy.deepcopy(model), 0, decay
        self.model.eval().requires_grad_(False)

    def update(self, model):
        n = self.num_updates
        d = (1 + n) / (10 + n)
        if d > self.decay:
            d = self.decay
        state = model.state_dict()
        shadows = dict(self.model.named_parameters())
        for name, weight in model.named_parameters():
            mixed = d * shadows[name].double() + (1 - d) * weight.detach().double()
            state[name] = mixed.to(weight.dtype)
        self.model.load_state_dict(state)
        for shadow, buffer in zip(self.model.buffers(), model.buffers()):
            shadow.copy_(buffer)
        self.num_updates = n + 1


@answers.right("5.3", "the difference added, on .data")
class EMA:
    def __init__(self, model, decay=0.9999):
        self.model = copy.deepcopy(model).eval()
        for p in self.model.parameters():
            p.requires_grad_(False)
        self.d = lambda n: min(decay, (1 + n) / (10 + n))
        self.num_updates = 0

    def update(self, model):
        rate = 1 - self.d(self.num_updates)
        for shadow, p in zip(self.model.parameters(), model.parameters(), strict=True):
            shadow.data += rate * (p.data - shadow.data)
        for shadow, b in zip(self.model.buffers(), model.buffers(), strict=True):
            shadow.data.copy_(b.data)
        self.num_updates += 1


@answers.right("5.3", "torch._foreach, all tensors at once")
class EMA:
    def __init__(self, model, decay=0.9999):
        self.decay = decay
        self.num_updates = 0
        self.model = copy.deepcopy(model).requires_grad_(False).train(False)

    @torch.no_grad()
    def update(self, model):
        d = min(self.decay, (1 + self.num_updates) / (10 + self.num_updates))
        shadows = list(self.model.parameters())
        torch._foreach_mul_(shadows, d)
        torch._foreach_add_(shadows, list(model.parameters()), alpha=1 - d)
        torch._foreach_copy_(list(self.model.buffers()), list(model.buffers()))
        self.num_updates += 1


@answers.right("5.3", "torch's own AveragedModel behind the scenes")
class EMA:
    def __init__(self, model, decay=0.9999):
        self.decay, self.num_updates = decay, 0
        self.averaged = torch.optim.swa_utils.AveragedModel(model, avg_fn=self.average)
        self.averaged.n_averaged += 1  # the copy counts as the first model
        self.model.eval().requires_grad_(False)

    @property
    def model(self):
        return self.averaged.module

    @model.setter
    def model(self, other):
        self.averaged.module = other

    def average(self, shadow, weight, _):
        d = min(self.decay, (1 + self.num_updates) / (10 + self.num_updates))
        return d * shadow + (1 - d) * weight

    def update(self, model):
        self.averaged.update_parameters(model)
        for shadow, buffer in zip(self.model.buffers(), model.buffers()):
            shadow.copy_(buffer)
        self.num_updates += 1


@answers.right("5.3", "a module itself, with lerp the other way round")
class EMA(nn.Module):
    def __init__(self, model, decay=0.9999):
        super().__init__()
        self.model = copy.deepcopy(model)
        self.decay = decay
        self.num_updates = 0
        self.requires_grad_(False).eval()

    @property
    def share(self):
        """What the next update keeps of the average."""
        return min((self.num_updates + 1) / (self.num_updates + 10), self.decay)

    @torch.inference_mode()
    def _copy_buffers(self, model):
        for name, buffer in model.named_buffers():
            self.model.get_buffer(name).copy_(buffer)

    def update(self, model):
        for name, p in model.named_parameters():
            shadow = self.model.get_parameter(name)
            shadow.data = torch.lerp(p.detach(), shadow.detach(), self.share)
        self._copy_buffers(model)
        self.num_updates += 1


@answers.right("5.3", "all parameters as one flat vector, buffers copied by name")
class EMA:
    num_updates = 0

    def __init__(self, model, decay=0.9999):
        self.model = copy.deepcopy(model).requires_grad_(requires_grad=False).eval()
        self.decay = decay

    def update(self, model):
        old, new = (
            nn.utils.parameters_to_vector(m.parameters()).detach() for m in (self.model, model)
        )
        d = float(np.minimum(self.decay, (1 + self.num_updates) / (10 + self.num_updates)))
        nn.utils.vector_to_parameters(d * old + (1 - d) * new, self.model.parameters())
        for name, buffer in model.named_buffers():
            self.model.get_buffer(name).copy_(buffer)
        self.num_updates += 1


@answers.right("5.3", "layer by layer, with d computed by torch in float32")
class EMA:
    def __init__(self, model, decay=0.9999):
        memo = {id(p): nn.Parameter(p.detach().clone(), False) for p in model.parameters()}
        self.model = copy.deepcopy(model, memo).eval()
        self.decay = torch.tensor(decay)
        self.num_updates = 0

    @torch.no_grad()
    def update(self, model):
        n = torch.tensor(float(self.num_updates))
        d = torch.minimum(self.decay, (1 + n) / (10 + n))
        for mine, theirs in zip(self.model.modules(), model.modules()):
            for name, p in theirs.named_parameters(recurse=False):
                shadow = getattr(mine, name)
                shadow.sub_((1 - d) * (shadow - p))
            for name, buffer in theirs.named_buffers(recurse=False):
                setattr(mine, name, buffer.clone())
        self.num_updates += 1


# 5.4


@answers.right("5.4", "gradients by torch.autograd.grad")
def training_step(model, ema, optimizer, compute_loss, max_grad_norm=1.0):
    parameters = [p for p in model.train().parameters() if p.requires_grad]
    loss = compute_loss(model)
    for p, gradient in zip(parameters, torch.autograd.grad(loss, parameters)):
        p.grad = gradient
    nn.utils.clip_grad_norm_(parameters, max_grad_norm)
    optimizer.step()
    ema.update(model)
    return float(loss.detach())


@answers.right("5.4", "the norm by hand, gradients cleared by hand")
def training_step(model, ema, optimizer, compute_loss, max_grad_norm=1.0):
    model.train(True)
    for p in model.parameters():
        p.grad = None
    loss = compute_loss(model)
    loss.backward()
    squares = sum((p.grad**2).sum() for p in model.parameters())
    scale = min(1.0, max_grad_norm / (float(squares) ** 0.5 + 1e-6))
    for p in model.parameters():
        p.grad *= scale
    optimizer.step()
    ema.update(model=model)
    return loss.detach().cpu().item()


@answers.right("5.4", "zeros instead of None, cleared before backward and after the step")
def training_step(model, ema, optimizer, compute_loss, max_grad_norm=1.0):
    model.train()
    loss = compute_loss(model)
    optimizer.zero_grad(set_to_none=False)
    loss.backward()
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    nn.utils.clip_grad_norm_(parameters, max_norm=max_grad_norm, norm_type=2.0)
    optimizer.step()
    optimizer.zero_grad()
    ema.update(model)
    return loss.tolist()


@answers.right("5.4", "norm and scaling in two calls, model.zero_grad")
def training_step(model, ema, optimizer, compute_loss, max_grad_norm=1.0):
    if not model.training:
        model.train()
    model.zero_grad()
    with torch.enable_grad():
        loss = compute_loss(model)
        loss.backward()
    norm = nn.utils.get_total_norm([p.grad for p in model.parameters()])
    nn.utils.clip_grads_with_norm_(model.parameters(), max_grad_norm, norm)
    optimizer.step()
    ema.update(model)
    model.eval()
    return loss.item()


@answers.right("5.4", "the loss read before backward, one flat gradient")
def training_step(model, ema, optimizer, compute_loss, max_grad_norm=1.0):
    model.train()
    optimizer.zero_grad()
    loss = compute_loss(model)
    value = loss.item()
    loss.backward()
    norm = torch.cat([p.grad.flatten() for p in model.parameters()]).norm()
    if norm > max_grad_norm:
        for p in model.parameters():
            p.grad.mul_(max_grad_norm / norm)
    optimizer.step()
    ema.update(model)
    return value


@answers.right("5.4", "a closure for the optimiser")
def training_step(model, ema, optimizer, compute_loss, max_grad_norm=1.0):
    def closure():
        optimizer.zero_grad(set_to_none=True)
        loss = compute_loss(model)
        loss.backward()
        nn.utils.clip_grad_norm_(list(model.parameters()), max_grad_norm, foreach=False)
        return loss

    model.train()
    loss = optimizer.step(closure)
    ema.update(model)
    return loss.item()


@answers.right("5.4", "gradients clipped by a class, the joint norm from the norms of the parts")
def training_step(model, ema, optimizer, compute_loss, max_grad_norm=1.0):
    class Clipped:
        def __enter__(self):
            optimizer.zero_grad()

        def __exit__(self, *error):
            gradients = [p.grad for p in model.parameters() if p.grad is not None]
            norm = torch.linalg.vector_norm(torch.stack(torch._foreach_norm(gradients)))
            torch._foreach_mul_(gradients, torch.clamp(max_grad_norm / norm, max=1.0))

    model.train(mode=True)
    with Clipped():
        value = compute_loss(model)
        torch.autograd.backward(value)
    optimizer.step()
    ema.update(model)
    return value.detach().numpy().item()


@answers.right("5.4", "new gradients in place of the old, the mode of each part set by hand")
def training_step(model, ema, optimizer, compute_loss, max_grad_norm=1.0):
    for part in model.modules():
        part.training = True
    for group in optimizer.param_groups:
        for p in group["params"]:
            p.grad = torch.zeros_like(p)
    loss = compute_loss(model)
    loss.backward(retain_graph=False)
    with torch.no_grad():
        squares = [p.grad.double().square().sum() for p in model.parameters()]
        norm = math.sqrt(sum(squares))
        if norm > max_grad_norm:
            for p in model.parameters():
                p.grad = p.grad / norm * max_grad_norm
    optimizer.step()
    ema.update(model)
    return loss.item()


# 5.5


@answers.right("5.5", "a flat tuple")
def save_checkpoint(path, model, ema, optimizer, generator, step):
    states = [part.state_dict() for part in (model, ema.model, optimizer)]
    torch.save((*states, generator.get_state(), ema.num_updates, step), path)


@answers.right("5.5", "a flat tuple")
def load_checkpoint(path, model, ema, optimizer, generator):
    weights, average, moments, draws, updates, step = torch.load(path, weights_only=True)
    for part, state in ((model, weights), (ema.model, average), (optimizer, moments)):
        part.load_state_dict(state)
    generator.set_state(draws)
    ema.num_updates = updates
    return step


@answers.right("5.5", "the default of weights_only, an open file, numbers as tensors")
def save_checkpoint(path, model, ema, optimizer, generator, step):
    state = {f"model.{name}": value.clone() for name, value in model.state_dict().items()}
    state |= {f"ema.{name}": value.clone() for name, value in ema.model.state_dict().items()}
    state["numbers"] = torch.tensor([ema.num_updates, step])
    state["generator"] = generator.get_state()
    state["optimizer"] = optimizer.state_dict()
    with open(path, "wb") as file:
        torch.save(state, file)


@answers.right("5.5", "the default of weights_only, an open file, numbers as tensors")
def load_checkpoint(path, model, ema, optimizer, generator):
    with open(path, "rb") as file:
        state = torch.load(file)
    for prefix, part in (("model.", model), ("ema.", ema.model)):
        part.load_state_dict(
            {
                name.removeprefix(prefix): value
                for name, value in state.items()
                if name.startswith(prefix)
            }
        )
    optimizer.load_state_dict(state["optimizer"])
    generator.set_state(state["generator"])
    ema.num_updates, step = state["numbers"].tolist()
    return step


@answers.right("5.5", "written beside and renamed, weights copied one by one")
def save_checkpoint(path, model, ema, optimizer, generator, step):
    part = f"{path}.tmp"
    state = {
        "params": [[p.detach() for p in m.parameters()] for m in (model, ema.model)],
        "buffers": [list(m.buffers()) for m in (model, ema.model)],
        "moments": [optimizer.state[p] for p in model.parameters()],
        "rates": [group["lr"] for group in optimizer.param_groups],
        "rest": [ema.num_updates, step, generator.get_state()],
    }
    torch.save(state, part)
    os.replace(part, path)


@answers.right("5.5", "written beside and renamed, weights copied one by one")
@torch.no_grad()
def load_checkpoint(path, model, ema, optimizer, generator):
    state = torch.load(str(path), map_location="cpu", weights_only=True)
    for m, values, buffers in zip((model, ema.model), state["params"], state["buffers"]):
        for p, value in zip(m.parameters(), values):
            p.copy_(value)
        for b, value in zip(m.buffers(), buffers):
            b.copy_(value)
    for p, moments in zip(model.parameters(), state["moments"]):
        optimizer.state[p] = moments
    for group, rate in zip(optimizer.param_groups, state["rates"]):
        group["lr"] = rate
    ema.num_updates, step, draws = state["rest"]
    generator.set_state(draws)
    return step


@answers.right("5.5", "the average as a deep copy put in its place")
def save_checkpoint(path, model, ema, optimizer, generator, step):
    names = {"model": model, "average": ema.model, "optimizer": optimizer}
    state = {name: part.state_dict() for name, part in names.items()}
    state.update(draws=generator.get_state(), updates=ema.num_updates, step=step)
    torch.save(state, path, _use_new_zipfile_serialization=False)


@answers.right("5.5", "the average as a deep copy put in its place")
def load_checkpoint(path, model, ema, optimizer, generator):
    state = torch.load(path, weights_only=True)
    model.load_state_dict(state["average"])
    ema.model = copy.deepcopy(model).eval().requires_grad_(False)
    model.load_state_dict(state["model"])
    optimizer.load_state_dict(state["optimizer"])
    generator.set_state(state["draws"].clone())
    ema.num_updates = int(state["updates"])
    return int(state["step"])


@answers.right("5.5", "a buffer of bytes, read with care")
def save_checkpoint(path, model, ema, optimizer, generator, step):
    buffer = io.BytesIO()
    state = {
        "weights": (model.state_dict(), ema.model.state_dict()),
        "optimizer": copy.deepcopy(optimizer.state_dict()),
        "generator": generator.get_state().tolist(),
        "counts": {"ema": ema.num_updates, "run": step},
    }
    torch.save(state, buffer, pickle_module=pickle)
    Path(path).write_bytes(buffer.getvalue())


@answers.right("5.5", "a buffer of bytes, read with care")
def load_checkpoint(path, model, ema, optimizer, generator):
    state = torch.load(io.BytesIO(Path(path).read_bytes()), weights_only=True)
    model.load_state_dict(state["weights"][0])
    ema.model.load_state_dict(state["weights"][1])
    optimizer.load_state_dict(state["optimizer"])
    generator.set_state(torch.tensor(state["generator"], dtype=torch.uint8))
    ema.num_updates = state["counts"]["ema"]
    return state["counts"]["run"]


@answers.right("5.5", "one module around both networks, numbers as a text")
def save_checkpoint(path, model, ema, optimizer, generator, step):
    both = nn.ModuleDict({"now": model, "average": ema.model})
    numbers = json.dumps({"step": step, "updates": ema.num_updates})
    torch.save([both.state_dict(), optimizer.state_dict(), generator.get_state(), numbers], path)


@answers.right("5.5", "one module around both networks, numbers as a text")
def load_checkpoint(path, model, ema, optimizer, generator):
    networks, moments, draws, numbers = torch.load(path, "cpu", weights_only=True)
    nn.ModuleDict({"now": model, "average": ema.model}).load_state_dict(networks)
    optimizer.load_state_dict(moments)
    generator.set_state(draws)
    numbers = json.loads(numbers)
    ema.num_updates = numbers["updates"]
    return numbers["step"]


@answers.right("5.5", "safetensors for the file, a table of all tensors by name")
def save_checkpoint(path, model, ema, optimizer, generator, step):
    table = {"draws": generator.get_state(), "numbers": torch.tensor([ema.num_updates, step])}
    for prefix, network in (("model/", model), ("ema/", ema.model)):
        table |= {prefix + name: value for name, value in network.state_dict().items()}
    table["rate"] = torch.tensor(optimizer.param_groups[0]["lr"], dtype=torch.float64)
    for number, moments in optimizer.state_dict()["state"].items():
        table |= {f"optimizer/{number}/{name}": value for name, value in moments.items()}
    save_file(table, path)


@answers.right("5.5", "safetensors for the file, a table of all tensors by name")
def load_checkpoint(path, model, ema, optimizer, generator):
    table = load_file(path)

    def below(prefix):
        return {
            name.removeprefix(prefix): value
            for name, value in table.items()
            if name.startswith(prefix)
        }

    model.load_state_dict(below("model/"))
    ema.model.load_state_dict(below("ema/"))
    state = optimizer.state_dict()
    for name, value in below("optimizer/").items():
        number, kind = name.split("/")
        state["state"].setdefault(int(number), {})[kind] = value
    state["param_groups"][0]["lr"] = table["rate"].item()
    optimizer.load_state_dict(state)
    generator.set_state(table["draws"])
    ema.num_updates, step = (int(number) for number in table["numbers"])
    return step


class Part:
    """Something with a state, and how to get and set it."""

    def __init__(self, get, put):
        self.get, self.put = get, put


def parts_of(model, ema, optimizer, generator):
    networks = {"model": model, "average": ema.model, "optimizer": optimizer}
    parts = {name: Part(each.state_dict, each.load_state_dict) for name, each in networks.items()}
    parts["generator"] = Part(generator.get_state, lambda state: generator.set_state(state.cpu()))
    parts["updates"] = Part(
        lambda: vars(ema)["num_updates"], lambda n: setattr(ema, "num_updates", n)
    )
    return parts


@answers.right("5.5", "classes for the parts, mapped to where the model is")
def save_checkpoint(path, model, ema, optimizer, generator, step):
    parts = parts_of(model, ema, optimizer, generator)
    state = {name: part.get() for name, part in parts.items()}
    torch.save(obj={"parts": state, "step": step}, f=str(path))


@answers.right("5.5", "classes for the parts, mapped to where the model is")
def load_checkpoint(path, model, ema, optimizer, generator):
    device = next(model.parameters()).device
    with open(path, "rb") as file:
        state = torch.load(file, map_location=device, weights_only=True)
    for name, part in parts_of(model, ema, optimizer, generator).items():
        part.put(state["parts"][name])
    return state["step"]


# 5.6


@answers.right("5.6", "the batch as a dictionary, drop_labels first, the rate by a helper")
def train(
    model, ema, optimizer, batches, alpha_bars, generator, q_sample, drop_labels,
    target=ref.eps_target, rate=None, max_grad_norm=1.0, place=lambda part: part, first_step=0,
):  # fmt: skip
    def set_rate(step):
        for group in optimizer.param_groups:
            group.update(lr=rate(step))

    step = first_step
    for x0, labels in batches:
        batch = {"x0": x0, "labels": drop_labels(labels, generator)}
        batch["t"], batch["eps"] = ref.draw_noise(x0, len(alpha_bars), generator)
        batch = {name: place(part) for name, part in batch.items()}
        if rate:
            set_rate(step)
        compute_loss = functools.partial(
            ref.diffusion_loss, alpha_bars=alpha_bars, q_sample=q_sample, target=target, **batch
        )
        yield ref.training_step(model, ema, optimizer, compute_loss, max_grad_norm)
        step += 1


@answers.right("5.6", "a class that is its own iterator")
def train(model, ema, optimizer, batches, alpha_bars, *rest, **options):
    return Lessons(model, ema, optimizer, iter(batches), alpha_bars, *rest, **options)


class Lessons:
    def __init__(
        self, model, ema, optimizer, batches, alpha_bars, generator, q_sample, drop_labels,
        target=ref.eps_target, rate=None, max_grad_norm=1.0, place=None, first_step=0,
    ):  # fmt: skip
        self.parts, self.batches, self.generator = (model, ema, optimizer), batches, generator
        self.question = (alpha_bars, q_sample, target)
        self.drop_labels, self.rate, self.limit = drop_labels, rate, max_grad_norm
        self.place, self.step = place or (lambda part: part), first_step

    def __iter__(self):
        return self

    def __next__(self):
        x0, labels = next(self.batches)
        t, eps = ref.draw_noise(x0, self.question[0].numel(), self.generator)
        labels = self.drop_labels(labels, self.generator)
        x0, t, labels, eps = map(self.place, (x0, t, labels, eps))
        if self.rate is not None:
            for group in self.parts[2].param_groups:
                group["lr"] = self.rate(self.step)
        self.step += 1
        return ref.training_step(
            *self.parts,
            lambda network: ref.diffusion_loss(network, x0, t, labels, eps, *self.question),
            max_grad_norm=self.limit,
        )


@answers.right("5.6", "a while loop, the step and the loss written out")
def train(
    model, ema, optimizer, batches, alpha_bars, generator, q_sample, drop_labels,
    target=ref.eps_target, rate=None, max_grad_norm=1.0, place=lambda part: part, first_step=0,
):  # fmt: skip
    batches, step = iter(batches), first_step - 1
    while (batch := next(batches, None)) is not None:
        step += 1
        x0, labels = batch
        eps = torch.randn(x0.shape, generator=generator, device=x0.device)
        t = torch.randint(len(alpha_bars), x0.shape[:1], generator=generator, device=x0.device)
        labels = place(drop_labels(labels, generator))
        x0, t, eps = place(x0), place(t), place(eps)
        if rate is not None:
            [group.__setitem__("lr", rate(step)) for group in optimizer.param_groups]
        model.train().zero_grad()
        answer = model(q_sample(x0, t, eps, alpha_bars), t, labels)
        loss = F.mse_loss(answer, target(x0, eps, t, alpha_bars))
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), max_grad_norm)
        optimizer.step()
        ema.update(model)
        yield float(loss.detach())


@answers.right("5.6", "two generators, one that prepares and one that trains")
def train(
    model, ema, optimizer, batches, alpha_bars, generator, q_sample, drop_labels,
    target=ref.eps_target, rate=None, max_grad_norm=1.0, place=lambda part: part, first_step=0,
):  # fmt: skip
    def lessons():
        for x0, labels in batches:
            t, eps = ref.draw_noise(x0, alpha_bars.shape[0], generator)
            yield [place(part) for part in (x0, t, drop_labels(labels, generator), eps)]

    def learn(step, lesson):
        for group in optimizer.param_groups:
            group["lr"] = group["lr"] if rate is None else rate(step)
        question = [*lesson, alpha_bars, q_sample, target]
        return ref.training_step(
            model, ema, optimizer, lambda net: ref.diffusion_loss(net, *question), max_grad_norm
        )

    yield from itertools.starmap(learn, enumerate(lessons(), first_step))
