"""Exercises 3.1 to 3.4: clipping by the global norm, the gradient by lag, and the Lyapunov exponent."""

from functools import partial

import numpy as np

from lstmcourse.practice.exercise import Exercise, Mistake
from lstmcourse.practice.inputs import normal, params, uniform

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
          "You always scale, so that the norm becomes exactly max_norm. Leave gradients below the limit "
          "alone: near a minimum they are small for a good reason.")
LENGTH_ONE = ("scaled to the norm 1",
              "You bring the norm down to 1, whatever max_norm is. Below max_norm nothing is scaled at all; above it, "
              "the norm becomes max_norm, not 1.")
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
        Mistake(*ALWAYS, partial(_scaled, factor=_ratio),
                partial(_scaled, factor=lambda norm, m: _ratio(norm, m) if norm else 1.0)),
        Mistake(*LENGTH_ONE, *(partial(_scaled, factor=factor) for factor in UNIT_FACTORS)),
        Mistake("the norm is returned as well",
                "You return two things, the gradients and their norm. The library's function does so; here the new "
                "gradients are the only result.", lambda grads, m: (_scaled(grads, m), _norm(grads)),
                lambda grads, m: (_norm(grads), _scaled(grads, m)), convention=True),
        Mistake("the norm is returned",
                "You return the norm, as the function of this name in PyTorch does, which changes the gradients in "
                "place. Here the new gradients are the result.", lambda grads, m: _norm(grads), convention=True),
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


# 3.2 the gradient by lag, with a leak

def _jacobian(n_t, W_hh, alpha, straight=lambda alpha: 1 - alpha, through=lambda alpha: alpha):
    return straight(alpha) * np.eye(len(W_hh)) + through(alpha) * (1 - n_t**2)[:, None] * W_hh


def _by_lag(n, W_hh, alpha, jacobian=_jacobian, norm=lambda J: np.linalg.norm(J, 2), shift=0, from_left=False):
    """Norms of J_T, J_T J_{T-1}, …, in which a part can be replaced by a wrong one."""
    product, norms = np.eye(n.shape[1]), [norm(np.eye(n.shape[1]))]
    for lag in range(1, len(n)):
        J = jacobian(n[len(n) - lag - shift], W_hh, alpha)
        product = J @ product if from_left else product @ J
        norms.append(norm(product))
    return np.array(norms)


def _product_of_norms(n, W_hh, alpha):
    each = [np.linalg.norm(_jacobian(n_t, W_hh, alpha), 2) for n_t in n[:0:-1]]
    return np.cumprod([1.0, *each])


def _from_lag_one(n, W_hh, alpha):
    product, norms = np.eye(n.shape[1]), []
    for n_t in n[::-1]:
        product = product @ _jacobian(n_t, W_hh, alpha)
        norms.append(np.linalg.norm(product, 2))
    return np.array(norms)


def _radius(J):
    return np.abs(np.linalg.eigvals(J)).max()


def _weights(weights):
    """The Jacobian with other weights in place of diag(1 - n^2) W_hh.   weights(n_t, W_hh)"""
    return lambda n_t, W_hh, alpha: (1 - alpha) * np.eye(len(W_hh)) + alpha * weights(n_t, W_hh)


