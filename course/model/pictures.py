"""Pictures that a run and a sample leave behind: grids, films and the progress of training."""

import io
from collections.abc import Sequence
from pathlib import Path

import torch
from matplotlib.figure import Figure
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from course.files import replacing, write_whole

NAME_SHOWN = 24  # characters of a class's name beside its pictures


def to_image(picture: Tensor, zoom: int = 1) -> Image.Image:
    """A picture with values in [0, 1], each pixel drawn `zoom` times as large.

    Grey if it is (1, H, W), and in colour if it is (3, H, W).
    """
    large = F.interpolate(picture[None], scale_factor=zoom, mode="nearest")[0]
    pixels = (large * 255).round().to(torch.uint8).permute(1, 2, 0)  # (H, W, 1 or 3)
    return Image.fromarray(pixels.squeeze(2).numpy())


def save_picture(picture: Tensor, path: Path, zoom: int = 1) -> Path:
    """Write a picture in the format that the name ends in, and return its path."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    whole = io.BytesIO()
    to_image(picture, zoom).save(whole, Image.registered_extensions()[path.suffix.lower()])
    write_whole(path, whole.getvalue())
    return path


def film_gif(frames: list[Image.Image]) -> bytes:
    """Pictures one after the other as an endless GIF that rests at the last one."""
    whole = io.BytesIO()
    pauses = [150] * (len(frames) - 1) + [2000]  # milliseconds
    frames[0].save(whole, "GIF", save_all=True, append_images=frames[1:], duration=pauses, loop=0)
    return whole.getvalue()


def save_progress(grids: list[Path], path: Path, title: str) -> None:
    """The sample grids of all epochs side by side, five to a row, under one title."""
    columns = min(5, len(grids))
    rows = -(-len(grids) // columns)
    width, height = Image.open(grids[0]).size
    panel = 3.2  # inches
    figure = Figure(
        figsize=(panel * columns, rows * (panel * height / width + 0.3) + 0.4),
        dpi=100,
        layout="constrained",
    )
    figure.suptitle(title)
    for position, axes in enumerate(figure.subplots(rows, columns, squeeze=False).flat):
        axes.axis("off")
        if position < len(grids):
            axes.imshow(Image.open(grids[position]), cmap="gray", vmin=0, vmax=255)
            axes.set_title(grids[position].stem.replace("_", " "), fontsize=10)
    with replacing(path) as unfinished:
        figure.savefig(unfinished, format="png", bbox_inches="tight")


def save_classes(rows: list[Tensor], names: Sequence[str], path: Path, title: str) -> None:
    """Pictures, each (1 or 3, H, W) in [0, 1], one below the other, with a name beside each."""
    _, height, width = rows[0].shape
    panel = 6.4  # inches
    figure = Figure(
        figsize=(panel + 1.6, len(rows) * panel * height / width + 0.6), dpi=100, layout="tight"
    )
    figure.suptitle(title)
    for axes, row, name in zip(figure.subplots(len(rows), squeeze=False).flat, rows, names):
        axes.imshow(to_image(row), cmap="gray", vmin=0, vmax=255, interpolation="nearest")
        axes.set(xticks=[], yticks=[])
        axes.spines[:].set_visible(False)
        short = name if len(name) <= NAME_SHOWN else name[: NAME_SHOWN - 1] + "…"
        axes.set_ylabel(short, rotation=0, ha="right", va="center", parse_math=False)
    with replacing(path) as unfinished:
        figure.savefig(unfinished, format="png", bbox_inches="tight")
