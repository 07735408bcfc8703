"""What networks work on: pixels, patches or latents, through training, drawing and measuring."""

import json
from dataclasses import replace

import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from torch import nn

from course import CourseError
from course.cli import main
from course.model import autoencoding, evaluation
from course.model.autoencoding import Autoencoding
from course.model.distilling import Distilling, Recipe
from course.model.exported import export, load_exported
from course.model.forms import Form
from course.model.models import (
    InLatents,
    LatentConfig,
    ModelConfig,
    TextConfig,
    build_model,
    build_schedule,
    load_model,
    outputs,
    save_model,
)
from course.model.prompts import for_scenes
from course.model.rehearsal import small
from course.model.sampling import draw
from course.model.training import PRESETS, Run

PRESET = replace(
    PRESETS["large-pixels"],
    model=replace(
        small(PRESETS["large-pixels"].model),
        channel_mults=(1, 2),
        text=TextConfig(dim=16, heads=2),
    ),
    epochs=2,
    batch_size=8,
    images_per_epoch=32,
    num_scenes=64,
    warmup=4,
    sample_steps=2,
)
LATENT = LatentConfig(base_channels=8, channel_mults=(1, 1, 2), latent_channels=3)
FORMS = {
    "patches": replace(PRESET, model=replace(PRESET.model, patch=4, shift=2.0)),
    "latents": replace(
        PRESET,
        model=replace(PRESET.model, latent=LATENT),
        autoencoder=Autoencoding(steps=6, batch_size=8),
    ),
}
SHAPES = {"patches": (48, 16, 16), "latents": (3, 16, 16)}
PROMPTS = ["a red seven on blue", "a white four on black"]
LABELLED = ModelConfig(base_channels=8, channel_mults=(1, 2), time_dim=16, image_channels=3)


def config_of(form):
    return for_scenes(FORMS[form].model, "large scenes")


def make_run(folder, solutions, form, **options):
    return Run(folder, FORMS[form], solutions, data="mnist5k", device="cpu", quiet=True, **options)


def pictures(count=3, seed=0):
    return torch.rand(count, 3, 64, 64, generator=torch.Generator().manual_seed(seed)) * 2 - 1


# What a network works on


def test_a_network_works_on_what_its_configuration_says(solutions):
    for form, shape in SHAPES.items():
        config = config_of(form)
        model = build_model(solutions, config)
        assert config.network_shape == shape and config.image_shape == (3, 64, 64)
        made = Form(solutions, config, model).of(pictures())
        assert made.shape == (3, *shape)
        t, tokens = torch.tensor([0, 5, 999]), torch.ones(3, config.text.length).long()
        assert model(made, t, tokens).shape == made.shape
        assert Form(solutions, config, model).pictures(made).shape == (3, 3, 64, 64)
        assert outputs(model, config, count=4).shape == (4, *shape)


def test_patches_hold_the_picture_and_nothing_is_lost(solutions):
    form = Form(solutions, config_of("patches"))
    x = pictures()
    patches = form.of(x)
    assert torch.equal(form.pictures(patches), x)
    assert torch.equal(patches[:, :, 2, 5], x[:, :, 8:12, 20:24].flatten(1))


def test_latents_are_scaled_on_the_way_in_and_the_scale_is_taken_out_on_the_way_back(solutions):
    config = replace(config_of("latents"), latent=replace(LATENT, scale=5.0))
    model = build_model(solutions, config)
    form, x = Form(solutions, config, model), pictures()
    mean, _ = model.autoencoder.encode(x)
    assert torch.allclose(form.of(x), 5 * mean) and not form.of(x).requires_grad
    assert torch.allclose(form.pictures(5 * mean), model.autoencoder.decode(mean), atol=1e-5)


def test_a_shifted_schedule_is_noisier_by_the_square(solutions):
    plain, same, shifted = (
        build_schedule(solutions, ModelConfig(shift=shift)).alpha_bars.double()
        for shift in (1.0, 1.0, 2.0)
    )
    assert torch.equal(plain, same)
    ratio = (plain / (1 - plain)) / (shifted / (1 - shifted))
    assert torch.allclose(ratio[:-1], torch.full((999,), 4.0).double(), rtol=1e-3)


# A walk that ends beyond [-1, 1]


class Known(nn.Module):
    """It knows that every number of every image is `value`, and predicts the noise."""

    def __init__(self, alpha_bars, value):
        super().__init__()
        self.alpha_bars, self.value = alpha_bars, value
        self.nothing = nn.Parameter(torch.zeros(()))

    def forward(self, x, t, asked):
        alpha_bar = self.alpha_bars[t].view(-1, 1, 1, 1)
        return (x - alpha_bar.sqrt() * self.value) / (1 - alpha_bar).sqrt()


class Tenth(nn.Module):
    """An autoencoder of which a picture is a tenth of its latent."""

    def decode(self, z):
        return z / 10


