"""The pizza sentence."""

import numpy as np
import pytest

from lstmcourse.data.pizza import FOODS, WORDS, decode, encode, pizza_sentences


def test_pizza_words_are_distinct():
    assert len(set(WORDS)) == len(WORDS)


def test_pizza_answer_is_the_second_food(rng):
    for row in pizza_sentences(rng, 50, filler=3):
        words = decode(row).split()
        assert words[7] == words[-1]
        assert words[2] != words[-1]
        assert {words[2], words[-1]} <= set(FOODS)


def test_pizza_sentence_reads_as_documented(rng):
    words = decode(pizza_sentences(rng, 1, filler=2)[0]).split()
    assert " ".join(words[3:7]) == "but his friend likes"
    assert " ".join(words[-4:-1]) == "so friend orders"
    assert len(words) == 14


def test_pizza_foods_are_all_equally_likely(rng):
    answers = pizza_sentences(rng, 6000, filler=0)[:, -1]
    counts = np.bincount(answers, minlength=len(WORDS))[[WORDS.index(food) for food in FOODS]]
    assert np.abs(counts / 6000 - 1 / 6).max() < 0.03


def test_pizza_same_seed_same_sentences():
    first, second = (pizza_sentences(np.random.default_rng(5), 4, 6) for _ in range(2))
    assert np.array_equal(first, second)


def test_pizza_decode_undoes_encode():
    sentence = "nishchal likes pizza but his friend likes burger"
    assert decode(encode(sentence)) == sentence


def test_pizza_encode_names_the_unknown_word():
    with pytest.raises(ValueError, match="unknown word 'sushi'"):
        encode("nishchal likes sushi")


def test_pizza_ask_both_asks_for_either_person(rng):
    rows = [decode(row).split() for row in pizza_sentences(rng, 400, filler=3, ask="both")]
    friend = [words for words in rows if words[-3] == "friend"]
    other = [words for words in rows if words[-3] == words[0]]
    assert len(friend) + len(other) == 400
    assert 150 < len(friend) < 250
    assert [words for words in friend if words[-1] != words[7]] == []
    assert [words for words in other if words[-1] != words[2]] == []


def test_pizza_names_an_unknown_ask(rng):
    with pytest.raises(ValueError, match="ask is 'priya'"):
        pizza_sentences(rng, 2, filler=0, ask="priya")
