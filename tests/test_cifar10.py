"""The command that measures photographs drawn by class."""

import argparse
import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from torchmetrics.image.fid import FrechetInceptionDistance

from benchmarks import cifar10
from benchmarks.gpu_cifar10 import CLASSES
from benchmarks.kept import load
from course import CourseError
from course.model.images import Images
from course.model.models import load_model, save_model
from course.model.training import PRESETS, Run


def coloured(count: int, seed: int) -> Images:
    """Pictures that show their class by how bright they are."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(count) % len(CLASSES)
    noise = torch.randint(0, 15, (count, 3, 32, 32), generator=generator)
    pixels = (noise + 24 * labels[:, None, None, None]).to(torch.uint8)
    return Images(pixels, labels, "CIFAR-10 (made up)", tuple(CLASSES), may_flip=True)


def test_the_record_and_the_picture(tmp_path, monkeypatch, solutions):
    def images(name, train=True, **rest):
        assert name == "cifar10"
        return coloured(400 if train else 300, seed=int(train))

    monkeypatch.setattr(cifar10, "load_images", images)
    monkeypatch.setattr("course.model.training.load_images", images)
    monkeypatch.setattr(cifar10, "RESULTS", tmp_path / "cifar10.json")
    monkeypatch.setattr(cifar10, "STEPS", 2)
    step = {"times_unit": 270.0, "memory_mb": 2}
    monkeypatch.setattr(cifar10.preset_costs, "apart", lambda *given: step)
    monkeypatch.setattr(
        cifar10, "JUDGE", replace(cifar10.JUDGE, judge_widths=(4, 4, 4, 8), judge_batch=50)
    )
    model = replace(PRESETS["smoke"].model, image_size=32)
    preset = replace(
        PRESETS["smoke"], model=model, epochs=1, images_per_epoch=16, pictures="cifar10"
    )
    Run(tmp_path / "cifar10", preset, solutions, "cifar10", "cpu", quiet=True).train()
    options = argparse.Namespace(
        run=tmp_path / "cifar10",
        count=100,
        guidance=[1.0],
        judge_minutes=0.05,
        seed=0,
        write=True,
        fid=False,
    )
    cifar10.measure(options, load(cifar10.RESULTS, {}))
    record = json.loads(cifar10.RESULTS.read_text())
    assert record["data"] == "CIFAR-10 (made up)" and record["training"]["steps"] == 1
    assert record["training"]["minutes"] == 0.5
    assert list(record["measured"]) == ["real", "w = 1"]
    real, drawn = record["measured"].values()
    assert real["accuracy"] > 0.2 and real["frechet_ratio"] == 1
    # A network that has learned nothing draws what is far from all real pictures.
    assert drawn["frechet_ratio"] > 5 and drawn["pictures"] == 100
    assert np.array(Image.open(tmp_path / "cifar10_classes.png")).std() > 0
    assert len(cifar10.table(record["measured"])) == 4

    # What has been measured is not measured again, and the judge is kept.
    monkeypatch.setattr(cifar10, "train_judge", None)
    monkeypatch.setattr(cifar10, "draw", None)
    assert cifar10.measure(options, load(cifar10.RESULTS, {}))["measured"]["w = 1"] == drawn
    file = tmp_path / "cifar10" / "models" / "model.safetensors"
    network, config = load_model(file, solutions)
    torch.nn.init.ones_(network.conv_out.bias)
    save_model(file, network, config)
    with pytest.raises(TypeError):  # another model: it would be drawn from
        cifar10.measure(options, load(cifar10.RESULTS, {}))


def test_the_fid_is_torchmetrics_own_in_any_features(monkeypatch):
    class Means(torch.nn.Module):
        """(N, 3, H, W), uint8 -> (N, 3)."""

        num_features = 3

        def forward(self, pictures):
            return pictures.double().mean(dim=(2, 3))

    metric = FrechetInceptionDistance(feature=Means())
    generator = torch.Generator().manual_seed(0)
    real = torch.randint(0, 200, (300, 3, 8, 8), generator=generator).to(torch.uint8)
    assert cifar10.fid(metric, real, real) == pytest.approx(0, abs=1e-3)
    # All means are 5 higher in three channels, and nothing else changes.
    assert cifar10.fid(metric, real + 5, real) == pytest.approx(75, abs=1e-2)

    def unreachable(feature):
        raise OSError("no route to host")

    monkeypatch.setattr(cifar10, "FrechetInceptionDistance", unreachable)
    with pytest.raises(CourseError, match="--fid needs .*no route to host.*leave --fid out"):
        cifar10.inception()
