"""`course review` in a terminal: a question on the screen, an answer typed, and what is right."""

import difflib
import threading
import time
from collections.abc import Iterator

import torch
from rich.columns import Columns
from rich.console import Console, Group, RenderableType
from rich.panel import Panel
from rich.syntax import Syntax
from rich.text import Text

from course.grading.looks import Curve, Numbers, Picture, Shown
from course.learner.items import NOTHING, Item, place_of_mistake
from course.learner.review import MINUTES, Deck, title

WIDE, HIGH = 60, 12  # of a curve, in characters
SHADES = " ░▒▓█"


def run(deck: Deck, console: Console, minutes: float = MINUTES) -> None:
    """Ask until the time is over, nothing is left, or the learner stops."""
    start, asked, right = time.monotonic(), 0, 0
    while time.monotonic() - start < 60 * minutes:
        item = deck.next()
        if item is None:
            break
        for part in question(item):
            console.print(part)
        if not asked:  # while the first is read
            threading.Thread(target=deck.warm_up, daemon=True).start()
        choice = _ask(console, "Your answer (a letter; q stops): ", item.choices)
        if choice is None:
            break
        line = None
        if item.code and choice == item.answer != NOTHING:
            line = _ask_line(console, len(item.code.splitlines()))
        asked, right = asked + 1, right + deck.answer(item, choice, line)
        for part in answer_lines(item, choice, line):
            console.print(part)
        console.print()
    console.print(f"{right} of {asked} right. What you missed comes back sooner.")


def question(item: Item) -> Iterator[RenderableType]:
    """What is on the screen when an item is asked."""
    yield Text(title(item), "bold")
    yield Panel(Text(item.promise), title="what it is to do", title_align="left", style="dim")
    yield drawn(item.shown or item.code)
    yield Text(
        f"What is wrong in {'this code' if item.code else 'the code that did this'}?", "bold"
    )
    for letter, choice in zip("abcdefgh", item.choices):
        yield Text(f"  {letter}  {choice}")


def answer_lines(item: Item, choice: str, line: int | None = None) -> Iterator[RenderableType]:
    """What is on the screen once it is answered with `choice`."""
    right = choice == item.answer
    yield Text("✔ right" if right else f"✘ no: {item.answer}", "green" if right else "red")
    if item.key.mistake:
        yield Text(item.help)
        yield beside({"with the mistake": item.shown or item.code, "sound": item.sound})
        if line is not None and line not in item.places:
            yield Text(f"{place_of_mistake(item)}, not in line {line}.")
        elif item.code:
            yield Text(f"{place_of_mistake(item)}.")
        yield from _facts(item, item.key.mistake)
    elif not right:
        if other := item.instead(choice):
            yield Text(f"With the mistake {choice!r} it would be:")
            yield beside({"with the mistake": other, "sound": item.sound})
        yield Text(f"What a check sees of the mistake {choice!r}:")
        yield from _facts(item, choice)


def _facts(item: Item, mistake: str) -> Iterator[RenderableType]:
    for name, text in item.consequence(mistake):
        yield Text(f"  {name:<11}{text}")


def _ask(console: Console, words: str, choices: tuple[str, ...]) -> str | None:
    """One of the choices, by its letter; None if the learner stops."""
    letters = dict(zip("abcdefgh", choices))
    while True:
        try:
            typed = console.input(words).strip().lower()
        except EOFError:
            return None
        if typed in letters:
            return letters[typed]
        if typed in ("q", "quit"):
            return None
        console.print(f"Type one of {', '.join(letters)}, or q.")


def _ask_line(console: Console, count: int) -> int | None:
    try:
        typed = console.input(f"In which line, 1 to {count}? (Enter: leave it) ").strip()
    except EOFError:
        return None
    return int(typed) if typed.isdecimal() else None


# What is shown, in characters


def drawn(shown: str | Shown, wide: int = WIDE) -> RenderableType:
    """Code, numbers, a curve or a picture for a terminal; a curve's field is so wide."""
    if isinstance(shown, str):
        return Syntax(shown, "python", line_numbers=True, word_wrap=True, theme="ansi_light")
    if isinstance(shown, Numbers):
        lines = shown.lines()
    elif isinstance(shown, Curve):
        lines = curve_lines(shown, wide)
    else:
        lines = picture_lines(shown)
    whole = not isinstance(shown, Numbers)  # a picture's row is cut rather than broken
    return Group(Text(shown.call, "italic"), *(Text(f"  {line}", no_wrap=whole) for line in lines))


def beside(parts: dict[str, str | Shown]) -> RenderableType:
    """Two things under their titles, side by side; of code the lines that differ."""
    texts = list(parts.values())
    if isinstance(texts[0], str):
        return Text("\n".join(differing_lines(*texts, *parts)))
    return Columns([Panel(drawn(shown, wide=30), title=name) for name, shown in parts.items()])


def differing_lines(one: str, other: str, name: str, other_name: str) -> list[str]:
    """The lines in which two pieces of code differ, each with its number and whose it is."""
    width, numbers, found = max(len(name), len(other_name)), {"+ ": 0, "- ": 0}, []
    for line in difflib.ndiff(other.splitlines(), one.splitlines()):
        sides = [side for side in numbers if line[:2] in (side, "  ")]
        for side in sides:
            numbers[side] += 1
        if len(sides) == 1:
            whose = name if sides == ["+ "] else other_name
            found.append(f"  {whose:<{width}} {numbers[sides[0]]:>4}  {line[2:]}")
    return found


def curve_lines(curve: Curve, wide: int) -> list[str]:
    """A curve as a field of dots, with the numbers at its ends."""
    low, high = float(curve.y.min()), float(curve.y.max())
    at = torch.linspace(0, len(curve.y) - 1, wide).round().long()
    span = high - low or 1.0
    rows = ((curve.y[at].double() - low) / span * (HIGH - 1)).round().long().tolist()
    field = [[" "] * wide for _ in range(HIGH)]
    for column, row in enumerate(rows):
        field[HIGH - 1 - row][column] = "•"
    marks = [f"{high:.4g}", *[""] * (HIGH - 2), f"{low:.4g}"]
    lines = [f"{mark:>9} │{''.join(row)}" for mark, row in zip(marks, field)]
    ends = f"{float(curve.x[0]):g}", f"{float(curve.x[-1]):g}"
    lines.append(" " * 10 + "└" + "─" * wide)
    lines.append(" " * 11 + ends[0] + ends[1].rjust(wide - len(ends[0])))
    return [f"{curve.ylabel}, over {curve.xlabel}", *lines]


def picture_lines(picture: Picture) -> list[str]:
    """A picture in shades, two characters a pixel; a large one made smaller."""
    image = picture.image.double()
    step = -(-max(image.shape) // 36)
    image = image[::step, ::step]
    level = ((image - picture.low) / (picture.high - picture.low)).clamp(0, 1)
    numbers = (level * (len(SHADES) - 1)).round().long().tolist()
    size = f"{picture.image.shape[0]} x {picture.image.shape[1]} pixels"
    size += f", from {picture.low:g} or less (blank) to {picture.high:g} or more ({SHADES[-1]})"
    return [size, *("".join(2 * SHADES[n] for n in row) for row in numbers)]
