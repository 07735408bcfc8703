"""What runs in the sandbox: the probes on one submission, and nothing that judges them.

    python -m course.probing.worker FOLDER JOB

FOLDER holds the submission's chapter files, JOB says what to do. Each exercise runs in a process of
its own. Messages go to the standard output: first READY and what the code could do although it
should not (JSON), then for each observation a label (JSON) and what the probe brought back (see
`course.probing.evidence`), and at last DONE. What is no fault of the code is labelled PROBLEM.
"""

import functools
import gc
import importlib
import json
import os
import resource
import select
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import torch

from course.probing import tampering
from course.probing.confining import confine, die_with_parent, leaks
from course.probing.evidence import (
    DONE,
    MAX_MESSAGE,
    PROBLEM,
    READY,
    REST,
    TooMuch,
    pack,
    unpack,
    write_message,
)
from course.probing.loading import load_file
from course.probing.observing import WAIT, import_problem, missing_name, no_result, observe
from course.probing.quotas import MAX_OPEN, excess

STARTED = b"started"
WATCHED = ("course.probing.", "checks.probes.")
MAX_FILE = 64 << 20  # bytes of a file that the code writes
MAX_BROUGHT = 16 << 20  # bytes that the probes of one exercise bring back; the checks' own: 2 MB
MAX_ALL = 64 << 20  # bytes of all messages
BUSY = 20  # times as long as it may compute, an exercise waits for a machine that others use
GRACE = 3.0  # seconds beyond a check's own, for code that swallows its interruption
START_SECONDS = 60.0  # for what happens in a child before the code is imported


def main(folder: str, job_file: str) -> None:
    """Run every exercise of the job whose file is there, one after the other."""
    die_with_parent()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (2 * MAX_ALL, 2 * MAX_ALL))
    out = os.fdopen(os.dup(1), "wb")
    job = unpack(Path(job_file).read_bytes(), bounded=False)
    given = [e for e in job["exercises"] if Path(folder, f"{e['chapter']}.py").is_file()]
    for chapter in {exercise["chapter"] for exercise in given}:
        probes = importlib.import_module(f"checks.probes.{chapter}")
        for name in getattr(probes, "IMPORTED_AT_FIRST_USE", ()):  # here once, not in each child
            importlib.import_module(name)
    gc.freeze()  # so that no child's garbage collection copies all that is there by now
    limit = functools.partial(_limit, job, folder)
    kit = str(Path(job_file).parent)
    write_message(out, READY)
    write_message(out, json.dumps(leaks(limit, job["hidden"], kit)).encode())
    submission = _Submission(Path(folder), job, limit, out)
    for exercise in given:
        submission.run(exercise)
    write_message(out, DONE)
    out.close()


@dataclass(frozen=True)
class _Clock:
    """What time a process has used so far, in seconds."""

    passed: float  # by the clock
    computed: float
    waited: float  # for a processor that others were using

    @classmethod
    def of(cls, process: int) -> "_Clock":
        """Where the system does not tell, nothing was computed and nothing waited for."""
        try:
            times = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[11:13]
            computed = sum(map(int, times)) / os.sysconf("SC_CLK_TCK")
            waited = int(Path(f"/proc/{process}/schedstat").read_text().split()[1]) / 1e9
        except (OSError, ValueError, IndexError):
            computed = waited = 0.0
        return cls(time.monotonic(), computed, waited)

    def since(self, before: "_Clock") -> "_Clock":
        return _Clock(
            self.passed - before.passed,
            self.computed - before.computed,
            self.waited - before.waited,
        )

    @property
    def own(self) -> float:
        """What counts against the process: computing, or waiting for something of its own."""
        return max(self.computed, self.passed - self.waited)

    def starved(self, seconds: float) -> bool:
        """Is it others that used the time up, and not the process that may have so much?"""
        return self.passed > seconds and self.own < seconds / 2  # it is read from outside, and late


