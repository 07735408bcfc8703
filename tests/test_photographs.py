"""CIFAR-10 and CelebA where they are, where they are not, and where they are not whole."""

import hashlib
import io
import pickle
import shutil
import sys
import urllib.error
import zipfile
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.datasets import CIFAR10, CelebA

from course import CourseError
from course.model import photographs
from course.model.data import load_images
from course.model.photographs import caption_of

NAMES = [
    "airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"
]  # fmt: skip


@pytest.fixture
def home(tmp_path, monkeypatch):
    """An empty data folder and an empty cache, and a network that does not answer."""
    folder = tmp_path / "data"
    folder.mkdir()
    monkeypatch.setenv("DIFFUSION_DATA", str(folder))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))

    def refuse(*args, **kwargs):
        raise urllib.error.URLError("no network")

    monkeypatch.setattr("urllib.request.urlopen", refuse)
    return folder


def md5(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


# CIFAR-10


@pytest.fixture
def few_cifar(monkeypatch):
    """Batches of three images that count as CIFAR-10's, to be put into a folder."""
    random = np.random.default_rng(0)
    contents = {"batches.meta": pickle.dumps({"label_names": NAMES})}
    for name in [f"data_batch_{n}" for n in range(1, 6)] + ["test_batch"]:
        data = random.integers(0, 256, (3, 3072), dtype=np.uint8)
        contents[name] = pickle.dumps(
            {"data": data, "labels": random.integers(10, size=3).tolist()}
        )
    sums = [[name, md5(content)] for name, content in contents.items()]
    monkeypatch.setattr(CIFAR10, "meta", {**CIFAR10.meta, "md5": sums[0][1]})
    monkeypatch.setattr(CIFAR10, "train_list", sums[1:6])
    monkeypatch.setattr(CIFAR10, "test_list", sums[6:])

    def put(folder) -> Path:
        batches = Path(folder) / "cifar-10-batches-py"
        batches.mkdir(parents=True)
        for name, content in contents.items():
            (batches / name).write_bytes(content)
        return batches

    return put


def test_cifar10_is_read_as_torchvision_reads_it(home, few_cifar):
    few_cifar(home)
    for train, count in ((True, 15), (False, 3)):
        theirs, ours = CIFAR10(home, train=train), load_images("cifar10", train)
        assert ours.pixels.shape == (count, 3, 32, 32) and ours.pixels.dtype == torch.uint8
        assert np.array_equal(ours.pixels.permute(0, 2, 3, 1), theirs.data)
        assert ours.labels.tolist() == theirs.targets and ours.labels.dtype == torch.int64
        assert ours.name == "CIFAR-10" and ours.classes == tuple(NAMES) and ours.may_flip


def test_batches_that_are_missing_or_damaged_are_told_and_stay(home, few_cifar):
    batches = few_cifar(home)
    (batches / "data_batch_3").unlink()
    (batches / "test_batch").unlink()
    with pytest.raises(CourseError) as told:
        load_images("cifar10", download=True)
    assert "not unpacked whole: data_batch_3, test_batch are missing" in str(told.value)
    assert "cifar-10-python.tar.gz" in str(told.value) and "--preset cifar10" in str(told.value)
    shutil.rmtree(batches)
    (few_cifar(home) / "data_batch_2").write_bytes(b"half")
    with pytest.raises(CourseError, match="data_batch_2 in .* is damaged: the checksum is not"):
        load_images("cifar10", download=True)
    assert (batches / "data_batch_1").is_file()


@pytest.mark.parametrize("name, said", [("cifar10", "CIFAR-10"), ("celeba", "CelebA")])
def test_what_is_not_there_is_told_with_the_command_that_fetches_it(home, name, said):
    with pytest.raises(
        CourseError, match=f"{said} is not in {home}. .*course train --preset {name}"
    ):
        load_images(name)


@pytest.mark.parametrize("name", ["cifar10", "celeba"])
@pytest.mark.parametrize(
    "folder, words", [("nowhere", "which does not exist"), ("file", "which is not a folder")]
)
def test_a_data_folder_that_is_none_is_told(home, monkeypatch, name, folder, words):
    (home / "file").touch()
    monkeypatch.setenv("DIFFUSION_DATA", str(home / folder))
    with pytest.raises(CourseError, match=f"DIFFUSION_DATA is .*{folder}, {words}"):
        load_images(name, download=True)
    assert [path.name for path in home.iterdir()] == ["file"]


def test_without_internet_cifar10_says_so_and_leaves_nothing(home):
    with pytest.raises(CourseError) as told:
        load_images("cifar10", download=True)
    text = str(told.value)
    assert "could not be fetched: there is no internet, or its server does not answer" in text
    assert "no network" in text and "The same command tries again" in text
    assert not list(home.iterdir())


def test_a_data_folder_that_a_failed_download_made_goes_again(home, tmp_path, monkeypatch):
    monkeypatch.delenv("DIFFUSION_DATA")
    with pytest.raises(CourseError):
        load_images("cifar10", download=True)
    assert not (tmp_path / "cache" / "diffusion-from-scratch").exists()


FAILURES = {
    "offline": (urllib.error.URLError("Name or service not known"), "there is no internet"),
    "slow": (TimeoutError("timed out"), "there is no internet, or its server does not answer"),
    "changed": (RuntimeError("File not found or corrupted."), "has another checksum than the set"),
    "full": (OSError(28, "No space left on device"), "the disk is full .*takes 0.4 GB"),
    "else": (ValueError("something new"), "could not be fetched: something new"),
    "stopped": (KeyboardInterrupt(), None),
}


@pytest.mark.parametrize("failure", FAILURES)
def test_a_download_that_breaks_off_leaves_nothing_behind(home, few_cifar, monkeypatch, failure):
    error, words = FAILURES[failure]

    def half(self):
        (few_cifar(self.root) / "data_batch_1").unlink()
        raise error

    monkeypatch.setattr(CIFAR10, "download", half)
    (home / "mine").touch()
    expected = KeyboardInterrupt if failure == "stopped" else CourseError
    with pytest.raises(expected, match=words):
        load_images("cifar10", download=True)
    assert [path.name for path in home.iterdir()] == ["mine"]


@pytest.mark.parametrize("name, needed", [("cifar10", "0.4 GB"), ("celeba", "3.5 GB")])
def test_too_little_room_is_told_before_anything_is_fetched(home, monkeypatch, name, needed):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=10**8))
    with pytest.raises(CourseError, match=f"the disk is full .*{needed} are needed, 0.1 are free"):
        load_images(name, download=True)
    assert not list(home.iterdir())


