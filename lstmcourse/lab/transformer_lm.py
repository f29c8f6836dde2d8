"""A small Transformer that reads tokens and writes logits at every step: a language model, or a tagger.

It is causal: the logits at step t depend on the tokens up to t. params, with E the width:

    embedding  {"W": (V, E)}           positions  {"W": (longest, E)}, learned; without it: sines and cosines
    blocks     {"0": …, "1": …}, each as `transformer_block_forward` wants it, norm_first=True
    norm       {"W": (E,), "b": (E,)}, the layer normalization after the last block
    output     {"W": (outputs, E), "b": (outputs,)}

The number of heads does not show in the shapes, and so it is an argument everywhere.
"""

import numpy as np

from lstmcourse.attention import causal_mask
from lstmcourse.layers import (
    cross_entropy_backward,
    cross_entropy_forward,
    embedding_backward,
    embedding_forward,
    linear_backward,
    linear_forward,
)
from lstmcourse.train import init_embedding, init_layer_norm, init_linear, init_transformer_block
from lstmcourse.transformer import (
    layer_norm_backward,
    layer_norm_forward,
    positional_encoding,
    transformer_block_backward,
    transformer_block_forward,
)


def init_transformer_lm(V, E, blocks, rng, outputs=None, hidden=None, longest=None, dtype="float64"):
    """Initial weights of a Transformer over V tokens, as in PyTorch.

    E        width of every step; a multiple of the number of heads
    blocks   how many
    outputs  logits at each step; None: V, a language model
    hidden   units of the feed-forward blocks; None: 4 E, as in Vaswani et al. 2017
    longest  learned positions for sequences of up to so many tokens; None: sines and cosines, for any length
    """
    params = {"embedding": init_embedding(V, E, rng, dtype)}
    if longest is not None:
        params["positions"] = init_embedding(longest, E, rng, dtype)
    params["blocks"] = {str(n): init_transformer_block(E, hidden or 4 * E, rng, dtype) for n in range(blocks)}
    return params | {"norm": init_layer_norm(E, dtype), "output": init_linear(E, outputs or V, rng, dtype)}


def transformer_lm_forward(tokens, params, heads):
    """Logits (B, T, outputs) for tokens (B, T), each from the tokens up to its own.

    Returns the logits, the attention weights of each block, a list of (B, heads, T, T), and the cache for
    `transformer_lm_backward`. Raises ValueError for a sequence that learned positions are too short for.
    """
    x, embedding = embedding_forward(tokens, params["embedding"])
    added, positions = _positions(x, params)
    x = x + added
    alphas, blocks, mask = [], [], causal_mask(x.shape[1])
    for block in params["blocks"].values():
        x, alpha, cache = transformer_block_forward(x, mask, block, heads, norm_first=True)
        alphas.append(alpha)
        blocks.append(cache)
    normed, norm = layer_norm_forward(x, params["norm"])
    logits, output = linear_forward(normed, params["output"])
    return logits, alphas, (embedding, positions, dict(zip(params["blocks"], blocks, strict=True)), norm, output)


def _positions(x, params):
    """What is added to x (B, T, E) for the order of its steps (T, E), and the cache of the learned ones, or None."""
    B, T, E = x.shape
    if "positions" not in params:
        return positional_encoding(T, E, x.dtype), None
    longest = len(params["positions"]["W"])
    if longest < T:
        raise ValueError(f"tokens has shape {(B, T)}; wanted at most {longest} steps: params['positions'] has no more")
    return embedding_forward(np.arange(T), params["positions"])


def transformer_lm_backward(dlogits, cache):
    """Backward pass of `transformer_lm_forward`: grads, keyed like params."""
    embedding, positions, blocks, norm, output = cache
    dnormed, output = linear_backward(dlogits, output)
    dx, norm = layer_norm_backward(dnormed, norm)
    grads = {}
    for name, block in reversed(blocks.items()):
        dx, grads[name] = transformer_block_backward(dx, block)
    learned = {"positions": embedding_backward(dx.sum(axis=0), positions)} if positions is not None else {}
    return {"embedding": embedding_backward(dx, embedding), **learned,
            "blocks": {name: grads[name] for name in blocks}, "norm": norm, "output": output}


def transformer_lm_loss(params, tokens, targets, mask=None, *, heads):
    """Cross-entropy in nats per token where mask is True, and its gradients. tokens, targets, mask (B, T).

    For `train`: functools.partial(transformer_lm_loss, heads=4). Padding at the end needs no mask in the
    attention: no earlier step looks at it, and the mask takes it out of the loss.
    """
    logits, _, cache = transformer_lm_forward(tokens, params, heads)
    loss, loss_cache = cross_entropy_forward(logits, targets, mask)
    return loss, transformer_lm_backward(cross_entropy_backward(loss_cache), cache)
