"""A lesson on one page for a class: its three most common mistakes, and what they do."""

from collections import Counter

import torch

from course.classroom.page import page, section, text
from course.classroom.questions import ClassAnswers
from course.classroom.results import SubmissionResult
from course.grading.answers import Answer, misconceptions_of
from course.grading.code import answer_code, reference
from course.grading.looks import Curve, Numbers, Picture, Shown, looks_of
from course.syllabus import find_exercise

MOST = 3  # mistakes on the page
WIDE, HIGH = 300, 180  # of a picture
SEEDS = 5  # inputs that are tried, until the mistake can be seen


def lesson(results: list[SubmissionResult], answers: ClassAnswers | None = None) -> str:
    """The page, as HTML that needs no script and no network.

    A mistake counts once for each submission that makes it. What it does is shown beside the sound
    version, where a look at the exercise (checks/looks.py) makes it visible. The question that was
    missed most comes last.
    """
    counts = Counter(
        (own.id, own.misconception)
        for result in results
        if not result.problem
        for own in result.exercises
        if own.misconception
    )
    known = [
        (answer, count)
        for (exercise_id, name), count in sorted(counts.items(), key=lambda kv: (-kv[1], kv[0]))
        if (answer := _answer(exercise_id, name))
    ]
    parts = [_mistake(answer, count) for answer, count in known[:MOST]]
    if not parts:
        parts = ["<p>No known mistake was recognised in these submissions.</p>"]
    parts += _question(answers) if answers else []
    return page("A lesson on common mistakes: Diffusion from scratch", "\n".join(parts))


def _answer(exercise_id: str, name: str) -> Answer | None:
    found = (answer for answer in misconceptions_of(exercise_id) if answer.name == name)
    return next(found, None)


def _question(answers: ClassAnswers) -> list[str]:
    """The number or choice that was missed most, if any was."""
    missed = [one for one in answers.asked if one.missed and one.question.kind != "sentence"]
    if not missed:
        return []
    asked, question = missed[0], missed[0].question
    options = "".join(f"<li>{text(option.text)}</li>" for option in question.options)
    words = (
        f"<p>{text(question.ask)}</p>"
        + (f"<ul>{options}</ul>" if options else "")
        + f"<p>Right at first: {asked.at_first} of {asked.answered}.</p>"
        f"<details><summary>The answer</summary><p>{text(question.solution)}</p></details>"
    )
    return [section("The question that was missed most", words)]


def _mistake(answer: Answer, count: int) -> str:
    exercise = find_exercise(answer.exercise)
    who = "1 submission" if count == 1 else f"{count} submissions"
    pair = visible(answer)
    words = f"<p>In {who}. {text(answer.help)}</p>"
    if pair:
        call, wrong, right = pair
        columns = "".join(
            f"<div><strong>{name}</strong>{_drawn(shown)}</div>"
            for name, shown in (("with the mistake", wrong), ("sound", right))
        )
        words += (
            f"<pre>{text(call)}</pre>"
            f'<div style="display:flex;flex-wrap:wrap;gap:2em">{columns}</div>'
            "<p>Before you read on: which line of your code decides this?</p>"
        )
    return section(f"{exercise.id} {exercise.title}: {answer.name}", words)


def visible(answer: Answer) -> tuple[str, Shown, Shown] | None:
    """A call, and what it gives with the mistake and without; None if no look shows it."""
    sound = reference().chapter(find_exercise(answer.exercise).chapter)
    for look in looks_of(answer.exercise):
        for seed in range(SEEDS):
            right, wrong = look.at(sound, seed), look.at(answer_code(answer).module, seed)
            if right and wrong and wrong.differs(right):
                return right.call, wrong, right
    return None


def _drawn(shown: Shown) -> str:
    """Numbers as text; a curve or a picture as SVG, which the page's policy allows."""
    if isinstance(shown, Numbers):
        return f"<pre>{text(chr(10).join(shown.lines()))}</pre>"
    return _curve(shown) if isinstance(shown, Curve) else _picture(shown)


def _curve(curve: Curve) -> str:
    low, high = float(curve.y.min()), float(curve.y.max())
    across = torch.linspace(0, WIDE, len(curve.y)).tolist()
    up = (HIGH * (1 - (curve.y.double() - low) / ((high - low) or 1.0))).tolist()
    points = " ".join(f"{x:.1f},{y:.1f}" for x, y in zip(across, up))
    words = f"{curve.ylabel} over {curve.xlabel}, between {low:.4g} and {high:.4g}"
    return (
        f'<svg viewBox="-4 -4 {WIDE + 8} {HIGH + 8}" width="{WIDE}" role="img" '
        f'aria-label="{text(words)}"><polyline points="{points}" fill="none" '
        f'stroke="rgb(var(--passed))" stroke-width="2"/></svg><p><small>{text(words)}</small></p>'
    )


def _picture(picture: Picture) -> str:
    height, width = picture.image.shape
    level = (picture.image.double() - picture.low) / (picture.high - picture.low)
    pixels = "".join(
        f'<rect x="{column}" y="{row}" width="1.02" height="1.02" fill="rgb({v} {v} {v})"/>'
        for row, line in enumerate((255 * level.clamp(0, 1)).round().long().tolist())
        for column, v in enumerate(line)
    )
    return (
        f'<svg viewBox="0 0 {width} {height}" width="{WIDE}" role="img" '
        f'aria-label="a picture of {height} x {width} pixels">{pixels}</svg>'
    )
