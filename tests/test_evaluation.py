"""Measuring a generator: the two networks, failures planted among real digits, the command."""

import json
import shutil
from dataclasses import replace

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch.nn import functional as F

from course import CourseError
from course.cli import main
from course.model import digit_networks as judges
from course.model.data import load_images
from course.model.digit_networks import (
    CONFIGS,
    FOLDER,
    count_right,
    distort,
    load_network,
    quantise,
    save_network,
    train,
)
from course.model.evaluation import (
    Evaluation,
    Ruler,
    data_of,
    flags,
    ink,
    matching,
    sharpness,
)
from course.model.held_out import eps_mse_by_band
from course.model.models import SHIPPED, ModelConfig, build_model, save_model

# Pixels


def test_quantise_leaves_stored_images_and_rounds_others():
    levels = torch.arange(256).to(torch.uint8).float() / 127.5 - 1
    assert torch.equal(quantise(levels), levels)
    assert quantise(torch.tensor([-7.0, 1.4])).tolist() == [-1, 1]
    noisy = quantise(torch.rand(10_000) * 3 - 1.5)
    assert torch.isin(noisy, levels).all()


def test_ink_and_sharpness_of_simple_pictures():
    black, white = -torch.ones(2, 1, 28, 28), torch.ones(2, 1, 28, 28)
    assert ink(black) == 0 and ink(white) == 1
    assert sharpness(black) == 0 and sharpness(white) == 0
    stripes = black.clone()
    stripes[..., ::2] = 1  # every pixel differs from both its neighbours in the row
    assert sharpness(stripes) == pytest.approx(27 / 14)


# The two networks


@pytest.mark.parametrize("name", CONFIGS)
def test_the_shipped_networks_say_what_they_are(name):
    model, metadata = load_network(name)
    assert (FOLDER / f"{name}.safetensors").stat().st_size < 1e6
    assert json.loads(metadata["config"])["network"] == name
    assert int(metadata["test_right"]) / int(metadata["test_count"]) >= 0.994
    assert metadata["command"] == "python -m course.model.digit_networks --write"
    assert model(torch.zeros(2, 1, 28, 28)).shape == (2, 10)
    card = (FOLDER / "digit_networks.md").read_text()
    assert f"{int(metadata['test_right']):,} of 10,000" in card
    assert f"{sum(p.numel() for p in model.parameters()):,}" in card


@pytest.mark.parametrize("name", CONFIGS)
def test_their_accuracy_on_mnist_is_as_claimed(name, mnist):
    images = mnist(train=False)
    model, metadata = load_network(name)
    assert len(images) == int(metadata["test_count"])
    # Another version of PyTorch may tip an image that lies on the boundary.
    assert abs(count_right(model, *images.batch(slice(None))) - int(metadata["test_right"])) <= 2


def test_the_two_networks_are_trained_apart():
    judge, features = CONFIGS["judge"], CONFIGS["features"]
    assert judge.network != features.network and judge.seed != features.seed
    assert (judge.shift, judge.degrees, judge.scale) != (
        features.shift,
        features.degrees,
        features.scale,
    )


def altered(path, change):
    """A copy of the judge's file in which `change` has altered tensors and metadata."""
    with safe_open(FOLDER / "judge.safetensors", framework="pt") as file:
        metadata, tensors = (
            dict(file.metadata()),
            {key: file.get_tensor(key) for key in file.keys()},
        )
    change(tensors, metadata)
    save_file(tensors, path, metadata=metadata)
    return path


def test_wrong_and_damaged_files_are_told(tmp_path):
    path = tmp_path / "judge.safetensors"

    def told(words, name="judge"):
        with pytest.raises(CourseError, match=words):
            load_network(name, path)

    told("there is no judge network at")
    path.write_bytes((FOLDER / "judge.safetensors").read_bytes()[:-100])
    told("is no whole safetensors file")
    save_file({"weight": torch.zeros(3)}, path)
    told("was not written by this course: its metadata should hold config and sha256")
    altered(path, lambda tensors, metadata: None)
    load_network("judge", path)
    told("holds the network 'judge', not 'features'", name="features")
    altered(path, lambda tensors, metadata: tensors["head.weight"].mul_(1.001))
    told("are not those it was written with")
    altered(path, lambda tensors, metadata: metadata.pop("sha256"))
    told("was not written by this course: .* sha256 is missing")
    altered(path, lambda tensors, metadata: metadata.update(config='{"network": "judge"}'))
    told("is not that of a digit network .*missing 4 required")
    features, _ = load_network("features")
    save_network(path, features, CONFIGS["judge"], 1, 1)  # hash and name fit, the shapes do not
    told("do not fit the network")


