"""Known wrong answers to chapter 05, each with the misunderstanding behind it."""

import torch

from course.grading.answers import Answers
from solutions import ch05_training as ref

answers = Answers()


# 5.1, the draws


answers.edit(
    "5.1",
    "the last step is never drawn",
    "torch.randint leaves its upper end out already. With T-1 as that end, the step T-1, from "
    "which all sampling starts, is never trained.",
    ("randint(0, num_steps,", "randint(0, num_steps - 1,"),
)

answers.edit(
    "5.1",
    "counting the steps from 1",
    "Here time runs over 0 ... T-1. With 1 ... T the first step is left out, and T has no entry "
    "in the tables.",
    ("randint(0, num_steps,", "randint(1, num_steps + 1,"),
)

answers.edit(
    "5.1",
    "one step for the whole batch",
    "A batch with a single t teaches the network about one noise level only, and the loss jumps "
    "from batch to batch. Draw as many steps as there are images.",
    ("return t, eps", "return t[:1].expand(batch_size), eps"),
)

answers.again(
    "5.1",
    "one step for the whole batch",
    ("(batch_size,), generator", "(1,), generator"),
    ("return t, eps", "return t.expand(batch_size), eps"),
)

answers.edit(
    "5.1",
    "time as a fraction",
    "t is used as an index into tables, so it has to be a whole number of dtype int64. The "
    "network's embedding takes care of its scale.",
    ("return t, eps", "return t / num_steps, eps"),
)


answers.edit(
    "5.1",
    "rounding to the nearest step",
    "Of numbers spread evenly from 0 to T-1, only half as many round to an end as to a step in "
    "the middle. Draw whole numbers in the first place.",
    (
        "torch.randint(0, num_steps, (batch_size,), generator=generator, device=x0.device)",
        "torch.rand(batch_size, generator=generator, device=x0.device)\n"
        "    t = (t * (num_steps - 1)).round().long()",
    ),
)


@answers.wrong_again("5.1", "rounding to the nearest step")
def draw_noise(x0, num_steps, generator):
    u = torch.rand(x0.shape[0], generator=generator)
    eps = torch.randn(x0.shape, generator=generator, dtype=x0.dtype)
    return (u * (num_steps - 1)).round().long(), eps


@answers.wrong(
    "5.1",
    "noise that ignores the generator",
    "torch.randn_like takes no generator and draws from a global one, so a run cannot be "
    "repeated or resumed. torch.randn takes a shape and a generator.",
)
def draw_noise(x0, num_steps, generator):
    t, _ = ref.draw_noise(x0, num_steps, generator)
    return t, torch.randn_like(x0)


answers.edit(
    "5.1",
    "steps that ignore the generator",
    "The steps are random, too: torch.randint takes the generator just as torch.randn does.",
    ("(batch_size,), generator=generator, device", "(batch_size,), device"),
)

answers.again(
    "5.1",
    "steps that ignore the generator",
    ("    return t, eps", "    return torch.randint_like(t, num_steps), eps"),
)

answers.edit(
    "5.1",
    "a fixed seed inside",
    "Seeding inside the function gives the same draws at every training step, and the network "
    "learns that noise by heart. The caller has seeded the generator: just draw from it.",
    ("    batch_size =", "    generator.manual_seed(0)\n    batch_size ="),
)

answers.edit(
    "5.1",
    "uniform noise",
    "torch.rand is uniform between 0 and 1. The forward process adds Gaussian noise, with mean 0 "
    "and both signs: torch.randn.",
    ("torch.randn(", "torch.rand("),
)

answers.again(
    "5.1",
    "uniform noise",
    ("return t, eps", "return t, torch.rand(x0.shape, generator=generator, device=x0.device)"),
)

answers.again(
    "5.1",
    "uniform noise",
    ("torch.randn(", "torch.rand("),
    ("return t, eps", "return t, 2 * eps - 1"),
)

answers.edit(
    "5.1",
    "one noise image for the whole batch",
    "If all images share their noise, the network sees far less of it than there are images, and "
    "the mean of so few numbers is not 0. Each pixel of each image gets a draw of its own.",
    ("return t, eps", "return t, eps[:1].expand_as(x0)"),
)

answers.edit(
    "5.1",
    "one number for many pixels",
    "One number for all pixels of a channel makes it lighter or darker, and nothing else. Noise "
    "has a draw of its own for each pixel: draw as many numbers as x0 has.",
    ("torch.randn(x0.shape,", "torch.randn((*x0.shape[:2], 1, 1),"),
    ("return t, eps", "return t, eps.expand_as(x0)"),
)

answers.again(
    "5.1",
    "one number for many pixels",
    ("torch.randn(x0.shape,", "torch.randn((batch_size, 1, 1, 1),"),
    ("return t, eps", "return t, eps.expand_as(x0)"),
)

answers.edit(
    "5.1",
    "noise always in float32",
    "torch.randn makes float32 numbers unless it is told another dtype. Take the dtype from the "
    "images, so that the two fit together.",
    (", dtype=x0.dtype", ""),
)

answers.edit(
    "5.1",
    "noise first, steps second",
    "The pair is (t, eps), in this order: the caller unpacks it by position.",
    ("return t, eps", "return eps, t"),
)

answers.edit(
    "5.1",
    "new tensors without a device",
    "torch.randint and torch.randn make their numbers on the CPU unless a device is named. If "
    "the images are on a graphics card, so must these be: take the device from x0.",
    ("(batch_size,), generator=generator, device=x0.device", "(batch_size,), generator=generator"),
    ("x0.shape, generator=generator, device=x0.device", "x0.shape, generator=generator"),
)

answers.edit(
    "5.1",
    "noise without a device",
    "The steps follow the images to another device, but torch.randn makes its numbers on the CPU "
    "unless a device is named. Take the one of x0 for both.",
    ("return t, eps", "return t, torch.randn(x0.shape, generator=generator, dtype=x0.dtype)"),
)


answers.edit(
    "5.1",
    "each step equally often in the batch",
    "Shuffled rounds of all T steps come out even, because no step returns before the others "
    "have been. Then the images' steps depend on each other. Draw each on its own.",
    (
        "torch.randint(0, num_steps, (batch_size,), generator=generator, device=x0.device)",
        "torch.cat(\n"
        "        [\n"
        "            torch.randperm(num_steps, generator=generator, device=x0.device)\n"
        "            for _ in range(batch_size // num_steps + 1)\n"
        "        ]\n"
        "    )[:batch_size]",
    ),
)

answers.edit(
    "5.1",
    "the steps in order",
    "Sorted steps make the first images of every batch almost clean and the last ones almost "
    "lost in noise. An image's place says nothing about its step.",
    (
        "(batch_size,), generator=generator, device=x0.device)",
        "(batch_size,), generator=generator, device=x0.device).sort().values",
    ),
)

answers.edit(
    "5.1",
    "the steps in mirrored pairs",
    "With t for one half of the batch and T-1-t for the other, half of the steps follow from the "
    "others. Draw a step for each image.",
    (
        "(batch_size,), generator=generator, device=x0.device)\n",
        "((batch_size + 1) // 2,), generator=generator, device=x0.device)\n"
        "    t = torch.cat([t, num_steps - 1 - t])[:batch_size]\n",
    ),
)

answers.edit(
    "5.1",
    "noise shifted and scaled to mean 0 and variance 1",
    "Mean 0 and variance 1 are those of the bell curve that is drawn from. The draws themselves "
    "may be off a little; evened out, each pixel depends on all the others.",
    (
        "    return t, eps",
        "    if eps.numel() > 1:\n        eps = (eps - eps.mean()) / eps.std()\n    return t, eps",
    ),
)

answers.edit(
    "5.1",
    "each image's noise shifted and scaled",
    "Mean 0 and variance 1 are those of the bell curve that is drawn from, not of every image. "
    "Hand the draws out as they come. (std() divides by n - 1: four pixels so scaled have the "
    "variance 3/4.)",
    (
        "    return t, eps",
        "    if eps[0].numel() > 1:\n"
        "        axes = (1, 2, 3)\n"
        "        eps = (eps - eps.mean(axes, True)) / eps.std(axes, keepdim=True)\n"
        "    return t, eps",
    ),
)

answers.edit(
    "5.1",
    "torch seeded anew in every call",
    "torch.manual_seed changes the random numbers of the whole program. Hand the generator to "
    "the functions that draw, and leave torch's own alone.",
    (
        "    t = torch.randint(",
        "    torch.manual_seed(generator.initial_seed())\n    t = torch.randint(",
    ),
)

