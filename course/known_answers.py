"""Measure the checks with the known answers, and print the README's table.

python -m course.known_answers
"""

from course.answers import Answer
from course.catalogue import Chapter, chapters
from course.grading import (
    FAILED,
    PASSED,
    Outcome,
    checks_of,
    equivalents_of,
    judge,
    misconceptions_of,
    overlay,
)


def verdict(answer: Answer, seed: int = 0) -> Outcome:
    """What the checks say of a known answer: the first failure, or the last pass."""
    for check in checks_of(answer.exercise):
        outcome = judge(check, overlay(answer), answer.file, seed)
        if outcome.status != PASSED:
            break
    return outcome


def row(chapter: Chapter) -> str:
    """One chapter's figures, as a line of a Markdown table."""
    ids = [exercise.id for exercise in chapter.exercises]
    wrong = [answer for i in ids for answer in misconceptions_of(i)]
    right = [answer for i in ids for answer in equivalents_of(i)]
    named = 0
    for answer in wrong:
        outcome = verdict(answer)
        named += outcome.status == FAILED and outcome.misconception == answer.name
    accepted = sum(verdict(answer).status == PASSED for answer in right)
    checks = sum(len(checks_of(i)) for i in ids)
    return (
        f"| {chapter.number} {chapter.title} | {len(ids)} | {checks} "
        f"| {named} of {len(wrong)} | {accepted} of {len(right)} |"
    )


if __name__ == "__main__":
    print("| chapter | exercises | checks | misconceptions named | right answers accepted |")
    print("|---|---|---|---|---|")
    for chapter in chapters():
        print(row(chapter), flush=True)
