"""Exercises 13.1 and 13.2: a program with three faults, and a measurement that finds what looks ahead."""

from functools import partial
from itertools import product

import numpy as np

from lstmcourse.practice.exercise import Exercise, Mistake
from lstmcourse.practice.inputs import normal, uniform

# 13.1 three faults


def _last_real(h, lengths):
    return h[np.arange(len(h)), lengths - 1]


def _last_column(h, lengths):
    return h[:, -1]


def _as_it_is(states):
    return states


def _by_the_batch(states):
    return (states - states.mean(axis=0)) / states.std(axis=0)


def _flat(answers):
    return answers[:, 0]


def _forecast(h, lengths, W, b, y, read=_last_real, scale=_as_it_is, shape=_flat, total=np.mean):
    """Answers and loss, in which a part can be replaced by a wrong one."""
    answers = shape(scale(read(h, lengths)) @ W.T + b)
    return answers, total((answers - y)**2)


_MISSED = (  # name, hint, what it replaces: in the order in which the measurements are given
    ("the state is read at padding",
     "One fault is left: a short row answers differently alone. Its state is read after the padding. The state that "
     "counts is the one after the row's own last step.", {"read": _last_column}),
    ("rows depend on each other",
     "One fault is left: change one row, and the other rows' answers move. Something is computed over the whole batch "
     "that belongs to no row.", {"scale": _by_the_batch}),
    ("answers and targets are broadcast",
     "One fault is left: the loss compares each answer with all targets. Look at the two shapes on both sides of the "
     "minus sign.", {"shape": _as_it_is}))


def _missed():
    """Every way to leave faults in; where there are several, the first one's name and hint."""
    for remaining in product((False, True), repeat=len(_MISSED)):
        faults = [fault for fault, missed in zip(_MISSED, remaining, strict=True) if missed]
        if faults:
            name, hint, _ = faults[0]
            if len(faults) > 1:
                hint = hint.replace("One fault is left", f"{len(faults)} faults are left; the first")
            yield Mistake(name, hint, partial(_forecast, **{key: value for _, _, part in faults
                                                            for key, value in part.items()}))


def _cases_forecast(rng):
    return [(normal(rng, len(lengths), T, H), np.array(lengths), uniform(rng, 1, H), uniform(rng, 1),
             normal(rng, len(lengths))) for T, H, lengths in ((7, 5, [3, 6, 2]), (6, 2, [5, 1, 4, 3]))]


def _one_column(h, lengths, W, b, y):
    answers, loss = _forecast(h, lengths, W, b, y)
    return answers[:, None], loss


three_faults = Exercise(
    id="13.1", title="three faults", lesson="13_when_it_does_not_learn", points=3,
    function="forecast", signature="(h (B, T, H), lengths (B,), W (1, H), b (1,), y (B,)) -> answers (B,), loss",
    cases=_cases_forecast, reference=_forecast,
    onward="Which of the three faults would have let the training loss fall all the same?",
    shortest="""\
answers = np.take_along_axis(h, lengths[:, None, None] - 1, axis=1)[:, 0] @ W[0] + b
return answers, np.square(answers - y).mean()""",
    mistakes=(
        *_missed(),
        Mistake("the step after the last",
                "You read one step too late: steps count from 0, so the last of three is step 2.",
                partial(_forecast, read=lambda h, lengths: h[np.arange(len(h)), lengths])),
        Mistake("the mean over the real steps",
                "You average the states of each row. The one after its last real step has read all of it.",
                partial(_forecast, read=lambda h, lengths: np.stack([
                    row[:n].mean(axis=0) for row, n in zip(h, lengths, strict=True)]))),
        Mistake("the loss is a sum",
                "The answers are right. The loss is a sum over the rows, and so grows with the batch; the program "
                "took the mean.", partial(_forecast, total=np.sum)),
        Mistake("the answers keep an axis of length one",
                "The numbers are right, and no row meets another's target. What is asked for are answers of the "
                "targets' own shape.", _one_column)))


# 13.2 who looks ahead

SMALL = 1e-6                                               # below this, a difference is rounding


