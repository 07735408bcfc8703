"""`course watch`: check again at every save, from a process in which torch is already there.

Your code runs in a forked child, so an endless loop, a crash or os._exit ends that child and not
the watch, and every save meets a fresh module.
"""

import contextlib
import os
import select
import sys
import time
from pathlib import Path

import torch
from rich.console import Console
from rich.rule import Rule
from rich.text import Text

from course.grading.apart import ended, run_apart
from course.grading.code import LocalCode, NoVerdict
from course.grading.grader import Grader, Result
from course.grading.recognition import warm_up
from course.learner.scoreboard import next_exercise, score_table, signed
from course.learner.workspace import Workspace
from course.syllabus import (
    LOOKS,
    NOT_WRITTEN,
    PASSED,
    Exercise,
    chapters,
    exercises,
    find_exercise,
)

POLL = 0.05  # seconds between two looks at the file and the keyboard
LONGEST = 60.0  # seconds for all checks of one exercise
KEYS = "h hint · n next · p previous · s scoreboard · c check again · q quit"


class Watch:
    """One exercise on the screen, checked again whenever its file is saved."""

    def __init__(self, workspace: Workspace, exercise_id: str | None, console: Console):
        torch.set_num_threads(1)  # before the first fork: threads do not survive it
        self.workspace, self.console = workspace, console
        self.console.print("grading what you have so far ...")
        self.statuses: dict[str, str] = run_apart(workspace.statuses, 10 * LONGEST) or {}
        upcoming = next_exercise(self.statuses) or exercises()[0]
        self.exercise = find_exercise(exercise_id) if exercise_id else upcoming
        self.result: Result | None = None
        self.hints = 0  # how many are on the screen
        self.seconds = 0.0  # that the last check took

    def run(self) -> None:
        """Until the learner presses q or Ctrl-C."""
        with Keyboard() as keyboard:
            self.turn_to(self.exercise)
            while True:
                key = keyboard.read(POLL)
                if key == "q":
                    return
                if _stamp(self.file) != self.stamp:
                    _wait_until_written(self.file)
                    self.check()
                elif key:
                    self.press(key)

    @property
    def file(self) -> Path:
        return self.workspace.file(self.exercise.chapter)

    def turn_to(self, exercise: Exercise) -> None:
        self.exercise, self.hints = exercise, 0
        self.console.print(f"getting ready for {exercise.id} ...")
        with contextlib.suppress(NoVerdict):  # check says why
            warm_up(exercise.id)
        self.check()

    def press(self, key: str) -> None:
        """Do what a key stands for; other keys do nothing."""
        if key == "h":
            self.hints = self.workspace.next_hint(self.exercise)
            self.console.clear()
            self.draw()
        elif key == "n":
            self.turn_to(_neighbour(self.exercise, +1))
        elif key == "p":
            self.turn_to(_neighbour(self.exercise, -1))
        elif key == "c":
            self.check()
        elif key == "s":
            self.console.clear()
            self.console.print(score_table(self.statuses))
            self.draw()

    def check(self) -> None:
        """Grade the exercise as it is in the file now, and show the verdict."""
        start = time.monotonic()
        self.stamp = _stamp(self.file)
        self.console.clear()  # now, so that what your code prints stays above the verdict
        self.console.print(f"checking {self.exercise.id} ...", style="dim")
        code, key = self.workspace.exercises, self.workspace.key(self.exercise.chapter)
        try:
            self.result = run_apart(
                lambda: Grader(LocalCode(code)).grade_exercise(self.exercise.id), LONGEST
            ) or ended(self.exercise)
        except NoVerdict as problem:
            self.result = None
            self.console.print(f"{problem}\n")
            self.console.print(KEYS, style="bold")
            return
        self.workspace.remember([self.result], {self.exercise.chapter: key})
        self.statuses[self.exercise.id] = self.result.status
        self.seconds = time.monotonic() - start
        self.draw()

    def draw(self) -> None:
        """Verdict, hints, what is solved, and the keys."""
        out, result = self.console, self.result
        if result is None:  # there is no verdict now
            out.print(KEYS, style="bold")
            return
        out.print(Rule(f"{self.exercise.id} {self.exercise.title}", align="left"))
        out.print(f"{self.file}\n", style="dim", soft_wrap=True)
        sign = signed(result.status)
        if result.status == NOT_WRITTEN:
            names = ", ".join(self.exercise.symbols)
            text = f"{self.exercise.id} {self.exercise.in_words(result.status)}: {names}"
        else:
            text = result.message
        out.print(Text.assemble(sign, " ", text))
        if result.status == PASSED:
            reference = f"the reference: course solution {self.exercise.id}"
            out.print(Text.assemble(("\nn", "bold"), f" goes on; {reference}"))
        for number, hint in enumerate(self.exercise.hints[: self.hints], start=1):
            heading = f"\nhint {number} of {len(self.exercise.hints)}"
            out.print(Text.assemble((heading, "bold"), " ", hint))
        out.print()
        out.print(self._glance())
        out.print(f"checked in {self.seconds:.1f} s; save the file to check again", style="dim")
        out.print(KEYS, style="bold")

    def _glance(self) -> str:
        """Everything solved so far on one line."""
        parts = []
        for chapter in chapters():
            signs = "".join(
                LOOKS[self.statuses.get(e.id, NOT_WRITTEN)].sign for e in chapter.exercises
            )
            parts.append(f"{chapter.number} {signs}")
        solved = sum(status == PASSED for status in self.statuses.values())
        earned = sum(e.points for e in exercises() if self.statuses.get(e.id) == PASSED)
        possible = sum(e.points for e in exercises())
        line = "   ".join(parts)
        return f"{line}\n{solved} of {len(exercises())} solved, {earned} of {possible} points"


def _neighbour(exercise: Exercise, step: int) -> Exercise:
    """The next or previous exercise; at either end of the course, the one at the other."""
    return exercises()[(exercises().index(exercise) + step) % len(exercises())]


def _stamp(file: Path) -> tuple[int, int]:
    """Changes whenever the file is saved."""
    try:
        found = file.stat()
        return found.st_mtime_ns, found.st_size
    except OSError:  # between the two steps of an editor's save
        return 0, 0


def _wait_until_written(file: Path) -> None:
    """Editors empty a file before they fill it: wait until it stays as it is for a moment."""
    before = None
    while (now := _stamp(file)) != before:
        before = now
        time.sleep(POLL)


class Keyboard:
    """Single keys, without waiting for Enter; none where the input is no Unix terminal."""

    def __enter__(self) -> "Keyboard":
        self._before = None
        if sys.stdin.isatty() and os.name == "posix":
            import termios
            import tty

            self._before = termios.tcgetattr(sys.stdin)
            tty.setcbreak(sys.stdin)
        return self

    def __exit__(self, *_) -> None:
        if self._before is not None:
            import termios

            termios.tcsetattr(sys.stdin, termios.TCSADRAIN, self._before)

    def read(self, seconds: float) -> str:
        """The key that is pressed within so many seconds; empty if none is."""
        if self._before is None:
            time.sleep(seconds)
            return ""
        if not select.select([sys.stdin], [], [], seconds)[0]:
            return ""
        # An empty answer means that the terminal is gone.
        return os.read(sys.stdin.fileno(), 1).decode(errors="replace") or "q"
