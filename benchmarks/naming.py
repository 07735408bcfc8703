"""Does a message name the mistake that was made, and only that?

python -m benchmarks.naming                      all exercises, as a table
python -m benchmarks.naming --exercise 2.3 --show
python -m benchmarks.naming --write              into benchmarks/results/naming.json

Two banks of wrong code, each with one mistake:

- Known answers, each withheld in its turn: with its own name out of the list, no other name may
  take its place. One that does is wrong.
- Mutants of the reference (see benchmarks.mutants), a sample of each exercise's. A name is right if
  the mutant does the same as the known answer on two other draws of all inputs too, which the
  naming did not see; otherwise it is wrong.

Of a mutant without a name it is told apart whether the message names the mistake by itself: the
code raised an error, or returned None, a wrong type or a wrong dtype. The others are missing a
name. Mutants that no check catches are not counted.
"""

import argparse
import json
import random
import sys
from collections import Counter
from types import ModuleType
from typing import Any

import torch
from torch import Tensor
from tqdm import tqdm

from benchmarks.mutator import mutants_of
from course import ROOT
from course.grading.answers import misconceptions_of
from course.grading.apart import run_apart
from course.grading.checking import Check, checks_of
from course.grading.code import Code, LoadedCode, answer_code, reference_evidence
from course.grading.failure import failure_of
from course.grading.recognition import recognise, warm_up
from course.probing.observing import Observation
from course.syllabus import Exercise, chapters, exercises, find_exercise

RESULTS = ROOT / "benchmarks" / "results" / "naming.json"
SECONDS = 60.0
OTHER_DRAWS = (1, 2)
WITHHELD, OTHERS_NAME = "withheld", "named as another"
CAUGHT = ("right", "wrong", "by itself", "no name")
COLUMNS = (WITHHELD, OTHERS_NAME, *CAUGHT)


def first_failure(code: Code, exercise_id: str) -> tuple[Check, Observation] | None:
    """The check that the code fails first, and what it saw; None if it passes them all."""
    for check in checks_of(exercise_id):
        seen = code.observe(check, seed=0)
        if seen.unwritten or failure_of(check, seen, seed=0):
            return check, seen
    return None


def withheld(exercise: Exercise) -> list[tuple[str, str]]:
    """The exercise's known answers, each with the name that it gets without its own."""
    found = []
    for known in misconceptions_of(exercise.id):
        code = answer_code(known)
        check, seen = first_failure(code, exercise.id)
        taken = recognise(code, check, seen, seed=0, withheld=known.name)
        found.append((known.name, taken.name if taken else ""))
    return found


def fate_of(source: str, exercise: Exercise) -> tuple[str, str]:
    """What became of a mutant: one of CAUGHT, or nothing if no check fails, and its name."""
    module, path = ModuleType("_mutant"), "<mutant>"
    sys.modules["_mutant"] = module  # dataclasses look their module up here
    exec(compile(source, path, "exec"), module.__dict__)
    code = LoadedCode(module, path)
    failed = first_failure(code, exercise.id)
    if not failed:
        return "", ""
    check, seen = failed
    known = recognise(code, check, seen, seed=0)
    if known:
        agrees = all(
            recognise(code, check, code.observe(check, seed), seed, only=known.name)
            for seed in OTHER_DRAWS
        )
        return "right" if agrees else "wrong", known.name
    by_itself = seen.raised or other_kind(seen.evidence, reference_evidence(check, seed=0))
    return "by itself" if by_itself else "no name", ""


def other_kind(seen: Any, right: Any) -> bool:
    """Is there None, another type or another dtype in the place of what should be there?"""
    if isinstance(seen, dict) and isinstance(right, dict):
        return any(other_kind(seen.get(key), right[key]) for key in right)
    if isinstance(seen, list | tuple) and isinstance(right, list | tuple):
        return any(map(other_kind, seen, right))
    if isinstance(seen, Tensor) and isinstance(right, Tensor):
        return seen.dtype != right.dtype
    return type(seen) is not type(right)


def measure(exercise: Exercise, most: int, show: bool) -> Counter:
    """What became of an exercise's known answers and of a sample of its mutants."""
    warm_up(exercise.id)
    fates: Counter[str] = Counter()
    for name, taken in withheld(exercise):
        fates[WITHHELD] += 1
        fates[OTHERS_NAME] += bool(taken)
        if show and taken:
            print(f"{exercise.id} {name!r} is named {taken!r}", flush=True)
    source = (ROOT / "solutions" / f"{exercise.chapter}.py").read_text(encoding="utf-8")
    mutants = mutants_of(source, exercise)
    chosen = random.Random(exercise.id).sample(mutants, min(len(mutants), most))
    for mutant in tqdm(chosen, leave=False, disable=None):
        fate, name = run_apart(lambda m=mutant: fate_of(m.source, exercise), SECONDS) or ("", "")
        if fate:
            fates[fate] += 1
        if show and fate in ("wrong", "no name"):
            print(f"{exercise.id} {fate} {name}: {mutant.description}", flush=True)
    return fates


# Reporting


def table(records: dict[str, dict[str, int]]) -> list[str]:
    """Markdown with a line for each chapter and one for all."""
    lines = [
        "| chapter | known answers withheld | named as another | mutants caught | named rightly "
        "| named wrongly | say it themselves | no name |",
        "|---|---|---|---|---|---|---|---|",
    ]
    total: Counter[str] = Counter()
    for chapter in chapters():
        here: Counter[str] = Counter()
        for exercise in chapter.exercises:
            here.update(records.get(exercise.id, {}))
        total += here
        if here:
            lines.append(row(f"{chapter.number} {chapter.title}", here))
    return [*lines, row("all", total)]


def row(title: str, fates: Counter) -> str:
    """One line of the Markdown table."""
    caught = [fates[fate] for fate in CAUGHT]
    cells = [title, fates[WITHHELD], fates[OTHERS_NAME], sum(caught), *caught]
    return f"| {' | '.join(map(str, cells))} |"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--exercise", help='only this one, such as "1.2"')
    parser.add_argument("--most", type=int, default=20, help="mutants of an exercise")
    parser.add_argument("--show", action="store_true", help="print wrong and missing names")
    parser.add_argument("--write", action="store_true", help=f"write {RESULTS.relative_to(ROOT)}")
    options = parser.parse_args()

    torch.set_num_threads(1)
    chosen = (find_exercise(options.exercise),) if options.exercise else exercises()
    known = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {}
    records = {}
    for exercise in chosen:
        fates = measure(exercise, options.most, options.show)
        records[exercise.id] = {column: fates[column] for column in COLUMNS}
    print(*table(records), sep="\n")
    if options.write:
        content = {e.id: (known | records)[e.id] for e in exercises() if e.id in known | records}
        RESULTS.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
