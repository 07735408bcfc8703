"""The roster, the rules for late days, attempts and checks, and what Canvas and Moodle import."""

import csv
import io
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from course import ROOT, CourseError
from course.classroom.collecting import Submission
from course.classroom.gradebook import (
    NOT_SUBMITTED,
    Rules,
    canvas_csv,
    moodle_csv,
    read_roster,
    read_rules,
    settle,
)
from course.classroom.results import ExerciseResult, SubmissionResult
from course.cli import main
from course.syllabus import FAILED, NOT_WRITTEN, PASSED, chapters, select

WANTED = select("01")
TOTAL = sum(exercise.points for exercise in WANTED)
DUE = datetime(2026, 10, 1, 12, tzinfo=UTC)
CH01 = chapters()[0].name


def handed_in(name: str, lost: int = 0, **fields) -> tuple[Submission, SubmissionResult]:
    """A submission, and its result with so many failed exercises."""
    own = tuple(
        ExerciseResult(e.id, 0 if i < lost else e.points, e.points, FAILED if i < lost else PASSED,
                       "", "", "", checks=4, checks_passed=3 if i < lost else 4)
        for i, e in enumerate(WANTED)
    )  # fmt: skip
    problem = fields.pop("problem", "")
    submission = Submission(name, Path(), {CH01: "x"}, called=fields.pop("called", name), **fields)
    return submission, SubmissionResult(name, own, 1, 1.0, "bubblewrap", "k", problem)


def settled(*pairs, rules=None, roster=()) -> dict[str, SubmissionResult]:
    submissions, results = zip(*pairs)
    found = settle(list(results), submissions, rules or Rules(), list(roster), WANTED)
    assert len({result.name for result in found}) == len(found)
    return {result.name: result for result in found}


def roster(tmp_path: Path, text: str):
    path = tmp_path / "roster.csv"
    path.write_text(text, encoding="utf-8")
    return read_roster(path)


# The roster


SIMPLE = "id,name\n17,Ada Lovelace\n18,Grace Hopper\n19,Kurt Gödel\n"


@pytest.mark.parametrize(
    "text",
    [
        SIMPLE,
        "\ufeff" + SIMPLE.replace(",", ";").replace("\n", "\r\n"),
        "Student,ID,SIS User ID,SIS Login ID,Section,HW (1)\n    Points Possible,,,,,10\n"
        '"Lovelace, Ada",17,s1,ada,1,\n"Hopper, Grace",18,s2,gh,1,\n"Gödel, Kurt",19,s3,kg,1,\n',
        "First name,Last name,ID number,Email address\nAda,Lovelace,17,a@x\nGrace,Hopper,18,g@x\n"
        "Kurt,Gödel,19,k@x\n\n",
    ],
    ids=["plain", "as spreadsheets save it", "Canvas", "Moodle"],
)
@pytest.mark.parametrize(
    "handed",
    [
        {"name": "Ada Lovelace"},
        {"name": "ada_lovelace"},
        {"name": "lovelaceada"},  # as Canvas has it
        {"name": "17"},
        {"name": "x", "learner": "17"},
        {"name": "Ada Lovelace (2)", "called": "Ada Lovelace"},
    ],
)
def test_a_submission_finds_its_learner(tmp_path, text, handed):
    learners = roster(tmp_path, text)
    found = settled(handed_in(**handed), roster=learners)
    assert {result.learner for result in found.values()} == {"17", "18", "19"}
    (ada,) = [result for result in found.values() if result.learner == "17"]
    assert ada.points == TOTAL and not ada.problem and not ada.notes
    assert sum(result.problem == NOT_SUBMITTED for result in found.values()) == 2


def test_who_is_not_on_the_roster_or_not_certain_is_said_and_kept(tmp_path):
    learners = roster(tmp_path, "id,name\n1,Li Wei\n2,Wei Li\n")
    found = settled(handed_in("Li Wei"), handed_in("stranger"), roster=learners)
    notes = "is not on the roster, or fits several who are"
    assert found["stranger"].notes == notes and found["stranger"].points == TOTAL
    certain = settled(handed_in("Li Wei", learner="2"), roster=learners)
    assert certain["Wei Li"].points == TOTAL and certain["Li Wei"].problem == NOT_SUBMITTED
    doubtful = [result for result in found.values() if result.points]
    assert len(found) == 4 and all(not result.learner for result in doubtful)


