"""The chapter files that a notebook holds, where a learner wrote the functions into its cells."""

import ast
import functools
import json
import re
from pathlib import PurePosixPath

from course.syllabus import chapters

MAX_CODE = 1_000_000  # characters of all cells
WRITEFILE = re.compile(r"%%(?:write)?file\s+(?P<more>-a\s+)?[\"']?(?P<path>[^\"'\n]+?)[\"']?\s*\n")
FOR_IPYTHON = re.compile(r"\s*(?:[%!?]|[\w, ]+=\s*[%!])")  # a line that is not Python's


@functools.lru_cache(maxsize=64)
def chapter_files_of(notebook: bytes) -> dict[str, str]:
    """The text of a file for each chapter whose functions the notebook defines.

    It has the functions and classes that an exercise asks for, and the imports, helpers and
    constants of other cells that they need. A cell that begins with `%%writefile` and a chapter's
    file gives that file.
    """
    try:
        return _chapter_files(_code_cells(notebook))
    except (ValueError, RecursionError):  # cells that Python can read, but cannot write again
        return {}


def _chapter_files(cells: list[str]) -> dict[str, str]:
    nodes = [node for cell in cells for node in _parsed(cell)]
    found = {}
    for chapter in chapters():
        asked = {symbol for exercise in chapter.exercises for symbol in exercise.symbols}
        if any(_binds(node) & asked for node in nodes if isinstance(node, DEFINITIONS)):
            kept = _needed(nodes, asked)
            found[chapter.name] = "\n\n".join(ast.unparse(node) for node in kept) + "\n"
        for cell in cells:
            match = WRITEFILE.match(cell)
            if match and PurePosixPath(match["path"]).name == f"{chapter.name}.py":
                before = found.get(chapter.name, "") + "\n" if match["more"] else ""
                found[chapter.name] = before + cell[match.end() :]
    return found


DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


def _code_cells(notebook: bytes) -> list[str]:
    """The text of the code cells; none if this is no notebook."""
    try:
        cells = [cell for cell in json.loads(notebook)["cells"] if isinstance(cell, dict)]
        code = ["".join(c["source"]).lstrip() for c in cells if c["cell_type"] == "code"]
        return code if sum(map(len, code)) <= MAX_CODE else []
    except (ValueError, KeyError, TypeError, RecursionError):
        return []


def _parsed(cell: str) -> list[ast.stmt]:
    """What a cell says in Python, without lines for IPython; nothing if it cannot be read."""
    if cell.startswith("%%"):
        return []
    lines = [line for line in cell.split("\n") if not FOR_IPYTHON.match(line)]
    try:
        return ast.parse("\n".join(lines)).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return []


def _needed(nodes: list[ast.stmt], names: set[str]) -> list[ast.stmt]:
    """The statements that bind these names, and those that these need, in their order."""
    kept: set[int] = set()
    while True:
        new = {i for i, node in enumerate(nodes) if i not in kept and _binds(node) & names}
        if not new:
            return [nodes[i] for i in sorted(kept)]
        kept |= new
        names = {part.id for i in new for part in ast.walk(nodes[i]) if isinstance(part, ast.Name)}


def _binds(node: ast.stmt) -> set[str]:
    """The names that a statement gives a value, if it is one that a chapter's file may have."""
    if isinstance(node, DEFINITIONS):
        return {node.name}
    if isinstance(node, ast.Import | ast.ImportFrom):
        return {(alias.asname or alias.name).split(".")[0] for alias in node.names}
    targets = node.targets if isinstance(node, ast.Assign) else []
    targets = [node.target] if isinstance(node, ast.AnnAssign) else targets
    return {target.id for target in targets if isinstance(target, ast.Name)}
