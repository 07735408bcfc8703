"""Drive a notebook in a real browser, as a learner at the keyboard would."""

import ast
import hashlib
import os
import re
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from base64 import b64decode
from pathlib import Path

import nbformat
from nbformat import NotebookNode
from playwright.sync_api import BrowserContext, Locator, Page, expect

from course import ROOT
from course.cli import JUPYTER_CONFIG

CHROMIUM = next(filter(None, map(shutil.which, ["chromium", "chromium-browser"])), None)
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"]
FLAGS += ["--disable-background-networking", "--disable-component-update", "--disable-sync"]

OPEN = """async path => {
    await window.jupyterapp.restored;
    await window.jupyterapp.commands.execute('docmanager:open', { path });
}"""
# Run All asks which kernel to take as long as there is none, so wait for the kernel first.
WAIT_FOR_THE_KERNEL = """async () => {
    const app = window.jupyterapp;
    await app.restored;
    for (;;) {
        const panel = app.shell.currentWidget;
        if (panel?.context?.sessionContext) {
            await panel.context.ready;
            await panel.sessionContext.ready;
            if (panel.sessionContext.session?.kernel) { window.panel = panel; return; }
        }
        await new Promise(done => setTimeout(done, 100));
    }
}"""
RUN_ALL = """() => {
    window.ended = null;
    const end = how => { window.ended = String(how); };
    window.jupyterapp.commands.execute('notebook:run-all-cells').then(end, end);
}"""
ENDED = "() => window.ended !== null"
NOTEBOOK = """() => window.panel.content.model.toJSON()"""
EVALUATE = """async ([imports, expression]) => {
    const kernel = window.panel.sessionContext.session.kernel;
    const request = { code: imports, user_expressions: { it: expression }, store_history: false };
    return (await kernel.requestExecute(request).done).content;
}"""
SHUT_DOWN = """async () => { await window.panel?.sessionContext?.shutdown(); }"""
# To close it would ask whether to save.
DISPOSE = """() => { window.panel?.dispose(); window.panel = null; }"""
GO_TO = """number => window.panel.content.scrollToItem(number, 'center')"""
ACTIVATE = """number => {
    window.panel.content.activeCellIndex = number;
    window.panel.content.mode = 'command';
    window.panel.content.activeCell.node.focus();
}"""


