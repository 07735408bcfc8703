"""The report on a whole class: one HTML page that needs no script and no network."""

import statistics
from collections import Counter
from dataclasses import dataclass

from course.classroom.alike import Alike
from course.classroom.page import CLASSES, page, section, table, text
from course.classroom.questions import Asked, ClassAnswers
from course.classroom.results import ExerciseResult, SubmissionResult, tidy
from course.grading.answers import misconceptions_of
from course.probing.text import clip, one_line, percent
from course.syllabus import FAILED, LOOKS, NOT_WRITTEN, Chapter, chapters, find_exercise

LONGEST_LIST = 25  # of misconceptions and of checks: the page is for deciding what to teach again


@dataclass(frozen=True)
class ChapterScore:
    """One chapter of one submission."""

    chapter: Chapter
    status: str  # PASSED if all exercises pass, NOT_WRITTEN if none is written, else FAILED
    points: float
    max_points: int

    @property
    def fraction(self) -> str:
        return f"{self.points}/{self.max_points}"


def chapter_scores(result: SubmissionResult) -> list[ChapterScore]:
    """The submission's points chapter by chapter; chapters that were not graded are left out."""
    if result.problem:
        return []
    scores = []
    for chapter in chapters():
        ids = {exercise.id for exercise in chapter.exercises}
        own = [exercise for exercise in result.exercises if exercise.id in ids]
        if own:
            statuses = {exercise.status for exercise in own}
            status = statuses.pop() if len(statuses) == 1 else FAILED
            points = tidy(sum(e.points for e in own))
            possible = sum(e.max_points for e in own)
            scores.append(ChapterScore(chapter, status, points, possible))
    return scores


def class_report(
    results: list[SubmissionResult],
    alike: list[Alike] | None = None,
    answers: ClassAnswers | None = None,
) -> str:
    """The whole page. Submissions that could not be graded are listed, but count nowhere else.

    Args:
        results: what was found.
        alike: submissions whose code is the same; None if that was not looked for.
        answers: to the questions at the chapters' ends; None if that was not looked for.
    """
    graded = [result for result in results if not result.problem]
    sections = [
        _overview(results, graded),
        _distribution(graded),
        _exercises(graded),
        _misconceptions(graded),
        _unrecognised(graded),
        "" if answers is None else _questions(answers),
        _not_graded(results),
        _submissions(results),
        "" if alike is None else _alike(alike),
    ]
    return page("Class report: Diffusion from scratch", "\n".join(sections))


def _overview(results: list[SubmissionResult], graded: list[SubmissionResult]) -> str:
    points = [result.points for result in graded]
    full = sum(result.points == result.max_points for result in graded)
    possible = max((result.max_points for result in graded), default=0)
    facts = {
        "submissions": str(len(results)),
        "not graded": str(len(results) - len(graded)),
        f"median of {possible} points": f"{statistics.median(points):g}" if points else "none",
        f"mean of {possible} points": f"{statistics.fmean(points):.2f}" if points else "none",
        "with all points": str(full),
    }
    items = "".join(
        f"<div><dt>{text(name)}</dt><dd>{text(value)}</dd></div>" for name, value in facts.items()
    )
    sandboxes = Counter(result.sandbox for result in graded)
    ran = ", ".join(f"{one_line(name, 60)} ({count})" for name, count in sandboxes.most_common())
    seeds = ", ".join(str(seed) for seed in sorted({result.seed for result in graded}))
    ran_in = f"<p>Code ran in: {text(ran)}. Seed: {text(seeds)}.</p>" if graded else ""
    return f"<dl class='facts'>{items}</dl>{ran_in}"


