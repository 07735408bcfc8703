"""The chapters' notebooks, and what has to hold after each was run."""

import nbformat

from course import ROOT
from course.pages.build_notebooks import normalise

NOTEBOOKS = sorted((ROOT / "chapters").glob("*.ipynb"))
# The other two go with several chapters: a playground, and the clinic.
CHAPTERS = [path for path in NOTEBOOKS if path.stem not in ("explorer", "clinic")]

# Run in the kernel after a notebook's own cells.
MOVE_EVERY_SLIDER = """
from course.pages.notebook import SliderPicture
def move_every_slider():  # its names are no names of the notebook
    for picture in SliderPicture.made:
        before, words = picture.image.value, picture.words.value
        here = picture.slider.value
        other = next(v for v in reversed(picture.slider.options) if v != here)
        picture.slider.value = other
        assert picture.image.value != before, picture.slider.description
        assert picture.words.value != words, picture.slider.description
        picture.slider.value = here
        assert picture.image.value == before and picture.words.value == words
move_every_slider()
assert SliderPicture.made
"""


def read(path):
    return nbformat.read(path, as_version=4)


def code_cells(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def is_tagged(cell):
    """Is its output the same everywhere?"""
    return "nbval-check-output" in cell.metadata.get("tags", [])


def assert_that_all_ran(notebook, fresh=True):
    """Each code cell ran, in order, and none of them raised an error.

    Args:
        fresh: the kernel had run nothing before, so the first cell's count is 1.
    """
    code = code_cells(notebook)
    outputs = [(cell.source, output) for cell in code for output in cell.outputs]
    errors = [(source, o.ename, o.evalue) for source, o in outputs if o.output_type == "error"]
    assert not errors
    counts = [cell.execution_count for cell in code]
    first = 1 if fresh else counts[0]
    assert counts == list(range(first, first + len(code)))


def assert_that_its_text_is_the_stored_one(notebook, path):
    """In the tagged cells. The notebook may have cells more than the file."""
    stored = read(path).cells
    for cell, before in zip(normalise(notebook).cells, stored):
        assert cell.source == before.source
        if is_tagged(before):
            assert cell.outputs == before.outputs, f"what {cell.source!r} shows has changed"
