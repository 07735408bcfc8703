"""Known wrong answers to chapter 02, each with the misunderstanding behind it."""

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
    "Many papers count steps from 1, this course from 0. So t is the index already: with t - 1, "
    "the first step would even wrap round to the last entry."
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
TABLE_OVERWRITTEN = (
    "A method that ends in an underscore writes into the caller's table, and the next call would "
    "read wrong numbers there. Without the underscore it makes a new tensor."
)


def first_step(t):
    """The first image's step for all of them."""
    return t[:1].expand_as(t)


def weights(values, t, images):
    """The table's entries at t, and what they lack to 1, shaped for images."""
    picked = ref.gather_at(values, t, images.ndim)
    return picked, 1 - picked


# 2.1


@answers.wrong(
    "2.1",
    "a number for each column",
    "A tensor of shape (B,) meets the images' last axis, the width. Then columns are scaled, "
    "silently when B equals the width. Add an axis of length 1 for each axis of an image.",
)
def gather_at(values, t, ndim):
    return values[t]


@answers.wrong(
    "2.1",
    "the axes of length 1 in front",
    "Broadcasting adds axes on the left by itself; what is missing are axes on the right. The "
    "batch axis comes first.",
)
def gather_at(values, t, ndim):
    return values[t].reshape(*[1] * (ndim - 1), -1)


@answers.wrong(
    "2.1",
    "the batch on the channel axis",
    "The batch is axis 0. With shape (1, B, 1, 1) the numbers would meet the channels.",
)
def gather_at(values, t, ndim):
    return values[t].reshape(1, -1, *[1] * (ndim - 2))


@answers.wrong(
    "2.1",
    "only one axis added",
    "With shape (B, 1) the numbers meet the last two axes, height and width. It takes as many axes "
    "as images have.",
)
def gather_at(values, t, ndim):
    return values[t].unsqueeze(-1)


@answers.wrong(
    "2.1",
    "one axis too many",
    "ndim counts all axes of the images, the batch's among them. Only the others have length 1.",
)
def gather_at(values, t, ndim):
    return values[t].reshape(-1, *[1] * ndim)


@answers.wrong(
    "2.1",
    "always four axes",
    "ndim says how many axes the result has; 4 is only its usual value.",
)
def gather_at(values, t, ndim):
    return values[t].reshape(-1, 1, 1, 1)


@answers.wrong("2.1", "t counted from 1", COUNTED_FROM_ONE)
def gather_at(values, t, ndim):
    return ref.gather_at(values, t - 1, ndim)


@answers.wrong("2.1", "the first image's step for all", FIRST_STEP)
def gather_at(values, t, ndim):
    return ref.gather_at(values, first_step(t), ndim)


@answers.wrong(
    "2.1",
    "the place in the batch instead of the step",
    "Image b needs the entry at t[b], not the entry at b. The step, not the place, is the index.",
)
def gather_at(values, t, ndim):
    return ref.gather_at(values, torch.arange(len(t)) % len(values), ndim)


@answers.wrong(
    "2.1",
    "t itself instead of the table's entry",
    "t is only the place to look at. The number wanted stands in the table at this place.",
)
def gather_at(values, t, ndim):
    return t.to(values.dtype).reshape(-1, *[1] * (ndim - 1))


@answers.wrong(
    "2.1",
    "counting from the end",
    "The table runs forward, like time: its entry 0 belongs to t = 0, the first step of noise.",
)
def gather_at(values, t, ndim):
    return ref.gather_at(values.flip(0), t, ndim)


@answers.wrong(
    "2.1",
    "the batch axis squeezed away",
    "squeeze() removes every axis of length 1, the batch axis too when there is only one image.",
)
def gather_at(values, t, ndim):
    picked = values[t].squeeze()
    return picked.reshape(*picked.shape, *[1] * (ndim - 1))


@answers.wrong(
    "2.1",
    "turned into float32",
    "The numbers are copied, not converted: the result has the dtype of the table.",
)
def gather_at(values, t, ndim):
    return ref.gather_at(values, t, ndim).float()


