"""Probes of chapter 10: they call the code under test and report what it returns."""


def scale(impl, inputs):
    x, factors = inputs["x"], inputs["factors"]
    return {"scaled": [impl.scale_colour_and_size(x, factor) for factor in factors]}
