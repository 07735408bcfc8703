"""Known wrong answers to chapter 02, each with the misunderstanding behind it."""

from dataclasses import replace
from types import SimpleNamespace

import torch

from course.grading.answers import Answers
from solutions import ch02_forward_process as ref

answers = Answers()

COLUMNS = (
    "A tensor of shape (B,) meets the last axis of the images, the width: each column got its own "
    "factor, not each image. The numbers need shape (B, 1, 1, 1)."
)
FIRST_STEP = (
    "Every image of a batch has its own step. Look up all of t, not only its first entry, and let "
    "each image meet its own number."
)
COUNTED_FROM_ONE = (
    "Many papers count steps from 1, this course from 0. So t is the index already: with t - 1, an "
    "image gets the number of the step before its own, and -1 is the table's last entry."
)
FRESH_NOISE = (
    "The noise is an argument, because training needs to know which noise went in and a check "
    "wants the same answer twice. Use eps; draw nothing."
)
CLIPPED = (
    "Only clean images lie in [-1, 1]. Noisy ones reach beyond, and what is cut off there is lost "
    "for good."
)
IN_PLACE = (
    "Methods that end in an underscore, and *=, write into the caller's tensor. The caller still "
    "needs it, so let plain operators make a new one."
)
HANDED_OUT_FLOAT32 = (
    "The result has the dtype of the images that came in. Do not fix a dtype by name at the end."
)
MADE_ON_THE_CPU = (
    "A new tensor lies on the CPU unless you say otherwise, and on a graphics card it cannot meet "
    "the others. Take the device from a tensor that you were given: device=t.device."
)
SHRUNK_TOGETHER = (
    "Brackets around the sum shrink the noise as well. Only the image shrinks; the noise comes on "
    "top as it is, with its own weight."
)
DTYPE_OF_THE_TABLE = (
    "The images may be more precise than the table, whose numbers are float32. What comes out has "
    "the dtype of the images; multiplied by float32 numbers, float64 images stay float64 by "
    "themselves."
)
ROUNDED_ON_THE_WAY = (
    "What was rounded to float32 once has seven digits, even if it is turned into float64 again. "
    "Take images and table as they come, and their dtype looks after itself."
)
LIMITS_OF_ONES_OWN = (
    "The table's numbers are right as they are, however close to 0 or 1 they come. Limits of your "
    "own change the weights of the first or the last steps."
)
TABLE_OVERWRITTEN = (
    "A method that ends in an underscore writes into the caller's table, and the next call would "
    "read wrong numbers there. Without the underscore it makes a new tensor."
)


def weights(values, t, images):
    """The table's entries at t, and what they lack to 1, shaped for images."""
    picked = ref.gather_at(values, t, images.ndim)
    return picked, 1 - picked


# 2.1


answers.edit(
    "2.1",
    "a number for each column",
    "A tensor of shape (B,) meets the images' last axis, the width. Then columns are scaled, "
    "silently when B equals the width. Add an axis of length 1 for each axis of an image.",
    ("picked.reshape(batch_size, *[1] * (ndim - 1))", "picked"),
)

answers.edit(
    "2.1",
    "the axes of length 1 in front",
    "Broadcasting adds axes on the left by itself; what is missing are axes on the right. The "
    "batch axis comes first.",
    ("reshape(batch_size, *[1] * (ndim - 1))", "reshape(*[1] * (ndim - 1), batch_size)"),
)

answers.edit(
    "2.1",
    "the batch on the channel axis",
    "The batch is axis 0. With shape (1, B, 1, 1) the numbers would meet the channels.",
    ("reshape(batch_size, *[1] * (ndim - 1))", "reshape(1, batch_size, *[1] * (ndim - 2))"),
)

answers.edit(
    "2.1",
    "only one axis added",
    "With shape (B, 1) the numbers meet the last two axes, height and width. It takes as many axes "
    "as images have.",
    ("reshape(batch_size, *[1] * (ndim - 1))", "unsqueeze(-1)"),
)

answers.edit(
    "2.1",
    "one axis too many",
    "ndim counts all axes of the images, the batch's among them. Only the others have length 1.",
    ("(ndim - 1)", "ndim"),
)

answers.edit(
    "2.1",
    "always four axes",
    "ndim says how many axes the result has; 4 is only its usual value.",
    ("reshape(batch_size, *[1] * (ndim - 1))", "reshape(-1, 1, 1, 1)"),
)

answers.edit("2.1", "t counted from 1", COUNTED_FROM_ONE, ("values[t]", "values[t - 1]"))


answers.edit(
    "2.1", "the first image's step for all", FIRST_STEP, ("values[t]", "values[t[:1].expand_as(t)]")
)

answers.edit(
    "2.1",
    "the place in the batch instead of the step",
    "Image b needs the entry at t[b], not the entry at b. The step, not the place, is the index.",
    ("values[t]", "values[torch.arange(batch_size, device=t.device) % len(values)]"),
)

answers.edit(
    "2.1",
    "t itself instead of the table's entry",
    "t is only the place to look at. What you want is the table's entry there.",
    ("values[t]", "t.to(values.dtype)"),
)

answers.edit(
    "2.1",
    "counting from the end",
    "The table runs forward, like time: its entry 0 belongs to t = 0, the first step of noise.",
    ("values[t]", "values.flip(0)[t]"),
)

answers.edit(
    "2.1",
    "the batch axis squeezed away",
    "squeeze() removes every axis of length 1, the batch axis too when there is only one image.",
    ("values[t]", "values[t].squeeze()"),
    ("reshape(batch_size,", "reshape(*picked.shape,"),
)

answers.edit(
    "2.1",
    "turned into float32",
    "The numbers are copied, not converted: the result has the dtype of the table.",
    ("reshape(batch_size, *[1] * (ndim - 1))", "reshape(batch_size, *[1] * (ndim - 1)).float()"),
)

answers.edit(
    "2.1",
    "the whole table, without looking at t",
    "An image needs only the entry of its own step. Use t as the index of the table.",
    ("values[t]", "values"),
    ("reshape(batch_size,", "reshape(-1,"),
)


@answers.wrong(
    "2.1",
    "a Python list instead of a tensor",
    "The numbers will multiply whole images, so they must be a tensor. Indexing a tensor with a "
    "tensor gives one at once, without a loop.",
)
def gather_at(values, t, ndim):
    return [float(values[step]) for step in t]


@answers.wrong("2.1", "a new tensor that always lies on the CPU", MADE_ON_THE_CPU)
def gather_at(values, t, ndim):
    rows = torch.eye(len(values), dtype=values.dtype)[t]
    return (rows @ values).reshape(-1, *[1] * (ndim - 1))


answers.again(
    "2.1",
    "the place in the batch instead of the step",
    ("values[t]", "values[:batch_size]"),
    ("reshape(batch_size,", "reshape(-1,"),
)

answers.again(
    "2.1",
    "the place in the batch instead of the step",
    ("values[t]", "values[:batch_size]"),
)

answers.again(
    "2.1",
    "the first image's step for all",
    ("values[t]", "values[t[0]].repeat(batch_size)"),
)

answers.edit(
    "2.1",
    "one axis too few",
    "ndim counts all axes of the images, the batch's among them, and the result has as many.",
    ("(ndim - 1)", "(ndim - 2)"),
)

answers.again("2.1", "t counted from 1", ("values[t]", "values[(t - 1).clamp(min=0)]"))


@answers.wrong(
    "2.1",
    "a mask over the table",
    "A mask says which entries occur, not for which image, nor how often. Use t itself as the "
    "index: image b gets the entry at t[b].",
)
def gather_at(values, t, ndim):
    mask = torch.zeros(len(values), dtype=torch.bool)
    mask[t] = True
    return values[mask].reshape(-1, *[1] * (ndim - 1))


# 2.2


answers.edit(
    "2.2",
    "plus under the root",
    "The two weights share a power of 1: what the noise gets, the image loses.",
    ("torch.sqrt(1 - beta) * x_prev", "torch.sqrt(1 + beta) * x_prev"),
)

answers.edit(
    "2.2",
    "the noise multiplied by its variance",
    "beta_t is the variance of the noise. Noise is multiplied by its standard deviation, the root.",
    ("torch.sqrt(beta)", "beta"),
)

answers.edit(
    "2.2",
    "the image multiplied by its share of power",
    "1 - beta_t is the share of the power that is left. The image itself shrinks by its root.",
    ("torch.sqrt(1 - beta)", "(1 - beta)"),
)

