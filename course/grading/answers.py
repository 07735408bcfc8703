"""Known answers to the exercises: wrong ones with the misunderstanding behind them, and right ones.

A chapter's file in checks/misconceptions/ or checks/equivalents/ lists them:

    answers = Answers()

    @answers.wrong("1.2", "the cosine is not squared", "alpha_bar falls along cos^2, ...")
    def cosine_betas(num_steps, s=0.008, max_beta=0.999): ...

    @answers.right("1.2", "a loop over Python floats")
    def cosine_betas(num_steps, s=0.008, max_beta=0.999): ...

An answer that replaces several functions repeats the decorator with the same name. A wrong answer
that is the reference with a few places changed says just these, each as (old, new):

    answers.edit("1.2", "the cosine is not squared", "alpha_bar ...", (".cos() ** 2", ".cos()"))

The same mistake written otherwise, so that the code does something else, has the same name:

    answers.again("1.2", "the cosine is not squared", (".cos() ** 2", ".cos().abs()"))

    @answers.wrong_again("1.2", "the cosine is not squared")
    def cosine_betas(num_steps, s=0.008, max_beta=0.999): ...

In an exercise that is a fault to be mended, `answers.planted` names that fault.
"""

import ast
import functools
import importlib
import linecache
import sys
from dataclasses import dataclass, replace
from typing import Any

from course import ROOT, packed
from course.syllabus import find_exercise


@dataclass(frozen=True)
class Answer:
    """Code for some symbols of an exercise; the chapter's other symbols stay the reference's."""

    exercise: str
    name: str
    help: str  # for a wrong answer: the sentence that leads out of it
    symbols: dict[str, Any]
    text: str = ""  # the code, if it is an edit of the reference's
    number: int = 1  # which of the ways to write this mistake

    @property
    def file(self) -> str:
        """The file that holds the code, or an edit's name in its place."""
        if self.text:
            return f"<{self.exercise} {self.name}{f' {self.number}' if self.number > 1 else ''}>"
        return sys.modules[next(iter(self.symbols.values())).__module__].__file__


class Answers:
    """The misconceptions, or the equivalents, of one chapter."""

    def __init__(self):
        self.all: list[Answer] = []

    def wrong(self, exercise: str, name: str, help: str):
        """Register the function or class below as a misconception."""
        return self._register(exercise, name, help)

    def right(self, exercise: str, name: str):
        """Register the function or class below as an equivalent of the reference."""
        return self._register(exercise, name, "")

    def wrong_again(self, exercise: str, name: str):
        """Register the function or class below as another way to write a misconception."""
        first = self._first(exercise, name)

        def decorate(code: Any) -> Any:
            number = self._ways(exercise, name) + 1
            self.all.append(replace(first, symbols={code.__name__: code}, text="", number=number))
            return code

        return decorate

    def _register(self, exercise: str, name: str, help: str):
        def decorate(code: Any) -> Any:
            for answer in self.all:
                if (answer.exercise, answer.name) == (exercise, name):
                    answer.symbols[code.__name__] = code
                    return code
            self.all.append(Answer(exercise, name, help, {code.__name__: code}))
            return code

        return decorate

    def _first(self, exercise: str, name: str) -> Answer:
        for answer in self.all:
            if (answer.exercise, answer.name) == (exercise, name):
                return answer
        raise ValueError(f"{exercise} has no {name!r} yet that could be written again")

    def _ways(self, exercise: str, name: str) -> int:
        """How many ways to write a misconception are registered."""
        return sum((answer.exercise, answer.name) == (exercise, name) for answer in self.all)

    def planted(self, exercise: str, name: str, help: str) -> None:
        """Register the fault that an exercise is given with as a misconception."""
        self.edit(exercise, name, help, *find_exercise(exercise).fault)

    def edit(self, exercise: str, name: str, help: str, *places: tuple[str, str]) -> None:
        """Register the reference with these places changed, each (old, new), as a misconception.

        Every `old` must be found once in the code that the exercise asks for. Docstrings are no
        part of that code, comments are. Functions without a change stay the reference's.

        Raises:
            ValueError: if a place is not found, or found more than once.
        """
        self._edit(Answer(exercise, name, help, {}), places)

    def again(self, exercise: str, name: str, *places: tuple[str, str]) -> None:
        """Register other changes of the reference that come from a misconception named before.

        Raises:
            ValueError: as `edit`, and if there is no such misconception yet.
        """
        first, number = self._first(exercise, name), self._ways(exercise, name) + 1
        self._edit(replace(first, symbols={}, number=number), places)

    def _edit(self, answer: Answer, places: tuple[tuple[str, str], ...]) -> None:
        exercise, name = answer.exercise, answer.name
        before = reference_code(exercise)
        after = dict(before)
        for old, new in places:
            found = sum(text.count(old) for text in after.values())
            if found != 1:
                raise ValueError(f"{exercise} {name!r}: {old!r} is found {found} times, not once")
            after = {symbol: text.replace(old, new) for symbol, text in after.items()}
        changed = [symbol for symbol in after if after[symbol] != before[symbol]]
        answer = replace(answer, text="\n\n".join(after[symbol] for symbol in changed))
        names = dict(vars(importlib.import_module(f"solutions.{find_exercise(exercise).chapter}")))
        exec(compile(answer.text, answer.file, "exec"), names)
        answer.symbols.update((symbol, names[symbol]) for symbol in changed)
        # So that messages can show the line at which an error was raised.
        lines = answer.text.splitlines(keepends=True)
        linecache.cache[answer.file] = (len(answer.text), None, lines, answer.file)
        self.all.append(answer)


@functools.cache
def reference_code(exercise_id: str) -> dict[str, str]:
    """The source of each function or class of an exercise, as in the solution, less docstrings."""
    exercise = find_exercise(exercise_id)
    source = packed.read_text(ROOT / "solutions" / f"{exercise.chapter}.py")
    lines = source.splitlines(keepends=True)
    found = {}
    for node in ast.parse(source).body:
        if getattr(node, "name", None) in exercise.symbols:
            first = min([node.lineno, *(part.lineno for part in node.decorator_list)])
            docstrings = {line for part in ast.walk(node) for line in _docstring_lines(part)}
            kept = (n for n in range(first, node.end_lineno + 1) if n not in docstrings)
            found[node.name] = "".join(lines[n - 1] for n in kept)
    return found


def _docstring_lines(node: ast.AST) -> range:
    """The numbers of the lines on which a function's or class's docstring is."""
    if not isinstance(node, ast.FunctionDef | ast.ClassDef) or not ast.get_docstring(node):
        return range(0)
    return range(node.body[0].lineno, node.body[0].end_lineno + 1)


@functools.cache
def misconceptions_of(exercise_id: str) -> tuple[Answer, ...]:
    """The known wrong answers to one exercise."""
    return _answers("misconceptions", exercise_id)


@functools.cache
def equivalents_of(exercise_id: str) -> tuple[Answer, ...]:
    """Right answers to one exercise in other styles."""
    return _answers("equivalents", exercise_id)


def _answers(kind: str, exercise_id: str) -> tuple[Answer, ...]:
    module = importlib.import_module(f"checks.{kind}.{find_exercise(exercise_id).chapter}")
    return tuple(answer for answer in module.answers.all if answer.exercise == exercise_id)
