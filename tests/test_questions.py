"""The questions at the chapters' ends: well made, judged, kept, handed in and counted."""

import json
import re
from dataclasses import replace

import nbformat
import pytest
import torch
from nbclient import NotebookClient
from rich.console import Console

from course import ROOT, CourseError, cli
from course.classroom.class_report import class_report
from course.classroom.collecting import MAX_ANSWERS, collect
from course.classroom.lesson import lesson
from course.classroom.questions import Asked as Row
from course.classroom.questions import ClassAnswers, class_answers
from course.classroom.reports import questions_table
from course.grading import questions as module
from course.grading.questions import (
    FILE,
    KINDS,
    LONGEST_ANSWER,
    NUMBER,
    Given,
    all_questions,
    given_in,
    judge,
    number,
    questions_of,
    read_given,
    read_number,
)
from course.learner.questions import Answers
from course.learner.workspace import Workspace
from course.pages.build_notebooks import normalise
from course.pages.questions import NOT_SAME, SAME, Asked, Questions, as_text
from course.syllabus import chapters
from tests.collected import find_submissions
from tests.notebooks import read
from tests.terminal import Terminal

ALL = all_questions()
NUMBERS, CHOICES, SENTENCES = (
    [question for question in ALL.values() if question.kind == kind] for kind in KINDS
)
CH01 = "ch01_noise_schedule"
SOLUTION = (ROOT / "solutions" / f"{CH01}.py").read_text(encoding="utf-8")
BY_ID = {"ids": lambda question: question.id}


@pytest.fixture
def workspace(tmp_path, monkeypatch) -> Workspace:
    monkeypatch.setenv("COURSE_EXERCISES", str(tmp_path / "exercises"))
    return Workspace()


# How they are made


@pytest.mark.parametrize("chapter", chapters(), ids=lambda chapter: chapter.number)
def test_a_chapter_has_three_one_a_number_and_one_a_choice(chapter):
    kinds = [question.kind for question in questions_of(chapter.name)]
    assert len(kinds) == 3 and {"number", "choice"} <= set(kinds)


def test_no_two_have_one_id_and_each_chapter_has_its_file():
    assert len(ALL) == 3 * len(chapters())
    files = {path.stem for path in (ROOT / "checks" / "questions").iterdir()}
    assert files == {chapter.name for chapter in chapters()}


@pytest.mark.parametrize("question", NUMBERS, **BY_ID)
def test_a_number_is_told_from_its_slips(question):
    right = number(question.value)
    assert right and not NUMBER.fullmatch(question.value), "it is worked out, not written down"
    assert judge(question, repr(right)).right
    for off in (-2, 2):
        assert not judge(question, repr(right * (1 + off * question.within))).right
    assert f"{right:.4g}" in question.solution and judge(question, f"{right:.4g}").right
    for slip in question.slips:
        value = number(slip.value)
        assert slip.says.startswith("That is what comes out "), slip
        assert judge(question, repr(value)) == module.Judgement(False, slip.says)
    values = [right, *(number(slip.value) for slip in question.slips)]
    for place, one in enumerate(values):
        for other in values[:place]:
            assert abs(one - other) > question.within * (abs(one) + abs(other)), (one, other)


@pytest.mark.parametrize("question", CHOICES, **BY_ID)
def test_a_choice_has_one_right_reason_and_each_is_answered(question):
    assert [judge(question, one.text).right for one in question.options].count(True) == 1
    texts = [one.text for one in question.options]
    replies = [judge(question, text).says for text in texts]
    assert len(set(texts)) == len(set(replies)) == len(texts) and all(replies)
    for option in question.options:
        assert option.says.startswith("Right. ") == option.right
        assert len(option.text) <= LONGEST_ANSWER
    with pytest.raises(CourseError, match="'another' is none of the options"):
        judge(question, "another")


def test_the_right_reason_is_not_always_in_one_place():
    places = {[one.right for one in question.options].index(True) for question in CHOICES}
    assert len(places) > 2


@pytest.mark.parametrize("question", SENTENCES, **BY_ID)
def test_a_sentence_is_left_to_the_learner(question):
    assert judge(question, "anything") == module.Judgement(None, question.answer)


