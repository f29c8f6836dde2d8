"""The pizza sentence: after "but" the subject changes, and some words later somebody asks.

    nishchal likes pizza but his friend likes burger [filler words] so friend orders -> burger

To name the last word, the first food has to be dropped and the second one kept over the filler.
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


def pizza_sentences(rng, B, filler):
    """B random pizza sentences, each with the same number of filler words before the question.

    rng     a numpy Generator
    filler  how many words stand between the second food and the question

    Returns tokens (B, 12 + filler), integers. The last word of each row is the second food: what
    the friend orders. The first food, which somebody else likes, is always a different one.
    """
    def tokens_of(words):
        return np.array([WORDS.index(word) for word in words])

    def one_of(words, columns):
        return tokens_of(words)[rng.integers(len(words), size=(B, columns))]

    def fixed(text):
        return np.tile(encode(text), (B, 1))

    foods = rng.permuted(np.tile(tokens_of(FOODS), (B, 1)), axis=1)
    return np.concatenate([
        one_of(PEOPLE, 1), fixed("likes"), foods[:, :1], fixed("but his friend likes"), foods[:, 1:2],
        one_of(FILLER, filler), fixed("so friend orders"), foods[:, 1:2]], axis=1)
