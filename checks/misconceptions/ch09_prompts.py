"""Known wrong answers to chapter 09, each with the misunderstanding behind it."""

import torch
from torch import nn

from course.grading.answers import Answers
from solutions import ch09_prompts as ref

answers = Answers()


# 9.1


answers.edit(
    "9.1",
    "unknown words left out, the next ones moved up",
    "Without a token in its place, 'a purple seven' reads like 'a seven', and every word behind "
    "it stands in another place. An unknown word becomes <unk>.",
    (
        "[vocabulary.get(word, UNK) for word in split_words(caption)]",
        "[vocabulary[word] for word in split_words(caption) if word in vocabulary]",
    ),
)

answers.edit(
    "9.1",
    "an unknown word becomes padding",
    "Padding says that nobody said anything. Here somebody did, and it was not understood: that "
    "is <unk>, which may be looked at.",
    ("vocabulary.get(word, UNK)", "vocabulary.get(word, PAD)"),
)

answers.edit(
    "9.1",
    "an unknown word becomes the null caption's token",
    "<null> says 'any picture', and it is kept for captions that are dropped as a whole. A word "
    "that is not known is <unk>.",
    ("vocabulary.get(word, UNK)", "vocabulary.get(word, NULL)"),
)

answers.edit(
    "9.1",
    "unknown words get a number of their own",
    "setdefault writes into the caller's vocabulary, and the network's table has no row for the "
    "new number. What is not known is <unk>.",
    ("vocabulary.get(word, UNK)", "vocabulary.setdefault(word, len(vocabulary))"),
)

answers.edit(
    "9.1",
    "no token before the words",
    "<bos> is first in every row. An empty caption would have nothing to look at without it.",
    ("[BOS] + [", "["),
)

answers.again(
    "9.1",
    "no token before the words",
    ("[BOS] + [", "["),
    ("len(numbers) > length", "len(numbers) + 1 > length"),
)

answers.edit(
    "9.1",
    "the first token behind the words",
    "<bos> is at the beginning, where it has the same place in every caption.",
    ("[BOS] + [vocabulary", "[vocabulary"),
    ("split_words(caption)]", "split_words(caption)] + [BOS]"),
)

answers.edit(
    "9.1",
    "padding in front",
    "Padding comes last. In front it would move every word to a place that depends on how long "
    "the caption is.",
    ("row[: len(numbers)]", "row[length - len(numbers) :]"),
)

answers.edit(
    "9.1",
    "padding up to the longest caption only",
    "Every row has `length` places, whatever the captions of one batch are. Otherwise two batches "
    "could not be joined.",
    (
        "return tokens, tokens != PAD",
        "tokens = tokens[:, (tokens != PAD).any(dim=0)]\n    return tokens, tokens != PAD",
    ),
)

answers.edit(
    "9.1",
    "the mask says what is padding",
    "PyTorch's key_padding_mask means that by True. Here True means that a token may be looked at.",
    ("tokens != PAD", "tokens == PAD"),
)

answers.edit(
    "9.1",
    "only words may be looked at",
    "<bos> may be looked at too, and always. In an empty caption there is nothing else.",
    ("return tokens, tokens != PAD", "return tokens, (tokens != PAD) & (tokens != BOS)"),
)

answers.edit(
    "9.1",
    "<unk> may not be looked at",
    "That a word was there is worth knowing, even if it is not known which. Only <pad> may not be "
    "looked at.",
    ("return tokens, tokens != PAD", "return tokens, (tokens != PAD) & (tokens != UNK)"),
)

answers.edit(
    "9.1",
    "the mask one token too short",
    "A caption of n words makes n + 1 tokens. With <bos> in front, the last word is in place n, "
    "and the mask reaches as far.",
    (
        "return tokens, tokens != PAD",
        "return tokens, (tokens != PAD).roll(-1, 1) & (torch.arange(length) < length - 1)",
    ),
)

answers.edit(
    "9.1",
    "one mask for all captions",
    "Each caption has a length of its own, so each row of the mask is its own.",
    ("return tokens, tokens != PAD", "return tokens, (tokens != PAD).any(dim=0).expand_as(tokens)"),
)

answers.edit(
    "9.1",
    "a mask of numbers",
    "The mask is of dtype bool. Strengths come later, and from somebody else.",
    ("return tokens, tokens != PAD", "return tokens, (tokens != PAD).float()"),
)

answers.edit(
    "9.1",
    "no mask",
    "Two tables are returned: tokens, and which of them may be looked at.",
    ("return tokens, tokens != PAD", "return tokens"),
)

answers.edit(
    "9.1",
    "tokens and mask swapped",
    "The tokens are first, and the mask second.",
    ("return tokens, tokens != PAD", "return tokens != PAD, tokens"),
)

answers.edit(
    "9.1",
    "short integers",
    "Tokens are looked up in a table, and an index is int64 here as everywhere in this course.",
    ("dtype=torch.int64", "dtype=torch.int32"),
)

answers.edit(
    "9.1",
    "words cut at spaces only",
    "'Seven,' with its capital and its comma is in no vocabulary. split_words gives the words in "
    "lower case, without what stands between them.",
    ("split_words(caption)", "caption.split()"),
)

answers.again(
    "9.1", "words cut at spaces only", ("split_words(caption)", "caption.lower().split()")
)

answers.edit(
    "9.1",
    "capitals are other words",
    "'Red' is 'red'. split_words gives the words in lower case.",
    ("split_words(caption)", 're.findall(r"[A-Za-z0-9]+", caption)'),
)

answers.edit(
    "9.1",
    "each word once",
    "Each word is kept only where it first stands. 'A red three left of a blue seven' has two "
    "of 'a', each in its own place.",
    ("split_words(caption)", "dict.fromkeys(split_words(caption))"),
)

answers.edit(
    "9.1",
    "words in the order of the alphabet",
    "The order of the words says which colour belongs to which digit. It stays as it is.",
    ("split_words(caption)", "sorted(split_words(caption))"),
)

answers.edit(
    "9.1",
    "the caption read backwards",
    "The words follow <bos> in the caption's order.",
    ("split_words(caption)", "reversed(split_words(caption))"),
)

answers.edit(
    "9.1",
    "long captions cut off",
    "Without its last words a caption asks for another picture, and nobody would notice. Refuse "
    "it.",
    ("        if len(numbers) > length:", "        numbers = numbers[:length]\n        if False:"),
)

answers.edit(
    "9.1",
    "<bos> forgotten when the length is checked",
    "n words make n + 1 tokens. Compare what you are about to write with the room that there is.",
    ("len(numbers) > length", "len(numbers) - 1 > length"),
)

answers.edit(
    "9.1",
    "a caption that just fits refused",
    "A caption whose tokens fill the row needs no padding. Only one that is longer is refused.",
    ("len(numbers) > length", "len(numbers) >= length"),
)

answers.edit(
    "9.1",
    "another error for long captions",
    "The docstring promises a ValueError, which callers can catch and tell from a fault.",
    ("raise ValueError(", "raise IndexError("),
)

answers.edit(
    "9.1",
    "only the first caption measured",
    "Any caption may be too long. Compare each one with the room that there is.",
    (
        "        if len(numbers) > length:",
        "        if caption is not captions[0]:\n            numbers = numbers[:length]\n"
        "        if len(numbers) > length:",
    ),
)


# 9.2


answers.edit(
    "9.2",
    "the mask not used",
    "Without key_padding_mask every word also looks at the padding, and its vector depends on how "
    "much of that there is.",
    ("key_padding_mask=mask <= 0, ", ""),
)

answers.edit(
    "9.2",
    "no places at all",
    "Attention sees no order: 'red on blue' and 'blue on red' would be the same. Add a vector for "
    "each place.",
    (" + self.places(place)", ""),
)

