"""Known wrong answers to chapter 01, each with the misunderstanding behind it."""

import math

import torch

from course.grading.answers import Answers
from solutions import ch01_noise_schedule as ref

answers = Answers()


def _refuse(num_steps, beta_start=1e-4, beta_end=0.02):
    """What the first lines of the first two exercises do."""
    if num_steps < 2:
        raise ValueError(f"num_steps must be at least 2, got {num_steps}")
    if not 0 < beta_start <= beta_end < 1:
        raise ValueError(f"need 0 < beta_start <= beta_end < 1, got {beta_start} and {beta_end}")


HANDED_OUT_FLOAT64 = (
    "Compute in float64, but hand out float32. Otherwise every image that meets the table turns "
    "into float64 as well."
)


# 1.1


@answers.wrong(
    "1.1",
    "dividing by T instead of T-1",
    "Between T values there are T-1 gaps. With T gaps the last value falls short of beta_end.",
)
def linear_betas(num_steps, beta_start=1e-4, beta_end=0.02):
    _refuse(num_steps, beta_start, beta_end)
    t = torch.arange(num_steps, dtype=torch.float64)
    return (beta_start + (beta_end - beta_start) * t / num_steps).float()


answers.edit(
    "1.1",
    "one value too many",
    "There are T steps, and each has its own beta. Think of a fence: the betas are the posts, and "
    "there is one gap less.",
    ("num_steps, dtype", "num_steps + 1, dtype"),
)

answers.edit(
    "1.1",
    "equal ratios instead of equal steps",
    "A geometric schedule multiplies by a constant. The linear one adds a constant.",
    (
        "torch.linspace(beta_start, beta_end,",
        "torch.logspace(math.log10(beta_start), math.log10(beta_end),",
    ),
)

answers.edit(
    "1.1",
    "equal steps in sqrt(beta)",
    "That is the 'scaled linear' schedule of latent diffusion models. Here beta itself is linear.",
    ("beta_start, beta_end, num", "beta_start**0.5, beta_end**0.5, num"),
    ("betas.float()", "betas.float() ** 2"),
)

answers.edit(
    "1.1",
    "alphas instead of betas",
    "beta is the noise that a step adds; alpha = 1 - beta is what it keeps.",
    ("betas.float()", "1 - betas.float()"),
)

answers.edit(
    "1.1",
    "running backwards",
    "The forward process begins gently: the first beta is the smallest.",
    ("betas.float()", "betas.float().flip(0)"),
)

answers.edit(
    "1.1",
    "ignoring beta_start and beta_end",
    "The ends are arguments. The paper's values are only the defaults; use what the caller gives.",
    ("(beta_start, beta_end, num", "(1e-4, 0.02, num"),
)

REFUSES_NOTHING = (
    "The first lines of the exercise refuse what cannot be a schedule. Without them such a call "
    "gives numbers that mean nothing, or an error that does not say why. Put them back."
)

answers.edit(
    "1.1",
    "bad ends no longer refused",
    REFUSES_NOTHING,
    ("not 0 < beta_start <= beta_end < 1", "False"),
)

answers.edit(
    "1.1",
    "the first lines taken out",
    REFUSES_NOTHING,
    ("num_steps < 2", "False"),
    ("not 0 < beta_start <= beta_end < 1", "False"),
)

answers.edit(
    "1.1",
    "equal ends refused",
    "A schedule whose betas are all the same is a linear one too. Only beta_start above beta_end "
    "is refused.",
    ("beta_start <= beta_end < 1:", "beta_start < beta_end < 1:"),
)

answers.edit(
    "1.1",
    "float64 handed out",
    HANDED_OUT_FLOAT64,
    ("betas.float()", "betas"),
)


@answers.wrong(
    "1.1",
    "torch.arange, which leaves the end out",
    "torch.arange stops before its end, so beta_end itself is missing. Another function of torch "
    "makes equal steps with both ends included.",
)
def linear_betas(num_steps, beta_start=1e-4, beta_end=0.02):
    _refuse(num_steps, beta_start, beta_end)
    step = (beta_end - beta_start) / (num_steps - 1)
    return torch.arange(beta_start, beta_end, step, dtype=torch.float64).float()


@answers.wrong(
    "1.1",
    "t counted from 1, and divided by T",
    "This course counts t from 0 to T-1, so T-1 is what to divide by. The first beta belongs to "
    "t = 0, and it is beta_start itself.",
)
def linear_betas(num_steps, beta_start=1e-4, beta_end=0.02):
    _refuse(num_steps, beta_start, beta_end)
    t = torch.arange(1, num_steps + 1, dtype=torch.float64)
    return (beta_start + (beta_end - beta_start) * t / num_steps).float()


