"""The context switch: who is talked about changes, and after each part somebody asks what he orders.

    nishchal likes pizza [filler] so orders ___ but friend priya likes burger [filler] so orders ___
                                            pizza                                               burger

To answer twice, the first food has to be kept over the filler, then dropped for the second one.
"""

import numpy as np

from lstmcourse.data.pizza import FILLER, FOODS, PEOPLE, WORDS

SWITCH = ("but", "friend", "NAME", "likes", "FOOD")      # the phrase that changes the subject


def context_switch(rng, B, filler, but_is_filler=False):
    """B random sentences with one change of subject and two questions.

    rng            a numpy Generator
    filler         each of the two stretches of filler has 0 … filler words
    but_is_filler  True: "but" is one of the filler words as well, and tells nothing by itself

    Returns a dict of arrays (B, T), T = 12 + 2 filler: tokens (integers, see pizza.WORDS; filler after
    the second question), targets (the right food; 0 where nothing is asked) and mask (True at the
    two questions); also starts (B,), where "but" of the switch stands, and foods (B, 2), tokens.
    The two foods are drawn independently, so that they are the same in one sentence of six.
    """
    T = 12 + 2 * filler
    index = {word: k for k, word in enumerate(WORDS)}
    idle = [index[word] for word in FILLER + (("but",) if but_is_filler else ())]
    tokens = rng.choice(idle, size=(B, T))
    people = rng.permuted(np.tile([index[word] for word in PEOPLE], (B, 1)), axis=1)[:, :2]
    foods = np.array([index[word] for word in FOODS])[rng.integers(len(FOODS), size=(B, 2))]
    gaps = rng.integers(filler + 1, size=(B, 2))
    targets, mask, rows = np.zeros((B, T), int), np.zeros((B, T), bool), np.arange(B)
    starts = 5 + gaps[:, 0]

    def put(at, words):
        for k, word in enumerate(words):
            tokens[rows, at + k] = index[word] if isinstance(word, str) else word

    for part, start in enumerate((np.zeros(B, int), starts + 2)):
        put(start, (people[:, part], "likes", foods[:, part]))
        put(start + 3 + gaps[:, part], ("so", "orders"))
        targets[rows, start + 4 + gaps[:, part]] = foods[:, part]
        mask[rows, start + 4 + gaps[:, part]] = True
    put(starts, ("but", "friend"))
    return {"tokens": tokens, "targets": targets, "mask": mask, "starts": starts, "foods": foods}
