"""Submissions that try to get points they did not earn, or to hurt the grading.

Each has chapter 04 solved honestly, and its trick in chapter 01, which it does not solve: it may
get chapter 04's points, or fewer, and no others.
"""

from dataclasses import dataclass
from pathlib import Path

from course import ROOT
from course.syllabus import select

CH01, HONEST = "ch01_noise_schedule", "ch04_unet"
HONEST_POINTS = sum(exercise.points for exercise in select("04"))


@dataclass(frozen=True)
class Hostile:
    """A trick: code at the top of the file, or as the body of `linear_betas`."""

    name: str
    top: str = ""
    body: str = ""
    files: tuple[tuple[str, str], ...] = ()  # further files: name and content
    words: str = ""  # that the message about 1.1 holds
    keeps_rest: bool = True  # whether chapter 04 still gets its points

    def write(self, folder: Path) -> None:
        """Make the submission's folder."""
        folder.mkdir(parents=True)
        text = (ROOT / "exercises" / f"{CH01}.py").read_text(encoding="utf-8")
        text = text.replace("import math\n", f"import math\n{self.top}\n", 1)
        if self.body:
            lines = "".join(f"    {line}\n" for line in self.body.splitlines())
            text += f"\n\ndef linear_betas(num_steps, beta_start=1e-4, beta_end=0.02):\n{lines}"
        (folder / f"{CH01}.py").write_text(text, encoding="utf-8")
        honest = (ROOT / "solutions" / f"{HONEST}.py").read_text(encoding="utf-8")
        (folder / f"{HONEST}.py").write_text(honest, encoding="utf-8")
        for name, content in self.files:
            (folder / name).write_text(content, encoding="utf-8")


FORGE = """
import os, json, struct
def frame(b): return len(b).to_bytes(8, "big") + b
for fd in range(3, 40):
    try:
        for number in range(3):
            os.write(fd, frame(b'[["1.1", %d]]' % number) + frame(b"{}"))
    except OSError:
        pass
"""

# Takes what sends the results from a function that called this file, and sends answers of its own.
SEND = """
import os, sys
from course.probing.evidence import pack
frame = sys._getframe()
while frame and not ("send" in frame.f_locals and "exercise" in frame.f_locals):
    frame = frame.f_back
send, exercise = frame.f_locals["send"], frame.f_locals["exercise"]
send(pack(""))
for check in exercise["checks"]:
    for evidence in EVIDENCE:
        send(pack({"evidence": evidence, "raised": "", "error": "", "unwritten": "",
                   "changed": CHANGED, "out_of_time": False}))
os._exit(0)
"""

# Starts a program without telling Python's hooks; the number of arguments differs by version.
FORK_EXEC = """
import os, _posixsubprocess
end = os.pipe()
start = ([b"/bin/sh", b"-c", b"while :; do :; done"], [b"/bin/sh"], True, tuple(sorted(end)),
         None, [b"HOSTILE=1"], -1, -1, -1, -1, -1, -1, *end, True, False, -1, None, None, None, -1,
         None)
for _ in range(100):
    for more in ((), (False,), (True,)):
        try:
            _posixsubprocess.fork_exec(*start, *more)
        except (TypeError, OSError, RuntimeError):
            pass
"""

WRITE_TO_ALL = """
import os
for fd in range(3, 40):
    try:
        os.write(fd, CONTENT)
    except OSError:
        pass
"""

