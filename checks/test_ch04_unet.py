"""Checks of chapter 04: the U-Net."""

import torch
from torch import Tensor
from torch.nn import functional as F

from checks.probes import ch04_unet as probes
from checks.theory import NETWORK, SECONDS, require_whole_gradient
from course.grading.checking import check, require, require_close, require_tensor

LARGE = {"rtol": 1e-3, "atol": 1e-3}  # where numbers reach hundreds: float32 keeps seven digits

WEIGHTS = "every weight at a value that the check sets, biases zero"


def normal(g: torch.Generator, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=g)


def pixels(g: torch.Generator, *shape: int) -> Tensor:
    """Images whose channels differ in mean and spread, so that it shows what a norm norms."""
    channels = torch.arange(shape[1])[:, None, None]
    return normal(g, *shape) * (1 + 0.3 * channels) + 0.5 * channels - 0.7


def near(a: Tensor, b: Tensor) -> bool:
    return a.shape == b.shape and torch.allclose(a.double(), b.double(), rtol=1e-4, atol=1e-5)


def require_company(got: dict) -> None:
    """Fail unless each image's result is its own, in training and in evaluation."""
    together = require_tensor(got["together"], "the result")
    for i, alone in enumerate(got["alone"]):
        require_close(
            alone,
            together[i : i + 1],
            "the same result for an image alone as in a batch: nothing is shared between images of "
            "a batch, kept from a call before, or left to chance",
            f"image {i} alone",
            **NETWORK,
        )
    require_close(
        got["cut out"],
        together,
        "the same result for the same numbers cut out of wider tensors, which is not contiguous",
        "the result for what is cut out",
        **NETWORK,
    )
    require_close(
        got["in eval mode"],
        together,
        "the same result after .eval() as in training: nothing here behaves differently",
        "the result in eval mode",
        **NETWORK,
    )


def require_no_silence(shapes: list) -> None:
    """Fail if a parameter gets no gradient."""
    require(
        not shapes,
        "a gradient for every weight, so that training can move it",
        f"no gradient for parameters of shape {', '.join(str(tuple(s)) for s in shapes)}",
    )


# 4.1


def resblock_inputs(*size: int, batch: int = 3, height: int = 5, width: int = 7):
    def draw(g: torch.Generator) -> dict:
        return {
            "size": list(size),
            "x": pixels(g, batch, size[0], height, width),
            "cond": 1.5 * normal(g, batch, size[2]),
        }

    return draw


def with_a_loud_cond(inputs: dict) -> dict:
    """The same with large numbers in the last image's cond."""
    inputs["cond"][-1] *= 40
    return inputs


@check(
    "4.1",
    probe=probes.resblock_sizes,
    # In a U-Net channels grow on the way down and become fewer on the way up.
    inputs=lambda g: {
        "sizes": [[6, 4, 5, 2], [4, 6, 5, 2], [6, 6, 5, 3]],
        "x": pixels(g, 3, 6, 5, 7),
        "cond": normal(g, 3, 5),
    },
    call="ResBlock(in_channels=6, out_channels=4, cond_dim=5, groups=2)(x, cond), then from 4 "
    "channels to 6 and from 6 to 6; x of shape (3, in_channels, 5, 7), cond of shape (3, 5)",
)
def test_resblock_shape(got, ref, inputs):
    """A ResBlock changes the number of channels and keeps height and width"""
    for out, (before, after, *_) in zip(got["out"], inputs["sizes"]):
        require_tensor(out, f"the result from {before} channels to {after}", (3, after, 5, 7))


@check(
    "4.1",
    probe=probes.resblock_shortcut,
    inputs=lambda g: {
        "same": [6, 6, 5, 3],
        "fewer": [6, 4, 5, 2],
        "more": [4, 6, 5, 2],
        "x": 100 * pixels(g, 2, 6, 5, 7),
        "cond": normal(g, 2, 5),
    },
    call="block(x, cond) from 6 channels to 6, to 4, and from 4 to 6, x in the hundreds, all "
    "weights zero; where the channels change, all but those of the 1 x 1 shortcut",
)
def test_resblock_shortcut(got, ref, inputs):
    """With the convolutions silenced, only the shortcut is left"""
    x = inputs["x"]
    require_close(
        got["same"],
        x,
        "x itself where in_channels = out_channels: the shortcut goes around all the rest, without "
        "weights, and nothing comes after the sum",
        "the result",
    )
    for name, matrix in (("fewer", probes.weight((4, 6))), ("more", probes.weight((6, 4)))):
        require_close(
            got[name],
            torch.einsum("oi,bihw->bohw", matrix, x[:, : matrix.shape[1]]),
            "a 1 x 1 convolution of x itself where the channels change: each pixel is a weighted "
            "sum of that pixel's channels",
            f"the result with {name} channels",
            **LARGE,
        )


@check(
    "4.1",
    probe=probes.resblock_company,
    inputs=resblock_inputs(6, 4, 5, 2),
    call="block(x, cond) with a batch of 3, then with each image alone, with x and cond that are "
    "cut out of wider tensors, and in eval mode",
)
def test_resblock_treats_each_image_alone(got, ref, inputs):
    """An image's result depends on that image and its own cond only"""
    require_company(got)


