"""Known wrong answers to chapter 06, each with the misunderstanding behind it."""

import torch

from course.grading.answers import Answers
from solutions import ch06_guided_sampling as ref

answers = Answers()


# 6.1


answers.edit(
    "6.1",
    "values of shape (B,) against images",
    "A (B,) tensor is lined up with the last axis, the image's columns. Give it shape "
    "(B, 1, 1, 1), or each column instead of each image gets its own t.",
    ("schedule.betas[t].view(-1, 1, 1, 1)", "schedule.betas[t]"),
    ("(t > 0).view(-1, 1, 1, 1)", "(t > 0)"),
)

answers.edit(
    "6.1",
    "the whole step at the first image's t",
    "The images of a batch may be at different steps, so the tables are read with the whole t.",
    ("x_t, t, eps, schedule.alpha_bars", "x_t, t[:1], eps, schedule.alpha_bars"),
    ("q_posterior(x0, x_t, t, schedule)", "q_posterior(x0, x_t, t[:1], schedule)"),
    ("schedule.betas[t]", "schedule.betas[t[:1]]"),
    ("(t > 0)", "(t[:1] > 0)"),
)

answers.edit(
    "6.1",
    "the first image's beta for all",
    "The images of a batch may be at different steps, and each has a beta of its own. Read the "
    "table with the whole t.",
    ("schedule.betas[t].view(-1, 1, 1, 1)", "schedule.betas[t[0]]"),
)

answers.edit(
    "6.1",
    "the guess of x_0 is not clipped",
    "At the beginning of the walk the guess is divided by a tiny sqrt(alpha_bar), which blows up "
    "every error of eps. No pixel is outside [-1, 1], so clip it. (A mean computed straight from "
    "x_t and eps leaves no guess to clip.)",
    (".clamp(-1, 1)", ""),
)

answers.edit(
    "6.1",
    "the result is clipped instead of x_0",
    "x_{t-1} still contains noise and may well lie outside [-1, 1]. Only the guess of the clean "
    "image has that range.",
    (".clamp(-1, 1)", ""),
    (
        "mean + not_last * sigma_squared.sqrt() * noise",
        "(mean + not_last * sigma_squared.sqrt() * noise).clamp(-1, 1)",
    ),
)

answers.edit(
    "6.1",
    "clipped to [0, 1]",
    "In this course images have the range [-1, 1]: black is -1, not 0.",
    ("clamp(-1, 1)", "clamp(0, 1)"),
)

answers.edit(
    "6.1",
    "eps clipped instead of the guess",
    "eps is Gaussian noise, a third of which lies outside [-1, 1]. What has that range is the "
    "image that is guessed from it.",
    (
        "x_t, t, eps, schedule.alpha_bars).clamp(-1, 1)",
        "x_t, t, eps.clamp(-1, 1), schedule.alpha_bars)",
    ),
)

answers.again(
    "6.1",
    "eps clipped instead of the guess",
    ("x_t, t, eps, schedule.alpha_bars)", "x_t, t, eps.clamp(-1, 1), schedule.alpha_bars)"),
)

answers.edit(
    "6.1",
    "the guess scaled down instead of clipped",
    "Divided by its largest pixel, the whole image turns pale for the sake of a few pixels. Those "
    "outside [-1, 1] are cut off, and the others stay as they are.",
    (
        ".clamp(-1, 1)\n",
        "\n    x0 = x0 / x0.abs().amax(dim=(1, 2, 3), keepdim=True).clamp(min=1)\n",
    ),
)

answers.again(
    "6.1",
    "the guess scaled down instead of clipped",
    (".clamp(-1, 1)\n", "\n    x0 = x0 / x0.abs().max().clamp(min=1)\n"),
)

answers.again(
    "6.1",
    "the guess scaled down instead of clipped",
    (".clamp(-1, 1)\n", "\n    x0 = x0 / x0.abs().amax(dim=(1, 2, 3), keepdim=True)\n"),
)

answers.edit(
    "6.1",
    "alpha instead of alpha_bar in the guess of x_0",
    "x_t has gone through all the steps up to t, so the way back to x_0 needs their product "
    "alpha_bar. alpha_t is what a single step keeps.",
    ("schedule.alpha_bars", "schedule.alphas"),
)

answers.edit(
    "6.1",
    "the guess of x_0 computed by hand",
    "You have solved for x_0 once, in chapter 02, and it is handed in as predict_x0. Call it: then "
    "there is one place where it can be right or wrong.",
    (
        "predict_x0(x_t, t, eps, schedule.alpha_bars)",
        "((x_t - (1 - schedule.alpha_bars[t].view(-1, 1, 1, 1)).sqrt() * eps)"
        " / schedule.alpha_bars[t].view(-1, 1, 1, 1).sqrt())",
    ),
)

answers.edit(
    "6.1",
    "the posterior computed by hand",
    "Mean and variance are what q_posterior says, which you have written in chapter 02 and are "
    "handed here. Reading the tables again is a second place where it can go wrong.",
    (
        "mean, sigma_squared = q_posterior(x0, x_t, t, schedule)",
        "x0_coef, xt_coef, sigma_squared = (\n"
        "        table[t].view(-1, 1, 1, 1)\n"
        "        for table in (schedule.posterior_x0_coef, schedule.posterior_xt_coef,"
        " schedule.posterior_variance)\n"
        "    )\n"
        "    mean = x0_coef * x0 + xt_coef * x_t",
    ),
)

answers.edit(
    "6.1",
    "image and guess exchanged for q_posterior",
    "q_posterior takes x_0 first and x_t second. At t = 0 all the weight lies on x_0.",
    ("q_posterior(x0, x_t, t, schedule)", "q_posterior(x_t, x0, t, schedule)"),
)

answers.edit(
    "6.1",
    "eps for x_0 in the posterior",
    "The posterior combines x_t with the clean image, not with the noise. What does the network's "
    "eps say about the clean image?",
    ("q_posterior(x0, x_t, t, schedule)", "q_posterior(eps, x_t, t, schedule)"),
)

answers.edit(
    "6.1",
    "the root of the variance left out",
    "q_posterior says a variance, and so do the betas. Noise that is multiplied by s has the "
    "variance s^2, so what multiplies it is the root.",
    ("sigma_squared.sqrt()", "sigma_squared"),
)

