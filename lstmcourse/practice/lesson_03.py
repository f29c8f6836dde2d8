"""Exercises 3.1 to 3.3: clipping by the global norm, and how the gradient dies with the lag."""

from functools import partial

import numpy as np

from lstmcourse.lab.gradients import jacobian_norms_by_lag
from lstmcourse.practice.exercise import Exercise, Mistake
from lstmcourse.practice.inputs import params, uniform

DICT = "{W_ih (H, D), W_hh (H, H), b_ih (H,), b_hh (H,)}"


# 3.1 clipping

def _clip(grads, max_norm):
    from lstmcourse.train import clip_grads  # here, since it brings a progress bar along

    return clip_grads(grads, max_norm)[0]


def _cases_clip(rng):
    return [({key: scale * grad for key, grad in params(rng, 1, D, H).items()}, max_norm)
            for D, H, scale, max_norm in ((4, 3, 10, 1.5), (5, 4, 1, 50.0), (3, 5, 0, 2.0))]


def _norm(grads):
    return np.sqrt(sum((g**2).sum() for g in grads.values()))


def _limited(norm, max_norm):
    return min(1.0, max_norm / norm) if norm > 0 else 1.0


def _scaled(grads, max_norm, norm=_norm, factor=_limited):
    """The clipping, in which a part can be replaced by a wrong one. factor(norm, max_norm)"""
    return {key: g * factor(norm(grads), max_norm) for key, g in grads.items()}


def _each_number(grads, max_norm):
    return {key: np.clip(g, -max_norm, max_norm) for key, g in grads.items()}


def _each_array(grads, max_norm):
    return {key: g * min(1.0, max_norm / max(np.linalg.norm(g), 1e-300)) for key, g in grads.items()}


def _ratio(norm, max_norm):
    with np.errstate(all="ignore"):
        return max_norm / norm


def _upside_down(norm, max_norm):
    return norm / max_norm if norm > max_norm else 1.0


def _in_place(grads, max_norm):
    factor = min(1.0, max_norm / max(_norm(grads), 1e-300))
    for g in grads.values():
        g *= factor
    return grads


def _in_place_silently(grads, max_norm):
    _in_place(grads, max_norm)


EACH_NUMBER = ("each number is clipped by itself",
               "You limit every single number to ±max_norm. That changes the direction of the step: large slopes are "
               "cut and small ones are not. Clipping by the norm keeps the direction: all numbers are multiplied by "
               "one and the same factor.")
EACH_ARRAY = ("each array is clipped by its own norm",
              "You compute a norm for each array and scale each by its own factor. The proportions between the arrays, "
              "and so the direction of the step, are lost. There is one norm, over all numbers of all arrays, and one "
              "factor.")
ALWAYS = ("small gradients are scaled up",
          "You scale always, so that the norm becomes max_norm exactly. Gradients that are below the limit are to be "
          "left alone: near a minimum they are small for a good reason.")
LENGTH_ONE = ("scaled to the norm 1",
              "You bring the norm down to 1, whatever max_norm is. Below max_norm nothing is scaled at all; above it, "
              "the norm becomes max_norm, and 1 has no part in it.")
UNIT_FACTORS = (lambda norm, m: _ratio(norm, 1.0), lambda norm, m: _ratio(norm, 1.0) if norm else 1.0,
                lambda norm, m: _ratio(norm, 1.0) if norm > m else 1.0)
NO_ROOT = ("the root is missing from the norm",
           "You compare the sum of the squares with max_norm. The norm is the root of that sum.")

