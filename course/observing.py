"""Run a probe on the code under test, and keep what happened as plain data.

This half of grading runs beside the learner's code. It knows no expected values.
"""

import builtins
import contextlib
import copy
import linecache
import math
import os
import signal
import threading
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

from course.loading import CannotLoad, describe_exception

Evidence = dict[str, Any]


@dataclass(frozen=True)
class Observation:
    """What one probe brought back."""

    evidence: Evidence | None = None
    raised: str = ""  # "ValueError: ..., at line 12: ..."
    error: str = ""  # the same without the place: type and first line
    unwritten: str = ""  # name of the function that raised NotImplementedError
    changed: tuple[str, ...] = ()  # inputs that the code altered
    out_of_time: bool = False  # the code was stopped


def nothing(why: str, out_of_time: bool = False) -> Observation:
    """The observation where no result came back at all."""
    return Observation(raised=f"nothing: {why}", error=f"nothing: {why}", out_of_time=out_of_time)


def observe(
    probe: Callable[[Any, dict], Evidence], impl: Any, path: str, inputs: dict, seconds: float
) -> Observation:
    """Run a probe on `impl`, whose code stands in the file at `path`, for so many seconds."""
    handed = copy.deepcopy(inputs)
    evidence, raised, error, unwritten = None, "", "", ""
    try:
        with torch_as_it_was():
            torch.manual_seed(0)  # code that ignores its generator at least repeats itself
            with time_limit(seconds):
                evidence = probe(impl, handed)
    except OutOfTime:
        why = f"stopped after {seconds:g} seconds. Is there an endless loop?"
        return nothing(why, out_of_time=True)
    except RecursionError:
        raised = error = "RecursionError: a function calls itself without end"
    except Tampered as tampered:
        return nothing(str(tampered))
    except KeyboardInterrupt:
        raise
    except BaseException as caught:  # the learner's code may raise anything, SystemExit too
        raised = describe_exception(caught, path)
        error = raised.split(", at line ")[0]
        if isinstance(caught, NotImplementedError):
            unwritten = _function_that_raised(caught, path)
    changed = tuple(name for name in inputs if not same(inputs[name], handed[name], exact=True))
    return Observation(evidence, raised, error, unwritten, changed)


IMPORT_SECONDS = 20.0


def import_problem(load: Callable[[], ModuleType]) -> str:
    """Why a chapter file cannot be imported; empty if it can. `load` imports it."""
    try:
        with torch_as_it_was(), time_limit(IMPORT_SECONDS):
            load()
    except (CannotLoad, Tampered) as error:
        return str(error)
    except OutOfTime:
        why = f"its import was stopped after {IMPORT_SECONDS:g} seconds"
        return f"{why}; a chapter file only defines things"
    except RecursionError:
        return "a function calls itself without end while the file is imported"
    return ""


def missing_name(module: ModuleType, symbols: tuple[str, ...]) -> str:
    """Which of the exercise's functions and classes a chapter lacks; empty if it has them all."""
    for symbol in symbols:
        if not callable(getattr(module, symbol, None)):
            return f"no such name: {symbol}; compare with: course reset (a backup is kept)"
    return ""


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


THREADS = 1  # the checks' tensors are small: more threads would only wait for each other


class Tampered(Exception):
    """The code under test replaced a function of Python's or torch's."""


@contextlib.contextmanager
def torch_as_it_was() -> Iterator[None]:
    """Undo at the end whatever the block does to torch's switches, generator and functions.

    Raises:
        Tampered: at the end of the block, if a function of Python's or torch's was replaced.
    """
    dtype, threads, device = (
        torch.get_default_dtype(),
        torch.get_num_threads(),
        torch.get_default_device(),
    )
    functions = {owner: _public_functions(owner) for owner in WATCHED}
    torch.set_num_threads(THREADS)
    with torch.random.fork_rng(devices=[]), torch.enable_grad():
        try:
            yield
        finally:
            replaced = _put_back(functions)
            torch.set_default_dtype(dtype)
            torch.set_num_threads(threads)
            if torch.get_default_device() != device:
                torch.set_default_device(device)
    if replaced:
        raise Tampered(
            f"the code replaced {replaced[0]}, which is not its own. Give your function another "
            "name, and assign it to nothing of Python's or torch's"
        )


WATCHED = [
    builtins,
    math,
    torch,
    torch.Tensor,
    torch.Generator,
    torch.autograd,
    torch.linalg,
    torch.random,
    torch.nn,
    torch.nn.functional,
    torch.nn.Module,
    torch.nn.init,
    torch.nn.utils,
    torch.optim,
]


def watch(*modules: ModuleType) -> None:
    """From now on, notice as well where functions of these modules are replaced."""
    WATCHED.extend(modules)


def _public_functions(owner: Any) -> dict[str, Any]:
    """The functions and classes of a module or class, but for those that are its private ones."""
    return {
        name: value
        for name, value in vars(owner).items()
        if (name[:1] != "_" or name[:2] == "__") and callable(value)
    }


def _put_back(functions: dict[Any, dict[str, Any]]) -> list[str]:
    """Undo replacements of functions; the names of those that were replaced."""
    replaced = []
    for owner, before in functions.items():
        for name in _shadowed(owner, before):
            delattr(owner, name)
            replaced.append(f"{owner.__name__}.{name}")
        for name, value in before.items():
            now = vars(owner).get(name)
            if now is not value and not _is_wrapped_by_torch(now, name):
                setattr(owner, name, value)
                replaced.append(f"{owner.__name__}.{name}")
    return replaced


def _shadowed(owner: Any, before: dict[str, Any]) -> list[str]:
    """New functions of a class that hide those it inherits."""
    if not isinstance(owner, type):
        return []
    inherited = set().union(*(vars(base) for base in owner.__mro__[1:]))
    return [name for name in _public_functions(owner) if name in inherited - before.keys()]


def _is_wrapped_by_torch(value: Any, name: str) -> bool:
    """torch wraps a few of its functions itself when its compiler is first needed."""
    code = getattr(value, "__code__", None)
    return (
        code is not None
        and code.co_filename.startswith(os.path.dirname(torch.__file__))
        and value.__name__ == name
    )


def _function_that_raised(error: BaseException, path: str) -> str:
    """The function or class of the learner's file that says `raise NotImplementedError`.

    Empty if it is torch that raised it, as it does where it cannot do what a line asks for.
    """
    frame, number = list(traceback.walk_tb(error.__traceback__))[-1]
    linecache.checkcache(path)
    line = linecache.getline(path, number).strip()
    if frame.f_code.co_filename != path or not line.startswith("raise"):
        return ""
    return frame.f_code.co_qualname.split(".")[0]


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
