"""Judge what one check saw: does it break the property, and how?"""

import re

from course.grading.checking import Check, Wrong, draw_inputs
from course.grading.code import reference_evidence
from course.grading.form import misfit, too_many_parts
from course.probing.observing import Observation
from course.syllabus import find_chapter, find_exercise

PROMISED_FORM = "a result of the form that the docstring describes"
RETURN_MISSING = ". If one of your functions returns None: is its `return` missing?"


def failure_of(check: Check, seen: Observation, seed: int) -> Wrong | None:
    """Why the observation is wrong, or None if it is right."""
    if seen.raised:
        return Wrong("a result, without an exception", _explain(seen.raised, check.exercise))
    if seen.changed:
        names = ", ".join(seen.changed)
        return Wrong(
            "the inputs to be left as they were",
            f"the code changed {names} in place; make a new tensor instead "
            "(methods that end in _ and assignments to x[...] change a tensor)",
        )
    right = reference_evidence(check, seed)
    if many := too_many_parts(seen.evidence, right):
        return Wrong(PROMISED_FORM, many)
    try:
        check.verdict(seen.evidence, right, draw_inputs(check, seed))
    except Wrong as wrong:
        got = re.sub(r"\b(a|one) NoneType\b", "None", wrong.got)
        return Wrong(wrong.expected, _with_return(got)) if got.endswith("None") else wrong
    except MemoryError:  # the grader's
        raise
    except Exception as error:  # evidence of a form that the verdict does not expect
        return Wrong(
            PROMISED_FORM,
            f"something that this check cannot read ({type(error).__name__}: {error})",
        )
    # The verdict has had its word, whose message is the better one; but it may have seen nothing.
    if lack := misfit(seen.evidence, right, check.free):
        return Wrong(PROMISED_FORM, f"another form: {lack}")
    return None


# Chapters whose formulas hold one number for each image.
PER_IMAGE = ("02", "05", "06", "07", "11", "12")


def _explain(raised: str, exercise: str) -> str:
    """Add what to do to messages of torch and Python that beginners meet often."""
    if "Torch not compiled with CUDA" in raised or "No CUDA GPUs" in raised:
        return f"{raised}. Take the device from an input (`device=x.device`) instead of naming one."
    if "must match the size of tensor" in raised:
        hint = " One number for each image needs shape (B, 1, 1, 1)."
        number = find_chapter(find_exercise(exercise).chapter).number
        return (
            f"{raised}. Two shapes do not fit together: print both."
            f"{hint if number in PER_IMAGE else ''}"
        )
    if "NoneType" in raised:
        return _with_return(raised)
    return raised


def _with_return(got: str) -> str:
    return f"{got}{RETURN_MISSING}"