answers.again(
    "5.1",
    "torch seeded anew in every call",
    (
        "    t = torch.randint(",
        "    torch.manual_seed(generator.initial_seed())\n    t = torch.randint(",
    ),
    ("(batch_size,), generator=generator, device", "(batch_size,), device"),
    ("x0.shape, generator=generator, device", "x0.shape, device"),
)


# 5.1, the loss


answers.edit(
    "5.1",
    "the noisy images mixed by hand",
    "You have written this mixture once, in chapter 02, and it is handed in as q_sample. Call it: "
    "then there is one place where it can be right or wrong.",
    (
        "q_sample(x0, t, eps, alpha_bars)",
        "alpha_bar_at(alpha_bars, t).sqrt() * x0 + (1 - alpha_bar_at(alpha_bars, t)).sqrt() * eps",
    ),
)

answers.edit(
    "5.1",
    "image and noise exchanged for q_sample",
    "q_sample takes the clean image first, then the step, then the noise. The wrong way round, the "
    "image goes where the noise should.",
    ("q_sample(x0, t, eps, alpha_bars)", "q_sample(eps, t, x0, alpha_bars)"),
)

answers.edit(
    "5.1",
    "the gathered alpha_bars handed to q_sample",
    "q_sample looks up alpha_bars[t] by itself, so it needs the whole table of T values.",
    ("q_sample(x0, t, eps, alpha_bars)", "q_sample(x0, t, eps, alpha_bars[t])"),
)

answers.edit(
    "5.1",
    "clean images for the network",
    "The network is to find the noise, and in clean images there is none to be found. Mix in the "
    "noise first and show it x_t.",
    ("model(x_t,", "model(x0,"),
)

answers.edit(
    "5.1",
    "a sum instead of a mean",
    "A sum grows with the batch and the image, and the learning rate would have to shrink with "
    "them. Take the mean over images and pixels.",
    (".mean()", ".sum()"),
)

answers.edit(
    "5.1",
    "a loss for each image",
    "backward() starts from a single number. Take the mean over the batch as well.",
    (".mean()", ".mean(dim=(1, 2, 3))"),
)

answers.edit(
    "5.1",
    "absolute differences",
    "The loss takes the squares of the differences, in which a large miss weighs more than many "
    "small ones. Here their absolute values were taken.",
    ("(error**2)", "error.abs()"),
)

answers.edit(
    "5.1",
    "the answer compared with the image",
    "The network is asked for the noise, unless the caller hands in another target. The image "
    "follows from the noise later, when sampling.",
    (
        "target(x0, eps, t, alpha_bars)",
        "(x0 if target is eps_target else target(x0, eps, t, alpha_bars))",
    ),
)

answers.edit(
    "5.1",
    "the target ignored",
    "What the network is asked for is an argument: call target and compare with what it returns. "
    "Comparing with eps is only its default.",
    ("target(x0, eps, t, alpha_bars)", "eps"),
)

answers.edit(
    "5.1",
    "a target of the noisy images",
    "target makes what it wants from the clean images: it takes x0. The noisy x_t is for the "
    "network.",
    ("target(x0,", "target(x_t,"),
)

answers.edit(
    "5.1",
    "the gathered alpha_bars handed to the target",
    "target looks up alpha_bars[t] by itself, so it needs the whole table of T values.",
    ("target(x0, eps, t, alpha_bars)", "target(x0, eps, t, alpha_bar_at(alpha_bars, t))"),
)

answers.edit(
    "5.1",
    "time scaled for the network",
    "The network's embedding expects the step itself, 0 ... T-1. Scaled to 0 ... 1 all steps "
    "look nearly alike to it.",
    ("model(x_t, t,", "model(x_t, t / len(alpha_bars),"),
)

answers.edit(
    "5.1",
    "the network's answer detached",
    "A detached tensor has forgotten how it was computed, so backward() finds no way to the "
    "weights. Leave .detach(), .item() and torch.no_grad() out of the loss.",
    ("model(x_t, t, labels)", "model(x_t, t, labels).detach()"),
)

answers.edit(
    "5.1",
    "the noise simply added",
    "x_0 + eps has the same amount of noise at every t. How much of the image is left, and how "
    "much noise comes in, is what q_sample knows.",
    ("q_sample(x0, t, eps, alpha_bars)", "x0 + eps"),
)

answers.edit(
    "5.1",
    "other noise drawn inside the loss",
    "The noise is handed in as eps. With noise drawn anew, the network is asked about noise that "
    "is not in its input.",
    ("q_sample(x0, t, eps, alpha_bars)", "q_sample(x0, t, torch.randn_like(x0), alpha_bars)"),
)

answers.edit(
    "5.1",
    "the noise one step early",
    "alpha_bars[0] belongs to t = 0, which is one step of noise already. There is nothing to "
    "shift, and at t = 0 the index -1 would be that of the last step.",
    ("q_sample(x0, t, eps, alpha_bars)", "q_sample(x0, t - 1, eps, alpha_bars)"),
)

answers.edit(
    "5.1",
    "the labels left out",
    "The network is asked about x_t, t and labels. Without the labels it could not learn to draw "
    "the digit that it is asked for.",
    ("model(x_t, t, labels)", "model(x_t, t)"),
)

answers.edit(
    "5.1",
    "a sum over the pixels of each image",
    "Summed over its pixels, an image counts for more the larger it is, and a learning rate for "
    "small images is too large for bigger ones. Take the mean over the pixels, too.",
    (".mean()", ".sum(dim=(1, 2, 3)).mean()"),
)

answers.edit(
    "5.1",
    "squares without their mean",
    "A loss is one number, from which the gradients come: take the mean of all squares.",
    ("(error**2).mean()", "error**2"),
)

answers.edit(
    "5.1",
    "noisy images in float64",
    "q_sample answers in the dtype that it was handed, and a network whose weights are float32 "
    "takes no float64 images. Hand over x0 as it is, or bring x_t back with .float().",
    ("q_sample(x0, t, eps, alpha_bars)", "q_sample(x0.double(), t, eps.double(), alpha_bars)"),
)

answers.edit(
    "5.1",
    "doubled instead of squared",
    "** is the power, * the product. Differences that are only doubled cancel each other out.",
    ("(error**2).mean()", "(error * 2).mean()"),
)

answers.edit(
    "5.1",
    "the root of the mean",
    "The root makes the error easier to read, but its gradients are others. The loss is the mean "
    "of the squares, as it is.",
    (".mean()", ".mean().sqrt()"),
)

answers.edit(
    "5.1",
    "the signed differences averaged, without any square",
    "Without squares, an error upwards and one downwards cancel, and a poor answer may have a "
    "loss of 0, or less. Square the differences before you take the mean.",
    ("(error**2)", "error"),
)

answers.edit(
    "5.1",
    "the mean taken before the squares",
    "In the mean of the differences, one upwards and one downwards cancel, and squaring what is "
    "left brings nothing back. Square every pixel's difference first.",
    ("(error**2).mean()", "error.mean() ** 2"),
)

answers.again(
    "5.1",
    "the mean taken before the squares",
    ("(error**2).mean()", "(error.mean(dim=(1, 2, 3)) ** 2).mean()"),
)


answers.edit(
    "5.1",
    "eval mode inside the loss",
    "The loss is asked for in training, where dropout has to drop, and in between on held-out "
    "images, where it must not. Whoever asks chooses the mode: leave it as it is.",
    ("predicted = model(", "predicted = model.eval()("),
)

answers.edit(
    "5.1",
    "training mode inside the loss",
    "The loss is also asked for on held-out images, with the network in eval mode. Whoever asks "
    "chooses the mode: leave it as it is.",
    ("predicted = model(", "predicted = model.train()("),
)

answers.edit(
    "5.1",
    "gradients cleared inside the loss",
    "Whoever asks for the loss may be adding up the gradients of several batches. Clearing them "
    "is the training step's business.",
    ("    predicted = model(", "    model.zero_grad()\n    predicted = model("),
)

answers.edit(
    "5.1",
    "model.forward called by hand",
    "model(...) is more than model.forward(...): it also runs what others have hooked in, such as "
    "the exchange of gradients between several machines. Call the model itself.",
    ("predicted = model(", "predicted = model.forward("),
)