def test_training_goes_on_where_it_was_interrupted(tmp_path, monkeypatch):
    images = load_images("mnist5k")
    config = replace(CONFIGS["features"], epochs=2, batch_size=300)
    whole = train(config, images, tmp_path / "whole.pt", quiet=True)
    keep = judges._keep

    def interrupt(*arguments):
        keep(*arguments)
        raise KeyboardInterrupt

    monkeypatch.setattr(judges, "_keep", interrupt)
    with pytest.raises(KeyboardInterrupt):
        train(config, images, tmp_path / "half.pt", quiet=True)
    monkeypatch.setattr(judges, "_keep", keep)
    resumed = train(config, images, tmp_path / "half.pt", quiet=True)
    for one, other in zip(whole.state_dict().values(), resumed.state_dict().values()):
        assert torch.equal(one, other)


def test_distortion_is_light_and_leaves_the_background_black():
    images = load_images("mnist5k").batch(slice(0, 50))[0]
    moved = distort(images, CONFIGS["features"], torch.Generator().manual_seed(0))
    assert moved.shape == images.shape and not torch.equal(moved, images)
    assert moved.amin() >= -1 and moved.amax() <= 1 + 1e-6
    assert ink(moved) == pytest.approx(ink(images), rel=0.1)


# Failures planted among real digits


@pytest.fixture(scope="module", params=["mnist5k", "mnist"])
def planted(request, solutions):
    """A ruler, its labels, and the two parts of the data that it measures against."""
    if request.param == "mnist":
        mnist = request.getfixturevalue("mnist")
        train_set, test_set = mnist(train=True), mnist(train=False)
        labels = torch.arange(500) % 10
        train_set = type(train_set)(
            train_set.pixels[:10_000], train_set.labels[:10_000], train_set.name
        )
    else:
        train_set, test_set = (
            load_images("mnist5k", train=True),
            load_images("mnist5k", train=False),
        )
        labels = torch.arange(250) % 10
    return Ruler(solutions, train_set, test_set, labels), labels, train_set, test_set


def blur(images):
    kernel = torch.tensor([1.0, 2, 3, 2, 1])
    kernel = (kernel[:, None] * kernel)[None, None] / 81
    return F.conv2d(F.pad(images, (2, 2, 2, 2), value=-1.0), kernel)


def test_held_out_real_images_raise_no_flag(planted):
    ruler, labels, _, test_set = planted
    for seed in (1, 2, 3):
        measurement = ruler.measure(matching(test_set, labels, seed))
        assert flags(measurement) == []
        assert 0.5 < measurement.ratio("frechet") < 2


def test_the_frechet_ratio_is_the_quotient_that_chapter_08_works_out(planted, monkeypatch):
    ruler, labels, _, test_set = planted
    images = matching(test_set, labels, seed=1)
    measurement = ruler.measure(images)
    quotient = measurement.values.frechet / measurement.real.frechet
    assert measurement.ratio("frechet") == pytest.approx(quotient, rel=1e-6)
    monkeypatch.setattr(ruler.ch08, "distance_ratio", lambda *arguments: 7.0)
    assert ruler.measure(images).ratio("frechet") == 7


def test_one_image_of_each_digit_repeated_is_flagged(planted):
    ruler, labels, _, test_set = planted
    ten = matching(test_set, torch.arange(10), seed=1)
    found = " ".join(flags(ruler.measure(ten[labels])))
    assert "the same images are repeated" in found and "variety is missing" in found


def test_shuffled_labels_are_flagged(planted):
    ruler, labels, _, test_set = planted
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(0))
    (text,) = flags(ruler.measure(matching(test_set, labels, seed=1)[order]))
    assert "judged to be the digit asked for" in text and "the labels are mixed up" in text


def test_a_missing_digit_is_flagged(planted):
    ruler, labels, _, test_set = planted
    images = matching(test_set, labels, seed=1)
    images[labels == 4] = images[labels == 7]
    found = " ".join(flags(ruler.measure(images)))
    assert "only 0.0% of the images for the digit 4 are judged to be one" in found


def test_inverted_polarity_is_flagged(planted):
    ruler, labels, _, test_set = planted
    found = " ".join(flags(ruler.measure(-matching(test_set, labels, seed=1))))
    assert "black and white are inverted" in found


def test_copies_of_the_training_set_are_flagged(planted):
    ruler, labels, train_set, test_set = planted
    copies = matching(train_set, labels, seed=9)
    (text,) = flags(ruler.measure(copies))
    assert "the training set is copied" in text
    some = matching(test_set, labels, seed=1)
    some[::5] = copies[::5]
    (text,) = flags(ruler.measure(some))
    assert text.startswith("20.0% of the images lie three times as near to one training image")
    shaken = copies + 0.02 * torch.randn(copies.shape, generator=torch.Generator().manual_seed(0))
    assert "the training set is copied" in " ".join(flags(ruler.measure(shaken)))


