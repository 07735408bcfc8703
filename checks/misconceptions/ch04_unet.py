"""Known wrong answers to chapter 04, each with the misunderstanding behind it."""

import math

import torch
from torch import nn
from torch.nn import functional as F

from course.grading.answers import Answers
from solutions import ch04_unet as ref

answers = Answers()


# 4.1


@answers.wrong(
    "4.1",
    "BatchNorm instead of GroupNorm",
    "BatchNorm mixes the statistics of a batch whose images are at different noise levels. "
    "GroupNorm takes them from one image at a time.",
)
class ResBlock(ref.ResBlock):
    def __init__(self, in_channels, out_channels, cond_dim, groups=8):
        super().__init__(in_channels, out_channels, cond_dim, groups)
        self.norm1, self.norm2 = nn.BatchNorm2d(in_channels), nn.BatchNorm2d(out_channels)


@answers.wrong(
    "4.1",
    "no shortcut",
    "The last line of the formula is a sum, and x has to be in it: the branch only learns what to "
    "add to x.",
)
class ResBlock(ref.ResBlock):
    def forward(self, x, cond):
        return super().forward(x, cond) - self.shortcut(x)


@answers.wrong(
    "4.1",
    "a convolution in every shortcut",
    "Where in_channels = out_channels, x itself is added. Only where they differ does x need a "
    "convolution, or it would not fit into the sum.",
)
class ResBlock(ref.ResBlock):
    def __init__(self, in_channels, out_channels, cond_dim, groups=8):
        super().__init__(in_channels, out_channels, cond_dim, groups)
        self.shortcut = nn.Conv2d(in_channels, out_channels, kernel_size=1)


@answers.wrong(
    "4.1",
    "a shortcut for more channels only",
    "Channels become more on the way down, but on the way up they become fewer, and x must fit "
    "there too. Ask whether the two numbers differ.",
)
class ResBlock(ref.ResBlock):
    def __init__(self, in_channels, out_channels, cond_dim, groups=8):
        super().__init__(in_channels, out_channels, cond_dim, groups)
        if in_channels > out_channels:
            self.shortcut = nn.Identity()


@answers.wrong(
    "4.1",
    "a shortcut for fewer channels only",
    "Channels become fewer on the way up, but on the way down they become more, and x must fit "
    "there too. Ask whether the two numbers differ.",
)
class ResBlock(ref.ResBlock):
    def __init__(self, in_channels, out_channels, cond_dim, groups=8):
        super().__init__(in_channels, out_channels, cond_dim, groups)
        if in_channels < out_channels:
            self.shortcut = nn.Identity()


@answers.wrong(
    "4.1",
    "channels and groups exchanged",
    "nn.GroupNorm takes the number of groups first and the number of channels second.",
)
class ResBlock(ref.ResBlock):
    def __init__(self, in_channels, out_channels, cond_dim, groups=8):
        super().__init__(in_channels, out_channels, cond_dim, groups)
        self.norm1 = nn.GroupNorm(in_channels, groups)
        self.norm2 = nn.GroupNorm(out_channels, groups)


@answers.wrong(
    "4.1",
    "the second norm made for in_channels",
    "Behind the first convolution there are out_channels channels, so that is what the second norm "
    "meets.",
)
class ResBlock(ref.ResBlock):
    def __init__(self, in_channels, out_channels, cond_dim, groups=8):
        super().__init__(in_channels, out_channels, cond_dim, groups)
        self.norm2 = nn.GroupNorm(groups, in_channels)


@answers.wrong(
    "4.1",
    "the shortcut begins after the norm",
    "The shortcut carries x as it came in. If the norm's result was called x as well, the x that "
    "came in is lost: give it another name.",
)
class ResBlock(ref.ResBlock):
    def forward(self, x, cond):
        return super().forward(x, cond) - self.shortcut(x) + self.shortcut(self.norm1(x))


@answers.wrong(
    "4.1",
    "SiLU after the sum",
    "Older residual networks end in an activation. This one ends with the sum, so that nothing "
    "stands in the way of the shortcut.",
)
class ResBlock(ref.ResBlock):
    def forward(self, x, cond):
        return F.silu(super().forward(x, cond))


@answers.wrong(
    "4.1",
    "the sum divided by the root of 2",
    "Some networks rescale the sum to keep the variance. Here it is a plain sum.",
)
class ResBlock(ref.ResBlock):
    def forward(self, x, cond):
        return super().forward(x, cond) / math.sqrt(2)


@answers.wrong(
    "4.1",
    "a 3 x 3 shortcut",
    "The shortcut only mends the number of channels, pixel by pixel. Looking around is the "
    "branch's work.",
)
class ResBlock(ref.ResBlock):
    def __init__(self, in_channels, out_channels, cond_dim, groups=8):
        super().__init__(in_channels, out_channels, cond_dim, groups)
        if in_channels != out_channels:
            self.shortcut = nn.Conv2d(in_channels, out_channels, kernel_size=3, padding=1)


class _Inner(ref.ResBlock):
    """The reference in steps that can be replaced."""

    act = staticmethod(F.silu)

    def tell(self, h, cond):
        """Bring cond into h."""
        return h + self.cond_proj(F.silu(cond))[:, :, None, None]

    def forward(self, x, cond):
        h = self.tell(self.conv1(self.act(self.norm1(x))), cond)
        return self.conv2(self.act(self.norm2(h))) + self.shortcut(x)


@answers.wrong(
    "4.1",
    "cond ignored",
    "The block takes cond but does nothing with it. The network then knows neither the noise level "
    "nor the digit.",
)
class ResBlock(_Inner):
    def tell(self, h, cond):
        return h


@answers.wrong(
    "4.1",
    "the first image's cond for all",
    "Every image of a batch has its own time and its own label, so each gets its own row of cond.",
)
class ResBlock(_Inner):
    def tell(self, h, cond):
        return super().tell(h, cond[:1])


@answers.wrong(
    "4.1",
    "cond without its two axes",
    "The projected cond has shape (B, out_channels), h has shape (B, out_channels, H, W). Give "
    "cond two more axes of length 1, so that each number goes to all pixels of its channel.",
)
class ResBlock(_Inner):
    def tell(self, h, cond):
        return h + self.cond_proj(F.silu(cond))


