"""Colour pictures of ten classes, learned in a few minutes on one GPU.

python -m benchmarks.gpu_cifar10 --pack train.zip test.zip cifar10.bin     once, anywhere
python -m benchmarks.gpu_cifar10 --data cifar10.bin --out FOLDER --seconds 360
python -m benchmarks.gpu_cifar10 --data cifar10.bin --out FOLDER --smoke   all stages, tiny

The course's method as it is: the cosine schedule with T = 1000, v-prediction, label dropout,
guidance, and chapter 07's second-order sampler. The network is chapter 04's U-Net, grown: class and
time scale and shift the features, there is attention at the two lower resolutions, and the way up
has two ResBlocks a level. What makes it quick is around it: bfloat16, torch.compile, all images on
the device, and most weights moved by Muon.

The clock rules. The learning rate falls along a cosine over the time there is, so that it ends at
zero at whatever speed. What drawing will take is measured before training and kept free.

The data are a JPEG copy of CIFAR-10, and every figure is about that copy. A small classifier, the
judge, trains beside the compiler in a process of its own. Its features choose the average of the
weights, the grid of steps and the guidance, by the Fréchet distance to training images; next to it
is that of real test images. No such distance is an FID: that takes Inception, and the images that
this leaves behind.

FOLDER gets, as far as the time reached:
    cifar10.json                   all figures, written after each stage
    cifar10_images_1.zip, _2       the final images, a lossless WebP sheet for each class; in the
                                   first also ten of each class, grid.png, and judge.safetensors;
                                   in the second also those tried with the second best guidance
    cifar10_ema_1.safetensors, _2  the averaged network in bfloat16, half of the tensors in each
"""

import argparse
import contextlib
import io
import json
import math
import multiprocessing
import platform
import shutil
import subprocess
import sys
import tempfile
import time
import traceback
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from multiprocessing.pool import ThreadPool
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F

from course.model.muon import Muon
from solutions.ch01_noise_schedule import cosine_betas
from solutions.ch02_forward_process import make_schedule, predict_x0
from solutions.ch03_embeddings import ClassEmbedding, TimeEmbedding, drop_labels
from solutions.ch04_unet import Downsample
from solutions.ch05_training import eps_from_v, v_target
from solutions.ch06_guided_sampling import guided_eps, image_grid
from solutions.ch07_fast_sampling import dpm_2m_step, fast_sample, time_grid
from solutions.ch08_evaluation import (
    feature_moments,
    frechet_distance,
    right_by_class,
    wilson_interval,
)

START = time.perf_counter()
T = 1000
CLASSES = (
    "airplane automobile bird cat deer dog frog horse ship truck".split()
)  # in the order of their labels
NULL = len(CLASSES)
SHEET_COLUMNS = 40


@dataclass(frozen=True)
class Settings:
    """All that is chosen beforehand."""

    widths: tuple[int, ...] = (128, 256, 256)  # channels at 32, 16 and 8 pixels
    attention_from: int = 1  # the first level with attention
    cond_dim: int = 256
    head_dim: int = 64
    groups: int = 8
    batch_size: int = 512
    muon_lr: float = 2e-3
    adam_lr: float = 2e-3
    warmup: int = 150  # steps
    ema_widths: tuple[float, ...] = (0.05, 0.1)  # of the averages, as shares of the steps so far
    calls: int = 30  # of the network for each image
    guidance: tuple[float, ...] = (0.25, 0.5, 0.1, 1.0)  # tried after 0 in this order, if in time
    trial_images: int = 5000
    reference_images: int = 10000
    final_images: int = 10000
    judge_seconds: float = 28.0
    judge_widths: tuple[int, ...] = (64, 128, 144, 192)
    judge_batch: int = 512
    fixed_seconds: float = 16.0  # kept for the judge's figures and the files


SMOKE = Settings(
    widths=(16, 32, 32),
    cond_dim=32,
    head_dim=16,
    batch_size=16,
    warmup=5,
    calls=3,
    trial_images=40,
    reference_images=200,
    final_images=100,
    judge_seconds=8.0,
    judge_widths=(8, 16, 16, 16),
    judge_batch=64,
    fixed_seconds=10.0,
)


# The images, packed


def pack(train: Path, test: Path, target: Path) -> None:
    """Write the JPEGs of two zip files without the header, which is the same in all of them.

    All that comes before the compressed pixels is 623 bytes, twice as much as the pixels.
    """
    header, bodies, labels, counts = None, [], [], []
    for path in (train, test):
        with zipfile.ZipFile(path) as archive:
            names = sorted(name for name in archive.namelist() if name.endswith(".jpg"))
            counts.append(len(names))
            for name in names:
                jpeg = archive.read(name)
                pixels = jpeg.index(b"\xff\xda") + 14  # after the marker "start of scan"
                header = header or jpeg[:pixels]
                if jpeg[:pixels] != header:
                    raise ValueError(f"{name} of {path} has a header of its own")
                bodies.append(jpeg[pixels:])
                labels.append(CLASSES.index(name.split("/")[-2]))
    with target.open("wb") as file:
        np.savez(
            file,
            header=np.frombuffer(header, np.uint8),
            bodies=np.frombuffer(b"".join(bodies), np.uint8),
            lengths=np.array([len(body) for body in bodies], np.uint16),
            labels=np.array(labels, np.uint8),
            num_train=np.array(counts[0]),
        )


