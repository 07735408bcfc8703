"""Chapter 01: the noise schedule.

A schedule fixes how much noise the forward process adds at each of T steps. Here you make two
of them, and the numbers by which any two can be compared.

    beta_t        variance of the noise that step t adds
    alpha_t       1 - beta_t, the share that step t keeps of the power it receives
    alpha_bar_t   the share of the clean image's power that is left after step t

Time runs over t = 0 ... T-1, and t = 0 is already one step of noise. Compute in float64
and hand out float32: in float32 some of the cosine schedule's first betas are off by 0.2 %.

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

    Both ends are betas of the schedule: `beta_start` is the first and `beta_end` the last.

    Source: Ho et al. 2020, section 4.

    Args:
        num_steps: T, the number of noise steps, at least 2.
        beta_start: the first beta.
        beta_end: the last beta.

    Returns:
        betas, shape (T,), float32, each right to a millionth of itself.

    Raises:
        ValueError: if num_steps < 2, or unless 0 < beta_start <= beta_end < 1.
    """
    if num_steps < 2:
        raise ValueError(f"num_steps must be at least 2, got {num_steps}")
    if not 0 < beta_start <= beta_end < 1:
        raise ValueError(f"need 0 < beta_start <= beta_end < 1, got {beta_start} and {beta_end}")
    raise NotImplementedError("exercise 1.1 is not written yet")


def cosine_betas(num_steps: int, s: float = 0.008, max_beta: float = 0.999) -> Tensor:
    """The cosine schedule: the betas with which alpha_bar falls along a squared cosine.

    The curve is given, from 1 before the first step to 0 at the end:

        alpha_bar_t = f((t + 1) / T) / f(0),   t = 0 ... T-1
        f(u)        = cos( (u + s) / (1 + s) * pi / 2 )^2,   u = 0 ... 1

    The betas are what is wanted. None may exceed `max_beta`: the curve ends at 0, and one step
    would have to erase all the signal that is left. The offset s keeps the first betas from
    becoming too small.

    Source: Nichol & Dhariwal 2021, equation 17.

    Args:
        num_steps: T, the number of noise steps, at least 2.
        s: the offset, a small positive number.
        max_beta: the largest beta allowed, more than 0 and less than 1.

    Returns:
        betas, shape (T,), float32, computed in float64.

    Raises:
        ValueError: if num_steps < 2.
    """
    if num_steps < 2:
        raise ValueError(f"num_steps must be at least 2, got {num_steps}")
    raise NotImplementedError("exercise 1.2 is not written yet")


def compute_alpha_bars(betas: Tensor) -> Tensor:
    """The share of the clean image's power that is left after each step.

    Step t keeps the share 1 - beta_t of the power that it receives. At t = 0 one step is done.

    Source: Ho et al. 2020, above equation 4.

    Args:
        betas: shape (T,), float32 or float64; T may be 1.

    Returns:
        alpha_bars, shape (T,), float32, computed in float64.
    """
    raise NotImplementedError("exercise 1.3 is not written yet")


def matching_beta_end(
    num_steps: int, final_alpha_bar: float, beta_start: float = 1e-4
) -> float | Tensor:
    """The beta_end with which a linear schedule of another length ends at the same noise level.

    A beta_end is made for one length: with fewer steps it leaves more of the signal. What should
    stay the same is alpha_bar after the last step. No formula gives the answer, but a search does.

    Source: the intermediate value theorem; bisection halves the interval that holds the answer.

    Args:
        num_steps: T, the number of noise steps, at least 2.
        final_alpha_bar: the share of the power that is to be left after the last step. Less than
            what is left if every beta is `beta_start`. At least 1e-30, and at least what a beta_end
            of 0.9999 leaves: for less, float32 has too few digits.
        beta_start: the first beta.

    Returns:
        beta_end, such that `linear_betas` with it leaves final_alpha_bar, give or take 0.1 % of it.
        A float, or a tensor that holds one number.
    """
    raise NotImplementedError("exercise 1.3 is not written yet")


def log_snr(alpha_bars: Tensor) -> Tensor:
    """How strong the signal is beside the noise: the natural logarithm of their ratio.

    If x_t's power is 1, the signal has alpha_bar_t of it, and noise has the rest. Both are powers
    (mean squares), not amplitudes. Where they are equal the log-SNR is 0.

    Source: Kingma et al. 2021, section 3.1.

    Args:
        alpha_bars: shape (T,), float32 or float64, each strictly between 0 and 1.

    Returns:
        log-SNR, shape (T,), float32, computed in float64.
    """
    raise NotImplementedError("exercise 1.4 is not written yet")


def equally_noisy(alpha_bars: Tensor, other: Tensor) -> Tensor:
    """For each step of one schedule, the step of another that is most nearly as noisy.

    Noise levels are compared by their log-SNR: the step wanted is the one whose log-SNR is nearest.
    Of two that are equally near, to 0.0001, either will do.

    Source: Kingma et al. 2021, section 5.1: what a noise level is depends on its SNR alone.

    Args:
        alpha_bars: of the one schedule, shape (T,), float32 or float64, each strictly between 0
            and 1.
        other: the same of the other schedule, shape (T',); T' may differ from T.

    Returns:
        steps of the other schedule, shape (T,), int64, each from 0 to T'-1.
    """
    raise NotImplementedError("exercise 1.4 is not written yet")
