"""The web book: it builds without a warning, and works in a browser without the internet."""

import functools
import importlib.util
import json
import re
import shutil
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

import nbformat
import pytest
import torch
from bs4 import BeautifulSoup
from playwright.sync_api import expect, sync_playwright

from course import ROOT, CourseError
from course.cli import main
from course.model.models import (
    SHIPPED,
    SHIPPED_FEW,
    SHIPPED_PROMPTS,
    build_schedule,
    load_model,
)
from course.model.prompts import prompted
from course.model.sampling import eps_network, fast_walk, few_steps_grid, labelled
from course.pages import book
from course.pages.book import POSITIONS, build, chosen, glossary, slider_pictures
from course.syllabus import chapters
from tests.browser import CHROMIUM, FLAGS

NOTEBOOKS = sorted((ROOT / "chapters").glob("*.ipynb"))


# Running every notebook takes minutes. These stand for all: two of sliders that the book computes
# itself, and one of stored pictures.
COMPUTED = [path for path in NOTEBOOKS if path.stem[:2] in ("01", "02")]
DRAWN = next(path for path in NOTEBOOKS if path.stem == "03_embeddings")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Where the book was built, by the one command, with the sliders of three chapters."""
    folder, none = tmp_path_factory.mktemp("book"), tmp_path_factory.mktemp("none")
    (none / "sliders.json").write_text("[]")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            book,
            "slider_pictures",
            lambda path, cache: (
                slider_pictures(path, cache) if path in (*COMPUTED, DRAWN) else none
            ),
        )
        assert main(["book", "--out", str(folder)]) == 0
    return folder


@pytest.fixture(scope="module")
def pages(folder):
    """Every page of the book, parsed, by its path."""
    html = folder / "html"
    return {
        path.relative_to(html).as_posix(): BeautifulSoup(path.read_text("utf-8"), "html.parser")
        for path in [*html.glob("*.html"), *html.glob("chapters/*"), *html.glob("models/*")]
    }


def chapter_page(pages, path):
    return pages[f"chapters/{path.stem}.html"]


# The pages as files


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_chapter_has_its_stored_outputs(path, pages):
    page = chapter_page(pages, path)
    notebook = nbformat.read(path, as_version=4)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    pictures = [o for c in code for o in c.outputs if "image/png" in o.get("data", {})]
    shown = page.select(".cell_output img")
    assert [image["alt"] for image in shown] == [
        picture.metadata["image/png"]["alt"] for picture in pictures
    ]
    assert shown
    text = page.get_text()
    for cell in code:
        for output in cell.outputs:
            if output.output_type == "stream":
                assert output.text.strip().splitlines()[0] in text


@pytest.mark.parametrize("path", [*COMPUTED, DRAWN], ids=lambda path: path.stem)
def test_a_chapter_has_a_slider_for_each_of_the_notebooks(path, pages, folder):
    cells = nbformat.read(path, as_version=4).cells
    source = "\n".join(cell.source for cell in cells if cell.cell_type == "code")
    page = chapter_page(pages, path)
    figures = page.select("figure.slider-picture")
    assert len(figures) == source.count("SliderPicture(") > 0
    for figure in figures:
        slider, listing = figure.input, json.loads(figure.script.string)
        assert figure.label["for"] == slider["id"]
        assert ("live" in figure["class"]) == (path in COMPUTED)
        assert (folder / "html/chapters" / figure.img["src"]).is_file()
        start = listing["start"] if path in COMPUTED else frame_of(figure, listing, folder)["value"]
        # It stands below the cell that makes it, and begins where that does.
        code = figure.find_previous(class_="cell_input").get_text()
        assert "SliderPicture(" in code and f'name="{figure.label.get_text()}"' in code
        assert f"value={start}," in re.sub(r"(?<=\d)_(?=\d)", "", code)


def frame_of(figure, frames, folder):
    """The stored picture with which a slider begins."""
    assert 2 <= len(frames) <= POSITIONS and int(figure.input["max"]) == len(frames) - 1
    images = {(folder / "html/chapters" / frame["image"]).read_bytes() for frame in frames}
    assert len(images) == len({frame["caption"] for frame in frames}) == len(frames)
    first = frames[int(figure.input["value"])]
    assert figure.img["src"] == first["image"] and figure.img["alt"] == first["alt"]
    assert figure.figcaption.get_text() == first["caption"]
    return first


@pytest.mark.parametrize("chapter", chapters(), ids=lambda chapter: chapter.number)
def test_exercises_stand_in_boxes_with_hints_that_fold_out(chapter, pages):
    page = pages[chapter.notebook.replace(".ipynb", ".html")]
    boxes = page.select(".admonition.exercise")
    assert len(boxes) == len(chapter.exercises)
    for box, exercise in zip(boxes, chapter.exercises):
        text = box.get_text()
        assert f"Exercise {exercise.id}: {exercise.title}" in text
        assert f"about {exercise.minutes} minutes" in text and f"{exercise.points} point" in text
        for depth, hint in enumerate(exercise.hints, start=1):
            fold = box.select_one(" ".join(["details"] * depth))
            assert not fold.has_attr("open")
            assert fold.find("p", recursive=False).get_text() == hint.replace("`", "")
        for symbol in exercise.symbols:
            target = f"solutions.{chapter.name}.{symbol}"
            assert box.find("a", href=f"../api.html#{target}")
            assert pages["api.html"].find(id=target)


@pytest.mark.parametrize("chapter", chapters(), ids=lambda chapter: chapter.number)
def test_questions_stand_at_the_end_with_answers_that_fold_out(chapter, pages):
    page = pages[f"{chapter.notebook.removesuffix('.ipynb')}.html"]
    (questions,) = page.select(".course-questions")
    assert [fold.summary.text for fold in questions.select("details")] == ["The answer"] * 3
    assert all(not fold.has_attr("open") for fold in questions.select("details"))


def test_every_symbol_is_explained_and_linked_from_the_chapters_that_use_it(pages):
    known = glossary()
    rows = pages["glossary.html"].select("tr:has(a[id])")
    assert [row.a["id"] for row in rows] == [anchor for anchor, _, _ in known]
    first = {anchor: chapter for anchor, _, chapter in known}
    for path in [path for path in NOTEBOOKS if path.stem[:2].isdigit()][1:]:
        links = chapter_page(pages, path).select(".symbols a[href*='#']")
        anchors = [link["href"].partition("#")[2] for link in links]
        assert anchors and all(first[anchor] <= path.stem[:2] for anchor in anchors)
    linked = str([page.select(".symbols") for page in pages.values()])
    assert {anchor for anchor in first if f"#{anchor}" not in linked} == set()


def test_no_link_leads_nowhere(pages, folder):
    html = folder / "html"
    for name, page in pages.items():
        for tag in page.find_all(["a", "link", "img", "script", "source"]):
            target = tag.get("href") or tag.get("src")
            if not target or tag.name == "link" and "canonical" in tag.get("rel", []):
                continue
            parts = urlsplit(target)
            if parts.scheme or parts.netloc:
                assert tag.name == "a", f"{name} takes {target} from another host"
                continue
            path = (html / name).parent / unquote(parts.path) if parts.path else html / name
            assert path.is_file(), f"{name} leads to {target}"
            if parts.fragment and path.suffix == ".html":
                there = pages[path.resolve().relative_to(html.resolve()).as_posix()]
                assert there.find(id=unquote(parts.fragment)), f"{name} leads to {target}"


def test_a_notebook_is_run_again_only_if_it_changed(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(book, "execute", lambda path, last_cell: 1 / 0)
    assert (slider_pictures(DRAWN, folder / "sliders") / "0-0.webp").exists()
    copy = tmp_path / DRAWN.name
    copy.write_bytes(DRAWN.read_bytes() + b"\n")
    with pytest.raises(ZeroDivisionError):
        slider_pictures(copy, folder / "sliders")


def test_a_link_that_leads_nowhere_stops_the_build(tmp_path, monkeypatch):
    def write_faulty_source(folder):
        (folder / "source" / "_static").mkdir(parents=True)
        for name in ("conf.py", "_static/icon.svg"):
            shutil.copy(ROOT / "docs" / name, folder / "source" / name)
        (folder / "source" / "index.md").write_text("# A book\n\n[nowhere](nowhere.md)\n")

    monkeypatch.setattr(book, "write_source", write_faulty_source)
    with pytest.raises(CourseError, match="Sphinx names them above"):
        build(tmp_path)


def test_without_its_parts_the_playground_is_a_page_that_says_so(tmp_path, monkeypatch):
    (tmp_path / "sliders.json").write_text("[]")
    monkeypatch.setattr(book, "slider_pictures", lambda path, cache: tmp_path)
    monkeypatch.setattr(book, "playground_files", lambda cache: {})
    book.write_source(tmp_path / "book")
    page = (tmp_path / "book" / "source" / "playground.md").read_text(encoding="utf-8")
    assert "built without the playground" in page and "<script" not in page


@pytest.mark.parametrize("count, start", [(3, 1), (25, 7), (41, 11), (45, 24), (1000, 999)])
def test_positions_are_spread_over_the_slider_and_keep_where_it_begins(count, start):
    values = list(range(count))
    kept = chosen(values, start)
    assert len(kept) == min(count, POSITIONS) and kept == sorted(kept)
    assert {0, start, count - 1} <= set(kept)
    assert max(b - a for a, b in zip(kept, kept[1:])) <= 2 * count / len(kept)


def test_missing_packages_are_named(monkeypatch, tmp_path):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(CourseError, match=r'pip install -e "\.\[book\]"'):
        build(tmp_path)


# The pages in a browser


class Quiet(SimpleHTTPRequestHandler):
    asked = []  # for which paths, in this order

    def log_message(self, *args):
        Quiet.asked.append(self.path)


@pytest.fixture(scope="module")
def address(folder):
    handler = functools.partial(Quiet, directory=folder / "html")
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


@pytest.fixture(scope="module")
def readers():
    """A light and a dark reader, who keep what they have fetched."""
    if CHROMIUM is None:
        pytest.skip("needs Chromium: apt install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        readers = {theme: browser.new_context(color_scheme=theme) for theme in ("light", "dark")}
        for reader in readers.values():
            reader.set_default_timeout(
                120_000
            )  # milliseconds: patience, where others use the cores
        yield readers
        browser.close()


@pytest.fixture
def visit(readers, address):
    """Open a page; afterwards no request may have failed or have gone to another host."""
    troubles, opened = [], []

    def look_at(response):
        if response.status >= 400 or not response.url.startswith(address):
            troubles.append(f"{response.status}: {response.url}")

    def open_page(name, width, theme="light"):
        page = readers[theme].new_page()
        opened.append(page)
        page.on("response", look_at)
        page.on("requestfailed", lambda request: troubles.append(f"failed: {request.url}"))
        page.on("pageerror", lambda error: troubles.append(f"script: {error}"))
        page.set_viewport_size({"width": width, "height": 844})
        page.goto(f"{address}/{name}.html", wait_until="load")
        page.wait_for_load_state("networkidle")
        return page

    yield open_page
    for page in opened:
        page.close()
    assert troubles == []


OUTSIDE = """
() => [...document.querySelectorAll('.bd-article table, .bd-article pre, .bd-article img')]
  .filter(element => {
    let box = element;
    while (box && !['auto', 'scroll'].includes(getComputedStyle(box).overflowX))
      box = box.parentElement;
    return (box ?? element).getBoundingClientRect().right > innerWidth + 1;
  })
  .map(element => element.outerHTML.slice(0, 100))
