"""Known wrong answers to chapter 08, each with the misunderstanding behind it."""

import math

import torch

from course.grading.answers import Answers
from solutions import ch08_evaluation as ref

answers = Answers()


# 8.1


answers.edit(
    "8.1",
    "count taken from what the judge sees",
    "count asks how many images of a class were ordered, and the labels know that. What the judge "
    "sees is the answer, not the order.",
    ("bincount(labels, minlength", "bincount(logits.argmax(dim=1), minlength"),
)

answers.edit(
    "8.1",
    "no place for classes at the end that nobody asked for",
    "torch.bincount stops at the largest number that it meets. Tell it with minlength how many "
    "classes there are: logits.shape[1].",
    ("logits.shape[1]", "int(labels.max()) + 1"),
)

answers.edit(
    "8.1",
    "right holds all images seen as the class, up to count",
    "If labels and images are mixed up, every digit is still there as often as it was asked for. "
    "Compare image by image: is this one what this label says?",
    ("labels[is_right]", "logits.argmax(dim=1)"),
    ("    share", "    right = torch.minimum(right, count)\n    share"),
)

answers.edit(
    "8.1",
    "right holds all images seen as the class, asked for or not",
    "An image that looks like a 3 is right only if a 3 was asked for.",
    ("labels[is_right]", "logits.argmax(dim=1)"),
)

answers.edit(
    "8.1",
    "right if the digit's logit is above 0.5",
    "The judge's answer is the largest logit, however large it is. Logits are no probabilities: "
    "adding the same number to all ten changes nothing.",
    (
        "logits.argmax(dim=1) == labels",
        "logits[torch.arange(len(labels), device=labels.device), labels] > 0.5",
    ),
)

answers.edit(
    "8.1",
    "right if the digit is among the judge's first two",
    "The second best guess does not count: an 8 that could be a 3 as well is not the 3 that was "
    "asked for.",
    (
        "logits.argmax(dim=1) == labels",
        "(logits.topk(2, dim=1).indices == labels[:, None]).any(dim=1)",
    ),
)

answers.edit(
    "8.1",
    "the smallest logit taken as the answer",
    "A large logit means that the judge sees this digit.",
    ("argmax", "argmin"),
)

answers.edit(
    "8.1",
    "the wrong ones counted, and not the right ones",
    "== is true where both agree, != where they do not.",
    ("argmax(dim=1) == labels", "argmax(dim=1) != labels"),
)

answers.edit(
    "8.1",
    "shares instead of numbers",
    "9 of 10 and 900 of 1,000 are the same share, and one of them says far more. Give numbers; "
    "the interval needs both.",
    ("return right, count,", "return right / count.clamp(min=1), count,"),
)

answers.edit(
    "8.1",
    "right and count in floating point",
    "Numbers of images are whole numbers, int64. bincount gives those; a sum of floats does not.",
    ("return right, count,", "return right.float(), count.float(),"),
)

answers.edit(
    "8.1",
    "the worst is the class with the fewest right",
    "A class that was asked for twice cannot have more than two right. Divide by count first.",
    ("right / count, torch.inf", "right, 10**9"),
)

answers.edit(
    "8.1",
    "the worst is the class with the most wrong",
    "A class that was asked for often has many wrong, good as it may be. Divide by count first.",
    ("share.argmin()", "(count - right).argmax()"),
)

answers.edit(
    "8.1",
    "shares rounded down to whole numbers",
    "// leaves of a share only 0 or 1, so that all classes with a mistake look equally bad. Divide "
    "with /.",
    ("right / count, torch.inf", "right // count.clamp(min=1), 2"),
)

answers.edit(
    "8.1",
    "the best class instead of the worst",
    "The worst has the smallest share of right images: argmin.",
    ("torch.inf", "-1.0"),
    ("argmin", "argmax"),
)

answers.edit(
    "8.1",
    "a class that nobody asked for is the worst",
    "0 of 0 is no bad result but none at all. Leave such classes out when you look for the worst.",
    ("torch.where(count > 0, right / count, torch.inf)", "right / count.clamp(min=1)"),
)

answers.edit(
    "8.1",
    "the worst counted among the classes asked for",
    "Once the classes without images are left out, the places in what remains are no longer the "
    "numbers of the classes. Keep a place for every class.",
    ("share.argmin()", "share[count > 0].argmin()"),
)

answers.edit(
    "8.1",
    "the share of the worst class instead of its number",
    "worst is which class it is, as a whole number: argmin, not min. Its share follows from right "
    "and count.",
    ("int(share.argmin())", "float(share.min())"),
)

answers.edit(
    "8.1",
    "the last of the worst classes",
    "Where several are equally bad the first is asked for, which is the one that argmin gives.",
    ("int(share.argmin())", "len(share) - 1 - int(share.flip(0).argmin())"),
)

answers.edit(
    "8.1",
    "the textbook interval p -+ z sqrt(p (1 - p) / n)",
    "It takes the share that was seen for the true one. Where all are right it has no width at "
    "all, as if ten images proved it. Wilson asks from which true shares p could have come.",
    (" + z**2 / (4 * n**2)", ""),
    ("max(0.0, (middle - half) / scale), min(1.0, (middle + half) / scale)", "p - half, p + half"),
)

answers.edit(
    "8.1",
    "the textbook interval, cut to [0, 1]",
    "Cutting hides that p -+ z sqrt(p (1 - p) / n) is wrong near 0 and 1: where all are right it "
    "has no width.",
    (" + z**2 / (4 * n**2)", ""),
    ("(middle - half) / scale", "p - half"),
    ("(middle + half) / scale", "p + half"),
)

answers.edit(
    "8.1",
    "not divided by 1 + z^2 / n",
    "Middle and half-width are both divided by 1 + z^2 / n.",
    ("scale = 1 + z**2 / n", "scale = 1"),
)

answers.edit(
    "8.1",
    "only the middle divided by 1 + z^2 / n",
    "Put parentheses round middle -+ half: the whole of it is divided.",
    ("scale = 1 + z**2 / n", "scale = 1"),
    ("middle = p + z**2 / (2 * n)", "middle = (p + z**2 / (2 * n)) / (1 + z**2 / n)"),
)

answers.edit(
    "8.1",
    "the middle left at p",
    "The middle is p + z^2 / 2n before the division: the interval leans towards one half.",
    ("(middle - half) / scale", "p - half / scale"),
    ("(middle + half) / scale", "p + half / scale"),
)

answers.edit(
    "8.1",
    "z for z squared",
    "z^2 / n and z^2 / 2n: with z = 1 you would not notice, with 1.96 you do.",
    ("p + z**2", "p + z"),
    ("z**2 / (4 *", "z / (4 *"),
    ("1 + z**2", "1 + z"),
)

answers.edit(
    "8.1",
    "z^2 / 4n under the root",
    "The second term under the root is z^2 / 4n^2, which fades faster than the first.",
    ("4 * n**2", "4 * n"),
)

answers.edit(
    "8.1",
    "only the first term under the root",
    "Without the second term there is no width where all are right, or none, as if ten images "
    "proved it.",
    (" + z**2 / (4 * n**2)", ""),
)

answers.edit(
    "8.1",
    "no root",
    "p (1 - p) / n is a variance. The width of an interval is made of standard deviations.",
    ("math.sqrt", ""),
)


@answers.wrong(
    "8.1",
    "Agresti and Coull's interval",
    "p~ -+ z sqrt(p~ (1 - p~) / n~) with z^2 more images, half of them right, has the same middle, "
    "but is wider, and near 0 and 1 it leaves [0, 1].",
)
def wilson_interval(right, count, z=1.959964):
    if count == 0 or not 0 <= right <= count:
        return ref.wilson_interval(right, count)  # which refuses what is no share
    n = count + z**2
    p = (right + z**2 / 2) / n
    half = z * math.sqrt(p * (1 - p) / n)
    return max(0.0, p - half), min(1.0, p + half)


