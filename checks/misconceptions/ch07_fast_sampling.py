"""Known wrong answers to chapter 07, each with the misunderstanding behind it."""

import torch

from course.grading.answers import Answers
from solutions import ch07_fast_sampling as ref

answers = Answers()


# 7.1


answers.edit(
    "7.1",
    "the leading grid where the trailing one is asked for",
    "Multiples of T / n from 0 on end below T - 1, and the walk would begin with pure noise at a "
    "step where the network expects some signal. Count back from T - 1 instead.",
    ("((n - i) * T / n).round().long() - 1", "(n - 1 - i) * (T // n)"),
)

answers.edit(
    "7.1",
    "the linspace grid where the trailing one is asked for",
    "Both begin at T - 1. But trailing goes down in steps of T / n, and its last step, to the "
    "clean image, is as long as the others; linspace has already arrived at 0 before it.",
    ('    if spacing == "trailing":\n        return ((n - i) * T / n).round().long() - 1\n', ""),
)

answers.edit(
    "7.1",
    "trailing without the - 1",
    "Papers count steps from 1 to T, here they run from 0 to T - 1. The table has no entry T.",
    ("T / n).round().long() - 1", "T / n).round().long()"),
)

answers.edit(
    "7.1",
    "trailing with a longer last step",
    "From T - 1 down to 0 there are T - 1 steps of the schedule, and the clean image is one more "
    "away, which makes the last leap longer than the others. Count the steps from 1 to T: then the "
    "clean image is at 0.",
    ("((n - i) * T / n).round().long() - 1", "((n - i) * (T - 1) / n).round().long()"),
)


@answers.wrong(
    "7.1",
    "from clean to noisy",
    "The walk begins in the noise, so the largest t comes first.",
)
def time_grid(alpha_bars, num_steps, spacing="trailing", lambda_min=-5.0):
    return ref.time_grid(alpha_bars, num_steps, spacing, lambda_min).flip(0)


answers.again("7.1", "from clean to noisy", ("(n - 1 - i) * (T // n)", "i * (T // n)"))

answers.again(
    "7.1", "from clean to noisy", ("((n - 1 - i) * (T - 1) / (n - 1))", "(i * (T - 1) / (n - 1))")
)


answers.edit(
    "7.1",
    "cut off instead of rounded",
    ".long() and int() drop what comes after the point. Round first.",
    ("T / n).round()", "T / n)"),
    ("(n - 1)).round()", "(n - 1))"),
)

answers.again("7.1", "cut off instead of rounded", ("T / n).round()", "T / n)"))

answers.again("7.1", "cut off instead of rounded", ("(n - 1)).round()", "(n - 1))"))

answers.again(
    "7.1",
    "cut off instead of rounded",
    (
        "((n - 1 - i) * (T - 1) / (n - 1)).round().long()",
        "((T - 1) * (1 - i.double() / (n - 1))).long()",
    ),
)


@answers.wrong(
    "7.1",
    "a grid of floating-point numbers",
    "A step is an index into tables, and an index is int64. round() rounds, but leaves a float.",
)
def time_grid(alpha_bars, num_steps, spacing="trailing", lambda_min=-5.0):
    return ref.time_grid(alpha_bars, num_steps, spacing, lambda_min).float()


answers.edit(
    "7.1",
    "linspace that begins below T - 1",
    "n points have n - 1 distances between them. Divided by n, the grid never reaches T - 1.",
    ("(T - 1) / (n - 1)", "(T - 1) / n"),
)

answers.edit(
    "7.1",
    "linspace that stops above 0",
    "n points have n - 1 distances between them. Divided by n, the distances are too short, and "
    "the grid begins at T - 1 but does not get down to 0.",
    ("((n - 1 - i) * (T - 1) / (n - 1))", "((n - i) * (T - 1) / n)"),
)

answers.edit(
    "7.1",
    "linspace from T",
    "The last step is T - 1. Steps between T and 0 begin outside of the table.",
    ("(T - 1) / (n - 1)", "T / (n - 1)"),
)

answers.edit(
    "7.1",
    "leading with T / n not rounded down",
    "leading is made of whole multiples of one whole number, floor(T / n). The distances are all "
    "the same.",
    ("(n - 1 - i) * (T // n)", "((n - 1 - i) * T / n).round().long()"),
)

answers.edit(
    "7.1",
    "leading shifted by one",
    "Some code adds an offset of 1 to the leading grid. Here it ends at 0.",
    ("(T // n)", "(T // n) + 1"),
)


@answers.wrong(
    "7.1",
    "the grid ends with -1, the clean image",
    "The grid holds the steps at which the network is asked, n of them. The step from the last of "
    "them to the clean image belongs to the walk.",
)
def time_grid(alpha_bars, num_steps, spacing="trailing", lambda_min=-5.0):
    grid = ref.time_grid(alpha_bars, num_steps, spacing, lambda_min)
    return torch.cat([grid, torch.full_like(grid[:1], -1)])


answers.edit(
    "7.1",
    "the trailing grid whatever is asked for",
    "Four grids have four formulas. Yours gives the trailing one whatever is asked for.",
    ('    if spacing == "log_snr"', '    spacing = "trailing"\n    if spacing == "log_snr"'),
)

answers.edit(
    "7.1",
    "linspace by default",
    "The course's choice is trailing: it begins at T - 1 and its steps are all of the same length, "
    "the last one included.",
    ('spacing: str = "trailing"', 'spacing: str = "linspace"'),
)


def _levels(start, end, n):
    return start + (end - start) * torch.arange(n) / (n - 1)


def _lambdas(alpha_bars):
    return torch.log(alpha_bars / (1 - alpha_bars)) / 2


answers.edit(
    "7.1",
    "equal distances in alpha_bar",
    "alpha_bar between 0.9 and 1 spans more of lambda than between 0.1 and 0.9. Take the "
    "logarithm first, and then the equal distances.",
    ("torch.log(alpha_bars / (1 - alpha_bars)) / 2", "alpha_bars"),
    ("min=lambda_min", "min=torch.sigmoid(torch.tensor(2 * lambda_min))"),
)

answers.again(
    "7.1",
    "equal distances in alpha_bar",
    ("torch.log(alpha_bars / (1 - alpha_bars)) / 2", "alpha_bars"),
    (".clamp(min=lambda_min)", ""),
)

answers.edit(
    "7.1",
    "lambda_min is ignored",
    "On the cosine schedule lambda falls to -10 within the last few steps. Levels down there all "
    "fall on the same steps, and the picture gets what is left.",
    (".clamp(min=lambda_min)", ""),
)

answers.edit(
    "7.1",
    "the smaller of the two beginnings",
    "lambda_min is a limit from below: it keeps the levels from going deep into the noise. The "
    "larger of lambda_{T-1} and lambda_min does that.",
    (".clamp(min=lambda_min)", ".clamp(max=lambda_min)"),
)

