"""`checkup`: broken models are recognised by their cause, sound ones are accused of nothing, and neither is changed.

`python -m tests.test_lab_checkup` prints the table of models and what was named; with `step` or `checkup` behind it,
the seconds and the memory of that, for a model of a million parameters.
"""

import copy
import math
import random
import sys
import time

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pack_sequence, pad_packed_sequence

from lstmcourse.lab.checkup import MEASUREMENTS, checkup
from lstmcourse.lab.checkup.causes import CAUSES
from lstmcourse.lab.models import init_network, network_forward
from lstmcourse.layers import cross_entropy_forward
from tests import checkup_models

B, T, D, H, K, V = 6, 9, 4, 12, 3, 11


def numbers(*shape):
    return torch.randn(*shape)


def tokens(*shape, low=1, high=V):
    return torch.randint(low, high, shape)


def padded(B=B, T=T):
    """Tokens with zeros at the ends of the rows, and the lengths."""
    lengths = torch.tensor([T, T - 2, 3, T - 1, 4, T])[:B]
    return tokens(B, T) * (torch.arange(T) < lengths[:, None]), lengths


class Recurrent(nn.Module):
    """A recurrent layer and a linear layer; `read` says which output of the layer the linear one gets."""

    def __init__(self, kind, inputs, outputs, read, **options):
        super().__init__()
        self.layer = getattr(nn, kind)(inputs, H, **({"batch_first": True} | options))
        self.head = nn.Linear(H * (1 + self.layer.bidirectional), outputs)
        self.read = read

    def forward(self, x, state=None):
        out, last = self.layer(x, state)
        return self.read(self.head, out, last)


def each_step(head, out, last):
    return head(out)


def last_step(head, out, last):
    return head(out[:, -1])


class Words(nn.Module):
    """Word vectors before another module."""

    def __init__(self, inner, width=D, **options):
        super().__init__()
        self.vectors, self.inner = nn.Embedding(V, width, **options), inner

    def forward(self, words, *rest):
        return self.inner(self.vectors(words), *rest)


class PackedClassifier(nn.Module):
    """Classifier of padded sentences; with packing, or (broken) without."""

    def __init__(self, how="packed"):
        super().__init__()
        self.vectors, self.layer, self.head = nn.Embedding(V, D), nn.GRU(D, H, batch_first=True), nn.Linear(H, K)
        self.how = how

    def forward(self, words, lengths):
        x = self.vectors(words)
        if self.how == "unpacked":
            return self.head(self.layer(x)[1][-1])
        if self.how == "unsorted":
            at = lengths.argsort(descending=True)
            return self.head(self.layer(pack_padded_sequence(x[at], lengths[at].cpu(), batch_first=True))[1][-1])
        out, last = self.layer(pack_padded_sequence(x, lengths.cpu(), batch_first=True, enforce_sorted=False))
        if self.how == "last":
            return self.head(pad_packed_sequence(out, batch_first=True)[0][:, -1])
        return self.head(last[-1])


class Translator(nn.Module):
    """Encoder and decoder with dot attention; with the mask over the source's padding, or (broken) without."""

    def __init__(self, masked=True):
        super().__init__()
        self.source, self.target = nn.Embedding(V, H), nn.Embedding(V, H)
        self.encoder, self.decoder = nn.LSTM(H, H, batch_first=True), nn.LSTM(H, H, batch_first=True)
        self.head, self.masked = nn.Linear(2 * H, V), masked

    def forward(self, source, before):
        lengths = (source != 0).sum(1)
        packed = pack_padded_sequence(self.source(source), lengths, batch_first=True, enforce_sorted=False)
        memory, state = self.encoder(packed)
        memory = pad_packed_sequence(memory, batch_first=True, total_length=source.shape[1])[0]
        if not self.masked:
            memory = memory + self.source(source)
        out, _ = self.decoder(self.target(before), state)
        scores = out @ memory.transpose(1, 2)
        if self.masked:
            scores = scores.masked_fill((source == 0)[:, None], -torch.inf)
        return self.head(torch.cat([scores.softmax(-1) @ memory, out], -1))


class Transformer(nn.Module):
    """A causal language model of one block; diagonal=2 is a mask that is off by one."""

    def __init__(self, diagonal=1, positions=True, causal=True, pool=False, batch_first=True):
        super().__init__()
        self.vectors = nn.Embedding(V, 16)
        self.positions = nn.Parameter(0.3 * torch.randn(1, 20, 16)) if positions else None
        self.block = nn.TransformerEncoderLayer(16, 2, 32, dropout=0.1, batch_first=batch_first)
        self.head, self.diagonal, self.causal, self.pool = nn.Linear(16, V), diagonal, causal, pool

    def forward(self, words):
        x = self.vectors(words)
        if self.positions is not None:
            x = x + self.positions[:, : words.shape[1]]
        mask = torch.ones(words.shape[1], words.shape[1], dtype=torch.bool).triu(self.diagonal) if self.causal else None
        x = self.block(x, src_mask=mask)
        return self.head(x.mean(1) if self.pool else x)