@check(
    "4.1",
    probe=probes.resblock_conds,
    inputs=resblock_inputs(6, 4, 5, 2),
    call="block(x, cond) with cond as drawn, with cond = 0 and with cond = -60",
)
def test_resblock_listens_to_cond(got, ref, inputs):
    """The block listens to cond, through a SiLU"""
    given, silent = require_tensor(got["given"], "the result"), got["zero"]
    difference = (given - silent).abs().flatten(1).amax(dim=1)
    require(
        bool((difference > 1e-3).all()),
        "a result that changes with cond: without it the network knows neither time nor class",
        f"the same result for image {int(difference.argmin())} with cond as with zeros",
    )
    require_close(
        got["very negative"],
        silent,
        "the same result for cond = -60 as for cond = 0: SiLU, which comes before the linear "
        "layer, is 0 at both",
        "the result for cond = -60",
        **NETWORK,
    )


@check(
    "4.1",
    probe=probes.resblock_groups,
    inputs=lambda g: {
        **resblock_inputs(6, 6, 5, 2)(g),
        "scale": torch.tensor([30.0, 100.0])[:, None, None, None],
        "shift": torch.tensor([50.0, -40.0])[:, None, None, None],
    },
    call="block = ResBlock(6, 6, 5, 2); block(x, cond) - x, then again with the first 3 channels "
    "of x scaled and shifted together, and the last 3 too",
)
def test_resblock_norms_by_groups(got, ref, inputs):
    """GroupNorm takes out the mean and the spread of each group of channels"""
    require_close(
        got["after"],
        require_tensor(got["before"], "the branch"),
        "the same branch: with 2 groups, 3 channels share one mean and one spread, which the norm "
        "takes out before anything else sees them",
        "the branch after the change",
        **LARGE,
    )


@check(
    "4.1",
    probe=probes.resblock,
    inputs=lambda g: {**resblock_inputs(6, 6, 5, 3)(g), "cond": torch.zeros(3, 5)},
    call=f"ResBlock(6, 6, 5, 3)(x, cond), cond = 0, {WEIGHTS}",
)
def test_resblock_branch(got, ref, inputs):
    """The branch is twice norm, SiLU, convolution, in this order"""
    require_close(
        got["out"],
        ref["out"],
        "x + conv_2(SiLU(GroupNorm_2(h))) with h = conv_1(SiLU(GroupNorm_1(x))), 3 x 3 "
        "convolutions with padding 1; cond = 0 adds nothing",
        "the result",
        **NETWORK,
    )


@check(
    "4.1",
    probe=probes.resblock,
    # Batch and width are equal: a (B,) or (B, C) that lands on the width makes no error here.
    inputs=lambda g: with_a_loud_cond(resblock_inputs(6, 4, 5, 2, batch=3, height=4, width=3)(g)),
    call="ResBlock(6, 4, 5, 2)(x, cond), x of shape (3, 6, 4, 3), cond of the last image up to "
    f"about 100, {WEIGHTS}",
)
def test_resblock_adds_cond_between_the_convolutions(got, ref, inputs):
    """W SiLU(cond) is added to each channel after the first convolution, before the second norm"""
    require_close(
        got["out"],
        ref["out"],
        "one number per image and channel, W SiLU(cond), added to all pixels of that channel "
        "between the first convolution and the second norm",
        "the result",
        **NETWORK,
    )


@check(
    "4.1",
    probe=probes.resblock_offsets,
    inputs=lambda g: {
        "size": [6, 4, 5, 2],
        "x": torch.zeros(2, 6, 3, 4),
        "cond": torch.zeros(2, 5),
    },
    call="ResBlock(6, 4, 5, 2)(x, cond) with x = 0 and cond = 0, one bias after the other set to "
    "known values",
    free=("offsets",),
)
def test_resblock_has_a_bias_between_the_convolutions(got, ref, inputs):
    """What is added between the convolutions has a bias b"""
    b = probes.draw(4)[None, :, None, None].expand(2, 4, 3, 4)
    h = F.silu(F.group_norm(b, 2, probes.gain((4,))))
    target = F.conv2d(h, probes.weight((4, 4, 3, 3)), padding=1)
    # The first convolution's own bias is as good: both are added at the same place.
    require(
        any(
            isinstance(out, Tensor) and out.shape == target.shape and near(out, target)
            for out in got["offsets"]
        ),
        "conv_2(SiLU(GroupNorm_2(b))) for one of the biases, called b: it is added after the first "
        "convolution, and the rest of the block works on it",
        f"something else for each of {len(got['offsets'])} biases and offsets",
    )


@check(
    "4.1",
    probe=probes.resblock,
    inputs=lambda g: {**resblock_inputs(16, 8, 5)(g), "cond": torch.zeros(3, 5)},
    call=f"ResBlock(16, 8, 5)(x, cond) with cond = 0, {WEIGHTS}",
)
def test_resblock_default_groups(got, ref, inputs):
    """Without a fourth argument both norms have 8 groups"""
    expected = "the same as with groups=8, which is what the signature says"
    require_close(got["out"], ref["out"], expected, "the result", **NETWORK)


@check(
    "4.1",
    probe=probes.resblock_group_numbers,
    inputs=lambda g: {**resblock_inputs(12, 12, 5)(g), "groups": [1, 4, 12]},
    call=f"ResBlock(12, 12, 5, groups)(x, cond), with 1, 4 and 12 groups, {WEIGHTS}",
)
def test_resblock_takes_any_number_of_groups(got, ref, inputs):
    """Both norms have as many groups as asked for, from one to a group for every channel"""
    for groups, out, right in zip(inputs["groups"], got["outs"], ref["outs"]):
        expected = (
            "the whole block, cond added between the first convolution and the second norm, with "
            f"groups={groups} in both norms"
        )
        require_close(out, right, expected, f"the result with groups={groups}", **NETWORK)


