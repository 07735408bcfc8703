"""Right answers to chapter 10 in other styles. Every check must accept them."""

import math

import torch
from torch import nn
from torch.nn import functional as F

from course.grading.answers import Answers
from solutions.ch10_colour_and_size import ConvBlock, Double, Halve

answers = Answers()


# 10.1


def _refuse(numbers, s):
    if any(number % s for number in numbers):
        raise ValueError(f"{tuple(numbers)} cannot be divided by {s}")


@answers.right("10.1", "torch's own pixel_unshuffle and pixel_shuffle")
def to_patches(x, s):
    _refuse(x.shape[2:], s)
    return F.pixel_unshuffle(x, s)


@answers.right("10.1", "torch's own pixel_unshuffle and pixel_shuffle")
def from_patches(x, s):
    _refuse(x.shape[1:2], s * s)
    return F.pixel_shuffle(x, s)


@answers.right("10.1", "unflatten, einsum-like permutes, flatten")
def to_patches(x, s):
    _refuse(x.shape[-2:], s)
    x = x.unflatten(3, (-1, s)).unflatten(2, (-1, s))  # (B, C, y, i, x, j)
    return x.permute(0, 1, 3, 5, 2, 4).flatten(1, 3)


@answers.right("10.1", "unflatten, einsum-like permutes, flatten")
def from_patches(x, s):
    _refuse(x.shape[1:2], s**2)
    x = x.unflatten(1, (-1, s, s))  # (B, C, i, j, y, x)
    return torch.movedim(x, (2, 3), (3, 5)).flatten(4, 5).flatten(2, 3)


