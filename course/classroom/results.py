"""What grading one submission found, as plain data that is kept in a file."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from course.files import write_whole
from course.grading.checking import checks_of
from course.grading.grader import Result
from course.syllabus import PASSED


def tidy(points: float) -> float:
    """Points with two decimals at most, and as a whole number where they are one."""
    return int(points) if points == int(points) else round(points, 2)


@dataclass(frozen=True)
class ExerciseResult:
    """One exercise of one submission."""

    id: str  # "1.2"
    points: float  # earned; whole, but where checks count one by one
    max_points: int
    status: str  # PASSED, FAILED or NOT_WRITTEN of course.syllabus
    check: str  # title of the check that failed; empty if none did
    message: str  # what the learner reads
    misconception: str  # name of the misunderstanding, if it was recognised
    checks: int = 0  # how many there are; 0 if nothing was run
    checks_passed: int = 0

    @classmethod
    def of(cls, result: Result, checks_passed: int = 0) -> "ExerciseResult":
        """The plain data of a grader's result."""
        last = result.outcomes[-1]
        return cls(
            id=result.exercise.id,
            points=result.points,
            max_points=result.exercise.points,
            status=result.status,
            check="" if result.status == PASSED else last.title,
            message=result.message,
            misconception=last.misconception,
            checks=len(checks_of(result.exercise.id)),
            checks_passed=checks_passed,
        )


@dataclass(frozen=True)
class SubmissionResult:
    """One submission: a folder with chapter files."""

    name: str  # the folder's or the learner's
    exercises: tuple[ExerciseResult, ...]
    seed: int  # from which the inputs were drawn
    seconds: float  # that grading it took
    sandbox: str  # what the code ran in: "bubblewrap" or "limits only"
    key: str  # changes with the submission's files, the checks and the seed
    problem: str = ""  # why it could not be graded at all; then every exercise has failed
    learner: str = ""  # the learner's id, where it is known
    late_days: int = 0  # days after the due date that have begun
    deduction: float = 0  # points that these cost
    notes: str = ""  # what else the instructor and the learner should know

    @property
    def points(self) -> float:
        """All points, without those that being late costs."""
        return tidy(sum(exercise.points for exercise in self.exercises) - self.deduction)

    @property
    def max_points(self) -> int:
        return sum(exercise.max_points for exercise in self.exercises)

    def save(self, path: Path) -> None:
        """Write it as JSON; the file is either whole or not there."""
        write_whole(path, json.dumps(asdict(self), indent=1))

    @classmethod
    def load(cls, path: Path) -> "SubmissionResult":
        """Read what `save` wrote.

        Raises:
            ValueError: if the file is damaged.
        """
        try:
            fields = json.loads(path.read_text(encoding="utf-8"))
            exercises = tuple(ExerciseResult(**entry) for entry in fields.pop("exercises"))
            return cls(exercises=exercises, **fields)
        except (KeyError, TypeError, AttributeError, OSError) as error:
            raise ValueError(f"{path} is damaged: {error}") from None
