"""On a GPU: a network's work, recorded once and then started as a whole.

A step of training starts several hundred small pieces of work on the GPU, one after the other, and
a fast GPU waits for the next more than it works. A recording (a CUDA graph) starts them all at
once. The sums are the same; what changes is how soon they begin.
"""

import contextlib
import warnings
from collections.abc import Iterator

import torch
from torch import Tensor, nn


@contextlib.contextmanager
def _no_waiting() -> Iterator[None]:
    """Within, what makes the program wait for the GPU raises a RuntimeError."""
    before = torch.cuda.get_sync_debug_mode()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch calls this mode a prototype
        torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode(before)


def record(model: nn.Module, inputs: tuple[Tensor, ...], precision: str) -> str | None:
    """From now on, in training mode, `model` replays a recording, forwards and backwards.

    Every call in training mode must bring inputs of these shapes. In eval mode the model computes
    as before. A network that waits for the GPU, with `.item()` for example, cannot be recorded, and
    is left as it is.

    Args:
        model: on a CUDA device, with no hooks.
        inputs: like those that it will be called with.
        precision: "float32", or "bfloat16" for its products, as in `Preset`.

    Returns:
        None, or why it cannot be recorded.
    """
    model.train()
    # What autocast has cast must not be kept for later: the recording casts anew each time.
    half = torch.autocast(
        "cuda", torch.bfloat16, enabled=precision == "bfloat16", cache_enabled=False
    )
    weights = [weight for weight in model.parameters() if weight.requires_grad]
    try:
        with half, _no_waiting():
            output = model(*inputs)
            torch.autograd.grad(output, weights, torch.ones_like(output), allow_unused=True)
        with half:
            torch.cuda.make_graphed_callables(model, inputs, allow_unused_input=True)
    except RuntimeError as error:
        return (str(error).strip().splitlines() or [type(error).__name__])[0]
    return None
