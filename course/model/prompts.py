"""Prompts: pictures with captions to train on, and sentences that say what to draw.

A set with captions is made of any pictures with a sentence each. The words of its captions are all
that a network trained on it knows.
"""

import difflib
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from types import ModuleType

import torch
from torch import Tensor

from course import CourseError
from course.model.images import Images, captions_of
from course.model.models import Implementation, ModelConfig, TextConfig
from course.model.scenes import LENGTHS, SIZES, VOCABULARIES, make_scenes, require_kind

MAX_STRENGTH = 100.0  # of a word; a caption has a handful of words, so one such drowns the others


@dataclass(frozen=True)
class Captioned:
    """Pictures with captions, as a run takes them.

    pictures: called with places among them, gives these pictures, (B, C, H, W), uint8;
    tokens: (N, L), int64; name: where from.
    """

    pictures: Callable[[Tensor | slice], Tensor]
    captions: list[str]
    tokens: Tensor
    name: str

    def __len__(self) -> int:
        return len(self.captions)

    def batch(self, index: Tensor | slice) -> tuple[Tensor, Tensor]:
        """Pictures scaled to [-1, 1], (B, C, H, W) float32, and their captions' tokens, (B, L)."""
        return self.pictures(index).float() / 127.5 - 1, self.tokens[index]


def with_captions(
    impl: Implementation,
    text: TextConfig,
    pictures: Callable[[Tensor | slice], Tensor],
    captions: list[str],
    name: str,
) -> Captioned:
    """A set of any pictures with a caption each; a word that `text` lacks becomes <unk>."""
    ch09 = impl.chapter("ch09_prompts")
    vocabulary = ch09.make_vocabulary(list(text.words))
    return Captioned(pictures, captions, ch09.tokenize(captions, vocabulary, text.length)[0], name)


def as_told(impl: Implementation, text: TextConfig | None, images: Images) -> Images | Captioned:
    """Images as a network is told of them: by label, or by caption if it reads captions."""
    if text is None:
        return images
    pictures = images.pixels.__getitem__
    return with_captions(impl, text, pictures, captions_of(images), images.name)


def text_of(impl: Implementation, captions: list[str], text: TextConfig) -> TextConfig:
    """`text` with the words of these captions, and with rows in which the longest has room."""
    split = [impl.chapter("ch09_prompts").split_words(caption) for caption in captions]
    words = sorted({word for caption in split for word in caption})
    return replace(text, words=tuple(words), length=1 + max(map(len, split)))


def for_scenes(config: ModelConfig, kind: str) -> ModelConfig:
    """A network's configuration with what has to be known to draw such pictures.

    Raises:
        CourseError: if there is no such kind.
    """
    require_kind(kind)
    text = replace(config.text or TextConfig(), words=VOCABULARIES[kind], length=LENGTHS[kind])
    return replace(config, text=text, image_channels=3, image_size=SIZES[kind])


def load_scenes(
    impl: Implementation,
    text: TextConfig,
    kind: str,
    images: Images,
    count: int,
    seed: int,
    part: str = "seen",
) -> Captioned:
    """So many such pictures, painted with these digits; the same seed gives the same ones."""
    scenes = make_scenes(kind, images, count, torch.Generator().manual_seed(seed), part)
    return with_captions(impl, text, scenes.pixels, scenes.captions, scenes.name)


# From a prompt to what the network sees


def read_prompts(
    impl: Implementation, text: TextConfig, prompts: list[str]
) -> tuple[Tensor, Tensor]:
    """Prompts as tokens and strengths, (N, L) each; "a red:2 seven" asks twice for red.

    Raises:
        CourseError: if a prompt has no word or too many, a word that the network does not know, or
            a strength that is no number from 0 to MAX_STRENGTH.
    """
    ch09 = impl.chapter("ch09_prompts")
    split = [_words_and_strengths(ch09, prompt) for prompt in prompts]
    for prompt, (words, _) in zip(prompts, split):
        if not words:
            raise CourseError(f"a prompt needs at least one word, got {prompt!r}; try {like(text)}")
        if unknown := [word for word in words if word not in text.words]:
            raise CourseError(_unknown(unknown[0], text))
        if len(words) > text.length - 1:
            raise CourseError(
                f"{prompt!r} has {len(words)} words, and this model reads {text.length - 1} at most"
            )
    vocabulary = ch09.make_vocabulary(list(text.words))
    captions = [" ".join(words) for words, _ in split]
    tokens, mask = ch09.tokenize(captions, vocabulary, text.length)
    mask = mask.float()
    for row, (words, strengths) in zip(mask, split):
        row[1 : 1 + len(words)] = torch.tensor(strengths)
    return tokens, mask


def _words_and_strengths(ch09: ModuleType, prompt: str) -> tuple[list[str], list[float]]:
    words, strengths = [], []
    for piece in prompt.split():
        piece, colon, number = piece.partition(":")
        strength = _strength(number, f"{piece}:{number}") if colon else 1.0
        found = ch09.split_words(piece)
        words += found
        strengths += [strength] * len(found)
    return words, strengths


def _strength(number: str, written: str) -> float:
    if re.fullmatch(r"\d+(\.\d*)?|\.\d+", number) and float(number) <= MAX_STRENGTH:
        return float(number)
    raise CourseError(
        f"behind the colon is the word's strength, a number from 0 to {MAX_STRENGTH:g} such as "
        f"1.5, got {written!r}"
    )


def _unknown(word: str, text: TextConfig) -> str:
    nearest = difflib.get_close_matches(word, text.words, n=1, cutoff=0)[0]
    return (
        f"this model does not know the word {word!r}; nearest in spelling is {nearest!r}. It "
        f"knows: {', '.join(text.words)}"
    )


def like(text: TextConfig) -> str:
    """A prompt that the network may understand, as it is typed."""
    example = ("a", "red", "seven", "on", "blue")
    return f'"{" ".join(example if set(example) <= set(text.words) else text.words[:1])}"'


def prompted(
    impl: Implementation,
    config: ModelConfig,
    network: Callable[..., Tensor],
    prompts: list[str],
    unwanted: str | None,
    guidance: float,
    device: torch.device,
) -> Callable[[Tensor, Tensor, slice], Tensor]:
    """The noise to take away for these prompts, as a function (x, t, which of them) -> eps.

    Args:
        network: called as network(x, t, tokens, mask).
        unwanted: what the pictures should not show; None leads away from the null caption.
        guidance: w; 0 is plain conditional, which nothing unwanted can lead away from.

    Raises:
        CourseError: as for `read_prompts`.
    """
    ch09 = impl.chapter("ch09_prompts")
    tokens, mask = (part.to(device) for part in read_prompts(impl, config.text, prompts))
    away = ch09.null_prompt(tokens)
    if unwanted is not None:
        rows = [unwanted] * len(prompts)
        away = ch09.Prompt(*(part.to(device) for part in read_prompts(impl, config.text, rows)))

    def predict_eps(x: Tensor, t: Tensor, part: slice) -> Tensor:
        if guidance == 0:
            return network(x, t, tokens[part], mask[part])
        towards, off = (ch09.Prompt(p[part], m[part]) for p, m in ((tokens, mask), away))
        return ch09.prompted_eps(network, x, t, towards, off, guidance)

    return predict_eps
