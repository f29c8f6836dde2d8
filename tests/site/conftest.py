"""The built website in Chromium, served from a sub-path of this machine as GitHub Pages does it.

`make test-site` builds it first. Every request and every error in the console is noted; what leaves the website's
own address fails the test that did it. `seen` opens a page once, in one window, and notes everything that the tests
of all pages ask for; a test that types or clicks takes a window of its own from `visit`.
"""

import functools
import http.server
import os
import pathlib
import sys
import threading
from typing import NamedTuple

import pytest
from PIL import Image
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


SHIFTS = """() => new Promise((done) => {
    let moved = 0;
    new PerformanceObserver((list) => { for (const one of list.getEntries()) moved += one.value; })
        .observe({ type: "layout-shift", buffered: true });
    requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(() => done(moved), 50)));
})"""
WIDTHS = (360, 800, 1024, 1340)                          # where the theme changes its columns
LOOKS = (("light", 1300), ("dark", 1300), ("light", 360))


class Seen(NamedTuple):
    """What one visit to a page brought."""

    complaints: list      # requests to other hosts, errors in the console, cookies
    headings: int         # of the first level
    moved: float          # layout shift while it was loading
    widths: dict          # width of the window -> how wide the page is
    findings: dict        # look -> what axe-core calls serious
    blank: list           # the looks in which the picture shows next to nothing


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


@pytest.fixture(scope="session")
def seen(browser, address, pictures):
    """seen(name, audited=…): what one visit to a page brought; the second time without a visit."""
    context = browser.new_context(viewport={"width": 1300, "height": 1000}, color_scheme="light",
                                  reduced_motion="reduce")
    visitor, known = Visitor(context, address), {}

    def look(name, audited=False):
        if name not in known:
            known[name] = tour(visitor, name, audited, pictures)
        return known[name]

    yield look
    context.close()


def tour(visitor, name, audited, pictures):
    """Open a page once, and look at it from every side."""
    visitor.outside.clear()
    visitor.errors.clear()
    page = visitor.page
    page.emulate_media(color_scheme="light")
    page.set_viewport_size({"width": 1300, "height": 1000})
    visitor.open(name)
    moved, headings = page.evaluate(SHIFTS), page.locator("h1").count()
    findings, blank = {}, []
    if audited:
        for theme, width in LOOKS:
            page.emulate_media(color_scheme=theme)
            page.set_viewport_size({"width": width, "height": 1000})
            stem = f"{name.replace('/', '-')[:-5]}-{theme}-{width}"
            if shows_next_to_nothing(page, pictures / f"{stem}.png"):
                blank.append((theme, width))
            findings[theme, width] = serious(page)
    widths = {}
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 740})
        widths[width] = page.evaluate("document.documentElement.scrollWidth")
    complaints = [*visitor.outside, *visitor.errors, *visitor.context.cookies()]
    return Seen(complaints, headings, moved, widths, findings, blank)


def shows_next_to_nothing(page, file):
    """Take a picture of the top of a page, when it has been painted. Is it (nearly) of one colour?"""
    page.evaluate("""async () => {
        scrollTo(0, 0);
        await Promise.all([...document.images].filter((one) => one.getBoundingClientRect().top < innerHeight)
            .map((one) => one.decode().catch(() => 0)));
        await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
    }""")
    page.screenshot(path=file)
    with Image.open(file) as picture:
        return len(picture.convert("RGB").getcolors(picture.width * picture.height)) < 20


def serious(page):
    """Serious findings of axe-core, with everything unfolded."""
    if not os.path.exists(os.environ["AXE"]):
        return None
    if not page.evaluate("'axe' in window"):
        page.evaluate(pathlib.Path(os.environ["AXE"]).read_text(encoding="utf-8"))
    found = page.evaluate("""async () => {
        const folded = [...document.querySelectorAll("details:not([open])")];
        for (const one of folded) one.open = true;
        await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
        const { violations } = await axe.run(document, { resultTypes: ["violations"] });
        for (const one of folded) one.open = false;
        return violations;
    }""")
    return [f"{one['id']}: {[node['target'] for node in one['nodes']][:3]} {one['nodes'][0]['failureSummary'][:200]}"
            for one in found if one["impact"] in ("serious", "critical")]


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