def test_a_download_arrives_whole(home, few_cifar, monkeypatch):
    monkeypatch.setattr(CIFAR10, "download", lambda self: few_cifar(self.root))
    assert len(load_images("cifar10", download=True)) == 15
    assert [path.name for path in home.iterdir()] == ["cifar-10-batches-py"]
    assert len(load_images("cifar10", train=False)) == 3


def jpeg(pixels: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "jpeg", quality=95)
    return file.getvalue()


@pytest.fixture
def jpegs(home):
    """Two archives of JPEGs, in a folder for each class, and their images in the order of names."""
    random, images = np.random.default_rng(0), {}
    (home / "cifar10-jpeg").mkdir()
    for part, count in (("train", 3), ("test", 2)):
        with zipfile.ZipFile(home / "cifar10-jpeg" / f"{part}.zip", "w") as archive:
            for name in ("cat", "dog"):
                for number in range(count):
                    content = jpeg(random.integers(0, 256, (32, 32, 3), dtype=np.uint8))
                    archive.writestr(f"{name}/{number:04}.jpg", content)
                    images[part, name, number] = np.asarray(Image.open(io.BytesIO(content)))
    return images


def test_a_copy_in_jpegs_is_read_and_named_so(home, jpegs):
    for part, count in (("train", 3), ("test", 2)):
        images = load_images("cifar10", train=part == "train", download=True)
        assert images.name == "CIFAR-10 (JPEG copy)" and images.classes == ("cat", "dog")
        assert images.labels.tolist() == [0, 1] * count, "the classes take turns"
        for place, name in enumerate(("cat", "dog")):
            there = images.pixels[place::2].permute(0, 2, 3, 1).numpy()
            assert np.array_equal(there, [jpegs[part, name, number] for number in range(count)])


def test_cifar10_itself_goes_before_the_copy(home, jpegs, few_cifar):
    few_cifar(home)
    assert load_images("cifar10").name == "CIFAR-10"


@pytest.mark.parametrize("damage", ["cut", "page", "missing", "no JPEG", "another size"])
def test_a_damaged_copy_is_told(home, jpegs, damage):
    file = home / "cifar10-jpeg" / "train.zip"
    if damage == "missing":
        file.unlink()
    elif damage in ("cut", "page"):
        file.write_bytes(file.read_bytes()[:500] if damage == "cut" else b"<html>")
    else:
        with zipfile.ZipFile(file, "a") as archive:
            small = jpeg(np.zeros((8, 8, 3), np.uint8))
            archive.writestr("dog/0009.jpg", b"none" if damage == "no JPEG" else small)
    with pytest.raises(CourseError, match="train.zip is not a whole archive of JPEGs"):
        load_images("cifar10")


