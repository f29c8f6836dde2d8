"""The small causal Transformer of lesson 09's trial: its gradients, its causality, and that it learns."""

import functools

import numpy as np
import pytest
import torch

from lstmcourse.gradcheck import numerical_gradient, relative_error
from lstmcourse.lab.transformer_lm import init_transformer_lm, transformer_lm_forward, transformer_lm_loss
from lstmcourse.train import count_parameters, leaves, train, tree_map
from lstmcourse.transformer import positional_encoding
from tests import torch_models

V, E, HEADS, B, T = 5, 6, 2, 3, 4

positions = pytest.mark.parametrize("longest", [None, 7], ids=["sines", "learned"])


def model_and_batch(rng, longest=None, dtype="float64"):
    """Params with nothing at 0 or 1, and a batch whose first sequence has padding."""
    params = init_transformer_lm(V, E, 2, rng, outputs=3, hidden=7, longest=longest)
    params = tree_map(lambda a: (a + 0.3 * rng.standard_normal(a.shape)).astype(dtype), params)
    mask = np.ones((B, T), bool)
    mask[0, 2:] = False
    return params, (rng.integers(V, size=(B, T)), rng.integers(3, size=(B, T)), mask)


@positions
def test_transformer_lm_loss_returns_its_gradient(longest, rng):
    params, batch = model_and_batch(rng, longest)
    _, grads = transformer_lm_loss(params, *batch, heads=HEADS)
    arrays, got = leaves(params), leaves(grads)
    assert [a.shape for a in arrays] == [g.shape for g in got]
    largest = max(np.abs(g).max() for g in got)
    for position, array in enumerate(arrays):
        def loss(moved, position=position):
            queue = iter([*arrays[:position], moved, *arrays[position + 1:]])
            return transformer_lm_loss(tree_map(lambda _: next(queue), params), *batch, heads=HEADS)[0]
        difference = np.abs(got[position] - numerical_gradient(loss, array)).max()
        assert difference < max(1e-6 * np.abs(got[position]).max(), 1e-9 * largest), position     # b_k has gradient 0


def test_transformer_lm_is_torchs_encoder_between_embedding_and_linear_layer(rng):
    params, (tokens, *_) = model_and_batch(rng)
    layer = torch.nn.TransformerEncoderLayer(E, HEADS, 7, dropout=0, batch_first=True, norm_first=True,
                                             dtype=torch.float64)
    encoder = torch.nn.TransformerEncoder(layer, 2, torch.nn.LayerNorm(E, dtype=torch.float64),
                                          enable_nested_tensor=False)
    weights = {f"layers.{n}.{name}": w for n, block in params["blocks"].items()
               for name, w in torch_models.block_weights(tree_map(torch.tensor, block)).items()}
    weights |= {f"norm.{theirs}": torch.tensor(params["norm"][ours])
                for theirs, ours in (("weight", "W"), ("bias", "b"))}
    x = torch.tensor(params["embedding"]["W"][tokens] + positional_encoding(T, E))
    hidden = torch.ones((T, T), dtype=torch.bool).triu(1)
    y = torch.func.functional_call(encoder, weights, (x, hidden)).numpy()
    logits, alphas, _ = transformer_lm_forward(tokens, params, HEADS)
    assert relative_error(logits, y @ params["output"]["W"].T + params["output"]["b"]) < 1e-12
    assert [alpha.shape for alpha in alphas] == [(B, HEADS, T, T)] * 2


@positions
def test_transformer_lm_does_not_see_later_tokens(longest, rng):
    params, (tokens, *_) = model_and_batch(rng, longest)
    moved = tokens.copy()
    moved[:, 2:] = (moved[:, 2:] + 1) % V
    before, after = (transformer_lm_forward(given, params, HEADS)[0] for given in (tokens, moved))
    assert np.array_equal(before[:, :2], after[:, :2])
    assert (before[:, 2:] != after[:, 2:]).all()


@positions
def test_transformer_lm_sees_the_order_of_earlier_tokens(longest, rng):
    params, _ = model_and_batch(rng, longest)
    logits, *_ = transformer_lm_forward(np.array([[1, 2, 3], [2, 1, 3]]), params, HEADS)
    assert np.abs(logits[0, 2] - logits[1, 2]).max() > 1e-3


def test_transformer_lm_with_learned_positions_refuses_a_longer_sequence(rng):
    params, _ = model_and_batch(rng, longest=7)
    with pytest.raises(ValueError, match=r"tokens has shape \(2, 8\); wanted at most 7 steps"):
        transformer_lm_forward(np.zeros((2, 8), int), params, HEADS)


@positions
def test_transformer_lm_keeps_float32(longest, rng):
    params, batch = model_and_batch(rng, longest, "float32")
    logits, alphas, _ = transformer_lm_forward(batch[0], params, HEADS)
    _, grads = transformer_lm_loss(params, *batch, heads=HEADS)
    assert {a.dtype.name for a in (logits, *alphas, *leaves(grads))} == {"float32"}


def test_init_transformer_lm_is_a_language_model_of_four_times_the_width(rng):
    params = init_transformer_lm(V, E, 1, rng, dtype="float32")
    assert params["output"]["W"].shape == (V, E)
    assert params["blocks"]["0"]["linear1"]["W"].shape == (4 * E, E)
    assert "positions" not in params
    assert {a.dtype.name for a in leaves(params)} == {"float32"}
    assert count_parameters(params) == 2 * V * E + V + 12 * E * E + 13 * E + 2 * E


def test_transformer_lm_learns_to_copy_the_token_two_steps_before(rng):
    def batch():
        tokens = rng.integers(V, size=(16, 8))
        return tokens, np.roll(tokens, 2, axis=1), np.arange(8) >= np.full((16, 1), 2)
    params, _ = train(functools.partial(transformer_lm_loss, heads=HEADS), init_transformer_lm(V, 16, 1, rng),
                      [batch() for _ in range(300)], lr=0.01, progress=False)
    tokens, targets, mask = batch()
    assert (transformer_lm_forward(tokens, params, HEADS)[0].argmax(axis=2) == targets)[mask].mean() > 0.95
