"""Chapter 08: evaluation.

Are the digits right? Do they look real? Are they varied, and are they new? Here you build the
measures that answer, for whole sets of images. No figure says anything alone: each needs the same
figure of real images beside it, images that the generator has not seen.

    logits       a judge's ten numbers for each image, the largest at the digit that it sees, (N, C)
    features     what a network has to say of each image, (N, D)
    real         features of real images, (N, D)
    generated    features of generated images, (M, D); M and N need not agree

Sources: Wilson 1927, "Probable Inference, the Law of Succession, and Statistical Inference";
Dowson & Landau 1982, "The Fréchet Distance between Multivariate Normal Distributions";
Heusel et al. 2017, "GANs Trained by a Two Time-Scale Update Rule ..." (for generators);
Chong & Forsyth 2020, "Effectively Unbiased FID and Inception Score and where to find them";
Kynkäänniemi et al. 2019, "Improved Precision and Recall Metric for Assessing Generative Models";
Naeem et al. 2020, "Reliable Fidelity and Diversity Metrics for Generative Models";
Yoon et al. 2023, "Diffusion Probabilistic Models Generalize when They Fail to Memorize".

The functions and classes that end in NotImplementedError are yours to write, and where a
comment says so, something is yours to mend. See how
you are doing with `course check 08`, and ask for help with `course hint 8.1`.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor


def right_by_class(logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor, int]:
    """Count how many images are judged to be the digit that was asked for.

    For each class: how many images were asked for, and how many of these the judge sees as what
    was asked for. The worst class is the one of which the smallest share is right. A class that
    nobody asked for has no share. If two classes are equally bad, the worst is the one with the
    smaller number.

    Source: the accuracy of a classifier on generated images, as in Ravuri & Vinyals 2019,
    "Classification Accuracy Score for Conditional Generative Models", with the roles exchanged.

    Args:
        logits: what the judge says of each image, shape (N, C), float32, N > 0.
        labels: the class that was asked for, shape (N,), int64, from 0 to C - 1; perhaps not all.

    Returns:
        (right, count, worst): shape (C,), int64; shape (C,), int64; a whole number.
    """
    raise NotImplementedError("exercise 8.1 is not written yet")


def wilson_interval(right: int, count: int, z: float = 1.959964) -> tuple[float, float]:
    """The interval in which a share lies, given that `right` of `count` were seen.

    Where P is the true share, the share p that is seen among n = count images varies by a standard
    deviation of sqrt( P (1 - P) / n ). The ends are the two shares P from which the p that was
    seen lies just z of these standard deviations away.

    They stay within [0, 1], out of which rounding must not lead either, and leave room where all
    are right or none. Without any images nothing is known: (0, 1).

    Source: Wilson 1927.

    Args:
        right: how many were right, from 0 to count.
        count: how many were looked at.
        z: how many standard deviations; 1.96 for 95 % confidence.

    Returns:
        (low, high), two floats.

    Raises:
        ValueError: if right is not in 0 ... count.
    """
    if not 0 <= right <= count:
        raise ValueError(f"right must be between 0 and count = {count}, got {right}")
    raise NotImplementedError("exercise 8.1 is not written yet")


def feature_moments(features: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and covariance of a set of features, the Gaussian that stands for it.

    Rows that are drawn from this Gaussian vary as the set's rows do, feature by feature and all
    features together. Both are unbiased estimates, in float64 from the first sum on.

    Source: the unbiased estimates of any textbook; for generators Heusel et al. 2017.

    Args:
        features: shape (N, D), float32 or float64, N > 1.

    Returns:
        (mean, cov): shape (D,) and (D, D), float64.

    Raises:
        ValueError: if there are fewer than two rows.
    """
    # Exercise 8.2: its code runs, and something in it is wrong.
    if len(features) < 2:
        raise ValueError(f"a covariance needs at least 2 rows, got {len(features)}")
    features = features.double()
    mean = features.mean(dim=0)  # (D,)
    centred = features - mean  # (N, D)
    variances = centred.square().sum(dim=0) / (len(features) - 1)  # (D,)
    return mean, torch.diag(variances)  # (D, D)


def frechet_distance(mean_a: Tensor, cov_a: Tensor, mean_b: Tensor, cov_b: Tensor) -> float:
    """The (squared) Fréchet distance of two Gaussians.

        d^2 = |mu_a - mu_b|^2 + tr( S_a + S_b - 2 ( S_a^(1/2) S_b S_a^(1/2) )^(1/2) )

    X^(1/2) is the matrix root, the symmetric matrix R without negative eigenvalues for which
    R R = X. In one dimension d^2 is (mu_a - mu_b)^2 + (sigma_a - sigma_b)^2, so that a Gaussian is
    at 0 from itself. No matrix here has a negative eigenvalue, but rounding may make a 0 slightly
    negative, and the result as well.

    Source: Dowson & Landau 1982; Heusel et al. 2017, equation 6, with S_a S_b under the root, whose
    root has the same trace.

    Args:
        mean_a, mean_b: shape (D,), float64.
        cov_a, cov_b: shape (D, D), float64, symmetric, without negative eigenvalues; they may be
            singular, as they are with fewer images than features.

    Returns:
        d^2, a float, never negative.
    """
    raise NotImplementedError("exercise 8.3 is not written yet")


