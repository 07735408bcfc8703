"""Chapter 10: colour and size.

The model of the chapters before, grown up: three colour channels, photographs, four times as many
pixels. What grows fastest is the bill, so here are the ways to keep it small: a noise schedule that
fits the size, pixels folded into channels, and an autoencoder in whose small latents the diffusion
runs in place of the pixels.

    x            clean images, (B, C, H, W), in [-1, 1]; in colour C is 3: red, green, blue
    mean         what the encoder says of an image, (B, D, h, w), with h = H / factor
    log_var      how sure it is: log of the variance of each number of `mean`, (B, D, h, w)
    z            latents, (B, D, h, w): what is drawn around `mean`, or `mean` itself

Unless a docstring says otherwise, images and latents are float32, and all tensors handed in lie on
one device, where what comes back lies, too. No function changes a tensor that it is handed, or the
mode, training or evaluation, that a network is in.

Sources: Hoogeboom et al. 2023, "simple diffusion: End-to-end diffusion for high resolution images";
Luhman & Luhman 2022, "Improving Diffusion Model Efficiency Through Patching";
Kingma & Welling 2014, "Auto-Encoding Variational Bayes"; Rombach et al. 2022, "High-Resolution
Image Synthesis with Latent Diffusion Models"; Dhariwal & Nichol 2021, "Diffusion Models Beat GANs
on Image Synthesis".
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def to_patches(x: Tensor, s: int) -> Tensor:
    """Fold each patch of s x s pixels into the channels of one pixel.

    Nothing is lost and nothing is mixed: the numbers are the same, in another place. The channels
    that channel c becomes stand together. Among them the rows of the patch come one after the
    other, each from left to right.

    Equation:
        out[b, c * s * s + i * s + j, y, x] = in[b, c, y * s + i, x * s + j],   i, j = 0 ... s-1

    Source: Luhman & Luhman 2022; Shi et al. 2016, "Real-Time Single Image and Video
    Super-Resolution Using an Efficient Sub-Pixel Convolutional Neural Network", for the order.

    Args:
        x: shape (B, C, H, W), of any dtype.
        s: height and width of a patch, at least 1.

    Returns:
        shape (B, s * s * C, H / s, W / s), of the same dtype.

    Raises:
        ValueError: if s does not divide H and W.
    """
    if x.shape[2] % s or x.shape[3] % s:
        raise ValueError(f"height and width must be multiples of {s}, got {tuple(x.shape)}")
    batch, channels, height, width = x.shape
    x = x.reshape(batch, channels, height // s, s, width // s, s)  # (B, C, H/s, i, W/s, j)
    x = x.permute(0, 1, 3, 5, 2, 4)  # (B, C, i, j, H/s, W/s)
    return x.reshape(batch, channels * s * s, height // s, width // s)


def from_patches(x: Tensor, s: int) -> Tensor:
    """The way back: unfold the channels of each pixel into a patch of s x s pixels.

    Equation:
        out[b, c, y * s + i, x * s + j] = in[b, c * s * s + i * s + j, y, x],   i, j = 0 ... s-1

    Source: as for `to_patches`.

    Args:
        x: shape (B, s * s * C, h, w), of any dtype.
        s: height and width of a patch, at least 1.

    Returns:
        shape (B, C, s * h, s * w), of the same dtype.

    Raises:
        ValueError: if s * s does not divide the number of channels.
    """
    if x.shape[1] % (s * s):
        raise ValueError(f"channels must be a multiple of {s * s}, got {tuple(x.shape)}")
    batch, channels, height, width = x.shape
    x = x.reshape(batch, channels // (s * s), s, s, height, width)  # (B, C, i, j, h, w)
    x = x.permute(0, 1, 4, 2, 5, 3)  # (B, C, h, i, w, j)
    return x.reshape(batch, channels // (s * s), height * s, width * s)


def shift_betas(betas: Tensor, s: float) -> Tensor:
    """The schedule for images that have s times as many pixels in each direction.

    In a large image neighbours look alike, so the eye, and the network, average over them, and
    noise averages out: the mean of s x s pixels is as bright as before, and has less noise in it.
    A schedule that drowned the small image leaves the large one readable. The shifted schedule is
    noisier by as much as averaging takes away: at each step the mean of s x s of its pixels has the
    SNR that `betas` gave to one pixel. s = 1 changes nothing.

    Equation:
        SNR_t        = alpha_bar_t / (1 - alpha_bar_t)
        SNR'_t       = SNR_t / s^2
        alpha_bar'_t = SNR'_t / (1 + SNR'_t) = alpha_bar_t / (alpha_bar_t + s^2 (1 - alpha_bar_t))
        beta'_t      = 1 - alpha_bar'_t / alpha_bar'_{t-1},   with alpha_bar'_{-1} = 1

    Source: Hoogeboom et al. 2023, section 3.1, where s = d / 64 and log SNR' = log SNR - 2 log s.

    Args:
        betas: shape (T,), float32 or float64, each strictly between 0 and 1.
        s: how many times as many pixels, in height and in width; 64 / 28 is allowed, and so is a
            number below 1, for smaller images.

    Returns:
        betas of the shifted schedule, shape (T,), float32, computed in float64.

    Raises:
        ValueError: unless s > 0.
    """
    if not s > 0:
        raise ValueError(f"s must be more than 0, got {s}")
    alpha_bars = torch.cumprod(1 - betas.double(), dim=0)  # (T,)
    shifted = alpha_bars / (alpha_bars + s**2 * (1 - alpha_bars))  # (T,)
    before = torch.cat([torch.ones_like(shifted[:1]), shifted[:-1]])  # (T,)
    return (1 - shifted / before).float()


def flip_some(
    pixels: Tensor, labels: Tensor, may_flip: Tensor, generator: torch.Generator
) -> Tensor:
    """Mirror some of the images, left to right, so that a small set goes further.

    A cat that looks to the other side is a cat. A mirrored 2 is no digit, and mirrored writing is
    none either. So the label decides whether an image may be mirrored, and those that may are
    mirrored with probability one half, each by a coin of its own. All images keep their places,
    so the labels stay right.

    Equation:
        out_b = mirrored pixels_b if may_flip[labels_b] and u_b < 1/2, else pixels_b;
        u_b uniform on [0, 1), one for each image

    Source: Ho et al. 2020, appendix B (horizontal flips for CIFAR-10).

    Args:
        pixels: shape (B, C, H, W), of any dtype.
        labels: shape (B,), int64.
        may_flip: may an image with this label be mirrored? Shape (number of labels,), bool.
        generator: the source of randomness, on the device of `pixels`; no other is touched.

    Returns:
        new pixels, shape (B, C, H, W), of the same dtype.
    """
    coins = torch.rand(len(pixels), generator=generator, device=pixels.device) < 0.5  # (B,)
    mirrored = may_flip[labels] & coins  # (B,)
    return torch.where(mirrored.view(-1, 1, 1, 1), pixels.flip(3), pixels)


def gaussian_kl(mean: Tensor, log_var: Tensor) -> Tensor:
    """How far what the encoder says is from pure noise, for each image.

    It is the Kullback-Leibler divergence of N(mean, exp(log_var)) from N(0, 1), which is never
    negative, and 0 only where mean = 0 and log_var = 0. The numbers of a latent are independent, so
    theirs are added up.

    Equation:
        KL = sum over the numbers of a latent of ( mean^2 + exp(log_var) - 1 - log_var ) / 2

    Source: Kingma & Welling 2014, appendix B.

    Args:
        mean: shape (B, D, h, w).
        log_var: shape (B, D, h, w), the natural logarithm of the variance.

    Returns:
        the divergence of each image, shape (B,), in nats.
    """
    kl = (mean**2 + log_var.exp() - 1 - log_var) / 2  # (B, D, h, w)
    return kl.sum(dim=(1, 2, 3))


def sample_posterior(mean: Tensor, log_var: Tensor, generator: torch.Generator) -> Tensor:
    """Draw a latent of each image from N(mean, exp(log_var)), so that gradients pass.

    The randomness comes from outside and does not depend on the two, so a change of either moves
    what is drawn, and gradients flow to both.

    Equation:
        z = mean + exp(log_var / 2) * eps,   eps ~ N(0, 1)

    Source: Kingma & Welling 2014, section 2.4.

    Args:
        mean: shape (B, D, h, w).
        log_var: shape (B, D, h, w), the natural logarithm of the variance.
        generator: the source of randomness, on the device of `mean`; no other is touched.

    Returns:
        z, shape (B, D, h, w).
    """
    std = (log_var / 2).exp()  # (B, D, h, w)
    eps = torch.randn(mean.shape, generator=generator, device=mean.device, dtype=mean.dtype)
    return mean + std * eps


@dataclass(frozen=True)
class AutoencoderConfig:
    """The widths of an autoencoder.

    `channel_mults` has one entry per resolution, from the full one down; (1, 2, 2) on a 64 x 64
    image means 64, 32 and 16 pixels with base, 2 base and 2 base channels, and latents of 16 x 16.
    """

    image_channels: int = 3
    base_channels: int = 32
    channel_mults: tuple[int, ...] = (1, 2, 2)
    latent_channels: int = 4  # D
    groups: int = 8  # of every GroupNorm; divides every channel count

    @property
    def channels(self) -> list[int]:
        """Channels at each resolution, from the full one down."""
        return [self.base_channels * mult for mult in self.channel_mults]

    @property
    def factor(self) -> int:
        """How many times smaller latents are than images, in height and in width."""
        return 2 ** (len(self.channel_mults) - 1)


class ConvBlock(nn.Module):
    """Chapter 04's ResBlock without what time and class say, given: (B, C, H, W) stays so.

    Args:
        channels: of x and of the result, divisible by `groups`.
        groups: of both GroupNorms.
    """

    def __init__(self, channels: int, groups: int):
        super().__init__()
        self.norm1 = nn.GroupNorm(groups, channels)
        self.conv1 = nn.Conv2d(channels, channels, kernel_size=3, padding=1)
        self.norm2 = nn.GroupNorm(groups, channels)
        self.conv2 = nn.Conv2d(channels, channels, kernel_size=3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, channels, H, W) -> (B, channels, H, W)."""
        h = self.conv1(F.silu(self.norm1(x)))
        return x + self.conv2(F.silu(self.norm2(h)))


class Halve(nn.Module):
    """Half the height and width, given: a 3 x 3 convolution with stride 2, as in chapter 04."""

    def __init__(self, in_channels: int, out_channels: int):
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, kernel_size=3, stride=2, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_channels, H, W) -> (B, out_channels, H/2, W/2)."""
        return self.conv(x)


class Double(nn.Module):
    """Twice the height and width, given: repeated pixels and a 3 x 3 convolution, as before."""

    def __init__(self, in_channels: int, out_channels: int):
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, kernel_size=3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_channels, H, W) -> (B, out_channels, 2H, 2W)."""
        return self.conv(F.interpolate(x, scale_factor=2, mode="nearest"))


