"""The one list of chapters and exercises, read from checks/chNN_topic.toml."""

import functools
import re
import tomllib
from dataclasses import dataclass
from pathlib import Path

from course import ROOT, CourseError, packed

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
    # Places of the reference, each (old, new), that make the code that is to be mended; for an
    # exercise in which something is to be written there are none.
    fault: tuple[tuple[str, str], ...] = ()
    no_run: str = ""  # what the exercise is if no run calls it: "a definition"

    @property
    def dots(self) -> str:
        """The difficulty as three dots, filled and empty."""
        return "●" * self.difficulty + "○" * (3 - self.difficulty)

    @property
    def task(self) -> str:
        """What there is to do with its functions."""
        return "Mend" if self.fault else "Write"

    def in_words(self, status: str) -> str:
        """A status of this exercise in words: what is to be mended cannot be "not written"."""
        return "not mended yet" if self.fault and status == NOT_WRITTEN else status

    @property
    def worth(self) -> str:
        """The points in words."""
        return "1 point" if self.points == 1 else f"{self.points} points"

    @property
    def number(self) -> tuple[int, int]:
        return number_of(self.id)


def number_of(exercise_id: str) -> tuple[int, int]:
    """(1, 2) for "1.2", so that exercises and chapters beyond 9 keep their order."""
    chapter, _, position = exercise_id.partition(".")
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


# What checks/NAME.toml must say of an exercise. It is looked at when the list is read, so that a
# gap is an error at once, and not when a learner meets it.
FIELDS = {
    "id": str,
    "symbols": list,
    "title": str,
    "points": int,
    "difficulty": int,
    "minutes": int,
    "hints": list,
}
KINDS = {str: "a text", int: "a whole number above 0", list: "a list of texts"}
FILES = (  # what a chapter has beside that list
    "solutions/{}.py",
    "checks/test_{}.py",
    "checks/probes/{}.py",
    "checks/misconceptions/{}.py",
    "checks/equivalents/{}.py",
)


@functools.cache
def chapters() -> tuple[Chapter, ...]:
    """All chapters that have exercises, in order.

    Raises:
        CourseError: if a chapter's list or one of its files is missing or wrong, or none is there.
    """
    found = tuple(_read(path) for path in sorted((ROOT / "checks").glob("ch*.toml")))
    if not found:
        raise CourseError(f"there are no chapters in {ROOT / 'checks'}; install the course anew")
    taken: dict[str, str] = {}  # by which exercise
    for exercise in (exercise for chapter in found for exercise in chapter.exercises):
        names = [("id", exercise.id), *(("symbols", symbol) for symbol in exercise.symbols)]
        for field, name in names:
            if name in taken:
                raise CourseError(
                    f"checks/{exercise.chapter}.toml, exercise {exercise.id}: {field} gives "
                    f"{name}, which exercise {taken[name]} has already"
                )
            taken[name] = exercise.id
    return found


def _read(path: Path) -> Chapter:
    """One chapter's list, with its exercises in order."""
    place = f"checks/{path.name}"
    if not re.fullmatch(r"ch\d\d_\w+", path.stem):
        raise CourseError(f"{place}: the name must be like ch01_noise_schedule.toml")
    for file in (file.format(path.stem) for file in FILES):
        if not (ROOT / file).is_file():
            raise CourseError(f"{place} lists a chapter, but its file {file} is missing")
    try:
        content = tomllib.loads(packed.read_text(path))
    except ValueError as error:
        raise CourseError(f"{place} cannot be read: {error}") from None
    title, entries = _field(content, "title", str, place), content.get("exercise")
    if not isinstance(entries, list) or not entries or not isinstance(entries[0], dict):
        raise CourseError(f"{place}: each exercise must begin with a line [[exercise]]")
    found = [_read_exercise(entry, path) for entry in entries]
    return Chapter(path.stem, title, tuple(sorted(found, key=lambda e: e.number)))


def _read_exercise(entry: dict, path: Path) -> Exercise:
    """One exercise of the list at `path`."""
    place = f"checks/{path.name}, exercise {entry.get('id', 'without an id')}"
    fields = {name: _field(entry, name, kind, place) for name, kind in FIELDS.items()}
    chapter = int(path.stem[2:4])
    if not re.fullmatch(rf"{chapter}\.[1-9]\d*", fields["id"]):
        raise CourseError(f"{place}: the id must be {chapter}. and a number, like {chapter}.1")
    solution = packed.read_text(ROOT / "solutions" / f"{path.stem}.py")
    for symbol in fields["symbols"]:
        if not re.search(rf"^(def|class) {re.escape(symbol)}\b", solution, re.MULTILINE):
            raise CourseError(
                f"{place}: symbols names {symbol}, which solutions/{path.stem}.py does not define"
            )
    return Exercise(
        chapter=path.stem,
        fault=tuple(_read_place(entry, place) for entry in entry.get("fault", [])),
        no_run=_field(entry, "no_run", str, place) if "no_run" in entry else "",
        **fields,
    )


def _read_place(entry: dict, place: str) -> tuple[str, str]:
    """One place of a fault: what the reference says there, and what the skeleton says."""
    return tuple(_field(entry, name, str, f"{place}, fault") for name in ("old", "new"))


def _field(entry: dict, name: str, kind: type, place: str) -> str | int | tuple[str, ...]:
    """The field `name`, if it is of this kind and not empty; a list as a tuple."""
    value = entry.get(name)
    right = bool(value) and type(value) is kind
    if right and kind is int:
        right = value > 0
    if right and kind is list:
        right = all(isinstance(part, str) and part for part in value)
    if not right:
        got = "it is missing" if value is None else f"got {value!r}"
        raise CourseError(f"{place}: {name} must be {KINDS[kind]}, {got}")
    return tuple(value) if kind is list else value


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


def select_all(which: str | None) -> tuple[Exercise, ...]:
    """The exercises meant by several such, like "01,02" or "01,2.3", in order."""
    parts = [part.strip() for part in which.split(",")] if which is not None else [None]
    wanted = {exercise.id for part in parts for exercise in select(part)}
    return tuple(exercise for exercise in exercises() if exercise.id in wanted)


def exercise_of(symbol: str) -> Exercise:
    """The exercise in which `symbol` is written.

    Raises:
        CourseError: if no exercise asks for it.
    """
    for exercise in exercises():
        if symbol in exercise.symbols:
            return exercise
    raise CourseError(f"no exercise asks for {symbol!r}")