lag = Exercise(
    id="3.2", title="the gradient by lag, with a leak", lesson="03_forgetting", points=3,
    onward="With alpha = 0.01 the gradient arrives from a hundred steps back. What can such a unit no longer do?",
    shortest="""\
J, norms = np.eye(len(W_hh)), []
for n_t in n[::-1]:
    norms.append(np.linalg.norm(J, 2))
    J = (1 - alpha) * J + alpha * J * (1 - n_t**2) @ W_hh
return np.array(norms)""",
    function="leaky_norms_by_lag", signature="(n (T, H), W_hh (H, H), alpha) -> norms (T,)",
    cases=lambda rng: [(0.9 * uniform(rng, T, H), uniform(rng, H, H), alpha)
                       for T, H, alpha in ((4, 3, 0.3), (6, 5, 0.8), (5, 2, 0.15))],
    reference=_by_lag,
    mistakes=(
        Mistake("the straight path is left out",
                "Your gradient goes through the tanh alone. There is a second path from h_{t-1} to h_t: the part of "
                "the old state that is kept. Differentiate both terms of the sum.",
                partial(_by_lag, jacobian=partial(_jacobian, straight=lambda alpha: 0))),
        Mistake("as if there were no leak",
                "Your numbers do not depend on alpha: this is the lesson's measure, for an RNN that computes its whole "
                "state anew. Here h_t is a sum of two terms, and both contain h_{t-1}.",
                partial(_by_lag, jacobian=partial(_jacobian, straight=lambda alpha: 0, through=lambda alpha: 1))),
        Mistake("alpha is missing in front of the new part",
                "The straight path is right. The other one is too strong: n_t enters the state multiplied by alpha, "
                "and so does its derivative.",
                partial(_by_lag, jacobian=partial(_jacobian, through=lambda alpha: 1))),
        Mistake("the whole old state is kept",
                "You add the identity itself, as in a residual network. Here only the fraction 1 - alpha of the old "
                "state is kept.",
                partial(_by_lag, jacobian=partial(_jacobian, straight=lambda alpha: 1))),
        Mistake("alpha and 1 - alpha are swapped",
                "Look at the equation once more: alpha belongs to what is new, 1 - alpha to what is kept.",
                partial(_by_lag, jacobian=partial(_jacobian, straight=lambda alpha: alpha,
                                                  through=lambda alpha: 1 - alpha))),
        Mistake("the Frobenius norm",
                "At lag 0 the matrix is the identity and nothing is stretched, so the norm has to be 1; yours is the "
                "root of H. That is the Frobenius norm, NumPy's default for a matrix: the root of the sum of squares. "
                "The exercise asks for the spectral norm: the most that the matrix stretches any vector, its largest "
                "singular value.",
                partial(_by_lag, norm=np.linalg.norm)),
        Mistake("the Frobenius norm",
                "At lag 0 you are right, at every other lag too large. That is the Frobenius norm, NumPy's default for "
                "a matrix: the root of the sum of squares. The exercise asks for the spectral norm: the most that the "
                "matrix stretches any vector, its largest singular value.",
                lambda n, W_hh, alpha: np.append(1, _by_lag(n, W_hh, alpha, norm=np.linalg.norm)[1:])),
        Mistake("the largest eigenvalue in place of the norm",
                "You take the largest eigenvalue of the product. It says what happens to a vector that the matrix only "
                "scales; other vectors can be stretched more, for a while. The exercise asks for the largest "
                "singular value.",
                partial(_by_lag, norm=_radius)),
        Mistake("a product of norms, not the norm of the product",
                "You multiply the norms of the single steps. That is an upper bound: it would be reached only if each "
                "step stretched most in the direction in which the step before it did. Multiply the matrices first, "
                "and take the norm of what comes out.",
                _product_of_norms),
        Mistake("tanh' is left out",
                "Your numbers do not depend on n. Between h_{t-1} and n_t lie the matrix *and* the tanh; its slope is "
                "what makes the gradient of a saturated network vanish.",
                partial(_by_lag, jacobian=_weights(lambda n_t, W: W))),
        Mistake("tanh' of the output in place of the input",
                "You have applied tanh once more. The slope of tanh is 1 minus the square of its *output*, and n_t is "
                "that output already.",
                partial(_by_lag, jacobian=lambda n_t, W, alpha: _jacobian(np.tanh(n_t), W, alpha))),
        Mistake("tanh' is on the wrong side of W_hh",
                "Row j of dn_t/dh_{t-1} is about unit j of n_t, so the slope of unit j multiplies row j of W_hh. Yours "
                "multiplies column j: as if the tanh came before the matrix and not after it.",
                partial(_by_lag, jacobian=_weights(lambda n_t, W: W * (1 - n_t**2)))),
        Mistake("W_hh is transposed",
                "dn_t/dh_{t-1} has a row for each unit of n_t and a column for each unit of h_{t-1}, and that is how "
                "W_hh itself is laid out. The transpose in the forward pass is there because states are rows there.",
                partial(_by_lag, jacobian=lambda n_t, W, alpha: _jacobian(n_t, W.T, alpha))),
        Mistake("the slope is taken one step too early",
                "Each step of yours uses n of the step before. The tanh between h_{t-1} and h_t is the one whose "
                "output is n_t: its slope is taken there.",
                partial(_by_lag, shift=1)),
        Mistake("the matrices are multiplied in the wrong order",
                "The order of the steps matters. dh_T/dh_{T-2} is dh_T/dh_{T-1} times dh_{T-1}/dh_{T-2}: with each "
                "further step back the new matrix comes on the right.",
                partial(_by_lag, from_left=True)),
        Mistake("it starts at lag 1",
                "Your first number belongs to lag 1. At lag 0 no step lies between the two: dh_T/dh_T is the "
                "identity, and its norm is 1.", _from_lag_one),
        Mistake("counted from the first step on",
                "You begin at the start of the sequence and walk forward. The question is how the *last* state "
                "depends on one further and further back: begin with the last step and walk towards the start.",
                lambda n, W_hh, alpha: _by_lag(np.concatenate([n[:1], n[:0:-1]]), W_hh, alpha, from_left=True)),
        Mistake("the lags are in reverse order",
                "The numbers are right, but in reverse order: the first has to belong to lag 0.",
                lambda n, W_hh, alpha: _by_lag(n, W_hh, alpha)[::-1])))


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
                "Your step is the whole clipped gradient. lr says how far along it to go.",
                partial(_step, rate=lambda lr: 1.0)),
        Mistake("new parameters that are only the step",
                "What you return is how far to go, not where you arrive. The step starts from the old parameters.",
                partial(_step, start=lambda p: 0 * p)),
        Mistake(*EACH_NUMBER, partial(_step, clip=_each_number)),
        Mistake(*EACH_ARRAY, partial(_step, clip=_each_array)),
        Mistake(*ALWAYS, partial(_step, clip=partial(_scaled, factor=_ratio))),
        Mistake(*LENGTH_ONE, *(partial(_step, clip=partial(_scaled, factor=factor)) for factor in UNIT_FACTORS[1:])),
        Mistake("params is changed in place",
                "Your numbers are right, but the caller's parameters are overwritten, and nobody can compare before "
                "and after. Return a new dict with new arrays.", _step_in_place)))

