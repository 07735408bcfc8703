"""Known wrong answers to chapter 12, each with the misunderstanding behind it."""

import torch

from course.grading.answers import Answers
from solutions import ch12_few_steps as ref

answers = Answers()


# 12.1


answers.edit(
    "12.1",
    "the end off by one: where the first step ends",
    "A pair has two steps. The first ends in the middle, at timesteps[1]; the student is to arrive "
    "where the second ends, at timesteps[2].",
    ("return t, t_mid, torch.cat([t[1:], clean])", "return t, t_mid, t_mid.clone()"),
)

answers.edit(
    "12.1",
    "the end off by one: the middle of the next pair",
    "The next pair begins where this one ends. Its middle is a step too far: no walk of the "
    "student would visit it.",
    ("torch.cat([t[1:], clean])", "torch.cat([t_mid[1:], clean])"),
)

answers.edit(
    "12.1",
    "the last pair ends at t = 0",
    "t = 0 is one step of noise. The teacher's walk ends at the clean image, which is -1.",
    ("torch.full_like(t[:1], -1)", "torch.zeros_like(t[:1])"),
)

answers.edit(
    "12.1",
    "the last pair ends where the first begins",
    "roll puts the first step at the end. After the last pair comes the clean image, -1.",
    ("torch.cat([t[1:], clean])", "t.roll(-1)"),
)

answers.edit(
    "12.1",
    "the last pair left out",
    "After the last step of the grid comes the clean image, -1. The last pair leads there.",
    ("return t, t_mid, torch.cat([t[1:], clean])", "return t[:-1], t_mid[:-1], t[1:]"),
)

answers.edit(
    "12.1",
    "the pairs begin at the second step",
    "The student begins in the noise, where the teacher begins: at timesteps[0].",
    ("timesteps[0::2], timesteps[1::2]", "timesteps[1::2], timesteps[0::2]"),
)

answers.again(
    "12.1",
    "the pairs begin at the second step",
    ("t, t_mid = timesteps[0::2], timesteps[1::2]", "t = timesteps[1::2]"),
    ("return t, t_mid,", "t_mid = torch.cat([timesteps[2::2], clean])\n    return t, t_mid,"),
)

answers.edit(
    "12.1",
    "a pair at every step",
    "The student goes where a pair ends, and the next pair begins there. A pair at every step "
    "would make its grid as long as the teacher's.",
    ("t, t_mid = timesteps[0::2], timesteps[1::2]", "t, t_mid = timesteps[:-1], timesteps[1:]"),
    ("torch.cat([t[1:], clean])", "torch.cat([t_mid[1:], clean])"),
)

answers.edit(
    "12.1",
    "the first half of the grid",
    "Half of the steps, but all of them noisy: the student would never reach the image in the "
    "steps that it learned. Take every second one.",
    ("timesteps[0::2], timesteps[1::2]", "timesteps.chunk(2)[0], timesteps.chunk(2)[1]"),
)

answers.edit(
    "12.1",
    "the cleanest pair first",
    "The places at which pairs begin are the student's grid, and a grid begins with its "
    "noisiest step.",
    (
        "return t, t_mid, torch.cat([t[1:], clean])",
        "return t.flip(0), t_mid.flip(0), torch.cat([t[1:], clean]).flip(0)",
    ),
)

answers.edit(
    "12.1",
    "the middle one step of the schedule below",
    "The teacher's next step is the next one of its grid. In the schedule that may be 60 steps on.",
    ("timesteps[1::2]", "timesteps[0::2] - 1"),
)

answers.edit(
    "12.1",
    "all steps as long as the first",
    "A grid may have longer and shorter steps. Where a pair ends is to be read off it.",
    ("torch.cat([t[1:], clean])", "(t - 2 * (t[0] - t_mid[0])).clamp(min=-1)"),
)

answers.edit(
    "12.1",
    "the middle halfway between the ends",
    "The teacher changes over where its own grid says. That need not be halfway.",
    (
        "return t, t_mid, torch.cat([t[1:], clean])",
        "t_next = torch.cat([t[1:], clean])\n    return t, (t + t_next) // 2, t_next",
    ),
)

answers.edit(
    "12.1",
    "the end before the middle",
    "The three come back in the order of the walk: where a pair begins, changes over, and ends.",
    ("return t, t_mid, torch.cat([t[1:], clean])", "return t, torch.cat([t[1:], clean]), t_mid"),
)

answers.edit(
    "12.1",
    "an odd number of steps cut off",
    "With an odd number one step is left over, and the student would never learn it. Keep the "
    "lines that raise a ValueError.",
    (
        "if len(timesteps) == 0 or len(timesteps) % 2",
        "timesteps = timesteps[: len(timesteps) // 2 * 2]\n    if len(timesteps) == 0",
    ),
)

answers.edit(
    "12.1",
    "no steps at all are taken for a walk",
    "A grid without steps has no pairs, and no walk to learn from: it is refused.",
    ("len(timesteps) == 0 or len(timesteps) % 2", "len(timesteps) % 2"),
)

answers.edit(
    "12.1",
    "steps as floating-point numbers",
    "A step is an index into tables, and an index is int64.",
    (
        "return t, t_mid,",
        "t, t_mid, clean = t.float(), t_mid.float(), clean.float()\n    return t, t_mid,",
    ),
)

answers.edit(
    "12.1",
    "the clean image on the CPU",
    "Make new tensors with full_like, or with device=timesteps.device: on a graphics card two "
    "devices would meet.",
    ("torch.full_like(t[:1], -1)", "torch.tensor([-1])"),
)


# 12.2


answers.edit(
    "12.2",
    "r upside down",
    "r is what is left of the noise: it is smaller at t_next than at t, so r is below 1.",
    ("(1 - a_next) / (1 - a)", "(1 - a) / (1 - a_next).clamp(min=1e-3)"),
)

answers.edit(
    "12.2",
    "variances where weights belong",
    "1 - alpha_bar is a variance. eps is multiplied by its root.",
    ("((1 - a_next) / (1 - a)).sqrt()", "((1 - a_next) / (1 - a))"),
)

