"""A run in miniature, in a second or two: it calls all that the run itself will call."""

import math
import tempfile
from dataclasses import replace
from pathlib import Path

import torch
from PIL import Image

from course.model.distilling import Distilling, Recipe
from course.model.evaluation import Evaluation
from course.model.models import Implementation, ModelConfig, build_model, save_model
from course.model.own_pictures import PREFIX
from course.model.photograph_evaluation import PhotographEvaluation, of_photographs
from course.model.prompt_evaluation import PromptEvaluation
from course.model.sampling import draw
from course.model.training import LEARNS_FROM, Preset, Processes, Run


def small(config: ModelConfig) -> ModelConfig:
    """The same network with few channels."""
    heads = config.text.heads if config.text else 1
    latent = config.latent and replace(config.latent, base_channels=config.latent.groups)
    base = math.lcm(config.groups, heads)
    return replace(config, base_channels=base, time_dim=16, latent=latent)


def rehearse_network(impl: Implementation, config: ModelConfig) -> None:
    """The network alone: what the weights in a file have to fit."""
    config = small(config)
    asked = torch.zeros(1, dtype=torch.int64) if config.text is None else torch.ones(1, 2).long()
    x = torch.zeros(1, *config.network_shape)
    build_model(impl, config)(x, torch.zeros(1, dtype=torch.int64), asked)


def rehearse_training(impl: Implementation, preset: Preset) -> None:
    """Two steps of one image, the samples after them, and what a run does that goes on."""
    preset = replace(
        preset,
        model=small(preset.model),
        epochs=1,
        batch_size=1,
        images_per_epoch=2,
        sample_steps=2,
        num_scenes=2,
        autoencoder=preset.autoencoder and replace(preset.autoencoder, steps=1, batch_size=1),
    )
    with tempfile.TemporaryDirectory() as folder:
        data, place = "mnist5k", Path(folder) / "run"
        if preset.pictures in LEARNS_FROM and preset.pictures != "digits":
            preset, data = replace(preset, pictures="folder"), few_pictures(Path(folder) / "few")
        for _ in ("from the start", "from the last checkpoint"):
            Run(place, preset, impl, data, "cpu", quiet=True, processes=Processes()).train()


def few_pictures(folder: Path) -> str:
    """A folder with ten small pictures of one class, as --data names it."""
    (folder / "class").mkdir(parents=True)
    for shade in range(10):
        Image.new("RGB", (8, 8), (20 * shade, 0, 0)).save(folder / "class" / f"{shade}.png")
    return f"{PREFIX}{folder}"


def rehearse_distilling(impl: Implementation, recipe: Recipe) -> None:
    """One step of one image: a student that makes half as many calls as its teacher."""
    recipe = replace(recipe, calls=recipe.teacher_calls // 2, steps=1, batch_size=1)
    config = small(ModelConfig(prediction="v"))
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "model.safetensors"
        save_model(file, build_model(impl, config), config)
        Distilling(Path(folder), file, recipe, impl, "mnist5k", "cpu", quiet=True).train()


def rehearse_drawing(
    impl: Implementation, config: ModelConfig, sampler: str, guidance: float, eta: float = 0.0
) -> None:
    """One digit or one word in two steps, and the picture of it."""
    config = small(config)
    model = build_model(impl, config).eval()
    asked = [0] if config.text is None else [config.text.words[0]]
    images, _ = draw(
        impl,
        model,
        config,
        asked,
        guidance=guidance,
        num_steps=config.calls or 2,
        sampler=sampler,
        eta=eta,
    )
    impl.chapter("ch06_guided_sampling").image_grid(images, 1)


def rehearse_evaluation(
    impl: Implementation, config: ModelConfig, sampler: str, guidances: list[float]
) -> None:
    """Ten digits, or captions, in two steps, measured; of photographs the error alone."""
    photographs, (kind, of, _) = of_photographs(config.data), config.data.rpartition(" of ")
    config = replace(small(config), data=PREFIX if photographs else f"{kind}{of}mnist5k")
    if photographs:
        config = replace(config, num_classes=1, classes=("class",) if config.classes else ())
    with tempfile.TemporaryDirectory() as folder:
        file, out = Path(folder) / "model.safetensors", Path(folder) / "evaluation.json"
        save_model(file, build_model(impl, config), config)
        options = {
            "count": 10,
            "num_steps": config.calls or 2,
            "sampler": sampler,
            "device": "cpu",
            "quiet": True,
        }
        evaluation = Evaluation if config.text is None else PromptEvaluation
        if photographs:
            evaluation, options["data"] = PhotographEvaluation, few_pictures(Path(folder) / "few")
        evaluation(impl, file, out, **options).run(guidances)
