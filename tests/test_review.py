"""`course review`: what can be asked, what is remembered, and how it is asked."""

import ast
import dataclasses
import json
import re
from datetime import UTC, datetime, timedelta

import pytest
import torch
from rich.console import Console

from benchmarks.classroom import solution_of
from benchmarks.review import faults_of
from course.grading.answers import misconceptions_of
from course.grading.checking import checks_of
from course.grading.failure import PROMISED_FORM
from course.grading.looks import Curve, Numbers, Picture, looks_of
from course.learner import items
from course.learner.items import (
    NOTHING,
    Key,
    changed_lines,
    keys_of,
    make,
    make_all,
    place_of_mistake,
)
from course.learner.review import FILE, Deck
from course.learner.review_terminal import answer_lines, drawn, question
from course.learner.workspace import Workspace
from course.pages.review import Review
from course.syllabus import chapters, exercises, find_chapter
from tests.terminal import Terminal

SOME = ("1.1", "1.2", "2.3", "5.2", "6.4", "7.1", "8.6")


@pytest.fixture
def workspace(tmp_path) -> Workspace:
    """One whose first two chapters pass."""
    workspace = Workspace(tmp_path / "exercises")
    for chapter in chapters()[:2]:
        workspace.file(chapter.name).write_text(solution_of(chapter), encoding="utf-8")
    passed = {e.id for chapter in chapters()[:2] for e in chapter.exercises}
    progress = {
        e.id: {
            "status": "passed" if e.id in passed else "not written yet",
            "key": workspace.key(e.chapter),
        }
        for e in exercises()
    }
    workspace.state.write("progress.json", progress)
    return workspace


def text_of(parts) -> str:
    console = Console(width=120, markup=False, emoji=False, highlight=False)
    with console.capture() as capture:
        for part in parts:
            console.print(part)
    return capture.get()


# Items


def test_it_is_known_of_every_mistake_which_checks_catch_it():
    caught = json.loads(items.CAUGHT_BY.read_text())
    for exercise in exercises():
        rows, count = caught.get(exercise.id, []), len(checks_of(exercise.id))
        assert len(rows) == len(misconceptions_of(exercise.id)) and all(rows), (
            f"{exercise.id}: python -m benchmarks.review --caught"
        )
        assert all(number < count for row in rows for number in row)


@pytest.mark.parametrize("exercise_id", SOME)
def test_every_item_can_be_answered_from_the_screen(exercise_id):
    made = [item for key in keys_of(exercise_id) for item in make_all(key, 3)]
    assert made and not [fault for item in made for fault in faults_of(item)]
    assert {item.answer for item in made} > {NOTHING}
    for item in made:
        assert item.choices[-1] == NOTHING and bool(item.code) != bool(item.look)
        screen = text_of(question(item))
        assert all(choice in " ".join(screen.split()) for choice in map(one_line, item.choices))
        assert one_line(item.help) not in one_line(screen) or not item.help


def one_line(text: str) -> str:
    return " ".join(text.split())


def test_every_exercise_has_something_to_ask():
    without = [e.id for e in exercises() if not any(make(key, 0) for key in keys_of(e.id)[:6])]
    assert without == ["10.8"]  # whose code is too long for a screen


def test_a_default_is_asked_about_only_with_the_signature_on_the_screen():
    (item,) = make_all(Key("4.1", "another default for groups"), 0)
    assert "groups: int=8" in item.promise and "groups: int = 4" in item.code


def test_a_look_that_a_mistake_does_not_change_is_not_asked_about():
    look = next(look for look in looks_of("1.1") if "row" in look.run.__name__)
    answer = next(a for a in misconceptions_of("1.1") if a.name == "bad ends no longer refused")
    assert items._of_look(Key("1.1", answer.name), look, items.random.Random(0)) is None