@answers.wrong(
    "2.1",
    "the whole table, without looking at t",
    "An image needs only the entry of its own step. Use t as the index of the table.",
)
def gather_at(values, t, ndim):
    return values.reshape(-1, *[1] * (ndim - 1))


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


# 2.2


@answers.wrong(
    "2.2",
    "the noise multiplied by its variance",
    "beta_t is the variance of the noise. Noise is multiplied by its standard deviation, the root.",
)
def q_step(x_prev, t, eps, betas):
    beta, alpha = weights(betas, t, x_prev)
    return alpha.sqrt() * x_prev + beta * eps


@answers.wrong(
    "2.2",
    "the image multiplied by its share of power",
    "1 - beta_t is the share of the power that is left. The image itself shrinks by its root.",
)
def q_step(x_prev, t, eps, betas):
    beta, alpha = weights(betas, t, x_prev)
    return alpha * x_prev + beta.sqrt() * eps


@answers.wrong(
    "2.2",
    "no roots at all",
    "Here the weights add up to 1, but it is their squares that must: variances add, not standard "
    "deviations.",
)
def q_step(x_prev, t, eps, betas):
    beta, alpha = weights(betas, t, x_prev)
    return alpha * x_prev + beta * eps


@answers.wrong(
    "2.2",
    "the two weights swapped",
    "A step keeps most of the image and adds a little noise: the small number, beta, belongs to "
    "the noise.",
)
def q_step(x_prev, t, eps, betas):
    return ref.q_step(x_prev, t, eps, 1 - betas)


@answers.wrong(
    "2.2",
    "noise on top of the whole image",
    "If the image does not shrink first, the variance grows with every step. It shrinks by just as "
    "much power as the noise brings.",
)
def q_step(x_prev, t, eps, betas):
    return x_prev + ref.gather_at(betas, t, x_prev.ndim).sqrt() * eps


@answers.wrong(
    "2.2",
    "the root of beta taken from 1",
    "First 1 - beta, then the root. The root of beta is a different number: sqrt(1 - beta) is "
    "not 1 - sqrt(beta).",
)
def q_step(x_prev, t, eps, betas):
    beta, _ = weights(betas, t, x_prev)
    return (1 - beta.sqrt()) * x_prev + beta.sqrt() * eps


@answers.wrong(
    "2.2",
    "all steps up to t at once",
    "The product of 1 - beta over the steps 0 ... t is q_sample's. One step needs its own beta "
    "only.",
)
def q_step(x_prev, t, eps, betas):
    return ref.q_sample(x_prev, t, eps, torch.cumprod(1 - betas, dim=0))


@answers.wrong("2.2", "a number for each column", COLUMNS)
def q_step(x_prev, t, eps, betas):
    beta = betas[t]
    return (1 - beta).sqrt() * x_prev + beta.sqrt() * eps


@answers.wrong("2.2", "the first image's step for all", FIRST_STEP)
def q_step(x_prev, t, eps, betas):
    return ref.q_step(x_prev, first_step(t), eps, betas)


@answers.wrong("2.2", "t counted from 1", COUNTED_FROM_ONE)
def q_step(x_prev, t, eps, betas):
    return ref.q_step(x_prev, t - 1, eps, betas)


@answers.wrong("2.2", "fresh noise instead of eps", FRESH_NOISE)
def q_step(x_prev, t, eps, betas):
    return ref.q_step(x_prev, t, torch.randn_like(x_prev), betas)


@answers.wrong(
    "2.2",
    "the noise subtracted",
    "The forward process adds noise. As a distribution the sign would not matter, but eps is what "
    "the network learns to find, so its sign counts.",
)
def q_step(x_prev, t, eps, betas):
    return ref.q_step(x_prev, t, -eps, betas)


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


@answers.wrong(
    "2.2",
    "weights that add up to 1",
    "It is not the weights that add up to 1 but their squares, because variances add. The noise "
    "has its own weight, which comes from beta_t.",
)
def q_step(x_prev, t, eps, betas):
    keep = weights(betas, t, x_prev)[1].sqrt()
    return keep * x_prev + (1 - keep) * eps


