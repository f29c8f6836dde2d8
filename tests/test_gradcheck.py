"""The checker is itself checked: it must reject wrong backwards, and accept the right one."""

import numpy as np
import pytest

from lstmcourse.gradcheck import assert_gradients, numerical_gradient, relative_error
from lstmcourse.lstm import lstm_backward, lstm_cell_backward, lstm_cell_forward, lstm_forward
from lstmcourse.rnn import rnn_backward, rnn_forward
from lstmcourse.train import init_recurrent


@pytest.fixture
def inputs(rng):
    B, T, D, H = 2, 4, 3, 5
    return [rng.standard_normal((B, T, D)), rng.standard_normal((B, H)), rng.standard_normal((B, H)),
            init_recurrent("lstm", D, H, rng)]


def loop_backward(dh, dc, cells, drop_dc_next=False):
    """The LSTM's backward as a loop over cells, as a learner writes it; may forget dc_next."""
    dx, dh_next, dc_next, total = [], 0, 0, None
    for t in reversed(range(len(cells))):
        dx_t, dh_next, dc_next, grads = lstm_cell_backward(dh[:, t] + dh_next, dc[:, t] + dc_next, cells[t])
        if drop_dc_next:
            dc_next = np.zeros_like(dc_next)
        dx.append(dx_t)
        total = grads if total is None else {key: total[key] + grads[key] for key in total}
    return np.stack(dx[::-1], axis=1), dh_next, dc_next, total


def loop_forward(x, h_0, c_0, params):
    """The LSTM as a loop over cells; the cache is the list of theirs."""
    h, c, cells, h_t, c_t = [], [], [], h_0, c_0
    for t in range(x.shape[1]):
        h_t, c_t, cell = lstm_cell_forward(x[:, t], h_t, c_t, params)
        h.append(h_t)
        c.append(c_t)
        cells.append(cell)
    return np.stack(h, axis=1), np.stack(c, axis=1), cells


def test_gradcheck_accepts_the_right_backward(inputs, rng):
    assert_gradients(loop_forward, loop_backward, inputs, rng)


def test_gradcheck_rejects_a_sign_flip(inputs, rng):
    def backward(dh, dc, cache):
        dx, dh_0, dc_0, grads = lstm_backward(dh, dc, cache)
        return dx, dh_0, dc_0, grads | {"b_hh": -grads["b_hh"]}
    with pytest.raises(AssertionError, match=r"params\['b_hh'\]"):
        assert_gradients(lstm_forward, backward, inputs, rng)


def test_gradcheck_rejects_a_dropped_dc_next(inputs, rng):
    def backward(dh, dc, cells):
        return loop_backward(dh, dc, cells, drop_dc_next=True)
    with pytest.raises(AssertionError, match="x: backward differs"):
        assert_gradients(loop_forward, backward, inputs, rng)


def test_gradcheck_rejects_a_swapped_gate(inputs, rng):
    def backward(dh, dc, cache):
        *rest, grads = lstm_backward(dh, dc, cache)
        return *rest, {key: g[np.r_[5:10, 0:5, 10:20]] for key, g in grads.items()}      # i and f
    with pytest.raises(AssertionError, match=r"params\['W_ih'\]"):
        assert_gradients(lstm_forward, backward, inputs, rng)


def test_gradcheck_rejects_an_upstream_changed_in_place(inputs, rng):
    def backward(dh, dc, cache):
        grads = lstm_backward(dh, dc, cache)
        dh *= 2
        return grads
    with pytest.raises(AssertionError, match=r"backward changed one of its arguments in place: d_outputs\[0\]"):
        assert_gradients(lstm_forward, backward, inputs, rng)


def test_gradcheck_rejects_an_input_changed_in_place(inputs, rng):
    def forward(x, h_0, c_0, params):
        outputs = lstm_forward(x, h_0, c_0, params)
        params["W_ih"] *= 1.01
        return outputs
    with pytest.raises(AssertionError, match="forward changed one of its arguments in place: params"):
        assert_gradients(forward, lstm_backward, inputs, rng)


def test_gradcheck_rejects_nan(rng):
    x, h_0 = rng.standard_normal((2, 3, 4)), rng.standard_normal((2, 5))

    def backward(dh, cache):
        dx, dh_0, grads = rnn_backward(dh, cache)
        return dx * np.nan, dh_0, grads
    with pytest.raises(AssertionError, match="x: backward differs from finite differences by nan"):
        assert_gradients(rnn_forward, backward, [x, h_0, init_recurrent("rnn", 4, 5, rng)], rng)


