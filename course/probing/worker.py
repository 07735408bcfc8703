"""What runs in the sandbox: the probes on one submission, and nothing that judges them.

    python -m course.probing.worker FOLDER JOB

FOLDER holds the submission's chapter files, JOB says what to do. Each exercise runs in a process of
its own. Messages go to the standard output: first READY, then for each observation a label (JSON)
and what the probe brought back (see `course.probing.evidence`).
"""

import ctypes  # noqa: F401  (torch needs it; imported before it is refused)
import functools
import importlib
import json
import os
import resource
import select
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import torch

from course.probing import tampering
from course.probing.evidence import MAX_MESSAGE, pack, read_message, unpack, write_message
from course.probing.loading import load_file
from course.probing.observing import import_problem, missing_name, no_result, observe

READY = b"ready"
WATCHED = ("course.probing.", "checks.probes.")
MEMORY = 2 << 30  # bytes beyond what Python and torch take
MAX_FILE = 256 << 20  # bytes of a file, and so of all that is brought back
GRACE = 3.0  # seconds beyond a check's own, for code that swallows its interruption


def main(folder: str, job_file: str) -> None:
    """Run every exercise of the job whose file is there, one after the other."""
    for kind, most in ((resource.RLIMIT_FSIZE, MAX_FILE), (resource.RLIMIT_CORE, 0)):
        resource.setrlimit(kind, (most, most))
    out = os.fdopen(os.dup(1), "wb")
    job = unpack(Path(job_file).read_bytes())
    given = [e for e in job["exercises"] if Path(folder, f"{e['chapter']}.py").is_file()]
    for chapter in {exercise["chapter"] for exercise in given}:
        probes = importlib.import_module(f"checks.probes.{chapter}")
        for name in getattr(probes, "IMPORTED_AT_FIRST_USE", ()):  # here once, not in each child
            importlib.import_module(name)
    write_message(out, READY)
    endless: dict[str, tuple[int | str, bytes]] = {}  # by chapter whose import took all its time
    for exercise in given:
        chapter = exercise["chapter"]
        if chapter in endless:
            _pass_on(out, exercise, *endless[chapter])
        elif message := _run_apart(exercise, Path(folder), job, out):
            endless[chapter] = message
    out.close()


def _run_apart(
    exercise: dict, folder: Path, job: dict, out: BinaryIO
) -> tuple[int | str, bytes] | None:
    """Run an exercise in a child, and pass on its messages until it ends or falls silent.

    Returns:
        where importing the file took all its time: the message that says so, which then holds for
        the chapter's other exercises too. Waiting once is enough.
    """
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.close(reading)
            _silence(writing)
            _limit_and_forbid(job["hidden"])
            with os.fdopen(writing, "wb") as pipe:
                send = functools.partial(write_message, pipe)
                _run(exercise, folder, job["import_seconds"], send)
        finally:
            os._exit(0)
    os.close(writing)
    # The first message tells whether the file can be imported, each further one is a check's.
    patience = [job["import_seconds"], *(check["seconds"] for check in exercise["checks"])]
    number, silent, start, message = 0, False, time.monotonic(), None
    with os.fdopen(reading, "rb", buffering=0) as pipe:
        while number < len(patience):
            if not select.select([pipe], [], [], patience[number] + GRACE)[0]:
                silent = True
                break
            content = read_message(pipe)
            if content is None:
                break
            _pass_on(out, exercise, number, content)
            if number == 0 and time.monotonic() - start >= job["import_seconds"]:
                message = 0, content
            number += 1
    status = _end(child)
    if number < len(patience):
        seen = no_result(_why(status, silent, patience[number]), out_of_time=silent)
        rest = "rest", pack(vars(seen))
        _pass_on(out, exercise, *rest)
        if number == 0 and silent:
            message = rest
    return message


def _pass_on(out: BinaryIO, exercise: dict, label: int | str, content: bytes) -> None:
    write_message(out, json.dumps([exercise["id"], label]).encode())
    write_message(out, content)


def _end(child: int) -> int:
    """Wait a moment for the child to end by itself, then make it; its exit status."""
    for _ in range(20):
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return status
        time.sleep(0.005)
    os.kill(child, signal.SIGKILL)
    return os.waitpid(child, 0)[1]


