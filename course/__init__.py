"""The machinery around the chapters: grading, data, runs, notebooks and the command line."""

import contextlib
import os
import sys
from pathlib import Path

# Before torch is imported: threads that wait for each other should spin for a moment (10,000
# turns are 0.1 ms) and then sleep. Without the moment, waking them makes a training step a third
# longer; without the sleep, another program on one of two cores makes it several times slower.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
os.environ.setdefault("GOMP_SPINCOUNT", "10000")

# Where this names a backend that matplotlib does not know, it could not be imported; and the course
# draws to files only, for which none is needed. A name that it knows stays.
if os.environ.get("MPLBACKEND") and "matplotlib" not in sys.modules:
    backend = os.environ.pop("MPLBACKEND")
    with contextlib.suppress(ImportError, ValueError):
        import matplotlib

        matplotlib.rcParams["backend"] = backend
        os.environ["MPLBACKEND"] = backend

PACKAGE = Path(__file__).resolve().parent

# Where chapters/, checks/, solutions/ and models/ lie: the top of a clone or, as a wheel carries
# them inside the package, course/material.
CLONED = not (PACKAGE / "material").is_dir()
ROOT = PACKAGE.parent if CLONED else PACKAGE / "material"


class CourseError(Exception):
    """Something the user can put right; its text says what was given, expected and to do."""
