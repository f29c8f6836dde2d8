"""What training needs besides gradients: initial weights, clipping, Adam and one plain loop.

Parameters are a dict of arrays, or a dict of such dicts, one for each layer of a model:
{"rnn": {"W_ih": …}, "linear": {"W": …, "b": …}}. Gradients have the same form.
"""

import math

import numpy as np
from tqdm.auto import tqdm

from lstmcourse.recurrent import KINDS, kind_named
from lstmcourse.validation import check_gradients, check_number


def init_recurrent(kind, D, H, rng, forget_bias=None, orthogonal=False, dtype="float64", identity=False,
                   update_bias=None):
    """Initial weights of an "rnn", "gru" or "lstm" (`recurrent.KINDS`): uniform in ±1/sqrt(H), as in PyTorch.

    forget_bias  of a kind with a forget gate: its first bias is set to this, its second to 0
    orthogonal   every H x H block of W_hh is a random orthogonal matrix instead (Saxe et al. 2014)
    dtype        "float64" or "float32"
    identity     "rnn" only: W_hh is the identity and both biases are 0, for nonlinearity="relu": the IRNN of
                 Le et al. 2015, who also draw W_ih with standard deviation 0.001
    update_bias  as forget_bias, for the update gate z of the GRU: near 1 it keeps the state

    Returns params: W_ih (kH, D), W_hh (kH, H), b_ih (kH,), b_hh (kH,), k the number of gates.
    Raises ValueError for another kind, or a bias for a gate that the kind has not.
    """
    gates, keys = kind_named(kind).gates, kind_named(kind).keys
    rows, bound = len(gates) * H, 1 / np.sqrt(H)
    shapes = {key: {"W_ih": (rows, D), "W_hh": (rows, H)}.get(key, (rows,)) for key in keys}
    params = {key: rng.uniform(-bound, bound, shape) for key, shape in shapes.items()}
    if orthogonal:
        params["W_hh"] = np.concatenate([init_orthogonal(H, rng) for _ in gates])
    for name, gate, bias in (("forget_bias", "f", forget_bias), ("update_bias", "z", update_bias)):
        if bias is None:
            continue
        if gate not in gates:
            with_one = " or ".join(repr(name) for name in KINDS if gate in KINDS[name].gates)
            raise ValueError(f"{name} is for kind {with_one}; kind is {kind!r}")
        block = slice(gates.index(gate) * H, (gates.index(gate) + 1) * H)
        for n, key in enumerate(key for key in keys if key.startswith("b")):
            params[key][block] = 0 if n else bias
    if identity:
        if kind != "rnn" or orthogonal:
            raise ValueError(f"identity is for kind 'rnn' without orthogonal; kind is {kind!r}, "
                             f"orthogonal is {orthogonal}")
        params |= {"W_hh": np.eye(H), "b_ih": np.zeros(H), "b_hh": np.zeros(H)}
    return {key: value.astype(dtype) for key, value in params.items()}


def init_orthogonal(H, rng):
    """A random orthogonal matrix (H, H), uniformly distributed (Mezzadri 2007): it never changes a vector's norm."""
    q, r = np.linalg.qr(rng.standard_normal((H, H)))
    return q * np.sign(np.diag(r))            # without the signs some matrices come up more often


def init_linear(D, V, rng, dtype="float64"):
    """Initial weights of `linear_forward` from D to V: uniform in ±1/sqrt(D), as in PyTorch."""
    bound = 1 / np.sqrt(D)
    return {"W": rng.uniform(-bound, bound, (V, D)).astype(dtype),
            "b": rng.uniform(-bound, bound, V).astype(dtype)}


def init_embedding(V, D, rng, dtype="float64"):
    """Initial weights of `embedding_forward`: standard normal, as in PyTorch."""
    return {"W": rng.standard_normal((V, D)).astype(dtype)}


def init_multi_head(E, rng, dtype="float64"):
    """Initial weights of `multi_head_attention_forward` for one width E, as in PyTorch.

    W_q, W_k, W_v uniform in ±sqrt(6 / 4E), Glorot's bound for their stack (3E, E); W_o in ±1/sqrt(E); biases 0.
    """
    bounds = {"W_q": np.sqrt(6 / (4 * E)), "W_k": np.sqrt(6 / (4 * E)), "W_v": np.sqrt(6 / (4 * E)),
              "W_o": 1 / np.sqrt(E)}
    params = {key: rng.uniform(-bound, bound, (E, E)).astype(dtype) for key, bound in bounds.items()}
    return params | {f"b_{name}": np.zeros(E, dtype) for name in "qkvo"}


def init_layer_norm(D, dtype="float64"):
    """Initial weights of `layer_norm_forward`: W is 1 and b is 0, as in PyTorch."""
    return {"W": np.ones(D, dtype), "b": np.zeros(D, dtype)}


def init_transformer_block(E, F, rng, dtype="float64"):
    """Initial weights of `transformer_block_forward`: width E, feed-forward block of F hidden units; as in PyTorch."""
    return {"self_attn": init_multi_head(E, rng, dtype), "norm1": init_layer_norm(E, dtype),
            "linear1": init_linear(E, F, rng, dtype), "linear2": init_linear(F, E, rng, dtype),
            "norm2": init_layer_norm(E, dtype)}