@answers.wrong("2.2", "the caller's table overwritten", TABLE_OVERWRITTEN)
def q_step(x_prev, t, eps, betas):
    keep = (1 - betas).sqrt()[t].reshape(-1, 1, 1, 1)
    return keep * x_prev + betas.sqrt_()[t].reshape(-1, 1, 1, 1) * eps


# 2.3


@answers.wrong(
    "2.3",
    "the noise multiplied by its variance",
    "1 - alpha_bar_t is the variance of the noise. Noise is multiplied by its standard deviation, "
    "the root.",
)
def q_sample(x0, t, eps, alpha_bars):
    signal, noise = weights(alpha_bars, t, x0)
    return signal.sqrt() * x0 + noise * eps


@answers.wrong(
    "2.3",
    "the image multiplied by its share of power",
    "alpha_bar_t is the share of the power that is left. The image itself shrinks by its root.",
)
def q_sample(x0, t, eps, alpha_bars):
    signal, noise = weights(alpha_bars, t, x0)
    return signal * x0 + noise.sqrt() * eps


@answers.wrong(
    "2.3",
    "no roots at all",
    "Here the weights add up to 1, but it is their squares that must: variances add, not standard "
    "deviations.",
)
def q_sample(x0, t, eps, alpha_bars):
    signal, noise = weights(alpha_bars, t, x0)
    return signal * x0 + noise * eps


@answers.wrong(
    "2.3",
    "the root of alpha_bar taken from 1",
    "First 1 - alpha_bar, then the root. A blend whose weights add up to 1 loses variance: the "
    "squares of the weights have to add up to 1.",
)
def q_sample(x0, t, eps, alpha_bars):
    signal, _ = weights(alpha_bars, t, x0)
    return signal.sqrt() * x0 + (1 - signal.sqrt()) * eps


@answers.wrong(
    "2.3",
    "the two weights swapped",
    "At t = 0 nearly all is image, and alpha_bar is close to 1 there: it belongs to the image.",
)
def q_sample(x0, t, eps, alpha_bars):
    return ref.q_sample(x0, t, eps, 1 - alpha_bars)


@answers.wrong(
    "2.3",
    "noise on top of the whole image",
    "x_0 shrinks by the root of alpha_bar before the noise comes on top. Otherwise the image never "
    "fades, and the variance exceeds 1.",
)
def q_sample(x0, t, eps, alpha_bars):
    return x0 + weights(alpha_bars, t, x0)[1].sqrt() * eps


@answers.wrong(
    "2.3",
    "the product taken once more",
    "alpha_bars is a running product already. Look the number up as it is.",
)
def q_sample(x0, t, eps, alpha_bars):
    return ref.q_sample(x0, t, eps, torch.cumprod(alpha_bars, dim=0))


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


@answers.wrong("2.3", "the first image's step for all", FIRST_STEP)
def q_sample(x0, t, eps, alpha_bars):
    return ref.q_sample(x0, first_step(t), eps, alpha_bars)


@answers.wrong("2.3", "t counted from 1", COUNTED_FROM_ONE)
def q_sample(x0, t, eps, alpha_bars):
    return ref.q_sample(x0, t - 1, eps, alpha_bars)


@answers.wrong("2.3", "fresh noise instead of eps", FRESH_NOISE)
def q_sample(x0, t, eps, alpha_bars):
    return ref.q_sample(x0, t, torch.randn_like(x0), alpha_bars)


@answers.wrong(
    "2.3",
    "the noise subtracted",
    "The forward process adds noise. As a distribution the sign would not matter, but eps is what "
    "the network learns to find, so its sign counts.",
)
def q_sample(x0, t, eps, alpha_bars):
    return ref.q_sample(x0, t, -eps, alpha_bars)


