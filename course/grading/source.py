"""The source of chapter files: where a definition is, and which names it uses."""

import ast
from pathlib import Path

from course import CourseError


def names_used(path: Path, symbols: tuple[str, ...]) -> set[str]:
    """All names that the definitions of `symbols` mention in the file at `path`."""
    names: set[str] = set()
    try:
        tree = ast.parse(path.read_bytes())
    except (SyntaxError, ValueError, RecursionError, MemoryError, OSError):
        return names
    for node in tree.body:
        if getattr(node, "name", None) in symbols:
            names |= {part.id for part in ast.walk(node) if isinstance(part, ast.Name)}
    return names - set(symbols)


def find_definition(tree: ast.Module, symbol: str) -> ast.FunctionDef | ast.ClassDef:
    """The top-level function or class named `symbol`.

    Raises:
        LookupError: if there is none.
    """
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name == symbol:
            return node
    raise LookupError(symbol)


def definition_text(text: str, symbol: str) -> str:
    """The source of one top-level definition."""
    first, last = _lines_of(text, symbol)
    return "\n".join(_split(text)[first:last])


def _split(text: str) -> list[str]:
    """Lines as Python's parser counts them; str.splitlines knows more ends of lines than that."""
    return text.split("\n")


def _lines_of(text: str, symbol: str) -> tuple[int, int]:
    node = find_definition(ast.parse(text), symbol)
    first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
    return first - 1, node.end_lineno


def replace_definition(text: str, fresh: str, symbol: str, path: Path) -> str:
    """The text of the file at `path` with the definition of `symbol` as it is in `fresh`.

    Raises:
        CourseError: if Python cannot read the text.
    """
    new = _split(definition_text(fresh, symbol))
    lines = _split(text.rstrip("\n"))
    try:
        first, last = _lines_of(text, symbol)
    except SyntaxError as error:
        raise CourseError(
            f"line {error.lineno} of {path.name} cannot be read by Python ({error.msg}), so one "
            "exercise cannot be told from the next. Mend that line, or reset the whole chapter "
            f"with: course reset {path.stem[2:4]}"
        ) from None
    except LookupError:
        lines += ["", ""]
        first = last = len(lines)
    lines[first:last] = new
    return "\n".join(lines) + "\n"