@answers.wrong(
    "1.1",
    "beta_end taken for the whole way",
    "The way from the first beta to the last is beta_end - beta_start. With beta_end alone the "
    "last value lies beyond the end.",
)
def linear_betas(num_steps, beta_start=1e-4, beta_end=0.02):
    _refuse(num_steps, beta_start, beta_end)
    t = torch.arange(num_steps, dtype=torch.float64)
    return (beta_start + beta_end * t / (num_steps - 1)).float()


@answers.wrong(
    "1.1",
    "each beta made from the last one, in float32",
    "Every sum is rounded, and a thousand roundings add up. Work out each beta from t on its own, "
    "or add up in float64.",
)
def linear_betas(num_steps, beta_start=1e-4, beta_end=0.02):
    _refuse(num_steps, beta_start, beta_end)
    betas = [torch.tensor(beta_start)]
    step = torch.tensor((beta_end - beta_start) / (num_steps - 1))
    while len(betas) < num_steps:
        betas.append(betas[-1] + step)
    return torch.stack(betas)


answers.edit(
    "1.1",
    "the ends stretched by 1000 / T",
    "Other code does that so that 0.0001 and 0.02 suit any number of steps. Here the ends are the "
    "caller's, whatever the number of steps is.",
    (
        "(beta_start, beta_end, num",
        "(1000 / num_steps * beta_start, 1000 / num_steps * beta_end, num",
    ),
)

answers.edit(
    "1.1",
    "a single step let through",
    "One beta cannot be beta_start and beta_end at once, so num_steps = 1 is refused too, as the "
    "first lines had it.",
    ("num_steps < 2", "num_steps < 1"),
)


# 1.2


answers.edit(
    "1.2",
    "the cosine is not squared",
    "alpha_bar is a power and its root an amplitude: cos is the amplitude, cos^2 is alpha_bar.",
    (" ** 2", ""),
)

answers.edit(
    "1.2",
    "no offset s",
    "Without s the curve starts flat and the first betas are almost 0: the first steps do nothing.",
    ("(u + s) / (1 + s)", "u"),
)

answers.edit(
    "1.2",
    "no clip at max_beta",
    "f ends at 0, so the last beta comes out as 1: one step would erase everything.",
    (".clamp(max=max_beta)", ""),
)

answers.edit(
    "1.2",
    "clipped at 0.9999 unless another limit is named",
    "The default of max_beta is 0.999: the last step leaves a thousandth of the power, not less.",
    ("max_beta: float = 0.999", "max_beta: float = 0.9999"),
)

answers.edit(
    "1.2",
    "clipped at 0.02",
    "0.02 is where the linear schedule ends. The cosine schedule's betas grow to max_beta.",
    ("max=max_beta", "max=0.02"),
)

answers.edit(
    "1.2",
    "alpha_bars instead of betas",
    "f(u)/f(0) is alpha_bar. A beta compares two neighbours of it.",
    ("1 - f[1:] / f[:-1]", "f[1:] / f[0]"),
)

answers.edit(
    "1.2",
    "the ratio upside down",
    "A step keeps f(later) / f(earlier), which is below 1. The other way round, beta is negative.",
    ("f[1:] / f[:-1]", "f[:-1] / f[1:]"),
)

answers.edit(
    "1.2",
    "not divided by 1 + s",
    "Adding s shifts the whole curve. Without dividing by 1 + s it reaches its end before u = 1, "
    "and then rises again.",
    (" / (1 + s)", ""),
)

answers.edit(
    "1.2",
    "T points of f, with a 1 put in front",
    "T betas compare T pairs of neighbours, so f itself is needed at T+1 points, from u = 0/T to "
    "T/T. A value put in front does not lie on the curve.",
    (
        "torch.arange(num_steps + 1, dtype=torch.float64) / num_steps",
        "torch.linspace(0, 1, num_steps, dtype=torch.float64)",
    ),
    ("    betas =", "    f = torch.cat([torch.ones_like(f[:1]), f])\n    betas ="),
)

answers.edit(
    "1.2",
    "computed in float32",
    "The first betas are differences of numbers near 1; in float32 few of their digits survive.",
    ("torch.float64", "torch.float32"),
)

answers.edit(
    "1.2",
    "only s divided by 1 + s",
    "s is added to u first, and the sum of both is divided. Put brackets around u + s.",
    ("(u + s) / (1 + s)", "(u + s / (1 + s))"),
)

