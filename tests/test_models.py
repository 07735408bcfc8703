"""Building, keeping and loading models; the model that ships."""

import json
from dataclasses import asdict, replace

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from course import ROOT, CourseError
from course.model.models import (
    SHIPPED,
    ModelConfig,
    build_model,
    build_schedule,
    choose_device,
    load_model,
    read_config,
    save_model,
    ship,
)
from course.model.prompts import for_scenes
from course.model.sampling import draw
from course.model.scenes import SIZES
from course.model.training import PRESETS

TINY = ModelConfig(base_channels=8, channel_mults=(1, 2), time_dim=16, attention=True)


@pytest.fixture
def tiny(solutions):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return build_model(solutions, TINY).eval()


def test_a_model_survives_saving(tmp_path, tiny, solutions):
    path = tmp_path / "model.safetensors"
    save_model(path, tiny, TINY)
    again, config = load_model(path, solutions)
    assert config == TINY
    x, t, labels = torch.randn(3, 1, 28, 28), torch.tensor([0, 5, 999]), torch.tensor([0, 9, 10])
    with torch.no_grad():
        assert torch.equal(tiny(x, t, labels), again(x, t, labels))


@pytest.mark.parametrize("name", PRESETS)
def test_the_configuration_of_every_preset_can_be_read_again(name, tmp_path):
    """One that wrote 2 where 2.0 was expected trained to its end, and could not be drawn with."""
    preset, path = PRESETS[name], tmp_path / "model.safetensors"
    config = preset.model
    if config.text is not None:
        config = for_scenes(config, preset.pictures if preset.pictures in SIZES else "large scenes")
    save_model(path, torch.nn.Linear(1, 1), config)
    assert read_config(path) == config


def test_half_precision_halves_the_file_and_hardly_changes_the_output(tmp_path, tiny, solutions):
    exact, half = tmp_path / "exact.safetensors", tmp_path / "half.safetensors"
    save_model(exact, tiny, TINY)
    save_model(half, tiny, TINY, half=True)
    assert half.stat().st_size < 0.65 * exact.stat().st_size
    again, _ = load_model(half, solutions)
    for (name, before), after in zip(tiny.state_dict().items(), again.state_dict().values()):
        assert after.dtype == torch.float32
        # Half precision has 11 binary digits; biases and scales stay as they are.
        assert torch.allclose(before, after, rtol=2**-11 if before.dim() > 1 else 0, atol=1e-7), (
            name
        )
    assert not torch.equal(tiny.conv_in.weight, again.conv_in.weight)


def test_weights_that_share_memory_can_be_saved(tmp_path, tiny, solutions):
    tiny.middle2 = tiny.middle1
    save_model(tmp_path / "model.safetensors", tiny, TINY)
    again, _ = load_model(tmp_path / "model.safetensors", solutions)
    assert torch.equal(again.middle2.conv1.weight, tiny.middle1.conv1.weight)


@pytest.fixture
def told(tmp_path, tiny, solutions):
    """Call it with a change to a good file and words that the error has to hold."""
    path = tmp_path / "model.safetensors"
    save_model(path, tiny, TINY)
    load_model(path, solutions)

    def check(words, change):
        with safe_open(path, framework="pt") as file:
            metadata = dict(file.metadata())
            tensors = {key: file.get_tensor(key) for key in file.keys()}
        changed = tmp_path / "changed.safetensors"
        change(tensors, metadata)
        save_file(tensors, changed, metadata=metadata)
        with pytest.raises(CourseError, match=words) as error:
            load_model(changed, solutions)
        assert str(changed) in str(error.value), "which file?"

    return check


def test_a_missing_file_is_told(tmp_path, solutions):
    with pytest.raises(CourseError, match="there is no model at .*make one with: course train"):
        load_model(tmp_path / "none.safetensors", solutions)


