"""Probes of chapter 09: they call the code under test and report what it returns."""


def scale(impl, inputs):
    x, factors = inputs["x"], inputs["factors"]
    return {"scaled": [impl.scale_prompts(x, factor) for factor in factors]}
