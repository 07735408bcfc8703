"""Measure the checks with the known answers, and list them.

python -m course.grading.answer_report           prints the first table of docs/checks.md
python -m course.grading.answer_report --write   writes docs/misconceptions.md
"""

import argparse
import sys

from course import ROOT
from course.files import write_whole
from course.grading.answers import Answer, equivalents_of, misconceptions_of
from course.grading.checking import checks_of
from course.grading.code import Code, answer_code
from course.grading.grader import Outcome, judge
from course.syllabus import FAILED, PASSED, Chapter, Exercise, chapters

PAGE = ROOT / "docs" / "misconceptions.md"

HEAD = (
    "| chapter | exercises | checks | misconceptions caught | named | right answers accepted |",
    "|---|---|---|---|---|---|",
)

INTRODUCTION = """\
# What the checks recognise

When your results differ from the reference and equal those of a known misunderstanding in every
check of the exercise, the message names it. This page lists them all: for every exercise the
misunderstanding, the check that catches it first, and what is behind it. Results that match
nothing known, as those of two mistakes at once, still get the property that they break, the input
on which they do, and what came back. An exception is shown, and no cause is named after it: many
mistakes end in the same one.

Made by `python -m course.grading.answer_report --write`.

## Messages in full
"""


def verdict(answer: Answer, seed: int = 0, code: Code | None = None) -> Outcome:
    """What the checks say of a known answer: the first failure, or the last pass.

    Args:
        code: the answer's code, where it has been made already.
    """
    code = code or answer_code(answer)
    for check in checks_of(answer.exercise):
        outcome = judge(check, code, seed)
        if outcome.status != PASSED:
            break
    return outcome


def row(chapter: Chapter) -> str:
    """One chapter's figures, as a line of a Markdown table."""
    ids = [exercise.id for exercise in chapter.exercises]
    wrong = [answer for i in ids for answer in misconceptions_of(i)]
    right = [answer for i in ids for answer in equivalents_of(i)]
    outcomes = [verdict(answer) for answer in wrong]
    caught = sum(outcome.status == FAILED for outcome in outcomes)
    named = sum(outcome.misconception == answer.name for outcome, answer in zip(outcomes, wrong))
    accepted = sum(verdict(answer).status == PASSED for answer in right)
    checks = sum(len(checks_of(i)) for i in ids)
    return (
        f"| {chapter.number} {chapter.title} | {len(ids)} | {checks} "
        f"| {caught} of {len(wrong)} | {named} | {accepted} of {len(right)} |"
    )


def page() -> str:
    """The list of all misconceptions with their messages, as Markdown."""
    all_exercises = [exercise for chapter in chapters() for exercise in chapter.exercises]
    lines = [INTRODUCTION]
    # One exercise in three, and of each another one of its misconceptions.
    for number, exercise in enumerate(all_exercises[::3] + all_exercises[-1:]):
        known = misconceptions_of(exercise.id)
        message = verdict(known[3 * number % len(known)]).message()
        lines += ["```", f"✘ {exercise.id} {message}", "```", ""]
    for chapter in chapters():
        lines += [f"## {chapter.number} {chapter.title}", ""]
        for exercise in chapter.exercises:
            lines += _table(exercise)
    return "\n".join(lines).rstrip() + "\n"


def _table(exercise: Exercise) -> list[str]:
    """One exercise's misconceptions, as Markdown."""
    lines = [
        f"### {exercise.id} {exercise.title}",
        "",
        "| misunderstanding | caught by | expected | what is behind it |",
        "|---|---|---|---|",
    ]
    for answer in misconceptions_of(exercise.id):
        if answer.number > 1:  # written otherwise
            continue
        outcome = verdict(answer)
        cells = (answer.name, outcome.title, outcome.expected, answer.help)
        lines.append(f"| {' | '.join(cell(text) for text in cells)} |")
    return [*lines, ""]


def cell(text: str) -> str:
    """Text that a Markdown table shows as it is."""
    text = " ".join(text.split())
    for sign in "\\|*_<>[]`":
        text = text.replace(sign, f"\\{sign}")
    return text


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--write", action="store_true", help=f"write {PAGE.relative_to(ROOT)}")
    options = parser.parse_args()
    if options.write:
        write_whole(PAGE, page())
        print(f"wrote {PAGE.relative_to(ROOT)}")
        return 0
    print(*HEAD, sep="\n")
    for chapter in chapters():
        print(row(chapter), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
