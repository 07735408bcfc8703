"""Checks of chapter 09: words to pictures."""

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from checks.probes import ch09_prompts as probes
from checks.probes.toys import identical
from checks.theory import (
    NETWORK,
    SECONDS,
    require_independent_drops,
    require_same_device,
    require_whole_gradient,
)
from course.grading.checking import brief, check, require, require_close, require_tensor

WEIGHTS = "every weight at a value that the check sets, offsets zero"

PAD, BOS, UNK, NULL = range(4)


def normal(g: torch.Generator, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=g)


def require_company(got: dict, visible: Tensor | None = None) -> None:
    """Fail unless each result is its own, in training and in evaluation; `visible` is (B, L, 1)."""
    together = require_tensor(got["together"], "the result")
    visible = torch.ones(len(together)) if visible is None else visible
    for i, alone in enumerate(got["alone"]):
        require_tensor(alone, f"number {i} alone", tuple(together[i : i + 1].shape))
        require_close(
            visible[i] * alone,
            visible[i] * together[i : i + 1],
            "the same result alone as in a batch: it depends on no other part, and not on chance",
            f"the result of number {i} alone",
            **NETWORK,
        )
    require_tensor(got["in eval mode"], "the result in eval mode", tuple(together.shape))
    require_close(
        visible * got["in eval mode"] if visible.ndim > 1 else got["in eval mode"],
        visible * together if visible.ndim > 1 else together,
        "the same result after .eval() as in training: nothing here behaves differently",
        "the result in eval mode",
        **NETWORK,
    )


def shapes_of(shapes: list) -> str:
    return ", ".join(str(tuple(shape)) for shape in shapes)


# 9.1

WORDS = ["a", "red", "seven", "on", "blue", "three", "left", "of", "1st"]


def vocabulary(g: torch.Generator) -> dict[str, int]:
    """The words in any order, behind the four tokens that are no words."""
    order = torch.randperm(len(WORDS), generator=g).tolist()
    words = ["<pad>", "<bos>", "<unk>", "<null>", *(WORDS[i] for i in order)]
    return {word: number for number, word in enumerate(words)}


def captions_of(*captions: str, length: int):
    return lambda g: {
        "captions": list(captions),
        "vocabulary": vocabulary(g),
        "length": length,
    }


def right_rows(inputs: dict) -> Tensor:
    """The rows that the captions make. Here, words are between single spaces."""
    rows = []
    for caption in inputs["captions"]:
        words = [inputs["vocabulary"].get(word, UNK) for word in caption.split()]
        rows.append([BOS, *words] + [PAD] * (inputs["length"] - 1 - len(words)))
    return torch.tensor(rows)


def require_rows(tokens, right: Tensor, captions: list[str], expected: str) -> None:
    """Fail with the first caption whose row is another one."""
    require_tensor(tokens, "tokens", tuple(right.shape), torch.int64)
    for row, target, caption in zip(tokens, right, captions):
        require(torch.equal(row, target), f"{expected}, for {caption!r}", f"{row.tolist()}")


NINE_ONE = "tokenize(captions, vocabulary, length={})"
TWO_ROWS = captions_of("a red seven on blue", "blue three", "a seven left of a seven", length=8)


@check("9.1", probe=probes.tokenized, inputs=TWO_ROWS, call=NINE_ONE.format(8) + ", three captions")
def test_captions_become_rows_of_one_length(got, ref, inputs):
    """There are two tables with a row for each caption: tokens, int64, and a mask, bool"""
    require(got["mask"] is not None, "a pair (tokens, mask)", brief(got["tokens"]))
    require_tensor(got["tokens"], "tokens", (3, 8), torch.int64)
    require_tensor(got["mask"], "the mask", (3, 8), torch.bool)


@check("9.1", probe=probes.tokenized, inputs=TWO_ROWS, call=NINE_ONE.format(8) + ", three captions")
def test_a_row_is_a_beginning_words_and_padding(got, ref, inputs):
    """A row begins with <bos>, then come all words in the caption's order, then <pad>"""
    require_rows(
        got["tokens"],
        right_rows(inputs),
        inputs["captions"],
        "BOS, the vocabulary's number of each word in the caption's order, and PAD to the end",
    )


@check(
    "9.1",
    probe=probes.tokenized,
    inputs=captions_of(
        "a purple seven on blue", "mauve mauve three", "a red bird", "quite unknown", length=7
    ),
    call=NINE_ONE.format(7) + ", with words that the vocabulary does not have",
)
def test_unknown_words_keep_their_place(got, ref, inputs):
    """A word that is not in the vocabulary becomes <unk>, in its place"""
    require_rows(
        got["tokens"],
        right_rows(inputs),
        inputs["captions"],
        "UNK in the place of each word that is not in the vocabulary, the other words where they "
        "were",
    )


@check(
    "9.1",
    probe=probes.tokenized,
    inputs=captions_of("A Red seven, on BLUE!", "three-left   of (a) 1st\n", "<pad> red", length=9),
    call=NINE_ONE.format(9) + ", with capitals, commas and brackets",
)
def test_words_are_those_of_split_words(got, ref, inputs):
    """The words of a caption are those that split_words gives"""
    words = [["a", "red", "seven", "on", "blue"], ["three", "left", "of", "a", "1st"], ["?", "red"]]
    plain = {**inputs, "captions": [" ".join(each) for each in words]}
    require_rows(
        got["tokens"],
        right_rows(plain),
        inputs["captions"],
        "the numbers of the words as split_words gives them, in lower case and without commas or "
        "brackets",
    )


def require_mask(got: dict, inputs: dict, words: list[int]) -> None:
    """Fail unless the mask is True for <bos> and as many words as each caption has."""
    shape = (len(words), inputs["length"])
    mask = require_tensor(got["mask"], "the mask", shape, torch.bool)
    for row, count, caption in zip(mask, words, inputs["captions"]):
        target = torch.arange(shape[1]) <= count
        require(
            torch.equal(row, target),
            f"True for <bos> and each of the {count} words of {caption!r}, known or not, False "
            "for the padding",
            f"{row.tolist()}",
        )


@check(
    "9.1",
    probe=probes.tokenized,
    inputs=captions_of("a red seven on blue", "three", "a purple bird", "red", length=6),
    call=NINE_ONE.format(6) + ", captions of 5, 1, 3 and 1 words",
)
def test_only_padding_may_not_be_looked_at(got, ref, inputs):
    """The mask is True for <bos>, for words and for <unk>, and False for <pad>"""
    require_mask(got, inputs, [5, 1, 3, 1])


@check(
    "9.1",
    probe=probes.tokenized,
    inputs=captions_of("", "red", "...", length=3),
    call=NINE_ONE.format(3) + ", captions = ['', 'red', '...']",
)
def test_an_empty_caption_is_a_beginning(got, ref, inputs):
    """An empty caption is <bos> and padding, and its <bos> may be looked at"""
    plain = {**inputs, "captions": ["", "red", ""]}
    require_rows(got["tokens"], right_rows(plain), inputs["captions"], "BOS, the words, then PAD")
    require_mask(got, inputs, [0, 1, 0])


LENGTHS = [
    (["red three"], 3),
    (["a red seven on blue", "three"], 6),
    ([""], 1),
    (["red three"], 2),
    (["three", "a red seven on blue"], 5),
    (["a purple bird"], 3),
    (["red"], 1),
    (["a red seven on blue", "three"], 2),
]


@check(
    "9.1",
    probe=probes.tokenized_lengths,
    inputs=lambda g: {"vocabulary": vocabulary(g), "cases": LENGTHS},
    call="tokenize(captions, vocabulary, length), with captions that just fit and that do not",
)
def test_captions_that_are_too_long_are_refused(got, ref, inputs):
    """A caption that does not fit with its <bos> is refused, and no other"""
    for (captions, length), found in zip(inputs["cases"], got["found"]):
        longest = 1 + max(len(caption.split()) for caption in captions)
        what = f"{captions} with length = {length}"
        if longest > length:
            require(
                found["raised"] == "ValueError",
                f"a ValueError for {what}: one of these captions makes {longest} tokens",
                "a result" if found["raised"] == "nothing" else f"{found['raised']} was raised",
            )
            continue
        require(
            found["raised"] == "nothing",
            f"a result for {what}: the longest of these captions makes {longest} tokens",
            f"{found['raised']} was raised",
        )
        right = right_rows({"captions": captions, "length": length, **inputs})
        require_rows(found["tokens"], right, captions, "BOS, all words, and PAD if there is room")


