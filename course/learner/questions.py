"""What a learner has answered to the questions at the chapters' ends, first and last.

It is in exercises/answers.json and not in .course/, because exercises/ is what is handed in: so an
instructor sees which questions a class misses. The first answer is kept beside the last one.
"""

from dataclasses import asdict

from course import CourseError
from course.grading.questions import FILE, LONGEST_ANSWER, Given, Question, given_in
from course.learner.state import State
from course.learner.workspace import Workspace


class Answers:
    """One learner's answers."""

    def __init__(self, workspace: Workspace):
        self.state = State(workspace.exercises)

    def given(self) -> dict[str, Given]:
        """By the question's id. A broken file is set aside with a message, and counts as empty."""
        return given_in(self.state.read(FILE))

    def keep(self, question: Question, answer: str, same: bool | None = None) -> None:
        """Keep an answer as the last one, and as the first if there was none.

        Raises:
            CourseError: if it is too long.
        """
        if len(answer) > LONGEST_ANSWER:
            raise CourseError(
                f"your answer has {len(answer):,} characters, and {LONGEST_ANSWER:,} are kept at "
                "most; say it in a sentence or two"
            )
        content = self.state.read(FILE)
        before = given_in(content).get(question.id)
        first = before.first if before else answer
        content[question.id] = asdict(Given(first, answer, same))
        self.state.write(FILE, content)
