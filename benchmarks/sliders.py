"""How long from moving a slider to its new picture, in a notebook's warm kernel?

python -m benchmarks.sliders                     all notebooks, as a table
python -m benchmarks.sliders chapters/01*.ipynb  some of them
python -m benchmarks.sliders --write             into benchmarks/results/sliders.json

Each notebook runs from top to bottom as a new learner's would. Then each of its sliders goes
through all its values, twice: the first time each picture is drawn, the second time it is there
already. The clock runs from setting the slider's value to the new picture in its widget; the way
to the browser is not counted.
"""

import argparse
import json
import os
import platform
import statistics
import sys
from pathlib import Path

from course import ROOT
from course.pages.build_notebooks import execute

RESULTS = ROOT / "benchmarks" / "results" / "sliders.json"
BAR = 100  # milliseconds, in the median, for a picture that has to be drawn

MOVE_AND_TIME = """
import json as _json, time as _time
from course.pages.notebook import SliderPicture
for _picture in SliderPicture.made:
    _first, _again = [], []
    _slider = _picture.slider
    _others = [value for value in _slider.options if value != _slider.value]
    for _times in (_first, _again):
        for _value in _others:
            _before, _start = _picture.image.value, _time.perf_counter()
            _slider.value = _value
            assert _picture.image.value != _before
            _times.append(1000 * (_time.perf_counter() - _start))
    print(_json.dumps({"name": _slider.description, "first": _first, "again": _again}))
"""


def slider_times(path: Path) -> list[dict]:
    """For each slider of a notebook its name and the milliseconds of its first and second moves."""
    outputs = execute(path, last_cell=MOVE_AND_TIME).cells[-1].outputs
    text = "".join(output.text for output in outputs if output.get("name") == "stdout")
    return [json.loads(line) for line in text.splitlines()]


def summary(times: list[float]) -> dict[str, float]:
    return {"median": round(statistics.median(times), 1), "largest": round(max(times), 1)}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("notebooks", nargs="*", type=Path, help="all of chapters/ if left out")
    parser.add_argument("--write", action="store_true", help=f"write {RESULTS.relative_to(ROOT)}")
    options = parser.parse_args()

    print("| notebook | slider | values | drawn: median ms | largest ms | again: median ms |")
    print("|---|---|---|---|---|---|")
    records = []
    for path in options.notebooks or sorted((ROOT / "chapters").glob("*.ipynb")):
        for slider in slider_times(path):
            record = {
                "notebook": path.stem,
                "slider": slider["name"],
                "values": len(slider["first"]) + 1,
                "drawn": summary(slider["first"]),
                "again": summary(slider["again"]),
            }
            records.append(record)
            numbers = [*record["drawn"].values(), record["again"]["median"]]
            texts = [*map(str, list(record.values())[:3]), *(f"{number:.1f}" for number in numbers)]
            print(f"| {' | '.join(texts)} |", flush=True)
    if options.write:
        content = {
            "machine": f"{os.cpu_count()} cores, {platform.machine()}",
            "milliseconds": records,
        }
        RESULTS.parent.mkdir(exist_ok=True)
        RESULTS.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    return 0 if all(record["drawn"]["median"] <= BAR for record in records) else 1


if __name__ == "__main__":
    sys.exit(main())