# CelebA

ATTRIBUTES = ["Smiling", "Male", "Black_Hair", "Eyeglasses", "No_Beard", "Wearing_Hat"]


@pytest.fixture
def few_faces(monkeypatch):
    """A dozen faces that count as CelebA, as bytes by their names in its folder."""
    random = np.random.default_rng(0)
    names, faces = [f"{number:06}.jpg" for number in range(1, 13)], {}
    for number, name in enumerate(names):
        face = np.full((218, 178, 3), 20 * number, np.uint8)
        # What the square in the middle leaves out, in whole blocks of a JPEG.
        face[:16], face[208:] = 255, 255
        faces[name] = jpeg(face)
    rows = 2 * random.integers(0, 2, (12, len(ATTRIBUTES))) - 1
    parts = [0] * 8 + [1] * 2 + [2] * 2

    def table(values, header=()) -> bytes:
        lines = [*header, *(" ".join(map(str, [n, *v])) for n, v in zip(names, values))]
        return ("\n".join(lines) + "\n").encode()

    ones = np.ones((12, 4), int)
    texts = {
        "list_attr_celeba.txt": table(rows, ("12", " ".join(ATTRIBUTES))),
        "identity_CelebA.txt": table(ones[:, :1]),
        "list_bbox_celeba.txt": table(ones, ("12", "a b c d")),
        "list_landmarks_align_celeba.txt": table(ones, ("12", "a b c d")),
        "list_eval_partition.txt": table([[part] for part in parts]),
    }
    whole = io.BytesIO()
    with zipfile.ZipFile(whole, "w") as archive:
        for name, content in faces.items():
            archive.writestr(f"img_align_celeba/{name}", content)
    files = {"img_align_celeba.zip": whole.getvalue(), **texts}
    monkeypatch.setattr(CelebA, "file_list", [(n, md5(c), n) for n, c in files.items()])
    return SimpleNamespace(files=files, texts=texts, faces=faces, rows=rows)


def lay_out(home: Path, few, faces: bool = True, archive: bool = False) -> Path:
    folder = home / "celeba"
    folder.mkdir()
    for name, content in few.files.items():
        if archive or name in few.texts:
            (folder / name).write_bytes(content)
    if faces:
        (folder / "img_align_celeba").mkdir()
        for name, content in few.faces.items():
            (folder / "img_align_celeba" / name).write_bytes(content)
    return folder


def test_celeba_is_read_with_classes_and_captions(home, few_faces):
    lay_out(home, few_faces)
    for train, places in ((True, range(8)), (False, range(10, 12))):
        images = load_images("celeba", train)
        assert images.pixels.shape == (len(places), 3, 64, 64) and images.name == "CelebA"
        assert images.classes == ("woman", "smiling woman", "man", "smiling man")
        assert images.may_flip and len(images.captions) == len(places)
        for image, label, caption, place in zip(
            images.pixels, images.labels.tolist(), images.captions, places
        ):
            row = dict(zip(ATTRIBUTES, few_faces.rows[place] == 1))
            assert label == 2 * row["Male"] + row["Smiling"]
            assert (" man" in caption, "smiling" in caption) == (row["Male"], row["Smiling"])
            assert ("a hat" in caption) == row["Wearing_Hat"]
            # The middle alone: nothing of the white rows above and below.
            assert (image.float() - 20 * place).abs().max() <= 2


def test_captions_say_what_the_attributes_say():
    assert caption_of({"No_Beard"}) == "a woman"
    told = {"Male", "Smiling", "Black_Hair", "Eyeglasses"}
    assert caption_of(told) == "a smiling man with black hair and a beard and glasses"
    assert caption_of({"Wearing_Hat", "No_Beard"}) == "a woman with a hat"


def test_faces_are_decoded_once(home, few_faces, monkeypatch, tmp_path):
    lay_out(home, few_faces)
    first = load_images("celeba").pixels.clone()  # not the file itself
    (kept,) = (tmp_path / "cache" / "diffusion-from-scratch").iterdir()
    decode = photographs._decode
    monkeypatch.setattr(photographs, "_decode", None)
    assert torch.equal(load_images("celeba").pixels, first)
    load_images("celeba").pixels.zero_()
    assert torch.equal(load_images("celeba").pixels, first), "what is kept stays as it is"
    monkeypatch.setattr(photographs, "_decode", decode)
    half = kept.read_bytes()[:1000]
    kept.unlink()  # what is in memory is that file
    kept.write_bytes(half)
    assert torch.equal(load_images("celeba").pixels, first)


