"""`make test-browser` and `make test-site`: get what the browser tests need, say what is missing, run them.

Needed: Chromium (any of the names below), Playwright for Python (installed here, from PyPI), and for the
accessibility audit axe-core (installed here by npm, into .venv). Nothing missing is an error: a machine
without a browser skips these tests and says so.
"""

import importlib.util
import os
import pathlib
import shutil
import subprocess
import sys

ROOT = pathlib.Path(__file__).parent.parent.parent
AXE = ROOT / ".venv" / "axe"
AXE_VERSION = "4.14.1"


def chromium():
    """Path of a Chromium or Chrome, or None."""
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
    found = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, names)), None)
    if found is None and importlib.util.find_spec("playwright"):
        from playwright.sync_api import sync_playwright
        with sync_playwright() as playwright:
            own = playwright.chromium.executable_path
        found = own if os.path.exists(own) else None
    return found


def install():
    """Chromium, for whoever has set INSTALL_CHROMIUM: Debian's own for root, else the one of Playwright."""
    if hasattr(os, "geteuid") and os.geteuid() == 0 and shutil.which("apt-get"):
        subprocess.run(["apt-get", "install", "-y", "-qq", "chromium"], check=False)
    if chromium() is None:
        subprocess.run([sys.executable, "-m", "playwright", "install", "--with-deps", "chromium"], check=False)


def main(arguments):
    if not importlib.util.find_spec("playwright"):
        subprocess.run([sys.executable, "-m", "pip", "install", "--disable-pip-version-check", "-q",
                        "-c", str(ROOT / "constraints.txt"), "playwright"], check=False)
    if not importlib.util.find_spec("playwright"):
        print("make test-browser: SKIPPED. Playwright for Python could not be installed.")
        return 0
    if chromium() is None and os.environ.get("INSTALL_CHROMIUM"):
        install()
    if chromium() is None:
        print("make test-browser: SKIPPED, nothing was tested. There is no Chromium on this machine. On Debian:\n"
              "    apt-get install chromium\nor let it be installed, as root by apt-get, else by Playwright:\n"
              "    make test-browser INSTALL_CHROMIUM=1\nor name one: make test-browser CHROMIUM=/path/to/chrome")
        return 0
    script = AXE / "node_modules" / "axe-core" / "axe.min.js"
    if not script.exists() and shutil.which("npm"):
        subprocess.run(["npm", "install", "--silent", "--no-audit", "--no-fund", "--prefix", str(AXE),
                        f"axe-core@{AXE_VERSION}"], check=False)
    if not script.exists():
        print("make test-browser: axe-core is not here and npm could not get it; the accessibility audit is skipped.")
    paths = [str(ROOT / "tests" / "browser"), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = os.environ | {"CHROMIUM": chromium(), "AXE": str(script), "PYTHONPATH": os.pathsep.join(paths)}
    folder = arguments.pop(0) if arguments and arguments[0].startswith("tests/") else "tests/browser"
    command = [sys.executable, "-m", "pytest", "-q", "-rs", "-s", "-p", "no:cacheprovider", folder]
    return subprocess.run(command + arguments, env=environment, cwd=ROOT).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