# 9.2

# vocab_size, length, dim and heads; a head has 5 numbers.
ENCODER = [11, 7, 10, 2]
ENCODER_CALL = "TextEncoder(11, 7, 10, 2)(tokens, mask)"


def visible(counts: list[int], length: int = 7) -> Tensor:
    """A mask that is True for so many tokens of each row."""
    return torch.arange(length) < torch.tensor(counts)[:, None]


def encoder_inputs(g: torch.Generator) -> dict:
    """Three captions, one of them <bos> alone, one without padding."""
    tokens = torch.randint(4, 11, (3, 7), generator=g)
    tokens[:, 0] = BOS
    mask = visible([5, 7, 1])
    return {"size": ENCODER, "tokens": tokens.masked_fill(~mask, PAD), "mask": mask}


def seen(out, mask: Tensor, name: str = "the result") -> Tensor:
    """The vectors of the tokens that may be looked at; the others' are nobody's business."""
    shape = (*mask.shape, 10)
    return require_tensor(out, name, shape) * (mask > 0)[:, :, None]


@check(
    "9.2",
    probe=probes.encoder_sizes,
    inputs=lambda g: {**encoder_inputs(g), "sizes": [[11, 7, 10, 2], [5, 3, 6, 1], [9, 9, 8, 4]]},
    call="TextEncoder(vocab_size, length, dim, heads)(tokens, mask) in several sizes",
    seconds=SECONDS,  # the first nn.MultiheadAttention of a process imports a good part of torch
)
def test_encoder_gives_a_vector_for_each_token(got, ref, inputs):
    """Every token becomes a vector of dim numbers"""
    for (_, length, dim, _), out in zip(inputs["sizes"], got["outs"]):
        require_tensor(out, f"the result for dim = {dim}", (3, min(length, 7), dim))


@check(
    "9.2",
    probe=probes.encoder_of_tables,
    inputs=encoder_inputs,
    call=ENCODER_CALL + ", all weights zero but those of tables and norms",
)
def test_encoder_keeps_what_the_words_were(got, ref, inputs):
    """With all layers silenced, the sum of the two tables is left, normed"""
    words, places = probes.weight((11, 10)), probes.weight((7, 10))
    target = F.layer_norm(words[inputs["tokens"]] + places, (10,))
    require_close(
        seen(got["out"], inputs["mask"]),
        target * inputs["mask"][:, :, None],
        "the vector of the token plus the vector of its place, through the last LayerNorm: both "
        "parts add to it and lose nothing of it",
        "the result",
        **NETWORK,
    )


@check(
    "9.2",
    probe=probes.encoder,
    inputs=lambda g: {
        "size": ENCODER,
        "tokens": torch.tensor([[6] * 7, [4] * 7]),
        "mask": visible([7, 7]),
    },
    call=ENCODER_CALL + ", where all tokens of a row are the same",
)
def test_encoder_knows_places(got, ref, inputs):
    """The same word in another place is another vector"""
    for row in require_tensor(got["out"], "the result", (2, 7, 10)):
        apart = torch.cdist(row, row) + 10 * torch.eye(7)
        require(
            bool((apart > 1e-2).all()),
            "seven different vectors, because seven places differ",
            f"the same vector in {int((apart <= 1e-2).sum()) // 2} of 21 pairs of places",
        )


def other_neighbours(g: torch.Generator) -> dict:
    """A caption; then another word in the middle, and another one under the mask."""
    inputs = encoder_inputs(g)
    tokens, mask = inputs["tokens"][:1], inputs["mask"][:1]
    tokens[0, 2], tokens[0, 4] = 4, 9
    changed = tokens.clone()
    changed[0, 2] = 8
    hidden = mask.clone()
    hidden[0, 4] = False
    behind = tokens.clone()
    behind[0, 4:] = torch.tensor([6, 5, 10])
    cases = [(tokens, mask), (changed, mask), (tokens, hidden), (behind, hidden)]
    return {**inputs, "cases": cases}


@check(
    "9.2",
    probe=probes.encoder_again,
    inputs=other_neighbours,
    call=ENCODER_CALL + ", then with another word in place 2",
)
def test_encoder_looks_at_all_words_of_the_caption(got, ref, inputs):
    """A word's vector depends on all words of its caption, before it and behind it"""
    mask = inputs["cases"][0][1]
    before, after = (seen(out, mask)[0, :5] for out in got["outs"][:2])
    moved = (before - after).abs().amax(dim=1) > 1e-4
    require(
        bool(moved.all()),
        "another vector for each of the 5 visible tokens when one of them is another word",
        f"no change in the places {(~moved).nonzero().flatten().tolist()}",
    )


@check(
    "9.2",
    probe=probes.encoder_again,
    inputs=other_neighbours,
    call=ENCODER_CALL + ", with other tokens where the mask is False",
)
def test_encoder_does_not_look_under_the_mask(got, ref, inputs):
    """What may not be looked at changes no other vector"""
    mask = inputs["cases"][2][1]
    require_close(
        seen(got["outs"][3], mask),
        seen(got["outs"][2], mask),
        "the same vectors for the visible tokens, whichever tokens are hidden: True in the mask "
        "means that a token may be looked at",
        "the result",
        **NETWORK,
    )


def more_padding(g: torch.Generator) -> dict:
    inputs = encoder_inputs(g)
    tokens, mask = inputs["tokens"][::2], inputs["mask"][::2]
    return {**inputs, "cases": [(tokens[:, :n].clone(), mask[:, :n].clone()) for n in (7, 6, 5)]}


@check(
    "9.2",
    probe=probes.encoder_again,
    inputs=more_padding,
    call=ENCODER_CALL + ", with rows of 7, 6 and 5 tokens for captions of 5 and 1",
)
def test_more_padding_changes_no_vector(got, ref, inputs):
    """The vectors of a caption's words do not change when more padding follows"""
    tables = [seen(out, mask)[:, :5] for out, (_, mask) in zip(got["outs"], inputs["cases"])]
    for table in tables[:2]:
        require_close(
            table,
            tables[2],
            "the same vectors for the caption's words with padding behind them as without",
            "the result with more padding",
            **NETWORK,
        )


def masks_of_kinds(g: torch.Generator) -> dict:
    inputs = encoder_inputs(g)
    tokens, mask = inputs["tokens"], inputs["mask"]
    strengths = mask * (0.05 + 2 * torch.rand(3, 7, generator=g))
    return {**inputs, "cases": [(tokens, m) for m in (mask, mask.float(), mask.long(), strengths)]}


@check(
    "9.2",
    probe=probes.encoder_again,
    inputs=masks_of_kinds,
    call=ENCODER_CALL + ", with masks of True and False, of 0.0 and 1.0, of 0 and 1, and of "
    "strengths between 0.05 and 2.05",
)
def test_encoder_takes_strengths_for_a_mask(got, ref, inputs):
    """Whatever is above 0 may be looked at, and no strength changes a vector"""
    target = seen(got["outs"][0], inputs["mask"])
    for out, (_, mask) in zip(got["outs"], inputs["cases"]):
        require_close(
            seen(out, inputs["mask"]),
            target,
            "the same vectors from every mask that is above 0 in the same places",
            f"the result with a mask of dtype {mask.dtype}",
            **NETWORK,
        )


@check("9.2", probe=probes.encoder, inputs=encoder_inputs, call=f"{ENCODER_CALL}, {WEIGHTS}")
def test_encoder_norms_last(got, ref, inputs):
    """A last LayerNorm brings all vectors to mean 0 and variance 1"""
    out = seen(got["out"], inputs["mask"])[inputs["mask"]]
    mean, variance = out.mean(dim=1).abs().max(), out.var(dim=1, correction=0)
    require(
        float(mean) < 1e-3 and bool(((variance - 1).abs() < 1e-2).all()),
        "vectors of mean 0 and variance 1, while the norm's own scale is 1",
        f"a mean of {float(mean):.3g}, variances from {float(variance.min()):.3g} to "
        f"{float(variance.max()):.3g}",
    )


# A GELU may be the exact one or the usual approximation: 5e-4 apart, before the norm.
ENCODER_VALUES = {"rtol": 2e-3, "atol": 4e-3}


