"""What the chapters' notebooks call: welcome, use, check, hint, label, show and sliders."""

import html
import io
import json
import os
import re
from base64 import b64encode
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import ipywidgets as widgets
from IPython.display import Image, Markdown, display
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.transforms import Bbox

from course.grading.code import NoVerdict, reference
from course.learner.scoreboard import next_exercise
from course.learner.workspace import LAB_FOLDER, Workspace
from course.pages.plots import png_bytes
from course.probing.loading import Implementation
from course.syllabus import (
    LOOKS,
    NOT_WRITTEN,
    PASSED,
    Exercise,
    exercise_of,
    find_chapter,
    find_exercise,
)


def use(*symbols: str) -> Any:
    """Your version of each symbol if its exercise passes, otherwise the reference; says which.

    What the reference calls of the same chapter is yours as well, where that passes.

    Returns:
        the function or class, or a tuple of them if several were asked for.
    """
    workspace = Workspace()
    code = Implementation("solutions")  # loaded for this call alone, so that it may be changed
    for chapter in {exercise_of(symbol).chapter for symbol in symbols}:
        passed = (e for e in find_chapter(chapter).exercises if workspace.status(e) == PASSED)
        _replace(code.chapter(chapter), passed, Implementation(workspace.exercises))
    found = []
    for symbol in symbols:
        exercise = exercise_of(symbol)
        status = workspace.status(exercise)
        found.append(getattr(code.chapter(exercise.chapter), symbol))
        if status == PASSED:
            whose = "yours"
        elif status == NOT_WRITTEN:
            whose = f"the reference, because {exercise.id} is {exercise.in_words(status)}"
        else:
            whose = f"the reference, because {exercise.id} does not pass yet"
        print(f"{symbol}: {whose}")
    return found[0] if len(found) == 1 else tuple(found)


def yours(*symbols: str) -> Any:
    """Your version of each symbol as it is now, whether it passes or not.

    What it calls of the same file is yours, too, where that passes, and else the reference's.

    Returns:
        the function or class, or a tuple of them if several were asked for.
    """
    workspace = Workspace()
    code = Implementation(workspace.exercises)
    asked = {symbol: exercise_of(symbol) for symbol in symbols}
    for chapter in {exercise.chapter for exercise in asked.values()}:
        others = (e for e in find_chapter(chapter).exercises if e not in asked.values())
        missing = (e for e in others if workspace.status(e) != PASSED)
        _replace(code.chapter(chapter), missing, reference())
    found = [getattr(code.chapter(exercise.chapter), symbol) for symbol, exercise in asked.items()]
    return found[0] if len(found) == 1 else tuple(found)


def _replace(module: ModuleType, wanted: Iterable[Exercise], code: Implementation) -> None:
    """Put these exercises' functions and classes into the module in place of its own."""
    for exercise in wanted:
        for symbol in exercise.symbols:
            setattr(module, symbol, getattr(code.chapter(exercise.chapter), symbol))


def welcome() -> None:
    """Show how far you are, and a link to what is next."""
    statuses = Workspace().statuses()
    solved = sum(status == PASSED for status in statuses.values())
    following = next_exercise(statuses)
    if following is None:
        display(
            Markdown(
                f"**All {len(statuses)} exercises are solved.** The whole model is yours now: "
                "`course train --preset laptop --impl exercises` trains it with your code."
            )
        )
        return
    chapter = find_chapter(following.chapter)
    place = f"[chapter {chapter.number}, {chapter.title}]({chapter.name[2:]}.ipynb)"
    if solved:
        text = f"**Welcome back.** You have solved {solved} of {len(statuses)} exercises."
    else:
        text = f"**Welcome.** {len(statuses)} exercises lie ahead, and none has to be written yet."
    display(Markdown(f"{text} Next is **{following.id} {following.title}**, in {place}."))


def label(exercise_id: str) -> None:
    """Show the label box of an exercise: what, where, how hard, how long, for how many points."""
    exercise = find_exercise(exercise_id)
    names = ", ".join(f"`{symbol}`" for symbol in exercise.symbols)
    run = f"> {exercise.no_run}; training and drawing do without it  \n" if exercise.no_run else ""
    display(
        Markdown(
            f"> **Exercise {exercise.id}: {exercise.title}**  \n"
            f"> {exercise.task} {names} in {_link(exercise)}  \n"
            f"{run}"
            f"> difficulty {exercise.dots} · about {exercise.minutes} minutes · {exercise.worth} · "
            f'stuck? run `hint("{exercise.id}")` in a new cell'
        )
    )