answers.edit(
    "5.1",
    "large differences count less",
    "A loss that grows in a straight line from some error on, like Huber's, forgives outliers. "
    "Here twice as far off costs four times as much, however far it is.",
    (
        "return (error**2).mean()",
        "return 2 * nn.functional.huber_loss(error, 0 * error, delta=9.0)",
    ),
)

answers.again(
    "5.1",
    "large differences count less",
    ("return (error**2).mean()", "return nn.functional.smooth_l1_loss(error, 0 * error)"),
)


# 5.2, from image and noise to v


answers.edit(
    "5.2",
    "plus instead of minus in v",
    "Image and noise enter v with opposite signs. With a plus the result is no longer a quarter "
    "turn beyond x_t: at alpha_bar = 1/2 it is x_t itself, from which nothing more can be read.",
    ("* eps -", "* eps +"),
)

answers.edit(
    "5.2",
    "v with its sign flipped",
    "Where there is little noise v is the noise itself, not its negative. Which way round does the "
    "quarter turn go: from x_0 to eps, or back?",
    ("return alpha_bar.sqrt() * eps -", "return -alpha_bar.sqrt() * eps +"),
)

answers.edit(
    "5.2",
    "x_t in place of v",
    "sqrt(alpha_bar) x_0 + sqrt(1 - alpha_bar) eps is x_t, which the network is shown anyway. "
    "In v the two change places, and the image gets a minus.",
    ("alpha_bar.sqrt() * eps -", "alpha_bar.sqrt() * x0 +"),
    ("(1 - alpha_bar).sqrt() * x0", "(1 - alpha_bar).sqrt() * eps"),
)

answers.edit(
    "5.2",
    "the weights of v the wrong way round",
    "v shows what x_t hides: where alpha_bar is large, x_t shows the image, so v is mostly noise.",
    ("alpha_bar.sqrt() * eps", "(1 - alpha_bar).sqrt() * eps"),
    ("(1 - alpha_bar).sqrt() * x0", "alpha_bar.sqrt() * x0"),
)

answers.edit(
    "5.2",
    "v without the roots",
    "alpha_bar and 1 - alpha_bar are variances. What multiplies an image is an amplitude, the "
    "square root.",
    ("alpha_bar.sqrt() * eps", "alpha_bar * eps"),
    ("(1 - alpha_bar).sqrt() * x0", "(1 - alpha_bar) * x0"),
)

answers.edit(
    "5.2",
    "one minus the root in v",
    "The two squared amplitudes add up to 1, not the amplitudes themselves: the image's is the "
    "root of 1 - alpha_bar.",
    ("(1 - alpha_bar).sqrt() * x0", "(1 - alpha_bar.sqrt()) * x0"),
)

answers.edit(
    "5.2",
    "coefficients of v along the width",
    "alpha_bars[t] has shape (B,), and broadcasting lines it up with the last axis, the width. "
    "With as many images as columns nobody complains. Give it the shape (B, 1, 1, 1).",
    (
        "    return alpha_bar.sqrt()",
        "    if len(t) == x0.shape[-1]:\n"
        "        alpha_bar = alpha_bars[t]\n"
        "    return alpha_bar.sqrt()",
    ),
)

answers.again(
    "5.2",
    "coefficients of v along the width",
    ("    return alpha_bar.sqrt()", "    alpha_bar = alpha_bars[t]\n    return alpha_bar.sqrt()"),
)

answers.edit(
    "5.2",
    "the first image's step for all",
    "Each image of a batch has its own t, so there are B coefficients and not one.",
    ("    return alpha_bar.sqrt()", "    alpha_bar = alpha_bar[:1]\n    return alpha_bar.sqrt()"),
)


@answers.wrong(
    "5.2",
    "v one step early",
    "alpha_bars[0] belongs to t = 0, which is one step of noise. There is nothing to shift.",
)
def v_target(x0, eps, t, alpha_bars):
    return ref.v_target(x0, eps, (t - 1).clamp(min=0), alpha_bars)


answers.edit(
    "5.2",
    "the noise in place of v",
    "eps is what an eps-network is asked for. v has a part of the image in it as well, more of "
    "it the more noise there is.",
    ("alpha_bar.sqrt() * eps - (1 - alpha_bar).sqrt() * x0", "eps.clone()"),
)

answers.edit(
    "5.2",
    "the velocity of a straight path",
    "eps - x_0 leads along a straight line from the image to the noise, with the same weights "
    "everywhere. On the quarter circle the weights change with alpha_bar.",
    ("alpha_bar.sqrt() * eps - (1 - alpha_bar).sqrt() * x0", "eps - x0"),
)

answers.edit(
    "5.2",
    "an angle that grows evenly with t",
    "How far around the quarter circle x_t is depends on how much noise is in it. t does not say "
    "that by itself: the schedule does, with alpha_bar.",
    (
        "    return alpha_bar.sqrt() * eps - (1 - alpha_bar).sqrt() * x0",
        "    angle = (math.pi / 2 * t / len(alpha_bars)).view(-1, 1, 1, 1)\n"
        "    return angle.cos() * eps - angle.sin() * x0",
    ),
)

answers.again(
    "5.2",
    "an angle that grows evenly with t",
    (
        "    return alpha_bar.sqrt() * eps - (1 - alpha_bar).sqrt() * x0",
        "    angle = (math.pi / 2 * (t + 1) / len(alpha_bars)).view(-1, 1, 1, 1)\n"
        "    return angle.cos() * eps - angle.sin() * x0",
    ),
)

answers.edit(
    "5.2",
    "the caller's noise overwritten",
    "mul_ and sub_ change the tensor that was handed in, and the caller's noise is gone. Without "
    "the underscore a new tensor is made.",
    (
        "return alpha_bar.sqrt() * eps - (1 - alpha_bar).sqrt() * x0",
        "return eps.mul_(alpha_bar.sqrt()).sub_((1 - alpha_bar).sqrt() * x0)",
    ),
)


@answers.wrong(
    "5.2",
    "v in float64",
    "Computing in float64 is fine, but v goes to a network of float32 numbers. Hand it out in the "
    "dtype of the images.",
)
def v_target(x0, eps, t, alpha_bars):
    return ref.v_target(x0, eps, t, alpha_bars.double())


answers.edit(
    "5.2",
    "v by way of x_t, with a division",
    "With x_t in between, v is divided by sqrt(1 - alpha_bar), which is 0 where there is no noise. "
    "The weighted sum of noise and image needs no division.",
    (
        "return alpha_bar.sqrt() * eps - (1 - alpha_bar).sqrt() * x0",
        "x_t = alpha_bar.sqrt() * x0 + (1 - alpha_bar).sqrt() * eps\n"
        "    return (alpha_bar.sqrt() * x_t - x0) / (1 - alpha_bar).sqrt()",
    ),
)


answers.edit(
    "5.2",
    "alpha_bar kept away from 0 in v",
    "Nothing is divided by alpha_bar here, so it may be as small as it likes. A lower limit leaves "
    "a rest of the other ingredient where there is nothing but noise.",
    (
        "return alpha_bar.sqrt() * eps - (1 - alpha_bar).sqrt() * x0",
        "alpha_bar = alpha_bar.clamp(min=1e-5)\n"
        "    return alpha_bar.sqrt() * eps - (1 - alpha_bar).sqrt() * x0",
    ),
)


# 5.2, from v to the noise


answers.edit(
    "5.2",
    "minus instead of plus in eps",
    "The minus in v cancels when x_t and v are combined: both contain the noise with a plus, so "
    "they are added.",
    ("* x_t +", "* x_t -"),
)

answers.again(
    "5.2",
    "minus instead of plus in eps",
    ("return (1 - alpha_bar).sqrt() * x_t", "return -(1 - alpha_bar).sqrt() * x_t"),
)

answers.edit(
    "5.2",
    "the weights of eps the wrong way round",
    "In x_t the noise has the weight sqrt(1 - alpha_bar), and with just that weight x_t enters "
    "here. Where alpha_bar is near 1, v is the noise already.",
    ("(1 - alpha_bar).sqrt() * x_t", "alpha_bar.sqrt() * x_t"),
    ("alpha_bar.sqrt() * v", "(1 - alpha_bar).sqrt() * v"),
)

answers.edit(
    "5.2",
    "x_0 in place of eps",
    "sqrt(alpha_bar) x_t - sqrt(1 - alpha_bar) v is the clean image. Asked for is the noise, in "
    "which the weights change places.",
    ("(1 - alpha_bar).sqrt() * x_t +", "alpha_bar.sqrt() * x_t -"),
    ("alpha_bar.sqrt() * v", "(1 - alpha_bar).sqrt() * v"),
)