def test_gradcheck_rejects_a_transposed_gradient(rng):
    x, h_0 = rng.standard_normal((2, 3, 4)), rng.standard_normal((2, 5))

    def backward(dh, cache):
        dx, dh_0, grads = rnn_backward(dh, cache)
        return dx, dh_0, grads | {"W_ih": grads["W_ih"].T}
    with pytest.raises(AssertionError, match=r"params\['W_ih'\]: gradient of shape \(4, 5\); wanted \(5, 4\)"):
        assert_gradients(rnn_forward, backward, [x, h_0, init_recurrent("rnn", 4, 5, rng)], rng)


def test_gradcheck_rejects_a_missing_gradient(inputs, rng):
    with pytest.raises(AssertionError, match="backward returned 3 gradients for 4 inputs"):
        assert_gradients(lstm_forward, lambda *a: lstm_backward(*a)[1:], inputs, rng)


def test_gradcheck_rejects_a_missing_key(rng):
    x, h_0 = rng.standard_normal((2, 3, 4)), rng.standard_normal((2, 5))

    def backward(dh, cache):
        dx, dh_0, grads = rnn_backward(dh, cache)
        del grads["b_ih"]
        return dx, dh_0, grads
    with pytest.raises(AssertionError, match="params: grads has keys"):
        assert_gradients(rnn_forward, backward, [x, h_0, init_recurrent("rnn", 4, 5, rng)], rng)


def test_numerical_gradient_of_a_known_function(rng):
    a = rng.standard_normal((2, 3))
    assert relative_error(numerical_gradient(lambda v: float((v**3).sum()), a), 3 * a**2) < 1e-8


def test_numerical_gradient_leaves_its_array_alone(rng):
    a = rng.standard_normal((2, 3))
    before = a.copy()
    numerical_gradient(lambda v: float(v.sum()), a)
    assert np.array_equal(a, before)


@pytest.mark.parametrize(("a", "b", "wanted"), [
    ([0.0], [1.0], 1), ([1.0], [0.0], 1), ([0.0], [0.0], 0), ([1.0], [-1.0], 2),
    ([1.0, 1000.0], [1.0, 1001.0], 1 / 1001),
    ([1.0, 1001.0], [1.0, 1000.0], 1 / 1001), ([1e-9], [2e-9], 0.5), ([1e9], [2e9], 0.5), ([], [], 0)], ids=str)
def test_relative_error_is_the_difference_over_the_largest_magnitude(a, b, wanted):
    assert relative_error(np.array(a), np.array(b)) == pytest.approx(wanted, rel=1e-12)


def test_relative_error_of_nan_is_nan():
    assert np.isnan(relative_error(np.array([np.nan, 1.0]), np.ones(2)))


def test_relative_error_rejects_two_shapes():
    with pytest.raises(ValueError, match=r"^b has shape \(3,\); wanted that of a, \(2, 3\)"):
        relative_error(np.zeros((2, 3)), np.zeros(3))


def square(x):
    """A forward with one input, and its backward below."""
    return x**2, {"x": x, "twice": 2 * x}


def square_backward(dy, cache):
    return dy * cache["twice"]


@pytest.mark.parametrize(("factor", "right"), [(1 + 1e-8, True), (1 - 1e-8, True), (1 + 1e-5, False),
                                               (1 - 1e-5, False)])
def test_gradcheck_tolerance_is_a_millionth(factor, right, rng):
    def check():
        assert_gradients(square, lambda dy, cache: factor * square_backward(dy, cache), [rng.standard_normal(4)], rng)
    if right:
        check()
    else:
        with pytest.raises(AssertionError, match=r"^x: backward differs .* by 1\.0e-05 \(allowed 1e-06"):
            check()


def test_gradcheck_rejects_a_backward_of_zeros(rng):
    with pytest.raises(AssertionError, match="^x: backward differs from finite differences by 1.0e"):
        assert_gradients(square, lambda dy, cache: 0 * dy, [rng.standard_normal(4)], rng)


def test_gradcheck_accepts_a_gradient_that_is_zero(rng):
    assert_gradients(lambda x: (np.ones(3), None), lambda dy, cache: np.zeros(4), [rng.standard_normal(4)], rng)