answers.edit(
    "1.2",
    "pi instead of pi / 2",
    "From 0 to pi the cosine falls and its square rises again. A quarter of a turn, up to pi / 2, "
    "takes it from 1 to 0.",
    ("math.pi / 2", "math.pi"),
)

answers.edit(
    "1.2",
    "1 - f instead of 1 - a ratio",
    "1 - f is all the noise so far. A beta is what one single step adds, so it compares f after "
    "the step with f before it.",
    ("f[1:] / f[:-1]", "f[1:]"),
)

answers.edit(
    "1.2",
    "a difference instead of a ratio",
    "The difference of two neighbours says what is lost of the whole. A beta is what a step takes "
    "of what it received, which is a ratio.",
    ("1 - f[1:] / f[:-1]", "f[:-1] - f[1:]"),
)

answers.edit(
    "1.2",
    "the loss compared with what is left",
    "Taking 0.15 from 0.60 is a loss of a quarter, though it is a third of the 0.45 that are left. "
    "A step takes its share of what it receives: divide by f before the step.",
    ("1 - f[1:] / f[:-1]", "(f[:-1] - f[1:]) / f[1:]"),
)

answers.edit(
    "1.2",
    "1 - alpha_bar, and no clip",
    "1 - f(u)/f(0) is the noise of all steps so far. A beta is what one single step adds, so it "
    "compares f after the step with f before it. And none may exceed max_beta.",
    ("f[1:] / f[:-1]", "f[1:] / f[0]"),
    (".clamp(max=max_beta)", ""),
)

answers.edit(
    "1.2",
    "1 - alpha_bar, clipped at max_beta",
    "1 - f(u)/f(0) is the noise of all steps so far. A beta is what one single step adds, so it "
    "compares f after the step with f before it.",
    ("f[1:] / f[:-1]", "f[1:] / f[0]"),
)

answers.edit(
    "1.2",
    "T points of f, from u = 0 to 1",
    "Each beta compares two neighbours, and T points have only T-1 pairs of neighbours. How many "
    "points make T pairs?",
    (
        "torch.arange(num_steps + 1, dtype=torch.float64) / num_steps",
        "torch.linspace(0, 1, num_steps, dtype=torch.float64)",
    ),
)

answers.edit(
    "1.2",
    "T points of f, without u = 1",
    "The last beta compares u = 1 with the point before. torch.arange(T) ends at T-1, so that "
    "point is missing.",
    ("torch.arange(num_steps + 1,", "torch.arange(num_steps,"),
)

answers.edit(
    "1.2",
    "max_beta taken for the smallest beta",
    "The first argument of clamp is the smallest value allowed. Name the one that you mean: "
    "min=... or max=...",
    ("max=max_beta", "max_beta"),
)

answers.edit(
    "1.2",
    "the numbers 0.008 and 0.999 written into the code",
    "They are only the defaults. Use s and max_beta, so that a caller can choose others.",
    ("    u =", "    s, max_beta = 0.008, 0.999\n    u ="),
)

answers.edit("1.2", "the first lines taken out", REFUSES_NOTHING, ("num_steps < 2", "False"))

answers.edit(
    "1.2",
    "never above 0.999, whatever max_beta says",
    "0.999 is only the default of max_beta. A caller may choose a larger one.",
    ("max=max_beta", "max=min(max_beta, 0.999)"),
)

answers.edit(
    "1.2",
    "a floor under the betas",
    "The betas are positive by themselves. With many steps the first of them are tiny, and a floor "
    "would make these steps noisier than the curve.",
    ("max=max_beta", "min=1e-5, max=max_beta"),
)

answers.edit("1.2", "float64 handed out", HANDED_OUT_FLOAT64, (".float()", ""))


answers.again("1.2", "never above 0.999, whatever max_beta says", ("max=max_beta", "max=0.999"))

answers.again("1.2", "a floor under the betas", ("max=max_beta", "min=1e-4, max=max_beta"))

answers.again(
    "1.2",
    "alpha_bars instead of betas",
    ("1 - f[1:] / f[:-1]", "f[1:] / f[0]"),
    (".clamp(max=max_beta)", ""),
)

answers.again(
    "1.2",
    "T points of f, with a 1 put in front",
    (
        "torch.arange(num_steps + 1, dtype=torch.float64) / num_steps",
        "torch.linspace(0, 1, num_steps, dtype=torch.float64)",
    ),
    ("    betas =", "    f = torch.cat([f[:1], f])\n    betas ="),
)

answers.edit(
    "1.2",
    "the curve one step late",
    "After step t = 0 the curve is at f(1 / T), not at f(0). If alpha_bar_t comes from f(t / T), "
    "the first step does nothing, and the end of the curve is missing.",
    ("num_steps + 1, dtype", "num_steps, dtype"),
    ("1 - f[1:] / f[:-1]", "1 - f / torch.cat([f[:1], f[:-1]])"),
)

