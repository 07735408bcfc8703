"""Run checks on an implementation and say, in the learner's words, what is wrong with it."""

import ast
import functools
import importlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol

import torch

from course.answers import Answer
from course.catalogue import FAILED, NOT_WRITTEN, PASSED, Exercise, find_exercise, select
from course.checking import Check, Wrong
from course.loading import Implementation
from course.observing import (
    Evidence,
    Observation,
    import_problem,
    missing_name,
    observe,
    same_observation,
    share_explained,
)


@dataclass(frozen=True)
class Outcome:
    """What one check found."""

    status: str
    title: str
    called: str = ""
    expected: str = ""
    got: str = ""
    misconception: str = ""  # name of the known mistake that does just the same
    help: str = ""  # the sentence that goes with it
    partly: bool = False  # the known mistake explains a part of what is wrong, not all

    def message(self) -> str:
        """The outcome as the lines that a learner reads."""
        if self.status == PASSED:
            return f"passed: {self.title}"
        label = "one cause" if self.partly else "looks like"
        rows = [
            ("called", self.called),
            ("expected", self.expected),
            ("came back", self.got),
            (label, f"{self.misconception}. {self.help}" if self.misconception else ""),
            ("", "There is more than one mistake; begin with this one." if self.partly else ""),
        ]
        lines = [f"  {label:<11}{text}" for label, text in rows if text]
        return "\n".join([self.title, *lines])


@dataclass(frozen=True)
class Result:
    """What all checks of one exercise found; they stop at the first that fails."""

    exercise: Exercise
    outcomes: tuple[Outcome, ...]

    @property
    def status(self) -> str:
        return self.outcomes[-1].status

    @property
    def points(self) -> int:
        return self.exercise.points if self.status == PASSED else 0

    @property
    def message(self) -> str:
        """The failure, or a line of praise."""
        if self.status == PASSED:
            return (
                f"{self.exercise.id} {self.exercise.title}: all {len(self.outcomes)} checks pass."
            )
        return f"{self.exercise.id} {self.outcomes[-1].message()}"


class Overlay:
    """A chapter's module with some of its symbols replaced."""

    def __init__(self, base: ModuleType, **symbols: Any):
        self.__dict__.update(symbols)
        self._base = base

    def __getattr__(self, name: str) -> Any:
        return getattr(self._base, name)


def overlay(answer: Answer) -> Overlay:
    """The reference, but for the symbols that the answer replaces."""
    return Overlay(reference().chapter(find_exercise(answer.exercise).chapter), **answer.symbols)


# Finding checks and known answers


@functools.cache
def checks_of(exercise_id: str) -> tuple[Check, ...]:
    """The checks of one exercise, in the order of their file."""
    module = importlib.import_module(f"checks.test_{find_exercise(exercise_id).chapter}")
    found = [f.check for f in vars(module).values() if isinstance(getattr(f, "check", None), Check)]
    return tuple(check for check in found if check.exercise == exercise_id)


@functools.cache
def misconceptions_of(exercise_id: str) -> tuple[Answer, ...]:
    """The known wrong answers to one exercise."""
    return _answers("misconceptions", exercise_id)


@functools.cache
def equivalents_of(exercise_id: str) -> tuple[Answer, ...]:
    """Right answers to one exercise in other styles."""
    return _answers("equivalents", exercise_id)


def _answers(kind: str, exercise_id: str) -> tuple[Answer, ...]:
    module = importlib.import_module(f"checks.{kind}.{find_exercise(exercise_id).chapter}")
    return tuple(answer for answer in module.answers.all if answer.exercise == exercise_id)


# The code under test


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
            self._problems[chapter] = import_problem(lambda: self.chapter(chapter))
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
        return observe_check(check, self.chapter(chapter), str(self.path(chapter)), seed)


def observe_check(check: Check, impl: Any, path: str, seed: int) -> Observation:
    """Run the probe of `check` on `impl`, whose code stands in the file at `path`."""
    return observe(check.probe, impl, path, draw_inputs(check, seed), check.seconds)


@functools.cache
def reference() -> LocalCode:
    return LocalCode("solutions")


# Judging