answers.edit(
    "7.1",
    "log_snr divided by n",
    "n levels have n - 1 distances between them. Divided by n, the last level is not lambda_0 but "
    "lies one distance short of it.",
    ("* i / (n - 1)  # (n,)", "* i / n  # (n,)"),
)

answers.edit(
    "7.1",
    "lambda_min fixed at its default",
    "lambda_min is an argument; the caller may set another limit.",
    ("min=lambda_min", "min=-5.0"),
)

answers.edit(
    "7.1",
    "lambda taken as the whole log-SNR",
    "lambda is half the log-SNR: it compares amplitudes, sqrt(alpha_bar) with sqrt(1 - alpha_bar). "
    "So a lambda_min of -5 is a log-SNR of -10.",
    ("(1 - alpha_bars)) / 2", "(1 - alpha_bars))"),
)

answers.edit(
    "7.1",
    "the walk begins at lambda_min",
    "x_T is the noise of step T - 1, and the network must be told so. lambda_min only limits where "
    "the other steps lie.",
    ("        nearest[0] = T - 1\n", ""),
)


@answers.wrong(
    "7.1",
    "a step is visited twice",
    "Two levels may lie nearest to the same step. A second visit would lead from t to t, a step of "
    "no length: drop it.",
)
def time_grid(alpha_bars, num_steps, spacing="trailing", lambda_min=-5.0):
    if spacing != "log_snr":
        return ref.time_grid(alpha_bars, num_steps, spacing)
    ref.time_grid(alpha_bars, num_steps)  # which refuses what cannot be
    lambdas = _lambdas(alpha_bars)
    levels = _levels(lambdas[-1].clamp(min=lambda_min), lambdas[0], num_steps)
    steps = (levels[:, None] - lambdas).abs().argmin(dim=1)
    steps[0] = len(lambdas) - 1
    return steps


answers.again("7.1", "a step is visited twice", ("nearest.unique_consecutive()", "nearest"))

answers.again(
    "7.1",
    "a step is visited twice",
    ("lambdas[-1].clamp(min=lambda_min)", "max(lambdas[-1].item(), lambda_min)"),
    ("nearest.unique_consecutive()", "nearest"),
)


answers.edit(
    "7.1",
    "the next noisier step instead of the nearest",
    "searchsorted finds the place where a level would be put in, which is one of its two "
    "neighbours, and not always the nearer one.",
    (
        "nearest = (levels[:, None] - lambdas).abs().argmin(dim=1)",
        "levels[-1] = lambdas[0]\n"
        "        nearest = T - torch.searchsorted(lambdas.flip(0), levels, right=True)",
    ),
)

answers.edit(
    "7.1",
    "the next cleaner step instead of the nearest",
    "searchsorted finds the place where a level would be put in, which is one of its two "
    "neighbours, and not always the nearer one.",
    (
        "nearest = (levels[:, None] - lambdas).abs().argmin(dim=1)",
        "nearest = T - 1 - torch.searchsorted(lambdas.flip(0), levels).clamp(max=T - 1)",
    ),
)

answers.edit(
    "7.1",
    "nothing is refused",
    "A grid of one step, or of more steps than there are, is none, and a spacing that is spelled "
    "wrongly must not become another one. Keep the lines that raise a ValueError.",
    ("if not 2 <= num_steps <= len(alpha_bars)", "if False"),
    ('if spacing not in ("trailing", "leading", "linspace", "log_snr")', "if False"),
)

answers.edit(
    "7.1",
    "a num_steps that does not fit is replaced",
    "If you ask for 2,000 steps of 1,000, that is a mistake that you want to hear of. Raise a "
    "ValueError instead of making another grid.",
    (
        "if not 2 <= num_steps <= len(alpha_bars)",
        "num_steps = min(max(num_steps, 2), len(alpha_bars))\n    if False",
    ),
)

answers.edit(
    "7.1",
    "the grid on the CPU",
    "Make new tensors with device=alpha_bars.device: on a graphics card an index on the CPU costs "
    "time, or fails.",
    ('    if spacing == "trailing"', '    i = torch.arange(n)\n    if spacing == "trailing"'),
)


# 7.2


answers.edit(
    "7.2",
    "alpha_bar at step 0 where 1 belongs",
    "t = 0 is already one step of noise. t_next = -1 is the clean image, and there alpha_bar is 1.",
    ("(alpha_bars, t_next)", "(alpha_bars, t_next.clamp(min=0))"),
)

answers.edit(
    "7.2",
    "alpha_bars[-1] where 1 belongs",
    "An index of -1 is the last entry of a table: the most noise there is. Where t_next is -1 you "
    "want the clean image, alpha_bar = 1.",
    ("alpha_bar_at(alpha_bars, t_next)", "alpha_bars[t_next].view(-1, 1, 1, 1)"),
    ("(1 - a / a_next)", "(1 - a / a_next).clamp(min=0)"),
)

answers.again(
    "7.2",
    "alpha_bars[-1] where 1 belongs",
    ("alpha_bar_at(alpha_bars, t_next)", "alpha_bars[t_next].view(-1, 1, 1, 1)"),
)

answers.edit(
    "7.2",
    "eps not derived again after the clip",
    "Once x_0 is clipped, it and the network's eps no longer add up to x_t. Ask which eps does, "
    "with the clipped x_0.",
    ("    eps = (x_t - a.sqrt() * x0) / (1 - a).sqrt()\n", ""),
)

answers.edit(
    "7.2",
    "the guess of x_0 is not clipped",
    "In the first steps the guess is divided by a tiny sqrt(alpha_bar), which blows up every error "
    "of eps. No pixel is outside [-1, 1], so clip it.",
    (".clamp(-1, 1)", ""),
)

answers.edit(
    "7.2",
    "the result is clipped instead of x_0",
    "x_next still contains noise and may well lie outside [-1, 1]. Only the guess of the clean "
    "image has that range.",
    (".clamp(-1, 1)", ""),
    ("return x_next", "return x_next.clamp(-1, 1)"),
)

answers.edit(
    "7.2",
    "the result is clipped, too",
    "x_next still contains noise and may well lie outside [-1, 1]. Only the guess of the clean "
    "image has that range.",
    ("return x_next", "return x_next.clamp(-1, 1)"),
)

answers.edit(
    "7.2",
    "clipped to [0, 1]",
    "In this course images have the range [-1, 1]: black is -1, not 0.",
    ("clamp(-1, 1)", "clamp(0, 1)"),
)

answers.edit(
    "7.2",
    "eta = 0 whatever is handed in",
    "eta is how much of the ancestral walk's noise the step adds. Yours is deterministic whatever "
    "eta is.",
    ("    a, a_next", "    eta = 0\n    a, a_next"),
)

