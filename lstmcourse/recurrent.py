"""The kinds of recurrent layer in one table, for all code that takes any of them.

A new kind is its two pairs in a module of its own, and one entry here.
"""

from collections.abc import Callable
from typing import NamedTuple

from lstmcourse import gru, lstm, rnn
from lstmcourse.validation import RECURRENT_KEYS


class Kind(NamedTuple):
    gates: str                  # a letter for each block of H rows of the weights, in order; in an RNN its state alone
    states: tuple               # what goes from step to step: (h,) or (h, c), as arguments and results are ordered
    cell_forward: Callable      # x_t, *states, params -> *states, cache
    cell_backward: Callable     # *dstates, cache -> dx_t, *dstates, grads
    forward: Callable           # x, *states, params -> *states of every step, cache
    backward: Callable          # *dstates (None for a dc of zeros), cache -> dx, *dstates, grads
    keys: tuple = RECURRENT_KEYS                        # of params: W_ih (kH, D), W_hh (kH, H), and biases (kH,)


KINDS = {
    "rnn": Kind("h", ("h",), rnn.rnn_cell_forward, rnn.rnn_cell_backward, rnn.rnn_forward, rnn.rnn_backward),
    "gru": Kind("rzn", ("h",), gru.gru_cell_forward, gru.gru_cell_backward, gru.gru_forward, gru.gru_backward),
    "lstm": Kind("ifgo", ("h", "c"), lstm.lstm_cell_forward, lstm.lstm_cell_backward,
                 lstm.lstm_forward, lstm.lstm_backward),
}


def kind_named(name):
    """The entry of KINDS; ValueError for a name that is not there."""
    if name not in KINDS:
        raise ValueError(f"kind is {name!r}; wanted one of {sorted(KINDS)}")
    return KINDS[name]


def kind_of(params):
    """The name of the kind that params belongs to, told by its keys and by the blocks of H rows in W_hh.

    Raises ValueError for params of no kind.
    """
    shape = getattr(params.get("W_hh"), "shape", None) if isinstance(params, dict) else None
    for name, kind in KINDS.items():
        if shape is not None and len(shape) == 2 and set(params) == set(kind.keys) and (
                shape[0] == len(kind.gates) * shape[1]):
            return name
    wanted = "; ".join(f"{name}: {', '.join(kind.keys)} with W_hh ({len(kind.gates)}H, H)"
                       for name, kind in KINDS.items())
    came = f"{sorted(params)} with W_hh {shape}" if isinstance(params, dict) else type(params).__name__
    raise ValueError(f"params is {came}; wanted one of {wanted}")
