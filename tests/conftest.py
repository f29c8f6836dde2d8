"""What the tests share: an rng, and random arguments for the recurrent layers."""

import numpy as np
import pytest

from lstmcourse.recurrent import KINDS
from lstmcourse.train import init_recurrent


@pytest.fixture
def rng(request):
    """A generator whose seed is the test's name, so that tests differ and a rerun does not."""
    return np.random.default_rng(list(request.node.name.encode()))


class Layer:
    """One recurrent layer under test: its functions and random arguments of given sizes."""

    def __init__(self, name):
        self.name = name
        self.kind = name.split("_")[0]
        entry = KINDS[self.kind]
        self.states = [f"{state}_0" for state in entry.states]
        self.options = {"gru_before": {"reset_after": False}, "rnn_relu": {"nonlinearity": "relu"}}.get(name, {})
        self._forward, self._backward = entry.forward, entry.backward
        self._cell_forward, self.cell_backward = entry.cell_forward, entry.cell_backward

    def forward(self, *arguments):
        return self._forward(*arguments, **self.options)

    def backward(self, *arguments):
        return self._backward(*arguments)

    def cell_forward(self, *arguments):
        return self._cell_forward(*arguments, **self.options)

    def draw(self, rng, B, T, D, H, dtype="float64", scale=1.0):
        """x, the initial states (none of them zero) and params with large weights and biases."""
        params = init_recurrent(self.kind, D, H, rng)
        params = {key: (scale * value).astype(dtype) for key, value in params.items()}
        x = rng.standard_normal((B, T, D)).astype(dtype)
        return [x, *(rng.standard_normal((B, H)).astype(dtype) for _ in self.states), params]


@pytest.fixture(params=["rnn", "rnn_relu", "lstm", "gru", "gru_before"])
def layer(request):
    """Each recurrent layer in turn; gru_before is Cho's convention."""
    return Layer(request.param)


@pytest.fixture(params=["rnn", "rnn_relu", "lstm", "gru"])
def torch_layer(request):
    """Each layer that torch.nn has too."""
    return Layer(request.param)


def pytest_terminal_summary(terminalreporter):
    """Say which layers of the grader's sandbox this machine does not have: their tests are skipped."""
    from lstmcourse.grading.sandbox import NOT_ROOT, unavailable
    missing = [f"{layer} ({reason})" for layer, reason in unavailable().items() if reason != NOT_ROOT]
    if missing:
        terminalreporter.write_line(f"layers of the sandbox that are not here, and so not tested: {', '.join(missing)}")