answers.edit(
    "2.2",
    "no roots at all",
    "Here the weights add up to 1, but it is their squares that must: variances add, not standard "
    "deviations.",
    ("torch.sqrt(1 - beta)", "(1 - beta)"),
    ("torch.sqrt(beta)", "beta"),
)

answers.edit(
    "2.2",
    "the two weights swapped",
    "A step keeps most of the image and adds a little noise: the small number, beta, belongs to "
    "the noise.",
    ("gather_at(betas, t, x_prev.ndim)", "1 - gather_at(betas, t, x_prev.ndim)"),
)

answers.edit(
    "2.2",
    "noise on top of the whole image",
    "If the image does not shrink first, the variance grows with every step. It shrinks by just as "
    "much power as the noise brings.",
    ("torch.sqrt(1 - beta) * ", ""),
)

answers.edit(
    "2.2",
    "the root of beta taken from 1",
    "First 1 - beta, then the root. The root of beta is a different number: sqrt(1 - beta) is "
    "not 1 - sqrt(beta).",
    ("torch.sqrt(1 - beta)", "(1 - torch.sqrt(beta))"),
)

answers.edit(
    "2.2",
    "all steps up to t at once",
    "The product of 1 - beta over the steps 0 ... t is q_sample's. One step needs its own beta "
    "only.",
    ("(betas,", "(1 - torch.cumprod(1 - betas, dim=0),"),
)

answers.edit(
    "2.2", "a number for each column", COLUMNS, ("gather_at(betas, t, x_prev.ndim)", "betas[t]")
)

answers.edit(
    "2.2", "the first image's step for all", FIRST_STEP, ("t, x_prev.ndim", "t[:1], x_prev.ndim")
)

answers.edit("2.2", "t counted from 1", COUNTED_FROM_ONE, ("t, x_prev.ndim", "t - 1, x_prev.ndim"))


answers.edit(
    "2.2", "fresh noise instead of eps", FRESH_NOISE, ("* eps", "* torch.randn_like(x_prev)")
)

answers.edit(
    "2.2",
    "the noise subtracted",
    "The forward process adds noise. As a distribution the sign would not matter, but eps is what "
    "the network learns to find, so its sign counts.",
    ("+ torch.sqrt(beta)", "- torch.sqrt(beta)"),
)


@answers.wrong("2.2", "clipped to [-1, 1]", CLIPPED)
def q_step(x_prev, t, eps, betas):
    return ref.q_step(x_prev, t, eps, betas).clamp(-1, 1)


@answers.wrong("2.2", "the caller's images overwritten", IN_PLACE)
def q_step(x_prev, t, eps, betas):
    beta, alpha = weights(betas, t, x_prev)
    return x_prev.mul_(alpha.sqrt()).add_(beta.sqrt() * eps)


@answers.wrong("2.2", "float32 handed out", HANDED_OUT_FLOAT32)
def q_step(x_prev, t, eps, betas):
    return ref.q_step(x_prev, t, eps, betas).float()


@answers.wrong("2.2", "the noise shrunk along with the image", SHRUNK_TOGETHER)
def q_step(x_prev, t, eps, betas):
    beta, alpha = weights(betas, t, x_prev)
    return alpha.sqrt() * (x_prev + beta.sqrt() * eps)


answers.edit(
    "2.2",
    "1 - sqrt(1 - beta) as the weight of the noise",
    "It is not the weights that add up to 1 but their squares, because variances add. The noise "
    "has its own weight, which comes from beta_t.",
    ("torch.sqrt(beta)", "(1 - torch.sqrt(1 - beta))"),
)


@answers.wrong("2.2", "the caller's table overwritten", TABLE_OVERWRITTEN)
def q_step(x_prev, t, eps, betas):
    keep = (1 - betas).sqrt()[t].reshape(-1, 1, 1, 1)
    return keep * x_prev + betas.sqrt_()[t].reshape(-1, 1, 1, 1) * eps


@answers.wrong("2.2", "rounded to float32 on the way", ROUNDED_ON_THE_WAY)
def q_step(x_prev, t, eps, betas):
    return ref.q_step(x_prev.float(), t, eps.float(), betas.float()).to(x_prev.dtype)


@answers.wrong("2.2", "the dtype of the table handed out", DTYPE_OF_THE_TABLE)
def q_step(x_prev, t, eps, betas):
    return ref.q_step(x_prev, t, eps, betas).to(betas.dtype)


answers.edit(
    "2.2",
    "beta kept away from 0 and 1",
    LIMITS_OF_ONES_OWN,
    ("(betas,", "(betas.clamp(1e-4, 0.999),"),
)


answers.edit(
    "2.2",
    "beta taken for the standard deviation in both weights",
    "beta_t is the variance of the noise. The weight of the noise is its root, and 1 - beta_t is "
    "taken without a square.",
    ("torch.sqrt(1 - beta)", "torch.sqrt(1 - beta**2)"),
    ("torch.sqrt(beta)", "beta"),
)

answers.again("2.2", "t counted from 1", ("t, x_prev.ndim", "(t - 1).clamp(min=0), x_prev.ndim"))


@answers.wrong(
    "2.2",
    "divided by the spread that was measured",
    "The weights see to it that a variance of 1 stays 1, on average over all noises. What you "
    "measure in one draw is a little more or less. Divide by nothing.",
)
def q_step(x_prev, t, eps, betas):
    x_t = ref.q_step(x_prev, t, eps, betas)
    return x_t / x_t.std()


@answers.wrong_again("2.2", "divided by the spread that was measured")
def q_step(x_prev, t, eps, betas):
    x_t = ref.q_step(x_prev, t, eps, betas)
    return x_t / x_t.std(dim=(1, 2, 3), keepdim=True)


@answers.wrong_again("2.2", "the caller's images overwritten")
def q_step(x_prev, t, eps, betas):
    beta, alpha = weights(betas, t, x_prev)
    x_prev *= alpha.sqrt()
    return x_prev + beta.sqrt() * eps


@answers.wrong("2.2", "the caller's noise overwritten", IN_PLACE)
def q_step(x_prev, t, eps, betas):
    beta, alpha = weights(betas, t, x_prev)
    return eps.mul_(beta.sqrt()).add_(alpha.sqrt() * x_prev)


@answers.wrong_again("2.2", "the caller's noise overwritten")
def q_step(x_prev, t, eps, betas):
    beta, alpha = weights(betas, t, x_prev)
    eps *= beta.sqrt()
    return alpha.sqrt() * x_prev + eps


answers.again(
    "2.2",
    "rounded to float32 on the way",
    ("torch.sqrt(1 - beta)", "torch.sqrt(1 - beta).float()"),
    ("torch.sqrt(beta)", "torch.sqrt(beta).float()"),
)

# 2.3


answers.edit(
    "2.3",
    "divided by the spread measured in the whole batch",
    "eps has variance 1 on average over all noises, and a little more or less in each draw. Divide "
    "by what the weights make of the variance, which is known, and not by what came out. A single "
    "pixel has no spread at all: its std is NaN.",
    ("return walked / torch.sqrt(1 - kept)", "return walked / walked.std()"),
)

answers.edit(
    "2.3",
    "plus under the root",
    "The two weights share a power of 1: what the noise gets, the image loses.",
    ("torch.sqrt(1 - alpha_bar) * eps", "torch.sqrt(1 + alpha_bar) * eps"),
)

answers.edit(
    "2.3",
    "the noise multiplied by its variance",
    "1 - alpha_bar_t is the variance of the noise. Noise is multiplied by its standard deviation, "
    "the root.",
    ("torch.sqrt(1 - alpha_bar)", "(1 - alpha_bar)"),
)

answers.edit(
    "2.3",
    "the image multiplied by its share of power",
    "alpha_bar_t is the share of the power that is left. The image itself shrinks by its root.",
    ("torch.sqrt(alpha_bar)", "alpha_bar"),
)

answers.edit(
    "2.3",
    "no roots at all",
    "Here the weights add up to 1, but it is their squares that must: variances add, not standard "
    "deviations.",
    ("torch.sqrt(alpha_bar)", "alpha_bar"),
    ("torch.sqrt(1 - alpha_bar)", "(1 - alpha_bar)"),
)

answers.edit(
    "2.3",
    "the root of alpha_bar taken from 1",
    "First 1 - alpha_bar, then the root. A blend whose weights add up to 1 loses variance: the "
    "squares of the weights have to add up to 1.",
    ("torch.sqrt(1 - alpha_bar)", "(1 - torch.sqrt(alpha_bar))"),
)

