"""Draw images with a model: the chapters' samplers, wired together."""

import functools
import itertools
from collections.abc import Callable

import torch
from torch import Tensor, nn
from tqdm.auto import tqdm

from course import CourseError
from course.model import SAMPLERS
from course.model.models import Implementation, ModelConfig, build_schedule, device_of
from course.model.prompts import prompted

MAX_BATCH = 100  # images that walk together; a larger request is drawn in several walks
MAX_GUIDANCE = 1000.0  # in size; far beyond what gives digits, and what follows stays finite


def eps_network(impl: Implementation, model: nn.Module, config: ModelConfig, alpha_bars: Tensor):
    """The model as a function (x, t, labels) -> eps, whatever it was trained to predict.

    With chapter 09's network: (x, t, tokens) or (x, t, tokens, mask) -> eps.
    """
    if config.prediction == "eps":
        return model
    eps_from_v = impl.chapter("ch05_training").eps_from_v

    def predict_eps(x: Tensor, t: Tensor, *asked: Tensor) -> Tensor:
        return eps_from_v(x, model(x, t, *asked), t, alpha_bars)

    return predict_eps


def fast_walk(
    impl: Implementation, sampler: str, alpha_bars: Tensor, timesteps: Tensor, eta: float = 0.0
) -> Callable:
    """Chapter 07's walk with one of its steps, to be called as (predict_eps, x_T, generator, film).

    Args:
        sampler: "ddim" or "2m".
        alpha_bars: the full schedule, shape (T,), on the device of the images.
        timesteps: the grid.
        eta: how much noise DDIM adds; 0 draws none.
    """
    ch07 = impl.chapter("ch07_fast_sampling")
    predict_x0 = impl.chapter("ch02_forward_process").predict_x0

    def ddim(x, t, t_next, eps, noise, memory):
        return ch07.ddim_step(x, t, t_next, eps, noise, alpha_bars, predict_x0, eta), None

    def second_order(x, t, t_next, eps, noise, memory):
        return ch07.dpm_2m_step(x, t, t_next, eps, alpha_bars, predict_x0, memory)

    step = ddim if sampler == "ddim" else second_order

    def walk(predict_eps, x_T, generator, film_steps=()):
        source = generator if eta > 0 else None
        return ch07.fast_sample(predict_eps, step, x_T, timesteps, source, film_steps)

    return walk


def few_steps_grid(
    impl: Implementation, alpha_bars: Tensor, num_calls: int, teacher_calls: int = 16
) -> Tensor:
    """The steps that chapter 12's students visit: the teacher's, every second left out each time.

    Raises:
        CourseError: if halving does not lead from the teacher's calls to this number.
    """
    paired_steps = impl.chapter("ch12_few_steps").paired_steps
    grid = impl.chapter("ch07_fast_sampling").time_grid(alpha_bars, teacher_calls)
    while len(grid) > num_calls and len(grid) % 2 == 0:
        grid = paired_steps(grid)[0]
    if len(grid) != num_calls:
        raise CourseError(f"halving {teacher_calls} steps does not lead to {num_calls}")
    return grid


def require_guidance(guidance: float) -> None:
    """Refuse a w that no walk can be made with; NaN is one."""
    if not abs(guidance) <= MAX_GUIDANCE:
        raise CourseError(
            f"guidance must be a number of at most {MAX_GUIDANCE:g} in size, got {guidance:g}"
        )


def labelled(
    impl: Implementation,
    config: ModelConfig,
    network: Callable[..., Tensor],
    labels: list[int | None],
    guidance: float,
    device: torch.device,
) -> Callable[[Tensor, Tensor, slice], Tensor]:
    """The noise to take away for these labels, as a function (x, t, which of them) -> eps.

    Raises:
        CourseError: if there is no such label.
    """
    ch06, null = impl.chapter("ch06_guided_sampling"), config.null_label
    for label in labels:
        if label is not None and not 0 <= label < config.num_classes:
            raise CourseError(f"digits run from 0 to {config.num_classes - 1}, got {label}")
    wanted = torch.tensor([null if label is None else label for label in labels], device=device)

    def predict_eps(x: Tensor, t: Tensor, part: slice) -> Tensor:
        if guidance == 0:
            return network(x, t, wanted[part])
        return ch06.guided_eps(network, x, t, wanted[part], guidance, null)

    return predict_eps