def test_the_answer_shows_the_mistake_beside_the_sound_version():
    code, curve = make_all(Key("5.3", "no warm-up"), 0)
    wrong, right = (text_of(answer_lines(code, choice)) for choice in (NOTHING, code.answer))
    assert "✘ no: no warm-up" in wrong and "✔ right" in right
    assert "(1 + n) / (10 + n)" in right and "sound" in right and "came back" in right
    assert code.places and one_line(code.help) in one_line(right)
    assert isinstance(curve.shown, Curve) and text_of(answer_lines(curve, NOTHING)).count("•") > 50


def test_sound_code_is_compared_with_the_mistake_that_was_named():
    (item, *_) = make_all(Key("1.1"), 0)
    item = dataclasses.replace(item, code=item.sound)  # the course's own way of writing it
    named = next(c for c in item.choices if c != NOTHING and item.instead(c))
    shown = text_of(answer_lines(item, named))
    assert f"With the mistake {named!r} it would be" in shown


@pytest.mark.parametrize(
    "sound, code, lines",
    [
        ("a\nb\nc", "a\nB\nc", {2}),
        ("a\nb\nc", "a\nc", {1, 2}),
        ("a\nb\nc", "a\nb", {2}),
        ("a\nb\nc", "b\nc", {1}),
        ("a\nc", "a\nb\nc", {2}),
    ],
)
def test_where_a_mistake_is(sound, code, lines):
    assert changed_lines(sound, code) == lines


MAKES = {"arange", "empty", "eye", "full", "linspace", "ones", "rand", "randint", "randn", "zeros"}


def without_device(code: str) -> set[str]:
    """Calls of torch that make a tensor on the CPU and leave it there."""
    nodes = list(ast.walk(ast.parse(code)))
    moved = {
        id(node.value) for node in nodes if isinstance(node, ast.Attribute) and node.attr == "to"
    }
    calls = [node for node in nodes if isinstance(node, ast.Call)]
    return {
        ast.unparse(call)
        for call in calls
        if id(call) not in moved
        and ast.unparse(call.func).removeprefix("torch.") in MAKES
        and not any(argument.arg == "device" for argument in call.keywords)
    }


@pytest.mark.parametrize("exercise", [e.id for e in exercises()])
def test_a_mistake_about_devices_is_not_offered_beside_code_that_makes_it_too(exercise):
    """A check may let such a tensor pass, for an index on the CPU reads tables on any device."""
    names = [key.mistake for key in keys_of(exercise)]
    about_devices = {name for name in names if re.search(r"\bCPU\b|\bdevice\b", name)}
    for key in keys_of(exercise) if about_devices else []:
        for item in make_all(key, 0):
            if item.code and about_devices & set(item.choices) and key.mistake not in about_devices:
                assert without_device(item.code) <= without_device(item.sound or item.code), key


@pytest.mark.parametrize(
    "sound, code, said",
    [
        ("a\nb\nc", "a\nB\nc", "It is in line 2"),
        ("a\nb\nc", "A\nb\nC", "It is in lines 1 and 3"),
        ("a\nb\nc\nd\ne", "A\nB\nC\nd\nE", "It is in lines 1 to 3 and 5"),
        ("a\nb\nc", "a\nc", "Something is missing between lines 1 and 2"),
        ("a\nb", "b", "Something is missing before line 1"),
        ("a\nb\nc\nd", "b\nd", "Something is missing before line 1, and between lines 1 and 2"),
        ("a\nb", "a", "Something is missing after line 1"),
    ],
)
def test_only_the_lines_of_the_mistake_are_named(sound, code, said):
    (item, _) = make_all(Key("5.3", "no warm-up"), 0)
    assert place_of_mistake(dataclasses.replace(item, sound=sound, code=code)) == said


def test_of_sound_code_in_another_style_no_lines_are_compared():
    """The course's own lines are not on the screen."""
    (item, *_) = make_all(Key("1.1"), 0)
    named = next(c for c in item.choices if c != NOTHING)
    other = dataclasses.replace(item, code=item.sound + "  # in another way")
    shown = text_of(answer_lines(other, named))
    assert "would be" not in shown and "came back" in shown


