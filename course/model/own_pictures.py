"""Your own pictures: a folder becomes a set of images, and nothing in it is passed over in silence.

Sub-folders are classes. A folder without any is one class. Pictures may be of any size and form:
what is shown is turned upright, laid on white where it is transparent, made RGB, cut to a square
around the centre and brought to one size.
"""

import functools
import hashlib
import os
import warnings
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path, PurePath

import numpy as np
import torch
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor
from tqdm.auto import tqdm

from course import CourseError
from course.model.images import Images

PREFIX = "folder:"  # of the name of such a set
SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff")
MAX_PIXELS = 50_000_000  # of one picture
MIN_PICTURES = 8
MAX_CLASSES = 1000
SHOWN = 10  # names in a list of files; the rest is counted
HELD_OUT = 10  # one picture in so many
MANY = 500  # pictures, from which on a progress bar is shown


@dataclass
class Found:
    """What lies in a folder: pictures by class, and what is no picture or cannot be read.

    Paths are relative to the folder.
    """

    folder: Path
    classes: dict[str, list[PurePath]] = field(default_factory=dict)
    skipped: list[tuple[PurePath, str]] = field(default_factory=list)  # and why
    others: Counter[str] = field(default_factory=Counter)  # by the end of their names
    empty: list[str] = field(default_factory=list)  # sub-folders
    loose: int = 0  # pictures beside the sub-folders, in no class


def load_folder(path: str, train: bool = True, size: int = 32) -> Images:
    """The pictures of a folder as a set of images.

    One picture in ten of each class is held out, and at least one of a class that has two or more:
    those whose paths have the smallest SHA-256. So the same files always give the same parts.

    Args:
        path: the folder; ~ stands for the user's home.
        train: the training part, or the held-out part.
        size: height and width of the images.

    Raises:
        CourseError: if there is no such folder, or too little or too much in it.
    """
    folder = _existing(path)
    found = look(folder)
    state = [(p.as_posix(), _state(folder / p)) for paths in found.classes.values() for p in paths]
    return _parts(folder, size, repr((state, found)))[0 if train else 1]


def _existing(path: str) -> Path:
    if not path:
        raise CourseError(f"{PREFIX} wants the folder of your pictures behind it: {PREFIX}PATH")
    folder = Path(os.path.expanduser(path))
    if not folder.exists():
        raise CourseError(
            f"there is no folder {folder}, from {os.getcwd()}; give it as {PREFIX}PATH"
        )
    if not folder.is_dir():
        raise CourseError(f"{folder} is a file; {PREFIX}PATH wants the folder that it lies in")
    return folder.resolve()


def _state(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_size, status.st_mtime_ns


# What lies in the folder


def look(folder: Path) -> Found:
    """Go through a folder without opening a picture.

    Raises:
        CourseError: if it cannot be looked into.
    """
    try:
        entries = sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))
    except OSError as error:
        raise CourseError(f"{folder} cannot be looked into: {error.strerror}") from None
    found = Found(folder)
    below = [name for name in entries if os.path.isdir(folder / name)]
    for name in below:
        pictures = _pictures(found, PurePath(name))
        if pictures:
            found.classes[name] = pictures
        else:
            found.empty.append(name)
    beside = _pictures_among(found, PurePath(), [name for name in entries if name not in below])
    if found.classes:
        found.loose = len(beside)
    elif beside:
        found.classes[folder.name or "pictures"] = beside
    return found


def _pictures(found: Found, below: PurePath) -> list[PurePath]:
    """The pictures in a sub-folder and in those below it."""
    above = {found.folder, *found.folder.parents, *(found.folder / below).resolve().parents}
    return [
        path
        for place, names in _walk(found, below, above)
        for path in _pictures_among(found, place, names)
    ]


def _walk(found: Found, place: PurePath, seen: set[Path]) -> Iterator[tuple[PurePath, list[str]]]:
    """Each folder from `place` down, and its files; links are followed, none of them twice."""
    real = (found.folder / place).resolve()
    if real in seen:  # a link to where we come from, or to what was there before
        return
    seen.add(real)
    try:
        names = sorted(name for name in os.listdir(real) if not name.startswith("."))
    except OSError as error:
        found.skipped.append((place, f"cannot be looked into: {error.strerror}"))
        return
    below = [name for name in names if os.path.isdir(real / name)]
    yield place, [name for name in names if name not in below]
    for name in below:
        yield from _walk(found, place / name, seen)


