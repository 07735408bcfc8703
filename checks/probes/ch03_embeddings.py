"""Probes of chapter 03: they call the code under test and report what it returns."""

import contextlib
import math

import torch

from checks.probes.toys import (
    GeneratorElsewhere,
    generator,
    name_of_error,
    place_of,
    plain,
    strided,
)

# By torch, which takes seconds: for the meta device.
IMPORTED_AT_FIRST_USE = ("torch._dynamo",)

# Values for parameters. They depend on a parameter's shape and on nothing else, so it does not
# matter what the layers are called, in which order they are made and how they are initialised.


def pattern(shape, ordinal=0):
    """Fixed, irregular values for a parameter of this shape.

    Sides of length 1 do not count, and a matrix gets the transpose of what the transposed shape
    gets (a square one is symmetric). So weights may be stored as (out, in), (in, out) or as those
    of a 1 x 1 convolution, and the function that the network computes is the same.
    """
    sides = [side for side in shape if side != 1]
    seed = 7 + ordinal
    for side in sorted(sides):
        seed = 101 * seed + side
    g = torch.Generator().manual_seed(seed)
    values = torch.randn(sorted(sides), generator=g)
    if len(sides) == 2:
        values = values / math.prod(sides) ** 0.25
        if sides[0] == sides[1]:
            values = (values + values.T) / math.sqrt(2)
        elif sides[0] > sides[1]:
            values = values.T
    return values.reshape(shape)


def set_parameters(module, value=pattern, tell_apart=False):
    """Overwrite each parameter by value(its shape).

    With `tell_apart`, parameters of one shape get different values.
    """
    seen = {}
    with torch.no_grad():
        for parameter in module.parameters():
            shape = tuple(parameter.shape)
            seen[shape] = seen.get(shape, -1) + 1
            parameter.copy_(value(shape, seen[shape]) if tell_apart else value(shape))


def sides_of(module):
    """The lengths of each parameter's sides, without order and without sides of length 1."""
    return sorted(sorted(side for side in p.shape if side != 1) for p in module.parameters())


def gradients(module, loss):
    """The gradient of each parameter, flat; zeros where none arrives."""
    parameters = list(module.parameters())
    learned = [p for p in parameters if p.requires_grad]
    found = [None] * len(learned)
    if learned and loss.requires_grad:
        found = torch.autograd.grad(loss, learned, allow_unused=True)
    by_id = {id(p): grad for p, grad in zip(learned, found)}
    result = []
    for p in parameters:
        grad = by_id.get(id(p))
        if grad is None:
            grad = torch.zeros_like(p)
        result.append((grad.to_dense() if grad.is_sparse else grad).detach().flatten())
    return result


# 3.1


def embedding(impl, inputs):
    return {"embedding": impl.sinusoidal_embedding(**inputs)}


def embedding_of_two_periods(impl, inputs):
    t, dim = inputs["t"], inputs["dim"]
    return {
        "default": impl.sinusoidal_embedding(t, dim),
        "embedding": impl.sinusoidal_embedding(t, dim, max_period=inputs["max_period"]),
    }


def embedding_of_periods(impl, inputs):
    t, dim = inputs["t"], inputs["dim"]
    return {"embeddings": [impl.sinusoidal_embedding(t, dim, p) for p in inputs["max_periods"]]}


def embedding_one_by_one(impl, inputs):
    t, dim = inputs["t"], inputs["dim"]
    alone = [impl.sinusoidal_embedding(step, dim) for step in t.split(1)]
    return {"together": impl.sinusoidal_embedding(t, dim), "alone": alone}


def embedding_of_bad_dims(impl, inputs):
    t = inputs["t"]
    return {
        "raised": [
            name_of_error(lambda d=d: impl.sinusoidal_embedding(t, d)) for d in inputs["dims"]
        ]
    }


