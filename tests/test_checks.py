"""The checks themselves: right answers pass, wrong ones fail and are named."""

import pytest

from benchmarks.naming import first_failure
from course import ROOT
from course.grading.answer_report import verdict
from course.grading.answers import equivalents_of, misconceptions_of
from course.grading.checking import checks_of
from course.grading.code import LocalCode, answer_code, answer_in_file, reference_evidence
from course.grading.failure import failure_of
from course.grading.grader import Grader
from course.grading.source import names_used
from course.probing.observing import Observation
from course.syllabus import (
    FAILED,
    NOT_WRITTEN,
    PASSED,
    exercises,
    find_chapter,
    find_exercise,
)

EXERCISES = [exercise.id for exercise in exercises()]
WRONG = [(i, answer) for i in EXERCISES for answer in misconceptions_of(i)]
RIGHT = [(i, answer) for i in EXERCISES for answer in equivalents_of(i)]


class Observed:
    """A known answer's code, which each check observes once, however many tests ask."""

    def __init__(self, answer):
        self.code, self.seen = answer_code(answer), {}

    def observe(self, check, seed):
        if (check, seed) not in self.seen:
            self.seen[check, seed] = self.code.observe(check, seed)
        return self.seen[check, seed]


@pytest.fixture(scope="module")
def observed():
    """Gives a known answer's code. Only those of one exercise are kept."""
    kept = {}

    def code_of(answer):
        for exercise, number in list(kept):
            if exercise != answer.exercise:
                del kept[exercise, number]
        key = answer.exercise, id(answer)
        if key not in kept:
            kept[key] = Observed(answer)
        return kept[key]

    return code_of


def name(value) -> str:
    return value if isinstance(value, str) else value.name.replace(" ", "-")


@pytest.mark.parametrize("exercise_id", EXERCISES)
def test_the_reference_passes(exercise_id, solutions):
    result = Grader(solutions).grade_exercise(exercise_id)
    assert result.status == PASSED, result.message
    assert len(result.outcomes) == len(checks_of(exercise_id)) >= 1


@pytest.mark.parametrize("exercise_id", EXERCISES)
def test_the_skeleton_is_not_written_yet(exercise_id, empty_exercises):
    result = Grader(LocalCode(empty_exercises)).grade_exercise(exercise_id)
    assert result.status == NOT_WRITTEN, result.message
    assert result.points == 0


@pytest.mark.parametrize("exercise_id, answer", WRONG, ids=name)
def test_a_misconception_fails_and_is_named(exercise_id, answer, observed):
    """But for one that raises an exception, which is shown, and after which nothing is guessed."""
    last = verdict(answer, code=observed(answer))
    assert last.status == FAILED, "the checks accept this wrong answer"
    assert last.expected and last.got
    if first_failure(observed(answer), exercise_id)[1].raised:
        assert not last.misconception and "Error" in last.got
    else:
        assert last.misconception == answer.name and last.help, last.message()


@pytest.mark.parametrize("exercise_id, answer", RIGHT, ids=name)
def test_an_equivalent_passes(exercise_id, answer):
    last = verdict(answer)
    assert last.status == PASSED, last.message()


def calling(exercise_id: str) -> list[str]:
    """The exercises of its chapter with functions that call one of its functions."""
    exercise = find_exercise(exercise_id)
    chapter = find_chapter(exercise.chapter)
    path = ROOT / "solutions" / f"{chapter.name}.py"
    return [
        other.id
        for other in chapter.exercises
        if any(names_used(path, (name,)) & set(exercise.symbols) - {name} for name in other.symbols)
    ]


@pytest.mark.parametrize("exercise_id, answer", [r for r in RIGHT if calling(r[0])], ids=name)
def test_what_calls_an_equivalent_passes(exercise_id, answer):
    """A learner's functions call each other: a right one makes no other fail."""
    code = answer_in_file(answer)
    for caller in calling(exercise_id):
        for check in checks_of(caller):
            failure = failure_of(check, code.observe(check, 0), 0)
            assert failure is None, f"{caller} {check.title}: {failure.expected}, {failure.got}"


@pytest.mark.parametrize("exercise_id", EXERCISES)
def test_every_exercise_has_enough_known_answers(exercise_id):
    assert len(misconceptions_of(exercise_id)) >= 6
    assert len(equivalents_of(exercise_id)) >= 3


@pytest.mark.parametrize("exercise_id", EXERCISES)
def test_every_check_can_fail(exercise_id, observed):
    """Each check, run alone, rejects at least one misconception."""
    for check in checks_of(exercise_id):
        assert any(
            failure_of(check, observed(answer).observe(check, 0), 0)
            for answer in misconceptions_of(exercise_id)
        ), f"no misconception fails {check.title!r}"


@pytest.mark.parametrize("exercise_id", EXERCISES)
def test_what_was_right_for_other_inputs_is_not_right_for_these(exercise_id):
    """So nobody can make an answer up beforehand, or forge what the probes bring back."""
    assert any(
        failure_of(check, Observation(evidence=reference_evidence(check, 11)), seed=12)
        for check in checks_of(exercise_id)
    )
