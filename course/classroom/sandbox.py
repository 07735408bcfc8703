"""Run a stranger's chapter files apart from the grader, and bring back what the probes saw.

The process of the code under test never holds expected values, the reference or a verdict. It may
start no programs and processes, use no network, and read and write few files. With bubblewrap it
does not even see them; without, Linux refuses them. What holds is tried in the process itself
before anything is graded, and where something does not hold, only trusted code is graded.
"""

import contextlib
import importlib.util
import json
import math
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from course import PACKAGE, ROOT, CourseError, packed
from course.classroom.collecting import chapter_file
from course.files import locked
from course.grading.checking import Check, checks_of, draw_inputs
from course.probing.evidence import (
    DONE,
    PROBLEM,
    READY,
    REST,
    Unreadable,
    pack,
    read_message,
    unpack,
)
from course.probing.observing import IMPORT_SECONDS, Observation, no_result
from course.probing.text import one_line
from course.syllabus import Exercise, chapters

NOBODY = 65534
SECONDS = 300.0  # for all exercises of one submission
MEMORY = 2 << 30  # bytes for the code under test, beyond what Python and torch take
MEMORY_AT_LEAST = 128 << 20
BUSY = 4  # times as many seconds may pass by the clock, and START_SECONDS
START_SECONDS = 120.0
# Of the system, what Python and its packages may need.
SYSTEM = ("/usr", "/lib", "/lib64", "/bin", "/etc/ld.so.cache", "/etc/alternatives")
DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom")
ABOUT = ("/proc/self", "/proc/cpuinfo", "/proc/meminfo", "/proc/stat", "/proc/sys/vm", "/etc/fonts")
ABOUT += ("/sys/devices/system", "/etc/localtime", "/etc/mime.types")
IN_ENVIRONMENT = {"bin", "etc", "include", "lib", "lib64", "share", "pyvenv.cfg"}


class CannotGrade(CourseError):
    """A submission could not be graded, which is no fault of the code in it."""


class BoxedCode:
    """A submission whose code has run in a sandbox: what the probes saw there.

    Args:
        folder: with its chapter files.
        seed: of the inputs.
        seen: by exercise and number of the check the bytes that came back, and whether the
            process had too little of the machine by then.
    """

    def __init__(self, folder: Path, seed: int, seen: dict[tuple[str, Any], tuple[bytes, bool]]):
        self.folder, self.seed, self._seen = folder, seed, seen

    def path(self, chapter: str) -> Path:
        return self.folder / f"{chapter}.py"

    def problem(self, exercise: Exercise) -> str:
        """Why the exercise's functions cannot be had; empty if they can."""
        if not chapter_file(self.folder, exercise.chapter):
            return f"{exercise.chapter}.py is not in the submission"
        content, starved = self._seen.get((exercise.id, 0), (None, False))
        if content is None:
            return self._rest(exercise.id).raised
        problem = _read(content)
        if not isinstance(problem, str):
            return "its process sent something that no probe sends"
        if problem and starved:
            raise CannotGrade(TOO_BUSY)
        return problem

    def observe(self, check: Check, seed: int) -> Observation:
        """What the probe of one check saw.

        Raises:
            CannotGrade: if it was the machine that had no time for it.
        """
        if seed != self.seed:
            raise ValueError(f"the code ran with seed {self.seed}, not {seed}")
        number = checks_of(check.exercise).index(check) + 1
        content, starved = self._seen.get((check.exercise, number), (None, False))
        if content is None:
            return self._rest(check.exercise)
        return _observation(content, starved, draw_inputs(check, seed))

    def _rest(self, exercise_id: str) -> Observation:
        """What stands for the observations that never came."""
        content, starved = self._seen.get((exercise_id, REST), (None, False))
        if content is None:
            return no_result("the submission ended the grading, or used up its time, before this")
        return _observation(content, starved, {})


TOO_BUSY = "the machine was too busy with other programs: try again, or with fewer --jobs"


def _read(content: bytes) -> Any:
    try:
        return unpack(content)
    except Unreadable:
        return None


FIELDS = {"evidence": (dict, type(None)), "raised": str, "error": str, "unwritten": str}
FIELDS |= {"changed": tuple, "out_of_time": bool}