@pytest.mark.parametrize("sampler, eta", [("ancestral", 0), ("ddim", 0), ("ddim", 0.7), ("2m", 0)])
def test_latents_are_drawn_as_far_out_as_they_lie_and_pixels_are_clipped(solutions, sampler, eta):
    network = Known(build_schedule(solutions, LABELLED).alpha_bars, 3.0)
    options = {"guidance": 0.0, "num_steps": 20, "sampler": sampler, "eta": eta}
    clipped, _ = draw(solutions, network, LABELLED, [1, 2], **options)
    assert torch.allclose(clipped, torch.ones(2, 3, 28, 28), atol=1e-3)
    latent = LatentConfig(channel_mults=(1,), latent_channels=3, scale=0.5)
    for furthest, reached in ((4.0, 3.0), (2.5, 2.5)):
        config = replace(LABELLED, latent=replace(latent, furthest=furthest))
        drawn, film = draw(
            solutions, InLatents(network, Tenth()), config, [1, 2], film_frames=3, **options
        )
        # The scale is taken out, and then decoded.
        assert torch.allclose(drawn, torch.full((2, 3, 28, 28), reached / 0.5 / 10), atol=1e-3)
        assert torch.equal(film[-1], drawn)


# Runs


@pytest.mark.parametrize("form", FORMS)
def test_a_run_learns_and_its_model_is_whole(tmp_path, solutions, form):
    run = make_run(tmp_path / "run", solutions, form)
    if form == "patches":
        before = run.held_out_eps_mse()
    run.train()
    if form == "patches":
        assert run.held_out_eps_mse() < before
    folder = tmp_path / "run"
    assert Image.open(folder / "generated_samples" / "epoch_2.png").size[0] == 2 * (10 * 66 + 2)
    model, config = load_model(folder / "models" / "model.safetensors", solutions)
    assert config == run.config
    images, _ = draw(solutions, model, config, PROMPTS, num_steps=2)
    again, _ = draw(solutions, run.averaged, run.config, PROMPTS, num_steps=2)
    assert images.shape == (2, 3, 64, 64) and torch.equal(images, again)


@pytest.fixture(scope="module")
def whole(tmp_path_factory, solutions):
    """A run on latents that was not interrupted."""
    folder = tmp_path_factory.mktemp("runs") / "whole"
    run = make_run(folder, solutions, "latents")
    run.train()
    return run


def test_the_network_is_trained_on_latents_of_standard_deviation_1(whole, solutions):
    run, x = whole, whole.stored.x
    assert x.shape == (64, *SHAPES["latents"]) and float(x.std()) == pytest.approx(1, abs=1e-4)
    assert run.config.latent.scale != 1
    assert run.config.latent.furthest == pytest.approx(float(x.abs().max()), rel=1e-5)
    painted, tokens = run.train_set.batch(torch.tensor([5, 3]))
    mean, _ = run.autoencoder.encode(painted)
    seen, asked = run.stored.batch(torch.tensor([5, 3]))
    assert torch.allclose(seen, run.config.latent.scale * mean, atol=1e-4)
    assert torch.equal(asked, tokens)
    kept = json.loads((run.folder / "config.json").read_text())
    assert kept["autoencoder"]["steps"] == 6
    assert not (run.folder / "models" / "autoencoder.pt").exists()


def test_the_autoencoder_stays_as_it_is_while_the_network_learns(whole, solutions):
    model, _ = load_model(whole.folder / "models" / "model.safetensors", solutions)
    again = make_run(whole.folder, solutions, "latents")
    again._make_latents(needed=False)
    for name, weight in model.autoencoder.state_dict().items():
        assert torch.equal(weight, again.autoencoder.state_dict()[name]), name
    assert again.stored is None and again.config.latent == whole.config.latent


class Stop(Exception):
    pass


@pytest.mark.parametrize("where", ["autoencoder", "network"])
def test_an_interrupted_run_reaches_the_same_weights(
    tmp_path, solutions, whole, monkeypatch, where
):
    half = make_run(tmp_path / "half", solutions, "latents", save_every=2)
    with monkeypatch.context() as patch, pytest.raises(Stop):
        if where == "network":
            save = Run._save

            def stop(self, name, step):
                save(self, name, step)
                if step == 2:
                    raise Stop

            patch.setattr(Run, "_save", stop)
        else:
            kept = autoencoding.replacing

            def stop_after_four(path):
                if path.exists():  # the checkpoint of two steps
                    raise Stop
                return kept(path)

            patch.setattr(autoencoding, "replacing", stop_after_four)
        half.train()
    assert (tmp_path / "half" / "models" / "autoencoder.pt").exists() == (where == "autoencoder")
    make_run(tmp_path / "half", solutions, "latents", save_every=2).train()
    (one, config), (other, other_config) = (
        load_model(folder / "models" / "model.safetensors", solutions)
        for folder in (tmp_path / "half", whole.folder)
    )
    assert config == other_config
    for name, weight in one.state_dict().items():
        assert torch.equal(weight, other.state_dict()[name]), name


