"""Lesson 01, on trial: a plain RNN cannot follow the change of subject.

    nishchal likes pizza but his friend likes burger [0 to 8 filler words] so nishchal orders -> pizza
    nishchal likes pizza but his friend likes burger [0 to 8 filler words] so friend orders   -> burger

Who orders, and how many filler words there are, is drawn anew for each sentence: so nobody gets by with one person's
food, or by counting positions. The loss is that of the answer alone. Two RNNs, an IRNN (Le et al. 2015: ReLU, W_hh the
identity) and one with tanh and an orthogonal W_hh, beside an LSTM with forget bias 3, all of about 5,400 parameters;
and, as the simplest rival, the same IRNN where the friend is asked always. A run stops when it has learned the
task. The lag is the number of steps from the food to "orders".
"""

import numpy as np

from lstmcourse.data.pizza import WORDS, pizza_sentences
from lstmcourse.lab.models import init_network, network_forward, one_hot, token_loss
from lstmcourse.lab.trials import by_budget, choose, pilot_grid, remake, verdict_of, wilson
from lstmcourse.train import train

CRITERION = """
A network follows the change of subject if it names the asked person's food in 0.95 or more of the fresh sentences, for
either person and for each number of filler words.
False: at least one RNN follows (the claim says that none can). True: none of the 30 IRNNs and none of the tanh RNNs
does, and the 95 % interval of the LSTM's fraction is above 1/2. Open: otherwise.
What the verdict says of the LSTM: "more often" or "less often" if the 95 % intervals of the two fractions, the IRNN's
and the LSTM's, do not overlap.
"""
SETTINGS = {"filler": 8, "B": 32, "test": 3600, "follows": 0.95, "every": 100, "validation": 500, "learned": 0.995,
            "rates": [0.001, 0.003, 0.01, 0.03], "steps": [1500, 3000], "tie": 0.05, "pilot seeds": 2,
            "seeds": {"IRNN": 30, "LSTM": 30, "RNN, tanh": 10, "friend only": 10}}
NETS = {  # kind, units, options of the initial weights, who is asked in training
    "IRNN": ("rnn", 53, {"identity": True}, "both"), "LSTM": ("lstm", 24, {"forget_bias": 3.0}, "both"),
    "RNN, tanh": ("rnn", 53, {"orthogonal": True}, "both"), "friend only": ("rnn", 53, {"identity": True}, "friend")}
RATE_OF = {"friend only": "IRNN"}
INPUT_SD = 0.1                                             # of the IRNN's W_ih
V, ORDERS = len(WORDS), 10                                 # without filler, "orders" is word 10 (the first is word 0)
ASKED = {"friend": 7, "first": 2}                          # where the asked person's food is


def draw(rng, B, ask="both"):
    """Sentences, each with its own number of filler words: tokens and targets (B, T), filler (B,).

    The answer comes after word ORDERS + filler; what follows it in a row is padding.
    """
    filler = rng.integers(SETTINGS["filler"] + 1, size=B)
    sentences = np.zeros((B, 12 + SETTINGS["filler"]), int)
    for n in np.unique(filler):
        sentences[filler == n, :12 + n] = pizza_sentences(rng, int((filler == n).sum()), int(n), ask)
    return sentences[:, :-1], sentences[:, 1:], filler


def batch(rng, B, ask):
    """Tokens, targets, and the mask of the answers, for `token_loss`."""
    tokens, targets, filler = draw(rng, B, ask)
    return tokens, targets, np.arange(tokens.shape[1]) == (ORDERS + filler)[:, None]


def initial(net, rng):
    """Initial weights of one of NETS, and the options of its layer."""
    kind, H, options, _ = NETS[net]
    params = init_network(kind, V, H, V, rng, **options)
    if options.get("identity"):
        params["recurrent"]["W_ih"] = INPUT_SD * rng.standard_normal((H, V))
    return params, {"nonlinearity": "relu"} if options.get("identity") else {}


def said(params, tokens, filler, options):
    """The word that is said after "orders": (B,)."""
    logits, _, _ = network_forward(one_hot(tokens, V), params, **options)
    return logits[np.arange(len(tokens)), ORDERS + filler].argmax(axis=1)


def by_question(params, rng, options):
    """Fraction of fresh sentences in which the asked person's food is named, and the other's, by who is asked.

    {"right friend": [for 0, 1, … filler words], "other friend": …, "right first": …, "other first": …}
    """
    tokens, _, filler = draw(rng, SETTINGS["test"])
    word, rows = said(params, tokens, filler, options), np.arange(len(tokens))
    friend = tokens[rows, ORDERS + filler - 1] == WORDS.index("friend")
    found = {}
    for who, other in (("friend", "first"), ("first", "friend")):
        asked = friend if who == "friend" else ~friend
        for name, at in (("right", ASKED[who]), ("other", ASKED[other])):
            found[f"{name} {who}"] = [round(float(np.mean((word == tokens[:, at])[asked & (filler == n)])), 3)
                                      for n in range(SETTINGS["filler"] + 1)]
    return found