answers.again(
    "9.2",
    "no places at all",
    ("        self.places = nn.Embedding(length, dim)\n", ""),
    (" + self.places(place)", ""),
)

answers.edit(
    "9.2",
    "the same place everywhere",
    "Each place has a vector of its own, from 0 to L - 1.",
    ("self.places(place)", "self.places(torch.zeros_like(place))"),
)

answers.edit(
    "9.2",
    "places counted from the end",
    "Counted from the end, a word's place depends on how much padding follows.",
    ("self.places(place)", "self.places(place.flip(0))"),
)

answers.edit(
    "9.2",
    "places after the attention",
    "Words look at each other to find out what stands beside them. They have to know their places "
    "by then.",
    ("self.table(tokens) + self.places(place)", "self.table(tokens)"),
    ("h = h + found", "h = h + self.places(place) + found"),
)

answers.edit(
    "9.2",
    "places by sines, not learned",
    "That is the original transformer's. Here the places have a learned table, as the words have.",
    (
        "self.places(place)",
        "(place[:, None] * 10000 ** -torch.linspace(0, 1, h.shape[2], device=h.device)).sin()",
    ),
    (
        "h = self.table(tokens) + ",
        "h = self.table(tokens)\n        h = h + ",
    ),
)

answers.again(
    "9.2",
    "places by sines, not learned",
    (
        "        self.places = nn.Embedding(length, dim)\n",
        "        speeds = 10000 ** (-torch.arange(0, dim, 2) / dim)\n"
        "        angles = torch.arange(length)[:, None] * speeds\n"
        "        table = torch.cat([angles.sin(), angles.cos()], dim=1)[:, :dim]\n"
        '        self.register_buffer("places", table)\n',
    ),
    ("self.places(place)", "self.places[place]"),
)

answers.again(
    "9.2",
    "places by sines, not learned",
    (
        "        self.places = nn.Embedding(length, dim)\n",
        "        speeds = 10000 ** (-torch.arange(0, dim, 2) / dim)\n"
        "        angles = torch.arange(length)[:, None] * speeds\n"
        "        table = torch.stack([angles.sin(), angles.cos()], dim=2).flatten(1)[:, :dim]\n"
        '        self.register_buffer("places", table)\n',
    ),
    ("self.places(place)", "self.places[place]"),
)

answers.edit(
    "9.2",
    "the table multiplied by the root of D",
    "The original transformer does that. Here the vectors are added as they are.",
    ("self.table(tokens)", "math.sqrt(self.table.embedding_dim) * self.table(tokens)"),
)

answers.edit(
    "9.2",
    "no shortcut around the attention",
    "What a word finds is added to what it was: without that it forgets which word it is.",
    ("h = h + found", "h = found"),
)

answers.edit(
    "9.2",
    "no shortcut around the linear layers",
    "What the second part finds is added too, to the words as they were.",
    ("h = h + self.linear2", "h = self.linear2"),
)

answers.edit(
    "9.2",
    "the shortcuts begin after the norm",
    "What a part finds is added to the words as they were before its norm.",
    ("h = h + found", "h = n + found"),
)

answers.again(
    "9.2",
    "the shortcuts begin after the norm",
    ("h = h + found", "h = self.norm2(n + found)"),
    (
        "h + self.linear2(F.gelu(self.linear1(self.norm2(h))))",
        "h + self.linear2(F.gelu(self.linear1(h)))",
    ),
)

answers.again(
    "9.2",
    "the shortcuts begin after the norm",
    (
        "h = h + self.linear2(F.gelu(self.linear1(self.norm2(h))))",
        "h = self.norm2(h)\n        h = h + self.linear2(F.gelu(self.linear1(h)))",
    ),
)

answers.edit(
    "9.2",
    "norms after the sums",
    "That is the original transformer of 2017. Here a norm stands before each part, and the words "
    "go around it unchanged.",
    ("n = self.norm1(h)", "n = h"),
    ("h = h + found", "h = self.norm1(h + found)"),
    ("self.linear1(self.norm2(h))", "self.linear1(h)"),
)

answers.again(
    "9.2",
    "norms after the sums",
    ("n = self.norm1(h)", "n = h"),
    ("h = h + found", "h = self.norm1(h + found)"),
    (
        "h = h + self.linear2(F.gelu(self.linear1(self.norm2(h))))",
        "h = self.norm2(h + self.linear2(F.gelu(self.linear1(h))))",
    ),
)

answers.again(
    "9.2",
    "norms after the sums",
    ("n = self.norm1(h)", "n = h"),
    ("h = h + found", "h = self.norm1(h + found)"),
    ("self.linear1(self.norm2(h))", "self.linear1(h)"),
    ("self.norm3(h)", "self.norm2(h)"),
    ("        self.norm3 = nn.LayerNorm(dim)\n", ""),
)

answers.edit(
    "9.2",
    "attention without a norm before",
    "The attention is given LayerNorm(h), so that no word is louder than another from the start.",
    ("n = self.norm1(h)", "n = h"),
)

answers.edit(
    "9.2",
    "keys and values from before the norm",
    "In self-attention all three, query, key and value, are made from the same normed vectors.",
    ("self.attention(n, n, n,", "self.attention(n, h, h,"),
)

answers.edit(
    "9.2",
    "linear layers without a norm before",
    "Each of the two parts has its own LayerNorm before it, the linear layers as well.",
    ("self.linear1(self.norm2(h))", "self.linear1(h)"),
)

answers.edit(
    "9.2",
    "no last norm",
    "Sums grow. A last LayerNorm brings all vectors to one scale before the pixels look at them.",
    ("return self.norm3(h)", "return h"),
)

answers.again(
    "9.2",
    "no last norm",
    ("        self.norm3 = nn.LayerNorm(dim)\n", ""),
    ("return self.norm3(h)", "return h"),
)

answers.edit(
    "9.2",
    "one norm for all three places",
    "Each place learns a scale of its own. Make three LayerNorms.",
    ("self.linear1(self.norm2(h))", "self.linear1(self.norm1(h))"),
    ("return self.norm3(h)", "return self.norm1(h)"),
)

answers.again(
    "9.2",
    "one norm for all three places",
    ("        self.norm2 = nn.LayerNorm(dim)\n", ""),
    ("        self.norm3 = nn.LayerNorm(dim)\n", ""),
    ("self.linear1(self.norm2(h))", "self.linear1(self.norm1(h))"),
    ("return self.norm3(h)", "return self.norm1(h)"),
)

answers.edit(
    "9.2",
    "one norm before both parts",
    "The words have changed by the time the second part reads them. Each part has a LayerNorm of "
    "its own, with a scale of its own to learn.",
    ("        self.norm2 = nn.LayerNorm(dim)\n", ""),
    ("self.linear1(self.norm2(h))", "self.linear1(self.norm1(h))"),
)

answers.again(
    "9.2",
    "one norm before both parts",
    ("self.linear1(self.norm2(h))", "self.linear1(self.norm1(h))"),
)

answers.edit(
    "9.2",
    "ReLU instead of GELU",
    "A GELU is between the two linear layers.",
    ("F.gelu(", "F.relu("),
)

answers.edit(
    "9.2",
    "nothing between the linear layers",
    "Two linear layers in a row are one. The GELU between makes them more.",
    ("F.gelu(self.linear1(self.norm2(h)))", "self.linear1(self.norm2(h))"),
)

answers.edit(
    "9.2",
    "D numbers between the linear layers",
    "The first layer makes 4 D numbers of D, the second D of 4 D.",
    ("nn.Linear(dim, 4 * dim)", "nn.Linear(dim, dim)"),
    ("nn.Linear(4 * dim, dim)", "nn.Linear(dim, dim)"),
)

