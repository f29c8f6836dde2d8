"""What a training step would do: gradients and the optimizer (torchtest2's checks), one batch memorized."""

import math
import time

import torch
import torchtest2

from lstmcourse.lab.checkup.graphs import graph, persistent_leaves, trainable, watched
from lstmcourse.lab.checkup.reading import CannotTell

CHECKS = ("forward", "loss", "gradient_flow", "gradient_magnitude", "optimizer_coverage")  # torchtest2's


class _Adapter(torch.nn.Module):
    """The run as a module, as torchtest2 takes it; its parameters are the model's."""

    def __init__(self, run):
        super().__init__()
        self.run = [run]
        self.parts = torch.nn.ModuleList(run.kept.roots[:1] if run.module is not None else run.kept.roots)

    def forward(self, *inputs):
        return self.run[0].forward(list(inputs), train=self.training, grad=torch.is_grad_enabled(), seed=None)


def gradients(run):
    """torchtest2 on gradient flow, size and the optimizer; and leaves that no module has registered."""
    if run.numpy:
        raise CannotTell("NumPy has no autograd: use lstmcourse.gradcheck")
    loss = run.loss(run.forward(train=True, grad=True))
    own = [p for root in run.kept.roots for p in root.parameters()]
    hidden = [t for t in persistent_leaves(run) if all(t is not p for p in own)]
    if own and not any(p.requires_grad for p in own) and not hidden:
        came = f"all {len(own)} parameters have requires_grad=False"
        return "nothing is trained", ("no parameter is trained", came)
    if not loss.requires_grad or not any(hasattr(node, "variable") for node in graph(loss)):
        return _cut_off(run, "the loss has no graph that leads to a weight")
    causes = _unregistered(run, own, hidden)
    if not own:
        return f"loss {loss.item():.3g}", *causes
    inputs = tuple(
        0.1 * torch.randn_like(x) if i and x.is_floating_point() and not x.any() else x
        for i, x in enumerate(run.inputs)
    )  # with a state of zeros W_hh has no gradient
    options = {"optimizer": run.optimizer, "skip": [check for check in torchtest2.CHECKS if check not in CHECKS]}
    options["loss_fn"] = lambda raw, *_: run.loss(raw)
    report = torchtest2.check_model(_Adapter(run), inputs, run.target, **options)
    flow, size, coverage = (report[name] for name in CHECKS[2:])
    dead = [name.removeprefix("parts.0.") for key in ("no_grad", "zero_grad") for name in flow.details.get(key, ())]
    if dead and len(dead) == len([p for p in own if p.requires_grad]) and not hidden:
        causes += _cut_off(run, "no parameter gets a gradient")[1:]
    elif dead:
        causes += _without_gradient(run, [name for name in dead if run.T != 1 or "hh" not in name])
    if coverage.status is torchtest2.Status.FAIL:
        names = [name.removeprefix("parts.0.") for name in coverage.details["missing"]]
        causes.append(("parameters are missing in the optimizer", ", ".join(names[:4])))
    norm = size.details.get("total_norm", 0.0)
    if size.status is torchtest2.Status.WARN:
        causes.append(("the gradient explodes", f"total norm {norm:.3g}"))
    return f"norm of the gradient {norm:.3g}; {flow.message.split(':')[0]}", *causes


def _unregistered(run, own, hidden):
    """Weights that the graph has and model.parameters() hasn't."""
    held = None if run.optimizer is None else {id(p) for g in run.optimizer.param_groups for p in g["params"]}
    if not hidden or not (own if held is None else any(id(t) not in held for t in hidden)):
        return []
    shapes = ", ".join(str(tuple(t.shape)) for t in hidden[:3])
    came = f"{len(hidden)} weights are used that model.parameters() doesn't hold, of shape {shapes}"
    return [("a layer isn't registered", came)]


def _cut_off(run, came):
    """No gradient for any weight: by a function without a slope, or by a cut."""
    cuts, flat = watched(run)
    came += f"; on the way: {cuts}" if cuts else ""
    moves = any(_matters(run, p) for p in trainable(run)[:6])
    if flat and moves:
        return "none", ("a step without a slope", came)
    return "none", ("the loss is cut off from the weights" if moves or cuts else "parameters get no gradient", came)


