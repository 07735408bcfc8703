"""The archives for PrairieLearn and Classroom 50, and what `--only` leaves in each."""

import json
import os
import re
import stat
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from course import ROOT, CourseError
from course.classroom import classroom50, gradescope, prairielearn
from course.cli import main
from course.syllabus import chapters, select_all

CH01, CH02 = (chapter.name for chapter in chapters()[:2])
PLATFORMS = {"gradescope": gradescope, "prairielearn": prairielearn, "classroom50": classroom50}


def unpack(path: Path, folder: Path) -> Path:
    with zipfile.ZipFile(path) as archive:
        archive.extractall(folder)
        for entry in archive.infolist():
            (folder / entry.filename).chmod(entry.external_attr >> 16 & 0o777)
    return folder


@pytest.mark.parametrize("platform", PLATFORMS)
def test_an_archive_says_what_it_grades_and_is_always_the_same(tmp_path, platform):
    (tmp_path / "rules.toml").write_text("partial = true\n", encoding="utf-8")
    make = PLATFORMS[platform].export
    first = make(tmp_path / "a.zip", "01,2.1", tmp_path / "rules.toml")
    again = make(tmp_path / "b.zip", "01,2.1", tmp_path / "rules.toml")
    assert first.read_bytes() == again.read_bytes()
    with zipfile.ZipFile(first) as archive:
        (what,) = [name for name in archive.namelist() if name.endswith("autograder.json")]
        (law,) = [name for name in archive.namelist() if name.endswith("rules.toml")]
        chosen = json.loads(archive.read(what))["only"]
        assert archive.read(law) == b"partial = true\n"
    assert select_all(chosen) == select_all("01,2.1") and chosen.endswith("2.1")
    with pytest.raises(CourseError, match="no chapter '99'"):
        make(tmp_path / "c.zip", "01,99")


def test_what_the_platform_counts_is_not_counted_twice(tmp_path):
    (tmp_path / "rules.toml").write_text("due = 2026-10-01\n", encoding="utf-8")
    with pytest.raises(CourseError, match="late days and attempts are the platform's"):
        gradescope.export(tmp_path / "a.zip", None, tmp_path / "rules.toml")


def test_the_command_warns_of_the_solutions(tmp_path, capsys):
    for platform in PLATFORMS:
        assert main(["export", platform, "--only", "01", "--out", str(tmp_path)]) == 0
        assert "it holds the solutions" in capsys.readouterr().out
    assert len(list(tmp_path.glob("*.zip"))) == len(PLATFORMS)


# PrairieLearn