def _distribution(graded: list[SubmissionResult]) -> str:
    bins = Counter(min(percent(r.points, r.max_points) // 10, 9) for r in graded)
    labels = [f"{10 * i}–{10 * i + 9} %" for i in range(9)] + ["90–100 %"]
    widest = max(bins.values(), default=1)
    rows = []
    for i, label in enumerate(labels):
        y, width = 4 + 24 * i, 220 * bins[i] / widest
        rows.append(
            f'<text x="74" y="{y + 14}" text-anchor="end">{label}</text>'
            f'<rect class="bar" x="82" y="{y}" width="{width:.1f}" height="18"/>'
            f'<text class="count" x="{88 + width:.1f}" y="{y + 14}">{bins[i]}</text>'
        )
    words = "; ".join(f"{label}: {bins[i]}" for i, label in enumerate(labels))
    return section(
        "Distribution of points",
        "<p>How many submissions reached which part of the points.</p>"
        '<svg class="histogram" viewBox="0 0 340 248" role="img" '
        'aria-labelledby="histogram-title histogram-words">'
        '<title id="histogram-title">Submissions by percent of the points</title>'
        f'<desc id="histogram-words">{words}</desc>{"".join(rows)}</svg>',
    )


def _exercises(graded: list[SubmissionResult]) -> str:
    counts = Counter((own.id, own.status) for result in graded for own in result.exercises)
    groups = []
    for chapter in chapters():
        rows = [_exercise_row(exercise.id, counts) for exercise in chapter.exercises]
        if any(rows):
            head = f"{chapter.number} {chapter.title}"
            groups.append(
                f'<tbody><tr><th scope="rowgroup" colspan="4" class="chapter">{text(head)}</th>'
                f"</tr>{''.join(rows)}</tbody>"
            )
    columns = "".join(f'<th scope="col">{LOOKS[s].sign} {text(_column(s))}</th>' for s in CLASSES)
    return section(
        "Exercises",
        '<table class="heat"><caption>Submissions that passed, failed or did not write '
        "(or mend) each exercise. The stronger a cell's colour, the larger its part of the class."
        "</caption>"
        f'<thead><tr><th scope="col">exercise</th>{columns}</tr></thead>{"".join(groups)}</table>',
    )


def _column(status: str) -> str:
    """The heading of a status, under which exercises to write and to mend are counted alike."""
    return "not written, or not mended yet" if status == NOT_WRITTEN else status


def _exercise_row(exercise_id: str, counts: Counter) -> str:
    total = sum(counts[exercise_id, status] for status in CLASSES)
    if not total:
        return ""
    cells = []
    for status, css in CLASSES.items():
        count = counts[exercise_id, status]
        cells.append(
            f'<td class="{css}" style="--share:{count / total:.3f}">{_share(count, total)}</td>'
        )
    title = f"{exercise_id} {find_exercise(exercise_id).title}"
    return f'<tr><th scope="row">{text(title)}</th>{"".join(cells)}</tr>'


def _misconceptions(graded: list[SubmissionResult]) -> str:
    met = Counter(
        (own.id, own.misconception) for r in graded for own in r.exercises if own.misconception
    )
    rows = []
    for (exercise_id, name), count in met.most_common(LONGEST_LIST):
        what = f"<strong>{text(one_line(name, 200))}</strong>"
        helps = [known.help for known in misconceptions_of(exercise_id) if known.name == name]
        if helps:
            what += f"<br>{text(helps[0])}"
        rows.append((text(exercise_id), what, _share(count, len(graded))))
    return section(
        "Misconceptions met most",
        table(
            "Recognised misunderstandings, with what the learner was told",
            ("exercise", "misconception", "submissions"),
            rows,
            none="No misconception was recognised.",
        )
        + _left_out(len(met)),
    )


def _unrecognised(graded: list[SubmissionResult]) -> str:
    failures: dict[tuple[str, str], list[ExerciseResult]] = {}
    for result in graded:
        for own in result.exercises:
            if own.status == FAILED and not own.misconception:
                failures.setdefault((own.id, own.check), []).append(own)
    ordered = sorted(failures.items(), key=lambda item: -len(item[1]))
    rows = []
    for (exercise_id, check), found in ordered[:LONGEST_LIST]:
        example = (
            f"{text(one_line(check, 200))}<details><summary>one of the messages</summary>"
            f"<pre>{text(clip(found[0].message, 1000))}</pre></details>"
        )
        rows.append((text(exercise_id), example, _share(len(found), len(graded))))
    return section(
        "Failing checks without a recognised misconception",
        table(
            "Checks that failed most where the mistake has no name yet",
            ("exercise", "check", "submissions"),
            rows,
            none="Every failure was recognised.",
        )
        + _left_out(len(failures)),
    )


def _questions(answers: ClassAnswers) -> str:
    there = answers.submissions - answers.without - len(answers.unreadable)
    words = f"{there} of {answers.submissions} submissions have answers"
    if answers.unreadable:
        words += f"; an answers.json that cannot be read: {len(answers.unreadable)}"
    headings = ("question", "answered", "right at first", "in the end", "most frequent wrong one")
    return section(
        "Questions at the ends of the chapters",
        f"<p>{words}. They carry no points. A sentence counts as right if the learner finds that "
        "it says the same as the one that folds out.</p>"
        + table(
            "Those that were missed most come first",
            headings,
            [_question_row(asked) for asked in answers.asked],
            none="None was answered.",
        ),
    )


def _question_row(asked: Asked) -> tuple[str, ...]:
    question = asked.question
    wrong = f"{_bdi(asked.wrong, 200)} ({asked.wrong_count})" if asked.wrong else ""
    return (
        f"<strong>{text(question.id)}</strong><br>{text(question.ask)}",
        str(asked.answered),
        _share(asked.at_first, asked.answered),
        _share(asked.in_the_end, asked.answered),
        wrong,
    )


def _not_graded(results: list[SubmissionResult]) -> str:
    rows = [
        (_name(result), text(clip(result.problem, 1000))) for result in results if result.problem
    ]
    return section(
        "Submissions that could not be graded",
        table("Not graded, and why", ("submission", "reason"), rows, none="All could be graded."),
    )


def _submissions(results: list[SubmissionResult]) -> str:
    shown = list(
        dict.fromkeys(s.chapter.number for result in results for s in chapter_scores(result))
    )
    rows = [_submission_row(result, shown) for result in results]
    headings = ("submission", "points", "percent", *shown, "time")
    passed, failed, not_written = (LOOKS[status].sign for status in CLASSES)
    legend = (
        f"<p>In all and by chapter: {passed} all exercises pass, {failed} some do not, "
        f"{not_written} nothing is written or mended.</p>"
    )
    content = table("Points", headings, rows, none="There are no submissions.")
    return section(
        "Submissions",
        f'{legend}<div class="wide" role="region" aria-label="Submissions" tabindex="0">'
        f"{content}</div>",
    )


def _submission_row(result: SubmissionResult, numbers: list[str]) -> tuple[str, ...]:
    scores = {score.chapter.number: _chapter_cell(score) for score in chapter_scores(result)}
    return (
        _name(result),
        "" if result.problem else f"{result.points}/{result.max_points}",
        "not graded" if result.problem else f"{percent(result.points, result.max_points)} %",
        *(scores.get(number, "") for number in numbers),
        f"{result.seconds:.1f} s",
    )


def _chapter_cell(score: ChapterScore) -> str:
    sign = LOOKS[score.status].sign
    return f'<span class="{CLASSES[score.status]}">{sign} {score.fraction}</span>'


def _alike(alike: list[Alike]) -> str:
    rows = [
        (_bdi(row.one), _bdi(row.other), text(clip(", ".join(row.exercises), 300)))
        for row in alike[:LONGEST_LIST]
    ]
    return section(
        "Code that is alike",
        "<p>This is no verdict. After names, comments and layout are taken away, the code of these "
        "is the same. Short functions are left out; of the others, too, several learners may well "
        "have written the same lines. Look at them before you say anything.</p>"
        + table(
            "The same code, those with most in common first",
            ("submission", "like", "exercises"),
            rows,
            none="No two are alike.",
        )
        + (f"<p>{len(alike)} pairs in all.</p>" if len(alike) > LONGEST_LIST else ""),
    )


# Pieces of cells


def _name(result: SubmissionResult) -> str:
    return _bdi(result.name)


def _bdi(name: str, longest: int = 80) -> str:
    return f"<bdi>{text(one_line(name, longest) or '(no name)')}</bdi>"


def _share(count: int, total: int) -> str:
    return f'<span class="share">{count} <small>({round(100 * count / total)} %)</small></span>'


def _left_out(count: int) -> str:
    if count <= LONGEST_LIST:
        return ""
    return f"<p>{count - LONGEST_LIST} more are left out here; all are in results.json.</p>"
