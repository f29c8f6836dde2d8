"""Side by side: this library against torch.nn, forward alone and whole training step.

    python -m lstmcourse.bench [--threads 1 2] [--kinds lstm gru rnn dot additive] [--rounds 7] [--json FILE]

A training step is the forward and the full backward: gradients of x, of the initial states
and of every parameter, on both sides, from the same random dL/dh. "dot" and "additive" are the
translator's decoder with that attention: from the input tokens to the loss, and back to every
parameter, the initial states, the keys and the values. Both sides run in one process, in
alternating order; a sample is the mean of enough calls to last 20 ms, after one call that is
not timed. The ratio is taken round by round; its median and quartiles are shown.
Each number of threads gets a process of its own, since BLAS reads it at the start.
The results of both sides are compared before anything is timed. "products" is the time of the
matrix products alone, relative to torch: what no code in NumPy can go below.
"""

import argparse
import json
import math
import os
import statistics
import subprocess
import sys
import time

KINDS = ["lstm", "gru", "rnn", "dot", "additive"]
SIZES = [(20, 1, 8, 16), (50, 16, 32, 32), (100, 32, 64, 64), (100, 64, 128, 128), (200, 128, 256, 256)]
DECODER_SIZES = [(8, 32, 32, 64), (24, 32, 32, 64), (24, 64, 64, 128), (40, 64, 64, 128)]
WORDS = 100       # in the decoder's vocabulary
TOLERANCE = {"float64": 1e-12, "float32": 1e-4}
GOALS = {   # geometric mean over the sizes, one thread: what we set out to reach
    ("lstm", "float64", "step"): 0.50, ("lstm", "float32", "step"): 1.0,
    ("gru", "float64", "step"): 0.50, ("gru", "float32", "step"): 0.50,
    ("rnn", "float64", "step"): 0.30, ("rnn", "float32", "step"): 0.30,
    ("lstm", "float64", "forward"): 0.75, ("lstm", "float32", "forward"): 1.5,
    ("dot", "float64", "step"): 1.5, ("dot", "float32", "step"): 1.5,
    ("additive", "float64", "step"): 1.5, ("additive", "float32", "step"): 1.5,
}


def contenders(kind, dtype, size):
    """Ours and torch's forward and step for one size: {"forward": (ours, theirs), "step": ...}.

    Each is a function of no arguments; a step returns [h, dx, dh_0, (dc_0,) dW_ih, …] as arrays.
    """
    import numpy as np
    import torch

    from lstmcourse import torch_ref, train
    from lstmcourse.recurrent import KINDS
    layer = KINDS[kind]
    T, B, D, H = size
    rng = np.random.default_rng(0)
    params = train.init_recurrent(kind, D, H, rng, dtype=dtype)
    x, dh = (rng.standard_normal((B, T, width)).astype(dtype) for width in (D, H))
    states = [rng.standard_normal((B, H)).astype(dtype) for _ in layer.states]
    module = torch_ref.params_to_torch(params, kind)
    x_torch, *states_torch = (torch.tensor(a, requires_grad=True) for a in (x, *states))
    h_0, *c_0 = (state[None] for state in states_torch)
    given = (h_0, *c_0) if c_0 else h_0
    leaves = [x_torch, *states_torch, *module.parameters()]
    dh_torch = torch.tensor(dh)

    def forward():
        return layer.forward(x, *states, params)

    def step():
        h, *_, cache = forward()
        *grads, by_name = layer.backward(dh, *(None for _ in states[1:]), cache)
        return [h, *grads, *(by_name[name] for name in torch_ref.RENAMES.values())]

    def forward_torch():
        with torch.no_grad():
            return module(x_torch, given)

    def step_torch():
        h, _ = module(x_torch, given)
        return [h, *torch.autograd.grad(h, leaves, dh_torch, retain_graph=False)]

    return {"forward": (forward, forward_torch), "step": (step, step_torch)}