class Grader:
    """Grades one folder of code; remembers each exercise's result."""

    def __init__(self, code: Code, seed: int = 0):
        self.code, self.seed = code, seed
        self._results: dict[str, Result] = {}

    def grade(self, which: str | None = None) -> list[Result]:
        """Grade one exercise ("1.2"), one chapter ("01") or all (None)."""
        return [self.exercise(exercise.id) for exercise in select(which)]

    def results(self) -> list[Result]:
        """The results so far, in the order of grading."""
        return list(self._results.values())

    def exercise(self, exercise_id: str) -> Result:
        """The result of one exercise's checks, which stop at the first failure."""
        if exercise_id not in self._results:
            exercise = find_exercise(exercise_id)
            self._results[exercise_id] = Result(exercise, tuple(self._outcomes(exercise)))
        return self._results[exercise_id]

    def _outcomes(self, exercise: Exercise) -> Iterator[Outcome]:
        if problem := self.code.problem(exercise):
            yield Outcome(
                FAILED,
                "the file can be imported and defines what is asked for",
                expected=f"{exercise.chapter}.py to define {', '.join(exercise.symbols)}",
                got=problem,
            )
            return
        for check in checks_of(exercise.id):
            outcome = judge_with(
                lambda other: self.code.observe(other, self.seed), check, self.seed
            )
            if outcome.status == FAILED:
                outcome = self._blame_earlier(exercise, outcome)
            yield outcome
            if outcome.status != PASSED:
                return

    def _blame_earlier(self, exercise: Exercise, outcome: Outcome) -> Outcome:
        """If the code calls an exercise of the same file that fails itself, say that instead."""
        names = names_used(self.code.path(exercise.chapter), exercise.symbols)
        for other in select(exercise.chapter):
            if other.id == exercise.id or not names & set(other.symbols):
                continue
            if other.id < exercise.id and self.exercise(other.id).status != PASSED:
                called = " and ".join(sorted(names & set(other.symbols)))
                return Outcome(
                    FAILED,
                    outcome.title,
                    expected=f"{called} to work, for {exercise.symbols[0]} calls it",
                    got=f"exercise {other.id} does not pass yet; mend it first",
                )
        return outcome


def names_used(path: Path, symbols: tuple[str, ...]) -> set[str]:
    """All names that the definitions of `symbols` mention in the file at `path`."""
    names: set[str] = set()
    try:
        tree = ast.parse(path.read_bytes())
    except (SyntaxError, ValueError, RecursionError, MemoryError, OSError):
        return names
    for node in tree.body:
        if getattr(node, "name", None) in symbols:
            names |= {part.id for part in ast.walk(node) if isinstance(part, ast.Name)}
    return names - set(symbols)


def judge(check: Check, impl: Any, path: str, seed: int = 0) -> Outcome:
    """Run one check on `impl`, whose code stands in the file at `path`."""
    return judge_with(lambda other: observe_check(other, impl, path, seed), check, seed)


def judge_with(look: Callable[[Check], Observation], check: Check, seed: int) -> Outcome:
    """Judge one check and, if it fails, look for the misconception behind it.

    Args:
        look: runs a check's probe on the code under test.
        check: what is judged. Other checks are looked at only to find the misconception.
        seed: of the inputs.
    """
    seen = look(check)
    if seen.unwritten:
        return _unwritten(check, seen.unwritten)
    failure = failure_of(check, seen, seed)
    if failure is None:
        return Outcome(PASSED, check.title)
    known = None if seen.out_of_time else recognise(look, check, seen, seed)
    partly = False
    if known is None and not seen.out_of_time:
        known = recognise_part(look, check, seed)
        partly = known is not None
    return Outcome(
        FAILED,
        check.title,
        called=check.call,
        expected=failure.expected,
        got=failure.got,
        misconception=known.name if known else "",
        help=known.help if known else "",
        partly=partly,
    )


def draw_inputs(check: Check, seed: int) -> dict:
    return check.inputs(torch.Generator().manual_seed(seed))


def _unwritten(check: Check, function: str) -> Outcome:
    symbols = find_exercise(check.exercise).symbols
    if function in symbols:
        return Outcome(NOT_WRITTEN, check.title, got=f"not written yet: {function}")
    return Outcome(
        FAILED,
        check.title,
        called=check.call,
        expected="a result",
        got=f"your code calls {function}, which is not written yet",
    )


