"""Known wrong answers to chapter 11, each with the misunderstanding behind it."""

import torch

from course.grading.answers import Answers
from solutions import ch11_flow_matching as ref

answers = Answers()


# 11.1

answers.edit(
    "11.1",
    "time turned around, in x_t and in the velocity",
    "Some papers do it this way round. In this course t = 0 is the image and t = 1 is the noise, "
    "as with the steps of chapter 02.",
    ("(1 - t) * x0 + t * eps", "t * x0 + (1 - t) * eps"),
    ("eps - x0", "x0 - eps"),
)

answers.edit(
    "11.1",
    "the two weights swapped",
    "At t = 0 all of x_t is the image, so 1 - t belongs to x0.",
    ("(1 - t) * x0 + t * eps", "t * x0 + (1 - t) * eps"),
)

answers.edit(
    "11.1",
    "the velocity with the other sign",
    "The velocity is what x_t gains while t grows, and t grows towards the noise. It leads from x0 "
    "to eps; sampling goes against it.",
    ("eps - x0", "x0 - eps"),
)

answers.edit(
    "11.1",
    "the way that is left as the velocity",
    "eps - x_t is the way that is left at time t. The velocity belongs to the whole line: the way "
    "from x0 to eps, in a time of 1.",
    ("eps - x0", "eps - x_t"),
)

answers.edit(
    "11.1",
    "the way that is behind, not divided by t",
    "x_t - x0 is the way since t = 0, which took the time t. The velocity belongs to the whole "
    "line: the way from x0 to eps, in a time of 1.",
    ("eps - x0", "x_t - x0"),
)

answers.edit(
    "11.1",
    "the way that is behind, divided by t",
    "At t = 0 there is no way behind and no time for it: 0/0. The velocity is the same all "
    "the way, so take the whole line.",
    ("eps - x0", "(x_t - x0) / t"),
)

answers.again(
    "11.1",
    "the way that is behind, divided by t",
    ("eps - x0", "(eps - x_t) / (1 - t)"),
)

answers.edit(
    "11.1",
    "the noise as the target",
    "An eps network is asked for the noise. A flow is asked for the direction in which x_t moves.",
    ("eps - x0", "eps + 0 * x0"),
)

answers.edit(
    "11.1",
    "the weights of the forward process",
    "sqrt(1 - t) and sqrt(t) are weights whose squares add up to 1, and then x_t moves on an arc. "
    "On a straight line the weights themselves add up to 1.",
    ("(1 - t) * x0 + t * eps", "(1 - t).sqrt() * x0 + t.sqrt() * eps"),
)

answers.edit(
    "11.1",
    "a little noise left at the image",
    "Lipman et al. leave a noise of sigma_min around each image. This line begins in the "
    "image itself, so there is none at t = 0.",
    ("(1 - t) * x0 + t * eps", "(1 - t) * x0 + (0.01 + 0.99 * t) * eps"),
    ("eps - x0", "0.99 * eps - x0"),
)

answers.edit(
    "11.1",
    "the v of chapter 05 as the velocity",
    "(1 - t) eps - t x_0 belongs to a path on which the weights turn into each other. The "
    "derivative of (1 - t) x_0 + t eps is another.",
    ("eps - x0", "(1 - t) * eps - t * x0"),
)

answers.edit(
    "11.1",
    "times of shape (B,) against images",
    "A (B,) tensor is lined up with the last axis, the image's columns. Give it shape "
    "(B, 1, 1, 1), or each column instead of each image gets its own t.",
    ("t = per_image(t)", "t = t"),
)

answers.edit(
    "11.1",
    "times divided by TIME_SCALE",
    "t runs from 0 to 1 already. Only the network has a clock that runs to TIME_SCALE.",
    ("per_image(t)", "per_image(t / TIME_SCALE)"),
)

answers.edit(
    "11.1",
    "the first image's time for all",
    "Each image has its own time.",
    ("per_image(t)", "per_image(t)[:1]"),
)

answers.edit(
    "11.1",
    "the mean of the times for all",
    "Each image has its own time. The mean over the batch is nobody's.",
    ("per_image(t)", "t.mean()"),
)

answers.edit(
    "11.1",
    "float32 whatever is handed in",
    "x_t and the velocity have the dtype of the images: do not convert them.",
    ("velocity = eps - x0", "x_t, velocity = x_t.float(), (eps - x0).float()"),
)

answers.edit(
    "11.1",
    "a list instead of a pair",
    "Return the two as a tuple: return x_t, velocity.",
    ("return x_t, velocity", "return [x_t, velocity]"),
)

answers.edit(
    "11.1",
    "the velocity first",
    "The point of the line comes first, and its velocity second.",
    ("return x_t, velocity", "return velocity, x_t"),
)


@answers.wrong(
    "11.1",
    "written into the caller's images",
    "x0.mul_(...) and x0 *= ... change the tensor that was handed in. x0 * ... makes a new one.",
)
def straight_path(x0, eps, t):
    t = t.view(-1, 1, 1, 1)
    velocity = eps - x0
    return x0.add_(t * velocity), velocity


answers.edit(
    "11.1",
    "zeros made on the CPU",
    "Numbers made on the CPU cannot meet images on a graphics card. Work with t as it is.",
    ("t = per_image(t)", "t = per_image(torch.zeros(len(t), dtype=t.dtype)) + per_image(t)"),
)


# 11.2

answers.edit(
    "11.2",
    "steps of a schedule instead of times",
    "A flow's time is any number from 0 to 1. Whole steps divided by 1000 are only a thousand of "
    "them.",
    (
        "torch.rand(count, generator=generator, device=generator.device)",
        "torch.randint(0, 1000, (count,), generator=generator, device=generator.device) / 1000",
    ),
)

answers.edit(
    "11.2",
    "one time for the whole batch",
    "Each image is to be seen at a time of its own.",
    (
        "torch.rand(count, generator=generator, device=generator.device)",
        "torch.rand(1, generator=generator, device=generator.device).repeat(count)",
    ),
    (
        "z = torch.randn(count, generator=generator, device=generator.device)",
        "z = torch.randn(1, generator=generator, device=generator.device).repeat(count)",
    ),
)

answers.again(
    "11.2",
    "one time for the whole batch",
    (
        "torch.rand(count, generator=generator, device=generator.device)",
        "torch.rand(1, generator=generator, device=generator.device).repeat(count)",
    ),
)

answers.again(
    "11.2",
    "one time for the whole batch",
    (
        "z = torch.randn(count, generator=generator, device=generator.device)",
        "z = torch.randn(1, generator=generator, device=generator.device).repeat(count)",
    ),
)

answers.edit(
    "11.2",
    "log( t / (1 - t) ) handed out as t",
    "It is log( t / (1 - t) ) that is Gaussian, not t. Solve for t.",
    ("torch.sigmoid(mean + std * z)", "mean + std * z"),
)

answers.again(
    "11.2",
    "log( t / (1 - t) ) handed out as t",
    ("torch.sigmoid(mean + std * z)", "(mean + std * z).clamp(0, 1)"),
)

