"""Checks of chapter 03: embeddings."""

import math

import torch

from checks.probes import ch03_embeddings as probes
from checks.theory import SECONDS, require_independent_drops
from course.grading.checking import check, require, require_close, require_tensor


def parameters(sides: list[list[int]]) -> str:
    """How many numbers a module learns, in words."""
    if not sides:
        return "no parameters at all"
    sizes = ", ".join(" x ".join(map(str, part)) or "1" for part in sides)
    return f"{sum(map(math.prod, sides))} numbers, in parameters of size {sizes}"


def sides_of_each(got: dict, inputs: dict) -> list:
    """The parameters of each module; fails unless there are as many as modules were made."""
    sides, count = got["sides"], len(inputs["sizes"])
    require(len(sides) == count, f"the parameters of {count} modules", f"those of {len(sides)}")
    return sides


def require_stays_on_device(place: str, name: str) -> None:
    """Fail if the code is sure to have made tensors on the CPU beside inputs elsewhere."""
    require(
        place in ("meta", "unknown"),
        f"new tensors to be made on the device of {name}: on a GPU, code has to stay there",
        "an error: a tensor on the CPU met one on the other device"
        if place == "two devices meet"
        else "a result on the CPU",
    )


ELSEWHERE = 'on another device (torch\'s "meta", which stands in for a GPU here)'

# 3.1


def waves(t: torch.Tensor, dim: int, max_period: float = 10000.0) -> torch.Tensor:
    """The angles t * omega_i in float64, shape (B, dim / 2)."""
    half = dim // 2
    omega = max_period ** (-torch.arange(half, dtype=torch.float64) / (half - 1))
    return t.double()[:, None] * omega


def require_waves(
    embedding: torch.Tensor, t: torch.Tensor, dim: int, max_period: float = 10000.0
) -> None:
    """Fail unless these are the sines and cosines of t * omega_i, to float32 rounding."""
    e = require_tensor(embedding, "the embedding", (len(t), dim)).double()
    angles = waves(t, dim, max_period)
    error = (e - torch.cat([angles.sin(), angles.cos()], dim=1)).abs()
    # A float32 frequency is off by up to 2e-6 of itself (exponent and power, both rounded), and
    # so is the angle; twice as much is allowed. On slow waves angles are small, and so are errors.
    allowed = 1e-5 + 4e-6 * torch.cat([angles, angles], dim=1)
    wrong = error > allowed
    b, i = (int(n) for n in torch.unravel_index((error / allowed).argmax(), error.shape))
    require(
        not wrong.any(),
        "sines and cosines of t * omega_i with the t that came in, computed in float32 or better",
        f"{int(wrong.sum())} of {wrong.numel()} values off; the one furthest off came back as "
        f"{float(e[b, i]):.6g}, at t = {float(t[b]):g}, entry {i}",
    )


def first_steps(g: torch.Generator) -> dict:
    return {"t": torch.tensor([0, 1, 3, 2, 1]), "dim": 12}


FIRST_STEPS = "sinusoidal_embedding(t, dim=12), t = [0, 1, 3, 2, 1]"


@check("3.1", probe=probes.embedding, inputs=first_steps, call=FIRST_STEPS)
def test_embedding_has_a_row_for_each_step(got, ref, inputs):
    """Each step becomes one row of dim numbers"""
    require_tensor(got["embedding"], "the embedding", (5, 12))


@check("3.1", probe=probes.embedding, inputs=first_steps, call=FIRST_STEPS)
def test_embedding_begins_with_the_sines(got, ref, inputs):
    """The first half holds sines, the second half cosines"""
    row = require_tensor(got["embedding"], "the embedding", (5, 12))[0]
    require_close(row[:6], torch.zeros(6), "six sines of 0 in the first half at t = 0", "that half")
    require_close(
        row[6:], torch.ones(6), "six cosines of 0 in the second half at t = 0", "that half"
    )


@check("3.1", probe=probes.embedding, inputs=first_steps, call=FIRST_STEPS)
def test_embedding_pairs_sine_and_cosine(got, ref, inputs):
    """Entry i and entry half + i are sine and cosine of one angle"""
    e = require_tensor(got["embedding"], "the embedding", (5, 12))
    require_close(
        e[:, :6] ** 2 + e[:, 6:] ** 2,
        torch.ones(5, 6),
        "sin^2 + cos^2 = 1 for entries i and half + i of every row",
        "that sum",
    )


