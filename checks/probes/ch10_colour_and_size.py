"""Probes of chapter 10: they call the code under test and report what it returns.

The layers of an autoencoder may have any name and be made in any order, so a parameter gets its
values by its shape, as in chapter 04. Mean and log_var may come from one convolution or from two,
so the two halves of the one get the values that the two get.
"""

from types import SimpleNamespace

import torch
from torch import Tensor, nn

from checks.probes import ch04_unet
from checks.probes.ch04_unet import Known, cut_out, gradients, silent, weight
from checks.probes.toys import (
    GeneratorElsewhere,
    alike,
    copied,
    draws_again,
    generator,
    identical,
    name_of_error,
    on_meta,
    parts,
    place_of,
    plain,
    strided,
)

# By torch, which takes seconds: for the meta device.
IMPORTED_AT_FIRST_USE = ("torch._dynamo",)

# 10.1


def folded(impl, inputs):
    """Each image folded by each size of a patch."""
    return {"out": [impl.to_patches(x, s) for x, s in zip(inputs["images"], inputs["sizes"])]}


def unfolded(impl, inputs):
    return {"out": [impl.from_patches(x, s) for x, s in zip(inputs["images"], inputs["sizes"])]}


def folded_and_back(impl, inputs):
    """There and back again, from either side, by name."""
    found = {"there and back": [], "back and there": []}
    for x, y, s in zip(inputs["images"], inputs["folded"], inputs["sizes"]):
        found["there and back"].append(impl.from_patches(x=impl.to_patches(x=x, s=s), s=s))
        found["back and there"].append(impl.to_patches(impl.from_patches(y, s), s))
    return found


def folded_of_any_type(impl, inputs):
    """Images that are not contiguous in memory, of several types."""
    found = {"to": [], "from": []}
    for name in inputs["types"]:
        for way, call in (("to", impl.to_patches), ("from", impl.from_patches)):
            x = strided(inputs[way].to(getattr(torch, name)))
            found[way].append(call(x, inputs["s"]))
    return found


def folding_refused(impl, inputs):
    """What is raised for each shape."""
    found = {}
    for way, call in (("to", impl.to_patches), ("from", impl.from_patches)):
        found[way] = [
            name_of_error(lambda shape=shape, s=s, call=call: call(torch.zeros(shape), s))
            for shape, s in inputs[way]
        ]
    return found


def folded_elsewhere(impl, inputs):
    x, y, s = inputs["x"], inputs["y"], inputs["s"]
    impl.to_patches(x, s), impl.from_patches(y, s)  # raises here if it is not written yet
    return {
        "places": [
            place_of(lambda: impl.to_patches(on_meta(x), s)),
            place_of(lambda: impl.from_patches(on_meta(y), s)),
        ]
    }


# 10.2


def shifted(impl, inputs):
    """Each schedule shifted by each size."""
    return {
        "betas": [[impl.shift_betas(betas, s) for s in inputs["sizes"]] for betas in inputs["all"]]
    }


def shifted_by_name(impl, inputs):
    return {"betas": [impl.shift_betas(betas=b, s=inputs["s"]) for b in inputs["all"]]}


def shifted_twice(impl, inputs):
    """One shift after the other."""
    first, second = inputs["sizes"]
    return {"betas": impl.shift_betas(impl.shift_betas(inputs["betas"], first), second)}


def shift_refused(impl, inputs):
    betas = inputs["betas"]
    return {
        "raised": [name_of_error(lambda s=s: impl.shift_betas(betas, s)) for s in inputs["sizes"]]
    }


def shifted_elsewhere(impl, inputs):
    impl.shift_betas(inputs["betas"], 2)  # raises here if it is not written yet
    return {"places": [place_of(lambda: impl.shift_betas(on_meta(inputs["betas"]), 2))]}


# 10.3


def _flip(impl, inputs, source, pixels=None):
    pixels = inputs["pixels"] if pixels is None else pixels
    return impl.flip_some(
        pixels=pixels, labels=inputs["labels"], may_flip=inputs["may_flip"], generator=source
    )


