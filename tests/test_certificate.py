"""A certificate says what was done, and grading again shows whether it is true."""

import json
import shutil

import pytest

from course import CourseError, cli
from course.grading.answers import misconceptions_of
from course.grading.grader import Outcome, Result
from course.learner import certificate as page
from course.learner.workspace import Workspace
from course.syllabus import FAILED, PASSED, exercises, find_exercise


@pytest.fixture
def workspace(tmp_path, monkeypatch) -> Workspace:
    """One in which 1.1 passes and all else is as in the skeleton, without the time to grade."""
    monkeypatch.setenv("COURSE_EXERCISES", str(tmp_path / "exercises"))

    def graded(code, wanted):
        return [
            Result(e, (Outcome(PASSED if e.id == "1.1" else "not written yet", "a check"),))
            for e in wanted
        ]

    monkeypatch.setattr("course.grading.apart.grade_apart", graded)
    return Workspace(tmp_path / "exercises", apart=True)


def test_it_holds_points_and_the_mistakes_that_were_met(workspace):
    name = misconceptions_of("1.1")[0].name
    failed = Result(find_exercise("1.1"), (Outcome(FAILED, "a check", misconception=name),))
    workspace.remember([failed], {"ch01_noise_schedule": "key"})
    workspace.remember([failed], {"ch01_noise_schedule": "key"})
    content = page.certificate(workspace)
    assert content["points"]["1.1"] == find_exercise("1.1").points
    assert sum(content["points"].values()) == content["points"]["1.1"]
    assert sum(content["of"].values()) == sum(e.points for e in exercises())
    assert content["mistakes"] == {"1.1": {"met": [name], "mended": True}}
    assert f"  met and mended in 1.1: {name}" in page.in_words(content)


def test_a_broken_record_of_mistakes_counts_as_none(workspace):
    for text in ("[", '{"1.1": 5}', '{"1.1": [3]}'):
        workspace.state.write("mistakes.json", {})
        (workspace.state.folder / "mistakes.json").write_text(text)
        assert not any(workspace.mistakes().values())


def test_it_is_verified_by_grading_again(workspace, tmp_path, capsys):
    out = tmp_path / "mine.json"
    assert cli.main(["certificate", "--out", str(out)]) == 0
    verify = ["certificate", "--verify", str(out), str(workspace.exercises)]
    assert cli.main(verify) == 0
    assert "the same points" in capsys.readouterr().out
    content = json.loads(out.read_text())
    content["points"]["1.2"] = 3
    out.write_text(json.dumps(content))
    assert cli.main(verify) == 1
    assert "1.2: it says 3 points, grading 0" in capsys.readouterr().out
    other = tmp_path / "other"
    shutil.copytree(workspace.exercises, other)
    (other / "ch02_forward_process.py").write_text("# other code\n")
    assert any("ch02_forward_process.py is not" in s for s in page.disagreements(content, other))


@pytest.mark.parametrize("text", ["[]", "{", '{"kind": "other"}', '{"points": 3}'])
def test_another_file_is_no_certificate(tmp_path, text):
    path = tmp_path / "c.json"
    path.write_text(text)
    with pytest.raises(CourseError, match="is no certificate of this course"):
        page.read(path)