class Stateful(nn.Module):
    """A language model that keeps its state from batch to batch, detached or (broken) not."""

    def __init__(self, detach=True):
        super().__init__()
        self.vectors, self.layer, self.head = nn.Embedding(V, D), nn.LSTM(D, H, batch_first=True), nn.Linear(H, V)
        self.state, self.detach = None, detach

    def forward(self, words):
        out, state = self.layer(self.vectors(words), self.state)
        self.state = tuple(s.detach() for s in state) if self.detach else state
        return self.head(out)


class Loop(nn.Module):
    """An LSTM by hand, with a fault to choose."""

    def __init__(self, fault=""):
        super().__init__()
        self.a, self.u, self.head, self.fault = nn.Linear(D, 4 * H), nn.Linear(H, 4 * H), nn.Linear(H, 1), fault

    def forward(self, x):
        h = c = x.new_zeros(len(x), H)
        g_of = F.relu if self.fault == "relu" else torch.tanh
        for t in range(x.shape[1]):
            i, f, g, o = (self.a(x[:, t]) + self.u(h)).chunk(4, -1)
            c = torch.sigmoid(f) * c + torch.sigmoid(i) * g_of(g)
            h = torch.sigmoid(o) * g_of(c)
            if self.fault == "detach":
                h, c = h.detach() if t < x.shape[1] - 1 else h, c.detach() if t < x.shape[1] - 1 else c
            if self.fault == "forgets" and t < x.shape[1] - 1:
                h = c = torch.zeros_like(h)
        return self.head(h)


class Dense(nn.Module):
    """A window of a series through one hidden layer, with what the faults below need."""

    def __init__(self, outputs=1, after=None, spare=False, hidden=H):
        super().__init__()
        self.hidden, self.head, self.after = nn.Linear(T * D, hidden), nn.Linear(hidden, outputs), after
        if spare:
            self.spare = nn.Linear(hidden, hidden)

    def forward(self, x):
        y = self.head(torch.relu(self.hidden(x.flatten(1))))
        return y if self.after is None else self.after(y)


