"""Chapter 07: fast sampling.

The ancestral walk of chapter 06 needs many small steps. Here you take a few large ones. You
choose which noise levels to visit, and go from one to the next without new noise, along a curve
that a better formula follows with fewer calls of the network.

    x_t        images at step t, (B, C, H, W)
    t, t_next  where each image is and where the step leads, (B,), int64; t_next < t, and
               t_next = -1 means the clean image, where alpha_bar = 1
    eps        the noise that the network sees in x_t, (B, C, H, W)
    lambda_t   log( sqrt(alpha_bar_t) / sqrt(1 - alpha_bar_t) ), half of chapter 01's log-SNR

Unless a docstring says otherwise, images, noise and schedules are float32, and all tensors handed
in lie on one device, where what comes back lies, too.

Sources: Song et al. 2021, "Denoising Diffusion Implicit Models" (DDIM);
Lu et al. 2022, "DPM-Solver++: Fast Solver for Guided Sampling of Diffusion Probabilistic Models";
Lin et al. 2024, "Common Diffusion Noise Schedules and Sample Steps are Flawed".
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

    Where does a grid begin, and how long are its steps, the one to the clean image included? With
    T = 1000 and n = 4:

        trailing  999, 749, 499, 249   from T-1, all steps equally long, also the one that leaves
                                       the grid for the clean image (count steps from 1 to T)
        leading   750, 500, 250, 0     multiples of the largest whole number of which n fit into T
        linspace  999, 666, 333, 0     from T-1 down to 0, both included, equal distances
        log_snr                        equal distances in lambda: n values, from lambda_{T-1} or
                                       from lambda_min if that is larger, up to lambda_0

    What comes out between two whole numbers is rounded to the nearest; halfway, either will do.
    log_snr visits for each of its values the step whose lambda is nearest to it, but always begins
    at T-1. If two values lead to the same step, it is visited once, so this grid may be shorter.

    Equation:
        trailing  t_i = round( (n - i) * T / n ) - 1
        leading   t_i = (n - 1 - i) * floor( T / n )
        linspace  t_i = round( (n - 1 - i) * (T - 1) / (n - 1) )
        log_snr   t_i = argmin_t | lambda_t - l_i |,   t_0 = T - 1
                  l_i = l_0 + i / (n - 1) * ( lambda_0 - l_0 )
                  l_0 = max( lambda_{T-1}, lambda_min )

        with i = 0 ... n-1

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
    T, n = len(alpha_bars), num_steps
    i = torch.arange(n, device=alpha_bars.device)  # (n,)
    if spacing == "log_snr":
        lambdas = torch.log(alpha_bars / (1 - alpha_bars)) / 2  # (T,)
        start = lambdas[-1].clamp(min=lambda_min)
        levels = start + (lambdas[0] - start) * i / (n - 1)  # (n,)
        nearest = (levels[:, None] - lambdas).abs().argmin(dim=1)  # (n, T) -> (n,)
        nearest[0] = T - 1
        return nearest.unique_consecutive()
    if spacing == "trailing":
        return ((n - i) * T / n).round().long() - 1
    if spacing == "leading":
        return (n - 1 - i) * (T // n)
    return ((n - 1 - i) * (T - 1) / (n - 1)).round().long()


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

    The step guesses the clean image, clips it to [-1, 1], and takes for the noise whatever is left
    of x_t beside the clipped guess. Then it mixes the two anew, as the forward process would at
    t_next: the image with its weight there, and noise with the variance that belongs there in all.

    Of that noise a part is fresh, with the standard deviation eta * s, and the rest is the noise
    that was in x_t. s is the standard deviation of the posterior of chapter 02, taken for the leap
    from t to t_next, so that eta = 0 adds no noise, and eta = 1 makes chapter 06's reverse step.
    In float32 a variance that is 0 on paper can come out a little below 0.

    Equation:
        x_0     = predict_x0(...), clipped to [-1, 1]
        eps'    = ( x_t - sqrt(a) * x_0 ) / sqrt(1 - a)
        sigma   = eta * sqrt( (1 - a_next) / (1 - a) ) * sqrt( 1 - a / a_next )
        x_next  = sqrt(a_next) * x_0 + sqrt(1 - a_next - sigma^2) * eps' + sigma * noise

        with a = alpha_bar at t, and a_next = alpha_bar at t_next, or 1 where t_next = -1

    Source: Song et al. 2021, equations 12 and 16.

    Args:
        x_t: shape (B, C, H, W).
        t: shape (B,), int64; the images may be at different steps.
        t_next: shape (B,), int64; -1 leads to the clean image, where alpha_bar is 1.
        eps: the noise in x_t as the network sees it, shape (B, C, H, W).
        noise: fresh Gaussian noise, shape (B, C, H, W); if eta = 0 it changes nothing, and may be
            None.
        alpha_bars: the full schedule, shape (T,).
        predict_x0: chapter 02's, called as predict_x0(x_t, t, eps, alpha_bars).
        eta: how much of the noise of the ancestral walk to add, from 0 to 1.

    Returns:
        x_next, shape (B, C, H, W).
    """
    a, a_next = alpha_bar_at(alpha_bars, t), alpha_bar_at(alpha_bars, t_next)
    x0 = predict_x0(x_t, t, eps, alpha_bars).clamp(-1, 1)
    eps = (x_t - a.sqrt() * x0) / (1 - a).sqrt()
    sigma = eta * ((1 - a_next) / (1 - a)).sqrt() * (1 - a / a_next).sqrt()
    x_next = a_next.sqrt() * x0 + (1 - a_next - sigma**2).clamp(min=0).sqrt() * eps
    if eta > 0:
        x_next = x_next + sigma * noise
    return x_next


