"""Measured here: loss against output: activation, shapes, order, padding, the first loss."""

import math

import torch

from lstmcourse.lab.checkup.graphs import SHAPE_ONLY, axis, behind, graph, kind, run_graph
from lstmcourse.lab.checkup.reading import CannotTell, edge_runs, is_binary

LOGITS, NLL = {"LogSoftmax", "BinaryCrossEntropyWithLogits"}, {"NllLoss", "NllLoss2D"}
LOSSES = LOGITS | NLL | {"MseLoss", "SmoothL1Loss", "HuberLoss", "L1Loss"}
LOG = {"LogSoftmax", "Log", "LogSigmoid", "Sub", "Logsumexp", "Add", "Logaddexp"}  # may give log-probabilities
RANGE = {"Sigmoid": (0, 1), "Tanh": (-1, 1), "Relu": (0, math.inf), "Softmax": (0, 1)}


def before_the_loss(run):
    """The activations right before the loss, and the axes of softmax, by the graph's nodes."""
    nodes = run_graph(run)
    run.loss(run.graph_end[1])
    found, seen = dict(_out_of_reach(run)), set()
    for node in nodes:
        if kind(node) in LOSSES:
            seen |= {f"{kind(node)} after {kind(last)}" for last in behind(node)}
            found |= dict(pair for last in behind(node) for pair in _before(kind(node), last))
        if kind(node) in ("LogSoftmax", "Softmax") and _wrong_axis(node, run):
            found["softmax over the wrong axis"] = f"dim {axis(node)} of {tuple(node._saved_result.shape)}"
        if kind(node) == "Bmm" and _sums_elsewhere(node):
            found["softmax over the wrong axis"] = "the weights of a mean don't add up to 1; over another axis they do"
    if not seen and run.graph_end[0].grad_fn:
        seen = {kind(node) for node in behind(run.graph_end[0].grad_fn)}
    return ", ".join(sorted(seen)[:4]) or "nothing", *found.items()


def _out_of_reach(run):
    """Targets outside the range of the last activation."""
    y, end = run.y, run.main(run.graph_end[1]).grad_fn
    if y is None or not y.is_floating_point() or end is None or not _least_at_targets(run):
        return
    for last in behind(end) if kind(end) in SHAPE_ONLY else [end]:
        if kind(last) in RANGE:
            low, high = RANGE[kind(last)]
            outside = ((y < low - 0.01) | (y > high + 0.01)).double().mean().item()
            if outside > 0.05:
                came = f"{kind(last)} gives numbers from {low} to {high}; {outside:.0%} of the targets lie outside"
                yield "the output can't reach the target", came


def _least_at_targets(run):
    """Is the loss least at the targets as they stand? It may scale them first. None where that can't be seen."""
    main = run.main(raw := run.forward())
    if main.numel() != run.y.numel():
        return None
    best, low, high = (run.loss(raw, (run.y * by).reshape(main.shape).to(main.dtype)) for by in (1, 0.9, 1.1))
    return bool(best < min(low, high))


def _before(loss, last):
    name = kind(last)
    if loss in LOGITS:
        if name == "Softmax":
            yield "softmax before a loss that takes logits", "the loss's own softmax gets the output of a softmax"
        elif name == "Sigmoid":
            yield "sigmoid before a loss that takes logits", "the loss gets the output of a sigmoid"
        elif name in ("Relu", "Tanh", "LeakyRelu", "Elu"):
            yield "an activation limits the logits", f"{name} is the last step before the loss"
    elif loss in NLL and name not in LOG:
        yield "the loss wants log-probabilities", f"NLLLoss after {name}: the loss has no lower bound or no slope"


def _wrong_axis(node, run):
    """A softmax over one number of many steps; a log-softmax over another axis than the loss's classes."""
    shape, dim = node._saved_result.shape, axis(node)
    if kind(node) == "Softmax":
        return len(shape) == 3 and shape[dim] == 1 and run.T in shape and run.T > 1
    y = run.y
    if y is None or y.is_floating_point() or len(shape) < 2:
        return False
    losses = [n for n in run.graph_nodes if kind(n) in NLL and node in behind(n)]
    return any(shape[dim] != n._saved_self.shape[1] or n._saved_self.shape == shape and dim != 1 for n in losses)


def _sums_elsewhere(node):
    """Is a factor of a matrix product a softmax's result, and the product summed over another axis than the softmax?"""
    for at, over in ((0, -1), (1, -2)):
        before = node.next_functions[at][0]
        while before is not None and kind(before) in ("Expand", "View", "UnsafeView", "Reshape", "Transpose"):
            before = before.next_functions[0][0]
        w = (node._saved_self, node._saved_mat2)[at] if before is not None and kind(before) == "Softmax" else None
        if w is not None and w.shape[-1] > 1 and w.shape[-2] > 1:
            here, there = (((w.sum(dim) - 1).abs() < 1e-3).all() for dim in (over, -3 - over))
            if there and not here:
                return True
    return False


