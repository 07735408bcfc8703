"""Probes of chapter 09: they call the code under test and report what it returns.

The modules' layers may have any name, so a parameter gets its values by its shape alone, as in
chapter 04. The matrices of an attention repeat themselves from head to head. So it makes no
difference how query, key and value are laid out when they are made by one layer.
"""

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from checks.probes.ch03_embeddings import name_of_error
from checks.probes.ch04_unet import (
    Known,
    Stub,
    ToyEmbedding,
    company,
    gain,
    gradients,
    one,
    silent,
    toy_blocks,
    weight,
)
from checks.probes.toys import (
    GeneratorElsewhere,
    generator,
    identical,
    on_meta,
    parts,
    place,
    place_of,
    plain,
)

# By torch, which takes seconds: for the meta device.
IMPORTED_AT_FIRST_USE = ("torch._dynamo",)

PAD, NULL = 0, 3


def in_other_order(value: Tensor) -> Tensor:
    """The same numbers, in memory in another order: such a tensor is not contiguous."""
    return value.transpose(0, -1).contiguous().transpose(0, -1)


# 9.1


def tokenized(impl, inputs):
    """Captions in one batch."""
    names = ("captions", "vocabulary", "length")
    tokens, mask = parts(impl.tokenize(*(inputs[name] for name in names)), 2)
    return {"tokens": tokens, "mask": mask}


def tokenized_lengths(impl, inputs):
    """Several batches, each with a length of its own; some do not fit."""
    found = []
    for captions, length in inputs["cases"]:
        call = {"captions": captions, "vocabulary": inputs["vocabulary"], "length": length}
        raised = name_of_error(lambda call=call: tokenized(impl, call))
        result = tokenized(impl, call) if raised == "nothing" else {"tokens": None, "mask": None}
        found.append({"raised": raised, **result})
    return {"found": found}


# Attention with known weights


