"""Execute notebooks and write them calmly: the same inputs give the same bytes.

    python -m course.pages.build_notebooks [chapters/01_noise_schedule.ipynb ...]

They run with an empty exercises folder and without MNIST, as a new learner without a network
would run them, and keep no timings, widget state, cell ids or addresses of one run. Cells that only
prepare are closed.
"""

import ast
import os
import re
import sys
import tempfile
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell

from course import ROOT

KEPT_METADATA = {"tags"}
FETCHES = "# Where the course is missing,"  # so begins the cell that Colab needs
HIDE = "hide-input"  # the tag by which the book closes a cell
WIDGET = "application/vnd.jupyter.widget-view+json"
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
        environment["DIFFUSION_DATA"] = folder
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
            if only_prepares(cell):
                close(cell)
            count += 1
            cell.execution_count = count
            cell.outputs = [_calm(output, count) for output in cell.outputs if _is_kept(output)]
    return notebook


def only_prepares(cell: NotebookNode) -> bool:
    """Whether a cell holds nothing but imports, or fetches the course where it is missing."""
    if cell.source.startswith(FETCHES):
        return True
    try:
        lines = ast.parse(cell.source).body
    except SyntaxError:  # such as that of %pip
        return False
    return bool(lines) and all(isinstance(line, ast.Import | ast.ImportFrom) for line in lines)


def close(cell: NotebookNode) -> None:
    """Fold the code of a cell away, in JupyterLab and in the book; a click opens it."""
    cell.metadata["jupyter"] = {"source_hidden": True}
    tags = cell.metadata.get("tags", [])
    cell.metadata["tags"] = tags if HIDE in tags else [*tags, HIDE]


def _is_kept(output: NotebookNode) -> bool:
    if output.output_type == "stream":
        return output.name == "stdout"  # progress bars and warnings go to stderr
    data = output.get("data", {})
    return WIDGET not in data or "text/html" in data  # which says the same without a kernel


def _calm(output: NotebookNode, count: int) -> NotebookNode:
    if "execution_count" in output:
        output.execution_count = count
    data = output.get("data", {})
    if data.pop(WIDGET, None):
        del data["text/plain"]  # the widget's parts
    for kind, value in data.items():
        if isinstance(value, str) and kind.startswith("text/"):
            data[kind] = ADDRESS.sub("0xADDRESS", value)
    return output


def main(arguments: list[str]) -> None:
    for path in [Path(a) for a in arguments] or sorted((ROOT / "chapters").glob("*.ipynb")):
        nbformat.write(normalise(execute(path)), path)
        print(f"wrote {path}")


if __name__ == "__main__":
    main(sys.argv[1:])