@pytest.mark.parametrize(
    "text, why",
    [
        ("name\nAda\n", "needs an id and a name"),
        ("id,name\n1,\n", "needs an id and a name"),
        ("id,name\n1,a\n1,b\n", "there already"),
        ("id,name,submitted\n1,a,yesterday\n", "submitted must be like"),
        ("", "is empty; its first line must name the columns"),
    ],
)
def test_a_broken_roster_is_told_with_its_line(tmp_path, text, why):
    with pytest.raises(CourseError, match=why):
        roster(tmp_path, text)


# The rules


def rules(tmp_path: Path, text: str) -> Rules:
    path = tmp_path / "rules.toml"
    path.write_text(text, encoding="utf-8")
    return read_rules(path)


def test_rules_are_read(tmp_path):
    text = "due = 2026-10-01T12:00:00Z\nfree_days = 1\npercent_per_day = 12.5\nlast_day = 7\n"
    read = rules(tmp_path, text + 'attempts = "best"\npartial = true\n')
    assert read == Rules(DUE, 1, 12.5, 7, "best", True)
    local = rules(tmp_path, "due = 2026-10-01").due
    assert (local.hour, local.minute) == (23, 59) and local.tzinfo
    assert read_rules(None) == Rules()


@pytest.mark.parametrize(
    "text, why",
    [
        ("late = 3", "no rule late; there are attempts"),
        ("free_days = -1", "free_days cannot be -1"),
        ("free_days = 1.5", "free_days cannot be 1.5"),
        ('attempts = "first"', "attempts cannot be 'first'"),
        ("partial = 1", "partial cannot be 1"),
        ('due = "tomorrow"', "due cannot be 'tomorrow'"),
        ("percent_per_day = nan", "percent_per_day cannot be nan"),
        ("due = ", "cannot be read"),
    ],
)
def test_a_wrong_rule_is_told(tmp_path, text, why):
    with pytest.raises(CourseError, match=why):
        rules(tmp_path, text)


@pytest.mark.parametrize(
    "hours, days, part",
    [(-1, 0, 0), (0, 0, 0), (1, 1, 0), (24, 1, 0), (25, 2, 0.1), (72, 3, 0.2), (73, 4, 1)],
)
def test_each_late_day_that_has_begun_costs_its_part(hours, days, part):
    law = Rules(DUE, free_days=1, percent_per_day=10, last_day=3)
    found = settled(handed_in("a", submitted=DUE + timedelta(hours=hours)), rules=law)["a"]
    assert found.late_days == days
    assert found.deduction == pytest.approx(part * TOTAL)
    assert found.points == pytest.approx((1 - part) * TOTAL)


def test_no_points_are_taken_twice_and_the_roster_overrules_the_files_dates(tmp_path):
    law = Rules(DUE, percent_per_day=60)
    learners = roster(tmp_path, "id,name,submitted\n1,a,2026-10-01T11:00:00+00:00\n2,b,\n3,c,\n")
    late = DUE + timedelta(days=30)
    pairs = [handed_in("a", submitted=late), handed_in("b", submitted=late),
             handed_in("c", problem="broken", submitted=late)]  # fmt: skip
    found = settled(*pairs, rules=law, roster=learners)
    assert (found["a"].points, found["a"].late_days) == (TOTAL, 0)
    assert (found["b"].points, found["b"].late_days) == (0, 30)
    assert found["c"].late_days == 0 and found["c"].problem == "broken"


def attempts() -> list:
    return [
        handed_in("ann", lost=2, submitted=DUE),
        handed_in("ann (2)", called="ann", submitted=DUE + timedelta(hours=1)),
        handed_in("ann (3)", called="ann", lost=1, submitted=DUE + timedelta(hours=30)),
        handed_in("ann (4)", called="ann", problem="broken", submitted=DUE + timedelta(days=9)),
        handed_in("bob", lost=1),
    ]


def test_of_several_attempts_the_best_or_the_last_counts():
    assert list(settled(*attempts())) == ["ann", "ann (2)", "ann (3)", "ann (4)", "bob"]
    best = settled(*attempts(), rules=Rules(attempts="best"))
    assert list(best) == ["ann", "bob"] and best["ann"].points == TOTAL
    assert best["ann"].notes == "the best of 4 attempts" and not best["bob"].notes
    last = settled(*attempts(), rules=Rules(attempts="last"))
    assert last["ann"].points == TOTAL - WANTED[0].points  # a broken one never displaces a grade
    strict = Rules(DUE, percent_per_day=100, attempts="best")
    assert settled(*attempts(), rules=strict)["ann"].points == TOTAL - sum(
        exercise.points for exercise in WANTED[:2]
    )


def test_two_learners_of_one_name_are_no_attempts():
    pairs = [handed_in("Ada", learner="1"), handed_in("Ada (2)", called="Ada", learner="2")]
    assert len(settled(*pairs, rules=Rules(attempts="best"))) == 2


