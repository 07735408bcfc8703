"""Fixtures that several tests use."""

import os

if "PYTEST_XDIST_WORKER" in os.environ:
    # Each worker has one core, and so has what it starts. Has to stand before torch is imported.
    os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest

from course.grading import LocalCode
from course.skeletons import write_missing


@pytest.fixture(scope="session")
def solutions() -> LocalCode:
    return LocalCode("solutions")


@pytest.fixture
def empty_exercises(tmp_path):
    """A folder with untouched skeletons."""
    write_missing(tmp_path / "exercises")
    return tmp_path / "exercises"
