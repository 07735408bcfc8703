"""Right answers to chapter 05 in other styles. Every check must accept them."""

import copy
import io
import math
import os
import pickle

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from course.answers import Answers

answers = Answers()


def eps_itself(x0, eps, t, alpha_bars):
    return eps


# 5.1


@answers.right("5.1", "noise first, image by image")
def draw_noise(x0, num_steps, generator):
    eps = torch.stack(
        [torch.randn(image.shape, generator=generator, dtype=x0.dtype) for image in x0]
    )
    t = [int(torch.randint(num_steps, (), generator=generator)) for _ in x0]
    return torch.tensor(t), eps


@answers.right("5.1", "noise first, image by image")
def diffusion_loss(model, x0, t, labels, eps, alpha_bars, target=eps_itself):
    x_t = torch.empty_like(x0)
    for i, step in enumerate(t.tolist()):
        a = float(alpha_bars[step])
        x_t[i] = math.sqrt(a) * x0[i] + math.sqrt(1 - a) * eps[i]
    return F.mse_loss(model(x_t, t, labels), target(x0, eps, t, alpha_bars))


@answers.right("5.1", "steps from uniform numbers, noise drawn in place")
def draw_noise(x0, num_steps, generator):
    u = torch.rand(len(x0), generator=generator, dtype=torch.float64)
    eps = torch.empty_like(x0).normal_(generator=generator)
    return (u * num_steps).floor().long(), eps


@answers.right("5.1", "steps from uniform numbers, noise drawn in place")
def diffusion_loss(model, x0, t, labels, eps, alpha_bars, target=eps_itself):
    signal = alpha_bars.double().sqrt().float()[t][:, None, None, None]
    noise = (1 - alpha_bars.double()).sqrt().float()[t][:, None, None, None]
    error = model(signal * x0 + noise * eps, t, labels) - target(x0, eps, t, alpha_bars)
    return error.pow(2).sum() / error.numel()


@answers.right("5.1", "a single generator call for the steps, a list of helpers for the rest")
def draw_noise(x0, num_steps, generator):
    t = torch.empty(x0.size(0), dtype=torch.int64).random_(0, num_steps, generator=generator)
    eps = torch.normal(
        torch.zeros_like(x0), torch.ones_like(x0), generator=generator
    )  # mean 0, standard deviation 1
    return t, eps


@answers.right("5.1", "a single generator call for the steps, a list of helpers for the rest")
def diffusion_loss(model, x0, t, labels, eps, alpha_bars, target=eps_itself):
    def noisy():
        a = alpha_bars.gather(0, t).reshape(x0.shape[0], *[1] * (x0.dim() - 1))
        return torch.sqrt(a) * x0 + torch.sqrt(1.0 - a) * eps

    wanted = target(x0=x0, eps=eps, t=t, alpha_bars=alpha_bars)
    answer = model(noisy(), t, labels=labels)
    return torch.mean(torch.square(wanted - answer))


@answers.right("5.1", "einsum, and means of means")
def draw_noise(x0, num_steps, generator):
    eps = torch.randn(x0.numel(), generator=generator, dtype=x0.dtype).view_as(x0)
    return [torch.randint(0, num_steps, (len(x0),), generator=generator), eps]


@answers.right("5.1", "einsum, and means of means")
def diffusion_loss(model, x0, t, labels, eps, alpha_bars, target=eps_itself):
    a = torch.index_select(alpha_bars, 0, t)
    x_t = torch.einsum("b,bchw->bchw", a.sqrt(), x0)
    x_t = x_t + torch.einsum("b,bchw->bchw", (1 - a).sqrt(), eps)
    error = (target(x0, eps, t, alpha_bars).detach() - model(x_t, t, labels)).flatten(1)
    return (error * error).mean(1).mean(0)


@answers.right("5.1", "float64 inside, with the labels and steps left alone")
def draw_noise(x0, num_steps, generator):
    eps = torch.randn(x0.shape, generator=generator, dtype=torch.float64).to(x0.dtype)
    t = torch.randint(high=num_steps, size=x0.shape[:1], generator=generator, dtype=torch.long)
    return t, eps


