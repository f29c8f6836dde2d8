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
from lstmcourse.train import init_embedding, init_linear
from lstmcourse.transformer import (
    layer_norm_backward,
    layer_norm_forward,
    positional_encoding,
    transformer_block_backward,
    transformer_block_forward,
)


def init_multi_head(E, rng, dtype="float64"):
    """Initial weights of `multi_head_attention_forward` for one width E, as in PyTorch.

    W_q, W_k, W_v uniform in ±sqrt(6 / 4E), Glorot's bound for their stack (3E, E); W_o in ±1/sqrt(E); biases 0.
    """
    bounds = {"q": np.sqrt(6 / (4 * E)), "k": np.sqrt(6 / (4 * E)), "v": np.sqrt(6 / (4 * E)), "o": 1 / np.sqrt(E)}
    params = {f"W_{name}": rng.uniform(-bound, bound, (E, E)).astype(dtype) for name, bound in bounds.items()}
    return params | {f"b_{name}": np.zeros(E, dtype) for name in "qkvo"}


def init_layer_norm(D, dtype="float64"):
    """Initial weights of `layer_norm_forward`: W is 1 and b is 0, as in PyTorch."""
    return {"W": np.ones(D, dtype), "b": np.zeros(D, dtype)}


def init_transformer_block(E, F, rng, dtype="float64"):
    """Initial weights of `transformer_block_forward`: width E, feed-forward block of F hidden units; as in PyTorch."""
    return {"self_attn": init_multi_head(E, rng, dtype), "norm1": init_layer_norm(E, dtype),
            "linear1": init_linear(E, F, rng, dtype), "linear2": init_linear(F, E, rng, dtype),
            "norm2": init_layer_norm(E, dtype)}


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


def multi_head_weights(params, concatenate=np.concatenate):
    """params of `multi_head_attention_forward` under the names of torch.nn.MultiheadAttention; nothing is transposed.

    Its in_proj is W_q, W_k, W_v one above the other. Where keys or values have a width of their own, it keeps
    the three apart. For tensors: concatenate=torch.cat.
    """
    W = {f"{name}_proj_weight": params[f"W_{name}"] for name in "qkv"}
    if len({w.shape for w in W.values()}) == 1:
        W = {"in_proj_weight": concatenate(list(W.values()))}
    return W | {"in_proj_bias": concatenate([params[f"b_{name}"] for name in "qkv"]),
                "out_proj.weight": params["W_o"], "out_proj.bias": params["b_o"]}


def block_weights(params, concatenate=np.concatenate):
    """params of `transformer_block_forward` under the names of torch.nn.TransformerEncoderLayer.

    The number of heads, norm_first, eps and the activation are not in the weights: the layer must be made with
    the same heads and norm_first, and with torch's defaults for the other two.
    """
    flat = {f"{part}.{theirs}": params[part][ours] for part in ("norm1", "linear1", "linear2", "norm2")
            for theirs, ours in (("weight", "W"), ("bias", "b"))}
    attention = multi_head_weights(params["self_attn"], concatenate)
    return flat | {f"self_attn.{name}": w for name, w in attention.items()}