def one(net, lr, steps, seed):
    """Train one network until it has learned the task; what it answers to either question, for each filler count.

    "learned" is the step of the first test that it passes, or None; "accuracies" are those of all tests.
    """
    rng = np.random.default_rng(seed)
    params, options = initial(net, rng)
    ask, latest, accuracies = NETS[net][3], {}, []

    def loss_and_grads(params, *drawn):
        latest["params"] = params
        return token_loss(params, *drawn, **options)

    def batches():
        for step in range(steps + 1):
            if step and step % SETTINGS["every"] == 0:
                tokens, targets, filler = draw(rng, SETTINGS["validation"], ask)
                right = targets[np.arange(len(tokens)), ORDERS + filler]
                accuracies.append(float(np.mean(said(latest["params"], tokens, filler, options) == right)))
                if accuracies[-1] >= SETTINGS["learned"]:
                    return
            yield batch(rng, SETTINGS["B"], ask)

    train(loss_and_grads, params, batches(), lr=lr, progress=False)
    learned = len(accuracies) * SETTINGS["every"] if accuracies[-1] >= SETTINGS["learned"] else None
    return by_question(latest["params"], rng, options) | {
        "learned": learned, "accuracies": [round(a, 3) for a in accuracies]}


def scored(pilot):
    """The pilot as `choose` wants it: the accuracy at each budget; of a run that has learned the task, more."""
    return by_budget(pilot, SETTINGS, lambda run, tests: run["accuracies"][:tests][-1], solved="learned")


def pilot_jobs():
    """Every rate at the larger budget."""
    return pilot_grid([{"net": net} for net in NETS if net not in RATE_OF], SETTINGS)


def chosen(pilot):
    """Rate and budget of each network, from the pilot."""
    found = choose(list(scored(pilot)), [net for net in NETS if net not in RATE_OF], SETTINGS["rates"],
                   SETTINGS["steps"], SETTINGS["tie"])
    return {net: found[RATE_OF.get(net, net)] for net in NETS}


def jobs(pilot, first):
    """The counting runs."""
    return [{"net": net, **chosen(pilot)[net], "seed": seed} for net in NETS
            for seed in range(first, first + SETTINGS["seeds"][net])]


def follows(record):
    """Does this network answer for either person, with each number of filler words?"""
    return min(record["right friend"] + record["right first"]) >= SETTINGS["follows"]


def count(records, net, holds=follows):
    """How many networks of this kind, and of how many."""
    runs = [r for r in records if r["net"] == net]
    return sum(map(holds, runs)), len(runs)


def by_lag(records, net):
    """{lag: (networks that answer at this lag, of how many)}: at lags that both persons have, both are asked."""
    where = {who: {ORDERS + n - ASKED[who]: n for n in range(SETTINGS["filler"] + 1)} for who in ASKED}
    lags = sorted({lag for who in where.values() for lag in who})
    return {lag: count(records, net, lambda r, lag=lag: all(
        r[f"right {who}"][at[lag]] >= SETTINGS["follows"] for who, at in where.items() if lag in at)) for lag in lags}


def verdict(records):
    """Word, sentence and number, by the criterion."""
    found = {net: count(records, net) for net in NETS}
    rnn, lstm = wilson(*found["IRNN"]), wilson(*found["LSTM"])
    one_does = found["IRNN"][0] + found["RNN, tanh"][0] > 0
    word = "False" if one_does else "True" if lstm[0] > 0.5 and found["IRNN"][1] >= 30 else "Open"
    than = ("more often than" if lstm[0] > rnn[1] else "less often than" if lstm[1] < rnn[0] else
            "about as often as")
    return verdict_of(word, {
        "False": "A plain RNN with ReLU, its W_hh starting as the identity, can learn to name either person's food at "
                 f"every lag that it was trained on; an LSTM of its size learns this {than} it does.",
        "True": "No plain RNN names either person's food at every lag, and most LSTMs of the same size do."},
        f"{found['IRNN'][0]} of {found['IRNN'][1]} IRNNs [{rnn[0]:.2f}, {rnn[1]:.2f}], {found['LSTM'][0]} of "
        f"{found['LSTM'][1]} LSTMs [{lstm[0]:.2f}, {lstm[1]:.2f}], {found['RNN, tanh'][0]} of "
        f"{found['RNN, tanh'][1]} RNNs with tanh")


def rival(records):
    """What brings the friend's food to the end, whoever is asked, in place of both RNNs."""
    friend = [r for r in records if r["net"] == "friend only"]
    return [r for r in records if r["net"] in ("LSTM", "friend only")] + [
        r | {"net": net} for r in friend for net in ("IRNN", "RNN, tanh")]


def shuffled(records, rng):
    """Whose food it was that was named, the asked person's or the other's, is dealt anew for each filler count."""
    dealt = []
    for record in records:
        record = dict(record)
        for who in ASKED:
            pairs = np.array([record[f"right {who}"], record[f"other {who}"]])
            record[f"right {who}"], record[f"other {who}"] = rng.permuted(pairs, axis=0).tolist()
        dealt.append(record)
    return dealt


if __name__ == "__main__":
    remake(__file__, SETTINGS, one, pilot_jobs(), jobs)
