"""Measured here: units, weights, embeddings and dropout."""

import math

import torch

from lstmcourse.lab.checkup.against_loss import real_steps
from lstmcourse.lab.checkup.graphs import kind, persistent_leaves, run_graph
from lstmcourse.lab.checkup.reading import CannotTell


def units(run):
    """Saturated and dead units, and ReLU where a gate multiplies it, from the graph of one training step."""
    nodes = run_graph(run)
    tanh = [node._saved_result for node in nodes if kind(node) == "Tanh"]
    gates = [node._saved_result for node in nodes if kind(node) == "Sigmoid"]
    flat = [_fraction(tanh, lambda h: h.abs() > 0.99), _fraction(gates, lambda g: (g < 0.003) | (g > 0.997))]
    came = f"saturated: {flat[0]:.0%} of the tanh units, {flat[1]:.0%} of the gates"
    causes = []
    if flat[0] > 0.6 or flat[1] > 0.85:
        x = run.inputs[0]
        large_x = x.is_floating_point() and x.abs().max() > 10 and x.double().pow(2).mean().sqrt() > 5
        large_w = _large_weights(run)
        cause = (
            "the input's scale"
            if large_x and not large_w
            else ("initial weights are too large" if large_w else "units are saturated")
        )
        what = f"inputs up to {x.abs().max():.3g}" if large_x else large_w or ""
        causes.append((cause, f"{came}; {what}".rstrip("; ")))
    relu = [node._saved_result for node in nodes if kind(node) == "Relu"]
    for h in relu:
        dead = (h.reshape(-1, h.shape[-1]) == 0).all(0).double().mean().item() if h.ndim > 1 else 0
        if dead > 0.9 and h.shape[-1] > 3 and h.numel() // h.shape[-1] >= 8:
            causes.append(("units are dead", f"{dead:.0%} of {h.shape[-1]} ReLU units are 0 at every row and step"))
    gated = sum(
        kind(node) == "Mul" and {"Relu", "Sigmoid"} <= {kind(n) for n, _ in node.next_functions if n is not None}
        for node in nodes
    )
    if run.T and gated >= max(3, run.T - 1):
        causes.append(("ReLU in an LSTM", f"{gated} products of a sigmoid gate and a ReLU"))
    return came + (f"; {len(relu)} ReLU layers" if relu else ""), list(dict(causes).items())


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


def weights(run):
    """Weights that are all equal, or all zero and stay so."""
    causes = []
    for root in run.kept.roots:
        zero = []
        for name, w in root.named_parameters():
            if w.ndim != 2 or min(w.shape) < 2 or not w.isfinite().all():
                continue
            if w.detach().std() == 0 and w.detach().abs().max() > 0:
                causes.append(
                    ("initial weights are all equal", f"every number of {name} is {w.flatten()[0].item():.3g}")
                )
            elif not w.detach().any() and "pos" not in name and "lora" not in name.lower():
                zero.append(name)
        if len(zero) > 1 or zero and any(part in zero[0] for part in ("weight_ih", "weight_hh")):
            causes.append(("initial weights are all zero", ", ".join(zero[:3])))
    return ("not random" if causes else "random"), causes[:1]


def padding_index(run):
    """Tokens that an embedding takes for padding, inside a row."""
    inside = []

    def look(module, given, _):
        tokens = given[0]
        if module.padding_idx is not None and tokens.ndim == 2 and run.lengths is not None and not run.guessed:
            tokens = tokens if tokens.shape == (run.B, run.T) else tokens.T
            if tokens.shape == (run.B, run.T):
                inside.append(((tokens == module.padding_idx) & real_steps(run)).sum().item())

    hooks = [m.register_forward_hook(look) for m in run.kept.modules if isinstance(m, torch.nn.Embedding)]
    if not hooks:
        raise CannotTell("no nn.Embedding")
    try:
        run.forward()
    finally:
        for hook in hooks:
            hook.remove()
    if any(inside):
        return "it does", [
            (
                "token 0 is real, and padding_idx at once",
                f"{max(inside)} real steps have the index that the "
                "embedding takes for padding: its vector is 0 and is never trained",
            )
        ]
    if not inside:
        raise CannotTell("needs padding_idx and lengths=")
    return "none", []


def dropout(run):
    """Dropout that drops nearly everything, or drops outputs."""
    strong = [m.p for m in run.kept.modules if isinstance(m, torch.nn.modules.dropout._DropoutNd) and m.p > 0.75]
    strong += [
        m.dropout for m in run.kept.modules if isinstance(m, torch.nn.RNNBase) and m.dropout > 0.75 and m.num_layers > 1
    ]
    if strong:
        return f"p = {max(strong)}", [("dropout is too strong", f"p = {max(strong)}: so much is dropped")]
    train = run.rows(run.main(run.forward(train=True)).detach())
    zeros = (train == 0).double().mean().item()
    if zeros > 0.04 and not (run.base == 0).any() and train.numel() >= 30:
        return f"{zeros:.0%} of the outputs are 0", [
            (
                "dropout on the output",
                f"{zeros:.0%} of the outputs are exactly 0 in training mode, none in evaluation mode",
            )
        ]
    return "none on the output", []
