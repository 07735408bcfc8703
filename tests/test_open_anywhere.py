"""Containers, Binder and Colab: what can be held to without any of them at hand."""

import importlib.util
import json
import sys

import jsonschema
import nbformat
import pytest
from IPython.core.inputtransformer2 import TransformerManager

from course import ROOT
from course.pages.build_notebooks import normalise
from course.pages.open_anywhere import FIRST_CELL, first_cell, with_first_cell

NOTEBOOKS = sorted((ROOT / "chapters").glob("*.ipynb"))

# The part of the published schema of devcontainer.json that is used here.
SIZE = {"type": "string", "pattern": r"^\d+([tgmk]b)?$"}
DEVCONTAINER = {
    "type": "object",
    "required": ["image"],
    "additionalProperties": False,
    "properties": {
        "name": {"type": "string"},
        "image": {"type": "string"},
        "postCreateCommand": {"type": "string"},
        "customizations": {"type": "object"},
        "hostRequirements": {
            "type": "object",
            "additionalProperties": False,
            "properties": {
                "cpus": {"type": "integer", "minimum": 1},
                "memory": SIZE,
                "storage": SIZE,
            },
        },
    },
}


def read(path):
    return nbformat.read(path, as_version=4)


def code_cells(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def test_the_container_is_described_as_its_schema_demands():
    container = json.loads((ROOT / ".devcontainer" / "devcontainer.json").read_text())
    jsonschema.validate(container, DEVCONTAINER)
    assert container["postCreateCommand"] == "pip install -e ."


def test_every_notebook_begins_with_the_cell_that_fetches_the_course():
    for path in NOTEBOOKS:
        first = code_cells(read(path))[0]
        assert first.source == first_cell(), (
            f"{path.name}: run python -m course.pages.open_anywhere"
        )
        assert not first.outputs


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_the_first_cell_is_put_before_all_code_and_once(path):
    before = read(path)
    others = [cell.source for cell in code_cells(before) if cell.source != first_cell()]
    after = with_first_cell(read(path))
    nbformat.validate(after)
    assert [cell.source for cell in code_cells(after)] == [first_cell(), *others]
    assert [cell.execution_count for cell in code_cells(after)] == list(range(1, len(others) + 2))
    again = with_first_cell(nbformat.reads(nbformat.writes(after), as_version=4))
    assert nbformat.writes(again) == nbformat.writes(after)
    # One with another address is replaced.
    code_cells(again)[0].source = FIRST_CELL.replace("REPOSITORY", "https://elsewhere")
    assert nbformat.writes(with_first_cell(again)) == nbformat.writes(after)
    assert nbformat.writes(normalise(after)) == nbformat.writes(after)


class RecordingShell:
    """Stands in for IPython: writes down what a cell would run."""

    def __init__(self, names):
        self.names, self.ran = names, []

    def system(self, command):
        self.ran.append(command)

    def run_line_magic(self, name, line):
        self.ran.append(f"%{name} {line.format_map(self.names)}")


@pytest.mark.parametrize("where", ["here", "colab", "elsewhere"])
def test_the_first_cell_installs_only_where_the_course_is_missing(where, monkeypatch):
    names = {}
    shell = RecordingShell(names)
    names["get_ipython"] = lambda: shell
    monkeypatch.setattr(sys, "path", list(sys.path))
    if where != "here":
        find_spec = importlib.util.find_spec
        monkeypatch.setattr(
            importlib.util, "find_spec", lambda name: None if name == "course" else find_spec(name)
        )
    if where == "colab":
        monkeypatch.setitem(sys.modules, "google.colab", sys)
    exec(TransformerManager().transform_cell(first_cell()), names)
    if where == "here":
        assert shell.ran == []
        return
    clone, install = shell.ran
    assert clone.startswith("git clone") and clone.endswith("diffusion-from-scratch")
    assert "editables --editable diffusion-from-scratch" in install
    assert ("--no-deps" in install) == (where == "colab")
    assert sys.path[0].endswith("diffusion-from-scratch")
