"""What an exercise shows in a notebook: its card, and the link to its file."""

import ast
import html
import json
import re
from dataclasses import replace

import pytest

from course import ROOT
from course.grading.grader import Outcome, Result
from course.learner.workspace import LAB_FOLDER
from course.pages import notebook
from course.syllabus import FAILED, NOT_WRITTEN, PASSED, find_exercise

KNOWN = {"misconception": "the root is missing", "help": "Take it: 1 < 2."}


def card(status, **fields):
    outcome = Outcome(status, "the sums", called="f(2)", expected="1 < 4", got="16", **fields)
    return notebook.Card(Result(find_exercise("1.1"), (outcome,)))


def test_a_failed_card_keeps_its_columns_and_sets_the_diagnosis_apart():
    page = card(FAILED, **KNOWN)._repr_html_()
    columns, apart = page.split("font-family:var(--jp-code-font-family, monospace)")[1].split(
        "background:"
    )
    for name, text in (("called", "f(2)"), ("expected", "1 &lt; 4"), ("came back", "16")):
        assert re.search(rf"<div[^>]*>{name}</div><div[^>]*>{re.escape(text)}</div>", columns)
    assert "the root is missing" not in columns
    assert "<strong>looks like</strong> the root is missing. Take it: 1 &lt; 2." in apart


def test_a_card_without_a_diagnosis_has_no_field_for_it():
    assert "background:" not in card(FAILED)._repr_html_()
    assert "monospace" not in card(PASSED)._repr_html_()
    assert "not written yet" in card(NOT_WRITTEN)._repr_html_()


def test_what_is_to_be_mended_is_not_called_unwritten():
    result = Result(find_exercise("3.2"), (Outcome(NOT_WRITTEN, "the fault is mended"),))
    text = repr(notebook.Card(result))
    assert "3.2 An MLP that cannot bend: not mended yet." in text and "Mend TimeMLP" in text


@pytest.fixture
def shown(monkeypatch, tmp_path):
    """The text of the box of exercise 1.2, for a learner in a new folder."""
    monkeypatch.setenv("COURSE_EXERCISES", str(tmp_path / "exercises"))
    shown = []
    monkeypatch.setattr(notebook, "display", lambda box: shown.append(box.data))

    def label():
        notebook.label("1.2")
        return shown.pop()

    return label


def test_a_box_says_so_if_no_run_calls_the_exercise(shown, monkeypatch):
    assert "do without it" not in shown()
    other = replace(find_exercise("1.2"), no_run="A definition")
    monkeypatch.setattr(notebook, "find_exercise", lambda number: other)
    assert "A definition; training and drawing do without it" in shown()


def test_the_link_opens_the_file_beside_the_notebook_at_the_function(shown, monkeypatch, tmp_path):
    monkeypatch.setenv(LAB_FOLDER, str(tmp_path))
    found = re.search('data-commandlinker-args="(.+?)"', shown())
    arguments = json.loads(html.unescape(found[1]))["args"]
    assert arguments["options"] == {"mode": "split-right"}
    file = tmp_path / arguments["path"]
    assert file == tmp_path / "exercises" / "ch01_noise_schedule.py"
    assert function_at(file, arguments["line"]) == "cosine_betas"


def function_at(file, line):
    """The name of the function that ends on a line."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    return next(node.name for node in tree.body if node.end_lineno == line)


def test_the_line_is_found_in_code_that_does_not_parse(shown, monkeypatch, tmp_path):
    monkeypatch.setenv(LAB_FOLDER, str(tmp_path))
    file = tmp_path / "exercises" / "ch01_noise_schedule.py"
    file.parent.mkdir()
    for text, line in (
        ("x = 1\ndef cosine_betas(\n    n,\n):\n    re turn\n\ny = 2\n", 5),
        ("y", 1),
    ):
        file.write_text(text)
        assert f"&quot;line&quot;: {line}}}" in shown()


@pytest.mark.parametrize("folder", [None, str(ROOT / "docs")])
def test_elsewhere_it_is_a_plain_link(folder, shown, monkeypatch):
    """Outside of `course lab`, or if the exercises are not in the folder that it shows."""
    monkeypatch.delenv(LAB_FOLDER, raising=False)
    if folder:
        monkeypatch.setenv(LAB_FOLDER, folder)
    text = shown()
    assert "](../exercises/ch01_noise_schedule.py)" in text and "<button" not in text
