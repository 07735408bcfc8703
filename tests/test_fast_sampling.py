"""Chapter 07 against diffusers' schedulers, against theory, and inside `draw`."""

import pytest
import torch
from diffusers import DDIMScheduler, DPMSolverMultistepScheduler

from course import CourseError
from course.model.models import SHIPPED, ModelConfig, build_schedule, load_model
from course.model.sampling import draw
from course.probing.loading import Implementation

T = 1000


@pytest.fixture(scope="module")
def ch07(solutions):
    return solutions.chapter("ch07_fast_sampling")


@pytest.fixture(scope="module")
def alpha_bars(solutions):
    ch01 = solutions.chapter("ch01_noise_schedule")
    return ch01.compute_alpha_bars(ch01.cosine_betas(T)).double()


@pytest.fixture(scope="module")
def predict_x0(solutions):
    return solutions.chapter("ch02_forward_process").predict_x0


@pytest.fixture
def x_T():
    """In float64, for the first guess of x_0 makes 20,000 of a rounding error in eps."""
    return torch.randn(3, 2, 5, 7, generator=torch.Generator().manual_seed(3)).double()


def ddim_scheduler(alpha_bars, **options):
    scheduler = DDIMScheduler(
        num_train_timesteps=T,
        beta_schedule="squaredcos_cap_v2",
        set_alpha_to_one=True,
        timestep_spacing="trailing",
        **options,
    )
    scheduler.alphas_cumprod = alpha_bars
    scheduler.final_alpha_cumprod = torch.ones((), dtype=torch.float64)
    return scheduler


def network(alpha_bars, mean=0.2, std=0.3, error=0.0):
    """The exact eps where the data is N(mean, std^2); or one that is wrong by `error`."""

    def eps(x, t):
        a = alpha_bars[t].view(-1, 1, 1, 1)
        right = (1 - a).sqrt() * (x - a.sqrt() * mean) / (a * std**2 + 1 - a)
        return right + error * torch.cos(3 * x)

    return eps


@pytest.mark.parametrize("spacing", ["trailing", "leading", "linspace"])
@pytest.mark.parametrize("num_steps", [7, 10, 25, 50, 333])
def test_the_grids_are_those_of_diffusers(ch07, alpha_bars, spacing, num_steps):
    scheduler = DDIMScheduler(num_train_timesteps=T, timestep_spacing=spacing)
    scheduler.set_timesteps(num_steps)
    grid = ch07.time_grid(alpha_bars, num_steps, spacing)
    assert grid.tolist() == scheduler.timesteps.tolist()


def test_the_log_snr_grid_of_the_cosine_schedule(ch07, alpha_bars):
    grid = ch07.time_grid(alpha_bars, 10, "log_snr")
    assert grid[0] == T - 1 and grid[-1] == 0 and len(grid) == 10
    lambdas = torch.logit(alpha_bars[grid]) / 2
    assert (lambdas[2:].diff() / lambdas[2:].diff().mean() - 1).abs().max() < 0.1
    without_limit = ch07.time_grid(alpha_bars, 10, "log_snr", lambda_min=-100.0)
    noisy = [int((g > 950).sum()) for g in (grid, without_limit)]
    assert noisy[0] < noisy[1]


