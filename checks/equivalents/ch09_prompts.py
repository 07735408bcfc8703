"""Right answers to chapter 09 in other styles. Every check must accept them."""

import math
import random

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from course.grading.answers import Answers
from solutions.ch09_prompts import BOS, NULL, PAD, UNK, PromptParts, pool, split_words

answers = Answers()


# 9.1


@answers.right("9.1", "lists filled up, the mask from the counts")
def tokenize(captions, vocabulary, length):
    rows, counts = [], []
    for caption in captions:
        row = [BOS]
        for word in split_words(caption):
            row.append(vocabulary[word] if word in vocabulary else UNK)
        if len(row) > length:
            raise ValueError(f"{caption!r} is too long")
        counts.append(len(row))
        rows.append(row + [PAD] * (length - len(row)))
    return torch.tensor(rows), torch.arange(length) < torch.tensor(counts)[:, None]


@answers.right("9.1", "place by place, the numbers of the first tokens from the vocabulary")
def tokenize(captions, vocabulary, length):
    words = [split_words(caption) for caption in captions]
    if max(map(len, words)) >= length:
        raise ValueError("a caption is too long")
    tokens = torch.zeros(len(captions), length, dtype=torch.long)
    mask = torch.zeros(len(captions), length, dtype=torch.bool)
    tokens[:, 0], mask[:, 0] = vocabulary["<bos>"], True
    for b, row in enumerate(words):
        for place, word in enumerate(row, start=1):
            tokens[b, place] = vocabulary.get(word, vocabulary["<unk>"])
            mask[b, place] = True
    return tokens, mask


@answers.right("9.1", "torch's own padding of sequences, one row more to reach the length")
def tokenize(captions, vocabulary, length):
    rows = [torch.zeros(length, dtype=torch.int64)]
    for caption in captions:
        numbers = [BOS, *(vocabulary.get(word, UNK) for word in split_words(caption))]
        rows.append(torch.tensor(numbers))
    tokens = nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=PAD)[1:]
    if tokens.shape[1] > length:
        raise ValueError(f"a row of {tokens.shape[1]} tokens does not fit into {length}")
    return tokens, tokens.ne(PAD)


@answers.right("9.1", "NumPy, and a list in the place of a tuple")
def tokenize(captions, vocabulary, length):
    tokens = np.full((len(captions), length), PAD, dtype=np.int64)
    for b, caption in enumerate(captions):
        words = ["<bos>"] + [w if w in vocabulary else "<unk>" for w in split_words(caption)]
        if len(words) > length:
            raise ValueError(caption)
        tokens[b, : len(words)] = [vocabulary[word] for word in words]
    return [torch.from_numpy(tokens), torch.from_numpy(tokens != PAD)]


# 9.2


@answers.right("9.2", "torch's own layer of a transformer")
class TextEncoder(nn.Module):
    def __init__(self, vocab_size, length, dim, heads=4):
        super().__init__()
        self.words, self.places = nn.Embedding(vocab_size, dim), nn.Embedding(length, dim)
        self.layer = nn.TransformerEncoderLayer(
            dim, heads, 4 * dim, dropout=0.0, activation="gelu", batch_first=True, norm_first=True
        )
        self.last = nn.LayerNorm(dim)

    def forward(self, tokens, mask):
        places = torch.arange(tokens.shape[1], device=tokens.device)
        h = self.words(tokens) + self.places(places)
        return self.last(self.layer(h, src_key_padding_mask=~(mask > 0)))


