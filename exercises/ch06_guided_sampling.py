"""Chapter 06: guided sampling.

The reverse process: begin with pure noise and take it away again, a little at each of T
steps, until a digit is there. Guidance makes it the digit that you asked for.

    x_t       images at step t, (B, C, H, W)
    eps       the noise that the network sees in x_t, (B, C, H, W)
    t         the step of each image, (B,), int64
    schedule  chapter 02's NoiseSchedule, each of its fields of shape (T,)

Unless a docstring says otherwise, images, noise and tables are float32, and all tensors handed in
lie on one device, where what comes back lies, too. No function changes a tensor that it is handed.

Sources: Ho et al. 2020, "Denoising Diffusion Probabilistic Models" (DDPM);
Ho & Salimans 2022, "Classifier-Free Diffusion Guidance".

The functions and classes that end in NotImplementedError are yours to write, and where a
comment says so, something is yours to mend. See how
you are doing with `course check 06`, and ask for help with `course hint 6.1`.
"""

from collections.abc import Callable, Collection

import torch
from torch import Tensor


def p_sample(
    x_t: Tensor,
    t: Tensor,
    eps: Tensor,
    noise: Tensor,
    schedule,
    predict_x0: Callable[[Tensor, Tensor, Tensor, Tensor], Tensor],
    q_posterior: Callable[..., tuple[Tensor, Tensor]],
    variance: str = "small",
) -> Tensor:
    """One reverse step: from x_t to x_{t-1}.

    Chapter 02's posterior says where x_{t-1} is, if x_0 is known. Here it is not: in its place
    there is the guess that follows from eps. The guess is an image, whose pixels lie in [-1, 1],
    however wrong eps may be. x_{t-1} is one draw: around the posterior's mean, with its variance
    ("small") or with beta_t ("large"). The step at t = 0 makes the finished image; nothing is added
    to it.

    Source: Ho et al. 2020, algorithm 2 in the form of equations 7 and 15; section 3.2 for
    the two choices of the variance.

    Args:
        x_t: shape (B, C, H, W).
        t: shape (B,), int64; the images may be at different steps.
        eps: the noise in x_t as the network sees it, shape (B, C, H, W).
        noise: fresh Gaussian noise, shape (B, C, H, W).
        schedule: the tables, each of shape (T,).
        predict_x0: chapter 02's, called as predict_x0(x_t, t, eps, alpha_bars).
        q_posterior: chapter 02's, or another in its place; called as
            q_posterior(x0, x_t, t, schedule) it gives the mean, shaped like x_t, and the
            variance, (B, 1, 1, 1).
        variance: "small" or "large".

    Returns:
        x_{t-1}, shape (B, C, H, W).

    Raises:
        ValueError: if `variance` is neither "small" nor "large".
    """
    if variance not in ("small", "large"):
        raise ValueError(f'variance must be "small" or "large", got {variance!r}')

    raise NotImplementedError("exercise 6.1 is not written yet")


def guided_eps(
    predict_eps: Callable[[Tensor, Tensor, Tensor], Tensor],
    x_t: Tensor,
    t: Tensor,
    labels: Tensor,
    guidance_scale: float,
    null_label: int,
) -> Tensor:
    """The noise to take away for images that show what was asked for, and show it clearly.

    Where eps is, up to a factor, the slope of log p(x_t | label) or of log p(x_t), the result is,
    up to the same factor, the slope of log [ p(x_t | label) * p(label | x_t)^w ]. w = 0 is the
    plain conditional prediction. Both predictions come from one call of the network, with a batch
    of 2B: each image is in it with its label, and with the null label. (At w = 0 the null label
    need not be asked about.)

    Source: Ho & Salimans 2022, equation 6.

    Args:
        predict_eps: the network, called once as predict_eps(x, t, labels).
        x_t: shape (B, C, H, W).
        t: shape (B,), int64.
        labels: the digits asked for, shape (B,), int64.
        guidance_scale: w.
        null_label: the label that means "no class".

    Returns:
        eps, shape (B, C, H, W).
    """
    raise NotImplementedError("exercise 6.2 is not written yet")