def _pictures_among(found: Found, place: PurePath, names: list[str]) -> list[PurePath]:
    """Those of these files that may be pictures; the others are counted or named."""
    pictures = []
    for path in (place / name for name in names):
        if path.suffix.lower() not in SUFFIXES:
            found.others[path.suffix.lower() or path.name] += 1
        elif not os.path.isfile(found.folder / path):
            found.skipped.append((path, "leads to no file"))
        else:
            pictures.append(path)
    return pictures


# From files to images


@functools.lru_cache(maxsize=2)
def _parts(folder: Path, size: int, state: str) -> tuple[Images, Images]:
    """Both parts of the set; `state` is another one whenever a file has changed."""
    found = look(folder)
    _require_pictures(found)
    pixels, enlarged = _read_all(found, size)
    _require_pictures(found)
    held_out = {path for paths in found.classes.values() for path in _held_out(paths)}
    if not held_out:
        raise CourseError(
            f"each class in {folder} has one picture, and so none can be held out; put at least "
            "two into one of its sub-folders"
        )
    notes = (*_notes(found, size, enlarged, held_out), *_twice(pixels, held_out))
    chosen = [path for path in pixels if path not in held_out], [*held_out]
    return tuple(_images(found, pixels, paths, notes) for paths in chosen)


def _require_pictures(found: Found) -> None:
    count = sum(map(len, found.classes.values()))
    if count < MIN_PICTURES:
        rest = "".join(f"; {line}" for line in (*_skipped(found), *_others(found)))
        raise CourseError(
            f"{found.folder} has {_plural(count, 'picture')} that can be read, and at least "
            f"{MIN_PICTURES} are needed: {', '.join(SUFFIXES)}, in a sub-folder for each class, or "
            f"all in one folder{rest}"
        )
    if len(found.classes) > MAX_CLASSES:
        raise CourseError(
            f"{found.folder} has {len(found.classes):,} sub-folders with pictures, and each is a "
            f"class; {MAX_CLASSES:,} are the most. Put pictures of a kind into one sub-folder"
        )


def _read_all(found: Found, size: int) -> tuple[dict[PurePath, Tensor], int]:
    """All pictures by their path, (3, size, size) each, and how many of them were enlarged.

    Those that cannot be read go from the classes to what is skipped.
    """
    paths = [path for paths in found.classes.values() for path in paths]
    pixels, enlarged, unread = {}, 0, set()

    def read(path: PurePath) -> tuple[np.ndarray, bool] | str:
        try:
            return read_picture(found.folder / path, size)
        except Exception as error:  # decoders raise errors of many kinds, and each is named
            return _why(error)

    with warnings.catch_warnings(action="ignore"), ThreadPoolExecutor(os.cpu_count()) as threads:
        bar = tqdm(
            threads.map(read, paths), "reading", len(paths), False, disable=len(paths) < MANY
        )
        for path, read_one in zip(paths, bar):
            if isinstance(read_one, str):
                found.skipped.append((path, read_one))
                unread.add(path)
            else:
                pixels[path] = torch.from_numpy(read_one[0]).permute(2, 0, 1).contiguous()
                enlarged += read_one[1]
    for name, of_class in list(found.classes.items()):
        found.classes[name] = [path for path in of_class if path not in unread]
        if not found.classes[name]:
            del found.classes[name]
            found.empty.append(name)
    return pixels, enlarged


def _why(error: Exception) -> str:
    if isinstance(error, UnidentifiedImageError):
        return "is no picture that can be read"
    return "cannot be read: " + (str(error).strip() or type(error).__name__).splitlines()[0][:100]


def read_picture(path: Path, size: int) -> tuple[np.ndarray, bool]:
    """A picture as (size, size, 3), uint8, RGB; and had it to be enlarged?

    Raises:
        ValueError: if it has more than MAX_PIXELS, or numbers whose range is not known.
        Exception: of many kinds, if it is damaged.
    """
    with Image.open(path) as image:
        width, height = image.size
        if width * height > MAX_PIXELS:
            raise ValueError(
                f"{width} x {height} pixels are more than {MAX_PIXELS // 10**6} million"
            )
        image.draft(None, (2 * size, 2 * size))  # a JPEG is decoded at about that size: quick
        picture = square(to_rgb(_upright(image)), size)
    return np.array(picture), min(width, height) < size


