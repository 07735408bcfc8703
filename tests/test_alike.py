"""Code that is the same after names and layout are taken away, and how the report says so."""

import ast
import re
from pathlib import Path

import pytest

from course import ROOT
from course.classroom.alike import REFERENCE, Alike, _plain, find_alike
from course.classroom.class_report import class_report
from course.classroom.results import ExerciseResult, SubmissionResult
from course.syllabus import NOT_WRITTEN, PASSED, chapters, select

CH01 = chapters()[0].name
REFERENCES = (ROOT / "solutions" / f"{CH01}.py").read_text(encoding="utf-8")
# Another way than the reference's, which two learners have in common.
OWN = '''
import math
import torch

def cosine_betas(num_steps, s=0.008, max_beta=0.999):
    """Mine."""
    if num_steps < 1:
        raise ValueError("too few")
    wanted = []
    for step in range(num_steps):
        early = math.cos((step / num_steps + s) / (1 + s) * math.pi / 2) ** 2
        late = math.cos(((step + 1) / num_steps + s) / (1 + s) * math.pi / 2) ** 2
        wanted.append(min(1 - late / early, max_beta))
    return torch.tensor(wanted)
'''


def renamed(text: str) -> str:
    """The same code with other names, spaces, comments and annotations."""
    for old, new in (("wanted", "betas"), ("early", "a"), ("late", "b"), ("Mine.", "My own work.")):
        text = re.sub(rf"\b{old}\b", new, text)
    return text.replace("num_steps, s=0.008", "num_steps: int, s: float = 0.008  # !\n    ")


def look(tmp_path: Path, texts: dict[str, str], status: str = PASSED) -> list[Alike]:
    folders, results = {}, []
    for name, text in texts.items():
        folders[name] = tmp_path / name
        folders[name].mkdir(parents=True)
        (folders[name] / f"{CH01}.py").write_text(text, encoding="utf-8")
        own = tuple(ExerciseResult(e.id, 0, e.points, status, "", "", "") for e in select("01"))
        results.append(SubmissionResult(name, own, 0, 0.0, "bubblewrap", "k"))
    return find_alike(folders, results)


def test_the_same_code_under_other_names_is_found(tmp_path):
    assert renamed(OWN) != OWN
    other = OWN.replace("1 - late / early", "(early - late) / early")
    found = look(tmp_path, {"ann": OWN, "bob": renamed(OWN), "cy": other})
    assert found == [Alike("ann", "bob", ("1.2",))]


def test_the_reference_is_found_and_short_functions_are_not(tmp_path, monkeypatch):
    found = look(tmp_path / "as it is", {"ann": REFERENCES, "bob": REFERENCES})
    assert [(row.one, row.other) for row in found] == [("ann", REFERENCE), ("bob", REFERENCE)]
    assert set(found[0].exercises) == {exercise.id for exercise in select("01")}
    monkeypatch.setattr("course.classroom.alike.SMALLEST", 10_000)
    assert look(tmp_path / "if all were short", {"ann": REFERENCES, "bob": REFERENCES}) == []


def test_names_of_attributes_and_the_order_of_keywords_do_not_hide_it(tmp_path):
    text = """
class UNet:
    def __init__(self, width, depth, kind):
        self.first = make(width, depth=depth, kind=kind, bias=True, groups=width // 8)
        self.second = make(width, depth=2 * depth, kind=kind, bias=False, groups=width // 4)

    def forward(self, x):
        h = self.first(x) + self.second(x) * 2 + self.first(self.second(x))
        return self.second(h + x) / self.first(h - x)
"""
    other = text.replace("depth=depth, kind=kind", "kind=kind, depth=depth")
    other = re.sub(r"\.first", ".entrance", other).replace(".second", ".exit")
    swapped = text.replace("self.second(h + x) / self.first", "self.first(h + x) / self.second")
    assert _prints(text) == _prints(other) != _prints(swapped)


def _prints(text: str) -> str:
    return _plain(ast.parse(text).body[0])


def test_what_is_not_written_is_alike_for_everyone_and_says_nothing(tmp_path):
    assert look(tmp_path, {"ann": OWN, "bob": OWN}, NOT_WRITTEN) == []


@pytest.mark.parametrize(
    "text", ["def", "x = " + "-" * 100_000 + "1", "\0", OWN + "a" + ".b" * 9999]
)
def test_code_that_cannot_be_read_stops_nothing(tmp_path, text):
    found = look(tmp_path, {"ann": OWN, "mallory": text, "bob": renamed(OWN)})
    assert Alike("ann", "bob", ("1.2",)) in found


def test_the_report_says_that_it_is_no_verdict():
    page = class_report([], [Alike("<b>", "bob", ("1.2", "1.4"))])
    assert "This is no verdict" in page and "1.2, 1.4" in page and "<b>" not in page
    assert "Code that is alike" not in class_report([])
