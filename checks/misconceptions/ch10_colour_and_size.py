"""Known wrong answers to chapter 10, each with the misunderstanding behind it."""

from torch.nn import functional as F

from course.grading.answers import Answers
from solutions import ch10_colour_and_size as ref

answers = Answers()


# 10.1

TO = "x = x.permute(0, 1, 3, 5, 2, 4)"
TO_CUT = "x.reshape(batch, channels, height // s, s, width // s, s)"
FROM = "x = x.permute(0, 1, 4, 2, 5, 3)"
FROM_CUT = "x.reshape(batch, channels // (s * s), s, s, height, width)"

ALONE = "a reshape alone"
answers.edit(
    "10.1",
    ALONE,
    "A reshape never moves a number past another one: it cuts the rows into pieces, and a patch's "
    "second row is far away in memory. Between the two reshapes the axes have to change places.",
    (TO, ""),
    (FROM, ""),
)
answers.again("10.1", ALONE, (TO, ""))
answers.again("10.1", ALONE, (FROM, ""))

TURNED = "rows and columns of a patch exchanged"
answers.edit(
    "10.1",
    TURNED,
    "The channels follow the patch row by row: i * s + j, with i the row. Here it is j * s + i.",
    (TO, "x = x.permute(0, 1, 5, 3, 2, 4)"),
    (FROM, "x = x.permute(0, 1, 4, 3, 5, 2)"),
)
answers.again("10.1", TURNED, (TO, "x = x.permute(0, 1, 5, 3, 2, 4)"))
answers.again("10.1", TURNED, (FROM, "x = x.permute(0, 1, 4, 3, 5, 2)"))

PLACE_FIRST = "the place in the patch before the colour"
answers.edit(
    "10.1",
    PLACE_FIRST,
    "The channels that one colour becomes stand together: c * s * s + i * s + j. Here the colours "
    "of one pixel stand together.",
    (TO, "x = x.permute(0, 3, 5, 1, 2, 4)"),
    (
        FROM_CUT,
        "x.reshape(batch, s, s, channels // (s * s), height, width).permute(0, 3, 1, 2, 4, 5)",
    ),
)
answers.again("10.1", PLACE_FIRST, (TO, "x = x.permute(0, 3, 5, 1, 2, 4)"))
answers.again(
    "10.1",
    PLACE_FIRST,
    (
        FROM_CUT,
        "x.reshape(batch, s, s, channels // (s * s), height, width).permute(0, 3, 1, 2, 4, 5)",
    ),
)

FAR = "pixels from far apart in one patch"
answers.edit(
    "10.1",
    FAR,
    "A row number y is (y // s) * s + y % s. So the axis of the rows is cut into (H / s, s), the "
    "place in the patch behind. Cut into (s, H / s), a patch holds pixels from far apart.",
    (TO_CUT, "x.reshape(batch, channels, s, height // s, s, width // s)"),
    (TO, "x = x.permute(0, 1, 2, 4, 3, 5)"),
    (FROM, "x = x.permute(0, 1, 2, 4, 3, 5)"),
)
answers.again(
    "10.1",
    FAR,
    (TO_CUT, "x.reshape(batch, channels, s, height // s, s, width // s)"),
    (TO, "x = x.permute(0, 1, 2, 4, 3, 5)"),
)
answers.again("10.1", FAR, (FROM, "x = x.permute(0, 1, 2, 4, 3, 5)"))

answers.edit(
    "10.1",
    "height and width of the result exchanged",
    "H / s comes before W / s in the result, as H comes before W in the image.",
    (TO, "x = x.permute(0, 1, 3, 5, 4, 2)"),
    (
        "x.reshape(batch, channels * s * s, height // s, width // s)",
        "x.reshape(batch, channels * s * s, width // s, height // s)",
    ),
)


@answers.wrong(
    "10.1",
    "averages instead of patches",
    "An average keeps one number of s * s. Folded, all of them are kept, as channels, and the way "
    "back finds them again.",
)
def to_patches(x, s):
    if x.shape[2] % s or x.shape[3] % s:
        raise ValueError("does not fit")
    return F.avg_pool2d(x, s)


@answers.wrong(
    "10.1",
    "only every s-th pixel kept",
    "A step of s keeps one pixel of each patch. Folded, all of them are kept, as channels.",
)
def to_patches(x, s):
    if x.shape[2] % s or x.shape[3] % s:
        raise ValueError("does not fit")
    return x[:, :, ::s, ::s]


@answers.wrong(
    "10.1",
    "pixels repeated on the way back",
    "Each of the s * s pixels of a patch has a channel of its own. Repeating one of them throws "
    "the others away.",
)
def from_patches(x, s):
    if x.shape[1] % (s * s):
        raise ValueError("does not fit")
    return x[:, :: s * s].repeat_interleave(s, dim=2).repeat_interleave(s, dim=3)


answers.edit(
    "10.1",
    "float32 made of it",
    "The numbers only change their places. What comes in as bytes or in float64 stays so.",
    (
        "x.reshape(batch, channels * s * s, height // s, width // s)",
        "x.reshape(batch, channels * s * s, height // s, width // s).float()",
    ),
    (
        "x.reshape(batch, channels // (s * s), height * s, width * s)",
        "x.reshape(batch, channels // (s * s), height * s, width * s).float()",
    ),
)

answers.edit(
    "10.1",
    "a rest cut off",
    "A rest that fills no patch would be lost without a word. The docstring asks for a ValueError.",
    ("if x.shape[2] % s or x.shape[3] % s:", "if False:"),
    (TO_CUT, "x[:, :, : height // s * s, : width // s * s]" + TO_CUT[1:]),
    ("if x.shape[1] % (s * s):", "if False:"),
    (
        FROM_CUT,
        "x[:, : channels // (s * s) * s * s]" + FROM_CUT[1:],
    ),
)

answers.edit(
    "10.1",
    "only the height looked at",
    "Images need not be square: both sides have to fit.",
    (" or x.shape[3] % s", ""),
)

answers.edit(
    "10.1",
    "only the width looked at",
    "Images need not be square: both sides have to fit.",
    ("x.shape[2] % s or ", ""),
)

answers.edit(
    "10.1",
    "channels that s divides, not s * s",
    "A patch has s * s pixels, so each colour needs s * s channels.",
    ("if x.shape[1] % (s * s):", "if x.shape[1] % s:"),
)

answers.edit(
    "10.1",
    "images with a rest refused, and others too",
    "s has to divide both sides, no more. An image of one patch is allowed.",
    (
        "if x.shape[2] % s or x.shape[3] % s:",
        "if x.shape[2] % s or x.shape[3] % s or x.shape[2] == x.shape[3] == s:",
    ),
)

answers.edit(
    "10.1",
    "a part of it made on the CPU",
    "A new tensor has to be made where x is: x.new_zeros, or device=x.device. On a graphics card "
    "the two would not meet.",
    (
        "return x.reshape(batch, channels * s * s, height // s, width // s)",
        "out = torch.zeros(batch, channels * s * s, height // s, width // s, dtype=x.dtype)\n"
        "    return out + x.reshape(out.shape)",
    ),
)


# 10.2

answers.edit(
    "10.2",
    "s in place of s squared",
    "s counts pixels along a side, so s * s pixels are averaged, and the variance of their noise "
    "falls by s^2.",
    ("s**2 *", "s *"),
)

answers.edit(
    "10.2",
    "the fourth power of s",
    "The mean of s * s draws has a variance s * s times smaller. SNR is a ratio of variances "
    "already, so nothing is squared again.",
    ("s**2 *", "s**4 *"),
)

answers.edit(
    "10.2",
    "shifted the wrong way",
    "Averaging takes noise away, so the larger image needs more of it: its SNR becomes smaller.",
    ("s**2 * (1 - alpha_bars)", "(1 - alpha_bars) / s**2"),
)

answers.edit(
    "10.2",
    "alpha_bar divided in place of the SNR",
    "What averaging changes is the ratio of signal and noise. alpha_bar / (1 - alpha_bar) is "
    "divided by s^2, and alpha_bar follows from it.",
    (
        "alpha_bars / (alpha_bars + s**2 * (1 - alpha_bars))",
        "(alpha_bars / s**2).clamp(max=0.9999)",
    ),
)

