"""The diffusion of points in the plane: it learns, and takes what is handed in."""

import pytest
import torch

from course.grading.code import reference
from course.pages import toy

ch02 = reference().chapter("ch02_forward_process")


@pytest.fixture(scope="module")
def moons():
    """A network that has seen the two moons, with the points and groups that it saw."""
    points, groups = toy.points_on(toy.SHAPES["moons"], 5000)
    network = toy.Network(num_groups=2)
    losses = toy.train(network, points, groups, num_updates=2000)
    return network, points, groups, losses


def like_a_gaussian(points):
    """As many points with the same mean and covariance, and no shape."""
    flat = points.flatten(1)
    spread = torch.linalg.cholesky(flat.T.cov())
    drawn = torch.randn(flat.shape, generator=torch.Generator().manual_seed(3))
    return (drawn @ spread.T + flat.mean(0)).view_as(points)


def test_it_learns_the_distribution(moons):
    network, _, groups, losses = moons
    held_out, _ = toy.points_on(toy.SHAPES["moons"], 1000, seed=1)
    untrained = toy.sample(toy.Network(num_groups=2), groups[:1000])[0]
    noisy = toy.noisy_walk(toy.make_schedule())
    for asked, walk in ((groups, None), (groups, noisy), (torch.full((1000,), 2), None)):
        drawn, film = toy.sample(network, asked[:1000], walk=walk)
        assert drawn.shape == (1000, 2, 1, 1) and len(film) == toy.NUM_STEPS + 1
        assert film[-1] is drawn
        far = toy.distance(drawn, held_out)
        assert far < toy.distance(like_a_gaussian(held_out), held_out) / 2
        assert far < toy.distance(untrained, held_out) / 10
    assert sum(losses[-100:]) / 100 < losses[0] / 3


def test_it_draws_the_group_that_it_is_asked_for(moons):
    network = moons[0]
    moon_0, moon_1 = toy.SHAPES["moons"]
    for group, own, other in ((0, moon_0, moon_1), (1, moon_1, moon_0)):
        drawn, _ = toy.sample(network, torch.full((500,), group))
        near = toy.distance(drawn, toy.points_on([own], 500)[0])
        assert 10 * near < toy.distance(drawn, toy.points_on([other], 500)[0])


def test_guidance_leads_away_from_the_other_group(moons):
    network = moons[0]
    asked = torch.zeros(500, dtype=torch.int64)
    plain, guided = (toy.sample(network, asked, guidance=w)[0] for w in (0.0, 3.0))
    others = toy.points_on(toy.SHAPES["moons"][1:], 500)[0]
    assert toy.distance(guided, others) > 1.2 * toy.distance(plain, others)


def test_it_is_the_same_every_time():
    points, groups = toy.points_on(toy.SHAPES["star"], 500)
    ends = []
    for _ in range(2):
        torch.rand(7)  # the state of the global generator does not matter
        network = toy.Network(num_groups=3)
        toy.train(network, points, groups, num_updates=20)
        ends.append(toy.sample(network, groups[:10])[0])
    assert torch.equal(*ends)
    assert not torch.equal(ends[0], toy.sample(network, groups[:10], seed=1)[0])


def test_what_is_handed_in_is_used():
    points, groups = toy.points_on(toy.SHAPES["moons"], 500)
    schedule = ch02.make_schedule(torch.linspace(0.001, 0.4, 20))
    network = toy.Network(num_groups=2, num_steps=20)
    steps = []

    def q_sample(x0, t, eps, alpha_bars):
        steps.append(t)
        return ch02.q_sample(x0, t, eps, alpha_bars)

    def reverse_step(x, t, eps, noise, given):
        assert given is schedule
        return x * 0 + t.view(-1, 1, 1, 1)

    toy.train(network, points, groups, 30, schedule=schedule, q_sample=q_sample)
    assert len(steps) == 30 and set(torch.cat(steps).tolist()) == set(range(20))
    walk = toy.noisy_walk(schedule, reverse_step)
    _, film = toy.sample(network, groups[:5], walk=walk)
    assert [frame[0, 0].item() for frame in film[1:]] == list(range(19, -1, -1))


@pytest.mark.parametrize("name", toy.SHAPES)
def test_points_are_on_their_lines(name):
    lines = toy.SHAPES[name]
    points, groups = toy.points_on(lines, 3000, spread=0.0)
    assert points.abs().max() <= 1
    assert set(groups.tolist()) == set(range(len(lines)))
    for number, line in enumerate(lines):
        corners = torch.tensor(line, dtype=torch.float32)
        starts, ends = corners[:-1], corners[1:]
        own = points[groups == number].flatten(1)[:, None]  # (N, 1, 2)
        # A point is on a piece if the ways to its ends add up to its length.
        detour = (own - starts).norm(dim=2) + (own - ends).norm(dim=2) - (ends - starts).norm(dim=1)
        assert detour.amin(dim=1).max() < 1e-4


def test_a_longer_line_has_more_points():
    _, groups = toy.points_on([[(0, 0), (0.9, 0)], [(0, 0.5), (0.3, 0.5)]], 8000)
    assert (groups == 0).float().mean().item() == pytest.approx(0.75, abs=0.02)


def test_its_figures_are_drawn(moons):
    network, _, groups, _ = moons
    _, film = toy.sample(network, groups[:50])
    walk = toy.walk_figure(film, groups[:50], paths=4)
    assert len(walk.axes) == 7 and len(walk.axes[-1].lines) == 12
    arrows = toy.arrows_figure(network, film, groups[:50], (0, 60, 100))
    titles = [axes.get_title() for axes in arrows.axes]
    assert titles == ["pure noise", "after 60 steps", "after all 100 steps"]
