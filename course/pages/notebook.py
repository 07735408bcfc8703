"""What the chapters' notebooks call: welcome, use, check, hint, label, show and sliders."""

import html
import io
from base64 import b64encode
from collections.abc import Callable, Sequence
from typing import Any

import ipywidgets as widgets
from IPython.display import Image, Markdown, display
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.transforms import Bbox

from course.grading.code import reference
from course.learner.scoreboard import next_exercise
from course.learner.workspace import Workspace
from course.pages.plots import png_bytes
from course.probing.loading import Implementation
from course.syllabus import LOOKS, NOT_WRITTEN, PASSED, exercise_of, find_chapter, find_exercise


def use(*symbols: str) -> Any:
    """Your version of each symbol if its exercise passes, otherwise the reference; says which.

    Returns:
        the function or class, or a tuple of them if several were asked for.
    """
    workspace = Workspace()
    yours = Implementation(workspace.exercises)
    found = []
    for symbol in symbols:
        exercise = exercise_of(symbol)
        status = workspace.status(exercise)
        source = yours if status == PASSED else reference()
        found.append(getattr(source.chapter(exercise.chapter), symbol))
        whose = "yours" if status == PASSED else f"the reference, for {exercise.id} is {status}"
        if status not in (PASSED, NOT_WRITTEN):
            whose = f"the reference, for {exercise.id} does not pass yet"
        print(f"{symbol}: {whose}")
    return found[0] if len(found) == 1 else tuple(found)


def yours(*symbols: str) -> Any:
    """Your version of each symbol as it is now, whether it passes or not.

    Returns:
        the function or class, or a tuple of them if several were asked for.
    """
    code = Implementation(Workspace().exercises)
    found = [getattr(code.chapter(exercise_of(symbol).chapter), symbol) for symbol in symbols]
    return found[0] if len(found) == 1 else tuple(found)


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
    file = f"exercises/{exercise.chapter}.py"
    run = f"> {exercise.no_run}: no run needs it  \n" if exercise.no_run else ""
    display(
        Markdown(
            f"> **Exercise {exercise.id}: {exercise.title}**  \n"
            f"> {exercise.task} {names} in [{file}](../{file})  \n"
            f"{run}"
            f"> difficulty {exercise.dots} · about {exercise.minutes} minutes · {exercise.worth} · "
            f'stuck? run `hint("{exercise.id}")` in a new cell'
        )
    )


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
                f"{LOOKS[NOT_WRITTEN].sign} {exercise.id} {exercise.title}: not written yet.\n"
                f"{done}{exercise.task} {names} in {file}, save, and run this cell again."
            )
        return f"{LOOKS[result.status].sign} {result.message}"

    def _repr_html_(self) -> str:
        colour = LOOKS[self.result.status].colour
        head, *rest = repr(self).split("\n")
        rows = "".join(f"<div>{html.escape(line)}</div>" for line in rest)
        return (
            f'<div role="status" class="course-card" style="border:1px solid {colour};'
            f"border-left:6px solid {colour};border-radius:4px;padding:0.6em 0.9em;"
            f'max-width:52em"><strong>{html.escape(head)}</strong>'
            f'<div style="margin-top:0.3em;white-space:pre-wrap">{rows}</div></div>'
        )


def check(exercise_id: str) -> Card:
    """Grade your version of one exercise, freshly read from the file, and show the verdict."""
    return Card(Workspace().grade((find_exercise(exercise_id),))[0])


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
        f'onload="{NAME_THE_SLIDERS}">'
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
            layout=widgets.Layout(width="34em"),
            style={"description_width": "initial"},
        )
        self.image = widgets.HTML()
        self.words = widgets.HTML()
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
