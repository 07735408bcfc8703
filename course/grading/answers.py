"""Known answers to the exercises: wrong ones with the misunderstanding behind them, and right ones.

A chapter's file in checks/misconceptions/ or checks/equivalents/ lists them:

    answers = Answers()

    @answers.wrong("1.2", "the cosine is not squared", "alpha_bar falls along cos^2, ...")
    def cosine_betas(num_steps, s=0.008, max_beta=0.999): ...

    @answers.right("1.2", "a loop over Python floats")
    def cosine_betas(num_steps, s=0.008, max_beta=0.999): ...

An answer that replaces several functions repeats the decorator with the same name.
"""

import functools
import importlib
import sys
from dataclasses import dataclass
from typing import Any

from course.syllabus import find_exercise


@dataclass(frozen=True)
class Answer:
    """Code for some symbols of an exercise; the chapter's other symbols stay the reference's."""

    exercise: str
    name: str
    help: str  # for a wrong answer: the sentence that leads out of it
    symbols: dict[str, Any]

    @property
    def file(self) -> str:
        """The file in which the code stands."""
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

    def _register(self, exercise: str, name: str, help: str):
        def decorate(code: Any) -> Any:
            for answer in self.all:
                if (answer.exercise, answer.name) == (exercise, name):
                    answer.symbols[code.__name__] = code
                    return code
            self.all.append(Answer(exercise, name, help, {code.__name__: code}))
            return code

        return decorate


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
