"""The benchmarks of speed compare like with like."""

import sys
from dataclasses import replace

import pytest
import torch

from benchmarks import gpu, training_speed
from benchmarks.sampling_speed import diffusers_draw, lucidrains
from course.model.held_out import eps_mse
from course.model.models import SHIPPED, ModelConfig, build_schedule, load_model
from course.model.sampling import draw
from course.probing.loading import Implementation

CPU = torch.device("cpu")


pytestmark = pytest.mark.usefixtures("mnist")


@pytest.fixture(params=["diffusers", "denoising_diffusion_pytorch"])
def peer(request):
    pytest.importorskip(request.param)
    makers = {"diffusers": training_speed.diffusers}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield makers.get(request.param, training_speed.lucidrains)(CPU, 2e-3)


def test_the_networks_are_of_like_size(peer):
    assert 0.85 <= peer.parameters / training_speed.course(CPU).parameters <= 1.15


def test_every_loop_learns_and_is_measured_with_what_it_learned(peer, mnist):
    alpha_bars = build_schedule(Implementation("solutions"), ModelConfig()).alpha_bars

    def error() -> float:
        return eps_mse(peer.predict_eps, alpha_bars, mnist(train=False), num_images=8)

    before = error()
    source = training_speed.batches(mnist())
    given = [tuple(part[:8] for part in next(source)) for _ in range(25)]
    training_speed.train(peer, given, 0)
    assert error() < 0.8 * before


def test_a_missing_library_is_told_and_left_out(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "diffusers", None)
    names = [entry.name for entry in training_speed.contestants(CPU, None)]
    assert "course" in names and "diffusers" not in names
    assert "diffusers is not installed. Get it with: pip install" in capsys.readouterr().out


@pytest.mark.parametrize("sampler", ["ancestral", "ddim"])
def test_both_samplers_draw_the_same_images(sampler):
    """2m is left out: there diffusers does not clip x_0."""
    solutions = Implementation("solutions")
    model, config = load_model(SHIPPED, solutions)
    ours, _ = draw(solutions, model, config, [3, 7], 1.0, 20, sampler=sampler)
    theirs = diffusers_draw(model, config, sampler, torch.tensor([3, 7]), 20, 0)
    assert (ours - theirs).abs().max() < 0.02


def test_lucidrains_sampler_asks_the_same_network_as_its_own_guidance_does():
    pytest.importorskip("denoising_diffusion_pytorch")
    calls = []

    def network(x, t, labels):
        calls.append((int(t[0]), labels.tolist()))
        return torch.zeros_like(x)

    lucidrains(network, ModelConfig(prediction="v"), torch.tensor([3, 7]), 4)()
    assert calls == [(t, labels) for t in (999, 749, 499, 249) for labels in ([3, 7], [10, 10])]


@pytest.mark.parametrize("changes", [{}, {"lr_decay": True}, {"precision": "bfloat16"}])
def test_the_whole_step_of_the_gpu_benchmark_is_that_of_a_run(tmp_path, changes):
    """On a CPU both draw the same, so that weights and average must agree."""
    size = gpu.Size(**{**vars(gpu.SMOKE), "preset": replace(gpu.SMOKE.preset, images_per_epoch=64)})
    run, base = (gpu.make_run(size, CPU, tmp_path, False, **changes) for _ in "ab")
    whole = gpu.Whole(base, base.preset.precision)
    for step, index in enumerate(torch.arange(48).split(8)):
        loss = next(run.steps([run.train_set.batch(index)], step))
        whole.step_once(index)
        assert float(whole.loss) == pytest.approx(loss, rel=1e-4)
    for ours, theirs in ((run.model, base.model), (run.ema.model, base.ema.model)):
        # AdamW turns the rounding of a gradient near zero into a whole step, but few are that near.
        one, other = (torch.cat([p.flatten() for p in m.parameters()]) for m in (ours, theirs))
        assert (one - other).abs().mean() < 0.01 * size.preset.lr