def dpm_step(
    x_t: Tensor,
    t: Tensor,
    t_next: Tensor,
    eps: Tensor,
    alpha_bars: Tensor,
    predict_x0: Callable[[Tensor, Tensor, Tensor, Tensor], Tensor],
) -> Tensor:
    """One step of DPM-Solver++ of first order, from t to any cleaner t_next.

    Along the curve, y = x / sqrt(1 - alpha_bar) changes as  dy / dlambda = e^lambda * x_0.  The
    step goes from lambda at t to lambda at t_next and is exact as long as x_0 stays what it is at
    t: the guess, clipped to [-1, 1]. Two such steps then lead where one does.

    Where t_next = -1, lambda is infinite, and the step lands on x_0: a weight in which 0 meets
    infinity would make NaN of it.

    Equation:
        lambda  = log( sqrt(a) / sqrt(1 - a) ),   h = lambda_next - lambda
        x_next  = sqrt(1 - a_next) / sqrt(1 - a) * x_t - sqrt(a_next) * ( e^(-h) - 1 ) * x_0

        with a = alpha_bar at t, and a_next = alpha_bar at t_next. It is the step of DDIM with
        eta = 0, in the form from which the second order follows.

    Source: Lu et al. 2022, section 4.1, in its first order.

    Args:
        x_t: shape (B, C, H, W).
        t: shape (B,), int64; the images may be at different steps.
        t_next: shape (B,), int64; -1 leads to the clean image, where alpha_bar is 1.
        eps: the noise in x_t as the network sees it, shape (B, C, H, W).
        alpha_bars: the full schedule, shape (T,).
        predict_x0: chapter 02's, called as predict_x0(x_t, t, eps, alpha_bars).

    Returns:
        x_next, shape (B, C, H, W).
    """
    a, a_next = alpha_bar_at(alpha_bars, t), alpha_bar_at(alpha_bars, t_next)
    x0 = predict_x0(x_t, t, eps, alpha_bars).clamp(-1, 1)
    h = torch.log(a_next / (1 - a_next)) / 2 - torch.log(a / (1 - a)) / 2
    return ((1 - a_next) / (1 - a)).sqrt() * x_t - a_next.sqrt() * torch.expm1(-h) * x0


