"""Lesson 08: what attention learns to look at, and what it is good for.

Written down before any run on held-out sentences (tuned on other clauses, with seeds 10 to 12):

    training   lr 0.01, 10,000 sentences each of 1, 2 and 3 clauses, once; without attention lr 0.003 and four
               times over the same sentences: the better of two learning rates, three seeds
    exact      median of seeds 0-4 at least 0.99 for 1, 2 and 3 clauses, in less than 30 CPU seconds of training
    alignment  for the readable variant (both directions, dot, values = words) the median of seeds 0-4 over 900
               sentences at most 0.10; one link for each English word, its largest weight, true words fed in

Written down when seeds 0-4 of the readable variant were known, so its claim is tried on seeds 5-9 only. The bound for
the map was written when seed 0 was known. Of the other variants there are seeds 0-2. Two more were left out for want
of time, words as values with one direction or with additive scores; their error rates had been seen, in two and in five
seeds: 0.125 and 0.133, 0.110 to 0.167.

    "weight 1"   the mean weight over all held-out clauses is at least 0.9
    "½ and ½"    both mean weights are between 0.35 and 0.65
    the map      explains he or she, if most of the weight is on raha or rahi, which decides it: at least 0.5
    beyond       a length is out of reach where the median exact match is at most 0.05
"""

import time
from functools import cache, partial

import numpy as np

from lstmcourse.data import hindi
from lstmcourse.lab.alignment import alignment_error_rate
from lstmcourse.lab.trials import run, select
from lstmcourse.seq2seq import Model, decoder_forward, greedy, init_seq2seq, loss_and_grads, read_source
from lstmcourse.train import train

SETTINGS = {"E": 32, "H": 64, "B": 32, "sentences": 10_000, "clauses": [1, 2, 3], "test_sentences": 300,
            "test_clauses": [1, 2, 3, 4, 5], "exact": 0.99, "seconds": 30, "aer": 0.10, "one": 0.9,
            "half": [0.35, 0.65], "explains": 0.5, "out_of_reach": 0.05}
READABLE = {"bidirectional": True, "attention": "dot", "values": "words"}
NONE = {"bidirectional": False, "attention": None, "values": "states"}
VARIANTS = [{"bidirectional": both, "attention": attention, "values": values} for both, attention, values in (
    (True, "dot", "words"), (True, "dot", "states"), (False, "dot", "states"), (True, "additive", "states"))]
ALIGNERS = ("random", "diagonal", "most frequent", "IBM model 1", "best possible")
PRONOUNS = ("he", "she")


def training_pairs(rng):
    """The sentences of one epoch."""
    return [pair for k in SETTINGS["clauses"] for pair in hindi.sentences(rng, SETTINGS["sentences"], k)]


@cache
def test_pairs(clauses):
    """Held-out sentences, the same for every run."""
    return hindi.sentences(np.random.default_rng(1000 + clauses), SETTINGS["test_sentences"], clauses, held_out=True)


def forced(params, model, pairs, hide=None):
    """Teacher forcing: logits (B, T_tgt, V) and alpha (B, T_tgt, T_src), or None without attention.

    hide  (B, T_tgt, T_src)  True: attention may not look there, though the encoder has read the word
    """
    source, lengths, inputs, *_ = hindi.batch(pairs)
    state, memory, _ = read_source(source, lengths, params, model)
    if hide is not None:
        memory = memory._replace(mask=memory.mask[:, None] & ~hide)
    logits, _, alpha, _ = decoder_forward(inputs, state, memory, params)
    return logits, alpha


def accuracy(params, model, pairs):
    """Of sentences the model writes by itself: share that is right, and right in the first 1, 2, ... clauses."""
    source, lengths, _, targets, mask = hindi.batch(pairs)
    tokens, _ = greedy(source, lengths, params, model, hindi.BOS, hindi.EOS, max_length=60)
    english = hindi.vocabularies()[1]
    written = [english.decode(row) for row in tokens]
    starts = [[clauses(text)[:n] == clauses(pair.english)[:n] for n in range(1, len(clauses(pair.english)) + 1)]
              for text, pair in zip(written, pairs, strict=True)]
    logits, _ = forced(params, model, pairs)
    return {"exact": float(np.mean([text == pair.english for text, pair in zip(written, pairs, strict=True)])),
            "token": float(np.mean((logits.argmax(axis=-1) == targets)[mask])),
            "first_clauses": np.mean(starts, axis=0).tolist()}