def draw(
    impl: Implementation,
    model: nn.Module,
    config: ModelConfig,
    asked: list[int | None] | list[str],
    guidance: float = 1.0,
    num_steps: int = 100,
    seed: int = 0,
    film_frames: int = 0,
    progress: str | None = None,
    sampler: str = "ancestral",
    eta: float = 0.0,
    on_step: Callable[[int, int], None] | None = None,
    unwanted: str | None = None,
) -> tuple[Tensor, list[Tensor]]:
    """Draw one image for each thing asked for, with guidance.

    Args:
        asked: the digits to draw, None for any digit; or prompts, if the model is told captions.
        guidance: w; 0 is plain conditional.
        num_steps: length of the walk; with fewer than the schedule's steps it is respaced. A model
            that was distilled draws in config.calls steps of ddim, without guidance, and not else.
        seed: the same seed gives the same images on the same kind of device.
        film_frames: how many moments of the walk to keep, evenly spaced, the last one included.
        progress: show a progress bar with this text.
        sampler: "ancestral", or chapter 07's "ddim" or "2m".
        eta: for ddim, how much of the ancestral walk's noise to add, from 0 to 1.
        on_step: called as on_step(done, total) before each step; what it raises ends the walk.
        unwanted: a prompt for what should not be there, if the model is told captions.

    Returns:
        (images, film): (N, *config.image_shape) in about [-1, 1], and the frames, of that shape.

    Raises:
        CourseError: if a label or a prompt, the number of steps, guidance or eta is out of range,
            or for another sampler.
    """
    if sampler not in SAMPLERS:
        raise CourseError(f"there is no sampler {sampler!r}; there are {', '.join(SAMPLERS)}")
    require_guidance(guidance)
    if not 0 <= eta <= 1:
        raise CourseError(f"eta must be between 0 and 1, got {eta:g}")
    if eta > 0 and sampler != "ddim":
        raise CourseError(f"eta is for the ddim sampler; {sampler} has none")
    if config.calls and (sampler, num_steps, guidance, eta) != ("ddim", config.calls, 0, 0):
        raise CourseError(
            f"this model was distilled: it draws by ddim in {config.calls} steps, with guidance 0, "
            f"for guidance is in its weights already; got {sampler}, {num_steps} steps, guidance "
            f"{guidance:g} and eta {eta:g}"
        )
    if not config.calls and not 2 <= num_steps <= config.num_steps:
        raise CourseError(f"steps must be between 2 and {config.num_steps}, got {num_steps}")
    device = device_of(model)
    ch02, ch06 = impl.chapter("ch02_forward_process"), impl.chapter("ch06_guided_sampling")
    full = build_schedule(impl, config)
    alpha_bars = full.alpha_bars.to(device)
    network = eps_network(impl, model, config, alpha_bars)
    if config.text is None:
        told = labelled(impl, config, network, asked, guidance, device)
    else:
        told = prompted(impl, config, network, asked, unwanted, guidance, device)
    if sampler == "ancestral":
        betas, timesteps = ch06.respace(full.betas, num_steps)
        schedule = ch02.make_schedule(betas).to(device)
        reverse_step = functools.partial(
            ch06.p_sample, predict_x0=ch02.predict_x0, q_posterior=ch02.q_posterior
        )
        timesteps = timesteps.to(device)
    else:
        if config.calls:
            timesteps = few_steps_grid(impl, full.alpha_bars, config.calls)
        else:
            timesteps = impl.chapter("ch07_fast_sampling").time_grid(full.alpha_bars, num_steps)
        walk = fast_walk(impl, sampler, alpha_bars, timesteps, eta)

    generator = torch.Generator(device).manual_seed(seed)
    places = torch.linspace(num_steps - 1, 0, film_frames).round().int().tolist()
    parts = [slice(first, first + MAX_BATCH) for first in range(0, len(asked), MAX_BATCH)]
    bar = tqdm(total=len(parts) * num_steps, desc=progress, disable=progress is None, leave=False)
    steps_done = itertools.count()

    finished, films = [], []
    for part in parts:

        def predict_eps(x: Tensor, t: Tensor, part: slice = part) -> Tensor:
            if on_step:
                on_step(next(steps_done), bar.total)
            bar.update()
            return told(x, t, part)

        count = len(asked[part])
        x_T = torch.randn(count, *config.image_shape, generator=generator, device=device)
        if sampler == "ancestral":
            x0, film = ch06.ancestral_sample(
                # The walk counts its own steps; the network knows those of the full schedule.
                lambda x, step: predict_eps(x, timesteps[step]),
                reverse_step,
                x_T,
                schedule,
                generator,
                places,
            )
        else:
            film_steps = [int(timesteps[num_steps - 1 - place]) for place in places]
            x0, film = walk(predict_eps, x_T, generator, film_steps)
        finished.append(x0.cpu())
        films.append([frame.cpu() for frame in film])
    bar.close()
    return torch.cat(finished), [torch.cat(frames) for frames in zip(*films)]
