"""Right answers to chapter 08 in other styles. Every check must accept them."""

import bisect
import collections
import fractions
import itertools
import math
import random

import numpy as np
import torch
from scipy.spatial import cKDTree
from scipy.spatial.distance import cdist
from sklearn.neighbors import NearestNeighbors
from torch.nn import functional as F

from course.grading.answers import Answers

answers = Answers()


def _refuse(wrong):
    if wrong:
        raise ValueError("not with these arguments")


# 8.1


@answers.right("8.1", "image by image in Python")
def right_by_class(logits, labels):
    num_classes = logits.shape[1]
    right, count = [0] * num_classes, [0] * num_classes
    for row, label in zip(logits, labels.tolist()):
        count[label] += 1
        if int(row.argmax()) == label:
            right[label] += 1
    asked = [c for c in range(num_classes) if count[c]]
    worst = min(asked, key=lambda c: right[c] / count[c])
    return torch.tensor(right), torch.tensor(count), worst


@answers.right("8.1", "image by image in Python")
def wilson_interval(right, count, z=1.96):
    _refuse(right < 0 or right > count)
    if not count:
        return 0.0, 1.0
    # The two roots of the quadratic equation (p - P)^2 = z^2 P (1 - P) / n.
    p = right / count
    a, b, c = 1 + z * z / count, -2 * p - z * z / count, p * p
    root = math.sqrt(max(0.0, b * b - 4 * a * c))
    low, high = (-b - root) / (2 * a), (-b + root) / (2 * a)
    return min(max(low, 0.0), 1.0), min(max(high, 0.0), 1.0)


@answers.right("8.1", "one-hot tables")
def right_by_class(logits, labels):
    asked = F.one_hot(labels, logits.shape[1])  # (N, C)
    seen = F.one_hot(logits.softmax(dim=1).argmax(dim=1), logits.shape[1])
    right, count = (asked * seen).sum(dim=0), asked.sum(dim=0)
    share = (right / count).nan_to_num(nan=2.0)
    return right, count, share.argmin().item()


@answers.right("8.1", "one-hot tables")
def wilson_interval(right, count, z=1.959964):
    _refuse(right < 0 or right > count)
    if count == 0:
        return (0.0, 1.0)
    wrong = count - right
    middle = (right + z**2 / 2) / (count + z**2)
    half = z / (count + z**2) * math.sqrt(right * wrong / count + z**2 / 4)
    return max(middle - half, 0.0), min(middle + half, 1.0)


@answers.right("8.1", "a class at a time, and torch for the interval")
def right_by_class(logits, labels):
    seen = torch.max(logits, dim=1)[1]
    rights, counts = [], []
    for c in range(logits.size(1)):
        mine = labels == c
        rights.append((seen[mine] == c).sum())
        counts.append(mine.sum())
    right, count = torch.stack(rights), torch.stack(counts)
    share = torch.where(count == 0, torch.tensor(float("inf")), right.double() / count.double())
    return right, count, int(torch.argmin(share))


@answers.right("8.1", "a class at a time, and torch for the interval")
def wilson_interval(right, count, z=1.959964):
    _refuse(right < 0 or right > count)
    if count == 0:
        return 0.0, 1.0
    n = torch.tensor(count, dtype=torch.float64)
    p = right / n
    half = z * (p * (1 - p) / n + (z / (2 * n)) ** 2).sqrt()
    ends = torch.stack([p + z**2 / (2 * n) - half, p + z**2 / (2 * n) + half]) / (1 + z**2 / n)
    low, high = ends.clamp(0, 1).tolist()
    return low, high


@answers.right("8.1", "scatter_add")
def right_by_class(logits, labels):
    hit = logits.argsort(dim=1, descending=True)[:, 0].eq(labels).long()
    empty = labels.new_zeros(logits.shape[1])
    right = empty.scatter_add(0, labels, hit)
    count = empty.scatter_add(0, labels, torch.ones_like(labels))
    classes = count.nonzero()[:, 0]
    return right, count, int(classes[(right[classes] / count[classes]).argmin()])