@answers.wrong(
    "2.3",
    "one image's noise for the whole batch",
    "Every image has its own noise: image b meets eps[b].",
)
def q_sample(x0, t, eps, alpha_bars):
    return ref.q_sample(x0, t, eps[:1], alpha_bars)


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
    "eps stands for the noise of all steps together, so its variance is all that the image has "
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


# 2.4


@answers.wrong(
    "2.4",
    "clipped to [-1, 1]",
    "Whether to clip is the sampler's decision, in chapter 06. Here x_0 is simply what the "
    "equation gives, and a wrong eps may lead outside.",
)
def predict_x0(x_t, t, eps, alpha_bars):
    return ref.predict_x0(x_t, t, eps, alpha_bars).clamp(-1, 1)


@answers.wrong(
    "2.4",
    "divided by the share of power",
    "q_sample multiplied x_0 by the root of alpha_bar. To undo that, divide by the root.",
)
def predict_x0(x_t, t, eps, alpha_bars):
    signal, noise = weights(alpha_bars, t, x_t)
    return (x_t - noise.sqrt() * eps) / signal


@answers.wrong(
    "2.4",
    "the noise multiplied by its variance",
    "q_sample added eps times the root of 1 - alpha_bar. Subtract just that: with the root.",
)
def predict_x0(x_t, t, eps, alpha_bars):
    signal, noise = weights(alpha_bars, t, x_t)
    return (x_t - noise * eps) / signal.sqrt()


@answers.wrong(
    "2.4",
    "brackets forgotten",
    "Without brackets only the noise is divided. First subtract, then divide the whole difference.",
)
def predict_x0(x_t, t, eps, alpha_bars):
    signal, noise = weights(alpha_bars, t, x_t)
    return x_t - noise.sqrt() * eps / signal.sqrt()


@answers.wrong(
    "2.4",
    "noise removed, but not rescaled",
    "Without its noise x_t is still a shrunken x_0. Undo the shrinking as well.",
)
def predict_x0(x_t, t, eps, alpha_bars):
    return x_t - weights(alpha_bars, t, x_t)[1].sqrt() * eps


@answers.wrong(
    "2.4",
    "multiplied instead of divided",
    "q_sample multiplied by the root of alpha_bar, which is below 1. The way back enlarges.",
)
def predict_x0(x_t, t, eps, alpha_bars):
    signal, noise = weights(alpha_bars, t, x_t)
    return (x_t - noise.sqrt() * eps) * signal.sqrt()


@answers.wrong(
    "2.4",
    "the noise added again",
    "The noise stands in x_t with a plus sign. To take it out, subtract it.",
)
def predict_x0(x_t, t, eps, alpha_bars):
    return ref.predict_x0(x_t, t, -eps, alpha_bars)


@answers.wrong(
    "2.4",
    "once more forward",
    "That is q_sample: it makes x_t noisier still. Solve its equation for x_0 instead.",
)
def predict_x0(x_t, t, eps, alpha_bars):
    return ref.q_sample(x_t, t, eps, alpha_bars)


@answers.wrong(
    "2.4",
    "the two weights swapped",
    "In x_t the image has the root of alpha_bar as its weight, the noise the root of "
    "1 - alpha_bar. Undo each with its own.",
)
def predict_x0(x_t, t, eps, alpha_bars):
    return ref.predict_x0(x_t, t, eps, 1 - alpha_bars)


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


@answers.wrong(
    "2.4",
    "a floor under alpha_bar",
    "A floor keeps the factor small, but then x_0 is no longer the solution of q_sample's "
    "equation. The large factor is real; the sampler deals with it.",
)
def predict_x0(x_t, t, eps, alpha_bars):
    return ref.predict_x0(x_t, t, eps, alpha_bars.clamp(min=1e-3))


@answers.wrong("2.4", "a number for each column", COLUMNS)
def predict_x0(x_t, t, eps, alpha_bars):
    alpha_bar = alpha_bars[t]
    return (x_t - (1 - alpha_bar).sqrt() * eps) / alpha_bar.sqrt()


@answers.wrong("2.4", "the first image's step for all", FIRST_STEP)
def predict_x0(x_t, t, eps, alpha_bars):
    return ref.predict_x0(x_t, first_step(t), eps, alpha_bars)


