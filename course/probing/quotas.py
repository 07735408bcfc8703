"""What code under test may claim beside memory and time: threads, and files in its own folder.

A process cannot be bound to these by itself: Linux counts neither root's threads nor a folder's
files. So the process above looks, several times a second, and ends what takes too much.
"""

import os
from pathlib import Path

MAX_THREADS = 200  # at once; what right code may start is torch's threads, one a core
MAX_FILES = 1000  # folders among them
MAX_BYTES = 128 << 20  # of all files together
MAX_OPEN = 64  # files at once: what is open and removed is seen in no folder


def excess(process: int, folder: str) -> str:
    """What a process, or its folder, has too much of; empty if nothing."""
    if (threads := _threads(process)) > MAX_THREADS:
        return f"{threads} threads at once"
    try:
        return _too_many_files(folder)
    except PermissionError:
        return "a folder that it closed to the grader"


def _threads(process: int) -> int:
    """How many there are; 0 where the system does not tell."""
    try:
        stat = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
        return int(stat[17])
    except (OSError, ValueError, IndexError):
        return 0


def _too_many_files(folder: str) -> str:
    """It looks no further than to the first that is too much."""
    count = size = 0
    left = [folder]
    while left:
        try:
            entries = os.scandir(left.pop())
        except FileNotFoundError:  # it has been removed meanwhile
            continue
        with entries:
            for entry in entries:
                count += 1
                if count > MAX_FILES:
                    return f"more than {MAX_FILES:,} files"
                if entry.is_dir(follow_symlinks=False):
                    left.append(entry.path)
                    continue
                try:
                    size += entry.stat(follow_symlinks=False).st_blocks * 512
                except FileNotFoundError:
                    continue
                if size > MAX_BYTES:
                    return f"files of more than {MAX_BYTES >> 20} MB"
    return ""