def test_working_a_number_out_leaves_the_learners_draws_alone():
    question = next(q for q in NUMBERS if "UNet" in q.value)
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    assert number.__wrapped__(question.value) and torch.equal(torch.rand(1), expected)


NAMED = '[[question]]\nid = "01-a"\nask = "how?"\n'
OPTION = '[[question.option]]\ntext = "{0}"\nsays = "{0}"\nright = {1}\n'


@pytest.mark.parametrize(
    "text, words",
    [
        ("question = 3", "must begin with a line"),
        ("[[question", "cannot be read"),
        (NAMED + 'kind = "essay"', "kind must be number, choice or sentence, got 'essay'"),
        (NAMED + 'kind = "sentence"', "question 01-a: ask and answer must not be empty"),
        (NAMED + 'kind = "number"\nanswer = "so"', "a number needs a value"),
        (NAMED + 'kind = "number"\nanswer = "so"\nvalue = "1"\nwithin = 0', "a number needs"),
        (NAMED + 'kind = "choice"\n' + OPTION.format("a", "true"), "three options or more"),
        (
            NAMED + 'kind = "choice"\n' + "".join(OPTION.format(x, "true") for x in "abc"),
            "one of them right",
        ),
        (NAMED.replace("01-a", "02-a") + 'kind = "sentence"', "the id must be like 01-two-words"),
        (NAMED + 'kind = "sentence"\nhint = "x"', "unexpected keyword argument 'hint'"),
    ],
)
def test_a_file_that_is_wrong_is_named(tmp_path, monkeypatch, text, words):
    monkeypatch.setattr(module, "ROOT", tmp_path)
    (tmp_path / "checks" / "questions").mkdir(parents=True)
    (tmp_path / "checks" / "questions" / f"{CH01}.toml").write_text(text)
    with pytest.raises(CourseError, match=f"checks/questions/{CH01}.toml.*{re.escape(words)}"):
        questions_of.__wrapped__(CH01)
    (tmp_path / "checks" / "questions" / f"{CH01}.toml").unlink()
    with pytest.raises(CourseError, match="is missing"):
        questions_of.__wrapped__(CH01)


@pytest.mark.parametrize(
    "said, value",
    [("0.25", 0.25), (" 1/4 ", 0.25), ("25 %", 0.25), ("-2.5e-1", -0.25), ("−.5", -0.5), ("7.", 7)],
)
def test_numbers_are_read_as_people_write_them(said, value):
    assert read_number(said) == pytest.approx(value)


@pytest.mark.parametrize(
    "said", ["", "a", "1,5", "1/0", "1/2/3", "nan", "inf", "1e999", "٣", "0" * 41, "1 2", "%", "e5"]
)
def test_what_is_no_number_is_refused_with_what_to_write(said):
    with pytest.raises(CourseError, match="is no number that can be read here; write one like"):
        read_number(said)


# What is kept


def test_the_first_answer_is_kept_beside_the_last(workspace):
    question, answers = NUMBERS[0], Answers(workspace)
    assert answers.given() == {}
    for said in ("0.5", "0.4", "0.36"):
        answers.keep(question, said)
    assert Answers(Workspace()).given() == {question.id: Given("0.5", "0.36")}
    assert (workspace.exercises / FILE).is_file(), "it is handed in with the exercises"
    with pytest.raises(CourseError, match="2,001 characters"):
        answers.keep(question, "x" * 2001)


def test_what_a_newer_course_has_kept_stays(workspace):
    path = workspace.exercises / FILE
    path.write_text('{"13-later": {"first": "1", "last": "2", "more": 3}, "01-x": 5}')
    Answers(workspace).keep(NUMBERS[0], "0.5")
    content = json.loads(path.read_text())
    assert content["13-later"]["more"] == 3 and content["01-x"] == 5
    assert set(given_in(content)) == {"13-later", NUMBERS[0].id}


@pytest.mark.parametrize("text", ["{", "[]", "[" * 100_000, "\x00"])
def test_a_broken_file_is_set_aside_and_not_lost(workspace, text, capsys):
    (workspace.exercises / FILE).write_text(text)
    Answers(workspace).keep(NUMBERS[0], "0.5")
    assert set(Answers(workspace).given()) == {NUMBERS[0].id}
    (aside,) = workspace.exercises.glob(f"{FILE}.broken-*")
    assert aside.read_text() == text and "was damaged" in capsys.readouterr().err