answers.edit(
    "6.1",
    "beta as a standard deviation",
    "beta_t is a variance, like the one that q_posterior says. What multiplies the noise is a "
    "standard deviation, and that goes for both choices.",
    (
        "schedule.betas[t].view(-1, 1, 1, 1)  # (T,)",
        "schedule.betas[t].view(-1, 1, 1, 1) ** 2  # (T,)",
    ),
)

answers.edit(
    "6.1",
    "noise in the last step",
    "The step at t = 0 makes the finished image. The posterior's variance is 0 there by itself, "
    "but beta_0 is not: the mask is needed.",
    ("not_last * sigma_squared", "sigma_squared"),
)

answers.edit(
    "6.1",
    "no noise for any image if one is at t = 0",
    "Each image has its own t. If one of them is at t = 0, the others still need their noise.",
    (
        "not_last * sigma_squared.sqrt() * noise",
        "sigma_squared.sqrt() * noise if (t > 0).all() else mean",
    ),
)

answers.edit(
    "6.1",
    "the first image decides about noise",
    "t[0] is the step of one image only. A mask, made from the whole t, decides for each image.",
    (
        "not_last * sigma_squared.sqrt() * noise",
        "sigma_squared.sqrt() * noise if t[0] > 0 else mean",
    ),
)

answers.edit(
    "6.1",
    "the noise set to 0 in place",
    "noise[t == 0] = 0 writes into the caller's tensor. A product with a mask makes a new one.",
    ("    return mean", "    noise[t == 0] = 0\n    return mean"),
)

answers.edit(
    "6.1",
    "no noise at all",
    "The mean alone is not a draw from the posterior: without fresh noise the samples turn blurry.",
    (" + not_last * sigma_squared.sqrt() * noise", ""),
)

answers.edit(
    "6.1",
    "the option `variance` is ignored",
    'With variance="large" the variance is beta_t; only with "small" is it the posterior\'s.',
    ('if variance == "large":', "if False:"),
)

answers.edit(
    "6.1",
    "beta as the default variance",
    'The default here is "small", the posterior\'s own variance; elsewhere it may be "large".',
    ('variance: str = "small"', 'variance: str = "large"'),
)

answers.edit(
    "6.1",
    "small and large exchanged",
    '"small" is the posterior\'s variance and "large" is beta_t, which is never the smaller of the '
    "two.",
    ('if variance == "large":', 'if variance == "small":'),
)

answers.edit(
    "6.1",
    "stopping at the guess of x_0",
    "A guess of x_0 made from much noise is blurred. One step goes only a little of the way "
    "there: mix the guess with x_t, by the two posterior weights.",
    ("mean + not_last * sigma_squared.sqrt() * noise", "x0"),
)

answers.edit(
    "6.1",
    "no noise at t = 1",
    "The paper counts from 1, and its last step is t = 1. Here the last step is t = 0, and only "
    "there no noise is added.",
    ("(t > 0)", "(t > 1)"),
)

answers.edit(
    "6.1",
    "noise and eps mixed up",
    "eps is the noise that the network sees in x_t, and x_0 is guessed from it. noise is fresh, "
    "and comes in at the end.",
    ("x_t, t, eps, schedule.alpha_bars", "x_t, t, noise, schedule.alpha_bars"),
    ("sigma_squared.sqrt() * noise", "sigma_squared.sqrt() * eps"),
)

answers.edit(
    "6.1",
    "noise drawn inside the step",
    "The noise of the step is handed in as noise, so that the caller's generator decides on it. "
    "Nothing is left to draw.",
    ("sigma_squared.sqrt() * noise", "sigma_squared.sqrt() * torch.randn_like(x_t)"),
)

answers.edit(
    "6.1",
    "x_{t-1} in float64",
    "Computing in float64 is fine, but the network that sees the result next wants the dtype "
    "that x_t had.",
    (".clamp(-1, 1)", ".clamp(-1, 1).double()"),
)

answers.edit(
    "6.1",
    "a new tensor without a device",
    "torch.ones and torch.tensor make numbers on the CPU unless a device is named. Beside images "
    "on a graphics card that is an error: take the device from x_t.",
    (".clamp(-1, 1)", ".minimum(torch.ones(1)).clamp(-1)"),
)


answers.edit(
    "6.1",
    "any variance accepted",
    'A name that is misspelt, such as "Large", has to be refused, or a run goes on with the other '
    "variance and nobody notices.",
    (
        '    if variance not in ("small", "large"):\n'
        '        raise ValueError(f\'variance must be "small" or "large", got {variance!r}\')\n',
        "",
    ),
)

answers.edit(
    "6.1",
    "a lower limit for the variance",
    "A limit is for logarithms and divisions. The noise is only multiplied by the root of the "
    "variance, which may be as small as it likes.",
    ("sigma_squared.sqrt()", "sigma_squared.clamp(min=1e-5).sqrt()"),
)


# 6.2


answers.edit(
    "6.2",
    "the null half still sees the labels",
    "If both halves know the label, both say the same and guidance does nothing, whatever w is. "
    "The second half has to be asked about the null label.",
    ("torch.full_like(labels, null_label)", "labels"),
)

answers.edit(
    "6.2",
    "the null label alone at w = 0",
    "w = 0 leaves out guidance, not the label: it is the plain conditional prediction. The null "
    "label is the one that need not be asked about.",
    (
        "    eps_both = predict_eps(",
        "    if guidance_scale == 0:\n"
        "        return predict_eps(x_t, t, null_labels)\n"
        "    eps_both = predict_eps(",
    ),
)

answers.edit(
    "6.2",
    "no guidance unless w is above 0",
    "The formula holds for every w. Below 0 it leads towards the unconditional prediction, which "
    "at w = -1 is all that is left.",
    (
        "    eps_both = predict_eps(",
        "    if guidance_scale <= 0:\n"
        "        return predict_eps(x_t, t, labels)\n"
        "    eps_both = predict_eps(",
    ),
)

answers.edit(
    "6.2",
    "no guidance unless w is above 1",
    "A scale of 1 means none where the scale counts from the unconditional prediction. Here w "
    "counts from the conditional one: only w = 0 is without guidance.",
    (
        "    eps_both = predict_eps(",
        "    if guidance_scale <= 1:\n"
        "        return predict_eps(x_t, t, labels)\n"
        "    eps_both = predict_eps(",
    ),
)


