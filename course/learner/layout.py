"""Lay out the folder that a learner works in; what is there already is never touched."""

import re
from pathlib import Path

from course import ROOT, CourseError
from course.files import write_whole
from course.learner.skeletons import skeleton
from course.syllabus import chapters

README = """\
# Your workspace

Here you work through Diffusion from scratch. In a terminal, in this folder:

- `course lab` opens the notebooks in chapters/, at chapter 00. Begin there.
- Each exercise tells you what to write in exercises/. Save it, and the notebook's next cell, or
  `course check 1.1`, says what is right and what is not. `course watch` does so at every save.
- `course` shows how far you are, and `course --help` all that there is.

Your exercises/ with your answers to the chapters' questions, and the runs/ and pictures/ that you
make, are yours to keep. The folder .course/ holds your progress, the hints you took, what you
reviewed, and backups of what you reset.

After an upgrade, `course start .` adds what is new and leaves what you have as it is.
"""

AFTERWARDS = "docs/what_you_can_do.md"  # to which the last chapter links
NOT_LAID_OUT = re.compile(r"\[([^]]+)\]\((?!http|\.\./chapters/)[^)]*\)")  # links to other pages


def lay_out(folder: Path) -> tuple[list[str], list[str]]:
    """Write the notebooks, skeletons and a README that `folder` lacks.

    Returns:
        the names of the files written, and of those that were there, differ, and stay.

    Raises:
        CourseError: if a file cannot be written.
    """
    written, kept = [], []
    for name, content in contents().items():
        path = folder / name
        try:
            if not path.exists():
                path.parent.mkdir(parents=True, exist_ok=True)
                write_whole(path, content)
                written.append(name)
            elif not path.is_file() or path.read_bytes() != content:
                kept.append(name)
        except OSError as error:
            raise CourseError(f"{path} cannot be written: {error.strerror}") from None
    return written, kept


def contents() -> dict[str, bytes]:
    """A workspace's files by name."""
    given = [*sorted((ROOT / "chapters").glob("*.ipynb")), ROOT / "models" / "laptop_progress.png"]
    files = {path.relative_to(ROOT).as_posix(): path.read_bytes() for path in given}
    for chapter in chapters():
        files[f"exercises/{chapter.name}.py"] = skeleton(chapter.name).encode()
    afterwards = (ROOT / AFTERWARDS).read_text(encoding="utf-8")
    files[AFTERWARDS] = NOT_LAID_OUT.sub(r"\1", afterwards).encode()
    return files | {"README.md": README.encode()}
