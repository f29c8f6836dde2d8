"""Lesson 07: can one vector hold a long sentence?

An encoder-decoder without attention ("one vector"), and the same with attention, learn from 30,000
sentences of one clause, or of one to three, and translate unseen ones.

Written down before the first run on held-out sentences: sizes, learning rate, seeds, the numbers in
SETTINGS and what `verdict` asks. A run solves a length with an exact match of at least "solved" on
300 held-out sentences of it. The recipe was chosen on other clauses, kept apart for that, and what
was tried stands in SEARCH.

Changed after the first runs, thresholds and seeds kept: "one vector" ends with a fifth of its steps
at a tenth of the rate (slow), and attention was to do without. Its five seeds then had a median of
0.893 at three clauses, below "solved". So attention ran again with the same slow end, which makes
the two differ in attention alone; `verdict` judges those runs, and the first five are kept. Then
time ran short. Gates open got three seeds instead of five (two were known by then), H = 128 was
left to the search, and the long runs, planned as four passes over one to three clauses, became two
passes over one and two clauses; of those none had begun.
"""

import re
import time
from functools import partial
from statistics import median

import numpy as np
import sacrebleu

from lstmcourse import seq2seq
from lstmcourse.data import hindi
from lstmcourse.lab.trials import run
from lstmcourse.train import train

# What was tried before, one seed each, on clauses that are neither trained on nor held out:
# [how, clauses trained on, H, lr, forget bias (None: as drawn), steps, exact match for 1, 2, 3 clauses].
# In the last four the rate was to fall to zero along a cosine, and 150 sentences were translated; before,
# it was constant, and there were 300. Two runs were stopped early.
SEARCH = [
    ["forward", "1", 64, 0.003, None, 3423, [1.0]],
    ["forward", "1", 64, 0.01, None, 3679, [1.0]],
    ["forward", "1", 128, 0.003, None, 1473, [1.0]],
    ["forward", "1", 128, 0.01, None, 1554, [1.0]],
    ["GRU, forward", "1", 64, 0.01, None, 4361, [0.407]],
    ["forward", "1-3", 64, 0.003, None, 6135, [0.997, 0.057, 0.0]],
    ["forward", "1-3", 64, 0.01, None, 5888, [1.0, 0.02, 0.0]],
    ["forward", "1-3", 128, 0.003, None, 2350, [1.0, 0.027, 0.0]],
    ["forward", "1-3", 128, 0.01, None, 2397, [0.993, 0.003, 0.0]],
    ["forward", "1-3", 256, 0.003, None, 871, [0.73, 0.007, 0.0]],
    ["source reversed", "1-3", 64, 0.01, None, 4367, [1.0, 0.073, 0.0]],
    ["forward, not to the end", "2", 64, 0.01, None, 1163, [None, 0.0]],
    ["forward", "1-2", 64, 0.01, 2, 4267, [1.0, 0.887]],
    ["source reversed, not to the end", "1-2", 64, 0.01, 2, 2362, [1.0, 0.94]],
]
SETTINGS = {"E": 32, "B": 32, "lr": 0.01, "sentences": 30_000, "test_sentences": 300, "solved": 0.95, "failed": 0.05,
            "held": 0.3, "search": SEARCH}
TESTED = (1, 2, 3)                             # clauses in a sentence


def test_set(clauses):
    """The held-out sentences of this many clauses: the same for every run."""
    return hindi.sentences(np.random.default_rng(1000 + clauses), SETTINGS["test_sentences"], clauses, held_out=True)