answers.edit(
    "10.2",
    "betas multiplied by s squared",
    "After many steps that is another schedule: a product of (1 - s^2 beta). The SNR of all steps "
    "together is what has to be shifted.",
    ("(1 - shifted / before).float()", "(s**2 * betas.double()).clamp(max=0.999).float()"),
)

answers.edit(
    "10.2",
    "each step's own SNR shifted",
    "What a network sees at step t is the noise of all steps so far, so alpha_bar is what counts, "
    "the product of all shares.",
    (
        "(1 - shifted / before).float()",
        "((1 - (1 - betas) / ((1 - betas) + s**2 * betas)).double()).float()",
    ),
)

answers.edit(
    "10.2",
    "a first beta of 0",
    "Before the first step nothing is lost: alpha_bar is 1 there, so the first beta is 1 minus the "
    "first alpha_bar.",
    ("torch.ones_like(shifted[:1])", "shifted[:1]"),
)

answers.edit(
    "10.2",
    "each step compared with the one after it",
    "beta_t says what step t takes from what was there before: alpha_bar_t is divided by "
    "alpha_bar_{t-1}.",
    (
        "before = torch.cat([torch.ones_like(shifted[:1]), shifted[:-1]])",
        "before, shifted = shifted, torch.cat([shifted[1:], shifted[-1:] * (1 - betas[-1:])])",
    ),
)

answers.edit(
    "10.2",
    "alpha_bars returned",
    "The function is asked for betas: the share that each single step takes.",
    ("(1 - shifted / before)", "shifted"),
)

answers.edit(
    "10.2",
    "1 - alpha_bar returned",
    "1 - alpha_bar is the noise of all steps so far. A beta is that of one step.",
    ("(1 - shifted / before)", "(1 - shifted)"),
)

answers.edit(
    "10.2",
    "alphas returned",
    "A beta is what a step takes: 1 minus the share that it keeps.",
    ("(1 - shifted / before)", "(shifted / before)"),
)

answers.edit(
    "10.2",
    "computed in float32",
    "The first alpha_bars are so near to 1 that in float32 their differences have a few digits "
    "only. betas.double() first, float() last.",
    ("betas.double()", "betas.float()"),
)

answers.edit(
    "10.2",
    "float64 handed out",
    "Schedules are float32 outside, as in chapter 01: float() last.",
    ("(1 - shifted / before).float()", "(1 - shifted / before)"),
)

answers.edit(
    "10.2",
    "betas clipped at 0.999",
    "Chapter 01 clips where the cosine's curve ends at 0. Here betas below 1 stay below 1 by "
    "themselves, and a clipped one misses the SNR.",
    ("(1 - shifted / before)", "(1 - shifted / before).clamp(max=0.999)"),
)

answers.edit(
    "10.2",
    "s cut to a whole number",
    "From 28 pixels to 64 s is 64 / 28, and nothing in the formula needs a whole number.",
    ("s**2 *", "max(int(s), 1) ** 2 *"),
)

answers.edit(
    "10.2",
    "never shifted back",
    "For a smaller image s is below 1, and the schedule becomes less noisy.",
    ("s**2 *", "max(s, 1) ** 2 *"),
)

answers.edit(
    "10.2",
    "any s accepted",
    "An image without pixels has no schedule: for s of 0 or below, or nan, raise a ValueError.",
    ("if not s > 0:", "if False:"),
)

answers.edit(
    "10.2",
    "only 0 refused",
    "An image cannot have -1 times as many pixels either, though s^2 hides the sign.",
    ("if not s > 0:", "if s == 0:"),
)

answers.edit(
    "10.2",
    "nan accepted",
    "nan is neither above 0 nor below: ask `not s > 0`, which is true for it.",
    ("if not s > 0:", "if s <= 0:"),
)

answers.edit(
    "10.2",
    "a size below 1 refused",
    "s = 0.5 is an image with half as many pixels in each direction. Only 0 and below are refused.",
    ("if not s > 0:", "if not s >= 1:"),
)

answers.edit(
    "10.2",
    "a 1 made on the CPU",
    "torch.ones_like, or device=betas.device: on a graphics card the two would not meet.",
    ("torch.ones_like(shifted[:1])", "torch.ones(1, dtype=torch.float64)"),
)


# 10.3

MASK = "mirrored.view(-1, 1, 1, 1)"
DRAW = "torch.rand(len(pixels), generator=generator, device=pixels.device)"

answers.edit(
    "10.3",
    "one coin for the whole batch",
    "Each image has a coin of its own: draw as many numbers as there are images.",
    ("torch.rand(len(pixels),", "torch.rand(1,"),
)

answers.edit(
    "10.3",
    "one coin for each label",
    "Each image has a coin of its own, also if another one has the same label.",
    (
        f"{DRAW} < 0.5",
        "torch.rand(len(may_flip), generator=generator, device=pixels.device)[labels] < 0.5",
    ),
)

answers.edit(
    "10.3",
    "a coin for each pixel",
    "An image is mirrored as a whole: one number for each image, of shape (B, 1, 1, 1) beside it.",
    (DRAW, "torch.rand(pixels.shape, generator=generator, device=pixels.device)"),
    ("may_flip[labels] &", "may_flip[labels].view(-1, 1, 1, 1) &"),
    (MASK, "mirrored"),
)

answers.edit(
    "10.3",
    "upside down",
    "Cats stand on their feet in the mirror as well. Left and right are along the last axis, the "
    "width; axis 2 is the height.",
    ("pixels.flip(3)", "pixels.flip(2)"),
)

answers.edit(
    "10.3",
    "turned by 180 degrees",
    "A mirror exchanges left and right alone: the last axis.",
    ("pixels.flip(3)", "pixels.flip((2, 3))"),
)

answers.edit(
    "10.3",
    "the colours turned round",
    "Axis 1 are the channels: red becomes blue. Left and right are along the last axis.",
    ("pixels.flip(3)", "pixels.flip(1)"),
)

answers.edit(
    "10.3",
    "the batch turned round",
    "Axis 0 is the batch: an image would get another one's label. Left and right are along the "
    "last axis.",
    ("pixels.flip(3)", "pixels.flip(0)"),
)

answers.edit(
    "10.3",
    "may_flip ignored, digits mirrored too",
    "may_flip says for each label whether a mirrored image still is what its label says.",
    ("may_flip[labels] & coins", "coins"),
)

answers.edit(
    "10.3",
    "only those mirrored that may not be",
    "True in may_flip means: may be mirrored.",
    ("may_flip[labels] & coins", "~may_flip[labels] & coins"),
)

answers.edit(
    "10.3",
    "may_flip read by place",
    "may_flip has an entry for each label, not for each image of the batch: may_flip[labels].",
    (
        "may_flip[labels]",
        "may_flip[torch.arange(len(labels), device=labels.device) % len(may_flip)]",
    ),
)

answers.edit(
    "10.3",
    "all mirrored that may be, without a coin",
    "If all are mirrored, there are as many different images as before. A coin decides.",
    ("may_flip[labels] & coins", "may_flip[labels] & (coins | True)"),
)

answers.edit(
    "10.3",
    "the label or the coin is enough",
    "Both must be true: the label allows it, and the coin says so.",
    ("may_flip[labels] & coins", "may_flip[labels] | coins"),
)

answers.edit(
    "10.3",
    "none mirrored",
    "A coin below one half mirrors its image, if the label allows it.",
    (MASK, "(mirrored & False).view(-1, 1, 1, 1)"),
)

answers.edit(
    "10.3",
    "one in ten mirrored",
    "The probability is one half, so that both directions are seen alike.",
    ("< 0.5", "< 0.1"),
)

answers.edit(
    "10.3",
    "coins from the bell curve",
    "torch.randn is below 0.5 in 69 of 100 draws. torch.rand is in half of them.",
    ("torch.rand(", "torch.randn("),
)

answers.edit(
    "10.3",
    "coins along the columns",
    "(B,) meets the last axis, the columns. Each coin meets its image in the shape (B, 1, 1, 1).",
    (MASK, "mirrored"),
)

answers.edit(
    "10.3",
    "the mirrored ones put in front",
    "Images that change places no longer belong to their labels.",
    (
        f"torch.where({MASK}, pixels.flip(3), pixels)",
        "torch.cat([pixels[mirrored].flip(3), pixels[~mirrored]])",
    ),
)

