"""Images to train on and to look at: MNIST where it is to be had, else scikit-learn's digits."""

import os
import socket
from dataclasses import dataclass
from pathlib import Path

import torch
from sklearn.datasets import load_digits
from torch import Tensor
from torch.nn import functional as F
from torchvision.datasets import MNIST

from course import CourseError

NAMES = ("auto", "mnist", "digits")
_DIGITS_TRAIN = 1500  # of 1797; later images come from other writers


@dataclass(frozen=True)
class Images:
    """A set of digit images.

    pixels: (N, 1, 28, 28), uint8, 0 is background; labels: (N,), int64; name: where from.
    """

    pixels: Tensor
    labels: Tensor
    name: str

    def __len__(self) -> int:
        return len(self.labels)

    def batch(self, index: Tensor | slice) -> tuple[Tensor, Tensor]:
        """Images scaled to [-1, 1], (B, 1, 28, 28) float32, and their labels, (B,)."""
        return self.pixels[index].float() / 127.5 - 1, self.labels[index]


def data_folder() -> Path:
    """Where MNIST is looked for: $DIFFUSION_DATA, or the user's cache."""
    if folder := os.environ.get("DIFFUSION_DATA"):
        return Path(folder).expanduser()
    cache = Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser()
    return cache / "diffusion-from-scratch"


def load_images(name: str = "auto", train: bool = True, download: bool = False) -> Images:
    """Load one of the data sets.

    Args:
        name: "mnist", "digits", or "auto": MNIST if it is there (or, with `download`, can be
            fetched), otherwise digits.
        train: the training part, or the held-out part.
        download: may MNIST be fetched from the internet?

    Raises:
        CourseError: if `name` is none of these, or MNIST was asked for and cannot be had.
    """
    if name not in NAMES:
        raise CourseError(f"there is no data set {name!r}; choose one of {', '.join(NAMES)}")
    if name == "digits":
        return _digits(train)
    try:
        return _mnist(train, download)
    except (RuntimeError, OSError) as error:
        if name == "auto":
            return _digits(train)
        raise CourseError(
            f"MNIST is not in {data_folder()} and could not be fetched ({error}). Set "
            "DIFFUSION_DATA to the folder that holds MNIST/raw, connect to the internet, or use "
            "--data digits, which needs neither."
        ) from None


def _mnist(train: bool, download: bool) -> Images:
    patience = socket.getdefaulttimeout()
    socket.setdefaulttimeout(10)  # without a network, say so soon
    try:
        data = MNIST(data_folder(), train=train, download=download)
    finally:
        socket.setdefaulttimeout(patience)
    return Images(data.data[:, None], data.targets.long(), "MNIST")


def _digits(train: bool) -> Images:
    """scikit-learn's real 8 x 8 digits, enlarged to 20 x 20 in a frame of 28 x 28 like MNIST's."""
    data = load_digits()
    part = slice(0, _DIGITS_TRAIN) if train else slice(_DIGITS_TRAIN, None)
    small = torch.from_numpy(data.images[part]).float()[:, None] / 16  # (N, 1, 8, 8) in [0, 1]
    large = F.interpolate(small, size=(20, 20), mode="bicubic", align_corners=False)
    framed = F.pad(large.clamp(0, 1), (4, 4, 4, 4))  # (N, 1, 28, 28)
    labels = torch.from_numpy(data.target[part]).long()
    return Images((framed * 255).round().to(torch.uint8), labels, "scikit-learn digits")