@pytest.mark.parametrize("kept", [0, 5, 5000, -1])
def test_a_file_cut_short_is_told(tmp_path, solutions, kept):
    path = tmp_path / "short.safetensors"
    path.write_bytes(SHIPPED.read_bytes()[:kept])
    words = f"short.safetensors .{path.stat().st_size:,} bytes. is no whole safetensors file"
    with pytest.raises(CourseError, match=words):
        load_model(path, solutions)


def test_something_else_is_told(tmp_path, solutions):
    path = tmp_path / "checkpoint.pt"
    torch.save({"weight": torch.zeros(300)}, path)
    with pytest.raises(CourseError, match="is no whole safetensors file"):
        load_model(path, solutions)


def test_one_flipped_bit_is_told(tmp_path, solutions):
    data = bytearray(SHIPPED.read_bytes())
    data[-1000] ^= 4
    path = tmp_path / "damaged.safetensors"
    path.write_bytes(data)
    with pytest.raises(CourseError, match="are not those it was written with .*get it again"):
        load_model(path, solutions)


def test_altered_weights_are_told(told):
    told(
        "are not those it was written with",
        lambda tensors, metadata: tensors["conv_in.bias"].add_(1e-6),
    )


def test_a_file_from_elsewhere_is_told(told, solutions):
    told(
        "was not written by this course: its metadata should hold config",
        lambda tensors, metadata: metadata.clear(),
    )
    with pytest.raises(CourseError, match="judge.safetensors is not one that this version"):
        load_model(ROOT / "models" / "judge.safetensors", solutions)


def test_a_file_without_a_hash_is_from_an_older_version_and_still_read(tmp_path, tiny, solutions):
    path = tmp_path / "old.safetensors"
    weights = {name: value.contiguous() for name, value in tiny.state_dict().items()}
    save_file(weights, path, metadata={"config": json.dumps(asdict(TINY))})
    again, config = load_model(path, solutions)
    assert config == TINY and torch.equal(again.conv_in.weight, tiny.conv_in.weight)


@pytest.mark.parametrize(
    "field, value",
    [
        ("base_channels", "8"),
        ("base_channels", 0),
        ("base_channels", 9),
        ("groups", 0),
        ("channel_mults", []),
        ("channel_mults", [1, "2"]),
        ("channel_mults", 2),
        ("channel_mults", [[1], [2]]),
        ("channel_mults", [1, 1.5]),
        ("channel_mults", [1, 1, 1, 1]),
        ("channel_mults", [1] * 100_000),
        ("base_channels", 10**6),
        ("base_channels", -8),
        ("groups", -8),
        ("time_dim", 10**9),
        ("time_dim", 5),
        ("num_classes", 0),
        ("num_classes", 10**12),
        ("num_steps", 0),
        ("num_steps", 10**15),
        ("data", {"a": {"b": {}}}),
        ("attention", 1),
        ("prediction", "x0"),
        ("colours", 3),
        ("shift", True),
        ("shift", 10**400),
        ("image_size", 0),
        ("image_size", 27),
        ("image_channels", 10**6),
        ("text", 3),
    ],
)
def test_a_configuration_that_makes_no_sense_is_told(told, field, value):
    def change(tensors, metadata):
        metadata["config"] = json.dumps({**json.loads(metadata["config"]), field: value})

    told("is not one that this version of the course writes", change)


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a":' * 100_000, "[]", "3", "null", ""])
def test_a_configuration_that_is_something_else_is_told(told, text):
    def change(tensors, metadata):
        metadata["config"] = text

    told("is not one that this version of the course writes", change)


def test_weights_that_do_not_fit_are_told(tmp_path, tiny, solutions):
    path = tmp_path / "model.safetensors"
    save_model(path, tiny, replace(TINY, base_channels=16))
    with pytest.raises(CourseError, match=r"do not fit .* solutions/.*\[32, 16\].*\[64, 16\]"):
        load_model(path, solutions)
    save_model(path, tiny, replace(TINY, attention=False))
    with pytest.raises(CourseError, match="do not fit the network .*course train --impl exercises"):
        load_model(path, solutions)