@answers.wrong(
    "8.1",
    "with a correction for continuity",
    "Some tables add half an image at both ends (Newcombe's method 4). It makes the interval wider "
    "than 95 %; the formula here has no such term.",
)
def wilson_interval(right, count, z=1.959964):
    if count == 0 or not 0 <= right <= count:
        return ref.wilson_interval(right, count)  # which refuses what is no share
    p, n = right / count, count
    scale = 2 * (n + z**2)

    def root(sign):
        inside = z**2 - sign * 2 - 1 / n + 4 * p * (n * (1 - p) + sign)
        return z * math.sqrt(max(0.0, inside))

    low = 0.0 if right == 0 else (2 * n * p + z**2 - 1 - root(1)) / scale
    high = 1.0 if right == n else (2 * n * p + z**2 + 1 + root(-1)) / scale
    return max(0.0, low), min(1.0, high)


answers.edit(
    "8.1",
    "z is ignored",
    "z is an argument; 1.96 is only its default.",
    ("    p, n =", "    z = 1.959964\n    p, n ="),
)

answers.again("8.1", "z is ignored", ("    p, n =", "    z = 1.96\n    p, n ="))

answers.again(
    "8.1",
    "z is ignored",
    ("    p, n =", "    z = 1.96\n    p, n ="),
    ("middle = p + z**2 / (2 * n)", "middle = (p + z**2 / (2 * n)) / (1 + z**2 / n)"),
    (
        "math.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))",
        "math.sqrt(p * (1 - p) / n + z**2 / (4 * n**2)) / (1 + z**2 / n)",
    ),
    ("scale = 1 + z**2 / n", "scale = 1"),
)

answers.edit(
    "8.1",
    "z = 1.645 by default",
    "1.645 leaves 5 % on one side. An interval has two sides, with 2.5 % on each: 1.96.",
    ("z: float = 1.959964", "z: float = 1.644854"),
)


@answers.wrong(
    "8.1",
    "middle and half-width instead of the two ends",
    "Return (low, high): middle - half and middle + half.",
)
def wilson_interval(right, count, z=1.959964):
    low, high = ref.wilson_interval(right, count, z)
    return (low + high) / 2, (high - low) / 2


answers.edit(
    "8.1",
    "ends that rounding leads out of [0, 1]",
    "Where none is right, middle - half is 0 but for rounding, and may be -1e-17. Cut at 0 and 1.",
    (
        "max(0.0, (middle - half) / scale), min(1.0, (middle + half) / scale)",
        "(middle - half) / scale, (middle + half) / scale",
    ),
)

answers.again(
    "8.1",
    "ends that rounding leads out of [0, 1]",
    ("middle = p + z**2 / (2 * n)", "middle = (p + z**2 / (2 * n)) / (1 + z**2 / n)"),
    (
        "math.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))",
        "math.sqrt(p * (1 - p) / n + z**2 / (4 * n**2)) / (1 + z**2 / n)",
    ),
    ("    scale = 1 + z**2 / n\n", ""),
    (
        "max(0.0, (middle - half) / scale), min(1.0, (middle + half) / scale)",
        "middle - half, middle + half",
    ),
)

answers.edit(
    "8.1",
    "no images at all taken for certainty",
    "Of no images none is right, and none is wrong. The share may be anything: (0, 1).",
    ("return 0.0, 1.0", "return 0.0, 0.0"),
)

answers.again(
    "8.1",
    "no images at all taken for certainty",
    ("return 0.0, 1.0", "return 0.0, 0.0"),
    ("middle = p + z**2 / (2 * n)", "middle = (p + z**2 / (2 * n)) / (1 + z**2 / n)"),
    (
        "math.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))",
        "math.sqrt(p * (1 - p) / n + z**2 / (4 * n**2)) / (1 + z**2 / n)",
    ),
    ("scale = 1 + z**2 / n", "scale = 1"),
)

answers.edit(
    "8.1",
    "divided by a count of 0",
    "A digit that nobody asked for has a count of 0. Return (0.0, 1.0) before you divide.",
    ("    if count == 0:\n        return 0.0, 1.0\n", ""),
)

answers.edit(
    "8.1",
    "shares in whole per cents",
    "Rounded, 66.7 % and 67.3 % are equally bad, and the first of the two is not always the worst. "
    "Compare the shares as they are.",
    ("right / count, torch.inf", "(100 * right / count).round(), torch.inf"),
)

answers.edit(
    "8.1",
    "the worst class as a tensor",
    "argmin gives a tensor of no axes. int(...) makes a whole number of it.",
    ("int(share.argmin())", "share.argmin()"),
)

answers.edit(
    "8.1",
    "the ends as tensors",
    "The ends are asked for as two floats: float(...), or .item(), makes one of a tensor.",
    (
        "return max(0.0, (middle - half) / scale), min(1.0, (middle + half) / scale)",
        "ends = [max(0.0, (middle - half) / scale), min(1.0, (middle + half) / scale)]\n"
        "    return tuple(torch.tensor(end, dtype=torch.float64) for end in ends)",
    ),
)

answers.edit(
    "8.1",
    "right cut to 0 ... count and not refused",
    "11 of 10 is a mistake of the caller's, who wants to hear of it. Keep the two lines that raise "
    "a ValueError; in place of an interval they say what is wrong.",
    ("if not 0 <= right <= count", "right = min(max(right, 0), count)\n    if False"),
)

answers.edit(
    "8.1",
    "only more than all is refused",
    "Fewer than none is as impossible as more than all: raise a ValueError for both.",
    ("not 0 <= right <= count", "right > count"),
)


# 8.2


answers.edit(
    "8.2",
    "all in float32",
    "Features come in float32, with seven digits. Turn them into float64 first: the distance that "
    "is made of these numbers is a small difference of large ones.",
    ("features.double()", "features.float()"),
)


@answers.wrong(
    "8.2",
    "turned into float64 at the end",
    "float64 afterwards brings back no digits that float32 sums have lost. Convert before the "
    "first sum.",
)
def feature_moments(features):
    ref.feature_moments(features)  # which refuses fewer than two rows
    rows = features.float()
    centred = rows - rows.mean(dim=0)
    return rows.mean(dim=0).double(), (centred.T @ centred / (len(rows) - 1)).double()


answers.again(
    "8.2",
    "turned into float64 at the end",
    ("    features = features.double()\n", ""),
    (
        "    return mean, centred.T @ centred / (len(features) - 1)",
        "    cov = centred.T @ centred / (len(features) - 1)\n"
        "    return mean.double(), cov.double()",
    ),
)


answers.edit(
    "8.2",
    "the mean in float32, the rest in float64",
    "The mean is the first sum: convert before it.",
    ("features.mean(dim=0)", "features.float().mean(dim=0).double()"),
)

answers.edit(
    "8.2",
    "divided by N",
    "The mean was estimated from the same rows and lies too near to them, so by N the covariance "
    "comes out too small. Divide by N - 1.",
    ("(len(features) - 1)", "len(features)"),
)

answers.edit(
    "8.2",
    "divided by the number of features",
    "The mean is taken over the images, of which there are N = len(features). shape[1] is the "
    "number of features.",
    ("(len(features) - 1)", "features.shape[1]"),
)

answers.again(
    "8.2",
    "divided by the number of features",
    ("(len(features) - 1)", "max(1, features.shape[1] - 1)"),
)

answers.edit(
    "8.2",
    "the mean not taken off",
    "sum f f^T / (N - 1) without taking off the mean is the second moment around 0. A covariance "
    "is taken around the mean.",
    ("features - mean", "features"),
)

answers.edit(
    "8.2",
    "mean of squares less square of means",
    "On paper it is the same. With a mean of a million both numbers are 10^12, and of their "
    "difference only rounding is left. Take the mean off first.",
    ("centred.T @ centred", "(features.T @ features - len(features) * mean[:, None] * mean)"),
)

answers.planted(
    "8.2",
    "the variances, with 0 beside the diagonal",
    "Features go together: where one is large another tends to be. cov holds a number for every "
    "pair of them, and the variances are only its diagonal.",
)

