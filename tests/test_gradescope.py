"""The Gradescope archive: what is in it, and what its script does when things go wrong."""

import json
import os
import stat
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

from course import ROOT
from course.classroom import exporting, gradescope
from course.classroom.exporting import GRADER_FAILED, course_files
from course.syllabus import chapters

CHAPTER_FILES = [f"{chapter.name}.py" for chapter in chapters()]


@pytest.fixture(scope="module")
def archive(tmp_path_factory) -> Path:
    return gradescope.export(tmp_path_factory.mktemp("export"))


@pytest.fixture
def unpacked(archive, tmp_path, monkeypatch) -> Path:
    """A folder as Gradescope lays it out, without the virtual environment."""
    with zipfile.ZipFile(archive) as opened:
        opened.extractall(tmp_path / "source")
    (tmp_path / "submission").mkdir()
    monkeypatch.setenv("AUTOGRADER_ROOT", str(tmp_path))
    return tmp_path


def results_in(root: Path) -> dict:
    """results.json, which Gradescope can use only if it has these fields of these types."""
    results = json.loads((root / "results" / "results.json").read_text(encoding="utf-8"))
    assert isinstance(results["score"], int | float) and isinstance(results["output"], str)
    assert isinstance(results["tests"], list)
    return results


def write_files(folder: Path, *names: str) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("", encoding="utf-8")


# The archive


def test_the_archive_is_named_and_placed_as_asked(archive, tmp_path):
    assert archive.name == "gradescope_autograder.zip"
    assert gradescope.export(tmp_path / "new" / "x.zip") == tmp_path / "new" / "x.zip"
    assert zipfile.is_zipfile(tmp_path / "new" / "x.zip")


def test_the_archive_holds_what_grading_needs_and_no_more(archive):
    with zipfile.ZipFile(archive) as opened:
        names = opened.namelist()
        assert opened.testzip() is None
        for name, file in course_files().items():
            assert opened.read(name) == file.read_bytes()
    assert names == sorted(set(names))
    assert {"setup.sh", "run_autograder", "grader_failed.json"} <= set(names)
    assert {"pyproject.toml", "README.md", "LICENSE", "course/cli.py"} <= set(names)
    for chapter in chapters():
        for folder in ("solutions/", "checks/misconceptions/", "checks/equivalents/"):
            assert f"{folder}{chapter.name}.py" in names
        assert f"checks/{chapter.name}.toml" in names
    tops = {name.split("/")[0] for name in names if "/" in name}
    assert tops == {"course", "checks", "solutions"}
    assert not any("__pycache__" in name or "/." in name for name in names)


