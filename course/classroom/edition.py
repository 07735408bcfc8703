"""The student edition: the course as it is handed to a class, without readable answers."""

import json
import re
import shutil
from pathlib import Path

from course import PACKAGE, ROOT, CourseError
from course.files import write_whole
from course.packed import is_packed, pack, read

# What answers can be read in. In the edition these files are packed.
ANSWERS = (
    "solutions/*.py",
    "checks/ch*.toml",  # an exercise that is to be mended says there what is right
    "checks/test_*.py",
    "checks/theory.py",
    "checks/cases.py",
    "checks/misconceptions/*.py",
    "checks/equivalents/*.py",
    "checks/questions/*.toml",
)
# What goes along as it is. Some of it only a clone has.
MATERIAL = (
    "chapters/*.ipynb",
    "checks/__init__.py",
    "checks/conftest.py",
    "checks/probes/*.py",  # what is called; a sandbox shows it to the code, too
    "checks/looks.py",  # the same for `course review`
    "models/*.*",
    "benchmarks/results/*.*",  # the figures that chapters show
    "docs/**/*.*",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "SECURITY.md",
    "LICENSE*",
    "CITATION.cff",
    "environment.yml",
    "pyproject.toml",
    "hatch_build.py",
    ".gitignore",
)
# Pages that give answers away. Others link to them, so each becomes this one.
SPOILING = ("docs/misconceptions.md", "docs/exercises.md", "docs/playground.md")
ASKS = re.compile(r"^ask\(", re.MULTILINE)  # the cell with a chapter's questions
# The samplers and the tokens of chapters 06, 07 and 09 once more, and the formulas of 01 and 02.
JAVASCRIPT = ("docs/_static/playground/", "docs/_static/live.js")
LEFT_OUT = """\
# {title}

This page gives answers away, so the student edition of the course leaves it out.
"""
TESTS = re.compile(r"### Set up and run all tests\n.*?(?=^## )", re.MULTILINE | re.DOTALL)
# Of the README what is different in the edition.
README = {
    "the reference, to read like a paper": "the reference, packed: see course solution",
    "what grades it\n": "what grades it, packed as well\n",
    "The machinery is `course/`; `tests/` tests and `benchmarks/` measures it.": (
        "The machinery is in `course/`. This is the student edition: the reference and what grades "
        "you are\npacked, so that you do not read an answer by accident. `course solution 1.2` "
        "shows the reference's\nway once yours passes."
    ),
}


def lay_out(folder: Path) -> int:
    """Write the student edition, but for the exercises, to a new or an empty folder.

    Returns:
        how many files were packed.

    Raises:
        CourseError: if the folder holds something already, or this course is an edition itself.
    """
    if is_packed(ROOT / "checks" / "theory.py"):
        raise CourseError(f"{ROOT} is a student edition already; copy that folder")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        what = "holds something already" if folder.is_dir() else "is a file"
        raise CourseError(f"{folder} {what}; name a new folder, or an empty one")
    given = _files(ROOT, MATERIAL)
    given |= {f"course/{name}": path for name, path in _files(PACKAGE, ["**/*.*"]).items()}
    given = {name: path for name, path in given.items() if not name.startswith(JAVASCRIPT)}
    answers = _files(ROOT, ANSWERS)
    for name, path in given.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, folder / name)
        if path.suffix == ".ipynb":
            write_whole(folder / name, without_answers(path.read_text(encoding="utf-8")))
    for name, path in answers.items():
        write_whole(folder / name, pack(read(path), path.suffix))
    for name in SPOILING:
        title = (ROOT / name).read_text(encoding="utf-8").partition("\n")[0].removeprefix("# ")
        write_whole(folder / name, LEFT_OUT.format(title=title))
    write_whole(folder / "README.md", readme())
    return len(answers)


def _files(top: Path, patterns: list[str] | tuple[str, ...]) -> dict[str, Path]:
    """The files that one of the patterns fits, by their names below `top`."""
    found = {p.relative_to(top): p for pattern in patterns for p in sorted(top.glob(pattern))}
    made = ("material", "__pycache__", ".ipynb_checkpoints")  # `material` is ROOT, in a wheel
    return {
        name.as_posix(): path
        for name, path in found.items()
        if path.is_file() and not any(part in made for part in name.parts)
    }


def without_answers(notebook: str) -> str:
    """A notebook without the stored answers to its questions; run, its last cell asks them."""
    content = json.loads(notebook)
    for cell in content["cells"]:
        if cell["cell_type"] == "code" and ASKS.search("".join(cell["source"])):
            cell["outputs"] = []
    return json.dumps(content, indent=1, ensure_ascii=False) + "\n"


def readme() -> str:
    """The README as it is in the edition."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    for old, new in README.items():
        if text.count(old) != 1:
            raise ValueError(f"README.md says {old!r} {text.count(old)} times, not once")
        text = text.replace(old, new)
    return TESTS.sub("", text)
