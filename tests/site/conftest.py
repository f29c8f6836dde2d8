"""The built website in Chromium, served from a sub-path of this machine as GitHub Pages does it.

`make test-site` builds it first. Every request and every error in the console is noted; what leaves the website's
own address fails the test that did it.
"""

import functools
import http.server
import os
import pathlib
import sys
import threading

import pytest
from playwright.sync_api import sync_playwright

ROOT = pathlib.Path(__file__).parent.parent.parent
BUILT = ROOT / "build" / "site"
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking",
         "--disable-component-update", "--allow-file-access-from-files=false"]
sys.path.insert(0, str(ROOT / "docs"))


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args):
        pass


@pytest.fixture(scope="session")
def address(tmp_path_factory):
    """The website's address, with a folder in it: http://127.0.0.1:…/a course/"""
    top = tmp_path_factory.mktemp("host")
    (top / "a course").symlink_to(BUILT, target_is_directory=True)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(top)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/a%20course/"
    server.shutdown()


@pytest.fixture(scope="session")
def browser():
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=os.environ["CHROMIUM"], args=FLAGS)
        yield chromium
        chromium.close()


@pytest.fixture(scope="session")
def pictures():
    """Where the screenshots are kept (CI keeps them as artefacts)."""
    folder = pathlib.Path(os.environ.get("PICTURES", ROOT / ".venv" / "screenshots")) / "site"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


class Visitor:
    """A browser window of its own: what it asked for, and what it complained about."""

    def __init__(self, context, address):
        self.context, self.address, self.outside, self.errors = context, address, [], []
        self.page = context.new_page()
        self.page.on("request", self._asked)
        self.page.on("console", lambda message: message.type == "error" and self.errors.append(message.text[:300]))
        self.page.on("pageerror", lambda error: self.errors.append(str(error)[:300]))

    def _asked(self, request):
        if not request.url.startswith((self.address, "data:", "blob:")):
            self.outside.append(request.url)

    def open(self, name):
        self.page.goto(self.address + name, wait_until="load")
        return self.page


@pytest.fixture
def visit(browser, address):
    """visit(width=…, theme=…, scripts=…, where=…) opens a window; at the end nobody may have complained."""
    opened = []

    def new(width=1300, height=1000, theme="light", scripts=True, where=address):
        context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=theme,
                                      java_script_enabled=scripts, reduced_motion="reduce")
        opened.append(Visitor(context, where))
        return opened[-1]

    yield new
    found = [line for one in opened for line in one.outside + one.errors]
    cookies = [cookie for one in opened for cookie in one.context.cookies()]
    for one in opened:
        one.context.close()
    assert found == []
    assert cookies == []