class Unregistered(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = [nn.Linear(D, H), nn.Linear(H, H)]
        self.head = nn.Linear(H, 1)

    def forward(self, x):
        for layer in self.layers:
            x = torch.tanh(layer(x))
        return self.head(x.mean(1))


class Sum(nn.Module):
    """Outputs that a function makes of the input and a linear layer."""

    def __init__(self, function, inputs=D, outputs=K):
        super().__init__()
        self.linear, self.function = nn.Linear(inputs, outputs), function

    def forward(self, x):
        return self.function(self.linear, x)


def next_word():
    words = tokens(B, T + 1)
    return words[:, :-1], words[:, 1:]


def over_words(logits, y):
    return F.cross_entropy(logits.flatten(0, 1), y.flatten())


def over_real_words(logits, y):
    return F.cross_entropy(logits.flatten(0, 1), y.flatten(), ignore_index=0)


def case(model, batch, loss=None, **options):
    return {"model": model, "batch": batch, "loss": loss} | options


def sentences():
    words, lengths = padded()
    return (words, lengths), torch.tensor([0, 1, 2, 0, 1, 2])


def pair_of_sentences():
    source, _ = padded()
    return (source, tokens(B, 7)), tokens(B, 7)


def bfloat16():
    return case(
        Recurrent("GRU", D, K, last_step).bfloat16(),
        (numbers(B, T, D).bfloat16(), torch.arange(B) % K),
        F.cross_entropy,
    )


def numpy_network(read=lambda y: y):
    params = init_network("lstm", D, H, K, np.random.default_rng(0))
    x, y = np.random.default_rng(1).normal(size=(B, T, D)), np.random.default_rng(2).integers(K, size=(B, T))
    return case(lambda x: read(network_forward(x, params)[0]), (x, y), lambda out, y: cross_entropy_forward(out, y)[0])


def explicit_state():
    model = Recurrent("LSTM", D, 1, lambda head, out, last: (head(out), last))
    return case(
        model,
        ((numbers(B, T, D), (numbers(1, B, H), numbers(1, B, H))), numbers(B, T, 1)),
        lambda out, y: F.mse_loss(out[0], y),
    )


def packed_input():
    model = Recurrent("LSTM", D, K, lambda head, out, last: head(last[0][-1]))
    return case(
        model,
        (pack_sequence([numbers(n, D) for n in (5, 9, 3, 7)], enforce_sorted=False), torch.tensor([0, 1, 2, 1])),
        nn.CrossEntropyLoss(),
    )


def time_first():
    words = tokens(T + 1, B)
    return case(Words(Recurrent("GRU", D, V, each_step, batch_first=False)), (words[:-1], words[1:]), over_words)


def forecaster():
    series = torch.sin(torch.arange(60) / 4).repeat(3, 1).T + 0.1 * numbers(60, 3)
    windows = series.unfold(0, T + 1, 2).transpose(1, 2)
    model = Recurrent("GRU", 3, 1, last_step, num_layers=2, dropout=0.2)
    return case(
        model,
        (windows[:, :-1], windows[:, -1, :1]),
        nn.MSELoss(),
        optimizer=torch.optim.Adam(model.parameters(), lr=1e-3),
    )


SOUND = {
    "LSTM, one answer a row": lambda: case(
        Recurrent("LSTM", D, K, last_step), (numbers(B, T, D), torch.arange(B) % K), nn.CrossEntropyLoss()
    ),
    "GRU, an answer a step": lambda: case(
        Recurrent("GRU", D, K, each_step), (numbers(B, T, D), tokens(B, T, low=0, high=K)), over_words
    ),
    "tagger in both directions": lambda: case(
        Words(Recurrent("LSTM", D, K, each_step, bidirectional=True)),
        (tokens(B, T), tokens(B, T, low=0, high=K)),
        over_words,
    ),
    "both directions' last states": lambda: case(
        Recurrent("GRU", D, K, lambda head, out, last: head(torch.cat([last[-2], last[-1]], -1)), bidirectional=True),
        (numbers(B, T, D), torch.arange(B) % K),
        F.cross_entropy,
    ),
    "packed sentences": lambda: case(PackedClassifier(), sentences(), F.cross_entropy),
    "packed sequence as input": packed_input,
    "a state handed over": explicit_state,
    "a state kept and detached": lambda: case(Stateful(), next_word(), over_words),
    "encoder and decoder with attention": lambda: case(Translator(), pair_of_sentences(), over_words),
    "causal Transformer": lambda: case(Transformer(), next_word(), over_words),
    "Transformer that classifies": lambda: case(
        Transformer(causal=False, pool=True), (tokens(B, T), torch.arange(B)), F.cross_entropy
    ),
    "bfloat16": bfloat16,
    "double": lambda: case(Loop().double(), (numbers(B, T, D).double(), numbers(B, 1).double()), F.mse_loss),
    "time first": time_first,
    "forecaster with its optimizer": forecaster,
    "the course's functions": numpy_network,
    "an LSTM by hand": lambda: case(
        Loop(), (numbers(B, T, D), numbers(B)), lambda out, y: F.mse_loss(out.squeeze(1), y)
    ),
    "padded language model": lambda: case(
        Words(Recurrent("LSTM", D, V, each_step)),
        (padded()[0], padded()[0].roll(-1, 1) * (padded()[0] > 0)),
        over_real_words,
    ),
    "embedding frozen, the rest trained": lambda: case(
        Words(Recurrent("GRU", D, K, last_step), _weight=torch.randn(V, D)).requires_grad_(True),
        (tokens(B, T), torch.arange(B) % K),
        F.cross_entropy,
    ),
}


def hidden_sees_batch_as_time():
    return case(
        Recurrent("LSTM", D, K, last_step, batch_first=False), (numbers(B, T, D), torch.arange(B) % K), F.cross_entropy
    )


def frozen():
    model = Recurrent("GRU", D, K, last_step)
    model.requires_grad_(False)
    return case(model, (numbers(B, T, D), torch.arange(B) % K), F.cross_entropy)


def old_optimizer():
    model = Recurrent("GRU", D, K, last_step)
    optimizer = torch.optim.Adam(model.parameters())
    model.head = nn.Linear(H, K)
    return case(model, (numbers(B, T, D), torch.arange(B) % K), F.cross_entropy, optimizer=optimizer)


def with_rate(rate, kind=torch.optim.SGD):
    model = Recurrent("LSTM", D, 1, last_step)
    return case(model, (numbers(B, T, D), numbers(B, 1)), F.mse_loss, optimizer=kind(model.parameters(), lr=rate))


def all_weights(value):
    model = Recurrent("RNN", D, K, last_step)
    for p in model.parameters():
        nn.init.constant_(p, value)
    return case(model, (numbers(B, T, D), torch.arange(B) % K), F.cross_entropy)


def wide_weights():
    model = Recurrent("RNN", D, K, last_step)
    for p in model.parameters():
        nn.init.normal_(p, std=5.0)
    return case(model, (numbers(B, T, D), torch.arange(B) % K), F.cross_entropy)


def with_nan(where):
    model, x = Recurrent("GRU", D, 1, last_step), numbers(B, T, D)
    if where == "batch":
        x[1, 2, 0] = math.nan
    else:
        model.head.weight.data[0, 0] = math.inf
    return case(model, (x, numbers(B, 1)), F.mse_loss)


def classes(model, loss=F.cross_entropy):
    return case(model, (numbers(B, T, D), torch.arange(B) % K), loss)


def scalars(model, y=None, loss=F.mse_loss):
    return case(model, (numbers(B, T, D), numbers(B, 1) if y is None else y), loss)


def token_zero():
    words = tokens(B, T, low=0, high=4)
    return case(
        Words(Recurrent("LSTM", D, K, last_step), padding_idx=0),
        (words, torch.arange(B) % K),
        F.cross_entropy,
        lengths=torch.full((B,), T),
    )


BROKEN = {
    "batch_first forgotten": (hidden_sees_batch_as_time, "the batch axis is taken for time"),
    "batch_first forgotten, a word a step": (
        lambda: case(Words(Recurrent("GRU", D, V, each_step, batch_first=False)), next_word(), over_words),
        "the batch axis is taken for time",
    ),
    "attention over the batch": (
        lambda: case(
            Transformer(batch_first=False, causal=False, pool=True), (tokens(B, T), torch.arange(B)), F.cross_entropy
        ),
        "the batch axis is taken for time",
    ),
    "view for transpose": (
        lambda: classes(
            Recurrent("LSTM", D, K, lambda head, out, last: head(last[0].view(B, 2 * H)), bidirectional=True)
        ),
        "rows are mixed by a reshape",
    ),
    "mean over the batch": (
        lambda: classes(Sum(lambda linear, x: linear((x - x.mean(0)).sum(1)))),
        "rows depend on each other",
    ),
    "sorted and not unsorted": (
        lambda: case(PackedClassifier("unsorted"), sentences(), F.cross_entropy),
        "rows come back in another order",
    ),
    "positions along the batch": (
        lambda: classes(Sum(lambda linear, x: linear(x + torch.arange(len(x))[:, None, None]).sum(1))),
        "a row's place in the batch matters",
    ),
    "next word in both directions": (
        lambda: case(Words(Recurrent("LSTM", D, V, each_step, bidirectional=True)), next_word(), over_words),
        "the output sees the target",
    ),
    "mask off by one": (lambda: case(Transformer(diagonal=2), next_word(), over_words), "the output sees the target"),
    "no mask": (lambda: case(Transformer(causal=False), next_word(), over_words), "the output sees the target"),
    "causal, and isn't": (
        lambda: case(
            Recurrent("GRU", D, 1, each_step, bidirectional=True),
            (numbers(B, T, D), numbers(B, T, 1)),
            F.mse_loss,
            causal=True,
        ),
        "an output depends on later steps",
    ),
    "padding in the state": (
        lambda: case(PackedClassifier("unpacked"), sentences(), F.cross_entropy),
        "padding leaks into the output",
    ),
    "last column of padded outputs": (
        lambda: case(PackedClassifier("last"), sentences(), F.cross_entropy),
        "the state is read at padding",
    ),
    "attention to padding": (
        lambda: case(Translator(masked=False), pair_of_sentences(), over_words),
        "padding leaks into the output",
    ),
    "padding in the loss": (
        lambda: case(Words(Recurrent("LSTM", D, V, each_step)), (padded()[0], padded()[0]), over_words, causal=False),
        "padding counts in the loss",
    ),
    "(B, 1) against (B,)": (lambda: scalars(Loop(), numbers(B)), "output and target are broadcast"),
    "softmax twice": (lambda: classes(Dense(K, lambda y: y.softmax(-1))), "softmax before a loss that takes logits"),
    "sigmoid twice": (
        lambda: scalars(
            Dense(1, torch.sigmoid), torch.arange(B).remainder(2)[:, None].float(), F.binary_cross_entropy_with_logits
        ),
        "sigmoid before a loss that takes logits",
    ),
    "NLLLoss of logits": (lambda: classes(Dense(K), nn.NLLLoss()), "the loss wants log-probabilities"),
    "ReLU on the logits": (lambda: classes(Dense(K, torch.relu)), "an activation limits the logits"),
    "tanh against targets of 7": (
        lambda: scalars(Dense(1, torch.tanh), 7 * numbers(B, 1)),
        "the output can't reach the target",
    ),
    "classes viewed as steps": (
        lambda: case(
            Recurrent("GRU", D, K, each_step),
            (numbers(B, T, D), tokens(B, T, low=0, high=K)),
            lambda out, y: F.cross_entropy(out.reshape(B, K, T), y),
        ),
        "output and target are out of line",
    ),
    "flattened time first": (
        lambda: case(
            Recurrent("GRU", D, K, each_step),
            (numbers(B, T, D), tokens(B, T, low=0, high=K)),
            lambda out, y: F.cross_entropy(out.transpose(0, 1).reshape(-1, K), y.reshape(-1)),
        ),
        "output and target are out of line",
    ),
    "class 0 ignored": (
        lambda: classes(Dense(K), nn.CrossEntropyLoss(ignore_index=0)),
        "a real class is ignored by the loss",
    ),
    "token 0 as padding": (token_zero, "token 0 is real, and padding_idx at once"),
    "a graph that is kept": (
        lambda: case(Stateful(detach=False), next_word(), over_words),
        "graph kept from the batch before",
    ),
    "a state over whole sequences": (
        lambda: case(
            Sum(lambda linear, x: linear(x).mean(1) + _kept(linear, x)),
            (numbers(B, T, D), torch.arange(B) % K),
            F.cross_entropy,
        ),
        "the state of the batch before is kept",
    ),
    "dropout in evaluation": (
        lambda: classes(Sum(lambda linear, x: linear(F.dropout(x, 0.5)).mean(1))),
        "random in evaluation mode",
    ),
    "dropout on the logits": (
        lambda: case(
            Words(Recurrent("GRU", D, V, lambda head, out, last: F.dropout(head(out), 0.3, head.training))),
            next_word(),
            over_words,
        ),
        "dropout on the output",
    ),
    "p to keep": (
        lambda: classes(nn.Sequential(nn.Flatten(), nn.Linear(T * D, H), nn.ReLU(), nn.Dropout(0.9), nn.Linear(H, K))),
        "dropout is too strong",
    ),
    "frozen": (frozen, "no parameter is trained"),
    "optimizer before the head": (old_optimizer, "parameters are missing in the optimizer"),
    "layers in a list": (lambda: scalars(Unregistered()), "a layer isn't registered"),
    "a layer not used": (lambda: scalars(Dense(spare=True)), "a layer isn't used"),
    "a detached output": (lambda: scalars(Dense(1, torch.detach)), "the loss is cut off from the weights"),
    "detach in the loop": (lambda: scalars(Loop("detach")), "the gradient is cut between steps"),
    "a state that isn't carried": (lambda: scalars(Loop("forgets")), "the state isn't carried from step to step"),
    "ReLU in an LSTM": (lambda: scalars(Loop("relu")), "ReLU in an LSTM"),
    "first output read": (
        lambda: classes(Recurrent("LSTM", D, K, lambda head, out, last: head(out[:, 0]))),
        "only the first step is read",
    ),
    "last output of both directions": (
        lambda: classes(Recurrent("LSTM", D, K, last_step, bidirectional=True)),
        "the last output of a bidirectional layer is read",
    ),
    "no positions": (
        lambda: case(
            Transformer(causal=False, positions=False, pool=True), (tokens(B, T), torch.arange(B)), F.cross_entropy
        ),
        "the order of the steps is not seen",
    ),
    "input not used": (
        lambda: classes(Sum(lambda linear, x: linear(torch.ones_like(x)).mean(1))),
        "the output doesn't depend on the input",
    ),
    "inputs of thousands": (
        lambda: case(
            Recurrent("LSTM", D, K, last_step), (3000 + 900 * numbers(B, T, D), torch.arange(B) % K), F.cross_entropy
        ),
        "the input's scale",
    ),
    "targets of thousands": (
        lambda: scalars(Recurrent("GRU", D, 1, last_step), 5000 + 30 * numbers(B, 1)),
        "the target's scale",
    ),
    "wide weights": (wide_weights, "initial weights are too large"),
    "equal weights": (lambda: all_weights(0.1), "initial weights are all equal"),
    "zero weights": (lambda: all_weights(0.0), "initial weights are all zero"),
    "one class in all rows": (
        lambda: case(Dense(K), (numbers(40, T, D), (torch.arange(40) == 3).long()), F.cross_entropy),
        "one class is nearly all",
    ),
    "a rate of 1e-9": (lambda: with_rate(1e-9), "the learning rate is too low"),
    "a rate of 300": (lambda: with_rate(300.0), "the learning rate is too high"),
    "NaN in the batch": (lambda: with_nan("batch"), "NaN or Inf in the batch"),
    "Inf in a weight": (lambda: with_nan("weights"), "NaN or Inf in the weights"),
    "log of 0": (
        lambda: scalars(Dense(1, torch.relu), loss=lambda out, y: (out.log() - y).pow(2).mean()),
        "NaN or Inf in the loss",
    ),
    "square root of 0": (
        lambda: scalars(Dense(), loss=lambda out, y: (out - out.detach()).pow(2).sum().sqrt() + F.mse_loss(out, y)),
        "NaN or Inf in the gradient",
    ),
    "the target in the window": (
        lambda: (lambda x: case(Recurrent("GRU", D, 1, last_step), (x, x[:, -1, :1]), F.mse_loss))(numbers(B, T, D)),
        "the target is in the input",
    ),
}


def _kept(linear, x):
    """An output that remembers the batch before."""
    before = getattr(linear, "before", 0.0)
    linear.before = linear(x).mean(1).detach()
    return before


def styled(make):
    def build():
        model, batch, loss, *options = make()
        return case(model, batch, loss, **dict(*options))

    return build


SOUND |= {name: styled(make) for name, make in checkup_models.SOUND.items()}
BROKEN |= {name: (styled(make), cause) for name, (make, cause) in checkup_models.BROKEN.items()}
class Convolutions(nn.Module):
    """Convolutions over series of shape (B, C, T): each sees earlier steps alone, or (broken) both sides."""

    def __init__(self, both=False):
        super().__init__()
        self.layers, self.both = nn.ModuleList(nn.Conv1d(D if i == 0 else H, H, 3) for i in range(2)), both
        self.head = nn.Conv1d(H, D, 1)

    def forward(self, x):
        for layer in self.layers:
            x = layer(F.pad(x, (1, 1) if self.both else (2, 0))).relu()
        return self.head(x)


def next_of(series, both=False, **options):
    return case(Convolutions(both), (series[..., :-1], series[..., 1:]), F.mse_loss, **options)


class ConvolutionThenLSTM(nn.Module):
    """A classifier of series of shape (B, C, T); `turned`: transposed before the LSTM, or (broken) viewed."""

    def __init__(self, turned=False):
        super().__init__()
        self.layer, self.turned = nn.Conv1d(D, H, 3), turned
        self.inner = Recurrent("LSTM", H, K, last_step)

    def forward(self, x):
        x = self.layer(x).relu()
        return self.inner(x.mT if self.turned else x.view(x.shape[0], x.shape[2], x.shape[1]))


class Pair(nn.Module):
    """An encoder and a decoder of sequences with time first, whose source and target come as one argument."""

    def __init__(self):
        super().__init__()
        self.vectors, self.head = nn.Embedding(V, D), nn.Linear(H, V)
        self.encoder, self.decoder = nn.GRU(D, H), nn.GRU(D, H)

    def forward(self, pair):
        source, target = pair
        return self.head(self.decoder(self.vectors(target), self.encoder(self.vectors(source))[1])[0])


def pair_of(source):
    target = torch.cat([torch.ones_like(source[:1]), source.flip(0)])
    return case(Pair(), ((source, target[:-1]), target[1:]), per_token)


class Attends(nn.Module):
    """A decoder that attends to a source as long as its own sequence."""

    def __init__(self):
        super().__init__()
        self.vectors, self.head = nn.Embedding(V, D), nn.Linear(2 * H, V)
        self.encoder, self.decoder = nn.GRU(D, H, batch_first=True), nn.GRU(D, H, batch_first=True)

    def forward(self, source, target):
        keys, states = self.encoder(self.vectors(source))[0], self.decoder(self.vectors(target))[0]
        return self.head(torch.cat([states, (states @ keys.mT).softmax(-1) @ keys], -1))


def per_token(out, y):
    return F.cross_entropy(out.flatten(0, 1), y.flatten())


def shut_forget_gate(x):
    model = Recurrent("LSTM", D, 1, last_step)
    nn.init.constant_(model.layer.bias_ih_l0[H : 2 * H].detach(), -6)
    return case(model, (x, x[:, 0, :1]), F.mse_loss)


def limited(activation, y, loss):
    return case(Dense(K, activation), (numbers(B, T, D), y), loss)


SOUND |= {
    "causal convolutions, channels before time": lambda: next_of(numbers(B, D, 20).cumsum(-1), causal=True),
    "source and target in one argument, time first": lambda: pair_of(tokens(7, 18, low=2)),
    "causal=True beside a source as long": lambda: case(
        Attends(), (tokens(B, T), *(lambda x: (x[:, :-1], x[:, 1:]))(tokens(B, T + 1))), per_token, causal=True
    ),
    "a convolution, transposed before an LSTM": lambda: case(
        ConvolutionThenLSTM(turned=True), (numbers(B, D, 20), torch.arange(B) % K), F.cross_entropy
    ),
    "a sigmoid, and a loss that scales the target": lambda: limited(
        torch.sigmoid, 50 + numbers(B, K), lambda out, y: F.mse_loss(out, y / 100)
    ),
}
BROKEN |= {
    "convolutions that see both sides, channels before time": (
        lambda: next_of(numbers(B, D, 20).cumsum(-1), both=True),
        "the output sees the target",
    ),
    "targets that aren't shifted, causal=True": (
        lambda: (lambda x, model: case(model, (x, x), per_token, causal=True))(
            tokens(B, T), Words(Recurrent("GRU", D, V, each_step))
        ),
        "the output sees the target",
    ),
    "ReLU against negative targets, absolute error": (
        lambda: limited(torch.relu, numbers(B, K), F.l1_loss),
        "the output can't reach the target",
    ),
    "view between a convolution and an LSTM": (
        lambda: case(ConvolutionThenLSTM(), (numbers(B, D, 20), torch.arange(B) % K), F.cross_entropy),
        "steps and features are mixed by a reshape",
    ),
    "a forget gate's bias of -6": (lambda: shut_forget_gate(numbers(B, 20, D)), "a gate is shut"),
}
TUTORIALS = ("names_new", "names_old", "seq2seq_teacher_forced", "word_lm", "pos_tagger_one_sentence")


def built(make):
    torch.manual_seed(3)
    random.seed(3)
    return make()


@pytest.mark.parametrize("name", SOUND)
def test_sound_model_is_accused_of_nothing(name):
    report = checkup(**built(SOUND[name]))
    assert not report.refusal
    assert [finding.cause for finding in report.findings] == []


@pytest.mark.parametrize("name", BROKEN)
def test_broken_model_is_recognised_by_its_cause(name):
    make, cause = BROKEN[name]
    assert checkup(**built(make)).findings[0].cause == cause


def everything(model, optimizer=None):
    """All that `checkup` may not change, as values that compare."""
    state = {
        "weights": [(n, p.detach().clone(), p.requires_grad) for n, p in model.named_parameters()],
        "buffers": [(n, b.clone()) for n, b in model.named_buffers()],
        "grads": [None if p.grad is None else (id(p.grad), p.grad.clone()) for p in model.parameters()],
        "modes": [m.training for m in model.modules()],
        "hooks": [len(m._forward_hooks) + len(m._backward_hooks) for m in model.modules()],
        "attributes": [sorted(vars(m)) for m in model.modules()],
        "random": (random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state()),  # noqa: NPY002
    }
    if optimizer is not None:
        state["optimizer"] = copy.deepcopy(optimizer.state_dict())
    return state


def same(a, b):
    if isinstance(a, torch.Tensor):
        return torch.equal(a, b)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[k], b[k]) for k in a)
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(map(same, a, b))
    return a == b


