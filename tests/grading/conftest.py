"""The grader was never tried on Windows; its tests say so there."""

import os

import pytest


def pytest_collection_modifyitems(items):
    if os.name == "nt":
        for item in items:
            if "grading" in item.path.parts:
                item.add_marker(pytest.mark.skip(reason="the grader has not been tried on Windows: docs/grading.md"))