class Autoencoder(nn.Module):
    """Images to small latents and back: `encode` says mean and log_var, `decode` makes an image.

    With three levels, of c_0, c_1 and c_2 channels (`config.channels`), it is this:

        conv_in  ConvBlock                                         ConvBlock  norm, SiLU, conv_out
                   Halve                                          Double
                     ConvBlock                                ConvBlock
                       Halve                                Double
                         ConvBlock  norm, SiLU, conv ... conv  ConvBlock
                                                  latents

    Halve leads to the channels of the level below, Double to those of the level above. What is
    called conv has kernel 3 and padding 1, and each norm is a GroupNorm of `config.groups` groups.
    The encoder's conv gives 2 D channels: the first D are the mean, the last D are log_var. Neither
    is squeezed or cut off, for a mean may be any number, and so may the logarithm of a variance.
    The image is not squeezed either: it is to lie in [-1, 1] because it has learned to, and a tanh
    would hold up the gradients at the very ends, where a picture's white and black is.

    What becomes of an image depends on this image alone: not on the others in its batch, not on
    chance, not on whether the network is in training. The decoder is told the latents and nothing
    else: no skip leads from the encoder into it, for when a diffusion model draws latents, there is
    no image that could be encoded.

    Equation:
        encode: h = conv_in(x)                                     c_0 channels
                for level i = 0 ... L-1:
                    h = ConvBlock(h)
                    h = Halve(h)    to c_{i+1} channels, except on the last level
                mean, log_var = halves of conv( SiLU( GroupNorm(h) ) ) along the channels
        decode: h = conv(z)                                        c_{L-1} channels
                for level i = L-1 ... 0:
                    h = ConvBlock(h)
                    h = Double(h)   to c_{i-1} channels, except on level 0
                x = conv_out( SiLU( GroupNorm(h) ) )

    Source: Kingma & Welling 2014, section 3; Rombach et al. 2022, section 3.1, without its
    adversarial loss; Wu & He 2018 for GroupNorm.

    Args:
        config: the widths.

    Raises:
        ValueError: in `encode`, if config.factor does not divide height and width of x.
    """

    def __init__(self, config: AutoencoderConfig):
        super().__init__()
        self.config = config
        channels, groups, latent = config.channels, config.groups, config.latent_channels
        levels = range(len(channels))

        # Yours to write: the encoder and the decoder, from ConvBlock, Halve and Double.
        down: list[nn.Module] = [nn.Conv2d(config.image_channels, channels[0], 3, padding=1)]
        for i in levels:
            down.append(ConvBlock(channels[i], groups))
            if i + 1 in levels:
                down.append(Halve(channels[i], channels[i + 1]))
        down += [nn.GroupNorm(groups, channels[-1]), nn.SiLU()]
        down.append(nn.Conv2d(channels[-1], 2 * latent, 3, padding=1))
        self.encoder = nn.Sequential(*down)

        up: list[nn.Module] = [nn.Conv2d(latent, channels[-1], 3, padding=1)]
        for i in reversed(levels):
            up.append(ConvBlock(channels[i], groups))
            if i > 0:
                up.append(Double(channels[i], channels[i - 1]))
        up += [nn.GroupNorm(groups, channels[0]), nn.SiLU()]
        up.append(nn.Conv2d(channels[0], config.image_channels, 3, padding=1))
        self.decoder = nn.Sequential(*up)

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """x (B, C, H, W) -> mean and log_var, each (B, D, H / factor, W / factor)."""
        if x.shape[2] % self.config.factor or x.shape[3] % self.config.factor:
            raise ValueError(
                f"height and width must be multiples of {self.config.factor}, got {tuple(x.shape)}"
            )
        mean, log_var = self.encoder(x).chunk(2, dim=1)  # (B, 2 D, h, w) -> two of (B, D, h, w)
        return mean, log_var

    def decode(self, z: Tensor) -> Tensor:
        """z (B, D, h, w) -> x (B, C, h * factor, w * factor), about in [-1, 1]."""
        return self.decoder(z)


