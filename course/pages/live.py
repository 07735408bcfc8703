"""Which sliders the book computes itself, in docs/_static/live.js, and from which numbers.

A slider walks through pictures that are stored in the book. Where a formula is enough the reader's
browser draws them: the slider then stops everywhere, and needs no more than the notebook's numbers.
The notebooks have ipywidgets in both cases.
"""

from collections.abc import Callable

from torch import Tensor

from course import ROOT

FORMULAS = ROOT / "docs" / "_static" / "live.js"  # a student edition leaves them out
Numbers = dict[str, list[float] | float | str]


def numbers_of(values: Tensor) -> list[float]:
    """The values in one row, each with as many digits as float32 has."""
    return [float(f"{value:.9g}") for value in values.flatten().tolist()]


def schedules(cells: dict) -> Numbers:
    return {"digit": numbers_of(cells["digit"]), "eps": numbers_of(cells["eps"])}


def estimate(cells: dict) -> Numbers:
    names = {"digit": "digit", "eps": "eps_true", "epsHat": "eps_hat"}
    rows = {name: numbers_of(cells[variable]) for name, variable in names.items()}
    return {**rows, "data": cells["images"].name}


def posterior(cells: dict) -> Numbers:
    return {"pixel": cells["pixel"].item()}


# The notebook, and the function that draws its slider's picture -> the figure of live.js, which is
# called as the function that takes its numbers from the notebook's variables.
LIVE = {
    ("01_noise_schedule", "compare"): schedules,
    ("02_forward_process", "estimate_picture"): estimate,
    ("02_forward_process", "witness_picture"): posterior,
}


def live_form(notebook: str, draw: Callable) -> Callable[[dict], Numbers] | None:
    """The live form of a slider's picture, if it has one."""
    return LIVE.get((notebook, draw.__name__)) if FORMULAS.exists() else None
