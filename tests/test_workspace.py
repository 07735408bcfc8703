"""The learner's folder: progress, hints, resets with backups, and broken state files."""

import json
import re
import shutil
from pathlib import Path

import pytest

from course import ROOT, CourseError
from course.grading.grader import Grader
from course.grading.source import definition_text
from course.learner.layout import lay_out
from course.learner.skeletons import skeleton
from course.learner.workspace import (
    Workspace,
    code_folder,
    find_workspace,
    home,
    pictures_folder,
)
from course.pages import notebook
from course.probing.loading import Implementation
from course.syllabus import FAILED, NOT_WRITTEN, PASSED, exercises, find_exercise, select

CH01 = "ch01_noise_schedule"
SOLUTION = (ROOT / "solutions" / f"{CH01}.py").read_text(encoding="utf-8")


@pytest.fixture
def workspace(tmp_path) -> Workspace:
    return Workspace(tmp_path / "exercises")


def write(workspace: Workspace, text: str) -> None:
    workspace.file(CH01).write_text(text, encoding="utf-8")


def test_progress_follows_the_file(workspace):
    assert workspace.statuses()["1.2"] == NOT_WRITTEN
    write(workspace, SOLUTION)
    assert workspace.statuses()["1.2"] == PASSED
    write(workspace, SOLUTION.replace("** 2  # (T+1,)", "# (T+1,)"))
    assert workspace.statuses()["1.2"] == FAILED
    assert workspace.statuses()["1.1"] == PASSED


def test_chapter_00_welcomes_with_what_is_solved_and_what_is_next(workspace, monkeypatch):
    monkeypatch.setenv("COURSE_EXERCISES", str(workspace.exercises))
    shown = []
    monkeypatch.setattr(notebook, "display", lambda content: shown.append(content.data))
    notebook.welcome()
    write(workspace, SOLUTION)
    notebook.welcome()
    solved = {exercise.id: PASSED for exercise in exercises()}
    monkeypatch.setattr(Workspace, "statuses", lambda self: solved)
    notebook.welcome()
    new, later, done = shown
    assert "none has to be written yet" in new and "(01_noise_schedule.ipynb)" in new
    assert "solved 4 of" in later and "2.1" in later and "(02_forward_process.ipynb)" in later
    assert "--impl exercises" in done


def test_an_unchanged_file_is_not_graded_again(workspace, monkeypatch):
    workspace.statuses()
    monkeypatch.setattr(workspace, "grade", lambda which: pytest.fail("graded again"))
    workspace.statuses()


def test_resetting_one_exercise_keeps_the_others_and_a_backup(workspace):
    write(workspace, SOLUTION)
    backup = workspace.reset("1.2")
    text = workspace.file(CH01).read_text()
    assert backup.read_text() == SOLUTION
    fresh = skeleton(CH01)
    assert definition_text(text, "cosine_betas") == definition_text(fresh, "cosine_betas")
    assert definition_text(text, "linear_betas") == definition_text(SOLUTION, "linear_betas")
    assert workspace.statuses()["1.2"] == NOT_WRITTEN
    assert workspace.statuses()["1.1"] == PASSED


@pytest.mark.parametrize("mark", ["\u2028", "\x0b", "\x85", "\x0c"], ids=repr)
def test_resetting_counts_lines_as_python_does(workspace, mark):
    """str.splitlines ends a line where Python's parser does not."""
    text = SOLUTION.replace("import torch\n", f"import torch\n\n# pasted{mark}a line{mark}\n", 1)
    write(workspace, text)
    workspace.reset("1.2")
    after = workspace.file(CH01).read_bytes().decode()
    assert definition_text(after, "linear_betas") == definition_text(text, "linear_betas")
    assert definition_text(after, "cosine_betas") == definition_text(skeleton(CH01), "cosine_betas")
    assert f"# pasted{mark}a line{mark}" in after


def test_resetting_twice_keeps_both_backups(workspace):
    first, second = workspace.reset("1.2"), workspace.reset("1.2")
    assert first != second and first.exists() and second.exists()


def test_resetting_a_chapter(workspace):
    write(workspace, "this is not Python")
    backup = workspace.reset("01")
    assert backup.read_text() == "this is not Python"
    assert workspace.file(CH01).read_text() == skeleton(CH01)


def test_resetting_one_exercise_of_an_unreadable_file_changes_nothing(workspace):
    write(workspace, "def broken(:\n")
    with pytest.raises(CourseError, match="line 1 .* course reset 01"):
        workspace.reset("1.2")
    assert workspace.file(CH01).read_text() == "def broken(:\n"