def square(image: Image.Image, size: int) -> Image.Image:
    """The square in the middle of a picture, brought to this size; smaller by averaging."""
    side = min(image.size)
    left, top = ((whole - side) // 2 for whole in image.size)
    middle = image.crop((left, top, left + side, top + side))
    return middle.resize((size, size), Image.Resampling.BICUBIC)


def _upright(image: Image.Image) -> Image.Image:
    try:
        return ImageOps.exif_transpose(image)
    except OSError:  # of the pixels
        raise
    except Exception:  # a damaged note on how the camera was held says nothing
        return image


def to_rgb(image: Image.Image) -> Image.Image:
    """What a picture shows, in RGB; transparent parts are white.

    Raises:
        ValueError: if its pixels have a range that is not known.
    """
    if image.mode[0] in "IF":  # more than 8 bits, in one of several orders of bytes
        numbers = np.asarray(image)
        if image.mode == "F" or numbers.min() < 0 or numbers.max() > 65535:
            raise ValueError("the range of its pixels is not known")
        return Image.fromarray((numbers >> 8).astype(np.uint8)).convert("RGB")
    if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        image = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    return image.convert("RGB")


# The two parts


def _mixed(paths: list[PurePath]) -> list[PurePath]:
    """In an order that depends on the names alone, and has nothing to do with them."""
    return sorted(paths, key=lambda path: hashlib.sha256(os.fsencode(path.as_posix())).digest())


def _held_out(paths: list[PurePath]) -> list[PurePath]:
    """Those pictures of a class that are held out."""
    count = max(1, len(paths) // HELD_OUT) if len(paths) > 1 else 0
    return _mixed(paths)[:count]


def _images(
    found: Found, pixels: dict[PurePath, Tensor], paths: list[PurePath], notes: tuple[str, ...]
) -> Images:
    label_of = {path: n for n, paths in enumerate(found.classes.values()) for path in paths}
    paths = _mixed(paths)
    return Images(
        torch.stack([pixels[path] for path in paths]),
        torch.tensor([label_of[path] for path in paths]),
        f"{PREFIX}{found.folder.name}",
        classes=tuple(found.classes),
        may_flip=True,
        notes=notes,
    )


# What is said about it


def _notes(found: Found, size: int, enlarged: int, held_out: set[PurePath]) -> list[str]:
    counts = {name: len(paths) for name, paths in found.classes.items()}
    total = sum(counts.values())
    lines = [
        f"{found.folder}: {_plural(total, 'picture')} in "
        f"{_plural(len(counts), 'class', 'classes')}, {total - len(held_out):,} to train on and "
        f"{len(held_out):,} held out, at {size} x {size} pixels",
        "by class: " + _listed([f"{name} {count:,}" for name, count in counts.items()], 40),
    ]
    if alone := [name for name, count in counts.items() if count == 1]:
        lines.append(f"one picture only, so none is held out: {_listed(alone)}")
    if found.loose:
        lines.append(f"left out: {_plural(found.loose, 'picture')} beside the sub-folders, "
                     "in no class")  # fmt: skip
    if found.empty:
        lines.append(f"sub-folders without a picture that can be read: {_listed(found.empty)}")
    if enlarged:
        lines.append(f"smaller than {size} pixels, and enlarged: {_plural(enlarged, 'picture')}")
    return [*lines, *_skipped(found), *_others(found)]


def _skipped(found: Found) -> list[str]:
    if not found.skipped:
        return []
    said = _listed([f"{path.as_posix()} {why}" for path, why in found.skipped])
    return [f"skipped {len(found.skipped):,}: {said}"]


def _others(found: Found) -> list[str]:
    if not found.others:
        return []
    kinds = _listed([f"{count:,} {kind}" for kind, count in found.others.most_common()])
    return [f"not looked at, because not of a kind that is read: {kinds}"]


def _twice(pixels: dict[PurePath, Tensor], held_out: set[PurePath]) -> list[str]:
    """Which held-out pictures are trained on as well, under another name."""
    trained = {
        image.numpy().tobytes(): path for path, image in pixels.items() if path not in held_out
    }
    pairs = [
        f"{path.as_posix()} is {trained[same].as_posix()}"
        for path in sorted(held_out)
        if (same := pixels[path].numpy().tobytes()) in trained
    ]
    if not pairs:
        return []
    return [
        f"held out and trained on at once, so that the held-out error is too low: {_listed(pairs)}"
    ]


def _listed(things: list[str], shown: int = SHOWN) -> str:
    more = f" and {len(things) - shown:,} more" if len(things) > shown else ""
    return ", ".join(things[:shown]) + more


def _plural(count: int, one: str, many: str = "") -> str:
    return f"{count:,} {one if count == 1 else many or one + 's'}"
