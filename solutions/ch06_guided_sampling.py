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

    Equation:
        x_0     = predict_x0(x_t, t, eps, alpha_bars), clipped to [-1, 1]
        x_{t-1} = mean of q_posterior(x_0, x_t, t, schedule) + sigma_t * noise
                  where sigma_t^2 is the posterior's variance ("small") or beta_t ("large"),
                  and 0 at t = 0
        Without the clip the first steps fail: 1 / sqrt(alpha_bar_{T-1}) amplifies every error of
        eps, 20,000 times on the cosine schedule.

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

    x0 = predict_x0(x_t, t, eps, schedule.alpha_bars).clamp(-1, 1)
    mean, sigma_squared = q_posterior(x0, x_t, t, schedule)
    if variance == "large":
        sigma_squared = schedule.betas[t].view(-1, 1, 1, 1)  # (T,) -> (B,) -> (B, 1, 1, 1)
    not_last = (t > 0).view(-1, 1, 1, 1)  # (B, 1, 1, 1), False where t = 0
    return mean + not_last * sigma_squared.sqrt() * noise


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

    Equation:
        eps = (1 + w) * eps(x_t, t, label) - w * eps(x_t, t, null label)

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
    null_labels = torch.full_like(labels, null_label)  # (B,)
    eps_both = predict_eps(
        torch.cat([x_t, x_t]),  # (2B, C, H, W)
        torch.cat([t, t]),  # (2B,)
        torch.cat([labels, null_labels]),  # (2B,)
    )
    eps_cond, eps_null = eps_both.chunk(2)  # each (B, C, H, W)
    return (1 + guidance_scale) * eps_cond - guidance_scale * eps_null


@torch.no_grad()
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

    Equation:
        for t = T-1 ... 0:
            eps = predict_eps(x, t);  noise ~ N(0, 1);  x = reverse_step(x, t, eps, noise, schedule)

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
    x = x_T
    num_steps = len(schedule.betas)
    film = []
    for step in reversed(range(num_steps)):
        t = torch.full((x.shape[0],), step, dtype=torch.int64, device=x.device)  # (B,)
        eps = predict_eps(x, t)
        noise = torch.randn(x.shape, generator=generator, device=x.device, dtype=x.dtype)
        x = reverse_step(x, t, eps, noise, schedule)
        if step in film_steps:
            film.append(x)
    return x, film


def image_grid(images: Tensor, num_columns: int, gap: int = 2) -> Tensor:
    """Lay out images on one white picture, row by row, as one reads.

    Values are brought from [-1, 1] to [0, 1] and clipped there, since a sample may lie a
    little outside. Between neighbours, and around the whole, `gap` white pixels are left; a
    last row that is not full is filled up with white. The picture is always num_columns images
    wide: 2 images in 5 columns make a row of 5, of which 3 are white.

    Equation:
        image n is in row n // num_columns and column n % num_columns
        the picture has ceil(N / num_columns) rows, with gaps between and around them

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
    count, channels, height, width = images.shape
    num_rows = -(-count // num_columns)  # rounded up
    grid = images.new_ones(
        channels, num_rows * (height + gap) + gap, num_columns * (width + gap) + gap
    )
    for n, image in enumerate((images + 1) / 2):
        row, column = divmod(n, num_columns)
        top, left = gap + row * (height + gap), gap + column * (width + gap)
        grid[:, top : top + height, left : left + width] = image.clamp(0, 1)
    return grid


def respace(schedule_betas: Tensor, num_steps: int) -> tuple[Tensor, Tensor]:
    """Betas of a shorter walk that passes through the same noise levels.

    The shorter walk keeps `num_steps` of the T levels alpha_bar, evenly spaced over the schedule
    but for rounding, the last one among them. Its alpha_bar after each step is that of the level
    kept.

    Equation:
        beta'_i = 1 - alpha_bar_{tau_i} / alpha_bar_{tau_{i-1}}

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
    if not 2 <= num_steps <= len(schedule_betas):
        raise ValueError(f"num_steps must be between 2 and {len(schedule_betas)}, got {num_steps}")
    total = len(schedule_betas)
    alpha_bars = torch.cumprod(1 - schedule_betas.double(), dim=0)  # (T,)
    i = torch.arange(1, num_steps + 1, dtype=torch.float64, device=alpha_bars.device)
    timesteps = (i * total / num_steps).round().long() - 1  # (num_steps,), the last is T-1
    kept = alpha_bars[timesteps]  # (num_steps,)
    before = torch.cat([torch.ones_like(kept[:1]), kept[:-1]])
    return 1 - kept / before, timesteps
