"""The embedded Reber grammar (Cleeremans et al. 1989) and its continual version (Gers et al. 2000).

    B T <a Reber string> T E     or     B P <a Reber string> P E

Six of seven symbols follow from the last one or two. The last but one does not: it repeats the
second, which has to be kept over the whole inner string.
"""

import numpy as np

SYMBOLS = "BTPSXVE"
#        node -> what may come, and where it leads; 6 is the end (Reber 1967)
GRAPH = {0: {"T": 1, "P": 2}, 1: {"S": 1, "X": 3}, 2: {"T": 2, "V": 4}, 3: {"X": 2, "S": 5},
         4: {"P": 3, "V": 5}, 5: {"E": 6}}


def embedded_reber(rng):
    """One random string, such as BTBTXSETE, and what may come after each of its symbols.

    Returns the string (N symbols) and allowed_next, a list of N - 1 strings: allowed_next[t] holds the symbols
    that may come at t + 1.
    """
    outer = "TP"[rng.integers(2)]
    string, allowed_next, node = f"B{outer}B", ["TP", "B"], 0
    while node != 6:
        choices = GRAPH[node]
        allowed_next.append("".join(choices))
        symbol = allowed_next[-1][rng.integers(len(choices))]
        string, node = string + symbol, choices[symbol]
    return f"{string}{outer}E", [*allowed_next, outer, "E"]


def reber_strings(rng, B):
    """B embedded Reber strings, padded to the longest.

    Returns a dict: tokens (B, T + 1), integers in 0 … 6 (0 where the string is over), mask (B, T), True
    where tokens[:, t + 1] is a symbol of the string, allowed_next (B, T, 7), True for what may come next, and
    long_range (B, T), True where the next symbol is the one that repeats the second.
    """
    strings = [embedded_reber(rng) for _ in range(B)]
    T = max(len(allowed_next) for _, allowed_next in strings)
    tokens, allowed = np.zeros((B, T + 1), int), np.zeros((B, T, 7), bool)
    mask, long_range = np.zeros((B, T), bool), np.zeros((B, T), bool)
    for b, (string, allowed_next) in enumerate(strings):
        tokens[b, :len(string)] = [SYMBOLS.index(symbol) for symbol in string]
        _allow(allowed[b], allowed_next)
        mask[b, :len(allowed_next)] = True
        long_range[b, len(allowed_next) - 2] = True
    return {"tokens": tokens, "mask": mask, "allowed_next": allowed, "long_range": long_range}


def reber_stream(rng, B, T):
    """B endless streams, cut off after T + 1 symbols: one embedded string after the other, no pause.

    Returns what `reber_strings` returns; mask is True everywhere. After E comes the B of the next string.
    """
    tokens, allowed, long_range = np.zeros((B, T + 1), int), np.zeros((B, T, 7), bool), np.zeros((B, T), bool)
    for b in range(B):
        text, allowed_next, distant = "", [], []
        while len(text) < T + 1:
            string, after = embedded_reber(rng)
            text, allowed_next = text + string, [*allowed_next, *after, "B"]
            distant += [*[False] * (len(after) - 2), True, False, False]
        tokens[b] = [SYMBOLS.index(symbol) for symbol in text[:T + 1]]
        _allow(allowed[b], allowed_next[:T])
        long_range[b] = distant[:T]
    return {"tokens": tokens, "mask": np.ones((B, T), bool), "allowed_next": allowed, "long_range": long_range}


def _allow(allowed, allowed_next):
    """Mark in allowed (T, 7) the symbols of each string in allowed_next."""
    for t, symbols in enumerate(allowed_next):
        allowed[t, [SYMBOLS.index(symbol) for symbol in symbols]] = True