@check(
    "4.1",
    probe=probes.resblock_gradients,
    inputs=resblock_inputs(6, 4, 5, 2),
    call="a backward pass through ResBlock(6, 4, 5, 2)",
)
def test_resblock_gradients(got, ref, inputs):
    """Gradients reach x, cond and every weight"""
    for name in ("x", "cond"):
        require_whole_gradient(got[name], ref[name], name)
    require_no_silence(got["silent"])
    require(
        got["weights"] >= ref["weights"],
        "weights for two convolutions, the layer for cond and the shortcut",
        f"{got['weights']} weights, which is not enough",
    )


@check(
    "4.1",
    probe=probes.resblock_gradients,
    inputs=resblock_inputs(4, 4, 5, 2),
    call="a backward pass through ResBlock(4, 4, 5, 2)",
)
def test_resblock_layers_are_separate(got, ref, inputs):
    """The two convolutions have weights of their own, and so have the two norms"""
    require(
        got["weights"] >= ref["weights"],
        "two convolutions, each with its own weights, also where all channels agree, and a layer "
        "for cond whose every weight has an effect",
        f"{got['weights']} weights that get a gradient, not enough for two convolutions and the "
        "layer for cond",
    )
    require(
        got["scales"] >= ref["scales"],
        "two norms, each with its own scale for each channel, also where all channels agree",
        f"{got['scales']} scales that get a gradient, for 4 channels",
    )


# 4.2


def image_shapes(*shapes: tuple[int, ...]):
    """Images of these shapes; the numbers of the first reach hundreds."""

    def draw(g: torch.Generator) -> dict:
        first, *others = (pixels(g, *shape) for shape in shapes)
        return {"images": [100 * first, *others]}

    return draw


def span(numbers: set[int]) -> str:
    low, high = min(numbers), max(numbers)
    return f"{low}" if low == high else f"{low} to {high}"


def describe_reach(reach: list) -> str:
    if not reach:
        return "a pixel that depends on nothing in x"
    rows, columns = {row for row, _ in reach}, {column for _, column in reach}
    return f"rows {span(rows)} and columns {span(columns)} of x ({len(reach)} pixels)"


def require_resampled(got: dict, results: list[Tensor], expected: str) -> None:
    for mode, name in (
        ("out", "the result"),
        ("cut out", "the result for x cut out of larger images (not contiguous)"),
        ("in eval mode", "the result in eval mode"),
    ):
        for out, result in zip(got[mode], results):
            require_close(out, result, expected, name, **LARGE)


def require_own_kernel(got: dict, inputs: dict) -> None:
    for count, x in zip(got["weights"], inputs["images"]):
        channels = x.shape[1]
        require(
            count >= 9 * channels**2,
            "a learned 3 x 3 kernel from every channel to every channel",
            f"{count} weights for {channels} channels",
        )


HALVED = image_shapes((2, 5, 7, 10), (3, 4, 6, 3), (2, 5, 1, 2), (1, 2, 5, 4))


@check(
    "4.2",
    probe=probes.downsample,
    inputs=HALVED,
    call="Downsample(channels=C)(x), x of shape (2, 5, 7, 10), (3, 4, 6, 3), (2, 5, 1, 2) and "
    "(1, 2, 5, 4)",
)
def test_downsample_shape(got, ref, inputs):
    """Downsample halves height and width, and rounds an odd side up"""
    for out, x in zip(got["out"], inputs["images"]):
        batch, channels, height, width = x.shape
        shape = (batch, channels, (height + 1) // 2, (width + 1) // 2)
        require_tensor(out, f"the result for x of shape {tuple(x.shape)}", shape)
    require_own_kernel(got, inputs)


@check(
    "4.2",
    probe=probes.downsample_reach,
    inputs=lambda g: {"x": pixels(g, 2, 5, 7, 10), "pixel": [2, 3]},
    call="Downsample(5)(x), x of shape (2, 5, 7, 10): which pixels of x matter for out[2, 3]?",
)
def test_downsample_looks_at_nine_pixels(got, ref, inputs):
    """Each pixel of the smaller image sees nine pixels of the larger one"""
    require(
        got["reach"] == [[row, column] for row in (3, 4, 5) for column in (5, 6, 7)],
        "the 3 x 3 pixels around row 4 and column 6, which lie twice as far from the corner",
        describe_reach(got["reach"]),
    )
    require_no_silence(got["silent"])


@check("4.2", probe=probes.downsample, inputs=HALVED, call=f"Downsample(C)(x), {WEIGHTS}")
def test_downsample_is_a_convolution(got, ref, inputs):
    """Downsample is one 3 x 3 convolution with stride 2 and padding 1"""
    require_resampled(
        got,
        [
            F.conv2d(x, probes.weight((x.shape[1], x.shape[1], 3, 3)), stride=2, padding=1)
            for x in inputs["images"]
        ],
        "sums of 3 x 3 pixels over all channels, at every second row and column, zeros outside "
        "the image, and nothing else",
    )


DOUBLED = image_shapes((2, 5, 3, 4), (3, 4, 2, 3), (2, 5, 1, 2), (1, 2, 5, 3))


@check(
    "4.2",
    probe=probes.upsample,
    inputs=DOUBLED,
    call="Upsample(channels=C)(x), x of shape (2, 5, 3, 4), (3, 4, 2, 3), (2, 5, 1, 2) and "
    "(1, 2, 5, 3)",
)
def test_upsample_shape(got, ref, inputs):
    """Upsample doubles height and width"""
    for out, x in zip(got["out"], inputs["images"]):
        batch, channels, height, width = x.shape
        shape = (batch, channels, 2 * height, 2 * width)
        require_tensor(out, f"the result for x of shape {tuple(x.shape)}", shape)
    require_own_kernel(got, inputs)


@check(
    "4.2",
    probe=probes.upsample_flat,
    inputs=lambda g: {"x": normal(g, 2, 5, 1, 1).expand(2, 5, 3, 4).clone()},
    call="Upsample(5)(x), x of shape (2, 5, 3, 4), each channel of one colour",
)
def test_upsample_keeps_an_even_colour_even(got, ref, inputs):
    """An evenly coloured image stays even inside: no checkerboard"""
    out = require_tensor(got["out"][0], "the result", (2, 5, 6, 8))
    inside = out[:, :, 1:-1, 1:-1]  # the rim feels the zeros of the padding
    require_close(
        inside,
        inside[:, :, :1, :1].expand_as(inside).clone(),
        "one colour in each channel, away from the rim: all four children of a pixel are made "
        "with the same weights",
        "the inside",
        **NETWORK,
    )


@check(
    "4.2",
    probe=probes.upsample_reach,
    inputs=lambda g: {"x": pixels(g, 2, 5, 4, 5), "pixel": [4, 5]},
    call="Upsample(5)(x), x of shape (2, 5, 4, 5): which pixels of x matter for out[4, 5]?",
)
def test_upsample_looks_at_four_pixels(got, ref, inputs):
    """A 3 x 3 window on repeated pixels sees four pixels of the smaller image"""
    require(
        got["reach"] == [[row, column] for row in (1, 2) for column in (2, 3)],
        "the pixels of x that are in rows 3 to 5 and columns 4 to 6 of the image with each pixel "
        "repeated: rows 1 to 2 and columns 2 to 3 of x",
        describe_reach(got["reach"]),
    )
    require_no_silence(got["silent"])


@check("4.2", probe=probes.upsample, inputs=DOUBLED, call=f"Upsample(C)(x), {WEIGHTS}")
def test_upsample_repeats_then_convolves(got, ref, inputs):
    """Upsample repeats each pixel 2 x 2 times, then convolves"""
    require_resampled(
        got,
        [
            F.conv2d(
                x.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3),
                probes.weight((x.shape[1], x.shape[1], 3, 3)),
                padding=1,
            )
            for x in inputs["images"]
        ],
        "a 3 x 3 convolution with padding 1 of the image in which each pixel fills a 2 x 2 square, "
        "and nothing else",
    )


