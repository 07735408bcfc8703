"""Load the chapter files of one folder: the exercises, the solutions or a submission."""

import builtins
import importlib.util
import itertools
import re
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from course import ROOT, CourseError, packed
from course.probing.text import one_line, type_name

_numbers = itertools.count()


class CannotLoad(CourseError):
    """A chapter file is missing or cannot be imported."""


class Implementation:
    """One folder with a file per chapter, each imported when it is first asked for."""

    def __init__(self, folder: str | Path):
        self.folder = resolve_folder(folder)
        self._chapters: dict[str, ModuleType | CannotLoad] = {}

    def path(self, chapter: str) -> Path:
        return self.folder / f"{chapter}.py"

    def chapter(self, chapter: str) -> ModuleType:
        """The module of one chapter, for example "ch01_noise_schedule".

        Raises:
            CannotLoad: if the file is missing or does not import; the text says where and why.
        """
        if chapter not in self._chapters:
            try:
                self._chapters[chapter] = load_file(self.path(chapter))
            except CannotLoad as error:
                self._chapters[chapter] = error
        loaded = self._chapters[chapter]
        if isinstance(loaded, CannotLoad):
            raise loaded
        return loaded


def resolve_folder(folder: str | Path) -> Path:
    """The reference for the name "solutions", wherever you are; anything else is a path."""
    path = ROOT / "solutions" if folder == "solutions" else Path(folder)
    if not path.is_dir():
        raise CourseError(
            f"there is no folder {str(folder)!r}: give exercises, solutions, or the path of a "
            "folder that holds ch01_noise_schedule.py and the other chapter files"
        )
    return path.resolve()


def load_file(path: Path) -> ModuleType:
    """Import one file under a name of its own, so that reloading never meets a stale module."""
    if not path.is_file():
        raise CannotLoad(f"{path.name} is not in {path.parent}")
    name = f"_implementation_{next(_numbers)}_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look their module up here
    module.__builtins__ = {**vars(builtins), "__import__": _import_as_graded(path.parent)}
    try:
        # Compile what is in the file now: a cached .pyc can be stale when two saves fall into
        # the same second.
        code = compile(packed.read(path), str(path), "exec")
        exec(code, module.__dict__)
    except SyntaxError as error:
        del sys.modules[name]
        line = (error.text or "").strip()
        raise CannotLoad(
            f"{path.name} cannot be read by Python: {error.msg}, at line {error.lineno}: {line}"
        ) from None
    except (Exception, SystemExit) as error:
        del sys.modules[name]
        raise CannotLoad(stops_while_imported(error, path)) from None
    return module


ALONE = (
    " where you are graded: there your chapter files are alone, and none imports another. What a "
    "function builds on arrives as an argument; or copy what you need into this file"
)
ONLY_AT_HOME = {"exercises", "tests", "benchmarks"}
IN_THE_SANDBOX = {"course": "probing", "checks": "probes"}  # the one part of each that is there


def _import_as_graded(folder: Path) -> Callable[..., Any]:
    """An `__import__` for a file in `folder` that lacks at home what a sandbox lacks."""

    def import_as_graded(name, *arguments, **options):
        first, second, *_ = [*name.split("."), ""]
        level = options.get("level", arguments[3] if len(arguments) > 3 else 0)
        own = first in ONLY_AT_HOME or re.fullmatch(r"ch\d\d_\w+", first)
        helper = first not in sys.modules and (folder / f"{first}.py").is_file()
        if level or own or helper and first not in sys.stdlib_module_names:
            raise ModuleNotFoundError(f"No module named {'.' * level + name!r}{ALONE}", name=name)
        if second and IN_THE_SANDBOX.get(first, second) != second:
            raise ModuleNotFoundError(f"No module named '{first}.{second}'{ALONE}", name=name)
        return builtins.__import__(name, *arguments, **options)

    return import_as_graded


def stops_while_imported(error: BaseException, path: Path) -> str:
    return f"{path.name} stops while it is imported: {describe_exception(error, path)}"


def describe_exception(error: BaseException, path: Path) -> str:
    """What was raised, and at which line of the file at `path`, without the frames around it."""
    frames = [f for f in traceback.extract_tb(error.__traceback__) if f.filename == str(path)]
    where = f", at line {frames[-1].lineno}: {frames[-1].line}" if frames else ""
    try:
        first_line = one_line(str(error).strip().split("\n")[0], 300)
    except BaseException:  # the error may be of a class of the learner's own
        first_line = "an error that cannot be shown"
    return f"{type_name(error)}: {first_line}{where}"