def distance_ratio(
    distance: Callable[[Tensor, Tensor], float],
    reference: Tensor,
    held_out: Tensor,
    generated: Tensor,
    generator: torch.Generator,
) -> float:
    """How many times as far from real images as other real images are, at the same number.

    The Fréchet distance of two finite sets is too large, by about a constant divided by n: even
    two sets of real images are never at 0. Figures at different n cannot be compared, and a figure
    alone says little. The ratio has real images as its unit: 1 is as good as real, whatever the
    sizes of the three sets.

    So everything is compared at one number n of rows, as large as the sets allow. Which rows those
    are is left to chance, set by set, because sets are often sorted; none comes twice; and both
    distances are measured from one and the same choice of the reference.

    Source: Chong & Forsyth 2020, for the bias.

    Args:
        distance: called as distance(a, b) with two sets of rows as they are, (n, D) each, in either
            order, because a is as far from b as b from a; gives a float.
        reference: features of real images, shape (R, D).
        held_out: features of other real images, shape (H, D).
        generated: features of generated images, shape (M, D).
        generator: what the rows are drawn with.

    Returns:
        the ratio, a float.
    """
    raise NotImplementedError("exercise 8.4 is not written yet")


def distances(a: Tensor, b: Tensor) -> Tensor:
    """Euclidean distances between the rows of two sets, (N, D), (M, D) -> (N, M).

    Given. torch.cdist takes a short cut through a matrix product if it may, after which equal rows
    are not at distance 0 but only near it.
    """
    return torch.cdist(a, b, compute_mode="donot_use_mm_for_euclid_dist")


def neighbour_radii(points: Tensor, k: int) -> Tensor:
    """The distance of each point to its k-th nearest other point of the same set.

    Where there are several copies of a point, each is another point, at distance 0.

    Source: Kynkäänniemi et al. 2019, section 2, NN_k in equation 1.

    Args:
        points: shape (N, D), N > k, float32 or float64.
        k: which neighbour, from 1 on.

    Returns:
        shape (N,), float32 or float64.

    Raises:
        ValueError: if k is not in 1 ... N - 1.
    """
    if not 1 <= k < len(points):
        raise ValueError(f"k must be between 1 and {len(points) - 1} (points less 1), got {k}")
    raise NotImplementedError("exercise 8.5 is not written yet")


def recall(real: Tensor, generated: Tensor, k: int = 3) -> float:
    """The share of real images that lie in a ball around some generated image.

    A generated image's ball reaches to its k-th nearest other generated image, and its border
    belongs to it. How much of the variety of real images could the generator have made?

    Source: Kynkäänniemi et al. 2019, equation 2.

    Args:
        real: shape (N, D).
        generated: shape (M, D), M > k.
        k: which neighbour sets the radius.

    Returns:
        the share, a float from 0 to 1.
    """
    raise NotImplementedError("exercise 8.5 is not written yet")


def coverage(real: Tensor, generated: Tensor, k: int = 5) -> float:
    """The share of real images that have a generated image in the ball around them.

    A real image's ball reaches to its k-th nearest other real image, and its border belongs to it.
    One stray generated image may have a huge ball in `recall`; here it changes nothing.

    Source: Naeem et al. 2020, equation 5.

    Args:
        real: shape (N, D), N > k.
        generated: shape (M, D).
        k: which neighbour sets the radius.

    Returns:
        the share, a float from 0 to 1.
    """
    raise NotImplementedError("exercise 8.5 is not written yet")


def two_nearest(images: Tensor, training: Tensor) -> Tensor:
    """How far each image is from its two nearest training images, pixel by pixel.

    A copy is at 0, exactly, so distances are measured by differences, in float64. There may be
    60,000 training images of 784 pixels, for which all differences would take minutes. The short
    cut |x - y|^2 = |x|^2 + |y|^2 - 2 x . y gives all squared distances with one matrix product, but
    it subtracts large numbers. In float32 a copy only comes out near 0, and rounding decides which
    of many images that are nearly as near come first. Only training images that are all less than
    0.00001 away need not be told apart.

    Source: Yoon et al. 2023, for the two distances.

    Args:
        images: shape (N, D), float32, each image as a row of its pixels in [-1, 1].
        training: shape (M, D), float32, M > 1.

    Returns:
        Euclidean distances, shape (N, 2), float64, the nearer first.
    """
    raise NotImplementedError("exercise 8.6 is not written yet")


def is_copy(nearest: Tensor, ratio: float = 1 / 3) -> Tensor:
    """Which images are copies: far nearer to one training image than to any other.

    A copy's nearest training image is at most `ratio` times as far away as the second nearest, also
    where both are at 0, because the training set holds the image twice.

    A small distance alone proves nothing: a plain 1 is near to many. Nor do a few copies: real
    images that were never trained on have a rate of copies too, and only more than that counts.

    Source: Yoon et al. 2023, with a ratio of 1/3.

    Args:
        nearest: distances to the nearest and to the second nearest training image, shape (N, 2),
            float64.
        ratio: how much nearer the first must be.

    Returns:
        shape (N,), bool.
    """
    raise NotImplementedError("exercise 8.6 is not written yet")