clip = Exercise(
    id="3.1", title="clipping by the global norm", lesson="03_forgetting", points=1,
    part="clipping",
    onward="Clipping tames a gradient that explodes; it can do nothing for one that has vanished. Why?",
    shortest="""\
norm = np.sqrt(sum(np.vdot(g, g) for g in grads.values()))
return {name: g * min(1, max_norm / max(norm, 1e-300)) for name, g in grads.items()}""",
    function="clip_by_global_norm", signature=f"(grads {DICT}, max_norm) -> grads {DICT}",
    cases=_cases_clip, reference=_clip,
    about=("a norm far above the limit", "a norm below the limit", "gradients that are all zero"),
    mistakes=(
        Mistake(*EACH_NUMBER, _each_number),
        Mistake(*EACH_ARRAY, _each_array),
        Mistake(*ALWAYS, partial(_scaled, factor=_ratio)),
        Mistake(*ALWAYS, partial(_scaled, factor=lambda norm, m: _ratio(norm, m) if norm else 1.0)),
        *(Mistake(*LENGTH_ONE, partial(_scaled, factor=factor)) for factor in UNIT_FACTORS),
        *(Mistake("the norm is returned as well",
                  "You return two things, the gradients and their norm. The library's function does so; "
                  "here the new gradients are the only result.", wrong, convention=True)
          for wrong in (lambda grads, m: (_scaled(grads, m), _norm(grads)),
                        lambda grads, m: (_norm(grads), _scaled(grads, m)))),
        Mistake("the norm is returned",
                "You return the norm, as the function of this name in PyTorch does, which changes the gradients where "
                "they stand. Here the new gradients are the result.", lambda grads, m: _norm(grads), convention=True),
        Mistake(*NO_ROOT, partial(_scaled, norm=lambda grads: _norm(grads)**2)),
        Mistake("the norms of the arrays are added up",
                "You add the norms of the arrays. The global norm is that of all numbers in one long list: the "
                "squares are added up, and one root is taken at the end.",
                partial(_scaled, norm=lambda grads: sum(np.linalg.norm(g) for g in grads.values()))),
        Mistake("the largest number is taken for the norm",
                "You scale by the largest single number. The norm meant here is the Euclidean one: the root of the "
                "sum of all squares, of all arrays together.",
                partial(_scaled, norm=lambda grads: max(np.abs(g).max() for g in grads.values()))),
        Mistake("the factor is upside down",
                "Gradients above the limit become larger still. The factor has to bring the norm down to max_norm: ask "
                "what times the norm gives max_norm.", partial(_scaled, factor=_upside_down)),
        Mistake("a division by zero when all gradients are zero",
                "When every gradient is zero the norm is 0, and dividing by it fails. There is nothing to clip then.",
                partial(_scaled, factor=lambda norm, m: min(1.0, m / float(norm)))),
        Mistake("grads is changed in place",
                "Your numbers are right, but the caller's dict is not what it was: its arrays are overwritten, or "
                "others are put in their place. Return a new dict with new arrays.",
                _in_place),
        Mistake("grads is changed in place",
                "Your function overwrites the caller's arrays and returns nothing, as the function of this name in "
                "PyTorch does. Here it returns a new dict with new arrays.",
                _in_place_silently)))


# 3.2 the gradient by lag

def _jacobian(h_t, W_hh):
    return (1 - h_t**2)[:, None] * W_hh


def _by_lag(h, W_hh, jacobian=_jacobian, norm=lambda J: np.linalg.norm(J, 2), shift=0, left=False):
    """Norms of J_T, J_T J_{T-1}, …, in which a part can be replaced by a wrong one."""
    product, norms = np.eye(h.shape[1]), [norm(np.eye(h.shape[1]))]
    for lag in range(1, len(h)):
        J = jacobian(h[len(h) - lag - shift], W_hh)
        product = J @ product if left else product @ J
        norms.append(norm(product))
    return np.array(norms)


def _product_of_norms(h, W_hh):
    each = [np.linalg.norm(_jacobian(h_t, W_hh), 2) for h_t in h[:0:-1]]
    return np.cumprod([1.0, *each])


def _from_lag_one(h, W_hh):
    product, norms = np.eye(h.shape[1]), []
    for h_t in h[::-1]:
        product = product @ _jacobian(h_t, W_hh)
        norms.append(np.linalg.norm(product, 2))
    return np.array(norms)


def _radius(J):
    return np.abs(np.linalg.eigvals(J)).max()