answers.edit(
    "11.2",
    "exp instead of the sigmoid",
    "That makes log t Gaussian, and nothing keeps t below 1 unless it is cut off there. Here it is "
    "log( t / (1 - t) ): solve that for t.",
    ("torch.sigmoid(mean + std * z)", "(mean + std * z).exp().clamp(max=1.0)"),
)

answers.edit(
    "11.2",
    "t itself Gaussian, cut off at 0 and 1",
    "Cutting off puts many images at exactly 0 or 1. The sigmoid keeps all times inside.",
    ("torch.sigmoid(mean + std * z)", "(0.5 + mean + 0.25 * std * z).clamp(0, 1)"),
)

answers.edit(
    "11.2",
    "a standard deviation that is taken for a variance",
    "A number that multiplies a draw multiplies its standard deviation: std * z, without a root.",
    ("std * z", "std**0.5 * z"),
)

answers.edit(
    "11.2",
    "mean and standard deviation are ignored",
    "They move and stretch z, before the sigmoid.",
    ("mean + std * z", "z"),
)

answers.edit(
    "11.2",
    "the mean with the other sign",
    "A mean above 0 leads to times near 1, where there is more noise.",
    ("mean + std", "-mean + std"),
)

answers.edit(
    "11.2",
    "the times turned around",
    "t = 1 is the noise. A mean above 0 makes log( t / (1 - t) ) large, and that is where t "
    "is near 1.",
    ("torch.sigmoid(mean + std * z)", "1 - torch.sigmoid(mean + std * z)"),
)

answers.edit(
    "11.2",
    "mean and standard deviation of t",
    "They belong to log( t / (1 - t) ): move and stretch z before the sigmoid, not t after it.",
    ("torch.sigmoid(mean + std * z)", "(mean + std * torch.sigmoid(z)).clamp(0, 1)"),
)

answers.edit(
    "11.2",
    "z uniform instead of Gaussian",
    "The logit-normal draw begins with torch.randn. torch.rand has no bell curve.",
    ("z = torch.randn(count", "z = 12**0.5 * -0.5 + 12**0.5 * torch.rand(count"),
)

answers.again(
    "11.2",
    "z uniform instead of Gaussian",
    ("z = torch.randn(count", "z = torch.rand(count"),
)

answers.edit(
    "11.2",
    "the Gaussian's distribution function instead of the sigmoid",
    "That makes the probit of t Gaussian. Here it is log( t / (1 - t) ), the logit: solve "
    "that for t.",
    ("torch.sigmoid(mean + std * z)", "torch.special.ndtr(mean + std * z)"),
)

answers.edit(
    "11.2",
    "logit_normal unless another is named",
    "Without a spread all times are drawn alike.",
    ('spread: str = "uniform"', 'spread: str = "logit_normal"'),
)

answers.edit(
    "11.2",
    "the spread is ignored",
    "There are two ways to draw. Yours is uniform whatever is asked for.",
    ('if spread == "uniform"', "if True"),
)

answers.edit(
    "11.2",
    "another standard deviation by default",
    "Without std the standard deviation of log( t / (1 - t) ) is 1.",
    ("std: float = 1.0", "std: float = 0.5"),
)

answers.edit(
    "11.2",
    "times that are sorted",
    "The place in the batch has nothing to do with the time: leave the draws as they come.",
    (
        "return torch.rand(count, generator=generator, device=generator.device)",
        "return torch.rand(count, generator=generator, device=generator.device).sort().values",
    ),
    ("torch.sigmoid(mean + std * z)", "torch.sigmoid(mean + std * z).sort().values"),
)

answers.edit(
    "11.2",
    "times at even distances",
    "Times at equal distances are not drawn each for itself: one image's time then follows from "
    "the others'.",
    (
        "torch.rand(count, generator=generator, device=generator.device)",
        "torch.randperm(count, generator=generator, device=generator.device) / count",
    ),
)

answers.again(
    "11.2",
    "times at even distances",
    (
        "    return torch.rand(count, generator=generator, device=generator.device)",
        "    start = torch.rand(1, generator=generator, device=generator.device)\n"
        "        return (start + torch.arange(count, device=generator.device) / count) % 1",
    ),
)

answers.edit(
    "11.2",
    "torch's own randomness, whatever the generator is",
    "Hand generator= to torch.rand and torch.randn: otherwise the draws cannot be repeated.",
    ("torch.rand(count, generator=generator, ", "torch.rand(count, "),
    ("torch.randn(count, generator=generator, ", "torch.randn(count, "),
)

answers.again(
    "11.2",
    "torch's own randomness, whatever the generator is",
    ("torch.randn(count, generator=generator, ", "torch.randn(count, "),
)

answers.again(
    "11.2",
    "torch's own randomness, whatever the generator is",
    ("torch.rand(count, generator=generator, ", "torch.rand(count, "),
)

answers.edit(
    "11.2",
    "a generator that is set back",
    "generator.manual_seed() inside the function gives the same times in every call.",
    ('    if spread == "uniform"', '    generator.manual_seed(0)\n    if spread == "uniform"'),
)

answers.edit(
    "11.2",
    "the generator's seed instead of the generator",
    "torch.manual_seed touches the source that all others draw from, and the seed is the same "
    "in every call. Hand generator= to torch.rand and torch.randn.",
    (
        '    if spread == "uniform"',
        '    torch.manual_seed(generator.initial_seed())\n    if spread == "uniform"',
    ),
    ("torch.rand(count, generator=generator, ", "torch.rand(count, "),
    ("torch.randn(count, generator=generator, ", "torch.randn(count, "),
)

answers.edit(
    "11.2",
    "float64 times",
    "The times are float32, as all numbers that the network gets.",
    (
        "torch.rand(count, generator=generator, device=generator.device)",
        "torch.rand(count, generator=generator, device=generator.device, dtype=torch.float64)",
    ),
)

answers.again(
    "11.2",
    "float64 times",
    (
        "torch.rand(count, generator=generator, device=generator.device)",
        "torch.rand(count, generator=generator, device=generator.device, dtype=torch.float64)",
    ),
    (
        "z = torch.randn(count, generator=generator, device=generator.device)",
        "z = torch.randn(count, generator=generator, device=generator.device, dtype=torch.float64)",
    ),
)

answers.edit(
    "11.2",
    "times of shape (B, 1)",
    "There is one number for each image, along one axis: (B,).",
    (
        "torch.rand(count, generator=generator, device=generator.device)",
        "torch.rand(count, 1, generator=generator, device=generator.device)",
    ),
)

answers.edit(
    "11.2",
    "times up to 1000",
    "A flow's time runs from 0 to 1. To bring it to the network's scale is up to the loss.",
    (
        "torch.rand(count, generator=generator, device=generator.device)",
        "1000 * torch.rand(count, generator=generator, device=generator.device)",
    ),
)

