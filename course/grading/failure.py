"""Judge what one check saw: does it break the property, and how?"""

from course.grading.checking import Check, Wrong, draw_inputs
from course.grading.code import reference_evidence
from course.grading.form import misfit, too_many_parts
from course.probing.observing import Observation


def failure_of(check: Check, seen: Observation, seed: int) -> Wrong | None:
    """Why the observation is wrong, or None if it is right."""
    if seen.raised:
        return Wrong("a result, without an exception", _explain(seen.raised))
    if seen.changed:
        names = ", ".join(seen.changed)
        return Wrong(
            "the inputs to be left as they were",
            f"your code changed {names} in place; make a new tensor instead "
            "(methods that end in _ and assignments to x[...] change a tensor)",
        )
    right = reference_evidence(check, seed)
    if many := too_many_parts(seen.evidence, right):
        return Wrong("a result of the form that the docstring describes", many)
    try:
        check.verdict(seen.evidence, right, draw_inputs(check, seed))
    except Wrong as wrong:
        return wrong
    except MemoryError:  # the grader's
        raise
    except Exception as error:  # evidence of a form that the verdict does not expect
        return Wrong(
            "a result of the form that the docstring describes",
            f"something that this check cannot read ({type(error).__name__}: {error})",
        )
    # The verdict has had its word, whose message is the better one; but it may have seen nothing.
    if lack := misfit(seen.evidence, right, check.free):
        return Wrong("a result of the form that the docstring describes", f"another form: {lack}")
    return None


def _explain(raised: str) -> str:
    """Add what to do to messages of torch that beginners meet often."""
    if "Torch not compiled with CUDA" in raised or "No CUDA GPUs" in raised:
        return f"{raised}. Take the device from an input (`device=x.device`) instead of naming one."
    if "must match the size of tensor" in raised:
        return (
            f"{raised}. Two shapes do not fit together: print both. "
            "One number for each image needs shape (B, 1, 1, 1)."
        )
    return raised
