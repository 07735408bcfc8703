"""The one list of chapters and exercises, read from checks/chNN_topic.toml."""

import functools
import tomllib
from dataclasses import dataclass

from course import ROOT, CourseError

PASSED, FAILED, NOT_WRITTEN = STATUSES = ("passed", "failed", "not written yet")


@dataclass(frozen=True)
class Look:
    """How a status is shown everywhere."""

    sign: str
    style: str  # in the terminal, a style of rich
    colour: str  # on pages: blue, vermilion and grey are told apart by the colour-blind too


LOOKS = {
    PASSED: Look("✔", "green", "#0072b2"),
    FAILED: Look("✘", "red", "#d55e00"),
    NOT_WRITTEN: Look("○", "dim", "#808080"),
}


@dataclass(frozen=True)
class Exercise:
    id: str  # "1.2"
    chapter: str  # "ch01_noise_schedule"
    symbols: tuple[str, ...]  # the functions or classes to write
    title: str
    points: int
    difficulty: int  # 1 easy, 2 some thought, 3 hard
    minutes: int
    hints: tuple[str, ...]  # from a question to nearly the answer

    @property
    def number(self) -> tuple[int, int]:
        """(1, 2) for "1.2", so that exercises and chapters beyond 9 keep their order."""
        chapter, _, position = self.id.partition(".")
        return int(chapter), int(position)


@dataclass(frozen=True)
class Chapter:
    name: str  # "ch01_noise_schedule"
    title: str
    exercises: tuple[Exercise, ...]

    @property
    def number(self) -> str:
        """ "01"."""
        return self.name[2:4]

    @property
    def notebook(self) -> str:
        return f"chapters/{self.name[2:]}.ipynb"


@functools.cache
def chapters() -> tuple[Chapter, ...]:
    """All chapters that have exercises, in order.

    Raises:
        CourseError: if there is none.
    """
    found = tuple(_read(path) for path in sorted((ROOT / "checks").glob("ch*.toml")))
    if not found:
        raise CourseError(f"there are no chapters in {ROOT / 'checks'}; install the course anew")
    return found


def _read(path) -> Chapter:
    content = tomllib.loads(path.read_text(encoding="utf-8"))
    exercises = tuple(
        Exercise(
            id=entry["id"],
            chapter=path.stem,
            symbols=tuple(entry["symbols"]),
            title=entry["title"],
            points=entry["points"],
            difficulty=entry["difficulty"],
            minutes=entry["minutes"],
            hints=tuple(entry["hints"]),
        )
        for entry in content["exercise"]
    )
    return Chapter(path.stem, content["title"], exercises)


def exercises() -> tuple[Exercise, ...]:
    """All exercises of all chapters, in order."""
    return tuple(exercise for chapter in chapters() for exercise in chapter.exercises)


def find_exercise(exercise_id: str) -> Exercise:
    """The exercise with this number.

    Raises:
        CourseError: if there is none.
    """
    for exercise in exercises():
        if exercise.id == exercise_id:
            return exercise
    known = ", ".join(exercise.id for exercise in exercises())
    raise CourseError(f"there is no exercise {exercise_id!r}; there are {known}")


def find_chapter(number: str) -> Chapter:
    """The chapter with this number, given as "01", "1" or "ch01_noise_schedule".

    Raises:
        CourseError: if there is none with exercises.
    """
    for chapter in chapters():
        if number == chapter.name or number.zfill(2) == chapter.number:
            return chapter
    known = ", ".join(chapter.number for chapter in chapters())
    raise CourseError(f"there is no chapter {number!r} with exercises; there are {known}")


def select(which: str | None) -> tuple[Exercise, ...]:
    """The exercises meant by "1.2" (one), "01" (a chapter) or None (all)."""
    if which is None:
        return exercises()
    if "." in which:
        return (find_exercise(which),)
    return find_chapter(which).exercises


def exercise_of(symbol: str) -> Exercise:
    """The exercise in which `symbol` is written.

    Raises:
        CourseError: if no exercise asks for it.
    """
    for exercise in exercises():
        if symbol in exercise.symbols:
            return exercise
    raise CourseError(f"no exercise asks for {symbol!r}")