@answers.right("9.2", "heads by hand, query, key and value from one layer")
class TextEncoder(nn.Module):
    def __init__(self, vocab_size, length, dim, heads=4):
        super().__init__()
        self.heads = heads
        self.words = nn.Parameter(torch.randn(vocab_size, dim))
        self.places = nn.Parameter(torch.zeros(1, length, dim))
        self.norms = nn.ModuleList(nn.LayerNorm(dim) for _ in range(3))
        self.qkv, self.out = nn.Linear(dim, 3 * dim, bias=False), nn.Linear(dim, dim)
        self.mlp = nn.Sequential(nn.Linear(dim, 4 * dim), nn.GELU(), nn.Linear(4 * dim, dim))

    def forward(self, tokens, mask):
        h = self.words[tokens] + self.places[:, : tokens.shape[1]]
        qkv = self.qkv(self.norms[0](h)).chunk(3, dim=-1)
        q, k, v = (part.unflatten(2, (self.heads, -1)).transpose(1, 2) for part in qkv)
        scores = q @ k.mT / math.sqrt(q.shape[-1])
        scores = scores.masked_fill((mask <= 0)[:, None, None], -math.inf)
        h = h + self.out((scores.softmax(dim=-1) @ v).transpose(1, 2).flatten(2))
        h = h + self.mlp(self.norms[1](h))
        return self.norms[2](h)


@answers.right(
    "9.2", "scaled_dot_product_attention, heads first in the fused layer, a GELU by tanh"
)
class TextEncoder(nn.Module):
    def __init__(self, vocab_size, length, dim, heads=4):
        super().__init__()
        self.heads = heads
        self.tables = nn.ModuleList([nn.Embedding(vocab_size, dim), nn.Embedding(length, dim)])
        self.one, self.two = (nn.LayerNorm(dim, elementwise_affine=False) for _ in range(2))
        self.last = nn.LayerNorm(dim)
        self.qkv, self.out = nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)
        self.up, self.down = nn.Linear(dim, 4 * dim), nn.Linear(4 * dim, dim)
        for table in self.tables:
            nn.init.normal_(table.weight, std=0.02)

    def forward(self, tokens, mask):
        words, places = self.tables
        h = words(tokens) + places.weight[: tokens.shape[1]]
        parts = self.qkv(self.one(h)).unflatten(2, (self.heads, 3, -1))  # (B, L, heads, 3, D/h)
        q, k, v = parts.permute(3, 0, 2, 1, 4)
        shown = (mask > 0)[:, None, None, :]
        found = F.scaled_dot_product_attention(q, k, v, attn_mask=shown)
        h = self.out(found.permute(0, 2, 1, 3).flatten(2)) + h
        return self.last(h + self.down(F.gelu(self.up(self.two(h)), approximate="tanh")))


@answers.right("9.2", "one caption after the other, without its padding")
class TextEncoder(nn.Module):
    def __init__(self, vocab_size, length, dim, heads=4):
        super().__init__()
        self.words, self.places = nn.Embedding(vocab_size, dim), nn.Embedding(length, dim)
        self.norm1, self.norm2, self.norm3 = nn.LayerNorm(dim), nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.attention = nn.MultiheadAttention(dim, heads)
        self.linear1, self.linear2 = nn.Linear(dim, 4 * dim), nn.Linear(4 * dim, dim)

    def forward(self, tokens, mask):
        out = torch.zeros(*tokens.shape, self.words.embedding_dim, device=tokens.device)
        for b in range(len(tokens)):
            shown = (mask[b] > 0).nonzero().flatten()
            h = self.words(tokens[b, shown]) + self.places(shown)  # (n, D)
            n = self.norm1(h)
            h = h + self.attention(n, n, n)[0]
            h = h + self.linear2(F.gelu(self.linear1(self.norm2(h))))
            out[b, shown] = self.norm3(h)
        return out


@answers.right("9.2", "a matrix for each head, exp and sums by hand")
class TextEncoder(nn.Module):
    def __init__(self, vocab_size, length, dim, heads=4):
        super().__init__()
        size = dim // heads
        self.words = nn.Embedding(vocab_size, dim, padding_idx=PAD)
        self.places = nn.Embedding(length, dim)
        self.q, self.k, self.v = (
            nn.ModuleList(nn.Linear(dim, size) for _ in range(heads)) for _ in range(3)
        )
        self.out = nn.Linear(dim, dim)
        self.norms = nn.ModuleList(nn.LayerNorm(dim) for _ in range(3))
        self.up = nn.Parameter(0.1 * torch.randn(dim, 4 * dim))
        self.up_offset = nn.Parameter(torch.zeros(4 * dim))
        self.down = nn.Linear(4 * dim, dim)

    def forward(self, tokens, mask):
        places = torch.arange(tokens.shape[1], device=tokens.device).expand_as(tokens)
        h = self.words(tokens) + self.places(places)
        n = self.norms[0](h)
        found = []
        for to_q, to_k, to_v in zip(self.q, self.k, self.v):
            scores = to_q(n) @ to_k(n).mT * to_q.out_features**-0.5
            weights = scores.exp() * (mask > 0)[:, None]
            found.append(weights / weights.sum(dim=2, keepdim=True) @ to_v(n))
        h = h + self.out(torch.cat(found, dim=2))
        wide = self.norms[1](h) @ self.up + self.up_offset
        wide = wide * (1 + torch.erf(wide / math.sqrt(2))) / 2
        return self.norms[2](h + self.down(wide))


