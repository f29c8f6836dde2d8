"""Measured here: numbers that are not finite, one batch twice, two batches one after the other."""

import torch

from lstmcourse.lab.checkup.graphs import Watch, graph, trainable
from lstmcourse.lab.checkup.reading import CannotTell, hooked, short


def finite(run):
    """The first place where a number is not finite."""
    for name, x in [("input", x) for x in run.inputs] + [("target", run.target)]:
        if isinstance(x, torch.Tensor) and x.is_floating_point() and not x.isfinite().all():
            came = f"{(~x.isfinite()).sum().item()} of {x.numel()} numbers of the {name}"
            return "not finite", ("NaN or Inf in the batch", came)
    for root in run.kept.roots:
        for name, weight in root.named_parameters():
            if not weight.isfinite().all():
                return "not finite", ("NaN or Inf in the weights", name)
    names = {module: name for root in run.kept.roots for name, module in root.named_modules()}
    first = []

    def look(module, given, output):
        output = run.main(output)
        if output is not None and not output.isfinite().all():
            first.append(f"first out of {names[module] or 'the model'} ({type(module).__name__})")

    for train in (False, True):
        with hooked(run.kept.modules, look):
            raw = run.forward(train=train, grad=train and not run.numpy)
        if not run.main(raw).isfinite().all():
            mode = "" if train else ", in evaluation mode"
            return "not finite", ("NaN or Inf in the output", (first[0] if first else "the output") + mode)
    return _finite_loss(run, raw)


def _finite_loss(run, raw):
    """The loss and its gradient, where a loss is known."""
    try:
        loss = run.loss(raw)
    except CannotTell:
        return "all finite"
    if not loss.isfinite():
        return "not finite", ("NaN or Inf in the loss", f"the loss is {loss.item()}, the output is finite")
    if loss.requires_grad:
        try:
            with torch.autograd.detect_anomaly():
                run.loss(run.forward(train=True, grad=True)).backward()
        except RuntimeError as error:
            if "nan values" in str(error):
                return "not finite", ("NaN or Inf in the gradient", short(error))
            raise CannotTell(f"the backward pass raised {short(error)}") from error
        if any(p.grad is not None and not p.grad.isfinite().all() for p in trainable(run)):
            return "not finite", ("NaN or Inf in the gradient", "of a weight, by overflow")
    return "all finite"


def repeatable(run):
    """Evaluation mode twice: with other random numbers, then with the attributes that the first call left."""
    with Watch() as watch:
        again = run.difference(run.base, run.out(seed=1)).max().item()
    if again > run.tolerance:
        state = torch.random.get_rng_state()
        run.forward(seed=None)
        if watch.drawn == 1 or torch.equal(state, torch.random.get_rng_state()):
            return f"differs by {again:.1e}, by single random numbers (teacher forcing?)"
        run.carries = True
        return "differs", ("random in evaluation mode", f"two calls differ by {again:.1e} of the largest output")
    run.forward()
    carried = run.difference(run.base, run.rows(run.main(run.forward(fresh=False)).detach()).double()).max().item()
    run.carries = carried > run.tolerance
    if run.carries and not run.per_step and run.one_class_a_row:
        came = "the same batch gives another output the second time, and its rows have one class each"
        return "the second call differs", ("the state of the batch before is kept", came)
    return "the second call goes on from a state that the model kept" if run.carries else "equal"


def twice(run):
    """Two batches one after the other, forward and backward."""
    cause = "graph kept from the batch before"
    if run.graph_in_batch:
        return "the batch's state has a graph", (cause, "the state in the batch still hangs on the graph that made it")
    sizes = []
    for n in range(2):
        loss = run.loss(run.forward(train=True, grad=True, fresh=n == 0))
        if not loss.requires_grad:
            raise CannotTell("the loss has no graph")
        sizes.append(len(graph(loss)))
        try:
            loss.backward()
        except RuntimeError as error:
            if n:
                return "the second backward pass fails", (cause, short(error))
            raise CannotTell(f"the backward pass raised {short(error)}") from error
    if sizes[1] > 1.5 * sizes[0]:
        return "the graph grows", (cause, f"{sizes[0]} nodes, then {sizes[1]}")
    return f"{sizes[0]} nodes in the graph, then {sizes[1]}"
