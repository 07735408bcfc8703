"""The list of chapters: its order, how a part of it is chosen, and what is wrong with a bad one."""

import pytest

from benchmarks import mutants
from course import CourseError, syllabus
from course.grading.checking import checks_of
from course.grading.grader import Outcome, Result
from course.learner.scoreboard import next_exercise, score_lines, score_table
from course.syllabus import (
    FILES,
    NOT_WRITTEN,
    PASSED,
    chapters,
    exercises,
    find_chapter,
    find_exercise,
    select,
)

TEN_AND_TWO = ("1.10", *(f"1.{number}" for number in range(1, 10)), "1.11", "1.12")
LONG, TENTH = "ch01_long", "ch10_tenth"


def listed(exercise_id: str) -> str:
    """An exercise as a chapter's list has it."""
    return (
        f'[[exercise]]\nid = "{exercise_id}"\nsymbols = ["{symbol(exercise_id)}"]\n'
        f'title = "Exercise {exercise_id}"\npoints = 2\ndifficulty = 1\nminutes = 5\n'
        'hints = ["What?"]\n'
    )


def symbol(exercise_id: str) -> str:
    return f"f_{exercise_id.replace('.', '_')}"


@pytest.fixture
def root(tmp_path, monkeypatch):
    """Where a made-up course is: chapter 01 with twelve exercises, out of order, and chapter 10."""
    monkeypatch.setattr(syllabus, "ROOT", tmp_path)
    chapters.cache_clear()
    for name, ids in ((TENTH, ("10.1", "10.2")), (LONG, TEN_AND_TWO)):
        for file in FILES:
            (tmp_path / file.format(name)).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / file.format(name)).write_text("")
        (tmp_path / "solutions" / f"{name}.py").write_text(
            "".join(f"def {symbol(i)}(): ...\n" for i in ids)
        )
        (tmp_path / "checks" / f"{name}.toml").write_text(
            f'title = "{name}"\n' + "".join(listed(i) for i in ids)
        )
    yield tmp_path
    chapters.cache_clear()


def ids(found) -> list[str]:
    return [exercise.id for exercise in found]


IN_ORDER = [*(f"1.{number}" for number in range(1, 13)), "10.1", "10.2"]


def test_exercises_are_ordered_as_numbers(root):
    assert ids(exercises()) == IN_ORDER
    one, two, ten = (find_exercise(i).number for i in ("1.2", "1.10", "10.1"))
    assert one < two < ten


@pytest.mark.parametrize("which, chapter", [("1", LONG), ("01", LONG), (LONG, LONG)])
def test_chapter_01_is_not_taken_for_chapter_10(root, which, chapter):
    assert find_chapter(which).name == chapter
    assert ids(select(which)) == IN_ORDER[:12]


@pytest.mark.parametrize("which", ["10", TENTH])
def test_chapter_10_is_found(root, which):
    assert find_chapter(which).number == "10"
    assert find_chapter(which).notebook == "chapters/10_tenth.ipynb"
    assert ids(select(which)) == ["10.1", "10.2"]


@pytest.mark.parametrize("which", ["1.1", "1.10", "10.1"])
def test_one_exercise_is_chosen(root, which):
    assert ids(select(which)) == [which]


def test_the_scoreboard_keeps_the_order(root):
    results = [Result(e, (Outcome(PASSED, ""),)) for e in exercises()]
    first, second, total = score_lines(results)
    assert [word for word in first.split() if word.startswith("1.")] == IN_ORDER[:12]
    assert (
        second.startswith("10 ch10_tenth")
        and "4 of 4 points" in second
        and "28 of 28 points" in total
    )
    shown = list(score_table({}).columns[1].cells)
    assert [title for title in shown if title.startswith("Exercise")] == [
        f"Exercise {i}" for i in IN_ORDER
    ]
    statuses = {f"1.{number}": PASSED for number in range(1, 10)}
    assert next_exercise(statuses).id == "1.10"
    assert next_exercise(statuses | {"1.10": NOT_WRITTEN}).id == "1.10"


def test_the_mutants_results_keep_the_order(root, tmp_path):
    path = tmp_path / "mutants.json"
    mutants.write([mutants.Tally(e) for e in reversed(exercises())], path)
    text = path.read_text()
    places = [text.index(f'"exercise": "{i}"') for i in IN_ORDER]
    assert places == sorted(places)