# 9.3


@answers.right("9.3", "scaled_dot_product_attention with a bias, key and value from one layer")
class CrossAttention(nn.Module):
    def __init__(self, channels, word_dim, heads=4, groups=8):
        super().__init__()
        self.heads = heads
        self.norm = nn.GroupNorm(groups, channels)
        self.q = nn.Conv2d(channels, channels, 1)
        self.kv = nn.Linear(word_dim, 2 * channels, bias=False)
        self.proj = nn.Conv2d(channels, channels, 1, bias=False)
        nn.init.zeros_(self.proj.weight)

    def parts(self, x, words, mask):
        q = self.q(self.norm(x)).flatten(2).unflatten(1, (self.heads, -1)).mT
        k, v = (
            p.unflatten(2, (self.heads, -1)).transpose(1, 2) for p in self.kv(words).chunk(2, 2)
        )
        bias = mask.float().log().clamp_min(-1e9)[:, None, None]
        return q, k, v, bias, (mask > 0).any(dim=1).view(-1, 1, 1, 1)

    def attention(self, x, words, mask):
        q, k, _, bias, any_word = self.parts(x, words, mask)
        table = (q @ k.mT / math.sqrt(q.shape[-1]) + bias).softmax(dim=-1)
        return table * any_word

    def forward(self, x, words, mask):
        q, k, v, bias, any_word = self.parts(x, words, mask)
        found = F.scaled_dot_product_attention(q, k, v, attn_mask=bias) * any_word
        return self.proj(found.mT.flatten(1, 2).view_as(x)) + x


@answers.right("9.3", "nn.MultiheadAttention with other lengths for keys and values")
class CrossAttention(nn.Module):
    def __init__(self, channels, word_dim, heads=4, groups=8):
        super().__init__()
        self.heads = heads
        self.norm = nn.GroupNorm(groups, channels)
        self.look = nn.MultiheadAttention(
            channels, heads, bias=False, kdim=word_dim, vdim=word_dim, batch_first=True
        )
        nn.init.zeros_(self.look.out_proj.weight)

    def both(self, x, words, mask):
        n = self.norm(x).flatten(2).mT
        shown = mask > 0
        none = ~shown.any(dim=1, keepdim=True)
        bias = torch.where(shown, mask.to(n.dtype), 1).log().masked_fill(~(shown | none), -math.inf)
        bias = bias[:, None].expand(-1, n.shape[1], -1).repeat_interleave(self.heads, dim=0)
        found, table = self.look(n, words, words, attn_mask=bias, average_attn_weights=False)
        return found * ~none[:, :, None], table * ~none[:, :, None, None]

    def attention(self, x, words, mask):
        return self.both(x, words, mask)[1]

    def forward(self, x, words, mask):
        return x + self.both(x, words, mask)[0].mT.unflatten(2, x.shape[2:])


