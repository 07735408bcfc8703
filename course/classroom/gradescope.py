"""Gradescope: the archive that is uploaded there, and what runs in it for each submission.

`export` builds the archive. In it, `python -m course.classroom.gradescope` grades
/autograder/submission and writes the results.json that Gradescope wants. $AUTOGRADER_ROOT names
another folder than /autograder, so that it can be tried elsewhere.
"""

import json
import os
import sys
import traceback
from pathlib import Path

from course.classroom.exporting import (
    GRADER_FAILED,
    contents_for,
    grade_one,
    write_archive,
    write_json,
)

ARCHIVE = "gradescope_autograder.zip"

# Gradescope runs this once, when it builds the image. PyTorch's two packages come in one call, so
# that their versions fit.
SETUP = """\
#!/usr/bin/env bash
set -eu
root="${AUTOGRADER_ROOT:-/autograder}"
apt-get update
apt-get install -y bubblewrap python3 python3-venv
python=python3
if ! python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
    apt-get install -y python3.11 python3.11-venv
    python=python3.11
fi
"$python" -m venv "$root/venv"
"$root/venv/bin/pip" install --no-cache-dir torch torchvision -e "$root/source"
# Where bubblewrap may not be used, submissions run as another user, who may not read these.
chmod -R go-rwx "$root/source/solutions" "$root/source/checks"
"""

# And this for each submission. The copy counts if Python does not even start.
RUN = """\
#!/usr/bin/env bash
root="${AUTOGRADER_ROOT:-/autograder}"
mkdir -p "$root/results"
cp "$root/source/grader_failed.json" "$root/results/results.json"
cd "$root/source"
"$root/venv/bin/python" -m course.classroom.gradescope
exit 0
"""


def export(path: Path, only: str | None = None, rules: Path | None = None) -> Path:
    """Build the autograder archive that is uploaded to Gradescope.

    The same course gives the same bytes. Only the course's own files go in: nothing of
    exercises/, runs/ or .course/.

    Args:
        path: the file to write, or a folder in which it is called gradescope_autograder.zip.
        only: the chapters and exercises that are graded, as "01,02"; all if left out.
        rules: a file with rules.

    Returns:
        the file written.
    """
    contents = contents_for(only, rules)
    contents["grader_failed.json"] = json.dumps(message(GRADER_FAILED), indent=1).encode()
    scripts = {"setup.sh": SETUP.encode(), "run_autograder": RUN.encode()}
    return write_archive(path, ARCHIVE, contents | scripts, set(scripts))


# In the archive, for each submission


def main() -> int:
    """Write results/results.json, whatever happens. The return value is always 0."""
    root = Path(os.environ.get("AUTOGRADER_ROOT", "/autograder"))
    results = root / "results" / "results.json"
    write_json(message(GRADER_FAILED), results)  # until there is something better
    try:
        found = grade_one(root / "submission", "gradescope")
        write_json(message(found) if isinstance(found, str) else found, results)
    except Exception:
        traceback.print_exc()  # Gradescope shows the output to the instructors only
    return 0


def message(text: str) -> dict:
    """A result that says something and has no points."""
    return {
        "score": 0,
        "output": text,
        "output_format": "text",
        "visibility": "visible",
        "stdout_visibility": "hidden",
        "tests": [],
    }


if __name__ == "__main__":
    sys.exit(main())
