"""Grade code: run an exercise's checks and say, in the learner's words, what is wrong with it."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from course.grading.checking import Check, checks_of, draw_inputs
from course.grading.code import Code
from course.grading.failure import failure_of
from course.grading.planted import is_untouched
from course.grading.recognition import recognise
from course.grading.source import names_used
from course.probing.text import printable
from course.syllabus import (
    FAILED,
    NOT_WRITTEN,
    PASSED,
    Exercise,
    find_chapter,
    find_exercise,
)


@dataclass(frozen=True)
class Outcome:
    """What one check found."""

    status: str
    title: str
    called: str = ""
    expected: str = ""
    got: str = ""
    misconception: str = ""  # name of the known mistake that does just the same
    help: str = ""  # the sentence that goes with it

    @property
    def facts(self) -> list[tuple[str, str]]:
        """What was called, expected and came back, each with its name."""
        facts = [
            ("called", self.called),
            ("expected", self.expected),
            ("came back", self.got),
        ]
        # What came back may quote the code under test, which cannot begin a line of its own so.
        return [(name, printable(text).replace("\n", " ")) for name, text in facts if text]

    @property
    def diagnosis(self) -> list[tuple[str, str]]:
        """Which known mistake does just the same; empty if none is recognised."""
        if not self.misconception:
            return []
        return [("looks like", f"{self.misconception}. {self.help}")]

    def message(self) -> str:
        """The outcome as the lines that a learner reads."""
        if self.status == PASSED:
            return f"passed: {self.title}"
        lines = [f"  {name:<11}{text}" for name, text in self.facts + self.diagnosis]
        return "\n".join([self.title, *lines])


@dataclass(frozen=True)
class Result:
    """What all checks of one exercise found; they stop at the first that fails."""

    exercise: Exercise
    outcomes: tuple[Outcome, ...]

    @property
    def status(self) -> str:
        return self.outcomes[-1].status

    @property
    def points(self) -> int:
        return self.exercise.points if self.status == PASSED else 0

    @property
    def message(self) -> str:
        """The failure, or a line of praise."""
        if self.status == PASSED:
            return (
                f"{self.exercise.id} {self.exercise.title}: all {len(self.outcomes)} checks pass."
            )
        return f"{self.exercise.id} {self.outcomes[-1].message()}"


class Grader:
    """Grades one folder of code; remembers each exercise's result."""

    def __init__(self, code: Code, seed: int = 0):
        self.code, self.seed = code, seed
        self._results: dict[str, Result] = {}

    def grade(self, wanted: Iterable[Exercise]) -> list[Result]:
        """The results of these exercises."""
        return [self.grade_exercise(exercise.id) for exercise in wanted]

    def grade_exercise(self, exercise_id: str) -> Result:
        """The result of one exercise's checks, which stop at the first failure."""
        if exercise_id not in self._results:
            exercise = find_exercise(exercise_id)
            self._results[exercise_id] = Result(exercise, tuple(self._outcomes(exercise)))
        return self._results[exercise_id]

    def checks_passed(self, exercise_id: str) -> int:
        """How many of an exercise's checks pass, those behind the first failure among them."""
        result = self.grade_exercise(exercise_id)
        if result.status == NOT_WRITTEN or self.code.problem(result.exercise):
            return 0
        seen = [(check, self.code.observe(check, self.seed)) for check in checks_of(exercise_id)]
        return sum(
            not one.unwritten and failure_of(check, one, self.seed) is None for check, one in seen
        )

    def _outcomes(self, exercise: Exercise) -> Iterator[Outcome]:
        if problem := self.code.problem(exercise):
            yield Outcome(
                FAILED,
                "the file can be imported and defines what is asked for",
                expected=f"{exercise.chapter}.py to define {', '.join(exercise.symbols)}",
                got=problem,
            )
            return
        if is_untouched(self.code.path(exercise.chapter), exercise):
            yield Outcome(NOT_WRITTEN, "the fault is mended", got="not mended yet")
            return
        for check in checks_of(exercise.id):
            outcome = judge(check, self.code, self.seed)
            if outcome.status == FAILED:
                outcome = self._blame_earlier(exercise, outcome)
            yield outcome
            if outcome.status != PASSED:
                return

    def _blame_earlier(self, exercise: Exercise, outcome: Outcome) -> Outcome:
        """If the code calls an exercise of the same file that fails itself, say that instead."""
        names = names_used(self.code.path(exercise.chapter), exercise.symbols)
        for other in find_chapter(exercise.chapter).exercises:
            if other.number >= exercise.number or not names & set(other.symbols):
                continue
            if self.grade_exercise(other.id).status != PASSED:
                called = sorted(names & set(other.symbols))
                them = "it" if len(called) == 1 else "them"
                return Outcome(
                    FAILED,
                    outcome.title,
                    expected=f"{' and '.join(called)} to work, because exercise {exercise.id} "
                    f"calls {them}",
                    got=f"exercise {other.id} does not pass yet; mend it first",
                )
        return outcome


def judge(check: Check, code: Code, seed: int = 0) -> Outcome:
    """Judge one check and, if it fails, look for the misconception behind it.

    Args:
        check: what is judged. Other checks are looked at only to find the misconception.
        code: the code under test.
        seed: of the inputs.
    """
    seen = code.observe(check, seed)
    if seen.unwritten:
        return _unwritten(check, seen.unwritten, seed)
    failure = failure_of(check, seen, seed)
    if failure is None:
        return Outcome(PASSED, check.title)
    known = None if seen.out_of_time else recognise(code, check, seen, seed)
    return Outcome(
        FAILED,
        check.title,
        called=_called(check, seed),
        expected=failure.expected,
        got=failure.got,
        misconception=known.name if known else "",
        help=known.help if known else "",
    )


def _called(check: Check, seed: int) -> str:
    """How the check calls the code, with its inputs."""
    return check.call.format(**draw_inputs(check, seed))


def _unwritten(check: Check, function: str, seed: int) -> Outcome:
    symbols = find_exercise(check.exercise).symbols
    if function in symbols:
        return Outcome(NOT_WRITTEN, check.title, got=f"not written yet: {function}")
    return Outcome(
        FAILED,
        check.title,
        called=_called(check, seed),
        expected="a result",
        got=f"your code calls {function}, which is not written yet",
    )
