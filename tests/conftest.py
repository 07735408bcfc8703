"""Fixtures that several tests use, the order of the tests, and the home they run in."""
# ruff: noqa: E402  (where they run is settled before torch and the course are imported)

import atexit
import os
import shutil
import tempfile
from functools import partial
from pathlib import Path

# One core for each worker and for what it starts; and a process in which torch has threads must
# not be forked, as some tests do. Has to stand before torch is imported.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# What the user has set or kept changes no test, and no test changes it. Only DIFFUSION_DATA counts:
# it says where MNIST is, if it is anywhere.
USERS_OWN = ("COURSE_", "XDG_", "MPL", "JUPYTER", "IPYTHON", "PYTHONIOENCODING")
USERS_OWN += ("COLUMNS", "FORCE_COLOR", "NO_COLOR")


def _move_into_an_empty_home() -> None:
    data = os.environ.get("DIFFUSION_DATA")
    git = os.path.expanduser("~/.gitconfig")  # it may say that this checkout is safe
    for name in [name for name in os.environ if name.startswith(USERS_OWN)]:
        del os.environ[name]
    home = Path(tempfile.mkdtemp(prefix="course-tests-"))
    atexit.register(shutil.rmtree, home, ignore_errors=True)
    (home / "no_data").mkdir()
    os.environ["DIFFUSION_DATA"] = os.path.abspath(os.path.expanduser(data or home / "no_data"))
    os.environ.setdefault("GIT_CONFIG_GLOBAL", git)
    os.environ["HOME"] = str(home)


if "PYTEST_XDIST_WORKER" not in os.environ:  # the workers are in it already
    _move_into_an_empty_home()

import pytest

from course import CourseError
from course.grading.code import LocalCode
from course.learner.skeletons import write_missing
from course.model.data import data_folder, load_images, mnist_is_there

# Where several workers share the tests, those of one group go to one of them. A group has
# fixtures or a cache in common: it is what a mark names, else an exercise, else a file.
# These take longest, so they start first.
LONGEST = ("hostile", "browser 0", "browser 1", "test_book", "test_batch", "test_training")


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config):
    try:
        mnist_is_there()
    except CourseError as error:  # one sentence now, instead of many tests that fail
        raise pytest.UsageError(str(error)) from None
    if getattr(config.option, "dist", "no") == "load":  # the default of pytest -n
        config.option.dist, config.option.loadscopereorder = "loadgroup", False


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    for item in items:
        if not item.get_closest_marker("xdist_group"):
            item.add_marker(pytest.mark.xdist_group(_group(item)))
    places = {name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda i: places.get(i.get_closest_marker("xdist_group").args[0], len(places)))


def _group(item: pytest.Item) -> str:
    given = getattr(item, "callspec", None)
    exercise = given and (given.params.get("exercise_id") or given.params.get("exercise"))
    return f"exercise {getattr(exercise, 'id', exercise)}" if exercise else item.path.stem


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
