"""Run code in a forked child, so that code which ends its process, or never ends, ends only that.

Success is an answer that came, never the end of a process. Where there is no fork (on Windows)
everything runs here.
"""

import contextlib
import gc
import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any

import torch

from course.grading.checking import checks_of
from course.grading.code import Code
from course.grading.grader import Grader, Outcome, Result
from course.probing.confining import die_with_parent
from course.probing.observing import noted_ctrl_c
from course.syllabus import FAILED, Exercise


def grade_apart(code: Code, wanted: Iterable[Exercise]) -> list[Result]:
    """The results of these exercises; one that ends the child fails, and the rest goes on."""
    wanted, results = tuple(wanted), []
    while len(results) < len(wanted):
        rest = wanted[len(results) :]
        results += stream_apart(partial(_one_by_one, code, rest))
        if len(results) < len(wanted):
            results.append(ended(wanted[len(results)]))
    return results


def _one_by_one(code: Code, wanted: tuple[Exercise, ...]) -> Iterator[Result]:
    grader = Grader(code)
    for exercise in wanted:
        yield grader.grade_exercise(exercise.id)


def ended(exercise: Exercise) -> Result:
    """The result if the code ended the process that graded it."""
    return Result(
        exercise,
        (
            Outcome(
                FAILED,
                checks_of(exercise.id)[0].title,
                expected="a result",
                got="the code ended the process it runs in, or did not come to an end",
            ),
        ),
    )


def run_apart(function: Callable[[], Any], seconds: float | None = None) -> Any:
    """What a function returns when a child runs it; None if the child does not finish in time."""
    return next(stream_apart(lambda: (call() for call in [function]), seconds), None)


def stream_apart(values: Callable[[], Iterable], seconds: float | None = None) -> Iterator[Any]:
    """The values that a child computes, one by one, as far as it comes.

    Args:
        values: makes them, in the child. An exception is raised here.
        seconds: to wait for each; no limit if left out.
    """
    if not hasattr(os, "fork"):
        yield from values()
        return
    child, reading = _start(values)
    try:
        while reading.poll(seconds):
            answer = reading.recv()
            if isinstance(answer, Exception):
                raise answer
            yield answer
    except EOFError:  # the child has ended
        return
    finally:
        _end(child, reading)


@dataclass(frozen=True)
class Ended:
    """Stands for the answer of a child that ended without one."""

    why: str


def run_many(
    calls: dict[str, Callable[[], Any]], jobs: int, seconds: float
) -> Iterator[tuple[str, Any]]:
    """Make each call in a child of its own, `jobs` at a time; names and answers as they come.

    An answer is what the call returned, the exception that it raised, or `Ended`. Needs fork.

    Args:
        calls: by name.
        jobs: how many children there are at a time.
        seconds: after which a child is ended.
    """
    left, running = list(calls), {}
    # Noted, not raised: Python drops what is raised while it tidies up processes.
    with noted_ctrl_c() as pressed:
        try:
            while left or running:
                if pressed:
                    raise KeyboardInterrupt
                while left and len(running) < jobs:
                    name = left.pop(0)
                    child, reading = _start(lambda name=name: (call() for call in [calls[name]]))
                    running[reading] = name, child, time.monotonic() + seconds
                ready = wait(running, timeout=1.0)
                late = [r for r, (*_, until) in running.items() if time.monotonic() > until]
                for reading in dict.fromkeys([*ready, *late]):
                    name, child, _ = running.pop(reading)
                    answer = Ended(f"it took more than {seconds:g} seconds")
                    if reading in ready:
                        answer = _answer(child, reading)
                    _end(child, reading)
                    yield name, answer
        finally:
            for reading, (_, child, _) in running.items():
                _end(child, reading)


def _answer(child: BaseProcess, reading: Connection) -> Any:
    try:
        return reading.recv()
    except EOFError:
        child.join(5)
        code = child.exitcode or 0
        if code < 0:
            name = signal.Signals(-code).name
            memory = ", perhaps because memory ran out" if name == "SIGKILL" else ""
            return Ended(f"it was ended by {name}{memory}")
        return Ended(f"it ended with status {code}")


def _start(values: Callable[[], Iterable]) -> tuple[BaseProcess, Connection]:
    """Start a child that computes the values, and the connection on which they arrive."""
    processes = multiprocessing.get_context("fork")
    reading, writing = processes.Pipe(duplex=False)
    child = processes.Process(target=_send_all, args=(values, writing), daemon=True)
    # Ctrl-C in the middle of this would be lost in what Python does around a fork.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    child.start()
    signal.pthread_sigmask(signal.SIG_SETMASK, before)
    writing.close()
    return child, reading


def _end(child: BaseProcess, reading: Connection) -> None:
    child.kill()
    child.join()
    reading.close()


def _send_all(values: Callable[[], Iterable], writing: Any) -> None:
    """In the child: send what there is, and leave without waiting for threads of the code's."""
    die_with_parent()
    gc.freeze()  # otherwise collecting garbage would copy all that the parent holds
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which ends this child
    torch.set_num_threads(1)  # threads do not survive a fork
    try:
        for value in values():
            with contextlib.suppress(Exception):  # the code may have closed it
                sys.stdout.flush()  # afterwards the parent may end this at any time
            writing.send(value)
    except Exception as error:
        writing.send(error)
    os._exit(0)