answers.edit(
    "7.2",
    "eta = 1 whatever is handed in",
    "sigma is proportional to the eta that is handed in. Without that factor, or with eta set to "
    "1, the step is that of eta = 1.",
    ("    a, a_next", "    eta = 1\n    a, a_next"),
)

answers.edit(
    "7.2",
    "eta = 1 unless another is named",
    "Without eta the step is the one without dice: its default is 0, and noise may then be None.",
    ("eta: float = 0.0", "eta: float = 1.0"),
)

answers.edit(
    "7.2",
    "the variance where the standard deviation belongs",
    "Noise that is multiplied by s has the variance s^2. sigma is the standard deviation: sigma "
    "before the noise, sigma^2 only under the root before eps.",
    ("+ sigma * noise", "+ sigma**2 * noise"),
)

answers.again(
    "7.2",
    "the variance where the standard deviation belongs",
    (
        "((1 - a_next) / (1 - a)).sqrt() * (1 - a / a_next).sqrt()",
        "(1 - a_next) / (1 - a) * (1 - a / a_next)",
    ),
)

answers.edit(
    "7.2",
    "no room made for the noise",
    "At t_next the image holds noise of the variance 1 - a_next in all. What the fresh noise "
    "brings has to be taken from eps, or there is too much of it.",
    (" - sigma**2).clamp(min=0)", ")"),
)

answers.edit(
    "7.2",
    "sigma not squared under the root",
    "What is under the root are variances: 1 - a_next - sigma^2.",
    ("sigma**2", "sigma"),
)

answers.edit(
    "7.2",
    "eta under the root",
    "eta multiplies sigma, not its square. At eta = 0 and 1 you cannot tell, but in between.",
    ("sigma = eta *", "sigma = eta**0.5 *"),
)

answers.edit(
    "7.2",
    'sigma of the "large" variance',
    "The root of 1 - a / a_next alone is that of beta. Equation 16 has one more factor, which "
    "makes the noise vanish at the clean image.",
    ("((1 - a_next) / (1 - a)).sqrt() * ", ""),
)

answers.edit(
    "7.2",
    "sigma of the step from t to t - 1",
    "From t to t - 1 the noise is that of one step of the schedule. The leap goes to t_next, and "
    "its noise is that of all the steps between.",
    (
        "sigma = eta * ((1 - a_next) / (1 - a)).sqrt() * (1 - a / a_next).sqrt()",
        "a_prev = alpha_bar_at(alpha_bars, t - 1)\n"
        "    sigma = eta * ((1 - a_prev) / (1 - a)).sqrt() * (1 - a / a_prev).sqrt()",
    ),
)

answers.edit(
    "7.2",
    "a fraction of sigma upside down",
    "(1 - a_next) / (1 - a) is below 1 and 1 - a / a_next as well. Turn neither of the two "
    "fractions upside down.",
    ("sigma = eta *", "sigma = eta and eta *"),
    ("(1 - a_next) / (1 - a)", "(1 - a) / (1 - a_next)"),
)

answers.again(
    "7.2",
    "a fraction of sigma upside down",
    ("(1 - a_next) / (1 - a)", "(1 - a) / (1 - a_next)"),
)

answers.again(
    "7.2",
    "a fraction of sigma upside down",
    ("(1 - a_next) / (1 - a)", "(1 - a) / (1 - a_next).clamp(min=1e-8)"),
)

answers.edit(
    "7.2",
    "None multiplied",
    "With eta = 0 the caller may hand in None as noise, and 0 times None is an error. Add the "
    "noise only if eta > 0.",
    ("if eta > 0:\n        x_next = ", "x_next = "),
)

answers.edit(
    "7.2",
    "new noise instead of the noise that is there",
    "DDIM puts back the same eps, only less of it. That makes the walk deterministic, and its "
    "steps may be long.",
    ("(1 - a_next - sigma**2).clamp(min=0).sqrt() * eps", "(1 - a_next).sqrt() * noise"),
    (" + sigma * noise", ""),
)

answers.edit(
    "7.2",
    "noise drawn inside the step",
    "The fresh noise is handed in as noise, so that the caller's generator decides on it. Nothing "
    "is left to draw.",
    ("sigma * noise", "sigma * torch.randn_like(x_t)"),
)

answers.edit(
    "7.2",
    "a root of less than nothing",
    "Near pure noise, 1 - a_next - sigma^2 comes out a little below 0 in float32, and its root is "
    "NaN. Clamp it at 0 first.",
    (".clamp(min=0)", ""),
)

answers.again(
    "7.2",
    "a root of less than nothing",
    (".clamp(min=0)", ""),
    (
        "((1 - a_next) / (1 - a)).sqrt() * (1 - a / a_next).sqrt()",
        "((1 - a_next) / (1 - a) * (1 - a / a_next)).sqrt()",
    ),
)

answers.edit(
    "7.2",
    "the roots of alpha_bar_next forgotten",
    "alpha_bar is a share of power. Images are multiplied by amplitudes: sqrt(a_next) before x_0.",
    ("a_next.sqrt() * x0", "a_next * x0"),
)

answers.edit(
    "7.2",
    "every step leads to t - 1",
    "The step may skip many steps of the schedule. Where it leads is t_next.",
    ("(alpha_bars, t_next)", "(alpha_bars, t - 1)"),
)

answers.edit(
    "7.2",
    "values of shape (B,) against images",
    "A (B,) tensor is lined up with the last axis, the image's columns. Give it shape "
    "(B, 1, 1, 1), or each column instead of each image gets its own t.",
    ("(alpha_bars, t)", "(alpha_bars, t).flatten()"),
    ("(alpha_bars, t_next)", "(alpha_bars, t_next).flatten()"),
)

answers.edit(
    "7.2",
    "the first image's steps for all",
    "The images of a batch may be at different steps: read the table with the whole t.",
    ("(alpha_bars, t)", "(alpha_bars, t[:1])"),
    ("(alpha_bars, t_next)", "(alpha_bars, t_next[:1])"),
)

answers.again(
    "7.2",
    "the first image's steps for all",
    ("(alpha_bars, t)", "(alpha_bars, t[:1])"),
)

answers.edit(
    "7.2",
    "one landing for the whole batch",
    "Each image has its own t_next. If one of them lands on the clean image, the others do not.",
    (
        "    a, a_next",
        "    if (t_next < 0).any():\n        t_next = torch.full_like(t_next, -1)\n    a, a_next",
    ),
)