def test_blur_and_noise_are_flagged(planted):
    ruler, labels, _, test_set = planted
    images = matching(test_set, labels, seed=1)
    assert ": blurred" in " ".join(flags(ruler.measure(blur(images))))
    noise = torch.randn(images.shape, generator=torch.Generator().manual_seed(0))
    assert ": noise" in " ".join(flags(ruler.measure(images + 0.5 * noise)))
    assert len(flags(ruler.measure(noise))) >= 3


def test_measuring_is_deterministic_and_blind_to_order(planted):
    ruler, labels, _, test_set = planted
    images = matching(test_set, labels, seed=1)
    assert ruler.measure(images) == ruler.measure(images.clone())
    # Exchange images of the same digit: the set and its labels stay the same.
    order = torch.cat([torch.arange(10, len(labels)), torch.arange(10)])
    one, other = ruler.measure(images).values, ruler.measure(images[order]).values
    assert one.accuracy == other.accuracy and one.recall == other.recall
    assert one.frechet == pytest.approx(other.frechet, rel=1e-6)


def test_what_cannot_be_measured_is_told(planted):
    ruler, labels, _, test_set = planted
    images = matching(test_set, labels, seed=1)
    with pytest.raises(CourseError, match="expected images of shape"):
        ruler.measure(images[1:])
    images[3, 0, 5, 5] = torch.nan
    with pytest.raises(CourseError, match="1 of .* images hold infinite values or NaN"):
        ruler.measure(images)
    with pytest.raises(CourseError, match="choose a --count of at most"):
        matching(test_set, torch.zeros(2000, dtype=torch.int64), seed=0)


# The network's own error


def test_eps_mse_of_networks_whose_error_is_known():
    images = load_images("mnist5k", train=False)
    alpha_bars = torch.linspace(0.99, 0.01, 100)
    # A network that says 0 errs by the noise's variance; 64 x 784 draws hold 1 to 0.03.
    zero = eps_mse_by_band(lambda x, t, labels: 0 * x, alpha_bars, images, num_images=64)
    assert len(zero) == 10 and zero == pytest.approx([1.0] * 10, abs=0.03)

    steps = []

    def one(x, t, labels):
        steps.append(t)
        return torch.ones_like(x)

    assert eps_mse_by_band(one, alpha_bars, images, num_images=64) == pytest.approx(
        [2.0] * 10, abs=0.05
    )
    for band, t in enumerate(steps):
        assert t.min() >= 10 * band and t.max() < 10 * (band + 1)
    again = eps_mse_by_band(one, alpha_bars, images, num_images=64)
    assert again == eps_mse_by_band(one, alpha_bars, images, num_images=64)


def test_eps_mse_of_the_perfect_network_is_zero():
    """Images that are all -1 let the noise be read off x_t."""
    images = load_images("mnist5k", train=False)
    black = type(images)(torch.zeros_like(images.pixels), images.labels, "black")
    alpha_bars = torch.linspace(0.99, 0.01, 100)

    def perfect(x, t, labels):
        alpha_bar = alpha_bars[t].view(-1, 1, 1, 1)
        return (x + alpha_bar.sqrt()) / (1 - alpha_bar).sqrt()

    errors = eps_mse_by_band(perfect, alpha_bars, black, num_images=20)
    assert max(errors) < 1e-9


# The command


