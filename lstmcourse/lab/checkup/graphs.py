"""The nodes of PyTorch's autograd graph behind a loss, what they saved, and the operations that have no node."""

import torch
from torch.overrides import TorchFunctionMode

from lstmcourse.lab.checkup.reading import CannotTell

SHAPE_ONLY = ("View", "Reshape", "UnsafeView", "Squeeze", "Unsqueeze", "Transpose", "Permute", "T", "Select", "Slice",
              "Clone", "Expand", "Stack", "Cat", "Unbind", "Index", "Copy", "CopySlices", "Alias", "ToCopy", "Gather")


def graph(tensor, stop=200_000):
    """The nodes of the autograd graph behind a tensor."""
    nodes, queue = {}, [tensor.grad_fn]
    while queue and len(nodes) < stop:
        node = queue.pop()
        if node is not None and node not in nodes:
            nodes[node] = True
            queue += [following for following, _ in node.next_functions]
    return list(nodes)


def kind(node):
    """The name of a node without its Backward0."""
    return node.name().split("::")[-1].split("Backward")[0]


def axis(node):
    """The axis of a (log-)softmax, counted from the front."""
    dim = node._saved_dim
    return (dim - 2**64 if dim > 2**63 else dim) % max(node._saved_result.ndim, 1)


def behind(node):
    """The first nodes behind this one that are not a change of shape alone."""
    found, queue, seen = [], [following for following, _ in node.next_functions], set()
    while queue:
        node = queue.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        if kind(node) in SHAPE_ONLY:
            queue += [following for following, _ in node.next_functions]
        else:
            found.append(node)
    return found


def run_graph(run):
    """Nodes behind the loss (or the output) in training mode; the gates of recurrent layers are nodes of their own."""
    if "graph_nodes" not in vars(run):
        if run.numpy:
            raise CannotTell("NumPy has no autograd graph")
        with torch.backends.mkldnn.flags(enabled=False):
            raw = run.forward(train=True, grad=True)
        try:
            end = run.loss(raw)
        except (CannotTell, RuntimeError):
            end = run.main(raw)
        run.graph_end = end, raw
        run.graph_nodes = graph(end if end.requires_grad else run.main(raw))
    return run.graph_nodes


def persistent_leaves(run):
    """Leaves of the graph that need a gradient and are the same tensors in two calls."""
    if "leaves_kept" not in vars(run):
        sets = []
        for _ in range(2):
            tensor = run.main(run.forward(train=True, grad=not run.numpy))
            sets.append([node.variable for node in graph(tensor) if hasattr(node, "variable")])
        again = {id(t) for t in sets[1]}
        run.leaves_kept = [t for t in sets[0] if id(t) in again]
        run.kept.keep(run.leaves_kept)
    return run.leaves_kept


def trainable(run):
    """The parameters that are trained: the modules', and the leaves of the graph that a second call has, too."""
    own = [p for root in run.kept.roots for p in root.parameters() if p.requires_grad]
    return list(dict.fromkeys(own + persistent_leaves(run)))


STEPS = ("argmax", "argmin", "round", "sign", "floor", "ceil", "trunc", "gt", "lt", "ge", "le", "eq", "ne", "argsort")
DRAWS = ("rand", "randn", "rand_like", "randn_like", "normal", "normal_", "uniform_", "bernoulli", "dropout")


class Watch(TorchFunctionMode):
    """While it is on: `cuts`, operations that hand no gradient back; `drawn`, random numbers at a time; `softmax`."""

    def __init__(self):
        super().__init__()
        self.cuts, self.drawn, self.softmax = {}, 0, []  # softmax: the scores and the axis of each

    def __torch_function__(self, function, types, args=(), kwargs=None):
        out = function(*args, **(kwargs or {}))
        name = getattr(function, "__name__", "")
        if name in DRAWS and isinstance(out, torch.Tensor):
            self.drawn = max(self.drawn, out.numel())
        if name == "softmax":
            dim = (kwargs or {}).get("dim", args[1] if len(args) > 1 else None)
            self.softmax += [(args[0], dim)] if args and isinstance(dim, int) else []
        if any(isinstance(a, torch.Tensor) and a.requires_grad for a in args):
            if not torch.is_grad_enabled():
                self.cuts["no_grad"] = False
            elif function == torch.Tensor.data.__get__:
                self.cuts[".data"] = False
            elif name in ("item", "tolist", "numpy", "detach", "detach_", "tensor", "as_tensor"):
                self.cuts[name] = False
            elif name.strip("_") in STEPS:
                self.cuts[name.strip("_")] = True
        return out


def watched(run):
    """A training step under `Watch`: (its cuts, whether all of them are functions without a slope)."""
    if "cuts" not in vars(run):
        with Watch() as watch:
            raw = run.forward(train=True, grad=True)
            run.loss(raw)
        run.cuts = watch.cuts
    return ", ".join(run.cuts), bool(run.cuts) and all(run.cuts.values())
