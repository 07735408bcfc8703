"""What a check is made of: a probe, its inputs, and a verdict on the evidence.

A probe runs beside the code under test. It gets that code (`impl`, a chapter's module) and
the inputs, and returns evidence: a dict of plain data (tensors, numbers, strings, lists).
A verdict gets the evidence, the reference's evidence on the same inputs, and the inputs; it
calls the `require...` functions below, which raise `Wrong` with a message for the learner.

    @check("1.1", probe=probes.linear_betas, inputs=lambda g: {"num_steps": 7, ...})
    def test_linear_betas_are_evenly_spaced(got, ref, inputs):
        \"\"\"The betas rise in equal steps.\"\"\"
        require_close(got["betas"], ref["betas"], "betas in equal steps from ... to ...")

The decorated function is a pytest test; `function.check` is the Check itself, which the
course's own grader uses without pytest.
"""

import functools
import importlib
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

from course import CourseError
from course.probing.evidence import type_name
from course.probing.observing import Evidence
from course.syllabus import find_exercise


@dataclass(frozen=True)
class Check:
    """One property of one exercise."""

    exercise: str  # "1.2"
    title: str  # the property, as a sentence
    probe: Callable[[ModuleType, dict], Evidence]
    inputs: Callable[[torch.Generator], dict]
    verdict: Callable[[Evidence, Evidence, dict], None]
    call: str  # how the code is called, for the message; {name} stands for one of the inputs
    seconds: float
    free: tuple[str, ...] = ()  # names of evidence that right code may bring back in other forms


class Wrong(Exception):
    """The evidence breaks a property. Carries what was expected and what came back."""

    def __init__(self, expected: str, got: str):
        super().__init__(f"expected {expected}; got {got}")
        self.expected, self.got = expected, got


def check(
    exercise: str,
    probe: Callable[[ModuleType, dict], Evidence],
    inputs: Callable[[torch.Generator], dict],
    call: str,
    seconds: float = 10.0,
    free: tuple[str, ...] = (),
):
    """Make a pytest test out of a verdict; its docstring is the check's title.

    Args:
        exercise: the exercise's number.
        probe: runs the code under test and returns evidence.
        inputs: draws the inputs from a generator. Plain data only: it may cross a process.
        call: how the code is called, for the message, such as "q_sample(x0, t, eps, alpha_bars)";
            {name} stands for an input, as in `str.format`.
        seconds: of computing, after which the code under test is stopped.
        free: names in the evidence under which right code may bring back something of another form
            than the reference's: fewer parts, or another kind of thing. See `course.grading.form`.
    """

    def decorate(verdict: Callable[[Evidence, Evidence, dict], None]):
        if not verdict.__doc__:
            raise TypeError(f"{verdict.__name__} needs a docstring: it is the check's title")
        title = " ".join(verdict.__doc__.split())
        this = Check(exercise, title, probe, inputs, verdict, call, seconds, free)

        def test(show):
            show(this)

        test.__name__, test.__doc__, test.__module__ = verdict.__name__, title, verdict.__module__
        test.check = this
        return test

    return decorate


@functools.cache
def checks_of(exercise_id: str) -> tuple[Check, ...]:
    """The checks of one exercise, in the order of their file.

    Raises:
        CourseError: if there are none.
    """
    chapter = find_exercise(exercise_id).chapter
    module = importlib.import_module(f"checks.test_{chapter}")
    found = [f.check for f in vars(module).values() if isinstance(getattr(f, "check", None), Check)]
    own = tuple(check for check in found if check.exercise == exercise_id)
    if not own:
        raise CourseError(f"checks/test_{chapter}.py has no check of exercise {exercise_id}")
    return own


def draw_inputs(check: Check, seed: int) -> dict:
    """The inputs of a check; the same seed gives the same."""
    return check.inputs(torch.Generator().manual_seed(seed))


# Verdicts


def require(condition: bool, expected: str, got: str) -> None:
    """Fail with these two sentences unless the condition holds."""
    if not condition:
        raise Wrong(expected, got)


def require_tensor(
    value: Any,
    name: str,
    shape: tuple[int, ...] | None = None,
    dtype: torch.dtype | None = torch.float32,
) -> Tensor:
    """Fail unless `value` is a finite tensor of this shape and dtype, on the CPU."""
    if not isinstance(value, Tensor):
        kind = _article(type_name(value))
        got = brief(value) if value is None else f"{kind}: {brief(value)}"
        raise Wrong(f"{name} to be a torch.Tensor", got)
    if shape is not None and tuple(value.shape) != tuple(shape):
        raise Wrong(f"{name} of shape {tuple(shape)}", f"shape {tuple(value.shape)}")
    if dtype is not None and value.dtype != dtype:
        raise Wrong(f"{name} of dtype {dtype}", f"dtype {value.dtype}")
    if value.device.type != "cpu":
        raise Wrong(
            f"{name} on the device of the inputs, cpu (use `device=x.device` for new tensors)",
            f"a tensor on {value.device}",
        )
    if value.is_floating_point() and not value.isfinite().all():
        bad = int((~value.isfinite()).sum())
        kind = "NaN" if value.isnan().any() else "infinity"
        first = tuple((~value.isfinite()).nonzero()[0].tolist())
        raise Wrong(
            f"{name} to be finite numbers",
            f"{kind} in {bad} of {value.numel()} places, the first at index {first}",
        )
    return value


def require_close(
    value: Any,
    target: Tensor,
    expected: str,
    name: str = "the result",
    rtol: float = 1e-4,
    atol: float = 1e-6,
) -> None:
    """Fail unless `value` is a tensor like `target`: shape, dtype and, within tolerance, values.

    The default tolerance leaves room for float32 rounding of a short formula.
    """
    require_tensor(value, name, tuple(target.shape), target.dtype)
    value, target = value.double(), target.double()
    allowed = atol + rtol * target.abs()
    error = (value - target).abs()
    wrong = error > allowed
    if wrong.any():
        if value.ndim == 0:
            raise Wrong(expected, f"{name} = {float(value):.6g}")
        where = torch.where(wrong, error, 0).argmax()
        index = tuple(int(i) for i in torch.unravel_index(where, value.shape))
        raise Wrong(
            expected,
            f"{name} with {int(wrong.sum())} of {value.numel()} values off; the one "
            f"furthest off came back as {float(value.flatten()[where]):.6g}, at index {index}",
        )


def require_number(
    value: Any, target: float, expected: str, name: str = "the result", rtol=1e-4, atol=1e-6
) -> None:
    """Fail unless `value` is a number within tolerance of `target`."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not math.isfinite(value) or abs(value - target) > atol + rtol * abs(target):
        raise Wrong(expected, f"{name} = {brief(value)}")


def brief(value: Any) -> str:
    """A value in a few words: tensors by dtype and shape, the rest by its start."""
    if isinstance(value, Tensor):
        if value.numel() == 1:
            return f"{value.item():.6g}"
        return f"a {str(value.dtype).removeprefix('torch.')} tensor of shape {tuple(value.shape)}"
    if isinstance(value, float):
        return f"{value:.6g}"
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def listed(values: Iterable[Any], most: int = 10) -> str:
    """The values with commas between them; of many only the first."""
    values = [str(value) for value in values]
    more = f", ... ({len(values):,} in all)" if len(values) > most else ""
    return ", ".join(values[:most]) + more


def _article(word: str) -> str:
    return f"an {word}" if word[:1].lower() in "aeiou" else f"a {word}"
