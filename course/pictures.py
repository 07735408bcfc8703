"""Pictures that a run and a sample leave behind: grids, films and the progress of training."""

import io
from pathlib import Path

import torch
from matplotlib.figure import Figure
from PIL import Image
from torch import Tensor
from torch.nn import functional as F


def to_image(picture: Tensor, zoom: int = 1) -> Image.Image:
    """A (1, H, W) picture with values in [0, 1], each pixel drawn `zoom` times as large."""
    large = F.interpolate(picture[None], scale_factor=zoom, mode="nearest")[0]
    return Image.fromarray((large[0] * 255).round().to(torch.uint8).numpy(), mode="L")


def save_picture(picture: Tensor, path: Path, zoom: int = 1) -> Path:
    """Write a (1, H, W) picture as a PNG file and return its path."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    to_image(picture, zoom).save(path)
    return path


def save_progress(grids: list[Path], path: Path, title: str) -> None:
    """The sample grids of all epochs side by side, under one title."""
    figure = Figure(figsize=(2.4 * len(grids), 3.0), dpi=100, layout="constrained")
    figure.suptitle(title)
    for axes, grid in zip(figure.subplots(1, len(grids), squeeze=False)[0], grids):
        axes.imshow(Image.open(grid), cmap="gray", vmin=0, vmax=255)
        axes.set_title(grid.stem.replace("_", " "), fontsize=10)
        axes.axis("off")
    figure.savefig(path)


def png_bytes(figure: Figure) -> bytes:
    """A matplotlib figure as the bytes of a PNG file."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()
