"""Every trial's verdict holds on the saved data, and fails when the data is replaced by the baseline's."""

import pathlib
import runpy

import pytest

from lstmcourse.experiments import load

EXPERIMENTS = pathlib.Path(__file__).parent.parent / "notebooks" / "experiments"


# lesson 01

def guessing(share):
    """A function of records: every network is right as often as somebody who guesses."""
    return lambda records: [r | {"accuracy": share} for r in records]


# lesson 09

def parity_like(net, baseline):
    """A function of records: on the parity, this network is right as often as the baseline."""
    def swapped(records):
        right = {(r["lr"], r["seed"]): r["right"] for r in records if (r["task"], r["net"]) == ("parity", baseline)}
        return [r | {"right": right[r["lr"], r["seed"]]} if (r["task"], r["net"]) == ("parity", net) else r
                for r in records]
    return swapped


# (script, its function, what the baseline's data are put in place of)
TRIALS = [
    # lesson 01
    ("01_rnn_lag", "verdict", guessing(1 / 6)),
    ("01_rnn_lag", "verdict", guessing(1 / 2)),
    # lesson 09
    ("09_parity", "verdict", parity_like("LSTM", "minGRU")),
    ("09_parity", "verdict", parity_like("minGRU, 2 layers", "LSTM")),
]


@pytest.mark.parametrize(("name", "function", "to_baseline"), TRIALS,
                         ids=[f"{t[0]}-{t[1]}-{k}" for k, t in enumerate(TRIALS)])
def test_verdict_holds_and_fails_on_the_baselines_data(name, function, to_baseline):
    verdict = runpy.run_path(str(EXPERIMENTS / f"{name}.py"))[function]
    records = load(EXPERIMENTS / f"{name}.json")["runs"]
    assert verdict(records) is True
    assert verdict(to_baseline(records)) is False
