"""The character-level language model of lesson 10."""

import inspect

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
from lstmcourse.layers import softmax
from lstmcourse.train import Adam, clip_grads, leaves, tree_map


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
    for layer, arrays in params.items():
        for key, array in arrays.items():
            np.testing.assert_array_equal(again[layer][key], array, err_msg=f"{layer} {key}", strict=True)


@pytest.fixture
def ablated(rng):
    """A language model, the same without unit 2, and tokens that both read."""
    params = init_char_lm(6, 3, 4, rng, "float64")
    return params, ablate_unit(params, 2), rng.integers(6, size=(2, 9))


def test_ablate_unit_empties_that_cell_state_whatever_was_in_it(ablated, rng):
    _, without, tokens = ablated
    states = [rng.standard_normal((2, 4)), 100 * np.ones((2, 4))]
    assert np.abs(char_lm_forward(tokens, without, states)[2][..., 2]).max() < 1e-20


def test_ablate_unit_leaves_the_other_cell_states(ablated):
    _, without, tokens = ablated
    assert np.abs(char_lm_forward(tokens, without)[2][..., [0, 1, 3]]).min() > 1e-9


def test_ablate_unit_leaves_its_params_alone(ablated, rng):
    params, _, _ = ablated
    before = params["lstm"]["W_ih"].copy()
    ablate_unit(params, 1)
    assert np.array_equal(params["lstm"]["W_ih"], before)


@pytest.mark.parametrize("k", [-1, 4])
def test_ablate_unit_rejects_a_unit_that_there_is_not(ablated, k):
    with pytest.raises(ValueError, match=f"^k is {k}; wanted a unit, 0 to 3"):
        ablate_unit(ablated[0], k)


def test_init_char_lm_has_forget_biases_of_1(rng):
    lstm = init_char_lm(6, 3, 4, rng, "float64")["lstm"]
    assert (lstm["b_ih"] + lstm["b_hh"])[4:8].tolist() == [1.0] * 4


@pytest.mark.parametrize("max_norm", [0.05, None])
def test_train_char_lm_is_truncated_bptt_with_clipping_and_linear_decay(max_norm, rng):
    start, tokens = init_char_lm(5, 3, 4, rng, "float64"), rng.integers(5, size=35)
    got, bits = train_char_lm(tokens, start, 6, B=2, T=4, lr=0.1, max_norm=max_norm, progress=False)
    rows, adam, params, states, wanted_bits = tokens[:34].reshape(2, 17), Adam(0.1), start, None, []
    for step, at in enumerate([0, 4, 8, 12, 0, 4]):        # 12 + 4 + 1 = 17; then from the beginning, from zero states
        states = None if at == 0 else states
        loss, grads, states = char_lm_loss(rows[:, at:at + 5], params, states)
        adam.lr = 0.1 * (1 - step / 6)
        params = adam.step(params, grads if max_norm is None else clip_grads(grads, max_norm)[0])
        wanted_bits.append(loss / np.log(2))
    assert bits == wanted_bits
    assert [np.array_equal(a, b) for a, b in zip(leaves(got), leaves(params), strict=True)] == [True] * 7


def test_train_char_lm_has_its_defaults():
    options = inspect.signature(train_char_lm).parameters
    assert {name: options[name].default for name in ("B", "T", "lr", "max_norm")} == {
        "B": 16, "T": 64, "lr": 1e-2, "max_norm": 1.0}


def test_train_char_lm_calls_back_before_every_step(rng):
    start, seen = init_char_lm(5, 3, 4, rng), []
    train_char_lm(rng.integers(5, size=40), start, 3, B=2, T=4, progress=False,
                  callback=lambda step, params: seen.append((step, params is start)))
    assert seen == [(0, True), (1, False), (2, False)]


@pytest.mark.parametrize("N", [0, 1, 7])
def test_train_char_lm_names_a_text_that_is_too_short(N, rng):
    with pytest.raises(ValueError, match=rf"^tokens has shape \({N},\); wanted \(N,\), N at least 2 B = 8"):
        train_char_lm(np.zeros(N, int), init_char_lm(5, 3, 4, rng), 3, B=4, progress=False)


def with_large_weights(rng):
    """A language model of 6 characters that is sure of itself: initial weights predict nearly the same everywhere."""
    return tree_map(lambda a: 4 * a, init_char_lm(6, 3, 4, rng, "float64"))


def test_sample_goes_on_from_the_last_character_of_the_prompt(rng):
    params = with_large_weights(rng)
    prompts = rng.integers(6, size=(40, 5))
    wanted = char_lm_forward(prompts, params)[0][:, -1].argmax(axis=1)
    assert [sample(params, prompt, 1, 0, rng)[0] for prompt in prompts] == wanted.tolist()


@pytest.mark.parametrize("temperature", [0.5, 2.0])
def test_sample_divides_the_logits_by_the_temperature(temperature, rng):
    params, prompt = with_large_weights(rng), np.array([1, 2])
    drawn = np.bincount([sample(params, prompt, 1, temperature, rng)[0] for _ in range(3000)], minlength=6) / 3000
    logits = char_lm_forward(prompt[None], params)[0][0, -1]
    assert np.abs(drawn - softmax(logits / temperature)).max() < 0.04


def test_sample_at_a_tiny_temperature_takes_the_likeliest(rng):
    params, prompt = with_large_weights(rng), np.array([1, 2])
    assert np.array_equal(sample(params, prompt, 8, 1e-310, rng), sample(params, prompt, 8, 0, rng))


def test_sample_names_an_empty_prompt(rng):
    with pytest.raises(ValueError, match=r"^prompt has shape \(0,\); wanted \(N,\), at least one token"):
        sample(init_char_lm(3, 2, 4, rng), [], 1, 1.0, rng)


@pytest.mark.parametrize("temperature", [0, 1.0])
def test_sample_stops_at_logits_that_are_not_finite(temperature, rng):
    params = init_char_lm(3, 2, 4, rng)
    params["linear"]["W"][0] = np.nan
    with pytest.raises(FloatingPointError, match="^the logits hold NaN or infinity"):
        sample(params, np.array([0]), 1, temperature, rng)


@pytest.mark.parametrize("name", ["reader", "reader.npz", "reader.bin"])
def test_saved_params_are_in_the_file_that_was_named(name, rng, tmp_path):
    save_params(tmp_path / name, init_char_lm(6, 3, 4, rng))
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert set(load_params(str(tmp_path / name))) == {"embedding", "lstm", "linear"}