def embedding_elsewhere(impl, inputs):
    t, dim = inputs["t"], inputs["dim"]
    impl.sinusoidal_embedding(t, dim)  # raises here if it is not written yet
    return {"place": place_of(lambda: impl.sinusoidal_embedding(t.to("meta"), dim))}


# 3.2


def make_mlp(impl, inputs, value=pattern):
    mlp = impl.TimeMLP(time_dim=inputs["time_dim"], cond_dim=inputs["cond_dim"])
    mlp(inputs["embedding"])  # lazy layers get their shapes here
    # Two biases may well be alike. Many parameters of one shape are units made one by one, and
    # those must not be.
    tell_apart = value is pattern and len(list(mlp.parameters())) > 4
    set_parameters(mlp, value, tell_apart)
    torch.manual_seed(5)  # code that draws random numbers here draws the same ones each time
    return mlp


def mlp_output(impl, inputs):
    return {"out": plain(make_mlp(impl, inputs)(inputs["embedding"]))}


def mlps_in_full(impl, inputs):
    """Modules of several sizes: their parameters, and what they make of as many waves."""
    sides, outs = [], []
    for time_dim, cond_dim in inputs["sizes"]:
        embedding = inputs["embedding"][:, :time_dim].clone()
        size = {"time_dim": time_dim, "cond_dim": cond_dim, "embedding": embedding}
        mlp = make_mlp(impl, size)
        sides.append(sides_of(mlp))
        outs.append(plain(mlp(embedding)))
    return {"sides": sides, "outs": outs}


def mlp_gradients(impl, inputs):
    mlp = make_mlp(impl, inputs)
    out = mlp(inputs["embedding"])
    found = gradients(mlp, (out * pattern(tuple(out.shape))).sum())
    shapes = [list(p.shape) for p in mlp.parameters()]
    return {"unreached": sorted(s for s, grad in zip(shapes, found) if not grad.abs().max() > 0)}


def mlp_one_by_one(impl, inputs):
    mlp, embedding = make_mlp(impl, inputs), inputs["embedding"]
    return {
        "first": plain(mlp(embedding)),
        "second": plain(mlp(embedding)),
        "alone": [plain(mlp(row)) for row in embedding.split(1)],
        "strided": plain(mlp(strided(embedding))),
        "in eval mode": plain(mlp.eval()(embedding)),
    }


def mlp_sums(impl, inputs):
    mlp, a, b = make_mlp(impl, inputs), inputs["embedding"], inputs["other"]
    outs = mlp(a), mlp(b), mlp(a + b), mlp(torch.zeros_like(a))
    return dict(zip(("a", "b", "a_plus_b", "zero"), map(plain, outs)))


def mlp_scaled(impl, inputs):
    mlp = make_mlp(impl, inputs)
    return {"outs": [plain(mlp(s * inputs["embedding"])) for s in inputs["scales"]]}


def mlp_of_equal_parameters(impl, inputs):
    mlp = make_mlp(impl, inputs, lambda shape: torch.full(shape, inputs["value"]))
    return {"out": plain(mlp(inputs["embedding"]))}


def mlp_at_the_start(impl, inputs):
    mlp = impl.TimeMLP(inputs["time_dim"], inputs["cond_dim"])
    mlp(inputs["embedding"])
    return {"differ": [bool((p != p.flatten()[0]).any()) for p in mlp.parameters()]}


def mlp_elsewhere(impl, inputs):
    mlp, embedding = make_mlp(impl, inputs), inputs["embedding"]
    return {"place": place_of(lambda: mlp.to("meta")(embedding.to("meta")))}


# 3.3


def make_classes(impl, inputs):
    classes = impl.ClassEmbedding(num_classes=inputs["num_classes"], cond_dim=inputs["cond_dim"])
    classes(inputs["labels"])  # lazy layers get their shapes here
    set_parameters(classes, tell_apart=True)  # each class may have a parameter of its own
    return classes


def class_vectors(impl, inputs):
    return {"out": plain(make_classes(impl, inputs)(inputs["labels"]))}


