"""Probes of chapter 04: they build the learner's modules, give them known weights and run them.

Layers may have any name and be made in any order, so a parameter gets its values by its shape
alone. Shapes that say the same in another notation get the same values: a 1 x 1 convolution and
a Linear layer, a kernel (out, in, 3, 3), its matrix (out, 9 in) and the same as (3, 3, in, out),
a matrix and its transpose.
Biases are zero, so a layer may have one or not.

The U-Net is built from toy blocks that write down what they are made with and what they receive.
"""

import math

import torch
from torch import Tensor, nn

from checks.probes.toys import place_of, plain

# Known weights


def draw(count: int) -> Tensor:
    """So many normal numbers, always the same ones."""
    return torch.randn(count, generator=torch.Generator().manual_seed(count))


def weight(shape: tuple[int, ...]) -> Tensor:
    """The values of a weight of this shape."""
    if shape[:2] == (3, 3) and len(shape) == 4:
        return weight((*shape[:1:-1], 3, 3)).permute(2, 3, 1, 0)
    count = math.prod(shape)
    values = draw(count) * count**-0.25
    sides = [side for side in shape if side > 1]
    if len(sides) == 2:
        low, high = sorted(sides)
        values = values.view(low, high)
        if low == high:
            values = (values + values.T) / 2**0.5
        elif sides[0] > sides[1]:
            values = values.T
    return values.reshape(shape)


def gain(shape: tuple[int, ...]) -> Tensor:
    """The values of a normalisation's scale: positive, different for each channel."""
    count = math.prod(shape)
    generator = torch.Generator().manual_seed(count)
    return (0.5 + torch.rand(count, generator=generator)).reshape(shape)


def one(shape: tuple[int, ...]) -> Tensor:
    return torch.ones(shape)


def zero(shape: tuple[int, ...]) -> Tensor:
    return torch.zeros(shape)


NORMS = (nn.GroupNorm, nn.LayerNorm, nn.modules.batchnorm._NormBase)


class Known:
    """The parameters of a module, sorted into weights, gains and shifts, to be set by rules."""

    def __init__(self, module: nn.Module, *example: Tensor, leave: tuple[nn.Module, ...] = ()):
        if any(isinstance(p, nn.UninitializedParameter) for p in module.parameters()):
            module(*example)  # lazy layers learn their shapes from a first call
        left = {id(p) for other in leave for p in other.parameters()}
        scales = {id(m.weight) for m in module.modules() if isinstance(m, NORMS)}
        self.weights, self.gains, self.shifts = [], [], []
        for p in module.parameters():
            if id(p) in left:
                continue
            if id(p) in scales or bool((p == 1).all()):
                self.gains.append(p)
            elif p.numel() == max(p.shape, default=1):
                self.shifts.append(p)
            else:
                self.weights.append(p)

    @torch.no_grad()
    def set(self, weight=weight, gain=gain):
        for p in self.weights:
            p.copy_(weight(tuple(p.shape)))
        for p in self.gains:
            p.copy_(gain(tuple(p.shape)))
        for p in self.shifts:
            p.zero_()

    @property
    def all(self) -> list[nn.Parameter]:
        return self.weights + self.gains + self.shifts


def gradients(out, wrt: list[Tensor]) -> list[Tensor | None]:
    """Gradients of a weighted sum of `out`; None where there is none."""
    if not isinstance(out, Tensor) or not out.requires_grad:
        return [None] * len(wrt)
    loss = (out * draw(out.numel()).view(out.shape)).sum()
    learned = [value for value in wrt if value.requires_grad]
    found = iter(torch.autograd.grad(loss, learned, allow_unused=True))
    return [next(found) if value.requires_grad else None for value in wrt]


def silent(grad: Tensor | None) -> bool:
    """Does some row of this weight, or all of this vector, get no gradient?"""
    if grad is None:
        return True
    rows = grad.reshape(len(grad), -1) if grad.dim() > 1 else grad.reshape(1, -1)
    return bool((rows == 0).all(dim=1).any())


