"""Mistakes that somebody made up from the docstrings alone: are they caught, and named?

python -m benchmarks.plausible                   all chapters, as a table
python -m benchmarks.plausible --only 02 --show
python -m benchmarks.plausible --write           into benchmarks/results/plausible.json

benchmarks/plausible/ holds the bank, a file for each chapter: wrong and right answers, written by
readers of the exercises who had seen neither checks nor solutions. Each wrong one has one mistake,
which its `thought` puts into words. Each stands behind the reference's other functions.

A name is right or wrong as benchmarks.naming has it: right if the answer does the same as the known
answer on two other draws of all inputs, too.
"""

import argparse
import json
import sys
import tomllib
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import torch
from tqdm import tqdm

from benchmarks.naming import CAUGHT, SECONDS, fate_of
from course import ROOT
from course.grading.apart import run_apart
from course.grading.recognition import warm_up
from course.syllabus import Chapter, chapters, find_exercise, select_all

BANK = Path(__file__).with_suffix("")
RESULTS = ROOT / "benchmarks" / "results" / "plausible.json"
WRONG, MISSED, RIGHT, REJECTED = "wrong answers", "not caught", "right answers", "rejected"
COLUMNS = (WRONG, MISSED, *CAUGHT, RIGHT, REJECTED)


@dataclass(frozen=True)
class Entry:
    """An answer of the bank."""

    exercise: str
    thought: str  # what its author did or believed
    right: bool
    code: str


def bank_of(chapter: Chapter) -> list[Entry]:
    path = BANK / f"ch{chapter.number}.toml"
    if not path.is_file():
        return []
    content = tomllib.loads(path.read_text(encoding="utf-8"))
    return [Entry(**answer) for answer in content["answer"]]


def fate(entry: Entry, chapter: Chapter) -> tuple[str, str]:
    """What became of an answer, one of COLUMNS, and the name that it got."""
    solution = (ROOT / "solutions" / f"{chapter.name}.py").read_text(encoding="utf-8")
    source, exercise = f"{solution}\n\n{entry.code}", find_exercise(entry.exercise)
    found = run_apart(lambda: fate_of(source, exercise), SECONDS)
    kind, name = found if found else ("by itself", "")  # it did not come to an end
    if entry.right:
        return (REJECTED, name) if kind else (RIGHT, "")
    return kind or MISSED, name


def measure(chapter: Chapter, wanted: set[str], show: bool) -> Counter:
    """What became of a chapter's bank."""
    counts: Counter[str] = Counter()
    entries = [entry for entry in bank_of(chapter) if entry.exercise in wanted]
    for exercise in sorted({entry.exercise for entry in entries}):
        warm_up(exercise)
    for entry in tqdm(entries, leave=False, disable=None):
        counts[RIGHT if entry.right else WRONG] += 1
        kind, name = fate(entry, chapter)
        if kind == RIGHT:
            continue
        counts[kind] += 1
        if show:
            print(f"{entry.exercise} {kind} {name!r}: {entry.thought}", flush=True)
    return counts


def table(records: dict[str, dict[str, int]]) -> list[str]:
    """Markdown with a line for each chapter and one for all."""
    lines = [
        "| chapter | wrong answers | caught | named rightly | named wrongly | say it themselves "
        "| no name | right answers | accepted |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    total: Counter[str] = Counter()
    for chapter in chapters():
        if here := Counter(records.get(chapter.number, {})):
            total += here
            lines.append(row(f"{chapter.number} {chapter.title}", here))
    return [*lines, row("all", total)]


def row(title: str, counts: Counter) -> str:
    caught = [counts[kind] for kind in CAUGHT]
    accepted = counts[RIGHT] - counts[REJECTED]
    cells = [title, counts[WRONG], sum(caught), *caught, counts[RIGHT], accepted]
    return f"| {' | '.join(map(str, cells))} |"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--only", help='chapters and exercises, such as "01,2.3"')
    parser.add_argument("--show", action="store_true", help="print what became of each")
    parser.add_argument("--write", action="store_true", help=f"write {RESULTS.relative_to(ROOT)}")
    options = parser.parse_args()

    torch.set_num_threads(1)
    wanted = {exercise.id for exercise in select_all(options.only)}
    part = [
        c for c in chapters() if 0 < len({e.id for e in c.exercises} & wanted) < len(c.exercises)
    ]
    if options.write and part:
        parser.error(
            "--write takes whole chapters: a part would take the place of a chapter's figures"
        )
    known = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {}
    records = {}
    for chapter in chapters():
        if counts := measure(chapter, wanted, options.show):
            records[chapter.number] = {column: counts[column] for column in COLUMNS}
    print(*table(records), sep="\n")
    if options.write:
        RESULTS.write_text(json.dumps(known | records, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