@answers.wrong(
    "6.2",
    "the scale counted from the unconditional prediction",
    "null + s (cond - null) is the other convention, where s = 1 is plain conditional. Here w = 0 "
    "is, so s = 1 + w.",
)
def guided_eps(predict_eps, x_t, t, labels, guidance_scale, null_label):
    return ref.guided_eps(predict_eps, x_t, t, labels, guidance_scale - 1, null_label)


answers.edit(
    "6.2",
    "the score in the place of eps",
    "The score points to where pictures are more likely, and eps points the other way. The factor "
    "between them is negative, and it is the same on both sides: it cancels.",
    ("return (1 + guidance_scale) * eps_cond -", "return -(1 + guidance_scale) * eps_cond +"),
)

answers.edit(
    "6.2",
    "w steps from the conditional towards the null prediction",
    "Guidance exaggerates what the label changes. It leads past the conditional prediction and "
    "away from the unconditional one, not back to it.",
    ("- guidance_scale", "+ guidance_scale"),
    ("(1 + guidance_scale)", "(1 - guidance_scale)"),
)

answers.edit(
    "6.2",
    "added instead of subtracted",
    "The weights 1 + w and -w add up to 1. With a plus they add up to more, and eps claims more "
    "noise than there is.",
    ("- guidance_scale", "+ guidance_scale"),
)

answers.edit(
    "6.2",
    "the conditional one plus w times the null one",
    "Where the two predictions agree, guidance has nothing to say, and their mixture must be the "
    "same prediction again: the two weights add up to 1. And it leads away from the null one.",
    (
        "(1 + guidance_scale) * eps_cond - guidance_scale * eps_null",
        "eps_cond + guidance_scale * eps_null",
    ),
)

answers.edit(
    "6.2",
    "the whole null prediction subtracted",
    "Where the two predictions agree, their mixture must be the same prediction again: the weights "
    "add up to 1. With 1 + w for the one and -1 for the other they add up to w.",
    ("- guidance_scale * eps_null", "- eps_null"),
)

answers.edit(
    "6.2",
    "w instead of 1 + w for the conditional one",
    "The conditional prediction gets the weight 1 + w. Only then do the weights add up to 1, and "
    "w = 0 leaves just the conditional prediction.",
    ("(1 + guidance_scale)", "guidance_scale"),
)

answers.edit(
    "6.2",
    "the two halves exchanged",
    "The halves of the answer come back in the order of the question. Which labels did you put "
    "first, and what do you call the first half?",
    ("eps_cond, eps_null =", "eps_null, eps_cond ="),
)

answers.edit(
    "6.2",
    "the conditional one scaled up, the null one left out",
    "Guidance is a difference of two predictions. One prediction alone made larger is just more "
    "noise.",
    (" - guidance_scale * eps_null", ""),
)

answers.edit(
    "6.2",
    "rescaled to the spread of the conditional one",
    "Some papers scale the guided prediction back to the spread of the conditional one. The slope "
    "that is asked for here is not scaled: hand the mixture out as it is.",
    (
        "    return (1 + guidance_scale) * eps_cond - guidance_scale * eps_null",
        "    eps = (1 + guidance_scale) * eps_cond - guidance_scale * eps_null\n"
        "    axes = (1, 2, 3)\n"
        "    return eps * eps_cond.std(axes, keepdim=True) / eps.std(axes, keepdim=True)",
    ),
)

answers.edit(
    "6.2",
    "the guided noise clipped",
    "eps is noise, and Gaussian noise has no limits. What lies in [-1, 1] are images: the reverse "
    "step clips its guess of one.",
    (
        "(1 + guidance_scale) * eps_cond - guidance_scale * eps_null",
        "((1 + guidance_scale) * eps_cond - guidance_scale * eps_null).clamp(-1, 1)",
    ),
)


@answers.wrong(
    "6.2",
    "two calls of the network",
    "Two calls give the same numbers in nearly twice the time. Put both questions into one batch.",
)
def guided_eps(predict_eps, x_t, t, labels, guidance_scale, null_label):
    cond = predict_eps(x_t, t, labels)
    null = predict_eps(x_t, t, torch.full_like(labels, null_label))
    return (1 + guidance_scale) * cond - guidance_scale * null


answers.edit(
    "6.2",
    "neighbours repeated, halves cut",
    "repeat_interleave puts the two copies of an image next to each other, torch.cat puts the "
    "second copies behind. Take the answer apart in the way in which you put it together.",
    ("torch.cat([x_t, x_t])", "x_t.repeat_interleave(2, dim=0)"),
    ("torch.cat([t, t])", "t.repeat_interleave(2)"),
    ("torch.cat([labels, null_labels])", "torch.stack([labels, null_labels], dim=1).flatten()"),
)

answers.edit(
    "6.2",
    "images in one order, labels in another",
    "Row n of x, of t and of the labels describe the same image. Repeat all three in the same way.",
    ("torch.cat([x_t, x_t])", "x_t.repeat_interleave(2, dim=0)"),
    ("torch.cat([t, t])", "t.repeat_interleave(2)"),
    ("eps_both.chunk(2)", "eps_both[0::2], eps_both[1::2]"),
)

answers.again(
    "6.2",
    "images in one order, labels in another",
    ("torch.cat([x_t, x_t])", "x_t.repeat_interleave(2, dim=0)"),
)

answers.edit(
    "6.2",
    "the number 10 as null label",
    "The null label is an argument, since it depends on the number of classes.",
    ("torch.full_like(labels, null_label)", "torch.full_like(labels, 10)"),
)

answers.edit(
    "6.2",
    "0 as null label",
    "0 is the label of the digit zero. 'No class' has a label of its own, which is handed in.",
    ("torch.full_like(labels, null_label)", "torch.zeros_like(labels)"),
)

answers.edit(
    "6.2",
    "the null half at t = 0",
    "Both predictions are about the same x_t, so both need the same t. Only the label differs.",
    ("torch.cat([t, t])", "torch.cat([t, torch.zeros_like(t)])"),
)

answers.edit(
    "6.2",
    "t not doubled",
    "The network is shown 2B images and wants a t for each of them, so t has to be doubled as "
    "the images are.",
    ("torch.cat([t, t])", "t"),
)

answers.edit(
    "6.2",
    "floating-point labels",
    "torch.ones and torch.zeros make float32 numbers, but a label is an index, int64. How do you "
    "make a tensor like labels, filled with one number?",
    (
        "torch.full_like(labels, null_label)",
        "null_label * torch.ones(len(labels), device=labels.device)",
    ),
)

