"""Run a stranger's chapter files apart from the grader, and bring back what the probes saw.

The process of the code under test never holds expected values, the reference or a verdict. With
bubblewrap it sees no network, no other processes and, read-only, no more of the file system than
Python and its packages need; without, it is another process with limits, and the caller should
say so.
"""

import json
import math
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from course import PACKAGE, ROOT, CourseError
from course.classroom.collecting import chapter_file
from course.grading.checking import Check, checks_of, draw_inputs
from course.probing.evidence import Unreadable, pack, read_message, unpack
from course.probing.observing import IMPORT_SECONDS, Observation, no_result
from course.probing.worker import READY
from course.syllabus import Exercise, chapters

NOBODY = 65534
SECONDS = 300.0  # for all exercises of one submission
HIDDEN = (ROOT / "solutions", ROOT / "checks")  # from the submission


class BoxedCode:
    """A submission whose code has run in a sandbox: what the probes saw there."""

    def __init__(self, folder: Path, seed: int, seen: dict[tuple[str, Any], Any]):
        self.folder, self.seed, self._seen = folder, seed, seen

    def path(self, chapter: str) -> Path:
        return self.folder / f"{chapter}.py"

    def problem(self, exercise: Exercise) -> str:
        """Why the exercise's functions cannot be had; empty if they can."""
        if not chapter_file(self.folder, exercise.chapter):
            return f"{exercise.chapter}.py is not in the submission, or is no file of Python text"
        problem = self._seen.get((exercise.id, 0))
        if isinstance(problem, str):
            return problem
        return self._rest(exercise.id).raised

    def observe(self, check: Check, seed: int) -> Observation:
        """What the probe of one check saw."""
        if seed != self.seed:
            raise ValueError(f"the code ran with seed {self.seed}, not {seed}")
        number = checks_of(check.exercise).index(check) + 1
        seen = self._seen.get((check.exercise, number))
        return seen if isinstance(seen, Observation) else self._rest(check.exercise)

    def _rest(self, exercise_id: str) -> Observation:
        """What stands for the observations that never came."""
        rest = self._seen.get((exercise_id, "rest"))
        if isinstance(rest, Observation):
            return rest
        return no_result("the submission ended the grading, or used up its time, before this")


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
    system = ("/usr", "/lib", "/lib64", "/bin", "/etc/ld.so.cache", "/etc/alternatives")
    mounts = [part for place in system for part in ("--ro-bind-try", place, place)]
    for place in dict.fromkeys([sys.base_prefix, sys.prefix, *_packages_elsewhere()]):
        mounts += ["--ro-bind", place, place]
        for cover in _hidden_in(Path(place)):  # the installed course's own material
            mounts += ["--tmpfs", str(cover)]
    return [
        *("bwrap", "--unshare-all", "--die-with-parent", "--new-session"),
        *("--uid", str(NOBODY), "--gid", str(NOBODY)),
        # /tmp first: Python itself may lie below it.
        *("--proc", "/proc", "--dev", "/dev", "--size", str(256 << 20), "--tmpfs", "/tmp"),
        *mounts,
        *("--ro-bind", str(kit), "/kit", "--ro-bind", str(submission), "/submission"),
        *("--chdir", "/tmp", "--setenv", "PYTHONPATH", "/kit"),
        *("--setenv", "HOME", "/tmp", "--setenv", "TMPDIR", "/tmp", "--"),
    ]


