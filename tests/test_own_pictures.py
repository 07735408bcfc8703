"""A folder of one's own pictures: how it is read, what is said of it, and training from it."""

import hashlib
import json
import os
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from course import CourseError
from course.cli import main
from course.model import own_pictures
from course.model.data import load_images
from course.model.distilling import Distilling, Recipe
from course.model.images import fingerprint
from course.model.models import SHIPPED, TextConfig, load_model, read_config
from course.model.own_pictures import read_picture
from course.model.photograph_evaluation import PhotographEvaluation
from course.model.rehearsal import few_pictures, rehearse_evaluation, rehearse_training
from course.model.sampling import draw
from course.model.training import FOLDER_SIZES, PRESETS, Run, set_for, with_size


def fill(folder: Path, count: int, seed: int = 0, suffix: str = ".png") -> Path:
    """So many small pictures of noise."""
    random = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        pixels = random.integers(0, 256, (12, 10, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{number:03}{suffix}")
    return folder


def load(folder: Path, train: bool = True, size: int = 8):
    return load_images(f"folder:{folder}", train, size=size)


@pytest.fixture
def pets(tmp_path):
    fill(tmp_path / "pets" / "cat", 25, seed=1)
    fill(tmp_path / "pets" / "dog", 12, seed=2)
    return tmp_path / "pets"


# Classes and parts


def test_sub_folders_are_classes_and_one_in_ten_is_held_out(pets):
    train, held_out = load(pets), load(pets, train=False)
    assert train.classes == held_out.classes == ("cat", "dog")
    assert train.name == "folder:pets"
    assert train.labels.bincount().tolist() == [23, 11]
    assert held_out.labels.bincount().tolist() == [2, 1]
    assert train.pixels.shape == (34, 3, 8, 8) and train.pixels.dtype == torch.uint8
    whole = {image.numpy().tobytes() for image in torch.cat([train.pixels, held_out.pixels])}
    assert len(whole) == 37
    assert "37 pictures in 2 classes, 34 to train on and 3 held out, at 8 x 8" in train.notes[0]
    assert train.notes[1] == "by class: cat 25, dog 12"


def test_the_parts_depend_on_the_names_alone(pets, tmp_path):
    """Not on times, nor on what lies elsewhere; and another picture moves few of the others."""
    before = load(pets, train=False)
    other = tmp_path / "elsewhere"
    for path in sorted(pets.rglob("*.png"), reverse=True):
        target = other / path.relative_to(pets)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
    after = load(other, train=False)
    assert torch.equal(after.pixels, before.pixels) and torch.equal(after.labels, before.labels)
    fill(other / "horse", 3)
    pixels = load(other, train=False).pixels
    kept = {image.numpy().tobytes() for image in pixels}
    assert {image.numpy().tobytes() for image in before.pixels} < kept


def test_held_out_are_the_smallest_hashes_of_the_paths(tmp_path):
    """The first names would not do: pictures taken together often stand together."""
    fill(tmp_path / "set" / "cat", 40)
    paths = (f"cat/{number:03}.png" for number in range(40))
    chosen = sorted(paths, key=lambda path: hashlib.sha256(path.encode()).digest())[:4]
    expected = {shown(tmp_path / "set" / path, 8).tobytes() for path in chosen}
    held_out = load(tmp_path / "set", train=False).pixels
    assert {image.numpy().tobytes() for image in held_out} == expected


def test_the_classes_are_mixed_in_both_parts(tmp_path):
    """The first held-out pictures are those that the error of a run is measured with."""
    for name in ("a", "b"):
        fill(tmp_path / "set" / name, 200, seed=ord(name))
    for train in (True, False):
        labels = load(tmp_path / "set", train).labels
        assert 0.2 < labels[: len(labels) // 2].float().mean() < 0.8


def test_a_folder_without_sub_folders_is_one_class(tmp_path):
    images = load(fill(tmp_path / "holidays", 9))
    assert images.classes == ("holidays",) and images.labels.tolist() == [0] * 8


def test_pictures_deeper_down_belong_to_the_class_above(tmp_path):
    fill(tmp_path / "set" / "cat" / "2024" / "may", 5)
    fill(tmp_path / "set" / "cat", 5, seed=1)
    assert len(load(tmp_path / "set")) == 9


def test_a_picture_that_changes_is_seen(pets):
    before = fingerprint(load(pets), load(pets, train=False))
    assert fingerprint(load(pets), load(pets, train=False)) == before
    Image.new("RGB", (9, 9)).save(pets / "cat" / "000.png")
    assert fingerprint(load(pets), load(pets, train=False)) != before


# What is passed over, and said


def notes(folder: Path) -> str:
    return "\n".join(load(folder).notes)


def test_pictures_that_cannot_be_read_are_named(pets):
    for number in range(12):
        (pets / "cat" / f"broken{number:02}.jpg").write_bytes(b"no picture")
    told = notes(pets)
    assert "skipped 12: cat/broken00.jpg is no picture that can be read, cat/broken01.jpg" in told
    assert "cat/broken09.jpg is no picture that can be read and 2 more" in told
    assert "broken10" not in told and "by class: cat 25, dog 12" in told


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".gif", ".webp", ".tif", ".bmp"])
def test_pictures_cut_short_are_named(pets, suffix):
    file = fill(pets / "dog" / "x", 1, suffix=suffix) / f"000{suffix}"
    file.write_bytes(file.read_bytes()[:-60])
    (pets / "dog" / f"empty{suffix}").touch()
    told = notes(pets)
    assert "skipped 2: " in told and "by class: cat 25, dog 12" in told
    assert f"dog/x/000{suffix} " in told and f"dog/empty{suffix} is no picture" in told


def test_huge_pictures_are_named_and_not_opened(pets, monkeypatch):
    monkeypatch.setattr(own_pictures, "MAX_PIXELS", 1_000_000)
    Image.new("1", (1001, 1000)).save(pets / "cat" / "huge.png")
    assert "skipped 1: cat/huge.png cannot be read: 1001 x 1000 pixels are more" in notes(pets)


@pytest.mark.filterwarnings("error")
def test_a_bomb_is_named(pets, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    Image.new("1", (100, 100)).save(pets / "cat" / "bomb.png")
    Image.new("1", (40, 40)).save(pets / "cat" / "large.png")  # Pillow alone would warn
    told = notes(pets)
    assert "skipped 1: cat/bomb.png cannot be read: Image size" in told and "cat 26" in told


def test_other_files_are_counted_and_hidden_ones_ignored(pets):
    for name in ("a.txt", "b.txt", "clip.mp4", ".hidden.png", ".DS_Store"):
        (pets / "cat" / name).write_text("x")
    fill(pets / ".thumbnails", 3)
    (pets / "notes.md").write_text("x")
    told = notes(pets)
    assert "because not of a kind that is read: 2 .txt, 1 .mp4, 1 .md" in told
    assert "skipped" not in told and "hidden" not in told and "thumbnails" not in told


def test_empty_sub_folders_and_pictures_beside_them_are_told(pets):
    (pets / "horse").mkdir()
    (pets / "cow").mkdir()
    (pets / "cow" / "bad.png").write_bytes(b"bad")
    fill(pets / "bird", 1)
    fill(pets, 2)
    told = notes(pets)
    assert "sub-folders without a picture that can be read: horse, cow" in told
    assert "left out: 2 pictures beside the sub-folders, in no class" in told
    assert "one picture only, so none is held out: bird" in told
    assert load(pets).classes == ("bird", "cat", "dog")


def test_links_are_followed_once_and_loops_end(pets, tmp_path):
    fill(tmp_path / "elsewhere", 4, seed=3)
    (pets / "cat" / "more").symlink_to(tmp_path / "elsewhere")
    (pets / "cat" / "again").symlink_to(tmp_path / "elsewhere")
    (pets / "cat" / "up").symlink_to(pets)
    (pets / "cat" / "self").symlink_to(pets / "cat" / "self")
    (pets / "top").symlink_to(pets)
    (pets / "cat" / "gone.png").symlink_to(tmp_path / "nowhere.png")
    told = notes(pets)
    assert "by class: cat 29, dog 12" in told
    assert "sub-folders without a picture that can be read: top" in told
    assert "cat/gone.png leads to no file" in told


def test_a_sub_folder_that_cannot_be_looked_into_is_named(pets, monkeypatch):
    listdir = os.listdir

    def refuse(path):
        if Path(path).name == "dog":
            raise PermissionError(13, "Permission denied")
        return listdir(path)

    monkeypatch.setattr(os, "listdir", refuse)
    assert "skipped 1: dog cannot be looked into: Permission denied" in notes(pets)


def test_copies_in_both_parts_are_named(pets):
    held_out = load(pets, train=False).pixels[0]
    (path,) = [
        path for path in pets.rglob("*.png") if np.array_equal(shown(path, 8), held_out.numpy())
    ]
    assert "at once" not in notes(pets)
    shutil.copyfile(path, pets / "cat" / "aaa.png")
    shutil.copyfile(path, pets / "cat" / "aab.png")
    told = notes(pets)
    name = re.escape(f"{path.parent.name}/{path.name}")
    assert re.search(rf"held out and trained on at once.*(: |, ){name} is cat/aa[ab].png", told)


def test_small_pictures_are_enlarged_and_told(pets):
    images = load(pets, size=12)
    assert images.pixels.shape[2:] == (12, 12)
    assert "smaller than 12 pixels, and enlarged: 37 pictures" in images.notes


# Folders that cannot be used


def test_what_is_no_folder_is_told(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(CourseError, match="there is no folder .*nowhere.*folder:PATH"):
        load(tmp_path / "nowhere")
    with pytest.raises(CourseError, match="file is a file; folder:PATH wants the folder"):
        load(tmp_path / "file")
    with pytest.raises(CourseError, match="wants the folder of your pictures behind it"):
        load_images("folder:")


def test_too_few_pictures_are_told_with_what_else_was_there(tmp_path):
    fill(tmp_path / "few", 7)
    (tmp_path / "few" / "bad.png").write_bytes(b"bad")
    (tmp_path / "few" / "a.heic").touch()
    words = "few has 7 pictures that can be read, and at least 8 .*skipped 1: bad.png.*1 .heic"
    with pytest.raises(CourseError, match=words):
        load(tmp_path / "few")
    fill(tmp_path / "few", 8)
    assert len(load(tmp_path / "few")) == 7


def test_an_empty_folder_is_told(tmp_path):
    with pytest.raises(CourseError, match="has 0 pictures that can be read, and at least 8"):
        load(tmp_path)


def test_too_many_classes_are_told(tmp_path, monkeypatch):
    monkeypatch.setattr(own_pictures, "MAX_CLASSES", 10)
    for number in range(11):
        fill(tmp_path / str(number), 1)
    with pytest.raises(CourseError, match="11 sub-folders .* each is a class; 10 are the most"):
        load(tmp_path)


def test_classes_of_one_picture_each_are_told(tmp_path):
    for number in range(9):
        fill(tmp_path / "set" / str(number), 1, seed=number)
    with pytest.raises(CourseError, match="none can be held out; put at least two"):
        load(tmp_path / "set")


# How a picture is shown


def shown(path: Path, size: int = 4) -> np.ndarray:
    """(3, size, size)."""
    return read_picture(path, size)[0].transpose(2, 0, 1)


GREEN = (0, 200, 0)
KINDS = {
    "grey": (lambda: Image.new("L", (8, 8), 60), (60, 60, 60)),
    "black and white": (lambda: Image.new("1", (8, 8), 1), (255, 255, 255)),
    "palette": (lambda: Image.new("RGB", (8, 8), GREEN).quantize(4), GREEN),
    "transparent": (lambda: Image.new("RGBA", (8, 8), (*GREEN, 0)), (255, 255, 255)),
    "half transparent": (lambda: Image.new("RGBA", (8, 8), (0, 0, 0, 128)), (127, 127, 127)),
    "grey and transparent": (lambda: Image.new("LA", (8, 8), (0, 0)), (255, 255, 255)),
    "16 bits": (lambda: Image.fromarray(np.full((8, 8), 60 * 256 + 200, np.uint16)), (60, 60, 60)),
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_picture_becomes_rgb(kind, tmp_path):
    make, expected = KINDS[kind]
    make().save(tmp_path / "picture.png")
    pixels = shown(tmp_path / "picture.png")
    assert pixels.shape == (3, 4, 4) and pixels.dtype == np.uint8
    assert np.abs(pixels.astype(int) - np.array(expected).reshape(3, 1, 1)).max() <= 1


def test_a_transparent_colour_of_a_palette_becomes_white(tmp_path):
    picture = Image.new("P", (8, 8), 1)
    picture.putpalette([255, 0, 0, 0, 0, 255])
    for suffix in (".png", ".gif"):
        picture.save(tmp_path / f"picture{suffix}", transparency=1)
        assert (shown(tmp_path / f"picture{suffix}") == 255).all()


def test_cmyk_and_the_first_of_many_frames(tmp_path):
    Image.new("CMYK", (8, 8), (0, 255, 255, 0)).save(tmp_path / "red.jpg", quality=95)
    red = shown(tmp_path / "red.jpg").astype(int)
    assert red[0].min() > 240 and red[1:].max() < 15
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("white", "black")]
    for suffix in (".gif", ".tif", ".webp"):
        path = tmp_path / f"film{suffix}"
        frames[0].save(path, save_all=True, append_images=frames[1:])
        assert (shown(path) == 255).all(), suffix


def test_numbers_of_an_unknown_range_are_refused(tmp_path):
    Image.fromarray(np.full((8, 8), 0.5, np.float32)).save(tmp_path / "picture.tif")
    with pytest.raises(ValueError, match="the range of its pixels is not known"):
        shown(tmp_path / "picture.tif")


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp"])
def test_a_picture_is_turned_as_the_camera_was_held(tmp_path, suffix):
    pixels = np.zeros((64, 64, 3), np.uint8)
    pixels[:32] = 255  # white above
    exif = Image.Exif()
    exif[274] = 6  # to be turned clockwise by a quarter
    Image.fromarray(pixels).save(tmp_path / f"picture{suffix}", exif=exif)
    turned = shown(tmp_path / f"picture{suffix}", size=16)[0]
    assert turned[:, 10:].min() > 240 and turned[:, :6].max() < 15  # white on the right


def test_the_middle_is_cut_out(tmp_path):
    pixels = np.zeros((40, 120, 3), np.uint8)
    pixels[:, 40:80] = 255
    for name, picture in (("wide", pixels), ("high", pixels.transpose(1, 0, 2).copy())):
        Image.fromarray(picture).save(tmp_path / f"{name}.png")
        assert (shown(tmp_path / f"{name}.png", size=10) == 255).all()


def test_a_large_jpeg_is_averaged_not_sampled(tmp_path):
    """Stripes one pixel wide become grey."""
    pixels = np.zeros((1024, 1024, 3), np.uint8)
    pixels[:, ::2] = 255
    for suffix in (".png", ".jpg"):
        Image.fromarray(pixels).save(tmp_path / f"stripes{suffix}", quality=95)
        small = shown(tmp_path / f"stripes{suffix}", size=32).astype(int)
        assert np.abs(small - 127).max() < 12, suffix


# Training


TINY = replace(
    PRESETS["folder"],
    model=replace(
        PRESETS["folder"].model,
        base_channels=8,
        channel_mults=(1, 2),
        time_dim=16,
        image_size=8,
    ),
    epochs=2,
    batch_size=4,
    images_per_epoch=48,
    warmup=2,
    sample_steps=2,
    flip=True,
)


def make_run(folder: Path, solutions, data, preset=TINY, quiet=True, **options) -> Run:
    return Run(folder, preset, solutions, f"folder:{data}", "cpu", quiet=quiet, **options)


@pytest.fixture(scope="module")
def trained(tmp_path_factory, solutions):
    """A finished run and its pictures."""
    place = tmp_path_factory.mktemp("trained")
    fill(place / "pets" / "cat", 25, seed=1)
    fill(place / "pets" / "dog", 12, seed=2)
    make_run(place / "run", solutions, place / "pets").train()
    return place


@pytest.fixture
def copied(trained, tmp_path):
    """The same, to be changed."""
    return Path(shutil.copytree(trained, tmp_path / "copied"))


def weights(run: Path) -> dict[str, torch.Tensor]:
    return torch.load(run / "models" / "last.pt", weights_only=True)["model"]


def test_a_run_knows_its_classes_and_ends_in_samples_of_each(trained, solutions):
    config = read_config(trained / "run" / "models" / "model.safetensors")
    assert config.classes == ("cat", "dog") and config.num_classes == 2
    assert config.image_shape == (3, 8, 8) and config.data == "folder:pets"
    with Image.open(trained / "run" / "samples_by_class.png") as picture:
        assert picture.height > 100
    with Image.open(trained / "run" / "generated_samples" / "epoch_1.png") as picture:
        assert picture.size == (2 * (10 * 10 + 2), 2 * (4 * 10 + 2))
    model, config = load_model(trained / "run" / "models" / "model.safetensors", solutions)
    with pytest.raises(CourseError, match="classes run from 0 to 1, got 2"):
        draw(solutions, model, config, [2], num_steps=2)


def test_a_run_says_what_it_found_and_what_it_costs(pets, tmp_path, solutions, capsys):
    make_run(tmp_path / "run", solutions, pets, quiet=False).train()
    told = capsys.readouterr().out
    for words in (
        "data: folder:pets, 34 images",
        "37 pictures in 2 classes",
        "by class: cat 25, dog 12",
        "cost: 24 steps of 4 images",
        "s for a step, by the first 20 on this machine, so a minute or less for the 4 that are",
        f"samples by class: {tmp_path / 'run' / 'samples_by_class.png'}",
    ):
        assert words in told, told


def test_the_room_it_takes_is_what_was_said(trained, solutions):
    run = make_run(trained / "run", solutions, trained / "pets")
    said = int(re.search(r"weights, and ([\d,]+) MB", run.price())[1].replace(",", ""))
    size = sum(file.stat().st_size for file in (trained / "run" / "models").iterdir())
    assert abs(said - size / 1e6) < 1


class Stop(Exception):
    pass


def test_an_interrupted_run_reaches_the_same_weights_with_its_flips(trained, tmp_path, solutions):
    run = make_run(tmp_path / "run", solutions, trained / "pets", save_every=1)
    steps = run.steps

    def stop(batches, first_step):
        for step, loss in enumerate(steps(batches, first_step), start=first_step):
            yield loss
            if step == 16:
                raise Stop

    run.steps = stop
    with pytest.raises(Stop):
        run.train()
    make_run(tmp_path / "run", solutions, trained / "pets").train()
    whole, interrupted = weights(trained / "run"), weights(tmp_path / "run")
    assert all(torch.equal(whole[name], interrupted[name]) for name in whole)


def test_half_of_the_pictures_are_mirrored_each_time_anew(trained, solutions, tmp_path):
    plain = make_run(tmp_path / "a", solutions, trained / "pets", replace(TINY, flip=False))
    flipping = make_run(tmp_path / "b", solutions, trained / "pets")
    drawn = []
    for run in (plain, flipping):
        batches = [*run.batches(0), *run.batches(1)]
        drawn.append([torch.cat(part) for part in zip(*batches)])
    (x, labels), (mirrored, same_labels) = drawn
    assert torch.equal(labels, same_labels)
    as_it_is = (x == mirrored).flatten(1).all(dim=1)
    turned = (x.flip(3) == mirrored).flatten(1).all(dim=1)
    assert (as_it_is ^ turned).all() and 0.3 < turned.float().mean() < 0.7
    again = torch.cat([x for x, _ in flipping.batches(1, skip=5)])
    assert torch.equal(again, mirrored[48 + 20 :])


def test_digits_are_never_mirrored(tmp_path, solutions):
    preset = replace(PRESETS["smoke"], flip=True)
    with pytest.raises(CourseError, match="a mirrored digit is none"):
        Run(tmp_path, preset, solutions, "mnist5k", "cpu", quiet=True)


def test_a_run_whose_pictures_changed_is_told(copied, solutions):
    Image.new("RGB", (9, 9)).save(copied / "pets" / "cat" / "new.png")
    with pytest.raises(CourseError, match="are not those that .*run began with: some came, went"):
        make_run(copied / "run", solutions, copied / "pets").train()
    (copied / "pets" / "cat" / "new.png").unlink()
    make_run(copied / "run", solutions, copied / "pets").train()


def test_a_run_goes_on_where_its_pictures_were_moved(copied, solutions):
    (copied / "moved").mkdir()
    (copied / "pets").rename(copied / "moved" / "pets")
    make_run(copied / "run", solutions, copied / "moved" / "pets").train()


@pytest.mark.parametrize(
    "preset, data, words",
    [
        ("laptop", "folder:pets", "learns from digits.*For folder:pets take --preset folder"),
        ("prompts", "cifar10", "learns from digits.*take --preset cifar10"),
        ("folder", "mnist", "learns from a folder of pictures.*take --preset laptop"),
        ("folder", "celeba", "take --preset celeba"),
        ("cifar10", "folder:pets", "learns from CIFAR-10.*take --preset folder"),
        ("folder", "auto", "say which, --data folder:PATH"),
        ("laptop", "cats", "there is no data set 'cats'; choose one of auto, mnist.*folder:PATH"),
    ],
)
def test_a_preset_and_data_that_do_not_fit_are_told(preset, data, words):
    with pytest.raises(CourseError, match=words):
        set_for(PRESETS[preset], data)


def test_a_preset_that_names_its_data_needs_no_other_word():
    assert set_for(PRESETS["cifar10"], "auto") == "cifar10"
    assert set_for(PRESETS["celeba-prompts"], "celeba") == "celeba"
    assert set_for(PRESETS["pairs"], "auto") == "auto"


@pytest.mark.parametrize("size", FOLDER_SIZES)
def test_larger_pictures_cost_the_network_no_more(size, pets, tmp_path, solutions):
    preset = with_size(PRESETS["folder"], size)
    preset = replace(preset, model=replace(preset.model, base_channels=8, channel_mults=(1,)))
    run = make_run(tmp_path / "run", solutions, pets, preset)
    assert run.config.image_shape == (3, size, size)
    assert run.config.network_shape[1:] == (32, 32)


def test_a_size_is_for_ones_own_pictures(capsys):
    assert main(["train", "--preset", "cifar10", "--size", "64"]) == 2
    assert "others have their own size" in capsys.readouterr().out
    assert main(["train", "--preset", "laptop", "--size", "64"]) == 2


def test_latents_are_not_mirrored(trained, tmp_path, solutions):
    model = replace(TINY.model, latent=PRESETS["large-latent"].model.latent)
    with pytest.raises(CourseError, match="latents are made once"):
        make_run(tmp_path / "run", solutions, trained / "pets", replace(TINY, model=model))


def test_the_names_of_classes_can_be_captions(trained, tmp_path, solutions):
    told = replace(TINY, model=replace(TINY.model, text=TextConfig(dim=8, heads=2)), epochs=1)
    make_run(tmp_path / "run", solutions, trained / "pets", told).train()
    config = read_config(tmp_path / "run" / "models" / "model.safetensors")
    assert config.text.words == ("cat", "dog") and config.text.length == 2


@pytest.mark.parametrize("name", ["cifar10", "cifar10-gpu", "celeba-prompts-gpu"])
def test_a_run_is_rehearsed_with_a_few_pictures(name, solutions):
    rehearse_training(solutions, PRESETS[name])


# Afterwards


@pytest.fixture
def at_home(copied, monkeypatch, tmp_path):
    """The finished run, where the command line looks for it."""
    (tmp_path / "home" / "runs").mkdir(parents=True)
    (copied / "run").rename(tmp_path / "home" / "runs" / "pets")
    monkeypatch.setattr("course.cli.home", lambda: tmp_path / "home")
    return copied


def test_sample_draws_classes_by_name(at_home, tmp_path, capsys):
    out = tmp_path / "drawn.png"
    command = ["sample", "--run", "pets", "--steps", "2", "--out", str(out)]
    assert main([*command, "--class", "dog", "cat", "--count", "3"]) == 0
    with Image.open(out) as picture:
        assert picture.size == (3 * (3 * 10 + 2), 3 * (2 * 10 + 2))
    assert main(command) == 0  # one of each
    with Image.open(out) as picture:
        assert picture.size == (3 * (2 * 10 + 2), 3 * (10 + 2))
    for options, words in (
        (["--class", "bird"], "knows no class 'bird'; it knows: cat, dog"),
        (["--digit", "1"], "draws classes by their names: --class cat"),
        (["--class", "cat", "--any"], "leave out --any and --prompt"),
    ):
        capsys.readouterr()
        assert main([*command, *options]) == 2
        assert words in capsys.readouterr().out
    assert main(["sample", "--class", "cat"]) == 2
    assert "draws digits by their numbers" in capsys.readouterr().out


def test_evaluate_measures_the_error_and_asks_no_judge(at_home, monkeypatch, tmp_path, capsys):
    def refuse(*args):
        raise AssertionError("the digits' judge was asked")

    monkeypatch.setattr("course.model.evaluation.load_network", refuse)
    config = json.loads((tmp_path / "home" / "runs" / "pets" / "config.json").read_text())
    moved = at_home / "pets"
    assert not Path(config["folder"]).samefile(moved)
    assert main(["evaluate", "pets", "--data", f"folder:{moved}"]) == 0
    told = " ".join(capsys.readouterr().out.split())
    assert "there is no judge for such pictures" in told
    assert "eps-MSE on 3 held-out and 34 training pictures" in told
    report = json.loads((tmp_path / "home" / "runs" / "pets" / "evaluation.json").read_text())
    assert report["complete"] and report["generated"] == []
    for name in ("held_out", "training"):
        assert len(report[f"{name}_eps_mse"]["bands"]) == 10
    assert report["held_out_eps_mse"]["bands"] != report["training_eps_mse"]["bands"]


def evaluation(place: Path, solutions, tmp_path, **options) -> PhotographEvaluation:
    model = place / "run" / "models" / "model.safetensors"
    out = tmp_path / "evaluation.json"
    return PhotographEvaluation(solutions, model, out, num_steps=2, quiet=True, **options)


def test_evaluation_finds_the_pictures_where_they_were(trained, solutions, tmp_path):
    assert len(evaluation(trained, solutions, tmp_path).test_set) == 3


def test_pictures_that_changed_since_are_told(copied, solutions, tmp_path):
    data = f"folder:{copied / 'pets'}"
    assert len(evaluation(copied, solutions, tmp_path, data=data).notes) == 1
    Image.new("RGB", (9, 9)).save(copied / "pets" / "cat" / "new.png")
    notes = evaluation(copied, solutions, tmp_path, data=data).notes
    assert any("the pictures have changed since" in note for note in notes)
    fill(copied / "pets" / "horse", 3)
    with pytest.raises(CourseError, match="this model knows 2 classes, and .* has 3"):
        evaluation(copied, solutions, tmp_path, data=data)


def test_other_data_than_the_models_is_refused(copied, solutions, tmp_path):
    with pytest.raises(CourseError, match="cannot be measured with mnist; leave --data out"):
        evaluation(copied, solutions, tmp_path, data="mnist")
    (copied / "run" / "config.json").unlink()
    with pytest.raises(CourseError, match="where they are is not noted .*--data folder:PATH"):
        evaluation(copied, solutions, tmp_path)


def test_such_a_model_is_not_distilled(trained, solutions, tmp_path):
    model = trained / "run" / "models" / "model.safetensors"
    with pytest.raises(CourseError, match="cannot be distilled: it has to be a model that draws"):
        Distilling(tmp_path, model, Recipe(), solutions, "mnist5k", "cpu", quiet=True)
    with pytest.raises(CourseError, match="a model of digits is distilled, and cifar10 has none"):
        Distilling(tmp_path, SHIPPED, Recipe(), solutions, "cifar10", "cpu", quiet=True)


def test_an_evaluation_is_rehearsed(trained, solutions):
    config = read_config(trained / "run" / "models" / "model.safetensors")
    rehearse_evaluation(solutions, config, "ancestral", [0.0])


def test_the_few_pictures_of_a_rehearsal_are_a_set(tmp_path):
    assert len(load_images(few_pictures(tmp_path / "few"))) == 9