def one_by_one(module: nn.Module, *inputs: Tensor) -> list:
    """Each image sent through alone."""
    alone = []
    for i in range(len(inputs[0])):
        alone.append(plain(module(*(value[i : i + 1] for value in inputs))))
    return alone


def cut_out(x: Tensor) -> Tensor:
    """The same numbers cut out of a wider tensor: rows do not follow each other in memory."""
    return nn.functional.pad(x, (1, 2))[..., 1:-2]


def company(module: nn.Module, x: Tensor, *others: Tensor) -> dict:
    """The images together, each alone, cut out of wider tensors, and together in eval mode."""
    return {
        "together": plain(module(x, *others)),
        "alone": one_by_one(module, x, *others),
        "cut out": plain(module(*map(cut_out, (x, *others)))),
        "in eval mode": plain(module.eval()(x, *others)),
    }


# 4.1


def resblock_sizes(impl, inputs):
    """Blocks that lessen, keep and raise the number of channels."""
    found = []
    for size in inputs["sizes"]:
        x = inputs["x"][:, : size[0]].clone()
        names = ("in_channels", "out_channels", "cond_dim", "groups")
        found.append(plain(impl.ResBlock(**dict(zip(names, size)))(x, inputs["cond"])))
    return {"out": found}


def resblock(impl, inputs):
    """One block with known weights on one batch."""
    x, cond = inputs["x"], inputs["cond"]
    block = impl.ResBlock(*inputs["size"])
    Known(block, x, cond).set()
    return {"out": plain(block(x, cond))}


def resblock_group_numbers(impl, inputs):
    """One block for each number of groups."""
    alone = [{**inputs, "size": [*inputs["size"], groups]} for groups in inputs["groups"]]
    return {"outs": [resblock(impl, one)["out"] for one in alone]}


def resblock_shortcut(impl, inputs):
    """The block with all weights zero; where channels change, all but the 1 x 1 shortcut's."""
    found = {}
    for name in ("same", "fewer", "more"):
        size, cond = inputs[name], inputs["cond"]
        x = inputs["x"][:, : size[0]].clone()
        sides = sorted(size[:2])

        def rule(shape, sides=sides):
            return (
                weight(shape)
                if sorted(side for side in shape if side > 1) == sides
                else zero(shape)
            )

        block = impl.ResBlock(*size)
        Known(block, x, cond).set(weight=zero if name == "same" else rule)
        found[name] = plain(block(x, cond))
    return found


def resblock_company(impl, inputs):
    block = impl.ResBlock(*inputs["size"])
    Known(block, inputs["x"], inputs["cond"]).set()
    return company(block, inputs["x"], inputs["cond"])


def resblock_groups(impl, inputs):
    """What the branch adds to x, with a norm that should level the groups."""
    x, cond, size = inputs["x"], inputs["cond"], inputs["size"]
    block = impl.ResBlock(*size)
    Known(block, x, cond).set()
    return _branch_of_groups(lambda x: block(x, cond), inputs, groups=size[3])


def _branch_of_groups(module, inputs, groups: int) -> dict:
    """What is added to x: as it is, and with each group's channels scaled and shifted."""
    x = inputs["x"]
    changed = x.unflatten(1, (groups, -1)) * inputs["scale"] + inputs["shift"]
    changed = changed.flatten(1, 2)
    before, after = module(x), module(changed)
    return {"before": plain(before - x), "after": plain(after - changed)}


def resblock_conds(impl, inputs):
    """The same images with several conditioning vectors."""
    x = inputs["x"]
    block = impl.ResBlock(*inputs["size"])
    Known(block, x, inputs["cond"]).set()
    cond = inputs["cond"]
    return {
        "given": plain(block(x, cond)),
        "zero": plain(block(x, torch.zeros_like(cond))),
        "very negative": plain(block(x, torch.full_like(cond, -60.0))),
    }


