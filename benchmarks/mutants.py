"""Measure the checks with systematic mutants: which small changes to the reference pass them?

python -m benchmarks.mutants                     all chapters, as a table
python -m benchmarks.mutants --chapter 01 --exercises --survivors
python -m benchmarks.mutants --exercise 1.2 --survivors
python -m benchmarks.mutants --write             results into benchmarks/results/mutants.json

For every exercise, the definitions that the learner writes are changed in one place at a time, and
the exercise's checks run, in their order, on the chapter's file with the change in it. Changed is
everything inside the definitions of the exercise's symbols, default values and decorators included,
but for docstrings, annotations, and what the skeleton hands to the learner: guards at the top of a
function, super().__init__(), and in 4.4 the part above "Yours to write". The rules are in
benchmarks.operators.

A mutant that a check rejects is killed; so is one that does not import, runs too long, or ends its
process. A survivor that is listed in benchmarks/equivalent_mutants.toml, with the reason why it is
as right as the reference, counts as equivalent.

    score = killed / (all - equivalent)

Each mutant runs in a forked process of its own, with limits on time and memory.
"""

import argparse
import collections
import contextlib
import json
import multiprocessing
import os
import resource
import sys
import time
import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from pathlib import Path
from types import ModuleType

import torch
from tqdm import tqdm

from benchmarks.mutator import Mutant, mutants_of
from course import ROOT
from course.grading.checking import Check, checks_of
from course.grading.code import LoadedCode, reference_evidence
from course.grading.failure import failure_of
from course.syllabus import Exercise, chapters, exercises, number_of, select

EQUIVALENTS = ROOT / "benchmarks" / "equivalent_mutants.toml"
RESULTS = ROOT / "benchmarks" / "results" / "mutants.json"
SURVIVED, NO_IMPORT, TOO_LONG, CRASH = "", "its import", "the time limit", "the end of its process"
BROKEN = "an error inside the check: "
MEMORY = 4 * 2**30  # bytes of data that one mutant may hold


def passes(check: Check, code: LoadedCode, seed: int) -> bool:
    """Does the check accept this code? Without asking which misconception it shows."""
    seen = code.observe(check, seed)
    return not seen.unwritten and failure_of(check, seen, seed) is None


# Running


def killer_of(mutant: Mutant, seed: int) -> str:
    """What rejects the mutant, such as the title of a check; SURVIVED if nothing does."""
    path = f"<mutant of {mutant.exercise}>"
    module = ModuleType("_mutant")
    sys.modules["_mutant"] = module  # dataclasses look their module up here
    try:
        exec(compile(mutant.source, path, "exec"), module.__dict__)
    except Exception:
        return NO_IMPORT
    for check in checks_of(mutant.exercise):
        try:
            if not passes(check, LoadedCode(module, path), seed):
                return check.title
        except Exception as error:
            return f"{BROKEN}{check.title}: {type(error).__name__}: {error}"
    return SURVIVED


def _work(connection: Connection, mutant: Mutant, seed: int) -> None:
    """The life of a child process."""
    with contextlib.suppress(ValueError, OSError):  # not every system has this limit
        resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))
    silence = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silence, 1)
    os.dup2(silence, 2)
    connection.send(killer_of(mutant, seed))


def run(
    mutants: Iterable[Mutant], seed: int = 0, jobs: int = 1, seconds: float = 20.0
) -> Iterator[tuple[Mutant, str]]:
    """Each mutant with what kills it, `jobs` at a time, in the order in which they end."""
    processes = multiprocessing.get_context("fork")
    waiting, running = iter(mutants), {}
    while True:
        while len(running) < jobs and (mutant := next(waiting, None)):
            ours, theirs = processes.Pipe(duplex=False)
            process = processes.Process(target=_work, args=(theirs, mutant, seed), daemon=True)
            process.start()
            theirs.close()
            running[ours] = (mutant, process, time.monotonic() + seconds)
        if not running:
            return
        first_deadline = min(deadline for _, _, deadline in running.values())
        ended = wait(list(running), max(0.0, first_deadline - time.monotonic()))
        for connection, (mutant, process, deadline) in list(running.items()):
            if connection in ended:
                killer = _received(connection)
            elif time.monotonic() >= deadline:
                killer = TOO_LONG
            else:
                continue
            process.kill()
            process.join()
            connection.close()
            del running[connection]
            yield mutant, killer


