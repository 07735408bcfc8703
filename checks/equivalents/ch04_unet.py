"""Right answers to chapter 04 in other styles. Every check must accept them."""

import functools
import math

import torch
from torch import nn
from torch.nn import functional as F

from course.grading.answers import Answers

answers = Answers()


# 4.1


@answers.right("4.1", "two nn.Sequential, other names, another order of construction")
class ResBlock(nn.Module):
    def __init__(self, in_channels, out_channels, cond_dim, groups=8):
        super().__init__()
        self.skip = (
            nn.Conv2d(in_channels, out_channels, 1)
            if in_channels != out_channels
            else nn.Sequential()
        )
        self.second = nn.Sequential(
            nn.GroupNorm(groups, out_channels),
            nn.SiLU(),
            nn.Conv2d(out_channels, out_channels, 3, padding="same"),
        )
        self.embedding = nn.Sequential(nn.SiLU(), nn.Linear(cond_dim, out_channels))
        self.first = nn.Sequential(
            nn.GroupNorm(groups, in_channels),
            nn.SiLU(),
            nn.Conv2d(in_channels, out_channels, 3, padding=1),
        )

    def forward(self, x, cond):
        told = self.embedding(cond)
        h = self.first(x) + told.view(*told.shape, 1, 1)
        return self.skip(x) + self.second(h)


@answers.right("4.1", "no biases, and a 1 x 1 convolution for cond")
class ResBlock(nn.Module):
    def __init__(self, in_channels, out_channels, cond_dim, groups=8):
        super().__init__()
        self.n1, self.n2 = nn.GroupNorm(groups, in_channels), nn.GroupNorm(groups, out_channels)
        self.c1 = nn.Conv2d(in_channels, out_channels, 3, 1, 1, bias=False)
        self.c2 = nn.Conv2d(out_channels, out_channels, 3, 1, 1, bias=False)
        self.cond = nn.Conv2d(cond_dim, out_channels, 1)
        self.same = in_channels == out_channels
        if not self.same:
            self.short = nn.Conv2d(in_channels, out_channels, 1, bias=False)

    def forward(self, x, cond):
        out = self.c1(F.silu(self.n1(x)))
        out = out + self.cond(F.silu(cond)[:, :, None, None])
        out = self.c2(F.silu(self.n2(out)))
        return out + (x if self.same else self.short(x))


@answers.right("4.1", "the norm by hand in float64, with parameters of its own")
class ResBlock(nn.Module):
    def __init__(self, in_channels, out_channels, cond_dim, groups=8):
        super().__init__()
        self.groups = groups
        self.scales, self.offsets = nn.ParameterList(), nn.ParameterList()
        for channels in (in_channels, out_channels):
            self.scales.append(nn.Parameter(torch.ones(1, channels, 1, 1)))
            self.offsets.append(nn.Parameter(torch.zeros(1, channels, 1, 1)))
        self.convs = nn.ModuleList(
            nn.Conv2d(channels, out_channels, 3, padding=1)
            for channels in (in_channels, out_channels)
        )
        self.to_bias = nn.Linear(cond_dim, out_channels)
        self.shortcut = None
        if in_channels != out_channels:
            self.shortcut = nn.Linear(in_channels, out_channels)

    def norm(self, x, i):
        grouped = x.double().unflatten(1, (self.groups, -1))
        mean = grouped.mean(dim=(2, 3, 4), keepdim=True)
        var = grouped.var(dim=(2, 3, 4), keepdim=True, unbiased=False)
        normed = ((grouped - mean) / (var + 1e-5).sqrt()).flatten(1, 2).float()
        return normed * self.scales[i] + self.offsets[i]

    def forward(self, x, cond):
        h, first = x, True
        for i, conv in enumerate(self.convs):
            h = self.norm(h, i)
            h = conv(h * torch.sigmoid(h))
            if first:
                h, first = (
                    h + torch.einsum("bo->ob", self.to_bias(F.silu(cond))).T[..., None, None],
                    False,
                )
        if self.shortcut is None:
            return x + h
        return h + self.shortcut(x.movedim(1, -1)).movedim(-1, 1)


@answers.right("4.1", "a shortcut that is always made and used only where it must be")
class ResBlock(nn.Module):
    def __init__(self, in_channels, out_channels, cond_dim, groups=8):
        super().__init__()
        self.in_channels, self.out_channels = in_channels, out_channels
        self.match = nn.Conv2d(in_channels, out_channels, kernel_size=1)
        self.linear = nn.Linear(cond_dim, out_channels)
        self.layers = nn.ModuleDict(
            {
                "norm a": nn.GroupNorm(groups, in_channels),
                "conv a": nn.Conv2d(in_channels, out_channels, (3, 3), padding=(1, 1)),
                "norm b": nn.GroupNorm(groups, out_channels),
                "conv b": nn.Conv2d(out_channels, out_channels, (3, 3), padding=(1, 1)),
            }
        )
        nn.init.zeros_(self.layers["conv b"].weight)
        nn.init.zeros_(self.layers["conv b"].bias)

    def forward(self, x, cond):
        h = self.layers["conv a"](F.silu(self.layers["norm a"](x)))
        h += self.linear(F.silu(cond)).unsqueeze(-1).unsqueeze(-1)
        h = self.layers["conv b"](F.silu(self.layers["norm b"](h), inplace=True))
        h += self.match(x) if self.in_channels != self.out_channels else x
        return h