@answers.right("9.3", "exp and sums by hand, einsum")
class CrossAttention(nn.Module):
    def __init__(self, channels, word_dim, heads=4, groups=8):
        super().__init__()
        self.size = channels // heads
        self.norm = nn.GroupNorm(groups, channels, affine=False)
        self.w_q = nn.Parameter(torch.randn(channels, channels) / channels**0.5)
        self.w_k = nn.Parameter(torch.randn(word_dim, channels) / word_dim**0.5)
        self.w_v = nn.Parameter(torch.randn(word_dim, channels) / word_dim**0.5)
        self.w_o = nn.Parameter(torch.zeros(channels, channels))

    def heads(self, values):
        return values.unflatten(-1, (-1, self.size))  # (..., heads, C / heads)

    def attention(self, x, words, mask):
        n = self.norm(x).permute(0, 2, 3, 1).flatten(1, 2)
        q, k = self.heads(n @ self.w_q), self.heads(words @ self.w_k)
        scores = torch.einsum("bnhc,blhc->bhnl", q, k) * self.size**-0.5
        shares = mask[:, None, None] * (scores - scores.amax(dim=-1, keepdim=True)).exp()
        total = shares.sum(dim=-1, keepdim=True)
        return shares / torch.where(total > 0, total, 1)

    def forward(self, x, words, mask):
        v = self.heads(words @ self.w_v)
        found = torch.einsum("bhnl,blhc->bnhc", self.attention(x, words, mask), v).flatten(2)
        return x + (found @ self.w_o).mT.reshape(x.shape)


@answers.right("9.3", "a loop over images and heads, only the words that may be looked at")
class CrossAttention(nn.Module):
    def __init__(self, channels, word_dim, heads=4, groups=8):
        super().__init__()
        size = channels // heads
        self.norm = nn.GroupNorm(groups, channels)
        self.q = nn.ModuleList(nn.Linear(channels, size) for _ in range(heads))
        self.k = nn.ModuleList(nn.Linear(word_dim, size) for _ in range(heads))
        self.v = nn.ModuleList(nn.Linear(word_dim, size) for _ in range(heads))
        self.o = nn.Linear(channels, channels, bias=False)
        nn.init.constant_(self.o.weight, 0.0)

    def attention(self, x, words, mask):
        n = self.norm(x).flatten(2).transpose(1, 2)
        tables = []
        for b in range(len(x)):
            shown = mask[b] > 0
            strength = mask[b][shown].float()
            rows = []
            for to_q, to_k in zip(self.q, self.k):
                scores = to_q(n[b]) @ to_k(words[b][shown]).T / to_q.out_features**0.5
                row = n.new_zeros(n.shape[1], words.shape[1])
                row[:, shown] = torch.softmax(scores + strength.log(), dim=1)
                rows.append(row)
            tables.append(torch.stack(rows))
        return torch.stack(tables)

    def forward(self, x, words, mask):
        table = self.attention(x, words, mask)
        found = [table[:, h] @ to_v(words) for h, to_v in enumerate(self.v)]
        return x + self.o(torch.cat(found, dim=2)).transpose(1, 2).reshape(x.shape)


@answers.right("9.3", "key and value head by head in one layer, float64 inside, heads in the batch")
class CrossAttention(nn.Module):
    def __init__(self, channels, word_dim, heads=4, groups=8):
        super().__init__()
        self.h = heads
        self.norm = nn.GroupNorm(groups, channels)
        self.q = nn.Linear(channels, channels, bias=False)
        self.kv = nn.Linear(word_dim, 2 * channels, bias=False)
        self.last = nn.Linear(channels, channels, bias=False)
        self.last.weight.data.fill_(0)

    def look(self, x, words, mask):
        count, pixels = len(x), x.shape[2] * x.shape[3]
        q = self.q(self.norm(x).view(count, -1, pixels).permute(0, 2, 1)).double()
        q = q.view(count, pixels, self.h, -1).permute(0, 2, 1, 3).flatten(0, 1)  # (B h, N, C/h)
        kv = self.kv(words).double().view(count, words.shape[1], self.h, 2, -1)
        k, v = kv.permute(3, 0, 2, 1, 4).flatten(1, 2)  # (B h, L, C/h)
        strength = mask.double().repeat_interleave(self.h, dim=0)[:, None]  # (B h, 1, L)
        scores = torch.bmm(q, k.mT) / math.sqrt(q.shape[-1])
        top = scores.masked_fill(strength == 0, -1e300).amax(dim=2, keepdim=True)
        shares = strength * (scores - top).clamp_max(0).exp()
        table = shares / shares.sum(dim=2, keepdim=True).clamp_min(1e-300)
        return table.float(), torch.bmm(table, v).float()

    def attention(self, x, words, mask):
        return self.look(x, words, mask)[0].unflatten(0, (-1, self.h))

    def forward(self, x, words, mask):
        found = self.look(x, words, mask)[1].unflatten(0, (-1, self.h)).transpose(1, 2).flatten(2)
        return torch.add(x, self.last(found).mT.reshape_as(x))