answers.edit(
    "8.2",
    "the standard deviations multiplied",
    "Two standard deviations multiplied are the covariance of features that go together "
    "perfectly. Whether they do, only the rows themselves say, multiplied pair by pair.",
    (
        "centred.T @ centred / (len(features) - 1)",
        "torch.outer(features.std(dim=0), features.std(dim=0))",
    ),
)

answers.edit(
    "8.2",
    "a vector of variances",
    "cov has the shape (D, D), one number for every pair of features.",
    ("centred.T @ centred / (len(features) - 1)", "features.var(dim=0)"),
)

answers.edit(
    "8.2",
    "correlations",
    "torch.corrcoef divides by the standard deviations, and with them how widely the features "
    "spread is lost.",
    (
        "centred.T @ centred / (len(features) - 1)",
        "torch.corrcoef(features.T).reshape(len(mean), len(mean))",
    ),
)

answers.edit(
    "8.2",
    "covariance of the images instead of the features",
    "torch.cov takes a row for each variable. Here a row is an image: hand it features.T.",
    ("centred.T @ centred / (len(features) - 1)", "torch.cov(features)"),
)

answers.again(
    "8.2",
    "covariance of the images instead of the features",
    ("centred.T @ centred", "centred @ centred.T"),
)

answers.edit(
    "8.2",
    "one mean for each image",
    "dim=0 is the axis of the images: average along it, and each feature keeps a mean of its own.",
    ("dim=0", "dim=1"),
    ("features - mean", "features - mean[:, None]"),
)

answers.edit(
    "8.2",
    "cov about each image's mean, beside the right mean",
    "dim=1 is the axis of the features: it gives one number for each image. What is taken off of "
    "each feature is its own mean, over all images.",
    ("features - mean", "features - features.mean(dim=1, keepdim=True)"),
)

answers.edit(
    "8.2",
    "one mean for all features",
    "mean() without dim averages over everything. Each feature has its own mean: dim=0.",
    ("features.mean(dim=0)", "features.mean().expand(features.shape[1])"),
)

answers.edit(
    "8.2",
    "cov about the mean of all numbers, beside the right mean",
    "mean() without dim averages over everything. What is taken off of each feature is its own "
    "mean, the one that is returned.",
    ("features - mean", "features - features.mean()"),
)

answers.edit(
    "8.2",
    "the sum of the products, not divided",
    "Without dividing by N - 1 the numbers grow with the number of images.",
    (" / (len(features) - 1)", ""),
)

answers.edit(
    "8.2",
    "covariance first",
    "Return (mean, cov), in this order.",
    ("return mean, ", "return "),
    ("(len(features) - 1)", "(len(features) - 1), mean"),
)


@answers.wrong(
    "8.2",
    "the features centred in place",
    "-= changes the caller's features, and the next measure sees them without their mean. Make a "
    "new tensor.",
)
def feature_moments(features):
    mean, cov = ref.feature_moments(features)
    features -= mean.to(features.dtype)
    return mean, cov


answers.edit(
    "8.2",
    "a single feature without its axes",
    "Of one feature torch.cov makes a bare number, and so does squeeze. cov has the shape (D, D), "
    "which is (1, 1) there.",
    ("centred.T @ centred / (len(features) - 1)", "torch.cov(features.T)"),
)

answers.edit(
    "8.2",
    "a mean with an axis too many",
    "keepdim=True leaves the axis of the images, with length 1. The mean has the shape (D,), one "
    "number for each feature.",
    ("features.mean(dim=0)", "features.mean(dim=0, keepdim=True)"),
)

answers.edit(
    "8.2",
    "only one half of the covariance",
    "A covariance is symmetric: feature a goes with feature b as b goes with a. Both halves are "
    "part of it.",
    (
        "centred.T @ centred / (len(features) - 1)",
        "torch.triu(centred.T @ centred / (len(features) - 1))",
    ),
)

answers.edit(
    "8.2",
    "one row is accepted",
    "One row says nothing of how rows vary: divided by N - 1 it is 0 / 0. Keep the two lines that "
    "raise a ValueError.",
    ("if len(features) < 2", "if False"),
)

answers.edit(
    "8.2",
    "a little added to the variances",
    "Some code adds a little to the diagonal, to be able to invert it. Nothing is inverted here, "
    "and of small features it may be all that there is.",
    (
        "centred.T @ centred / (len(features) - 1)",
        "centred.T @ centred / (len(features) - 1) + 1e-6 * torch.eye(features.shape[1]).double()",
    ),
)


# 8.3


answers.edit(
    "8.3",
    "the roots of all entries instead of the matrix root",
    ".sqrt() takes the root of every number in the matrix. The root of a matrix is the one that, "
    "multiplied by itself, gives it: take the roots of its eigenvalues.",
    (
        "torch.linalg.eigvalsh(product).clamp(min=0).sqrt().sum()",
        "(cov_a @ cov_b).clamp(min=0).sqrt().trace()",
    ),
)

answers.again(
    "8.3",
    "the roots of all entries instead of the matrix root",
    (
        "root_a = vectors * values.clamp(min=0).sqrt() @ vectors.T",
        "root_a = cov_a.clamp(min=0).sqrt()",
    ),
    ("root_a @ cov_b @ root_a", "root_a @ cov_b @ root_a\n    product = (product + product.T) / 2"),
)

answers.edit(
    "8.3",
    "the roots multiplied instead of the root of the product",
    "S_a^(1/2) S_b^(1/2) has the trace that is asked for only where both have the same axes. Take "
    "the root of S_a^(1/2) S_b S_a^(1/2).",
    (
        "product = root_a @ cov_b @ root_a",
        "values, vectors = torch.linalg.eigh(cov_b)\n"
        "    root_b = vectors * values.clamp(min=0).sqrt() @ vectors.T",
    ),
    ("torch.linalg.eigvalsh(product).clamp(min=0).sqrt().sum()", "(root_a @ root_b).trace()"),
)

answers.again(
    "8.3",
    "the roots multiplied instead of the root of the product",
    (
        "product = root_a @ cov_b @ root_a",
        "values, vectors = torch.linalg.eigh(cov_b)\n"
        "    root_b = (vectors * values.clamp(min=0).sqrt()) @ vectors.T\n"
        "    cross = root_a @ root_b",
    ),
    (
        "    trace_of_root = torch.linalg.eigvalsh(product).clamp(min=0).sqrt().sum()\n",
        "",
    ),
    (
        "means + cov_a.trace() + cov_b.trace() - 2 * trace_of_root",
        "means + (cov_a + cov_b - 2 * cross).trace()",
    ),
)

answers.edit(
    "8.3",
    "Cholesky factors for roots",
    "A Cholesky factor L has L L^T = S, but is no root: L L is something else.",
    (
        "root_a @ cov_b @ root_a",
        "torch.linalg.cholesky_ex(cov_a)[0].T @ torch.linalg.cholesky_ex(cov_b)[0]",
    ),
    ("torch.linalg.eigvalsh(product).clamp(min=0).sqrt().sum()", "product.trace()"),
)

answers.edit(
    "8.3",
    "eigvalsh of S_a S_b",
    "eigvalsh looks at one half of the matrix and takes it for symmetric. S_a S_b is not, unless "
    "both have the same axes; S_a^(1/2) S_b S_a^(1/2) is.",
    ("root_a @ cov_b @ root_a", "cov_a @ cov_b"),
)

answers.edit(
    "8.3",
    "tr(S_a S_b) without a root",
    "tr(S_a S_b) is a product of variances. Under the root it becomes one of standard deviations.",
    ("torch.linalg.eigvalsh(product).clamp(min=0).sqrt().sum()", "(cov_a @ cov_b).trace()"),
)

answers.edit(
    "8.3",
    "the root of the trace instead of the trace of the root",
    "First the root, then the trace: the sum of the roots of the eigenvalues, not the root of "
    "their sum.",
    ("torch.linalg.eigvalsh(product).clamp(min=0).sqrt().sum()", "(cov_a @ cov_b).trace().sqrt()"),
)