def clauses(english):
    """The clauses of an English sentence."""
    return english.replace(" but ", " and ").split(" and ")


def error_rate(alpha, pairs, gold="possible"):
    """Alignment error rate of weights (B, T_tgt, T_src); gold="sure": possible links do not count as right."""
    sure, possible = hindi.gold(pairs)
    _, _, _, targets, mask = hindi.batch(pairs)
    return alignment_error_rate(alpha, sure, possible if gold == "possible" else sure, mask & (targets != hindi.EOS))


def single_clauses(keep):
    """The held-out single clauses for whose English words keep(words) is true."""
    return [pair for pair in hindi.clauses_of(True) if keep(pair.english.split())]


def weight_on(alpha, pairs, word):
    """Mean weights of the English word that word(english words) points at: on mai, jaa, raha, hu, and the rest."""
    rows = []
    for weights, pair in zip(alpha, pairs, strict=True):
        english, n = pair.english.split(), len(pair.hindi.split())
        row = weights[word(english), :n]
        rows.append([row[0], row[n - 3], row[n - 2], row[n - 1], row[1:n - 3].sum()])
    return np.mean(rows, axis=0).round(4).tolist(), rows


def looks(params, model):
    """Where "i", "am" and "going" look, in every held-out clause that has them."""
    found = {}
    for name, keep in (("i", lambda words: words[0] == "i"), ("am", lambda words: words[1] == "am"),
                       ("going", lambda words: "going" in words)):
        pairs = single_clauses(keep)
        _, alpha = forced(params, model, pairs)
        found[name], rows = weight_on(alpha, pairs, lambda words, name=name: words.index(name))
    low, high = SETTINGS["half"]
    found["half"] = float(np.mean([low <= row[1] <= high and low <= row[2] <= high for row in rows]))
    _, alpha = forced(params, model, [hindi.pair_of("mai ghar jaa raha hu")])
    return {"looks": found, "example": alpha[0].round(3).tolist()}


def kind_of(word):
    """verb, be, no Hindi word, or the rest."""
    return "verb" if word.endswith("ing") else "be" if word in ("am", "is", "are") else \
        "no Hindi word" if word in hindi.NO_HINDI_WORD else "other"


def blindfold(params, model, rng):
    """Hide from each English word the Hindi word it looks at most: how often does it come out another word?

    The control hides another word of the same sentence instead, one by chance.
    """
    pairs = hindi.clauses_of(True)
    _, lengths, _, targets, mask = hindi.batch(pairs)
    logits, alpha = forced(params, model, pairs)
    positions = np.arange(alpha.shape[2])
    top = positions == alpha.argmax(axis=-1)[..., None]
    draw = np.where((positions < lengths[:, None])[:, None] & ~top, rng.random(alpha.shape), -1)
    hidden = {"top": top, "another": positions == draw.argmax(axis=-1)[..., None]}
    words = np.array([kind_of(word) for word in hindi.vocabularies()[1].words])[targets]
    real, changed = mask & (targets != hindi.EOS), {}
    for name, hide in hidden.items():
        other = forced(params, model, pairs, hide)[0].argmax(axis=-1) != logits.argmax(axis=-1)
        changed[name] = {"all": float(other[real].mean())} | {
            kind: float(other[real & (words == kind)].mean()) for kind in sorted(set(words[real]))}
    return changed


def pronouns(params, model):
    """vah is he or she by raha or rahi alone. Where does the first word look, and what decides it?"""
    pairs = single_clauses(lambda words: words[0] in PRONOUNS)
    source, lengths, inputs, *_ = hindi.batch(pairs)
    row, raha = np.arange(len(pairs)), lengths - 2
    vocabulary, english = hindi.vocabularies()
    he_she = [english.tokens[word] for word in PRONOUNS]
    right = np.array([pair.english.split()[0] == "she" for pair in pairs]).astype(int)

    def first(source, hide_raha=False):
        state, memory, _ = read_source(source, lengths, params, model)
        mask = memory.mask.copy()
        mask[row, raha] &= not hide_raha
        logits, _, alpha, _ = decoder_forward(inputs[:, :1], state, memory._replace(mask=mask), params)
        return logits[:, 0].argmax(axis=-1), alpha[:, 0]

    written, alpha = first(source)
    turned = source.copy()
    turned[row, raha] = np.where(right, vocabulary.tokens["raha"], vocabulary.tokens["rahi"])
    return {"n": len(pairs), "right": float(np.mean(written == np.take(he_she, right))),
            "weight_vah": float(alpha[row, 0].mean()), "weight_raha": float(alpha[row, raha].mean()),
            "turned": float(np.mean(first(turned)[0] == np.take(he_she, 1 - right))),
            "right_with_raha_hidden": float(np.mean(first(source, hide_raha=True)[0] == np.take(he_she, right)))}


