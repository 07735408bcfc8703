"""Chapter 09: prompts, from words to pictures.

A label is one of ten numbers; a prompt is a sentence. Here the words of a sentence become
vectors that know their place and their neighbours, and every pixel of the U-Net looks at the
words that matter to it. A prompt may weigh its words, and another prompt may say what is not
wanted.

    tokens     words as numbers, one row per caption, (B, L), int64
    mask       may this word be looked at? (B, L): True or False, or a number, its strength:
               0 never, 1 as it is, 2 as if the word stood there twice
    words      vectors of the words, (B, L, D)
    x          image or features, (B, C, H, W)

Unless a docstring says otherwise, all tensors handed in lie on one device, where what comes back
lies, too.

Sources: Vaswani et al. 2017, "Attention Is All You Need" (encoder, heads);
Rombach et al. 2022, "High-Resolution Image Synthesis with Latent Diffusion Models" (words reach
the U-Net by cross-attention); Ho & Salimans 2022, "Classifier-Free Diffusion Guidance" (the null
caption); Hertz et al. 2022, "Prompt-to-Prompt" (a strength for each word); Liu et al. 2022,
"Compositional Visual Generation with Composable Diffusion Models" (what is not wanted).
"""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

# The tokens that are no words have the first numbers of every vocabulary.
PAD, BOS, UNK, NULL = range(4)
SPECIAL = ("<pad>", "<bos>", "<unk>", "<null>")


def split_words(caption: str) -> list[str]:
    """The words of a caption in lower case, without what stands between them."""
    return re.findall(r"[a-z0-9]+", caption.lower())


def make_vocabulary(words: list[str]) -> dict[str, int]:
    """Number the words, behind the four tokens that are no words."""
    return {word: number for number, word in enumerate([*SPECIAL, *words])}


def tokenize(captions: list[str], vocabulary: dict[str, int], length: int) -> tuple[Tensor, Tensor]:
    """Turn captions into rows of numbers, all equally long, and say which of them are words.

    Each row begins with the token <bos>, and one token for each word of the caption follows, in
    the caption's order. A word that is not in the vocabulary becomes <unk>: it keeps its place.
    What is left of the row is <pad>. Only <pad> may not be looked at, so even an empty caption has
    something that may be. The vocabulary stays as it was.

    Equation:
        row  = [ BOS, vocabulary[word_1], ..., vocabulary[word_n], PAD, ..., PAD ]
        mask = [ True, True, ..., True, False, ..., False ]

    Source: Devlin et al. 2019, "BERT", section 3 (a first token of its own, padding, a mask).

    Args:
        captions: B sentences. `split_words` gives the words of each.
        vocabulary: the number of each word, as `make_vocabulary` gives it.
        length: L, of every row.

    Returns:
        (tokens, mask): shape (B, L), int64, and shape (B, L), bool, True where a token may be
        looked at.

    Raises:
        ValueError: if a caption with its <bos> is longer than `length`. A caption that is cut
            would be another one.
    """
    tokens = torch.full((len(captions), length), PAD, dtype=torch.int64)  # (B, L)
    for row, caption in zip(tokens, captions):
        numbers = [BOS] + [vocabulary.get(word, UNK) for word in split_words(caption)]
        if len(numbers) > length:
            raise ValueError(
                f"{caption!r} makes {len(numbers)} tokens with its <bos>, and a row has {length}"
            )
        row[: len(numbers)] = torch.tensor(numbers)
    return tokens, tokens != PAD


def drop_captions(tokens: Tensor, p: float, generator: torch.Generator) -> Tensor:
    """Replace each caption, independently and with probability p, by the null caption.

    The null caption is a row in which every token is <null>. It says "any picture", and what the
    network makes of it is learned like any word. A caption is dropped as a whole or stays as it
    is: one without its colour would be a caption of another kind. The input stays as it was.

    Equation:
        out_b = [ NULL, ..., NULL ] if u_b < p, else tokens_b;
        u_b uniform on [0, 1), one for each caption

    Source: Ho & Salimans 2022, algorithm 1.

    Args:
        tokens: shape (B, L), int64.
        p: probability of dropping a caption; 0 drops none, 1 drops all.
        generator: the source of randomness, on the device of `tokens`.

    Returns:
        new tokens, shape (B, L), int64.

    Raises:
        ValueError: unless 0 <= p <= 1.
    """
    if not 0 <= p <= 1:
        raise ValueError(f"p must be a probability between 0 and 1, got {p}")
    uniform = torch.rand(len(tokens), 1, generator=generator, device=tokens.device)  # (B, 1)
    return torch.where(uniform < p, torch.full_like(tokens, NULL), tokens)


