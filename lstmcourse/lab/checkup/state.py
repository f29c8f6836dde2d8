"""Measured here: numbers that are not finite, one batch twice, two batches one after the other."""

import torch

from lstmcourse.lab.checkup.graphs import graph, trainable
from lstmcourse.lab.checkup.reading import CannotTell, short


def finite(run):
    """The first place where a number is not finite."""
    tensors = [("input", x) for x in run.inputs] + [("target", run.target)]
    for name, x in tensors:
        if isinstance(x, torch.Tensor) and x.is_floating_point() and not x.isfinite().all():
            count = (~x.isfinite()).sum().item()
            return "not finite", [("NaN or Inf in the batch", f"{count} of {x.numel()} numbers of the {name}")]
    for module in run.kept.roots:
        for name, weight in module.named_parameters():
            if not weight.isfinite().all():
                return "not finite", [("NaN or Inf in the weights", name)]
    first = []

    def look(module, _, output, name):
        output = run.main(output)
        if output is not None and not output.isfinite().all() and not first:
            first.append(f"first out of {name or 'the model'} ({type(module).__name__})")

    hooks = [
        module.register_forward_hook(lambda m, i, o, name=name: look(m, i, o, name))
        for root in run.kept.roots
        for name, module in root.named_modules()
    ]
    try:
        raw = run.forward(train=True, grad=not run.numpy)
    finally:
        for hook in hooks:
            hook.remove()
    if not run.main(raw).isfinite().all():
        return "not finite", [("NaN or Inf in the output", first[0] if first else "the output")]
    if run.loss_fn is None and run.target is None:
        return "all finite", []
    loss = run.loss(raw)
    if not loss.isfinite():
        return "not finite", [("NaN or Inf in the loss", f"the loss is {loss.item()}, the output is finite")]
    if loss.requires_grad:
        try:
            with torch.autograd.detect_anomaly():
                run.loss(run.forward(train=True, grad=True)).backward()
        except RuntimeError as error:
            if "nan values" in str(error):
                return "not finite", [("NaN or Inf in the gradient", short(error))]
            raise CannotTell(f"the backward pass raised {short(error)}") from error
        if any(p.grad is not None and not p.grad.isfinite().all() for p in trainable(run)):
            return "not finite", [("NaN or Inf in the gradient", "of a weight, by overflow")]
    return "all finite", []


def repeatable(run):
    """Evaluation mode twice: with other random numbers, then with the attributes that the first call left."""
    again = run.difference(run.base, run.out(seed=1)).max().item()
    if again > run.tolerance:
        state = torch.random.get_rng_state()
        run.forward(seed=None)
        if torch.equal(state, torch.random.get_rng_state()):
            return f"differs by {again:.1e}, by Python's or NumPy's random numbers (teacher forcing?)", []
        run.carries = True
        return "differs", [("random in evaluation mode", f"two calls differ by {again:.1e} of the largest output")]
    run.forward()
    carried = run.difference(run.base, run.rows(run.main(run.forward(fresh=False)).detach()).double()).max().item()
    run.carries = carried > run.tolerance
    if run.carries and not run.per_step and run._y() is not None and run.target_rows.ndim == 1:
        return "the second call differs", [
            (
                "the state of the batch before is kept",
                "the same batch gives another output "
                "the second time, and its rows have one answer each: they are whole sequences",
            )
        ]
    return ("the second call goes on from a state that the model kept" if run.carries else "equal"), []


def twice(run):
    """Two batches one after the other, forward and backward."""
    if run.graph_in_batch:
        return "the batch's state has a graph", [
            ("graph kept from the batch before", "the state in the batch still hangs on the graph that made it")
        ]
    sizes = []
    for n in range(2):
        raw = run.forward(train=True, grad=True, fresh=n == 0)
        loss = run.loss(raw)
        if not loss.requires_grad:
            raise CannotTell("the loss has no graph")
        sizes.append(len(graph(loss)))
        try:
            loss.backward()
        except RuntimeError as error:
            if n:
                return "the second backward pass fails", [("graph kept from the batch before", short(error))]
            raise CannotTell(f"the backward pass raised {short(error)}") from error
    if sizes[1] > 1.5 * sizes[0]:
        return "the graph grows", [("graph kept from the batch before", f"{sizes[0]} nodes, then {sizes[1]}")]
    return f"{sizes[0]} nodes in the graph, then {sizes[1]}", []
