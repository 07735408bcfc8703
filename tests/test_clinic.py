"""The clinic: its cases are ill in the way that they say, and what mends them passes."""

import json

import pytest
import torch

from course import CourseError
from course.grading.code import reference
from course.learner.workspace import Workspace
from course.pages import clinic
from course.pages.clinic import Card, case_of, cases, diagnoses, mend
from course.syllabus import NOT_WRITTEN, PASSED, find_exercise

NUMBERS = range(1, len(cases()) + 1)
GRADED = [n for n in NUMBERS if case_of(n).exercise]
OWN = [n for n in NUMBERS if not case_of(n).exercise]
SHORT = {"updates": 60}


def given(number):
    """The function or class that the owner brings."""
    case = case_of(number)
    if not case.exercise:
        names = {"torch": torch}
    else:
        names = dict(vars(clinic.of_case(None, case.exercise)))
    before = set(names) if not case.exercise else set()
    exec(case.code, names)
    symbols = find_exercise(case.exercise).symbols if case.exercise else set(names) - before
    found = next(names[s] for s in symbols if f" {s}(" in case.code or f" {s}:" in case.code)
    return found


def right_range(stored):
    return stored.float() / 127.5 - 1


def right_guidance(network, labels, w, null_label, guided_eps):
    return lambda x, t: guided_eps(network, x, t, labels, w, null_label)


def right_mode(network, x, t, labels):
    before = network.training
    network.eval()
    with torch.no_grad():
        answer = network(x, t, labels)
    network.train(before)
    return answer


def stays_in_eval(network, x, t, labels):
    with torch.no_grad():
        return network.eval()(x, t, labels)


def test_there_are_twelve_and_one_diagnosis_too_many():
    assert len(cases()) == 12 and len({case.name for case in cases()}) == 12
    assert len(diagnoses()) == 13 and {case.name for case in cases()} < set(diagnoses())


@pytest.mark.parametrize("number", GRADED)
def test_the_code_of_a_case_is_rejected_and_the_reference_mends_it(number):
    ill = given(number)
    card = mend(number, ill)
    assert isinstance(card, Card) and card.result.status != PASSED
    exercise = find_exercise(case_of(number).exercise)
    right = getattr(reference().chapter(exercise.chapter), ill.__name__)
    assert mend(number, right).result.status == PASSED


@pytest.mark.parametrize(
    "number, right, wrong",
    [
        (3, [right_range], [lambda s: s.float() / 255, lambda s: s / 127.5 - 1.0, lambda s: None]),
        (6, [right_guidance], []),
        (8, [right_mode], [stays_in_eval]),
    ],
)
def test_what_no_exercise_grades_is_graded_by_what_it_does(number, right, wrong, capsys):
    for function in (given(number), *wrong[:1], *wrong[2:]):
        mend(number, function)
        assert capsys.readouterr().out.startswith(f"✘ case {number}: ")
    for function in right:
        mend(number, function)
        assert capsys.readouterr().out == f"✔ case {number} is mended.\n"


def test_settings_are_mended_by_a_run(capsys):
    mend(1, {"learning rate": 0.3, "updates": 200})
    assert capsys.readouterr().out.startswith("✘ case 1: after training, the drawing is ")
    mend(1, {"learning rate": 3e-3})
    assert capsys.readouterr().out == "✔ case 1 is mended.\n"
    mend(12, {"colour": 1})
    assert "hand in a dict of settings" in capsys.readouterr().out


def test_a_diagnosis_is_right_or_not(capsys):
    for number in NUMBERS:
        choice = diagnoses().index(case_of(number).name) + 1
        clinic.name(number, choice)
        assert capsys.readouterr().out.startswith("✔")
        clinic.name(number, choice % 13 + 1)
        assert capsys.readouterr().out.startswith("✘")
    for call in (lambda: clinic.name(1, 14), lambda: case_of(0), lambda: mend(4, len)):
        with pytest.raises(CourseError):
            call()


def test_the_evidence_is_there_and_small():
    content = clinic.EVIDENCE.read_text(encoding="utf-8")
    assert len(content) < 500_000
    assert set(json.loads(content)) == {"sound", *map(str, NUMBERS)}
    for number in (None, *NUMBERS):
        assert clinic.chart(number).axes and "Loss from" in clinic.words(number)


def test_code_of_an_exercise_is_shown_once_it_passes(monkeypatch, tmp_path):
    monkeypatch.setenv("COURSE_EXERCISES", str(tmp_path / "exercises"))
    for status in (NOT_WRITTEN, PASSED):
        monkeypatch.setattr(Workspace, "status", lambda self, exercise, status=status: status)
        for number in NUMBERS:
            case, text = case_of(number), clinic.report(number)
            assert case.complaint in text and case.name not in text
            assert (case.code in text) == (status == PASSED or not case.exercise)


def test_a_run_can_be_examined():
    run = clinic.start(None, **SHORT)
    assert len(run.losses) == 60 and len(run.drawings) == 3
    assert run.losses[-1] < run.losses[0]
    levels = clinic.error_by_level(run)
    assert len(levels) == 5 and all(0 < level < 3 for level in levels)
    assert clinic.gradient_norm(run) > 0 and clinic.nearest(run) >= 0
    assert clinic.effect_of_label(run) > 0
    assert clinic.guess_at(run, 50).shape == (clinic.DRAWN, 2, 1, 1)
    losses = clinic.overfit_one_batch(run, 60)
    assert losses[-1] < 0.8 * losses[0]
    assert clinic.start(None, **SHORT).losses == run.losses


@pytest.mark.parametrize("number", NUMBERS)
def test_each_case_runs(number):
    changes = {"updates": 6, "points": min(case_of(number).shown["points"], 200)}
    run = clinic.start(case_of(number), **changes)
    assert len(run.losses) == 6 and run.drawings


def test_a_stop_changes_nothing_but_where_the_generator_is_lost():
    number = next(n for n in NUMBERS if case_of(n).exercise == "5.5")
    for case, same in ((None, True), (case_of(number), False)):
        whole, resumed = clinic.stop_and_go_on(case, halfway=5)
        assert (whole.losses == resumed.losses) == same
        assert whole.losses[:5] == resumed.losses[:5]


def test_in_the_case_of_the_label_the_network_hears_the_null_label_only():
    case = next(case for case in cases() if case.exercise == "3.4")
    p = case.shown["label dropout"]
    for ill, heard in ((case, {2}), (None, {0, 1})):
        drop = clinic.of_case(ill, "3.4").drop_labels
        labels = drop(torch.arange(100) % 2, p, 2, torch.Generator().manual_seed(0))
        assert set(labels.tolist()) == heard