def _received(connection: Connection) -> str:
    try:
        return connection.recv()
    except EOFError:  # the process ended without a word
        return CRASH


# Counting


@dataclass(frozen=True)
class Equivalent:
    """An entry of the list of mutants that are as right as the reference."""

    exercise: str
    mutation: str
    reason: str
    operator: str = ""  # only needed if two mutants have the same description

    def fits(self, mutant: Mutant) -> bool:
        return (
            self.exercise == mutant.exercise
            and self.mutation == mutant.description
            and self.operator in ("", mutant.operator)
        )


@dataclass
class Tally:
    """What became of one exercise's mutants."""

    exercise: Exercise
    killers: collections.Counter[str] = field(default_factory=collections.Counter)
    equivalent: list[Mutant] = field(default_factory=list)
    survivors: list[Mutant] = field(default_factory=list)


def read_equivalents(path: Path = EQUIVALENTS) -> list[Equivalent]:
    content = tomllib.loads(path.read_text(encoding="utf-8"))
    return [Equivalent(**entry) for entry in content.get("equivalent", [])]


def tally(
    exercise: Exercise, fates: list[tuple[Mutant, str]], equivalents: list[Equivalent]
) -> Tally:
    """Sort the mutants of one exercise into killed, equivalent and survivors."""
    result = Tally(exercise)
    for mutant, killer in fates:
        if mutant.exercise != exercise.id:
            continue
        if killer:
            result.killers[killer] += 1
        elif any(entry.fits(mutant) for entry in equivalents):
            result.equivalent.append(mutant)
        else:
            result.survivors.append(mutant)
    return result


def complaints(fates: list[tuple[Mutant, str]], equivalents: list[Equivalent]) -> list[str]:
    """What is wrong with the list of equivalents, and checks that fail to reach a verdict."""
    found = []
    for entry in equivalents:
        name = f"{EQUIVALENTS.name}: {entry.exercise} {entry.mutation}"
        killers = [killer for mutant, killer in fates if entry.fits(mutant)]
        if not killers:
            found.append(f"{name}: no mutant is described like this")
        if len(killers) > 1:
            found.append(
                f"{name}: {len(killers)} mutants are described like this, name an operator"
            )
        found += [f"{name}: is killed by {killer}" for killer in killers if killer]
        if not entry.reason.strip():
            found.append(f"{name}: has no reason")
    for mutant, killer in fates:
        if killer.startswith(BROKEN):
            found.append(f"{in_words(mutant)}: {killer}")
    return found


# Reporting


def in_words(mutant: Mutant) -> str:
    return f"{mutant.exercise} [{mutant.operator}] {mutant.description}"


def counts(tallies: list[Tally]) -> dict[str, int]:
    killed = sum(tally.killers.total() for tally in tallies)
    equivalent = sum(len(tally.equivalent) for tally in tallies)
    survived = sum(len(tally.survivors) for tally in tallies)
    total = killed + equivalent + survived
    return {"mutants": total, "killed": killed, "equivalent": equivalent, "survived": survived}


def row(title: str, tallies: list[Tally]) -> str:
    """One line of the Markdown table."""
    numbers = counts(tallies)
    judged = numbers["mutants"] - numbers["equivalent"]
    score = f"{numbers['killed'] / judged:.1%}" if judged else "-"
    return " | ".join([f"| {title}", *map(str, numbers.values()), f"{score} |"])


def chapter_table(tallies: list[Tally]) -> list[str]:
    """Markdown with a line for each chapter, and one for all."""
    lines = []
    for chapter in chapters():
        here = [tally for tally in tallies if tally.exercise in chapter.exercises]
        lines += [row(f"{chapter.number} {chapter.title}", here)] if here else []
    return [*head("chapter"), *lines, row("all", tallies)]