@check("3.1", probe=probes.embedding, inputs=first_steps, call=FIRST_STEPS)
def test_embedding_runs_from_the_fastest_to_the_slowest_wave(got, ref, inputs):
    """The first wave turns by 1 radian a step, the last by 1/max_period"""
    e = require_tensor(got["embedding"], "the embedding", (5, 12))
    # At t = 1 every angle is between 0 and pi/2, so the arctangent gives omega itself back.
    omega = torch.atan2(e[1, :6], e[1, 6:])
    require(
        math.isclose(float(omega[0]), 1, rel_tol=1e-4),
        "the first wave to turn by 1 radian from t = 0 to t = 1",
        f"a turn by {float(omega[0]):.6g} radians",
    )
    require(
        math.isclose(float(omega[-1]), 1e-4, rel_tol=1e-3),
        "the last wave to turn by 1/max_period = 1e-4 radians from t = 0 to t = 1",
        f"a turn by {float(omega[-1]):.6g} radians",
    )


@check("3.1", probe=probes.embedding, inputs=first_steps, call=FIRST_STEPS)
def test_embedding_slows_down_by_equal_ratios(got, ref, inputs):
    """From each wave to the next the frequency falls by the same factor"""
    e = require_tensor(got["embedding"], "the embedding", (5, 12))
    omega = torch.atan2(e[1, :6], e[1, 6:]).double()
    require_close(
        (omega[1:] / omega[:-1]).float(),
        torch.full((5,), 10000.0 ** (-1 / 5)),
        "omega_{i+1} / omega_i to be the same number for every i",
        "the ratio omega_{i+1} / omega_i",
        rtol=1e-3,
    )
    # Angles up to 3, float32: the other rows follow from row t = 1.
    angles = waves(inputs["t"], 12)
    target = torch.cat([angles.sin(), angles.cos()], dim=1).float()
    require_close(e, target, "angles proportional to t", "the embedding", atol=2e-5)


@check(
    "3.1",
    probe=probes.embedding_of_two_periods,
    inputs=lambda g: {"t": torch.tensor([3, 0, 1]), "dim": 10, "max_period": 50.0},
    call="sinusoidal_embedding(t, dim=10), then with max_period=50.0, t = [3, 0, 1]",
)
def test_embedding_uses_max_period(got, ref, inputs):
    """The slowest wave follows max_period"""
    angles = waves(inputs["t"], 10, 50.0)
    target = torch.cat([angles.sin(), angles.cos()], dim=1).float()
    require_close(
        got["embedding"],
        target,
        "frequencies from 1 down to 1/max_period, here 1/50",
        "the second embedding",
        atol=2e-5,
    )


@check(
    "3.1",
    probe=probes.embedding_of_periods,
    # The slowest of all waves turns by a millionth of a radian a step, far below 1/10000.
    inputs=lambda g: {
        "t": torch.tensor([0, 1, 977, 100_000]),
        "dim": 8,
        "max_periods": [1.5037, 137.9, 1e6],
    },
    call="sinusoidal_embedding(t, 8, max_period), t = [0, 1, 977, 100000], "
    "with max_period = 1.5037, 137.9 and 1e6",
)
def test_embedding_takes_any_max_period(got, ref, inputs):
    """The slowest wave may be hardly slower than the fastest, or slower than 1/10000"""
    for embedding, max_period in zip(got["embeddings"], inputs["max_periods"]):
        require_waves(embedding, inputs["t"], 8, max_period)


@check(
    "3.1",
    probe=probes.embedding,
    inputs=lambda g: {"t": torch.tensor([0.5, 2.2537, 1.0, 0.0371, 1203.3]), "dim": 6},
    call="sinusoidal_embedding(t, dim=6), t = [0.5, 2.2537, 1.0, 0.0371, 1203.3] in float32",
)
def test_embedding_of_steps_in_between(got, ref, inputs):
    """A step between two whole ones has an embedding of its own"""
    require_waves(got["embedding"], inputs["t"], 6)


@check(
    "3.1",
    probe=probes.embedding_one_by_one,
    # As many steps as the embedding is long: a wrong broadcast would go unnoticed there.
    inputs=lambda g: {"t": torch.tensor([0, 3, 1, 2]), "dim": 4},
    call="sinusoidal_embedding(t, dim=4), t = [0, 3, 1, 2] together, then each step alone",
)
def test_embedding_rows_are_independent(got, ref, inputs):
    """A step's row is the same alone and among others"""
    together = require_tensor(got["together"], "the embedding", (4, 4))
    for i, alone in enumerate(got["alone"]):
        require_tensor(alone, "the embedding of one step", (1, 4))
        require_close(
            alone[0],
            together[i],
            "the same row for a step, whichever steps are beside it",
            f"row of t = {int(inputs['t'][i])}, alone,",
            rtol=1e-3,
            atol=1e-5,
        )


@check(
    "3.1",
    probe=probes.embedding,
    # A run of 4000 steps is long, but not unheard of.
    inputs=lambda g: {
        "t": torch.cat([torch.tensor([0, 999, 3999]), torch.randint(0, 4000, (8,), generator=g)]),
        "dim": 514,
    },
    call="sinusoidal_embedding(t, dim=514), steps between 0 and 3999",
)
def test_embedding_of_late_steps(got, ref, inputs):
    """Late steps keep their place on every wave"""
    require_waves(got["embedding"], inputs["t"], 514)


