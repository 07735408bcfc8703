"""Where images come from, with and without MNIST."""

import pytest
import torch

from course import CourseError
from course.model.data import load_images


@pytest.fixture
def offline(tmp_path, monkeypatch):
    """No data on the disk, and a network that does not answer."""
    monkeypatch.setenv("DIFFUSION_DATA", str(tmp_path))

    def refuse(*args, **kwargs):
        raise OSError("no network")

    monkeypatch.setattr("urllib.request.urlopen", refuse)


def test_digits_look_like_mnist():
    images = load_images("digits")
    x, labels = images.batch(slice(0, 100))
    assert x.shape == (100, 1, 28, 28) and x.dtype == torch.float32
    assert float(x.min()) == -1 and float(x.max()) == 1
    assert (x[:, :, :4] == -1).all() and (x[:, :, :, -4:] == -1).all()  # MNIST's frame
    assert labels.dtype == torch.int64 and set(labels.tolist()) == set(range(10))


def test_held_out_digits_are_others():
    train, test = load_images("digits", train=True), load_images("digits", train=False)
    assert len(train) + len(test) == 1797
    assert not (train.pixels[:, None] == test.pixels[None, :50]).flatten(2).all(-1).any()


@pytest.mark.parametrize("download", [False, True])
def test_auto_falls_back_to_digits(offline, download):
    assert load_images("auto", download=download).name == "scikit-learn digits"


def test_mnist_that_cannot_be_had_is_told(offline):
    with pytest.raises(CourseError, match="DIFFUSION_DATA.*--data digits"):
        load_images("mnist", download=True)


def test_mnist_is_read_where_it_is(mnist):
    images = mnist()
    assert len(images) == 60_000 and images.name == "MNIST"
