"""Who is in the class and what counts: the roster, the rules, and files for Canvas and Moodle."""

import csv
import io
import re
import tomllib
import unicodedata
from dataclasses import dataclass, fields, replace
from datetime import date, datetime, time
from pathlib import Path

from course import CourseError
from course.classroom.collecting import Submission, shown
from course.classroom.results import ExerciseResult, SubmissionResult, tidy
from course.probing.text import printable
from course.syllabus import FAILED, Exercise

NOT_SUBMITTED = "no submission"
COLUMN = "Diffusion from scratch"  # of a gradebook

# The roster's columns by what they hold: names in the order in which they are looked for. Those of
# the files that Canvas and Moodle export are among them.
COLUMNS = {
    "id": ("id", "id number", "student id", "identifier"),
    "name": ("name", "full name", "student", "student name"),
    "first": ("first name",),
    "last": ("last name", "surname"),
    "email": ("email", "email address"),
    "login": ("login", "username", "sis login id"),
    "sis": ("sis user id",),
    "section": ("section",),
    "submitted": ("submitted", "last modified (submission)"),
}


@dataclass(frozen=True)
class Learner:
    """One line of the roster."""

    id: str
    name: str
    email: str = ""
    login: str = ""
    sis: str = ""
    section: str = ""
    submitted: datetime | None = None  # overrules the files' own dates