@check(
    "4.2",
    probe=probes.resampled_elsewhere,
    inputs=lambda g: {"x": pixels(g, 2, 5, 6, 4)},
    call='Downsample(5)(x) and Upsample(5)(x), modules and x on another device (torch\'s "meta", '
    "which stands in for a GPU here)",
    seconds=SECONDS,
)
def test_resampling_stays_on_the_device_of_x(got, ref, inputs):
    """Both work where their weights and x are, on whatever device"""
    for name, place in zip(("Downsample", "Upsample"), got["places"]):
        require(
            place in ("meta", "unknown"),
            f"{name} to make new tensors on the device of x: on a GPU, code has to stay there",
            "an error: a tensor on the CPU met one on the other device"
            if place == "two devices meet"
            else "a result on the CPU",
        )


# 4.3


def attention_inputs(batch: int = 3, height: int = 4, width: int = 5):
    return lambda g: {"size": [6, 3], "x": pixels(g, batch, 6, height, width)}


def tokens(x: Tensor) -> Tensor:
    """(B, C, H, W) -> (B, N, C)."""
    return x.flatten(2).transpose(1, 2)


@check(
    "4.3",
    probe=probes.attention,
    inputs=attention_inputs(),
    call="SelfAttention(6, 3)(x), x of shape (3, 6, 4, 5)",
)
def test_attention_shape(got, ref, inputs):
    """Self-attention returns images of the same shape"""
    require_tensor(got["out"], "the result", (3, 6, 4, 5))


@check(
    "4.3",
    probe=probes.attention_silenced,
    inputs=lambda g: {"size": [6, 3], "x": 100 * pixels(g, 3, 6, 4, 5)},
    call="SelfAttention(6, 3)(x), x in the hundreds, all weights set to zero",
)
def test_attention_shortcut(got, ref, inputs):
    """With all weights zero, x comes back"""
    require_close(
        got["out"],
        inputs["x"],
        "x itself, as it was before the norm: the shortcut goes around all the rest",
        "the result",
    )


@check(
    "4.3",
    probe=probes.attention_company,
    inputs=attention_inputs(),
    call="attention(x) with a batch of 3, then with each image alone, with images that are cut out "
    "of wider tensors, and in eval mode",
)
def test_attention_stays_within_an_image(got, ref, inputs):
    """Pixels look at the pixels of their own image only"""
    require_company(got)


@check(
    "4.3",
    probe=probes.attention_shuffled,
    inputs=lambda g: {**attention_inputs()(g), "order": torch.randperm(20, generator=g)},
    call="attention(x), x of shape (3, 6, 4, 5), and attention of the same pixels in another order",
)
def test_attention_follows_a_shuffle(got, ref, inputs):
    """Attention does not know where a pixel is: shuffled pixels give the shuffled result"""
    out = require_tensor(got["out"], "the result", (3, 6, 4, 5))
    require_close(
        got["shuffled"],
        out.flatten(2)[:, :, inputs["order"]].reshape(out.shape),
        "the same result in the new order: each pixel keeps its own channels through all reshapes",
        "the result for the shuffled pixels",
        **NETWORK,
    )


