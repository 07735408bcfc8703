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

from playwright.sync_api import Browser, Locator, expect

from course import ROOT

CHROMIUM = next(filter(None, map(shutil.which, ["chromium", "chromium-browser"])), None)
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"]
FLAGS += ["--disable-background-networking", "--disable-component-update", "--disable-sync"]

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
CELLS = """() => Array.from(window.panel.content.model.cells, cell => cell.toJSON())"""
EVALUATE = """async ([imports, expression]) => {
    const kernel = window.panel.sessionContext.session.kernel;
    const request = { code: imports, user_expressions: { it: expression }, store_history: false };
    return (await kernel.requestExecute(request).done).content;
}"""
RESTART = """() => window.panel.sessionContext.restartKernel()"""
SHUT_DOWN = """() => window.panel.sessionContext.shutdown()"""
GO_TO = """async (number) => {
    await window.panel.content.scrollToItem(number, 'center');
    window.panel.content.activeCellIndex = number;
}"""


class Jupyter:
    """A server with JupyterLab and Notebook 7, on copies of the course's notebooks.

    Args:
        folder: an empty folder for the copies, the learner's exercises and all that Jupyter keeps.
        settings: of JupyterLab, as {"package:plugin": text of JSON}.
    """

    def __init__(self, folder: Path, theme: str = "JupyterLab Light"):
        self.folder, self.exercises = folder, folder / "exercises"
        self.port, self.token = _free_port(), secrets.token_hex(16)
        shutil.copytree(
            ROOT / "chapters", folder / "chapters", ignore=shutil.ignore_patterns(".*")
        )
        apputils = folder / "settings" / "@jupyterlab" / "apputils-extension"
        apputils.mkdir(parents=True)
        (apputils / "notification.jupyterlab-settings").write_text(
            '{"fetchNews": "false", "checkForUpdates": false}'  # no question about news
        )
        (apputils / "themes.jupyterlab-settings").write_text(f'{{"theme": "{theme}"}}')
        environment = {
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "COURSE_EXERCISES": str(self.exercises),
            "DIFFUSION_DATA": str(folder / "data"),  # no MNIST: what a new learner sees
            "JUPYTERLAB_SETTINGS_DIR": str(folder / "settings"),
            "JUPYTERLAB_WORKSPACES_DIR": str(folder / "workspaces"),
            "JUPYTER_CONFIG_DIR": str(folder / "config"),
            "JUPYTER_DATA_DIR": str(folder / "share"),
            "JUPYTER_RUNTIME_DIR": str(folder / "runtime"),
            "IPYTHONDIR": str(folder / "ipython"),
        }
        options = [
            "--no-browser",
            "--allow-root",
            "--ip=127.0.0.1",
            f"--port={self.port}",
            "--ServerApp.port_retries=0",
            f"--IdentityProvider.token={self.token}",
            f"--ServerApp.root_dir={folder / 'chapters'}",
            "--LabApp.expose_app_in_browser=True",
            "--JupyterNotebookApp.expose_app_in_browser=True",
        ]
        with open(folder / "server.log", "w") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "jupyterlab", *options],
                cwd=folder,
                env=environment,
                stdout=log,
                stderr=log,
            )
        self._wait()

    def _wait(self, seconds: float = 90.0) -> None:
        deadline = time.monotonic() + seconds
        while self.process.poll() is None and time.monotonic() < deadline:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{self.port}/api", timeout=2).close()
                return
            except OSError:
                time.sleep(0.2)
        self.close()
        raise TimeoutError("Jupyter does not answer:\n" + (self.folder / "server.log").read_text())

    def address(self, app: str, notebook: str) -> str:
        """Where to open a notebook: in "lab", each in a workspace of its own, or in "notebook"."""
        name = notebook.removesuffix(".ipynb")
        place = f"lab/workspaces/{name}/tree" if app == "lab" else "notebooks"
        return f"http://127.0.0.1:{self.port}/{place}/{notebook}?token={self.token}"

    def close(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()


class Tab:
    """A notebook in a tab of its own. What fails inside `with` leaves a screenshot behind."""

    def __init__(self, browser: Browser, jupyter: Jupyter, app: str, notebook: str):
        self.page = browser.new_page(viewport={"width": 1280, "height": 1000})
        self.page.set_default_timeout(60_000)
        self._address, self.name = jupyter.address(app, notebook), f"{app}_{Path(notebook).stem}"

    def __enter__(self) -> "Tab":
        try:
            self.page.goto(self._address)
            self.page.wait_for_selector(".jp-Notebook")
            self.page.evaluate(WAIT_FOR_THE_KERNEL)
        except Exception as error:
            self.__exit__(type(error), error, error.__traceback__)
            raise
        return self

    def __exit__(self, kind, error, trace) -> None:
        if error is not None:
            file = Path(tempfile.mkdtemp(prefix="browser_")) / f"{self.name}.png"
            self.page.screenshot(path=file)
            error.add_note(f"what the browser showed: {file}")
        self.page.evaluate("async () => { await window.panel?.sessionContext?.shutdown(); }")
        self.page.close()

    def run_all(self, seconds: float) -> list[dict]:
        """Run every cell, as Run All does; the notebook's cells with their outputs."""
        self.page.evaluate(RUN_ALL)
        self.page.wait_for_function("() => window.ended !== null", timeout=1000 * seconds)
        return self.page.evaluate(CELLS)

    def go_to(self, number: int) -> Locator:
        """Bring a cell into view and make it the active one."""
        self.page.evaluate(GO_TO, number)
        cell = self.page.locator(f'.jp-Notebook .jp-Cell[data-windowed-list-index="{number}"]')
        expect(cell).to_be_visible()
        return cell

    def run_cell(self, number: int) -> Locator:
        """Run one cell with the keyboard; returns it."""
        cell = self.go_to(number)
        self.page.evaluate("() => { window.panel.content.mode = 'command'; }")
        self.page.evaluate("() => { window.panel.content.activeCell.node.focus(); }")
        self.page.keyboard.press("Control+Enter")
        return cell

    def ask_kernel(self, expression: str, imports: str = "") -> object:
        """The value of an expression of plain data in the notebook's kernel."""
        reply = self.page.evaluate(EVALUATE, [imports, expression])
        assert reply["status"] == "ok", reply
        value = reply["user_expressions"]["it"]
        assert value["status"] == "ok", value
        return ast.literal_eval(value["data"]["text/plain"])


def digest_of_picture(image: Locator) -> str:
    """A digest of the PNG file that an <img> shows."""
    source = image.get_attribute("src")
    kind, _, data = source.partition(",")
    assert re.fullmatch("data:image/png;base64", kind), source[:60]
    return hashlib.sha256(b64decode(data)).hexdigest()


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]
