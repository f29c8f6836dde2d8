"""Measured here: loss against output: activation, shapes, order, padding, the first loss."""

import math

import torch

from lstmcourse.lab.checkup.graphs import behind, kind, run_graph
from lstmcourse.lab.checkup.reading import CannotTell, edge_runs


def before_the_loss(run):
    """The activations right before the loss, by the graph's nodes."""
    nodes = run_graph(run)
    run.loss(run.graph_end[1])
    found, seen = [], set()
    for node in nodes:
        name = kind(node)
        if name not in (
            "LogSoftmax",
            "BinaryCrossEntropyWithLogits",
            "NllLoss",
            "NllLoss2D",
            "MseLoss",
            "SmoothL1Loss",
            "HuberLoss",
            "L1Loss",
        ):
            continue
        for last in behind(node):
            seen.add(f"{name} after {kind(last)}")
            found += _before(name, last, run)
        if name == "LogSoftmax" and _wrong_axis(node, run):
            found.append(("softmax over the wrong axis", f"dim {_dim(node)} of {tuple(node._saved_result.shape)}"))
    if not seen:
        seen = {kind(node) for node in behind(run.graph_end[0].grad_fn)} if run.graph_end[0].grad_fn else {"nothing"}
    return ", ".join(sorted(seen)[:4]), list(dict(found).items())


def _before(loss, last, run):
    name = kind(last)
    if loss in ("LogSoftmax", "BinaryCrossEntropyWithLogits"):
        if name == "Softmax":
            yield "softmax before a loss that takes logits", "the loss's own softmax gets the output of a softmax"
        elif name == "Sigmoid":
            yield "sigmoid before a loss that takes logits", "the loss gets the output of a sigmoid"
        elif name in ("Relu", "Tanh", "LeakyRelu", "Elu"):
            yield "an activation limits the logits", f"{name} is the last step before the loss"
    elif loss.startswith("NllLoss"):
        if name not in ("LogSoftmax", "Log", "LogSigmoid", "Sub", "Logsumexp", "Add", "Logaddexp", "LogsumexpBackward"):
            yield "the loss wants log-probabilities", f"NLLLoss after {name}: the loss has no lower bound or no slope"
    elif run._y() is not None and run._y().is_floating_point():
        low, high = {"Sigmoid": (0, 1), "Tanh": (-1, 1), "Relu": (0, math.inf), "Softmax": (0, 1)}.get(
            name, (-math.inf, math.inf)
        )
        y = run._y()
        outside = ((y < low - 0.01) | (y > high + 0.01)).double().mean().item()
        if outside > 0.05:
            yield (
                "the output can't reach the target",
                (f"{name} gives numbers from {low} to {high}; {outside:.0%} of the targets lie outside"),
            )


def _dim(node):
    dim, ndim = node._saved_dim, node._saved_result.ndim
    return dim - 2**64 if dim > 2**63 else dim if dim < ndim else dim


def _wrong_axis(node, run):
    """A log-softmax whose axis is not the one that the negative log-likelihood takes for classes."""
    shape, dim = node._saved_result.shape, _dim(node) % node._saved_result.ndim
    y = run._y()
    if y is None or y.is_floating_point() or len(shape) < 2:
        return False
    losses = [n for n in run.graph_nodes if kind(n) in ("NllLoss", "NllLoss2D") and node in behind(n)]
    return any(shape[dim] != n._saved_self.shape[1] or n._saved_self.shape == shape and dim != 1 for n in losses)


def pairs_of(run, at):
    """For target positions (row, step): the output positions whose gradient of the loss changes with that target."""
    y, main = run._y(), run.main(run.raw).detach()
    if y is None or run.numpy:
        raise CannotTell("needs autograd and a target tensor")
    full = run.forward()

    def slopes(target):
        leaf = main.clone().requires_grad_()
        value = run.loss(full, leaf, target)
        if not value.requires_grad:
            raise CannotTell("the loss doesn't take the output itself")
        (grad,) = torch.autograd.grad(value, leaf, allow_unused=True)
        if grad is None:
            raise CannotTell("the loss doesn't take the output itself")
        return run.rows(grad)

    base, found = slopes(y), []
    for position in at:
        target = y.clone()
        view = run.rows_of_target(target)
        old = view[position].clone()
        view[position] = old + 1.0 if target.is_floating_point() else _another_class(run, old)
        change = slopes(target)
        if not target.is_floating_point():  # a class's weight may rescale everything
            change, compare = _direction(change), _direction(base)
        else:
            compare = base
        keep = 2 if run.per_step else 1
        moved = (change - compare).abs().reshape(*base.shape[:keep], -1).amax(-1)
        found.append(
            (
                position,
                [tuple(p) for p in (moved > 1e-3 * moved.max().clamp(min=1e-30)).nonzero().tolist()]
                if moved.max() > 0
                else [],
            )
        )
    return found


