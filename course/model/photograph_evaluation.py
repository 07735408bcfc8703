"""Measure a model of photographs. Nobody here can judge what its pictures show.

The course's judge and features know digits and nothing else, and what they say of a cat means
nothing. What can be measured is the network's own error: how well it tells noise from image, at
each level of noise, on pictures that it was not trained on and on pictures that it was. Where it
does much better on those it knows, it has learned them by heart.
"""

import json
from pathlib import Path

from rich.table import Table

from course import CourseError
from course.model.data import kind_of, load_images
from course.model.evaluation import Measuring
from course.model.held_out import BANDS
from course.model.images import fingerprint
from course.model.models import Implementation
from course.model.own_pictures import PREFIX
from course.model.prompts import as_told

NO_JUDGE = (
    "there is no judge for such pictures, the course's knows digits alone: measured is the "
    "network's error, and whether the pictures are good is for your eyes"
)
SETS = {"CIFAR-10": "cifar10", "CIFAR-10 (JPEG copy)": "cifar10", "CelebA": "celeba"}


def of_photographs(trained_on: str) -> bool:
    """Was a model trained on photographs, where a configuration's `data` says this?"""
    return trained_on in SETS or trained_on.startswith(PREFIX)


class PhotographEvaluation(Measuring):
    """A model of photographs: its error on held-out pictures, and beside it on training pictures.

    Args:
        data: "auto", the set that the model was trained on; or the place of a folder that has
            been moved, as "folder:PATH".
    """

    def __init__(
        self,
        impl: Implementation,
        model_file: Path,
        out: Path,
        count: int = 1000,
        data: str = "auto",
        **options,
    ):
        super().__init__(impl, model_file, out, count, **options)
        began_with = _record(Path(model_file))
        name = self._name_of_set(began_with.get("folder"), data)
        size = self.config.image_size
        images = [load_images(name, train=train, size=size) for train in (True, False)]
        if self.config.classes and images[0].classes != self.config.classes:
            raise CourseError(
                f"this model knows {len(self.config.classes)} classes, and {name} has "
                f"{len(images[0].classes)}, or others; measure it with the pictures it was trained "
                f"on: --data {PREFIX}PATH"
            )
        self.train_set, self.test_set = (as_told(impl, self.config.text, part) for part in images)
        self.notes = [NO_JUDGE]
        if images[0].name != self.config.data:
            self.notes.append(f"it was trained on {self.config.data}, and is measured with "
                              f"{images[0].name}")  # fmt: skip
        elif "fingerprint" in began_with and began_with["fingerprint"] != fingerprint(*images):
            self.notes.append("the pictures have changed since the training: some that are held "
                              "out now may have been trained on")  # fmt: skip
        self.report |= {"against": self.test_set.name, "notes": self.notes}

    def _name_of_set(self, folder: str | None, data: str) -> str:
        kind = SETS.get(self.config.data, "folder")
        if data == "auto":
            if kind == "folder" and not folder:
                raise CourseError(
                    "this model was trained on your own pictures, and where they are is not noted "
                    f"beside it; say where: --data {PREFIX}PATH"
                )
            return f"{PREFIX}{folder}" if kind == "folder" else kind
        if kind_of(data) != kind:
            raise CourseError(
                f"this model was trained on {self.config.data}, and cannot be measured with "
                f"{data}; leave --data out"
            )
        return data

    def run(self, guidances: list[float]) -> dict:
        """Measure both errors; nothing is drawn, so that guidance has no say."""
        for name, images in (("held_out", self.test_set), ("training", self.train_set)):
            self._write()
            self.report[f"{name}_eps_mse"] = self.eps_mse(images)
        self.report["complete"] = True
        self._write()
        return self.report


def _record(model_file: Path) -> dict:
    """What a run noted of the folder that it learned from; nothing outside a run."""
    try:
        found = json.loads((model_file.parents[1] / "config.json").read_text(encoding="utf-8"))
        return {name: found[name] for name in ("folder", "fingerprint")}
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return {}


def tables(evaluation: PhotographEvaluation) -> list[Table]:
    """Both errors, band by band."""
    errors = [evaluation.report[f"{name}_eps_mse"] for name in ("held_out", "training")]
    counts = [f"{error['images']:,}" for error in errors]
    table = Table(title=f"eps-MSE on {counts[0]} held-out and {counts[1]} training pictures")
    for heading in ("t", "held out", "training"):
        table.add_column(heading, justify="right")
    width = evaluation.config.num_steps / BANDS
    for band, pair in enumerate(zip(*(error["bands"] for error in errors))):
        steps = f"{band * width:.0f} - {(band + 1) * width - 1:.0f}"
        table.add_row(steps, *(f"{value:.4f}" for value in pair))
    table.add_row("mean", *(f"{error['mean']:.4f}" for error in errors), style="bold")
    return [table]