def _observation(content: bytes, starved: bool, inputs: dict) -> Observation:
    """An observation from its bytes, which may be forged."""
    value = _read(content)
    fits = isinstance(value, dict) and value.keys() == FIELDS.keys()
    fits = fits and all(isinstance(value[name], kinds) for name, kinds in FIELDS.items())
    if not fits or not all(isinstance(name, str) and name in inputs for name in value["changed"]):
        return no_result("its process sent something that no probe sends")
    if value["out_of_time"] and starved:
        raise CannotGrade(TOO_BUSY)
    return Observation(**value)


@dataclass(frozen=True)
class Box:
    """One way to start the worker."""

    name: str  # "bubblewrap" or "limits only"
    user: int | None = None  # the user to become; None for the present one

    def command(self, kit: Path, submission: Path) -> list[str]:
        """The worker's command line.

        Args:
            kit: the folder that `Sandbox` prepared.
            submission: a folder with chapter files.
        """
        if self.name == "bubblewrap":
            return [*_bubblewrap(kit, submission), *_worker(Path("/kit"), Path("/submission"))]
        return _worker(kit, submission)


def _worker(kit: Path, submission: Path) -> list[str]:
    # Called as ../venv/bin/python, Python keeps the dots, and the box may lack what is before them.
    python = os.path.abspath(sys.executable)
    return [python, "-P", "-m", "course.probing.worker", str(submission), str(kit / "job")]


def _bubblewrap(kit: Path, submission: Path) -> list[str]:
    """Namespaces of its own, and a read-only view of Python, the kit and the submission."""
    mounts = [part for place in SYSTEM for part in ("--ro-bind-try", place, place)]
    for place in _pythons():
        mounts += ["--ro-bind", place, place]
    covers = [cover for place in (*SYSTEM, *_pythons()) for cover in _hidden_in(Path(place))]
    for cover in dict.fromkeys(covers):
        mounts += ["--tmpfs", str(cover)] if cover.is_dir() else NOTHING_AT + [str(cover)]
    return [
        *("bwrap", "--unshare-all", "--die-with-parent", "--new-session"),
        *("--uid", str(NOBODY), "--gid", str(NOBODY)),
        # /tmp first: Python itself may lie below it.
        *("--proc", "/proc", "--dev", "/dev", "--size", str(64 << 20), "--tmpfs", "/tmp"),
        *mounts,
        *("--ro-bind", str(kit), "/kit", "--ro-bind", str(submission), "/submission"),
        *("--remount-ro", "/dev"),  # with its /dev/shm: what is written there has no bounds
        *("--chdir", "/tmp", "--setenv", "PYTHONPATH", "/kit"),
        *("--setenv", "HOME", "/tmp", "--setenv", "TMPDIR", "/tmp", "--"),
    ]


NOTHING_AT = ["--ro-bind", "/dev/null"]


def _pythons() -> list[str]:
    """The folders of Python and its packages."""
    return list(dict.fromkeys([sys.base_prefix, sys.prefix, *_packages_elsewhere()]))


def hidden_places() -> list[Path]:
    """The course, wherever it lies, but for a Python that lies in it.

    Not the solutions alone: they are in the history of a clone, too, and tests speak of them.
    """
    needed = [Path(place).resolve() for place in _pythons()]
    return list(dict.fromkeys(place for top in (ROOT, PACKAGE) for place in _hidden(top, needed)))


def _hidden(place: Path, needed: list[Path]) -> list[Path]:
    if not any(other.is_relative_to(place) for other in needed):
        return [place]
    if not place.is_dir():
        return []
    inside = sorted(place.iterdir())
    if place in needed:  # the environment was made in the course's own folder
        inside = [path for path in inside if path.name not in IN_ENVIRONMENT]
    return [path for one in inside for path in _hidden(one, needed)]


def _hidden_in(place: Path) -> list[Path]:
    """What must not be seen of a folder, as paths that begin with it."""
    real = place.resolve()
    return [place / path.relative_to(real) for path in hidden_places() if path.is_relative_to(real)]