class Fails(nn.Module):
    """Trains a while, then raises; with batch normalization, a counter, and a state."""

    def __init__(self, after):
        super().__init__()
        self.norm, self.layer, self.head = nn.BatchNorm1d(D), nn.LSTM(D, H, batch_first=True), nn.Linear(H, 1)
        self.calls, self.after, self.log = 0, after, []
        self.raised = self.after_calls = 0

    def forward(self, x):
        COUNT[0] += 1
        self.calls += 1
        self.log.append(self.calls)
        if COUNT[0] > self.after:
            raise KeyboardInterrupt
        return self.head(self.layer(self.norm(x.transpose(1, 2)).transpose(1, 2))[0][:, -1])


COUNT = [0]


@pytest.mark.parametrize("after", [3, 30, 60, 10**9])
def test_model_optimizer_and_random_state_are_as_before(after):
    COUNT[0] = 0
    model = built(lambda: Fails(after=10**9))
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    model(numbers(B, T, D)).sum().backward()
    optimizer.step()
    model.norm.eval()
    model.after, COUNT[0] = after, 0
    before = everything(model, optimizer)
    try:
        checkup(model, (numbers_kept(), torch.ones(B, 1)), F.mse_loss, optimizer)
    except KeyboardInterrupt:
        assert after < 10**9
    assert same(before, everything(model, optimizer))
    assert model.calls == 1
    assert model.log == [1]