answers.edit(
    "1.2",
    "1 instead of f(0) before the first step",
    "The offset s shifts the curve, so f(0) is a little below 1. alpha_bar is f divided by f(0).",
    ("    betas =", "    f[0] = 1\n    betas ="),
)

answers.edit(
    "1.2",
    "the number 0.008 written into the code",
    "It is only the default. Use s, so that a caller can choose another offset.",
    ("    u =", "    s = 0.008\n    u ="),
)

answers.edit(
    "1.2",
    "a floor under alpha_bar instead of a ceiling on beta",
    "max_beta limits what a single step adds. A floor under the curve may change several betas "
    "near its end, and may make the last one 0. Limit the betas themselves.",
    (
        "f[1:] / f[:-1]",
        "(f / f[0]).clamp(min=1 - max_beta)[1:] / (f / f[0]).clamp(min=1 - max_beta)[:-1]",
    ),
    (".clamp(max=max_beta)", ""),
)

answers.edit(
    "1.2",
    "the angle squared instead of the cosine",
    "cos(x)^2 means that the cosine is taken first and squared then.",
    ("(u + s) / (1 + s) * math.pi / 2) ** 2", "((u + s) / (1 + s) * math.pi / 2) ** 2)"),
)

answers.edit(
    "1.2",
    "only the last beta clipped",
    "With a small max_beta more than one beta is too large. Limit them all.",
    ("return betas.clamp(max=max_beta)", "betas[-1] = max_beta\n    return betas"),
)

answers.edit(
    "1.2",
    "a single step let through",
    "num_steps = 1 is refused too, as the first lines had it.",
    ("num_steps < 2", "num_steps < 1"),
)


# 1.3


answers.edit(
    "1.3",
    "a running sum of what is kept",
    "What one step keeps is multiplied by what the next one keeps. Use a product, not a sum.",
    ("cumprod", "cumsum"),
)

answers.edit(
    "1.3",
    "the product of the betas",
    "beta is what a step destroys. What is left is the product of 1 - beta.",
    ("1 - betas", "betas"),
)

answers.edit(
    "1.3",
    "one minus the sum of the betas",
    "Adding up losses ignores that a later step takes its share of what is left, not of the start.",
    ("torch.cumprod(alphas, dim=0)", "(1 - torch.cumsum(betas.double(), dim=0))"),
)


@answers.wrong(
    "1.3",
    "beta_end in proportion to 1/T",
    "0.02 * 1000 / T keeps the sum of the betas, but the signal is multiplied, so what is left "
    "depends on more than their sum. Search for the beta_end that leaves final_alpha_bar.",
)
def matching_beta_end(num_steps, final_alpha_bar, beta_start=1e-4):
    return 0.02 * 1000 / num_steps


@answers.wrong(
    "1.3",
    "one step late",
    "At t = 0 one step of noise was added already, so the first entry is 1 - beta_0 and not 1.",
)
def compute_alpha_bars(betas):
    alpha_bars = torch.cumprod(1 - betas.double(), dim=0)
    return torch.cat([torch.ones(1, dtype=torch.float64), alpha_bars[:-1]]).float()


answers.edit(
    "1.3",
    "only the last product",
    "Every t needs its own product, so the result has as many entries as there are betas.",
    ("torch.cumprod(alphas, dim=0)", "torch.prod(alphas)"),
)

answers.edit(
    "1.3",
    "amplitude instead of power",
    "sqrt(alpha_bar) is what multiplies the image; alpha_bar itself has no root.",
    ("torch.cumprod(alphas, dim=0)", "torch.cumprod(alphas, dim=0).sqrt()"),
)

answers.edit(
    "1.3",
    "the share of the noise",
    "1 - alpha_bar is the noise's share. alpha_bar is the signal's, which begins near 1 and falls.",
    ("torch.cumprod(alphas, dim=0)", "(1 - torch.cumprod(alphas, dim=0))"),
)

answers.edit(
    "1.3",
    "multiplied up from the last step",
    "Time runs forward: entry t holds the steps 0 to t. Multiplied from the end, it would hold the "
    "steps that are still to come.",
    ("torch.cumprod(alphas, dim=0)", "torch.cumprod(alphas.flip(0), dim=0).flip(0)"),
)

answers.edit(
    "1.3",
    "1 - beta taken in float32",
    "float32 keeps about seven digits, so 1 minus a tiny beta is just 1, and converting later "
    "brings nothing back. Turn the betas into float64 before you subtract.",
    ("1 - betas.double()", "(1 - betas).double()"),
)

