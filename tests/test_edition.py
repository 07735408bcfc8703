"""The student edition: no answer can be read in it, and it grades as the course does."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from course import ROOT, CourseError, packed
from course.cli import main
from course.grading.answers import misconceptions_of, reference_code
from course.grading.code import LocalCode
from course.grading.grader import Grader
from course.grading.questions import all_questions
from course.grading.source import definition_text, replace_definition
from course.learner.skeletons import skeleton
from course.syllabus import chapters, exercises, find_chapter, find_exercise
from tests.test_package import install
from tests.test_package import run as run_installed

CH01, CH03 = "ch01_noise_schedule", "ch03_embeddings"
REFERENCE = (ROOT / "solutions" / f"{CH01}.py").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def edition(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("class") / "the course [1]"
    assert main(["student-edition", str(folder)]) == 0
    return folder


def run(course: Path, *command: str, **environment: str) -> str:
    """What a command prints in this edition, or in the course itself."""
    environment = {**os.environ, "PYTHONPATH": str(course), **environment}
    call = [sys.executable, *command]
    done = subprocess.run(call, cwd=course, env=environment, capture_output=True, text=True)
    return done.stdout or done.stderr


def plain(text: str) -> str:
    """Without what may differ where a line is quoted: spaces, and a notebook's escapes."""
    return "".join(text.split()).replace('\\"', '"').replace("\\n", "")


def texts(folder: Path) -> dict[str, str]:
    kinds = (".png", ".gif", ".safetensors", ".onnx", ".pyc")
    files = [path for path in folder.rglob("*") if path.is_file() and path.suffix not in kinds]
    return {str(p.relative_to(folder)): plain(p.read_text(encoding="utf-8")) for p in files}


# Chapter 09 gives its network's parts, 7.5 a walk that has to be mended, and chapter 10 the blocks
# of its autoencoder, in which there is a convolution as in 4.2.
GIVEN_ELSEWHERE = {
    ("4.4", "exercises/ch09_prompts.py"),
    ("10.8", "exercises/ch09_prompts.py"),
    ("12.5", "exercises/ch07_fast_sampling.py"),
    ("4.2", "exercises/ch10_colour_and_size.py"),
}


def test_no_answer_can_be_read_in_it(edition):
    there = texts(edition)
    assert set(there) >= {f"solutions/{c.name}.py" for c in chapters()}
    spoilt = []
    for exercise in exercises():
        given = plain(skeleton(exercise.chapter))
        code = "\n".join(reference_code(exercise.id).values())
        lines = {plain(line.split("  #")[0]) for line in code.splitlines()}
        answer = {line for line in lines if len(line) > 20 and line not in given}
        helps = {plain(a.help) for a in misconceptions_of(exercise.id)}
        mended = {plain(old) for old, _ in exercise.fault if plain(old) not in given}
        for name, text in there.items():
            lines = [line for line in answer if line in text]
            elsewhere = (exercise.id, name) in GIVEN_ELSEWHERE
            # One may be in a notebook, as a call.
            if len(lines) > max(1, len(answer) / 4) and not elsewhere:
                spoilt.append((exercise.id, name, lines))
            quoted = mended if name == "README.md" else helps | mended  # it shows one message
            spoilt += [(exercise.id, name, one) for one in quoted if one in text and not elsewhere]
    for question in all_questions().values():
        replies = [question.answer, *(one.says for one in (*question.options, *question.slips))]
        told = {plain(reply) for reply in replies if reply}
        spoilt += [(question.id, name) for name in there for one in told if one in there[name]]
    assert spoilt == []


