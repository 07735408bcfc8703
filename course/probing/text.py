"""Text from submissions, made fit to be shown: names and messages may hold anything."""

import re

# Characters of a message. Some services refuse large files.
LONGEST_MESSAGE = 2000

_TERMINAL_CODE = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)?")

# Control characters, lone surrogates and non-characters, all of which XML forbids or advises
# against, and the marks that reverse the direction of writing, which make a line read as another.
_UNPRINTABLE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]"
)


def printable(text: str) -> str:
    """The text without terminal codes and unprintable characters; lines end with a newline."""
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    return _UNPRINTABLE.sub("", _TERMINAL_CODE.sub("", text))


def clip(text: str, length: int) -> str:
    """At most `length` printable characters; an ellipsis says that some are left out."""
    text = printable(text)
    return text if len(text) <= length else text[: length - 1] + "…"


def type_name(value: object) -> str:
    """The name of a value's type on one line, whatever its class makes of that."""
    return one_line(type.__dict__["__name__"].__get__(type(value)), 80)


def one_line(text: str, length: int) -> str:
    """The text on one line of at most `length` printable characters."""
    return clip(" ".join(printable(text).split()), length)


def percent(part: float, whole: int) -> int:
    """Whole percents, rounded down as on the scoreboard: 100 means all."""
    return int(100 * part // whole) if whole else 0