@answers.wrong("2.4", "t counted from 1", COUNTED_FROM_ONE)
def predict_x0(x_t, t, eps, alpha_bars):
    return ref.predict_x0(x_t, t - 1, eps, alpha_bars)


@answers.wrong("2.4", "the caller's images overwritten", IN_PLACE)
def predict_x0(x_t, t, eps, alpha_bars):
    signal, noise = weights(alpha_bars, t, x_t)
    return x_t.sub_(noise.sqrt() * eps).div_(signal.sqrt())


@answers.wrong("2.4", "float32 handed out", HANDED_OUT_FLOAT32)
def predict_x0(x_t, t, eps, alpha_bars):
    return ref.predict_x0(x_t, t, eps, alpha_bars).float()


@answers.wrong(
    "2.4",
    "no roots at all",
    "alpha_bar and 1 - alpha_bar are powers. The images in q_sample are multiplied by their roots, "
    "so the way back has the roots too.",
)
def predict_x0(x_t, t, eps, alpha_bars):
    signal, noise = weights(alpha_bars, t, x_t)
    return (x_t - noise * eps) / signal


@answers.wrong(
    "2.4",
    "divided by the weight of the noise",
    "After the noise is gone, what is left is x_0 times its own weight. Divide by that one.",
)
def predict_x0(x_t, t, eps, alpha_bars):
    noise = weights(alpha_bars, t, x_t)[1].sqrt()
    return (x_t - noise * eps) / noise


@answers.wrong(
    "2.4",
    "eps subtracted whole",
    "x_t holds eps times a weight, not the whole of it. Subtract as much as q_sample added.",
)
def predict_x0(x_t, t, eps, alpha_bars):
    return (x_t - eps) / weights(alpha_bars, t, x_t)[0].sqrt()


# 2.5


@answers.wrong(
    "2.5",
    "x_0 and x_t swapped",
    "Each weight belongs to its own image: posterior_x0_coef to x_0, posterior_xt_coef to x_t. At "
    "t = 0 all the weight lies on x_0.",
)
def q_posterior(x0, x_t, t, schedule):
    return ref.q_posterior(x_t, x0, t, schedule)


@answers.wrong(
    "2.5",
    "beta as the variance",
    "beta_t is the variance of the forward step. Whoever also knows x_0 has less left to guess, "
    "and at t = 0 nothing.",
)
def q_posterior(x0, x_t, t, schedule):
    mean, _ = ref.q_posterior(x0, x_t, t, schedule)
    return mean, ref.gather_at(schedule.betas, t, x0.ndim)


@answers.wrong(
    "2.5",
    "the standard deviation instead of the variance",
    "The second result is the variance, as the table has it. The sampler takes the root when it "
    "scales noise.",
)
def q_posterior(x0, x_t, t, schedule):
    mean, variance = ref.q_posterior(x0, x_t, t, schedule)
    return mean, variance.sqrt()


@answers.wrong(
    "2.5",
    "the logarithm of the variance",
    "Other code works with log-variances, and then has to avoid log 0 at t = 0. Here the variance "
    "itself is wanted.",
)
def q_posterior(x0, x_t, t, schedule):
    mean, variance = ref.q_posterior(x0, x_t, t, schedule)
    return mean, variance.clamp(min=1e-20).log()


@answers.wrong(
    "2.5",
    "a variance for every pixel",
    "All pixels of an image have the same variance, so one number per image is enough; "
    "broadcasting spreads it where it is used.",
)
def q_posterior(x0, x_t, t, schedule):
    mean, variance = ref.q_posterior(x0, x_t, t, schedule)
    return mean, variance.expand_as(mean)


@answers.wrong(
    "2.5",
    "a variance of shape (B,)",
    "The variance will multiply whole images, so it needs an axis of length 1 for each axis of an "
    "image, like the two weights.",
)
def q_posterior(x0, x_t, t, schedule):
    mean, variance = ref.q_posterior(x0, x_t, t, schedule)
    return mean, variance.flatten()


