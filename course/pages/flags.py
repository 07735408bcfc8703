"""The toy of flags: pictures of two colours, and captions that say which is where.

A flag is two halves, side by side or one above the other: "red left of blue". It has 8 x 8 pixels,
so chapter 09's network learns to draw it in some ten seconds, and what a picture shows can be read
off its pixels. The colour that is said first is always at the left, or above.
"""

import itertools
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from course.probing.loading import Implementation

COLOURS = {
    "red": (0.9, -0.8, -0.8),
    "yellow": (0.9, 0.8, -0.8),
    "green": (-0.8, 0.7, -0.5),
    "blue": (-0.7, -0.5, 0.9),
}
RELATIONS = ("left of", "above")
WORDS = [*COLOURS, "left", "of", "above"]
SIDE = 8  # pixels
LENGTH = 7  # tokens: <bos>, the longest caption's four words, and room for two of your own
NUM_STEPS = 1000


@dataclass(frozen=True)
class Flag:
    """Which colour is said first, how it lies to the other, and which that one is."""

    first: str
    relation: str
    second: str

    @property
    def caption(self) -> str:
        return f"{self.first} {self.relation} {self.second}"

    @property
    def swapped(self) -> "Flag":
        """The same words with the colours exchanged: another picture."""
        return Flag(self.second, self.relation, self.first)

    def picture(self) -> Tensor:
        """The flag, (3, 8, 8), in [-1, 1]."""
        colours = (COLOURS[self.first], COLOURS[self.second])
        halves = [torch.tensor(colour)[:, None, None] for colour in colours]
        if self.relation == "left of":
            return torch.cat([half.expand(3, SIDE, SIDE // 2) for half in halves], dim=2)
        return torch.cat([half.expand(3, SIDE // 2, SIDE) for half in halves], dim=1)


def all_flags() -> list[Flag]:
    """Every two colours in both relations: 24."""
    pairs = itertools.permutations(COLOURS, 2)
    return [Flag(a, relation, b) for a, b in pairs for relation in RELATIONS]


def shows(pictures: Tensor, flags: list[Flag]) -> Tensor:
    """Which pictures, (N, 3, 8, 8), show their flag: each quarter has the right colour, (N,)."""
    palette = torch.tensor(list(COLOURS.values()))

    def read(some: Tensor) -> Tensor:
        quarters = nn.functional.avg_pool2d(some, SIDE // 2).flatten(2).transpose(1, 2)  # (N, 4, 3)
        return torch.cdist(quarters, palette).argmin(dim=2)  # (N, 4)

    right = torch.stack([flag.picture() for flag in flags])
    return (read(pictures) == read(right)).all(dim=1)


class Trained:
    """A network that has learned from flags and their captions.

    Args:
        parts: what is chapter 09's, by name: tokenize, drop_captions, CrossAttention, PromptUNet,
            prompted_eps, and Encoder, the class that makes vectors of words.
        num_updates: how long it learns.
        seed: of everything random.
    """

    def __init__(self, parts: dict[str, Callable], num_updates: int, seed: int = 0):
        impl = Implementation("solutions")
        names = ("01_noise_schedule", "02_forward_process", "03_embeddings", "04_unet")
        later = ("05_training", "07_fast_sampling", "09_prompts")
        ch01, ch02, ch03, ch04, ch05, self.ch07, self.ch09 = (
            impl.chapter(f"ch{name}") for name in (*names, *later)
        )
        self.ch02, self.ch05, self.parts = ch02, ch05, parts
        self.alpha_bars = ch02.make_schedule(ch01.cosine_betas(NUM_STEPS)).alpha_bars
        self.vocabulary = self.ch09.make_vocabulary(WORDS)
        torch.manual_seed(seed)
        config = self.ch09.PromptUNetConfig(channel_mults=(1, 2), word_dim=32, time_dim=32)
        blocks = (ch04.ResBlock, ch04.Downsample, ch04.Upsample, parts["CrossAttention"])
        self.model = parts["PromptUNet"](
            config,
            ch03.TimeEmbedding(config.time_dim, config.cond_dim),
            parts["Encoder"](len(self.vocabulary), LENGTH, config.word_dim),
            self.ch09.PromptBlocks(*blocks),
        )
        self.losses = self._train(num_updates, torch.Generator().manual_seed(seed))

    def _train(self, num_updates: int, generator: torch.Generator) -> list[float]:
        flags = all_flags()
        pictures = torch.stack([flag.picture() for flag in flags])
        tokens, _ = self.tokens([flag.caption for flag in flags])
        optimizer = torch.optim.Adam(self.model.parameters(), lr=4e-3)
        losses = []
        for _ in range(num_updates):
            chosen = torch.randint(len(flags), (32,), generator=generator)
            x0 = pictures[chosen]
            asked = self.parts["drop_captions"](tokens[chosen], 0.1, generator)
            t, eps = self.ch05.draw_noise(x0, NUM_STEPS, generator)
            loss = self.ch05.diffusion_loss(
                self.model, x0, t, asked, eps, self.alpha_bars, self.ch02.q_sample,
                self.ch05.v_target,
            )  # fmt: skip
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        self.model.eval()
        return losses

    def tokens(self, captions: list[str]) -> tuple[Tensor, Tensor]:
        return self.parts["tokenize"](captions, self.vocabulary, LENGTH)

    def prompt(self, captions: list[str]):
        """A chapter 09 Prompt, all words as strong as they are."""
        tokens, mask = self.tokens(captions)
        return self.ch09.Prompt(tokens, mask.float())

    @torch.no_grad()
    def draw(self, wanted, unwanted=None, guidance_scale: float = 0.0, seed: int = 1) -> Tensor:
        """Pictures for prompts, (N, 3, 8, 8); without `unwanted`, away from the null caption."""
        unwanted = unwanted or self.ch09.null_prompt(wanted.tokens)
        generator = torch.Generator().manual_seed(seed)
        x_T = torch.randn(len(wanted.tokens), 3, SIDE, SIDE, generator=generator)

        def predict(x, t, tokens, mask):
            return self.ch05.eps_from_v(x, self.model(x, t, tokens, mask), t, self.alpha_bars)

        def predict_eps(x, t):
            return self.parts["prompted_eps"](predict, x, t, wanted, unwanted, guidance_scale)

        def step(x, t, t_next, eps, noise, memory):
            at = self.alpha_bars, self.ch02.predict_x0
            return self.ch07.ddim_step(x, t, t_next, eps, noise, *at), None

        grid = self.ch07.time_grid(self.alpha_bars, 12)
        return self.ch07.fast_sample(predict_eps, step, x_T, grid)[0]

    def noised(self, flag: Flag, t: int, seed: int = 2) -> Tensor:
        """The flag's picture after t steps of noise, (1, 3, 8, 8)."""
        x0 = flag.picture()[None]
        eps = torch.randn(x0.shape, generator=torch.Generator().manual_seed(seed))
        return self.ch02.q_sample(x0, torch.tensor([t]), eps, self.alpha_bars)

    @torch.no_grad()
    def looks(self, flag: Flag, t: int) -> Tensor:
        """How the pixels share out their attention in the middle, a map for each token: (L, 4, 4).

        The mean over the heads of the CrossAttention between the two ResBlocks of the middle.
        """
        kept = []
        look = self.model.middle_look
        handle = look.register_forward_pre_hook(lambda module, asked: kept.append(asked))
        try:
            tokens, _ = self.tokens([flag.caption])
            self.model(self.noised(flag, t), torch.tensor([t]), tokens)
        finally:
            handle.remove()
        table = look.attention(*kept[0]).mean(dim=1)[0]  # (N, L)
        return table.T.unflatten(1, (SIDE // 2, SIDE // 2))