answers.edit(
    "6.2",
    "the caller's labels overwritten",
    "`null = labels` makes no copy: filling it changes the labels themselves, in this step and all "
    "that follow.",
    ("torch.full_like(labels, null_label)", "labels.fill_(null_label)"),
)

answers.again(
    "6.2",
    "the caller's labels overwritten",
    (
        "null_labels = torch.full_like(labels, null_label)",
        "asked = labels.clone()\n    null_labels = labels.fill_(null_label)",
    ),
    ("torch.cat([labels, null_labels])", "torch.cat([asked, null_labels])"),
)

answers.edit(
    "6.2",
    "the images joined along the channels",
    "A batch of 2B images is twice as long along the first axis. Joined along the second one, two "
    "images become one with twice the channels.",
    ("torch.cat([x_t, x_t])", "torch.cat([x_t, x_t], dim=1)"),
)

answers.edit(
    "6.2",
    "the network's answer changed in place",
    "cond *= 1 + w writes into the answer that the network gave, and torch refuses that while it "
    "keeps the answer for gradients. cond * (1 + w) makes a new tensor.",
    (
        "    return (1 + guidance_scale) * eps_cond",
        "    eps_cond *= 1 + guidance_scale\n    return eps_cond",
    ),
)

answers.edit(
    "6.2",
    "null labels without a device",
    "torch.full and torch.tensor make numbers on the CPU unless a device is named. Next to labels "
    "on a graphics card they have to be there, too: take the device from labels.",
    ("torch.full_like(labels, null_label)", "torch.full((len(labels),), null_label)"),
)


answers.edit(
    "6.2",
    "an axis of length 1 lost",
    "squeeze() takes away every axis of length 1, the batch's too if there is one image. Take the "
    "two halves apart along the batch and leave all four axes.",
    (
        "return (1 + guidance_scale) * eps_cond - guidance_scale * eps_null",
        "return ((1 + guidance_scale) * eps_cond - guidance_scale * eps_null).squeeze()",
    ),
)


# 6.3


answers.edit(
    "6.3",
    "only the images come back",
    "The result is a pair: the images and the film, which is an empty list if no frame is kept.",
    ("return x, film", "return x"),
)

answers.edit(
    "6.3",
    "walking forwards",
    "x_T holds the most noise and belongs to step T-1. The walk leads down to t = 0.",
    ("reversed(range(num_steps))", "range(num_steps)"),
)

answers.edit(
    "6.3",
    "counting from T-1 down to 1",
    "At t = 0 there is one step of noise still to be removed. range(T - 1, 0, -1) leaves out its "
    "end, the 0.",
    ("reversed(range(num_steps))", "range(num_steps - 1, 0, -1)"),
)

answers.edit(
    "6.3",
    "counting from T-2 down to 0",
    "x_T is as noisy as it gets, and the step that makes it less so is t = T-1. Begin there: "
    "range(T) ends at T-1 already.",
    ("range(num_steps)", "range(num_steps - 1)"),
)

answers.edit(
    "6.3",
    "counting from T down to 1",
    "The paper counts from 1; here t = 0 ... T-1, and the tables have no entry T.",
    ("reversed(range(num_steps))", "range(num_steps, 0, -1)"),
)

answers.edit(
    "6.3",
    "a t without axes",
    "The network embeds a t for every image of the batch, so it wants a tensor of shape (B,).",
    ("(x.shape[0],)", "()"),
)

answers.edit(
    "6.3",
    "a t of shape (1,)",
    "A single t, of shape (1,), is not one for each image: some networks would accept it, others "
    "not. t has shape (B,).",
    ("(x.shape[0],)", "(1,)"),
)

answers.edit(
    "6.3",
    "a floating-point t",
    "t is an index into tables, and an index is int64. A float32 t, which torch.ones and "
    "torch.zeros make too, cannot be one.",
    ("dtype=torch.int64", "dtype=torch.float32"),
)

answers.edit(
    "6.3",
    "the network always sees x_T",
    "After the first step the images have changed, and so has the noise in them. Ask the network "
    "about the images as they are now.",
    ("predict_eps(x, t)", "predict_eps(x_T, t)"),
)

answers.edit(
    "6.3",
    "network and reverse_step always see x_T",
    "reverse_step returns the images for the next round. Give its result the name x again.",
    ("predict_eps(x, t)", "predict_eps(x_T, t)"),
    ("reverse_step(x, t,", "reverse_step(x_T, t,"),
)

answers.edit(
    "6.3",
    "noise and eps swapped",
    "eps is what the network sees in x and what is taken away; noise is what is newly added. "
    "reverse_step takes eps first.",
    ("eps, noise, schedule)", "noise, eps, schedule)"),
)

answers.edit(
    "6.3",
    "the caller's x_T changed in place",
    "x = x_T makes no copy, so changing x in place changes the caller's x_T. Let x name the new "
    "tensor that reverse_step returns.",
    (
        "x = reverse_step(x, t, eps, noise, schedule)",
        "x.copy_(reverse_step(x, t, eps, noise, schedule))",
    ),
)

answers.again(
    "6.3",
    "the caller's x_T changed in place",
    (
        "x = reverse_step(x, t, eps, noise, schedule)",
        "x.copy_(reverse_step(x, t, eps, noise, schedule))",
    ),
    ("film.append(x)", "film.append(x.clone())"),
)

answers.edit(
    "6.3",
    "all frames are the same tensor",
    "A list holds references, not pictures. If x is changed in place, every frame changes with it; "
    "keep a new tensor for each frame.",
    ("x = x_T", "x = x_T.clone()"),
    ("x = reverse_step", "x[:] = reverse_step"),
)

answers.edit(
    "6.3",
    "a frame taken before its step",
    "film_steps asks for what step t makes, x_{t-1}. Taken before the step, the frame is x_t, and "
    "the finished images never come into the film.",
    ("x = reverse_step(", "before, x = x, reverse_step("),
    ("film.append(x)", "film.append(before)"),
)

answers.edit(
    "6.3",
    "frames named after where their step leads",
    "film_steps names the steps t, whose results are x_{t-1}: the frame is kept when the step that "
    "has just been made is t itself.",
    ("if step in film_steps", "if step - 1 in film_steps"),
)