@check(
    "4.3",
    probe=probes.attention_groups,
    inputs=lambda g: {
        **attention_inputs()(g),
        "scale": torch.tensor([30.0, 100.0, 50.0])[:, None, None, None],
        "shift": torch.tensor([50.0, -40.0, 20.0])[:, None, None, None],
    },
    call="attention = SelfAttention(6, 3); attention(x) - x, then again with channels 0 and 1 of x "
    "scaled and shifted together, and the other two pairs too",
)
def test_attention_norms_first(got, ref, inputs):
    """Query, key and value are made from the normalised image"""
    require_close(
        got["after"],
        require_tensor(got["before"], "the branch"),
        "the same branch: with 3 groups, 2 channels share one mean and one spread, which the norm "
        "takes out before anything else sees them",
        "the branch after the change",
        **LARGE,
    )


@check(
    "4.3",
    probe=probes.attention,
    inputs=lambda g: {
        "size": [6, 3],
        "x": pixels(g, 3, 6, 1, 1).expand(3, 6, 4, 5).clone(),
    },
    call="SelfAttention(6, 3)(x), in each image all pixels alike",
)
def test_attention_rows_sum_to_one(got, ref, inputs):
    """Where all pixels are alike, the average of their values is the value of one"""
    x = inputs["x"]
    square = probes.weight((6, 6))
    branch = tokens(F.group_norm(x, 3)) @ square.T @ square.T
    require_close(
        got["out"],
        x + branch.transpose(1, 2).reshape(x.shape),
        "x + W_o W_v n: a row of weights sums to 1, so 20 equal pixels average to one of them",
        "the result",
        **NETWORK,
    )


@check(
    "4.3",
    probe=probes.attention,
    inputs=lambda g: {"size": [6, 3], "scale": 0.5, "x": pixels(g, 4, 6, 1, 2)},
    call="SelfAttention(6, 3)(x), x of shape (4, 6, 1, 2): two pixels, so two weights a row",
)
def test_attention_temperature(got, ref, inputs):
    """The scores are divided by the square root of the number of channels before the softmax"""
    x = inputs["x"]
    out = require_tensor(got["out"], "the result", tuple(x.shape))
    square = 0.5 * probes.weight((6, 6)).double()
    q = k = v = tokens(F.group_norm(x, 3)).double() @ square.T  # (B, 2, C)
    values = v @ square.T
    # Each pixel receives a * values[0] + (1 - a) * values[1]; solve for a.
    line = (values[:, 0] - values[:, 1])[:, None]  # (B, 1, C)
    received = tokens(out - x).double() - values[:, 1:]
    a = (received * line).sum(-1) / (line * line).sum(-1)  # (B, 2)
    beside = (received - a[..., None] * line).norm(dim=-1) / line.norm(dim=-1)
    require(
        bool((beside < 1e-3).all() and (a > 0).all() and (a < 1).all()),
        "each pixel to receive a weighted mean of the two pixels' values, by two positive weights "
        "that sum to 1: the softmax runs over the pixels that are looked at",
        "no such mean in "
        f"{int(((beside >= 1e-3) | (a <= 0) | (a >= 1)).sum())} of {a.numel()} pixels",
    )
    # The softmax of two scores is the logistic function of their difference.
    gaps = (q * (k[:, :1] - k[:, 1:])).sum(-1)
    divisor = float((gaps * gaps).sum() / (torch.logit(a) * gaps).sum())
    require(
        abs(divisor - 6**0.5) < 0.02 * 6**0.5,
        "scores divided by sqrt(C), here 2.45, so that more channels do not sharpen the softmax",
        f"weights as from scores divided by {divisor:.3g}"
        if abs(divisor) < 1000
        else "equal weights, whatever the scores",
    )


@check(
    "4.3",
    probe=probes.attention,
    # Batch, height and width: none equal here; the next check has batch = width.
    inputs=attention_inputs(),
    call=f"SelfAttention(6, 3)(x), x of shape (3, 6, 4, 5), {WEIGHTS}",
)
def test_attention_formula(got, ref, inputs):
    """Every pixel receives what the pixels it looks at have to say"""
    require_close(
        got["out"],
        ref["out"],
        "x + W_o (A v), with A from the softmax over all pixels of the image, in one head",
        "the result",
        **NETWORK,
    )


@check(
    "4.3",
    probe=probes.attention_of_images,
    inputs=lambda g: {
        "size": [128, 4],
        "scale": 0.5,  # so that a pixel looks not at itself alone
        "images": [normal(g, 2, 128, 11, 13), normal(g, 1, 128, 2, 1)],
    },
    call=f"SelfAttention(128, 4)(x), x of shape (2, 128, 11, 13) and (1, 128, 2, 1), {WEIGHTS}",
)
def test_attention_reaches_every_pixel(got, ref, inputs):
    """In one head every pixel looks at all others, be the pixels and channels few or many"""
    for x, out, right in zip(inputs["images"], got["outs"], ref["outs"]):
        require_close(
            out,
            right,
            "x + W_o (A v), with A from the softmax over all pixels of the image, in one head",
            f"the result for x of shape {tuple(x.shape)}",
            **NETWORK,
        )


@check(
    "4.3",
    probe=probes.attention_default,
    inputs=lambda g: {"x": pixels(g, 3, 16, 4, 3)},
    call=f"SelfAttention(16)(x), x of shape (3, 16, 4, 3), {WEIGHTS}",
)
def test_attention_default_groups(got, ref, inputs):
    """Without a second argument the norm has 8 groups"""
    expected = "the same as with groups=8, which is what the signature says"
    require_close(got["out"], ref["out"], expected, "the result", **NETWORK)


@check(
    "4.3",
    probe=probes.attention_gradients,
    inputs=attention_inputs(),
    call="a backward pass through SelfAttention(6, 3)",
)
def test_attention_gradients(got, ref, inputs):
    """Gradients reach x and four separate matrices"""
    require_whole_gradient(got["x"], ref["x"], "x")
    require_no_silence(got["silent"])
    require(
        got["weights"] >= ref["weights"],
        "weights of their own for query, key, value and output: four matrices of C x C",
        f"{got['weights']} weights for C = 6",
    )


