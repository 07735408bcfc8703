"""Figures of the notebooks, each a matplotlib Figure: rows of images, curves, matrices."""

import io
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Ellipse, Rectangle
from torch import Tensor
from torch.nn import functional

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
    """Several rows of images, with titles at the left and on top; (3, H, W) is one in colour."""
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
            if image.ndim == 3:
                image = ((image.movedim(0, 2) - low) / (high - low)).clamp(0, 1)
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
    framed = [functional.pad(torch.stack(list(row))[:, 0], (1, 1, 1, 1), value=0.7) for row in rows]
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


def losses_beside_mosaic(
    levels: Sequence[float] | Tensor,
    lines: Mapping[str, Tensor],
    faint: Sequence[Tensor],
    rows: Sequence[Tensor],
    row_titles: Sequence[str],
    column_titles: Sequence[str],
    title: str,
) -> Figure:
    """Losses over noise levels at the left, from 0.05 to 2, and rows of images at the right.

    Args:
        lines: the curves, by name.
        faint: curves drawn in grey behind them, to compare with.
    """
    figure = Figure(figsize=(8.6, 3.3), dpi=100)
    plot = figure.add_axes([0.085, 0.15, 0.39, 0.75])
    for losses in faint:
        plot.plot(levels, losses, color="lightgrey", linewidth=0.8)
    for number, (name, losses) in enumerate(lines.items()):
        look = {"marker": "os"[number % 2], "markersize": 4, "linestyle": STYLES[number]}
        plot.plot(levels, losses, color=COLOURS[number], label=name, **look)
    plot.set_yscale("log")
    plot.set_ylim(0.05, 2)
    plot.set_yticks([0.05, 0.1, 0.2, 0.5, 1], ["0.05", "0.1", "0.2", "0.5", "1"])
    plot.minorticks_off()
    plot.set_xlabel("step t, in bins of 100")
    plot.set_ylabel("held-out loss on v")
    plot.set_title(title, fontsize=10)
    plot.legend(fontsize=9, loc="upper right")
    draw_mosaic(figure.add_axes([0.57, 0.02, 0.42, 0.89]), rows, row_titles, column_titles)
    return figure


def falling_errors(
    x: Sequence[int], lines: Mapping[str, Sequence[float]], xlabel: str, ylabel: str, title: str
) -> Figure:
    """Errors over the number of steps, on logarithmic scales; lines that coincide are both seen."""
    figure = Figure(figsize=(6.0, 3.2), dpi=100, layout="constrained")
    axes = figure.subplots()
    for number, (name, y) in enumerate(lines.items()):
        axes.plot(
            x,
            y,
            label=name,
            color=COLOURS[number],
            linestyle=STYLES[number],
            marker="os^"[number],
            markersize=7 - 2 * number,
        )
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    axes.set_xticks(x, [str(n) for n in x])
    axes.set_xlabel(xlabel)
    axes.set_ylabel(ylabel)
    axes.set_title(title, fontsize=10)
    axes.grid(alpha=0.3)
    axes.legend(fontsize=9)
    return figure


def paths(x: Tensor, panels: Mapping[str, Tensor], xlabel: str, ylabel: str) -> Figure:
    """Many paths over the same x, side by side: for each panel (len(x), paths). x falls."""
    figure = Figure(figsize=(8.4, 2.9), dpi=100, layout="constrained")
    for axes, (name, values) in zip(figure.subplots(1, len(panels), sharey=True), panels.items()):
        for number, path in enumerate(values.T):
            axes.plot(x, path, color=COLOURS[number % len(COLOURS)], linewidth=0.9)
        axes.set_xlim(float(x[0]), float(x[-1]))
        axes.set_title(name, fontsize=10)
        axes.set_xlabel(xlabel)
    figure.axes[0].set_ylabel(ylabel)
    return figure


