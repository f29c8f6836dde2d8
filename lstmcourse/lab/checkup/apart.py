"""Measured here: rows that depend on each other, on their place, or on padding."""

import torch

from lstmcourse.lab.checkup.graphs import axis, kind, run_graph
from lstmcourse.lab.checkup.reading import CannotTell, hooked


def rows_apart(run):
    """Change one row, and see whose outputs change."""
    B = run.B
    if B < 2:
        raise CannotTell("needs a batch of two rows or more")
    run.base  # noqa: B018 - raises if the output has no rows
    hit = torch.stack([rows_hit(run, row) for row in (0, B // 2, B - 1)])
    own = hit[torch.arange(3), torch.tensor([0, B // 2, B - 1])]
    others = hit.sum(1) - own.int()
    run.apart = not others.any()
    if run.apart:
        if not own.any() and (run.out(run.changed()) != run.base).any():
            return "the outputs hardly change with their rows"
        if not own.any():
            return "no output changes", ("the output doesn't depend on the input", "no output changes with its row")
        return "each output changes with its own row alone"
    if run.leaves[0].time is None and run.inputs[0].ndim == 1:
        raise CannotTell("the input has one axis: one sequence without a batch, or one number a row?")
    came = f"rows whose output changes with row 0: {others[0]} others, with the last: {others[2]} others"
    if (hit.sum(1) == 1).all():
        return came, ("rows come back in another order", f"row 0 changes output {hit[0].nonzero()[0].item()}")
    return came, (_why_mixed(run, hit), came)


def rows_hit(run, row, step=None):
    change = run.difference(run.base, run.out(run.changed(row, step)))
    return (change > run.tolerance).reshape(run.B, -1).any(1)


def _why_mixed(run, hit):
    """Whether time and batch are exchanged, a reshape cuts across, or a softmax or a mean joins the rows."""
    T, time = run.T, "the batch axis is taken for time"
    if _softmax_over_rows(run):
        return "softmax over the wrong axis"
    if T is None or T < 2:
        return time if _like_a_sequence(hit, run.B) else "rows depend on each other"
    joined = bool(hit.all())
    one, last = (run.difference(run.base, run.out(run.changed(0, step))) > run.tolerance for step in (0, T - 1))
    if _layer_over_rows(run) or _time_by_steps(run, hit, one, last):
        return time
    if joined and not run.per_step and 1 in (int(one.sum()), int(last.sum())):
        return "rows are mixed by a reshape"  # one step reaches one row alone, all steps together reach all rows
    if _like_a_sequence(hit, run.B) and not joined and run.B > 2:
        return time
    if one.ndim == 2 and (one[1:] != one[1]).any():
        return "rows are mixed by a reshape"  # other steps in each of the other rows
    return "rows depend on each other" if joined else "rows are mixed by a reshape"


def _time_by_steps(run, hit, one, last):
    """Do the first and the last step of row 0 reach what they would if rows were steps?"""
    T = run.T
    if run.per_step:
        whole = one.ndim == 2 and one.shape[1] == T
        return whole and one.any() and not one[:, 1:].any() and not last[:, :-1].any() and not hit.all()
    if not one.any() and last.any() and _like_a_sequence(hit, run.B):
        return True
    if run.B != T or not hit.all():
        return False
    steps = [(run.difference(run.base, run.out(run.changed(0, step))) > run.tolerance) for step in (0, T // 2)]
    return all(int(s.sum()) == 1 and s[at] for s, at in zip(steps, (0, T // 2), strict=True))


def _softmax_over_rows(run):
    """Is there a softmax whose axis holds the rows?"""
    at = run.batch_axis
    for node in run_graph(run) if run.B != run.T else ():
        if kind(node) in ("Softmax", "LogSoftmax") and axis(node) == at:
            shape = node._saved_result.shape
            if len(shape) > 1 and shape[at] == run.B and run.B not in shape[at + 1 :]:
                return True
    return False


def _layer_over_rows(run):
    """Does a recurrent layer or an attention get the rows of the batch where it takes steps?"""
    found = []

    def look(layer, given, named, _):
        x = given[0] if given else next(iter(named.values()))
        if isinstance(x, torch.Tensor) and x.ndim == 3 and run.B != run.T:
            found.append(x.shape[:2] == ((run.T, run.B) if layer.batch_first else (run.B, run.T)))

    layers = [m for m in run.kept.modules if isinstance(m, (torch.nn.RNNBase, torch.nn.MultiheadAttention))]
    with hooked(layers, look, with_kwargs=True):
        run.forward(train=True)
    return any(found)


def _like_a_sequence(hit, B):
    """Row 0 changes all rows, the last one itself alone: what a recurrent layer over the rows gives."""
    return bool(hit[0].sum() > max(1, B // 2) and hit[2].sum() == 1 and hit[2][-1])


def place_in_batch(run):
    """The rows in another order: the outputs should follow."""
    need_apart(run)
    new = [x if leaf.batch is None else x.roll(1, leaf.batch) for x, leaf in zip(run.inputs, run.leaves, strict=True)]
    lengths = None if run.lengths is None else run.lengths.roll(1)
    change = run.difference(run.base, run.out(new, lengths=lengths).roll(-1, 0)).max().item()
    if change > 10 * run.tolerance:
        came = f"in another order of the rows the outputs differ by {change:.1e} of the largest"
        return f"differs by {change:.1e}", ("a row's place in the batch matters", came)
    return "the outputs follow"


def need_apart(run):
    if not getattr(run, "apart", False):
        raise CannotTell("the rows are not apart, or were not measured")
    if getattr(run, "carries", False):
        raise CannotTell("the model keeps a state of its own, or is random, and each place in the batch has its own")


def alone(run):
    """A short row alone, without padding, against the same row in the batch."""
    need_apart(run)
    if run.lengths is None or run.lengths.min() == run.T:
        raise CannotTell("no padding is known: pass lengths=")
    row = int(run.lengths.argmin())
    n = int(run.lengths[row])
    first = 0 if run.side == "right" else run.T - n
    batch = run.base[row]
    single = run.rows(run.main(run.forward(_only(run, row, n, first), lengths=torch.tensor([n]))).detach(), 1)[0]
    if run.per_step and batch.ndim and batch.shape[0] == run.T:
        batch = batch[first : first + n]
        single = single[:n] if run.side == "right" else single[single.shape[0] - n :]
    if single.shape != batch.shape:
        raise CannotTell(f"the row alone gives an output of shape {tuple(single.shape)}")
    change = ((single.double() - batch).abs().max() / run.base.abs().max().clamp(min=1e-30)).item()
    if change <= 30 * run.tolerance:
        return f"row {row} alone gives the same output"
    came = f"row {row} ({n} of {run.T} steps) alone differs from itself in the batch by {change:.1e} of the largest"
    if not run.per_step and not rows_hit(run, row)[row]:
        return came, ("the state is read at padding", f"{came}; its real steps don't reach the output at all")
    return came, ("padding leaks into the output", came)


def _only(run, row, n, first):
    """The inputs of one row, without its padding."""
    inputs = []
    for i, (x, leaf) in enumerate(zip(run.inputs, run.leaves, strict=True)):
        if leaf.batch is not None:
            x = x.narrow(leaf.batch, row, 1)
            if leaf.role == "lengths" and i > 0 and x.item() == run.lengths[row]:
                x = torch.full_like(x, n)
            elif leaf.time is not None and x.shape[leaf.time] == run.T:
                x = x.narrow(leaf.time, first, n)
        inputs.append(x.contiguous())
    return inputs
