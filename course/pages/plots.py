"""Figures of the notebooks, each a matplotlib Figure: rows of images, curves, matrices."""

import io
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

# Okabe and Ito's colours, told apart with any kind of colour vision; lines also differ in style.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
STYLES = ("-", "--", "-.", ":", (0, (5, 1)), (0, (1, 1)))


def image_row(
    images: Sequence[Tensor] | Tensor,
    titles: Sequence[str] = (),
    title: str = "",
    size: float = 1.4,
    low: float = -1.0,
    high: float = 1.0,
) -> Figure:
    """Images side by side, each (1, H, W) or (H, W), black at `low` and white at `high`."""
    return image_table([images], column_titles=titles, title=title, size=size, low=low, high=high)


def image_table(
    rows: Sequence[Sequence[Tensor] | Tensor],
    row_titles: Sequence[str] = (),
    column_titles: Sequence[str] = (),
    title: str = "",
    size: float = 1.4,
    low: float = -1.0,
    high: float = 1.0,
) -> Figure:
    """Several rows of images, with titles at the left and on top."""
    num_rows, num_columns = len(rows), max(len(row) for row in rows)
    extra = (0.22 if column_titles else 0.0) + (0.28 if title else 0.0)
    figure = Figure(
        figsize=(size * num_columns + (1.1 if row_titles else 0), 0.97 * size * num_rows + extra),
        dpi=100,
        layout="constrained",
    )
    if title:
        figure.suptitle(title, fontsize=10)
    grid = figure.subplots(num_rows, num_columns, squeeze=False)
    for r, row in enumerate(rows):
        for c in range(num_columns):
            axes = grid[r][c]
            axes.set_xticks([])
            axes.set_yticks([])
            if c >= len(row):
                axes.axis("off")
                continue
            image = torch.as_tensor(row[c]).detach().float().squeeze()
            axes.imshow(image.numpy(), cmap="gray", vmin=low, vmax=high)
            if r == 0 and c < len(column_titles):
                axes.set_title(column_titles[c], fontsize=9)
            if c == 0 and r < len(row_titles):
                axes.set_ylabel(row_titles[r], fontsize=9, rotation=0, ha="right", va="center")
    return figure


def curves(
    x: Sequence[float] | Tensor,
    lines: Mapping[str, Sequence[float] | Tensor],
    xlabel: str,
    ylabel: str,
    title: str = "",
    log_y: bool = False,
    mark: float | None = None,
    size: tuple[float, float] = (6.0, 3.2),
) -> Figure:
    """Curves over the same x, told apart by colour and line style; `mark` draws an upright line."""
    figure = Figure(figsize=size, dpi=100, layout="constrained")
    axes = figure.subplots()
    for number, (name, y) in enumerate(lines.items()):
        axes.plot(
            np.asarray(x),
            np.asarray(y),
            label=name,
            color=COLOURS[number % len(COLOURS)],
            linestyle=STYLES[number % len(STYLES)],
        )
    if mark is not None:
        axes.axvline(mark, color="black", linewidth=0.8)
    axes.set_xlabel(xlabel)
    axes.set_ylabel(ylabel)
    axes.set_title(title, fontsize=10)
    if log_y:
        axes.set_yscale("log")
    axes.grid(alpha=0.3)
    if len(lines) > 1:
        axes.legend(fontsize=9)
    return figure


def curves_beside_images(
    lines: Mapping[str, Sequence[float] | Tensor],
    mark: float,
    images: Mapping[str, Tensor],
    xlabel: str,
    ylabel: str,
) -> Figure:
    """Curves over 0, 1, 2 ... with an upright line at `mark`, and titled images beside them."""
    figure = Figure(figsize=(7.4, 2.6), dpi=100, layout="constrained")
    ratios = [2, *[1] * len(images)]
    plot, *places = figure.subplots(1, 1 + len(images), width_ratios=ratios)
    for (name, values), colour, style in zip(lines.items(), COLOURS, STYLES):
        plot.plot(np.asarray(values), label=name, color=colour, linestyle=style)
    plot.axvline(mark, color="black", linewidth=0.8)
    plot.set_xlabel(xlabel)
    plot.set_ylabel(ylabel)
    plot.legend(fontsize=8, loc="upper right")
    for axes, (title, image) in zip(places, images.items()):
        axes.imshow(image.squeeze().numpy(), cmap="gray", vmin=-1, vmax=1)
        axes.set_title(title, fontsize=9)
        axes.axis("off")
    return figure