@answers.wrong(
    "2.5",
    "only the mean",
    "A Gaussian has two parts. Return the mean and the variance, in this order.",
)
def q_posterior(x0, x_t, t, schedule):
    return ref.q_posterior(x0, x_t, t, schedule)[0]


@answers.wrong(
    "2.5",
    "the variance first",
    "The mean comes first, then the variance.",
)
def q_posterior(x0, x_t, t, schedule):
    return ref.q_posterior(x0, x_t, t, schedule)[::-1]


@answers.wrong(
    "2.5",
    "a sample instead of the mean",
    "The function describes the Gaussian and draws nothing from it. The sampler adds the noise.",
)
def q_posterior(x0, x_t, t, schedule):
    mean, variance = ref.q_posterior(x0, x_t, t, schedule)
    return mean + variance.sqrt() * torch.randn_like(mean), variance


@answers.wrong(
    "2.5",
    "x_t not looked at",
    "That is q(x_{t-1} | x_0), the forward process up to t-1. x_t is a second clue: it pulls the "
    "mean towards itself and makes the variance smaller.",
)
def q_posterior(x0, x_t, t, schedule):
    prev = ref.gather_at(schedule.alpha_bars_prev, t, x0.ndim)
    return prev.sqrt() * x0, 1 - prev


@answers.wrong(
    "2.5",
    "x_0 left out of the mean",
    "The mean is a weighted sum of both images. Without x_0 there would be nothing at t = 0, where "
    "x_0 has all the weight.",
)
def q_posterior(x0, x_t, t, schedule):
    mean, variance = ref.q_posterior(torch.zeros_like(x0), x_t, t, schedule)
    return mean, variance


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


@answers.wrong("2.5", "the first image's step for all", FIRST_STEP)
def q_posterior(x0, x_t, t, schedule):
    return ref.q_posterior(x0, x_t, first_step(t), schedule)


@answers.wrong("2.5", "t counted from 1", COUNTED_FROM_ONE)
def q_posterior(x0, x_t, t, schedule):
    return ref.q_posterior(x0, x_t, t - 1, schedule)


@answers.wrong("2.5", "the caller's images overwritten", IN_PLACE)
def q_posterior(x0, x_t, t, schedule):
    mean, variance = ref.q_posterior(x0, x_t, t, schedule)
    return x_t.copy_(mean), variance


@answers.wrong(
    "2.5",
    "weights that add up to 1",
    "It is no blend of the two images: both are shrunk by different amounts. Each has its own "
    "table of weights.",
)
def q_posterior(x0, x_t, t, schedule):
    x0_coef, rest = weights(schedule.posterior_x0_coef, t, x0)
    return x0_coef * x0 + rest * x_t, ref.gather_at(schedule.posterior_variance, t, x0.ndim)


@answers.wrong(
    "2.5",
    "the roots of the weights",
    "The weights hold their roots already, chapter 01 put them there. Look them up and use them "
    "as they are.",
)
def q_posterior(x0, x_t, t, schedule):
    x0_coef = ref.gather_at(schedule.posterior_x0_coef, t, x0.ndim).sqrt()
    xt_coef = ref.gather_at(schedule.posterior_xt_coef, t, x0.ndim).sqrt()
    return x0_coef * x0 + xt_coef * x_t, ref.gather_at(schedule.posterior_variance, t, x0.ndim)


@answers.wrong("2.5", "a new tensor that always lies on the CPU", MADE_ON_THE_CPU)
def q_posterior(x0, x_t, t, schedule):
    prevs = torch.cat([torch.ones(1), schedule.alpha_bars[:-1]])
    prev, bar, beta = (
        ref.gather_at(table, t, x0.ndim) for table in (prevs, schedule.alpha_bars, schedule.betas)
    )
    variance = beta * (1 - prev) / (1 - bar)
    mean = (prev.sqrt() * beta * x0 + (1 - beta).sqrt() * (1 - prev) * x_t) / (1 - bar)
    return mean, variance
