"""Code that is the same after names and layout are taken away: to look at, never a verdict.

A short function has few ways to be written, so only longer ones are compared; and learners who
follow the same text may well write the same lines.
"""

import ast
import hashlib
from collections import defaultdict
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

from course import ROOT, packed
from course.classroom.collecting import chapter_file
from course.classroom.results import SubmissionResult
from course.syllabus import NOT_WRITTEN, Exercise, exercises

SMALLEST = 60  # nodes of the syntax tree; what is smaller is alike by chance
REFERENCE = "the reference"


@dataclass(frozen=True)
class Alike:
    """Two that have the same code for some exercises."""

    one: str  # a submission's name
    other: str  # another's, or the reference
    exercises: tuple[str, ...]


def find_alike(folders: dict[str, Path], results: list[SubmissionResult]) -> list[Alike]:
    """Submissions that are like the reference or like each other, those with most in common first.

    What is like the reference is not counted once more between two submissions.

    Args:
        folders: the submissions' chapter files, by name.
        results: theirs, for what is written.
    """
    known = _prints_of(ROOT / "solutions", exercises())
    found: dict[tuple[str, str], list[str]] = defaultdict(list)
    sharing: dict[tuple[str, str], list[str]] = defaultdict(list)
    for result in results:
        written = {own.id for own in result.exercises if own.status != NOT_WRITTEN}
        wanted = tuple(e for e in exercises() if e.id in written and not result.problem)
        for exercise_id, fingerprint in _prints_of(folders[result.name], wanted).items():
            if fingerprint == known.get(exercise_id):
                found[result.name, REFERENCE].append(exercise_id)
            else:
                sharing[exercise_id, fingerprint].append(result.name)
    for (exercise_id, _), names in sharing.items():
        for pair in combinations(sorted(names), 2):
            found[pair].append(exercise_id)
    rows = [Alike(*pair, tuple(ids)) for pair, ids in found.items()]
    return sorted(rows, key=lambda row: (-len(row.exercises), row.one, row.other))


def _prints_of(folder: Path, wanted: tuple[Exercise, ...]) -> dict[str, str]:
    """A fingerprint of each exercise's code, where that is long enough."""
    found = {}
    trees: dict[str, dict[str, ast.stmt]] = {}
    for exercise in wanted:
        if exercise.chapter not in trees:
            trees[exercise.chapter] = _definitions(chapter_file(folder, exercise.chapter))
        nodes = [trees[exercise.chapter].get(symbol) for symbol in exercise.symbols]
        try:
            texts = [_plain(node) for node in nodes if node is not None]
        except RecursionError:
            continue
        if len(texts) == len(nodes) and sum(text.count("(") for text in texts) >= SMALLEST:
            found[exercise.id] = hashlib.sha256("\n".join(texts).encode()).hexdigest()
    return found


def _definitions(file: Path | None) -> dict[str, ast.stmt]:
    """A file's functions and classes by name; none if Python cannot read it."""
    try:
        body = ast.parse(packed.read(file)).body if file else []
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return {}
    return {n.name: n for n in body if isinstance(n, ast.FunctionDef | ast.ClassDef)}


def _plain(node: ast.stmt) -> str:
    """The syntax tree as text, without docstrings, annotations and what its own names are."""
    parts = list(ast.walk(node))
    own = {part.arg for part in parts if isinstance(part, ast.arg)}
    own |= {p.id for p in parts if isinstance(p, ast.Name) and isinstance(p.ctx, ast.Store)}
    # With a dot, for an attribute may have the name of a variable.
    own |= {f".{p.attr}" for p in parts if isinstance(p, ast.Attribute) and _is_set(p)}
    return ast.dump(_Renamed(own).visit(node))


def _is_set(attribute: ast.Attribute) -> bool:
    return isinstance(attribute.ctx, ast.Store)


class _Renamed(ast.NodeTransformer):
    """Gives arguments, variables and attributes numbers in the order in which they are met.

    Keyword arguments are put in the order of their names.
    """

    def __init__(self, own: set[str]):
        self.own, self.numbers = own, {}

    def _number(self, name: str) -> str:
        return f"_{self.numbers.setdefault(name, len(self.numbers))}" if name in self.own else name

    def visit_arg(self, node: ast.arg) -> ast.arg:
        return ast.arg(self._number(node.arg))

    def visit_Name(self, node: ast.Name) -> ast.Name:
        return ast.Name(self._number(node.id), node.ctx)

    def visit_Attribute(self, node: ast.Attribute) -> ast.Attribute:
        self.generic_visit(node)
        node.attr = self._number(f".{node.attr}")
        return node

    def visit_Call(self, node: ast.Call) -> ast.Call:
        node.keywords.sort(key=lambda keyword: keyword.arg or "")
        return self.generic_visit(node)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST:
        if node.value is None:
            return ast.Pass()
        return self.visit(ast.Assign([node.target], node.value))

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.FunctionDef:
        node.returns = None
        return self._without_docstring(node)

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.ClassDef:
        return self._without_docstring(node)

    def _without_docstring(self, node):
        if ast.get_docstring(node, clean=False) is not None:
            node.body = node.body[1:] or [ast.Pass()]
        return self.generic_visit(node)
