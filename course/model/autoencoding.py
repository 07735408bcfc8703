"""The autoencoder of a network that works on latents: trained before it, and kept in its run."""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType

import torch
from torch import Tensor, nn
from tqdm.auto import tqdm

from course import CourseError
from course.files import replacing
from course.model.forms import Stored
from course.model.images import Images
from course.model.models import Implementation, LatentConfig, device_of
from course.model.prompts import Captioned
from course.model.weights import fill, read_weights, write_weights

ENCODED_AT_ONCE = 250  # pictures


@dataclass(frozen=True)
class Autoencoding:
    """Everything that decides what the autoencoder learns, beside its network and the pictures."""

    steps: int
    batch_size: int = 32
    lr: float = 2e-3
    warmup: int = 50  # steps
    kl_weight: float = 1e-3  # of the KL of one number
    weight_decay: float = 1e-4
    max_grad_norm: float = 1.0
    ema_decay: float = 0.999


def train_autoencoder(
    impl: Implementation,
    autoencoder: nn.Module,
    pictures: Images | Captioned,
    settings: Autoencoding,
    seed: int,
    checkpoint: Path,
    save_every: int = 200,
    quiet: bool = False,
) -> nn.Module:
    """Train an autoencoder with chapter 10's loss, from `checkpoint` if it is there.

    Args:
        autoencoder: freshly initialised, where it is to be trained.
        pictures: the training part.
        checkpoint: what is needed to go on, written every `save_every` steps.

    Returns:
        its running average.

    Raises:
        CourseError: if `checkpoint` is damaged, or something else.
    """
    ch05, ch10 = impl.chapter("ch05_training"), impl.chapter("ch10_colour_and_size")
    device = device_of(autoencoder)
    ema = ch05.EMA(autoencoder, settings.ema_decay)
    optimizer = ch05.make_optimizer(autoencoder, settings.lr, settings.weight_decay)
    generator = torch.Generator(device).manual_seed(seed)
    trained = (autoencoder, ema, optimizer, generator)
    done = _load(ch05, checkpoint, trained) if checkpoint.is_file() else 0
    bar = tqdm(total=settings.steps, initial=done, desc="autoencoder", unit="step", disable=quiet)
    for step in range(done, settings.steps):
        for group in optimizer.param_groups:
            group["lr"] = ch05.learning_rate(
                step, settings.steps, settings.lr, settings.warmup, decay=True
            )
        count = (settings.batch_size,)
        index = torch.randint(len(pictures), count, generator=generator, device=device)
        x = pictures.batch(index.cpu())[0].to(device)

        def compute_loss(network: nn.Module, x: Tensor = x) -> Tensor:
            return ch10.autoencoder_loss(
                network, x, settings.kl_weight, generator, ch10.sample_posterior, ch10.gaussian_kl
            )

        loss = ch05.training_step(autoencoder, ema, optimizer, compute_loss, settings.max_grad_norm)
        bar.update()
        bar.set_postfix(loss=f"{loss:.4f}", refresh=False)
        if (step + 1) % save_every == 0:
            with replacing(checkpoint) as unfinished:
                ch05.save_checkpoint(unfinished, *trained, step + 1)
    bar.close()
    return ema.model


def _load(ch05: ModuleType, checkpoint: Path, trained: tuple) -> int:
    """Put back what the checkpoint holds; the number of steps done."""
    try:
        return int(ch05.load_checkpoint(checkpoint, *trained))
    except Exception as error:  # of the file's form, of torch, of a weight's shape: of many kinds
        why = (str(error).strip().splitlines() or [""])[0][:200]
        raise CourseError(
            f"{checkpoint} ({checkpoint.stat().st_size:,} bytes) is no whole checkpoint of this "
            f"run's autoencoder ({type(error).__name__}: {why}): it is damaged, was cut short, or "
            "is something else. Delete it to begin the autoencoder anew"
        ) from None


@torch.no_grad()
def reconstruction_mse(autoencoder: nn.Module, pictures: Images | Captioned) -> float:
    """Mean squared error of pictures that come back from the means of their latents."""
    x = pictures.batch(slice(None))[0].to(device_of(autoencoder))
    errors = [
        (autoencoder.decode(autoencoder.encode(part)[0]) - part).square().mean(dim=(1, 2, 3))
        for part in x.split(ENCODED_AT_ONCE)
    ]
    return float(torch.cat(errors).mean())


def encoded(
    encode: Callable[[Tensor], Tensor], pictures: Images | Captioned, quiet: bool = False
) -> Stored:
    """All pictures of a set as latents.

    Args:
        encode: pictures (B, C, H, W) -> latents (B, D, h, w).
    """
    latents, asked = [], []
    parts = torch.arange(len(pictures)).split(ENCODED_AT_ONCE)
    for index in tqdm(parts, desc="encoding", disable=quiet):
        x, what = pictures.batch(index)
        latents.append(encode(x))
        asked.append(what)
    return Stored(torch.cat(latents), torch.cat(asked))


def measured(impl: Implementation, latent: LatentConfig, latents: Tensor) -> LatentConfig:
    """`latent` with what is measured on unscaled latents of the training part, (N, D, h, w)."""
    scale = float(impl.chapter("ch10_colour_and_size").latent_scale(latents))
    return replace(latent, scale=scale, furthest=float((latents * scale).abs().max()))


def keep_autoencoder(
    path: Path, autoencoder: nn.Module, latent: LatentConfig, record: dict[str, float]
) -> None:
    """Write the weights, what was measured of its latents, and what training it has cost."""
    metadata = {"scale": latent.scale, "furthest": latent.furthest, "record": record}
    metadata = {name: json.dumps(value) for name, value in metadata.items()}
    write_weights(path, autoencoder, metadata, half=False)


def fetch_autoencoder(path: Path, autoencoder: nn.Module, latent: LatentConfig) -> LatentConfig:
    """Put what `keep_autoencoder` wrote into an autoencoder, and its measurements into `latent`.

    Raises:
        CourseError: if the file is damaged, or holds something else.
    """
    weights, metadata = read_weights(path, needed=("scale", "furthest", "record"))
    doubt = f"the weights in {path} do not fit the autoencoder"
    fill(autoencoder, weights, doubt, "Choose another --name.")
    scale, furthest = (json.loads(metadata[name]) for name in ("scale", "furthest"))
    return replace(latent, scale=scale, furthest=furthest)