@answers.wrong(
    "7.2",
    "written into the caller's x_t",
    "x_t -= ... changes the tensor that was handed in. x_t - ... makes a new one.",
)
def ddim_step(x_t, t, t_next, eps, noise, alpha_bars, predict_x0, eta=0.0):
    x_next = ref.ddim_step(x_t, t, t_next, eps, noise, alpha_bars, predict_x0, eta)
    x_t -= (1 - ref.alpha_bar_at(alpha_bars, t)).sqrt() * eps
    return x_next


answers.edit(
    "7.2",
    "x_0 worked out again, past predict_x0",
    "You wrote this formula once, in chapter 02, and the step is handed it as predict_x0. Hand "
    "it another guesser, and it must use that one's guess.",
    ("predict_x0(x_t, t, eps, alpha_bars)", "((x_t - (1 - a).sqrt() * eps) / a.sqrt())"),
)

answers.edit(
    "7.2",
    "a 1 on the CPU",
    "torch.tensor(1.0) or torch.ones(1) lie on the CPU. Use a plain number, or device=x_t.device.",
    (
        "    a, a_next",
        "    whole, alpha_bars = alpha_bars, torch.cat([alpha_bars, torch.ones(1)])\n    a, a_next",
    ),
    ("predict_x0(x_t, t, eps, alpha_bars)", "predict_x0(x_t, t, eps, whole)"),
)

answers.edit(
    "7.2",
    "a longer table handed on to predict_x0",
    "A table with a 1 at its end is good for this step, but predict_x0 is promised the schedule. "
    "Give the longer one a name of its own.",
    (
        "    a, a_next",
        "    alpha_bars = torch.cat([alpha_bars, alpha_bars.new_ones(1)])\n    a, a_next",
    ),
)

answers.edit(
    "7.2",
    "alpha_bar limited from below",
    "The cosine schedule ends at an alpha_bar of 2e-9. That is no danger here: a / a_next stays "
    "below 1, and x_0 is clipped. With a limit, x_0 gets a weight in the first steps that it does "
    "not have.",
    (
        "    a, a_next",
        "    whole, alpha_bars = alpha_bars, alpha_bars.clamp(min=1e-5)\n    a, a_next",
    ),
    ("predict_x0(x_t, t, eps, alpha_bars)", "predict_x0(x_t, t, eps, whole)"),
)


# 7.3


answers.edit(
    "7.3",
    "lambda taken as the whole log-SNR",
    "lambda compares amplitudes, the log-SNR compares powers. lambda is half of it: "
    "log(a / (1 - a)) / 2.",
    ("(1 - a_next)) / 2", "(1 - a_next))"),
    ("(1 - a)) / 2", "(1 - a))"),
)

answers.edit(
    "7.3",
    "h measured in t",
    "Steps that are equally long in t are not so in lambda, and it is lambda in which the equation "
    "is written: h = lambda_next - lambda.",
    (
        "h = torch.log(a_next / (1 - a_next)) / 2 - torch.log(a / (1 - a)) / 2",
        "h = ((t - t_next) / len(alpha_bars)).view(-1, 1, 1, 1)",
    ),
)

answers.again(
    "7.3",
    "h measured in t",
    (
        "h = torch.log(a_next / (1 - a_next)) / 2 - torch.log(a / (1 - a)) / 2",
        "h = (t - t_next).view(-1, 1, 1, 1)",
    ),
)

answers.edit(
    "7.3",
    "h with the wrong sign",
    "The weight of x_0 is 1 - e^(-h), with h = lambda_next - lambda. The walk goes towards less "
    "noise, so h > 0, and the exponent needs the minus: without it the weight is negative.",
    ("expm1(-h)", "expm1(h)"),
)

answers.edit(
    "7.3",
    "e^(-h) without the - 1",
    "expm1(-h) is e^(-h) - 1. A step of length 0 must leave x_t alone, so the weight of x_0 is 0 "
    "there.",
    ("expm1(-h)", "exp(-h)"),
)

answers.edit(
    "7.3",
    "an Euler step for y",
    "e^lambda grows on the way, and a long step does not see it. As long as x_0 stays what it is, "
    "the integral of e^lambda is known, and the step is exact.",
    (
        "    return ((1 - a_next) / (1 - a)).sqrt() * x_t - a_next.sqrt() * torch.expm1(-h) * x0",
        "    y_next = x_t / (1 - a).sqrt() + h * (a / (1 - a)).sqrt() * x0\n"
        "    landing = t_next.view(-1, 1, 1, 1) < 0\n"
        "    return torch.where(landing, x0, (1 - a_next).sqrt() * y_next)",
    ),
)

answers.edit(
    "7.3",
    "plus instead of minus before x_0",
    "e^(-h) - 1 is negative. The minus before it makes the weight of x_0 positive: the step goes "
    "towards the image, not away from it.",
    ("- a_next.sqrt()", "+ a_next.sqrt()"),
)

answers.edit(
    "7.3",
    "e^h - 1 instead of 1 - e^(-h)",
    "To turn the sign of e^(-h) - 1 is to exchange its two terms, and the exponent stays as it is. "
    "e^h - 1 grows without end where lambda does.",
    ("- a_next.sqrt() * torch.expm1(-h)", "+ a_next.sqrt() * torch.expm1(h)"),
)

answers.edit(
    "7.3",
    "the noise levels upside down",
    "Noise shrinks from sqrt(1 - a) to sqrt(1 - a_next): the next one is above the line, the "
    "present one below.",
    ("(1 - a_next) / (1 - a)", "(1 - a) / (1 - a_next)"),
)

answers.edit(
    "7.3",
    "the signal's amplitudes before x_t, the rest unchanged",
    "What the equation follows is x / sqrt(1 - alpha_bar). So x_t is divided by the amplitude of "
    "the noise at t and multiplied by that at t_next.",
    ("((1 - a_next) / (1 - a)).sqrt()", "(a_next / a).sqrt()"),
)

answers.edit(
    "7.3",
    "zero times infinity in the last step",
    "At the clean image e^lambda is infinite and sqrt(1 - a_next) is 0; their product is NaN. With "
    "e^(-h), which is 0 there, nothing infinite is left.",
    (
        "return ((1 - a_next) / (1 - a)).sqrt() * x_t - a_next.sqrt() * torch.expm1(-h) * x0",
        "e, e_next = (a / (1 - a)).sqrt(), (a_next / (1 - a_next)).sqrt()\n"
        "    return (1 - a_next).sqrt() * (x_t / (1 - a).sqrt() + (e_next - e) * x0)",
    ),
)

answers.edit(
    "7.3",
    "the guess of x_0 is not clipped",
    "In the first steps the guess is divided by a tiny sqrt(alpha_bar), which blows up every error "
    "of eps. No pixel is outside [-1, 1], so clip it.",
    (".clamp(-1, 1)", ""),
)

