"""The machinery around the chapters: grading, data, runs, notebooks and the command line."""

import os
from pathlib import Path

# Before torch is imported: threads that wait should sleep, not spin. Where another program keeps
# one of two cores busy, spinning makes training several times slower.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

ROOT = Path(__file__).resolve().parent.parent


class CourseError(Exception):
    """Something the user can put right; its text says what was given, expected and to do."""