# 4.4

# The channels neither grow nor begin at base_channels: 8, 12 and 4.
CONFIG = {
    "image_channels": 3,
    "base_channels": 4,
    "channel_mults": (2, 3, 1),
    "time_dim": 10,
    "num_classes": 12,
    "groups": 2,
}
CALL = (
    "UNet(config, ...)(x, t, labels), 3 image channels, channels 8, 12 and 4 on three levels, "
    "x of shape (2, 3, 8, 12)"
)


def unet_inputs(batch: int = 2, height: int = 8, width: int = 12, **changes):
    def draw(g: torch.Generator) -> dict:
        t = torch.randint(1, 1999, (batch,), generator=g)
        t[0], t[-1] = 0, 1999  # a run of 2000 steps
        labels = torch.randint(0, 12, (batch,), generator=g)
        labels[-1] = 12  # the null label
        config = {**CONFIG, **changes}
        x = pixels(g, batch, config["image_channels"], height, width)
        return {"config": config, "x": x, "t": t, "labels": labels}

    return draw


def louder(inputs: dict) -> dict:
    """The same with images whose numbers reach hundreds."""
    return {**inputs, "x": 30 * inputs["x"]}


def channels_of(config: dict) -> list[int]:
    return [config["base_channels"] * mult for mult in config["channel_mults"]]


def plan(config: dict) -> list[dict]:
    """The calls of blocks that the diagram asks for, in order."""
    channels = channels_of(config)
    last = len(channels) - 1
    cond_dim, groups = 4 * config["base_channels"], config["groups"]
    steps: list[dict] = []

    def add(kind: str, where: str, made: list[int], level: int):
        steps.append({"kind": kind, "name": f"{kind} {where}", "made": made, "level": level})

    before = channels[0]
    for level, width in enumerate(channels):
        add("ResBlock", f"going down on level {level}", [before, width, cond_dim, groups], level)
        if level < last:
            add("Downsample", f"of level {level}", [width], level)
        before = width
    add("ResBlock", "at the start of the middle", [before, before, cond_dim, groups], last)
    if config.get("attention"):
        add("SelfAttention", "in the middle", [before, groups], last)
    add("ResBlock", "at the end of the middle", [before, before, cond_dim, groups], last)
    for level in range(last, -1, -1):
        width = channels[level]
        made = [before + width, width, cond_dim, groups]
        add("ResBlock", f"going up on level {level}", made, level)
        if level > 0:
            add("Upsample", f"of level {level}", [width], level)
        before = width
    return steps


def a(kind: str) -> str:
    return f"an {kind}" if kind == "Upsample" else f"a {kind}"


def require_steps(got: dict, config: dict) -> list[tuple[dict, dict]]:
    """Fail unless the blocks were called in the planned order; gives (planned, seen) pairs."""
    planned, seen = plan(config), got["steps"]
    for i, step in enumerate(planned):
        after = f" after the {planned[i - 1]['name']}" if i else " first"
        found = a(seen[i]["kind"]) if i < len(seen) else "the end of the network"
        require(
            i < len(seen) and seen[i]["kind"] == step["kind"],
            f"the {step['name']}{after}",
            f"{found} there",
        )
    extra = seen[len(planned) :]
    require(
        not extra,
        f"nothing after the {planned[-1]['name']} but norm, SiLU and conv_out",
        f"{len(extra)} more, the first {a(extra[0]['kind']) if extra else ''}",
    )
    return list(zip(planned, seen))


def recognise_input(x: Tensor, known: dict[str, Tensor]) -> str:
    """What x is made of, in words, if it is made of known results."""
    for name, value in known.items():
        if near(x, value):
            return name
    for name, value in known.items():
        for other, beside in known.items():
            fits = value.shape[0] == beside.shape[0] and value.shape[2:] == beside.shape[2:]
            if fits and near(x, torch.cat([value, beside], dim=1)):
                return f"{name}, joined with {other}"
            if value.shape == beside.shape and near(x, value + beside):
                return f"the sum of {name} and {other}"
    return f"something else, of shape {tuple(x.shape)}"


def require_flow(pairs: list[tuple[dict, dict]], upwards: bool) -> None:
    """Fail unless each block receives what the block before gave, going up with its skip."""
    known: dict[str, Tensor] = {}
    skips: dict[int, tuple[str, Tensor]] = {}
    before, h = "", None
    for step, seen in pairs:
        name, x = step["name"], seen["x"]
        going_up = step["kind"] == "ResBlock" and "going up" in name
        if h is None:
            known["the result of conv_in"] = x
        elif going_up and upwards:
            skip_name, skip = skips[step["level"]]
            # Both orders are the same network with the weights in another order.
            right = near(x, torch.cat([h, skip], 1)) or near(x, torch.cat([skip, h], 1))
            require(
                right,
                f"the {name} to receive {before}, joined along the channels with the skip of its "
                f"own level, {skip_name}",
                recognise_input(x, known),
            )
        elif not going_up and (upwards == (step["kind"] == "Upsample")):
            require(near(x, h), f"the {name} to receive {before}", recognise_input(x, known))
        h, before = seen["out"], f"the result of the {name}"
        if "going down" in name:
            skips[step["level"]] = before, h
        known[before] = h


