"""Checks of chapter 08: evaluation."""

import functools
import math

import torch
from torch import Tensor
from torch.nn import functional as F

from checks.probes import ch08_evaluation as probes
from checks.theory import require_value_errors
from course.grading.checking import (
    brief,
    check,
    listed,
    require,
    require_close,
    require_number,
    require_tensor,
)

# Real images of few pixels, for failures to be planted among: MNIST's digits, made small.


@functools.cache
def _digits() -> Tensor:
    """Digits of 8 x 8 pixels without MNIST's frame, (4500, 64) in [-1, 1]."""
    from course.model.data import load_images  # it reads a file, and few checks need it

    large = load_images("mnist5k").batch(slice(None))[0][:, :, 2:26, 2:26]  # (4500, 1, 24, 24)
    return F.avg_pool2d(large, 3).flatten(1)


def real_digits(g: torch.Generator, *sizes: int) -> list[Tensor]:
    """Sets of real digits, none of them in two sets, each of shape (size, 64) in [-1, 1]."""
    pixels = _digits()
    order = torch.randperm(len(pixels), generator=g)[: sum(sizes)]
    return list(pixels[order].split(list(sizes)))


def noisy(g: torch.Generator, images: Tensor, size: float = 0.5) -> Tensor:
    return images + size * torch.randn(images.shape, generator=g)


def blurred(images: Tensor) -> Tensor:
    """Each pixel the mean of the nine around it."""
    padded = F.pad(images.view(-1, 1, 8, 8), (1, 1, 1, 1), value=-1.0)
    return F.avg_pool2d(padded, 3, stride=1).flatten(1)


def repeated(images: Tensor, kinds: int) -> Tensor:
    """As many images, but only the first few of them, again and again."""
    return images[torch.arange(len(images)) % kinds]


def require_type(found: str, wanted: tuple[str, ...], name: str, expected: str) -> None:
    require(found in wanted, f"{name} to be {expected}", f"{name}: {found}")


A_FLOAT = ("float", "int"), "a float, which float(...) or .item() makes of a tensor"


def require_finite(value, name: str) -> None:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    require(number and math.isfinite(value), f"{name} to be a number", f"{name} = {brief(value)}")


# 8.1

COUNTS = "right_by_class(logits, labels)"


def judged(g: torch.Generator, seen: list[int], asked: list[int], num_classes: int) -> dict:
    """A case in which the judge sees these digits, with logits of any size and sign."""
    logits = torch.randn(len(seen), num_classes, generator=g)
    top = logits.amax(dim=1) + 0.1 + torch.rand(len(seen), generator=g)
    logits[torch.arange(len(seen)), torch.tensor(seen)] = top
    shift = 6 * torch.rand(len(seen), 1, generator=g) - 4
    return {"logits": logits + shift, "labels": torch.tensor(asked)}


def count_cases(g: torch.Generator) -> dict:
    """Judges of which no two have the same number of images; one has a single image."""
    asked = [3, 0, 1, 1, 3, 0, 3, 4, 1, 3, 0]
    seen = [3, 0, 4, 1, 0, 1, 3, 4, 1, 1, 0]
    many = torch.randint(0, 7, (90,), generator=g)
    wrong = torch.rand(90, generator=g) < 0.4
    guess = torch.where(wrong, torch.randint(0, 8, (90,), generator=g), many)
    return {
        "cases": [
            judged(g, seen, asked, 6),  # nobody asks for a 2 or a 5
            judged(g, guess.tolist(), many.tolist(), 8),
            judged(g, [1, 0, 2], [2, 0, 1], 4),
            judged(g, [2], [2], 3),
        ]
    }


def counted(case: dict) -> tuple[list[int], list[int]]:
    """(right, count) of each class, counted image by image."""
    num_classes = case["logits"].shape[1]
    right, count = [0] * num_classes, [0] * num_classes
    for row, label in zip(case["logits"].tolist(), case["labels"].tolist()):
        count[label] += 1
        right[label] += row.index(max(row)) == label
    return right, count


def require_counts(value, name: str, wanted: list[int], expected: str) -> None:
    value = require_tensor(value, name, (len(wanted),), torch.int64).tolist()
    require(value == wanted, expected, f"{name} = {value}")


@check(
    "8.1",
    probe=probes.counts,
    inputs=count_cases,
    call=COUNTS + ", 11, 90, 3 and 1 images, 6, 8, 4 and 3 classes, not all of them asked for",
)
def test_counts_how_many_were_asked_for(got, ref, inputs):
    """count says of each class how many images were asked for, 0 where none was"""
    for case, count in zip(inputs["cases"], got["count"]):
        _, wanted = counted(case)
        require_counts(
            count, "count", wanted, f"how often each of the {len(wanted)} classes is in labels"
        )


@check(
    "8.1",
    probe=probes.counts,
    inputs=count_cases,
    call=COUNTS + ", 11, 90, 3 and 1 images, 6, 8, 4 and 3 classes",
)
def test_counts_how_many_are_right(got, ref, inputs):
    """right says of each class how many of its images are judged to be of it"""
    for case, right in zip(inputs["cases"], got["right"]):
        wanted, _ = counted(case)
        require_counts(
            right,
            "right",
            wanted,
            "for each class, the images that were asked for and whose largest logit is there",
        )


def require_worst(got, wanted: list[int], why: str) -> None:
    for worst, target in zip(got["worst"], wanted):
        require(worst == target, f"worst = {target}: {why}", f"worst = {brief(worst)}")


@check(
    "8.1",
    probe=probes.counts,
    inputs=lambda g: {
        "cases": [
            # digit 0: 8 of 12, digit 1: 4 of 5, digit 2: 1 of 2
            judged(g, [0] * 8 + [1] * 4 + [1] * 4 + [0] + [2, 1], [0] * 12 + [1] * 5 + [2] * 2, 3),
            # digit 0: 1 of 1, digit 1: 3 of 9
            judged(g, [0] + [1] * 3 + [0] * 6, [0] + [1] * 9, 2),
            # digit 0: 3 of 4, digit 1: 2 of 2, digit 2: 0 of 1
            judged(g, [0, 0, 0, 1, 1, 1, 0], [0, 0, 0, 0, 1, 1, 2], 3),
            # digit 0: 1 of 9, digit 1: 0 of 1
            judged(g, [0] + [1] * 8 + [0], [0] * 9 + [1], 2),
        ]
    },
    call=COUNTS + ", with 8 of 12, 4 of 5, 1 of 2 right; with 1 of 1, 3 of 9; with 3 of 4, 2 of 2, "
    "0 of 1; with 1 of 9, 0 of 1",
)
def test_worst_is_the_class_with_the_smallest_share(got, ref, inputs):
    """worst is the class of which the smallest share is right, not the smallest number"""
    require_worst(got, [2, 1, 2, 1], "the class of which the smallest share is right")


@check(
    "8.1",
    probe=probes.counts,
    inputs=lambda g: {
        "cases": [
            judged(g, [1, 1, 4, 4, 1], [1, 1, 4, 4, 4], 6),
            judged(g, [3, 2, 2], [3, 3, 3], 5),
        ]
    },
    call=COUNTS + ", 6 and 5 classes, of which only 1 and 4, and only 3, are asked for",
)
def test_worst_was_asked_for(got, ref, inputs):
    """A class that nobody asked for is not the worst"""
    require_worst(
        got,
        [4, 3],
        "the smallest share among the classes that were asked for, by its number among all",
    )


@check(
    "8.1",
    probe=probes.counts,
    inputs=lambda g: {
        "cases": [
            judged(g, [0, 1, 0, 2, 0], [0, 1, 1, 2, 2], 3),
            judged(g, [1, 2, 3, 3, 3, 0], [3, 3, 1, 1, 2, 2], 5),
        ]
    },
    call=COUNTS + ", where two and three classes are equally bad",
)
def test_worst_of_equals_is_the_first(got, ref, inputs):
    """Of classes that are equally bad, the one with the smallest number is the worst"""
    require_worst(got, [1, 1], "the first of those with the smallest share")


def nearly_equal_shares(g: torch.Generator) -> dict:
    """Shares that differ by 1/3000, of more than a thousand images, and shares of few images."""

    def case(shares: list[tuple[int, int]]) -> dict:
        asked = [c for c, (_, n) in enumerate(shares) for _ in range(n)]
        seen = [c if i < r else 1 - c for c, (r, n) in enumerate(shares) for i in range(n)]
        return judged(g, seen, asked, 2)

    return {"cases": [case([(667, 1000), (800, 1200)]), case([(1, 2), (3, 7)])]}


@check(
    "8.1",
    probe=probes.counts,
    inputs=nearly_equal_shares,
    call=COUNTS + ", with 667 of 1,000 and 800 of 1,200 right; with 1 of 2 and 3 of 7",
)
def test_worst_by_a_little(got, ref, inputs):
    """Shares are compared as they are: 800 of 1,200 is worse than 667 of 1,000"""
    require_worst(got, [1, 1], "its share is the smaller one, if only by a little")


@check(
    "8.1",
    probe=probes.types_of_counts,
    inputs=lambda g: judged(g, [3, 0, 4, 1], [3, 0, 1, 1], 6),
    call="right_by_class(logits, labels=...), logits not contiguous, looking at the types",
)
def test_counts_are_a_tuple_and_worst_a_whole_number(got, ref, inputs):
    """The result is a tuple of three, and worst a whole number, no tensor"""
    require_type(got["result"], ("a tuple of 3",), "the result", "a tuple (right, count, worst)")
    require_type(got["worst"], ("int",), "worst", "an int, which int(...) makes of a tensor")


