"""The learner's side: the exercises folder, and beside it .course/ with progress and backups.

.course/ can be deleted at any time: progress is found again by grading, hints begin anew, and
only the backups of files that were reset are lost.
"""

import ast
import hashlib
import json
import os
import shutil
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

from course import ROOT, CourseError
from course.catalogue import Chapter, Exercise, chapters, find_chapter, find_exercise
from course.skeletons import find_definition, skeleton, write_missing


class Workspace:
    """One learner's exercises and what the course remembers about them."""

    def __init__(self, exercises: Path | None = None):
        folder = exercises or os.environ.get("COURSE_EXERCISES") or ROOT / "exercises"
        self.exercises = Path(folder).resolve()
        self.state = self.exercises.parent / ".course"
        write_missing(self.exercises)

    def file(self, chapter: str) -> Path:
        return self.exercises / f"{chapter}.py"

    # Progress

    def statuses(self) -> dict[str, str]:
        """The status of every exercise, graded anew where a file has changed since."""
        return {e.id: self.status(e) for chapter in chapters() for e in chapter.exercises}

    def status(self, exercise: Exercise) -> str:
        """The status of one exercise; its chapter is graded anew if the file has changed since."""
        key = self._key(find_chapter(exercise.chapter))
        entry = self._read("progress.json").get(exercise.id)
        if not isinstance(entry, dict) or entry.get("key") != key:
            self.grade(exercise.chapter)
            entry = self._read("progress.json")[exercise.id]
        return entry["status"]

    def grade(self, which: str | None = None) -> list:
        """Grade the exercises "1.2", "01" or all (None) and remember the results."""
        from course.grading import Grader, LocalCode  # imports torch, which takes seconds

        results = Grader(LocalCode(self.exercises)).grade(which)
        self.remember(results)
        return results

    def remember(self, results: list) -> None:
        """Keep the statuses of these results, together with what they are worth for."""
        known = self._read("progress.json")
        for result in results:
            chapter = find_chapter(result.exercise.chapter)
            known[result.exercise.id] = {"status": result.status, "key": self._key(chapter)}
        self._write("progress.json", known)

    def _key(self, chapter: Chapter) -> str:
        """Changes whenever the learner's file or what grades it changes."""
        digest = hashlib.sha256()
        checks = ROOT / "checks"
        for path in (
            self.file(chapter.name),
            checks / f"test_{chapter.name}.py",
            checks / "probes" / f"{chapter.name}.py",
            checks / f"{chapter.name}.toml",
        ):
            digest.update(path.read_bytes() if path.is_file() else b"missing")
        return digest.hexdigest()[:16]

    # Hints

    def next_hint(self, exercise: Exercise) -> int:
        """The number of hints of this exercise that are open, after opening one more."""
        used = self._read("hints.json")
        seen = used.get(exercise.id, 0)
        count = min((seen if isinstance(seen, int) else 0) + 1, len(exercise.hints))
        used[exercise.id] = count
        self._write("hints.json", used)
        return count

    # Starting over

    def reset(self, which: str) -> Path:
        """Put the skeleton of an exercise or a chapter back; the path of the backup.

        Raises:
            CourseError: if the file cannot be read by Python, so that one exercise cannot be
                told from the others.
        """
        if "." not in which:
            chapter = find_chapter(which)
            path = self.file(chapter.name)
            backup = self._back_up(path)
            path.write_text(skeleton(chapter.name), encoding="utf-8")
            return backup
        exercise = find_exercise(which)
        path = self.file(exercise.chapter)
        text, fresh = path.read_text(encoding="utf-8"), skeleton(exercise.chapter)
        for symbol in exercise.symbols:
            text = _replace_definition(text, fresh, symbol, path)
        backup = self._back_up(path)
        path.write_text(text, encoding="utf-8")
        return backup

    def _back_up(self, path: Path) -> Path:
        folder = self.state / "backups"
        folder.mkdir(parents=True, exist_ok=True)
        stamp = datetime.now().strftime("%Y-%m-%d_%H-%M-%S-%f")
        return Path(shutil.copy2(path, folder / f"{path.stem}_{stamp}.py"))

    # State files

    def _read(self, name: str) -> dict[str, Any]:
        """A state file's content; a broken one is set aside, says so, and counts as empty."""
        path = self.state / name
        if not path.exists():
            return {}
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            if not isinstance(content, dict):
                raise ValueError("not a JSON object")
            return content
        except (ValueError, OSError) as error:
            aside = path.with_suffix(".broken")
            os.replace(path, aside)
            print(f"{path} was damaged ({error}); it now stands in {aside.name}", file=sys.stderr)
            return {}

    def _write(self, name: str, content: dict[str, Any]) -> None:
        self.state.mkdir(parents=True, exist_ok=True)
        unfinished = self.state / f"{name}.{os.getpid()}.part"
        unfinished.write_text(json.dumps(content, indent=1, sort_keys=True), encoding="utf-8")
        os.replace(unfinished, self.state / name)


def definition_text(text: str, symbol: str) -> str:
    """The source of one top-level definition."""
    first, last = _lines_of(text, symbol)
    return "\n".join(text.splitlines()[first:last])


def _lines_of(text: str, symbol: str) -> tuple[int, int]:
    node = find_definition(ast.parse(text), symbol)
    first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
    return first - 1, node.end_lineno


def _replace_definition(text: str, fresh: str, symbol: str, path: Path) -> str:
    new = definition_text(fresh, symbol).splitlines()
    lines = text.splitlines()
    try:
        first, last = _lines_of(text, symbol)
    except SyntaxError as error:
        raise CourseError(
            f"line {error.lineno} of {path.name} cannot be read by Python ({error.msg}), so one "
            "exercise cannot be told from the next. Mend that line, or reset the whole chapter "
            f"with: course reset {path.stem[2:4]}"
        ) from None
    except LookupError:
        lines += ["", ""]
        first = last = len(lines)
    lines[first:last] = new
    return "\n".join(lines) + "\n"
