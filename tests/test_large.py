"""The command that compares three ways to 64 pixels: what it records, and what it counts."""

import argparse
import json
from dataclasses import replace

import pytest
import torch
from PIL import Image

from benchmarks import large, preset_costs
from benchmarks.kept import load
from course.model.data import load_images
from course.model.forms import Stored
from course.model.models import build_model, load_model, save_model
from course.model.scenes import make_scenes
from course.model.training import PRESETS, Run
from tests.test_forms import FORMS, config_of


@pytest.fixture
def options(tmp_path, monkeypatch):
    monkeypatch.setattr(large, "RESULTS", tmp_path / "large.json")
    monkeypatch.setattr(large, "FEATURE_STEPS", 2)
    monkeypatch.setattr(large, "FEATURE_SCENES", 100)
    monkeypatch.setattr(large, "STEPS", 2)
    monkeypatch.setattr(
        large.preset_costs, "apart", lambda *given: {"times_unit": 1.0, "memory_mb": 2}
    )
    return argparse.Namespace(count=80, seed=0, write=True, runs_folder=tmp_path)


def test_the_record_and_the_picture(options, tmp_path, solutions, capsys):
    for form in FORMS:
        preset = replace(FORMS[form], epochs=1, images_per_epoch=16)
        Run(tmp_path / form, preset, solutions, "mnist5k", "cpu", quiet=True).train()
    record = load(large.RESULTS, {})
    folders = [tmp_path / name for name in ("large-pixels", *FORMS)]
    large.measure(folders, options, record)
    assert "no run large-pixels; to have it: course train --preset large-pixels" in (
        capsys.readouterr().out
    )
    stored = json.loads(large.RESULTS.read_text())["measured"]
    assert set(stored) == {"real", "patches", "latents", "grid"}
    real, patches, latents = (stored[name] for name in ("real", "patches", "latents"))
    assert real["seen"]["all"]["value"] > 0.95 and real["held out"]["all"]["value"] > 0.95
    assert real["frechet_ratio"] == 1 and patches["frechet_ratio"] > 1
    assert patches["seen"]["digit"]["count"] == 80 and patches["training"]["steps"] == 2
    assert patches["works_on"] == "patches, schedule shifted by 2" and patches["shape"] == [
        48,
        16,
        16,
    ]
    assert "real_through_autoencoder" not in patches
    # An autoencoder that has learned nothing loses the picture.
    assert latents["real_through_autoencoder"]["seen"]["all"]["value"] < 0.5
    assert latents["training"]["minutes"] >= latents["training"]["autoencoder_minutes"] > 0
    assert stored["grid"]["rows"] == ["real", "patches", "latents"]
    assert Image.open(tmp_path / "large_grid.png").size == (10 * 66 + 2, 3 * 66 + 2)
    assert len(large.table(stored)) == 2 + 4
    # What has been measured is not measured again, unless the run is another.
    stored["patches"]["seen"] = "as it was"
    file = tmp_path / "latents" / "models" / "model.safetensors"
    model, config = load_model(file, solutions)
    torch.nn.init.zeros_(model.network.conv_out.weight)
    save_model(file, model, config)
    record = {"settings": {}, "measured": stored}
    large.measure(folders, options, record)
    assert record["measured"]["patches"]["seen"] == "as it was"
    assert record["measured"]["latents"]["model_sha256"] != latents["model_sha256"]


def test_features_are_trained_once_and_kept(options, tmp_path, monkeypatch):
    images = load_images("mnist5k")
    first = large.features_of(tmp_path / "features", images)
    monkeypatch.setattr(large, "train_features", None)
    again = large.features_of(tmp_path / "features", images)
    scenes = make_scenes(large.KIND, images, 4, torch.Generator().manual_seed(0))
    pictures = large.real(scenes)
    assert torch.equal(first.features(pictures), again.features(pictures))
    assert first.features(pictures).shape == (4, 64)
    monkeypatch.setattr(large, "FEATURE_STEPS", 3)
    with pytest.raises(TypeError):  # other settings: it would be trained
        large.features_of(tmp_path / "features", images)


@pytest.mark.parametrize("form", FORMS)
def test_a_step_is_timed_in_the_form_that_the_network_works_on(
    form, tmp_path, solutions, monkeypatch
):
    monkeypatch.setattr(preset_costs, "TIMED", 2)
    config = replace(config_of(form), data="large scenes of mnist5k")
    save_model(tmp_path / "m.safetensors", build_model(solutions, config), config)
    asked = []
    batch = Stored.batch
    monkeypatch.setattr(Stored, "batch", lambda self, i: asked.append(i) or batch(self, i))
    figures = large.cost_of_a_step(tmp_path / "m.safetensors")
    assert figures["times_unit"] > 0 and figures["memory_mb"] > 50
    assert len(asked) == 2 * (3 + 2) and all(len(index) == 32 for index in asked)


@pytest.mark.parametrize("name", ["laptop", "large-patches", "cifar10", "celeba-prompts"])
def test_a_step_of_any_preset_is_timed_as_that_preset_trains(name, monkeypatch):
    monkeypatch.setattr(preset_costs, "TIMED", 1)
    monkeypatch.setattr(preset_costs, "BEFORE", 0)
    trained = []
    steps = Run.steps
    monkeypatch.setattr(
        Run, "steps", lambda run, *a, **k: trained.append(run) or steps(run, *a, **k)
    )
    figures = preset_costs.cost(name)
    preset = PRESETS[name]
    model = trained[0].config
    assert model.channel_mults == preset.model.channel_mults and model.patch == preset.model.patch
    assert figures["batch_size"] == preset.batch_size and figures["times_unit"] > 0
    assert figures["steps"] == preset.epochs * (preset.images_per_epoch // preset.batch_size)
    assert (
        figures["works_on"]
        == {
            "laptop": [1, 28, 28],
            "large-patches": [12, 32, 32],
            "cifar10": [3, 32, 32],
            "celeba-prompts": [12, 32, 32],
        }[name]
    )
    assert figures["weights"] == sum(weight.numel() for weight in trained[0].model.parameters())
    assert len(preset_costs.table({name: figures})) == 3


def test_the_cost_of_a_step_is_what_a_process_prints_last():
    figures = preset_costs.apart("benchmarks.preset_costs", "--cost", "laptop")
    assert figures["steps"] == 2700 and figures["works_on"] == [1, 28, 28]
    assert figures["minutes"] == pytest.approx(5 * figures["times_unit"], abs=0.05)
