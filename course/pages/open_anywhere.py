"""What Colab needs: a first cell in each notebook that fetches the course where it is missing.

    python -m course.pages.open_anywhere

takes the repository's address from `pyproject.toml` and writes it into that cell.
"""

import tomllib

import nbformat
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell

from course import ROOT
from course.pages.build_notebooks import FETCHES, normalise

FIRST_CELL = (
    FETCHES
    + """ as in Colab, this fetches and installs it. Elsewhere it does nothing.
import sys
from importlib.util import find_spec
from pathlib import Path

if find_spec("course") is None:
    !git clone --quiet --depth 1 REPOSITORY diffusion-from-scratch
    # Colab brings the packages, in versions that fit it. --editable needs the package editables.
    options = "--no-deps" if "google.colab" in sys.modules else ""
    %pip install --quiet {options} editables --editable diffusion-from-scratch
    sys.path.insert(0, str(Path("diffusion-from-scratch").resolve()))"""
)


def repository() -> str:
    """The address that pyproject.toml gives."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return project["urls"]["Repository"]


def first_cell() -> str:
    """The code of each notebook's first code cell."""
    return FIRST_CELL.replace("REPOSITORY", repository())


def is_first_cell(cell: NotebookNode) -> bool:
    """Whether a cell is the one that fetches the course, with whatever address."""
    return cell.source.startswith(FIRST_CELL.splitlines()[0])


def with_first_cell(notebook: NotebookNode) -> NotebookNode:
    """Put the cell that fetches a missing course before all code, in place of an older one."""
    notebook.cells = [cell for cell in notebook.cells if not is_first_cell(cell)]
    place = [cell.cell_type for cell in notebook.cells].index("code")
    notebook.cells.insert(place, new_code_cell(first_cell()))
    return normalise(notebook)


def main() -> None:
    notebooks = sorted((ROOT / "chapters").glob("*.ipynb"))
    for path in notebooks:
        nbformat.write(with_first_cell(nbformat.read(path, as_version=4)), path)
    print(f"{len(notebooks)} notebooks fetch the course from {repository()}")


if __name__ == "__main__":
    main()
