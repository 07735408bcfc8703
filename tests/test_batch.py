"""course grade: strangers' code gets what it earned, and hurts nobody."""

import csv
import signal
import socket
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save

from course import ROOT, CourseError
from course.classroom.batch import Batch
from course.classroom.results import SubmissionResult
from course.classroom.sandbox import Box, Sandbox, keep_bytecode
from course.cli import main
from course.grading.checking import checks_of, draw_inputs
from course.grading.code import LocalCode, reference_evidence
from course.grading.grader import Grader
from course.probing import worker
from course.probing.evidence import Other, TooMuch, Unreadable, pack, type_name, unpack
from course.probing.observing import same
from course.syllabus import FAILED, PASSED, exercises, select
from tests.collected import find_submissions
from tests.hostile import CH01, HONEST, HOSTILE, Hostile

# The trick is in 1.1. Two exercises of the honest chapter tell whether that keeps its points.
GRADED = (*select("1.1"), *select("1.2"), *select("4.1"), *select("4.3"))
TRICKED, EARNED = (
    sum(exercise.points for exercise in GRADED if exercise.chapter == chapter)
    for chapter in (CH01, HONEST)
)


@pytest.fixture
def listener():
    """A server that counts who connects to it."""
    server = socket.create_server(("127.0.0.1", 0))
    connected = []

    def accept():
        while True:
            try:
                connected.append(server.accept())
            except OSError:
                return

    threading.Thread(target=accept, daemon=True).start()
    yield server.getsockname()[1], connected
    server.close()


def make_bank(folder: Path, port: int) -> None:
    """All hostile submissions, two honest ones, and one that is a link."""
    for hostile in HOSTILE:
        replace(hostile, body=hostile.body.replace("PORT", str(port))).write(folder / hostile.name)
    for name in ("a right one", "the last right one", "a link to the solution"):
        (folder / name).mkdir()
        for chapter in (CH01, HONEST):
            solution = ROOT / "solutions" / f"{chapter}.py"
            if name == "a link to the solution" and chapter == CH01:
                (folder / name / solution.name).symlink_to(solution)
            else:
                (folder / name / solution.name).write_bytes(solution.read_bytes())


def points(result: SubmissionResult, chapter: str) -> int:
    return sum(e.points for e in result.exercises if e.id.startswith(f"{int(chapter)}."))


def complaint(hostile: Hostile, result: SubmissionResult) -> str:
    """What is wrong with the result of a hostile submission; empty if it got what it earned."""
    message = next(e.message for e in result.exercises if e.id == "1.1")
    if points(result, "01") or result.points > EARNED:
        return f"{hostile.name} got points that it did not earn"
    if hostile.keeps_rest and result.points != EARNED:
        return f"{hostile.name}: the honest chapter beside it lost points"
    if hostile.words not in message or "Traceback" in message or result.problem:
        return f"{hostile.name}: {message} {result.problem}"
    return ""


# One test and not many, so that the batch runs once. What is to be stopped is stopped soon: the
# seconds of `patience` are many for the others.
@pytest.mark.xdist_group("hostile")
def test_hostile_submissions_get_what_they_earned_and_hurt_nobody(tmp_path, listener):
    with Sandbox(seed=0, wanted=select("1.1")) as sandbox:
        if sandbox.box.name != "bubblewrap":
            pytest.skip("needs bubblewrap")
    port, connected = listener
    make_bank(tmp_path / "class", port)
    submissions = find_submissions([tmp_path / "class"])
    batch = Batch(submissions, tmp_path / "out", GRADED, jobs=2, patience=5.0)
    results = {result.name: result for result in batch.grade(quiet=True)}

    assert [c for h in HOSTILE if (c := complaint(h, results[h.name]))] == []
    for name in ("a right one", "the last right one"):
        right = results[name]
        assert (points(right, "01"), points(right, "04")) == (TRICKED, EARNED)
    link = results["a link to the solution"]
    assert (points(link, "01"), points(link, "04")) == (0, EARNED)

    places = [ROOT, Path.home(), Path("/"), Path("/tmp")]
    assert not [place for place in places if (place / "hostile_was_here").exists()]
    assert not connected, "a submission reached the network"
    running = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True).stdout
    assert str(batch.sandbox.kit) not in running, "a process is left behind"