answers.edit(
    "10.3",
    "the mirrored ones alone",
    "As many images come back as came in: the others as they were.",
    (f"torch.where({MASK}, pixels.flip(3), pixels)", "pixels[mirrored].flip(3)"),
)

answers.edit(
    "10.3",
    "coins from torch's own generator",
    "All randomness comes from the generator that is handed in, so that a run can be repeated.",
    (DRAW, "torch.rand(len(pixels), device=pixels.device)"),
)

answers.edit(
    "10.3",
    "the same coins in every call",
    "A new generator with a fixed seed throws the same coins for every batch. Use the one that is "
    "handed in.",
    (
        DRAW,
        "torch.rand(len(pixels), generator=torch.Generator().manual_seed(0)).to(pixels.device)",
    ),
)

answers.edit(
    "10.3",
    "the images themselves changed",
    "The images belong to the data set, and the next epoch would mirror mirrored ones. Make new "
    "ones.",
    (
        f"return torch.where({MASK}, pixels.flip(3), pixels)",
        "pixels[mirrored] = pixels[mirrored].flip(3)\n    return pixels",
    ),
)

answers.edit(
    "10.3",
    "float32 made of it",
    "The numbers change their places alone. What comes in as bytes stays so.",
    (f"torch.where({MASK}, pixels.flip(3), pixels)",
     f"torch.where({MASK}, pixels.flip(3), pixels).float()"),
)  # fmt: skip

answers.edit(
    "10.3",
    "coins left on the CPU",
    "device=pixels.device: on a graphics card coins and images would not meet.",
    (DRAW, "torch.rand(len(pixels), generator=generator)"),
)


# 10.4

KL = "(mean**2 + log_var.exp() - 1 - log_var) / 2"
EPS = "torch.randn(mean.shape, generator=generator, device=mean.device, dtype=mean.dtype)"

answers.edit(
    "10.4",
    "the divergence with the wrong sign",
    "A divergence is never negative. Many texts write -KL, because they maximise.",
    (KL, "(1 + log_var - mean**2 - log_var.exp()) / 2"),
)

answers.edit(
    "10.4",
    "the divergence without its half",
    "The logarithm of a Gaussian is -z^2 / 2: one half stands before all of it.",
    (KL, "mean**2 + log_var.exp() - 1 - log_var"),
)

answers.edit(
    "10.4",
    "the divergence without its 1",
    "For mean = 0 and log_var = 0 the two Gaussians are the same, and the divergence is 0.",
    (KL, "(mean**2 + log_var.exp() - log_var) / 2"),
)

answers.edit(
    "10.4",
    "log_var added",
    "A small variance means a sure encoder, which is far from noise: -log_var grows there.",
    (KL, "(mean**2 + log_var.exp() - 1 + log_var) / 2"),
)

answers.edit(
    "10.4",
    "the mean not squared",
    "A mean of -2 is as far from 0 as one of 2.",
    (KL, "(mean + log_var.exp() - 1 - log_var) / 2"),
)

answers.edit(
    "10.4",
    "the divergence of noise from the code",
    "KL(p || q) is a mean over draws of p, and here p is what the encoder says.",
    (KL, "((1 + mean**2) / log_var.exp() - 1 + log_var) / 2"),
)

answers.edit(
    "10.4",
    "log_var taken for the logarithm of the standard deviation",
    "exp(log_var) is the variance already; it is not squared again, and its logarithm is log_var.",
    (KL, "(mean**2 + (2 * log_var).exp() - 1 - 2 * log_var) / 2"),
)

answers.edit(
    "10.4",
    "log_var taken for the variance",
    "The encoder says the logarithm of the variance, so that it may be negative. exp makes the "
    "variance of it.",
    (KL, "(mean**2 + log_var - 1 - log_var.abs().clamp(min=1e-6).log()) / 2"),
)

answers.edit(
    "10.4",
    "the mean over a latent's numbers",
    "The divergences of independent numbers add up. Whoever wants a mean divides later.",
    ("kl.sum(dim=(1, 2, 3))", "kl.mean(dim=(1, 2, 3))"),
)

answers.edit(
    "10.4",
    "one number for the whole batch",
    "Each image has a divergence of its own: sum over all axes but the first.",
    ("kl.sum(dim=(1, 2, 3))", "kl.sum()"),
)

answers.edit(
    "10.4",
    "the mean over the batch",
    "Each image has a divergence of its own: sum over all axes but the first.",
    ("kl.sum(dim=(1, 2, 3))", "kl.sum(dim=(1, 2, 3)).mean()"),
)

answers.edit(
    "10.4",
    "a sum over the channels alone",
    "A latent's numbers are those of all its channels, rows and columns.",
    ("kl.sum(dim=(1, 2, 3))", "kl.sum(dim=1)"),
)

answers.edit(
    "10.4",
    "the divergence in bits",
    "With natural logarithms the divergence is in nats. Divided by log 2 it would be in bits.",
    ("kl.sum(dim=(1, 2, 3))", "kl.sum(dim=(1, 2, 3)) / 0.6931472"),
)

answers.edit(
    "10.4",
    "the divergence without a gradient",
    "The divergence is a part of the loss: gradients have to flow to mean and log_var.",
    (KL, f"({KL}).detach()"),
)

answers.edit(
    "10.4",
    "the variance where the standard deviation belongs",
    "exp(log_var) is the variance. eps is multiplied by its root, exp(log_var / 2).",
    ("(log_var / 2).exp()", "log_var.exp()"),
)

answers.edit(
    "10.4",
    "log_var where the standard deviation belongs",
    "log_var is a logarithm, and it may be negative. exp(log_var / 2) is the standard deviation.",
    ("(log_var / 2).exp()", "log_var"),
)

answers.edit(
    "10.4",
    "one over the standard deviation in its place",
    "A large log_var is a wide Gaussian: no minus before it.",
    ("(log_var / 2).exp()", "(-log_var / 2).exp()"),
)

answers.edit(
    "10.4",
    "the half outside of the exponential",
    "The root of exp(log_var) is exp(log_var / 2), not half of exp(log_var).",
    ("(log_var / 2).exp()", "log_var.exp() / 2"),
)

answers.edit(
    "10.4",
    "the mean returned",
    "A latent is drawn around the mean, with the width that log_var says.",
    ("return mean + std * eps", "return mean + 0 * std * eps"),
)

answers.edit(
    "10.4",
    "the mean left out",
    "The draw is around the mean, which is where the image is.",
    ("return mean + std * eps", "return 0 * mean + std * eps"),
)

answers.edit(
    "10.4",
    "uniform noise",
    "torch.rand draws between 0 and 1. The bell curve comes from torch.randn.",
    ("torch.randn(mean.shape", "torch.rand(mean.shape"),
)

answers.edit(
    "10.4",
    "one draw for the whole batch",
    "Each image has noise of its own: draw in the shape of the mean.",
    ("torch.randn(mean.shape,", "torch.randn(mean.shape[1:],"),
)

answers.edit(
    "10.4",
    "one number for each image",
    "Each number of a latent has noise of its own: draw in the shape of the mean.",
    ("torch.randn(mean.shape,", "torch.randn((len(mean), 1, 1, 1),"),
)

answers.edit(
    "10.4",
    "one draw for all channels",
    "Each number of a latent has noise of its own: draw in the shape of the mean.",
    ("torch.randn(mean.shape,", "torch.randn((len(mean), 1, *mean.shape[2:]),"),
)

answers.edit(
    "10.4",
    "no gradient through the draw",
    "torch.normal draws the very same, but no gradient comes back through it. Draw eps first, and "
    "let mean and standard deviation work on it.",
    (f"    eps = {EPS}\n    return mean + std * eps",
     "    return torch.normal(mean, std, generator=generator)"),
)  # fmt: skip

answers.edit(
    "10.4",
    "the width cut from the gradient",
    "The encoder learns how sure it may be, through log_var.",
    ("(log_var / 2).exp()", "(log_var / 2).exp().detach()"),
)

answers.edit(
    "10.4",
    "the mean cut from the gradient",
    "The encoder learns where to put an image, through the mean.",
    ("return mean + std * eps", "return mean.detach() + std * eps"),
)

answers.edit(
    "10.4",
    "drawn without any generator",
    "All randomness comes from the generator that is handed in, so that a run can be repeated.",
    (EPS, "torch.randn_like(mean)"),
)

