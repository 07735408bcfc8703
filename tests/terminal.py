"""Drive a command in a terminal, as a learner at the keyboard would."""

import os
import pty
import select
import subprocess
import sys
import time
from pathlib import Path

from course import ROOT
from course.probing.text import printable


class Terminal:
    """A `course` command that runs in a pseudo-terminal."""

    def __init__(self, *arguments: str, exercises: Path):
        ours, theirs = pty.openpty()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "course.cli", *arguments],
            cwd=ROOT,
            env={**os.environ, "COURSE_EXERCISES": str(exercises), "COLUMNS": "200"},
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
        )
        os.close(theirs)
        self._fd, self.text = ours, ""

    def wait_for(self, words: str, seconds: float = 60.0) -> str:
        """Read until these words come; all that came since the words waited for before.

        Raises:
            TimeoutError: if they do not come.
        """
        deadline = time.monotonic() + seconds
        while words not in self.text:
            if not select.select([self._fd], [], [], max(0, deadline - time.monotonic()))[0]:
                raise TimeoutError(f"no {words!r} in:\n{self.text[-3000:]}")
            try:
                self.text += os.read(self._fd, 65536).decode(errors="replace")
            except OSError:
                raise TimeoutError(f"ended before {words!r}:\n{self.text[-3000:]}") from None
        end = self.text.index(words) + len(words)
        seen, self.text = self.text[:end], self.text[end:]
        return printable(seen)

    def press(self, keys: str) -> None:
        os.write(self._fd, keys.encode())

    def close(self) -> int:
        """Wait for the end; the exit status."""
        try:
            return self.process.wait(20)
        finally:
            self.process.kill()
            os.close(self._fd)