answers.edit(
    "2.3",
    "the two weights swapped",
    "At t = 0 nearly all is image, and alpha_bar is close to 1 there: it belongs to the image.",
    ("gather_at(alpha_bars, t, x0.ndim)", "1 - gather_at(alpha_bars, t, x0.ndim)"),
)

answers.edit(
    "2.3",
    "the image not shrunk, the noise right",
    "x_0 shrinks by the root of alpha_bar before the noise comes on top. Otherwise the image never "
    "fades, and the variance exceeds 1.",
    ("torch.sqrt(alpha_bar) * ", ""),
)

answers.edit(
    "2.3",
    "the product taken once more",
    "alpha_bars is a running product already. Look the number up as it is.",
    ("(alpha_bars, t", "(torch.cumprod(alpha_bars, dim=0), t"),
)


@answers.wrong(
    "2.3",
    "a single step instead of the jump",
    "The ratio of neighbouring alpha_bars is alpha_t, which is one step's. The jump contains all "
    "steps from 0 to t.",
)
def q_sample(x0, t, eps, alpha_bars):
    previous = torch.cat([torch.ones_like(alpha_bars[:1]), alpha_bars[:-1]])
    return ref.q_sample(x0, t, eps, alpha_bars / previous)


@answers.wrong("2.3", "a number for each column", COLUMNS)
def q_sample(x0, t, eps, alpha_bars):
    alpha_bar = alpha_bars[t]
    return alpha_bar.sqrt() * x0 + (1 - alpha_bar).sqrt() * eps


answers.edit("2.3", "the first image's step for all", FIRST_STEP, ("t, x0.ndim", "t[:1], x0.ndim"))


answers.edit("2.3", "t counted from 1", COUNTED_FROM_ONE, ("t, x0.ndim", "t - 1, x0.ndim"))


answers.edit("2.3", "fresh noise instead of eps", FRESH_NOISE, ("* eps", "* torch.randn_like(x0)"))


answers.edit(
    "2.3",
    "the noise subtracted",
    "The forward process adds noise. As a distribution the sign would not matter, but eps is what "
    "the network learns to find, so its sign counts.",
    ("+ torch", "- torch"),
)

answers.edit(
    "2.3",
    "one image's noise for the whole batch",
    "Every image has its own noise: image b meets eps[b].",
    ("* eps", "* eps[:1]"),
)


@answers.wrong("2.3", "clipped to [-1, 1]", CLIPPED)
def q_sample(x0, t, eps, alpha_bars):
    return ref.q_sample(x0, t, eps, alpha_bars).clamp(-1, 1)


@answers.wrong("2.3", "the caller's images overwritten", IN_PLACE)
def q_sample(x0, t, eps, alpha_bars):
    signal, noise = weights(alpha_bars, t, x0)
    x0 *= signal.sqrt()
    x0 += noise.sqrt() * eps
    return x0


@answers.wrong("2.3", "float32 handed out", HANDED_OUT_FLOAT32)
def q_sample(x0, t, eps, alpha_bars):
    return ref.q_sample(x0, t, eps, alpha_bars).float()


@answers.wrong("2.3", "the noise shrunk along with the image", SHRUNK_TOGETHER)
def q_sample(x0, t, eps, alpha_bars):
    signal, noise = weights(alpha_bars, t, x0)
    return signal.sqrt() * (x0 + noise.sqrt() * eps)


@answers.wrong(
    "2.3",
    "the noise of the last step only",
    "eps is worth the noise of all steps together, so its variance is all that the image has "
    "lost, 1 - alpha_bar_t. beta_t is the last step's.",
)
def q_sample(x0, t, eps, alpha_bars):
    previous = torch.cat([torch.ones_like(alpha_bars[:1]), alpha_bars[:-1]])
    signal, beta = weights(alpha_bars, t, x0)[0], weights(alpha_bars / previous, t, x0)[1]
    return signal.sqrt() * x0 + beta.sqrt() * eps


@answers.wrong("2.3", "the caller's table overwritten", TABLE_OVERWRITTEN)
def q_sample(x0, t, eps, alpha_bars):
    noise = (1 - alpha_bars).sqrt()[t].reshape(-1, 1, 1, 1)
    return alpha_bars.sqrt_()[t].reshape(-1, 1, 1, 1) * x0 + noise * eps


@answers.wrong("2.3", "rounded to float32 on the way", ROUNDED_ON_THE_WAY)
def q_sample(x0, t, eps, alpha_bars):
    return ref.q_sample(x0.float(), t, eps.float(), alpha_bars.float()).to(x0.dtype)


@answers.wrong("2.3", "the dtype of the table handed out", DTYPE_OF_THE_TABLE)
def q_sample(x0, t, eps, alpha_bars):
    return ref.q_sample(x0, t, eps, alpha_bars).to(alpha_bars.dtype)


answers.edit(
    "2.3",
    "alpha_bar kept away from 0 and 1",
    LIMITS_OF_ONES_OWN,
    ("(alpha_bars, t", "(alpha_bars.clamp(1e-5, 1 - 1e-5), t"),
)

answers.edit(
    "2.3",
    "a floor under alpha_bar",
    LIMITS_OF_ONES_OWN,
    ("(alpha_bars, t", "(alpha_bars.clamp(min=1e-5), t"),
)


@answers.wrong(
    "2.3",
    "images flattened with view",
    "view only works where the numbers lie in memory in the order of the axes. Images that were "
    "transposed or cut out do not. reshape works for all, and so does a table of shape "
    "(B, 1, 1, 1), which needs no flat images.",
)
def q_sample(x0, t, eps, alpha_bars):
    a = alpha_bars[t][:, None]
    rows = a.sqrt() * x0.view(len(t), -1) + (1 - a).sqrt() * eps.view(len(t), -1)
    return rows.view(x0.shape)


answers.edit(
    "2.3",
    "the joint noise not divided by its standard deviation",
    "What the walk from an empty image gathers has variance 1 - alpha_bar_t, and q_sample shrinks "
    "its eps to that. So divide by the root of it.",
    (" / torch.sqrt(1 - kept)", ""),
)

answers.edit(
    "2.3",
    "the joint noise divided by its variance",
    "1 - alpha_bar_t is the variance of the noise that was gathered. Divided by its root, the "
    "standard deviation, it has variance 1.",
    ("torch.sqrt(1 - kept)", "(1 - kept)"),
)

answers.edit(
    "2.3",
    "the joint noise divided by the weight of the image",
    "The root of alpha_bar is what is left of x_0. The noise has the root of 1 - alpha_bar.",
    ("torch.sqrt(1 - kept)", "torch.sqrt(kept)"),
)

answers.edit(
    "2.3",
    "steps after t in alpha_bar_t",
    "alpha_bar_t is the product over the steps that were taken. The table may go on beyond them.",
    ("betas[: len(step_noise)]", "betas"),
)

answers.edit(
    "2.3",
    "the last step's beta for every noise",
    "Every noise goes in with the beta of its own step. Let t be the number of the step.",
    ("(len(eps),), step)", "(len(eps),), len(step_noise) - 1)"),
)

answers.edit(
    "2.3",
    "the noises in reverse order",
    "step_noise[0] belongs to step 0, and it has been shrunk by all that came later.",
    ("enumerate(step_noise)", "enumerate(step_noise.flip(0))"),
)


@answers.wrong(
    "2.3",
    "the plain sum divided by the root of the number of noises",
    "Each step adds its own amount, beta_i, and later steps shrink what earlier ones added. So the "
    "noises have different weights.",
)
def joint_noise(step_noise, betas):
    return step_noise.sum(dim=0) / len(step_noise) ** 0.5


@answers.wrong(
    "2.3",
    "the noises simply added",
    "Variances add up: the sum of t + 1 noises has variance t + 1. Each noise has its own weight, "
    "and together they make variance 1.",
)
def joint_noise(step_noise, betas):
    return step_noise.sum(dim=0)


@answers.wrong(
    "2.3",
    "the noises averaged",
    "Averaging makes noise weaker: the mean of t + 1 noises has variance 1 / (t + 1). What counts "
    "are the squares of the weights, and they add up to 1.",
)
def joint_noise(step_noise, betas):
    return step_noise.mean(dim=0)


@answers.wrong(
    "2.3",
    "sqrt(beta_i / (sum of the betas)) as the weights",
    "A step shrinks all that it receives, the noise of the steps before it too. So the noise of "
    "step i counts the less, the more steps follow.",
)
def joint_noise(step_noise, betas):
    shares = betas[: len(step_noise)]
    weights = (shares / shares.sum()).sqrt()
    return (weights.reshape(-1, 1, 1, 1, 1) * step_noise).sum(dim=0)


