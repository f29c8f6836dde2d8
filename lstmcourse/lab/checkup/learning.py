"""Measured here: one batch learned by heart, and the optimizer's steps."""

import math
import time

import torch

from lstmcourse.lab.checkup.graphs import trainable
from lstmcourse.lab.checkup.reading import CannotTell


def _train(run, optimizer, steps, seconds, enough=-math.inf):
    """The losses of up to `steps` steps on the batch; weights are put back afterwards by the caller."""
    losses, started = [], time.process_time()
    for step in range(steps):
        optimizer.zero_grad()
        loss = run.loss(run.forward(train=True, grad=True, seed=step))
        losses.append(loss.item())
        if not loss.isfinite() or not loss.requires_grad:
            break
        loss.backward()
        optimizer.step()
        if time.process_time() - started > seconds or losses[-1] < enough * losses[0]:
            break
    return losses


def by_heart(run):
    """Train on this one batch."""
    parameters = [] if run.numpy else trainable(run)
    if not parameters:
        raise CannotTell("there is nothing that PyTorch can train")
    best, first = None, None
    for rate in (3e-3, 3e-2, 3e-4):
        run.kept.put_back_numbers()
        losses = _train(run, torch.optim.Adam(parameters, lr=rate), 40, 0.8, enough=0.8)
        first = losses[0]
        low = min((value for value in losses if math.isfinite(value)), default=math.inf)
        best = low if best is None else min(best, low)
        if first - best > 0.05 * abs(first) or first < 1e-3:
            return f"loss {first:.3g} → {best:.3g} in {len(losses)} steps of Adam, rate {rate:g}", []
        if len(losses) < 15:
            raise CannotTell(f"loss {first:.3g} → {best:.3g} in {len(losses)} steps: too slow for more")
    came = f"loss {first:.3g} → {best:.3g} at three learning rates"
    if first - best < 0.01 * abs(first) and best > 0.05:
        return came, [("one batch isn't learned by heart", came)]
    return came, []


def step_size(run):
    """The optimizer's own steps, and steps at other learning rates."""
    if run.optimizer is None:
        raise CannotTell("no optimizer was given")
    groups = run.optimizer.param_groups
    weights = [p for group in groups for p in group["params"] if p.requires_grad]
    rates = [group["lr"] for group in groups]
    changes, size = {}, 0.0
    for factor in (1, 0.1, 10, 100):
        run.kept.put_back_numbers()
        run.optimizer.state.clear()
        for group, rate in zip(groups, rates, strict=True):
            group["lr"] = rate * factor
        before = [p.detach().clone() for p in weights] if factor == 1 else None
        losses = _train(run, run.optimizer, 1, 1) if factor == 1 else []
        if factor == 1:
            moved = math.sqrt(sum((p - b).double().pow(2).sum().item() for p, b in zip(weights, before, strict=True)))
            size = moved / max(math.sqrt(sum(b.double().pow(2).sum().item() for b in before)), 1e-12)
        losses += _train(run, run.optimizer, 20, 0.4)
        changes[factor] = (
            (losses[0] - losses[-1]) / max(abs(losses[0]), 1e-12) if math.isfinite(losses[-1]) else -math.inf
        )
    for group, rate in zip(groups, rates, strict=True):
        group["lr"] = rate
    came = f"a step is {size:.1e} of the weights; after 20 steps the loss has fallen by " + ", ".join(
        f"{changes[f]:.1%} (rate × {f:g})" for f in (0.1, 1, 10)
    )
    if changes[1] == -math.inf or size > 0.3 and changes[1] < -0.2 or size > 0.1 and changes[1] < -1 < 0 < changes[0.1]:
        return came, [("the learning rate is too high", came)]
    if abs(changes[1]) < 5e-4 and changes[100] > changes[1] and size < 2e-5:
        return came, [("the learning rate is too low", came)]
    return came, []