@check("9.2", probe=probes.encoder, inputs=encoder_inputs, call=f"{ENCODER_CALL}, {WEIGHTS}")
def test_encoder_formula(got, ref, inputs):
    """Words and places, attention, two linear layers with GELU between: all as described"""
    require_close(
        seen(got["out"], inputs["mask"]),
        seen(ref["out"], inputs["mask"]),
        "h = h + Attention(norm(h)), then h = h + Linear(GELU(Linear(norm(h)))) with 4 D numbers "
        "between, then a last norm",
        "the result",
        **ENCODER_VALUES,
    )


@check(
    "9.2",
    probe=probes.encoder_default,
    inputs=lambda g: {**encoder_inputs(g), "size": [11, 7, 20, 4]},
    call=f"TextEncoder(11, 7, 20)(tokens, mask), {WEIGHTS}",
)
def test_encoder_default_heads(got, ref, inputs):
    """Without a last argument the attention has 4 heads"""
    shown = inputs["mask"][:, :, None]
    require_tensor(got["out"], "the result", (3, 7, 20))
    expected = "the same as with heads=4, which is what the signature says"
    require_close(shown * got["out"], shown * ref["out"], expected, "the result", **ENCODER_VALUES)


@check(
    "9.2",
    probe=probes.encoder_company,
    inputs=encoder_inputs,
    call=ENCODER_CALL + " with 3 captions, then with each alone, in eval mode, and once more",
)
def test_encoder_reads_each_caption_alone(got, ref, inputs):
    """A caption's vectors depend on that caption only, and not on chance"""
    shown = inputs["mask"][:, :, None].float()
    require_company(got, shown)
    require_close(
        seen(got["again"], inputs["mask"]),
        seen(got["together"], inputs["mask"]),
        "the same vectors in a second call: nothing is left to chance (no dropout)",
        "the second result",
        **NETWORK,
    )


@check(
    "9.2",
    probe=probes.encoder_gains,
    inputs=encoder_inputs,
    call=ENCODER_CALL + ", the scale of one norm after the other changed",
    free=("outs",),
)
def test_each_norm_has_its_own_place(got, ref, inputs):
    """No norm serves in two places"""
    seen(got["out"], inputs["mask"])
    rights = [seen(out, inputs["mask"]) for out in ref["outs"]]
    for number, out in enumerate(got["outs"]):
        out = seen(out, inputs["mask"])
        require(
            any(torch.allclose(out, right, **ENCODER_VALUES) for right in rights),
            "the scale of a norm to act in one place: before the attention, before the linear "
            "layers, or at the end",
            f"norm number {number} (counted from 0) acts elsewhere, or in several places",
        )


@check(
    "9.2",
    probe=probes.encoder_gradients,
    inputs=lambda g: {
        **encoder_inputs(g),
        "rows": {11: [1, 4, 6, 8, 9], 7: list(range(7))},
        "tokens": torch.tensor(
            [[1, 4, 6, 8, 9, 0, 0], [1, 9, 4, 4, 8, 6, 6], [1, 0, 0, 0, 0, 0, 0]]
        ),
    },
    call="a backward pass through TextEncoder(11, 7, 10, 2)",
)
def test_gradients_reach_every_word(got, ref, inputs):
    """Gradients reach the vector of every word that occurs, of every place, and every layer"""
    for size, name in ((11, "a vector for each token"), (7, "a vector for each place")):
        missed = got["missed"].get(size)
        require(
            missed is not None,
            f"a learned table with {name}, {size} rows of 10",
            "no parameter of that size",
        )
        require(
            not missed,
            f"a gradient for each row that is used of the table with {name}",
            f"none for the rows {missed}",
        )
    require(
        not got["silent"],
        "a gradient for every weight, so that training can move it",
        f"no gradient for parameters of shape {shapes_of(got['silent'])}",
    )
    require(
        got["weights"] >= ref["weights"],
        f"weights of their own for query, key, value and output and for two linear layers, "
        f"{ref['weights']} numbers with the tables",
        f"{got['weights']}",
    )


@check(
    "9.2",
    probe=probes.encoder_elsewhere,
    inputs=encoder_inputs,
    call=ENCODER_CALL + ", all on another device than the CPU",
    seconds=SECONDS,
    free=("place",),
)
def test_encoder_works_on_any_device(got, ref, inputs):
    """New tensors are made where the tokens are, on whatever device"""
    require_same_device([got["place"]], "the result")


# 9.3

# C, D, heads and groups; a head has 5 channels.
CROSS = [10, 6, 2, 5]
CROSS_CALL = "CrossAttention(10, 6, 2, 5)"
QUESTION = CROSS_CALL + "(x, words, mask), x of shape (3, 10, 2, 7), words of shape (3, 4, 6)"


def pixels(g: torch.Generator, *shape: int) -> Tensor:
    """Images whose channels differ in mean and spread, so that it shows what a norm norms."""
    channels = torch.arange(shape[1])[:, None, None]
    return normal(g, *shape) * (1 + 0.3 * channels) + 0.5 * channels - 0.7


def cross_inputs(g: torch.Generator) -> dict:
    """Captions of four, three and two words."""
    return {
        "size": CROSS,
        "x": pixels(g, 3, 10, 2, 7),
        "words": 1.5 * normal(g, 3, 4, 6),
        "mask": visible([4, 3, 2], length=4),
    }


def scores_of(inputs: dict) -> Tensor:
    """q k^T of each head, before anything is divided, in float64: (B, 2, N, L)."""
    n = F.group_norm(inputs["x"], 5).flatten(2).transpose(1, 2).double()
    q = n @ probes.tiled((10, 10), 2, 10, 6).double().T
    k = inputs["words"].double() @ probes.tiled((10, 6), 2, 10, 6).double().T
    q, k = (part.unflatten(2, (2, 5)).transpose(1, 2) for part in (q, k))
    return q @ k.transpose(2, 3)


def require_table(table, shape=(3, 2, 14, 4)) -> Tensor:
    return require_tensor(table, "A", shape)


@check("9.3", probe=probes.cross, inputs=cross_inputs, call=QUESTION)
def test_cross_attention_shapes(got, ref, inputs):
    """The result has the shape of x, and A a row for each pixel and a column for each word"""
    require_tensor(got["out"], "the result", (3, 10, 2, 7))
    require_table(got["table"])


@check(
    "9.3",
    probe=probes.cross_fresh,
    inputs=cross_inputs,
    call="cross = " + CROSS_CALL + "; cross(x, words, mask), and again after one step of training",
)
def test_cross_attention_begins_as_if_it_were_not_there(got, ref, inputs):
    """At the beginning x comes back, and the first step of training changes that"""
    require_close(got["out"], inputs["x"], "x itself, as W_o begins at zero", "the result")
    require(
        got["moved"],
        "another result after one step of training: a gradient reaches W_o, as it is zero but "
        "what it is multiplied by is not",
        "x once more",
    )


@check("9.3", probe=probes.cross, inputs=cross_inputs, call=QUESTION + f", {WEIGHTS}")
def test_each_pixel_shares_out_its_attention(got, ref, inputs):
    """Each row of A sums to 1, nothing in it is negative, and hidden words get nothing"""
    table = require_table(got["table"])
    require(bool((table >= 0).all()), "no negative number in A", f"{float(table.min()):.3g}")
    sums = table.sum(dim=3)
    require(
        bool(((sums - 1).abs() < 1e-4).all()),
        "rows of A that sum to 1, over the words",
        f"sums from {float(sums.min()):.3g} to {float(sums.max()):.3g}",
    )
    hidden = table.masked_select(~inputs["mask"][:, None, None])
    require(
        bool((hidden < 1e-6).all()),
        "0 for every word whose mask is False",
        f"up to {float(hidden.max()):.3g}",
    )


@check("9.3", probe=probes.cross, inputs=cross_inputs, call=QUESTION + f", {WEIGHTS}")
def test_pixels_ask_and_words_answer(got, ref, inputs):
    """A is the softmax of q k^T over the words, divided by the root of a head's channels"""
    table = require_table(got["table"]).double().clamp_min(1e-30)
    scores = scores_of(inputs)
    # Word 0 is visible everywhere. What each other one has more, before the softmax and after it.
    shown = inputs["mask"][:, None, None, 1:].expand(3, 2, 14, 3)
    asked = (scores[..., 1:] - scores[..., :1])[shown]
    seen = (table[..., 1:] / table[..., :1]).log()[shown]
    divisor = float((asked * asked).sum() / (seen * asked).sum())
    require(
        torch.allclose(seen * divisor, asked, rtol=1e-2, atol=2e-2 * float(asked.abs().max())),
        "A to grow with the score of a pixel's query and a word's key, head by head",
        "another table",
    )
    require(
        abs(divisor - 5**0.5) < 0.02 * 5**0.5,
        "scores divided by sqrt(C / heads), here 2.24, the root of the channels that are summed",
        f"a table as from scores divided by {divisor:.3g}"
        if abs(divisor) < 1000
        else "equal weights, whatever the scores",
    )


