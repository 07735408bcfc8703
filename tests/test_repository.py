"""What the repository as a whole promises: style, size, and a README that tells the truth."""

import re
import subprocess
import sys

import pytest

from course import ROOT
from course.grading.answer_report import PAGE, cell
from course.grading.answers import equivalents_of, misconceptions_of
from course.grading.checking import checks_of
from course.syllabus import chapters, exercises


def tracked_files() -> list[str]:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode:
        pytest.skip("needs a git checkout")
    return listed.stdout.splitlines()


@pytest.mark.parametrize("command", [["check"], ["format", "--check"]], ids=" ".join)
def test_ruff_has_no_complaint(command):
    folders = [
        "course",
        "solutions",
        "checks",
        "tests",
        "benchmarks",
    ]  # exercises/ is the learner's
    run = subprocess.run(
        [sys.executable, "-m", "ruff", *command, *folders], cwd=ROOT, capture_output=True, text=True
    )
    assert run.returncode == 0, run.stdout


def test_no_large_file_and_no_data_set_is_tracked():
    for name in tracked_files():
        path = ROOT / name
        assert not path.exists() or path.stat().st_size <= 8e6, name
        assert "ubyte" not in name and not name.startswith(("runs/", ".course/", "pictures/"))


def test_the_readme_counts_the_known_answers_right():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for chapter in chapters():
        ids = [exercise.id for exercise in chapter.exercises]
        checks, wrong, right = (
            sum(len(of(i)) for i in ids) for of in (checks_of, misconceptions_of, equivalents_of)
        )
        line = (
            f"| {chapter.number} {chapter.title} | {len(ids)} | {checks} "
            f"| {wrong} of {wrong} | {right} of {right} |"
        )
        assert line in readme, f"README.md should say: {line}"


def test_the_list_of_misconceptions_is_complete():
    page = PAGE.read_text(encoding="utf-8")
    for exercise in exercises():
        for answer in misconceptions_of(exercise.id):
            for text in (answer.name, answer.help):
                assert cell(text) in page, "run: python -m course.grading.answer_report --write"


def test_the_readme_links_to_files_that_exist():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)]+)\)", readme):
        file = target.partition("#")[0]
        assert target.startswith(("http", "#")) or (ROOT / file).exists(), target