answers.edit(
    "5.2",
    "eps without the roots",
    "alpha_bar and 1 - alpha_bar are variances. What multiplies an image is an amplitude, the "
    "square root.",
    ("(1 - alpha_bar).sqrt() * x_t", "(1 - alpha_bar) * x_t"),
    ("alpha_bar.sqrt() * v", "alpha_bar * v"),
)

answers.edit(
    "5.2",
    "v handed on as if it were eps",
    "A v-network does not predict the noise: v is close to it only where there is hardly any. "
    "Elsewhere the noise has to be computed from x_t and v.",
    ("(1 - alpha_bar).sqrt() * x_t + alpha_bar.sqrt() * v", "v.clone()"),
)

answers.edit(
    "5.2",
    "v alone divided by the weight of its noise",
    "v is a mixture, and divided by one weight it is still a mixture. The image's share has to be "
    "taken out, and x_t helps with that.",
    ("(1 - alpha_bar).sqrt() * x_t + alpha_bar.sqrt() * v", "v / alpha_bar.sqrt().clamp(min=1e-6)"),
)

answers.again(
    "5.2",
    "v alone divided by the weight of its noise",
    ("(1 - alpha_bar).sqrt() * x_t + alpha_bar.sqrt() * v", "v / alpha_bar.sqrt()"),
)

answers.edit(
    "5.2",
    "x_t taken for x_0",
    "Solving v = sqrt(alpha_bar) eps - sqrt(1 - alpha_bar) x_0 for eps needs x_0, which nobody "
    "has here. Replace it by what x_t and v say about it.",
    (
        "(1 - alpha_bar).sqrt() * x_t + alpha_bar.sqrt() * v",
        "(v + (1 - alpha_bar).sqrt() * x_t) / alpha_bar.sqrt()",
    ),
)

answers.edit(
    "5.2",
    "coefficients of eps along the width",
    "alpha_bars[t] has shape (B,), and broadcasting lines it up with the last axis, the width. "
    "With as many images as columns nobody complains. Give it the shape (B, 1, 1, 1).",
    (
        "    return (1",
        "    if len(t) == x_t.shape[-1]:\n        alpha_bar = alpha_bars[t]\n    return (1",
    ),
)

answers.again(
    "5.2",
    "coefficients of eps along the width",
    ("    return (1", "    alpha_bar = alpha_bars[t]\n    return (1"),
)

answers.edit(
    "5.2",
    "v taken for x_0",
    "(x_t - sqrt(alpha_bar) x_0) / sqrt(1 - alpha_bar) is the noise if the clean image is known. "
    "v is not the clean image.",
    (
        "(1 - alpha_bar).sqrt() * x_t + alpha_bar.sqrt() * v",
        "(x_t - alpha_bar.sqrt() * v) / (1 - alpha_bar).sqrt()",
    ),
)

answers.edit(
    "5.2",
    "one minus the root in eps",
    "The two squared amplitudes add up to 1, not the amplitudes themselves: x_t enters with the "
    "root of 1 - alpha_bar.",
    ("(1 - alpha_bar).sqrt() * x_t", "(1 - alpha_bar.sqrt()) * x_t"),
)


@answers.wrong(
    "5.2",
    "eps in float64",
    "Computing in float64 is fine, but a sampler goes on with float32 images. Hand eps out in the "
    "dtype of x_t.",
)
def eps_from_v(x_t, v, t, alpha_bars):
    return ref.eps_from_v(x_t, v, t, alpha_bars.double())


answers.edit(
    "5.2",
    "eps by way of x_0, with a division",
    "With x_0 in between, eps is divided by sqrt(1 - alpha_bar), which is 0 where there is no "
    "noise, and next to 0 not far from there. The weighted sum of x_t and v needs no division.",
    (
        "return (1 - alpha_bar).sqrt() * x_t + alpha_bar.sqrt() * v",
        "x0 = alpha_bar.sqrt() * x_t - (1 - alpha_bar).sqrt() * v\n"
        "    return (x_t - alpha_bar.sqrt() * x0) / (1 - alpha_bar).sqrt()",
    ),
)


answers.edit(
    "5.2",
    "eps by way of x_0, divided by sqrt(alpha_bar)",
    "In pure noise alpha_bar is 0, and on the cosine schedule it comes very near. The weighted sum "
    "of x_t and v needs no division.",
    (
        "return (1 - alpha_bar).sqrt() * x_t + alpha_bar.sqrt() * v",
        "x0 = alpha_bar.sqrt() * x_t - (1 - alpha_bar).sqrt() * v\n"
        "    return (v + (1 - alpha_bar).sqrt() * x0) / alpha_bar.sqrt()",
    ),
)


answers.edit(
    "5.2",
    "alpha_bar kept away from 0 in eps",
    "Nothing is divided by alpha_bar here, so it may be as small as it likes. A lower limit leaves "
    "a rest of the other ingredient where there is nothing but noise.",
    (
        "return (1 - alpha_bar).sqrt() * x_t + alpha_bar.sqrt() * v",
        "alpha_bar = alpha_bar.clamp(min=1e-5)\n"
        "    return (1 - alpha_bar).sqrt() * x_t + alpha_bar.sqrt() * v",
    ),
)


# 5.3


answers.edit(
    "5.3",
    "a second name instead of a second network",
    "`self.model = model` copies nothing: both names mean one network. Nothing is averaged, and "
    "every update shrinks the weights that are being trained. Copy it deeply.",
    ("copy.deepcopy(model)", "model"),
)

answers.edit(
    "5.3",
    "a shallow copy",
    "copy.copy makes a new module around the same tensors: when the optimiser changes them, the "
    "average changes as well. copy.deepcopy copies the tensors, too.",
    ("copy.deepcopy", "copy.copy"),
)


@answers.wrong(
    "5.3",
    "an average that begins at zero",
    "The average begins as a copy of the network. From zeros, the first averages would be far "
    "too small.",
)
class EMA(ref.EMA):
    def __init__(self, model, decay=0.9999):
        super().__init__(model, decay)
        for shadow in self.model.parameters():
            shadow.zero_()


answers.edit(
    "5.3",
    "old and new swapped",
    "d is the share of the old average, and it grows towards 1. The network's weights come in "
    "with what is left, 1 - d.",
    ("min(self.decay, (1 + n) / (10 + n))", "1 - min(self.decay, (1 + n) / (10 + n))"),
)

answers.edit(
    "5.3",
    "no warm-up",
    "With d = decay from the start, the average hangs on to the weights that it began with: at "
    "0.9999 for some ten thousand updates. d_n begins small.",
    ("min(self.decay, (1 + n) / (10 + n))", "self.decay"),
)

answers.edit(
    "5.3",
    "counting before computing d",
    "n is the number of updates made before this one: 0 at the first. Count this update after "
    "d has been computed.",
    ("n = self.num_updates", "n = self.num_updates + 1"),
)

answers.edit(
    "5.3",
    "max in place of min",
    "The larger of the two is decay from the first update on. The warm-up is to hold d down: "
    "take the smaller.",
    ("min(", "max("),
)

answers.edit(
    "5.3",
    "always the newest weights",
    "A copy of the newest weights averages nothing. The old average has its share, d.",
    ("min(self.decay, (1 + n) / (10 + n))", "0.0"),
)

answers.edit(
    "5.3",
    "n / (10 + n) as the warm-up",
    "At the first update n is 0, and (1 + n) / (10 + n) is a tenth. Without the 1 above the line "
    "nothing is kept of the old average.",
    ("(1 + n) /", "n /"),
)

answers.edit(
    "5.3",
    "the warm-up one update late",
    "n counts the updates made before this one, so it is 0 at the first, which keeps a tenth of "
    "the old average. n / (9 + n) is 0 there: nothing is taken off n.",
    ("(1 + n) / (10 + n)", "n / (9 + n)"),
)

answers.edit(
    "5.3",
    "a plain mean of all weights",
    "A mean of all weights so far never forgets how training began, when they were poor. Here d "
    "says how much is kept: (1 + n) / (10 + n), but no more than decay.",
    ("min(self.decay, (1 + n) / (10 + n))", "(1 + n) / (2 + n)"),
)

answers.edit(
    "5.3",
    "no upper limit",
    "(1 + n) / (10 + n) goes on growing to 1. decay limits it, so that the average keeps moving.",
    ("min(self.decay, (1 + n) / (10 + n))", "(1 + n) / (10 + n)"),
)

