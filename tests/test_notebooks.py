"""The chapters' notebooks run for a learner who has written nothing, and their sliders move."""

import os
import re
from types import SimpleNamespace

import nbformat
import pytest
import torch
from nbclient import NotebookClient

from checks.probes.ch05_training import Loop
from checks.test_ch05_training import loop_inputs
from course import ROOT
from course.grading.code import LocalCode, reference
from course.grading.grader import PASSED, Grader
from course.grading.source import definition_text, replace_definition
from course.learner.skeletons import skeleton
from course.pages.build_notebooks import execute, normalise
from course.pages.notebook import Card, use, yours
from course.pages.open_anywhere import first_cell
from course.syllabus import chapters
from tests.browser import CHROMIUM
from tests.notebooks import (
    CHAPTERS,
    MOVE_EVERY_SLIDER,
    NOTEBOOKS,
    assert_that_all_ran,
    assert_that_its_text_is_the_stored_one,
    code_cells,
    is_tagged,
    read,
)


@pytest.fixture
def new_learner(tmp_path) -> dict[str, str]:
    """The environment of somebody with nothing written, no MNIST and few threads to share."""
    return {
        **os.environ,
        "COURSE_EXERCISES": str(tmp_path / "exercises"),
        "DIFFUSION_DATA": str(tmp_path),
    }


def test_there_is_a_notebook_for_every_chapter():
    assert [path.stem for path in CHAPTERS] == ["00_start_here"] + [
        chapter.name[2:] for chapter in chapters()
    ]


if CHROMIUM is None:  # otherwise tests/test_browser.py runs them, and holds them to the same

    @pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
    def test_it_runs_from_top_to_bottom_and_its_sliders_move(path):
        notebook = execute(path, last_cell=MOVE_EVERY_SLIDER)
        assert_that_all_ran(notebook)
        assert_that_its_text_is_the_stored_one(notebook, path)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_is_stored_executed_and_calm(path):
    notebook = read(path)
    for number, cell in enumerate(code_cells(notebook), start=1):
        assert cell.execution_count == number
        assert not [output for output in cell.outputs if output.output_type == "error"]
    assert nbformat.writes(normalise(read(path))) == nbformat.writes(notebook)


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_it_has_what_a_chapter_promises(path):
    notebook = read(path)
    prose = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    code = "\n".join(cell.source for cell in code_cells(notebook))
    assert "you can**" in prose and "## What comes next" in prose
    assert "SliderPicture(" in code and "alt=" in code
    chapter = next((c for c in chapters() if c.name[2:] == path.stem), None)
    for exercise in chapter.exercises if chapter else []:
        assert f'label("{exercise.id}")' in code and f'check("{exercise.id}")' in code
        box = next(c for c in code_cells(notebook) if c.source == f'label("{exercise.id}")')
        link = re.search(r"\]\((.+?)\)", box.outputs[0].data["text/markdown"])[1]
        assert (path.parent / link).resolve() == ROOT / "exercises" / f"{exercise.chapter}.py"
    if chapter:
        assert "$$" in prose
    pictures = [
        o for c in code_cells(notebook) for o in c.outputs if "image/png" in o.get("data", {})
    ]
    assert pictures
    # A picture is compared by nobody, so text that is the same everywhere is.
    tagged = [cell for cell in code_cells(notebook) if is_tagged(cell)]
    assert tagged and all(cell.outputs for cell in tagged)


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_the_cells_that_only_prepare_are_closed(path):
    """In JupyterLab and in the book: the cell for Colab and the imports, and no other."""
    closed = [
        cell.source
        for cell in code_cells(read(path))
        if cell.metadata.get("jupyter") == {"source_hidden": True}
        and "hide-input" in cell.metadata.tags
    ]
    assert len(closed) == 2, f"{path.name}: run python -m course.pages.open_anywhere"
    assert closed[0] == first_cell()
    assert re.fullmatch(r"((from|import|    |\)).*\n?|\n)+", closed[1])


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_links_lead_to_files_that_exist(path):
    for cell in read(path).cells:
        if cell.cell_type == "markdown":
            for target in re.findall(r"\]\(([^)]+)\)", cell.source):
                file = path.parent / target.partition("#")[0]
                assert target.startswith(("http", "#")) or file.exists(), target


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_display_formulas_stand_alone(path):
    for cell in read(path).cells:
        if cell.cell_type == "markdown":
            for block in re.findall(r"(^.*)?\$\$(.+?)\$\$(.*$)?", cell.source, re.M | re.S):
                assert block[1].strip()
            for line in cell.source.splitlines():
                if "$$" in line and not line.startswith("$$") and not line.rstrip().endswith("$$"):
                    pytest.fail(f"a display formula inside a line: {line}")