@answers.right("8.1", "NumPy and a histogram")
def right_by_class(logits, labels):
    seen, asked = logits.numpy().argmax(1), labels.numpy()
    classes = np.arange(logits.shape[1] + 1)
    count, _ = np.histogram(asked, bins=classes)
    right, _ = np.histogram(asked[asked == seen], bins=classes)
    share = np.divide(right, count, out=np.full(len(count), np.inf), where=count > 0)
    return torch.from_numpy(right), torch.from_numpy(count), np.argmin(share)


@answers.right("8.1", "NumPy and a histogram")
def wilson_interval(right, count, z=1.959964):
    _refuse(right < 0 or right > count)
    if count == 0:
        return np.float64(0), np.float64(1)
    p = np.float64(right) / count
    spread = z * np.sqrt(p * (1 - p) / count + np.square(z / (2 * count)))
    ends = (p + z**2 / (2 * count) + np.array([-spread, spread])) / (1 + z**2 / count)
    return tuple(np.clip(ends, 0, 1))


@answers.right("8.1", "a Counter, and bisection for the ends")
def right_by_class(logits, labels):
    seen, asked = logits.argmax(1).tolist(), labels.tolist()
    counted = collections.Counter(asked)
    hits = collections.Counter(a for a, s in zip(asked, seen) if a == s)
    worst = sorted(counted, key=lambda c: (hits[c] / counted[c], c))[0]
    classes = range(logits.shape[1])
    return (
        torch.tensor([hits[c] for c in classes]),
        torch.tensor([counted[c] for c in classes]),
        worst,
    )


@answers.right("8.1", "a Counter, and bisection for the ends")
def wilson_interval(right, count, z=1.959964):
    _refuse(right < 0 or right > count)
    if count == 0:
        return 0.0, 1.0
    p = right / count

    def inside(P):
        return (p - P) ** 2 <= z**2 * P * (1 - P) / count

    def border(inner, outer):
        for _ in range(60):
            middle = (inner + outer) / 2
            inner, outer = (middle, outer) if inside(middle) else (inner, middle)
        return inner

    # p itself lies inside, or, where none or all are right, just beside it.
    start = min(max(p, 1e-9), 1 - 1e-9)
    low = 0.0 if right == 0 else border(start, 0.0)
    high = 1.0 if right == count else border(start, 1.0)
    return low, high


class NoShare(ValueError):
    pass


@answers.right("8.1", "fractions, and an error of its own kind")
def right_by_class(logits, labels):
    pairs = list(zip(logits.argmax(dim=1).tolist(), labels.tolist()))
    classes = range(logits.shape[1])
    count = [sum(asked == c for _, asked in pairs) for c in classes]
    right = [sum(seen == asked == c for seen, asked in pairs) for c in classes]
    shares = {c: fractions.Fraction(right[c], count[c]) for c in classes if count[c]}
    return torch.tensor(right), torch.tensor(count), min(shares, key=shares.get)


@answers.right("8.1", "fractions, and an error of its own kind")
def wilson_interval(right, count, z=1.959964):
    if right not in range(count + 1):
        raise NoShare(f"{right} of {count}")
    if count == 0:
        return 0, 1
    p, c = right / count, z * z / count
    half = math.sqrt(c * (p * (1 - p) + c / 4))
    low, high = ((p + c / 2 + sign * half) / (1 + c) for sign in (-1, 1))
    return (low if low > 0 else 0, high if high < 1 else 1)


# 8.2


@answers.right("8.2", "torch.cov")
def feature_moments(features):
    _refuse(len(features) < 2)
    rows = features.to(torch.float64)
    return rows.mean(0), torch.cov(rows.T).reshape(rows.shape[1], rows.shape[1])