def _packages_elsewhere() -> list[str]:
    """Folders with packages outside of the places where Python itself lies."""
    return [
        place
        for place in sys.path
        if place.endswith(("site-packages", "dist-packages"))
        and not place.startswith((sys.prefix, sys.base_prefix))
        and os.path.isdir(place)
    ]


class Sandbox:
    """Runs submissions on the same freshly drawn inputs, each in a process of its own.

    Use it in a `with` statement: it keeps files in a temporary folder.

    Args:
        seed: of the inputs.
        wanted: the exercises that are run.
        seconds: for all exercises of one submission together.
        patience: for one import or one check, where that is less than their own seconds.
        box: how to run the code; the strongest way that works here if left out.
        jobs: how many run at the same time, which share the memory.
        trusted: run the code also where it cannot be confined.

    Raises:
        CourseError: if no process can be started, or none that confines the code.
    """

    def __init__(
        self,
        seed: int,
        wanted: tuple[Exercise, ...],
        seconds: float = SECONDS,
        patience: float = math.inf,
        box: Box | None = None,
        jobs: int = 1,
        trusted: bool = False,
    ):
        if not hasattr(os, "fork"):
            raise CourseError(
                "submissions are graded in processes that this system does not have; on Windows "
                "grade them in the Windows Subsystem for Linux (WSL)"
            )
        self.seed, self.seconds = seed, seconds
        keep_bytecode("torch._dynamo", "torch", "sympy")
        _remove_what_was_left()
        self._scratch = tempfile.TemporaryDirectory(prefix=SCRATCH)
        self._held = contextlib.ExitStack()
        self._held.enter_context(locked(Path(self._scratch.name) / LOCK))
        self.kit = Path(self._scratch.name) / "kit"
        self.kit.mkdir()
        for folder in (self.kit, self.kit.parent):
            folder.chmod(0o755)
        _fill_kit(self.kit, _job(wanted, seed, seconds, patience, self.kit, jobs))
        self.leaks: list[str] = []  # what the code could do although it should not
        self.box = box or self._best_box(trusted)

    def __enter__(self) -> "Sandbox":
        return self

    def __exit__(self, *_) -> None:
        self._held.close()
        _clean(self._scratch)

    @property
    def warning(self) -> str:
        """What an instructor should know about how the code runs; empty if it is confined."""
        if not self.leaks:
            return ""
        return f"submissions are not confined here: they could {_listed(self.leaks)}"

    def run(self, folder: Path) -> BoxedCode:
        """Run the probes on the chapter files of a folder. Nothing else in it is looked at.

        Raises:
            CannotGrade: if something else than the code in it kept the worker from its work.
        """
        with tempfile.TemporaryDirectory(prefix="submission-", dir=self._scratch.name) as name:
            copied = Path(name)
            copied.chmod(0o755)
            for chapter in chapters():
                try:
                    if file := chapter_file(folder, chapter.name):
                        (copied / file.name).write_bytes(packed.read(file))
                        (copied / file.name).chmod(0o644)
                except OSError as error:
                    reason = error.strerror or error
                    raise CannotGrade(f"{chapter.name}.py cannot be read: {reason}") from None
            messages, end = self._start(self.box, copied)
        if messages[:1] != [READY]:
            raise CannotGrade(f"the process for the submission did not start: {end}")
        if messages[-1] != DONE:
            raise CannotGrade(f"the process for the submission did not come to its end: {end}")
        return BoxedCode(folder, self.seed, _sort(messages[2:-1]))

    def _best_box(self, trusted: bool) -> Box:
        """The first box that confines the code or, if the code is trusted, that works at all."""
        boxes = [Box("limits only")]
        if os.geteuid() == 0:
            boxes.insert(0, Box("limits only", user=NOBODY))
        if shutil.which("bwrap"):
            boxes.insert(0, Box("bubblewrap"))
        working: list[tuple[Box, list[str]]] = []
        end = ""
        for box in boxes:
            with tempfile.TemporaryDirectory(dir=self._scratch.name) as empty:
                Path(empty).chmod(0o755)
                try:
                    messages, end = self._start(box, Path(empty))
                except OSError as error:  # another user may not be allowed to run this Python
                    messages, end = [], str(error)
            if messages[:1] == [READY] and messages[-1] == DONE:
                leaks = json.loads(messages[1])
                if not leaks:
                    return box
                working.append((box, leaks))
        if not working:
            raise CourseError(f"no process for submissions can be started here: {end}")
        box, self.leaks = min(working, key=lambda one: len(one[1]))
        if not trusted:
            raise CourseError(
                f"submissions cannot be confined here: they could {_listed(self.leaks)}. Install "
                "bubblewrap (Debian, Ubuntu: apt install bubblewrap) where it may be used, or, if "
                "you trust everyone's code, give --trusted"
            )
        return box

    def _start(self, box: Box, submission: Path) -> tuple[list[bytes], str]:
        """Run the worker; the messages that it wrote, and in words how it ended."""
        with (
            tempfile.TemporaryDirectory(
                prefix="worker-", dir=self._scratch.name, ignore_cleanup_errors=True
            ) as home,
            tempfile.TemporaryFile(dir=self._scratch.name) as out,
            tempfile.TemporaryFile(dir=self._scratch.name) as errors,
        ):
            os.chmod(home, 0o777)
            process = subprocess.Popen(
                box.command(self.kit, submission),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=errors,
                cwd=home,
                env={
                    "PATH": os.defpath,
                    "PYTHONPATH": str(self.kit),
                    "PYTHONDONTWRITEBYTECODE": "1",
                    "OMP_NUM_THREADS": "1",
                    "HOME": home,
                    "TMPDIR": home,
                },
                user=box.user,
                group=box.user,
                extra_groups=[] if box.user else None,
                start_new_session=True,
            )
            try:
                process.wait(BUSY * self.seconds + START_SECONDS)
                end = _how_it_ended(process.returncode)
            except subprocess.TimeoutExpired:
                end = f"after {BUSY * self.seconds + START_SECONDS:g} seconds it still ran"
            finally:
                _kill_group(process)
            out.seek(0)
            errors.seek(0)
            messages = []
            while (message := read_message(out)) is not None:
                messages.append(message)
            complaint = errors.read()[-2000:].decode(errors="replace").strip()
            return messages, one_line(f"{end} {complaint[-400:]}", 500)