@pytest.mark.parametrize(
    "cookie, coding",
    [
        ("", "utf-8-sig"),
        ("# coding: utf-8", "utf-8-sig"),
        ("# -*- coding: latin-1 -*-", "latin-1"),
        ("#!/usr/bin/env python\n# vim: set fileencoding=cp1252 :", "cp1252"),
        ("# coding=iso-8859-15", "iso-8859-15"),
        ("# coding: utf-7", "utf-7"),
    ],
)
@pytest.mark.parametrize("ends", ["\n", "\r\n"])
def test_resetting_an_exercise_of_a_file_in_another_coding(workspace, cookie, coding, ends):
    text = "".join(c for c in SOLUTION if ord(c) < 128) + "\n\nNAME = 'Zoë Müßig'  # straße\n"
    content = f"{cookie}\n{text}".replace("\n", ends).encode(coding)
    workspace.file(CH01).write_bytes(content)
    assert workspace.statuses()["1.2"] == PASSED
    backup = workspace.reset("1.2")
    assert backup.read_bytes() == content
    after = workspace.file(CH01).read_bytes()
    assert "NAME = 'Zoë Müßig'  # straße".encode() in after
    assert after.startswith(b"\xef\xbb\xbf") == (coding == "utf-8-sig")
    assert after.count(b"\r\n") == (after.count(b"\n") if ends == "\r\n" else 0)
    module = Implementation(workspace.exercises).chapter(CH01)
    assert module.NAME == "Zoë Müßig"
    statuses = workspace.statuses()
    assert (statuses["1.1"], statuses["1.2"]) == (PASSED, NOT_WRITTEN)


@pytest.mark.parametrize(
    "content",
    [
        SOLUTION.encode("utf-16"),
        SOLUTION.encode("utf-16-le"),
        SOLUTION.encode("utf-32"),
        b"# caf\xe9\n",
        b"# coding: no-such-coding\n",
        b"# coding: rot13\n",
        b"\xef\xbb\xbf# coding: latin-1\n",
        b"x = 1\0\n",
        b"x = " + b"(" * 5000 + b")" * 5000,
    ],
    ids=lambda content: repr(content[:20]),
)
def test_what_python_cannot_read_is_told_and_left_as_it_is(workspace, content):
    workspace.file(CH01).write_bytes(content)
    with pytest.raises(CourseError, match="cannot be read by Python.*: course reset 01"):
        workspace.reset("1.2")
    assert workspace.file(CH01).read_bytes() == content
    assert workspace.reset("01").read_bytes() == content
    assert workspace.file(CH01).read_text(encoding="utf-8") == skeleton(CH01)


def test_resetting_an_exercise_that_was_deleted_puts_it_back(workspace):
    write(workspace, "import torch\n")
    workspace.reset("1.1")
    assert "def linear_betas" in workspace.file(CH01).read_text()


def test_an_existing_file_is_never_overwritten(workspace):
    write(workspace, "# mine\n")
    Workspace(workspace.exercises)
    assert workspace.file(CH01).read_text() == "# mine\n"


def test_a_deleted_file_comes_back_as_a_skeleton(workspace):
    workspace.file(CH01).unlink()
    Workspace(workspace.exercises)
    assert workspace.file(CH01).read_text() == skeleton(CH01)


def test_hints_open_one_by_one_and_stop_at_the_last(workspace):
    exercise = find_exercise("1.2")
    opened = [workspace.next_hint(exercise) for _ in range(5)]
    assert opened == [1, 2, 3, 4, 4]
    assert workspace.next_hint(find_exercise("1.1")) == 1


RUBBISH = [
    b"",
    b"{",
    b"[1, 2]",
    b'{"1.2": "many"}',
    b'{"1.2": -7, "1.1": true}',
    b'{"1.2": {"status": "brilliant"}}',
    b'{"1.2": {"key": []}}',
    b"\x00\xff\xfe",
    b"[" * 100_000,
]


@pytest.mark.parametrize("rubbish", RUBBISH, ids=lambda r: repr(r[:20]))
@pytest.mark.parametrize("name", ["hints.json", "progress.json"])
def test_a_broken_state_file_is_no_obstacle(workspace, name, rubbish):
    folder = workspace.state.folder
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(rubbish)
    assert workspace.next_hint(find_exercise("1.2")) == 1
    assert workspace.statuses()["1.2"] == NOT_WRITTEN
    json.loads((folder / name).read_text())


def test_what_is_broken_is_set_aside_with_a_message_and_never_overwritten(workspace, capsys):
    folder = workspace.state.folder
    for rubbish in ("first", "second"):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "hints.json").write_text(rubbish)
        workspace.next_hint(find_exercise("1.2"))
    assert capsys.readouterr().err.count("was damaged") == 2
    aside = sorted(folder.glob("hints.json.broken-*"))
    assert [path.read_text() for path in aside] == ["first", "second"]


def test_a_folder_where_a_file_should_be_and_the_other_way_round(workspace, capsys):
    folder = workspace.state.folder
    (folder / "hints.json").mkdir(parents=True)
    assert workspace.next_hint(find_exercise("1.2")) == 1
    shutil.rmtree(folder)
    folder.write_text("I am a file")
    assert workspace.next_hint(find_exercise("1.2")) == 1
    assert workspace.next_hint(find_exercise("1.2")) == 2
    (aside,) = folder.parent.glob(".course.broken-*")
    assert aside.read_text() == "I am a file"