answers.edit(
    "12.2",
    "1 minus the root for the root of 1 minus",
    "The noise has the weight sqrt(1 - alpha_bar). 1 - sqrt(alpha_bar) is what the image has lost.",
    ("((1 - a_next) / (1 - a)).sqrt()", "(1 - a_next.sqrt()) / (1 - a.sqrt())"),
)

answers.edit(
    "12.2",
    "alpha_bar where its root belongs",
    "alpha_bar is a share of power. Images are multiplied by amplitudes: sqrt(alpha_bar).",
    ("(a_next.sqrt() - r * a.sqrt())", "(a_next - r * a)"),
)

answers.edit(
    "12.2",
    "no roots at all",
    "alpha_bar and 1 - alpha_bar are shares of power. Image and noise are multiplied by their "
    "roots.",
    ("((1 - a_next) / (1 - a)).sqrt()", "((1 - a_next) / (1 - a))"),
    ("(a_next.sqrt() - r * a.sqrt())", "(a_next - r * a)"),
)

answers.edit(
    "12.2",
    "alpha_bar at step 0 where 1 belongs",
    "t = 0 is already one step of noise. t_next = -1 is the clean image, and there alpha_bar is 1.",
    ("(alpha_bars, t_next)", "(alpha_bars, t_next.clamp(min=0))"),
)

answers.edit(
    "12.2",
    "alpha_bars[-1] where 1 belongs",
    "An index of -1 is the last entry of a table: the most noise there is. Where t_next is -1 you "
    "want the clean image, alpha_bar = 1.",
    ("alpha_bar_at(alpha_bars, t_next)", "alpha_bars[t_next].view(-1, 1, 1, 1)"),
)

answers.edit(
    "12.2",
    "x_next itself",
    "x_next still holds noise, unless the jump led to the clean image. What was the guess that "
    "led there?",
    ("(x_next - r * x_t) / (a_next.sqrt() - r * a.sqrt())", "x_next"),
)

answers.edit(
    "12.2",
    "the noise instead of x_0",
    "What x_t holds beside x_0 is the noise of the step. Asked for is x_0 itself.",
    (
        "(x_next - r * x_t) / (a_next.sqrt() - r * a.sqrt())",
        "(x_t - a.sqrt() * ((x_next - r * x_t) / (a_next.sqrt() - r * a.sqrt()))) / (1 - a).sqrt()",
    ),
)

answers.edit(
    "12.2",
    "x_next only divided by sqrt(a_next)",
    "x_next is sqrt(a_next) x_0 and noise. Dividing by sqrt(a_next) leaves the noise in.",
    ("(x_next - r * x_t) / (a_next.sqrt() - r * a.sqrt())", "x_next / a_next.sqrt()"),
)

answers.edit(
    "12.2",
    "the share of x_t left out of the divisor",
    "r x_t holds sqrt(a) x_0 as well. Take it from both sides.",
    ("(a_next.sqrt() - r * a.sqrt())", "a_next.sqrt()"),
)

answers.edit(
    "12.2",
    "a plus in the divisor",
    "r x_t is taken away from x_next, and with it its share of x_0. So this share is taken "
    "away in the divisor too.",
    ("(a_next.sqrt() - r * a.sqrt())", "(a_next.sqrt() + r * a.sqrt())"),
)

answers.edit(
    "12.2",
    "r left out of the numerator only",
    "x_next - x_t mixes what the image gained and what the noise lost. Shrink x_t by r first, so "
    "that the noise cancels.",
    ("(x_next - r * x_t)", "(x_next - x_t)"),
)

answers.edit(
    "12.2",
    "a straight line in t",
    "That is the way of a flow. A step of DDIM follows x_0 and the noise, whose weights are "
    "no straight lines in t.",
    (
        "(x_next - r * x_t) / (a_next.sqrt() - r * a.sqrt())",
        "x_t - (t + 1).view(-1, 1, 1, 1) * (x_t - x_next) / (t - t_next).view(-1, 1, 1, 1)",
    ),
)

answers.edit(
    "12.2",
    "clipped to [-1, 1]",
    "The teacher's guesses are clipped already, and a mean of them stays in their range. Here "
    "nothing is clipped.",
    (
        "(x_next - r * x_t) / (a_next.sqrt() - r * a.sqrt())",
        "((x_next - r * x_t) / (a_next.sqrt() - r * a.sqrt())).clamp(-1, 1)",
    ),
)

answers.edit(
    "12.2",
    "values of shape (B,) against images",
    "A (B,) tensor is lined up with the last axis, the image's columns. Give it shape "
    "(B, 1, 1, 1), or each column instead of each image gets its own t.",
    ("(alpha_bars, t)", "(alpha_bars, t).flatten()"),
    ("(alpha_bars, t_next)", "(alpha_bars, t_next).flatten()"),
)

answers.edit(
    "12.2",
    "the first image's steps for all",
    "The images of a batch may be at different steps: read the table with the whole t.",
    ("(alpha_bars, t)", "(alpha_bars, t[:1])"),
    ("(alpha_bars, t_next)", "(alpha_bars, t_next[:1])"),
)

answers.edit(
    "12.2",
    "a small number added to the divisor",
    "The divisor is never 0, since t_next < t. A constant added to it makes every target a little "
    "wrong.",
    ("(a_next.sqrt() - r * a.sqrt())", "(a_next.sqrt() - r * a.sqrt() + 0.01)"),
)

answers.edit(
    "12.2",
    "a division by no noise at all",
    "At the clean image the noise has the weight 0, and what is divided by it is infinite or "
    "0/0. Divide by the weight at t only, which is never 0.",
    (
        "(x_next - r * x_t) / (a_next.sqrt() - r * a.sqrt())",
        "(x_next / (1 - a_next).sqrt() - x_t / (1 - a).sqrt()) / (\n"
        "        (a_next / (1 - a_next)).sqrt() - (a / (1 - a)).sqrt()\n"
        "    )",
    ),
)

