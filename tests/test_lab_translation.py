"""The translator's tools: what it writes, where it looks, and the look moved by a mask or another sentence's keys."""

import numpy as np
import pytest

from lstmcourse.data import hindi
from lstmcourse.lab.translation import (
    encoder_states,
    exact,
    gender_twin,
    only,
    split_clauses,
    teacher_forced,
    train_translator,
    write,
)
from lstmcourse.seq2seq import Model, init_seq2seq

MODEL = Model("lstm", bidirectional=True, attention="dot", values="words")
PAIRS = [hindi.pair_of("mai ghar jaa raha hu"), hindi.pair_of("vah aaj ghar jaa rahi hai")]


@pytest.fixture
def params():
    return init_seq2seq(MODEL, *map(len, hindi.vocabularies()), 6, 8, np.random.default_rng(3))


def test_split_clauses_takes_both_conjunctions():
    assert split_clauses("i am going home and he is reading but she is singing") == [
        "i am going home", "he is reading", "she is singing"]


def test_train_translator_learns_and_moves_with_its_rng():
    first, second = (train_translator(MODEL, np.random.default_rng(seed), 64, [1], 0.01, epochs=2, E=6, H=8)
                     for seed in (0, 1))
    again = train_translator(MODEL, np.random.default_rng(0), 64, [1], 0.01, epochs=2, E=6, H=8)
    assert np.array_equal(first["output"]["W"], again["output"]["W"])
    assert not np.array_equal(first["output"]["W"], second["output"]["W"])
    start = init_seq2seq(MODEL, *map(len, hindi.vocabularies()), 6, 8, np.random.default_rng(0))
    assert first["output"]["W"].shape == start["output"]["W"].shape


def test_train_translator_keeps_the_dtype_that_it_is_asked_for():
    params = train_translator(MODEL, np.random.default_rng(0), 32, [1, 2], 0.01, E=6, H=8, dtype="float32")
    assert params["encoder"]["W_hh"].dtype == np.float32


def test_exact_counts_the_sentences_that_are_written_like_the_reference(params):
    written = write(params, MODEL, PAIRS, max_length=3)
    assert len(written) == 2
    right = [pair._replace(english=text) for pair, text in zip(PAIRS, write(params, MODEL, PAIRS), strict=True)]
    assert exact(params, MODEL, right) == 1
    assert exact(params, MODEL, [right[0], PAIRS[1]]) == 0.5


def test_only_leaves_one_source_word_with_all_the_weight(params):
    _, alpha = teacher_forced(params, MODEL, PAIRS)
    positions = np.tile([[1], [4]], (1, alpha.shape[1]))
    _, moved = teacher_forced(params, MODEL, PAIRS, mask=only(positions, alpha))
    assert np.array_equal(moved, np.eye(alpha.shape[2])[positions])


def test_a_hidden_word_has_no_weight_and_the_others_are_renormalized(params):
    _, alpha = teacher_forced(params, MODEL, PAIRS)
    hide = only(np.array([[2], [0]]), alpha)
    _, moved = teacher_forced(params, MODEL, PAIRS, mask=~hide)
    kept = np.where(hide, 0, alpha)
    np.testing.assert_allclose(moved, kept / kept.sum(axis=-1, keepdims=True), rtol=1e-12, atol=1e-15)
    assert moved[0, :, 5:].max() == 0                                          # the padding stays masked


@pytest.mark.parametrize("name", ["state", "keys", "values"])
def test_replacing_what_the_encoder_made_changes_the_logits_and_its_own_changes_nothing(params, name):
    twins = [PAIRS[1], gender_twin(PAIRS[1])]
    logits, alpha = teacher_forced(params, MODEL, twins)
    own, other = encoder_states(params, MODEL, twins), encoder_states(params, MODEL, twins[::-1])
    assert np.array_equal(teacher_forced(params, MODEL, twins, **{name: own[name]})[0], logits)
    moved, moved_alpha = teacher_forced(params, MODEL, twins, **{name: other[name]})
    assert not np.allclose(moved, logits)
    assert np.allclose(moved_alpha, alpha) == (name == "values")               # values are handed over, not looked at


def test_gender_twin_changes_raha_and_rahi_alone():
    twin = gender_twin(PAIRS[1])
    assert (twin.hindi, twin.english) == ("vah aaj ghar jaa raha hai", "he is going home today")
    assert gender_twin(twin) == PAIRS[1]
