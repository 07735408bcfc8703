"""A set of images with labels, and the folder in which sets are kept."""

import hashlib
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor


@dataclass(frozen=True)
class Images:
    """A set of images, each with a label.

    pixels: (N, C, H, W), uint8, grey or RGB; of digits (N, 1, 28, 28), where 0 is background;
    labels: (N,), int64; name: where from; classes: what the labels stand for, in their order, and
    none for digits; may_flip: does an image that is mirrored still show what its label says?
    captions: a sentence for each image, or none at all, where the class says everything; notes:
    what has to be said of the set.
    """

    pixels: Tensor
    labels: Tensor
    name: str
    classes: tuple[str, ...] = ()
    may_flip: bool = False
    captions: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.labels)

    def batch(self, index: Tensor | slice) -> tuple[Tensor, Tensor]:
        """Images scaled to [-1, 1], (B, C, H, W) float32, and their labels, (B,)."""
        return self.pixels[index].float() / 127.5 - 1, self.labels[index]


def captions_of(images: Images) -> list[str]:
    """A sentence for each image: its caption, or the name of its class."""
    return list(images.captions) or [images.classes[label] for label in images.labels.tolist()]


def data_folder() -> Path:
    """Where data sets are looked for: $DIFFUSION_DATA, or the user's cache."""
    if folder := os.environ.get("DIFFUSION_DATA"):
        return Path(os.path.expanduser(folder))
    return cache_folder()


def cache_folder() -> Path:
    """Where what can be made again is kept: the user's cache."""
    cache = os.path.expanduser(os.environ.get("XDG_CACHE_HOME") or "~/.cache")
    if cache.startswith("~"):  # a user without a home
        cache = tempfile.gettempdir()
    return Path(cache) / "diffusion-from-scratch"


def fingerprint(*parts: Images) -> str:
    """Sixteen hexadecimal digits, others with any other pixel, label or class."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(repr((tuple(part.pixels.shape), part.classes)).encode())
        digest.update(part.pixels.contiguous().numpy())
        digest.update(part.labels.contiguous().numpy())
    return digest.hexdigest()[:16]
