"""The scoreboard: points a chapter, in plain lines and as a table with every exercise."""

from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from course.syllabus import LOOKS, NOT_WRITTEN, PASSED, Exercise, chapters, exercises

if TYPE_CHECKING:
    from course.grading.grader import Result  # which imports torch, and that takes seconds


def signed(status: str) -> Text:
    """A status's sign in its style."""
    return Text(LOOKS[status].sign, LOOKS[status].style)


def score_lines(results: "list[Result]") -> list[str]:
    """One line a chapter with results, and one for the sum if they are several."""
    lines, earned_sum, possible_sum = [], 0, 0
    for chapter in chapters():
        own = [result for result in results if result.exercise.chapter == chapter.name]
        if not own:
            continue
        earned = sum(result.points for result in own)
        possible = sum(result.exercise.points for result in own)
        signs = " ".join(f"{result.exercise.id} {LOOKS[result.status].sign}" for result in own)
        points = f"{possible} points"
        lines.append(f"{chapter.number} {chapter.title:<22}{earned:>3} of {points:<10} {signs}")
        earned_sum, possible_sum = earned_sum + earned, possible_sum + possible
    if len(lines) > 1:
        points, percent = f"{possible_sum} points", 100 * earned_sum // possible_sum
        lines.append(f"   {'all':<22}{earned_sum:>3} of {points:<10} {percent} %")
    return lines


def score_table(statuses: dict[str, str]) -> Table:
    """All exercises with their status; `statuses` maps "1.2" to a status."""
    table = Table(box=None, pad_edge=False)
    for heading in ("", "exercise", "points", "minutes", ""):
        table.add_column(heading, justify="right" if heading in ("points", "minutes") else "left")
    for chapter in chapters():
        earned = sum(e.points for e in chapter.exercises if statuses.get(e.id) == PASSED)
        possible = sum(e.points for e in chapter.exercises)
        table.add_row(
            chapter.number,
            chapter.title,
            f"{earned}/{possible}",
            style="bold",
        )
        for exercise in chapter.exercises:
            status = statuses.get(exercise.id, NOT_WRITTEN)
            table.add_row(
                exercise.id,
                exercise.title,
                str(exercise.points),
                str(exercise.minutes),
                Text.assemble(signed(status), " ", exercise.in_words(status)),
            )
    return table


def next_exercise(statuses: dict[str, str]) -> Exercise | None:
    """The first exercise that does not pass yet."""
    return next((e for e in exercises() if statuses.get(e.id) != PASSED), None)
