"""Muon: its directions are orthogonal, its steps PyTorch's, and a run goes on with it."""

import copy

import pytest
import torch
from torch import nn

from course.model.models import build_model
from course.model.muon import Muon, Together, muon_and_adamw, orthogonal, split_weights
from course.model.training import PRESETS


def draws(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("shape", [(3, 8, 40), (2, 40, 8), (1, 1, 9)])
def test_all_singular_values_come_near_one(shape):
    matrices = draws(*shape)
    found = orthogonal(matrices)
    values = torch.linalg.svdvals(found)
    assert values.min() > 0.6 and values.max() < 1.3
    u, _, vh = torch.linalg.svd(matrices, full_matrices=False)
    assert torch.linalg.matrix_norm(found - u @ vh, 2).max() < 0.4  # the directions stay


def test_a_step_is_that_of_pytorch():
    theirs = getattr(torch.optim, "Muon", None)
    if theirs is None:
        pytest.skip("this PyTorch has no Muon; 2.9 and later have one, for matrices")
    mine, other = nn.Linear(12, 30, bias=False), nn.Linear(12, 30, bias=False)
    other.load_state_dict(mine.state_dict())
    before = mine.weight.detach().clone()
    one = Muon([mine.weight], lr=0.1, weight_decay=0.5)
    two = theirs([other.weight], lr=0.1, weight_decay=0.5, adjust_lr_fn="match_rms_adamw")
    for step in range(3):
        mine.weight.grad = draws(3, 30, 12)[step]
        other.weight.grad = mine.weight.grad.clone()
        one.step()
        two.step()
    moved = (mine.weight - before).norm()
    assert (mine.weight - other.weight).norm() < 0.02 * moved  # theirs computes in bfloat16


def test_kernels_are_moved_as_matrices_and_weights_of_one_shape_alike():
    """A kernel as the matrix (out, in * 9), whether alone or beside others of its shape."""
    kernels = [nn.Parameter(draws(2, 6, 4, 3, 3)[n]) for n in range(2)]
    flat = [nn.Parameter(kernel.detach().flatten(1)) for kernel in kernels]
    gradients = draws(2, 6, 4, 3, 3).flip(0)
    for weights, shape in ((kernels, (6, 4, 3, 3)), (flat, (6, 36))):
        for weight, gradient in zip(weights, gradients):
            weight.grad = gradient.reshape(shape).clone()
    Muon(kernels, lr=0.1).step()
    for weight in flat:
        Muon([weight], lr=0.1).step()
    for kernel, matrix in zip(kernels, flat):
        assert torch.allclose(kernel.flatten(1), matrix, atol=1e-6)


def network(solutions) -> nn.Module:
    return build_model(solutions, PRESETS["smoke"].model)


def test_every_weight_has_one_optimiser(solutions):
    model = network(solutions)
    matrices, others = split_weights(model)
    assert len(matrices) + len(others) == len(list(model.parameters()))
    assert all(weight.ndim >= 2 for weight in matrices)
    names = {name: weight for name, weight in model.named_parameters()}
    for outside in ("conv_in.weight", "conv_out.weight"):
        assert any(names[outside] is weight for weight in others), outside
    groups = muon_and_adamw(model, 1e-3, 0.0).param_groups
    assert sum(len(group["params"]) for group in groups) == len(names)


def test_together_gives_all_that_a_checkpoint_needs(solutions):
    """After a state is put back, the next step is the same to the bit."""
    one = network(solutions)

    def step(model: nn.Module, optimizer: Together) -> None:
        optimizer.zero_grad()
        x, t, labels = draws(2, 1, 28, 28), torch.tensor([10, 500]), torch.tensor([3, 7])
        model(x, t, labels).square().mean().backward()
        for group in optimizer.param_groups:
            group["lr"] = 0.01
        optimizer.step()

    first = muon_and_adamw(one, 1e-3, 1e-4)
    step(one, first)
    other = copy.deepcopy(one)
    second = muon_and_adamw(other, 1e-3, 1e-4)
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    before = {name: weight.clone() for name, weight in one.state_dict().items()}
    step(one, first)
    step(other, second)
    for name, weight in one.state_dict().items():
        assert torch.equal(weight, other.state_dict()[name]), name
        assert not torch.equal(weight, before[name]), f"{name} did not move"