@check(
    "9.3",
    probe=probes.cross_fresh,
    inputs=cross_inputs,
    call=CROSS_CALL + ".attention(x, words, mask), as it is made",
)
def test_heads_look_at_different_things(got, ref, inputs):
    """Each head has channels of its own, and so a table of its own"""
    require(
        got["heads differ"],
        "two heads with different tables, as each has scores of its own",
        "the same table twice",
    )


@check(
    "9.3",
    probe=probes.cross,
    inputs=lambda g: {**cross_inputs(g), "mask": visible([1, 1, 1], length=4)},
    call=QUESTION + f", one word visible, {WEIGHTS}",
)
def test_one_word_is_heard_by_all_pixels(got, ref, inputs):
    """Where one word alone may be looked at, each pixel gets x + W_o W_v word"""
    value = inputs["words"][:, 0] @ probes.tiled((10, 6), 2, 10, 6).T
    found = value @ probes.tiled((10, 10), 2, 10, 6).T
    require_close(
        got["out"],
        inputs["x"] + found[:, :, None, None],
        "x as it came in, before the norm, plus W_o W_v word in every pixel",
        "the result",
        **NETWORK,
    )


@check("9.3", probe=probes.cross, inputs=cross_inputs, call=QUESTION + f", {WEIGHTS}")
def test_pixels_receive_what_they_look_at(got, ref, inputs):
    """The result is x + W_o (A v), with the heads one behind the other"""
    require_close(
        got["out"],
        ref["out"],
        "x + W_o [A_1 v_1, A_2 v_2], every pixel's answer in its own place",
        "the result",
        **NETWORK,
    )


STRENGTHS = [
    [[1.0, 1.0, 1.0, 1.0]],
    [[2.0, 1.0, 1.0, 1.0]],
    [[1.0, 0.5, 0.0, 3.0]],
    [[0.002, 0.001, 0.003, 0.001]],
    [[0.0, 0.0, 1.0, 0.001]],
]


def strong_words(g: torch.Generator) -> dict:
    inputs = cross_inputs(g)
    masks = [torch.tensor(row).expand(3, 4).clone() for row in STRENGTHS]
    masks += [torch.ones(3, 4, dtype=torch.bool), torch.tensor([[2, 1, 0, 3]] * 3)]
    return {**inputs, "cases": [{"mask": mask} for mask in masks]}


@check(
    "9.3",
    probe=probes.cross_again,
    inputs=strong_words,
    call=CROSS_CALL + "(x, words, mask), with masks such as [1.0, 0.5, 0.0, 3.0], of floats, bools "
    "and integers",
)
def test_strong_words_get_more(got, ref, inputs):
    """A word's share grows with its strength, and only the strengths beside each other count"""
    plain = require_table(got["found"][0]["table"]).double()
    for found, case in zip(got["found"], inputs["cases"]):
        weighed = plain * case["mask"].double()[:, None, None]
        require_close(
            require_table(found["table"]),
            (weighed / weighed.sum(dim=3, keepdim=True)).float(),
            "m_j exp(s_ij), divided by the sum of its row, with the mask "
            f"{case['mask'][0].tolist()}",
            "A",
            **NETWORK,
        )


def repeated_words(g: torch.Generator) -> dict:
    """Word 1 with strength 2; word 1 twice; and the same words in another order."""
    inputs = cross_inputs(g)
    words = inputs["words"]
    once, twice = [0, 1, 2, 3], [0, 1, 1, 2, 3]
    strong = torch.tensor([1.0, 2.0, 1.0, 1.0]).expand(3, 4).clone()
    order = [3, 1, 0, 2]
    cases = [
        {"words": words[:, once], "mask": strong},
        {"words": words[:, twice], "mask": torch.ones(3, 5)},
        {"words": words[:, order], "mask": strong[:, order]},
    ]
    return {**inputs, "cases": cases}


@check(
    "9.3",
    probe=probes.cross_again,
    inputs=repeated_words,
    call=CROSS_CALL + "(x, words, mask), with word 1 of strength 2, then with word 1 twice, then "
    "with the first words in another order",
)
def test_strength_two_is_a_word_twice(got, ref, inputs):
    """Strength 2 does what the same word twice does, and the order of words does nothing"""
    strong = require_tensor(got["found"][0]["out"], "the result", (3, 10, 2, 7))
    for found, expected in zip(
        got["found"][1:],
        ("the same from a word twice as from that word with strength 2", "the same in any order"),
    ):
        require_close(found["out"], strong, expected, "the result", **NETWORK)


def padded_words(g: torch.Generator) -> dict:
    """The words, and the words with others behind them that are hidden."""
    inputs = cross_inputs(g)
    words, mask = inputs["words"], inputs["mask"]
    more = torch.cat([words, 5 * normal(g, 3, 2, 6)], dim=1)
    longer = torch.cat([mask, torch.zeros(3, 2, dtype=torch.bool)], dim=1)
    other = torch.where(mask[:, :, None], words, words + 3)
    cases = [{}, {"words": more, "mask": longer}, {"words": other}]
    return {**inputs, "cases": cases}


@check(
    "9.3",
    probe=probes.cross_again,
    inputs=padded_words,
    call=CROSS_CALL + "(x, words, mask), then with more hidden words, then with other hidden ones",
)
def test_hidden_words_change_nothing(got, ref, inputs):
    """More padding changes nothing, and what stands there neither"""
    plain = require_tensor(got["found"][0]["out"], "the result", (3, 10, 2, 7))
    for found in got["found"][1:]:
        require_close(
            found["out"],
            plain,
            "the same result, whatever words there are whose mask is 0",
            "the result",
            **NETWORK,
        )


@check(
    "9.3",
    probe=probes.cross_silenced,
    inputs=lambda g: {**cross_inputs(g), "mask": visible([4, 0, 2], length=4).float()},
    call=CROSS_CALL + "(x, words, mask) and a backward pass, every word of caption 1 hidden, all "
    "offsets at values that the check sets",
)
def test_nothing_to_look_at(got, ref, inputs):
    """Where every word is hidden, A is 0, x comes back and no gradient is NaN"""
    table = require_table(got["table"], (1, 2, 14, 4))
    require_close(
        table, torch.zeros(1, 2, 14, 4), "A = 0 where nothing may be looked at", "A of caption 1"
    )
    require_close(
        require_tensor(got["out"], "the result", (1, 10, 2, 7)),
        inputs["x"][1:2],
        "x itself where nothing may be looked at: nothing found, nothing added",
        "the result for caption 1",
    )
    require(got["finite"], "finite gradients", "NaN or infinity in a gradient")


@check(
    "9.3",
    probe=probes.cross_company,
    inputs=cross_inputs,
    call="cross(x, words, mask) with a batch of 3, then with each image alone, then in eval mode",
)
def test_pixels_look_at_their_own_caption(got, ref, inputs):
    """Pixels look at the words of their own image's caption only"""
    require_company(got)


@check(
    "9.3",
    probe=probes.cross_groups,
    inputs=lambda g: {
        **cross_inputs(g),
        "scale": torch.tensor([3.0, 10.0, 5.0, 2.0, 4.0])[:, None, None, None],
        "shift": torch.tensor([5.0, -4.0, 2.0, 1.0, -3.0])[:, None, None, None],
    },
    call="cross = " + CROSS_CALL + "; cross(x, words, mask) - x, then again with channels 0 and 1 "
    "of x scaled and shifted together, and the other pairs too",
)
def test_pixels_ask_from_the_normed_image(got, ref, inputs):
    """The queries are made from GroupNorm(x), and what comes back is x itself"""
    require_close(
        got["after"],
        require_tensor(got["before"], "what is added", (3, 10, 2, 7)),
        "the same to be added to x itself: with 5 groups, 2 channels share one mean and one "
        "spread, which the norm takes out for the queries",
        "what is added after the change",
        # x after the change is about 30, and float32 keeps seven digits of it.
        rtol=1e-3,
        atol=1e-3,
    )


