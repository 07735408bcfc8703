"""Chapter 05: training.

One step of training: take images, drown each in its own amount of noise, ask the network
what to undo, and nudge the weights. Beside it there are the running average of the weights,
which sampling will use, checkpoints from which an interrupted run goes on as if nothing had
happened, and the loop that makes step after step.

    x0       clean images, (B, C, H, W), in [-1, 1]
    t        one step per image, (B,), int64, 0 ... T-1
    eps      Gaussian noise, shaped like x0
    labels   (B,), int64, some already replaced by the null label

Unless a docstring says otherwise, images, noise and tables are float32, and all tensors handed in
lie on one device, where what comes back lies, too. No function changes a tensor that it is handed.

Sources: Ho et al. 2020, "Denoising Diffusion Probabilistic Models" (DDPM);
Salimans & Ho 2022, "Progressive Distillation" (v-prediction);
Loshchilov & Hutter 2019, "Decoupled Weight Decay Regularization" (AdamW).

The functions and classes that end in NotImplementedError are yours to write, and where a
comment says so, something is yours to mend. See how
you are doing with `course check 05`, and ask for help with `course hint 5.1`.
"""

import copy
import math
from collections.abc import Callable, Iterable, Iterator

import torch
from torch import Tensor, nn


def alpha_bar_at(alpha_bars: Tensor, t: Tensor) -> Tensor:
    """alpha_bar at each image's step: (T,) and (B,) -> (B, 1, 1, 1)."""
    return alpha_bars[t].view(-1, 1, 1, 1)


