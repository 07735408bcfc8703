"""The benchmarks of speed compare like with like."""

import sys

import pytest
import torch

from benchmarks import training_speed
from benchmarks.sampling_speed import diffusers_draw
from course.model.models import SHIPPED, load_model
from course.model.sampling import draw
from course.model.training import PRESETS, Run
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
    held_out = training_speed.HeldOut(CPU, 64)
    before = held_out.error(peer)
    source = training_speed.batches(mnist())
    given = [tuple(part[:8] for part in next(source)) for _ in range(25)]
    training_speed.train(peer, given, 0)
    assert held_out.error(peer) < 0.8 * before


def test_the_error_is_the_one_that_runs_report(tmp_path):
    run = Run(tmp_path, PRESETS["laptop"], Implementation("solutions"), "mnist", "cpu", quiet=True)
    entry = training_speed.course(CPU)
    assert training_speed.HeldOut(CPU, 128).error(entry) == pytest.approx(run.held_out_eps_mse(128))


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