def _largest(change):
    return np.abs(change).max(axis=(1, 3))


def _furthest(s, t):
    return s - t


def _reach(base, moved, size=_largest, small=SMALL, ahead=_furthest):
    """Reach and leak, in which a part can be replaced by a wrong one."""
    reach = size(moved - base)
    s, t = np.nonzero(reach > small)
    return reach, max([0, *ahead(s, t).tolist()])


def _number_of_leaks(base, moved):
    reach, _ = _reach(base, moved)
    s, t = np.nonzero(reach > SMALL)
    return reach, int((s > t).sum())


def _turned(base, moved):
    reach, leak = _reach(base, moved)
    return reach.T.copy(), leak


def _cases_reach(rng):
    cases = []
    for B, T, K, S, sees in ((3, 5, 2, 4, np.tri(5, dtype=bool)), (2, 6, 3, 5, np.tri(6, k=1, dtype=bool)),
                             (4, 7, 2, 5, np.tri(7, dtype=bool) | (np.eye(7, k=3) * (np.arange(7) == 4) > 0)),
                             (2, 5, 3, 4, np.ones((5, 5), dtype=bool)), (3, 8, 2, 6, np.tri(8, k=-1, dtype=bool))):
        base, depends = normal(rng, B, T, K), sees.T[:S, None, :, None]        # sees: (output, input)
        ahead = np.arange(S)[:, None] > np.arange(T)
        change = normal(rng, S, B, T, K) * np.where(ahead, 0.01, 1.0)[:, None, :, None]
        rounding = 1e-9 * (1 + rng.random((S, B, T, K)))
        cases.append((base, base + np.where(depends, change, rounding)))
    return cases


who_looks_ahead = Exercise(
    id="13.2", title="who looks ahead", lesson="13_when_it_does_not_learn", points=2,
    function="reach_of_steps", signature="(base (B, T, K), moved (S, B, T, K)) -> reach (S, T), leak",
    cases=_cases_reach, reference=_reach,
    about=("a causal model, and rounding", "a mask off by one", "one output that sees a step far ahead",
           "a layer in both directions", "every output sees only steps before its own"),
    onward="A sound model that predicts its own next input has leak 0. What does the matrix of a model look like "
           "whose state is not carried from step to step?",
    shortest="""\
reach = abs(moved - base).max(axis=(1, 3))
s, t = np.nonzero(reach > 1e-6)
return reach, max([0, *(s - t)])""",
    mistakes=(
        Mistake("differences of both signs cancel or are lost",
                "An output that gets smaller has moved, too. Take the size of the difference before you look for the "
                "largest.", partial(_reach, size=lambda change: change.max(axis=(1, 3)))),
        Mistake("a mean in place of the largest",
                "You average over rows and outputs. One output that looks ahead is enough, and among many a mean "
                "hides it.", partial(_reach, size=lambda change: np.abs(change).mean(axis=(1, 3)))),
        Mistake("the first row alone",
                "You look at row 0. The leak may show in any row.",
                partial(_reach, size=lambda change: np.abs(change[:, 0]).max(axis=-1))),
        Mistake("the first output alone",
                "You look at the first of the K numbers at each step. The leak may show in any of them.",
                partial(_reach, size=lambda change: np.abs(change[..., 0]).max(axis=1))),
        Mistake("rounding counts as movement",
                "The matrix is right. But your leak counts differences of a billionth, which is how floating-point "
                "numbers round; the text gives a threshold.", partial(_reach, small=0.0)),
        Mistake("it looks back",
                "Your number says how far an output looks *back*, which it may. A leak is an output whose step comes "
                "before the input that moves it.", partial(_reach, ahead=lambda s, t: t - s)),
        Mistake("how many, not how far",
                "You count the pairs that leak. What is asked for is the largest number of steps ahead.",
                _number_of_leaks),
        Mistake("inputs and outputs are exchanged",
                "Your matrix is the transpose: its rows are outputs. Row s belongs to the input that was changed.",
                _turned)))


EXERCISES = (three_faults, who_looks_ahead)
