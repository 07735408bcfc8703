"""`course new-chapter`: in a copy of the course, the chapter that it begins grades at once."""

import json
import os
import shutil
import subprocess
import sys

import nbformat
import pytest

from course import ROOT, CourseError
from course.pages import new_chapter
from course.pages.new_chapter import make
from course.pages.open_anywhere import first_cell

# Of each number the topic, here once as long as it may be, and the exercise.
NEW = {"09": ("prompts", "9.1"), "10": ("prompts_that_are_long_24", "10.1")}
FILES = (
    "chapters/{}.ipynb",
    "solutions/ch{}.py",
    "exercises/ch{}.py",
    "checks/ch{}.toml",
    "checks/test_ch{}.py",
    "checks/probes/ch{}.py",
    "checks/misconceptions/ch{}.py",
    "checks/equivalents/ch{}.py",
    "checks/questions/ch{}.toml",
)
GRADE = """
import json, sys
from course.cli import main
from course.grading.answer_report import verdict
from course.grading.answers import equivalents_of, misconceptions_of
from course.grading.code import LocalCode
from course.grading.grader import Grader
def told(answer):
    outcome = verdict(answer)
    return answer.name, outcome.status, outcome.misconception

main(["check", "9.1", "--impl", "solutions"])
found = {}
for i in sys.argv[1:]:
    graded = {of: Grader(LocalCode(of)).grade_exercise(i) for of in ("solutions", "exercises")}
    found[i] = {of: result.status for of, result in graded.items()}
    found[i]["checks"] = [outcome.title for outcome in graded["solutions"].outcomes]
    for of in (misconceptions_of, equivalents_of):
        found[i][of.__name__] = [told(answer) for answer in of(i)]
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    """A copy of what grading needs without the chapters 09 and later, with one notebook."""
    copy = tmp_path_factory.mktemp("copy")
    left_out = shutil.ignore_patterns("__pycache__", "*ch09_*", "*ch[1-9][0-9]_*")
    for folder in ("course", "checks", "solutions"):
        shutil.copytree(ROOT / folder, copy / folder, ignore=left_out)
    for folder in ("chapters", "exercises"):
        (copy / folder).mkdir()
    shutil.copy(ROOT / "chapters" / "01_noise_schedule.ipynb", copy / "chapters")
    shutil.copy(ROOT / "pyproject.toml", copy)
    return copy


@pytest.fixture(scope="module")
def said(copy) -> dict[str, str]:
    """What the command says, for each of the two chapters."""
    return {
        number: run(copy, "-m", "course.cli", "new-chapter", number, topic, f"Chapter {number}")
        for number, (topic, _) in NEW.items()
    }


def run(folder, *arguments: str) -> str:
    """What Python prints when it is called like this in a copy of the course."""
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    environment.pop("COURSE_EXERCISES", None)
    done = subprocess.run(
        [sys.executable, *arguments], cwd=folder, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def names(number: str) -> list[str]:
    return [file.format(f"{number}_{NEW[number][0]}") for file in FILES]


@pytest.mark.parametrize("number", NEW)
def test_all_files_are_made_and_no_placeholder_is_left(copy, said, number):
    assert {line for line in said[number].splitlines() if line.startswith("wrote")} == {
        f"wrote {name}" for name in names(number)
    }
    for name in names(number):
        text = (copy / name).read_text(encoding="utf-8")
        assert not [word for word in ("NN", "N.1", "topic", "TITLE") if word in text], name


@pytest.mark.parametrize("number", NEW)
def test_what_is_missing_is_said_for_this_chapter(said, number):
    topic = NEW[number][0]
    for words in (
        f"It grades already: course check {number} --impl solutions",
        f"scale_{topic}",
        "six misconceptions and three equivalents",
        "three hints",
        f"build_notebooks chapters/{number}_{topic}.ipynb",
        "docs/checks.md",
        f"mutants --chapter {number}",
    ):
        assert words in said[number]


def test_the_new_exercises_grade(copy, said):
    *checked, found = run(copy, "-c", GRADE, "9.1", "10.1").splitlines()
    assert checked[0] == "✔ 9.1 A placeholder: scaling: all 2 checks pass."
    assert checked[2].split() == "09 Chapter 09 1 of 1 points 9.1 ✔".split()
    for graded in json.loads(found).values():
        assert graded == {
            "solutions": "passed",
            "exercises": "not written yet",
            "checks": ["Whatever the factor, 0 stays 0", "Every value is multiplied by the factor"],
            "misconceptions_of": [["adding the factor", "failed", "adding the factor"]],
            "equivalents_of": [["torch.mul", "passed", ""]],
        }


def test_ruff_has_no_complaint_about_what_is_made(copy, said):
    made = [name for number in NEW for name in names(number) if name.endswith(".py")]
    run(copy, "-m", "ruff", "check", *made)
    run(copy, "-m", "ruff", "format", "--check", *[m for m in made if "exercises" not in m])


@pytest.mark.parametrize("number", NEW)
def test_the_notebook_is_valid_and_has_what_a_chapter_has(copy, said, number):
    path = copy / names(number)[0]
    nbformat.validate(json.loads(path.read_text(encoding="utf-8")))
    cells = nbformat.read(path, as_version=4).cells
    code = [cell.source for cell in cells if cell.cell_type == "code"]
    assert cells[0].source.startswith(f"# {number} Chapter {number}\n")
    assert "**After this chapter you can**" in cells[0].source
    assert code[0] == first_cell()
    exercise = NEW[number][1]
    assert f'label("{exercise}")' in code and f'check("{exercise}")' in code
    assert "SliderPicture(" in code[-4] and "## What comes next" in cells[-3].source
    assert code[-1].endswith(f'ask("{number}")')


@pytest.mark.parametrize(
    "number, topic, title, words",
    [
        ("0", "x", "X", "the number must be between 1 and 99, got '0'"),
        ("100", "x", "X", "the number must be between 1 and 99, got '100'"),
        ("-1", "x", "X", "the number must be between 1 and 99, got '-1'"),
        ("9.1", "x", "X", "the number must be between 1 and 99, got '9.1'"),
        ("٣", "x", "X", "the number must be between 1 and 99"),
        ("8", "x", "X", "there is a chapter 08_evaluation; choose another number and topic"),
        ("42", "evaluation", "X", "there is a chapter 08_evaluation; choose another number and"),
        ("42", "Big", "X", "small letters, digits and single underscores, .* got 'Big'"),
        ("42", "../x", "X", "small letters, digits and single underscores, .* got '../x'"),
        ("42", "a__b", "X", "small letters, digits and single underscores, .* got 'a__b'"),
        ("42", "x" * 25, "X", "at most 24 small letters"),
        ("42", "x", "", "at most 22 letters, digits, spaces .* got ''"),
        ("42", "x", 'a "b"', "at most 22 letters, digits, spaces"),
        ("42", "x", "[red]", "at most 22 letters, digits, spaces"),
        ("42", "x", "X" * 23, "at most 22 letters, digits, spaces"),
    ],
)
def test_a_bad_number_or_name_is_refused_in_a_sentence(
    tmp_path, monkeypatch, number, topic, title, words
):
    monkeypatch.setattr(new_chapter, "ROOT", tmp_path)
    with pytest.raises(CourseError, match=words):
        make(number, topic, title)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("file", FILES[1:])
def test_nothing_is_overwritten(tmp_path, monkeypatch, file):
    monkeypatch.setattr(new_chapter, "ROOT", tmp_path)
    there = tmp_path / file.format("42_x")
    there.parent.mkdir(parents=True)
    there.write_text("mine")
    with pytest.raises(CourseError, match=f"nothing is overwritten, .*: {file.format('42_x')}$"):
        make("42", "x", "X")
    assert there.read_text() == "mine"
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [there]


def test_a_notebook_without_exercises_has_its_number_too(tmp_path, monkeypatch):
    monkeypatch.setattr(new_chapter, "ROOT", tmp_path)
    (tmp_path / "chapters").mkdir()
    (tmp_path / "chapters" / "42_epilogue.ipynb").write_text("mine")
    for number, topic in (("42", "x"), ("43", "epilogue")):
        with pytest.raises(CourseError, match="there is a chapter 42_epilogue"):
            make(number, topic, "X")
