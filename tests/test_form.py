"""The form of evidence: what a verdict would let by because there is nothing to look at."""

import pytest
import torch
from torch import Tensor

from course.grading.checking import checks_of
from course.grading.code import reference_evidence
from course.grading.failure import failure_of
from course.grading.form import misfit, too_many_parts
from course.probing.observing import Observation, same
from course.syllabus import exercises


def hollow(value):
    """The value with nothing in its lists and tensors."""
    if isinstance(value, Tensor):
        return value[:0] if value.ndim else value
    if isinstance(value, dict):
        return {name: hollow(part) for name, part in value.items()}
    return [] if isinstance(value, list | tuple) else value


@pytest.mark.parametrize("exercise", exercises(), ids=lambda e: e.id)
def test_evidence_with_nothing_in_it_never_passes(exercise):
    passed = []
    for check in checks_of(exercise.id):
        right = reference_evidence(check, 3)
        empty = hollow(right)
        if not same(right, empty) and failure_of(check, Observation(evidence=empty), 3) is None:
            passed.append(check.title)
        assert failure_of(check, Observation(evidence={}), 3), check.title
    assert passed == []


@pytest.mark.parametrize(
    "seen, right, words",
    [
        ({"a": 1.5}, {"a": 2}, ""),
        ({"a": [1, 2, 3]}, {"a": (1, 2)}, ""),
        ({"a": 1, "more": 2}, {"a": 1}, ""),
        ({"a": "anything"}, {"a": None}, ""),
        ({"a": torch.zeros(3, 2, dtype=torch.float64)}, {"a": torch.zeros(3, 2)}, ""),
        ({}, {"a": 1}, "it lacks a"),
        ({"a": True}, {"a": 1}, "['a'] is a bool, not a number"),
        ({"a": [1]}, {"a": [1, 2]}, "['a'] has 1 parts, not 2"),
        ({"a": [[1], []]}, {"a": [[1], [2]]}, "['a'][1] has 0 parts"),
        ({"a": torch.zeros(3, 1)}, {"a": torch.zeros(3, 2)}, "shape (3, 1)"),
        ({"a": torch.zeros(6)}, {"a": torch.zeros(3, 2)}, "shape (6,)"),
        ({"a": torch.zeros(2, device="meta")}, {"a": torch.zeros(2)}, "on meta"),
        (None, {"a": 1}, "all of it is a NoneType"),
    ],
)
def test_a_misfit_is_what_is_missing(seen, right, words):
    found = misfit(seen, right)
    assert words in found and bool(found) == bool(words)


def test_what_is_free_may_be_anything():
    assert misfit({"a": [], "b": 1}, {"a": [1], "b": 1}, free=("a",)) == ""
    assert misfit({"a": [], "b": "x"}, {"a": [1], "b": 1}, free=("a",)) != ""


def test_a_verdict_need_not_look_at_a_flood():
    assert too_many_parts({"a": [0] * 30_000}, {"a": [0]}) == "a result of 30,002 parts"
    assert not too_many_parts({"a": [0] * 5_000}, {"a": [0]})