answers.edit(
    "8.3",
    "only the variances of the single features",
    "Along the diagonal, two sets may agree whose features go together in quite different ways. "
    "The whole covariance counts.",
    (
        "torch.linalg.eigvalsh(product).clamp(min=0).sqrt().sum()",
        "(cov_a.diagonal() * cov_b.diagonal()).sqrt().sum()",
    ),
)

answers.again(
    "8.3",
    "only the variances of the single features",
    (
        "cov_a.trace() + cov_b.trace() - 2 * trace_of_root",
        "(cov_a.diagonal().sqrt() - cov_b.diagonal().sqrt()).square().sum()",
    ),
)

answers.edit(
    "8.3",
    "S_a S_b S_a under the root",
    "S_a S_b S_a is a product of three variances. With the root of S_a on both sides it is one of "
    "two, and the outer root makes standard deviations of them.",
    ("root_a @ cov_b @ root_a", "cov_a @ cov_b @ cov_a"),
)

answers.edit(
    "8.3",
    "the eigenvectors turned around",
    "eigh returns the eigenvectors as the columns of V, so S = V diag(s) V^T. The other way round "
    "it is another matrix, unless the axes are those of the features.",
    (
        "vectors * values.clamp(min=0).sqrt() @ vectors.T",
        "vectors.T * values.clamp(min=0).sqrt() @ vectors",
    ),
)

answers.edit(
    "8.3",
    "the factor 2 is missing",
    "(sigma_a - sigma_b)^2 = s_a + s_b - 2 sigma_a sigma_b. Without the 2, a set is at a distance "
    "from itself.",
    ("- 2 * trace_of_root", "- trace_of_root"),
)

answers.edit(
    "8.3",
    "plus twice the root",
    "The root is subtracted: what both have in common brings them nearer.",
    ("- 2 * trace_of_root", "+ 2 * trace_of_root"),
)

answers.edit(
    "8.3",
    "the distance of the means not squared",
    "|mu_a - mu_b|^2 is the sum of the squared differences, without a root.",
    ("square().sum()", "square().sum().sqrt()"),
)

answers.again(
    "8.3",
    "the distance of the means not squared",
    ("(mean_a - mean_b).square().sum()", "(mean_a - mean_b).norm()"),
    ("root_a @ cov_b @ root_a", "root_a @ cov_b @ root_a\n    product = (product + product.T) / 2"),
)

answers.edit(
    "8.3",
    "the mean of the squared differences instead of their sum",
    "|mu_a - mu_b|^2 sums over the features; .mean() divides by their number.",
    ("square().sum()", "square().mean()"),
)

answers.again(
    "8.3",
    "the mean of the squared differences instead of their sum",
    ("square().sum()", "square().mean()"),
    ("root_a @ cov_b @ root_a", "root_a @ cov_b @ root_a\n    product = (product + product.T) / 2"),
)

answers.edit(
    "8.3",
    "the root of d^2",
    "What papers report as FID is d^2, without a root at the end.",
    ("trace_of_root))", "trace_of_root)) ** 0.5"),
)

answers.again(
    "8.3",
    "the root of d^2",
    ("root_a @ cov_b @ root_a", "root_a @ cov_b @ root_a\n    product = (product + product.T) / 2"),
    ("trace_of_root))", "trace_of_root)) ** 0.5"),
)

answers.edit(
    "8.3",
    "the means are ignored",
    "Two sets of the same spread in different places are not the same. The means have a term.",
    ("means + ", ""),
)

answers.again(
    "8.3",
    "the means are ignored",
    ("means + ", ""),
    ("root_a @ cov_b @ root_a", "root_a @ cov_b @ root_a\n    product = (product + product.T) / 2"),
)

answers.edit(
    "8.3",
    "the covariances are ignored",
    "Ten repeated images may have the mean of all. What they lack is in the covariance.",
    ("means + cov_a.trace() + cov_b.trace() - 2 * trace_of_root", "means"),
)

answers.edit(
    "8.3",
    "the squared difference of the covariances",
    "|S_a - S_b|^2 is a distance of matrices, but not Fréchet's: it compares variances where he "
    "compares standard deviations.",
    ("cov_a.trace() + cov_b.trace() - 2 * trace_of_root", "(cov_a - cov_b).square().sum()"),
)

answers.edit(
    "8.3",
    "NaN from a singular covariance",
    "An eigenvalue that should be 0 comes out as -1e-17, and its root is NaN, which spreads, "
    "raises an error in what follows, or becomes 0 in max(0.0, ...). clamp(min=0) first.",
    ("values.clamp(min=0)", "values"),
    ("(product).clamp(min=0)", "(product)"),
)

answers.edit(
    "8.3",
    "a complex number",
    "eigvals does not know that there is nothing complex to find, and the root of -1e-17 is "
    "imaginary. eigvalsh of the symmetric product stays real.",
    (
        "torch.linalg.eigvalsh(product).clamp(min=0).sqrt().sum()",
        "torch.linalg.eigvals(cov_a @ cov_b).sqrt().sum()",
    ),
    ("max(0.0, float(", "(("),
    ("trace_of_root)", "trace_of_root).item()"),
)


@answers.wrong(
    "8.3",
    "something added to the diagonals",
    "Some code adds a little to both diagonals, to be able to invert or factor them. Nothing is "
    "inverted here, and with dead features it shifts the result.",
)
def frechet_distance(mean_a, cov_a, mean_b, cov_b):
    little = 1e-6 * torch.eye(len(cov_a), dtype=cov_a.dtype)
    return ref.frechet_distance(mean_a, cov_a + little, mean_b, cov_b + little)


answers.again(
    "8.3",
    "something added to the diagonals",
    (
        "    values, vectors = torch.linalg.eigh(cov_a)",
        "    little = 1e-6 * torch.eye(len(cov_a), dtype=cov_a.dtype)\n"
        "    values, vectors = torch.linalg.eigh(cov_a + little)",
    ),
    ("root_a @ cov_b @ root_a", "root_a @ (cov_b + little) @ root_a"),
)


@answers.wrong(
    "8.3",
    "computed in float32",
    "d^2 is the small difference of large traces. float32 keeps seven digits of those, which can "
    "be none of d^2.",
)
def frechet_distance(mean_a, cov_a, mean_b, cov_b):
    return ref.frechet_distance(mean_a.float(), cov_a.float(), mean_b.float(), cov_b.float())


answers.edit(
    "8.3",
    "below 0 by rounding",
    "Equal Gaussians are at 0, and rounding makes -1e-15 of it now and then. No distance is "
    "negative: max(0.0, ...).",
    ("max(0.0, float(", "(float("),
)

answers.again(
    "8.3",
    "below 0 by rounding",
    ("root_a @ cov_b @ root_a", "root_a @ cov_b @ root_a\n    product = (product + product.T) / 2"),
    ("max(0.0, float(", "(float("),
)

answers.edit(
    "8.3",
    "a tensor instead of a float",
    "Sums of tensors are tensors, also if they hold one number. float(...), or .item(), makes a "
    "float of it.",
    ("return max(0.0, float(means", "return (means"),
    ("trace_of_root))", "trace_of_root).clamp(min=0)"),
)

answers.again(
    "8.3",
    "a tensor instead of a float",
    ("root_a @ cov_b @ root_a", "root_a @ cov_b @ root_a\n    product = (product + product.T) / 2"),
    ("return max(0.0, float(means", "return (means"),
    ("trace_of_root))", "trace_of_root).clamp(min=0)"),
)

answers.edit(
    "8.3",
    "rounded to six places",
    "Features may be small, and so are their distances then. Round what you print, not what you "
    "return.",
    ("return max(0.0, float(", "return round(max(0.0, float("),
    ("trace_of_root))", "trace_of_root)), 6)"),
)


# 8.4


def _smallest(*sets):
    return min(len(rows) for rows in sets)


def _some(rows, n, generator):
    return rows[torch.randperm(len(rows), generator=generator)[:n]]