@dataclass(frozen=True)
class Rules:
    """What counts, from a file in TOML."""

    due: datetime | None = None  # from then on a submission is late
    free_days: int = 0  # late days that cost nothing
    percent_per_day: float = 0  # of the points, for each other late day that has begun
    last_day: int | None = None  # a submission that is later than this gets no points
    attempts: str = "all"  # "all", or of one learner's the "best" or the "last" alone
    partial: bool = False  # each check that passes has its part of the exercise's points

    def late_days(self, submitted: datetime | None) -> int:
        """How many days after the due date have begun."""
        if self.due is None or submitted is None or submitted <= self.due:
            return 0
        return -(-(submitted - self.due) // _DAY)

    def deduction(self, points: float, late_days: int) -> float:
        """The points that so many late days cost."""
        if self.last_day is not None and late_days > self.last_day:
            return points
        percent = self.percent_per_day * max(0, late_days - self.free_days)
        return tidy(points * min(percent, 100) / 100)


_DAY = datetime(2000, 1, 2) - datetime(2000, 1, 1)


# Reading


def read_rules(path: Path | None) -> Rules:
    """The rules of a file; those that hold without one if `path` is None.

    Raises:
        CourseError: if the file cannot be read, or says something that is no rule.
    """
    if path is None:
        return Rules()
    try:
        given = tomllib.loads(_read(path))
    except tomllib.TOMLDecodeError as error:
        raise CourseError(f"{path} cannot be read: {error}") from None
    known = sorted(field.name for field in fields(Rules))
    for name, value in given.items():
        if name not in known:
            raise CourseError(f"{path}: there is no rule {name}; there are {', '.join(known)}")
        if not _KINDS[name](value):
            raise CourseError(f"{path}: {name} cannot be {value!r}; see docs/instructors.md")
    if "due" in given:
        given["due"] = _with_zone(given["due"])
    return Rules(**given)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 1e6


def _is_days(value: object) -> bool:
    return _is_number(value) and isinstance(value, int)


_KINDS = {
    "due": lambda value: isinstance(value, date),  # a time of day is one too
    "free_days": _is_days,
    "percent_per_day": _is_number,
    "last_day": _is_days,
    "attempts": ("all", "best", "last").__contains__,
    "partial": lambda value: isinstance(value, bool),
}


def _with_zone(when: date) -> datetime:
    """The moment; a day alone means its end, and a time without a zone is this computer's."""
    if not isinstance(when, datetime):
        when = datetime.combine(when, time(23, 59, 59))
    return when if when.tzinfo else when.astimezone()


def read_roster(path: Path) -> list[Learner]:
    """The learners of a CSV file with columns `id` and `name`, or as Canvas and Moodle export it.

    Raises:
        CourseError: if the file cannot be read, lacks a column, or gives an id twice.
    """
    text = _read(path)
    dialect = csv.excel
    if text.partition("\n")[0].count(";") > text.partition("\n")[0].count(","):
        dialect = type("Semicolons", (csv.excel,), {"delimiter": ";"})
    try:
        rows = list(csv.reader(io.StringIO(text, newline=""), dialect))
    except (csv.Error, ValueError) as error:
        raise CourseError(f"{path} cannot be read as CSV: {error}") from None
    if not rows:
        raise CourseError(f"{path} is empty; its first line must name the columns id and name")
    head, *lines = rows
    places = [_place(names, head) for names in COLUMNS.values()]
    learners: dict[str, Learner] = {}
    for number, line in enumerate(lines, start=2):
        given = {
            column: line[place].strip() if place is not None and place < len(line) else ""
            for column, place in zip(COLUMNS, places)
        }
        name = given.pop("first"), given.pop("last")
        given["name"] = shown(given["name"] or " ".join(name).strip())
        if not given["id"] and "points possible" in given["name"].lower() or not any(line):
            continue
        if not given["id"] or not given["name"]:
            raise CourseError(f"{path}, line {number}: a learner needs an id and a name")
        if given["id"] in learners:
            raise CourseError(f"{path}, line {number}: the id {given['id']} is there already")
        given["submitted"] = _moment(given["submitted"], f"{path}, line {number}")
        learners[given["id"]] = Learner(**given)
    return list(learners.values())


def _place(names: tuple[str, ...], head: list[str]) -> int | None:
    head = [column.strip().casefold() for column in head]
    return next((head.index(name) for name in names if name in head), None)


def _moment(text: str, where: str) -> datetime | None:
    try:
        return _with_zone(datetime.fromisoformat(text)) if text not in ("", "-") else None
    except ValueError:
        raise CourseError(f"{where}: submitted must be like 2026-10-01 14:30, got {text}") from None


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "it is not UTF-8"
        raise CourseError(f"{path} cannot be read: {why}") from None


# Applying


@dataclass(frozen=True)
class Attempt:
    """One submission with its result, and whose it is."""

    submission: Submission
    result: SubmissionResult
    learner: Learner | None


def settle(
    results: list[SubmissionResult],
    submissions: tuple[Submission, ...],
    rules: Rules,
    roster: list[Learner],
    wanted: tuple[Exercise, ...],
) -> list[SubmissionResult]:
    """The results that count: after the rules, and with everyone on the roster.

    Args:
        results: of the submissions, one each.
        submissions: what was handed in.
        rules: what counts.
        roster: who is in the class; empty if that is not known.
        wanted: the exercises that were graded.
    """
    by_name = {result.name: result for result in results}
    groups: dict[str, list[Attempt]] = {}
    for submission in submissions:
        learner = find_learner(submission, roster)
        attempt = Attempt(submission, by_name[submission.name], learner)
        attempt = replace(attempt, result=_counted(attempt, rules, bool(roster)))
        key = f"id {learner.id}" if learner else f"{submission.called}/{submission.learner}"
        groups.setdefault(key, []).append(attempt)
    settled = []
    for attempts in groups.values():
        settled += _those_that_count(attempts, rules)
    there = {one.learner for one in settled}
    for learner in roster:
        if learner.id not in there:
            settled.append(_missing(learner, wanted, results))
    return sorted(_unlike(settled), key=lambda result: result.name)


def find_learner(submission: Submission, roster: list[Learner]) -> Learner | None:
    """Whose submission this is: by the number that a platform gave, by id, login or name."""
    called = _plain(submission.called)
    for keys in (_ids_of, _names_of):
        asked = {submission.learner, submission.called} if keys is _ids_of else {called}
        found = [learner for learner in roster if keys(learner) & (asked - {""})]
        if len(found) == 1:
            return found[0]
    return None


def _ids_of(learner: Learner) -> set[str]:
    return {learner.id, learner.login, learner.sis, learner.email} - {""}


def _names_of(learner: Learner) -> set[str]:
    """The name without what is no letter; Canvas puts the last name first."""
    words = learner.name.replace(",", " ").split()
    turned = [" ".join([*words[i:], *words[:i]]) for i in range(len(words))]
    return {_plain(name) for name in (*turned, learner.email.partition("@")[0])} - {""}


def _plain(name: str) -> str:
    letters = unicodedata.normalize("NFKD", name.casefold())
    return "".join(c for c in letters if c.isalnum())


def _counted(attempt: Attempt, rules: Rules, has_roster: bool) -> SubmissionResult:
    """A result after the rules for checks and late days."""
    result, submission, learner = attempt.result, attempt.submission, attempt.learner
    notes = list(submission.notes)
    if has_roster and learner is None:
        notes.append("is not on the roster, or fits several who are")
    if rules.partial:
        result = replace(result, exercises=tuple(map(_partly, result.exercises)))
    late = rules.late_days((learner and learner.submitted) or submission.submitted)
    late = 0 if result.problem else late
    return replace(
        result,
        learner=learner.id if learner else submission.learner,
        late_days=late,
        deduction=rules.deduction(result.points, late),
        notes="; ".join(notes),
    )


def _partly(exercise: ExerciseResult) -> ExerciseResult:
    """Points for each check that passes, rounded down to hundredths."""
    if exercise.status != FAILED or not exercise.checks:
        return exercise
    hundredths = 100 * exercise.max_points * exercise.checks_passed // exercise.checks
    return replace(exercise, points=tidy(hundredths / 100))


def _those_that_count(attempts: list[Attempt], rules: Rules) -> list[SubmissionResult]:
    """Of one learner's attempts those that count, named after the learner if it is one."""
    if rules.attempts == "all" and len(attempts) > 1:
        return [attempt.result for attempt in attempts]
    first = datetime.min.replace(tzinfo=datetime.now().astimezone().tzinfo)

    def order(attempt: Attempt) -> tuple:
        when = attempt.submission.submitted or first
        best = (attempt.result.points,) if rules.attempts == "best" else ()
        return (not attempt.result.problem, *best, when)

    chosen = max(attempts, key=order)
    name = chosen.learner.name if chosen.learner else chosen.submission.called
    notes = [chosen.result.notes] if chosen.result.notes else []
    if len(attempts) > 1:
        notes.append(f"the {rules.attempts} of {len(attempts)} attempts")
    return [replace(chosen.result, name=name, notes="; ".join(notes))]


def _missing(
    learner: Learner, wanted: tuple[Exercise, ...], results: list[SubmissionResult]
) -> SubmissionResult:
    nothing = tuple(ExerciseResult(e.id, 0, e.points, FAILED, "", "", "") for e in wanted)
    seed = results[0].seed if results else 0
    return SubmissionResult(
        learner.name, nothing, seed, 0.0, "", "", NOT_SUBMITTED, learner=learner.id
    )


def _unlike(results: list[SubmissionResult]) -> list[SubmissionResult]:
    """The same results, so that no two have one name."""
    taken: dict[str, SubmissionResult] = {}
    for result in results:
        number, name = 2, result.name
        while name in taken:
            number, name = number + 1, f"{result.name} ({number})"
        taken[name] = replace(result, name=name)
    return list(taken.values())


# Files for Canvas and Moodle. A cell without points leaves the gradebook as it is.


def canvas_csv(results: list[SubmissionResult], roster: list[Learner]) -> str:
    """What Canvas's gradebook imports: learners by their ID, and the points possible."""
    rows = [["Student", "ID", "SIS User ID", "SIS Login ID", "Section", COLUMN]]
    rows.append(["    Points Possible", "", "", "", "", _possible(results)])
    rows += [
        [cell(one.name), cell(one.id), cell(one.sis), cell(one.login), cell(one.section), points]
        for one, points in _points(results, roster)
    ]
    return to_csv(rows)


def moodle_csv(results: list[SubmissionResult], roster: list[Learner]) -> str:
    """What Moodle's grade import reads: map `ID number` or `Email address` to the learner."""
    rows = [["Full name", "ID number", "Email address", COLUMN]]
    rows += [
        [cell(one.name), cell(one.id), cell(one.email), points]
        for one, points in _points(results, roster)
    ]
    return to_csv(rows)


def _points(results: list[SubmissionResult], roster: list[Learner]) -> list[tuple]:
    """Each learner with the points; without a roster, those whose id a platform gave."""
    order = sorted(results, key=lambda result: (not result.problem, result.points))
    by_id = {result.learner: result for result in order if result.learner}  # the best of each
    learners = roster or [Learner(result.learner, result.name) for result in by_id.values()]
    return [
        (one, "" if by_id[one.id].problem else by_id[one.id].points)
        for one in learners
        if one.id in by_id
    ]


def _possible(results: list[SubmissionResult]) -> int:
    return max((result.max_points for result in results), default=0)


SIGNS = "=+\\-@＝＋－＠﹦﹢﹣﹫⁼⁺⁻₌₊₋−"  # with which a formula begins, also as other forms of them


def cell(text: str) -> str:
    """Words as a cell that no spreadsheet takes for a formula, whatever it splits cells at."""
    text = " ".join(printable(text).split())
    return re.sub(rf"(^|[;,|\t\"'])(\s*)([{SIGNS}])", r"\1\2'\3", text)


def to_csv(rows: list[list]) -> str:
    file = io.StringIO()
    csv.writer(file).writerows(rows)
    return file.getvalue()