answers.edit(
    "9.2",
    "2 D numbers between the linear layers",
    "The first layer makes 4 D numbers of D, and the second makes D of these.",
    ("nn.Linear(dim, 4 * dim)", "nn.Linear(dim, 2 * dim)"),
    ("nn.Linear(4 * dim, dim)", "nn.Linear(2 * dim, dim)"),
)

answers.edit(
    "9.2",
    "no linear layers",
    "The layer of a transformer has two parts. After the attention each word thinks for itself.",
    ("        h = h + self.linear2(F.gelu(self.linear1(self.norm2(h))))  # (B, L, D)\n", ""),
)

answers.edit(
    "9.2",
    "words look back only",
    "A model that writes text must not look ahead. Here the whole caption is there: 'a' has to "
    "know which word follows.",
    (
        "need_weights=False",
        "need_weights=False, "
        "attn_mask=torch.ones(len(place), len(place), dtype=torch.bool, "
        "device=h.device).triu(1)",
    ),
)

answers.again(
    "9.2",
    "words look back only",
    ("need_weights=False", "need_weights=False, attn_mask=place[:, None] < place"),
)

answers.edit(
    "9.2",
    "dropout",
    "Here nothing is left to chance: the same caption makes the same vectors, in training too.",
    ("batch_first=True", "batch_first=True, dropout=0.1"),
)


@answers.wrong_again("9.2", "dropout")
class TextEncoder(nn.Module):
    def __init__(self, vocab_size, length, dim, heads=4):
        super().__init__()
        self.table = nn.Embedding(vocab_size, dim)
        self.places = nn.Embedding(length, dim)
        self.layer = nn.TransformerEncoderLayer(
            dim, heads, 4 * dim, activation="gelu", batch_first=True, norm_first=True
        )
        self.norm = nn.LayerNorm(dim)

    def forward(self, tokens, mask):
        h = self.table(tokens) + self.places(torch.arange(tokens.shape[1], device=tokens.device))
        return self.norm(self.layer(h, src_key_padding_mask=mask <= 0))


answers.edit(
    "9.2",
    "one head",
    "The number of heads is an argument. Each head looks in its own way, with its own channels.",
    ("nn.MultiheadAttention(dim, heads,", "nn.MultiheadAttention(dim, 1,"),
)

answers.edit(
    "9.2",
    "words look at the other captions",
    "Without batch_first=True the attention takes the first axis for the words. Each word then "
    "looks at what has the same place in the other captions, and not at its neighbours.",
    ("batch_first=True", "batch_first=False"),
    ("mask <= 0", "(mask <= 0).T"),
)

answers.again(
    "9.2",
    "words look at the other captions",
    ("batch_first=True", "batch_first=False"),
    ("mask <= 0, need_weights=False", "(mask <= 0).T"),
)

answers.again(
    "9.2",
    "words look at the other captions",
    ("batch_first=True", "batch_first=False"),
    ("key_padding_mask=mask <= 0, ", ""),
)

answers.edit(
    "9.2",
    "another default for heads",
    "Keep the signature: without heads, a caller expects 4.",
    ("heads: int = 4", "heads: int = 2"),
)

answers.edit(
    "9.2",
    "all below strength 1 hidden",
    "A word of strength 0.3 may be looked at: only 0 hides it.",
    ("mask <= 0", "mask < 1"),
)

answers.again("9.2", "all below strength 1 hidden", ("mask <= 0, need_weights=False", "mask < 1"))

answers.edit(
    "9.2",
    "the strengths added to the scores",
    "A key_padding_mask of numbers is added to the scores, and 1 and 0 hide nothing. Compare the "
    "mask with 0 first.",
    ("mask <= 0", "mask.float()"),
)

answers.edit(
    "9.2",
    "the words multiplied by the mask",
    "Padding that is zeroed can still be looked at, and takes its share of each row. Say to the "
    "attention what may not be looked at.",
    ("n = self.norm1(h)", "n = self.norm1(h) * (mask > 0)[:, :, None]"),
    ("key_padding_mask=mask <= 0, ", ""),
)

answers.edit(
    "9.2",
    "places cut from the gradient",
    "A table that is not trained never learns what a place means.",
    ("self.places(place)", "self.places(place).detach()"),
)

answers.edit(
    "9.2",
    "the attention cut from the gradient",
    "What words find in each other has to be learned: no .detach(), and no no_grad.",
    ("h = h + found", "h = h + found.detach()"),
)

answers.edit(
    "9.2",
    "the mask inverted",
    "PyTorch's key_padding_mask means by True what may not be looked at; the course's mask means "
    "the opposite. A caption without padding then has nothing left to look at.",
    ("mask <= 0", "mask > 0"),
)

answers.again("9.2", "the mask inverted", ("mask <= 0, need_weights=False", "mask > 0"))

answers.edit(
    "9.2",
    "places on the CPU",
    "torch.arange makes numbers on the CPU unless it is told where. Take the device from tokens.",
    (", device=tokens.device", ""),
)


answers.edit(
    "9.2",
    "one vector for the whole caption",
    "Each word keeps a vector of its own, so that pixels can look at one and not at another. "
    "Their mean is taken later, by those who want it.",
    ("return self.norm3(h)", "return pool(self.norm3(h), mask)"),
)


# 9.3


answers.edit(
    "9.3",
    "mask never applied",
    "Pixels then also look at the padding, and the more of it there is, the less is left for the "
    "words.",
    (".masked_fill(strength == 0, torch.finfo(scores.dtype).min)", ""),
    ("        scores = scores + strength.log()\n", ""),
    ("scores.softmax(dim=-1) * (strength > 0)", "scores.softmax(dim=-1)"),
)

answers.edit(
    "9.3",
    "mask inverted",
    "True, or a number above 0, means that a word may be looked at. PyTorch's key_padding_mask "
    "has it the other way round.",
    ("mask.to(scores.dtype)", "(1 - mask.to(scores.dtype))"),
)

answers.edit(
    "9.3",
    "strengths only as yes or no",
    "A mask of 2 is a word twice: the factor m stands before exp(s), which is log(m) added to s.",
    ("mask.to(scores.dtype)", "(mask > 0).to(scores.dtype)"),
)

answers.edit(
    "9.3",
    "strengths added to the scores",
    "A factor m before exp(s) is log(m) added to s, not m itself.",
    ("scores + strength.log()", "scores + strength"),
)

answers.edit(
    "9.3",
    "strengths multiplied by the scores",
    "A score may be negative, and doubled it is more so: the word would get less. The factor "
    "belongs to exp(s), not to s.",
    (
        "scores + strength.log()",
        "scores * strength",
    ),
)

answers.edit(
    "9.3",
    "the mask multiplied by the scores, nothing hidden",
    "A score of 0 is not a weight of 0: exp(0) is 1. Hidden words have to get nothing.",
    (
        "scores + strength.log()",
        "scores * strength",
    ),
    ("        scores = scores.masked_fill(strength == 0, torch.finfo(scores.dtype).min)\n", ""),
    ("scores.softmax(dim=-1) * (strength > 0)", "scores.softmax(dim=-1)"),
)

answers.edit(
    "9.3",
    "the mask multiplied after the softmax",
    "Then hidden words have taken their share already, and what is left of a row does not sum to "
    "1.",
    (
        "        # A factor m before the exponential is a log m inside it. That of 0 is -inf, "
        "which makes NaN\n"
        "        # of a row that has nothing else, so the least number takes its place.\n"
        "        scores = scores + strength.log()\n"
        "        scores = scores.masked_fill(strength == 0, torch.finfo(scores.dtype).min)\n",
        "",
    ),
    ("* (strength > 0)", "* strength"),
)

