"""Names of mistakes: never more than is known, and messages that say plainly what came back."""

import ast
import inspect
import json
from dataclasses import replace

import pytest
import torch

from benchmarks import naming, plausible
from course import ROOT, cli
from course.grading import code as grading_code
from course.grading import recognition
from course.grading.answers import Answers, misconceptions_of, reference_code
from course.grading.checking import checks_of, listed
from course.grading.code import LoadedCode, LocalCode, NoVerdict, Overlay, answer_code
from course.grading.grader import Grader, Outcome, judge
from course.grading.recognition import recognise, same_result
from course.pages import notebook
from course.probing import observing
from course.probing.observing import no_result
from course.syllabus import FAILED, PASSED, chapters, exercises, find_exercise


def changed_file(folder, chapter: str, *places: tuple[str, str]) -> LocalCode:
    """The solution of a chapter with each of these places changed."""
    text = (ROOT / "solutions" / f"{chapter}.py").read_text(encoding="utf-8")
    for before, after in places:
        assert text.count(before) == 1, before
        text = text.replace(before, after)
    (folder / f"{chapter}.py").write_text(text, encoding="utf-8")
    return LocalCode(folder)


def last_outcome(code: LocalCode, exercise_id: str) -> Outcome:
    return Grader(code).grade_exercise(exercise_id).outcomes[-1]


def first_outcome(solutions, exercise_id: str, **symbols) -> Outcome:
    """The first check that the reference fails with these symbols in it; the last if none."""
    exercise = find_exercise(exercise_id)
    code = LoadedCode(Overlay(solutions.chapter(exercise.chapter), **symbols), "")
    for check in checks_of(exercise_id):
        outcome = judge(check, code)
        if outcome.status != PASSED:
            break
    return outcome


FUNCTIONS = [
    (exercise, symbol)
    for exercise in exercises()
    for symbol in exercise.symbols
    if inspect.isfunction(getattr(grading_code.reference().chapter(exercise.chapter), symbol))
]


@pytest.mark.parametrize(
    "exercise, symbol", FUNCTIONS, ids=[f"{exercise.id}-{symbol}" for exercise, symbol in FUNCTIONS]
)
def test_a_missing_return_names_itself(exercise, symbol, solutions):
    function = getattr(solutions.chapter(exercise.chapter), symbol)

    def without_return(*args, **kwargs):
        function(*args, **kwargs)

    outcome = first_outcome(solutions, exercise.id, **{symbol: without_return})
    if symbol == "save_checkpoint":  # which returns nothing
        assert outcome.status == PASSED
        return
    assert outcome.status == FAILED
    assert "None. If one of your functions returns None: is its `return` missing?" in outcome.got
    assert "NoneType" not in outcome.got
    assert outcome.misconception in ("", "nothing returned")


@pytest.mark.parametrize(
    "exercise, symbol", FUNCTIONS, ids=[f"{exercise.id}-{symbol}" for exercise, symbol in FUNCTIONS]
)
def test_an_error_of_its_own_has_no_name(exercise, symbol, solutions):
    function = getattr(solutions.chapter(exercise.chapter), symbol)

    def misspelt(*args, **kwargs):
        return function(*args, **kwargs).no_such_thing

    outcome = first_outcome(solutions, exercise.id, **{symbol: misspelt})
    assert outcome.status == FAILED and "no attribute 'no_such_thing'" in outcome.got
    assert not outcome.misconception


@pytest.mark.parametrize(
    "exercise_id, name",
    [
        ("1.2", "clipped at 0.9999 unless another limit is named"),
        ("1.4", "the ratio rounded before its logarithm"),
        ("4.1", "no shortcut where the channels differ"),
        ("6.3", "the generator is seeded again at every step"),
        ("7.2", "eta = 1 unless another is named"),
        ("8.1", "shares rounded down to whole numbers"),
    ],
)
def test_what_is_not_known_is_not_called_by_a_neighbours_name(exercise_id, name):
    (known,) = (answer for answer in misconceptions_of(exercise_id) if answer.name == name)
    code = answer_code(known)
    check, seen = naming.first_failure(code, exercise_id)
    assert recognise(code, check, seen, seed=0) == (None if seen.raised else known)
    assert recognise(code, check, seen, seed=0, withheld=name) is None