@pytest.fixture
def tiny(tmp_path, solutions):
    """The file of an untrained model that says it was trained on mnist5k."""
    config = ModelConfig(
        base_channels=8,
        channel_mults=(1, 2),
        time_dim=16,
        prediction="v",
        data="mnist5k",
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = build_model(solutions, config)
    save_model(tmp_path / "tiny.safetensors", model, config)
    return tmp_path / "tiny.safetensors"


def test_the_command_prints_a_table_and_writes_the_figures(tiny, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("course.model.models.SHIPPED", tiny)
    command = ["evaluate", "--count", "20", "--steps", "2", "--guidance", "0", "2"]
    one = tmp_path / "one.json"
    assert main([*command, "--out", str(one)]) == 0
    out = capsys.readouterr().out
    for words in ("mnist5k", "w = 0", "w = 2", "Fréchet distance", "worst digit"):
        assert words in out
    assert "w = 0: only" in " ".join(out.split()), "an untrained model draws no digits"
    report = json.loads(one.read_text())
    assert report["complete"] and report["data"] == "mnist5k"
    assert [row["guidance"] for row in report["generated"]] == [0, 2]
    assert report["count"] == 20 and report["real"]["accuracy"]["count"] == 20
    assert len(report["held_out_eps_mse"]["bands"]) == 10
    assert all(row["flags"] for row in report["generated"])
    # A run of the same model: the file lies beside it, with the same figures.
    monkeypatch.setenv("COURSE_EXERCISES", str(tmp_path / "exercises"))
    folder = tmp_path / "runs" / "mine"
    (folder / "models").mkdir(parents=True)
    shutil.copy(tiny, folder / "models" / "model.safetensors")
    assert main(["evaluate", "mine", *command[1:]]) == 0
    again = json.loads((folder / "evaluation.json").read_text())
    for found in (report, again):
        found.pop("model")
        for row in found["generated"]:
            row.pop("seconds")
    assert again == report
    # Another sampler: other digits, against the same real ones.
    assert main(["evaluate", "mine", *command[1:], "--sampler", "2m"]) == 0
    assert "20 images a column, mnist5k, 2 steps, 2m" in capsys.readouterr().out
    other = json.loads((folder / "evaluation.json").read_text())
    assert other["sampler"] == "2m" and other["real"] == report["real"]
    assert [row["ink"] for row in other["generated"]] != [row["ink"] for row in report["generated"]]


def test_an_interrupted_evaluation_keeps_what_was_finished(tiny, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("course.model.models.SHIPPED", tiny)
    row = Evaluation.row

    def interrupt(self, guidance):
        if guidance == 1:
            raise KeyboardInterrupt
        return row(self, guidance)

    monkeypatch.setattr(Evaluation, "row", interrupt)
    out = tmp_path / "evaluation.json"
    command = ["evaluate", "--count", "20", "--steps", "2", "--guidance", "0", "1"]
    assert main([*command, "--out", str(out)]) == 130
    assert "holds what was finished" in " ".join(capsys.readouterr().out.split())
    report = json.loads(out.read_text())
    assert not report["complete"]
    assert [row["guidance"] for row in report["generated"]] == [0]


def test_a_model_is_measured_against_its_own_data_only(monkeypatch, tmp_path):
    monkeypatch.setenv("DIFFUSION_DATA", str(tmp_path))
    for part, count in zip(data_of("mnist5k"), (4500, 500)):
        assert part.name == "mnist5k" and len(part) == count
    with pytest.raises(CourseError, match="MNIST is not in"):
        data_of("MNIST")
    assert data_of("MNIST", "mnist5k")[1].name == "mnist5k"
    with pytest.raises(CourseError, match="trained on mnist5k, and is measured against its 500"):
        data_of("mnist5k", "mnist")
    with pytest.raises(CourseError, match="trained on scikit-learn digits, which the course does"):
        data_of("scikit-learn digits")


def test_the_shipped_model_is_measured_without_mnist_too(monkeypatch, tmp_path, capsys, solutions):
    monkeypatch.setenv("DIFFUSION_DATA", str(tmp_path))
    out = tmp_path / "evaluation.json"
    command = ["evaluate", "--count", "20", "--steps", "2", "--guidance", "0", "--sampler", "2m"]
    assert main([*command, "--out", str(out)]) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert "trained on MNIST, against mnist5k" in printed
    report = json.loads(out.read_text())
    assert report["data"] == "MNIST" and report["against"] == "mnist5k" and report["count"] == 20
    seen, copies = report["notes"]
    assert "judge and the features have seen" in seen and "so has the model" in seen
    assert "4,500 of the model's 60,000" in copies
    assert seen in printed and copies in printed


def test_with_mnist_the_shipped_model_is_measured_against_its_test_part(mnist, solutions, tmp_path):
    evaluation = Evaluation(solutions, SHIPPED, tmp_path / "e.json", count=10, quiet=True)
    assert len(evaluation.test_set) == 10_000
    assert evaluation.notes == [] and evaluation.report["against"] == "MNIST"


def test_of_mnist5k_only_judge_and_features_have_seen_the_held_out_digits(
    tiny, solutions, tmp_path
):
    evaluation = Evaluation(solutions, tiny, tmp_path / "e.json", count=500, quiet=True)
    (note,) = evaluation.notes
    assert "judge and the features have seen" in note and "model" not in note


def test_a_count_that_is_too_large_is_lowered_and_told(tiny, solutions, tmp_path):
    evaluation = Evaluation(solutions, tiny, tmp_path / "e.json", count=1000, quiet=True)
    assert len(evaluation.labels) == evaluation.report["count"] == 500
    assert (
        "500 images for each w, not 1,000: mnist5k holds out 50 of each digit"
        in (evaluation.report["notes"])
    )


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["nothing"], "there is no model at"),
        (["--count", "9"], "--count must be at least 10"),
        (["--steps", "1"], "steps must be between 2 and 1000, got 1"),
        (["--data", "cats"], "there is no data set 'cats'"),
        (["--out", "figures.txt"], "--out must end in .json"),
        (["--impl", "nowhere"], "there is no folder 'nowhere'"),
    ],
)
def test_bad_input_is_told(arguments, words, capsys):
    assert main(["evaluate", *arguments]) == 2
    assert words in " ".join(capsys.readouterr().out.split())
