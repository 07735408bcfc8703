"""Items of `course review`: sound code, or code with one known mistake, to be judged.

An item shows either the code of a function or what the function does in a small call (a look), and
offers names of known mistakes. One that is not the answer is offered only where the screen rules it
out: beside a look, if it would look different; beside code, if a check of the exercise catches it
and lets the code on the screen pass.
"""

import ast
import difflib
import functools
import inspect
import itertools
import json
import linecache
import random
import re
import sys
import textwrap
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from course import ROOT
from course.grading.answers import (
    Answer,
    equivalents_of,
    misconceptions_of,
    reference_code,
)
from course.grading.checking import checks_of, draw_inputs
from course.grading.code import answer_code, reference
from course.grading.failure import PROMISED_FORM, RETURN_MISSING, failure_of
from course.grading.looks import Look, Shown, looks_of
from course.grading.source import find_definition
from course.learner.skeletons import skeleton
from course.syllabus import find_exercise

NOTHING = "nothing is wrong"
MOST_LINES = 40  # of code on one screen
OFFERED = 3  # mistakes beside the right answer
SEEDS = 20  # of a look's inputs
# Which check catches which mistake; measured by python -m benchmarks.review --caught
CAUGHT_BY = ROOT / "benchmarks" / "results" / "caught_by.json"


@dataclass(frozen=True)
class Key:
    """What an item is about: an exercise, and one known mistake or none."""

    exercise: str
    mistake: str = ""  # its name; empty for sound code

    def __str__(self) -> str:
        return f"{self.exercise} {self.mistake}".strip()


@dataclass(frozen=True)
class Item:
    """One question."""

    key: Key
    symbols: tuple[str, ...]  # the functions or classes that are on trial
    promise: str  # what they are to do: their signatures and docstrings
    code: str  # on the screen, or empty
    shown: Shown | None  # on the screen, if there is no code
    choices: tuple[str, ...]
    places: frozenset[int] = frozenset()  # lines of the code with the mistake, from 1
    sound: str | Shown = ""  # the reference's code, or what it shows
    look: Look | None = None
    seed: int = 0

    @property
    def answer(self) -> str:
        return self.key.mistake or NOTHING

    @property
    def help(self) -> str:
        """The sentence that leads out of the mistake."""
        return _named(self.key.exercise, self.key.mistake).help if self.key.mistake else ""

    def instead(self, choice: str) -> str | Shown | None:
        """What the mistake `choice` would have put on the screen; None if that is not known.

        It is known of the reference's code, and not of right code in another style.
        """
        if self.look:
            return _shown(self.key.exercise, choice, self.look, self.seed)
        if self.code != self.sound:
            return None
        answer = _named(self.key.exercise, choice)
        return _code_with(answer, self.symbols) if answer.text else None

    def consequence(self, mistake: str) -> list[tuple[str, str]]:
        """What a check calls, expects and gets that this mistake fails, and few others do.

        A check that only sees evidence of another form, or what becomes of the code on another
        device, has its say if no other has one.
        """
        exercise = self.key.exercise
        answer = _named(exercise, mistake)
        failed = [number for other in _mistakes(exercise) for number in _caught_by(other)]
        for number in sorted(sorted(_caught_by(answer)), key=failed.count):
            check = checks_of(exercise)[number]
            wrong = failure_of(check, answer_code(answer).observe(check, 0), 0)
            if wrong.expected != PROMISED_FORM and "another device" not in check.call:
                break
        called = check.call.format(**draw_inputs(check, 0))
        got = wrong.got.removesuffix(RETURN_MISSING)  # that is for code of one's own
        return [("called", called), ("expected", wrong.expected), ("came back", got)]


def make(key: Key, seed: int) -> Item | None:
    """The item for a key, with inputs and order drawn by the seed; None if none can be made."""
    pick = random.Random(f"{key} {seed}")
    makers: list[Callable[[], Item | None]] = [lambda: _of_code(key, pick)]
    for look in looks_of(key.exercise):
        makers.append(lambda look=look: _of_look(key, look, pick))
    pick.shuffle(makers)
    return next((item for maker in makers if (item := maker())), None)


def make_all(key: Key, seed: int) -> list[Item]:
    """Every item that can be made for a key: of its code, and of each look."""
    looks = (_of_look(key, look, random.Random(seed)) for look in looks_of(key.exercise))
    return [item for item in (_of_code(key, random.Random(seed)), *looks) if item]


def keys_of(exercise_id: str) -> list[Key]:
    """Sound code first, and then each known mistake."""
    return [Key(exercise_id), *(Key(exercise_id, a.name) for a in _mistakes(exercise_id))]


def _mistakes(exercise_id: str) -> list[Answer]:
    """Each misconception in the first of the ways to write it."""
    return [answer for answer in misconceptions_of(exercise_id) if answer.number == 1]


def _named(exercise_id: str, name: str) -> Answer:
    return next(a for a in _mistakes(exercise_id) if a.name == name)