def test_a_runs_model_can_be_shipped(tmp_path, tiny, solutions):
    (tmp_path / "run" / "models").mkdir(parents=True)
    model = tmp_path / "run" / "models" / "model.safetensors"
    shipped = tmp_path / "mnist.safetensors"
    save_model(model, tiny, TINY)
    with pytest.raises(CourseError, match="was trained on mnist"):
        ship(tmp_path / "run", solutions, tmp_path)
    assert not shipped.exists()
    config = replace(TINY, data="MNIST")
    save_model(model, tiny, config)
    path, change, size = ship(tmp_path / "run", solutions, tmp_path)
    assert path == shipped and load_model(shipped, solutions)[1] == config
    assert shipped.stat().st_size < 0.65 * model.stat().st_size
    assert 1e-7 < change < 0.01 < size


def test_an_absent_device_is_told():
    assert choose_device("cpu") == torch.device("cpu")
    with pytest.raises(CourseError, match="there is no device 'tpu' here; there is: "):
        choose_device("tpu")


def test_the_shipped_model_is_small_and_has_a_card(solutions):
    assert SHIPPED.stat().st_size <= 8e6
    with safe_open(SHIPPED, framework="pt") as file:
        assert "sha256" in file.metadata()
    card = (ROOT / "models" / "mnist.md").read_text()
    model, config = load_model(SHIPPED, solutions)
    assert config.data == "MNIST" and config.data in card
    parameters = sum(p.numel() for p in model.parameters())
    assert f"{parameters:,}" in card


def test_drawing_follows_seed_and_label(tiny, solutions):
    def drawn(labels, **options):
        return draw(solutions, tiny, TINY, labels, num_steps=3, **options)[0]

    assert torch.equal(drawn([3, 4], seed=1), drawn([3, 4], seed=1))
    assert not torch.equal(drawn([3], seed=1), drawn([3], seed=2))
    assert not torch.equal(drawn([3], seed=1), drawn([4], seed=1))
    assert not torch.equal(drawn([3], guidance=0.0), drawn([3], guidance=3.0))
    # Without a label there is nothing to step away from; float32 rounding is all that differs.
    assert torch.allclose(drawn([None], guidance=0.0), drawn([None], guidance=2.0), atol=1e-3)


def test_the_film_ends_with_the_picture(tiny, solutions):
    images, film = draw(solutions, tiny, TINY, [1, 2], num_steps=6, film_frames=4)
    assert len(film) == 4 and film[0].shape == (2, 1, 28, 28)
    assert torch.equal(film[-1], images)


def test_the_shipped_model_draws_bright_strokes_on_black(solutions):
    """Not a judge of digits, but broken weights or samplers do not get this far."""
    model, config = load_model(SHIPPED, solutions)
    images, _ = draw(solutions, model, config, list(range(10)), num_steps=20)
    frame = torch.cat([images[..., :2, :].flatten(), images[..., -2:, :].flatten()])
    assert float((frame < -0.9).float().mean()) > 0.95
    ink = ((images + 1) / 2).clamp(0, 1).mean(dim=(1, 2, 3))
    assert float(ink.min()) > 0.03 and float(ink.max()) < 0.35


def test_respaced_walks_pass_through_the_same_noise_levels(solutions):
    ch02, ch06 = (
        solutions.chapter(name) for name in ("ch02_forward_process", "ch06_guided_sampling")
    )
    full = build_schedule(solutions, ModelConfig())
    for steps in (2, 7, 100, 1000):
        betas, timesteps = ch06.respace(full.betas, steps)
        assert len(betas) == len(timesteps) == steps and timesteps[-1] == 999
        assert (timesteps.diff() > 0).all()
        short = ch02.make_schedule(betas).alpha_bars
        assert torch.allclose(short, full.alpha_bars[timesteps], rtol=1e-4, atol=0)
    with pytest.raises(ValueError, match="between 2 and 1000, got 1"):
        ch06.respace(full.betas, 1)
