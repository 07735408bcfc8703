"""Chapter 08's figures against published ones, closed forms, torchmetrics and constructed sets."""

import json

import numpy as np
import pytest
import torch
from PIL import Image
from torchmetrics.image.fid import FrechetInceptionDistance

from benchmarks import guidance
from course.model.models import ModelConfig, build_model, save_model


@pytest.fixture(scope="module")
def ch08(solutions):
    return solutions.chapter("ch08_evaluation")


@pytest.fixture(scope="module")
def frechet(ch08):
    """The Fréchet distance of two sets of features."""
    return lambda a, b: ch08.frechet_distance(*ch08.feature_moments(a), *ch08.feature_moments(b))


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def standardised(count, dim, seed=0):
    """Points with mean 0 and covariance 1, exactly."""
    points = normal(count, dim, seed=seed)
    points = points - points.mean(0)
    values, vectors = torch.linalg.eigh(points.T @ points / (count - 1))
    return points @ (vectors / values.sqrt()) @ vectors.T


# Wilson


@pytest.mark.parametrize(
    "part, count, low, high",
    [
        (0, 10, 0.0, 0.2775),  # z^2 / (n + z^2)
        (10, 10, 0.7225, 1.0),
        (5, 10, 0.2366, 0.7634),
        (81, 263, 0.2553, 0.3662),  # Newcombe 1998, table I
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_wilson_gives_the_published_intervals(ch08, part, count, low, high):
    assert ch08.wilson_interval(part, count) == pytest.approx((low, high), abs=5e-5)


def test_wilson_knows_nothing_without_images(ch08):
    assert ch08.wilson_interval(0, 0) == (0.0, 1.0)


# Fréchet


def test_frechet_of_two_gaussians_is_the_closed_form(frechet):
    """With commuting covariances: |mu|^2 + sum (sigma_a - sigma_b)^2."""
    # A variance of 0 costs half the digits: rounding of 1e-16 has a root of 1e-8.
    a, b = standardised(60, 5, seed=1), standardised(80, 5, seed=2)
    sigma_a, sigma_b = torch.tensor([1.0, 2, 3, 0.5, 0]), torch.tensor([2.0, 2, 1, 0.1, 1])
    mu = torch.tensor([0.3, -1, 0, 2, 0.7], dtype=torch.float64)
    expected = float(mu.square().sum() + (sigma_a - sigma_b).square().sum())
    assert frechet(a * sigma_a, b * sigma_b + mu) == pytest.approx(expected, abs=1e-6)
    turn, _ = torch.linalg.qr(normal(5, 5))
    turned = frechet((a * sigma_a) @ turn, (b * sigma_b + mu) @ turn)
    assert turned == pytest.approx(expected, abs=1e-6)


def test_frechet_of_covariances_that_do_not_commute(frechet):
    """For 2 x 2 the trace of the root is sqrt( tr(AB) + 2 sqrt(det(AB)) )."""
    a, b = (
        normal(50, 2, seed=3),
        normal(70, 2, seed=4) @ torch.tensor([[2.0, 1], [0, 0.3]]).double(),
    )
    cov_a, cov_b = torch.cov(a.T), torch.cov(b.T)
    product = cov_a @ cov_b
    root = (product.trace() + 2 * product.det().sqrt()).sqrt()
    means = (a.mean(0) - b.mean(0)).square().sum()
    expected = float(means + cov_a.trace() + cov_b.trace() - 2 * root)
    assert frechet(a, b) == pytest.approx(expected, rel=1e-9)


def test_frechet_is_symmetric_zero_on_itself_and_blind_to_order(frechet):
    a, b = normal(40, 8, seed=5), normal(30, 8, seed=6) * 2 + 1
    assert frechet(a, b) == pytest.approx(frechet(b, a), rel=1e-9)
    assert frechet(a, a) == pytest.approx(0, abs=1e-9)
    assert frechet(a, a.flip(0)) == pytest.approx(0, abs=1e-9)
    assert frechet(a, b.flip(0)) == pytest.approx(frechet(a, b), rel=1e-9)


def test_frechet_survives_fewer_images_than_features(frechet):
    a, b = normal(6, 20, seed=7), normal(6, 20, seed=8)
    assert frechet(a, b) > 0
    assert frechet(a, a) == pytest.approx(0, abs=1e-6)
    assert frechet(a.float(), b.float()) == pytest.approx(frechet(a, b), rel=1e-5)


# Recall and coverage


def test_recall_and_coverage_of_sets_that_are_equal_far_or_half(ch08):
    real = normal(200, 4)
    assert ch08.recall(real, real) == ch08.coverage(real, real) == 1
    assert ch08.recall(real, real + 100) == ch08.coverage(real, real + 100) == 0
    two = torch.cat([real, real + 100])  # two clouds; the generator knows one of them
    assert ch08.recall(two, real) == ch08.coverage(two, real) == 0.5


def test_recall_and_coverage_on_a_line(ch08):
    """Worked by hand: real 0 ... 5, k = 1, so each real ball has the radius 1."""
    real = torch.arange(6.0).double()[:, None]
    generated = torch.tensor([[0.3], [0.4], [30.0]]).double()
    assert ch08.coverage(real, generated, k=1) == 2 / 6  # 0 and 1 have one near, 2 ... 5 have none
    assert ch08.recall(real, generated, k=1) == 5 / 6  # 30 reaches 29.6 far, to all but 0
    assert ch08.recall(real, generated[:2], k=1) == 0  # the other two reach 0.1 far


def test_an_outlier_inflates_recall_and_not_coverage(ch08):
    real = normal(300, 4)
    narrow = torch.cat([real[:1].expand(20, 4), torch.full((1, 4), 1000.0).double()])
    assert ch08.recall(real, narrow) > 0.9
    assert ch08.coverage(real, narrow) < 0.1


def test_recall_and_coverage_do_not_depend_on_order(ch08):
    a, b = normal(120, 3, seed=1), normal(120, 3, seed=2) * 0.5
    assert ch08.recall(a, b) == ch08.recall(a.flip(0), b.flip(0))
    assert ch08.coverage(a, b) == ch08.coverage(a.flip(0), b.flip(0))


def test_too_few_images_for_k_are_told(ch08):
    with pytest.raises(ValueError, match="k must be between 1 and 2"):
        ch08.recall(normal(5, 2), normal(3, 2), k=3)


# Copies


def test_two_nearest_agrees_with_all_distances_and_is_exact_on_copies(ch08):
    images, training = normal(30, 50, seed=1).float(), normal(300, 50, seed=2).float()
    images[4] = training[7]
    found = ch08.two_nearest(images, training)
    expected = torch.cdist(images.double(), training.double()).topk(2, largest=False).values
    assert torch.allclose(found[:4], expected[:4], atol=1e-6)
    assert found[4, 0] == 0


# Other people's code


class Same(torch.nn.Module):
    """The features are the images: torchmetrics hands them over as they are."""

    num_features = 6

    def forward(self, images):
        return images


@pytest.mark.parametrize("sizes", [(40, 70), (200, 50), (4, 5)], ids=str)
def test_the_frechet_distance_is_that_of_torchmetrics(frechet, sizes):
    """With fewer rows than features too, where both covariances are singular."""
    a = normal(sizes[0], 6, seed=1)
    b = normal(sizes[1], 6, seed=2) @ normal(6, 6, seed=3) + 0.5
    theirs = FrechetInceptionDistance(feature=Same(), input_img_size=(6,), normalize=True)
    theirs.set_dtype(torch.float64)
    theirs.update(a, real=True)
    theirs.update(b, real=False)
    assert frechet(a, b) == pytest.approx(float(theirs.compute()), rel=1e-6)


# The ratio, and its reason


def test_real_sets_are_the_further_apart_the_smaller_they_are(ch08, frechet):
    """The bias that the ratio takes out: about as 1 / n, though all rows are of one law."""
    rows = normal(4000, 8, seed=1)
    large, small = frechet(rows[:1000], rows[1000:2000]), frechet(rows[2000:2100], rows[2100:2200])
    assert 4 < small / large < 25
    generator = torch.Generator().manual_seed(0)
    few_against_many = ch08.distance_ratio(frechet, rows[:1800], rows[1800:3600], rows[3600:3700],
                                           generator)  # fmt: skip
    assert 0.5 < few_against_many < 2


# What the chapter's slider shows


def test_the_command_behind_the_slider_measures_each_scale(solutions, tmp_path, monkeypatch):
    config = ModelConfig(
        base_channels=8, channel_mults=(1, 2), time_dim=16, prediction="v",
        data="mnist5k",
    )  # fmt: skip
    save_model(tmp_path / "tiny.safetensors", build_model(solutions, config), config)
    monkeypatch.setattr(guidance, "SHIPPED", tmp_path / "tiny.safetensors")
    result, picture = guidance.measure(count=3, seed=0, scales=(0.0, 2.0), num_steps=2)
    guidance.write(result, picture, tmp_path / "guidance.json")
    stored = json.loads((tmp_path / "guidance.json").read_text())
    assert [row["guidance"] for row in stored["generated"]] == [0, 2]
    assert stored["data"] == "mnist5k" and stored["images"] == 30
    assert stored["real"]["accuracy"]["value"] > 0.8 > stored["generated"][0]["accuracy"]["value"]
    image = Image.open(tmp_path / "guidance.png")
    assert image.size == (280, 2 * guidance.ROWS * 28)
    drawn = torch.from_numpy(np.array(image)).view(2, -1)
    assert not torch.equal(*drawn), "both scales drew the same"
    assert len(guidance.table(stored)) == 2 + 1 + 2
