"""Fixtures that several tests use."""

import os
from functools import partial

# One core for each worker and for what it starts; and a process in which torch has threads must
# not be forked, as some tests do. Has to stand before torch is imported.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest

from course.grading.code import LocalCode
from course.learner.skeletons import write_missing
from course.model.data import data_folder, load_images, mnist_is_there


@pytest.fixture(scope="session")
def solutions() -> LocalCode:
    return LocalCode("solutions")


@pytest.fixture(scope="session")
def mnist():
    """Load MNIST, called as mnist(train=False). Skips only where it is not, not if damaged."""
    if not mnist_is_there():
        pytest.skip(f"MNIST is not in {data_folder()}; set DIFFUSION_DATA to the folder it is in")
    return partial(load_images, "mnist")


@pytest.fixture
def empty_exercises(tmp_path):
    """A folder with untouched skeletons."""
    write_missing(tmp_path / "exercises")
    return tmp_path / "exercises"
