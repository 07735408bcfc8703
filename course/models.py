"""Put a model together from the chapters' parts, and keep it in a safetensors file."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import nn

from course import ROOT, CourseError
from course.loading import Implementation

SHIPPED = ROOT / "models" / "mnist.safetensors"


@dataclass(frozen=True)
class ModelConfig:
    """All that is needed to build a network and to sample from it."""

    base_channels: int = 64
    channel_mults: tuple[int, ...] = (1, 2, 2)
    time_dim: int = 128
    attention: bool = False
    groups: int = 8
    num_classes: int = 10
    prediction: str = "eps"  # what the network predicts: "eps" or "v"
    num_steps: int = 1000  # of the cosine schedule
    data: str = "mnist"  # what it was trained on

    @property
    def null_label(self) -> int:
        return self.num_classes


def build_model(impl: Implementation, config: ModelConfig) -> nn.Module:
    """The U-Net of chapter 04 with the embeddings of chapter 03, freshly initialised."""
    ch03, ch04 = impl.chapter("ch03_embeddings"), impl.chapter("ch04_unet")
    unet_config = ch04.UNetConfig(
        base_channels=config.base_channels,
        channel_mults=tuple(config.channel_mults),
        time_dim=config.time_dim,
        num_classes=config.num_classes,
        groups=config.groups,
        attention=config.attention,
    )
    return ch04.UNet(
        unet_config,
        ch03.TimeEmbedding(config.time_dim, unet_config.cond_dim),
        ch03.ClassEmbedding(config.num_classes, unet_config.cond_dim),
        ch04.Blocks(ch04.ResBlock, ch04.Downsample, ch04.Upsample, ch04.SelfAttention),
    )


def build_schedule(impl: Implementation, config: ModelConfig):
    """The cosine schedule that the model is trained with."""
    ch01 = impl.chapter("ch01_noise_schedule")
    return ch01.make_schedule(ch01.cosine_betas(config.num_steps))


def save_model(path: Path, model: nn.Module, config: ModelConfig) -> None:
    """Write weights and configuration into one safetensors file."""
    weights = {
        name: value.detach().cpu().contiguous() for name, value in model.state_dict().items()
    }
    save_file(weights, path, metadata={"config": json.dumps(asdict(config))})


def load_model(path: Path, impl: Implementation) -> tuple[nn.Module, ModelConfig]:
    """Read a file that `save_model` wrote into a network built from `impl`.

    Raises:
        CourseError: if the file is missing, damaged, or does not fit the network.
    """
    path = Path(path)
    if not path.is_file():
        raise CourseError(f"there is no model at {path}; make one with: course train")
    try:
        with safe_open(path, framework="pt") as file:
            fields = json.loads(file.metadata()["config"])
            weights = {name: file.get_tensor(name).float() for name in file.keys()}
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        raise CourseError(
            f"{path} is damaged or was not written by this course ({error}); get it again"
        ) from None
    fields["channel_mults"] = tuple(fields["channel_mults"])
    config = ModelConfig(**fields)
    model = build_model(impl, config)
    try:
        model.load_state_dict(weights)
    except RuntimeError as error:
        raise CourseError(
            f"the weights in {path.name} do not fit the network in {impl.folder.name}/: "
            f"{str(error).splitlines()[1].strip()} A model can only be loaded into the code that "
            "trained it; train your own with: course train --impl exercises"
        ) from None
    return model.eval(), config


def choose_device(name: str = "auto") -> torch.device:
    """The device asked for; "auto" takes a CUDA GPU, else Apple's MPS, else the CPU.

    Raises:
        CourseError: if the device is not there.
    """
    there = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    if name == "auto":
        name = next(kind for kind, available in there.items() if available)
    if not there.get(name.split(":")[0], False):
        found = ", ".join(kind for kind, available in there.items() if available)
        raise CourseError(f"there is no device {name!r} here; there is: {found}")
    return torch.device(name)