@pytest.mark.parametrize("eta", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("num_steps", [10, 50])
@pytest.mark.parametrize("error", [0.0, 0.1])
def test_a_ddim_walk_agrees_with_diffusers(
    ch07, predict_x0, alpha_bars, x_T, eta, num_steps, error
):
    """With a network that errs x_0 is clipped in many steps; diffusers then derives eps again
    if it is asked to."""
    scheduler = ddim_scheduler(alpha_bars, clip_sample=True, clip_sample_range=1.0)
    scheduler.set_timesteps(num_steps)
    eps = network(alpha_bars, error=error)
    theirs, worst = x_T, [0.0]

    def step(x, t, t_next, eps_t, noise, memory):
        nonlocal theirs
        now = int(t[0])
        x = ch07.ddim_step(x, t, t_next, eps_t, noise, alpha_bars, predict_x0, eta)
        theirs = scheduler.step(
            eps(theirs, t), now, theirs, eta=eta, use_clipped_model_output=True,
            variance_noise=noise,
        ).prev_sample  # fmt: skip
        worst[0] = max(worst[0], float((x - theirs).abs().max()))
        return x, None

    grid = ch07.time_grid(alpha_bars, num_steps)
    assert grid.tolist() == scheduler.timesteps.tolist()
    ch07.fast_sample(eps, step, x_T, grid, torch.Generator().manual_seed(1))
    assert worst[0] < 1e-4


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("num_steps", [8, 10, 25, 50])
def test_a_walk_of_dpm_solver_agrees_with_diffusers(
    ch07, predict_x0, alpha_bars, x_T, order, num_steps
):
    """Where no x_0 leaves [-1, 1], for diffusers does not clip it."""
    scheduler = DPMSolverMultistepScheduler(
        num_train_timesteps=T,
        beta_schedule="squaredcos_cap_v2",
        algorithm_type="dpmsolver++",
        solver_order=order,
        solver_type="midpoint",
        timestep_spacing="trailing",
        final_sigmas_type="zero",
    )
    scheduler.alphas_cumprod = alpha_bars
    scheduler.set_timesteps(num_steps)
    eps = network(alpha_bars, std=0.1)
    theirs, worst = x_T, [0.0]

    def step(x, t, t_next, eps_t, noise, memory):
        nonlocal theirs
        theirs = scheduler.step(eps(theirs, t), t[0], theirs).prev_sample
        if order == 1:
            x = ch07.dpm_step(x, t, t_next, eps_t, alpha_bars, predict_x0)
        else:
            x, memory = ch07.dpm_2m_step(x, t, t_next, eps_t, alpha_bars, predict_x0, memory)
        worst[0] = max(worst[0], float((x - theirs).abs().max()))
        return x, memory

    grid = ch07.time_grid(alpha_bars, num_steps)
    assert grid.tolist() == scheduler.timesteps.tolist()
    ch07.fast_sample(eps, step, x_T, grid)
    assert worst[0] < 1e-4


def test_first_order_is_ddim_at_every_pair_of_steps(ch07, predict_x0, alpha_bars):
    generator = torch.Generator().manual_seed(2)
    t = torch.randint(1, T, (300,), generator=generator)
    t_next = (torch.rand(300, generator=generator) * (t + 1)).long() - 1
    x, eps = torch.randn(2, 300, 1, 3, 2, generator=generator)
    bars = alpha_bars.float()
    ddim = ch07.ddim_step(x, t, t_next, eps, None, bars, predict_x0)
    assert ddim.dtype == torch.float32
    assert torch.allclose(ch07.dpm_step(x, t, t_next, eps, bars, predict_x0), ddim, atol=2e-5)


def test_ddim_with_eta_1_is_chapter_06(ch07, predict_x0, solutions, alpha_bars):
    """On the full grid every step, noise included, to float32."""
    schedule = build_schedule(solutions, ModelConfig(num_steps=T))
    p_sample = solutions.chapter("ch06_guided_sampling").p_sample
    t = torch.arange(T)
    x, eps, noise = torch.randn(3, T, 1, 2, 3, generator=torch.Generator().manual_seed(4))
    ours = ch07.ddim_step(x, t, t - 1, eps, noise, schedule.alpha_bars, predict_x0, 1.0)
    q_posterior = solutions.chapter("ch02_forward_process").q_posterior
    theirs = p_sample(x, t, eps, noise, schedule, predict_x0, q_posterior)
    # At the smallest t the betas are 1e-4, of which 1 - a / a_next in float32 keeps three digits.
    assert torch.allclose(ours, theirs, atol=2e-3)


# In the course


@pytest.fixture(scope="module")
def shipped():
    solutions = Implementation("solutions")
    return solutions, *load_model(SHIPPED, solutions)


@pytest.mark.parametrize("sampler", ["ddim", "2m"])
def test_draw_with_a_fast_sampler(shipped, sampler):
    images, film = draw(*shipped, [3, None], num_steps=6, sampler=sampler, film_frames=3)
    again, _ = draw(*shipped, [3, None], num_steps=6, sampler=sampler)
    assert torch.equal(images, again)
    assert images.shape == (2, 1, 28, 28) and len(film) == 3
    assert torch.equal(film[-1], images)
    assert images.abs().max() <= 1  # the last step lands on a clipped x_0
    assert images.std() > 0.3


def test_eta_changes_what_ddim_draws(shipped):
    zero, half = (
        draw(*shipped, [3], num_steps=5, sampler="ddim", eta=eta)[0] for eta in (0.0, 0.5)
    )
    assert not torch.allclose(zero, half, atol=0.1)


@pytest.mark.parametrize(
    "options, words",
    [
        ({"sampler": "magic"}, "there are ancestral, ddim, 2m"),
        ({"sampler": "ddim", "eta": 1.5}, "eta must be between 0 and 1"),
        ({"sampler": "2m", "eta": 0.5}, "eta is for the ddim sampler; 2m has none"),
        ({"eta": 0.5}, "eta is for the ddim sampler"),
    ],
)
def test_draw_refuses(shipped, options, words):
    with pytest.raises(CourseError, match=words):
        draw(*shipped, [3], num_steps=5, **options)