@check(
    "3.1",
    probe=probes.embedding_of_bad_dims,
    inputs=lambda g: {"t": torch.tensor([0, 3]), "dims": [7, 2, 3, 129, 0, -4]},
    call="sinusoidal_embedding(t, dim), with dim = 7, 2, 3, 129, 0 and -4",
)
def test_embedding_refuses_bad_dims(got, ref, inputs):
    """An odd or too small dim is refused"""
    for dim, raised in zip(inputs["dims"], got["raised"]):
        require(
            raised == "ValueError",
            f"a ValueError for dim = {dim}, as the first lines of the exercise had it",
            f"{raised} was raised" if raised != "nothing" else "a result",
        )


@check(
    "3.1",
    probe=probes.embedding_elsewhere,
    inputs=lambda g: {"t": torch.tensor([0, 3, 1]), "dim": 14},
    call=f"sinusoidal_embedding(t, dim=14), t {ELSEWHERE}",
    seconds=SECONDS,
)
def test_embedding_stays_on_the_device_of_t(got, ref, inputs):
    """The embedding is made where t is, on whatever device"""
    require_stays_on_device(got["place"], "t")


# 3.2


def mlp_inputs(g: torch.Generator) -> dict:
    return {"time_dim": 6, "cond_dim": 10, "embedding": torch.randn(5, 6, generator=g)}


def mlp_sizes(g: torch.Generator) -> dict:
    """Sizes that grow, shrink and stay."""
    return {"sizes": [[6, 10], [10, 6], [8, 8]], "embedding": torch.randn(5, 10, generator=g)}


def mlp_sides(time_dim: int, cond_dim: int) -> list[list[int]]:
    """The parameters of two layers, as the lengths of their sides: two biases, two matrices."""
    return sorted(
        [sorted([time_dim, cond_dim]), [cond_dim], [cond_dim], [cond_dim, cond_dim]],
    )


MLP_CALL = "TimeMLP(time_dim=6, cond_dim=10)(embedding), embedding of shape (5, 6)"


@check("3.2", probe=probes.mlp_output, inputs=mlp_inputs, call=MLP_CALL)
def test_mlp_has_a_row_for_each_embedding(got, ref, inputs):
    """Each embedding becomes one row of cond_dim features"""
    require_tensor(got["out"], "the result", (5, 10))


@check(
    "3.2",
    probe=probes.mlps_in_full,
    inputs=mlp_sizes,
    call="TimeMLP(time_dim, cond_dim).parameters(), from 6 to 10, from 10 to 6 and from 8 to 8",
    free=("sides",),
)
def test_mlp_has_two_layers(got, ref, inputs):
    """Its parameters are those of two linear layers, the hidden one of length cond_dim"""
    for size, sides in zip(inputs["sizes"], sides_of_each(got, inputs)):
        require(
            sum(map(math.prod, sides)) == sum(map(math.prod, mlp_sides(*size))),
            "the numbers of W_1, b_1, W_2 and b_2 to be parameters, and no more than those, "
            f"where time_dim = {size[0]} and cond_dim = {size[1]}",
            parameters(sides),
        )


@check("3.2", probe=probes.mlp_gradients, inputs=mlp_inputs, call=MLP_CALL + ", then backward()")
def test_mlp_learns_with_every_parameter(got, ref, inputs):
    """The gradient reaches every parameter"""
    unreached = ", ".join(str(tuple(shape)) for shape in got["unreached"])
    require(
        not got["unreached"],
        "a gradient in every parameter",
        f"none in the parameters of shape {unreached}",
    )


@check(
    "3.2",
    probe=probes.mlp_one_by_one,
    # As many rows as features in the result: a wrong broadcast would go unnoticed there.
    inputs=lambda g: {"time_dim": 6, "cond_dim": 10, "embedding": torch.randn(10, 6, generator=g)},
    call="mlp(embedding) twice, embedding of shape (10, 6), then each row alone, in eval mode, and "
    "with rows that do not follow each other in memory",
)
def test_mlp_rows_are_independent(got, ref, inputs):
    """A row's result depends on that row and on nothing else"""
    first = require_tensor(got["first"], "the result", (10, 10))
    # A matrix product may add in another order when it has fewer rows: float32 rounding.
    require_close(
        got["second"], first, "the same result when called again", "the second", atol=1e-5
    )
    require_close(
        got["in eval mode"],
        first,
        "the same result after .eval() as in training",
        "the result in eval mode",
        atol=1e-5,
    )
    require_close(
        got["strided"],
        first,
        "the same result for the same embedding in a tensor that is not contiguous",
        "the result for it",
        atol=1e-5,
    )
    for i, alone in enumerate(got["alone"]):
        require_tensor(alone, "the result for one row", (1, 10))
        require_close(
            alone[0],
            first[i],
            "the same result for a row, alone and among others",
            f"the result of row {i}, alone,",
            atol=1e-5,
        )


