"""The course's own files, packed or not: a student edition packs those that give answers away.

A packed file has the name and the place of the plain one. It is Python (or TOML) that holds the
text compressed, so that nobody reads it by accident. It is hidden, not locked: anyone can unpack
it.
"""

import base64
import linecache
import re
import zlib
from pathlib import Path
from typing import Any

from course import ROOT, CourseError

NOTE = "Packed, so that no answer is read by accident. Your own way is worth more than this one."
PACKED = re.compile(rf'# {NOTE}\r?\nPACKED = """([^"]*)"""'.encode())
RUN = """
from course.packed import run

run(globals())
"""
OURS = (ROOT / "solutions", ROOT / "checks")  # where files can be packed


def pack(content: bytes, suffix: str) -> bytes:
    """A file's content, packed: a Python file that does when run what it did, or a TOML file.

    Args:
        content: of the file.
        suffix: ".py" or ".toml".
    """
    text = base64.encodebytes(zlib.compress(content, level=9)).decode()
    return f'# {NOTE}\nPACKED = """\n{text}"""\n{RUN if suffix == ".py" else ""}'.encode()


def is_packed(path: Path) -> bool:
    return bool(PACKED.match(path.read_bytes()))


def read(path: Path) -> bytes:
    """What a file holds; a file of the course's own is unpacked, where it is packed.

    Raises:
        CourseError: if it is damaged.
    """
    content = path.read_bytes()
    ours = any(path.is_relative_to(folder) for folder in OURS)
    packed = PACKED.match(content) if ours else None
    if not packed:
        return content
    try:
        return zlib.decompress(base64.b64decode(packed[1]))
    except (ValueError, zlib.error):
        raise CourseError(f"{path} is damaged; install the course anew") from None


def read_text(path: Path) -> str:
    """The same as text, with \\n at the ends of lines."""
    return read(path).decode("utf-8").replace("\r\n", "\n")


def run(names: dict[str, Any]) -> None:
    """Run the text of a packed Python file, which calls this; `names` are its globals."""
    path = names["__file__"]
    text = read_text(Path(path))
    exec(compile(text, path, "exec", dont_inherit=True), names)
    # So that messages can show the line at which an error was raised.
    linecache.cache[path] = len(text), None, text.splitlines(keepends=True), path
