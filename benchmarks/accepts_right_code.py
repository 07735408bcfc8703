"""Do the checks ever reject right code? Every equivalent, with many inputs and threads.

python -m benchmarks.accepts_right_code                  20 seeds, 2 of them with 2 threads as well
python -m benchmarks.accepts_right_code --only 03        one chapter

Judged are the right answers in checks/equivalents/ and the reference itself. Each seed draws other
inputs for every check. Run it under the oldest and the newest torch that the course supports:
benchmarks/results/accepts_right_code.json holds a record for each version, and keeps each chapter
as soon as it is measured.
"""

import argparse
import json
import sys

import torch
from tqdm import tqdm

from course import ROOT
from course.grading.answers import Answer, equivalents_of
from course.grading.checking import checks_of
from course.grading.code import answer_code, reference
from course.grading.grader import judge
from course.probing import tampering
from course.syllabus import PASSED, Chapter, chapters, find_chapter

RESULTS = ROOT / "benchmarks" / "results" / "accepts_right_code.json"


def rejections(answer: Answer, seed: int) -> list[str]:
    """The messages of the checks that reject this answer."""
    code = answer_code(answer)
    outcomes = [judge(check, code, seed) for check in checks_of(answer.exercise)]
    return [outcome.message() for outcome in outcomes if outcome.status != PASSED]


def right_answers(chapter: Chapter) -> list[Answer]:
    """The chapter's equivalents, and the reference as one more for each exercise."""
    found = []
    for exercise in chapter.exercises:
        module = reference().chapter(chapter.name)
        symbols = {symbol: getattr(module, symbol) for symbol in exercise.symbols}
        found += [Answer(exercise.id, "the reference", "", symbols), *equivalents_of(exercise.id)]
    return found


def measure(chapter: Chapter, seeds: dict[int, int]) -> dict:
    """How often the chapter's right answers were judged, and every message that rejected one.

    Args:
        chapter: whose answers.
        seeds: how many draws of the inputs, for each number of threads.
    """
    answers, rejected, judged = right_answers(chapter), [], 0
    for threads, count in seeds.items():
        tampering.THREADS = threads
        what = f"{chapter.number}, {threads} threads"
        for seed in tqdm(range(count), desc=what, leave=False, disable=None):
            for answer in answers:
                found = rejections(answer, seed)
                judged += len(checks_of(answer.exercise))
                rejected += [f"{answer.name}, seed {seed}: {text}" for text in found]
    return {
        "chapter": f"{chapter.number} {chapter.title}",
        "answers": len(answers),
        "seeds by threads": {str(threads): count for threads, count in seeds.items()},
        "verdicts": judged,
        "rejected": rejected,
    }


def keep(record: dict) -> None:
    """Put a chapter's record into the results' file, below the version of torch."""
    known = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {}
    version = torch.__version__.split("+")[0]
    known.setdefault(f"torch {version}", {})[record["chapter"]] = record
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(known, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def table(records: list[dict]) -> list[str]:
    """The records as Markdown."""
    lines = ["| chapter | right answers | verdicts | wrongly rejected |", "|---|---|---|---|"]
    for record in records:
        cells = (record["chapter"], record["answers"], record["verdicts"], len(record["rejected"]))
        lines.append(f"| {' | '.join(map(str, cells))} |")
    return lines


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seeds", type=int, default=20, help="draws of the inputs, 1 thread")
    parser.add_argument("--two-threads", type=int, default=2, help="of them, with 2 as well")
    parser.add_argument("--only", help='a chapter, such as "03"')
    options = parser.parse_args()

    torch.set_num_threads(1)
    chosen = [find_chapter(options.only)] if options.only else chapters()
    records = []
    for chapter in chosen:
        records.append(measure(chapter, {1: options.seeds, 2: options.two_threads}))
        keep(records[-1])
    print(f"torch {torch.__version__}")
    print(*table(records), sep="\n")
    for record in records:
        print(*record["rejected"], sep="\n")
    return 1 if any(record["rejected"] for record in records) else 0


if __name__ == "__main__":
    sys.exit(main())