@answers.right("8.2", "NumPy")
def feature_moments(features):
    _refuse(len(features) < 2)
    rows = features.numpy().astype(np.float64)
    cov = np.atleast_2d(np.cov(rows, rowvar=False))
    return torch.from_numpy(rows.mean(axis=0)), torch.from_numpy(cov)


@answers.right("8.2", "a sum of outer products, row by row")
def feature_moments(features):
    _refuse(len(features) < 2)
    n, dim = features.shape
    mean = torch.zeros(dim, dtype=torch.float64)
    for row in features:
        mean += row.double() / n
    cov = torch.zeros(dim, dim, dtype=torch.float64)
    for row in features:
        apart = row.double() - mean
        cov += torch.outer(apart, apart) / (n - 1)
    return mean, cov


@answers.right("8.2", "einsum")
def feature_moments(features):
    _refuse(len(features) < 2)
    rows = features.double()
    mean = torch.einsum("nd->d", rows) / rows.shape[0]
    apart = rows - mean[None]
    return mean, torch.einsum("ni,nj->ij", apart, apart).div(rows.shape[0] - 1)


@answers.right("8.2", "Welford's running moments")
def feature_moments(features):
    _refuse(len(features) < 2)
    mean = torch.zeros(features.shape[1], dtype=torch.float64)
    total = torch.zeros(features.shape[1], features.shape[1], dtype=torch.float64)
    for n, row in enumerate(features.double().unbind(0), start=1):
        before = row - mean
        mean = mean + before / n
        total = total + before[:, None] * (row - mean)[None, :]
    return mean, total / (features.shape[0] - 1)


@answers.right("8.2", "singular values of the centred rows")
def feature_moments(features):
    _refuse(len(features) < 2)
    rows = features.double()
    mean = torch.mean(rows, dim=0)
    _, s, vh = torch.linalg.svd(rows - mean, full_matrices=False)
    scaled = s[:, None] * vh / math.sqrt(len(rows) - 1)
    return mean, scaled.mT @ scaled


# 8.3


@answers.right("8.3", "the nuclear norm of the product of the roots")
def frechet_distance(mean_a, cov_a, mean_b, cov_b):
    def root(cov):
        values, vectors = torch.linalg.eigh(cov)
        return vectors @ torch.diag(values.clamp(min=0).sqrt()) @ vectors.T

    cross = torch.linalg.svdvals(root(cov_a) @ root(cov_b)).sum()
    d2 = torch.dot(mean_a - mean_b, mean_a - mean_b) + (cov_a + cov_b).trace() - 2 * cross
    return d2.clamp(min=0).item()


@answers.right("8.3", "eigenvalues of S_a S_b, real parts, as torchmetrics has it")
def frechet_distance(mean_a, cov_a, mean_b, cov_b):
    eigenvalues = torch.linalg.eigvals(cov_a @ cov_b).real.clamp(min=0)
    a = (mean_a - mean_b).pow(2).sum()
    return max(0.0, (a + cov_a.trace() + cov_b.trace() - 2 * eigenvalues.sqrt().sum()).item())


@answers.right("8.3", "NumPy's eigh, the root by its factor")
def frechet_distance(mean_a, cov_a, mean_b, cov_b):
    a, b = cov_a.numpy(), cov_b.numpy()
    values, vectors = np.linalg.eigh(b)
    factor = vectors * np.sqrt(np.maximum(values, 0))  # factor @ factor.T is S_b
    inner = np.linalg.eigvalsh(factor.T @ a @ factor)
    cross = np.sqrt(np.maximum(inner, 0)).sum()
    apart = np.linalg.norm((mean_a - mean_b).numpy()) ** 2
    return float(max(0.0, apart + np.trace(a) + np.trace(b) - 2 * cross))


@answers.right("8.3", "the whole root, and then its trace")
def frechet_distance(mean_a, cov_a, mean_b, cov_b):
    def root(cov):
        u, s, _ = torch.linalg.svd(cov)  # of such a matrix, its eigenvectors and eigenvalues
        return u * s.sqrt() @ u.T

    root_a = root(cov_a)
    inner = root_a @ cov_b @ root_a
    both = cov_a + cov_b - 2 * root((inner + inner.T) / 2)
    return max(0.0, float((mean_a - mean_b).square().sum() + torch.trace(both)))


