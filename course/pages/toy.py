"""A diffusion of points in the plane, so small that it trains in seconds and is seen whole.

A point is an image of a single pixel with two channels, its x and its y: points have the shape
(N, 2, 1, 1), within [-1, 1]. So the chapters' functions work on points as they do on digits, and
each can be handed in: a schedule, `q_sample`, a sampler. What is left out is the reference's.

    points, groups = points_on(SHAPES["moons"], 5000)
    network = Network(num_groups=2)
    losses = train(network, points, groups)
    drawn, film = sample(network, groups[:500])
    walk_figure(film, groups[:500])
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor, nn
from torch.nn import functional as F
from tqdm.auto import tqdm

from course.grading.code import reference
from course.model.sampling import fast_walk
from course.pages.plots import COLOURS

NUM_STEPS = 100  # T
BATCH = 256  # points in one step of training
Line = Sequence[tuple[float, float]]  # corners (x, y), joined by straight lines


# Shapes


def arc(centre: tuple[float, float], radius: float, start: float, end: float) -> Line:
    """A part of a circle as a line with many corners, from one angle to another, in degrees."""
    angles = np.radians(np.linspace(start, end, 60))
    return [(centre[0] + radius * np.cos(a), centre[1] + radius * np.sin(a)) for a in angles]


def spiral(start: float) -> Line:
    """A line that winds out of the middle, beginning at an angle, in degrees."""
    radii = np.linspace(0.15, 0.9, 120)
    angles = np.radians(start + 430 * radii)
    return [(r * np.cos(a), r * np.sin(a)) for r, a in zip(radii, angles)]


# A shape is a list of lines. Each line is a group of its own, which the network can be asked for.
SHAPES: dict[str, list[Line]] = {
    "moons": [arc((-0.25, -0.15), 0.6, 0, 180), arc((0.25, 0.15), 0.6, 180, 360)],
    "spirals": [spiral(0), spiral(180)],
    "seven": [[(-0.6, 0.8), (0.6, 0.8), (-0.2, -0.8)], [(-0.3, 0.0), (0.5, 0.0)]],
    "face": [
        arc((0, 0), 0.9, 0, 360),
        arc((0, 0), 0.5, 210, 330),
        [(-0.35, 0.2), (-0.35, 0.4)],
        [(0.35, 0.2), (0.35, 0.4)],
    ],
    "star": [[(-0.8, -0.6), (0.8, 0.6)], [(-0.8, 0.6), (0.8, -0.6)], [(0, -0.9), (0, 0.9)]],
}


def points_on(
    lines: Sequence[Line], count: int, seed: int = 0, spread: float = 0.02
) -> tuple[Tensor, Tensor]:
    """Draw points on the lines of a shape: on a line twice as long, twice as many.

    Args:
        lines: each of two or more corners, within [-1, 1].
        count: N.
        seed: the same seed draws the same points.
        spread: how far points lie off their line, as a standard deviation.

    Returns:
        (points, groups): (N, 2, 1, 1), float32, in [-1, 1], and (N,), int64, the number of each
        point's line.
    """
    generator = torch.Generator().manual_seed(seed)
    starts = torch.tensor([corner for line in lines for corner in line[:-1]], dtype=torch.float32)
    ends = torch.tensor([corner for line in lines for corner in line[1:]], dtype=torch.float32)
    group_of = torch.tensor([number for number, line in enumerate(lines) for _ in line[1:]])
    lengths = (ends - starts).norm(dim=1)  # (pieces,)
    piece = torch.multinomial(lengths, count, replacement=True, generator=generator)  # (N,)
    along = torch.rand(count, 1, generator=generator)
    points = starts[piece] + along * (ends - starts)[piece]  # (N, 2)
    points = points + spread * torch.randn(count, 2, generator=generator)
    return points.clamp(-1, 1).view(-1, 2, 1, 1), group_of[piece]


def distance(points: Tensor, others: Tensor) -> float:
    """How far apart two clouds of points are: 0 if both come from the same distribution.

    The energy distance, 2 E|a - b| - E|a - a'| - E|b - b'| (Székely & Rizzo 2013). Clouds of 1000
    points from the same distribution are some 0.001 apart.
    """
    a, b = points.flatten(1), others.flatten(1)
    between, within_a, within_b = torch.cdist(a, b), torch.cdist(a, a), torch.cdist(b, b)
    return (2 * between.mean() - within_a.mean() - within_b.mean()).item()


# The network


class Network(nn.Module):
    """Sees noisy points, their step and their group, and predicts the noise in them.

    Args:
        num_groups: the groups are 0 ... num_groups-1; `null_label`, one more, is "any group".
        num_steps: T of the schedule.
        width: the number of features.
        seed: of the random weights to begin with.
    """

    def __init__(self, num_groups: int, num_steps: int = NUM_STEPS, width: int = 96, seed: int = 0):
        super().__init__()
        self.null_label = num_groups
        self.num_steps = num_steps
        self.embedding = reference().chapter("ch03_embeddings").sinusoidal_embedding
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            self.point = nn.Linear(10, width)
            self.step = nn.Linear(width, width)
            self.group = nn.Embedding(num_groups + 1, width)
            self.blocks = nn.ModuleList(nn.Linear(width, width) for _ in range(3))
            self.noise = nn.Linear(width, 2)

    def forward(self, x: Tensor, t: Tensor, groups: Tensor) -> Tensor:
        """(B, 2, 1, 1), (B,) and (B,) -> the predicted noise, (B, 2, 1, 1)."""
        time = self.embedding(t * 1000 / self.num_steps, self.step.in_features)  # (B, width)
        condition = self.step(time) + self.group(groups)  # (B, width)
        place = np.pi * x.flatten(1)  # (B, 2); its waves help to draw fine lines
        waves = [place.sin(), place.cos(), (2 * place).sin(), (2 * place).cos()]
        features = self.point(torch.cat([x.flatten(1), *waves], dim=1))  # (B, width)
        for block in self.blocks:
            features = features + block(F.silu(features + condition))
        return self.noise(F.silu(features)).view_as(x)


# Training and drawing


def make_schedule(num_steps: int = NUM_STEPS):
    """The reference's tables of the cosine schedule."""
    betas = reference().chapter("ch01_noise_schedule").cosine_betas(num_steps)
    return reference().chapter("ch02_forward_process").make_schedule(betas)