def tiled(shape: tuple[int, ...], heads: int, channels: int, words: int) -> Tensor:
    """The values of an attention's matrix: in each head the same.

    Query, key, value and output may be one parameter or several, with heads as an axis or without.

    Args:
        shape: of the parameter.
        heads: how many.
        channels: of all heads together, a multiple of 5 where a head has a multiple of 5.
        words: length of the vectors of which key and value are made.
    """
    size = channels // heads
    own = [axis for axis, side in enumerate(shape) if side % size == 0]
    other = [axis for axis, side in enumerate(shape) if side == words and words != channels]
    axes = [*own, *other]
    if len(axes) != 2:
        return weight(shape)
    block = weight((size, words) if other else (size, size))
    if axes != sorted(axes):
        axes, block = sorted(axes), block.T
    rows, columns = (shape[axis] for axis in axes)
    matrix = block.repeat(rows // block.shape[0], columns // block.shape[1])
    return matrix.reshape([side if i in axes else 1 for i, side in enumerate(shape)]).expand(shape)


# 9.2


def encoder_weight(size: list[int], layers: float = 1.0):
    """The rule for a TextEncoder's weights; all but the tables are scaled by `layers`."""
    vocab_size, length, dim, heads = size

    def rule(shape: tuple[int, ...]) -> Tensor:
        if dim in shape and (vocab_size in shape or length in shape):
            return weight(shape)
        if 4 * dim in shape:
            return layers * weight(shape)
        return 0.6 * layers * tiled(shape, heads, dim, dim)

    return rule


def make_encoder(impl, inputs, layers: float = 1.0):
    size = inputs["size"]
    encoder = impl.TextEncoder(*size)
    example = inputs["tokens"], inputs["mask"]
    known = Known(encoder, *example)
    known.set(weight=encoder_weight(size, layers), gain=one)
    return encoder, known


def encoder(impl, inputs):
    module, _ = make_encoder(impl, inputs)
    return {"out": plain(module(inputs["tokens"], inputs["mask"]))}


def encoder_of_tables(impl, inputs):
    """All weights but those of the two tables are zero."""
    module, _ = make_encoder(impl, inputs, layers=0.0)
    return {"out": plain(module(inputs["tokens"], inputs["mask"]))}


def encoder_sizes(impl, inputs):
    """Encoders of several sizes, on as much of the captions as each can read."""
    found = []
    for size in inputs["sizes"]:
        tokens = inputs["tokens"][:, : size[1]] % size[0]
        module, mask = impl.TextEncoder(*size), inputs["mask"][:, : size[1]]
        Known(module, tokens, mask).set(weight=encoder_weight(size), gain=one)
        found.append(plain(module(tokens, mask)))
    return {"outs": found}


def encoder_default(impl, inputs):
    """Made without the last argument: the number of heads is the signature's."""
    module = impl.TextEncoder(*inputs["size"][:3])
    known = Known(module, inputs["tokens"], inputs["mask"])
    known.set(weight=encoder_weight(inputs["size"]), gain=one)
    return {"out": plain(module(inputs["tokens"], inputs["mask"]))}


def encoder_again(impl, inputs):
    """One encoder on several captions: other words, other masks, or more padding.

    The tokens lie in memory in another order than usual.
    """
    module, _ = make_encoder(impl, inputs)
    cases = [(in_other_order(tokens), mask) for tokens, mask in inputs["cases"]]
    return {"outs": [plain(module(tokens, mask)) for tokens, mask in cases]}


def encoder_company(impl, inputs):
    module, _ = make_encoder(impl, inputs)
    found = company(module, inputs["tokens"], inputs["mask"])
    return {**found, "again": plain(module.train()(inputs["tokens"], inputs["mask"]))}


def encoder_gains(impl, inputs):
    """The result, and again with the scale of one norm after the other at other values than 1."""
    module, known = make_encoder(impl, inputs)
    plain_out = plain(module(inputs["tokens"], inputs["mask"]))
    found = []
    for parameter in known.gains:
        with torch.no_grad():
            parameter.copy_(gain(tuple(parameter.shape)))
            found.append(plain(module(inputs["tokens"], inputs["mask"])))
            parameter.fill_(1)
    return {"out": plain_out, "outs": found}


def encoder_gradients(impl, inputs):
    """Which rows of the tables, and which layers, get no gradient from the visible tokens?"""
    tokens, mask, rows = inputs["tokens"], inputs["mask"], inputs["rows"]
    module, known = make_encoder(impl, inputs)
    out = module(tokens, mask)
    if isinstance(out, Tensor):
        out = out * (mask > 0)[:, :, None]
    missed, layers = {}, []
    for p, grad in zip(known.weights, gradients(out, known.weights)):
        size = next((size for size in rows if size in p.shape), None)
        if size is None:
            layers.append((p, grad))
            continue
        others = [axis for axis, side in enumerate(p.shape) if side != size]
        reached = torch.zeros(size) if grad is None else grad.abs().sum(dim=others)
        missed[size] = [row for row in rows[size] if reached[row] == 0]
    return {
        "missed": missed,
        "silent": sorted(list(p.shape) for p, grad in layers if grad is None or not grad.any()),
        "weights": sum(p.numel() for p in known.weights),
    }


class NoLookUpElsewhere(TorchDispatchMode):
    """Refuses what a graphics card refuses and torch's meta device does not: a table there, the
    numbers to look up on the CPU."""

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        if function is torch.ops.aten.embedding.default and args[0].device != args[1].device:
            raise RuntimeError("the tensor of numbers to look up is not on the expected device")
        return function(*args, **(kwargs or {}))


def encoder_elsewhere(impl, inputs):
    module, _ = make_encoder(impl, inputs)
    module(inputs["tokens"], inputs["mask"])  # raises here if it is not written yet
    there = on_meta({"tokens": inputs["tokens"], "mask": inputs["mask"]})
    with NoLookUpElsewhere():
        return {"place": place_of(lambda: module.to("meta")(there["tokens"], there["mask"]))}


# 9.3


def make_cross(impl, inputs, gains=one, **changes):
    """The module with known weights; its norm's scale is 1, as the weights could take it over."""
    channels, words, heads, groups = inputs["size"]
    module = impl.CrossAttention(channels, words, heads, groups)
    known = Known(module, inputs["x"], inputs["words"], inputs["mask"])
    known.set(weight=lambda shape: tiled(shape, heads, channels, words), gain=gains)
    return module, known


def _question(inputs: dict) -> tuple[Tensor, Tensor, Tensor]:
    return inputs["x"], inputs["words"], inputs["mask"]


def cross(impl, inputs):
    """What comes out, and the table A."""
    module, _ = make_cross(impl, inputs)
    table = plain(module.attention(*_question(inputs)))
    return {"table": table, "out": plain(module(*_question(inputs)))}


def cross_again(impl, inputs):
    """One module on several questions, which differ from the inputs in some parts.

    All that it is asked lies in memory in another order than usual.
    """
    module, _ = make_cross(impl, inputs)
    found = []
    for case in inputs["cases"]:
        asked = [in_other_order(part) for part in _question({**inputs, **case})]
        found.append({"table": plain(module.attention(*asked)), "out": plain(module(*asked))})
    return {"found": found}


def cross_fresh(impl, inputs):
    """A module as it is made: its result, its table, and its result after one step of training."""
    torch.manual_seed(3)
    module = impl.CrossAttention(*inputs["size"])
    asked = _question(inputs)
    table = plain(module.attention(*asked))
    out = module(*asked)
    before = plain(out)
    held = [p for p in module.parameters() if p.requires_grad]
    grads = gradients(out, held)
    with torch.no_grad():
        for p, grad in zip(held, grads):
            if grad is not None:
                p.sub_(grad)
    return {
        "heads differ": bool(isinstance(table, Tensor) and (table[:, 0] != table[:, 1]).any()),
        "out": before,
        "moved": not identical(plain(module(*asked)), before),
    }


def cross_default(impl, inputs):
    """Made without heads and groups: the numbers are the signature's."""
    channels, words, heads, _ = inputs["size"]
    module = impl.CrossAttention(channels, words)
    known = Known(module, *_question(inputs))
    known.set(weight=lambda shape: tiled(shape, heads, channels, words), gain=one)
    return {
        "table": plain(module.attention(*_question(inputs))),
        "out": plain(module(*_question(inputs))),
    }


def second(value):
    """The second part of a batch; what is no batch stays as it is."""
    return plain(value)[1:2] if isinstance(value, Tensor) and value.ndim else value


def cross_silenced(impl, inputs):
    """With every word of caption 1 hidden, and no offset at 0: its results, and all gradients.

    Of the other captions' results right code may bring back different ones, as query, key and
    value may have offsets or none.
    """
    module, known = make_cross(impl, inputs)
    with torch.no_grad():
        for shift in known.shifts:
            shift.copy_(gain(tuple(shift.shape)))
    x, words = (inputs[name].clone().requires_grad_() for name in ("x", "words"))
    out = module(x, words, inputs["mask"])
    held = [x, words, *known.all]
    grads = gradients(out, held)
    return {
        "table": second(module.attention(x, words, inputs["mask"])),
        "out": second(out),
        "finite": all(grad is None or bool(grad.isfinite().all()) for grad in grads),
    }


def cross_company(impl, inputs):
    module, _ = make_cross(impl, inputs)
    return company(module, *_question(inputs))


def cross_groups(impl, inputs):
    """The tables, and what is added to x: for x, and for x with groups scaled and shifted."""
    module, _ = make_cross(impl, inputs)
    groups = inputs["size"][3]
    x, words, mask = _question(inputs)
    changed = x.unflatten(1, (groups, -1)) * inputs["scale"] + inputs["shift"]
    changed = changed.flatten(1, 2)
    before, after = module(x, words, mask), module(changed, words, mask)
    return {"before": plain(before - x), "after": plain(after - changed)}


def cross_gradients(impl, inputs):
    x, words = (inputs[name].clone().requires_grad_() for name in ("x", "words"))
    module, known = make_cross(impl, inputs)
    grads = gradients(module(x, words, inputs["mask"]), [x, words, *known.weights])
    return {
        "x": grads[0],
        "words": grads[1],
        "silent": sorted(list(p.shape) for p, g in zip(known.weights, grads[2:]) if silent(g)),
        "weights": sum(p.numel() for p in known.weights),
    }


def cross_elsewhere(impl, inputs):
    module, _ = make_cross(impl, inputs)
    module(*_question(inputs))  # raises here if it is not written yet
    there = on_meta(inputs)
    return {"place": place_of(lambda: module.to("meta")(*_question(there)))}


# 9.4


def _drop(impl, inputs, p=None, seed=None, tokens=None):
    tokens = inputs["tokens"] if tokens is None else tokens
    p = inputs["p"] if p is None else p
    return impl.drop_captions(tokens, p, generator(inputs["seed"] if seed is None else seed))


def dropped(impl, inputs):
    """What becomes of tokens, and of the same tokens in another order of memory."""
    return {
        "tokens": _drop(impl, inputs),
        "in other order": _drop(impl, inputs, tokens=in_other_order(inputs["tokens"])),
    }


def dropped_at_the_ends(impl, inputs):
    """p = 0 and p = 1; does the result share the memory of what was handed in?"""
    tokens, found = inputs["tokens"], {"tokens": [], "same memory": []}
    for p in (0.0, 1.0):
        for batch in (tokens, tokens[:1]):
            new = _drop(impl, inputs, p=p, tokens=batch)
            found["tokens"].append(new)
            shared = isinstance(new, Tensor) and new.data_ptr() == batch.data_ptr()
            found["same memory"].append(shared)
    return found


def dropped_with_generators(impl, inputs):
    tokens, p, seed = (inputs[key] for key in ("tokens", "p", "seed"))

    def drop(source):
        return impl.drop_captions(tokens, p, source)

    torch.manual_seed(1)
    state = torch.get_rng_state()
    first = drop(generator(seed))
    global_kept = torch.equal(state, torch.get_rng_state())
    source = generator(seed)
    # Many, because code that drops whole batches draws the same by chance every other time.
    later = [drop(source) for _ in range(40)]
    torch.manual_seed(2)  # must not matter
    again = drop(generator(seed))
    others = [drop(generator(seed + 1 + i)) for i in range(40)]
    return {
        "repeats": torch.equal(first, again),
        "moves_on": not all(torch.equal(first, new) for new in later[1:]),
        "follows_the_seed": not all(torch.equal(first, new) for new in others),
        "global_kept": global_kept,
    }


def _masks(impl, inputs) -> Tensor:
    """Which captions of a small batch are dropped, call after call with one generator."""
    source = generator(inputs["seed"])
    calls = [
        impl.drop_captions(inputs["tokens"], inputs["p"], source) for _ in range(inputs["calls"])
    ]
    return (torch.stack(calls) == NULL).all(dim=2)  # (calls, B)


def dropped_counts(impl, inputs):
    return {"counts": sorted(set(_masks(impl, inputs).sum(dim=1).tolist()))}


def dropped_spread(impl, inputs):
    masks = _masks(impl, inputs).double()
    return {"place": masks.mean(dim=0), "variance": float(masks.sum(dim=1).var())}


def dropped_shares(impl, inputs):
    """The share of captions dropped, for each p."""
    return {
        "shares": [
            float((_drop(impl, inputs, p=p) == NULL).all(dim=1).double().mean())
            for p in inputs["ps"]
        ]
    }


def dropped_elsewhere(impl, inputs):
    _drop(impl, inputs)  # raises here if it is not written yet
    source = GeneratorElsewhere().manual_seed(inputs["seed"])
    there = inputs["tokens"].to("meta")
    return {"place": place_of(lambda: impl.drop_captions(there, inputs["p"], source))}


def dropped_with_bad_p(impl, inputs):
    """Which error each p raises. They come as a tensor, in which NaN is equal to itself."""
    return {
        "raised": [
            name_of_error(lambda p=p: _drop(impl, inputs, p=p)) for p in inputs["ps"].tolist()
        ]
    }


# 9.5


class ToyReader(nn.Module):
    """tokens (B, L) -> waves (B, L, word_dim), in each place others; keeps what it was asked."""

    def __init__(self, word_dim: int):
        super().__init__()
        self.rates = nn.Parameter(gain((word_dim,)))
        self.asked, self.given = [], []

    def forward(self, tokens, mask):
        places = 0.3 * torch.arange(tokens.shape[1])[:, None]
        out = torch.sin((tokens[:, :, None] + 1) * self.rates + places)
        self.asked.append([tokens.clone(), mask.clone()])
        self.given.append(out.detach().clone())
        return out


def toy_look(log: list, made: list, looked: list) -> type[Stub]:
    """A CrossAttention that writes down what it gets: x in `log`, words and mask in `looked`."""

    class CrossAttention(Stub):
        def __init__(self, channels, word_dim, heads=4, groups=8):
            arguments = [channels, word_dim, heads, groups]
            super().__init__("CrossAttention", arguments, channels, log, made)

        def forward(self, x, words, mask):
            looked.append([plain(words).clone(), mask.clone()])
            told = (mask[:, :, None] * words).mean(dim=(1, 2))[:, None, None, None]  # (B, 1, 1, 1)
            return self.note(x, x + self.scale[:, None, None] * told * (1 + torch.tanh(x)))

    return CrossAttention


class Built:
    """A PromptUNet of the learner's, made of toy blocks."""

    def __init__(self, impl, fields: dict):
        config = impl.PromptUNetConfig(**fields)
        self.log, self.looked, self.stubs = [], [], []
        kinds = toy_blocks(self.log, self.stubs)
        del kinds["SelfAttention"]
        look = toy_look(self.log, self.stubs, self.looked)
        self.time = ToyEmbedding(4 * fields["base_channels"], 0.01)
        self.reader = ToyReader(fields["word_dim"])
        blocks = impl.PromptBlocks(**kinds, CrossAttention=look)
        self.net = impl.PromptUNet(config, self.time, self.reader, blocks)
        self.own = Known(self.net, leave=(*self.stubs, self.time, self.reader))
        self.own.set()

    def steps(self) -> list[dict]:
        """The calls of blocks, in order, as plain data."""
        numbers: dict[int, int] = {}
        looked, found = iter(self.looked), []
        for stub, x, cond, out in self.log:
            words, mask = next(looked) if stub.kind == "CrossAttention" else (None, None)
            found.append(
                {
                    "kind": stub.kind,
                    "made": list(stub.arguments),
                    "block": numbers.setdefault(id(stub), len(numbers)),
                    "x": x,
                    "cond": cond,
                    "words": words,
                    "mask": mask,
                    "out": out,
                }
            )
        return found


def _batch(inputs: dict) -> list:
    """What the network is called with; a mask only if there is one."""
    return [inputs[name] for name in ("x", "t", "tokens", "mask") if name in inputs]


def prompt_unet(impl, inputs):
    """Everything that happens in one call."""
    return _prompt_unet(impl, inputs["config"], _batch(inputs))


def _prompt_unet(impl, fields: dict, batch: list) -> dict:
    built = Built(impl, fields)
    out = plain(built.net(*batch))
    return {
        "out": out,
        "steps": built.steps(),
        "t": list(built.time.asked),
        "time": built.time.given[-1] if built.time.given else None,
        "read": list(built.reader.asked),
        "words": built.reader.given[-1] if built.reader.given else None,
    }


def prompt_unet_masks(impl, inputs):
    """Without a mask, with None, and with several masks."""
    return {
        "found": [
            _prompt_unet(impl, inputs["config"], [*_batch(inputs), *more])
            for more in ([], [None], *([mask] for mask in inputs["masks"]))
        ]
    }


def prompt_unet_configs(impl, inputs):
    """Networks with other numbers of levels, and without cross-attention.

    Pictures, tokens and mask lie in memory in another order than usual.
    """
    batch = [in_other_order(part) for part in _batch(inputs)]
    return {
        "found": [
            _prompt_unet(impl, {**inputs["config"], **changes}, batch)
            for changes in inputs["changes"]
        ]
    }


def prompt_unet_sizes(impl, inputs):
    """Images that can be halved often enough, and images that cannot."""
    found = []
    for mults, (height, width) in inputs["sizes"]:
        x = torch.ones(2, inputs["config"]["image_channels"], height, width)
        batch = [x, inputs["t"], inputs["tokens"]]
        built = Built(impl, {**inputs["config"], "channel_mults": mults})
        raised = name_of_error(lambda net=built.net, batch=batch: net(*batch))
        shape = list(built.net(*batch).shape) if raised == "nothing" else []
        found.append({"raised": raised, "shape": shape})
    return {"found": found}


def prompt_unet_again(impl, inputs):
    """A second call, beside the same call of a fresh network; and each image on its own."""
    batch = _batch(inputs)
    expected = plain(Built(impl, inputs["config"]).net(*batch))
    used = Built(impl, inputs["config"])
    used.net(*(value.flip(0) for value in batch))
    return {"fresh": expected, "second": plain(used.net(*batch)), **company(used.net, *batch)}


def prompt_unet_gradients(impl, inputs):
    x, *rest = _batch(inputs)
    x = x.clone().requires_grad_()
    built = Built(impl, inputs["config"])
    out = built.net(x, *rest)
    blocks = list(dict.fromkeys(stub for stub, *_ in built.log))  # each once, by first use
    places = [x, built.time.rates, built.reader.rates, *(stub.scale for stub in blocks)]
    grads = gradients(out, [*places, *built.own.weights])
    return {
        "x": grads[0],
        "time": grads[1],
        "words": grads[2],
        "blocks": grads[3 : len(places)],
        "own": sorted(
            list(p.shape)
            for p, grad in zip(built.own.weights, grads[len(places) :])
            if grad is not None and grad.any()
        ),
    }


# 9.6


class PromptedNetwork:
    """A toy network that writes down what it is asked.

    Its eps depends on every pixel's right neighbour, on t, the tokens and their strengths, and for
    each image on that image's own inputs only.
    """

    def __init__(self):
        self.asked: list[tuple[Tensor, ...]] = []

    def __call__(self, x: Tensor, t: Tensor, tokens: Tensor, mask: Tensor) -> Tensor:
        asked = (x, t, tokens, mask)
        self.asked.append(tuple(value.clone() for value in asked))
        if len({len(value) for value in asked}) > 1 or t.ndim != 1 or tokens.ndim != 2:
            shapes = ", ".join(str(tuple(value.shape)) for value in asked)
            raise ValueError(f"predict_eps was handed x, t, tokens and mask of shapes {shapes}")
        return prompted_toy_eps(x, t, tokens, mask)


def prompted_toy_eps(x: Tensor, t: Tensor, tokens: Tensor, mask: Tensor) -> Tensor:
    places = torch.arange(1, tokens.shape[1] + 1)
    told = (mask.float() * torch.sin(1.7 * tokens + 0.3 * places)).sum(dim=1).view(-1, 1, 1, 1)
    step = t.view(-1, 1, 1, 1).float()
    return told * x + 0.3 * x.roll(-1, dims=-1) + torch.cos(told) * torch.sin(0.8 * step + 0.5)


def _prompted(impl, inputs, network, **changes):
    asked = {**inputs, **changes}
    wanted, unwanted = (impl.Prompt(*asked[name]) for name in ("wanted", "unwanted"))
    return impl.prompted_eps(
        network, asked["x_t"], asked["t"], wanted, unwanted, asked["guidance_scale"]
    )


def prompted(impl, inputs):
    """The guided eps, and what the network was asked for it.

    `rows` tells for each image that the network saw which of the images it was, at which t, with
    which tokens and strengths; sorted, as the order in the batch is free.
    """
    network = PromptedNetwork()
    eps = _prompted(impl, inputs, network)
    rows = sorted(row for asked in network.asked for row in _rows(asked, inputs["x_t"]))
    return {
        "eps": eps,
        "calls": len(network.asked),
        "shapes": [[list(value.shape) for value in asked] for asked in network.asked],
        "dtypes": [[str(value.dtype) for value in asked[:3]] for asked in network.asked],
        "rows": rows,
    }


def _rows(asked, images):
    """[number of the image, t, tokens, strengths] of each row; -1 for an unknown image."""
    for x, t, tokens, mask in zip(*asked):
        known = [i for i, image in enumerate(images) if identical(image, x)]
        number = known[0] if known else -1
        yield [number, t.flatten().tolist(), tokens.tolist(), mask.double().tolist()]


def prompted_values(impl, inputs):
    """The guided eps for several scales, of pictures that lie in memory in another order."""
    x_t = in_other_order(inputs["x_t"])
    return {
        "eps": [
            _prompted(impl, inputs, PromptedNetwork(), x_t=x_t, guidance_scale=w)
            for w in inputs["scales"]
        ]
    }


def prompted_same(impl, inputs):
    """Wanted and unwanted alike, for several scales."""
    return {
        "eps": [
            _prompted(impl, inputs, PromptedNetwork(), unwanted=inputs["wanted"], guidance_scale=w)
            for w in inputs["scales"]
        ]
    }


def prompted_with_gradients(impl, inputs):
    """The guided eps of a network whose weight is being trained."""
    factor = torch.tensor(inputs["weight"], requires_grad=True)
    eps = _prompted(impl, inputs, lambda *asked: factor * prompted_toy_eps(*asked))
    return {"eps": plain(eps)}


def prompted_elsewhere(impl, inputs):
    """Where the network's inputs and the result lie if all that is handed in is elsewhere."""
    _prompted(impl, inputs, PromptedNetwork())  # raises here if it is not written yet
    there = {name: on_meta(value) for name, value in inputs.items()}
    for name in ("wanted", "unwanted"):
        there[name] = [on_meta(value) for value in inputs[name]]
    places = {}

    def network(x, t, tokens, mask):
        places.update(x=place(x), t=place(t), tokens=place(tokens), mask=place(mask))
        return x.clone()

    places["eps"] = place_of(lambda: _prompted(impl, there, network))
    return {"places": places}