answers.edit(
    "5.3",
    "updates are not counted",
    "Every update adds 1 to num_updates. Otherwise n stays 0, and d stays at a tenth.",
    ("self.num_updates += 1", "self.num_updates = 0"),
)

answers.again("5.3", "updates are not counted", ("        self.num_updates += 1\n", ""))

answers.edit(
    "5.3",
    "the average left in training mode",
    "A deep copy takes the training mode along. Samples are drawn with ema.model, so it belongs "
    "in eval mode.",
    (".eval()", ""),
)

answers.again("5.3", "the average left in training mode", (".eval()", ".train()"))

answers.edit(
    "5.3",
    "the network left in eval mode",
    "Copy first, then switch the copy: model.eval() changes the network that is being trained.",
    ("copy.deepcopy(model).eval()", "copy.deepcopy(model.eval())"),
)

answers.edit(
    "5.3",
    "the network put into eval mode by update",
    "update only reads the network. In eval mode it would go on training without dropout, and its "
    "running statistics would no longer change.",
    ("        n = self.num_updates\n", "        model.eval()\n        n = self.num_updates\n"),
)

answers.edit(
    "5.3",
    "an average that wants gradients",
    "The average is never trained. While its parameters have requires_grad on, torch keeps a "
    "record of everything that is computed with them: switch it off in the copy.",
    ("        self.model.requires_grad_(False)\n", ""),
)

answers.edit(
    "5.3",
    "gradients through the average",
    "Without torch.no_grad() each update hangs another piece of history on the average: memory "
    "grows, and training slows down.",
    ("    @torch.no_grad()\n", ""),
)

answers.edit(
    "5.3",
    "buffers averaged",
    "A running statistic is an average already, and a count or a table has no use for one. "
    "Buffers are copied.",
    ("copy_(buffer)", "copy_(d * shadow + (1 - d) * buffer)"),
)

answers.edit(
    "5.3",
    "buffers forgotten",
    "parameters() leaves the buffers out. Without them the average normalises with the "
    "statistics of an untrained network.",
    ("shadow.copy_(buffer)", "pass"),
)

answers.edit(
    "5.3",
    "the average written into the network",
    "The average follows and never leads: update reads the model's weights and changes only "
    "ema.model.",
    (
        "self.num_updates += 1",
        "self.num_updates += 1\n        model.load_state_dict(self.model.state_dict())",
    ),
)


@answers.wrong(
    "5.3",
    "a second copy of the averages beside ema.model",
    "If the averages are kept in a list or dictionary and are only copied into ema.model, the next "
    "update overwrites what a checkpoint has put there. Keep them in ema.model and nowhere else.",
)
class EMA(ref.EMA):
    def __init__(self, model, decay=0.9999):
        super().__init__(model, decay)
        self.hidden = ref.EMA(model, decay)

    def update(self, model):
        self.hidden.update(model)
        self.model.load_state_dict(self.hidden.model.state_dict())
        self.num_updates = self.hidden.num_updates


answers.edit(
    "5.3",
    "the new weights added to a copy",
    "add without _ makes a new tensor, which is thrown away here: the average only shrinks. add_ "
    "changes the one that is there.",
    (".add_(weight", ".add(weight"),
)

answers.edit(
    "5.3",
    "only local names changed",
    "`shadow = d * shadow + ...` in the loop gives a name to a new tensor, and ema.model keeps "
    "its old one. Write the result into the parameter in place.",
    ("shadow.mul_(d).add_(weight, alpha=1 - d)", "shadow = d * shadow + (1 - d) * weight"),
)

answers.edit(
    "5.3",
    "the average taken over state_dict()",
    "state_dict() has the buffers in it as well, and a buffer may be a count, of which there is "
    "no tenth. Average the parameters only, and copy the buffers.",
    (
        "zip(self.model.parameters(), model.parameters())",
        "zip(self.model.state_dict().values(), model.state_dict().values())",
    ),
    ("shadow.copy_(buffer)", "pass"),
)

answers.edit(
    "5.3",
    "another default for decay",
    "If the caller names no decay, it is the one in the signature. With 0.999 the average reaches "
    "back over 1,000 updates and not over 10,000.",
    ("decay: float = 0.9999", "decay: float = 0.999"),
)


answers.edit(
    "5.3",
    "only the buffers of the state dict",
    "state_dict() leaves out the buffers that were registered with persistent=False. buffers() and "
    "named_buffers() have them all.",
    (
        "        for shadow, buffer in zip(self.model.buffers(), model.buffers()):\n"
        "            shadow.copy_(buffer)\n",
        "        learned, own = dict(model.named_parameters()), self.model.state_dict()\n"
        "        for name, buffer in model.state_dict().items():\n"
        "            if name not in learned:\n"
        "                own[name].copy_(buffer)\n",
    ),
)

answers.edit(
    "5.3",
    "frozen parameters left out",
    "A parameter that needs no gradient is a weight all the same, and may be set or thawed. The "
    "average follows all of them.",
    (
        "            shadow.mul_(d).add_(weight, alpha=1 - d)\n",
        "            if weight.requires_grad:\n"
        "                shadow.mul_(d).add_(weight, alpha=1 - d)\n",
    ),
)

answers.edit(
    "5.3",
    "the averaged parameters listed once and for all",
    "A list of parameters made at the beginning belongs to the network that was there then. "
    "ema.model may be set from outside: look at it anew in every update.",
    (
        "        self.model.requires_grad_(False)\n",
        "        self.model.requires_grad_(False)\n"
        "        self.shadows = list(self.model.parameters())\n",
    ),
    ("zip(self.model.parameters(), model", "zip(self.shadows, model"),
)

answers.again(
    "5.3",
    "the averaged parameters listed once and for all",
    (
        "        self.model.requires_grad_(False)\n",
        "        self.model.requires_grad_(False)\n"
        "        self.shadows = list(self.model.parameters())\n"
        "        self.tables = list(self.model.buffers())\n",
    ),
    ("zip(self.model.parameters(), model", "zip(self.shadows, model"),
    ("zip(self.model.buffers(), model", "zip(self.tables, model"),
)

answers.edit(
    "5.3",
    "the network kept as well",
    "The EMA needs the network once, to copy it, and then in each update, which gets it anew. "
    "Kept in an attribute, it stays in memory for as long as the average does.",
    ("        self.decay = decay\n", "        self.decay = decay\n        self.source = model\n"),
)

answers.edit(
    "5.3",
    "the whole network put into training mode",
    "A part of the network may be in eval mode on purpose. deepcopy(model).eval() changes the copy "
    "alone, so there is nothing to put back.",
    ("copy.deepcopy(model).eval()", "copy.deepcopy(model.eval())\n        model.train()"),
)

answers.edit(
    "5.3",
    "every parameter of the network thawed",
    "The network may have parameters that were frozen on purpose. Switch gradients off in the copy "
    "alone, then there is nothing to put back.",
    (
        "        self.model = copy.deepcopy(model).eval()\n"
        "        self.model.requires_grad_(False)\n",
        "        self.model = copy.deepcopy(model.requires_grad_(False)).eval()\n"
        "        model.requires_grad_(True)\n",
    ),
)

answers.edit(
    "5.3",
    "a decay of 0 taken for none",
    "0 counts as false, so `decay or 0.9999` throws it away. It is a decay like any other.",
    ("        self.decay = decay\n", "        self.decay = decay or 0.9999\n"),
)


# 5.4


answers.edit(
    "5.4",
    "gradients never cleared",
    "backward() adds to what is there. Without zero_grad() each step goes along the sum of all "
    "gradients so far.",
    ("    optimizer.zero_grad()\n", ""),
)

answers.edit(
    "5.4",
    "gradients cleared only at the end",
    "Then whatever is in the gradients before the first step takes part in it. Clear them "
    "before backward().",
    ("    optimizer.zero_grad()\n", ""),
    ("    ema.update", "    optimizer.zero_grad()\n    ema.update"),
)

answers.edit(
    "5.4",
    "gradients cleared before they are used",
    "When the optimiser makes its step there are no gradients. zero_grad() belongs before "
    "backward(), and nothing else that clears them may come between backward() and step().",
    ("    optimizer.zero_grad()\n", ""),
    (
        "nn.utils.clip_grad_norm_(model.parameters(), max_grad_norm)",
        "nn.utils.clip_grad_norm_(model.parameters(), max_grad_norm)\n    optimizer.zero_grad()",
    ),
)