answers.edit(
    "7.3",
    "the result is clipped instead of x_0",
    "x_next still contains noise and may well lie outside [-1, 1]. Only the guess of the clean "
    "image has that range.",
    (".clamp(-1, 1)", ""),
    ("return ((1", "return (((1"),
    ("(-h) * x0", "(-h) * x0).clamp(-1, 1)"),
)

answers.edit(
    "7.3",
    "the result is clipped, too",
    "x_next still contains noise and may well lie outside [-1, 1]. Only the guess of the clean "
    "image has that range.",
    ("return ((1", "return (((1"),
    ("(-h) * x0", "(-h) * x0).clamp(-1, 1)"),
)

answers.edit(
    "7.3",
    "eps in the place of x_0, the rest unchanged",
    "This is the form with the prediction of the data, the ++ in the name. First turn eps into "
    "x_0.",
    ("(-h) * x0", "(-h) * eps"),
)

answers.edit(
    "7.3",
    "the form for eps, in which nothing is clipped",
    "With the network's eps in the formula, the guess of x_0 has no part in the step, clipped or "
    "not. This is the form with the prediction of the data, the ++ in the name.",
    (".clamp(-1, 1)", ""),
    (
        "    h = torch.log(a_next / (1 - a_next)) / 2 - torch.log(a / (1 - a)) / 2\n"
        "    return ((1 - a_next) / (1 - a)).sqrt() * x_t - a_next.sqrt() * torch.expm1(-h) * x0",
        "    h = (torch.logit(a_next.clamp(max=1 - 1e-7)) - torch.logit(a)) / 2\n"
        "    x_next = (a_next / a).sqrt() * x_t - (1 - a_next).sqrt() * torch.expm1(h) * eps\n"
        "    return torch.where(t_next.view(-1, 1, 1, 1) < 0, x0, x_next)",
    ),
)

answers.edit(
    "7.3",
    "alpha_bar at step 0 where 1 belongs",
    "t = 0 is already one step of noise. t_next = -1 is the clean image, and there alpha_bar is 1.",
    ("(alpha_bars, t_next)", "(alpha_bars, t_next.clamp(min=0))"),
)

answers.edit(
    "7.3",
    "alpha_bars[-1] where 1 belongs",
    "An index of -1 is the last entry of a table: the most noise there is. Where t_next is -1 you "
    "want the clean image, alpha_bar = 1.",
    ("alpha_bar_at(alpha_bars, t_next)", "alpha_bars[t_next].view(-1, 1, 1, 1)"),
)

answers.edit(
    "7.3",
    "alpha_bar of the present step before x_0",
    "x_0 arrives at t_next, so it is multiplied by the signal's amplitude there, sqrt(a_next).",
    ("a_next.sqrt() * torch", "a.sqrt() * torch"),
)

answers.edit(
    "7.3",
    "roots forgotten",
    "alpha_bar and 1 - alpha_bar are powers. What multiplies images are amplitudes, their roots.",
    ("((1 - a_next) / (1 - a)).sqrt()", "(1 - a_next) / (1 - a)"),
    ("a_next.sqrt() * torch", "a_next * torch"),
)

answers.again(
    "7.3",
    "roots forgotten",
    ("((1 - a_next) / (1 - a)).sqrt()", "(1 - a_next) / (1 - a)"),
)

answers.again("7.3", "roots forgotten", ("a_next.sqrt() * torch", "a_next * torch"))

answers.edit(
    "7.3",
    "values of shape (B,) against images",
    "A (B,) tensor is lined up with the last axis, the image's columns. Give it shape "
    "(B, 1, 1, 1), or each column instead of each image gets its own t.",
    ("(alpha_bars, t)", "(alpha_bars, t).flatten()"),
    ("(alpha_bars, t_next)", "(alpha_bars, t_next).flatten()"),
)

answers.edit(
    "7.3",
    "the first image's steps for all",
    "The images of a batch may be at different steps: read the table with the whole t.",
    ("(alpha_bars, t)", "(alpha_bars, t[:1])"),
    ("(alpha_bars, t_next)", "(alpha_bars, t_next[:1])"),
)

answers.edit(
    "7.3",
    "one landing for the whole batch",
    "Each image has its own t_next. If one of them lands on the clean image, the others do not.",
    ("    h = torch.log", "    if (t_next < 0).any():\n        return x0\n    h = torch.log"),
)

answers.edit(
    "7.3",
    "x_0 worked out again, past predict_x0",
    "You wrote this formula once, in chapter 02, and the step is handed it as predict_x0. Hand "
    "it another guesser, and it must use that one's guess.",
    ("predict_x0(x_t, t, eps, alpha_bars)", "((x_t - (1 - a).sqrt() * eps) / a.sqrt())"),
)

answers.edit(
    "7.3",
    "a 1 on the CPU",
    "torch.tensor(1.0) or torch.ones(1) lie on the CPU. Use a plain number, or device=x_t.device.",
    (
        "    a, a_next",
        "    whole, alpha_bars = alpha_bars, torch.cat([alpha_bars, torch.ones(1)])\n    a, a_next",
    ),
    ("predict_x0(x_t, t, eps, alpha_bars)", "predict_x0(x_t, t, eps, whole)"),
)

answers.edit(
    "7.3",
    "a longer table handed on to predict_x0",
    "A table with a 1 at its end is good for this step, but predict_x0 is promised the schedule. "
    "Give the longer one a name of its own.",
    (
        "    a, a_next",
        "    alpha_bars = torch.cat([alpha_bars, alpha_bars.new_ones(1)])\n    a, a_next",
    ),
)

answers.edit(
    "7.3",
    "alpha_bar limited from below",
    "The cosine schedule ends at an alpha_bar of 2e-9, and nothing here is divided by it but in "
    "predict_x0. With a limit, x_0 gets a weight in the first steps that it does not have.",
    (
        "    a, a_next",
        "    whole, alpha_bars = alpha_bars, alpha_bars.clamp(min=1e-5)\n    a, a_next",
    ),
    ("predict_x0(x_t, t, eps, alpha_bars)", "predict_x0(x_t, t, eps, whole)"),
)


# 7.4


answers.edit(
    "7.4",
    "noise over signal in lambda",
    "lambda compares the signal with the noise: alpha_bar is above the line, 1 - alpha_bar below.",
    ("torch.log(alpha_bar / (1 - alpha_bar)) / 2", "torch.log((1 - alpha_bar) / alpha_bar) / 2"),
)

answers.edit(
    "7.4",
    "the two lengths exchanged",
    "The longer this step is, the further away is its middle, and the further D lies beyond x_0. "
    "The last step's length belongs below the line: it says how fast x_0 changed.",
    ("/ (2 * r)", "* r / 2"),
)

answers.edit(
    "7.4",
    "x_0 at the end of the step",
    "D is x_0 halfway through the step, where it has changed by half as much as at the end.",
    ("(2 * r)", "r"),
)