@check(
    "9.3",
    probe=probes.cross_default,
    inputs=lambda g: {
        **cross_inputs(g),
        "size": [40, 6, 4, 8],
        "x": pixels(g, 3, 40, 2, 3),
    },
    call=f"CrossAttention(40, 6)(x, words, mask), {WEIGHTS}",
)
def test_cross_attention_defaults(got, ref, inputs):
    """Without further arguments there are 4 heads and 8 groups"""
    require_table(got["table"], (3, 4, 6, 4))
    expected = "the same as with heads=4 and groups=8, which is what the signature says"
    require_close(got["out"], ref["out"], expected, "the result", **NETWORK)


@check(
    "9.3",
    probe=probes.cross_gradients,
    inputs=cross_inputs,
    call="a backward pass through " + CROSS_CALL,
)
def test_cross_attention_gradients(got, ref, inputs):
    """Gradients reach x, every visible word and four separate matrices"""
    for name in ("x", "words"):
        require_whole_gradient(got[name], ref[name], name)
    require(
        not got["silent"],
        "a gradient for every weight, so that training can move it",
        f"no gradient for parameters of shape {shapes_of(got['silent'])}",
    )
    require(
        got["weights"] >= ref["weights"],
        "weights of their own for query, key, value and output, two of C x C and two of C x D",
        f"{got['weights']} weights for C = 10 and D = 6",
    )


@check(
    "9.3",
    probe=probes.cross_elsewhere,
    inputs=cross_inputs,
    call=CROSS_CALL + "(x, words, mask), all on another device than the CPU",
    seconds=SECONDS,
    free=("place",),
)
def test_cross_attention_works_on_any_device(got, ref, inputs):
    """New tensors are made where the images are, on whatever device"""
    require_same_device([got["place"]], "the result")


# 9.4


def some_captions(g: torch.Generator) -> dict:
    """Captions of tokens 4 ... 9 with <bos> and <pad>; two of them are the null caption already."""
    tokens = torch.randint(4, 10, (39, 5), generator=g)
    tokens[:, 0], tokens[::2, 4] = BOS, PAD
    tokens[torch.tensor([4, 17])] = NULL
    return {"tokens": tokens, "p": 0.5, "seed": 3}


DROP_CALL = "drop_captions(tokens, p=0.5, generator), 39 captions of 5 tokens"


@check("9.4", probe=probes.dropped, inputs=some_captions, call=DROP_CALL)
def test_dropping_keeps_the_shape(got, ref, inputs):
    """There are as many tokens as before, of the same type, however they lie in memory"""
    new = require_tensor(got["tokens"], "the tokens", (39, 5), torch.int64)
    require(
        torch.equal(require_tensor(got["in other order"], "the tokens", (39, 5), torch.int64), new),
        "the same captions dropped by a generator with the same seed, however the tokens lie in "
        "memory",
        "other tokens",
    )


@check("9.4", probe=probes.dropped, inputs=some_captions, call=DROP_CALL)
def test_captions_are_dropped_as_a_whole(got, ref, inputs):
    """Each caption is either what it was or <null> throughout, <bos> and <pad> too"""
    new, old = require_tensor(got["tokens"], "the tokens", (39, 5), torch.int64), inputs["tokens"]
    strange = ~((new == old).all(dim=1) | (new == NULL).all(dim=1))
    where = int(strange.long().argmax())
    require(
        not strange.any(),
        f"every caption unchanged, or <null> ({NULL}) in each of its places",
        f"{int(strange.sum())} captions that are neither: the first was {old[where].tolist()} and "
        f"became {new[where].tolist()}",
    )


@check(
    "9.4",
    probe=probes.dropped_at_the_ends,
    inputs=some_captions,
    call="drop_captions(tokens, p, generator), with p = 0.0 and p = 1.0, 39 captions and one alone",
)
def test_dropping_no_caption_and_all(got, ref, inputs):
    """p = 0 drops no caption and p = 1 drops all, and the tokens are new ones both times"""
    old = inputs["tokens"]
    cases = [(p, batch) for p in (0, 1) for batch in (old, old[:1])]
    for (p, batch), new, shared in zip(cases, got["tokens"], got["same memory"]):
        require_tensor(new, "the tokens", tuple(batch.shape), torch.int64)
        wrong = int((new != (torch.full_like(batch, NULL) if p else batch)).any(dim=1).sum())
        require(
            wrong == 0,
            f"{'all' if p else 'none'} of {len(batch)} captions dropped when p = {p}",
            f"{wrong} captions that are not as they should be",
        )
        require(
            not shared,
            f"a new tensor when p = {p}, so that changing it later leaves the old tokens alone",
            "the tensor that was handed in, or one that shares its memory",
        )


@check(
    "9.4",
    probe=probes.dropped_with_generators,
    inputs=some_captions,
    call=DROP_CALL + ", with generators of several seeds",
)
def test_dropping_captions_draws_from_the_generator(got, ref, inputs):
    """Chance comes from the generator that is handed in"""
    require(
        got["repeats"],
        "the same captions dropped when the generator has the same seed again",
        "other captions dropped: the draw comes from somewhere else",
    )
    # Two draws for 37 captions agree by chance once in 2^37 times, and here are 40 draws.
    require(
        got["moves_on"],
        "other captions dropped in the next call with one generator",
        "the same tokens from every call, as if none drew anything new from it",
    )
    require(
        got["follows_the_seed"],
        "other captions dropped when the generator has another seed",
        "the same captions dropped",
    )
    require(
        got["global_kept"],
        "torch's own generator, the one of torch.manual_seed, to stay as it was",
        "that one changed: it was seeded or drawn from",
    )


def equal_captions(g: torch.Generator) -> dict:
    """Ten times the same caption; 1500 calls with one generator."""
    return {
        "tokens": torch.tensor([[BOS, 5, 4, 8, PAD, PAD]] * 10),
        "p": 0.3,
        "seed": int(torch.randint(0, 1000, (1,), generator=g)),
        "calls": 1500,
    }


EQUAL_CALL = "drop_captions(tokens, p=0.3, generator), 1500 times, ten equal captions of 6 tokens"


@check(
    "9.4",
    probe=probes.dropped_counts,
    inputs=equal_captions,
    call=EQUAL_CALL,
    free=("counts",),
)
def test_each_caption_decides_for_itself(got, ref, inputs):
    """Of ten equal captions now these are dropped, now those"""
    counts = got["counts"]
    require(
        counts not in ([0], [10], [0, 10]),
        "calls that drop some of the ten captions and keep the others",
        "all ten dropped or all ten kept, in every call",
    )
    # Right code drops 1, 2, 3, 4 and 5 of ten with probabilities between 0.1 and 0.27 each.
    require(
        len(counts) >= 5,
        "a number of dropped captions that is left to chance, as with ten coins",
        f"no other numbers than {', '.join(map(str, counts))} in 1500 calls",
    )


@check("9.4", probe=probes.dropped_spread, inputs=equal_captions, call=EQUAL_CALL)
def test_captions_are_dropped_independently(got, ref, inputs):
    """Every place in the batch has the same chance, whatever happens to its neighbours"""
    require_independent_drops(got, "captions")


SHARES = [0.15, 0.005, 0.995]


@check(
    "9.4",
    probe=probes.dropped_shares,
    inputs=lambda g: {
        "tokens": torch.randint(4, 9, (20000, 2), generator=g),
        "ps": SHARES,
        "seed": int(torch.randint(0, 1000, (1,), generator=g)),
    },
    call="drop_captions(tokens, p, generator), 20000 captions, with p = 0.15, 0.005 and 0.995",
)
def test_the_share_of_dropped_captions(got, ref, inputs):
    """A share p of the captions is dropped, however small or large"""
    for p, share in zip(SHARES, got["shares"]):
        allowed = 6 * math.sqrt(p * (1 - p) / 20000)  # six standard deviations
        require(
            abs(share - p) < allowed,
            f"about {p:.1%} of 20000 captions dropped when p = {p}",
            f"{share:.2%}",
        )


@check(
    "9.4",
    probe=probes.dropped_at_the_ends,
    # With this seed torch.rand(1000, 1) has an exact 0, at place 827; one draw in 2^24 is one.
    # Right code drops none and all with every seed, so should torch's draws change, nothing is
    # wrong.
    inputs=lambda g: {"tokens": torch.randint(4, 9, (1000, 3), generator=g), "seed": 11993},
    call="drop_captions(tokens, p, generator), 1000 captions, with p = 0.0 and p = 1.0, and a 0 "
    "among the uniform numbers",
)
def test_dropping_captions_at_a_draw_of_zero(got, ref, inputs):
    """p = 0 drops no caption and p = 1 drops all, even where the uniform number is exactly 0"""
    old = inputs["tokens"]
    for p, new, target in ((0, got["tokens"][0], old), (1, got["tokens"][2], NULL)):
        require_tensor(new, "the tokens", (1000, 3), torch.int64)
        wrong = int((new != target).any(dim=1).sum())
        expected = f"{'all' if p else 'none'} of 1000 captions dropped when p = {p}"
        require(wrong == 0, expected, f"{wrong} captions that are not as they should be")