def train(
    network: Network,
    points: Tensor,
    groups: Tensor,
    num_updates: int = 3000,
    seed: int = 0,
    schedule=None,
    q_sample: Callable[[Tensor, Tensor, Tensor, Tensor], Tensor] | None = None,
    progress: str | None = None,
) -> list[float]:
    """Show the network noisy points and ask it for the noise, again and again.

    Args:
        network: goes on from what it knows already.
        points: (N, 2, 1, 1).
        groups: (N,), int64. A quarter of them is hidden from the network, so that it can also do
            without.
        num_updates: how often the weights are changed.
        seed: of the choice of points, steps and noise.
        schedule: a NoiseSchedule.
        q_sample: chapter 02's jump.
        progress: the name of a progress bar; None shows none.

    Returns:
        the loss before each update.
    """
    schedule = schedule or make_schedule()
    q_sample = q_sample or reference().chapter("ch02_forward_process").q_sample
    generator = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.Adam(network.parameters(), lr=3e-3)
    slower = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, num_updates)
    losses = []
    for _ in tqdm(range(num_updates), desc=progress, disable=progress is None):
        chosen = torch.randint(0, len(points), (BATCH,), generator=generator)
        t = torch.randint(0, len(schedule.betas), (BATCH,), generator=generator)
        eps = torch.randn(BATCH, 2, 1, 1, generator=generator)
        hidden = torch.rand(BATCH, generator=generator) < 0.25

        x_t = q_sample(points[chosen], t, eps, schedule.alpha_bars)
        asked = torch.where(hidden, network.null_label, groups[chosen])
        loss = F.mse_loss(network(x_t, t, asked), eps)

        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        slower.step()
        losses.append(loss.item())
    return losses


def noisy_walk(schedule, reverse_step: Callable[..., Tensor] | None = None) -> Callable:
    """Chapter 06's walk over all steps of a schedule, which adds fresh noise at each.

    Args:
        schedule: a NoiseSchedule.
        reverse_step: called as reverse_step(x, t, eps, noise, schedule); `p_sample` if left out.

    Returns:
        a `walk` for `sample`.
    """
    ch02 = reference().chapter("ch02_forward_process")
    ch06 = reference().chapter("ch06_guided_sampling")

    def p_sample(x, t, eps, noise, schedule):
        return ch06.p_sample(x, t, eps, noise, schedule, ch02.predict_x0, ch02.q_posterior)

    def walk(predict_eps, x_T, generator, film_steps):
        step = reverse_step or p_sample
        return ch06.ancestral_sample(predict_eps, step, x_T, schedule, generator, film_steps)

    return walk


def smooth_walk(schedule) -> Callable:
    """Chapter 07's DDIM over all steps of a schedule, which adds no noise.

    Returns:
        a `walk` for `sample`.
    """
    every_step = torch.arange(len(schedule.betas)).flip(0)
    return fast_walk(reference(), "ddim", schedule.alpha_bars, every_step)


def sample(
    network: Network,
    groups: Tensor,
    guidance: float = 0.0,
    seed: int = 0,
    walk: Callable[..., tuple[Tensor, list[Tensor]]] | None = None,
) -> tuple[Tensor, list[Tensor]]:
    """Draw one point for each group that is asked for.

    Args:
        groups: (N,), int64; the network's `null_label` asks for any.
        guidance: chapter 06's w.
        seed: of the noise.
        walk: called as walk(predict_eps, x_T, generator, film_steps), gives the points and the
            frames of `film_steps`, as `noisy_walk(schedule)` and `smooth_walk(schedule)` do. The
            latter, if left out.

    Returns:
        (points, film): (N, 2, 1, 1), and the same at each moment of the walk, from noise to points.
    """
    guided_eps = reference().chapter("ch06_guided_sampling").guided_eps
    walk = walk or smooth_walk(make_schedule(network.num_steps))
    generator = torch.Generator().manual_seed(seed)
    x_T = torch.randn(len(groups), 2, 1, 1, generator=generator)

    def predict_eps(x: Tensor, t: Tensor) -> Tensor:
        return guided_eps(network, x, t, groups, guidance, network.null_label)

    points, film = walk(predict_eps, x_T, generator, range(network.num_steps))
    return points, [x_T, *film]


