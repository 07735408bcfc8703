"""Execute notebooks and write them calmly: the same inputs give the same bytes.

    python -m course.build_notebooks [chapters/01_noise_schedule.ipynb ...]

They run with an empty exercises folder and without MNIST, as a new learner without a network
would run them, and keep no timings, widget state, cell ids or addresses of one run.

    python -m course.build_notebooks --first-cell [...]

runs nothing, and only brings the cell up to date that fetches the course where it is missing.
"""

import os
import re
import sys
import tempfile
import tomllib
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell

from course import ROOT

FIRST_CELL = """\
# Where the course is missing, as in Colab, this fetches and installs it. Elsewhere it does nothing.
import sys
from importlib.util import find_spec
from pathlib import Path

if find_spec("course") is None:
    !git clone --quiet --depth 1 REPOSITORY diffusion-from-scratch
    # Colab brings what the course needs, and has its reasons for the versions.
    options = "--no-deps" if "google.colab" in sys.modules else ""
    %pip install --quiet {options} --editable diffusion-from-scratch
    sys.path.insert(0, str(Path("diffusion-from-scratch").resolve()))"""

KEPT_METADATA = {"tags"}
ADDRESS = re.compile(r"0x[0-9a-f]{6,16}")


def execute(path: Path, last_cell: str = "") -> NotebookNode:
    """Run a notebook from top to bottom as a learner who has written nothing yet.

    Args:
        path: the notebook.
        last_cell: code to run after its own; the result then has a cell more.
    """
    notebook = nbformat.read(path, as_version=4)
    if last_cell:
        notebook.cells.append(new_code_cell(last_cell))
    with tempfile.TemporaryDirectory() as folder:
        environment = dict(os.environ)
        environment["COURSE_EXERCISES"] = str(Path(folder) / "exercises")
        environment["DIFFUSION_DATA"] = str(Path(folder) / "data")
        client = NotebookClient(notebook, timeout=300, kernel_name="python3", record_timing=False)
        client.coalesce_streams = True  # or the output's parts would depend on the machine's load
        client.resources = {"metadata": {"path": str(ROOT / "chapters")}}
        client.execute(env=environment)
    return notebook


def normalise(notebook: NotebookNode) -> NotebookNode:
    """Drop all that changes from run to run although the content is the same."""
    notebook.metadata = NotebookNode(
        kernelspec={"display_name": "Python 3", "language": "python", "name": "python3"},
        language_info={"name": "python"},
    )
    count = 0
    for number, cell in enumerate(notebook.cells):
        cell.id = f"cell-{number:03d}"
        cell.metadata = NotebookNode(
            {key: value for key, value in cell.metadata.items() if key in KEPT_METADATA}
        )
        if cell.cell_type == "code":
            count += 1
            cell.execution_count = count
            cell.outputs = [_calm(output, count) for output in cell.outputs if _is_kept(output)]
    return notebook


def _is_kept(output: NotebookNode) -> bool:
    if output.output_type == "stream":
        return output.name == "stdout"  # progress bars and warnings go to stderr
    return "application/vnd.jupyter.widget-view+json" not in output.get("data", {})


def _calm(output: NotebookNode, count: int) -> NotebookNode:
    if "execution_count" in output:
        output.execution_count = count
    for kind, value in output.get("data", {}).items():
        if isinstance(value, str) and kind.startswith("text/"):
            output.data[kind] = ADDRESS.sub("0xADDRESS", value)
    return output


def first_cell() -> str:
    """The code of each notebook's first code cell, with the address that pyproject.toml gives."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return FIRST_CELL.replace("REPOSITORY", project["urls"]["Repository"])


def is_first_cell(cell: NotebookNode) -> bool:
    """Whether a cell is the one that fetches the course, with whatever address."""
    return cell.source.startswith(FIRST_CELL.splitlines()[0])


def with_first_cell(notebook: NotebookNode) -> NotebookNode:
    """Put the cell that fetches a missing course before all code, in place of an older one."""
    notebook.cells = [cell for cell in notebook.cells if not is_first_cell(cell)]
    place = [cell.cell_type for cell in notebook.cells].index("code")
    notebook.cells.insert(place, new_code_cell(first_cell()))
    return normalise(notebook)


def main(arguments: list[str]) -> None:
    only_first_cell = "--first-cell" in arguments
    paths = [Path(a) for a in arguments if a != "--first-cell"]
    for path in paths or sorted((ROOT / "chapters").glob("*.ipynb")):
        if only_first_cell:
            notebook = with_first_cell(nbformat.read(path, as_version=4))
        else:
            notebook = normalise(execute(path))
        nbformat.write(notebook, path)
        print(f"wrote {path}")


if __name__ == "__main__":
    main(sys.argv[1:])