@check(
    "9.4",
    probe=probes.dropped_elsewhere,
    inputs=some_captions,
    call=f"{DROP_CALL}, tokens and generator on another device than the CPU",
    seconds=SECONDS,
    free=("place",),
)
def test_dropping_captions_on_any_device(got, ref, inputs):
    """The new tokens are made where the tokens are, on whatever device"""
    require_same_device([got["place"]], "the new tokens")


NO_PROBABILITIES = [1.5, -0.1, 1 + 1e-9, -1e-9, math.inf, math.nan]


@check(
    "9.4",
    probe=probes.dropped_with_bad_p,
    inputs=lambda g: some_captions(g) | {"ps": torch.tensor(NO_PROBABILITIES, dtype=torch.float64)},
    call="drop_captions(tokens, p, generator), with p = 1.5, -0.1, 1 + 1e-9, -1e-9, inf and nan",
)
def test_dropping_captions_refuses_what_is_no_probability(got, ref, inputs):
    """A p outside 0 ... 1 is refused"""
    for p, raised in zip(NO_PROBABILITIES, got["raised"]):
        require(
            raised == "ValueError",
            f"a ValueError for p = {p}, as the first lines of the exercise had it",
            f"{raised} was raised" if raised != "nothing" else "a result",
        )


# 9.5

# The channels neither grow nor begin at base_channels: 8, 12 and 4.
CONFIG = {
    "image_channels": 3,
    "base_channels": 4,
    "channel_mults": (2, 3, 1),
    "word_dim": 6,
    "heads": 2,
    "groups": 2,
}
READER = "PromptUNet(config, ...)(x, t, tokens)"
READER_WITH_MASK = "PromptUNet(config, ...)(x, t, tokens, mask), with a mask of strengths"
READER_CALL = (
    READER + ", 3 image channels, channels 8, 12 and 4 on three levels, x of shape (2, 3, 8, 12)"
)


def reader_inputs(g: torch.Generator, **changes) -> dict:
    """Two images, one with a caption and padding, one with the null caption."""
    tokens = torch.randint(4, 9, (2, 5), generator=g)
    tokens[0, 0], tokens[0, 2], tokens[0, 3:], tokens[1] = BOS, UNK, PAD, NULL
    return {
        "config": {**CONFIG, **changes},
        "x": pixels(g, 2, 3, 8, 12),
        "t": torch.tensor([0, 999]),
        "tokens": tokens,
    }


def masked_reader_inputs(g: torch.Generator) -> dict:
    """The same with strengths of the caller's own: <pad> is seen, and <bos> is not."""
    mask = 0.3 + 2 * torch.rand(2, 5, generator=g)
    mask[0, 0] = 0
    return {**reader_inputs(g), "mask": mask}


def mask_of(inputs: dict) -> Tensor:
    mask = inputs.get("mask")
    return (inputs["tokens"] != PAD if mask is None else mask).double()


def plan(config: dict) -> list[dict]:
    """The calls of blocks that there have to be, in order."""
    channels = [config["base_channels"] * mult for mult in config["channel_mults"]]
    last = len(channels) - 1
    dims = [4 * config["base_channels"], config["groups"]]
    steps: list[dict] = []

    def add(kind: str, where: str, made: list[int], level: int):
        steps.append({"kind": kind, "name": f"{kind} {where}", "made": made, "level": level})

    def look(where: str, level: int):
        if level > 0 and config.get("cross_attention", True):
            made = [channels[level], config["word_dim"], config["heads"], config["groups"]]
            add("CrossAttention", where, made, level)

    before = channels[0]
    for level, width in enumerate(channels):
        add("ResBlock", f"going down on level {level}", [before, width, *dims], level)
        look(f"going down on level {level}", level)
        if level < last:
            add("Downsample", f"of level {level}", [width], level)
        before = width
    add("ResBlock", "at the start of the middle", [before, before, *dims], last)
    look("in the middle", last)
    add("ResBlock", "at the end of the middle", [before, before, *dims], last)
    for level in range(last, -1, -1):
        width = channels[level]
        add("ResBlock", f"going up on level {level}", [before + width, width, *dims], level)
        look(f"going up on level {level}", level)
        if level > 0:
            add("Upsample", f"of level {level}", [width], level)
        before = width
    return steps


def near(a: Tensor, b: Tensor) -> bool:
    return a.shape == b.shape and torch.allclose(a.double(), b.double(), rtol=1e-4, atol=1e-5)


def require_steps(got: dict, config: dict) -> list[tuple[dict, dict]]:
    """Fail unless the blocks were called in the planned order; gives (planned, seen) pairs."""
    planned, seen = plan(config), got["steps"]
    for i, step in enumerate(planned):
        after = f" after the {planned[i - 1]['name']}" if i else " first"
        require(
            i < len(seen) and seen[i]["kind"] == step["kind"],
            f"the {step['name']}{after}",
            f"the next block to be of kind {seen[i]['kind']}"
            if i < len(seen)
            else "the end of the network",
        )
        for right, value in zip(step["made"], seen[i]["made"]):
            require(
                value == right,
                f"the {step['name']}{after}, made with {step['made']}",
                f"one that was made with {seen[i]['made']}, for another place",
            )
    require(
        len(seen) == len(planned),
        f"nothing after the {planned[-1]['name']} but norm_out, SiLU and conv_out",
        f"{len(seen) - len(planned)} more blocks",
    )
    places: dict[int, str] = {}
    for step, one in zip(planned, seen):
        require(
            one["block"] not in places,
            "each block in its own place only",
            f"the {step['name']} is the same block as the {places.get(one['block'])}",
        )
        places[one["block"]] = step["name"]
    return list(zip(planned, seen))


def require_flow(pairs: list[tuple[dict, dict]]) -> None:
    """Fail unless each block receives what the one before gave, going up with its level's skip."""
    skips: dict[int, tuple[str, Tensor]] = {}
    before, h = "", None
    for step, one in pairs:
        name, x = step["name"], one["x"]
        if h is not None and step["kind"] == "ResBlock" and "going up" in name:
            skip_name, skip = skips[step["level"]]
            require(
                near(x, torch.cat([h, skip], 1)),
                f"the {name} to receive {before}, and along the channels behind it {skip_name}",
                "the two in the other order"
                if near(x, torch.cat([skip, h], 1))
                else f"something else, of shape {tuple(x.shape)}",
            )
        elif h is not None:
            require(
                near(x, h),
                f"the {name} to receive {before}",
                f"something else, of shape {tuple(x.shape)}",
            )
        h, before = one["out"], f"the result of the {name}"
        if "going down" in name:
            skips[step["level"]] = before, h


def require_cond(got: dict, inputs: dict, config: dict) -> None:
    """Fail unless every ResBlock was told the time plus pooled of the words' mean."""
    mask = mask_of(inputs)[:, :, None]
    mean = (mask * got["words"]).sum(dim=1) / mask.sum(dim=1)
    told = mean @ probes.weight((4 * config["base_channels"], config["word_dim"])).double().T
    cond = got["time"].double() + told
    for number, one in enumerate(step for step in got["steps"] if step["kind"] == "ResBlock"):
        known = {
            "the time embedding alone": got["time"],
            "the words alone": told,
            "the SiLU of the sum": F.silu(cond),
            "the product of both": got["time"] * told,
        }
        names = [name for name, value in known.items() if near(one["cond"], value)]
        require(
            near(one["cond"], cond),
            "every ResBlock to receive time_embedding(t) + pooled(pool(words, mask))",
            f"ResBlock number {number} (counted from 0) with "
            + (names[0] if names else f"something else, of shape {tuple(one['cond'].shape)}"),
        )


def require_reading(got: dict, inputs: dict) -> None:
    """Fail unless t was looked up, and the captions were read once, with the right mask."""
    require(
        len(got["t"]) >= 1 and all(identical(t, inputs["t"]) for t in got["t"]),
        "time_embedding to receive t as it came in, int64",
        "another t" if got["t"] else "no call of it",
    )
    require(
        len(got["read"]) == 1,
        "one call of text_encoder: all parts use the same vectors",
        f"{len(got['read'])} calls",
    )
    tokens, mask = got["read"][0]
    require(
        identical(tokens, inputs["tokens"]),
        "text_encoder to receive tokens as they came in, int64",
        "other ones",
    )
    require_same_mask(mask, inputs, "text_encoder")


