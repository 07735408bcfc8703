"""Chapter 07: fast sampling.

The ancestral walk of chapter 06 wants many small steps. Here you take few large ones: choose
which noise levels to visit, and go from one to the next without new noise, along a curve that a
better formula follows with fewer calls of the network.

    x_t        images at step t, (B, C, H, W)
    t, t_next  where each image stands and where the step leads, (B,), int64; t_next < t, and
               t_next = -1 means the clean image, where alpha_bar = 1
    eps        the noise that the network sees in x_t, (B, C, H, W)
    lambda_t   log( sqrt(alpha_bar_t) / sqrt(1 - alpha_bar_t) ), half of chapter 01's log-SNR

Sources: Song et al. 2021, "Denoising Diffusion Implicit Models" (DDIM);
Lu et al. 2022, "DPM-Solver++: Fast Solver for Guided Sampling of Diffusion Probabilistic Models";
Lin et al. 2024, "Common Diffusion Noise Schedules and Sample Steps are Flawed".

The functions and classes that end in NotImplementedError are yours to write. See how
you are doing with `course check 07`, and ask for help with `course hint 7.1`.
"""

from collections.abc import Callable, Collection

import torch
from torch import Tensor


def alpha_bar_at(alpha_bars: Tensor, t: Tensor) -> Tensor:
    """alpha_bar at each image's step, 1 where t = -1: (T,) and (B,) -> (B, 1, 1, 1)."""
    values = torch.where(t < 0, 1.0, alpha_bars[t])  # (B,)
    return values.view(-1, 1, 1, 1)


def time_grid(
    alpha_bars: Tensor, num_steps: int, spacing: str = "trailing", lambda_min: float = -5.0
) -> Tensor:
    """Choose which steps of the schedule a short walk visits, the noisiest first.

        trailing  t_i = round( (n - i) * T / n ) - 1             from T-1
        leading   t_i = (n - 1 - i) * floor( T / n )             down to 0
        linspace  t_i = round( (n - 1 - i) * (T - 1) / (n - 1) ) from T-1 down to 0
        log_snr   t_i = the step whose lambda_t lies nearest to the i-th of n values at equal
                  distances, from max( lambda_{T-1}, lambda_min ) up to lambda_0;  but t_0 = T-1

    with i = 0 ... n-1. Without `lambda_min` most of the values on the cosine schedule would fall
    where nothing but noise is to be seen. Where two values of log_snr fall on the same step, it
    is visited once, so that grid may be shorter.

    Source: Lin et al. 2024, section 3.3, for the first three; the last is DPM-Solver's.

    Args:
        alpha_bars: the full schedule, shape (T,).
        num_steps: n, from 2 to T.
        spacing: "trailing", "leading", "linspace" or "log_snr".
        lambda_min: the smallest lambda that log_snr spends a step on.

    Returns:
        the steps t, each smaller than the one before, shape (n,), int64, on the device of
        `alpha_bars`. The walk ends in a step from the last of them to the clean image.

    Raises:
        ValueError: if num_steps is not in 2 ... T, or for another spacing.
    """
    if not 2 <= num_steps <= len(alpha_bars):
        raise ValueError(f"num_steps must be between 2 and {len(alpha_bars)}, got {num_steps}")
    if spacing not in ("trailing", "leading", "linspace", "log_snr"):
        raise ValueError(f"spacing must be trailing, leading, linspace or log_snr, got {spacing!r}")
    raise NotImplementedError("exercise 7.1 is not written yet")


def ddim_step(
    x_t: Tensor,
    t: Tensor,
    t_next: Tensor,
    eps: Tensor,
    noise: Tensor | None,
    alpha_bars: Tensor,
    predict_x0: Callable[[Tensor, Tensor, Tensor, Tensor], Tensor],
    eta: float = 0.0,
) -> Tensor:
    """One step of DDIM, from t to any cleaner t_next.

        x_0     = ( x_t - sqrt(1 - a) * eps ) / sqrt(a), clipped to [-1, 1]
        eps'    = ( x_t - sqrt(a) * x_0 ) / sqrt(1 - a), the noise that belongs to the clipped x_0
        sigma   = eta * sqrt( (1 - a_next) / (1 - a) ) * sqrt( 1 - a / a_next )
        x_next  = sqrt(a_next) * x_0 + sqrt(1 - a_next - sigma^2) * eps' + sigma * noise

    with a = alpha_bar at t, and a_next = alpha_bar at t_next, or 1 where t_next = -1. eta = 0
    adds no noise; eta = 1 has the moments of chapter 06's reverse step. What stands under the
    root before eps' is never negative, but in float32 it can come out a little below 0.

    Source: Song et al. 2021, equations 12 and 16.

    Args:
        x_t: shape (B, C, H, W).
        t: shape (B,), int64; the images may stand at different steps.
        t_next: shape (B,), int64; -1 leads to the clean image.
        eps: the noise in x_t as the network sees it, shape (B, C, H, W).
        noise: fresh Gaussian noise, shape (B, C, H, W); may be None if eta = 0.
        alpha_bars: the full schedule, shape (T,).
        predict_x0: chapter 02's, called as predict_x0(x_t, t, eps, alpha_bars).
        eta: how much of the noise of the ancestral walk to add, from 0 to 1.

    Returns:
        x_next, shape (B, C, H, W).
    """
    raise NotImplementedError("exercise 7.2 is not written yet")


