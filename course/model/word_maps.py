"""Which word do the pixels look at? The tables of a network's cross-attention, as maps."""

from types import ModuleType

import torch
from torch import Tensor, nn
from torch.nn import functional as F


@torch.no_grad()
def word_maps(
    ch09: ModuleType, model: nn.Module, x: Tensor, t: Tensor, tokens: Tensor, mask: Tensor
) -> Tensor:
    """How much each pixel looks at each word in one call of the network, all its tables averaged.

    Args:
        ch09: the chapter whose CrossAttention the network has.
        x, t, tokens, mask: as the network gets them.

    Returns:
        (B, L, H, W); over the words, the numbers of a pixel have the sum 1.

    Raises:
        ValueError: if the network has no cross-attention.
    """
    maps: list[Tensor] = []

    def look(module: nn.Module, inputs: tuple[Tensor, Tensor, Tensor], output: Tensor) -> None:
        table = module.attention(*inputs).mean(dim=1)  # (B, heads, N, L) -> (B, N, L)
        small = table.transpose(1, 2).unflatten(2, inputs[0].shape[2:])  # (B, L, h, w)
        maps.append(F.interpolate(small, size=x.shape[2:], mode="nearest"))

    hooks = [
        module.register_forward_hook(look)
        for module in model.modules()
        if isinstance(module, ch09.CrossAttention)
    ]
    try:
        model(x, t, tokens, mask)
    finally:
        for hook in hooks:
            hook.remove()
    if not maps:
        raise ValueError("this network has no cross-attention: no pixel looks at a word")
    return torch.stack(maps).mean(dim=0)
