"""PyTorch as the witness: weights converted both ways, and reference runs with autograd.

The only module that imports torch. The names differ by a rename, never by a transpose:
weight_ih_l0 <-> W_ih, weight_hh_l0 <-> W_hh, bias_ih_l0 <-> b_ih, bias_hh_l0 <-> b_hh.
"""

import numpy as np
import torch

RENAMES = {"weight_ih": "W_ih", "weight_hh": "W_hh", "bias_ih": "b_ih", "bias_hh": "b_hh"}
MODULES = {"rnn": torch.nn.RNN, "lstm": torch.nn.LSTM, "gru": torch.nn.GRU}


def params_from_torch(module):
    """params of an nn.RNN, nn.LSTM, nn.GRU (one layer, one direction) or one of their cells.

    Returns a dict W_ih, W_hh, b_ih, b_hh of NumPy copies.
    Raises ValueError for more layers, two directions, no biases or another module.
    """
    state = {name.removesuffix("_l0"): value for name, value in module.state_dict().items()}
    if set(state) != set(RENAMES):
        raise ValueError(f"module has the parameters {sorted(module.state_dict())}; wanted one layer, one "
                         f"direction, with biases: {sorted(RENAMES)}")
    return {RENAMES[name]: value.detach().numpy().copy() for name, value in state.items()}


def params_to_torch(params, kind):
    """A torch module that holds params: kind "rnn", "lstm" or "gru", batch_first=True."""
    rows, D = params["W_ih"].shape
    H = params["W_hh"].shape[1]
    module = MODULES[kind](D, H, batch_first=True, dtype=torch.from_numpy(params["W_ih"]).dtype)
    if module.weight_hh_l0.shape[0] != rows:
        raise ValueError(f"params['W_ih'] has {rows} rows; kind {kind!r} with H = {H} wants "
                         f"{module.weight_hh_l0.shape[0]}")
    module.load_state_dict({f"{torch_name}_l0": torch.from_numpy(params[name].copy())
                            for torch_name, name in RENAMES.items()})
    return module


def torch_gradients(f, inputs, upstream):
    """Run f on torch copies of inputs and let autograd do the backward.

    f         takes tensors (and dicts of tensors), returns one tensor or a tuple of them
    inputs    list of arrays or dicts of arrays
    upstream  list of arrays, one per output: dL/d(output)

    Returns outputs and gradients as NumPy, the gradients shaped and keyed like inputs.
    """
    def leaf(array):
        return torch.tensor(array, requires_grad=True)

    tensors = [{k: leaf(v) for k, v in given.items()} if isinstance(given, dict) else leaf(given)
               for given in inputs]
    outputs = f(*tensors)
    outputs = outputs if isinstance(outputs, tuple) else (outputs,)
    torch.autograd.backward(outputs, [torch.tensor(d) for d in upstream])
    grads = [{k: v.grad.numpy() for k, v in t.items()} if isinstance(t, dict) else t.grad.numpy()
             for t in tensors]
    return [out.detach().numpy() for out in outputs], grads


def recurrent(kind):
    """torch.nn's own layer as a function of (x, h_0, [c_0,] params), for `torch_gradients`.

    Returns h (B, T, H) and, for "lstm", the last cell state (B, H).
    """
    def run(x, *states_and_params):
        *states, params = states_and_params
        module = MODULES[kind](x.shape[2], states[0].shape[1], batch_first=True, dtype=x.dtype)
        weights = {f"{torch_name}_l0": params[name] for torch_name, name in RENAMES.items()}
        given = tuple(state[None] for state in states)
        h, last = torch.func.functional_call(module, weights, (x, given if kind == "lstm" else given[0]))
        return (h, last[1][0]) if kind == "lstm" else h
    return run


def seed(number):
    """A torch generator's seed, for the few cells that draw weights from torch itself."""
    torch.manual_seed(number)


def to_tensor(array):
    """A tensor with its own copy of array."""
    return torch.tensor(np.asarray(array))
