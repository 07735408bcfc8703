"""Measure a model that draws what a caption says: is each part of it in the picture, and all of it?

A caption asks for several things at once: a digit, a colour, a ground, a relation. The reader of
pictures says which of them a picture shows. Beside the captions of combinations that were in the
training there are those of combinations that were kept out of it, and beside the share of pictures
in which everything is right there is the product of the shares of digit, colour and ground: what
would be right if these three were missed independently of each other.
"""

import math
import time
from pathlib import Path
from types import ModuleType

import torch
from rich.table import Table
from torch import Tensor

from course import CourseError
from course.model.evaluation import (
    ACCURACY_LIMIT,
    MSE_IMAGES,
    MeasuringPictures,
    Share,
    data_at_hand,
    data_of,
    error_table,
    share_dict,
    share_of,
)
from course.model.models import Implementation
from course.model.prompts import load_scenes
from course.model.scenes import ALONE, PARTS, SIZES, Facts, Reader, make_scenes

ATTRIBUTES = {  # what is measured
    "scenes": ("digit", "colour", "ground", "all"),
    "pairs": ("digit", "colour", "ground", "binding", "relation", "size", "place", "all"),
    "large scenes": ("digit", "colour", "ground", "all"),
}
OF_TWO, OF_ONE = ("binding", "relation"), ("size", "place")  # and of how many digits, if not of all
FACTORS = ("digit", "colour", "ground")  # of the product

Shares = dict[str, dict[str, Share]]  # of each part, "seen" or "held out", of each attribute


class PromptEvaluation(MeasuringPictures):
    """A model of one of these sets, asked with captions and judged by what its pictures show."""

    def __init__(
        self,
        impl: Implementation,
        model_file: Path,
        out: Path,
        count: int = 1000,
        data: str = "auto",
        seed: int = 0,
        **options,
    ):
        super().__init__(impl, model_file, out, count, seed=seed, **options)
        self.kind, _, digits = self.config.data.partition(" of ")
        if self.kind not in SIZES:
            raise CourseError(
                f"this model was trained on {self.config.data}, and what such pictures show cannot "
                f"be read; measured are models of {', '.join(SIZES)}"
            )
        if data == "auto":
            data = data_at_hand(digits)
        images = data_of(digits, data)[1]
        self.test_set = load_scenes(impl, self.config.text, self.kind, images, MSE_IMAGES, seed)
        self.notes = []
        if images.name == "mnist5k":
            self.notes.append("the judge has seen the digits of the real pictures in its training: "
                              "it may be surer of them than of new ones")  # fmt: skip
        self.ch08, self.reader = impl.chapter("ch08_evaluation"), Reader()
        self.asked = {
            part: make_scenes(self.kind, images, count, torch.Generator().manual_seed(seed), part)
            for part in PARTS
        }
        self.real: Shares = {
            part: self.shares(scenes.pixels(slice(None)) / 127.5 - 1, scenes.facts)
            for part, scenes in self.asked.items()
        }
        self.measured: dict[float, Shares] = {}
        self.report |= {
            "against": self.test_set.name,
            "notes": self.notes,
            "count": count,
            "real": as_dict(self.real),
        }

    def shares(self, pictures: Tensor, asked: Facts) -> dict[str, Share]:
        """How many of the pictures, (N, 3, H, W) in [-1, 1], show each thing that was asked for."""
        if not bool(pictures.isfinite().all()):
            broken = int((~pictures.isfinite()).flatten(1).any(dim=1).sum())
            raise CourseError(f"{broken} of {len(pictures)} images hold infinite values or NaN")
        return shares_of(self.ch08, self.kind, self.reader.read(pictures), asked)

    def row(self, guidance: float) -> dict:
        started = time.monotonic()
        self.measured[guidance] = {
            part: self.shares(self.draw(scenes.captions, guidance), scenes.facts)
            for part, scenes in self.asked.items()
        }
        return {
            "guidance": guidance,
            **as_dict(self.measured[guidance]),
            "flags": flags(self.measured[guidance], self.real),
            "seconds": round(time.monotonic() - started, 1),
        }


def shares_of(ch08: ModuleType, kind: str, seen: Facts, asked: Facts) -> dict[str, Share]:
    """How often what was seen is what was asked for, where a caption says something about it."""
    agreed, alone = seen.agree(asked), asked.layout == ALONE
    shares = {}
    for name in ATTRIBUTES[kind]:
        right = agreed[name]
        if name in OF_TWO:
            right = right[~alone]
        elif name in OF_ONE:
            right = right[alone]
        shares[name] = share_of(ch08, right.sum(), torch.tensor(len(right)))
    return shares


def product(shares: dict[str, Share]) -> float:
    """The share of pictures with everything right, if digit, colour and ground are independent."""
    return math.prod(shares[name].value for name in FACTORS)


def as_dict(measured: Shares) -> dict:
    """The figures as they stand in the report."""
    return {
        part: {name: share_dict(share) for name, share in shares.items()}
        | {"product": product(shares)}
        for part, shares in measured.items()
    }


def flags(measured: Shares, real: Shares) -> list[str]:
    """Which attributes are missed, in words; an empty list if none is."""
    return [
        f"only {share.value:.1%} of the pictures show the {name} asked for, {part} combinations"
        for part, shares in measured.items()
        for name, share in shares.items()
        if name != "all" and share.interval[1] < ACCURACY_LIMIT * real[part][name].value
    ]


def tables(evaluation: PromptEvaluation) -> list[Table]:
    """The figures, with a column for real pictures and one for each guidance."""
    walk = f"{evaluation.num_steps} steps, {evaluation.sampler}"
    count = evaluation.report["count"]
    table = Table(title=f"{count} pictures each, {evaluation.config.data}, {walk}")
    columns = {"real": evaluation.real}
    columns |= {f"w = {guidance:g}": row for guidance, row in evaluation.measured.items()}
    table.add_column("")
    for name in columns:
        table.add_column(name, justify="right")
    for part in PARTS:
        table.add_row(f"{part} combinations", style="bold")
        for name in ATTRIBUTES[evaluation.kind]:
            table.add_row(f"  {name}", *(_percent(row[part][name]) for row in columns.values()))
        products = (f"{product(row[part]):.1%}" for row in columns.values())
        table.add_row("  product of the three", *products)
    return [table, error_table(evaluation)]


def _percent(share: Share) -> str:
    low, high = share.interval
    return f"{share.value:.1%} ({low:.1%} - {high:.1%})"