def require_same_mask(mask: Tensor, inputs: dict, name: str) -> None:
    given = inputs.get("mask") is not None
    require(
        near(mask.double(), mask_of(inputs)),
        f"{name} to receive "
        + ("the mask that was handed in" if given else "a mask of 1 (or True) for all but <pad>"),
        f"{[[round(m, 2) for m in row] for row in mask.double().tolist()]} for the tokens "
        f"{inputs['tokens'].tolist()}",
    )


def require_looks(got: dict, inputs: dict) -> None:
    """Fail unless every CrossAttention received the words and the mask."""
    for number, one in enumerate(step for step in got["steps"] if step["kind"] == "CrossAttention"):
        name = f"CrossAttention number {number} (counted from 0)"
        require(
            near(one["words"], got["words"]),
            f"{name} to receive the words' vectors as the text encoder gave them",
            f"something else, of shape {tuple(one['words'].shape)}",
        )
        require_same_mask(one["mask"], inputs, name)


def require_head_and_tail(got: dict, inputs: dict, config: dict) -> None:
    """Fail unless conv_in comes before the blocks, and norm_out, SiLU and conv_out after them."""
    require(bool(got["steps"]), "the blocks to be called", "no call of one")
    width, colours = config["base_channels"] * config["channel_mults"][0], config["image_channels"]
    require_close(
        got["steps"][0]["x"],
        F.conv2d(inputs["x"], probes.weight((width, colours, 3, 3)), padding=1),
        "the first block to receive conv_in(x)",
        "what it receives",
        **NETWORK,
    )
    h = got["steps"][-1]["out"]
    require(h.shape[1] == width, f"{width} channels at the end", f"{h.shape[1]} channels")
    h = F.silu(F.group_norm(h, config["groups"], probes.gain((width,))))
    require_close(
        got["out"],
        F.conv2d(h, probes.weight((colours, width, 3, 3)), padding=1),
        "conv_out(SiLU(norm_out(h))) of the last block's result h",
        "the result",
        **NETWORK,
    )


def require_network(got: dict, inputs: dict, config: dict) -> None:
    """Everything that a single call of the network has to fulfil."""
    require_tensor(got["out"], "the result", tuple(inputs["x"].shape))
    require_reading(got, inputs)
    require_flow(require_steps(got, config))
    require_cond(got, inputs, config)
    require_looks(got, inputs)
    require_head_and_tail(got, inputs, config)


@check("9.5", probe=probes.prompt_unet, inputs=reader_inputs, call=READER_CALL)
def test_reading_network_shape(got, ref, inputs):
    """The network returns one number for every pixel and channel of x"""
    require_tensor(got["out"], "the result", (2, 3, 8, 12))


@check("9.5", probe=probes.prompt_unet, inputs=reader_inputs, call=READER_CALL)
def test_captions_are_read_once(got, ref, inputs):
    """The captions become vectors once, with all but <pad> visible"""
    require_reading(got, inputs)


@check("9.5", probe=probes.prompt_unet, inputs=reader_inputs, call=READER_CALL)
def test_blocks_and_looks_take_turns(got, ref, inputs):
    """Down, middle, up: behind each ResBlock below the full resolution the words are looked at"""
    require_steps(got, inputs["config"])


@check("9.5", probe=probes.prompt_unet, inputs=reader_inputs, call=READER_CALL)
def test_each_part_receives_what_the_one_before_gave(got, ref, inputs):
    """Each block receives what the one before gave, and on the way up its level's skip too"""
    require_flow(require_steps(got, inputs["config"]))


@check("9.5", probe=probes.prompt_unet, inputs=reader_inputs, call=READER_CALL)
def test_every_block_is_told_time_and_caption(got, ref, inputs):
    """Every ResBlock is told the time plus the words' mean"""
    require_reading(got, inputs)
    require_cond(got, inputs, inputs["config"])


@check("9.5", probe=probes.prompt_unet, inputs=reader_inputs, call=READER_CALL)
def test_every_look_gets_words_and_mask(got, ref, inputs):
    """Every CrossAttention receives the words' vectors and the mask"""
    require_reading(got, inputs)
    require_looks(got, inputs)


@check("9.5", probe=probes.prompt_unet, inputs=reader_inputs, call=f"{READER_CALL}, {WEIGHTS}")
def test_reading_network_head_and_tail(got, ref, inputs):
    """conv_in comes first; norm_out, SiLU and conv_out come last"""
    require_head_and_tail(got, inputs, inputs["config"])


def several_masks(g: torch.Generator) -> dict:
    inputs = masked_reader_inputs(g)
    mask = inputs.pop("mask")
    return {**inputs, "masks": [mask, mask > 0.5, (2 * mask).long()]}


@check(
    "9.5",
    probe=probes.prompt_unet_masks,
    inputs=several_masks,
    call=READER + ", then with mask = None, and with masks of strengths, of bools and of integers",
)
def test_a_mask_of_the_callers_own(got, ref, inputs):
    """A mask that is handed in weighs the words wherever they are used"""
    for found, mask in zip(got["found"], [None, None, *inputs["masks"]]):
        require_network(found, {**inputs, "mask": mask}, inputs["config"])


CHANGES = [
    {"channel_mults": (2,)},
    {"channel_mults": (1, 2)},
    {"channel_mults": (1, 1, 1, 1)},
    {"cross_attention": False},
]


@check(
    "9.5",
    probe=probes.prompt_unet_configs,
    inputs=lambda g: {
        **masked_reader_inputs(g),
        "changes": CHANGES,
        "x": pixels(g, 2, 3, 8, 8),
    },
    call=READER_WITH_MASK + ", with 1, 2 and 4 levels, then with 3 and without cross-attention",
)
def test_reading_networks_of_all_depths(got, ref, inputs):
    """The config decides how many levels there are, and whether pixels look at words"""
    for found, changes in zip(got["found"], inputs["changes"]):
        require_network(found, inputs, {**inputs["config"], **changes})


SIZES = [
    ((2, 3, 1), (4, 12)),
    ((2, 3, 1), (20, 8)),
    ((2,), (5, 7)),
    ((2, 3), (6, 2)),
    ((2, 3, 1), (8, 10)),
    ((2, 3, 1), (6, 8)),
    ((2, 3, 1), (8, 9)),
    ((2, 3), (4, 3)),
]


@check(
    "9.5",
    probe=probes.prompt_unet_sizes,
    inputs=lambda g: {**reader_inputs(g), "sizes": SIZES},
    call=READER + " with images of several heights and widths",
)
def test_reading_network_refuses_sizes_that_cannot_be_halved(got, ref, inputs):
    """A side that cannot be halved often enough is refused, and no other"""
    for (mults, (height, width)), found in zip(inputs["sizes"], got["found"]):
        stride = 2 ** (len(mults) - 1)
        what = f"{height} x {width} pixels, in a network that halves them {len(mults) - 1} times"
        fits = not (height % stride or width % stride)
        require(
            found["raised"] == ("nothing" if fits else "ValueError"),
            f"a result for {what}" if fits else f"a ValueError for {what}",
            f"a result of shape {tuple(found['shape'])}"
            if found["raised"] == "nothing"
            else f"{found['raised']} was raised",
        )
        if fits:
            shape = (2, 3, height, width)
            require(
                tuple(found["shape"]) == shape, f"shape {shape}", f"shape {tuple(found['shape'])}"
            )


@check(
    "9.5",
    probe=probes.prompt_unet_again,
    inputs=masked_reader_inputs,
    call="the network called twice, then with each image alone, then in eval mode",
)
def test_reading_network_forgets(got, ref, inputs):
    """Nothing is left over from an earlier call, or from another image of the batch"""
    require_close(
        got["second"],
        require_tensor(got["fresh"], "the result", (2, 3, 8, 12)),
        "the same result in a second call as from a fresh network: nothing of the first is kept",
        "the second call's result",
        **NETWORK,
    )
    require_company(got)


