"""The grader's faults are never a learner's zero: they are problems, without a grade."""

import contextlib
import os
import signal
import sys
import threading
import time
from pathlib import Path

import pytest

from course import ROOT, CourseError
from course.classroom import batch, sandbox
from course.classroom.batch import Batch
from course.classroom.sandbox import Box, CannotGrade, Sandbox, hidden_places
from course.cli import main
from course.grading.apart import Ended, run_many
from course.probing.observing import OutOfTime, time_limit
from course.probing.worker import _Clock
from course.syllabus import select
from tests.collected import find_submissions

CH01 = "ch01_noise_schedule"
SOLUTION = (ROOT / "solutions" / f"{CH01}.py").read_text(encoding="utf-8")


def make_class(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).mkdir(parents=True)
        (folder / name / f"{CH01}.py").write_text(SOLUTION, encoding="utf-8")
    return folder


def grade(folder: Path, out: Path, **options) -> list:
    submissions = find_submissions([folder])
    return Batch(submissions, out, select("1.1"), seed=1, jobs=2, **options).grade(quiet=True)


def other_worker(monkeypatch, code: str) -> None:
    """Run `code` in place of the worker; in it, `worker` is the module."""
    program = f"import os, signal, sys\nfrom course.probing import worker\n{code}"

    def command(kit, submission):
        return [sys.executable, "-P", "-c", program, str(submission), str(kit / "job")]

    monkeypatch.setattr(sandbox, "_worker", command)


# Once the worker has said that it is ready, for the submissions that say so.
DIES = """
from pathlib import Path
run = worker._Submission.run
def dies(self, exercise):
    text = Path(self.folder, "ch01_noise_schedule.py").read_text()
    if "# dies by: " in text:
        exec(text.split("# dies by: ")[1])
    run(self, exercise)
worker._Submission.run = dies
worker.main(*sys.argv[1:])
"""
DEATHS = {
    "bob": (
        "os.kill(os.getpid(), signal.SIGKILL)",
        "SIGKILL, perhaps because the machine's memory",
    ),
    "cy": ("os.kill(os.getpid(), signal.SIGILL)", "SIGILL"),
    "di": (
        "Path('/proc/no/statm').read_text()",
        "No such file or directory: '/proc/no/statm'",
    ),
}


def test_a_worker_that_dies_is_a_problem_and_tried_again(tmp_path, monkeypatch):
    folder, out = make_class(tmp_path / "class", "ann", *DEATHS), tmp_path / "out"
    for name, (death, _) in DEATHS.items():
        text = f"{SOLUTION}\n# dies by: {death}\n"
        (folder / name / f"{CH01}.py").write_text(text, encoding="utf-8")
    with monkeypatch.context() as patch:
        other_worker(patch, DIES)
        ann, *others = grade(folder, out)
    assert (ann.points, ann.problem) == (2, "")
    for result in others:
        assert DEATHS[result.name][1] in result.problem
        assert "did not come to its end" in result.problem
    assert len(list((out / "graded").iterdir())) == 1, "what was not graded is not kept"
    assert [(one.points, one.problem) for one in grade(folder, out)] == [(2, "")] * 4


KILLED = """
start = worker._Child.__init__
def started(self, *arguments):
    start(self, *arguments)
    os.kill(self._process, signal.SIGKILL)
worker._Child.__init__ = started
worker.main(*sys.argv[1:])
"""


def test_an_exercise_whose_process_the_system_ends_is_a_problem(tmp_path, monkeypatch):
    folder = make_class(tmp_path / "class", "ann") / "ann"
    other_worker(monkeypatch, KILLED)
    with Sandbox(seed=1, wanted=select("1.1")) as box:
        with pytest.raises(CannotGrade, match="exercise 1.1 could not be started.*SIGKILL"):
            box.run(folder)


def test_limits_that_cannot_be_set_are_a_problem(tmp_path, monkeypatch):
    folder = make_class(tmp_path / "class", "ann") / "ann"
    other_worker(monkeypatch, "worker._forbid = None\nworker.main(*sys.argv[1:])")
    with Sandbox(seed=1, wanted=select("1.1")) as box:
        with pytest.raises(CannotGrade, match=r"could not be started: .*NoneType"):
            box.run(folder)