answers.edit(
    "12.2",
    "float16 on the way",
    "Differences of numbers of nearly the same size need all digits of float32.",
    ("return (x_next - r * x_t)", "return (x_next - r * x_t).half().float()"),
)

answers.edit(
    "12.2",
    "a result in float64",
    "Images are float32. Where you compute in float64, come back with .float() or .to(x_t.dtype).",
    ("return (x_next", "x_next = x_next.double()\n    return (x_next"),
)

answers.edit(
    "12.2",
    "written into the caller's x_next",
    "x_next -= ... changes the tensor that was handed in. x_next - ... makes a new one.",
    ("return (x_next - r * x_t)", "x_next -= r * x_t\n    return x_next"),
)

answers.edit(
    "12.2",
    "a new tensor on the CPU",
    "New tensors belong on the device of the inputs: on a graphics card two devices would meet.",
    ("    r = ((", "    r = torch.ones(len(t), 1, 1, 1) * (("),
)


# 12.3


answers.edit(
    "12.3",
    "the gradient flows into the teacher",
    "The target has to stand still. Compute it within torch.no_grad(), or detach it: otherwise "
    "the teacher would learn to go where the student goes.",
    ("with torch.no_grad()", "with torch.enable_grad()"),
)

answers.edit(
    "12.3",
    "the teacher stops in the middle",
    "The student is to go in one step where the teacher goes in two. After one call the teacher "
    "is only in the middle.",
    ("x_next = teacher_step(x_mid, t_mid, t_next, labels)", "x_next = x_mid"),
)

answers.again(
    "12.3",
    "the teacher stops in the middle",
    ("x_next = teacher_step(x_mid, t_mid, t_next, labels)", "x_next = x_mid"),
    ("jump_x0(x_t, x_next, t, t_next", "jump_x0(x_t, x_next, t, t_mid"),
)

answers.edit(
    "12.3",
    "the teacher in one long step",
    "One step from t to t_next is what the teacher cannot do well. Let it change over at t_mid.",
    ("teacher_step(x_t, t, t_mid, labels)", "x_t"),
    ("teacher_step(x_mid, t_mid, t_next, labels)", "teacher_step(x_t, t, t_next, labels)"),
)

answers.edit(
    "12.3",
    "the second step begins at x_t again",
    "The second step goes on from where the first has led.",
    ("teacher_step(x_mid, t_mid", "teacher_step(x_t, t_mid"),
)

answers.edit(
    "12.3",
    "the second step begins at t",
    "After its first step the teacher is at t_mid, and there it is as noisy as t_mid says.",
    ("teacher_step(x_mid, t_mid, t_next", "teacher_step(x_mid, t, t_next"),
)

answers.edit(
    "12.3",
    "the jump to the middle",
    "The student's jump leads to t_next. The middle is only where the teacher changes over.",
    ("jump_x0(x_t, x_next, t, t_next", "jump_x0(x_t, x_next, t, t_mid"),
)

answers.edit(
    "12.3",
    "x_next taken for x_0",
    "x_next still holds noise, unless the jump leads to the clean image. jump_x0 says which "
    "x_0 leads there.",
    ("x0 = jump_x0(x_t, x_next, t, t_next, alpha_bars)", "x0 = x_next"),
)

answers.edit(
    "12.3",
    "the jump from the middle",
    "The student begins at x_t. A jump from x_mid is the teacher's second step, and no more.",
    ("jump_x0(x_t, x_next, t, t_next", "jump_x0(x_mid, x_next, t_mid, t_next"),
)

answers.edit(
    "12.3",
    "the student asked about the middle",
    "The student has to say at x_t where both steps lead. The middle it never gets to see.",
    ("student(x_t, t, labels)", "student(x_mid, t_mid, labels)"),
)

answers.again(
    "12.3",
    "the student asked about the middle",
    ("student(x_t, t, labels)", "student(x_mid, t, labels)"),
)

answers.edit(
    "12.3",
    "the student told the time of the middle",
    "x_t is as noisy as t says. Ask the student with the time of the image that it gets.",
    ("student(x_t, t, labels)", "student(x_t, t_mid, labels)"),
)

answers.edit(
    "12.3",
    "the student told the time of the end",
    "x_t is as noisy as t says. Ask the student with the time of the image that it gets.",
    ("student(x_t, t, labels)", "student(x_t, t_next, labels)"),
)

answers.edit(
    "12.3",
    "the student's v compared with x_0",
    "The network says v. Its guess of x_0 is sqrt(a) x_t - sqrt(1 - a) v: which v gives this x_0?",
    ("v = (a.sqrt() * x_t - x0) / (1 - a).sqrt()", "v = x0"),
)

answers.edit(
    "12.3",
    "guesses of x_0 compared instead of v",
    "An error of x_0 counts less, the less noise there is. The loss is an error of v, as in "
    "chapter 05.",
    (
        "(student(x_t, t, labels) - v)",
        "(a.sqrt() * x_t - (1 - a).sqrt() * student(x_t, t, labels) - x0)",
    ),
)

answers.edit(
    "12.3",
    "the student's v compared with eps",
    "(x_t - sqrt(a) x_0) / sqrt(1 - a) is eps. The network says v.",
    ("(a.sqrt() * x_t - x0)", "(x_t - a.sqrt() * x0)"),
)

answers.edit(
    "12.3",
    "v with the other sign",
    "x_0 = sqrt(a) x_t - sqrt(1 - a) v. Solve it for v once more, and mind the sign.",
    ("(a.sqrt() * x_t - x0)", "(x0 - a.sqrt() * x_t)"),
)

answers.edit(
    "12.3",
    "alpha_bar without its root",
    "alpha_bar is a share of power. Images are multiplied by sqrt(alpha_bar).",
    ("a.sqrt() * x_t - x0", "a * x_t - x0"),
)

answers.again(
    "12.3",
    "alpha_bar without its root",
    ("v = (a.sqrt() * x_t - x0) / (1 - a).sqrt()", "v = (a * x_t - x0) / (1 - a)"),
)

answers.edit(
    "12.3",
    "absolute instead of squared",
    "An error twice as large has to count four times: square it.",
    (".square().mean()", ".abs().mean()"),
)