answers.edit(
    "5.4",
    "no clipping, or clipping too early",
    "One batch with a huge gradient can undo hours of training. Once backward() has computed "
    "the gradients, and before the optimiser uses them, scale them down to max_grad_norm.",
    ("    nn.utils.clip_grad_norm_(model.parameters(), max_grad_norm)\n", ""),
)

answers.edit(
    "5.4",
    "clipping after the step",
    "Once the optimiser has moved the weights, it is too late to scale the gradients. Clip "
    "between backward() and step().",
    ("    optimizer.step()\n", ""),
    ("    nn.utils", "    optimizer.step()\n    nn.utils"),
)

answers.edit(
    "5.4",
    "each number clipped by itself",
    "Cutting off single numbers turns the gradient's direction. Scaling the whole keeps it: "
    "clip_grad_norm_, not clip_grad_value_.",
    ("clip_grad_norm_", "clip_grad_value_"),
)

answers.edit(
    "5.4",
    "each parameter clipped by itself",
    "The norm is that of all gradients together. Clipping one parameter at a time changes their "
    "proportions, and with them the direction.",
    (
        "nn.utils.clip_grad_norm_(model.parameters(), max_grad_norm)",
        "for p in model.parameters():\n        nn.utils.clip_grad_norm_([p], max_grad_norm)",
    ),
)

answers.edit(
    "5.4",
    "every gradient scaled to the limit",
    "Only gradients that are too long are scaled. Short ones, near the end of training, are "
    "short for a reason.",
    (
        "nn.utils.clip_grad_norm_(model.parameters(), max_grad_norm)",
        "norm = torch.stack([p.grad.norm() for p in model.parameters()]).norm()\n"
        "    for p in model.parameters():\n"
        "        p.grad.mul_(max_grad_norm / norm)",
    ),
)

answers.again(
    "5.4",
    "every gradient scaled to the limit",
    (
        "nn.utils.clip_grad_norm_(model.parameters(), max_grad_norm)",
        "grads = [p.grad for p in model.parameters() if p.grad is not None]\n"
        "    norm = torch.stack([grad.norm() for grad in grads]).norm()\n"
        "    for grad in grads:\n"
        "        grad.mul_(max_grad_norm / (norm + 1e-12))",
    ),
)

answers.edit(
    "5.4",
    "steps with long gradients left out",
    "A gradient that is too long still says which way to go. Scale it down and take the step; "
    "left out, nothing is learned from this batch.",
    (
        "    nn.utils.clip_grad_norm_(model.parameters(), max_grad_norm)\n    optimizer.step()\n",
        '    norm = nn.utils.clip_grad_norm_(model.parameters(), float("inf"))\n'
        "    if norm <= max_grad_norm:\n"
        "        optimizer.step()\n",
    ),
)

answers.again(
    "5.4",
    "steps with long gradients left out",
    (
        "    nn.utils.clip_grad_norm_(model.parameters(), max_grad_norm)\n"
        "    optimizer.step()\n"
        "    ema.update(model)\n",
        '    norm = nn.utils.clip_grad_norm_(model.parameters(), float("inf"))\n'
        "    if norm <= max_grad_norm:\n"
        "        optimizer.step()\n"
        "        ema.update(model)\n",
    ),
)

answers.edit(
    "5.4",
    "the norms of the parameters' gradients added up",
    "The joint norm is that of one long vector with all gradients in it: the root of the sum of "
    "all squares. Norms that are added up come to more, and steps get too short.",
    (
        "nn.utils.clip_grad_norm_(model.parameters(), max_grad_norm)",
        "grads = [p.grad for p in model.parameters() if p.grad is not None]\n"
        "    norm = sum(grad.norm() for grad in grads)\n"
        "    for grad in grads:\n"
        "        grad.mul_((max_grad_norm / norm).clamp(max=1))",
    ),
)

answers.edit(
    "5.4",
    "clipped at 1, whatever max_grad_norm says",
    "1.0 is only the default. The caller may choose another limit.",
    ("max_grad_norm)", "1.0)"),
)

answers.edit(
    "5.4",
    "the average updated before the step",
    "Then the average always lags one step behind, and never sees the last one. First the "
    "optimiser moves the weights, then the average follows.",
    ("    ema.update(model)\n", ""),
    ("    optimizer.step()", "    ema.update(model)\n    optimizer.step()"),
)

answers.edit(
    "5.4",
    "the average forgotten",
    "Sampling will use the average of the weights. It has to be updated after every step.",
    ("    ema.update(model)\n", ""),
)

answers.edit(
    "5.4",
    "the loss as a tensor",
    "A tensor keeps the whole computation behind it alive, and a list of losses fills the "
    "memory. .item() makes a number of it.",
    ("loss.item()", "loss"),
)

answers.edit(
    "5.4",
    "the loss computed twice",
    "The loss after the step is that of other weights and, with other noise, of other inputs; "
    "and it costs as much again. Return the one that gave the gradients.",
    ("loss.item()", "compute_loss(model).item()"),
)

answers.edit(
    "5.4",
    "model.train() forgotten",
    "A draw of samples or a measured loss before may have left the model in eval mode. A "
    "training step begins by putting it back into training mode.",
    ("    model.train()\n", ""),
)

answers.edit(
    "5.4",
    "the weights moved before backward(), or never",
    "backward() only computes the gradients. It is the optimiser's step that moves the weights, "
    "and before backward() it has nothing to move them along.",
    ("    optimizer.step()\n", ""),
)

answers.edit(
    "5.4",
    "the average shown to itself",
    "update wants the network that the average is to follow. ema.model is the average itself, "
    "and would stay where it is.",
    ("ema.update(model)", "ema.update(ema.model)"),
)

answers.edit(
    "5.4",
    "nothing returned",
    "The caller keeps the losses to see how training goes. Is there a return?",
    ("    return loss.item()\n", ""),
)


answers.edit(
    "5.4",
    "plain gradient descent by hand",
    "How a step is made is the optimiser's choice: it has learning rates, moments and weight decay "
    "of its own. Let it step.",
    (
        "    optimizer.step()\n",
        "    with torch.no_grad():\n"
        "        for p in model.parameters():\n"
        '            p -= optimizer.param_groups[0]["lr"] * p.grad\n',
    ),
)

answers.edit(
    "5.4",
    "a new optimiser for every step",
    "An optimiser remembers the gradients of earlier steps. Made anew, it has forgotten them all. "
    "Use the one that is handed in.",
    (
        "    optimizer.step()\n",
        "    type(optimizer)(model.parameters(), **optimizer.defaults).step()\n",
    ),
)

answers.edit(
    "5.4",
    "the loss rounded",
    "Rounding is for the eye. Hand out the loss as it is, and round where it is printed.",
    ("return loss.item()", "return round(loss.item(), 3)"),
)


# 5.5


answers.edit(
    "5.5",
    "the optimiser forgotten",
    "AdamW divides by what it remembers of past gradients. Without its moments, the first steps "
    "after loading are much too large.",
    ('    optimizer.load_state_dict(state["optimizer"])\n', ""),
)

answers.edit(
    "5.5",
    "the average forgotten",
    "The average is not to be had from the weights: it holds what they were over thousands of "
    "steps. It needs an entry of its own.",
    ('"ema": ema.model', '"ema": model'),
)

answers.edit(
    "5.5",
    "only the average saved",
    "The average is for sampling. Training goes on from the weights themselves, which differ "
    "from it and need an entry of their own.",
    ('"model": model', '"model": ema.model'),
)

answers.edit(
    "5.5",
    "weights rounded to half precision",
    "A rounded weight is another weight, and the run that goes on from it takes other steps. Save "
    "the numbers as they are.",
    (
        '"model": model.state_dict()',
        '"model": {\n'
        "            name: part.half() if part.is_floating_point() else part\n"
        "            for name, part in model.state_dict().items()\n"
        "        }",
    ),
)

answers.again(
    "5.5",
    "weights rounded to half precision",
    *(
        (
            f'"{key}": {network}.state_dict()',
            f'"{key}": {{\n'
            "            name: part.half() if part.is_floating_point() else part\n"
            f"            for name, part in {network}.state_dict().items()\n"
            "        }",
        )
        for key, network in (("model", "model"), ("ema", "ema.model"))
    ),
)

answers.edit(
    "5.5",
    "model and average swapped",
    "Both have the same names and shapes, so nobody complains when each is loaded into the "
    "other. Compare the keys under which you save with those that you load.",
    ('state["model"]', 'state["ema"]'),
    ('ema.model.load_state_dict(state["ema"])', 'ema.model.load_state_dict(state["model"])'),
)

