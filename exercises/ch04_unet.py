"""Chapter 04: the U-Net.

The network that looks at a noisy image and says what the noise is. It goes down to see the
whole digit, comes up again to place each pixel, and on every level of the way up it is
handed what it saw on that level of the way down: the skip connections.

    x       image or features, (B, C, H, W)
    cond    what the network is told about time and class, one vector per image, (B, cond_dim)

Sources: Ronneberger et al. 2015, "U-Net"; Ho et al. 2020, appendix B (the diffusion U-Net);
Wu & He 2018, "Group Normalization"; Vaswani et al. 2017, "Attention Is All You Need".

The functions and classes that end in NotImplementedError are yours to write, and where a
comment says so, something is yours to mend. See how
you are doing with `course check 04`, and ask for help with `course hint 4.1`.
"""

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F


@dataclass(frozen=True)
class UNetConfig:
    """The widths of a U-Net.

    `channel_mults` has one entry per resolution, from the full one down; (1, 2, 2) on a
    28 x 28 image means 28, 14 and 7 pixels with base, 2 base and 2 base channels.
    """

    image_channels: int = 1
    base_channels: int = 64
    channel_mults: tuple[int, ...] = (1, 2, 2)
    time_dim: int = 128  # length of the sinusoidal embedding
    num_classes: int = 10
    groups: int = 8  # of every GroupNorm; divides every channel count
    attention: bool = False  # self-attention at the lowest resolution

    @property
    def channels(self) -> list[int]:
        """Channels at each resolution, from the full one down."""
        return [self.base_channels * mult for mult in self.channel_mults]

    @property
    def cond_dim(self) -> int:
        """Length of the vector that carries time and class."""
        return 4 * self.base_channels


class ResBlock(nn.Module):
    """Find what to change in x, knowing time and class, and add it to x.

    What is added comes from two 3 x 3 convolutions that keep height and width. Before each of
    them comes a GroupNorm, then a SiLU. Both convolutions and both norms have weights of their
    own. `cond` adds one number to each channel that the first convolution gives, early enough for
    a whole norm, SiLU and convolution to work with it. It comes from a linear layer and is read
    by another one: mind what chapter 03 says of two linear layers in a row. A bias is added there
    too, whichever layer it belongs to. If both convolutions give zeros, x comes back: untouched
    where the channels agree, and changed in its channels only, pixel by pixel, where they do not.

    Source: Ho et al. 2020, appendix B; Wu & He 2018 for GroupNorm.

    Args:
        in_channels: channels of x, divisible by `groups`.
        out_channels: channels of the result, divisible by `groups`.
        cond_dim: length of the conditioning vector.
        groups: of both GroupNorms.
    """

    def __init__(self, in_channels: int, out_channels: int, cond_dim: int, groups: int = 8):
        super().__init__()
        raise NotImplementedError("exercise 4.1 is not written yet")

    def forward(self, x: Tensor, cond: Tensor) -> Tensor:
        """x (B, in_channels, H, W), cond (B, cond_dim) -> (B, out_channels, H, W)."""
        raise NotImplementedError("exercise 4.1 is not written yet")


class Downsample(nn.Module):
    """Halve height and width with a learned 3 x 3 convolution. An odd side is rounded up.

    The convolution looks at every pixel and at all channels of x itself, and there is nothing
    else. Outside the image it finds zeros.

    Source: Ho et al. 2020, appendix B, and its published code.

    Args:
        channels: of x and of the result.
    """

    # Exercise 4.2: its code runs, and something in it is wrong.
    def __init__(self, channels: int):
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, kernel_size=3, stride=2, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, ceil(H/2), ceil(W/2))."""
        return self.conv(x)


class Upsample(nn.Module):
    """Double height and width, and smooth the larger image with a learned 3 x 3 convolution.

    What is evenly coloured comes out evenly coloured, away from the rim, whatever the weights
    are. Only the convolution mixes pixels. It looks at all channels, and outside the image it
    finds zeros.

    Source: Ho et al. 2020, appendix B; Odena et al. 2016.

    Args:
        channels: of x and of the result.
    """

    # Exercise 4.2: its code runs, and something in it is wrong.
    def __init__(self, channels: int):
        super().__init__()
        self.conv = nn.ConvTranspose2d(
            channels, channels, kernel_size=3, stride=2, padding=1, output_padding=1
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, 2H, 2W)."""
        return self.conv(x)


