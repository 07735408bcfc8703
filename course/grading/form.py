"""The form of evidence: how it must be built before it can count as right.

Evidence comes from the process of the code under test, which may have made it up. A verdict that
walks through it, for example with zip, would be content with an empty list. So only evidence that
has all the parts of the reference's, on the same inputs, can pass.
"""

from collections.abc import Iterable
from typing import Any

from torch import Tensor

MORE_PARTS = 20  # times as many as the reference's; a verdict sees no more
FEW = 10_000  # parts that are never too many


def too_many_parts(seen: Any, right: Any) -> str:
    """How many parts evidence has, if that is unreasonably more than the reference's."""
    most = FEW + MORE_PARTS * _count(right)
    return f"a result of {number:,} parts" if (number := _count(seen)) > most else ""


def misfit(seen: Any, right: Any, free: Iterable[str] = ()) -> str:
    """What evidence lacks of the reference's; empty if nothing.

    It needs the same names, in each list as many parts or more, and in each place the same kind of
    thing: a list (or tuple), a number, a tensor that is nowhere shorter. Where the reference's is
    None there may be anything.

    Args:
        seen: the evidence.
        right: the reference's.
        free: names at the top that right code, too, may bring back in another form.
    """
    if isinstance(seen, dict) and isinstance(right, dict):
        right = {name: None if name in free else value for name, value in right.items()}
    return _misfit(seen, right, "")


def _misfit(seen: Any, right: Any, where: str) -> str:
    kind = _kind(right)
    if right is None:
        return ""
    if _kind(seen) != kind:
        return f"{where or 'all of it'} is {_kind(seen)}, not {kind}"
    if isinstance(right, Tensor):
        return _smaller(seen, right, where)
    if isinstance(right, dict):
        if missing := right.keys() - seen.keys():
            return f"{where or 'it'} lacks {sorted(map(str, missing))[0]}"
        return _first(_misfit(seen[name], right[name], f"{where}[{name!r}]") for name in right)
    if isinstance(right, list | tuple):
        if len(seen) < len(right):
            return f"{where} has {len(seen)} parts, not {len(right)}"
        parts = enumerate(zip(seen, right))
        return _first(_misfit(one, other, f"{where}[{place}]") for place, (one, other) in parts)
    return ""


def _smaller(seen: Tensor, right: Tensor, where: str) -> str:
    small = seen.ndim != right.ndim or any(a < b for a, b in zip(seen.shape, right.shape))
    if small or seen.device != right.device:
        shapes = f"{tuple(seen.shape)} on {seen.device}, not {tuple(right.shape)} on {right.device}"
        return f"{where} is a tensor of shape {shapes}"
    return ""


def _first(texts: Iterable[str]) -> str:
    return next((text for text in texts if text), "")


def _kind(value: Any) -> str:
    if isinstance(value, Tensor):
        return "a tensor"
    if isinstance(value, list | tuple):
        return "a list"
    if isinstance(value, int | float) and not isinstance(value, bool):
        return "a number"
    return f"a {type(value).__name__}"


def _count(value: Any) -> int:
    if isinstance(value, dict):
        value = list(value.values())
    return 1 + sum(map(_count, value)) if isinstance(value, list | tuple) else 1