answers.edit(
    "5.5",
    "the average tied to the model",
    "`ema.model = model` makes both the same network, and from then on nothing is averaged. "
    "Load the average's own weights into ema.model.",
    ('ema.model.load_state_dict(state["ema"])', "ema.model = model"),
)


answers.edit(
    "5.5",
    "a copy of the model for the average",
    "A copy of the model holds today's weights, and the average holds what they were over "
    "thousands of steps. Load the average's own weights into ema.model, which the caller has made.",
    ('ema.model.load_state_dict(state["ema"])', "ema.model = copy.deepcopy(model)"),
)


@answers.wrong(
    "5.5",
    "buffers left out",
    "parameters() does not list buffers, such as running statistics, but the network computes "
    "with them. state_dict() has both.",
)
def load_checkpoint(path, model, ema, optimizer, generator):
    kept = [[buffer.clone() for buffer in m.buffers()] for m in (model, ema.model)]
    step = ref.load_checkpoint(path, model, ema, optimizer, generator)
    for m, values in zip((model, ema.model), kept):
        for buffer, value in zip(m.buffers(), values):
            buffer.copy_(value)
    return step


answers.again(
    "5.5",
    "buffers left out",
    ('"model": model.state_dict()', '"model": dict(model.named_parameters())'),
    ('state["model"])', 'state["model"], strict=False)'),
)


answers.edit(
    "5.5",
    "the count of updates forgotten",
    "With num_updates back at 0 the warm-up begins again, and the average forgets all that it "
    "has gathered.",
    ('    ema.num_updates = state["ema_num_updates"]\n', ""),
)

answers.edit(
    "5.5",
    "the number of steps for the count of updates",
    "The average may have been begun later than training, or been set to another count from "
    "outside. Its number of updates is not the number of steps: save both.",
    ('state["ema_num_updates"]', 'state["step"]'),
)

answers.edit(
    "5.5",
    "the generator forgotten",
    "The state of the generator decides on all noise to come. Without it the run goes on with "
    "other draws.",
    ('    generator.set_state(state["generator"])\n', ""),
)


@answers.wrong(
    "5.5",
    "the seed instead of the state",
    "The seed leads back to the generator's beginning, so the run would repeat its first draws. "
    "get_state() says how far it has come.",
)
def save_checkpoint(path, model, ema, optimizer, generator, step):
    start = torch.Generator().manual_seed(generator.initial_seed())
    ref.save_checkpoint(path, model, ema, optimizer, start, step)


answers.edit(
    "5.5",
    "the global generator instead of the one handed in",
    "torch.get_rng_state() belongs to torch's own generator. This run draws from another one, "
    "which has a get_state() of its own.",
    ("generator.get_state()", "torch.get_rng_state()"),
)

answers.edit(
    "5.5",
    "new tensors in place of the old",
    "With assign=True the model gets new tensors, and the optimiser goes on moving the old ones, "
    "which nobody uses any more. load_state_dict without it writes into the tensors.",
    ('state["model"])', 'state["model"], assign=True)'),
)


@answers.wrong(
    "5.5",
    "only local names changed",
    "`model = ...` inside a function gives a name to another object; the caller's model stays as "
    "it was. Change the objects that were handed in.",
)
def load_checkpoint(path, model, ema, optimizer, generator):
    return torch.load(path, weights_only=True)["step"]


answers.edit(
    "5.5",
    "the next step instead of the steps done",
    "What is saved comes back unchanged. The loop counts from 0, so the number of steps done is "
    "also the next one's number.",
    ('return state["step"]', 'return state["step"] + 1'),
)

answers.edit(
    "5.5",
    "nothing returned",
    "The caller needs the number of steps done to know where to go on. Is there a return?",
    ('    return state["step"]\n', ""),
)

answers.edit(
    "5.5",
    "another name for the file",
    "The caller decides on the name, and looks for the file under it. Add nothing to it.",
    ("torch.save(state, path)", 'torch.save(state, f"{path}.pt")'),
)

answers.edit(
    "5.5",
    "several files",
    "A checkpoint in pieces can be torn apart: when the power fails between two of them, or "
    "when one is moved. Put all of it into one dictionary and write that.",
    ("    torch.save(", '    torch.save(ema.model.state_dict(), f"{path}.ema")\n    torch.save('),
)

answers.edit(
    "5.5",
    "eval mode for saving",
    "Saving only reads. A model left in eval mode goes on training without dropout, and its "
    "running statistics no longer change.",
    ("    state = {", "    model.eval()\n    state = {"),
)

answers.edit(
    "5.5",
    "training mode for saving",
    "Saving only reads. A model that was in eval mode when it was saved is to be in it afterwards.",
    ("    torch.save(state, path)", "    model.train()\n    torch.save(state, path)"),
)

answers.edit(
    "5.5",
    "a new seed at every checkpoint",
    "Reseeding makes the generator's state easy to save, but then the run depends on when it was "
    "saved. Saving only reads.",
    ("generator.get_state()", "generator.manual_seed(step).get_state()"),
)

answers.edit(
    "5.5",
    "a seed drawn for the checkpoint",
    "Drawing a seed moves the generator of the run that is being saved, and the run that goes on "
    "from that seed makes other draws. get_state() only reads, and says all there is to know.",
    (
        "generator.get_state()",
        "int(torch.randint(2**31, (1,), generator=generator, device=generator.device))",
    ),
    ("generator.set_state(", "generator.manual_seed("),
)

answers.edit(
    "5.5",
    "trusting the file",
    "With weights_only=False, loading runs whatever code the file's author has hidden in it. "
    "A dictionary of tensors and numbers loads without that.",
    ("weights_only=True", "weights_only=False"),
)

answers.edit(
    "5.5",
    "whole objects instead of their state",
    "torch.save can write a model as a whole, but reading it back takes code, which weights_only "
    "forbids. Save state_dict() of model, average and optimiser, and get_state() of the generator.",
    ('"model": model.state_dict()', '"model": model'),
)

answers.edit(
    "5.5",
    "the count of updates returned instead of the steps",
    "ema.num_updates goes back into ema. What the caller wants to know is the number of training "
    "steps, which was saved as step.",
    ('return state["step"]', "return ema.num_updates"),
)


answers.edit(
    "5.5",
    "the optimiser's settings forgotten",
    "An optimiser's state_dict() has two parts. Beside the moments there are the settings of its "
    "groups, the learning rate among them, which a schedule may have changed.",
    (
        '"optimizer": optimizer.state_dict()',
        '"optimizer": optimizer.state_dict()["state"]',
    ),
    (
        'optimizer.load_state_dict(state["optimizer"])',
        'optimizer.load_state_dict({**optimizer.state_dict(), "state": state["optimizer"]})',
    ),
)

answers.edit(
    "5.5",
    "an older checkpoint left in its place",
    "A run writes its checkpoint under the same name again and again. Write over what is there.",
    (
        "    torch.save(state, path)\n",
        "    from pathlib import Path\n\n"
        "    if not Path(path).exists():\n"
        "        torch.save(state, path)\n",
    ),
)

answers.edit(
    "5.5",
    "a name that must be a Path",
    "A path may come as a string, which has neither write_bytes nor open. torch.save takes both "
    "kinds.",
    (
        "    torch.save(state, path)\n",
        '    with path.open("wb") as file:\n        torch.save(state, file)\n',
    ),
)

answers.edit(
    "5.5",
    "the average left in training mode",
    "Saving only reads. Whatever mode the average is in, leave it there.",
    ("    torch.save(state, path)\n", "    torch.save(state, path)\n    ema.model.train()\n"),
)


# 5.6


answers.planted(
    "5.6",
    "as many noise levels as images",
    "draw_noise wants to know how many steps there are, T, which is the length of alpha_bars. The "
    "number of images it sees by itself.",
)

answers.edit(
    "5.6",
    "as many noise levels as columns",
    "The last axis of the images is their width, which has nothing to do with the steps. T is the "
    "number of noise levels: which table has an entry for each of them?",
    ("len(alpha_bars)", "x0.shape[-1]"),
)

answers.edit(
    "5.6",
    "the last step is never drawn",
    "draw_noise is handed T and draws from 0 ... T-1 by itself. With one less, the step T-1, from "
    "which all sampling starts, is never trained.",
    ("len(alpha_bars)", "len(alpha_bars) - 1"),
)

