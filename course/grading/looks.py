"""Looks: what a function's result is like, as numbers, a curve or a picture to be judged by eye.

checks/looks.py lists them:

    @look("1.1", "linear_betas")
    def even_steps(impl, pick):
        count = pick.choice((3, 5, 6))
        return Numbers(f"linear_betas({count}, 0.01, 0.05)", {"the betas": ...})

`impl` is a chapter's module, sound or with one known mistake, and `pick` a random.Random that
decides the inputs.
"""

import functools
import importlib
import random
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

VISIBLE = 0.08  # how far apart two values must be to be told by eye, as a share of what is seen
DIGITS = 4  # that a number is shown with


@dataclass(frozen=True)
class Numbers:
    """A call and a few of its results, each with a name."""

    call: str
    rows: dict[str, Any]  # tensors, numbers, words

    def lines(self) -> list[str]:
        width = max(map(len, self.rows))
        return [f"{name:<{width}}  {in_digits(value)}" for name, value in self.rows.items()]

    def differs(self, other: "Numbers") -> bool:
        """Can the two be told apart by what is printed?"""
        return any(_differ(value, other.rows[name]) for name, value in self.rows.items())


@dataclass(frozen=True)
class Curve:
    """A call and its result as a curve."""

    call: str
    x: Tensor  # shape (N,)
    y: Tensor  # shape (N,)
    xlabel: str
    ylabel: str

    def differs(self, other: "Curve") -> bool:
        """Is one curve visibly elsewhere than the other, on one twentieth of its way or more?"""
        length = min(len(self.y), len(other.y))
        if length < 0.95 * max(len(self.y), len(other.y)):
            return True
        one, two = self.y[:length], other.y[:length]
        span = max(float(self.y.max() - self.y.min()), float(other.y.max() - other.y.min()), 1e-6)
        clear = (one - two).abs() > VISIBLE * span
        return float(clear.double().mean()) > 0.05


@dataclass(frozen=True)
class Picture:
    """A call and its result as an image: black at `low`, white at `high`."""

    call: str
    image: Tensor  # shape (H, W)
    low: float = -1.0
    high: float = 1.0

    def differs(self, other: "Picture") -> bool:
        """Do the two differ in size, or clearly in one of a hundred pixels?"""
        if self.image.shape != other.image.shape:
            return True
        one, two = (p.image.clamp(self.low, self.high) for p in (self, other))
        clear = (one - two).abs() > 2 * VISIBLE * (self.high - self.low)
        return float(clear.double().mean()) > 0.01


Shown = Numbers | Curve | Picture
Run = Callable[[ModuleType, random.Random], Shown]


@dataclass(frozen=True)
class Look:
    """A way to look at what one function does."""

    symbol: str
    run: Run

    def at(self, impl: ModuleType, seed: int) -> Shown | None:
        """What is seen, with inputs drawn by the seed; None if nothing comes that can be shown."""
        with torch.random.fork_rng(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of torch, about what a mistake does
            torch.manual_seed(seed)
            try:
                shown = self.run(impl, random.Random(seed))
            except Exception:  # a mistake that raises says itself what it is
                return None
        return shown if _can_be_shown(shown) else None


_looks: dict[str, list[Look]] = {}  # by exercise


def look(exercise: str, symbol: str) -> Callable[[Run], Run]:
    """Register the function below as a look at this function of an exercise."""

    def register(run: Run) -> Run:
        _looks.setdefault(exercise, []).append(Look(symbol, run))
        return run

    return register


@functools.cache
def looks_of(exercise_id: str) -> tuple[Look, ...]:
    """The looks at one exercise's functions, in the order of their file."""
    importlib.import_module("checks.looks")
    return tuple(_looks.get(exercise_id, ()))


def in_digits(value: Any) -> str:
    """A value as it is printed: numbers with four digits, tensors with dtype and shape."""
    if isinstance(value, bool | str) or value is None:
        return str(value)
    if isinstance(value, int | float):
        return f"{value:.{DIGITS}g}"
    if isinstance(value, Tensor):
        kind = str(value.dtype).removeprefix("torch.")
        return f"{_nested(value.detach().tolist())}   {kind}, shape {tuple(value.shape)}"
    if isinstance(value, Sequence):
        return "(" + ", ".join(in_digits(part) for part in value) + ")"
    return f"a {type(value).__name__}"


def _nested(value: Any) -> str:
    if isinstance(value, list):
        return "[" + ", ".join(_nested(part) for part in value) + "]"
    return in_digits(value)


def _can_be_shown(shown: Shown) -> bool:
    """Are a curve's or a picture's values finite numbers in the right shape?"""
    if isinstance(shown, Numbers):
        return True
    image, dimensions = (shown.y, 1) if isinstance(shown, Curve) else (shown.image, 2)
    return (
        isinstance(image, Tensor)
        and image.ndim == dimensions
        and image.numel() > 1
        and bool(image.isfinite().all())
    )


def _differ(one: Any, other: Any) -> bool:
    """Do two values differ by more than a reader could overlook?"""
    if isinstance(one, Tensor) and isinstance(other, Tensor):
        if one.dtype != other.dtype or one.shape != other.shape:
            return True
        one, other = one.double(), other.double()
        near = (one - other).abs() <= VISIBLE / 4 * torch.maximum(one.abs(), other.abs()) + 1e-9
        return not bool((near | (one.isnan() & other.isnan()) | (one == other)).all())
    if isinstance(one, float | int) and isinstance(other, float | int):
        return _differ(torch.tensor(float(one)), torch.tensor(float(other)))
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return len(one) != len(other) or any(map(_differ, one, other))
    return in_digits(one) != in_digits(other)
