"""Chapter 11: flow matching.

From each image a straight line leads to each noise. A network learns in which direction, on
average, the lines through a point lead. To draw you start in the noise and follow that direction
back, in a few straight steps.

    x0          clean images, (B, C, H, W), in [-1, 1]
    eps         Gaussian noise, shaped like x0
    t           one time per image, (B,), float32, from 0 (the image) to 1 (the noise)
    x_t         where the line from x0 to eps is at time t, (B, C, H, W)
    velocity    how fast x_t moves as t grows, (B, C, H, W)

Unless a docstring says otherwise, images, noise, times and tables are float32, and all tensors
handed in lie on one device, where what comes back lies, too.

Sources: Lipman et al. 2023, "Flow Matching for Generative Modeling";
Liu et al. 2023, "Flow Straight and Fast: Learning to Generate and Transfer Data with Rectified
Flow"; Esser et al. 2024, "Scaling Rectified Flow Transformers for High-Resolution Image Synthesis";
Gao et al. 2024, "Diffusion Meets Flow Matching: Two Sides of the Same Coin".

The functions and classes that end in NotImplementedError are yours to write, and where a
comment says so, something is yours to mend. See how
you are doing with `course check 11`, and ask for help with `course hint 11.1`.
"""

from collections.abc import Callable, Collection, Iterable, Iterator

import torch
from torch import Tensor, nn

# The network of chapter 04 tells times apart by waves that were made for the steps 0 ... 999, and
# the slowest of these hardly move between 0 and 1. So it is told TIME_SCALE * t.
TIME_SCALE = 1000.0


def per_image(values: Tensor) -> Tensor:
    """One number for each image, so that it meets the image: (B,) -> (B, 1, 1, 1)."""
    return values.view(-1, 1, 1, 1)