@check(
    "3.2",
    probe=probes.mlp_sums,
    inputs=lambda g: mlp_inputs(g) | {"other": torch.randn(5, 6, generator=g)},
    call="mlp(a), mlp(b), mlp(a + b) and mlp(0)",
)
def test_mlp_is_not_linear(got, ref, inputs):
    """It can bend: it is more than a single linear layer"""
    a, b, both, zero = (
        require_tensor(got[key], "the result", (5, 10)) for key in ("a", "b", "a_plus_b", "zero")
    )
    bend = float((both + zero - a - b).abs().max())
    require(
        bend > 1e-2,
        "mlp(a + b) + mlp(0) to differ from mlp(a) + mlp(b), as no straight line's would",
        f"the same up to {bend:.1g}: the two layers are together no more than one",
    )


@check(
    "3.2",
    probe=probes.mlp_scaled,
    inputs=lambda g: mlp_inputs(g) | {"scales": [40.0, 40_000.0]},
    call="mlp(40 * embedding) and mlp(40000 * embedding)",
)
def test_mlp_ends_in_a_linear_layer(got, ref, inputs):
    """Its features can take any value, positive and negative"""
    small, large = (require_tensor(out, "the result", (5, 10)) for out in got["outs"])
    require(
        float(small.max()) > 1 and float(small.min()) < -1,
        "features far above and far below 0 from a large embedding",
        f"features between {float(small.min()):.3g} and {float(small.max()):.3g}",
    )
    growth = float(large.abs().max() / small.abs().max())
    require(
        500 < growth < 2000,
        "features that grow about 1000-fold when a large embedding grows 1000-fold",
        f"features that grow {growth:.3g}-fold",
    )


@check(
    "3.2",
    probe=probes.mlp_of_equal_parameters,
    inputs=lambda g: mlp_inputs(g) | {"value": 0.3},
    call=MLP_CALL + ", every parameter set to 0.3",
)
def test_mlp_bends_by_silu(got, ref, inputs):
    """The nonlinearity between the layers is SiLU"""
    # All hidden units are then alike, so this holds wherever and however weights are stored.
    z = inputs["value"] * (inputs["embedding"].double().sum(dim=1, keepdim=True) + 1)
    silu = z * torch.sigmoid(z)
    target = (inputs["value"] * 10 * silu + inputs["value"]).expand(5, 10).float()
    require_close(
        got["out"],
        target,
        "the first layer, SiLU, then the second layer: here 10 equal hidden units, added up",
        atol=1e-5,
    )


@check(
    "3.2",
    probe=probes.mlps_in_full,
    inputs=mlp_sizes,
    call="TimeMLP(time_dim, cond_dim)(embedding), from 6 to 10, from 10 to 6 and from 8 to 8, "
    "every parameter set to fixed numbers",
    free=("sides",),
)
def test_mlp_follows_its_formula(got, ref, inputs):
    """With known weights it computes W_2 SiLU(W_1 e + b_1) + b_2"""
    all_sides = sides_of_each(got, inputs)
    for (time_dim, cond_dim), sides, out in zip(inputs["sizes"], all_sides, got["outs"]):
        require_tensor(out, "the result", (5, cond_dim))
        if sides != mlp_sides(time_dim, cond_dim):
            continue  # stored in some other way; the checks above hold for it too
        shapes = (cond_dim, time_dim), (cond_dim, cond_dim), (cond_dim,)
        w1, w2, b = (probes.pattern(shape).double() for shape in shapes)
        hidden = inputs["embedding"][:, :time_dim].double() @ w1.T + b
        target = (hidden * torch.sigmoid(hidden)) @ w2.T + b
        require_close(
            out,
            target.float(),
            "W_2 SiLU(W_1 e + b_1) + b_2",
            f"the result from {time_dim} to {cond_dim}",
            atol=1e-5,
        )


@check(
    "3.2",
    probe=probes.mlp_at_the_start,
    inputs=mlp_inputs,
    call="TimeMLP(time_dim=6, cond_dim=10), as it is before training",
    free=("differ",),
)
def test_mlp_begins_with_differing_weights(got, ref, inputs):
    """Before training its hidden units are not all the same"""
    require(
        any(got["differ"]),
        "parameters that begin with differing values: units that begin alike stay alike, "
        "because they all get the same gradient",
        "one and the same value all through each parameter",
    )


@check(
    "3.2",
    probe=probes.mlp_elsewhere,
    inputs=mlp_inputs,
    call=f"TimeMLP(time_dim=6, cond_dim=10)(embedding), both {ELSEWHERE}",
    seconds=SECONDS,
)
def test_mlp_stays_on_the_device_of_its_input(got, ref, inputs):
    """It works where its weights and its input are, on whatever device"""
    require_stays_on_device(got["place"], "the embedding")


# 3.3


