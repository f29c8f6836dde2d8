"""The training loop of lessons 11 to 13: PyTorch, a validation set, early stopping.

The one module of lab/, beside checkup, that imports torch.
"""

import copy
import math
from typing import NamedTuple

import numpy as np
import torch
from tqdm.auto import tqdm

from lstmcourse.lab.forecasting import pasts, windows


class History(NamedTuple):
    """What `fit` saw: the loss of each epoch, a list of floats each.

    training    mean over the epoch's batches, in training mode, while the weights changed
    validation  after the epoch, in evaluation mode
    best        the epoch with the lowest validation loss, counted from 0: its weights are in the model now
    """
    training: list
    validation: list
    best: int


def fit(model, loss, batches, validation, lr=1e-3, epochs=20, patience=None, max_norm=1.0, weight_decay=0.0,
        progress=True):
    """Train a model, keep the weights that were best on the validation set.

    model         an nn.Module; trained in place
    loss          called as loss(model, batch); returns a scalar tensor with its graph
    batches       called before each epoch; returns an iterable of batches, in the order in which they are learned
    validation    a list of batches that the model never learns from
    patience      stop when the validation loss has not fallen for so many epochs; None: never before `epochs`
    max_norm      clip the gradients' global norm here; None: no clipping
    weight_decay  of AdamW: 0 is Adam

    Returns a `History`. The model is left in evaluation mode, with the weights of the best epoch.
    Raises ValueError for no batches, FloatingPointError for a loss or gradients that are not finite.
    """
    if not validation:
        raise ValueError("validation is empty; wanted at least one batch that the model does not learn from")
    optimizer = torch.optim.AdamW(model.parameters(), lr=lr, weight_decay=weight_decay)
    history, kept = History([], [], 0), None
    with tqdm(range(epochs), desc="epochs", disable=not progress) as bar:
        for epoch in bar:
            history.training.append(_one_epoch(model, loss, batches(), optimizer, max_norm))
            history.validation.append(evaluate(model, loss, validation))
            bar.set_postfix_str(f"validation {history.validation[-1]:.3f}", refresh=False)
            if epoch == 0 or history.validation[-1] < min(history.validation[:-1]):
                history, kept = history._replace(best=epoch), copy.deepcopy(model.state_dict())
            if patience is not None and epoch - history.best >= patience:
                break
    model.load_state_dict(kept)
    return history


def _one_epoch(model, loss, batches, optimizer, max_norm):
    """The mean loss of one epoch, in which the model learns."""
    model.train()
    losses = []
    for batch in batches:
        optimizer.zero_grad()
        value = loss(model, batch)
        value.backward()
        if max_norm is not None:
            torch.nn.utils.clip_grad_norm_(model.parameters(), max_norm)
        if not all(torch.isfinite(p.grad).all() for p in model.parameters() if p.grad is not None):
            raise FloatingPointError(f"the gradients of batch {len(losses)} hold NaN or infinity (its loss is "
                                     f"{value.item():g}); lower lr, or look for the first operation that makes one")
        optimizer.step()
        losses.append(float(value.detach()))
    if not losses:
        raise ValueError("batches() has no batch; wanted at least one in each epoch")
    return math.fsum(losses) / len(losses)


def evaluate(model, loss, batches):
    """The mean loss over batches, in evaluation mode and without a graph. The model's mode is left at evaluation."""
    model.eval()
    with torch.no_grad():
        losses = [float(loss(model, batch)) for batch in batches]
    if not all(map(math.isfinite, losses)):
        raise FloatingPointError(f"the validation losses are {losses}; wanted finite ones")
    return math.fsum(losses) / len(losses)


class Forecaster(torch.nn.Module):
    """A GRU or an LSTM that reads a window (B, past, 1), and a linear layer that says all steps ahead: (B, horizon)."""

    def __init__(self, kind, hidden, horizon):
        super().__init__()
        self.recurrent = {"gru": torch.nn.GRU, "lstm": torch.nn.LSTM}[kind](1, hidden, batch_first=True)
        self.linear = torch.nn.Linear(hidden, horizon)

    def forward(self, x):
        return self.linear(self.recurrent(x)[0][:, -1])


def recurrent(kind, seed, hidden=32, past=None, lr=3e-3, epochs=60, patience=10, relative=True, dtype=torch.float32):
    """A recurrent forecaster for `forecasting.compare`: a function as `forecasting.linear`.

    kind    "gru", "lstm", or a class of your own as `Forecaster`, called with (hidden, horizon)
    hidden  H
    dtype   torch.float64 gives the same digits on every machine, and takes longer

    Trained on windows of `past` values (None: three seasons), each relative to its last value and divided by the
    standard deviation of all training windows; stopped early by the windows that end in the validation part.
    relative=False takes the windows as they are, to show what comes of it.
    """
    def fitted(values, train, validation, season, horizon):
        steps = past or 3 * season
        x, y, level = windows(values[:train], steps, horizon)
        held_x, held_y, held_level = windows(values[train - steps:validation], steps, horizon)
        if not relative:
            x, y, held_x, held_y = (part + above[:, None] for part, above in (
                (x, level), (y, level), (held_x, held_level), (held_y, held_level)))
        scale = float(np.std(x)) or 1.0
        torch.manual_seed(seed)
        model = (kind(hidden, horizon) if callable(kind) else Forecaster(kind, hidden, horizon)).to(dtype)
        rng = np.random.default_rng(seed)

        def tensors(x, y):
            return [torch.tensor(part / scale, dtype=dtype) for part in (x[..., None], y)]

        def batches():
            return [tensors(x[rows], y[rows]) for rows in np.array_split(rng.permutation(len(x)), -(-len(x) // 32))]

        fit(model, lambda model, batch: (model(batch[0]) - batch[1]).abs().mean(), batches, [tensors(held_x, held_y)],
            lr=lr, epochs=epochs, patience=patience, progress=False)

        def forecast(values, origins):
            x, level = pasts(values, origins, steps)
            x, level = (x, level) if relative else (x + level, 0)
            with torch.no_grad():
                return model(torch.tensor(x[..., None] / scale, dtype=dtype)).numpy() * scale + level
        return forecast
    return fitted