def _why(status: int, silent: bool, seconds: float) -> str:
    """Why no result came back, in words."""
    if silent:
        return f"stopped after {seconds:g} seconds. Is there an endless loop?"
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


def _limit_and_forbid(hidden: list[str]) -> None:
    """Bound the memory, and refuse from here on what no chapter needs."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    sys.path[:] = [place for place in sys.path if not os.path.isdir(f"{place}/solutions")]
    own = os.path.realpath(tempfile.gettempdir())
    sys.addaudithook(_make_hook(own, [os.path.realpath(place) for place in hidden]))


FORBIDDEN = {
    "starting other programs": ("subprocess.Popen", "os.system", "os.exec", "os.posix_spawn"),
    "starting other processes": ("os.fork", "os.forkpty", "os.kill", "os.killpg"),
    "calling C code": ("ctypes.dlsym", "ctypes.cdata"),
}
CHANGES_FILES = (
    *("os.remove", "os.rename", "os.rmdir", "os.mkdir", "os.link", "os.symlink"),
    *("os.truncate", "os.chmod", "os.chown", "shutil.rmtree", "shutil.move"),
)


def _make_hook(own: str, hidden: list[str]) -> Callable[[str, tuple], None]:
    """An audit hook (PEP 578). Once added it cannot be taken away."""
    refused = {event: what for what, events in FORBIDDEN.items() for event in events}
    realpath, fspath, devnull = os.path.realpath, os.fspath, os.devnull
    packages = tuple(realpath(place) + os.sep for place in (sys.prefix, sys.base_prefix))

    def path_of(value: Any) -> str:
        return realpath(os.fsdecode(fspath(value)))

    def hook(event: str, args: tuple) -> None:
        if event == "ctypes.dlopen" and not (args[0] and path_of(args[0]).startswith(packages)):
            # What lies beside Python's packages is theirs: torchvision loads its part like this.
            raise PermissionError("while you are graded, calling C code is refused")
        if event in refused:
            raise PermissionError(f"while you are graded, {refused[event]} is refused")
        if event.startswith("socket."):
            raise PermissionError("while you are graded, using the network is refused")
        if event == "open" and isinstance(args[0], str | bytes | os.PathLike):
            path, writes = path_of(args[0]), args[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
            if any(path.startswith(place + os.sep) for place in hidden):
                raise PermissionError("while you are graded, reading the solutions is refused")
            if writes and not path.startswith(own + os.sep) and path != devnull:
                raise PermissionError("while you are graded, writing files is refused")
        # With a descriptor of a folder the path cannot be told; torch and shutil use those.
        by_folder = event in CHANGES_FILES and not os.path.isabs(args[0]) and args[-1] != -1
        if event in CHANGES_FILES and not by_folder and not path_of(args[0]).startswith(own):
            raise PermissionError("while you are graded, changing files is refused")

    return hook


def _run(
    exercise: dict, folder: Path, import_seconds: float, send: Callable[[bytes], None]
) -> None:
    """Import the exercise's file and run its probes; each result is sent at once."""
    probes = importlib.import_module(f"checks.probes.{exercise['chapter']}")
    ours = (module for name, module in sys.modules.items() if name.startswith(WATCHED))
    tampering.watch(*ours, sys.modules[__name__])
    path = folder / f"{exercise['chapter']}.py"
    loaded = []
    problem = import_problem(lambda: loaded.append(load_file(path)), path, import_seconds)
    problem = problem or missing_name(loaded[0], tuple(exercise["symbols"]))
    send(pack(problem))
    if problem:
        return
    for check in exercise["checks"]:
        probe = getattr(probes, check["probe"])
        seen = observe(probe, loaded[0], str(path), check["inputs"], check["seconds"])
        try:
            content = pack(vars(seen))
        except Exception as error:  # evidence may hold anything, itself included
            content = pack(
                vars(no_result(f"a result that cannot be kept ({type(error).__name__})"))
            )
        if len(content) >= MAX_MESSAGE:
            content = pack(
                vars(no_result(f"a result of {len(content):,} bytes, too large to keep"))
            )
        send(content)
        if seen.out_of_time:
            return


if __name__ == "__main__":
    torch.set_num_threads(1)
    main(*sys.argv[1:])