def class_inputs(g: torch.Generator) -> dict:
    """Six classes, so label 6 is the null label; all are there, some twice."""
    labels = torch.tensor([3, 6, 0, 5, 1, 3, 4, 6, 2])
    return {"num_classes": 6, "cond_dim": 4, "labels": labels}


def shuffled_labels(g: torch.Generator) -> dict:
    """The same labels in another order: vectors that were made up beforehand do not fit them."""
    inputs = class_inputs(g)
    return inputs | {"labels": inputs["labels"][torch.randperm(9, generator=g)]}


CLASS_CALL = "ClassEmbedding(num_classes=6, cond_dim=4)(labels)"


@check(
    "3.3",
    probe=probes.class_vectors,
    inputs=lambda g: {"num_classes": 6, "cond_dim": 4, "labels": torch.tensor([3, 0, 5, 1, 3])},
    call=f"{CLASS_CALL}, labels = [3, 0, 5, 1, 3]",
)
def test_classes_become_vectors(got, ref, inputs):
    """Each class label becomes one row of cond_dim numbers"""
    require_tensor(got["out"], "the result", (5, 4))


@check(
    "3.3",
    probe=probes.class_vectors,
    inputs=class_inputs,
    call=f"{CLASS_CALL}, labels = [3, 6, 0, 5, 1, 3, 4, 6, 2]",
)
def test_null_label_is_a_label(got, ref, inputs):
    """The null label num_classes has a vector too"""
    require_tensor(got["out"], "the result", (9, 4))


@check(
    "3.3",
    probe=probes.class_one_by_one,
    inputs=shuffled_labels,
    call=f"{CLASS_CALL}, labels 0 ... 6 together, then each label alone",
)
def test_labels_have_vectors_of_their_own(got, ref, inputs):
    """Equal labels get equal vectors, different labels different ones"""
    together = require_tensor(got["together"], "the result", (9, 4))
    labels = inputs["labels"].tolist()
    require(
        got["steady"], "the same vectors in every call", "other vectors in some of 60 equal calls"
    )
    require_close(
        got["in eval mode"],
        together,
        "the same vectors after .eval() as in training",
        "the result in eval mode",
    )
    for i, alone in enumerate(got["alone"]):
        require_tensor(alone, "the result for one label", (1, 4))
        require_close(
            alone[0],
            together[i],
            "the same vector for a label, alone and among others",
            f"the vector of label {labels[i]}, alone,",
        )
    for i, a in enumerate(labels):
        for j, b in enumerate(labels[:i]):
            distance = float((together[i] - together[j]).abs().max())
            if a == b:
                require(distance < 1e-5, f"one vector for both labels {a}", "two different vectors")
            else:
                require(
                    distance > 1e-3,
                    f"different vectors for labels {b} and {a} (6 is the null label)",
                    "the same vector for both",
                )


@check(
    "3.3",
    probe=probes.class_sizes,
    inputs=lambda g: {"sizes": [[6, 4], [2, 5]]},
    call="ClassEmbedding(num_classes, cond_dim).parameters(), 6 classes of length 4, then 2 of 5",
    free=("sides",),
)
def test_table_has_one_row_more_than_classes(got, ref, inputs):
    """The parameters are one vector per class and one for the null label"""
    for (num_classes, cond_dim), sides in zip(inputs["sizes"], sides_of_each(got, inputs)):
        require(
            sum(map(math.prod, sides)) == (num_classes + 1) * cond_dim,
            f"{num_classes} vectors for the classes and 1 for the null label, of {cond_dim} "
            "learned numbers each",
            parameters(sides),
        )


@check(
    "3.3",
    probe=probes.class_gradients,
    inputs=lambda g: class_inputs(g) | {"labels": torch.arange(7)},
    call=f"{CLASS_CALL}, labels = [0, 1, 2, 3, 4, 5, 6], then the gradient of each row",
)
def test_each_label_learns_its_own_vector(got, ref, inputs):
    """The gradient of a label moves that label's vector, all of it and nothing else"""
    shared = got["shared"]
    for label in range(7):
        name = f"label {label}" + (", the null label," if label == 6 else "")
        require(
            int(shared[label, label]) == 4,
            f"{name} to move the 4 numbers of its vector when it is learned from",
            f"{int(shared[label, label])} numbers moved",
        )
    for label in range(7):
        for other in range(label):
            require(
                int(shared[label, other]) == 0,
                f"labels {other} and {label} to have no learned number in common",
                f"{int(shared[label, other])} numbers that both of them move",
            )
    lengths = got["lengths"]
    require(
        all(math.isclose(length, lengths[0], rel_tol=1e-3) for length in lengths),
        "every label's vector, the null label's among them, to move as far as label 0's when it "
        "is learned from",
        "gradients of length " + ", ".join(f"{length:.3g}" for length in lengths),
    )