answers.edit(
    "1.3",
    "a floor under alpha_bar",
    "Where hardly anything is left, alpha_bar says how little. A floor would leave more of the "
    "signal than there is; whoever divides by alpha_bar has to see to that.",
    ("torch.cumprod(alphas, dim=0)", "torch.cumprod(alphas, dim=0).clamp(min=1e-8)"),
)


@answers.wrong(
    "1.3",
    "a sum of logarithms in float32",
    "A sum of logarithms is a product, but float32 rounds each of the sums, and exp turns an error "
    "in the last digit of -10 into one of a millionth. Turn the betas into float64 first.",
)
def compute_alpha_bars(betas):
    return torch.log1p(-betas.float()).cumsum(0).exp()


answers.edit("1.3", "float64 handed out", HANDED_OUT_FLOAT64, (".float()", ""))


answers.edit(
    "1.3",
    "the caller's betas overwritten",
    "Betas that are float64 already are not copied by double(), so methods that end in an "
    "underscore write into the caller's tensor. Plain operators make a new one.",
    ("1 - betas.double()", "betas.double().neg_().add_(1)"),
)


answers.edit(
    "1.3",
    "the search turned away from the answer",
    "If too much is left, more noise is needed, so the answer is larger than the middle. Then the "
    "middle becomes the new low.",
    ("[-1] > final_alpha_bar", "[-1] < final_alpha_bar"),
)

answers.edit(
    "1.3",
    "too few halvings",
    "Ten halvings leave an interval of a thousandth, a few more one of a ten-thousandth. A small "
    "beta_end needs to be known far better than that, and halvings are cheap: take forty.",
    ("range(40)", "range(10)"),
)

answers.edit(
    "1.3",
    "beta_start left at its default",
    "The first beta is the caller's. Hand beta_start to linear_betas too.",
    (
        "linear_betas(num_steps, beta_start, middle)",
        "linear_betas(num_steps, 1e-4, middle)",
    ),
)

answers.edit(
    "1.3",
    "the share after the last step but one",
    "Index -1 is the last step, and its beta is the largest of all. Do not leave it out.",
    ("[-1] >", "[-2] >"),
)

answers.edit(
    "1.3",
    "the amplitude that is left",
    "final_alpha_bar is a share of the power, and so is alpha_bar. No root is needed.",
    ("compute_alpha_bars(betas)[-1]", "compute_alpha_bars(betas)[-1].sqrt()"),
)

answers.edit(
    "1.3",
    "no large beta_end tried",
    "With few steps each has to add much noise, so beta_end may be close to 1. Begin with 1 as the "
    "upper bound.",
    ("beta_start, 1.0", "beta_start, 0.5"),
)

answers.edit(
    "1.3",
    "the whole schedule instead of its end",
    "Asked for is one number, the last beta. The caller makes the schedule from it.",
    ("return (low + high) / 2", "return linear_betas(num_steps, beta_start, (low + high) / 2)"),
)


@answers.wrong(
    "1.3",
    "a tolerance that does not fit so small a share",
    "It looks small, but a schedule's last alpha_bar may be smaller still. Compare the two by "
    "their ratio, or halve a fixed number of times.",
)
def matching_beta_end(num_steps, final_alpha_bar, beta_start=1e-4):
    low, high = beta_start, 1.0
    while True:
        middle = (low + high) / 2
        left = ref.compute_alpha_bars(ref.linear_betas(num_steps, beta_start, middle))[-1]
        if abs(left - final_alpha_bar) < 1e-4:
            return middle
        low, high = (middle, high) if left > final_alpha_bar else (low, middle)


answers.edit(
    "1.3",
    "no beta_end below 0.001 tried",
    "With many steps, and much of the signal to be left, beta_end may be hardly above beta_start. "
    "Begin with beta_start as the lower bound.",
    ("low, high = beta_start, 1.0", "low, high = max(beta_start, 1e-3), 1.0"),
)


@answers.wrong(
    "1.3",
    "1 minus the sum of the betas",
    "Losses do not add up: each step takes its share of what is left. Work with the product of "
    "1 - beta.",
)
def matching_beta_end(num_steps, final_alpha_bar, beta_start=1e-4):
    return min(2 * (1 - final_alpha_bar) / num_steps - beta_start, 1 - 1e-9)


@answers.wrong(
    "1.3",
    "log(1 - beta) taken for -beta",
    "That is nearly true of small betas only. With fewer steps the betas are large, and the "
    "schedule then leaves too little. Search for the exact one.",
)
def matching_beta_end(num_steps, final_alpha_bar, beta_start=1e-4):
    return min(-2 * math.log(final_alpha_bar) / num_steps - beta_start, 1 - 1e-9)