FORMS = {
    "as it was": lambda x: x,
    "mirrored left to right": lambda x: x.flip(3),
    "upside down": lambda x: x.flip(2),
    "turned by 180 degrees": lambda x: x.flip(2, 3),
    "with its channels in another order": lambda x: x.flip(1),
}


def form_of(image, pixels: Tensor, number: int) -> str:
    """What has become of image `number`, in words."""
    for name, change in FORMS.items():
        if torch.equal(image, change(pixels[number : number + 1])[0]):
            return name
    everything = torch.cat([change(pixels) for change in FORMS.values()])
    if any(torch.equal(image, other) for other in everything):
        return "another image of the batch"
    return "something else"


def flipped_once(impl, inputs):
    """One call: shape and type."""
    return {"pixels": _flip(impl, inputs, generator(inputs["seed"]))}


def flipped(impl, inputs):
    """What becomes of each image in many calls, how often and how many of them together."""
    source, pixels = generator(inputs["seed"]), inputs["pixels"]
    calls = [_flip(impl, inputs, source) for _ in range(inputs["calls"])]
    first = [[form_of(out[i], pixels, i) for i in range(len(out))] for out in calls[:20]]
    together = torch.stack(calls)  # (calls, B, C, H, W)
    moved = (together != pixels).flatten(2).any(dim=2).double()  # (calls, B)
    return {
        "forms": [sorted(set(forms)) for forms in zip(*first)],
        "shares": [round(share, 1) for share in moved.mean(dim=0).tolist()],
        "variance": round(float(moved.sum(dim=1).var())),
    }


def flipped_of_any_type(impl, inputs):
    """Images that are not contiguous, of several types: what becomes of them."""
    found = []
    for name in inputs["types"]:
        pixels = strided(inputs["pixels"]).to(getattr(torch, name))
        out = _flip(impl, inputs, generator(inputs["seed"]), pixels)
        forms = {form_of(out[i], pixels, i) for i in range(len(pixels))}
        found.append({"type": str(out.dtype), "shape": list(out.shape), "forms": sorted(forms)})
    return {"found": found}


def flipped_again(impl, inputs):
    """Does the generator decide, and nothing else?"""
    found = draws_again(lambda source: _flip(impl, inputs, source))
    return {**found, "torch's own untouched": untouched(lambda: _flip(impl, inputs, generator(4)))}


def untouched(call) -> bool:
    """Does torch's own generator stay as it is?"""
    torch.manual_seed(8)
    before = torch.get_rng_state()
    call()
    return torch.equal(before, torch.get_rng_state())


def flipped_elsewhere(impl, inputs):
    _flip(impl, inputs, generator(1))  # raises here if it is not written yet
    source = GeneratorElsewhere().manual_seed(1)
    return {"places": [place_of(lambda: _flip(impl, on_meta(inputs), source))]}


# 10.4


def divergence(impl, inputs):
    return {"kl": [impl.gaussian_kl(mean, log_var) for mean, log_var in inputs["codes"]]}


def divergence_by_name(impl, inputs):
    mean, log_var = inputs["codes"][0]
    return {"kl": [impl.gaussian_kl(mean=strided(mean), log_var=strided(log_var))]}


def divergence_gradient(impl, inputs):
    """The gradients of the sum of all divergences."""
    mean, log_var = (part.clone().requires_grad_() for part in inputs["codes"][0])
    kl = impl.gaussian_kl(mean, log_var)
    if not isinstance(kl, Tensor) or not kl.requires_grad:
        return {"mean": None, "log_var": None}
    found = torch.autograd.grad(kl.sum(), [mean, log_var], allow_unused=True)
    return dict(zip(("mean", "log_var"), found))


def drawn(impl, inputs):
    """Draws of equal seeds: around several means, with one width for each image.

    The draw around 0 with width 1 says what was drawn. Each image's width is how many times as
    large its distance from the mean is.
    """
    mean, widths = inputs["mean"], inputs["log_vars"].view(-1, 1, 1, 1)  # (B, 1, 1, 1)
    zeros = torch.zeros_like(mean)

    def draw(mean, log_var):
        return impl.sample_posterior(mean=mean, log_var=log_var, generator=generator(2))

    z = draw(mean, widths.expand_as(mean).clone())
    if not isinstance(z, Tensor):
        return {"z": z, "sure": z, "width": None, "rest": None}
    eps = draw(zeros, zeros)
    found = {"z": [list(z.shape), str(z.dtype)], "sure": draw(mean, zeros - 200)}
    if z.shape != mean.shape:
        return {**found, "width": None, "rest": None}
    off = (z - mean).flatten(1)  # (B, D h w)
    eps = eps.flatten(1)
    width = (off * eps).sum(dim=1) / (eps * eps).sum(dim=1)  # (B,)
    rest = (off - width[:, None] * eps).abs().max() / width.abs().max()
    return {**found, "width": plain(width), "rest": bool(rest < 1e-3)}