def train_one(attention, H, most, epochs, forget_bias, seed, slow=True, progress=False):
    """One model, trained on sentences of 1 … most clauses: its Model, its params and the losses.

    forget_bias  of the forget gates at the start; None: as drawn
    slow         True: the last fifth of the steps at a tenth of the rate
    """
    rng = np.random.default_rng(seed)
    model = seq2seq.Model(attention="dot" if attention else None, values="words")
    pairs = [pair for clauses in range(1, most + 1)
             for pair in hindi.sentences(rng, SETTINGS["sentences"] // most, clauses)]
    batches = hindi.batches(pairs, SETTINGS["B"], rng, epochs)
    params = seq2seq.init_seq2seq(model, *map(len, hindi.vocabularies()), SETTINGS["E"], H, rng)
    if forget_bias is not None:
        for part in ("encoder", "decoder"):
            params[part]["b_ih"][H:2 * H], params[part]["b_hh"][H:2 * H] = forget_bias, 0
    loss_and_grads = partial(seq2seq.loss_and_grads, model=model)
    fast = len(batches) * 4 // 5 if slow else len(batches)
    params, losses = train(loss_and_grads, params, batches[:fast], lr=SETTINGS["lr"], progress=progress)
    params, more = train(loss_and_grads, params, batches[fast:], lr=SETTINGS["lr"] / 10, progress=progress)
    return model, params, losses + more


def translate(model, params, pairs):
    """What the model writes for each sentence, a list of str."""
    source, lengths, *_ = hindi.batch(pairs)
    tokens, _ = seq2seq.greedy(source, lengths, params, model, hindi.BOS, hindi.EOS, max_length=60)
    return [hindi.vocabularies()[1].decode(row) for row in tokens]


def scores(model, params, pairs):
    """Exact match, share of tokens named given the true words before, BLEU, and exact match of each clause."""
    source, lengths, inputs, targets, mask = hindi.batch(pairs)
    state, memory, _ = seq2seq.read_source(source, lengths, params, model)
    logits, *_ = seq2seq.decoder_forward(inputs, state, memory, params)
    written, wanted = translate(model, params, pairs), [pair.english for pair in pairs]
    clauses = [[re.split(" and | but ", text) for text in texts] for texts in (written, wanted)]
    by_clause = [float(np.mean([k < len(w) and w[k] == true[k] for w, true in zip(*clauses, strict=True)]))
                 for k in range(len(clauses[1][0]))]
    return {"exact": float(np.mean([w == true for w, true in zip(written, wanted, strict=True)])),
            "token": float((logits.argmax(-1) == targets)[mask].mean()),
            "bleu": sacrebleu.corpus_bleu(written, [wanted]).score, "by_clause": by_clause}


def one(**job):
    """Train one model and score it on held-out sentences: a list for each score, by number of clauses."""
    start = time.process_time()
    model, params, losses = train_one(**job)
    seconds = time.process_time() - start
    found = [scores(model, params, test_set(clauses)) for clauses in TESTED]
    return {"steps": len(losses), "seconds": round(seconds, 1), "loss": float(np.mean(losses[-20:])),
            **{name: [score[name] for score in found] for name in found[0]}}


def job(attention=False, H=64, most=3, epochs=1, forget_bias=None, seed=0, slow=True):
    return {"attention": attention, "H": H, "most": most, "epochs": epochs, "forget_bias": forget_bias, "seed": seed,
            "slow": slow}


JOBS = [*(job(most=1, seed=seed) for seed in range(5)),                                     # the short case
        *(job(attention=True, slow=False, seed=seed) for seed in range(5)),                 # the first runs, see above
        *(job(attention=True, seed=seed) for seed in range(5)),                             # the same three lengths:
        *(job(seed=seed) for seed in range(5)),                                             # with and without
        *(job(forget_bias=2, seed=seed) for seed in range(3)),                              # gates open at the start
        *(job(most=2, epochs=2, forget_bias=bias, seed=seed) for seed in range(3) for bias in (2, None)),
        *(job(H=32, forget_bias=2, seed=seed) for seed in range(3))]                        # a smaller vector


def exact(records, clauses, **values):
    """Median exact match over the seeds, for this many clauses, of the records in which every value is as given."""
    return median(record["exact"][clauses - 1] for record in records if values.items() <= record.items())


def verdict(records):
    """True: one vector fails at three clauses where attention does not, and yet it has room for two.

    Asked of the medians: one vector solves one clause when trained on it; from the same sentences in as many
    steps attention solves one, two and three clauses, and one vector fails at three, at every start and size;
    and after twice the steps, on one and two clauses, the same vector holds two clauses in a share "held" of
    sentences if the forget gate is open at first, and does not without.
    """
    solved, failed, held = (SETTINGS[name] for name in ("solved", "failed", "held"))
    short = exact(records, 1, attention=False, most=1)
    same = [exact(records, clauses, attention=True, most=3, slow=True) for clauses in TESTED]
    long = [exact(records, 3, attention=False, H=H, most=3, forget_bias=bias)
            for H, bias in ((64, None), (64, 2), (32, 2))]
    opened, drawn = (exact(records, 2, attention=False, most=2, forget_bias=bias) for bias in (2, None))
    return bool(short >= solved and min(same) >= solved and max(long) <= failed and opened >= held > drawn)


if __name__ == "__main__":
    run(__file__, SETTINGS, JOBS, one)