answers.edit(
    "11.2",
    "nothing is refused",
    "A spread that is spelled wrongly must not become another one. Keep the lines that raise a "
    "ValueError.",
    ('if spread not in ("uniform", "logit_normal")', "if False"),
)

answers.edit(
    "11.2",
    "the generator left out on any device but the CPU",
    "Hand the generator over on every device, and make the times where it is: "
    "device=generator.device.",
    (
        "torch.rand(count, generator=generator, device=generator.device)",
        'torch.rand(count, generator=generator, device=generator.device).to("cpu")'
        ' if generator.device.type == "cpu" else torch.rand(count)',
    ),
    (
        "z = torch.randn(count, generator=generator, device=generator.device)",
        "z = torch.randn(count, generator=generator, device=generator.device)"
        ' if generator.device.type == "cpu" else torch.randn(count)',
    ),
)


# 11.3

answers.edit(
    "11.3",
    "the network told t from 0 to 1",
    "Its waves were made for steps up to 999, and most of them hardly move between 0 and 1. Tell "
    "it TIME_SCALE * t.",
    ("TIME_SCALE * t", "t"),
)

answers.edit(
    "11.3",
    "whole steps instead of times",
    "TIME_SCALE * t is no index. Rounded, nearby times look the same to the network.",
    ("TIME_SCALE * t", "(TIME_SCALE * t).long()"),
)

answers.edit(
    "11.3",
    "the clock turned around",
    "t = 0 is the image here, and the network is told so: TIME_SCALE * t.",
    ("TIME_SCALE * t", "TIME_SCALE * (1 - t)"),
)

answers.edit(
    "11.3",
    "time scaled on the path",
    "The path runs from 0 to 1. Only the network's own clock goes to TIME_SCALE.",
    ("path(x0, eps, t)", "path(x0, eps, TIME_SCALE * t)"),
)

answers.edit(
    "11.3",
    "the clean images shown",
    "The network is asked about the points of the lines, x_t.",
    ("model(x_t,", "model(x0,"),
)

answers.edit(
    "11.3",
    "the noise as the target",
    "What the network is asked for is the velocity that path returns.",
    ("(velocity - predicted)", "(eps - predicted)"),
)

answers.edit(
    "11.3",
    "the guessed images compared with the clean ones",
    "What the velocity leads to is wrong by t times its error, so errors near t = 0 would "
    "hardly count. Compare the velocities.",
    ("((velocity - predicted) ** 2)", "((x_t - per_image(t) * predicted - x0) ** 2)"),
)

answers.edit(
    "11.3",
    "the velocity worked out again",
    "path returns the velocity beside x_t. The loss takes whatever path it is handed.",
    ("(velocity - predicted)", "(eps - x0 - predicted)"),
)

answers.edit(
    "11.3",
    "the way to the image as the target",
    "The velocity is that of growing t, which leads to the noise. path returns it: take it as "
    "it is.",
    ("((velocity - predicted) ** 2)", "((x0 - eps - predicted) ** 2)"),
)

answers.again(
    "11.3",
    "the way to the image as the target",
    ("((velocity - predicted) ** 2)", "((-velocity - predicted) ** 2)"),
)

answers.edit(
    "11.3",
    "image and noise swapped on the path",
    "It is path(x0, eps, t): the image first.",
    ("path(x0, eps, t)", "path(eps, x0, t)"),
)

answers.edit(
    "11.3",
    "the sum instead of the mean",
    "The size of the batch and of the images must not change the loss: take the mean over all.",
    (".mean()", ".sum()"),
)

answers.again(
    "11.3",
    "the sum instead of the mean",
    (
        "((velocity - predicted) ** 2).mean()",
        "((velocity - predicted) ** 2).sum(dim=(1, 2, 3)).mean()",
    ),
)

answers.edit(
    "11.3",
    "the size of the error instead of its square",
    "An error that is twice as large costs four times as much.",
    ("((velocity - predicted) ** 2)", "(velocity - predicted).abs()"),
)

answers.edit(
    "11.3",
    "Huber's loss",
    "It is half the square near 0 and a line further out. Here it is the square everywhere.",
    ("((velocity - predicted) ** 2).mean()", "nn.functional.huber_loss(predicted, velocity)"),
)

answers.edit(
    "11.3",
    "the mean error without a square",
    "Without the square, an error upwards makes up for one downwards.",
    ("((velocity - predicted) ** 2)", "(velocity - predicted)"),
)

answers.edit(
    "11.3",
    "the square of the mean error",
    "Errors upwards and downwards cancel in the mean. Square each of them first, and take the "
    "mean of the squares.",
    ("((velocity - predicted) ** 2).mean()", "(velocity - predicted).mean() ** 2"),
)

answers.edit(
    "11.3",
    "a loss for each image",
    "The loss is one number, the mean over the images as well.",
    (".mean()", ".mean(dim=(1, 2, 3))"),
)

answers.edit(
    "11.3",
    "the root of the mean square",
    "Twice as far costs four times as much. Leave the root out.",
    ("((velocity - predicted) ** 2).mean()", "((velocity - predicted) ** 2).mean().sqrt()"),
)

answers.edit(
    "11.3",
    "half of the mean square",
    "An answer that is off by 1 in every pixel has the loss 1, not 1/2.",
    ("((velocity - predicted) ** 2).mean()", "((velocity - predicted) ** 2).mean() / 2"),
)

answers.edit(
    "11.3",
    "no gradient",
    "With .detach() or .item() the loss is a number that teaches the network nothing.",
    ("TIME_SCALE * t, labels)", "TIME_SCALE * t, labels).detach()"),
)

answers.edit(
    "11.3",
    "the labels forgotten",
    "Some of the labels were dropped before, by chapter 03's function. Hand them on as they are.",
    ("TIME_SCALE * t, labels)", "TIME_SCALE * t, torch.zeros_like(labels))"),
)

answers.edit(
    "11.3",
    "the network asked twice",
    "Each call of the network costs as much as all the rest. Call it once and keep the answer.",
    (
        "    return ((velocity",
        "    predicted = model(x_t, TIME_SCALE * t, labels)\n    return ((velocity",
    ),
)

answers.edit(
    "11.3",
    "path called twice",
    "x_t and the velocity come from one call of path.",
    (
        "    x_t, velocity = path(x0, eps, t)",
        "    x_t, velocity = path(x0, eps, t)[0], path(x0, eps, t)[1]",
    ),
)

answers.edit(
    "11.3",
    "numbers on the CPU",
    "What is made anew needs the device of the batch, where a graphics card would want it.",
    ("TIME_SCALE * t", "torch.full((len(t),), TIME_SCALE) * t"),
)


# 11.4

answers.edit(
    "11.4",
    "the step's length without its sign",
    "t_next - t is negative on the way to the image, and that is what turns the velocity around.",
    (
        "h = per_image(t_next - t)  # (B, 1, 1, 1)\n    return",
        "h = per_image((t_next - t).abs())\n    return",
    ),
    (
        "h = per_image(t_next - t)  # (B, 1, 1, 1)\n    v_1",
        "h = per_image((t_next - t).abs())\n    v_1",
    ),
)

