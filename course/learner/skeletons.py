"""Make the skeletons in exercises/ from the reference in solutions/, so that they cannot drift.

python -m course.learner.skeletons        writes every skeleton that is missing
"""

import ast
from pathlib import Path

from course import ROOT
from course.files import write_whole
from course.grading.planted import given_code
from course.grading.source import find_definition, replace_definition
from course.syllabus import Exercise, chapters

NOTE = """
The functions and classes that end in NotImplementedError are yours to write{mend}. See how
you are doing with `course check {number}`, and ask for help with `course hint {first}`.
"""
MEND = ", and where a\ncomment says so, something is yours to mend"


def skeleton(chapter_name: str) -> str:
    """The text of one exercise file, made from its solution."""
    chapter = next(c for c in chapters() if c.name == chapter_name)
    path = ROOT / "solutions" / f"{chapter_name}.py"
    source = path.read_text(encoding="utf-8")
    for exercise in chapter.exercises:
        if exercise.fault:
            for symbol, given in given_code(exercise).items():
                source = replace_definition(source, given, symbol, path)
    tree, lines = ast.parse(source), source.splitlines()
    cuts: list[tuple[int, int, list[str]]] = []  # first line, last line, what is there instead
    for exercise in chapter.exercises:
        for symbol in exercise.symbols:
            definition = find_definition(tree, symbol)
            cuts += equations_of(definition, lines)
            if exercise.fault:
                cuts.append(mark_of(definition, exercise))
            else:
                cuts += cuts_of(definition, exercise, lines)
    for first, last, replacement in sorted(cuts, reverse=True):
        lines[first - 1 : last] = replacement
    docstring_end = tree.body[0].end_lineno
    assert lines[docstring_end - 1] == '"""', f"{chapter_name}: end the docstring on its own line"
    mend = MEND if any(exercise.fault for exercise in chapter.exercises) else ""
    note = NOTE.format(number=chapter.number, first=chapter.exercises[0].id, mend=mend)
    lines[docstring_end - 1 : docstring_end - 1] = note.rstrip("\n").split("\n")
    return "\n".join(lines) + "\n"


def equations_of(node: ast.FunctionDef | ast.ClassDef, lines: list[str]):
    """Where docstrings say the equation that is to be found: from "Equation:" to what follows."""
    cuts = []
    for part in ast.walk(node):
        if not isinstance(part, ast.FunctionDef | ast.ClassDef) or not ast.get_docstring(part):
            continue
        last = part.body[0].end_lineno
        numbers = range(part.body[0].lineno, last)  # the quotes at the end are not among them
        for first in (n for n in numbers if lines[n - 1].strip() == "Equation:"):
            indent = _indent(lines[first - 1])
            after = (n for n in numbers if n > first and lines[n - 1].strip())
            end = next((n for n in after if _indent(lines[n - 1]) <= indent), last)
            cuts.append((first, end - 1, []))
    return cuts


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())


def mark_of(node: ast.FunctionDef | ast.ClassDef, exercise: Exercise):
    """A comment at the beginning of code that is to be mended."""
    body = node.body[1:] if ast.get_docstring(node) else node.body
    line, indent = body[0].lineno, " " * body[0].col_offset
    comment = f"{indent}# Exercise {exercise.id}: its code runs, and something in it is wrong."
    return line, line - 1, [comment]  # nothing is taken out


def cuts_of(node: ast.FunctionDef | ast.ClassDef, exercise: Exercise, lines: list[str]):
    """Which lines of a definition to replace, and by what."""
    if isinstance(node, ast.ClassDef):
        methods = [part for part in node.body if isinstance(part, ast.FunctionDef)]
        return [cut for method in methods for cut in cuts_of(method, exercise, lines)]
    body = node.body[1:] if ast.get_docstring(node) else node.body
    # Guards against bad input, and the call that every nn.Module begins with, are given.
    while body and (is_guard(body[0]) or _is_super_init(body[0])):
        body = body[1:]
    # So is what is above a comment that begins with "Yours to write".
    for position, statement in enumerate(body):
        if lines[statement.lineno - 2].strip().startswith("# Yours to write"):
            body = body[position:]
    if not body:
        return []
    # A decorator such as @torch.no_grad() is part of the answer.
    cuts = [
        (decorator.lineno, decorator.end_lineno, [])
        for decorator in node.decorator_list
        if ast.unparse(decorator).startswith("torch.")
    ]
    indent = " " * body[0].col_offset
    stub = f'{indent}raise NotImplementedError("exercise {exercise.id} is not written yet")'
    return [*cuts, (body[0].lineno, node.end_lineno, [stub])]


def is_guard(statement: ast.stmt) -> bool:
    return (
        isinstance(statement, ast.If)
        and all(isinstance(part, ast.Raise) for part in statement.body)
        and not statement.orelse
    )


def _is_super_init(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Expr) and ast.unparse(statement) == "super().__init__()"


def write_missing(folder: Path) -> list[Path]:
    """Write the skeletons that are not there yet; never touch a file that is."""
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for chapter in chapters():
        path = folder / f"{chapter.name}.py"
        if not path.exists():
            write_whole(path, skeleton(chapter.name))
            written.append(path)
    return written


if __name__ == "__main__":
    for path in write_missing(ROOT / "exercises"):
        print(f"wrote {path.relative_to(ROOT)}")
