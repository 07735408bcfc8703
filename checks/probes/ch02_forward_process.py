"""Probes of chapter 02: they call the code under test and report what it returns."""

import torch

from checks.probes.toys import on_meta, place_of

# By torch, which takes seconds: for the meta device.
IMPORTED_AT_FIRST_USE = ("torch._dynamo",)

TABLES = (
    "betas",
    "alphas",
    "alpha_bars",
    "alpha_bars_prev",
    "posterior_variance",
    "posterior_x0_coef",
    "posterior_xt_coef",
)


def gather(impl, inputs):
    return {"picked": impl.gather_at(**inputs)}


def gather_for_many(impl, inputs):
    """The same lookup for images with different numbers of axes."""
    values, t = inputs["values"], inputs["t"]
    return {"picked": [impl.gather_at(values, t, ndim) for ndim in inputs["ndims"]]}


def gather_elsewhere(impl, inputs):
    values, t = inputs["values"].to("meta"), inputs["t"].to("meta")
    return {"devices": [place_of(lambda: impl.gather_at(values, t, inputs["ndim"]))]}


# q_step, q_sample and predict_x0 take images, t, eps and a table, in this order.

STEP = ("x_prev", "t", "eps", "betas")
JUMP = ("x0", "t", "eps", "alpha_bars")
BACK = ("x_t", "t", "eps", "alpha_bars")


def q_step(impl, inputs):
    return {"x_t": impl.q_step(**_named(STEP, inputs))}


def q_step_parts(impl, inputs):
    return _parts(impl.q_step, *_named(STEP, inputs).values())


def q_step_twice(impl, inputs):
    return _twice(impl.q_step, *_named(STEP, inputs).values())


def q_step_one_by_one(impl, inputs):
    return _one_by_one(impl.q_step, *_named(STEP, inputs).values())


def q_step_in_float64(impl, inputs):
    return _in_float64(impl.q_step, *_named(STEP, inputs).values())


def q_step_chain(impl, inputs):
    """All steps in a row: what each of them returned."""
    x, betas = inputs["x0"], inputs["betas"]
    states = []
    for step, eps in enumerate(inputs["step_noise"]):
        x = impl.q_step(x, torch.full((x.shape[0],), step), eps, betas)
        states.append(x)
    return {"states": states}


def q_sample(impl, inputs):
    return {"x_t": impl.q_sample(**_named(JUMP, inputs))}


def q_sample_parts(impl, inputs):
    return _parts(impl.q_sample, *_named(JUMP, inputs).values())


def q_sample_twice(impl, inputs):
    return _twice(impl.q_sample, *_named(JUMP, inputs).values())


def q_sample_one_by_one(impl, inputs):
    return _one_by_one(impl.q_sample, *_named(JUMP, inputs).values())


def q_sample_in_float64(impl, inputs):
    return _in_float64(impl.q_sample, *_named(JUMP, inputs).values())


def joint_noise(impl, inputs):
    return {"eps": impl.joint_noise(**_named(("step_noise", "betas"), inputs))}


def joint_noise_of_each(impl, inputs):
    """One eps for each table of betas, from as many noises as it has betas."""
    noises = strided(inputs["step_noise"])
    return {"eps": [impl.joint_noise(noises[: len(betas)], betas) for betas in inputs["tables"]]}


def predict_x0(impl, inputs):
    return {"x0": impl.predict_x0(**_named(BACK, inputs))}


def predict_x0_in_float64(impl, inputs):
    return _in_float64(impl.predict_x0, *_named(BACK, inputs).values())


def predict_x0_parts(impl, inputs):
    """No noise to remove, nothing but noise to remove, and the usual mixture."""
    x_t, t, eps, alpha_bars = _named(BACK, inputs).values()
    return {
        "signal": impl.predict_x0(x_t, t, torch.zeros_like(eps), alpha_bars),
        "noise": impl.predict_x0(inputs["x_t_of_noise"], t, eps, alpha_bars),
        "both": impl.predict_x0(x_t, t, eps, alpha_bars),
    }


def predict_x0_one_by_one(impl, inputs):
    return _one_by_one(impl.predict_x0, *_named(BACK, inputs).values())


def amplification(impl, inputs):
    return {"factors": impl.amplification(inputs["alpha_bars"])}