def require_head_and_tail(got: dict, inputs: dict, config: dict, scale: float = 1.0) -> None:
    """Fail unless conv_in comes before the blocks, and norm, SiLU and conv_out after them.

    The norm's own scale is `scale` times the probes' gain.
    """
    steps, width = got["steps"], channels_of(config)[0]
    require(bool(steps), "blocks.ResBlock to be called", "no block of `blocks` called")
    x, colours = inputs["x"], config["image_channels"]
    require_close(
        steps[0]["x"],
        F.conv2d(x, probes.weight((width, colours, 3, 3)), padding=1),
        "conv_in(x), a 3 x 3 convolution with padding 1 from the image's channels to c_0, as the "
        "first block's input",
        "the first block's input",
        **LARGE,
    )
    h = steps[-1]["out"]
    require(
        h.shape[1] == width and h.shape[2:] == x.shape[2:],
        f"c_0 = {width} channels at full resolution after the last block",
        f"shape {tuple(h.shape)}",
    )
    h = F.silu(F.group_norm(h, config["groups"], scale * probes.gain((width,))))
    require_close(
        got["out"],
        F.conv2d(h, probes.weight((colours, width, 3, 3)), padding=1),
        "conv_out(SiLU(GroupNorm(h))) of the last block's result h, GroupNorm with config.groups "
        "groups, conv_out 3 x 3 with padding 1, and nothing after it",
        "the result",
        **LARGE,
    )


def require_cond(got: dict) -> None:
    """Fail unless every ResBlock was told the sum of both embeddings."""
    cond = got["given"][0] + got["given"][1]
    for number, seen in enumerate(step for step in got["steps"] if step["kind"] == "ResBlock"):
        require(
            near(seen["cond"], cond),
            "every ResBlock to receive time_embedding(t) + class_embedding(labels)",
            f"ResBlock number {number} (counted from 0) with {_which_cond(seen['cond'], got)}",
        )


def _which_cond(cond: Tensor, got: dict) -> str:
    time, label = got["given"]
    for name, value in (
        ("the time embedding alone", time),
        ("the class embedding alone", label),
        ("both embeddings side by side", torch.cat([time, label], dim=1)),
        ("the product of both", time * label),
        ("the SiLU of the sum", F.silu(time + label)),
        ("zeros", torch.zeros_like(time)),
    ):
        if near(cond, value):
            return name
    return f"something else, of shape {tuple(cond.shape)}"


def _equal(a: Tensor, b: Tensor) -> bool:
    """The same numbers, of whatever type."""
    return a.shape == b.shape and bool((a == b).all())


def require_embeddings(got: dict, inputs: dict) -> None:
    for name, asked, given, key in (
        ("time_embedding", got["asked"][0], got["given"][0], "t"),
        ("class_embedding", got["asked"][1], got["given"][1], "labels"),
    ):
        require(bool(asked) and given is not None, f"{name} to be called", "no call of it")
        for value in asked:
            other = "labels" if key == "t" else "t"
            require(
                _equal(value, inputs[key]),
                f"{name} to receive {key} as it came in",
                other
                if _equal(value, inputs[other])
                else f"other numbers, of shape {tuple(value.shape)}",
            )
            require(
                value.dtype == torch.int64,
                f"{name} to receive {key} in int64, as it came in",
                f"the same numbers in {value.dtype}",
            )


def require_made(pairs: list[tuple[dict, dict]]) -> None:
    """Fail unless each block was made for its place, and for one place only."""
    names = {
        "ResBlock": ("in_channels", "out_channels", "cond_dim", "groups"),
        "Downsample": ("channels",),
        "Upsample": ("channels",),
        "SelfAttention": ("channels", "groups"),
    }
    places: dict[int, str] = {}
    for step, seen in pairs:
        for argument, right, value in zip(names[step["kind"]], step["made"], seen["made"]):
            require(
                value == right,
                f"the {step['name']} to be made for the {argument} of its place",
                f"{argument} = {value}",
            )
        require(
            seen["block"] not in places,
            "a block of its own, with its own weights, in every place",
            f"the {step['name']} is the same block as the {places.get(seen['block'])}",
        )
        places[seen["block"]] = step["name"]


def require_whole(got: dict, inputs: dict, config: dict, scale: float = 1.0) -> None:
    """Everything that a single call of the network has to fulfil."""
    require_tensor(got["out"], "the result", tuple(inputs["x"].shape))
    require_embeddings(got, inputs)
    pairs = require_steps(got, config)
    require_cond(got)
    require_made(pairs)
    require_flow(pairs, upwards=False)
    require_flow(pairs, upwards=True)
    require_head_and_tail(got, inputs, config, scale)


@check("4.4", probe=probes.unet, inputs=unet_inputs(), call=CALL)
def test_unet_shape(got, ref, inputs):
    """The U-Net returns one number for every pixel and channel of x"""
    require_tensor(got["out"], "the result", tuple(inputs["x"].shape))


@check("4.4", probe=probes.unet, inputs=unet_inputs(), call=CALL)
def test_unet_cond(got, ref, inputs):
    """Every ResBlock is told the time and the class: the sum of both embeddings"""
    require_embeddings(got, inputs)
    require_cond(got)


@check("4.4", probe=probes.unet, inputs=unet_inputs(), call=CALL)
def test_unet_steps(got, ref, inputs):
    """Down, middle, up: the blocks run in the diagram's order"""
    require_steps(got, inputs["config"])


@check("4.4", probe=probes.unet, inputs=unet_inputs(), call=CALL)
def test_unet_widths(got, ref, inputs):
    """Every block is made for the channels that it meets, and used in one place only"""
    require_made(require_steps(got, inputs["config"]))


@check("4.4", probe=probes.unet, inputs=unet_inputs(), call=CALL)
def test_unet_way_down(got, ref, inputs):
    """On the way down and in the middle, each block receives what the one before gave"""
    require_flow(require_steps(got, inputs["config"]), upwards=False)


