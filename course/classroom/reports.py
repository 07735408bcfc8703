"""What grading found, as files for people and for other programs, and as a table."""

import json
import math
import os
import re
import unicodedata
import xml.etree.ElementTree as ET
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Group
from rich.table import Table
from rich.text import Text

from course.classroom.alike import Alike
from course.classroom.class_report import chapter_scores, class_report
from course.classroom.feedback import feedback_page
from course.classroom.gradebook import Learner, canvas_csv, cell, moodle_csv, to_csv
from course.classroom.lesson import lesson
from course.classroom.questions import ClassAnswers
from course.classroom.results import ExerciseResult, SubmissionResult
from course.files import write_whole
from course.probing.text import LONGEST_MESSAGE, clip, one_line, percent, printable
from course.syllabus import FAILED, LOOKS, NOT_WRITTEN, PASSED, chapters, exercises, find_exercise

RESULTS_SCHEMA = "diffusion-from-scratch/results"
LONGEST_CELL = 2000  # characters; a spreadsheet's limit is 32,767
PRAIRIELEARN_BYTES = 900_000  # of messages; its limit for the whole file is 1 MB
MOST_QUESTIONS = 10  # on the screen; the report has all
RESULTS_VERSION = 1  # changes when a field of results.json changes its meaning or goes


def write_reports(
    results: list[SubmissionResult],
    folder: Path,
    roster: list[Learner] | None = None,
    alike: list[Alike] | None = None,
    answers: ClassAnswers | None = None,
) -> list[Path]:
    """Write every report on these submissions.

    Into `folder` go grades.csv, results.json, junit.xml, class_report.html, lesson.html; where
    learners' ids are known canvas.csv and moodle.csv; and for each submission feedback/NAME.html,
    gradescope/NAME.json, prairielearn/NAME.json and classroom50/NAME.json. Files of the same names
    are replaced, others are left alone.

    Returns:
        the files written.
    """
    texts = {
        "grades.csv": grades_csv(results),
        "results.json": results_json(results),
        "junit.xml": junit_xml(results),
        "class_report.html": class_report(results, alike, answers),
        "lesson.html": lesson(results, answers),
    }
    if any(result.learner for result in results):
        texts["canvas.csv"] = canvas_csv(results, roster or [])
        texts["moodle.csv"] = moodle_csv(results, roster or [])
    for name, result in zip(file_names(results), results):
        texts[f"feedback/{name}.html"] = feedback_page(result)
        for service, form in SERVICES.items():
            texts[f"{service}/{name}.json"] = json.dumps(form(result), indent=1, ensure_ascii=False)
    return [_write(folder / name, text) for name, text in texts.items()]


def _write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, text)
    return path


# All submissions in one file


def grades_csv(results: list[SubmissionResult]) -> str:
    """One row a submission: the sum, each exercise's points, and why it could not be graded.

    What could not be graded has no points, so that the columns' means are those of the report.
    """
    ids = [e.id for e in exercises() if any(e.id == own.id for r in results for own in r.exercises)]
    head = ["name", "id", "points", "max_points", "percent", *ids]
    rows = [[*head, "late_days", "deduction", "notes", "problem"]]
    for result in results:
        points = {exercise.id: exercise.points for exercise in result.exercises}
        figures = [
            result.points,
            result.max_points,
            _exact_percent(result),
            *(points.get(exercise_id, "") for exercise_id in ids),
            result.late_days,
            result.deduction,
        ]
        if result.problem:
            figures = ["", result.max_points, *[""] * (len(figures) - 2)]
        words = [clip(result.notes, LONGEST_CELL), clip(result.problem, LONGEST_CELL)]
        rows.append(
            [cell(result.name), cell(result.learner), *figures, *(cell(text) for text in words)]
        )
    return to_csv(rows)


def _exact_percent(result: SubmissionResult) -> float:
    """Rounded down to tenths: 100 means all."""
    return math.floor(1000 * result.points / result.max_points) / 10 if result.max_points else 0.0


def results_json(results: list[SubmissionResult]) -> str:
    """Everything that is known, as it is: names and messages are not cleaned."""
    submissions = [
        {
            **asdict(result),
            "points": result.points,
            "max_points": result.max_points,
            "percent": _exact_percent(result),
        }
        for result in results
    ]
    content = {
        "schema": RESULTS_SCHEMA,
        "version": RESULTS_VERSION,
        "submissions": submissions,
    }
    return json.dumps(content, indent=1)


