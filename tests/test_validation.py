"""Error messages: the name of the argument, what came, what was wanted; and nothing for what is right."""

import numpy as np
import pytest

from lstmcourse import validation


@pytest.mark.parametrize(("array", "shape", "dtype", "message"), [
    (np.zeros((2, 3)), (3, 2), None, r"^x has shape \(2, 3\); wanted \(3, 2\)$"),
    (np.zeros((2, 3)), (2,), None, r"^x has shape \(2, 3\); wanted \(2,\)$"),
    (np.zeros(3), (None, 3), None, r"^x has shape \(3,\); wanted \(any, 3\)$"),
    (np.zeros((2, 3)), (..., 4), None, r"^x has shape \(2, 3\); wanted \(…, 4\)$"),
    (np.zeros((2, 3)), (2, 3), "float32", "^x has dtype float64; wanted float32$"),
    (np.zeros((2, 3), int), (2, 3), None, "^x has dtype int64; wanted float64 or float32$"),
    (np.zeros((2, 3), "float16"), (2, 3), None, "^x has dtype float16; wanted float64 or float32$"),
    ([["a", "b"]], (1, 2), "float64", r"^x is a list; wanted an array of shape \(1, 2\)$"),
    ([["a", "b"]], (1, 2), "float32", r"^x is a list; wanted an array of shape \(1, 2\)$"),
    (None, (1,), None, r"^x is a NoneType; wanted an array of shape \(1,\)$")])
def test_check_array_names_what_came_and_what_was_wanted(array, shape, dtype, message):
    with pytest.raises(ValueError, match=message):
        validation.check_array("x", array, shape, dtype and np.dtype(dtype))


@pytest.mark.parametrize(("shape", "wanted"), [((2, 3), (2, 3)), ((2, 3), (None, 3)),
                                               ((4, 2, 3), (..., 3)), ((3,), (..., 3))])
def test_check_array_accepts(shape, wanted):
    validation.check_array("x", np.zeros(shape), wanted)


def test_check_array_adds_the_note_to_a_wrong_shape():
    with pytest.raises(ValueError, match=r"wanted \(4,\): one for each unit$"):
        validation.check_array("b", np.zeros(3), (4,), note=": one for each unit")


@pytest.mark.parametrize("mask", [np.ones(3), np.ones(3, int), [1.0, 0.0, 1.0]], ids=["float", "int", "list"])
def test_check_mask_rejects_what_is_not_bool(mask):
    with pytest.raises(ValueError, match=r"^mask has dtype (float|int)64; wanted bool, True where something counts$"):
        validation.check_mask("mask", mask, (3,))


def test_check_mask_names_a_wrong_shape():
    with pytest.raises(ValueError, match=r"^mask has shape \(3,\); wanted \(4,\)$"):
        validation.check_mask("mask", np.ones(3, bool), (4,))


@pytest.mark.parametrize("value", ["1", None, np.ones(3), 1j, np.nan, np.inf, -np.inf])
def test_check_number_rejects_what_is_not_a_finite_number(value):
    with pytest.raises(ValueError, match="^scale is .*; wanted a finite number$"):
        validation.check_number("scale", value)


@pytest.mark.parametrize("value", [0, -1.0, np.float64(0)])
def test_check_number_rejects_what_is_not_above_the_limit(value):
    with pytest.raises(ValueError, match="^max_norm is .*; wanted a finite number above 0$"):
        validation.check_number("max_norm", value, above=0)


@pytest.mark.parametrize("value", [2, 0.5, np.float32(0.25), np.float64(3), np.int64(7)])
def test_check_number_gives_a_python_float(value):
    assert type(validation.check_number("scale", value)) is float


@pytest.mark.parametrize(("params", "message"), [
    ([1, 2], "^params is a list; wanted a dict with the keys W, b$"),
    ({"W": 1}, r"^params has no 'b': it has \['W'\]; wanted W, b$"),
    ({"W": 1, "b": 2, "W_hr": 3}, r"^params has \['W_hr'\] besides; wanted W, b alone$")])
def test_check_keys_names_the_key(params, message):
    with pytest.raises(ValueError, match=message):
        validation.check_keys("params", params, ("W", "b"))


@pytest.mark.parametrize(("grad", "error", "message"), [
    (np.zeros(3), ValueError, r"^grads\['rnn'\]\['W'\] has shape \(3,\); wanted \(2, 3\)$"),
    (np.zeros((2, 3), "float32"), ValueError, r"^grads\['rnn'\]\['W'\] has dtype float32; wanted float64$"),
    (np.full((2, 3), np.nan), FloatingPointError, r"^grads\['rnn'\]\['W'\] holds NaN or infinity; wanted finite"),
    (np.full((2, 3), np.inf), FloatingPointError, r"^grads\['rnn'\]\['W'\] holds NaN or infinity; wanted finite")])
def test_check_gradients_names_the_array(grad, error, message):
    with pytest.raises(error, match=message):
        validation.check_gradients({"rnn": {"W": grad}}, {"rnn": {"W": np.zeros((2, 3))}})


def test_check_gradients_rejects_params_that_are_no_arrays():
    with pytest.raises(ValueError, match=r"what grads\['W'\] belongs to is a float"):
        validation.check_gradients({"W": 1.0}, {"W": 1.0})