def autoencoder_loss(
    autoencoder: nn.Module,
    x: Tensor,
    kl_weight: float,
    generator: torch.Generator,
    sample_posterior: Callable[[Tensor, Tensor, torch.Generator], Tensor],
    gaussian_kl: Callable[[Tensor, Tensor], Tensor],
) -> Tensor:
    """How much an image loses on its way through a latent, and how far the latents are from noise.

    The image comes back from a latent that is drawn, not from the mean: so the decoder gets used to
    latents that are a little off, which is what a diffusion model will hand it. The KL keeps the
    latents from growing without end, and its weight is small: it is meant to be a leash, not a
    goal. Both parts are means over single numbers, so neither the size of the batch, nor that of
    the images, nor that of the latents shifts the balance between them.

    Equation:
        mean, log_var = encode(x),   z drawn from N(mean, exp(log_var))
        loss = mean over batch and pixels of ( decode(z) - x )^2
               + kl_weight * mean over batch of KL(mean, log_var) / (numbers in one latent)

    Source: Kingma & Welling 2014, equation 10, each part divided by its numbers; Higgins et al.
    2017, "beta-VAE", for the weight; Rombach et al. 2022, section 3.1, for how small it is.

    Args:
        autoencoder: has encode(x) -> (mean, log_var) and decode(z) -> x, each called once.
        x: images, shape (B, C, H, W).
        kl_weight: of the KL per number, at least 0; 0 lets the latents be what they like.
        generator: the source of randomness, on the device of `x`.
        sample_posterior: called as sample_posterior(mean, log_var, generator).
        gaussian_kl: called as gaussian_kl(mean, log_var), returns a sum for each image, (B,).

    Returns:
        the loss, a tensor without axes, through which gradients flow to the autoencoder.
    """
    mean, log_var = autoencoder.encode(x)  # each (B, D, h, w)
    z = sample_posterior(mean, log_var, generator)  # (B, D, h, w)
    error = (autoencoder.decode(z) - x).square().mean()
    kl = gaussian_kl(mean, log_var) / mean[0].numel()  # (B,)
    return error + kl_weight * kl.mean()


