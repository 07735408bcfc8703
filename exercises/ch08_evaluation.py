"""Chapter 08: evaluation.

Are the digits right? Do they look real? Are they varied, and are they new? Here you build what
answers, for whole sets of images. No figure says anything alone: each stands beside the same figure
of real images that the generator has not seen.

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

The functions and classes that end in NotImplementedError are yours to write. See how
you are doing with `course check 08`, and ask for help with `course hint 8.1`.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor


def right_by_class(logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor, int]:
    """Count how many images are judged to be the digit that was asked for.

        right_c = number of images i with labels_i = c and argmax_j logits_ij = c
        count_c = number of images i with labels_i = c
        worst   = the class c with the smallest right_c / count_c, of those with count_c > 0

    The accuracy of all is right.sum() / count.sum(). If two classes are equally bad, the worst is
    the one with the smaller number.

    Source: the accuracy of a classifier on generated images, as in Ravuri & Vinyals 2019,
    "Classification Accuracy Score for Conditional Generative Models", with the roles exchanged.

    Args:
        logits: what the judge says of each image, shape (N, C).
        labels: the class that was asked for, shape (N,), int64, from 0 to C - 1; perhaps not all.

    Returns:
        (right, count, worst): shape (C,), int64; shape (C,), int64; a whole number.
    """
    raise NotImplementedError("exercise 8.1 is not written yet")


def wilson_interval(right: int, count: int, z: float = 1.959964) -> tuple[float, float]:
    """The interval in which a share lies, given that `right` of `count` were seen.

        p     = right / count
        ends  = ( p + z^2 / 2n  -+  z * sqrt( p (1 - p) / n + z^2 / 4n^2 ) ) / ( 1 + z^2 / n )

    with n = count. The ends are the two shares P from which p lies just z standard deviations
    sqrt( P (1 - P) / n ) away. They stay within [0, 1], where rounding too may not lead out of it,
    and leave room where all are right or none. Without any images nothing is known: (0, 1).

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

        mu = 1/N * sum_i f_i
        S  = 1/(N-1) * sum_i (f_i - mu) (f_i - mu)^T

    In float64 from the first sum on. The mean is taken off before anything is squared: in
    sum f f^T - N mu mu^T two large numbers would meet, and their difference would be rounding.

    Source: the unbiased estimates of any textbook; for generators Heusel et al. 2017.

    Args:
        features: shape (N, D), float32 or float64, N > 1.

    Returns:
        (mean, cov): shape (D,) and (D, D), float64.

    Raises:
        ValueError: if there are fewer than two rows.
    """
    if len(features) < 2:
        raise ValueError(f"a covariance needs at least 2 rows, got {len(features)}")
    raise NotImplementedError("exercise 8.2 is not written yet")


def frechet_distance(mean_a: Tensor, cov_a: Tensor, mean_b: Tensor, cov_b: Tensor) -> float:
    """The (squared) Fréchet distance of two Gaussians.

        d^2 = |mu_a - mu_b|^2 + tr( S_a + S_b - 2 ( S_a^(1/2) S_b S_a^(1/2) )^(1/2) )

    X^(1/2) is the matrix root, the symmetric matrix R without negative eigenvalues for which
    R R = X. What stands under the outer root is symmetric, so its eigenvalues are real and the
    trace of its root is the sum of their roots. None of them is negative, but rounding may make a
    0 slightly so: cut that off, before the root and at the end.

    Source: Dowson & Landau 1982; Heusel et al. 2017, equation 6, with S_a S_b under the root, which
    has the same trace.

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

        n     = the size of the smallest of the three sets
        ratio = distance(reference_n, generated_n) / distance(reference_n, held_out_n)

    where X_n are n different rows of X, drawn at random, the same reference_n in both distances.

    The Fréchet distance of two finite sets is too large, by about a constant divided by n: even
    two sets of real images are never at 0. Figures at different n cannot be compared, and a figure
    alone says little. The ratio has real images as its unit: 1 is as good as real.

    Source: Chong & Forsyth 2020, for the bias.

    Args:
        distance: called as distance(a, b) with two sets of rows, (n, D) each; gives a float.
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
        points: shape (N, D), N > k.
        k: which neighbour, from 1 on.

    Returns:
        shape (N,).

    Raises:
        ValueError: if there are not more than k points.
    """
    if not 1 <= k < len(points):
        raise ValueError(f"k must be between 1 and {len(points) - 1} (points less 1), got {k}")
    raise NotImplementedError("exercise 8.5 is not written yet")


def recall(real: Tensor, generated: Tensor, k: int = 3) -> float:
    """The share of real images that lie in a ball around some generated image.

        recall = 1/N * #{ i : |real_i - generated_j| <= r_j  for some j }

    r_j reaches from generated_j to its k-th nearest other generated image. How much of the variety
    of real images could the generator have made?

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

        coverage = 1/N * #{ i : |real_i - generated_j| <= r_i  for some j }

    r_i reaches from real_i to its k-th nearest other real image. One stray generated image blows up
    the balls of `recall`; here it changes nothing.

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

        |x - y|^2 = |x|^2 + |y|^2 - 2 x . y

    Written like this, all distances come out of one matrix product, which is quick enough for
    60,000 training images, but it subtracts large numbers: a copy would not be at 0. So find the
    two with it (for that |x|^2 may be left out), and measure them again, by their differences.

    Source: Yoon et al. 2023, for the two distances.

    Args:
        images: shape (N, D), float32, each image as a row of its pixels.
        training: shape (M, D), float32, M > 1.

    Returns:
        Euclidean distances, shape (N, 2), float64, the nearer first.
    """
    raise NotImplementedError("exercise 8.6 is not written yet")


def is_copy(nearest: Tensor, ratio: float = 1 / 3) -> Tensor:
    """Which images are copies: far nearer to one training image than to any other.

        copy_i = ( d_i1 <= ratio * d_i2 )

    A small distance alone proves nothing, for a plain 1 is near to many. Nor do some copies: real
    images that were never trained on have a rate of copies too, and only more than that counts.

    Source: Yoon et al. 2023, with a ratio of 1/3.

    Args:
        nearest: distances to the nearest and to the second nearest training image, shape (N, 2).
        ratio: how much nearer the first must be.

    Returns:
        shape (N,), bool.
    """
    raise NotImplementedError("exercise 8.6 is not written yet")