@check(
    "3.3",
    probe=probes.classes_of_sizes,
    inputs=lambda g: {"sizes": [[12, 3], [2, 160], [4, 5], [1000, 8]]},
    call="ClassEmbedding(num_classes, cond_dim)(labels), labels = [0, ..., num_classes], with "
    "12 classes of length 3, 2 of length 160, 4 of length 5 and 1000 of length 8",
)
def test_classes_of_any_number_and_length(got, ref, inputs):
    """As many classes as asked for have vectors of their own, as long as asked for"""
    for (num_classes, cond_dim), out in zip(inputs["sizes"], got["outs"]):
        require_tensor(out, f"the result for {num_classes} classes", (num_classes + 1, cond_dim))
        # The check sets all parameters, so vectors are only alike if labels share them.
        apart = torch.cdist(out, out, compute_mode="donot_use_mm_for_euclid_dist")
        alike = int((apart < 1e-3).sum()) - len(out)
        require(
            alike == 0,
            f"a vector of its own for each of the labels 0 ... {num_classes}",
            f"the same vector in {alike // 2} pairs of labels",
        )


@check(
    "3.3",
    probe=probes.class_scaled,
    inputs=lambda g: class_inputs(g) | {"scales": [1.0, 100.0, -1.0]},
    call=f"{CLASS_CALL}, then again with all parameters times 100, and times -1",
)
def test_vectors_are_handed_out_as_learned(got, ref, inputs):
    """What is learned is what comes out: nothing bends the vectors or cuts them short"""
    once, large, negative = (require_tensor(out, "the result", (9, 4)) for out in got["outs"])
    require_close(
        large,
        100 * once,
        "100 times the vectors when all parameters are 100 times as large",
        atol=1e-5,
    )
    require_close(
        negative, -once, "the negative vectors when all parameters change sign", atol=1e-5
    )


@check(
    "3.3",
    probe=probes.class_elsewhere,
    inputs=class_inputs,
    call=f"{CLASS_CALL}, both {ELSEWHERE}",
    seconds=SECONDS,
)
def test_classes_stay_on_the_device_of_the_labels(got, ref, inputs):
    """It works where its vectors and the labels are, on whatever device"""
    require_stays_on_device(got["place"], "the labels")


# 3.4


def some_labels(g: torch.Generator) -> dict:
    """Labels 0 ... 9, the null label 12 among them. It is neither 10 nor one above the others."""
    labels = torch.randint(0, 10, (39,), generator=g)
    labels[torch.tensor([4, 17])] = 12
    labels[torch.tensor([0, 38])] = torch.tensor([3, 5])  # null labels at neither end
    return {"labels": labels, "p": 0.5, "null_label": 12, "seed": 3}


SOME_CALL = "drop_labels(labels, p=0.5, null_label=12, generator), 39 labels"


@check("3.4", probe=probes.dropped_once, inputs=some_labels, call=SOME_CALL)
def test_dropping_keeps_the_batch(got, ref, inputs):
    """There are as many labels as before, of the same type"""
    require_tensor(got["labels"], "the labels", (39,), torch.int64)


@check("3.4", probe=probes.dropped_once, inputs=some_labels, call=SOME_CALL)
def test_dropped_labels_become_the_null_label(got, ref, inputs):
    """Each label is either what it was or the null label"""
    new = require_tensor(got["labels"], "the labels", (39,), torch.int64)
    strange = (new != inputs["labels"]) & (new != 12)
    where = int(strange.long().argmax())
    require(
        not strange.any(),
        "every label unchanged or replaced by null_label, here 12",
        f"{int(strange.sum())} that are neither: the first was "
        f"{int(inputs['labels'][where])} and became {int(new[where])}",
    )


@check(
    "3.4",
    probe=probes.dropped_at_the_ends,
    inputs=some_labels,
    call="drop_labels(labels, p, null_label=12, generator), with p = 0.0 and p = 1.0",
)
def test_dropping_none_and_all(got, ref, inputs):
    """p = 0 drops no label and p = 1 drops all"""
    for name, before, p in (
        ("none", inputs["labels"], 0),
        ("all", inputs["labels"], 1),
        ("all_of_one", inputs["labels"][:1], 1),
    ):
        new = require_tensor(got[name], "the labels", tuple(before.shape), torch.int64)
        target = torch.full_like(before, 12) if p else before
        wrong = int((new != target).sum())
        require(
            wrong == 0,
            f"{'all' if p else 'none'} of {len(before)} labels dropped when p = {p}",
            f"{wrong} labels that are not as they should be",
        )