answers.edit(
    "6.3",
    "film_steps counted from the start of the walk",
    "film_steps are values of t, not numbers of rounds: t = 0 is the last round, not the first.",
    ("if step in film_steps", "if num_steps - 1 - step in film_steps"),
)

answers.edit(
    "6.3",
    "the cleanest frame first",
    "A film runs as the walk does, from noise to image, in whatever order film_steps lists them.",
    ("return x, film", "return x, film[::-1]"),
)

answers.edit(
    "6.3",
    "nothing put into the film",
    "film begins as an empty list, and each frame that film_steps asks for is appended to it.",
    ("film.append(x)", "pass"),
)

answers.edit(
    "6.3",
    "every step in the film",
    "Only the steps in film_steps are kept. A walk may have a thousand, and frames take memory.",
    ("if step in film_steps:\n            film.append(x)", "film.append(x)"),
)

answers.edit(
    "6.3",
    "one draw of noise for the whole walk",
    "Noise drawn only once pushes every step in the same direction and does not average out. Each "
    "step draws its own.",
    ("noise = torch.randn(", "if step == num_steps - 1:\n            noise = torch.randn("),
)

answers.edit(
    "6.3",
    "one draw of noise for the whole batch",
    "If all images get the same noise, they are not independent samples. Draw noise with the full "
    "shape of x.",
    ("torch.randn(x.shape,", "torch.randn(x[:1].shape,"),
    ("noise, schedule)", "noise.expand_as(x), schedule)"),
)

answers.edit(
    "6.3",
    "x_T again as the noise",
    "The noise of a step must be independent of the images so far. x_T is already inside them.",
    ("torch.randn(x.shape, generator=generator, device=x.device, dtype=x.dtype)", "x_T.clone()"),
)

answers.edit(
    "6.3",
    "a walk that begins at other noise",
    "The walk begins at the x_T that is handed in, so that the caller decides on it. The generator "
    "is for the noise of the steps.",
    (
        "    x = x_T\n",
        "    x = torch.randn(x_T.shape, generator=generator, device=x_T.device, dtype=x_T.dtype)\n",
    ),
)

answers.edit(
    "6.3",
    "uniform noise",
    "torch.rand draws from [0, 1], which has a mean of 0.5: the walk drifts. Gaussian noise comes "
    "from torch.randn.",
    ("torch.randn(", "torch.rand("),
)

answers.edit(
    "6.3",
    "the generator is ignored",
    "Without generator=generator the noise comes from torch's global source, and nobody can draw "
    "the same images twice.",
    ("generator=generator, ", ""),
)

answers.edit(
    "6.3",
    "the generator is seeded again",
    "Seeding belongs to the caller. If each walk sets the generator back, all walks give the same "
    "images.",
    ("    x = x_T", "    generator.manual_seed(0)\n    x = x_T"),
)

answers.edit(
    "6.3",
    "the generator is seeded again at every step",
    "Set back at every step, it gives the same noise every time. Seeding belongs to the caller; "
    "the generator goes on by itself from one step to the next.",
    ("        noise = ", "        generator.manual_seed(0)\n        noise = "),
)

answers.edit(
    "6.3",
    "a graph through all steps",
    "Nothing is trained here. Without torch.no_grad() every network call of the walk stays in "
    "memory, ready for a backward pass that never comes.",
    ("@torch.no_grad()\n", ""),
)

answers.edit(
    "6.3",
    "the film as one tensor",
    "The film is a list of frames, and without film_steps it is an empty one, which torch.stack "
    "cannot handle. Hand out the list.",
    ("return x, film", "return x, torch.stack(film)"),
)

answers.edit(
    "6.3",
    "x_T as the first frame",
    "The film holds what the steps in film_steps made, and nothing else. x_T was made by no step.",
    ("film = []", "film = [x_T]"),
)

answers.edit(
    "6.3",
    "new tensors without a device",
    "torch.full and torch.randn make their numbers on the CPU unless a device is named. If x_T is "
    "on a graphics card, t and the noise have to be there, too: take the device from the images.",
    ("dtype=torch.int64, device=x.device", "dtype=torch.int64"),
    ("generator=generator, device=x.device", "generator=generator"),
)

answers.edit(
    "6.3",
    "noise without a device",
    "t follows the images to another device, but torch.randn makes its numbers on the CPU unless a "
    "device is named. Take the one of the images for both.",
    ("generator=generator, device=x.device", "generator=generator"),
)

answers.edit(
    "6.3",
    "t without a device",
    "The noise follows the images to another device, but torch.full and torch.tensor make their "
    "numbers on the CPU unless a device is named. Take the one of the images for both.",
    ("dtype=torch.int64, device=x.device", "dtype=torch.int64"),
)


answers.edit(
    "6.3",
    "gradients switched off for good",
    "torch.set_grad_enabled(False) holds for the whole program, and the next training step fails. "
    "`with torch.no_grad():`, or @torch.no_grad() above the function, ends with its block.",
    ("@torch.no_grad()\n", ""),
    ("    x = x_T\n", "    torch.set_grad_enabled(False)\n    x = x_T\n"),
)

answers.edit(
    "6.3",
    "gradients switched on at the end",
    "Whoever calls may have switched gradients off before, and wants to find them so. `with "
    "torch.no_grad():`, or @torch.no_grad() above the function, puts back what was there.",
    ("@torch.no_grad()\n", ""),
    ("    x = x_T\n", "    torch.set_grad_enabled(False)\n    x = x_T\n"),
    ("    return x, film", "    torch.set_grad_enabled(True)\n    return x, film"),
)

answers.edit(
    "6.3",
    "the film as a tuple",
    "The film is promised as a list, to which others may append.",
    ("return x, film", "return x, tuple(film)"),
)

answers.edit(
    "6.3",
    "torch seeded anew for the walk",
    "torch.manual_seed changes the random numbers of the whole program. Hand the generator to "
    "torch.randn, and leave torch's own alone.",
    ("    x = x_T\n", "    torch.manual_seed(generator.initial_seed())\n    x = x_T\n"),
)


# 6.4


answers.edit(
    "6.4",
    "column by column",
    "Images are read like text: along the row first. Swap the roles of row and column.",
    ("row, column = divmod(n, num_columns)", "column, row = divmod(n, num_rows)"),
)