answers.again(
    "11.4",
    "the step's length without its sign",
    (
        "h = per_image(t_next - t)  # (B, 1, 1, 1)\n    return",
        "h = per_image((t_next - t).abs())\n    return",
    ),
)

answers.edit(
    "11.4",
    "every step goes towards the image",
    "t_next may be larger than t, and then the step leads back to the noise. The sign of "
    "t_next - t says which way.",
    (
        "h = per_image(t_next - t)  # (B, 1, 1, 1)\n    return",
        "h = -per_image((t_next - t).abs())\n    return",
    ),
)

answers.again(
    "11.4",
    "every step goes towards the image",
    (
        "h = per_image(t_next - t)  # (B, 1, 1, 1)\n    v_1",
        "h = -per_image((t_next - t).abs())\n    v_1",
    ),
)

answers.again(
    "11.4",
    "every step goes towards the image",
    (
        "h = per_image(t_next - t)  # (B, 1, 1, 1)\n    return",
        "h = -per_image((t_next - t).abs())\n    return",
    ),
    (
        "h = per_image(t_next - t)  # (B, 1, 1, 1)\n    v_1",
        "h = -per_image((t_next - t).abs())\n    v_1",
    ),
)

answers.edit(
    "11.4",
    "Euler against the direction of time",
    "The step takes the time t_next - t, and x changes by so much times the velocity.",
    ("return x_t + h * velocity(x_t, t)", "return x_t - h * velocity(x_t, t)"),
)

answers.edit(
    "11.4",
    "Euler with the velocity of the end",
    "The direction of Euler's step is that at its beginning: velocity(x_t, t).",
    ("h * velocity(x_t, t)", "h * velocity(x_t, t_next)"),
)

answers.edit(
    "11.4",
    "the velocity asked with TIME_SCALE * t",
    "The function that is handed in takes times from 0 to 1. What the network wants to be "
    "told is its own affair.",
    ("return x_t + h * velocity(x_t, t)", "return x_t + h * velocity(x_t, TIME_SCALE * t)"),
)

answers.again(
    "11.4",
    "the velocity asked with TIME_SCALE * t",
    ("return x_t + h * velocity(x_t, t)", "return x_t + h * velocity(x_t, TIME_SCALE * t)"),
    ("v_1 = velocity(x_t, t)", "v_1 = velocity(x_t, TIME_SCALE * t)"),
    ("h * v_1, t_next)", "h * v_1, TIME_SCALE * t_next)"),
)

answers.edit(
    "11.4",
    "Euler all the way to the image",
    "The step ends at t_next, not at t = 0: the time that passes is t_next - t.",
    ("return x_t + h * velocity(x_t, t)", "return x_t - per_image(t) * velocity(x_t, t)"),
)

answers.edit(
    "11.4",
    "Heun that reuses the old velocity",
    "The second velocity must be asked for anew, at the end of Euler's step. The mean of two equal "
    "ones is the first.",
    ("v_2 = velocity(x_t + h * v_1, t_next)", "v_2 = v_1"),
)

answers.edit(
    "11.4",
    "Heun that asks at the old time",
    "Euler's step ends at t_next, so this is where its velocity belongs.",
    ("h * v_1, t_next)", "h * v_1, t)"),
)

answers.edit(
    "11.4",
    "Heun that asks at the old place",
    "The second velocity is that of the place to which the first one leads.",
    ("velocity(x_t + h * v_1, t_next)", "velocity(x_t, t_next)"),
)

answers.edit(
    "11.4",
    "Heun that goes on from the guess",
    "The guess only serves to look ahead. The step itself begins in x_t.",
    ("return x_t + h * (v_1 + v_2) / 2", "return x_t + h * v_1 + h * (v_1 + v_2) / 2"),
)

answers.edit(
    "11.4",
    "the first direction counted whole, the second one half",
    "The weights of the two directions add up to 1: half of each, so that x_t goes along their "
    "mean.",
    ("return x_t + h * (v_1 + v_2) / 2", "return x_t + h * v_1 + h * v_2 / 2"),
)

answers.edit(
    "11.4",
    "Heun with the second velocity alone",
    "The step goes in the mean of both directions.",
    ("(v_1 + v_2) / 2", "v_2"),
)

answers.edit(
    "11.4",
    "Heun with the sum of both velocities",
    "Two velocities count half each, or the step is twice as long.",
    ("(v_1 + v_2) / 2", "(v_1 + v_2)"),
)

answers.edit(
    "11.4",
    "Heun that looks at the middle",
    "To look ahead by half a step is the midpoint rule, and its step takes the second velocity "
    "alone. Heun looks at the end.",
    ("velocity(x_t + h * v_1, t_next)", "velocity(x_t + h / 2 * v_1, (t + t_next) / 2)"),
)

answers.edit(
    "11.4",
    "Heun that looks ahead half way, at the time of the end",
    "At t_next x is a whole step further: place and time belong together.",
    ("v_2 = velocity(x_t + h * v_1, t_next)", "v_2 = velocity(x_t + h / 2 * v_1, t_next)"),
)

answers.edit(
    "11.4",
    "the midpoint rule",
    "The direction in the middle of the step, used alone, is another rule. Heun's takes the "
    "mean of that at the beginning and that at the end.",
    (
        "v_2 = velocity(x_t + h * v_1, t_next)",
        "v_2 = velocity(x_t + h / 2 * v_1, (t + t_next) / 2)",
    ),
    ("(v_1 + v_2) / 2", "v_2"),
)

answers.edit(
    "11.4",
    "Heun that asks three times",
    "Two calls are enough: keep the first answer in a variable.",
    ("velocity(x_t + h * v_1, t_next)", "velocity(x_t + h * velocity(x_t, t), t_next)"),
)

answers.edit(
    "11.4",
    "the last velocity is left out",
    "Karras's sampler takes an Euler step where t_next = 0, because its velocity is divided by t. "
    "The velocity of a straight line is not: ask at t = 0 as well.",
    (
        "    return x_t + h * (v_1 + v_2) / 2",
        "    v_2 = torch.where(per_image(t_next) > 0, v_2, v_1)\n"
        "    return x_t + h * (v_1 + v_2) / 2",
    ),
)

answers.again(
    "11.4",
    "the last velocity is left out",
    (
        "    v_2 = velocity(x_t + h * v_1, t_next)",
        "    if (t_next == 0).all():\n        return x_t + h * v_1\n"
        "    v_2 = velocity(x_t + h * v_1, t_next)",
    ),
)

answers.edit(
    "11.4",
    "the last step evaluated at 0/0",
    "(x - x_0) / t is the velocity in another form, and at t = 0 it is 0/0. Use the velocity as it "
    "is handed in.",
    (
        "    return x_t + h * (v_1 + v_2) / 2",
        "    guess = x_t + h * v_1\n"
        "    x_0 = guess - per_image(t_next) * v_2\n"
        "    v_2 = (guess - x_0) / per_image(t_next)\n"
        "    return x_t + h * (v_1 + v_2) / 2",
    ),
)