# 9.4


def _refuse_p(p):
    if not 0 <= p <= 1:
        raise ValueError(f"p must be a probability between 0 and 1, got {p}")


@answers.right("9.4", "a loop with one draw a caption")
def drop_captions(tokens, p, generator):
    _refuse_p(p)
    new = []
    for row in tokens.tolist():
        dropped = torch.rand(1, generator=generator).item() < p
        new.append([NULL] * len(row) if dropped else row)
    return torch.tensor(new, device=tokens.device)


@answers.right("9.4", "torch.bernoulli and masked_fill")
def drop_captions(tokens, p, generator):
    _refuse_p(p)
    chances = torch.full((len(tokens),), p, device=tokens.device)
    return tokens.masked_fill(torch.bernoulli(chances, generator=generator).bool()[:, None], NULL)


@answers.right("9.4", "a copy with an assignment, float64 draws from the other end")
def drop_captions(tokens, p, generator):
    _refuse_p(p)
    u = tokens.new_empty(len(tokens), dtype=torch.float64).uniform_(generator=generator)
    new = tokens.clone()
    new[u >= 1 - p] = NULL
    return new


@answers.right("9.4", "a number for each token, of which the first decides")
def drop_captions(tokens, p, generator):
    _refuse_p(p)
    u = torch.rand(tokens.shape, generator=generator, device=tokens.device)[:, :1]
    dropped = (u < p).long()
    return tokens + dropped * (NULL - tokens)


@answers.right("9.4", "Python's random numbers, seeded by the generator, last caption first")
def drop_captions(tokens, p, generator):
    _refuse_p(p)
    high, low = torch.randint(2**31, (2,), generator=generator, device=generator.device).tolist()
    chance, new = random.Random(high << 31 | low), tokens.clone()
    for row in reversed(list(new)):
        if chance.random() < p:
            row.fill_(NULL)
    return new


# 9.5


def _refuse_size(x, stride):
    if x.shape[-2] % stride or x.shape[-1] % stride:
        raise ValueError(f"{tuple(x.shape)} cannot be halved often enough")


@answers.right("9.5", "indices, a dict of skips, a mask of numbers")
class PromptUNet(PromptParts):
    def forward(self, x, t, tokens, mask=None):
        _refuse_size(x, self.stride)
        mask = tokens.ne(PAD).float() if mask is None else mask
        words = self.text_encoder(tokens, mask)
        cond = self.pooled(pool(words, mask)) + self.time_embedding(t)
        h, skips, levels = self.conv_in(x), {}, len(self.down_blocks)
        for i in range(levels):
            h = self.down_looks[i](self.down_blocks[i](h, cond), words, mask)
            skips[i] = h
            if i < levels - 1:
                h = self.downsamples[i](h)
        h = self.middle2(self.middle_look(self.middle1(h, cond), words, mask), cond)
        for n, i in enumerate(reversed(range(levels))):
            h = self.up_blocks[n](torch.cat((h, skips[i]), dim=1), cond)
            h = self.up_looks[n](h, words, mask)
            if i > 0:
                h = self.upsamples[n](h)
        return self.conv_out(F.silu(self.norm_out(h)))


@answers.right("9.5", "recursion from level to level")
class PromptUNet(PromptParts):
    def forward(self, x, t, tokens, mask=None):
        _refuse_size(x, self.stride)
        if mask is None:
            mask = tokens != PAD
        words = self.text_encoder(tokens=tokens, mask=mask)
        cond = self.time_embedding(t).add(self.pooled(pool(words, mask)))
        last = len(self.down_blocks) - 1

        def level(h, i):
            skip = self.down_looks[i](self.down_blocks[i](h, cond), words, mask)
            if i < last:
                h = level(self.downsamples[i](skip), i + 1)
            else:
                h = self.middle_look(self.middle1(skip, cond), words, mask)
                h = self.middle2(h, cond)
            h = self.up_blocks[last - i](torch.hstack([h, skip]), cond)
            return self.upsamples[last - i](self.up_looks[last - i](h, words, mask))

        return self.conv_out(F.silu(self.norm_out(level(self.conv_in(x), 0)), inplace=True))


