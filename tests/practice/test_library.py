"""What practice/ computes by itself, as a reference or to make mistakes from, is what the library computes."""

from types import SimpleNamespace

import numpy as np
import pytest

from lstmcourse import attention
from lstmcourse.lab.gradients import jacobian_norms_by_lag, lyapunov_exponent
from lstmcourse.practice import EXERCISES, lesson_08
from lstmcourse.practice.values import same
from lstmcourse.rnn import rnn_forward


def cases(id):
    for seed in range(3):
        yield from EXERCISES[id].cases(np.random.default_rng(seed))


def test_gradient_by_lag_is_the_library_s_where_nothing_leaks():
    for n, W_hh, _ in cases("3.2"):
        assert same(jacobian_norms_by_lag(n, W_hh), EXERCISES["3.2"].reference(n, W_hh, 1.0))


def test_lyapunov_exponent_is_the_library_s():
    for x, h_0, v_0, params in cases("3.4"):
        h, _ = rnn_forward(x[None], h_0[None], params)
        rng = SimpleNamespace(standard_normal=lambda H, v_0=v_0: v_0)
        assert same(lyapunov_exponent(h[0], params["W_hh"], rng), EXERCISES["3.4"].reference(x, h_0, v_0, params))


def test_masked_softmax_is_the_library_s_where_that_accepts_the_mask():
    refused = 0
    for scores, mask in cases("8.1"):
        if mask.any(axis=1).all():
            assert same(attention.masked_softmax_forward(scores, mask)[0], EXERCISES["8.1"].reference(scores, mask))
        else:
            refused += 1
            with pytest.raises(ValueError, match="mask"):
                attention.masked_softmax_forward(scores, mask)
    assert refused == 3


def test_additive_scores_and_contexts_are_the_library_s():
    rng = np.random.default_rng(7)
    for query, keys, params in cases("8.2"):
        scores = EXERCISES["8.2"].reference(query, keys, params)
        mask, values = np.ones(keys.shape[:2], bool), rng.standard_normal((*keys.shape[:2], 3))
        context, alpha, _ = attention.additive_attention_forward(query, keys, values, mask, params)
        assert same(alpha, EXERCISES["8.1"].reference(scores, mask))
        assert same(context, EXERCISES["8.3"].reference(alpha, values))


def test_dot_attention_backward_without_a_mistake_is_the_library_s():
    for dcontext, k in cases("8.4"):
        mask, scale = np.ones(k["keys"].shape[:2], bool), 1 / np.sqrt(k["query"].shape[2])
        _, _, cache = attention.dot_attention_forward(k["query"], k["keys"], k["values"], mask, scale)
        wanted = attention.dot_attention_backward(dcontext, cache)
        assert same(wanted, EXERCISES["8.4"].reference(dcontext, k))
        assert same(wanted, lesson_08._dot_backward(dcontext, k))


def test_alignment_error_rate_without_a_mistake_is_the_library_s():
    for alpha, sure, possible in cases("8.5"):
        assert same(lesson_08._aer(alpha, sure, possible), EXERCISES["8.5"].reference(alpha, sure, possible))
