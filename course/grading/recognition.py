"""Recognise a misunderstanding: the known wrong answer that does just what the code does.

A name says more than what was seen, so it needs more: every check of the exercise has to see the
same, not only the one that fails first.
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
from course.probing.evidence import MAX_NUMBERS
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


@functools.cache
def _code(candidate: Candidate) -> LoadedCode:
    make = answer_in_file if candidate.in_file else answer_code
    return make(candidate.answer)


# Without a bound: a batch asks for all of them again and again, and what is dropped is computed
# anew. All candidates on all checks are some 20,000 observations, 430 MB.
@functools.cache
def _observation(check: Check, candidate: Candidate, seed: int) -> Observation:
    return _code(candidate).observe(check, seed)


@functools.cache
def _fails(check: Check, candidate: Candidate, seed: int) -> bool:
    return failure_of(check, _observation(check, candidate, seed), seed) is not None


def warm_up(exercise_id: str, seed: int = 0) -> None:
    """Compute now what judging this exercise will need, so that the verdict comes at once."""
    for check in checks_of(exercise_id):
        reference_evidence(check, seed)
        for candidate in candidates_of(exercise_id):
            _fails(check, candidate, seed)


def recognise(
    code: Code, check: Check, seen: Observation, seed: int, withheld: str = "", only: str = ""
) -> Answer | None:
    """The known wrong answer that does just what the code does, on every check of the exercise.

    Checks of what is not written yet do not count. If there are several with different names, there
    is none. Nor is there after an exception: it says itself what happened, and many mistakes end in
    the same one.

    Args:
        code: the code under test.
        check: the one that it fails.
        seen: what that check saw.
        seed: of the inputs.
        withheld: the name of a known answer that is left out, to see whether another takes its
            place.
        only: the name of the only known answer that is asked for.
    """
    if seen.raised:
        return None
    fits = [c for c in candidates_of(check.exercise) if c.answer.name != withheld]
    fits = [c for c in fits if only in ("", c.answer.name)]
    fits = [c for c in fits if _does_the_same(check, seen, c, seed)]
    for other in checks_of(check.exercise):
        if fits and other is not check:
            there = code.observe(other, seed)
            if not there.unwritten:
                fits = [c for c in fits if _does_the_same(other, there, c, seed)]
    return fits[0].answer if len({c.answer.name for c in fits}) == 1 else None


def _does_the_same(check: Check, seen: Observation, candidate: Candidate, seed: int) -> bool:
    """Do the code and a known wrong answer do the same in one check, and fare the same?"""
    known, right = _observation(check, candidate, seed), reference_evidence(check, seed)
    fails = failure_of(check, seen, seed) is not None
    return (
        fails == _fails(check, candidate, seed)
        and seen.error == known.error
        and seen.changed == known.changed
        and not seen.unwritten
        and same_result(seen.evidence, known.evidence, right, fails)
    )


# Comparing

APART = 0.02  # how far two mistakes may be from each other, as a share of how far they are off
PASSED = 1e-3  # how far two right results may be from each other, as a share of the largest value
ROUNDING = 2e-7  # of float32, as a share of the largest value


def same_result(seen: Any, known: Any, right: Any, fails: bool) -> bool:
    """Are two pieces of evidence alike?

    A mistake may be as small as a rounding error, or so large that rounding shows. So where a check
    fails, the distance between the two is compared with their distance from the right one.
    """
    parts = list(_parts(seen, known, right))
    if not all(alike for alike, _ in parts):
        return False
    apart = off = rounding = 0.0
    for _, numbers in parts:
        if numbers is not None:
            one, other, target = numbers
            scale = float(target.abs().max()) or 1.0
            apart += float(((one - other) / scale).square().sum())
            off += float(((other - target) / scale).square().sum())
            rounding += ROUNDING**2 * target.numel()
    passed = rounding * (PASSED / ROUNDING) ** 2
    if not fails or off <= rounding:  # or the mistake is not in the numbers
        return apart <= passed
    return apart <= max(APART**2 * off, rounding)


Numbers = tuple[Tensor, Tensor, Tensor]


def _parts(seen: Any, known: Any, right: Any) -> Iterator[tuple[bool, Numbers | None]]:
    """For each part of the evidence, whether two are alike; numbers are left to be compared.

    Numbers are compared where the two are finite floating-point numbers of one shape. If the right
    ones have another shape, they tell nothing of how far off the two are.
    """
    three = (seen, known, right)
    if isinstance(seen, Tensor) and isinstance(known, Tensor) and _comparable(seen, known):
        if not isinstance(right, Tensor) or not _comparable(seen, right):
            three = (seen, known, known)
    if isinstance(seen, dict) and isinstance(known, dict):
        yield seen.keys() == known.keys(), None
        for key in seen.keys() & known.keys():
            yield from _parts(
                seen[key], known[key], right.get(key) if isinstance(right, dict) else None
            )
    elif isinstance(seen, list | tuple) and isinstance(known, list | tuple):
        yield len(seen) == len(known), None
        rest = list(right) if isinstance(right, list | tuple) else []
        rest += [None] * len(seen)
        for one, other, target in zip(seen, known, rest):
            yield from _parts(one, other, target)
    elif all(isinstance(part, float) for part in three):
        yield from _parts(*(torch.tensor(part, dtype=torch.float64) for part in three))
    elif isinstance(seen, Tensor) and isinstance(known, Tensor) and _not_kept(seen, known):
        yield (seen.shape, seen.dtype) == (known.shape, known.dtype), None
    elif all(isinstance(part, Tensor) for part in three) and _comparable(*three):
        yield seen.dtype == known.dtype, tuple(part.detach().double() for part in three)
    else:
        yield same(seen, known), None


def _not_kept(*tensors: Tensor) -> bool:
    """Did one of them come from a sandbox, which keeps no numbers of tensors as large as these?"""
    large = all(part.numel() > MAX_NUMBERS for part in tensors)
    return large and any(part.device.type == "meta" for part in tensors)


def _comparable(*tensors: Tensor) -> bool:
    """Do these tensors hold finite floating-point numbers, as many each?"""
    return all(
        part.device.type == "cpu"
        and part.shape == tensors[0].shape
        and part.numel() > 0
        and part.is_floating_point()
        and bool(part.isfinite().all())
        for part in tensors
    )
