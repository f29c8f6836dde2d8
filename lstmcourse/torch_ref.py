"""PyTorch as the reference implementation: weights converted both ways, and reference runs with autograd.

The only module of the core that imports torch. The names differ by a rename, never by a transpose:
weight_ih_l0 <-> W_ih, weight_hh_l0 <-> W_hh, bias_ih_l0 <-> b_ih, bias_hh_l0 <-> b_hh.
"""

import numpy as np
import torch

from lstmcourse.recurrent import KINDS, kind_named
from lstmcourse.validation import check_keys

RENAMES = {"weight_ih": "W_ih", "weight_hh": "W_hh", "bias_ih": "b_ih", "bias_hh": "b_hh"}
MODULES = {name: getattr(torch.nn, name.upper()) for name in KINDS if hasattr(torch.nn, name.upper())}
CONVERTIBLE = (*MODULES.values(), torch.nn.RNNCell, torch.nn.LSTMCell, torch.nn.GRUCell)


def params_from_torch(module, nonlinearity="tanh"):
    """params of an nn.RNN, nn.LSTM, nn.GRU (one layer, one direction) or one of their cells.

    nonlinearity  the one with which the params will be used. It is not in the weights, and so a ReLU RNN
                  is refused unless "relu" is asked for

    Returns a dict W_ih, W_hh, b_ih, b_hh of NumPy copies.
    Raises ValueError for what it would misread: another module or nonlinearity, more layers, two directions,
    no biases, a projection, a dtype that is neither float64 nor float32, or a module without numbers (meta).
    """
    if not isinstance(module, CONVERTIBLE):
        raise ValueError(f"module is a {type(module).__name__}; wanted "
                         f"{', '.join('nn.' + c.__name__ for c in CONVERTIBLE)}")
    theirs = getattr(module, "nonlinearity", "tanh")
    if theirs != nonlinearity:
        raise ValueError(f"module has the nonlinearity {theirs!r}; wanted {nonlinearity!r}: for an RNN with ReLU pass "
                         "nonlinearity='relu' here and to rnn_forward")
    state = {name.removesuffix("_l0"): value for name, value in module.state_dict().items()}
    if set(state) != set(RENAMES):
        raise ValueError(f"module has the parameters {sorted(module.state_dict())}; wanted one layer, one "
                         f"direction, with biases: {sorted(RENAMES)}")
    for name, value in state.items():
        if value.dtype not in (torch.float64, torch.float32) or value.is_meta:
            raise ValueError(f"module.{name} is {value.dtype} on {value.device}; wanted numbers in float64 or float32")
    return {RENAMES[name]: value.detach().cpu().numpy().copy() for name, value in state.items()}


def params_to_torch(params, kind, nonlinearity="tanh"):
    """A torch module that holds params: kind "rnn" (with its nonlinearity), "lstm" or "gru", batch_first=True.

    Raises ValueError for another kind, for params without the keys of one, or of another kind.
    """
    check_keys("params", params, kind_named(kind).keys)
    if kind not in MODULES:
        raise ValueError(f"kind is {kind!r}; wanted one that torch.nn has: {sorted(MODULES)}")
    rows, D = params["W_ih"].shape
    H = params["W_hh"].shape[1]
    module = MODULES[kind](D, H, batch_first=True, dtype=torch.from_numpy(params["W_ih"]).dtype,
                           **_options(kind, nonlinearity))
    if len(kind_named(kind).gates) * H != rows:
        raise ValueError(f"params['W_ih'] has {rows} rows; kind {kind!r} with H = {H} wants "
                         f"{len(kind_named(kind).gates) * H}")
    module.load_state_dict({f"{torch_name}_l0": torch.from_numpy(params[name].copy())
                            for torch_name, name in RENAMES.items()})
    return module


def _options(kind, nonlinearity):
    """What torch.nn's layer must be told; only nn.RNN knows another nonlinearity than tanh."""
    if kind != "rnn" and nonlinearity != "tanh":
        raise ValueError(f"nonlinearity is {nonlinearity!r}; wanted 'tanh' for kind {kind!r}: it is a choice of 'rnn'")
    return {"nonlinearity": nonlinearity} if kind == "rnn" else {}