def pairs_of(run, at):
    """For target positions (row, step): where the loss's slope changes with that target, and the change there."""
    if run.y is None or run.numpy:
        raise CannotTell("needs autograd and a target tensor")
    found = []
    for position in at:
        slopes = []
        for value in _two_values(run, run.rows_of_target(run.y)[position]):
            target = run.y.clone()
            run.rows_of_target(target)[position] = value
            slopes.append(run.slope(target))
        change = slopes[1] - slopes[0]
        if not run.y.is_floating_point():  # a class's weight may rescale everything
            size = [s.norm(dim=-1, keepdim=True).clamp(min=1e-30) for s in slopes]
            moved = (slopes[1] / size[1] - slopes[0] / size[0]).abs()
        else:
            moved = change.abs()
        moved = moved.reshape(*run.base.shape[: 2 if run.per_step else 1], -1).amax(-1)
        where = (moved > 1e-3 * moved.max().clamp(min=1e-30)).nonzero().tolist()
        found.append((position, [tuple(p) for p in where], change))
    return found


def _two_values(run, old):
    """Two values of a target that every loss tells apart: below and above all outputs, or two classes."""
    y = run.y
    if y.is_floating_point() and not is_binary(y):
        both = torch.cat([y.flatten().double(), run.base.flatten()])
        low, high = both.min(), both.max()
        return [torch.full_like(old, v.item()) for v in (low if low >= 0 else low - (high - low), high + (high - low))]
    known = y.unique()
    known = known[known >= 0]
    if len(known) < 2:
        raise CannotTell("the targets have one class")
    return [old, torch.where(old == known[0], known[1], known[0])]


def in_line(run):
    """Change one target, and see at which outputs the slope of the loss changes."""
    y, main = run.target_rows, run.main(run.raw)
    per_step = run.per_step and y.ndim >= 2 and y.shape[1] == run.base.shape[1] > 2
    if y.is_floating_point() and main.shape != run.y.shape and _broadcasts(main.shape, run.y.shape):
        shapes = f"output {tuple(main.shape)} against target {tuple(run.y.shape)}"
        _, where, _ = pairs_of(run, [(0,) if y.ndim == 1 or not run.per_step else (0, 0)])[0]
        touched = len({p[0] for p in where})
        if touched > 1:
            came = f"{shapes}: each output is held against {touched} rows' targets"
            return "broadcast", ("output and target are broadcast", came)
        return f"{shapes}, and each target meets its own output"
    pairs = pairs_of(run, _places(run, y) if per_step else [(0,), (run.B - 1,)])
    wrong = []
    for position, where, _ in pairs:
        own = [p for p in where if p[0] == position[0] and (len(position) == 1 or abs(p[1] - position[1]) <= 1)]
        if where and not own:
            wrong.append(f"target {', '.join(map(str, position))} meets output {where[0]}")
    if not wrong and not y.is_floating_point() and run.per_step and main.ndim == 3 and _classes_scrambled(run):
        wrong = ["the loss's slopes don't add up to 0 over the last axis, the classes"]
    if wrong:
        return "out of line", ("output and target are out of line", "; ".join(wrong[:2]))
    reversed_ = _worst_at_target(run) if y.is_floating_point() else all(_rewards_wrong(run, y, *pair) for pair in pairs)
    if pairs and reversed_:
        return "reversed", ("the loss rewards wrong answers", "the nearer an output to its target, the higher the loss")
    return "each target meets its own output"