@check("4.4", probe=probes.unet, inputs=unet_inputs(), call=CALL)
def test_unet_skips(got, ref, inputs):
    """On the way up, each level receives the skip of the same level"""
    require_flow(require_steps(got, inputs["config"]), upwards=True)


@check("4.4", probe=probes.unet, inputs=unet_inputs(), call=f"{CALL}, {WEIGHTS}")
def test_unet_head_and_tail(got, ref, inputs):
    """conv_in comes first; GroupNorm, SiLU and conv_out come last"""
    require_head_and_tail(got, inputs, inputs["config"])


@check(
    "4.4",
    probe=probes.unet_attention,
    inputs=unet_inputs(),
    call="UNet(config, ...)(x, t, labels) with config.attention = False, then True",
)
def test_unet_attention(got, ref, inputs):
    """Attention comes between the two middle blocks, if the config asks for it"""
    for name, flag in (("without", False), ("with", True)):
        require_whole(got[name], inputs, {**inputs["config"], "attention": flag})


@check(
    "4.4",
    probe=probes.unet_levels,
    # Batch, height and width are equal; the labels' and the steps' axis cannot hide there.
    inputs=lambda g: {
        **louder(unet_inputs(batch=8, height=8, width=8, image_channels=2, attention=True)(g)),
        "mults": [(2,), (1, 2), (1, 2, 2), (1, 1, 1, 1)],
        "scale": 20.0,
    },
    call="UNet(config, ...)(x, t, labels) with 1, 2, 3 and 4 levels, x of shape (8, 2, 8, 8) in "
    "the hundreds, the scale of the norm at the end 20 times as large",
)
def test_unet_levels(got, ref, inputs):
    """The number of levels is the length of config.channel_mults"""
    for mults in inputs["mults"]:
        config = {**inputs["config"], "channel_mults": mults}
        require_whole(got[str(len(mults))], inputs, config, inputs["scale"])


SIZES = [
    ((2, 3, 1), (4, 12)),
    ((2, 3, 1), (20, 8)),
    ((2,), (5, 7)),
    ((2, 3), (6, 2)),
    ((2, 3, 1), (8, 10)),
    ((2, 3, 1), (6, 8)),
    ((2, 3, 1), (8, 9)),
    ((2, 3), (4, 3)),
    ((1, 2, 1, 2), (8, 16)),
    ((1, 2, 1, 2), (12, 8)),
    ((1, 2, 1, 2), (16, 4)),
]


@check(
    "4.4",
    probe=probes.unet_sizes,
    inputs=lambda g: {"config": dict(CONFIG), "sizes": SIZES},
    call="UNet(config, ...)(x, t, labels) with images of several heights and widths",
)
def test_unet_refuses_sizes_that_cannot_be_halved(got, ref, inputs):
    """A side that cannot be halved often enough is refused, and no other"""
    for (mults, (height, width)), found in zip(inputs["sizes"], got["found"]):
        levels = len(mults)
        times = {1: "never", 2: "once"}.get(levels, f"{levels - 1} times")
        stride = 2 ** (levels - 1)
        if height % stride or width % stride:
            require(
                found["raised"] == "ValueError",
                f"a ValueError for {height} x {width} pixels, which a network of {levels} levels "
                f"has to halve {times}: on the way up the sizes would not meet again",
                found["raised"] or f"a result of shape {tuple(found['shape'])}",
            )
        else:
            require(
                not found["raised"] and list(found["shape"][-2:]) == [height, width],
                f"a result for {height} x {width} pixels: a network of {levels} "
                f"level{'s' if levels > 1 else ''} halves them {times}, which goes evenly",
                found["raised"] or f"a result of shape {tuple(found['shape'])}",
            )


@check(
    "4.4",
    probe=probes.unet_again,
    inputs=unet_inputs(batch=3, attention=True),
    call="the network called twice, then with each image alone, with images that are cut out of "
    "wider tensors, and in eval mode",
)
def test_unet_forgets(got, ref, inputs):
    """Nothing is left over from an earlier call, or from another image of the batch"""
    require_close(
        got["second"],
        require_tensor(got["fresh"], "the result"),
        "the same result in a second call as from a fresh network: nothing of the first is kept",
        "the second call's result",
        **NETWORK,
    )
    require_company(got)


@check(
    "4.4",
    probe=probes.unet_gradients,
    inputs=unet_inputs(attention=True),
    call="a backward pass through UNet(config, ...) with config.attention = True",
)
def test_unet_is_trained_as_a_whole(got, ref, inputs):
    """All blocks belong to the network, and gradients reach every place, through the skips too"""
    require(
        not got["outside"],
        "every block among model.parameters(), so that the optimiser trains it",
        f"not among them: {', '.join(got['outside'])}. Is it in a plain list or dict? "
        "nn.Module only finds modules in attributes, nn.ModuleList and the like",
    )
    names = ("x", "the time embedding", "the class embedding")
    for name, key in zip(names, ("x", "time", "label")):
        require_whole_gradient(got[key], ref[key], name)
    require(
        len(got["blocks"]) == len(ref["blocks"]),
        f"{len(ref['blocks'])} blocks with weights of their own",
        f"{len(got['blocks'])} blocks",
    )
    for step, grad, right in zip(plan(inputs["config"]), got["blocks"], ref["blocks"]):
        require_whole_gradient(grad, right, f"the {step['name']}")
    require(
        got["own"] >= ref["own"],
        "gradients for the weights of conv_in and conv_out and for the scale of the norm",
        f"gradients for {got['own']} of their {ref['own']} numbers",
    )
