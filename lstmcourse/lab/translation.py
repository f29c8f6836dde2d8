"""The translator of lessons 07 and 08, trained and measured: what it writes, where it looks, and how to move its look.

    train_translator   one network on sentences of the Hindi grammar
    write, exact       what it writes by itself, and how often that is the reference
    teacher_forced     logits and attention weights, given the reference words before each, as the network is or with
                       the look moved: a mask, another sentence's keys, values or start state
"""

from functools import cache, partial

import numpy as np

from lstmcourse.data import hindi
from lstmcourse.seq2seq import decoder_forward, greedy, init_seq2seq, loss_and_grads, read_source
from lstmcourse.train import train


def train_translator(model, rng, sentences, clauses, lr, epochs=1, E=32, H=64, B=32, dtype="float64", progress=False):
    """A trained network of this `Model`: its params.

    sentences  how many sentences of each number of clauses
    clauses    a list such as [1, 2, 3]
    """
    pairs = [pair for k in clauses for pair in hindi.sentences(rng, sentences, k)]
    batches = hindi.batches(pairs, B, rng, epochs)
    params = init_seq2seq(model, *map(len, hindi.vocabularies()), E, H, rng, dtype)
    return train(partial(loss_and_grads, model=model), params, batches, lr=lr, progress=progress)[0]


def write(params, model, pairs, max_length=60):
    """What the network writes by itself for each pair's Hindi: a list of sentences."""
    source, lengths, *_ = hindi.batch(pairs)
    tokens, _ = greedy(source, lengths, params, model, hindi.BOS, hindi.EOS, max_length)
    return [hindi.vocabularies()[1].decode(row) for row in tokens]


def exact(params, model, pairs):
    """Fraction of the sentences that it writes without a mistake."""
    written = write(params, model, pairs)
    return float(np.mean([text == pair.english for text, pair in zip(written, pairs, strict=True)]))


def split_clauses(english):
    """The clauses of an English sentence, a list."""
    return english.replace(" but ", " and ").split(" and ")


def teacher_forced(params, model, pairs, mask=None, **replace):
    """Given the reference words before each: logits (B, T_tgt, V) and alpha (B, T_tgt, T_src).

    mask     (B, T_tgt, T_src)  True where attention may look; the weights that are left are renormalized. None: at
             every real word
    replace  state, keys or values: used in place of what the encoder makes of these pairs
    """
    source, lengths, inputs, *_ = hindi.batch(pairs)
    state, memory, _ = read_source(source, lengths, params, model)
    state = replace.pop("state", state)
    memory = memory._replace(**replace)
    if mask is not None:
        memory = memory._replace(mask=memory.mask[:, None] & mask)
    logits, _, alpha, _ = decoder_forward(inputs, state, memory, params)
    return logits, alpha


def encoder_states(params, model, pairs):
    """What the encoder makes of the pairs' Hindi, as `teacher_forced` takes it: state, keys and values, a dict."""
    source, lengths, *_ = hindi.batch(pairs)
    state, memory, _ = read_source(source, lengths, params, model)
    return {"state": state, "keys": memory.keys, "values": memory.values}


def only(positions, alpha):
    """A mask of alpha's shape with which each target word looks at one source word: positions (B, T_tgt) or (B, 1)."""
    return np.broadcast_to(np.arange(alpha.shape[2]) == np.asarray(positions)[..., None], alpha.shape)


def gender_twin(pair):
    """The pair with he for she, or she for he: raha and rahi exchanged, nothing else."""
    words = pair.hindi.split()
    words[-2] = "raha" if words[-2] == "rahi" else "rahi"
    return by_hindi()[" ".join(words)]


@cache
def by_hindi():
    """Every clause of the grammar by its Hindi: {text: Pair}."""
    return {pair.hindi: pair for pair in hindi.all_clauses()}