def test_a_link_to_a_folder_is_not_followed(tmp_path):
    """Neither a whole submission nor its `exercises` can be the solutions by another name."""
    everyone = tmp_path / "class"
    (everyone / "eve").mkdir(parents=True)
    (everyone / "eve" / "exercises").symlink_to(ROOT / "solutions")
    (everyone / "mallory").symlink_to(ROOT / "solutions")
    (tmp_path / "link").symlink_to(everyone)  # what the instructor names may be a link
    batch = Batch(find_submissions([tmp_path / "link"]), tmp_path / "out", wanted=select("1.1"))
    results = batch.grade(quiet=True)
    assert [result.name for result in results] == ["eve", "mallory"]
    for result in results:
        assert result.points == 0 and "no chapter file in it" in result.problem


def test_bytecode_is_kept_for_workers_that_may_not_write_it(tmp_path, monkeypatch):
    """As after an installation that compiles nothing."""
    for name, text in (("outer", "import inner"), ("inner", "")):
        (tmp_path / f"{name}.py").write_text(text)
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.syspath_prepend(tmp_path)
    keep_bytecode("outer", "inner")
    kept = [tmp_path / f"__pycache__/{name}.{sys.implementation.cache_tag}.pyc" for name in
            ("outer", "inner")]  # fmt: skip
    assert all(file.is_file() for file in kept)
    kept[0].unlink()
    keep_bytecode("outer", "inner")  # what it looks at is there
    assert not kept[0].exists()


# Without bubblewrap


WITHOUT_BUBBLEWRAP = (
    "imports the solutions",
    "puts the course on its path and imports the solutions",
    "reads the solutions",
    "os._exit when called",
    "opens a socket",
    "starts processes",
    "starts programs by the back door",
    "kills the process above by a descriptor",
    "reads the solutions by a folder's descriptor",
    "reads the solutions from the folder above",
    "writes files elsewhere",
)


@pytest.mark.parametrize("name", WITHOUT_BUBBLEWRAP)
def test_limits_alone_refuse_the_plain_tricks(name, tmp_path, limits_only):
    """With the audit hook and without: it is not what holds."""
    hostile = next(h for h in HOSTILE if h.name == name)
    replace(hostile, body=hostile.body.replace("PORT", "9")).write(tmp_path / "one")
    results = Grader(limits_only.run(tmp_path / "one"), limits_only.seed).grade(select("1.1"))
    assert [r.exercise.id for r in results if r.status == PASSED] == []
    assert not (ROOT / "hostile_was_here").exists()


WITHOUT_HOOK = "worker._forbid = lambda hidden: None"


@pytest.fixture(scope="module", params=["", WITHOUT_HOOK], ids=["hook", "no hook"])
def limits_only(request):
    program = f"import sys\nfrom course.probing import worker\n{request.param}\n"
    program += "worker.main(*sys.argv[1:])"

    def command(kit, submission):
        return [sys.executable, "-P", "-c", program, str(submission), str(kit / "job")]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("course.classroom.sandbox._worker", command)
        with Sandbox(seed=3, wanted=select("1.1"), box=Box("limits only")) as sandbox:
            yield sandbox


COUNTING = """
import sys
from course.probing import worker
apart, started = worker._Submission.run_apart, []
def run_apart(self, exercise):
    started.append(exercise["id"][0])
    assert started.count("1") < 2, "waits once more"
    return apart(self, exercise)
worker._Submission.run_apart = run_apart
worker.main(*sys.argv[1:])
"""