answers.edit(
    "10.4",
    "the same draw in every call",
    "A new generator with a fixed seed draws the same noise for every batch. Use the one that is "
    "handed in.",
    (
        EPS,
        "torch.randn(mean.shape, generator=torch.Generator().manual_seed(0)).to(mean.device)",
    ),
)

answers.edit(
    "10.4",
    "the draw left on the CPU",
    "device=mean.device: on a graphics card the draw and the mean would not meet.",
    (EPS, "torch.randn(mean.shape, generator=generator)"),
)


# 10.5

NORM_IN = "nn.GroupNorm(groups, channels[-1])"
NORM_OUT = "nn.GroupNorm(groups, channels[0])"
HALVES = "mean, log_var = self.encoder(x).chunk(2, dim=1)"
DECODE = "return self.decoder(z)"

BATCH = "BatchNorm instead of GroupNorm"
answers.edit(
    "10.5",
    BATCH,
    "BatchNorm takes its statistics from all images of a batch, and others in eval mode. What "
    "becomes of an image then depends on the others. GroupNorm looks at one image at a time.",
    (NORM_IN, "nn.BatchNorm2d(channels[-1])"),
    (NORM_OUT, "nn.BatchNorm2d(channels[0])"),
)
answers.again("10.5", BATCH, (NORM_IN, "nn.BatchNorm2d(channels[-1])"))
answers.again("10.5", BATCH, (NORM_OUT, "nn.BatchNorm2d(channels[0])"))

ONE_GROUP = "a single group"
answers.edit(
    "10.5",
    ONE_GROUP,
    "config.groups says how many groups the channels are divided into, in these norms too.",
    (NORM_IN, "nn.GroupNorm(1, channels[-1])"),
    (NORM_OUT, "nn.GroupNorm(1, channels[0])"),
)

EACH_GROUP = "a group for each channel"
answers.edit(
    "10.5",
    EACH_GROUP,
    "That is InstanceNorm: how bright a channel is beside the others is lost. config.groups says "
    "how many groups there are.",
    (NORM_IN, "nn.GroupNorm(channels[-1], channels[-1])"),
    (NORM_OUT, "nn.GroupNorm(channels[0], channels[0])"),
)

answers.edit(
    "10.5",
    "the image squeezed by tanh",
    "A tanh holds up the gradients at the ends, where most of a picture's white and black is. The "
    "last convolution is the end.",
    (DECODE, "return self.decoder(z).tanh()"),
)

answers.edit(
    "10.5",
    "the image squeezed by a sigmoid",
    "A sigmoid gives numbers from 0 to 1, but images go from -1 to 1 here, and nothing squeezes "
    "them.",
    (DECODE, "return self.decoder(z).sigmoid()"),
)

answers.edit(
    "10.5",
    "the image clipped",
    "Where an image is clipped, no gradient says so. The last convolution is the end.",
    (DECODE, "return self.decoder(z).clamp(-1, 1)"),
)

answers.edit(
    "10.5",
    "the mean squeezed by tanh",
    "A mean may be any number. What keeps latents small is the KL, not a function at their end.",
    ("        return mean, log_var", "        return mean.tanh(), log_var"),
)

answers.edit(
    "10.5",
    "only positive means",
    "After a ReLU half of all numbers are 0 and no gradient flows to them. A mean may be negative.",
    ("        return mean, log_var", "        return mean.relu(), log_var"),
)

answers.edit(
    "10.5",
    "the variance in place of its logarithm",
    "encode says log_var, which may be negative. exp is taken by those who need the variance.",
    ("        return mean, log_var", "        return mean, log_var.exp()"),
)

answers.edit(
    "10.5",
    "log_var made positive",
    "A variance below 1 has a negative logarithm, and that is what a sure encoder says.",
    ("        return mean, log_var", "        return mean, F.softplus(log_var)"),
)

answers.edit(
    "10.5",
    "log_var squeezed by tanh",
    "Then no variance could be below exp(-1). The logarithm of a variance may be any number.",
    ("        return mean, log_var", "        return mean, log_var.tanh()"),
)

answers.edit(
    "10.5",
    "log_var clamped",
    "Beyond a clamp there is no gradient that could lead back. What keeps log_var in its place is "
    "the KL.",
    ("        return mean, log_var", "        return mean, log_var.clamp(-30.0, 20.0)"),
)

answers.edit(
    "10.5",
    "the mean twice",
    "The first D channels are the mean, the last D are log_var. Here the same ones are used twice.",
    ("        return mean, log_var", "        return mean, mean"),
)

answers.edit(
    "10.5",
    "every other channel",
    "The first D channels are the mean and the last D are log_var: cut in the middle.",
    (
        HALVES,
        "both = self.encoder(x)\n        mean, log_var = both[:, ::2], both[:, 1::2]",
    ),
)

answers.edit(
    "10.5",
    "cut along the height",
    "Mean and log_var are halves of the channels, dim=1.",
    ("chunk(2, dim=1)", "chunk(2, dim=2)"),
)

answers.edit(
    "10.5",
    "the mean alone",
    "encode returns a pair: the mean, and log_var.",
    ("        return mean, log_var", "        return mean"),
)

answers.edit(
    "10.5",
    "a latent drawn in encode",
    "encode says where and how sure. Drawing is another step, which only training takes.",
    (
        "        return mean, log_var",
        "        return mean + (log_var / 2).exp() * torch.randn_like(mean), log_var",
    ),
)

answers.edit(
    "10.5",
    "a skip from the encoder to the decoder",
    "When a diffusion model has drawn a latent, there is no image whose features could skip "
    "anything. The decoder is told the latent and nothing else.",
    (HALVES, "self.kept = x.mean(dim=(1, 2, 3), keepdim=True)\n        " + HALVES),
    (
        DECODE,
        "kept = getattr(self, 'kept', torch.zeros(len(z), 1, 1, 1))[: len(z)]\n"
        "        return self.decoder(z) + kept",
    ),
)

answers.edit(
    "10.5",
    "dropout in the decoder",
    "What becomes of a latent may not depend on chance, nor on whether the network is in training.",
    (f"up += [{NORM_OUT}, nn.SiLU()]", f"up += [{NORM_OUT}, nn.SiLU(), nn.Dropout(0.1)]"),
)

answers.edit(
    "10.5",
    "a Halve on the last level too",
    "L resolutions need L-1 halvings.",
    (
        "            if i + 1 in levels:\n"
        "                down.append(Halve(channels[i], channels[i + 1]))\n",
        "            last = i + 1 not in levels\n"
        "            down.append(Halve(channels[i], channels[i if last else i + 1]))\n",
    ),
)

answers.edit(
    "10.5",
    "a Double on level 0 too",
    "On level 0 the full resolution is reached; one more doubling makes the image too large.",
    (
        "            if i > 0:\n                up.append(Double(channels[i], channels[i - 1]))\n",
        "            up.append(Double(channels[i], channels[max(i - 1, 0)]))\n",
    ),
)

answers.edit(
    "10.5",
    "no ConvBlock on the last level of the encoder",
    "Every level has a ConvBlock, the last one too.",
    (
        "            down.append(ConvBlock(channels[i], groups))\n",
        "            if i + 1 in levels:\n"
        "                down.append(ConvBlock(channels[i], groups))\n",
    ),
)

answers.edit(
    "10.5",
    "no ConvBlock at the full resolution of the decoder",
    "Every level has a ConvBlock, level 0 too.",
    (
        "            up.append(ConvBlock(channels[i], groups))\n            if i > 0:\n",
        "            if i > 0:\n                up.append(ConvBlock(channels[i], groups))\n",
    ),
)

answers.edit(
    "10.5",
    "Halve before the ConvBlock",
    "On each level the ConvBlock comes first, and Halve leads to the level below.",
    ("            down.append(ConvBlock(channels[i], groups))\n", ""),
    (
        "                down.append(Halve(channels[i], channels[i + 1]))\n",
        "                down.append(Halve(channels[i], channels[i + 1]))\n"
        "            down.append(ConvBlock(channels[min(i + 1, levels[-1])], groups))\n",
    ),
)

answers.edit(
    "10.5",
    "no norm and no SiLU before the latents",
    "What the last block gives has no fixed scale. A norm and a SiLU come before the last "
    "convolution.",
    (f"down += [{NORM_IN}, nn.SiLU()]", "down += []"),
)