def test_the_command_says_what_was_not_graded_and_ends_with_1(tmp_path, monkeypatch, capsys):
    folder, out = make_class(tmp_path / "class", "ann"), tmp_path / "out"
    command = ["grade", str(folder), "--only", "1.1", "--out", str(out)]
    with monkeypatch.context() as patch:

        def fails(self, name):
            raise CannotGrade("the machine was busy")

        patch.setattr(Batch, "_grade_one", fails)
        assert main(command) == 1
    assert "not graded: ann: the machine was busy" in capsys.readouterr().out
    assert main(command) == 0


FAULTS = {
    "ann": (lambda: os._exit(9), "ended with status 9"),
    "bob": (lambda: os.kill(os.getpid(), signal.SIGKILL), "memory ran out"),
    "cy": (lambda: [0] * 10**12, "MemoryError"),
    "di": (lambda: 1 / 0, "ZeroDivisionError"),
}


def test_judging_that_fails_is_a_problem_of_one_submission(tmp_path, monkeypatch):
    folder = make_class(tmp_path / "class", *FAULTS, "eve")
    whole = Batch._grade_one

    def grade_one(self, name):
        return FAULTS[name][0]() if name in FAULTS else whole(self, name)

    monkeypatch.setattr(Batch, "_grade_one", grade_one)
    *failed, eve = grade(folder, tmp_path / "out")
    for result in failed:
        words = FAULTS[result.name][1]
        assert "no fault of the submission" in result.problem and words in result.problem
    assert (eve.points, eve.problem) == (2, "")


def test_children_that_take_too_long_are_ended():
    calls = {"slow": lambda: time.sleep(60), "quick": lambda: 7}
    answers = dict(run_many(calls, jobs=2, seconds=1.0))
    assert answers["quick"] == 7 and answers["slow"] == Ended("it took more than 1 seconds")


def test_nobody_is_graded_where_the_reference_fails(tmp_path, monkeypatch):
    folder = make_class(tmp_path / "class", "ann")
    (tmp_path / "solutions").mkdir()
    (tmp_path / "solutions" / f"{CH01}.py").write_text("linear_betas = print\n")
    monkeypatch.setattr(batch, "ROOT", tmp_path)
    with pytest.raises(CourseError, match="reference itself does not pass here.* 1.1 The betas"):
        grade(folder, tmp_path / "out")


def test_time_that_others_took_is_not_the_codes():
    busy = _Clock(passed=30.0, computed=2.0, waited=27.0)
    asleep = _Clock(passed=30.0, computed=0.1, waited=0.1)
    computes = _Clock(passed=30.0, computed=10.0, waited=20.0)
    assert [clock.starved(10.0) for clock in (busy, asleep, computes)] == [True, False, False]
    assert not _Clock(passed=3.0, computed=0.1, waited=2.9).starved(10.0)


def test_what_cannot_be_read_is_a_problem_of_one_submission(tmp_path, monkeypatch):
    folder = make_class(tmp_path / "class", "ann", "bob", "eve")
    read, copied = Path.read_bytes, sandbox.packed.read

    def hidden(path):
        if path.parent.name == "eve":
            raise PermissionError(13, "Permission denied", str(path))
        return read(path)

    def refuses(path):
        if path.parent == submissions.folders["bob"]:
            raise PermissionError(13, "Permission denied", str(path))
        return copied(path)

    monkeypatch.setattr(Path, "read_bytes", hidden)
    submissions = find_submissions([folder])
    monkeypatch.setattr(sandbox.packed, "read", refuses)
    results = Batch(submissions, tmp_path / "out", select("1.1"), seed=1).grade(quiet=True)
    assert [r.points for r in results] == [2, 0, 0]
    assert results[1].problem == f"{CH01}.py cannot be read: Permission denied"
    assert f"eve/{CH01}.py: Permission denied" in results[2].problem


def test_names_that_are_no_text_are_graded_like_others(tmp_path):
    folder = tmp_path / "class"
    names = [b"M\xfcller", b"a\rb", b"a\nb", "Zoë".encode()]
    for name in names:
        make_class(Path(os.fsdecode(os.path.join(os.fsencode(folder), name))).parent, "x")
        os.rename(folder / "x", os.path.join(os.fsencode(folder), name))
    for _ in range(2):  # and once more, from what was kept
        results = grade(folder, tmp_path / "out")
        assert {r.name for r in results} == {r"M\udcfcller", r"a\rb", r"a\nb", "Zoë"}
        assert [r.points for r in results] == [2] * 4