answers.edit(
    "2.3",
    "each noise with the weight with which it entered",
    "The root of beta_i is the weight with which noise i enters. Every later step shrinks it with "
    "the rest of the picture, by the root of its own 1 - beta.",
    (
        "walked = q_step(walked, t, eps, betas)",
        "walked = walked + torch.sqrt(betas[step]) * eps",
    ),
)


@answers.wrong(
    "2.3",
    "only the last noise",
    "x_t still holds the noise of every step, though older noise is fainter. One eps has to stand "
    "for all of it.",
)
def joint_noise(step_noise, betas):
    return step_noise[-1]


@answers.wrong(
    "2.3",
    "divided by the spread measured in each image",
    "The weight comes from the betas. The spread of a few pixels is a little different each time, "
    "and then walk and jump do not meet. A single pixel has no spread at all: its std is NaN.",
)
def joint_noise(step_noise, betas):
    eps = ref.joint_noise(step_noise, betas)
    return eps / eps.std(dim=(1, 2, 3), keepdim=True)


@answers.wrong(
    "2.3",
    "the caller's noises overwritten",
    "Your first noise is a part of the caller's tensor, and +=, *= and methods that end in an "
    "underscore write into it. Begin with a new tensor of zeros.",
)
def joint_noise(step_noise, betas):
    kept = 1 - betas[: len(step_noise)]
    eps = step_noise[0]
    eps *= betas[0].sqrt()
    for step in range(1, len(step_noise)):
        eps *= kept[step].sqrt()
        eps += betas[step].sqrt() * step_noise[step]
    return eps / (1 - kept.prod()).sqrt()


answers.again(
    "2.3",
    "t counted from 1",
    ("(alpha_bars, t", "(torch.cat([torch.ones_like(alpha_bars[:1]), alpha_bars[:-1]]), t"),
)

answers.again("2.3", "t counted from 1", ("t, x0.ndim", "(t - 1).clamp(min=0), x0.ndim"))

answers.edit(
    "2.3",
    "alpha_bar taken for sqrt(alpha_bar) in both weights",
    "alpha_bar_t is the share of the power that is left. The weight of the image is its root, and "
    "1 - alpha_bar_t is taken without a square.",
    ("torch.sqrt(alpha_bar)", "alpha_bar"),
    ("torch.sqrt(1 - alpha_bar)", "torch.sqrt(1 - alpha_bar**2)"),
)

answers.again(
    "2.3",
    "rounded to float32 on the way",
    ("torch.sqrt(alpha_bar)", "torch.sqrt(alpha_bar).float()"),
    ("torch.sqrt(1 - alpha_bar)", "torch.sqrt(1 - alpha_bar).float()"),
)

answers.again(
    "2.3",
    "rounded to float32 on the way",
    ("torch.sqrt(1 - alpha_bar)", "torch.sqrt(1 - alpha_bar).float()"),
)

answers.edit(
    "2.3",
    "the noise enlarged instead of the image shrunk",
    "That is the process called variance exploding: signal and noise are in the right proportion, "
    "but the whole is too large by a factor. Here the image shrinks, and the variance stays 1.",
    ("torch.sqrt(alpha_bar) * ", ""),
    ("torch.sqrt(1 - alpha_bar)", "torch.sqrt((1 - alpha_bar) / alpha_bar)"),
)


@answers.wrong_again("2.3", "the caller's images overwritten")
def q_sample(x0, t, eps, alpha_bars):
    signal, noise = weights(alpha_bars, t, x0)
    x0 *= signal.sqrt()
    return x0 + noise.sqrt() * eps


@answers.wrong("2.3", "the caller's noise overwritten", IN_PLACE)
def q_sample(x0, t, eps, alpha_bars):
    signal, noise = weights(alpha_bars, t, x0)
    return eps.mul_(noise.sqrt()).add_(signal.sqrt() * x0)


@answers.wrong_again("2.3", "the caller's noise overwritten")
def q_sample(x0, t, eps, alpha_bars):
    signal, noise = weights(alpha_bars, t, x0)
    eps *= noise.sqrt()
    return signal.sqrt() * x0 + eps


answers.edit(
    "2.3",
    "each noise shrunk by its own step too",
    "A step shrinks what it receives, and its own noise comes on top afterwards. So only later "
    "steps shrink it.",
    (
        "walked = q_step(walked, t, eps, betas)",
        "walked = torch.sqrt(1 - betas[step]) * (walked + torch.sqrt(betas[step]) * eps)",
    ),
)

answers.edit(
    "2.3",
    "each noise shrunk by the steps before it",
    "A noise is not there yet when the steps before it are taken. The steps after it shrink it.",
    (
        "walked = q_step(walked, t, eps, betas)",
        "walked = walked + torch.sqrt(betas[step] * torch.prod(1 - betas[:step])) * eps",
    ),
)

answers.edit(
    "2.3",
    "no roots in the steps of the walk",
    "beta_i times what later steps keep is the variance that noise i has in the end. A noise is "
    "multiplied by its standard deviation, the root.",
    (
        "walked = q_step(walked, t, eps, betas)",
        "walked = (1 - betas[step]) * walked + betas[step] * eps",
    ),
)

answers.again(
    "2.3",
    "no roots in the steps of the walk",
    (
        "walked = q_step(walked, t, eps, betas)",
        "walked = (1 - betas[step]) * walked + betas[step] * eps",
    ),
    ("torch.sqrt(1 - kept)", "(1 - kept)"),
)


@answers.wrong(
    "2.3",
    "the right weights divided by their sum",
    "It is not the weights that add up to 1 but their squares, because variances add.",
)
def joint_noise(step_noise, betas):
    number = len(step_noise)
    # Noise that is 1 in one step and 0 in the others shows the weight of that step.
    parts = ref.joint_noise(torch.eye(number).reshape(number, 1, 1, 1, number), betas).flatten()
    return torch.einsum("s,s...->...", parts / parts.sum(), step_noise)


# 2.4


@answers.wrong(
    "2.4",
    "clipped to [-1, 1]",
    "Whether to clip is the sampler's decision, in chapter 06. Here x_0 is simply what the "
    "equation gives, and a wrong eps may lead outside.",
)
def predict_x0(x_t, t, eps, alpha_bars):
    return ref.predict_x0(x_t, t, eps, alpha_bars).clamp(-1, 1)


answers.edit(
    "2.4",
    "divided by the share of power",
    "q_sample multiplied x_0 by the root of alpha_bar. To undo that, divide by the root.",
    ("torch.sqrt(alpha_bar)", "alpha_bar"),
)

answers.edit(
    "2.4",
    "the noise multiplied by its variance",
    "q_sample added eps times the root of 1 - alpha_bar. Subtract just that: with the root.",
    ("torch.sqrt(1 - alpha_bar)", "(1 - alpha_bar)"),
)

answers.edit(
    "2.4",
    "brackets forgotten",
    "Without brackets only one of the two is divided. First subtract, then divide the whole "
    "difference.",
    ("(x_t - torch.sqrt(1 - alpha_bar) * eps)", "x_t - torch.sqrt(1 - alpha_bar) * eps"),
)

answers.edit(
    "2.4",
    "noise removed, but not rescaled",
    "Without its noise x_t is still a shrunken x_0. Undo the shrinking as well.",
    (" / torch.sqrt(alpha_bar)", ""),
)

answers.edit(
    "2.4",
    "the difference multiplied instead of divided",
    "q_sample multiplied by the root of alpha_bar, which is below 1. The way back enlarges.",
    (" / torch.sqrt(alpha_bar)", " * torch.sqrt(alpha_bar)"),
)

answers.edit(
    "2.4",
    "the noise added again",
    "q_sample added the noise. To take it out, subtract it.",
    ("x_t - torch", "x_t + torch"),
)


@answers.wrong(
    "2.4",
    "once more forward",
    "That is q_sample: it makes x_t noisier still. Solve its equation for x_0 instead.",
)
def predict_x0(x_t, t, eps, alpha_bars):
    return ref.q_sample(x_t, t, eps, alpha_bars)


answers.edit(
    "2.4",
    "the two weights swapped",
    "In x_t the image has the root of alpha_bar as its weight, the noise the root of "
    "1 - alpha_bar. Undo each with its own.",
    ("gather_at(alpha_bars, t, x_t.ndim)", "1 - gather_at(alpha_bars, t, x_t.ndim)"),
)


