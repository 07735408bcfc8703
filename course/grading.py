"""Run checks on an implementation and say, in the learner's words, what is wrong with it."""

import ast
import contextlib
import copy
import functools
import importlib
import inspect
import signal
import threading
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

from course.answers import Answer
from course.catalogue import Exercise, find_exercise, select
from course.checking import Check, Evidence, Wrong
from course.loading import CannotLoad, Implementation, describe_exception

PASSED, FAILED, NOT_WRITTEN = "passed", "failed", "not written yet"


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

    def message(self) -> str:
        """The outcome as the lines that a learner reads."""
        if self.status == PASSED:
            return f"passed: {self.title}"
        rows = [
            ("called", self.called),
            ("expected", self.expected),
            ("came back", self.got),
            ("looks like", f"{self.misconception}. {self.help}" if self.misconception else ""),
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


@functools.cache
def reference() -> Implementation:
    return Implementation("solutions")


# Observing: run a probe and keep what happened


@dataclass(frozen=True)
class Observation:
    """What one probe brought back."""

    evidence: Evidence | None = None
    raised: str = ""  # "ValueError: ..., at line 12: ..."
    error: str = ""  # the same without the place: type and first line
    unwritten: str = ""  # name of the function that raised NotImplementedError
    changed: tuple[str, ...] = ()  # inputs that the code altered


class OutOfTime(BaseException):
    """Raised inside code that runs too long. Not an Exception, so `except Exception` lets it by."""


@contextlib.contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Interrupt the block with OutOfTime after so many seconds.

    Works in the main thread of systems that have SIGALRM; elsewhere there is no limit.
    """
    if not hasattr(signal, "SIGALRM") or threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(signum, frame):
        raise OutOfTime

    before = signal.signal(signal.SIGALRM, stop)
    # Again every second, in case the code under test swallows the first interruption.
    signal.setitimer(signal.ITIMER_REAL, seconds, 1.0)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@contextlib.contextmanager
def _torch_as_it_was() -> Iterator[None]:
    """Whatever the block does to torch's global switches and generator is undone at its end."""
    dtype, threads = torch.get_default_dtype(), torch.get_num_threads()
    torch.set_num_threads(1)  # the checks' tensors are small: threads would only wait
    with torch.random.fork_rng(), torch.enable_grad():
        try:
            yield
        finally:
            torch.set_default_dtype(dtype)
            torch.set_num_threads(threads)


def observe(check: Check, impl: Any, path: str, inputs: dict) -> Observation:
    """Run the probe of `check` on `impl`, whose code stands in the file at `path`."""
    handed = copy.deepcopy(inputs)
    evidence, raised, error, unwritten = None, "", "", ""
    with _torch_as_it_was():
        torch.manual_seed(0)  # code that ignores its generator at least repeats itself
        try:
            with time_limit(check.seconds):
                evidence = check.probe(impl, handed)
        except OutOfTime:
            raised = f"nothing: stopped after {check.seconds:g} seconds. Is there an endless loop?"
            error = raised
        except RecursionError:
            raised = error = "RecursionError: a function calls itself without end"
        except KeyboardInterrupt:
            raise
        except BaseException as caught:  # the learner's code may raise anything, SystemExit too
            raised = describe_exception(caught, path)
            error = raised.split(", at line ")[0]
            if isinstance(caught, NotImplementedError):
                unwritten = _function_that_raised(caught, path)
    changed = tuple(name for name in inputs if not same(inputs[name], handed[name], exact=True))
    return Observation(evidence, raised, error, unwritten, changed)


def _function_that_raised(error: BaseException, path: str) -> str:
    """The function or class in which a NotImplementedError of the learner's file arose."""
    frames = [f for f, _ in traceback.walk_tb(error.__traceback__) if f.f_code.co_filename == path]
    if not frames:
        return ""
    return frames[-1].f_code.co_qualname.split(".")[0]


def same(a: Any, b: Any, exact: bool = False) -> bool:
    """Do two pieces of evidence agree, up to float32 rounding?"""
    if isinstance(a, Tensor) and isinstance(b, Tensor):
        if a.shape != b.shape or a.dtype != b.dtype or a.device != b.device:
            return False
        if exact or not a.is_floating_point():
            return torch.equal(a.nan_to_num(), b.nan_to_num())
        return torch.allclose(a, b, rtol=1e-4, atol=1e-6, equal_nan=True)
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key], exact) for key in a)
    if isinstance(a, list | tuple) and isinstance(b, list | tuple):
        return len(a) == len(b) and all(same(x, y, exact) for x, y in zip(a, b))
    if isinstance(a, float) and isinstance(b, float) and not exact:
        return abs(a - b) <= 1e-6 + 1e-4 * abs(b) or (a != a and b != b)
    return type(a) is type(b) and bool(a == b)