answers.edit(
    "10.5",
    "no norm and no SiLU before the image",
    "What the last block gives has no fixed scale. A norm and a SiLU come before the last "
    "convolution.",
    (f"up += [{NORM_OUT}, nn.SiLU()]", "up += []"),
)

answers.edit(
    "10.5",
    "a norm without a SiLU before the last convolutions",
    "A SiLU comes between the last norm and the last convolution, in both halves.",
    (f"[{NORM_IN}, nn.SiLU()]", f"[{NORM_IN}]"),
    (f"[{NORM_OUT}, nn.SiLU()]", f"[{NORM_OUT}]"),
)

answers.edit(
    "10.5",
    "ReLU where SiLU belongs",
    "The diagram has SiLU, as all of this course's networks do.",
    (f"[{NORM_IN}, nn.SiLU()]", f"[{NORM_IN}, nn.ReLU()]"),
    (f"[{NORM_OUT}, nn.SiLU()]", f"[{NORM_OUT}, nn.ReLU()]"),
)

answers.edit(
    "10.5",
    "1 x 1 convolutions at the ends",
    "What is called conv in the diagram has kernel 3 and padding 1.",
    ("nn.Conv2d(channels[-1], 2 * latent, 3, padding=1)", "nn.Conv2d(channels[-1], 2 * latent, 1)"),
    (
        "nn.Conv2d(channels[0], config.image_channels, 3, padding=1)",
        "nn.Conv2d(channels[0], config.image_channels, 1)",
    ),
)

answers.edit(
    "10.5",
    "enlarged by a transposed convolution",
    "It leaves a checkerboard, as chapter 04 showed. Double repeats pixels and smooths them.",
    (
        "Double(channels[i], channels[i - 1])",
        "nn.ConvTranspose2d(channels[i], channels[i - 1], 4, stride=2, padding=1)",
    ),
)

answers.edit(
    "10.5",
    "channels that double on every level",
    "config.channels has the channels of each level: base_channels times channel_mults.",
    (
        "channels, groups, latent = config.channels,",
        "channels = [config.base_channels * 2**i for i in range(len(config.channel_mults))]\n"
        "        groups, latent =",
    ),
)

answers.edit(
    "10.5",
    "always three levels",
    "The number of levels is the length of config.channel_mults; build both halves in loops.",
    (
        "levels = range(len(channels))",
        "channels = (channels + 2 * channels[-1:])[:3]\n        levels = range(3)",
    ),
)

answers.edit(
    "10.5",
    "always three colours",
    "config.image_channels says how many channels an image has.",
    ("nn.Conv2d(config.image_channels, channels[0], 3", "nn.LazyConv2d(channels[0], 3"),
    ("nn.Conv2d(channels[0], config.image_channels, 3", "nn.Conv2d(channels[0], 3, 3"),
)


@answers.wrong(
    "10.5",
    "layers in plain lists",
    "nn.Module does not look into Python lists. Layers in an nn.ModuleList or an nn.Sequential are "
    "found, moved to the GPU, saved and trained.",
)
class Autoencoder(ref.Autoencoder):
    def __init__(self, config):
        super().__init__(config)
        self.parts = [list(self.encoder), list(self.decoder)]
        del self.encoder, self.decoder

    def encoder(self, x):
        for part in self.parts[0]:
            x = part(x)
        return x

    def decoder(self, z):
        for part in self.parts[1]:
            z = part(z)
        return z


answers.edit(
    "10.5",
    "the encoder without gradients",
    "The encoder is trained as well. Gradients are switched off where a finished autoencoder is "
    "used, not in it.",
    (HALVES, "mean, log_var = self.encoder(x).detach().chunk(2, dim=1)"),
)

answers.edit(
    "10.5",
    "the latent cut from the gradient",
    "The encoder learns from what the decoder makes of its latents, so gradients pass through z.",
    (DECODE, "return self.decoder(z.detach())"),
)

answers.edit(
    "10.5",
    "any size accepted",
    "A side of 10 with factor 4 comes back as 12. The first lines of encode refuse it; keep them.",
    ("if x.shape[2] % self.config.factor or x.shape[3] % self.config.factor:", "if False:"),
)

answers.edit(
    "10.5",
    "only the height looked at",
    "Images need not be square: both sides have to be multiples of config.factor.",
    (" or x.shape[3] % self.config.factor", ""),
)

answers.edit(
    "10.5",
    "only oddness looked at",
    "With three levels a side is halved twice: 6 is even, but its half is not.",
    (
        "if x.shape[2] % self.config.factor or x.shape[3] % self.config.factor:",
        "if x.shape[2] % 2 or x.shape[3] % 2:",
    ),
)


# 10.6

ERROR = "(autoencoder.decode(z) - x).square().mean()"
KL_PART = "kl = gaussian_kl(mean, log_var) / mean[0].numel()"

answers.edit(
    "10.6",
    "the mean decoded",
    "The decoder has to get used to latents that are a little off, so it is given what was drawn.",
    ("autoencoder.decode(z)", "autoencoder.decode(mean)"),
)

answers.edit(
    "10.6",
    "the divergence not divided by the latent's numbers",
    "The error is a mean over single numbers, and so must the divergence be. A sum over a "
    "thousand numbers is a thousand times as strong: nothing of the image is left.",
    (KL_PART, "kl = gaussian_kl(mean, log_var)"),
)

answers.edit(
    "10.6",
    "the divergence divided by the image's numbers",
    "The divergence has a part for each number of the latent, so it is divided by their count.",
    (KL_PART, "kl = gaussian_kl(mean, log_var) / x[0].numel()"),
)

answers.edit(
    "10.6",
    "the divergence divided by the channels alone",
    "A latent has D h w numbers.",
    (KL_PART, "kl = gaussian_kl(mean, log_var) / mean.shape[1]"),
)

answers.edit(
    "10.6",
    "the divergence divided by the places alone",
    "A latent has D h w numbers: its channels count as well.",
    (KL_PART, "kl = gaussian_kl(mean, log_var) / mean[0, 0].numel()"),
)

answers.edit(
    "10.6",
    "the divergence divided by the batch twice",
    "numel of the whole batch counts its images, and their mean is taken afterwards.",
    (KL_PART, "kl = gaussian_kl(mean, log_var) / mean.numel()"),
)

answers.edit(
    "10.6",
    "the divergences of the batch added up",
    "Twice as many images would pull twice as hard. It is a mean over the batch.",
    ("kl_weight * kl.mean()", "kl_weight * kl.sum()"),
)

answers.edit(
    "10.6",
    "the divergence subtracted",
    "Texts that maximise subtract the divergence. A loss is made small, so it is added.",
    ("error + kl_weight", "error - kl_weight"),
)

answers.edit(
    "10.6",
    "kl_weight ignored: a weight of 1",
    "kl_weight says how short the leash is. With a weight of 1 little of the image is left.",
    ("kl_weight * kl.mean()", "kl.mean()"),
)

answers.edit(
    "10.6",
    "no divergence",
    "Without it latents grow without end, and the noise that is drawn no longer matters.",
    ("error + kl_weight * kl.mean()", "error + 0 * kl_weight * kl.mean()"),
)

answers.edit(
    "10.6",
    "the weight taken from the error",
    "The error has the weight 1, whatever kl_weight is.",
    ("error + kl_weight", "(1 - kl_weight) * error + kl_weight"),
)

answers.edit(
    "10.6",
    "the weight on the error",
    "It is the divergence that kl_weight weighs.",
    ("error + kl_weight * kl.mean()", "kl_weight * error + kl.mean()"),
)

answers.edit(
    "10.6",
    "the weight squared",
    "kl_weight is multiplied once.",
    ("error + kl_weight *", "error + kl_weight**2 *"),
)

answers.edit(
    "10.6",
    "the squared errors added up",
    "A sum grows with the batch and with the image, and the divergence beside it does not. It is a "
    "mean over batch and pixels.",
    (".square().mean()", ".square().sum()"),
)

answers.edit(
    "10.6",
    "a sum over pixels, a mean over the batch",
    "Both parts are means over single numbers; a sum over 12,288 pixels drowns the divergence.",
    (".square().mean()", ".square().sum(dim=(1, 2, 3)).mean()"),
)

answers.edit(
    "10.6",
    "the absolute error",
    "An error that is twice as large costs four times as much: square it.",
    (".square().mean()", ".abs().mean()"),
)

