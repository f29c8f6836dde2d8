"""What is wrong with this model and this batch? Measurements that take seconds, and the causes they point to.

    print(checkup(model, (x, y), loss=nn.CrossEntropyLoss()))

Gradient flow, the optimizer's parameters and the size of the gradients are torchtest2's checks. Time, padding, state,
loss against output, first loss, gates and positions are measured here: by changing an input and looking at what
changes, and by reading the nodes of PyTorch's own graph. `checkup_run` calls the model, and leaves it as it was.
"""

import math
import time
import warnings
from typing import NamedTuple

import torch
import torchtest2

from lstmcourse.lab.checkup_run import CannotTell, Refused, Run, _short, roots_of, untouched

# Every cause, in the order of likelihood in which findings are named: cause, what to look at.
CAUSES = {
    "NaN or Inf in the batch": "clean or fill the missing values before training: torch.isfinite(x).all()",
    "NaN or Inf in the weights": "start from new weights; a NaN in one step makes all weights NaN in the next",
    "NaN or Inf in the output": "the first module that returns it: a division by 0, log(0), or a softmax over a row "
                                "that is masked as a whole",
    "NaN or Inf in the loss": "log(0) or 0/0 in the loss: use the loss that takes logits, or add a small number inside",
    "NaN or Inf in the gradient": "the named operation: sqrt, norm or log at 0 has an infinite slope",
    "graph kept from the batch before": "state = state.detach() between batches; retain_graph=True only hides it",
    "the loss is cut off from the weights": "detach, .item(), .data, no_grad, argmax or NumPy between weights and loss",
    "no parameter is trained": "requires_grad of the parameters",
    "a layer isn't registered": "layers in a plain list or dict: use nn.ModuleList, nn.ModuleDict or nn.Parameter",
    "parameters are missing in the optimizer": "build the optimizer after the last layer, from model.parameters()",
    "the batch axis is taken for time": "batch_first=True, and the axis of every reshape and softmax; "
                                        "if your batch has time first, pass batch_axis=1",
    "rows are mixed by a reshape": "view or reshape where transpose (or permute) is meant; h_n has the layers first",
    "rows come back in another order": "undo the sorting: enforce_sorted=False, or the inverse permutation",
    "rows depend on each other": "a mean, softmax or normalization over the batch axis",
    "a row's place in the batch matters": "positions added along the batch axis, or a state that belongs to a place",
    "the output sees the target": "the mask (off by one?), a bidirectional layer, or targets that aren't shifted",
    "the target is in the input": "the window's end: the target must lie after the last step of the input",
    "an output depends on later steps": "the mask (off by one?), a bidirectional layer, or a mean over time",
    "output and target are broadcast": "one shape for both: output.squeeze(-1), or targets.unsqueeze(-1)",
    "output and target are out of line": "view where transpose is meant, or one of the two flattened time first",
    "softmax before a loss that takes logits": "hand over the logits: this loss applies softmax itself",
    "sigmoid before a loss that takes logits": "hand over the logits: this loss applies its own sigmoid or softmax",
    "the loss wants log-probabilities": "log_softmax before NLLLoss, or CrossEntropyLoss on the logits",
    "an activation limits the logits": "no ReLU or tanh after the last layer",
    "the output can't reach the target": "the last activation's range against that of the target",
    "softmax over the wrong axis": "dim of the (log-)softmax: the axis of the classes",
    "a real class is ignored by the loss": "ignore_index is the index of a class that occurs; give padding its own",
    "padding counts in the loss": "ignore_index, or a mask on the loss",
    "padding leaks into the output": "lengths: pack_padded_sequence, the last real step, a mask in attention and means",
    "the state is read at padding": "the state at the last real step (h_n of a packed sequence, or gather by lengths)",
    "token 0 is real, and padding_idx at once": "keep an index for padding that no token has",
    "the last output of a bidirectional layer is read": "h_n of both directions, or output[:, -1, :H] with output[:, 0, H:]",
    "only the first step is read": "output[:, -1], or h_n: an output of the first step has read one step",
    "the state isn't carried from step to step": "hand the state on: h = cell(x_t, h)",
    "the order of the steps is not seen": "positional encodings: attention alone doesn't see the order",
    "units are dead": "the bias, the learning rate, or another activation than ReLU",
    "initial weights are all equal": "random initial weights: equal units get equal gradients and stay equal",
    "initial weights are all zero": "random initial weights: with zeros no gradient comes through",
    "the output doesn't depend on the input": "a variable that is overwritten, or an input that is not used",
    "the gradient is cut between steps": "detach, .data or new tensors inside the loop over steps",
    "random in evaluation mode": "F.dropout(..., training=self.training), nn.Dropout; noise or a random initial state",
    "the state of the batch before is kept": "rows that are new sequences start from zeros: reset the state",
    "parameters get no gradient": "layers that are made and not used, an output that isn't read, a detach",
    "a frozen layer between trained ones": "requires_grad of its parameters",
    "the input's scale": "standardize the features: (x - mean) / std, with the training set's numbers",
    "initial weights are too large": "the initialization: numbers around 1/sqrt(fan-in)",
    "units are saturated": "the scale of inputs and of initial weights",
    "ReLU in an LSTM": "tanh: with ReLU the cell state and the output have no bound",
    "the target's scale": "standardize the target, and transform the forecasts back",
    "the first loss is not the guess's": "the scale of the last layer's initial weights, and of its input",
    "dropout on the output": "dropout before the last layer, not after it",
    "dropout is too strong": "p is the probability to drop, not to keep",
    "the learning rate is too high": "ten times less",
    "the learning rate is too low": "ten times more, and again",
    "the gradient explodes": "clip_grad_norm_, smaller initial weights",
    "one class is nearly all": "class weights, and a score that isn't accuracy",
    "one batch isn't learned by heart": "the learning rate, then how inputs and targets belong together",
}
ORDER = list(CAUSES)


