"""Archives of the course for services that grade elsewhere."""

import json
import zipfile
from pathlib import Path

from course import ROOT
from course.autograder import grader_failed

GRADESCOPE_ARCHIVE = "gradescope_autograder.zip"

# What grading needs of the course: these folders' code and lists, and what pip reads.
FOLDERS = ("course", "checks", "solutions")
SUFFIXES = (".py", ".toml", ".json")
FILES = ("pyproject.toml", "README.md", "LICENSE")

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

# And this for each submission. The copy stands if Python does not even start.
RUN = """\
#!/usr/bin/env bash
root="${AUTOGRADER_ROOT:-/autograder}"
mkdir -p "$root/results"
cp "$root/source/grader_failed.json" "$root/results/results.json"
cd "$root/source"
"$root/venv/bin/python" -m course.autograder
exit 0
"""


def export_gradescope(path: Path) -> Path:
    """Build the autograder archive that is uploaded to Gradescope.

    The same course gives the same bytes. Only the course's own files go in: nothing of
    exercises/, runs/ or .course/.

    Args:
        path: the file to write, or a folder in which it is called gradescope_autograder.zip.

    Returns:
        the file written.
    """
    if path.is_dir():
        path = path / GRADESCOPE_ARCHIVE
    path.parent.mkdir(parents=True, exist_ok=True)
    contents = {name: (ROOT / name).read_bytes() for name in course_files()}
    contents["grader_failed.json"] = json.dumps(grader_failed(), indent=1).encode()
    scripts = {"setup.sh": SETUP.encode(), "run_autograder": RUN.encode()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in sorted((contents | scripts).items()):
            archive.writestr(_entry(name, executable=name in scripts), content)
    return path


def course_files() -> list[str]:
    """Names, relative to the course's folder, of the files that grading needs."""
    names = list(FILES)
    for folder in FOLDERS:
        for path in (ROOT / folder).rglob("*"):
            name = path.relative_to(ROOT)
            hidden = any(part.startswith(".") for part in name.parts)
            if path.suffix in SUFFIXES and path.is_file() and not hidden:
                names.append(name.as_posix())
    return sorted(names)


def _entry(name: str, executable: bool) -> zipfile.ZipInfo:
    """An entry with a fixed date and the rights of a Unix file."""
    entry = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
    entry.create_system = 3  # Unix, for the rights
    entry.external_attr = (0o100755 if executable else 0o100644) << 16
    entry.compress_type = zipfile.ZIP_DEFLATED
    return entry
