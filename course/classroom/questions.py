"""How a class has answered the questions at the chapters' ends. No points depend on it."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from course import CourseError
from course.grading.questions import FILE, Given, Question, all_questions, judge, read_given


@dataclass(frozen=True)
class Asked:
    """One question, and how those who answered it did."""

    question: Question
    answered: int
    at_first: int  # how many were right with their first answer; of a sentence by their own account
    in_the_end: int  # with their last one
    wrong: str = ""  # the most frequent wrong first answer
    wrong_count: int = 0

    @property
    def missed(self) -> float:
        """The share whose first answer was not right."""
        return 1 - self.at_first / self.answered


@dataclass(frozen=True)
class ClassAnswers:
    """What a class has answered."""

    submissions: int
    unreadable: tuple[str, ...]  # the submissions whose file cannot be read
    without: int  # how many have no such file
    asked: tuple[Asked, ...]  # what was answered at all, the most missed first


def class_answers(folders: dict[str, Path]) -> ClassAnswers:
    """Read the answers of these submissions, given as names and folders."""
    unreadable, without, everyone = [], 0, []
    for name, folder in folders.items():
        path = folder / FILE
        if not path.is_file():
            without += 1
        elif (given := read_given(path.read_bytes())) is None:
            unreadable.append(name)
        else:
            everyone.append(given)
    asked = [
        _asked(question, [given[question.id] for given in everyone if question.id in given])
        for question in all_questions().values()
    ]
    answered = sorted((one for one in asked if one.answered), key=lambda one: -one.missed)
    return ClassAnswers(len(folders), tuple(unreadable), without, tuple(answered))


def _asked(question: Question, given: list[Given]) -> Asked:
    """One question; answers that it cannot have, as those to an older one, do not count."""
    if question.kind == "sentence":  # counts once the learner has compared it
        same = [one.same for one in given if one.same is not None]
        return Asked(question, len(same), sum(same), sum(same))
    judged = [(one, _is_right(question, one.first), _is_right(question, one.last)) for one in given]
    judged = [entry for entry in judged if None not in entry]
    wrong = Counter(one.first.strip() for one, at_first, _ in judged if not at_first)
    (most, count), *_ = [*wrong.most_common(1), ("", 0)]
    at_first, in_the_end = (sum(entry[place] for entry in judged) for place in (1, 2))
    return Asked(question, len(judged), at_first, in_the_end, most, count)


def _is_right(question: Question, answer: str) -> bool | None:
    try:
        return judge(question, answer).right
    except CourseError:
        return None
