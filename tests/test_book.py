"""The web book: it builds without a warning, and works in a browser without the internet."""

import functools
import importlib.util
import json
import shutil
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

import nbformat
import pytest
from bs4 import BeautifulSoup
from playwright.sync_api import sync_playwright

from course import ROOT, CourseError
from course import book as book_module
from course.book import POSITIONS, build, chosen, glossary, slider_pictures
from course.catalogue import chapters
from course.cli import main

NOTEBOOKS = sorted((ROOT / "chapters").glob("*.ipynb"))
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Where the book was built, by the one command."""
    folder = tmp_path_factory.mktemp("book")
    assert main(["book", "--out", str(folder)]) == 0
    return folder


@pytest.fixture(scope="module")
def pages(folder):
    """Every page of the book, parsed, by its path."""
    html = folder / "html"
    return {
        path.relative_to(html).as_posix(): BeautifulSoup(path.read_text("utf-8"), "html.parser")
        for path in html.rglob("*.html")
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
    assert len(shown) == len(pictures) > 0
    assert all(image["alt"] for image in shown)
    text = page.get_text()
    for cell in code:
        for output in cell.outputs:
            if output.output_type == "stream":
                assert output.text.strip().splitlines()[0] in text


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_chapter_has_a_slider_for_each_of_the_notebooks(path, pages, folder):
    source = "\n".join(c.source for c in nbformat.read(path, as_version=4).cells)
    figures = chapter_page(pages, path).select("figure.slider-picture")
    assert len(figures) == source.count("SliderPicture(") > 0
    for figure in figures:
        frames = json.loads(figure.script.string)
        slider = figure.input
        assert 2 <= len(frames) <= POSITIONS and int(slider["max"]) == len(frames) - 1
        assert figure.label["for"] == slider["id"]
        images = {(folder / "html/chapters" / frame["image"]).read_bytes() for frame in frames}
        assert len(images) == len({frame["caption"] for frame in frames}) == len(frames)
        first = frames[int(slider["value"])]
        assert figure.img["src"] == first["image"] and figure.img["alt"] == first["alt"]
        assert figure.figcaption.get_text() == first["caption"]


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


def test_every_symbol_is_explained_and_linked_from_the_chapters_that_use_it(pages):
    known = glossary()
    rows = pages["glossary.html"].select("tr:has(a[id])")
    assert [row.a["id"] for row in rows] == [anchor for anchor, _, _ in known]
    first = {anchor: chapter for anchor, _, chapter in known}
    for path in NOTEBOOKS[1:]:
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


def test_a_second_build_runs_no_notebook(folder, monkeypatch):
    monkeypatch.setattr(book_module, "execute", lambda *_, **__: pytest.fail("ran a notebook"))
    build(folder)


def test_a_notebook_that_changed_is_drawn_again(folder, tmp_path, monkeypatch):
    copy = tmp_path / NOTEBOOKS[0].name
    copy.write_bytes(NOTEBOOKS[0].read_bytes() + b"\n")
    monkeypatch.setattr(book_module, "execute", lambda *_, **__: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        slider_pictures(copy, tmp_path)


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
    def log_message(self, *args):
        pass


@pytest.fixture(scope="module")
def address(folder):
    handler = functools.partial(Quiet, directory=folder / "html")
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


@pytest.fixture(scope="module")
def browser():
    if CHROMIUM is None:
        pytest.skip("needs Chromium: apt install chromium")
    with sync_playwright() as playwright:
        arguments = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        yield browser
        browser.close()


@pytest.fixture
def visit(browser, address):
    """Open a page; afterwards no request may have failed or have gone to another host."""
    troubles = []
    context = None

    def open_page(name, **options):
        nonlocal context
        context = browser.new_context(**options)
        page = context.new_page()
        page.on("requestfailed", lambda request: troubles.append(f"failed: {request.url}"))
        page.on("pageerror", lambda error: troubles.append(f"script: {error}"))

        def look_at(response):
            if response.status >= 400 or not response.url.startswith(address):
                troubles.append(f"{response.status}: {response.url}")

        page.on("response", look_at)
        page.goto(f"{address}/{name}", wait_until="networkidle")
        return page

    yield open_page
    context.close()
    assert troubles == []


def all_pages():
    names = ["index", "glossary", "api", "misconceptions", "instructors", "open_anywhere"]
    return [*names, "README", "models/mnist", *(f"chapters/{path.stem}" for path in NOTEBOOKS)]


@pytest.mark.parametrize("name", all_pages())
def test_a_page_fits_a_phone_and_fetches_nothing_from_elsewhere(name, visit):
    page = visit(f"{name}.html", viewport={"width": 390, "height": 844})
    page.wait_for_function("!window.MathJax || MathJax.startup.promise.then(() => true)")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    wider = page.evaluate(
        """() => [...document.querySelectorAll('.bd-article table')].filter(table => {
               let box = table;
               while (box && !['auto', 'scroll'].includes(getComputedStyle(box).overflowX))
                   box = box.parentElement;
               return !box || box.getBoundingClientRect().right > innerWidth + 1;
           }).length"""
    )
    assert wider == 0, "a table is wider than the page and does not scroll inside itself"


@pytest.mark.parametrize("path", NOTEBOOKS[1:], ids=lambda path: path.stem)
def test_formulas_are_drawn(path, visit):
    page = visit(f"chapters/{path.stem}.html", viewport={"width": 1280, "height": 900})
    written = page.locator(".bd-article .math").count()
    page.wait_for_function(
        "n => document.querySelectorAll('.bd-article mjx-container').length >= n", arg=written
    )
    widths = page.evaluate(
        "[...document.querySelectorAll('.bd-article .math:not(details *) mjx-container')]"
        ".map(formula => formula.getBoundingClientRect().width)"
    )
    assert written > 0 and min(widths) > 0
    assert page.locator("mjx-merror").count() == 0


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_sliders_follow_the_keyboard(path, visit):
    page = visit(f"chapters/{path.stem}.html", viewport={"width": 1280, "height": 900})
    for figure in page.locator("figure.slider-picture").all():
        slider, image = figure.locator("input"), figure.locator("img")
        caption = figure.locator("figcaption[aria-live]")
        seen = set()
        slider.focus()
        for key in ("Home", "ArrowRight", "End"):
            page.keyboard.press(key)
            page.wait_for_function("image => image.complete", arg=image.element_handle())
            assert image.evaluate("image => image.naturalWidth") > 0
            value = slider.get_attribute("aria-valuetext")
            assert figure.locator("output").inner_text() == value
            seen.add((image.get_attribute("src"), caption.inner_text(), value))
        expected = 3 if int(slider.get_attribute("max")) > 1 else 2
        assert [len(set(column)) for column in zip(*seen)] == [expected] * 3


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
    page = visit(
        f"chapters/{NOTEBOOKS[1].stem}.html",
        viewport={"width": 1280, "height": 900},
        color_scheme=theme,
    )
    page.wait_for_selector("mjx-container")
    assert page.locator("html").get_attribute("data-theme") == theme
    for what in ("p", "h2", "td", "pre", "mjx-container", "figcaption", "summary", ".course-card"):
        ratios = page.evaluate(CONTRAST, f".bd-article {what}")
        assert ratios and min(ratios) >= 4.5, what