@answers.right("10.1", "loops over the places in a patch")
def to_patches(x, s):
    _refuse(x.shape[2:], s)
    batch, channels = x.shape[:2]
    out = x.new_empty(batch, channels, s, s, x.shape[2] // s, x.shape[3] // s)
    for i in range(s):
        for j in range(s):
            out[:, :, i, j] = x[:, :, i::s, j::s]
    return out.view(batch, channels * s * s, *out.shape[4:])


@answers.right("10.1", "loops over the places in a patch")
def from_patches(x, s):
    _refuse([x.shape[1]], s * s)
    batch, channels, height, width = x.shape
    out = x.new_zeros(batch, channels // s**2, height * s, width * s)
    for place in range(s * s):
        out[:, :, place // s :: s, place % s :: s] = x[:, place :: s * s]
    return out


@answers.right("10.1", "stacks of slices, and two interleavings on the way back")
def to_patches(x, s):
    _refuse((x.size(2), x.size(3)), s)
    slices = [x[..., i::s, j::s] for i in range(s) for j in range(s)]
    return torch.stack(slices, dim=2).flatten(1, 2)


@answers.right("10.1", "stacks of slices, and two interleavings on the way back")
def from_patches(x, s):
    _refuse((x.size(1),), s * s)
    patches = x.unflatten(1, (-1, s, s))  # (B, C, i, j, y, x)
    rows = [torch.stack(list(patches[:, :, i].unbind(2)), dim=-1).flatten(-2) for i in range(s)]
    return torch.stack(rows, dim=3).flatten(2, 3)


# 10.2


def _need_a_size(s):
    if s > 0:
        return
    raise ValueError(f"s = {s}")


@answers.right("10.2", "by the logarithm of the SNR and a sigmoid")
def shift_betas(betas, s):
    _need_a_size(s)
    bars = (1 - betas.to(torch.float64)).cumprod(dim=0)
    shifted = torch.sigmoid(torch.logit(bars) - 2 * math.log(s))
    before = torch.ones_like(shifted)
    before[1:] = shifted[:-1]
    return ((before - shifted) / before).to(torch.float32)


@answers.right("10.2", "by the SNR and back")
def shift_betas(betas, s):
    _need_a_size(s)
    bars = torch.cumprod(1 - betas.double(), 0)
    snr = bars / (1 - bars) / s**2
    bars = F.pad(snr / (1 + snr), (1, 0), value=1.0)
    return (1 - bars[1:] / bars[:-1]).float()


@answers.right("10.2", "a loop over Python's floats")
def shift_betas(betas, s):
    _need_a_size(s)
    found, bar, before = [], 1.0, 1.0
    for beta in betas.tolist():
        bar *= 1 - beta
        noise_to_signal = s * s * (1 - bar) / bar
        shifted = 1 / (1 + noise_to_signal)
        found.append(1 - shifted / before)
        before = shifted
    return torch.tensor(found, dtype=torch.float32, device=betas.device)


@answers.right("10.2", "without a division by what was there before")
def shift_betas(betas, s):
    _need_a_size(s)
    betas = betas.double()
    bars = torch.exp(torch.cumsum(torch.log1p(-betas), dim=0))
    spread = bars + (1 - bars) * (s * s)
    last = torch.cat((spread.new_ones(1), spread[:-1]))
    return ((spread - (1 - betas) * last) / spread).float()


# 10.3


@answers.right("10.3", "a copy, and a mask as an index")
def flip_some(pixels, labels, may_flip, generator):
    coins = torch.rand(pixels.shape[0], generator=generator, device=pixels.device)
    chosen = torch.logical_and(coins >= 0.5, may_flip[labels])
    out = pixels.clone()
    out[chosen] = torch.flip(pixels[chosen], dims=[-1])
    return out


@answers.right("10.3", "whole numbers as coins, a list of images")
def flip_some(pixels, labels, may_flip, generator):
    coins = torch.randint(2, (len(labels),), generator=generator, device=labels.device)
    images = [
        torch.where(coin.bool() & may_flip[label], image.flip(-1), image)
        for image, label, coin in zip(pixels, labels, coins)
    ]
    return torch.stack(images)


@answers.right("10.3", "a gather along the columns")
def flip_some(pixels, labels, may_flip, generator):
    width = pixels.shape[-1]
    columns = torch.arange(width, device=pixels.device).expand(len(pixels), width)
    coins = torch.rand(len(pixels), 1, generator=generator, device=pixels.device).round()
    turned = coins.bool() & may_flip.gather(0, labels)[:, None]
    columns = torch.where(turned, width - 1 - columns, columns)[:, None, None, :]
    return pixels.gather(3, columns.expand_as(pixels))


@answers.right("10.3", "Bernoulli draws, for those alone that may be mirrored")
def flip_some(pixels, labels, may_flip, generator):
    chances = 0.5 * may_flip[labels].float()
    mirrored = torch.bernoulli(chances, generator=generator).bool()
    backwards = pixels[..., list(range(pixels.size(3)))[::-1]]
    return torch.where(mirrored[:, None, None, None], backwards, pixels)


# 10.4


@answers.right("10.4", "with -0.5 outside, and flatten")
def gaussian_kl(mean, log_var):
    inside = 1 + log_var - mean.pow(2) - torch.exp(log_var)
    return -0.5 * inside.flatten(1).sum(1)


@answers.right("10.4", "with -0.5 outside, and flatten")
def sample_posterior(mean, log_var, generator):
    eps = torch.randn(mean.size(), device=mean.device, generator=generator)
    return torch.addcmul(mean, torch.exp(0.5 * log_var), eps)


@answers.right("10.4", "torch's distributions and an empty tensor filled")
def gaussian_kl(mean, log_var):
    code = torch.distributions.Normal(mean, log_var.exp().sqrt(), validate_args=False)
    noise = torch.distributions.Normal(
        torch.zeros_like(mean), torch.ones_like(mean), validate_args=False
    )
    return torch.distributions.kl_divergence(code, noise).sum(dim=[1, 2, 3])


@answers.right("10.4", "torch's distributions and an empty tensor filled")
def sample_posterior(mean, log_var, generator):
    eps = torch.empty_like(mean, memory_format=torch.contiguous_format).detach()
    eps.normal_(generator=generator)
    return mean + eps * log_var.exp() ** 0.5


@answers.right("10.4", "in two parts, with expm1, and standard deviations first")
def gaussian_kl(mean, log_var):
    from_the_mean = mean.square().sum(dim=(-3, -2, -1))
    from_the_width = (torch.expm1(log_var) - log_var).sum(dim=(-3, -2, -1))
    return (from_the_mean + from_the_width) / 2


@answers.right("10.4", "in two parts, with expm1, and standard deviations first")
def sample_posterior(mean, log_var, generator):
    std = torch.sqrt(torch.exp(log_var))
    draw = torch.randn(*mean.shape, generator=generator, dtype=log_var.dtype, device=log_var.device)
    return std.mul(draw).add(mean)


@answers.right("10.4", "einsum of the squares, torch.normal for the draw alone")
def gaussian_kl(mean, log_var):
    squares = torch.einsum("bdhw,bdhw->b", mean, mean)
    return 0.5 * (squares + torch.einsum("bdhw->b", log_var.exp() - log_var) - mean[0].numel())


@answers.right("10.4", "einsum of the squares, torch.normal for the draw alone")
def sample_posterior(mean, log_var, generator):
    eps = torch.normal(0.0, 1.0, mean.shape, generator=generator, device=mean.device)
    return mean + (0.5 * log_var).exp() * eps


# 10.5


@answers.right("10.5", "loops over ModuleLists, two heads")
class Autoencoder(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.size = 2 ** (len(config.channel_mults) - 1)
        c, g, latent = config.channels, config.groups, config.latent_channels
        self.out = nn.Sequential(
            nn.GroupNorm(g, c[0]), nn.SiLU(), nn.Conv2d(c[0], config.image_channels, 3, 1, 1)
        )
        self.doubles = nn.ModuleList(Double(b, a) for a, b in zip(c, c[1:]))
        self.halves = nn.ModuleList(Halve(a, b) for a, b in zip(c, c[1:]))
        self.down = nn.ModuleList(ConvBlock(width, g) for width in c)
        self.up = nn.ModuleList(ConvBlock(width, g) for width in c)
        self.first = nn.Conv2d(config.image_channels, c[0], 3, padding="same")
        self.norm = nn.GroupNorm(g, c[-1])
        self.to_mean = nn.Conv2d(c[-1], latent, 3, padding=1)
        self.to_log_var = nn.Conv2d(c[-1], latent, 3, padding=1)
        self.begin = nn.Conv2d(latent, c[-1], 3, padding=1)

    def encode(self, x):
        for side in x.shape[2:]:
            if side % self.size:
                raise ValueError(f"a side of {side}")
        h = self.first(x)
        for i, block in enumerate(self.down):
            h = block(h)
            if i < len(self.halves):
                h = self.halves[i](h)
        h = F.silu(self.norm(h))
        return self.to_mean(h), self.to_log_var(h)

    def decode(self, z):
        h = self.begin(z)
        for i in reversed(range(len(self.up))):
            h = self.up[i](h)
            if i:
                h = self.doubles[i - 1](h)
        return self.out(h)


class _Room(nn.Module):
    """One level, and the smaller ones inside it."""

    def __init__(self, widths, groups):
        super().__init__()
        self.enter, self.leave = ConvBlock(widths[0], groups), ConvBlock(widths[0], groups)
        if len(widths) > 1:
            self.smaller, self.larger = Halve(*widths[:2]), Double(*widths[1::-1])
            self.inner = _Room(widths[1:], groups)

    def down(self, h):
        h = self.enter(h)
        return self.inner.down(self.smaller(h)) if hasattr(self, "inner") else h

    def up(self, h):
        if hasattr(self, "inner"):
            h = self.larger(self.inner.up(h))
        return self.leave(h)


@answers.right("10.5", "recursion from level to level")
class Autoencoder(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.config = config
        widths, latent = config.channels, config.latent_channels
        conv = lambda a, b: nn.Conv2d(a, b, (3, 3), padding=(1, 1))  # noqa: E731
        self.rooms = _Room(widths, config.groups)
        self.ends = nn.ModuleDict(
            {
                "image in": conv(config.image_channels, widths[0]),
                "code": conv(widths[-1], 2 * latent),
                "latent": conv(latent, widths[-1]),
                "image out": conv(widths[0], config.image_channels),
            }
        )
        self.norms = nn.ModuleList([nn.GroupNorm(config.groups, widths[i]) for i in (0, -1)])

    def encode(self, x):
        height, width = x.shape[-2:]
        if math.gcd(height, width) % self.config.factor:
            raise ValueError("cannot be halved so often")
        h = self.norms[1](self.rooms.down(self.ends["image in"](x)))
        both = self.ends["code"](h * torch.sigmoid(h))
        return torch.tensor_split(both, 2, dim=1)

    def decode(self, z):
        h = self.norms[0](self.rooms.up(self.ends["latent"](z)))
        return self.ends["image out"](F.silu(h))


def _own_block(width, groups):
    half = (nn.GroupNorm(groups, width), nn.SiLU(), nn.Conv2d(width, width, 3, padding=1))
    other = (nn.GroupNorm(groups, width), nn.SiLU(), nn.Conv2d(width, width, 3, padding=1))
    return nn.Sequential(*half, *other)


@answers.right("10.5", "blocks, halvings and doublings of its own, no biases at the ends")
class Autoencoder(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.levels, self.latent = len(config.channel_mults), config.latent_channels
        c = [config.base_channels * mult for mult in config.channel_mults]
        ends = {"kernel_size": 3, "padding": 1, "bias": False}
        self.a, self.b = nn.Conv2d(config.image_channels, c[0], **ends), nn.ModuleList()
        self.e, self.f = nn.LazyConv2d(c[-1], **ends), nn.ModuleList()
        for i, width in enumerate(c):
            self.b.append(_own_block(width, config.groups))
            self.f.append(_own_block(width, config.groups))
            if i + 1 < self.levels:
                self.b.append(nn.Conv2d(width, c[i + 1], 3, stride=2, padding=1))
                double = nn.Upsample(scale_factor=2)
                self.f.append(nn.Sequential(double, nn.Conv2d(c[i + 1], width, 3, padding=1)))
        self.c = nn.GroupNorm(config.groups, c[-1])
        self.d = nn.LazyConv2d(2 * self.latent, **ends)
        self.g = nn.GroupNorm(config.groups, c[0])
        self.h = nn.LazyConv2d(config.image_channels, **ends)

    def encode(self, x):
        stride = 1 << (self.levels - 1)
        if x.size(2) // stride * stride != x.size(2) or x.size(3) // stride * stride != x.size(3):
            raise ValueError(x.shape)
        h = self.a(x)
        for part in self.b:
            h = part(h) if isinstance(part, nn.Conv2d) else h + part(h)
        code = self.d(F.silu(self.c(h)))
        return code[:, : self.latent], code[:, self.latent :]

    def decode(self, z):
        h = self.e(z)
        for part in reversed(self.f):
            h = part(h) if isinstance(part[0], nn.Upsample) else h + part(h)
        return self.h(F.silu(self.g(h)))


@answers.right("10.5", "sequences grown by append, a namedtuple's worth of halves")
class Autoencoder(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.config, widths = config, list(config.channels)
        self.way_in = nn.Sequential(nn.Conv2d(config.image_channels, widths[0], 3, padding=1))
        self.way_out = nn.Sequential()
        for lower, width in zip([*widths[1:], None], widths):
            self.way_in.append(ConvBlock(channels=width, groups=config.groups))
            self.way_out.insert(0, ConvBlock(width, config.groups))
            if lower is not None:
                self.way_in.append(Halve(in_channels=width, out_channels=lower))
                self.way_out.insert(0, Double(in_channels=lower, out_channels=width))
        self.way_out.insert(0, nn.Conv2d(config.latent_channels, widths[-1], 3, padding=1))
        for way, width, channels in (
            (self.way_in, widths[-1], config.latent_channels * 2),
            (self.way_out, widths[0], config.image_channels),
        ):
            way.extend([nn.GroupNorm(config.groups, width), nn.SiLU()])
            way.append(nn.Conv2d(width, channels, 3, padding=1))

    def encode(self, x):
        if x.shape[2] % self.config.factor != 0 or x.shape[3] % self.config.factor != 0:
            raise ValueError(f"{x.shape[2]} x {x.shape[3]} pixels")
        code = self.way_in(x).unflatten(1, (2, -1))  # (B, 2, D, h, w)
        return [code[:, 0], code[:, 1]]

    decode = property(lambda self: self.way_out)


# 10.6


@answers.right("10.6", "torch's mse_loss")
def autoencoder_loss(autoencoder, x, kl_weight, generator, sample_posterior, gaussian_kl):
    code = autoencoder.encode(x)
    image = autoencoder.decode(sample_posterior(*code, generator))
    count = math.prod(code[0].shape[1:])
    return F.mse_loss(image, x) + kl_weight * gaussian_kl(*code).mean() / count


@answers.right("10.6", "sums divided at the end, the divergence first")
def autoencoder_loss(autoencoder, x, kl_weight, generator, sample_posterior, gaussian_kl):
    mean, log_var = autoencoder.encode(x)
    leash = gaussian_kl(mean, log_var).sum() / mean.numel()
    z = sample_posterior(mean, log_var, generator)
    error = ((x - autoencoder.decode(z)) ** 2).sum() / x.numel()
    return torch.add(error, leash, alpha=kl_weight)


@answers.right("10.6", "one loss for each image, then their mean")
def autoencoder_loss(autoencoder, x, kl_weight, generator, sample_posterior, gaussian_kl):
    mean, log_var = autoencoder.encode(x)
    z = sample_posterior(mean, log_var, generator)
    off = (autoencoder.decode(z) - x).flatten(1)  # (B, C H W)
    errors = off.pow(2).mean(dim=1)  # (B,)
    numbers = mean.shape[1] * mean.shape[2] * mean.shape[3]
    return (errors + (kl_weight / numbers) * gaussian_kl(mean, log_var)).mean()


@answers.right("10.6", "in float64, a norm for the error")
def autoencoder_loss(autoencoder, x, kl_weight, generator, sample_posterior, gaussian_kl):
    mean, log_var = autoencoder.encode(x)
    kl = gaussian_kl(mean, log_var).double()
    x_again = autoencoder.decode(sample_posterior(mean, log_var, generator)).double()
    error = torch.linalg.vector_norm(x_again - x.double()) ** 2 / x.numel()
    return (error + kl_weight * kl.mean() / mean[0].numel()).float()


# 10.7


def _need_a_spread(latents):
    if (latents == latents.flatten()[0]).all():
        raise ValueError("nothing but one number")


@answers.right("10.7", "n below the root, with no_grad")
def latent_scale(latents):
    _need_a_spread(latents)
    return float(1 / latents.std(unbiased=False))


@answers.right("10.7", "n below the root, with no_grad")
def to_latents(autoencoder, x, scale):
    with torch.no_grad():
        return autoencoder.encode(x)[0] * scale


@answers.right("10.7", "n below the root, with no_grad")
def from_latents(autoencoder, z, scale):
    with torch.no_grad():
        return autoencoder.decode(z.div(scale))


@answers.right("10.7", "by mean and mean square, detached results")
def latent_scale(latents):
    _need_a_spread(latents)
    numbers = latents.flatten().double()
    variance = (numbers - numbers.mean()).square().mean().item()
    return variance**-0.5


@answers.right("10.7", "by mean and mean square, detached results")
def to_latents(autoencoder, x, scale):
    mean, log_var = autoencoder.encode(x)
    return (mean * scale).detach()


@answers.right("10.7", "by mean and mean square, detached results")
def from_latents(autoencoder, z, scale):
    return autoencoder.decode(z * (1 / scale)).detach()


@answers.right("10.7", "math.sqrt, inference mode")
def latent_scale(latents):
    _need_a_spread(latents)
    return 1 / math.sqrt(torch.var(latents).item())


@answers.right("10.7", "math.sqrt, inference mode")
@torch.inference_mode()
def to_latents(autoencoder, x, scale):
    code = autoencoder.encode(x)
    return torch.mul(code[0], scale)


@answers.right("10.7", "math.sqrt, inference mode")
@torch.inference_mode()
def from_latents(autoencoder, z, scale):
    return autoencoder.decode(torch.true_divide(z, scale))


# 10.8


def _refuse_levels(config):
    for level in config.attention_levels:
        if level not in range(len(config.channel_mults)):
            raise ValueError(f"there is no level {level}")


@answers.right("10.8", "attention in a ModuleDict by place, indices, the skip in front")
class ColourUNet(nn.Module):
    def __init__(self, config, time_embedding, class_embedding, blocks):
        super().__init__()
        _refuse_levels(config)
        self.config, self.t, self.y = config, time_embedding, class_embedding
        c, count = config.channels, len(config.channels)
        args = (config.cond_dim, config.groups)
        self.looks = nn.ModuleDict()
        for level in sorted(config.attention_levels):
            for way in ("down", "middle", "up"):
                if way != "middle" or level == count - 1:
                    self.looks[f"{way}{level}"] = blocks.SelfAttention(c[level], config.groups)
        above, below = [c[0], *c], [*c[1:], c[-1]]
        self.down = nn.ModuleList(blocks.ResBlock(a, b, *args) for a, b in zip(above, c))
        self.mid = nn.ModuleList(blocks.ResBlock(c[-1], c[-1], *args) for _ in range(2))
        self.up = nn.ModuleList(blocks.ResBlock(a + b, b, *args) for a, b in zip(below, c))
        self.shrink = nn.ModuleList(blocks.Downsample(width) for width in c[:-1])
        self.grow = nn.ModuleList(blocks.Upsample(width) for width in c[1:])
        self.norm = nn.GroupNorm(config.groups, c[0])
        self.start = nn.Conv2d(config.image_channels, c[0], 3, padding=1)
        self.end = nn.Conv2d(c[0], config.image_channels, 3, padding=1)

    def look(self, place, h):
        return self.looks[place](h) if place in self.looks else h

    def forward(self, x, t, labels):
        count = len(self.down)
        if any(side % 2 ** (count - 1) for side in x.shape[2:]):
            raise ValueError("cannot be halved so often")
        cond = self.y(labels) + self.t(t)
        h, skips = self.start(x), []
        for i in range(count):
            skips.append(self.look(f"down{i}", self.down[i](h, cond)))
            h = self.shrink[i](skips[i]) if i < count - 1 else skips[i]
        h = self.look(f"middle{count - 1}", self.mid[0](h, cond))
        h = self.mid[1](h, cond)
        for i in reversed(range(count)):
            h = self.look(f"up{i}", self.up[i](torch.cat([skips[i], h], 1), cond))
            h = self.grow[i - 1](h) if i else h
        return self.end(F.silu(self.norm(h)))


class _Level(nn.Module):
    """One level of the network with all that is below it."""

    def __init__(self, before, level, config, blocks):
        super().__init__()
        widths, groups = config.channels, config.groups
        width, self.last = widths[level], level == len(widths) - 1
        res = lambda a, b: blocks.ResBlock(a, b, config.cond_dim, groups)  # noqa: E731
        look = lambda: (  # noqa: E731
            [blocks.SelfAttention(width, groups)] if level in config.attention_levels else []
        )
        self.enter, self.down_look = res(before, width), nn.Sequential(*look())
        if self.last:
            self.first, self.middle_look = res(width, width), nn.Sequential(*look())
            self.second, inner = res(width, width), width
        else:
            self.smaller, inner = blocks.Downsample(width), widths[level + 1]
            self.below, self.larger = _Level(width, level + 1, config, blocks), None
            self.larger = blocks.Upsample(inner)
        self.leave, self.up_look = res(inner + width, width), nn.Sequential(*look())

    def forward(self, h, cond):
        skip = self.down_look(self.enter(h, cond))
        if self.last:
            h = self.second(self.middle_look(self.first(skip, cond)), cond)
        else:
            h = self.larger(self.below(self.smaller(skip), cond))
        return self.up_look(self.leave(torch.hstack((h, skip)), cond))


@answers.right("10.8", "recursion from level to level")
class ColourUNet(nn.Module):
    def __init__(self, config, time_embedding, class_embedding, blocks):
        super().__init__()
        _refuse_levels(config)
        self.halvings, first = len(config.channels) - 1, config.channels[0]
        self.embed = nn.ModuleList([class_embedding, time_embedding])
        self.stem = nn.Conv2d(config.image_channels, first, 3, padding="same")
        self.top = _Level(first, 0, config, blocks)
        self.head = nn.Sequential(
            nn.GroupNorm(config.groups, first),
            nn.SiLU(),
            nn.Conv2d(first, config.image_channels, 3, padding="same"),
        )

    def forward(self, x, t, labels):
        if math.gcd(*x.shape[-2:], 2**self.halvings) != 2**self.halvings:
            raise ValueError(f"{tuple(x.shape)}")
        cond = self.embed[0](labels) + self.embed[1](t)
        return self.head(self.top(self.stem(x), cond))


@answers.right("10.8", "a list of steps with their names, zero-initialised end")
class ColourUNet(nn.Module):
    def __init__(self, config, time_embedding, class_embedding, blocks):
        super().__init__()
        _refuse_levels(config)
        self.time_embedding, self.class_embedding = time_embedding, class_embedding
        self.steps, self.kinds = nn.ModuleList(), []
        dims, widths = (config.cond_dim, config.groups), config.channels

        def add(kind, module):
            self.kinds.append(kind)
            self.steps.append(module)

        def attend(level):
            if level in config.attention_levels:
                add("plain", blocks.SelfAttention(widths[level], groups=config.groups))

        width = widths[0]
        for level, wanted in enumerate(widths):
            if level:
                add("plain", blocks.Downsample(width))
            add("told", blocks.ResBlock(width, wanted, *dims))
            attend(level)
            add("keep", nn.Identity())
            width = wanted
        add("told", blocks.ResBlock(width, width, *dims))
        attend(len(widths) - 1)
        add("told", blocks.ResBlock(width, width, *dims))
        for level, wanted in reversed(list(enumerate(widths))):
            add("join", blocks.ResBlock(width + wanted, wanted, *dims))
            attend(level)
            if level:
                add("plain", blocks.Upsample(wanted))
            width = wanted
        self.conv_in = nn.Conv2d(config.image_channels, widths[0], 3, 1, 1)
        self.norm = nn.GroupNorm(config.groups, width)
        self.conv_out = nn.Conv2d(width, config.image_channels, 3, 1, 1)
        nn.init.zeros_(self.conv_out.weight)
        self.factor = 2 ** len(widths) // 2

    def forward(self, x, t, labels):
        if x.size(2) % self.factor or x.size(3) % self.factor:
            raise ValueError(f"sides must be multiples of {self.factor}")
        cond = torch.stack([self.time_embedding(t), self.class_embedding(labels)]).sum(dim=0)
        h, kept = self.conv_in(x), []
        for kind, step in zip(self.kinds, self.steps):
            if kind == "join":
                h = torch.cat([h, kept.pop()], dim=1)
            h = step(h, cond) if kind in ("told", "join") else step(h)
            if kind == "keep":
                kept.append(h)
        h = self.norm(h)
        return self.conv_out(h * h.sigmoid())