answers.edit(
    "9.3",
    "strengths squared",
    "A word of strength 2 gets as much as two of it, not four.",
    (".log()", ".log() * 2"),
)

answers.edit(
    "9.3",
    "weak words raised",
    "Strengths are compared with each other, so 0.002 beside 0.001 is still twice as much. Do not "
    "limit them from below.",
    ("strength.log()", "strength.clamp_min(0.01).log()"),
)

answers.edit(
    "9.3",
    "no word stronger than one",
    "Strengths above 1 say that a word counts more.",
    ("mask.to(scores.dtype)", "mask.to(scores.dtype).clamp_max(1)"),
)

answers.edit(
    "9.3",
    "a row of nothing but -inf",
    "The softmax of a row that is -inf throughout is 0 / 0. Use the least finite number, and set "
    "the row to 0 after the softmax.",
    ("torch.finfo(scores.dtype).min", "-math.inf"),
)

answers.again(
    "9.3",
    "a row of nothing but -inf",
    ("        scores = scores.masked_fill(strength == 0, torch.finfo(scores.dtype).min)\n", ""),
    ("scores.softmax(dim=-1) * (strength > 0)", "scores.softmax(dim=-1).nan_to_num(0.0)"),
)

answers.edit(
    "9.3",
    "a caption with nothing to see seen evenly",
    "Where all scores are equally low, the softmax gives the hidden words the same share each. "
    "Multiply by mask > 0 afterwards.",
    ("scores.softmax(dim=-1) * (strength > 0)", "scores.softmax(dim=-1)"),
)

answers.again(
    "9.3",
    "a caption with nothing to see seen evenly",
    (
        "self.to_v = nn.Linear(word_dim, channels)",
        "self.to_v = nn.Linear(word_dim, channels, bias=False)",
    ),
    ("scores.softmax(dim=-1) * (strength > 0)", "scores.softmax(dim=-1)"),
)

answers.edit(
    "9.3",
    "softmax over the pixels instead of the words",
    "A pixel shares out its attention among the words: the softmax runs over the last axis, L. "
    "Over the pixels, the words would compete for each of them.",
    ("dim=-1", "dim=-2"),
)

answers.edit(
    "9.3",
    "softmax over the heads",
    "dim=1 is the axis of the heads. The softmax runs over the words, the last axis.",
    ("dim=-1", "dim=1"),
)

answers.edit(
    "9.3",
    "no scale",
    "A score is a sum over a head's channels and grows with their root. Divide that out.",
    (" / math.sqrt(q.shape[-1])", ""),
)

answers.edit(
    "9.3",
    "divided by the root of all channels",
    "A head sums over its own C / heads channels, not over all C.",
    ("math.sqrt(q.shape[-1])", "math.sqrt(x.shape[1])"),
)

answers.edit(
    "9.3",
    "divided by the root of D",
    "The score is a sum over a head's channels. How long the words' vectors were does not matter.",
    ("math.sqrt(q.shape[-1])", "math.sqrt(words.shape[-1])"),
)

answers.edit(
    "9.3",
    "divided by the channels instead of their root",
    "Scores have a standard deviation of about sqrt(C / heads), so that is what divides them.",
    ("math.sqrt(q.shape[-1])", "q.shape[-1]"),
)

answers.edit(
    "9.3",
    "the queries' heads mixed by a reshape",
    "(B, N, C) read as (B, heads, N, C / heads) gives the first head the first pixels, with all "
    "their channels. Cut the axis of the channels, then swap heads and pixels.",
    (
        "q = self.to_q(n).unflatten(2, (self.heads, -1)).transpose(1, 2)",
        "q = self.to_q(n).reshape(len(x), self.heads, n.shape[1], -1)",
    ),
)

answers.again(
    "9.3",
    "the queries' heads mixed by a reshape",
    (
        "q = self.to_q(n).unflatten(2, (self.heads, -1)).transpose(1, 2)",
        "q = self.to_q(n).reshape(len(x), self.heads, n.shape[1], -1)",
    ),
    (
        "k = self.to_k(words).unflatten(2, (self.heads, -1)).transpose(1, 2)",
        "k = self.to_k(words).reshape(len(x), self.heads, words.shape[1], -1)",
    ),
    (
        "v = self.to_v(words).unflatten(2, (self.heads, -1)).transpose(1, 2)",
        "v = self.to_v(words).reshape(len(x), self.heads, words.shape[1], -1)",
    ),
)

answers.edit(
    "9.3",
    "the words' heads mixed by a reshape",
    "Keys and values are cut like the queries: the axis of the channels first, then heads and "
    "words change places.",
    (
        "k = self.to_k(words).unflatten(2, (self.heads, -1)).transpose(1, 2)",
        "k = self.to_k(words).reshape(len(x), self.heads, words.shape[1], -1)",
    ),
    (
        "v = self.to_v(words).unflatten(2, (self.heads, -1)).transpose(1, 2)",
        "v = self.to_v(words).reshape(len(x), self.heads, words.shape[1], -1)",
    ),
)

answers.edit(
    "9.3",
    "heads and pixels mixed on the way out",
    "(B, heads, N, C / heads) has the heads before the pixels. Swap the two axes before the "
    "heads' channels are joined.",
    (
        "found = found.transpose(1, 2).flatten(2)",
        "found = found.reshape(len(x), x.shape[2] * x.shape[3], -1)",
    ),
)

answers.edit(
    "9.3",
    "pixels and channels mixed on the way out",
    "(B, N, C) has the channels last. Swap the axes before the pixels become an image again.",
    ("self.to_out(found).transpose(1, 2).reshape", "self.to_out(found).reshape"),
)

answers.edit(
    "9.3",
    "pixels and channels mixed on the way in",
    "(B, C, H, W) reshaped to (B, N, C) cuts the memory into rows that mix pixels and channels. "
    "Flatten the pixels, then swap the two axes.",
    (
        "self.norm(x).flatten(2).transpose(1, 2)",
        "self.norm(x).reshape(len(x), -1, x.shape[1])",
    ),
)

answers.edit(
    "9.3",
    "height and width swapped on the way out",
    "The pixels were flattened row by row, so they come back as (H, W).",
    ("reshape(x.shape)", "reshape(*x.shape[:2], x.shape[3], x.shape[2]).transpose(2, 3)"),
)

answers.edit(
    "9.3",
    "one head of all channels",
    "The number of heads is an argument: each has a table of its own.",
    ("self.heads = heads", "self.heads = 1"),
)

answers.edit(
    "9.3",
    "the first head's table for all heads",
    "With one table for all heads, they are one. Each head has its own channels of q and k.",
    (
        "scores = q @ k",
        "q, k = q[:, :1].expand_as(q), k[:, :1].expand_as(k)\n        scores = q @ k",
    ),
)

answers.edit(
    "9.3",
    "words ask and pixels answer",
    "The pixels want to know something of the words: the queries are made from x, keys and values "
    "from the words. The table has a row for each pixel.",
    ("q @ k.transpose(2, 3)", "(k @ q.transpose(2, 3)).softmax(dim=-1).transpose(2, 3)"),
)

answers.edit(
    "9.3",
    "W_o begins at random",
    "A new part of a network that adds noise to what it was given spoils what the rest has "
    "learned. Set the weights of the last layer to 0.",
    ("        nn.init.zeros_(self.to_out.weight)\n", ""),
)

answers.again(
    "9.3",
    "W_o begins at random",
    ("nn.Linear(channels, channels)\n", "nn.Linear(channels, channels, bias=False)\n"),
    (
        "self.to_k = nn.Linear(word_dim, channels)",
        "self.to_k = nn.Linear(word_dim, channels, bias=False)",
    ),
    (
        "self.to_v = nn.Linear(word_dim, channels)",
        "self.to_v = nn.Linear(word_dim, channels, bias=False)",
    ),
    ("        nn.init.zeros_(self.to_out.weight)\n", ""),
)