answers.edit(
    "8.4",
    "the ratio upside down",
    "Generated images belong above the line, so that a large ratio is a bad one.",
    ("return distance", "return 1 / distance"),
    (") / distance", ") * distance"),
)

answers.again(
    "8.4",
    "the ratio upside down",
    (
        "    return distance(reference_n, some(generated)) / distance(reference_n, some(held_out))",
        "    return distance(some(held_out), reference_n) / distance(some(generated), reference_n)",
    ),
)

answers.edit(
    "8.4",
    "the root of the ratio",
    "The ratio has the distance of real images as its unit, squared or not. Whoever wants a root "
    "hands in a distance with one.",
    (
        "distance(reference_n, some(generated)) / distance(reference_n, some(held_out))",
        "(\n"
        "        distance(reference_n, some(generated)) / distance(reference_n, some(held_out))\n"
        "    ) ** 0.5",
    ),
)

answers.edit(
    "8.4",
    "a difference instead of a ratio",
    "The difference depends on the scale of the features. Divide, and real images are the unit.",
    (") / distance", ") - distance"),
)

answers.edit(
    "8.4",
    "only the generated images' distance",
    "A figure alone says little: at this number of images real ones have a distance too. Divide "
    "by it.",
    (" / distance(reference_n, some(held_out))", ""),
)


@answers.wrong(
    "8.4",
    "held-out images compared with generated ones",
    "Below the line belong two sets of real images, the reference and the held-out ones.",
)
def distance_ratio(distance, reference, held_out, generated, generator):
    n = _smallest(reference, held_out, generated)
    a, b, c = (_some(rows, n, generator) for rows in (reference, held_out, generated))
    return distance(a, c) / distance(b, c)


answers.again(
    "8.4",
    "held-out images compared with generated ones",
    (
        "    return distance(reference_n, some(generated)) / distance(reference_n, some(held_out))",
        "    generated_n, held_out_n = some(generated), some(held_out)\n"
        "    return distance(generated_n, reference_n) / distance(generated_n, held_out_n)",
    ),
)


@answers.wrong(
    "8.4",
    "generated images measured against the held-out ones",
    "Both distances begin at the reference. Otherwise the two have no end in common.",
)
def distance_ratio(distance, reference, held_out, generated, generator):
    n = _smallest(reference, held_out, generated)
    a, b, c = (_some(rows, n, generator) for rows in (reference, held_out, generated))
    return distance(b, c) / distance(a, b)


answers.edit(
    "8.4",
    "the reference compared with a second draw of itself",
    "Two sets with images in common are too near to each other. Below the line belong reference "
    "and held-out images, which share none.",
    ("some(held_out)", "some(reference)"),
)


@answers.wrong(
    "8.4",
    "all rows of each set",
    "The smaller the set, the larger the distance. Cut all three to the size of the smallest, or "
    "the ratio compares numbers of images.",
)
def distance_ratio(distance, reference, held_out, generated, generator):
    return distance(reference, generated) / distance(reference, held_out)


@answers.wrong(
    "8.4",
    "as many rows as there are generated images",
    "The held-out set may be the smallest of the three, or the reference.",
)
def distance_ratio(distance, reference, held_out, generated, generator):
    a, b, c = (_some(rows, len(generated), generator) for rows in (reference, held_out, generated))
    return distance(a, c) / distance(a, b)


answers.edit(
    "8.4",
    "the reference not cut",
    "Its size counts as well: all three sets come with n rows.",
    ("some(reference)", "reference"),
)

answers.again(
    "8.4",
    "the reference not cut",
    ("min(len(reference), len(held_out), len(generated))", "min(len(held_out), len(generated))"),
    ("some(reference)", "reference"),
)


@answers.wrong(
    "8.4",
    "each pair cut by itself",
    "Both distances need the same n, or the bias above the line is not the one below it.",
)
def distance_ratio(distance, reference, held_out, generated, generator):
    def between(a, b):
        n = _smallest(a, b)
        return distance(_some(a, n, generator), _some(b, n, generator))

    return between(reference, generated) / between(reference, held_out)


@answers.wrong(
    "8.4",
    "half of the rows",
    "n is as large as it can be: the size of the smallest set.",
)
def distance_ratio(distance, reference, held_out, generated, generator):
    n = _smallest(reference, held_out, generated) // 2
    a, b, c = (_some(rows, n, generator) for rows in (reference, held_out, generated))
    return distance(a, c) / distance(a, b)


answers.again(
    "8.4",
    "half of the rows",
    ("len(generated))", "len(generated)) // 2"),
)

answers.edit(
    "8.4",
    "two halves of the reference as the unit",
    "The unit is how far other real images are from the reference, and these are the held-out "
    "ones. They are handed in for that.",
    (
        "n = min(len(reference), len(held_out), len(generated))",
        "n = min(len(reference) // 2, len(generated))",
    ),
    (
        "    reference_n = some(reference)\n",
        "    order = torch.randperm(len(reference), generator=generator)\n"
        "    reference_n, other_n = reference[order[:n]], reference[order[n : 2 * n]]\n",
    ),
    ("some(held_out)", "other_n"),
)


@answers.wrong(
    "8.4",
    "drawn with replacement",
    "randint draws some rows twice and others not at all, and a set with repeated rows is further "
    "from everything. randperm(len(rows))[:n] gives different ones.",
)
def distance_ratio(distance, reference, held_out, generated, generator):
    n = _smallest(reference, held_out, generated)
    a, b, c = (
        rows[torch.randint(len(rows), (n,), generator=generator)]
        for rows in (reference, held_out, generated)
    )
    return distance(a, c) / distance(a, b)


answers.again(
    "8.4",
    "drawn with replacement",
    (
        "torch.randperm(len(rows), generator=generator)[:n]",
        "torch.randint(len(rows), (n,), generator=generator)",
    ),
)


answers.edit(
    "8.4",
    "the reference drawn twice",
    "With other rows of the reference above and below the line you measure with two rulers. Draw "
    "them once.",
    ("distance(reference_n, some(held_out))", "distance(some(reference), some(held_out))"),
)

answers.again(
    "8.4",
    "the reference drawn twice",
    ("    reference_n = some(reference)\n", ""),
    (
        "distance(reference_n, some(generated)) / distance(reference_n, some(held_out))",
        "distance(some(generated), some(reference)) / distance(some(held_out), some(reference))",
    ),
)

answers.edit(
    "8.4",
    "the first n rows of each set, nothing drawn",
    "Sets are often sorted, by digit or by writer: their first rows are not like the rest. Draw at "
    "random.",
    ("torch.randperm(len(rows), generator=generator)[:n]", ":n"),
)

answers.edit(
    "8.4",
    "one draw of numbers for all sets",
    "Row numbers drawn from the first n of the smallest set never reach the later rows of a larger "
    "one. Each set has its own randperm.",
    ("torch.randperm(len(rows), generator=generator)[:n]", "order"),
    ("    reference_n", "    order = torch.randperm(n, generator=generator)\n    reference_n"),
)

answers.edit(
    "8.4",
    "the generator is ignored",
    "torch.randperm(len(rows), generator=generator): without it, global randomness decides, and "
    "nobody gets your figure again.",
    (", generator=generator", ""),
)

answers.edit(
    "8.4",
    "a generator of its own",
    "With a generator made inside, every call draws the same rows, whatever is handed in.",
    ("    reference_n", "    generator = torch.Generator().manual_seed(0)\n    reference_n"),
)

answers.edit(
    "8.4",
    "a tensor instead of a float",
    "distance gives floats, and so does a division of two of them. There is nothing to make a "
    "tensor of.",
    ("return distance", "return torch.ones(()).double() * distance"),
)

answers.edit(
    "8.4",
    "something added below the line",
    "A little that keeps from dividing by 0 is not little where distances are small: it makes bad "
    "images look good. Two sets of real images are never at 0.",
    ("/ distance(reference_n, some(held_out))", "/ (distance(reference_n, some(held_out)) + 1e-6)"),
)

