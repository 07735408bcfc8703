"""The machinery around the chapters: grading, data, runs, notebooks and the command line."""

from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


class CourseError(Exception):
    """Something the user can put right; its text says what was given, expected and to do."""
