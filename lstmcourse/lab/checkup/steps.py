"""Measured here: which steps reach which outputs, forward and backward."""

import torch

from lstmcourse.lab.checkup.against_loss import pairs_of
from lstmcourse.lab.checkup.apart import need_apart
from lstmcourse.lab.checkup.graphs import kind, run_graph
from lstmcourse.lab.checkup.reading import CannotTell


def later_steps(run):
    """Where the target is a later input: change that input, and see whether the output that foretells it changes."""
    found, seen = [], []
    for i, (x, leaf) in enumerate(zip(run.inputs, run.leaves, strict=True)):
        if leaf.role != "steps":
            continue
        view = x.movedim(leaf.batch, 0)
        if not run.per_step:
            if run._y() is not None and _is_last_value(view, run.target_rows):
                found.append(("the target is in the input", "the target equals the input's last step in every row"))
            continue
        if view.shape[1] != run.base.shape[1]:
            continue
        T, at = view.shape[1], view.shape[1] // 2
        if run.causal:
            change = run.difference(run.base, run.out(run.changed(step=slice(at, None), which=i))) > run.tolerance
            if change[:, :at].any():
                found.append(
                    ("an output depends on later steps", f"steps from {at} on change output {at - 1} and before")
                )
                continue
        if run.causal is False or run._y() is None or run.target_rows.ndim < 2 or run.target_rows.shape[1] != T:
            continue
        ahead = _ahead(view, run.target_rows)
        if ahead is None:
            continue
        ahead += _loss_shift(run)
        if ahead < 0:
            continue
        steps = [step for step in (1, T // 2, T - 1 - max(ahead, 0)) if step >= 0 and step + ahead < T]
        leak, sees_later = [], False
        for step in dict.fromkeys(steps):
            change = run.difference(run.base, run.out(run.changed(step=step + ahead, which=i))) > run.tolerance
            leak.append(bool(change[:, step].any()))
            sees_later |= bool(change[:, :step].any())
        if ahead == 0 and sees_later:
            continue  # an autoencoder may see what it is to give back
        seen.append(any(leak))
        if any(leak):
            what = (
                f"the target of step t is the input of step t + {ahead}" if ahead else "the target is the input itself"
            )
            found.append(("the output sees the target", f"{what}, and output t changes with it"))
    if seen and not all(seen):  # one input is the decoder's, the other the source
        found = [f for f in found if f[0] != "the output sees the target"]
    if found:
        return "it does", found[:1]
    if not seen and not run.causal:
        raise CannotTell("the target is no later input: pass causal=True if no output may see later steps")
    return "no output sees its target", []


def _ahead(x, y):
    """By how many steps the input runs after the target: y[:, t] == x[:, t + ahead], or None."""
    y = y.squeeze(-1) if y.ndim == 3 and y.shape[-1] == 1 else y
    columns = [x] if x.ndim == 2 else [x[..., k] for k in range(min(x.shape[-1], 64))]
    if y.ndim == 3:
        y = y[..., 0] if y.is_floating_point() else y
    if y.ndim != 2 or y.is_floating_point() != x.is_floating_point() and not _one_hot(x):
        return None
    if _one_hot(x) and not y.is_floating_point():
        columns = [x.argmax(-1)]
    T = y.shape[1]
    for ahead in (1, 0, 2, 3):
        if T - ahead < 3:
            continue
        for column in columns:
            a, b = column[:, ahead:], y[:, : T - ahead]
            real = b >= 0 if not b.is_floating_point() else torch.ones_like(b, dtype=torch.bool)
            if len(a.unique()) > 2 and real.any() and (a == b)[real].double().mean() > 0.95:
                return ahead
    return None


def _one_hot(x):
    return x.ndim == 3 and x.shape[-1] > 1 and bool(((x == 0) | (x == 1)).all() and (x.sum(-1) == 1).all())


def _is_last_value(view, y):
    if view.ndim != 3 or not view.is_floating_point() or not y.is_floating_point() or len(y) < 4:
        return False
    y = y.reshape(len(y), -1)[:, :1]
    return y.std() > 0 and bool((view[:, -1] == y).all(0).any())


def _loss_shift(run):
    """By how many steps the loss itself shifts the target: output t against target t + shift."""
    try:
        pairs = pairs_of(run, [(0, run.base.shape[1] // 2)])
    except CannotTell:
        return 0
    (_, t), where = pairs[0]
    return t - where[0][1] if len(where) == 1 and abs(t - where[0][1]) <= 1 else 0


def reads_steps(run):
    """Which steps reach the output of their row."""
    need_apart(run)
    T = run.T
    if T is None or T < 3:
        raise CannotTell("the input has no steps")
    row = 0 if run.lengths is None else int(run.lengths.argmax())
    n = T if run.lengths is None else int(run.lengths[row])
    first = 0 if run.side == "right" else T - n
    hits = {
        at: run.difference(run.base, run.out(run.changed(row, first + at)))[row] > 0
        for at in (0, 1, n // 2, n - 2, n - 1)
    }
    if run.per_step:
        if run.base.shape[1] != T or not _sequential(run):
            raise CannotTell("no recurrent layer and no attention is seen")
        at = first + n // 2
        if hits[n // 2][at] and not any(hits[n // 2][t] for t in range(first, first + n) if t != at):
            return "each output depends on its own step alone", [
                ("the state isn't carried from step to step", f"step {at} changes output {at} alone")
            ]
        return "steps reach other steps' outputs", []
    hit = {at: bool(h) for at, h in hits.items()}
    came = (
        "steps that reach the output: "
        + (", ".join(str(first + at) for at, h in hit.items() if h) or "none")
        + " of "
        + ", ".join(str(first + at) for at in hit)
    )
    if not _sequential(run):
        return came, []
    if hit[0] and not any(hit[at] for at in list(hit)[1:]):
        return came, [("only the first step is read", came)]
    if hit[n - 1] and not any(hit[at] for at in list(hit)[:-1]):
        return came, [("the state isn't carried from step to step", f"{came}: the last step alone")]
    return came, []


def _sequential(run):
    """Is there a recurrent layer, attention, or a loop with as many gates as steps?"""
    recurrent = (torch.nn.RNNBase, torch.nn.RNNCellBase, torch.nn.MultiheadAttention)
    if any(isinstance(module, recurrent) for module in run.kept.modules):
        return True
    gates = [kind(node) for node in run_graph(run) if kind(node) in ("Tanh", "Sigmoid")]
    return len(gates) >= run.T or len(gates) >= 3 and len(set(gates)) == 2 and not run.per_step


def order(run):
    """The steps in another order: attention without positions doesn't notice."""
    need_apart(run)
    if len([leaf for leaf in run.leaves if leaf.role == "steps"]) != 1 or run.T is None or run.T < 3:
        raise CannotTell("measured for one input with steps")
    attention = any(isinstance(m, torch.nn.MultiheadAttention) for m in run.kept.modules) or any(
        kind(node) == "ScaledDotProductFlashAttentionForCpu"
        or kind(node) == "Softmax"
        and node._saved_result.ndim >= 3
        and node._saved_result.shape[-1] == node._saved_result.shape[-2] == run.T
        for node in run_graph(run)
    )
    if not attention:
        raise CannotTell("no self-attention is seen")
    new, leaf = list(run.inputs), run.leaves[0]
    rows = None if run.lengths is None else run.lengths == run.T
    if rows is not None and not rows.any():
        raise CannotTell("every row has padding")
    new[0] = run.inputs[0].flip(leaf.time)
    out = run.out(new)
    if run.per_step and out.ndim > 1 and out.shape[1] == run.T:
        out = out.flip(1)
    change = run.difference(run.base, out)
    change = change if rows is None else change[rows]
    same = run.inputs[0].flip(leaf.time).eq(run.inputs[0]).all()
    if change.max() <= 10 * run.tolerance and not same:
        return "the outputs are the same", [
            ("the order of the steps is not seen", "with the steps turned round, the outputs are the same")
        ]
    return "the outputs change with the order", []


def cut_between_steps(run):
    """Does a gradient come back from the last output to steps that change it?"""
    need_apart(run)
    if run.numpy or run.T is None or run.T < 4:
        raise CannotTell("needs autograd and four steps or more")
    row = 0 if run.lengths is None else int(run.lengths.argmax())
    n = run.T if run.lengths is None else int(run.lengths[row])
    first = 0 if run.side == "right" else run.T - n
    caught, leaf, x = [], run.leaves[0], run.inputs[0]
    inputs, hooks = list(run.inputs), []
    if x.is_floating_point():
        inputs[0] = x.clone().requires_grad_()
        caught.append((inputs[0], leaf.batch))
    else:

        def catch(module, given, output):
            if given[0].ndim == 2 and run.T in given[0].shape and not caught:
                output = output.detach().requires_grad_()
                caught.append((output, 0 if given[0].shape[1] == run.T else 1))
                return output

        hooks = [m.register_forward_hook(catch) for m in run.kept.modules if isinstance(m, torch.nn.Embedding)]
    try:
        main = run.main(run.forward(inputs, grad=True))
    finally:
        for hook in hooks:
            hook.remove()
    if not caught:
        raise CannotTell("the tokens don't go through one nn.Embedding")
    out = run.rows(main)[row]
    out = out[first + n - 1] if run.per_step and out.shape[0] == run.T else out
    if not out.requires_grad:
        raise CannotTell("the output has no graph")
    weights = torch.randn(out.shape, generator=torch.Generator().manual_seed(0)).to(out.dtype)
    (grad,) = torch.autograd.grad((out * weights).sum(), caught[0][0], allow_unused=True)
    if grad is None:
        raise CannotTell("the input gets no gradient")
    grad = grad.movedim(caught[0][1], 0)[row].flatten(1).abs().sum(1)
    changes = []
    for at in range(max(0, n - 4), n):
        change = run.difference(run.base, run.out(run.changed(row, first + at, scale=0.01)))[row]
        changes.append(bool((change[first + n - 1] if change.ndim else change) > run.tolerance))
    got = [bool(grad[first + at] > 0) for at in range(max(0, n - 4), n)]
    missing = [first + max(0, n - 4) + k for k, (c, g) in enumerate(zip(changes, got, strict=True)) if c and not g]
    if missing:
        return "cut", [
            (
                "the gradient is cut between steps",
                f"steps {missing} change the last output, and get no gradient from it",
            )
        ]
    return f"the gradient at the first step is {grad[first] / grad.max().clamp(min=1e-30):.1e} of the largest", []


def both_directions(run):
    """What a loss at the end reads of a bidirectional layer: the reverse direction's last step is its first."""
    layers = [m for m in run.kept.modules if isinstance(m, torch.nn.RNNBase) and m.bidirectional]
    if not layers or run.numpy or run.per_step:
        raise CannotTell("no bidirectional layer with one answer a row")
    caught = []
    hooks = [layer.register_forward_hook(lambda m, i, o: caught.append((m, o))) for layer in layers]
    try:
        main = run.main(run.forward(grad=True))
    finally:
        for hook in hooks:
            hook.remove()
    module, (out, _) = caught[-1]
    packed = not isinstance(out, torch.Tensor)
    data = out.data if packed else out
    (grad,) = torch.autograd.grad(main.double().pow(2).sum() + main.sum(), data, allow_unused=True)
    if grad is None or not grad.any():
        return "h_n is read", []
    if packed:
        grad = torch.nn.utils.rnn.pad_packed_sequence(out._replace(data=grad), batch_first=True)[0]
    elif not module.batch_first:
        grad = grad.transpose(0, 1)
    H, used = grad.shape[-1] // 2, grad.abs().sum(-1) > 0
    back = grad[..., H:].abs().sum(-1) > 0
    if packed and run.lengths is not None:
        last = torch.stack(
            [
                row[:n].nonzero().max() + 1 == n and row.sum() == 1
                for row, n in zip(back, run.lengths.tolist(), strict=True)
            ]
        ).all()
    else:
        last = back[:, -1].any() and not back[:, :-1].any()
    if last and not used[:, 0].any() and grad.shape[1] > 1:
        return "the last step alone", [
            (
                "the last output of a bidirectional layer is read",
                "of the reverse direction only the output at the last step is read, which has seen one step",
            )
        ]
    return "more than the last step is read", []
