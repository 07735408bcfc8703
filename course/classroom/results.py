"""What grading one submission found, as plain data that is kept in a file."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from course.files import write_whole
from course.grading.grader import Result
from course.syllabus import PASSED


@dataclass(frozen=True)
class ExerciseResult:
    """One exercise of one submission."""

    id: str  # "1.2"
    points: int  # earned
    max_points: int
    status: str  # PASSED, FAILED or NOT_WRITTEN of course.syllabus
    check: str  # title of the check that failed; empty if none did
    message: str  # what the learner reads
    misconception: str  # name of the misunderstanding, if it was recognised

    @classmethod
    def of(cls, result: Result) -> "ExerciseResult":
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
        )


@dataclass(frozen=True)
class SubmissionResult:
    """One submission: a folder with chapter files."""

    name: str  # the folder's name
    exercises: tuple[ExerciseResult, ...]
    seed: int  # from which the inputs were drawn
    seconds: float  # that grading it took
    sandbox: str  # what the code ran in: "bubblewrap" or "limits only"
    key: str  # changes with the submission's files, the checks and the seed
    problem: str = ""  # why it could not be graded at all; then every exercise has failed

    @property
    def points(self) -> int:
        return sum(exercise.points for exercise in self.exercises)

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
