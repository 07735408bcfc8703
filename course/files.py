"""Files that are whole whenever they are read, and locks that keep two programs apart."""

import contextlib
import errno
import os
from collections.abc import Iterator
from pathlib import Path

from course import CourseError

try:
    import fcntl
except ImportError:  # on Windows
    import msvcrt

    fcntl = None


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A place beside `path` to write to; if the block ends well, it takes the place of `path`.

    Until then the file that was there stays as it was, and an error leaves nothing behind. An
    error of the system names `path`.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = _beside(path)
    try:
        yield unfinished
        os.replace(unfinished, path)
    except OSError as error:
        error.filename, error.filename2 = str(path), None
        raise
    finally:
        unfinished.unlink(missing_ok=True)


def write_whole(path: Path, content: str | bytes) -> None:
    """Write a file in one step; text as UTF-8, with its line ends as they are."""
    with replacing(path) as unfinished:
        unfinished.write_bytes(content.encode() if isinstance(content, str) else content)


@contextlib.contextmanager
def locked(path: Path) -> Iterator[bool]:
    """Hold a lock file; yields False if another process holds it.

    The system lets go of it when the process ends, however it ends. Where the file system knows
    no locks, everyone holds it.
    """
    with path.open("a") as file:
        try:
            if fcntl:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            else:
                msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
            free = True
        except OSError as error:
            free = error.errno not in (errno.EAGAIN, errno.EACCES)
        yield free  # closing the file lets go of the lock


def require_writable(*paths: Path) -> None:
    """Fail now, and not after long work, if a file cannot be written; its folder is made.

    Raises:
        CourseError: with the path and why.
    """
    for path in paths:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            if path.is_dir():
                raise IsADirectoryError(errno.EISDIR, "it is a folder")
            if path.exists() and not os.access(path, os.W_OK):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
            _beside(path).touch()
            _beside(path).unlink()
        except OSError as error:
            raise CourseError(
                f"{path} cannot be written: {error.strerror}; choose another place, or make room "
                "there"
            ) from None


def _beside(path: Path) -> Path:
    return path.with_name(f"{path.name}.{os.getpid()}.part")
