"""The pizza sentence: after "but" the subject changes, and some words later somebody asks.

    nishchal likes pizza but his friend likes burger [filler words] so friend orders -> burger

If it is always the friend who orders, keeping the last food over the filler is enough. If either of
the two may be asked for, the network must know who likes what.
"""

import numpy as np

PEOPLE = ("nishchal", "priya", "rahul", "meera")
FOODS = ("pizza", "burger", "dosa", "momo", "pasta", "salad")
FILLER = ("today", "again", "often", "really", "perhaps", "there", "outside", "now")
GRAMMAR = ("likes", "but", "his", "friend", "so", "orders")
WORDS = PEOPLE + FOODS + FILLER + GRAMMAR


def encode(sentence):
    """The tokens (integers) of a sentence of known words.

    Raises ValueError for a word that is not in WORDS.
    """
    unknown = [word for word in sentence.split() if word not in WORDS]
    if unknown:
        raise ValueError(f"sentence has the unknown word {unknown[0]!r}; known are: {' '.join(WORDS)}")
    return np.array([WORDS.index(word) for word in sentence.split()])


def decode(tokens):
    """The words of a sequence of tokens, as one string."""
    return " ".join(WORDS[token] for token in tokens)


def pizza_sentences(rng, B, filler, ask="friend"):
    """B random pizza sentences, each with the same number of filler words before the question.

    rng     a numpy Generator
    filler  how many words stand between the second food and the question
    ask     "friend": the friend orders, always; "both": the friend or the first person, half and half

    Returns tokens (B, 12 + filler), integers. The last word of each row is the food that the one
    who orders likes: for the friend the second food. The first food is always a different one.
    Raises ValueError for another `ask`.
    """
    if ask not in ("friend", "both"):
        raise ValueError(f"ask is {ask!r}; wanted 'friend' or 'both'")

    def tokens_of(words):
        return np.array([WORDS.index(word) for word in words])

    def one_of(words, columns):
        return tokens_of(words)[rng.integers(len(words), size=(B, columns))]

    def fixed(text):
        return np.tile(encode(text), (B, 1))

    foods = rng.permuted(np.tile(tokens_of(FOODS), (B, 1)), axis=1)
    tokens = np.concatenate([
        one_of(PEOPLE, 1), fixed("likes"), foods[:, :1], fixed("but his friend likes"), foods[:, 1:2],
        one_of(FILLER, filler), fixed("so friend orders"), foods[:, 1:2]], axis=1)
    if ask == "both":
        other = rng.random(B) < 0.5
        tokens[other, -3], tokens[other, -1] = tokens[other, 0], tokens[other, 2]
    return tokens