class BagOfWords(nn.Module):
    """A learned vector for each word, wherever it stands: "red on blue" is "blue on red".

    Args:
        vocab_size: how many tokens there are.
        length: L, of every row; a bag has no use for it.
        dim: D, length of each vector.
    """

    def __init__(self, vocab_size: int, length: int, dim: int):
        super().__init__()
        self.table = nn.Embedding(vocab_size, dim)

    def forward(self, tokens: Tensor, mask: Tensor) -> Tensor:
        """tokens (B, L), mask (B, L) -> (B, L, dim)."""
        return self.table(tokens)


class TextEncoder(nn.Module):
    """Vectors of words that know where they stand and what stands beside them.

    A learned table has a vector for each word, another one for each place, and the two are added.
    Then comes one layer of a transformer, in two parts. In the first, each word looks at the words
    of its caption that may be looked at, itself among them. In the second it thinks for itself: a
    linear layer makes 4 D numbers of D, GELU follows, and another linear layer makes D numbers of
    these. Each part is given a LayerNorm of the words, and what it finds is added to the words as
    they were before that norm. A last LayerNorm brings all vectors to one scale. No norm and no
    layer serves twice, and nothing is left to chance.

    The vectors of a caption's words do not change when more padding follows. They change when two
    of its words change places.

    Equation:
        h   = E[tokens] + P[0 ... L-1]
        h   = h + Attention( LayerNorm_1(h) )      over the words that may be looked at
        h   = h + W_2 GELU( W_1 LayerNorm_2(h) + b_1 ) + b_2
        out = LayerNorm_3(h)

    Source: Vaswani et al. 2017, sections 3.1 to 3.4; Xiong et al. 2020 for norms before the parts.

    Args:
        vocab_size: how many tokens there are.
        length: the largest L.
        dim: D, length of each vector, divisible by `heads`.
        heads: of the attention.
    """

    def __init__(self, vocab_size: int, length: int, dim: int, heads: int = 4):
        super().__init__()
        self.table = nn.Embedding(vocab_size, dim)
        self.places = nn.Embedding(length, dim)
        self.norm1 = nn.LayerNorm(dim)
        self.attention = nn.MultiheadAttention(dim, heads, batch_first=True)
        self.norm2 = nn.LayerNorm(dim)
        self.linear1 = nn.Linear(dim, 4 * dim)
        self.linear2 = nn.Linear(4 * dim, dim)
        self.norm3 = nn.LayerNorm(dim)

    def forward(self, tokens: Tensor, mask: Tensor) -> Tensor:
        """tokens (B, L), int64, mask (B, L), above 0 where it may be looked at -> (B, L, dim).

        In each row there is at least one token that may be looked at.
        """
        place = torch.arange(tokens.shape[1], device=tokens.device)  # (L,)
        h = self.table(tokens) + self.places(place)  # (B, L, D) + (L, D)
        n = self.norm1(h)
        # PyTorch means the opposite by its mask: True is what may not be looked at.
        found, _ = self.attention(n, n, n, key_padding_mask=mask <= 0, need_weights=False)
        h = h + found  # (B, L, D)
        h = h + self.linear2(F.gelu(self.linear1(self.norm2(h))))  # (B, L, D)
        return self.norm3(h)


def pool(words: Tensor, mask: Tensor) -> Tensor:
    """One vector for a caption, the mean of its words by strength: (B, L, D), (B, L) -> (B, D)."""
    strength = mask.to(words.dtype)[:, :, None]  # (B, L, 1)
    total = strength.sum(dim=1).clamp_min(torch.finfo(words.dtype).tiny)  # not 0
    return (strength * words).sum(dim=1) / total