def numbers_kept():
    """Random numbers that leave the random state alone."""
    return torch.randn(B, T, D, generator=torch.Generator().manual_seed(0))


def test_the_batch_is_not_changed():
    x, y = numbers(B, T, D), numbers(B, 1)
    kept = x.clone(), y.clone()
    checkup(Sum(lambda linear, x: linear(x.mul_(2)).mean(1), outputs=1), (x, y), F.mse_loss)
    assert torch.equal(x, kept[0])
    assert torch.equal(y, kept[1])


def test_at_most_three_findings():
    model = Dense(K, lambda y: F.dropout(y, 0.5).softmax(0))
    model.spare = nn.Linear(3, 3)
    report = checkup(model, (1e5 * numbers(B, T, D), torch.zeros(B).long()), F.cross_entropy)
    assert len(report.findings) == 3


def test_model_that_cannot_be_called_gets_one_sentence():
    report = checkup(Recurrent("GRU", D + 1, K, last_step), (numbers(B, T, D), torch.arange(B) % K), F.cross_entropy)
    assert "(6, 9, 4) float32" in report.refusal
    assert "wanted inputs that it takes" in report.refusal
    assert report.refusal in str(report)
    assert report.findings == ()


def test_loss_that_cannot_be_called_gets_one_sentence():
    report = checkup(Dense(K), (numbers(B, T, D), torch.full((B,), 5)), F.cross_entropy)
    assert report.refusal.startswith("loss was called with an output (6, 3)")


