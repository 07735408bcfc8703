"""Figures of the notebooks, each a matplotlib Figure: rows of images, curves, matrices."""

import io
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor
from torch.nn import functional as F

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


def draw_mosaic(
    axes: Axes,
    rows: Sequence[Sequence[Tensor] | Tensor],
    row_titles: Sequence[str],
    column_titles: Sequence[str],
) -> None:
    """Rows of images, each (1, H, W), as one picture with thin lines between: quick to draw."""
    framed = [F.pad(torch.stack(list(row))[:, 0], (1, 1, 1, 1), value=0.7) for row in rows]
    picture = torch.cat([torch.cat(list(row), dim=1) for row in framed])
    cell = framed[0].shape[-1]
    axes.imshow(picture, cmap="gray", vmin=-1, vmax=1)
    axes.set_yticks([cell * (i + 0.5) for i in range(len(rows))], row_titles)
    axes.set_xticks([cell * (i + 0.5) for i in range(len(column_titles))], column_titles)
    axes.tick_params(length=0, labelsize=9, labeltop=True, labelbottom=False)
    axes.spines[:].set_visible(False)


def mosaic(
    rows: Sequence[Sequence[Tensor] | Tensor],
    row_titles: Sequence[str],
    column_titles: Sequence[str],
    size: float,
    title: str = "",
    left: float = 1.3,
    top: float = 0.3,
) -> Figure:
    """Rows of images as a figure of their own, quick enough for a slider; sizes are in inches."""
    wide, high = size * len(column_titles), size * len(rows)
    top += 0.25 if title else 0
    figure = Figure(figsize=(left + wide + 0.1, top + high + 0.1), dpi=100)
    across, up = figure.get_size_inches()
    axes = figure.add_axes([left / across, 0.1 / up, wide / across, high / up])
    draw_mosaic(axes, rows, row_titles, column_titles)
    figure.suptitle(title, fontsize=10, y=1 - 0.08 / up, va="top")
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
