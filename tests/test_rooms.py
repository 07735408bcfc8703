"""The rooms of course/ and which of them may import which: arrows run downwards only."""

import ast
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

from course import ROOT

# What each room may import besides itself and the files directly in course/.
ALLOWED = {
    "probing": set(),
    "model": set(),
    "grading": {"probing"},
    "learner": {"grading", "probing"},
    "classroom": {"grading", "probing"},
    "pages": {"learner", "grading", "probing", "model"},
    "cli": {"pages", "classroom", "learner", "grading", "probing", "model"},
    "": set(),  # the files directly in course/
}
WHY = {
    "probing": "what the probing room imports enters the sandbox beside a stranger's code, so it "
    "may know nothing of what is expected",
    "model": "the model room stands alone, so that training never depends on verdicts",
    "grading": "the grading room needs the probing room alone, so that a verdict is the same for "
    "a learner, a class and a page",
    "learner": "the learner room is about one's own exercises, so it needs no class, page or model",
    "classroom": "the classroom room is about strangers' code, so it keeps clear of one's own "
    "exercises, of pages and of models",
    "pages": "the pages room shows what other rooms compute; it needs no class and no commands",
    "cli": "the commands are on top",
    "": "every room imports the files directly in course/, so these import no room",
}
PROBES = "probes enter the sandbox, so of ours they import course.probing and each other alone"
FOR_CHECKS = ("course.grading.", "course.probing.", "course.model.data.")
CHECKS = (
    "a check is made of course.grading and course.probing, and its inputs may come from "
    "course.model.data; so it judges all code alike"
)
OURS = {"course", "checks", "solutions", "exercises", "benchmarks", "tests"}


def modules(root: Path) -> dict[str, Path]:
    """All modules of course/ below `root` by name, such as "course.grading" for its __init__."""
    found = {}
    for path in sorted((root / "course").rglob("*.py")):
        name = ".".join(path.relative_to(root).with_suffix("").parts)
        found[name.removesuffix(".__init__")] = path
    return found


def imports(path: Path, root: Path) -> set[str]:
    """What a file imports, in functions and for type checkers too: "course.files.write_whole"."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            start = path.parents[node.level - 1].relative_to(root).parts if node.level else ()
            start = ".".join([*start, *filter(None, [node.module])])
            found |= {f"{start}.{alias.name}" for alias in node.names}
    return found


def arrows(root: Path) -> dict[str, set[str]]:
    """For each module of course/ the others of course/ that it imports."""
    known = modules(root)
    found = {module: set() for module in known}
    for module, path in known.items():
        for name in imports(path, root):
            while name and name not in known:  # course.files.write_whole is in course.files
                name = name.rpartition(".")[0]
            found[module] |= {name} - {"", module}
    return found


def room_of(module: str) -> str:
    """ "grading" for "course.grading.grader"; "" for what is directly in course/."""
    part = (module.split(".") + [""])[1]
    return part if part in ALLOWED else ""


def against_the_order(root: Path) -> list[str]:
    """A sentence for each import in course/ that the rooms' order forbids."""
    sentences, files = [], modules(root)
    for module, targets in arrows(root).items():
        room = room_of(module)
        for target in sorted(targets):
            if room_of(target) not in ALLOWED[room] | {room, ""}:
                place = files[module].relative_to(root)
                sentences.append(f"{place} imports {target}: {WHY[room]}")
    return sentences


def circle(root: Path) -> list[str]:
    """Modules of course/ of which each imports the next, if they come back to the first."""
    try:
        TopologicalSorter(arrows(root)).prepare()
    except CycleError as error:
        return error.args[1][::-1]
    return []


def against_the_order_in_checks(root: Path) -> list[str]:
    """The same for checks/. Its conftest.py is no check: it is how pytest grades."""
    sentences = []
    for path in sorted((root / "checks").rglob("*.py")):
        place = path.relative_to(root)
        if place.name == "conftest.py":
            continue
        probes = place.parts[1] == "probes"
        for name in sorted(imports(path, root)):
            outer, room, *_ = *name.split("."), ""
            own = (outer, room) in (("course", "probing"), ("checks", "probes"))
            if probes and outer in OURS and not own:
                sentences.append(f"{place} imports {name}: {PROBES}")
            elif not probes and outer == "course" and not name.startswith(FOR_CHECKS):
                sentences.append(f"{place} imports {name}: {CHECKS}")
    return sentences