@pytest.mark.parametrize("place", ["machinery", "torch", "python"])
def test_what_verdicts_depend_on_is_in_the_key(tmp_path, monkeypatch, place):
    folder, out = make_class(tmp_path / "class", "ann"), tmp_path / "out"
    (tmp_path / "part").mkdir()
    (tmp_path / "part" / "grader.py").write_text("1\n")
    monkeypatch.setattr(batch, "MACHINERY", (*batch.MACHINERY, tmp_path / "part"))

    def key() -> str:
        made = Batch(find_submissions([folder]), out, select("1.1"), seed=1)
        made.sandbox._scratch.cleanup()
        return made._key("ann")

    before = key()
    assert before == key()
    if place == "machinery":
        (tmp_path / "part" / "grader.py").write_text("2\n")
    elif place == "torch":
        monkeypatch.setattr(batch.torch, "__version__", "1.0")
    else:
        monkeypatch.setattr(batch.platform, "python_version", lambda: "2.7")
    assert before != key()
    assert ROOT / "checks" in batch.MACHINERY and ROOT / "course/grading" in batch.MACHINERY


def test_what_a_killed_grader_left_is_removed_by_the_next(tmp_path, monkeypatch):
    monkeypatch.setattr(sandbox.tempfile, "tempdir", str(tmp_path))
    for name in ("grading-killed", "grading-of-another-program"):
        (tmp_path / name).mkdir()
    (tmp_path / "grading-killed" / "lock").touch()
    with Sandbox(seed=1, wanted=select("1.1"), box=Box("limits only")) as first:
        assert {path.name for path in tmp_path.iterdir()} == {
            "grading-of-another-program",
            Path(first._scratch.name).name,
        }
        with Sandbox(seed=1, wanted=select("1.1"), box=Box("limits only")):
            assert first.kit.is_dir(), "a grader that is at work keeps its folder"
    assert [path.name for path in tmp_path.iterdir()] == ["grading-of-another-program"]


def test_a_worker_that_still_writes_while_the_grader_leaves_is_no_error(tmp_path, monkeypatch):
    """As one does for a moment after Ctrl-C: its own grader is killed, and then it is."""
    monkeypatch.setattr(sandbox.tempfile, "tempdir", str(tmp_path))
    with Sandbox(seed=1, wanted=select("1.1"), box=Box("limits only")) as first:
        busy = first.kit.parent / "worker"
        busy.mkdir()
        until = time.monotonic() + 0.5  # seconds

        def write():
            number = 0
            while time.monotonic() < until:
                with contextlib.suppress(OSError):
                    busy.mkdir(exist_ok=True)
                    (busy / str(number := number + 1)).touch()

        writer = threading.Thread(target=write)
        writer.start()
    writer.join()
    assert not list(tmp_path.iterdir())


# Where code cannot be confined


def without_confinement(monkeypatch) -> None:
    monkeypatch.setattr(sandbox.shutil, "which", lambda name: None)
    other_worker(monkeypatch, "worker.confine = lambda *a: None\nworker.main(*sys.argv[1:])")


def test_strangers_are_not_graded_where_their_code_cannot_be_confined(tmp_path, monkeypatch):
    folder = make_class(tmp_path / "class", "ann")
    without_confinement(monkeypatch)
    with pytest.raises(CourseError, match="start other processes.*bubblewrap.*--trusted"):
        grade(folder, tmp_path / "out")
    monkeypatch.setattr(Batch, "_grade_the_reference", lambda self: None)
    (ann,) = grade(folder, tmp_path / "out", trusted=True)
    assert ann.points == 2
    with Sandbox(seed=1, wanted=select("1.1"), trusted=True) as box:
        assert "submissions are not confined here: they could start" in box.warning


def test_a_system_without_the_processes_says_so(monkeypatch):
    monkeypatch.delattr(os, "fork")
    with pytest.raises(CourseError, match="WSL"):
        Sandbox(seed=1, wanted=select("1.1"))


READS = """
import os
for place in {places!r}:
    try:
        folder = os.open(place, os.O_RDONLY)
        text = os.read(os.open("solutions/ch01_noise_schedule.py", 0, dir_fd=folder), 10**6)
        exec(text)
    except OSError:
        pass
"""


