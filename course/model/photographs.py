"""Photographs that others collected: CIFAR-10 and CelebA, read by torchvision's own loaders.

What is fetched lies in a folder of its own until all of it is there, so that a download that fails
leaves nothing behind. CIFAR-10 can also be read from a copy whose images were stored as JPEGs; they
are not quite the same images, and the set is named so.
"""

import contextlib
import errno
import hashlib
import io
import os
import shutil
import socket
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from tqdm.auto import tqdm

from course import CourseError
from course.files import replacing
from course.model.images import Images, cache_folder, data_folder
from course.model.own_pictures import square

PHOTOGRAPHS = ("cifar10", "celeba")
CIFAR, CIFAR_JPEG, CELEBA = "cifar-10-batches-py", "cifar10-jpeg", "celeba"  # in the data folder
FACES = "img_align_celeba"  # CelebA's folder of pictures; its archive has the same name and .zip
CELEBA_SIZE = 64  # pixels, in height and width
CELEBA_PAGE = "http://mmlab.ie.cuhk.edu.hk/projects/CelebA.html"
GIGABYTES = {"CIFAR-10": 0.4, "CelebA": 3.5}  # on the disk while it is fetched and unpacked
FACE_CLASSES = ("woman", "smiling woman", "man", "smiling man")
HAIR = {"Black_Hair": "black", "Blond_Hair": "blond", "Brown_Hair": "brown", "Gray_Hair": "grey"}
QUOTA = ("quota", "too many users", "cannot retrieve the public link")  # how Google Drive says no


def load_photographs(name: str, train: bool = True, download: bool = False) -> Images:
    """Load CIFAR-10, 32 x 32 pixels with ten classes, or CelebA, brought to 64 x 64.

    A face of CelebA is cut to the square in its middle, 178 of 218 rows. Its class says man or
    woman, smiling or not; its caption a little more.

    Args:
        name: one of PHOTOGRAPHS.
        train: the training part, or the test part.
        download: may it be fetched from the internet?

    Raises:
        CourseError: if it cannot be had, or is not whole.
    """
    _check_folder()
    return {"cifar10": _cifar10, "celeba": _celeba}[name](train, download)


def _check_folder() -> None:
    folder = data_folder()
    if os.environ.get("DIFFUSION_DATA") and not folder.is_dir():
        what = "is not a folder" if folder.exists() else "does not exist"
        raise CourseError(f"DIFFUSION_DATA is {folder}, which {what}. Make it, or set another.")


# CIFAR-10


def _cifar10(train: bool, download: bool) -> Images:
    folder = data_folder() / CIFAR
    if not folder.exists():
        if (data_folder() / CIFAR_JPEG).is_dir():
            return _cifar10_jpeg(train)
        if not download:
            raise CourseError(f"CIFAR-10 is not in {data_folder()}. {_by('cifar10')}")
        from torchvision.datasets import CIFAR10

        _fetch("CIFAR-10", CIFAR, "cifar10", lambda place: CIFAR10(place, download=True))
    return _cifar10_batches(folder, train)


def _cifar10_batches(folder: Path, train: bool) -> Images:
    from torchvision.datasets import CIFAR10  # seconds, and only needed here
    from torchvision.datasets.utils import check_integrity

    files = dict(CIFAR10.train_list + CIFAR10.test_list)
    files[CIFAR10.meta["filename"]] = CIFAR10.meta["md5"]
    _require_files(folder, files, check_integrity, "cifar-10-python.tar.gz", "cifar10")
    found = CIFAR10(folder.parent, train=train)
    pixels = torch.from_numpy(found.data).permute(0, 3, 1, 2).contiguous()
    labels, classes = torch.tensor(found.targets), tuple(found.classes)
    return Images(pixels, labels, "CIFAR-10", classes=classes, may_flip=True)


def _require_files(
    folder: Path, files: dict[str, str], check: Callable, archive: str, preset: str
) -> None:
    """Are these files in the folder, with these checksums?"""
    missing = [name for name in files if not (folder / name).is_file()]
    if missing:
        raise CourseError(
            f"{folder} was not unpacked whole: {', '.join(missing)} {_is(missing)} missing. Unpack "
            f"{archive} there again, or delete {folder.name}. {_by(preset)}"
        )
    damaged = [name for name, md5 in files.items() if not check(folder / name, md5)]
    if damaged:
        raise CourseError(
            f"{', '.join(damaged)} in {folder} {_is(damaged)} damaged: the checksum is not the "
            f"set's. Unpack {archive} there again, or delete {folder.name}. {_by(preset)}"
        )


def _is(things: list) -> str:
    return "is" if len(things) == 1 else "are"


