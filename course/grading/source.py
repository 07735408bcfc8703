"""The source of chapter files: where a definition is, and which names it uses."""

import ast
import io
import re
import tokenize
from pathlib import Path

from course import CourseError, packed

# What ast.parse raises about a text, and reading it: bytes that are no text, a coding of no name.
UNREADABLE = (SyntaxError, ValueError, RecursionError, MemoryError)
CODING = re.compile(r"^([ \t\f]*#.*?coding[:=][ \t]*)[-\w.]+")  # PEP 263


def read_source(path: Path) -> str:
    """The text of a file as Python reads it, with the byte order mark and the coding it names.

    Raises:
        CourseError: if Python could not decode it.
    """
    try:
        with tokenize.open(path) as file:
            return file.read()
    except (*UNREADABLE, LookupError) as error:
        raise _cannot_be_read(path, error) from None


def encoded(text: str, before: bytes) -> bytes:
    """A text as the bytes of a source file, in the manner of what the file held before.

    Byte order mark and line ends stay. Text in another coding becomes UTF-8, which holds all of
    it, and the line that names the coding says so.
    """
    coding, _ = tokenize.detect_encoding(io.BytesIO(before).readline)
    if not coding.startswith("utf-8"):
        lines = text.split("\n", 2)
        text = "\n".join([*(CODING.sub(r"\1utf-8", line) for line in lines[:2]), *lines[2:]])
        coding = "utf-8"
    if b"\r\n" in before:
        text = text.replace("\n", "\r\n")
    return text.encode(coding)


def _cannot_be_read(path: Path, error: BaseException) -> CourseError:
    line = f"line {error.lineno} of " if getattr(error, "lineno", None) else ""
    why = getattr(error, "msg", None) or error or type(error).__name__
    mend = "Mend that line" if line else "Save it as UTF-8 text"
    return CourseError(
        f"{line}{path.name} cannot be read by Python ({why}), so one exercise cannot be told from "
        f"the next. {mend}, or reset the whole chapter with: course reset {path.stem[2:4]}"
    )


def names_used(path: Path, symbols: tuple[str, ...]) -> set[str]:
    """All names that the definitions of `symbols` mention in the file at `path`, not as types."""
    names: set[str] = set()
    try:
        tree = ast.parse(packed.read(path))
    except (*UNREADABLE, OSError):
        return names
    for node in tree.body:
        if getattr(node, "name", None) in symbols:
            types = {id(part) for hint in _annotations(node) for part in ast.walk(hint)}
            parts = [part for part in ast.walk(node) if isinstance(part, ast.Name)]
            names |= {part.id for part in parts if id(part) not in types}
    return names - set(symbols)


def _annotations(node: ast.AST) -> list[ast.expr]:
    """All that stands for a type in a definition."""
    fields = ("annotation", "returns")
    hints = [getattr(part, field, None) for part in ast.walk(node) for field in fields]
    return [hint for hint in hints if hint is not None]


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


def same_code(one: str, other: str) -> bool:
    """Do two texts hold the same code, whatever their docstrings, comments and layout?"""
    return _bare(one) == _bare(other)


def _bare(text: str) -> str:
    tree = ast.parse(text)
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and ast.get_docstring(node) is not None:
            del node.body[0]
    return ast.dump(tree)


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
    except UNREADABLE as error:
        raise _cannot_be_read(path, error) from None
    except LookupError:
        lines += ["", ""]
        first = last = len(lines)
    lines[first:last] = new
    return "\n".join(lines) + "\n"