answers.edit(
    "10.6",
    "the root of the error",
    "The mean of the squares is the loss itself.",
    (".square().mean()", ".square().mean().sqrt()"),
)

answers.edit(
    "10.6",
    "half of the squared error",
    "Texts that begin with a Gaussian's logarithm keep its half. Here the error is the mean of the "
    "squares, and kl_weight is meant for it.",
    (".square().mean()", ".square().mean() / 2"),
)

answers.edit(
    "10.6",
    "the image clipped before it is compared",
    "Where an image is clipped, no gradient says that it is too bright.",
    ("(autoencoder.decode(z) - x)", "(autoencoder.decode(z).clamp(-1, 1) - x)"),
)

answers.edit(
    "10.6",
    "the latent cut from the gradient",
    "The encoder learns from the error too, through the latent that was drawn.",
    ("autoencoder.decode(z)", "autoencoder.decode(z.detach())"),
)

answers.edit(
    "10.6",
    "the divergence cut from the gradient",
    "The divergence pulls at the encoder by its gradient. Detached, it is a number in a log.",
    ("error + kl_weight * kl.mean()", "error + kl_weight * kl.mean().detach()"),
)

answers.edit(
    "10.6",
    "the whole loss detached",
    "detach() cuts the graph, as item() does. The training loop calls backward() on the loss, and "
    "that needs it.",
    ("return error + kl_weight * kl.mean()", "return (error + kl_weight * kl.mean()).detach()"),
)

answers.edit(
    "10.6",
    "the divergence of what was drawn",
    "gaussian_kl is asked about the mean, not about a draw around it.",
    ("gaussian_kl(mean, log_var)", "gaussian_kl(z, log_var)"),
)

answers.edit(
    "10.6",
    "encode's two results exchanged",
    "encode gives the mean first and log_var second, and all others take them in this order.",
    ("mean, log_var = autoencoder.encode(x)", "log_var, mean = autoencoder.encode(x)"),
)

answers.edit(
    "10.6",
    "mean and log_var exchanged in the divergence",
    "gaussian_kl takes the mean first and log_var second.",
    ("gaussian_kl(mean, log_var)", "gaussian_kl(log_var, mean)"),
)

answers.edit(
    "10.6",
    "encoded twice",
    "One pass through the encoder is enough, and the second one costs as much again.",
    ("sample_posterior(mean, log_var, generator)",
     "sample_posterior(*autoencoder.encode(x), generator)"),
)  # fmt: skip

answers.edit(
    "10.6",
    "a new generator in every call",
    "A generator with a fixed seed draws the same in every step. Hand on the one that you got.",
    (
        "sample_posterior(mean, log_var, generator)",
        "sample_posterior(mean, log_var, torch.Generator().manual_seed(0))",
    ),
)

answers.edit(
    "10.6",
    "drawn by its own formula",
    "sample_posterior is handed in, and the loss uses it: yours, or another's.",
    (
        "z = sample_posterior(mean, log_var, generator)",
        "z = mean + (log_var / 2).exp() * torch.randn(mean.shape, generator=generator)",
    ),
)

answers.edit(
    "10.6",
    "one loss for each image",
    "The loss is one number: a mean over the batch, too.",
    (".square().mean()", ".square().mean(dim=(1, 2, 3))"),
    ("kl_weight * kl.mean()", "kl_weight * kl"),
)

answers.edit(
    "10.6",
    "a part of the loss on the CPU",
    "A new tensor has to be made where x is. On a graphics card the two would not meet.",
    ("kl_weight * kl.mean()", "(torch.full((1,), kl_weight) * kl).mean()"),
)


answers.edit(
    "10.6",
    "the autoencoder put into training mode",
    "A loss only measures. Whether the network is in training is decided by the loop around it, "
    "which may also want the loss of a held-out batch.",
    ("    mean, log_var = autoencoder", "    autoencoder.train()\n    mean, log_var = autoencoder"),
)


# 10.7

answers.edit(
    "10.7",
    "the standard deviation in place of its inverse",
    "Latents are multiplied by the scale. Large ones have to become smaller: 1 / std.",
    ("1 / latents.double().std().item()", "latents.double().std().item()"),
)

answers.edit(
    "10.7",
    "one divided by the variance",
    "The standard deviation is to become 1. Dividing by the variance makes 1 / std of it.",
    ("latents.double().std()", "latents.double().var()"),
)

answers.edit(
    "10.7",
    "the root of the mean square",
    "A standard deviation is measured about the mean, which need not be 0.",
    ("latents.double().std()", "latents.double().square().mean().sqrt()"),
)

answers.edit(
    "10.7",
    "the largest value made 1",
    "One outlier would decide on all. It is the standard deviation that becomes 1.",
    ("latents.double().std()", "latents.double().abs().max()"),
)

answers.edit(
    "10.7",
    "the mean of the channels' standard deviations",
    "All numbers together have a standard deviation of 1, also what the channels' means differ by.",
    ("latents.double().std()", "latents.double().std(dim=(0, 2, 3)).mean()"),
)

answers.edit(
    "10.7",
    "the mean of the images' standard deviations",
    "All numbers together have a standard deviation of 1, also what the images' means differ by.",
    ("latents.double().std()", "latents.double().std(dim=(1, 2, 3)).mean()"),
)

answers.edit(
    "10.7",
    "the mean of the absolute values",
    "The standard deviation is the root of the mean square about the mean.",
    ("latents.double().std()", "latents.double().abs().mean()"),
)

answers.edit(
    "10.7",
    "the number of another autoencoder",
    "0.18215 belongs to the autoencoder of Stable Diffusion. Yours has a scale of its own: measure "
    "it.",
    ("1 / latents.double().std().item()", "0.18215"),
)

answers.edit(
    "10.7",
    "a scale for each channel",
    "The scale is one number, so that the channels keep their proportions.",
    ("1 / latents.double().std().item()", "1 / latents.std(dim=(0, 2, 3)).view(1, -1, 1, 1)"),
)

answers.edit(
    "10.7",
    "a tensor in place of a float",
    "The scale is stored with the model and read by people: .item() makes a float.",
    (".std().item()", ".std()"),
)

answers.edit(
    "10.7",
    "latents that are all alike accepted",
    "1 / 0 is infinity, and everything after it nan. The first lines refuse it; keep them.",
    ("if latents.max() == latents.min():", "if False:"),
    ("1 / latents.double().std().item()", "1 / max(latents.double().std().item(), 1e-8)"),
)

answers.edit(
    "10.7",
    "only zeros refused",
    "Latents that are all 0.7 have no spread either.",
    ("if latents.max() == latents.min():", "if not latents.any():"),
    ("1 / latents.double().std().item()", "1 / max(latents.double().std().item(), 1e-8)"),
)

answers.edit(
    "10.7",
    "latents not scaled",
    "The schedule is made for numbers of size 1: multiply by the scale.",
    ("return scale * mean", "return 1 * mean"),
)

answers.edit(
    "10.7",
    "latents divided by the scale",
    "The scale is 1 / std already: latents are multiplied by it on the way in, and divided on the "
    "way back.",
    ("return scale * mean", "return mean / scale"),
    ("z / scale", "z * scale"),
)

answers.edit(
    "10.7",
    "multiplied on both ways",
    "On the way back the scale has to be taken out: z / scale.",
    ("z / scale", "z * scale"),
)

answers.edit(
    "10.7",
    "the scale not taken out",
    "The decoder knows latents of the size that its encoder makes: z / scale.",
    ("decode(z / scale)", "decode(z)"),
)

answers.edit(
    "10.7",
    "the scale taken out of the image",
    "It is the latent that was scaled, so divide before decoding.",
    ("autoencoder.decode(z / scale)", "autoencoder.decode(z) / scale"),
)

answers.edit(
    "10.7",
    "a latent drawn in place of the mean",
    "The encoder's noise was for training. Here the schedule adds noise of its own, so the latent "
    "is the mean.",
    ("mean, _ = autoencoder.encode(x)", "mean, log_var = autoencoder.encode(x)"),
    ("return scale * mean",
     "return scale * (mean + (log_var / 2).exp() * torch.randn_like(mean))"),
)  # fmt: skip

answers.edit(
    "10.7",
    "noise scaled separately",
    "Nothing is drawn here at all: the latent is the mean, times the scale.",
    ("return scale * mean", "return scale * mean + torch.randn_like(mean)"),
)

