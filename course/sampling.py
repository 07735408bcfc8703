"""Draw images with a model: the chapters' samplers, wired together."""

import torch
from torch import Tensor, nn
from tqdm.auto import tqdm

from course import CourseError
from course.loading import Implementation
from course.models import ModelConfig, build_schedule

MAX_BATCH = 100  # images that walk together; a larger request is drawn in several walks


def eps_network(impl: Implementation, model: nn.Module, config: ModelConfig, alpha_bars: Tensor):
    """The model as a function (x, t, labels) -> eps, whatever it was trained to predict."""
    if config.prediction == "eps":
        return model
    eps_from_v = impl.chapter("ch05_training").eps_from_v

    def predict_eps(x: Tensor, t: Tensor, labels: Tensor) -> Tensor:
        return eps_from_v(x, model(x, t, labels), t, alpha_bars)

    return predict_eps


def draw(
    impl: Implementation,
    model: nn.Module,
    config: ModelConfig,
    labels: list[int | None],
    guidance: float = 1.0,
    num_steps: int = 100,
    seed: int = 0,
    film_frames: int = 0,
    progress: str | None = None,
) -> tuple[Tensor, list[Tensor]]:
    """Draw one image for each label by ancestral sampling with guidance.

    Args:
        labels: the digits to draw; None draws any digit.
        guidance: w; 0 is plain conditional.
        num_steps: length of the walk; with fewer than the schedule's steps it is respaced.
        seed: the same seed gives the same images on the same kind of device.
        film_frames: how many moments of the walk to keep, evenly spaced, the last one included.
        progress: show a progress bar with this text.

    Returns:
        (images, film): (N, 1, 28, 28) in about [-1, 1], and the frames, each of that shape.

    Raises:
        CourseError: if a label or the number of steps is out of range.
    """
    for label in labels:
        if label is not None and not 0 <= label < config.num_classes:
            raise CourseError(f"digits run from 0 to {config.num_classes - 1}, got {label}")
    if not 2 <= num_steps <= config.num_steps:
        raise CourseError(f"steps must be between 2 and {config.num_steps}, got {num_steps}")
    device = next(model.parameters()).device
    ch01, ch06 = impl.chapter("ch01_noise_schedule"), impl.chapter("ch06_guided_sampling")
    full = build_schedule(impl, config)
    betas, timesteps = ch06.respace(full.betas, num_steps)
    schedule = ch01.make_schedule(betas).to(device)
    timesteps = timesteps.to(device)
    network = eps_network(impl, model, config, full.alpha_bars.to(device))

    null = config.null_label
    wanted = torch.tensor([null if label is None else label for label in labels], device=device)
    generator = torch.Generator(device).manual_seed(seed)
    film_steps = torch.linspace(num_steps - 1, 0, film_frames).round().int().tolist()
    parts = wanted.split(MAX_BATCH)
    bar = tqdm(total=len(parts) * num_steps, desc=progress, disable=progress is None, leave=False)

    finished, films = [], []
    for part in parts:

        def predict_eps(x: Tensor, step: Tensor, part: Tensor = part) -> Tensor:
            bar.update()
            t = timesteps[step]  # the step of the full schedule, which the network knows
            if guidance == 0:
                return network(x, t, part)
            return ch06.guided_eps(network, x, t, part, guidance, null)

        x_T = torch.randn(len(part), 1, 28, 28, generator=generator, device=device)
        x0, film = ch06.ancestral_sample(
            predict_eps, ch06.p_sample, x_T, schedule, generator, film_steps
        )
        finished.append(x0.cpu())
        films.append([frame.cpu() for frame in film])
    bar.close()
    return torch.cat(finished), [torch.cat(frames) for frames in zip(*films)]
