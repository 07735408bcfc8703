"""Checks of chapter 10: colour and size."""

import math

import torch
from torch import Tensor

from checks.probes import ch10_colour_and_size as probes
from checks.probes.toys import strided
from checks.test_ch04_unet import (
    SIZES,
    a,
    pixels,
    require_company,
    require_cond,
    require_embeddings,
    require_flow,
    require_head_and_tail,
    require_made,
    require_no_silence,
)
from checks.theory import (
    NETWORK,
    SECONDS,
    cosine_curve,
    draw_images,
    draw_seed,
    irregular_betas,
    require_each,
    require_generator_decides,
    require_same_device,
    require_value_errors,
    require_whole_gradient,
)
from course.grading.checking import (
    brief,
    check,
    require,
    require_close,
    require_number,
    require_tensor,
)

# 10.1

FOLDS = (((2, 3, 8, 12), 2), ((3, 2, 4, 8), 4), ((2, 1, 6, 3), 3), ((1, 4, 5, 7), 1))


def numbered(g: torch.Generator, shape: tuple[int, ...]) -> Tensor:
    """An image in which each number is there once, so that it can be told where each went."""
    count = math.prod(shape)
    return (1 + torch.randperm(count, generator=g)).float().view(shape)


def folded_shape(shape: tuple[int, ...], s: int) -> tuple[int, ...]:
    batch, channels, height, width = shape
    return batch, channels * s * s, height // s, width // s


def fold_inputs(g: torch.Generator) -> dict:
    """Images of several sizes, and latents in the shape that each is folded into."""
    return {
        "images": [numbered(g, shape) for shape, _ in FOLDS],
        "folded": [numbered(g, folded_shape(*fold)) for fold in FOLDS],
        "sizes": [s for _, s in FOLDS],
    }


def unfold_inputs(g: torch.Generator) -> dict:
    """The same for the way back: images are what is handed in there."""
    inputs = fold_inputs(g)
    return {**inputs, "images": inputs["folded"]}


def folded(x: Tensor, s: int) -> Tensor:
    """What to_patches has to give, number by number of the channels."""
    parts = [x[:, c, i::s, j::s] for c in range(x.shape[1]) for i in range(s) for j in range(s)]
    return torch.stack(parts, dim=1)