class Server:
    """A server for the notebooks, in the environment of a new learner.

    Args:
        folder: for a copy of the notebooks, the learner's exercises and all that Jupyter keeps.
        module: of the server, called with these options.
        ready: the path at which it answers when it is ready.
    """

    def __init__(self, folder: Path, module: str, options: list[str], ready: str):
        self.folder, self.exercises, self.port = folder, folder / "exercises", _free_port()
        shutil.copytree(ROOT / "chapters", folder / "chapters", ignore=_hidden)
        environment = {
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "COURSE_EXERCISES": str(self.exercises),
            "DIFFUSION_DATA": str(folder),  # no MNIST
            "JUPYTERLAB_SETTINGS_DIR": str(folder / "settings"),
            "JUPYTERLAB_WORKSPACES_DIR": str(folder / "workspaces"),
            "JUPYTER_CONFIG_DIR": str(folder / "config"),
            "JUPYTER_CONFIG_PATH": str(JUPYTER_CONFIG),
            "JUPYTER_DATA_DIR": str(folder / "share"),
            "JUPYTER_RUNTIME_DIR": str(folder / "runtime"),
            "IPYTHONDIR": str(folder / "ipython"),
        }
        command = [sys.executable, "-m", module, "--no-browser", f"--port={self.port}", *options]
        with open(folder / "server.log", "w") as log:
            self.process = subprocess.Popen(
                command, cwd=folder / "chapters", env=environment, stdout=log, stderr=log
            )
        self._wait(ready)

    def _wait(self, path: str, seconds: float = 240.0) -> None:
        deadline = time.monotonic() + seconds
        while self.process.poll() is None and time.monotonic() < deadline:
            try:
                urllib.request.urlopen(self.url(path), timeout=2).close()
                return
            except OSError:
                time.sleep(0.2)
        self.close()
        raise TimeoutError("no server answers:\n" + (self.folder / "server.log").read_text())

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.port}/{path}"

    def close(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()


class Jupyter(Server):
    """JupyterLab and Notebook 7."""

    def __init__(self, folder: Path):
        self.token = secrets.token_hex(16)
        options = [
            "--allow-root",
            "--ip=127.0.0.1",
            "--ServerApp.port_retries=0",
            f"--IdentityProvider.token={self.token}",
            f"--ServerApp.root_dir={folder / 'chapters'}",
            "--LabApp.expose_app_in_browser=True",
            "--JupyterNotebookApp.expose_app_in_browser=True",
        ]
        super().__init__(folder, "jupyterlab", options, ready="api")

    def address(self, place: str) -> str:
        """Of "lab", or of a notebook in Notebook 7, which is "notebooks/name.ipynb"."""
        return self.url(f"{place}?token={self.token}")


class Voila(Server):
    """One notebook without its code, as Voilà shows it; it runs when the page is opened."""

    def __init__(self, folder: Path, notebook: str):
        options = ["--Voila.ip=127.0.0.1", notebook]
        super().__init__(folder, "voila", options, ready="voila/static/voila.js")


class Tab:
    """A page in a tab of its own. What fails inside `with` leaves a screenshot behind."""

    def __init__(self, browser: BrowserContext, address: str):
        self.page = browser.new_page()
        self._address = address

    def __enter__(self) -> "Tab":
        try:
            self.open()
        except Exception as error:
            self.__exit__(type(error), error, error.__traceback__)
            raise
        return self

    def __exit__(self, kind, error, trace) -> None:
        if error is not None:
            file = Path(tempfile.mkdtemp(prefix="browser_")) / "screenshot.png"
            self.page.screenshot(path=file)
            error.add_note(f"what the browser showed: {file}")
        self.close()

    def open(self) -> None:
        self.page.goto(self._address)

    def close(self) -> None:
        self.page.close()


class NotebookTab(Tab):
    """A notebook in Notebook 7, with a kernel of its own."""

    def open(self) -> None:
        super().open()
        self.wait_for_the_kernel()

    def close(self) -> None:
        self.page.evaluate(SHUT_DOWN)
        super().close()

    def wait_for_the_kernel(self) -> None:
        self.page.wait_for_selector(".jp-Notebook")
        self.page.evaluate(WAIT_FOR_THE_KERNEL)

    def run_all(self, seconds: float) -> NotebookNode:
        """Run every cell, as Run All does; the notebook with the outputs."""
        self.page.evaluate(RUN_ALL)
        # By default it asks, and so draws the page, sixty times a second.
        self.page.wait_for_function(ENDED, timeout=1000 * seconds, polling=250)
        return nbformat.from_dict(self.page.evaluate(NOTEBOOK))

    def go_to(self, number: int) -> Locator:
        """Bring a cell into view; returns it."""
        self.page.evaluate(GO_TO, number)
        cell = self.page.locator(f'.jp-Notebook .jp-Cell[data-windowed-list-index="{number}"]')
        expect(cell).to_be_visible()
        return cell

    def run_cell(self, number: int) -> Locator:
        """Run one cell with the keyboard; returns it."""
        cell = self.go_to(number)
        self.page.evaluate(ACTIVATE, number)
        self.page.keyboard.press("Control+Enter")
        return cell

    def ask_kernel(self, expression: str, imports: str = "") -> object:
        """The value of an expression of plain data in the notebook's kernel."""
        reply = self.page.evaluate(EVALUATE, [imports, expression])
        assert reply["status"] == "ok", reply
        value = reply["user_expressions"]["it"]
        assert value["status"] == "ok", value
        return ast.literal_eval(value["data"]["text/plain"])


class LabTab(NotebookTab):
    """A notebook in a JupyterLab that is open already and stays so."""

    def __init__(self, lab: Page, notebook: str):
        self.page, self._notebook = lab, notebook

    def open(self) -> None:
        self.page.evaluate(OPEN, self._notebook)
        self.wait_for_the_kernel()

    def close(self) -> None:
        self.page.evaluate(SHUT_DOWN)
        self.page.evaluate(DISPOSE)


def digest_of_picture(image: Locator) -> str:
    """A digest of the PNG file that an <img> shows."""
    source = image.get_attribute("src")
    kind, _, data = source.partition(",")
    assert re.fullmatch("data:image/png;base64", kind), source[:60]
    return hashlib.sha256(b64decode(data)).hexdigest()


def _hidden(folder: str, names: list[str]) -> list[str]:
    return [name for name in names if name.startswith(".")]


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]
