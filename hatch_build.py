"""Puts the course's material into the wheel, inside the package.

An editable install takes it from where it lies, so there is nothing to put.
"""

from pathlib import Path

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

MATERIAL = (
    "chapters/*.ipynb",
    "checks/**/*.py",
    "checks/**/*.toml",
    "solutions/*.py",
    "models/*.*",
    "benchmarks/results/*.*",  # the figures that chapters show
    "docs/**/*.*",  # for the web book
    "*.md",
    # For the version, and for the archive of `course export`, which pip installs.
    "pyproject.toml",
    "hatch_build.py",
    "LICENSE*",
)


class MaterialHook(BuildHookInterface):
    """Maps each file to its place below course/material."""

    def initialize(self, version: str, build_data: dict) -> None:
        """Called before a wheel is built; `version` is "standard" or "editable"."""
        if version == "editable":
            return
        top = Path(self.root)
        for pattern in MATERIAL:
            for path in filter(Path.is_file, top.glob(pattern)):
                name = path.relative_to(top).as_posix()
                build_data["force_include"][name] = f"course/material/{name}"
