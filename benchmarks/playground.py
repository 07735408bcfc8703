"""How long does the book's playground take in Chromium, and what does it look like?

course book                            builds it first
python -m benchmarks.playground        a table
python -m benchmarks.playground --write
                                       also into benchmarks/results/playground.json
python -m benchmarks.playground --pictures FOLDER
                                       also screenshots: wide and light, and dark as on a phone

Each visit begins with an empty cache, from a server on this machine. Its rows are seconds until the
first moment of a walk is shown; then, as the page says them, of a walk to ten guided digits in 20
steps, to ten digits in one call, and to one guided prompt in 25 steps; and seconds from choosing
prompts until their network is here. Beside each is the processor time of all of the browser
meanwhile, which says more where other programs are at work.
"""

import argparse
import functools
import json
import os
import platform
import re
import sys
import threading
import time
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import psutil
from playwright.sync_api import Browser, Page, expect, sync_playwright

from course import ROOT
from course.learner.workspace import home
from tests.browser import CHROMIUM, FLAGS

VISITS = (("wide", 1280, "light"), ("phone", 390, "dark"))
PATIENCE = 300_000  # milliseconds
RESULTS = ROOT / "benchmarks" / "results" / "playground.json"


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *arguments) -> None:
        pass


def busy() -> float:
    """Seconds that this program's children have kept processors busy so far."""
    times = (child.cpu_times() for child in psutil.Process().children(recursive=True))
    return sum(each.user + each.system for each in times)


def visit(browser: Browser, address: str, width: int, theme: str, picture: Path | None) -> dict:
    """For each thing that is timed: seconds by the clock, and of computing."""
    page = browser.new_context(color_scheme=theme).new_page()
    page.set_default_timeout(PATIENCE)
    page.set_viewport_size({"width": width, "height": 844})
    began, before = time.perf_counter(), busy()
    page.goto(f"{address}/playground.html", wait_until="commit")
    page.wait_for_function("() => document.querySelector('#pg-progress')?.value >= 1")
    times = {"first moment": (time.perf_counter() - began, busy() - before)}
    status = page.locator("#pg-status")
    expect(status).to_contain_text("seconds", timeout=PATIENCE)
    times["ten digits, 20 steps"] = walk(page)
    save(page, picture, "digits")

    page.locator("#pg-sampler").select_option("few")
    walk(page)  # the first time its network is fetched
    times["ten digits, 1 call"] = walk(page)

    began, before = time.perf_counter(), busy()
    page.get_by_label("a prompt, in colour").check()
    expect(status).to_contain_text("The model is here", timeout=PATIENCE)
    times["prompts chosen"] = (time.perf_counter() - began, busy() - before)
    walk(page)
    times["one prompt, 25 steps"] = walk(page)
    save(page, picture, "prompt")
    page.context.close()
    return times


def walk(page: Page) -> tuple[float, float]:
    """Draw what is set: seconds as the page says them, and of computing."""
    status, before = page.locator("#pg-status"), busy()
    status.evaluate("status => { status.textContent = ''; }")  # what it says of the walk before
    page.locator("#pg-draw").click()
    expect(status).to_contain_text("seconds", timeout=PATIENCE)
    return float(re.search(r"([\d.]+) seconds", status.inner_text())[1]), busy() - before


def save(page: Page, picture: Path | None, name: str) -> None:
    if picture:
        page.screenshot(path=picture.with_stem(f"{picture.stem}_{name}"), full_page=True)


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.playground",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--book", type=Path, help="the built book (default book/)")
    parser.add_argument("--pictures", type=Path, metavar="FOLDER", help="for screenshots")
    parser.add_argument("--write", action="store_true", help=f"write {RESULTS.relative_to(ROOT)}")
    options = parser.parse_args()
    pages = (options.book or home() / "book") / "html"
    if not (pages / "_static" / "playground" / "ort").is_dir():
        print(f"error: {pages} holds no book with a playground; build one with: course book")
        return 2
    if CHROMIUM is None:
        print("error: Chromium is not installed; get it with: apt install chromium")
        return 2
    if options.pictures:
        options.pictures.mkdir(parents=True, exist_ok=True)
    handler = functools.partial(Quiet, directory=pages)
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print("| page | what | s | computing, s |")
    print("|---|---|---|---|")
    address = f"http://127.0.0.1:{server.server_port}"
    seconds = {}
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        for name, width, theme in VISITS:
            picture = options.pictures and options.pictures / f"playground_{name}_{theme}.png"
            seconds[name] = {}
            for what, times in visit(browser, address, width, theme, picture).items():
                clock, computing = (round(each, 2) for each in times)
                seconds[name][what] = {"clock": clock, "computing": computing}
                print(f"| {name}, {theme} | {what} | {clock} | {computing} |", flush=True)
        browser.close()
    server.shutdown()
    if options.write:
        content = {"machine": f"{os.cpu_count()} cores, {platform.machine()}", "seconds": seconds}
        RESULTS.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
