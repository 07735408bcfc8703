"""What a network works on, made of pictures, and pictures made of it: the one place for both.

pixels    the picture itself
patches   the same numbers, with each square of pixels in the channels of one pixel
latents   what chapter 10's autoencoder makes of the picture, brought to standard deviation 1
"""

from dataclasses import dataclass

from torch import Tensor, nn

from course.model.images import Images
from course.model.models import Implementation, InLatents, ModelConfig, device_of
from course.model.prompts import Captioned


class Form:
    """The way from pictures to what a network works on, and back.

    Args:
        impl: the chapters' code.
        config: of the network.
        model: the network; if it works on latents, in one with its autoencoder.
    """

    def __init__(self, impl: Implementation, config: ModelConfig, model: nn.Module | None = None):
        self.impl, self.config = impl, config
        self.autoencoder = model.autoencoder if isinstance(model, InLatents) else None

    def of(self, pictures: Tensor) -> Tensor:
        """Pictures (B, *config.image_shape), in [-1, 1] -> (B, *config.network_shape)."""
        if self.config.latent:
            to_latents, scale = self._ch10().to_latents, self.config.latent.scale
            there = pictures.to(device_of(self.autoencoder))
            return to_latents(self.autoencoder, there, scale).to(pictures.device)
        if self.config.patch > 1:
            return self._ch10().to_patches(pictures, self.config.patch)
        return pictures

    def pictures(self, x: Tensor) -> Tensor:
        """What a network works on, (B, *config.network_shape) -> (B, *config.image_shape)."""
        if self.config.latent:
            return self._ch10().from_latents(self.autoencoder, x, self.config.latent.scale)
        if self.config.patch > 1:
            return self._ch10().from_patches(x, self.config.patch)
        return x

    def _ch10(self):
        return self.impl.chapter("ch10_colour_and_size")


@dataclass(frozen=True)
class Formed:
    """A set of pictures whose batches are what a network works on."""

    pictures: Images | Captioned
    form: Form

    def __len__(self) -> int:
        return len(self.pictures)

    def batch(self, index: Tensor | slice) -> tuple[Tensor, Tensor]:
        """(B, *network_shape), float32, and what the pictures are: labels, or captions' tokens."""
        pictures, asked = self.pictures.batch(index)
        return self.form.of(pictures), asked


@dataclass(frozen=True)
class Stored:
    """The same, made once and kept, for where making it again takes longer than a step."""

    x: Tensor  # (N, *network_shape)
    asked: Tensor  # (N,) labels, or (N, L) tokens

    def __len__(self) -> int:
        return len(self.x)

    def batch(self, index: Tensor | slice) -> tuple[Tensor, Tensor]:
        return self.x[index], self.asked[index]
