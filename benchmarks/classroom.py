"""A class of 200 submissions of mixed quality, graded in the sandbox: right verdicts, and how fast?

python -m benchmarks.classroom                   two jobs, as a table
python -m benchmarks.classroom --only 01,02      these chapters
python -m benchmarks.classroom --write           into benchmarks/results/classroom.json

20 submissions are hostile (tests/hostile.py). Each chapter of the others is drawn at random:
solved, left as a skeleton, missing, broken by a syntax error, or solved with up to two exercises
replaced by known wrong or known right answers. What the verdicts have to be follows from how the
submission was made.
"""

import argparse
import ast
import json
import platform
import random
import resource
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from benchmarks.naming import first_failure
from course import ROOT
from course.classroom.batch import Batch
from course.classroom.collecting import collect
from course.classroom.results import SubmissionResult
from course.grading.answers import Answer, equivalents_of, misconceptions_of
from course.grading.code import answer_code
from course.grading.source import names_used
from course.learner.skeletons import skeleton
from course.syllabus import FAILED, NOT_WRITTEN, PASSED, Chapter, chapters, select_all
from tests.hostile import HONEST_POINTS, HOSTILE

RESULTS = ROOT / "benchmarks" / "results" / "classroom.json"

# What is expected of an exercise: its status and, if it is certain, the misconception's name.
Expected = dict[str, tuple[str, str]]


def solution_of(chapter: Chapter) -> str:
    return (ROOT / "solutions" / f"{chapter.name}.py").read_text(encoding="utf-8")


# Known answers that can stand in a submission


def base_text(chapter: Chapter, kind: str) -> str:
    """The solved chapter, and behind it what known answers need: `ref` and their helpers.

    Args:
        chapter: whose solution.
        kind: of the known answers, "misconceptions" or "equivalents".
    """
    parts = [solution_of(chapter), "import types", "ref = types.SimpleNamespace(**globals())"]
    tree = ast.parse((ROOT / "checks" / kind / f"{chapter.name}.py").read_text("utf-8"))
    parts += [ast.unparse(node) for node in tree.body if _is_helper(node)]
    return "\n\n".join(parts) + "\n"


def _is_helper(node: ast.stmt) -> bool:
    """Is this part of a file of known answers needed by them, and no answer itself?"""
    if isinstance(node, ast.ImportFrom):
        return node.module not in ("course.grading.answers", "solutions")
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        return not any(ast.unparse(d).startswith("answers.") for d in node.decorator_list)
    if isinstance(node, ast.Assign):
        return ast.unparse(node.targets[0]) != "answers"
    return isinstance(node, ast.Import)


def text_of(answer: Answer) -> str:
    """The answer's own code, without the lines that register it."""
    if answer.text:
        return answer.text + "\n"
    texts = []
    for node in ast.parse(Path(answer.file).read_text(encoding="utf-8")).body:
        for decorator in getattr(node, "decorator_list", ()):
            names = [getattr(argument, "value", "") for argument in getattr(decorator, "args", ())]
            if names[:2] == [answer.exercise, answer.name]:
                node.decorator_list.remove(decorator)
                texts.append(ast.unparse(node))
    return "\n\n".join(texts) + "\n"


# Making a class


def write_chapter(folder: Path, chapter: Chapter, draw: random.Random) -> Expected:
    """Write one chapter of a submission, in a state drawn at random; what is expected of it."""
    file = folder / f"{chapter.name}.py"
    kinds = ["misconceptions", "equivalents", "solved", "skeleton", "missing", "broken"]
    kind = draw.choices(kinds, [5, 3, 2, 2, 1, 1])[0]
    if kind == "missing":
        return {e.id: (FAILED, "") for e in chapter.exercises}
    if kind == "skeleton":
        file.write_text(skeleton(chapter.name), encoding="utf-8")
        return {e.id: (NOT_WRITTEN, "") for e in chapter.exercises}
    if kind == "broken":
        text = solution_of(chapter).replace("return ", "return (", 1)
        file.write_text(text, encoding="utf-8")
        return {e.id: (FAILED, "") for e in chapter.exercises}
    expected = {e.id: (PASSED, "") for e in chapter.exercises}
    if kind == "solved":
        file.write_text(solution_of(chapter), encoding="utf-8")
        return expected
    text = base_text(chapter, kind)
    for exercise in draw.sample(chapter.exercises, 2):
        wrong = kind == "misconceptions"
        answer = draw.choice((misconceptions_of if wrong else equivalents_of)(exercise.id))
        text += f"\n\n{text_of(answer)}"  # stands behind the solution's, so it is the one
        if wrong:
            _, seen = first_failure(answer_code(answer), exercise.id)
            expected[exercise.id] = (FAILED, "" if seen.raised else answer.name)
    file.write_text(text, encoding="utf-8")
    return _without_followers(expected, chapter, file)


