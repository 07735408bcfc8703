"""The web book: every chapter with its stored outputs, and sliders and hints without a kernel.

    course book        writes book/html/index.html, without the internet

The text of its other pages is in docs/. Sphinx builds from a copy, book/source/, in which each
chapter has gained what a page needs that no kernel serves: boxes of exercises with hints that fold
out, the pictures of its sliders, and links into the glossary.
"""

import hashlib
import html
import importlib.util
import inspect
import io
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell
from PIL import Image

from course import PACKAGE, ROOT, CourseError
from course.pages.build_notebooks import WIDGET, execute
from course.pages.live import live_form
from course.pages.open_anywhere import is_first_cell
from course.pages.playground import WITHOUT, playground_files
from course.syllabus import Exercise, chapters, find_exercise

KEPT = (".md", ".png", ".gif")  # of models/
PAGES = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md")  # beside docs/
POSITIONS = 25  # of a slider, at most: each is a picture of its own
DRAWN_BY = (
    "pages/notebook.py",
    "model/pictures.py",
    "pages/plots.py",
    "pages/toy.py",
    "pages/live.py",
)
# The book holds no exercises to write in, so of a link to one it keeps the name.
EXERCISE_LINK = re.compile(r"\[([^]]+)\]\(\.\./exercises/[^)]*\)")


def build(folder: Path, builder: str = "html") -> Path:
    """Build the book in `folder` and return the folder of its pages.

    The pictures of the sliders are kept in `folder` and drawn again only if their notebook changes.

    Raises:
        CourseError: if Sphinx is not installed, or has anything to complain about.
    """
    if importlib.util.find_spec("myst_nb") is None:
        raise CourseError('the book needs more packages: pip install -e ".[book]"')
    write_source(folder)
    pages = folder / builder
    command = [sys.executable, "-m", "sphinx", "--builder", builder, "--nitpicky", "--quiet"]
    command += ["--fail-on-warning", "--write-all", "--doctree-dir", folder / "doctrees"]
    command += [folder / "source", pages]
    if subprocess.run(command, cwd=ROOT).returncode:
        raise CourseError("the book has faults; Sphinx names them above")
    return pages


def write_source(folder: Path) -> None:
    """Write what Sphinx reads to folder/source; files that are right already stay as they are."""
    docs, models = ROOT / "docs", ROOT / "models"
    files = {path.relative_to(docs): path.read_bytes() for path in docs.rglob("*.*")}
    for path in [
        *(ROOT / name for name in PAGES),
        *(p for p in models.iterdir() if p.suffix in KEPT),
        *(ROOT / "benchmarks" / "results").glob("*.png"),
    ]:
        files[path.relative_to(ROOT)] = path.read_bytes()
    files[Path("api.md")] += api_sections().encode()
    playground = Path("_static", "playground")
    if playground / "page.mjs" in files:  # a student edition leaves it out
        parts = playground_files(folder / "playground")
        files |= {playground / name: content for name, content in parts.items()}
        if not parts:
            files[Path("playground.md")] = WITHOUT.encode()
    # docs/ is the top of the book, so links between it and the rest of the repository change.
    for name, content in files.items():
        if name.suffix == ".md" and name.parent == Path():
            files[name] = content.replace(b"](../", b"](").replace(b"](docs/", b"](")
    for path in sorted((ROOT / "chapters").glob("*.ipynb")):
        pictures = slider_pictures(path, folder / "sliders")
        notebook = page(path, json.loads((pictures / "sliders.json").read_text(encoding="utf-8")))
        files[Path("chapters") / path.name] = nbformat.writes(notebook).encode()
        for frame in pictures.glob("*.webp"):
            files[Path("_static", "sliders", path.stem, frame.name)] = frame.read_bytes()
    source = folder / "source"
    for path in [path for path in source.rglob("*") if path.is_file()]:
        if path.relative_to(source) not in files:
            path.unlink()
    for name, content in files.items():
        path = source / name
        if not path.exists() or path.read_bytes() != content:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)


def api_sections() -> str:
    """The page of functions: one section a chapter, filled by Sphinx from the docstrings."""
    return "".join(
        f"\n## {chapter.number} {chapter.title}\n\n"
        f"```{{eval-rst}}\n.. automodule:: solutions.{chapter.name}\n   :members:\n```\n"
        for chapter in chapters()
    )


# Chapters


