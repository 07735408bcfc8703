"""The schedule's figures, and agreement with diffusers' DDPM scheduler."""

from dataclasses import fields

import pytest
import torch
from diffusers import DDPMScheduler

from checks.probes.ch06_guided_sampling import NoiseSchedule

T = 1000


@pytest.fixture(scope="module")
def ch01(solutions):
    return solutions.chapter("ch01_noise_schedule")


@pytest.fixture(scope="module")
def ch02(solutions):
    return solutions.chapter("ch02_forward_process")


@pytest.fixture(scope="module")
def cosine(ch01, ch02):
    return ch02.make_schedule(ch01.cosine_betas(T))


def test_the_figures_of_the_cosine_schedule(cosine):
    """Nichol & Dhariwal's schedule evaluated in double precision, to the digits shown."""

    def digits(table, t, value, relative):
        assert float(table[t]) == pytest.approx(value, rel=relative)

    digits(cosine.betas, 0, 4.128422e-5, 1e-6)
    digits(cosine.betas, 998, 0.749999, 1e-6)
    assert (cosine.betas >= 0.999 - 1e-6).sum() == 1 and float(cosine.betas[999]) == pytest.approx(
        0.999
    )
    for t, value in {
        0: 0.99995872,
        100: 0.97157568,
        499: 0.49384359,
        750: 0.14317865,
        900: 0.02361611,
    }.items():
        digits(cosine.alpha_bars, t, value, 1e-6)
    digits(cosine.alpha_bars, 998, 2.428767e-6, 1e-5)
    digits(cosine.alpha_bars, 999, 2.428767e-9, 1e-5)
    assert float(cosine.posterior_variance[0]) == 0
    digits(cosine.posterior_variance, 1, 2.17895e-5, 1e-4)
    digits(cosine.posterior_variance, 999, 0.998998, 1e-5)
    digits(cosine.alpha_bars[999:].rsqrt(), 0, 20291, 1e-4)


@pytest.mark.parametrize(
    "theirs, ours", [("squaredcos_cap_v2", "cosine_betas"), ("linear", "linear_betas")]
)
def test_betas_and_alpha_bars_agree_with_diffusers(ch01, theirs, ours):
    scheduler = DDPMScheduler(num_train_timesteps=T, beta_schedule=theirs)
    betas = getattr(ch01, ours)(T)
    assert torch.allclose(betas, scheduler.betas, atol=1e-5, rtol=0)
    alpha_bars = ch01.compute_alpha_bars(betas)
    assert torch.allclose(alpha_bars, scheduler.alphas_cumprod, atol=1e-5, rtol=0)


@pytest.mark.parametrize("variance", ["small", "large"])
def test_a_whole_reverse_walk_agrees_with_diffusers(cosine, ch02, solutions, variance):
    """All 1000 steps with the same predicted eps and the same noise, to 1e-5."""
    scheduler = DDPMScheduler(
        num_train_timesteps=T,
        beta_schedule="squaredcos_cap_v2",
        variance_type=f"fixed_{variance}",
        clip_sample=True,
        clip_sample_range=1.0,
    )
    # In float32 diffusers loses digits of 1 - alpha_bar; in float64 it is the exact walk.
    scheduler.betas = cosine.betas.double()
    scheduler.alphas = 1 - scheduler.betas
    scheduler.alphas_cumprod = torch.cumprod(scheduler.alphas, dim=0)
    scheduler.one = torch.ones((), dtype=torch.float64)
    p_sample = solutions.chapter("ch06_guided_sampling").p_sample

    generator = torch.Generator().manual_seed(1)
    # A stand-in for a network: what a point mass at this image would make the ideal eps.
    image = torch.rand(2, 1, 5, 7, generator=generator) * 1.6 - 0.8
    ours = torch.randn(image.shape, generator=generator)
    theirs = ours.double()
    worst = 0.0
    for step in reversed(range(T)):
        a = scheduler.alphas_cumprod[step]

        def eps(x, a=a):
            return (x.double() - a.sqrt() * image) / (1 - a).sqrt()

        noise = torch.randn(image.shape, generator=generator)
        t = torch.full((2,), step)
        ours = p_sample(
            ours, t, eps(ours).float(), noise, cosine, ch02.predict_x0, ch02.q_posterior, variance
        )
        theirs = step_of_diffusers(scheduler, theirs, step, eps(theirs), noise.double())
        worst = max(worst, float((ours - theirs).abs().max()))
    assert worst < 1e-5
    assert torch.allclose(ours, image, atol=1e-3)  # the walk arrives at the image


def step_of_diffusers(scheduler, x, step, eps, noise):
    """scheduler.step, handed the noise that it would draw itself."""
    import diffusers.schedulers.scheduling_ddpm as module

    original = module.randn_tensor
    module.randn_tensor = lambda *args, **kwargs: noise
    try:
        return scheduler.step(eps, step, x).prev_sample
    finally:
        module.randn_tensor = original


def test_chapter_06_is_handed_what_chapter_02_makes(ch02, cosine):
    assert [field.name for field in fields(NoiseSchedule)] == list(vars(cosine))
    handed = NoiseSchedule(**vars(cosine)).to("meta")
    assert all(table.device.type == "meta" for table in vars(handed).values())
    assert dir(handed) == dir(cosine)
