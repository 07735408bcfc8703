"""The three questions at the end of each chapter: what is asked, and what is said to an answer.

They are in checks/questions/chNN_topic.toml and carry no points. What is right as a number is
worked out when it is asked for, from the reference. Answers may be a stranger's: they are read
within bounds, and what is not of the right form counts as no answer.
"""

import functools
import json
import math
import re
import tomllib
from dataclasses import dataclass

from course import ROOT, CourseError, packed
from course.probing.text import one_line
from course.syllabus import chapters

FILE = "answers.json"  # in exercises/, so that it is handed in with them
KINDS = ("number", "choice", "sentence")
LONGEST_ANSWER = 2000  # characters
LONGEST_NUMBER = 40
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d{1,3})?", re.ASCII | re.IGNORECASE)


@dataclass(frozen=True)
class Slip:
    """A wrong number that people come to, and what is said to it."""

    value: str  # an expression, as that of the question
    says: str  # "That is what comes out if ..."


@dataclass(frozen=True)
class Option:
    """A reason to choose, and what is said to those who choose it."""

    text: str
    says: str
    right: bool = False


@dataclass(frozen=True)
class Question:
    id: str  # "01-amplitude"
    chapter: str  # "ch01_noise_schedule"
    kind: str
    ask: str
    answer: str = ""  # how the number is found, or a good sentence
    value: str = ""  # of a number: an expression with torch, math, and the chapters as ch01, ch02
    within: float = 0.02  # as a share of the number: what is nearer than that is the number
    slips: tuple[Slip, ...] = ()
    options: tuple[Option, ...] = ()

    @property
    def solution(self) -> str:
        """The right answer and why."""
        if self.kind == "number":
            return f"About {number(self.value):.4g}. {self.answer}"
        if self.kind == "choice":
            return next(f"{one.text} {one.says}" for one in self.options if one.right)
        return self.answer


# Reading


@functools.cache
def questions_of(chapter: str) -> tuple[Question, ...]:
    """The questions of a chapter such as "ch01_noise_schedule", in their order.

    Raises:
        CourseError: if their file is missing or wrong.
    """
    place = f"checks/questions/{chapter}.toml"
    try:
        entries = tomllib.loads(packed.read_text(ROOT / place)).get("question")
    except FileNotFoundError:
        raise CourseError(f"{place} is missing; install the course anew") from None
    except ValueError as error:
        raise CourseError(f"{place} cannot be read: {error}") from None
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise CourseError(f"{place}: each question must begin with a line [[question]]")
    return tuple(_read(entry, chapter, place) for entry in entries)


def all_questions() -> dict[str, Question]:
    """The questions of all chapters by their id, in order."""
    found = (question for chapter in chapters() for question in questions_of(chapter.name))
    return {question.id: question for question in found}


def _read(entry: dict, chapter: str, place: str) -> Question:
    place = f"{place}, question {entry.get('id', 'without an id')}"
    parts = {name: kind for name, kind in (("slip", Slip), ("option", Option))}
    try:
        lists = {
            f"{name}s": tuple(kind(**one) for one in entry.get(name, []))
            for name, kind in parts.items()
        }
        plain = {name: value for name, value in entry.items() if name not in parts}
        question = Question(chapter=chapter, **plain, **lists)
    except TypeError as error:
        raise CourseError(f"{place}: {error}") from None
    if fault := _fault(question):
        raise CourseError(f"{place}: {fault}")
    return question


def _fault(question: Question) -> str:
    """What is wrong with how a question is written down; empty if nothing is."""
    if not re.fullmatch(rf"{question.chapter[2:4]}(-[a-z0-9]+)+", question.id):
        return f"the id must be like {question.chapter[2:4]}-two-words"
    if question.kind not in KINDS:
        return f"kind must be {', '.join(KINDS[:-1])} or {KINDS[-1]}, got {question.kind!r}"
    if question.kind == "choice":
        right = [option for option in question.options if option.right]
        if len(question.options) < 3 or len(right) != 1:
            return "a choice needs three options or more, and one of them right"
        return "" if all(o.text and o.says for o in question.options) else "an option is empty"
    if not question.ask or not question.answer:
        return "ask and answer must not be empty"
    if question.kind == "number" and not (question.value and 0 < question.within < 0.5):
        return "a number needs a value, and a within between 0 and 0.5"
    return ""


# Judging


@functools.cache
def number(expression: str) -> float:
    """What an expression of a question gives."""
    import torch  # which takes seconds; whoever only collects submissions does without

    from course.grading.code import reference

    names = {"torch": torch, "math": math}
    for chapter in chapters():
        if (short := chapter.name[:4]) in expression:
            names[short] = reference().chapter(chapter.name)
    with torch.random.fork_rng(devices=[]):  # the learner's draws stay as they are
        return float(eval(expression, names))


def read_number(answer: str) -> float:
    """A number as people write it: 0.25, 1/4, 25 % or 2.5e-1.

    Raises:
        CourseError: if it is none.
    """
    said = answer.strip().replace("−", "-")
    parts = [part.strip() for part in said.removesuffix("%").split("/")]
    if len(said) <= LONGEST_NUMBER and len(parts) <= 2 and all(map(NUMBER.fullmatch, parts)):
        top, below = float(parts[0]), float(parts[1]) if len(parts) == 2 else 1.0
        value = top / below / (100 if said.endswith("%") else 1) if below else math.inf
        if math.isfinite(value):
            return value
    raise CourseError(
        f"{one_line(answer, 60)!r} is no number that can be read here; write one like 0.25, 1/4, "
        "25 % or 2.5e-1, with a point and without commas"
    )


@dataclass(frozen=True)
class Judgement:
    right: bool | None  # None for a sentence, of which nobody but the learner can say
    says: str


def judge(question: Question, answer: str) -> Judgement:
    """What is to be said to an answer.

    Raises:
        CourseError: if it is no answer: no number, or none of the options.
    """
    if question.kind == "sentence":
        return Judgement(None, question.answer)
    if question.kind == "choice":
        for option in question.options:
            if option.text == answer:
                return Judgement(option.right, option.says)
        raise CourseError(f"{one_line(answer, 60)!r} is none of the options; choose one of them")
    given = read_number(answer)
    if _near(given, question.value, question.within):
        return Judgement(True, question.answer)
    for slip in question.slips:
        if _near(given, slip.value, question.within):
            return Judgement(False, slip.says)
    return Judgement(False, "It is another number.")


def _near(given: float, expression: str, within: float) -> bool:
    value = number(expression)
    return abs(given - value) <= within * abs(value)


# What was answered


@dataclass(frozen=True)
class Given:
    """What one learner has answered to one question."""

    first: str
    last: str
    same: bool | None = None  # of a sentence: whether the learner finds that it says the same


def given_in(content: object) -> dict[str, Given]:
    """The answers in what an answers.json holds, by the question's id.

    Whatever is not of the right form is left out.
    """
    entries = content.items() if isinstance(content, dict) else ()
    return {name: given for name, entry in entries if (given := _given(entry))}


def read_given(text: bytes) -> dict[str, Given] | None:
    """The answers in a file; None if it cannot be read."""
    try:
        content = json.loads(text.decode("utf-8"))
    except (ValueError, RecursionError):
        return None
    return given_in(content) if isinstance(content, dict) else None


def _given(entry: object) -> Given | None:
    if not isinstance(entry, dict):
        return None
    texts = entry.get("first"), entry.get("last")
    if not all(isinstance(text, str) and len(text) <= LONGEST_ANSWER for text in texts):
        return None
    same = entry.get("same")
    return Given(*texts, same if isinstance(same, bool) else None)