def keep_bytecode(module: str, *packages: str) -> None:
    """Have Python keep the bytecode of a module that every worker imports, and of all it imports.

    A worker may not write where packages lie. After an installation that compiles nothing, as uv's,
    each of them would compile them anew, which takes longer than to grade.

    Args:
        packages: some that it imports: if all have theirs, nothing is done.
    """
    sources = [spec.origin for name in packages if (spec := importlib.util.find_spec(name))]
    if all(Path(importlib.util.cache_from_source(source)).is_file() for source in sources):
        return
    allowed = {key: v for key, v in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    subprocess.run([sys.executable, "-c", f"import {module}"], env=allowed, capture_output=True)


SCRATCH, LOCK = "grading-", "lock"  # a folder in the system's temporary one, and a file in it


def _clean(scratch: tempfile.TemporaryDirectory, patience: float = 5.0) -> None:
    """Remove the folder. A worker whose grader was just killed may write into it for a moment."""
    until = time.monotonic() + patience  # seconds
    while True:
        try:
            return scratch.cleanup()
        except OSError:
            if time.monotonic() > until:
                return  # what is left is no reason to lose what was graded
            time.sleep(0.05)


def _remove_what_was_left() -> None:
    """Remove the folders of graders that were killed: nobody holds their lock any more."""
    for folder in Path(tempfile.gettempdir()).glob(f"{SCRATCH}*"):
        with contextlib.suppress(OSError):
            own = folder.lstat().st_uid == os.geteuid() and not folder.is_symlink()
            if own and (folder / LOCK).is_file():
                with locked(folder / LOCK) as free:
                    if free:
                        shutil.rmtree(folder, ignore_errors=True)


def _listed(leaks: list[str]) -> str:
    return ", ".join(leaks)


def _how_it_ended(code: int) -> str:
    """An exit status in words. Under bubblewrap a signal shows as 128 and its number."""
    number = -code if code < 0 else code - 128
    if number == signal.SIGKILL:
        return "it was ended by SIGKILL, perhaps because the machine's memory ran out"
    if number in {one.value for one in signal.Signals}:
        return f"it was ended by {signal.Signals(number).name}"
    return f"it ended with status {code}"


def _kill_group(process: subprocess.Popen) -> None:
    """End the process and all that it started and that is still there."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass  # all of them have ended
    process.wait()


def _fill_kit(kit: Path, job: dict[str, Any]) -> None:
    """Put into `kit` what the worker needs: the rooms that probe, and the job."""
    for package, room in ((PACKAGE, "probing"), (ROOT / "checks", "probes")):
        place = kit / package.name
        shutil.copytree(package / room, place / room, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copyfile(package / "__init__.py", place / "__init__.py")
    shutil.copyfile(PACKAGE / "packed.py", kit / PACKAGE.name / "packed.py")
    (kit / "job").write_bytes(pack(job, bounded=False))
    for path in kit.rglob("*"):  # the course's own files may be closed to the sandbox's user
        path.chmod(0o755 if path.is_dir() else 0o644)


def _job(
    wanted: tuple[Exercise, ...], seed: int, seconds: float, patience: float, kit: Path, jobs: int
) -> dict[str, Any]:
    """What the worker is to do: plain data, and nothing of what is expected."""
    return {
        "hidden": [str(path) for path in hidden_places()],
        "readable": [str(kit), "/kit", *SYSTEM, *DEVICES, *ABOUT, *_pythons()],
        "memory": _memory(jobs),
        "seconds": seconds,
        "import_seconds": min(IMPORT_SECONDS, patience),
        "exercises": [
            {
                "id": exercise.id,
                "chapter": exercise.chapter,
                "symbols": list(exercise.symbols),
                "checks": [
                    {
                        "probe": check.probe.__name__,
                        "inputs": draw_inputs(check, seed),
                        "seconds": min(check.seconds, patience),
                    }
                    for check in checks_of(exercise.id)
                ],
            }
            for exercise in wanted
        ],
    }


def _memory(jobs: int) -> int:
    """How much memory the code of each of so many submissions gets beyond Python and torch."""
    left = (memory_here() - memory_needed(jobs)) // jobs
    return max(MEMORY_AT_LEAST, min(MEMORY, left))


def memory_needed(jobs: int) -> int:
    """Bytes that grading so many submissions at a time takes, measured with the reference."""
    first, further = (900, 450) if torch.version.cuda else (620, 280)
    return (first + further * (jobs - 1)) << 20


def memory_here() -> int:
    """Bytes of memory that this process and its children may take, as far as the system tells."""
    most = []
    for file in _limits_of_memory():
        try:
            most.append(int(file.read_text()))
        except (OSError, ValueError):  # there is none, or it is called "max"
            pass
    try:
        most.append(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    except (OSError, ValueError):
        pass
    return min(most, default=1 << 40)


def _limits_of_memory() -> list[Path]:
    """The files in which Linux tells a container's limit, in the new and in the old manner."""
    top, files = Path("/sys/fs/cgroup"), []
    try:
        own = Path("/proc/self/cgroup").read_text().splitlines()
    except OSError:
        own = []
    for line in ["0::/", "0:memory:/", *own]:
        _, kinds, place = line.split(":", 2)
        if not kinds:
            files.append(top / place.strip("/") / "memory.max")
        elif "memory" in kinds.split(","):
            files.append(top / "memory" / place.strip("/") / "memory.limit_in_bytes")
    return files


def _sort(messages: list[bytes]) -> dict[tuple[str, Any], tuple[bytes, bool]]:
    """Messages by exercise and number.

    Raises:
        CannotGrade: if the worker says that something kept it from its work.
    """
    seen: dict[tuple[str, Any], tuple[bytes, bool]] = {}
    for label, content in zip(messages[::2], messages[1::2]):
        exercise_id, number, starved = json.loads(label)
        if number == PROBLEM:
            raise CannotGrade(one_line(content.decode(errors="replace"), 500))
        seen.setdefault((exercise_id, number), (content, starved))
    return seen