"""
PAGES = [*(Path(name).stem for name in book.PAGES), *(p.stem for p in (ROOT / "docs").glob("*.md"))]
PAGES += [f"models/{path.stem}" for path in (ROOT / "models").glob("*.md")]
PAGES += [f"chapters/{path.stem}" for path in NOTEBOOKS]


@pytest.mark.parametrize("name", sorted(PAGES))
def test_a_page_fits_a_phone_and_its_formulas_are_drawn(name, visit, pages):
    """Wide tables, listings and figures scroll inside themselves."""
    page = visit(name, width=390)
    formulas = len(pages[f"{name}.html"].select(".math"))
    page.wait_for_function(
        "n => document.querySelectorAll('mjx-container').length >= n", arg=formulas
    )
    widths = page.evaluate(
        "[...document.querySelectorAll('mjx-container')].map(f => f.getBoundingClientRect().width)"
    )
    assert formulas == 0 or min(widths) > 0
    assert page.locator("mjx-merror").count() == 0
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert page.evaluate(OUTSIDE) == []


def test_sliders_follow_the_keyboard(visit):
    page = visit(f"chapters/{DRAWN.stem}", width=1280)
    figures = page.locator("figure.slider-picture").all()
    assert figures
    for figure in figures:
        slider, image = figure.locator("input"), figure.locator("img")
        seen = []
        slider.focus()
        for key in ("Home", "ArrowRight", "End"):
            page.keyboard.press(key)
            page.wait_for_function("image => image.complete", arg=image.element_handle())
            assert image.evaluate("image => image.naturalWidth") > 0
            value = slider.get_attribute("aria-valuetext")
            assert figure.locator("output").inner_text() == value
            caption = figure.locator("figcaption[aria-live]").inner_text()
            seen.append((image.get_attribute("src"), image.get_attribute("alt"), caption, value))
        assert [len(set(column)) for column in zip(*seen)] == [3] * 4


# A digest of what a figure's canvases show.
SHOWN = """
figure => [...figure.querySelectorAll('canvas')].map(canvas => canvas.toDataURL()).join()
"""


@pytest.mark.parametrize("path", COMPUTED, ids=lambda path: path.stem)
@pytest.mark.parametrize("width, theme", [(390, "dark"), (1280, "light")])
def test_computed_sliders_follow_the_keyboard(path, width, theme, visit):
    page = visit(f"chapters/{path.stem}", width=width, theme=theme)
    figures = page.locator("figure.live").all()
    assert figures
    for figure in figures:
        slider, frame = figure.locator("input").first, figure.locator(".frame")
        assert figure.locator("img").count() == 0
        seen = []
        slider.focus()
        for key in ("Home", "ArrowRight", "End"):
            page.keyboard.press(key)
            value, words = slider.get_attribute("aria-valuetext"), frame.get_attribute("aria-label")
            assert figure.locator("output").first.inner_text() == value
            assert figure.locator("figcaption[aria-live]").inner_text() == words
            assert words.startswith(f"t = {value}")
            seen.append((value, figure.evaluate(SHOWN)))
        assert [len(set(column)) for column in zip(*seen)] == [3, 3]
        for canvas in figure.locator("canvas:visible").all():
            box = canvas.bounding_box()
            assert box["width"] > 80 and box["x"] + box["width"] <= width


def test_a_schedule_follows_all_its_sliders(visit):
    figure = visit("chapters/01_noise_schedule", width=1280).locator("figure.live")
    words = figure.locator("figcaption")
    for name, key, said in (
        ("number of steps T", "Home", "t = 49; signal left: linear 60.3 %, cosine 0.0 %; T = 50,"),
        ("cosine: s", "End", "s = 0.1, "),
        ("linear: beta_end", "Home", "beta_end = 0.002"),
    ):
        before = figure.evaluate(SHOWN)
        figure.get_by_label(name).press(key)
        expect(words).to_contain_text(said)
        assert figure.evaluate(SHOWN) != before
    # As many steps as there are now, and no more.
    slider = figure.get_by_label("step t")
    slider.press("End")
    assert slider.get_attribute("aria-valuetext") == "49"


def test_hints_open_one_by_one(visit):
    page = visit(f"chapters/{DRAWN.stem}", width=390)
    hints = page.locator(".admonition.exercise").first.locator("summary")
    visible = []
    for number in range(hints.count()):
        hints.nth(number).press("Enter")
        visible.append(sum(hint.is_visible() for hint in hints.all()))
    assert visible == [*range(2, len(visible) + 1), len(visible)] and len(visible) > 2


CONTRAST = """
selector => {
  const numbers = colour => colour.match(/[\\d.]+/g).map(Number);
  const background = element => {
    for (let e = element; e; e = e.parentElement) {
      const [r, g, b, a = 1] = numbers(getComputedStyle(e).backgroundColor);
      if (a > 0.5) return [r, g, b];
    }
    return [255, 255, 255];
  };
  const luminance = rgb => rgb.slice(0, 3)
    .map(c => c / 255).map(c => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
    .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
  return [...document.querySelectorAll(selector)].map(element => {
    const pair = [numbers(getComputedStyle(element).color), background(element)].map(luminance);
    return (Math.max(...pair) + 0.05) / (Math.min(...pair) + 0.05);
  });
}
"""


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_both_themes_can_be_read(theme, visit):
    page = visit(f"chapters/{DRAWN.stem}", width=1280, theme=theme)
    page.wait_for_function("theme => document.documentElement.dataset.theme === theme", arg=theme)
    for what in ("p", "h2", "td", "pre", "mjx-container", "figcaption", "summary", ".course-card"):
        ratios = page.evaluate(CONTRAST, f".bd-article {what}")
        assert ratios and min(ratios) >= 4.5, what  # WCAG's level AA


# The playground


@pytest.fixture
def playground(visit, folder):
    """Open the playground, which begins to draw of its own accord, and stop that."""
    if not (folder / "html" / "_static" / "playground" / "ort").is_dir():
        pytest.skip("the book was built without its playground: npm could not get onnxruntime-web")

    def open_page(width, theme="light"):
        page = visit("playground", width=width, theme=theme)
        page.locator("#pg-stop").click()  # as soon as there is something to stop
        ended = re.compile("stopped after|10 digits in 20 steps")  # it may have been quicker
        expect(page.locator("#pg-status")).to_contain_text(ended, timeout=120_000)
        return page

    return open_page


def test_the_playground_draws_by_the_keyboard(playground):
    page = playground(width=390)
    shown = page.locator("#pg-x")
    assert "asked for: 0 1 2 3" in shown.get_attribute("aria-label")
    digits, status = page.locator("#pg-digits"), page.locator("#pg-status")
    page.locator("#pg-steps").focus()
    page.keyboard.press("Home")  # 2 steps
    digits.fill("7?")
    digits.press("Enter")
    expect(status).to_contain_text("2 digits in 2 steps", timeout=60_000)
    assert shown.get_attribute("aria-label").endswith("asked for: 7 any")
    page.locator("#pg-moment").focus()
    page.keyboard.press("ArrowLeft")
    assert "after step 1 of 2, at t = 999" in shown.get_attribute("aria-label")
    assert page.locator("output[for=pg-moment]").inner_text() == "1 of 2, t = 999"
    # What cannot be drawn is not asked for.
    digits.fill("x")
    digits.press("Enter")
    assert page.locator("#pg-digits:invalid").count() == 1


def test_the_noise_can_be_painted_by_the_keyboard_and_by_hand(playground):
    page = playground(width=390)
    noise = page.locator("#pg-noise")
    pixel = "([c, x, y]) => c.getContext('2d').getImageData(x, y, 1, 1).data[0]"

    def shade(x, y):
        return page.evaluate(pixel, [noise.element_handle(), x, y])

    noise.focus()
    for key in ("ArrowUp", "ArrowRight", " ", "ArrowLeft", "ArrowLeft"):
        page.keyboard.press(key)
    assert "row 14, column 14" in page.locator("#pg-cursor").inner_text()
    assert shade(15, 13) == 255
    page.locator("#pg-brush").select_option(label="dark")
    noise.click(position={"x": 2, "y": 2})
    assert shade(0, 0) == 0
    page.get_by_role("button", name="Remove the paint").click()
    assert {shade(15, 13), shade(0, 0)} != {0, 255}


def test_a_prompt_is_drawn_by_the_keyboard(playground):
    page = playground(width=390)
    status, prompt = page.locator("#pg-status"), page.locator("#pg-prompt")
    assert not prompt.is_visible()
    page.locator("input[value=digits]").focus()
    page.keyboard.press("ArrowDown")
    expect(status).to_contain_text("The model is here", timeout=60_000)
    assert page.locator("#pg-guidance").input_value() == "2"  # what suits prompts
    expect(page.locator("#pg-words")).to_contain_text("It knows these words: a, on, red,")
    page.locator("#pg-steps").focus()
    page.keyboard.press("Home")  # 2 steps
    prompt.fill("a red seven on blue")
    prompt.press("Enter")
    expect(status).to_contain_text("1 picture in 2 steps", timeout=60_000)
    shown = page.locator("#pg-x")
    assert shown.get_attribute("aria-label").endswith("asked for: a red seven on blue")
    colours = page.evaluate(COLOURS, shown.element_handle())
    assert max(colours) > 50, "all pixels are grey"
    # Words that the model does not know are named, and nothing is drawn.
    prompt.fill("a purple cat on blue")
    prompt.press("Enter")
    assert page.locator("#pg-prompt:invalid").count() == 1
    expect(page.locator("#pg-words")).to_contain_text('does not know "purple", "cat". It knows')
    expect(status).to_contain_text("1 picture in 2 steps")
    # An example is drawn at once.
    page.get_by_role("button", name="a small red seven on grey").press("Enter")
    expect(shown).to_have_attribute("aria-label", re.compile("asked for: a small red seven"))
    expect(status).to_contain_text("1 picture in 2 steps", timeout=60_000)
    assert page.locator("#pg-prompt:invalid").count() == 0
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    # The digits' settings are as they were.
    page.locator("input[value=digits]").check()
    assert page.locator("#pg-guidance").input_value() == "0.5"
    assert page.locator("#pg-digits").input_value() == "0123456789"


# For each pixel how far red, green and blue are apart.
COLOURS = """
canvas => {
  const data = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
  return Array.from({ length: data.length / 4 }, (_, n) => {
    const rgb = data.slice(4 * n, 4 * n + 3);
    return Math.max(...rgb) - Math.min(...rgb);
  });
}
"""


def test_a_network_is_fetched_when_it_is_asked_for(readers, address, playground):
    playground(width=1280)  # skips, where the book has none
    reader = readers["light"].browser.new_context()  # who has fetched nothing yet
    page = reader.new_page()
    Quiet.asked.clear()
    page.goto(f"{address}/playground.html")
    expect(page.locator("#pg-status")).to_contain_text("seconds", timeout=120_000)
    networks = [path for path in Quiet.asked if path.endswith(".onnx")]
    assert [Path(path).name for path in networks] == ["mnist.onnx"]
    page.get_by_label("a prompt, in colour").check()
    expect(page.locator("#pg-status")).to_contain_text("The model is here", timeout=60_000)
    assert Path([path for path in Quiet.asked if path.endswith(".onnx")][-1]).name == "prompts.onnx"
    reader.close()


PIXELS = """
canvas => [...canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data]
"""
# Chromium's own imitation of a graphics card: slow, but what is computed goes through WebGPU.
WITH_A_CARD = [flag for flag in FLAGS if flag != "--disable-gpu"]
WITH_A_CARD += ["--enable-unsafe-webgpu", "--use-webgpu-adapter=swiftshader"]
WITH_A_CARD += ["--enable-features=Vulkan"]


def test_a_graphics_card_draws_the_same_pictures(readers, address, playground):
    page = playground(width=1280)  # skips, where the book has none
    assert not page.locator("#pg-device").is_visible()  # of no use, where no card is reached
    Quiet.asked.clear()
    start = readers["light"].browser.browser_type.launch
    browser = start(executable_path=CHROMIUM, args=WITH_A_CARD)
    page = browser.new_page()
    page.set_default_timeout(300_000)
    page.goto(f"{address}/playground.html")
    status, device = page.locator("#pg-status"), page.locator("#pg-device")
    page.locator("#pg-stop").click()
    expect(status).to_contain_text(re.compile("stopped after|10 digits in 20"), timeout=120_000)
    if page.evaluate("async () => !(await navigator.gpu?.requestAdapter())"):
        pytest.skip("this Chromium has no imitation of a graphics card")
    page.locator("#pg-steps").press("Home")  # 2 steps
    drawn = {}
    for name in ("wasm", "webgpu"):
        device.select_option(name)
        if name == "webgpu":
            expect(status).to_contain_text("The graphics card is ready", timeout=120_000)
        page.locator("#pg-digits").fill("7")
        page.locator("#pg-digits").press("Enter")
        expect(status).to_contain_text("1 digit in 2 steps", timeout=300_000)
        drawn[name] = torch.tensor(page.evaluate(PIXELS, page.locator("#pg-x").element_handle()))
    browser.close()
    assert any(path.endswith("asyncify.wasm") for path in Quiet.asked)  # what a card needs
    one, other = drawn.values()
    assert one.float().std() > 20 and (one - other).abs().max() <= 2  # shades, of 255


def test_without_what_a_card_needs_the_processor_draws(readers, address, playground):
    """The page says why, and goes back."""
    playground(width=1280)  # skips, where the book has none
    reader = readers["light"].browser.new_context()
    page = reader.new_page()
    page.route("**/ort.webgpu.min.mjs", lambda route: route.abort())
    page.goto(f"{address}/playground.html")
    expect(page.locator("#pg-status")).to_contain_text("seconds", timeout=120_000)
    page.evaluate("for (const e of document.querySelectorAll('[data-card]')) e.hidden = false")
    page.locator("#pg-device").select_option("webgpu")
    said = "The graphics card cannot compute the model, so the processor does:"
    expect(page.locator("#pg-status")).to_contain_text(said)
    assert page.locator("#pg-device").input_value() == "wasm"
    reader.close()


WALK = """
async ({ name, xT, wanted, guidance, sampler, steps }) => {
  const { openNetwork } = await import(new URL('_static/playground/network.mjs', location));
  const { prompted } = await import(new URL('_static/playground/prompts.mjs', location));
  const s = await import(new URL('_static/playground/samplers.mjs', location));
  const { network, config } = await openNetwork(name, 'wasm');
  const alphaBars = s.alphaBarsOf(s.cosineBetas(config.num_steps));
  const T = config.num_steps;
  const told = config.text ? prompted(wanted, config.text) : s.labelled(wanted, config.num_classes);
  const walk = s.walk({
    predictEps: s.guidedEps(network, config.prediction, told, guidance, alphaBars),
    sampler, xT: Float64Array.from(xT), alphaBars,
    grid: config.calls ? s.fewStepsGrid(T, config.calls) : s.timeGrid(T, steps),
  });
  let last;
  for await (const { x } of walk) last = [...x];
  return last;
}
"""


@pytest.mark.parametrize(
    "model_file, wanted, guidance, sampler, steps",
    [
        (SHIPPED, [3, None], 1.5, "2m", 8),
        (SHIPPED_FEW, [3, None], 0.0, "ddim", 1),
        (SHIPPED_PROMPTS, ["a red three left of a blue seven on white"] * 2, 2.0, "2m", 6),
    ],
    ids=["digits", "few", "prompts"],
)
def test_the_playground_draws_pytorchs_pictures(
    model_file, wanted, guidance, sampler, steps, playground, solutions
):
    model, config = load_model(model_file, solutions)
    shape, generator = (2, *config.image_shape), torch.Generator().manual_seed(3)
    x_T = torch.randn(shape, generator=generator, dtype=torch.float64)
    request = {"xT": x_T.flatten().tolist(), "wanted": wanted, "guidance": guidance}
    request |= {"name": model_file.stem, "sampler": sampler, "steps": steps}
    drawn = playground(width=1280).evaluate(WALK, request)
    alpha_bars = build_schedule(solutions, config).alpha_bars.double()
    if config.calls:
        timesteps = few_steps_grid(solutions, alpha_bars, config.calls)
    else:
        timesteps = solutions.chapter("ch07_fast_sampling").time_grid(alpha_bars, steps)

    def single(x, t, *asked):  # the walk is in float64, for rounding is amplified where it begins
        with torch.no_grad():
            return model(x.float(), t, *asked).double()

    network, cpu = eps_network(solutions, single, config, alpha_bars), torch.device("cpu")
    if config.text:
        told = prompted(solutions, config, network, wanted, None, guidance, cpu)
    else:
        guided = solutions.chapter("ch06_guided_sampling").guided_eps
        told = labelled(solutions, config, network, wanted, guidance, cpu, guided)
    walk = fast_walk(solutions, sampler, alpha_bars, timesteps)
    pictures, _ = walk(lambda x, t: told(x, t, slice(None)), x_T, None)
    assert (torch.tensor(drawn).view_as(pictures) - pictures).abs().max() < 1e-4


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_playground_can_be_read_in_both_themes(theme, playground):
    page = playground(width=1280, theme=theme)
    for what in ("label", ".help", "button", "output", "legend", "figcaption", "input[type=text]"):
        ratios = page.evaluate(CONTRAST, f".playground {what}:not(:disabled)")
        assert ratios and min(ratios) >= 4.5, what  # WCAG's level AA