answers.edit(
    "8.4",
    "the first n generated rows",
    "The generated set is often sorted as well, by the digit that was asked for. Draw from it too.",
    ("some(generated)", "generated[:n]"),
)

answers.edit(
    "8.4",
    "at most a thousand rows",
    "The larger n is, the less is left to chance. n is the size of the smallest set, large or not.",
    ("n = min(", "n = min(1000, "),
)

answers.edit(
    "8.4",
    "the same places in each set",
    "If sets are sorted alike, rows at the same places are alike. Draw for each set anew.",
    (
        "    def some(",
        "    order = torch.randperm(\n"
        "        max(len(reference), len(held_out), len(generated)), generator=generator\n"
        "    )\n\n"
        "    def some(",
    ),
    ("torch.randperm(len(rows), generator=generator)[:n]", "order[order < len(rows)][:n]"),
)

answers.edit(
    "8.4",
    "a run of neighbouring rows",
    "In a sorted set neighbours are of one digit. Only where the run begins is left to chance; "
    "torch.randperm mixes all rows.",
    (
        "rows[torch.randperm(len(rows), generator=generator)[:n]]",
        "rows.roll(int(torch.randint(len(rows), (1,), generator=generator)), 0)[:n]",
    ),
)

answers.edit(
    "8.4",
    "torch's own generator given a seed",
    "torch.manual_seed sets the generator that everything else draws from as well. Hand the one "
    "that you are given to torch.randperm: generator=generator.",
    (
        "    n = min",
        "    torch.manual_seed(int(torch.randint(2**31, (1,), generator=generator)))\n    n = min",
    ),
    ("torch.randperm(len(rows), generator=generator)", "torch.randperm(len(rows))"),
)


# 8.5


answers.edit(
    "8.5",
    "the point counted as its own neighbour",
    "Every point is at distance 0 from itself. The k-th nearest other one is the (k + 1)-th in the "
    "row.",
    ("k + 1", "k"),
)

answers.edit(
    "8.5",
    "always the nearest neighbour",
    "k says which neighbour the ball reaches to.",
    ("k + 1", "2"),
)

answers.edit(
    "8.5",
    "one neighbour too far",
    "The row holds the point itself once: the k-th other one is number k + 1, not k + 2.",
    ("k + 1", "k + 2"),
)

answers.again(
    "8.5",
    "one neighbour too far",
    ("kthvalue(k + 1, dim=1).values", "kthvalue(min(k + 2, len(points)), dim=1).values"),
)

answers.edit(
    "8.5",
    "the k-th farthest point",
    "topk takes the largest, unless it is told largest=False.",
    ("kthvalue(k + 1, dim=1).values", "topk(k, dim=1).values[:, -1]"),
)

answers.edit(
    "8.5",
    "the average of the k nearest",
    "The ball reaches to the k-th neighbour itself.",
    ("kthvalue(k + 1, dim=1).values", "topk(k + 1, dim=1, largest=False).values.sum(dim=1) / k"),
)

answers.edit(
    "8.5",
    "squared distances",
    "A radius is a distance: take the root of the summed squares.",
    ("kthvalue(k + 1, dim=1).values", "kthvalue(k + 1, dim=1).values.square()"),
)

answers.edit(
    "8.5",
    "summed absolute differences",
    "torch.cdist with p=1 walks along the axes. The distance here is Euclidean, p=2.",
    ("distances(points, points)", "torch.cdist(points, points, p=1)"),
)


@answers.wrong(
    "8.5",
    "copies skipped along with the point itself",
    "Leaving out all distances of 0 leaves out the copies as well. Only the point itself does not "
    "count, one 0 a row.",
)
def neighbour_radii(points, k):
    ref.neighbour_radii(points, k)  # which refuses a k that cannot be
    found = ref.distances(points, points)
    found = torch.where(found == 0, torch.inf, found)
    return found.kthvalue(k, dim=1).values


@answers.wrong(
    "8.5",
    "distances by way of a matrix product",
    "torch.cdist saves time by |x|^2 + |y|^2 - 2 x . y, which subtracts large numbers: equal "
    "points come out at 0.01 instead of 0. Use the `distances` that is given.",
)
def neighbour_radii(points, k):
    ref.neighbour_radii(points, k)  # which refuses a k that cannot be
    fast = torch.cdist(points, points, compute_mode="use_mm_for_euclid_dist")
    return fast.kthvalue(k + 1, dim=1).values


@answers.wrong(
    "8.5",
    "precision instead of recall",
    "Precision asks which generated images lie in real balls. Recall asks which real ones lie in "
    "generated balls: exchange the two.",
)
def recall(real, generated, k=3):
    return ref.recall(generated, real, k)


@answers.wrong(
    "8.5",
    "coverage instead of recall",
    "In recall the balls belong to the generated images, one radius for each column of the table.",
)
def recall(real, generated, k=3):
    return ref.coverage(real, generated, k)


answers.edit(
    "8.5",
    "balls of generated images that reach to real ones",
    "A generated image's ball reaches to its k-th nearest other generated image. Measured to the "
    "real ones, it holds k of them by itself, however far away they are.",
    (
        "radii = neighbour_radii(generated, k)",
        "radii = distances(generated, real).kthvalue(k, dim=1).values",
    ),
)


answers.edit(
    "8.5",
    "the share of generated balls that hold a real image",
    "Count real images: any along the generated ones, and then the mean over the real ones.",
    ("any(dim=1)", "any(dim=0)"),
)

answers.edit(
    "8.5",
    "in all balls instead of in any",
    "One ball that holds it is enough.",
    ("any(dim=1)", "all(dim=1)"),
)

answers.edit(
    "8.5",
    "the share of all pairs",
    "How many balls hold a real image does not matter, only whether any does.",
    (".any(dim=1)", ""),
)


@answers.wrong(
    "8.5",
    "only the ball of the nearest generated image",
    "The nearest may have a small ball, and one further away a large ball that holds the image. "
    "Look at all of them.",
)
def recall(real, generated, k=3):
    found = ref.distances(real, generated)
    nearest = found.min(dim=1)
    radii = ref.neighbour_radii(generated, k)[nearest.indices]
    return float((nearest.values <= radii).double().mean())


answers.edit(
    "8.5",
    "recall without the border of the ball",
    "Where images repeat, radii are 0, and < finds nothing at all. The border belongs to the ball: "
    "<=.",
    ("generated) <= radii", "generated) < radii"),
)

answers.edit(
    "8.5",
    "a number of images for recall",
    "recall is a share: the mean, not the sum.",
    ("any(dim=1).double().mean()", "any(dim=1).double().sum()"),
)

answers.edit(
    "8.5",
    "recall with k fixed at 3",
    "k is an argument; 3 is only its default.",
    ("neighbour_radii(generated, k)", "neighbour_radii(generated, 3)"),
)

answers.edit(
    "8.5",
    "recall with k = 5 by default",
    "Kynkäänniemi et al. use k = 3, Naeem et al. k = 5. Figures with different k cannot be "
    "compared.",
    ("k: int = 3", "k: int = 5"),
)


@answers.wrong(
    "8.5",
    "recall instead of coverage",
    "In coverage the balls belong to the real images, one radius for each row of the table.",
)
def coverage(real, generated, k=5):
    return ref.recall(real, generated, k)


answers.edit(
    "8.5",
    "precision instead of coverage",
    "Both have real balls. Precision counts the generated images in them, coverage the balls that "
    "hold any.",
    ("(nearest <= radii)", "(distances(real, generated) <= radii[:, None]).any(dim=0)"),
)

answers.edit(
    "8.5",
    "density instead of coverage",
    "Density counts how many generated images lie in each ball, so that a crowd in one place makes "
    "up for all others. Coverage asks only whether there is one.",
    (
        "(nearest <= radii).double().mean()",
        "(distances(real, generated) <= radii[:, None]).double().sum() / (k * len(generated))",
    ),
)