def torch_gradients(f, inputs, upstream):
    """Run f on torch copies of inputs and let autograd do the backward pass.

    f         takes tensors (and dicts of tensors), returns one tensor or a tuple of them
    inputs    list of arrays, tuples or dicts of arrays (or of dicts: params)
    upstream  list of arrays, one per output: dL/d(output)

    Returns outputs and gradients as NumPy, the gradients shaped and keyed like inputs.
    """
    def each(tree, change):
        if isinstance(tree, dict):
            return {key: each(value, change) for key, value in tree.items()}
        return tuple(each(value, change) for value in tree) if isinstance(tree, tuple) else change(tree)

    tensors = [each(given, lambda array: torch.tensor(array, requires_grad=True)) for given in inputs]
    outputs = f(*tensors)
    outputs = outputs if isinstance(outputs, tuple) else (outputs,)
    torch.autograd.backward(outputs, [torch.tensor(d) for d in upstream])
    grads = [each(given, lambda t: np.zeros(t.shape) if t.grad is None else t.grad.numpy()) for given in tensors]
    return [out.detach().numpy() for out in outputs], grads


def torch_recurrent(kind, nonlinearity="tanh"):
    """torch.nn's own layer as a function of (x, h_0, [c_0,] params), for `torch_gradients`.

    Returns h (B, T, H) and, for "lstm", the last cell state (B, H).
    """
    def run(x, *states_and_params):
        *states, params = states_and_params
        module = MODULES[kind](x.shape[2], states[0].shape[1], batch_first=True, dtype=x.dtype,
                               **_options(kind, nonlinearity))
        weights = {f"{torch_name}_l0": params[name] for torch_name, name in RENAMES.items()}
        h_0, *c_0 = (state[None] for state in states)
        h, last = torch.func.functional_call(module, weights, (x, (h_0, *c_0) if c_0 else h_0))
        return (h, last[1][0]) if c_0 else h
    return run


def torch_attention(query, keys, values, mask, scale=1.0, params=None):
    """context and alpha of torch tensors: dot attention, or additive where params are given.

    mask  (B, T_tgt, T_src) or (B, 1, T_src), True = may be looked at
    """
    if params is None:
        scores = scale * torch.bmm(query, keys.transpose(1, 2))
    else:
        a = (query @ params["W_q"].T)[:, :, None] + (keys @ params["W_k"].T)[:, None]
        scores = torch.tanh(a) @ params["v"]
    alpha = torch.softmax(scores.masked_fill(~mask, -torch.inf), dim=-1)
    return torch.bmm(alpha, values), alpha


def torch_decoder(kind, E, H, dtype):
    """The decoder of `lstmcourse.seq2seq`, of torch's own layers, as a function for tests and the benchmark.

    Called with tensors as run(inputs, state, memory, params, scale); returns logits and alpha (or None).
    """
    module = MODULES[kind](E, H, batch_first=True, dtype=getattr(torch, str(np.dtype(dtype))))

    def run(inputs, state, memory, params, scale=1.0):
        weights = {f"{torch_name}_l0": params["decoder"][name] for torch_name, name in RENAMES.items()}
        h_0, *c_0 = (s[None] for s in state)
        y = torch.nn.functional.embedding(inputs, params["target_embedding"]["W"])
        h, _ = torch.func.functional_call(module, weights, (y, (h_0, *c_0) if c_0 else h_0))
        alpha = None
        if memory is not None:
            keys, values, mask = memory
            context, alpha = torch_attention(h, keys, values, mask[:, None], scale, params.get("attention"))
            h = torch.tanh(torch.nn.functional.linear(torch.cat([context, h], 2), params["combine"]["W"],
                                                      params["combine"]["b"]))
        return torch.nn.functional.linear(h, params["output"]["W"], params["output"]["b"]), alpha
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