def test_gradcheck_rejects_a_forward_that_changes_its_only_input(rng):
    mask = np.array([1.0, 0.0, 1.0, 1.0])

    def forward(x):
        x *= mask
        return x.copy(), None
    with pytest.raises(AssertionError, match="^forward changed one of its arguments in place: x$"):
        assert_gradients(forward, lambda dy, cache: dy, [rng.standard_normal(4)], rng)


def test_gradcheck_rejects_a_forward_that_changes_an_input_it_does_not_use(rng):
    def forward(x, unused):
        unused += 1
        return square(x)
    with pytest.raises(AssertionError, match="^forward changed one of its arguments in place: unused$"):
        assert_gradients(forward, lambda dy, cache: (square_backward(dy, cache), np.zeros(2)),
                         [rng.standard_normal(4), np.zeros(2)], rng)


def test_gradcheck_rejects_a_forward_that_adds_a_key(rng):
    def forward(params):
        params["seen"] = np.zeros(1)
        return square(params["w"])
    with pytest.raises(AssertionError, match="^forward changed one of its arguments in place: params$"):
        assert_gradients(forward, lambda dy, cache: {"w": square_backward(dy, cache)}, [{"w": rng.standard_normal(4)}],
                         rng)


def test_gradcheck_rejects_a_forward_that_changes_its_input_the_second_time(rng):
    calls = []

    def forward(x, unused):
        calls.append(1)
        if len(calls) == 2:
            unused += 1
        return square(x)
    with pytest.raises(AssertionError, match="^forward changed one of its arguments in place: unused$"):
        assert_gradients(forward, lambda dy, cache: (square_backward(dy, cache), np.zeros(2)),
                         [rng.standard_normal(4), np.zeros(2)], rng)


def test_gradcheck_rejects_a_cache_changed_in_place(rng):
    def backward(dy, cache):
        grad = square_backward(dy, cache)
        cache["twice"] *= 2
        return grad
    with pytest.raises(AssertionError, match="^backward changed one of its arguments in place: cache$"):
        assert_gradients(square, backward, [rng.standard_normal(4)], rng)


def test_gradcheck_rejects_a_cache_that_has_grown(rng):
    def backward(dy, cache):
        cache.append(0)
        return 2 * dy

    with pytest.raises(AssertionError, match="^backward changed one of its arguments in place: cache$"):
        assert_gradients(lambda x: (2 * x, [x]), backward, [rng.standard_normal(3)], rng)


def test_gradcheck_rejects_an_input_changed_by_the_backward(rng):
    x = rng.standard_normal(4)

    def backward(dy, cache):
        grad = square_backward(dy, cache)
        x[:] = 0
        return grad
    with pytest.raises(AssertionError, match="^backward changed one of its arguments in place: x$"):
        assert_gradients(lambda x: (x**2, {"twice": 2 * x}), backward, [x], rng)


def test_gradcheck_takes_nested_params_and_names_the_array(rng):
    params = {"rnn": {"w": rng.standard_normal(4)}, "linear": {"w": rng.standard_normal(4)}}

    def forward(params):
        return params["rnn"]["w"] ** 2 + 3 * params["linear"]["w"], params

    def backward(dy, params):
        return {"rnn": {"w": 2 * dy * params["rnn"]["w"]}, "linear": {"w": 2 * dy}}
    with pytest.raises(AssertionError, match=r"^params\['linear'\]\['w'\]: backward differs .* by 3\.3e-01"):
        assert_gradients(forward, backward, [params], rng)


@pytest.mark.parametrize(("given", "message"), [(np.zeros(3, "float32"), "^x is float32; wanted a float64 array"),
                                                (np.zeros(3, int), "^x is int64; wanted a float64 array"),
                                                ([0.0], "^x is list; wanted a float64 array")])
def test_gradcheck_rejects_what_is_not_float64(given, message, rng):
    with pytest.raises(ValueError, match=message):
        assert_gradients(square, square_backward, [given], rng)


def test_gradcheck_numbers_the_inputs_that_have_no_name(rng):
    with pytest.raises(AssertionError, match="^input 0: backward differs"):
        assert_gradients(lambda *inputs: square(*inputs), lambda dy, cache: 0 * dy, [rng.standard_normal(4)], rng)