@check(
    "3.4",
    probe=probes.dropped_to_any_null,
    # The null label below all others, and among them.
    inputs=lambda g: {
        "labels": torch.tensor([3, 8, 6, 4, 7, 6, 1]),
        "null_labels": [0, 5],
        "seed": 3,
    },
    call="drop_labels(labels, p, null_label, generator), labels = [3, 8, 6, 4, 7, 6, 1], p = 0.0 "
    "and p = 1.0, with null_label = 0 and then 5",
)
def test_any_number_can_be_the_null_label(got, ref, inputs):
    """The null label may be any number, 0 too"""
    before = inputs["labels"]
    for null, none, every in zip(inputs["null_labels"], got["none"], got["all"]):
        for p, new, target in ((0.0, none, before), (1.0, every, torch.full_like(before, null))):
            require_tensor(new, "the labels", (7,), torch.int64)
            require(
                torch.equal(new, target),
                f"{'all' if p else 'none'} of the labels replaced by {null} when p = {p}",
                f"{new.tolist()}",
            )


@check(
    "3.4",
    probe=probes.dropped_beside_the_old,
    inputs=lambda g: some_labels(g) | {"ps": [0.0, 0.5, 1.0]},
    call="drop_labels(labels, p, null_label=12, generator), with p = 0.0, 0.5 and 1.0",
)
def test_the_new_labels_are_a_tensor_of_their_own(got, ref, inputs):
    """The result is a new tensor, even where no label is dropped"""
    for p, same in zip(inputs["ps"], got["same memory"]):
        require(
            not same,
            f"a new tensor when p = {p}, so that changing it later leaves the old labels alone",
            "the tensor that was handed in, or one that shares its memory",
        )


@check(
    "3.4",
    probe=probes.dropped_with_generators,
    inputs=some_labels,
    call="drop_labels(labels, p=0.5, null_label=12, generator), with generators of two seeds",
)
def test_dropping_draws_from_the_generator(got, ref, inputs):
    """Chance comes from the generator that is handed in"""
    require(
        got["repeats"],
        "the same labels dropped when the generator has the same seed again",
        "other labels dropped: the draw comes from somewhere else",
    )
    # Two draws for 37 labels agree by chance once in 2^37 times, and here are 40 draws.
    require(
        got["moves_on"],
        "other labels dropped in the next call with one generator",
        "the same labels dropped again, as if each call began afresh",
    )
    require(
        got["follows_the_seed"],
        "other labels dropped when the generator has another seed",
        "the same labels dropped",
    )
    require(
        got["global_kept"],
        "torch's own generator, the one of torch.manual_seed, to stay as it was",
        "that one changed: it was seeded or drawn from",
    )


def equal_labels(g: torch.Generator) -> dict:
    """Ten times the same digit; 1500 calls with one generator."""
    return {
        "labels": torch.full((10,), 3),
        "p": 0.3,
        "null_label": 11,
        "seed": int(torch.randint(0, 1000, (1,), generator=g)),
        "calls": 1500,
    }


@check(
    "3.4",
    probe=probes.dropped_counts,
    inputs=equal_labels,
    call="drop_labels(labels, p=0.3, null_label=11, generator), 1500 times, labels = ten 3s",
    free=("counts",),
)
def test_each_label_decides_for_itself(got, ref, inputs):
    """Of ten equal labels now these are dropped, now those"""
    counts = got["counts"]
    require(
        counts not in ([0], [10], [0, 10]),
        "calls that drop some of the ten labels and keep the others",
        "all ten dropped or all ten kept, in every call",
    )
    # Right code drops 1, 2, 3, 4 and 5 of ten with probabilities between 0.1 and 0.27 each.
    require(
        len(counts) >= 5,
        "a number of dropped labels that is left to chance, as with ten coins",
        f"no other numbers of dropped labels than {', '.join(map(str, counts))} in 1500 calls",
    )


@check(
    "3.4",
    probe=probes.dropped_by_label,
    # 2000 of each of 0 ... 10, where 10 is the null label, shuffled.
    inputs=lambda g: {
        "labels": (torch.randperm(22000, generator=g) % 11),
        "p": 0.15,
        "null_label": 10,
        "seed": int(torch.randint(0, 1000, (1,), generator=g)),
    },
    call="drop_labels(labels, p=0.15, null_label=10, generator), 2000 of each label from 0 to 10",
)
def test_the_share_of_dropped_labels(got, ref, inputs):
    """A share p of the labels is dropped, and of each class the same"""
    require(
        got["shares"][10] == 1,
        "labels that are the null label already to stay so",
        f"{1 - got['shares'][10]:.0%} of them turned into something else",
    )
    shares = got["shares"][:10]
    overall = sum(shares) / 10
    # 20000 draws: standard deviation sqrt(0.15 * 0.85 / 20000) = 0.0025. Six of them.
    require(
        abs(overall - 0.15) < 0.0152,
        "about 15 % of the labels dropped",
        f"{overall:.1%} of 20000 dropped",
    )
    # 2000 draws: 0.008. Six of them.
    worst = max(range(10), key=lambda label: abs(shares[label] - 0.15))
    require(
        abs(shares[worst] - 0.15) < 0.048,
        "about 15 % of each class dropped",
        f"{shares[worst]:.1%} of the labels {worst} dropped",
    )


