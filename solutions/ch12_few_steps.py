"""Chapter 12: few steps.

Chapter 07's walk asks the network twenty times. Here a copy of the network learns to go further in
one call: first by watching a teacher take two steps (progressive distillation), then with no
teacher at all (consistency). And two things that people love to do with any walk: fill in what is
missing from a picture, and draw a picture anew from halfway.

    x_t        images at step t, (B, C, H, W)
    t, t_next  where each image is and where it goes, (B,), int64; t_next < t, and t_next = -1
               means the clean image, where alpha_bar = 1
    labels     (B,), int64, some of them the null label
    v          what a network of chapter 05 that predicts v says about x_t, (B, C, H, W);
               sqrt(alpha_bar_t) * x_t - sqrt(1 - alpha_bar_t) * v is its guess of x_0

Unless a docstring says otherwise, images, noise and schedules are float32, and all tensors handed
in lie on one device, where what comes back lies, too. No function changes a tensor that it is
handed.

Sources: Salimans & Ho 2022, "Progressive Distillation for Fast Sampling of Diffusion Models";
Song et al. 2023, "Consistency Models"; Geng et al. 2024, "Consistency Models Made Easy";
Lugmayr et al. 2022, "RePaint"; Meng et al. 2022, "SDEdit".
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn


def alpha_bar_at(alpha_bars: Tensor, t: Tensor) -> Tensor:
    """alpha_bar at each image's step, 1 where t = -1: (T,) and (B,) -> (B, 1, 1, 1)."""
    values = torch.where(t < 0, 1.0, alpha_bars[t])  # (B,)
    return values.view(-1, 1, 1, 1)