class _Submission:
    """One submission, exercise by exercise."""

    def __init__(self, folder: Path, job: dict, limit: Callable[[], None], out: BinaryIO):
        self.folder, self.job, self.limit, self.out = folder, job, limit, out
        self.used = 0.0  # seconds
        self.brought = 0  # bytes
        # By chapter whose import took all its time: the message that says so. It holds for the
        # chapter's other exercises too, so that it is waited for once.
        self.endless: dict[str, tuple[int | str, bytes]] = {}

    def run(self, exercise: dict) -> None:
        """Run an exercise in a child, and pass on its messages until it ends or falls silent."""
        if exercise["chapter"] in self.endless:
            self.pass_on(exercise, *self.endless[exercise["chapter"]])
        elif self.used > self.job["seconds"]:
            self.give_up(exercise, f"all of the submission's {self.job['seconds']:g} seconds")
        elif self.brought > MAX_ALL:
            self.give_up(exercise, "all that a submission may bring back")
        else:
            self.run_apart(exercise)

    def give_up(self, exercise: dict, what: str) -> None:
        seen = no_result(f"before this exercise {what} had been used up", out_of_time=True)
        self.pass_on(exercise, REST, pack(vars(seen)))

    def pass_on(
        self, exercise: dict, label: int | str, content: bytes, starved: bool = False
    ) -> None:
        write_message(self.out, json.dumps([exercise["id"], label, starved]).encode())
        write_message(self.out, content)
        self.brought += len(content)

    def run_apart(self, exercise: dict) -> None:
        def work(send: Callable[[bytes], None]) -> None:
            _run(exercise, self.folder, self.job, self.limit, send)

        with (
            tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as own,
            _Child(work, own) as child,
        ):
            first = child.next_message(START_SECONDS)
            if first.content == STARTED:
                self.follow(exercise, child)
            else:
                why = (first.content or b"").decode(errors="replace") or _death(child.end())
                text = f"exercise {exercise['id']} could not be started: {why}"
                self.pass_on(exercise, PROBLEM, text.encode())

    def follow(self, exercise: dict, child: "_Child") -> None:
        """Pass on what the child sends: whether the file can be imported, then each check's."""
        seconds = [self.job["import_seconds"], *(check["seconds"] for check in exercise["checks"])]
        before, slow = self.brought, None
        for number, most in enumerate(seconds):
            got = child.next_message(most)
            starved = got.used.starved(most)
            self.used += got.used.own
            if got.content is None:
                if number == 1 and slow:  # a file that can be imported goes on to its checks
                    self.endless[exercise["chapter"]] = 0, slow
                self.explain(exercise, number, most, got, child)
                return
            if self.brought - before + len(got.content) > MAX_BROUGHT:
                self.give_up(exercise, "all that an exercise may bring back")
                return
            self.pass_on(exercise, number, got.content, starved)
            if number == 0 and got.used.own >= most / 2:
                slow = got.content

    def explain(
        self, exercise: dict, number: int, most: float, got: "_Message", child: "_Child"
    ) -> None:
        """Say why no further message came."""
        if not got.silent and not got.excess and child.ended_from_outside():
            text = f"the process of exercise {exercise['id']} was ended from outside, perhaps "
            text += "because the machine's memory ran out"
            self.pass_on(exercise, PROBLEM, text.encode())
            return
        if got.excess:
            why = f"stopped, because it took {got.excess}"
        elif got.silent:
            why = f"stopped after {most:g} seconds. Is there an endless loop?"
        else:
            why = _crash(child.end())
        seen = no_result(why, out_of_time=got.silent)
        content, starved = pack(vars(seen)), got.used.starved(most)
        self.pass_on(exercise, REST, content, starved)
        if number == 0 and got.silent and not starved:
            self.endless[exercise["chapter"]] = REST, content


@dataclass(frozen=True)
class _Message:
    content: bytes | None  # None if none came
    silent: bool  # because the child had no time left
    used: _Clock  # until then
    excess: str = ""  # what the child had too much of