def test_a_damaged_checkpoint_of_the_autoencoder_is_told(tmp_path, solutions):
    run = make_run(tmp_path / "run", solutions, "latents")
    checkpoint = tmp_path / "run" / "models" / "autoencoder.pt"
    checkpoint.parent.mkdir(parents=True)
    checkpoint.write_bytes(b"cut short")
    with pytest.raises(CourseError, match=r"autoencoder.pt \(9 bytes\) is no whole .* Delete it"):
        run.train()
    checkpoint.unlink()
    make_run(tmp_path / "run", solutions, "latents").train()


# Models


@pytest.fixture(params=FORMS)
def saved(request, tmp_path, solutions, monkeypatch):
    """A workspace with the run `mine`, whose model has not learned anything."""
    monkeypatch.setenv("COURSE_EXERCISES", str(tmp_path / "exercises"))
    config = replace(config_of(request.param), data="large scenes of mnist5k")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = build_model(solutions, config)
    file = tmp_path / "runs" / "mine" / "models" / "model.safetensors"
    save_model(file, model, config)
    return file


def test_the_commands_draw_and_measure(saved, tmp_path, monkeypatch, capsys):
    out = tmp_path / "one.png"
    assert main(["sample", "--run", "mine", "--steps", "2", "--prompt", PROMPTS[0], "--out",
                 str(out)]) == 0  # fmt: skip
    assert Image.open(out).size == (16 * 68, 16 * 68)
    monkeypatch.setattr(evaluation, "MSE_IMAGES", 4)
    assert main(["evaluate", "mine", "--count", "10", "--steps", "2", "--guidance", "0"]) == 0
    assert "large scenes of mnist5k" in " ".join(capsys.readouterr().out.split())


def test_a_network_on_patches_is_exported_and_one_on_latents_is_not(saved, solutions):
    pytest.importorskip("onnxscript")
    if load_model(saved, solutions)[1].latent:
        with pytest.raises(CourseError, match="works on latents, .* on pixels or on patches"):
            export(saved, solutions)
        return
    export(saved, solutions)
    (model, config), (network, _) = load_model(saved, solutions), load_exported(saved, solutions)
    ours, theirs = (
        draw(solutions, each, config, PROMPTS, num_steps=2, sampler="2m")[0]
        for each in (network, model)
    )
    assert ours.shape == (2, 3, 64, 64) and (ours - theirs).abs().max() < 1e-2


def test_a_network_on_patches_or_latents_is_not_distilled(tmp_path, solutions):
    file = tmp_path / "m.safetensors"
    for change in ({"patch": 2}, {"latent": LATENT}):
        config = replace(LABELLED, prediction="v", image_size=32, **change)
        save_model(file, build_model(solutions, config), config)
        with pytest.raises(CourseError, match="draws digits in pixels"):
            Distilling(tmp_path / "run", file, Recipe(), solutions, "mnist5k", "cpu")


def test_attention_may_have_levels(tmp_path, solutions):
    config = replace(LABELLED, attention_levels=(1,))
    model, plain = (build_model(solutions, c) for c in (config, LABELLED))
    assert isinstance(model, solutions.chapter("ch10_colour_and_size").ColourUNet)
    assert not isinstance(plain, solutions.chapter("ch10_colour_and_size").ColourUNet)
    save_model(tmp_path / "m.safetensors", model, config)
    again, read = load_model(tmp_path / "m.safetensors", solutions)
    assert read == config
    x, t, labels = torch.randn(2, 3, 28, 28), torch.tensor([3, 700]), torch.tensor([1, 10])
    with torch.no_grad():
        assert torch.equal(again(x, t, labels), model.eval()(x, t, labels))


@pytest.mark.parametrize(
    "change",
    [
        {"patch": 3},
        {"patch": 0},
        {"patch": 64},  # one pixel cannot be halved
        {"patch": 2, "latent": vars(LATENT)},
        {"latent": 3},
        {"latent": {**vars(LATENT), "scale": float("nan")}},
        {"latent": {**vars(LATENT), "scale": 0.0}},
        {"latent": {**vars(LATENT), "channel_mults": [1, "2"]}},
        {"latent": {**vars(LATENT), "channel_mults": [1] * 6}, "channel_mults": [1, 1, 1]},
        {"latent": {**vars(LATENT), "groups": 3}},
        {"latent": {**vars(LATENT), "colours": 3}},
        {"shift": 0.0},
        {"shift": "2"},
        {"shift": 2.0, "prediction": "flow"},
        {"attention_levels": [2]},
        {"attention_levels": 1},
        {"attention_levels": [[1]]},
        {"attention_levels": [1], "text": {"words": ["red"]}},
    ],
)
def test_a_configuration_that_makes_no_sense_is_told(tmp_path, solutions, change):
    given, file = {**vars(LABELLED), "image_size": 64}, tmp_path / "m.safetensors"
    weights = build_model(solutions, LABELLED).state_dict()
    weights = {name: value.contiguous() for name, value in weights.items()}
    save_file(weights, file, metadata={"config": json.dumps(given)})
    assert load_model(file, solutions)[1].image_size == 64
    save_file(weights, file, metadata={"config": json.dumps({**given, **change})})
    with pytest.raises(CourseError, match="is not one that this version of the course writes"):
        load_model(file, solutions)