def decode(jpegs: list[bytes]) -> np.ndarray:
    """JPEG files -> (N, 32, 32, 3), uint8."""
    return np.stack([np.asarray(Image.open(io.BytesIO(jpeg)).convert("RGB")) for jpeg in jpegs])


def unpack(path: Path, every: int = 1) -> dict[str, np.ndarray]:
    """Decode on all processors: train and test images, (N, 32, 32, 3), uint8, and their labels.

    Only one image in `every` is taken.
    """
    packed = np.load(path)
    header, bodies = packed["header"].tobytes(), packed["bodies"].tobytes()
    ends = packed["lengths"].astype(np.int64).cumsum()
    starts = ends - packed["lengths"]
    chosen = np.arange(0, len(ends), every)
    jpegs = [header + bodies[starts[i] : ends[i]] for i in chosen]
    parts = [jpegs[i : i + 1000] for i in range(0, len(jpegs), 1000)]
    with multiprocessing.get_context("fork").Pool() as pool:
        images = np.concatenate(pool.map(decode, parts))
    labels = packed["labels"][chosen].astype(np.int64)
    cut = int((chosen < packed["num_train"]).sum())
    return {
        "train_images": images[:cut],
        "train_labels": labels[:cut],
        "test_images": images[cut:],
        "test_labels": labels[cut:],
    }


def to_device(data: dict[str, np.ndarray], device: torch.device) -> dict[str, Tensor]:
    """Images become (N, 3, 32, 32), uint8, in the order channels_last."""
    tensors = {name: torch.from_numpy(values).to(device) for name, values in data.items()}
    return {
        name: values.permute(0, 3, 1, 2) if values.ndim == 4 else values
        for name, values in tensors.items()
    }


def to_signed(images: Tensor) -> Tensor:
    """uint8 -> float32 in [-1, 1]."""
    return images.float() / 127.5 - 1