FIRST = "checks/ch10_tenth.toml, exercise 10.1: "


@pytest.mark.parametrize(
    "before, after, words",
    [
        ("points = 2\n", "", FIRST + "points must be a whole number above 0, it is missing"),
        ("points = 2", "points = 0", FIRST + "points must be a whole number above 0, got 0"),
        ("points = 2", "points = -2", FIRST + "points must be a whole number above 0, got -2"),
        ("minutes = 5", 'minutes = "5"', FIRST + "minutes must be a whole number above 0, got '5'"),
        ("difficulty = 1", "difficulty = true", FIRST + "difficulty must be a whole number"),
        ('hints = ["What?"]', "hints = []", FIRST + "hints must be a list of texts, got []"),
        ('hints = ["What?"]', "hints = [1]", FIRST + "hints must be a list of texts, got [1]"),
        ('["f_10_1"]', '"f_10_1"', FIRST + "symbols must be a list of texts, got 'f_10_1'"),
        (
            '["f_10_1"]',
            '["f_10"]',
            FIRST + "symbols names f_10, which solutions/ch10_tenth.py does",
        ),
        ('id = "10.1"\n', "", "toml, exercise without an id: id must be a text, it is missing"),
        ('id = "10.1"', "id = 10.1", "exercise 10.1: id must be a text, got 10.1"),
        ('id = "10.1"', 'id = "1.1"', "exercise 1.1: the id must be 10. and a number, like 10.1"),
        ('id = "10.1"', 'id = "10.01"', "exercise 10.01: the id must be 10. and a number"),
        (
            'id = "10.1"',
            'id = "10.2"',
            "exercise 10.2: id gives 10.2, which exercise 10.2 has already",
        ),
        (
            'title = "ch10_tenth"\n',
            "",
            "checks/ch10_tenth.toml: title must be a text, it is missing",
        ),
        ("[[exercise]]\n", "[exercise\n", "checks/ch10_tenth.toml cannot be read: Expected ']'"),
    ],
)
def test_a_wrong_list_is_an_error_that_names_file_and_field(root, before, after, words):
    path = root / "checks" / "ch10_tenth.toml"
    text = path.read_text()
    assert before in text
    path.write_text(text.replace(before, after, 1))
    with pytest.raises(CourseError) as error:
        chapters()
    assert words in str(error.value)


def test_a_list_without_exercises_or_with_a_wrong_name_is_an_error(root):
    (root / "checks" / "ch10_tenth.toml").write_text('title = "Ten"\nexercise = "10.1"\n')
    with pytest.raises(CourseError, match="each exercise must begin with a line"):
        chapters()
    (root / "checks" / "ch10_tenth.toml").rename(root / "checks" / "ch1_tenth.toml")
    with pytest.raises(CourseError, match="ch1_tenth.toml: the name must be like ch01_noise"):
        chapters()


def test_no_two_exercises_ask_for_one_symbol(root):
    path = root / "checks" / "ch10_tenth.toml"
    path.write_text(path.read_text().replace("f_10_1", "f_1_4"))
    (root / "solutions" / "ch10_tenth.py").write_text("class f_1_4: ...\ndef f_10_2(): ...\n")
    with pytest.raises(
        CourseError, match="10.1: symbols gives f_1_4, which exercise 1.4 has already"
    ):
        chapters()


@pytest.mark.parametrize("file", FILES)
def test_a_missing_file_of_a_chapter_is_an_error_at_once(root, file):
    missing = file.format(TENTH)
    (root / missing).unlink()
    with pytest.raises(CourseError, match=f"ch10_tenth.toml lists a chapter, .* {missing} is mi"):
        find_exercise("10.1")


def test_an_exercise_without_checks_is_an_error_at_once(monkeypatch):
    from checks import test_ch01_noise_schedule as file

    for name in [name for name, value in vars(file).items() if hasattr(value, "check")]:
        if getattr(file, name).check.exercise == "1.4":
            monkeypatch.delattr(file, name)
    checks_of.cache_clear()
    try:
        with pytest.raises(CourseError, match="test_ch01_noise_schedule.py has no check of .* 1.4"):
            checks_of("1.4")
    finally:
        checks_of.cache_clear()