answers.edit(
    "11.4",
    "lengths of shape (B,) against images",
    "A (B,) tensor is lined up with the last axis, the image's columns. Give it shape "
    "(B, 1, 1, 1).",
    ("h = per_image(t_next - t)  # (B, 1, 1, 1)\n    return", "h = t_next - t\n    return"),
    ("h = per_image(t_next - t)  # (B, 1, 1, 1)\n    v_1", "h = t_next - t\n    v_1"),
)

answers.again(
    "11.4",
    "lengths of shape (B,) against images",
    ("h = per_image(t_next - t)  # (B, 1, 1, 1)\n    return", "h = t_next - t\n    return"),
)

answers.edit(
    "11.4",
    "the first image's times for all",
    "The images of a batch may be at different times.",
    ("h = per_image(t_next - t)  # (B, 1, 1, 1)\n    return", "h = (t_next - t)[0]\n    return"),
    ("h = per_image(t_next - t)  # (B, 1, 1, 1)\n    v_1", "h = (t_next - t)[0]\n    v_1"),
)

answers.again(
    "11.4",
    "the first image's times for all",
    ("h = per_image(t_next - t)  # (B, 1, 1, 1)\n    return", "h = (t_next - t)[0]\n    return"),
)

answers.again(
    "11.4",
    "the first image's times for all",
    ("h = per_image(t_next - t)  # (B, 1, 1, 1)\n    v_1", "h = (t_next - t)[0]\n    v_1"),
)


@answers.wrong(
    "11.4",
    "written into the caller's x_t",
    "x_t += ... changes the tensor that was handed in. x_t + ... makes a new one.",
)
def euler_step(velocity, x_t, t, t_next):
    x_t += (t_next - t).view(-1, 1, 1, 1) * velocity(x_t, t)
    return x_t


answers.edit(
    "11.4",
    "the result clipped to [-1, 1]",
    "On the way there is noise in x, which has no bounds. Clipped, it is no longer where the "
    "velocity leads.",
    ("return x_t + h * velocity(x_t, t)", "return (x_t + h * velocity(x_t, t)).clamp(-1, 1)"),
)

answers.again(
    "11.4",
    "the result clipped to [-1, 1]",
    ("return x_t + h * (v_1 + v_2) / 2", "return (x_t + h * (v_1 + v_2) / 2).clamp(-1, 1)"),
)

answers.again(
    "11.4",
    "the result clipped to [-1, 1]",
    ("return x_t + h * velocity(x_t, t)", "return (x_t + h * velocity(x_t, t)).clamp(-1, 1)"),
    ("return x_t + h * (v_1 + v_2) / 2", "return (x_t + h * (v_1 + v_2) / 2).clamp(-1, 1)"),
)


answers.edit(
    "11.4",
    "lengths made on the CPU",
    "Make new tensors on the device of the images, or work with t and t_next as they are.",
    (
        "h = per_image(t_next - t)  # (B, 1, 1, 1)\n    return",
        "h = torch.zeros(len(t), 1, 1, 1) + per_image(t_next - t)\n    return",
    ),
)


# 11.5

answers.edit(
    "11.5",
    "the share of noise power as the time",
    "1 - alpha_bar is the noise's share of the power. t compares amplitudes: take the roots, and "
    "make them add up to 1.",
    ("noise / r", "1 - alpha_bar"),
)

answers.edit(
    "11.5",
    "the amplitude of the noise as the time",
    "sqrt(1 - alpha_bar) is the weight of the noise in x_t. On the line both weights add up to 1, "
    "so divide by their sum.",
    ("noise / r", "noise"),
)

answers.edit(
    "11.5",
    "the share of signal as the time",
    "t = 1 is the noise, so t is its share of the two weights.",
    ("noise / r", "signal / r"),
)

answers.edit(
    "11.5",
    "x_t is not scaled for the flow",
    "The weights in x_t are sqrt(alpha_bar) and sqrt(1 - alpha_bar), which add up to more than 1. "
    "A point of the line is smaller.",
    ("x_t / per_image(r)", "x_t + 0 * per_image(r)"),
)

answers.edit(
    "11.5",
    "x_t multiplied instead of divided",
    "sqrt(alpha_bar) + sqrt(1 - alpha_bar) is above 1, so a point of the line is smaller than x_t.",
    ("x_t / per_image(r)", "x_t * per_image(r)"),
)

answers.edit(
    "11.5",
    "x is not scaled for the diffusion",
    "In x the weights add up to 1, in x_t their squares do. So x_t is larger than x.",
    ("x / per_image(power.sqrt())", "x + 0 * per_image(power.sqrt())"),
)

answers.edit(
    "11.5",
    "x multiplied on the way back",
    "In x the weights add up to 1, and the root of the sum of their squares is below that. In "
    "x_t this root has to become 1: divide by it.",
    ("x / per_image(power.sqrt())", "x * per_image(power.sqrt())"),
)

answers.edit(
    "11.5",
    "the power where its root belongs",
    "(1 - t)^2 + t^2 is a sum of squares. Images are divided by its root.",
    ("x / per_image(power.sqrt())", "x / per_image(power)"),
)

answers.edit(
    "11.5",
    "alpha_bar as the share of the line",
    "alpha_bar is the signal's share of the power, (1 - t)^2 of (1 - t)^2 + t^2. 1 - t is a share "
    "of the line.",
    ("(1 - t) ** 2 / power", "1 - t"),
)

answers.edit(
    "11.5",
    "alpha_bar without the division",
    "(1 - t)^2 is the power of the image in x. x_t is divided, so that the powers add up to 1.",
    ("(1 - t) ** 2 / power", "(1 - t) ** 2"),
)

answers.edit(
    "11.5",
    "the root of alpha_bar for alpha_bar",
    "(1 - t) / r is the weight of the image in x_t, sqrt(alpha_bar). Square it.",
    ("(1 - t) ** 2 / power", "(1 - t) / power.sqrt()"),
)

answers.edit(
    "11.5",
    "v taken for the velocity",
    "v is how x_t turns on the quarter circle, eps - x_0 how x moves on the line. They are other "
    "mixtures of the same two.",
    ("return eps - x0", "return v + 0 * (eps - x0)"),
)

answers.edit(
    "11.5",
    "the velocity divided like the place",
    "Only the place is scaled to get to the line. The velocity is eps - x_0, with image and "
    "noise as they are.",
    ("return eps - x0", "return (eps - x0) / (signal + noise)"),
)

answers.edit(
    "11.5",
    "the velocity with the other sign",
    "The velocity leads towards the noise: eps - x_0.",
    ("return eps - x0", "return x0 - eps"),
)

answers.edit(
    "11.5",
    "x_0 with the wrong sign of v",
    "v = sqrt(alpha_bar) eps - sqrt(1 - alpha_bar) x_0: where there is only noise, v is -x_0. So "
    "v counts negative in x_0.",
    ("signal * x_t - noise * v", "signal * x_t + noise * v"),
)

