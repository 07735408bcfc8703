"""The code under test, wherever it runs: a folder, code that is loaded already, the reference."""

import functools
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol

from course import CourseError
from course.grading.answers import Answer
from course.grading.checking import Check, draw_inputs
from course.probing.loading import Implementation, load_file
from course.probing.observing import (
    Evidence,
    Observation,
    import_problem,
    missing_name,
    observe,
)
from course.syllabus import Exercise, find_exercise


class NoVerdict(CourseError):
    """Nothing can be said of the code now; its text says why, and what to do."""


class Code(Protocol):
    """What a grader needs of the code under test, wherever that code runs."""

    def problem(self, exercise: Exercise) -> str:
        """Why the exercise's functions cannot be had; empty if they can."""

    def observe(self, check: Check, seed: int) -> Observation:
        """Run the probe of one check."""

    def path(self, chapter: str) -> Path:
        """The file with the code of a chapter."""


class LocalCode(Implementation):
    """A folder whose code runs in this process: for one's own code, not for a stranger's."""

    def __init__(self, folder: str | Path):
        super().__init__(folder)
        self._problems: dict[str, str] = {}  # of each chapter's import

    def problem(self, exercise: Exercise) -> str:
        chapter = exercise.chapter
        if chapter not in self._problems:
            self._problems[chapter] = import_problem(
                lambda: self.chapter(chapter), self.path(chapter)
            )
        if self._problems[chapter]:
            return self._problems[chapter]
        module = self.chapter(chapter)
        for symbol in exercise.symbols:
            origin = getattr(getattr(module, symbol, None), "__module__", None) or ""
            if origin.startswith("solutions."):
                return f"{symbol} is imported from the reference; write your own"
        return missing_name(module, exercise.symbols)

    def observe(self, check: Check, seed: int) -> Observation:
        chapter = find_exercise(check.exercise).chapter
        module, file = self.chapter(chapter), str(self.path(chapter))
        return observe(check.probe, module, file, draw_inputs(check, seed), check.seconds)


class LoadedCode:
    """Symbols that are in this process already, such as a mutant's; their code is in `file`."""

    def __init__(self, module: Any, file: str):
        self.module, self.file = module, file

    def problem(self, exercise: Exercise) -> str:
        return ""

    def observe(self, check: Check, seed: int) -> Observation:
        return observe(check.probe, self.module, self.file, draw_inputs(check, seed), check.seconds)

    def path(self, chapter: str) -> Path:
        return Path(self.file)


class Overlay:
    """A chapter's module with some of its symbols replaced."""

    def __init__(self, base: ModuleType, **symbols: Any):
        self.__dict__.update(symbols)
        self._base = base

    def __getattr__(self, name: str) -> Any:
        return getattr(self._base, name)


def answer_code(answer: Answer) -> LoadedCode:
    """The reference, but for the symbols that the answer replaces."""
    chapter = reference().chapter(find_exercise(answer.exercise).chapter)
    return LoadedCode(Overlay(chapter, **answer.symbols), answer.file)


def answer_in_file(answer: Answer) -> LoadedCode:
    """The same in a file: the reference's other functions call the answer's, as a learner's do."""
    module = load_file(reference().path(find_exercise(answer.exercise).chapter))
    vars(module).update(answer.symbols)
    return LoadedCode(module, answer.file)


@functools.cache
def reference() -> LocalCode:
    return LocalCode("solutions")


@functools.lru_cache(maxsize=4096)  # more than there are checks
def reference_evidence(check: Check, seed: int) -> Evidence:
    """What the reference brings back on the same inputs.

    Raises:
        NoVerdict: if the reference does not come to an end in time, so that nothing can be said.
        CourseError: if nothing comes back, as on a machine that is too busy.
    """
    seen = reference().observe(check, seed)
    if seen.out_of_time:
        raise NoVerdict(
            f"exercise {check.exercise} cannot be judged now: on this machine the reference itself "
            f"takes more than {check.seconds:g} seconds. Try again when less is running on it."
        )
    if seen.raised or seen.changed:
        raise CourseError(
            f"the reference itself brings back {seen.raised or 'changed inputs'} at the check "
            f"{check.title!r} of exercise {check.exercise}, so nothing can be compared with it. "
            "Try again when the machine is less busy"
        )
    return seen.evidence
