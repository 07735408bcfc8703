"""Run a probe on the code under test, and keep what happened as plain data.

This half of grading runs beside the learner's code. It knows no expected values.
"""

import contextlib
import copy
import ctypes
import linecache
import math
import signal
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

from course.probing.loading import CannotLoad, describe_exception, stops_while_imported
from course.probing.tampering import Tampered, torch_as_it_was

Evidence = dict[str, Any]

WAIT = 3  # times as long as it may compute, code may take by the clock: others need the machine too


@dataclass(frozen=True)
class Observation:
    """What one probe brought back."""

    evidence: Evidence | None = None
    raised: str = ""  # "ValueError: ..., at line 12: ..."
    error: str = ""  # the same without the place: type and first line
    unwritten: str = ""  # name of the function that raised NotImplementedError
    changed: tuple[str, ...] = ()  # inputs that the code altered
    out_of_time: bool = False  # the code was stopped


def no_result(why: str, out_of_time: bool = False) -> Observation:
    """The observation where no result came back at all."""
    return Observation(raised=f"nothing: {why}", error=f"nothing: {why}", out_of_time=out_of_time)


def observe(
    probe: Callable[[Any, dict], Evidence],
    impl: Any,
    path: str,
    inputs: dict,
    seconds: float,
    wait: float = WAIT,
) -> Observation:
    """Run a probe on `impl`, whose code is in the file at `path`, within a `time_limit`."""
    handed = copy.deepcopy(inputs)
    evidence, raised, error, unwritten = None, "", "", ""
    began = time.process_time()
    try:
        with ctrl_c_gets_through(), torch_as_it_was():
            torch.manual_seed(0)  # code that ignores its generator at least repeats itself
            with time_limit(seconds, wait):
                evidence = probe(impl, handed)
    except OutOfTime:
        computed = time.process_time() - began
        return no_result(_stopped(seconds, wait, computed), out_of_time=True)
    except RecursionError:
        raised = error = "RecursionError: a function calls itself without end"
    except Tampered as tampered:
        return no_result(str(tampered))
    except CtrlC:
        raise KeyboardInterrupt from None
    except BaseException as caught:  # the learner's code may raise anything, SystemExit too
        raised = describe_exception(caught, path)
        error = raised.split(", at line ")[0]
        if isinstance(caught, NotImplementedError):
            unwritten = _function_that_raised(caught, path)
    changed = tuple(name for name in inputs if not same(inputs[name], handed[name], exact=True))
    return Observation(evidence, raised, error, unwritten, changed)


def _stopped(seconds: float, wait: float, computed: float) -> str:
    """Why the code was stopped: it computed for too long, or it had no turn to."""
    if computed > seconds / 2:
        return f"stopped after {seconds:g} seconds. Is there an endless loop?"
    return (
        f"stopped after {wait * seconds:g} seconds, of which it computed for {computed:.0f}. Is "
        "there an endless loop that waits, or is the machine busy with something else? Check again"
    )


IMPORT_SECONDS = 20.0


def import_problem(
    load: Callable[[], ModuleType],
    path: Path,
    seconds: float = IMPORT_SECONDS,
    wait: float = WAIT,
) -> str:
    """Why the chapter file at `path` cannot be imported; empty if it can. `load` imports it."""
    try:
        with ctrl_c_gets_through(), torch_as_it_was(), time_limit(seconds, wait):
            load()
    except (CannotLoad, Tampered) as error:
        return str(error)
    except OutOfTime:
        why = f"its import was stopped after {seconds:g} seconds"
        return f"{why}; a chapter file only defines things"
    except RecursionError:
        return "a function calls itself without end while the file is imported"
    except CtrlC:
        raise KeyboardInterrupt from None
    except BaseException as error:  # KeyboardInterrupt too, if the code raises it itself
        return stops_while_imported(error, path)
    return ""


def missing_name(module: ModuleType, symbols: tuple[str, ...]) -> str:
    """Which of the exercise's functions and classes a chapter lacks; empty if it has them all."""
    for symbol in symbols:
        if not callable(getattr(module, symbol, None)):
            return f"no such name: {symbol}; compare with: course reset (a backup is kept)"
    return ""


