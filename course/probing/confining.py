"""Confine this process by Linux itself: no programs and processes, no network, few files.

Two means that need no rights and that last until the process ends: a seccomp filter refuses calls
of the system, and Landlock refuses files. Where the system lacks one of them it is left out; so
`leaks` tries what should be refused, and tells what is not.
"""

import ctypes
import json
import os
import platform
import signal
import socket
import struct
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

# Calls of the system that are refused, by their numbers on x86_64 and on aarch64 (-1: not there).
REFUSED = {
    "fork": (57, -1),
    "vfork": (58, -1),
    "execve": (59, 221),
    "execveat": (322, 281),
    "kill": (62, 129),
    "tkill": (200, 130),
    "rt_sigqueueinfo": (129, 138),
    "rt_tgsigqueueinfo": (297, 240),
    "pidfd_send_signal": (424, 424),
    "pidfd_open": (434, 434),
    "pidfd_getfd": (438, 438),
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "socket": (41, 198),
    "socketpair": (53, 199),
    "connect": (42, 203),
    "bind": (49, 200),
    "unshare": (272, 97),
    "setns": (308, 268),
    "mount": (165, 40),
    "umount2": (166, 39),
    "pivot_root": (155, 41),
    "chroot": (161, 51),
    "open_tree": (428, 428),
    "move_mount": (429, 429),
    "fsopen": (430, 430),
    "mount_setattr": (442, 442),
    "memfd_create": (319, 279),
    "memfd_secret": (447, 447),
    "io_uring_setup": (425, 425),
    "userfaultfd": (323, 282),
    "perf_event_open": (298, 241),
    "bpf": (321, 280),
    "add_key": (248, 217),
    "request_key": (249, 218),
    "keyctl": (250, 219),
    "open_by_handle_at": (304, 265),
    "shmget": (29, 194),
    "semget": (64, 190),
    "msgget": (68, 186),
    "mq_open": (240, 180),
    "setsid": (112, 157),
    "setpgid": (109, 154),
    "setuid": (105, 146),
    "setgid": (106, 144),
    "setreuid": (113, 145),
    "setregid": (114, 143),
    "setresuid": (117, 147),
    "setresgid": (119, 149),
    "setgroups": (116, 159),
    "setpriority": (141, 140),
    "sched_setscheduler": (144, 119),
    "sched_setattr": (314, 274),
    "sched_setaffinity": (203, 122),
    "init_module": (175, 105),
    "finit_module": (313, 273),
    "reboot": (169, 142),
}
CLONE, CLONE3, TGKILL, PRLIMIT = (56, 220), (435, 435), (234, 131), (302, 261)
MACHINES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}

CLONE_THREAD = 0x10000
ALLOW, KILL, ERROR = 0x7FFF0000, 0x80000000, 0x00050000  # with an errno in the low bits
EPERM, ENOSYS = 1, 38
LOAD, IF_EQUAL, IF_AT_LEAST, IF_BITS, RETURN = 0x20, 0x15, 0x35, 0x45, 0x06

_libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


def die_with_parent() -> None:
    """Ask the system to end this process as soon as its parent ends, however that ends."""
    if _libc:
        _libc.prctl(1, signal.SIGKILL, 0, 0, 0)


def confine(readable: Iterable[str], writable: Iterable[str], hidden: Iterable[str]) -> None:
    """Refuse from here on what no chapter needs; it holds for this process until it ends.

    Args:
        readable: files and folders that may be read.
        writable: folders in which files may be made, changed and removed.
        hidden: files and folders inside `readable` that may not be read.
    """
    if not _libc or platform.machine() not in MACHINES:
        return
    _libc.prctl(38, 1, 0, 0, 0)  # no new rights by any program, which both means ask for
    _allow_files(readable, writable, [Path(place) for place in hidden])
    _drop_rights()
    _refuse_calls()


