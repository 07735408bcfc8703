"""What a learner has done, as a file that an instructor can verify by grading again.

A certificate proves nothing by itself: anyone can write such a file. It names the code that it is
about, and grading that code again shows whether it says the truth.
"""

import hashlib
import json
from datetime import date
from pathlib import Path

from course import CourseError
from course.learner.workspace import Workspace
from course.syllabus import PASSED, chapters, exercises

KIND = "diffusion-from-scratch/certificate"


def certificate(workspace: Workspace) -> dict:
    """Points by exercise, mistakes met and mended, and the code that they are about.

    All exercises are graded anew.
    """
    results = workspace.grade(exercises())
    mistakes = workspace.mistakes()
    return {
        "kind": KIND,
        "date": date.today().isoformat(),
        "points": {result.exercise.id: result.points for result in results},
        "of": {result.exercise.id: result.exercise.points for result in results},
        "code": code_of(workspace.exercises),
        "mistakes": {
            result.exercise.id: {
                "met": sorted(mistakes[result.exercise.id]),
                "mended": result.status == PASSED,
            }
            for result in results
            if result.exercise.id in mistakes
        },
    }


def code_of(folder: Path) -> dict[str, str]:
    """A digest of each chapter's file in a folder of exercises."""
    found = {chapter.name: folder / f"{chapter.name}.py" for chapter in chapters()}
    return {
        name: hashlib.sha256(path.read_bytes()).hexdigest()
        for name, path in found.items()
        if path.is_file()
    }


def read(path: Path) -> dict:
    """A certificate from its file.

    Raises:
        CourseError: if it is none.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        numbers = [*content["points"].values(), *content["of"].values()]
        whole = content["kind"] == KIND and all(type(number) is int for number in numbers)
        if not whole or not isinstance(content["code"], dict):
            raise ValueError("some of its fields are missing")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise CourseError(f"{path} is no certificate of this course: {error}") from None
    return content


def disagreements(content: dict, folder: Path) -> list[str]:
    """What a certificate says that grading the code in `folder` again does not, in sentences."""
    from course.grading.apart import grade_apart
    from course.grading.code import LocalCode

    found = []
    code = code_of(folder)
    for name, digest in content["code"].items():
        if code.get(name) != digest:
            found.append(f"{name}.py is not the file that the certificate is about")
    for result in grade_apart(LocalCode(folder), exercises()):
        said = content["points"].get(result.exercise.id, 0)
        if said != result.points:
            found.append(f"{result.exercise.id}: it says {said} points, grading {result.points}")
    return found


def in_words(content: dict) -> list[str]:
    """A certificate as lines to read."""
    points, possible = sum(content["points"].values()), sum(content["of"].values())
    lines = [f"{points} of {possible} points, {content['date']}"]
    for chapter in chapters():
        ids = [exercise.id for exercise in chapter.exercises if exercise.id in content["of"]]
        got, most = (sum(content[name][i] for i in ids) for name in ("points", "of"))
        lines.append(f"  {chapter.number} {chapter.title}: {got} of {most}")
    for exercise_id, entry in content["mistakes"].items():
        mended = "met and mended" if entry["mended"] else "met"
        lines.append(f"  {mended} in {exercise_id}: {'; '.join(entry['met'])}")
    return lines