def _same_observation(a: Observation, b: Observation) -> bool:
    return (
        a.error == b.error
        and a.changed == b.changed
        and not a.unwritten
        and same(a.evidence, b.evidence)
    )


# Judging


class Grader:
    """Grades one implementation; remembers each exercise's result."""

    def __init__(self, impl: Implementation, seed: int = 0):
        self.impl, self.seed = impl, seed
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
        checks = checks_of(exercise.id)
        try:
            with time_limit(20):
                module = self.impl.chapter(exercise.chapter)
        except CannotLoad as error:
            yield Outcome(
                FAILED,
                "the file can be imported",
                expected="a chapter file that Python can import",
                got=str(error),
            )
            return
        except OutOfTime:
            yield Outcome(
                FAILED,
                "the file can be imported",
                expected="a file that only defines things",
                got="its import was stopped after 20 seconds",
            )
            return
        for symbol in exercise.symbols:
            if not callable(getattr(module, symbol, None)):
                yield Outcome(
                    FAILED,
                    f"{symbol} is defined",
                    expected=f"a function or class named {symbol} in {exercise.chapter}.py",
                    got="no such name; compare with: course reset (a backup is kept)",
                )
                return
        for check in checks:
            outcome = judge(check, module, str(self.impl.path(exercise.chapter)), self.seed)
            if outcome.status == FAILED:
                outcome = self._blame_earlier(exercise, module, outcome)
            yield outcome
            if outcome.status != PASSED:
                return

    def _blame_earlier(self, exercise: Exercise, module: ModuleType, outcome: Outcome) -> Outcome:
        """If the code calls an exercise of the same file that fails itself, say that instead."""
        names = names_used(module, exercise.symbols)
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


def names_used(module: ModuleType, symbols: tuple[str, ...]) -> set[str]:
    """All names that the definitions of `symbols` mention."""
    names: set[str] = set()
    for symbol in symbols:
        with contextlib.suppress(OSError, TypeError, SyntaxError, IndentationError):
            source = inspect.cleandoc("\n" + inspect.getsource(getattr(module, symbol)))
            names |= {node.id for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Name)}
    return names - set(symbols)


def judge(check: Check, impl: Any, path: str, seed: int = 0) -> Outcome:
    """Run one check on `impl` and, if it fails, look for the misconception behind it."""
    inputs = draw_inputs(check, seed)
    seen = observe(check, impl, path, inputs)
    if seen.unwritten:
        return _unwritten(check, seen.unwritten)
    failure = _failure(check, seen, seed)
    if failure is None:
        return Outcome(PASSED, check.title)
    known = recognise(check, impl, path, seen, seed)
    return Outcome(
        FAILED,
        check.title,
        called=check.call,
        expected=failure.expected,
        got=failure.got,
        misconception=known.name if known else "",
        help=known.help if known else "",
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


def _failure(check: Check, seen: Observation, seed: int) -> Wrong | None:
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
    chapter = find_exercise(check.exercise).chapter
    impl = reference()
    seen = observe(check, impl.chapter(chapter), str(impl.path(chapter)), draw_inputs(check, seed))
    if seen.raised or seen.changed:
        raise RuntimeError(f"the reference fails {check.title!r}: {seen.raised} {seen.changed}")
    return seen.evidence


@functools.lru_cache(maxsize=2048)
def _misconception_observation(check: Check, index: int, seed: int) -> Observation:
    known = misconceptions_of(check.exercise)[index]
    return observe(check, overlay(known), known.file, draw_inputs(check, seed))


@functools.lru_cache(maxsize=2048)
def _first_failure(exercise_id: str, index: int, seed: int) -> Check | None:
    """The check at which a misconception is caught when the checks run in their order."""
    for check in checks_of(exercise_id):
        if _failure(check, _misconception_observation(check, index, seed), seed):
            return check
    return None


def recognise(check: Check, impl: Any, path: str, seen: Observation, seed: int) -> Answer | None:
    """The known wrong answer that is caught at the same check with the same evidence.

    If there are several, the exercise's other checks decide between them.
    """
    all_known = misconceptions_of(check.exercise)
    fits = [
        i
        for i in range(len(all_known))
        if _same_observation(seen, _misconception_observation(check, i, seed))
        and _first_failure(check.exercise, i, seed) == check
    ]
    for other in checks_of(check.exercise):
        if len(fits) <= 1:
            break
        if other is check:
            continue
        seen_there = observe(other, impl, path, draw_inputs(other, seed))
        closer = [
            i
            for i in fits
            if _same_observation(seen_there, _misconception_observation(other, i, seed))
        ]
        fits = closer or fits
    return all_known[fits[0]] if fits else None
