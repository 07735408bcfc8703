"""The skeletons are made from the solutions, and cannot drift from them."""

import ast
import inspect
import re
import subprocess

import pytest

from course import ROOT
from course.grading.answers import misconceptions_of
from course.grading.planted import given_code
from course.grading.source import definition_text, same_code
from course.learner.skeletons import skeleton
from course.syllabus import chapters, exercises

CHAPTERS = [chapter.name for chapter in chapters()]


def committed(path: str) -> str:
    """A file as it was last committed, for the one on the disk may hold a learner's work."""
    shown = subprocess.run(
        ["git", "show", f"HEAD:{path}"], cwd=ROOT, capture_output=True, text=True, encoding="utf-8"
    )
    return shown.stdout if shown.returncode == 0 else (ROOT / path).read_text(encoding="utf-8")


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_the_committed_skeleton_is_the_one_the_solution_gives(chapter):
    assert committed(f"exercises/{chapter}.py") == skeleton(chapter), (
        f"exercises/{chapter}.py differs from its solution; delete it and run "
        "python -m course.learner.skeletons"
    )


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_an_exercise_imports_no_other_chapter(chapter):
    for folder in ("solutions", "exercises"):
        tree = ast.parse((ROOT / folder / f"{chapter}.py").read_text(encoding="utf-8"))
        imported = {
            name
            for node in ast.walk(tree)
            if isinstance(node, ast.Import | ast.ImportFrom)
            for name in [getattr(node, "module", None) or "", *(a.name for a in node.names)]
        }
        assert not {n for n in imported if re.match(r"ch\d|solutions|exercises|course", n)}


@pytest.mark.parametrize("exercise", exercises(), ids=lambda e: e.id)
def test_nothing_of_the_answer_is_left_in_the_skeleton(exercise):
    tree = ast.parse(skeleton(exercise.chapter))
    solution = ast.parse((ROOT / "solutions" / f"{exercise.chapter}.py").read_text())
    for symbol in exercise.symbols:
        made, full = (
            next(n for n in t.body if getattr(n, "name", None) == symbol) for t in (tree, solution)
        )
        text = ast.unparse(made)
        assert "Equation:" not in text
        told, known = ast.get_docstring(made), ast.get_docstring(full)
        assert without_equation(told) == without_equation(known)
        if not exercise.fault:
            assert "NotImplementedError" in text
        longest = max(
            len(ast.unparse(n).splitlines()) - len((ast.get_docstring(n) or "").splitlines())
            for n in ast.walk(full)
            if isinstance(n, ast.FunctionDef)
        )
        assert longest <= 45, "no exercise needs more than about 30 lines of code"


def without_equation(docstring: str) -> str:
    """A docstring less its equation, in which line breaks are not told from spaces."""
    lines = iter(docstring.splitlines())
    kept = []
    for line in lines:
        if line.strip() == "Equation:":
            line = next((one for one in lines if one and not one.startswith(" ")), "")
        kept.append(line)
    return " ".join(" ".join(kept).split())


@pytest.mark.parametrize("exercise", [e for e in exercises() if e.fault], ids=lambda e: e.id)
def test_a_fault_is_in_the_skeleton_and_known_by_its_name(exercise):
    text, given = skeleton(exercise.chapter), given_code(exercise)
    assert f"# Exercise {exercise.id}: its code runs" in text
    assert all(same_code(definition_text(text, symbol), given[symbol]) for symbol in given)
    edits = [answer for answer in misconceptions_of(exercise.id) if answer.text]
    assert any(
        all(same_code(given[s], definition_text(answer.text, s)) for s in answer.symbols)
        for answer in edits
    ), "register the fault with answers.planted"


@pytest.mark.parametrize("exercise", exercises(), ids=lambda e: e.id)
def test_public_functions_are_documented(exercise, solutions):
    module = solutions.chapter(exercise.chapter)
    for symbol in exercise.symbols:
        text = inspect.getdoc(getattr(module, symbol))
        assert "Source:" in text and "Args:" in text, f"{symbol} names no source or arguments"


def test_every_exercise_is_described():
    numbers = [exercise.number for exercise in exercises()]
    assert numbers == sorted(set(numbers))
    for exercise in exercises():
        assert len(exercise.hints) >= 3 and exercise.hints[0].rstrip().endswith("?"), exercise.id
        assert 1 <= exercise.difficulty <= 3 and exercise.points >= 1 and exercise.minutes >= 1


def signatures(text: str) -> dict[str, str]:
    """Every function and method of a module, with its arguments and what it returns."""
    found = {}
    for outer in ast.parse(text).body:
        for node in ast.walk(outer):
            if isinstance(node, ast.FunctionDef) and node.col_offset <= 4:
                returns = ast.unparse(node.returns) if node.returns else ""
                found[f"{outer.name}.{node.name}"] = f"({ast.unparse(node.args)}) -> {returns}"
    return found


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_signatures_agree(chapter):
    solution = signatures((ROOT / "solutions" / f"{chapter}.py").read_text(encoding="utf-8"))
    made = signatures(skeleton(chapter))
    assert made and made.items() <= solution.items()
    # What the skeleton lacks are functions inside a body that was taken out.
    assert all(name.count(".") == 1 for name in solution.keys() - made.keys())
