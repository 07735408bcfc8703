"""Code for a run: a learner's exercises where they pass, the reference's elsewhere, all counted."""

import functools
import inspect
from collections import Counter
from collections.abc import Callable, Collection
from pathlib import Path
from types import ModuleType
from typing import Any

from course.probing.loading import Implementation
from course.syllabus import Exercise, exercises


class Mixture:
    """The reference with some exercises of a folder in their place; it counts every call of each.

    Args:
        folder: the learner's chapter files.
        yours: the numbers of the exercises that are taken from there.

    Attributes:
        calls: how often the function or class of each name was called, a class's methods included.
    """

    def __init__(self, folder: Path, yours: Collection[str] = ()):
        self.folder, self.yours = Path(folder), frozenset(yours)
        self.calls: Counter[str] = Counter()
        self._chapters: dict[str, ModuleType] = {}
        self._reference = Implementation("solutions")
        self._learner = Implementation(folder)

    def chapter(self, name: str) -> ModuleType:
        """The module of one chapter, for example "ch04_unet"."""
        if name not in self._chapters:
            wanted = [exercise for exercise in exercises() if exercise.chapter == name]
            modules = [self._counting(self._reference.chapter(name), wanted)]
            if any(exercise.id in self.yours for exercise in wanted):
                modules.append(self._counting(self._learner.chapter(name), wanted))
            # In both files, so that what they call of their own is the same.
            for exercise in wanted:
                source = modules[-1] if exercise.id in self.yours else modules[0]
                for symbol in exercise.symbols:
                    for module in modules:
                        setattr(module, symbol, getattr(source, symbol))
            self._chapters[name] = modules[0]
        return self._chapters[name]

    def _counting(self, module: ModuleType, wanted: list[Exercise]) -> ModuleType:
        """The module with its exercises counted, also where they call each other."""
        for symbol in (symbol for exercise in wanted for symbol in exercise.symbols):
            code = getattr(module, symbol, None)
            if inspect.isclass(code):
                for name, method in list(vars(code).items()):
                    if inspect.isfunction(method):
                        setattr(code, name, self._counted(symbol, method))
            elif callable(code):
                setattr(module, symbol, self._counted(symbol, code))
        return module

    def _counted(self, symbol: str, function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def counted(*arguments, **options):
            self.calls[symbol] += 1
            return function(*arguments, **options)

        return counted

    def called(self) -> list[Exercise]:
        """The exercises of which something was called, in order."""
        return [e for e in exercises() if any(self.calls[symbol] for symbol in e.symbols)]
