"""Probes of chapter 01: they call the code under test and report what it returns."""


def linear_betas(impl, inputs):
    return {"betas": impl.linear_betas(**inputs)}


def cosine_betas(impl, inputs):
    return {"betas": impl.cosine_betas(**inputs)}


def alpha_bars(impl, inputs):
    return {"alpha_bars": impl.compute_alpha_bars(inputs["betas"])}


def matching(impl, inputs):
    """The beta_end found for each case, given as keyword arguments."""
    return {"ends": [impl.matching_beta_end(**case) for case in inputs["cases"]]}


def log_snr(impl, inputs):
    return {"log_snr": impl.log_snr(inputs["alpha_bars"])}


def equally_noisy(impl, inputs):
    return {"steps": impl.equally_noisy(inputs["alpha_bars"], inputs["other"])}
