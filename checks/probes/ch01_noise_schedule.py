"""Probes of chapter 01: they call the code under test and report what it returns."""

from checks.probes.toys import name_of_error


def linear_betas(impl, inputs):
    return {"betas": impl.linear_betas(**inputs)}


def linear_betas_of_each(impl, inputs):
    """The betas of each case, given as keyword arguments."""
    return {"betas": [impl.linear_betas(**case) for case in inputs["cases"]]}


def bad_linear_betas(impl, inputs):
    """Which error each too small num_steps raises, and each pair of ends."""
    return {
        "num_steps": _errors(impl.linear_betas, inputs["num_steps"]),
        "ends": [
            name_of_error(lambda s=start, e=end: impl.linear_betas(5, s, e))
            for start, end in inputs["ends"].tolist()
        ],
    }


def cosine_betas(impl, inputs):
    return {"betas": impl.cosine_betas(**inputs)}


def cosine_betas_of_each(impl, inputs):
    return {"betas": [impl.cosine_betas(**case) for case in inputs["cases"]]}


def bad_cosine_betas(impl, inputs):
    return {"num_steps": _errors(impl.cosine_betas, inputs["num_steps"])}


def _errors(function, lengths):
    return [name_of_error(lambda n=num_steps: function(n)) for num_steps in lengths]


def alpha_bars(impl, inputs):
    return {"alpha_bars": impl.compute_alpha_bars(inputs["betas"])}


def alpha_bars_of_each(impl, inputs):
    return {"alpha_bars": [impl.compute_alpha_bars(betas) for betas in inputs["tables"]]}


def matching(impl, inputs):
    """The beta_end found for each case, given as keyword arguments."""
    ends = [impl.matching_beta_end(**case) for case in inputs["cases"]]
    # A NumPy float is a float, too, and as such it can cross to the grader.
    return {"ends": [float(end) if isinstance(end, float) else end for end in ends]}


def log_snr(impl, inputs):
    return {"log_snr": impl.log_snr(inputs["alpha_bars"])}


def equally_noisy(impl, inputs):
    return {"steps": impl.equally_noisy(inputs["alpha_bars"], inputs["other"])}