TWO_MISTAKES = {
    "ch01_noise_schedule": [
        ("** 2  # (T+1,)", "# (T+1,)"),
        ("betas.clamp(max=max_beta).float()", "betas.float()"),
    ],
    "ch02_forward_process": [
        (
            "torch.sqrt(alpha_bar) * x0 + torch.sqrt(1 - alpha_bar) * eps",
            "torch.sqrt(alpha_bar) * x0[:1] + (1 - alpha_bar) * eps",
        )
    ],
}


@pytest.mark.parametrize("chapter, exercise_id", list(zip(TWO_MISTAKES, ("1.2", "2.3"))))
def test_of_two_mistakes_at_once_none_is_named(empty_exercises, chapter, exercise_id):
    outcome = last_outcome(
        changed_file(empty_exercises, chapter, *TWO_MISTAKES[chapter]), exercise_id
    )
    assert outcome.status == FAILED and outcome.expected and outcome.got
    assert not outcome.misconception


SIGNAL_ALONE = ("torch.log(signal / noise)", "torch.log(signal)")


def test_a_mistake_that_another_function_meets_too_is_named(empty_exercises):
    code = changed_file(empty_exercises, "ch01_noise_schedule", SIGNAL_ALONE)
    assert last_outcome(code, "1.4").misconception == "the signal alone"


def test_a_mistake_is_named_before_the_other_function_is_written(empty_exercises):
    path = empty_exercises / "ch01_noise_schedule.py"
    wrong = "\n\ndef log_snr(alpha_bars):\n    return torch.log(alpha_bars.double()).float()\n"
    path.write_text(path.read_text() + wrong)
    outcome = last_outcome(LocalCode(empty_exercises), "1.4")
    assert outcome.misconception == "the signal alone"


def test_two_mistakes_are_one_if_they_are_off_in_the_same_way():
    right = {"a": torch.linspace(0, 1, 5), "b": [0.5, "x"]}

    def off(by, word="x"):
        return {"a": torch.linspace(0, 1, 5) + by, "b": [0.5, word]}

    for size in (1e-5, 1.0, 1e3):
        assert same_result(off(size), off(1.001 * size), right, fails=True)
        assert not same_result(off(size), off(1.1 * size), right, fails=True)
        assert not same_result(off(size), off(-size), right, fails=True)
        assert not same_result(off(size), off(size, "y"), right, fails=True)
    assert same_result(off(1e-8, "y"), off(0.0, "y"), right, fails=True)
    assert same_result(off(1e-4), off(-1e-4), right, fails=False)
    assert not same_result(off(1e-2), off(0.0), right, fails=False)
    assert not same_result({"a": right["a"].double()}, right, right, fails=False)


# Messages


def test_a_walk_of_a_thousand_steps_is_told_in_a_few_words(empty_exercises):
    place = ("num_steps = len(schedule.betas)\n    film = []", "num_steps = 1000\n    film = []")
    got = last_outcome(changed_file(empty_exercises, "ch06_guided_sampling", place), "6.3").got
    assert got.endswith("990, ... (1,000 in all)") and len(got) < 100


def test_a_list_is_shown_in_full_where_it_is_short():
    assert listed([3, [1, 2]]) == "3, [1, 2]"
    assert listed(range(4), most=3) == "0, 1, 2, ... (4 in all)"


