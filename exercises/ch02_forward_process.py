"""Chapter 02: the forward process.

The forward process q turns an image x_0 into noise, a little at each step. It has no
parameters: everything here is arithmetic with the schedule's tables.

    x0        clean images, (B, C, H, W), scaled to [-1, 1]; never the images after step 0
    x_t       noisy images, after the steps 0 ... t; at t = 0, x_{t-1} is the clean image x0
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

    x_t is the sum of x_{t-1} and eps, each multiplied by a positive weight. Two things decide the
    weights: of the power of x_{t-1} the step keeps the share 1 - beta_t, and a picture whose
    variance is 1 has variance 1 again after the step.

    Source: Ho et al. 2020, equation 2.

    Args:
        x_prev: x_{t-1}, shape (B, C, H, W), float32 or float64.
        t: the step that is taken, shape (B,), int64.
        eps: the noise that is added, shape and dtype of `x_prev`.
        betas: shape (T,), float32, or float64 if `x_prev` is.

    Returns:
        x_t, shape (B, C, H, W), float32, or float64 if `x_prev` is. Where `betas` is float64, too,
        nothing is rounded to float32 on the way.
    """
    raise NotImplementedError("exercise 2.2 is not written yet")


def q_sample(x0: Tensor, t: Tensor, eps: Tensor, alpha_bars: Tensor) -> Tensor:
    """Jump from x_0 to x_t at once.

    x_t is distributed as if the steps 0 ... t had been taken one by one. Here eps is the noise of
    all of them together, brought to variance 1.

    Source: Ho et al. 2020, equation 4.

    Args:
        x0: clean images, shape (B, C, H, W), float32 or float64.
        t: the step to jump to, shape (B,), int64.
        eps: the noise, shape and dtype of `x0`.
        alpha_bars: shape (T,), float32, or float64 if `x0` is.

    Returns:
        x_t, shape (B, C, H, W), float32, or float64 if `x0` is. Where `alpha_bars` is float64, too,
        nothing is rounded to float32 on the way.
    """
    raise NotImplementedError("exercise 2.3 is not written yet")


def joint_noise(step_noise: Tensor, betas: Tensor) -> Tensor:
    """The one eps that is worth the noises of several steps.

    If you walk from x_0 with `q_step` and these noises, and jump from x_0 with `q_sample` and this
    eps, you arrive at the same x_t, whatever x_0 is. Made of independent noises of variance 1, eps
    has variance 1 too.

    Source: the steps of Ho et al. 2020, equation 2, put into one another.

    Args:
        step_noise: the noises of the steps 0 ... t, shape (t + 1, B, C, H, W), float32;
            step_noise[i] is what step i adds to each image.
        betas: shape (T,), float32, with T at least t + 1.

    Returns:
        eps, shape (B, C, H, W), float32.
    """
    raise NotImplementedError("exercise 2.3 is not written yet")


def predict_x0(x_t: Tensor, t: Tensor, eps: Tensor, alpha_bars: Tensor) -> Tensor:
    """What the image was, if the noise in x_t was eps: `q_sample` turned round.

    From this x_0, with this eps, `q_sample` makes x_t again, even if the eps is wrong and x_0 is
    far outside [-1, 1]. Nothing is clipped here; the sampler of chapter 06 does that.

    Source: Ho et al. 2020, equation 15.

    Args:
        x_t: noisy images, shape (B, C, H, W), float32 or float64.
        t: their step, shape (B,), int64.
        eps: the noise in them, true or predicted, shape and dtype of `x_t`.
        alpha_bars: shape (T,), float32, or float64 if `x_t` is.

    Returns:
        x_0, shape (B, C, H, W), float32, or float64 if `x_t` is. Where `alpha_bars` is float64 as
        well, nothing is rounded to float32 on the way.
    """
    raise NotImplementedError("exercise 2.4 is not written yet")


def amplification(alpha_bars: Tensor) -> Tensor:
    """By how much an error in eps grows on its way into x_0, for each t.

    x_t is given. If `predict_x0` gets an eps that is off by some amount, its x_0 is off by this
    positive factor times as much.

    Source: the difference of two equations 15 of Ho et al. 2020.

    Args:
        alpha_bars: shape (T,), float32 or float64, each strictly between 0 and 1.

    Returns:
        shape (T,), dtype of `alpha_bars`.
    """
    raise NotImplementedError("exercise 2.4 is not written yet")


def combine(mean_1: Tensor, var_1: Tensor, mean_2: Tensor, var_2: Tensor) -> tuple[Tensor, Tensor]:
    """What two independent witnesses of one number say together.

    Each witness names a number, its mean, and errs by Gaussian noise of its variance. Together they
    describe a Gaussian again. It is narrower than either witness, and its mean is nearer to the
    more certain one. A witness with variance 0 is right.

    Source: the product of two Gaussian densities, normalised (Bishop 2006, section 2.3).

    Args:
        mean_1, var_1: of the first witness, tensors of any one shape, float32 or float64.
        mean_2, var_2: of the second, of the same shape. Where one variance is 0, the other is not.

    Returns:
        (mean, variance), as a tuple or a list, each of that shape and dtype. In float64, nothing is
        rounded to float32 on the way.
    """
    raise NotImplementedError("exercise 2.5 is not written yet")


def make_schedule(betas: Tensor) -> NoiseSchedule:
    """Precompute, once, every table that training and sampling look up by t.

    Two witnesses know something of x_{t-1}: x_0, which the steps 0 ... t-1 turned into x_{t-1}, and
    x_t, which step t made of x_{t-1}. What they say together is the posterior
    q(x_{t-1} | x_t, x_0). Its mean is a weighted sum of x_0 and x_t. The two weights and the
    variance depend on t only.

    Source: Ho et al. 2020, equations 6 and 7.

    Args:
        betas: shape (T,), float32 or float64.

    Returns:
        A NoiseSchedule whose fields are float32 tensors of shape (T,), computed in float64.
    """
    raise NotImplementedError("exercise 2.5 is not written yet")


def q_posterior(x0: Tensor, x_t: Tensor, t: Tensor, schedule) -> tuple[Tensor, Tensor]:
    """Where x_{t-1} was, if we know both x_t and x_0: the Gaussian q(x_{t-1} | x_t, x_0).

    The schedule has its weights and its variance ready for every t. At t = 0 nothing is left to
    guess: x_{t-1} is x_0 there, which you know.

    Source: Ho et al. 2020, equations 6 and 7.

    Args:
        x0: clean images, shape (B, C, H, W), float32.
        x_t: noisy images, shape (B, C, H, W), float32.
        t: their step, shape (B,), int64; t = 0 may occur.
        schedule: a NoiseSchedule.

    Returns:
        (mean, variance), as a tuple or a list: shapes (B, C, H, W) and (B, 1, 1, 1), float32.
    """
    raise NotImplementedError("exercise 2.5 is not written yet")
