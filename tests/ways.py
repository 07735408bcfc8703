"""The two ways that docs/maintaining.md describes, traced; tests/test_repository.py runs this."""

import re
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from course import ROOT
from course.cli import main
from course.model import training
from course.model.data import load_images
from course.model.training import PRESETS


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def ways(heading: str) -> list[tuple[str, str]]:
    """The (file, function) pairs of a numbered list of calls, in its order."""
    section = read("docs/maintaining.md").split(f"## {heading}\n")[1].split("\n## ")[0]
    steps = re.findall(r"^\d+\. `([^`]+)`: ((?:`[^`]+`(?:, )?)+)", section, re.MULTILINE)
    assert len(steps) == len(re.findall(r"^\d+\. ", section, re.MULTILINE)) > 5
    return [(file, name) for file, names in steps for name in re.findall("`([^`]+)`", names)]


@pytest.fixture
def calls():
    """What of this repository is called, as (file, function), in the order of the first calls."""
    found = {}

    def note(frame, event, argument):
        path = Path(frame.f_code.co_filename)
        if event == "call" and path.is_relative_to(ROOT):
            found[path.relative_to(ROOT).as_posix(), frame.f_code.co_qualname] = None

    sys.setprofile(note)
    yield found
    sys.setprofile(None)


def assert_called_in_this_order(named: list[tuple[str, str]], calls: dict) -> None:
    missing = [call for call in named if call not in calls]
    assert missing == [], "docs/maintaining.md names what is not called"
    assert named == [call for call in calls if call in named], "the order of docs/maintaining.md"


def test_the_way_of_a_check_is_as_described(calls, tmp_path, monkeypatch, capsys):
    reference = read("solutions/ch02_forward_process.py")
    wrong = reference.replace("torch.sqrt(1 - alpha_bar) * eps", "(1 - alpha_bar) * eps")
    (tmp_path / "exercises").mkdir()
    (tmp_path / "exercises" / "ch02_forward_process.py").write_text(wrong, encoding="utf-8")
    monkeypatch.setenv("COURSE_EXERCISES", str(tmp_path / "exercises"))
    monkeypatch.delattr("os.fork")  # so that all is called in this process
    assert main(["check", "2.3"]) == 1
    assert "looks like the noise multiplied by its variance" in capsys.readouterr().out
    assert_called_in_this_order(ways("The way of `course check 2.3`"), calls)


def test_the_way_of_a_batch_is_as_described(calls, tmp_path, monkeypatch, solutions):
    # Whatever images there are without the internet.
    monkeypatch.setattr(
        training, "load_images", lambda name, train=True, **_: load_images("auto", train)
    )
    preset = replace(PRESETS["smoke"], epochs=1, images_per_epoch=32, sample_steps=2)
    training.Run(tmp_path, preset, solutions, device="cpu", quiet=True).train()
    assert_called_in_this_order(ways("The way of a batch `x0` through training"), calls)
