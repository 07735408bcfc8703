"""The notebooks in a real browser: every cell runs, sliders move the pictures, cards appear.

Chromium is driven at the keyboard: in JupyterLab for every second chapter, in Notebook 7 for the
others, in Voilà for the explorer.
"""

import re
import shutil

import pytest

from benchmarks.classroom import base_text, text_of
from benchmarks.naming import first_failure
from course import ROOT
from course.grading.answers import misconceptions_of
from course.grading.code import answer_code
from course.syllabus import find_chapter, find_exercise

pytest.importorskip("playwright", reason="needs playwright: pip install -e '.[test]'")
from playwright.sync_api import expect, sync_playwright

from tests.browser import (
    CHROMIUM,
    FLAGS,
    Jupyter,
    LabTab,
    NotebookTab,
    Tab,
    Voila,
    digest_of_picture,
)
from tests.notebooks import (
    CHAPTERS,
    MOVE_EVERY_SLIDER,
    assert_that_all_ran,
    assert_that_its_text_is_the_stored_one,
)

expect.set_options(timeout=60_000)  # milliseconds; it waits no longer than it must
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium: apt install chromium")

# Two groups, so that two workers share the chapters; each has a server and a browser of its own.
# What the two make of a notebook differs, but not by chapter, so each chapter runs in one of them.
IN_LAB, IN_NOTEBOOK = (
    [pytest.param(p, id=p.stem, marks=pytest.mark.xdist_group(group)) for p in paths]
    for paths, group in ((CHAPTERS[::2], "browser 0"), (CHAPTERS[1::2], "browser 1"))
)

# Asked of the kernel: the slider number {number}, and what it must show at a position.
IMPORTS = """
from hashlib import sha256
from course.pages.notebook import SliderPicture

def state_of(picture):
    return picture.slider.description, picture.slider.index, len(picture.slider.options)

def drawn_afresh(picture, index):
    value = picture.slider.options[index]
    return str(value), picture.caption(value), sha256(picture.png(value)).hexdigest()
"""
STATE = "state_of(SliderPicture.made[{number}])"
FRESH = "drawn_afresh(SliderPicture.made[{number}], {index})"


@pytest.fixture(scope="module")
def jupyter(tmp_path_factory):
    server = Jupyter(tmp_path_factory.mktemp("jupyter"))
    yield server
    server.close()


@pytest.fixture(scope="module")
def chromium():
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield chromium
        chromium.close()


def window(chromium):
    """A window of its own: Chromium lets a page sleep that lies behind another in its window."""
    window = chromium.new_context(viewport={"width": 1280, "height": 1000})
    window.set_default_timeout(120_000)
    return window


@pytest.fixture(scope="module")
def browser(chromium):
    return window(chromium)


@pytest.fixture(scope="module")
def lab(chromium, jupyter):
    page = window(chromium).new_page()
    page.goto(jupyter.address("lab"))
    page.wait_for_function("() => window.jupyterapp")
    return page


@pytest.mark.parametrize("path", IN_LAB)
def test_a_chapter_in_jupyterlab(path, lab, jupyter):
    with LabTab(lab, path.name) as tab:
        work_through(tab, path, jupyter.exercises)


@pytest.mark.parametrize("path", IN_NOTEBOOK)
def test_a_chapter_in_notebook_7(path, browser, jupyter):
    with NotebookTab(browser, jupyter.address(f"notebooks/{path.name}")) as tab:
        work_through(tab, path, jupyter.exercises)
        if path == CHAPTERS[1]:  # Run All can be used again
            tab.ask_kernel("SliderPicture.made.clear()", IMPORTS)
            work_through(tab, path, jupyter.exercises, fresh=False)


def work_through(tab, path, exercises, fresh=True):
    notebook = tab.run_all(seconds=240)
    assert_that_all_ran(notebook, fresh)
    cells, pictures = notebook.cells, 0
    for number, cell in enumerate(cells):
        if "SliderPicture(" in source(cell):
            move_the_slider(tab, number, pictures)
            pictures += 1
    assert pictures == tab.ask_kernel("len(SliderPicture.made)", IMPORTS)
    checks = [number for number, cell in enumerate(cells) if source(cell).startswith("check(")]
    assert checks
    try_an_exercise(tab, checks[0], source(cells[checks[0]]), exercises)
    tab.ask_kernel("None", MOVE_EVERY_SLIDER)
    assert_that_its_text_is_the_stored_one(notebook, path)


