"""What is wrong with this model and this batch? Measurements that take seconds, and the causes they point to.

    print(checkup(model, (x, y), loss=nn.CrossEntropyLoss()))

Gradient flow, the optimizer's parameters and the size of the gradients are torchtest2's checks. Time, padding, state,
loss against output, first loss, gates and positions are measured here: by changing an input and looking at what
changes, and by reading the nodes of PyTorch's own graph.

    reading, calling   the batch, and the model that is called with it again and again
    untouched          the model as it was, whatever happens
    graphs             the autograd graph, and operations that hand no gradient back
    causes             what can be named, and the report
    the others         measurements: functions of a run, in one table below
"""

import copy
import time

import torch
from torch.nn.parameter import is_lazy

from lstmcourse.lab.checkup.against_loss import balance, before_the_loss, first_loss, in_line, padding_in_loss
from lstmcourse.lab.checkup.apart import alone, place_in_batch, rows_apart
from lstmcourse.lab.checkup.calling import Run
from lstmcourse.lab.checkup.causes import Checkup, Row
from lstmcourse.lab.checkup.reading import CannotTell, Refused, short
from lstmcourse.lab.checkup.state import finite, repeatable, twice
from lstmcourse.lab.checkup.steps import cut_between_steps, later_steps, order, reads_steps, recurrent_layers
from lstmcourse.lab.checkup.training import frozen, gradients, memorized, step_size
from lstmcourse.lab.checkup.units import attention, dropout, normalization, padding_index, units, weights
from lstmcourse.lab.checkup.untouched import roots_of, untouched


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
    if isinstance(model, torch.nn.Module) and any(is_lazy(p) for p in model.parameters()):
        model = copy.deepcopy(model)                           # the first call makes its weights: not the caller's
    with untouched(roots_of(model, call, loss), optimizer) as kept:
        try:
            run = Run(kept, model, batch, loss, call, lengths, batch_axis)
            torch.optim.SGD([torch.zeros(1, requires_grad=True)])  # PyTorch loads its compiler here, once
            run.optimizer, run.causal, run.started = optimizer, causal, time.process_time()
            rows = [_measured(measure, run) for measure in MEASUREMENTS]
        except Refused as refused:
            return Checkup(name, "", refusal=str(refused))
        except Exception as error:
            wanted = "(inputs, targets) of tensors, with rows on one axis"
            return Checkup(name, "", refusal=f"batch could not be read ({short(error)}); wanted {wanted}")
    return Checkup(name, _read_as(run), tuple(rows))


BUDGET = 6.0  # seconds after which only cheap measurements start


def _measured(measure, run):
    """The rows of one measurement; an exception inside it becomes "can't tell"."""
    function, label, sound = measure
    try:
        if time.process_time() - run.started > BUDGET:
            raise CannotTell("the model is too slow for one more measurement: try a smaller batch")
        if function in WITHOUT_ZEROS:
            run.kept.fill_zeros()
        got = function(run)
        came, *causes = (got,) if isinstance(got, str) else got
    except Refused:
        raise
    except CannotTell as reason:
        return Row(label, str(reason), sound, told=False)
    except Exception as error:
        return Row(label, f"it raised {short(error)}", sound, told=False)
    finally:
        run.kept.put_back_attributes()
        run.kept.put_back_numbers()
    return Row(label, came, sound, tuple(causes))


def _read_as(run):
    parts = [f"{leaf.role} {tuple(x.shape)}" for x, leaf in zip(run.inputs, run.leaves, strict=True)]
    text = f"{run.B} rows ({'time first' if run.batch_axis else 'batch first'}), inputs: {', '.join(parts)}"
    if run.lengths is not None:
        text += f", lengths {run.lengths.min()} to {run.lengths.max()}"
        text += " (from the ends of the rows)" if run.guessed else ""
    return text + f", output {tuple(run.main(run.raw).shape)}"


# What is measured: function, name, what a sound model gives.
MEASUREMENTS = (
    (finite, "numbers that are not finite", "none in batch, weights, output, loss and gradient"),
    (repeatable, "the same batch twice in evaluation mode", "the same output"),
    (rows_apart, "one row changed", "that row's output changes, and no other"),
    (twice, "two batches, one after the other", "two backward passes, two graphs of one size"),
    (gradients, "the gradient of each parameter", "every parameter gets one, and the optimizer holds it"),
    (frozen, "frozen layers", "the first ones, or none"),
    (place_in_batch, "the rows in another order", "the outputs in that order"),
    (alone, "a short row alone", "the output it has in the batch"),
    (later_steps, "an output and its target's step", "no output changes with the input that it is to foretell"),
    (reads_steps, "single steps changed", "the steps that the task needs reach the output"),
    (order, "the steps turned round", "other outputs"),
    (cut_between_steps, "the gradient by step", "steps that change an output get a gradient from it"),
    (recurrent_layers, "what recurrent layers get and give", "several steps; each direction where it has read all"),
    (before_the_loss, "the activation before the loss", "the one that the loss expects"),
    (in_line, "one target changed", "the slope of the loss changes at that target's output alone"),
    (padding_in_loss, "padding in the loss", "no slope at padded steps, a slope at all others"),
    (first_loss, "the first loss", "about what a guess costs: ln K, or the target's variance"),
    (balance, "the most frequent class", "less than nine rows in ten"),
    (units, "saturated and dead units", "few of them before training"),
    (attention, "attention's scores", "a difference that leaves every step a part"),
    (weights, "the weights", "random, and not all zero"),
    (padding_index, "real tokens at padding_idx", "none"),
    (normalization, "batch normalization", "over the rows, for each feature"),
    (dropout, "dropout", "below 0.75, and neither on the output nor on a state"),
    (step_size, "steps of the optimizer", "about a thousandth of the weights, and a loss that falls"),
    (memorized, "one batch memorized", "the loss falls"),
)

# Measured with the weights that are all zero (a last layer, a gate of a residual branch) filled: what reaches what.
WITHOUT_ZEROS = {repeatable, rows_apart, gradients, place_in_batch, alone, later_steps, reads_steps, order}
WITHOUT_ZEROS |= {cut_between_steps, recurrent_layers}