# In a notebook


def asked(workspace, question) -> Asked:
    return Asked(1, question, Answers(workspace))


def test_a_number_is_judged_kept_and_shown_again(workspace):
    question = NUMBERS[0]
    here = asked(workspace, question)
    here.press()
    assert "no answer yet" in here.verdict.value and not Answers(workspace).given()
    here.field.value = "much"
    here.press()
    assert "is no number" in here.verdict.value and not Answers(workspace).given()
    here.field.value = str(number(question.slips[0].value))
    here.press()
    assert "✘ not yet" in here.verdict.value and "comes out if" in here.verdict.value
    assert "<details>" in here.verdict.value
    here.field.value = str(number(question.value))
    here.press()
    assert "✔ right" in here.verdict.value and question.answer[:20] in here.verdict.value
    again = asked(workspace, question)
    assert again.field.value == here.field.value and again.verdict.value == here.verdict.value
    first = Answers(workspace).given()[question.id].first
    assert first == str(number(question.slips[0].value))


def test_a_choice_that_is_none_any_more_is_not_shown_again(workspace):
    question = CHOICES[0]
    here = asked(workspace, question)
    here.field.value = question.options[0].text
    here.press()
    assert asked(workspace, question).field.value == question.options[0].text
    other = replace(question, options=question.options[1:])
    assert asked(workspace, other).field.value is None


def test_of_a_sentence_you_say_yourself_whether_it_says_the_same(workspace):
    question = SENTENCES[0]
    here = asked(workspace, question)
    assert here.same.layout.display == "none"
    here.field.value = "because it is so"
    here.press()
    assert question.answer[:20] in here.verdict.value and here.same.layout.display == ""
    assert Answers(workspace).given()[question.id] == Given(*["because it is so"] * 2)
    here.same.value = NOT_SAME
    assert Answers(workspace).given()[question.id].same is False
    here.field.value = "because it must be"
    here.press()
    assert here.same.value is None and Answers(workspace).given()[question.id].same is None
    here.same.value = SAME
    again = asked(workspace, question)
    assert (again.field.value, again.same.value) == ("because it must be", SAME)
    here.field.value = "x" * 2001
    here.press()
    assert "2,001 characters" in here.verdict.value


def test_without_a_kernel_it_is_text_with_answers_that_fold_out(workspace):
    widget = Questions("01")
    bundle = widget._repr_mimebundle_()
    assert bundle["text/html"] == as_text(widget.questions)
    assert "application/vnd.jupyter.widget-view+json" in bundle
    assert bundle["text/html"].count("<details>") == 3
    with pytest.raises(CourseError, match="there is no chapter '20'"):
        Questions("20")


@pytest.mark.parametrize("chapter", chapters(), ids=lambda chapter: chapter.number)
def test_the_notebook_ends_with_them_and_stores_them_as_text(chapter):
    *_, heading, cell = read(ROOT / chapter.notebook).cells
    assert heading.source.startswith("## Three questions")
    assert cell.source.endswith(f'ask("{chapter.number}")')
    (output,) = cell.outputs
    assert output.data == {"text/html": as_text(questions_of(chapter.name))}, (
        f"run: python -m course.pages.build_notebooks {chapter.notebook}"
    )


def test_of_a_widget_that_is_text_as_well_the_text_is_stored():
    view = {"application/vnd.jupyter.widget-view+json": {"model_id": "1"}, "text/plain": "VBox()"}
    cell = nbformat.v4.new_code_cell("1")
    for more in ({}, {"text/html": "<p>1</p>"}):
        cell.outputs.append(nbformat.v4.new_output("execute_result", data={**view, **more}))
    normalise(nbformat.v4.new_notebook(cells=[cell]))
    assert [output.data for output in cell.outputs] == [{"text/html": "<p>1</p>"}]