def test_no_tracked_file_of_the_grader_is_forgotten():
    command = ["git", "ls-files", "course", "checks", "solutions"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if listed.returncode:
        pytest.skip("needs a git checkout")
    there = {name for name in listed.stdout.splitlines() if (ROOT / name).exists()}
    assert there - set(course_files()) == set()


def test_the_same_course_gives_the_same_bytes(archive, tmp_path):
    again = gradescope.export(tmp_path / "again.zip")
    assert again.read_bytes() == archive.read_bytes()
    with zipfile.ZipFile(archive) as opened:
        assert {entry.date_time for entry in opened.infolist()} == {(1980, 1, 1, 0, 0, 0)}


def test_the_scripts_can_be_run_and_nothing_else(archive):
    with zipfile.ZipFile(archive) as opened:
        executable = {
            entry.filename
            for entry in opened.infolist()
            if (entry.external_attr >> 16) & stat.S_IXUSR
        }
        assert all(stat.S_ISREG(entry.external_attr >> 16) for entry in opened.infolist())
        first_lines = {opened.read(name).split(b"\n")[0] for name in executable}
    assert executable == {"setup.sh", "run_autograder"}
    assert first_lines == {b"#!/usr/bin/env bash"}


@pytest.mark.parametrize("script", ["setup.sh", "run_autograder"])
def test_the_scripts_are_sound(unpacked, script):
    for shell in ("sh", "bash"):
        run = subprocess.run([shell, "-n", str(unpacked / "source" / script)], capture_output=True)
        assert run.returncode == 0, run.stderr


def test_setup_installs_into_its_own_environment(unpacked):
    """Runs setup.sh with commands that only write down how they were called."""
    fakes, log = unpacked / "fakes", unpacked / "log"
    for name, more in {
        "apt-get": "",
        "python3": 'if [ "$1" = -m ]; then mkdir -p "$3/bin"; cp "$0" "$3/bin/pip"; fi',
    }.items():
        write_files(fakes, name)
        (fakes / name).write_text(f'#!/bin/sh\necho "$(basename "$0") $*" >> {log}\n{more}\n')
        (fakes / name).chmod(0o755)
    path = f"{fakes}{os.pathsep}{os.environ['PATH']}"
    script = str(unpacked / "source" / "setup.sh")
    run = subprocess.run(["bash", script], env=os.environ | {"PATH": path}, capture_output=True)
    assert run.returncode == 0, run.stderr
    calls = log.read_text().splitlines()
    assert any(call.startswith("apt-get install") and "bubblewrap" in call for call in calls)
    assert f"python3 -m venv {unpacked}/venv" in calls
    first, second, third = [call for call in calls if call.startswith("pip install")]
    assert "torch torchvision" in first and first.endswith("/cpu")
    assert "mlxtend" in second and "jupyter" not in second
    assert third.endswith(f"--no-deps -e {unpacked}/source")


def test_the_extra_for_grading_is_a_part_of_what_the_course_needs():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    packages = set(gradescope.packages_to_grade())
    editables = {"editables>=0.5"}  # which the course, put in place as it is, needs at each start
    assert editables < packages and packages - editables < set(project["dependencies"])


# The run


def run_script(root: Path) -> subprocess.CompletedProcess:
    script = root / "source" / "run_autograder"
    return subprocess.run(["bash", str(script)], capture_output=True, text=True, cwd=root)


def test_results_say_so_when_python_does_not_start(unpacked):
    assert run_script(unpacked).returncode == 0
    assert results_in(unpacked) == gradescope.message(GRADER_FAILED)
    assert "grader's fault" in results_in(unpacked)["output"]


def test_the_script_runs_the_archives_own_copy(unpacked):
    write_files(unpacked, "venv/bin/python")
    (unpacked / "venv/bin/python").write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    (unpacked / "venv/bin/python").chmod(0o755)
    marked = unpacked / "source/course/classroom/exporting.py"
    marked.write_text(marked.read_text().replace("Nothing could be graded", "From the archive"))
    assert run_script(unpacked).returncode == 0
    assert results_in(unpacked)["output"].startswith("From the archive: there is no chapter file")


def pretend_grade(monkeypatch, act) -> list[list[str]]:
    """Put `act(folder, out)` in place of `course grade`; the commands are kept in the list."""
    commands = []

    def run(command, cwd):
        commands.append(command)
        act(Path(command[5]), Path(command[7]))
        return subprocess.CompletedProcess(command, 1)  # as when not all exercises pass

    monkeypatch.setattr(exporting.subprocess, "run", run)
    return commands


def test_the_result_of_course_grade_is_handed_over(unpacked, monkeypatch):
    def act(folder, out):
        write_files(out, f"gradescope/{folder.name}.json")
        content = {"score": 7, "output": "7 of 91 points", "tests": []}
        (out / f"gradescope/{folder.name}.json").write_text(json.dumps(content))

    write_files(unpacked / "submission", "my work/exercises/" + CHAPTER_FILES[0])
    commands = pretend_grade(monkeypatch, act)
    assert gradescope.main() == 0
    assert results_in(unpacked)["score"] == 7
    (command,) = commands
    assert command[:5] == [sys.executable, "-m", "course.cli", "grade", "--one"]
    assert command[5:7] == [str(unpacked / "submission"), "--out"] and len(command) == 8
    assert [path.name for path in (unpacked / "results").iterdir()] == ["results.json"]


@pytest.mark.parametrize(
    "written",
    [{}, {"gradescope/a.json": "{"}, {"gradescope/a.json": "{}", "gradescope/b.json": "{}"}],
    ids=["nothing", "damaged", "two"],
)
def test_a_grader_that_breaks_is_not_the_learners_fault(unpacked, monkeypatch, capsys, written):
    def act(folder, out):
        for name, content in written.items():
            write_files(out, name)
            (out / name).write_text(content)

    write_files(unpacked / "submission", CHAPTER_FILES[0])
    pretend_grade(monkeypatch, act)
    assert gradescope.main() == 0
    assert results_in(unpacked) == gradescope.message(GRADER_FAILED)
    assert "Traceback" in capsys.readouterr().err  # for the instructors


def test_results_are_there_while_grading_still_runs(unpacked, monkeypatch):
    """Gradescope kills what takes too long; then what is written by then is read."""
    seen = []
    write_files(unpacked / "submission", CHAPTER_FILES[0])
    pretend_grade(monkeypatch, lambda folder, out: seen.append(results_in(unpacked)))
    gradescope.main()
    assert seen == [gradescope.message(GRADER_FAILED)]


def test_no_chapter_file_is_told_to_the_learner(unpacked, monkeypatch):
    write_files(unpacked / "submission", "essay.py", "solutions/" + CHAPTER_FILES[0])
    commands = pretend_grade(monkeypatch, lambda folder, out: None)
    gradescope.main()
    assert commands == []
    assert all(name in results_in(unpacked)["output"] for name in CHAPTER_FILES)
    assert "fault" not in results_in(unpacked)["output"]