@answers.right("4.1", "lazy layers")
class ResBlock(nn.Module):
    def __init__(self, in_channels, out_channels, cond_dim, groups=8):
        super().__init__()
        self.norm1, self.norm2 = (
            nn.GroupNorm(groups, in_channels),
            nn.GroupNorm(groups, out_channels),
        )
        self.conv1 = nn.LazyConv2d(out_channels, 3, padding=1)
        self.conv2 = nn.LazyConv2d(out_channels, 3, padding=1)
        self.cond = nn.LazyLinear(out_channels)
        changes = in_channels != out_channels
        self.shortcut = nn.LazyConv2d(out_channels, 1) if changes else nn.Identity()

    def forward(self, x, cond):
        h = self.conv1(nn.functional.silu(self.norm1(x)))
        h = h + self.cond(nn.functional.silu(cond))[..., None, None]
        return self.shortcut(x) + self.conv2(nn.functional.silu(self.norm2(h)))


@answers.right("4.1", "weights as bare parameters, convolutions as matrices")
class ResBlock(nn.Module):
    def __init__(self, in_channels, out_channels, cond_dim, groups=8):
        super().__init__()
        self.groups = groups
        self.g1 = nn.Parameter(torch.ones(in_channels))
        self.b1 = nn.Parameter(torch.zeros(in_channels))
        self.g2 = nn.Parameter(torch.ones(out_channels))
        self.b2 = nn.Parameter(torch.zeros(out_channels))
        self.k1 = nn.Parameter(torch.randn(out_channels, 9 * in_channels))
        self.k2 = nn.Parameter(torch.randn(out_channels, 9 * out_channels))
        self.w = nn.Parameter(torch.randn(cond_dim, out_channels))
        self.b = nn.Parameter(torch.randn(out_channels))
        self.s = None
        if in_channels != out_channels:
            self.s = nn.Parameter(torch.randn(in_channels, out_channels))

    @staticmethod
    def conv(x, kernel):
        windows = F.unfold(x, 3, padding=1)  # (B, 9 C, H W)
        return (kernel @ windows).unflatten(2, x.shape[2:])

    def forward(self, x, cond):
        h = self.conv(F.silu(F.group_norm(x, self.groups, self.g1, self.b1)), self.k1)
        h = h + (F.silu(cond) @ self.w + self.b)[:, :, None, None]
        h = self.conv(F.silu(F.group_norm(h, self.groups, self.g2, self.b2)), self.k2)
        return h + (x if self.s is None else torch.einsum("bihw,io->bohw", x, self.s))


class _Half(nn.Module):
    def __init__(self, before, after, groups):
        super().__init__()
        self.norm = nn.GroupNorm(num_groups=groups, num_channels=before, eps=1e-6)
        self.act = nn.SiLU(inplace=True)
        self.drop = nn.Dropout(0.0)
        self.conv = nn.Conv2d(before, after, 3)

    def forward(self, x):
        return self.conv(F.pad(self.drop(self.act(self.norm(x))), (1, 1, 1, 1)))


@answers.right("4.1", "two halves of one class, FiLM without its scale")
class ResBlock(nn.Module):
    def __init__(self, in_channels, out_channels, cond_dim, groups=8):
        super().__init__()
        self.halves = nn.ModuleList(
            [_Half(in_channels, out_channels, groups), _Half(out_channels, out_channels, groups)]
        )
        self.shift = nn.ModuleList([nn.SiLU(), nn.Linear(cond_dim, out_channels)])
        self.mend = nn.Conv1d(in_channels, out_channels, 1, bias=False)
        if in_channels == out_channels:
            self.mend = None

    def forward(self, x, cond):
        h = self.halves[0](x)
        for layer in self.shift:
            cond = layer(cond)
        h = torch.addcmul(cond.reshape(*h.shape[:2], 1, 1), h, torch.ones_like(h))
        h = self.halves[1](h)
        if self.mend is not None:
            x = self.mend(x.flatten(2)).view_as(h)
        return torch.add(x, h)


@answers.right("4.1", "image by image, channels last inside")
class ResBlock(nn.Module):
    def __init__(self, in_channels, out_channels, cond_dim, groups=8):
        super().__init__()
        self.one = nn.Conv2d(in_channels, out_channels, 3, padding="same", padding_mode="zeros")
        self.two = nn.Conv2d(out_channels, out_channels, 3, padding="same", padding_mode="zeros")
        self.tell = nn.Sequential(nn.SiLU(), nn.Linear(cond_dim, out_channels, bias=False))
        self.norms = nn.ModuleDict(
            {"one": nn.GroupNorm(groups, in_channels), "two": nn.GroupNorm(groups, out_channels)}
        )
        size = 0 if in_channels == out_channels else 1
        self.shortcut = nn.ModuleList(
            nn.Conv2d(in_channels, out_channels, kernel_size=1) for _ in range(size)
        )

    def forward(self, x, cond):
        results = []
        for image, told in zip(x, self.tell(cond)):
            image = image[None].contiguous(memory_format=torch.channels_last)
            h = self.one(F.silu(self.norms["one"](image))) + told[None, :, None, None]
            h = self.two(F.silu(self.norms["two"](h)))
            for layer in self.shortcut:
                image = layer(image)
            results.append(h.add_(image))
        return torch.cat(results)