def products(kind, dtype, size):
    """The matrix products of our forward and step and nothing else: what no NumPy code can go below."""
    import numpy as np

    from lstmcourse.recurrent import KINDS
    T, B, D, H = size
    rows = len(KINDS[kind].gates) * H
    rng = np.random.default_rng(0)
    x, h, a = (rng.standard_normal((T * B, width)).astype(dtype) for width in (D, H, rows))
    W_x, W_h, W_h_back = (np.full(shape, 1 / shape[0], dtype) for shape in ((D, rows), (H, rows), (rows, H)))
    one_h, one_a = np.ones((B, H), dtype), np.ones((B, rows), dtype)

    def forward():
        x.dot(W_x, a)
        for _ in range(T):
            one_h.dot(W_h, one_a)

    def step():
        forward()
        for _ in range(T):
            one_a.dot(W_h_back, one_h)
        return a.dot(W_x.T), a.T.dot(x), a.T.dot(h)

    return {"forward": forward, "step": step}


def torch_attention(query, keys, values, mask, scale=1.0, params=None):
    """context and alpha of torch tensors: dot attention, or additive where params are given.

    mask  (B, T_tgt, T_src) or (B, 1, T_src), True = may be looked at
    """
    import torch
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
    import numpy as np
    import torch

    from lstmcourse.torch_ref import MODULES, RENAMES
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


def decoder_contenders(attention, dtype, size):
    """As `contenders`, for the LSTM decoder with "dot" or "additive" attention, T words to T words.

    The loss is over rows of unequal lengths, T/2 to T; a step returns [loss, d…] as arrays.
    """
    import numpy as np

    from lstmcourse import layers, seq2seq, train
    T, B, D, H = size
    rng = np.random.default_rng(0)
    params = seq2seq.init_seq2seq(seq2seq.Model(attention=attention), WORDS, WORDS, D, H, rng, dtype)
    params = {name: params[name] for name in params if name not in ("source_embedding", "encoder")}
    keys, h_0, c_0 = (rng.standard_normal(shape).astype(dtype) for shape in ((B, T, H), (B, H), (B, H)))
    inputs, targets = rng.integers(WORDS, size=(2, B, T))
    source_mask, mask = (np.arange(T) < rng.integers(T // 2, T + 1, (2, B, 1)))
    memory = seq2seq.Memory(keys, keys.copy(), source_mask)

    def forward():
        return seq2seq.decoder_forward(inputs, (h_0, c_0), memory, params)

    def step():
        logits, _, _, cache = forward()
        loss, loss_cache = layers.cross_entropy_forward(logits, targets, mask)
        dstate, dkeys, dvalues, grads = seq2seq.decoder_backward(layers.cross_entropy_backward(loss_cache), cache)
        return [np.array(loss, dtype), *dstate, dkeys, dvalues, *train.leaves({name: grads[name] for name in params})]

    forward_torch, step_torch = torch_decoder_functions(inputs, (h_0, c_0), memory, params,
                                                        np.where(mask, targets, -100))       # -100: not counted
    return {"forward": (forward, forward_torch), "step": (step, step_torch)}


def torch_decoder_functions(inputs, state, memory, params, targets):
    """Torch's side of `decoder_contenders`, from the same arrays: its forward and its step."""
    import torch

    from lstmcourse import train
    _, E = params["target_embedding"]["W"].shape
    run = torch_decoder("lstm", E, state[0].shape[1], state[0].dtype)
    inputs, source_mask, targets = torch.tensor(inputs), torch.tensor(memory.mask), torch.tensor(targets).flatten()
    params = train.tree_map(lambda w: torch.tensor(w, requires_grad=True), params)
    state, keys_values = (tuple(torch.tensor(a, requires_grad=True) for a in group) for group in (state, memory[:2]))
    leaves = [*state, *keys_values, *train.leaves(params)]

    def forward(grad=False):
        with torch.set_grad_enabled(grad):
            return run(inputs, state, (*keys_values, source_mask), params)

    def step():
        logits, _ = forward(grad=True)
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), targets)
        return [loss, *torch.autograd.grad(loss, leaves)]
    return forward, step


def max_relative_error(ours, theirs):
    """Largest difference of two step results, relative to the largest magnitude of each array."""
    from lstmcourse.gradcheck import relative_error
    return max(relative_error(a, b.detach().numpy()) for a, b in zip(ours(), theirs(), strict=True))


def time_together(functions, rounds):
    """Seconds per call of each function: one sample of each a round, in alternating order."""
    def sample(f, calls):
        f()
        start = time.perf_counter()
        for _ in range(calls):
            f()
        return (time.perf_counter() - start) / calls

    calls = [max(1, math.ceil(0.02 / sample(f, 1))) for f in functions]
    times = [[] for _ in functions]
    for turn in range(rounds):
        for k in range(len(functions))[::1 if turn % 2 else -1]:
            times[k].append(sample(functions[k], calls[k]))
    return times