def _refuse_calls() -> None:
    """A filter in the language of seccomp(2), which looks at a call's number and arguments."""
    column, machine = MACHINES[platform.machine()]

    def step(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
        return struct.pack("=HBBI", code, if_true, if_false, value)

    def refuse(number: int, error: int = EPERM) -> bytes:
        return step(IF_EQUAL, number, 0, 1) + step(RETURN, ERROR | error)

    def unless(number: int, argument: int, test: bytes) -> bytes:
        """Refuse the call unless the test of its argument (of one step) skips a step."""
        inside = step(LOAD, 16 + 8 * argument) + test + step(RETURN, ERROR | EPERM)
        inside += step(RETURN, ALLOW)
        return step(IF_EQUAL, number, 0, len(inside) // 8) + inside

    program = step(LOAD, 4) + step(IF_EQUAL, machine, 1, 0) + step(RETURN, KILL) + step(LOAD, 0)
    if column == 0:  # a second set of numbers for the same calls
        program += step(IF_AT_LEAST, 0x40000000, 0, 1) + step(RETURN, ERROR | EPERM)
    program += b"".join(
        refuse(numbers[column]) for numbers in REFUSED.values() if numbers[column] >= 0
    )
    program += refuse(CLONE3[column], ENOSYS)  # then libc takes clone, whose arguments can be seen
    program += unless(CLONE[column], 0, step(IF_BITS, CLONE_THREAD, 1, 0))
    program += unless(PRLIMIT[column], 0, step(IF_EQUAL, 0, 1, 0))
    # A thread may signal its own process, as abort() does, but not end it as the grader would.
    program += unless(TGKILL[column], 2, step(IF_EQUAL, signal.SIGKILL, 0, 1))
    program += step(RETURN, ALLOW)
    steps = ctypes.create_string_buffer(program, len(program))
    handed = struct.pack("@HP", len(program) // 8, ctypes.addressof(steps))
    _libc.prctl(22, 2, ctypes.c_char_p(handed), 0, 0)


def _drop_rights() -> None:
    """Give up what root may do beyond others; of no effect for anyone else."""
    header, none = struct.pack("=Ii", 0x20080522, 0), bytes(24)
    _libc.capset(ctypes.c_char_p(header), ctypes.c_char_p(none))


# Landlock: what may be done with files, as bits.
EXECUTE, WRITE_FILE, READ_FILE, READ_DIR = 1, 2, 4, 8
BITS_OF_VERSION = {1: 13, 2: 14, 3: 15, 4: 15}  # how many of them there are; later 16
CREATE_RULESET, ADD_RULE, RESTRICT_SELF = 444, 445, 446


def _allow_files(readable: Iterable[str], writable: Iterable[str], hidden: list[Path]) -> None:
    version = _libc.syscall(CREATE_RULESET, None, 0, 1)
    if version < 1:
        return
    every = (1 << BITS_OF_VERSION.get(version, 16)) - 1
    ruleset = _libc.syscall(CREATE_RULESET, ctypes.byref(ctypes.c_uint64(every)), 8, 0)
    if ruleset < 0:
        return
    rules = [(place, every) for place in writable]
    for place in readable:
        rules.append((place, READ_DIR))  # names alone may be seen
        rules += [(inside, EXECUTE | READ_FILE) for inside in _without(Path(place), hidden)]
    for place, allowed in rules:
        try:
            folder = os.open(place, os.O_PATH)
        except OSError:
            continue
        if not os.path.isdir(place):
            allowed &= EXECUTE | WRITE_FILE | READ_FILE
        rule = struct.pack("=Qi", allowed & every, folder)
        _libc.syscall(ADD_RULE, ruleset, 1, ctypes.c_char_p(rule), 0)
        os.close(folder)
    _libc.syscall(RESTRICT_SELF, ruleset, 0)
    os.close(ruleset)


def _without(place: Path, hidden: list[Path]) -> list[Path]:
    """The place or, if something in it is hidden, what it holds beside that."""
    if place in hidden:
        return []
    if not any(other.is_relative_to(place) for other in hidden):
        return [place]
    return [path for inside in place.iterdir() for path in _without(inside, hidden)]


# What is not refused


def leaks(limit: Callable[[], None], hidden: Iterable[str], others: str) -> list[str]:
    """What code could still do after `limit` has run, in words; tried in a child.

    Args:
        limit: limits the process.
        hidden: what it should not read.
        others: a folder of the grader's, which it should not change.
    """
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.close(reading)
            limit()
            os.write(writing, json.dumps(_try_all(list(hidden), others)).encode())
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        found = pipe.read()
    os.waitpid(child, 0)
    return json.loads(found) if found else ["anything: its limits could not be set"]


def _try_all(hidden: list[str], others: str) -> list[str]:
    attempts = {
        "start other processes": _start,
        "signal the grader's processes": lambda: os.kill(os.getppid(), 0),
        "use the network": lambda: socket.socket(socket.AF_INET).close(),
        "write files of the grader": lambda: os.close(os.open(f"{others}/leak", os.O_CREAT)),
    }
    attempts |= {f"read {place}": lambda place=place: _read_in(place) for place in hidden}
    found = []
    for what, attempt in attempts.items():
        try:
            attempt()
            found.append(what)
        except OSError:
            pass
    return found


def _start() -> None:
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)


def _read_in(place: str) -> None:
    """Raises OSError unless a file of that folder can be read."""
    if not os.path.isdir(place):
        os.close(os.open(place, os.O_RDONLY))
        return
    for name in sorted(os.listdir(place)):
        if os.path.isfile(f"{place}/{name}"):
            os.close(os.open(f"{place}/{name}", os.O_RDONLY))
            return
    raise FileNotFoundError(place)
