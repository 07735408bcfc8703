"""The clinic: its cases are ill in the way that they say, and what mends them passes."""

import ast
import json
import re

import pytest
import torch

from course import ROOT, CourseError
from course.grading.answers import reference_code
from course.grading.code import reference
from course.learner.workspace import Workspace
from course.pages import clinic
from course.pages.clinic import DECOYS, Card, case_of, cases, diagnoses, diagnosis, mend
from course.syllabus import NOT_WRITTEN, PASSED, find_exercise
from tests.notebooks import NOTEBOOKS, code_cells, read

NUMBERS = range(1, len(cases()) + 1)
GRADED = [n for n in NUMBERS if case_of(n).exercise]
OWN = [n for n in NUMBERS if not case_of(n).exercise]
SHORT = {"updates": 60}


def notebook():
    """The clinic's notebook."""
    return read(next(path for path in NOTEBOOKS if path.stem == "clinic"))


def imported():
    """The names that the notebook's cell of imports gives."""
    names = {}
    cells = (cell.source for cell in code_cells(notebook()))
    exec(next(text for text in cells if "from course.pages.clinic import" in text), names)
    return names


def pasted(code):
    """The function or class of some code, as it is in the notebook if one pastes it there."""
    names = imported()
    exec(code, names)
    return names[ast.parse(code).body[-1].name]


def given(number):
    """The function or class that the owner brings."""
    return pasted(case_of(number).code)


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


def test_there_are_twelve_and_five_diagnoses_too_many():
    names = set(map(diagnosis, cases()))
    assert len(cases()) == len(names) == 12 and len(DECOYS) == 5
    assert set(diagnoses()) == names | set(DECOYS) and len(diagnoses()) == 17
    assert any("Five of the list fit no case" in cell.source for cell in notebook().cells)


@pytest.mark.parametrize("number", NUMBERS)
def test_a_case_does_not_tell_what_ails_it(number):
    case = case_of(number)
    public = [getattr(case, name) for name in dir(case) if not name.startswith("_")]
    assert diagnosis(case) not in public and diagnosis(case) not in repr(case)
    assert not case.exercise or case.code not in repr(case)


@pytest.mark.parametrize("number", GRADED)
def test_the_code_of_a_case_is_rejected_and_the_reference_mends_it(number):
    ill = given(number)
    card = mend(number, ill)
    assert isinstance(card, Card) and card.result.status != PASSED
    exercise = find_exercise(case_of(number).exercise)
    right = getattr(reference().chapter(exercise.chapter), ill.__name__)
    assert mend(number, right).result.status == PASSED
    text = reference_code(case_of(number).exercise)[ill.__name__].replace("ema: EMA", "ema")
    assert mend(number, pasted(text)).result.status == PASSED


@pytest.mark.parametrize("number", [n for n in NUMBERS if "settings = " not in case_of(n).code])
def test_settings_do_not_mend_code(number, capsys):
    assert mend(number, {"EMA decay": 0.99}) is None
    assert capsys.readouterr().out == (
        f"✘ case {number}: other settings can only hide the fault. Mend the code.\n"
    )


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


def test_the_mode_is_to_be_left_as_it_was(capsys):
    mend(8, stays_in_eval)
    assert "leave it in the mode in which you found it" in capsys.readouterr().out


@pytest.mark.parametrize(
    "settings, told",
    [
        ({"learning rate": 0.1}, "after training, half of the points are 0.1"),
        ({"updates": 200}, "after training, the drawing is "),  # the owner's learning rate is kept
        ({"learning rate": 0.03}, ""),
    ],
)
def test_a_learning_rate_is_judged_by_what_is_drawn(settings, told, capsys):
    mend(1, settings)
    assert capsys.readouterr().out.startswith(
        f"✘ case 1: {told}" if told else "✔ case 1 is mended."
    )


@pytest.mark.parametrize(
    "changes, told",
    [
        ({"step": 10}, "no setting 'step'; there are points, updates"),
        ({"updates": 0}, "updates must be a whole number from 1, got 0"),
        ({"batch": 12.5}, "batch must be a whole number from 1, got 12.5"),
    ],
)
def test_a_run_says_which_settings_there_are(changes, told):
    with pytest.raises(CourseError, match=told):
        clinic.start(None, **changes)


def test_settings_are_mended_by_a_run(capsys):
    mend(1, {"learning rate": 0.3, "updates": 200})
    assert capsys.readouterr().out.startswith("✘ case 1: after training, the drawing is ")
    mend(1, {"learning rate": 3e-3})
    assert capsys.readouterr().out == "✔ case 1 is mended.\n"
    mend(12, {"colour": 1})
    assert "hand in a dict of settings" in capsys.readouterr().out