@answers.wrong(
    "1.3",
    "every step with the same beta",
    "That root of final_alpha_bar is for a schedule whose betas are all equal. Those of the linear "
    "schedule rise, so the last one is larger.",
)
def matching_beta_end(num_steps, final_alpha_bar, beta_start=1e-4):
    return 1 - final_alpha_bar ** (1 / num_steps)


@answers.wrong(
    "1.3",
    "0.02 stretched by the number of steps",
    "Half the steps with twice the beta_end only comes near. And it does not look at "
    "final_alpha_bar, which may be any share.",
)
def matching_beta_end(num_steps, final_alpha_bar, beta_start=1e-4):
    return min(0.02 * 1000 / num_steps, 1 - 1e-9)


answers.edit(
    "1.3",
    "all in float32",
    "float32 keeps about seven digits, so 1 minus a tiny beta is just 1, and a thousand factors "
    "add a thousand roundings. Turn the betas into float64 first, and the result into float32.",
    ("betas.double()", "betas.float()"),
)

answers.edit(
    "1.3",
    "exp of minus the sum of the betas",
    "exp(-beta) is nearly 1 - beta as long as beta is small, and no more than nearly. Multiply the "
    "factors themselves.",
    ("torch.cumprod(alphas, dim=0)", "torch.exp(-torch.cumsum(betas.double(), dim=0))"),
)

answers.edit(
    "1.3",
    "1 minus the product of the betas",
    "First 1 - beta for each step, which is what it keeps, then the product of these. The other "
    "way round it is a different number.",
    ("torch.cumprod(alphas, dim=0)", "(1 - torch.cumprod(betas.double(), dim=0))"),
)

answers.edit(
    "1.3",
    "1000 steps, whatever num_steps is",
    "1000 is the paper's length. The length is the caller's: hand num_steps to linear_betas.",
    ("linear_betas(num_steps, beta_start, middle)", "linear_betas(1000, beta_start, middle)"),
)

answers.again("1.3", "no large beta_end tried", ("beta_start, 1.0", "beta_start, 0.1"))
answers.again("1.3", "no large beta_end tried", ("beta_start, 1.0", "beta_start, 0.02"))
answers.again("1.3", "no large beta_end tried", ("beta_start, 1.0", "beta_start, 0.9"))
answers.again("1.3", "no large beta_end tried", ("beta_start, 1.0", "beta_start, 0.99"))

answers.again(
    "1.3",
    "beta_start left at its default",
    ("beta_start, 1.0", "beta_start, 0.9999"),
    ("linear_betas(num_steps, beta_start, middle)", "linear_betas(num_steps, 1e-4, middle)"),
)


for high, tolerance in (("1.0", "1e-5"), ("1.0", "1e-6"), ("0.9999", "1e-4"), ("0.9999", "1e-5")):
    answers.again(
        "1.3",
        "a tolerance that does not fit so small a share",
        ("beta_start, 1.0", f"beta_start, {high}"),
        (
            "        if compute_alpha_bars(betas)[-1] > final",
            "        left = compute_alpha_bars(betas)[-1]\n"
            f"        if abs(left - final_alpha_bar) < {tolerance}:\n"
            "            break\n"
            "        if left > final",
        ),
    )

for high, width in (("1.0", "1e-4"), ("0.9999", "1e-3"), ("0.9999", "1e-4")):
    answers.again(
        "1.3",
        "too few halvings",
        ("beta_start, 1.0", f"beta_start, {high}"),
        ("for _ in range(40)", f"while high - low > {width}"),
    )


# 1.4


answers.edit(
    "1.4",
    "a ratio of amplitudes",
    "sqrt(alpha_bar) and sqrt(1 - alpha_bar) are amplitudes; their log-ratio is half the log-SNR.",
    ("torch.log(", "0.5 * torch.log("),
)

answers.edit(
    "1.4",
    "noise over signal",
    "Signal to noise: alpha_bar is above the line. The log-SNR falls as t grows.",
    ("signal / noise", "noise / signal"),
)

answers.edit(
    "1.4",
    "the decimal logarithm",
    "Use the natural logarithm, torch.log. Only then does the sigmoid give alpha_bar back.",
    ("torch.log(", "torch.log10("),
)

answers.edit(
    "1.4",
    "the logarithm to base 2",
    "Use the natural logarithm, torch.log. Only then does the sigmoid give alpha_bar back.",
    ("torch.log(", "torch.log2("),
)

