"""Training on a GPU. Without one all of this is skipped."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from course.model.recorded import record
from course.model.training import PRESETS, Run

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")

SMOKE = replace(PRESETS["smoke"], images_per_epoch=64, sample_steps=2)


@pytest.fixture(autouse=True)
def single_precision(monkeypatch):
    """Products without TF32, so that a GPU and a CPU agree to float32's digits."""
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)


def make_run(folder, solutions, preset=SMOKE, device="cuda", **options) -> Run:
    return Run(folder, preset, solutions, data="mnist5k", device=device, quiet=True, **options)


def losses_of(run: Run) -> list[float]:
    run.train()
    return run.metrics["losses"]


def replayed(run: Run) -> bool:
    """Is the network's forward that of a recording?"""
    return "forward" in vars(run.model)


def test_a_gpu_and_a_cpu_train_alike(tmp_path, solutions):
    """They draw the same noise, so that only rounding differs."""
    gpu, cpu = (
        make_run(tmp_path / "gpu", solutions),
        make_run(tmp_path / "cpu", solutions, device="cpu"),
    )
    assert replayed(gpu) and not replayed(cpu)
    assert losses_of(gpu) == pytest.approx(losses_of(cpu), rel=0.02)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_recording_changes_no_loss(tmp_path, solutions, precision):
    """And it is the weights of each step that it computes with: the loss falls in the same way."""
    preset = replace(SMOKE, precision=precision, images_per_epoch=256, lr=5e-3)
    plain = make_run(tmp_path / "plain", solutions, preset, recorded=False)
    recorded = make_run(tmp_path / "recorded", solutions, preset)
    assert replayed(recorded) and not replayed(plain)
    expected = losses_of(plain)
    assert expected[-1] < 0.9 * expected[0]
    assert losses_of(recorded) == pytest.approx(expected, rel=0.02)


class Stop(Exception):
    pass


def test_an_interrupted_run_goes_on(tmp_path, solutions):
    """With the same draws and weights; a GPU adds in no fixed order, so not to the bit."""
    whole = losses_of(make_run(tmp_path / "whole", solutions))
    run = make_run(tmp_path / "interrupted", solutions, save_every=1)
    steps = run.steps

    def stop(batches, first_step):
        for step, loss in enumerate(steps(batches, first_step), start=first_step):
            if step == 6:
                raise Stop
            yield loss

    run.steps = stop
    with pytest.raises(Stop):
        run.train()
    assert losses_of(make_run(tmp_path / "interrupted", solutions)) == pytest.approx(
        whole, rel=0.02
    )


class Waiting(nn.Module):
    """Asks the GPU for a number in between, which no recording can do."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(4, 4)

    def forward(self, x):
        return self.layer(x) * (2.0 if x.sum().item() > 0 else 1.0)


def test_a_network_that_waits_is_left_as_it_is():
    model, x = Waiting().cuda(), torch.ones(3, 4, device="cuda")
    assert "synchroniz" in record(model, (x,), "float32")
    assert torch.equal(model(x), 2 * model.layer(x)) and torch.equal(model(-x), model.layer(-x))
    plain = nn.Linear(4, 4).cuda()
    assert record(plain, (x,), "float32") is None, "and others can be recorded after it"
    assert torch.allclose(plain(2 * x), nn.functional.linear(2 * x, plain.weight, plain.bias))
