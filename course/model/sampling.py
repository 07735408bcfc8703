"""Draw images with a model: the chapters' samplers, wired together."""

import itertools
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn
from tqdm.auto import tqdm

from course import CourseError
from course.model import SAMPLERS
from course.model.forms import Form
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
    if config.prediction == "flow":
        return _eps_of_a_flow(impl, model, alpha_bars)
    eps_from_v = impl.chapter("ch05_training").eps_from_v

    def predict_eps(x: Tensor, t: Tensor, *asked: Tensor) -> Tensor:
        return eps_from_v(x, model(x, t, *asked), t, alpha_bars)

    return predict_eps


def _eps_of_a_flow(impl: Implementation, model: nn.Module, alpha_bars: Tensor):
    ch11 = impl.chapter("ch11_flow_matching")

    def predict_eps(x_t: Tensor, t: Tensor, *asked: Tensor) -> Tensor:
        x, time = ch11.to_flow(x_t, alpha_bars[t])
        return ch11.eps_from_velocity(x, model(x, ch11.TIME_SCALE * time, *asked), time)

    return predict_eps


def velocity_network(
    impl: Implementation, model: nn.Module, config: ModelConfig, alpha_bars: Tensor
):
    """The model as a function (x, TIME_SCALE * t, labels) -> velocity along chapter 11's lines.

    With chapter 09's network: (x, TIME_SCALE * t, tokens) or with a mask behind them.

    Raises:
        CourseError: if the model predicts eps, which at t = 1 is x itself and says nothing of the
            image.
    """
    if config.prediction == "flow":
        return model
    if config.prediction == "eps":
        raise CourseError(
            "the flow samplers begin in pure noise, where a network that predicts eps has nothing "
            "to say about the image; this model predicts eps, so take ancestral, ddim or 2m"
        )
    ch11 = impl.chapter("ch11_flow_matching")

    def angle(alpha_bar: Tensor) -> np.ndarray:
        """Of x_t on chapter 05's quarter circle: nearly a straight line over the steps."""
        return torch.atan2((1 - alpha_bar).sqrt(), alpha_bar.sqrt()).cpu().numpy()

    angles = angle(alpha_bars)  # (T,)

    def velocity(x: Tensor, time: Tensor, *asked: Tensor) -> Tensor:
        x_t, alpha_bar = ch11.to_diffusion(x, time / ch11.TIME_SCALE)
        # As noisy as x_t, and between whole steps.
        steps = np.interp(angle(alpha_bar), angles, np.arange(len(angles)))
        told = torch.from_numpy(steps).to(x.device, torch.float32)  # (B,)
        return ch11.velocity_from_v(x_t, model(x_t, told, *asked), alpha_bar)

    return velocity


def within(
    predict_x0: Callable[[Tensor, Tensor, Tensor, Tensor], Tensor], bound: float
) -> Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]:
    """A `predict_x0` for steps that are taken with everything divided by `bound`.

    The chapters' steps clip x_0 to [-1, 1], where pixels lie. Latents lie farther from 0. But a
    step is linear in x_t, x_0 and the noise. So it may be taken with all three divided by a number,
    its result multiplied by it, and what is clipped is what lies beyond that number.
    """

    def predict(x_t: Tensor, t: Tensor, eps: Tensor, alpha_bars: Tensor) -> Tensor:
        return predict_x0(bound * x_t, t, eps, alpha_bars) / bound

    return predict


def reverse_walk(impl: Implementation, bound: float = 1.0) -> Callable[..., Tensor]:
    """Chapter 06's step, to be called as (x_t, t, eps, noise, schedule).

    Args:
        bound: how far from 0 the numbers of a finished image may lie.
    """
    ch02, ch06 = impl.chapter("ch02_forward_process"), impl.chapter("ch06_guided_sampling")
    predict_x0 = within(ch02.predict_x0, bound)

    def step(x_t, t, eps, noise, schedule):
        return bound * ch06.p_sample(
            x_t / bound, t, eps, noise / bound, schedule,
            predict_x0=predict_x0, q_posterior=ch02.q_posterior,
        )  # fmt: skip

    return step


def fast_walk(
    impl: Implementation,
    sampler: str,
    alpha_bars: Tensor,
    timesteps: Tensor,
    eta: float = 0.0,
    bound: float = 1.0,
) -> Callable:
    """Chapter 07's walk with one of its steps, to be called as (predict_eps, x_T, generator, film).

    Args:
        sampler: "ddim" or "2m".
        alpha_bars: the full schedule, shape (T,), on the device of the images.
        timesteps: the grid.
        eta: how much noise DDIM adds; 0 draws none.
        bound: how far from 0 the numbers of a finished image may lie.
    """
    ch07 = impl.chapter("ch07_fast_sampling")
    predict_x0 = within(impl.chapter("ch02_forward_process").predict_x0, bound)

    def ddim(x, t, t_next, eps, noise, memory):
        noise = None if noise is None else noise / bound
        x = ch07.ddim_step(x / bound, t, t_next, eps, noise, alpha_bars, predict_x0, eta)
        return bound * x, None

    def second_order(x, t, t_next, eps, noise, memory):
        x, memory = ch07.dpm_2m_step(x / bound, t, t_next, eps, alpha_bars, predict_x0, memory)
        return bound * x, memory

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