answers.edit(
    "9.3",
    "W_o with a bias",
    "Where there is nothing to look at, a bias would be added all the same.",
    (
        "self.to_out = nn.Linear(channels, channels, bias=False)",
        "self.to_out = nn.Linear(channels, channels)\n        nn.init.zeros_(self.to_out.bias)",
    ),
)

answers.edit(
    "9.3",
    "W_v begins at zero too",
    "If W_o and what it is multiplied by are both 0, no gradient reaches either, and nothing is "
    "ever learned.",
    (
        "nn.init.zeros_(self.to_out.weight)",
        "for p in (self.to_out.weight, self.to_v.weight, self.to_v.bias):\n"
        "            nn.init.zeros_(p)",
    ),
)

answers.edit(
    "9.3",
    "W_o frozen by requires_grad",
    "It begins at 0 and is trained like any other weight.",
    (
        "nn.init.zeros_(self.to_out.weight)",
        "nn.init.zeros_(self.to_out.weight).requires_grad_(False)",
    ),
)

answers.edit(
    "9.3",
    "no shortcut",
    "What the pixels find is added to x. Without x in the sum the image itself is lost.",
    ("return x + h", "return h"),
)

answers.edit(
    "9.3",
    "the shortcut begins after the norm",
    "What is added to is x as it came in, not the normalised image.",
    ("return x + h", "return self.norm(x) + h"),
)

answers.edit(
    "9.3",
    "no norm",
    "Queries are made from GroupNorm(x). Without it bright channels sharpen the softmax until "
    "each pixel sees one word only.",
    ("self.norm(x)", "x"),
)

answers.edit(
    "9.3",
    "a group for every channel",
    "nn.GroupNorm takes the number of groups first: `groups`, and the channels second.",
    ("nn.GroupNorm(groups, channels)", "nn.GroupNorm(channels, channels)"),
)

answers.edit(
    "9.3",
    "one group for all channels",
    "The number of groups is the caller's.",
    ("nn.GroupNorm(groups, channels)", "nn.GroupNorm(1, channels)"),
)

answers.edit(
    "9.3",
    "another default for heads",
    "Keep the signature: without heads, a caller expects 4.",
    ("heads: int = 4", "heads: int = 8"),
)

answers.edit(
    "9.3",
    "another default for groups",
    "Keep the signature: without groups, a caller expects 8.",
    ("groups: int = 8", "groups: int = 4"),
)

answers.edit(
    "9.3",
    "key and value from one matrix",
    "By its key a word is found, by its value it speaks. They are two matrices.",
    ("self.to_v = nn.Linear(word_dim, channels)", "self.to_v = self.to_k"),
)

answers.edit(
    "9.3",
    "the table cut from the gradient",
    "With A detached, W_q and W_k never learn where to look.",
    (
        "found = self.attention(x, words, mask) @ v",
        "found = self.attention(x, words, mask).detach() @ v",
    ),
)

answers.edit(
    "9.3",
    "the words cut from the gradient",
    "The text encoder learns through the words' vectors, by all ways that lead there.",
    ("v = self.to_v(words)", "v = self.to_v(words.detach())"),
)

answers.edit(
    "9.3",
    "the first image's keys for all",
    "Each image has a caption of its own, and so keys of its own.",
    ("scores = q @ k", "k = k[:1].expand_as(k)\n        scores = q @ k"),
)

answers.edit(
    "9.3",
    "an average over the words that may be looked at",
    "Then no pixel looks anywhere in particular. The scores decide how the attention is shared "
    "out.",
    ("q @ k.transpose(2, 3)", "0 * q @ k.transpose(2, 3)"),
)

answers.edit(
    "9.3",
    "dropout on the table",
    "Here nothing is left to chance, and every row sums to 1.",
    ("scores.softmax(dim=-1)", "F.dropout(scores.softmax(dim=-1), 0.1, self.training)"),
)


answers.edit(
    "9.3",
    "new numbers on the CPU",
    "torch.full makes numbers on the CPU unless it is told where. masked_fill takes a plain "
    "number, and torch.full_like a tensor's device.",
    (
        "scores = scores.masked_fill(strength == 0, torch.finfo(scores.dtype).min)",
        "least = torch.full(scores.shape, torch.finfo(scores.dtype).min)\n"
        "        scores = torch.where(strength == 0, least, scores)",
    ),
)


# 9.4


answers.edit(
    "9.4",
    "a draw of its own for each token",
    "A caption without its colour is a caption of another kind, not no caption. Draw one number "
    "for each caption and let it decide for all of its tokens.",
    ("torch.rand(len(tokens), 1,", "torch.rand(tokens.shape,"),
)

answers.edit(
    "9.4",
    "nothing dropped",
    "Without a null caption in training, there is nothing for guidance to lead away from.",
    ("uniform < p", "uniform < 0"),
)

answers.edit(
    "9.4",
    "keeping with probability p",
    "A uniform number is below p with probability p: those are the captions to drop, not to keep.",
    (
        "torch.where(uniform < p, torch.full_like(tokens, NULL), tokens)",
        "torch.where(uniform < p, tokens, torch.full_like(tokens, NULL))",
    ),
)

answers.edit(
    "9.4",
    "one decision for the whole batch",
    "Each caption needs a uniform number of its own. With one for all, a whole batch is dropped "
    "or kept at a time.",
    ("torch.rand(len(tokens), 1,", "torch.rand(1, 1,"),
)

answers.edit(
    "9.4",
    "one draw for each place, for all captions",
    "A number for each of the L places drops the same place in every caption. The captions lie "
    "along the first axis: shape (B, 1).",
    ("torch.rand(len(tokens), 1,", "torch.rand(1, tokens.shape[1],"),
)

answers.edit(
    "9.4",
    "dropped captions become padding",
    "Padding may not be looked at, so there would be nothing left to see. The null caption is a "
    "row of <null>, which is learned.",
    ("torch.full_like(tokens, NULL)", "torch.full_like(tokens, PAD)"),
)

answers.edit(
    "9.4",
    "dropped captions become unknown words",
    "<unk> is a word that nobody knows. 'Any picture' has a token of its own, <null>.",
    ("torch.full_like(tokens, NULL)", "torch.full_like(tokens, UNK)"),
)

answers.edit(
    "9.4",
    "the first token kept",
    "Every token of the null caption is <null>, the first one too.",
    (
        "torch.full_like(tokens, NULL)",
        "torch.where(tokens == BOS, tokens, NULL)",
    ),
)

answers.again(
    "9.4",
    "the first token kept",
    (
        "torch.full_like(tokens, NULL)",
        "torch.cat([tokens[:, :1], torch.full_like(tokens[:, 1:], NULL)], dim=1)",
    ),
)

answers.edit(
    "9.4",
    "the padding kept",
    "Then the null caption would still tell how many words there were. All tokens become <null>.",
    (
        "torch.full_like(tokens, NULL)",
        "torch.where(tokens == PAD, tokens, NULL)",
    ),
)

answers.edit(
    "9.4",
    "only the first token replaced",
    "A row that begins with <null> still says all the rest. Every token becomes <null>.",
    (
        "torch.full_like(tokens, NULL)",
        "torch.where(torch.arange(tokens.shape[1], device=tokens.device) == 0, NULL, tokens)",
    ),
)

answers.edit(
    "9.4",
    "another caption of the batch instead of the null one",
    "A wrong caption teaches the network wrong words. A dropped one says nothing about the "
    "picture.",
    ("torch.full_like(tokens, NULL)", "tokens.roll(1, 0)"),
)