@answers.right("5.1", "float64 inside, with the labels and steps left alone")
def diffusion_loss(model, x0, t, labels, eps, alpha_bars, target=eps_itself):
    a = alpha_bars.double()[t].view(len(t), 1, 1, 1)
    x_t = (a.sqrt() * x0.double() + (1 - a).sqrt() * eps.double()).to(x0.dtype)
    wanted = eps if target is eps_itself else target(x0, eps, t, alpha_bars)
    error = wanted.double() - model(x_t, t, labels).double()
    return (error.norm() ** 2 / error.numel()).to(x0.dtype)


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


@answers.right("5.2", "by way of the other quantities, with divisions")
def v_target(x0, eps, t, alpha_bars):
    a = alpha_bars[t].view(-1, 1, 1, 1)
    x_t = a.sqrt() * x0 + (1 - a).sqrt() * eps
    return (a.sqrt() * x_t - x0) / (1 - a).sqrt()


@answers.right("5.2", "by way of the other quantities, with divisions")
def eps_from_v(x_t, v, t, alpha_bars):
    a = alpha_bars[t].view(-1, 1, 1, 1)
    x0 = a.sqrt() * x_t - (1 - a).sqrt() * v
    return (v + (1 - a).sqrt() * x0) / a.sqrt()


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


@answers.right("5.3", "over the state dict, parameters told apart by name")
class EMA:
    def __init__(self, model, decay=0.9999):
        self.model = copy.deepcopy(model).eval()
        self.model.requires_grad_(False)
        self.decay, self.num_updates = decay, 0

    @torch.no_grad()
    def update(self, model):
        d = min(self.decay, (1 + self.num_updates) / (10 + self.num_updates))
        learned = {name for name, _ in model.named_parameters()}
        new = model.state_dict()
        for name, old in self.model.state_dict().items():
            old.copy_(d * old + (1 - d) * new[name] if name in learned else new[name])
        self.num_updates = self.num_updates + 1


@answers.right("5.3", "a new state dict for every update, in float64")
class EMA:
    def __init__(self, model, decay=0.9999):
        self.model, self.num_updates, self.decay = copy.deepcopy(model), 0, decay
        self.model.eval().requires_grad_(False)

    def update(self, model):
        n = self.num_updates
        d = (1 + n) / (10 + n)
        if d > self.decay:
            d = self.decay
        state = {name: buffer.clone() for name, buffer in model.named_buffers()}
        shadows = dict(self.model.named_parameters())
        for name, weight in model.named_parameters():
            mixed = d * shadows[name].double() + (1 - d) * weight.detach().double()
            state[name] = mixed.to(weight.dtype)
        self.model.load_state_dict(state)
        self.num_updates = n + 1


@answers.right("5.3", "the difference added, on .data")
class EMA:
    def __init__(self, model, decay=0.9999):
        was_training = model.training
        model.eval()
        self.model = copy.deepcopy(model)
        model.train(was_training)
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
        self.model = self.averaged.module.eval().requires_grad_(False)

    def average(self, shadow, weight, _):
        d = min(self.decay, (1 + self.num_updates) / (10 + self.num_updates))
        return d * shadow + (1 - d) * weight

    def update(self, model):
        self.averaged.update_parameters(model)
        for shadow, buffer in zip(self.model.buffers(), model.buffers()):
            shadow.copy_(buffer)
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
    path.write_bytes(buffer.getvalue())


@answers.right("5.5", "a buffer of bytes, read with care")
def load_checkpoint(path, model, ema, optimizer, generator):
    state = torch.load(io.BytesIO(path.read_bytes()), weights_only=True)
    model.load_state_dict(state["weights"][0])
    ema.model.load_state_dict(state["weights"][1])
    optimizer.load_state_dict(state["optimizer"])
    generator.set_state(torch.tensor(state["generator"], dtype=torch.uint8))
    ema.num_updates = state["counts"]["ema"]
    return state["counts"]["run"]