def flow_walk(impl: Implementation, sampler: str, num_steps: int) -> Callable:
    """Chapter 11's walk with one of its steps, to be called as (velocity, x_1, film).

    Args:
        sampler: "flow-euler" or "flow-heun".
    """
    ch11 = impl.chapter("ch11_flow_matching")
    step = ch11.euler_step if sampler == "flow-euler" else ch11.heun_step

    def walk(velocity, x_1, film_steps=()):
        return ch11.flow_sample(velocity, step, x_1, num_steps, film_steps)

    return walk


def _following_lines(
    impl: Implementation, model: nn.Module, config: ModelConfig, alpha_bars: Tensor
) -> tuple[Callable[..., Tensor], Callable[..., Tensor]]:
    """The velocity at times from 0 to 1, and the same with guidance, as `labelled` wants them."""
    ch11 = impl.chapter("ch11_flow_matching")
    model = velocity_network(impl, model, config, alpha_bars)

    def velocity(x: Tensor, t: Tensor, *asked: Tensor) -> Tensor:
        return model(x, ch11.TIME_SCALE * t, *asked)

    def guided(velocity, *rest) -> Tensor:
        return ch11.guided_velocity(model, *rest)  # which scales the time itself

    return velocity, guided


def calls_of(sampler: str, num_steps: int) -> int:
    """How often a walk asks the network: Heun's steps ask twice."""
    return 2 * num_steps if sampler == "flow-heun" else num_steps


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
    guided: Callable[..., Tensor],
) -> Callable[[Tensor, Tensor, slice], Tensor]:
    """What the network says for these labels, as a function (x, t, which of them) -> eps.

    Args:
        network: called as network(x, t, labels), gives eps, or the velocity.
        guided: called as guided(network, x, t, labels, w, null_label), the same with guidance.

    Raises:
        CourseError: if there is no such label.
    """
    for label in labels:
        if label is not None and not 0 <= label < config.num_classes:
            what = "classes" if config.classes else "digits"
            raise CourseError(f"{what} run from 0 to {config.num_classes - 1}, got {label}")
    null = config.null_label
    wanted = torch.tensor([null if label is None else label for label in labels], device=device)

    def predict(x: Tensor, t: Tensor, part: slice) -> Tensor:
        if guidance == 0:
            return network(x, t, wanted[part])
        return guided(network, x, t, wanted[part], guidance, null)

    return predict


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
        sampler: "ancestral", chapter 07's "ddim" or "2m", or chapter 11's "flow-euler" or
            "flow-heun".
        eta: for ddim, how much of the ancestral walk's noise to add, from 0 to 1.
        on_step: called as on_step(done, total) before each call of the network; what it raises
            ends the walk.
        unwanted: a prompt for what should not be there, if the model is told captions.

    Returns:
        (images, film): (N, *config.image_shape) in about [-1, 1], and the frames, of that shape.
        Of latents a frame is what the decoder makes of them, noise and all.

    Raises:
        CourseError: if a label or a prompt, the number of steps, guidance or eta is out of range,
            or for another sampler, or one that does not fit what the model predicts.
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
    full, form = build_schedule(impl, config), Form(impl, config, model)
    alpha_bars = full.alpha_bars.to(device)
    network, guided = eps_network(impl, model, config, alpha_bars), ch06.guided_eps
    if sampler.startswith("flow"):
        network, guided = _following_lines(impl, model, config, alpha_bars)
    if config.text is None:
        told = labelled(impl, config, network, asked, guidance, device, guided)
    else:
        told = prompted(impl, config, network, asked, unwanted, guidance, device)
    if sampler == "ancestral":
        betas, timesteps = ch06.respace(full.betas, num_steps)
        schedule = ch02.make_schedule(betas).to(device)
        reverse_step = reverse_walk(impl, config.bound)
        timesteps = timesteps.to(device)
    elif sampler in ("ddim", "2m"):
        if config.calls:
            timesteps = few_steps_grid(impl, full.alpha_bars, config.calls)
        else:
            timesteps = impl.chapter("ch07_fast_sampling").time_grid(full.alpha_bars, num_steps)
        walk = fast_walk(impl, sampler, alpha_bars, timesteps, eta, config.bound)
    else:
        walk = flow_walk(impl, sampler, num_steps)

    generator = torch.Generator(device).manual_seed(seed)
    places = torch.linspace(num_steps - 1, 0, film_frames).round().int().tolist()
    parts = [slice(first, first + MAX_BATCH) for first in range(0, len(asked), MAX_BATCH)]
    calls = len(parts) * calls_of(sampler, num_steps)
    bar = tqdm(total=calls, desc=progress, disable=progress is None, leave=False)
    calls_done = itertools.count()

    finished, films = [], []
    for part in parts:

        def predict(x: Tensor, t: Tensor, part: slice = part) -> Tensor:
            if on_step:
                on_step(next(calls_done), calls)
            bar.update()
            return told(x, t, part)

        count = len(asked[part])
        x_T = torch.randn(count, *config.network_shape, generator=generator, device=device)
        if sampler == "ancestral":
            x0, film = ch06.ancestral_sample(
                # The walk counts its own steps; the network knows those of the full schedule.
                lambda x, step: predict(x, timesteps[step]),
                reverse_step,
                x_T,
                schedule,
                generator,
                places,
            )
        elif sampler in ("ddim", "2m"):
            film_steps = [int(timesteps[num_steps - 1 - place]) for place in places]
            x0, film = walk(predict, x_T, generator, film_steps)
        else:
            x0, film = walk(predict, x_T, [num_steps - 1 - place for place in places])
        finished.append(form.pictures(x0).cpu())
        films.append([form.pictures(frame).cpu() for frame in film])
    bar.close()
    return torch.cat(finished), [torch.cat(frames) for frames in zip(*films)]
