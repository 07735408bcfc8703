"""Grading: verdicts on what probes saw, known answers, and the recognition of misunderstandings.

The only room that holds what is expected. It never enters the sandbox, and it knows nothing of
notebooks, classes or training.
"""

import importlib.util
import sys
from importlib.machinery import ModuleSpec

from course import ROOT


def _make_importable(name: str) -> None:
    """Let `import name` find the folder in ROOT, which no folder of sys.path need hold."""
    spec = ModuleSpec(name, loader=None, is_package=True)
    spec.submodule_search_locations = [str(ROOT / name)]
    sys.modules[name] = importlib.util.module_from_spec(spec)


# The checks import their probes, and known answers import the reference.
_make_importable("checks")
_make_importable("solutions")