def grids(steps: Mapping[str, Tensor], lambdas: Tensor) -> Figure:
    """Named grids of steps as rows of dots, over t and over lambda; lambdas is that of every t."""
    figure = Figure(figsize=(8.4, 2.6), dpi=100, layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    for row, grid in enumerate(steps.values()):
        for axes, places in ((left, grid), (right, lambdas[grid])):
            axes.plot(places, [row] * len(grid), "o", color=COLOURS[row], markersize=5)
    left.set_yticks(range(len(steps)), list(steps))
    left.invert_yaxis()
    left.invert_xaxis()  # the walk goes from left to right
    left.set_xlabel("t")
    right.set_xlabel("lambda (half the log-SNR)")
    figure.suptitle("Four grids of ten steps on the cosine schedule", fontsize=10)
    return figure


def step_on_a_curve(lambdas: Tensor, guess: Tensor, places: tuple[float, float, float]) -> Figure:
    """The guess of x_0 along a curve, and what a step makes of it from where it begins.

    Args:
        lambdas, guess: the curve, (N,) each, lambda rising.
        places: lambda where the last step began, where this one begins, and where it leads.
    """
    figure = Figure(figsize=(6.4, 3.2), dpi=100, layout="constrained")
    axes = figure.subplots()
    axes.plot(lambdas, guess, color=COLOURS[0], label="the guess along the curve")
    before, now, after = places
    then, at_now = (float(guess[(lambdas - place).abs().argmin()]) for place in (before, now))
    axes.plot(
        [now, after], [at_now] * 2, STYLES[1], color=COLOURS[1], label="as it is where you are"
    )
    slope = (at_now - then) / (now - before)
    line = [then, at_now + slope * (after - now)]
    axes.plot(
        [before, after], line, STYLES[3], color=COLOURS[2], label="if it goes on changing as it did"
    )
    axes.plot([before, now], [then, at_now], "o", color=COLOURS[0])
    names = ("one step ago", "you are here", "the step's end")
    for place, name in zip((*places, (now + after) / 2), (*names, "middle")):
        axes.axvline(place, color="grey", linewidth=0.6)
        style = {"xycoords": axes.get_xaxis_transform(), "fontsize": 8, "rotation": 90}
        axes.annotate(name, (place, 0.02), ha="right", **style)
    axes.set(xlim=(before - 0.8, after + 0.6), ylim=(-0.15, 0.75))
    axes.set(xlabel="lambda", ylabel="guess of x_0")
    axes.legend(fontsize=8, loc="upper left")
    return figure


def samplers_compared(measured: Mapping[str, Mapping], title: str) -> Figure:
    """Right digits and Fréchet ratio over the network calls, a line for each sampler.

    Args:
        measured: benchmarks/results/sampler_quality.json's, one entry for each walk.
        title: what is above both plots.
    """
    figure = Figure(figsize=(8.6, 3.2), dpi=100, layout="constrained")
    accuracy, likeness = figure.subplots(1, 2)
    for number, name in enumerate(("ancestral", "ddim", "2m")):
        walks = [walk for walk in measured.values() if walk["sampler"] == name]
        walks.sort(key=lambda walk: walk["calls"])
        calls, right = [[walk[key] for walk in walks] for key in ("calls", "right")]
        low, high = zip(*(walk["interval"] for walk in walks))
        style = {
            "color": COLOURS[number],
            "linestyle": STYLES[number],
            "marker": "os^"[number],
            "markersize": 4,
            "label": name,
        }
        right, low, high = (100 * np.asarray(values) for values in (right, low, high))
        bars = np.stack([right - low, high - right])
        accuracy.errorbar(calls, right, bars, capsize=2, elinewidth=0.8, **style)
        likeness.plot(calls, [walk["frechet_ratio"] for walk in walks], **style)
    accuracy.set_ylabel("right digits, %")
    accuracy.set_ylim(91, 100.3)
    likeness.set_ylabel("Fréchet distance / real")
    likeness.set_ylim(0, 4.2)
    likeness.axhline(1, color="grey", linewidth=0.8)
    likeness.annotate("real images", (5, 0.95), fontsize=8, color="dimgrey", va="top")
    ticks = [5, 10, 20, 50, 100, 250, 1000]
    for axes in (accuracy, likeness):
        axes.set_xscale("log")
        axes.set_xticks(ticks, [str(n) for n in ticks])
        axes.set_xlim(4, 1250)
        axes.minorticks_off()
        axes.set_xlabel("network calls")
        axes.grid(alpha=0.3)
    likeness.legend(fontsize=9, loc="upper right")
    figure.suptitle(title, fontsize=10)
    return figure


def pair_of_features(points: Tensor, mean: Tensor, cov: Tensor, names: Sequence[str]) -> Figure:
    """Two features of many images as dots, and the ellipse of the Gaussian that stands for them.

    Args:
        points: shape (N, 2).
        mean, cov: of these two, (2,) and (2, 2); the ellipse reaches two standard deviations far.
        names: of the two features.
    """
    figure = Figure(figsize=(3.4, 3.2), dpi=100, layout="constrained")
    axes = figure.subplots()
    axes.plot(*points.T, "o", color=COLOURS[0], markersize=2.5, alpha=0.4)
    values, vectors = torch.linalg.eigh(cov)
    short, long = (4 * values.clamp(min=0).sqrt()).tolist()
    angle = float(torch.rad2deg(torch.atan2(vectors[1, 1], vectors[0, 1])))
    ellipse = Ellipse(mean.tolist(), long, short, angle=angle, fill=False)
    ellipse.set(color=COLOURS[1], linewidth=2)
    axes.add_patch(ellipse)
    axes.set(xlim=(-2.6, 2.6), ylim=(-2.6, 2.6), aspect="equal")
    axes.set_xlabel(names[0])
    axes.set_ylabel(names[1])
    return figure


def guidance_trade(
    pictures: Tensor, scales: Sequence[float], lines: Mapping[str, Sequence], w: float, source: str
) -> Figure:
    """Digits drawn with one guidance scale, and what was measured over all scales.

    Args:
        pictures: rows of digits, one grey picture, in 0 ... 255.
        scales: the guidance scales that were measured.
        lines: for each scale "right" (value, low, high), "coverage" and "frechet".
        w: the scale of the pictures, which is marked.
        source: what the figures were measured on.
    """
    figure = Figure(figsize=(7.2, 5.6), dpi=100, layout="constrained")
    top, bottom = figure.subplots(2, 1, height_ratios=[1, 1.3])
    top.imshow(pictures, cmap="gray", vmin=0, vmax=255)
    top.axis("off")
    top.set_title(f"w = {w:g}", fontsize=11)
    right, low, high = zip(*lines["right"])
    bottom.fill_between(scales, low, high, color=COLOURS[0], alpha=0.2)
    style = {"color": COLOURS[0], "marker": "o", "label": "right digits, with their interval"}
    bottom.plot(scales, right, STYLES[0], **style)
    style = {"color": COLOURS[2], "marker": "s", "label": "coverage, real images = 1"}
    bottom.plot(scales, lines["coverage"], STYLES[1], **style)
    bottom.set(xlabel="guidance scale w", ylabel="share", ylim=(0, 1.05), xticks=[0, 2, 4, 6, 8])
    bottom.set_yticks([0, 0.5, 1])  # few marks: each takes its time
    other = bottom.twinx()
    name = "Fréchet distance, real images = 1 (right axis)"
    other.plot(scales, lines["frechet"], STYLES[2], color=COLOURS[1], marker="^", label=name)
    other.set(ylabel="times real against real", ylim=(0, None), yticks=[0, 5, 10])
    bottom.axvline(w, color="black", linewidth=1)
    drawn = [*bottom.get_lines()[:2], *other.get_lines()]
    bottom.legend(drawn, [line.get_label() for line in drawn], fontsize=8, loc="lower right")
    bottom.set_title(source, fontsize=9)
    return figure


def tiles(
    rows: Sequence[Tensor],
    row_titles: Sequence[str] = (),
    column_titles: Sequence[str] = (),
    title: str = "",
) -> Figure:
    """Rows of pictures, each (N, H, W) and enlarged to 28 x 28, drawn as one large picture.

    One large picture is drawn faster than many small ones, which suits a slider.
    """
    enlarged = [functional.interpolate(row[None].float(), size=(28, 28))[0] for row in rows]
    framed = [functional.pad(row, (2, 2, 2, 2), value=torch.nan) for row in enlarged]  # nan: white
    table = torch.cat([torch.cat(list(row), dim=1) for row in framed])
    width = 0.85 * table.shape[1] / 32 + (1.3 if row_titles else 0.2)
    figure = Figure(figsize=(width, 0.95 * len(rows) + 0.6), dpi=100, layout="constrained")
    axes = figure.subplots()
    axes.imshow(table, cmap="gray", vmin=-1, vmax=1)
    axes.set_xticks([16 + 32 * k for k in range(len(column_titles))], column_titles)
    axes.set_yticks([16 + 32 * k for k in range(len(row_titles))], row_titles)
    axes.tick_params(length=0, labelsize=9, top=False, labeltop=True, labelbottom=False)
    axes.spines[:].set_visible(False)
    axes.set_title(title, fontsize=10)
    return figure


def image_and_curve(
    image: Tensor,
    curve: Tensor,
    titles: tuple[str, str],
    xlabel: str,
    low: float = -0.1,
    mark: float | None = None,
    cmap: str = "gray",
) -> Figure:
    """A picture at the left, black at -1 and white at 1, and a curve from `low` to 1 beside it."""
    figure = Figure(figsize=(7.4, 2.7), dpi=100, layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=[1, 2.2])
    aspect = "equal" if image.shape[0] == image.shape[1] else "auto"
    left.imshow(image, cmap=cmap, vmin=-1, vmax=1, interpolation="nearest", aspect=aspect)
    left.set_xticks([])
    left.set_yticks([])
    right.plot(curve, color=COLOURS[0])
    if mark is not None:
        right.axvline(mark, color="black", linewidth=0.8)
    right.set_ylim(low, 1.05)
    right.set_xlabel(xlabel)
    right.grid(alpha=0.3)
    for axes, title in zip((left, right), titles):
        axes.set_title(title, fontsize=9)
    return figure


def curve_panels(
    panels: Mapping[str, Tensor],
    xlabel: str,
    ylabel: str,
    title: str,
    images: Sequence[Tensor] = (),
    marks: Sequence[float] = (),
) -> Figure:
    """A curve in each of several panels side by side; `images` are shown above them."""
    height = 3.6 if len(images) else 2.4
    figure = Figure(figsize=(7.4, height), dpi=100, layout="constrained")
    figure.suptitle(title, fontsize=10)
    grid = figure.subplots(2 if len(images) else 1, len(panels), squeeze=False, sharey="row")
    for column, (name, curve) in enumerate(panels.items()):
        axes = grid[-1][column]
        axes.plot(curve, color=COLOURS[0])
        axes.set_xlabel(xlabel)
        axes.grid(alpha=0.3)
        if len(marks):
            axes.axvline(marks[column], color="black", linewidth=0.8)
        if len(images):
            grid[0][column].imshow(images[column], cmap="gray", vmin=-1, vmax=1)
            grid[0][column].axis("off")
        grid[0][column].set_title(name, fontsize=9)
    grid[-1][0].set_ylabel(ylabel)
    return figure


def maps(
    values: Mapping[str, Tensor],
    xlabel: str,
    ylabel: str,
    title: str = "",
    scales: Sequence[str] = (),
    limits: tuple[float, float] | None = None,
    extent: tuple[float, float, float, float] | None = None,
    names: Sequence[str] = (),
) -> Figure:
    """Matrices side by side.

    Args:
        scales: what the colours mean: one for all, one for each, or none; with `limits` their ends.
        extent: of the axes, as matplotlib wants it; `names` are the rows' and columns' names.
    """
    figure = Figure(figsize=(7.4, 3.4), dpi=100, layout="constrained")
    figure.suptitle(title, fontsize=10)
    panels = figure.subplots(1, len(values), sharey=True)
    low, high = limits or (None, None)
    for number, (axes, (name, matrix)) in enumerate(zip(panels, values.items())):
        drawn = axes.imshow(
            matrix, cmap="cividis", vmin=low, vmax=high, extent=extent, aspect="auto",
            interpolation="nearest",
        )  # fmt: skip
        axes.set_title(name, fontsize=9)
        axes.set_xlabel(xlabel)
        if names:
            axes.set_xticks(range(len(names)), names, fontsize=8)
            axes.set_yticks(range(len(names)), names, fontsize=8)
        if len(scales) > 1:
            figure.colorbar(drawn, ax=axes, label=scales[number])
    panels[0].set_ylabel(ylabel)
    if len(scales) == 1:
        figure.colorbar(drawn, ax=panels, label=scales[0])
    return figure


def span_and_influence(
    clean: Tensor, noised: Tensor, influence: Tensor, pixel: int, names: tuple[str, str, str]
) -> Figure:
    """Spans of a 3 x 3 convolution at three levels; a noised digit; what one answer depends on.

    Args:
        clean, noised: images (H, W).
        influence: how much each input pixel moves the answer, (H, W), at most 1.
        pixel: row and column of the answer.
        names: a title for each of the three pictures.
    """
    figure = Figure(figsize=(8.6, 3.3), dpi=100, layout="constrained")
    left, middle, right = panels = figure.subplots(1, 3)
    left.imshow(clean, cmap="gray")
    for level, colour in enumerate(COLOURS[:3]):
        side = 3 * 2**level  # a pixel of level i is 2^i pixels of the image wide
        corner = (pixel - side / 2, pixel - side / 2)
        left.add_patch(Rectangle(corner, side, side, fill=False, ec=colour, lw=2))
    left.set_xlabel("3 pixels on level 0, then 6 and 12", fontsize=9)
    middle.imshow(noised, cmap="gray", vmin=-1, vmax=1)
    square = {"markersize": 12, "fillstyle": "none", "markeredgewidth": 2}
    middle.plot(pixel, pixel, "s", color=COLOURS[4], **square)
    middle.set_xlabel("what is in the marked pixel?", fontsize=9)
    drawn = right.imshow(influence.clamp(min=1e-3).log10(), cmap="cividis", vmin=-3, vmax=0)
    right.set_xlabel("influence of each input pixel", fontsize=9)
    bar = figure.colorbar(drawn, cax=right.inset_axes([1.03, 0, 0.05, 1]))
    bar.set_ticks([-3, -2, -1, 0], labels=["1/1000", "1/100", "1/10", "1"], fontsize=8)
    for axes, name in zip(panels, names):
        axes.set_xticks([])
        axes.set_yticks([])
        axes.set_title(name, fontsize=9)
    return figure


def unet_diagram(channels: Sequence[int], sizes: Sequence[int]) -> Figure:
    """A U-Net with these channels and pixels at its levels: down, the middle, up, skips across.

    What the concatenations on the way up give is left for the reader to find.
    """
    figure = Figure(figsize=(8.4, 6.4), dpi=100, layout="constrained")
    axes = figure.subplots()
    axes.set(xlim=(-2.0, 9.2), ylim=(-1.5, 3.5))
    axes.axis("off")
    axes.set_title("The U-Net: down at the left, up at the right, skips across", fontsize=11)
    down_x, join_x, up_x = 1.1, 4.9, 7.1  # the three columns
    blue, orange, green, pink = COLOURS[:4]

    def words(x, y, text, colour="black", ha="center"):
        axes.text(x, y, text, fontsize=9, color=colour, ha=ha, va="center", zorder=4)

    def box(x, y, text, colour, width=1.7, height=0.46):
        corner = (x - width / 2, y - height / 2)
        axes.add_patch(Rectangle(corner, width, height, fc="white", ec=colour, lw=2, zorder=3))
        words(x, y, text)

    def arrow(start, end, colour="black"):
        style = {"arrowstyle": "-|>", "color": colour, "lw": 1.6}
        axes.annotate("", end, start, zorder=2, arrowprops=style)

    def cond_arrow(x, y, side):
        arrow((x + side * 1.4, y), (x + side * 0.85, y), pink)
        words(x + side * 1.2, y + 0.13, "cond", pink)

    image = f"1 x {sizes[0]} x {sizes[0]}"
    box(down_x, 3.2, f"noisy image, {image}", "black", width=2.6, height=0.34)
    arrow((down_x, 3.03), (down_x, 2.23))
    words(down_x + 0.1, 2.68, f"conv_in: 1 to {channels[0]}", ha="left")
    h = channels[0]  # the channels of h, going down
    for level, (c, size) in enumerate(zip(channels, sizes)):
        y = 2 - level
        axes.axhspan(y - 0.32, y + 0.32, color="0.94", zorder=0)
        words(-1.35, y, f"level {level}\n{size} x {size}")
        box(down_x, y, f"ResBlock\n{h} to {c}", blue)
        cond_arrow(down_x, y, -1)
        h = c
        arrow((down_x + 0.85, y), (join_x - 0.75, y), green)
        words(3.05, y + 0.14, f"skip {level}: {c} channels", green)
        box(join_x, y, "concat\n? channels", orange, 1.5)
        arrow((join_x + 0.75, y), (up_x - 0.85, y))
        box(up_x, y, f"ResBlock\n? to {c}", blue)
        cond_arrow(up_x, y, 1)
        if level < len(channels) - 1:
            arrow((down_x, y - 0.23), (down_x, y - 0.77))
            words(down_x + 0.1, y - 0.5, "Downsample", ha="left")
            arrow((up_x, y - 0.77), (join_x, y - 0.23))
            words(up_x - 0.75, y - 0.45, "Upsample", ha="left")
    box(3.0, -1.0, f"middle: ResBlock {h} to {h},\n(attention), ResBlock {h} to {h}", blue, 3.0)
    words(-1.35, -1.0, f"middle\n{sizes[-1]} x {sizes[-1]}")
    arrow((down_x, -0.23), (2.2, -0.77))
    arrow((3.8, -0.77), (join_x, -0.23))
    arrow((3.0, -1.45), (3.0, -1.23), pink)
    words(3.4, -1.38, "cond", pink)
    arrow((up_x, 2.23), (up_x, 3.03))
    words(up_x - 0.1, 2.68, f"GroupNorm, SiLU, conv_out: {channels[0]} to 1", ha="right")
    box(up_x, 3.2, f"answer, {image}", "black", width=2.6, height=0.34)
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
