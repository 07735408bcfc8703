"""`pytest checks` grades exercises/; --impl solutions, or --impl PATH, grades something else."""

import pytest

from course.grading.checking import Check, checks_of
from course.grading.code import LocalCode
from course.grading.grader import Grader
from course.learner.scoreboard import score_lines
from course.learner.workspace import code_folder
from course.syllabus import PASSED

GRADER = pytest.StashKey[Grader]()


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
    grader = request.config.stash.setdefault(GRADER, Grader(impl))

    def report(check: Check) -> None:
        outcomes = grader.grade_exercise(check.exercise).outcomes
        position = checks_of(check.exercise).index(check)
        if position >= len(outcomes):
            pytest.skip(f"comes after the first failure of {check.exercise}")
        outcome = outcomes[position]
        if outcome.status != PASSED:
            pytest.fail(f"{check.exercise} {outcome.message()}", pytrace=False)

    return report


def pytest_terminal_summary(terminalreporter, config):
    """The last lines: points a chapter."""
    if GRADER in config.stash:
        terminalreporter.section("scoreboard")
        for line in score_lines(config.stash[GRADER].results()):
            terminalreporter.write_line(line)