def test_without_a_place_to_keep_them_faces_are_decoded_all_the_same(home, few_faces, monkeypatch):
    lay_out(home, few_faces)

    def full(path):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(photographs, "replacing", full)
    assert len(load_images("celeba")) == 8


def test_faces_not_unpacked_to_the_end_are_told(home, few_faces):
    folder = lay_out(home, few_faces)
    (folder / "img_align_celeba" / "000003.jpg").unlink()
    with pytest.raises(CourseError, match="holds 11 of 12 pictures: .*not unpacked to the end"):
        load_images("celeba", download=True)
    shutil.rmtree(folder / "img_align_celeba")
    with pytest.raises(CourseError, match="holds 0 of 12 pictures"):
        load_images("celeba", download=True)


def test_a_damaged_list_or_face_is_told(home, few_faces):
    folder = lay_out(home, few_faces)
    (folder / "img_align_celeba" / "000003.jpg").write_bytes(b"<html>")
    with pytest.raises(CourseError, match="000003.jpg is damaged"):
        load_images("celeba")
    (folder / "identity_CelebA.txt").write_text("<html>")
    with pytest.raises(CourseError, match="identity_CelebA.txt in .* is damaged"):
        load_images("celeba")


def test_an_archive_put_there_by_hand_is_unpacked(home, few_faces):
    folder = lay_out(home, few_faces, faces=False, archive=True)
    assert len(load_images("celeba")) == 8
    assert len(list((folder / "img_align_celeba").iterdir())) == 12
    assert not list(folder.glob(".*"))


@pytest.mark.parametrize(
    "content, words",
    [(b"<!DOCTYPE html><html>Quota", "a web page"), (b"half", "damaged, or only half of it")],
)
def test_an_archive_put_there_that_is_none_is_told(home, few_faces, content, words):
    folder = lay_out(home, few_faces, faces=False, archive=True)
    (folder / "img_align_celeba.zip").write_bytes(content)
    with pytest.raises(CourseError, match=f"img_align_celeba.zip is {words}: its checksum"):
        load_images("celeba")
    assert not (folder / "img_align_celeba").exists()


# Through torchvision's own way to Google Drive, with a package gdown that fetches what we say.


def gdown_that(do) -> SimpleNamespace:
    return SimpleNamespace(download=lambda id, output, **options: do(id, Path(output)))


def test_a_missing_gdown_is_told(home, few_faces, monkeypatch):
    monkeypatch.setitem(sys.modules, "gdown", None)
    with pytest.raises(CourseError, match="needs the package gdown for it .pip install gdown"):
        load_images("celeba", download=True)
    assert not list(home.iterdir())


def quota_page(name, output):
    output.write_bytes(b"\n<!DOCTYPE html><html>Google Drive - Quota exceeded</html>")


def quota_error(name, output):
    raise RuntimeError("Failed to retrieve file url:\n\n\tToo many users have viewed this file.")


def another_file(name, output):
    output.write_bytes(b"another file")


def no_answer(name, output):
    raise ConnectionError("Max retries exceeded")


@pytest.mark.parametrize(
    "gdown, words",
    [
        (quota_page, "a web page came in its place"),
        (quota_error, "quota for it is used up"),
        (another_file, "what came has another checksum"),
        (no_answer, "there is no internet, or its server does not answer"),
    ],
)
def test_what_google_drive_does_is_told_and_leaves_nothing(
    home, few_faces, monkeypatch, gdown, words
):
    monkeypatch.setitem(sys.modules, "gdown", gdown_that(gdown))
    with pytest.raises(CourseError) as told:
        load_images("celeba", download=True)
    assert words in str(told.value) and photographs.CELEBA_PAGE in str(told.value)
    assert not list(home.iterdir())


def test_celeba_arrives_whole(home, few_faces, monkeypatch):
    def fetch(name, output):
        output.write_bytes(few_faces.files[name])

    monkeypatch.setitem(sys.modules, "gdown", gdown_that(fetch))
    assert len(load_images("celeba", download=True)) == 8
    assert [path.name for path in home.iterdir()] == ["celeba"]
    assert not (home / "celeba" / "img_align_celeba.zip").exists()
    assert len(load_images("celeba", train=False)) == 2
