"""Chapter 11 in the whole: known answers, the map to v and eps, runs and samplers."""

import math
from dataclasses import replace

import pytest
import torch

from course import CourseError
from course.model.models import ModelConfig, build_model, build_schedule, load_model
from course.model.prompts import for_scenes
from course.model.sampling import calls_of, draw, eps_network, velocity_network
from course.model.training import PRESETS, Run, get_preset

FLOW = replace(
    PRESETS["smoke"],
    model=replace(PRESETS["smoke"].model, prediction="flow"),
    images_per_epoch=64,
    sample_steps=2,
)


@pytest.fixture
def ch11(solutions):
    return solutions.chapter("ch11_flow_matching")


def gaussian(mean, std):
    def velocity(x, t):
        t = t.view(-1, 1, 1, 1)
        s = ((1 - t) ** 2 * std**2 + t**2).sqrt()
        return -mean + (t - (1 - t) * std**2) / s**2 * (x - (1 - t) * mean)

    return velocity


@pytest.mark.parametrize(
    "step, num_steps, error",
    [("euler_step", 16, 0.039), ("euler_step", 32, 0.020), ("euler_step", 64, 0.010)]
    + [("heun_step", 16, 1.0e-3), ("heun_step", 32, 2.7e-4), ("heun_step", 64, 7.2e-5)],
)
def test_the_error_of_the_spread_falls_with_slope_1_and_2(ch11, step, num_steps, error):
    ends = torch.tensor([-1.0, 1.0], dtype=torch.float64).view(2, 1, 1, 1)
    x, _ = ch11.flow_sample(gaussian(0.2, 0.4), getattr(ch11, step), ends, num_steps)
    assert abs(float(x[1] - x[0]) / 2 - 0.4) == pytest.approx(error, rel=0.05)


def test_the_straightness_of_gaussian_data_is_the_integral(ch11):
    x_1 = torch.randn(20_000, 1, 1, 1, generator=torch.Generator().manual_seed(0)).double()
    t = torch.linspace(0, 1, 10_001, dtype=torch.float64)
    growth = (t - (1 - t) * 0.4**2) / ((1 - t) ** 2 * 0.4**2 + t**2).sqrt()
    wanted = float(torch.trapezoid(growth**2, t)) - (1 - 0.4) ** 2
    found = float(ch11.straightness(gaussian(0.2, 0.4), x_1, 200))
    assert found == pytest.approx(wanted, rel=0.05)
    straight = float(ch11.straightness(lambda x, t: torch.ones_like(x), x_1, 7))
    assert straight == pytest.approx(0.0, abs=1e-12)


def test_a_uniform_flow_has_the_loss_of_v_on_the_cosine_schedule(ch11):
    """The squared weight of an error of v, times how many times an angle covers, is 1."""
    angles = torch.linspace(0.1, 1.4, 14, dtype=torch.float64)
    ones = torch.ones(14, 1, 1, 1, dtype=torch.float64)

    def time(angle):
        return ch11.to_flow(ones, torch.cos(angle) ** 2)[1]

    weight = ch11.velocity_from_v(0 * ones, ones, torch.cos(angles) ** 2).flatten() ** 2
    often = (time(angles + 1e-5) - time(angles - 1e-5)) / 2e-5
    assert torch.allclose(weight * often, torch.ones_like(angles), atol=1e-6)


def test_a_flow_run_trains_draws_and_goes_on_to_the_same_weights(tmp_path, solutions):
    def run(name, **options):
        settings = {"data": "mnist5k", "device": "cpu", "quiet": True, **options}
        return Run(tmp_path / name, FLOW, solutions, **settings)

    whole, cut = run("whole"), run("cut", save_every=3)
    whole.train()
    batches = cut.batches(0)
    for _, loss in zip(range(3), cut.steps(batches, first_step=cut._begin())):
        cut.metrics["losses"].append(loss)
    cut._save("last.pt", 3)
    run("cut").train()
    paths = [tmp_path / name / "models" / "model.safetensors" for name in ("whole", "cut")]
    one, other = (load_model(path, solutions)[0].state_dict() for path in paths)
    assert all(torch.equal(one[key], other[key]) for key in one)
    model, config = load_model(paths[0], solutions)
    assert config.prediction == "flow"
    for sampler in ("ancestral", "ddim", "2m", "flow-euler", "flow-heun"):
        images, film = draw(
            solutions, model, config, [3, None], num_steps=3, film_frames=2, sampler=sampler
        )
        assert images.shape == (2, 1, 28, 28) and images.isfinite().all() and len(film) == 2
        assert torch.equal(film[-1], images)