def _direction(grad):
    return grad / grad.norm(dim=-1, keepdim=True).clamp(min=1e-30)


def _another_class(run, old):
    known = run._y().unique()
    known = known[known >= 0]
    if len(known) < 2:
        raise CannotTell("the targets have one class")
    return torch.where(old == known[0], known[1], known[0])


def in_line(run):
    """Change one target, and see at which outputs the slope of the loss changes."""
    y = run.target_rows
    rows, T = run.B, run.base.shape[1] if run.per_step else 0
    main = run.main(run.raw)
    if y.is_floating_point() and main.shape != run._y().shape and _broadcasts(main.shape, run._y().shape):
        pairs = pairs_of(run, [(0,) if y.ndim == 1 or not run.per_step else (0, 0)])
        touched = {p[0] for p in pairs[0][1]}
        if len(touched) > 1:
            return "broadcast", [
                (
                    "output and target are broadcast",
                    f"output {tuple(main.shape)} against target "
                    f"{tuple(run._y().shape)}: each output is held against {len(touched)} rows' targets",
                )
            ]
        return f"shapes {tuple(main.shape)} and {tuple(run._y().shape)}, and each target meets its own output", []
    if run.per_step and y.ndim >= 2 and y.shape[1] == T and T > 2:
        valid = y if y.ndim == 2 else y.flatten(2)[..., 0]
        real = valid >= 0 if not y.is_floating_point() else torch.ones_like(valid, dtype=torch.bool)
        if run.lengths is not None and run.T == T:
            real &= real_steps(run)
        places = [p for p in ((0, T // 2), (rows - 1, 1), (rows // 2, T - 2)) if real[p]]
    else:
        places = [(0,), (rows - 1,)]
    wrong = []
    for position, where in pairs_of(run, places):
        if (
            where
            and len(position) == 2
            and not any(p[0] == position[0] and abs(p[1] - position[1]) <= 1 for p in where)
        ):
            wrong.append(f"target {position} meets output {where[0]}")
        elif where and len(position) == 1 and not any(p[0] == position[0] for p in where):
            wrong.append(f"target {position[0]} meets output {where[0][0]}")
    if not wrong and not y.is_floating_point() and run.per_step and main.ndim == 3 and run.layout in ("rows", "steps"):
        wrong = _classes_scrambled(run)
    if wrong:
        return "out of line", [("output and target are out of line", "; ".join(wrong[:2]))]
    return "each target meets its own output", []


def _classes_scrambled(run):
    """Cross-entropy's slopes add up to 0 over the classes; where they don't, another axis is taken for the classes."""
    names = {kind(node) for node in run_graph(run)}
    if not names & {"NllLoss", "NllLoss2D"} or "LogSoftmax" not in names:
        return []
    leaf = run.main(run.raw).detach().clone().requires_grad_()
    (grad,) = torch.autograd.grad(run.loss(run.forward(), leaf), leaf)
    grad = run.rows(grad)
    if grad.sum(-1).abs().max() > 1e-2 * grad.abs().max():
        return ["the loss's slopes don't add up to 0 over the last axis, the classes"]
    return []


def _broadcasts(a, b):
    try:
        return math.prod(torch.broadcast_shapes(a, b)) > max(math.prod(a), math.prod(b))
    except RuntimeError:
        return False


def real_steps(run):
    """(B, T), True at steps before the padding."""
    steps = torch.arange(run.T)
    inside = steps < run.lengths[:, None]
    return inside if run.side == "right" else inside.flip(1)


def padding_in_loss(run):
    """The slope of the loss at padded steps, and at targets of a class that occurs."""
    y, main = run.target_rows, run.main(run.raw)
    if run.numpy or run.loss_fn is None and run.target is None:
        raise CannotTell("needs autograd")
    leaf = main.detach().clone().requires_grad_()
    value = run.loss(run.forward(), leaf)
    grad = torch.autograd.grad(value, leaf, allow_unused=True)[0] if value.requires_grad else None
    if grad is None:
        raise CannotTell("the loss doesn't take the output itself")
    keep = 2 if run.per_step else 1
    slope = run.rows(grad).reshape(*run.base.shape[:keep], -1).abs().sum(-1)
    if y.is_floating_point() or y.ndim != keep or y.shape != slope.shape:
        y = None
    if not run.per_step:
        silent = (
            [] if y is None else [k for k in y.unique().tolist() if k >= 0 and not slope[y == k].any() and slope.any()]
        )
        if silent and len(y.unique()) > 1:
            return "silent", [
                ("a real class is ignored by the loss", f"the loss doesn't see the rows of class {silent[0]}")
            ]
        return "every row counts", []
    pads = ~real_steps(run) if run.lengths is not None and run.base.shape[1] == run.T else None
    if pads is None and y is not None:
        found = edge_runs_of(y)
        pads = found
    if y is not None and pads is not None and pads.any():
        inside = ~pads
        silent = [k for k in y[inside].unique().tolist() if k >= 0 and not slope[inside & (y == k)].any()]
        ends = y[pads].unique()
        if (
            silent
            and slope.any()
            and not (len(ends) == 1 and ends.item() == silent[0] and _only_at_edge(y, pads, silent[0]))
        ):
            return "silent", [
                ("a real class is ignored by the loss", f"the loss doesn't see real steps of class {silent[0]}")
            ]
    if pads is None or not pads.any():
        raise CannotTell("no padding is known: pass lengths=")
    counted = (slope[pads] > 1e-6 * slope.max()).double().mean().item()
    if counted > 0.01:
        return f"{counted:.0%} of the padded steps count", [
            ("padding counts in the loss", f"{counted:.0%} of {int(pads.sum())} padded steps have a slope in the loss")
        ]
    return "no padded step counts", []


def _only_at_edge(y, pads, k):
    """Is class k met inside only right before the padding (a target shifted by one)?"""
    inside = (y == k) & ~pads
    return bool((inside[:, :-1] & ~(pads[:, 1:] | (y[:, 1:] == k))).sum() == 0)


def edge_runs_of(y):
    """A mask of the padded steps of targets, read from the ends of their rows; None where the rows don't show any."""
    found = edge_runs(y)
    if found is None:
        return None
    inside = torch.arange(y.shape[1]) < found[0][:, None]
    return ~(inside if found[1] == "right" else inside.flip(1))


def first_loss(run):
    """The loss before training against the guess's: ln K, or the target's variance."""
    loss = run.loss(run.forward(train=True, grad=not run.numpy)).item()
    y = run._y()
    if y is not None and y.is_floating_point():
        return _regression(run, y.double(), loss)
    nodes = [] if run.numpy else run_graph(run)
    nll = [node for node in nodes if kind(node) in ("NllLoss", "NllLoss2D")]
    if nll and nll[0]._saved_reduction == 1 and nll[0]._saved_weight is None:
        K = nll[0]._saved_self.shape[1]
    elif run.numpy and y is not None:
        K = run.base.shape[-1]
    else:
        raise CannotTell(f"the loss is {loss:.3g}; what a guess costs is not known for this loss")
    guess = math.log(K)
    came = f"{loss:.3g}; ln {K} = {guess:.3g}"
    if loss > 2.5 * guess + 2 and not _tied(run):
        return came, [("the first loss is not the guess's", came)]
    return came, []


def _tied(run):
    """Do an embedding and the last layer share their weights?"""
    names = [name for root in run.kept.roots for name, _ in root.named_parameters(remove_duplicate=False)]
    return len(names) > len([name for root in run.kept.roots for name, _ in root.named_parameters()])


def _regression(run, y, loss):
    finite_y = y[y.isfinite()]
    rms, spread = finite_y.pow(2).mean().sqrt().item(), finite_y.std().item() if finite_y.numel() > 1 else 1.0
    out = run.base.pow(2).mean().sqrt().item()
    came = f"{loss:.3g}; targets have variance {spread**2:.3g} and root mean square {rms:.3g}, outputs {out:.3g}"
    binary = bool(((finite_y == 0) | (finite_y == 1)).all())
    if binary:
        return came, []
    if rms > 30 and rms > 30 * out:
        return came, [("the target's scale", came)]
    if 0 < spread < 1e-3 and rms < 1e-2 and out > 10 * rms:
        return came, [("the target's scale", came)]
    if out > 30 * max(rms, 1.0):
        return came, [("the first loss is not the guess's", came)]
    return came, []


def balance(run):
    """The most frequent class."""
    y = run._y()
    if y is None or y.ndim != 1 or y.is_floating_point() and not bool(((y == 0) | (y == 1)).all()) or len(y) != run.B:
        raise CannotTell("the targets are not one class a row")
    count = y.unique(return_counts=True)[1]
    part = count.max().item() / len(y)
    weighted = getattr(run.loss_fn, "weight", None) is not None or getattr(run.loss_fn, "pos_weight", None) is not None
    came = f"{part:.0%} of the rows"
    if part >= 0.9 and len(y) >= 20 and not weighted and not (run.lengths is None and len(count) == 1 and len(y) < 20):
        return came, [("one class is nearly all", f"{came} have one class")]
    return came, []