class Row(NamedTuple):
    """One line of the table."""

    measured: str
    came: str
    sound: str
    causes: tuple = ()
    told: bool = True


class Finding(NamedTuple):
    """A cause, what points to it, and what to look at."""

    cause: str
    measured: str
    came: str
    sound: str
    look: str


class Checkup(NamedTuple):
    """What `checkup` returns: prints as text in a terminal and as a table in a notebook."""

    model: str
    read_as: str
    rows: tuple = ()
    refusal: str = ""

    @property
    def findings(self):
        """At most three, in the order of likelihood; what a NaN or a cut graph explains is not named beside it."""
        found = {cause: Finding(cause, row.measured, came, row.sound, CAUSES[cause])
                 for row in reversed(self.rows) for cause, came in row.causes}
        found = [found[cause] for cause in ORDER if cause in found]
        return tuple(found[:1] if found and found[0].cause.startswith("NaN") else found[:3])

    @property
    def cannot_tell(self):
        """What was not measured, and why."""
        why = {}
        for row in self.rows:
            if not row.told:
                why.setdefault(row.came, []).append(row.measured)
        return tuple(f"{', '.join(measured)}: {came}" for came, measured in why.items()) + UNKNOWABLE

    def __str__(self):
        if self.refusal:
            return f"checkup of {self.model}: {self.refusal}"
        lines = [f"checkup of {self.model}, read as {self.read_as}", ""]
        for n, f in enumerate(self.findings, 1):
            lines += [f"{n}. {f.cause}", f"   measured: {f.measured}: {f.came}", f"   a sound model: {f.sound}",
                      f"   look at: {f.look}"]
        lines += [*([] if self.findings else ["Nothing to name."]), ""]
        told = [row for row in self.rows if row.told]
        width = max((len(row.measured) for row in told), default=0)
        lines += [f"{'!' if row.causes else ' '} {row.measured:<{width}}  {row.came}" for row in told]
        return "\n".join([*lines, "", "It can't tell:", *(f"  {line}" for line in self.cannot_tell)])

    def __repr__(self):
        return str(self)

    def _repr_markdown_(self):
        if self.refusal:
            return f"**checkup of {self.model}**: {_cell(self.refusal)}"
        lines = [f"**checkup of {self.model}**, read as {_cell(self.read_as)}", ""]
        lines += [f"{n}. **{f.cause}**: {_cell(f.came)}. Look at: {_cell(f.look)}" for n, f in enumerate(self.findings, 1)]
        lines += [*([] if self.findings else ["Nothing to name."]), "",
                  "| measured | what came | a sound model gives | look at |", "|---|---|---|---|"]
        for row in self.rows:
            if row.told:
                look = "; ".join(CAUSES[cause] for cause, _ in row.causes)
                lines.append("| " + " | ".join(map(_cell, (row.measured, row.came, row.sound, look))) + " |")
        return "\n".join([*lines, "", "It can't tell:", "", *(f"- {_cell(line)}" for line in self.cannot_tell)])


UNKNOWABLE = (
    "whether labels belong to their inputs: one batch is learned by heart with any labels",
    "whether the next batch goes on where this one ended, and what the training loop does with it",
)


def _cell(text):
    return text.replace("|", "\\|").replace("\n", " ").replace("<", "&lt;")


def checkup(model, batch, loss=None, optimizer=None, call=None, lengths=None, causal=None, batch_axis=None):
    """Measure a model on one batch, and name at most three causes of trouble. The model stays as it was.

    model       a torch.nn.Module, or any function of tensors or of NumPy arrays
    batch       (inputs, targets), (input, input, …, targets), or a dict with "labels"; inputs are tensors, tuples,
                dicts, packed sequences, with states and lengths among them
    loss        loss(output, targets) -> one number; None: the model's own, else cross-entropy or squared error
    optimizer   the one you train with: the learning rate and the parameters it holds are measured, too
    call        call(model, inputs) -> output, for a model that isn't called as model(*inputs)
    lengths     (B,) real steps of each row; None: read from the batch, where it shows them
    causal      True: no output may depend on later steps; None: where the target is a later input
    batch_axis  1 where time comes first; None: 0, unless the batch shows otherwise

    Returns a `Checkup`: its findings, its rows, what it can't tell; or its refusal, one sentence.
    """
    name = type(model).__name__ if isinstance(model, torch.nn.Module) else getattr(model, "__name__", str(type(model)))
    with untouched(roots_of(model, call, loss), optimizer) as kept:
        try:
            run = Run(kept, model, batch, loss, call, lengths, batch_axis)
            torch.optim.SGD([torch.zeros(1, requires_grad=True)])       # PyTorch loads its compiler here, once
            run.optimizer, run.causal, run.started = optimizer, causal, time.process_time()
            rows = [row for measure in MEASUREMENTS for row in _measured(measure, run)]
        except Refused as refused:
            return Checkup(name, "", refusal=str(refused))
    return Checkup(name, _read_as(run), tuple(rows))