answers.edit(
    "11.5",
    "the guessed image clipped to [-1, 1]",
    "The velocity belongs to the image that x_t and v make, wherever that is. Clipping is the "
    "sampler's affair.",
    ("x0 = signal * x_t - noise * v", "x0 = (signal * x_t - noise * v).clamp(-1, 1)"),
)

answers.edit(
    "11.5",
    "the weights of signal and noise swapped",
    "alpha_bar is the share of the signal: sqrt(alpha_bar) is its weight.",
    (
        "signal, noise = per_image(alpha_bar.sqrt()), per_image((1 - alpha_bar).sqrt())",
        "noise, signal = per_image(alpha_bar.sqrt()), per_image((1 - alpha_bar).sqrt())",
    ),
)

answers.edit(
    "11.5",
    "the roots of alpha_bar forgotten",
    "alpha_bar is a share of power. Images are multiplied by amplitudes, its roots.",
    (
        "signal, noise = per_image(alpha_bar.sqrt()), per_image((1 - alpha_bar).sqrt())",
        "signal, noise = per_image(alpha_bar), per_image(1 - alpha_bar)",
    ),
)

answers.edit(
    "11.5",
    "a division by no noise at all",
    "eps = (x_t - sqrt(alpha_bar) x_0) / sqrt(1 - alpha_bar) is 0/0 where alpha_bar = 1. x_t and v "
    "together give eps without a division.",
    ("eps = noise * x_t + signal * v", "eps = (x_t - signal * x0) / noise"),
)

answers.edit(
    "11.5",
    "a division by no signal at all",
    "Where alpha_bar = 0 there is no signal, and dividing by its weight gives infinity or "
    "0/0. That level is included: find a form without this division.",
    ("noise / r", "(noise / signal) / (1 + noise / signal)"),
)

answers.again(
    "11.5",
    "a division by no signal at all",
    (
        "x0 = signal * x_t - noise * v\n    eps = noise * x_t + signal * v",
        "eps = noise * x_t + signal * v\n    x0 = (x_t - noise * eps) / signal",
    ),
)

answers.edit(
    "11.5",
    "the noise level of x_t for a point of the line",
    "eps_from_velocity works on the line: its weights are 1 - t and t, not their roots.",
    ("x + (1 - per_image(t)) * velocity", "x + (1 - per_image(t)).sqrt() * velocity"),
)

answers.edit(
    "11.5",
    "the way to the image instead of the noise",
    "x - t * velocity is the other end, x_0. The noise is where the line is at t = 1.",
    ("x + (1 - per_image(t)) * velocity", "x - per_image(t) * velocity"),
)

answers.edit(
    "11.5",
    "against the velocity to the noise",
    "The velocity leads towards the noise. Go along it for the time that is left.",
    ("x + (1 - per_image(t)) * velocity", "x - (1 - per_image(t)) * velocity"),
)

answers.edit(
    "11.5",
    "the whole velocity added",
    "A time of 1 is the whole line. From time t only 1 - t is left until the noise.",
    ("x + (1 - per_image(t)) * velocity", "x + velocity + 0 * per_image(t)"),
)

answers.edit(
    "11.5",
    "the time that is behind instead of the time left",
    "From x at time t it is 1 - t until the noise.",
    ("x + (1 - per_image(t)) * velocity", "x + per_image(t) * velocity"),
)

answers.edit(
    "11.5",
    "a division by no time at all",
    "Solving x = (1 - t) x_0 + t eps for eps divides by t, which is 0 at the image. Follow "
    "the velocity to t = 1 instead.",
    (
        "x + (1 - per_image(t)) * velocity",
        "(x - (1 - per_image(t)) * (x - per_image(t) * velocity)) / per_image(t)",
    ),
)

answers.edit(
    "11.5",
    "levels of shape (B,) against images",
    "A (B,) tensor is lined up with the last axis, the image's columns. Give it shape "
    "(B, 1, 1, 1) before it meets images.",
    ("x_t / per_image(r)", "x_t / r"),
    ("x / per_image(power.sqrt())", "x / power.sqrt()"),
    (
        "signal, noise = per_image(alpha_bar.sqrt()), per_image((1 - alpha_bar).sqrt())",
        "signal, noise = alpha_bar.sqrt(), (1 - alpha_bar).sqrt()",
    ),
    ("(1 - per_image(t)) * velocity", "(1 - t) * velocity"),
)

answers.edit(
    "11.5",
    "times of shape (B, 1, 1, 1)",
    "Images meet (B, 1, 1, 1), but what is handed on is one number for each image: (B,).",
    ("noise / r", "per_image(noise / r)"),
)

answers.edit(
    "11.5",
    "numbers on the CPU",
    "What is made anew needs the device of the images, where a graphics card would want it.",
    (
        "signal, noise = alpha_bar.sqrt(), (1 - alpha_bar).sqrt()  # each (B,)",
        "signal, noise = alpha_bar.sqrt(), (torch.ones(len(alpha_bar)) - alpha_bar).sqrt()",
    ),
)


# 11.6

answers.planted(
    "11.6",
    "the network told t from 0 to 1",
    "flow_loss has taught it with TIME_SCALE * t. With t from 0 to 1 it believes all the way that "
    "there is hardly any noise.",
)

answers.edit(
    "11.6",
    "time scaled twice",
    "TIME_SCALE belongs before t once.",
    ("TIME_SCALE * t", "TIME_SCALE**2 * t"),
)

answers.edit(
    "11.6",
    "t divided by TIME_SCALE",
    "t runs from 0 to 1, and the network's clock to TIME_SCALE. Multiply.",
    ("TIME_SCALE * t.repeat(2)", "t.repeat(2) / TIME_SCALE"),
)

answers.edit(
    "11.6",
    "half of the batch told t from 0 to 1",
    "The network is asked twice about the same time, so both halves are told TIME_SCALE * t.",
    ("TIME_SCALE * t.repeat(2)", "torch.cat([TIME_SCALE * t, t])"),
)

answers.again(
    "11.6",
    "half of the batch told t from 0 to 1",
    ("TIME_SCALE * t.repeat(2)", "torch.cat([t, TIME_SCALE * t])"),
)

answers.edit(
    "11.6",
    "times cut down to whole hundreds",
    "The network was taught with any number from 0 to TIME_SCALE. With the time cut down, it is "
    "asked about another time than x_t has.",
    ("TIME_SCALE * t.repeat(2)", "torch.floor(TIME_SCALE * t.repeat(2) / 100) * 100"),
)

answers.edit(
    "11.6",
    "t times 999",
    "flow_loss has taught the network with TIME_SCALE * t. There is no last step here whose "
    "number counts.",
    ("TIME_SCALE * t.repeat(2)", "(TIME_SCALE - 1) * t.repeat(2)"),
)

answers.edit(
    "11.6",
    "the clock turned around",
    "The network was taught that 0 is the image: TIME_SCALE * t.",
    ("TIME_SCALE * t.repeat(2)", "TIME_SCALE * (1 - t.repeat(2))"),
)