def drawn_noise(impl, inputs):
    """What several draws of mean 0 and variance 1 look like, in figures that all draws agree on."""
    zeros, source = torch.zeros(inputs["shape"]), generator(inputs["seed"])
    noise = torch.stack(
        [impl.sample_posterior(zeros, zeros.clone(), source) for _ in range(inputs["calls"])]
    )
    found = {
        "mean": round(float(noise.mean()), 1) + 0.0,  # which turns -0.0 into 0.0
        "variance": round(float(noise.var()), 1),
        "beyond two": round(float((noise.abs() > 2).float().mean()), 2),
    }
    for axis, name in enumerate(("calls", "images", "channels", "rows", "columns")):
        found[name] = alike(noise.movedim(axis, 0).flatten(1))
    return found


def drawn_again(impl, inputs):
    mean = strided(inputs["mean"])
    log_var = strided(torch.zeros_like(mean))
    found = draws_again(lambda source: impl.sample_posterior(mean, log_var, source))
    call = lambda: impl.sample_posterior(mean, log_var, generator(4))  # noqa: E731
    return {**found, "torch's own untouched": untouched(call)}


def drawn_gradient(impl, inputs):
    """By how much z moves with the mean, and with log_var beside how far z is from the mean."""
    mean, log_var = inputs["mean"].clone().requires_grad_(), inputs["wide"].clone().requires_grad_()
    z = impl.sample_posterior(mean, log_var, generator(3))
    if not z.requires_grad:
        return {"mean": None, "log_var": None}
    by_mean, by_log_var = torch.autograd.grad(z.sum(), [mean, log_var], allow_unused=True)
    off = (z - mean).detach()
    return {"mean": by_mean, "log_var": None if by_log_var is None else by_log_var / off}


def drawn_elsewhere(impl, inputs):
    mean = inputs["mean"]
    impl.sample_posterior(mean, mean, generator(1))  # raises here if it is not written yet
    source, there = GeneratorElsewhere().manual_seed(1), on_meta(mean)
    return {
        "z": [place_of(lambda: impl.sample_posterior(there, there, source))],
        "kl": [place_of(lambda: impl.gaussian_kl(there, there))],
    }


# 10.5