# JupyterLab runs the commands of such a button: it opens the file beside the notebook and goes to
# the line. Both get the same arguments, and each takes what it knows. The first does not wait until
# the file has arrived, so a second click follows by itself.
BESIDE = (
    '<button data-commandlinker-command="apputils:run-all-enabled" '
    'data-commandlinker-args="{arguments}" '
    'onclick="if (event.isTrusted) setTimeout(() => this.click(), 1000)" '
    'style="border:0;padding:0;background:none;font:inherit;color:var(--jp-content-link-color);'
    'text-decoration:underline;cursor:pointer">{name}</button>'
)


def _link(exercise: Exercise) -> str:
    """The exercise's file, to be opened with a click: in `course lab` at its function."""
    name = f"exercises/{exercise.chapter}.py"
    file, folder = Workspace().file(exercise.chapter), os.environ.get(LAB_FOLDER)
    if folder is None or not file.is_relative_to(folder):
        return f"[{name}](../{name})"
    arguments = {
        "commands": ["docmanager:open", "fileeditor:go-to-line"],
        "args": {
            "path": file.relative_to(folder).as_posix(),
            "options": {"mode": "split-right"},
            "line": _line_of(exercise.symbols[0], file),
        },
    }
    return BESIDE.format(arguments=html.escape(json.dumps(arguments)), name=name)


def _line_of(symbol: str, file: Path) -> int:
    """The last line of a function or class, where you write; the first of the file without it.

    JupyterLab scrolls no further than needed, so what is above this line is seen as well.
    """
    lines = file.read_text(encoding="utf-8").splitlines()
    begins = (f"def {symbol}(", f"class {symbol}(", f"class {symbol}:")
    start = next((n for n, line in enumerate(lines) if line.startswith(begins)), None)
    if start is None:
        return 1
    following = (n for n in range(start + 1, len(lines)) if re.match(r"\w|@", lines[n]))
    end = next(following, len(lines))
    return max(n for n in range(start, end) if lines[n].strip()) + 1


def hint(exercise_id: str) -> None:
    """Open one more hint and show all that are open."""
    exercise = find_exercise(exercise_id)
    count = Workspace().next_hint(exercise)
    lines = [f"{number}. {text}" for number, text in enumerate(exercise.hints[:count], start=1)]
    left = len(exercise.hints) - count
    lines.append(f"\n{left} more: run this cell again." if left else "\nThat was the last hint.")
    display(Markdown(f"**Hints for {exercise.id}**\n\n" + "\n".join(lines)))


class Card:
    """The verdict on one exercise, as a card in a notebook and as text elsewhere."""

    def __init__(self, result):
        self.result = result

    def __repr__(self) -> str:
        result = self.result
        if result.status == NOT_WRITTEN:
            exercise = result.exercise
            names, file = ", ".join(exercise.symbols), f"exercises/{exercise.chapter}.py"
            so_far = len(result.outcomes) - 1
            if so_far:  # of several functions, the first are written and right
                names = result.outcomes[-1].got.removeprefix("not written yet: ")
            done = f"So far {so_far} of its checks pass. " if so_far else ""
            return (
                f"{LOOKS[NOT_WRITTEN].sign} {exercise.id} {exercise.title}: "
                f"{exercise.in_words(result.status)}.\n"
                f"{done}{exercise.task} {names} in {file}, save, and run this cell again."
            )
        return f"{LOOKS[result.status].sign} {result.message}"

    def _repr_html_(self) -> str:
        result, outcome = self.result, self.result.outcomes[-1]
        head, *rest = repr(self).split("\n")
        below = [html.escape(line) for line in rest]
        if result.status not in (PASSED, NOT_WRITTEN):
            below = [_columns(outcome.facts), _set_apart(outcome.diagnosis)]
        colour = LOOKS[result.status].colour
        return (
            f'<div role="status" class="course-card" style="border:1px solid {colour};'
            f"border-left:6px solid {colour};border-radius:4px;padding:0.6em 0.9em;"
            f'max-width:56em;box-sizing:border-box"><strong>{html.escape(head)}</strong>'
            f"<div>{'</div><div>'.join(below)}</div></div>"
        )


def _columns(rows: Sequence[tuple[str, str]]) -> str:
    """Names on the left and texts on the right, in a font that keeps numbers below each other."""
    cells = "".join(
        f'<div style="opacity:0.8">{html.escape(name)}</div>'
        f'<div style="white-space:pre-wrap;overflow-wrap:anywhere">{html.escape(text)}</div>'
        for name, text in rows
    )
    return (
        '<div style="display:grid;grid-template-columns:max-content 1fr;gap:0.1em 1.2em;'
        "margin-top:0.4em;font-family:var(--jp-code-font-family, monospace);"
        f'font-size:0.95em">{cells}</div>'
    )