def test_it_asks_in_a_kernel(tmp_path, monkeypatch):
    monkeypatch.setenv("COURSE_EXERCISES", str(tmp_path / "exercises"))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    cells = [
        'from course.pages.questions import ask\nquestions = ask("01")\nquestions',
        "from course.grading.questions import number\n"
        "one = questions.asked[0]\n"
        "one.field.value = str(number(one.question.value))\n"
        "one.button.click()\n"
        "print(one.verdict.value)",
    ]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(one) for one in cells])
    NotebookClient(notebook, timeout=120, kernel_name="python3").execute(cwd=str(tmp_path))
    shown, printed = (cell.outputs[-1] for cell in notebook.cells)
    assert {"text/html", "application/vnd.jupyter.widget-view+json"} <= shown.data.keys()
    assert "✔ right" in printed.text
    assert set(json.loads((tmp_path / "exercises" / FILE).read_text())) == {ALL["01-amplitude"].id}


# In a terminal


def test_it_asks_in_a_terminal(workspace):
    first, choice, sentence = questions_of(CH01)
    letter = "abcdefgh"[[option.right for option in choice.options].index(True)]
    terminal = Terminal("ask", "1", exercises=workspace.exercises)
    terminal.wait_for("A number")
    for typed, said in (
        ("much", "is no number"),
        (f"{number(first.slips[0].value):.4f}", "✘ not yet"),
        (f"{number(first.value):.4f}", "✔ right"),
    ):
        terminal.press(f"{typed}\n")
        terminal.wait_for(said)
    terminal.wait_for("A letter")
    terminal.press("z\n")
    terminal.wait_for("is none of the options")
    terminal.press(f"{letter}\n")
    terminal.wait_for("✔ right")
    terminal.wait_for("In a sentence")
    terminal.press("because\n")
    terminal.wait_for("A good answer")
    terminal.press("y\n")
    assert terminal.close() == 0
    given = Answers(workspace).given()
    assert {judge(ALL[key], one.last).right for key, one in given.items()} == {True, None}
    assert given[first.id].first != given[first.id].last and given[sentence.id].same is True


def test_in_a_terminal_you_can_go_on_and_stop(workspace):
    terminal = Terminal("ask", "01", exercises=workspace.exercises)
    terminal.wait_for("A number")
    terminal.press("\n")
    terminal.wait_for("The answer: About 0.36")
    terminal.wait_for("A letter")
    terminal.press("q\n")
    assert terminal.close() == 0 and not Answers(workspace).given()
    assert cli.main(["ask", "20"]) == 2


# In a class


def entry(first: str, last: str = "", **more) -> dict:
    return {"first": first, "last": last or first, **more}


def answers_of_ada() -> dict:
    wrong = next(one for one in CHOICES[0].options if not one.right)
    right = next(one for one in CHOICES[0].options if one.right)
    return {
        NUMBERS[0].id: entry("0.13", "0.36"),
        CHOICES[0].id: entry(wrong.text, right.text),
        CHOICES[1].id: entry("an option of an older course"),
        NUMBERS[1].id: entry("<b>much</b>"),
        SENTENCES[0].id: entry("so", same=True),
        SENTENCES[1].id: entry("so"),
        "99-unknown": entry("1"),
        "01-broken": {"first": 3, "last": None},
        "01-long": entry("x" * (LONGEST_ANSWER + 1)),
    }


@pytest.fixture
def handed_in(tmp_path):
    """Three submissions: answers in exercises/, a file that cannot be read, and none."""
    for name in ("ada", "bob", "cy"):
        (tmp_path / "class" / name / "exercises").mkdir(parents=True)
        path = tmp_path / "class" / name / "exercises" / f"{CH01}.py"
        path.write_text(SOLUTION, encoding="utf-8")
    ada, bob = (tmp_path / "class" / name / "exercises" / FILE for name in ("ada", "bob"))
    ada.write_text(json.dumps(answers_of_ada()), encoding="utf-8")
    bob.write_bytes(b'{"01-amplitude": \xff')
    return tmp_path / "class"