@answers.right("8.3", "singular values of the two factors' product, Bures' way")
def frechet_distance(mean_a, cov_a, mean_b, cov_b):
    def factor(cov):
        values, vectors = np.linalg.eigh(cov.numpy())
        return vectors * np.sqrt(np.clip(values, 0, None))

    fidelity = np.linalg.svd(factor(cov_a).T @ factor(cov_b), compute_uv=False).sum()
    shift = float(((mean_a - mean_b) ** 2).sum())
    return max(0.0, shift + float(cov_a.trace() + cov_b.trace()) - 2 * float(fidelity))


# 8.4


@answers.right("8.4", "Python's sample, seeded by the generator")
def distance_ratio(distance, reference, held_out, generated, generator):
    n = min(map(len, (reference, held_out, generated)))
    dice = random.Random(int(torch.randint(2**62, (1,), generator=generator)))
    a, b, c = (rows[dice.sample(range(len(rows)), n)] for rows in (reference, held_out, generated))
    return distance(a, c) / distance(a, b)


@answers.right("8.4", "the denominator first, arguments the other way round")
def distance_ratio(distance, reference, held_out, generated, generator):
    sizes = [reference.shape[0], held_out.shape[0], generated.shape[0]]
    n = sorted(sizes)[0]
    orders = [torch.randperm(size, generator=generator) for size in sizes]
    chosen = [rows.index_select(0, order[:n]) for rows, order in
              zip((reference, held_out, generated), orders)]  # fmt: skip
    unit = distance(chosen[1], chosen[0])
    return distance(chosen[2], chosen[0]) / unit


@answers.right("8.4", "the smallest random numbers")
def distance_ratio(distance, reference, held_out, generated, generator):
    n = min(len(reference), len(held_out), len(generated))

    def draw(rows):
        keys = torch.rand(len(rows), generator=generator, dtype=torch.float64)
        return rows[keys.topk(n, largest=False).indices]

    some_generated, some_held_out = draw(generated), draw(held_out)
    some_reference = draw(reference)
    return distance(some_reference, some_generated) / distance(some_reference, some_held_out)


@answers.right("8.4", "only the larger sets are cut, in their old order")
def distance_ratio(distance, reference, held_out, generated, generator):
    n = min(len(reference), len(held_out), len(generated))

    def cut(rows):
        if len(rows) == n:
            return rows
        return rows[torch.randperm(len(rows), generator=generator)[-n:].sort().values]

    a, b, c = cut(reference), cut(held_out), cut(generated)
    return float(distance(a, c)) / float(distance(a, b))


@answers.right("8.4", "multinomial without replacement")
def distance_ratio(distance, reference, held_out, generated, generator):
    n = min(len(reference), len(held_out), len(generated))
    picked = {}
    for name, rows in (("ref", reference), ("held", held_out), ("gen", generated)):
        weights = torch.ones(len(rows))
        picked[name] = rows[torch.multinomial(weights, n, generator=generator)]
    numerator = distance(picked["ref"], picked["gen"])
    denominator = distance(picked["ref"], picked["held"])
    return numerator / denominator


@answers.right("8.4", "NumPy's generator, seeded by torch's")
def distance_ratio(distance, reference, held_out, generated, generator):
    seed = torch.randint(2**31, (1,), generator=generator).item()
    rng = np.random.default_rng(seed)
    n = min(len(reference), len(held_out), len(generated))
    a, b, c = (
        rows[torch.from_numpy(rng.permutation(len(rows))[:n])]
        for rows in (reference, held_out, generated)
    )
    return np.divide(distance(a, c), distance(a, b))


# 8.5