@check(
    "3.4",
    probe=probes.dropped_shares,
    inputs=lambda g: {
        "labels": torch.randint(0, 10, (40000,), generator=g),
        "ps": [0.0, 0.0004, 0.9996, 1.0],
        "null_label": 10,
        "seed": int(torch.randint(0, 1000, (1,), generator=g)),
    },
    call="drop_labels(labels, p, null_label=10, generator), 40000 labels, with p = 0.0, 0.0004, "
    "0.9996 and 1.0",
)
def test_small_and_large_chances_are_kept(got, ref, inputs):
    """A p near 0 or near 1 is kept as it is, not rounded"""
    # Of 40000 labels 16 are dropped, or kept, on average. By chance it is none once in nine million
    # times, and more than 44 more rarely still.
    for p, share in zip(inputs["ps"], got["shares"]):
        certain = p in (0.0, 1.0)
        require(
            share == p if certain else 0 < abs(share - round(p)) < 45 / 40000,
            f"{'' if certain else 'about '}{p:.2%} of the labels dropped when p = {p}",
            f"{share:.3%} of 40000 dropped",
        )


@check(
    "3.4",
    probe=probes.dropped_in_small_batches,
    inputs=lambda g: equal_labels(g) | {"p": 0.5},
    call="drop_labels(labels, p=0.5, null_label=11, generator), 1500 times with labels = [3], "
    "and 1500 times with labels = [3, 3]",
)
def test_small_batches_are_left_to_chance(got, ref, inputs):
    """One label alone, and both of two, are dropped as often as chance has it"""
    # A share of 1500 draws has standard deviation of at most sqrt(1/4 / 1500) = 0.013: six of them.
    for right, shares in zip(([0.5, 0.5], [0.25, 0.5, 0.25]), got["shares"]):
        for dropped, (share, target) in enumerate(zip(shares, right)):
            require(
                abs(share - target) < 0.078,
                f"{dropped} of {len(right) - 1} labels dropped in about {target:.0%} of the calls",
                f"{share:.1%}",
            )


@check(
    "3.4",
    probe=probes.dropped_spread,
    inputs=equal_labels,
    call="drop_labels(labels, p=0.3, null_label=11, generator), 1500 times, labels = ten 3s",
)
def test_labels_are_dropped_independently(got, ref, inputs):
    """Every place in the batch has the same chance, whatever happens to its neighbours"""
    require_independent_drops(got, "labels")


@check(
    "3.4",
    probe=probes.dropped_at_zero,
    # With this seed torch.rand(1000) has an exact 0, at place 827; one draw in 2^24 is one. Right
    # code drops none and all with every seed, so should torch's draws change, nothing is wrong.
    inputs=lambda g: {
        "labels": torch.randint(0, 10, (1000,), generator=g),
        "null_label": 10,
        "seed": 11993,
    },
    call="drop_labels(labels, p, null_label=10, generator), 1000 labels, with p = 0.0 and p = 1.0, "
    "and a 0 among the uniform numbers",
)
def test_dropping_none_and_all_at_a_draw_of_zero(got, ref, inputs):
    """p = 0 drops no label and p = 1 drops all, even where the uniform number is exactly 0"""
    before = inputs["labels"]
    none = require_tensor(got["none"], "the labels", (1000,), torch.int64)
    wrong = int((none != before).sum())
    require(wrong == 0, "none of 1000 labels dropped when p = 0", f"{wrong} of them dropped")
    every = require_tensor(got["all"], "the labels", (1000,), torch.int64)
    wrong = int((every != 10).sum())
    require(wrong == 0, "all of 1000 labels dropped when p = 1", f"{wrong} of them kept")


@check(
    "3.4",
    probe=probes.dropped_elsewhere,
    inputs=some_labels,
    call=f"{SOME_CALL}, labels and generator {ELSEWHERE}",
    seconds=SECONDS,
)
def test_dropping_stays_on_the_device_of_the_labels(got, ref, inputs):
    """The new labels are made where the labels are, on whatever device"""
    require_stays_on_device(got["place"], "the labels")


NO_PROBABILITIES = [1.5, -0.1, 1 + 1e-9, -1e-9, math.inf, math.nan]


@check(
    "3.4",
    probe=probes.dropped_with_bad_p,
    inputs=lambda g: some_labels(g) | {"ps": NO_PROBABILITIES},
    call="drop_labels(labels, p, ...), with p = 1.5, -0.1, 1 + 1e-9, -1e-9, inf and nan",
)
def test_dropping_refuses_what_is_no_probability(got, ref, inputs):
    """A p outside 0 ... 1 is refused"""
    for p, raised in zip(NO_PROBABILITIES, got["raised"]):
        require(
            raised == "ValueError",
            f"a ValueError for p = {p}, as the first lines of the exercise had it",
            f"{raised} was raised" if raised != "nothing" else "a result",
        )