def train_one(bidirectional, attention, values, lr, epochs, seed):
    """One model, its rng, and what training was like."""
    rng = np.random.default_rng(seed)
    model = Model("lstm", bidirectional, attention, values)
    batches = hindi.batches(training_pairs(rng), SETTINGS["B"], rng, epochs)
    params = init_seq2seq(model, *map(len, hindi.vocabularies()), SETTINGS["E"], SETTINGS["H"], rng)
    start = time.process_time()
    params, losses = train(partial(loss_and_grads, model=model), params, batches, lr=lr, progress=False)
    return model, params, {"loss": float(np.mean(losses[-20:])), "seconds": round(time.process_time() - start, 1)}


def one(aligner=None, **job):
    """Train and measure one model; or align the same sentences without one."""
    within = [pair for k in SETTINGS["clauses"] for pair in test_pairs(k)]
    if aligner is not None:
        return {"aer": error_rate(ALIGN[aligner](within), within)}
    model, params, record = train_one(**job)
    record |= {key: [] for key in ("exact", "token", "first_clauses", "aer_by_clauses")}
    for k in SETTINGS["test_clauses"]:
        for key, value in accuracy(params, model, test_pairs(k)).items():
            record[key].append(value)
    if model.attention is None:
        return record
    for k in SETTINGS["test_clauses"]:
        record["aer_by_clauses"].append(error_rate(forced(params, model, test_pairs(k))[1], test_pairs(k)))
    _, alpha = forced(params, model, within)
    return record | {"aer": error_rate(alpha, within), "aer_sure_only": error_rate(alpha, within, "sure")} | \
        looks(params, model) | {"changed": blindfold(params, model, np.random.default_rng(0)),
                                "pronouns": pronouns(params, model)}


# Aligners without a network: pairs in, something like alpha (B, T_tgt, T_src) out. The padding is no link.

def positions(pairs):
    """Where words are real, (B, T_src), and each word's place in its sentence from 0 to 1: English, then Hindi."""
    source, lengths, _, targets, mask = hindi.batch(pairs)
    words = mask.sum(axis=1, keepdims=True) - 1                                    # without <eos>
    return (np.arange(source.shape[1]) < lengths[:, None], (np.arange(targets.shape[1]) + 0.5) / words,
            (np.arange(source.shape[1]) + 0.5) / lengths[:, None])


def random_links(pairs):
    """A word by chance."""
    real, english, _ = positions(pairs)
    return np.where(real[:, None], np.random.default_rng(0).random((*english.shape, real.shape[1])), -1)


def diagonal(pairs):
    """The Hindi word at the same place of the sentence."""
    real, english, place = positions(pairs)
    return np.where(real[:, None], -np.abs(english[:, :, None] - place[:, None]), -2)


def from_table(table, pairs):
    """The Hindi word for which table (V_tgt, V_src) is largest."""
    source, _, _, targets, _ = hindi.batch(pairs)
    return np.where(positions(pairs)[0][:, None], table[targets[:, :, None], source[:, None]], -1)


@cache
def counted(iterations):
    """IBM model 1 (Brown et al. 1993) on the training sentences: table (V_tgt, V_src), p(English word | Hindi word).

    iterations  0: plain counts of which words stand in the same pair of sentences
    """
    rng = np.random.default_rng(0)
    batches = hindi.batches(training_pairs(rng), SETTINGS["B"], rng)
    shape = tuple(len(vocabulary) for vocabulary in hindi.vocabularies()[::-1])
    table = np.ones(shape)
    for _ in range(max(iterations, 1)):
        counts = np.zeros(table.size)
        for source, lengths, _, targets, mask in batches:
            both = mask[:, :, None] & (np.arange(source.shape[1]) < lengths[:, None])[:, None]
            share = both * table[targets[:, :, None], source[:, None]]
            if iterations:
                share = share / np.maximum(share.sum(axis=2, keepdims=True), 1e-300)
            counts += np.bincount((targets[:, :, None] * shape[1] + source[:, None]).ravel(), share.ravel(), table.size)
        table = counts.reshape(shape)
        if iterations:
            table = table / np.maximum(table.sum(axis=0), 1e-300)
    return table


