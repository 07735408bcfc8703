"""Do the checks ever reject right code? Every equivalent, with many inputs and threads.

python -m benchmarks.equivalents                  20 seeds, 1 and 2 threads, as a table
python -m benchmarks.equivalents --write          adds a record to benchmarks/results

Judged are the right answers in checks/equivalents/ and the reference itself. Each seed draws other
inputs for every check. Run it under the oldest and the newest torch that the course supports; the
results' file holds a record for each version.
"""

import argparse
import json
import platform
import sys

import torch
from tqdm import tqdm

from course import ROOT, observing
from course.answers import Answer
from course.catalogue import Chapter, chapters
from course.grading import (
    PASSED,
    Overlay,
    checks_of,
    equivalents_of,
    judge,
    overlay,
    reference,
)

RESULTS = ROOT / "benchmarks" / "results" / "equivalents.json"


def rejections(exercise_id: str, impl: Overlay, path: str, seed: int) -> list[str]:
    """The messages of the checks that reject this implementation."""
    outcomes = [judge(check, impl, path, seed) for check in checks_of(exercise_id)]
    return [outcome.message() for outcome in outcomes if outcome.status != PASSED]


def right_answers(chapter: Chapter) -> list[Answer]:
    """The chapter's equivalents, and the reference as one more for each exercise."""
    found = []
    for exercise in chapter.exercises:
        module = reference().chapter(chapter.name)
        symbols = {symbol: getattr(module, symbol) for symbol in exercise.symbols}
        found += [Answer(exercise.id, "the reference", "", symbols), *equivalents_of(exercise.id)]
    return found


def measure(seeds: range, threads: tuple[int, ...]) -> list[dict]:
    """One record a chapter, with the messages of whatever was rejected."""
    records = []
    for chapter in chapters():
        answers, rejected, judged = right_answers(chapter), [], 0
        for number in threads:
            observing.THREADS = number
            for seed in tqdm(seeds, desc=f"{chapter.number}, {number} threads", leave=False):
                for answer in answers:
                    found = rejections(answer.exercise, overlay(answer), answer.file, seed)
                    judged += len(checks_of(answer.exercise))
                    rejected += [f"{answer.name}, seed {seed}: {text}" for text in found]
        records.append(
            {
                "chapter": f"{chapter.number} {chapter.title}",
                "answers": len(answers),
                "verdicts": judged,
                "rejected": rejected,
            }
        )
    return records


def table(records: list[dict]) -> list[str]:
    """The records as Markdown."""
    lines = ["| chapter | right answers | verdicts | wrongly rejected |", "|---|---|---|---|"]
    for record in records:
        cells = (record["chapter"], record["answers"], record["verdicts"], len(record["rejected"]))
        lines.append(f"| {' | '.join(map(str, cells))} |")
    return lines


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seeds", type=int, default=20, help="how many draws of the inputs")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--write", action="store_true", help=f"write {RESULTS.relative_to(ROOT)}")
    options = parser.parse_args()

    records = measure(range(options.seeds), tuple(options.threads))
    print(f"torch {torch.__version__}, {options.seeds} seeds, threads {options.threads}")
    print(*table(records), sep="\n")
    for record in records:
        print(*record["rejected"], sep="\n")
    if options.write:
        known = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {}
        version = torch.__version__.split("+")[0]
        known[f"torch {version}"] = {
            "python": platform.python_version(),
            "seeds": options.seeds,
            "threads": options.threads,
            "chapters": records,
        }
        RESULTS.parent.mkdir(exist_ok=True)
        RESULTS.write_text(json.dumps(known, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    return 1 if any(record["rejected"] for record in records) else 0


if __name__ == "__main__":
    sys.exit(main())
