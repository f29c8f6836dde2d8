"""Measured here: which steps reach which outputs, forward and backward."""

import torch
from torch.nn.utils.rnn import PackedSequence, pad_packed_sequence

from lstmcourse.lab.checkup.against_loss import pairs_of
from lstmcourse.lab.checkup.apart import need_apart
from lstmcourse.lab.checkup.graphs import kind, run_graph, watched
from lstmcourse.lab.checkup.reading import CannotTell, hooked


def later_steps(run):
    """Where the target is a later input: change that input, and see whether the output that foretells it changes."""
    found, seen, later = [], [], []
    for i, (x, leaf) in enumerate(zip(run.inputs, run.leaves, strict=True)):
        if leaf.role != "steps":
            continue
        view = x.movedim(leaf.batch, 0)
        if not run.per_step:
            last = run.y is not None and _last_values(view, run.target_rows)
            found += [("the target is in the input", f"the target equals the input's last {last}")] if last else []
            continue
        if view.shape[1] != run.base.shape[1] or run.causal is False:
            continue
        later += [_sees_later(run, i, view.shape[1] // 2)] if run.causal else []
        if not (later and later[-1]):
            leak = _sees_target(run, i, view)
            seen += [] if leak is None else [bool(leak)]
            found += leak or []
    if seen and not all(seen):  # one input is the decoder's, the other the source
        found = [pair for pair in found if pair[0] != "the output sees the target"]
    found += later[0] if later and all(later) else []
    if found:
        return "it does", found[0]
    if not seen and not run.causal:
        raise CannotTell("the target is no later input: pass causal=True if no output may see later steps")
    return "no output sees its target"


def _sees_later(run, i, at):
    """Do outputs before step `at` change with the steps from there on?"""
    change = run.difference(run.base, run.out(run.changed(step=slice(at, None), which=i))) > run.tolerance
    came = f"steps from {at} on change output {at - 1} and before"
    return [("an output depends on later steps", came)] if change[:, :at].any() else []


def _sees_target(run, i, view):
    """Whether outputs change with the input that is their target; None where the target is no later input."""
    T = view.shape[1]
    if run.y is None or run.target_rows.ndim < 2 or run.target_rows.shape[1] != T:
        return None
    ahead = _ahead(view, run.target_rows)
    shift = 0 if ahead is None else _loss_shift(run)
    if ahead == shift == 1 and not run.y.is_floating_point():
        came = "the targets are the input's next step, and the loss holds output t against target t + 1"
        return [("the target is shifted twice", came)]
    ahead = -1 if ahead is None else ahead + shift
    if ahead < 0:
        return None
    leak, sees_later = False, False
    for step in {step for step in (1, T // 2, T - 1 - ahead) if 0 <= step < T - ahead}:
        change = run.difference(run.base, run.out(run.changed(step=step + ahead, which=i))) > run.tolerance
        leak |= bool(change[:, step].any())
        sees_later |= bool(change[:, :step].any())
    if ahead == 0 and sees_later:
        return None  # an autoencoder may see what it is to give back
    what = f"the target of step t is the input of step t + {ahead}" if ahead else "the target is the input itself"
    return [("the output sees the target", f"{what}, and output t changes with it")] if leak else []


def _ahead(x, y):
    """By how many steps the input runs after the target: y[:, t] == x[:, t + ahead], or None."""
    one_hot = x.ndim == 3 and x.shape[-1] > 1 and bool(((x == 0) | (x == 1)).all() and (x.sum(-1) == 1).all())
    y = y[..., 0] if y.ndim == 3 and (y.shape[-1] == 1 or y.is_floating_point()) else y
    if y.ndim != 2 or y.is_floating_point() != x.is_floating_point() and not one_hot:
        return None
    columns = [x] if x.ndim == 2 else [x[..., k] for k in range(min(x.shape[-1], 64))]
    if one_hot and not y.is_floating_point():
        columns = [x.argmax(-1)]
    T = y.shape[1]
    for ahead in (ahead for ahead in (1, 0, 2, 3) if T - ahead >= 3):
        for column in columns:
            a, b = column[:, ahead:], y[:, : T - ahead]
            real = torch.ones_like(b, dtype=torch.bool) if b.is_floating_point() else b >= 0
            if len(a.unique()) > 2 and real.any() and (a == b)[real].double().mean() > 0.95:
                return ahead
    return None


def _last_values(view, y):
    """How many of the input's last steps are the target, in every row; 0 if none."""
    if view.ndim != 3 or not view.is_floating_point() or not y.is_floating_point() or len(y) < 4:
        return 0
    y = y.reshape(len(y), -1)
    n = y.shape[1] if y.shape[1] < view.shape[1] else 1
    same = (view[:, -n:] == y[:, :n, None]).flatten(0, 1).all(0)
    return n if y.std() > 0 and same.any() else 0


def _loss_shift(run):
    """By how many steps the loss itself shifts the target: output t against target t + shift."""
    try:
        (_, t), where, _ = pairs_of(run, [(0, run.base.shape[1] // 2)])[0]
    except CannotTell:
        return 0
    return t - where[0][1] if len(where) == 1 and abs(t - where[0][1]) <= 1 else 0


def _longest(run):
    """The row with the most steps, where it begins, and how many steps it has."""
    row = 0 if run.lengths is None else int(run.lengths.argmax())
    n = run.T if run.lengths is None else int(run.lengths[row])
    return row, 0 if run.side == "right" else run.T - n, n


def reads_steps(run):
    """Which steps reach the output of their row."""
    need_apart(run)
    if run.T is None or run.T < 3:
        raise CannotTell("the input has no steps")
    row, first, n = _longest(run)
    some = (0, 1, n // 2, n - 2, n - 1)
    hits = {at: run.difference(run.base, run.out(run.changed(row, first + at)))[row] > 0 for at in some}
    cause = "the state isn't carried from step to step"
    if run.per_step:
        if run.base.shape[1] != run.T or not _sequential(run):
            raise CannotTell("no recurrent layer and no attention is seen")
        at, hit = first + n // 2, hits[n // 2][first : first + n]
        if hit[n // 2] and hit.sum() == 1:
            return "each output depends on its own step alone", (cause, f"step {at} changes output {at} alone")
        return "steps reach other steps' outputs"
    reached = [first + at for at, hit in hits.items() if hit]
    came = f"steps that reach the output: {', '.join(map(str, reached)) or 'none'} of {', '.join(map(str, hits))}"
    if _sequential(run) and reached == [first]:
        return came, ("only the first step is read", came)
    if _sequential(run) and reached == [first + n - 1]:
        return came, (cause, f"{came}: the last step alone")
    return came


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
    if not any(isinstance(m, torch.nn.MultiheadAttention) for m in run.kept.modules) and not _attends(run):
        raise CannotTell("no self-attention is seen")
    new, at = list(run.inputs), run.leaves[0].time
    rows = torch.ones(run.B, dtype=torch.bool) if run.lengths is None else run.lengths == run.T
    if not rows.any():
        raise CannotTell("every row has padding")
    new[0] = run.inputs[0].flip(at)
    out = run.out(new)
    if run.per_step and out.ndim > 1 and out.shape[1] == run.T:
        out = out.flip(1)
    change = run.difference(run.base, out)[rows]
    if change.max() <= 10 * run.tolerance and not torch.equal(new[0], run.inputs[0]):
        came = "with the steps turned round, the outputs are the same"
        return "the outputs are the same", ("the order of the steps is not seen", came)
    return "the outputs change with the order"


def _attends(run):
    """Does the graph hold attention of the steps to each other?"""
    for node in run_graph(run):
        if kind(node) == "ScaledDotProductFlashAttentionForCpu":
            return True
        shape = node._saved_result.shape if kind(node) == "Softmax" else ()
        if len(shape) >= 3 and shape[-1] == shape[-2] == run.T:
            return True
    return False


def cut_between_steps(run):
    """Does a gradient come back from the last output to steps that change it?"""
    need_apart(run)
    if run.numpy or run.T is None or run.T < 4:
        raise CannotTell("needs autograd and four steps or more")
    row, first, n = _longest(run)
    grad = _slope_by_step(run, row, first + n - 1)
    steps, missing = range(first + max(0, n - 4), first + n), []
    for at in steps:
        change = run.difference(run.base, run.out(run.changed(row, at, scale=0.01)))[row]
        if (change[first + n - 1] if change.ndim else change) > run.tolerance and not grad[at] > 0:
            missing.append(at)
    cuts, _ = watched(run)
    if missing and cuts:
        came = f"steps {missing} change the last output, and get no gradient from it; on the way: {cuts}"
        return "cut", ("the gradient is cut between steps", came)
    return f"the gradient at the first step is {grad[first] / grad.max().clamp(min=1e-30):.1e} of the largest"


def _slope_by_step(run, row, at):
    """(T,) size of the gradient of a row's output (at one step) for the steps of its input or its word vectors."""
    caught, leaf, inputs = [], run.leaves[0], list(run.inputs)
    if inputs[0].is_floating_point():
        inputs[0] = inputs[0].clone().requires_grad_()
        caught.append((inputs[0], leaf.batch))

    def catch(module, given, output):
        if given[0].ndim == 2 and run.T in given[0].shape and not caught:
            caught.append((output.detach().requires_grad_(), 0 if given[0].shape[1] == run.T else 1))
            return caught[0][0]

    with hooked([m for m in run.kept.modules if isinstance(m, torch.nn.Embedding)], catch):
        out = run.rows(run.main(run.forward(inputs, grad=True)))[row]
    if not caught:
        raise CannotTell("the tokens don't go through one nn.Embedding")
    out = out[at] if run.per_step and out.shape[0] == run.T else out
    weights = torch.randn(out.shape, generator=torch.Generator().manual_seed(0)).to(out.dtype)
    grad = None
    if out.requires_grad:
        (grad,) = torch.autograd.grad((out * weights).sum(), caught[0][0], allow_unused=True)
    if grad is None:
        raise CannotTell("the input gets no gradient")
    return grad.movedim(caught[0][1], 0)[row].flatten(1).abs().sum(1)


def recurrent_layers(run):
    """How many steps the recurrent layers get, and what is read of a bidirectional one."""
    layers, caught, viewed = [m for m in run.kept.modules if isinstance(m, torch.nn.RNNBase)], [], []
    every = [m for m in run.kept.modules if isinstance(m, (torch.nn.RNNBase, torch.nn.Conv1d))]
    inputs = [x.clone().requires_grad_().clone() if x.is_floating_point() and not run.numpy else x for x in run.inputs]
    look = hooked(every, lambda _, given, __: viewed.extend(_viewed(*given[:1])))
    with look, hooked(layers, lambda *call: caught.append(call), with_kwargs=True):
        main = run.main(run.forward(inputs, grad=not run.numpy))
    if viewed:
        return viewed[0], ("steps and features are mixed by a reshape", viewed[0])
    if not caught:
        raise CannotTell("no nn.RNN, nn.GRU or nn.LSTM")
    if len(caught) == len(layers) and all(_one_step(*call) for call in caught):
        return "one step", ("a recurrent layer gets one step", f"an input of shape {tuple(caught[0][1][0].shape)}")
    module, _, _, (out, last) = caught[-1]
    if run.per_step or not module.bidirectional or not main.requires_grad:
        return "several steps; no bidirectional layer with one answer a row"
    return _both_directions(run, main, module, out, last[0] if isinstance(last, tuple) else last)


def _viewed(x=None):
    """The shapes, where a view or reshape stands for a transpose of a layer's input."""
    sizes = getattr(getattr(x, "grad_fn", None), "_saved_self_sym_sizes", ())
    if len(sizes) == 3 and 1 < sizes[1] != sizes[2] > 1 and tuple(x.shape) == (sizes[0], sizes[2], sizes[1]):
        yield f"view or reshape makes {tuple(x.shape)} of {tuple(sizes)}"


def _one_step(module, given, named, output):
    """Was the layer called with one step, and without a state?"""
    x = given[0] if given else named.get("input")
    with_state = len(given) > 1 and given[1] is not None or named.get("hx") is not None
    return isinstance(x, torch.Tensor) and x.ndim == 3 and x.shape[int(module.batch_first)] == 1 and not with_state


def _both_directions(run, main, module, out, last):
    """The outputs and last states of both directions that an answer a row reads: the reverse one ends at step 0."""
    data = out.data if isinstance(out, PackedSequence) else out
    grads = torch.autograd.grad(main.double().pow(2).sum() + main.sum(), (data, last), allow_unused=True)
    grad, of_last = (torch.zeros_like(t) if g is None else g for t, g in zip((data, last), grads, strict=True))
    H = data.shape[-1] // 2
    read = [bool(half.any() or state.any()) for half, state in zip(grad.split(H, -1), of_last[-2:], strict=True)]
    if any(read) and not all(read):
        came = f"of the last bidirectional layer only the {'forward' if read[0] else 'reverse'} direction is read"
        return "one direction", ("one direction of a bidirectional layer is not read", came)
    if of_last.any() or not grad.any():
        return "h_n is read"
    if isinstance(out, PackedSequence):
        grad, n = pad_packed_sequence(out._replace(data=grad), batch_first=True)
    else:
        grad = grad if module.batch_first else grad.transpose(0, 1)
        n = torch.full((len(grad),), grad.shape[1])
    back, ends = grad[..., H:].abs().sum(-1) > 0, torch.arange(grad.shape[1]) == n[:, None] - 1
    if grad.shape[1] > 1 and back.any() and not (back & ~ends).any() and not grad[:, 0].any():
        came = "of the reverse direction only the output at the last step is read, which has seen one step"
        return "the last step alone", ("the last output of a bidirectional layer is read", came)
    return "more than the last step is read"