def latent_scale(latents: Tensor) -> float:
    """By what latents have to be multiplied so that their standard deviation is 1.

    A noise schedule is made for images whose numbers have a size of about 1. Latents have whatever
    size their autoencoder gave them. One number for all channels leaves their proportions as they
    are. It is measured once, on the training part, and belongs to the model from then on.

    Equation:
        scale = 1 / std,   std over all numbers of all latents, about their common mean

    Source: Rombach et al. 2022, appendix G.

    Args:
        latents: the means that the encoder gives for many images, shape (N, D, h, w).

    Returns:
        the scale, a float.

    Raises:
        ValueError: if the latents are all one number, which no scale helps.
    """
    if latents.max() == latents.min():
        raise ValueError(f"all latents are {latents.max().item():g}: nothing to measure")
    return 1 / latents.double().std().item()


@torch.no_grad()
def to_latents(autoencoder: nn.Module, x: Tensor, scale: float) -> Tensor:
    """What the diffusion model works on in place of the images: means, scaled.

    Nothing is drawn: the noise that the schedule adds is noise enough. The autoencoder is finished,
    so no gradient is needed.

    Equation:
        z = scale * mean,   with mean, log_var = encode(x)

    Source: Rombach et al. 2022, section 3.1 and appendix G, here with the mean in place of a draw.

    Args:
        autoencoder: has encode(x) -> (mean, log_var).
        x: images, shape (B, C, H, W).
        scale: of `latent_scale`.

    Returns:
        z, shape (B, D, h, w), without a graph for gradients.
    """
    mean, _ = autoencoder.encode(x)  # (B, D, h, w)
    return scale * mean


