"""How long from saving a file to reading the verdict? In `course watch`, and in a notebook.

python -m benchmarks.latency                     all exercises, as a table
python -m benchmarks.latency --write             into benchmarks/results/latency.json

For each exercise the file is saved with the reference's answer and with known wrong ones in turn.
For `course watch` the clock runs, in a terminal, from the end of the save to the last line of the
verdict's screen; for the notebook, around `check("1.2")` in a warm process. The wrong answers are
new to each process, as a learner's are; what the watch does beforehand to be warm is not counted.
"""

import argparse
import json
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks.classroom import base_text, solution_of, text_of
from course import ROOT
from course.grading.answers import misconceptions_of
from course.syllabus import Exercise, exercises, find_chapter
from tests.terminal import Terminal

RESULTS = ROOT / "benchmarks" / "results" / "latency.json"
LAST_LINE = "q quit"
BAR = 1.5  # seconds, in the median


def saves(exercise: Exercise, count: int) -> Iterator[str]:
    """Texts of the chapter's file: wrong, right, wrong, right, ..."""
    chapter = find_chapter(exercise.chapter)
    base, known = base_text(chapter, "misconceptions"), misconceptions_of(exercise.id)
    for number in range(count):
        if number % 2:
            yield solution_of(chapter)
        else:
            answer = known[(number // 2) * len(known) // (count // 2 + 1)]
            yield f"{base}\n\n{text_of(answer)}"


def watch_times(exercise: Exercise, count: int) -> list[float]:
    """Seconds from save to verdict in `course watch`."""
    with tempfile.TemporaryDirectory() as folder:
        terminal = Terminal("watch", exercise.id, exercises=Path(folder) / "exercises")
        terminal.wait_for(LAST_LINE)
        file = Path(folder) / "exercises" / f"{exercise.chapter}.py"

        def save_and_wait(text: str) -> None:
            file.write_text(text, encoding="utf-8")
            terminal.wait_for(LAST_LINE)

        times = [_timed(save_and_wait, text) for text in saves(exercise, count)]
        terminal.press("q")
        terminal.close()
    return times


def notebook_times(exercise: Exercise, count: int) -> list[float]:
    """Seconds of `check("1.2")` after a save, in this process."""
    from course.pages.notebook import check

    with tempfile.TemporaryDirectory() as folder:
        os.environ["COURSE_EXERCISES"] = str(Path(folder) / "exercises")
        file = Path(folder) / "exercises" / f"{exercise.chapter}.py"
        file.parent.mkdir()

        def save_and_check(text: str) -> None:
            file.write_text(text, encoding="utf-8")
            check(exercise.id)._repr_html_()

        times = [_timed(save_and_check, text) for text in saves(exercise, count)]
        del os.environ["COURSE_EXERCISES"]
    return times


def _timed(function: Callable[[str], None], text: str) -> float:
    start = time.perf_counter()
    function(text)
    return time.perf_counter() - start


def summary(times: list[float]) -> dict[str, float]:
    return {
        "median": round(statistics.median(times), 2),
        "largest": round(max(times), 2),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--saves", type=int, default=6, help="of each exercise")
    parser.add_argument("--write", action="store_true", help=f"write {RESULTS.relative_to(ROOT)}")
    options = parser.parse_args()

    print("| exercise | watch: median s | largest s | notebook: median s | largest s |")
    print("|---|---|---|---|---|")
    records, in_watch, in_notebook = {}, [], []
    for exercise in exercises():
        watched = watch_times(exercise, options.saves)
        checked = notebook_times(exercise, options.saves)
        in_watch, in_notebook = in_watch + watched, in_notebook + checked
        records[exercise.id] = {"watch": summary(watched), "notebook": summary(checked)}
        print(_row(exercise.id, watched, checked), flush=True)
    records["all"] = {"watch": summary(in_watch), "notebook": summary(in_notebook)}
    print(_row("all", in_watch, in_notebook))
    if options.write:
        content = {
            "machine": f"{os.cpu_count()} cores, {platform.machine()}",
            "saves of each exercise": options.saves,
            "seconds": records,
        }
        RESULTS.parent.mkdir(exist_ok=True)
        RESULTS.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    return 0 if max(records["all"][kind]["median"] for kind in ("watch", "notebook")) <= BAR else 1


def _row(title: str, watched: list[float], checked: list[float]) -> str:
    numbers = [*summary(watched).values(), *summary(checked).values()]
    return f"| {title} | {' | '.join(f'{number:.2f}' for number in numbers)} |"


if __name__ == "__main__":
    sys.exit(main())
