"""`course ask 01`: a chapter's three questions in a terminal."""

from rich.console import Console
from rich.text import Text

from course import CourseError
from course.grading.questions import Question, judge, questions_of
from course.learner.questions import Answers

LETTERS = "abcdefgh"
WORDS = {
    "number": "A number (Enter: go on; q: stop): ",
    "choice": "A letter (Enter: go on; q: stop): ",
    "sentence": "In a sentence (Enter: go on; q: stop): ",
}


def run(chapter: str, answers: Answers, console: Console) -> None:
    """Ask one question after the other, each until it is right or the learner goes on."""
    for number, question in enumerate(questions_of(chapter), start=1):
        console.print(Text(f"{number}. {question.ask}", "bold"))
        for letter, option in zip(LETTERS, question.options):
            console.print(Text(f"  {letter}  {option.text}"))
        try:
            while typed := console.input(WORDS[question.kind]).strip():
                if typed in ("q", "quit"):
                    return
                if _answered(question, typed, answers, console):
                    break
        except EOFError:
            return
        if not typed:
            console.print(Text(f"The answer: {question.solution}"))
        console.print()


def _answered(question: Question, typed: str, answers: Answers, console: Console) -> bool:
    """Judge and keep what was typed; whether nothing more is to be said to this question."""
    options = {letter: option.text for letter, option in zip(LETTERS, question.options)}
    answer = options.get(typed.lower(), typed)
    try:
        judged = judge(question, answer)
        answers.keep(question, answer)
    except CourseError as error:
        console.print(Text(str(error)))
        return False
    if judged.right is None:
        console.print(Text(f"A good answer: {judged.says}"))
        same = console.input("Does yours say the same? (y or n) ").strip().lower()
        answers.keep(question, answer, same.startswith("y") if same else None)
        return True
    head = ("✔ right", "green") if judged.right else ("✘ not yet", "red")
    console.print(Text.assemble(head, " ", judged.says))
    return judged.right
