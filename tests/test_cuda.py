"""Training on a GPU. Without one all of this is skipped."""

from dataclasses import replace

import pytest
import torch

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


def test_a_gpu_and_a_cpu_train_alike(tmp_path, solutions):
    """They draw the same noise, so that only rounding differs."""
    gpu, cpu = (
        make_run(tmp_path / "gpu", solutions),
        make_run(tmp_path / "cpu", solutions, device="cpu"),
    )
    assert losses_of(gpu) == pytest.approx(losses_of(cpu), rel=0.02)


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