def dpm_step(
    x_t: Tensor,
    t: Tensor,
    t_next: Tensor,
    eps: Tensor,
    alpha_bars: Tensor,
    predict_x0: Callable[[Tensor, Tensor, Tensor, Tensor], Tensor],
) -> Tensor:
    """One step of DPM-Solver++ of first order, from t to any cleaner t_next.

        x_0     = ( x_t - sqrt(1 - a) * eps ) / sqrt(a), clipped to [-1, 1]
        lambda  = log( sqrt(a) / sqrt(1 - a) ),   h = lambda_next - lambda
        x_next  = sqrt(1 - a_next) / sqrt(1 - a) * x_t - sqrt(a_next) * ( e^(-h) - 1 ) * x_0

    with a = alpha_bar at t, and a_next = alpha_bar at t_next. Where t_next = -1, a_next = 1 and h
    is infinite: the step lands on x_0. The step is that of DDIM with eta = 0, in the form from
    which the second order follows.

    Source: Lu et al. 2022, section 4.1, in its first order.

    Args:
        x_t: shape (B, C, H, W).
        t: shape (B,), int64; the images may stand at different steps.
        t_next: shape (B,), int64; -1 leads to the clean image.
        eps: the noise in x_t as the network sees it, shape (B, C, H, W).
        alpha_bars: the full schedule, shape (T,).
        predict_x0: chapter 02's, called as predict_x0(x_t, t, eps, alpha_bars).

    Returns:
        x_next, shape (B, C, H, W).
    """
    raise NotImplementedError("exercise 7.3 is not written yet")


def dpm_2m_step(
    x_t: Tensor,
    t: Tensor,
    t_next: Tensor,
    eps: Tensor,
    alpha_bars: Tensor,
    predict_x0: Callable[[Tensor, Tensor, Tensor, Tensor], Tensor],
    memory: tuple[Tensor, Tensor] | None = None,
) -> tuple[Tensor, tuple[Tensor, Tensor]]:
    """One step of DPM-Solver++(2M), which looks at where the last guess of x_0 came from.

        x_0     = ( x_t - sqrt(1 - a) * eps ) / sqrt(a), clipped to [-1, 1]
        lambda  = log( sqrt(a) / sqrt(1 - a) ),   h = lambda_next - lambda
        r       = ( lambda - lambda_before ) / h
        D       = ( 1 + 1 / (2 r) ) * x_0 - 1 / (2 r) * x0_before
        x_next  = sqrt(1 - a_next) / sqrt(1 - a) * x_t - sqrt(a_next) * ( e^(-h) - 1 ) * D

    D is x_0 as it will be halfway to t_next, if it goes on changing as it did. In the first step
    there is nothing to look back to, and in the step to the clean image h is infinite: in both,
    D = x_0. D is not clipped.

    Source: Lu et al. 2022, algorithm 2.

    Args:
        x_t: shape (B, C, H, W).
        t: shape (B,), int64; the images may stand at different steps.
        t_next: shape (B,), int64; -1 leads to the clean image.
        eps: the noise in x_t as the network sees it, shape (B, C, H, W).
        alpha_bars: the full schedule, shape (T,).
        predict_x0: chapter 02's, called as predict_x0(x_t, t, eps, alpha_bars).
        memory: what the step before returned as its memory; None in the first step.

    Returns:
        (x_next, memory): the images, shape (B, C, H, W), and for the next step the pair (t, x_0)
        of this one.
    """

    raise NotImplementedError("exercise 7.4 is not written yet")


def fast_sample(
    predict_eps: Callable[[Tensor, Tensor], Tensor],
    step: Callable[..., tuple[Tensor, object]],
    x_T: Tensor,
    timesteps: Tensor,
    generator: torch.Generator | None = None,
    film_steps: Collection[int] = (),
) -> tuple[Tensor, list[Tensor]]:
    """Walk from noise to images over the steps of a grid.

        memory = None
        for each t of the grid, with t_next the one after it, or -1 after the last:
            eps = predict_eps(x, t);  noise ~ N(0, 1), or None without a generator
            x, memory = step(x, t, t_next, eps, noise, memory)

    What `step` remembers belongs to this walk: the next walk begins with None again.

    Source: Song et al. 2021, section 4.2; Lu et al. 2022, algorithm 2.

    Args:
        predict_eps: called once for each step, as predict_eps(x, t) with x (B, C, H, W) and
            t (B,), int64; labels and guidance are already inside it.
        step: called as step(x, t, t_next, eps, noise, memory), with t and t_next of shape (B,),
            int64; returns (x_next, memory).
        x_T: pure Gaussian noise to begin with, shape (B, C, H, W).
        timesteps: the grid, the noisiest step first, shape (num_steps,), int64.
        generator: the source of fresh noise, on the device of `x_T`; None if the walk needs none
            (eta = 0), and then none is drawn.
        film_steps: the steps t of the grid whose results to keep for a film.

    Returns:
        (x_0, film): the images, shape (B, C, H, W), and the frames kept, each of that shape,
        from the noisiest to the cleanest.
    """
    raise NotImplementedError("exercise 7.5 is not written yet")
