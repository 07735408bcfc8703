"""Recognise a misunderstanding: the known wrong answer that does just what the code does."""

import functools
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from course.grading.answers import Answer, misconceptions_of
from course.grading.checking import Check, Wrong, checks_of
from course.grading.code import Code, answer_code, reference_evidence
from course.grading.failure import failure_of
from course.probing.observing import Observation, same


# All misconceptions on all checks: some 6,000 observations, 100 MB.
@functools.lru_cache(maxsize=10_000)
def _misconception_observation(check: Check, index: int, seed: int) -> Observation:
    known = misconceptions_of(check.exercise)[index]
    return answer_code(known).observe(check, seed)


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


def warm_up(exercise_id: str, seed: int = 0) -> None:
    """Compute now what judging this exercise will need, so that the verdict comes at once."""
    for check in checks_of(exercise_id):
        reference_evidence(check, seed)
        for index in range(len(misconceptions_of(exercise_id))):
            _misconception_failure(check, index, seed)


def recognise(code: Code, check: Check, seen: Observation, seed: int) -> Answer | None:
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
        seen_there = code.observe(other, seed)
        closer = [
            i
            for i in fits
            if same_observation(seen_there, _misconception_observation(other, i, seed))
        ]
        fits = closer or fits
    return all_known[fits[0]] if fits else None


def recognise_part(code: Code, check: Check, seed: int) -> Answer | None:
    """The known wrong answer that explains most of what is wrong, over all checks that fail.

    For code with several mistakes. No known answer does the same as such code everywhere, but
    where a check sees only one of the mistakes, or sees both in different places, the evidence
    agrees with that mistake's. Against a known answer counts where it fails and the code passes.
    """
    all_known = misconceptions_of(check.exercise)
    explained = [0.0] * len(all_known)
    for other in checks_of(check.exercise):
        seen = code.observe(other, seed)
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


# Comparing


def same_observation(a: Observation, b: Observation) -> bool:
    """Did the same thing happen?"""
    return (
        a.error == b.error
        and a.changed == b.changed
        and not a.unwritten
        and same(a.evidence, b.evidence)
    )


def share_explained(seen: Any, known: Any, right: Any) -> float:
    """How much of what is wrong with a piece of evidence is wrong in the same way in another.

    Of all values of `seen` that differ from those of `right`, the share that agrees with `known`;
    0 where that is less than a half, and where shapes differ.
    """
    pairs = list(_differing(seen, known, right))
    wrong = sum(count for count, _ in pairs)
    explained = sum(agreeing for _, agreeing in pairs)
    return explained / wrong if wrong and 2 * explained >= wrong else 0.0


def _differing(seen: Any, known: Any, right: Any) -> Iterator[tuple[int, int]]:
    """For each part of the evidence: how many values are wrong, and how many of those agree."""
    if isinstance(seen, Tensor) and isinstance(right, Tensor) and seen.shape == right.shape:
        wrong = ~_close(seen, right)
        alike = isinstance(known, Tensor) and known.shape == seen.shape
        yield int(wrong.sum()), int((wrong & _close(seen, known)).sum()) if alike else 0
    elif isinstance(seen, dict) and isinstance(right, dict):
        for key in seen.keys() & right.keys():
            inside = known.get(key) if isinstance(known, dict) else None
            yield from _differing(seen[key], inside, right[key])
    elif isinstance(seen, list | tuple) and isinstance(right, list | tuple):
        known = known if isinstance(known, list | tuple) else ()
        for number, (one, other) in enumerate(zip(seen, right)):
            yield from _differing(one, known[number] if number < len(known) else None, other)
    elif not same(seen, right):
        yield 1, int(same(seen, known))


def _close(a: Tensor, b: Tensor) -> Tensor:
    """Where two tensors of one shape agree up to float32 rounding, whatever their dtypes."""
    if a.device.type != "cpu" or b.device.type != "cpu":
        return torch.zeros(a.shape, dtype=torch.bool)
    return torch.isclose(a.double(), b.double(), rtol=1e-4, atol=1e-6, equal_nan=True)
