"""The cases of the clinic: runs that went wrong, each with the code that is ill.

Answers can be read here, so a student edition packs this file.
"""

import functools
import textwrap
from dataclasses import dataclass, field
from typing import Any

from course.grading.answers import reference_code

UPDATES = 600  # of a run
NUM_STEPS = 100  # T of the toy


@dataclass(frozen=True)
class Case:
    """One run that went wrong."""

    _name: str = field(repr=False)  # the diagnosis, which neither Tab nor a printed case tells
    complaint: str  # in its owner's words
    code: str = field(repr=False)  # the part of the owner's code that is ill
    exercise: str = ""  # whose checks grade the mended code; empty: the clinic's own
    settings: dict[str, Any] = field(default_factory=dict)  # that differ from the sound run's

    @property
    def shown(self) -> dict[str, Any]:
        """The configuration, as its owner wrote it down."""
        return {**SETTINGS, **self.settings}


def diagnosis(case: Case) -> str:
    """What ails a case."""
    return case._name


SETTINGS = {
    "points": 3000,
    "updates": UPDATES,
    "batch": 128,
    "learning rate": 3e-3,
    "label dropout": 0.1,
    "EMA decay": 0.99,
    "dropout in the network": 0.0,
    "guidance w": 0,
    "steps of the walk": NUM_STEPS,
}


# Diagnoses that fit no case, and what a run shows that has them, as tried out on the toy.
DECOYS = {
    "the average is never updated": (
        "Then the drawings of all moments would be the same, made by the random weights of the "
        "beginning, and `error_by_level` would be near 1 at each level, with a sound loss."
    ),
    "the images are flipped, which turns digits round": (
        "Then flipped moons would be among what is drawn."
    ),
    "the learning rate is far too small": (
        "Then the loss would creep down without a jump and still be falling at the end: with "
        "0.00001 it is 0.8 after 600 updates."
    ),
    "the network does not hear the step t": (
        "Then the loss would end at some 0.25 and the moons stay thick. But `error_by_label` would "
        "be least with the right label."
    ),
    "the variance stands where the standard deviation belongs": (
        "Then the walk would add too little noise, and the points of a moon would huddle together "
        "at w = 0 as well."
    ),
}


def ill(exercise_id: str, symbol: str, *places: tuple[str, str]) -> str:
    """The reference's code of a function with some places changed, each (old, new)."""
    text = reference_code(exercise_id)[symbol].strip("\n")
    for old, new in places:
        if text.count(old) != 1:
            raise ValueError(f"{exercise_id}: {old!r} is found {text.count(old)} times, not once")
        text = text.replace(old, new)
    return text


@functools.cache
def cases() -> tuple[Case, ...]:
    """The twelve, from visible to subtle."""
    return (
        Case(
            "the learning rate is far too large",
            "My loss begins at a million, comes down to 1, and stays there.",
            'settings = {"learning rate": 0.3}',
            settings={"learning rate": 0.3},
        ),
        Case(
            "the guess of the clean image is not clipped",
            "I draw in 10 steps. At first my points fly out of the square; some do to the end.",
            ill("6.1", "p_sample", (".clamp(-1, 1)", "")),
            "6.1",
            {"steps of the walk": 10},
        ),
        Case(
            "the data has the wrong range",
            "My loss stays near 1, as if nothing were learned, and my points stick to the edges.",
            textwrap.dedent("""\
                def prepare(stored):
                    # stored: whole numbers 0 ... 255, shape (N, 2, 1, 1), uint8
                    return stored.float()"""),
        ),
        Case(
            "the label never reaches the network",
            "I ask for a moon and get a blot. Yet the loss is not far from that of a sound run.",
            ill(
                "3.4",
                "drop_labels",
                (
                    "torch.full_like(labels, null_label), labels)",
                    "labels, torch.full_like(labels, null_label))",
                ),
            ),
            "3.4",
            {"label dropout": 0.0},
        ),
        Case(
            "the average has no warm-up",
            "The loss is as it should be. But what I draw is fog, as if I had hardly trained.",
            ill("5.3", "EMA", ("min(self.decay, (1 + n) / (10 + n))", "self.decay")),
            "5.3",
            {"EMA decay": 0.9995},
        ),
        Case(
            "guidance is applied twice",
            "I asked for w = 1. My points huddle together, as if w were much larger.",
            textwrap.dedent("""\
                def make_predict(network, labels, w, null_label, guided_eps):
                    def conditional(x, t, labels):
                        return guided_eps(network, x, t, labels, w, null_label)

                    def predict_eps(x, t):
                        return guided_eps(conditional, x, t, labels, w, null_label)

                    return predict_eps"""),
            settings={"guidance w": 1},
        ),
        Case(
            "the short walk has the betas of another",
            "With 100 steps all is well. With 10 I get clouds, and I had kept the noise levels!",
            ill(
                "6.5",
                "respace",
                ("1 - kept / before", "schedule_betas.double()[timesteps]"),
            ),
            "6.5",
            {"steps of the walk": 10},
        ),
        Case(
            "the network draws in training mode",
            "Same weights, same seed, and two drawings that differ. And both are rough.",
            textwrap.dedent("""\
                def predict(network, x, t, labels):
                    with torch.no_grad():
                        return network(x, t, labels)"""),
            settings={"dropout in the network": 0.2},
        ),
        Case(
            "the batch shares one noise",
            "My loss jumps up and down as never before, and the shape stays thick.",
            ill("5.1", "draw_noise", ("return t, eps", "return t, eps[:1].expand_as(x0)")),
            "5.1",
        ),
        Case(
            "the metric compares sets of different sizes",
            "I save time and draw 40 points. My ratio says that the model is bad. It looks good.",
            ill("8.4", "distance_ratio", ("[:n]]", "]")),
            "8.4",
        ),
        Case(
            "the resumed run has lost its generator",
            "I stopped the run and went on. It ends with other weights than without the stop.",
            ill(
                "5.5",
                "load_checkpoint",
                ('    generator.set_state(state["generator"])\n', ""),
                ("ema: EMA", "ema"),  # so that it can be pasted where no EMA is
            ),
            "5.5",
        ),
        Case(
            "the points are learned by heart",
            "The loss falls and falls, the drawing is sharp. And yet my teacher is not content.",
            'settings = {"points": 8, "updates": 2400}',
            settings={"points": 8, "updates": 2400},
        ),
    )