@answers.wrong(
    "2.4",
    "the mean of x_{t-1} instead of x_0",
    "The sampler's formula with beta_t and alpha_t goes one step back. Here the jump goes all the "
    "way to x_0 and needs alpha_bar_t only.",
)
def predict_x0(x_t, t, eps, alpha_bars):
    previous = torch.cat([torch.ones_like(alpha_bars[:1]), alpha_bars[:-1]])
    alpha, beta = weights(alpha_bars / previous, t, x_t)
    noise = weights(alpha_bars, t, x_t)[1]
    return (x_t - beta / noise.sqrt() * eps) / alpha.sqrt()


answers.edit(
    "2.4",
    "a floor under alpha_bar",
    "A floor keeps the factor small, but then x_0 is no longer the solution of q_sample's "
    "equation. The large factor is real; the sampler deals with it.",
    ("(alpha_bars,", "(alpha_bars.clamp(min=1e-3),"),
)


answers.edit(
    "2.4",
    "a tiny number added to the divisor",
    "No alpha_bar is 0, so nothing can be divided by 0. At the end of a schedule the root of "
    "alpha_bar is tiny itself, and then such a number counts. In float64 it shows everywhere.",
    ("/ torch.sqrt(alpha_bar)", "/ (torch.sqrt(alpha_bar) + 1e-8)"),
)


@answers.wrong("2.4", "rounded to float32 on the way", ROUNDED_ON_THE_WAY)
def predict_x0(x_t, t, eps, alpha_bars):
    return ref.predict_x0(x_t.float(), t, eps.float(), alpha_bars.float()).to(x_t.dtype)


@answers.wrong("2.4", "the dtype of the table handed out", DTYPE_OF_THE_TABLE)
def predict_x0(x_t, t, eps, alpha_bars):
    return ref.predict_x0(x_t, t, eps, alpha_bars).to(alpha_bars.dtype)


@answers.wrong("2.4", "a number for each column", COLUMNS)
def predict_x0(x_t, t, eps, alpha_bars):
    alpha_bar = alpha_bars[t]
    return (x_t - (1 - alpha_bar).sqrt() * eps) / alpha_bar.sqrt()


answers.edit(
    "2.4", "the first image's step for all", FIRST_STEP, ("t, x_t.ndim", "t[:1], x_t.ndim")
)

answers.edit("2.4", "t counted from 1", COUNTED_FROM_ONE, ("t, x_t.ndim", "t - 1, x_t.ndim"))


@answers.wrong("2.4", "the caller's images overwritten", IN_PLACE)
def predict_x0(x_t, t, eps, alpha_bars):
    signal, noise = weights(alpha_bars, t, x_t)
    return x_t.sub_(noise.sqrt() * eps).div_(signal.sqrt())


@answers.wrong("2.4", "float32 handed out", HANDED_OUT_FLOAT32)
def predict_x0(x_t, t, eps, alpha_bars):
    return ref.predict_x0(x_t, t, eps, alpha_bars).float()


answers.edit(
    "2.4",
    "no roots at all",
    "alpha_bar and 1 - alpha_bar are powers. The images in q_sample are multiplied by their roots, "
    "so the way back has the roots too.",
    ("torch.sqrt(1 - alpha_bar)", "(1 - alpha_bar)"),
    ("torch.sqrt(alpha_bar)", "alpha_bar"),
)

answers.edit(
    "2.4",
    "divided by the weight of the noise",
    "After the noise is gone, what is left is x_0 times its own weight. Divide by that one.",
    ("/ torch.sqrt(alpha_bar)", "/ torch.sqrt(1 - alpha_bar)"),
)

answers.edit(
    "2.4",
    "eps subtracted whole",
    "x_t holds eps times a weight, not the whole of it. Subtract as much as q_sample added.",
    ("torch.sqrt(1 - alpha_bar) * ", ""),
)


answers.edit(
    "2.4",
    "the amplification of the power",
    "(1 - alpha_bar) / alpha_bar compares powers. eps and x_0 are amplitudes, so take the root.",
    ("torch.sqrt((1 - alpha_bars) / alpha_bars)", "(1 - alpha_bars) / alpha_bars"),
)

answers.edit(
    "2.4",
    "the amplification upside down",
    "At the noisy end errors grow. There alpha_bar is small, so it is below the line.",
    ("(1 - alpha_bars) / alpha_bars", "alpha_bars / (1 - alpha_bars)"),
)

answers.edit(
    "2.4",
    "the amplification of an error in x_t",
    "An error in x_t would be divided by the root of alpha_bar. An error in eps is first "
    "multiplied by the weight of eps.",
    ("(1 - alpha_bars) / alpha_bars", "1 / alpha_bars"),
)

answers.edit(
    "2.4",
    "the weight of the noise alone",
    "That is how much of the error is subtracted from x_t. Then predict_x0 divides, and the error "
    "is divided too.",
    ("(1 - alpha_bars) / alpha_bars", "1 - alpha_bars"),
)

answers.edit(
    "2.4",
    "the amplification with its sign",
    "Too large an eps does make x_0 too small. But asked for is how many times as large the error "
    "is, a positive number.",
    ("torch.sqrt((1 - alpha_bars) / alpha_bars)", "-torch.sqrt((1 - alpha_bars) / alpha_bars)"),
)

answers.edit(
    "2.4",
    "a ceiling on the amplification",
    "The factor is as large as that. Clipping is what the sampler does about it, in chapter 06.",
    ("(1 - alpha_bars) / alpha_bars)", "((1 - alpha_bars) / alpha_bars).clamp(max=1e6))"),
)

answers.edit(
    "2.4",
    "the amplification in float32 always",
    "The result has the dtype of the table that came in.",
    ("(1 - alpha_bars) / alpha_bars)", "((1 - alpha_bars) / alpha_bars).float())"),
)


answers.again(
    "2.4",
    "brackets forgotten",
    (
        "(x_t - torch.sqrt(1 - alpha_bar) * eps) / torch.sqrt(alpha_bar)",
        "x_t / torch.sqrt(alpha_bar) - torch.sqrt(1 - alpha_bar) * eps",
    ),
)

answers.edit(
    "2.4",
    "v taken for eps",
    "With these weights x_0 follows from x_t and v, which is another thing that networks predict. "
    "Here eps is given: solve q_sample's equation for x_0.",
    (
        "(x_t - torch.sqrt(1 - alpha_bar) * eps) / torch.sqrt(alpha_bar)",
        "torch.sqrt(alpha_bar) * x_t - torch.sqrt(1 - alpha_bar) * eps",
    ),
)


@answers.wrong_again("2.4", "the caller's images overwritten")
def predict_x0(x_t, t, eps, alpha_bars):
    signal, noise = weights(alpha_bars, t, x_t)
    x_t -= noise.sqrt() * eps
    return x_t / signal.sqrt()


@answers.wrong("2.4", "the caller's noise overwritten", IN_PLACE)
def predict_x0(x_t, t, eps, alpha_bars):
    signal, noise = weights(alpha_bars, t, x_t)
    eps *= noise.sqrt()
    return (x_t - eps) / signal.sqrt()


answers.again(
    "2.4",
    "t counted from 1",
    ("(alpha_bars, t", "(torch.cat([torch.ones_like(alpha_bars[:1]), alpha_bars[:-1]]), t"),
)

answers.again("2.4", "t counted from 1", ("t, x_t.ndim", "(t - 1).clamp(min=0), x_t.ndim"))

answers.again(
    "2.4",
    "rounded to float32 on the way",
    ("torch.sqrt(1 - alpha_bar)", "torch.sqrt(1 - alpha_bar).float()"),
    ("torch.sqrt(alpha_bar)", "torch.sqrt(alpha_bar).float()"),
)

answers.edit(
    "2.4",
    "the amplification divided by the share of power",
    "predict_x0 divides by the root of alpha_bar, and so does the factor.",
    (
        "torch.sqrt((1 - alpha_bars) / alpha_bars)",
        "torch.sqrt(1 - alpha_bars) / alpha_bars",
    ),
)

answers.edit(
    "2.4",
    "1 subtracted after the root",
    "(1 - alpha_bar) / alpha_bar is 1 / alpha_bar - 1, and the root is taken of the whole "
    "difference.",
    ("torch.sqrt((1 - alpha_bars) / alpha_bars)", "1 / torch.sqrt(alpha_bars) - 1"),
)


# 2.5


