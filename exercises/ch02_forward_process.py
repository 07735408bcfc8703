"""Chapter 02: the forward process.

The forward process q turns an image x_0 into noise, a little at each step. It has no
parameters: everything here is arithmetic with the schedule's tables.

    x0        clean images, (B, C, H, W), scaled to [-1, 1]
    x_t       noisy images, after the steps 0 ... t; at t = 0, x_{t-1} is the clean image
    t         the step of each image, (B,), int64, 0 ... T-1
    eps       Gaussian noise with mean 0 and variance 1, shaped like x0

Source: Ho et al. 2020, "Denoising Diffusion Probabilistic Models" (DDPM).

The functions and classes that end in NotImplementedError are yours to write. See how
you are doing with `course check 02`, and ask for help with `course hint 2.1`.
"""

from dataclasses import dataclass, fields

import torch
from torch import Tensor


@dataclass(frozen=True)
class NoiseSchedule:
    """All the numbers that a diffusion model reads off its schedule.

    Every field is a float32 tensor of shape (T,), indexed by t = 0 ... T-1.
    """

    betas: Tensor  # beta_t
    alphas: Tensor  # alpha_t = 1 - beta_t
    alpha_bars: Tensor  # alpha_bar_t
    alpha_bars_prev: Tensor  # alpha_bar_{t-1}; 1 at t = 0: before step 0 there is no noise
    posterior_variance: Tensor  # variance of q(x_{t-1} | x_t, x_0)
    posterior_x0_coef: Tensor  # weight of x_0 in the mean of q(x_{t-1} | x_t, x_0)
    posterior_xt_coef: Tensor  # weight of x_t in the same mean

    def to(self, device: torch.device | str) -> "NoiseSchedule":
        """The same schedule with every tensor on `device`."""
        return NoiseSchedule(**{f.name: getattr(self, f.name).to(device) for f in fields(self)})


def gather_at(values: Tensor, t: Tensor, ndim: int) -> Tensor:
    """Look up one number per image, shaped so that it multiplies whole images.

        out[b, 0, ..., 0] = values[t[b]]

    A result of shape (B,) would be matched with the image's *last* axis, its width. That
    raises an error for most batches and, when B equals the width, silently scales columns.

    Source: the broadcasting rules of NumPy, which PyTorch follows.

    Args:
        values: a table of the schedule, shape (T,).
        t: the step of each image, shape (B,), int64.
        ndim: the number of axes of the images, 4 for (B, C, H, W).

    Returns:
        shape (B, 1, ..., 1) with `ndim` axes, dtype of `values`.
    """
    raise NotImplementedError("exercise 2.1 is not written yet")


def q_step(x_prev: Tensor, t: Tensor, eps: Tensor, betas: Tensor) -> Tensor:
    """One step of the forward process: from x_{t-1} to x_t.

        x_t = sqrt(1 - beta_t) * x_{t-1} + sqrt(beta_t) * eps

    The signal shrinks by just so much that a variance of 1 stays 1.

    Source: Ho et al. 2020, equation 2.

    Args:
        x_prev: x_{t-1}, shape (B, C, H, W).
        t: the step that is taken, shape (B,), int64.
        eps: the noise that is added, shape (B, C, H, W).
        betas: shape (T,).

    Returns:
        x_t, shape (B, C, H, W), float32, or float64 if `x_prev` is.
    """
    raise NotImplementedError("exercise 2.2 is not written yet")


def q_sample(x0: Tensor, t: Tensor, eps: Tensor, alpha_bars: Tensor) -> Tensor:
    """Jump from x_0 to x_t at once.

        x_t = sqrt(alpha_bar_t) * x_0 + sqrt(1 - alpha_bar_t) * eps

    Source: Ho et al. 2020, equation 4.

    Args:
        x0: clean images, shape (B, C, H, W).
        t: the step to jump to, shape (B,), int64.
        eps: the noise, shape (B, C, H, W).
        alpha_bars: shape (T,).

    Returns:
        x_t, shape (B, C, H, W), float32, or float64 if `x0` is.
    """
    raise NotImplementedError("exercise 2.3 is not written yet")


def predict_x0(x_t: Tensor, t: Tensor, eps: Tensor, alpha_bars: Tensor) -> Tensor:
    """Solve `q_sample` for x_0: what the image was, if the noise was eps.

        x_0 = ( x_t - sqrt(1 - alpha_bar_t) * eps ) / sqrt(alpha_bar_t)

    Near t = T-1 the division makes errors in eps enormous (20,000 times on the cosine
    schedule with T = 1000). Nothing is clipped here; the sampler of chapter 06 does that.

    Source: Ho et al. 2020, equation 15.

    Args:
        x_t: noisy images, shape (B, C, H, W).
        t: their step, shape (B,), int64.
        eps: the noise in them, true or predicted, shape (B, C, H, W).
        alpha_bars: shape (T,).

    Returns:
        x_0, shape (B, C, H, W), float32, or float64 if `x_t` is.
    """
    raise NotImplementedError("exercise 2.4 is not written yet")


def combine(mean_1: Tensor, var_1: Tensor, mean_2: Tensor, var_2: Tensor) -> tuple[Tensor, Tensor]:
    """What two independent witnesses of one number say together.

    Each says of the unknown y that it is its mean, with Gaussian errors of its variance. Together
    they are a Gaussian again, narrower than either, and its mean is nearer to the surer witness. A
    witness with variance 0 is certain.

    Source: the product of two Gaussian densities, normalised (Bishop 2006, section 2.3).

    Args:
        mean_1, var_1: of the first witness, tensors of any one shape.
        mean_2, var_2: of the second, of the same shape. Where one variance is 0, the other is not.

    Returns:
        (mean, variance), each of that shape.
    """
    raise NotImplementedError("exercise 2.5 is not written yet")


def make_schedule(betas: Tensor) -> NoiseSchedule:
    """Precompute, once, every table that training and sampling look up by t.

    Two witnesses speak of x_{t-1}: x_0, of which x_{t-1} is a noisy copy, and x_t, which is a noisy
    copy of x_{t-1}. The posterior q(x_{t-1} | x_t, x_0) is what they say together; its mean is a
    weighted sum of x_0 and x_t, whose two weights are tables as well.

    Source: Ho et al. 2020, equations 6 and 7.

    Args:
        betas: shape (T,), float32 or float64.

    Returns:
        A NoiseSchedule whose fields are float32 tensors of shape (T,), computed in float64.
    """
    raise NotImplementedError("exercise 2.5 is not written yet")


def q_posterior(x0: Tensor, x_t: Tensor, t: Tensor, schedule) -> tuple[Tensor, Tensor]:
    """Where x_{t-1} was, if we know both x_t and x_0: the Gaussian q(x_{t-1} | x_t, x_0).

        mean     = posterior_x0_coef_t * x_0 + posterior_xt_coef_t * x_t
        variance = posterior_variance_t

    The schedule holds the three tables. At t = 0 they make the mean x_0 and the variance 0:
    if you know x_0, nothing is left to guess.

    Source: Ho et al. 2020, equations 6 and 7.

    Args:
        x0: clean images, shape (B, C, H, W).
        x_t: noisy images, shape (B, C, H, W).
        t: their step, shape (B,), int64; t = 0 may occur.
        schedule: a NoiseSchedule.

    Returns:
        (mean, variance): shapes (B, C, H, W) and (B, 1, 1, 1).
    """
    raise NotImplementedError("exercise 2.5 is not written yet")