@torch.no_grad()
def from_latents(autoencoder: nn.Module, z: Tensor, scale: float) -> Tensor:
    """The way back: images from what the diffusion model works on, or has drawn.

    The decoder knows latents of the size that its encoder makes. So the scale is taken out first.
    The images are not clipped.

    Equation:
        x = decode(z / scale)

    Source: Rombach et al. 2022, section 3.1 and appendix G.

    Args:
        autoencoder: has decode(z) -> x.
        z: scaled latents, shape (B, D, h, w).
        scale: of `latent_scale`.

    Returns:
        x, shape (B, C, H, W), without a graph for gradients.
    """
    return autoencoder.decode(z / scale)


@dataclass(frozen=True)
class ColourUNetConfig:
    """The widths of a U-Net for larger images, and where it attends.

    `channel_mults` has one entry per resolution, from the full one down; (1, 2, 2, 4) on a 64 x 64
    image means 64, 32, 16 and 8 pixels. `attention_levels` counts the same way, from 0: (2, 3) is
    attention at 16 and at 8 pixels, () is none.
    """

    image_channels: int = 3
    base_channels: int = 32
    channel_mults: tuple[int, ...] = (1, 2, 2, 4)
    attention_levels: tuple[int, ...] = (2, 3)
    time_dim: int = 128  # length of the sinusoidal embedding
    num_classes: int = 10
    groups: int = 8  # of every GroupNorm; divides every channel count

    @property
    def channels(self) -> list[int]:
        """Channels at each resolution, from the full one down."""
        return [self.base_channels * mult for mult in self.channel_mults]

    @property
    def cond_dim(self) -> int:
        """Length of the vector that carries time and class."""
        return 4 * self.base_channels


class Blocks(NamedTuple):
    """The building blocks that the U-Net is made of, chapter 04's, handed in as classes."""

    ResBlock: type[nn.Module]
    Downsample: type[nn.Module]
    Upsample: type[nn.Module]
    SelfAttention: type[nn.Module]


