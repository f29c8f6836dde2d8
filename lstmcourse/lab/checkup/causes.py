"""The causes that `checkup` names, and its report."""

from typing import NamedTuple

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
    "a step without a slope": "argmax, round, sign, comparisons: no gradient comes through; softmax or sigmoid there",
    "softmax over the wrong axis": "dim of the (log-)softmax: the classes, or the steps that attention looks at",
    "the batch axis is taken for time": "batch_first=True, and the axis of every reshape and softmax; "
    "if your batch has time first, pass batch_axis=1",
    "rows are mixed by a reshape": "view or reshape where transpose (or permute) is meant; h_n has the layers first",
    "steps and features are mixed by a reshape": "transpose(1, 2) where view or reshape stands",
    "rows come back in another order": "undo the sorting: enforce_sorted=False, or the inverse permutation",
    "rows depend on each other": "a mean, softmax or normalization over the batch axis",
    "a row's place in the batch matters": "positions added along the batch axis, or a state that belongs to a place",
    "the loss rewards wrong answers": "the loss's sign: a log-likelihood is to be maximized, its negative is the loss",
    "the output sees the target": "the mask (off by one?), a bidirectional layer, or targets that aren't shifted",
    "the target is shifted twice": "shift once: in the batch, or in the loss (or the model that makes it)",
    "the target is in the input": "the window's end: the target must lie after the last step of the input",
    "an output depends on later steps": "the mask (off by one?), a bidirectional layer, or a mean over time",
    "output and target are broadcast": "one shape for both: output.squeeze(-1), or targets.unsqueeze(-1)",
    "output and target are out of line": "view where transpose is meant, or one of the two flattened time first",
    "softmax before a loss that takes logits": "hand over the logits: this loss applies softmax itself",
    "sigmoid before a loss that takes logits": "hand over the logits: this loss applies its own sigmoid or softmax",
    "the loss wants log-probabilities": "log_softmax before NLLLoss, or CrossEntropyLoss on the logits",
    "an activation limits the logits": "no ReLU or tanh after the last layer",
    "the output can't reach the target": "the last activation's range against that of the target",
    "a real class is ignored by the loss": "ignore_index is the index of a class that occurs; give padding its own",
    "padding counts in the loss": "ignore_index, or a mask on the loss",
    "padding leaks into the output": "lengths: pack_padded_sequence, the last real step, a mask in attention and means",
    "the state is read at padding": "the state at the last real step (h_n of a packed sequence, or gather by lengths)",
    "token 0 is real, and padding_idx at once": "keep an index for padding that no token has",
    "the last output of a bidirectional layer is read": "h_n, or output[:, -1, :H] and output[:, 0, H:]",
    "one direction of a bidirectional layer is not read": "both last states: torch.cat([h_n[-2], h_n[-1]], -1)",
    "only the first step is read": "output[:, -1], or h_n: an output of the first step has read one step",
    "a recurrent layer gets one step": "input (batch, time, features): with one step there is no recurrence; for rows "
    "that aren't sequences take linear layers",
    "the state isn't carried from step to step": "hand the state on: h = cell(x_t, h)",
    "the order of the steps is not seen": "positional encodings: attention alone doesn't see the order",
    "units are dead": "the bias, the learning rate, or another activation than ReLU",
    "initial weights are all equal": "random initial weights: equal units get equal gradients and stay equal",
    "initial weights are all zero": "random initial weights: with zeros no gradient comes through",
    "the input's scale": "standardize the features: (x - mean) / std, with the training set's numbers",
    "initial weights are too large": "the initialization: numbers around 1/sqrt(fan-in)",
    "attention is saturated": "the scores: divide by sqrt(d), and smaller initial weights",
    "the output doesn't depend on the input": "a variable that is overwritten, or an input that is not used",
    "the gradient is cut between steps": "detach, .data or new tensors inside the loop over steps",
    "a part of the model is cut off": "detach, .data or no_grad after these parameters: they are used, and not trained",
    "random in evaluation mode": "F.dropout(..., training=self.training), nn.Dropout; noise or a random initial state",
    "the state of the batch before is kept": "rows that are new sequences start from zeros: reset the state",
    "a layer isn't used": "layers that are made and not called, or whose output is not read",
    "a frozen layer between trained ones": "requires_grad of its parameters",
    "units are saturated": "the scale of inputs and of initial weights",
    "a gate is shut": "the gate's bias: sigmoid(-10) is 0 for good, whatever comes",
    "ReLU in an LSTM": "tanh: with ReLU the cell state and the output have no bound",
    "the target's scale": "standardize the target, and transform the forecasts back",
    "parameters get no gradient": "what follows them: zeros, saturated units or gates that are shut",
    "dropout on the output": "dropout before the last layer, not after it",
    "dropout is too strong": "p is the probability to drop, not to keep",
    "dropout on the recurrent state": "one mask for all steps, or dropout between layers: a new one each step forgets",
    "batch normalization over the steps": "BatchNorm1d wants (batch, features, time): transpose, or LayerNorm",
    "the learning rate is too high": "ten times less",
    "the learning rate is too low": "ten times more, and again",
    "the gradient explodes": "clip_grad_norm_, smaller initial weights",
    "the first loss is not the guess's": "the scale of the last layer's initial weights, and of its input",
    "one class is nearly all": "class weights, and a score that isn't accuracy",
    "one batch isn't memorized": "the learning rate, then how inputs and targets belong together",
}


ORDER = list(CAUSES)


UNKNOWABLE = (
    "whether labels belong to their inputs: one batch is memorized with any labels",
    "whether the next batch goes on where this one ended, and what the training loop does with it",
)


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
        found = {
            cause: Finding(cause, row.measured, came, row.sound, CAUSES[cause])
            for row in reversed(self.rows)
            for cause, came in row.causes
        }
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
            lines += [f"{n}. {f.cause}", f"   measured: {f.measured}: {f.came}", f"   a sound model: {f.sound}"]
            lines += [f"   look at: {f.look}"]
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
        for n, f in enumerate(self.findings, 1):
            lines += [f"{n}. **{f.cause}**: {_cell(f.came)}. Look at: {_cell(f.look)}"]
        lines += [*([] if self.findings else ["Nothing to name."]), ""]
        lines += ["| measured | what came | a sound model gives | look at |", "|---|---|---|---|"]
        for row in (row for row in self.rows if row.told):
            look = "; ".join(CAUSES[cause] for cause, _ in row.causes)
            lines += ["| " + " | ".join(map(_cell, (row.measured, row.came, row.sound, look))) + " |"]
        return "\n".join([*lines, "", "It can't tell:", "", *(f"- {_cell(line)}" for line in self.cannot_tell)])


def _cell(text):
    return text.replace("|", "\\|").replace("\n", " ").replace("<", "&lt;")
