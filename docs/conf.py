"""Sphinx's settings for the web book, which `course book` builds from a copy of this folder."""

import re
from pathlib import Path

from course.pages.open_anywhere import repository

project = "Diffusion from scratch"
html_title = project
extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.mathjax",
    "sphinx-mathjax-offline",  # MathJax's files, so that formulas need no other host
]
root_doc = "index"
default_role = "code"  # docstrings put code in single backticks
highlight_language = "none"  # what is no Python is a listing, a message or a formula

# The notebooks are stored with their outputs; nothing is run here.
nb_execution_mode = "off"
myst_enable_extensions = ["dollarmath", "amsmath", "colon_fence"]
myst_heading_anchors = 3
suppress_warnings = ["myst.header"]  # the README's two commands are headings of a low level

# At the top of each chapter, once there is an address that they can lead to.
LAUNCH_BUTTONS = {
    "colab_url": "https://colab.research.google.com",
    "binderhub_url": "https://mybinder.org",
    "notebook_interface": "jupyterlab",
}

html_theme = "sphinx_book_theme"
html_static_path = ["_static"]
html_css_files = ["book.css"]
# A student edition leaves out live.js, whose formulas are answers.
html_js_files = [
    (path.name, {"defer": "defer"}) for path in sorted(Path(__file__).parent.glob("_static/*.js"))
]
html_favicon = "_static/icon.svg"
html_copy_source = False
html_show_sphinx = False
html_use_index = False  # the page of functions and classes is its own index
html_domain_indices = False
html_context = {"default_mode": "auto"}  # light or dark, as the reader's system is
html_theme_options = {
    "repository_url": repository(),
    "repository_branch": "main",
    "path_to_docs": "",
    "launch_buttons": LAUNCH_BUTTONS if "/OWNER/" not in repository() else {},
    "use_download_button": False,
    "use_repository_button": False,
    "footer_content_items": [],  # the book names no author
    "show_toc_level": 2,
}

add_module_names = False
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
python_maximum_signature_line_length = 60
napoleon_numpy_docstring = False
napoleon_use_rtype = False  # what stands before the colon is a name, not a type
# Other libraries' documentation would have to be fetched.
nitpick_ignore_regex = [(r"py:.*", r"(torch|nn|Tensor|F|collections|Callable|Collection)\b.*")]


def mark_formulas(app, what, name, obj, options, lines):
    """Docstrings are written to be read as text: say which lines are formulas, and mean `*` so.

    An equation that is to be found is left out, as in the skeletons.
    """
    if what == "module":
        del lines[:2]  # its title, which the page has as a heading
    marked, before, inside, to_be_found = [], "", False, False
    for line in lines:
        indented = line.startswith("    ")
        if line.strip() and not indented:
            to_be_found = line.strip() == "Equation:"
        if to_be_found:
            continue
        if line.strip():
            if indented and not before and not inside and marked and marked[-1] == "":
                marked += ["::", ""]
                inside = True
            elif not indented:
                inside = False
        marked.append(line if inside else re.sub(r"(?<!`)([*|])", r"\\\1", line))
        before = line.strip()
    lines[:] = marked


def skip_fields_of_tuples(app, what, name, obj, skip, options):
    """A NamedTuple's fields say nothing but their number."""
    return True if type(obj).__name__ == "_tuplegetter" else None


def setup(app):
    app.connect("autodoc-skip-member", skip_fields_of_tuples)
    app.connect("autodoc-process-docstring", mark_formulas, priority=400)  # before napoleon