answers.edit(
    "7.4",
    "back instead of on",
    "x_0 minus a part of its change lies between the last guess and this one. D lies beyond x_0: "
    "it was 0.2, is 0.3 now, and will be more.",
    ("x0 + (x0 - x0_before)", "x0 - (x0 - x0_before)"),
)

answers.edit(
    "7.4",
    "the mean of the two guesses",
    "The mean lies halfway back to the last guess. D looks ahead: x_0 goes on changing as it did, "
    "and D lies beyond it.",
    ("x0 + (x0 - x0_before) / (2 * r)", "(x0 + x0_before) / 2"),
)

answers.edit(
    "7.4",
    "all steps taken as equally long",
    "Half of the last change is right only if this step is as long in lambda as the last one. "
    "Steps that are equal in t are not equal in lambda.",
    ("(2 * r)", "2"),
)

answers.edit(
    "7.4",
    "lengths measured in t",
    "The steps' lengths are differences of lambda. In t the same two may look equally long.",
    (
        "r = (half_log_snr(a) - half_log_snr(alpha_bar_at(alpha_bars, t_before))) / h",
        "r = ((t_before - t) / (t - t_next)).view(-1, 1, 1, 1)",
    ),
)

answers.edit(
    "7.4",
    "the last step's length measured over both steps",
    "The last step's length is lambda - lambda_before. lambda_next - lambda_before is both steps "
    "together.",
    ("r = (half_log_snr(a) -", "r = (half_log_snr(a_next) -"),
)

answers.edit(
    "7.4",
    "the last step's length for this step, too",
    "Each step has a length of its own: this one goes from lambda to lambda_next. The last step's "
    "length only says how fast x_0 has been changing.",
    (
        "        r = (half_log_snr(a) - half_log_snr(alpha_bar_at(alpha_bars, t_before))) / h\n",
        "        h_before = half_log_snr(a) - half_log_snr(alpha_bar_at(alpha_bars, t_before))\n"
        "        h = torch.where(t_next.view(-1, 1, 1, 1) < 0, h, h_before)\n"
        "        r = h_before / h\n",
    ),
)

answers.edit(
    "7.4",
    "the memory is ignored",
    "Without looking back this is the step of first order.",
    ("torch.where(t_next.view(-1, 1, 1, 1) < 0, x0, second_order)", "x0"),
)

answers.edit(
    "7.4",
    "second order in the last step",
    "Where t_next is -1, h is infinite, and so is the step beyond x_0. The last step takes D = "
    "x_0.",
    ("torch.where(t_next.view(-1, 1, 1, 1) < 0, x0, second_order)", "second_order"),
)

answers.edit(
    "7.4",
    "one landing for the whole batch",
    "If one image lands on the clean image, the others still take a step of second order. A mask, "
    "made from the whole t_next, decides for each image.",
    ("t_next.view(-1, 1, 1, 1) < 0", "(t_next < 0).any()"),
)


_kept = {}


@answers.wrong(
    "7.4",
    "history kept between calls",
    "Another walk's x_0 has nothing to do with this one's. All that a step may know of the past is "
    "the memory that it is handed; with None it is the first.",
)
def dpm_2m_step(x_t, t, t_next, eps, alpha_bars, predict_x0, memory=None):
    if _kept.get("schedule") is not alpha_bars:  # else one check would disturb another
        _kept.update(schedule=alpha_bars, memory=None)
    before = _kept["memory"]
    if before is not None and before[1].shape != x_t.shape:
        before = None
    x_next, _kept["memory"] = ref.dpm_2m_step(x_t, t, t_next, eps, alpha_bars, predict_x0, before)
    return x_next, _kept["memory"]


answers.edit(
    "7.4",
    "D remembered instead of x_0",
    "D already looks ahead. The next step wants to know how the guesses themselves change.",
    ("(t, x0)", "(t, D)"),
)

answers.edit(
    "7.4",
    "t_next remembered instead of t",
    "The guess x_0 was made at t. Kept with t_next, the last step's length comes out as 0.",
    ("(t, x0)", "(t_next, x0)"),
)

answers.edit(
    "7.4",
    "the first step's memory kept for the whole walk",
    "Each step looks back to the step just before it. Return this step's (t, x_0), not the old "
    "one.",
    ("(t, x0)", "(t, x0) if memory is None else memory"),
)

answers.edit(
    "7.4",
    "eps remembered instead of x_0",
    "The step works with guesses of the data. What it compares with is the x_0 of the last step.",
    ("(t, x0)", "(t, eps)"),
)

answers.edit(
    "7.4",
    "x_t remembered instead of x_0",
    "x_t still has noise in it and says little about how the guess changes. What D is made of is "
    "two guesses of the clean image, this step's and the last one's.",
    ("(t, x0)", "(t, x_t)"),
)

answers.edit(
    "7.4",
    "the guess of x_0 is not clipped",
    "In the first steps the guess is divided by a tiny sqrt(alpha_bar), which blows up every error "
    "of eps. No pixel is outside [-1, 1], so clip it.",
    (".clamp(-1, 1)", ""),
)

answers.edit(
    "7.4",
    "the unclipped x_0 remembered",
    "Clip the guess before you use it and before you keep it, or D compares two different things.",
    ("(t, x0)", "(t, predict_x0(x_t, t, eps, alpha_bars))"),
)

answers.edit(
    "7.4",
    "D is clipped",
    "x_0 is clipped because it is a guess of an image. D says where x_0 is heading, and may lie "
    "beyond.",
    ("x0, second_order)", "x0, second_order.clamp(-1, 1))"),
)

answers.edit(
    "7.4",
    "lambda taken as the whole log-SNR",
    "lambda compares amplitudes, the log-SNR compares powers. A quotient of two lengths does not "
    "notice the factor 2, but e^(-h) does.",
    ("(1 - alpha_bar)) / 2", "(1 - alpha_bar))"),
)

answers.edit(
    "7.4",
    "e^(-h) without the - 1",
    "expm1(-h) is e^(-h) - 1. A step of length 0 must leave x_t alone, so the weight of D is 0 "
    "there.",
    ("expm1(-h)", "exp(-h)"),
)

answers.edit(
    "7.4",
    "only the images come back",
    "The result is a pair: x_next, and the memory for the next step.",
    ("return x_next, (t, x0)", "return x_next"),
)

answers.edit(
    "7.4",
    "values of shape (B,) against images",
    "A (B,) tensor is lined up with the last axis, the image's columns. Give it shape "
    "(B, 1, 1, 1), or each column instead of each image gets its own lengths.",
    ("(x0 - x0_before) / (2 * r)", "1 / (2 * r.flatten()) * (x0 - x0_before)"),
)