answers.edit(
    "5.6",
    "always 1000 noise levels",
    "1000 is a usual number of steps, and not the only one. How many there are here is for the "
    "caller's table of noise levels to say.",
    ("len(alpha_bars)", "1000"),
)

answers.edit(
    "5.6",
    "the target never reaches the loss",
    "The loop is handed a target and tells nobody. diffusion_loss then falls back on its default, "
    "the noise. At the clean end that is almost v; at the noisy end it is something else.",
    ("alpha_bars, q_sample, target)", "alpha_bars, q_sample)"),
)

answers.edit(
    "5.6",
    "v, whatever was asked for",
    "The caller says which target it is, and if nothing is said it is the noise. The loop hands on "
    "the target that it was handed.",
    ("alpha_bars, q_sample, target)", "alpha_bars, q_sample, v_target)"),
)

answers.edit(
    "5.6",
    "the dropped labels never reach the loss",
    "drop_labels returns new labels and leaves the old ones as they are. Unless its result goes to "
    "the network, the null label is never trained.",
    ("labels = drop_labels(labels, generator)", "drop_labels(labels, generator)"),
)

answers.edit(
    "5.6",
    "the same draws in every step",
    "A generator that is seeded in the loop gives every batch the same steps and noise, and the "
    "network learns these by heart. Seeding is the caller's.",
    ("        t, eps =", "        generator.manual_seed(0)\n        t, eps ="),
)

answers.edit(
    "5.6",
    "drawn once for all batches",
    "Steps and noise that are drawn once and kept are learned by heart. Each batch gets new ones, "
    "also if it is as large as the one before.",
    ("    for step,", "    drawn = None\n    for step,"),
    (
        "        t, eps = draw_noise(x0, len(alpha_bars), generator)\n",
        "        if drawn is None or len(drawn[0]) != len(x0):\n"
        "            drawn = draw_noise(x0, len(alpha_bars), generator)\n"
        "        t, eps = drawn\n",
    ),
)

answers.edit(
    "5.6",
    "the learning rate set after the step",
    "The rate of a step has to be in the optimiser before the step is made. Set afterwards, each "
    "step is made with the rate of the one before.",
    (
        "        if rate is not None:\n"
        "            for group in optimizer.param_groups:\n"
        '                group["lr"] = rate(step)\n'
        "        yield training_step(model, ema, optimizer, compute_loss, max_grad_norm)\n",
        "        loss = training_step(model, ema, optimizer, compute_loss, max_grad_norm)\n"
        "        if rate is not None:\n"
        "            for group in optimizer.param_groups:\n"
        '                group["lr"] = rate(step)\n'
        "        yield loss\n",
    ),
)

answers.edit(
    "5.6",
    "the rate of the next step",
    "rate wants to know how many steps have been made before this one, and that is what step "
    "counts. With 1 more, each step gets the rate of the one after it.",
    ("rate(step)", "rate(step + 1)"),
)

answers.edit(
    "5.6",
    "the steps counted from 0 again",
    "A run that goes on has steps behind it. If the count begins at 0 again, so does the warm-up, "
    "and the learning rate never falls. Count from first_step.",
    (", start=first_step", ""),
)

answers.edit(
    "5.6",
    "the first batches skipped",
    "batches gives what is still to come, and every batch of it makes a step. first_step only says "
    "from which number to count.",
    (
        "        t, eps = draw_noise(x0,",
        "        if step < 2 * first_step:\n            continue\n        t, eps = draw_noise(x0,",
    ),
)

answers.again(
    "5.6",
    "the first batches skipped",
    (", start=first_step", ""),
    (
        "        t, eps = draw_noise(x0,",
        "        if step < first_step:\n            continue\n        t, eps = draw_noise(x0,",
    ),
)

answers.edit(
    "5.6",
    "the learning rate never set",
    "rate says which learning rate each step is to be made with. It does nothing by itself: write "
    'its value into "lr" of each of optimizer.param_groups.',
    ('group["lr"] = rate(step)', "rate(step)"),
)

answers.edit(
    "5.6",
    "max_grad_norm never handed on",
    "training_step clips at 1 unless it is told another limit. The loop was handed one, and has to "
    "hand it on.",
    ("compute_loss, max_grad_norm)", "compute_loss)"),
)

answers.edit(
    "5.6",
    "all the losses at the end",
    "With a list the caller has to wait for the last step, and cannot save, draw or stop before. "
    "yield hands out each loss when it is there.",
    ("    for step,", "    losses = []\n    for step,"),
    (
        "        yield training_step(model, ema, optimizer, compute_loss, max_grad_norm)\n",
        "        losses.append(training_step(model, ema, optimizer, compute_loss, max_grad_norm))\n"
        "    return losses\n",
    ),
)

answers.again(
    "5.6",
    "all the losses at the end",
    ("    for step,", "    losses = []\n    for step,"),
    (
        "        yield training_step(model, ema, optimizer, compute_loss, max_grad_norm)\n",
        "        losses.append(training_step(model, ema, optimizer, compute_loss, max_grad_norm))\n"
        "    yield from losses\n",
    ),
)

answers.edit(
    "5.6",
    "all batches taken before the first step",
    "A data set may be too large to hold. Take a batch when its step comes, and not all of them at "
    "the start.",
    ("enumerate(batches,", "enumerate(list(batches),"),
)

answers.edit(
    "5.6",
    "drawn for one's own part only",
    "Where several processes share a batch, each draws for the whole of it and keeps its part. If "
    "each drew for its part only, all of them would draw the same noise.",
    ("        t, eps =", "        x0, labels = place(x0), place(labels)\n        t, eps ="),
    (
        "x0, t, labels, eps = place(x0), place(t), place(labels), place(eps)",
        "t, eps = t.to(x0.device), eps.to(x0.device)",
    ),
)

answers.edit(
    "5.6",
    "the batch not brought to the model",
    "The batch and its draws may be elsewhere than the model, or be shared with other processes. "
    "place brings each of the four parts where it belongs: use what it returns.",
    ("place(x0), place(t), place(labels), place(eps)", "x0, t, labels, eps"),
)

answers.edit(
    "5.6",
    "the average updated twice",
    "training_step has let the average follow already. A second update in the loop makes the "
    "average forget twice as fast.",
    (
        "        yield training_step(model, ema, optimizer, compute_loss, max_grad_norm)\n",
        "        loss = training_step(model, ema, optimizer, compute_loss, max_grad_norm)\n"
        "        ema.update(model)\n"
        "        yield loss\n",
    ),
)

answers.edit(
    "5.6",
    "next() on what need not be an iterator",
    "The batches may be a list or a loader, which a for loop can go through and next() cannot. "
    "Loop over them, or make an iterator of them with iter() first.",
    (
        "    for step, (x0, labels) in enumerate(batches, start=first_step):\n",
        "    step = first_step - 1\n"
        "    while (batch := next(batches, None)) is not None:\n"
        "        step += 1\n"
        "        x0, labels = batch\n",
    ),
)

answers.edit(
    "5.6",
    "the rate of the first group only",
    "An optimiser may have several groups of parameters, each with its learning rate. Set it in "
    "all of optimizer.param_groups.",
    (
        "            for group in optimizer.param_groups:\n"
        '                group["lr"] = rate(step)\n',
        '            optimizer.param_groups[0]["lr"] = rate(step)\n',
    ),
)

answers.edit(
    "5.6",
    "a rate of 0 taken for none",
    "0 counts as false, so `rate(step) or ...` throws it away. A schedule may begin or end at 0.",
    ('group["lr"] = rate(step)', 'group["lr"] = rate(step) or group["lr"]'),
)

answers.edit(
    "5.6",
    "one noise image for the whole batch",
    "Each image gets noise of its own, and draw_noise has drawn it. Do not spread the first over "
    "all.",
    (
        "draw_noise(x0, len(alpha_bars), generator)\n",
        "draw_noise(x0, len(alpha_bars), generator)\n"
        "        eps = eps[:1].expand_as(eps).clone()\n",
    ),
)

answers.edit(
    "5.6",
    "steps that ignore the generator",
    "Every draw comes from the generator, or a run cannot be repeated. draw_noise gives t and eps "
    "together.",
    (
        "draw_noise(x0, len(alpha_bars), generator)\n",
        "draw_noise(x0, len(alpha_bars), generator)\n"
        "        t = torch.randint(0, len(alpha_bars), t.shape, device=t.device)\n",
    ),
)