@answers.right("9.5", "the mean by hand, closures for looks, skips as an iterator")
class PromptUNet(PromptParts):
    def forward(self, x, t, tokens, mask=None):
        _refuse_size(x, self.stride)
        mask = torch.where(tokens == PAD, 0.0, 1.0) if mask is None else mask
        words = self.text_encoder(tokens, mask)
        strength = mask / mask.sum(dim=1, keepdim=True)
        mean = torch.einsum("bl,bld->bd", strength.to(words.dtype), words)
        cond = torch.stack([self.time_embedding(t), self.pooled(mean)]).sum(dim=0)

        def read(block, look, h):
            return look(block(x=h, cond=cond), words=words, mask=mask)

        kept, h = [], self.conv_in(x)
        for parts in zip(self.down_blocks, self.down_looks, self.downsamples):
            kept.append(read(parts[0], parts[1], h))
            h = parts[2](kept[-1])
        h = self.middle2(read(self.middle1, self.middle_look, h), cond)
        above = reversed(kept)
        for block, look, larger in zip(self.up_blocks, self.up_looks, self.upsamples):
            h = larger(read(block, look, torch.cat([h, next(above)], dim=-3)))
        h = self.norm_out(h)
        return self.conv_out(h * torch.sigmoid(h))


# 9.6


@answers.right("9.6", "the difference added to what is wanted")
def prompted_eps(predict_eps, x_t, t, wanted, unwanted, guidance_scale):
    tokens, mask = (torch.cat(pair) for pair in zip(wanted, unwanted))
    eps = predict_eps(x_t.repeat(2, 1, 1, 1), t.repeat(2), tokens, mask)
    eps_wanted, eps_unwanted = eps[: len(x_t)], eps[len(x_t) :]
    return eps_wanted + guidance_scale * (eps_wanted - eps_unwanted)


@answers.right("9.6", "the unwanted half first")
def prompted_eps(predict_eps, x_t, t, wanted, unwanted, guidance_scale):
    tokens = torch.vstack([unwanted.tokens, wanted.tokens])
    mask = torch.vstack([unwanted.mask, wanted.mask])
    away, there = predict_eps(torch.cat([x_t] * 2), torch.cat([t] * 2), tokens, mask).split(len(t))
    return away + (1 + guidance_scale) * (there - away)


@answers.right("9.6", "the two prompts of an image next to each other")
def prompted_eps(predict_eps, x_t, t, wanted, unwanted, guidance_scale):
    tokens = torch.stack([wanted.tokens, unwanted.tokens], dim=1).flatten(0, 1)
    mask = torch.stack([wanted.mask.float(), unwanted.mask.float()], dim=1).flatten(0, 1)
    eps = predict_eps(x_t.repeat_interleave(2, dim=0), t.repeat_interleave(2), tokens, mask)
    weights = torch.tensor([1 + guidance_scale, -guidance_scale], device=eps.device)
    return torch.einsum("bk...,k->b...", eps.unflatten(0, (-1, 2)), weights)


@answers.right("9.6", "one prediction where w = 0, extrapolation by lerp elsewhere")
def prompted_eps(predict_eps, x_t, t, wanted, unwanted, guidance_scale):
    if guidance_scale == 0:
        return predict_eps(x_t, t, wanted.tokens, wanted.mask)
    eps = predict_eps(
        torch.cat([x_t, x_t]),
        torch.cat([t, t]),
        torch.cat([wanted[0], unwanted[0]]),
        torch.cat([wanted[1], unwanted[1]]),
    )
    eps_wanted, eps_unwanted = eps.tensor_split(2)
    return torch.lerp(eps_unwanted, eps_wanted, 1 + guidance_scale)