answers.edit(
    "6.4",
    "quotient and rest of n / num_columns exchanged",
    "divmod(n, num_columns) gives the quotient first: how many full rows come before image n, "
    "which is its row. The rest is its place in the row, the column.",
    ("row, column = divmod(", "column, row = divmod("),
)


answers.edit(
    "6.4",
    "num_columns taken for the number of rows",
    "num_columns images are beside each other: it fixes the width. The number of rows follows.",
    (
        "    count, channels",
        "    num_columns = -(-len(images) // num_columns)\n    count, channels",
    ),
)

answers.edit(
    "6.4",
    "a black background",
    "The gap is to separate digits that are black at their edges, so it is white: begin with ones.",
    ("images.new_ones(", "images.new_zeros("),
)

answers.edit(
    "6.4",
    "the range left at [-1, 1]",
    "A picture has values in [0, 1], so the range has to be moved and halved before it is cut off.",
    ("(images + 1) / 2", "images"),
    ("image.clamp(0, 1)", "image.clamp(-1, 1)"),
)

answers.edit(
    "6.4",
    "cut to [0, 1] without moving the range",
    "Cutting off at 0 turns everything darker than mid-grey into black. Map -1 to 0 and 1 to 1.",
    ("(images + 1) / 2", "images"),
)

answers.edit(
    "6.4",
    "cut to [0, 1] before the range is moved",
    "Cut off at 0, everything darker than mid-grey becomes mid-grey. Bring [-1, 1] to [0, 1] "
    "first, and cut afterwards.",
    ("(images + 1) / 2", "(images.clamp(0, 1) + 1) / 2"),
)

answers.edit(
    "6.4",
    "nothing is cut off",
    "A sample may lie a little outside [-1, 1], and such pixels are no colours. Cut off what lies "
    "beyond 0 and 1.",
    ("image.clamp(0, 1)", "image"),
)

answers.edit(
    "6.4",
    "stretched to the darkest and brightest pixel",
    "If brightness depends on what else is in the batch, two pictures cannot be compared. The map "
    "from [-1, 1] to [0, 1] is fixed.",
    ("(images + 1) / 2", "(images - images.min()) / (images.max() - images.min())"),
)

answers.again(
    "6.4",
    "stretched to the darkest and brightest pixel",
    (
        "    for n, image in enumerate((images + 1) / 2):",
        "    low = images.amin(dim=(1, 2, 3), keepdim=True)\n"
        "    high = images.amax(dim=(1, 2, 3), keepdim=True)\n"
        "    for n, image in enumerate((images - low) / (high - low).clamp(min=1e-8)):",
    ),
)

answers.edit(
    "6.4",
    "no gap at any of the four edges",
    "The gap goes around the whole picture, too: a row of three images has four gaps.",
    ("return grid", "return grid[:, gap : grid.shape[1] - gap, gap : grid.shape[2] - gap]"),
)

answers.edit(
    "6.4",
    "a gap at the top and left edges only",
    "Three images in a row have four gaps: one before each of them, and one after the last. With "
    "three, one edge of the picture goes without.",
    ("num_rows * (height + gap) + gap", "num_rows * (height + gap)"),
    ("num_columns * (width + gap) + gap", "num_columns * (width + gap)"),
)

answers.edit(
    "6.4",
    "a gap at the right and bottom edges only",
    "The first image has a gap before it, too, above and to the left. Count the gaps from the edge "
    "of the picture to its first pixel.",
    ("num_rows * (height + gap) + gap", "num_rows * (height + gap)"),
    ("num_columns * (width + gap) + gap", "num_columns * (width + gap)"),
    ("gap + row * (height", "row * (height"),
    ("gap + column * (width", "column * (width"),
)

answers.edit(
    "6.4",
    "a double gap between neighbours",
    "Two neighbours share one gap, and margins around both of them make it twice as wide.",
    ("num_rows * (height + gap) + gap", "num_rows * (height + 2 * gap)"),
    ("num_columns * (width + gap) + gap", "num_columns * (width + 2 * gap)"),
    ("row * (height + gap)", "row * (height + 2 * gap)"),
    ("column * (width + gap)", "column * (width + 2 * gap)"),
)

answers.edit(
    "6.4",
    "the last row left out",
    "N // num_columns counts the full rows only. The images that are left over need a row, too: "
    "round up.",
    ("-(-count // num_columns)  # rounded up", "max(count // num_columns, 1)"),
    ("(images + 1)", "(images[: num_rows * num_columns] + 1)"),
)

answers.again(
    "6.4",
    "the last row left out",
    ("-(-count // num_columns)  # rounded up", "count // num_columns"),
    ("(images + 1)", "(images[: num_rows * num_columns] + 1)"),
)

answers.edit(
    "6.4",
    "one row too many",
    "N // num_columns + 1 is right only if the last row is not full; 8 images in 4 columns need "
    "two rows, not three. Round up instead.",
    ("-(-count // num_columns)  # rounded up", "count // num_columns + 1"),
)


answers.edit(
    "6.4",
    "the last row filled up with grey",
    "Images of zeros are mid-grey after the range is moved. What is missing is to be white.",
    (
        "    count, channels, height, width = images.shape\n",
        "    blank = images.new_zeros(-len(images) % num_columns, *images.shape[1:])\n"
        "    images = torch.cat([images, blank])\n"
        "    count, channels, height, width = images.shape\n",
    ),
)


@answers.wrong_again("6.4", "the last row filled up with grey")
def image_grid(images, num_columns, gap=2):
    missing = -len(images) % num_columns
    blank = images.new_zeros(missing, *images.shape[1:])
    return ref.image_grid(torch.cat([images, blank]), num_columns, gap)


answers.edit(
    "6.4",
    "the last row filled up with the first images",
    "An image that is shown twice looks like two samples. Leave what is missing white.",
    (
        "    count, channels, height, width = images.shape\n",
        "    again = images[torch.arange(-len(images) % num_columns) % len(images)]\n"
        "    images = torch.cat([images, again])\n"
        "    count, channels, height, width = images.shape\n",
    ),
)

answers.edit(
    "6.4",
    "only as wide as its images",
    "With fewer images than columns the picture keeps its width; the rest of the row is white.",
    ("    count, channels", "    num_columns = min(num_columns, len(images))\n    count, channels"),
)

answers.edit(
    "6.4",
    "the gap is always 2",
    "2 is the default. A caller may ask for another gap, or for none.",
    ("    count, channels", "    gap = 2\n    count, channels"),
)

