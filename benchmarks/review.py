"""Every item that `course review` can make: is each one answerable, and how soon is it there?

python -m benchmarks.review                  makes all items, looks for faults, counts and times
python -m benchmarks.review --look 200       and prints a sample of 200, to be read
python -m benchmarks.review --write          and writes figures to benchmarks/results/review.json
python -m benchmarks.review --caught         which check catches which mistake, measured anew, into
                                             benchmarks/results/caught_by.json, which review needs
"""

import argparse
import json
import random
import statistics
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from rich.console import Console

from benchmarks.classroom import solution_of
from course import ROOT
from course.files import write_whole
from course.grading.answers import misconceptions_of
from course.grading.checking import checks_of
from course.grading.code import answer_code
from course.grading.failure import failure_of
from course.learner.items import CAUGHT_BY, NOTHING, Item, keys_of, make_all
from course.learner.review import Deck
from course.learner.review_terminal import answer_lines, question
from course.learner.workspace import Workspace
from course.syllabus import chapters, exercises

RESULTS = ROOT / "benchmarks" / "results" / "review.json"


def faults_of(item: Item) -> list[str]:
    """What is wrong with an item: a choice that the screen does not rule out, or no answer."""
    found = []
    if item.answer not in item.choices or NOTHING not in item.choices:
        found.append("the right answer is not offered")
    if len(set(item.choices)) != len(item.choices):
        found.append("a choice is offered twice")
    if len(item.choices) < 4:
        found.append(f"only {len(item.choices)} choices")
    if item.code and (item.code == item.sound) == bool(item.key.mistake) and item.key.mistake:
        found.append("the code with the mistake is the sound code")
    if item.code and item.key.mistake and not item.places:
        found.append("no line differs")
    for choice in item.choices:
        if choice in (item.answer, NOTHING):
            continue
        other = item.instead(choice)
        if item.look and (other is None or not other.differs(item.shown)):
            found.append(f"{choice!r} looks the same")
        if item.code and other == item.code:
            found.append(f"{choice!r} is the same code")
    return [f"{item.key}: {fault}" for fault in found]


def measure_caught(wanted: list[str]) -> None:
    """Write down which checks catch which known wrong answer."""
    caught = json.loads(CAUGHT_BY.read_text()) if CAUGHT_BY.is_file() else {}
    for exercise_id in wanted:
        checks = checks_of(exercise_id)
        caught[exercise_id] = [
            [
                number
                for number, check in enumerate(checks)
                if failure_of(check, answer_code(answer).observe(check, 0), 0) is not None
            ]
            for answer in misconceptions_of(exercise_id)
        ]
        rows = (f' "{e.id}": {json.dumps(caught[e.id])}' for e in exercises() if e.id in caught)
        write_whole(CAUGHT_BY, "{\n" + ",\n".join(rows) + "\n}\n")
        print(
            f"{exercise_id}: {len(caught[exercise_id])} mistakes, {len(checks)} checks", flush=True
        )


def time_a_deck(count: int) -> list[float]:
    """Seconds to each next item, in a warm process, for a learner whose exercises all pass."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "exercises"
        workspace = Workspace(place)
        results = {e.id: {"status": "passed"} for e in exercises()}
        for chapter in chapters():
            (place / f"{chapter.name}.py").write_text(solution_of(chapter), encoding="utf-8")
        for exercise in exercises():
            results[exercise.id]["key"] = workspace.key(exercise.chapter)
        workspace.state.write("progress.json", results)
        deck, times = Deck(workspace), []
        deck.warm_up()
        for _ in range(count):
            start = time.perf_counter()
            item = deck.next()
            times.append(time.perf_counter() - start)
            deck.answer(item, item.answer)
    return times


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--write", action="store_true", help="write the figures")
    parser.add_argument("--caught", action="store_true", help="measure which check catches what")
    parser.add_argument("--only", help="exercises, as 1.2,3.1; all if left out")
    parser.add_argument("--look", type=int, default=0, help="print so many items and their answers")
    parser.add_argument("--seed", type=int, default=0, help="of the inputs")
    options = parser.parse_args()
    wanted = options.only.split(",") if options.only else [e.id for e in exercises()]
    if options.caught:
        measure_caught(wanted)
    items = [item for i in wanted for key in keys_of(i) for item in make_all(key, options.seed)]
    faults = [fault for item in items for fault in faults_of(item)]
    kinds = Counter(type(item.shown).__name__ if item.look else "code" for item in items)
    keys = [str(key) for i in wanted for key in keys_of(i)]
    missing = sorted(set(keys) - {str(item.key) for item in items})
    sound = sum(not item.key.mistake for item in items)
    print(f"{len(items)} items, {sound} of them sound: {dict(kinds)}")
    print(f"{len(keys) - len(missing)} of {len(keys)} subjects have one; without: {len(missing)}")
    for fault in faults:
        print(f"fault: {fault}")
    console = Console(width=100, markup=False, highlight=False, emoji=False)
    for number, item in enumerate(random.Random(options.seed).sample(items, options.look)):
        console.rule(f"{number + 1}: {item.key}")
        for part in (*question(item), *answer_lines(item, item.choices[0])):
            console.print(part)
    if not options.only:
        times = time_a_deck(100)
        figures = {
            "items": len(items),
            "sound": sound,
            "kinds": dict(kinds),
            "seconds to the next item": {
                "median": round(statistics.median(times), 3),
                "largest of 100": round(max(times), 3),
            },
        }
        print(json.dumps(figures, indent=1))
        if options.write:
            write_whole(RESULTS, json.dumps(figures, indent=1) + "\n")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