def exercise_table(tallies: list[Tally]) -> list[str]:
    """Markdown with a line for each exercise."""
    return [*head("exercise"), *(row(f"{t.exercise.id} {t.exercise.title}", [t]) for t in tallies)]


def head(first: str) -> list[str]:
    """The first two lines of a Markdown table."""
    return [
        f"| {first} | mutants | killed | equivalent | survived | score |",
        "|---|---|---|---|---|---|",
    ]


def write(tallies: list[Tally], path: Path = RESULTS) -> None:
    """Put the tallies into the results' file; what it holds of other exercises stays."""
    known = json.loads(path.read_text(encoding="utf-8")) if path.exists() else []
    records = {record["exercise"]: record for record in known}
    for tally in tallies:
        records[tally.exercise.id] = {
            "exercise": tally.exercise.id,
            **counts([tally]),
            "killed_by": dict(sorted(tally.killers.items())),
            "survivors": [
                {"operator": mutant.operator, "mutation": mutant.description}
                for mutant in tally.survivors
            ],
        }
    path.parent.mkdir(exist_ok=True)
    content = [records[exercise] for exercise in sorted(records, key=number_of)]
    path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


# The command


def measure(
    chosen: tuple[Exercise, ...], seed: int, jobs: int, seconds: float
) -> list[tuple[Mutant, str]]:
    """All mutants of these exercises with what kills them, in the order of the source.

    Raises:
        RuntimeError: if the reference itself does not pass when it is run like a mutant.
    """
    originals, mutants = [], []
    for exercise in chosen:
        source = (ROOT / "solutions" / f"{exercise.chapter}.py").read_text(encoding="utf-8")
        originals.append(Mutant(exercise.id, "none", "the reference itself", source))
        mutants += mutants_of(source, exercise)
        for check in checks_of(exercise.id):
            reference_evidence(check, seed)  # forked processes find it in the cache
    for original, killer in run(originals, seed, jobs, seconds):
        if killer:
            raise RuntimeError(f"{in_words(original)} is killed by {killer}")
    tqdm.monitor_interval = (
        0  # which would start a thread, and a process with threads is not forked
    )
    fates = dict(
        tqdm(run(mutants, seed, jobs, seconds), total=len(mutants), unit="mutant", mininterval=1)
    )
    return [(mutant, fates[mutant]) for mutant in mutants]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--exercise", help='only this one, such as "1.2"')
    which.add_argument("--chapter", help='only this one, such as "01"')
    parser.add_argument("--exercises", action="store_true", help="a line for each exercise")
    parser.add_argument("--survivors", action="store_true", help="print every survivor")
    parser.add_argument("--write", action="store_true", help=f"write {RESULTS.relative_to(ROOT)}")
    parser.add_argument("--seed", type=int, default=0, help="of the checks' inputs")
    parser.add_argument("--jobs", type=int, default=1, help="processes at a time")
    parser.add_argument("--seconds", type=float, default=20.0, help="time limit of a mutant")
    options = parser.parse_args()

    torch.set_num_threads(1)
    chosen = select(options.exercise or options.chapter)
    fates = measure(chosen, options.seed, options.jobs, options.seconds)
    left_out = {exercise.id for exercise in exercises()} - {exercise.id for exercise in chosen}
    equivalents = [entry for entry in read_equivalents() if entry.exercise not in left_out]
    tallies = [tally(exercise, fates, equivalents) for exercise in chosen]

    print(*chapter_table(tallies), sep="\n")
    if options.exercises:
        print("", *exercise_table(tallies), sep="\n")
    if options.survivors:
        print("", *(in_words(mutant) for one in tallies for mutant in one.survivors), sep="\n")
    if options.write:
        write(tallies)
    wrong = complaints(fates, equivalents)
    for line in wrong:
        print(line, file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
