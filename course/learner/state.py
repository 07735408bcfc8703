"""What the course remembers of a learner: one folder, .course/, that can be deleted at any time.

Whatever is in it may be broken, half written, or of the wrong kind: it is set aside with a
message, and counts as empty. Only backups of what a learner wrote must not fail.
"""

import json
import os
import shutil
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

from course import CourseError
from course.files import write_whole


class State:
    """The folder with progress, hints and backups."""

    def __init__(self, folder: Path):
        self.folder = folder

    def read(self, name: str) -> dict[str, Any]:
        """The content of a state file; empty if it is missing or broken."""
        path = self.folder / name
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            if not isinstance(content, dict):
                raise ValueError("not a JSON object")
            return content
        except (FileNotFoundError, NotADirectoryError):
            return {}
        except (ValueError, RecursionError, OSError) as error:
            self._set_aside(path, f"{type(error).__name__}: {error}")
            return {}

    def write(self, name: str, content: dict[str, Any]) -> None:
        """Keep a state file; where that is not possible, say so and go on."""
        try:
            self._make_folder()
            write_whole(self.folder / name, json.dumps(content, indent=1, sort_keys=True))
        except OSError as error:
            _say(f"{self.folder / name} cannot be written ({error}); it is not remembered")

    def back_up(self, path: Path) -> Path:
        """Keep a dated copy of a learner's file.

        Raises:
            CourseError: if that is not possible. Nothing may be overwritten then.
        """
        stamp = datetime.now().strftime("%Y-%m-%d_%H-%M-%S-%f")
        try:
            self._make_folder()
            folder = self.folder / "backups"
            folder.mkdir(exist_ok=True)
            return Path(shutil.copy2(path, folder / f"{path.stem}_{stamp}.py"))
        except OSError as error:
            raise CourseError(
                f"no backup of {path.name} can be kept in {self.folder} ({error}), so nothing was "
                "changed. Make that folder writable, or copy your file and put the skeleton back "
                "yourself"
            ) from None

    def _make_folder(self) -> None:
        if self.folder.exists() and not self.folder.is_dir():
            self._set_aside(self.folder, "a file where a folder should be")
        self.folder.mkdir(parents=True, exist_ok=True)

    def _set_aside(self, path: Path, why: str) -> None:
        stamp = datetime.now().strftime("%Y-%m-%d_%H-%M-%S-%f")
        aside = path.with_name(f"{path.name}.broken-{stamp}")
        try:
            os.replace(path, aside)
            _say(f"{path} was damaged ({why}); it is now in {aside.name}")
        except OSError:
            _say(f"{path} is damaged ({why}) and is left as it is")


def _say(text: str) -> None:
    print(text, file=sys.stderr)