def paths_and_histograms(
    paths: Tensor,
    mean: Tensor,
    std: Tensor,
    draws: Mapping[str, Tensor],
    titles: tuple[str, str],
) -> Figure:
    """Left: walks (T, count) of one pixel and a band around their mean. Right: two histograms."""
    figure = Figure(figsize=(8.6, 3.2), dpi=100, layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=[1.7, 1])
    left.plot(paths, color="grey", linewidth=0.4, alpha=0.6)
    left.plot(mean, color=COLOURS[0], label="mean of the jumps")
    for sign, name in ((-2, None), (2, "mean ± 2 standard deviations")):
        left.plot(mean + sign * std, color=COLOURS[1], linestyle="--", label=name)
    left.set_xlabel("step t")
    left.set_ylabel("value of the pixel")
    left.set_ylim(-3.6, 3.6)
    left.legend(fontsize=8, loc="lower left")
    bins = np.linspace(-3, 4, 50)
    looks = ({"color": COLOURS[5]}, {"color": "black", "histtype": "step"})
    for (name, values), look in zip(draws.items(), looks):
        right.hist(values.tolist(), bins, label=name, **look)
    right.set_xlabel("value of the pixel")
    right.set_ylabel("draws")
    right.set_ylim(0, 1.4 * right.get_ylim()[1])  # room for the legend
    right.legend(fontsize=8)
    for axes, title in zip((left, right), titles):
        axes.set_title(title, fontsize=10)
    return figure


def bell_curves(
    panels: Mapping[str, Mapping[str, tuple[float, float]]], xlabel: str, title: str = ""
) -> Figure:
    """Panels side by side, each with Gaussians (mean, std) of height 1, around the last of them."""
    width = max(6.0, 2.15 * len(panels))
    figure = Figure(figsize=(width, 2.9), dpi=100, layout="constrained")
    for axes, (name, bells) in zip(
        figure.subplots(1, len(panels), squeeze=False)[0], panels.items()
    ):
        middle, spread = list(bells.values())[-1]
        x = np.linspace(middle - 6 * spread, middle + 6 * spread, 400)
        looks = zip(bells.items(), COLOURS, ("--", ":", "-"), (2, 2, 5), (1, 1, 0.4))
        for (label, (mean, std)), colour, style, thickness, alpha in looks:
            height = np.exp(-0.5 * ((x - mean) / std) ** 2)
            axes.plot(x, height, style, color=colour, linewidth=thickness, alpha=alpha, label=label)
        axes.set_title(name, fontsize=9)
        axes.set_xlabel(xlabel)
        axes.set_yticks([])
        axes.locator_params(axis="x", nbins=5)
    names = axes.get_legend_handles_labels()
    figure.legend(*names, fontsize=9, ncols=3, loc="outside lower center")
    figure.suptitle(title, fontsize=10)
    return figure


def matrix(
    values: Tensor,
    xlabel: str,
    ylabel: str,
    title: str = "",
    size: tuple[float, float] = (4.2, 3.4),
    label: str = "",
) -> Figure:
    """A matrix as a picture, with a colour scale that works with any kind of colour vision."""
    figure = Figure(figsize=size, dpi=100, layout="constrained")
    axes = figure.subplots()
    drawn = axes.imshow(np.asarray(values), cmap="cividis", aspect="auto", interpolation="nearest")
    figure.colorbar(drawn, ax=axes, label=label)
    axes.set_xlabel(xlabel)
    axes.set_ylabel(ylabel)
    axes.set_title(title, fontsize=10)
    return figure


def png_bytes(figure: Figure) -> bytes:
    """A matplotlib figure as the bytes of a PNG file."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()
