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


def multi_head_from_torch(module):
    """params and heads of an nn.MultiheadAttention, for `multi_head_attention_forward`.

    in_proj_weight (3E, E) and in_proj_bias (3E,) are cut into W_q, W_k, W_v and b_q, b_k, b_v; where keys or values
    have a width of their own, torch has q_proj_weight, k_proj_weight and v_proj_weight instead. Not a transpose.
    Raises ValueError for no biases, add_bias_kv or add_zero_attn.
    """
    state = {name: value.detach().numpy() for name, value in module.state_dict().items()}
    if "in_proj_bias" not in state or "bias_k" in state or module.add_zero_attn:
        raise ValueError(f"module has the parameters {sorted(state)} and add_zero_attn={module.add_zero_attn}; wanted "
                         "biases, and neither add_bias_kv nor add_zero_attn")
    projections = (np.split(state["in_proj_weight"], 3) if "in_proj_weight" in state
                   else [state[f"{name}_proj_weight"] for name in "qkv"])
    params = {f"W_{name}": W.copy() for name, W in zip("qkv", projections, strict=True)}
    params |= {f"b_{name}": b.copy() for name, b in zip("qkv", np.split(state["in_proj_bias"], 3), strict=True)}
    params |= {"W_o": state["out_proj.weight"].copy(), "b_o": state["out_proj.bias"].copy()}
    return params, module.num_heads


def block_from_torch(layer):
    """params and options of an nn.TransformerEncoderLayer, for `transformer_block_forward(x, mask, params, **options)`.

    Raises ValueError for what our block would compute otherwise: another activation than ReLU, eps or no biases.
    """
    if layer.activation_relu_or_gelu != 1:
        raise ValueError(f"layer has activation {layer.activation}; wanted relu")
    if {layer.norm1.eps, layer.norm2.eps} != {1e-5}:
        raise ValueError(f"layer has layer_norm_eps {layer.norm1.eps}; wanted 1e-5")
    self_attn, heads = multi_head_from_torch(layer.self_attn)
    params = {name: {"W": getattr(layer, name).weight.detach().numpy().copy(),
                     "b": getattr(layer, name).bias.detach().numpy().copy()}
              for name in ("norm1", "linear1", "linear2", "norm2")}
    return {"self_attn": self_attn} | params, {"heads": heads, "norm_first": layer.norm_first}