def source(cell) -> str:
    return cell.source if cell.cell_type == "code" else ""


def move_the_slider(tab, number, picture):
    """By one step and then to an end: each time the browser shows what belongs to the value."""
    cell = tab.go_to(number)
    name, start, count = tab.ask_kernel(STATE.format(number=picture), IMPORTS)
    slider = cell.get_by_role("slider", name=name)
    readout, image = cell.locator(".widget-readout"), cell.locator("img")
    last = count - 1
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


def try_an_exercise(tab, number, code, folder):
    """The card of an exercise that is not written, then wrong, then right: written, saved, run."""
    exercise = find_exercise(code.removeprefix('check("').removesuffix('")'))
    base = base_text(find_chapter(exercise.chapter), "misconceptions")
    mistake = next(  # one that is named: after an exception none is
        known
        for known in misconceptions_of(exercise.id)
        if not first_failure(answer_code(known), exercise.id)[1].raised
    )
    card = tab.go_to(number).get_by_role("status")
    expect(card).to_contain_text(f"○ {exercise.id} {exercise.title}: not written yet.")
    wrong = f"{base}\n\n{text_of(mistake)}"
    right = (ROOT / "solutions" / f"{exercise.chapter}.py").read_text("utf-8")
    try:
        for text, said in ((wrong, mistake.help), (right, "checks pass.")):
            (folder / f"{exercise.chapter}.py").write_text(text, encoding="utf-8")
            tab.run_cell(number)
            expect(card).to_contain_text(said)
    finally:
        shutil.rmtree(folder)  # for the next notebook nothing is written


@pytest.mark.xdist_group("browser 1")
@pytest.mark.parametrize("app", ["lab", "voila"])
def test_the_explorer_draws_stops_and_hands_out_files(app, request, browser, tmp_path):
    if app == "lab":
        with LabTab(request.getfixturevalue("lab"), "explorer.ipynb") as tab:
            assert_that_all_ran(tab.run_all(seconds=240))
            tab.go_to(1)
            explore(tab.page)
        return
    pytest.importorskip("voila", reason="needs Voilà: pip install -e '.[explore]'")
    server = Voila(tmp_path, "explorer.ipynb")
    try:
        with Tab(browser, server.url("")) as tab:
            explore(tab.page)
    finally:
        server.close()


def explore(page):
    """Draw sevens, look at the film, keep the files, and stop a long walk."""
    picture = page.locator(".course-widget img")
    expect(picture).to_be_visible(timeout=120_000)
    words = page.locator(".course-widget").get_by_role("status")
    expect(words).to_contain_text("asked for 0 to 9")
    before = digest_of_picture(picture)
    page.get_by_label("digit").select_option("7")
    page.get_by_role("slider", name="steps").press("Home")
    page.get_by_role("button", name="Draw").click()
    expect(words).to_contain_text("asked for 7: w = 1, 2 steps of 2m, seed 4")
    expect(picture).to_have_attribute("alt", re.compile("moment 2 of 2"))
    drawn = digest_of_picture(picture)
    page.get_by_role("slider", name="moment").press("Home")
    expect(picture).to_have_attribute("alt", re.compile("moment 1 of 2"))
    assert len({before, drawn, digest_of_picture(picture)}) == 3
    for name, head in (("digits.png", b"\x89PNG"), ("walk.gif", b"GIF89a")):
        with page.expect_download() as download:
            page.get_by_role("link", name=f"Download {name}").click()
        assert download.value.suggested_filename == name
        assert download.value.path().read_bytes().startswith(head)
    page.get_by_label("sampler").select_option("ancestral")
    page.get_by_role("slider", name="steps").press("End")
    page.get_by_role("button", name="Draw").click()
    page.get_by_role("button", name="Stop").click()  # waits until it can be pressed
    expect(words).to_contain_text(re.compile(r"stopped after \d+ of 200 steps"))
    expect(page.get_by_role("button", name="Draw")).to_be_enabled()