def page(path: Path, sliders: list[dict]) -> NotebookNode:
    """A chapter's notebook as the book shows it."""
    notebook = nbformat.read(path, as_version=4)
    title, *rest = enumerate(notebook.cells)
    cells = [title[1], new_markdown_cell(symbols_line(notebook, path.stem[:2]))]
    for number, cell in rest:
        box = re.fullmatch(r'label\("([\d.]+)"\)', cell.source.strip())
        if box:
            cells.append(new_markdown_cell(exercise_box(find_exercise(box[1]))))
        elif cell.cell_type == "code" and not is_first_cell(cell):
            cells += divided(cell)
        elif cell.cell_type == "markdown":
            cell.source = EXERCISE_LINK.sub(r"\1", cell.source).replace("](../docs/", "](../")
            cells.append(cell)
        for slider in sliders:
            if slider["cell"] == number:
                cells.append(new_markdown_cell(slider_figure(slider, path.stem)))
    notebook.cells = cells
    return notebook


def divided(cell: NotebookNode) -> list[NotebookNode]:
    """A cell as one for each of its pictures, for MyST-NB reads a picture's alt from its cell."""
    outputs, cell.outputs = cell.outputs, []
    parts = [cell]
    for output in outputs:
        alt = output.get("metadata", {}).get("image/png", {}).get("alt")
        if alt and "mystnb" in parts[-1].metadata:
            parts.append(new_code_cell("# one more", metadata={"tags": ["remove-input"]}))
        if "text/markdown" in output.get("data", {}):  # Sphinx looks for links in prose only
            text = output.data["text/markdown"]
            output.data["text/markdown"] = text.replace(".ipynb)", ".html)")
        parts[-1].outputs.append(output)
        if alt:
            parts[-1].metadata["mystnb"] = {"image": {"alt": alt}}
    return parts


def exercise_box(exercise: Exercise) -> str:
    """The box of an exercise, as MyST Markdown; each hint folds out of the one before."""
    module = f"solutions.{exercise.chapter}"
    names = ", ".join(f"{{py:obj}}`{s} <{module}.{s}>`" for s in exercise.symbols)
    hints = ""
    for number, text in reversed(list(enumerate(exercise.hints, start=1))):
        text = re.sub(r"`([^`]+)`", r"<code>\1</code>", html.escape(text))
        heading = f"Hint {number} of {len(exercise.hints)}"
        hints = f"<details><summary>{heading}</summary><p>{text}</p>{hints}</details>"
    return (
        f":::{{admonition}} Exercise {exercise.id}: {exercise.title}\n:class: exercise\n"
        f"Write {names} in `exercises/{exercise.chapter}.py`, then run `course check "
        f"{exercise.id}`.\n\n"
        f"difficulty {exercise.dots} · about {exercise.minutes} minutes · {exercise.worth}\n\n"
        f"{hints}\n:::"
    )


def symbols_line(notebook: NotebookNode, chapter: str) -> str:
    """Links into the glossary for the symbols of this chapter's formulas."""
    prose = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    formulas = " ".join(a or b for a, b in re.findall(r"\$\$(.+?)\$\$|\$(.+?)\$", prose, re.DOTALL))
    links = [
        f'<a href="../glossary.html#{anchor}">'
        f'<span class="math notranslate nohighlight">\\({html.escape(symbol)}\\)</span></a>'
        for anchor, symbol, first_chapter in glossary()
        if first_chapter <= chapter
        and re.search(rf"(?<![A-Za-z\\])(?<!\\hat ){re.escape(symbol)}(?![A-Za-z])", formulas)
    ]
    if not links:
        return "The symbols of all chapters are explained in the [glossary](../glossary.md)."
    links = " · ".join(links)
    return f'<p class="symbols">Symbols: {links} · <a href="../glossary.html">all</a></p>'