def straight_path(x0: Tensor, eps: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
    """Where the straight line from image to noise is at time t, and how fast it moves.

    The line is at x0 when t = 0 and at eps when t = 1, and its velocity is the same all the way:
    the change of x_t for a change of t by 1.

    Source: Liu et al. 2023, equation 1; Lipman et al. 2023, section 4.1, example II, with its time
    reversed.

    Args:
        x0: clean images, shape (B, C, H, W), of any floating-point dtype.
        eps: the noise, shape (B, C, H, W), of the same dtype.
        t: times, shape (B,), from 0 to 1, of the same dtype.

    Returns:
        a pair (x_t, velocity), both of shape (B, C, H, W) and dtype of `x0`.
    """
    raise NotImplementedError("exercise 11.1 is not written yet")


def draw_times(
    count: int,
    generator: torch.Generator,
    spread: str = "uniform",
    mean: float = 0.0,
    std: float = 1.0,
) -> Tensor:
    """Draw the times at which the network is taught, each for itself.

    "uniform" draws all times from 0 to 1 alike. "logit_normal" draws them more often in the
    middle, where image and noise are hardest to tell apart: there log( t / (1 - t) ) is Gaussian,
    of this mean and this standard deviation. The same generator state gives the same draws, and no
    other source of randomness is touched.

    Source: Liu et al. 2023, section 2; Esser et al. 2024, section 3.1.

    Args:
        count: B, how many.
        generator: the source of randomness.
        spread: "uniform" or "logit_normal".
        mean: of log( t / (1 - t) ), for logit_normal; above 0 there is more noise.
        std: its standard deviation, for logit_normal; at least 0.

    Returns:
        t, shape (B,), float32, from 0 to 1, on the device of the generator.

    Raises:
        ValueError: for another spread.
    """
    if spread not in ("uniform", "logit_normal"):
        raise ValueError(f"spread must be uniform or logit_normal, got {spread!r}")
    raise NotImplementedError("exercise 11.2 is not written yet")


def flow_loss(
    model: nn.Module,
    x0: Tensor,
    t: Tensor,
    labels: Tensor,
    eps: Tensor,
    path: Callable[[Tensor, Tensor, Tensor], tuple[Tensor, Tensor]],
) -> Tensor:
    """How wrong the network is about the direction.

    The network is asked once, about the points of the lines at their times. An answer that is off
    by 1 in every pixel has the loss 1, one that is off twice as far has four times the loss,
    whether upwards or downwards, and neither the size of the batch nor that of the images changes
    this.

    Source: Lipman et al. 2023, equation 23; Liu et al. 2023, equation 1.

    Args:
        model: called as model(x_t, TIME_SCALE * t, labels), returns a tensor shaped like x_t. Time
            goes from 0 to 1 here, and from 0 to TIME_SCALE for the network.
        x0: clean images, shape (B, C, H, W).
        t: their times, shape (B,), from 0 to 1.
        labels: their labels, shape (B,), int64.
        eps: the noise at the other end of each line, shape (B, C, H, W).
        path: `straight_path`, called once as path(x0, eps, t), gives the pair (x_t, velocity).

    Returns:
        the loss, a tensor without axes, through which gradients flow to the model.
    """
    raise NotImplementedError("exercise 11.3 is not written yet")


def euler_step(
    velocity: Callable[[Tensor, Tensor], Tensor], x_t: Tensor, t: Tensor, t_next: Tensor
) -> Tensor:
    """One straight step from t to t_next, in the direction that holds at its beginning.

    It is exact if the velocity does not change on the way. The velocity is asked once. t_next may
    be smaller than t, which leads towards the image, or larger, which leads back.

    Source: Liu et al. 2023, section 2.1.

    Args:
        velocity: called as velocity(x, t) with x (B, C, H, W) and t (B,), gives what x moves by for
            a change of t by 1, (B, C, H, W); labels and guidance are already inside it.
        x_t: shape (B, C, H, W).
        t: where each image is, shape (B,); the images may be at different times.
        t_next: where the step leads, shape (B,).

    Returns:
        x_next, shape (B, C, H, W).
    """
    raise NotImplementedError("exercise 11.4 is not written yet")


def heun_step(
    velocity: Callable[[Tensor, Tensor], Tensor], x_t: Tensor, t: Tensor, t_next: Tensor
) -> Tensor:
    """One step from t to t_next in the mean of two directions.

    One direction is that at the beginning of the step, the other is that at its end, at the point
    to which the first one alone would have led. The velocity is asked twice.

    Source: Karras et al. 2022, "Elucidating the Design Space of Diffusion-Based Generative Models",
    algorithm 1; the rule is Heun's, of 1900.

    Args:
        velocity: as for `euler_step`.
        x_t: shape (B, C, H, W).
        t: where each image is, shape (B,); the images may be at different times.
        t_next: where the step leads, shape (B,).

    Returns:
        x_next, shape (B, C, H, W).
    """
    raise NotImplementedError("exercise 11.4 is not written yet")


@torch.no_grad()
def flow_sample(
    velocity: Callable[[Tensor, Tensor], Tensor],
    step: Callable[..., Tensor],
    x_1: Tensor,
    num_steps: int,
    film_steps: Collection[int] = (),
) -> tuple[Tensor, list[Tensor]]:
    """Walk from noise at t = 1 to images at t = 0, in steps of one length.

    Source: Liu et al. 2023, section 2.1.

    Args:
        velocity: as for `euler_step`.
        step: `euler_step` or `heun_step`, called as step(velocity, x, t, t_next).
        x_1: pure Gaussian noise to begin with, shape (B, C, H, W).
        num_steps: n, at least 1.
        film_steps: the numbers of the steps, 0 ... n-1, whose results to keep for a film.

    Returns:
        (x_0, film): the images, shape (B, C, H, W), and the frames kept, each of that shape,
        from the noisiest to the cleanest.
    """
    x, film = x_1, []
    for number in range(num_steps):
        t = torch.full((x.shape[0],), 1 - number / num_steps, device=x.device)  # (B,)
        t_next = torch.full_like(t, 1 - (number + 1) / num_steps)  # (B,)
        x = step(velocity, x, t, t_next)
        if number in film_steps:
            film.append(x)
    return x, film


def to_flow(x_t: Tensor, alpha_bar: Tensor) -> tuple[Tensor, Tensor]:
    """Where a noisy image of chapters 02 to 09 is on its straight line.

    Both mix the same image and the same noise, with other weights. Those of the straight line add
    up to 1, those of x_t are square roots whose squares do. What counts is how much noise there is
    for so much image: multiplied by one number, x_t is a point of the line.

    Source: Gao et al. 2024, where both are schedules of one family.

    Args:
        x_t: noisy images, shape (B, C, H, W), whose noise has the variance 1 - alpha_bar.
        alpha_bar: one for each image, shape (B,), from 0 to 1, both included.

    Returns:
        a pair (x, t): the points of the lines, shape (B, C, H, W), and their times, shape (B,).
    """
    raise NotImplementedError("exercise 11.5 is not written yet")


def to_diffusion(x: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
    """The way back: what a point of a straight line is in chapters 02 to 09.

    Source: Gao et al. 2024.

    Args:
        x: points of the lines, shape (B, C, H, W).
        t: their times, shape (B,), from 0 to 1, both included.

    Returns:
        a pair (x_t, alpha_bar), of the shapes (B, C, H, W) and (B,): images in which the variances
        of image and noise add up to 1, and alpha_bar at their noise level. `to_flow` leads from
        there to (x, t).
    """
    raise NotImplementedError("exercise 11.5 is not written yet")


def velocity_from_v(x_t: Tensor, v: Tensor, alpha_bar: Tensor) -> Tensor:
    """Read the velocity off a predicted v, so that chapter 05's network can be used as a flow.

    x_t and v are two mixtures of the same image and the same noise, and so is the velocity. It is
    the velocity at the place and the time that `to_flow` gives. No noise level, from alpha_bar = 1
    to 0, needs a division.

    Source: from Salimans & Ho 2022, appendix D, for image and noise.

    Args:
        x_t: noisy images as in chapters 02 to 09, shape (B, C, H, W).
        v: what the network predicts for them, sqrt(alpha_bar) * eps - sqrt(1 - alpha_bar) * x_0,
            shape (B, C, H, W).
        alpha_bar: one for each image, shape (B,), from 0 to 1, both included.

    Returns:
        the velocity, shape (B, C, H, W).
    """
    raise NotImplementedError("exercise 11.5 is not written yet")


def eps_from_velocity(x: Tensor, velocity: Tensor, t: Tensor) -> Tensor:
    """Read the noise off a velocity, so that chapters 06 and 07 can walk with a flow's network.

    Follow the line through x to its other end. No time, from 0 to 1, needs a division.

    Source: straight_path, solved for eps.

    Args:
        x: points of the lines, shape (B, C, H, W).
        velocity: the velocities there, shape (B, C, H, W).
        t: their times, shape (B,), from 0 to 1, both included.

    Returns:
        eps, shape (B, C, H, W).
    """
    raise NotImplementedError("exercise 11.5 is not written yet")


def guided_velocity(
    model: nn.Module,
    x_t: Tensor,
    t: Tensor,
    labels: Tensor,
    guidance_scale: float,
    null_label: int,
) -> Tensor:
    """The velocity that leads to images which show what was asked for, and show it clearly.

    As in chapter 06 two predictions are mixed, that for the label and that for any label, and the
    weights are the same: w = 0 is the plain conditional prediction. Both come from one call of the
    network, with a batch of 2B.

    Source: Ho & Salimans 2022, equation 6; Zheng et al. 2023, "Guided Flows for Generative Modeling
    and Decision Making", equation 6.

    Args:
        model: the network that `flow_loss` has taught, called once; it reads time as it did there.
        x_t: shape (B, C, H, W).
        t: times, shape (B,), from 0 to 1.
        labels: the digits asked for, shape (B,), int64.
        guidance_scale: w.
        null_label: the label that means "no class".

    Returns:
        the velocity, shape (B, C, H, W).
    """
    # Exercise 11.6: its code runs, and something in it is wrong.
    nothing = torch.full_like(labels, null_label)  # (B,)
    both = model(
        x_t.repeat(2, 1, 1, 1),  # (2B, C, H, W)
        t.repeat(2),  # (2B,)
        torch.stack([labels, nothing]).flatten(),  # (2, B) -> (2B,)
    )
    towards, anywhere = both.chunk(2)  # each (B, C, H, W)
    return (1 + guidance_scale) * towards - guidance_scale * anywhere


def straightness(
    velocity: Callable[[Tensor, Tensor], Tensor], x_1: Tensor, num_steps: int
) -> Tensor:
    """How far the ways of a flow are from straight lines; 0 if they are straight.

    Walk from t = 1 to t = 0 in num_steps Euler steps of one length. A straight way has in every
    step the velocity that leads from its end, x_0, to its beginning, x_1, in a time of 1. The
    result is the mean, over steps, images and pixels, of the square of what is between the two.

    Source: Liu et al. 2023, section 2.2, S(Z), with the integral as a sum.

    Args:
        velocity: as for `euler_step`.
        x_1: Gaussian noise to begin with, shape (B, C, H, W).
        num_steps: n.

    Returns:
        S, a tensor without axes. No gradients are kept.
    """
    raise NotImplementedError("exercise 11.7 is not written yet")


def reflow_pairs(
    walk: Callable[[Tensor], Tensor], shape: tuple[int, ...], generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Pairs for the next round: each noise with the image to which the flow leads it.

    Lines between images and noise that have nothing to do with each other cross. A flow's own ways
    never do. A second network that is taught with the ends of these ways has straighter ones. The
    same generator state gives the same pairs, and no other source of randomness is touched.

    Source: Liu et al. 2023, algorithm 1, "reflow".

    Args:
        walk: from noise at t = 1 to images at t = 0, called once as walk(x_1) with x_1 of `shape`.
        shape: (B, C, H, W).
        generator: the source of the noise.

    Returns:
        a pair (x0, eps) as `flow_loss` wants it, both of `shape`, on the device of the generator.
        No gradients are kept.
    """
    raise NotImplementedError("exercise 11.7 is not written yet")


def flow_train(
    model: nn.Module,
    ema,
    optimizer: torch.optim.Optimizer,
    batches: Iterable[tuple[Tensor, ...]],
    generator: torch.Generator,
    training_step: Callable[..., float],
    drop_labels: Callable[[Tensor, torch.Generator], Tensor],
    spread: str = "uniform",
    rate: Callable[[int], float] | None = None,
    max_grad_norm: float = 1.0,
    place: Callable[[Tensor], Tensor] = lambda part: part,
    first_step: int = 0,
) -> Iterator[float]:
    """Chapter 05's training loop with this chapter's times and loss. It yields each step's loss.

    Source: Liu et al. 2023, algorithm 1.

    Args:
        model, ema, optimizer: as for `training_step`.
        batches: gives (x0, labels), or (x0, labels, eps) where each image has its own noise, as
            after reflow.
        generator: the source of all randomness, on the device of the batches.
        training_step: chapter 05's.
        drop_labels: chapter 03's, called as drop_labels(labels, generator).
        spread: of the times, as for `draw_times`.
        rate: the learning rate, called as rate(step) with the number of steps done before; left
            out, the optimiser's own stays.
        max_grad_norm: as for `training_step`.
        place: brings what was drawn for the whole batch to where the model is, or a part of it.
        first_step: the number of steps done before.
    """
    for step, (x0, labels, *paired) in enumerate(batches, start=first_step):
        t = draw_times(len(x0), generator, spread)
        eps = paired[0] if paired else torch.randn(x0.shape, generator=generator)
        labels = drop_labels(labels, generator)
        x0, t, labels, eps = place(x0), place(t), place(labels), place(eps)

        def compute_loss(network, x0=x0, t=t, labels=labels, eps=eps):
            return flow_loss(network, x0, t, labels, eps, straight_path)

        if rate is not None:
            for group in optimizer.param_groups:
                group["lr"] = rate(step)
        yield training_step(model, ema, optimizer, compute_loss, max_grad_norm)