lag = Exercise(
    id="3.2", title="the gradient by lag", lesson="03_forgetting", points=3,
    onward="Multiply W_hh by 2 and run it again: do the norms grow, or does tanh hold them back?",
    shortest="""\
J, norms = np.eye(len(W_hh)), []
for h_t in h[::-1]:
    norms.append(np.linalg.norm(J, 2))
    J = J * (1 - h_t**2) @ W_hh
return np.array(norms)""",
    function="jacobian_norms_by_lag", signature="(h (T, H), W_hh (H, H)) -> norms (T,)",
    cases=lambda rng: [(0.9 * uniform(rng, T, H), uniform(rng, H, H)) for T, H in ((4, 3), (6, 5), (5, 2))],
    reference=jacobian_norms_by_lag,
    mistakes=(
        Mistake("the Frobenius norm",
                "At lag 0 the matrix is the identity and nothing is stretched, so the norm has to be 1; yours is the "
                "root of H. That is the Frobenius norm, NumPy's default for a matrix: the root of the sum of squares. "
                "Wanted is the spectral norm: the most that the matrix stretches any vector, its largest singular "
                "value.",
                lambda h, W_hh: _by_lag(h, W_hh, norm=np.linalg.norm)),
        Mistake("the Frobenius norm",
                "At lag 0 you are right, at every other lag too large. That is the Frobenius norm, NumPy's default for "
                "a matrix: the root of the sum of squares. Wanted is the spectral norm: the most that the matrix "
                "stretches any vector, its largest singular value.",
                lambda h, W_hh: np.append(1, _by_lag(h, W_hh, norm=np.linalg.norm)[1:])),
        Mistake("the largest eigenvalue in place of the norm",
                "You take the largest eigenvalue of the product. It says what happens to a vector that the matrix only "
                "stretches; other vectors can be stretched more, for a while. Wanted is the largest singular value.",
                lambda h, W_hh: _by_lag(h, W_hh, norm=_radius)),
        Mistake("a product of norms, not the norm of the product",
                "You multiply the norms of the single steps. That is an upper bound: it would be reached only if each "
                "step stretched most in the very direction in which the step before did. Multiply the matrices first, "
                "and take the norm of what comes out.",
                _product_of_norms),
        Mistake("tanh' is left out",
                "Your numbers do not depend on the states. Between two states lie the matrix *and* the tanh; its "
                "slope is what makes the gradient of a saturated network die.",
                lambda h, W_hh: _by_lag(h, W_hh, jacobian=lambda h_t, W: W)),
        Mistake("tanh' of the output in place of the input",
                "You have applied tanh once more. The slope of tanh is 1 minus the square of its *output*, and h_t is "
                "that output already.",
                lambda h, W_hh: _by_lag(h, W_hh, jacobian=lambda h_t, W: _jacobian(np.tanh(h_t), W))),
        Mistake("tanh' stands on the wrong side of W_hh",
                "Row j of dh_t/dh_{t-1} is about unit j of h_t, so the slope of unit j multiplies row j of W_hh. Yours "
                "multiplies column j: as if the tanh came before the matrix and not after it.",
                lambda h, W_hh: _by_lag(h, W_hh, jacobian=lambda h_t, W: W * (1 - h_t**2))),
        Mistake("W_hh is transposed",
                "dh_t/dh_{t-1} has a row for each unit of h_t and a column for each unit of h_{t-1}, and that is how "
                "W_hh itself is laid out. The transpose that stands in the forward pass is there because states are "
                "rows there.",
                lambda h, W_hh: _by_lag(h, W_hh, jacobian=lambda h_t, W: _jacobian(h_t, W.T))),
        Mistake("the slope is taken at the state before",
                "Each step of yours uses the state one step too early. The tanh that lies between h_{t-1} and h_t is "
                "the one whose output is h_t: its slope is taken at h_t.",
                lambda h, W_hh: _by_lag(h, W_hh, shift=1)),
        Mistake("the matrices are multiplied in the wrong order",
                "The order of the steps matters. dh_T/dh_{T-2} is dh_T/dh_{T-1} times dh_{T-1}/dh_{T-2}: with each "
                "further step back the new matrix comes on the right.",
                lambda h, W_hh: _by_lag(h, W_hh, left=True)),
        Mistake("it starts at lag 1",
                "Your first number belongs to lag 1. At lag 0 no step lies between the two: dh_T/dh_T is the "
                "identity, and its norm is 1.", _from_lag_one),
        Mistake("counted from the first step on",
                "You begin at the start of the sequence and walk forward. The question is how the *last* state "
                "depends on one further and further back: begin with the last step and walk towards the start.",
                lambda h, W_hh: _by_lag(np.concatenate([h[:1], h[:0:-1]]), W_hh, left=True)),
        Mistake("the lags are in reverse order",
                "The numbers are right and stand the wrong way round: the first has to belong to lag 0.",
                lambda h, W_hh: _by_lag(h, W_hh)[::-1])))