class Trained:
    """An autoencoder of the learner's, with known weights, or with those that it began with."""

    def __init__(self, impl, fields: dict, x: Tensor, known: bool = True, loud: float = 1.0):
        torch.manual_seed(6)  # for what is not in parameters()
        self.net = impl.Autoencoder(config=impl.AutoencoderConfig(**fields))
        if any(isinstance(p, nn.UninitializedParameter) for p in self.net.parameters()):
            self.net.decode(self.net.encode(x)[0])  # lazy layers learn their shapes
        self.known = Known(self.net)
        both = 2 * fields["latent_channels"]

        def rule(shape):
            if len(shape) == 4 and shape[0] == both:
                return loud * weight((both // 2, *shape[1:])).repeat(2, 1, 1, 1)
            return loud * weight(shape)

        if known:
            self.known.set(weight=rule)

    def encode(self, x) -> list:
        return [plain(part) for part in parts(self.net.encode(x), 2)]

    def decode(self, z):
        return plain(self.net.decode(z))


def autoencoders(impl, inputs):
    """Autoencoders of several configurations: what they make of an image, and of a latent."""
    found = {"codes": [], "images": []}
    for changes, x, z in zip(inputs["changes"], inputs["x"], inputs["z"]):
        trained = Trained(impl, {**inputs["config"], **changes}, x)
        found["codes"].append(trained.encode(x))
        found["images"].append(trained.decode(z))
    return found


def autoencoder_halves(impl, inputs):
    """With weights as they are at the beginning: do mean and log_var say different things?"""
    trained = Trained(impl, inputs["config"], inputs["x"], known=False)
    mean, log_var = trained.encode(inputs["x"])
    tensors = isinstance(mean, Tensor) and isinstance(log_var, Tensor)
    return {"same": tensors and torch.allclose(mean, log_var, atol=1e-6)}


def autoencoder_range(impl, inputs):
    """The least and the largest value of each part, far beyond any limit of 30."""
    trained = Trained(impl, inputs["config"], inputs["x"], loud=300.0)
    mean, log_var = trained.encode(inputs["x"])
    found = {"mean": mean, "log_var": log_var, "image": trained.decode(inputs["z"])}
    return {name: [float(part.min()), float(part.max())] for name, part in found.items()}


def autoencoder_company(impl, inputs):
    """Together, each alone, cut out of a wider tensor, and in eval mode."""
    x, z = inputs["x"], inputs["z"]
    trained = Trained(impl, inputs["config"], x)
    encode, decode = (lambda x: trained.encode(x)[0]), trained.decode
    found = {
        name: {
            "together": call(value),
            "alone": [call(value[i : i + 1]) for i in range(len(value))],
            "cut out": call(cut_out(value)),
        }
        for name, call, value in (("encode", encode, x), ("decode", decode, z))
    }
    trained.net.eval()
    found["encode"]["in eval mode"], found["decode"]["in eval mode"] = encode(x), decode(z)
    return found


def autoencoder_again(impl, inputs):
    """A latent decoded before any image was encoded, and after each of two; an image twice."""
    x, z = inputs["x"], inputs["z"]
    trained = Trained(impl, inputs["config"], x)
    found = {"first": trained.decode(z), "later": []}
    codes = []
    for image in (x, x.flip(0), x):
        codes.append(trained.encode(image))
        found["later"].append(trained.decode(z))
    return {**found, "codes": [codes[0], codes[2]]}


def autoencoder_sizes(impl, inputs):
    """What is raised for images of each size."""
    found = []
    for mults, (height, width) in inputs["sizes"]:
        fields = {**inputs["config"], "channel_mults": mults}
        x = torch.ones(2, fields["image_channels"], height, width)
        trained = Trained(impl, fields, torch.ones(2, fields["image_channels"], 16, 16))
        found.append(name_of_error(lambda trained=trained, x=x: trained.encode(x)))
    return {"raised": found}


def autoencoder_gradients(impl, inputs):
    """Which parameters get a gradient, and how many weights there are."""
    x, z = inputs["x"].clone().requires_grad_(), inputs["z"].clone().requires_grad_()
    trained = Trained(impl, inputs["config"], inputs["x"])
    all_of_it = trained.known.all
    codes, image = parts(trained.net.encode(x), 2), trained.net.decode(z)
    out = torch.cat([part.flatten() for part in (*codes, image) if isinstance(part, Tensor)])
    grads = gradients(out, [x, z, *all_of_it])
    heard = {id(p) for p, grad in zip(all_of_it, grads[2:]) if not silent(grad)}
    return {
        "x": grads[0],
        "z": grads[1],
        "silent": sorted(list(p.shape) for p in all_of_it if id(p) not in heard),
        "weights": sum(p.numel() for p in trained.known.weights),
    }


# 10.6


class ToyAutoencoder(nn.Module):
    """An affine autoencoder whose answers are known, and which writes down what it gets."""

    def __init__(self, weights: dict[str, Tensor]):
        super().__init__()
        for name, value in weights.items():  # mean and log_var (D, C), image (C, D)
            self.register_parameter(name, nn.Parameter(value.clone()))
        self.encoded, self.decoded, self.given = [], [], []

    def encode(self, x):
        self.encoded.append(plain(copied(x)))
        small = x[:, :, ::2, ::2]  # (B, C, h, w)
        found = [torch.einsum("dc,bchw->bdhw", w, small) for w in (self.mean, self.log_var)]
        self.given.append([plain(copied(part)) for part in found])
        return tuple(found)

    def decode(self, z):
        self.decoded.append(plain(copied(z)))
        x = torch.einsum("cd,bdhw->bchw", self.image, z) + 0.5
        return x.repeat_interleave(2, 2).repeat_interleave(2, 3)


class Lesson:
    """One loss, with a draw and a divergence that no formula gives, and a record of all calls."""

    def __init__(self, inputs):
        self.inputs, self.toy = inputs, ToyAutoencoder(inputs["weights"])
        self.source = generator(9)
        self.drawn, self.measured, self.sources = [], [], []

    def sample_posterior(self, mean, log_var, generator):
        self.drawn.append([plain(copied(mean)), plain(copied(log_var))])
        self.sources.append(generator is self.source)
        return 0.7 * mean + 0.3 * log_var + self.inputs["noise"].to(mean.device)

    def gaussian_kl(self, mean, log_var):
        self.measured.append([plain(copied(mean)), plain(copied(log_var))])
        own = (0.4 * mean**2 - 0.2 * log_var).sum(dim=(1, 2, 3))
        return own + self.inputs["more"].to(mean.device)

    def loss(self, impl, x=None, kl_weight=None):
        return impl.autoencoder_loss(
            autoencoder=self.toy,
            x=self.inputs["x"] if x is None else x,
            kl_weight=self.inputs["kl_weight"] if kl_weight is None else kl_weight,
            generator=self.source,
            sample_posterior=self.sample_posterior,
            gaussian_kl=self.gaussian_kl,
        )


def modes_kept(toy, call) -> bool:
    """Is the network afterwards in the mode, training or evaluation, that it was in before?"""
    kept = []
    for mode in (True, False):
        toy.train(mode)
        call()
        kept.append(toy.training == mode)
    return all(kept)


def taught_in_both_modes(impl, inputs):
    lesson = Lesson(inputs)
    return {"kept": modes_kept(lesson.toy, lambda: lesson.loss(impl))}


def taught(impl, inputs):
    """One loss, its gradients, and who was asked what."""
    lesson = Lesson(inputs)
    loss = lesson.loss(impl)
    found = {"loss": plain(loss), "connected": False, "slopes": {}}
    if isinstance(loss, Tensor) and loss.requires_grad and loss.ndim == 0:
        loss.backward()
        found["connected"] = True
        for name, p in lesson.toy.named_parameters():
            found["slopes"][name] = torch.zeros_like(p) if p.grad is None else p.grad.clone()
    return {
        **found,
        "encoded": lesson.toy.encoded,
        "given": lesson.toy.given,
        "drawn": lesson.drawn,
        "sources": lesson.sources,
        "measured": lesson.measured,
        "decoded": lesson.toy.decoded,
    }


def taught_by_weights(impl, inputs):
    """The loss for several weights of the KL, with the arguments in their order."""
    losses = []
    for kl_weight in inputs["kl_weights"]:
        one = Lesson(inputs)
        losses.append(
            plain(
                impl.autoencoder_loss(
                    one.toy,
                    inputs["x"],
                    kl_weight,
                    one.source,
                    one.sample_posterior,
                    one.gaussian_kl,
                )  # fmt: skip
            )
        )
    return {"losses": losses}


def taught_sizes(impl, inputs):
    """The loss of batches, images and latents of several sizes."""
    return {"losses": [plain(Lesson(one).loss(impl)) for one in inputs["all"]]}


def taught_elsewhere(impl, inputs):
    lesson = Lesson(inputs)
    lesson.loss(impl)  # raises here if it is not written yet
    there = Lesson(inputs)
    there.toy = there.toy.to("meta")
    return {"places": [place_of(lambda: there.loss(impl, x=on_meta(inputs["x"])))]}


# 10.7


def scales(impl, inputs):
    """The scale of each set of latents."""
    return {"scales": [_number(impl.latent_scale(latents)) for latents in inputs["all"]]}


def _number(value):
    """A number as it is; a tensor by what it is."""
    return value if value is None or isinstance(value, int | float) else type(value).__name__


def scale_refused(impl, inputs):
    return {"raised": [name_of_error(lambda x=x: impl.latent_scale(x)) for x in inputs["all"]]}


def to_scale(impl, inputs):
    """Latents of images, for several scales."""
    toy = ToyAutoencoder(inputs["weights"])
    return {"latents": [impl.to_latents(toy, inputs["x"], scale) for scale in inputs["scales"]]}


def from_scale(impl, inputs):
    """Images of latents, for several scales."""
    toy = ToyAutoencoder(inputs["weights"])
    return {"images": [impl.from_latents(toy, inputs["z"], scale) for scale in inputs["scales"]]}


def to_scale_and_back(impl, inputs):
    """With the scale that was measured: the spread of the latents, and what comes back."""
    toy, x = ToyAutoencoder(inputs["weights"]), inputs["x"]
    mean = plain(toy.encode(x)[0])
    scale = impl.latent_scale(latents=mean)
    z = impl.to_latents(autoencoder=toy, x=x, scale=scale)
    back = impl.from_latents(autoencoder=toy, z=z, scale=scale)
    return {"spread": float(plain(z).std(correction=0)), "z": z, "back": plain(back)}


def to_scale_without_chance(impl, inputs):
    """Are the latents the same again, and torch's own generator left alone?"""
    toy, x = ToyAutoencoder(inputs["weights"]), inputs["x"]
    torch.manual_seed(1)
    first = impl.to_latents(toy, x, 2.0)
    again = impl.to_latents(toy, x, 2.0)
    return {
        "same": identical(plain(first), plain(again)),
        "untouched": untouched(lambda: impl.to_latents(toy, x, 2.0)),
    }


def to_scale_in_both_modes(impl, inputs):
    toy = ToyAutoencoder(inputs["weights"])
    return {
        "to_latents": modes_kept(toy, lambda: impl.to_latents(toy, inputs["x"], 2.0)),
        "from_latents": modes_kept(toy, lambda: impl.from_latents(toy, inputs["z"], 2.0)),
    }


def to_scale_graph(impl, inputs):
    """Does either hang on a graph? And are gradients on again afterwards?"""
    toy = ToyAutoencoder(inputs["weights"])
    found = {"latents": impl.to_latents(toy, inputs["x"], 2.0).requires_grad}
    found["after latents"] = torch.is_grad_enabled()
    torch.set_grad_enabled(True)
    found["images"] = impl.from_latents(toy, inputs["z"], 2.0).requires_grad
    found["after images"] = torch.is_grad_enabled()
    torch.set_grad_enabled(True)
    return found


# 10.8


def as_chapter_04(impl) -> SimpleNamespace:
    """The network under the names that chapter 04's probes know."""
    return SimpleNamespace(
        UNet=impl.ColourUNet, UNetConfig=impl.ColourUNetConfig, Blocks=impl.Blocks
    )


def colour_unet(impl, inputs):
    return ch04_unet.unet(as_chapter_04(impl), inputs)


def colour_unet_configs(impl, inputs):
    """Networks with other numbers of levels and other levels of attention."""
    given = as_chapter_04(impl)
    return {
        "found": [
            ch04_unet.unet(given, {**inputs, "config": {**inputs["config"], **changes}})
            for changes in inputs["changes"]
        ]
    }


def colour_unet_colours(impl, inputs):
    """Images of one, of four and of twelve channels."""
    given = as_chapter_04(impl)
    found = []
    for x in inputs["images"]:
        config = {**inputs["config"], "image_channels": x.shape[1]}
        found.append(ch04_unet.unet(given, {**inputs, "config": config, "x": x}))
    return {"found": found}


def colour_unet_sizes(impl, inputs):
    return ch04_unet.unet_sizes(as_chapter_04(impl), inputs)


def colour_unet_again(impl, inputs):
    return ch04_unet.unet_again(as_chapter_04(impl), inputs)


def colour_unet_gradients(impl, inputs):
    return ch04_unet.unet_gradients(as_chapter_04(impl), inputs)


def colour_unet_refused(impl, inputs):
    """What is raised when a network attends on levels that it does not have."""
    given = as_chapter_04(impl)
    batch = (inputs["x"], inputs["t"], inputs["labels"])
    return {
        "raised": [
            name_of_error(
                lambda levels=levels: ch04_unet.Built(
                    given, {**inputs["config"], "attention_levels": levels}, batch
                )
            )
            for levels in inputs["levels"]
        ]
    }