answers.edit(
    "1.4",
    "decibels",
    "10 log10 is the engineer's scale. The diffusion literature uses the natural logarithm.",
    ("torch.log(", "10 * torch.log10("),
)

answers.edit(
    "1.4",
    "the logarithm forgotten",
    "That is the SNR itself, which spans many powers of ten. Take its logarithm.",
    ("torch.log(signal / noise)", "(signal / noise)"),
)

answers.edit(
    "1.4",
    "the signal alone",
    "log(alpha_bar) says how much signal is left, not how it compares with the noise.",
    ("signal / noise", "signal"),
)

answers.edit(
    "1.4",
    "1 + alpha_bar below the line",
    "Signal and noise share a power of 1 between them, so what is not signal is noise. That is a "
    "difference, not a sum.",
    ("1 - alpha_bars", "1 + alpha_bars"),
)

answers.edit(
    "1.4",
    "rounded to float32 before the subtraction",
    "1 - alpha_bar cancels nearly all digits of a float32 near 1. Subtract first, then round.",
    ("alpha_bars.double()", "alpha_bars.float()"),
)

answers.edit(
    "1.4",
    "the noise alone",
    "1 - alpha_bar is the noise's power. Its logarithm says nothing yet about the signal; you need "
    "the ratio of the two.",
    ("torch.log(signal / noise)", "-torch.log(noise)"),
)

answers.edit(
    "1.4",
    "a ratio of logarithms",
    "Divide first, then take the logarithm. The logarithm of a ratio is a difference of "
    "logarithms, not their ratio.",
    ("torch.log(signal / noise)", "(torch.log(signal) / torch.log(noise))"),
)

answers.edit(
    "1.4",
    "computed in the dtype that came in",
    "Near 1/2 the ratio is nearly 1, and float32 rounds away the little by which it differs. Turn "
    "alpha_bars into float64 first.",
    ("alpha_bars.double()", "alpha_bars"),
)

answers.edit(
    "1.4",
    "the ratio rounded before its logarithm",
    "Near 1/2 the ratio is nearly 1, and float32 rounds away the little by which it differs. Take "
    "the logarithm in float64, then round.",
    ("torch.log(signal / noise).float()", "torch.log((signal / noise).float())"),
)

answers.edit(
    "1.4",
    "alpha_bars kept away from 0 and 1",
    "Neither 0 nor 1 occurs, so nothing can go wrong with the logarithm. Cut off, the steps at "
    "both ends all get the same log-SNR.",
    ("alpha_bars.double()", "alpha_bars.double().clamp(1e-5, 1 - 1e-5)"),
)

answers.edit(
    "1.4",
    "alpha_bars kept away from 0",
    "No alpha_bar is 0, so nothing can go wrong with the logarithm. Cut off, all steps with less "
    "signal get the same log-SNR.",
    ("alpha_bars.double()", "alpha_bars.double().clamp(min=1e-5)"),
)

answers.edit("1.4", "float64 handed out", HANDED_OUT_FLOAT64, (".float()", ""))


@answers.wrong(
    "1.4",
    "nearest by alpha_bar",
    "Near the clean end all alpha_bars are close to 1, and at the noisy end close to 0, however "
    "much the noise levels differ. Compare log-SNRs.",
)
def equally_noisy(alpha_bars, other):
    return (alpha_bars[:, None] - other).abs().argmin(dim=1)


@answers.wrong(
    "1.4",
    "nearest by SNR, without the logarithm",
    "At the noisy end all SNRs are close to 0, however much they differ by their ratio. Compare "
    "their logarithms.",
)
def equally_noisy(alpha_bars, other):
    first, second = (ref.log_snr(bars).exp() for bars in (alpha_bars, other))
    return (first[:, None] - second).abs().argmin(dim=1)


answers.edit(
    "1.4",
    "float32 before the log-SNR",
    "log_snr takes float64 as it is. In float32 an alpha_bar next to 1 becomes 1, and then there "
    "is no noise to compare with.",
    ("log_snr(alpha_bars)", "log_snr(alpha_bars.float())"),
    ("log_snr(other)", "log_snr(other.float())"),
)

answers.edit(
    "1.4",
    "distances below a hundredth taken for none",
    "Of two near steps one is still the nearer. Compare the distances as they are.",
    ("distances.abs()", "distances.abs().clamp(min=1e-2)"),
)

answers.edit(
    "1.4",
    "log-SNRs cut off at 10",
    "What is cut off looks equally noisy, and is not. Compare the log-SNRs as they are.",
    ("log_snr(alpha_bars)", "log_snr(alpha_bars).clamp(-10, 10)"),
    ("log_snr(other)", "log_snr(other).clamp(-10, 10)"),
)

