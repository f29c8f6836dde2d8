"""A comparison of many arrays at once whose failure names one."""

import numpy as np

from lstmcourse.gradcheck import relative_error


def assert_agree(got, wanted, tolerance):
    """AssertionError that names the worst of some arrays, {name: array} both, and its relative error."""
    assert set(got) == set(wanted)
    errors = {name: relative_error(got[name], wanted[name]) for name in wanted}
    worst = max(errors, key=lambda name: np.inf if np.isnan(errors[name]) else errors[name])
    assert errors[worst] < tolerance, f"{worst}: {errors[worst]:.2g}, allowed {tolerance:.0e}"