answers.edit(
    "9.4",
    "dropped captions taken out of the batch",
    "There is still one image for each caption, so the batch keeps its length.",
    (
        "torch.where(uniform < p, torch.full_like(tokens, NULL), tokens)",
        "tokens[(uniform >= p).flatten()]",
    ),
)

answers.edit(
    "9.4",
    "the mask instead of the tokens",
    "The mask only says which captions to drop. The result is tokens.",
    ("torch.where(uniform < p, torch.full_like(tokens, NULL), tokens)", "uniform < p"),
)


@answers.wrong(
    "9.4",
    "the tokens changed in place",
    "tokens[dropped] = ... changes the caller's tensor, and the captions of that batch are lost. "
    "Let torch.where make a new one.",
)
def drop_captions(tokens, p, generator):
    tokens.copy_(ref.drop_captions(tokens, p, generator))
    return tokens


answers.edit(
    "9.4",
    "the tokens themselves if none is dropped",
    "New tokens are promised. Whoever writes into them later would change the old ones, but only "
    "now and then.",
    ("    uniform", "    if p == 0:\n        return tokens\n    uniform"),
)

answers.edit(
    "9.4",
    "drawn from torch's own generator, never seeded",
    "Without generator=generator the draw comes from the global state, and a training run cannot "
    "be repeated.",
    ("generator=generator, ", ""),
)

answers.edit(
    "9.4",
    "torch's own generator seeded in every call",
    "What is seeded inside begins afresh each time, so the same places are dropped in every batch.",
    ("    uniform", "    torch.manual_seed(0)\n    uniform"),
    ("generator=generator, ", ""),
)

answers.edit(
    "9.4",
    "the generator's seed instead of the generator",
    "A generator is where its last draw left it. Go back to its seed, and you draw the same "
    "numbers in every batch.",
    ("generator=generator", "generator=torch.Generator().manual_seed(generator.initial_seed())"),
)

answers.edit(
    "9.4",
    "exactly a share p of each batch",
    "'With probability p' leaves the number to chance: ten coins do not always show five heads.",
    ("torch.rand(len(tokens), 1,", "torch.randperm(len(tokens),"),
    ("uniform < p", "(uniform.argsort() < round(p * len(tokens)))[:, None]"),
)

answers.edit(
    "9.4",
    "the first captions of each batch",
    "Which captions are dropped is left to chance. Always taking the first ones is not a draw.",
    ("torch.rand(len(tokens), 1, generator=generator,", "torch.arange(len(tokens),"),
    ("uniform < p", "(uniform < round(p * len(tokens)))[:, None]"),
)

answers.edit(
    "9.4",
    "a fair coin whatever p is",
    "A uniform number between 0 and 1, compared with p, decides with probability p.",
    ("torch.rand(len(tokens), 1,", "torch.randint(0, 2, (len(tokens), 1),"),
    ("uniform < p", "uniform == 1"),
)

answers.edit(
    "9.4",
    "always a tenth",
    "p is an argument: 0.1 is the usual value, but 0 must drop none and 1 must drop all.",
    ("uniform < p", "uniform < 0.1"),
)

answers.edit(
    "9.4",
    "p in whole per cents",
    "p is a probability as it is, not rounded: 0.005 drops one caption of 200.",
    ("uniform < p", "uniform < round(p, 2)"),
)

answers.edit(
    "9.4",
    "normal instead of uniform numbers",
    "torch.randn is below 0 every other time. torch.rand is uniform between 0 and 1.",
    ("torch.rand(", "torch.randn("),
)

answers.edit(
    "9.4",
    "<= instead of <",
    "torch.rand draws from [0, 1): never 1, but once in a long while exactly 0. With <= that "
    "caption is dropped even when p is 0.",
    ("uniform < p", "uniform <= p"),
)

answers.edit(
    "9.4",
    "one draw for two neighbours",
    "Each caption draws a number of its own. Shared draws make neighbours drop out together.",
    ("torch.rand(len(tokens), 1,", "torch.rand((len(tokens) + 1) // 2, 1,"),
    ("uniform < p", "uniform.repeat_interleave(2, 0)[: len(tokens)] < p"),
)

answers.edit(
    "9.4",
    "random numbers drawn on the CPU",
    "torch.rand makes a tensor on the CPU unless it is told where: device=tokens.device.",
    (", device=tokens.device", ""),
)

answers.edit(
    "9.4",
    "any p accepted",
    "15 for 15 % would silently drop every caption. The first lines of the exercise refuse it; "
    "keep them.",
    ("if not 0 <= p <= 1", "if False"),
)


# 9.5


answers.edit(
    "9.5",
    "without a mask, all tokens visible",
    "If no mask is handed in, <pad> counts as 0, or a caption means another thing with every "
    "place that is left over.",
    ("mask = tokens != PAD", "mask = torch.ones_like(tokens)"),
)

answers.edit(
    "9.5",
    "the null caption hidden",
    "<null> may be looked at: what it means is learned, and guidance leads away from it.",
    ("mask = tokens != PAD", "mask = (tokens != PAD) & (tokens != NULL)"),
)

answers.edit(
    "9.5",
    "tokens that are no words hidden",
    "Of the four tokens that are no words only <pad> may not be looked at.",
    ("mask = tokens != PAD", "mask = tokens > NULL"),
)

answers.edit(
    "9.5",
    "the caller's mask ignored",
    "Someone who hands in strengths wants them to be used. Only without a mask make one of your "
    "own.",
    ("        if mask is None:\n", "        if True:\n"),
)

answers.edit(
    "9.5",
    "strengths made yes or no",
    "A mask is handed on as it is: a strength of 2 says more than True.",
    (
        "        words = self.text_encoder",
        "        mask = mask > 0\n        words = self.text_encoder",
    ),
)

answers.edit(
    "9.5",
    "the caller's mask only where pixels look",
    "Three things use the words: the text encoder, the mean, and each look. All of them get the "
    "mask.",
    ("self.text_encoder(tokens, mask)", "self.text_encoder(tokens, tokens != PAD)"),
    ("pool(words, mask)", "pool(words, tokens != PAD)"),
)

answers.edit(
    "9.5",
    "the caller's mask only where words are read",
    "Three things use the words: the text encoder, the mean, and each look. All of them get the "
    "mask.",
    ("        h = self.conv_in(x)", "        mask = tokens != PAD\n        h = self.conv_in(x)"),
    ("pool(words, mask)", "pool(words, tokens != PAD)"),
)

answers.edit(
    "9.5",
    "the caller's mask everywhere but in the mean",
    "Three things use the words: the text encoder, the mean, and each look. All of them get the "
    "mask.",
    ("pool(words, mask)", "pool(words, tokens != PAD)"),
)

answers.edit(
    "9.5",
    "the caller's mask everywhere but in the text encoder",
    "Three things use the words: the text encoder, the mean, and each look. All of them get the "
    "mask.",
    ("self.text_encoder(tokens, mask)", "self.text_encoder(tokens, tokens != PAD)"),
)

answers.edit(
    "9.5",
    "words multiplied by the mask as well",
    "Each look is told the strengths and shares out its attention by them. Words that come in "
    "already weighed are weighed twice.",
    (
        "        h = self.conv_in(x)",
        "        words = words * mask.to(words.dtype)[:, :, None]\n        h = self.conv_in(x)",
    ),
)

answers.edit(
    "9.5",
    "a plain mean instead of pool",
    "pool takes the mask, so that the mean is one over the caption's words, by strength.",
    ("pool(words, mask)", "words.mean(dim=1)"),
)

