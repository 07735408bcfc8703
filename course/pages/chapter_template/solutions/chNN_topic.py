"""Chapter NN: TITLE.

What this chapter is about, in a few lines. The exercise below is a placeholder: replace it.

    x   what goes in
    y   what comes out
"""

from torch import Tensor


def scale_topic(x: Tensor, factor: float) -> Tensor:
    """`x` with every value multiplied by `factor`.

        y_i = factor * x_i

    Source: replace this by paper and section.

    Args:
        x: any shape, float32.
        factor: any number.

    Returns:
        y, the shape of `x`, float32.
    """
    return factor * x