def _by(preset: str) -> str:
    return f"Where there is internet, course train --preset {preset} fetches it."


def _cifar10_jpeg(train: bool) -> Images:
    """The copy in train.zip and test.zip: a JPEG for each image, in a folder for each class.

    The classes take turns, as long as there are as many of each.
    """
    path = data_folder() / CIFAR_JPEG / ("train.zip" if train else "test.zip")
    try:
        with zipfile.ZipFile(path) as archive:
            names = [name for name in archive.namelist() if name.endswith(".jpg")]
            classes = tuple(sorted({name.split("/")[0] for name in names}))
            names.sort(key=lambda name: (name.split("/")[1], name))
            images = [np.asarray(Image.open(io.BytesIO(archive.read(name)))) for name in names]
        pixels = torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).contiguous()
    except (OSError, ValueError, IndexError, zipfile.BadZipFile) as error:
        raise CourseError(
            f"{path} is not a whole archive of JPEGs in a folder for each class ({error}). Get it "
            f"again, or delete {path.parent.name}. {_by('cifar10')}"
        ) from None
    labels = torch.tensor([classes.index(name.split("/")[0]) for name in names])
    return Images(pixels, labels, "CIFAR-10 (JPEG copy)", classes=classes, may_flip=True)


# CelebA


def _celeba(train: bool, download: bool) -> Images:
    from torchvision.datasets import CelebA
    from torchvision.datasets.utils import check_integrity

    folder = data_folder() / CELEBA
    if not folder.exists():
        if not download:
            raise CourseError(f"CelebA is not in {data_folder()}. {_by('celeba')}")
        _fetch("CelebA", CELEBA, "celeba", lambda place: CelebA(place, download=True))
    files = {name: md5 for _, md5, name in CelebA.file_list}
    archive = folder / f"{FACES}.zip"
    md5 = files.pop(archive.name)
    _require_files(folder, files, check_integrity, archive.name, "celeba")
    if archive.is_file() and not (folder / FACES).exists():
        _unpack_faces(archive, check_integrity(archive, md5))
    _require_faces(folder, archive)
    found = CelebA(folder.parent, split="train" if train else "test", target_type="attr")
    pixels = _faces(folder / FACES, found.filename)
    column = {name: number for number, name in enumerate(found.attr_names)}
    labels = 2 * found.attr[:, column["Male"]] + found.attr[:, column["Smiling"]]
    captions = tuple(
        caption_of({name for name, there in zip(found.attr_names, row) if there})
        for row in found.attr.tolist()
    )
    return Images(pixels, labels, "CelebA", FACE_CLASSES, may_flip=True, captions=captions)


def _unpack_faces(archive: Path, whole: bool) -> None:
    """Unpack an archive that was fetched by hand, all of it or nothing."""
    if not whole:
        what = "a web page" if _is_page(archive) else "damaged, or only half of it"
        raise CourseError(
            f"{archive} is {what}: its checksum is another than the set's. Delete it, and fetch it "
            f"again from {CELEBA_PAGE}."
        )
    try:
        with tempfile.TemporaryDirectory(dir=archive.parent, prefix=".unpacking-") as place:
            with zipfile.ZipFile(archive) as pictures:
                pictures.extractall(place)
            os.replace(Path(place) / FACES, archive.parent / FACES)
    except OSError as error:
        raise CourseError(f"{archive} could not be unpacked: {_why(error, 'CelebA')}.") from None


def _require_faces(folder: Path, archive: Path) -> None:
    """Are there as many pictures as the list of attributes has rows?"""
    with (folder / "list_attr_celeba.txt").open(encoding="utf-8") as file:
        wanted = int(file.readline())
    faces = folder / FACES
    there = sum(name.endswith(".jpg") for name in os.listdir(faces)) if faces.is_dir() else 0
    if there < wanted:
        raise CourseError(
            f"{faces} holds {there:,} of {wanted:,} pictures: it was not unpacked to the end. "
            f"Delete it; then the same command unpacks {archive} again, if that is there, and "
            f"otherwise delete {folder}. {_by('celeba')}"
        )


def _faces(folder: Path, names: list[str]) -> Tensor:
    """These pictures, (N, 3, 64, 64), uint8; decoded once, and then kept in the user's cache."""
    sizes = [(name, (folder / name).stat().st_size) for name in names]
    key = hashlib.sha256(repr((CELEBA_SIZE, sizes)).encode()).hexdigest()[:16]
    shape, path = (len(names), 3, CELEBA_SIZE, CELEBA_SIZE), cache_folder() / f"celeba-{key}.npy"
    with contextlib.suppress(OSError, ValueError):  # not there yet, or not whole
        kept = np.load(path, mmap_mode="c")
        if kept.shape == shape and kept.dtype == np.uint8:
            return torch.from_numpy(kept)
    try:
        with replacing(path) as unfinished:
            kept = np.lib.format.open_memmap(unfinished, "w+", np.uint8, shape)
            _decode(folder, names, kept)
            kept.flush()
        return torch.from_numpy(np.load(path, mmap_mode="c"))
    except OSError:  # no room, or nothing may be written: in memory, then
        pixels = np.empty(shape, np.uint8)
        _decode(folder, names, pixels)
        return torch.from_numpy(pixels)