# 3.4 the Lyapunov exponent

def _pre_activation(x_t, h, p):
    return p["W_ih"] @ x_t + p["b_ih"] + p["W_hh"] @ h + p["b_hh"]


def _change(v, h, h_prev, W_hh):
    return (1 - h**2) * (W_hh @ v)


def _growths(x, h_0, v_0, params, pre_activation=_pre_activation, change=_change, rescaled=True):
    """States h_1 … h_T, and the norms of the change before and after each step; a part can be replaced by a wrong one.

    rescaled  False: the change is carried along as it is
    """
    h, v, states, before, after = h_0, v_0, [], [], []
    for x_t in x:
        h_prev, h = h, np.tanh(pre_activation(x_t, h, params))
        before.append(np.linalg.norm(v))
        v = change(v, h, h_prev, params["W_hh"])
        after.append(np.linalg.norm(v))
        states.append(h)
        if rescaled:
            v = v / after[-1]
    return np.array(states), np.array(before), np.array(after)


def _exponent(x, h_0, v_0, params, result=lambda states, before, after: np.mean(np.log(after / before)), **wrong):
    with np.errstate(all="ignore"):
        return float(result(*_growths(x, h_0, v_0, params, **wrong)))


def _mean_slope(x, h_0, v_0, params):
    states, *_ = _growths(x, h_0, v_0, params)
    return float(np.log(_radius(params["W_hh"]) * np.mean(1 - states**2)))


def _singular(x, h_0, v_0, params):
    return float(np.log(np.linalg.norm(params["W_hh"], 2)))


def _cases_exponent(rng):
    cases = []
    for T, D, H, scale in ((6, 3, 4, 2.0), (5, 4, 2, 0.7), (1500, 2, 5, 0.3)):
        p = params(rng, 1, D, H)
        cases.append((normal(rng, T, D), uniform(rng, H), normal(rng, H), p | {"W_hh": scale * p["W_hh"]}))
    return cases