def shuffled(g: torch.Generator) -> dict:
    """A perfect judge of 600 images, and the same images with their labels shuffled."""
    labels = torch.arange(600) % 10
    case = judged(g, labels.tolist(), labels.tolist(), 10)
    order = torch.randperm(600, generator=g)
    return {"cases": [case, {**case, "labels": labels[order]}]}


@check(
    "8.1",
    probe=probes.counts,
    inputs=shuffled,
    call=COUNTS + ", 600 images of ten digits, all right, and then with their labels shuffled",
)
def test_shuffled_labels_are_noticed(got, ref, inputs):
    """Where the labels are shuffled, about a tenth is right, though each digit is there 60 times"""
    shares = []
    for right, count in zip(got["right"], got["count"]):
        right = require_tensor(right, "right", (10,), torch.int64)
        count = require_tensor(count, "count", (10,), torch.int64)
        shares.append(float(right.sum() / count.sum()))
    require(shares[0] == 1, "all right before the labels are shuffled", f"{shares[0]:.1%} right")
    # Five standard deviations of a share of a tenth among 600.
    require(
        shares[1] < 0.1 + 5 * 0.0123,
        "about 10 % right after the labels are shuffled",
        f"{shares[1]:.1%} right",
    )


WILSON = "wilson_interval(right, count, z)"
SEEN = [(7, 10), (1, 29), (81, 263), (499, 500), (15, 148), (3, 4)]


def require_ends(got, inputs) -> list[list[float]]:
    for (right, count), (low, high) in zip(inputs["seen"], got["ends"]):
        for name, end in (("low", low), ("high", high)):
            number = isinstance(end, int | float) and not isinstance(end, bool)
            require(
                number and math.isfinite(end),
                f"(low, high), two numbers, for {right} of {count}",
                f"{name} = {brief(end)}",
            )
    return got["ends"]


@check(
    "8.1",
    probe=probes.intervals,
    inputs=lambda g: {"seen": SEEN, "z": 1.5},
    call=WILSON + ", 7 of 10, 1 of 29, 81 of 263, 499 of 500, ...; z = 1.5",
)
def test_wilson_ends_are_z_deviations_away(got, ref, inputs):
    """From each end P, the share seen lies z standard deviations sqrt(P (1 - P) / n) away"""
    for (right, count), (low, high) in zip(inputs["seen"], require_ends(got, inputs)):
        share = right / count
        require(
            low < share < high,
            f"low < {right}/{count} < high",
            f"low = {low:.6g}, high = {high:.6g}",
        )
        for name, end in (("low", low), ("high", high)):
            away = abs(share - end) / math.sqrt(max(end * (1 - end), 1e-12) / count)
            require_number(
                away,
                inputs["z"],
                f"for {right} of {count}: {name} = P with |p - P| = z * sqrt(P (1 - P) / n), "
                f"z = {inputs['z']:g}",
                f"{name} = {end:.6g}, and |p - P| / sqrt(P (1 - P) / n)",
                rtol=1e-4,
            )


def wilson(right: int, count: int, z: float) -> tuple[float, float]:
    """The two roots P of (p - P)^2 = z^2 P (1 - P) / n."""
    p, c = right / count, z * z / count
    a, b = 1 + c, -(2 * p + c)
    root = math.sqrt(b * b - 4 * a * p * p)
    return (-b - root) / (2 * a), (-b + root) / (2 * a)


def require_wilson(got, inputs, z: float) -> None:
    for (right, count), ends in zip(inputs["seen"], require_ends(got, inputs)):
        for name, end, target in zip(("low", "high"), ends, wilson(right, count, z)):
            require_number(
                end,
                target,
                f"for {right} of {count}: the {name} end of the interval for z = {z:g}",
                name,
                rtol=1e-4,
                atol=1e-5,
            )


@check(
    "8.1",
    probe=probes.intervals,
    inputs=lambda g: {"seen": SEEN},
    call="wilson_interval(right, count), without a z",
)
def test_wilson_is_of_95_percent(got, ref, inputs):
    """Without a z the interval is that of 95 % confidence"""
    require_wilson(got, inputs, 1.96)


@check(
    "8.1",
    probe=probes.intervals,
    inputs=lambda g: {"seen": SEEN, "z": 2.576},
    call=WILSON + ", z = 2.576",
)
def test_wilson_grows_with_z(got, ref, inputs):
    """A larger z asks for more confidence, and the interval grows"""
    require_wilson(got, inputs, 2.576)


@check(
    "8.1",
    probe=probes.intervals,
    inputs=lambda g: {"seen": [(r, n) for n in range(1, 200) for r in (0, n)], "z": 2.0},
    call=WILSON + ", none right and all right of 1 to 199; z = 2",
)
def test_wilson_where_none_or_all_are_right(got, ref, inputs):
    """Where none or all are right the interval still has a width, and stays within [0, 1]"""
    for (right, count), (low, high) in zip(inputs["seen"], require_ends(got, inputs)):
        require(
            0 <= low and high <= 1,
            f"for {right} of {count}: an interval within [0, 1], also by rounding",
            f"low = {low!r}, high = {high!r}",
        )
        width = 4 / (count + 4)  # z^2 / (n + z^2)
        for name, end, target in (
            ("low", low, 1 - width if right else 0.0),
            ("high", high, 1.0 if right else width),
        ):
            require_number(
                end, target, f"for {right} of {count}: {name} = {target:.4f}", name, rtol=1e-4
            )


@check(
    "8.1",
    probe=probes.intervals,
    inputs=lambda g: {"seen": [(0, 0)]},
    call="wilson_interval(0, 0)",
)
def test_wilson_without_images(got, ref, inputs):
    """Without any images the share may be anything: (0, 1)"""
    ((low, high),) = require_ends(got, inputs)
    require((low, high) == (0, 1), "low = 0 and high = 1", f"low = {low!r}, high = {high!r}")


@check(
    "8.1",
    probe=probes.types_of_intervals,
    inputs=lambda g: {"seen": [(7, 10), (0, 5), (5, 5), (0, 0)]},
    call="wilson_interval(right=..., count=...), 7 of 10, 0 of 5, 5 of 5 and 0 of 0, looking at "
    "the types",
)
def test_wilson_gives_two_floats(got, ref, inputs):
    """The result is a tuple of two floats, no tensors"""
    for result, ends in zip(got["results"], got["ends"]):
        require_type(result, ("a tuple of 2",), "the result", "a tuple (low, high)")
        for name, end in zip(("low", "high"), ends):
            require_type(end, A_FLOAT[0], name, A_FLOAT[1])


NO_SHARES = [(-1, 10), (11, 10), (1, 0), (-1, 0)]


@check(
    "8.1",
    probe=probes.refused_intervals,
    inputs=lambda g: {"seen": NO_SHARES},
    call="wilson_interval(right, count), -1 of 10, 11 of 10, 1 of 0 and -1 of 0",
)
def test_wilson_refuses_what_is_no_share(got, ref, inputs):
    """A right outside of 0 ... count is refused"""
    require_value_errors(got["raised"], [f"right = {r}, count = {n}" for r, n in NO_SHARES])


# 8.2

MOMENTS = "feature_moments(features)"


def whitened(g: torch.Generator, count: int, dim: int) -> Tensor:
    """Points with mean 0 and covariance 1, as exactly as float64 goes."""
    points = torch.randn(count, dim, generator=g, dtype=torch.float64)
    points = points - points.mean(dim=0)
    values, vectors = torch.linalg.eigh(points.T @ points / (count - 1))
    return points @ (vectors / values.sqrt()) @ vectors.T


def turn(g: torch.Generator, dim: int) -> Tensor:
    """A rotation."""
    return torch.linalg.qr(torch.randn(dim, dim, generator=g, dtype=torch.float64))[0]