class CrossAttention(nn.Module):
    """Let every pixel look at the words, with a shortcut around it.

    The pixels ask and the words answer. With n = GroupNorm(x), seen as N = H W pixels, each head
    has its own C / heads channels, one head behind the other, of

        q = W_q n   (B, N, C),      k = W_k words,  v = W_v words   (B, L, C)

    and a table A of N x L. Row i of it says how pixel i shares out its attention among the words;
    it sums to 1. A word with mask 0 gets nothing, and one with mask 2 gets as much as if it stood
    there twice. Only how strong the words are beside each other counts: 0.2 and 0.1 are 2 and 1.
    Where every word of a caption has mask 0, A is 0 and x comes back, and no gradient is NaN.
    At the beginning of training x comes back whatever the words are: the last matrix, W_o, begins
    at zero, and has no bias. It learns all the same.

    Equation:
        A_ij = m_j exp(s_ij) / sum over j' of m_j' exp(s_ij'),    s = q k^T / sqrt(C / heads)
        out  = x + W_o [ A_1 v_1, ..., A_heads v_heads ]          the heads one behind the other

    Source: Vaswani et al. 2017, equation 1 and section 3.2.2; Rombach et al. 2022, section 3.3;
    the strengths follow Hertz et al. 2022, section 4, here with rows that keep their sum.

    Args:
        channels: C, of x and of the result, divisible by `groups` and by `heads`.
        word_dim: D, length of the words' vectors.
        heads: how many.
        groups: of the GroupNorm.
    """

    def __init__(self, channels: int, word_dim: int, heads: int = 4, groups: int = 8):
        super().__init__()
        self.heads = heads
        self.norm = nn.GroupNorm(groups, channels)
        self.to_q = nn.Linear(channels, channels)
        self.to_k = nn.Linear(word_dim, channels)
        self.to_v = nn.Linear(word_dim, channels)
        self.to_out = nn.Linear(channels, channels, bias=False)  # nothing found, nothing added
        nn.init.zeros_(self.to_out.weight)

    def attention(self, x: Tensor, words: Tensor, mask: Tensor) -> Tensor:
        """A: x (B, C, H, W), words (B, L, D), mask (B, L) -> (B, heads, H W, L)."""
        n = self.norm(x).flatten(2).transpose(1, 2)  # (B, C, H, W) -> (B, C, N) -> (B, N, C)
        q = self.to_q(n).unflatten(2, (self.heads, -1)).transpose(1, 2)  # (B, heads, N, C/h)
        k = self.to_k(words).unflatten(2, (self.heads, -1)).transpose(1, 2)  # (B, heads, L, C/h)
        scores = q @ k.transpose(2, 3) / math.sqrt(q.shape[-1])  # (B, heads, N, L)
        strength = mask.to(scores.dtype)[:, None, None, :]  # (B, 1, 1, L)
        # A factor m before the exponential is a log m inside it. That of 0 is -inf, which makes NaN
        # of a row that has nothing else, so the least number takes its place.
        scores = scores + strength.log()
        scores = scores.masked_fill(strength == 0, torch.finfo(scores.dtype).min)
        return scores.softmax(dim=-1) * (strength > 0)

    def forward(self, x: Tensor, words: Tensor, mask: Tensor) -> Tensor:
        """x (B, C, H, W), words (B, L, D), mask (B, L) -> (B, C, H, W)."""
        v = self.to_v(words).unflatten(2, (self.heads, -1)).transpose(1, 2)  # (B, heads, L, C/h)
        found = self.attention(x, words, mask) @ v  # (B, heads, N, C/h)
        found = found.transpose(1, 2).flatten(2)  # (B, N, heads, C/h) -> (B, N, C)
        h = self.to_out(found).transpose(1, 2).reshape(x.shape)  # (B, N, C) -> (B, C, H, W)
        return x + h


@dataclass(frozen=True)
class PromptUNetConfig:
    """The widths of a U-Net that is told by words what to draw.

    `channel_mults` has one entry per resolution, from the full one down, as in chapter 04.
    """

    image_channels: int = 3
    base_channels: int = 16
    channel_mults: tuple[int, ...] = (1, 2, 4)
    time_dim: int = 128  # length of the sinusoidal embedding
    word_dim: int = 64  # D, length of the words' vectors
    heads: int = 4
    groups: int = 8  # of every GroupNorm; divides every channel count
    cross_attention: bool = True  # or else the words reach the network as one vector alone

    @property
    def channels(self) -> list[int]:
        """Channels at each resolution, from the full one down."""
        return [self.base_channels * mult for mult in self.channel_mults]

    @property
    def cond_dim(self) -> int:
        """Length of the vector that carries the time and the mean of the words."""
        return 4 * self.base_channels