@pytest.mark.parametrize(
    "top, words",
    [
        ("while True: pass", "its import was stopped after 3 seconds"),
        (
            "while True:\n    try:\n        sum(range(1000))\n    except BaseException: pass",
            "stopped after 3 seconds. Is there an endless loop?",
        ),
    ],
)
def test_an_import_without_end_is_waited_for_once_a_chapter(monkeypatch, tmp_path, top, words):
    """All of the chapter's exercises say so, and the chapters after it are graded."""

    def counting(kit, submission):
        return [sys.executable, "-P", "-c", COUNTING, str(submission), str(kit / "job")]

    monkeypatch.setattr("course.classroom.sandbox._worker", counting)
    for chapter, above in ((CH01, top), ("ch02_forward_process", "")):
        text = (ROOT / "solutions" / f"{chapter}.py").read_text()
        (tmp_path / f"{chapter}.py").write_text(f"{above}\n{text}")
    box = Box("limits only")
    wanted = (*select("01"), *select("2.1"))
    with Sandbox(seed=3, wanted=wanted, patience=3.0, box=box) as sandbox:
        found = Grader(sandbox.run(tmp_path), sandbox.seed).grade(wanted)
    first = [result for result in found if result.exercise.id.startswith("1.")]
    second = [result for result in found if result.exercise.id.startswith("2.")]
    assert [r.message for r in first if words not in r.message] == []
    assert [r.message for r in second if r.status != PASSED] == []


def test_limits_alone_grade_the_reference(limits_only):
    results = Grader(limits_only.run(ROOT / "solutions"), limits_only.seed).grade(select("1.1"))
    assert [r.message for r in results if r.status != PASSED] == []


def test_a_worker_that_does_not_start_is_no_fault_of_the_submission(monkeypatch, tmp_path):
    monkeypatch.setattr("course.classroom.sandbox._worker", lambda *_: ["/no/such/program"])
    with pytest.raises(CourseError, match="no process for submissions can be started"):
        Sandbox(seed=1, wanted=select("1.1"))


# Batches


def make_class(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).mkdir(parents=True)
        solution = ROOT / "solutions" / f"{CH01}.py"
        (folder / name / solution.name).write_bytes(solution.read_bytes())
    return folder


def arguments(folder: Path, out: Path) -> list[str]:
    return ["grade", str(folder), "--only", "1.1", "--jobs", "1", "--out", str(out)]


def kept(out: Path) -> dict[str, float]:
    return {file.name: file.stat().st_mtime_ns for file in (out / "graded").glob("*.json")}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL], ids=lambda n: n.name)
def test_an_interrupted_batch_goes_on_where_it_stopped(tmp_path, number):
    folder, out = make_class(tmp_path / "class", "a", "b", "c"), tmp_path / "out"
    command = [sys.executable, "-m", "course.cli", *arguments(folder, out)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE)
    while not kept(out):
        assert process.poll() is None, process.communicate()[0].decode()
        time.sleep(0.05)
    process.send_signal(number)
    said = process.communicate(timeout=60)[0].decode()
    if number == signal.SIGINT:
        assert process.returncode == 130, said
        assert "the same command goes on" in said
    before = kept(out)
    assert 1 <= len(before) < 3
    assert main(arguments(folder, out)) == 0
    after = kept(out)
    assert len(after) == 3
    assert all(after[name] == when for name, when in before.items()), "graded twice"
    rows = list(csv.DictReader((out / "grades.csv").open(newline="")))
    assert [(row["name"], row["points"]) for row in rows] == [("a", "2"), ("b", "2"), ("c", "2")]


def test_what_changed_is_graded_again_and_a_damaged_result_too(tmp_path):
    folder, out = make_class(tmp_path / "class", "a", "b"), tmp_path / "out"

    def grade() -> list[int]:
        batch = Batch(find_submissions([folder]), out, wanted=select("1.1"), jobs=2)
        return [result.points for result in batch.grade(quiet=True)]

    assert grade() == [2, 2]
    for file in (out / "graded").glob("*.json"):
        file.write_text("{", encoding="utf-8")
    (folder / "b" / f"{CH01}.py").write_text("def linear_betas(*a): return None\n")
    assert grade() == [2, 0]


def test_a_folder_without_chapters_is_told_and_stops_nothing(tmp_path):
    folder = make_class(tmp_path / "class", "a")
    (folder / "empty").mkdir()
    results = Batch(find_submissions([folder]), tmp_path / "out", wanted=select("1.1")).grade(
        quiet=True
    )
    assert [(r.name, r.points) for r in results] == [("a", 2), ("empty", 0)]
    assert "no chapter file in it" in results[1].problem