def _without_gradient(run, names):
    """Why some parameters get no gradient: not used, cut off, or only zeros on the way."""
    if not names:
        return []
    shown = ", ".join(names[:4]) + (" …" if len(names) > 4 else "")
    named = dict(pair for root in run.kept.roots for pair in root.named_parameters())
    matter = [name for name in names[:8] if name in named and _matters(run, named[name])]
    if not matter:
        return [("a layer isn't used", f"{shown}: neither output nor loss changes with them")]
    cuts, flat = watched(run)
    if cuts:
        cause = "a step without a slope" if flat else "a part of the model is cut off"
        return [(cause, f"{shown}: the loss changes with them, no gradient comes; on the way: {cuts}")]
    return [("parameters get no gradient", f"{shown}: the loss changes with them")]


def _matters(run, weight):
    """Does the output or the loss change with a weight?"""
    before = run.forward()
    was = weight.detach().clone()
    weight.data += torch.randn_like(weight) * (weight.std().nan_to_num() + 1)
    after = run.forward()
    moved = not torch.equal(run.main(before), run.main(after)) or run.loss(before).item() != run.loss(after).item()
    weight.data.copy_(was)
    return moved


def frozen(run):
    """The first frozen layer between trained ones, when most layers are trained, by the order of registration."""
    layers = []
    for name, module in run.module.named_modules() if run.module is not None else ():
        weights = [p for p in module.parameters() if p.ndim >= 2]
        if weights and not any(module.children()):
            layers.append((name, any(p.requires_grad for p in weights), isinstance(module, torch.nn.Embedding)))
    trained = [at for at, layer in enumerate(layers) if layer[1]]
    if not trained or len(layers) < 3:
        raise CannotTell("needs three layers")
    between = [name for name, on, words in layers[trained[0] : trained[-1]] if not on and not words]
    if between and trained[0] == 0 and 2 * len(between) < len(layers):
        return between[0], ("a frozen layer between trained ones", f"{between[0]}, between layers that are trained")
    return f"{len(trained)} of {len(layers)} layers are trained"


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


def memorized(run):
    """Train on this one batch."""
    parameters = [] if run.numpy else trainable(run)
    if not parameters:
        raise CannotTell("there is nothing that PyTorch can train")
    best = math.inf
    for rate in (3e-3, 3e-2, 3e-4):
        run.kept.put_back_numbers()
        losses = _train(run, torch.optim.Adam(parameters, lr=rate), 40, 0.8, enough=0.8)
        first, best = losses[0], min([best, *filter(math.isfinite, losses)])
        if first - best > 0.05 * abs(first) or first < 1e-3:
            return f"loss {first:.3g} → {best:.3g} in {len(losses)} steps of Adam, rate {rate:g}"
        if len(losses) < 15:
            raise CannotTell(f"loss {first:.3g} → {best:.3g} in {len(losses)} steps: too slow for more")
    came = f"loss {first:.3g} → {best:.3g} at three learning rates"
    if first - best < 0.01 * abs(first) and best > 0.05:
        return came, ("one batch isn't memorized", came)
    return came


def step_size(run):
    """The optimizer's own steps, and steps at other learning rates."""
    if run.optimizer is None:
        raise CannotTell("no optimizer was given")
    groups = run.optimizer.param_groups
    weights = [p for group in groups for p in group["params"] if p.requires_grad]
    rates = [group["lr"] for group in groups]
    before = [p.detach().clone() for p in weights]
    fell, size = {}, 0.0
    for factor in (1, 0.1, 10, 100):
        run.kept.put_back_numbers()
        run.optimizer.state.clear()
        for group, rate in zip(groups, rates, strict=True):
            group["lr"] = rate * factor
        losses = _train(run, run.optimizer, 1, 1)
        if factor == 1:
            size = _norm(p - b for p, b in zip(weights, before, strict=True)) / max(_norm(before), 1e-12)
        losses += _train(run, run.optimizer, 20, 0.4)
        fell[factor] = (losses[0] - losses[-1]) / max(abs(losses[0]), 1e-12) if math.isfinite(losses[-1]) else -math.inf
    for group, rate in zip(groups, rates, strict=True):
        group["lr"] = rate
    parts = ", ".join(f"{fell[factor]:.1%} (rate × {factor:g})" for factor in (0.1, 1, 10))
    came = f"a step is {size:.1e} of the weights; after 20 steps the loss has fallen by {parts}"
    if fell[1] == -math.inf or size > 0.3 and fell[1] < -0.2 or size > 0.1 and fell[1] < -1 < 0 < fell[0.1]:
        return came, ("the learning rate is too high", came)
    if abs(fell[1]) < 5e-4 and fell[100] > fell[1] and size < 2e-5:
        return came, ("the learning rate is too low", came)
    return came


def _norm(tensors):
    return math.sqrt(sum(t.detach().double().pow(2).sum().item() for t in tensors))
