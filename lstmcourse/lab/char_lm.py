"""A network that reads text character by character, and guesses at each which one comes next.

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
    """First weights of a reader of V characters, D numbers for each, and H cells."""
    return {"embedding": init_embedding(V, D, rng, dtype),
            "lstm": init_recurrent("lstm", D, H, rng, forget_bias=1.0, dtype=dtype),
            "linear": init_linear(H, V, rng, dtype)}


def char_lm_forward(tokens, params, states=None):
    """Scores for the character after each of tokens (B, T).

    states  h_0 and c_0, each (B, H): what was read before; None: nothing was, both are zero

    Returns logits (B, T, V), the states after the last step, the cells c (B, T, H) and the cache.
    """
    if states is None:
        states = [np.zeros((len(tokens), params["lstm"]["W_hh"].shape[1]), params["linear"]["b"].dtype)] * 2
    x, embedding_cache = embedding_forward(tokens, params["embedding"])
    h, c, lstm_cache = lstm_forward(x, *states, params["lstm"])
    logits, linear_cache = linear_forward(h, params["linear"])
    return logits, [h[:, -1], c[:, -1]], c, (embedding_cache, lstm_cache, linear_cache)


def char_lm_loss(tokens, params, states=None):
    """How surprised the reader is by tokens (B, T + 1): each of the last T guessed from those before it.

    Returns the loss (nats per character), the gradients, and the states to go on from with the next
    piece. No gradient goes back into the states it began with (truncated BPTT, lesson 02).
    """
    logits, states, _, (embedding_cache, lstm_cache, linear_cache) = char_lm_forward(tokens[:, :-1], params, states)
    loss, loss_cache = cross_entropy_forward(logits, tokens[:, 1:])
    grads = {}
    dh, grads["linear"] = linear_backward(cross_entropy_backward(loss_cache), linear_cache)
    dx, _, _, grads["lstm"] = lstm_backward(dh, None, lstm_cache)
    grads["embedding"] = embedding_backward(dx, embedding_cache)
    return loss, grads, states


def batchify(tokens, B):
    """A long text cut into B columns to be read side by side: (B, N), each the continuation of the one before."""
    return tokens[:len(tokens) // B * B].reshape(B, -1)


def train_char_lm(tokens, params, steps, B=16, T=64, lr=1e-2, max_norm=1.0, callback=None, progress=True):
    """Read a text in B columns, T characters a step, the states handed on from piece to piece.

    tokens    (N,)  the training text; after its end it is read from the beginning again
    lr        of Adam at the first step; goes down to 0 in a straight line
    seen      called as seen(step, params) before every step
    progress  False: no bar

    Returns the trained params and the loss of each step in bits per character.
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
            params = adam.step(params, clip_grads(grads, max_norm)[0])
            at += T
            bits.append(loss / np.log(2))
            if step % 20 == 0:
                bar.set_postfix_str(f"{np.mean(bits[-50:]):.2f} bits per character", refresh=False)
    return params, bits


def evaluate(tokens, params, B=32, T=128):
    """Read a text (N,) in B columns side by side, from zero states, without learning.

    Returns bits (B, N // B - 1), what each character but the first of a column cost, and the cells before
    that character was seen: tanh(c), (B, N // B - 1, H).
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
    """n characters that the reader writes after the prompt; tokens (N,) in, tokens (n,) out.

    temperature  scores are divided by it before the softmax: below 1 surer than it is, above 1 less sure,
                 0 always the likeliest character
    """
    if temperature < 0:
        raise ValueError(f"temperature is {temperature}; wanted 0 or more")
    written, tokens, states = [], np.asarray(prompt)[None], None
    for _ in range(n):
        logits, states, _, _ = char_lm_forward(tokens, params, states)
        last = logits[0, -1].astype("float64")
        p = softmax(last / temperature) if temperature > 0 else np.eye(len(last))[last.argmax()]
        token = int(rng.choice(len(last), p=p))
        written.append(token)
        tokens = np.array([[token]])
    return np.array(written)


def save_params(file, params):
    """Write params to a .npz file, each array under its path: "lstm.W_ih"."""
    np.savez(file, **{f"{layer}.{name}": array for layer, arrays in params.items() for name, array in arrays.items()})


def load_params(file):
    """What `save_params` wrote."""
    params = {}
    with np.load(file, allow_pickle=False) as arrays:
        for path in arrays:
            layer, _, name = path.partition(".")
            params.setdefault(layer, {})[name] = arrays[path]
    return params
