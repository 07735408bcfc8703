"""How long does the book's playground take in Chromium, and what does it look like?

course book                            builds it first
python -m benchmarks.playground        a table
python -m benchmarks.playground --pictures FOLDER
                                       also screenshots, light and dark, wide and as on a phone

Each row is a visit with an empty cache, from a server on this machine: seconds from the start of
the visit until the first moment of a walk is shown, and until ten guided digits are drawn in 20
steps, then the seconds of three more such walks, as the page itself says them.
"""

import argparse
import functools
import re
import sys
import threading
import time
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from playwright.sync_api import Browser, expect, sync_playwright

from course.learner.workspace import home
from tests.browser import CHROMIUM, FLAGS

WIDTHS = {"wide": 1280, "phone": 390}
PATIENCE = 300_000  # milliseconds


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *arguments) -> None:
        pass


def visit(browser: Browser, address: str, width: int, theme: str, picture: Path | None) -> list:
    """Seconds to the first moment, to ten digits, and of three more walks."""
    page = browser.new_context(color_scheme=theme).new_page()
    page.set_viewport_size({"width": width, "height": 844})
    began = time.perf_counter()
    page.goto(f"{address}/playground.html", wait_until="commit")
    status, seconds = page.locator("#pg-status"), []
    first = "() => document.querySelector('#pg-progress')?.value >= 1"
    page.wait_for_function(first, timeout=PATIENCE)
    seconds.append(time.perf_counter() - began)
    expect(status).to_contain_text("seconds", timeout=PATIENCE)
    seconds.append(time.perf_counter() - began)
    for _ in range(3):
        page.locator("#pg-draw").click()
        expect(status).to_contain_text("seconds", timeout=PATIENCE)
        seconds.append(float(re.search(r"([\d.]+) seconds", status.inner_text())[1]))
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
    print("| page | first moment, s | ten digits, s | three more walks, s |")
    print("|---|---|---|---|")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        for name, width in WIDTHS.items():
            for theme in ("light", "dark"):
                picture = options.pictures and options.pictures / f"playground_{name}_{theme}.png"
                first, ten, *more = visit(
                    browser, f"http://127.0.0.1:{server.server_port}", width, theme, picture
                )
                walks = ", ".join(f"{seconds:.1f}" for seconds in more)
                print(f"| {name}, {theme} | {first:.1f} | {ten:.1f} | {walks} |", flush=True)
        browser.close()
    server.shutdown()
    return 0


if __name__ == "__main__":
    sys.exit(main())