def test_a_learners_own_code_is_used_and_named(new_learner, tmp_path):
    """With chapter 01 solved, its notebook says so and its cards are green."""
    folder = tmp_path / "exercises"
    folder.mkdir()
    name = "ch01_noise_schedule.py"
    (folder / name).write_text((ROOT / "solutions" / name).read_text())
    notebook = read(ROOT / "chapters" / "01_noise_schedule.ipynb")
    client = NotebookClient(notebook, timeout=240, kernel_name="python3")
    client.execute(env=new_learner, cwd=str(tmp_path))
    text = "\n".join(
        output.get("text") or output.get("data", {}).get("text/plain", "")
        for cell in notebook.cells
        if cell.cell_type == "code"
        for output in cell.outputs
    )
    assert "cosine_betas: yours" in text
    assert text.count("✔ 1.") == 4
    assert re.findall(r".*not written yet", text) == [
        "q_sample: the reference, because 2.3 is not written yet"
    ]


def test_a_card_says_which_function_is_missing_and_how_far_you_are(tmp_path):
    name = "ch01_noise_schedule.py"
    text = (ROOT / "solutions" / name).read_text(encoding="utf-8")
    unwritten = definition_text(skeleton("ch01_noise_schedule"), "matching_beta_end")
    path = tmp_path / name
    path.write_text(replace_definition(text, unwritten, "matching_beta_end", path), "utf-8")
    result = Grader(LocalCode(tmp_path)).grade_exercise("1.3")
    card, passed = repr(Card(result)), len([o for o in result.outcomes if o.status == PASSED])
    assert "1.3 What is left of the signal: not written yet." in card
    told = f"So far {passed} of its checks pass. Write matching_beta_end in exercises/ch01"
    assert passed > 0 and told in card


def test_yours_runs_although_the_rest_of_the_file_is_not_written(tmp_path, monkeypatch):
    """The loop of 5.6 is given with its fault, and calls functions that are still to be written."""
    monkeypatch.setenv("COURSE_EXERCISES", str(tmp_path / "exercises"))
    inputs = loop_inputs(batch_size=2, num_steps=40)(torch.Generator().manual_seed(0))
    given, whole = yours("train"), reference().chapter("ch05_training").train
    loops = [Loop(SimpleNamespace(train=f), inputs) for f in (given, whole)]
    assert [len(loop.losses()) for loop in loops] == [3, 3]
    largest = [max(int(jump["t"].max()) for jump in loop.jumps) for loop in loops]
    assert largest[0] < 2 < largest[1]  # the given one draws as many noise levels as images


def test_the_reference_calls_what_is_yours(tmp_path, monkeypatch):
    """The reference's loop draws with the learner's function, which passes, and needs no loop."""
    folder = tmp_path / "exercises"
    folder.mkdir()
    monkeypatch.setenv("COURSE_EXERCISES", str(folder))
    text = skeleton("ch05_training")
    solution = (ROOT / "solutions" / "ch05_training.py").read_text(encoding="utf-8")
    path = folder / "ch05_training.py"
    for symbol in ("draw_noise", "diffusion_loss"):
        text = replace_definition(text, solution, symbol, path)
    path.write_text(text, encoding="utf-8")
    names = use("train").__globals__
    assert names["draw_noise"].__code__.co_filename == str(path)
    assert names["training_step"].__code__.co_filename != str(path)
