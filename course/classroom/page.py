"""Pages of HTML that need no script and no network: their pieces and their style."""

import html
import re

from course.probing.text import printable
from course.syllabus import FAILED, LOOKS, NOT_WRITTEN, PASSED

CLASSES = {PASSED: "passed", FAILED: "failed", NOT_WRITTEN: "not-written"}  # of the style sheet


def page(title: str, content: str) -> str:
    """A whole page.

    Args:
        title: as text.
        content: as HTML, below the title.
    """
    style = _STYLE.replace("{colours}", _colours())
    parts = {"style": style, "title": text(title), "main": content}
    return re.sub(r"\{(style|title|main)\}", lambda match: parts[match[1]], _PAGE)


def text(words: str) -> str:
    """The words as HTML. Everything that is not written in this room goes through here."""
    return html.escape(printable(words))


def section(heading: str, content: str) -> str:
    return f"<section><h2>{text(heading)}</h2>{content}</section>"


def table(caption: str, headings: tuple[str, ...], rows: list[tuple], none: str) -> str:
    """A table whose cells are HTML already; the first of each row heads it."""
    if not rows:
        return f"<p>{text(none)}</p>"
    head = "".join(f'<th scope="col">{text(heading)}</th>' for heading in headings)
    body = "".join(
        f'<tr><th scope="row">{first}</th>{"".join(f"<td>{cell}</td>" for cell in rest)}</tr>'
        for first, *rest in rows
    )
    return (
        f"<table><caption>{text(caption)}</caption><thead><tr>{head}</tr></thead>"
        f"<tbody>{body}</tbody></table>"
    )


def _colours() -> str:
    """The colour of each status as a variable of the style sheet: red, green and blue."""
    rgb = {
        status: " ".join(map(str, bytes.fromhex(LOOKS[status].colour[1:]))) for status in CLASSES
    }
    return " ".join(f"--{CLASSES[status]}: {numbers};" for status, numbers in rgb.items())


_STYLE = """
:root { color-scheme: light dark; --paper: #fff; --ink: #1b1b1b; --quiet: #595959;
  --line: #cfcfcf; {colours}
  --passed-ink: #00598c; --failed-ink: #a34700; }
@media (prefers-color-scheme: dark) {
  :root { --paper: #15181c; --ink: #e8e8e8; --quiet: #a8a8a8; --line: #3d434a;
    --passed-ink: #6cc1f2; --failed-ink: #ff9c57; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink);
  font: 1rem/1.5 system-ui, sans-serif; }
main { max-width: 62rem; margin: 0 auto; padding: 1rem; }
h1 { font-size: 1.6rem; line-height: 1.2; margin: 0.5rem 0 1rem; }
h2 { font-size: 1.25rem; line-height: 1.3; margin: 2.2rem 0 0.5rem; }
small, caption, .facts dt { color: var(--quiet); font-size: 0.875rem; }
.facts { display: flex; flex-wrap: wrap; gap: 0.75rem; margin: 0 0 1rem; }
.facts div { border: 1px solid var(--line); border-radius: 4px; padding: 0.5rem 0.9rem;
  flex: 1 0 8.5rem; }
.facts dd { margin: 0; font-size: 1.5rem; font-variant-numeric: tabular-nums; }
.histogram { display: block; width: 100%; max-width: 28rem; }
.histogram text { font-size: 12px; fill: var(--ink); }
.histogram .bar { fill: rgb(var(--passed)); }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
caption { text-align: left; padding: 0 0 0.5rem; }
th, td { text-align: left; vertical-align: top; padding: 0.35rem 0.5rem;
  border-bottom: 1px solid var(--line); }
td, bdi { overflow-wrap: anywhere; }
tbody th { font-weight: normal; }
small { white-space: nowrap; }
.heat td { width: 17%; background: rgb(var(--colour) / calc(0.55 * var(--share))); }
.heat td small { color: inherit; }
.heat .chapter { font-weight: bold; padding-top: 1rem; }
.passed { --colour: var(--passed); }
.failed { --colour: var(--failed); }
.not-written { --colour: var(--not-written); }
span.passed { color: var(--passed-ink); }
span.failed { color: var(--failed-ink); }
span.not-written { color: var(--quiet); }
pre { white-space: pre-wrap; overflow-wrap: anywhere; font-size: 0.8125rem; margin: 0.3rem 0;
  border-left: 3px solid var(--line); padding-left: 0.6rem; }
summary { cursor: pointer; color: var(--quiet); font-size: 0.875rem; }
.share { white-space: nowrap; }
.wide { overflow-x: auto; font-size: 0.875rem; }
.wide td { white-space: nowrap; padding: 0.35rem 0.25rem; }
.wide bdi { display: block; max-width: 14rem; overflow-wrap: break-word; }
@media (min-width: 64rem) { .wide { margin: 0 calc(30rem - min(50vw - 1.5rem, 45rem)); } }
@media print { .wide { overflow: visible; font-size: 0.6rem; } .wide td { padding: 0.2rem; } }
.wide th[scope=row], .wide th:first-child { position: sticky; left: 0; background: var(--paper); }
@media (max-width: 40rem) {
  main { padding: 0.75rem; }
  th, td { padding: 0.35rem 0.3rem; }
  thead th { font-size: 0.8125rem; }
  .heat td { width: 19%; }
  td small { display: block; } }
"""

# The policy forbids the page to run or load anything, should something ever slip through.
_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy"
 content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
<main>
<h1>{title}</h1>
{main}
</main>
</body>
</html>
"""