answers.edit(
    "7.4",
    "x_0 worked out again, past predict_x0",
    "You wrote this formula once, in chapter 02, and the step is handed it as predict_x0. Hand "
    "it another guesser, and it must use that one's guess.",
    ("predict_x0(x_t, t, eps, alpha_bars)", "((x_t - (1 - a).sqrt() * eps) / a.sqrt())"),
)

answers.edit(
    "7.4",
    "a 1 on the CPU",
    "torch.tensor(1.0) or torch.ones(1) lie on the CPU. Use a plain number, or device=x_t.device.",
    (
        "    a, a_next",
        "    whole, alpha_bars = alpha_bars, torch.cat([alpha_bars, torch.ones(1)])\n    a, a_next",
    ),
    ("predict_x0(x_t, t, eps, alpha_bars)", "predict_x0(x_t, t, eps, whole)"),
)

answers.edit(
    "7.4",
    "a longer table handed on to predict_x0",
    "A table with a 1 at its end is good for this step, but predict_x0 is promised the schedule. "
    "Give the longer one a name of its own.",
    (
        "    a, a_next",
        "    alpha_bars = torch.cat([alpha_bars, alpha_bars.new_ones(1)])\n    a, a_next",
    ),
)

answers.edit(
    "7.4",
    "alpha_bar limited from below",
    "The cosine schedule ends at an alpha_bar of 2e-9, and nothing here is divided by it but in "
    "predict_x0. With a limit, x_0 gets a weight in the first steps that it does not have.",
    (
        "    a, a_next",
        "    whole, alpha_bars = alpha_bars, alpha_bars.clamp(min=1e-5)\n    a, a_next",
    ),
    ("predict_x0(x_t, t, eps, alpha_bars)", "predict_x0(x_t, t, eps, whole)"),
)


# 7.5


answers.edit(
    "7.5",
    "nothing put into the film",
    "film begins as an empty list, and each frame that film_steps asks for is appended to it.",
    ("film.append(x)", "pass"),
)

answers.edit(
    "7.5",
    "only the images come back",
    "The result is a pair: the images and the film, which is an empty list if no frame is kept.",
    ("return x, film", "return x"),
)

answers.edit(
    "7.5",
    "from the cleanest step to the noisiest",
    "The grid is handed in with the noisiest step first, which is where x_T belongs.",
    ("timesteps.tolist()", "timesteps.tolist()[::-1]"),
)

answers.edit(
    "7.5",
    "t - 1 instead of the grid's next step",
    "The walk leaves steps out. Where a step leads is the next t of the grid.",
    ("[*grid[1:], -1]", "[t - 1 for t in grid]"),
)

answers.edit(
    "7.5",
    "the walk ends at t = 0",
    "t = 0 is one step of noise. The last step leads to the clean image, which is t_next = -1.",
    ("[*grid[1:], -1]", "[*grid[1:], 0]"),
)

answers.edit(
    "7.5",
    "no step from the last t of the grid",
    "zip(grid, grid[1:]) has one pair less than the grid has steps. After the last t comes -1, the "
    "clean image.",
    ("[*grid[1:], -1]", "grid[1:]"),
)

answers.edit(
    "7.5",
    "numbers of the grid's places instead of its steps",
    "The network was trained with the steps of the full schedule, and the tables are read with "
    "them too. Hand out timesteps[i], not i.",
    ("timesteps.tolist()", "list(range(len(timesteps)))[::-1]"),
)

answers.edit(
    "7.5",
    "the network asked about t_next",
    "The images that the network sees are those at t. Told a cleaner step, it takes noise for "
    "strokes.",
    ("predict_eps(x, t)", "predict_eps(x, t_next.clamp(min=0))"),
)

answers.edit(
    "7.5",
    "the network, and guidance with it, asked in the first step only",
    "eps belongs to the images as they are at this step. Ask again inside the loop: guidance too "
    "must be there at every step.",
    ("eps = predict_eps(x, t)", "if now == grid[0]:\n            eps = predict_eps(x, t)"),
)

answers.edit(
    "7.5",
    "the network asked twice a step",
    "Calls of the network are all that costs time here. One for each step, and keep its answer.",
    ("eps = predict_eps(x, t)", "predict_eps(x, t)\n        eps = predict_eps(x, t)"),
)

answers.edit(
    "7.5",
    "the network always sees x_T",
    "After the first step the images have changed, and so has the noise in them. Ask the network "
    "about the images as they are now.",
    ("predict_eps(x, t)", "predict_eps(x_T, t)"),
)

answers.edit(
    "7.5",
    "every step begins at x_T",
    "step returns the images for the next round. Give them the name x again, and hand x to step.",
    ("= step(x,", "= step(x_T,"),
)

answers.planted(
    "7.5",
    "the memory is set back in every step",
    "What step returned as its memory is None again before the next step is called. A walk begins "
    "with memory = None once, before its first step.",
)

answers.edit(
    "7.5",
    "the memory is set back after a frame",
    "To keep a frame is only to look. The memory goes on through the whole walk, whatever is "
    "filmed on the way.",
    ("            film.append(x)", "            film.append(x)\n            memory = None"),
)

answers.edit(
    "7.5",
    "a memory made up by the walk",
    "What is to be remembered only step knows, and it may be anything. Hand on what it returned as "
    "its memory, just as it is.",
    ("x, memory = step(", "x, _ = step("),
    ("        if now in film_steps", "        memory = (t, x)\n        if now in film_steps"),
)

answers.edit(
    "7.5",
    "the memory of the step before the last",
    "Each step is handed what the step just before it has returned. Kept for one more round, it "
    "comes too late.",
    ("memory, noise = None, None", "memory, newest, noise = None, None, None"),
    (
        "        x, memory = step(x, t, t_next, eps, noise, memory)",
        "        x, new = step(x, t, t_next, eps, noise, memory)\n"
        "        memory, newest = newest, new",
    ),
)


_left = {}


@answers.wrong(
    "7.5",
    "history kept between calls",
    "A default such as memory=[] or a global is shared by all walks: the second begins with what "
    "the first left. Set memory = None inside the function.",
)
@torch.no_grad()
def fast_sample(predict_eps, step, x_T, timesteps, generator=None, film_steps=()):
    def keep(x, t, t_next, eps, noise, memory):
        x, _left["memory"] = step(x, t, t_next, eps, noise, _left["memory"])
        return x, None

    if _left.get("x_T") is not x_T:  # else one check would disturb another
        _left.update(x_T=x_T, memory=None)
    return ref.fast_sample(predict_eps, keep, x_T, timesteps, generator, film_steps)


answers.edit(
    "7.5",
    "noise drawn without a generator",
    "Without a generator the walk is deterministic: hand None to step as noise, and leave torch's "
    "own generator alone.",
    ("if generator is not None:\n            noise", "noise"),
)