def _choices(answer: str, others: list[str], pick: random.Random) -> tuple[str, ...]:
    """The answer among some of the others, in any order, and "nothing is wrong" last."""
    mistakes = pick.sample(others, min(len(others), OFFERED + (answer == NOTHING)))
    if answer != NOTHING:
        mistakes.append(answer)
    pick.shuffle(mistakes)
    return (*mistakes, NOTHING)


# Looks


@functools.lru_cache(maxsize=2000)
def _shown(exercise_id: str, mistake: str, look: Look, seed: int) -> Shown | None:
    """What a look shows of a mistake, or of the sound code where none is named."""
    if mistake:
        return look.at(answer_code(_named(exercise_id, mistake)).module, seed)
    return look.at(reference().chapter(find_exercise(exercise_id).chapter), seed)


def _of_look(key: Key, look: Look, pick: random.Random) -> Item | None:
    """An item that shows what a function does."""
    seed = pick.randrange(SEEDS)
    sound, shown = (_shown(key.exercise, name, look, seed) for name in ("", key.mistake))
    if sound is None or shown is None or key.mistake and not shown.differs(sound):
        return None

    def can_be_told(name: str) -> bool:
        other = _shown(key.exercise, name, look, seed)
        return other is not None and other.differs(sound) and other.differs(shown)

    # No more mistakes are tried than are offered, for each is code that runs.
    names = [answer.name for answer in _mistakes(key.exercise) if answer.name != key.mistake]
    pick.shuffle(names)
    others = list(itertools.islice(filter(can_be_told, names), OFFERED + (not key.mistake)))
    if len(others) + bool(key.mistake) < OFFERED:
        return None
    return Item(
        key,
        (look.symbol,),
        _promises(key.exercise, (look.symbol,)),
        "",
        shown,
        _choices(key.mistake or NOTHING, others, pick),
        sound=sound,
        look=look,
        seed=seed,
    )


# Code


def _of_code(key: Key, pick: random.Random) -> Item | None:
    """An item that shows code."""
    if key.mistake:
        answer = _named(key.exercise, key.mistake)
        if not answer.text:  # other code throughout, and what it is made of may give it away
            return None
        symbols, code, passes = tuple(answer.symbols), answer.text, _lets_pass(answer)
        sound = "\n\n".join(reference_code(key.exercise)[symbol] for symbol in symbols)
    else:
        symbols = (pick.choice(find_exercise(key.exercise).symbols),)
        sound = reference_code(key.exercise)[symbols[0]]
        code = pick.choice(sound_ways(key.exercise, symbols[0]))
        passes = set(range(len(checks_of(key.exercise))))
    code, sound = _without_shapes(code), _without_shapes(sound)
    others = [
        other.name
        for other in _mistakes(key.exercise)
        if set(other.symbols) <= set(symbols) and _caught_by(other) & passes
        if other.name != key.mistake
    ]
    if len(code.splitlines()) > MOST_LINES or len(others) + bool(key.mistake) < OFFERED:
        return None
    return Item(
        key,
        symbols,
        _promises(key.exercise, symbols),
        code,
        None,
        _choices(key.mistake or NOTHING, others, pick),
        frozenset(changed_lines(sound, code) if key.mistake else ()),
        sound,
    )


def _changes(sound: str, code: str) -> tuple[set[int], set[int]]:
    """Lines of `code`, from 1, that differ, and those after which something was taken out."""
    before, after = sound.splitlines(), code.splitlines()
    lines, gaps = set(), set()
    for kind, _, _, first, last in difflib.SequenceMatcher(
        None, before, after, autojunk=False
    ).get_opcodes():
        if kind == "delete":
            gaps.add(first)
        elif kind != "equal":
            lines |= set(range(first + 1, last + 1))
    return lines, gaps


def changed_lines(sound: str, code: str) -> set[int]:
    """Lines of `code`, from 1, that may be named: those that differ, and those around a gap."""
    lines, gaps = _changes(sound, code)
    last = len(code.splitlines())
    found = lines | {n for gap in gaps for n in (max(gap, 1), min(gap + 1, last))}
    between = {n for n in range(1, last) if {n - 1, n + 1} <= found}  # often an order
    return found | between


def place_of_mistake(item: Item) -> str:
    """Where the mistake is in an item's code, as a sentence without its full stop."""
    lines, gaps = _changes(item.sound, item.code)
    if lines:
        return f"It is in line{'s' if len(lines) > 1 else ''} {_listed(lines)}"
    last = len(item.code.splitlines())
    words = [
        "before line 1"
        if gap == 0
        else f"after line {last}"
        if gap == last
        else f"between lines {gap} and {gap + 1}"
        for gap in sorted(gaps)
    ]
    return f"Something is missing {', and '.join(words)}"


def _listed(numbers: set[int]) -> str:
    """Numbers in words: "5", "1, 9 and 20", "1 to 4 and 8"."""
    runs: list[list[int]] = []
    for number in sorted(numbers):
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    parts: list[str] = []
    for run in runs:
        parts += [f"{run[0]} to {run[-1]}"] if len(run) > 2 else map(str, run)
    *before, last = parts
    return f"{', '.join(before)} and {last}" if before else last