answers.edit(
    "8.5",
    "each radius compared with another image's distance",
    "Radius i belongs to real image i, and so does row i of the distances. Keep both in the order "
    "of the images.",
    (".amin(dim=1)", ".amin(dim=1).sort().values"),
)

answers.edit(
    "8.5",
    "coverage without the border of the ball",
    "Where images repeat, radii are 0, and < finds nothing at all. The border belongs to the ball: "
    "<=.",
    ("nearest <= radii", "nearest < radii"),
)

answers.edit(
    "8.5",
    "the farthest generated image instead of the nearest",
    "A ball is covered if the nearest generated image lies in it: amin.",
    ("amin", "amax"),
)

answers.edit(
    "8.5",
    "coverage with k fixed at 5",
    "k is an argument; 5 is only its default.",
    ("neighbour_radii(real, k)", "neighbour_radii(real, 5)"),
)

answers.edit(
    "8.5",
    "coverage with k = 3 by default",
    "Naeem et al. use k = 5, Kynkäänniemi et al. k = 3. Figures with different k cannot be "
    "compared.",
    ("k: int = 5", "k: int = 3"),
)

answers.edit(
    "8.5",
    "a k that is too large is cut",
    "Among four points none has a fourth neighbour. Keep the two lines that raise a ValueError, or "
    "figures of different k would bear the same name.",
    ("if not 1 <= k < len(points)", "k = min(max(k, 1), len(points) - 1)\n    if False"),
)

answers.edit(
    "8.5",
    "shares as tensors",
    "mean() gives a tensor. float(...), or .item(), makes a float of it.",
    ("return float(inside.any(dim=1).double().mean())", "return inside.any(dim=1).double().mean()"),
    (
        "return float((nearest <= radii).double().mean())",
        "return (nearest <= radii).double().mean()",
    ),
)

answers.again(
    "8.5",
    "shares as tensors",
    (
        "return float((nearest <= radii).double().mean())",
        "return (nearest <= radii).double().mean()",
    ),
)

answers.again(
    "8.5",
    "shares as tensors",
    ("return float(inside.any(dim=1).double().mean())", "return inside.any(dim=1).double().mean()"),
)

answers.edit(
    "8.5",
    "distances between the sets by way of a matrix product",
    "torch.cdist takes the short cut of |x|^2 + |y|^2 - 2 x . y for sets of more than 25 rows, and "
    "then equal points are not at 0. Use the `distances` that is given between the sets as well.",
    ("inside = distances(", "inside = torch.cdist("),
    ("nearest = distances(", "nearest = torch.cdist("),
)


# 8.6


def _all_distances(images, training):
    found = [(training.double() - x.double()).square().sum(dim=1).sqrt() for x in images]
    return torch.stack(found)


answers.edit(
    "8.6",
    "squared distances",
    "A third of a distance is a ninth of its square. Take the root.",
    ("sum(dim=2).sqrt()", "sum(dim=2)"),
)

answers.edit(
    "8.6",
    "root mean square instead of distance",
    "The Euclidean distance sums the squares over the pixels; mean() divides by their number.",
    ("sum(dim=2)", "mean(dim=2)"),
)


@answers.wrong(
    "8.6",
    "summed absolute differences",
    "The distance here is Euclidean: the root of the summed squares.",
)
def two_nearest(images, training):
    found = torch.cdist(images.double(), training.double(), p=1)
    return found.topk(2, dim=1, largest=False).values


answers.again(
    "8.6",
    "summed absolute differences",
    ("square().sum(dim=2).sqrt()", "abs().sum(dim=2)"),
)


answers.edit(
    "8.6",
    "all in float32, the result as well",
    "The distances are asked for in float64: .double() before anything is subtracted.",
    ("    images, training = images.double(), training.double()\n", ""),
)

answers.edit(
    "8.6",
    "float64 only for the result",
    "float32 has rounded the differences before, and .double() does not bring the digits back. "
    "Turn both sets into float64 at the beginning.",
    ("    images, training = images.double(), training.double()\n", ""),
    ("return torch.cat(found)", "return torch.cat(found).double()"),
)

answers.edit(
    "8.6",
    "the two found in float64, measured in float32",
    "float32 has rounded the differences, and float64 afterwards does not bring the digits back. "
    "Find and measure in float64.",
    (
        "difference = training[nearest] - some[:, None]",
        "difference = training.float()[nearest] - some.float()[:, None]",
    ),
    ("sum(dim=2).sqrt()", "sum(dim=2).sqrt().double()"),
)


def _found_in_float32(images, training, count):
    """The two nearest of the `count` that come first by the short cut in float32."""
    values = training.square().sum(dim=1) - 2 * images @ training.T
    few = values.topk(min(count, len(training)), largest=False).indices  # (N, count)
    apart = (training.double()[few] - images.double()[:, None]).square().sum(dim=2).sqrt()
    return apart.sort(dim=1).values[:, :2]


@answers.wrong(
    "8.6",
    "the two found in float32, measured in float64",
    "In float32 the short cut is rounded so much that among many training images that are nearly "
    "as near others come first. Turn both sets into float64 before the product.",
)
def two_nearest(images, training):
    return _found_in_float32(images, training, 2)


@answers.wrong_again("8.6", "the two found in float32, measured in float64")
def two_nearest(images, training):
    values = images.square().sum(dim=1, keepdim=True) + training.square().sum(dim=1)
    two = (values - 2 * images @ training.T).topk(2, dim=1, largest=False).indices  # (N, 2)
    apart = (images.double()[:, None] - training.double()[two]).square().sum(dim=2).sqrt()
    return apart.sort(dim=1).values


@answers.wrong(
    "8.6",
    "a few more found in float32",
    "However many are measured, a training set can hold more that float32's rounding puts before "
    "the nearest. Turn both sets into float64 before the product.",
)
def two_nearest(images, training):
    return _found_in_float32(images, training, 16)


answers.edit(
    "8.6",
    "the two farthest",
    "topk takes the largest, unless it is told largest=False.",
    ("largest=False", "largest=True"),
)

answers.edit(
    "8.6",
    "the farther one first",
    "The nearest is in column 0.",
    ("sort(dim=1)", "sort(dim=1, descending=True)"),
)

answers.edit(
    "8.6",
    "the order of the short cut kept",
    "The product finds the two, but rounding may have exchanged them, and measured exactly they "
    "are to be sorted.",
    (".sort(dim=1).values", ""),
)

answers.edit(
    "8.6",
    "the nearest one twice",
    "The second nearest training image is another one, with a distance of its own: hand out both.",
    ("return torch.cat(found)", "return torch.cat(found)[:, [0, 0]]"),
)


@answers.wrong(
    "8.6",
    "the second and the third nearest",
    "Nothing is to be skipped: the image is not among the training images, unless it is a copy, "
    "and copies are what you look for.",
)
def two_nearest(images, training):
    found = _all_distances(images, training)
    if found.shape[1] < 3:
        found = torch.cat([found, found.amax(dim=1, keepdim=True)], dim=1)
    return found.topk(3, dim=1, largest=False).values[:, 1:]


@answers.wrong(
    "8.6",
    "copies skipped as if they were the image itself",
    "A distance of 0 is not the image itself but a copy of it in the training set: the very thing "
    "that you look for.",
)
def two_nearest(images, training):
    found = _all_distances(images, training)
    found = torch.where(found == 0, torch.inf, found)
    return found.topk(2, dim=1, largest=False).values


answers.again(
    "8.6",
    "copies skipped as if they were the image itself",
    (
        "nearest = (squares - 2 * some @ training.T).topk(2, largest=False)",
        "apart = some.square().sum(dim=1, keepdim=True) + squares - 2 * some @ training.T\n"
        '        apart = apart.masked_fill(apart < 1e-9, float("inf"))\n'
        "        nearest = apart.topk(2, largest=False)",
    ),
)

answers.edit(
    "8.6",
    "an image that is there twice counted once",
    "Where the training set holds an image twice, a copy of it is as near to the one as to the "
    "other: both distances are 0. Leave the training set as it is.",
    (
        "images.double(), training.double()",
        "images.double(), torch.unique(training, dim=0).double()",
    ),
)