def resblock_offsets(impl, inputs):
    """x = 0 and cond = 0, so that only offsets are left; each of them alone set to known values."""
    x, cond = inputs["x"], inputs["cond"]
    block = impl.ResBlock(*inputs["size"])
    known = Known(block, x, cond)
    found = []
    for shift in known.shifts:
        known.set()
        with torch.no_grad():
            shift.copy_(draw(shift.numel()).view(shift.shape))
        found.append(plain(block(x, cond)))
    return {"offsets": found}


def resblock_gradients(impl, inputs):
    """The gradients, and how many weights and scales get one."""
    x, cond = inputs["x"].clone().requires_grad_(), inputs["cond"].clone().requires_grad_()
    block = impl.ResBlock(*inputs["size"])
    known = Known(block, x, cond)
    known.set()
    grads = gradients(block(x, cond), [x, cond, *known.all])
    heard = {id(p) for p, grad in zip(known.all, grads[2:]) if not silent(grad)}
    return {
        "x": grads[0],
        "cond": grads[1],
        "silent": sorted(list(p.shape) for p in known.all if id(p) not in heard),
        "weights": sum(p.numel() for p in known.weights if id(p) in heard),
        "scales": sum(p.numel() for p in known.gains if id(p) in heard),
    }


# 4.2


def downsample(impl, inputs):
    return _resampled(impl.Downsample, inputs)


def upsample(impl, inputs):
    return _resampled(impl.Upsample, inputs)


def _resampled(make, inputs):
    """Each batch of images sent through a module with known weights, in both modes."""
    found = {"out": [], "cut out": [], "in eval mode": [], "weights": []}
    for x in inputs["images"]:
        module = make(channels=x.shape[1])
        known = Known(module, x)
        known.set()
        found["out"].append(plain(module(x)))
        found["cut out"].append(plain(module(cut_out(x))))
        found["in eval mode"].append(plain(module.eval()(x)))
        found["weights"].append(sum(p.numel() for p in known.weights))
    return found


def downsample_reach(impl, inputs):
    return _reach(impl.Downsample, inputs)


def upsample_reach(impl, inputs):
    return _reach(impl.Upsample, inputs)


def _reach(make, inputs):
    """Which input pixels does one output pixel depend on? And is every weight trained?"""
    x = inputs["x"].clone().requires_grad_()
    module = make(x.shape[1])
    known = Known(module, x)
    known.set()
    out = module(x)
    row, column = inputs["pixel"]
    seen, grads = None, []
    if isinstance(out, Tensor) and out.requires_grad:
        # The squares keep the weights of several channels from cancelling.
        pixel = out[:, :, row, column].square().sum()
        seen, *grads = torch.autograd.grad(pixel, [x, *known.all], allow_unused=True)
    reach = [] if seen is None else (seen != 0).any(dim=1).any(dim=0).nonzero().tolist()
    return {
        "reach": reach,
        "out": plain(out),
        "silent": sorted(list(p.shape) for p, grad in zip(known.all, grads) if silent(grad)),
    }


def upsample_flat(impl, inputs):
    """Images of one colour each, enlarged."""
    return _resampled(impl.Upsample, {"images": [inputs["x"]]})


def resampled_elsewhere(impl, inputs):
    """Where both results lie if module and image are on another device than the CPU."""
    x = inputs["x"]
    places = []
    for make in (impl.Downsample, impl.Upsample):
        module = make(x.shape[1])
        module(x)  # raises here if it is not written yet; lazy layers learn their shapes
        places.append(place_of(lambda module=module: module.to("meta")(x.to("meta"))))
    return {"places": places}


# 4.3