class _Child:
    """A child process that sends messages.

    Args:
        work: what it does; it is called with a function that sends.
        own: the folder in which it may write.
    """

    def __init__(self, work: Callable[[Callable[[bytes], None]], None], own: str):
        self._own = own
        self._reading, writing = os.pipe()
        self._received, self._status, self._killed = bytearray(), None, False
        self._process = os.fork()
        if self._process == 0:
            try:
                die_with_parent()
                os.close(self._reading)
                _silence(writing)
                _move_to(own)
                with os.fdopen(writing, "wb") as pipe:
                    work(functools.partial(write_message, pipe))
            finally:
                os._exit(0)
        os.close(writing)

    def __enter__(self) -> "_Child":
        return self

    def __exit__(self, *_) -> None:
        os.close(self._reading)
        self.end()

    def next_message(self, seconds: float) -> _Message:
        """Wait for the next message, for as long as it may take to compute it."""
        start = _Clock.of(self._process)
        while True:
            ready = select.select([self._reading], [], [], 0.2)[0]
            part = os.read(self._reading, 1 << 16) if ready else b""
            self._received += part
            used = _Clock.of(self._process).since(start)
            if (message := self._cut_off()) or (ready and not part) or self._is_damaged():
                return _Message(message, False, used)
            if too_much := excess(self._process, self._own):
                return _Message(None, False, used, too_much)
            waits = used.passed - used.waited > WAIT * seconds + GRACE
            if used.computed > seconds + GRACE or waits or used.passed > BUSY * seconds + GRACE:
                return _Message(None, True, used)

    def _is_damaged(self) -> bool:
        return len(self._received) >= 8 and not 0 < self._length() <= MAX_MESSAGE

    def _length(self) -> int:
        return int.from_bytes(self._received[:8])

    def _cut_off(self) -> bytes | None:
        """The first message of what was received; None if it is not all there, or damaged."""
        length = self._length()
        if self._is_damaged() or len(self._received) < 8 + (length or 1):
            return None
        message = bytes(self._received[8 : 8 + length])
        del self._received[: 8 + length]
        return message

    def end(self) -> int:
        """Wait a moment for the child to end by itself, then make it; its exit status."""
        for _ in range(20):
            if self._status is None:
                done, status = os.waitpid(self._process, os.WNOHANG)
                self._status = status if done else None
            if self._status is not None:
                return self._status
            time.sleep(0.005)
        self._killed = True
        os.kill(self._process, signal.SIGKILL)
        self._status = os.waitpid(self._process, 0)[1]
        return self._status

    def ended_from_outside(self) -> bool:
        """Was it killed, and not from here? The system does so where memory runs out."""
        status = self.end()
        return os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL and not self._killed


def _death(status: int) -> str:
    """How a process ended, in words."""
    if os.WIFSIGNALED(status):
        return f"it was ended by {signal.Signals(os.WTERMSIG(status)).name}"
    return f"it ended with status {os.waitstatus_to_exitcode(status)}"


def _crash(status: int) -> str:
    """Why the code under test brought nothing back, in words."""
    if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGXCPU:
        return "stopped after all its seconds. Is there an endless loop?"
    if os.WIFSIGNALED(status) and os.WTERMSIG(status) != signal.SIGKILL:
        name = signal.Signals(os.WTERMSIG(status)).name
        return f"the code made Python itself crash ({name})"
    return "the code ended the process it runs in, or cut its connection"


def _silence(keep: int) -> None:
    """What the code prints goes nowhere, and no file stays open but `keep`."""
    nowhere = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(nowhere, standard)
    os.closerange(3, keep)
    os.closerange(keep + 1, 1024)


def _move_to(own: str) -> None:
    """Make this folder the place for temporary files, the home, and where the process is."""
    os.chdir(own)
    tempfile.tempdir = os.environ["TMPDIR"] = os.environ["HOME"] = own