def test_right_code_in_other_styles_is_each_its_own():
    """Classes of one name in one file, which inspect.getsource cannot tell apart."""
    ways = items.sound_ways("3.2", "TimeMLP")
    assert len(ways) >= 5 and len(set(ways)) == len(ways)
    assert all(one.count("class TimeMLP") == 1 for one in ways)


def test_numbers_are_shown_to_their_end():
    shown = Numbers("f()", {"row": torch.arange(200)})
    assert "199" in text_of([drawn(shown)])


def test_what_a_check_could_not_read_is_said_only_if_no_check_can_say_more():
    (item,) = make_all(
        Key("7.5", "the network, and guidance with it, asked in the first step only"), 0
    )
    facts = dict(item.consequence(item.answer))
    assert facts["expected"] != PROMISED_FORM


def test_kinds_of_looks_are_told_apart_by_what_is_seen():
    one = Numbers("f()", {"a": torch.tensor([1.0, 2.0])})
    assert not one.differs(Numbers("f()", {"a": torch.tensor([1.0, 2.001])}))
    assert one.differs(Numbers("f()", {"a": torch.tensor([1.0, 2.2])}))
    assert one.differs(Numbers("f()", {"a": torch.tensor([1.0, 2.0]).double()}))
    x = torch.arange(100)
    curve = Curve("f()", x, x / 100, "x", "y")
    assert not curve.differs(Curve("f()", x, x / 100 + 0.05, "x", "y"))
    assert curve.differs(Curve("f()", x, x / 100 + 0.1, "x", "y"))
    picture = Picture("f()", torch.zeros(10, 10))
    assert not picture.differs(Picture("f()", torch.full((10, 10), 0.2)))
    assert picture.differs(Picture("f()", torch.full((10, 10), 0.5)))
    assert picture.differs(Picture("f()", torch.zeros(10, 11)))
    assert not curve.differs(Curve("f()", x[:99], x[:99] / 100, "x", "y"))
    assert curve.differs(Curve("f()", x[:50], x[:50] / 100, "x", "y"))
    for shown in (one, curve, picture):
        assert text_of([drawn(shown)])


# What is remembered


def test_only_what_has_passed_is_asked(workspace):
    deck = Deck(workspace)
    asked = set()
    for _ in range(25):
        item = deck.next()
        asked.add(item.key.exercise)
        deck.answer(item, item.answer)
    assert asked <= {e.id for chapter in chapters()[:2] for e in chapter.exercises}
    assert len(asked) > 4
    assert {e for e in Deck(workspace, "1.2").exercises} == {"1.2"}
    assert not Deck(workspace, "05").exercises and Deck(workspace, "05").next() is None


def test_sound_code_is_among_them(workspace):
    deck, sound = Deck(workspace), 0
    for _ in range(40):
        item = deck.next()
        sound += item.answer == NOTHING
        deck.answer(item, item.answer)
    assert 5 <= sound <= 24  # a third of 40 on average


def test_the_same_item_waits_until_it_is_answered(workspace):
    first = Deck(workspace).next()
    again = Deck(workspace).next()
    assert (first.key, first.choices, first.code) == (again.key, again.choices, again.code)
    deck = Deck(workspace)
    deck.answer(deck.next(), NOTHING)
    assert Deck(workspace).answered == 1


def test_what_was_missed_comes_back_sooner(workspace):
    deck = Deck(workspace)
    wrong, right = (
        next(item for key in keys_of(i)[1:] if (item := make(key, 0))) for i in ("1.1", "2.3")
    )
    wrong_choice = next(c for c in wrong.choices if c != wrong.answer)
    assert not deck.answer(wrong, wrong_choice) and deck.answer(right, right.answer)
    due = {name: card.due for name, card in Deck(workspace).cards.items()}
    assert due[str(wrong.key)] < due[str(right.key)]
    soon = datetime.now(UTC) + timedelta(minutes=5)
    assert str(next(deck._keys(soon, False, items.random.Random(0)))) == str(wrong.key)