answers.edit(
    "2.5",
    "each mean weighted by its own variance",
    "A large variance means a poor witness, who should count less. Weigh each mean by its "
    "certainty, 1 / variance; multiplied out, that is the variance of the other.",
    ("var_2 * mean_1 + var_1 * mean_2", "var_1 * mean_1 + var_2 * mean_2"),
)

answers.edit(
    "2.5",
    "the middle between the witnesses",
    "The middle is right only if both are equally certain. Otherwise the mean is nearer to the "
    "more certain one.",
    ("(var_2 * mean_1 + var_1 * mean_2) / total", "(mean_1 + mean_2) / 2"),
)

answers.edit(
    "2.5",
    "variances added",
    "Variances add up when noise is added to noise. Here knowledge is added to knowledge, and the "
    "certainties, 1 / variance, add up.",
    (", var_1 * var_2 / total", ", total"),
)

answers.edit(
    "2.5",
    "variances averaged",
    "Two witnesses know more than one, so the variance is smaller than either.",
    (", var_1 * var_2 / total", ", total / 2"),
)

answers.edit(
    "2.5",
    "the smaller of the two variances",
    "The second witness still helps. Certainties add up, so the result is more certain than the "
    "better of the two.",
    (", var_1 * var_2 / total", ", torch.minimum(var_1, var_2)"),
)

answers.edit(
    "2.5",
    "the certainty instead of the variance",
    "Certainties add up, and the variance is 1 over their sum.",
    (", var_1 * var_2 / total", ", 1 / var_1 + 1 / var_2"),
)

answers.edit(
    "2.5",
    "the standard deviation of both together",
    "The variance is asked for, without a root.",
    (", var_1 * var_2 / total", ", (var_1 * var_2 / total).sqrt()"),
)


@answers.wrong(
    "2.5",
    "witnesses weighted by standard deviations",
    "Certainty is 1 over the variance, not 1 over its root.",
)
def combine(mean_1, var_1, mean_2, var_2):
    std_1, std_2 = var_1.sqrt(), var_2.sqrt()
    mean = (std_2 * mean_1 + std_1 * mean_2) / (std_1 + std_2)
    return mean, var_1 * var_2 / (var_1 + var_2)


@answers.wrong(
    "2.5",
    "divided by a variance of 0",
    "The formula is right, but 1 / 0 is infinity, and infinity times 0 is NaN. Multiply out, so "
    "that only the sum of the variances is below the line.",
)
def combine(mean_1, var_1, mean_2, var_2):
    variance = 1 / (1 / var_1 + 1 / var_2)
    return variance * (mean_1 / var_1 + mean_2 / var_2), variance


@answers.wrong(
    "2.5",
    "a tiny number added to each variance",
    "Then a certain witness is no longer quite right. Multiply the formula out, and no such number "
    "is needed.",
)
def combine(mean_1, var_1, mean_2, var_2):
    certainty_1, certainty_2 = 1 / (var_1 + 1e-8), 1 / (var_2 + 1e-8)
    total = certainty_1 + certainty_2
    return (certainty_1 * mean_1 + certainty_2 * mean_2) / total, 1 / total


answers.edit(
    "2.5",
    "a tiny number added to the sum of the variances",
    "One of the two variances is above 0, and so is their sum. With a number added to it, a "
    "certain witness is no longer quite right.",
    ("total = var_1 + var_2", "total = var_1 + var_2 + 1e-8"),
)


def by_formulas(betas, prev_of):
    """The tables by the paper's formulas, in the dtype of betas; prev_of makes alpha_bars_prev."""
    alphas = 1 - betas
    alpha_bars = torch.cumprod(alphas, dim=0)
    prev = prev_of(alpha_bars)
    noise = 1 - alpha_bars
    tables = {
        "betas": betas,
        "alphas": alphas,
        "alpha_bars": alpha_bars,
        "alpha_bars_prev": prev,
        "posterior_variance": betas * (1 - prev) / noise,
        "posterior_x0_coef": prev.sqrt() * betas / noise,
        "posterior_xt_coef": alphas.sqrt() * (1 - prev) / noise,
    }
    return ref.NoiseSchedule(**{name: table.float() for name, table in tables.items()})


def one_first(alpha_bars):
    """The right alpha_bars_prev."""
    return torch.cat([torch.ones_like(alpha_bars[:1]), alpha_bars[:-1]])


answers.edit(
    "2.5",
    "amplitudes in the table of alphas",
    "alpha_t = 1 - beta_t is a power. The root is taken where an image is multiplied.",
    ("alphas=alphas.float()", "alphas=alphas.sqrt().float()"),
)


answers.edit(
    "2.5",
    "a floor under alpha_bars",
    LIMITS_OF_ONES_OWN,
    ("torch.cumprod(alphas, dim=0)", "torch.cumprod(alphas, dim=0).clamp(min=1e-5)"),
)


@answers.wrong(
    "2.5",
    "tables in a SimpleNamespace",
    "Training moves the whole schedule to the device of the network, by its method `to`. Only a "
    "NoiseSchedule has it.",
)
def make_schedule(betas):
    return SimpleNamespace(**vars(ref.make_schedule(betas)))


answers.edit(
    "2.5",
    "0 before the first step",
    "Before the first step nothing is lost yet, so alpha_bar there is 1: all signal, no noise.",
    ("torch.ones_like(alpha_bars[:1])", "torch.zeros_like(alpha_bars[:1])"),
)


@answers.wrong_again("2.5", "0 before the first step")
def make_schedule(betas):
    return by_formulas(
        betas.double(), lambda bars: torch.cat([torch.zeros_like(bars[:1]), bars[:-1]])
    )


answers.edit(
    "2.5",
    "the first alpha_bar taken twice",
    "alpha_bar_0 is what is left after step 0. Before it nothing is lost yet, so "
    "alpha_bars_prev[0] is 1.",
    ("torch.ones_like(alpha_bars[:1])", "alpha_bars[:1]"),
)


@answers.wrong_again("2.5", "the first alpha_bar taken twice")
def make_schedule(betas):
    return by_formulas(betas.double(), lambda bars: torch.cat([bars[:1], bars[:-1]]))


answers.edit(
    "2.5",
    "roll without mending the first entry",
    "torch.roll brings the last entry round to the front; alpha_bars_prev[0] has to be set to 1.",
    ("torch.cat([torch.ones_like(alpha_bars[:1]), alpha_bars[:-1]])", "alpha_bars.roll(1)"),
)


@answers.wrong_again("2.5", "roll without mending the first entry")
def make_schedule(betas):
    return by_formulas(betas.double(), lambda bars: bars.roll(1))


answers.edit(
    "2.5",
    "looking forward instead of back",
    "'prev' is the step before t, nearer to the clean image: shift the table to the right.",
    (
        "torch.cat([torch.ones_like(alpha_bars[:1]), alpha_bars[:-1]])",
        "torch.cat([alpha_bars[1:], torch.zeros_like(alpha_bars[:1])])",
    ),
)


@answers.wrong_again("2.5", "looking forward instead of back")
def make_schedule(betas):
    return by_formulas(
        betas.double(), lambda bars: torch.cat([bars[1:], torch.zeros_like(bars[:1])])
    )


@answers.wrong(
    "2.5",
    "beta in the table of the posterior variance",
    "beta_t is the variance of the forward step. Knowing x_0 makes the way back more certain.",
)
def make_schedule(betas):
    schedule = ref.make_schedule(betas)
    return replace(schedule, posterior_variance=schedule.betas)


answers.edit(
    "2.5",
    "a standard deviation where the variance belongs",
    "The table holds the variance. The sampler takes the root when it scales noise.",
    ("posterior_variance=variance.float()", "posterior_variance=variance.sqrt().float()"),
)

answers.edit(
    "2.5",
    "the two weights swapped",
    "The weight of x_0 is what combine gives for x_0 = 1 and x_t = 0, and the other way round.",
    ("posterior_x0_coef=x0_coef", "posterior_x0_coef=xt_coef"),
    ("posterior_xt_coef=xt_coef", "posterior_xt_coef=x0_coef"),
)

answers.edit(
    "2.5",
    "1 minus the weight of x_0 as the weight of x_t",
    "The certainties' shares add up to 1, but these weights hold more: each witness's mean is a "
    "multiple of its image, sqrt(alpha_bar_{t-1}) x_0 and x_t / sqrt(alpha_t).",
    ("posterior_xt_coef=xt_coef.float()", "posterior_xt_coef=(1 - x0_coef).float()"),
)

