"""`ask("01")` in a notebook: a chapter's three questions, each with a place for your answer.

Without a kernel, and in the book, the cell shows the same questions as text; the answers fold out.
"""

import html
import re

import ipywidgets as widgets

from course import CourseError
from course.grading.questions import Given, Question, judge, questions_of
from course.learner.questions import Answers
from course.learner.workspace import Workspace
from course.syllabus import find_chapter

SAME, NOT_SAME = "Mine says the same", "Mine misses something"
# ipywidgets gives a choice one line of fixed height, and a reason may need two.
STYLE = (
    "<style>.course-questions .widget-radio-box label"
    " { display: flex; height: auto; white-space: normal; line-height: 1.4; margin-bottom: 0.3em; }"
    ".course-questions .widget-radio-box input { flex: none; order: -1; }"
    ".course-questions .widget-html-content { line-height: 1.5; }</style>"
)
WIDE = widgets.Layout(width="100%", max_width="56em")


class Asked(widgets.VBox):
    """One question: what is asked, a field for the answer, a button, and what is said to it.

    Args:
        number: of the question, from 1.
        question: what is asked.
        answers: where the answer is kept.
    """

    def __init__(self, number: int, question: Question, answers: Answers):
        self.question, self.answers = question, answers
        words = widgets.HTML(f"<p><b>{number}.</b> {marked(question.ask)}</p>", layout=WIDE)
        self.field = _field(question)
        self.button = widgets.Button(description="Answer", button_style="primary")
        self.button.on_click(lambda _: self.press())
        self.verdict = widgets.HTML(layout=WIDE)
        self.same = widgets.RadioButtons(options=[SAME, NOT_SAME], value=None)
        self.same.layout.display = "none"
        if given := answers.given().get(question.id):
            self._put_back(given)
        self.same.observe(lambda _: self._keep(), "value")
        super().__init__([words, self.field, self.button, self.verdict, self.same])

    def press(self) -> None:
        """What the button does: judge the answer and keep it."""
        try:
            self._judge()
        except CourseError as error:
            self._say(html.escape(str(error)))
            return
        self.same.value = None  # of a new sentence it is asked anew
        self._keep()

    def _put_back(self, given: Given) -> None:
        """Show the answer that was kept; one that is none any more is left out."""
        if self.question.kind == "choice" and given.last not in self.field.options:
            return
        self.field.value = given.last
        if given.same is not None:
            self.same.value = SAME if given.same else NOT_SAME
        try:
            self._judge()
        except CourseError:
            self.verdict.value = ""

    def _judge(self) -> None:
        answer = self.field.value or ""
        if not answer.strip():
            raise CourseError("There is no answer yet. Guess, if you have to.")
        judged = judge(self.question, answer)
        if judged.right is None:
            self._say(f"<b>A good answer:</b> {marked(judged.says)}")
            self.same.layout.display = ""
            return
        head = "✔ right" if judged.right else "✘ not yet"
        below = "" if judged.right else folded(self.question)
        self._say(f"<b>{head}</b> {marked(judged.says)}", below)

    def _keep(self) -> None:
        same = self.same.value == SAME if self.same.value else None
        try:
            self.answers.keep(self.question, self.field.value, same)
        except CourseError as error:
            self._say(html.escape(str(error)))

    def _say(self, words: str, below: str = "") -> None:
        self.verdict.value = f'<div role="status"><p>{words}</p>{below}</div>'


class Questions(widgets.VBox):
    """A chapter's questions.

    Args:
        chapter: its number, such as "01".
    """

    def __init__(self, chapter: str):
        self.questions = questions_of(find_chapter(chapter).name)
        answers = Answers(Workspace())
        self.asked = [Asked(n, one, answers) for n, one in enumerate(self.questions, start=1)]
        super().__init__([*self.asked, widgets.HTML(STYLE)])
        self.add_class("course-widget")
        self.add_class("course-questions")

    def _repr_mimebundle_(self, **options) -> dict:
        """The widget, and for where there is no kernel the questions as text."""
        return {**super()._repr_mimebundle_(**options), "text/html": as_text(self.questions)}


def ask(chapter: str) -> Questions:
    """The three questions at the end of a chapter, as a widget."""
    return Questions(chapter)


def as_text(questions: tuple[Question, ...]) -> str:
    """The questions as HTML that needs no kernel."""
    parts = []
    for number, question in enumerate(questions, start=1):
        options = "".join(f"<li>{marked(option.text)}</li>" for option in question.options)
        parts.append(
            f'<div style="margin-bottom:1.5em"><p><b>{number}.</b> {marked(question.ask)}</p>'
            + (f"<ul>{options}</ul>" if options else "")
            + f"{folded(question)}</div>"
        )
    return f'<div class="course-questions">{"".join(parts)}</div>'


def folded(question: Question) -> str:
    """The right answer, which a click folds out."""
    return f"<details><summary>The answer</summary><p>{marked(question.solution)}</p></details>"


def marked(text: str) -> str:
    """A text as HTML, with `code` as code."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", html.escape(text))


def _field(question: Question) -> widgets.DOMWidget:
    """The place for an answer, with its label."""
    if question.kind == "choice":
        texts = [option.text for option in question.options]
        return widgets.RadioButtons(options=texts, value=None, layout=WIDE)
    if question.kind == "number":
        return widgets.Text(description="number", placeholder="such as 0.25 or 1/4")
    return widgets.Textarea(
        description="sentence", placeholder="in your own words", rows=3, layout=WIDE
    )