def test_its_exercises_are_skeletons_and_git_takes_all_of_it(edition):
    for chapter in chapters():
        given = edition / "exercises" / f"{chapter.name}.py"
        assert given.read_text(encoding="utf-8") == skeleton(chapter.name)
    names = "\n".join(str(p.relative_to(edition)) for p in edition.rglob("*") if p.is_file())
    subprocess.run(["git", "init", "--quiet", edition], check=True)
    ignored = subprocess.run(
        ["git", "check-ignore", "--stdin"], cwd=edition, input=names, capture_output=True, text=True
    )
    shutil.rmtree(edition / ".git")
    made = [name for name in ignored.stdout.splitlines() if "__pycache__" not in name]
    assert made == []


@pytest.fixture(scope="module")
def answers(tmp_path_factory) -> dict[str, Path]:
    """Folders with the chapters 01 and 03: right, wrong in a known way, and not begun."""
    folders = {}
    for kind in ("right", "wrong", "empty"):
        folders[kind] = tmp_path_factory.mktemp(kind)
        for chapter in (CH01, CH03):
            text = (ROOT / "solutions" / f"{chapter}.py").read_text(encoding="utf-8")
            path = folders[kind] / f"{chapter}.py"
            if kind == "wrong":
                for one in ("1.2", "3.1"):
                    if find_exercise(one).chapter == chapter:
                        known = next(a for a in misconceptions_of(one) if a.text)
                        for symbol in known.symbols:
                            text = replace_definition(text, known.text, symbol, path)
            path.write_text(skeleton(chapter) if kind == "empty" else text, encoding="utf-8")
    return folders


def messages(folders: dict[str, Path]) -> dict[str, list[str]]:
    """All that is said of the chapters in these folders."""
    wanted = [*find_chapter("01").exercises, *find_chapter("03").exercises]
    return {
        kind: [result.message for result in Grader(LocalCode(folder)).grade(wanted)]
        for kind, folder in folders.items()
    }


def test_it_says_what_the_course_says(edition, answers):
    code = f"""
import json, sys
sys.path.append({str(ROOT)!r})
from pathlib import Path
import course
from tests.test_edition import messages
assert Path(course.__file__).is_relative_to({str(edition)!r})
print(json.dumps(messages({ {kind: str(path) for kind, path in answers.items()} })))
"""
    said = json.loads(run(edition, "-c", code))
    assert said == messages(answers)
    assert all("checks pass" in one for one in said["right"])
    assert ["looks like" in one for one in said["wrong"]].count(True) == 2
    assert [one for one in said["empty"] if "not mended yet" in one]
    assert "✔ 1.1" in run(
        edition, "-m", "course.cli", "check", "1.1", "--impl", str(answers["right"])
    )


def test_answers_in_javascript_are_left_out_with_their_page(edition):
    assert not list(edition.rglob("*.mjs")) and not list(edition.rglob("live.js"))
    assert "gives answers away" in (edition / "docs" / "playground.md").read_text(encoding="utf-8")


def test_pytest_grades_in_it(edition, answers):
    command = ["-m", "pytest", "-p", "no:cacheprovider", f"checks/test_{CH01}.py", "--impl"]
    here, there = (run(place, *command, str(answers["wrong"])) for place in (edition, ROOT))
    assert "looks like" in here and "10 of 14 points" in here

    def without_time(said: str) -> list[str]:
        return [line for line in said.splitlines() if "rootdir" not in line and " in " not in line]

    assert without_time(here) == without_time(there)


def test_the_rest_of_a_learners_way_works_in_it(edition, answers, tmp_path):
    code = "from course.pages.notebook import use; print(use('linear_betas')(3, 0.1, 0.3))"
    said = run(edition, "-c", code, COURSE_EXERCISES=str(tmp_path / "mine"))
    assert "linear_betas: the reference, because 1.1 is not written yet" in said
    assert "tensor([0.1000, 0.2000, 0.3000])" in said
    solution = ("-m", "course.cli", "solution", "1.2")
    shown = run(edition, *solution, COURSE_EXERCISES=str(answers["right"]))
    assert plain(shown) == plain(definition_text(REFERENCE, "cosine_betas"))
    assert "does not pass yet" in run(edition, *solution, COURSE_EXERCISES=str(answers["empty"]))