def junit_xml(results: list[SubmissionResult]) -> str:
    """A testsuite for each submission and a testcase for each exercise.

    An exercise that is not written is a skipped test. A submission that could not be graded has
    one more testcase, "grading", with the error.
    """
    root = ET.Element("testsuites", name="Diffusion from scratch")
    for result in results:
        _add_suite(root, result)
    for count in ("tests", "failures", "errors"):  # its schema has no `skipped` here
        root.set(count, str(sum(int(suite.get(count)) for suite in root)))
    ET.indent(root)
    return ET.tostring(root, encoding="utf-8", xml_declaration=True).decode()


def _add_suite(root: ET.Element, result: SubmissionResult) -> None:
    name = printable(result.name)
    statuses = [exercise.status for exercise in result.exercises]
    suite = ET.SubElement(
        root,
        "testsuite",
        name=name,
        tests=str(len(statuses) + bool(result.problem)),
        failures=str(statuses.count(FAILED)),
        errors=str(int(bool(result.problem))),
        skipped=str(statuses.count(NOT_WRITTEN)),
        time=f"{result.seconds:.3f}",
    )
    if result.problem:
        case = ET.SubElement(suite, "testcase", classname=name, name="grading")
        _add_text(case, "error", one_line(result.problem, 200), result.problem)
    for exercise in result.exercises:
        case = ET.SubElement(suite, "testcase", classname=name, name=_title(exercise))
        if exercise.status == FAILED:
            _add_text(case, "failure", one_line(exercise.check, 200), exercise.message)
        elif exercise.status == NOT_WRITTEN:
            words = find_exercise(exercise.id).in_words(exercise.status)
            ET.SubElement(case, "skipped", message=words)


def _add_text(case: ET.Element, tag: str, summary: str, text: str) -> None:
    ET.SubElement(case, tag, message=summary).text = clip(text, LONGEST_MESSAGE)


def _title(exercise: ExerciseResult) -> str:
    return f"{exercise.id} {find_exercise(exercise.id).title}"


# One submission in the form that a service reads


def gradescope(result: SubmissionResult) -> dict:
    """The content of Gradescope's results.json."""
    return {
        "score": result.points,
        "execution_time": round(result.seconds),
        "output": _summary(result),
        "output_format": "text",
        "visibility": "visible",
        "stdout_visibility": "hidden",
        "tests": [
            {
                "name": find_exercise(exercise.id).title,
                "number": exercise.id,
                "score": exercise.points,
                "max_score": exercise.max_points,
                "status": "passed" if exercise.status == PASSED else "failed",
                "output": clip(exercise.message, LONGEST_MESSAGE),
                "output_format": "text",
                "visibility": "visible",
            }
            for exercise in result.exercises
        ],
    }


