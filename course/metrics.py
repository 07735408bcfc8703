"""Figures that say how two sets of images differ; each function is one definition from a paper."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from course import CourseError

RECALL_K = 3  # Kynkäänniemi et al. use 3
COVERAGE_K = 5  # Naeem et al. use 5


# Shares and their uncertainty


@dataclass(frozen=True)
class Share:
    """`part` of `count`, with a 95 % interval."""

    part: int
    count: int

    @property
    def value(self) -> float:
        return self.part / self.count if self.count else math.nan

    @property
    def interval(self) -> tuple[float, float]:
        return wilson(self.part, self.count)


def wilson(part: int, count: int, z: float = 1.959964) -> tuple[float, float]:
    """The interval in which a share lies with 95 % confidence, given `part` of `count`.

        ( p + z^2/2n  -+  z * sqrt( p (1 - p) / n + z^2/4n^2 ) ) / ( 1 + z^2/n )

    It stays within [0, 1] and is no point where all or none are right.

    Source: Wilson 1927, "Probable Inference, the Law of Succession, and Statistical Inference".
    """
    if count == 0:
        return 0.0, 1.0
    share = part / count
    middle = share + z * z / (2 * count)
    half = z * math.sqrt(share * (1 - share) / count + z * z / (4 * count * count))
    scale = 1 + z * z / count
    return max(0.0, (middle - half) / scale), min(1.0, (middle + half) / scale)


# Distances between two sets of features


def frechet_distance(a: Tensor, b: Tensor) -> float:
    """Fréchet distance between the Gaussians that have the two sets' means and covariances.

        |mu_a - mu_b|^2 + tr( S_a + S_b - 2 (S_a^1/2 S_b S_a^1/2)^1/2 )

    The product under the root is symmetric, so its eigenvalues are real and the trace of its
    root is the sum of their roots; rounding below zero is cut off.

    Source: Dowson & Landau 1982; for generators Heusel et al. 2017.

    Args:
        a, b: features, (N, D) and (M, D), N and M > 1; computed in float64.
    """
    a, b = a.double(), b.double()
    cov_a, cov_b = covariance(a), covariance(b)
    root_a = symmetric_root(cov_a)
    eigenvalues = torch.linalg.eigvalsh(root_a @ cov_b @ root_a)
    cross = eigenvalues.clamp_min(0).sqrt().sum()
    distance = (a.mean(0) - b.mean(0)).square().sum() + cov_a.trace() + cov_b.trace() - 2 * cross
    return max(0.0, float(distance))


def covariance(features: Tensor) -> Tensor:
    """(N, D) -> (D, D), with N - 1 in the denominator."""
    centred = features - features.mean(0)
    return centred.T @ centred / (len(features) - 1)


def symmetric_root(matrix: Tensor) -> Tensor:
    """The root of a symmetric matrix without negative eigenvalues, (D, D)."""
    values, vectors = torch.linalg.eigh(matrix)
    return vectors * values.clamp_min(0).sqrt() @ vectors.T


def distances(a: Tensor, b: Tensor) -> Tensor:
    """Euclidean distances (N, D), (M, D) -> (N, M); 0, and not nearly 0, between equal rows."""
    return torch.cdist(a, b, compute_mode="donot_use_mm_for_euclid_dist")


def radii(points: Tensor, k: int) -> Tensor:
    """The distance of each point to its k-th nearest other point, (N, D) -> (N,)."""
    if len(points) <= k:
        raise CourseError(f"k = {k} neighbours need more than {k} images, got {len(points)}")
    parts = [distances(part, points).kthvalue(k + 1).values for part in points.split(500)]
    return torch.cat(parts)  # the nearest of all is the point itself


def recall(real: Tensor, generated: Tensor, k: int = RECALL_K) -> float:
    """The share of real images that lie in a ball around some generated image.

    A ball reaches to the k-th nearest other generated image. How much of the real images'
    variety could the generator have made?

    Source: Kynkäänniemi et al. 2019, "Improved Precision and Recall Metric", equation 2.

    Args:
        real, generated: features, (N, D) and (M, D).
    """
    reach = radii(generated, k)  # (M,)
    inside = [(distances(part, generated) <= reach).any(dim=1) for part in real.split(500)]
    return float(torch.cat(inside).double().mean())


def coverage(real: Tensor, generated: Tensor, k: int = COVERAGE_K) -> float:
    """The share of real images that have a generated image in the ball around them.

    A ball reaches to the k-th nearest other real image. Outliers among the generated images,
    which blow up the balls of `recall`, change nothing here.

    Source: Naeem et al. 2020, "Reliable Fidelity and Diversity Metrics", equation 5.

    Args:
        real, generated: features, (N, D) and (M, D).
    """
    reach = radii(real, k)  # (N,)
    nearest = [distances(part, generated).amin(dim=1) for part in real.split(500)]
    return float((torch.cat(nearest) <= reach).double().mean())


def two_nearest(images: Tensor, training: Tensor) -> Tensor:
    """Euclidean distances from each image to its two nearest training images, over the pixels.

    The two are found with a fast matrix product, and their distances then computed exactly.

    Args:
        images, training: (N, D) and (M, D), float32.

    Returns:
        (N, 2), the nearer one first.
    """
    squares = training.square().sum(dim=1)  # (M,)
    found = []
    for part in images.split(250):
        index = (squares - 2 * part @ training.T).topk(2, largest=False).indices  # (B, 2)
        exact = (training[index] - part[:, None]).double().square().sum(dim=2).sqrt()
        found.append(exact.sort(dim=1).values)
    return torch.cat(found)


# Simple properties of the pixels


def ink(images: Tensor) -> float:
    """Mean brightness, 0 for black and 1 for white."""
    return float((images.double() + 1).mean() / 2)


def sharpness(images: Tensor) -> float:
    """How much neighbouring pixels differ, against how bright they are.

    The squared differences between neighbours, summed, over the squared brightness, summed: the
    mean squared frequency of the image. Blur lowers it, noise raises it.
    """
    pixels = (images.double() + 1) / 2
    change = pixels.diff(dim=2).square().sum() + pixels.diff(dim=3).square().sum()
    return float(change / pixels.square().sum().clamp_min(1e-9))
