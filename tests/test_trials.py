"""Every trial's verdict holds on the saved data, and fails when the data is replaced by the baseline's."""

import pathlib
import runpy

import pytest

from lstmcourse.experiments import load

EXPERIMENTS = pathlib.Path(__file__).parent.parent / "notebooks" / "experiments"


# lesson 07

def exact_of(replaced, **baseline):
    """A function of records: those with the values `replaced` get the exact match of the baseline's, same seed."""
    def swapped(records):
        exact = {r["seed"]: r["exact"] for r in records if baseline.items() <= r.items()}
        return [r | {"exact": exact[r["seed"]]} if replaced.items() <= r.items() else r for r in records]
    return swapped


ATTENTION = {"attention": True, "most": 3}
ONE_VECTOR = {"attention": False, "H": 64, "most": 3, "epochs": 1, "forget_bias": None}
OPEN, SHORT = ONE_VECTOR | {"most": 2, "epochs": 2, "forget_bias": 2}, ONE_VECTOR | {"most": 1}


# (script, its function, what the baseline's data are put in place of)
TRIALS = [
    # lesson 07
    ("07_one_vector", "verdict", exact_of(ATTENTION, **ONE_VECTOR)),
    ("07_one_vector", "verdict", exact_of(ONE_VECTOR, **ATTENTION)),
    ("07_one_vector", "verdict", exact_of(OPEN, **OPEN | {"forget_bias": None})),
    ("07_one_vector", "verdict", lambda records: [r | {"exact": [0.9, 0, 0]} if SHORT.items() <= r.items() else r
                                                  for r in records]),                 # the short case not solved
]


@pytest.mark.parametrize(("name", "function", "to_baseline"), TRIALS,
                         ids=[f"{t[0]}-{t[1]}-{k}" for k, t in enumerate(TRIALS)])
def test_verdict_holds_and_fails_on_the_baselines_data(name, function, to_baseline):
    verdict = runpy.run_path(str(EXPERIMENTS / f"{name}.py"))[function]
    records = load(EXPERIMENTS / f"{name}.json")["runs"]
    assert verdict(records) is True
    assert verdict(to_baseline(records)) is False
