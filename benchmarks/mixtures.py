"""Code with two mistakes at once: does the message name at least one of them?

python -m benchmarks.mixtures                    all exercises, as a table
python -m benchmarks.mixtures --exercise 2.3 --show
python -m benchmarks.mixtures --write            into benchmarks/results/mixtures.json

Mixed are mutants of the reference (see benchmarks.mutants) whose mistake the checks name when it
stands alone. Two of them that change different lines and have different names make a mixture; of
each exercise's mixtures a sample is judged. A mixture counts as named if the message holds the
name of one of its two mistakes, and as near if it holds another name.
"""

import argparse
import ast
import itertools
import json
import random
import sys
from collections import Counter
from types import ModuleType

import torch
from tqdm import tqdm

from benchmarks.mutator import Mutant, mutants_of
from course import ROOT
from course.grading.apart import run_apart
from course.grading.checking import checks_of
from course.grading.code import LoadedCode
from course.grading.grader import Outcome, judge
from course.grading.recognition import warm_up
from course.syllabus import FAILED, Exercise, exercises, find_exercise

RESULTS = ROOT / "benchmarks" / "results" / "mixtures.json"
SECONDS = 30.0
FATES = ("named", "near", "unnamed", "not caught")


def verdict(exercise: Exercise, source: str) -> Outcome | None:
    """The first failure of a chapter file with this text, or the last pass; None if it crashed."""

    def judge_all() -> Outcome:
        module, path = ModuleType("_mixture"), "<mixture>"
        sys.modules["_mixture"] = module  # dataclasses look their module up here
        exec(compile(source, path, "exec"), module.__dict__)
        for check in checks_of(exercise.id):
            outcome = judge(check, LoadedCode(module, path))
            if outcome.status == FAILED:
                break
        return outcome

    return run_apart(judge_all, SECONDS)


def mix(reference: str, one: str, other: str) -> str | None:
    """The text with both changes; None if they touch the same line or move lines."""
    texts = [ast.unparse(ast.parse(text)).splitlines() for text in (reference, one, other)]
    if len({len(lines) for lines in texts}) > 1:
        return None
    mixed = []
    for before, first, second in zip(*texts):
        if first != before and second != before:
            return None
        mixed.append(first if first != before else second)
    return "\n".join(mixed) + "\n"


def measure(exercise: Exercise, most: int, tried: int, draw: random.Random) -> list[dict]:
    """What became of a sample of an exercise's mixtures, made of a sample of its mutants."""
    source = (ROOT / "solutions" / f"{exercise.chapter}.py").read_text(encoding="utf-8")
    warm_up(exercise.id)
    mutants = mutants_of(source, exercise)
    named: list[tuple[Mutant, str]] = []
    chosen = draw.sample(mutants, min(len(mutants), tried))
    for mutant in tqdm(chosen, leave=False, disable=None):
        outcome = verdict(exercise, mutant.source)
        if outcome and outcome.misconception and not outcome.partly:
            named.append((mutant, outcome.misconception))
    pairs = [
        (names, mixed, f"{a.description}  AND  {b.description}")
        for (a, name_a), (b, name_b) in itertools.combinations(named, 2)
        if len(names := {name_a, name_b}) == 2 and (mixed := mix(source, a.source, b.source))
    ]
    found = []
    for names, mixed, description in draw.sample(pairs, min(len(pairs), most)):
        outcome = verdict(exercise, mixed)
        fate = "unnamed"
        if outcome and outcome.status != FAILED:
            fate = "not caught"
        elif outcome and outcome.misconception:
            fate = "named" if outcome.misconception in names else "near"
        message = outcome.message() if outcome else ""
        found.append({"fate": fate, "mixture": description, "message": message})
    return found


def row(title: str, fates: Counter) -> str:
    """One line of the Markdown table."""
    return f"| {title} | {fates.total()} | {' | '.join(str(fates[fate]) for fate in FATES)} |"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--exercise", help='only this one, such as "1.2"')
    parser.add_argument("--most", type=int, default=40, help="mixtures of an exercise")
    parser.add_argument("--mutants", type=int, default=10_000, help="tried of an exercise")
    parser.add_argument("--show", action="store_true", help="print those that are not named")
    parser.add_argument("--write", action="store_true", help=f"write {RESULTS.relative_to(ROOT)}")
    options = parser.parse_args()

    torch.set_num_threads(1)
    chosen = (find_exercise(options.exercise),) if options.exercise else exercises()
    print(f"| exercise | mixtures | {' | '.join(FATES)} |")
    print("|---|---|---|---|---|---|")
    total: Counter[str] = Counter()
    records = {}
    for exercise in chosen:
        found = measure(exercise, options.most, options.mutants, random.Random(exercise.id))
        fates = Counter(one["fate"] for one in found)
        total += fates
        records[exercise.id] = {fate: fates[fate] for fate in FATES}
        print(row(f"{exercise.id} {exercise.title}", fates), flush=True)
        for one in found:
            if options.show and one["fate"] != "named":
                print(f"\n{one['fate']}: {one['mixture']}\n{one['message']}\n")
    print(row("all", total))
    if options.write:
        RESULTS.parent.mkdir(exist_ok=True)
        RESULTS.write_text(json.dumps(records, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
