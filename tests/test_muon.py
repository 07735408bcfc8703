"""Muon: its directions are orthogonal, its steps PyTorch's, and a state can be put back."""

import copy
from dataclasses import replace

import pytest
import torch
from torch import nn

from course.model.models import TextConfig, build_model
from course.model.muon import Muon, orthogonal, split_weights
from course.model.training import PRESETS

TINY = PRESETS["smoke"].model


def draws(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


class Layers(nn.Module):
    """Some weights of one shape, without biases, and one number for AdamW."""

    def __init__(self, weights: list[torch.Tensor]):
        super().__init__()
        self.weights = nn.ParameterList(weight.clone() for weight in weights)
        self.scale = nn.Parameter(torch.ones(1))

    def point(self, gradients: list[torch.Tensor]) -> None:
        for weight, gradient in zip(self.weights, gradients):
            weight.grad = gradient.reshape(weight.shape).clone()


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
    before = draws(30, 12)
    mine, other = Layers([before]), nn.Parameter(before.clone())
    one = Muon(mine, lr=0.1, weight_decay=0.5)
    two = theirs([other], lr=0.1, weight_decay=0.5, adjust_lr_fn="match_rms_adamw")
    for gradient in draws(3, 30, 12).flip(0):
        mine.point([gradient])
        other.grad = gradient.clone()
        one.step()
        two.step()
    moved = (other - before).norm()
    assert (mine.weights[0] - other).norm() < 0.02 * moved  # theirs computes in bfloat16


def test_kernels_are_moved_as_matrices_and_weights_of_one_shape_alike():
    """A kernel as the matrix (out, in * 9), whether alone or beside others of its shape."""
    kernels, gradients = draws(2, 6, 4, 3, 3), draws(2, 6, 4, 3, 3).flip(0)
    both = Layers(list(kernels))
    both.point(list(gradients))
    Muon(both, lr=0.1, weight_decay=0.0).step()
    for moved, kernel, gradient in zip(both.weights, kernels, gradients):
        alone = Layers([kernel.flatten(1)])
        alone.point([gradient])
        Muon(alone, lr=0.1, weight_decay=0.0).step()
        assert torch.allclose(moved.flatten(1), alone.weights[0], atol=1e-6)


@pytest.mark.parametrize("text", [None, TextConfig(words=("a", "red"), length=4, dim=8)])
def test_every_weight_has_one_optimiser(solutions, text):
    model = build_model(solutions, replace(TINY, text=text))
    matrices, others = ({id(w) for w in part} for part in split_weights(model))
    assert not matrices & others and len(matrices | others) == len(list(model.parameters()))
    assert all(weight.ndim >= 2 for weight in model.parameters() if id(weight) in matrices)
    names = dict(model.named_parameters())
    tables = [part.weight for part in model.modules() if isinstance(part, nn.Embedding)]
    assert len(tables) >= 1
    for weight in (names["conv_in.weight"], names["conv_out.weight"], *tables):
        assert id(weight) in others
    assert any("conv1" in name for name, weight in names.items() if id(weight) in matrices)


def some_loss(model: nn.Module) -> torch.Tensor:
    x, t, labels = draws(2, 1, 28, 28), torch.tensor([10, 500]), torch.tensor([3, 7])
    return (model(x, t, labels) - x).square().mean()


@pytest.fixture
def begun(solutions):
    """A network and its average after one step, and the optimiser."""
    torch.manual_seed(0)
    ch05 = solutions.chapter("ch05_training")
    model = build_model(solutions, TINY)
    parts = [model, ch05.EMA(model), Muon(model, lr=0.01, weight_decay=1e-4)]
    ch05.training_step(*parts, some_loss)
    return parts


def test_a_state_that_is_put_back_makes_the_same_step(begun):
    model, _, optimizer = begun
    other = copy.deepcopy(model)
    fresh = Muon(other, lr=0.01, weight_decay=1e-4)
    fresh.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    for network, its_own in ((model, optimizer), (other, fresh)):
        its_own.zero_grad()
        some_loss(network).backward()
        its_own.step()
    for name, weight in model.state_dict().items():
        assert torch.equal(weight, other.state_dict()[name]), name
        assert not torch.equal(weight, before[name]), f"{name} did not move"