def test_a_class_is_counted_whatever_the_files_hold(handed_in):
    collection = find_submissions([handed_in])
    assert not collection.problems
    answers = class_answers(collection.folders)
    assert (answers.submissions, answers.unreadable, answers.without) == (3, ("bob",), 1)
    counted = {
        asked.question.id: (asked.answered, asked.at_first, asked.in_the_end)
        for asked in answers.asked
    }
    assert counted == {
        NUMBERS[0].id: (1, 0, 1),
        CHOICES[0].id: (1, 0, 1),
        SENTENCES[0].id: (1, 1, 1),
    }
    assert answers.asked[0].wrong == "0.13" and answers.asked[-1].question == SENTENCES[0]
    page = class_report([], answers=answers)
    assert "1 of 3 submissions have answers; an answers.json that cannot be read: 1" in page
    assert "0.13</bdi> (1)" in page and CHOICES[0].id in page
    assert "The question that was missed most" in lesson([], answers)
    console = Console(width=80)
    with console.capture() as capture:
        console.print(questions_table(answers))
    assert NUMBERS[0].id in capture.get() and "bob: its answers.json cannot" in capture.get()
    assert all(len(line) <= 80 for line in capture.get().splitlines())


def test_what_a_stranger_wrote_is_shown_as_text():
    row = Row(NUMBERS[0], 2, 0, 1, "<script>\x1b[31m=1", 2)
    answers = ClassAnswers(2, ("<i>\x1b[31m",), 0, (row,))
    for page in (class_report([], answers=answers), lesson([], answers)):
        assert "<script>" not in page and "<i>" not in page and "\x1b" not in page
    console = Console(width=80)
    with console.capture() as capture:
        console.print(questions_table(answers))
    assert "\x1b" not in capture.get()


@pytest.mark.parametrize(
    "text",
    [b"", b"\xff", b"[" * 100_000, b"3", b'"x"', b"9" * 5000, b'{"a": ' * 50_000],
)
def test_a_file_that_cannot_be_read_is_none(text):
    assert read_given(text) is None


def test_a_file_that_is_too_large_is_left_out_and_said(handed_in):
    (handed_in / "cy" / "exercises" / FILE).write_bytes(b" " * (MAX_ANSWERS + 1))
    (cy,) = (one for one in find_submissions([handed_in]).submissions if one.name == "cy")
    assert not (cy.folder / FILE).exists() and not cy.problem
    assert any("more than 200,000; no points depend on it" in note for note in cy.notes)


@pytest.mark.parametrize(
    "work, answers",
    [
        ("ada_12_345_{0}.py", "ada_12_345_{1}"),  # Canvas
        ("Ada Lov_12_assignsubmission_file_{0}.py", "Ada Lov_12_assignsubmission_file_{1}"),
        ("Ada_1_assignsubmission_file_/{0}.py", "Ada_1_assignsubmission_file_/exercises/{1}"),
        ("ada/{0}.py", "ada/exercises/{1}"),
    ],
)
def test_answers_are_found_as_platforms_name_them(tmp_path, work, answers):
    for name, text in ((work, SOLUTION), (answers, '{"01-amplitude": {}}')):
        path = tmp_path / "class" / name.format(CH01, FILE)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    (one,) = find_submissions([tmp_path / "class"]).submissions
    assert (one.folder / FILE).read_text() == '{"01-amplitude": {}}' and not one.notes


def test_of_two_the_later_one_counts_and_an_old_copy_goes(tmp_path):
    place = tmp_path / "class"
    place.mkdir()
    (place / f"ada_1_2_{CH01}.py").write_text(SOLUTION, encoding="utf-8")
    (place / "ada_1_2_answers-1.json").write_text("{}")
    (place / "ada_1_3_answers-2.json").write_text('{"new": 1}')
    (one,) = collect([place], tmp_path / "out" / "collected").submissions
    assert (one.folder / FILE).read_text() == '{"new": 1}'
    for path in place.glob("*.json"):
        path.unlink()
    (one,) = collect([place], tmp_path / "out" / "collected").submissions
    assert not (one.folder / FILE).exists()


def test_course_grade_tells_and_no_points_depend_on_it(handed_in, tmp_path, capsys):
    out = tmp_path / "grades"
    assert cli.main(["grade", str(handed_in), "--only", "1.1", "--out", str(out)]) == 0
    said = capsys.readouterr().out
    assert "questions missed most" in said and NUMBERS[0].id in said
    assert "bob: its answers.json cannot be read; no points depend on it" in said
    results = json.loads((out / "results.json").read_text())["submissions"]
    assert len(results) == 3 and len({one["points"] for one in results}) == 1
    page = (out / "class_report.html").read_text(encoding="utf-8")
    assert "Questions at the ends of the chapters" in page
    assert "The question that was missed most" in (out / "lesson.html").read_text(encoding="utf-8")