def test_report_says_what_it_cannot_tell():
    cannot_tell = checkup(**built(SOUND["LSTM, one answer a row"])).cannot_tell
    assert "labels belong to their inputs" in "\n".join(cannot_tell)


def test_report_prints_cause_measurement_and_advice_in_text_and_markdown():
    report = checkup(**built(BROKEN["softmax twice"][0]))
    for text in (str(report), report._repr_markdown_()):
        assert "softmax before a loss that takes logits" in text
        assert CAUSES["softmax before a loss that takes logits"] in text
        assert "It can't tell" in text
    assert "| measured | what came | a sound model gives | look at |" in report._repr_markdown_()


def test_every_cause_is_shown_by_a_broken_model():
    assert {cause for _, cause in BROKEN.values()} == set(CAUSES)


@pytest.mark.parametrize("name", TUTORIALS)
def test_tutorial_as_it_stands_is_read_and_measured(name):
    report = checkup(**built(SOUND[name]))
    told = {row.measured: row.came for row in report.rows if row.told}
    assert str(report).count("Nothing to name.") == 1
    assert "loss" in told["one batch memorized"]
    assert told["numbers that are not finite"] == "all finite"


def test_a_million_parameters_take_less_than_ten_seconds():
    model = Recurrent("LSTM", 64, 1, each_step)
    model.layer, model.head = nn.LSTM(64, 460, batch_first=True), nn.Linear(460, 1)
    assert sum(p.numel() for p in model.parameters()) > 900_000
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    began = time.process_time()
    try:
        checkup(model, (numbers(16, 25, 64), numbers(16, 25, 1)), F.mse_loss)
    finally:
        torch.set_num_threads(threads)
    assert time.process_time() - began < 10


