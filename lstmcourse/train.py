"""What training needs besides gradients: first weights, clipping, Adam and one plain loop.

Parameters are a dict of arrays, or a dict of such dicts, one for each layer of a model:
{"rnn": {"W_ih": …}, "linear": {"W": …, "b": …}}. Gradients have the same form.
"""

import numpy as np
from tqdm.auto import tqdm

BLOCKS = {"rnn": 1, "gru": 3, "lstm": 4}


def init_recurrent(kind, D, H, rng, forget_bias=None, orthogonal=False, dtype="float64", identity=False,
                   update_bias=None):
    """First weights of an "rnn", "gru" or "lstm": uniform in ±1/sqrt(H), as in PyTorch.

    forget_bias  "lstm" only: b_ih of the forget gate is set to this and its b_hh to 0
    orthogonal   every H x H block of W_hh is a random rotation instead
    identity     "rnn" only: W_hh is the identity and both biases are 0, for nonlinearity="relu": the IRNN of
                 Le et al. 2015, who also draw W_ih with standard deviation 0.001
    update_bias  "gru" only: b_ih of the update gate z is set to this and its b_hh to 0 (z near 1 keeps the state)
    """
    if kind not in BLOCKS:
        raise ValueError(f"kind is {kind!r}; wanted one of {sorted(BLOCKS)}")
    rows, bound = BLOCKS[kind] * H, 1 / np.sqrt(H)
    shapes = {"W_ih": (rows, D), "W_hh": (rows, H), "b_ih": (rows,), "b_hh": (rows,)}
    params = {key: rng.uniform(-bound, bound, shape) for key, shape in shapes.items()}
    if orthogonal:
        params["W_hh"] = np.concatenate([init_orthogonal(H, rng) for _ in range(BLOCKS[kind])])
    for name, value, owner in (("forget_bias", forget_bias, "lstm"), ("update_bias", update_bias, "gru"),
                               ("identity", identity or None, "rnn")):
        if value is not None and kind != owner:
            raise ValueError(f"{name} is for kind {owner!r}; kind is {kind!r}")
    for bias in (forget_bias, update_bias):
        if bias is not None:                  # the second block of rows, of i, f, g, o and of r, z, n
            params["b_ih"][H:2 * H], params["b_hh"][H:2 * H] = bias, 0
    if identity:
        if orthogonal:
            raise ValueError("orthogonal and identity are two starts for W_hh; wanted one of them")
        params |= {"W_hh": np.eye(H), "b_ih": np.zeros(H), "b_hh": np.zeros(H)}
    return {key: value.astype(dtype) for key, value in params.items()}


def kind_of(params):
    """"rnn", "gru" or "lstm": told by the shape, since W_hh has one, three or four blocks of H rows."""
    rows, H = params["W_hh"].shape
    for kind, blocks in BLOCKS.items():
        if rows == blocks * H:
            return kind
    raise ValueError(f"params['W_hh'] has shape {(rows, H)}; wanted (H, H) of an RNN, (3H, H) of a GRU or (4H, H) of an LSTM")


def init_orthogonal(H, rng):
    """A random orthogonal matrix (H, H): it changes the direction of a vector, never its length."""
    q, r = np.linalg.qr(rng.standard_normal((H, H)))
    return q * np.sign(np.diag(r))            # without the signs some rotations come up more often


def init_linear(D, V, rng, dtype="float64"):
    """First weights of `linear_forward` from D to V: uniform in ±1/sqrt(D), as in PyTorch."""
    bound = 1 / np.sqrt(D)
    return {"W": rng.uniform(-bound, bound, (V, D)).astype(dtype),
            "b": rng.uniform(-bound, bound, V).astype(dtype)}


def init_embedding(V, D, rng, dtype="float64"):
    """First weights of `embedding_forward`: standard normal, as in PyTorch."""
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
    """Scale all gradients by one factor so that their global norm is at most max_norm.  (eq. 3.4)

    Returns the gradients (new arrays, direction kept) and the norm they had before.
    """
    norm = float(np.sqrt(sum(float(np.vdot(g, g)) for g in leaves(grads))))
    factor = min(1.0, max_norm / norm) if norm > 0 else 1.0
    return tree_map(lambda g: g * g.dtype.type(factor), grads), norm


class Adam:
    """Adam (Kingma and Ba 2015, algorithm 1): a step of about lr for each weight, whatever its scale."""

    def __init__(self, lr=1e-3, betas=(0.9, 0.999), eps=1e-8):
        self.lr, self.betas, self.eps = lr, betas, eps
        self.t, self.m, self.v = 0, None, None

    def step(self, params, grads):
        """Returns the new params; the old ones stay as they are."""
        if self.t == 0:
            self.m = self.v = tree_map(np.zeros_like, params)
        self.t += 1
        (beta_1, beta_2), t = self.betas, self.t
        self.m = tree_map(lambda m, g: beta_1 * m + (1 - beta_1) * g, self.m, grads)
        self.v = tree_map(lambda v, g: beta_2 * v + (1 - beta_2) * g * g, self.v, grads)
        rate = self.lr / (1 - beta_1**t)

        def moved(p, m, v):
            return p - rate * m / (np.sqrt(v / (1 - beta_2**t)) + self.eps)

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
    Raises FloatingPointError when a loss is not finite: nothing after it would be.
    """
    adam, losses = Adam(lr), []
    bar = tqdm(batches, desc="training", total=total, mininterval=0.5, disable=not progress)
    for batch in bar:
        loss, grads = loss_and_grads(params, *batch)
        if not np.isfinite(loss):
            raise FloatingPointError(f"the loss is {loss} at step {len(losses)}: try a smaller lr (it is {lr}) "
                                     f"or a smaller max_norm (it is {max_norm})")
        if max_norm is not None:
            grads, _ = clip_grads(grads, max_norm)
        params = adam.step(params, grads)
        losses.append(loss)
        if len(losses) % 20 == 1:
            bar.set_postfix(loss=f"{loss:.3f}", refresh=False)
    return params, losses