@check(
    "9.5",
    probe=probes.prompt_unet_gradients,
    inputs=masked_reader_inputs,
    call="a backward pass through " + READER_WITH_MASK,
)
def test_reading_network_is_trained_as_a_whole(got, ref, inputs):
    """Gradients reach every place, and the text encoder on both ways"""
    whole = "as described: with the mask that was handed in, and no .detach(), .data or no_grad"
    for name, key in (("x", "x"), ("the time embedding", "time"), ("the text encoder", "words")):
        expected = f"the whole gradient to reach {name}, {whole}"
        require_whole_gradient(got[key], ref[key], name, expected)
    require(
        len(got["blocks"]) == len(ref["blocks"]),
        f"{len(ref['blocks'])} blocks in use",
        f"{len(got['blocks'])} blocks",
    )
    for step, grad, right in zip(plan(inputs["config"]), got["blocks"], ref["blocks"]):
        expected = f"the whole gradient to reach the {step['name']}, {whole}"
        require_whole_gradient(grad, right, f"the {step['name']}", expected)
    require(
        got["own"] == ref["own"],
        f"gradients for pooled, conv_in and conv_out, of shape {shapes_of(ref['own'])}",
        f"gradients for {shapes_of(got['own']) or 'none of them'}",
    )


# 9.6

NINE_SIX = "prompted_eps(predict_eps, x_t, t, wanted, unwanted, guidance_scale)"


def prompts(g: torch.Generator, batch: int = 3, **more) -> dict:
    """Prompts with strengths, and negative prompts with other ones."""
    wanted, unwanted = torch.randint(1, 9, (2, batch, 5), generator=g)
    strengths = 2 * torch.rand(2, batch, 5, generator=g)
    strengths[strengths < 0.4] = 0
    return {
        "x_t": normal(g, batch, 2, 4, 3),
        "t": torch.tensor([5, 0, 9, 2, 7][:batch]),
        "wanted": [wanted, strengths[0]],
        "unwanted": [unwanted, strengths[1]],
        "guidance_scale": 1.5,
        **more,
    }


def both_predictions(inputs: dict) -> tuple[Tensor, Tensor]:
    """What the toy network says with what is wanted, and with what is not."""
    x, t = inputs["x_t"], inputs["t"]
    return tuple(probes.prompted_toy_eps(x, t, *inputs[name]) for name in ("wanted", "unwanted"))


@check("9.6", probe=probes.prompted, inputs=prompts, call=NINE_SIX + ", with B = 3 images")
def test_prompts_are_asked_about_once(got, ref, inputs):
    """The network is called once, with a batch of 2B"""
    require(
        got["calls"] == 1,
        "one call of predict_eps, with both questions in one batch",
        f"{got['calls']} calls",
    )
    names = ("x", "t", "tokens", "mask")
    for name, shape, right in zip(names, got["shapes"][0], ([6, 2, 4, 3], [6], [6, 5], [6, 5])):
        require(
            shape == right,
            f"predict_eps to be handed {name} of shape {tuple(right)}",
            f"shape {tuple(shape)}",
        )
    for name, dtype in zip(names, got["dtypes"][0]):
        right = "torch.float32" if name == "x" else "torch.int64"
        require(
            dtype == right, f"predict_eps to be handed {name} of dtype {right}", f"dtype {dtype}"
        )
    require_tensor(got["eps"], "eps", tuple(inputs["x_t"].shape))


def mixed_masks(g: torch.Generator) -> dict:
    """What is wanted has a mask of bools, what is not has strengths."""
    inputs = prompts(g, batch=5)
    tokens, mask = inputs["wanted"]
    return {**inputs, "wanted": [tokens, mask > 0]}


@check(
    "9.6",
    probe=probes.prompted,
    inputs=mixed_masks,
    call=NINE_SIX + ", with B = 5 images, wanted.mask of bools and unwanted.mask of strengths",
)
def test_each_half_has_its_own_words_and_strengths(got, ref, inputs):
    """Each image is shown with what is wanted and with what is not, each with its own strengths"""
    require(
        all(row[0] >= 0 for row in got["rows"]),
        "the network to see the images of x_t unchanged",
        "other images",
    )
    for i, t in enumerate(inputs["t"].tolist()):
        seen = [row for row in got["rows"] if row[0] == i]
        require(
            [row[1] for row in seen] == [[t], [t]],
            f"image {i} to be shown twice, both times with its t = {t}",
            f"it was shown with t = {[row[1] for row in seen]}",
        )
        asked = sorted([row[2], row[3]] for row in seen)
        right = sorted(
            [tokens[i].tolist(), mask[i].double().tolist()]
            for tokens, mask in (inputs["wanted"], inputs["unwanted"])
        )
        for place, name in ((0, "tokens"), (1, "strengths")):
            require(
                [one[place] for one in asked] == [one[place] for one in right],
                f"image {i} to be shown with the {name} of both prompts, in any order: "
                f"{_short(right, place)}",
                _short(asked, place),
            )


def _short(prompts: list, place: int) -> str:
    rows = [[round(number, 2) for number in one[place]] for one in prompts]
    return " and ".join(map(str, rows))


def at_all_scales(g: torch.Generator) -> dict:
    # Both checks below see all the scales, which tells more misconceptions apart.
    return prompts(g, batch=4, scales=[0.0, -1.0, 1.0, 2.5, 0.3125])


@check(
    "9.6",
    probe=probes.prompted_values,
    inputs=at_all_scales,
    call=NINE_SIX + ", with guidance_scale = 0 and with -1",
)
def test_prompted_eps_at_its_fixed_points(got, ref, inputs):
    """w = 0 is the prediction for what is wanted, w = -1 the one for what is not"""
    for eps, target, w, name in zip(
        got["eps"], both_predictions(inputs), (0, -1), ("wanted", "unwanted")
    ):
        require_close(
            eps,
            target,
            f"with w = {w} just what the network says for what is {name}",
            f"eps with w = {w}",
            atol=1e-5,
        )


@check(
    "9.6",
    probe=probes.prompted_values,
    inputs=at_all_scales,
    call=NINE_SIX + ", with guidance_scale = 1, 2.5 and 0.3125",
)
def test_prompted_eps_leads_away_from_the_unwanted(got, ref, inputs):
    """w steps lead beyond what is wanted, away from what is not"""
    wanted, unwanted = both_predictions(inputs)
    for eps, w in list(zip(got["eps"], inputs["scales"]))[2:]:
        require_tensor(eps, "eps", tuple(wanted.shape))
        require_close(
            eps - wanted,
            w * (wanted - unwanted),
            f"eps to lie w = {w:g} times the way from unwanted to wanted beyond wanted",
            "what guidance adds to the prediction for what is wanted",
            rtol=1e-3,
            atol=1e-4,  # float32: differences of numbers of size 30
        )


@check(
    "9.6",
    probe=probes.prompted_same,
    inputs=at_all_scales,
    call=NINE_SIX + ", unwanted = wanted, with guidance_scale = 0, -1, 1, 2.5 and 0.3125",
)
def test_the_same_prompt_twice_leaves_no_direction(got, ref, inputs):
    """If wanted and unwanted are the same, the result is the same for every w"""
    wanted, _ = both_predictions(inputs)
    for eps, w in zip(got["eps"], inputs["scales"]):
        require_close(
            eps,
            wanted,
            "the prediction for what is wanted, whatever w is, as both predictions agree",
            f"eps with w = {w:g}",
            rtol=1e-3,
            atol=1e-4,
        )


@check(
    "9.6",
    probe=probes.prompted_with_gradients,
    inputs=lambda g: prompts(g, weight=0.7),
    call=NINE_SIX + ", where predict_eps has a weight that is being trained",
)
def test_prompted_eps_of_a_network_in_training(got, ref, inputs):
    """A network that is being trained can be asked as well"""
    wanted, unwanted = both_predictions(inputs)
    require_close(
        got["eps"],
        0.7 * (wanted + 1.5 * (wanted - unwanted)),
        "the same eps as from a network that is not trained any more",
        "eps",
        atol=1e-4,
    )


@check(
    "9.6",
    probe=probes.prompted_elsewhere,
    inputs=prompts,
    call=NINE_SIX + ", all tensors on another device than the CPU",
    seconds=SECONDS,
    free=("places",),
)
def test_prompted_eps_on_any_device(got, ref, inputs):
    """The network is asked where the images are, on whatever device"""
    for name, words in (
        ("x", "predict_eps's images"),
        ("t", "predict_eps's t"),
        ("tokens", "predict_eps's tokens"),
        ("mask", "predict_eps's mask"),
        ("eps", "eps"),
    ):
        require_same_device([got["places"].get(name, "unknown")], words)