class SelfAttention(nn.Module):
    """Let every pixel look at every other one. One head, with a shortcut around it.

        q, k, v = W_q n, W_k n, W_v n      with n = GroupNorm(x), seen as N = H W pixels
        out     = x + W_o (A v)

    A is a table of N x N. Its row i says how pixel i shares out its attention by the scores
    q_i . k_j, and sums to 1. If q and k are numbers with variance 1, the scores that the softmax
    gets have variance 1 too, however many channels there are. Each W may have a bias.

    Source: Vaswani et al. 2017, equation 1; Ho et al. 2020, appendix B.

    Args:
        channels: of x and of the result, divisible by `groups`.
        groups: of the GroupNorm.
    """

    def __init__(self, channels: int, groups: int = 8):
        super().__init__()
        raise NotImplementedError("exercise 4.3 is not written yet")

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        raise NotImplementedError("exercise 4.3 is not written yet")


class Blocks(NamedTuple):
    """The building blocks that a U-Net is made of, handed in as classes."""

    ResBlock: type[nn.Module]
    Downsample: type[nn.Module]
    Upsample: type[nn.Module]
    SelfAttention: type[nn.Module]


class UNet(nn.Module):
    """Noisy images, their steps and their labels in; one number per pixel out.

    With three levels, of c_0, c_1 and c_2 channels (`config.channels`), it is this:

        conv_in  ResBlock ------------ skip_0 ------------> ResBlock  norm, SiLU, conv_out
                   Downsample                            Upsample
                     ResBlock -------- skip_1 --------> ResBlock
                       Downsample                    Upsample
                         ResBlock ---- skip_2 ----> ResBlock
                           ResBlock, attention, ResBlock

    A ResBlock on level i gives c_i channels, those in the middle as many as they get. A skip is
    joined to h along the channels, before or behind h. Attention is there if `config.attention`.
    Every ResBlock is told time_embedding(t) + class_embedding(labels).

    Source: Ronneberger et al. 2015, figure 1; Ho et al. 2020, appendix B.

    Args:
        config: the widths.
        time_embedding: module, t (B,), int64 -> (B, config.cond_dim).
        class_embedding: module, labels (B,), int64 -> (B, config.cond_dim).
        blocks: the classes to build from. Make each as
            blocks.ResBlock(in_channels, out_channels, config.cond_dim, config.groups),
            blocks.Downsample(channels), blocks.Upsample(channels),
            blocks.SelfAttention(channels, config.groups).

    Raises:
        ValueError: in `forward`, if height or width of x cannot be halved L-1 times.
    """

    def __init__(
        self,
        config: UNetConfig,
        time_embedding: nn.Module,
        class_embedding: nn.Module,
        blocks: Blocks,
    ):
        super().__init__()
        self.time_embedding = time_embedding
        self.class_embedding = class_embedding
        channels = config.channels  # [c_0, ..., c_{L-1}]
        cond_dim, groups = config.cond_dim, config.groups
        self.stride = 2 ** (len(channels) - 1)
        self.conv_in = nn.Conv2d(config.image_channels, channels[0], kernel_size=3, padding=1)
        self.norm_out = nn.GroupNorm(groups, channels[0])
        self.conv_out = nn.Conv2d(channels[0], config.image_channels, kernel_size=3, padding=1)

        # Yours to write: the levels on the way down, the middle, the levels on the way up.
        raise NotImplementedError("exercise 4.4 is not written yet")

    def forward(self, x: Tensor, t: Tensor, labels: Tensor) -> Tensor:
        """x (B, C, H, W), t (B,) int64, labels (B,) int64 -> (B, C, H, W)."""
        if x.shape[-2] % self.stride or x.shape[-1] % self.stride:
            raise ValueError(
                f"height and width must be multiples of {self.stride}, got {tuple(x.shape)}"
            )
        raise NotImplementedError("exercise 4.4 is not written yet")
