"""pytest's settings for the notebooks.

An exercise that a learner has worked in is not compared, and a kernel that could not start is started again.
"""

import functools

import nbval.plugin

from lstmcourse.practice.stubs import is_untouched
from tests.kernels import start_again

YOURS = []


def pytest_configure(config):
    """Let nbval start a kernel again whose port was taken."""
    start = nbval.plugin.RunningKernel
    nbval.plugin.RunningKernel = lambda *names, **options: start_again(functools.partial(start, *names, **options))


def pytest_ignore_collect(collection_path, config):
    """Skip the notebooks of exercises/ that are no longer as `make exercises` saved them: they are yours."""
    if (collection_path.suffix == ".ipynb" and collection_path.parent == config.rootpath / "exercises"
            and not is_untouched(collection_path, outputs=True)):
        YOURS.append(collection_path.name)
        return True
    return None


def pytest_terminal_summary(terminalreporter):
    if YOURS:
        names = ", ".join(sorted(set(YOURS)))
        terminalreporter.write_line(f"exercises/ left out, since you have worked in them: {names}")