def _decode(folder: Path, names: list[str], into: np.ndarray) -> None:
    for place, name in enumerate(tqdm(names, "reading CelebA, once", disable=len(names) < 1000)):
        try:
            with Image.open(folder / name) as image:
                face = square(image.convert("RGB"), CELEBA_SIZE)
        except OSError as error:
            raise CourseError(
                f"{folder / name} is damaged ({error}). Delete {folder}, and unpack it again."
            ) from None
        into[place] = np.asarray(face).transpose(2, 0, 1)


def caption_of(attributes: set[str]) -> str:
    """What CelebA says of a face, as a caption: "a smiling man with black hair and glasses"."""
    words = ["a", "smiling" if "Smiling" in attributes else "", "man"]
    if "Male" not in attributes:
        words[-1] = "woman"
    things = [f"{colour} hair" for name, colour in HAIR.items() if name in attributes][:1]
    things += ["a beard"] * ("No_Beard" not in attributes)
    things += ["glasses"] * ("Eyeglasses" in attributes) + ["a hat"] * ("Wearing_Hat" in attributes)
    return " ".join(filter(None, words)) + (f" with {' and '.join(things)}" if things else "")


# From the internet


def _fetch(name: str, folder: str, preset: str, fetch: Callable[[str], object]) -> None:
    """Get a set from the internet into this folder of the data folder: all of it, or nothing."""
    home = data_folder()
    with _patience(10):  # without a network, say so soon
        new = not home.exists()
        try:
            home.mkdir(parents=True, exist_ok=True)
            free = shutil.disk_usage(home).free / 1e9
            if free < GIGABYTES[name]:
                raise OSError(errno.ENOSPC, f"{GIGABYTES[name]} GB are needed, {free:.1f} are free")
            with tempfile.TemporaryDirectory(dir=home, prefix=".fetching-") as place:
                try:
                    fetch(place)
                except Exception as error:  # of the network, the disk, the unpacking: many kinds
                    came = (*Path(place).glob("*.*"), *(Path(place) / folder).glob("*.*"))
                    page = any(map(_is_page, came))
                    raise CourseError(_not_fetched(name, preset, _why(error, name, page))) from None
                (Path(place) / folder / f"{FACES}.zip").unlink(missing_ok=True)
                os.replace(Path(place) / folder, home / folder)
        except OSError as error:
            raise CourseError(_not_fetched(name, preset, _why(error, name))) from None
        finally:
            if new:
                with contextlib.suppress(OSError):  # it holds what was fetched
                    home.rmdir()


@contextlib.contextmanager
def _patience(seconds: float) -> Iterator[None]:
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(seconds)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


def _not_fetched(name: str, preset: str, why: str) -> str:
    home, by_hand = data_folder(), "cifar-10-python.tar.gz from its page, unpacked"
    if preset == "celeba":
        by_hand = f"its six files from {CELEBA_PAGE}, put into a folder {CELEBA} there"
    return (
        f"{name} is not in {home} and could not be fetched: {why}. The same command tries again; "
        f"or get it with a browser ({by_hand})."
    )


def _why(error: Exception, name: str, page: bool = False) -> str:
    """What went wrong, as far as it is known."""
    text = (str(error).strip() or type(error).__name__).splitlines()[0][:200]
    kinds = {kind.__name__ for kind in type(error).__mro__}
    if page or any(word in str(error).lower() for word in QUOTA):
        return "a web page came in its place: Google Drive's quota for it is used up, try tomorrow"
    if isinstance(error, ModuleNotFoundError) or "gdown" in text and "required" in text:
        return "torchvision needs the package gdown for it (pip install gdown)"
    if getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT):
        return f"the disk is full ({text}); {name} takes {GIGABYTES[name]} GB until it is unpacked"
    if kinds & {"URLError", "ConnectionError", "Timeout", "TimeoutError", "gaierror"}:
        return f"there is no internet, or its server does not answer ({text})"
    if "corrupted" in text:
        return "what came has another checksum than the set"
    return text


def _is_page(path: Path) -> bool:
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(100).lstrip().lower().startswith((b"<!doctype html", b"<html"))
