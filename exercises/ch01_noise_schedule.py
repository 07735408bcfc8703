"""Chapter 01: the noise schedule.

A schedule fixes how much noise the forward process adds at each of T steps. Here you make two
of them, and the numbers by which any two can be compared.

    beta_t        variance of the noise that step t adds
    alpha_t       1 - beta_t, the share of the signal's power that step t keeps
    alpha_bar_t   alpha_0 * ... * alpha_t, the share that is left after step t

Time runs over t = 0 ... T-1, and t = 0 is already one step of noise. Compute in float64
and hand out float32: in float32 the first beta of the cosine schedule is off by up to 0.2 %.

Sources: Ho et al. 2020, "Denoising Diffusion Probabilistic Models" (DDPM);
Nichol & Dhariwal 2021, "Improved DDPM"; Kingma et al. 2021, "Variational Diffusion Models".

The functions and classes that end in NotImplementedError are yours to write. See how
you are doing with `course check 01`, and ask for help with `course hint 1.1`.
"""

import math

import torch
from torch import Tensor


def linear_betas(num_steps: int, beta_start: float = 1e-4, beta_end: float = 0.02) -> Tensor:
    """The linear schedule: betas in equal steps from `beta_start` to `beta_end`.

        beta_t = beta_start + (beta_end - beta_start) * t / (T - 1),   t = 0 ... T-1

    Source: Ho et al. 2020, section 4.

    Args:
        num_steps: T, the number of noise steps, at least 2.
        beta_start: the first beta.
        beta_end: the last beta.

    Returns:
        betas, shape (T,), float32, computed in float64.

    Raises:
        ValueError: if num_steps < 2, or unless 0 < beta_start <= beta_end < 1.
    """
    if num_steps < 2:
        raise ValueError(f"num_steps must be at least 2, got {num_steps}")
    if not 0 < beta_start <= beta_end < 1:
        raise ValueError(f"need 0 < beta_start <= beta_end < 1, got {beta_start} and {beta_end}")
    raise NotImplementedError("exercise 1.1 is not written yet")


def cosine_betas(num_steps: int, s: float = 0.008, max_beta: float = 0.999) -> Tensor:
    """The cosine schedule: alpha_bar falls along a squared cosine.

        f(u)   = cos( (u + s) / (1 + s) * pi / 2 )^2,   u = 0 ... 1
        beta_t = min( 1 - f((t + 1) / T) / f(t / T), max_beta ),   t = 0 ... T-1

    The offset s keeps the first betas from becoming too small; the clip keeps the last one
    below 1, where all signal would be lost in a single step.

    Source: Nichol & Dhariwal 2021, equation 17.

    Args:
        num_steps: T, the number of noise steps, at least 2.
        s: the offset, a small positive number.
        max_beta: the largest beta allowed.

    Returns:
        betas, shape (T,), float32, computed in float64.

    Raises:
        ValueError: if num_steps < 2.
    """
    if num_steps < 2:
        raise ValueError(f"num_steps must be at least 2, got {num_steps}")
    raise NotImplementedError("exercise 1.2 is not written yet")


def compute_alpha_bars(betas: Tensor) -> Tensor:
    """The share of the signal's power that is left after each step.

        alpha_bar_t = (1 - beta_0) * (1 - beta_1) * ... * (1 - beta_t)

    Source: Ho et al. 2020, above equation 4.

    Args:
        betas: shape (T,), float32 or float64.

    Returns:
        alpha_bars, shape (T,), float32, computed in float64.
    """
    raise NotImplementedError("exercise 1.3 is not written yet")


def log_snr(alpha_bars: Tensor) -> Tensor:
    """How far the signal stands above the noise, on a logarithmic scale.

        SNR_t    = alpha_bar_t / (1 - alpha_bar_t)
        logSNR_t = log SNR_t      (natural logarithm; 0 where signal and noise are equal)

    Both are powers (variances), not amplitudes.

    Source: Kingma et al. 2021, section 3.1.

    Args:
        alpha_bars: shape (T,), float32 or float64, each strictly between 0 and 1.

    Returns:
        log-SNR, shape (T,), float32, computed in float64.
    """
    raise NotImplementedError("exercise 1.4 is not written yet")