def _without_shapes(code: str) -> str:
    """Code without the shapes at the ends of its lines: in a mistake's line they may be untrue."""
    return re.sub(r" +# \(.*$", "", code.strip("\n"), flags=re.MULTILINE)


def _code_with(answer: Answer, symbols: tuple[str, ...]) -> str:
    """The code of these functions with an edit in it."""
    tree = ast.parse(answer.text)
    texts = dict(reference_code(answer.exercise))
    for symbol in answer.symbols:
        texts[symbol] = _segment(answer.text, find_definition(tree, symbol))
    return "\n\n".join(_without_shapes(texts[symbol]) for symbol in symbols)


def _segment(text: str, node: ast.FunctionDef | ast.ClassDef) -> str:
    """The lines of a definition, decorators included."""
    first = min([node.lineno, *(part.lineno for part in node.decorator_list)])
    return "\n".join(text.splitlines()[first - 1 : node.end_lineno])


@functools.cache
def sound_ways(exercise_id: str, symbol: str) -> list[str]:
    """The reference's code of a function, and right code in other styles that explains itself."""
    ways = [reference_code(exercise_id)[symbol]]
    solution = vars(reference().chapter(find_exercise(exercise_id).chapter))
    for answer in equivalents_of(exercise_id):
        if set(answer.symbols) != {symbol} or answer.text:
            continue
        text = _source_of(answer.symbols[symbol])
        node = ast.parse(text).body[0]
        elsewhere = set(vars(sys.modules[answer.symbols[symbol].__module__])) - set(solution)
        names = {part.id for part in ast.walk(node) if isinstance(part, ast.Name)}
        node.decorator_list = [
            part for part in node.decorator_list if "answers." not in ast.unparse(part)
        ]
        if not names & (elsewhere - {"answers"}):
            first = min([node.lineno, *(part.lineno for part in node.decorator_list)])
            ways.append("\n".join(text.splitlines()[first - 1 :]))
    return ways


def _source_of(symbol: Callable) -> str:
    """The code of a function or class, decorators included.

    inspect.getsource reads a file anew for each class, and of several of one name it finds one.
    """
    methods = vars(symbol).values() if inspect.isclass(symbol) else [symbol]
    codes = [code for m in methods if (code := getattr(inspect.unwrap(m), "__code__", None))]
    lines, definitions = _definitions(codes[0].co_filename)
    inside = codes[0].co_firstlineno
    first, last = next(
        (first, last)
        for name, first, last in definitions
        if name == symbol.__name__ and first <= inside <= last
    )
    return textwrap.dedent("".join(lines[first - 1 : last]))


@functools.cache
def _definitions(file: str) -> tuple[list[str], list[tuple[str, int, int]]]:
    """The lines of a file, and name, first and last line of each function and class in it."""
    lines = linecache.getlines(file)
    nodes = [
        node
        for node in ast.walk(ast.parse("".join(lines)))
        if isinstance(node, ast.FunctionDef | ast.ClassDef)
    ]
    return lines, [
        (node.name, min([node.lineno, *(d.lineno for d in node.decorator_list)]), node.end_lineno)
        for node in nodes
    ]


# What is known of the exercises and their wrong answers


@functools.cache
def _skeleton(chapter: str) -> ast.Module:
    return ast.parse(skeleton(chapter))


@functools.cache
def _promises(exercise_id: str, symbols: Iterable[str]) -> str:
    """What these functions or classes are to do, and what holds for all of the chapter's."""
    docstring = ast.get_docstring(_skeleton(find_exercise(exercise_id).chapter)) or ""
    rules = [part for part in docstring.split("\n\n") if part.startswith("Unless a docstring")]
    return "\n\n".join([*(promise(exercise_id, symbol) for symbol in symbols), *rules])


def promise(exercise_id: str, symbol: str) -> str:
    """A function's or class's signature and docstring, and its methods', as learners read them."""
    definition = find_definition(_skeleton(find_exercise(exercise_id).chapter), symbol)
    parts = [(symbol, definition)]
    if isinstance(definition, ast.ClassDef):
        methods = [part for part in definition.body if isinstance(part, ast.FunctionDef)]
        parts += [(f"{symbol}.{method.name}", method) for method in methods]
    return "\n\n".join(
        "\n".join(filter(None, (_signature(name, part), ast.get_docstring(part))))
        for name, part in parts
    )


def _signature(name: str, node: ast.FunctionDef | ast.ClassDef) -> str:
    if isinstance(node, ast.ClassDef):
        return f"class {name}"
    return f"{name}({ast.unparse(node.args)})"


@functools.cache
def _caught() -> dict[str, list[list[int]]]:
    return json.loads(CAUGHT_BY.read_text(encoding="utf-8"))


def _caught_by(answer: Answer) -> set[int]:
    """The numbers of the checks that a known wrong answer fails."""
    rows = _caught().get(answer.exercise, [])
    number = misconceptions_of(answer.exercise).index(answer)
    return set(rows[number]) if number < len(rows) else set()


def _lets_pass(answer: Answer) -> set[int]:
    return set(range(len(checks_of(answer.exercise)))) - _caught_by(answer)