def test_a_diagnosis_is_right_or_not(capsys):
    for number in NUMBERS:
        right = diagnosis(case_of(number))
        for choice, chosen in enumerate(diagnoses(), start=1):
            clinic.name(number, choice)
            said = capsys.readouterr().out
            assert said.startswith(f"{'✔' if chosen == right else '✘'} case {number}: {chosen}")
            assert DECOYS.get(chosen, "") in said
    for call in (lambda: clinic.name(1, 18), lambda: case_of(0), lambda: mend(4, len)):
        with pytest.raises(CourseError):
            call()


def test_the_evidence_is_there_and_small():
    content = clinic.EVIDENCE.read_text(encoding="utf-8")
    assert len(content) < 500_000
    assert set(json.loads(content)) == {"sound", *map(str, NUMBERS)}
    for number in (None, *NUMBERS):
        assert clinic.chart(number).axes


def test_the_words_of_a_chart_tell_what_is_seen():
    said = {number: clinic.words(number) for number in (None, *NUMBERS)}
    assert len(set(said.values())) == 12  # case 10 is the sound run
    assert said[None] == said[10]
    for number, text in said.items():
        kept = clinic.stored()["sound" if number is None else str(number)]
        assert f"{kept['numbers'][clinic.LAST]:g}, the mean of the last 100 losses" in text
        titles = [axes.get_title() for axes in clinic.chart(number).axes[1:] if axes.axison]
        drawn = [f"after {moment} updates" for moment in kept["moments"]]
        assert titles == drawn and all(f"A{moment[1:]} half" in text for moment in drawn)
        assert ("dashed" in text) == (number == 11)
    assert "Up to update 300 the two are the same" in said[11]
    assert re.findall(r"(\d+) are out of", said[2]) == ["158", "11", "3"]  # of rounded points


def test_each_drawn_point_is_measured_to_the_moon_that_was_asked_for():
    points, groups = clinic.points_on(clinic.SHAPES[clinic.SHAPE], 100, seed=3, spread=0)
    assert clinic.from_moon(points.flatten(1), groups).max() < 0.01
    assert clinic.from_moon(points.flatten(1), 1 - groups).median() > 0.2


def test_the_figures_in_the_text_of_case_10_are_the_measured_ones():
    ratios = clinic.stored()["10"]["ratios"]
    text = next(c.source for c in notebook().cells if "number of points" in c.source)
    for kind in ("ill", "mended"):
        least, median, most = ratios[kind]["40 points of the data itself"]
        assert f"from {least:.1f} to {most:.1f}, and half of them are below {median:.1f}" in text


def test_code_of_an_exercise_is_shown_once_it_passes(monkeypatch, tmp_path):
    monkeypatch.setenv("COURSE_EXERCISES", str(tmp_path / "exercises"))
    for status in (NOT_WRITTEN, PASSED):
        monkeypatch.setattr(Workspace, "status", lambda self, exercise, status=status: status)
        for number in NUMBERS:
            case, text = case_of(number), clinic.report(number)
            assert case.complaint in text and diagnosis(case) not in text
            assert (case.code in text) == (status == PASSED or not case.exercise)


def test_a_run_can_be_examined():
    run = clinic.start(None, **SHORT)
    assert len(run.losses) == 60 and len(run.drawings) == 3
    assert run.losses[-1] < run.losses[0]
    levels = clinic.error_by_level(run)
    assert len(levels) == 5 and all(0 < level < 3 for level in levels)
    assert clinic.gradient_norm(run) > 0 and 0 <= clinic.nearest(run) <= 1
    assert clinic.guess_at(run, 50).shape == (clinic.DRAWN, 2, 1, 1)
    losses = clinic.overfit_one_batch(run, 60)
    assert losses[-1] < 0.8 * losses[0]
    assert clinic.start(None, **SHORT).losses == run.losses


def test_whether_the_label_was_heard_can_be_told_from_the_errors():
    case = next(case for case in cases() if case.exercise == "3.4")
    sound = clinic.error_by_label(clinic.start(None, updates=200))
    deaf = clinic.error_by_label(clinic.start(case, updates=200))
    assert sound["right"] < sound["none"] < sound["other"]
    assert deaf["none"] < deaf["right"]


def test_copies_are_nearer_to_a_point_trained_on_than_new_points():
    run = clinic.start(None, points=50, **SHORT)
    run.drawings[-1] = clinic.points_on(clinic.SHAPES[clinic.SHAPE], 200, seed=3)[0]
    new = clinic.nearest(run)
    run.drawings[-1] = run.points + 0.001
    assert clinic.nearest(run) < 0.2 < 0.5 < new


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


def test_the_notebook_says_the_settings_of_the_sound_run():
    text = (ROOT / "chapters" / "clinic.ipynb").read_text(encoding="utf-8")
    shown = text[text.index("Its settings:") : text.index("A case names what differs")]
    for value in clinic.SETTINGS.values():
        said = f"{value:,}" if isinstance(value, int) else f"{value:g}"
        assert said in shown or value == 0, said