@answers.right("4.1", "kernels as (3, 3, in, out), sums over windows")
class ResBlock(nn.Module):
    def __init__(self, in_channels, out_channels, cond_dim, groups=8):
        super().__init__()
        self.kernel1 = nn.Parameter(torch.randn(3, 3, in_channels, out_channels))
        self.kernel2 = nn.Parameter(torch.randn(3, 3, out_channels, out_channels))
        self.dense = nn.Linear(cond_dim, out_channels)
        self.norm1 = nn.GroupNorm(groups, in_channels)
        self.norm2 = nn.GroupNorm(groups, out_channels)
        if in_channels != out_channels:
            self.kernel0 = nn.Parameter(torch.randn(1, 1, in_channels, out_channels))

    @staticmethod
    def conv(x, kernel):
        height, width = x.shape[2:]
        x = F.pad(x, (1, 1, 1, 1))
        out = 0
        for i in range(3):
            for j in range(3):
                window = x[:, :, i : i + height, j : j + width]
                out = out + torch.einsum("bchw,co->bohw", window, kernel[i, j])
        return out

    def forward(self, x, cond):
        h = self.conv(F.silu(self.norm1(x)), self.kernel1)
        h = h + self.dense(F.silu(cond))[..., None, None]
        h = self.conv(F.silu(self.norm2(h)), self.kernel2)
        if hasattr(self, "kernel0"):
            x = torch.einsum("bchw,co->bohw", x, self.kernel0[0, 0])
        return x + h


# 4.2