# Figures


def cloud(axes, points: Tensor, groups: Tensor, title: str = "") -> None:
    """Points in a square from -2 to 2, each group in its colour."""
    x, y = points.flatten(1).T
    colours = [COLOURS[group % len(COLOURS)] for group in groups.tolist()]
    axes.scatter(x, y, s=3, c=colours, linewidths=0)
    axes.set(xlim=(-2, 2), ylim=(-2, 2), aspect="equal", xticks=[], yticks=[])
    axes.set_title(title, fontsize=10)


def points_figure(points: Tensor, groups: Tensor, title: str = "") -> Figure:
    """One cloud of points."""
    figure = Figure(figsize=(3.2, 3.2), dpi=100, layout="constrained")
    cloud(figure.subplots(), points, groups, title)
    return figure


def clouds_figure(clouds: Mapping[str, Tensor], groups: Sequence[Tensor]) -> Figure:
    """Several named clouds side by side; `groups` has the group of each point of each cloud."""
    width = 2.2 if len(clouds) > 2 else 3.2
    figure = Figure(figsize=(width * len(clouds), width + 0.4), dpi=100, layout="constrained")
    for axes, (name, points), own in zip(figure.subplots(1, len(clouds)), clouds.items(), groups):
        cloud(axes, points, own, name)
    return figure


def walk_figure(film: Sequence[Tensor], groups: Tensor, paths: int = 12) -> Figure:
    """The whole walk in one picture: all points at six moments, and the paths of a few.

    Args:
        film: of `sample`.
        groups: of each point, for its colour.
        paths: how many points to follow.
    """
    last = len(film) - 1
    figure = Figure(figsize=(9.6, 3.5), dpi=100, layout="constrained")
    grid = figure.add_gridspec(2, 5)
    places = [grid[0, 0], grid[0, 1], grid[0, 2], grid[1, 0], grid[1, 1], grid[1, 2]]
    for place, part in zip(places, (0, 0.5, 0.7, 0.8, 0.9, 1)):
        number = round(part * last)
        cloud(figure.add_subplot(place), film[number], groups, moment_name(number, last))
    axes = figure.add_subplot(grid[:, 3:])
    cloud(axes, film[-1], groups, f"the paths of {paths} points, from ○ to ●")
    tracks = torch.stack(list(film)).flatten(2)  # (moments, N, 2)
    for number in range(paths):
        x, y = tracks[:, number].T
        colour = COLOURS[groups[number] % len(COLOURS)]
        axes.plot(x, y, color=colour, linewidth=1)
        axes.plot(x[0], y[0], "o", color="white", markeredgecolor=colour, markersize=5)
        axes.plot(x[-1], y[-1], "o", color=colour, markeredgecolor="black", markersize=5)
    return figure


def moment_name(number: int, last: int) -> str:
    """What a frame of a film is called: pure noise, after so many steps, or the end."""
    if number == 0:
        return "pure noise"
    return f"after {number} steps" if number < last else f"after all {last} steps"


def arrows_figure(
    network: Network, film: Sequence[Tensor], groups: Tensor, numbers: Sequence[int]
) -> Figure:
    """Moments of a walk side by side, with arrows that show where the network would move a point.

    Each arrow points away from the noise that the network sees there, whatever the group. More
    noise makes it longer, up to a limit.

    Args:
        film: of `sample`.
        groups: of each point, for its colour.
        numbers: of the frames; the step that follows frame n is T - 1 - n.
    """
    size = 4.2 if len(numbers) == 1 else 3.1
    figure = Figure(figsize=(size * len(numbers), size), dpi=100, layout="constrained")
    ticks = torch.linspace(-1.8, 1.8, 15)
    x = torch.cartesian_prod(ticks, ticks).view(-1, 2, 1, 1)  # (225, 2, 1, 1)
    for axes, number in zip(figure.subplots(1, len(numbers), squeeze=False)[0], numbers):
        cloud(axes, film[number], groups, moment_name(number, len(film) - 1))
        t = torch.full((len(x),), max(0, network.num_steps - 1 - number))
        with torch.no_grad():
            eps = network(x, t, torch.full_like(t, network.null_label)).flatten(1)  # (225, 2)
        arrows = -eps / eps.norm(dim=1, keepdim=True).clamp(min=1.5)
        axes.quiver(*x.flatten(1).T, *arrows.T, color="0.45", scale=18, width=0.004, zorder=0)
    return figure