# The course


def test_imports_keep_to_the_order_of_the_rooms():
    assert not (found := against_the_order(ROOT)), "\n".join(found)


def test_no_modules_import_each_other_in_a_circle():
    assert not (found := circle(ROOT)), " imports ".join(found)


def test_checks_import_no_more_than_they_need():
    assert not (found := against_the_order_in_checks(ROOT)), "\n".join(found)


def test_every_room_has_its_place_in_the_order():
    rooms = {path.parent.name for path in (ROOT / "course").glob("*/__init__.py")}
    assert rooms == set(ALLOWED) - {"cli", ""} and set(WHY) == set(ALLOWED)


# The tests above, on broken courses


@pytest.fixture
def broken(tmp_path):
    """A small course, to which a test adds what breaks it."""
    for file in ("__init__", "files", "grading/__init__", "grading/grader", "model/__init__"):
        write(tmp_path, f"course/{file}.py", "")
    write(tmp_path, "course/grading/failure.py", "from course.files import write_whole\n")
    return tmp_path


def write(root: Path, file: str, text: str) -> None:
    (root / file).parent.mkdir(parents=True, exist_ok=True)
    (root / file).write_text(text)


@pytest.mark.parametrize(
    "line",
    [
        "from course.grading.grader import Grader",
        "from course.grading import grader",
        "import course.grading.grader",
        "import torch, course.grading.grader as g",
        "from ..grading.grader import Grader",
        "from ..grading import grader",
        "def f():\n    from course.grading.grader import Grader",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import course.grading.grader",
    ],
)
def test_a_forbidden_import_is_found_in_every_form(broken, line):
    assert not against_the_order(broken)
    write(broken, "course/model/sampling.py", line)
    assert against_the_order(broken) == [
        "course/model/sampling.py imports course.grading.grader: the model room stands alone, so "
        "that training never depends on verdicts"
    ]


@pytest.mark.parametrize(
    "file, line, words",
    [
        ("probing/x.py", "import course.grading", "probing/x.py imports course.grading: what the"),
        ("grading/x.py", "from course import model", "x.py imports course.model: the grading room"),
        ("files.py", "from course import grading", "files.py imports course.grading: every room"),
        ("learner/x.py", "from course import cli", "x.py imports course.cli: the learner room is"),
    ],
)
def test_each_room_has_its_reason(broken, file, line, words):
    write(broken, "course/cli.py", "from course import grading, model")
    assert not against_the_order(broken)
    write(broken, f"course/{file}", line)
    (sentence,) = against_the_order(broken)
    assert words in sentence


def test_a_circle_is_told_in_its_order(broken):
    assert not circle(broken)
    write(broken, "course/files.py", "def f():\n    from course.grading.grader import Grader")
    write(broken, "course/grading/grader.py", "from .failure import failure_of")
    found = circle(broken)
    following = dict(zip(found, found[1:]))
    assert found[0] == found[-1] and following == {
        "course.files": "course.grading.grader",
        "course.grading.grader": "course.grading.failure",
        "course.grading.failure": "course.files",
    }


@pytest.mark.parametrize(
    "file, line, reason",
    [
        ("probes/ch01_x.py", "from course.grading.checking import require", PROBES),
        ("probes/ch01_x.py", "from course import syllabus", PROBES),
        ("probes/ch01_x.py", "def f():\n    import solutions.ch01_x", PROBES),
        ("probes/ch01_x.py", "from checks.misconceptions import ch01_x", PROBES),
        ("test_ch01_x.py", "from course.learner.workspace import Workspace", CHECKS),
        ("equivalents/ch01_x.py", "from course.model.models import load_model", CHECKS),
    ],
)
def test_a_forbidden_import_in_checks_is_found(broken, file, line, reason):
    write(broken, "checks/probes/ch01_x.py", "import torch\nimport course.probing.text\n")
    write(broken, "checks/test_ch01_x.py", "from checks.probes import ch01_x\n")
    write(broken, "checks/misconceptions/ch01_x.py", "from course.grading.answers import Answers\n")
    assert not against_the_order_in_checks(broken)
    write(broken, f"checks/{file}", line)
    (sentence,) = against_the_order_in_checks(broken)
    assert sentence.startswith(f"checks/{file} imports ") and sentence.endswith(reason)
