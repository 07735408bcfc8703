"""course watch, in a terminal: a verdict at every save, hints and the next exercise by key."""

import pytest

from course import ROOT
from course.learner.skeletons import write_missing
from course.syllabus import exercises
from tests.terminal import Terminal

CH01 = "ch01_noise_schedule.py"
SOLUTION = (ROOT / "solutions" / CH01).read_text(encoding="utf-8")


@pytest.fixture
def learner(tmp_path):
    """A folder of skeletons, and a function that writes chapter 01."""
    write_missing(tmp_path / "exercises")
    return tmp_path / "exercises"


def test_a_session_at_the_keyboard(learner):
    terminal = Terminal("watch", "1.1", exercises=learner)
    file = learner / CH01
    assert "not written yet: linear_betas" in terminal.wait_for("q quit")

    file.write_text(SOLUTION.replace("beta_start, beta_end, num_steps", "beta_start, 1, num_steps"))
    seen = terminal.wait_for("q quit")
    assert "✘ 1.1" in seen and "expected" in seen and "came back" in seen

    assert seen.index("checking 1.1 ...") < seen.index("✘ 1.1")

    terminal.press("h")
    assert "hint 1 of 3 How many gaps" in terminal.wait_for("q quit")
    terminal.press("h")
    assert "hint 2 of 3" in terminal.wait_for("q quit")

    file.write_text(SOLUTION)
    seen = terminal.wait_for("q quit")
    assert "✔ 1.1" in seen and f"1 of {len(exercises())} solved" in seen

    terminal.press("n")
    assert "✔ 1.2 The cosine schedule" in terminal.wait_for("q quit")
    terminal.press("s")
    assert "not written yet" in terminal.wait_for("q quit")
    terminal.press("pp")
    last = exercises()[-1].id
    assert last in terminal.wait_for(f"{last} not written yet")
    terminal.press("q")
    assert terminal.close() == 0


@pytest.fixture(scope="module")
def watched(tmp_path_factory):
    """A terminal with a watch that goes on from test to test, and the file it watches."""
    folder = tmp_path_factory.mktemp("watched") / "exercises"
    write_missing(folder)
    terminal = Terminal("watch", "1.3", exercises=folder)
    terminal.wait_for("q quit")
    yield terminal, folder / CH01
    terminal.press("q")
    assert terminal.close() == 0


@pytest.mark.parametrize(
    "trick, words",
    [
        ("import os; os._exit(0)", "ended the process"),
        ("import os; os.abort()", "ended the process"),
        ("def (", "cannot be read by Python"),
        ("raise SystemExit", "SystemExit"),
        ("print('what I want to know')", "what I want to know"),
        ("import torch; torch.equal = None", "replaced torch.equal"),
    ],
)
def test_whatever_the_file_does_the_watch_goes_on(watched, trick, words):
    terminal, file = watched
    file.write_text(f"{SOLUTION}\n{trick}\n")
    assert words in terminal.wait_for("q quit")
    file.write_text(SOLUTION)
    assert "✔ 1.3" in terminal.wait_for("q quit")


def test_the_file_is_shown_by_its_name(tmp_path):
    """Brackets are no markup."""
    folder = tmp_path / "[copy] [/x]" / "exercises"
    write_missing(folder)
    terminal = Terminal("watch", "1.1", exercises=folder)
    assert f"{folder / CH01}" in terminal.wait_for("q quit")
    terminal.press("q")
    assert terminal.close() == 0


def test_a_wrong_number_is_told(learner):
    terminal = Terminal("watch", "9.9", exercises=learner)
    terminal.wait_for("there is no exercise '9.9'")
    assert terminal.close() == 2
