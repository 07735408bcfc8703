"""The explorer draws what its widgets say, and stops when it is told to."""

import time

import pytest
import torch

from course.model.exported import Exported
from course.model.models import SHIPPED_FEW
from course.model.sampling import draw
from course.pages.explorer import ASKS, FRAMES, Explorer


@pytest.fixture(scope="module")
def explorer():
    return Explorer()


def wait_for_steps(explorer, count):
    deadline = time.monotonic() + 60
    while explorer.bar.value < count:
        assert time.monotonic() < deadline, "no progress"
        time.sleep(0.01)


def test_it_draws_once_when_it_is_made(explorer):
    assert len(explorer.film) == FRAMES and "asked for 0 to 9" in explorer.words.value
    assert explorer.bar.value == explorer.bar.max == explorer.steps.value
    assert "image/png" in explorer.picture.value and "walk.gif" in explorer.files.value


def test_draw_follows_every_setting(explorer):
    explorer.asked.value, explorer.guidance.value, explorer.steps.value = "3", 2.5, 4
    explorer.sampler.value, explorer.seed.value = "ddim", 8
    explorer.start().join()
    wanted, _ = draw(
        explorer._impl,
        explorer._model,
        explorer._config,
        [3] * 10,
        guidance=2.5,
        num_steps=4,
        sampler="ddim",
        seed=8,
    )
    assert torch.equal(explorer.film[-1], wanted)
    assert "asked for 3: w = 2.5, 4 steps of ddim, seed 8" in explorer.words.value


def test_the_film_runs_from_noise_to_digits(explorer):
    shown = []
    for number in (1, len(explorer.film)):
        explorer.moment.value = number
        shown.append(explorer.picture.value)
    assert shown[0] != shown[1] and f"moment {number} of {number} " in shown[1]


def test_stop_ends_the_walk_and_leaves_the_picture(explorer):
    film, picture = explorer.film, explorer.picture.value
    explorer.steps.value, explorer.sampler.value = 200, "ancestral"
    explorer.bar.value = 0
    walk = explorer.start()
    assert explorer.start() is None  # one walk at a time
    wait_for_steps(explorer, 2)
    assert explorer.draw_button.disabled and not explorer.stop_button.disabled
    explorer.stop_button.click()
    walk.join(20)
    assert not walk.is_alive() and 2 <= explorer.bar.value < 150
    assert "stopped after" in explorer.words.value
    assert explorer.film is film and explorer.picture.value == picture
    assert not explorer.draw_button.disabled and explorer.stop_button.disabled
    explorer.steps.value = 2
    explorer.start().join()  # and it draws again
    assert explorer.film is not film


def test_any_digit_asks_for_none():
    assert set(ASKS["any"]) == {None} and ASKS["7"] == [7] * 10


def test_it_takes_the_exported_network_too():
    pytest.importorskip("onnxruntime")
    assert isinstance(Explorer(onnx=True)._model, Exported)


def test_a_distilled_model_draws_in_its_calls_and_leaves_nothing_to_choose():
    explorer = Explorer(SHIPPED_FEW)
    calls = explorer._config.calls
    wanted, _ = draw(
        explorer._impl,
        explorer._model,
        explorer._config,
        list(range(10)),
        guidance=0,
        num_steps=calls,
        sampler="ddim",
        seed=explorer.seed.value,
    )
    assert torch.equal(explorer.film[-1], wanted)
    settings = (explorer.guidance, explorer.steps, explorer.sampler)
    assert all(setting.disabled for setting in settings)
    assert calls == 1 and "w = 0, 1 step of ddim" in explorer.words.value
