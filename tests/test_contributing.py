"""What CONTRIBUTING.md and CHANGELOG.md say is there."""

import pathlib
import re
import tomllib

import yaml

ROOT = pathlib.Path(__file__).parent.parent
GUIDE = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")


def test_every_command_of_the_guide_is_a_target():
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))
    assert set(re.findall(r"`make ([a-z-]+)", GUIDE)) <= targets


def test_every_test_of_the_guide_is_there():
    files = set(re.findall(r"tests/[\w/]+(?:\.\w+)?", GUIDE))
    assert [name for name in sorted(files) if not (ROOT / name).exists()] == []


def test_newest_dated_entry_of_the_changelog_is_the_version_of_the_package():
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    changes = (ROOT / "CHANGELOG.md").read_text()
    newest = re.search(r"^## (\d+\.\d+\.\d+).*\((\d{4}-\d\d-\d\d)\)$", changes, re.MULTILINE)
    assert newest.groups() == (version, str(citation["date-released"]))
