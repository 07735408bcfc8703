"""What the archives for Gradescope, PrairieLearn and Classroom 50 have in common.

Each holds the course, a list of what it grades, and a script that its platform calls. The script
runs `course grade` on what one learner handed in, and leaves the result where the platform looks
for it.
"""

import json
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from course import PACKAGE, ROOT, CourseError
from course.classroom.collecting import collect
from course.files import write_whole
from course.syllabus import chapters, select_all

# What grading needs of the course: these folders' code and lists, and what pip reads.
FOLDERS = (PACKAGE, ROOT / "checks", ROOT / "solutions")
SUFFIXES = (".py", ".toml", ".json", ".ipynb")
FILES = ("pyproject.toml", "hatch_build.py", "README.md", "LICENSE", "LICENSE-text")
WHAT = "autograder.json"  # the exercises that an archive grades
RULES = "rules.toml"  # the rules that it goes by


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


def contents_for(only: str | None, rules: Path | None) -> dict[str, bytes]:
    """The course's files, and what is to be graded by which rules.

    Raises:
        CourseError: if there is no such chapter or exercise, or the rules cannot be read.
    """
    from course.classroom.gradebook import read_rules  # needs torch, as the grader does

    wanted, read = select_all(only), read_rules(rules)
    if read.due or read.attempts != "all":
        raise CourseError(f"{rules}: late days and attempts are the platform's; leave them out")
    contents = {name: file.read_bytes() for name, file in course_files().items()}
    chosen = {"only": ",".join(exercise.id for exercise in wanted)} if only else {}
    contents[WHAT] = json.dumps(chosen).encode()
    if rules:
        contents[RULES] = rules.read_bytes()
    return contents


def chosen_exercises() -> str | None:
    """What this archive grades, as it was given to `course export`; None for all."""
    if not (ROOT / WHAT).is_file():
        return None
    return json.loads((ROOT / WHAT).read_text(encoding="utf-8")).get("only")


def file_names(only: str | None) -> list[str]:
    """The chapters' files that a learner hands in."""
    wanted = {exercise.chapter for exercise in select_all(only)}
    return [f"{chapter.name}.py" for chapter in chapters() if chapter.name in wanted]


def write_archive(path: Path, name: str, contents: dict[str, bytes], scripts: set[str]) -> Path:
    """Write an archive; the same contents give the same bytes.

    Args:
        path: the file, or a folder in which it is called `name`.
        name: see there.
        contents: by name.
        scripts: the names of those that can be run.
    """
    if path.is_dir():
        path = path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        for entry, content in sorted(contents.items()):
            archive.writestr(_entry(entry, entry in scripts), content)
    return path


def _entry(name: str, executable: bool) -> zipfile.ZipInfo:
    """An entry with a fixed date and the rights of a Unix file."""
    entry = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
    entry.create_system = 3  # Unix, for the rights
    entry.external_attr = (0o100755 if executable else 0o100644) << 16
    entry.compress_type = zipfile.ZIP_DEFLATED
    return entry


# In the archive, for each submission


def grade_one(submission: Path, service: str) -> dict | str:
    """What a platform is to show for all that one learner handed in.

    Args:
        submission: the folder with it.
        service: "gradescope", "prairielearn" or "classroom50".

    Returns:
        the content of the platform's file, or a sentence if there is nothing to grade.

    Raises:
        RuntimeError: if `course grade` left no result.
    """
    with tempfile.TemporaryDirectory() as work:
        (found,) = collect([submission], Path(work) / "seen" / "collected", one=True).submissions
        if found.problem:
            return _nothing_found(found.notes)
        out = Path(work) / "out"
        command = [sys.executable, "-m", "course.cli", "grade", "--one", str(submission)]
        command += ["--out", str(out)]
        command += ["--only", chosen] if (chosen := chosen_exercises()) else []
        command += ["--rules", str(ROOT / RULES)] if (ROOT / RULES).is_file() else []
        run = subprocess.run(command, cwd=ROOT)
        written = list((out / service).glob("*.json"))
        if len(written) != 1:
            raise RuntimeError(
                f"course grade ended with {run.returncode} and left {len(written)} results, not one"
            )
        return json.loads(written[0].read_text(encoding="utf-8"))


def _nothing_found(notes: tuple[str, ...]) -> str:
    names = ", ".join(file_names(chosen_exercises()))
    return (
        "Nothing could be graded: there is no chapter file in this submission. Submit your files "
        f"from exercises/, at the top of the archive or in one folder, named {names}."
        + "".join(f" {note}." for note in notes)
    )


GRADER_FAILED = (
    "The grader failed. This is the grader's fault, not yours, and these points say nothing about "
    "your work. Please tell the course staff; they can see what went wrong and grade the "
    "submission again."
)


def write_json(content: dict, path: Path) -> None:
    """Write a result; the file is at all times whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, json.dumps(content, indent=1))