def test_checks_that_pass_count_only_where_the_rule_says_so():
    pair = handed_in("a", lost=2)
    parts = sum(0.75 * exercise.points for exercise in WANTED[:2])
    rest = sum(exercise.points for exercise in WANTED[2:])
    assert settled(pair)["a"].points == rest
    assert settled(pair, rules=Rules(partial=True))["a"].points == pytest.approx(rest + parts)
    blank = replace(pair[1].exercises[0], status=NOT_WRITTEN)
    unwritten = replace(pair[1], exercises=(blank, *pair[1].exercises[1:]))
    found = settled((pair[0], unwritten), rules=Rules(partial=True))["a"]
    assert found.exercises[0].points == 0


# Gradebooks


def rows(text: str) -> list[list[str]]:
    return list(csv.reader(io.StringIO(text)))


def test_canvas_and_moodle_get_points_and_no_silent_zero(tmp_path):
    learners = roster(
        tmp_path,
        'Student,ID,SIS User ID,SIS Login ID,Section\n"L, Ada",17,s1,ada,A\n"H, Grace",18,s2,g,A\n'
        '"G, Kurt",19,s3,k,B\n',
    )
    pairs = [handed_in("ada", lost=1), handed_in("g", problem="broken")]
    found = list(settled(*pairs, roster=learners).values())
    points = str(TOTAL - WANTED[0].points)
    head, possible, *canvas = rows(canvas_csv(found, learners))
    assert head == ["Student", "ID", "SIS User ID", "SIS Login ID", "Section",
                    "Diffusion from scratch"]  # fmt: skip
    assert possible == ["    Points Possible", "", "", "", "", str(TOTAL)]
    assert canvas == [
        ["L, Ada", "17", "s1", "ada", "A", points],
        ["H, Grace", "18", "s2", "g", "A", ""],
        ["G, Kurt", "19", "s3", "k", "B", ""],
    ]
    head, *moodle = rows(moodle_csv(found, learners))
    assert head == ["Full name", "ID number", "Email address", "Diffusion from scratch"]
    assert [(row[1], row[3]) for row in moodle] == [("17", points), ("18", ""), ("19", "")]


def test_without_a_roster_a_platforms_own_numbers_are_enough():
    pairs = [handed_in("ada", learner="123", lost=1), handed_in("ada (2)", called="ada",
             learner="123"), handed_in("bob")]  # fmt: skip
    found = list(settled(*pairs).values())
    _, _, *canvas = rows(canvas_csv(found, []))
    assert [(row[1], row[5]) for row in canvas] == [("123", str(TOTAL))]  # the best of two


# The command


def test_a_class_from_the_command_line(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    work = (ROOT / "solutions" / f"{CH01}.py").read_text(encoding="utf-8")
    # Another default, so that some checks pass and others do not.
    wrong = work.replace("beta_end: float = 0.02", "beta_end: float = 0.03", 1)
    assert wrong != work
    for name, text in (("ada", wrong), ("ada-2", work)):
        (tmp_path / "class" / name).mkdir(parents=True)
        (tmp_path / "class" / name / f"{CH01}.py").write_text(text, encoding="utf-8")
    (tmp_path / "class" / f"{CH01}.py").write_text(work, encoding="utf-8")
    (tmp_path / "roster.csv").write_text("id,name\n1,ada\n2,ada-2\n3,cy\n", encoding="utf-8")
    (tmp_path / "rules.toml").write_text("partial = true\n", encoding="utf-8")
    command = ["grade", "class", "--only", "1.1,1.2", "--jobs", "2", "--rules", "rules.toml"]
    assert main([*command, "--roster", "roster.csv"]) == 0  # who is missing is no failure
    said = capsys.readouterr().out
    assert "left out" in said and "not graded: cy: no submission" in said
    with open(tmp_path / "grades" / "grades.csv", encoding="utf-8", newline="") as file:
        grades = {row["name"]: row for row in csv.DictReader(file)}
    assert list(grades) == ["ada", "ada-2", "cy"] and grades["cy"]["points"] == ""
    full = sum(exercise.points for exercise in select("1.1") + select("1.2"))
    assert grades["ada-2"]["points"] == str(full)
    assert 0 < float(grades["ada"]["1.1"]) < 2 and grades["ada"]["1.2"] == grades["ada-2"]["1.2"]
    (tmp_path / "class" / "empty").mkdir()
    assert main(command) == 1
    assert "not graded: empty: no chapter file in it" in capsys.readouterr().out
