"""The benchmark compares like with like, and says so when a goal is missed."""

import pytest

from lstmcourse import bench

TINY = (4, 2, 3, 5)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("kind", ["rnn", "lstm", "gru"])
def test_bench_sides_compute_the_same(kind, dtype):
    assert bench.max_relative_error(*bench.contenders(kind, dtype, TINY)["step"]) < bench.TOLERANCE[dtype]


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("attention", ["dot", "additive"])
def test_bench_decoder_sides_compute_the_same(attention, dtype):
    assert bench.max_relative_error(*bench.decoder_contenders(attention, dtype, TINY)["step"]) < bench.TOLERANCE[dtype]


@pytest.mark.parametrize(("kind", "count"), [("rnn", 7), ("lstm", 8), ("gru", 7)])
def test_bench_step_leaves_no_gradient_out(kind, count):
    ours, theirs = bench.contenders(kind, "float64", TINY)["step"]
    assert len(ours()) == len(theirs()) == count          # h, dx, initial states, four parameters


def test_bench_max_relative_error_sees_a_difference():
    ours, theirs = bench.contenders("rnn", "float64", TINY)["step"]
    assert bench.max_relative_error(lambda: [array * 1.001 for array in ours()], theirs) > 1e-4


@pytest.mark.parametrize(("ratio", "verdict"), [(0.49, "goal 0.50: reached"), (0.51, "goal 0.50: NOT reached")])
def test_bench_table_judges_against_the_goal(ratio, verdict):
    record = {"kind": "lstm", "dtype": "float64", "what": "step", "size": TINY, "threads": 1, "ours_ms": 1.0,
              "torch_ms": 2.0, "ratio": ratio, "ratio_low": ratio, "ratio_high": ratio, "floor": 0.1, "difference": 0.0}
    assert verdict in bench.table([record])


def test_bench_times_every_function_in_every_round():
    times = bench.time_together([lambda: sum(range(1000)), lambda: None], rounds=3)
    assert [len(samples) for samples in times] == [3, 3]
    assert min(times[0]) > max(times[1])
