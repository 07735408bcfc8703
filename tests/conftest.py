"""Fixtures that several tests use."""

import pytest

from course.loading import Implementation
from course.skeletons import write_missing


@pytest.fixture(scope="session")
def solutions() -> Implementation:
    return Implementation("solutions")


@pytest.fixture
def empty_exercises(tmp_path):
    """A folder with untouched skeletons."""
    write_missing(tmp_path / "exercises")
    return tmp_path / "exercises"