def measure(kinds, rounds, threads):
    """Every kind, dtype and size, in this process; returns a list of records, prints progress."""
    import torch
    from tqdm import tqdm
    torch.set_num_threads(threads)
    runs = [(kind, dtype, size) for kind in kinds for dtype in ("float64", "float32")
            for size in (DECODER_SIZES if kind in ("dot", "additive") else SIZES)]
    records = []
    for kind, dtype, size in tqdm(runs, desc=f"{threads} thread{'s' * (threads > 1)}", file=sys.stderr):
        decoder = kind in ("dot", "additive")
        pairs = (decoder_contenders if decoder else contenders)(kind, dtype, size)
        error = max_relative_error(*pairs["step"])
        if not error < TOLERANCE[dtype]:
            raise SystemExit(f"{kind} {dtype} {size}: differs from torch by {error:.1e}; nothing was timed")
        floors = {} if decoder else products(kind, dtype, size)
        for what, pair in pairs.items():
            ours, theirs, *floor = time_together([*pair, *([floors[what]] if floors else [])], rounds)
            low, ratio, high = statistics.quantiles([a / b for a, b in zip(ours, theirs, strict=True)], n=4)
            records.append({"kind": kind, "dtype": dtype, "what": what, "size": size, "threads": threads,
                            "ours_ms": statistics.median(ours) * 1e3, "torch_ms": statistics.median(theirs) * 1e3,
                            "ratio": ratio, "ratio_low": low, "ratio_high": high, "difference": error,
                            "floor": statistics.median(a / b for a, b in zip(floor[0], theirs, strict=True))
                                     if floor else None})
    return records


def table(records):
    """The records as text: a line a size, then the geometric mean and the goal."""
    lines = []
    groups = {}

    def alone(floor):
        return "   -" if floor is None else f"{floor:.2f}"

    for r in records:
        groups.setdefault((r["threads"], r["kind"], r["dtype"], r["what"]), []).append(r)
    for (threads, kind, dtype, what), rows in groups.items():
        lines.append(f"\n{kind.upper()} {what}, {dtype}, {threads} thread{'s' * (threads > 1)}"
                     "        ours        torch   ratio (quartiles)   products   difference")
        for r in rows:
            spread = f"({r['ratio_low']:.2f} … {r['ratio_high']:.2f})"
            lines.append(f"  T, B, D, H = {str(tuple(r['size'])):22}{r['ours_ms']:8.2f} ms {r['torch_ms']:9.2f} ms"
                         f"    {r['ratio']:.2f} {spread}   {alone(r['floor'])}       {r['difference']:.0e}")
        mean = statistics.geometric_mean(r["ratio"] for r in rows)
        floor = statistics.geometric_mean(r["floor"] for r in rows) if rows[0]["floor"] else None
        goal = GOALS.get((kind, dtype, what)) if threads == 1 else None
        verdict = "" if goal is None else f"   goal {goal:.2f}: {'reached' if mean <= goal else 'NOT reached'}"
        lines.append(f"  geometric mean {mean:.2f} (products alone {alone(floor)}){verdict}")
    return "\n".join(lines)


def main(argv=None):
    """Run the benchmark; returns the exit status."""
    parser = argparse.ArgumentParser(prog="lstmcourse bench", description=str(__doc__).split("\n")[0])
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=KINDS)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--json", metavar="FILE", help="save the records here too")
    parser.add_argument("--in-this-process", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args(argv)
    if args.in_this_process:
        print(json.dumps(measure(args.kinds, args.rounds, args.threads[0])))
        return 0
    records = []
    for threads in args.threads:
        environment = os.environ | dict.fromkeys(
            ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS"), str(threads))
        done = subprocess.run([sys.executable, "-m", "lstmcourse.bench", "--in-this-process", "--threads", str(threads),
                               "--rounds", str(args.rounds), "--kinds", *args.kinds],
                              env=environment, stdout=subprocess.PIPE, text=True)
        if done.returncode:
            return done.returncode
        records += json.loads(done.stdout)
    print(table(records))
    if args.json:
        with open(args.json, "w") as file:
            json.dump(records, file, indent=1)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