answers.edit(
    "11.6",
    "the first image's time for all",
    "Each image has its own time.",
    ("t.repeat(2)", "t[:1].repeat(2 * len(t))"),
)

answers.edit(
    "11.6",
    "the caller's times changed",
    "t.mul_(...) and t *= ... change the tensor that was handed in. TIME_SCALE * t makes a "
    "new one.",
    ("TIME_SCALE * t.repeat(2)", "t.mul_(TIME_SCALE).repeat(2)"),
)

answers.edit(
    "11.6",
    "guidance on positions",
    "What is mixed are the two velocities. x_t is where both begin, and no part of the result.",
    ("return (1 + guidance_scale)", "return x_t + (1 + guidance_scale)"),
)

answers.edit(
    "11.6",
    "the velocity divided by TIME_SCALE",
    "Only what the network is told about the time is scaled. Its answer is what x_t moves by "
    "for a change of t by 1, as flow_loss has taught it.",
    (
        "return (1 + guidance_scale) * towards - guidance_scale * anywhere",
        "return ((1 + guidance_scale) * towards - guidance_scale * anywhere) / TIME_SCALE",
    ),
)

answers.edit(
    "11.6",
    "scale s instead of w",
    "Much code writes null + s * (cond - null), where s = 1 is the plain conditional prediction. "
    "Here that is w = 0, so s = 1 + w.",
    (
        "(1 + guidance_scale) * towards - guidance_scale * anywhere",
        "guidance_scale * towards + (1 - guidance_scale) * anywhere",
    ),
)

answers.edit(
    "11.6",
    "the two halves swapped",
    "The first half of the answer belongs to the first half of the batch.",
    ("towards, anywhere = both", "anywhere, towards = both"),
)

answers.edit(
    "11.6",
    "images in one order, labels in another",
    "Row n of images, times and labels belong together. Repeat all in the same way.",
    ("torch.stack([labels, nothing])", "torch.stack([labels, nothing], dim=1)"),
)

answers.again(
    "11.6",
    "images in one order, labels in another",
    ("x_t.repeat(2, 1, 1, 1)", "x_t.repeat_interleave(2, dim=0)"),
)

answers.again(
    "11.6",
    "images in one order, labels in another",
    ("x_t.repeat(2, 1, 1, 1)", "x_t.repeat_interleave(2, dim=0)"),
    ("t.repeat(2)", "t.repeat_interleave(2)"),
)

answers.edit(
    "11.6",
    "towards any label instead of away from it",
    "The weight of the unconditional prediction is negative: guidance leads away from it.",
    ("* towards - guidance_scale", "* towards + guidance_scale"),
)

answers.edit(
    "11.6",
    "the velocity with the other sign",
    "The velocity leads towards the noise, as it was taught. The step goes against it, as "
    "t_next is below t.",
    (
        "return (1 + guidance_scale) * towards - guidance_scale * anywhere",
        "return guidance_scale * anywhere - (1 + guidance_scale) * towards",
    ),
)

answers.edit(
    "11.6",
    "no guidance",
    "The result is the conditional velocity whatever w is.",
    ("return (1 + guidance_scale) * towards - guidance_scale * anywhere", "return towards"),
)

answers.edit(
    "11.6",
    "the difference alone",
    "For w = 0 the result is the plain conditional velocity, not 0. The weighted difference "
    "is added to it.",
    (
        "(1 + guidance_scale) * towards - guidance_scale * anywhere",
        "guidance_scale * (towards - anywhere)",
    ),
)

answers.edit(
    "11.6",
    "the unconditional half sees the label",
    "Half of the batch is asked with the null label. With the label in both, nothing is guided.",
    ("torch.stack([labels, nothing])", "torch.stack([labels, labels])"),
)

answers.edit(
    "11.6",
    "10 as the null label",
    "The null label is handed in. Another model has another number of classes.",
    ("torch.full_like(labels, null_label)", "torch.full_like(labels, 10)"),
)


@answers.wrong(
    "11.6",
    "two calls of the network",
    "One call with a batch of 2B is quicker than two, and it is what the docstring asks for.",
)
def guided_velocity(model, x_t, t, labels, guidance_scale, null_label):
    time = ref.TIME_SCALE * t
    towards = model(x_t, time, labels)
    anywhere = model(x_t, time, torch.full_like(labels, null_label))
    return (1 + guidance_scale) * towards - guidance_scale * anywhere


answers.edit(
    "11.6",
    "gradients switched off for good",
    "torch.set_grad_enabled(False) stays in force after the function has returned.",
    ("    nothing =", "    torch.set_grad_enabled(False)\n    nothing ="),
)

answers.edit(
    "11.6",
    "labels made on the CPU",
    "full_like makes the null labels where the labels are; torch.full makes them on the CPU.",
    ("torch.full_like(labels, null_label)", "torch.full((len(labels),), null_label)"),
)


# 11.7

answers.edit(
    "11.7",
    "the walk goes with the velocity",
    "The velocity leads towards the noise. From t = 1 to 0 x moves against it.",
    ("x = x - velocities[-1]", "x = x + velocities[-1]"),
)

answers.edit(
    "11.7",
    "times that begin at 0",
    "x_1 is the noise, and the walk asks at t = 1 first. From there the times go down.",
    ("1 - number / num_steps", "number / num_steps"),
)

answers.edit(
    "11.7",
    "times that end at 0",
    "n steps of one length begin at 1, 1 - 1/n, ... 1/n. At t = 0 the walk has arrived; nothing "
    "is asked.",
    ("1 - number / num_steps", "1 - number / max(1, num_steps - 1)"),
)

answers.edit(
    "11.7",
    "times in the middle of the steps",
    "An Euler step asks where it begins: at 1 - k / n.",
    ("1 - number / num_steps", "1 - (number + 0.5) / num_steps"),
)

answers.edit(
    "11.7",
    "a walk in Heun's steps",
    "The walk is Euler's, as each of its steps goes along the one velocity that is compared.",
    ("x = x - velocities[-1] / num_steps", "x = heun_step(velocity, x, t, t - 1 / num_steps)"),
)

answers.edit(
    "11.7",
    "times at the end of the steps",
    "An Euler step asks where it begins: at 1 - k / n, the first one at 1.",
    ("1 - number / num_steps", "1 - (number + 1) / num_steps"),
)

answers.edit(
    "11.7",
    "the displacement with the other sign",
    "The velocity leads from x_0 to x_1, so it is compared with x_1 - x_0.",
    ("displacement = x_1 - x", "displacement = x - x_1"),
)

answers.edit(
    "11.7",
    "steps that are too long",
    "There are n steps on a way that takes the time 1: each takes 1 / n.",
    ("velocities[-1] / num_steps", "velocities[-1]"),
)