answers.edit(
    "2.5",
    "alpha_bar_t instead of alpha_bar_{t-1} in the weight of x_0",
    "The posterior is about x_{t-1}, and x_0 says that it is sqrt(alpha_bar_{t-1}) x_0.",
    ("= alpha_bars_prev.sqrt(), 1", "= alpha_bars.sqrt(), 1"),
)

answers.edit(
    "2.5",
    "alpha_bar_t instead of alpha_bar_{t-1} in all that x_0 says",
    "From x_0 to x_{t-1} it is a jump over the steps before t. So the mean and the variance of "
    "what x_0 says are both made with alpha_bar_{t-1}, which at t = 0 is 1.",
    ("= alpha_bars_prev.sqrt(), 1", "= alpha_bars.sqrt(), 1"),
    ("1 - alpha_bars_prev, betas", "1 - alpha_bars, betas"),
)

answers.edit(
    "2.5",
    "the noise of x_t in what x_0 says",
    "x_0 speaks of x_{t-1}, which holds the noise of the steps before t: 1 - alpha_bar_{t-1}. At "
    "t = 0 that is none.",
    ("1 - alpha_bars_prev, betas", "1 - alpha_bars, betas"),
)

answers.edit(
    "2.5",
    "alpha_t without its root in the weight of x_t",
    "Step t has shrunk x_{t-1} by the amplitude sqrt(alpha_t) before the noise came. Say where "
    "x_{t-1} was by undoing that, and the weight of x_t has the root in it.",
    (
        "posterior_xt_coef=xt_coef",
        "posterior_xt_coef=(alphas * (1 - alpha_bars_prev) / (1 - alpha_bars))",
    ),
)

answers.edit(
    "2.5",
    "x_t shrunk once more instead of enlarged",
    "Step t has shrunk x_{t-1} by sqrt(alpha_t). The way back divides by it.",
    ("1 / alphas.sqrt()  #", "alphas.sqrt()  #"),
)

answers.edit(
    "2.5",
    "beta as the variance of what x_t says",
    "Dividing x_t by sqrt(alpha_t) enlarges its noise too, and the variance is divided by alpha_t.",
    ("betas / alphas\n", "betas\n"),
)

answers.edit(
    "2.5",
    "the variance of what x_t says divided by the root",
    "Numbers that are divided by sqrt(alpha_t) have a variance that is divided by its square.",
    ("betas / alphas\n", "betas / alphas.sqrt()\n"),
)

answers.edit(
    "2.5",
    "both means at once for one weight",
    "With both means in one call you get both weights added up. The weight of x_0 is the mean for "
    "x_0 = 1 and x_t = 0.",
    ("combine(from_x0, var_x0, nothing, var_xt)", "combine(from_x0, var_x0, from_xt, var_xt)"),
)


answers.edit(
    "2.5",
    "the noise ratio upside down",
    "(1 - alpha_bar_{t-1}) / (1 - alpha_bar_t) is below 1: the posterior is narrower than a step.",
    (
        "posterior_variance=variance",
        "posterior_variance=(betas * (1 - alpha_bars) / (1 - alpha_bars_prev))",
    ),
)

answers.again(
    "2.5",
    "the noise ratio upside down",
    (
        "    return NoiseSchedule(",
        "    variance = betas * (1 - alpha_bars) / (1 - alpha_bars_prev)\n"
        "    variance[0] = 0\n"
        "    return NoiseSchedule(",
    ),
)

answers.edit(
    "2.5",
    "sqrt(alpha_bar_t) for sqrt(alpha_t) in the weight of x_t",
    "x_t is one step away from x_{t-1}, and one step shrinks by sqrt(alpha_t). The bar means all "
    "steps since x_0.",
    (
        "posterior_xt_coef=xt_coef",
        "posterior_xt_coef=(alpha_bars.sqrt() * (1 - alpha_bars_prev) / (1 - alpha_bars))",
    ),
)

answers.edit(
    "2.5",
    "sqrt(alpha_t) for sqrt(alpha_bar_{t-1}) in the weight of x_0",
    "x_{t-1} is all the steps before t away from x_0, so the root is that of alpha_bar_{t-1}. "
    "alpha_t belongs to a single step.",
    (
        "posterior_x0_coef=x0_coef",
        "posterior_x0_coef=(alphas.sqrt() * betas / (1 - alpha_bars))",
    ),
)

answers.edit(
    "2.5",
    "the two roots swapped",
    "sqrt(alpha_bar_{t-1}) leads from x_0 to x_{t-1}, so it belongs to x_0. sqrt(alpha_t) leads "
    "from x_{t-1} to x_t, so it belongs to x_t.",
    (
        "posterior_x0_coef=x0_coef",
        "posterior_x0_coef=(alphas.sqrt() * betas / (1 - alpha_bars))",
    ),
    (
        "posterior_xt_coef=xt_coef",
        "posterior_xt_coef=(alpha_bars_prev.sqrt() * (1 - alpha_bars_prev) / (1 - alpha_bars))",
    ),
)

answers.edit(
    "2.5",
    "alpha_bar_{t-1} without its root in the weight of x_0",
    "x_{t-1} holds x_0 shrunk by an amplitude. alpha_bar_{t-1} is a power, so take its root.",
    ("from_x0, from_xt = alpha_bars_prev.sqrt()", "from_x0, from_xt = alpha_bars_prev"),
)

answers.edit(
    "2.5",
    "no root in either weight",
    "The weights multiply images, so both contain an amplitude, which is the root of a power.",
    (
        "posterior_x0_coef=x0_coef",
        "posterior_x0_coef=(alpha_bars_prev * betas / (1 - alpha_bars))",
    ),
    (
        "posterior_xt_coef=xt_coef",
        "posterior_xt_coef=(alphas * (1 - alpha_bars_prev) / (1 - alpha_bars))",
    ),
)

answers.again(
    "2.5",
    "no root in either weight",
    ("alpha_bars_prev.sqrt(), 1 / alphas.sqrt()", "alpha_bars_prev, 1 / alphas"),
)

answers.edit(
    "2.5",
    "the posterior variance without beta_t",
    "Without beta_t it only says how much smaller the variance is than that of one forward step. "
    "The table holds the variance itself.",
    ("posterior_variance=variance", "posterior_variance=(variance / betas)"),
)


answers.edit(
    "2.5",
    "alpha_bars rounded to float32 on the way",
    "compute_alpha_bars hands out float32, and 1 - alpha_bar is then wrong where alpha_bar is "
    "close to 1. Stay in float64 until all tables are made.",
    ("torch.cumprod(alphas, dim=0)", "torch.cumprod(alphas, dim=0).float().double()"),
)

answers.edit(
    "2.5",
    "betas left in the dtype they came in",
    "Betas often come in float32, and all that follows is then rounded to seven digits. Turn them "
    "into float64 first.",
    ("betas.double()", "betas"),
)


@answers.wrong(
    "2.5",
    "float64 handed out",
    "Compute in float64, but hand out float32. Otherwise every image that meets the table turns "
    "into float64 as well.",
)
def make_schedule(betas):
    schedule = vars(ref.make_schedule(betas))
    return ref.NoiseSchedule(**{name: table.double() for name, table in schedule.items()})


answers.edit(
    "2.5",
    "x_0 and x_t swapped",
    "Each weight belongs to its own image: posterior_x0_coef to x_0, posterior_xt_coef to x_t. At "
    "t = 0 all the weight lies on x_0.",
    ("x0_coef * x0 + xt_coef * x_t", "x0_coef * x_t + xt_coef * x0"),
)

answers.edit(
    "2.5",
    "x_0 clipped to [-1, 1]",
    "Whether to clip is the sampler's decision, in chapter 06. The mean is the weighted sum of "
    "the two images, as they are.",
    ("x0_coef * x0 + xt", "x0_coef * x0.clamp(-1, 1) + xt"),
)

answers.edit(
    "2.5",
    "beta as the variance",
    "beta_t is the variance of the forward step. If you also know x_0, less is left to guess, "
    "and at t = 0 nothing.",
    ("schedule.posterior_variance", "schedule.betas"),
)

answers.edit(
    "2.5",
    "the standard deviation instead of the variance",
    "The second result is the variance, as the table has it. The sampler takes the root when it "
    "scales noise.",
    ("return mean, variance", "return mean, variance.sqrt()"),
)

answers.edit(
    "2.5",
    "the logarithm of the variance",
    "Other code works with log-variances, and then has to avoid log 0 at t = 0. Here the variance "
    "itself is wanted.",
    ("return mean, variance", "return mean, variance.clamp(min=1e-20).log()"),
)