class OutOfTime(BaseException):
    """Raised inside code that runs too long. Not an Exception, so `except Exception` lets it by."""


class CtrlC(BaseException):
    """The user pressed Ctrl-C while code ran: no KeyboardInterrupt that the code raised itself."""


@contextlib.contextmanager
def ctrl_c_gets_through() -> Iterator[None]:
    """Raise CtrlC if Ctrl-C is pressed in the block, whatever the code in it does about it.

    Works in the main thread, where Ctrl-C arrives, and where it is not ignored.
    """
    with noted_ctrl_c(raised=True) as pressed:
        try:
            yield
        finally:
            if pressed:
                raise CtrlC


@contextlib.contextmanager
def noted_ctrl_c(raised: bool = False) -> Iterator[list[int]]:
    """A list that has an entry once Ctrl-C was pressed in the block, and is it raised as well?

    Works in the main thread, where Ctrl-C arrives, and where it is not ignored.
    """
    before, pressed = signal.getsignal(signal.SIGINT), []
    if not callable(before) or threading.current_thread() is not threading.main_thread():
        yield pressed
        return

    def note(signum, frame):
        pressed.append(signum)
        if raised:
            before(signum, frame)

    signal.signal(signal.SIGINT, note)
    try:
        yield pressed
    finally:
        signal.signal(signal.SIGINT, before)


@contextlib.contextmanager
def time_limit(seconds: float, wait: float = WAIT) -> Iterator[None]:
    """Interrupt the block with OutOfTime once it has computed for so many seconds.

    Code that waits instead is interrupted after `wait` times as long. Limits may be nested.
    """
    in_main_thread = threading.current_thread() is threading.main_thread()
    if not hasattr(signal, "SIGPROF") or not in_main_thread:
        with _limit_by_a_thread(wait * seconds):
            yield
        return

    def stop(signum, frame):
        raise OutOfTime

    limits = {signal.SIGPROF: (signal.ITIMER_PROF, 1), signal.SIGALRM: (signal.ITIMER_REAL, wait)}
    before = []
    for number, (timer, times) in limits.items():
        handler = signal.signal(number, stop)
        # Again every second, in case the code under test swallows the first interruption.
        before.append((number, handler, timer, signal.setitimer(timer, times * seconds, 1.0)))
    try:
        yield
    finally:
        for number, handler, timer, (left, interval) in before:
            signal.setitimer(timer, 0)
            signal.signal(number, handler)
            signal.setitimer(timer, left, interval)  # of a limit around this one


@contextlib.contextmanager
def _limit_by_a_thread(seconds: float) -> Iterator[None]:
    """The same by the clock, where no signals come: on Windows, and outside of the main thread.

    The interruption comes between two lines of Python, so not inside a call of torch.
    """
    over, this_thread = threading.Event(), ctypes.c_ulong(threading.get_ident())
    interrupt = ctypes.pythonapi.PyThreadState_SetAsyncExc

    def watch():
        wait = seconds
        while not over.wait(wait):
            interrupt(this_thread, ctypes.py_object(OutOfTime))
            wait = 1.0

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        over.set()
        watcher.join()
        interrupt(this_thread, None)  # one that has not come yet


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
    """Do two pieces of evidence agree, up to float32 rounding? nan agrees with nan alone."""
    if isinstance(a, Tensor) and isinstance(b, Tensor):
        if a.shape != b.shape or a.dtype != b.dtype or a.device != b.device:
            return False
        if exact or not a.is_floating_point():
            return bool(((a == b) | (a.isnan() & b.isnan())).all())
        return torch.allclose(a, b, rtol=1e-4, atol=1e-6, equal_nan=True)
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key], exact) for key in a)
    if isinstance(a, list | tuple) and isinstance(b, list | tuple):
        return len(a) == len(b) and all(same(x, y, exact) for x, y in zip(a, b))
    if isinstance(a, float) and isinstance(b, float):
        close = a == b if exact else math.isclose(a, b, rel_tol=1e-4, abs_tol=1e-6)
        return close or (a != a and b != b)
    return type(a) is type(b) and bool(a == b)
