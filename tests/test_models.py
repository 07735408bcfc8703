"""Building, keeping and loading models; the model that ships."""

import pytest
import torch
from safetensors.torch import save_file

from course import ROOT, CourseError
from course.models import SHIPPED, ModelConfig, build_model, choose_device, load_model, save_model
from course.sampling import draw

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


def test_a_missing_damaged_or_foreign_file_is_told(tmp_path, solutions):
    with pytest.raises(CourseError, match="there is no model at"):
        load_model(tmp_path / "none.safetensors", solutions)
    damaged = tmp_path / "damaged.safetensors"
    damaged.write_bytes(SHIPPED.read_bytes()[:5000])
    with pytest.raises(CourseError, match="damaged or was not written by this course"):
        load_model(damaged, solutions)
    foreign = tmp_path / "foreign.safetensors"
    save_file({"weight": torch.zeros(3)}, foreign)
    with pytest.raises(CourseError, match="damaged or was not written by this course"):
        load_model(foreign, solutions)


def test_weights_that_do_not_fit_are_told(tmp_path, tiny, solutions):
    path = tmp_path / "model.safetensors"
    save_model(path, tiny, ModelConfig(base_channels=16, channel_mults=(1, 2), time_dim=16))
    with pytest.raises(CourseError, match="do not fit the network in solutions/"):
        load_model(path, solutions)


def test_an_absent_device_is_told():
    assert choose_device("cpu") == torch.device("cpu")
    with pytest.raises(CourseError, match="there is no device 'tpu' here; there is: "):
        choose_device("tpu")


def test_the_shipped_model_is_small_and_has_a_card(solutions):
    assert SHIPPED.stat().st_size <= 8e6
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
    ch01, ch06 = solutions.chapter("ch01_noise_schedule"), solutions.chapter("ch06_guided_sampling")
    full = ch01.make_schedule(ch01.cosine_betas(1000))
    for steps in (2, 7, 100, 1000):
        betas, timesteps = ch06.respace(full.betas, steps)
        assert len(betas) == len(timesteps) == steps and timesteps[-1] == 999
        assert (timesteps.diff() > 0).all()
        short = ch01.make_schedule(betas).alpha_bars
        assert torch.allclose(short, full.alpha_bars[timesteps], rtol=1e-4, atol=0)
    with pytest.raises(ValueError, match="between 2 and 1000, got 1"):
        ch06.respace(full.betas, 1)
