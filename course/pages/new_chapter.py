"""Begin a chapter: all its files, with one small exercise that grades already.

The files below chapter_template/ are laid out like the course. In their names and texts NN stands
for the number, N for the number without its zero, topic for the topic and TITLE for the title.
"""

import re
from pathlib import Path

import nbformat

from course import ROOT, CourseError
from course.files import write_whole
from course.learner.skeletons import skeleton
from course.pages.open_anywhere import with_first_cell
from course.syllabus import chapters

TEMPLATE = Path(__file__).with_name("chapter_template")
MISSING = """\
- The exercise is a placeholder, scale_topic. Put yours in its place in solutions/, checks/ and the
  notebook, delete exercises/chNN_topic.py, and make it anew: python -m course.learner.skeletons
- Each exercise needs at least six misconceptions and three equivalents, and each check must reject
  at least one of the misconceptions. There is one of each now.
- Each exercise needs at least three hints, from a question to nearly the answer. They are in
  checks/chNN_topic.toml, with points, difficulty and minutes.
- The three questions in checks/questions/chNN_topic.toml are placeholders. Ask why, how large, or
  what would happen if, so that no sentence of the chapter is the answer.
- The notebook needs its text, figures and sliders. Its outputs are stored with it; they come from
  python -m course.pages.build_notebooks chapters/NN_topic.ipynb
- docs/what_you_can_do.md needs a sentence on what a reader can do after the chapter.
- README.md needs a line in the table of chapters, and docs/checks.md one in each of its tables
  (python -m course.grading.answer_report prints the first, benchmarks.mutants the second).
- docs/misconceptions.md is written by python -m course.grading.answer_report --write
- docs/glossary.md needs the symbols that are new.
- The checks are to be measured: python -m benchmarks.mutants --chapter NN --write
  and python -m benchmarks.accepts_right_code --only NN
- An exercise that no run calls (train, sample, evaluate) says so in checks/chNN_topic.toml:
  no_run = "A definition". tests/test_mixture.py holds this against what runs call.

What is forgotten, these tests tell: pytest tests/test_checks.py tests/test_exercises.py
tests/test_questions.py tests/test_notebooks.py tests/test_open_anywhere.py
tests/test_repository.py tests/test_book.py
"""


def make(number: str, topic: str, title: str) -> list[Path]:
    """Write the files of a new chapter; none that is there already is touched.

    Args:
        number: such as "09" or "9".
        topic: such as "fast_sampling", for the files' names.
        title: such as "Fast sampling".

    Returns:
        the files written, relative to the course's folder.

    Raises:
        CourseError: if a name will not do, or the chapter or one of its files is there already.
    """
    number = number.zfill(2)
    _require_good(number, topic, title)
    exercise_file = Path(f"exercises/ch{number}_{topic}.py")
    templates = [path for path in TEMPLATE.rglob("*.*") if path.suffix in (".py", ".ipynb")]
    # The list of exercises comes last: with it the chapter is there.
    templates += sorted(TEMPLATE.rglob("*.toml"), key=lambda path: path.parent.name == "checks")
    texts = {}
    for template in templates:
        name = fill(template.relative_to(TEMPLATE).as_posix(), number, topic, title)
        texts[Path(name)] = fill(template.read_text(encoding="utf-8"), number, topic, title)
    there = [path.as_posix() for path in (*texts, exercise_file) if (ROOT / path).exists()]
    if there:
        raise CourseError(f"nothing is overwritten, and these are there: {', '.join(there)}")
    for path, text in texts.items():
        if path.suffix == ".ipynb":
            notebook = with_first_cell(nbformat.reads(text, as_version=4))
            text = nbformat.writes(notebook) + "\n"
        write_whole(ROOT / path, text)
    chapters.cache_clear()
    write_whole(ROOT / exercise_file, skeleton(exercise_file.stem))
    return [*texts, exercise_file]


def still_missing(number: str, topic: str) -> str:
    """What to do by hand after `make`."""
    return fill(MISSING, number.zfill(2), topic, "")


def fill(text: str, number: str, topic: str, title: str) -> str:
    """A template's text, or its name, for one chapter."""
    text = text.replace("NN", number).replace("N.1", f"{int(number)}.1")
    return text.replace("topic", topic).replace("TITLE", title)


def _require_good(number: str, topic: str, title: str) -> None:
    """Fail unless there can be a chapter with this number and these names."""
    if not re.fullmatch(r"[0-9]{2}", number) or number == "00":
        raise CourseError(f"the number must be between 1 and 99, got {number.lstrip('0') or '0'!r}")
    if not re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", topic) or len(topic) > 24:
        raise CourseError(
            "the topic becomes a part of file names: at most 24 small letters, digits and single "
            f"underscores, a letter first, like fast_sampling; got {topic!r}"
        )
    if not re.fullmatch(r"\w[\w ,:'()-]*", title) or len(title) > 22:
        raise CourseError(
            "the title must fit into the scoreboard's column: at most 22 letters, digits, spaces "
            f"and , : ' ( ) - with a letter or digit first, like Fast sampling; got {title!r}"
        )
    names = {path.stem for path in (ROOT / "chapters").glob("[0-9][0-9]_*.ipynb")}
    for name in sorted(names | {chapter.name[2:] for chapter in chapters()}):
        if name[:2] == number or name[3:] == topic:
            raise CourseError(f"there is a chapter {name}; choose another number and topic")