BUDGET = 6.0                # seconds after which only cheap measurements start


def _measured(measure, run):
    """The rows of one measurement; an exception inside it becomes "can't tell"."""
    function, label, sound = measure
    try:
        if time.process_time() - run.started > BUDGET:
            raise CannotTell("the model is too slow for one more measurement: try a smaller batch")
        came, causes = function(run)
    except Refused:
        raise
    except CannotTell as reason:
        return [Row(label, str(reason), sound, told=False)]
    except Exception as error:
        return [Row(label, f"it raised {_short(error)}", sound, told=False)]
    finally:
        run.kept.put_back_attributes()
        run.kept.put_back_numbers()
    return [Row(label, came, sound, tuple(causes))]


def _read_as(run):
    parts = [f"{leaf.role} {tuple(x.shape)}" for x, leaf in zip(run.inputs, run.leaves, strict=True)]
    text = f"{run.B} rows ({'time first' if run.batch_axis else 'batch first'}), inputs: {', '.join(parts)}"
    if run.lengths is not None:
        text += f", lengths {run.lengths.min()} to {run.lengths.max()}" + (" (from the ends of the rows)" if run.guessed else "")
    return text + f", output {tuple(run.main(run.raw).shape)}"


# ---- numbers -------------------------------------------------------------------------------------------------------

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
    hooks = [module.register_forward_hook(lambda m, i, o, name=name: look(m, i, o, name))
             for root in run.kept.roots for name, module in root.named_modules()]
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
                return "not finite", [("NaN or Inf in the gradient", _short(error))]
            raise CannotTell(f"the backward pass raised {_short(error)}") from error
        if any(p.grad is not None and not p.grad.isfinite().all() for p in trainable(run)):
            return "not finite", [("NaN or Inf in the gradient", "of a weight, by overflow")]
    return "all finite", []


def trainable(run):
    """The parameters that are trained: the modules', and the leaves of the graph that a second call has, too."""
    own = [p for root in run.kept.roots for p in root.parameters() if p.requires_grad]
    return list(dict.fromkeys(own + _persistent_leaves(run)))


def _persistent_leaves(run):
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


def graph(tensor, stop=200_000):
    """The nodes of the autograd graph behind a tensor."""
    nodes, queue = {}, [tensor.grad_fn]
    while queue and len(nodes) < stop:
        node = queue.pop()
        if node is not None and node not in nodes:
            nodes[node] = True
            queue += [following for following, _ in node.next_functions]
    return list(nodes)


SHAPE_ONLY = ("View", "Reshape", "UnsafeView", "Squeeze", "Unsqueeze", "Transpose", "Permute", "T", "Select", "Slice", "Clone",
              "Expand", "Stack", "Cat", "Unbind", "Index", "Copy", "CopySlices", "Alias", "ToCopy", "Gather", "Mt", "MT")


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


def kind(node):
    """The name of a node without its Backward0."""
    return node.name().split("::")[-1].split("Backward")[0]


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
        return "the second call differs", [("the state of the batch before is kept", "the same batch gives another output "
                                            "the second time, and its rows have one answer each: they are whole sequences")]
    return ("the second call goes on from a state that the model kept" if run.carries else "equal"), []


def twice(run):
    """Two batches one after the other, forward and backward."""
    if run.graph_in_batch:
        return "the batch's state has a graph", [("graph kept from the batch before",
                                                  "the state in the batch still hangs on the graph that made it")]
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
                return "the second backward pass fails", [("graph kept from the batch before", _short(error))]
            raise CannotTell(f"the backward pass raised {_short(error)}") from error
    if sizes[1] > 1.5 * sizes[0]:
        return "the graph grows", [("graph kept from the batch before", f"{sizes[0]} nodes, then {sizes[1]}")]
    return f"{sizes[0]} nodes in the graph, then {sizes[1]}", []


# ---- gradients -----------------------------------------------------------------------------------------------------

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
    hidden = [t for t in _persistent_leaves(run) if all(t is not p for p in own)]
    held = None if run.optimizer is None else {id(p) for g in run.optimizer.param_groups for p in g["params"]}
    causes = []
    loss = run.loss(raw)
    if own and not any(p.requires_grad for p in own) and not hidden:
        return "nothing is trained", [("no parameter is trained", f"all {len(own)} parameters have requires_grad=False")]
    if not loss.requires_grad or not any(hasattr(node, "variable") for node in graph(loss)):
        return "none", [("the loss is cut off from the weights", "the loss has no graph that leads to a weight")]
    if hidden and (own and held is None or held is not None and any(id(t) not in held for t in hidden)):
        shapes = ", ".join(str(tuple(t.shape)) for t in hidden[:3])
        causes.append(("a layer isn't registered", f"{len(hidden)} weights are used that model.parameters() "
                                                   f"doesn't hold, of shape {shapes}"))
    if not own:
        return f"loss {loss.item():.3g}", causes
    inputs = tuple(0.1 * torch.randn_like(x) if i and x.is_floating_point() and not x.any() else x
                   for i, x in enumerate(run.inputs))                     # with a state of zeros W_hh has no gradient
    report = torchtest2.check_model(
        _Adapter(run), inputs, run.target, loss_fn=lambda raw, *_: run.loss(raw), optimizer=run.optimizer,
        skip=[check for check in torchtest2.CHECKS if check not in (
            "forward", "loss", "gradient_flow", "gradient_magnitude", "optimizer_coverage")])
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


