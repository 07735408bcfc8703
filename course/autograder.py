"""Runs inside Gradescope: grades /autograder/submission and writes the results.json it wants.

`course.export` builds the archive that brings this there. $AUTOGRADER_ROOT stands for /autograder,
so that it can be tried elsewhere: `AUTOGRADER_ROOT=folder python -m course.autograder`.
"""

import json
import os
import subprocess
import sys
import tempfile
import traceback
from pathlib import Path

from course import ROOT
from course.catalogue import chapters

# Folders that hold chapter files which no learner wrote.
NOT_THE_LEARNERS = {"solutions", "checks", "__MACOSX", "__pycache__"}


def main() -> int:
    """Write results/results.json, whatever happens. The return value is always 0."""
    root = Path(os.environ.get("AUTOGRADER_ROOT", "/autograder"))
    write_results(grader_failed(), root / "results")  # until there is something better
    try:
        write_results(grade(root / "submission"), root / "results")
    except Exception:
        traceback.print_exc()  # Gradescope shows the output to the instructors only
    return 0


def grade(submission: Path) -> dict:
    """What Gradescope is to show for the files in this folder.

    Raises:
        RuntimeError: if `course grade` left no result.
    """
    folder = find_chapters(submission)
    if folder is None:
        return nothing_found()
    with tempfile.TemporaryDirectory() as work:
        command = [sys.executable, "-m", "course.cli", "grade", str(folder), "--out", work]
        run = subprocess.run(command, cwd=ROOT)
        written = list((Path(work) / "gradescope").glob("*.json"))
        if len(written) != 1:
            raise RuntimeError(
                f"course grade ended with {run.returncode} and left {len(written)} results, not one"
            )
        return json.loads(written[0].read_text(encoding="utf-8"))


def find_chapters(submission: Path) -> Path | None:
    """The folder with the learner's chapter files: the top one, exercises/, or the next best.

    Returns:
        None if there is no chapter file.
    """
    from course.sandbox import chapter_file  # needs torch

    found = []
    for here, folders, _ in os.walk(submission):
        folders[:] = [f for f in folders if f not in NOT_THE_LEARNERS and not f.startswith(".")]
        if any(chapter_file(Path(here), chapter.name) for chapter in chapters()):
            found.append(Path(here))

    def rank(folder: Path) -> tuple:
        return folder != submission, folder.name != "exercises", len(folder.parts), str(folder)

    return min(found, key=rank, default=None)


def nothing_found() -> dict:
    """The result for a submission without a chapter file."""
    names = ", ".join(f"{chapter.name}.py" for chapter in chapters())
    return _message(
        "Nothing could be graded: there is no chapter file in this submission. Submit your files "
        f"from exercises/, at the top of the archive or in one folder, named {names}."
    )


def grader_failed() -> dict:
    """The result that stands if the grader itself breaks."""
    return _message(
        "The grader failed. This is the grader's fault, not yours, and these points say nothing "
        "about your work. Please tell the course staff; they can see what went wrong and grade "
        "the submission again."
    )


def _message(text: str) -> dict:
    return {
        "score": 0,
        "output": text,
        "output_format": "text",
        "visibility": "visible",
        "stdout_visibility": "hidden",
        "tests": [],
    }


def write_results(results: dict, folder: Path) -> None:
    """Write results.json into `folder`; the file is at all times whole."""
    folder.mkdir(parents=True, exist_ok=True)
    unfinished = folder / "results.part"
    unfinished.write_text(json.dumps(results, indent=1), encoding="utf-8")
    unfinished.replace(folder / "results.json")


if __name__ == "__main__":
    sys.exit(main())
