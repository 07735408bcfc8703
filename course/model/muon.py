"""Muon, an optimiser for networks that are trained for a few minutes only.

AdamW scales every weight's step by itself. Muon sees the weights of a layer as one matrix and makes
its step orthogonal: it moves as far in the directions that the gradient hardly has as in those that
fill it. So a network learns more from each step, and a step takes a few per cent longer.

Source: Jordan et al. 2024, "Muon: An optimizer for hidden layers in neural networks"
(kellerjordan.github.io/posts/muon).
"""

import math
from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.optim import AdamW, Optimizer

# The first and the last layer, and tables of vectors, are left to AdamW, as its authors advise.
OUTSIDE = ("conv_in", "conv_out", "time_embedding", "class_embedding")
MOMENTUM = 0.95
ITERATIONS = 5


def orthogonal(matrices: Tensor) -> Tensor:
    """Bring all singular values of each matrix near 1, by an iteration of Newton and Schulz's kind.

        X <- a X + (b X X^T + c (X X^T)^2) X

    The three numbers lift small singular values fast, and leave all between 0.7 and 1.2. It is made
    in bfloat16 on a graphics card, where that is fast and precise enough.

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


class Muon(Optimizer):
    """Momentum whose every step is made orthogonal, for the matrices inside a network.

        m <- 0.95 m + 0.05 g
        W <- (1 - lr decay) W - lr 0.2 sqrt( max(R, C) ) orthogonal( 0.95 m + 0.05 g )

    The kernels of a convolution are one matrix, (out, in * 9). The factor gives a step the size of
    one of AdamW's, so that both can have one learning rate.

    Source: Jordan et al. 2024; Liu et al. 2025, "Muon is Scalable for LLM Training", equation 4.
    """

    def __init__(self, weights: Iterable[Tensor], lr: float, weight_decay: float = 0.0):
        super().__init__(weights, {"lr": lr, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self) -> None:
        for group in self.param_groups:
            weights = [weight for weight in group["params"] if weight.grad is not None]
            for shape in sorted({tuple(weight.shape) for weight in weights}):
                self._move([w for w in weights if w.shape == shape], group)  # all in one go

    def _move(self, weights: list[Tensor], group: dict) -> None:
        """Move weights that have one shape."""
        directions = []
        for weight in weights:
            gradient = weight.grad.flatten(1)  # (R, C)
            momentum = self.state[weight].setdefault("momentum", torch.zeros_like(gradient))
            momentum.lerp_(gradient, 1 - MOMENTUM)
            directions.append(gradient.lerp(momentum, MOMENTUM))
        changes = orthogonal(torch.stack(directions))  # (K, R, C)
        size = 0.2 * math.sqrt(max(changes.shape[1:]))
        for weight, change in zip(weights, changes):
            weight.mul_(1 - group["lr"] * group["weight_decay"])
            weight.add_(change.view(weight.shape), alpha=-group["lr"] * size)


class Together:
    """Several optimisers, each for other weights, that are used as one."""

    def __init__(self, *optimizers: Optimizer):
        self.optimizers = optimizers

    @property
    def param_groups(self) -> list[dict]:
        return [group for optimizer in self.optimizers for group in optimizer.param_groups]

    def zero_grad(self, set_to_none: bool = True) -> None:
        for optimizer in self.optimizers:
            optimizer.zero_grad(set_to_none)

    def step(self) -> None:
        for optimizer in self.optimizers:
            optimizer.step()

    def state_dict(self) -> dict:
        return {"each": [optimizer.state_dict() for optimizer in self.optimizers]}

    def load_state_dict(self, state: dict) -> None:
        for optimizer, part in zip(self.optimizers, state["each"], strict=True):
            optimizer.load_state_dict(part)


def split_weights(network: nn.Module) -> tuple[list[Tensor], list[Tensor]]:
    """The matrices inside a network, which are Muon's, and all other weights."""
    matrices, others = [], []
    for name, weight in network.named_parameters():
        inside = weight.ndim >= 2 and not name.startswith(OUTSIDE)
        (matrices if inside else others).append(weight)
    return matrices, others


def muon_and_adamw(network: nn.Module, lr: float, weight_decay: float) -> Together:
    """Muon for the matrices inside a network, AdamW for all else, with one learning rate."""
    matrices, others = split_weights(network)
    adamw = AdamW(others, lr=lr, betas=(0.9, 0.99), weight_decay=weight_decay)
    return Together(Muon(matrices, lr, weight_decay), adamw)