answers.edit(
    "6.4",
    "only the first channel",
    "The picture has as many channels as the images have: 1 for grey digits, 3 for colour.",
    ("    count, channels", "    images = images[:, :1]\n    count, channels"),
)

answers.edit(
    "6.4",
    "height and width swapped",
    "An image is (C, H, W): its height counts along the picture's rows, its width along the "
    "columns. Square digits would hide this.",
    ("    count, channels", "    images = images.transpose(2, 3)\n    count, channels"),
)

answers.edit(
    "6.4",
    "height and width read in the wrong order",
    "An image is (C, H, W), so the batch is (N, C, H, W): the height comes before the width. "
    "Square digits would hide this.",
    (
        "count, channels, height, width = images.shape",
        "count, channels, width, height = images.shape",
    ),
    (
        "= image.clamp(0, 1)",
        "= image.clamp(0, 1).reshape(\n            channels, height, width\n        )",
    ),
)

answers.edit(
    "6.4",
    "the caller's images changed in place",
    "add_ and div_ change the tensor that was handed in; without the underscore a new one is made.",
    ("(images + 1) / 2", "images.add_(1).div_(2)"),
)

answers.edit(
    "6.4",
    "numbers from 0 to 255",
    "Whole numbers from 0 to 255 belong in an image file. Here brightness goes from 0 to 1, in "
    "float32.",
    ("return grid", "return (grid * 255).round().to(torch.uint8)"),
)

answers.again("6.4", "numbers from 0 to 255", ("return grid", "return (grid * 255).round()"))

answers.again("6.4", "numbers from 0 to 255", ("return grid", "return grid * 255"))

answers.edit(
    "6.4",
    "the channels last",
    "matplotlib wants (height, width, channels), but this picture has its channels first, as the "
    "images have. To show it, turn it round.",
    ("return grid", "return grid.permute(1, 2, 0)"),
)

answers.edit(
    "6.4",
    "no channels",
    "Grey images have one channel, and their axis stays: the picture is (C, height, width), with "
    "C = 1 for grey ones.",
    ("return grid", "return grid.squeeze(0)"),
)

answers.edit(
    "6.4",
    "divided by 2 and shifted by 1",
    "Half of -1 is -0.5, and 1 more is 0.5: the darkest pixel would be grey. Add 1 before you "
    "halve.",
    ("(images + 1) / 2", "images / 2 + 1"),
)


answers.edit(
    "6.4",
    "neither images nor columns checked",
    "A picture without images, or without columns, is a mistake of the caller, who should hear of "
    "it at once: raise the ValueError.",
    (
        "    if len(images) == 0 or num_columns < 1:\n"
        '        raise ValueError(f"need images and columns, got {len(images)} and '
        '{num_columns}")\n',
        "",
    ),
)

answers.edit(
    "6.4",
    "the number of columns not checked",
    "0 columns are refused as well as 0 images, and so is a number below 0.",
    ("if len(images) == 0 or num_columns < 1:", "if len(images) == 0:"),
)


# 6.5


answers.planted(
    "6.5",
    "the level right before its own in the full schedule",
    "A step of the shorter walk leads from the level kept before it, not from the one that is a "
    "single step away in the full schedule. Divided by that one, each step takes too little noise "
    "away.",
)

answers.edit(
    "6.5",
    "the level right after the one kept before",
    "The level that a step comes from is the one kept before it, exactly. One step further on in "
    "the full schedule is too far: some noise is counted by no step.",
    ("kept[:-1]])", "alpha_bars[timesteps[:-1] + 1]])"),
)

answers.edit(
    "6.5",
    "the level right before the one kept before",
    "The level that a step comes from is the one kept before it, exactly. One step earlier in the "
    "full schedule counts some of the noise twice.",
    ("kept[:-1]])", "alpha_bars[(timesteps[:-1] - 1).clamp(min=0)]])"),
)

answers.edit(
    "6.5",
    "shifted the wrong way",
    "`before` holds at place i what was left before step i, so the level kept at place i - 1. "
    "Shifted the other way, it holds what is left after the next step.",
    (
        "torch.cat([torch.ones_like(kept[:1]), kept[:-1]])",
        "torch.cat([kept[1:], torch.ones_like(kept[:1])])",
    ),
)

answers.again(
    "6.5",
    "shifted the wrong way",
    (
        "    return 1 - kept / before, timesteps",
        "    after = torch.cat([kept[1:], torch.zeros_like(kept[:1])])\n"
        "    return 1 - after / kept, timesteps",
    ),
    ("    before = torch.cat([torch.ones_like(kept[:1]), kept[:-1]])\n", ""),
)

answers.edit(
    "6.5",
    "each level but the first divided by itself",
    "Each level but the first is divided by itself. A step comes from the level before its own: "
    "put the 1 in front of all levels, and leave the last one out.",
    ("kept[:-1]])", "kept[1:]])"),
)

answers.edit(
    "6.5",
    "all the noise so far in each step",
    "1 - alpha_bar is the noise of all steps together since the clean image. The beta of one step "
    "counts only from the level that it comes from.",
    ("1 - kept / before, timesteps", "1 - kept, timesteps"),
)

answers.edit(
    "6.5",
    "0 before the first step",
    "Before the first step there is no noise yet, so alpha_bar is 1.",
    ("torch.ones_like(kept[:1])", "torch.zeros_like(kept[:1])"),
)

answers.edit(
    "6.5",
    "the last level kept as the one before the first step",
    "The first level is divided by the last one, as torch.roll brings that round to the front. "
    "Before the first step there is no noise, so alpha_bar is 1 there.",
    ("torch.cat([torch.ones_like(kept[:1]), kept[:-1]])", "torch.roll(kept, 1)"),
)

answers.edit(
    "6.5",
    "the first level of the full schedule before the first step",
    "alpha_bars[0] has the noise of one step already, and the first step of the shorter walk makes "
    "that noise, too. Before it there is none.",
    ("torch.ones_like(kept[:1])", "alpha_bars[:1]"),
)

answers.edit(
    "6.5",
    "the betas of the full schedule as they are",
    "A beta of the full schedule leads over one of its steps. A step of the shorter walk leads "
    "over many of them, and all their noise has to be in its beta.",
    ("1 - kept / before, timesteps", "schedule_betas.double()[timesteps], timesteps"),
)