def to_bytes(images: Tensor) -> Tensor:
    """[-1, 1] -> uint8."""
    return ((images.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)


def flip_some(images: Tensor, generator: torch.Generator) -> Tensor:
    """Mirror each image, left to right, with probability 1/2."""
    mirrored = torch.rand(len(images), 1, 1, 1, generator=generator, device=images.device) < 0.5
    return torch.where(mirrored, images.flip(3), images)


def endless_batches(count: int, size: int, generator: torch.Generator) -> Iterator[Tensor]:
    """Indices of batches, always full, in a new order each epoch."""
    while True:
        order = torch.randperm(count, generator=generator, device=generator.device)
        yield from order[: count // size * size].split(size)


# The network


class ResBlock(nn.Module):
    """Chapter 04's ResBlock, in which time and class scale and shift the features.

        h   = conv_1( SiLU( GroupNorm_1(x) ) )
        s,b = W SiLU(cond) + c
        h   = conv_2( SiLU( GroupNorm_2(h) * (1 + s) + b ) )
        out = h + shortcut(x)

    conv_2 begins at zero, so that at first the block is its shortcut.

    Source: Dhariwal & Nichol 2021, section 3.1, "adaptive group normalization".
    """

    def __init__(self, in_channels: int, out_channels: int, cond_dim: int, groups: int):
        super().__init__()
        self.norm1 = nn.GroupNorm(groups, in_channels)
        self.conv1 = nn.Conv2d(in_channels, out_channels, kernel_size=3, padding=1)
        self.cond_proj = nn.Linear(cond_dim, 2 * out_channels)
        self.norm2 = nn.GroupNorm(groups, out_channels)
        self.conv2 = nn.Conv2d(out_channels, out_channels, kernel_size=3, padding=1)
        same = in_channels == out_channels
        self.shortcut = nn.Identity() if same else nn.Conv2d(in_channels, out_channels, 1)
        nn.init.zeros_(self.conv2.weight)
        nn.init.zeros_(self.conv2.bias)

    def forward(self, x: Tensor, cond: Tensor) -> Tensor:
        """x (B, in_channels, H, W), cond (B, cond_dim) -> (B, out_channels, H, W)."""
        h = self.conv1(F.silu(self.norm1(x)))  # (B, out, H, W)
        scale, shift = self.cond_proj(F.silu(cond))[:, :, None, None].chunk(2, dim=1)
        h = self.conv2(F.silu(self.norm2(h) * (1 + scale) + shift))
        return h + self.shortcut(x)


class Attention(nn.Module):
    """Chapter 04's self-attention with several heads, in one fused kernel."""

    def __init__(self, channels: int, groups: int, head_dim: int):
        super().__init__()
        self.heads = channels // head_dim
        self.norm = nn.GroupNorm(groups, channels)
        self.to_qkv = nn.Linear(channels, 3 * channels)
        self.to_out = nn.Linear(channels, channels)
        nn.init.zeros_(self.to_out.weight)
        nn.init.zeros_(self.to_out.bias)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        batch, channels, height, width = x.shape
        n = self.norm(x).flatten(2).transpose(1, 2)  # (B, N, C)
        qkv = self.to_qkv(n).view(batch, height * width, 3, self.heads, -1)  # (B, N, 3, heads, d)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)  # each (B, heads, N, d)
        h = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)  # (B, N, C)
        h = self.to_out(h).transpose(1, 2).reshape(batch, channels, height, width)
        return x + h


class UNet(nn.Module):
    """Chapter 04's U-Net with more on the way up.

    Down, each level has one ResBlock; up, it has two. Skips are kept of the first convolution, of
    every ResBlock and of every Downsample, as in Ho et al. 2020. Levels from `attention_from` on
    have attention after their last ResBlock in either direction. To go up, a convolution at the
    lower resolution brings the channels to those of the next level, and each pixel is repeated.
    """

    def __init__(self, settings: Settings):
        super().__init__()
        widths, cond_dim, groups = settings.widths, settings.cond_dim, settings.groups
        res_block = partial(ResBlock, cond_dim=cond_dim, groups=groups)

        def attention(level: int) -> nn.Module:
            if level < settings.attention_from:
                return nn.Identity()
            return Attention(widths[level], groups, settings.head_dim)

        self.time_embedding = TimeEmbedding(128, cond_dim)
        self.class_embedding = ClassEmbedding(NULL, cond_dim)
        self.conv_in = nn.Conv2d(3, widths[0], kernel_size=3, padding=1)
        self.down_blocks, self.down_attention = nn.ModuleList(), nn.ModuleList()
        self.downsamples = nn.ModuleList()
        kept, before = [widths[0]], widths[0]  # channels of the skips and of h
        for level, width in enumerate(widths):
            self.down_blocks.append(res_block(before, width))
            self.down_attention.append(attention(level))
            kept.append(width)
            before = width
            if level < len(widths) - 1:
                self.downsamples.append(Downsample(width))
                kept.append(width)

        self.middle = res_block(before, before)
        self.middle_attention = attention(len(widths) - 1)

        self.up_blocks, self.up_attention = nn.ModuleList(), nn.ModuleList()
        self.up_convs = nn.ModuleList()
        for level, width in reversed(list(enumerate(widths))):
            first = res_block(before + kept.pop(), width)
            self.up_blocks.append(nn.ModuleList([first, res_block(width + kept.pop(), width)]))
            self.up_attention.append(attention(level))
            before = widths[max(0, level - 1)]
            if level > 0:
                self.up_convs.append(nn.Conv2d(width, before, kernel_size=3, padding=1))
        self.norm_out = nn.GroupNorm(groups, widths[0])
        self.conv_out = nn.Conv2d(widths[0], 3, kernel_size=3, padding=1)
        nn.init.zeros_(self.conv_out.weight)
        nn.init.zeros_(self.conv_out.bias)

    def forward(self, x: Tensor, t: Tensor, labels: Tensor) -> Tensor:
        """x (B, 3, H, W), t (B,) int64, labels (B,) int64 -> (B, 3, H, W)."""
        cond = self.time_embedding(t) + self.class_embedding(labels)  # (B, cond_dim)
        h = self.conv_in(x)
        skips = [h]
        for level, block in enumerate(self.down_blocks):
            h = self.down_attention[level](block(h, cond))
            skips.append(h)
            if level < len(self.downsamples):
                h = self.downsamples[level](h)
                skips.append(h)
        h = self.middle_attention(self.middle(h, cond))
        for level, blocks in enumerate(self.up_blocks):  # from the lowest resolution up
            for block in blocks:
                h = block(torch.cat([h, skips.pop()], dim=1), cond)
            h = self.up_attention[level](h)
            if level < len(self.up_convs):
                h = F.interpolate(self.up_convs[level](h), scale_factor=2, mode="nearest")
        return self.conv_out(F.silu(self.norm_out(h)))


# Training


def draw_steps(count: int, generator: torch.Generator) -> Tensor:
    """Steps t for one batch, (B,): most where it matters, some everywhere.

    A quarter is uniform. The rest have a log-SNR from a normal distribution with mean 2 and
    standard deviation 2.4, about EDM's. On the cosine schedule t / T = 2/pi atan( e^(-logSNR/2) ).
    All come from evenly spread numbers, so that each batch sees all noise levels.

    Source: Karras et al. 2022, table 1, P_mean and P_std; Kingma et al. 2021, appendix I.1.
    """
    device = generator.device
    offsets = torch.rand(2, generator=generator, device=device)
    quarter = count // 4
    uniform = (torch.arange(quarter, device=device) + offsets[0]) / quarter  # in [0, 1)
    rest = count - quarter
    spread = (torch.arange(rest, device=device) + offsets[1]) / rest
    log_snr = 2.0 + 2.4 * math.sqrt(2) * torch.erfinv((2 * spread - 1).clamp(-0.9999, 0.9999))
    by_snr = 2 / math.pi * torch.atan(torch.exp(-log_snr / 2))
    return (torch.cat([uniform, by_snr]) * T).long().clamp(0, T - 1)


def average(averages: list[list[Tensor]], weights: list[Tensor], widths, step: int) -> None:
    """Move each average one step, n = step + 1, towards the weights.

        average = beta average + (1 - beta) weights,   beta = (1 - 1/n)^(gamma + 1)

    The memory grows with the run, so no decay has to be chosen for its length. gamma follows from
    the width s, the standard deviation of what is remembered as a share of n:
    s^2 = (gamma + 1) / ( (gamma + 2)^2 (gamma + 3) ).

    Source: Karras et al. 2024, "Analyzing and Improving the Training Dynamics ...", section 3.1.
    """
    for shadow, width in zip(averages, widths):
        beta = (1 - 1 / (step + 1)) ** (gamma_of(width) + 1)
        torch._foreach_lerp_(shadow, weights, 1 - beta)


def gamma_of(width: float) -> float:
    """The gamma whose average has this width, by bisection: 0.05 -> 16.97, 0.1 -> 6.94."""
    low, high = 0.0, 1000.0
    for _ in range(60):
        gamma = (low + high) / 2
        too_wide = (gamma + 1) / ((gamma + 2) ** 2 * (gamma + 3)) > width**2
        low, high = (gamma, high) if too_wide else (low, gamma)
    return low


class Training:
    """The network, its optimisers and its averages; one call is one step."""

    def __init__(self, settings: Settings, data: dict[str, Tensor], device: torch.device):
        torch.manual_seed(0)
        self.settings, self.device = settings, device
        self.network = UNet(settings).to(device, memory_format=torch.channels_last)
        self.forward = self.network  # what is called: later perhaps the compiled network
        self.weights = list(self.network.parameters())
        self.optimizer = Muon(self.network, settings.adam_lr, weight_decay=0.0)
        self.averages = [[w.detach().clone() for w in self.weights] for _ in settings.ema_widths]
        self.alpha_bars = make_schedule(cosine_betas(T)).to(device).alpha_bars
        self.generator = torch.Generator(device).manual_seed(0)
        self.images, self.labels = data["train_images"], data["train_labels"]
        self.batches = endless_batches(len(self.images), settings.batch_size, self.generator)

    def predict_v(self, x_t: Tensor, t: Tensor, labels: Tensor) -> Tensor:
        """The network's answer, in float32; it computes in bfloat16 on a GPU."""
        x_t = x_t.contiguous(memory_format=torch.channels_last)
        on_gpu = self.device.type == "cuda"
        with torch.autocast(self.device.type, torch.bfloat16, enabled=on_gpu):
            return self.forward(x_t, t, labels).float()

    def loss(self) -> Tensor:
        """Of a new batch: chapter 05's loss for v, at the steps of `draw_steps`."""
        index = next(self.batches)
        x0 = flip_some(to_signed(self.images[index]), self.generator)
        labels = drop_labels(self.labels[index], 0.1, NULL, self.generator)
        t = draw_steps(len(x0), self.generator)
        eps = torch.randn(x0.shape, generator=self.generator, device=self.device)
        alpha_bar = self.alpha_bars[t].view(-1, 1, 1, 1)
        x_t = alpha_bar.sqrt() * x0 + (1 - alpha_bar).sqrt() * eps
        predicted = self.predict_v(x_t, t, labels)
        return (v_target(x0, eps, t, self.alpha_bars) - predicted).square().mean()

    def step(self, step: int, factor: float) -> Tensor:
        """One update with the learning rates times `factor`; the loss stays on the device."""
        loss = self.loss()
        loss.backward()
        nn.utils.clip_grad_norm_(self.weights, 1.0)
        rates = (self.settings.adam_lr, self.settings.muon_lr)
        for group, rate in zip(self.optimizer.param_groups, rates, strict=True):
            group["lr"] = factor * rate
        self.optimizer.step()
        self.network.zero_grad(set_to_none=True)
        with torch.no_grad():
            average(self.averages, self.weights, self.settings.ema_widths, step)
        return loss.detach()

    def use_average(self, which: int) -> None:
        """Put one of the averages into the network."""
        with torch.no_grad():
            torch._foreach_copy_(self.weights, self.averages[which])


def synchronize(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def compile_network(training: Training, eager: bool) -> dict:
    """Compile forward and backward with one batch, or go on without.

    Drawing runs through the same compiled function, gradients and all, with the same batch size:
    nothing has to be compiled a second time.
    """
    result = {"compiled": not eager}
    if not eager:
        training.forward = torch.compile(training.network)
    try:
        training.loss().backward()
    except Exception:  # of many kinds, from the compiler's own tools
        result = {"compiled": False, "why": traceback.format_exc()[-1500:]}
        training.forward = training.network
        training.loss().backward()
    for _ in range(2):
        training.loss().backward()
    training.network.zero_grad(set_to_none=True)
    return result


def seconds_per_forward(training: Training) -> float:
    synchronize(training.device)
    start = time.perf_counter()
    for _ in range(10):
        training.loss()
    synchronize(training.device)
    return (time.perf_counter() - start) / 10


def seconds_to_draw(settings: Settings, per_forward: float) -> float:
    """What all later drawing needs: two grids, two averages, three guidances, final images."""
    batches = settings.trial_images / settings.batch_size
    calls = settings.calls * (
        (1 + len(settings.ema_widths)) * batches
        + 3 * 2 * batches
        + 2 * settings.final_images / settings.batch_size
    )
    return 1.1 * calls * per_forward + settings.fixed_seconds


def train(training: Training, deadline: float, save: Callable[[dict], None]) -> dict:
    """Steps until the deadline, a moment of time.perf_counter()."""
    settings = training.settings
    start, step, sums = time.perf_counter(), 0, torch.zeros((), device=training.device)
    curve = []

    def figures() -> dict:
        seconds = time.perf_counter() - start
        seen = step * settings.batch_size
        return {
            "steps": step,
            "images_seen": seen,
            "epochs": round(seen / len(training.images), 1),
            "seconds": round(seconds, 1),
            "images_per_second": round(seen / seconds, 1),
            "loss_each_100_steps": curve,
        }

    while (now := time.perf_counter()) < deadline:
        progress = (now - start) / (deadline - start)
        factor = min(1, (step + 1) / settings.warmup) * (1 + math.cos(math.pi * progress)) / 2
        sums += training.step(step, factor)
        step += 1
        if step % 100 == 0:
            curve.append(round(float(sums) / 100, 5))
            sums.zero_()
            if not math.isfinite(curve[-1]):
                raise FloatingPointError(f"the loss is {curve[-1]} after {step} steps")
            if step % 500 == 0:
                save(figures())
    synchronize(training.device)
    return figures()


# Drawing


def draw(
    training: Training, labels: Tensor, w: float, spacing: str, seed: int, deadline: float
) -> Tensor:
    """One image for each label, (N, 3, 32, 32), uint8; fewer if the deadline comes first.

    Every call of the network has the batch size of training. With guidance, half of it is the
    unconditional pass.
    """
    settings, device = training.settings, training.device
    size = settings.batch_size // (1 if w == 0 else 2)
    grid = time_grid(training.alpha_bars, settings.calls, spacing)
    generator = torch.Generator(device).manual_seed(seed)

    def predict_eps(x: Tensor, t: Tensor, labels: Tensor) -> Tensor:
        with torch.enable_grad():  # as it was compiled
            v = training.predict_v(x, t, labels).detach()
        return eps_from_v(x, v, t, training.alpha_bars)

    def step(x, t, t_next, eps, noise, memory):
        return dpm_2m_step(x, t, t_next, eps, training.alpha_bars, predict_x0, memory)

    done = []
    for some in labels.split(size):
        if time.perf_counter() > deadline:
            break
        full = F.pad(some, (0, size - len(some)))  # the last batch is filled up
        x_T = torch.randn(size, 3, 32, 32, generator=generator, device=device)

        def guided(x: Tensor, t: Tensor, full: Tensor = full) -> Tensor:
            if w == 0:
                return predict_eps(x, t, full)
            return guided_eps(predict_eps, x, t, full, w, NULL)

        images, _ = fast_sample(guided, step, x_T, grid)
        done.append(to_bytes(images[: len(some)]))
        synchronize(device)
    return torch.cat(done) if done else torch.empty(0, 3, 32, 32, dtype=torch.uint8)


# The judge


class Judge(nn.Module):
    """A small residual network; distances are taken in the means of its maps at three sizes."""

    def __init__(self, widths: tuple[int, ...]):
        super().__init__()
        first, second, third, last = widths
        self.start = self.unit(3, first)
        self.down1 = nn.Sequential(self.unit(first, second), nn.MaxPool2d(2))
        self.same1 = nn.Sequential(self.unit(second, second), self.unit(second, second))
        self.down2 = nn.Sequential(self.unit(second, third), nn.MaxPool2d(2))
        self.down3 = nn.Sequential(self.unit(third, last), nn.MaxPool2d(2))
        self.same3 = nn.Sequential(self.unit(last, last), self.unit(last, last))
        self.to_logits = nn.Linear(last, len(CLASSES))

    @staticmethod
    def unit(in_channels: int, out_channels: int) -> nn.Module:
        conv = nn.Conv2d(in_channels, out_channels, kernel_size=3, padding=1, bias=False)
        return nn.Sequential(conv, nn.BatchNorm2d(out_channels), nn.ReLU())

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(B, 3, 32, 32) in [-1, 1] -> logits (B, 10) and features (B, D)."""
        h = self.down1(self.start(x))
        fine = h + self.same1(h)  # (B, second, 16, 16)
        middle = self.down2(fine)  # (B, third, 8, 8)
        h = self.down3(middle)
        coarse = h + self.same3(h)  # (B, last, 4, 4)
        means = [maps.mean(dim=(2, 3)) for maps in (fine, middle, coarse)]
        return self.to_logits(means[-1]), torch.cat(means, dim=1)


def shift_some(images: Tensor, generator: torch.Generator, most: int = 4) -> Tensor:
    """Move each image by up to `most` pixels in both directions; the border is mirrored."""
    count, _, height, width = images.shape
    padded = F.pad(images, (most,) * 4, mode="reflect")
    moves = torch.randint(0, 2 * most + 1, (2, count, 1), generator=generator, device=images.device)
    rows = moves[0] + torch.arange(height, device=images.device)  # (B, H)
    columns = moves[1] + torch.arange(width, device=images.device)  # (B, W)
    batch = torch.arange(count, device=images.device)[:, None, None]
    moved = padded.permute(0, 2, 3, 1)[batch, rows[:, :, None], columns[:, None, :]]
    return moved.permute(0, 3, 1, 2)  # (B, C, H, W), channels_last


def train_judge(settings: Settings, data: dict[str, Tensor], device: torch.device) -> Judge:
    """As many steps as the seconds allow, the learning rate up to its peak and down to zero."""
    torch.manual_seed(1)
    generator = torch.Generator(device).manual_seed(1)
    judge = Judge(settings.judge_widths).to(device, memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(
        judge.parameters(), lr=0.0, momentum=0.9, weight_decay=5e-4, nesterov=True
    )
    batches = endless_batches(len(data["train_images"]), settings.judge_batch, generator)
    start = time.perf_counter()
    step = 0
    while (progress := (time.perf_counter() - start) / settings.judge_seconds) < 1:
        index = next(batches)
        x = flip_some(to_signed(data["train_images"][index]), generator)
        x = shift_some(x, generator)
        optimizer.param_groups[0]["lr"] = 0.4 * min(progress / 0.2, (1 - progress) / 0.8)
        with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
            logits, _ = judge(x)
        loss = F.cross_entropy(logits.float(), data["train_labels"][index], label_smoothing=0.1)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        step += 1
        if step % 20 == 0:
            synchronize(device)  # or the clock would run behind the device
    judge.steps = step
    return judge.eval()


@torch.no_grad()
def judged(judge: Judge, images: Tensor) -> tuple[Tensor, Tensor]:
    """Logits and features of uint8 images, (N, 10) and (N, D), float32."""
    device = next(judge.parameters()).device
    parts = [judge(to_signed(some.to(device))) for some in images.split(500)]
    return torch.cat([logits for logits, _ in parts]), torch.cat([rest for _, rest in parts])


def accuracy(logits: Tensor, labels: Tensor) -> dict:
    right, count, worst = right_by_class(logits.cpu(), labels.cpu())
    low, high = wilson_interval(int(right.sum()), int(count.sum()))
    return {
        "accuracy": round(float(right.sum() / count.sum()), 4),
        "interval": [round(low, 4), round(high, 4)],
        "worst_class": CLASSES[worst],
        "worst_accuracy": round(float(right[worst] / count[worst]), 4),
    }


def run_judge(folder: Path, settings: Settings, device: torch.device) -> None:
    """The other process: train the judge on the arrays in `folder` and leave its weights there."""
    data = to_device(dict(np.load(folder / "data.npz")), device)
    judge = train_judge(settings, data, device)
    torch.save({"steps": judge.steps, "weights": judge.state_dict()}, folder / "unfinished")
    (folder / "unfinished").rename(folder / "judge.pt")


def load_judge(folder: Path, settings: Settings, device: torch.device) -> Judge:
    kept = torch.load(folder / "judge.pt", map_location=device, weights_only=True)
    judge = Judge(settings.judge_widths).to(device, memory_format=torch.channels_last)
    judge.load_state_dict(kept["weights"])
    judge.steps = kept["steps"]
    return judge.eval()


class Yardstick:
    """Distances to training images in the judge's features, and beside them those of real ones.

    Each feature is measured in its standard deviation over training images.
    """

    def __init__(self, judge: Judge, data: dict[str, Tensor], settings: Settings):
        self.judge = judge
        generator = torch.Generator().manual_seed(2)
        order = torch.randperm(len(data["train_images"]), generator=generator)
        chosen = order[: settings.reference_images].to(data["train_images"].device)
        logits, features = judged(judge, data["train_images"][chosen])
        self.scale = features.std(dim=0).clamp(min=1e-6)  # (D,)
        self.train_moments = self.moments(features)
        self.train_accuracy = accuracy(logits, data["train_labels"][chosen])
        order = torch.randperm(len(data["test_images"]), generator=generator)
        some = order[: settings.trial_images].to(data["test_images"].device)
        self.real = self.measure(data["test_images"][some], data["test_labels"][some])
        logits, _ = judged(judge, data["test_images"])
        self.test_accuracy = accuracy(logits, data["test_labels"])

    def moments(self, features: Tensor) -> tuple[Tensor, Tensor]:
        return feature_moments((features / self.scale).cpu())

    def measure(self, images: Tensor, labels: Tensor) -> dict:
        logits, features = judged(self.judge, images)
        distance = frechet_distance(*self.train_moments, *self.moments(features))
        return {
            "images": len(images),
            "frechet": round(distance, 5),
            **accuracy(logits, labels[: len(images)]),
        }

    def about(self) -> dict:
        return {
            "judge_steps": self.judge.steps,
            "judge_on_train": self.train_accuracy,
            "judge_on_test": self.test_accuracy,
            "real_test_images": self.real,
        }


# What is left behind


def sheet(images: np.ndarray) -> bytes:
    """(N, 32, 32, 3) -> one picture, row by row, as lossless WebP; the last row is filled black."""
    rows = -(-len(images) // SHEET_COLUMNS)
    filled = np.zeros((rows * SHEET_COLUMNS, 32, 32, 3), np.uint8)
    filled[: len(images)] = images
    picture = filled.reshape(rows, SHEET_COLUMNS, 32, 32, 3).swapaxes(1, 2)
    file = io.BytesIO()
    Image.fromarray(picture.reshape(rows * 32, -1, 3)).save(
        file, "webp", lossless=True, quality=50, method=3, exact=True
    )
    return file.getvalue()


def read_sheets(paths: list[Path], kind: str = "final") -> tuple[np.ndarray, np.ndarray]:
    """Images and their labels back again: (N, 32, 32, 3), uint8, and (N,).

    `kind` is "final" or "second"; the latter are all in the second file.
    """
    images, labels = [], []
    for path in paths:
        with zipfile.ZipFile(path) as archive:
            if f"{kind}/counts.json" not in archive.namelist():
                continue
            counts = json.loads(archive.read(f"{kind}/counts.json"))
            for name, count in counts.items():
                picture = np.asarray(Image.open(io.BytesIO(archive.read(f"{kind}/{name}.webp"))))
                rows = picture.reshape(-1, 32, SHEET_COLUMNS, 32, 3).swapaxes(1, 2)
                images.append(rows.reshape(-1, 32, 32, 3)[:count])
                labels.append(np.full(count, CLASSES.index(name)))
    return np.concatenate(images), np.concatenate(labels)


def grid_png(images: Tensor, labels: Tensor) -> bytes:
    """The first ten images of each class, one class a row."""
    rows = [to_signed(images[labels == label][:10]) for label in range(len(CLASSES))]
    picture = image_grid(torch.cat(rows).cpu(), 10).permute(1, 2, 0)
    file = io.BytesIO()
    Image.fromarray((picture * 255).round().byte().numpy()).save(file, "png")
    return file.getvalue()


def sheets(images: Tensor, labels: Tensor) -> dict[str, tuple[int, bytes]]:
    """For each class how many images there are, and their sheet."""
    images, labels = images.permute(0, 2, 3, 1).cpu().numpy(), labels[: len(images)].cpu().numpy()
    by_class = [images[labels == label] for label in range(len(CLASSES))]
    with ThreadPool(len(CLASSES)) as pool:  # the encoder lets go of the interpreter
        encoded = pool.map(sheet, by_class)
    return {name: (len(s), e) for name, s, e in zip(CLASSES, by_class, encoded)}


def write_zip(path: Path, kinds: dict[str, dict[str, tuple[int, bytes]]], extra: dict) -> dict:
    """A folder of sheets for each kind, with its counts, and single files; returns the size."""
    with zipfile.ZipFile(path, "w") as archive:
        for kind, classes in kinds.items():
            counts = {name: count for name, (count, _) in classes.items()}
            archive.writestr(f"{kind}/counts.json", json.dumps(counts))
            for name, (_, encoded) in classes.items():
                archive.writestr(f"{kind}/{name}.webp", encoded)
        for name, content in extra.items():
            archive.writestr(name, content)
    return {path.name: path.stat().st_size}


def safetensors_bytes(tensors: dict[str, Tensor]) -> bytes:
    from safetensors.torch import save

    return save({name: tensor.contiguous().cpu() for name, tensor in tensors.items()})


def write_average(network: nn.Module, out: Path) -> dict:
    """The network's weights in bfloat16, in two files of about equal size."""
    weights = {name: weight.detach().bfloat16() for name, weight in network.named_parameters()}
    half, so_far, parts = sum(w.numel() for w in weights.values()) / 2, 0, ({}, {})
    for name, weight in weights.items():
        parts[so_far + weight.numel() / 2 > half][name] = weight
        so_far += weight.numel()
    sizes = {}
    for number, part in enumerate(parts, start=1):
        path = out / f"cifar10_ema_{number}.safetensors"
        path.write_bytes(safetensors_bytes(part))
        sizes[path.name] = path.stat().st_size
    return sizes


# The run


class Log:
    """What is known so far, in a file that is renewed after each stage."""

    def __init__(self, path: Path):
        self.path = path
        self.record: dict = {"seconds": {}, "errors": {}, "files": {}}

    def save(self, **more) -> None:
        self.record.update(more)
        self.record["seconds"]["all"] = round(time.perf_counter() - START, 1)
        beside = self.path.with_suffix(".unfinished")
        beside.write_text(json.dumps(self.record, indent=1) + "\n", encoding="utf-8")
        beside.replace(self.path)

    @contextlib.contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time a stage; an error is kept, and the run goes on."""
        start = time.perf_counter()
        print(f"{start - START:6.1f} s  {name}", flush=True)
        try:
            yield
        except Exception:
            self.record["errors"][name] = traceback.format_exc()[-3000:]
            print(self.record["errors"][name], flush=True)
        self.record["seconds"][name] = round(time.perf_counter() - start, 1)
        self.save()


def start_judge(folder: Path, options: argparse.Namespace) -> subprocess.Popen:
    """Train the judge in a process of its own, beside the compiler."""
    command = [sys.executable, "-m", "benchmarks.gpu_cifar10", "--judge", str(folder)]
    command += ["--device", options.device, *(["--smoke"] if options.smoke else [])]
    return subprocess.Popen(command)


def choose(
    training: Training, yardstick: Yardstick, settings: Settings, log: Log, deadline: float
) -> tuple[dict, tuple[float, Tensor] | None]:
    """Find the best grid, average and guidance, in this order, each with the best so far.

    Returns it, and of the second best guidance w and the images.

    What the deadline leaves no time for is not tried.
    """
    labels = torch.arange(settings.trial_images, device=training.device) % len(CLASSES)
    table: list[dict] = []
    log.save(trials=table)
    drawn: dict[tuple, tuple[float, Tensor]] = {}

    def trial(average: int, spacing: str, w: float) -> float:
        training.use_average(average)
        start = time.perf_counter()
        images = draw(training, labels, w, spacing, seed=3, deadline=deadline)
        if len(images) < len(labels):
            return math.inf
        row = {"ema_width": settings.ema_widths[average], "spacing": spacing, "w": w}
        row |= yardstick.measure(images, labels)
        row["seconds"] = round(time.perf_counter() - start, 1)
        table.append(row)
        log.save()
        print(row, flush=True)
        drawn[average, spacing, w] = (row["frechet"], images)
        return row["frechet"]

    best = {"average": 0, "spacing": "trailing", "w": 0.0}
    least = trial(**best)
    if not drawn:
        raise TimeoutError("no time for any trial")
    others = [{"spacing": "log_snr"}, *({"average": i} for i in range(1, len(training.averages)))]
    for change in others:
        distance = trial(**{**best, **change})
        if distance < least:
            best, least = {**best, **change}, distance
    for w in settings.guidance:
        distance = trial(**{**best, "w": w})
        if distance < least:
            best, least = {**best, "w": w}, distance
    others = [
        (distance, w, images)
        for (average, spacing, w), (distance, images) in drawn.items()
        if (average, spacing) == (best["average"], best["spacing"]) and w != best["w"]
    ]
    second = min(others, key=lambda other: other[0])[1:] if others else None
    return best, second


def about(training: Training, settings: Settings) -> dict:
    cuda = training.device.type == "cuda"
    return {
        "data": "JPEG copy of CIFAR-10",
        "device": torch.cuda.get_device_name() if cuda else platform.machine(),
        "torch": torch.__version__,
        "settings": vars(settings),
        "parameters": sum(weight.numel() for weight in training.weights),
    }


def run(options: argparse.Namespace, settings: Settings) -> int:
    """All stages, one after the other."""
    device, out = torch.device(options.device), options.out
    out.mkdir(parents=True, exist_ok=True)
    log = Log(out / "cifar10.json")
    end = START + options.seconds
    folder = Path(tempfile.mkdtemp())
    best = {"average": 0, "spacing": "trailing", "w": 0.25}  # if nothing can be measured
    second = yardstick = judge_process = None
    per_forward, needed = 0.02, 0.25 * options.seconds  # if nothing can be measured
    with log.stage("data"):
        arrays = unpack(options.data, every=50 if options.smoke else 1)
        np.savez(folder / "data.npz", **arrays)
        judge_process = start_judge(folder, options)
        data = to_device(arrays, device)
    with log.stage("compile"):
        training = Training(settings, data, device)
        log.save(**about(training, settings))
        log.save(compile=compile_network(training, options.eager))
    with log.stage("waiting for the judge"):  # or it would be in the measurement
        with contextlib.suppress(subprocess.TimeoutExpired):
            judge_process.wait(timeout=15)
        per_forward = seconds_per_forward(training)
        needed = min(seconds_to_draw(settings, per_forward), 0.35 * options.seconds)
        log.save(seconds_per_forward=per_forward, seconds_kept_for_drawing=round(needed, 1))
    with log.stage("training"):
        log.save(training=train(training, end - needed, lambda f: log.save(training=f)))
    with log.stage("judge"):
        judge_process.wait(timeout=max(1.0, end - time.perf_counter() - 0.6 * needed))
        yardstick = Yardstick(load_judge(folder, settings, device), data, settings)
        log.save(**yardstick.about())
    final = 2.2 * settings.calls * per_forward * settings.final_images / settings.batch_size
    with log.stage("choice"):
        rest = end - final - settings.fixed_seconds / 2
        best, second = choose(training, yardstick, settings, log, rest)
        log.save(best=best | {"ema_width": settings.ema_widths[best["average"]]})
        log.save(second_w=second and second[0])
    labels = torch.arange(settings.final_images, device=device) % len(CLASSES)
    with log.stage("final images"):
        training.use_average(best["average"])
        rest = end - settings.fixed_seconds / 2
        images = draw(training, labels, best["w"], best["spacing"], seed=4, deadline=rest)
    with log.stage("images"):
        extra = {"grid.png": grid_png(images, labels[: len(images)])}
        if yardstick:
            weights = {k: v.half() for k, v in yardstick.judge.state_dict().items()}
            extra["judge.safetensors"] = safetensors_bytes(weights)
        final = sheets(images, labels)
        log.record["files"] |= write_zip(
            out / "cifar10_images_1.zip", {"final": dict(list(final.items())[:5])}, extra
        )
        kinds = {"final": dict(list(final.items())[5:])}
        if second:
            kinds["second"] = sheets(second[1], labels)
        log.record["files"] |= write_zip(out / "cifar10_images_2.zip", kinds, {})
        if yardstick:
            log.save(final=yardstick.measure(images, labels))
    with log.stage("weights"):
        log.record["files"] |= write_average(training.network, out)
    if judge_process and judge_process.poll() is None:
        judge_process.kill()
    shutil.rmtree(folder)
    print(json.dumps(log.record["errors"], indent=1))
    return 1 if log.record["errors"] else 0


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.gpu_cifar10",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--pack", type=Path, nargs=3, metavar=("TRAIN", "TEST", "TARGET"))
    parser.add_argument("--data", type=Path, help="what --pack wrote")
    parser.add_argument("--out", type=Path, help="folder for the results")
    parser.add_argument("--seconds", type=float, default=360, help="for everything (default 360)")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--smoke", action="store_true", help="a tiny run through all stages")
    parser.add_argument("--eager", action="store_true", help="do without torch.compile")
    parser.add_argument("--judge", type=Path, help=argparse.SUPPRESS)  # the other process
    options = parser.parse_args()
    settings = SMOKE if options.smoke else Settings()
    torch.backends.cudnn.benchmark = True
    torch.set_float32_matmul_precision("high")
    torch.backends.cudnn.allow_tf32 = True
    if options.pack:
        pack(*options.pack)
        return 0
    if options.judge:
        run_judge(options.judge, settings, torch.device(options.device))
        return 0
    if not (options.data and options.out):
        parser.error("--data and --out are needed")
    return run(options, settings)


if __name__ == "__main__":
    sys.exit(main())