def _without_followers(expected: Expected, chapter: Chapter, file: Path) -> Expected:
    """Leave out exercises that call one that fails: whether they fail too is not certain."""
    failing = {
        symbol
        for exercise in chapter.exercises
        if expected[exercise.id][0] == FAILED
        for symbol in exercise.symbols
    }
    return {
        exercise.id: expected[exercise.id]
        for exercise in chapter.exercises
        if not names_used(file, exercise.symbols) & failing
    }


def make_class(
    folder: Path, size: int, draw: random.Random, handed_in: list[Chapter]
) -> dict[str, Expected]:
    """Write all submissions; what is expected of each that is not hostile."""
    # As many as 20, spread over all kinds of tricks.
    hostile = [HOSTILE[i * len(HOSTILE) // 20] for i in range(20)]
    for trick in hostile:
        trick.write(folder / f"hostile {trick.name}")
    expected = {}
    for number in range(size - len(hostile)):
        name = f"learner {number:03d}"
        (folder / name).mkdir()
        expected[name] = {}
        for chapter in handed_in:
            expected[name] |= write_chapter(folder / name, chapter, draw)
        if not any((folder / name).iterdir()):
            del expected[name]  # nothing in it: told as a problem
    return expected


# Comparing


def compare(results: list[SubmissionResult], expected: dict[str, Expected]) -> dict:
    """How many verdicts are right, and which are not."""
    counts: Counter[str] = Counter()
    wrong = []

    def count(kind: str, right: bool, say: Callable[[], str]) -> None:
        counts[kind] += 1
        counts[f"{kind} right"] += right
        if not right:
            wrong.append(say())

    for result in results:
        if result.name.startswith("hostile"):
            own = sum(e.points for e in result.exercises if e.id.startswith("4."))
            right = result.points == own and own in (0, HONEST_POINTS) and not result.problem
            count("hostile", right, lambda r=result: f"{r.name}: {r.points} points {r.problem}")
            continue
        by_id = {exercise.id: exercise for exercise in result.exercises}
        for exercise_id, (status, name) in expected.get(result.name, {}).items():
            found = by_id[exercise_id]
            say = f"{result.name} {exercise_id}: {found.status}, expected {status} {name}"
            count("verdicts", found.status == status, lambda s=say: s)
            if name and found.status == FAILED:
                say = f"{result.name} {exercise_id}: {found.misconception!r} for {name!r}"
                count("names", found.misconception == name, lambda s=say: s)
    return {**counts, "wrong": wrong}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--size", type=int, default=200, help="submissions, 20 of them hostile")
    parser.add_argument("--only", help='chapters, such as "01,02"; all if left out')
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0, help="of the class, not of the inputs")
    parser.add_argument("--write", action="store_true", help=f"write {RESULTS.relative_to(ROOT)}")
    options = parser.parse_args()

    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "class"
        folder.mkdir()
        wanted = select_all(options.only)
        handed_in = [c for c in chapters() if set(c.exercises) <= set(wanted)]
        expected = make_class(folder, options.size, random.Random(options.seed), handed_in)
        out = Path(place) / "out"
        collection = collect([folder], out / "collected")
        batch = Batch(collection, out, wanted=wanted, jobs=options.jobs)
        start = time.monotonic()
        results = batch.grade()
        seconds = time.monotonic() - start
        computed = sum(
            used.ru_utime + used.ru_stime
            for used in map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
        )
    found = compare(results, expected)
    record = {
        "chapters": " ".join(chapter.number for chapter in handed_in),
        "submissions": len(results),
        "sandbox": batch.sandbox.box.name,
        "jobs": options.jobs,
        "seconds": round(seconds),
        "submissions a minute": round(60 * len(results) / seconds, 1),
        "processor seconds of one": round(computed / len(results), 1),
        "median seconds of one": sorted(r.seconds for r in results)[len(results) // 2],
        "python": platform.python_version(),
        **found,
    }
    for key, value in record.items():
        print(f"{key}: {value if key != 'wrong' else len(value)}")
    print(*found["wrong"], sep="\n")
    if options.write:
        RESULTS.parent.mkdir(exist_ok=True)
        RESULTS.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    return 1 if found["wrong"] else 0


if __name__ == "__main__":
    sys.exit(main())
