"""A page for one learner: the points, and what the checks say of each exercise."""

from course.classroom.class_report import chapter_scores
from course.classroom.page import CLASSES, page, section, text
from course.classroom.results import ExerciseResult, SubmissionResult
from course.probing.text import LONGEST_MESSAGE, clip, one_line
from course.syllabus import LOOKS, PASSED, find_exercise


def feedback_page(result: SubmissionResult) -> str:
    """The whole page. It holds nothing about anyone else, and no solutions."""
    title = f"Diffusion from scratch: {one_line(result.name, 80)}"
    if result.problem:
        words = f"This could not be graded, so there are no points: {clip(result.problem, 2000)}"
        return page(title, f"<p>{text(words)}</p>")
    sections = [f"<p>{line}</p>" for line in _sums(result)]
    for score in chapter_scores(result):
        ids = {exercise.id for exercise in score.chapter.exercises}
        own = [_exercise(exercise) for exercise in result.exercises if exercise.id in ids]
        heading = f"{score.chapter.number} {score.chapter.title}: {score.fraction}"
        sections.append(section(heading, "".join(own)))
    return page(title, "".join(sections))


def _sums(result: SubmissionResult) -> list[str]:
    lines = [f"<strong>{result.points} of {result.max_points} points</strong>"]
    if result.late_days:
        days = "1 day" if result.late_days == 1 else f"{result.late_days} days"
        lines.append(f"{days} late, which costs {result.deduction} points.")
    if result.notes:
        lines.append(text(f"About what you handed in: {clip(result.notes, 2000)}"))
    return lines


def _exercise(exercise: ExerciseResult) -> str:
    sign = f'<span class="{CLASSES[exercise.status]}">{LOOKS[exercise.status].sign}</span>'
    asked = find_exercise(exercise.id)
    title, words = text(f"{asked.id} {asked.title}"), text(asked.in_words(exercise.status))
    head = f"{sign} {title}: {exercise.points}/{exercise.max_points}, {words}"
    if exercise.status == PASSED:
        return f"<p>{head}</p>"
    return f"<p>{head}</p><pre>{text(clip(exercise.message, LONGEST_MESSAGE))}</pre>"
