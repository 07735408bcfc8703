"""Checks of chapter 10: Colour and size."""

import torch

from checks.probes import ch10_colour_and_size as probes
from course.grading.checking import check, require_close

# 10.1


def three_factors(g: torch.Generator) -> dict:
    return {"x": torch.randn(2, 3, generator=g), "factors": [2.0, 1.0, -0.5]}


@check(
    "10.1",
    probe=probes.scale,
    inputs=lambda g: {"x": torch.zeros(3), "factors": [2.0]},
    call="scale_colour_and_size(x, factor=2.0), x = [0, 0, 0]",
)
def test_zero_stays_zero(got, ref, inputs):
    """Whatever the factor, 0 stays 0"""
    require_close(got["scaled"][0], torch.zeros(3), "three zeros")


@check(
    "10.1",
    probe=probes.scale,
    inputs=three_factors,
    call="scale_colour_and_size(x, factor), x of shape (2, 3), factor = 2.0, 1.0, -0.5",
)
def test_every_value_is_multiplied(got, ref, inputs):
    """Every value is multiplied by the factor"""
    for factor, scaled in zip(inputs["factors"], got["scaled"]):
        require_close(scaled, factor * inputs["x"], f"each value of x times {factor}")