@answers.wrong(
    "8.6",
    "each training image's two nearest images",
    "The question is about the images: a row for each of them, with its two nearest training "
    "images.",
)
def two_nearest(images, training):
    found = _all_distances(images, training).T
    if found.shape[1] < 2:
        found = found.expand(-1, 2)
    return found.topk(2, dim=1, largest=False).values


@answers.wrong(
    "8.6",
    "the short cut's distances, in float32",
    "|x|^2 + |y|^2 - 2 x . y subtracts large numbers, and a copy is at 0.01 instead of 0; a cut at "
    "0 only hides that. Find the two with it, and measure them again by their differences.",
)
def two_nearest(images, training):
    fast = torch.cdist(images, training, compute_mode="use_mm_for_euclid_dist").double()
    return fast.topk(2, dim=1, largest=False).values


@answers.wrong_again("8.6", "the short cut's distances, in float32")
def two_nearest(images, training):
    squares = images.square().sum(dim=1, keepdim=True) + training.square().sum(dim=1)
    fast = (squares - 2 * images @ training.T).clamp(min=0)
    return fast.topk(2, dim=1, largest=False).values.sqrt().double()


@answers.wrong(
    "8.6",
    "the short cut's distances, in float64",
    "float64 rounds less, but it rounds: |x|^2 + |y|^2 - 2 x . y of a copy is not exactly 0. Find "
    "the two with it, and measure them again by their differences.",
)
def two_nearest(images, training):
    images, training = images.double(), training.double()
    squares = images.square().sum(dim=1)[:, None] + training.square().sum(dim=1)
    fast = (squares - 2 * images @ training.T).clamp(min=0).sqrt()
    return fast.topk(2, dim=1, largest=False).values


answers.edit(
    "8.6",
    "the largest x . y taken for the nearest",
    "x . y is large for bright training images, near or not. |y|^2 - 2 x . y is what orders them "
    "by distance.",
    ("(squares - 2 * some @ training.T).topk(2, largest=False)", "(some @ training.T).topk(2)"),
)

answers.edit(
    "8.6",
    "the 2 of the short cut forgotten",
    "|x - y|^2 = |x|^2 + |y|^2 - 2 x . y: the product counts twice. Without the 2, training images "
    "for which |y|^2 is small come first, near or not.",
    ("squares - 2 * some @ training.T", "squares - some @ training.T"),
)

answers.edit(
    "8.6",
    "nearest by angle",
    "The cosine does not see how bright an image is. Distances do.",
    (
        "squares = training.square().sum(dim=1)",
        "unit = training / training.norm(dim=1, keepdim=True).clamp(min=1e-12)",
    ),
    ("(squares - 2 * some @ training.T).topk(2, largest=False)", "(some @ unit.T).topk(2)"),
)


@answers.wrong(
    "8.6",
    "only the last part of the images",
    "What each part gives has to be kept and joined: torch.cat.",
)
def two_nearest(images, training):
    return ref.two_nearest(images, training)[-250:]


answers.edit(
    "8.6",
    "the ratio as a limit for the distance alone",
    "Plain images are near to many training images without being copies. Compare with the second "
    "nearest.",
    ("ratio * nearest[:, 1]", "ratio"),
)

answers.edit(
    "8.6",
    "a distance below 1 asked for as well",
    "How near is near depends on the images: a faint copy lies further off than a plain 1 that is "
    "none. Only the comparison with the second nearest counts.",
    (
        "nearest[:, 0] <= ratio * nearest[:, 1]",
        "(nearest[:, 0] <= ratio * nearest[:, 1]) & (nearest[:, 0] < 1.0)",
    ),
)

answers.edit(
    "8.6",
    "compared with the mean of all second distances",
    "Each image has a second nearest training image of its own, and with that one it is compared. "
    "What the other images have changes nothing.",
    ("ratio * nearest[:, 1]", "ratio * nearest[:, 1].mean()"),
)

answers.edit(
    "8.6",
    "the difference compared with ratio times the second distance",
    "Where the difference is a third of the second distance, the first is still two thirds of it. "
    "It is the first distance itself that is compared with ratio times the second.",
    (
        "nearest[:, 0] <= ratio * nearest[:, 1]",
        "nearest[:, 1] - nearest[:, 0] >= ratio * nearest[:, 1]",
    ),
)

answers.edit(
    "8.6",
    "the two distances exchanged",
    "Column 0 is the nearer one, and a copy is one that is far nearer than column 1.",
    ("nearest[:, 0] <= ratio * nearest[:, 1]", "nearest[:, 1] <= ratio * nearest[:, 0]"),
)

answers.edit(
    "8.6",
    "originals flagged instead of copies",
    "True means a copy.",
    ("<= ratio", "> ratio"),
)

answers.edit(
    "8.6",
    "the ratio squared, the distances not",
    "The distances are not squared, so the ratio is not either.",
    ("ratio * nearest", "ratio**2 * nearest"),
)

answers.edit(
    "8.6",
    "the distances squared, the ratio not",
    "1/3 is the ratio of the distances. That of their squares would be 1/9.",
    ("nearest[:, 0]", "nearest[:, 0].square()"),
    ("nearest[:, 1]", "nearest[:, 1].square()"),
)

answers.edit(
    "8.6",
    "divided by a second distance of 0",
    "An image that the training set holds twice gives 0 / 0, which is NaN and no copy. Multiply: "
    "first <= ratio * second.",
    ("<= ratio * nearest[:, 1]", "/ nearest[:, 1] <= ratio"),
)

answers.edit(
    "8.6",
    "less than instead of at most",
    "0 < 0 is false, so that a copy of an image which the training set holds twice gets away. The "
    "border belongs to the copies.",
    ("<= ratio", "< ratio"),
)

answers.edit(
    "8.6",
    "the ratio is ignored",
    "ratio is an argument; 1/3 is only its default.",
    ("ratio * nearest", "1 / 3 * nearest"),
)

answers.edit(
    "8.6",
    "a ratio of 1/2 by default",
    "Yoon et al. use 1/3. At 1/2 many real images that were never trained on would be copies.",
    ("ratio: float = 1 / 3", "ratio: float = 0.5"),
)


@answers.wrong(
    "8.6",
    "the share of copies instead of which they are",
    "Say of each image whether it is a copy. The share is the mean of that.",
)
def is_copy(nearest, ratio=1 / 3):
    return float(ref.is_copy(nearest, ratio).double().mean())


@answers.wrong(
    "8.6",
    "numbers instead of yes and no",
    "A comparison gives bool, which can be used to pick the images. Leave it so.",
)
def is_copy(nearest, ratio=1 / 3):
    return ref.is_copy(nearest, ratio).float()


answers.edit(
    "8.6",
    "only the first thousand training images",
    "The original of a copy may be the last of the training set. Cut the images into parts, if "
    "there are too many at once, but compare each part with all of the training set.",
    ("    squares", "    training = training[:1000]\n    squares"),
)

answers.edit(
    "8.6",
    "a single image without its axis",
    "squeeze() drops every axis of length 1, that of the images too if there is only one.",
    ("return torch.cat(found)", "return torch.cat(found).squeeze()"),
)

answers.edit(
    "8.6",
    "something added below the line",
    "A little that keeps from dividing by 0 makes copies of images that are none, where distances "
    "are small. Multiply instead: first <= ratio * second.",
    ("<= ratio * nearest[:, 1]", "/ (nearest[:, 1] + 1e-8) <= ratio"),
)

answers.edit(
    "8.6",
    "something added under the root",
    "The root of 0 is 0, and nothing here is divided by it. With a little added, a copy is no "
    "longer at 0, exactly.",
    ("sum(dim=2).sqrt()", "sum(dim=2).add(1e-12).sqrt()"),
)

answers.again(
    "8.6",
    "something added under the root",
    ("sum(dim=2).sqrt()", "sum(dim=2).add(1e-8).sqrt()"),
)