def paired_steps(timesteps: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Take a teacher's walk in twos: where each pair of steps begins, changes over, and ends.

    The teacher visits `timesteps`, and then the clean image, -1. The student is to go in one step
    where the teacher goes in two. So it visits every place at which a pair begins, and these places
    are its own grid, which can be taken in twos again.

    Equation:
        t = timesteps[0], timesteps[2], ...
        t_mid = timesteps[1], timesteps[3], ...
        t_next = timesteps[2], timesteps[4], ..., -1

    Source: Salimans & Ho 2022, algorithm 2.

    Args:
        timesteps: the teacher's grid, the noisiest step first, shape (n,), int64.

    Returns:
        (t, t_mid, t_next): three tensors of shape (n / 2,), int64, on the device of `timesteps`.

    Raises:
        ValueError: if n is odd, or 0.
    """
    if len(timesteps) == 0 or len(timesteps) % 2:
        raise ValueError(f"steps are taken in twos: need an even number, got {len(timesteps)}")
    t, t_mid = timesteps[0::2], timesteps[1::2]  # (n / 2,) each
    clean = torch.full_like(t[:1], -1)
    return t, t_mid, torch.cat([t[1:], clean])


def jump_x0(x_t: Tensor, x_next: Tensor, t: Tensor, t_next: Tensor, alpha_bars: Tensor) -> Tensor:
    """The guess of x_0 with which one step of DDIM leads from x_t to x_next.

    Wherever a teacher went, in however many steps: one step leads there as well, if it is made with
    this x_0, and with whatever x_t holds beside it as the noise. It is a weighted mean of the
    guesses that the teacher made on its way, so it lies in [-1, 1] if they do. Where t_next = -1
    the step lands on the guess itself.

    Equation:
        r    = sqrt(1 - a_next) / sqrt(1 - a)
        x_0  = ( x_next - r * x_t ) / ( sqrt(a_next) - r * sqrt(a) )

        with a = alpha_bar at t, and a_next = alpha_bar at t_next, or 1 where t_next = -1. It is
        the step  x_next = sqrt(a_next) * x_0 + r * ( x_t - sqrt(a) * x_0 )  solved for x_0.

    Source: Salimans & Ho 2022, algorithm 2 and appendix G.

    Args:
        x_t: shape (B, C, H, W).
        x_next: where the jump leads, shape (B, C, H, W).
        t: shape (B,), int64; the images may be at different steps.
        t_next: shape (B,), int64; -1 is the clean image, where alpha_bar is 1.
        alpha_bars: the full schedule, shape (T,).

    Returns:
        x_0, shape (B, C, H, W). It is not clipped.
    """
    a, a_next = alpha_bar_at(alpha_bars, t), alpha_bar_at(alpha_bars, t_next)
    r = ((1 - a_next) / (1 - a)).sqrt()  # (B, 1, 1, 1)
    return (x_next - r * x_t) / (a_next.sqrt() - r * a.sqrt())


def distillation_loss(
    student: nn.Module,
    teacher_step: Callable[[Tensor, Tensor, Tensor, Tensor], Tensor],
    x_t: Tensor,
    steps: tuple[Tensor, Tensor, Tensor],
    labels: Tensor,
    alpha_bars: Tensor,
    jump_x0: Callable[[Tensor, Tensor, Tensor, Tensor, Tensor], Tensor],
) -> Tensor:
    """How far the student's one step is from the teacher's two.

    The teacher walks from x_t to t_mid, and on from there to t_next. `jump_x0` says which x_0 would
    have led there at once. The student sees x_t, and is asked for v, as in chapter 05: for the v
    that belongs to this x_0 and to x_t. x_0 is taken as it comes, outside of [-1, 1] as well. The
    loss is the mean of the squared error, over batch and pixels.

    The teacher is an oracle, not a pupil: no gradient flows into it, or through where it went.

    Equation:
        x_mid   = teacher_step(x_t, t, t_mid, labels)
        x_next  = teacher_step(x_mid, t_mid, t_next, labels)
        x_0     = jump_x0(x_t, x_next, t, t_next, alpha_bars)
        v       = ( sqrt(alpha_bar_t) * x_t - x_0 ) / sqrt(1 - alpha_bar_t)
        loss    = mean of ( student(x_t, t, labels) - v )^2

    Source: Salimans & Ho 2022, algorithm 2, with the loss on v of section 4.

    Args:
        student: called once, as student(x_t, t, labels), returns v, shape (B, C, H, W).
        teacher_step: called as teacher_step(x, t, t_next, labels), returns x at t_next. Guidance,
            if there is any, is already inside it.
        x_t: noisy images, shape (B, C, H, W).
        steps: (t, t_mid, t_next), each of shape (B,), int64: a pair of the teacher's steps for each
            image; t_next = -1 is the clean image.
        labels: shape (B,), int64.
        alpha_bars: the full schedule, shape (T,).
        jump_x0: called as jump_x0(x_t, x_next, t, t_next, alpha_bars).

    Returns:
        the loss, a tensor without axes, through which gradients flow to the student.
    """
    t, t_mid, t_next = steps
    with torch.no_grad():
        x_mid = teacher_step(x_t, t, t_mid, labels)  # (B, C, H, W)
        x_next = teacher_step(x_mid, t_mid, t_next, labels)  # (B, C, H, W)
        x0 = jump_x0(x_t, x_next, t, t_next, alpha_bars)  # (B, C, H, W)
        a = alpha_bar_at(alpha_bars, t)  # (B, 1, 1, 1)
        v = (a.sqrt() * x_t - x0) / (1 - a).sqrt()
    return (student(x_t, t, labels) - v).square().mean()


def consistency_loss(
    model: nn.Module,
    x0: Tensor,
    t: Tensor,
    t_next: Tensor,
    labels: Tensor,
    eps: Tensor,
    alpha_bars: Tensor,
    q_sample: Callable[[Tensor, Tensor, Tensor, Tensor], Tensor],
) -> Tensor:
    """How far the model's guesses of x_0 disagree at two places of one path.

    All places of a path that leads from noise to an image should give the same answer: that image.
    There is no teacher that knows the path, so two places are made from the data: the same image
    under the same noise, at t and at the cleaner t_next. The guess at t_next is the target, and
    the guess at t learns to agree with it. Nothing is learned by the target: if both moved, they
    would agree best by saying always the same.

    At t_next = -1 the image is clean, and the right answer is the image itself, whatever the
    network says about it; a step of -1 is nothing that a network can be asked about.

    The guesses are not clipped. Their squared difference is divided by 1 - alpha_bar_t, which makes
    it an error of v, as in chapter 05, and its mean is taken over batch and pixels.

    Equation:
        f(x, t) = sqrt(alpha_bar_t) * x - sqrt(1 - alpha_bar_t) * model(x, t, labels)
        x_t     = q_sample(x_0, t, eps, alpha_bars)
        target  = f( q_sample(x_0, t_next, eps, alpha_bars), t_next ), or x_0 where t_next = -1
        loss    = mean of ( f(x_t, t) - target )^2 / ( 1 - alpha_bar_t )

    Source: Song et al. 2023, equation 10 and theorem 2; the target from the network's own weights,
    without an average of them, as in Song & Dhariwal 2024, "Improved Techniques for Training
    Consistency Models", section 3.2.

    Args:
        model: called as model(x, t, labels), returns v, shape (B, C, H, W).
        x0: clean images, shape (B, C, H, W).
        t: shape (B,), int64.
        t_next: shape (B,), int64, smaller than t; -1 is the clean image.
        labels: shape (B,), int64.
        eps: the noise of both places, shape (B, C, H, W).
        alpha_bars: the full schedule, shape (T,).
        q_sample: chapter 02's, called as q_sample(x0, t, eps, alpha_bars) with t from 0 on.

    Returns:
        the loss, a tensor without axes, through which gradients flow to the model's guess at t.
    """

    def guess(x: Tensor, step: Tensor) -> Tensor:
        a = alpha_bar_at(alpha_bars, step)  # (B, 1, 1, 1)
        return a.sqrt() * x - (1 - a).sqrt() * model(x, step, labels)

    with torch.no_grad():
        asked = t_next.clamp(min=0)  # (B,)
        target = guess(q_sample(x0, asked, eps, alpha_bars), asked)  # (B, C, H, W)
        target = torch.where(t_next.view(-1, 1, 1, 1) < 0, x0, target)
    error = guess(q_sample(x0, t, eps, alpha_bars), t) - target  # (B, C, H, W)
    return (error.square() / (1 - alpha_bar_at(alpha_bars, t))).mean()


@torch.no_grad()
def inpaint(
    predict_eps: Callable[[Tensor, Tensor], Tensor],
    step: Callable[[Tensor, Tensor, Tensor, Tensor], Tensor],
    x_T: Tensor,
    timesteps: Tensor,
    known: Tensor,
    mask: Tensor,
    generator: torch.Generator,
    alpha_bars: Tensor,
    q_sample: Callable[[Tensor, Tensor, Tensor, Tensor], Tensor],
) -> Tensor:
    """Walk from noise to images some of whose pixels are known.

    The network was never told of masks. So it is shown, at each step of the grid, an image that is
    as noisy everywhere as images are at this step: the known pixels come from the picture, with
    fresh noise of that step put on them, and the others from the walk. From there the walk goes on
    to the next step of the grid, and from the last one to the clean image, t_next = -1. In the
    result the known pixels are the picture's own.

    Equation:
        for each t of the grid, with t_next the one after it, or -1 after the last:
            noise ~ N(0, 1)
            x = q_sample(known, t, noise, alpha_bars) where the mask is True, else x
            x = step(x, t, t_next, predict_eps(x, t))
        x = known where the mask is True, else x

    Source: Lugmayr et al. 2022, equation 8 and algorithm 1, without going back (U = 1).

    Args:
        predict_eps: called once for each step, as predict_eps(x, t) with x (B, C, H, W) and t (B,),
            int64; labels and guidance are already inside it.
        step: called as step(x, t, t_next, eps), returns x at t_next.
        x_T: pure Gaussian noise to begin with, shape (B, C, H, W).
        timesteps: the grid, the noisiest step first, shape (n,), int64.
        known: the picture, clean, shape (B, C, H, W); where it is not known it may hold any
            numbers.
        mask: True where a pixel is known, shape (B, 1, H, W), bool.
        generator: the source of the known pixels' noise, on the device of `x_T`; no other is
            touched.
        alpha_bars: the full schedule, shape (T,).
        q_sample: chapter 02's, called as q_sample(known, t, noise, alpha_bars).

    Returns:
        the images, shape (B, C, H, W), without a graph for gradients.
    """
    x, grid = x_T, timesteps.tolist()
    for now, following in zip(grid, [*grid[1:], -1]):
        t = torch.full((x.shape[0],), now, dtype=torch.int64, device=x.device)  # (B,)
        noise = torch.randn(x.shape, generator=generator, device=x.device, dtype=x.dtype)
        x = torch.where(mask, q_sample(known, t, noise, alpha_bars), x)  # (B, C, H, W)
        x = step(x, t, torch.full_like(t, following), predict_eps(x, t))
    return torch.where(mask, known, x)


@torch.no_grad()
def edit(
    predict_eps: Callable[[Tensor, Tensor], Tensor],
    step: Callable[[Tensor, Tensor, Tensor, Tensor], Tensor],
    picture: Tensor,
    timesteps: Tensor,
    t_start: int,
    generator: torch.Generator,
    alpha_bars: Tensor,
    q_sample: Callable[[Tensor, Tensor, Tensor, Tensor], Tensor],
) -> Tensor:
    """Draw a picture anew from halfway: drown it in noise, and walk back.

    How much noise decides what is left of the picture: its rough shape survives longer than its
    strokes. The walk begins at the noisiest step of the grid that is not above t_start, with the
    picture as noisy as images are at that step, and visits the rest of the grid. From the last step
    it goes to the clean image, t_next = -1.

    Equation:
        grid = the steps of `timesteps` that are <= t_start
        x = q_sample(picture, grid[0], noise, alpha_bars),  noise ~ N(0, 1)
        for each t of the grid, with t_next the one after it, or -1 after the last:
            x = step(x, t, t_next, predict_eps(x, t))

    Source: Meng et al. 2022, algorithm 1.

    Args:
        predict_eps: called once for each step, as predict_eps(x, t) with x (B, C, H, W) and t (B,),
            int64; labels and guidance are already inside it.
        step: called as step(x, t, t_next, eps), returns x at t_next.
        picture: clean, shape (B, C, H, W); anything in [-1, 1], a drawing by hand too.
        timesteps: the grid of a whole walk, the noisiest step first, shape (n,), int64.
        t_start: how far to go back; a smaller one leaves more of the picture.
        generator: the source of the noise, on the device of `picture`; no other is touched.
        alpha_bars: the full schedule, shape (T,).
        q_sample: chapter 02's, called as q_sample(picture, t, noise, alpha_bars).

    Returns:
        the images, shape (B, C, H, W), without a graph for gradients.

    Raises:
        ValueError: if no step of the grid is as low as t_start.
    """
    if not (timesteps <= t_start).any():
        raise ValueError(f"no step of the grid is at or below t_start = {t_start}: raise t_start")
    grid = timesteps[timesteps <= t_start].tolist()
    noise = torch.randn(
        picture.shape, generator=generator, device=picture.device, dtype=picture.dtype
    )
    t = torch.full((len(picture),), grid[0], dtype=torch.int64, device=picture.device)  # (B,)
    x = q_sample(picture, t, noise, alpha_bars)  # (B, C, H, W)
    for now, following in zip(grid, [*grid[1:], -1]):
        t = torch.full_like(t, now)
        x = step(x, t, torch.full_like(t, following), predict_eps(x, t))
    return x