class ColourUNet(nn.Module):
    """Chapter 04's U-Net, with any number of image channels, and attention on levels of choice.

    A table of attention has a row and a column for each pixel. At 8 x 8 pixels these are 64, at
    64 x 64 they are 4,096, and the table is 4,096 times as large. So attention belongs on the lower
    levels, and `config.attention_levels` says on which. On such a level it follows the level's
    ResBlock, on the way down, before h is kept as the level's skip, and on the way up. If the
    lowest level is among them it stands between the two ResBlocks of the middle, too. On all other
    levels there is none. No two places share their weights. All else is chapter 04's.

    Equation:
        cond = time_embedding(t) + class_embedding(labels)
        attend_i(h) = SelfAttention(h) if i is in attention_levels, else h
        h    = conv_in(x)                                     c_0 channels
        down, for level i = 0 ... L-1:
            h = attend_i( ResBlock(h, cond) )   to c_i channels         keep h: skip_i
            h = Downsample(h)                   except on the last level
        middle:
            h = ResBlock( attend_{L-1}( ResBlock(h, cond) ), cond )
        up, for level i = L-1 ... 0:
            h = attend_i( ResBlock(concat(h, skip_i), cond) )   to c_i channels
            h = Upsample(h)                     except on level 0
        out  = conv_out( SiLU( GroupNorm(h) ) )

    Source: Ho et al. 2020, appendix B (attention at 16 x 16); Dhariwal & Nichol 2021, section 3
    (at several resolutions).

    Args:
        config: the widths, and where to attend.
        time_embedding: module, t (B,) -> (B, config.cond_dim).
        class_embedding: module, labels (B,), int64 -> (B, config.cond_dim).
        blocks: the classes to build from. Make each as
            blocks.ResBlock(in_channels, out_channels, config.cond_dim, config.groups),
            blocks.Downsample(channels), blocks.Upsample(channels),
            blocks.SelfAttention(channels, config.groups).

    Raises:
        ValueError: if an attention level is none of 0 ... L-1; in `forward`, if height or width of
            x cannot be halved L-1 times.
    """

    def __init__(
        self,
        config: ColourUNetConfig,
        time_embedding: nn.Module,
        class_embedding: nn.Module,
        blocks: Blocks,
    ):
        super().__init__()
        if not set(config.attention_levels) <= set(range(len(config.channel_mults))):
            raise ValueError(
                f"attention_levels must be among 0 ... {len(config.channel_mults) - 1}, "
                f"got {config.attention_levels}"
            )
        self.time_embedding = time_embedding
        self.class_embedding = class_embedding
        channels = config.channels  # [c_0, ..., c_{L-1}]
        cond_dim, groups = config.cond_dim, config.groups
        self.stride = 2 ** (len(channels) - 1)
        self.conv_in = nn.Conv2d(config.image_channels, channels[0], kernel_size=3, padding=1)
        self.norm_out = nn.GroupNorm(groups, channels[0])
        self.conv_out = nn.Conv2d(channels[0], config.image_channels, kernel_size=3, padding=1)

        # Yours to write: the levels on the way down, the middle, the levels on the way up.
        def attend(level: int) -> nn.Module:
            if level in config.attention_levels:
                return blocks.SelfAttention(channels[level], groups)
            return nn.Identity()

        levels = range(len(channels))
        before = channels[0]  # channels of h
        self.down_blocks, self.down_attentions = nn.ModuleList(), nn.ModuleList()
        self.downsamples = nn.ModuleList()
        for level in levels:
            width = channels[level]
            self.down_blocks.append(blocks.ResBlock(before, width, cond_dim, groups))
            self.down_attentions.append(attend(level))
            self.downsamples.append(blocks.Downsample(width))
            before = width
        self.downsamples[-1] = nn.Identity()  # the lowest resolution stays

        self.middle1 = blocks.ResBlock(before, before, cond_dim, groups)
        self.middle_attention = attend(levels[-1])
        self.middle2 = blocks.ResBlock(before, before, cond_dim, groups)

        self.up_blocks, self.up_attentions = nn.ModuleList(), nn.ModuleList()
        self.upsamples = nn.ModuleList()
        for level in reversed(levels):
            width = channels[level]
            self.up_blocks.append(blocks.ResBlock(before + width, width, cond_dim, groups))
            self.up_attentions.append(attend(level))
            self.upsamples.append(blocks.Upsample(width))
            before = width
        self.upsamples[-1] = nn.Identity()  # the full resolution is reached

    def forward(self, x: Tensor, t: Tensor, labels: Tensor) -> Tensor:
        """x (B, C, H, W), t (B,) int64, labels (B,) int64 -> (B, C, H, W)."""
        if x.shape[-2] % self.stride or x.shape[-1] % self.stride:
            raise ValueError(
                f"height and width must be multiples of {self.stride}, got {tuple(x.shape)}"
            )
        cond = self.time_embedding(t) + self.class_embedding(labels)  # (B, cond_dim)

        h = self.conv_in(x)  # (B, c_0, H, W)
        skips = []
        for block, attend, down in zip(self.down_blocks, self.down_attentions, self.downsamples):
            h = attend(block(h, cond))  # (B, c_i, H_i, W_i)
            skips.append(h)
            h = down(h)  # (B, c_i, H_i/2, W_i/2)

        h = self.middle1(h, cond)
        h = self.middle_attention(h)
        h = self.middle2(h, cond)

        for block, attend, up in zip(self.up_blocks, self.up_attentions, self.upsamples):
            h = torch.cat([h, skips.pop()], dim=1)  # the last skip kept is the first one used
            h = attend(block(h, cond))  # (B, c_i, H_i, W_i)
            h = up(h)  # (B, c_i, 2 H_i, 2 W_i)

        return self.conv_out(F.silu(self.norm_out(h)))  # (B, C, H, W)