def tree_map(f, tree, *others):
    """f on every array of a dict of arrays, or of dicts of arrays; the others have the same keys."""
    if isinstance(tree, dict):
        return {key: tree_map(f, tree[key], *(other[key] for other in others)) for key in tree}
    return f(tree, *others)


def leaves(tree):
    """The arrays of a dict of arrays, or of dicts of arrays, in order."""
    return [leaf for value in tree.values() for leaf in leaves(value)] if isinstance(tree, dict) else [tree]


def count_parameters(params):
    """How many numbers are in params."""
    return sum(array.size for array in leaves(params))


def clip_grads(grads, max_norm):
    """Scale all gradients by one factor so that their global norm is at most max_norm (Pascanu et al. 2013).  (eq. 3d)

    Returns the gradients (new arrays, direction kept) and the norm that they had before, a float.
    Raises ValueError for a max_norm that is not a positive finite number, FloatingPointError for
    gradients with NaN or infinity in them: there is no direction to keep.
    """
    max_norm = check_number("max_norm", max_norm, above=0)
    check_gradients(grads, grads)
    largest = 1.0
    with np.errstate(over="ignore", under="ignore"):
        squares = sum(float(np.vdot(g, g)) for g in leaves(grads))
    if not 1e-30 < squares < 1e30:           # in float32 a square overflows from 1e19 on, and is 0 below 1e-23
        largest = max((float(np.abs(g).max(initial=0)) for g in leaves(grads)), default=0.0) or 1.0
        squares = sum(float(np.vdot(g, g)) for g in (leaf / np.float64(largest) for leaf in leaves(grads)))
    norm = math.sqrt(squares)                # of the gradients / largest
    factor = min(1.0, max_norm / largest / norm) if norm > 0 else 1.0
    return tree_map(lambda g: g * g.dtype.type(factor), grads), float(largest * norm)


class Adam:
    """Adam (Kingma and Ba 2015, algorithm 1): a step of about lr for each weight, whatever its scale.

    .t counts the steps; .lr may be changed between them.
    """

    def __init__(self, lr=1e-3, betas=(0.9, 0.999), eps=1e-8):
        self.lr, self.betas, self.eps = lr, betas, eps
        self.t, self.m, self.v = 0, None, None

    def step(self, params, grads):
        """Returns the new params, in the dtypes of the old ones, which stay as they are.

        Raises ValueError for grads that have not the keys, shapes and dtypes of params, or params of
        another form than at the first step; FloatingPointError for grads with NaN or infinity in them, or
        whose squares are too large for their dtype.
        """
        check_gradients(grads, params)
        if self.t == 0:
            self.m = self.v = tree_map(np.zeros_like, params)
        check_gradients(self.m, params, "the moment", finite=False)
        self.t += 1
        t, lr, eps, beta_1, beta_2 = self.t, *map(float, (self.lr, self.eps, *self.betas))     # see `check_number`
        self.m = tree_map(lambda m, g: beta_1 * m + (1 - beta_1) * g, self.m, grads)
        with np.errstate(over="raise"):      # in float32 from 1e19 on: the step would be divided by infinity
            self.v = tree_map(lambda v, g: beta_2 * v + (1 - beta_2) * g * g, self.v, grads)
        rate = lr / (1 - beta_1**t)

        def moved(p, m, v):
            return p - rate * m / (np.sqrt(v / (1 - beta_2**t)) + eps)

        return tree_map(moved, params, self.m, self.v)


def train(loss_and_grads, params, batches, lr=1e-2, max_norm=1.0, total=None, progress=True):
    """The training loop of every lesson: gradient, clip, Adam, next batch.

    loss_and_grads  called as loss_and_grads(params, *batch); returns a float and grads
    params          where to start; not changed
    batches         a list, or anything else to loop over; each a tuple
    max_norm        clip the gradients' global norm here; None: no clipping
    total           how many batches there are, for the progress bar, where batches has no length
    progress        False: no bar

    Returns the trained params and the loss before each step, a list.
    Raises FloatingPointError when a loss or a gradient is not finite, since nothing after it would be;
    ValueError for grads of another form than params, and for a max_norm that is not positive.
    """
    adam, losses = Adam(lr), []
    advice = f"try a smaller lr (it is {lr}) or a smaller max_norm (it is {max_norm})"
    bar = tqdm(batches, desc="training", total=total, mininterval=0.5, disable=not progress)
    for batch in bar:
        loss, grads = loss_and_grads(params, *batch)
        if not np.isfinite(loss):
            raise FloatingPointError(f"the loss is {loss} at step {len(losses)}: {advice}")
        try:
            if max_norm is not None:
                grads, _ = clip_grads(grads, max_norm)
            params = adam.step(params, grads)
        except FloatingPointError as error:
            raise FloatingPointError(f"{error}, at step {len(losses)}, where the loss is {loss}: {advice}") from None
        losses.append(loss)
        if len(losses) % 20 == 1:
            bar.set_postfix(loss=f"{loss:.3f}", refresh=False)
    return params, losses