answers.edit(
    "12.3",
    "weighted by signal to noise",
    "The paper weighs errors of x_0 by max(SNR, 1). An error of v has its weight inside: take "
    "the plain mean.",
    (
        "(student(x_t, t, labels) - v).square()",
        "((a / (1 - a)).clamp(min=1) * (student(x_t, t, labels) - v).square())",
    ),
)

answers.edit(
    "12.3",
    "the sum over the pixels",
    "A sum grows with the size of the images, and the gradients with it. Take the mean.",
    (".square().mean()", ".square().sum()"),
)

answers.again(
    "12.3",
    "the sum over the pixels",
    (".square().mean()", ".square().sum(dim=(1, 2, 3)).mean()"),
)

answers.edit(
    "12.3",
    "the student's answer cut off as well",
    "Without a gradient through its own answer the student learns nothing. Only the target is cut "
    "off.",
    (
        "(student(x_t, t, labels) - v)",
        "(student(x_t, t, labels).detach() - v)",
    ),
)

answers.edit(
    "12.3",
    "the teacher told label 0 for every image",
    "Teacher and student have to speak of the same digit: hand both the labels.",
    (
        "x_mid = teacher_step(x_t, t, t_mid, labels)",
        "x_mid = teacher_step(x_t, t, t_mid, 0 * labels)",
    ),
    (
        "teacher_step(x_mid, t_mid, t_next, labels)",
        "teacher_step(x_mid, t_mid, t_next, 0 * labels)",
    ),
)

answers.edit(
    "12.3",
    "values of shape (B,) against images",
    "A (B,) tensor is lined up with the last axis, the image's columns. Give it shape "
    "(B, 1, 1, 1), or each column instead of each image gets its own t.",
    (
        "a = alpha_bar_at(alpha_bars, t)",
        "a = alpha_bar_at(alpha_bars, t).flatten()[: x_t.shape[-1]]",
    ),
)

answers.edit(
    "12.3",
    "the target from the student's own guess",
    "If the student says itself where it should have gone, it is always right. The x_0 of the "
    "target is the one that jump_x0 gives.",
    (
        "v = (a.sqrt() * x_t - x0) / (1 - a).sqrt()",
        "v = student(x_t, t, labels)",
    ),
)

answers.edit(
    "12.3",
    "the target's x_0 clipped",
    "jump_x0 gives the x_0 that leads where the teacher went. Clipped, it leads somewhere else.",
    (
        "jump_x0(x_t, x_next, t, t_next, alpha_bars)",
        "jump_x0(x_t, x_next, t, t_next, alpha_bars).clamp(-1, 1)",
    ),
)

answers.edit(
    "12.3",
    "the loss as a Python number",
    "A number has no gradient. Return the tensor.",
    (".square().mean()", ".square().mean().item()"),
)

answers.edit(
    "12.3",
    "a new tensor on the CPU",
    "New tensors belong on the device of the inputs: on a graphics card two devices would meet.",
    (
        "a = alpha_bar_at(alpha_bars, t)",
        "a = torch.ones(len(t), 1, 1, 1) * alpha_bar_at(alpha_bars, t)",
    ),
)


# 12.4


answers.edit(
    "12.4",
    "the target learns as well",
    "If both guesses move towards each other, they agree best by saying always the same. Compute "
    "the target within torch.no_grad(), or detach it.",
    ("with torch.no_grad()", "with torch.enable_grad()"),
)


@answers.wrong(
    "12.4",
    "the wrong guess held fast",
    "The cleaner image shows more, so its guess is the better one: it is the target. Hold that "
    "fast, and let the guess at t learn.",
)
def consistency_loss(model, x0, t, t_next, labels, eps, alpha_bars, q_sample):
    def guess(x, step):
        a = ref.alpha_bar_at(alpha_bars, step)
        return a.sqrt() * x - (1 - a).sqrt() * model(x, step, labels)

    asked = t_next.clamp(min=0)
    target = guess(q_sample(x0, asked, eps, alpha_bars), asked)
    target = torch.where(t_next.view(-1, 1, 1, 1) < 0, x0, target)
    with torch.no_grad():
        fixed = guess(q_sample(x0, t, eps, alpha_bars), t)
    return ((fixed - target).square() / (1 - ref.alpha_bar_at(alpha_bars, t))).mean()


answers.edit(
    "12.4",
    "nothing learns",
    "Only the target is held fast. The guess at t is to learn, so it is no part of the "
    "no_grad block.",
    ("def consistency_loss(", "@torch.no_grad()\ndef consistency_loss("),
)


answers.edit(
    "12.4",
    "always the image as the target",
    "That is chapter 05's loss: the guess at t is then the mean of all images that x_t could be. "
    "The target is the guess at t_next.",
    ("torch.where(t_next.view(-1, 1, 1, 1) < 0, x0, target)", "x0"),
)

answers.again(
    "12.4",
    "always the image as the target",
    (
        "        asked = t_next.clamp(min=0)  # (B,)\n"
        "        target = guess(q_sample(x0, asked, eps, alpha_bars), asked)  # (B, C, H, W)\n"
        "        target = torch.where(t_next.view(-1, 1, 1, 1) < 0, x0, target)\n",
        "        target = x0\n",
    ),
)

answers.edit(
    "12.4",
    "the network believed at the clean image",
    "t = 0 is one step of noise, and t_next = -1 is none. There the image itself is the answer.",
    ("        target = torch.where(t_next.view(-1, 1, 1, 1) < 0, x0, target)\n", ""),
)

answers.edit(
    "12.4",
    "the image as the whole batch's target if one t_next is -1",
    "Each image of the batch has its own t_next. Only where that is -1 is the target the image.",
    (
        "        target = torch.where(t_next.view(-1, 1, 1, 1) < 0, x0, target)\n",
        "        if (t_next < 0).any():\n            target = x0\n",
    ),
)