def draw_noise(x0: Tensor, num_steps: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Draw, for every image of the batch, a step and the noise.

    Each image's step is a draw of its own, whatever the others get (two may get the same), and all
    steps are equally likely.
    Each pixel gets Gaussian noise of its own: a draw from the bell curve of mean 0 and variance 1.
    The same generator state gives the same draws, and no other source of randomness is touched.

    Source: Ho et al. 2020, algorithm 1, lines 3 and 4.

    Args:
        x0: clean images, shape (B, C, H, W), of any floating-point dtype.
        num_steps: T. The last step, T-1, must be drawn as often as the others.
        generator: the source of randomness, on the device of `x0`.

    Returns:
        a pair (t, eps): t of shape (B,), int64; eps of shape (B, C, H, W), dtype of `x0`.
    """
    raise NotImplementedError("exercise 5.1 is not written yet")


def eps_target(x0: Tensor, eps: Tensor, t: Tensor, alpha_bars: Tensor) -> Tensor:
    """What an ε-predicting network is asked for: the noise itself."""
    return eps


def diffusion_loss(
    model: nn.Module,
    x0: Tensor,
    t: Tensor,
    labels: Tensor,
    eps: Tensor,
    alpha_bars: Tensor,
    q_sample: Callable[[Tensor, Tensor, Tensor, Tensor], Tensor],
    target: Callable[[Tensor, Tensor, Tensor, Tensor], Tensor] = eps_target,
) -> Tensor:
    """How wrong the network is about what it was asked for.

    The network is asked once, about the noisy images. An answer that is off by 1 in every pixel has
    the loss 1, one that is off twice as far has four times the loss, whether upwards or downwards,
    and neither the size of the batch nor that of the images changes this. Asking leaves the
    network as it is: its mode, its weights and the gradients that it holds.

    Source: Ho et al. 2020, equation 14.

    Args:
        model: called as model(x_t, t, labels), returns a tensor shaped like x_t.
        x0: clean images, shape (B, C, H, W).
        t: their steps, shape (B,), int64.
        labels: their labels, shape (B,), int64.
        eps: the noise, shape (B, C, H, W).
        alpha_bars: shape (T,).
        q_sample: chapter 02's jump, called as q_sample(x0, t, eps, alpha_bars), gives x_t.
        target: what the network is asked for, called as target(x0, eps, t, alpha_bars).

    Returns:
        the loss, a tensor without axes, float32 or float64, through which gradients flow to the
        model.
    """
    raise NotImplementedError("exercise 5.1 is not written yet")


def v_target(x0: Tensor, eps: Tensor, t: Tensor, alpha_bars: Tensor) -> Tensor:
    """What a v-predicting network is asked for: what the noisy image does not show.

    Take x_0 and eps as two axes at right angles. Then x_t is a point on the quarter circle that
    leads from x_0 to eps, and v is the point a quarter turn further on. So where there is no noise
    (alpha_bar = 1) v is the noise; where there is nothing but noise (alpha_bar = 0) v is the image
    with its sign flipped.

    Source: Salimans & Ho 2022, section 4 and appendix D.

    Args:
        x0: clean images, shape (B, C, H, W).
        eps: the noise, shape (B, C, H, W).
        t: steps, shape (B,), int64.
        alpha_bars: shape (T,).

    Returns:
        v, shape (B, C, H, W).
    """
    raise NotImplementedError("exercise 5.2 is not written yet")


def eps_from_v(x_t: Tensor, v: Tensor, t: Tensor, alpha_bars: Tensor) -> Tensor:
    """Read the noise off a predicted v, so that any sampler can use a v-network.

    x_t and v are two mixtures of the same image and the same noise. Together they say what the
    noise is, at every noise level, from alpha_bar = 1 down to 0, without dividing by anything.

    Source: Salimans & Ho 2022, appendix D.

    Args:
        x_t: noisy images, shape (B, C, H, W).
        v: what the network predicted, shape (B, C, H, W).
        t: steps, shape (B,), int64.
        alpha_bars: shape (T,).

    Returns:
        eps, shape (B, C, H, W).
    """
    raise NotImplementedError("exercise 5.2 is not written yet")


class EMA:
    """A second copy of the network whose weights follow the first one's slowly.

    Update number n = 0, 1, 2, ... keeps the share d_n of the average as it is, and the rest comes
    from the network's weights. A warm-up lets the average forget the random weights that it began
    with:

        d_n = min( decay, (1 + n) / (10 + n) )

    which is 0.1 at the first update and 0.99 after some 900. All parameters are averaged, frozen
    ones too. All buffers (running statistics, tables) are not averaged but copied as they are. The
    network itself stays as it is.

    Source: Ho et al. 2020, appendix B; the warm-up is the one of TensorFlow's
    `ExponentialMovingAverage(num_updates=...)`.

    Args:
        model: the network to follow. It is copied, not kept.
        decay: the largest d_n, for example 0.9999.

    Attributes:
        model: the averaged copy, in eval mode, whose parameters need no gradient.
        num_updates: the number of updates made so far.

    Both may be set from outside; the next update goes on from what they are then.
    """

    def __init__(self, model: nn.Module, decay: float = 0.9999):
        raise NotImplementedError("exercise 5.3 is not written yet")

    def update(self, model: nn.Module) -> None:
        """Move the average one step towards the weights of `model`."""
        raise NotImplementedError("exercise 5.3 is not written yet")


def make_optimizer(model: nn.Module, lr: float, weight_decay: float) -> torch.optim.Optimizer:
    """AdamW over all parameters (Loshchilov & Hutter 2019, algorithm 2)."""
    return torch.optim.AdamW(model.parameters(), lr=lr, weight_decay=weight_decay)


def learning_rate(step: int, num_steps: int, peak: float, warmup: int, decay: bool) -> float:
    """The learning rate of one step: a linear warm-up, then constant or half a cosine.

    Source: Goyal et al. 2017 (warm-up); Loshchilov & Hutter 2017 (cosine), equation 5.
    """
    if step < warmup:
        return peak * (step + 1) / warmup
    if not decay:
        return peak
    progress = (step - warmup) / max(1, num_steps - warmup)
    return peak * 0.5 * (1 + math.cos(math.pi * progress))


def training_step(
    model: nn.Module,
    ema: EMA,
    optimizer: torch.optim.Optimizer,
    compute_loss: Callable[[nn.Module], Tensor],
    max_grad_norm: float = 1.0,
) -> float:
    """One update of the weights.

    The optimiser takes one step down the gradient of this loss, whatever gradients the model held
    before. (To make these zero and to make them None is equally right.) If the joint norm of all
    gradients exceeds max_grad_norm, that step is taken with the gradients scaled down to it:
    shorter, in the same direction. The average has seen the weights as they are afterwards.

    Source: Ho et al. 2020, algorithm 1, line 5; Pascanu et al. 2013 for the clipping.

    Args:
        model: the network. While the loss is computed it is in training mode.
        ema: its running average, with a method update(model).
        optimizer: over the model's parameters.
        compute_loss: called once as compute_loss(model), returns the loss.
        max_grad_norm: the largest joint norm of all gradients.

    Returns:
        the loss as a Python number.
    """
    raise NotImplementedError("exercise 5.4 is not written yet")


def save_checkpoint(
    path, model: nn.Module, ema: EMA, optimizer, generator: torch.Generator, step: int
) -> None:
    """Write all that the next training step depends on into one file.

    The run that is saved does not notice.

    Source: PyTorch's notes on serialization (state_dict) and on reproducibility (generators).

    Args:
        path: the file to write, a string or a `Path`. A file that is there already is replaced.
        model: the network.
        ema: its running average, an `EMA`.
        optimizer: over the model's parameters, such as AdamW.
        generator: the source of all of training's randomness.
        step: the number of training steps done.
    """
    raise NotImplementedError("exercise 5.5 is not written yet")


def load_checkpoint(path, model: nn.Module, ema: EMA, optimizer, generator: torch.Generator) -> int:
    """Put everything back as `save_checkpoint` found it, into the objects handed in.

    After it, the next training step gives the same weights as if the run had never stopped.

    Source: as for `save_checkpoint`.

    Args:
        path: a file that `save_checkpoint` wrote, a string or a `Path`. It is read with
            `weights_only=True`, so that a checkpoint from a stranger cannot run code.
        model, ema, optimizer, generator: freshly made, with the arguments that the saved ones were
            made with. Their state is overwritten, of a network all that its `state_dict` holds.

    Returns:
        the number of training steps done.
    """
    raise NotImplementedError("exercise 5.5 is not written yet")


def train(
    model: nn.Module,
    ema: EMA,
    optimizer: torch.optim.Optimizer,
    batches: Iterable[tuple[Tensor, Tensor]],
    alpha_bars: Tensor,
    generator: torch.Generator,
    q_sample: Callable[[Tensor, Tensor, Tensor, Tensor], Tensor],
    drop_labels: Callable[[Tensor, torch.Generator], Tensor],
    target: Callable[[Tensor, Tensor, Tensor, Tensor], Tensor] = eps_target,
    rate: Callable[[int], float] | None = None,
    max_grad_norm: float = 1.0,
    place: Callable[[Tensor], Tensor] = lambda part: part,
    first_step: int = 0,
) -> Iterator[float]:
    """The training loop, one step for each batch. It yields each step's loss.

    It is a generator: after each step it is your turn, to print the loss, to save, to draw
    samples, or to stop.

    Source: Ho et al. 2020, algorithm 1.

    Args:
        model, ema, optimizer: as for `training_step`.
        batches: gives (x0, labels): images (B, C, H, W) in [-1, 1] and their labels, (B,), int64.
        alpha_bars: shape (T,), where the model is.
        generator: the source of all randomness, on the device of the batches.
        q_sample: chapter 02's jump.
        drop_labels: chapter 03's, called as drop_labels(labels, generator).
        target: what the network is asked for: `eps_target` or `v_target`.
        rate: the learning rate of all of the optimiser's groups, called as rate(step) with the
            number of steps done before; left out, the optimiser's own stays.
        max_grad_norm: as for `training_step`.
        place: brings what was drawn for the whole batch to where the model is, or a part of it.
        first_step: the number of steps done before.
    """
    # Exercise 5.6: its code runs, and something in it is wrong.
    for step, (x0, labels) in enumerate(batches, start=first_step):
        t, eps = draw_noise(x0, len(x0), generator)
        labels = drop_labels(labels, generator)
        x0, t, labels, eps = place(x0), place(t), place(labels), place(eps)

        def compute_loss(network, x0=x0, t=t, labels=labels, eps=eps):
            return diffusion_loss(network, x0, t, labels, eps, alpha_bars, q_sample, target)

        if rate is not None:
            for group in optimizer.param_groups:
                group["lr"] = rate(step)
        yield training_step(model, ema, optimizer, compute_loss, max_grad_norm)
