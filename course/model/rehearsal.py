"""A run in miniature, in a second or two: it calls all that the run itself will call."""

import tempfile
from dataclasses import replace
from pathlib import Path

from course.model.evaluation import Evaluation
from course.model.models import Implementation, ModelConfig, build_model, save_model
from course.model.sampling import draw
from course.model.training import Preset, Processes, Run


def small(config: ModelConfig) -> ModelConfig:
    """The same network with few channels."""
    return replace(config, base_channels=config.groups, time_dim=16)


def rehearse_training(impl: Implementation, preset: Preset) -> None:
    """Two steps of one image, the samples after them, and what a run does that goes on."""
    preset = replace(
        preset,
        model=small(preset.model),
        epochs=1,
        batch_size=1,
        images_per_epoch=2,
        sample_steps=2,
    )
    with tempfile.TemporaryDirectory() as folder:
        for _ in ("from the start", "from the last checkpoint"):
            Run(
                Path(folder), preset, impl, "mnist5k", "cpu", quiet=True, processes=Processes()
            ).train()


def rehearse_drawing(
    impl: Implementation, config: ModelConfig, sampler: str, guidance: float, eta: float = 0.0
) -> None:
    """One digit in two steps, and the picture of it."""
    config = small(config)
    model = build_model(impl, config).eval()
    images, _ = draw(
        impl, model, config, [0], guidance=guidance, num_steps=2, sampler=sampler, eta=eta
    )
    impl.chapter("ch06_guided_sampling").image_grid(images, 1)


def rehearse_evaluation(
    impl: Implementation, config: ModelConfig, sampler: str, guidances: list[float]
) -> None:
    """Ten digits in two steps, measured."""
    config = replace(small(config), data="mnist5k")
    with tempfile.TemporaryDirectory() as folder:
        file, out = Path(folder) / "model.safetensors", Path(folder) / "evaluation.json"
        save_model(file, build_model(impl, config), config)
        options = {"count": 10, "num_steps": 2, "sampler": sampler, "device": "cpu", "quiet": True}
        Evaluation(impl, file, out, **options).run(guidances)