@answers.right("4.2", "padding by hand, and repeat_interleave")
class Downsample(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.op = nn.Conv2d(channels, channels, 3, stride=2, bias=False)

    def forward(self, x):
        return self.op(F.pad(x, (1, 1, 1, 1)))


@answers.right("4.2", "padding by hand, and repeat_interleave")
class Upsample(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.smooth = nn.Conv2d(channels, channels, 3, padding="same", bias=False)

    def forward(self, x):
        return self.smooth(x.repeat_interleave(2, dim=-1).repeat_interleave(2, dim=-2))


@answers.right("4.2", "subclasses of Conv2d and Sequential")
class Downsample(nn.Conv2d):
    def __init__(self, channels):
        super().__init__(channels, channels, 3, 2, 1)


@answers.right("4.2", "subclasses of Conv2d and Sequential")
class Upsample(nn.Sequential):
    def __init__(self, channels):
        super().__init__(nn.Upsample(scale_factor=2), nn.Conv2d(channels, channels, 3, 1, 1))


@answers.right("4.2", "every second result of a full convolution, and copies by expand")
class Downsample(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x):
        return self.conv(x)[:, :, ::2, ::2]


@answers.right("4.2", "every second result of a full convolution, and copies by expand")
class Upsample(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.conv = nn.LazyConv2d(channels, 3, padding=1)

    def forward(self, x):
        b, c, h, w = x.shape
        large = x[:, :, :, None, :, None].expand(b, c, h, 2, w, 2).reshape(b, c, 2 * h, 2 * w)
        return self.conv(large)


@answers.right("4.2", "windows and matrices")
class Downsample(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.linear = nn.Linear(9 * channels, channels)

    def forward(self, x):
        height, width = (x.shape[-2] + 1) // 2, (x.shape[-1] + 1) // 2
        windows = F.unfold(x, 3, padding=1, stride=2).transpose(1, 2)  # (B, N, 9 C)
        return self.linear(windows).transpose(1, 2).unflatten(2, (height, width))


@answers.right("4.2", "windows and matrices")
class Upsample(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.linear = nn.Linear(9 * channels, channels)

    def forward(self, x):
        height, width = x.shape[-2:]
        large = torch.kron(x, x.new_ones(2, 2))
        windows = F.unfold(large, 3, padding=1).mT
        return self.linear(windows).mT.reshape(len(x), -1, 2 * height, 2 * width)


@answers.right("4.2", "bare kernels, indexing, in float64")
class Downsample(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.kernel = nn.Parameter(torch.randn(channels, channels, 3, 3))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x):
        kernel, bias = self.kernel.double(), self.bias.double()
        return F.conv2d(x.double(), kernel, bias, stride=2, padding=1).float()


@answers.right("4.2", "bare kernels, indexing, in float64")
class Upsample(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.kernel = nn.Parameter(torch.randn(channels, channels, 3, 3))

    def forward(self, x):
        rows, columns = (torch.arange(2 * side) // 2 for side in x.shape[-2:])
        large = x[:, :, rows][:, :, :, columns]
        return F.conv2d(large.double(), self.kernel.double(), padding=1).float()


@answers.right(
    "4.2", "strided windows, and a transposed convolution of ones before the learned one"
)
class Downsample(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.kernel = nn.Parameter(torch.randn(3, 3, channels, channels))
        self.bias = nn.Parameter(torch.zeros(1, channels, 1, 1))

    def forward(self, x):
        windows = F.pad(x, (1, 1, 1, 1)).unfold(2, 3, 2).unfold(3, 3, 2)  # (B, C, H/2, W/2, 3, 3)
        return torch.einsum("bchwij,ijco->bohw", windows, self.kernel) + self.bias


@answers.right(
    "4.2", "strided windows, and a transposed convolution of ones before the learned one"
)
class Upsample(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, (3, 3), padding=(1, 1))
        self.register_buffer("square", torch.ones(channels, 1, 2, 2), persistent=False)

    def forward(self, x):
        large = F.conv_transpose2d(x, self.square, stride=2, groups=x.shape[1])
        return self.conv(large)


@answers.right("4.2", "one helper for both, a canvas filled in four steps")
class Downsample(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.conv = _conv(channels, stride=(2, 2))

    forward = lambda self, x: self.conv(x)  # noqa: E731


@answers.right("4.2", "one helper for both, a canvas filled in four steps")
class Upsample(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.conv = _conv(channels)

    def forward(self, x):
        large = x.new_empty(*x.shape[:2], x.shape[2] * 2, x.shape[3] * 2)
        for row in range(2):
            for column in range(2):
                large[..., row::2, column::2] = x
        return self.conv(large)


def _conv(channels, **options):
    conv = nn.Conv2d(channels, channels, kernel_size=3, padding=1, **options)
    nn.init.orthogonal_(conv.weight)
    nn.init.constant_(conv.bias, 0.0)
    return conv


@answers.right("4.2", "nearest by name, to a size")
class Downsample(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.layers = nn.Sequential(
            nn.ZeroPad2d(1), nn.LazyConv2d(channels, kernel_size=3, stride=2), nn.Identity()
        )

    def forward(self, x):
        return self.layers(x)


@answers.right("4.2", "nearest by name, to a size")
class Upsample(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, kernel_size=3, padding=1)

    def forward(self, x):
        size = [2 * side for side in x.shape[2:]]
        return self.conv(F.interpolate(x, size=size, mode="nearest-exact"))


# 4.3


@answers.right("4.3", "one fused projection and torch's own attention")
class SelfAttention(nn.Module):
    def __init__(self, channels, groups=8):
        super().__init__()
        self.norm = nn.GroupNorm(groups, channels)
        self.qkv = nn.Linear(channels, 3 * channels, bias=False)
        self.proj = nn.Linear(channels, channels)

    def forward(self, x):
        n = self.norm(x).flatten(2).mT
        q, k, v = self.qkv(n).chunk(3, dim=-1)
        h = F.scaled_dot_product_attention(q, k, v)
        return x + self.proj(h).mT.unflatten(2, x.shape[2:])


@answers.right("4.3", "1 x 1 convolutions and einsum")
class SelfAttention(nn.Module):
    def __init__(self, channels, groups=8):
        super().__init__()
        self.norm = nn.GroupNorm(groups, channels)
        self.q, self.k, self.v = (nn.Conv2d(channels, channels, 1) for _ in range(3))
        self.out = nn.Conv2d(channels, channels, 1)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(self, x):
        n = self.norm(x)
        q, k, v = (conv(n).flatten(2) for conv in (self.q, self.k, self.v))  # (B, C, N)
        scores = torch.einsum("bci,bcj->bij", q, k) * x.shape[1] ** -0.5
        h = torch.einsum("bij,bcj->bci", scores.softmax(-1), v)
        return self.out(h.view_as(x)) + x


@answers.right("4.3", "nn.MultiheadAttention with one head")
class SelfAttention(nn.Module):
    def __init__(self, channels, groups=8):
        super().__init__()
        self.norm = nn.GroupNorm(groups, channels)
        self.attention = nn.MultiheadAttention(channels, 1, batch_first=True)

    def forward(self, x):
        n = self.norm(x).flatten(2).permute(0, 2, 1)
        h, _ = self.attention(n, n, n, need_weights=False)
        return x + h.permute(0, 2, 1).reshape(x.shape)


@answers.right("4.3", "a fused 1-dimensional convolution, transposed table")
class SelfAttention(nn.Module):
    def __init__(self, channels, groups=8):
        super().__init__()
        self.norm = nn.GroupNorm(groups, channels, affine=False)
        self.qkv = nn.Conv1d(channels, 3 * channels, 1)
        self.proj = nn.Conv1d(channels, channels, 1)

    def forward(self, x):
        b, c, h, w = x.shape
        q, k, v = self.qkv(self.norm(x).reshape(b, c, h * w)).split(c, dim=1)  # (B, C, N)
        table = torch.softmax(k.transpose(1, 2) @ q / math.sqrt(c), dim=1)  # columns sum to 1
        return x + self.proj(v @ table).reshape(b, c, h, w)


@answers.right("4.3", "loops over images and pixels")
class SelfAttention(nn.Module):
    def __init__(self, channels, groups=8):
        super().__init__()
        self.groups = groups
        self.scale = nn.Parameter(torch.ones(channels))
        self.offset = nn.Parameter(torch.zeros(channels))
        self.matrices = nn.Parameter(torch.randn(4, channels, channels) / channels**0.5)

    def forward(self, x):
        channels = x.shape[1]
        w_q, w_k, w_v, w_o = self.matrices
        images = []
        for image in F.group_norm(x, self.groups, self.scale, self.offset):
            n = image.flatten(1)  # (C, N)
            q, k, v = w_q @ n, w_k @ n, w_v @ n
            pixels = []
            for i in range(n.shape[1]):
                scores = torch.exp(q[:, i] @ k / math.sqrt(channels))
                pixels.append(w_o @ (v @ (scores / scores.sum())))
            images.append(torch.stack(pixels, dim=1).view_as(image))
        return x + torch.stack(images)


@answers.right("4.3", "bare matrices on the right, key and value fused, in float64")
class SelfAttention(nn.Module):
    def __init__(self, channels, groups=8):
        super().__init__()
        self.norm = nn.GroupNorm(groups, channels)
        self.w_q = nn.Parameter(torch.randn(channels, channels))
        self.w_kv = nn.Parameter(torch.randn(channels, 2 * channels))
        self.w_o = nn.Parameter(torch.randn(channels, channels))

    def forward(self, x):
        n = self.norm(x).double().permute(0, 2, 3, 1).flatten(1, 2)
        q = n @ self.w_q.double() / x.shape[1] ** 0.5
        k, v = (n @ self.w_kv.double()).tensor_split(2, dim=2)
        h = torch.softmax(q @ k.mT, dim=2) @ v @ self.w_o.double()
        return x + h.reshape(len(x), *x.shape[2:], -1).permute(0, 3, 1, 2).float()


@answers.right("4.3", "one matrix for all four, key first, softmax by logsumexp")
class SelfAttention(nn.Module):
    def __init__(self, channels, groups=8):
        super().__init__()
        self.norm = nn.GroupNorm(groups, channels)
        self.w = nn.Parameter(nn.init.xavier_normal_(torch.empty(channels, 4 * channels)))
        self.b = nn.Parameter(torch.zeros(4 * channels))

    def forward(self, x):
        b, c, h, w = x.shape
        n = self.norm(x).permute(0, 2, 3, 1).reshape(b, h * w, c)
        (w_k, w_q, w_v, w_o), (b_k, b_q, b_v, b_o) = self.w.chunk(4, dim=1), self.b.chunk(4)
        k, q, v = (F.linear(n, m.T, bias) for m, bias in ((w_k, b_k), (w_q, b_q), (w_v, b_v)))
        scores = torch.baddbmm(n.new_zeros(b, h * w, h * w), q, k.mT, alpha=c**-0.5)
        a = torch.exp(scores - torch.logsumexp(scores, dim=-1, keepdim=True))
        return x + (a @ v @ w_o + b_o).view(b, h, w, c).permute(0, 3, 1, 2)


@answers.right("4.3", "row and column axes kept, one image at a time")
class SelfAttention(nn.Module):
    def __init__(self, channels, groups=8):
        super().__init__()
        self.norm = nn.GroupNorm(groups, channels)
        self.maps = nn.ModuleList(nn.Conv2d(channels, channels, 1) for _ in range(4))
        self.scale = channels**-0.25

    def forward(self, x):
        out = []
        for image in x.split(1):
            q, k, v = (layer(self.norm(image))[0] for layer in self.maps[:3])  # (C, H, W)
            scores = torch.einsum("chw,cij->hwij", self.scale * q, self.scale * k)
            a = scores.flatten(2).softmax(dim=2).view_as(scores)
            out.append(self.maps[3](torch.einsum("hwij,cij->chw", a, v)[None]) + image)
        return torch.cat(out)


@answers.right("4.3", "a few looking pixels at a time")
class SelfAttention(nn.Module):
    def __init__(self, channels, groups=8):
        super().__init__()
        self.norm = nn.GroupNorm(groups, channels)
        self.look, self.out = nn.Linear(channels, 3 * channels), nn.Linear(channels, channels)

    def forward(self, x):
        b, c, h, w = x.shape
        n = self.norm(x).view(b, c, -1).mT
        q, k, v = self.look(n).chunk(3, dim=2)
        received = []
        for few in q.split(16, dim=1):
            received.append((few @ k.mT).div(c**0.5).softmax(dim=2) @ v)
        return self.out(torch.cat(received, dim=1)).mT.reshape_as(x) + x


@answers.right("4.3", "a subclass of MultiheadAttention")
class SelfAttention(nn.MultiheadAttention):
    def __init__(self, channels, groups=8):
        super().__init__(embed_dim=channels, num_heads=1, bias=False)
        self.group_norm = nn.GroupNorm(groups, channels)

    def forward(self, x):
        n = self.group_norm(x).flatten(start_dim=2).permute(2, 0, 1)  # (N, B, C)
        received = super().forward(n, n, n)[0]
        return x + received.permute(1, 2, 0).unflatten(-1, x.shape[-2:])


# 4.4


class _Level(nn.Module):
    def __init__(self, before, widths, config, blocks):
        super().__init__()
        width, *below = widths
        cond_dim, groups = config.cond_dim, config.groups
        self.enter = blocks.ResBlock(before, width, cond_dim, groups)
        if below:
            self.down = blocks.Downsample(width)
            self.below = _Level(width, below, config, blocks)
            self.up = blocks.Upsample(below[0])
        else:
            self.below = None
            self.first = blocks.ResBlock(width, width, cond_dim, groups)
            self.look = blocks.SelfAttention(width, groups) if config.attention else None
            self.second = blocks.ResBlock(width, width, cond_dim, groups)
        inner = below[0] if below else width
        self.leave = blocks.ResBlock(inner + width, width, cond_dim, groups)

    def forward(self, h, cond):
        h = skip = self.enter(h, cond)
        if self.below is not None:
            h = self.up(self.below(self.down(h), cond))
        else:
            h = self.first(h, cond)
            if self.look is not None:
                h = self.look(h)
            h = self.second(h, cond)
        return self.leave(torch.cat((h, skip), dim=-3), cond)


@answers.right("4.4", "recursion from level to level")
class UNet(nn.Module):
    def __init__(self, config, time_embedding, class_embedding, blocks):
        super().__init__()
        self.config, self.t, self.y = config, time_embedding, class_embedding
        first = config.channels[0]
        self.first = nn.Conv2d(config.image_channels, first, 3, padding="same")
        self.top = _Level(first, config.channels, config, blocks)
        self.last = nn.Sequential(
            nn.GroupNorm(config.groups, first),
            nn.SiLU(),
            nn.Conv2d(first, config.image_channels, 3, padding="same"),
        )

    def forward(self, x, t, labels):
        for side in x.shape[2:]:
            for _ in self.config.channels[1:]:
                if side % 2:
                    raise ValueError(f"cannot halve {tuple(x.shape)} often enough")
                side //= 2
        return self.last(self.top(self.first(x), self.t(t) + self.y(labels)))


@answers.right("4.4", "the skip in front, indices, blocks that are made and never used")
class UNet(nn.Module):
    def __init__(self, config, time_embedding, class_embedding, blocks):
        super().__init__()
        make_res, make_down, make_up, make_attention = blocks
        c = [config.base_channels * m for m in config.channel_mults]
        self.levels = len(c)
        dim, groups = config.cond_dim, config.groups
        self.cond = nn.ModuleDict({"time": time_embedding, "class": class_embedding})
        self.use_attention = config.attention
        self.attention = make_attention(c[-1], groups=groups)
        self.out = nn.Conv2d(c[0], config.image_channels, 3, padding=1)
        self.norm = nn.GroupNorm(groups, c[0])
        above = c[1:] + c[-1:]
        self.up = nn.ModuleList(
            make_res(in_channels=a + b, out_channels=b, cond_dim=dim, groups=groups)
            for a, b in zip(above, c)
        )
        self.down = nn.ModuleList(make_res(a, b, dim, groups) for a, b in zip([c[0], *c], c))
        self.mid = nn.ModuleList([make_res(c[-1], c[-1], dim, groups) for _ in range(2)])
        self.shrink = nn.ModuleList(make_down(width) for width in c)
        self.grow = nn.ModuleList(make_up(width) for width in c)
        self.conv = nn.Conv2d(config.image_channels, c[0], 3, padding=1)

    def forward(self, x, t, labels):
        step = 1 << (self.levels - 1)
        if any(side % step for side in x.shape[2:]):
            raise ValueError("bad size")
        cond = self.cond["class"](labels) + self.cond["time"](t)
        h, skips = self.conv(x), {}
        for i in range(self.levels):
            h = self.down[i](x=h, cond=cond)
            skips[i] = h
            if i + 1 < self.levels:
                h = self.shrink[i](h)
        h = self.mid[0](h, cond)
        if self.use_attention:
            h = self.attention(h)
        h = self.mid[1](h, cond)
        for i in range(self.levels)[::-1]:
            h = self.up[i](torch.cat([skips[i], h], 1), cond)
            if i:
                h = self.grow[i](h)
        return self.out(F.silu(self.norm(h)))


@answers.right("4.4", "blocks in a ModuleDict by name, no biases, lazy convolution")
class UNet(nn.Module):
    def __init__(self, config, time_embedding, class_embedding, blocks):
        super().__init__()
        self.time_mlp, self.label_table = time_embedding, class_embedding
        self.blocks = nn.ModuleDict()
        self.plan = []
        args = (config.cond_dim, config.groups)
        widths, width = [], config.channels[0]
        self.stem = nn.LazyConv2d(width, 3, padding=1, bias=False)

        def add(name, module, kind):
            self.blocks[name] = module
            self.plan.append((name, kind))

        for i, wanted in enumerate(config.channels):
            if i:
                add(f"down{i}", blocks.Downsample(width), "plain")
            add(f"res_down{i}", blocks.ResBlock(width, wanted, *args), "keep")
            width = wanted
            widths.append(width)
        add("mid_a", blocks.ResBlock(width, width, *args), "told")
        if config.attention:
            add("mid_attention", blocks.SelfAttention(width, config.groups), "plain")
        add("mid_b", blocks.ResBlock(width, width, *args), "told")
        while widths:
            wanted = widths.pop()
            add(f"res_up{len(widths)}", blocks.ResBlock(width + wanted, wanted, *args), "join")
            width = wanted
            if widths:
                add(f"up{len(widths)}", blocks.Upsample(width), "plain")
        self.head = nn.Sequential(
            nn.GroupNorm(config.groups, width),
            nn.SiLU(inplace=True),
            nn.Conv2d(width, config.image_channels, 3, padding=1, bias=False),
        )
        self.factor = 2 ** len(config.channels) // 2

    def forward(self, x, t, labels):
        assert x.dim() == 4
        if x.size(2) % self.factor or x.size(3) % self.factor:
            raise ValueError(f"sides must be multiples of {self.factor}")
        cond = torch.stack([self.time_mlp(t), self.label_table(labels)]).sum(dim=0)
        h, kept = self.stem(x), []
        for name, kind in self.plan:
            block = self.blocks[name]
            if kind == "join":
                h = torch.cat([h, kept.pop()], dim=1)
            h = block(h) if kind == "plain" else block(h, cond)
            if kind == "keep":
                kept.append(h)
        return self.head(h)


@answers.right("4.4", "functional head and tail with bare parameters")
class UNet(nn.Module):
    def __init__(self, config, time_embedding, class_embedding, blocks):
        super().__init__()
        self.config = config
        self.time_embedding, self.class_embedding = time_embedding, class_embedding
        c, count = config.channels, len(config.channels)
        res = lambda a, b: blocks.ResBlock(a, b, config.cond_dim, config.groups)  # noqa: E731
        for i in range(count):
            setattr(self, f"down{i}", res(c[max(i - 1, 0)], c[i]))
            setattr(self, f"up{i}", res(c[min(i + 1, count - 1)] + c[i], c[i]))
        for i in range(1, count):
            setattr(self, f"half{i}", blocks.Downsample(c[i - 1]))
            setattr(self, f"double{i}", blocks.Upsample(c[i]))
        self.middle = nn.ModuleList([res(c[-1], c[-1]), nn.Identity(), res(c[-1], c[-1])])
        if config.attention:
            self.middle[1] = blocks.SelfAttention(c[-1], config.groups)
        self.kernel_in = nn.Parameter(torch.randn(c[0], config.image_channels, 3, 3))
        self.kernel_out = nn.Parameter(torch.zeros(config.image_channels, c[0], 3, 3))
        self.gamma, self.beta = nn.Parameter(torch.ones(c[0])), nn.Parameter(torch.zeros(c[0]))

    def forward(self, x, t, labels):
        count = len(self.config.channels)
        if (torch.tensor(x.shape[2:]) % 2 ** (count - 1)).any():
            raise ValueError("this size does not fit")
        cond = self.time_embedding(t) + self.class_embedding(labels)
        levels = [self.down0(F.conv2d(x, self.kernel_in, padding=1), cond)]
        for i in range(1, count):
            h = getattr(self, f"half{i}")(levels[-1])
            levels.append(getattr(self, f"down{i}")(h, cond))
        h = self.middle[0](levels[-1], cond)
        h = self.middle[2](self.middle[1](h), cond)
        for i in reversed(range(count)):
            h = getattr(self, f"up{i}")(torch.cat([h, levels[i]], dim=1), cond)
            h = getattr(self, f"double{i}")(h) if i else h
        h = F.silu(F.group_norm(h, self.config.groups, self.gamma, self.beta))
        return F.conv2d(h, self.kernel_out, padding=1)


@answers.right("4.4", "stages of modules, zero-initialised end, all weights initialised by apply")
class UNet(nn.Module):
    def __init__(self, config, time_embedding, class_embedding, blocks):
        super().__init__()
        self.embed_t, self.embed_y = time_embedding, class_embedding
        widths = config.channels
        self.conv_in = nn.Conv2d(config.image_channels, widths[0], 3, 1, 1)
        self.downs, self.ups = nn.ModuleList([]), nn.ModuleList([])
        dims = [widths[0], *widths]
        pairs = list(zip(dims[:-1], dims[1:]))
        for i, (a, b) in enumerate(pairs):
            last = i == len(pairs) - 1
            stage = [blocks.ResBlock(a, b, config.cond_dim, config.groups)]
            self.downs.append(nn.ModuleList(stage + ([] if last else [blocks.Downsample(b)])))
        mid = widths[-1]
        self.mid1 = blocks.ResBlock(mid, mid, config.cond_dim, config.groups)
        self.mid_attn = (
            blocks.SelfAttention(mid, config.groups) if config.attention else (lambda h: h)
        )
        self.mid2 = blocks.ResBlock(mid, mid, config.cond_dim, config.groups)
        current = mid
        for i in range(len(widths) - 1, -1, -1):
            block = blocks.ResBlock(current + widths[i], widths[i], config.cond_dim, config.groups)
            stage = nn.ModuleList([block])
            if i > 0:
                stage.append(blocks.Upsample(widths[i]))
            self.ups.append(stage)
            current = widths[i]
        self.final = nn.ModuleList([nn.GroupNorm(config.groups, current), nn.SiLU()])
        self.conv_out = nn.Conv2d(current, config.image_channels, 3, 1, 1)
        for parameter in self.parameters():
            nn.init.normal_(parameter, std=0.02)
        for module in self.final:
            if isinstance(module, nn.GroupNorm):
                nn.init.zeros_(module.weight)
        nn.init.zeros_(self.conv_out.weight)

    def forward(self, x, t, labels):
        multiple = 2 ** (len(self.downs) - 1)
        height, width = x.shape[-2:]
        if height % multiple != 0 or width % multiple != 0:
            raise ValueError(f"{height} x {width}")
        condition = self.embed_t(t) + self.embed_y(labels)
        stack = []
        h = self.conv_in(x)
        for stage in self.downs:
            h = stage[0](h, condition)
            stack.append(h)
            for down in stage[1:]:
                h = down(h)
        h = self.mid2(self.mid_attn(self.mid1(h, condition)), condition)
        for stage in self.ups:
            h = torch.cat([h, stack.pop(-1)], dim=1)
            h = stage[0](h, condition)
            for up in stage[1:]:
                h = up(h)
        for layer in self.final:
            h = layer(h)
        return self.conv_out(h)


class _Stage(nn.Module):
    """One step of the network: takes and gives (h, skips, cond)."""

    def __init__(self, block, told=False, keeps=False, joins=False):
        super().__init__()
        self.block, self.told, self.keeps, self.joins = block, told, keeps, joins

    def forward(self, state):
        h, skips, cond = state
        if self.joins:
            *skips, skip = skips
            h = torch.concatenate([h, skip], dim=-3)
        h = self.block(h, cond) if self.told else self.block(h)
        return h, (*skips, h) if self.keeps else skips, cond


@answers.right("4.4", "one nn.Sequential that hands on a tuple")
class UNet(nn.Module):
    def __init__(self, config, time_embedding, class_embedding, blocks):
        super().__init__()
        self.time, self.kind = time_embedding, class_embedding
        widths = list(config.channels)

        def res(a, b, **marks):
            return _Stage(blocks.ResBlock(a, b, config.cond_dim, config.groups), True, **marks)

        down, up = [], []
        for upper, width in zip(widths[:1] + widths, widths):
            down += [res(upper, width, keeps=True), _Stage(blocks.Downsample(width))]
        for lower, width in zip(widths[1:] + widths[-1:], widths):
            up = [res(lower + width, width, joins=True), _Stage(blocks.Upsample(width)), *up]
        low = widths[-1]
        look = [_Stage(blocks.SelfAttention(low, config.groups))] if config.attention else []
        self.all = nn.Sequential(*down[:-1], res(low, low), *look, res(low, low), *up[:-1])
        self.begin = nn.Conv2d(config.image_channels, widths[0], 3, padding=1)
        self.end = nn.Sequential(nn.GroupNorm(config.groups, widths[0]), nn.SiLU())
        self.end.append(nn.Conv2d(widths[0], config.image_channels, 3, padding=1))
        self.halvings = len(widths) - 1

    def forward(self, x, t, labels):
        if math.gcd(*x.shape[-2:], 2**self.halvings) != 2**self.halvings:
            raise ValueError(f"{tuple(x.shape)} cannot be halved {self.halvings} times")
        cond = torch.add(self.kind(labels), self.time(t))
        h, skips, _ = self.all((self.begin(x), (), cond))
        assert not skips
        return self.end(h)


@answers.right("4.4", "a generator of skips, blocks in two lists of pairs")
class UNet(nn.Module):
    def __init__(self, config, time_embedding, class_embedding, blocks):
        super().__init__()
        self.config = config
        self.t_embed, self.y_embed = time_embedding, class_embedding
        c = config.channels
        make = functools.partial(blocks.ResBlock, cond_dim=config.cond_dim, groups=config.groups)
        self.stem = nn.Conv2d(config.image_channels, c[0], (3, 3), padding=(1, 1))
        self.body = nn.ModuleDict()
        for name in ("up", "mid", "down"):  # made from the end to the beginning
            self.body[name] = nn.ModuleList()
        for i in reversed(range(len(c))):
            below = c[i + 1] if i + 1 < len(c) else c[i]
            above = c[i - 1] if i else c[0]
            last = i + 1 == len(c)
            pair = [make(below + c[i], c[i]), blocks.Upsample(c[i]) if i else nn.Identity()]
            self.body["up"].append(nn.ModuleList(pair))
            pair = [make(above, c[i]), nn.Identity() if last else blocks.Downsample(c[i])]
            self.body["down"].insert(0, nn.ModuleList(pair))
        self.body["mid"].append(make(c[-1], c[-1]))
        if config.attention:
            self.body["mid"].append(blocks.SelfAttention(c[-1], groups=config.groups))
        self.body["mid"].append(make(c[-1], c[-1]))
        self.tail_norm = nn.GroupNorm(config.groups, c[0])
        self.tail = nn.Conv2d(c[0], config.image_channels, (3, 3), padding=(1, 1))

    def way_down(self, h, cond):
        for res, smaller in self.body["down"]:
            h = res(h, cond)
            yield h
            h = smaller(h)

    def forward(self, x, t, labels):
        for side in x.shape[2:]:
            if side & ((1 << len(self.config.channels) - 1) - 1):
                raise ValueError(f"a side of {side} pixels")
        cond = sum((self.t_embed(t), self.y_embed(labels)))
        skips = list(self.way_down(self.stem(x), cond))
        h, first, last = skips[-1], self.body["mid"][0], self.body["mid"][-1]
        h = first(h, cond)
        for attention in self.body["mid"][1:-1]:
            h = attention(h)
        h = last(h, cond)
        for (res, larger), skip in zip(self.body["up"], reversed(skips)):
            h = larger(res(torch.hstack([skip, h]), cond))
        return self.tail(F.silu(self.tail_norm(h)))