def _set_apart(diagnosis: Sequence[tuple[str, str]]) -> str:
    """The known mistake that does the same, in a field of its own."""
    lines = "".join(
        f"<div><strong>{html.escape(name)}</strong> {html.escape(text)}</div>"
        for name, text in diagnosis
    )
    field = (
        "margin-top:0.7em;padding:0.5em 0.8em;border-radius:4px;background:rgba(127,127,127,.13)"
    )
    return f'<div style="{field}">{lines}</div>' if diagnosis else ""


def check(exercise_id: str) -> Card | None:
    """Grade your version of one exercise, freshly read from the file, and show the verdict.

    If there can be none now, say why.
    """
    try:
        return Card(Workspace().grade((find_exercise(exercise_id),))[0])
    except NoVerdict as problem:
        print(problem)
        return None


def show(figure: Figure, alt: str) -> None:
    """Show a figure; `alt` says in words what it shows, for those who cannot see it."""
    display(
        Image(data=png_bytes(figure), format="png", alt=alt),
    )


# ipywidgets gives its sliders no name for those who cannot see the label beside them, and lets them
# say the number of the position, not the value; and Notebook 7 keeps the arrow keys for itself.
# Each new picture puts that right.
NAME_THE_SLIDERS = (
    "for (const slider of this.closest('.course-widget').querySelectorAll('.widget-slider')) {"
    " const handle = slider.querySelector('[role=slider]');"
    " handle.setAttribute('aria-label', slider.querySelector('.widget-label').textContent);"
    " handle.setAttribute('aria-valuetext', slider.querySelector('.widget-readout').textContent);"
    " handle.setAttribute('data-lm-suppress-shortcuts', 'true');"
    " }"
)


def picture_html(png: bytes, alt: str) -> str:
    """A picture for an HTML widget inside a widget of the class "course-widget"."""
    data = b64encode(png).decode()
    return (
        f'<img src="data:image/png;base64,{data}" alt="{html.escape(alt)}" '
        f'style="max-width:100%;height:auto" onload="{NAME_THE_SLIDERS}">'
    )


class SliderPicture(widgets.VBox):
    """A picture that follows a slider, with a caption that says in words what is set.

    The caption is also the picture's text for those who cannot see it.

    Args:
        draw: called with the slider's value, returns a Figure.
        values: the values that the slider runs through.
        name: what the slider sets, such as "t" or "guidance w".
        value: where it begins.
        caption: called with the value, returns the words under the picture.
    """

    made: list["SliderPicture"] = []  # all of this session, so that a test can move each

    def __init__(
        self,
        draw: Callable[[Any], Figure],
        values: Sequence[Any],
        name: str,
        value: Any,
        caption: Callable[[Any], str] | None = None,
    ):
        self.draw = draw
        self.caption = caption or (lambda value: f"{name} = {value}")
        self._drawn: dict[Any, bytes] = {}
        self._places: list[Bbox] | None = None  # of the first picture's axes
        self.slider = widgets.SelectionSlider(
            options=list(values),
            value=value,
            description=name,
            continuous_update=True,
            layout=widgets.Layout(width="34em", max_width="100%"),
            style={"description_width": "initial"},
        )
        self.image = widgets.HTML(layout=widgets.Layout(max_width="100%"))
        self.words = widgets.HTML(layout=widgets.Layout(max_width="100%"))
        self._follow(value)
        self.slider.observe(lambda change: self._follow(change["new"]), "value")
        # Aligned to the left, or the picture would be stretched to the page's width.
        super().__init__(
            [self.slider, self.image, self.words], layout=widgets.Layout(align_items="flex-start")
        )
        self.add_class("course-widget")
        SliderPicture.made.append(self)

    def png(self, value: Any) -> bytes:
        """Draw the picture for a value, as the bytes of a PNG file.

        Only the first picture is laid out; the others keep its places, which is quick. `savefig`
        is not used, because it goes through a figure that has a layout twice.
        """
        figure = self.draw(value)
        if self._places is None:
            figure.draw_without_rendering()
            self._places = [axes.get_position(original=True) for axes in figure.axes]
        figure.set_layout_engine("none")
        for axes, place in zip(figure.axes, self._places):
            axes.set_position(place)
        buffer = io.BytesIO()
        FigureCanvasAgg(figure).print_png(buffer, pil_kwargs={"compress_level": 1})  # the quickest
        return buffer.getvalue()

    def _follow(self, value: Any) -> None:
        if value not in self._drawn:
            self._drawn[value] = self.png(value)  # each picture is drawn once
        words = self.caption(value)
        self.image.value = picture_html(self._drawn[value], alt=words)
        self.words.value = f'<span role="status">{html.escape(words)}</span>'