def exact_moments(features: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and covariance, feature by feature."""
    rows = features.double()
    mean = torch.stack([column.sum() / len(column) for column in rows.T])
    apart = [rows[:, d] - mean[d] for d in range(len(mean))]
    sums = torch.stack([torch.stack([(x * y).sum() for y in apart]) for x in apart])
    return mean, sums / (len(rows) - 1)


@check(
    "8.2",
    probe=probes.moments,
    inputs=lambda g: {
        "sets": [
            torch.randn(7, 4, generator=g),
            torch.randn(3, 5, generator=g).double(),
            torch.randn(6, 1, generator=g),
        ]
    },
    call=MOMENTS + ", 7 rows of 4 features in float32, 3 of 5 in float64, 6 of 1 in float32",
)
def test_moments_have_one_number_a_feature_and_a_pair(got, ref, inputs):
    """mean has one number for each feature, cov one for each pair, both in float64"""
    for result in got["results"]:
        require_type(result, ("a tuple of 2",), "the result", "a tuple (mean, cov)")
    for features, mean, cov in zip(inputs["sets"], got["mean"], got["cov"]):
        dim = features.shape[1]
        require_tensor(mean, "mean", (dim,), torch.float64)
        require_tensor(cov, "cov", (dim, dim), torch.float64)


@check(
    "8.2",
    probe=probes.moments,
    inputs=lambda g: {"sets": [3 + torch.randn(9, 5, generator=g).double() * 2]},
    call=MOMENTS + ", 9 rows of 5 features",
)
def test_moments_mean(got, ref, inputs):
    """mean is the average of the rows"""
    for features, mean in zip(inputs["sets"], got["mean"]):
        require_close(
            mean,
            exact_moments(features)[0],
            "each feature's average over all images",
            "mean",
            rtol=1e-9,
            atol=1e-9,
        )


@check(
    "8.2",
    probe=probes.moments,
    inputs=lambda g: {"sets": [torch.randn(2, 4, generator=g).double() for _ in range(2)]},
    call=MOMENTS + ", 2 rows of 4 features",
)
def test_moments_of_two_rows(got, ref, inputs):
    """For two rows, cov is half of their difference times itself: divided by N - 1"""
    for features, cov in zip(inputs["sets"], got["cov"]):
        difference = features[0] - features[1]
        require_close(
            cov,
            difference[:, None] * difference / 2,
            "d d^T / 2 with d the difference of the two rows",
            "cov",
            rtol=1e-8,
            atol=1e-12,
        )


def known_covariance(g: torch.Generator) -> dict:
    """Points that were made to have a certain mean and covariance."""
    mixing = torch.randn(4, 4, generator=g, dtype=torch.float64)
    mean = torch.randn(4, generator=g, dtype=torch.float64)
    return {"sets": [whitened(g, 11, 4) @ mixing.T + mean], "mixing": mixing}


@check(
    "8.2",
    probe=probes.moments,
    inputs=known_covariance,
    call=MOMENTS + ", 11 rows made as A z with z of covariance 1",
)
def test_moments_covariance(got, ref, inputs):
    """Of rows A z, where z has covariance 1, the covariance is A A^T"""
    require_close(
        got["cov"][0],
        inputs["mixing"] @ inputs["mixing"].T,
        "A A^T, with a number for every pair of features",
        "cov",
        rtol=1e-8,
        atol=1e-10,
    )


@check(
    "8.2",
    probe=probes.moments,
    inputs=lambda g: {"sets": [1e6 + torch.randn(12, 3, generator=g).double()]},
    call=MOMENTS + ", 12 rows of 3 features around 1,000,000",
)
def test_moments_far_from_zero(got, ref, inputs):
    """Where the mean is a million times the spread, cov keeps its digits"""
    features = inputs["sets"][0]
    require_close(
        got["cov"][0],
        exact_moments(features - 1e6)[1],
        "the covariance of the same rows around 0, because a shift changes no covariance",
        "cov",
        rtol=1e-8,
        atol=1e-8,
    )


@check(
    "8.2",
    probe=probes.moments_of_strided,
    inputs=lambda g: {"sets": [200 + torch.randn(1300, 3, generator=g)]},
    call=MOMENTS + ", 1,300 rows of 3 features in float32, around 200, not contiguous",
)
def test_moments_in_float64(got, ref, inputs):
    """Rows in float32 are turned into float64 before they are summed"""
    mean, cov = exact_moments(inputs["sets"][0])
    expected = "the result of float64 sums, nine digits of it"
    require_close(got["mean"][0], mean, expected, "mean", rtol=1e-9, atol=1e-12)
    require_close(got["cov"][0], cov, expected, "cov", rtol=1e-9, atol=1e-10)


@check(
    "8.2",
    probe=probes.moments,
    inputs=lambda g: {"sets": [1e-5 * torch.randn(9, 4, generator=g).double()]},
    call=MOMENTS + ", 9 rows of 4 features of about 0.00001",
)
def test_moments_of_small_features(got, ref, inputs):
    """Features may be as small as they like: cov keeps its digits"""
    cov = exact_moments(inputs["sets"][0])[1]
    expected = "the covariance of small features, with nothing added, rounded or cut off"
    require_close(got["cov"][0], cov, expected, "cov", rtol=1e-8, atol=1e-18)


@check(
    "8.2",
    probe=probes.moments,
    inputs=lambda g: {"sets": [torch.randn(4, 3, generator=g)[[0, 1, 1, 2, 3, 3, 3]]]},
    call=MOMENTS + ", 7 rows of 3 features, of which one comes twice and one three times",
)
def test_moments_count_every_row(got, ref, inputs):
    """A row that comes several times counts as often as it comes"""
    mean, cov = exact_moments(inputs["sets"][0])
    require_close(got["mean"][0], mean, "the average of all 7 rows", "mean", rtol=1e-9, atol=1e-12)
    require_close(got["cov"][0], cov, "the covariance of all 7 rows", "cov", rtol=1e-8, atol=1e-12)


@check(
    "8.2",
    probe=probes.refused_moments,
    inputs=lambda g: {"sets": [torch.randn(n, 3, generator=g) for n in (1, 0)]},
    call=MOMENTS + ", 1 row and no row of 3 features",
)
def test_moments_refuse_fewer_than_two_rows(got, ref, inputs):
    """Fewer than two rows are refused"""
    require_value_errors(got["raised"], [f"{len(rows)} rows" for rows in inputs["sets"]])


# 8.3

FRECHET = "frechet_distance(mean_a, cov_a, mean_b, cov_b)"


def gaussians(mean_a, cov_a, mean_b, cov_b, exact: float) -> dict:
    """A pair of Gaussians with their distance in closed form. Symmetric to the last bit."""
    cov_a, cov_b = (cov_a + cov_a.T) / 2, (cov_b + cov_b.T) / 2
    return {"mean_a": mean_a, "cov_a": cov_a, "mean_b": mean_b, "cov_b": cov_b, "exact": exact}


def normal(g: torch.Generator, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=g, dtype=torch.float64)


def positive(g: torch.Generator, dim: int, low: float = 0.3, high: float = 2.0) -> Tensor:
    """A symmetric matrix with eigenvalues between low and high, and eigenvectors in no order."""
    values = low + (high - low) * torch.rand(dim, generator=g, dtype=torch.float64)
    vectors = turn(g, dim)
    return vectors * values @ vectors.T


def commuting(
    g: torch.Generator, dim: int, sigma_a: Tensor, sigma_b: Tensor, turned: bool = True
) -> dict:
    """Gaussians whose covariances have the same axes."""
    vectors = turn(g, dim) if turned else torch.eye(dim, dtype=torch.float64)
    mean_a, mean_b = normal(g, 2, dim)
    exact = float((mean_a - mean_b).square().sum() + (sigma_a - sigma_b).square().sum())
    cov_a, cov_b = (vectors * s**2 @ vectors.T for s in (sigma_a, sigma_b))
    return gaussians(mean_a, cov_a, mean_b, cov_b, exact)


def moved(g: torch.Generator, cov_a: Tensor, map_: Tensor, shift: float = 1.0) -> dict:
    """b is what a symmetric map without negative eigenvalues makes of a: the shortest way there.

    So the squared distance is that of the means and the mean of |x - T x|^2, tr((1-T) S_a (1-T)).
    """
    dim = len(cov_a)
    mean_a = normal(g, dim)
    mean_b = mean_a + shift * normal(g, dim)
    way = torch.eye(dim, dtype=torch.float64) - map_
    exact = float((mean_a - mean_b).square().sum() + (way @ cov_a @ way).trace())
    return gaussians(mean_a, cov_a, mean_b, map_ @ cov_a @ map_, exact)


def require_distances(got, inputs, expected: str, rtol: float = 1e-6, atol: float = 1e-6) -> None:
    for pair, distance in zip(inputs["pairs"], got["distances"]):
        require_number(
            distance, pair["exact"], f"{expected}: {pair['exact']:.6g}", "d^2", rtol, atol
        )


def on_a_line(g: torch.Generator) -> dict:
    pairs = []
    for _ in range(3):
        sigma_a, sigma_b = 0.3 + 2 * torch.rand(2, 1, generator=g, dtype=torch.float64)
        pairs.append(commuting(g, 1, sigma_a, sigma_b, turned=False))
    return {"pairs": pairs}


@check(
    "8.3",
    probe=probes.frechet,
    inputs=on_a_line,
    call=FRECHET + ", of one feature: means (1,), covariances (1, 1)",
)
def test_frechet_on_a_line(got, ref, inputs):
    """In one dimension it is (mu_a - mu_b)^2 + (sigma_a - sigma_b)^2"""
    require_distances(got, inputs, "(mu_a - mu_b)^2 + (sigma_a - sigma_b)^2")


def same_shape(g: torch.Generator) -> dict:
    pairs = []
    for dim in (4, 7):
        cov = positive(g, dim)
        pairs.append(moved(g, cov, torch.eye(dim, dtype=torch.float64)))
    return {"pairs": pairs}


@check(
    "8.3",
    probe=probes.frechet,
    inputs=same_shape,
    call=FRECHET + ", two pairs with equal covariances",
)
def test_frechet_of_a_shift(got, ref, inputs):
    """Where only the means differ it is the square of their distance"""
    require_distances(got, inputs, "|mu_a - mu_b|^2")


def scaled(g: torch.Generator) -> dict:
    return {
        "pairs": [
            moved(g, positive(g, 5), s * torch.eye(5, dtype=torch.float64), shift=0.0)
            for s in (0.5, 1.7, 3.0)
        ]
    }


@check(
    "8.3",
    probe=probes.frechet,
    inputs=scaled,
    call=FRECHET + ", equal means, S_b = s^2 S_a with s = 0.5, 1.7 and 3",
)
def test_frechet_of_a_scaling(got, ref, inputs):
    """Where b is a, s times as large, it is (s - 1)^2 tr(S_a)"""
    require_distances(got, inputs, "(s - 1)^2 tr(S_a)")


def same_axes(g: torch.Generator) -> dict:
    def sigmas():
        return 0.2 + 2 * torch.rand(2, 6, generator=g, dtype=torch.float64)

    return {"pairs": [commuting(g, 6, *sigmas(), turned=turned) for turned in (False, True)]}


@check(
    "8.3",
    probe=probes.frechet,
    inputs=same_axes,
    call=FRECHET + ", covariances with the same axes: along the features, and turned",
)
def test_frechet_with_the_same_axes(got, ref, inputs):
    """Where both covariances have the same axes, it sums (sigma_a - sigma_b)^2 over them"""
    require_distances(got, inputs, "|mu_a - mu_b|^2 + the sum of (sigma_a - sigma_b)^2 on the axes")


@check(
    "8.3",
    probe=probes.frechet,
    inputs=lambda g: {
        "pairs": [moved(g, positive(g, dim), positive(g, dim, 0.2, 3.0)) for dim in (2, 4, 7)]
    },
    call=FRECHET + ", covariances with other axes, of 2, 4 and 7 features",
)
def test_frechet_with_other_axes(got, ref, inputs):
    """Where b is made of a by a map T, it is the mean of |x - T x|^2, the shortest way there"""
    require_distances(got, inputs, "|mu_a - mu_b|^2 + tr((1 - T) S_a (1 - T)), where S_b = T S_a T")


def both_ways(g: torch.Generator) -> dict:
    """A pair, the same the other way round, and the same turned."""
    pair = moved(g, positive(g, 5), positive(g, 5, 0.2, 3.0))
    a, b, c, d = (pair[name] for name in ("mean_a", "cov_a", "mean_b", "cov_b"))
    q = turn(g, 5)
    back = gaussians(c, d, a, b, pair["exact"])
    turned = gaussians(q @ a, q @ b @ q.T, q @ c, q @ d @ q.T, pair["exact"])
    return {"pairs": [pair, back, turned]}


@check(
    "8.3",
    probe=probes.frechet,
    inputs=both_ways,
    call=FRECHET + ", then a and b exchanged, then both turned",
)
def test_frechet_is_a_distance(got, ref, inputs):
    """a is as far from b as b from a, and turning both changes nothing"""
    first = got["distances"][0]
    require_number(first, inputs["pairs"][0]["exact"], "the distance of the pair", "d^2", rtol=1e-6)
    for value, how in zip(got["distances"][1:], ("a and b exchanged", "both turned")):
        require_number(value, first, f"the same d^2 = {first:.6g} with {how}", "d^2", rtol=1e-6)


def equal_pairs(g: torch.Generator) -> dict:
    pairs = []
    for number in range(24):
        dim = 3 + number % 5
        cov = positive(g, dim)
        if number % 2:
            rows = normal(g, 3, dim)
            cov = rows.T @ rows / 2  # singular
        mean = normal(g, dim)
        pairs.append(gaussians(mean, cov, mean, cov, 0.0))
    return {"pairs": pairs}


@check(
    "8.3",
    probe=probes.frechet,
    inputs=equal_pairs,
    call=FRECHET + ", 24 pairs of equal Gaussians, half of them with singular covariances",
)
def test_frechet_of_equals_is_zero(got, ref, inputs):
    """Equal Gaussians are at 0, and rounding makes no distance negative"""
    # The root of an eigenvalue that should be 0, and by rounding is 1e-15, is 3e-8.
    require_distances(got, inputs, "0, as nearly as float64 can", atol=2e-6)
    for distance in got["distances"]:
        require(distance >= 0, "a distance of 0 or more", f"d^2 = {distance!r}")


def singular_pairs(g: torch.Generator) -> dict:
    """Covariances with eigenvalues of 0: fewer images than features, and features that are dead."""
    pairs = []
    for _ in range(4):
        rows = normal(g, 4, 9)
        pairs.append(moved(g, rows.T @ rows / 3, positive(g, 9, 0.2, 3.0)))
    sigma_a, sigma_b = 0.2 + torch.rand(2, 8, generator=g, dtype=torch.float64)
    sigma_a[:3], sigma_b[2:5] = 0, 0
    pairs.append(commuting(g, 8, sigma_a, sigma_b))
    pairs.append(commuting(g, 8, torch.zeros_like(sigma_a), sigma_b))
    return {"pairs": pairs}


@check(
    "8.3",
    probe=probes.frechet,
    inputs=singular_pairs,
    call=FRECHET + ", covariances with eigenvalues of 0",
)
def test_frechet_of_singular_covariances(got, ref, inputs):
    """Covariances may be singular, as they are with fewer images than features"""
    require_distances(got, inputs, "the closed form, no NaN and no complex number", atol=1e-5)


def large_and_near(g: torch.Generator) -> dict:
    """Of a spread of about 100, differing by a thousandth of it; and far away, 0.01 apart."""
    identity = torch.eye(6, dtype=torch.float64)
    small = 1e-3 * (positive(g, 6) - 1.1 * identity)
    far = moved(g, positive(g, 6), identity, shift=0.01)
    for name in ("mean_a", "mean_b"):
        far[name] = far[name] + 1000
    return {"pairs": [moved(g, 1e4 * positive(g, 6), identity + small, shift=0.0), far]}


@check(
    "8.3",
    probe=probes.frechet,
    inputs=large_and_near,
    call=FRECHET + ", covariances of about 10,000 whose distance is about 0.01, and means of about "
    "1,000 that differ by about 0.01",
)
def test_frechet_keeps_its_digits(got, ref, inputs):
    """A small distance between large covariances or means keeps its digits: float64 throughout"""
    require_distances(got, inputs, "the closed form", rtol=1e-4, atol=1e-8)


@check(
    "8.3",
    probe=probes.frechet,
    inputs=lambda g: {
        "pairs": [moved(g, 1e-10 * positive(g, 5), positive(g, 5, 0.2, 3.0), shift=1e-5)]
    },
    call=FRECHET + ", covariances of about 1e-10",
)
def test_frechet_of_small_features(got, ref, inputs):
    """Features may be as small as they like: nothing is added, rounded or cut off"""
    require_distances(got, inputs, "the closed form", rtol=1e-4, atol=0)


@check(
    "8.3",
    probe=probes.type_of_frechet,
    inputs=same_shape,
    call="frechet_distance(mean_a=..., cov_a=..., ...), covariances not contiguous, "
    "looking at the type",
)
def test_frechet_is_a_float(got, ref, inputs):
    """The result is a float, no tensor"""
    for found in got["types"]:
        require_type(found, A_FLOAT[0], "d^2", A_FLOAT[1])


def real_pairs(g: torch.Generator) -> dict:
    """Real digits against other real ones, and against several things that are wrong with them."""
    reference, held_out = real_digits(g, 300, 300)
    sets = [held_out, noisy(g, held_out), blurred(held_out), repeated(held_out, 10)]
    a = exact_pair(reference)
    return {"pairs": [gaussians(*a, *exact_pair(rows), 0.0) for rows in sets]}


def exact_pair(rows: Tensor) -> tuple[Tensor, Tensor]:
    rows = rows.double()
    return rows.mean(dim=0), torch.cov(rows.T)


@check(
    "8.3",
    probe=probes.frechet,
    inputs=real_pairs,
    call=FRECHET + ", of real 8x8 digits and of other real, noisy, blurred and repeated ones",
)
def test_frechet_tells_bad_digits_from_good_ones(got, ref, inputs):
    """Noisy, blurred and repeated digits are further from real ones than other real ones are"""
    real, *others = got["distances"]
    require_number(real, ref["distances"][0], "the distance of two sets of real digits", "d^2")
    for distance, name in zip(others, ("noisy", "blurred", "ten repeated")):
        require_finite(distance, "d^2")
        require(
            distance > 2 * real,
            f"{name} digits more than twice as far from real ones as other real ones are",
            f"d^2 = {distance:.3f}, and {real:.3f} between real ones",
        )


# 8.4

RATIO = "distance_ratio(distance, reference, held_out, generated, generator)"
TABLE = {
    "generated and reference": 6.0,
    "held_out and reference": 1.5,
    "generated and held_out": 10.0,
    "reference and reference": 0.7,
    "held_out and held_out": 0.9,
    "generated and generated": 1.1,
}


SETS = ("reference", "held_out", "generated")


def three_sets(g: torch.Generator, reference: int, held_out: int, generated: int) -> dict:
    sizes = {"reference": reference, "held_out": held_out, "generated": generated}
    return {name: torch.randn(size, 3, generator=g) for name, size in sizes.items()}


def table(g: torch.Generator) -> dict[str, float]:
    """A distance for each pair of sets, drawn anew, so that no ratio can be made up beforehand."""
    factors = 0.8 + 0.4 * torch.rand(len(TABLE), generator=g, dtype=torch.float64)
    return {pair: round(TABLE[pair] * f, 3) for pair, f in zip(TABLE, factors.tolist())}


def ratio_inputs(g: torch.Generator, *sizes: int, **more) -> dict:
    return {**three_sets(g, *sizes), "table": table(g), "seed": 3, **more}


def in_float64(g: torch.Generator) -> dict:
    inputs = ratio_inputs(g, 12, 12, 12)
    sets = {name: torch.randn(12, 3, generator=g, dtype=torch.float64) for name in SETS}
    return {**inputs, **sets}


@check(
    "8.4",
    probe=probes.ratio_and_pairs,
    inputs=in_float64,
    call=RATIO + ", 12 rows each, in float64, not contiguous; distance gives "
    "{table[generated and reference]:g} to generated and {table[held_out and reference]:g} to "
    "held-out rows",
)
def test_ratio_has_generated_images_above_the_line(got, ref, inputs):
    """The distance from the reference to the generated images, over that to the held-out ones"""
    wanted = [["generated", "reference"], ["held_out", "reference"]]
    for pair in wanted:
        require(
            pair in got["pairs"],
            "the distances of reference and generated, and of reference and held_out rows",
            f"distances of {', '.join(' and '.join(pair) for pair in got['pairs']) or 'nothing'}",
        )
    above, below = (inputs["table"][" and ".join(pair)] for pair in wanted)
    target = above / below
    require_number(got["ratio"], target, f"{above:g} / {below:g} = {target:.6g}", "the ratio")


@check(
    "8.4",
    probe=probes.ratio_and_pairs,
    inputs=lambda g: (
        ratio_inputs(g, 12, 12, 12)
        | {
            "table": {name: d * 1e-9 for name, d in TABLE.items()}
            | {"generated and reference": 1e-9}
        }
    ),
    call=RATIO + ", 12 rows each; distance gives 1e-9 to generated and 1.5e-9 to held-out rows",
)
def test_ratio_of_small_distances(got, ref, inputs):
    """Distances may be as small as they like, and the ratio less than 1"""
    require_number(
        got["ratio"], 2 / 3, "1e-9 / 1.5e-9, nothing added, rounded or cut off", "the ratio", atol=0
    )


@check(
    "8.4",
    probe=probes.type_of_ratio,
    inputs=lambda g: ratio_inputs(g, 12, 12, 12),
    call=RATIO + ", where distance gives floats, looking at the type",
)
def test_ratio_is_a_float(got, ref, inputs):
    """The ratio is a float, no tensor"""
    require_type(got["type"], A_FLOAT[0], "the ratio", A_FLOAT[1])


def one_is_smallest(g: torch.Generator) -> dict:
    sizes = [(30, 40, 21), (30, 22, 40), (23, 40, 30), (1020, 1010, 1030)]
    return {"cases": [three_sets(g, *s) for s in sizes], "table": table(g), "seed": 3}


@check(
    "8.4",
    probe=probes.sizes_of_sets,
    inputs=one_is_smallest,
    call=RATIO + ", in turn with fewest generated, held-out and reference rows",
)
def test_ratio_takes_equal_numbers(got, ref, inputs):
    """Every set comes to the distance with as many rows as the smallest set has"""
    for case, found in zip(inputs["cases"], got["cases"]):
        sizes = {name: len(rows) for name, rows in case.items()}
        n = min(sizes.values())
        for name, rows in found["rows"]:
            require(
                rows == n,
                f"{n} rows of each set, where there are "
                + ", ".join(f"{size} {other}" for other, size in sizes.items()),
                f"{rows} rows of {name}",
            )


@check(
    "8.4",
    probe=probes.sizes_of_sets,
    inputs=one_is_smallest,
    call=RATIO + ", in turn with fewest generated, held-out and reference rows",
)
def test_ratio_draws_no_row_twice(got, ref, inputs):
    """The rows that are drawn of a set are different ones"""
    for found in got["cases"]:
        for (name, rows), (_, different) in zip(found["rows"], found["different rows"]):
            require(
                rows == different,
                f"{rows} different rows of {name}",
                f"{rows} rows, of which only {different} differ",
            )


def many_and_equal(g: torch.Generator) -> dict:
    """Sets of more than two thousand rows; the smallest has its 30 rows again and again."""
    sets = three_sets(g, 2400, 2300, 30)
    return {**sets, "generated": sets["generated"].repeat(71, 1), "seed": 3}


@check(
    "8.4",
    probe=probes.forms_of_rows,
    inputs=many_and_equal,
    call=RATIO + ", with 2,400 reference, 2,300 held-out and 2,130 generated rows, many of them "
    "equal",
)
def test_ratio_takes_as_many_rows_as_there_are(got, ref, inputs):
    """However many rows the smallest set has, and if some are equal, all are taken as they are"""
    require(
        got["forms"] == ["float32 tensor of shape (2130, 3)"],
        "2,130 rows of each set, equal ones among them, each in the float32 that they come in",
        " and ".join(got["forms"]) or "no call of distance",
    )


@check(
    "8.4",
    probe=probes.same_reference,
    inputs=lambda g: ratio_inputs(g, 40, 30, 20),
    call=RATIO + ", with 40 reference, 30 held-out and 20 generated rows",
)
def test_ratio_has_one_reference(got, ref, inputs):
    """Both distances are measured from the same rows of the reference"""
    require(
        got["different choices"] == 1,
        "one choice of rows of the reference, above and below the line",
        f"{got['different choices']} different choices of rows of the reference",
    )


@check(
    "8.4",
    probe=probes.rows_drawn,
    inputs=lambda g: {
        "cases": [three_sets(g, *sizes) for sizes in ((18, 18, 12), (18, 12, 17))],
        "table": TABLE,
        "draws": 80,
    },
    call=RATIO + ", with 18 reference, 18 held-out and 12 generated rows, and with 18, 12 and 17; "
    "80 seeds",
)
def test_ratio_draws_at_random(got, ref, inputs):
    """Which rows are drawn is left to chance, set by set, and any may be among them"""
    for case, found in zip(inputs["cases"], got["cases"]):
        for name, size in ((name, len(rows)) for name, rows in case.items() if len(rows) > 12):
            require(
                not found["always the same"].get(name, True),
                f"other rows of {name} with other generators",
                f"always the same 12 of {size}",
            )
            missing = found["never used"].get(name, size)
            # Any row stays out with a chance of (1/3)^80.
            require(
                missing == 0,
                f"each of the {size} rows of {name} to be drawn sooner or later",
                f"{missing} of them never drawn with 80 generators",
            )
            # There are 6,188 ways or more to choose 12 rows: of 80 draws hardly two are the same.
            require(
                not found["few choices"][name],
                f"any 12 rows of {name} together, nearly always others",
                "the same few choices again and again with 80 generators",
            )
        require(
            not found["alike"],
            "of each set rows that are drawn for this set alone",
            f"often the same places in {listed(found['alike'])}",
        )


@check(
    "8.4",
    probe=probes.generator_use,
    inputs=lambda g: ratio_inputs(g, 40, 30, 20),
    call=RATIO + ", with equal, different and used generators",
)
def test_ratio_follows_the_generator(got, ref, inputs):
    """The rows follow from the generator, and from nothing else"""
    require(
        got["same seed, same rows"],
        "the same rows from two generators with the same seed, whatever torch.manual_seed says",
        "other rows",
    )
    require(not got["other seed, same rows"], "other rows with another generator", "the same rows")
    require(
        not got["later draws, same rows"],
        "other rows at the second call with the same generator, which has moved on",
        "the same rows again",
    )
    require(
        got["torch's own untouched"],
        "torch's own random generator to stay as it was",
        "it was used, or given a seed",
    )


def equals_of_other_sizes(g: torch.Generator) -> dict:
    """Sets of one distribution, of which one in turn is ten times smaller than the others."""
    cases = []
    for sizes in ((300, 300, 30), (300, 30, 300), (30, 300, 300)):
        cases.append({name: torch.randn(n, 400, generator=g) for name, n in zip(SETS, sizes)})
    return {"cases": cases, "seed": 8}


@check(
    "8.4",
    probe=probes.ratio_of_equals,
    inputs=equals_of_other_sizes,
    call=RATIO + ", 300 and 30 rows of one distribution; distance is that of the means, squared",
)
def test_ratio_of_equals_is_one(got, ref, inputs):
    """Generated images as good as real ones have a ratio of about 1, however many there are"""
    for case, ratio in zip(inputs["cases"], got["ratios"]):
        sizes = ", ".join(f"{len(rows)} {name}" for name, rows in case.items())
        # The means differ by 400 squares of equal size: 6 standard deviations of their ratio.
        require(
            isinstance(ratio, int | float) and 0.6 < ratio < 1.6,
            f"a ratio of about 1 for equally good images, with {sizes}",
            f"{brief(ratio)}",
        )


# 8.5


def apart(a: Tensor, b: Tensor) -> Tensor:
    """All distances in float64, by the differences, (N, M)."""
    return (a.double()[:, None] - b.double()).square().sum(dim=2).sqrt()


def sorted_radii(points: Tensor, k: int) -> Tensor:
    """The k-th smallest distance of each point to the others."""
    found = apart(points, points).fill_diagonal_(torch.inf)
    return found.sort(dim=1).values[:, k - 1]


RADII = "neighbour_radii(points, k)"


def require_radii(got, inputs, expected: str, rtol: float = 1e-4, atol: float = 1e-5) -> None:
    for points, row in zip(inputs["sets"], got["radii"]):
        for k, radii in zip(inputs["ks"], row):
            radii = require_tensor(radii, "radii", (len(points),), None)
            require(radii.is_floating_point(), "radii as decimal numbers", f"{radii.dtype}")
            require_close(
                radii.double(),
                sorted_radii(points, k),
                f"with k = {k}: {expected}",
                "radii",
                rtol,
                atol,
            )


def line_and_cloud(g: torch.Generator) -> dict:
    line = torch.tensor([0.0, 1, 3, 7, 12, 20])[torch.randperm(6, generator=g)][:, None]
    return {"sets": [line, torch.randn(9, 4, generator=g).double()], "ks": [1, 2, 4, 5]}


@check(
    "8.5",
    probe=probes.radii,
    inputs=line_and_cloud,
    call=RADII + ", 6 points on a line and 9 in four dimensions, k = 1, 2, 4 and 5",
)
def test_radii_reach_to_the_kth_other_point(got, ref, inputs):
    """A radius reaches to the k-th nearest other point, the point itself not counted"""
    require_radii(got, inputs, "each point's distance to its k-th nearest other point")


def with_copies(g: torch.Generator) -> dict:
    points = torch.randn(12, 3, generator=g)
    points = torch.cat([points, points[:5], points[:2]])[torch.randperm(19, generator=g)]
    return {"sets": [points], "ks": [1, 2, 3]}


@check(
    "8.5",
    probe=probes.radii,
    inputs=with_copies,
    call=RADII + ", 19 points, some of which come two or three times; k = 1, 2 and 3",
)
def test_radii_count_copies_as_others(got, ref, inputs):
    """A copy of a point is another point, at distance 0"""
    expected = "0 where the set holds k copies of the point, because copies count"
    require_radii(got, inputs, expected, atol=1e-12)


@check(
    "8.5",
    probe=probes.refused_radii,
    inputs=lambda g: {"points": torch.randn(4, 3, generator=g), "ks": [4, 5, 0]},
    call=RADII + ", 4 points, k = 4, 5 and 0",
)
def test_radii_refuse_a_neighbour_that_is_not_there(got, ref, inputs):
    """A k that is not in 1 ... N - 1 is refused"""
    require_value_errors(got["raised"], [f"4 points and k = {k}" for k in inputs["ks"]])


def far_away(g: torch.Generator) -> dict:
    points = 50 + torch.randn(40, 6, generator=g)
    points[20:25] = points[:5]
    close = 50 + 1e-6 * torch.randn(10, 6, generator=g, dtype=torch.float64)
    return {"sets": [points, close], "ks": [1, 3]}


@check(
    "8.5",
    probe=probes.radii_of_strided,
    inputs=far_away,
    call=RADII + ", 40 points around 50 in float32, five of them twice, and 10 in float64 about "
    "0.000001 apart; not contiguous",
)
def test_radii_far_from_zero(got, ref, inputs):
    """Equal points are at 0 and not nearly at 0, also far from the origin"""
    expected = "distances that keep their digits, and 0 between equal points"
    require_radii(got, inputs, expected, atol=1e-10)


SHARE = "the share of real points"


def require_shares(values, wanted: list[float], name: str, expected: str, atol=1e-6) -> None:
    for value, target in zip(values, wanted):
        require_number(value, target, f"{expected}: {target:.6g}", name, rtol=0, atol=atol)


def by_hand(points: list[float]) -> Tensor:
    return torch.tensor(points, dtype=torch.float64)[:, None]


REAL_LINE = [0.0, 1, 2, 3, 4, 5]


def on_the_line(g: torch.Generator) -> dict:
    """Real 0 ... 5; each real ball has the radius 1."""
    generated = [[0.3, 0.4, 30], [0.3, 0.4], [1.2, 2.1, 2.3, 4.6]]
    return {
        "cases": [{"real": by_hand(REAL_LINE), "generated": by_hand(x), "k": 1} for x in generated]
    }


@check(
    "8.5",
    probe=probes.recalls,
    inputs=on_the_line,
    call="recall(real, generated, k), real 0 ... 5, generated (0.3, 0.4, 30), (0.3, 0.4) and "
    "(1.2, 2.1, 2.3, 4.6); k = 1",
)
def test_recall_on_a_line(got, ref, inputs):
    """recall: the share of real points that lie in a ball around some generated point"""
    # 30 reaches 29.6 far, to all but 0. 0.3 and 0.4 reach 0.1 far. 1.2 reaches 0.9, 2.1 and 2.3
    # reach 0.2, and 4.6 reaches 2.3 far: 1 and 2, and 3, 4, 5.
    require_shares(
        got["recall"], [5 / 6, 0, 5 / 6], "recall", f"{SHARE} in a ball around a generated one"
    )


@check(
    "8.5",
    probe=probes.coverages,
    inputs=on_the_line,
    call="coverage(real, generated, k), real 0 ... 5, generated (0.3, 0.4, 30), (0.3, 0.4) and "
    "(1.2, 2.1, 2.3, 4.6); k = 1",
)
def test_coverage_on_a_line(got, ref, inputs):
    """coverage: the share of real points with a generated point in the ball around them"""
    # Near 0.3 and 0.4 are 0 and 1. Near the third set are all but 0.
    require_shares(
        got["coverage"],
        [2 / 6, 2 / 6, 5 / 6],
        "coverage",
        f"{SHARE} with a generated one in their ball",
    )


def clouds(g: torch.Generator) -> dict:
    """Equal sets, sets far apart, and two clouds of which one side knows one."""
    one = torch.randn(30, 3, generator=g)
    two = torch.cat([one, one[:20] + 200])
    pairs = [(one, one), (one, one + 90), (two, one), (one, two)]
    return {"cases": [{"real": a, "generated": b} for a, b in pairs]}


@check(
    "8.5",
    probe=probes.recalls_and_coverages,
    inputs=clouds,
    call="recall and coverage, of equal sets, of sets far apart, and where one has another cloud",
)
def test_shares_of_equal_far_and_half_known_sets(got, ref, inputs):
    """Equal sets have 1, sets far apart 0, and of two real clouds the one that is known counts"""
    for name in ("recall", "coverage"):
        for value, target, which in zip(
            got[name],
            (1, 0, 0.6, 1),
            (
                "equal sets",
                "sets far apart",
                "30 real points near the generated ones and 20 far away",
                "real points that are all near generated ones, though others are far away",
            ),
        ):
            require_number(value, target, f"{name} = {target} for {which}", name)


def borders(g: torch.Generator) -> dict:
    """Whole numbers, where a point may lie just on the border of a ball; and repeated points."""
    return {
        "cases": [
            {"real": by_hand([0, 4, 8, 12]), "generated": by_hand([2, 6, 10]), "k": 1},
            {"real": by_hand([0, 1, 2, 7]), "generated": by_hand([3, 9]), "k": 1},
            {"real": by_hand([5, 5, 5, 8]), "generated": by_hand([5, 5, 5]), "k": 2},
            {"real": by_hand([2.000001, 0.5]), "generated": by_hand([0, 1]), "k": 1},
        ]
    }


@check(
    "8.5",
    probe=probes.recalls,
    inputs=borders,
    call="recall(real, generated, k), real (5, 5, 5, 8), generated (5, 5, 5), k = 2, and others",
)
def test_recall_counts_the_border(got, ref, inputs):
    """recall: a point on the border of a ball lies in it, also where the radius is 0"""
    expected = f"{SHARE} at most a radius away"
    require_shares(got["recall"], [1, 1, 0.75, 0.5], "recall", expected)


@check(
    "8.5",
    probe=probes.coverages,
    inputs=borders,
    call="coverage(real, generated, k), real (0, 1, 2, 7), generated (3, 9), k = 1, and others",
)
def test_coverage_counts_the_border(got, ref, inputs):
    """coverage: a point on the border of a ball lies in it, also where the radius is 0"""
    expected = f"{SHARE} at most a radius away"
    require_shares(got["coverage"], [1, 0.5, 1, 1], "coverage", expected)


def spread_sets(g: torch.Generator) -> dict:
    """Sets that overlap in part, for which k matters; without a k, and with two of them."""
    real = torch.randn(60, 3, generator=g).double()
    generated = 0.5 * torch.randn(45, 3, generator=g).double() + 0.3
    cases = [{"real": real, "generated": generated}]
    return {"cases": cases + [{**cases[0], "k": k} for k in (1, 8)]}


def recall_of(real: Tensor, generated: Tensor, k: int) -> float:
    inside = apart(real, generated) <= sorted_radii(generated, k)
    return sum(any(row) for row in inside.tolist()) / len(real)


def coverage_of(real: Tensor, generated: Tensor, k: int) -> float:
    inside = apart(real, generated) <= sorted_radii(real, k)[:, None]
    return sum(any(row) for row in inside.tolist()) / len(real)


@check(
    "8.5",
    probe=probes.recalls,
    inputs=spread_sets,
    call="recall(real, generated), 60 and 45 points; then with k = 1 and 8",
)
def test_recall_depends_on_k(got, ref, inputs):
    """recall: k sets the radius, 3 if it is not given"""
    for case, value in zip(inputs["cases"], got["recall"]):
        target = recall_of(case["real"], case["generated"], case.get("k", 3))
        k = case.get("k", "3, the default")
        require_number(value, target, f"with k = {k}: {target:.6g}", "recall", rtol=0)


@check(
    "8.5",
    probe=probes.coverages,
    inputs=spread_sets,
    call="coverage(real, generated), 60 and 45 points; then with k = 1 and 8",
)
def test_coverage_depends_on_k(got, ref, inputs):
    """coverage: k sets the radius, 5 if it is not given"""
    for case, value in zip(inputs["cases"], got["coverage"]):
        target = coverage_of(case["real"], case["generated"], case.get("k", 5))
        k = case.get("k", "5, the default")
        require_number(value, target, f"with k = {k}: {target:.6g}", "coverage", rtol=0)


def few_and_many(g: torch.Generator) -> dict:
    """One image, or more than a thousand, of which only the last lie near the other set."""
    few = torch.randn(8, 3, generator=g).double()
    many = torch.cat([few[:1] + 200, 200 + torch.randn(999, 3, generator=g), few[:6].repeat(30, 1)])
    one = few[:1] + 0.01
    return {
        "recall": [{"real": rows, "generated": few, "k": 2} for rows in (many, one)],
        "coverage": [{"real": few, "generated": rows, "k": 2} for rows in (many, one)],
    }


@check(
    "8.5",
    probe=probes.shares_of_each,
    inputs=few_and_many,
    call="recall of 1,180 real points and of one; coverage by 1,180 generated points and by one; "
    "no set is contiguous",
)
def test_shares_of_one_and_of_many(got, ref, inputs):
    """One image is enough where no neighbours are asked of it, and of a thousand all count"""
    for name, share_of in (("recall", recall_of), ("coverage", coverage_of)):
        wanted = [share_of(**case) for case in inputs[name]]
        require_shares(got[name], wanted, name, SHARE)


def copies_far_away(g: torch.Generator) -> dict:
    """Points in float32 far from the origin, each of them six times: all radii are 0."""
    points = (50 + torch.randn(20, 6, generator=g)).repeat(6, 1)
    return {"cases": [{"real": points, "generated": points.clone()}]}


@check(
    "8.5",
    probe=probes.recalls_and_coverages,
    inputs=copies_far_away,
    call="recall and coverage, of 120 points around 50 in float32, each of them six times",
)
def test_shares_far_from_zero(got, ref, inputs):
    """Between the sets as well, equal points are at 0 and not nearly at 0"""
    for name in ("recall", "coverage"):
        expected = f"{name} = 1 for equal sets, whose points lie on the border of balls of radius 0"
        require_number(got[name][0], 1.0, expected, name)


@check(
    "8.5",
    probe=probes.types_of_shares,
    inputs=on_the_line,
    call="recall(real=..., generated=..., k=...) and coverage, looking at the types",
)
def test_shares_are_floats(got, ref, inputs):
    """recall and coverage are floats, no tensors"""
    for name in ("recall", "coverage"):
        for found in got[name]:
            require_type(found, A_FLOAT[0], name, A_FLOAT[1])


def with_outlier(g: torch.Generator) -> dict:
    """Generated points all in a corner of the real ones, and then one far beyond the other."""
    real = torch.randn(50, 4, generator=g)
    narrow = real.amin(dim=0) + 1e-3 * torch.randn(20, 4, generator=g)
    outlier = torch.full((1, 4), 500.0)
    return {
        "cases": [
            {"real": real, "generated": narrow},
            {"real": real, "generated": torch.cat([narrow, outlier])},
        ]
    }


@check(
    "8.5",
    probe=probes.recalls_and_coverages,
    inputs=with_outlier,
    call="recall and coverage, of 20 generated points in one place, and of these and one stray one",
)
def test_an_outlier_fools_recall_and_not_coverage(got, ref, inputs):
    """One stray generated point blows up recall, and changes nothing in coverage"""
    recall, coverage = got["recall"], got["coverage"]
    require_number(recall[0], 0.0, "no real point in balls so small", "recall")
    require_number(recall[1], 1.0, "the stray point's ball to hold all real points", "recall")
    require_finite(coverage[0], "coverage")
    require(coverage[0] < 0.5, "few real balls that reach there", f"coverage = {coverage[0]:.3f}")
    require_number(
        coverage[1], coverage[0], "the same coverage with the stray point as without", "coverage"
    )


def same_law(g: torch.Generator) -> dict:
    """Eight pairs of sets of one distribution, of different sizes."""
    return {
        "cases": [
            {"real": torch.randn(90, 2, generator=g), "generated": torch.randn(40, 2, generator=g)}
            for _ in range(8)
        ]
    }


@check(
    "8.5",
    probe=probes.coverages,
    inputs=same_law,
    call="coverage(real, generated), 8 times 90 real and 40 generated points of one distribution",
)
def test_coverage_of_equal_distributions(got, ref, inputs):
    """For sets of one distribution coverage is, on average, what Naeem et al. derive"""
    n, m, k = 90, 40, 5
    nobody_near = math.prod((n - i) / (n + m - i) for i in range(1, k + 1))
    for value in got["coverage"]:
        require_finite(value, "coverage")
    # One share varies by about 0.06, their average by 0.02.
    require_number(
        sum(got["coverage"]) / len(got["coverage"]),
        1 - nobody_near,
        f"1 - (n-1)...(n-k) / ((n+m-1)...(n+m-k)) = {1 - nobody_near:.3f}, lemma 2 of their paper",
        "the average coverage",
        rtol=0,
        atol=0.11,
    )


def planted(g: torch.Generator) -> dict:
    """Real digits against other real ones, six of them again and again, and noisy ones."""
    reference, held_out = real_digits(g, 200, 200)
    sets = [held_out, repeated(held_out, 6), noisy(g, held_out, 1.0)]
    return {"cases": [{"real": reference, "generated": rows} for rows in sets]}


@check(
    "8.5",
    probe=probes.recalls_and_coverages,
    inputs=planted,
    call="recall and coverage, of real 8x8 digits and of other real, repeated and noisy ones",
)
def test_repeated_and_noisy_digits_are_noticed(got, ref, inputs):
    """Other real digits cover the real ones; six of them repeated, and noisy ones, do not"""
    for name, least in (("recall", 0.6), ("coverage", 0.8)):
        real, repeated_, noisy_ = got[name]
        require_finite(real, name)
        require(real > least, f"{name} above {least} for other real digits", f"{name} = {real:.3f}")
        require_number(repeated_, 0.1, f"{name} near 0 for six repeated", name, rtol=0, atol=0.25)
    require_number(
        got["coverage"][2], 0.0, "coverage near 0 for noisy digits", "coverage", atol=0.1
    )


# 8.6

NEAREST = "two_nearest(images, training)"


def two_by_sorting(images: Tensor, training: Tensor) -> Tensor:
    """The two smallest of all distances, in float64 by the differences."""
    return apart(images, training).sort(dim=1).values[:, :2]


def require_nearest(got, inputs, expected: str, rtol: float = 1e-5, atol: float = 1e-6) -> None:
    require_close(
        got["nearest"],
        two_by_sorting(inputs["images"], inputs["training"]),
        expected,
        "distances",
        rtol,
        atol,
    )


def pixels(g: torch.Generator, count: int, dim: int) -> Tensor:
    return 2 * torch.rand(count, dim, generator=g) - 1


def soft_pixels(g: torch.Generator, count: int, dim: int) -> Tensor:
    """Most of them are small, with so many digits that float64 has to round their products."""
    return (0.3 * torch.randn(count, dim, generator=g)).clamp(-1, 1)


@check(
    "8.6",
    probe=probes.nearest,
    inputs=lambda g: {"images": pixels(g, 5, 12), "training": pixels(g, 9, 12)},
    call=NEAREST + ", 5 images and 9 training images of 12 pixels",
)
def test_nearest_are_two_distances_an_image(got, ref, inputs):
    """Two distances for each image, in float64, the nearer first"""
    nearest = require_tensor(got["nearest"], "distances", (5, 2), torch.float64)
    require(
        bool((nearest[:, 0] <= nearest[:, 1]).all()),
        "the nearer of the two first",
        f"{nearest[0, 0]:.4f} before {nearest[0, 1]:.4f}",
    )
    require_nearest(got, inputs, "the Euclidean distances to the two nearest training images")


@check(
    "8.6",
    probe=probes.nearest,
    inputs=lambda g: {"images": pixels(g, 4, 6), "training": pixels(g, 2, 6)},
    call=NEAREST + ", 4 images and 2 training images of 6 pixels",
)
def test_nearest_of_only_two(got, ref, inputs):
    """With two training images, those are the two"""
    require_nearest(got, inputs, "the distances to both training images, the nearer first")


@check(
    "8.6",
    probe=probes.nearest_of_strided,
    inputs=lambda g: {"images": pixels(g, 617, 30), "training": pixels(g, 40, 30)},
    call=NEAREST + ", 617 images and 40 training images of 30 pixels, not contiguous",
)
def test_nearest_of_many(got, ref, inputs):
    """Many images have as many rows, in their order"""
    require_nearest(got, inputs, "a row for each of the 617 images, in their order")


def last_of_many(g: torch.Generator) -> dict:
    """Images that are nearest to two of the last of 2,100 training images."""
    training = pixels(g, 2100, 20)
    training[-18:-9] = training[-9:] + 0.1 * torch.randn(9, 20, generator=g)
    return {"images": training[-9:] + 0.05 * torch.randn(9, 20, generator=g), "training": training}


@check(
    "8.6",
    probe=probes.nearest,
    inputs=last_of_many,
    call=NEAREST + ", 9 images and 2,100 training images, the last of which are the nearest",
)
def test_nearest_among_many(got, ref, inputs):
    """Of many training images all are looked at, to the last"""
    require_nearest(got, inputs, "the smallest two of the 2,100 distances")


@check(
    "8.6",
    probe=probes.nearest,
    inputs=lambda g: {"images": pixels(g, 1, 1), "training": pixels(g, 5, 1)},
    call=NEAREST + ", one image and 5 training images of one pixel",
)
def test_nearest_of_one(got, ref, inputs):
    """One image is enough, and one pixel"""
    require_nearest(got, inputs, "the distances to the two nearest training images")


def copied_inputs(g: torch.Generator) -> dict:
    """Images of which most are training images, some nearly, and one has two copies there."""
    training = soft_pixels(g, 60, 300)
    training[7] = training[8]
    images = soft_pixels(g, 40, 300)
    images[:30] = training[torch.randperm(60, generator=g)[:30]]
    images[2] = training[8]
    little = torch.tensor([1e-3, 1e-4, 1e-5])[:, None]
    images[30:33] = training[[11, 30, 2]] + little * torch.randn(3, 300, generator=g)
    return {"images": images, "training": training}


@check(
    "8.6",
    probe=probes.nearest,
    inputs=copied_inputs,
    call=NEAREST + ", 40 images, the first 30 of which are training images, and 3 more nearly",
)
def test_nearest_of_a_copy_is_zero(got, ref, inputs):
    """A copy is at distance 0, not nearly 0, and a small distance keeps its digits"""
    nearest = require_tensor(got["nearest"], "distances", (40, 2), torch.float64)
    require(
        bool((nearest[:30, 0] == 0).all()),
        "exactly 0 for images that are training images",
        f"up to {nearest[:30, 0].max():.3g}",
    )
    require_nearest(got, inputs, "distances that are right to five digits", rtol=2e-5)


@check(
    "8.6",
    probe=probes.nearest,
    inputs=lambda g: {name: soft_pixels(g, 20, 50) for name in ("images", "training")},
    call=NEAREST + ", 20 images and 20 training images of 50 pixels",
)
def test_nearest_is_measured_in_float64(got, ref, inputs):
    """The differences are float64's, before they are squared"""
    require_nearest(got, inputs, "distances that are right to ten digits", rtol=1e-10, atol=0)


def among_near_copies(g: torch.Generator) -> dict:
    """Images whose copy is one of 201 training images that differ in one pixel, by a thousandth."""
    images = pixels(g, 3, 784)
    training = images.repeat(201, 1)
    rows = torch.arange(3, len(training))
    sign = torch.where(training[rows, rows] > 0, -1, 1)  # towards 0, where float32 is finer
    training[rows, rows] += sign * 1e-3 * (1 + torch.rand(len(rows), generator=g))
    return {"images": images, "training": training[torch.randperm(len(training), generator=g)]}


@check(
    "8.6",
    probe=probes.nearest,
    inputs=among_near_copies,
    call=NEAREST
    + ", 3 images; 603 training images of 784 pixels, of each image a copy and 200 that "
    "differ from it in one pixel by 0.001 to 0.002",
)
def test_nearest_among_many_near_copies(got, ref, inputs):
    """A copy is found among many images that are nearly as near, and so is the second nearest"""
    require_nearest(
        got,
        inputs,
        "0, and the distance to the nearest of 200, however the short cut's rounding orders them",
        rtol=1e-6,
        atol=1e-12,
    )


def nearly_equal_inputs(g: torch.Generator) -> dict:
    """For each of 30 images, two training images so near that float64's short cut mixes them up."""
    images, way = soft_pixels(g, 30, 300), 3e-9 * torch.randn(30, 300, generator=g)
    training = torch.cat([images + way, images + 1.2 * way])
    return {"images": images, "training": training[torch.randperm(60, generator=g)]}


@check(
    "8.6",
    probe=probes.nearest,
    inputs=nearly_equal_inputs,
    call=NEAREST + ", 30 images, each with two training images that are nearly equally far",
)
def test_nearest_are_sorted_by_their_distance(got, ref, inputs):
    """The nearer of the two is first by its distance, not by the short cut's rounding"""
    nearest = require_tensor(got["nearest"], "distances", (30, 2), torch.float64)
    wrong = int((nearest[:, 0] > nearest[:, 1]).sum())
    require(wrong == 0, "the nearer one first in all 30 rows", f"the farther one first in {wrong}")
    require_nearest(got, inputs, "the distances to the two nearest training images")


@check(
    "8.6",
    probe=probes.nearest,
    inputs=lambda g: {
        "images": pixels(g, 6, 4),
        "training": pixels(g, 30, 4) * (0.2 + 0.8 * torch.rand(30, 1, generator=g)),
    },
    call=NEAREST + ", training images of which some are much brighter than others",
)
def test_nearest_is_nearest_and_not_most_alike(got, ref, inputs):
    """Nearest is what has the smallest distance, whatever the size of the training images"""
    require_nearest(got, inputs, "the smallest two of the 30 distances")


COPY = "is_copy(nearest, ratio)"


def require_copies(value, inputs: dict) -> None:
    """A copy has a first distance of at most ratio times the second, a third if none is named."""
    ratio = inputs.get("ratio", 1 / 3)
    rows = inputs["nearest"].tolist()
    value = require_tensor(value, "the result", (len(rows),), torch.bool)
    for found, (first, second) in zip(value.tolist(), rows):
        copy = first <= ratio * second
        require(
            found == copy,
            f"{copy} for ({first:g}, {second:g}), because {first:g} is "
            f"{'at most' if copy else 'more than'} {ratio:.3g} * {second:g}",
            f"{found}",
        )


def distance_rows(rows: list[tuple[float, float]]) -> Tensor:
    return torch.tensor(rows, dtype=torch.float64)


@check(
    "8.6",
    probe=probes.copies,
    inputs=lambda g: {
        "nearest": distance_rows(
            [(1, 4), (3, 4), (0, 9), (5, 9), (0.2, 0.3), (20, 90), (5, 5), (332, 1e3), (335, 1e3)]
        )
    },
    call="is_copy(nearest), distances (1, 4), (3, 4), (0, 9), (5, 9), (0.2, 0.3), (20, 90), ...",
)
def test_copy_is_a_matter_of_the_ratio(got, ref, inputs):
    """A copy is at most a third as far from its nearest image as from the next"""
    require_copies(got["copies"], inputs)


@check(
    "8.6",
    probe=probes.copies_of_strided,
    inputs=lambda g: {"nearest": distance_rows([(1, 4), (2, 4), (3, 4), (3.9, 4)]), "ratio": 0.75},
    call=COPY + ", distances (1, 4), (2, 4), (3, 4), (3.9, 4), not contiguous, ratio = 0.75",
)
def test_copy_takes_another_ratio(got, ref, inputs):
    """ratio sets how much nearer a copy is, and the border belongs to the copies"""
    require_copies(got["copies"], inputs)


@check(
    "8.6",
    probe=probes.copies,
    inputs=lambda g: {"nearest": distance_rows([(0, 0), (2, 6.5), (0, 0), (2, 5.5)])},
    call="is_copy(nearest), distances (0, 0), (2, 6.5), (0, 0), (2, 5.5)",
)
def test_copy_of_an_image_that_comes_twice(got, ref, inputs):
    """A copy of an image that the training set holds twice is a copy too: (0, 0)"""
    require_copies(got["copies"], inputs)


@check(
    "8.6",
    probe=probes.copies,
    inputs=lambda g: {"nearest": distance_rows([(1, 3 + 1e-8), (1, 3 - 1e-8)])},
    call="is_copy(nearest), distances (1, 3.00000001) and (1, 2.99999999)",
)
def test_copy_by_a_little(got, ref, inputs):
    """Distances are compared in float64: 1 is a third of a little more than 3, not of less"""
    copies = require_tensor(got["copies"], "the result", (2,), torch.bool)
    for value, row in zip(copies.tolist(), inputs["nearest"].tolist()):
        copy = row[0] <= row[1] / 3
        require(value == copy, f"{copy} for ({row[0]:g}, {row[1]:.9g})", f"{value}")


@check(
    "8.6",
    probe=probes.copies_alone,
    inputs=lambda g: {
        "nearest": distance_rows([(2e-9, 9e-9), (2e-9, 3e-9), (1e-4, 2e-4), (1e-4, 9e-4), (1, 4)])
    },
    call="is_copy(nearest), (2e-9, 9e-9), (2e-9, 3e-9), (1e-4, 2e-4), (1e-4, 9e-4) and (1, 4), one "
    "at a time",
)
def test_copy_of_small_distances(got, ref, inputs):
    """Distances may be as small as they like, and one image is enough: the ratio decides"""
    for value, row in zip(got["copies"], inputs["nearest"]):
        require_copies(value, {"nearest": row[None]})


def planted_copies(g: torch.Generator) -> dict:
    """Held-out real digits, training digits, those a little shaken, and one in five copied."""
    training, held_out = real_digits(g, 900, 100)
    copied = training[torch.randperm(900, generator=g)[:100]]
    some = held_out.clone()
    some[::5] = copied[::5]
    return {
        "training": training,
        "sets": {
            "held out": held_out,
            "copied": copied,
            "shaken": noisy(g, copied, 0.02),
            "one in five": some,
        },
    }


@check(
    "8.6",
    probe=probes.rates_of_copies,
    inputs=planted_copies,
    call="is_copy(two_nearest(images, training)), of real 8x8 digits, and of copied ones",
)
def test_copies_are_found_among_digits(got, ref, inputs):
    """Copies of the training set are found, shaken ones too, and held-out digits are not accused"""
    wanted = {"held out": 0.0, "copied": 1.0, "shaken": 1.0, "one in five": 0.2}
    for name, target in wanted.items():
        value = require_tensor(got["copies"][name], f"is_copy of {name}", (100,), torch.bool)
        require_number(
            float(value.double().mean()),
            target,
            f"about {target:.0%} copies among the digits that are {name}",
            "the share of copies",
            rtol=0,
            atol=0.05,
        )