def class_sizes(impl, inputs):
    found = []
    for num_classes, cond_dim in inputs["sizes"]:
        classes = impl.ClassEmbedding(num_classes, cond_dim)
        with contextlib.suppress(IndexError):  # a table that is too small has its sizes too
            classes(torch.arange(num_classes + 1))  # lazy layers get their shapes here
        found.append(sides_of(classes))
    return {"sides": found}


def class_one_by_one(impl, inputs):
    classes, labels = make_classes(impl, inputs), inputs["labels"]
    torch.manual_seed(5)  # code that draws random numbers here draws the same ones each time
    together = plain(classes(labels))
    return {
        "together": together,
        "steady": all(torch.equal(plain(classes(labels)), together) for _ in range(60)),
        "alone": [plain(classes(label)) for label in labels.split(1)],
        "in eval mode": plain(classes.eval()(labels)),
    }


def classes_of_sizes(impl, inputs):
    """Of tables of several sizes: all labels' vectors."""
    outs = []
    for num_classes, cond_dim in inputs["sizes"]:
        labels = torch.arange(num_classes + 1)
        size = {"num_classes": num_classes, "cond_dim": cond_dim, "labels": labels}
        outs.append(plain(make_classes(impl, size)(labels)))
    return {"outs": outs}


def class_gradients(impl, inputs):
    """How many parameter entries each pair of labels moves together, and each label how far."""
    classes, labels = make_classes(impl, inputs), inputs["labels"]
    moved, lengths = [], []
    for i in range(len(labels)):
        out = classes(labels)[i]
        # Weights between 1 and 2: no gradient is 0 by accident.
        loss = (out * torch.linspace(1, 2, len(out))).sum()
        grad = torch.cat(gradients(classes, loss) or [torch.zeros(0)])
        moved.append(grad != 0)
        lengths.append(float(grad.norm()))
    moved = torch.stack(moved).float()
    return {"shared": (moved @ moved.T).long(), "lengths": lengths}


def class_scaled(impl, inputs):
    """The vectors when all parameters are multiplied by a number."""
    outs = []
    for scale in inputs["scales"]:
        classes = make_classes(impl, inputs)
        with torch.no_grad():
            for parameter in classes.parameters():
                parameter.mul_(scale)
        outs.append(plain(classes(inputs["labels"])))
    return {"outs": outs}


def class_elsewhere(impl, inputs):
    classes, labels = make_classes(impl, inputs), inputs["labels"]
    return {"place": place_of(lambda: classes.to("meta")(labels.to("meta")))}


# 3.4


def dropped_once(impl, inputs):
    labels, p, null = inputs["labels"], inputs["p"], inputs["null_label"]
    g = generator(inputs["seed"])
    return {"labels": impl.drop_labels(labels=labels, p=p, null_label=null, generator=g)}


def dropped_to_any_null(impl, inputs):
    """None and all dropped, with several numbers for the null label."""

    def drop(p, null):
        return impl.drop_labels(inputs["labels"], p, null, generator(inputs["seed"]))

    nulls = inputs["null_labels"]
    return {"none": [drop(0.0, n) for n in nulls], "all": [drop(1.0, n) for n in nulls]}


def dropped_beside_the_old(impl, inputs):
    """Do the new labels lie where the old ones do?"""
    labels, null = inputs["labels"], inputs["null_label"]
    found = []
    for p in inputs["ps"]:
        new = impl.drop_labels(labels, p, null, generator(inputs["seed"]))
        place = new.untyped_storage().data_ptr() if isinstance(new, torch.Tensor) else None
        found.append(place == labels.untyped_storage().data_ptr())
    return {"same memory": found}


def dropped_at_the_ends(impl, inputs):
    labels, null = inputs["labels"], inputs["null_label"]
    return {
        "none": impl.drop_labels(labels, 0.0, null, generator(inputs["seed"])),
        "all": impl.drop_labels(labels, 1.0, null, generator(inputs["seed"])),
        "all_of_one": impl.drop_labels(labels[:1], 1.0, null, generator(inputs["seed"])),
    }