IMPORTS = {
    "from exercises.ch01_noise_schedule import compute_alpha_bars": "'exercises.ch01_noise_",
    "from ch01_noise_schedule import compute_alpha_bars": "'ch01_noise_schedule'",
    "from .ch01_noise_schedule import compute_alpha_bars": "'.ch01_noise_schedule'",
    "import my_helpers": "'my_helpers'",
    "from course.model.data import load_images": "'course.model'",
}


def test_what_is_not_there_where_it_is_graded_is_refused_at_home_too(tmp_path, monkeypatch):
    wanted = select("2.1")
    text = (ROOT / "solutions" / "ch02_forward_process.py").read_text(encoding="utf-8")
    guarded = "".join(
        f"try:\n    {line}\nexcept ImportError:\n    pass\nif __name__ == '__main__':\n    {line}\n"
        for line in IMPORTS
    )
    for number, line in enumerate([*IMPORTS, guarded, "import random, torch.nn"]):
        folder = tmp_path / "class" / str(number)
        folder.mkdir(parents=True)
        (folder / "ch02_forward_process.py").write_text(f"{text}\n{line}\n", encoding="utf-8")
        for name in ("my_helpers", "random", "torch", "ch01_noise_schedule"):
            (folder / f"{name}.py").write_text("compute_alpha_bars = None\n")
    found = find_submissions([tmp_path / "class"])
    graded = Batch(found, tmp_path / "out", wanted).grade(quiet=True)
    for result, name in zip(sorted(graded, key=lambda r: int(r.name)), [*IMPORTS.values(), "", ""]):
        folder = tmp_path / "class" / result.name
        monkeypatch.chdir(folder)
        monkeypatch.syspath_prepend(folder)
        (home,) = Grader(LocalCode(folder)).grade(wanted)
        assert (home.status, home.points) == (result.exercises[0].status, result.points)
        assert home.status == (FAILED if name else PASSED), home.message
        if name:
            assert f"No module named {name}" in home.message
            assert f"No module named {name}" in result.exercises[0].message
            assert "arrives as an argument" in home.message


# What crosses


@pytest.mark.parametrize("exercise", exercises(), ids=lambda e: e.id)
def test_evidence_and_inputs_survive_the_crossing(exercise):
    for check in checks_of(exercise.id):
        evidence, inputs = reference_evidence(check, 4), draw_inputs(check, 4)
        assert same(unpack(pack(evidence)), evidence, exact=True), check.title
        assert same(unpack(pack(inputs)), inputs, exact=True), check.title


def test_what_is_no_plain_data_crosses_by_its_name():
    class Thing:
        pass

    value = unpack(pack({"a": [Thing(), (1, None)], 2: torch.zeros(3, dtype=torch.complex64)}))
    assert type_name(value["a"][0]) == "Thing" and value["a"][1] == (1, None)
    assert value[2].shape == (3,) and value[2].dtype == torch.complex64


@pytest.mark.parametrize("content", [b"", b"rubbish", b"\x00" * 100, pack({"a": 1})[:-3]])
def test_bytes_that_were_not_packed_are_refused(content):
    with pytest.raises(Unreadable):
        unpack(content)


@pytest.mark.parametrize("name", [None, "/tmp/own.so", f"{sys.prefix}/../own.so"])
def test_c_code_is_only_what_belongs_to_pythons_packages(name, monkeypatch):
    hook = worker._make_hook(own="/tmp", hidden=[])
    monkeypatch.setattr(sys, "prefix", "/tmp")  # as a submission may
    with pytest.raises(PermissionError, match="C code"):
        hook("ctypes.dlopen", (name,))


# A class of learners


def test_right_code_may_use_what_is_installed(tmp_path):
    """Libraries load parts of theirs in C, write caches and look for programs."""
    text = (ROOT / "solutions" / f"{CH01}.py").read_text(encoding="utf-8")
    imports = "import matplotlib.pyplot, numpy, scipy.stats, sklearn, torchvision.utils\n"
    (tmp_path / f"{CH01}.py").write_text(f"{text}\n{imports}", encoding="utf-8")
    for box in (None, Box("limits only")):
        with Sandbox(seed=8, wanted=select("1.1"), box=box) as sandbox:
            results = Grader(sandbox.run(tmp_path), 8).grade(select("1.1"))
        assert [r.message for r in results if r.status != PASSED] == []


