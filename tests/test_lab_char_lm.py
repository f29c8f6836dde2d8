"""The character-level language model of lesson 10."""

import numpy as np
import pytest

from lstmcourse.gradcheck import numerical_gradient, relative_error
from lstmcourse.lab.char_lm import (
    batchify,
    char_lm_forward,
    char_lm_loss,
    evaluate,
    init_char_lm,
    load_params,
    sample,
    save_params,
    train_char_lm,
)
from lstmcourse.lab.interventions import ablate_unit


@pytest.mark.parametrize(("layer", "key"), [("embedding", "W"), ("lstm", "W_ih"), ("lstm", "W_hh"), ("linear", "W")])
def test_char_lm_loss_returns_its_gradient(layer, key, rng):
    params, tokens = init_char_lm(6, 3, 4, rng, "float64"), rng.integers(6, size=(2, 6))
    states = [rng.standard_normal((2, 4)) for _ in range(2)]
    _, grads, _ = char_lm_loss(tokens, params, states)
    wanted = numerical_gradient(
        lambda a: char_lm_loss(tokens, params | {layer: params[layer] | {key: a}}, states)[0], params[layer][key])
    assert relative_error(grads[layer][key], wanted) < 1e-6


def test_char_lm_hands_its_states_on(rng):
    params, tokens = init_char_lm(6, 3, 4, rng, "float64"), rng.integers(6, size=(2, 9))
    whole, *_ = char_lm_forward(tokens, params)
    first, states, *_ = char_lm_forward(tokens[:, :4], params)
    second, *_ = char_lm_forward(tokens[:, 4:], params, states)
    assert relative_error(np.concatenate([first, second], axis=1), whole) < 1e-14


def test_char_lm_stays_in_float32(rng):
    params, tokens = init_char_lm(6, 3, 4, rng), rng.integers(6, size=(2, 9))
    logits, states, c, _ = char_lm_forward(tokens, params)
    assert {a.dtype for a in (logits, *states, c)} == {np.dtype("float32")}


def test_batchify_gives_pieces_of_the_text_in_order():
    assert batchify(np.arange(11), 3).tolist() == [[0, 1, 2], [3, 4, 5], [6, 7, 8]]


def test_training_learns_a_text_that_repeats(rng):
    tokens = np.tile(rng.integers(5, size=7), 400)
    params, bits = train_char_lm(tokens, init_char_lm(5, 4, 16, rng), 150, B=4, T=20, progress=False)
    assert bits[0] > 2
    assert np.mean(bits[-5:]) < 0.2
    assert evaluate(tokens, params, B=2)[0][:, 20:].mean() < 0.2


def test_read_in_pieces_gives_what_one_pass_gives(rng):
    params, tokens = init_char_lm(6, 3, 4, rng, "float64"), rng.integers(6, size=63)
    bits, cells = evaluate(tokens, params, B=3, T=5)
    text = batchify(tokens, 3)
    _, _, c, _ = char_lm_forward(text[:, :-1], params)
    assert bits.shape == (3, 20)
    assert relative_error(cells, np.tanh(c)) < 1e-14
    assert abs(bits.mean() * np.log(2) - char_lm_loss(text, params)[0]) < 1e-12


def test_sample_at_temperature_0_takes_the_likeliest(rng):
    params, prompt = init_char_lm(6, 3, 4, rng), rng.integers(6, size=5)
    written = sample(params, prompt, 8, 0, rng)
    whole = np.concatenate([prompt, written])
    logits, *_ = char_lm_forward(whole[None, :-1], params)
    assert np.array_equal(logits[0, 4:].argmax(axis=1), written)


def test_sample_at_temperature_1_draws_from_the_softmax(rng):
    params = init_char_lm(3, 2, 4, rng)
    first = [sample(params, np.array([1, 2]), 1, 1.0, rng)[0] for _ in range(3000)]
    logits, *_ = char_lm_forward(np.array([[1, 2]]), params)
    p = np.exp(logits[0, -1]) / np.exp(logits[0, -1]).sum()
    assert np.abs(np.bincount(first, minlength=3) / 3000 - p).max() < 0.04


def test_sample_names_a_negative_temperature(rng):
    with pytest.raises(ValueError, match="temperature is -1"):
        sample(init_char_lm(3, 2, 4, rng), np.array([0]), 1, -1, rng)


def test_saved_params_come_back_to_the_last_bit(rng, tmp_path):
    params = init_char_lm(6, 3, 4, rng)
    save_params(tmp_path / "reader.npz", params)
    again = load_params(tmp_path / "reader.npz")
    assert {layer: set(arrays) for layer, arrays in again.items()} == {k: set(v) for k, v in params.items()}
    assert all(np.array_equal(again[layer][key], array) and again[layer][key].dtype == array.dtype
               for layer, arrays in params.items() for key, array in arrays.items())


def test_ablate_unit_empties_that_cell_and_leaves_the_params_alone(rng):
    params, tokens = init_char_lm(6, 3, 4, rng, "float64"), rng.integers(6, size=(2, 9))
    before = params["lstm"]["W_ih"].copy()
    _, _, c, _ = char_lm_forward(tokens, ablate_unit(params, 2))
    assert np.abs(c[..., 2]).max() < 1e-20
    assert np.abs(c[..., [0, 1, 3]]).min() > 1e-9
    assert np.array_equal(params["lstm"]["W_ih"], before)