def test_the_course_is_hidden_wherever_it_lies(tmp_path, monkeypatch):
    """Even if it is in a folder that the sandbox shows, as /usr/src/app would be."""
    monkeypatch.setattr(sandbox, "SYSTEM", (*sandbox.SYSTEM, str(ROOT)))
    text = READS.format(places=[str(ROOT), "/"]) + "def linear_betas(*a): return None\n"
    (tmp_path / f"{CH01}.py").write_text(text, encoding="utf-8")
    for which in (sandbox.shutil.which, lambda name: None):
        monkeypatch.setattr(sandbox.shutil, "which", which)
        with Sandbox(seed=1, wanted=select("1.1")) as box:
            results = batch.Grader(box.run(tmp_path), 1).grade(select("1.1"))
            assert box.leaks == [] and results[0].points == 0


def test_an_environment_in_the_course_is_seen_and_the_course_is_not(tmp_path, monkeypatch):
    for name in ("solutions", "checks", ".venv/lib/python3/site-packages", ".git", "course"):
        (tmp_path / name).mkdir(parents=True)
    monkeypatch.setattr(sandbox, "ROOT", tmp_path)
    monkeypatch.setattr(sandbox, "PACKAGE", tmp_path / "course")
    monkeypatch.setattr(sandbox, "_pythons", lambda: ["/usr", str(tmp_path / ".venv")])
    hidden = {path.name for path in hidden_places()}
    assert hidden == {"solutions", "checks", ".git", "course"}
    for name in ("bin", "lib", "pyvenv.cfg"):
        (tmp_path / name).mkdir()
    monkeypatch.setattr(sandbox, "_pythons", lambda: ["/usr", str(tmp_path)])
    assert {path.name for path in hidden_places()} >= {"solutions", "checks", ".git", "course"}
    assert not {path.name for path in hidden_places()} & {"bin", "lib", "pyvenv.cfg"}
    monkeypatch.setattr(sandbox, "_pythons", lambda: ["/usr", "/opt"])
    assert hidden_places() == [tmp_path, tmp_path / "course"]


# Memory


def test_as_many_run_at_once_as_there_is_memory_for(monkeypatch):
    monkeypatch.setattr(batch.os, "cpu_count", lambda: 8)
    monkeypatch.setattr(batch, "memory_here", lambda: batch.memory_needed(3) + 1)
    assert batch._jobs_that_fit() == 3
    monkeypatch.setattr(batch, "memory_here", lambda: 1 << 40)
    assert batch._jobs_that_fit() == 8
    monkeypatch.setattr(batch, "memory_here", lambda: 256 << 20)
    with pytest.raises(CourseError, match="here are 256 MB.*build for CPUs"):
        batch._jobs_that_fit()


@pytest.mark.parametrize(
    "cgroup, file",
    [
        ("0::/box", "box/memory.max"),
        ("0::/", "memory.max"),
        ("4:memory:/box\n3:cpu:/", "memory/box/memory.limit_in_bytes"),
    ],
)
def test_the_limit_of_a_container_is_known(tmp_path, monkeypatch, cgroup, file):
    (tmp_path / "cgroup").write_text(cgroup)
    (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / file).write_text(f"{768 << 20}\n")
    places = {"/sys/fs/cgroup": tmp_path, "/proc/self/cgroup": tmp_path / "cgroup"}
    monkeypatch.setattr(sandbox, "Path", lambda place: places.get(place, Path(place)))
    assert sandbox.memory_here() == 768 << 20
    (tmp_path / file).write_text("max\n")
    assert sandbox.memory_here() > 768 << 20


# Time limits


def endless() -> None:
    while True:
        pass


def test_a_limit_inside_another_leaves_the_outer_one_on():
    with pytest.raises(OutOfTime):
        with time_limit(0.5):
            with time_limit(30.0):
                pass
            endless()
    assert signal.getitimer(signal.ITIMER_PROF) == signal.getitimer(signal.ITIMER_REAL) == (0, 0)


def test_code_that_waits_has_a_limit_too():
    start = time.monotonic()
    with pytest.raises(OutOfTime):
        with time_limit(0.2, wait=2.0):
            time.sleep(30)
    assert time.monotonic() - start < 10


@pytest.mark.parametrize("where", ["a thread", "Windows"])
def test_there_is_a_limit_where_no_signals_come(monkeypatch, where):
    ended = []

    def run():
        try:
            with time_limit(0.1, wait=2.0):
                endless()
        except OutOfTime:
            ended.append("out of time")
        with time_limit(30.0):
            ended.append("another block is not interrupted")

    if where == "Windows":
        monkeypatch.delattr(signal, "SIGPROF")
        run()
    else:
        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        thread.join(60)
    assert ended == ["out of time", "another block is not interrupted"]
