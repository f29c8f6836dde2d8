"""A kernel whose port was taken is started again; what a notebook itself raises is not tried twice."""

import sys

import nbformat
import nbval.plugin
import pytest
from jupyter_client.provisioning import LocalProvisioner
from nbclient import NotebookClient

from .kernels import start_again


class Starts:
    """Fails as often as there are errors, then answers."""

    def __init__(self, *errors):
        self.errors = list(errors)

    def __call__(self):
        if self.errors:
            raise self.errors.pop(0)
        return "ready"


def died():
    return RuntimeError("Kernel died before replying to kernel_info")


def test_start_again_tries_three_times():
    assert start_again(Starts(died(), died())) == "ready"
    with pytest.raises(RuntimeError, match="died before"):
        start_again(Starts(died(), died(), died()))


@pytest.mark.parametrize("error", [RuntimeError("out of memory"), ValueError("Kernel died before replying")])
def test_start_again_leaves_other_errors_alone(error):
    with pytest.raises(type(error)):
        start_again(Starts(error))


def first_kernel_ends(monkeypatch):
    """The first kernel to be started ends at once, as one does whose port another program holds."""
    launch, asked = LocalProvisioner.launch_kernel, []

    async def launch_a_broken_one_first(self, command, **options):
        asked.append(command)
        return await launch(self, [sys.executable, "-c", ""] if len(asked) == 1 else command, **options)
    monkeypatch.setattr(LocalProvisioner, "launch_kernel", launch_a_broken_one_first)
    return asked


def test_a_notebook_runs_though_its_first_kernel_ended_before_it_answered(monkeypatch):
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("print(6 * 7)")])
    asked = first_kernel_ends(monkeypatch)
    start_again(NotebookClient(notebook, startup_timeout=60).execute)
    assert len(asked) == 2
    assert notebook.cells[0].outputs[0]["text"] == "42\n"


def test_nbval_starts_a_kernel_again(monkeypatch):
    asked = first_kernel_ends(monkeypatch)
    kernel = nbval.plugin.RunningKernel("python3")
    kernel.stop()
    assert len(asked) == 2
