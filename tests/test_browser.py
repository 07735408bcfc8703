"""The notebooks in a real browser: every cell runs, sliders move the pictures, cards appear.

Chromium is driven at the keyboard in JupyterLab for every notebook, in Notebook 7 for chapter 01.
"""

import shutil

import pytest

from benchmarks.classroom import base_text, text_of
from course import ROOT
from course.catalogue import find_chapter
from course.grading import misconceptions_of

pytest.importorskip("playwright", reason="needs playwright: pip install -e '.[test]'")
from playwright.sync_api import expect, sync_playwright

from tests.browser import CHROMIUM, FLAGS, Jupyter, Tab, digest_of_picture

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium: apt install chromium")

NOTEBOOKS = sorted(path.name for path in (ROOT / "chapters").glob("*.ipynb"))
WIDGET = "application/vnd.jupyter.widget-view+json"

# What the picture number {number} must show at each value, drawn afresh in the kernel.
STATE = "(lambda p: (p.slider.description, p.slider.index, p.slider.options))(SliderPicture.made[{number}])"
FRESH = (
    "(lambda p, v: (str(v), p.caption(v), sha256(png_bytes(p.draw(v))).hexdigest()))"
    "(SliderPicture.made[{number}], SliderPicture.made[{number}].slider.options[{index}])"
)
IMPORTS = """
from hashlib import sha256
from course.notebook import SliderPicture
from course.pictures import png_bytes
"""


@pytest.fixture(scope="module")
def jupyter(tmp_path_factory):
    server = Jupyter(tmp_path_factory.mktemp("jupyter"))
    yield server
    server.close()


@pytest.fixture(scope="module")
def browser():
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield chromium
        chromium.close()


@pytest.mark.parametrize(
    ("app", "notebook"),
    [*(("lab", name) for name in NOTEBOOKS), ("notebook", "01_noise_schedule.ipynb")],
)
def test_a_chapter_in_the_browser(browser, jupyter, app, notebook):
    with Tab(browser, jupyter, app, notebook) as tab:
        cells = tab.run_all(seconds=240)
        assert_that_all_ran(cells)
        pictures = 0
        for number, cell in enumerate(cells):
            if "SliderPicture(" in source(cell):
                move_the_slider(tab, number, pictures)
                pictures += 1
        assert pictures == tab.ask_kernel("len(SliderPicture.made)", IMPORTS)
        checks = [number for number, cell in enumerate(cells) if source(cell).startswith("check(")]
        for number in checks[:1]:
            card = tab.go_to(number).get_by_role("status")
            expect(card).to_contain_text("not written yet")


def source(cell) -> str:
    return cell["source"] if cell["cell_type"] == "code" else ""


def assert_that_all_ran(cells):
    """Each code cell ran, in order, and none of them raised an error."""
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    errors = [
        (cell["source"], output["ename"], output["evalue"])
        for cell in code
        for output in cell["outputs"]
        if output["output_type"] == "error"
    ]
    assert not errors
    assert [cell["execution_count"] for cell in code] == list(range(1, len(code) + 1))


def move_the_slider(tab, number, picture):
    """By one step and then to an end: each time the browser shows what belongs to the value."""
    cell = tab.go_to(number)
    name, start, options = tab.ask_kernel(STATE.format(number=picture), IMPORTS)
    slider = cell.get_by_role("slider", name=name)
    readout, image = cell.locator(".widget-readout"), cell.locator("img")
    last = len(options) - 1
    moves = [("ArrowRight", start + 1) if start < last else ("ArrowLeft", start - 1)]
    moves += [("Home", 0) if start > last / 2 else ("End", last)]
    seen = {digest_of_picture(image)}
    for key, index in moves:
        value, words, digest = tab.ask_kernel(FRESH.format(number=picture, index=index), IMPORTS)
        slider.press(key)
        expect(readout).to_have_text(value)
        expect(image).to_have_attribute("alt", words)
        expect(cell.get_by_text(words)).to_be_visible()
        expect(slider).to_have_attribute("aria-valuetext", value)
        assert digest_of_picture(image) == digest, f"the picture is not that of {name} = {value}"
        seen.add(digest)
    assert len(seen) == 3, f"moving {name} leaves the picture as it was"


def test_the_card_of_an_exercise_unfinished_right_and_wrong(browser, jupyter):
    """A learner writes, saves, and runs the cell below the box again."""
    name, exercise = "ch01_noise_schedule.py", "1.1"
    mistake = misconceptions_of(exercise)[0]
    right = (ROOT / "solutions" / name).read_text(encoding="utf-8")
    wrong = f"{base_text(find_chapter('01'), 'misconceptions')}\n\n{text_of(mistake)}"
    with Tab(browser, jupyter, "lab", "01_noise_schedule.ipynb") as tab:
        cells = tab.run_all(seconds=240)
        number = next(n for n, cell in enumerate(cells) if source(cell) == f'check("{exercise}")')
        for text, said in (
            (None, "○ 1.1 The linear schedule: not written yet."),
            (right, "checks pass."),
            (wrong, mistake.help),
        ):
            if text is not None:
                (jupyter.exercises / name).write_text(text, encoding="utf-8")
                tab.run_cell(number)
            expect(tab.go_to(number).get_by_role("status")).to_contain_text(said)
        shutil.rmtree(jupyter.exercises)  # for the other tests nothing is written