answers.edit(
    "12.4",
    "the target made at step T - 1 where t_next = -1",
    "An index of -1 is the last entry of a table: pure noise. Where t_next is -1 the target is the "
    "image itself.",
    ("asked = t_next.clamp(min=0)", "asked = t_next % len(alpha_bars)"),
    ("        target = torch.where(t_next.view(-1, 1, 1, 1) < 0, x0, target)\n", ""),
)

answers.edit(
    "12.4",
    "the network asked about step -1",
    "No network was ever trained at -1. Its answer has no weight there, but do not ask: clamp the "
    "step at 0, and put the image in its place.",
    (
        "target = guess(q_sample(x0, asked, eps, alpha_bars), asked)",
        "target = guess(q_sample(x0, asked, eps, alpha_bars), t_next)",
    ),
)

answers.edit(
    "12.4",
    "q_sample asked about step -1",
    "The table has no entry for -1, and Python takes the last one. Clamp the step at 0 first.",
    (
        "q_sample(x0, asked, eps, alpha_bars), asked)",
        "q_sample(x0, t_next, eps, alpha_bars), asked)",
    ),
)

answers.edit(
    "12.4",
    "both q_sample and the network asked about step -1",
    "The table has no entry for -1, and Python takes the last one; and no network was trained "
    "there. At the clean image the answer is the image itself.",
    ("asked = t_next.clamp(min=0)", "asked = t_next"),
    ("        target = torch.where(t_next.view(-1, 1, 1, 1) < 0, x0, target)\n", ""),
)

answers.again(
    "12.4",
    "both q_sample and the network asked about step -1",
    ("asked = t_next.clamp(min=0)", "asked = t_next"),
)

answers.edit(
    "12.4",
    "other noise at the second place",
    "With other noise it is another path, which may come from the same image only by accident. "
    "Both places get the same eps.",
    ("q_sample(x0, asked, eps, alpha_bars)", "q_sample(x0, asked, -eps, alpha_bars)"),
)

answers.again(
    "12.4",
    "other noise at the second place",
    (
        "q_sample(x0, asked, eps, alpha_bars)",
        "q_sample(x0, asked, torch.randn_like(eps), alpha_bars)",
    ),
)

answers.edit(
    "12.4",
    "both guesses at t",
    "Two guesses at one place always agree. The target is made at t_next.",
    ("asked = t_next.clamp(min=0)", "asked = t"),
)

answers.edit(
    "12.4",
    "the target told the time t",
    "The cleaner image is as noisy as t_next says. Ask the network about it with that time.",
    (
        "target = guess(q_sample(x0, asked, eps, alpha_bars), asked)",
        "target = guess(q_sample(x0, asked, eps, alpha_bars), t)",
    ),
)

answers.again(
    "12.4",
    "the target told the time t",
    ("model(x, step, labels)", "model(x, t, labels)"),
)

answers.edit(
    "12.4",
    "t and t_next exchanged",
    "The guess at the noisier t learns from the guess at the cleaner t_next, not the other way.",
    (
        "    def guess(",
        "    t, t_next = t_next.clamp(min=0), t\n\n    def guess(",
    ),
)

answers.edit(
    "12.4",
    "answers compared instead of guesses",
    "v is different at every place of a path. What should agree is the image that follows from it.",
    ("a.sqrt() * x - (1 - a).sqrt() * model(x, step, labels)", "model(x, step, labels)"),
)

answers.again(
    "12.4",
    "answers compared instead of guesses",
    ("a.sqrt() * x - (1 - a).sqrt() * model(x, step, labels)", "model(x, step, labels)"),
    ("(error.square() / (1 - alpha_bar_at(alpha_bars, t))).mean()", "error.square().mean()"),
)

answers.again(
    "12.4",
    "answers compared instead of guesses",
    ("a.sqrt() * x - (1 - a).sqrt() * model(x, step, labels)", "model(x, step, labels)"),
    (
        "        asked = t_next.clamp(min=0)",
        "        b = alpha_bar_at(alpha_bars, t)\n"
        "        v = b.sqrt() * eps - (1 - b).sqrt() * x0\n"
        "        asked = t_next.clamp(min=0)",
    ),
    ("< 0, x0, target)", "< 0, v, target)"),
    ("(error.square() / (1 - alpha_bar_at(alpha_bars, t))).mean()", "error.square().mean()"),
)

answers.edit(
    "12.4",
    "the network's answer taken for eps",
    "The network says v. (x - sqrt(1 - a) eps) / sqrt(a) would be the guess from eps.",
    (
        "a.sqrt() * x - (1 - a).sqrt() * model(x, step, labels)",
        "(x - (1 - a).sqrt() * model(x, step, labels)) / a.sqrt()",
    ),
)

answers.edit(
    "12.4",
    "the guess with the sign turned",
    "x_0 = sqrt(a) x - sqrt(1 - a) v. With a plus v would be taken the wrong way round.",
    ("a.sqrt() * x - (1", "a.sqrt() * x + (1"),
)

answers.edit(
    "12.4",
    "variances where weights belong",
    "The weights in the guess are roots: sqrt(a) and sqrt(1 - a).",
    ("a.sqrt() * x - (1 - a).sqrt()", "a * x - (1 - a)"),
)

answers.edit(
    "12.4",
    "guesses clipped",
    "A clip has no gradient outside [-1, 1]: where the guess is worst, nothing would be learned.",
    (
        "return a.sqrt() * x - (1 - a).sqrt() * model(x, step, labels)",
        "return (a.sqrt() * x - (1 - a).sqrt() * model(x, step, labels)).clamp(-1, 1)",
    ),
)

answers.edit(
    "12.4",
    "the error of x_0 instead of v",
    "Divide the squared error by 1 - alpha_bar_t: as errors of v, all noise levels count alike.",
    (" / (1 - alpha_bar_at(alpha_bars, t))", ""),
)

answers.edit(
    "12.4",
    "divided by the root",
    "The error is divided by sqrt(1 - alpha_bar_t), so its square by 1 - alpha_bar_t.",
    (
        "(1 - alpha_bar_at(alpha_bars, t))).mean()",
        "(1 - alpha_bar_at(alpha_bars, t)).sqrt()).mean()",
    ),
)