def test_the_right_mistake_in_another_line_comes_back_sooner_than_in_its_own(workspace):
    deck = Deck(workspace)
    item = next(i for key in keys_of("1.2")[1:] for i in make_all(key, 0) if i.places)
    for _ in range(3):
        deck.answer(item, item.answer, line=999)
    hard = deck.cards.pop(str(item.key)).due
    for _ in range(3):
        deck.answer(item, item.answer, line=min(item.places))
    assert hard < deck.cards[str(item.key)].due


@pytest.mark.parametrize(
    "content",
    [
        "{",
        '{"answered": "x", "cards": 3}',
        '{"answered": 2, "cards": {"1.1": {"state": 9}, "1.2 gone": 5}}',
    ],
)
def test_a_broken_state_counts_as_new(workspace, content):
    (workspace.state.folder / FILE).write_text(content)
    deck = Deck(workspace)
    assert deck.cards == {}
    deck.answer(deck.next(), NOTHING)
    assert len(Deck(workspace).cards) == 1


def test_a_mistake_that_is_no_longer_known_is_not_asked(workspace):
    deck = Deck(workspace)
    item = make(Key("1.1"), 0)
    deck.answer(item, next(c for c in item.choices if c != NOTHING))
    deck.cards["1.1 a mistake of an older course"] = deck.cards["1.1"]
    late = datetime.now(UTC) + timedelta(days=300)
    assert "older" not in str(next(deck._keys(late, False, items.random.Random(0))))


# How it is asked


def test_it_asks_in_a_terminal(workspace):
    first = Deck(workspace).next()
    letter = "abcdefgh"[first.choices.index(first.answer)]
    terminal = Terminal("review", exercises=workspace.exercises)
    seen = terminal.wait_for("Your answer")
    assert first.choices[0] in seen
    terminal.press("z\n")
    terminal.wait_for("Type one of a")
    terminal.press(f"{letter}\n")
    if first.code and first.answer != NOTHING:
        terminal.wait_for("In which line")
        terminal.press("\n")
    terminal.wait_for("✔ right")
    terminal.wait_for("Your answer")
    terminal.press("q\n")
    terminal.wait_for("1 of 1 right")
    assert terminal.close() == 0 and Deck(workspace).answered == 1


def test_without_anything_passed_it_says_so(tmp_path):
    terminal = Terminal("review", "9.6", exercises=tmp_path / "exercises")
    terminal.wait_for("nothing yet")
    assert terminal.close() == 2


def test_it_asks_in_a_notebook(workspace, monkeypatch):
    monkeypatch.setenv("COURSE_EXERCISES", str(workspace.exercises))
    review = Review()
    first = review.item
    review.press()  # nothing chosen
    assert review.asked == 0
    review.choices.value = first.answer
    review.press()
    assert "✔ right" in review.verdict.value and review.asked == review.right == 1
    review.press()
    assert not review.verdict.value and str(review.item.key) != str(first.key)
    review.end = 0.0
    review.choices.value = next(c for c in review.choices.options if c != review.item.answer)
    review.press()
    assert "✘ no" in review.verdict.value
    review.press()
    assert "1 of 2 right" in review.screen.value and review.button.layout.display == "none"


def test_a_chapter_can_be_named(workspace):
    assert set(Deck(workspace, "02").exercises) == {e.id for e in find_chapter("02").exercises}


def test_an_item_shows_what_holds_for_the_whole_chapter():
    """Inputs that are changed, or results on another device, break no sentence of the function."""
    for exercise_id, rule in (
        ("6.1", "No function changes a tensor"),
        ("11.4", "lie on one device"),
    ):
        item = next(filter(None, (items.make(key, 0) for key in items.keys_of(exercise_id))))
        assert rule in " ".join(item.promise.split())