def prairielearn(result: SubmissionResult) -> dict:
    """The content of PrairieLearn's results.json.

    A submission that could not be graded is not gradable, which costs no attempt there.
    Messages are shorter where there are many exercises, so that the whole stays within its limit.
    """
    texts = 2 * len(result.exercises) + 1  # each at most this long, and a character has 4 bytes
    longest = min(LONGEST_MESSAGE, PRAIRIELEARN_BYTES // (4 * texts))
    content = {
        "gradable": not result.problem,
        "score": result.points / result.max_points if result.max_points else 0.0,
        "message": _summary(result),
        "tests": [
            {
                "name": _title(exercise),
                "description": exercise.status,
                "points": exercise.points,
                "max_points": exercise.max_points,
                "message": one_line(exercise.misconception, longest),
                "output": clip(exercise.message, longest),
            }
            for exercise in result.exercises
        ],
    }
    if result.problem:
        content["format_errors"] = [clip(result.problem, longest)]
    return content


# What Classroom 50 tells an autograder about the submission, and the fields it wants it back in.
CLASSROOM50_FIELDS = {
    "classroom": "CLASSROOM",
    "assignment": "ASSIGNMENT",
    "assignment_type": "ASSIGNMENT_TYPE",
    "owner": "OWNER",
    "submission": "SUBMISSION_TAG",
    "commit": "COMMIT_URL",
    "release": "RELEASE_URL",
    "review": "REVIEW_URL",
}


def classroom50(result: SubmissionResult) -> dict:
    """The content of Classroom 50's result.json.

    Inside a Classroom 50 job the fields that identify the submission are filled in from the
    environment; elsewhere they are left out.
    """
    identity = {
        field: os.environ[name]
        for field, name in CLASSROOM50_FIELDS.items()
        if os.environ.get(name)
    }
    if "commit" in identity:
        identity.setdefault("review", identity["commit"])
        identity["datetime"] = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {
        "schema": "classroom50/result/v1",
        **identity,
        # Whole points are all that it takes.
        "score": sum(int(exercise.points) for exercise in result.exercises),
        "max-score": result.max_points,
        "tests": [
            {
                "test-name": _title(exercise),
                "passed": exercise.status == PASSED,
                "score": int(exercise.points),
                "max-score": exercise.max_points,
                "message": clip(exercise.message, LONGEST_MESSAGE),
            }
            for exercise in result.exercises
        ],
    }


def _summary(result: SubmissionResult) -> str:
    if result.problem:
        return f"could not be graded: {clip(result.problem, LONGEST_MESSAGE)}"
    return f"{result.points} of {result.max_points} points"


SERVICES = {"gradescope": gradescope, "prairielearn": prairielearn, "classroom50": classroom50}


# Names of files


def file_names(results: list[SubmissionResult]) -> list[str]:
    """A name for each submission that is safe as a file's, and no two that are the same.

    Names that differ only in case count as the same, as some file systems have it.
    """
    names, taken = [], set()
    for result in results:
        stem = name = _safe(result.name)
        number = 2
        while name.casefold() in taken:
            name, number = f"{stem}-{number}", number + 1
        taken.add(name.casefold())
        names.append(name)
    return names


def _safe(name: str) -> str:
    """Letters, digits, points and dashes only, not too long and not hidden."""
    name = unicodedata.normalize("NFC", printable(name))
    name = re.sub(r"[^\w.-]+", "_", name).strip(".-")
    # File systems count bytes, 255 at most; the number and the ending come on top.
    return name.encode()[:120].decode(errors="ignore") or "submission"


# On the screen


def table(results: list[SubmissionResult]) -> Group:
    """A row a submission with its sum and chapters; below, why some could not be graded.

    It fits into 80 columns, where long names are cut.
    """
    found = {exercise.id for result in results for exercise in result.exercises}
    shown = [c for c in chapters() if any(exercise.id in found for exercise in c.exercises)]
    grid = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0))
    room = max(12, 56 - 3 * len(shown))  # what the other columns leave
    grid.add_column("name", overflow="ellipsis", no_wrap=True, max_width=room)
    grid.add_column("points", justify="right", no_wrap=True, min_width=7)
    grid.add_column("%", justify="right", no_wrap=True, min_width=3)
    for chapter in shown:
        grid.add_column(chapter.number, no_wrap=True, min_width=2)
    grid.add_column("seconds", justify="right", no_wrap=True, min_width=7)
    for result in results:
        grid.add_row(*_table_row(result, [chapter.number for chapter in shown]))
    reasons = [
        Text.assemble(
            (f"not graded: {one_line(result.name, 200)}", LOOKS[FAILED].style),
            f": {one_line(result.problem, 1000)}",
        )
        for result in results
        if result.problem
    ]
    return Group(grid, *reasons)


def questions_table(answers: ClassAnswers) -> Group:
    """The questions that were missed most, in 80 columns; below, whose answers cannot be read."""
    grid = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0))
    grid.add_column("questions missed most", no_wrap=True)
    for heading in ("answered", "at first", "in the end"):
        grid.add_column(heading, justify="right", no_wrap=True)
    grid.add_column("most frequent wrong one", overflow="ellipsis", no_wrap=True, max_width=24)
    for asked in answers.asked[:MOST_QUESTIONS]:
        wrong = one_line(asked.wrong, 200)
        numbers = (asked.answered, asked.at_first, asked.in_the_end)
        grid.add_row(asked.question.id, *map(str, numbers), Text(wrong))
    notes = [
        Text(f"{one_line(name, 200)}: its answers.json cannot be read; no points depend on it")
        for name in answers.unreadable
    ]
    return Group(*([grid] if answers.asked else []), *notes)


def _table_row(result: SubmissionResult, numbers: list[str]) -> list[Text]:
    statuses = {score.chapter.number: score.status for score in chapter_scores(result)}
    looks = [LOOKS[statuses[number]] if number in statuses else None for number in numbers]
    points = f"{result.points}/{result.max_points}"
    part = str(percent(result.points, result.max_points))
    return [
        Text(one_line(result.name, 200)),
        Text("–" if result.problem else points),
        Text("–" if result.problem else part),
        *(Text(look.sign, style=look.style) if look else Text("") for look in looks),
        Text(f"{result.seconds:.1f}"),
    ]