answers.edit(
    "9.5",
    "the first token instead of the mean",
    "Other networks take the first token's vector. Here it is the mean of all, which pool gives.",
    ("pool(words, mask)", "words[:, 0]"),
)

answers.edit(
    "9.5",
    "the mean alone, not through pooled",
    "The words' mean has word_dim numbers, and cond has cond_dim: the linear layer `pooled` is "
    "between them.",
    (
        "self.pooled(pool(words, mask))",
        "F.pad(pool(words, mask), (0, self.pooled.out_features - words.shape[2]))",
    ),
)

answers.edit(
    "9.5",
    "the words' mean ignored",
    "Every ResBlock is told the time and the words' mean. What holds for the whole picture, such "
    "as its ground, comes this way.",
    (" + self.pooled(pool(words, mask))", ""),
)

answers.edit(
    "9.5",
    "the time ignored",
    "Without the time the network cannot know how much noise there is.",
    ("self.time_embedding(t) + self", "0 * self.time_embedding(t) + self"),
)

answers.edit(
    "9.5",
    "time multiplied by words",
    "In a product a zero in one silences the other. The two are added.",
    ("self.time_embedding(t) + self", "self.time_embedding(t) * self"),
)

answers.edit(
    "9.5",
    "SiLU on cond already here",
    "Each ResBlock passes cond through a SiLU itself. A second one distorts it.",
    ("        h = self.conv_in(x)", "        cond = F.silu(cond)\n        h = self.conv_in(x)"),
)

answers.edit(
    "9.5",
    "captions read again at every level",
    "The words' vectors are the same everywhere, so they are made once: reading them again takes "
    "time and changes nothing.",
    (
        "h = look(block(h, cond), words, mask)  # (B, c_i, H_i, W_i)\n            skips",
        "h = look(block(h, cond), self.text_encoder(tokens, mask), mask)\n            skips",
    ),
)

answers.edit(
    "9.5",
    "words looked at before the block",
    "The ResBlock of a level comes first, and then its pixels look at the words.",
    (
        "h = look(block(h, cond), words, mask)  # (B, c_i, H_i, W_i)\n            skips",
        "h = block(look(h, words, mask), cond)\n            skips",
    ),
)

answers.edit(
    "9.5",
    "no look on the way up",
    "The words are looked at on both ways, and in the middle.",
    (
        "h = look(block(h, cond), words, mask)  # (B, c_i, H_i, W_i)\n            h = up",
        "h = block(h, cond)\n            h = up",
    ),
)

answers.edit(
    "9.5",
    "the middle's look never called",
    "Between the two ResBlocks of the middle the pixels look at the words too.",
    ("        h = self.middle_look(h, words, mask)\n", ""),
)

answers.edit(
    "9.5",
    "the middle's look at its end",
    "Its place is between the two ResBlocks, so that the second can work with what was found.",
    ("        h = self.middle_look(h, words, mask)\n", ""),
    (
        "        h = self.middle2(h, cond)\n",
        "        h = self.middle2(h, cond)\n        h = self.middle_look(h, words, mask)\n",
    ),
)

answers.edit(
    "9.5",
    "what the middle's look found thrown away",
    "A look returns new features. h has to become these.",
    ("h = self.middle_look(h, words, mask)", "self.middle_look(h, words, mask)"),
)

answers.edit(
    "9.5",
    "skips kept before the look",
    "What is kept is what the level gives in the end: after its ResBlock and after its look.",
    (
        "h = look(block(h, cond), words, mask)  # (B, c_i, H_i, W_i)\n            skips.append(h)",
        "h = block(h, cond)\n            skips.append(h)\n            h = look(h, words, mask)",
    ),
)

answers.edit(
    "9.5",
    "skips kept after the Downsample",
    "A level's skip has that level's resolution. After Downsample it is already too small.",
    (
        "skips.append(h)\n            h = downsample(h)",
        "h = downsample(h)\n            skips.append(h)",
    ),
)

answers.edit(
    "9.5",
    "skips from the wrong end",
    "The way up begins at the lowest level, so it needs the last skip first: a stack, not a queue.",
    ("skips.pop()", "skips.pop(0)"),
)

answers.edit(
    "9.5",
    "the skip in front of h",
    "Both orders can be trained, but weights that were trained with one do not fit the other. Here "
    "h is first.",
    ("[h, skips.pop()]", "[skips.pop(), h]"),
)

answers.edit(
    "9.5",
    "h joined with itself",
    "The second half of the concatenation is the skip, not h once more.",
    ("[h, skips.pop()]", "[h, h]"),
)

answers.edit(
    "9.5",
    "skips full of zeros",
    "The concatenation has the right shape, but its second half says nothing.",
    ("skips.pop()", "torch.zeros_like(skips.pop())"),
)

answers.edit(
    "9.5",
    "a middle block that is skipped over",
    "The second middle block receives what came before it, not the end of the way down again.",
    ("h = self.middle1(h, cond)", "self.middle1(h, cond)"),
)

answers.edit(
    "9.5",
    "one middle block used twice",
    "Each part has its own place: middle1, the look, then middle2.",
    ("h = self.middle2(h, cond)", "h = self.middle1(h, cond)"),
)

answers.edit(
    "9.5",
    "the parts of the way up from the wrong end",
    "up_blocks, up_looks and upsamples are in the order in which they are used.",
    (
        "zip(self.up_blocks, self.up_looks, self.upsamples)",
        "zip(self.up_blocks[::-1], self.up_looks[::-1], self.upsamples)",
    ),
)

answers.edit(
    "9.5",
    "cond on the way down only",
    "Every ResBlock is told the time and the words, those in the middle and on the way up too.",
    (
        "        h = self.middle1(h, cond)",
        "        cond = torch.zeros_like(cond)\n        h = self.middle1(h, cond)",
    ),
)

answers.edit(
    "9.5",
    "no norm at the end",
    "The last block's result has no fixed scale. norm_out and SiLU come before conv_out.",
    ("F.silu(self.norm_out(h))", "F.silu(h)"),
)

answers.edit(
    "9.5",
    "no SiLU at the end",
    "A SiLU comes between norm_out and conv_out.",
    ("F.silu(self.norm_out(h))", "self.norm_out(h)"),
)

answers.edit(
    "9.5",
    "the result squeezed by tanh",
    "The network predicts noise, which has no bounds. conv_out is the end.",
    ("self.norm_out(h)))", "self.norm_out(h))).tanh()"),
)

answers.edit(
    "9.5",
    "x added at the end",
    "The result is what conv_out gives. x itself is no part of it.",
    (
        "return self.conv_out(F.silu(self.norm_out(h)))",
        "return x + self.conv_out(F.silu(self.norm_out(h)))",
    ),
)

answers.edit(
    "9.5",
    "the text encoder cut from the gradient",
    "The encoder is trained together with the network, through the words and through their mean.",
    ("words = self.text_encoder(tokens, mask)", "words = self.text_encoder(tokens, mask).detach()"),
)

answers.edit(
    "9.5",
    "the words' mean cut from the gradient",
    "The encoder learns on both ways: by what pixels find, and by what the ResBlocks are told.",
    ("pool(words, mask)", "pool(words, mask).detach()"),
)

answers.edit(
    "9.5",
    "any size accepted",
    "A side that cannot be halved often enough no longer fits its skip on the way up, and the "
    "error says nothing of why. The first lines of the exercise refuse it; keep them.",
    ("if x.shape[-2] % self.stride or x.shape[-1] % self.stride", "if False"),
)

answers.edit(
    "9.5",
    "only the height looked at",
    "Width and height both have to be halved.",
    (" or x.shape[-1] % self.stride", ""),
)


# 9.6