def _hidden_in(place: Path) -> list[Path]:
    """What must not be seen of a folder, as paths that begin with it."""
    real = place.resolve()
    return [place / path.relative_to(real) for path in HIDDEN if path.is_relative_to(real)]


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

    Raises:
        CourseError: if no process can be started.
    """

    def __init__(
        self,
        seed: int,
        wanted: tuple[Exercise, ...],
        seconds: float = SECONDS,
        patience: float = math.inf,
        box: Box | None = None,
    ):
        self.seed, self.seconds = seed, seconds
        self._scratch = tempfile.TemporaryDirectory(prefix="grading-")
        self.kit = Path(self._scratch.name)
        self._running: set[subprocess.Popen] = set()
        self.kit.chmod(0o755)
        _fill_kit(self.kit, _job(wanted, seed, patience))
        self.box = box or self._best_box()

    def __enter__(self) -> "Sandbox":
        return self

    def __exit__(self, *_) -> None:
        self._scratch.cleanup()

    @property
    def warning(self) -> str:
        """What an instructor should know about how the code runs; empty if it is confined."""
        if self.box.name == "bubblewrap":
            return ""
        return (
            "bubblewrap is not installed or may not be used here, so submissions run with limits "
            "only: by ways that Python does not see they could read files and use the network. "
            "Install it (Debian, Ubuntu: apt install bubblewrap), or grade only code that you trust"
        )

    def stop(self) -> None:
        """End what is running."""
        for process in list(self._running):
            _kill_group(process)

    def run(self, folder: Path) -> BoxedCode:
        """Run the probes on the chapter files of a folder. Nothing else in it is looked at.

        Raises:
            CourseError: if the worker did not even start.
        """
        with tempfile.TemporaryDirectory(prefix="submission-") as name:
            copied = Path(name)
            copied.chmod(0o755)
            for chapter in chapters():
                if file := chapter_file(folder, chapter.name):
                    shutil.copyfile(file, copied / file.name)
            messages, errors = self._start(self.box, copied)
        if messages[:1] != [READY]:
            raise CourseError(f"the process for the submission did not start: {errors}")
        return BoxedCode(folder, self.seed, _sort(messages[1:]))

    def _best_box(self) -> Box:
        boxes = [Box("limits only")]
        if os.geteuid() == 0:
            boxes.insert(0, Box("limits only", user=NOBODY))
        if shutil.which("bwrap"):
            boxes.insert(0, Box("bubblewrap"))
        errors = ""
        for box in boxes:
            with tempfile.TemporaryDirectory() as empty:
                Path(empty).chmod(0o755)
                try:
                    messages, errors = self._start(box, Path(empty))
                except OSError as error:  # another user may not be allowed to run this Python
                    messages, errors = [], str(error)
            if messages[:1] == [READY]:
                return box
        raise CourseError(f"no process for submissions can be started here: {errors}")

    def _start(self, box: Box, submission: Path) -> tuple[list[bytes], str]:
        """Run the worker; the messages that it wrote, and the end of what it complained about."""
        with (
            tempfile.TemporaryDirectory(prefix="worker-") as home,
            tempfile.TemporaryFile() as out,
            tempfile.TemporaryFile() as errors,
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
            self._running.add(process)
            try:
                process.wait(self.seconds)
            except subprocess.TimeoutExpired:
                pass
            finally:
                self._running.discard(process)
                _kill_group(process)
            out.seek(0)
            errors.seek(0)
            messages = []
            while (message := read_message(out)) is not None:
                messages.append(message)
            return messages, errors.read()[-2000:].decode(errors="replace").strip()


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
    (kit / "job").write_bytes(pack(job))


def _job(wanted: tuple[Exercise, ...], seed: int, patience: float) -> dict[str, Any]:
    """What the worker is to do: plain data, and nothing of what is expected."""
    return {
        "hidden": [str(path) for path in HIDDEN],
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


def _sort(messages: list[bytes]) -> dict[tuple[str, Any], Any]:
    """Messages by exercise and number; those that cannot be read count as missing."""
    seen: dict[tuple[str, Any], Any] = {}
    for label, content in zip(messages[::2], messages[1::2]):
        try:
            exercise_id, number = json.loads(label)
            value = unpack(content)
            seen.setdefault((exercise_id, number), _as_observation(value))
        except (Unreadable, ValueError, TypeError):
            continue
    return seen


FIELDS = {"evidence": (dict, type(None)), "raised": str, "error": str, "unwritten": str}
FIELDS |= {"changed": tuple, "out_of_time": bool}


def _as_observation(value: Any) -> Any:
    """An observation from its fields; a text, which says what is wrong with a file, as it is."""
    if isinstance(value, str):
        return value
    if not isinstance(value, dict) or value.keys() != FIELDS.keys():
        raise TypeError("not an observation")
    if not all(isinstance(value[name], kinds) for name, kinds in FIELDS.items()):
        raise TypeError("not an observation")
    return Observation(**value)
