"""The course as it is when installed: what a wheel holds, and what can be done with it."""

import json
import os
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

from course import ROOT
from course.classroom import gradescope

CH01 = "ch01_noise_schedule"
SOLUTION = (ROOT / "solutions" / f"{CH01}.py").read_text(encoding="utf-8")


def install(kind: str, folder: Path, course: Path = ROOT) -> Path:
    """Build a wheel ("wheel" or "editable"), unpack it into an environment; that one's Python."""
    code = f"import sys; from hatchling.build import build_{kind} as b; print(b(sys.argv[1]))"
    command = [sys.executable, "-c", code, str(folder)]
    built = subprocess.run(command, cwd=course, check=True, capture_output=True, text=True)
    venv.create(folder / "env", symlinks=True)
    python = folder / "env" / "bin" / "python"
    (packages,) = (folder / "env" / "lib").glob("python*/site-packages")
    with zipfile.ZipFile(folder / built.stdout.split()[-1]) as wheel:
        wheel.extractall(packages)
    # PyTorch and the like are those of this environment.
    (packages / "others.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return python


def run(python: Path, *arguments: str, cwd: Path) -> subprocess.CompletedProcess:
    left_out = ("COURSE_EXERCISES", "PYTHONPATH")
    environment = {name: value for name, value in os.environ.items() if name not in left_out}
    return subprocess.run(
        [python, *arguments], cwd=cwd, env=environment, capture_output=True, text=True
    )


@pytest.fixture(scope="module")
def python(tmp_path_factory) -> Path:
    return install("wheel", tmp_path_factory.mktemp("installed"))


@pytest.fixture
def course(python, tmp_path):
    """Call the installed command: course(0, "check", "1.1", cwd=...) -> what it prints.

    The first argument is the exit status that it must have.
    """

    def call(status: int, *arguments: str, cwd: Path = tmp_path) -> str:
        done = run(python, "-m", "course.cli", *arguments, cwd=cwd)
        assert done.returncode == status, done.stdout + done.stderr
        return done.stdout

    return call


# What is in it


def test_the_wheel_holds_the_package_with_all_its_material_and_nothing_else(python):
    (wheel,) = python.parents[2].glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    tracked = ["git", "ls-files", "course", "chapters", "checks", "solutions", "models", "docs"]
    listed = subprocess.run(tracked, cwd=ROOT, capture_output=True, text=True)
    if listed.returncode:
        pytest.skip("needs a git checkout")
    for name in filter(lambda name: (ROOT / name).exists(), listed.stdout.splitlines()):
        assert (name if name.startswith("course/") else f"course/material/{name}") in names
    assert {name.split("/")[0].split("-")[0] for name in names} == {
        "course",
        "diffusion_from_scratch",
    }
    inside = {name.split("/")[2] for name in names if name.startswith("course/material/")}
    assert not inside & {"exercises", "tests", ".course", "runs", "pictures"}
    code = [name for name in names if "benchmarks" in name and name.endswith(".py")]
    assert not code and not [name for name in names if "__pycache__" in name]


@pytest.mark.parametrize("kind", ["wheel", "editable"])
def test_only_the_package_can_be_imported(kind, tmp_path, request):
    python = request.getfixturevalue("python") if kind == "wheel" else install(kind, tmp_path)
    code = """
import importlib.util, sys
for name in sys.argv[1:]:
    spec = importlib.util.find_spec(name)
    print(name, spec and (spec.origin or list(spec.submodule_search_locations)))
"""
    names = ("tests", "docs", "models", "benchmarks", "checks", "solutions", "material", "course")
    done = run(python, "-c", code, *names, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    found = dict(line.split(" ", 1) for line in done.stdout.splitlines())
    place = ROOT if kind == "editable" else python.parents[1]
    assert found.pop("course").startswith(str(place))
    assert not [name for name, where in found.items() if str(place) in where], found


# What can be done with it


def test_a_learner_begins_works_and_upgrades(course, tmp_path):
    assert "course start FOLDER" in course(2)
    folder = tmp_path / "my course [1]"
    assert "next: cd 'my course [1]'" in course(0, "start", folder.name)
    exercise, notebook = folder / "exercises" / f"{CH01}.py", folder / "chapters" / "explorer.ipynb"
    exercise.write_text(SOLUTION, encoding="utf-8")
    assert "1.1 The linear schedule: all" in course(0, "check", "1.1", cwd=folder / "chapters")
    assert "next: 2.1" in course(0, cwd=folder)
    assert sorted(path.name for path in tmp_path.iterdir()) == [folder.name]
    # Later, with a notebook changed and another lost.
    notebook.write_text("mine")
    (folder / "chapters" / "01_noise_schedule.ipynb").unlink()
    told = course(0, "start", ".", cwd=folder)
    assert "1 files written" in told
    assert f"exercises/{CH01}.py" in told and "chapters/explorer.ipynb" in told
    assert "02_forward_process" not in told
    assert exercise.read_text(encoding="utf-8") == SOLUTION and notebook.read_text() == "mine"


def test_a_class_is_graded_and_the_sandbox_hides_the_installed_reference(course, python, tmp_path):
    (packages,) = (python.parents[1] / "lib").glob("python*/site-packages")
    place = packages / "course" / "material" / "solutions"
    assert list(place.iterdir())
    there = f"os.path.isdir({str(place)!r}) and os.listdir({str(place)!r})"
    spy = f"import os\nassert not ({there}), 'it can be seen'\n"
    (tmp_path / "class" / "ada").mkdir(parents=True)
    (tmp_path / "class" / "ada" / f"{CH01}.py").write_text(SOLUTION + spy, encoding="utf-8")
    course(0, "grade", "class", "--only", "1.1", "--seed", "1")
    results = json.loads((tmp_path / "grades" / "results.json").read_text(encoding="utf-8"))
    (ada,) = results["submissions"]
    if ada["sandbox"] == "bubblewrap":
        assert ada["points"] == ada["max_points"] > 0, ada
    else:  # which hides no folder, but refuses to open what is in it
        assert "it can be seen" in ada["exercises"][0]["message"]


def test_the_archive_for_gradescope_is_the_same_from_either_place(course, tmp_path):
    course(0, "export", "gradescope", "--out", "installed.zip")
    gradescope.export(tmp_path / "cloned.zip")
    assert (tmp_path / "installed.zip").read_bytes() == (tmp_path / "cloned.zip").read_bytes()
