"""`pytest checks` grades exercises/; --impl solutions, or --impl PATH, grades something else."""

import pytest

from course.grading.apart import grade_apart
from course.grading.checking import Check, checks_of
from course.grading.code import LocalCode
from course.grading.grader import Result
from course.learner.scoreboard import score_lines
from course.learner.workspace import code_folder
from course.syllabus import PASSED, find_exercise, select

RESULTS = pytest.StashKey[dict[str, Result]]()  # by exercise


def pytest_addoption(parser):
    parser.addoption(
        "--impl",
        default="exercises",
        help="what to grade: exercises, solutions, or the path of a folder with chapter files",
    )


@pytest.fixture(scope="session")
def impl(request) -> LocalCode:
    """The code under test."""
    return LocalCode(code_folder(request.config.getoption("--impl")))


@pytest.fixture
def show(impl, request):
    """Report one check: it passes, fails with its message, or is hidden behind a failure."""
    results = request.config.stash.setdefault(RESULTS, {})
    functions = (getattr(item, "function", None) for item in request.session.items)
    asked = {function.check.exercise for function in functions if hasattr(function, "check")}

    def report(check: Check) -> None:
        if check.exercise not in results:  # all of the chapter at once, in one child process
            chapter = select(find_exercise(check.exercise).chapter)
            for result in grade_apart(impl, [one for one in chapter if one.id in asked]):
                results[result.exercise.id] = result
        outcomes = results[check.exercise].outcomes
        position = checks_of(check.exercise).index(check)
        if position >= len(outcomes):
            pytest.skip(f"comes after the first failure of {check.exercise}")
        outcome = outcomes[position]
        if outcome.status != PASSED:
            pytest.fail(f"{check.exercise} {outcome.message()}", pytrace=False)

    return report


def pytest_terminal_summary(terminalreporter, config):
    """The last lines: points a chapter."""
    if RESULTS in config.stash:
        terminalreporter.section("scoreboard")
        for line in score_lines(list(config.stash[RESULTS].values())):
            terminalreporter.write_line(line)