@pytest.fixture(scope="module")
def question(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("prairielearn")
    return unpack(prairielearn.export(folder, "1.1"), folder) / "diffusion_from_scratch"


def test_info_json_has_what_prairielearn_asks_for(question):
    """What the schema of a question's info.json needs and allows, as far as it is used here."""
    info = json.loads((question / "info.json").read_text(encoding="utf-8"))
    assert {"uuid", "type", "title", "topic"} <= set(info)
    assert re.fullmatch(r"[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}", info["uuid"])
    assert info["type"] == "v3" and info["gradingMethod"] == "External"
    options = info["externalGradingOptions"]
    assert set(options) == {"enabled", "image", "entrypoint", "timeout"} and options["enabled"]
    entry = Path(options["entrypoint"]).relative_to("/grade")
    assert (question / entry).stat().st_mode & stat.S_IXUSR
    assert type(options["timeout"]) is int and options["timeout"] <= 600
    assert json.loads(json.dumps(prairielearn.info(None)))["uuid"] != info["uuid"]


def test_the_page_asks_for_the_chapters_that_are_graded(question):
    page = (question / "question.html").read_text(encoding="utf-8")
    assert f'<pl-file-upload file-names="{CH01}.py">' in page
    assert "<pl-external-grader-results>" in page


def run_question(question: Path, root: Path, python: str | None) -> dict:
    """Call the entry point as PrairieLearn does, in a folder laid out like /grade."""
    (root / "tests").symlink_to(question / "tests")
    fake = root / "bin" / "python3"
    fake.parent.mkdir()
    fake.write_text(f'#!/bin/sh\nexec "{python}" "$@"\n' if python else "#!/bin/sh\nexit 1\n")
    fake.chmod(0o755)
    path = f"{fake.parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "GRADE_ROOT": str(root), "PATH": path, "PYTHONPATH": ""}
    command = ["bash", str(root / "tests" / "run.sh")]
    run = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    return json.loads((root / "results" / "results.json").read_text(encoding="utf-8"))


def test_prairielearn_gets_points_for_what_was_handed_in(question, tmp_path):
    (tmp_path / "student").mkdir()
    work = (ROOT / "solutions" / f"{CH01}.py").read_bytes()
    (tmp_path / "student" / f"{CH01}.py").write_bytes(work)
    found = run_question(question, tmp_path, sys.executable)
    assert found["gradable"] is True and found["score"] == 1.0
    assert [test["name"][:3] for test in found["tests"]] == ["1.1"]


def test_prairielearn_counts_no_attempt_where_nothing_could_be_graded(question, tmp_path):
    (tmp_path / "student").mkdir()
    found = run_question(question, tmp_path, sys.executable)
    assert found["gradable"] is False and f"{CH01}.py" in found["format_errors"][0]
    assert CH02 not in found["format_errors"][0]


def test_prairielearn_is_told_when_the_grader_fails(question, tmp_path):
    found = run_question(question, tmp_path, None)
    assert found["gradable"] is False and "grader's fault" in found["format_errors"][0]


# Classroom 50


@pytest.fixture(scope="module")
def bundle(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("classroom50")
    return unpack(classroom50.export(folder / "a.zip", "1.1"), folder / "autograder")


IDENTITY = {
    "CLASSROOM": "dl-2",
    "ASSIGNMENT": "diffusion",
    "ASSIGNMENT_TYPE": "individual",
    "OWNER": "ada",
    "SUBMISSION_TAG": "submit/2026-06-01T14-32-05Z-a1b2c3d",
    "COMMIT_URL": "https://example.org/commit",
    "RELEASE_URL": "https://example.org/release",
    "REVIEW_URL": "",
}
# The fields that its schema needs; it allows two more, and no others.
NEEDED = {
    "schema", "classroom", "assignment", "assignment_type", "owner", "submission", "commit",
    "release", "review", "datetime", "score", "max-score", "tests",
}  # fmt: skip


def call_autograder(bundle: Path, checkout: Path) -> dict:
    command = [sys.executable, str(bundle / "autograder.py")]
    environment = {**os.environ, **IDENTITY, "PYTHONPATH": ""}
    run = subprocess.run(command, cwd=checkout, env=environment, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    return json.loads((checkout / "result.json").read_text(encoding="utf-8"))


def check_result(result: dict) -> None:
    assert set(result) == NEEDED
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", result["datetime"])
    assert result["submission"].startswith("submit/")
    for place in (result, *result["tests"]):
        assert type(place["score"]) is int and type(place["max-score"]) is int
        assert 0 <= place["score"] <= place["max-score"]
    assert all(test["test-name"] and type(test["passed"]) is bool for test in result["tests"])


def test_classroom50_gets_what_its_schema_asks_for(bundle, tmp_path):
    (tmp_path / "exercises").mkdir()
    work = (ROOT / "solutions" / f"{CH01}.py").read_bytes()
    (tmp_path / "exercises" / f"{CH01}.py").write_bytes(work)
    result = call_autograder(bundle, tmp_path)
    check_result(result)
    assert (result["score"], result["max-score"], result["owner"]) == (2, 2, "ada")


def test_classroom50_is_told_that_nothing_was_there(bundle, tmp_path):
    result = call_autograder(bundle, tmp_path)
    check_result(result)
    assert result["score"] == 0 and "no chapter file" in result["tests"][0]["message"]
    assert [test["test-name"][:3] for test in result["tests"]] == ["1.1"]