@pytest.mark.parametrize(
    "exercise_id, symbol, hint", [("8.6", "two_nearest", False), ("2.2", "q_step", True)]
)
def test_the_hint_at_a_shape_is_given_where_there_are_images(exercise_id, symbol, hint, solutions):
    def unfitting(*args, **kwargs):
        return torch.zeros(2) + torch.zeros(3)

    got = first_outcome(solutions, exercise_id, **{symbol: unfitting}).got
    assert "Two shapes do not fit together" in got
    assert ("(B, 1, 1, 1)" in got) == hint


def test_a_variance_that_is_nearly_zero_is_shown_with_its_digits(empty_exercises):
    code = changed_file(empty_exercises, "ch02_forward_process")
    text = code.path("ch02_forward_process").read_text(encoding="utf-8")
    code.path("ch02_forward_process").write_text(
        text + "\n\n_posterior = q_posterior\n\n\ndef q_posterior(x0, x_t, t, schedule):\n"
        "    mean, variance = _posterior(x0, x_t, t, schedule)\n"
        "    return mean, variance.clamp(min=2e-5)\n",
        encoding="utf-8",
    )
    assert last_outcome(LocalCode(empty_exercises), "2.5").got == "variance 2e-05"


def test_a_schedule_that_is_a_dict_is_told(solutions):
    outcome = first_outcome(solutions, "2.5", make_schedule=lambda betas: {"betas": betas})
    assert "NoiseSchedule" in outcome.expected
    assert outcome.got == "an object of type dict"


# A machine that is too busy


@pytest.mark.parametrize("computed, busy", [(9.9, False), (0.2, True)])
def test_a_loop_is_suspected_alone_only_where_the_code_computed(computed, busy):
    said = observing._stopped(10.0, 3, computed)
    assert "endless loop" in said and ("the machine busy" in said) == busy
    assert f"stopped after {30 if busy else 10} seconds" in said


@pytest.fixture
def busy(monkeypatch):
    """The reference does not come to an end in time."""
    grading_code.reference_evidence.cache_clear()
    late = no_result("stopped after 10 seconds", out_of_time=True)
    monkeypatch.setattr(grading_code.reference(), "observe", lambda check, seed: late)
    yield
    grading_code.reference_evidence.cache_clear()


def test_a_busy_machine_gives_a_sentence_and_no_verdict(busy, capsys, monkeypatch):
    with pytest.raises(NoVerdict, match=r"^exercise 1.1 cannot be judged now: .*\.$"):
        Grader(LocalCode(ROOT / "solutions")).grade_exercise("1.1")
    assert cli.main(["check", "1.1", "--impl", str(ROOT / "solutions")]) == 2
    said = capsys.readouterr()
    assert "cannot be judged now" in said.out + said.err
    assert "Traceback" not in said.out + said.err


def test_a_busy_machine_is_told_in_a_notebook(busy, capsys, monkeypatch):
    monkeypatch.setenv("COURSE_EXERCISES", str(ROOT / "solutions"))
    assert notebook.check("1.1") is None
    assert "cannot be judged now" in capsys.readouterr().out


# The benchmark


def test_a_mutant_is_named_rightly_wrongly_or_tells_itself():
    exercise = find_exercise("1.4")
    source = (ROOT / "solutions" / f"{exercise.chapter}.py").read_text(encoding="utf-8")

    def fate(before, after):
        assert source.count(before) == 1
        return naming.fate_of(source.replace(before, after), exercise)

    assert fate(*SIGNAL_ALONE) == ("right", "the signal alone")
    assert fate("torch.log(signal / noise)", "torch.log(signal * noise)") == ("no name", "")
    assert fate("torch.log(signal / noise).float()", "None") == ("by itself", "")
    assert fate("torch.log(signal / noise)", "(torch.log(signal) - torch.log(noise))") == ("", "")


def test_a_known_answer_that_is_withheld_has_no_other_name():
    found = naming.withheld(find_exercise("1.1"))
    assert len(found) == len(misconceptions_of("1.1"))
    assert {taken for _, taken in found} == {""}


