"""`review()` in a notebook: what `course review` asks, with buttons and real pictures."""

import html
import time

import ipywidgets as widgets
from matplotlib.figure import Figure

from course.grading.looks import Curve, Numbers, Picture, Shown
from course.learner.items import NOTHING, Item
from course.learner.review import MINUTES, Deck, title
from course.learner.review_terminal import differing_lines
from course.learner.workspace import Workspace
from course.pages.notebook import picture_html
from course.pages.plots import COLOURS, png_bytes

MISTAKE, SOUND = "with the mistake", "sound"


class Review(widgets.VBox):
    """Asks one item after the other; the answer follows each.

    Args:
        minutes: after which nothing more is asked.
        only: chapters and exercises, as "01,02" or "1.2"; all that pass if left out.
    """

    def __init__(self, minutes: float = MINUTES, only: str | None = None):
        self.deck = Deck(Workspace(), only)
        self.end = time.monotonic() + 60 * minutes
        self.asked = self.right = 0
        self.screen, self.verdict = widgets.HTML(), widgets.HTML()
        self.choices = widgets.RadioButtons(layout=widgets.Layout(width="100%"))
        self.line = widgets.Text(description="line", placeholder="of the mistake, if there is one")
        self.button = widgets.Button(description="Answer", button_style="primary")
        self.button.on_click(lambda _: self.press())
        super().__init__([self.screen, self.choices, self.line, self.button, self.verdict])
        self.add_class("course-widget")
        self._ask()

    def press(self) -> None:
        """What the button does: take the answer, or go on to the next item."""
        if self.button.description == "Answer" and self.choices.value is not None:
            self._judge()
        elif self.button.description == "Next":
            self._ask()

    def _ask(self) -> None:
        self.item = self.deck.next() if time.monotonic() < self.end else None
        self.verdict.value = ""
        if self.item is None:
            words = f"{self.right} of {self.asked} right. What you missed comes back sooner."
            if not self.deck.exercises:
                words = "What you review is what you have passed, and that is nothing yet."
            self.screen.value = f'<p role="status">{words}</p>'
            for part in (self.choices, self.line, self.button):
                part.layout.display = "none"
            return
        what = "this code" if self.item.code else "the code that did this"
        self.screen.value = (
            f"<h4>{html.escape(title(self.item))}</h4>"
            f"<details open><summary>What it is to do</summary>{_pre(self.item.promise)}</details>"
            f"{drawn(self.item.shown or self.item.code)}<p><b>What is wrong in {what}?</b></p>"
        )
        self.choices.options, self.choices.value = self.item.choices, None
        self.choices.disabled, self.line.value = False, ""
        self.line.layout.display = "" if self.item.code else "none"
        self.button.description = "Answer"

    def _judge(self) -> None:
        item, choice = self.item, self.choices.value
        line = int(self.line.value) if self.line.value.strip().isdecimal() else None
        right = self.deck.answer(item, choice, line if choice == item.answer != NOTHING else None)
        self.asked, self.right = self.asked + 1, self.right + right
        self.verdict.value = f'<div role="status">{answer_html(item, choice)}</div>'
        self.choices.disabled = True
        self.button.description = "Next"


def review(minutes: float = MINUTES, only: str | None = None) -> Review:
    """Five minutes of review, as a widget."""
    return Review(minutes, only)


def answer_html(item: Item, choice: str) -> str:
    """What follows an answer: whether it is right, and the mistake beside the sound version."""
    head = "✔ right" if choice == item.answer else f"✘ no: {item.answer}"
    parts = [f"<p><b>{html.escape(head)}</b></p>"]
    if item.key.mistake:
        parts.append(f"<p>{html.escape(item.help)}</p>")
        parts.append(_beside(item.shown or item.code, item.sound))
        parts.append(_facts(item, item.key.mistake))
    elif choice != item.answer:
        name = html.escape(choice)
        if other := item.instead(choice):
            parts.append(f"<p>With the mistake “{name}” it would be:</p>")
            parts.append(_beside(other, item.sound))
        parts.append(f"<p>What a check sees of the mistake “{name}”:</p>{_facts(item, choice)}")
    return "".join(parts)


def _facts(item: Item, mistake: str) -> str:
    return _pre("\n".join(f"{name:<11}{text}" for name, text in item.consequence(mistake)))


def drawn(shown: str | Shown) -> str:
    """Code, numbers, a curve or a picture as HTML."""
    if isinstance(shown, str):
        lines = shown.splitlines()
        return _pre("\n".join(f"{n:>3}  {line}" for n, line in enumerate(lines, start=1)))
    if isinstance(shown, Numbers):
        return _pre("\n".join([shown.call, *(f"  {line}" for line in shown.lines())]))
    figure = Figure(figsize=(4.2, 2.6), dpi=90, layout="constrained")
    axes = figure.subplots()
    if isinstance(shown, Curve):
        axes.plot(shown.x, shown.y, color=COLOURS[0])
        axes.set_xlabel(shown.xlabel)
        axes.set_ylabel(shown.ylabel)
        alt = (
            f"{shown.ylabel} over {shown.xlabel}, from {float(shown.y[0]):.3g} to "
            f"{float(shown.y[-1]):.3g}; least {float(shown.y.min()):.3g}, "
            f"most {float(shown.y.max()):.3g}"
        )
    else:
        assert isinstance(shown, Picture)
        axes.imshow(shown.image, cmap="gray", vmin=shown.low, vmax=shown.high)
        alt = "a picture of {} x {} pixels".format(*shown.image.shape)
    return f"{_pre(shown.call)}{picture_html(png_bytes(figure), alt)}"


def _beside(mistake: str | Shown, sound: str | Shown) -> str:
    if isinstance(mistake, str):
        return _pre("\n".join(differing_lines(mistake, sound, MISTAKE, SOUND)))
    cells = "".join(
        f"<div><b>{name}</b>{drawn(shown)}</div>"
        for name, shown in ((MISTAKE, mistake), (SOUND, sound))
    )
    return f'<div style="display:flex;flex-wrap:wrap;gap:2em">{cells}</div>'


def _pre(text: str) -> str:
    return f'<pre style="white-space:pre-wrap">{html.escape(text)}</pre>'