answers.edit(
    "6.5",
    "the betas of all the steps between added up",
    "Variances of noise do not simply add up: every step also shrinks what there is already. What "
    "multiplies are the shares that are left, 1 - beta.",
    (
        "    return 1 - kept / before, timesteps",
        "    parts = torch.tensor_split(schedule_betas.double(), (timesteps[:-1] + 1).cpu())\n"
        "    return torch.stack([part.sum() for part in parts]), timesteps",
    ),
)

answers.again(
    "6.5",
    "the betas of all the steps between added up",
    (
        "    return 1 - kept / before, timesteps",
        "    sums = schedule_betas.double().cumsum(0)[timesteps]\n"
        "    return torch.diff(sums, prepend=sums.new_zeros(1)), timesteps",
    ),
)

answers.edit(
    "6.5",
    "the last level left out",
    "Sampling begins with pure noise, at t = T-1. If the steps are counted from the clean end, "
    "the shorter walk begins at a level that still holds some image.",
    ("i * total / num_steps).round().long() - 1", "(i - 1) * total / num_steps).round().long()"),
)

answers.again(
    "6.5",
    "the last level left out",
    (
        "(i * total / num_steps).round().long() - 1",
        "(i.long() - 1) * (total // num_steps)",
    ),
)

answers.edit(
    "6.5",
    "the steps bunched at one end",
    "Evenly spaced means that neighbours are equally far apart, all the way from the clean end to "
    "the noisy one.",
    ("(i * total / num_steps).round().long() - 1", "(i + total - num_steps).long() - 1"),
)

answers.edit(
    "6.5",
    "the clock of the shorter walk",
    "The network knows the steps that it was trained with. What it must be told is the step of the "
    "full schedule, not the number of the step in the shorter walk.",
    (
        "1 - kept / before, timesteps",
        "1 - kept / before, torch.arange(num_steps, device=kept.device)",
    ),
)

answers.edit(
    "6.5",
    "the clock one step ahead",
    "The steps of the full schedule are 0 ... T-1, and the network is told the step whose level is "
    "kept: with 1 more it takes its input for noisier than it is.",
    ("1 - kept / before, timesteps", "1 - kept / before, timesteps + 1"),
)

answers.edit(
    "6.5",
    "the clock the other way round",
    "Step number i of the shorter walk has its beta and its t at the same place. The betas "
    "begin at the clean end, so the timesteps do, too.",
    ("1 - kept / before, timesteps", "1 - kept / before, timesteps.flip(0)"),
)

answers.edit(
    "6.5",
    "the levels read at steps counted from 1",
    "Here time runs over 0 ... T-1, and there is no entry T in the tables.",
    (".round().long() - 1", ".round().long()"),
)

answers.edit(
    "6.5",
    "nothing in the first step",
    "Before the first step there is no noise at all, so alpha_bar is 1 there. The first level kept "
    "has the noise of several steps of the full schedule already.",
    ("torch.ones_like(kept[:1])", "kept[:1]"),
)

answers.edit(
    "6.5",
    "the quotient turned around",
    "What is left after a step, divided by what was left before it, is the share that the step "
    "keeps. The other way round it is above 1, and beta would be negative.",
    ("1 - kept / before", "1 - before / kept"),
)

answers.edit(
    "6.5",
    "the root of the quotient",
    "alpha_bar is the product of the shares 1 - beta themselves. A root is for what multiplies an "
    "image, and here no image is multiplied.",
    ("1 - kept / before", "1 - (kept / before).sqrt()"),
)

answers.edit(
    "6.5",
    "a difference of levels",
    "Each step keeps a share of what there is when it begins, so levels are compared by dividing. "
    "Their difference is a share of the clean image.",
    ("1 - kept / before", "before - kept"),
)

answers.edit(
    "6.5",
    "the share kept instead of the share lost",
    "The quotient of two levels is what the step keeps, which is 1 - beta.",
    ("1 - kept / before", "kept / before"),
)

answers.edit(
    "6.5",
    "the quotient computed in float32",
    "At the end of the cosine schedule a beta lies so near 1 that float32 rounds it to 1, and "
    "alpha_bar to 0, by which predict_x0 divides. Compute in float64 and leave it at that.",
    ("1 - kept / before", "(1 - kept.float() / before.float()).double()"),
)

answers.edit(
    "6.5",
    "the levels computed in float32",
    "float32 keeps seven digits of 1 - beta, so few of a small beta, and what is turned to float64 "
    "afterwards does not get the others back. Turn the betas into float64 first.",
    (
        "torch.cumprod(1 - schedule_betas.double(), dim=0)",
        "torch.cumprod(1 - schedule_betas, dim=0).double()",
    ),
)

answers.edit(
    "6.5",
    "betas handed out in float32",
    "The last beta lies so near 1 that float32 has no number for it. That is why they are handed "
    "out in float64.",
    ("1 - kept / before", "(1 - kept / before).float()"),
)

answers.edit(
    "6.5",
    "new tensors without a device",
    "torch.arange makes its numbers on the CPU unless a device is named. If the betas are on a "
    "graphics card, the steps have to be there, too.",
    (", device=alpha_bars.device", ""),
)

answers.edit(
    "6.5",
    "any number of steps accepted",
    "More steps than T would take some of them twice, and with less than 2 there is no walk. Raise "
    "the ValueError.",
    (
        "    if not 2 <= num_steps <= len(schedule_betas):\n"
        '        raise ValueError(f"num_steps must be between 2 and {len(schedule_betas)}, '
        'got {num_steps}")\n',
        "",
    ),
)

answers.edit(
    "6.5",
    "a single step accepted",
    "A walk of one step is refused: it would have to make an image out of pure noise at once.",
    ("if not 2 <= num_steps", "if not 1 <= num_steps"),
)

answers.edit(
    "6.5",
    "a lower limit for beta",
    "No formula here fails for a small beta. With a lower limit the levels are no longer those of "
    "the full schedule.",
    (
        "return 1 - kept / before, timesteps",
        "return (1 - kept / before).clamp(min=1e-4), timesteps",
    ),
)

answers.edit(
    "6.5",
    "an upper limit for beta",
    "The limit belongs where a schedule is made. Here the last beta follows from two levels of one "
    "that has been made, and cut off it leads to another level.",
    (
        "return 1 - kept / before, timesteps",
        "return (1 - kept / before).clamp(max=0.999), timesteps",
    ),
)
