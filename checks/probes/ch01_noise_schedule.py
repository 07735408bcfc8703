"""Probes of chapter 01: they call the code under test and report what it returns."""

TABLES = (
    "betas",
    "alphas",
    "alpha_bars",
    "alpha_bars_prev",
    "posterior_variance",
    "posterior_x0_coef",
    "posterior_xt_coef",
)


def linear_betas(impl, inputs):
    return {"betas": impl.linear_betas(**inputs)}


def cosine_betas(impl, inputs):
    return {"betas": impl.cosine_betas(**inputs)}


def alpha_bars(impl, inputs):
    return {"alpha_bars": impl.compute_alpha_bars(inputs["betas"])}


def schedule(impl, inputs):
    made = impl.make_schedule(inputs["betas"])
    return {name: getattr(made, name, None) for name in TABLES}


def log_snr(impl, inputs):
    return {"log_snr": impl.log_snr(inputs["alpha_bars"])}
