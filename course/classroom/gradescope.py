"""Gradescope: the archive that is uploaded there, and what runs in it for each submission.

`export` builds the archive. In it, `python -m course.classroom.gradescope` grades
/autograder/submission and writes the results.json that Gradescope wants. $AUTOGRADER_ROOT names
another folder than /autograder, so that it can be tried elsewhere.
"""

import json
import os
import sys
import tomllib
import traceback
from pathlib import Path

from course import ROOT
from course.classroom.exporting import (
    GRADER_FAILED,
    contents_for,
    grade_one,
    write_archive,
    write_json,
)

ARCHIVE = "gradescope_autograder.zip"

# Gradescope runs this once, when it builds the image. PyTorch's two packages come in one call, so
# that their versions fit, and as the build for CPUs: the other takes several times the place and,
# of a container's 768 MB of memory, too much. Of the rest only what grading needs.
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
pip="$root/venv/bin/pip"
"$pip" install --no-cache-dir torch torchvision --index-url https://download.pytorch.org/whl/cpu
"$pip" install --no-cache-dir PACKAGES
"$pip" install --no-cache-dir --no-deps -e "$root/source"
# Where bubblewrap may not be used, submissions run as another user, who may read nothing of this.
chmod -R go-rwx "$root/source"
"""

# And this for each submission. The copy counts if Python does not even start.
RUN = """\
#!/usr/bin/env bash
root="${AUTOGRADER_ROOT:-/autograder}"
mkdir -p "$root/results"
chmod go-rwx "$root/submission"
chmod go-w "$root/results"
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
    packages = " ".join(f"'{package}'" for package in packages_to_grade())
    setup = SETUP.replace("PACKAGES", packages)
    scripts = {"setup.sh": setup.encode(), "run_autograder": RUN.encode()}
    return write_archive(path, ARCHIVE, contents | scripts, set(scripts))


def packages_to_grade() -> list[str]:
    """What pip is to install for grading: the extra `grade`, as pyproject.toml lists it."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return project["optional-dependencies"]["grade"]


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