def bounds(measured):
    """Seconds and memory (MB, beyond what the model takes) of a training step or of the checkup, by this process."""
    import resource  # not on Windows

    torch.set_num_threads(1)
    model = Recurrent("LSTM", 64, 1, each_step)
    model.layer = nn.LSTM(64, 460, batch_first=True)
    model.head = nn.Linear(460, 1)
    x, y = numbers(64, 50, 64), numbers(64, 50, 1)
    optimizer = torch.optim.Adam(model.parameters())
    F.mse_loss(model(x[:1, :2]), y[:1, :2]).backward()          # PyTorch loads what it needs
    torch.optim.Adam([torch.zeros(1, requires_grad=True)]).step()
    before, began = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    if measured == "checkup":
        checkup(model, (x, y), F.mse_loss, optimizer)
    else:
        for _ in range(3):
            optimizer.zero_grad()
            F.mse_loss(model(x), y).backward()
            optimizer.step()
    seconds, after = time.process_time() - began, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(f"{measured}: {seconds:.1f} s, {(after - before) / 1024:.0f} MB")


def main():
    """Print each model and what was named; with an argument, `bounds` of it ("step" or "checkup")."""
    if sys.argv[1:]:
        return bounds(sys.argv[1])
    for name, make in SOUND.items():
        report = checkup(**built(make))
        print(f"sound   {name:<40} {report.refusal or '; '.join(f.cause for f in report.findings) or '-'}", flush=True)
    for name, (make, cause) in BROKEN.items():
        report = checkup(**built(make))
        causes = [f.cause for f in report.findings]
        word = "named" if causes[:1] == [cause] else "among" if cause in causes else "flagged" if causes else "MISSED"
        print(f"{word:<8}{name:<40} {report.refusal or '; '.join(causes)}", flush=True)
    print(f"{len(SOUND)} sound and {len(BROKEN)} broken models, {len(MEASUREMENTS)} measurements")


if __name__ == "__main__":
    sys.exit(main())