@answers.wrong(
    "4.1",
    "no SiLU on cond",
    "The formula says W SiLU(cond): cond passes through SiLU first, and then through the linear "
    "layer.",
)
class ResBlock(_Inner):
    def tell(self, h, cond):
        return h + self.cond_proj(cond)[:, :, None, None]


@answers.wrong(
    "4.1",
    "SiLU after the linear layer of cond",
    "The order is SiLU first, then W. What comes out of a SiLU is hardly ever below 0, so cond "
    "could only push channels up.",
)
class ResBlock(_Inner):
    def tell(self, h, cond):
        return h + F.silu(self.cond_proj(cond))[:, :, None, None]


@answers.wrong(
    "4.1",
    "cond multiplies",
    "Scaling channels by cond is another design (FiLM). Here cond is added.",
)
class ResBlock(_Inner):
    def tell(self, h, cond):
        return h * self.cond_proj(F.silu(cond))[:, :, None, None]


@answers.wrong(
    "4.1",
    "cond added after the second norm",
    "cond is added before the second norm, so that the second half of the block can work with it "
    "in full: norm, SiLU, convolution.",
)
class ResBlock(_Inner):
    def forward(self, x, cond):
        h = self.norm2(self.conv1(F.silu(self.norm1(x))))
        return self.conv2(F.silu(self.tell(h, cond))) + self.shortcut(x)


@answers.wrong(
    "4.1",
    "cond added at the end",
    "After the second convolution nothing can react to cond any more. It is added in between.",
)
class ResBlock(_Inner):
    def forward(self, x, cond):
        h = self.conv1(F.silu(self.norm1(x)))
        return self.tell(self.conv2(F.silu(self.norm2(h))) + self.shortcut(x), cond)


@answers.wrong(
    "4.1",
    "cond that differs from pixel to pixel",
    "Each image and channel gets one number, the same for all of its pixels.",
)
class ResBlock(_Inner):
    def tell(self, h, cond):
        ramp = torch.linspace(0, 1, h.shape[-1])
        return h + self.cond_proj(F.silu(cond))[:, :, None, None] * ramp


@answers.wrong(
    "4.1",
    "convolution first, then norm and SiLU",
    "Many networks do it in that order. This block begins with the norm: norm, SiLU, convolution, "
    "and the same again.",
)
class ResBlock(_Inner):
    def __init__(self, in_channels, out_channels, cond_dim, groups=8):
        super().__init__(in_channels, out_channels, cond_dim, groups)
        self.norm1 = nn.GroupNorm(groups, out_channels)

    def forward(self, x, cond):
        h = F.silu(self.norm1(self.conv1(x)))
        return F.silu(self.norm2(self.conv2(self.tell(h, cond)))) + self.shortcut(x)


@answers.wrong(
    "4.1",
    "SiLU before the norm",
    "The norm comes first: SiLU bends around zero, and the norm brings the values there.",
)
class ResBlock(_Inner):
    def forward(self, x, cond):
        h = self.tell(self.conv1(self.norm1(F.silu(x))), cond)
        return self.conv2(self.norm2(F.silu(h))) + self.shortcut(x)


@answers.wrong(
    "4.1",
    "ReLU instead of SiLU",
    "SiLU(x) = x * sigmoid(x) is smooth and slightly negative for x < 0, where ReLU is 0.",
)
class ResBlock(_Inner):
    act = staticmethod(F.relu)


@answers.wrong(
    "4.1",
    "no norm in the second half",
    "Both halves of the branch begin with a GroupNorm of their own.",
)
class ResBlock(_Inner):
    def __init__(self, in_channels, out_channels, cond_dim, groups=8):
        super().__init__(in_channels, out_channels, cond_dim, groups)
        self.norm2 = nn.Identity()


@answers.wrong(
    "4.1",
    "one group for all channels",
    "With a single group all channels share one mean and one spread. Divide them into `groups`.",
)
class ResBlock(ref.ResBlock):
    def __init__(self, in_channels, out_channels, cond_dim, groups=8):
        super().__init__(in_channels, out_channels, cond_dim, groups=1)


@answers.wrong(
    "4.1",
    "a group for every channel",
    "With one channel to a group, the norm takes out each channel's own mean, and so exactly what "
    "cond has just added to it. In `groups` groups, several channels share one mean.",
)
class ResBlock(ref.ResBlock):
    def __init__(self, in_channels, out_channels, cond_dim, groups=8):
        super().__init__(in_channels, out_channels, cond_dim, groups)
        self.norm1 = nn.GroupNorm(in_channels, in_channels)
        self.norm2 = nn.GroupNorm(out_channels, out_channels)


