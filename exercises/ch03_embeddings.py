"""Chapter 03: telling the network what time it is, and which digit to draw.

The network must behave differently at each noise level and for each class. Both arrive as
vectors: the step t through sines and cosines and a small MLP, the class through a table of
learned vectors. One label, the null label, names no class and means "any digit".

Sources: Vaswani et al. 2017, "Attention Is All You Need" (the sinusoids);
Ho & Salimans 2022, "Classifier-Free Diffusion Guidance" (the null label and label dropout).

The functions and classes that end in NotImplementedError are yours to write, and where a
comment says so, something is yours to mend. See how
you are doing with `course check 03`, and ask for help with `course hint 3.1`.
"""

import math

import torch
from torch import Tensor, nn


def sinusoidal_embedding(t: Tensor, dim: int, max_period: float = 10000.0) -> Tensor:
    """Describe each step by waves from fast to slow, so that near steps look alike.

        out = [ sin(t * omega_0) ... sin(t * omega_{half-1}),
                cos(t * omega_0) ... cos(t * omega_{half-1}) ],   half = dim / 2

    All the sines come first, then all the cosines. The fastest wave, omega_0, turns by 1 radian
    a step and the slowest by 1/max_period. From each wave to the next the frequency falls by
    the same factor.

    Source: Vaswani et al. 2017, section 3.5; Ho et al. 2020's code for the spacing.

    Args:
        t: steps, shape (B,), int64 (float32 works too).
        dim: length of the embedding, even and at least 4.
        max_period: the slowest wave has period 2 pi * max_period.

    Returns:
        shape (B, dim), float32, on the device of `t`.

    Raises:
        ValueError: if dim is odd or smaller than 4.
    """
    if dim % 2 or dim < 4:
        raise ValueError(f"dim must be even and at least 4, got {dim}")
    raise NotImplementedError("exercise 3.1 is not written yet")


class TimeMLP(nn.Module):
    """Turn the fixed waves into features that the network can learn.

    A feature need not be a straight line over the waves: training can bend it. All bends of this
    network are those of SiLU, z * sigmoid(z). And a feature can be as negative as positive: it is
    what the second linear layer gives, and nothing is added to it.

    Source: Ho et al. 2020, appendix B, and its published code.

    Args:
        time_dim: length of the incoming embedding e.
        cond_dim: length of the result, and of the hidden layer.
    """

    # Exercise 3.2: its code runs, and something in it is wrong.
    def __init__(self, time_dim: int, cond_dim: int):
        super().__init__()
        self.linear1 = nn.Linear(time_dim, cond_dim)
        self.linear2 = nn.Linear(cond_dim, cond_dim)

    def forward(self, embedding: Tensor) -> Tensor:
        """(B, time_dim) -> (B, cond_dim)."""
        hidden = self.linear1(embedding)  # (B, cond_dim)
        return self.linear2(hidden)  # (B, cond_dim)


class TimeEmbedding(nn.Module):
    """Both together, as the U-Net of chapter 04 wants them: steps t in, features out.

    Args:
        time_dim: length of the sinusoidal embedding.
        cond_dim: length of the result.
    """

    def __init__(self, time_dim: int, cond_dim: int):
        super().__init__()
        self.time_dim = time_dim
        self.mlp = TimeMLP(time_dim, cond_dim)

    def forward(self, t: Tensor) -> Tensor:
        """(B,) -> (B, cond_dim)."""
        return self.mlp(sinusoidal_embedding(t, self.time_dim))


class ClassEmbedding(nn.Module):
    """A learned vector for each label.

    Labels 0 ... num_classes-1 are classes; label `num_classes` is the null label, "any class".
    Its vector is learned like the others. Equal labels get equal vectors, and no two labels
    share a learned number.

    Source: Ho & Salimans 2022, section 3.2.

    Args:
        num_classes: the number of real classes, 10 for digits.
        cond_dim: length of each vector.
    """

    def __init__(self, num_classes: int, cond_dim: int):
        super().__init__()
        raise NotImplementedError("exercise 3.3 is not written yet")

    def forward(self, labels: Tensor) -> Tensor:
        """labels (B,), int64 -> (B, cond_dim)."""
        raise NotImplementedError("exercise 3.3 is not written yet")


def drop_labels(labels: Tensor, p: float, null_label: int, generator: torch.Generator) -> Tensor:
    """Replace each label, independently and with probability p, by the null label.

    In training, this teaches one network both jobs: to draw the digit it is told, and to
    draw any digit. Each image decides for itself; the input tensor stays as it was.

    Source: Ho & Salimans 2022, algorithm 1.

    Args:
        labels: shape (B,), int64.
        p: probability of dropping a label; 0.0 drops none, 1.0 drops all.
        null_label: the label that means "no class".
        generator: the only source of randomness, on the device of `labels`. torch's own, which
            torch.manual_seed sets, stays as it is.

    Returns:
        new labels, shape (B,), int64, in a tensor of their own even if none is dropped.

    Raises:
        ValueError: unless 0 <= p <= 1.
    """
    if not 0 <= p <= 1:
        raise ValueError(f"p must be a probability between 0 and 1, got {p}")
    raise NotImplementedError("exercise 3.4 is not written yet")
