"""Results that a long measurement keeps as it goes, so that it can be interrupted."""

import json
from pathlib import Path

from course.files import write_whole
from course.model.evaluation import Measurement


def load(path: Path, settings: dict) -> dict:
    """What an earlier run has measured under the same settings; otherwise an empty record.

    Returns:
        {"settings": settings, "measured": {name: figures}}, to be added to and saved.
    """
    settings = json.loads(json.dumps(settings))  # tuples become lists, as in the file
    if path.is_file():
        before = json.loads(path.read_text(encoding="utf-8"))
        if before["settings"] == settings:
            return before
    return {"settings": settings, "measured": {}}


def digits(measured: Measurement) -> dict:
    """What is kept of drawn digits: how many are right, and ratios to as many real ones."""
    share = measured.values.accuracy
    return {
        "right": share.value,
        "interval": list(share.interval),
        "frechet_ratio": round(measured.ratio("frechet"), 3),
        "recall_ratio": round(measured.ratio("recall"), 3),
        "coverage_ratio": round(measured.ratio("coverage"), 3),
    }


def save(path: Path, record: dict) -> None:
    """Write the record; call it after each measurement."""
    path.parent.mkdir(exist_ok=True)
    write_whole(path, json.dumps(record, indent=1) + "\n")
