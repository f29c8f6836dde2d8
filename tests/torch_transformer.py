"""torch.nn's own multi-head attention and Transformer block, as functions for `torch_ref.torch_gradients`."""

import torch

from lstmcourse.lab.transformer_lm import block_weights, multi_head_weights


def torch_multi_head(mask, heads):
    """nn.MultiheadAttention as a function of (query, keys, values, params), for `torch_gradients`: context and alpha.

    mask  a NumPy mask (B, T_tgt, T_src), True = may be looked at; torch's attn_mask is the opposite
    """
    def run(query, keys, values, params):
        E, K, M = query.shape[2], keys.shape[2], values.shape[2]
        module = torch.nn.MultiheadAttention(E, heads, kdim=K, vdim=M, batch_first=True, dtype=query.dtype)
        hidden = torch.from_numpy(~mask).repeat_interleave(heads, 0)
        return torch.func.functional_call(module, multi_head_weights(params, torch.cat), (query, keys, values), {
            "attn_mask": hidden, "average_attn_weights": False})
    return run


def torch_block(mask, heads, norm_first):
    """nn.TransformerEncoderLayer as a function of (x, params), for `torch_gradients`; mask as `torch_multi_head`."""
    def run(x, params):
        F, E = params["linear1"]["W"].shape
        layer = torch.nn.TransformerEncoderLayer(E, heads, F, dropout=0, batch_first=True, norm_first=norm_first,
                                                 dtype=x.dtype)
        hidden = torch.from_numpy(~mask).repeat_interleave(heads, 0)
        return torch.func.functional_call(layer, block_weights(params, torch.cat), (x, hidden))
    return run