def best_possible(pairs):
    """One link for each English word, as gold has it: what is lost here nobody can win."""
    sure, possible = hindi.gold(pairs)
    return 2.0 * sure + possible


ALIGN = {"random": random_links, "diagonal": diagonal, "most frequent": lambda pairs: from_table(counted(0), pairs),
         "IBM model 1": lambda pairs: from_table(counted(10), pairs), "best possible": best_possible}


# The verdicts: each takes the records (a list, as saved under "runs") and says whether the lesson's sentence holds.

def of(records, variant, seeds=range(5)):
    """The records of one variant and these seeds."""
    return [record for record in select({"runs": records}, **variant) if record["seed"] in seeds]


def median(values):
    return float(np.median(list(values)))


def name_of(variant):
    """A variant in words: how the encoder reads, how scores are made, what the values are."""
    return f"{'both ways' if variant['bidirectional'] else 'one way'}, {variant['attention']}, {variant['values']}"


def counts(records):
    """Networks in which "i" looks at "mai" with weight 1, and in which "going" shares ½ and ½."""
    low, high = SETTINGS["half"]
    looks = [record["looks"] for record in records]
    return (sum(look["i"][0] >= SETTINGS["one"] for look in looks),
            sum(low <= look["going"][1] <= high and low <= look["going"][2] <= high for look in looks))


def verdict(records):
    """"i" puts weight 1 on "mai" in some networks of the readable kind and not in all, and in none that reads one way;
    "going" has most of its weight on "jaa", and shares it ½ and ½ in no network of any kind."""
    readable = of(records, READABLE, range(5, 10))
    others = [record for variant in VARIANTS if variant != READABLE for record in of(records, variant)]
    ones, _ = counts(readable)
    one_way, _ = counts([record for record in others if not record["bidirectional"]])
    _, halves = counts(readable + others)
    return bool(0 < ones < len(readable) and one_way == 0 and halves == 0
                and median(record["looks"]["going"][1] for record in readable) >= SETTINGS["one"])


def verdict_alignment(records):
    """The readable kind reaches the threshold, and beats every aligner that is not a network."""
    reached = median(record["aer"] for record in of(records, READABLE))
    others = [record["aer"] for record in records if record.get("aligner") not in (None, "best possible")]
    return bool(reached <= SETTINGS["aer"] and reached < min(others))


def verdict_map(records):
    """The map shows what verbs need; it shows what decides between he and she in some networks, and not in others."""
    runs = of(records, READABLE, range(10))
    needed = [median(record["changed"][which]["verb"] for record in runs) for which in ("top", "another")]
    decides = all(record["pronouns"]["turned"] >= 0.95 for record in runs)
    shown = [record["pronouns"]["weight_raha"] >= SETTINGS["explains"] for record in runs]
    elsewhere = [record["pronouns"]["right_with_raha_hidden"] >= 0.95 for record in runs]
    return bool(needed[0] >= 0.8 and needed[1] <= 0.05 and decides and 0 < sum(shown) < len(runs) and any(elsewhere))


def verdict_length(records):
    """Within the trained lengths attention makes length harmless and one vector does not; beyond them neither works."""
    attention, vector = (np.median([record["exact"] for record in of(records, variant)], axis=0)
                         for variant in (READABLE, NONE))
    fair = vector[0] >= 0.95                                       # the same code can do the short case
    return bool(fair and min(attention[:3]) >= SETTINGS["exact"] and max(vector[1:3]) <= 0.5
                and max(*attention[3:], *vector[2:]) <= SETTINGS["out_of_reach"])


if __name__ == "__main__":
    jobs = [READABLE | {"lr": 0.01, "epochs": 1, "seed": seed} for seed in range(10)]
    jobs += [NONE | {"lr": 0.003, "epochs": 4, "seed": seed} for seed in range(3)]
    jobs += [variant | {"lr": 0.01, "epochs": 1, "seed": seed}
             for variant in VARIANTS if variant != READABLE for seed in range(3)]
    run(__file__, SETTINGS, [{"aligner": name} for name in ALIGNERS] + jobs, one)
