"""The lesson for a class: its three most common mistakes, with what they do."""

from dataclasses import replace

from course.classroom.lesson import lesson, visible
from course.classroom.results import ExerciseResult, SubmissionResult
from course.grading.answers import misconceptions_of


def submission(name: str, *mistakes: tuple[str, str], problem: str = "") -> SubmissionResult:
    found = tuple(
        ExerciseResult(exercise, 0, 3, "failed", "a check", "a message", mistake)
        for exercise, mistake in mistakes
    )
    return SubmissionResult(name, found, 0, 1.0, "bubblewrap", "key", problem)


COSINE = ("1.2", "the cosine is not squared")
WARM = ("5.3", "no warm-up")
NOISE = ("2.3", "the noise subtracted")
RARE = ("9.4", "the padding kept")


def test_it_shows_the_three_most_common_mistakes_in_their_order():
    people = [
        submission("a", WARM, NOISE, COSINE),
        submission("b", WARM, NOISE),
        submission("c", WARM),
    ]
    page = lesson([*people, submission("d", RARE, COSINE)])
    places = [page.index(name) for _, name in (WARM, COSINE, NOISE)]
    assert places == sorted(places) and RARE[1] not in page
    assert "In 3 submissions." in page and page.count("with the mistake") == 3
    assert page.count("<svg") + page.count("<pre>") >= 6


def test_what_was_not_graded_does_not_count():
    page = lesson([submission("a", WARM, problem="it cannot be read")])
    assert "No known mistake was recognised" in page and WARM[1] not in page


def test_a_mistake_that_is_no_longer_known_is_left_out():
    page = lesson(
        [submission("a", ("1.2", "a mistake of an older course")), submission("b", NOISE)]
    )
    assert "older course" not in page and "In 1 submission." in page


def test_without_a_look_there_are_words_only():
    (answer,) = (a for a in misconceptions_of(RARE[0]) if a.name == RARE[1])
    assert visible(answer) is None
    page = lesson([submission("a", RARE)])
    assert RARE[1] in page and "with the mistake" not in page


def test_names_are_escaped():
    result = submission("<b>", NOISE)
    assert "<b>" not in lesson([replace(result, name="<b>")])