def failure_of(check: Check, seen: Observation, seed: int) -> Wrong | None:
    """Why the observation is wrong, or None if it is right."""
    if seen.raised:
        return Wrong("a result, without an exception", _explain(seen.raised))
    if seen.changed:
        names = ", ".join(seen.changed)
        return Wrong(
            "the inputs to be left as they were",
            f"your code changed {names} in place; make a new tensor instead "
            "(methods that end in _ and assignments to x[...] change a tensor)",
        )
    try:
        check.verdict(seen.evidence, reference_evidence(check, seed), draw_inputs(check, seed))
    except Wrong as wrong:
        return wrong
    except Exception as error:  # evidence of a form that the verdict does not expect
        return Wrong(
            "a result of the form that the docstring describes",
            f"something that this check cannot read ({type(error).__name__}: {error})",
        )
    return None


def _explain(raised: str) -> str:
    """Add what to do to messages of torch that beginners meet often."""
    if "Torch not compiled with CUDA" in raised or "No CUDA GPUs" in raised:
        return f"{raised}. Take the device from an input (`device=x.device`) instead of naming one."
    if "must match the size of tensor" in raised:
        return (
            f"{raised}. Two shapes do not fit together: print both. "
            "One number for each image needs shape (B, 1, 1, 1)."
        )
    return raised


@functools.lru_cache(maxsize=512)
def reference_evidence(check: Check, seed: int) -> Evidence:
    """What the reference brings back on the same inputs."""
    seen = reference().observe(check, seed)
    if seen.raised or seen.changed:
        raise RuntimeError(f"the reference fails {check.title!r}: {seen.raised} {seen.changed}")
    return seen.evidence


# All misconceptions on all checks: some 6,000 observations, 100 MB.
@functools.lru_cache(maxsize=10_000)
def _misconception_observation(check: Check, index: int, seed: int) -> Observation:
    known = misconceptions_of(check.exercise)[index]
    return observe_check(check, overlay(known), known.file, seed)


@functools.lru_cache(maxsize=10_000)
def _misconception_failure(check: Check, index: int, seed: int) -> Wrong | None:
    return failure_of(check, _misconception_observation(check, index, seed), seed)


@functools.lru_cache(maxsize=10_000)
def _first_failure(exercise_id: str, index: int, seed: int) -> Check | None:
    """The check at which a misconception is caught when the checks run in their order."""
    for check in checks_of(exercise_id):
        if _misconception_failure(check, index, seed):
            return check
    return None


def warm_up(exercise_id: str) -> None:
    """Compute now what judging this exercise will need, so that the verdict comes at once."""
    for check in checks_of(exercise_id):
        reference_evidence(check, seed=0)
        for index in range(len(misconceptions_of(exercise_id))):
            _misconception_failure(check, index, seed=0)


def recognise(
    look: Callable[[Check], Observation], check: Check, seen: Observation, seed: int
) -> Answer | None:
    """The known wrong answer that is caught at the same check with the same evidence.

    If there are several, the exercise's other checks decide between them.
    """
    all_known = misconceptions_of(check.exercise)
    fits = [
        i
        for i in range(len(all_known))
        if same_observation(seen, _misconception_observation(check, i, seed))
        and _first_failure(check.exercise, i, seed) == check
    ]
    for other in checks_of(check.exercise):
        if len(fits) <= 1:
            break
        if other is check:
            continue
        seen_there = look(other)
        closer = [
            i
            for i in fits
            if same_observation(seen_there, _misconception_observation(other, i, seed))
        ]
        fits = closer or fits
    return all_known[fits[0]] if fits else None


def recognise_part(look: Callable[[Check], Observation], check: Check, seed: int) -> Answer | None:
    """The known wrong answer that explains most of what is wrong, over all checks that fail.

    For code with several mistakes. No known answer does the same as such code everywhere, but
    where a check sees only one of the mistakes, or sees both in different places, the evidence
    agrees with that mistake's. Against a known answer counts where it fails and the code passes.
    """
    all_known = misconceptions_of(check.exercise)
    explained = [0.0] * len(all_known)
    for other in checks_of(check.exercise):
        seen = look(other)
        if seen.out_of_time:
            break
        failure, right = failure_of(other, seen, seed), reference_evidence(other, seed)
        for i in range(len(all_known)):
            known = _misconception_observation(other, i, seed)
            known_failure = _misconception_failure(other, i, seed)
            if known_failure is None:
                continue
            if failure is None:
                explained[i] -= 0.5
                continue
            same_words = str(failure) == str(known_failure)
            changes_too = bool(seen.changed) and known.changed == seen.changed
            explained[i] += max(
                share_explained(seen.evidence, known.evidence, right),
                0.5 * (same_words or changes_too),
            )
    best = max(range(len(all_known)), key=explained.__getitem__, default=None)
    return all_known[best] if best is not None and explained[best] > 0 else None