def error_in_x0(impl, inputs):
    """The factors, and by how much x_0 changes when eps grows by 1, at every t."""
    x_t, eps, alpha_bars = inputs["x_t"], inputs["eps"], inputs["alpha_bars"]
    t = torch.arange(len(alpha_bars))
    before = impl.predict_x0(x_t, t, eps, alpha_bars)
    after = impl.predict_x0(x_t, t, eps + 1, alpha_bars)
    return {"factors": impl.amplification(alpha_bars), "change": after - before}


def combine(impl, inputs):
    means_and_variances = (inputs[name] for name in ("mean_1", "var_1", "mean_2", "var_2"))
    return _pair(impl.combine(*means_and_variances))


def combine_each(impl, inputs):
    """The witnesses of each case; every tensor of two axes or more with a stride of its own."""
    return {
        "pairs": [
            _pair(impl.combine(**{name: strided(value) for name, value in case.items()}))
            for case in inputs["cases"]
        ]
    }


def combine_swapped(impl, inputs):
    """The same witnesses in both orders."""
    first, second = (inputs["mean_1"], inputs["var_1"]), (inputs["mean_2"], inputs["var_2"])
    return {
        "in order": _pair(impl.combine(*first, *second)),
        "swapped": _pair(impl.combine(*second, *first)),
    }


def schedule(impl, inputs):
    made = impl.make_schedule(inputs["betas"])
    if not all(hasattr(made, name) for name in (*TABLES, "to")):
        return {"returned": "None" if made is None else f"an object of type {type(made).__name__}"}
    return {name: getattr(made, name) for name in TABLES}


def q_posterior(impl, inputs):
    schedule = impl.NoiseSchedule(**inputs["tables"])
    returned = impl.q_posterior(inputs["x0"], inputs["x_t"], inputs["t"], schedule)
    return _pair(returned)


def q_posterior_one_by_one(impl, inputs):
    schedule = impl.NoiseSchedule(**inputs["tables"])
    x0, x_t, t = inputs["x0"], inputs["x_t"], inputs["t"]
    return {
        "together": _pair(impl.q_posterior(x0, x_t, t, schedule)),
        "strided": _pair(impl.q_posterior(strided(x0), strided(x_t), t, schedule)),
        "alone": [
            _pair(impl.q_posterior(x0[b : b + 1], x_t[b : b + 1], t[b : b + 1], schedule))
            for b in range(len(t))
        ],
    }


def q_posterior_elsewhere(impl, inputs):
    """Where mean and variance lie if all inputs lie on another device than the CPU."""
    there = on_meta(inputs)
    schedule = impl.NoiseSchedule(**there["tables"])

    def result(number):
        return impl.q_posterior(there["x0"], there["x_t"], there["t"], schedule)[number]

    return {"devices": [place_of(lambda: result(0)), place_of(lambda: result(1))]}


def strided(images):
    """The same numbers, laid out in memory with the last two axes exchanged."""
    return images.mT.contiguous().mT if images.ndim > 1 else images


def _named(names, inputs):
    return {name: inputs[name] for name in names}


def _parts(function, images, t, eps, table):
    """The image alone and the noise alone; both together tell apart what looks alike there."""
    return {
        "signal": function(images, t, torch.zeros_like(eps), table),
        "noise": function(torch.zeros_like(images), t, eps, table),
        "both": function(images, t, eps, table),
    }


def _twice(function, *arguments):
    """The same call under two states of the global random generator, and whether it moved on."""
    torch.manual_seed(1)
    first = function(*arguments)
    torch.manual_seed(2)
    before = torch.get_rng_state()
    second = function(*arguments)
    moved = not torch.equal(before, torch.get_rng_state())
    return {"first": first, "second": second, "generator used": moved}


def _one_by_one(function, images, t, eps, table):
    """A whole batch, in memory once in rows and once in columns, and each image alone."""
    return {
        "together": function(images, t, eps, table),
        "strided": function(strided(images), t, strided(eps), table),
        "alone": [
            function(images[b : b + 1], t[b : b + 1], eps[b : b + 1], table) for b in range(len(t))
        ],
    }


def _in_float64(function, images, t, eps, table):
    """All in float64, and once more with the table in float32."""
    return {
        "float64": function(images, t, eps, table),
        "float32": function(images, t, eps, table.float()),
    }


def _pair(returned):
    """A returned pair by its parts; anything else by its type, for evidence is plain data."""
    if isinstance(returned, tuple | list) and len(returned) == 2:
        return {"mean": returned[0], "variance": returned[1]}
    if isinstance(returned, tuple | list):
        return {"returned": f"{len(returned)} values"}
    return {"returned": f"one {type(returned).__name__}"}