HOSTILE = [
    Hostile("endless loop on import", top="while True: pass", words="import was stopped"),
    Hostile(
        "endless loop that swallows its interruption",
        body="while True:\n    try:\n        pass\n    except BaseException:\n        pass",
        words="endless loop",
    ),
    Hostile(
        "switches off the alarm and loops",
        body="import signal\nsignal.signal(signal.SIGALRM, signal.SIG_IGN)\n"
        "signal.setitimer(signal.ITIMER_REAL, 0)\nwhile True: pass",
        words="endless loop",
    ),
    Hostile("recursion", body="return linear_betas(num_steps)", words="calls itself without end"),
    Hostile(
        "recursion without a limit",
        body="import sys\nsys.setrecursionlimit(10**9)\n"
        "def down(n): return sorted([n], key=lambda m: down(m + 1))\nreturn down(0)",
    ),
    Hostile("sys.exit on import", top="import sys; sys.exit(0)", words="SystemExit"),
    Hostile("os._exit on import", top="import os; os._exit(0)", words="ended the process"),
    Hostile("os._exit when called", body="import os; os._exit(0)", words="ended the process"),
    Hostile("a crash in C", body="import os; os.abort()", words="crash (SIGABRT)"),
    Hostile(
        "prints results",
        top='print(\'{"score": 100, "tests": []}\', flush=True)\n'
        'print("1 passed, 100 %", flush=True)',
        body='print("ready", flush=True)\nimport sys; sys.__stdout__.write("14 of 14")',
    ),
    Hostile("writes frames to every descriptor", top=FORGE),
    Hostile(
        "replaces torch.allclose",
        top="import torch\ntorch.allclose = torch.equal = lambda *a, **k: True",
        words="replaced torch.allclose",
    ),
    Hostile(
        "replaces comparison itself",
        top="import torch\ntorch.Tensor.__eq__ = torch.Tensor.__lt__ = lambda a, b: True",
        words="replaced Tensor.__eq__",
    ),
    Hostile(
        "replaces pytest's verdicts",
        top="import pytest, _pytest.outcomes\n"
        "pytest.fail = _pytest.outcomes.fail = lambda *a, **k: None",
    ),
    Hostile(
        "replaces the probes",
        top="import torch, checks.probes.ch01_noise_schedule as probes\n"
        "probes.linear_betas = lambda impl, inputs: {'betas': torch.linspace(0.01, 0.31, 7)}",
        words="replaced checks.probes.ch01_noise_schedule.linear_betas",
    ),
    Hostile(
        "replaces the observer",
        top="import course.probing.observing as observing\n"
        "observing.observe = lambda *a: observing.Observation(evidence={})",
        words="replaced course.probing.observing.observe",
    ),
    Hostile(
        "replaces the checks and the reference",
        top="import checks.test_ch01_noise_schedule as c, solutions.ch01_noise_schedule as s\n"
        "c.test_linear_betas_rise_in_equal_steps = lambda show: None\n"
        "s.linear_betas = None",
        words="No module named 'checks.test_ch01_noise_schedule'",
    ),
    Hostile(
        "replaces the grader",
        top="import course.grading.grader as grading\ngrading.judge = lambda *a: None",
        words="No module named 'course.grading'",
    ),
    Hostile(
        "brings a conftest.py, a pytest.ini and a torch.py",
        files=(
            ("conftest.py", "import os\nos._exit(0)\n"),
            ("pytest.ini", "[pytest]\naddopts = --collect-only\n"),
            ("torch.py", "raise SystemExit\n"),
            ("sitecustomize.py", "raise SystemExit\n"),
            ("checks.py", "raise SystemExit\n"),
        ),
    ),
    Hostile(
        "imports the solutions",
        top="from solutions.ch01_noise_schedule import *",
        words="No module named 'solutions'",
    ),
    Hostile(
        "puts the course on its path and imports the solutions",
        top=f"import sys; sys.path.insert(0, {str(ROOT)!r})\n"
        "from solutions.ch01_noise_schedule import *",
    ),
    Hostile(
        "reads the solutions",
        top=f"exec(open({str(ROOT / 'solutions' / (CH01 + '.py'))!r}).read())",
    ),
    Hostile(
        "searches for the solutions",
        top="import pathlib, sys\n"
        "for place in [*sys.path, '/', '/kit', '/submission']:\n"
        f"    for file in pathlib.Path(place).glob('**/solutions/{CH01}.py'):\n"
        "        exec(file.read_text())",
        words="",
        keeps_rest=False,
    ),
    Hostile("allocates a terabyte", body="return torch.ones(2**40)", words="memory"),
    Hostile(
        "allocates bit by bit",
        body="hoard = []\nwhile True: hoard.append(torch.empty(2**24))",
        words="memory",
    ),
    Hostile(
        "returns more than can be kept",
        body="return ['x' * 2**20] * 20",
        words="too large to keep",
    ),
    Hostile(
        "returns itself",
        body="a = []\na.append(a)\nreturn a",
    ),
    Hostile(
        "returns something that is evil to read",
        body="class Evil:\n    def __reduce__(self): return exit, ()\n"
        "    def __eq__(self, other): return True\n"
        "    def __float__(self): return 0.01\nreturn Evil()",
        words="an Evil",
    ),
    Hostile(
        "returns a tensor that lies",
        body="class Lie(torch.Tensor):\n"
        "    @classmethod\n"
        "    def __torch_function__(cls, f, types, args=(), kwargs=None): return True\n"
        "return torch.zeros(num_steps).as_subclass(Lie)",
    ),
    Hostile(
        "writes files elsewhere",
        top="import os, pathlib\n"
        f"for place in [{str(ROOT)!r}, os.path.expanduser('~'), '/', '/tmp', '/kit']:\n"
        "    try: pathlib.Path(place, 'hostile_was_here').write_text('x')\n"
        "    except OSError: pass",
    ),
    Hostile(
        "deletes files",
        top=f"import shutil\nshutil.rmtree({str(ROOT / 'runs_that_are_not_there')!r})",
    ),
    Hostile(
        "opens a socket",
        body="import socket\nsocket.create_connection(('127.0.0.1', PORT), timeout=1)",
        words="network is refused",
    ),
    Hostile(
        "leaves threads running",
        top="import threading\n"
        "def forever():\n    while True: pass\n"
        "for _ in range(3): threading.Thread(target=forever).start()",
    ),
    Hostile(
        "starts processes",
        top="import os\nwhile True: os.fork()",
        words="other processes is refused",
    ),
    Hostile(
        "starts programs",
        top="import subprocess; subprocess.run(['sleep', '1000'])",
        words="other programs is refused",
    ),
    Hostile(
        "kills the process above",
        top="import os, signal; os.kill(os.getppid(), signal.SIGKILL)",
        words="other processes is refused",
    ),
    Hostile(
        "kills the process above in C",
        top="import ctypes, os; ctypes.CDLL(None).kill(os.getppid(), 9)",
        keeps_rest=False,
    ),
    Hostile(
        "looks for expected values",
        body="import gc, sys\n"
        "for thing in gc.get_objects():\n"
        "    if isinstance(thing, dict) and 'betas' in thing and isinstance(thing['betas'],\n"
        "                                                                  torch.Tensor):\n"
        "        return thing['betas']\n"
        "frame = sys._getframe()\n"
        "while frame:\n"
        "    for value in frame.f_locals.values():\n"
        "        if isinstance(value, torch.Tensor) and value.shape == (num_steps,):\n"
        "            return value\n"
        "    frame = frame.f_back",
    ),
    Hostile("cannot be decoded", top="'\x00'", words="cannot be read by Python"),
    Hostile("is nested too deeply", top="x = " + "(" * 5000 + ")" * 5000),
    Hostile(
        "sends empty answers",
        top=SEND.replace("EVIDENCE", "[{}]").replace("CHANGED", "()"),
        words="cannot read",
    ),
    Hostile(
        "sends answers with empty lists",
        top=SEND.replace(
            "EVIDENCE", "[dict.fromkeys(('betas', 'alpha_bars', 'log_snr'), [])]"
        ).replace("CHANGED", "()"),
    ),
    Hostile(
        "sends a forged list of what changed",
        top=SEND.replace("EVIDENCE", "[{}]").replace("CHANGED", "(1, None)"),
        words="something that no probe sends",
    ),
    Hostile(
        "replaces the code of a probe",
        top="import checks.probes.ch01_noise_schedule as probes\n"
        "probes.linear_betas.__code__ = (lambda impl, inputs: {\n"
        "    'betas': __import__('torch').linspace(0.01, 0.31, 7)}).__code__",
        words="replaced checks.probes.ch01_noise_schedule.linear_betas",
    ),
    Hostile("starts programs by the back door", top=FORK_EXEC),
    Hostile(
        "reads the solutions by a folder's descriptor",
        top=f"import os; folder = os.open({str(ROOT / 'solutions')!r}, os.O_RDONLY)\n"
        f"exec(os.read(os.open({CH01 + '.py'!r}, os.O_RDONLY, dir_fd=folder), 10**6))",
    ),
    Hostile(
        "reads the solutions from the folder above",
        top=f"import os; above = os.open({str(ROOT)!r}, os.O_RDONLY)\n"
        f"file = os.open({'solutions/' + CH01 + '.py'!r}, os.O_RDONLY, dir_fd=above)\n"
        "exec(os.read(file, 10**6))",
    ),
    Hostile("returns 700,000 sets", body="return [set()] * 700_000", words="too large to keep"),
    Hostile(
        "returns objects of 40,000 types",
        body="return [type(f'T{n}', (), {})() for n in range(40_000)]",
        words="40,00",
    ),
    Hostile("returns numbers of 4,300 digits", body="return [[10**4299] * 900]", words="a list"),
    Hostile(
        "kills the process above by a descriptor",
        top="import os, signal; signal.pidfd_send_signal(os.pidfd_open(os.getppid()), 9)",
        words="PermissionError",
    ),
    Hostile(
        "limits the process above",
        top="import os, resource; resource.prlimit(os.getppid(), resource.RLIMIT_CPU, (1, 1))",
        words="other processes is refused",
    ),
    Hostile(
        "runs a program that lies in memory",
        top="import os; program = os.memfd_create('x'); os.execve(program, ['x'], {})",
        words="PermissionError",
    ),
    Hostile(
        "ends itself as the system would if memory ran out",
        top="import signal; signal.raise_signal(signal.SIGKILL)",
        words="PermissionError",
    ),
    Hostile(
        "sends half a message", top=WRITE_TO_ALL.replace("CONTENT", "(999).to_bytes(8, 'big')")
    ),
    Hostile(
        "sends a message without end",
        top=WRITE_TO_ALL.replace("CONTENT", "bytes([255]) * 1000"),
        words="ended the process",
    ),
    Hostile("sleeps", top="import time; time.sleep(10**6)", words="stopped after"),
    Hostile(
        "busies many threads",
        top="import threading, torch\n"
        "def forever():\n    while True: torch.ones(99, 99) @ torch.ones(99, 99)\n"
        "for _ in range(50): threading.Thread(target=forever, daemon=True).start()",
    ),
    Hostile(
        "starts a thousand threads",
        top="import threading, time\nthreading.stack_size(1 << 16)\n"
        "for _ in range(1000): threading.Thread(target=time.sleep, args=(99,)).start()\n"
        "time.sleep(99)",
        words="threads at once",
    ),
    Hostile(
        "makes files without end",
        top="import os, tempfile\nwhile True: os.close(tempfile.mkstemp()[0])",
        words="because it took more than 1,000 files",
    ),
    Hostile("fools with the import system", top="import sys\nsys.modules['torch'] = None"),
]
