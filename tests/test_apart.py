"""Code that ends its process, or keeps it, is never taken for success and holds nothing up."""

import os
import subprocess
import sys
import time

import pytest

from course import ROOT
from course.grading.apart import grade_apart, run_apart, stream_apart
from course.grading.code import LocalCode
from course.syllabus import FAILED, NOT_WRITTEN, PASSED, select

CH01 = "ch01_noise_schedule"
SOLUTION = (ROOT / "solutions" / f"{CH01}.py").read_text(encoding="utf-8")
ON_IMPORT = SOLUTION.replace("import math\n", "import math\nimport os\n\nos._exit(0)\n", 1)
WHEN_CALLED = f"{SOLUTION}\n\ndef cosine_betas(*args, **kwargs):\n    import os\n    os._exit(0)\n"


def run(*arguments: str) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)


def test_a_child_that_does_not_finish_gives_none():
    assert run_apart(lambda: 6 * 7, 30) == 42
    assert run_apart(lambda: os._exit(3), 30) is None
    assert run_apart(lambda: time.sleep(60), 0.2) is None


def test_what_came_before_the_end_of_a_child_counts():
    def values():
        yield 1
        yield 2
        os._exit(0)

    assert list(stream_apart(values)) == [1, 2]


def test_an_error_in_a_child_is_raised_here():
    with pytest.raises(ZeroDivisionError):
        run_apart(lambda: 1 / 0)


def test_only_the_exercise_that_ends_the_process_fails(empty_exercises):
    (empty_exercises / f"{CH01}.py").write_text(WHEN_CALLED, encoding="utf-8")
    results = {r.exercise.id: r for r in grade_apart(LocalCode(empty_exercises), select("01"))}
    assert list(results) == [exercise.id for exercise in select("01")]
    assert [i for i, result in results.items() if result.status != PASSED] == ["1.2"]
    assert results["1.2"].status == FAILED and "ended the process" in results["1.2"].message
    rest = grade_apart(LocalCode(empty_exercises), select("02"))
    assert {result.status for result in rest} == {NOT_WRITTEN}


@pytest.mark.parametrize("code", [ON_IMPORT, WHEN_CALLED], ids=["on import", "when called"])
@pytest.mark.parametrize("command", ["check", "pytest"])
def test_ending_the_process_with_0_is_no_success(empty_exercises, code, command):
    (empty_exercises / f"{CH01}.py").write_text(code, encoding="utf-8")
    if command == "check":
        ended = run("course.cli", "check", "1.2", "--impl", str(empty_exercises))
    else:
        file = f"checks/test_{CH01}.py"
        ended = run("pytest", file, "-p", "no:cacheprovider", "--impl", str(empty_exercises))
    assert ended.returncode == 1, ended.stdout + ended.stderr
    assert "the code ended the process it runs in" in ended.stdout


STAYS = """
import threading, time, atexit, os

threading.Thread(target=lambda: time.sleep(600)).start()
atexit.register(os._exit, 0)
print("printed by the code")
"""


def test_threads_that_the_code_leaves_do_not_hold_the_command_up(empty_exercises):
    (empty_exercises / f"{CH01}.py").write_text(SOLUTION + STAYS, encoding="utf-8")
    ended = run("course.cli", "check", "1.1", "--impl", str(empty_exercises))
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert ended.stdout.count("printed by the code") == 1 and "1.1 ✔" in ended.stdout