def glossary() -> list[tuple[str, str, str]]:
    """Anchor, LaTeX and first chapter of each symbol in docs/glossary.md."""
    text = (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8")
    return re.findall(
        r'^\| <a id="(\S+)"></a>\$(.+?)\$ .*\[(\d\d)\]\(\S+\) \|$', text, re.MULTILINE
    )


# Sliders


def slider_figure(slider: dict, chapter: str) -> str:
    """A slider as HTML: docs/_static/sliders.js moves it through stored pictures.

    One that has numbers has a single picture, for browsers without JavaScript. In others
    docs/_static/live.js draws all of them.
    """
    frames = [
        {**frame, "image": f"../_static/sliders/{chapter}/{frame['image']}"}
        for frame in slider["frames"]
    ]
    first = frames[slider["start"]]
    name = f"slider-{Path(first['image']).stem}"
    live = slider.get("live")
    listing = json.dumps(live or frames, ensure_ascii=False).replace("</", "<\\/")
    return (
        f'<figure class="slider-picture{" live" if live else ""}"><div class="control">'
        f'<label for="{name}">{html.escape(slider["name"])}</label>'
        f'<input type="range" id="{name}" min="0" max="{len(frames) - 1}" step="1" '
        f'value="{slider["start"]}" autocomplete="off" '
        f'aria-valuetext="{html.escape(first["value"])}">'
        f'<output for="{name}">{html.escape(first["value"])}</output></div>'
        f'<div class="frame"><img src="{first["image"]}" alt="{html.escape(first["alt"])}" '
        f'width="{slider["width"]}" height="{slider["height"]}"></div>'
        f'<figcaption aria-live="polite">{html.escape(first["caption"])}</figcaption>'
        f'<script type="application/json">{listing}</script></figure>'
    )


def slider_pictures(path: Path, cache: Path) -> Path:
    """The folder with the pictures of a notebook's sliders, for which the notebook is run once."""
    digest = hashlib.sha256(path.read_bytes())
    for name in DRAWN_BY:
        digest.update((PACKAGE / name).read_bytes())
    for function in (keep_pictures, chosen):
        digest.update(inspect.getsource(function).encode())
    folder = cache / f"{path.stem}-{digest.hexdigest()[:16]}"
    if not (folder / "sliders.json").exists():
        for old in cache.glob(f"{path.stem}-*"):
            shutil.rmtree(old)
        folder.mkdir(parents=True)
        print(f"drawing the sliders of {path.name}", flush=True)
        keep = "from course.pages.book import keep_pictures\n"
        keep += f"keep_pictures({str(folder)!r}, {path.stem!r})"
        *cells, last = execute(path, last_cell=keep).cells
        sliders = json.loads(last.outputs[-1].text)
        for slider in sliders:
            slider["cell"] = cell_of(slider.pop("widget"), cells)
        listing = json.dumps(sliders, ensure_ascii=False, indent=1)
        (folder / "sliders.json").write_text(listing, encoding="utf-8")
    return folder


def cell_of(widget: str, cells: list[NotebookNode]) -> int | None:
    """The number of the cell that shows a widget."""
    for number, cell in enumerate(cells):
        for output in cell.get("outputs", []):
            if output.get("data", {}).get(WIDGET, {}).get("model_id") == widget:
                return number
    return None


def keep_pictures(folder: str, notebook: str) -> None:
    """Draw every slider of this session at its values, keep the pictures, print the list.

    Runs in the notebook's kernel, after its last cell. A slider that the book computes itself is
    drawn where it begins only; its numbers are kept.
    """
    from course.pages.notebook import SliderPicture

    sliders = []
    for number, picture in enumerate(SliderPicture.made):
        slider, name = picture.slider, picture.slider.description
        start, values = slider.value, chosen(list(slider.options), slider.value)
        live = live_form(notebook, picture.draw)
        if live:
            values = [start]
        frames = []
        for k, value in enumerate(values):
            image = Image.open(io.BytesIO(picture.png(value))).convert("RGB")
            file = f"{number}-{k}.webp"
            image.save(Path(folder) / file, quality=85)
            alt, caption = f"The picture for {name} = {value}", picture.caption(value)
            frames.append({"image": file, "value": str(value), "alt": alt, "caption": caption})
            if value == start:
                width, height = image.size
        sliders.append(
            {
                "widget": picture.model_id,
                "name": name,
                "start": values.index(start),
                "width": width,
                "height": height,
                "frames": frames,
            }
        )
        if live:
            numbers = live(picture.draw.__globals__)
            sliders[-1]["live"] = {"kind": live.__name__, "numbers": numbers, "start": start}
    print(json.dumps(sliders))


def chosen(values: list, start) -> list:
    """At most POSITIONS of the values, evenly spread, with both ends and `start` among them."""
    last = len(values) - 1
    count = min(len(values), POSITIONS)
    kept = {round(k * last / max(1, count - 1)) for k in range(count)}
    here = values.index(start)
    if here not in kept:
        kept.remove(min(kept - {0, last}, key=lambda k: abs(k - here)))
        kept.add(here)
    return [values[k] for k in sorted(kept)]
