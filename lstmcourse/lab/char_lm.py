"""A character-level language model: it reads text character by character, and predicts the next one.

params is {"embedding": {"W"}, "lstm": {"W_ih", …}, "linear": {"W", "b"}}: a vector for each character,
one LSTM layer, and a score for each character that may follow. Text is a sequence of tokens.
"""

import numpy as np
from tqdm.auto import tqdm

from lstmcourse.layers import (
    cross_entropy_backward,
    cross_entropy_forward,
    embedding_backward,
    embedding_forward,
    linear_backward,
    linear_forward,
    softmax,
)
from lstmcourse.lstm import lstm_backward, lstm_forward
from lstmcourse.train import Adam, clip_grads, init_embedding, init_linear, init_recurrent


def init_char_lm(V, D, H, rng, dtype="float32"):
    """Initial weights of a model of V characters, with D numbers for each, and H units; forget bias 1."""
    return {"embedding": init_embedding(V, D, rng, dtype),
            "lstm": init_recurrent("lstm", D, H, rng, forget_bias=1.0, dtype=dtype),
            "linear": init_linear(H, V, rng, dtype)}


def char_lm_forward(tokens, params, states=None):
    """Scores for the character after each of tokens (B, T).

    states  h_0 and c_0, each (B, H): what was read before; None: nothing was, both are zero

    Returns logits (B, T, V), the states after the last step, the cell states c (B, T, H) and the cache.
    """
    if states is None:
        states = [np.zeros((len(tokens), params["lstm"]["W_hh"].shape[1]), params["linear"]["b"].dtype)] * 2
    x, embedding_cache = embedding_forward(tokens, params["embedding"])
    h, c, lstm_cache = lstm_forward(x, *states, params["lstm"])
    logits, linear_cache = linear_forward(h, params["linear"])
    return logits, [h[:, -1], c[:, -1]], c, (embedding_cache, lstm_cache, linear_cache)


def char_lm_loss(tokens, params, states=None):
    """Cross-entropy of tokens (B, T + 1): each of the last T predicted from those before it.

    Returns the loss (nats per character), the gradients, and the states from which the next piece starts.
    No gradient flows back into the given states (truncated BPTT, lesson 02).
    """
    logits, states, _, (embedding_cache, lstm_cache, linear_cache) = char_lm_forward(tokens[:, :-1], params, states)
    loss, loss_cache = cross_entropy_forward(logits, tokens[:, 1:])
    grads = {}
    dh, grads["linear"] = linear_backward(cross_entropy_backward(loss_cache), linear_cache)
    dx, _, _, grads["lstm"] = lstm_backward(dh, None, lstm_cache)
    grads["embedding"] = embedding_backward(dx, embedding_cache)
    return loss, grads, states


def batchify(tokens, B):
    """A long text (N,) cut into B rows to be read side by side: (B, N // B), each the continuation of the one before.

    Raises ValueError for a text of fewer than 2 B tokens: each row needs one to read and one to predict.
    """
    tokens = np.asarray(tokens)
    if tokens.ndim != 1 or len(tokens) < 2 * B:
        raise ValueError(f"tokens has shape {tokens.shape}; wanted (N,), N at least 2 B = {2 * B}")
    return tokens[:len(tokens) // B * B].reshape(B, -1)


def train_char_lm(tokens, params, steps, B=16, T=64, lr=1e-2, max_norm=1.0, callback=None, progress=True):
    """Read a text in B rows, T characters a step, the states handed on from piece to piece (truncated BPTT).

    tokens    (N,)  the training text; after its end it is read from the beginning again
    lr        of Adam at the first step; decays linearly to 0
    max_norm  clip the gradients' global norm here; None: no clipping
    callback  called as callback(step, params) before every step
    progress  False: no bar

    Returns the trained params and the loss of each step in bits per character.
    Raises ValueError for a text of fewer than 2 B characters, FloatingPointError for gradients that
    are not finite.
    """
    text, adam, states, at, bits = batchify(tokens, B), Adam(lr), None, 0, []
    with tqdm(range(steps), desc="reading", mininterval=0.5, disable=not progress) as bar:
        for step in bar:
            if callback is not None:
                callback(step, params)
            if at + T + 1 > text.shape[1]:
                states, at = None, 0
            loss, grads, states = char_lm_loss(text[:, at:at + T + 1], params, states)
            adam.lr = lr * (1 - step / steps)
            params = adam.step(params, grads if max_norm is None else clip_grads(grads, max_norm)[0])
            at += T
            bits.append(loss / np.log(2))
            if step % 20 == 0:
                bar.set_postfix_str(f"{np.mean(bits[-50:]):.2f} bits per character", refresh=False)
    return params, bits


def evaluate(tokens, params, B=32, T=128):
    """Read a text (N,) in B rows side by side, from zero states, without learning.

    Returns bits (B, N // B - 1) of each character but the first of a row, and the cell states before that
    character was read: tanh(c), (B, N // B - 1, H).
    """
    text, states, bits, cells = batchify(tokens, B), None, [], []
    for at in range(0, text.shape[1] - 1, T):
        piece = text[:, at:at + T + 1]
        logits, states, c, _ = char_lm_forward(piece[:, :-1], params, states)
        p = np.take_along_axis(softmax(logits), piece[:, 1:, None], axis=2)[..., 0]
        bits.append(-np.log2(np.maximum(p, np.finfo(p.dtype).tiny)))
        cells.append(np.tanh(c))
    return np.concatenate(bits, axis=1), np.concatenate(cells, axis=1)


def sample(params, prompt, n, temperature, rng):
    """n characters sampled after the prompt; tokens (N,) in, tokens (n,) out.

    temperature  the logits are divided by it before the softmax: below 1 more certain, above 1 less,
                 0 always the likeliest character

    Raises ValueError for a negative temperature or an empty prompt, FloatingPointError for logits that are
    not finite.
    """
    if not 0 <= temperature < np.inf:
        raise ValueError(f"temperature is {temperature}; wanted a finite number, 0 or more")
    written, tokens, states = [], np.asarray(prompt)[None], None
    if tokens.ndim != 2 or tokens.size == 0:
        raise ValueError(f"prompt has shape {tokens.shape[1:]}; wanted (N,), at least one token to go on from")
    for _ in range(n):
        logits, states, _, _ = char_lm_forward(tokens, params, states)
        last = logits[0, -1].astype("float64")
        if not np.isfinite(last).all():
            raise FloatingPointError("the logits hold NaN or infinity; wanted params that are finite (a training run "
                                     "that blew up?)")
        with np.errstate(over="ignore"):             # so cold that a difference of logits is infinite
            p = softmax((last - last.max()) / temperature) if temperature > 0 else np.eye(len(last))[last.argmax()]
        token = int(rng.choice(len(last), p=p))
        written.append(token)
        tokens = np.array([[token]])
    return np.array(written)


def save_params(file, params):
    """Write params to this file, whatever its name ends in, as .npz: each array under its path, "lstm.W_ih"."""
    arrays = {f"{layer}.{name}": array for layer, group in params.items() for name, array in group.items()}
    with open(file, "wb") as opened:                     # given a name, np.savez would add .npz to it
        np.savez(opened, **arrays)


def load_params(file):
    """What `save_params` wrote to this file."""
    params = {}
    with np.load(file, allow_pickle=False) as arrays:
        for path in arrays:
            layer, _, name = path.partition(".")
            params.setdefault(layer, {})[name] = arrays[path]
    return params