answers.edit(
    "7.5",
    "zeros instead of None",
    "Without a generator step is handed None, which says that there is no noise. Zeros look like "
    "noise, and a step of eta = 1 would go wrong without a word.",
    ("memory, noise = None, None", "memory, noise = None, torch.zeros_like(x_T)"),
)

answers.edit(
    "7.5",
    "noise drawn and thrown away",
    "Without a generator torch's own one is advanced, which changes whatever is drawn next. Draw "
    "only if there is a generator.",
    (
        "        x, memory = step",
        "        else:\n            torch.randn_like(x)\n        x, memory = step",
    ),
)

answers.edit(
    "7.5",
    "no noise although there is a generator",
    "With a generator each step gets fresh noise. How much of it enters is the step's business.",
    ("if generator is not None", "if False"),
)

answers.edit(
    "7.5",
    "one noise for all steps",
    "Drawn only once, the same noise enters in every step and adds up. Draw anew in each.",
    ("if generator is not None", "if generator is not None and noise is None"),
)

answers.edit(
    "7.5",
    "one noise image for the whole batch",
    "Each image needs noise of its own: draw it with the shape of x.",
    ("randn(x.shape,", "randn(x[:1].shape,"),
    ("dtype=x.dtype)", "dtype=x.dtype).expand_as(x)"),
)

answers.edit(
    "7.5",
    "x_T used as noise",
    "x_T is where the walk begins. The noise of a step must be independent of it, and new.",
    ("torch.randn(x.shape, generator=generator, device=x.device, dtype=x.dtype)", "x_T.clone()"),
)

answers.edit(
    "7.5",
    "noise between 0 and 1",
    "torch.rand draws evenly between 0 and 1. Gaussian noise is torch.randn.",
    (
        "torch.randn(x.shape, generator=generator, device=x.device, dtype=x.dtype)",
        "torch.rand(x.shape, generator=generator, device=x.device)",
    ),
)

answers.edit(
    "7.5",
    "the generator is not used",
    "randn_like and randn without generator=... draw from torch's own generator: the same seed "
    "then gives other images.",
    ("generator=generator, ", ""),
)

answers.edit(
    "7.5",
    "a t without axes",
    "The network embeds a t for every image of the batch, so it wants a tensor of shape (B,).",
    ("(x.shape[0],)", "()"),
)

answers.edit(
    "7.5",
    "a t of shape (1,)",
    "A single t, of shape (1,), is not one for each image: some networks would accept it, others "
    "not. t has shape (B,).",
    ("(x.shape[0],)", "(1,)"),
)

answers.edit(
    "7.5",
    "a floating-point t",
    "t is an index into tables, and an index is int64. A float32 t, which torch.ones and "
    "torch.zeros make too, cannot be one.",
    ("dtype=torch.int64", "dtype=torch.float32"),
)

answers.edit(
    "7.5",
    "the film shows the images before the step",
    "A frame is what a step made. Append x after the step, not before it.",
    ("        if now in film_steps:\n            film.append(x)\n", ""),
    (
        "        x, memory = step",
        "        if now in film_steps:\n            film.append(x)\n        x, memory = step",
    ),
)

answers.again(
    "7.5",
    "the film shows the images before the step",
    ("        if now in film_steps:\n            film.append(x)\n", ""),
    (
        "        t = torch.full(",
        "        if now in film_steps:\n            film.append(x)\n        t = torch.full(",
    ),
)

answers.edit(
    "7.5",
    "frames named after where their step leads",
    "film_steps names the steps by the t that they begin at: what step t makes is kept when the "
    "step that has just been made is t itself.",
    ("if now in film_steps", "if following in film_steps"),
)

answers.edit(
    "7.5",
    "x_T overwritten",
    "x = x_T makes no copy, so changing x in place changes the caller's x_T, and all frames show "
    "the same tensor. Let x name the new tensor that step returns.",
    ("x, memory = step(", "moved, memory = step("),
    ("        if now in film_steps", "        x.copy_(moved)\n        if now in film_steps"),
)

answers.edit(
    "7.5",
    "all frames are the same tensor",
    "A list holds references, not pictures. If x is changed in place, every frame changes with it; "
    "keep a new tensor for each frame.",
    ("x, film = x_T, []", "x, film = x_T.clone(), []"),
    ("x, memory = step(", "moved, memory = step("),
    ("        if now in film_steps", "        x.copy_(moved)\n        if now in film_steps"),
)

answers.edit(
    "7.5",
    "every step is filmed",
    "Only the steps that film_steps names belong into the film.",
    ("if now in film_steps:\n            film.append(x)", "film.append(x)"),
)

answers.edit(
    "7.5",
    "the film is chosen by the grid's places",
    "film_steps holds steps t of the schedule, as the network knows them, not their places in the "
    "grid.",
    ("if now in film_steps", "if grid[::-1].index(now) in film_steps"),
)

answers.edit(
    "7.5",
    "a graph is built for gradients",
    "Nothing is trained here. Without torch.no_grad() every step's intermediate results are kept, "
    "which fills the memory.",
    ("@torch.no_grad()\n", ""),
)

answers.edit(
    "7.5",
    "t made on the CPU",
    "torch.full makes its tensor on the CPU unless it is told device=x.device.",
    ("dtype=torch.int64, device=x.device", "dtype=torch.int64"),
)

answers.edit(
    "7.5",
    "zeros as noise in the last step",
    "Each step is handed fresh noise, the last one too. What a step does with it is the step's own "
    "business: that of DDIM multiplies it by 0 where it lands.",
    (
        "        x, memory = step",
        "        if noise is not None and following < 0:\n"
        "            noise = torch.zeros_like(noise)\n"
        "        x, memory = step",
    ),
)

answers.edit(
    "7.5",
    "torch's own generator given a seed",
    "torch.manual_seed sets the generator that everything else draws from as well. Hand the one "
    "that you are given to torch.randn: generator=generator.",
    (
        "    x, film = x_T, []",
        "    if generator is not None:\n"
        "        torch.manual_seed(generator.initial_seed())\n"
        "    x, film = x_T, []",
    ),
    ("generator=generator, ", ""),
)

answers.edit(
    "7.5",
    "gradients switched off for good",
    "torch.set_grad_enabled(False) holds until somebody sets it again, so that nothing trains "
    "after the walk. torch.no_grad(), above the function or in a with block, ends with it.",
    ("@torch.no_grad()\n", ""),
    ("    x, film = x_T, []", "    torch.set_grad_enabled(False)\n    x, film = x_T, []"),
)

answers.edit(
    "7.5",
    "noise drawn on the CPU",
    "torch.randn draws on the CPU unless it is told device=x.device.",
    ("generator=generator, device=x.device", "generator=generator"),
)
