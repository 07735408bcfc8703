"""Muon, an optimiser that sees the weights of a layer as one matrix.

AdamW scales every weight's step by itself. Muon makes the step of a whole matrix orthogonal: it
moves as far in the directions that the gradient hardly has as in those that fill it. So a network
learns more from each step, and a step takes a little longer.

Source: Jordan et al. 2024, "Muon: An optimizer for hidden layers in neural networks"
(kellerjordan.github.io/posts/muon).
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.optim import AdamW

# The first and the last layer, and all that leads from time and class, are left to AdamW, and so
# are tables of vectors, as Muon's authors advise.
OUTSIDE = ("conv_in", "conv_out", "time_embedding", "class_embedding")
MOMENTUM = 0.95
ITERATIONS = 5


def orthogonal(matrices: Tensor) -> Tensor:
    """Bring all singular values of each matrix near 1, by an iteration of Newton and Schulz's kind.

        X <- a X + (b X X^T + c (X X^T)^2) X

    The three numbers lift small singular values fast, and leave most of them between about 0.7 and
    1.2. On a graphics card it is made in bfloat16, which is fast there and precise enough.

    Args:
        matrices: (K, R, C).
    """
    a, b, c = 3.4445, -4.7750, 2.0315
    x = matrices.bfloat16() if matrices.is_cuda else matrices
    tall = x.shape[1] > x.shape[2]
    if tall:
        x = x.mT
    x = x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)
    for _ in range(ITERATIONS):
        gram = x @ x.mT  # (K, R, R)
        x = a * x + (b * gram + c * gram @ gram) @ x
    return (x.mT if tall else x).to(matrices.dtype)


def split_weights(network: nn.Module) -> tuple[list[Tensor], list[Tensor]]:
    """The matrices inside a network, which are Muon's, and all other weights."""
    tables = {id(part.weight) for part in network.modules() if isinstance(part, nn.Embedding)}
    matrices, others = [], []
    for name, weight in network.named_parameters():
        inside = weight.ndim >= 2 and not name.startswith(OUTSIDE) and id(weight) not in tables
        (matrices if inside else others).append(weight)
    return matrices, others


class Muon(AdamW):
    """Momentum whose every step is made orthogonal, for the matrices inside a network.

        m <- 0.95 m + 0.05 g
        W <- (1 - lr decay) W - lr 0.2 sqrt( max(R, C) ) orthogonal( 0.95 m + 0.05 g )

    The kernels of a convolution are one matrix, (out, in * 9). The factor gives a step the size of
    one of AdamW's, so that both can have one learning rate: all other weights are AdamW's, with
    betas 0.9 and 0.99. They are the first group, the matrices the second.

    Source: Jordan et al. 2024; Liu et al. 2025, "Muon is Scalable for LLM Training", equation 4.
    """

    def __init__(self, network: nn.Module, lr: float, weight_decay: float):
        matrices, others = split_weights(network)
        super().__init__(
            [{"params": others}, {"params": matrices}],
            lr=lr,
            betas=(0.9, 0.99),
            weight_decay=weight_decay,
            fused=others[0].is_cuda,
        )

    @torch.no_grad()
    def step(self, closure: Callable[[], Tensor] | None = None) -> Tensor | None:
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        group = self.param_groups[1]
        matrices = [weight for weight in group["params"] if weight.grad is not None]
        for shape in sorted({tuple(weight.shape) for weight in matrices}):
            self._move([w for w in matrices if w.shape == shape], group)  # all in one go
        # AdamW moves the others: it passes over weights that have no gradient.
        gradients = [weight.grad for weight in matrices]
        for weight in matrices:
            weight.grad = None
        super().step()
        for weight, gradient in zip(matrices, gradients):
            weight.grad = gradient
        return loss

    def _move(self, weights: list[Tensor], group: dict) -> None:
        """Move matrices that have one shape."""
        directions = []
        for weight in weights:
            gradient = weight.grad.flatten(1)  # (R, C)
            state = self.state[weight]
            if not state:  # AdamW looks for the number of steps when a state is loaded
                state |= {"step": torch.zeros(()), "momentum": torch.zeros_like(gradient)}
            state["step"] += 1
            state["momentum"].lerp_(gradient, 1 - MOMENTUM)
            directions.append(gradient.lerp(state["momentum"], MOMENTUM))
        changes = orthogonal(torch.stack(directions))  # (K, R, C)
        size = 0.2 * math.sqrt(max(changes.shape[1:]))
        for weight, change in zip(weights, changes):
            weight.mul_(1 - group["lr"] * group["weight_decay"])
            weight.add_(change.view(weight.shape), alpha=-group["lr"] * size)
