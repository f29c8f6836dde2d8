"""Measured here: units, attention, weights, embeddings, normalization and dropout."""

import math

import torch

from lstmcourse.lab.checkup.against_loss import real_steps
from lstmcourse.lab.checkup.graphs import Watch, kind, persistent_leaves, run_graph
from lstmcourse.lab.checkup.reading import CannotTell, hooked


def units(run):
    """Saturated and dead units, and ReLU where a gate multiplies it, from the graph of one training step."""
    nodes = run_graph(run)
    saved = {name: [n._saved_result for n in nodes if kind(n) == name] for name in ("Tanh", "Sigmoid", "Relu")}
    tanh = _fraction(saved["Tanh"], lambda h: h.abs() > 0.99)
    gates = _fraction(saved["Sigmoid"], lambda g: (g < 0.003) | (g > 0.997))
    came = f"saturated: {tanh:.0%} of the tanh units, {gates:.0%} of the gates"
    causes, wide = [], _large_weights(run)
    x = run.inputs[0]
    large = x.is_floating_point() and x.abs().max() > 10 and x.double().pow(2).mean().sqrt() > 5
    if tanh > 0.6 or gates > 0.85 or (large or wide) and (tanh > 0.3 or gates > 0.4):
        if wide:
            causes.append(("initial weights are too large", f"{came}; {wide}"))
        elif large:
            causes.append(("the input's scale", f"{came}; inputs up to {x.abs().max():.3g}"))
        else:
            causes.append(("units are saturated", came))
    shut = [gate for gate in saved["Sigmoid"] if gate.max() < 0.01]
    if run.T and len(shut) >= max(3, run.T - 1):
        causes.append(("a gate is shut", f"{len(shut)} of {len(saved['Sigmoid'])} sigmoid gates are 0 in all units"))
    for h in saved["Relu"]:
        dead = (h.reshape(-1, h.shape[-1]) == 0).all(0).double().mean().item() if h.ndim > 1 else 0
        if dead > 0.9 and h.shape[-1] > 3 and h.numel() // h.shape[-1] >= 8:
            causes.append(("units are dead", f"{dead:.0%} of {h.shape[-1]} ReLU units are 0 at every row and step"))
    gated = sum(kind(n) == "Mul" and {"Relu", "Sigmoid"} <= {kind(f) for f, _ in n.next_functions if f} for n in nodes)
    if run.T and gated >= max(3, run.T - 1):
        causes.append(("ReLU in an LSTM", f"{gated} products of a sigmoid gate and a ReLU"))
    return came + (f"; {len(saved['Relu'])} ReLU layers" if saved["Relu"] else ""), *dict(causes).items()


def _fraction(results, test):
    total = sum(r.numel() for r in results)
    return sum(test(r).sum().item() for r in results) / total if total else 0.0


def _large_weights(run):
    """The name of a matrix whose numbers are far larger than 1/sqrt(fan-in)."""
    embeddings = {id(m.weight) for m in run.kept.modules if isinstance(m, torch.nn.Embedding)}
    named = [pair for root in run.kept.roots for pair in root.named_parameters()]
    for name, w in named + [(f"the weight {tuple(w.shape)}", w) for w in persistent_leaves(run)]:
        if w.ndim == 2 and id(w) not in embeddings and w.numel() > 1:
            size = w.detach().double().std().item() * math.sqrt(min(w.shape))
            if size > 4:
                return f"the numbers of {name} are {size:.0f} times 1/sqrt(fan-in)"
    return ""


def attention(run):
    """By how much the largest score of attention exceeds the second."""
    with Watch() as watch:
        run.forward(grad=not run.numpy)
    gaps = []
    for scores, dim in watch.softmax:
        if scores.ndim >= 3 and scores.shape[dim] > 3:
            first, second = scores.detach().double().topk(2, dim).values.unbind(dim)
            gaps.append((first - second)[second > -1e4])  # where a mask leaves one step there is no second
    if not gaps or not torch.cat(gaps).numel():
        raise CannotTell("no softmax over attention's scores is seen")
    gap = torch.cat(gaps).quantile(0.2).item()
    came = f"in four softmaxes of five the largest score exceeds the second by more than {gap:.3g}"
    return (came, ("attention is saturated", came)) if gap > 25 else came