def dpm_2m_step(
    x_t: Tensor,
    t: Tensor,
    t_next: Tensor,
    eps: Tensor,
    alpha_bars: Tensor,
    predict_x0: Callable[[Tensor, Tensor, Tensor, Tensor], Tensor],
    memory: object = None,
) -> tuple[Tensor, object]:
    """One step of DPM-Solver++(2M), which looks back at the guess of x_0 before this one.

    The step is that of `dpm_step`, with another image, D, in the place of x_0. D is x_0 as it will
    be halfway to t_next, halfway in lambda, if it goes on changing at the rate at which it changed
    in the last step. Both guesses are clipped to [-1, 1], as in `dpm_step`; D is not clipped.

    In the first step there is nothing to look back to, and in the step to the clean image there is
    no halfway, because lambda is infinite there. In both D is x_0. Some images of a batch may land
    while others go on.

    Equation:
        lambda  = log( sqrt(a) / sqrt(1 - a) ),   h = lambda_next - lambda
        r       = ( lambda - lambda_before ) / h
        D       = ( 1 + 1 / (2 r) ) * x_0 - 1 / (2 r) * x0_before
        x_next  = sqrt(1 - a_next) / sqrt(1 - a) * x_t - sqrt(a_next) * ( e^(-h) - 1 ) * D

    Source: Lu et al. 2022, algorithm 2.

    Args:
        x_t: shape (B, C, H, W).
        t: shape (B,), int64; the images may be at different steps.
        t_next: shape (B,), int64; -1 leads to the clean image, where alpha_bar is 1.
        eps: the noise in x_t as the network sees it, shape (B, C, H, W).
        alpha_bars: the full schedule, shape (T,).
        predict_x0: chapter 02's, called as predict_x0(x_t, t, eps, alpha_bars).
        memory: what the step before returned as its memory; None in the first step.

    Returns:
        (x_next, memory): the images, shape (B, C, H, W), and what the next step has to know of
        this one, in any form that it can read, such as the pair (t, x_0).
    """

    def half_log_snr(alpha_bar: Tensor) -> Tensor:
        return torch.log(alpha_bar / (1 - alpha_bar)) / 2

    a, a_next = alpha_bar_at(alpha_bars, t), alpha_bar_at(alpha_bars, t_next)
    x0 = predict_x0(x_t, t, eps, alpha_bars).clamp(-1, 1)
    h = half_log_snr(a_next) - half_log_snr(a)
    D = x0
    if memory is not None:
        t_before, x0_before = memory
        r = (half_log_snr(a) - half_log_snr(alpha_bar_at(alpha_bars, t_before))) / h
        second_order = x0 + (x0 - x0_before) / (2 * r)
        D = torch.where(t_next.view(-1, 1, 1, 1) < 0, x0, second_order)
    x_next = ((1 - a_next) / (1 - a)).sqrt() * x_t - a_next.sqrt() * torch.expm1(-h) * D
    return x_next, (t, x0)


@torch.no_grad()
def fast_sample(
    predict_eps: Callable[[Tensor, Tensor], Tensor],
    step: Callable[..., tuple[Tensor, object]],
    x_T: Tensor,
    timesteps: Tensor,
    generator: torch.Generator | None = None,
    film_steps: Collection[int] = (),
) -> tuple[Tensor, list[Tensor]]:
    """Walk from noise to images over the steps of a grid.

    From each t of the grid the walk goes to the next one, and from the last to the clean image,
    t_next = -1. In every step the network is asked once, and `step` moves the images. With a
    generator, each step is handed fresh noise of the shape of `x_T`; without one, None.
    What a step has to remember for the next one is its memory, which belongs to this walk alone.

    Equation:
        memory = None
        for each t of the grid, with t_next the one after it, or -1 after the last:
            eps = predict_eps(x, t);  noise ~ N(0, 1), or None without a generator
            x, memory = step(x, t, t_next, eps, noise, memory)

    Source: Song et al. 2021, section 4.2; Lu et al. 2022, algorithm 2.

    Args:
        predict_eps: called once for each step, as predict_eps(x, t) with x (B, C, H, W) and
            t (B,), int64, on its device; labels and guidance are already inside it.
        step: called as step(x, t, t_next, eps, noise, memory), with t and t_next of shape (B,),
            int64; returns (x_next, memory). The first step of a walk gets None as its memory.
        x_T: pure Gaussian noise to begin with, shape (B, C, H, W).
        timesteps: the grid, the noisiest step first, shape (num_steps,), int64.
        generator: the source of fresh noise, on the device of `x_T`; None if the walk needs none
            (eta = 0), and then none is drawn.
        film_steps: the steps t of the grid whose results to keep for a film.

    Returns:
        (x_0, film): the images, shape (B, C, H, W), and the frames kept, each of that shape,
        from the noisiest to the cleanest; without a graph for gradients.
    """
    x, film = x_T, []
    memory, noise = None, None
    grid = timesteps.tolist()
    for now, following in zip(grid, [*grid[1:], -1]):
        t = torch.full((x.shape[0],), now, dtype=torch.int64, device=x.device)  # (B,)
        t_next = torch.full_like(t, following)  # (B,)
        eps = predict_eps(x, t)
        if generator is not None:
            noise = torch.randn(x.shape, generator=generator, device=x.device, dtype=x.dtype)
        x, memory = step(x, t, t_next, eps, noise, memory)
        if now in film_steps:
            film.append(x)
    return x, film
