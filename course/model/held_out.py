"""The network's own error on images that it has not been trained on: the one way it is measured."""

from collections.abc import Callable

import torch
from torch import Tensor
from tqdm.auto import tqdm

from course.model.forms import Formed
from course.model.images import Images

BANDS = 10  # of noise levels


def eps_mse(
    predict_eps: Callable[[Tensor, Tensor, Tensor], Tensor],
    alpha_bars: Tensor,
    images: Images | Formed,
    num_images: int,
) -> float:
    """Mean squared error of eps over all noise levels: the mean of `eps_mse_by_band`."""
    return sum(eps_mse_by_band(predict_eps, alpha_bars, images, num_images)) / BANDS


@torch.no_grad()
def eps_mse_by_band(
    predict_eps: Callable[[Tensor, Tensor, Tensor], Tensor],
    alpha_bars: Tensor,
    images: Images | Formed,
    num_images: int = 512,
    seed: int = 0,
    progress: str | None = None,
) -> list[float]:
    """Mean squared error of eps on held-out images, for each of ten bands of noise levels.

    Every image is noised once in every band, at a step drawn evenly from it. Steps and noise
    follow from the seed, so that two networks see the same. The mean of the bands is the error
    over all t.

    Args:
        predict_eps: called as predict_eps(x_t, t, labels).
        alpha_bars: (T,), on the device of the network.
        images: held-out images, as the network works on them; the first `num_images` are used.

    Returns:
        BANDS numbers, from the least noise to the most.
    """
    device, num_steps = alpha_bars.device, len(alpha_bars)
    generator = torch.Generator().manual_seed(seed)
    parts = torch.arange(min(num_images, len(images))).split(128)
    bar = tqdm(total=BANDS * len(parts), desc=progress, disable=progress is None, leave=False)
    errors = []
    for band in range(BANDS):
        low, high = band * num_steps // BANDS, (band + 1) * num_steps // BANDS
        total = 0.0
        for index in parts:
            x0, labels = images.batch(index)
            t = torch.randint(low, high, (len(index),), generator=generator).to(device)
            eps = torch.randn(x0.shape, generator=generator).to(device)
            alpha_bar = alpha_bars[t].view(-1, 1, 1, 1)
            x_t = alpha_bar.sqrt() * x0.to(device) + (1 - alpha_bar).sqrt() * eps
            error = (predict_eps(x_t, t, labels.to(device)) - eps).square()
            total += float(error.flatten(1).mean(dim=1).double().sum())
            bar.update()
        errors.append(total / sum(len(index) for index in parts))
    bar.close()
    return errors