def test_what_a_flow_predicts_is_one_and_the_same_as_eps_and_as_velocity(solutions, ch11):
    config = ModelConfig(base_channels=8, channel_mults=(1, 2), time_dim=16, prediction="flow")
    model = build_model(solutions, config).eval().requires_grad_(False)
    alpha_bars = build_schedule(solutions, config).alpha_bars
    x_t = torch.randn(3, 1, 28, 28, generator=torch.Generator().manual_seed(1))
    t, labels = torch.tensor([999, 400, 0]), torch.tensor([1, 2, 10])
    eps = eps_network(solutions, model, config, alpha_bars)(x_t, t, labels)
    x, time = ch11.to_flow(x_t, alpha_bars[t])
    velocity = velocity_network(solutions, model, config, alpha_bars)(x, 1000 * time, labels)
    # The image and the noise at the ends of this line make x_t again.
    x0 = x - time.view(-1, 1, 1, 1) * velocity
    a = alpha_bars[t].view(-1, 1, 1, 1)
    assert torch.allclose(a.sqrt() * x0 + (1 - a).sqrt() * eps, x_t, atol=1e-4)


def test_a_v_network_is_told_the_step_that_is_as_noisy(solutions, ch11):
    config = ModelConfig(prediction="v")
    alpha_bars, told = build_schedule(solutions, config).alpha_bars, []

    def network(x, steps, labels):
        told.append(steps)
        return x

    velocity = velocity_network(solutions, network, config, alpha_bars)
    steps = torch.tensor([999, 750, 300, 7, 0])
    x, time = ch11.to_flow(torch.zeros(5, 1, 2, 2), alpha_bars[steps])
    velocity(x, 1000 * time, steps)
    assert told[0].dtype == torch.float32
    assert torch.allclose(told[0], steps.float(), atol=0.05)
    velocity(x[:2], torch.tensor([1000.0, 0.0]), steps[:2])  # beyond both ends of the schedule
    assert told[1].tolist() == [999.0, 0.0]


def test_a_flow_sampler_follows_the_curve_of_ddim(solutions):
    """The same noise leads to the same picture, whichever rule goes along the curve."""

    def network(x, steps, labels):  # v where each pixel is Gaussian, N(0, 1/4)
        a = torch.cos((steps + 1 + 8) / 1008 * math.pi / 2).view(-1, 1, 1, 1) ** 2
        x0 = a.sqrt() / 4 * x / (a / 4 + 1 - a)
        eps = (1 - a).sqrt() * x / (a / 4 + 1 - a)
        return a.sqrt() * eps - (1 - a).sqrt() * x0

    class Toy(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = torch.nn.Parameter(torch.zeros(()))

        def forward(self, x, steps, labels):
            return network(x, steps, labels)

    config = replace(PRESETS["laptop"].model, image_size=4)
    drawn = {
        sampler: draw(solutions, Toy(), config, [1] * 9, 0.0, 200, sampler=sampler)[0]
        for sampler in ("ddim", "flow-euler", "flow-heun")
    }
    inside = drawn["ddim"].abs() < 0.7  # DDIM clips its guesses
    for sampler in ("flow-euler", "flow-heun"):
        assert (drawn[sampler] - drawn["ddim"])[inside].abs().max() < 0.03


def test_an_eps_network_cannot_begin_in_pure_noise(solutions):
    config = ModelConfig(base_channels=8, channel_mults=(1, 2), time_dim=16, prediction="eps")
    model = build_model(solutions, config)
    with pytest.raises(CourseError, match="predicts eps.*ancestral, ddim or 2m"):
        draw(solutions, model, config, [1], num_steps=2, sampler="flow-euler")


def test_prompts_can_be_drawn_by_a_flow_sampler(solutions):
    config = for_scenes(get_preset("prompts").model, "scenes")
    config = replace(config, base_channels=8, time_dim=16)
    model = build_model(solutions, config).eval()
    prompts = ["a red seven on blue"]
    images, _ = draw(solutions, model, config, prompts, num_steps=2, sampler="flow-heun")
    assert images.shape == (1, *config.image_shape) and images.isfinite().all()


def test_heun_asks_twice_in_each_step(solutions):
    config = ModelConfig(base_channels=8, channel_mults=(1, 2), time_dim=16, prediction="flow")
    model, asked = build_model(solutions, config).eval(), []
    draw(
        solutions, model, config, [1], num_steps=3, sampler="flow-heun",
        on_step=lambda done, total: asked.append((done, total)),
    )  # fmt: skip
    assert asked == [(number, 6) for number in range(6)] and calls_of("flow-heun", 3) == 6
    assert calls_of("flow-euler", 3) == calls_of("ddim", 3) == 3