def test_the_page_shows_the_benchmarks_table():
    records = json.loads(naming.RESULTS.read_text(encoding="utf-8"))
    assert list(records) == [exercise.id for exercise in exercises()]
    assert all(set(record) == set(naming.COLUMNS) for record in records.values())
    table = naming.table(records)
    assert len(table) == 2 + len(chapters()) + 1
    assert "\n".join(table) in (ROOT / "docs" / "checks.md").read_text(encoding="utf-8")


def test_a_mistake_that_is_written_in_two_ways_has_one_name():
    answers = Answers()
    answers.edit("1.1", "halved", "Whole, please.", ("num_steps, dtype", "num_steps // 2, dtype"))
    answers.again("1.1", "halved", ("beta_end, num_steps, dtype", "beta_end / 2, num_steps, dtype"))

    @answers.wrong_again("1.1", "halved")
    def linear_betas(num_steps, beta_start=1e-4, beta_end=0.02):
        return torch.full((num_steps,), beta_start)

    assert [answer.name for answer in answers.all] == ["halved"] * 3
    assert [answer.number for answer in answers.all] == [1, 2, 3]
    assert len({answer.help for answer in answers.all}) == 1
    assert len({answer.file for answer in answers.all}) == 3
    with pytest.raises(ValueError, match="1.1 has no 'doubled' yet"):
        answers.again("1.1", "doubled", ("num_steps, dtype", "2 * num_steps, dtype"))


def test_two_ways_to_write_a_mistake_do_not_hide_its_name(monkeypatch, solutions):
    """Both do the same as the code under test, and both have the same name: that is the name."""
    known = misconceptions_of("1.1")
    twice = (*known, replace(known[0], number=2))
    monkeypatch.setattr(recognition, "misconceptions_of", lambda exercise: twice)
    for cache in (recognition.candidates_of, recognition._code):
        cache.cache_clear()
    try:
        assert first_outcome(solutions, "1.1", **known[0].symbols).misconception == known[0].name
    finally:
        for cache in (recognition.candidates_of, recognition._code):
            cache.cache_clear()


def test_the_bank_of_made_up_answers_is_whole_and_its_figures_are_the_page_s():
    for exercise in exercises():
        entries = [e for e in plausible.bank_of(chapter_of(exercise)) if e.exercise == exercise.id]
        assert sum(not entry.right for entry in entries) >= 4, exercise.id
        assert any(entry.right for entry in entries), exercise.id
        assert all(entry.thought and find_definitions(entry.code) for entry in entries)
    page = (ROOT / "docs" / "checks.md").read_text(encoding="utf-8")
    for line in plausible.table(json.loads(plausible.RESULTS.read_text(encoding="utf-8"))):
        assert line in page, "run: python -m benchmarks.plausible --write"


@pytest.mark.parametrize("right, kind", [(False, plausible.MISSED), (True, plausible.RIGHT)])
def test_an_answer_of_the_bank_that_nothing_catches(right, kind):
    """The reference's own code: missed if it was meant to be wrong, accepted if it was right."""
    code = reference_code("1.1")["linear_betas"]
    entry = plausible.Entry("1.1", "the reference", right, code)
    assert plausible.fate(entry, chapters()[0])[0] == kind


def test_an_answer_of_the_bank_is_caught_and_named():
    code = reference_code("1.1")["linear_betas"]
    halved = code.replace("num_steps, dtype", "num_steps + 1, dtype")
    entry = plausible.Entry("1.1", "one too many", False, halved)
    assert plausible.fate(entry, chapters()[0]) == ("right", "one value too many")
    as_right = plausible.Entry("1.1", "one too many", True, halved)
    assert plausible.fate(as_right, chapters()[0])[0] == plausible.REJECTED


def chapter_of(exercise):
    return next(chapter for chapter in chapters() if exercise in chapter.exercises)


def find_definitions(code: str) -> list:
    return [node for node in ast.parse(code).body if hasattr(node, "name")]