def test_where_nothing_can_be_remembered_work_goes_on_but_nothing_is_overwritten(
    workspace, monkeypatch, capsys
):
    make = Path.mkdir

    def refuse(path, *arguments, **options):
        if ".course" in path.parts:
            raise PermissionError(13, "read-only")
        make(path, *arguments, **options)

    write(workspace, SOLUTION)
    monkeypatch.setattr(Path, "mkdir", refuse)
    assert workspace.next_hint(find_exercise("1.2")) == 1
    assert workspace.statuses()["1.1"] == PASSED
    assert "it is not remembered" in capsys.readouterr().err
    with pytest.raises(CourseError, match="nothing was changed"):
        workspace.reset("1.2")
    assert workspace.file(CH01).read_text() == SOLUTION


def test_a_save_during_grading_is_not_taken_for_graded(workspace, monkeypatch):
    write(workspace, SOLUTION)
    grade = Grader.grade

    def save_meanwhile(self, which):
        results = grade(self, which)
        write(workspace, SOLUTION.replace("** 2  # (T+1,)", "# (T+1,)"))
        return results

    monkeypatch.setattr(Grader, "grade", save_meanwhile)
    assert [result.status for result in workspace.grade(select("1.2"))] == [PASSED]
    monkeypatch.undo()
    assert workspace.statuses()["1.2"] == FAILED


def test_the_state_folder_can_be_deleted(workspace):
    write(workspace, SOLUTION)
    assert workspace.statuses()["1.1"] == PASSED
    shutil.rmtree(workspace.state.folder)
    assert workspace.statuses()["1.1"] == PASSED


# Where it lies


@pytest.fixture
def nowhere(tmp_path, monkeypatch) -> Path:
    """The working directory of a learner with an installed course, who has begun nothing."""
    monkeypatch.setattr("course.learner.workspace.CLONED", False)
    monkeypatch.delenv("COURSE_EXERCISES", raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_home_is_the_nearest_workspace_above(nowhere, monkeypatch):
    with pytest.raises(CourseError, match="course start FOLDER"):
        Workspace()
    assert pictures_folder() == nowhere / "pictures"
    (nowhere / "exercises").mkdir()  # a folder of this name is no workspace
    assert find_workspace() is None
    lay_out(nowhere / "mine")
    below = nowhere / "mine" / "chapters"
    monkeypatch.chdir(below)
    assert home() == nowhere / "mine" and pictures_folder() == nowhere / "mine" / "pictures"
    assert Workspace().exercises == nowhere / "mine" / "exercises"
    monkeypatch.setenv("COURSE_EXERCISES", str(nowhere / "other" / "work"))
    assert home() == nowhere / "other"


def test_in_a_clone_home_is_its_top_wherever_you_are(nowhere, monkeypatch):
    monkeypatch.setattr("course.learner.workspace.CLONED", True)
    assert home() == ROOT


def test_the_courses_own_names_are_not_looked_up_in_the_working_directory(nowhere, monkeypatch):
    lay_out(nowhere / "mine")
    monkeypatch.chdir(nowhere / "mine")
    (nowhere / "mine" / "solutions").mkdir()
    (nowhere / "mine" / "chapters" / "exercises").mkdir()
    monkeypatch.chdir(nowhere / "mine" / "chapters")
    assert Implementation(code_folder("exercises")).folder == nowhere / "mine" / "exercises"
    monkeypatch.chdir(nowhere / "mine")
    assert Implementation(code_folder("solutions")).folder == ROOT / "solutions"
    assert Implementation(code_folder("./solutions")).folder == nowhere / "mine" / "solutions"


def test_exercises_may_be_named_from_the_home_folder_and_cannot_be_a_file(nowhere, monkeypatch):
    monkeypatch.setenv("HOME", str(nowhere))
    monkeypatch.setenv("COURSE_EXERCISES", "~/my exercises")
    assert Workspace().exercises == nowhere / "my exercises"
    (nowhere / "file").write_text("")
    for name, why in {"~/file": "it is a file", "~/file/below": "Not a directory"}.items():
        monkeypatch.setenv("COURSE_EXERCISES", name)
        with pytest.raises(CourseError, match=f"cannot hold your exercises: {why}"):
            Workspace()


def test_laying_out_adds_what_is_missing_and_touches_nothing_else(tmp_path):
    (tmp_path / "README.md").write_text("mine")
    (tmp_path / "chapters" / "explorer.ipynb").mkdir(parents=True)
    written, kept = lay_out(tmp_path)
    assert sorted(kept) == ["README.md", "chapters/explorer.ipynb"]
    assert (tmp_path / "README.md").read_text() == "mine"
    for path in ROOT.glob("chapters/[01]*.ipynb"):
        assert (tmp_path / "chapters" / path.name).read_bytes() == path.read_bytes()
        for line in path.read_text(encoding="utf-8").splitlines():
            for link in re.findall(r"\]\((\.\./[\w./]+)\)", line):
                assert (tmp_path / "chapters" / link).exists(), f"{path.name}: {link}"
    assert lay_out(tmp_path) == ([], kept)
    with pytest.raises(CourseError, match="cannot be written"):
        lay_out(tmp_path / "README.md")