def _limit(job: dict, folder: str) -> None:
    """Bound what this process takes, and refuse from here on what no chapter needs."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[0])
    except (OSError, ValueError, IndexError):
        pages = 0  # the system does not tell how much memory Python and torch take
    if pages:
        most = pages * resource.getpagesize() + job["memory"]
        resource.setrlimit(resource.RLIMIT_AS, (most, most))
    resource.setrlimit(resource.RLIMIT_FSIZE, (MAX_FILE, MAX_FILE))
    resource.setrlimit(resource.RLIMIT_NOFILE, (MAX_OPEN, MAX_OPEN))
    seconds = int(time.process_time() + job["seconds"]) + 1
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 60))
    own = os.path.realpath(tempfile.gettempdir())
    confine([*job["readable"], folder], [own, os.devnull], job["hidden"])


def _forbid(hidden: list[str]) -> None:
    """Refuse in Python as well, with a sentence, what the system refuses or cannot."""
    sys.path[:] = [place for place in sys.path if not os.path.isdir(f"{place}/solutions")]
    own = os.path.realpath(tempfile.gettempdir())
    sys.addaudithook(_make_hook(own, [os.path.realpath(place) for place in hidden]))


# Of what Python announces to a hook, this is allowed; all else is refused.
ALLOWED = (
    *("builtins.", "code.", "compile", "cpython.", "exec", "function.", "gc.", "import"),
    *("array.", "marshal.", "object.", "pickle.", "mmap.", "glob.", "pathlib.", "tempfile."),
    *("os.listdir", "os.scandir", "os.walk", "os.fwalk", "os.listxattr", "os.getxattr"),
    *("os.putenv", "os.unsetenv", "os.add_dll_directory", "shutil.copy", "shutil.unpack"),
    *("sys._", "sys.set", "sys.excepthook", "sys.unraisablehook", "sys.addaudithook"),
    *("sys.monitoring", "time.sleep", "_thread.", "ctypes.dlopen", "ctypes.set_errno"),
    *("signal.pthread_kill", "resource.setrlimit"),
)
WHAT = {  # the first that begins an event's name
    "subprocess.": "starting other programs",
    "os.system": "starting other programs",
    "os.exec": "starting other programs",
    "os.spawn": "starting other programs",
    "os.posix_spawn": "starting other programs",
    "os.fork": "starting other processes",
    "os.kill": "reaching other processes",
    "resource.": "reaching other processes",
    "socket.": "using the network",
    "ctypes.": "calling C code",
}
CHANGES_FILES = (
    *("os.remove", "os.rename", "os.rmdir", "os.mkdir", "os.link", "os.symlink", "os.utime"),
    *("os.truncate", "os.chmod", "os.chown", "shutil.rmtree", "shutil.move"),
)
WITHOUT_FOLDERS = ("os.truncate", "shutil.move")  # which take no descriptor of a folder


def _make_hook(own: str, hidden: list[str]) -> Callable[[str, tuple], None]:
    """An audit hook (PEP 578). Once added it cannot be taken away."""
    realpath, fspath, isdir, devnull = os.path.realpath, os.fspath, os.path.isdir, os.devnull
    packages = tuple(realpath(place) + os.sep for place in (sys.prefix, sys.base_prefix))
    changing = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND

    def path_of(value: Any) -> str:
        return realpath(os.fsdecode(fspath(value)))

    def inside(path: str, places: list[str]) -> bool:
        return any(path == place or path.startswith(place + os.sep) for place in places)

    def refuse(what: str) -> None:
        raise PermissionError(f"while you are graded, {what} is refused")

    def hook(event: str, args: tuple) -> None:
        if event in CHANGES_FILES:
            # With a descriptor of a folder the path cannot be told; torch and shutil use those. It
            # is one of the own folder, for no other can be opened.
            if event in WITHOUT_FOLDERS or os.path.isabs(args[0]) or args[-1] == -1:
                paths = [part for part in args[:2] if isinstance(part, str | bytes | os.PathLike)]
                if not paths or not all(inside(path_of(path), [own]) for path in paths):
                    refuse("changing files")
        elif event == "open":
            if not isinstance(args[0], str | bytes | os.PathLike):
                return
            path = path_of(args[0])
            if inside(path, hidden):
                refuse("reading the solutions")
            if args[2] & changing and not inside(path, [own, devnull]):
                refuse("writing files")
            if isdir(path) and not inside(path, [own]):
                refuse("opening folders")
        elif event in ("os.listdir", "os.scandir"):
            if isinstance(args[0], str | bytes | os.PathLike) and inside(path_of(args[0]), hidden):
                refuse("reading the solutions")
        elif event == "ctypes.dlopen" and args[0] and path_of(args[0]).startswith(packages):
            return  # what lies beside Python's packages is theirs: torchvision loads such a part
        elif event == "ctypes.dlopen" or not event.startswith(ALLOWED):
            words = (what for start, what in WHAT.items() if event.startswith(start))
            refuse(next(words, event))

    return hook


def _run(
    exercise: dict,
    folder: Path,
    job: dict,
    limit: Callable[[], None],
    send: Callable[[bytes], None],
) -> None:
    """Import the exercise's file and run its probes; each result is sent at once."""
    try:
        probes = importlib.import_module(f"checks.probes.{exercise['chapter']}")
        ours = (module for name, module in sys.modules.items() if name.startswith(WATCHED))
        tampering.watch(*ours, sys.modules[__name__])
        limit()
        _forbid(job["hidden"])
    except Exception:
        send(traceback.format_exc()[-400:].encode())
        return
    send(STARTED)
    path = folder / f"{exercise['chapter']}.py"
    loaded = []
    most = job["import_seconds"]
    problem = import_problem(lambda: loaded.append(load_file(path)), path, most, BUSY)
    problem = problem or missing_name(loaded[0], tuple(exercise["symbols"]))
    send(pack(problem))
    if problem:
        return
    for check in exercise["checks"]:
        probe = getattr(probes, check["probe"])
        seen = observe(probe, loaded[0], str(path), check["inputs"], check["seconds"], BUSY)
        try:
            content = pack(vars(seen))
        except TooMuch as error:
            content = pack(vars(no_result(str(error))))
        except BaseException as error:  # evidence may hold anything, itself included
            content = pack(
                vars(no_result(f"a result that cannot be kept ({type(error).__name__})"))
            )
        send(content)
        if seen.out_of_time:
            return


if __name__ == "__main__":
    torch.set_num_threads(1)
    main(*sys.argv[1:])
