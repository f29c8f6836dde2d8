"""The embedded Reber grammar, and its endless stream."""

import re

import numpy as np
import pytest

from lstmcourse.data.reber import SYMBOLS, embedded_reber, reber_stream, reber_strings


def accepted(inner):
    """Walk Reber's graph, written down here a second time as pairs (place, symbol) -> place."""
    arcs = {("1", "T"): "2", ("1", "P"): "3", ("2", "S"): "2", ("2", "X"): "4", ("4", "S"): "6", ("4", "X"): "3",
            ("3", "T"): "3", ("3", "V"): "5", ("5", "V"): "6", ("5", "P"): "4", ("6", "E"): "end"}
    place = "1"
    for symbol in inner:
        place = arcs.get((place, symbol))
        if place is None:
            return False
    return place == "end"


def test_embedded_reber_inner_string_is_in_the_grammar(rng):
    for _ in range(200):
        string, _ = embedded_reber(rng)
        assert accepted(string[3:-2])


def test_embedded_reber_last_but_one_repeats_the_second(rng):
    strings = [embedded_reber(rng)[0] for _ in range(200)]
    assert [s for s in strings if (s[0], s[1], s[2], s[-1]) != ("B", s[-2], "B", "E")] == []
    assert {s[1] for s in strings} == {"T", "P"}


def test_embedded_reber_legal_holds_what_comes(rng):
    for _ in range(100):
        string, legal = embedded_reber(rng)
        assert len(legal) == len(string) - 1
        assert [pair for pair in zip(string[1:], legal, strict=True) if pair[0] not in pair[1]] == []
        assert legal[-2] == string[1]


def test_embedded_reber_both_branches_are_equally_likely(rng):
    share = np.mean([embedded_reber(rng)[0][3] == "T" for _ in range(2000)])
    assert share == pytest.approx(0.5, abs=0.05)


def test_reber_strings_agree_with_the_string(rng):
    drawn = reber_strings(rng, 30)
    columns = (drawn[name] for name in ("tokens", "mask", "allowed_next", "long_range"))
    for tokens, mask, legal, far in zip(*columns, strict=True):
        n = mask.sum()
        string = "".join(SYMBOLS[token] for token in tokens[:n + 1])
        assert accepted(string[3:-2])
        assert mask[:n].all()
        assert far.sum() == 1
        assert far[n - 2]
        assert legal[range(n), tokens[1:n + 1]].tolist() == [True] * n
        assert not legal[n:].any()


def test_reber_stream_is_one_string_after_the_other(rng):
    drawn = reber_stream(rng, 3, 90)
    assert drawn["tokens"].shape == (3, 91)
    assert drawn["long_range"].shape == (3, 90)
    assert drawn["allowed_next"].shape == (3, 90, 7)
    for tokens, legal, far in zip(drawn["tokens"], drawn["allowed_next"], drawn["long_range"], strict=True):
        text = "".join(SYMBOLS[token] for token in tokens)
        whole = re.split("(?<=[TP]E)(?=B[TP]B)", text)
        assert [part for part in whole[:-1] if not accepted(part[3:-2])] == []
        assert len(whole) > 3
        assert legal[range(90), tokens[1:91]].tolist() == [True] * 90
        ends = np.cumsum([len(part) for part in whole[:-1]])
        assert far.nonzero()[0][:len(ends)].tolist() == (ends - 3).tolist()


@pytest.mark.parametrize("seed", range(30))
def test_reber_stream_is_long_enough_wherever_a_string_ends(seed):
    drawn = reber_stream(np.random.default_rng(seed), 4, 9)
    assert drawn["tokens"].shape == (4, 10)
