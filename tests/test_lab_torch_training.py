"""lab/torch_training.py: what `fit` keeps, when it stops, and what it refuses."""

import math

import pytest
import torch

from lstmcourse.lab.torch_training import evaluate, fit


class Scale(torch.nn.Module):
    """One weight, and a dropout that would show in evaluation mode."""

    def __init__(self, w=0.0):
        super().__init__()
        self.w = torch.nn.Parameter(torch.tensor(w, dtype=torch.float64))
        self.modes = []

    def forward(self, x):
        self.modes.append(self.training)
        return self.w * x


def squared(model, batch):
    x, y = batch
    return ((model(x) - y)**2).mean()


def pairs(slope, *inputs):
    x = torch.tensor(inputs, dtype=torch.float64)
    return x, slope * x


TRAIN, HELD_OUT = pairs(3.0, 1.0, 2.0, -1.0), pairs(1.0, 1.0, 0.5)      # the held-out slope is passed on the way


def test_the_model_has_the_weights_of_the_best_epoch():
    model = Scale()
    history = fit(model, squared, lambda: [TRAIN], [HELD_OUT], lr=0.1, epochs=40, progress=False)
    assert 0 < history.best < 39
    assert min(history.validation) == history.validation[history.best] == evaluate(model, squared, [HELD_OUT])


def test_early_stopping_waits_for_the_patience_and_no_longer():
    history = fit(Scale(), squared, lambda: [TRAIN], [HELD_OUT], lr=0.1, epochs=40, patience=3, progress=False)
    assert len(history.validation) == history.best + 4


def test_without_patience_all_epochs_are_trained():
    history = fit(Scale(), squared, lambda: [TRAIN], [HELD_OUT], lr=0.1, epochs=12, progress=False)
    assert len(history.training) == len(history.validation) == 12


def test_it_learns_in_training_mode_and_validates_in_evaluation_mode():
    model = Scale()
    fit(model, squared, lambda: [TRAIN, TRAIN], [HELD_OUT], epochs=2, progress=False)
    assert model.modes == [True, True, False] * 2
    assert not model.training


def test_gradients_are_clipped_to_max_norm():
    seen = []

    def loss(model, batch):
        model.w.register_hook(lambda grad: seen.append(float(grad)))
        return 1000 * squared(model, batch)

    kept = torch.nn.utils.clip_grad_norm_
    norms = []

    def spy(parameters, max_norm):
        parameters = list(parameters)
        result = kept(parameters, max_norm)
        norms.append(abs(float(parameters[0].grad)))
        return result

    torch.nn.utils.clip_grad_norm_ = spy
    try:
        fit(Scale(), loss, lambda: [TRAIN], [HELD_OUT], epochs=1, max_norm=0.5, progress=False)
    finally:
        torch.nn.utils.clip_grad_norm_ = kept
    assert abs(seen[0]) > 100
    assert math.isclose(norms[0], 0.5, rel_tol=1e-4)


def test_gradients_of_the_last_batch_are_not_added_to_the_next():
    one, two = Scale(), Scale()
    fit(one, squared, lambda: [TRAIN, TRAIN], [HELD_OUT], epochs=1, progress=False)
    optimizer = torch.optim.AdamW(two.parameters(), lr=1e-3, weight_decay=0.0)
    for _ in range(2):
        optimizer.zero_grad()
        squared(two, TRAIN).backward()
        torch.nn.utils.clip_grad_norm_(two.parameters(), 1.0)
        optimizer.step()
    assert one.w.item() == two.w.item()


def test_no_validation_batches_are_refused():
    with pytest.raises(ValueError, match="validation is empty"):
        fit(Scale(), squared, lambda: [TRAIN], [], progress=False)


def test_an_epoch_without_batches_is_refused():
    used_up = iter([TRAIN])
    with pytest.raises(ValueError, match=r"batches\(\) has no batch"):
        fit(Scale(), squared, lambda: used_up, [HELD_OUT], epochs=2, progress=False)


def test_gradients_that_are_not_finite_end_the_training():
    with pytest.raises(FloatingPointError, match="gradients of batch 0 hold NaN or infinity"):
        fit(Scale(), lambda model, batch: squared(model, batch) * math.nan, lambda: [TRAIN], [HELD_OUT], progress=False)


def test_a_validation_loss_that_is_not_finite_is_named():
    with pytest.raises(FloatingPointError, match=r"validation losses are \[inf\]"):
        evaluate(Scale(1.0), lambda model, batch: squared(model, batch) / 0, [TRAIN])