# 3.3 the step

def _step(params, grads, lr, max_norm, clip=_clip, start=lambda p: p, rate=lambda lr: lr):
    """The step, in which a part can be replaced by a wrong one."""
    clipped = clip(grads, max_norm)
    return {key: start(params[key]) - rate(lr) * clipped[key] for key in params}


def _clips_the_params(params, grads, lr, max_norm):
    return _clip({key: params[key] - lr * grads[key] for key in params}, max_norm)


def _step_in_place(params, grads, lr, max_norm):
    clipped = _clip(grads, max_norm)
    for key in params:
        params[key] -= lr * clipped[key]
    return params


def _clips_the_step(params, grads, lr, max_norm):
    step = _clip({key: lr * g for key, g in grads.items()}, max_norm)
    return {key: params[key] - step[key] for key in params}


def _cases_step(rng):
    return [(params(rng, 1, D, H), {key: size * g for key, g in params(rng, 1, D, H).items()}, lr, max_norm)
            for D, H, size, lr, max_norm in ((4, 3, 20, 0.3, 2.0), (3, 5, 1, 0.2, 40.0), (2, 4, 20, 3.0, 1.5))]


step = Exercise(
    id="3.3", title="one clipped step downhill", lesson="03_forgetting", points=1,
    onward="What would change if the learning rate were multiplied in before the norm is taken?",
    shortest="""\
norm = np.sqrt(sum(np.vdot(g, g) for g in grads.values()))
rate = lr * min(1, max_norm / max(norm, 1e-300))
return {name: params[name] - rate * grads[name] for name in params}""",
    function="clipped_step", signature=f"(params {DICT}, grads {DICT}, lr, max_norm) -> params {DICT}",
    cases=_cases_step, reference=_step,
    about=("a norm far above the limit", "a norm below the limit", "a norm far above the limit, and a learning rate "
                                                                   "above 1"),
    mistakes=(
        Mistake("clipped after the update, so not at all",
                "Your step is as long as if there were no limit. If the clipping comes after the parameters have "
                "moved, it comes too late: first limit the gradients, then step with the limited ones.",
                partial(_step, clip=lambda grads, m: grads)),
        Mistake("the parameters are clipped",
                "You limit the norm of the parameters after the step. That shrinks the whole network. It is the "
                "gradients that are limited, before the step.", _clips_the_params),
        Mistake("the step is clipped, not the gradient",
                "You multiply by the learning rate first and limit the product. The limit is on the norm of the "
                "gradients; the learning rate comes after it.", _clips_the_step),
        Mistake("the step goes uphill",
                "Gradients point to where the loss grows. Your parameters go there.",
                partial(_step, rate=lambda lr: -lr)),
        Mistake("the learning rate is left out",
                "Your step is the whole clipped gradient. lr says which part of it to go.",
                partial(_step, rate=lambda lr: 1.0)),
        Mistake("new parameters that are only the step",
                "What you return is how far to go, not where one gets to. The step starts from the old parameters.",
                partial(_step, start=lambda p: 0 * p)),
        Mistake(*EACH_NUMBER, partial(_step, clip=_each_number)),
        Mistake(*EACH_ARRAY, partial(_step, clip=_each_array)),
        Mistake(*ALWAYS, partial(_step, clip=partial(_scaled, factor=_ratio))),
        *(Mistake(*LENGTH_ONE, partial(_step, clip=partial(_scaled, factor=factor))) for factor in UNIT_FACTORS[1:]),
        Mistake("params is changed in place",
                "Your numbers are right, but the caller's parameters are overwritten, and nobody can compare before "
                "and after. Return a new dict with new arrays.", _step_in_place)))

EXERCISES = (clip, lag, step)