def ancestral_sample(
    predict_eps: Callable[[Tensor, Tensor], Tensor],
    reverse_step: Callable[..., Tensor],
    x_T: Tensor,
    schedule,
    generator: torch.Generator,
    film_steps: Collection[int] = (),
) -> tuple[Tensor, list[Tensor]]:
    """Walk all the way from noise to images.

    Every step of the schedule is taken once, each from the images that the step before has made,
    with Gaussian noise of its own; at t = 0 it may be zeros. No step keeps anything for gradients,
    which would take more memory with every step. After the walk gradients are switched on or off
    as they were before, and no source of randomness but `generator` has been touched.

    Source: Ho et al. 2020, algorithm 2.

    Args:
        predict_eps: called as predict_eps(x, t) with x (B, C, H, W) and t (B,), int64;
            labels and guidance are already inside it.
        reverse_step: `p_sample` with chapter 02's two functions already filled in, called as
            reverse_step(x, t, eps, noise, schedule).
        x_T: pure Gaussian noise to begin with, shape (B, C, H, W).
        schedule: the tables, each of shape (T,).
        generator: the source of the fresh noise, on the device of `x_T`.
        film_steps: the steps t whose results x_{t-1} to keep for a film, each named once.

    Returns:
        a pair (x_0, film): the images, shape (B, C, H, W), and a list of the frames kept, each of
        that shape, from the noisiest to the cleanest.
    """
    raise NotImplementedError("exercise 6.3 is not written yet")


def image_grid(images: Tensor, num_columns: int, gap: int = 2) -> Tensor:
    """Lay out images on one white picture, row by row, as one reads.

    Values are brought from [-1, 1] to [0, 1] and clipped there, since a sample may lie a
    little outside. Between neighbours, and around the whole, `gap` white pixels are left; a
    last row that is not full is filled up with white. The picture is always num_columns images
    wide: 2 images in 5 columns make a row of 5, of which 3 are white.

    Source: the row-by-row order of torchvision's `make_grid`, with its padding.

    Args:
        images: shape (N, C, H, W), in [-1, 1].
        num_columns: images per row.
        gap: white pixels between images and at the edge.

    Returns:
        one picture, of shape (C, height, width), in [0, 1].

    Raises:
        ValueError: if there are no images or num_columns < 1.
    """
    if len(images) == 0 or num_columns < 1:
        raise ValueError(f"need images and columns, got {len(images)} and {num_columns}")
    raise NotImplementedError("exercise 6.4 is not written yet")


def respace(schedule_betas: Tensor, num_steps: int) -> tuple[Tensor, Tensor]:
    """Betas of a shorter walk that passes through the same noise levels.

    The shorter walk keeps `num_steps` of the T levels alpha_bar, evenly spaced over the schedule
    but for rounding, the last one among them. Its alpha_bar after each step is that of the level
    kept.

    Source: Nichol & Dhariwal 2021, section 4.

    Args:
        schedule_betas: the full schedule, shape (T,).
        num_steps: length of the shorter walk, 2 ... T.

    Returns:
        a pair (betas, timesteps), both of shape (num_steps,): the shorter schedule's betas,
        computed in float64 and left so because the last one lies so near 1, and the step t of the
        full schedule that the network must be told at each of them, int64.

    Raises:
        ValueError: if `num_steps` is out of range.
    """
    # Exercise 6.5: its code runs, and something in it is wrong.
    if not 2 <= num_steps <= len(schedule_betas):
        raise ValueError(f"num_steps must be between 2 and {len(schedule_betas)}, got {num_steps}")
    total = len(schedule_betas)
    alpha_bars = torch.cumprod(1 - schedule_betas.double(), dim=0)  # (T,)
    i = torch.arange(1, num_steps + 1, dtype=torch.float64, device=alpha_bars.device)
    timesteps = (i * total / num_steps).round().long() - 1  # (num_steps,), the last is T-1
    kept = alpha_bars[timesteps]  # (num_steps,)
    before = torch.cat([torch.ones_like(kept[:1]), alpha_bars[timesteps[1:] - 1]])
    return 1 - kept / before, timesteps