def _places(run, y):
    """Three positions (row, step) of targets that count."""
    T = y.shape[1]
    first = y if y.ndim == 2 else y.flatten(2)[..., 0]
    real = torch.ones_like(first, dtype=torch.bool) if y.is_floating_point() else first >= 0
    if run.aligned:
        real &= real_steps(run)
    return [p for p in ((0, T // 2), (run.B - 1, 1), (run.B // 2, T - 2)) if real[p]]


def _rewards_wrong(run, y, position, where, change):
    """Does the loss ask an output to move away from the class that became right?"""
    if not where:
        return False
    change = change[tuple(where[0])].reshape(-1)
    old, new = (v.flatten() for v in _two_values(run, y[position]))
    if len(old) > 1 or change.count_nonzero() != 2 or not 0 <= max(old, new) < len(change):
        return False
    return bool(change[new] > 0 > change[old])


def _worst_at_target(run):
    """Is the loss higher where the outputs are the targets than where they lie above, and below?"""
    y = run.y.to(run.main(run.raw).dtype)
    if y.shape != run.main(run.raw).shape or len(y.unique()) < 3:
        return False
    raw, far = run.forward(), 1 + y.std()
    here, *there = (run.loss(raw, y + shift * far).item() for shift in (0, 1, -1))
    return here > max(there)


def _classes_scrambled(run):
    """Cross-entropy's slopes add up to 0 over the classes; where they don't, another axis is taken for the classes."""
    leaf = run.main(run.raw).detach().clone().requires_grad_()
    names = {kind(node) for node in graph(run.loss(run.forward(), leaf))}
    if not names & NLL or "LogSoftmax" not in names or run.layout not in ("rows", "steps"):
        return False
    slope = run.slope()
    return bool(slope.sum(-1).abs().max() > 1e-2 * slope.abs().max())


def _broadcasts(a, b):
    try:
        return math.prod(torch.broadcast_shapes(a, b)) > max(math.prod(a), math.prod(b))
    except RuntimeError:
        return False


def real_steps(run):
    """(B, T), True at steps before the padding."""
    inside = torch.arange(run.T) < run.lengths[:, None]
    return inside if run.side == "right" else inside.flip(1)


def padding_in_loss(run):
    """The slope of the loss at padded steps, and at targets of a class that occurs."""
    y, keep = run.target_rows, 2 if run.per_step else 1
    slope = run.slope().reshape(*run.base.shape[:keep], -1).abs().sum(-1)
    y = None if y.is_floating_point() or y.shape != slope.shape else y
    pads = None
    if run.per_step and run.aligned:
        pads = ~real_steps(run)
    elif run.per_step and y is not None:
        pads = _padded(y)
    pads = torch.zeros_like(slope, dtype=torch.bool) if pads is None else pads
    if y is not None and (pads.any() or not run.per_step):
        silent = _silent_class(y, pads, slope)
        if silent is not None:
            return "silent", ("a real class is ignored by the loss", f"the loss doesn't see targets of class {silent}")
    if not run.per_step:
        return "every row counts"
    if not pads.any():
        raise CannotTell("no padding is known: pass lengths=")
    counted = (slope[pads] > 1e-6 * slope.max()).double().mean().item()
    if counted > 0.01:
        came = f"{counted:.0%} of {int(pads.sum())} padded steps have a slope in the loss"
        return f"{counted:.0%} of the padded steps count", ("padding counts in the loss", came)
    return "no padded step counts"


def _silent_class(y, pads, slope):
    """A class of real targets that the loss doesn't see; not one that only stands right before the padding."""
    ends = y[pads].unique()
    for k in [k for k in y[~pads].unique().tolist() if k >= 0] if slope.any() and len(y.unique()) > 1 else ():
        if slope[~pads & (y == k)].any():
            continue
        inside = (y == k) & ~pads
        if len(ends) != 1 or ends.item() != k or (inside[:, :-1] & ~(pads[:, 1:] | (y[:, 1:] == k))).any():
            return k
    return None


def _padded(y):
    """A mask of the padded steps of targets, read from the ends of their rows; None where the rows don't show any."""
    found = edge_runs(y)
    if found is None:
        return None
    inside = torch.arange(y.shape[1]) < found[0][:, None]
    return ~(inside if found[1] == "right" else inside.flip(1))


def first_loss(run):
    """The loss before training against the guess's: ln K, or the target's variance."""
    loss = run.loss(run.forward(train=True, grad=not run.numpy)).item()
    y = run.y
    if y is not None and y.is_floating_point():
        return _regression(run, y.double(), loss)
    nll = [node for node in ([] if run.numpy else run_graph(run)) if kind(node) in NLL]
    if nll and nll[0]._saved_reduction == 1 and nll[0]._saved_weight is None:
        K = nll[0]._saved_self.shape[1]
    elif run.numpy and y is not None:
        K = run.base.shape[-1]
    else:
        raise CannotTell(f"the loss is {loss:.3g}; what a guess costs is not known for this loss")
    came = f"{loss:.3g}; ln {K} = {math.log(K):.3g}"
    if loss > 2.5 * math.log(K) + 2 and not _tied(run):
        return came, ("the first loss is not the guess's", came)
    return came


def _tied(run):
    """Do an embedding and the last layer share their weights?"""
    every = [name for root in run.kept.roots for name, _ in root.named_parameters(remove_duplicate=False)]
    return len(every) > len([name for root in run.kept.roots for name, _ in root.named_parameters()])


def _regression(run, y, loss):
    y = y[y.isfinite()]
    rms, spread = y.pow(2).mean().sqrt().item(), y.std().item() if y.numel() > 1 else 1.0
    out = run.main(run.raw).double().pow(2).mean().sqrt().item()
    came = f"{loss:.3g}; targets have variance {spread**2:.3g} and root mean square {rms:.3g}, outputs {out:.3g}"
    if is_binary(y) or not run.numpy and _least_at_targets(run) is False:
        return came
    if rms > 30 and rms > 30 * out or 0 < spread < 1e-3 and rms < 1e-2 and out > 10 * rms:
        return came, ("the target's scale", came)
    if out > 30 * max(rms, 1.0):
        return came, ("the first loss is not the guess's", came)
    return came


def balance(run):
    """The most frequent class."""
    if not run.one_class_a_row:
        raise CannotTell("the targets are not one class a row")
    y = run.y
    part = y.unique(return_counts=True)[1].max().item() / len(y)
    weights = [getattr(run.loss_fn, name, None) for name in ("weight", "pos_weight")]
    came = f"{part:.0%} of the rows"
    if part >= 0.9 and len(y) >= 20 and all(weight is None for weight in weights):
        return came, ("one class is nearly all", f"{came} have one class")
    return came