answers.edit(
    "11.7",
    "one step's part of the way against the whole way",
    "displacement is the way in a time of 1, and so is a velocity. Multiplied by the length "
    "of a step, it is too small by the factor n.",
    (
        "displacement - torch.stack(velocities)",
        "displacement - torch.stack(velocities) / num_steps",
    ),
)

answers.edit(
    "11.7",
    "the last velocity alone",
    "The mean is taken over all steps.",
    ("torch.stack(velocities)", "velocities[-1]"),
)

answers.edit(
    "11.7",
    "the sum over the steps instead of the mean",
    "More steps look at the same ways more closely. The mean over them does not grow with their "
    "number.",
    (
        "((displacement - torch.stack(velocities)) ** 2).mean()",
        "((displacement - torch.stack(velocities)) ** 2).mean() * num_steps",
    ),
)

answers.edit(
    "11.7",
    "the sum over the pixels instead of the mean",
    "Larger images have as straight ways as small ones: take the mean over pixels, too.",
    (
        "((displacement - torch.stack(velocities)) ** 2).mean()",
        "((displacement - torch.stack(velocities)) ** 2).sum(dim=(2, 3, 4)).mean()",
    ),
)

answers.edit(
    "11.7",
    "deviations that cancel",
    "Without the square the deviations add up to 0 on every way.",
    ("(displacement - torch.stack(velocities)) ** 2", "(displacement - torch.stack(velocities))"),
)

answers.edit(
    "11.7",
    "the size of the deviation instead of its square",
    "The measure is a mean of squares.",
    (
        "(displacement - torch.stack(velocities)) ** 2",
        "(displacement - torch.stack(velocities)).abs()",
    ),
)

answers.edit(
    "11.7",
    "the root of the mean square",
    "S is the mean of the squares itself, without a root.",
    (
        "((displacement - torch.stack(velocities)) ** 2).mean()",
        "((displacement - torch.stack(velocities)) ** 2).mean().sqrt()",
    ),
)

answers.edit(
    "11.7",
    "the variance with n - 1",
    "var divides by n - 1 unless it is told correction=0. The measure is a plain mean over "
    "the steps, and one step alone has the value 0.",
    (
        "    return ((displacement - torch.stack(velocities)) ** 2).mean()",
        "    v = torch.stack(velocities)\n"
        "    # As var, but without its warning where there is one step only.\n"
        '    return (v.var(dim=0) if num_steps > 1 else v[0] * float("nan")).mean()',
    ),
)

answers.edit(
    "11.7",
    "compared with the mean way of all images",
    "Each image has its own way, and it is compared with its own displacement.",
    ("displacement = x_1 - x", "displacement = (x_1 - x).mean(dim=0)"),
)

answers.edit(
    "11.7",
    "compared with the way so far",
    "The line to compare with leads to the end of the way, x_0. So the whole walk comes first.",
    ("    x, velocities = x_1, []", "    x, velocities, ways = x_1, [], []"),
    (
        "x = x - velocities[-1] / num_steps",
        "x = x - velocities[-1] / num_steps\n        ways.append(x_1 - x)",
    ),
    ("displacement = x_1 - x", "displacement = torch.stack(ways)"),
)

answers.edit(
    "11.7",
    "measuring with a graph",
    "Nothing is learned here: without torch.no_grad() every step's intermediate results are kept.",
    (
        "@torch.no_grad()\ndef straightness",
        "def straightness",
    ),
)

answers.edit(
    "11.7",
    "pairs with a graph",
    "The pairs are data: without torch.no_grad() the network's whole walk hangs on them.",
    (
        "@torch.no_grad()\ndef reflow_pairs",
        "def reflow_pairs",
    ),
)

answers.edit(
    "11.7",
    "gradients switched off for good",
    "torch.set_grad_enabled(False) stays in force after the function has returned.",
    (
        "    x, velocities = x_1, []",
        "    torch.set_grad_enabled(False)\n    x, velocities = x_1, []",
    ),
    ("@torch.no_grad()\ndef straightness", "def straightness"),
)

answers.edit(
    "11.7",
    "gradients off for good after the pairs",
    "torch.set_grad_enabled(False) stays in force after the function has returned.",
    ("    eps = torch.randn", "    torch.set_grad_enabled(False)\n    eps = torch.randn"),
    ("@torch.no_grad()\ndef reflow_pairs", "def reflow_pairs"),
)

answers.edit(
    "11.7",
    "the images paired with new noise",
    "Then the lines cross as before, and a second round teaches nothing new. The pair needs the "
    "noise from which the walk has made these images.",
    (
        "return walk(eps), eps",
        "return walk(eps), torch.randn(shape, generator=generator, device=generator.device)",
    ),
)

answers.edit(
    "11.7",
    "image and noise swapped",
    "The image comes first, as flow_loss wants it.",
    ("return walk(eps), eps", "return eps, walk(eps)"),
)

answers.edit(
    "11.7",
    "pairs that are shuffled",
    "Each noise has its own image: the order must stay as it is.",
    ("return walk(eps), eps", "return walk(eps), eps.flip(0)"),
)

answers.edit(
    "11.7",
    "images clipped to [-1, 1]",
    "A walk may end a little outside, and that is where its way leads. Clipped, the end belongs to "
    "another way.",
    ("return walk(eps), eps", "return walk(eps).clamp(-1, 1), eps"),
)

answers.edit(
    "11.7",
    "uniform noise",
    "Walks begin in Gaussian noise: torch.randn.",
    ("eps = torch.randn(shape,", "eps = 12**0.5 * -0.5 + 12**0.5 * torch.rand(shape,"),
)

answers.again(
    "11.7",
    "uniform noise",
    ("torch.randn(shape,", "torch.rand(shape,"),
)

answers.edit(
    "11.7",
    "one noise for the whole batch",
    "Each image needs a noise of its own.",
    (
        "torch.randn(shape, generator=generator, device=generator.device)",
        "torch.randn((1, *shape[1:]), generator=generator, device=generator.device).expand(shape)",
    ),
)

answers.edit(
    "11.7",
    "torch's own randomness",
    "Hand generator= to torch.randn: otherwise the pairs cannot be repeated.",
    ("torch.randn(shape, generator=generator, ", "torch.randn(shape, "),
)

answers.edit(
    "11.7",
    "a generator that is set back",
    "generator.manual_seed() inside the function gives the same pairs in every call.",
    ("    eps = torch.randn", "    generator.manual_seed(0)\n    eps = torch.randn"),
)

answers.edit(
    "11.7",
    "the walk walked twice",
    "A walk is many calls of a network. Call it once and keep what it returns.",
    ("return walk(eps), eps", "walk(eps)\n    return walk(eps), eps"),
)

answers.edit(
    "11.7",
    "one walk for each image",
    "The walk takes a whole batch. Image by image it is as many calls of the network as there "
    "are images.",
    ("return walk(eps), eps", "return torch.cat([walk(noise[None]) for noise in eps]), eps"),
)

answers.edit(
    "11.7",
    "times made on the CPU",
    "torch.full makes t on the CPU unless it is told device=x.device.",
    (", device=x.device)", ")"),
)
