"""Gradescope: the archive that is uploaded there, and what runs in it for each submission.

`export` builds the archive. In it, `python -m course.classroom.gradescope` grades
/autograder/submission and writes the results.json that Gradescope wants. $AUTOGRADER_ROOT names
another folder than /autograder, so that it can be tried elsewhere.
"""

import json
import os
import subprocess
import sys
import tempfile
import tomllib
import traceback
import zipfile
from pathlib import Path

from course import PACKAGE, ROOT
from course.files import write_whole
from course.syllabus import chapters

ARCHIVE = "gradescope_autograder.zip"

# What grading needs of the course: these folders' code and lists, and what pip reads.
FOLDERS = (PACKAGE, ROOT / "checks", ROOT / "solutions")
SUFFIXES = (".py", ".toml", ".json", ".ipynb")
FILES = ("pyproject.toml", "hatch_build.py", "README.md", "LICENSE", "LICENSE-text")

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


# The archive


def export(path: Path) -> Path:
    """Build the autograder archive that is uploaded to Gradescope.

    The same course gives the same bytes. Only the course's own files go in: nothing of
    exercises/, runs/ or .course/.

    Args:
        path: the file to write, or a folder in which it is called gradescope_autograder.zip.

    Returns:
        the file written.
    """
    if path.is_dir():
        path = path / ARCHIVE
    path.parent.mkdir(parents=True, exist_ok=True)
    contents = {name: file.read_bytes() for name, file in course_files().items()}
    contents["grader_failed.json"] = json.dumps(grader_failed(), indent=1).encode()
    packages = " ".join(f"'{package}'" for package in packages_to_grade())
    setup = SETUP.replace("PACKAGES", packages)
    scripts = {"setup.sh": setup.encode(), "run_autograder": RUN.encode()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in sorted((contents | scripts).items()):
            archive.writestr(_entry(name, executable=name in scripts), content)
    return path


def packages_to_grade() -> list[str]:
    """What pip is to install for grading: the extra `grade`, as pyproject.toml lists it."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return project["optional-dependencies"]["grade"]


def course_files() -> dict[str, Path]:
    """The files that grading needs, by their names in the archive."""
    files = {name: ROOT / name for name in FILES}
    for folder in FOLDERS:
        for path in folder.rglob("*"):
            name = path.relative_to(folder.parent)
            left_out = name.is_relative_to("course/material")  # ROOT's folders, once more
            left_out |= any(part.startswith(".") for part in name.parts)
            if path.suffix in SUFFIXES and path.is_file() and not left_out:
                files[name.as_posix()] = path
    return files


def _entry(name: str, executable: bool) -> zipfile.ZipInfo:
    """An entry with a fixed date and the rights of a Unix file."""
    entry = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
    entry.create_system = 3  # Unix, for the rights
    entry.external_attr = (0o100755 if executable else 0o100644) << 16
    entry.compress_type = zipfile.ZIP_DEFLATED
    return entry


# In the archive, for each submission


# Folders of a checkout that hold chapter files which no learner wrote.
THE_COURSES = {"solutions", "checks"}


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
    from course.classroom.sandbox import (  # needs torch, which may be what fails
        chapter_file,
        is_litter,
    )

    found = []
    for here, folders, _ in os.walk(submission):
        folders[:] = [f for f in folders if f not in THE_COURSES and not is_litter(f)]
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
    """The result that counts if the grader itself breaks."""
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
    write_whole(folder / "results.json", json.dumps(results, indent=1))


if __name__ == "__main__":
    sys.exit(main())
