"""Exercises that are a fault to be mended: the code that the learner is given."""

from pathlib import Path

from course import ROOT, CourseError, packed
from course.grading.source import UNREADABLE, definition_text, read_source, same_code
from course.syllabus import Exercise


def given_code(exercise: Exercise) -> dict[str, str]:
    """The reference's functions with the fault in them, docstrings included.

    Raises:
        ValueError: if a place of the fault is not found in them exactly once.
    """
    source = packed.read_text(ROOT / "solutions" / f"{exercise.chapter}.py")
    given = {symbol: definition_text(source, symbol) for symbol in exercise.symbols}
    for old, new in exercise.fault:
        found = sum(text.count(old) for text in given.values())
        if found != 1:
            raise ValueError(f"{exercise.id}, fault: {old!r} is found {found} times, not once")
        given = {symbol: text.replace(old, new) for symbol, text in given.items()}
    return given


def is_untouched(path: Path, exercise: Exercise) -> bool:
    """Is the fault of this exercise still in the file as it was given?"""
    if not exercise.fault:
        return False
    try:
        text = read_source(path)
        return all(
            same_code(definition_text(text, symbol), given)
            for symbol, given in given_code(exercise).items()
        )
    except (*UNREADABLE, CourseError, OSError, LookupError):
        return False