answers.edit(
    "10.7",
    "log_var in place of the mean",
    "encode gives the mean first.",
    ("mean, _ = autoencoder.encode(x)", "_, mean = autoencoder.encode(x)"),
)

answers.edit(
    "10.7",
    "the mean of the latents taken away",
    "The scale is one factor, and nothing is shifted: the decoder would not get back what it "
    "knows.",
    ("return scale * mean", "return scale * (mean - mean.mean())"),
)

answers.edit(
    "10.7",
    "latents clipped",
    "Latents are no pixels. With a standard deviation of 1 a third of them are beyond -1 and 1.",
    ("return scale * mean", "return (scale * mean).clamp(-1, 1)"),
)

answers.edit(
    "10.7",
    "images clipped",
    "The images come back as the decoder made them. Whoever shows them clips.",
    ("autoencoder.decode(z / scale)", "autoencoder.decode(z / scale).clamp(-1, 1)"),
)

answers.edit(
    "10.7",
    "images brought to 0 ... 1",
    "Images are in [-1, 1] everywhere in this course. Whoever shows them brings them to 0 ... 1.",
    ("autoencoder.decode(z / scale)", "autoencoder.decode(z / scale) / 2 + 0.5"),
)

answers.edit(
    "10.7",
    "images taken to be from 0 to 1",
    "Images come in as they are everywhere, in [-1, 1]. 2 x - 1 is for those from 0 to 1.",
    ("autoencoder.encode(x)", "autoencoder.encode(2 * x - 1)"),
)

answers.edit(
    "10.7",
    "a graph for gradients built",
    "The autoencoder is finished. @torch.no_grad() above a function saves memory and time.",
    ("@torch.no_grad()\ndef to_latents", "def to_latents"),
    ("@torch.no_grad()\ndef from_latents", "def from_latents"),
)
answers.again(
    "10.7",
    "a graph for gradients built",
    ("@torch.no_grad()\ndef to_latents", "def to_latents"),
)
answers.again(
    "10.7",
    "a graph for gradients built",
    ("@torch.no_grad()\ndef from_latents", "def from_latents"),
)

answers.edit(
    "10.7",
    "gradients switched off for good",
    "torch.set_grad_enabled(False) stays after the function is over, and then nothing can be "
    "trained. @torch.no_grad() ends with it.",
    ("@torch.no_grad()\ndef to_latents", "def to_latents"),
    ("mean, _ = autoencoder", "torch.set_grad_enabled(False)\n    mean, _ = autoencoder"),
)


answers.edit(
    "10.7",
    "the autoencoder put into evaluation mode",
    "The network is the caller's, who may go on training it. Use it as it is.",
    ("    mean, _ = autoencoder", "    autoencoder.eval()\n    mean, _ = autoencoder"),
    ("    return autoencoder.decode", "    autoencoder.eval()\n    return autoencoder.decode"),
)


# 10.8

ATTENDS = "if level in config.attention_levels:"

answers.edit(
    "10.8",
    "attention on the lowest level alone",
    "That is chapter 04's. config.attention_levels says on which levels there is attention.",
    (ATTENDS, "if level in config.attention_levels and level == len(channels) - 1:"),
)

answers.edit(
    "10.8",
    "attention on all levels",
    "At the full resolution the table has millions of entries. config.attention_levels says where "
    "there is attention.",
    (ATTENDS, "if True:"),
)

answers.edit(
    "10.8",
    "attention everywhere below the full resolution",
    "config.attention_levels says on which levels there is attention, and on all others there is "
    "none.",
    (ATTENDS, "if level > 0:"),
)

answers.edit(
    "10.8",
    "attention nowhere",
    "On the levels of config.attention_levels a SelfAttention follows the ResBlock.",
    (ATTENDS, "if False:"),
)

answers.edit(
    "10.8",
    "levels counted from the lowest",
    "Levels are counted from the full resolution down, which is level 0.",
    (ATTENDS, "if len(channels) - 1 - level in config.attention_levels:"),
)

answers.edit(
    "10.8",
    "levels counted from 1",
    "Levels are counted from 0, the full resolution.",
    (ATTENDS, "if level + 1 in config.attention_levels:"),
)

answers.edit(
    "10.8",
    "as many levels as are named, from the lowest up",
    "The numbers name levels. How many there are says nothing about which.",
    (ATTENDS, "if level >= len(channels) - len(config.attention_levels):"),
)

answers.edit(
    "10.8",
    "attention where the lowest level named begins, and on all below",
    "Each level that attends is named. Those below one need not be.",
    (ATTENDS, "if level >= min(config.attention_levels, default=len(channels)):"),
)

answers.edit(
    "10.8",
    "no attention on the way up",
    "A level that attends does so on both ways.",
    ("self.up_attentions.append(attend(level))", "self.up_attentions.append(nn.Identity())"),
)

answers.edit(
    "10.8",
    "no attention on the way down",
    "A level that attends does so on both ways, and its skip carries what attention found.",
    ("self.down_attentions.append(attend(level))", "self.down_attentions.append(nn.Identity())"),
)

answers.edit(
    "10.8",
    "no attention in the middle",
    "If the lowest level is named, there is attention between the two middle blocks too.",
    ("        h = self.middle_attention(h)\n", ""),
)

answers.edit(
    "10.8",
    "attention in the middle always",
    "The middle has attention if the lowest level is named, and not otherwise.",
    ("self.middle_attention = attend(levels[-1])",
     "self.middle_attention = blocks.SelfAttention(before, groups)"),
)  # fmt: skip

answers.edit(
    "10.8",
    "attention in the middle if any level is named",
    "The middle has attention if the lowest level is named, and not otherwise.",
    (
        "self.middle_attention = attend(levels[-1])",
        "self.middle_attention = (\n"
        "            blocks.SelfAttention(before, groups) if config.attention_levels else "
        "nn.Identity()\n        )",
    ),
)

answers.edit(
    "10.8",
    "the middle's attention at its end",
    "Its place is between the two middle blocks, so that the second one can work with what was "
    "found.",
    ("        h = self.middle_attention(h)\n", ""),
    ("h = self.middle2(h, cond)", "h = self.middle_attention(self.middle2(h, cond))"),
)

answers.edit(
    "10.8",
    "attention shared by both ways",
    "Every place has weights of its own. One module in two places has to learn two things at once.",
    ("self.up_attentions.append(attend(level))",
     "self.up_attentions.append(self.down_attentions[level])"),
)  # fmt: skip

answers.edit(
    "10.8",
    "the middle's attention shared with its level",
    "Every place has weights of its own, the middle too.",
    ("self.middle_attention = attend(levels[-1])",
     "self.middle_attention = self.down_attentions[-1]"),
)  # fmt: skip

answers.edit(
    "10.8",
    "skips kept before attention",
    "What is kept is what the level gives in the end: after its ResBlock and after its attention.",
    (
        "h = attend(block(h, cond))  # (B, c_i, H_i, W_i)\n            skips.append(h)\n"
        "            h = down(h)",
        "h = block(h, cond)\n            skips.append(h)\n            h = down(attend(h))",
    ),
)

answers.edit(
    "10.8",
    "attention on the skip alone",
    "h goes on with what attention found as well: it is not for the skip alone.",
    (
        "h = attend(block(h, cond))  # (B, c_i, H_i, W_i)\n            skips.append(h)",
        "h = block(h, cond)\n            skips.append(attend(h))",
    ),
)

answers.edit(
    "10.8",
    "attention before the ResBlock on the way down",
    "The ResBlock of a level comes first, and gives the channels that attention is made for.",
    (
        "h = attend(block(h, cond))  # (B, c_i, H_i, W_i)\n            skips",
        "h = block(attend(h), cond)\n            skips",
    ),
)

answers.edit(
    "10.8",
    "attention before the ResBlock on the way up",
    "The ResBlock of a level comes first, and gives the channels that attention is made for.",
    (
        "h = attend(block(h, cond))  # (B, c_i, H_i, W_i)\n            h = up(h)",
        "h = up(block(attend(h), cond))",
    ),
)

answers.edit(
    "10.8",
    "attention after the Upsample",
    "On the way up attention belongs to the level of its ResBlock, before the image is enlarged.",
    (
        "h = attend(block(h, cond))  # (B, c_i, H_i, W_i)\n            h = up(h)",
        "h = attend(up(block(h, cond)))",
    ),
)