answers.edit(
    "12.4",
    "divided by the level of the target",
    "What learns is the guess at t, so its error is measured in v at t.",
    ("alpha_bar_at(alpha_bars, t))).mean()", "alpha_bar_at(alpha_bars, asked))).mean()"),
)

answers.edit(
    "12.4",
    "the sum over the pixels",
    "A sum grows with the size of the images, and the gradients with it. Take the mean.",
    (").mean()", ").sum()"),
)

answers.again(
    "12.4",
    "the sum over the pixels",
    (").mean()", ").sum(dim=(1, 2, 3)).mean()"),
)

answers.edit(
    "12.4",
    "absolute instead of squared",
    "An error twice as large has to count four times: square it.",
    (
        "error.square() / (1 - alpha_bar_at(alpha_bars, t))",
        "error.abs() / (1 - alpha_bar_at(alpha_bars, t)).sqrt()",
    ),
)

answers.edit(
    "12.4",
    "the pseudo-Huber distance",
    "Song & Dhariwal use it. Here the difference is squared.",
    ("error.square() /", "((error.square() + 0.03**2).sqrt() - 0.03) /"),
)

answers.edit(
    "12.4",
    "the network told label 0 for every image",
    "Both guesses are of the same digit: tell the network which.",
    ("model(x, step, labels)", "model(x, step, 0 * labels)"),
)

answers.edit(
    "12.4",
    "values of shape (B,) against images",
    "A (B,) tensor is lined up with the last axis, the image's columns. Give it shape "
    "(B, 1, 1, 1), or each column instead of each image gets its own t.",
    (
        "a = alpha_bar_at(alpha_bars, step)",
        "a = alpha_bar_at(alpha_bars, step).flatten()[: x.shape[-1]]",
    ),
)

answers.edit(
    "12.4",
    "q_sample not asked",
    "q_sample is handed in for this: what it makes are the images that the network is asked about.",
    (
        "    def guess(",
        "    def q_sample(x0, t, eps, alpha_bars):\n"
        "        a = alpha_bars[t].view(-1, 1, 1, 1)\n"
        "        return a.sqrt() * x0 + (1 - a).sqrt() * eps\n\n    def guess(",
    ),
)

answers.edit(
    "12.4",
    "the loss as a Python number",
    "A number has no gradient. Return the tensor.",
    (").mean()", ").mean().item()"),
)

answers.edit(
    "12.4",
    "a new tensor on the CPU",
    "New tensors belong on the device of the inputs: on a graphics card two devices would meet.",
    (
        "a = alpha_bar_at(alpha_bars, step)",
        "a = torch.ones(len(x), 1, 1, 1) * alpha_bar_at(alpha_bars, step)",
    ),
)


# 12.5


answers.edit(
    "12.5",
    "the clean picture put in",
    "The network has only seen images that are equally noisy everywhere. Put this step's noise on "
    "the picture before you put it in.",
    ("q_sample(known, t, noise, alpha_bars)", "known"),
)

answers.edit(
    "12.5",
    "the picture put in at the end only",
    "The walk has to know what is around it while it draws, or the rest will not fit. Put the "
    "picture back at every step.",
    (
        "        x = torch.where(mask, q_sample(known, t, noise, alpha_bars), x)",
        "        x = x + 0",
    ),
)

answers.edit(
    "12.5",
    "the picture put in at the beginning only",
    "Every step changes the known pixels, too. Put them back each time before the network looks.",
    (
        "x = torch.where(mask, q_sample(known, t, noise, alpha_bars), x)",
        "x = torch.where(mask & (now == grid[0]), q_sample(known, t, noise, alpha_bars), x)",
    ),
)

answers.edit(
    "12.5",
    "the mask the wrong way round",
    "The mask is True where a pixel is known. torch.where(mask, a, b) takes a there.",
    (
        "torch.where(mask, q_sample(known, t, noise, alpha_bars), x)",
        "torch.where(mask, x, q_sample(known, t, noise, alpha_bars))",
    ),
    ("return torch.where(mask, known, x)", "return torch.where(mask, x, known)"),
)

answers.edit(
    "12.5",
    "the known pixels left as the walk made them",
    "The last step's guess of the known pixels is near, but not the picture. You know them: put "
    "them in.",
    ("return torch.where(mask, known, x)", "return x"),
)

answers.edit(
    "12.5",
    "the noise of the step that comes next",
    "The network is about to be asked at t, so the picture has to be as noisy as t says. With less "
    "noise its part looks cleaner than the rest.",
    (
        "q_sample(known, t, noise, alpha_bars)",
        "q_sample(known, torch.full_like(t, max(following, 0)), noise, alpha_bars)",
    ),
)

answers.edit(
    "12.5",
    "put back after the step with the noise of before",
    "After the step the walk is at t_next. A picture as noisy as at t is noisier than the rest.",
    (
        "x = torch.where(mask, q_sample(known, t, noise, alpha_bars), x)  # (B, C, H, W)\n"
        "        x = step(x, t, torch.full_like(t, following), predict_eps(x, t))",
        "x = step(x, t, torch.full_like(t, following), predict_eps(x, t))\n"
        "        x = torch.where(mask, q_sample(known, t, noise, alpha_bars), x)",
    ),
)

answers.edit(
    "12.5",
    "the picture first put in after a step",
    "The network is first asked about x_T, and there it has to see the picture as well. Put "
    "it in before each question.",
    (
        "        noise = torch.randn"
        "(x.shape, generator=generator, device=x.device, dtype=x.dtype)\n"
        "        x = torch.where(mask, q_sample(known, t, noise, alpha_bars), x)  # (B, C, H, W)\n"
        "        x = step(x, t, torch.full_like(t, following), predict_eps(x, t))\n",
        "        t_next = torch.full_like(t, following)\n"
        "        x = step(x, t, t_next, predict_eps(x, t))\n"
        "        if following >= 0:\n"
        "            noise = torch.randn(x.shape, generator=generator, device=x.device)\n"
        "            x = torch.where(mask, q_sample(known, t_next, noise, alpha_bars), x)\n",
    ),
)