answers.edit(
    "1.4",
    "distances with their sign",
    "The smallest signed difference is the most negative one, which is far away. Take absolute "
    "values first.",
    ("distances.abs()", "distances"),
)

answers.edit(
    "1.4",
    "a step of this schedule for each of the other",
    "Each row of the table belongs to one step of the first schedule. Look for the smallest along "
    "the row, over the steps of the other.",
    ("argmin(dim=1)", "argmin(dim=0)"),
)

answers.edit(
    "1.4",
    "one place for the whole table",
    "Without dim, argmin looks at all distances at once and counts through them. You want one step "
    "for each row.",
    ("argmin(dim=1)", "argmin()"),
)

answers.edit(
    "1.4",
    "the distance instead of the step",
    "min gives how near the nearest step is. Which step it is, argmin tells.",
    ("argmin(dim=1)", "min(dim=1).values"),
)


@answers.wrong(
    "1.4",
    "the first step that is noisier",
    "The step before it may be nearer. Compare the two, or look for the smallest distance.",
)
def equally_noisy(alpha_bars, other):
    steps = (ref.log_snr(other) >= ref.log_snr(alpha_bars)[:, None]).sum(dim=1)
    return steps.clamp(max=len(other) - 1)


@answers.wrong(
    "1.4",
    "the step at the same share of the way",
    "Two schedules are not equally noisy when they are equally far on. What counts is the log-SNR "
    "there.",
)
def equally_noisy(alpha_bars, other):
    return torch.arange(len(alpha_bars)) * len(other) // len(alpha_bars)


@answers.wrong(
    "1.4",
    "the nearest log-SNR instead of its step",
    "Asked for is where in the other schedule it is found, as whole numbers, not how large it is.",
)
def equally_noisy(alpha_bars, other):
    return ref.log_snr(other)[ref.equally_noisy(alpha_bars, other)]


answers.again(
    "1.4",
    "rounded to float32 before the subtraction",
    ("alpha_bars.double()", "alpha_bars.float()"),
    ("torch.log(signal / noise)", "(torch.log(signal) - torch.log(noise))"),
)

for least in ("1e-6", "1e-8"):
    answers.again(
        "1.4",
        "alpha_bars kept away from 0 and 1",
        ("alpha_bars.double()", f"alpha_bars.double().clamp({least}, 1 - {least})"),
    )

answers.again(
    "1.4",
    "alpha_bars kept away from 0",
    ("alpha_bars.double()", "alpha_bars.double().clamp(min=1e-8)"),
)

answers.edit(
    "1.4",
    "a small number added for safety",
    "Neither the signal nor the noise is ever 0, so nothing can go wrong. Where one of them is "
    "tiny, what you add may be larger than it is.",
    ("signal / noise", "signal / noise + 1e-5"),
)

for ratio in (
    "signal / noise + 1e-8",
    "signal / (noise + 1e-8)",
    "(signal + 1e-8) / (noise + 1e-8)",
):
    answers.again("1.4", "a small number added for safety", ("signal / noise", ratio))

answers.edit(
    "1.4",
    "1 minus the amplitude as the amplitude of the noise",
    "Signal and noise share a power of 1, not an amplitude of 1. Take alpha_bar from 1, without a "
    "root.",
    ("1 - alpha_bars", "(1 - alpha_bars.sqrt()) ** 2"),
)


@answers.wrong_again("1.4", "the first step that is noisier")
def equally_noisy(alpha_bars, other):
    steps = (ref.log_snr(other) > ref.log_snr(alpha_bars)[:, None]).sum(dim=1)
    return steps.clamp(max=len(other) - 1)


@answers.wrong(
    "1.4",
    "the last step that is not noisier",
    "The step after it may be nearer. Compare the two, or look for the smallest distance.",
)
def equally_noisy(alpha_bars, other):
    steps = (ref.log_snr(other) >= ref.log_snr(alpha_bars)[:, None]).sum(dim=1) - 1
    return steps.clamp(min=0)


@answers.wrong(
    "1.4",
    "a search in a table that falls",
    "torch.searchsorted needs numbers that rise, and log-SNRs fall. Besides, it gives the next one "
    "on one side, which need not be the nearest.",
)
def equally_noisy(alpha_bars, other):
    steps = torch.searchsorted(ref.log_snr(other), ref.log_snr(alpha_bars))
    return steps.clamp(max=len(other) - 1)


answers.edit(
    "1.4",
    "steps counted from 1",
    "This course counts steps from 0, and so does argmin. Its result is the step already.",
    ("argmin(dim=1)", "argmin(dim=1) + 1"),
)