class PromptBlocks(NamedTuple):
    """The building blocks that the U-Net is made of, handed in as classes."""

    ResBlock: type[nn.Module]
    Downsample: type[nn.Module]
    Upsample: type[nn.Module]
    CrossAttention: type[nn.Module]


class NoAttention(nn.Module):
    """Where no pixel looks at the words: x comes back."""

    def forward(self, x: Tensor, words: Tensor, mask: Tensor) -> Tensor:
        """x (B, channels, H, W) -> the same."""
        return x


class PromptParts(nn.Module):
    """The parts of the network below, with their channels: given, so that you can wire them.

    Args:
        config: the widths.
        time_embedding: module, t (B,) -> (B, config.cond_dim).
        text_encoder: module, tokens (B, L) and mask (B, L) -> (B, L, config.word_dim).
        blocks: the classes to build from.
    """

    def __init__(
        self,
        config: PromptUNetConfig,
        time_embedding: nn.Module,
        text_encoder: nn.Module,
        blocks: PromptBlocks,
    ):
        super().__init__()
        self.time_embedding, self.text_encoder = time_embedding, text_encoder
        channels, cond_dim, groups = config.channels, config.cond_dim, config.groups
        self.stride = 2 ** (len(channels) - 1)
        self.pooled = nn.Linear(config.word_dim, cond_dim)
        self.conv_in = nn.Conv2d(config.image_channels, channels[0], kernel_size=3, padding=1)
        self.norm_out = nn.GroupNorm(groups, channels[0])
        self.conv_out = nn.Conv2d(channels[0], config.image_channels, kernel_size=3, padding=1)

        def look(level: int) -> nn.Module:
            if level == 0 or not config.cross_attention:
                return NoAttention()
            return blocks.CrossAttention(channels[level], config.word_dim, config.heads, groups)

        levels = range(len(channels))
        before = channels[0]  # channels of h
        self.down_blocks, self.down_looks = nn.ModuleList(), nn.ModuleList()
        self.downsamples = nn.ModuleList()
        for level in levels:
            width = channels[level]
            self.down_blocks.append(blocks.ResBlock(before, width, cond_dim, groups))
            self.down_looks.append(look(level))
            self.downsamples.append(blocks.Downsample(width))
            before = width
        self.downsamples[-1] = nn.Identity()  # the lowest resolution stays

        self.middle1 = blocks.ResBlock(before, before, cond_dim, groups)
        self.middle_look = look(levels[-1])
        self.middle2 = blocks.ResBlock(before, before, cond_dim, groups)

        self.up_blocks, self.up_looks = nn.ModuleList(), nn.ModuleList()
        self.upsamples = nn.ModuleList()
        for level in reversed(levels):
            width = channels[level]
            self.up_blocks.append(blocks.ResBlock(before + width, width, cond_dim, groups))
            self.up_looks.append(look(level))
            self.upsamples.append(blocks.Upsample(width))
            before = width
        self.upsamples[-1] = nn.Identity()  # the full resolution is reached