def weights(run):
    """Weights that are all equal, or all zero and stay so."""
    zero = []
    for name, w in [pair for root in run.kept.roots for pair in root.named_parameters()]:
        if w.ndim != 2 or min(w.shape) < 2 or not w.isfinite().all():
            continue
        if w.detach().std() == 0 and w.detach().any():
            came = f"every number of {name} is {w.flatten()[0].item():.3g}"
            return "not random", ("initial weights are all equal", came)
        if not w.detach().any() and "pos" not in name and "lora" not in name.lower():
            zero.append(name)
    if len(zero) > 1 or zero and any(part in zero[0] for part in ("weight_ih", "weight_hh")):
        return "not random", ("initial weights are all zero", ", ".join(zero[:3]))
    return "random"


def padding_index(run):
    """Tokens that an embedding takes for padding, inside a row."""
    inside = []

    def look(module, given, _):
        tokens = given[0]
        if module.padding_idx is not None and tokens.ndim == 2 and run.lengths is not None and not run.guessed:
            tokens = tokens if tokens.shape == (run.B, run.T) else tokens.T
            if tokens.shape == (run.B, run.T):
                inside.append(((tokens == module.padding_idx) & real_steps(run)).sum().item())

    with hooked([m for m in run.kept.modules if isinstance(m, torch.nn.Embedding)], look):
        run.forward()
    if not inside:
        raise CannotTell("needs nn.Embedding with padding_idx, and lengths=")
    if any(inside):
        came = f"{max(inside)} real steps have the index that the embedding takes for padding, whose vector stays"
        return "it does", ("token 0 is real, and padding_idx at once", came)
    return "none"


def normalization(run):
    """Does batch normalization get the steps where it takes the features?"""
    layers, caught = [m for m in run.kept.modules if isinstance(m, torch.nn.BatchNorm1d)], []
    if not layers or run.T is None or run.T < 3:
        raise CannotTell("no nn.BatchNorm1d on steps")
    with hooked(layers, lambda layer, given, _: caught.append(given[0].detach())):
        run.forward()
        usual = list(caught)
        caught.clear()
        run.forward(run.changed(step=run.T - 1))
    for x, other in zip(usual, caught, strict=True):
        moved = (x != other).reshape(*x.shape[:2], -1).any(2).any(0) if x.ndim == 3 else None
        if moved is not None and len(moved) == run.T != x.shape[2] and moved[-1] and not moved[:-1].any():
            came = f"its input {tuple(x.shape)} has the {run.T} steps on axis 1"
            return came, ("batch normalization over the steps", came)
    return f"{len(usual)} layers, features on axis 1"


def dropout(run):
    """Dropout that drops nearly everything, outputs, or the state at each step anew."""
    layers = [m for m in run.kept.modules if isinstance(m, torch.nn.RNNBase) and m.num_layers > 1]
    drops = [m for m in run.kept.modules if isinstance(m, torch.nn.modules.dropout._DropoutNd)]
    p = max([m.p for m in drops] + [m.dropout for m in layers], default=0.0)
    if p > 0.75:
        return f"p = {p}", ("dropout is too strong", f"p = {p}: so much is dropped")
    train, usual = (run.main(run.forward(train=mode)).detach() for mode in (True, False))
    zeros = (train == 0).double().mean().item()
    if zeros > 0.04 and not (usual == 0).any() and train.numel() >= 30:
        came = f"{zeros:.0%} of the outputs are exactly 0 in training mode, none in evaluation mode"
        return f"{zeros:.0%} of the outputs are 0", ("dropout on the output", came)
    chain = 0 if run.numpy or not run.T else _new_masks(run_graph(run))
    if chain >= max(6, (run.T or 0) - 2):
        came = f"whatever way the first state takes, it is dropped {chain} times, each time by a new mask"
        return "on a state, at each step", ("dropout on the recurrent state", came)
    return "none on the output"


def _new_masks(nodes):
    """How many dropouts stand between the output and the farthest node, on the way that has the fewest."""
    least, queue, masks = {nodes[0]: 0}, [nodes[0]], {}
    while queue:
        node = queue.pop(0)
        mask = _mask(node)
        new = mask is not None and not any(torch.equal(mask, other) for by, other in masks.items() if by is not node)
        if new:
            masks[node] = mask
        for following, _ in node.next_functions:
            if following is not None and least[node] + new < least.get(following, math.inf):
                least[following] = least[node] + new
                queue.append(following)
    return max(least.values())


def _mask(node):
    """The random mask, zeros and one larger number, by which a node multiplies; or None."""
    alone = kind(node) == "Mul" and len(node.next_functions) == 2 and node.next_functions[1][0] is None
    mask = node._saved_other if alone else None
    if mask is None or not mask.is_floating_point() or mask.ndim != 2 and 1 not in mask.shape:  # of one step
        return None
    values = mask.unique()
    return mask if len(values) == 2 and values[0] == 0 and values[1] > 1 else None