answers.edit(
    "10.8",
    "attention after the Downsample",
    "Attention belongs to the level of its ResBlock, before the image is halved.",
    (
        "h = attend(block(h, cond))  # (B, c_i, H_i, W_i)\n            skips.append(h)\n"
        "            h = down(h)",
        "h = block(h, cond)\n            skips.append(h)\n            h = attend(down(h))",
    ),
)

answers.edit(
    "10.8",
    "attentions of the way up from the wrong end",
    "On the way up the lowest level comes first, in all lists alike.",
    ("zip(self.up_blocks, self.up_attentions, self.upsamples)",
     "zip(self.up_blocks, self.up_attentions[::-1], self.upsamples)"),
)  # fmt: skip

answers.edit(
    "10.8",
    "what attention found thrown away",
    "attend returns new features. h has to become these.",
    ("h = self.middle_attention(h)", "self.middle_attention(h)"),
)

answers.edit(
    "10.8",
    "attention twice on each level",
    "One attention follows one ResBlock.",
    (
        "h = attend(block(h, cond))  # (B, c_i, H_i, W_i)\n            skips",
        "h = attend(attend(block(h, cond)))\n            skips",
    ),
)

answers.edit(
    "10.8",
    "attention without groups",
    "config.groups has to reach every block; a block that is not told takes its own default.",
    ("blocks.SelfAttention(channels[level], groups)", "blocks.SelfAttention(channels[level])"),
)

answers.edit(
    "10.8",
    "groups left at the default",
    "config.groups has to reach every block; a block that is not told takes its own default.",
    ("blocks.ResBlock(before, width, cond_dim, groups)",
     "blocks.ResBlock(before, width, cond_dim)"),
)  # fmt: skip

answers.edit(
    "10.8",
    "attention for base_channels",
    "Attention on level i is made for the c_i channels that its ResBlock gives.",
    ("blocks.SelfAttention(channels[level], groups)",
     "blocks.SelfAttention(config.base_channels, groups)"),
)  # fmt: skip

answers.edit(
    "10.8",
    "one image channel",
    "config.image_channels says how many: three in colour, more with patches or latents.",
    ("nn.Conv2d(channels[0], config.image_channels", "nn.Conv2d(channels[0], 1"),
)

answers.edit(
    "10.8",
    "three image channels",
    "config.image_channels says how many: three in colour, more with patches or latents.",
    ("nn.Conv2d(channels[0], config.image_channels", "nn.Conv2d(channels[0], 3"),
)

answers.edit(
    "10.8",
    "a level that is not there accepted",
    "Attention on a level that does not exist would be left out without a word. Raise a "
    "ValueError.",
    ("if not set(config.attention_levels) <= set(range(len(config.channel_mults))):", "if False:"),
)

answers.edit(
    "10.8",
    "levels below 0 accepted",
    "-1 is no level here: levels are counted from 0.",
    (
        "if not set(config.attention_levels) <= set(range(len(config.channel_mults))):",
        "if max(config.attention_levels, default=0) >= len(config.channel_mults):",
    ),
)

answers.edit(
    "10.8",
    "level 0 refused",
    "Attention at the full resolution is dear, but whoever asks for it gets it.",
    (
        "if not set(config.attention_levels) <= set(range(len(config.channel_mults))):",
        "if not set(config.attention_levels) <= set(range(1, len(config.channel_mults))):",
    ),
)

answers.edit(
    "10.8",
    "skips from the wrong end",
    "The way up begins at the lowest level, so it needs the last skip first: a stack, not a queue.",
    ("skips.pop()", "skips.pop(0)"),
)

answers.edit(
    "10.8",
    "skips full of zeros",
    "The concatenation has the right shape, but its second half says nothing.",
    ("skips.pop()", "torch.zeros_like(skips.pop())"),
)

answers.edit(
    "10.8",
    "h joined with itself",
    "The second half of the concatenation is the skip, not h once more.",
    ("[h, skips.pop()]", "[h, h]"),
)

answers.edit(
    "10.8",
    "skips cut from the gradient",
    "A detached skip carries numbers up but no gradient back.",
    ("skips.pop()", "skips.pop().detach()"),
)

answers.edit(
    "10.8",
    "the label ignored",
    "cond is the sum of both embeddings. Without the label the network draws anything.",
    (" + self.class_embedding(labels)", " + 0 * self.class_embedding(labels)"),
)

answers.edit(
    "10.8",
    "the time ignored",
    "Without the time the network cannot know how much noise there is.",
    ("self.time_embedding(t) +", "0 * self.time_embedding(t) +"),
)

answers.edit(
    "10.8",
    "t and the labels swapped",
    "time_embedding gets t, class_embedding gets the labels.",
    ("self.time_embedding(t)", "self.time_embedding(labels)"),
    ("self.class_embedding(labels)", "self.class_embedding(t)"),
)

answers.edit(
    "10.8",
    "cond on the way down only",
    "Every ResBlock is told the time and the class, those in the middle and on the way up too.",
    (
        "        h = self.middle1(h, cond)",
        "        cond = torch.zeros_like(cond)\n        h = self.middle1(h, cond)",
    ),
)

answers.edit(
    "10.8",
    "cond cut from the gradient",
    "The embeddings learn through cond. Detached, they stay as they were initialised.",
    ("h = self.conv_in(x)", "cond = cond.detach()\n        h = self.conv_in(x)"),
)

answers.edit(
    "10.8",
    "a single middle block",
    "There are two ResBlocks in the middle.",
    ("        h = self.middle2(h, cond)\n", ""),
)

answers.edit(
    "10.8",
    "one middle block used twice",
    "Calling one block twice shares its weights. Make two.",
    (
        "self.middle2 = blocks.ResBlock(before, before, cond_dim, groups)",
        "self.middle2 = self.middle1",
    ),
)

answers.edit(
    "10.8",
    "a Downsample on the last level too",
    "L resolutions need L-1 halvings.",
    ("self.downsamples[-1] = nn.Identity()", ""),
)

answers.edit(
    "10.8",
    "no norm at the end",
    "The last block's result has no fixed scale. GroupNorm and SiLU come before conv_out.",
    ("F.silu(self.norm_out(h))", "F.silu(h)"),
)

answers.edit(
    "10.8",
    "BatchNorm at the end",
    "Its statistics mix the images of a batch, which are at different noise levels. Use GroupNorm.",
    ("nn.GroupNorm(groups, channels[0])", "nn.BatchNorm2d(channels[0])"),
)

answers.edit(
    "10.8",
    "the result squeezed by tanh",
    "The network predicts noise, which has no bounds. conv_out is the end.",
    ("self.norm_out(h)))", "self.norm_out(h))).tanh()"),
)

LISTS = "modules in a plain list"
DOWN_LISTS = "self.down_blocks, self.down_attentions = nn.ModuleList(), nn.ModuleList()"
UP_LISTS = "self.up_blocks, self.up_attentions = nn.ModuleList(), nn.ModuleList()"
answers.edit(
    "10.8",
    LISTS,
    "nn.Module does not look into Python lists. Modules in an nn.ModuleList are found, moved to "
    "the GPU, saved and trained.",
    (DOWN_LISTS, "self.down_blocks, self.down_attentions = [], []"),
    (UP_LISTS, "self.up_blocks, self.up_attentions = [], []"),
)
for down, up in (("nn.ModuleList(), []", "nn.ModuleList(), []"), ("[], nn.ModuleList()",) * 2):
    answers.again(
        "10.8",
        LISTS,
        (DOWN_LISTS, f"self.down_blocks, self.down_attentions = {down}"),
        (UP_LISTS, f"self.up_blocks, self.up_attentions = {up}"),
    )
answers.again(
    "10.8", LISTS, (DOWN_LISTS, "self.down_blocks, self.down_attentions = nn.ModuleList(), []")
)
answers.again("10.8", LISTS, (UP_LISTS, "self.up_blocks, self.up_attentions = nn.ModuleList(), []"))

answers.edit(
    "10.8",
    "any size accepted",
    "A side that cannot be halved often enough comes back with another size. Say so with a "
    "ValueError before the work begins.",
    ("if x.shape[-2] % self.stride or x.shape[-1] % self.stride", "if False"),
)

answers.edit(
    "10.8",
    "only the height looked at",
    "Images need not be square: both sides have to be halved.",
    (" or x.shape[-1] % self.stride", ""),
)