def unfolded(x: Tensor, s: int) -> Tensor:
    """What from_patches has to give."""
    batch, channels, height, width = x.shape
    out = x.new_zeros(batch, channels // (s * s), s * height, s * width)
    for number in range(channels):
        c, (i, j) = number // (s * s), divmod(number % (s * s), s)
        out[:, c, i::s, j::s] = x[:, number]
    return out


def require_in_place(value, right: Tensor, what: str) -> None:
    """Fail with one number that is not where it belongs."""
    value = require_tensor(value, what, tuple(right.shape), right.dtype)
    wrong = (value != right).nonzero()
    if len(wrong):
        here = tuple(int(i) for i in wrong[0])
        there = (right == value[here]).nonzero()
        found = f"what belongs to index {tuple(there[0].tolist())}" if len(there) else "another"
        require(
            False,
            f"{what} with each number where the docstring says",
            f"at index {here} {found}, and {len(wrong)} of {value.numel()} numbers elsewhere",
        )


FOLD_CALL = "to_patches(x, s), x of shape (2, 3, 8, 12) and s = 2, then three others"
UNFOLD_CALL = "from_patches(x, s), x of shape (2, 12, 4, 6) and s = 2, then three others"


@check("10.1", probe=probes.folded, inputs=fold_inputs, call=FOLD_CALL)
def test_patches_become_channels(got, ref, inputs):
    """Height and width become s times smaller, and there are s * s times as many channels"""
    for out, x, s in zip(got["out"], inputs["images"], inputs["sizes"]):
        name = f"the result for {tuple(x.shape)} and s = {s}"
        require_tensor(out, name, folded_shape(tuple(x.shape), s))


@check("10.1", probe=probes.folded, inputs=fold_inputs, call=FOLD_CALL)
def test_patches_keep_their_order(got, ref, inputs):
    """Row i and column j of a patch of channel c become channel c * s * s + i * s + j"""
    for out, x, s in zip(got["out"], inputs["images"], inputs["sizes"]):
        require_in_place(out, folded(x, s), f"to_patches(x, {s})")


@check("10.1", probe=probes.unfolded, inputs=unfold_inputs, call=UNFOLD_CALL)
def test_channels_become_patches(got, ref, inputs):
    """On the way back s * s channels become the rows and columns of a patch"""
    for out, x, s in zip(got["out"], inputs["images"], inputs["sizes"]):
        require_in_place(out, unfolded(x, s), f"from_patches(x, {s})")


@check(
    "10.1",
    probe=probes.folded_and_back,
    inputs=fold_inputs,
    call="from_patches(to_patches(x, s), s), and to_patches(from_patches(x, s), s)",
)
def test_patches_lead_back(got, ref, inputs):
    """Each of the two takes the other back"""
    for way, images in (("there and back", "images"), ("back and there", "folded")):
        for out, x in zip(got[way], inputs[images]):
            require_in_place(out, x, f"the image after {way} again")


TYPES = ("float32", "float64", "uint8", "int64")


def typed_images(g: torch.Generator) -> dict:
    bytes_ = torch.randint(0, 256, (2, 2, 12, 6, 4), generator=g)
    return {"to": bytes_[0, :, :3], "from": bytes_[1], "s": 2, "types": list(TYPES)}


@check(
    "10.1",
    probe=probes.folded_of_any_type,
    inputs=typed_images,
    call="to_patches(x, 2) and from_patches(x, 2), x not contiguous in memory, of several types",
)
def test_patches_of_any_type(got, ref, inputs):
    """Images keep their type, and may lie in memory as they like"""
    for way, right in (("to", folded), ("from", unfolded)):
        for name, out in zip(inputs["types"], got[way]):
            target = right(inputs[way], inputs["s"]).to(getattr(torch, name))
            require_in_place(out, target, f"{way}_patches of {name} numbers")


TO_SIZES = [((2, 3, 6, 8), 4), ((2, 3, 8, 6), 4), ((1, 1, 3, 4), 2), ((1, 1, 5, 5), 5)]
FROM_SIZES = [((2, 6, 3, 3), 2), ((2, 3, 4, 4), 2), ((1, 8, 2, 2), 3), ((1, 9, 1, 2), 3)]


@check(
    "10.1",
    probe=probes.folding_refused,
    inputs=lambda g: {"to": TO_SIZES, "from": FROM_SIZES},
    call="to_patches and from_patches of shapes that s divides, and of others",
)
def test_patches_that_do_not_fit_are_refused(got, ref, inputs):
    """What cannot be cut into patches is an error, and nothing else is"""
    for way, sizes in (("to", TO_SIZES), ("from", FROM_SIZES)):
        cases = [f"{way}_patches of shape {shape} with s = {s}" for shape, s in sizes]
        require_value_errors(got[way][:-1], cases[:-1])
        require(got[way][-1] == "nothing", f"a result for {cases[-1]}", f"{got[way][-1]} raised")


@check(
    "10.1",
    probe=probes.folded_elsewhere,
    inputs=lambda g: {"x": numbered(g, (2, 3, 4, 6)), "y": numbered(g, (2, 4, 3, 5)), "s": 2},
    call="to_patches(x, 2) and from_patches(x, 2), x on another device than the CPU",
    seconds=SECONDS,
)
def test_patches_on_any_device(got, ref, inputs):
    """The result lies where the image lies, on whatever device"""
    require_same_device(got["places"], "the result")


# 10.2

TEN_TWO = "shift_betas(betas, s)"
SHIFTS = (2, 3.0, 64 / 28, 0.5, 1)


def shifted(betas: Tensor, s: float) -> Tensor:
    """The shifted schedule's betas, in float64."""
    bars = torch.cumprod(1 - betas.double(), dim=0)
    spread = bars + s**2 * (1 - bars)
    before = torch.cat([torch.ones(1, dtype=torch.float64), spread[:-1]])
    return 1 - (1 - betas.double()) * before / spread


def some_betas(g: torch.Generator) -> dict:
    return {"all": [irregular_betas(g, 7, 0.05)], "sizes": list(SHIFTS)}


def log_snr(betas: Tensor) -> Tensor:
    bars = torch.cumprod(1 - betas.double(), dim=0)
    return torch.log(bars / (1 - bars))


@check("10.2", probe=probes.shifted, inputs=some_betas, call=TEN_TWO + ", T = 7, several s")
def test_shifted_betas_are_betas(got, ref, inputs):
    """There are as many betas as before, float32, each between 0 and 1"""
    for betas, s in zip(got["betas"][0], inputs["sizes"]):
        betas = require_tensor(betas, f"betas for s = {s:.3g}", (7,))
        require(
            bool(((betas > 0) & (betas < 1)).all()),
            f"betas between 0 and 1 for s = {s:.3g}",
            f"{float(betas.min()):.4g} to {float(betas.max()):.4g}",
        )


@check("10.2", probe=probes.shifted, inputs=some_betas, call=TEN_TWO + ", T = 7, several s")
def test_averages_have_the_old_snr(got, ref, inputs):
    """At each step the mean of s x s pixels has the SNR that one pixel had before the shift"""
    old = log_snr(inputs["all"][0])
    for betas, s in zip(got["betas"][0], inputs["sizes"]):
        averaged = log_snr(require_tensor(betas, "betas", (7,))) + 2 * math.log(s)
        require_each(
            averaged.exp(),
            old.exp(),
            f"for s = {s:.3g}, the mean of s x s pixels to have the SNR of `betas` at each step",
            lambda t, averaged=averaged: (
                f"{float((averaged - old).exp()[t]):.4g} times that SNR at t = {t}"
            ),
        )


@check("10.2", probe=probes.shifted, inputs=some_betas, call=TEN_TWO + ", s = 1")
def test_no_shift_changes_nothing(got, ref, inputs):
    """s = 1 gives the betas back"""
    one = inputs["sizes"].index(1)
    require_close(got["betas"][0][one], inputs["all"][0], "the same betas for s = 1", "betas")


def long_schedules(g: torch.Generator) -> dict:
    curve = cosine_curve(1000)
    cosine = (1 - curve[1:] / curve[:-1]).clamp(max=0.999).float()
    linear = torch.linspace(1e-4, 0.02, 1000)
    low = 1e-5 * (1 + torch.rand(3, generator=g))
    short = [low, torch.tensor([0.3]), torch.tensor([0.2, 0.5, 0.9995])]
    return {"all": [cosine, linear, *short], "sizes": [2, 64 / 28, 16, 0.25]}


@check(
    "10.2",
    probe=probes.shifted,
    inputs=long_schedules,
    call=TEN_TWO + ", the cosine and the linear schedule with T = 1000, and three short ones",
)
def test_shift_is_exact_at_the_ends(got, ref, inputs):
    """From the first step to the last each beta is right to a hundred-thousandth of itself"""
    for betas, found in zip(inputs["all"], got["betas"]):
        for s, value in zip(inputs["sizes"], found):
            value = require_tensor(value, "betas", tuple(betas.shape))
            right = shifted(betas, s)
            off = (value.double() / right - 1).abs()
            t = int(off.argmax())
            require(
                float(off[t]) < 1e-5,
                f"for T = {len(betas)} and s = {s:.3g}, beta_{t} = {float(right[t]):.7g}; in "
                "float32 the differences from 1 lose their digits, in float64 they do not",
                f"{float(value[t]):.7g}",
            )


@check(
    "10.2",
    probe=probes.shifted_by_name,
    inputs=lambda g: {
        "all": [
            irregular_betas(g, 5, 0.02).double(),
            strided(irregular_betas(g, 12, 0.02).view(3, 4))[:, 1],
        ],
        "s": 4,
    },
    call="shift_betas(betas=betas, s=4), betas in float64, then a column of a table",
)
def test_shift_of_any_betas(got, ref, inputs):
    """Betas may be float64, and lie in memory as they like; float32 comes out"""
    for betas, value in zip(inputs["all"], got["betas"]):
        right = shifted(betas, 4).float()
        require_close(value, right, "the betas of the shifted schedule, in float32", "betas")


@check(
    "10.2",
    probe=probes.shifted_twice,
    inputs=lambda g: {"betas": irregular_betas(g, 6, 0.05), "sizes": [2, 1.5]},
    call="shift_betas(shift_betas(betas, 2), 1.5)",
)
def test_shifts_add_up(got, ref, inputs):
    """Shifted for twice the size, and again for 1.5 times that, is shifted for three times"""
    right = shifted(inputs["betas"], 3).float()
    require_close(got["betas"], right, "the betas that s = 3 gives at once", "betas")


@check(
    "10.2",
    probe=probes.shift_refused,
    inputs=lambda g: {"betas": irregular_betas(g, 4, 0.05), "sizes": [0, -1, -0.5, math.nan, 0.01]},
    call=TEN_TWO + ", s = 0, -1, -0.5, nan and 0.01",
)
def test_shift_needs_a_size(got, ref, inputs):
    """There is no schedule for a size of 0 or below"""
    require_value_errors(got["raised"][:4], ["s = 0", "s = -1", "s = -0.5", "s = nan"])
    require(got["raised"][4] == "nothing", "a result for s = 0.01", f"{got['raised'][4]} raised")


@check(
    "10.2",
    probe=probes.shifted_elsewhere,
    inputs=lambda g: {"betas": irregular_betas(g, 5, 0.05)},
    call=TEN_TWO + ", betas on another device than the CPU",
    seconds=SECONDS,
)
def test_shift_on_any_device(got, ref, inputs):
    """The new betas lie where the old ones lie, on whatever device"""
    require_same_device(got["places"], "the betas")


# 10.3

TEN_THREE = "flip_some(pixels, labels, may_flip, generator)"


def flip_inputs(g: torch.Generator) -> dict:
    """Twelve images of five classes, as many as there are columns; three classes may be flipped."""
    labels = torch.tensor([4, 0, 1, 3, 0, 2, 4, 1, 3, 0, 4, 0])
    return {
        "pixels": draw_images(g, (12, 2, 5, 12)),
        "labels": labels,
        "may_flip": torch.tensor([True, False, True, False, True]),
        "seed": draw_seed(g),
        "calls": 1000,
    }


FLIP_CALL = TEN_THREE + ", 12 images, 12 columns, may_flip = [True, False, True, False, True]"


def require_forms(found: set, where: str) -> None:
    """Fail unless images stayed as they were, or were mirrored."""
    strange = sorted(found - {"as it was", "mirrored left to right"})
    require(
        not strange,
        f"{where} either as it was or mirrored left to right, and in its own place",
        f"one that was {strange[0]}" if strange else "",
    )


@check("10.3", probe=probes.flipped_once, inputs=flip_inputs, call=FLIP_CALL)
def test_flipping_gives_the_images_back(got, ref, inputs):
    """As many images come back as came in, each as it was or mirrored"""
    pixels = require_tensor(got["pixels"], "the pixels", (12, 2, 5, 12))
    require_forms(
        {probes.form_of(x, inputs["pixels"], i) for i, x in enumerate(pixels)}, "every image"
    )


@check("10.3", probe=probes.flipped, inputs=flip_inputs, call=FLIP_CALL + ", 1000 times")
def test_flipping_is_left_to_right(got, ref, inputs):
    """Each image stays in its place, and is as it was or mirrored left to right"""
    require_forms({form for forms in got["forms"] for form in forms}, "every image")


@check("10.3", probe=probes.flipped, inputs=flip_inputs, call=FLIP_CALL + ", 1000 times")
def test_labels_decide_who_may_be_flipped(got, ref, inputs):
    """An image whose label may not be mirrored is never mirrored"""
    for label, forms in zip(inputs["labels"].tolist(), got["forms"]):
        may = bool(inputs["may_flip"][label])
        require(
            may or forms == ["as it was"],
            f"images with label {label} as they were: may_flip[{label}] is False",
            f"images that were {' and '.join(forms)}",
        )
        require(
            not may or "mirrored left to right" in forms,
            f"some images with label {label} mirrored: may_flip[{label}] is True",
            f"images that were {' and '.join(forms)} in 20 calls",
        )


@check("10.3", probe=probes.flipped, inputs=flip_inputs, call=FLIP_CALL + ", 1000 times")
def test_half_of_them_are_flipped(got, ref, inputs):
    """Of those that may be mirrored half are"""
    for label, share in zip(inputs["labels"].tolist(), got["shares"]):
        # A share of 1000 coins varies by 0.016, and is rounded to tenths in the probe.
        right = 0.5 if inputs["may_flip"][label] else 0.0
        require(
            share == right,
            f"an image with label {label} mirrored in {right:.0%} of the calls",
            f"about {share:.0%}",
        )


def all_may_flip(g: torch.Generator) -> dict:
    return {**flip_inputs(g), "may_flip": torch.ones(5, dtype=torch.bool)}


@check(
    "10.3",
    probe=probes.flipped,
    inputs=all_may_flip,
    call=TEN_THREE + ", 12 images that may all be flipped, 1000 times",
)
def test_each_image_has_its_own_coin(got, ref, inputs):
    """Each image is mirrored or not whatever becomes of the others"""
    require(
        got["variance"] != 0 or any(got["shares"]),
        "images that may all be flipped to be mirrored in half of the calls",
        "none was mirrored in any call",
    )
    # Twelve coins: a variance of 3, which varies by 0.13 over 1000 calls; the probe rounds it.
    require(
        2 <= got["variance"] <= 4,
        "the number of mirrored images to spread as that of twelve coins (variance 3)",
        f"a variance of about {got['variance']}",
    )


@check(
    "10.3",
    probe=probes.flipped_of_any_type,
    inputs=lambda g: {
        **flip_inputs(g),
        "pixels": torch.randint(0, 256, (12, 3, 4, 6), generator=g),
        "types": ["float64", "uint8", "int64"],
    },
    call=TEN_THREE + ", pixels not contiguous in memory, of several types",
)
def test_flipping_of_any_type(got, ref, inputs):
    """Images keep their type, and may lie in memory as they like"""
    for name, found in zip(inputs["types"], got["found"]):
        require(
            found["type"] == f"torch.{name}" and found["shape"] == [12, 3, 4, 6],
            f"pixels of shape (12, 3, 4, 6) in torch.{name}",
            f"shape {tuple(found['shape'])} in {found['type']}",
        )
        require_forms(set(found["forms"]), f"every image of {name} numbers")


def require_generator(got: dict, what: str) -> None:
    require_generator_decides(got, what, "call")
    require(
        got["torch's own untouched"],
        "torch's own random generator to stay as it was",
        "it was used, or given a seed",
    )


@check(
    "10.3",
    probe=probes.flipped_again,
    inputs=lambda g: {
        **flip_inputs(g),
        "pixels": draw_images(g, (60, 1, 2, 3)),
        "labels": torch.randint(0, 5, (60,), generator=g),
    },
    call=TEN_THREE + ", 60 images, several times, with equal and with other generators",
)
def test_flipping_draws_from_the_generator(got, ref, inputs):
    """The same generator mirrors the same images, another others; torch's own is left alone"""
    require_generator(got, "images")


@check(
    "10.3",
    probe=probes.flipped_elsewhere,
    inputs=flip_inputs,
    call=TEN_THREE + ", images, labels and generator on another device than the CPU",
    seconds=SECONDS,
)
def test_flipping_on_any_device(got, ref, inputs):
    """The result lies where the images lie, on whatever device"""
    require_same_device(got["places"], "the result")


# 10.4

KL_CALL = "gaussian_kl(mean, log_var)"
DRAW_CALL = "sample_posterior(mean, log_var, generator)"


def codes(g: torch.Generator) -> dict:
    """Means and log-variances of several sizes, some of them far out."""
    shapes = ((3, 2, 4, 5), (1, 4, 2, 3), (5, 1, 3, 2))
    pairs = [torch.randn(2, *shape, generator=g) for shape in shapes]
    pairs[1] *= 4
    return {"codes": [[strided(mean), log_var] for mean, log_var in pairs]}


def kl_of(mean: Tensor, log_var: Tensor) -> Tensor:
    """The divergence by torch's own distributions, in float64."""
    normal = torch.distributions.Normal(mean.double(), (log_var.double() / 2).exp())
    noise = torch.distributions.Normal(
        torch.zeros_like(mean.double()), torch.ones_like(mean.double())
    )
    return torch.distributions.kl_divergence(normal, noise).sum(dim=(1, 2, 3))


@check("10.4", probe=probes.divergence, inputs=codes, call=KL_CALL + " of shape (3, 2, 4, 5)")
def test_one_divergence_for_each_image(got, ref, inputs):
    """There is one number for each image"""
    for kl, (mean, _) in zip(got["kl"], inputs["codes"]):
        require_tensor(kl, "the divergences", (len(mean),))


@check(
    "10.4",
    probe=probes.divergence,
    inputs=lambda g: {"codes": [[torch.zeros(2, 3, 4, 5)] * 2, list(known_codes(g))]},
    call=KL_CALL + ", mean = 0 and log_var = 0; then one of them not 0 in each image",
)
def test_divergence_of_known_gaussians(got, ref, inputs):
    """N(0, 1) has none, one whose mean is 2 has 2 for each number, and none has less than 0"""
    require_close(
        got["kl"][0], torch.zeros(2), "0 for mean = 0 and log_var = 0, which is noise itself",
        "the divergences",
    )  # fmt: skip
    right = kl_of(*inputs["codes"][1]).float()
    names = ("mean = 2", "mean = -2", "variance 4", "variance 1/4")
    for kl, wanted, name in zip(
        require_tensor(got["kl"][1], "the divergences", (4,)), right, names
    ):
        require_close(
            kl, wanted, f"{float(wanted):.5g} for 60 numbers with {name}, all else as in N(0, 1)",
            "the divergence",
        )  # fmt: skip


def known_codes(g: torch.Generator) -> tuple[Tensor, Tensor]:
    """Four images: two whose mean is 2 and -2, two whose variance is 4 and 1/4."""
    mean, log_var = torch.zeros(2, 4, 3, 4, 5)
    mean[0], mean[1], log_var[2], log_var[3] = 2, -2, math.log(4), -math.log(4)
    return mean, log_var


@check("10.4", probe=probes.divergence, inputs=codes, call=KL_CALL + ", three batches")
def test_divergence_is_that_of_theory(got, ref, inputs):
    """It is the divergence from N(0, 1), summed over the numbers of a latent"""
    for kl, (mean, log_var) in zip(got["kl"], inputs["codes"]):
        require_close(
            kl, kl_of(mean, log_var).float(), "KL( N(mean, exp(log_var)) || N(0, 1) ), summed",
            "the divergences", atol=1e-5,
        )  # fmt: skip


@check(
    "10.4",
    probe=probes.divergence_by_name,
    inputs=codes,
    call="gaussian_kl(mean=mean, log_var=log_var), both not contiguous in memory",
)
def test_divergence_by_name(got, ref, inputs):
    """The arguments have their names"""
    right = kl_of(*inputs["codes"][0]).float()
    require_close(got["kl"][0], right, "the same divergences", "the divergences", atol=1e-5)


@check("10.4", probe=probes.divergence_gradient, inputs=codes, call=KL_CALL + " and its gradient")
def test_divergence_pulls_to_noise(got, ref, inputs):
    """The gradients are mean, and half of the variance less 1: both are 0 for noise alone"""
    mean, log_var = inputs["codes"][0]
    spread = (log_var.exp() - 1) / 2
    require_whole_gradient(got["mean"], mean, "mean", "the gradient of mean to be mean itself")
    require_whole_gradient(
        got["log_var"], spread, "log_var", "the gradient of log_var to be (exp(log_var) - 1) / 2"
    )


def draw_inputs(g: torch.Generator) -> dict:
    return {
        "mean": 3 * torch.randn(4, 3, 6, 5, generator=g),
        "log_vars": torch.tensor([-3.0, 0.0, 1.0, 2.5]),
        "wide": torch.randn(4, 3, 6, 5, generator=g),
    }


@check(
    "10.4",
    probe=probes.drawn,
    inputs=draw_inputs,
    call=DRAW_CALL
    + ", mean of shape (4, 3, 6, 5), log_var = -3, 0, 1 and 2.5; then -200 everywhere",
)
def test_latents_lie_around_the_mean(got, ref, inputs):
    """With hardly any variance the latent is the mean"""
    if not isinstance(got["z"], list):
        require_tensor(got["z"], "the latent")
    require(
        got["z"] == [[4, 3, 6, 5], "torch.float32"],
        "a latent of shape (4, 3, 6, 5) in torch.float32",
        f"shape {tuple(got['z'][0])} in {got['z'][1]}",
    )
    require_close(got["sure"], inputs["mean"], "the mean", "the latent for log_var = -200")


@check(
    "10.4",
    probe=probes.drawn,
    inputs=draw_inputs,
    call=DRAW_CALL + ", log_var = -3, 0, 1 and 2.5, with generators of one seed",
)
def test_latents_have_their_width(got, ref, inputs):
    """The same draw is exp(log_var / 2) times as far from the mean"""
    require(
        got["rest"] is True,
        "z to be the mean, and a multiple of the same draw for the same seed",
        "something else, which no multiple of the draw explains",
    )
    right = (inputs["log_vars"] / 2).exp()
    width = require_tensor(got["width"], "the widths", (4,))
    for value, wanted, log_var in zip(width, right, inputs["log_vars"].tolist()):
        require_number(
            float(value), float(wanted),
            f"for log_var = {log_var:g} a spread {float(wanted):.4g} times that for log_var = 0",
            "that factor", rtol=1e-3,
        )  # fmt: skip


@check(
    "10.4",
    probe=probes.drawn_noise,
    inputs=lambda g: {"shape": (24, 5, 8, 12), "calls": 4, "seed": draw_seed(g)},
    call=DRAW_CALL + " four times, mean = 0 and log_var = 0 of shape (24, 5, 8, 12)",
)
def test_latents_are_drawn_anew(got, ref, inputs):
    """The draws follow the bell curve, new for every image and every number"""
    # 46,080 draws: mean, variance and share vary by 0.005, 0.007 and 0.001; the probe rounds them.
    require(
        got["mean"] == 0 and abs(got["variance"] - 1) < 0.15,
        "draws of mean 0 and variance 1",
        f"mean {got['mean']:g} and variance {got['variance']:g}",
    )
    require(
        abs(got["beyond two"] - 0.0455) < 0.016,
        "the bell curve: 4.6 % of the numbers beyond -2 or 2",
        f"{100 * got['beyond two']:.0f} % of them",
    )
    for name in ("calls", "images", "channels", "rows", "columns"):
        require(
            not got[name],
            "a draw of its own for every number of every image, in every call",
            f"the same draws, or nearly, in two {name}",
        )


@check(
    "10.4",
    probe=probes.drawn_again,
    inputs=draw_inputs,
    call=DRAW_CALL + ", several times, with equal and with other generators",
)
def test_latents_draw_from_the_generator(got, ref, inputs):
    """The same generator gives the same latents, another others; torch's own is left alone"""
    require_generator(got, "latents")


@check(
    "10.4",
    probe=probes.drawn_gradient,
    inputs=draw_inputs,
    call=DRAW_CALL + ", and the gradient of the sum of z",
)
def test_gradients_pass_the_draw(got, ref, inputs):
    """The latent moves with the mean, and with log_var by half of its distance from the mean"""
    ones = torch.ones(4, 3, 6, 5)
    require_whole_gradient(got["mean"], ones, "mean", "z to move as far as mean does")
    require_whole_gradient(
        got["log_var"], ones / 2, "log_var", "z to move by half of its distance from mean"
    )


@check(
    "10.4",
    probe=probes.drawn_elsewhere,
    inputs=draw_inputs,
    call=DRAW_CALL + " and " + KL_CALL + ", all of it on another device than the CPU",
    seconds=SECONDS,
)
def test_latents_on_any_device(got, ref, inputs):
    """Latents and divergences lie where the mean lies, on whatever device"""
    require_same_device(got["z"], "the latent")
    require_same_device(got["kl"], "the divergences")


# 10.5

# Neither do the channels grow nor begin at base_channels: 8, 12 and 4. No two numbers are equal.
AUTOENCODER = {
    "image_channels": 3,
    "base_channels": 4,
    "channel_mults": (2, 3, 1),
    "latent_channels": 5,
    "groups": 2,
}
AUTO_CALL = (
    "Autoencoder(config), 3 image channels, channels 8, 12 and 4 on three levels, 5 latent "
    "channels, x of shape (2, 3, 8, 12)"
)
KNOWN = ", every weight at a value that the check sets, biases zero"

CHANGES = [
    {},
    {"channel_mults": (2,)},
    {"channel_mults": (3, 2), "image_channels": 1},
    {"channel_mults": (1, 3, 2, 3), "latent_channels": 7, "groups": 4},
]


def factor_of(config: dict) -> int:
    return 2 ** (len(config["channel_mults"]) - 1)


def latent_shape(config: dict, x: Tensor) -> tuple[int, ...]:
    factor = factor_of(config)
    return len(x), config["latent_channels"], x.shape[2] // factor, x.shape[3] // factor


def auto_inputs(g: torch.Generator, batch: int = 2, **changes) -> dict:
    config = {**AUTOENCODER, **changes}
    x = pixels(g, batch, config["image_channels"], 8, 12)
    return {"config": config, "x": x, "z": torch.randn(latent_shape(config, x), generator=g)}


def several_autoencoders(g: torch.Generator) -> dict:
    ones = [auto_inputs(g, **changes) for changes in CHANGES]
    ones[-1] = {**ones[-1], "x": pixels(g, 2, 3, 16, 8)}
    ones[-1]["z"] = torch.randn(latent_shape(ones[-1]["config"], ones[-1]["x"]), generator=g)
    return {
        "config": AUTOENCODER,
        "changes": CHANGES,
        "x": [one["x"] for one in ones],
        "z": [one["z"] for one in ones],
    }


SEVERAL_CALL = "Autoencoder(config) with 3, 1, 2 and 4 levels, and encode(x) and decode(z) of each"


def configs(inputs: dict) -> list[dict]:
    return [{**AUTOENCODER, **changes} for changes in inputs["changes"]]


@check("10.5", probe=probes.autoencoders, inputs=several_autoencoders, call=SEVERAL_CALL)
def test_latents_are_small(got, ref, inputs):
    """encode gives a pair, config.factor times smaller; decode gives an image of the full size"""
    for config, x, code, image in zip(configs(inputs), inputs["x"], got["codes"], got["images"]):
        factor = factor_of(config)
        for name, part in zip(("mean", "log_var"), code):
            require_tensor(part, f"{name} with factor {factor}", latent_shape(config, x))
        require_tensor(image, f"the image with factor {factor}", tuple(x.shape))


@check(
    "10.5",
    probe=probes.autoencoder_halves,
    inputs=auto_inputs,
    call=AUTO_CALL + ", encode(x) with the weights of the beginning",
)
def test_mean_and_log_var_are_two_things(got, ref, inputs):
    """Mean and log_var have weights of their own"""
    require(
        got["same"] is False,
        "a mean and a log_var that differ: each has channels of its own in the last convolution",
        "the same numbers twice",
    )


@check(
    "10.5",
    probe=probes.autoencoder_company,
    inputs=lambda g: auto_inputs(g, batch=3),
    call=AUTO_CALL + ", in company and alone, in training and in eval mode",
)
def test_autoencoder_keeps_images_apart(got, ref, inputs):
    """What becomes of an image depends on this image alone, in training and in eval mode"""
    for name in ("encode", "decode"):
        require_company(got[name])


@check(
    "10.5",
    probe=probes.autoencoder_again,
    inputs=auto_inputs,
    call=AUTO_CALL + ", decode(z) before any encode and after several, encode(x) twice",
)
def test_decoder_knows_the_latent_alone(got, ref, inputs):
    """The decoder is told the latent and nothing else, and the encoder leaves nothing to chance"""
    first = require_tensor(got["first"], "the image", tuple(inputs["x"].shape))
    for later in got["later"]:
        require_close(
            later, first, "the same image from the same latent, whatever was encoded before",
            "the image", **NETWORK,
        )  # fmt: skip
    for one, other in zip(*got["codes"]):
        require_close(
            other, require_tensor(one, "what encode gives"),
            "the same mean and log_var for the same image again: nothing is drawn here",
            "what encode gives", **NETWORK,
        )  # fmt: skip


@check(
    "10.5",
    probe=probes.autoencoder_range,
    inputs=auto_inputs,
    call=AUTO_CALL + KNOWN + ", 300 times as large as in the other checks",
)
def test_nothing_is_squeezed(got, ref, inputs):
    """mean, log_var and image may be any numbers, on both sides of 0"""
    for name in ("mean", "log_var", "image"):
        low, high = got[name]
        require(
            low < -100 and high > 100,
            f"{name} below -100 and above 100 somewhere: with these weights nothing else stops it",
            f"{low:.3g} to {high:.3g}",
        )


@check("10.5", probe=probes.autoencoders, inputs=several_autoencoders, call=SEVERAL_CALL + KNOWN)
def test_encoder_is_that_of_the_diagram(got, ref, inputs):
    """From conv_in over ConvBlock and Halve to the last convolution, as in the diagram"""
    for config, code, right in zip(configs(inputs), got["codes"], ref["codes"]):
        for name, one, other in zip(("mean", "log_var"), code, right):
            require_close(
                one, other,
                "conv_in, on each level a ConvBlock and (but on the last) a Halve, then GroupNorm, "
                f"SiLU and a 3 x 3 convolution, with channels {config['channel_mults']} times "
                f"{config['base_channels']}; the first half of it is mean, the last half log_var",
                name, **NETWORK,
            )  # fmt: skip


@check("10.5", probe=probes.autoencoders, inputs=several_autoencoders, call=SEVERAL_CALL + KNOWN)
def test_decoder_is_that_of_the_diagram(got, ref, inputs):
    """From a convolution over ConvBlock and Double to conv_out, as in the diagram"""
    for config, image, right in zip(configs(inputs), got["images"], ref["images"]):
        require_close(
            image, right,
            "a 3 x 3 convolution, on each level a ConvBlock and (but on level 0) a Double, then "
            f"GroupNorm, SiLU and conv_out, with channels {config['channel_mults']} times "
            f"{config['base_channels']} from the last to the first",
            "the image", **NETWORK,
        )  # fmt: skip


AUTO_SIZES = [
    ((2, 3, 1), (10, 8)),
    ((2, 3, 1), (8, 6)),
    ((2, 3), (7, 8)),
    ((1, 3, 2, 3), (12, 16)),
    ((2, 3, 1), (4, 12)),
    ((2, 3), (6, 2)),
    ((2,), (5, 7)),
]


@check(
    "10.5",
    probe=probes.autoencoder_sizes,
    inputs=lambda g: {"config": AUTOENCODER, "sizes": AUTO_SIZES},
    call="encode(x) with images of several heights and widths, and 1 to 4 levels",
)
def test_encoder_refuses_sizes_that_do_not_fit(got, ref, inputs):
    """Height and width have to be multiples of config.factor, and may be any"""
    for (mults, (height, width)), raised in zip(inputs["sizes"], got["raised"]):
        factor = 2 ** (len(mults) - 1)
        fits = not (height % factor or width % factor)
        require(
            raised == ("nothing" if fits else "ValueError"),
            f"{'a result' if fits else 'a ValueError'} for {height} x {width} pixels, where "
            f"config.factor is {factor}",
            "a result" if raised == "nothing" else f"{raised} was raised",
        )


@check(
    "10.5",
    probe=probes.autoencoder_gradients,
    inputs=auto_inputs,
    call=AUTO_CALL + KNOWN + ", and a backward pass through encode and decode",
)
def test_autoencoder_is_trained_as_a_whole(got, ref, inputs):
    """All parts belong to the autoencoder, and gradients reach every weight"""
    require(
        got["weights"] == ref["weights"],
        f"{ref['weights']} numbers in the weights that parameters() lists, which the optimiser "
        "trains",
        f"{got['weights']}. Is a part in a plain list? nn.Module looks into nn.ModuleList and "
        "nn.Sequential only",
    )
    require_no_silence(got["silent"])
    for name in ("x", "z"):
        require_whole_gradient(got[name], ref[name], name)


# 10.6

TEN_SIX = "autoencoder_loss(autoencoder, x, kl_weight, generator, sample_posterior, gaussian_kl)"


def taught_inputs(g: torch.Generator, shape=(3, 2, 4, 6), latent=5, kl_weight=0.3) -> dict:
    """An affine autoencoder, images, and what the draw and the divergence add of their own."""
    batch, channels, height, width = shape
    normal = {
        "mean": (latent, channels),
        "log_var": (latent, channels),
        "image": (channels, latent),
    }
    return {
        "x": strided(draw_images(g, shape)),
        "weights": {name: torch.randn(sides, generator=g) for name, sides in normal.items()},
        "noise": torch.randn(batch, latent, height // 2, width // 2, generator=g),
        "more": 40 * torch.rand(batch, generator=g),
        "kl_weight": kl_weight,
    }


def theory_of(inputs: dict, weights: dict, kl_weight: float | None = None) -> Tensor:
    """The loss, in float64, of these weights."""
    x = inputs["x"].double()
    small = x[:, :, ::2, ::2]
    mean, log_var = (
        torch.einsum("dc,bchw->bdhw", weights[name], small) for name in ("mean", "log_var")
    )
    z = 0.7 * mean + 0.3 * log_var + inputs["noise"]
    image = torch.einsum("cd,bdhw->bchw", weights["image"], z) + 0.5
    image = image.repeat_interleave(2, 2).repeat_interleave(2, 3)
    kl = (0.4 * mean**2 - 0.2 * log_var).sum(dim=(1, 2, 3)) + inputs["more"]
    weight = inputs["kl_weight"] if kl_weight is None else kl_weight
    return (image - x).square().mean() + weight * kl.mean() / mean[0].numel()


def doubled(inputs: dict) -> dict[str, Tensor]:
    return {name: value.double() for name, value in inputs["weights"].items()}


@check("10.6", probe=probes.taught, inputs=taught_inputs, call=TEN_SIX)
def test_loss_encodes_and_draws(got, ref, inputs):
    """The images are encoded once, and one latent of each is drawn with the generator"""
    require_tensor(got["loss"], "the loss", ())
    require(len(got["encoded"]) == 1, "one call of encode", f"{len(got['encoded'])} calls")
    require_close(got["encoded"][0], inputs["x"], "encode to be handed x", "what it is handed")
    require(len(got["drawn"]) == 1, "one call of sample_posterior", f"{len(got['drawn'])} calls")
    for name, part, right in zip(("mean", "log_var"), got["drawn"][0], got["given"][0]):
        require_close(part, right, f"sample_posterior to be handed {name} as encode gave it", name)
    require(got["sources"] == [True], "sample_posterior to be handed the generator", "another")


@check("10.6", probe=probes.taught, inputs=taught_inputs, call=TEN_SIX)
def test_loss_decodes_what_was_drawn(got, ref, inputs):
    """What is decoded is the latent that was drawn, not the mean"""
    require(len(got["decoded"]) == 1, "one call of decode", f"{len(got['decoded'])} calls")
    mean, log_var = got["given"][0]
    z = 0.7 * mean + 0.3 * log_var + inputs["noise"]
    require_close(
        got["decoded"][0], z,
        "decode to be handed what sample_posterior draws from mean and log_var, in this order",
        "what it is handed",
    )  # fmt: skip


@check("10.6", probe=probes.taught, inputs=taught_inputs, call=TEN_SIX)
def test_loss_measures_the_divergence(got, ref, inputs):
    """gaussian_kl is asked about mean and log_var"""
    require(len(got["measured"]) > 0, "a call of gaussian_kl", "no call of it")
    for call in got["measured"]:
        for name, part, right in zip(("mean", "log_var"), call, got["given"][0]):
            require_close(part, right, f"gaussian_kl to be handed {name} as encode gave it", name)


def require_loss(loss, right: float, expected: str) -> None:
    loss = require_tensor(loss, "the loss", ())
    require_number(float(loss), right, expected, "the loss", rtol=1e-4, atol=1e-7)


@check(
    "10.6",
    probe=probes.taught_by_weights,
    inputs=lambda g: {**taught_inputs(g), "kl_weights": [0.0, 1e-6]},
    call=TEN_SIX + ", kl_weight = 0 and 0.000001",
)
def test_loss_is_the_error_where_the_leash_is_loose(got, ref, inputs):
    """With a weight of 0 the loss is the mean squared error, over batch and pixels"""
    for kl_weight, loss in zip(inputs["kl_weights"], got["losses"]):
        require_loss(
            loss, float(theory_of(inputs, doubled(inputs), kl_weight)),
            f"the mean of ( decode(z) - x )^2: kl_weight = {kl_weight:g} adds next to nothing",
        )  # fmt: skip


@check(
    "10.6",
    probe=probes.taught_by_weights,
    inputs=lambda g: {**taught_inputs(g), "kl_weights": [0.004, 0.3, 1.0, 1000.0]},
    call=TEN_SIX + ", kl_weight = 0.004, 0.3, 1 and 1000",
)
def test_loss_weighs_the_divergence(got, ref, inputs):
    """kl_weight times the mean divergence, divided by the numbers in one latent, is added"""
    for kl_weight, loss in zip(inputs["kl_weights"], got["losses"]):
        require_loss(
            loss, float(theory_of(inputs, doubled(inputs), kl_weight)),
            f"the mean squared error plus {kl_weight:g} times the batch's mean of "
            "gaussian_kl(mean, log_var) / (numbers in one latent)",
        )  # fmt: skip


TAUGHT_SIZES = (((1, 3, 8, 4), 2), ((6, 1, 2, 6), 3), ((4, 4, 4, 4), 4))


@check(
    "10.6",
    probe=probes.taught_sizes,
    inputs=lambda g: {"all": [taught_inputs(g, *size, 1.7) for size in TAUGHT_SIZES]},
    call=TEN_SIX + ", batches, images and latents of several sizes",
)
def test_loss_of_any_size(got, ref, inputs):
    """Neither the batch's size nor the image's nor the latent's shifts the balance"""
    for one, loss in zip(inputs["all"], got["losses"]):
        require_loss(
            loss, float(theory_of(one, doubled(one))),
            f"both parts as means over single numbers, for x of shape {tuple(one['x'].shape)} and "
            f"latents of shape {tuple(one['noise'].shape)}",
        )  # fmt: skip


@check("10.6", probe=probes.taught, inputs=taught_inputs, call=TEN_SIX + ", and backward()")
def test_whole_autoencoder_learns(got, ref, inputs):
    """The whole gradient reaches encoder and decoder, by the error and by the divergence"""
    require(
        got["connected"],
        "a loss through which gradients flow to the autoencoder",
        "a loss that hangs on no graph: nothing would be learned",
    )
    weights = {name: value.requires_grad_() for name, value in doubled(inputs).items()}
    theory_of(inputs, weights).backward()
    for name, words in (("image", "decoder"), ("mean", "mean"), ("log_var", "log_var")):
        require_whole_gradient(
            got["slopes"].get(name), weights[name].grad.float(), f"the weights of the {words}"
        )


@check(
    "10.6",
    probe=probes.taught_in_both_modes,
    inputs=taught_inputs,
    call=TEN_SIX + ", the autoencoder in training, and then in evaluation",
)
def test_loss_leaves_the_mode(got, ref, inputs):
    """Whether the autoencoder is in training or in evaluation is up to the caller"""
    require(got["kept"], "an autoencoder in the mode that it was in", "it is in the other mode")


@check(
    "10.6",
    probe=probes.taught_elsewhere,
    inputs=taught_inputs,
    call=TEN_SIX + ", all of it on another device than the CPU",
    seconds=SECONDS,
)
def test_autoencoder_loss_on_any_device(got, ref, inputs):
    """The loss lies where the images lie, on whatever device"""
    require_same_device(got["places"], "the loss")


# 10.7

SCALES = (0.25, 1.0, 6.0)


def uneven_latents(g: torch.Generator, size: float, offset: float) -> Tensor:
    """Latents whose channels and images differ in mean and spread."""
    shape, channel = (40, 4, 6, 5), torch.arange(4).view(-1, 1, 1)
    image = torch.rand(40, 1, 1, 1, generator=g)
    noise = torch.randn(shape, generator=g) * (0.2 + channel) * (0.5 + image)
    return size * (noise + 2 * channel + offset)


def scale_inputs(g: torch.Generator) -> dict:
    sizes = ((0.05, 0.0), (1.0, 3.0), (30.0, -2.0))
    return {"all": [strided(uneven_latents(g, *size)) for size in sizes]}


@check(
    "10.7",
    probe=probes.scales,
    inputs=scale_inputs,
    call="latent_scale(latents), latents of shape (40, 4, 6, 5), small, larger and large",
)
def test_scale_makes_the_spread_one(got, ref, inputs):
    """It is one number, by which latents have a standard deviation of 1 over all their numbers"""
    for scale, latents in zip(got["scales"], inputs["all"]):
        std = float(latents.double().std(correction=0))
        require(
            isinstance(scale, int | float) and not isinstance(scale, bool),
            "a float",
            brief(scale),
        )
        # With n or n - 1 below the root: 4,800 numbers, a difference of a ten-thousandth.
        require_number(
            scale * std, 1.0, "a scale that makes the standard deviation 1, over all numbers",
            "the standard deviation", rtol=5e-4,
        )  # fmt: skip


@check(
    "10.7",
    probe=probes.scale_refused,
    inputs=lambda g: {
        "all": [
            torch.full((3, 2, 4, 4), 0.7),
            torch.zeros(1, 1, 2, 2),
            torch.arange(8.0).view(2, 1, 2, 2),
        ]
    },
    call="latent_scale(latents), all numbers 0.7, all 0, and 0 to 7",
)
def test_scale_of_one_number_alone(got, ref, inputs):
    """Latents that are all one number have no scale"""
    require_value_errors(got["raised"][:2], ["latents that are all 0.7", "latents that are all 0"])
    require(got["raised"][2] == "nothing", "a scale for 0 to 7", f"{got['raised'][2]} was raised")


def scaling_inputs(g: torch.Generator) -> dict:
    inputs = taught_inputs(g, (6, 3, 8, 10), 4)
    return {
        "x": inputs["x"],
        "weights": {name: 3 * value for name, value in inputs["weights"].items()},
        "z": strided(2 * torch.randn(6, 4, 4, 5, generator=g)),
        "scales": list(SCALES),
    }


def mean_of(inputs: dict) -> Tensor:
    """What the toy's encoder says of the images."""
    return torch.einsum("dc,bchw->bdhw", inputs["weights"]["mean"], inputs["x"][:, :, ::2, ::2])


def decoded(inputs: dict, z: Tensor) -> Tensor:
    """What the toy's decoder makes of latents."""
    small = torch.einsum("cd,bdhw->bchw", inputs["weights"]["image"], z) + 0.5
    return small.repeat_interleave(2, 2).repeat_interleave(2, 3)


@check(
    "10.7",
    probe=probes.to_scale,
    inputs=scaling_inputs,
    call="to_latents(autoencoder, x, scale), scale = 0.25, 1 and 6",
)
def test_latents_are_scaled_means(got, ref, inputs):
    """What the diffusion works on is the mean, times the scale"""
    mean = mean_of(inputs)
    for scale, z in zip(inputs["scales"], got["latents"]):
        require_close(z, scale * mean, f"mean times scale, for scale = {scale:g}", "the latents",
                      atol=1e-5)  # fmt: skip


@check(
    "10.7",
    probe=probes.from_scale,
    inputs=scaling_inputs,
    call="from_latents(autoencoder, z, scale), scale = 0.25, 1 and 6",
)
def test_scale_is_taken_out_before_decoding(got, ref, inputs):
    """The decoder is given the latents without the scale, and its image comes back as it is"""
    for scale, x in zip(inputs["scales"], got["images"]):
        right = decoded(inputs, inputs["z"] / scale)
        require_close(
            x, right, f"decode(z / scale), not clipped, for scale = {scale:g}", "the images",
            atol=1e-4,
        )  # fmt: skip


@check(
    "10.7",
    probe=probes.to_scale_and_back,
    inputs=scaling_inputs,
    call="latent_scale of the means, then to_latents and from_latents with it",
)
def test_latents_of_size_one_lead_back(got, ref, inputs):
    """With the scale that was measured latents have a spread of 1, and lead back to decode(mean)"""
    require_number(got["spread"], 1.0, "latents with a standard deviation of 1", "it", rtol=2e-3)
    mean = mean_of(inputs)
    right = decoded(inputs, mean)
    require_close(got["back"], right, "what decode makes of the mean", "the images", atol=1e-4)


@check(
    "10.7",
    probe=probes.to_scale_without_chance,
    inputs=scaling_inputs,
    call="to_latents(autoencoder, x, 2.0), twice",
)
def test_latents_are_not_drawn(got, ref, inputs):
    """Nothing is drawn: the same image has the same latents"""
    require(got["same"], "the same latents for the same images", "other ones the second time")
    require(got["untouched"], "torch's own random generator to stay as it was", "it was used")


@check(
    "10.7",
    probe=probes.to_scale_in_both_modes,
    inputs=scaling_inputs,
    call="to_latents and from_latents, the autoencoder in training, and then in evaluation",
)
def test_scaling_leaves_the_mode(got, ref, inputs):
    """Whether the autoencoder is in training or in evaluation is up to the caller"""
    for name in ("to_latents", "from_latents"):
        require(
            got[name], f"the autoencoder after {name} in the mode that it was in",
            "it is in the other mode",
        )  # fmt: skip


@check(
    "10.7",
    probe=probes.to_scale_graph,
    inputs=scaling_inputs,
    call="to_latents(autoencoder, x, 2.0) and from_latents(autoencoder, z, 2.0)",
)
def test_latents_build_no_graph(got, ref, inputs):
    """No graph for gradients is built, and gradients are on again afterwards"""
    for name in ("latents", "images"):
        require(
            not got[name],
            f"{name} without a graph (requires_grad is False): the autoencoder is finished",
            "requires_grad is True",
        )
        require(got[f"after {name}"], "gradients to be switched on again", "they are off for good")


# 10.8

COLOUR = {
    "image_channels": 3,
    "base_channels": 4,
    "channel_mults": (2, 3, 1),
    "attention_levels": (1, 2),
    "time_dim": 10,
    "num_classes": 12,
    "groups": 2,
}
COLOUR_CALL = (
    "ColourUNet(config, ...)(x, t, labels), 3 image channels, channels 8, 12 and 4 on three "
    "levels, attention on levels 1 and 2, x of shape (2, 3, 8, 12)"
)


def colour_inputs(g: torch.Generator, batch: int = 2, **changes) -> dict:
    t = torch.randint(1, 1999, (batch,), generator=g)
    t[0], t[-1] = 0, 1999  # a run of 2000 steps
    labels = torch.randint(0, 12, (batch,), generator=g)
    labels[-1] = 12  # the null label
    config = {**COLOUR, **changes}
    return {
        "config": config, "x": pixels(g, batch, config["image_channels"], 8, 12), "t": t,
        "labels": labels,
    }  # fmt: skip


def colour_plan(config: dict) -> list[dict]:
    """The calls of blocks that there have to be, in order."""
    channels = [config["base_channels"] * mult for mult in config["channel_mults"]]
    last, attends = len(channels) - 1, config["attention_levels"]
    cond_dim, groups = 4 * config["base_channels"], config["groups"]
    steps: list[dict] = []

    def add(kind: str, where: str, made: list[int], level: int):
        steps.append({"kind": kind, "name": f"{kind} {where}", "made": made, "level": level})

    def attend(where: str, level: int):
        if level in attends:
            add("SelfAttention", where, [channels[level], groups], level)

    before = channels[0]
    for level, width in enumerate(channels):
        add("ResBlock", f"going down on level {level}", [before, width, cond_dim, groups], level)
        attend(f"going down on level {level}", level)
        if level < last:
            add("Downsample", f"of level {level}", [width], level)
        before = width
    add("ResBlock", "at the start of the middle", [before, before, cond_dim, groups], last)
    attend("in the middle", last)
    add("ResBlock", "at the end of the middle", [before, before, cond_dim, groups], last)
    for level in range(last, -1, -1):
        width = channels[level]
        made = [before + width, width, cond_dim, groups]
        add("ResBlock", f"going up on level {level}", made, level)
        attend(f"going up on level {level}", level)
        if level > 0:
            add("Upsample", f"of level {level}", [width], level)
        before = width
    return steps


def require_places(got: dict, config: dict) -> list[tuple[dict, dict]]:
    """Fail unless the blocks were called in the planned order; gives (planned, seen) pairs."""
    planned, seen = colour_plan(config), got["steps"]
    for i, step in enumerate(planned):
        after = f" after the {planned[i - 1]['name']}" if i else " first"
        require(
            i < len(seen) and seen[i]["kind"] == step["kind"],
            f"the {step['name']}{after}, with attention on levels {config['attention_levels']}",
            f"{a(seen[i]['kind']) if i < len(seen) else 'the end of the network'} there",
        )
    require(
        len(seen) == len(planned),
        f"nothing after the {planned[-1]['name']} but norm, SiLU and conv_out",
        f"{len(seen) - len(planned)} more, the first {a(seen[len(planned)]['kind'])}"
        if len(seen) > len(planned)
        else "",
    )
    return list(zip(planned, seen))


def require_colour_network(got: dict, inputs: dict, config: dict) -> None:
    """Everything that a single call of the network has to fulfil."""
    require_tensor(got["out"], "the result", tuple(inputs["x"].shape))
    require_embeddings(got, inputs)
    pairs = require_places(got, config)
    require_cond(got)
    require_made(pairs)
    require_flow(pairs, upwards=False)
    require_flow(pairs, upwards=True)
    require_head_and_tail(got, inputs, config)


@check("10.8", probe=probes.colour_unet, inputs=colour_inputs, call=COLOUR_CALL)
def test_colour_network_shape(got, ref, inputs):
    """The network returns one number for every pixel and channel of x"""
    require_tensor(got["out"], "the result", tuple(inputs["x"].shape))


@check("10.8", probe=probes.colour_unet, inputs=colour_inputs, call=COLOUR_CALL)
def test_attention_is_where_the_config_says(got, ref, inputs):
    """Behind the ResBlocks of the levels that are named, down, in the middle and up"""
    require_places(got, inputs["config"])


@check("10.8", probe=probes.colour_unet, inputs=colour_inputs, call=COLOUR_CALL)
def test_colour_blocks_fit_their_places(got, ref, inputs):
    """Every block is made for the channels that it meets, and used in one place only"""
    require_made(require_places(got, inputs["config"]))


@check("10.8", probe=probes.colour_unet, inputs=colour_inputs, call=COLOUR_CALL)
def test_colour_network_is_told_time_and_class(got, ref, inputs):
    """Every ResBlock is told the sum of both embeddings"""
    require_embeddings(got, inputs)
    require_cond(got)


@check("10.8", probe=probes.colour_unet, inputs=colour_inputs, call=COLOUR_CALL)
def test_colour_network_goes_down(got, ref, inputs):
    """On the way down and in the middle, each block receives what the one before gave"""
    require_flow(require_places(got, inputs["config"]), upwards=False)


@check("10.8", probe=probes.colour_unet, inputs=colour_inputs, call=COLOUR_CALL)
def test_skips_carry_what_attention_found(got, ref, inputs):
    """On the way up, each level receives its skip: what the level gave in the end"""
    require_flow(require_places(got, inputs["config"]), upwards=True)


@check("10.8", probe=probes.colour_unet, inputs=colour_inputs, call=COLOUR_CALL + KNOWN)
def test_colour_network_head_and_tail(got, ref, inputs):
    """conv_in comes first; GroupNorm, SiLU and conv_out come last"""
    require_head_and_tail(got, inputs, inputs["config"])


COLOUR_CHANGES = [
    {"attention_levels": ()},
    {"attention_levels": (0,)},
    {"attention_levels": (2,)},
    {"attention_levels": (1,)},
    {"attention_levels": (2, 0)},
    {"channel_mults": (2,), "attention_levels": (0,)},
    {"channel_mults": (1, 3), "attention_levels": ()},
    {"channel_mults": (1, 2, 1, 3), "attention_levels": (1, 3)},
]


@check(
    "10.8",
    probe=probes.colour_unet_configs,
    inputs=lambda g: {
        **colour_inputs(g),
        "changes": COLOUR_CHANGES,
        "x": pixels(g, 2, 3, 8, 16),
    },  # fmt: skip
    call="ColourUNet(config, ...)(x, t, labels), attention on no level, on one and on two, and "
    "with 1, 2 and 4 levels",
)
def test_attention_on_any_levels(got, ref, inputs):
    """The config decides how many levels there are, and which of them attend"""
    for found, changes in zip(got["found"], inputs["changes"]):
        require_colour_network(found, inputs, {**inputs["config"], **changes})


@check(
    "10.8",
    probe=probes.colour_unet_colours,
    inputs=lambda g: {**colour_inputs(g), "images": [pixels(g, 2, c, 8, 12) for c in (1, 4, 12)]},
    call="ColourUNet(config, ...)(x, t, labels) with images of 1, 4 and 12 channels",
)
def test_any_number_of_colours(got, ref, inputs):
    """Images may have any number of channels, such as patches and latents have"""
    for found, x in zip(got["found"], inputs["images"]):
        config = {**inputs["config"], "image_channels": x.shape[1]}
        require_colour_network(found, {**inputs, "x": x}, config)


@check(
    "10.8",
    probe=probes.colour_unet_refused,
    inputs=lambda g: {**colour_inputs(g), "levels": [(3,), (0, 3), (-1,), (0, 1, 2)]},
    call="ColourUNet(config, ...) with three levels and attention_levels = (3,), (0, 3), (-1,) "
    "and (0, 1, 2)",
)
def test_attention_on_a_level_that_is_not_there(got, ref, inputs):
    """Attention on a level that the network does not have is an error"""
    cases = [f"attention_levels = {levels}" for levels in inputs["levels"]]
    require_value_errors(got["raised"][:3], cases[:3])
    require(got["raised"][3] == "nothing", f"a network with {cases[3]}", f"{got['raised'][3]}")


@check(
    "10.8",
    probe=probes.colour_unet_sizes,
    inputs=lambda g: {"config": {**COLOUR, "attention_levels": ()}, "sizes": SIZES},
    call="ColourUNet(config, ...)(x, t, labels) with images of several heights and widths",
)
def test_colour_network_refuses_sizes_that_cannot_be_halved(got, ref, inputs):
    """A side that cannot be halved often enough is refused, and no other"""
    for (mults, (height, width)), found in zip(inputs["sizes"], got["found"]):
        factor = 2 ** (len(mults) - 1)
        fits = not (height % factor or width % factor)
        require(
            found["raised"] == ("" if fits else "ValueError"),
            f"{'a result' if fits else 'a ValueError'} for {height} x {width} pixels, in a network "
            f"of {len(mults)} levels",
            found["raised"] or "a result",
        )
        require(
            not fits or list(found["shape"][-2:]) == [height, width],
            f"a result of {height} x {width} pixels",
            f"shape {tuple(found['shape'])}",
        )


@check(
    "10.8",
    probe=probes.colour_unet_again,
    inputs=lambda g: colour_inputs(g, batch=3),
    call="the network called twice, then with each image alone, with images that are cut out of "
    "wider tensors, and in eval mode",
)
def test_colour_network_forgets(got, ref, inputs):
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
    "10.8",
    probe=probes.colour_unet_gradients,
    inputs=colour_inputs,
    call="a backward pass through ColourUNet(config, ...)",
)
def test_colour_network_is_trained_as_a_whole(got, ref, inputs):
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
    for step, grad, right in zip(colour_plan(inputs["config"]), got["blocks"], ref["blocks"]):
        require_whole_gradient(grad, right, f"the {step['name']}")
    require(
        got["own"] >= ref["own"],
        "gradients for the weights of conv_in and conv_out and for the scale of the norm",
        f"gradients for {got['own']} of their {ref['own']} numbers",
    )