def test_both_grade_what_was_made_in_it(edition, answers, tmp_path):
    """All of an edition may be handed in: what is the course's own is not looked into."""
    handed_in = tmp_path / "class" / "ann"
    ignore = shutil.ignore_patterns("*.png", "*.safetensors", "*.gif", "course", "docs", "chapters")
    shutil.copytree(edition, handed_in, ignore=ignore)
    shutil.copy(answers["wrong"] / f"{CH01}.py", handed_in / "exercises")
    results = {}
    for place in (edition, ROOT):
        out = tmp_path / f"grades of {place.name}"
        command = [
            "-m",
            "course.cli",
            "grade",
            str(tmp_path / "class"),
            "--only",
            "01",
            "--seed",
            "1",
        ]
        said = run(place, *command, "--out", str(out))
        (ann,) = json.loads((out / "results.json").read_text(encoding="utf-8"))["submissions"]
        assert (ann["points"], ann["problem"]) == (10, ""), said
        results[place] = ann["exercises"]
    assert results[edition] == results[ROOT]


def test_a_packed_file_as_an_answer_is_none(edition, tmp_path):
    """Else the reference of an edition could be handed in as it is."""
    shutil.copy(edition / "solutions" / f"{CH01}.py", tmp_path)
    said = run(edition, "-m", "course.cli", "check", "1.1", "--impl", str(tmp_path))
    assert "0 of 2 points" in said and "No module named 'course.packed'" in said


def test_it_can_be_installed(edition, tmp_path):
    python = install("wheel", tmp_path, edition)
    assert run_installed(python, "-m", "course.cli", "start", "mine", cwd=tmp_path).returncode == 0
    (tmp_path / "mine" / "exercises" / f"{CH01}.py").write_text(
        (ROOT / "solutions" / f"{CH01}.py").read_text(encoding="utf-8"), encoding="utf-8"
    )
    done = run_installed(python, "-m", "course.cli", "check", "1.1", cwd=tmp_path / "mine")
    assert "2 of 2 points" in done.stdout and done.returncode == 0, done.stderr
    material = next((tmp_path / "env" / "lib").glob("python*/site-packages/course/material"))
    assert "linspace" not in (material / "solutions" / f"{CH01}.py").read_text(encoding="utf-8")


def test_what_is_there_is_not_written_over(edition, tmp_path, capsys):
    (tmp_path / "file").write_text("mine")
    assert main(["student-edition", str(tmp_path)]) == 2
    assert "holds something already; name a new folder" in capsys.readouterr().out
    assert main(["student-edition", str(tmp_path / "file")]) == 2
    assert "is a file" in capsys.readouterr().out
    assert [path.read_text() for path in tmp_path.iterdir()] == ["mine"]
    (tmp_path / "empty").mkdir()
    said = run(edition, "-m", "course.cli", "student-edition", str(tmp_path / "empty"))
    assert "is a student edition already" in said
    assert not list((tmp_path / "empty").iterdir())


def test_what_is_packed_comes_out_again(edition, monkeypatch):
    path = edition / "solutions" / f"{CH01}.py"
    assert packed.read(path) == path.read_bytes(), "only a course's own files are unpacked"
    monkeypatch.setattr(packed, "OURS", (edition / "solutions", edition / "checks"))
    for name in (f"solutions/{CH01}.py", f"checks/{CH01}.toml", "checks/theory.py"):
        assert packed.read(edition / name) == (ROOT / name).read_bytes()
    path = edition / "checks" / "damaged.toml"
    path.write_bytes(packed.pack(b"title = 1", ".toml").replace(b'"""\n', b'"""\nAAAA', 1))
    with pytest.raises(CourseError, match="damaged.toml is damaged; install the course anew"):
        packed.read(path)
    path.unlink()
