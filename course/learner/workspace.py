"""The learner's place: the exercises, what the course remembers of them, and where they lie.

Home is the folder that exercises/ lies in, beside chapters/, runs/ and pictures/. The course keeps
progress, hints and backups there, in .course/, which can be deleted at any time: progress is found
again by grading, hints begin anew, and only the backups of files that were reset are lost.
"""

import hashlib
import os
from pathlib import Path

from course import CLONED, ROOT, CourseError
from course.files import write_whole
from course.grading.source import encoded, read_source, replace_definition
from course.learner.skeletons import skeleton, write_missing
from course.learner.state import State
from course.syllabus import STATUSES, Exercise, chapters, exercises, find_chapter, find_exercise

LAB_FOLDER = "COURSE_LAB_FOLDER"  # in the environment of a kernel: the folder of `course lab`


def find_workspace() -> Path | None:
    """The nearest folder from here upwards that holds chapters and exercises.

    Where there is none: the top of the clone, if the course runs from one.
    """
    here = Path.cwd()
    for folder in (here, *here.parents):
        notebooks = (folder / chapter.notebook for chapter in chapters())
        if (folder / "exercises").is_dir() and any(path.is_file() for path in notebooks):
            return folder
    return ROOT if CLONED else None


def exercises_folder() -> Path:
    """What $COURSE_EXERCISES names, or exercises/ in the workspace.

    Raises:
        CourseError: if there is neither.
    """
    if named := os.environ.get("COURSE_EXERCISES"):
        return Path(os.path.expanduser(named)).resolve()
    workspace = find_workspace()
    if workspace is None:
        raise CourseError(
            f"{Path.cwd()} is not in a workspace. Make one with: course start FOLDER, and go there"
        )
    return workspace / "exercises"


def home() -> Path:
    """The learner's place: runs/, pictures/ and the like lie there, beside the exercises.

    Raises:
        CourseError: if there is none.
    """
    return exercises_folder().parent


def pictures_folder() -> Path:
    """pictures/ at home; where there is no home, here."""
    try:
        return home() / "pictures"
    except CourseError:
        return Path.cwd() / "pictures"


def code_folder(name: str) -> Path | str:
    """What --impl names: "exercises" is the learner's own, anything else is left as it is."""
    return Workspace().exercises if name == "exercises" else name


class Workspace:
    """One learner's exercises and what the course remembers about them.

    Args:
        exercises: the folder they are in; the one at home if left out.
        apart: grade them in a child process, which their code may end.

    Raises:
        CourseError: if there is no such place, or it cannot be written.
    """

    def __init__(self, exercises: Path | None = None, apart: bool = False):
        self.apart = apart
        self.exercises = (exercises or exercises_folder()).resolve()
        self.state = State(self.exercises.parent / ".course")
        try:
            write_missing(self.exercises)
        except OSError as error:
            why = "it is a file" if self.exercises.is_file() else error.strerror
            raise CourseError(f"{self.exercises} cannot hold your exercises: {why}") from None

    def file(self, chapter: str) -> Path:
        return self.exercises / f"{chapter}.py"

    # Progress

    def statuses(self) -> dict[str, str]:
        """The status of every exercise, graded anew where a file has changed since."""
        return {exercise.id: self.status(exercise) for exercise in exercises()}

    def status(self, exercise: Exercise) -> str:
        """The status of one exercise; its chapter is graded anew if the file has changed since."""
        entry = self.state.read("progress.json").get(exercise.id)
        if (
            isinstance(entry, dict)
            and entry.get("key") == self.key(exercise.chapter)
            and entry.get("status") in STATUSES
        ):
            return entry["status"]
        results = self.grade(find_chapter(exercise.chapter).exercises)
        return next(result.status for result in results if result.exercise == exercise)

    def grade(self, wanted: tuple[Exercise, ...]) -> list:
        """Grade these exercises and remember the results."""
        from course.grading.apart import grade_apart  # needs torch, which takes seconds
        from course.grading.code import LocalCode
        from course.grading.grader import Grader

        keys = {exercise.chapter: self.key(exercise.chapter) for exercise in wanted}
        code = LocalCode(self.exercises)
        results = grade_apart(code, wanted) if self.apart else Grader(code).grade(wanted)
        self.remember(results, keys)
        return results

    def remember(self, results: list, keys: dict[str, str]) -> None:
        """Keep the statuses of these results.

        Args:
            results: of a Grader.
            keys: the chapters' keys as they were before grading began, for a file may be saved
                while it is graded.
        """
        known = self.state.read("progress.json")
        for result in results:
            key = keys[result.exercise.chapter]
            known[result.exercise.id] = {"status": result.status, "key": key}
        self.state.write("progress.json", known)
        met, before = self.mistakes(), self.mistakes()
        for result in results:
            if name := result.outcomes[-1].misconception:
                met.setdefault(result.exercise.id, set()).add(name)
        if met != before:
            self.state.write("mistakes.json", {key: sorted(names) for key, names in met.items()})

    def mistakes(self) -> dict[str, set[str]]:
        """The known mistakes that were recognised so far, by exercise."""
        content = self.state.read("mistakes.json")
        return {
            key: {name for name in names if isinstance(name, str)}
            for key, names in content.items()
            if isinstance(names, list)
        }

    def key(self, chapter: str) -> str:
        """Changes whenever the learner's file or what grades it changes."""
        digest = hashlib.sha256()
        checks = ROOT / "checks"
        for path in (
            self.file(chapter),
            ROOT / "solutions" / f"{chapter}.py",
            checks / f"{chapter}.toml",
            checks / f"test_{chapter}.py",
            checks / "theory.py",
            checks / "probes" / f"{chapter}.py",
            checks / "probes" / "toys.py",
        ):
            digest.update(path.read_bytes() if path.is_file() else b"missing")
        return digest.hexdigest()[:16]

    # Hints

    def next_hint(self, exercise: Exercise) -> int:
        """The number of hints of this exercise that are open, after opening one more."""
        used = self.state.read("hints.json")
        seen = used.get(exercise.id)
        seen = max(0, seen) if type(seen) is int else 0
        count = min(seen + 1, len(exercise.hints))
        used[exercise.id] = count
        self.state.write("hints.json", used)
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
            backup = self.state.back_up(path)
            write_whole(path, skeleton(chapter.name))
            return backup
        exercise = find_exercise(which)
        path = self.file(exercise.chapter)
        text, fresh = read_source(path), skeleton(exercise.chapter)
        for symbol in exercise.symbols:
            text = replace_definition(text, fresh, symbol, path)
        backup = self.state.back_up(path)
        write_whole(path, encoded(text, path.read_bytes()))
        return backup