@answers.wrong(
    "12.5",
    "one noise for all steps",
    "The known pixels' noise is drawn anew in every step.",
)
@torch.no_grad()
def inpaint(predict_eps, step, x_T, timesteps, known, mask, generator, alpha_bars, q_sample):
    x, grid = x_T, timesteps.tolist()
    noise = torch.randn(x.shape, generator=generator, device=x.device, dtype=x.dtype)
    for now, following in zip(grid, [*grid[1:], -1]):
        t = torch.full((x.shape[0],), now, device=x.device)
        x = torch.where(mask, q_sample(known, t, noise, alpha_bars), x)
        x = step(x, t, torch.full_like(t, following), predict_eps(x, t))
    return torch.where(mask, known, x)


answers.edit(
    "12.5",
    "x_T as the known pixels' noise",
    "x_T is where the walk begins. The known pixels get fresh noise in each step.",
    ("torch.randn(x.shape, generator=generator, device=x.device, dtype=x.dtype)", "x_T"),
)

answers.edit(
    "12.5",
    "one image's noise for the whole batch",
    "Each image of the batch gets noise of its own: draw it with the shape of x.",
    ("torch.randn(x.shape,", "torch.randn(x.shape[1:],"),
)

answers.edit(
    "12.5",
    "noise between 0 and 1",
    "rand draws evenly between 0 and 1. The forward process adds Gaussian noise: randn.",
    ("torch.randn(", "torch.rand("),
)

answers.edit(
    "12.5",
    "noise from elsewhere",
    "The noise comes from the generator that is handed in, so that the same seed gives the same "
    "picture.",
    ("generator=generator, ", ""),
)

answers.again(
    "12.5",
    "noise from elsewhere",
    (
        "torch.randn(x.shape, generator=generator, device=x.device, dtype=x.dtype)",
        "torch.randn_like(x)",
    ),
)

answers.edit(
    "12.5",
    "the picture put in between question and step",
    "The network has to see the known pixels. Put them in first, and ask then.",
    (
        "x = torch.where(mask, q_sample(known, t, noise, alpha_bars), x)  # (B, C, H, W)\n"
        "        x = step(x, t, torch.full_like(t, following), predict_eps(x, t))",
        "eps = predict_eps(x, t)\n"
        "        x = torch.where(mask, q_sample(known, t, noise, alpha_bars), x)\n"
        "        x = step(x, t, torch.full_like(t, following), eps)",
    ),
)

answers.edit(
    "12.5",
    "the last step ends at t = 0",
    "t = 0 is one step of noise. The walk ends in a step to -1, the clean image.",
    ("[*grid[1:], -1]", "[*grid[1:], 0]"),
)

answers.edit(
    "12.5",
    "the last step left out",
    "From the last step of the grid one more step leads to the clean image.",
    ("zip(grid, [*grid[1:], -1])", "zip(grid, grid[1:])"),
)

answers.edit(
    "12.5",
    "the step goes to t - 1",
    "The walk goes to the next step of its grid, which may be far below t.",
    ("torch.full_like(t, following)", "t - 1"),
)

answers.edit(
    "12.5",
    "the network told the next step",
    "x is as noisy as t says, and the step goes on from there. The network is asked about t.",
    ("predict_eps(x, t)", "predict_eps(x, torch.full_like(t, following).clamp(min=0))"),
)

answers.again(
    "12.5",
    "the network told the next step",
    ("predict_eps(x, t)", "predict_eps(x, torch.full_like(t, following))"),
)

answers.edit(
    "12.5",
    "from clean to noisy",
    "The walk begins in the noise, at the grid's first step.",
    ("timesteps.tolist()", "timesteps.flip(0).tolist()"),
)

answers.edit(
    "12.5",
    "written into the caller's x_T",
    "x[...] = ... and x.copy_(...) change the tensor that was handed in. torch.where makes a "
    "new one.",
    (
        "x = torch.where(mask, q_sample(known, t, noise, alpha_bars), x)",
        "x.copy_(torch.where(mask, q_sample(known, t, noise, alpha_bars), x))",
    ),
)

answers.edit(
    "12.5",
    "a graph for gradients",
    "Sampling needs no gradients, and a graph of all steps fills the memory: @torch.no_grad().",
    ("@torch.no_grad()\n", ""),
)

answers.edit(
    "12.5",
    "t on the CPU",
    "Make t with device=x.device: on a graphics card two devices would meet.",
    ("dtype=torch.int64, device=x.device)", "dtype=torch.int64)"),
)

answers.edit(
    "12.5",
    "one number for t",
    "The network and the step take a step for each image: t of shape (B,).",
    ("(x.shape[0],), now", "(1,), now"),
)


# 12.6


answers.edit(
    "12.6",
    "picture and walk begin at the grid's noisiest step",
    "A whole walk begins in pure noise, and nothing of the picture is left. Leave out the steps "
    "above t_start.",
    ("grid = timesteps[timesteps <= t_start].tolist()", "grid = timesteps.tolist()"),
)

answers.edit(
    "12.6",
    "the whole walk from a picture that is less noisy",
    "The network would be told of noise that is not there. The walk begins at the step whose "
    "noise was put on.",
    ("zip(grid, [*grid[1:], -1])", "zip(timesteps.tolist(), [*timesteps.tolist()[1:], -1])"),
)

answers.edit(
    "12.6",
    "t_start itself left out",
    "A step that is exactly t_start is not above it.",
    ("grid = timesteps[timesteps <= t_start]", "grid = timesteps[timesteps < t_start]"),
)

answers.again(
    "12.6",
    "t_start itself left out",
    (
        "grid = timesteps[timesteps <= t_start].tolist()",
        "grid = timesteps[timesteps < t_start].tolist() or [int(timesteps[-1])]",
    ),
)

answers.edit(
    "12.6",
    "the noisy end of the walk",
    "The walk back leads through the steps below t_start, not through those above.",
    ("grid = timesteps[timesteps <= t_start]", "grid = timesteps[timesteps >= t_start]"),
)