@answers.wrong(
    "4.1",
    "groups taken for the size of a group",
    "`groups` is how many groups there are; the channels in each are channels / groups.",
)
class ResBlock(ref.ResBlock):
    def __init__(self, in_channels, out_channels, cond_dim, groups=8):
        super().__init__(in_channels, out_channels, cond_dim, groups)
        self.norm1 = nn.GroupNorm(in_channels // groups, in_channels)
        self.norm2 = nn.GroupNorm(out_channels // groups, out_channels)


@answers.wrong(
    "4.1",
    "convolutions without padding",
    "A 3 x 3 window does not fit around the pixels of the rim; padding 1 adds a rim of zeros, so "
    "that height and width stay.",
)
class ResBlock(ref.ResBlock):
    def forward(self, x, cond):
        self.conv1.padding = self.conv2.padding = (0, 0)
        rim = (..., slice(2, -2), slice(2, -2))
        h = self.conv1(F.silu(self.norm1(x)))
        h = h + self.cond_proj(F.silu(cond))[:, :, None, None]
        return self.conv2(F.silu(self.norm2(h))) + self.shortcut(x)[rim]


@answers.wrong(
    "4.1",
    "one convolution used twice",
    "conv_1 and conv_2 are two layers with weights of their own, also where they have one shape.",
)
class ResBlock(ref.ResBlock):
    def __init__(self, in_channels, out_channels, cond_dim, groups=8):
        super().__init__(in_channels, out_channels, cond_dim, groups)
        if in_channels == out_channels:
            self.conv2 = self.conv1


@answers.wrong(
    "4.1",
    "cond cut from the gradient",
    "Behind cond stand the time MLP and the class table. They learn through the gradient of cond.",
)
class ResBlock(ref.ResBlock):
    def forward(self, x, cond):
        return super().forward(x, cond.detach())


@answers.wrong(
    "4.1",
    "no bias between the convolutions",
    "A convolution before a norm can do without a bias, but then the layer for cond needs one: it "
    "is what is added when cond says nothing.",
)
class ResBlock(ref.ResBlock):
    def __init__(self, in_channels, out_channels, cond_dim, groups=8):
        super().__init__(in_channels, out_channels, cond_dim, groups)
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, padding=1, bias=False)
        self.cond_proj = nn.Linear(cond_dim, out_channels, bias=False)


@answers.wrong(
    "4.1",
    "another default for groups",
    "Keep the signature: who leaves groups out expects 8.",
)
class ResBlock(ref.ResBlock):
    def __init__(self, in_channels, out_channels, cond_dim, groups=4):
        super().__init__(in_channels, out_channels, cond_dim, groups)


# 4.2


class _Conv(nn.Module):
    """Some layer in the place of the convolution."""

    def make(self, channels):
        return nn.Conv2d(channels, channels, kernel_size=3, padding=1)

    def __init__(self, channels):
        super().__init__()
        self.conv = self.make(channels)

    def forward(self, x):
        return self.conv(x)


@answers.wrong(
    "4.2",
    "pooling instead of a convolution",
    "Average pooling has no weights. Here the network learns how to make four pixels into one.",
)
class Downsample(_Conv):
    def make(self, channels):
        return nn.AvgPool2d(2, ceil_mode=True)


@answers.wrong(
    "4.2",
    "no padding on the way down",
    "Without padding the window has to fit inside, and the result is one row and one column short.",
)
class Downsample(_Conv):
    def make(self, channels):
        return nn.Conv2d(channels, channels, kernel_size=3, stride=2)

    def forward(self, x):
        return self.conv(F.pad(x, (0, max(0, 3 - x.shape[-1]), 0, max(0, 3 - x.shape[-2]))))


@answers.wrong(
    "4.2",
    "padding on one side only",
    "Padding 1 adds zeros on all four sides. On the right and at the bottom only, each window "
    "sits one pixel further on.",
)
class Downsample(_Conv):
    def make(self, channels):
        return nn.Conv2d(channels, channels, kernel_size=3, stride=2)

    def forward(self, x):
        height, width = x.shape[-2:]
        return self.conv(F.pad(x, (0, 1 + width % 2, 0, 1 + height % 2)))


@answers.wrong(
    "4.2",
    "stride 1",
    "A stride of 1 puts a result at every pixel. A stride of 2 puts one at every second pixel.",
)
class Downsample(_Conv):
    pass


@answers.wrong(
    "4.2",
    "a 2 x 2 kernel with stride 2",
    "Windows of 2 x 2 do not overlap, and no window sees across their borders. Use 3 x 3.",
)
class Downsample(_Conv):
    def make(self, channels):
        return nn.Conv2d(channels, channels, kernel_size=2, stride=2)

    def forward(self, x):
        height, width = x.shape[-2:]
        return self.conv(F.pad(x, (0, width % 2, 0, height % 2)))


@answers.wrong(
    "4.2",
    "convolution, then pooling",
    "The stride alone halves the image. Pooling after it blurs what the convolution has made.",
)
class Downsample(_Conv):
    def forward(self, x):
        return F.avg_pool2d(self.conv(x), 2, ceil_mode=True)


@answers.wrong(
    "4.2",
    "pooling, then a convolution",
    "Pooling has no weights and decides by itself what is kept of four pixels. One convolution "
    "with a stride does both at once.",
)
class Downsample(_Conv):
    def forward(self, x):
        return self.conv(F.max_pool2d(x, 2, ceil_mode=True))


@answers.wrong(
    "4.2",
    "each channel for itself on the way down",
    "groups=channels makes a depthwise convolution. The ordinary one mixes all channels.",
)
class Downsample(_Conv):
    def make(self, channels):
        return nn.Conv2d(channels, channels, 3, stride=2, padding=1, groups=channels)


@answers.wrong(
    "4.2",
    "an activation after the convolution",
    "Down- and upsampling are linear. Norm and SiLU stand at the start of the next ResBlock.",
)
class Downsample(ref.Downsample):
    def forward(self, x):
        return F.silu(super().forward(x))


@answers.wrong(
    "4.2",
    "every second pixel, convolved afterwards",
    "Convolve first and keep every second result. In your order three quarters of the pixels are "
    "thrown away before anything has looked at them.",
)
class Downsample(_Conv):
    def forward(self, x):
        return self.conv(x[:, :, ::2, ::2])


@answers.wrong(
    "4.2",
    "a transposed convolution",
    "It makes the four new pixels of an old one with four different sets of weights, which shows "
    "as a checkerboard. Repeat the pixels, then convolve.",
)
class Upsample(_Conv):
    def make(self, channels):
        return nn.ConvTranspose2d(channels, channels, kernel_size=4, stride=2, padding=1)


@answers.wrong(
    "4.2",
    "no padding on the way up",
    "Without padding the 3 x 3 window has to fit inside, and the image loses a pixel on each side.",
)
class Upsample(_Conv):
    def make(self, channels):
        return nn.Conv2d(channels, channels, kernel_size=3)

    def forward(self, x):
        return self.conv(F.interpolate(x, scale_factor=2))


@answers.wrong(
    "4.2",
    "ones made on the CPU",
    "torch.ones and the like make tensors on the CPU unless they are told where. An x on a GPU "
    "does not go together with them: device=x.device.",
)
class Upsample(_Conv):
    def forward(self, x):
        return self.conv(torch.kron(x, torch.ones(2, 2)))


@answers.wrong(
    "4.2",
    "bilinear enlargement",
    "mode='nearest' repeats each pixel. Bilinear mixes neighbours before the convolution can.",
)
class Upsample(_Conv):
    def forward(self, x):
        return self.conv(F.interpolate(x, scale_factor=2, mode="bilinear"))


@answers.wrong(
    "4.2",
    "repetition without a convolution",
    "The repetition leaves steps of 2 x 2 pixels. A convolution after it smooths them.",
)
class Upsample(_Conv):
    def make(self, channels):
        return nn.Upsample(scale_factor=2)


@answers.wrong(
    "4.2",
    "convolution before the repetition",
    "Repeat first. What is convolved before still has steps of 2 x 2 pixels afterwards.",
)
class Upsample(_Conv):
    def forward(self, x):
        return F.interpolate(self.conv(x), scale_factor=2)


@answers.wrong(
    "4.2",
    "the image laid out four times",
    "tile and repeat put copies of the image side by side. Each single pixel has to grow: "
    "repeat_interleave, or interpolate with mode='nearest'.",
)
class Upsample(_Conv):
    def forward(self, x):
        return self.conv(x.repeat(1, 1, 2, 2))


@answers.wrong(
    "4.2",
    "only the width doubled",
    "Both height and width double.",
)
class Upsample(_Conv):
    def forward(self, x):
        return self.conv(x.repeat_interleave(2, dim=3))


@answers.wrong(
    "4.2",
    "zeros between the pixels",
    "Among zeros the 3 x 3 window meets one, two or four pixels, depending on where it stands: a "
    "checkerboard. Fill the gaps with copies of the pixel.",
)
class Upsample(_Conv):
    def forward(self, x):
        batch, channels, height, width = x.shape
        large = x.new_zeros(batch, channels, 2 * height, 2 * width)
        large[:, :, ::2, ::2] = x
        return self.conv(large)


@answers.wrong(
    "4.2",
    "each channel for itself on the way up",
    "groups=channels makes a depthwise convolution. The ordinary one mixes all channels.",
)
class Upsample(_Conv):
    def make(self, channels):
        return nn.Conv2d(channels, channels, 3, padding=1, groups=channels)

    def forward(self, x):
        return self.conv(F.interpolate(x, scale_factor=2))


@answers.wrong(
    "4.2",
    "the rim repeated instead of zeros",
    "padding=1 alone pads with zeros. Other padding modes treat the rim differently.",
)
class Upsample(_Conv):
    def make(self, channels):
        return nn.Conv2d(channels, channels, 3, padding=1, padding_mode="replicate")

    def forward(self, x):
        return self.conv(F.interpolate(x, scale_factor=2))


# 4.3


class _Steps(ref.SelfAttention):
    """The reference in steps that can be replaced."""

    def before(self, x):
        """Seen as pixels, (B, N, C)."""
        return self.norm(x).flatten(2).transpose(1, 2)

    def weights(self, q, k):
        return (q @ k.transpose(1, 2) / math.sqrt(q.shape[-1])).softmax(dim=-1)

    def after(self, h, x):
        """From pixels (B, N, C) back to the image, (B, C, H, W)."""
        return h.transpose(1, 2).reshape(x.shape)

    def forward(self, x):
        n = self.before(x)
        q, k, v = self.to_q(n), self.to_k(n), self.to_v(n)
        return x + self.after(self.to_out(self.weights(q, k) @ v), x)


@answers.wrong(
    "4.3",
    "no shortcut",
    "Attention adds to x what the pixels learn from each other. Without x in the sum, the image "
    "itself is lost.",
)
class SelfAttention(ref.SelfAttention):
    def forward(self, x):
        return super().forward(x) - x


@answers.wrong(
    "4.3",
    "the shortcut begins after the norm",
    "What is added is x as it came in, not the normalised image.",
)
class SelfAttention(ref.SelfAttention):
    def forward(self, x):
        return super().forward(x) - x + self.norm(x)


@answers.wrong(
    "4.3",
    "no norm",
    "Query, key and value are made from GroupNorm(x). Without it large values sharpen the softmax "
    "until each pixel sees one other only.",
)
class SelfAttention(_Steps):
    def before(self, x):
        return x.flatten(2).transpose(1, 2)


@answers.wrong(
    "4.3",
    "LayerNorm over each pixel's channels",
    "GroupNorm takes its statistics from all pixels of an image. A LayerNorm on (B, N, C) looks at "
    "one pixel at a time.",
)
class SelfAttention(_Steps):
    def before(self, x):
        n = x.flatten(2).transpose(1, 2)
        return F.layer_norm(n, n.shape[-1:])


@answers.wrong(
    "4.3",
    "no scale",
    "A score is a sum over C channels, and grows with the root of C. Divide that out, or the "
    "softmax gives nearly all its weight to one pixel.",
)
class SelfAttention(_Steps):
    def weights(self, q, k):
        return (q @ k.transpose(1, 2)).softmax(dim=-1)


@answers.wrong(
    "4.3",
    "divided by C instead of its root",
    "The scores have a standard deviation of about sqrt(C), so that is what they are divided by.",
)
class SelfAttention(_Steps):
    def weights(self, q, k):
        return (q @ k.transpose(1, 2) / q.shape[-1]).softmax(dim=-1)


@answers.wrong(
    "4.3",
    "divided by the root of the number of pixels",
    "A score is a sum over channels, so its size depends on C. How many pixels there are does not "
    "matter.",
)
class SelfAttention(_Steps):
    def weights(self, q, k):
        return (q @ k.transpose(1, 2) / math.sqrt(q.shape[1])).softmax(dim=-1)


@answers.wrong(
    "4.3",
    "divided after the softmax",
    "Scale the scores first. Divided afterwards, the weights of a row no longer sum to 1.",
)
class SelfAttention(_Steps):
    def weights(self, q, k):
        return (q @ k.transpose(1, 2)).softmax(dim=-1) / math.sqrt(q.shape[-1])


@answers.wrong(
    "4.3",
    "softmax over the looking pixels",
    "Row i holds the scores of pixel i for all others and has to sum to 1: the softmax runs along "
    "the last axis.",
)
class SelfAttention(_Steps):
    def weights(self, q, k):
        return (q @ k.transpose(1, 2) / math.sqrt(q.shape[-1])).softmax(dim=1)


@answers.wrong(
    "4.3",
    "softmax over the batch",
    "dim=0 is the axis of the images, which then share out the attention among themselves. It has "
    "to run over the pixels that are looked at, the last axis.",
)
class SelfAttention(_Steps):
    def weights(self, q, k):
        return (q @ k.transpose(1, 2) / math.sqrt(q.shape[-1])).softmax(dim=0)


@answers.wrong(
    "4.3",
    "dropout on the weights",
    "Transformers often have it. Here nothing is left to chance, and every row sums to 1.",
)
class SelfAttention(_Steps):
    def weights(self, q, k):
        return F.dropout(super().weights(q, k), 0.1, self.training)


@answers.wrong(
    "4.3",
    "no softmax",
    "The scores become weights only by the softmax: positive, with sum 1.",
)
class SelfAttention(_Steps):
    def weights(self, q, k):
        return q @ k.transpose(1, 2) / math.sqrt(q.shape[-1])


@answers.wrong(
    "4.3",
    "a sigmoid instead of the softmax",
    "A sigmoid judges each pair alone, so a pixel could receive the sum of all values. The softmax "
    "shares out one unit of attention.",
)
class SelfAttention(_Steps):
    def weights(self, q, k):
        return torch.sigmoid(q @ k.transpose(1, 2) / math.sqrt(q.shape[-1]))


@answers.wrong(
    "4.3",
    "channels look at channels",
    "q^T k is a C x C table: which channel resembles which. Pixels shall look at pixels, N x N.",
)
class SelfAttention(_Steps):
    def forward(self, x):
        n = self.before(x)
        q, k, v = self.to_q(n), self.to_k(n), self.to_v(n)
        table = (q.transpose(1, 2) @ k / math.sqrt(x.shape[1])).softmax(dim=-1)  # (B, C, C)
        return x + self.after(self.to_out(v @ table.transpose(1, 2)), x)


@answers.wrong(
    "4.3",
    "pixels look across the batch",
    "All images' pixels are in one table here. Keep the batch axis apart: (B, N, N).",
)
class SelfAttention(_Steps):
    def forward(self, x):
        n = self.before(x).reshape(1, -1, x.shape[1])
        q, k, v = self.to_q(n), self.to_k(n), self.to_v(n)
        h = self.to_out(self.weights(q, k) @ v).reshape(len(x), -1, x.shape[1])
        return x + self.after(h, x)


@answers.wrong(
    "4.3",
    "view instead of transpose on the way in",
    "(B, C, H, W) reshaped to (B, N, C) cuts the memory into rows of C that mix pixels and "
    "channels. Flatten the pixels, then swap the two axes.",
)
class SelfAttention(_Steps):
    def before(self, x):
        return self.norm(x).reshape(len(x), -1, x.shape[1])


@answers.wrong(
    "4.3",
    "reshape without the transpose on the way out",
    "(B, N, C) has the channels last. Swap the axes back before the pixels become an image again.",
)
class SelfAttention(_Steps):
    def after(self, h, x):
        return h.reshape(x.shape)


@answers.wrong(
    "4.3",
    "pixels that stay in a row",
    "Inside, an image is a list of N pixels. At the end it becomes an image again, (B, C, H, W).",
)
class SelfAttention(ref.SelfAttention):
    def forward(self, x):
        return super().forward(x).flatten(2)


@answers.wrong(
    "4.3",
    "height and width swapped on the way out",
    "The pixels were flattened row by row, so they come back as (H, W). Read as (W, H) they land "
    "in other places, and nothing raises an error.",
)
class SelfAttention(_Steps):
    def after(self, h, x):
        batch, channels, height, width = x.shape
        return h.transpose(1, 2).reshape(batch, channels, width, height).transpose(2, 3)


@answers.wrong(
    "4.3",
    "pixels look along their row only",
    "Every pixel looks at all H W pixels. With the height folded into the batch, rows never meet.",
)
class SelfAttention(_Steps):
    def forward(self, x):
        n = self.norm(x).permute(0, 2, 3, 1)  # (B, H, W, C)
        q, k, v = self.to_q(n), self.to_k(n), self.to_v(n)
        table = (q @ k.transpose(-1, -2) / math.sqrt(x.shape[1])).softmax(dim=-1)
        return x + self.to_out(table @ v).permute(0, 3, 1, 2)


@answers.wrong(
    "4.3",
    "two heads",
    "With heads, the channels are split and each part attends on its own, scaled by its own "
    "length. Here there is one head with all channels.",
)
class SelfAttention(_Steps):
    def forward(self, x):
        n = self.before(x)
        heads = [part.chunk(2, dim=-1) for part in (self.to_q(n), self.to_k(n), self.to_v(n))]
        h = torch.cat([self.weights(q, k) @ v for q, k, v in zip(*heads)], dim=-1)
        return x + self.after(self.to_out(h), x)


@answers.wrong(
    "4.3",
    "W_v or W_o left out",
    "There are four matrices. Not n itself is averaged, but v = W_v n, and what a pixel has "
    "received goes through W_o before it is added to x.",
)
class SelfAttention(_Steps):
    def __init__(self, channels, groups=8):
        super().__init__(channels, groups)
        self.to_out = nn.Identity()


@answers.wrong(
    "4.3",
    "query and key from one matrix",
    "With W_q = W_k whatever looks at a pixel is looked at in return. They are two matrices.",
)
class SelfAttention(_Steps):
    def __init__(self, channels, groups=8):
        super().__init__(channels, groups)
        self.to_k = self.to_q


@answers.wrong(
    "4.3",
    "groups ignored",
    "The number of groups is the caller's second argument; a fixed number only fits by chance.",
)
class SelfAttention(ref.SelfAttention):
    def __init__(self, channels, groups=8):
        super().__init__(channels, groups=2)


@answers.wrong(
    "4.3",
    "another default for groups",
    "Keep the signature: who leaves groups out expects 8.",
)
class SelfAttention(ref.SelfAttention):
    def __init__(self, channels, groups=4):
        super().__init__(channels, groups)


@answers.wrong(
    "4.3",
    "the weights cut from the gradient",
    "With A detached W_q and W_k never learn where to look.",
)
class SelfAttention(_Steps):
    def weights(self, q, k):
        return super().weights(q, k).detach()


@answers.wrong(
    "4.3",
    "a plain mean over the pixels",
    "A mean gives every pixel the same. Here each pixel has weights of its own, from its own "
    "scores, and receives its own mixture.",
)
class SelfAttention(_Steps):
    def weights(self, q, k):
        return torch.full((len(q), q.shape[1], k.shape[1]), 1 / k.shape[1])


# 4.4


class _UNet(ref.UNet):
    """The reference in steps that can be replaced."""

    def tell(self, t, labels):
        return self.time_embedding(t) + self.class_embedding(labels)

    def go_down(self, h, cond):
        skips = []
        for block, downsample in zip(self.down_blocks, self.downsamples):
            h = block(h, cond)
            skips.append(h)
            h = downsample(h)
        return h, skips

    def turn(self, h, cond):
        return self.middle2(self.attention(self.middle1(h, cond)), cond)

    def join(self, h, skip):
        return torch.cat([h, skip], dim=1)

    def go_up(self, h, skips, cond):
        for block, upsample in zip(self.up_blocks, self.upsamples):
            h = upsample(block(self.join(h, skips.pop()), cond))
        return h

    def finish(self, h):
        return self.conv_out(F.silu(self.norm_out(h)))

    def check(self, x):
        if x.shape[-2] % self.stride or x.shape[-1] % self.stride:
            raise ValueError("height and width cannot be halved so often")

    def forward(self, x, t, labels):
        self.check(x)
        cond = self.tell(t, labels)
        h, skips = self.go_down(self.conv_in(x), cond)
        return self.finish(self.go_up(self.turn(h, cond), skips, cond))


@answers.wrong(
    "4.4",
    "skips from the wrong end",
    "The way up begins at the lowest level, so it needs the last skip first: a stack, not a queue.",
)
class UNet(_UNet):
    def go_up(self, h, skips, cond):
        return super().go_up(h, skips[::-1], cond)


@answers.wrong(
    "4.4",
    "skips kept after the Downsample",
    "skip_i is the ResBlock's result at the resolution of level i. After Downsample it is already "
    "too small for that level.",
)
class UNet(_UNet):
    def go_down(self, h, cond):
        skips = []
        for block, downsample in zip(self.down_blocks, self.downsamples):
            h = downsample(block(h, cond))
            skips.append(h)
        return h, skips


@answers.wrong(
    "4.4",
    "skips that are never used",
    "The skips are stored, but the way up does without them. Fine detail then has to pass through "
    "the lowest resolution, where there is no room for it.",
)
class UNet(_UNet):
    def __init__(self, config, time_embedding, class_embedding, blocks):
        super().__init__(config, time_embedding, class_embedding, blocks)
        befores = [config.channels[-1], *reversed(config.channels)]
        for i, width in enumerate(reversed(config.channels)):
            self.up_blocks[i] = blocks.ResBlock(befores[i], width, config.cond_dim, config.groups)

    def join(self, h, skip):
        return h


@answers.wrong(
    "4.4",
    "h joined with itself",
    "The second half of the concatenation is the skip, not h once more.",
)
class UNet(_UNet):
    def join(self, h, skip):
        return torch.cat([h, h], dim=1)


@answers.wrong(
    "4.4",
    "skips full of zeros",
    "The concatenation has the right shape, but its second half says nothing. It has to be what "
    "this level saw on the way down.",
)
class UNet(_UNet):
    def join(self, h, skip):
        return torch.cat([h, torch.zeros_like(skip)], dim=1)


@answers.wrong(
    "4.4",
    "skips added instead of joined",
    "A sum forces both to have the same channels and mixes them at once. Joined along the "
    "channels, the ResBlock learns what to take from each.",
)
class UNet(_UNet):
    def __init__(self, config, time_embedding, class_embedding, blocks):
        super().__init__(config, time_embedding, class_embedding, blocks)
        befores = [config.channels[-1], *reversed(config.channels)]
        for i, width in enumerate(reversed(config.channels)):
            self.up_blocks[i] = blocks.ResBlock(befores[i], width, config.cond_dim, config.groups)

    def join(self, h, skip):
        return h[:, : skip.shape[1]] + skip[:, : h.shape[1]]


@answers.wrong(
    "4.4",
    "joined along the height",
    "dim=1 is the axis of the channels. Along dim=2 the skip lies below the image instead of "
    "behind it.",
)
class UNet(_UNet):
    def join(self, h, skip):
        width = max(h.shape[1], skip.shape[1])
        h, skip = (F.pad(a, (0, 0, 0, 0, 0, width - a.shape[1])) for a in (h, skip))
        return torch.cat([h, skip], dim=2)


@answers.wrong(
    "4.4",
    "twice the level's channels on the way up",
    "h comes from the level below and has its channels, not this level's. Add the two numbers.",
)
class UNet(_UNet):
    def __init__(self, config, time_embedding, class_embedding, blocks):
        super().__init__(config, time_embedding, class_embedding, blocks)
        for i, width in enumerate(reversed(config.channels)):
            self.up_blocks[i] = blocks.ResBlock(2 * width, width, config.cond_dim, config.groups)


@answers.wrong(
    "4.4",
    "the label ignored",
    "cond is the sum of both embeddings. Without the label the network draws some digit, never the "
    "one that was asked for.",
)
class UNet(_UNet):
    def tell(self, t, labels):
        return self.time_embedding(t) + 0 * self.class_embedding(labels)


@answers.wrong(
    "4.4",
    "the time ignored",
    "cond is the sum of both embeddings. Without the time the network cannot know how much noise "
    "there is.",
)
class UNet(_UNet):
    def tell(self, t, labels):
        return 0 * self.time_embedding(t) + self.class_embedding(labels)


@answers.wrong(
    "4.4",
    "time and class side by side",
    "Both embeddings have cond_dim numbers, and so has their sum. Side by side they have twice as "
    "many.",
)
class UNet(_UNet):
    def tell(self, t, labels):
        return torch.cat([self.time_embedding(t), self.class_embedding(labels)], dim=1)


@answers.wrong(
    "4.4",
    "time multiplied by class",
    "In a product a zero in one silences the other. The embeddings are added.",
)
class UNet(_UNet):
    def tell(self, t, labels):
        return self.time_embedding(t) * self.class_embedding(labels)


@answers.wrong(
    "4.4",
    "t and the labels swapped",
    "time_embedding gets t, class_embedding gets the labels.",
)
class UNet(_UNet):
    def tell(self, t, labels):
        return self.time_embedding(labels) + self.class_embedding(t)


@answers.wrong(
    "4.4",
    "cond on the way down only",
    "Every ResBlock is told the time and the class, those in the middle and on the way up too.",
)
class UNet(_UNet):
    def turn(self, h, cond):
        return super().turn(h, torch.zeros_like(cond))

    def go_up(self, h, skips, cond):
        return super().go_up(h, skips, torch.zeros_like(cond))


@answers.wrong(
    "4.4",
    "SiLU on cond already here",
    "Each ResBlock passes cond through a SiLU itself. A second one distorts it.",
)
class UNet(_UNet):
    def tell(self, t, labels):
        return F.silu(super().tell(t, labels))


@answers.wrong(
    "4.4",
    "a Downsample on the last level too",
    "L resolutions need L-1 halvings. The middle works at the resolution of the last level.",
)
class UNet(_UNet):
    def __init__(self, config, time_embedding, class_embedding, blocks):
        super().__init__(config, time_embedding, class_embedding, blocks)
        self.downsamples[-1] = blocks.Downsample(config.channels[-1])


@answers.wrong(
    "4.4",
    "an Upsample on level 0 too",
    "On level 0 the full resolution is reached already; one more doubling makes the image too "
    "large.",
)
class UNet(_UNet):
    def __init__(self, config, time_embedding, class_embedding, blocks):
        super().__init__(config, time_embedding, class_embedding, blocks)
        self.upsamples[-1] = blocks.Upsample(config.channels[0])


@answers.wrong(
    "4.4",
    "Downsample before the ResBlock",
    "On each level the ResBlock comes first, and what it gives is kept. Then Downsample leads to "
    "the level below.",
)
class UNet(_UNet):
    def go_down(self, h, cond):
        skips = []
        for block, downsample in zip(self.down_blocks, self.downsamples):
            h = block(downsample(h), cond)
            skips.append(h)
        return h, skips


@answers.wrong(
    "4.4",
    "the input of each level kept as its skip",
    "skip_i is what the ResBlock of level i gives, not what it receives: keep h after the block.",
)
class UNet(_UNet):
    def go_down(self, h, cond):
        skips = []
        for block, downsample in zip(self.down_blocks, self.downsamples):
            skips.append(h)
            h = downsample(block(h, cond))
        return h, skips


@answers.wrong(
    "4.4",
    "skips joined after the ResBlock",
    "The ResBlock on the way up receives h and the skip together, and makes c_i channels of them. "
    "Joined afterwards, nobody has looked at the skip, and h has too many channels.",
)
class UNet(_UNet):
    def __init__(self, config, time_embedding, class_embedding, blocks):
        super().__init__(config, time_embedding, class_embedding, blocks)
        before = config.channels[-1]
        for i, width in enumerate(reversed(config.channels)):
            self.up_blocks[i] = blocks.ResBlock(before, width, config.cond_dim, config.groups)
            if i < len(config.channels) - 1:
                self.upsamples[i] = blocks.Upsample(2 * width)
            before = 2 * width
        self.norm_out = nn.GroupNorm(config.groups, before)
        self.conv_out = nn.Conv2d(before, config.image_channels, 3, padding=1)

    def go_up(self, h, skips, cond):
        for block, upsample in zip(self.up_blocks, self.upsamples):
            h = upsample(self.join(block(h, cond), skips.pop()))
        return h


@answers.wrong(
    "4.4",
    "Upsample before the ResBlock",
    "On each level the ResBlock comes first, at the level's own resolution, and Upsample leads to "
    "the level above.",
)
class UNet(_UNet):
    def go_up(self, h, skips, cond):
        for block, upsample in zip(self.up_blocks, self.upsamples):
            h = block(self.join(upsample(h), skips.pop()), cond)
        return h


@answers.wrong(
    "4.4",
    "enlarged by hand",
    "The blocks for changing the resolution are handed in: blocks.Upsample has weights that learn.",
)
class UNet(_UNet):
    def __init__(self, config, time_embedding, class_embedding, blocks):
        super().__init__(config, time_embedding, class_embedding, blocks)
        for i in range(len(self.upsamples) - 1):
            self.upsamples[i] = nn.Upsample(scale_factor=2)


@answers.wrong(
    "4.4",
    "a single middle block",
    "There are two ResBlocks in the middle, with the attention between them.",
)
class UNet(_UNet):
    def turn(self, h, cond):
        return self.attention(self.middle1(h, cond))


@answers.wrong(
    "4.4",
    "one middle block used twice",
    "Calling one block twice shares its weights. Make two.",
)
class UNet(_UNet):
    def __init__(self, config, time_embedding, class_embedding, blocks):
        super().__init__(config, time_embedding, class_embedding, blocks)
        self.middle2 = self.middle1


@answers.wrong(
    "4.4",
    "a middle block that is skipped over",
    "The second middle block receives what the first one gave, not the end of the way down again.",
)
class UNet(_UNet):
    def turn(self, h, cond):
        self.middle1(h, cond)
        return self.middle2(self.attention(h), cond)


@answers.wrong(
    "4.4",
    "attention although the config says no",
    "config.attention decides. Attention compares every pixel with every other, which takes time.",
)
class UNet(_UNet):
    def __init__(self, config, time_embedding, class_embedding, blocks):
        super().__init__(config, time_embedding, class_embedding, blocks)
        self.attention = blocks.SelfAttention(config.channels[-1], config.groups)


@answers.wrong(
    "4.4",
    "attention never",
    "Where config.attention is True, a SelfAttention stands between the two middle blocks.",
)
class UNet(_UNet):
    def turn(self, h, cond):
        return self.middle2(self.middle1(h, cond), cond)


@answers.wrong(
    "4.4",
    "attention after the middle",
    "Its place is between the two middle blocks, so that the second one can work with what the "
    "pixels have learnt from each other.",
)
class UNet(_UNet):
    def turn(self, h, cond):
        return self.attention(self.middle2(self.middle1(h, cond), cond))


@answers.wrong(
    "4.4",
    "groups left at the default",
    "config.groups has to reach every block; a block that is not told takes its own default.",
)
class UNet(_UNet):
    def __init__(self, config, time_embedding, class_embedding, blocks):
        def res_block(before, width, cond_dim, groups):
            return given.ResBlock(before, width, cond_dim)

        given, blocks = blocks, blocks._replace(ResBlock=res_block)
        super().__init__(config, time_embedding, class_embedding, blocks)


@answers.wrong(
    "4.4",
    "time_dim where cond_dim belongs",
    "time_dim is the length of the sines and cosines. What reaches the blocks has config.cond_dim "
    "numbers.",
)
class UNet(_UNet):
    def __init__(self, config, time_embedding, class_embedding, blocks):
        def res_block(before, width, cond_dim, groups):
            return given.ResBlock(before, width, config.time_dim, groups)

        given, blocks = blocks, blocks._replace(ResBlock=res_block)
        super().__init__(config, time_embedding, class_embedding, blocks)


@answers.wrong(
    "4.4",
    "no norm at the end",
    "The last block's result has no fixed scale. GroupNorm and SiLU stand before conv_out.",
)
class UNet(_UNet):
    def finish(self, h):
        return self.conv_out(F.silu(h))


@answers.wrong(
    "4.4",
    "no SiLU at the end",
    "Between the last GroupNorm and conv_out stands a SiLU.",
)
class UNet(_UNet):
    def finish(self, h):
        return self.conv_out(self.norm_out(h))


@answers.wrong(
    "4.4",
    "BatchNorm at the end",
    "Its statistics mix the images of a batch, which are at different noise levels, and .eval() "
    "changes them. Use GroupNorm.",
)
class UNet(_UNet):
    def __init__(self, config, time_embedding, class_embedding, blocks):
        super().__init__(config, time_embedding, class_embedding, blocks)
        self.norm_out = nn.BatchNorm2d(config.channels[0])


@answers.wrong(
    "4.4",
    "the result squeezed by tanh",
    "The network predicts noise, which has no bounds. conv_out is the end.",
)
class UNet(_UNet):
    def finish(self, h):
        return torch.tanh(super().finish(h))


@answers.wrong(
    "4.4",
    "x added to the result",
    "The ResBlocks have shortcuts; the whole network has none.",
)
class UNet(_UNet):
    def forward(self, x, t, labels):
        return super().forward(x, t, labels) + x


@answers.wrong(
    "4.4",
    "a 1 x 1 conv_in",
    "conv_in is 3 x 3 with padding 1: a single pixel alone says little.",
)
class UNet(_UNet):
    def __init__(self, config, time_embedding, class_embedding, blocks):
        super().__init__(config, time_embedding, class_embedding, blocks)
        self.conv_in = nn.Conv2d(config.image_channels, config.channels[0], kernel_size=1)


@answers.wrong(
    "4.4",
    "conv_in to base_channels",
    "conv_in leads to c_0 = base_channels * channel_mults[0], which only equals base_channels if "
    "the first multiplier is 1.",
)
class UNet(_UNet):
    def __init__(self, config, time_embedding, class_embedding, blocks):
        super().__init__(config, time_embedding, class_embedding, blocks)
        base = config.base_channels
        self.conv_in = nn.Conv2d(config.image_channels, base, kernel_size=3, padding=1)
        self.down_blocks[0] = blocks.ResBlock(
            base, config.channels[0], config.cond_dim, config.groups
        )


@answers.wrong(
    "4.4",
    "one channel out for every image",
    "The result is the noise of x, so it has as many channels as x: config.image_channels.",
)
class UNet(_UNet):
    def __init__(self, config, time_embedding, class_embedding, blocks):
        super().__init__(config, time_embedding, class_embedding, blocks)
        self.conv_out = nn.Conv2d(config.channels[0], 1, kernel_size=3, padding=1)


@answers.wrong(
    "4.4",
    "blocks in a plain list",
    "nn.Module does not look into Python lists. Blocks in an nn.ModuleList are found, moved to the "
    "GPU, saved and trained.",
)
class UNet(_UNet):
    def __init__(self, config, time_embedding, class_embedding, blocks):
        super().__init__(config, time_embedding, class_embedding, blocks)
        for name in ("down_blocks", "downsamples", "up_blocks", "upsamples"):
            modules = list(getattr(self, name))
            delattr(self, name)
            setattr(self, name, modules)


@answers.wrong(
    "4.4",
    "skips cut from the gradient",
    "A detached skip carries numbers up but no gradient back. That short way back is half of a "
    "skip's use.",
)
class UNet(_UNet):
    def join(self, h, skip):
        return super().join(h, skip.detach())


@answers.wrong(
    "4.4",
    "cond cut from the gradient",
    "The embeddings learn through cond. Detached, they stay as they were initialised.",
)
class UNet(_UNet):
    def tell(self, t, labels):
        return super().tell(t, labels).detach()


@answers.wrong(
    "4.4",
    "skips that stay from the call before",
    "A list on self lives on after the call. Make a new one in every forward.",
)
class UNet(_UNet):
    def __init__(self, config, time_embedding, class_embedding, blocks):
        super().__init__(config, time_embedding, class_embedding, blocks)
        self.kept = []

    def go_down(self, h, cond):
        h, skips = super().go_down(h, cond)
        self.kept.extend(skips)
        return h, list(self.kept[: len(skips)])

    def join(self, h, skip):
        return super().join(h, skip[: len(h)])


@answers.wrong(
    "4.4",
    "any size accepted",
    "A side of 10 goes 10, 5, 3 on the way down and 3, 6, 12 on the way up. Say so with a "
    "ValueError before the work begins.",
)
class UNet(_UNet):
    def check(self, x):
        pass


@answers.wrong(
    "4.4",
    "one halving too many demanded",
    "L levels halve L-1 times, so sides have to be multiples of 2^(L-1), not of 2^L.",
)
class UNet(_UNet):
    def check(self, x):
        if x.shape[-2] % (2 * self.stride) or x.shape[-1] % (2 * self.stride):
            raise ValueError("height and width cannot be halved so often")


@answers.wrong(
    "4.4",
    "only the height looked at",
    "Images need not be square: both sides have to be halved.",
)
class UNet(_UNet):
    def check(self, x):
        if x.shape[-2] % self.stride:
            raise ValueError("the height cannot be halved so often")


@answers.wrong(
    "4.4",
    "only oddness looked at",
    "How often a side is halved depends on the number of levels: never with one, twice with three. "
    "6 is even, but its half is not.",
)
class UNet(_UNet):
    def check(self, x):
        if x.shape[-2] % 2 or x.shape[-1] % 2:
            raise ValueError("height and width must be even")


@answers.wrong(
    "4.4",
    "always three levels",
    "The number of levels is the length of config.channel_mults; build the ways in loops over it.",
)
class UNet(_UNet):
    def __init__(self, config, time_embedding, class_embedding, blocks):
        if len(config.channel_mults) != 3:
            mults = (*config.channel_mults, *[config.channel_mults[-1]] * 3)[:3]
            config = type(config)(**{**vars(config), "channel_mults": mults})
        super().__init__(config, time_embedding, class_embedding, blocks)