def attention_weight(shape: tuple[int, ...], channels: int) -> Tensor:
    """The same symmetric matrix for query, key, value and output, be they fused or apart."""
    sides = [side for side in shape if side > 1]
    square = weight((channels, channels))
    if len(sides) == 2 and all(side % channels == 0 for side in sides):
        return square.repeat(sides[0] // channels, sides[1] // channels).reshape(shape)
    if len(sides) == 3 and sides.count(channels) == 2:
        place = next(i for i, side in enumerate(sides) if side != channels)
        return square.unsqueeze(place).expand(sides).reshape(shape)
    return weight(shape)


def _attention(impl, inputs, scale: float = 1.0):
    """The module with known weights. Its norm's scale is 1: the weights could take it over."""
    channels, groups = inputs["size"]
    module = impl.SelfAttention(channels, groups)
    known = Known(module, inputs["x"] if "x" in inputs else inputs["images"][0])
    known.set(weight=lambda shape: scale * attention_weight(shape, channels), gain=one)
    return module, known


def attention(impl, inputs):
    module, _ = _attention(impl, inputs, inputs.get("scale", 1.0))
    return {"out": plain(module(inputs["x"]))}


def attention_default(impl, inputs):
    """Made with the channels alone: the number of groups is the signature's."""
    channels = inputs["x"].shape[1]
    module = impl.SelfAttention(channels=channels)
    rule = {"weight": lambda shape: attention_weight(shape, channels), "gain": one}
    Known(module, inputs["x"]).set(**rule)
    return {"out": plain(module(inputs["x"]))}


def attention_of_images(impl, inputs):
    """Images of several sizes."""
    module, _ = _attention(impl, inputs, inputs["scale"])
    return {"outs": [plain(module(x)) for x in inputs["images"]]}


def attention_silenced(impl, inputs):
    return attention(impl, {**inputs, "scale": 0.0})


def attention_company(impl, inputs):
    module, _ = _attention(impl, inputs)
    return company(module, inputs["x"])


def attention_shuffled(impl, inputs):
    """The images, and the images with their pixels in another order."""
    module, _ = _attention(impl, inputs)
    x, order = inputs["x"], inputs["order"]
    shuffled = x.flatten(2)[:, :, order].reshape(x.shape)
    return {"out": plain(module(x)), "shuffled": plain(module(shuffled))}


def attention_groups(impl, inputs):
    """What the branch adds to x, with a norm that should level the groups."""
    module, _ = _attention(impl, inputs)
    return _branch_of_groups(module, inputs, groups=inputs["size"][1])


def attention_gradients(impl, inputs):
    module, known = _attention(impl, inputs)
    x = inputs["x"].clone().requires_grad_()
    grads = gradients(module(x), [x, *known.weights])
    return {
        "x": grads[0],
        "silent": sorted(list(p.shape) for p, g in zip(known.weights, grads[1:]) if silent(g)),
        "weights": sum(p.numel() for p in known.weights),
    }


# 4.4


class Stub(nn.Module):
    """A toy block with one trained vector, whose values depend on its length only."""

    def __init__(self, kind: str, arguments: list, channels: int, log: list, made: list):
        super().__init__()
        self.kind, self.arguments, self.log = kind, arguments, log
        self.scale = nn.Parameter(torch.ones(channels))
        self.reset()
        made.append(self)

    @torch.no_grad()
    def reset(self):
        self.scale.copy_(gain(tuple(self.scale.shape)))

    def __deepcopy__(self, memo):
        """Copies write into the same log."""
        twin = type(self)(*self.arguments)
        memo[id(self)] = twin
        return twin

    def note(self, x: Tensor, out: Tensor, cond: Tensor | None = None) -> Tensor:
        """Keep what came in and what goes out, as they are now."""
        copies = [None if value is None else value.detach().clone() for value in (x, cond, out)]
        self.log.append((self, *copies))
        return out


def toy_blocks(log: list, made: list) -> dict[str, type[nn.Module]]:
    """Blocks with the constructors of the real ones; they write each call into `log`.

    Every block that is constructed is added to `made`, whether the network registers it or not.
    They accept any number of channels and only give out what they were made for: a network
    that is wired wrongly runs on, and the log shows where.
    """

    class ResBlock(Stub):
        def __init__(self, in_channels, out_channels, cond_dim, groups=8):
            arguments = [in_channels, out_channels, cond_dim, groups]
            super().__init__("ResBlock", arguments, out_channels, log, made)

        def forward(self, x, cond):
            told = torch.tanh(cond.flatten(1).mean(dim=1) / 20)[:, None, None, None]  # (B, 1, 1, 1)
            mean = x.mean(dim=1, keepdim=True)  # (B, 1, H, W)
            spread = torch.tanh((x * x).mean(dim=1, keepdim=True))
            scale = self.scale[:, None, None]  # (out, 1, 1)
            return self.note(x, scale * mean + scale**2 * spread + scale**3 * told, cond)

    class Downsample(Stub):
        def __init__(self, channels):
            super().__init__("Downsample", [channels], channels, log, made)

        def forward(self, x):
            return self.note(x, self.scale.mean() * x[:, :, ::2, ::2])

    class Upsample(Stub):
        def __init__(self, channels):
            super().__init__("Upsample", [channels], channels, log, made)

        def forward(self, x):
            larger = x.repeat_interleave(2, 2).repeat_interleave(2, 3)
            return self.note(x, self.scale.square().mean() * larger)

    class SelfAttention(Stub):
        def __init__(self, channels, groups=8):
            super().__init__("SelfAttention", [channels, groups], channels, log, made)

        def forward(self, x):
            return self.note(x, x + self.scale.mean() * x.mean(dim=(2, 3), keepdim=True))

    return {kind.__name__: kind for kind in (ResBlock, Downsample, Upsample, SelfAttention)}


class ToyEmbedding(nn.Module):
    """Numbers (B,) -> high waves (B, cond_dim); keeps what it was asked for."""

    def __init__(self, cond_dim: int, speed: float):
        super().__init__()
        self.speed, self.rates = speed, nn.Parameter(torch.ones(cond_dim))
        self.asked, self.given = [], []
        self.reset()

    @torch.no_grad()
    def reset(self):
        self.rates.copy_(self.speed * gain(tuple(self.rates.shape)))

    def forward(self, number):
        out = 20 * torch.sin(number[:, None] * self.rates)
        self.asked.append(number.detach().clone())
        self.given.append(out.detach().clone())
        return out


class Built:
    """A U-Net of the learner's, made of toy blocks."""

    def __init__(self, impl, fields: dict, example: tuple[Tensor, ...], scale: float = 1.0):
        config = impl.UNetConfig(**fields)
        self.log: list[tuple] = []
        cond_dim = 4 * fields["base_channels"]
        self.time, self.label = ToyEmbedding(cond_dim, 0.01), ToyEmbedding(cond_dim, 0.7)
        stubs: list[Stub] = []
        blocks = impl.Blocks(**toy_blocks(self.log, stubs))
        self.net = impl.UNet(
            config=config, time_embedding=self.time, class_embedding=self.label, blocks=blocks
        )
        self.own = Known(self.net, *example, leave=(*stubs, self.time, self.label))
        self.own.set(gain=lambda shape: scale * gain(shape))
        for toy in (*stubs, self.time, self.label):
            toy.reset()  # in case the network initialises all that it holds
        self.forget()

    def forget(self):
        for record in (self.log, self.time.asked, self.time.given):
            record.clear()
        self.label.asked.clear()
        self.label.given.clear()

    def steps(self) -> list[dict]:
        """The calls of blocks since the last `forget`, in order, as plain data."""
        numbers: dict[int, int] = {}
        found = []
        for stub, x, cond, out in self.log:
            found.append(
                {
                    "kind": stub.kind,
                    "made": list(stub.arguments),
                    "block": numbers.setdefault(id(stub), len(numbers)),
                    "x": x,
                    "cond": cond,
                    "out": out,
                }
            )
        return found


def _batch(inputs: dict) -> tuple[Tensor, Tensor, Tensor]:
    return inputs["x"], inputs["t"], inputs["labels"]


def unet(impl, inputs):
    """Everything that happens in one call."""
    return _unet(impl, inputs["config"], _batch(inputs))


def _unet(impl, fields: dict, batch: tuple[Tensor, ...], scale: float = 1.0) -> dict:
    """`scale` enlarges what the norm at the end gives, and so the result."""
    built = Built(impl, fields, batch, scale)
    out = plain(built.net(*batch))
    asked, given = [], []
    for embedding in (built.time, built.label):
        asked.append(list(embedding.asked))
        given.append(embedding.given[-1] if embedding.given else None)
    return {"out": out, "steps": built.steps(), "asked": asked, "given": given}


def unet_attention(impl, inputs):
    """The same network without and with attention."""
    return {
        name: _unet(impl, {**inputs["config"], "attention": flag}, _batch(inputs))
        for name, flag in (("without", False), ("with", True))
    }


def unet_levels(impl, inputs):
    """Networks with different numbers of resolutions."""
    config, batch, scale = inputs["config"], _batch(inputs), inputs["scale"]
    return {
        str(len(mults)): _unet(impl, {**config, "channel_mults": mults}, batch, scale)
        for mults in inputs["mults"]
    }


def unet_sizes(impl, inputs):
    """Images that can be halved often enough, and images that cannot."""
    found = []
    for mults, (height, width) in inputs["sizes"]:
        square = torch.ones(2, inputs["config"]["image_channels"], 16, 16)
        x = square[:, :, :1, :1].expand(-1, -1, height, width).clone()
        t, labels = torch.tensor([3, 5]), torch.tensor([1, 2])
        fields = {**inputs["config"], "channel_mults": mults}
        built = Built(impl, fields, (square, t, labels))
        raised, shape = "", []
        try:
            out = built.net(x, t, labels)
            shape = list(out.shape)
        except NotImplementedError:  # an exercise that is not written yet
            raise
        except Exception as error:
            raised = type(error).__name__
        steps = [[step["kind"], step["made"], list(step["x"].shape)] for step in built.steps()]
        found.append({"raised": raised, "shape": shape, "steps": steps})
    return {"found": found}


def unet_again(impl, inputs):
    """A second call, beside the same call of a fresh network; and each image on its own."""
    batch = _batch(inputs)
    fresh = Built(impl, inputs["config"], batch)
    expected = plain(fresh.net(*batch))
    used = Built(impl, inputs["config"], batch)
    used.net(*(value.flip(0) for value in batch))
    return {"fresh": expected, "second": plain(used.net(*batch)), **company(used.net, *batch)}


def unet_gradients(impl, inputs):
    """Which weights belong to the network, and the gradient in every place."""
    x, t, labels = _batch(inputs)
    x = x.clone().requires_grad_()
    built = Built(impl, inputs["config"], (x, t, labels))
    out = built.net(x, t, labels)
    blocks = list(dict.fromkeys(stub for stub, *_ in built.log))  # each once, by first use
    held = {id(p) for p in built.net.parameters()}
    outside = [stub.kind for stub in blocks if id(stub.scale) not in held]
    for name, embedding in (("time_embedding", built.time), ("class_embedding", built.label)):
        if id(embedding.rates) not in held:
            outside.append(name)
    places = [x, built.time.rates, built.label.rates, *(stub.scale for stub in blocks)]
    own = built.own.weights + built.own.gains
    grads = gradients(out, [*places, *own])
    return {
        "outside": outside,
        "x": grads[0],
        "time": grads[1],
        "label": grads[2],
        "blocks": grads[3 : len(places)],
        "own": sum(p.numel() for p, grad in zip(own, grads[len(places) :]) if grad is not None),
    }
