"""Reference runs of whole models by torch.nn: of the encoder, of multi-head attention and of a Transformer block."""

import torch

from lstmcourse.torch_ref import MODULES, RENAMES


def multi_head_weights(params):
    """Our tensors under the names of nn.MultiheadAttention, the inverse of `multi_head_from_torch`."""
    W = [params[f"W_{name}"] for name in "qkv"]
    together = all(w.shape == W[0].shape for w in W)
    weights = {"in_proj_weight": torch.cat(W)} if together else {
        f"{name}_proj_weight": w for name, w in zip("qkv", W, strict=True)}
    return weights | {"in_proj_bias": torch.cat([params[f"b_{name}"] for name in "qkv"]),
                      "out_proj.weight": params["W_o"], "out_proj.bias": params["b_o"]}


def block_weights(params):
    """Our tensors under the names of nn.TransformerEncoderLayer, the inverse of `block_from_torch`."""
    flat = {f"{name}.{theirs}": params[name][ours] for name in ("norm1", "linear1", "linear2", "norm2")
            for theirs, ours in (("weight", "W"), ("bias", "b"))}
    return flat | {f"self_attn.{name}": w for name, w in multi_head_weights(params["self_attn"]).items()}


def torch_multi_head(mask, heads):
    """nn.MultiheadAttention as a function of (query, keys, values, params), for `torch_gradients`: context and alpha.

    mask  a NumPy mask (B, T_tgt, T_src), True = may be looked at; torch's attn_mask is the opposite
    """
    def run(query, keys, values, params):
        E, K, M = query.shape[2], keys.shape[2], values.shape[2]
        module = torch.nn.MultiheadAttention(E, heads, kdim=K, vdim=M, batch_first=True, dtype=query.dtype)
        hidden = torch.from_numpy(~mask).repeat_interleave(heads, 0)
        return torch.func.functional_call(module, multi_head_weights(params), (query, keys, values), {
            "attn_mask": hidden, "average_attn_weights": False})
    return run


def torch_block(mask, heads, norm_first):
    """nn.TransformerEncoderLayer as a function of (x, params), for `torch_gradients`; mask as `torch_multi_head`."""
    def run(x, params):
        F, E = params["linear1"]["W"].shape
        layer = torch.nn.TransformerEncoderLayer(E, heads, F, dropout=0, batch_first=True, norm_first=norm_first,
                                                 dtype=x.dtype)
        hidden = torch.from_numpy(~mask).repeat_interleave(heads, 0)
        return torch.func.functional_call(layer, block_weights(params), (x, hidden))
    return run


def torch_encoder(source, lengths, params, kind):
    """The encoder of `lstmcourse.seq2seq`, by nn.LSTM or nn.GRU and packed sequences: h, last, words."""
    pack, unpack = torch.nn.utils.rnn.pack_padded_sequence, torch.nn.utils.rnn.pad_packed_sequence
    words = torch.nn.functional.embedding(source, params["source_embedding"]["W"])
    both = "encoder_reverse" in params
    module = MODULES[kind](words.shape[2], params["encoder"]["W_hh"].shape[1], batch_first=True, bidirectional=both,
                           dtype=words.dtype)
    weights = {f"{torch_name}_l0{suffix}": params[part][name] for torch_name, name in RENAMES.items()
               for part, suffix in (("encoder", ""), ("encoder_reverse", "_reverse"))[:1 + both]}
    packed = pack(words, torch.as_tensor(lengths), batch_first=True, enforce_sorted=False)
    h, last = torch.func.functional_call(module, weights, (packed,))
    h, _ = unpack(h, batch_first=True, total_length=source.shape[1])
    return h, tuple(torch.cat(list(s), dim=1) for s in (last if isinstance(last, tuple) else (last,))), words