# ---- rows ----------------------------------------------------------------------------------------------------------

def rows_apart(run):
    """Change one row, and see whose outputs change."""
    B = run.B
    if B < 2:
        raise CannotTell("needs a batch of two rows or more")
    run.base                                                          # noqa: B018 - raises if the output has no rows
    hit = torch.stack([_rows_hit(run, row) for row in (0, B // 2, B - 1)])
    others = [int(h.sum()) - int(h[row]) for h, row in zip(hit, (0, B // 2, B - 1), strict=True)]
    if not any(others):
        run.apart = True
        if not any(h[row] for h, row in zip(hit, (0, B // 2, B - 1), strict=True)) and not _hit_without_zeros(run):
            return "no output changes", [("the output doesn't depend on the input", "no output changes with its row")]
        return "each output changes with its own row alone", []
    run.apart = False
    if run.leaves[0].time is None and run.inputs[0].ndim == 1:
        raise CannotTell("the input has one axis: one sequence without a batch, or one number a row?")
    came = f"rows whose output changes with row 0: {others[0]} others, with the last: {others[2]} others"
    if all(int(h.sum()) == 1 for h in hit):
        return came, [("rows come back in another order", f"row 0 changes output {hit[0].nonzero()[0].item()}")]
    return came, [(_why_mixed(run, hit), came)]


def _hit_without_zeros(run):
    """Does a row reach its output once weights that are all zero (a last layer that starts so) are not?"""
    for root in run.kept.roots:
        for p in root.parameters():
            if not p.detach().any():
                p.data.normal_(std=0.1)
    return bool((run.out(run.changed(0)) - run.out()).any())


def _rows_hit(run, row, step=None):
    change = run.difference(run.base, run.out(run.changed(row, step)))
    return (change > run.tolerance).reshape(run.B, -1).any(1)


def _why_mixed(run, hit):
    """Whether time and batch are exchanged, a reshape cuts across, or a mean joins the rows."""
    T = run.T
    if T is None or T < 2:
        return "rows depend on each other"
    if _layer_over_rows(run):
        return "the batch axis is taken for time"
    joined = bool(hit.all())
    one = run.difference(run.base, run.out(run.changed(0, 0))) > run.tolerance
    last = run.difference(run.base, run.out(run.changed(0, T - 1))) > run.tolerance
    if run.per_step and one.ndim == 2 and one.shape[1] == T:
        if one.any() and not one[:, 1:].any() and not last[:, :-1].any():
            return "the batch axis is taken for time"
    elif not run.per_step and not one.any() and last.any() and _like_a_sequence(hit, run.B):
        return "the batch axis is taken for time"
    elif not run.per_step and run.B == T and joined:
        steps = [(run.difference(run.base, run.out(run.changed(0, step))) > run.tolerance) for step in (0, T // 2)]
        if all(int(s.sum()) == 1 and s[at] for s, at in zip(steps, (0, T // 2), strict=True)):
            return "the batch axis is taken for time"
    if _like_a_sequence(hit, run.B) and not joined and run.B > 2:
        return "the batch axis is taken for time"
    if one.ndim == 2 and (one[1:] != one[1]).any():
        return "rows are mixed by a reshape"                              # other steps in each of the other rows
    return "rows depend on each other" if joined else "rows are mixed by a reshape"


def _layer_over_rows(run):
    """Does a recurrent layer or an attention get the rows of the batch where it takes steps?"""
    found = []

    def look(layer, given, named, _):
        x = given[0] if given else next(iter(named.values()))
        if isinstance(x, torch.Tensor) and x.ndim == 3 and run.B != run.T:
            found.append(x.shape[:2] == ((run.T, run.B) if layer.batch_first else (run.B, run.T)))
    hooks = [m.register_forward_hook(look, with_kwargs=True) for m in run.kept.modules
             if isinstance(m, (torch.nn.RNNBase, torch.nn.MultiheadAttention))]
    try:
        run.forward(train=True)
    finally:
        for hook in hooks:
            hook.remove()
    return any(found)


def _like_a_sequence(hit, B):
    """Row 0 changes all rows, the last one itself alone: what a recurrent layer over the rows gives."""
    return bool(hit[0].sum() > max(1, B // 2) and hit[2].sum() == 1 and hit[2][-1])


def place_in_batch(run):
    """The rows in another order: the outputs should follow."""
    _need_apart(run)
    new = [x if leaf.batch is None else x.roll(1, leaf.batch) for x, leaf in zip(run.inputs, run.leaves, strict=True)]
    lengths = None if run.lengths is None else run.lengths.roll(1)
    change = run.difference(run.base, run.out(new, lengths=lengths).roll(-1, 0)).max().item()
    if change > 10 * run.tolerance:
        return f"differs by {change:.1e}", [("a row's place in the batch matters", f"in another order of the rows the "
                                             f"outputs differ by {change:.1e} of the largest")]
    return "the outputs follow", []


def _need_apart(run):
    if not getattr(run, "apart", False):
        raise CannotTell("the rows are not apart, or were not measured")
    if getattr(run, "carries", False):
        raise CannotTell("the model keeps a state of its own, or is random, and each place in the batch has its own")


def alone(run):
    """A short row alone, without padding, against the same row in the batch."""
    _need_apart(run)
    if run.lengths is None or run.lengths.min() == run.T:
        raise CannotTell("no padding is known: pass lengths=")
    row = int(run.lengths.argmin())
    n = int(run.lengths[row])
    inputs = []
    for i, (x, leaf) in enumerate(zip(run.inputs, run.leaves, strict=True)):
        if leaf.batch is None:
            inputs.append(x)
            continue
        x = x.narrow(leaf.batch, row, 1)
        if leaf.role == "lengths":
            inputs.append(x if i == 0 or x.item() != run.lengths[row] else torch.full_like(x, n))
        elif leaf.time is not None and x.shape[leaf.time] == run.T:
            inputs.append(x.narrow(leaf.time, 0 if run.side == "right" else run.T - n, n).contiguous())
        else:
            inputs.append(x.contiguous())
    batch = run.base[row]
    single = run.main(run.forward(inputs, lengths=torch.tensor([n]))).detach().double()
    if run.per_step and batch.ndim and batch.shape[0] == run.T:
        batch = batch[:n] if run.side == "right" else batch[run.T - n:]
    if single.numel() > batch.numel() and single.numel() % n == 0 and run.per_step:
        raise CannotTell("the row alone gives more steps than it has")
    if single.numel() != batch.numel():
        raise CannotTell(f"the row alone gives an output of shape {tuple(single.shape)}")
    size = run.base.abs().max().item()
    change = (single.reshape(-1) - batch.reshape(-1)).abs().max().item() / max(size, 1e-30)
    if change <= 30 * run.tolerance:
        return f"row {row} alone gives the same output", []
    came = f"row {row} ({n} of {run.T} steps) alone differs from itself in the batch by {change:.1e} of the largest output"
    if not run.per_step and not _rows_hit(run, row)[row]:
        return came, [("the state is read at padding", f"{came}; its real steps don't reach the output at all")]
    return came, [("padding leaks into the output", came)]


# ---- steps ---------------------------------------------------------------------------------------------------------

def later_steps(run):
    """Where the target is a later input: change that input, and see whether the output that is to foretell it changes."""
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
                found.append(("an output depends on later steps", f"steps from {at} on change output {at - 1} and before"))
                continue
        if run.causal is False or run._y() is None or run.target_rows.ndim < 2 or run.target_rows.shape[1] != T:
            continue
        ahead = _ahead(view, run.target_rows)
        if ahead is None:
            continue
        ahead += _loss_shift(run)
        if ahead < 0:
            continue
        steps = [step for step in (1, T // 2, T - 1 - max(ahead, 0)) if 0 <= step and step + ahead < T]
        leak, sees_later = [], False
        for step in dict.fromkeys(steps):
            change = run.difference(run.base, run.out(run.changed(step=step + ahead, which=i))) > run.tolerance
            leak.append(bool(change[:, step].any()))
            sees_later |= bool(change[:, :step].any())
        if ahead == 0 and sees_later:
            continue                                                   # an autoencoder may see what it is to give back
        seen.append(any(leak))
        if any(leak):
            what = f"the target of step t is the input of step t + {ahead}" if ahead else "the target is the input itself"
            found.append(("the output sees the target", f"{what}, and output t changes with it"))
    if seen and not all(seen):                                         # one input is the decoder's, the other the source
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
            a, b = column[:, ahead:], y[:, :T - ahead]
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
        pairs = _pairs(run, [(0, run.base.shape[1] // 2)])
    except CannotTell:
        return 0
    (_, t), where = pairs[0]
    return t - where[0][1] if len(where) == 1 and abs(t - where[0][1]) <= 1 else 0


def reads_steps(run):
    """Which steps reach the output of their row."""
    _need_apart(run)
    T = run.T
    if T is None or T < 3:
        raise CannotTell("the input has no steps")
    row = 0 if run.lengths is None else int(run.lengths.argmax())
    n = T if run.lengths is None else int(run.lengths[row])
    first = 0 if run.side == "right" else T - n
    hits = {at: run.difference(run.base, run.out(run.changed(row, first + at)))[row] > 0 for at in (0, 1, n // 2, n - 2, n - 1)}
    if run.per_step:
        if run.base.shape[1] != T or not _sequential(run):
            raise CannotTell("no recurrent layer and no attention is seen")
        at = first + n // 2
        if hits[n // 2][at] and not any(hits[n // 2][t] for t in range(first, first + n) if t != at):
            return "each output depends on its own step alone", [
                ("the state isn't carried from step to step", f"step {at} changes output {at} alone")]
        return "steps reach other steps' outputs", []
    hit = {at: bool(h) for at, h in hits.items()}
    came = "steps that reach the output: " + (", ".join(str(first + at) for at, h in hit.items() if h) or "none") + " of " \
        + ", ".join(str(first + at) for at in hit)
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
    _need_apart(run)
    if len([leaf for leaf in run.leaves if leaf.role == "steps"]) != 1 or run.T is None or run.T < 3:
        raise CannotTell("measured for one input with steps")
    attention = any(isinstance(m, torch.nn.MultiheadAttention) for m in run.kept.modules) or any(
        kind(node) == "ScaledDotProductFlashAttentionForCpu" or kind(node) == "Softmax"
        and node._saved_result.ndim >= 3 and node._saved_result.shape[-1] == node._saved_result.shape[-2] == run.T
        for node in run_graph(run))
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
        return "the outputs are the same", [("the order of the steps is not seen", "with the steps turned round, "
                                             "the outputs are the same")]
    return "the outputs change with the order", []


def cut_between_steps(run):
    """Does a gradient come back from the last output to steps that change it?"""
    _need_apart(run)
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
    grad, = torch.autograd.grad((out * weights).sum(), caught[0][0], allow_unused=True)
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
        return "cut", [("the gradient is cut between steps", f"steps {missing} change the last output, "
                        "and get no gradient from it")]
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
    grad, = torch.autograd.grad(main.double().pow(2).sum() + main.sum(), data, allow_unused=True)
    if grad is None or not grad.any():
        return "h_n is read", []
    if packed:
        grad = torch.nn.utils.rnn.pad_packed_sequence(out._replace(data=grad), batch_first=True)[0]
    elif not module.batch_first:
        grad = grad.transpose(0, 1)
    H, used = grad.shape[-1] // 2, grad.abs().sum(-1) > 0
    back = grad[..., H:].abs().sum(-1) > 0
    if packed and run.lengths is not None:
        last = torch.stack([row[:n].nonzero().max() + 1 == n and row.sum() == 1
                            for row, n in zip(back, run.lengths.tolist(), strict=True)]).all()
    else:
        last = back[:, -1].any() and not back[:, :-1].any()
    if last and not used[:, 0].any() and grad.shape[1] > 1:
        return "the last step alone", [("the last output of a bidirectional layer is read",
                                        "of the reverse direction only the output at the last step is read, which has "
                                        "seen one step")]
    return "more than the last step is read", []


# ---- loss against output -------------------------------------------------------------------------------------------

def run_graph(run):
    """Nodes behind the loss (or the output) in training mode, with the recurrent layers' gates as nodes of their own."""
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


def before_the_loss(run):
    """The activations right before the loss, by the graph's nodes."""
    nodes = run_graph(run)
    run.loss(run.graph_end[1])
    found, seen = [], set()
    for node in nodes:
        name = kind(node)
        if name not in ("LogSoftmax", "BinaryCrossEntropyWithLogits", "NllLoss", "NllLoss2D", "MseLoss", "SmoothL1Loss",
                        "HuberLoss", "L1Loss"):
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
            name, (-math.inf, math.inf))
        y = run._y()
        outside = ((y < low - 0.01) | (y > high + 0.01)).double().mean().item()
        if outside > 0.05:
            yield "the output can't reach the target", (f"{name} gives numbers from {low} to {high}; {outside:.0%} of the "
                                                        "targets lie outside")


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
    return any(n._saved_self.shape == shape and dim != 1 for n in losses)


def _pairs(run, at):
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
        grad, = torch.autograd.grad(value, leaf, allow_unused=True)
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
        if not target.is_floating_point():                        # a class's weight may rescale everything
            change, compare = _direction(change), _direction(base)
        else:
            compare = base
        keep = 2 if run.per_step else 1
        moved = (change - compare).abs().reshape(*base.shape[:keep], -1).amax(-1)
        found.append((position, [tuple(p) for p in (moved > 1e-3 * moved.max().clamp(min=1e-30)).nonzero().tolist()]
                      if moved.max() > 0 else []))
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
        pairs = _pairs(run, [(0,) if y.ndim == 1 or not run.per_step else (0, 0)])
        touched = {p[0] for p in pairs[0][1]}
        if len(touched) > 1:
            return "broadcast", [("output and target are broadcast", f"output {tuple(main.shape)} against target "
                                  f"{tuple(run._y().shape)}: each output is held against {len(touched)} rows' targets")]
        return f"shapes {tuple(main.shape)} and {tuple(run._y().shape)}, and each target meets its own output", []
    if run.per_step and y.ndim >= 2 and y.shape[1] == T and T > 2:
        valid = y if y.ndim == 2 else y.flatten(2)[..., 0]
        real = valid >= 0 if not y.is_floating_point() else torch.ones_like(valid, dtype=torch.bool)
        if run.lengths is not None and run.T == T:
            real &= _real(run)
        places = [p for p in ((0, T // 2), (rows - 1, 1), (rows // 2, T - 2)) if real[p]]
    else:
        places = [(0,), (rows - 1,)]
    wrong = []
    for position, where in _pairs(run, places):
        if where and len(position) == 2 and not any(p[0] == position[0] and abs(p[1] - position[1]) <= 1 for p in where):
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
    grad, = torch.autograd.grad(run.loss(run.forward(), leaf), leaf)
    grad = run.rows(grad)
    if grad.sum(-1).abs().max() > 1e-2 * grad.abs().max():
        return ["the loss's slopes don't add up to 0 over the last axis, the classes"]
    return []


def _broadcasts(a, b):
    try:
        return math.prod(torch.broadcast_shapes(a, b)) > max(math.prod(a), math.prod(b))
    except RuntimeError:
        return False


def _real(run):
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
        silent = [] if y is None else [k for k in y.unique().tolist() if k >= 0 and not slope[y == k].any() and slope.any()]
        if silent and len(y.unique()) > 1:
            return "silent", [("a real class is ignored by the loss", f"the loss doesn't see the rows of class {silent[0]}")]
        return "every row counts", []
    pads = ~_real(run) if run.lengths is not None and run.base.shape[1] == run.T else None
    if pads is None and y is not None:
        found = edge_runs_of(y)
        pads = found
    if y is not None and pads is not None and pads.any():
        inside = ~pads
        silent = [k for k in y[inside].unique().tolist() if k >= 0 and not slope[inside & (y == k)].any()]
        ends = y[pads].unique()
        if silent and slope.any() and not (len(ends) == 1 and ends.item() == silent[0] and _only_at_edge(y, pads, silent[0])):
            return "silent", [("a real class is ignored by the loss", f"the loss doesn't see real steps of class {silent[0]}")]
    if pads is None or not pads.any():
        raise CannotTell("no padding is known: pass lengths=")
    counted = (slope[pads] > 1e-6 * slope.max()).double().mean().item()
    if counted > 0.01:
        return f"{counted:.0%} of the padded steps count", [
            ("padding counts in the loss", f"{counted:.0%} of {int(pads.sum())} padded steps have a slope in the loss")]
    return "no padded step counts", []


def _only_at_edge(y, pads, k):
    """Is class k met inside only right before the padding (a target shifted by one)?"""
    inside = (y == k) & ~pads
    return bool((inside[:, :-1] & ~(pads[:, 1:] | (y[:, 1:] == k))).sum() == 0)


def edge_runs_of(y):
    """A mask of the padded steps of targets, read from the ends of their rows; None where the rows don't show any."""
    from lstmcourse.lab.checkup_run import edge_runs
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


# ---- units and weights ---------------------------------------------------------------------------------------------

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
        cause = "the input's scale" if large_x and not large_w else (
            "initial weights are too large" if large_w else "units are saturated")
        what = f"inputs up to {x.abs().max():.3g}" if large_x else large_w or ""
        causes.append((cause, f"{came}; {what}".rstrip("; ")))
    relu = [node._saved_result for node in nodes if kind(node) == "Relu"]
    for h in relu:
        dead = (h.reshape(-1, h.shape[-1]) == 0).all(0).double().mean().item() if h.ndim > 1 else 0
        if dead > 0.9 and h.shape[-1] > 3 and h.numel() // h.shape[-1] >= 8:
            causes.append(("units are dead", f"{dead:.0%} of {h.shape[-1]} ReLU units are 0 at every row and step"))
    gated = sum(kind(node) == "Mul" and {"Relu", "Sigmoid"} <= {kind(n) for n, _ in node.next_functions if n is not None}
                for node in nodes)
    if run.T and gated >= max(3, run.T - 1):
        causes.append(("ReLU in an LSTM", f"{gated} products of a sigmoid gate and a ReLU"))
    return came + (f"; {len(relu)} ReLU layers" if relu else ""), list(dict(causes).items())


def _fraction(results, test):
    total = sum(r.numel() for r in results)
    return sum(test(r).sum().item() for r in results) / total if total else 0.0


def _large_weights(run):
    """The name of a matrix whose numbers are far larger than 1/sqrt(fan-in)."""
    for root in run.kept.roots:
        embeddings = {id(m.weight) for m in root.modules() if isinstance(m, torch.nn.Embedding)}
        for name, w in root.named_parameters():
            if w.ndim == 2 and id(w) not in embeddings and w.numel() > 1:
                size = w.detach().double().std().item() * math.sqrt(w.shape[1])
                if size > 4:
                    return f"{name} is {size:.0f} times 1/sqrt(fan-in)"
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
                causes.append(("initial weights are all equal", f"every number of {name} is {w.flatten()[0].item():.3g}"))
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
                inside.append(((tokens == module.padding_idx) & _real(run)).sum().item())
    hooks = [m.register_forward_hook(look) for m in run.kept.modules if isinstance(m, torch.nn.Embedding)]
    if not hooks:
        raise CannotTell("no nn.Embedding")
    try:
        run.forward()
    finally:
        for hook in hooks:
            hook.remove()
    if any(inside):
        return "it does", [("token 0 is real, and padding_idx at once", f"{max(inside)} real steps have the index that the "
                            "embedding takes for padding: its vector is 0 and is never trained")]
    if not inside:
        raise CannotTell("needs padding_idx and lengths=")
    return "none", []


def dropout(run):
    """Dropout that drops nearly everything, or drops outputs."""
    strong = [m.p for m in run.kept.modules if isinstance(m, torch.nn.modules.dropout._DropoutNd) and m.p > 0.75]
    strong += [m.dropout for m in run.kept.modules if isinstance(m, torch.nn.RNNBase) and m.dropout > 0.75 and m.num_layers > 1]
    if strong:
        return f"p = {max(strong)}", [("dropout is too strong", f"p = {max(strong)}: so much is dropped")]
    train = run.rows(run.main(run.forward(train=True)).detach())
    zeros = (train == 0).double().mean().item()
    if zeros > 0.04 and not (run.base == 0).any() and train.numel() >= 30:
        return f"{zeros:.0%} of the outputs are 0", [
            ("dropout on the output", f"{zeros:.0%} of the outputs are exactly 0 in training mode, none in evaluation mode")]
    return "none on the output", []


# ---- training ------------------------------------------------------------------------------------------------------

def _train(run, optimizer, steps, seconds):
    """The losses of up to `steps` steps on the batch; weights are put back afterwards by the caller."""
    losses, started = [], time.process_time()
    for step in range(steps):
        optimizer.zero_grad()
        loss = run.loss(run.forward(train=True, grad=True, seed=step))
        losses.append(loss.item())
        if not loss.isfinite() or not loss.requires_grad:
            break
        loss.backward()
        optimizer.step()
        if time.process_time() - started > seconds:
            break
    return losses


def by_heart(run):
    """Train on this one batch."""
    parameters = [] if run.numpy else trainable(run)
    if not parameters:
        raise CannotTell("there is nothing that PyTorch can train")
    best, first = None, None
    for rate in (3e-3, 3e-2, 3e-4):
        run.kept.put_back_numbers()
        losses = _train(run, torch.optim.Adam(parameters, lr=rate), 40, 0.8)
        first = losses[0]
        low = min((value for value in losses if math.isfinite(value)), default=math.inf)
        best = low if best is None else min(best, low)
        if first - best > 0.05 * abs(first) or first < 1e-3:
            return f"loss {first:.3g} → {best:.3g} in {len(losses)} steps of Adam, rate {rate:g}", []
        if len(losses) < 15:
            raise CannotTell(f"loss {first:.3g} → {best:.3g} in {len(losses)} steps: too slow for more")
    came = f"loss {first:.3g} → {best:.3g} at three learning rates"
    if first - best < 0.01 * abs(first) and best > 0.05:
        return came, [("one batch isn't learned by heart", came)]
    return came, []


def step_size(run):
    """The optimizer's own steps, and steps at other learning rates."""
    if run.optimizer is None:
        raise CannotTell("no optimizer was given")
    groups = run.optimizer.param_groups
    weights = [p for group in groups for p in group["params"] if p.requires_grad]
    rates = [group["lr"] for group in groups]
    changes, size = {}, 0.0
    for factor in (1, 0.1, 10, 100):
        run.kept.put_back_numbers()
        run.optimizer.state.clear()
        for group, rate in zip(groups, rates, strict=True):
            group["lr"] = rate * factor
        before = [p.detach().clone() for p in weights] if factor == 1 else None
        losses = _train(run, run.optimizer, 1, 1) if factor == 1 else []
        if factor == 1:
            moved = math.sqrt(sum((p - b).double().pow(2).sum().item() for p, b in zip(weights, before, strict=True)))
            size = moved / max(math.sqrt(sum(b.double().pow(2).sum().item() for b in before)), 1e-12)
        losses += _train(run, run.optimizer, 20, 0.4)
        changes[factor] = (losses[0] - losses[-1]) / max(abs(losses[0]), 1e-12) if math.isfinite(losses[-1]) else -math.inf
    for group, rate in zip(groups, rates, strict=True):
        group["lr"] = rate
    came = f"a step is {size:.1e} of the weights; after 20 steps the loss has fallen by " + ", ".join(
        f"{changes[f]:.1%} (rate × {f:g})" for f in (0.1, 1, 10))
    if changes[1] < -0.2 and (size > 0.3 or changes[0.1] > changes[1] + 0.2):
        return came, [("the learning rate is too high", came)]
    if abs(changes[1]) < 5e-4 and changes[100] > changes[1] and size < 2e-5:
        return came, [("the learning rate is too low", came)]
    return came, []


# What is measured: function, name, what a sound model gives.
MEASUREMENTS = (
    (finite, "numbers that are not finite", "none in batch, weights, output, loss and gradient"),
    (repeatable, "the same batch twice in evaluation mode", "the same output"),
    (rows_apart, "one row changed", "that row's output changes, and no other"),
    (twice, "two batches, one after the other", "two backward passes, two graphs of one size"),
    (gradients, "the gradient of each parameter", "every parameter gets one, and the optimizer holds it"),
    (place_in_batch, "the rows in another order", "the outputs in that order"),
    (alone, "a short row alone", "the output it has in the batch"),
    (later_steps, "an output and its target's step", "no output changes with the input that it is to foretell"),
    (reads_steps, "single steps changed", "the steps that the task needs reach the output"),
    (order, "the steps turned round", "other outputs"),
    (cut_between_steps, "the gradient by step", "steps that change an output get a gradient from it"),
    (both_directions, "what is read of a bidirectional layer", "each direction where it has read all"),
    (before_the_loss, "the activation before the loss", "the one that the loss expects"),
    (in_line, "one target changed", "the slope of the loss changes at that target's output alone"),
    (padding_in_loss, "padding in the loss", "no slope at padded steps, a slope at all others"),
    (first_loss, "the first loss", "about what a guess costs: ln K, or the target's variance"),
    (balance, "the most frequent class", "less than nine rows in ten"),
    (units, "saturated and dead units", "few of them before training"),
    (weights, "the weights", "random, and not all zero"),
    (padding_index, "real tokens at padding_idx", "none"),
    (dropout, "dropout", "below 0.75, and not on the output"),
    (step_size, "steps of the optimizer", "about a thousandth of the weights, and a loss that falls"),
    (by_heart, "one batch learned by heart", "the loss falls"),
)
warnings.filterwarnings("ignore", message="TF32 acceleration", module="torch.backends.mkldnn")