@answers.right("8.5", "sorted rows in Python")
def neighbour_radii(points, k):
    _refuse(k < 1 or k >= len(points))
    found = []
    for i, x in enumerate(points):
        apart = sorted(
            float((x.double() - y.double()).square().sum().sqrt())
            for j, y in enumerate(points) if j != i
        )  # fmt: skip
        found.append(apart[k - 1])
    return torch.tensor(found, dtype=points.dtype)


def _apart(a, b):
    return (a[:, None, :] - b[None, :, :]).square().sum(dim=-1).sqrt()


@answers.right("8.5", "differences and topk")
def neighbour_radii(points, k):
    _refuse(k < 1 or k >= len(points))
    return _apart(points, points).topk(k + 1, largest=False).values[:, k]


@answers.right("8.5", "differences and topk")
def recall(real, generated, k=3):
    radii = _apart(generated, generated).topk(k + 1, largest=False).values.amax(dim=1)
    return float((_apart(generated, real) <= radii[:, None]).any(dim=0).float().mean())


@answers.right("8.5", "differences and topk")
def coverage(real, generated, k=5):
    radii = _apart(real, real).sort(dim=1).values[:, k].unsqueeze(1)
    return ((_apart(real, generated) <= radii).sum(dim=1) > 0).double().mean().item()


@answers.right("8.5", "scipy's cdist and NumPy")
def neighbour_radii(points, k):
    _refuse(k < 1 or k >= len(points))
    apart = cdist(points.numpy(), points.numpy())
    return torch.from_numpy(np.partition(apart, k, axis=1)[:, k])


@answers.right("8.5", "scipy's cdist and NumPy")
def recall(real, generated, k=3):
    radii = np.sort(cdist(generated.numpy(), generated.numpy()), axis=1)[:, k]
    return np.mean(np.any(cdist(real.numpy(), generated.numpy()) <= radii, axis=1))


@answers.right("8.5", "scipy's cdist and NumPy")
def coverage(real, generated, k=5):
    radii = np.sort(cdist(real.numpy(), real.numpy()), axis=1)[:, k]
    return np.mean(cdist(real.numpy(), generated.numpy()).min(axis=1) <= radii)


@answers.right("8.5", "the diagonal put out of reach, and slack in ratios")
def neighbour_radii(points, k):
    _refuse(k < 1 or k >= len(points))
    apart = torch.cdist(points, points, compute_mode="donot_use_mm_for_euclid_dist")
    apart.fill_diagonal_(torch.inf)
    return apart.kthvalue(k, dim=1).values


@answers.right("8.5", "the diagonal put out of reach, and slack in ratios")
def recall(real, generated, k=3):
    within = torch.cdist(
        generated, generated, compute_mode="donot_use_mm_for_euclid_dist"
    ).fill_diagonal_(torch.inf)
    radii = within.kthvalue(k).values
    between = torch.cdist(real, generated, compute_mode="donot_use_mm_for_euclid_dist")
    slack = (radii - between).amax(dim=1)
    return float((slack >= 0).sum() / len(real))


@answers.right("8.5", "chunks of a few rows, counted up")
def recall(real, generated, k=3):
    mode = "donot_use_mm_for_euclid_dist"
    radii = torch.cat(
        [torch.cdist(p, generated, compute_mode=mode).sort().values[:, k]
         for p in generated.split(7)]
    )  # fmt: skip
    hits = 0
    for part in real.split(7):
        hits += int((torch.cdist(part, generated, compute_mode=mode) <= radii).any(1).sum())
    return hits / len(real)


@answers.right("8.5", "chunks of a few rows, counted up")
def coverage(real, generated, k=5):
    mode, hits = "donot_use_mm_for_euclid_dist", 0
    for part in real.split(7):
        radii = torch.cdist(part, real, compute_mode=mode).sort().values[:, k : k + 1]
        hits += int((torch.cdist(part, generated, compute_mode=mode) <= radii).any(1).sum())
    return hits / real.shape[0]