def test_the_sandbox_names_the_same_misconceptions_as_a_learners_own_check(tmp_path):
    """A wrong file gets, in the sandbox, the message that the learner gets at home."""
    text = (ROOT / "solutions" / f"{CH01}.py").read_text(encoding="utf-8")
    wrong = text.replace("** 2  # (T+1,)", "# (T+1,)").replace("(signal / noise)", "(noise)")
    (tmp_path / f"{CH01}.py").write_text(wrong, encoding="utf-8")
    with Sandbox(seed=8, wanted=select("01")) as sandbox:
        apart = Grader(sandbox.run(tmp_path), 8).grade(select("01"))
    here = Grader(LocalCode(tmp_path), 8).grade(select("01"))
    assert [r.message for r in apart] == [r.message for r in here]
    assert [r.exercise.id for r in apart if r.status == FAILED] == ["1.2", "1.4"]
    assert "the cosine is not squared" in apart[1].message


@pytest.mark.parametrize(
    "value", [["x"] * 60_000, ["x" * 3_000_000], [torch.zeros(400_000, dtype=torch.float64)] * 4]
)
def test_evidence_has_bounds_and_the_graders_own_data_has_none(value):
    with pytest.raises(TooMuch):
        pack(value)
    content = pack(value, bounded=False)
    assert same(unpack(content, bounded=False), value, exact=True)
    with pytest.raises(Unreadable):
        unpack(content)


@pytest.mark.parametrize(
    "tensor",
    [
        torch.arange(24.0).view(2, 3, 4).transpose(1, 2),
        torch.arange(24).view(4, 6)[1:, ::2],
        torch.arange(3.0).view(3, 1).expand(3, 5),
    ],
    ids=["transposed", "cut out", "expanded"],
)
def test_the_graders_own_data_keeps_its_layout(tensor):
    content = pack([tensor], bounded=False)
    (there,) = unpack(content, bounded=False)
    assert torch.equal(there, tensor) and there.stride() == tensor.stride()
    with pytest.raises(Unreadable):
        unpack(content)
    assert unpack(pack([tensor]))[0].is_contiguous()


SIX, EIGHT = "ch06_guided_sampling", "ch08_evaluation"
NOISE, GUESS = "sigma_squared.sqrt() * noise", "    x0 = predict_x0(x_t,"


@pytest.mark.parametrize(
    "chapter, exercise, old, new, told",
    [
        # Images that are not contiguous in memory: it decides what fails, and what is drawn.
        (SIX, "6.1", NOISE, NOISE.replace("noise", "torch.randn_like(x_t)"), "drawn inside"),
        (SIX, "6.1", GUESS, GUESS.replace("x_t", "x_t.view(-1).view_as(x_t)"), "view size"),
        # One result is too large to be kept.
        (EIGHT, "8.2", "= features - mean", "= (features - mean).T", "of the images"),
    ],
    ids=["drawn", "view", "large"],
)
def test_the_sandbox_says_what_a_learners_own_check_says(
    chapter, exercise, old, new, told, tmp_path
):
    text = (ROOT / "solutions" / f"{chapter}.py").read_text(encoding="utf-8")
    assert old in text
    (tmp_path / f"{chapter}.py").write_text(text.replace(old, new, 1), encoding="utf-8")
    with Sandbox(seed=8, wanted=select(exercise)) as sandbox:
        (apart,) = Grader(sandbox.run(tmp_path), 8).grade(select(exercise))
    (here,) = Grader(LocalCode(tmp_path), 8).grade(select(exercise))
    assert apart.message == here.message and told in here.message


def test_numbers_of_many_digits_do_not_cross():
    assert unpack(pack([10**30, 2**62])) == [Other("very large int"), 2**62]
    for digits, kept in ((20, True), (4300, False)):
        tree = bytearray(f'["value", {"1" * digits}]', "ascii")
        content = save({"tree": torch.frombuffer(tree, dtype=torch.uint8)})
        if kept:
            assert unpack(content) == int("1" * digits)
        else:
            with pytest.raises(Unreadable, match="so many digits"):
                unpack(content)