answers.edit(
    "2.5",
    "a variance for every pixel",
    "All pixels of an image have the same variance, so one number per image is enough; "
    "broadcasting spreads it where it is used.",
    ("return mean, variance", "return mean, variance.expand_as(mean)"),
)

answers.edit(
    "2.5",
    "a variance of shape (B,)",
    "The variance will multiply whole images, so it needs an axis of length 1 for each axis of an "
    "image, like the two weights.",
    ("gather_at(schedule.posterior_variance, t, x0.ndim)", "schedule.posterior_variance[t]"),
)

answers.edit(
    "2.5",
    "only the mean",
    "A Gaussian has two parts. Return the mean and the variance, in this order.",
    ("return mean, variance", "return mean"),
)

answers.edit(
    "2.5",
    "the variance first",
    "The mean comes first, then the variance.",
    ("return mean, variance", "return variance, mean"),
)

answers.edit(
    "2.5",
    "a sample instead of the mean",
    "The function describes the Gaussian and draws nothing from it. The sampler adds the noise.",
    ("return mean, variance", "return mean + variance.sqrt() * torch.randn_like(mean), variance"),
)


@answers.wrong(
    "2.5",
    "x_t not looked at",
    "That is q(x_{t-1} | x_0), the forward process up to t-1. x_t is a second clue: it pulls the "
    "mean towards itself and makes the variance smaller.",
)
def q_posterior(x0, x_t, t, schedule):
    prev = ref.gather_at(schedule.alpha_bars_prev, t, x0.ndim)
    return prev.sqrt() * x0, 1 - prev


answers.edit(
    "2.5",
    "x_0 left out of the mean",
    "The mean is a weighted sum of both images. Without x_0 there would be nothing at t = 0, where "
    "x_0 has all the weight.",
    ("x0_coef * x0 + ", ""),
)


@answers.wrong(
    "2.5",
    "one step forward instead of back",
    "sqrt(1 - beta_t) x and beta_t describe where x goes next. The posterior looks back from x_t, "
    "and knows x_0.",
)
def q_posterior(x0, x_t, t, schedule):
    beta = ref.gather_at(schedule.betas, t, x0.ndim)
    return (1 - beta).sqrt() * x_t, beta


@answers.wrong(
    "2.5",
    "the variance at t = 0 replaced by the next one",
    "Code that stores log-variances does this to avoid log 0. The variance itself may be 0, and at "
    "t = 0 it is.",
)
def q_posterior(x0, x_t, t, schedule):
    mean, _ = ref.q_posterior(x0, x_t, t, schedule)
    return mean, ref.gather_at(schedule.posterior_variance, t.clamp(min=1), x0.ndim)


@answers.wrong(
    "2.5",
    "all the noise of x_t kept in the mean",
    "The mean keeps only a part of the noise that x_t shows; the variance accounts for the rest. "
    "(A sampler that keeps all of it is called DDIM.)",
)
def q_posterior(x0, x_t, t, schedule):
    signal, noise = weights(schedule.alpha_bars, t, x0)
    signal_prev, noise_prev = weights(schedule.alpha_bars_prev, t, x0)
    eps = (x_t - signal.sqrt() * x0) / noise.sqrt()
    variance = ref.gather_at(schedule.posterior_variance, t, x0.ndim)
    return signal_prev.sqrt() * x0 + noise_prev.sqrt() * eps, variance


@answers.wrong("2.5", "a number for each column", COLUMNS)
def q_posterior(x0, x_t, t, schedule):
    mean = schedule.posterior_x0_coef[t] * x0 + schedule.posterior_xt_coef[t] * x_t
    return mean, ref.gather_at(schedule.posterior_variance, t, x0.ndim)


answers.edit(
    "2.5",
    "the first image's step for all",
    FIRST_STEP,
    ("    x0_coef =", "    t = t[:1].expand_as(t)\n    x0_coef ="),
)

answers.edit(
    "2.5", "t counted from 1", COUNTED_FROM_ONE, ("    x0_coef =", "    t = t - 1\n    x0_coef =")
)


@answers.wrong("2.5", "the caller's images overwritten", IN_PLACE)
def q_posterior(x0, x_t, t, schedule):
    mean, variance = ref.q_posterior(x0, x_t, t, schedule)
    return x_t.copy_(mean), variance


answers.edit(
    "2.5",
    "weights that add up to 1",
    "It is no blend of the two images: both are shrunk by different amounts. Each has its own "
    "table of weights.",
    ("xt_coef * x_t", "(1 - x0_coef) * x_t"),
)

answers.edit(
    "2.5",
    "the roots of the weights",
    "The weights hold their roots already; make_schedule has put them there. Look them up and use "
    "them as they are.",
    ("x0_coef * x0 + xt_coef * x_t", "x0_coef.sqrt() * x0 + xt_coef.sqrt() * x_t"),
)


@answers.wrong("2.5", "a new tensor that always lies on the CPU", MADE_ON_THE_CPU)
def q_posterior(x0, x_t, t, schedule):
    prevs = torch.cat([torch.ones(1), schedule.alpha_bars[:-1]])
    prev, bar, beta = (
        ref.gather_at(table, t, x0.ndim) for table in (prevs, schedule.alpha_bars, schedule.betas)
    )
    variance = beta * (1 - prev) / (1 - bar)
    mean = (prev.sqrt() * beta * x0 + (1 - beta).sqrt() * (1 - prev) * x_t) / (1 - bar)
    return mean, variance


answers.edit(
    "2.5",
    "the variance of an average",
    "Half the sum of two independent numbers has a quarter of the sum of their variances. But the "
    "witnesses are weighed, not averaged, and certainties, 1 / variance, add up.",
    (", var_1 * var_2 / total", ", total / 4"),
)

answers.edit(
    "2.5",
    "the harmonic mean of the variances",
    "That is twice too much. Two equally certain witnesses have half the variance of one of them.",
    (", var_1 * var_2 / total", ", 2 * var_1 * var_2 / total"),
)


@answers.wrong_again("2.5", "a tiny number added to each variance")
def combine(mean_1, var_1, mean_2, var_2):
    return ref.combine(mean_1, var_1 + 1e-6, mean_2, var_2 + 1e-6)


@answers.wrong_again("2.5", "a tiny number added to each variance")
def combine(mean_1, var_1, mean_2, var_2):
    return ref.combine(mean_1, var_1 + 1e-8, mean_2, var_2 + 1e-8)


@answers.wrong_again("2.5", "the variance first")
def combine(mean_1, var_1, mean_2, var_2):
    mean, variance = ref.combine(mean_1, var_1, mean_2, var_2)
    return variance, mean


answers.edit(
    "2.5",
    "all in float32",
    "Where alpha_bar is close to 1, 1 - alpha_bar loses its digits in float32. Turn the betas into "
    "float64 first, and the finished tables into float32.",
    ("betas.double()", "betas.float()"),
)


@answers.wrong_again("2.5", "all in float32")
def make_schedule(betas):
    return by_formulas(betas.float(), one_first)


@answers.wrong_again("2.5", "betas left in the dtype they came in")
def make_schedule(betas):
    return by_formulas(betas, one_first)


answers.again(
    "2.5",
    "the variance at t = 0 replaced by the next one",
    (
        "    return NoiseSchedule(",
        "    variance[0] = variance[1]\n    return NoiseSchedule(",
    ),
)

answers.edit(
    "2.5",
    "one image at t = 0 decides for the whole batch",
    "Every image has its own step. The tables know already that at t = 0 all the weight lies on "
    "x_0, so no special case is needed.",
    (
        "    return mean, variance",
        "    if (t == 0).any():\n        return x0, 0 * variance\n    return mean, variance",
    ),
)

answers.edit(
    "2.5",
    "x_t handed out at t = 0",
    "At t = 0 the image before the step is x_0 itself, which you know. The tables put all the "
    "weight on it, so no special case is needed.",
    (
        "    return mean, variance",
        "    mean = torch.where((t == 0).reshape(-1, 1, 1, 1), x_t, mean)\n"
        "    return mean, variance",
    ),
)

answers.edit(
    "2.5",
    "the mean clipped to [-1, 1]",
    "The mean lies near x_{t-1}, a noisy image that reaches beyond [-1, 1]. Clip nothing.",
    ("    return mean, variance", "    return mean.clamp(-1, 1), variance"),
)

answers.again(
    "2.5",
    "t counted from 1",
    ("    x0_coef =", "    t = (t - 1).clamp(min=0)\n    x0_coef ="),
)