def dropped_with_generators(impl, inputs):
    labels, p, null, seed = (inputs[key] for key in ("labels", "p", "null_label", "seed"))

    def drop(g):
        return impl.drop_labels(labels, p, null, g)

    torch.manual_seed(1)
    first = drop(generator(seed))
    g = generator(seed)
    # Many, because code that drops whole batches draws the same by chance every other time.
    later = [drop(g) for _ in range(40)]
    torch.manual_seed(2)  # must not matter
    again = drop(generator(seed))
    others = [drop(generator(seed + 1 + i)) for i in range(40)]
    torch.manual_seed(3)
    state = torch.get_rng_state()
    drop(g)
    return {
        "global_kept": torch.equal(torch.get_rng_state(), state),
        "repeats": torch.equal(first, again),
        "moves_on": not all(torch.equal(first, new) for new in later[1:]),
        "follows_the_seed": not all(torch.equal(first, new) for new in others),
    }


def _masks(impl, inputs):
    """Which labels of a small batch are dropped, call after call with one generator."""
    labels, p, null = inputs["labels"], inputs["p"], inputs["null_label"]
    g = generator(inputs["seed"])
    calls = [impl.drop_labels(labels, p, null, g) for _ in range(inputs["calls"])]
    return torch.stack(calls) == null  # (calls, B)


def dropped_counts(impl, inputs):
    return {"counts": sorted(set(_masks(impl, inputs).sum(dim=1).tolist()))}


def dropped_spread(impl, inputs):
    masks = _masks(impl, inputs).double()
    return {"place": masks.mean(dim=0), "variance": float(masks.sum(dim=1).var())}


def dropped_by_label(impl, inputs):
    labels, p, null = inputs["labels"], inputs["p"], inputs["null_label"]
    new = impl.drop_labels(labels, p, null, generator(inputs["seed"]))
    shares = [float((new[labels == label] == null).double().mean()) for label in range(null + 1)]
    return {"shares": shares}


def dropped_shares(impl, inputs):
    """The share of dropped labels, for several p."""
    labels, null, g = inputs["labels"], inputs["null_label"], generator(inputs["seed"])
    masks = [impl.drop_labels(labels, p, null, g) == null for p in inputs["ps"]]
    return {"shares": [float(mask.double().mean()) for mask in masks]}


def dropped_in_small_batches(impl, inputs):
    """How often 0, 1, ... labels of a batch are dropped, for batches of one and of two."""
    shares = []
    for size in (1, 2):
        few = {**inputs, "labels": inputs["labels"][:size]}
        counts = _masks(impl, few).sum(dim=1)
        shares.append([float((counts == k).double().mean()) for k in range(size + 1)])
    return {"shares": shares}


def dropped_at_zero(impl, inputs):
    """Drop none, then all, with draws among which is an exact 0."""
    labels, null = inputs["labels"], inputs["null_label"]
    none = impl.drop_labels(labels, 0.0, null, generator(inputs["seed"]))
    return {"none": none, "all": impl.drop_labels(labels, 1.0, null, generator(inputs["seed"]))}


def dropped_elsewhere(impl, inputs):
    labels, p, null = inputs["labels"], inputs["p"], inputs["null_label"]
    impl.drop_labels(labels, p, null, generator(inputs["seed"]))  # raises here if not written yet
    g = GeneratorElsewhere().manual_seed(inputs["seed"])
    return {"place": place_of(lambda: impl.drop_labels(labels.to("meta"), p, null, g))}


def dropped_with_bad_p(impl, inputs):
    labels, null = inputs["labels"], inputs["null_label"]

    def drop(p):
        return impl.drop_labels(labels, p, null, generator(inputs["seed"]))

    return {"raised": [name_of_error(lambda p=p: drop(p)) for p in inputs["ps"]]}
