"""JupyterLab on the course, opened as `make lab` opens it, and a Chromium that looks at it.

The course's folder is copied first: running a lesson in the browser saves it. Every request that the browser
makes and every error in its console is noted; what leaves the machine fails the test that did it.
"""

import os
import pathlib
import shutil
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request

import nbformat
import pytest
import stage
from playwright.sync_api import sync_playwright

ROOT = pathlib.Path(__file__).parent.parent.parent
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking",
         "--disable-component-update"]


@pytest.fixture(scope="session")
def pictures():
    """Where the screenshots are kept (CI keeps them as artefacts)."""
    folder = pathlib.Path(os.environ.get("PICTURES", ROOT / ".venv" / "screenshots"))
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture(scope="session")
def course(tmp_path_factory):
    """A copy of what a learner sees, and two notebooks of our own in it."""
    folder = tmp_path_factory.mktemp("the course")          # with a space in its path
    for name in ("notebooks", "exercises", "solutions", "docs"):
        if (ROOT / name).exists():
            shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns(".ipynb_checkpoints"))
    nbformat.write(stage.notebook(), folder / "notebooks" / "stage.ipynb")
    nbformat.write(stage.still(), folder / "notebooks" / "still.ipynb")
    return folder


@pytest.fixture(scope="session")
def lab(course, tmp_path_factory):
    """The address of a JupyterLab started by `make lab`."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = (f'--no-browser --port {port} --ServerApp.port_retries=0 --IdentityProvider.token="" '
               f'--ServerApp.root_dir="{course}" --LabApp.expose_app_in_browser=True')
    root = ["--allow-root"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []
    log = (tmp_path_factory.mktemp("log") / "lab.txt").open("w+")
    server = subprocess.Popen(["make", "lab", f"LAB_ARGS={' '.join([options, *root])}"], cwd=ROOT, stdout=log,
                              stderr=subprocess.STDOUT, start_new_session=True,
                              env=os.environ | {"LSTMCOURSE_PROGRESS": str(course / "progress")})
    address = f"http://127.0.0.1:{port}"
    try:
        for _ in range(240):
            try:
                urllib.request.urlopen(address + "/api", timeout=5)
                break
            except (urllib.error.URLError, OSError):
                assert server.poll() is None, pathlib.Path(log.name).read_text()[-2000:]
                time.sleep(0.5)
        else:
            raise AssertionError("JupyterLab did not answer: " + pathlib.Path(log.name).read_text()[-2000:])
        yield address
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait(30)


@pytest.fixture(scope="session")
def browser():
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=os.environ["CHROMIUM"], args=FLAGS)
        yield chromium
        chromium.close()


class Lab:
    """One page of JupyterLab, what it asked for and what it complained about."""

    def __init__(self, page, address):
        self.page, self.address, self.outside, self.errors = page, address, [], []
        page.on("request", self._asked)
        page.on("console", self._said)
        page.on("pageerror", lambda error: self.errors.append(str(error)[:300]))

    def _asked(self, request):
        if not request.url.startswith((self.address, "data:", "blob:", self.address.replace("http", "ws"))):
            self.outside.append(request.url)

    def _said(self, message):
        if message.type == "error":
            self.errors.append(message.text[:300])

    def open(self, name, folder="notebooks"):
        """Open a notebook as a link to it does, and wait until its kernel can be given work."""
        self.page.goto(f"{self.address}/lab/tree/{folder}/{name}.ipynb?reset")
        self.page.wait_for_function(
            "() => window.jupyterapp?.shell.currentWidget?.sessionContext?.session?.kernel?.status === 'idle'",
            timeout=120_000)
        self.page.wait_for_selector(".jp-NotebookPanel:not(.lm-mod-hidden) .jp-Cell")

    def run_all(self):
        """Run > Run All Cells, by mouse, from the menu; wait until every cell has its count."""
        self.page.locator(".lm-MenuBar-itemLabel", has_text="Run").first.click()
        self.page.locator(".lm-Menu-itemLabel", has_text="Run All Cells").first.click()
        self.page.wait_for_function("""() => {
            const panel = window.jupyterapp.shell.currentWidget;
            const code = [...panel.model.cells].filter((c) => c.type === "code" && c.sharedModel.getSource().trim());
            return panel.sessionContext.session.kernel.status === "idle"
                && code.every((c) => c.executionCount !== null && c.executionState !== "running");
        }""", timeout=600_000)

    def write(self, start, source):
        """Put a source into the code cell that begins like this."""
        self.page.evaluate("""([start, source]) => {
            const cells = [...window.jupyterapp.shell.currentWidget.model.cells];
            const cell = cells.find((one) => one.type === "code" && one.sharedModel.getSource().startsWith(start));
            cell.sharedModel.setSource(source);
        }""", [start, source])

    def said_by(self, start):
        """The text of all outputs of the code cell that begins like this, as it stands on the page."""
        return self.page.evaluate("""(start) => {
            const cells = window.jupyterapp.shell.currentWidget.content.widgets;
            const cell = cells.find((one) => one.model.sharedModel.getSource().startsWith(start));
            cell.node.scrollIntoView({ block: "center" });
            return cell.outputArea.node.textContent;
        }""", start)

    def error_outputs(self):
        return self.page.evaluate("""() => [...window.jupyterapp.shell.currentWidget.model.cells].flatMap((cell) =>
            cell.type === "code" ? cell.sharedModel.toJSON().outputs.filter((o) => o.output_type === "error")
                .map((o) => `${o.ename}: ${o.evalue}`) : [])""")

    def theme(self, name):
        self.page.evaluate("name => window.jupyterapp.commands.execute('apputils:change-theme', { theme: name })", name)
        self.page.wait_for_function("name => document.body.dataset.jpThemeName === name", arg=name)

    def complaints(self):
        """What was asked of other machines, and errors in the console."""
        return self.outside + self.errors


@pytest.fixture(scope="session")
def page(browser, lab):
    """One JupyterLab page for all tests: opening it takes longer than all the rest."""
    context = browser.new_context(viewport={"width": 1400, "height": 1000}, reduced_motion="reduce")
    opened = Lab(context.new_page(), lab)
    yield opened
    context.close()


@pytest.fixture(autouse=True)
def nothing_leaves_and_nobody_complains(page):
    yield
    found = page.complaints()
    page.outside.clear()
    page.errors.clear()
    assert found == []
