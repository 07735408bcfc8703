"""Classroom 50: the folder of an autograder there, and what runs in it for each submission.

`export` builds an archive that is unpacked into CLASSROOM/autograders/ASSIGNMENT/. Classroom 50
calls its autograder.py in a learner's checkout; that gets PyTorch and calls
`python -m course.classroom.classroom50`, which writes result.json there.
"""

import json
import sys
from pathlib import Path

from course.classroom.exporting import (
    chosen_exercises,
    contents_for,
    grade_one,
    write_archive,
    write_json,
)
from course.classroom.reports import classroom50
from course.classroom.results import ExerciseResult, SubmissionResult
from course.syllabus import FAILED, select_all

ARCHIVE = "classroom50_autograder.zip"
RUNTIME = {"runs-on": "ubuntu-latest", "python": "3.12", "apt": ["bubblewrap"]}

AUTOGRADER = '''\
"""Called by Classroom 50 in a learner's checkout. An exit that is not 0 is the grader's fault."""

import importlib.util
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
NEEDED = ("torch", "torchvision", "safetensors", "rich", "tqdm")

if not all(map(importlib.util.find_spec, NEEDED)):
    pip = [sys.executable, "-m", "pip", "install", "--quiet"]
    subprocess.run([*pip, "torch", "torchvision", "-e", str(HERE)], check=True)
command = [sys.executable, "-m", "course.classroom.classroom50", str(Path.cwd())]
sys.exit(subprocess.run(command, cwd=HERE).returncode)
'''


def export(path: Path, only: str | None = None, rules: Path | None = None) -> Path:
    """Build an archive with an autograder for Classroom 50.

    Args:
        path: the file to write, or a folder in which it is called classroom50_autograder.zip.
        only: the chapters and exercises that are graded, as "01,02"; all if left out.
        rules: a file with rules.

    Returns:
        the file written.
    """
    contents = contents_for(only, rules)
    contents["autograder.py"] = AUTOGRADER.encode()
    contents["runtime.json"] = json.dumps(RUNTIME, indent=2).encode()
    return write_archive(path, ARCHIVE, contents, set())


# In the archive, for each submission


def main(checkout: str) -> int:
    """Write result.json into a learner's checkout; an error is Classroom 50's to report."""
    found = grade_one(Path(checkout), "classroom50")
    if isinstance(found, str):
        found = classroom50(_nothing(found))
    write_json(found, Path(checkout) / "result.json")
    return 0


def _nothing(why: str) -> SubmissionResult:
    """A result without a point that says why."""
    wanted = select_all(chosen_exercises())
    nothing = tuple(ExerciseResult(e.id, 0, e.points, FAILED, "", why, "") for e in wanted)
    return SubmissionResult("submission", nothing, 0, 0.0, "", "")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