class PromptUNet(PromptParts):
    """Noisy images, their steps and their captions in; one number per pixel and colour out.

    Chapter 04's U-Net, which now looks at the words. Three things are new. The captions are turned
    into words' vectors once, and every ResBlock is told time_embedding(t) plus `pooled` of the
    words' mean (`pool`). Below the full resolution the pixels look at the words: behind the
    ResBlock of each level, on the way down before h is kept as the level's skip, and between the
    two ResBlocks of the middle. On the way up h has the first channels and its level's skip the
    last, so that trained weights fit. And a mask of the caller's own may weigh the words, wherever
    they are used; if there is none, all but <pad> count as 1.

    Equation:
        mask  = tokens != PAD, if there is none
        words = text_encoder(tokens, mask)
        cond  = time_embedding(t) + pooled( pool(words, mask) )
        h     = conv_in(x)
        down, for level i = 0 ... L-1:
            h = down_looks[i]( down_blocks[i](h, cond), words, mask )    keep h: skip_i
            h = downsamples[i](h)
        h     = middle2( middle_look( middle1(h, cond), words, mask ), cond )
        up, for level i = L-1 ... 0, with its parts numbered as they are used:
            h = up_looks( up_blocks(concat(h, skip_i), cond), words, mask )
            h = upsamples(h)
        out   = conv_out( SiLU( norm_out(h) ) )

    Source: Rombach et al. 2022, section 3.3 and appendix E.2.1; Ronneberger et al. 2015.

    Args:
        config, time_embedding, text_encoder, blocks: as `PromptParts` takes them.

    Raises:
        ValueError: in `forward`, if height or width of x cannot be halved L-1 times.
    """

    def forward(self, x: Tensor, t: Tensor, tokens: Tensor, mask: Tensor | None = None) -> Tensor:
        """x (B, C, H, W), t (B,), tokens (B, L), mask (B, L) or None -> (B, C, H, W)."""
        if x.shape[-2] % self.stride or x.shape[-1] % self.stride:
            raise ValueError(
                f"height and width must be multiples of {self.stride}, got {tuple(x.shape)}"
            )
        if mask is None:
            mask = tokens != PAD  # (B, L)
        words = self.text_encoder(tokens, mask)  # (B, L, D)
        cond = self.time_embedding(t) + self.pooled(pool(words, mask))  # (B, cond_dim)

        h = self.conv_in(x)  # (B, c_0, H, W)
        skips = []
        for block, look, downsample in zip(self.down_blocks, self.down_looks, self.downsamples):
            h = look(block(h, cond), words, mask)  # (B, c_i, H_i, W_i)
            skips.append(h)
            h = downsample(h)  # (B, c_i, H_i/2, W_i/2)

        h = self.middle1(h, cond)
        h = self.middle_look(h, words, mask)
        h = self.middle2(h, cond)

        for block, look, upsample in zip(self.up_blocks, self.up_looks, self.upsamples):
            h = torch.cat([h, skips.pop()], dim=1)  # the last skip kept is the first one used
            h = look(block(h, cond), words, mask)  # (B, c_i, H_i, W_i)
            h = upsample(h)  # (B, c_i, 2 H_i, 2 W_i)

        return self.conv_out(F.silu(self.norm_out(h)))  # (B, C, H, W)


class Prompt(NamedTuple):
    """What is asked for, or what is not wanted, for each image of a batch."""

    tokens: Tensor  # (B, L), int64
    mask: Tensor  # (B, L), 0 where a token may not be looked at, else its strength


def null_prompt(tokens: Tensor) -> Prompt:
    """The null caption in the shape of these tokens, (B, L); all of it may be looked at."""
    return Prompt(torch.full_like(tokens, NULL), torch.ones(tokens.shape, device=tokens.device))


def prompted_eps(
    predict_eps: Callable[[Tensor, Tensor, Tensor, Tensor], Tensor],
    x_t: Tensor,
    t: Tensor,
    wanted: Prompt,
    unwanted: Prompt,
    guidance_scale: float,
) -> Tensor:
    """The noise to take away for pictures that show what is wanted, and not what is unwanted.

    Chapter 06's guidance leads away from "any digit". Here it leads away from a prompt of your
    choice: with the null caption as `unwanted` it is chapter 06's again, and w = 0 is the plain
    conditional prediction, whatever is unwanted. If the two prompts are the same, so is the result
    for every w. Both predictions come from one call of the network, with a batch of 2B, and each
    half has its own strengths.

    Equation:
        eps = (1 + w) * eps(x_t, t, wanted) - w * eps(x_t, t, unwanted)

    Source: Liu et al. 2022, section 4 (negation); Ho & Salimans 2022, equation 6.

    Args:
        predict_eps: the network, called once as predict_eps(x, t, tokens, mask).
        x_t: shape (B, C, H, W).
        t: shape (B,), int64.
        wanted: tokens and mask of the prompts, each (B, L).
        unwanted: tokens and mask of the negative prompts, each (B, L).
        guidance_scale: w.

    Returns:
        eps, shape (B, C, H, W).
    """
    both = predict_eps(
        torch.cat([x_t, x_t]),  # (2B, C, H, W)
        torch.cat([t, t]),  # (2B,)
        torch.cat([wanted.tokens, unwanted.tokens]),  # (2B, L)
        torch.cat([wanted.mask, unwanted.mask]),  # (2B, L)
    )
    eps_wanted, eps_unwanted = both.chunk(2)  # each (B, C, H, W)
    return (1 + guidance_scale) * eps_wanted - guidance_scale * eps_unwanted