@answers.right("8.5", "Python's any over image after image")
def recall(real, generated, k=3):
    apart = torch.cdist(generated, generated, compute_mode="donot_use_mm_for_euclid_dist")
    radii = [row.sort().values[k] for row in apart]
    to = torch.cdist(real, generated, compute_mode="donot_use_mm_for_euclid_dist")
    return sum(any(d <= r for d, r in zip(row.tolist(), radii)) for row in to) / len(real)


@answers.right("8.5", "nearest neighbours found with bisection in sorted rows")
def neighbour_radii(points, k):
    _refuse(k < 1 or k >= len(points))
    rows = [[] for _ in points]
    for i, j in itertools.combinations(range(len(points)), 2):
        d = float(torch.linalg.vector_norm(points[i].double() - points[j].double()))
        bisect.insort(rows[i], d)
        bisect.insort(rows[j], d)
    return torch.tensor([row[k - 1] for row in rows], dtype=torch.float64)


# 8.6


@answers.right("8.6", "cdist in float64, exact")
def two_nearest(images, training):
    apart = torch.cdist(
        images.double(), training.double(), compute_mode="donot_use_mm_for_euclid_dist"
    )
    return apart.topk(2, dim=1, largest=False).values


@answers.right("8.6", "cdist in float64, exact")
def is_copy(nearest, ratio=1 / 3):
    first, second = nearest.unbind(dim=1)
    return torch.le(first, second * ratio)


@answers.right("8.6", "image by image, sorted")
def two_nearest(images, training):
    rows = training.double()
    found = [(rows - x.double()).norm(dim=1).sort().values[:2] for x in images]
    return torch.stack(found)


@answers.right("8.6", "image by image, sorted")
def is_copy(nearest, ratio=1 / 3):
    return torch.tensor([first <= ratio * second for first, second in nearest.tolist()])


@answers.right("8.6", "two minima, one after the other")
def two_nearest(images, training):
    found = []
    for part in images.split(64):
        apart = (part[:, None].double() - training.double()).square().sum(dim=2)
        first = apart.min(dim=1)
        second = apart.scatter(1, first.indices[:, None], torch.inf).amin(dim=1)
        found.append(torch.stack([first.values, second], dim=1).sqrt())
    return torch.cat(found)


@answers.right("8.6", "two minima, one after the other")
def is_copy(nearest, ratio=1 / 3):
    return ratio * nearest[:, 1] >= nearest[:, 0]


@answers.right("8.6", "SciPy")
def two_nearest(images, training):
    apart = cdist(images.double().numpy(), training.double().numpy())
    return torch.from_numpy(np.sort(np.partition(apart, 1, axis=1)[:, :2], axis=1))


@answers.right("8.6", "SciPy")
def is_copy(nearest, ratio=1 / 3):
    first, second = nearest.numpy().T
    return torch.from_numpy(np.less_equal(first, ratio * second))


@answers.right("8.6", "a few candidates by the product, measured exactly")
def two_nearest(images, training):
    images, training = images.double(), training.double()
    order = images @ training.T - training.square().sum(dim=1) / 2  # large where near
    few = order.topk(min(8, len(training)), dim=1).indices  # (N, 8)
    exact = torch.linalg.vector_norm(training[few] - images[:, None], dim=2)
    return exact.sort(dim=1).values[:, :2]


@answers.right("8.6", "a few candidates by the product, measured exactly")
def is_copy(nearest, ratio=1 / 3):
    return (nearest[..., 0] - ratio * nearest[..., 1]) <= 0


@answers.right("8.6", "a tree of neighbours")
def two_nearest(images, training):
    found, _ = cKDTree(training.double().numpy()).query(images.double().numpy(), k=2)
    return torch.from_numpy(found)


@answers.right("8.6", "scikit-learn's neighbours")
def two_nearest(images, training):
    search = NearestNeighbors(n_neighbors=2, algorithm="kd_tree").fit(training.double().numpy())
    found, _ = search.kneighbors(images.double().numpy())
    return torch.from_numpy(found)
