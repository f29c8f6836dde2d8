"""Measured here, by torchtest2: gradients, their size, the optimizer's parameters; and what isn't registered."""

import torch
import torchtest2

from lstmcourse.lab.checkup.graphs import graph, persistent_leaves
from lstmcourse.lab.checkup.reading import CannotTell


class _Adapter(torch.nn.Module):
    """The run as a module, as torchtest2 takes it; its parameters are the model's."""

    def __init__(self, run):
        super().__init__()
        self.run = [run]
        self.parts = torch.nn.ModuleList(run.kept.roots[:1] if run.module is not None else run.kept.roots)

    def forward(self, *inputs):
        run = self.run[0]
        return run.forward(list(inputs), train=self.training, grad=torch.is_grad_enabled(), seed=None)


def gradients(run):
    """torchtest2 on gradient flow, size and the optimizer; then leaves that no module has registered."""
    if run.numpy:
        raise CannotTell("NumPy has no autograd: use lstmcourse.gradcheck")
    raw = run.forward(train=True, grad=True)
    own = [p for root in run.kept.roots for p in root.parameters()]
    hidden = [t for t in persistent_leaves(run) if all(t is not p for p in own)]
    held = None if run.optimizer is None else {id(p) for g in run.optimizer.param_groups for p in g["params"]}
    causes = []
    loss = run.loss(raw)
    if own and not any(p.requires_grad for p in own) and not hidden:
        return "nothing is trained", [
            ("no parameter is trained", f"all {len(own)} parameters have requires_grad=False")
        ]
    if not loss.requires_grad or not any(hasattr(node, "variable") for node in graph(loss)):
        return "none", [("the loss is cut off from the weights", "the loss has no graph that leads to a weight")]
    if hidden and (own and held is None or held is not None and any(id(t) not in held for t in hidden)):
        shapes = ", ".join(str(tuple(t.shape)) for t in hidden[:3])
        causes.append(
            (
                "a layer isn't registered",
                f"{len(hidden)} weights are used that model.parameters() doesn't hold, of shape {shapes}",
            )
        )
    if not own:
        return f"loss {loss.item():.3g}", causes
    inputs = tuple(
        0.1 * torch.randn_like(x) if i and x.is_floating_point() and not x.any() else x
        for i, x in enumerate(run.inputs)
    )  # with a state of zeros W_hh has no gradient
    report = torchtest2.check_model(
        _Adapter(run),
        inputs,
        run.target,
        loss_fn=lambda raw, *_: run.loss(raw),
        optimizer=run.optimizer,
        skip=[
            check
            for check in torchtest2.CHECKS
            if check not in ("forward", "loss", "gradient_flow", "gradient_magnitude", "optimizer_coverage")
        ],
    )
    flow, size, coverage = (report[name] for name in ("gradient_flow", "gradient_magnitude", "optimizer_coverage"))
    dead = [*flow.details.get("no_grad", ()), *flow.details.get("zero_grad", ())]
    dead = [name.removeprefix("parts.0.") for name in dead if run.T != 1 or "hh" not in name]
    if dead:
        causes.append(("parameters get no gradient", f"{', '.join(dead[:4])}{' …' if len(dead) > 4 else ''}"))
    if coverage.status is torchtest2.Status.FAIL:
        names = [n.removeprefix("parts.0.") for n in coverage.details["missing"]]
        causes.append(("parameters are missing in the optimizer", ", ".join(names[:4])))
    if size.status is torchtest2.Status.WARN:
        causes.append(("the gradient explodes", f"total norm {size.details['total_norm']:.3g}"))
    frozen = _frozen_between(run)
    if frozen:
        causes.append(("a frozen layer between trained ones", frozen))
    norm = size.details.get("total_norm", 0.0)
    return f"norm of the gradient {norm:.3g}; {flow.message.split(':')[0]}", causes


def _frozen_between(run):
    """The name of a frozen parameter that comes after a trained one, by the order of registration."""
    if run.module is None:
        return ""
    trained = False
    for name, p in run.module.named_parameters():
        if p.requires_grad and p.ndim >= 2:
            trained = True
        elif trained and not p.requires_grad and p.ndim >= 2:
            owner = run.module.get_submodule(name.rpartition(".")[0])
            if not isinstance(owner, torch.nn.Embedding) and "pos" not in name:
                return f"{name} has requires_grad=False, and layers before it are trained"
    return ""