answers.edit(
    "12.6",
    "t_start as a share of the grid",
    "t_start is a step of the schedule. How many steps of the grid are not above it depends "
    "on the grid, whose steps need not be equally long.",
    (
        "grid = timesteps[timesteps <= t_start].tolist()",
        "grid = timesteps[-max(1, int(len(timesteps) * t_start / len(alpha_bars))) :].tolist()",
    ),
)

answers.edit(
    "12.6",
    "one step too high",
    "The step that t_start falls short of is above it. Take the next one below.",
    (
        "grid = timesteps[timesteps <= t_start].tolist()",
        "grid = timesteps[max(int((timesteps >= t_start).sum()) - 1, 0) :].tolist()",
    ),
)

answers.edit(
    "12.6",
    "the step nearest to t_start",
    "The nearest step may be above t_start. Take the noisiest one that is not.",
    (
        "grid = timesteps[timesteps <= t_start].tolist()",
        "grid = timesteps[int((timesteps - t_start).abs().argmin()) :].tolist()",
    ),
)

answers.edit(
    "12.6",
    "as noisy as t_start says",
    "The network is asked first at grid[0]. The picture has to be as noisy as that, or it is told "
    "the wrong time.",
    ("(len(picture),), grid[0]", "(len(picture),), min(t_start, len(alpha_bars) - 1)"),
)

answers.edit(
    "12.6",
    "no noise at all",
    "A clean picture at a noisy step: the network takes its strokes for noise, and wipes them out.",
    ("x = q_sample(picture, t, noise, alpha_bars)", "x = picture"),
)

answers.edit(
    "12.6",
    "noise only",
    "x_T knows nothing of the picture. Begin with q_sample of it.",
    ("x = q_sample(picture, t, noise, alpha_bars)", "x = noise"),
)

answers.edit(
    "12.6",
    "noise added to the picture at full strength",
    "The forward process also makes the picture fainter: sqrt(a) times the picture. q_sample knows "
    "both weights.",
    (
        "x = q_sample(picture, t, noise, alpha_bars)",
        "x = picture + q_sample(0 * picture, t, noise, alpha_bars)",
    ),
)

answers.again(
    "12.6",
    "noise added to the picture at full strength",
    (
        "x = q_sample(picture, t, noise, alpha_bars)",
        "x = picture + (1 - alpha_bar_at(alpha_bars, t)).sqrt() * noise",
    ),
)

answers.edit(
    "12.6",
    "the noisy picture put back in every step",
    "That is inpainting. Here the walk is free to change everything.",
    (
        "t = torch.full_like(t, now)",
        "t = torch.full_like(t, now)\n        x = q_sample(picture, t, noise, alpha_bars)",
    ),
)

answers.edit(
    "12.6",
    "the last step ends at t = 0",
    "t = 0 is one step of noise. The walk ends in a step to -1, the clean image.",
    ("[*grid[1:], -1]", "[*grid[1:], 0]"),
)

answers.edit(
    "12.6",
    "the last step left out",
    "From the last step of the grid one more step leads to the clean image.",
    ("zip(grid, [*grid[1:], -1])", "zip(grid, grid[1:])"),
)

answers.edit(
    "12.6",
    "the first step left out",
    "The picture is as noisy as the first step says, so the network is asked about that step "
    "first.",
    ("zip(grid, [*grid[1:], -1])", "zip(grid[1:], [*grid[2:], -1])"),
)

answers.edit(
    "12.6",
    "the network told the first step all along",
    "The images grow cleaner from step to step, and the network must be told so.",
    ("        t = torch.full_like(t, now)\n", ""),
)

answers.edit(
    "12.6",
    "the step goes to t - 1",
    "The walk goes to the next step of its grid, which may be far below t.",
    ("torch.full_like(t, following)", "t - 1"),
)

answers.edit(
    "12.6",
    "the network told the next step",
    "x is as noisy as t says, and the step goes on from there. The network is asked about t.",
    ("predict_eps(x, t)", "predict_eps(x, torch.full_like(t, following).clamp(min=0))"),
)

answers.again(
    "12.6",
    "the network told the next step",
    ("predict_eps(x, t)", "predict_eps(x, torch.full_like(t, following))"),
)

answers.edit(
    "12.6",
    "one image's noise for the whole batch",
    "Each image of the batch gets noise of its own: draw it with the picture's shape.",
    ("picture.shape, generator", "picture.shape[1:], generator"),
)

answers.edit(
    "12.6",
    "noise between 0 and 1",
    "rand draws evenly between 0 and 1. The forward process adds Gaussian noise: randn.",
    ("torch.randn(", "torch.rand("),
)

answers.edit(
    "12.6",
    "noise from elsewhere",
    "The noise comes from the generator that is handed in, so that the same seed gives the same "
    "picture.",
    ("generator=generator, ", ""),
)

answers.again(
    "12.6",
    "noise from elsewhere",
    (
        "torch.randn(\n"
        "        picture.shape, generator=generator, device=picture.device, dtype=picture.dtype\n"
        "    )",
        "torch.randn_like(picture)",
    ),
)

answers.edit(
    "12.6",
    "the picture itself where nothing is left to walk",
    "A t_start below all steps is a mistake that you want to hear of. Keep the lines that raise a "
    "ValueError.",
    (
        "if not (timesteps <= t_start).any()",
        "if not (timesteps <= t_start).any():\n        return picture\n    if False",
    ),
)

answers.edit(
    "12.6",
    "a graph for gradients",
    "Sampling needs no gradients, and a graph of all steps fills the memory: @torch.no_grad().",
    ("@torch.no_grad()\n", ""),
)

answers.edit(
    "12.6",
    "t on the CPU",
    "Make t with device=picture.device: on a graphics card two devices would meet.",
    ("dtype=torch.int64, device=picture.device)", "dtype=torch.int64)"),
)

answers.edit(
    "12.6",
    "the result clipped",
    "The walk's steps clip their guesses already. What they made is the result.",
    ("    return x\n", "    return x.clamp(-1, 1)\n"),
)
