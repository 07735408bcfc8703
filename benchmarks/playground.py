"""How long does the book's playground take in Chromium, and what does it look like?

course book                            builds it first
python -m benchmarks.playground        a table
python -m benchmarks.playground --pictures FOLDER
                                       also screenshots: wide and light, and dark as on a phone

Each row is a visit with an empty cache, from a server on this machine: seconds until the first
moment of a walk is shown, then of another walk to ten guided digits in 20 steps, as the page says
them. Beside both is the processor time of all of the browser meanwhile, which says more where other
programs are at work.
"""

import argparse
import functools
import re
import sys
import threading
import time
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import psutil
from playwright.sync_api import Browser, expect, sync_playwright

from course.learner.workspace import home
from tests.browser import CHROMIUM, FLAGS

VISITS = (("wide", 1280, "light"), ("phone", 390, "dark"))
PATIENCE = 300_000  # milliseconds


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *arguments) -> None:
        pass


def busy() -> float:
    """Seconds that this program's children have kept processors busy so far."""
    times = (child.cpu_times() for child in psutil.Process().children(recursive=True))
    return sum(each.user + each.system for each in times)


def visit(browser: Browser, address: str, width: int, theme: str, picture: Path | None) -> list:
    """Seconds to the first moment, by the clock and computing; the same of another walk."""
    page = browser.new_context(color_scheme=theme).new_page()
    page.set_default_timeout(PATIENCE)
    page.set_viewport_size({"width": width, "height": 844})
    began, before = time.perf_counter(), busy()
    page.goto(f"{address}/playground.html", wait_until="commit")
    status = page.locator("#pg-status")
    page.wait_for_function("() => document.querySelector('#pg-progress')?.value >= 1")
    seconds = [time.perf_counter() - began, busy() - before]
    expect(status).to_contain_text("seconds", timeout=PATIENCE)
    before = busy()
    page.locator("#pg-draw").click()
    expect(status).to_contain_text("seconds", timeout=PATIENCE)
    seconds.append(float(re.search(r"([\d.]+) seconds", status.inner_text())[1]))
    seconds.append(busy() - before)
    if picture:
        page.screenshot(path=picture, full_page=True)
    page.context.close()
    return seconds


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.playground",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--book", type=Path, help="the built book (default book/)")
    parser.add_argument("--pictures", type=Path, metavar="FOLDER", help="for screenshots")
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
    print("| page | first moment, s | computing, s | ten digits, s | computing, s |")
    print("|---|---|---|---|---|")
    address = f"http://127.0.0.1:{server.server_port}"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        for name, width, theme in VISITS:
            picture = options.pictures and options.pictures / f"playground_{name}_{theme}.png"
            seconds = visit(browser, address, width, theme, picture)
            cells = " | ".join(f"{each:.1f}" for each in seconds)
            print(f"| {name}, {theme} | {cells} |", flush=True)
        browser.close()
    server.shutdown()
    return 0


if __name__ == "__main__":
    sys.exit(main())
