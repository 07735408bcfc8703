"""Recognise a misunderstanding: the known wrong answer that does just what the code does.

A name says more than what was seen, so it needs more: the same observation on every check of the
exercise, not only on the one that fails first.
"""

import functools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from course import ROOT
from course.grading.answers import Answer, misconceptions_of
from course.grading.checking import Check, checks_of
from course.grading.code import (
    Code,
    LoadedCode,
    answer_code,
    answer_in_file,
    reference_evidence,
)
from course.grading.failure import failure_of
from course.grading.source import names_used
from course.probing.observing import Observation, same
from course.syllabus import find_exercise


@dataclass(frozen=True)
class Candidate:
    """A known wrong answer, by its number."""

    exercise: str
    index: int
    in_file: bool  # do the exercise's other functions call the wrong one, or the reference's?

    @property
    def answer(self) -> Answer:
        return misconceptions_of(self.exercise)[self.index]


@functools.cache
def candidates_of(exercise_id: str) -> tuple[Candidate, ...]:
    """All known wrong answers to an exercise; twice each where its functions call each other."""
    exercise = find_exercise(exercise_id)
    path = ROOT / "solutions" / f"{exercise.chapter}.py"
    related = any(
        names_used(path, (symbol,)) & set(exercise.symbols) - {symbol}
        for symbol in exercise.symbols
    )
    return tuple(
        Candidate(exercise_id, index, in_file)
        for index in range(len(misconceptions_of(exercise_id)))
        for in_file in ((False, True) if related else (False,))
    )


@functools.lru_cache(maxsize=1000)
def _code(candidate: Candidate) -> LoadedCode:
    make = answer_in_file if candidate.in_file else answer_code
    return make(candidate.answer)


# All candidates on all checks: some 7,000 observations, 100 MB.
@functools.lru_cache(maxsize=10_000)
def _observation(check: Check, candidate: Candidate, seed: int) -> Observation:
    return _code(candidate).observe(check, seed)


@functools.lru_cache(maxsize=10_000)
def _fails(check: Check, candidate: Candidate, seed: int) -> bool:
    return failure_of(check, _observation(check, candidate, seed), seed) is not None


def warm_up(exercise_id: str) -> None:
    """Compute now what judging this exercise will need, so that the verdict comes at once."""
    for check in checks_of(exercise_id):
        reference_evidence(check, seed=0)
        for candidate in candidates_of(exercise_id):
            _fails(check, candidate, seed=0)


def recognise(
    code: Code, check: Check, seen: Observation, seed: int, withheld: str = "", only: str = ""
) -> Answer | None:
    """The known wrong answer that does just what the code does, on every check of the exercise.

    Checks of what is not written yet do not count.

    Args:
        code: the code under test.
        check: the one that it fails.
        seen: what that check saw.
        seed: of the inputs.
        withheld: the name of a known answer that is left out, to see whether another takes its
            place.
        only: the name of the only known answer that is asked for.
    """
    fits = [c for c in candidates_of(check.exercise) if c.answer.name != withheld]
    fits = [c for c in fits if only in ("", c.answer.name)]
    fits = [c for c in fits if _does_the_same(check, seen, c, seed)]
    for other in checks_of(check.exercise):
        if fits and other is not check:
            seen_there = code.observe(other, seed)
            if not seen_there.unwritten:
                fits = [c for c in fits if _does_the_same(other, seen_there, c, seed)]
    answers = {c.index: c.answer for c in fits}
    return answers.popitem()[1] if len(answers) == 1 else None


def _does_the_same(check: Check, seen: Observation, candidate: Candidate, seed: int) -> bool:
    """Did the code and a known wrong answer do the same in one check, and fare the same?"""
    known = _observation(check, candidate, seed)
    if not same_observation(seen, known):
        return False
    fails = failure_of(check, seen, seed) is not None
    if fails != _fails(check, candidate, seed):
        return False
    return not fails or same_mistake(seen.evidence, known.evidence, reference_evidence(check, seed))


# Comparing


def same_observation(a: Observation, b: Observation) -> bool:
    """Did the same thing happen?"""
    return (
        a.error == b.error
        and a.changed == b.changed
        and not a.unwritten
        and same(a.evidence, b.evidence)
    )


def same_mistake(seen: Any, known: Any, right: Any) -> bool:
    """Are two pieces of evidence, alike up to rounding, off from the right one in the same way?

    A mistake may be as small as a rounding error. So their distance from each other may be a
    twentieth of their distance from the right one, or what float32 rounds in any case.
    """
    apart = off = rounding = 0.0
    for one, other, target in _numbers(seen, known, right):
        scale = float(target.abs().max()) or 1.0
        apart += float(((one - other) / scale).square().sum())
        off += float(((other - target) / scale).square().sum())
        rounding += ROUNDING**2 * target.numel()
    return off <= rounding or apart <= max(0.05**2 * off, rounding)


ROUNDING = 2e-7  # of float32, as a share of the largest value


def _numbers(seen: Any, known: Any, right: Any) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """The parts of the evidence that are finite floating-point numbers in all three."""
    parts = (seen, known, right)
    if all(isinstance(part, dict) for part in parts):
        for key in seen.keys() & known.keys() & right.keys():
            yield from _numbers(seen[key], known[key], right[key])
    elif all(isinstance(part, list | tuple) for part in parts):
        for three in zip(*parts):
            yield from _numbers(*three)
    elif all(isinstance(part, float) for part in parts):
        yield from _numbers(*(torch.tensor(part, dtype=torch.float64) for part in parts))
    elif all(isinstance(part, Tensor) and part.device.type == "cpu" for part in parts):
        fits = seen.shape == known.shape == right.shape and seen.numel() > 0
        if fits and all(part.is_floating_point() and part.isfinite().all() for part in parts):
            yield seen.double(), known.double(), right.double()