answers.edit(
    "9.6",
    "the unwanted half asks for what is wanted",
    "The second half is shown the wanted words as well, only with the other prompt's strengths. "
    "What is unwanted is never asked about, and guidance cannot lead away from it.",
    ("torch.cat([wanted.tokens, unwanted.tokens])", "torch.cat([wanted.tokens, wanted.tokens])"),
)

answers.edit(
    "9.6",
    "the first half's strengths for both",
    "Each half has its own words, and their strengths belong to them.",
    ("torch.cat([wanted.mask, unwanted.mask])", "torch.cat([wanted.mask, wanted.mask])"),
)

answers.edit(
    "9.6",
    "strengths made yes or no",
    "A strength of 2 says more than True: hand the masks on as they are.",
    ("torch.cat([wanted.mask, unwanted.mask])", "torch.cat([wanted.mask, unwanted.mask]) > 0"),
)

answers.edit(
    "9.6",
    "a mask made from the tokens",
    "The prompts bring their masks along, with a strength for each word.",
    (
        "torch.cat([wanted.mask, unwanted.mask])",
        "torch.cat([wanted.tokens, unwanted.tokens]) != PAD",
    ),
)

answers.edit(
    "9.6",
    "all of what is unwanted may be looked at",
    "That is so for the null caption only. Another prompt has padding and strengths, and its mask "
    "says so.",
    ("unwanted.mask", "torch.ones_like(unwanted.mask)"),
)

answers.edit(
    "9.6",
    "always away from the null caption",
    "What to lead away from is the caller's to say. The null caption is one such prompt.",
    ("unwanted.tokens", "null_prompt(wanted.tokens).tokens"),
    ("unwanted.mask", "null_prompt(wanted.tokens).mask"),
)

answers.edit(
    "9.6",
    "wanted and unwanted swapped",
    "The halves come back in the order in which they were asked. Which one was first?",
    ("eps_wanted, eps_unwanted =", "eps_unwanted, eps_wanted ="),
)

answers.edit(
    "9.6",
    "1 - w of what is wanted plus w of what is not",
    "Guidance leads past what is wanted and away from what is not.",
    ("- guidance_scale", "+ guidance_scale"),
    ("(1 + guidance_scale)", "(1 - guidance_scale)"),
)

answers.edit(
    "9.6",
    "1 + w of what is wanted plus w of what is not",
    "The weights 1 + w and -w add up to 1. With a plus, eps claims more noise than there is.",
    ("- guidance_scale", "+ guidance_scale"),
)

answers.edit(
    "9.6",
    "w instead of 1 + w for what is wanted",
    "What is wanted has the weight 1 + w, so that w = 0 leaves just that.",
    ("(1 + guidance_scale)", "guidance_scale"),
)

answers.edit(
    "9.6",
    "what is wanted once, whatever w is",
    "The two weights add up to 1. If w of what is unwanted is taken away, as much of what is "
    "wanted has to be put in its place.",
    ("(1 + guidance_scale) * eps_wanted", "eps_wanted"),
)

answers.edit(
    "9.6",
    "the unwanted subtracted once",
    "Its weight is w: for w = 0 it must have no say.",
    ("- guidance_scale * eps_unwanted", "- eps_unwanted"),
)

answers.edit(
    "9.6",
    "what is wanted scaled up, what is unwanted left out",
    "Guidance is a difference of two predictions. One made larger is just more noise.",
    (" - guidance_scale * eps_unwanted", ""),
)

answers.edit(
    "9.6",
    "the result limited to [-1, 1]",
    "The result is noise, and noise has no bounds. Pictures are clipped, which the sampler does.",
    (
        "(1 + guidance_scale) * eps_wanted - guidance_scale * eps_unwanted",
        "((1 + guidance_scale) * eps_wanted - guidance_scale * eps_unwanted).clamp(-1, 1)",
    ),
)

answers.edit(
    "9.6",
    "the spread of the wanted prediction restored",
    "Lin et al. 2024 rescale a guided result so. Here the result is the weighted difference as it "
    "is.",
    (
        "    return (1 + guidance_scale) * eps_wanted - guidance_scale * eps_unwanted",
        "    eps = (1 + guidance_scale) * eps_wanted - guidance_scale * eps_unwanted\n"
        "    spread = [e.std(dim=(1, 2, 3), keepdim=True) for e in (eps_wanted, eps)]\n"
        "    return eps * spread[0] / spread[1]",
    ),
)


@answers.wrong(
    "9.6",
    "the scale counted from the unwanted prediction",
    "unwanted + s (wanted - unwanted) is the other convention, where s = 1 is plain conditional. "
    "Here w = 0 is, so s = 1 + w.",
)
def prompted_eps(predict_eps, x_t, t, wanted, unwanted, guidance_scale):
    return ref.prompted_eps(predict_eps, x_t, t, wanted, unwanted, guidance_scale - 1)


@answers.wrong(
    "9.6",
    "two calls of the network",
    "Two calls give the same numbers in nearly twice the time. Put both questions into one batch.",
)
def prompted_eps(predict_eps, x_t, t, wanted, unwanted, guidance_scale):
    eps_wanted = predict_eps(x_t, t, wanted.tokens, wanted.mask)
    eps_unwanted = predict_eps(x_t, t, unwanted.tokens, unwanted.mask)
    return (1 + guidance_scale) * eps_wanted - guidance_scale * eps_unwanted


answers.edit(
    "9.6",
    "pictures in one order, prompts in another",
    "Row n of pictures, steps, tokens and masks belong together. Repeat all in the same way.",
    ("torch.cat([x_t, x_t])", "x_t.repeat_interleave(2, dim=0)"),
    ("torch.cat([t, t])", "t.repeat_interleave(2)"),
)

answers.again(
    "9.6",
    "pictures in one order, prompts in another",
    ("torch.cat([x_t, x_t])", "x_t.repeat_interleave(2, dim=0)"),
)

answers.edit(
    "9.6",
    "the answer read as every second picture",
    "The answers come back in the order in which the questions were put: first all that is "
    "wanted, then all that is unwanted.",
    ("both.chunk(2)", "both[0::2], both[1::2]"),
)

answers.edit(
    "9.6",
    "the unwanted half at t = 0",
    "Both predictions are about the same picture at the same step. Only the prompt differs.",
    ("torch.cat([t, t])", "torch.cat([t, torch.zeros_like(t)])"),
)

answers.edit(
    "9.6",
    "another picture for the unwanted half",
    "Both halves see the same x_t, or the difference is one of pictures, not of prompts.",
    ("torch.cat([x_t, x_t])", "torch.cat([x_t, torch.zeros_like(x_t)])"),
)

answers.edit(
    "9.6",
    "t not doubled",
    "The network is shown 2B pictures and wants a t for each of them.",
    ("torch.cat([t, t])", "t"),
)

answers.edit(
    "9.6",
    "prompts joined side by side",
    "Two prompts for each picture make 2B rows of L tokens, not B rows of 2L.",
    (
        "torch.cat([wanted.tokens, unwanted.tokens])",
        "torch.cat([wanted.tokens, unwanted.tokens], dim=1)",
    ),
)

answers.edit(
    "9.6",
    "the first picture's wanted tokens for all",
    "Each picture has a prompt of its own, row by row.",
    (
        "wanted.tokens, unwanted.tokens",
        "wanted.tokens[:1].expand_as(wanted.tokens), unwanted.tokens",
    ),
)

answers.edit(
    "9.6",
    "the network's answer changed in place",
    "eps *= 1 + w writes into the answer that the network gave, and torch refuses that while it "
    "keeps the answer for gradients. Make a new tensor.",
    (
        "    return (1 + guidance_scale) * eps_wanted",
        "    eps_wanted *= 1 + guidance_scale\n    return eps_wanted",
    ),
)
