"""Files that are at all times whole, whoever reads them and whenever the power fails."""

import os
from pathlib import Path


def write_whole(path: Path, content: str | bytes) -> None:
    """Write a file beside its place, then put it there in one step.

    Until then the file that was there before stays as it was.
    """
    unfinished = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        if isinstance(content, bytes):
            unfinished.write_bytes(content)
        else:
            unfinished.write_text(content, encoding="utf-8", newline="")
        os.replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)