exponent = Exercise(
    id="3.4", title="the Lyapunov exponent", lesson="03_forgetting", points=2,
    onward="Multiply W_hh by 5 and feed in weak noise: does the sign change? That network is chaotic.",
    shortest="""\
h, v, total = h_0, v_0 / np.linalg.norm(v_0), 0.0
for x_t in x:
    h = np.tanh(params["W_ih"] @ x_t + params["b_ih"] + params["W_hh"] @ h + params["b_hh"])
    v = (1 - h**2) * (params["W_hh"] @ v)
    norm = np.linalg.norm(v)
    v, total = v / norm, total + np.log(norm)
return total / len(x)""",
    function="exponent", signature=f"(x (T, D), h_0 (H,), v_0 (H,), params {DICT}) -> number",
    cases=_cases_exponent, reference=_exponent,
    about=("large recurrent weights", "", "1500 steps, in which the change becomes far too small for a float"),
    mistakes=(
        Mistake("the change is never rescaled",
                "Right over a few steps. Over many the change becomes 0 (or infinite), because floats have "
                "limits, and its logarithm is useless. Bring it back to norm 1 after each step, once you have "
                "noted by how much it grew.",
                partial(_exponent, rescaled=False)),
        Mistake("the norm at the start is not divided out",
                "Your first step counts the norm that v_0 had from the beginning as growth. What counts is the norm "
                "after the step, divided by the norm before it.",
                partial(_exponent, result=lambda states, before, after: np.mean(np.log(after)))),
        Mistake("the sum, not the mean",
                "You add up the growth of all steps. The exponent is the growth *per step*.",
                partial(_exponent, result=lambda states, before, after: np.sum(np.log(after / before)))),
        Mistake("the factor, not its logarithm",
                "You return the factor per step. The exponent is its natural logarithm: 0 where the change neither "
                "grows nor shrinks.",
                partial(_exponent, result=lambda states, before, after: np.exp(np.mean(np.log(after / before))))),
        Mistake("the mean of the factors, not of their logarithms",
                "Factors are multiplied from step to step, so they cannot be averaged by adding: 2 and then 0.5 is no "
                "growth at all. Average the logarithms.",
                partial(_exponent, result=lambda states, before, after: np.log(np.mean(after / before)))),
        Mistake("the mean of the factors, not of their logarithms",
                "You average the factors of the single steps. But 2 and then 0.5 is no growth at all. Average their "
                "logarithms.",
                partial(_exponent, result=lambda states, before, after: np.mean(after / before))),
        Mistake("another base of the logarithm",
                "Your logarithm is to the base 2. Use the natural one.",
                partial(_exponent, result=lambda states, before, after: np.mean(np.log2(after / before)))),
        Mistake("another base of the logarithm",
                "Your logarithm is to the base 10. Use the natural one.",
                partial(_exponent, result=lambda states, before, after: np.mean(np.log10(after / before)))),
        Mistake("the last step alone",
                "You measure the growth of the last step. One step says little; take the mean over all of them.",
                partial(_exponent, result=lambda states, before, after: np.log(after / before)[-1])),
        Mistake("the radius times the mean slope",
                "You multiply the spectral radius by the mean slope of tanh. The lesson shows that this is the wrong "
                "average. Follow a change from step to step instead.", _mean_slope),
        Mistake("an upper bound, not the exponent",
                "You take the largest singular value of W_hh. It bounds what one step can do to the best direction, "
                "with no tanh. Follow a change from step to step instead.", _singular),
        Mistake("tanh' is left out",
                "Your change goes through W_hh alone. The states pass through tanh as well, and its slope shrinks "
                "every change.",
                partial(_exponent, change=lambda v, h, h_prev, W: W @ v)),
        Mistake("tanh' of the output in place of the input",
                "You have applied tanh once more. The slope of tanh is 1 minus the square of its *output*, and h_t is "
                "that output already.",
                partial(_exponent, change=lambda v, h, h_prev, W: (1 - np.tanh(h) ** 2) * (W @ v))),
        Mistake("the slope is taken at the state before",
                "The tanh between h_{t-1} and h_t is the one whose output is h_t: first compute the new state, then "
                "take the slope there.",
                partial(_exponent, change=lambda v, h, h_prev, W: (1 - h_prev**2) * (W @ v))),
        Mistake("tanh' is on the wrong side of W_hh",
                "You multiply by the slope first and by W_hh after it. In the forward pass the matrix comes first and "
                "the tanh after it; a change takes the same way.",
                partial(_exponent, change=lambda v, h, h_prev, W: W @ ((1 - h**2) * v))),
        Mistake("W_hh is transposed",
                "A change of the state travels forward, as the state does: through W_hh. The transpose is for the "
                "gradient, which travels back.",
                partial(_exponent, change=lambda v, h, h_prev, W: (1 - h**2) * (W.T @ v))),
        Mistake("a bias is left out",
                "Your states are not those of the RNN: b_ih and b_hh are both added before the tanh.",
                partial(_exponent, pre_activation=lambda x_t, h, p: p["W_ih"] @ x_t + p["W_hh"] @ h)),
        Mistake("a bias is left out",
                "Your states are not quite those of the RNN: b_hh is added before the tanh, too.",
                partial(_exponent, pre_activation=lambda x_t, h, p: p["W_ih"] @ x_t + p["b_ih"] + p["W_hh"] @ h)),
        Mistake("a bias is left out",
                "Your states are not quite those of the RNN: b_ih is added before the tanh, too.",
                partial(_exponent, pre_activation=lambda x_t, h, p: p["W_ih"] @ x_t + p["b_hh"] + p["W_hh"] @ h)),
        Mistake("the sign is reversed",
                "Right but for the sign: where a change grows, the exponent is positive.",
                partial(_exponent, result=lambda states, before, after: np.mean(np.log(before / after))))))

EXERCISES = (clip, lag, step, exponent)
