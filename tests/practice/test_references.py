"""Each exercise's reference is held to a second source: a reference and a solution can share a mistake.

An independent implementation has the exercise's arguments and results, and none of the reference's code.
"""

import heapq

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from lstmcourse import torch_ref
from lstmcourse.practice import EXERCISES

SEEDS = range(3)


def tensor(value):
    if isinstance(value, dict):
        return {key: tensor(entry) for key, entry in value.items()}
    return torch.tensor(value) if isinstance(value, np.ndarray) else value


def array(value):
    if isinstance(value, dict):
        return {key: array(entry) for key, entry in value.items()}
    if isinstance(value, (tuple, list)):
        return tuple(map(array, value))
    return value.detach().numpy() if isinstance(value, torch.Tensor) else value


def in_torch(function):
    """An implementation in PyTorch: tensors in, arrays out."""
    return lambda *args: array(function(*map(tensor, args)))


def torch_cell(kind, x_t, states, params):
    """torch.nn's own cell: [h_t] or [h_t, c_t]."""
    cell = {"rnn": torch.nn.RNNCell, "lstm": torch.nn.LSTMCell, "gru": torch.nn.GRUCell}[kind](
        x_t.shape[1], states[0].shape[1], dtype=x_t.dtype)
    weights = {name: params[ours] for name, ours in torch_ref.RENAMES.items()}
    found = torch.func.functional_call(cell, weights, (x_t, tuple(states) if kind == "lstm" else states[0]))
    return list(found) if kind == "lstm" else [found]


def cell(kind):
    def run(x_t, *states, gates=None):
        *states, params = states
        found = torch_cell(kind, x_t, states, params)
        return tuple(found) if len(found) > 1 else found[0]
    return in_torch(run)


def rnn_over_time(x, h_0, params):
    module = torch.nn.RNN(x.shape[2], h_0.shape[1], batch_first=True, dtype=x.dtype)
    weights = {f"{name}_l0": params[ours] for name, ours in torch_ref.RENAMES.items()}
    return torch.func.functional_call(module, weights, (x, h_0[None]))[0]


def leaky_cell(x_t, h_prev, params):
    return h_prev.lerp(torch_cell("rnn", x_t, [h_prev], params)[0], 1 - params["keep"])


def padded_rnn(x, h_0, params, mask):
    """Each sentence by itself, without its padding; its last state stays."""
    rows = []
    for row, start, n in zip(x, h_0, mask.sum(axis=1).tolist(), strict=True):
        h = rnn_over_time(row[None, :n], start[None], params)[0]
        rows.append(torch.cat([h, h[-1:].expand(len(row) - n, -1)]))
    return torch.stack(rows)


def first_above(logits, temperature, u):
    """Word by word: the first at which the running sum of the probabilities is above u."""
    found = []
    for row, chance in zip(F.softmax(torch.tensor(logits) / temperature, dim=1).tolist(), u, strict=True):
        total, word = 0.0, -1
        while total <= chance:
            word += 1
            total += row[word]
        found.append(word)
    return np.array(found)


def cross_entropy(logits, targets, mask):
    return F.cross_entropy(logits[mask], targets[mask]).item()


def loss_and_gradient(logits, targets, mask):
    leaf = logits.clone().requires_grad_()
    loss = F.cross_entropy(leaf[mask], targets[mask])
    return loss.item(), torch.autograd.grad(loss, leaf)[0]


def backward(kind, sequence):
    """The gradients by autograd, through torch.nn's cell."""
    def run(*arguments):
        *upstream, cache = arguments
        params = {key: cache[key] for key in ("W_ih", "W_hh")}
        x = cache["x"] if sequence else cache["x_t"][:, None]
        states = [cache[key] for key in (("h_0", "c_0") if sequence else ("h_prev", "c_prev")) if key in cache]
        params |= biases_of(kind, cache, x[:, 0], states[0], params["W_hh"].shape[1])

        def forward(x, *states_and_params):
            *states, params = states_and_params
            outputs = [[], []]
            for t in range(x.shape[1]):
                states = torch_cell(kind, x[:, t], states, params)
                for kept, state in zip(outputs, states, strict=False):
                    kept.append(state)
            return tuple(torch.stack(kept, 1) for kept in outputs[:len(states)])

        dh = [d if sequence else d[:, None] for d in upstream]
        _, grads = torch_ref.torch_gradients(forward, [x, *states, params], dh)
        return (grads[0] if sequence else grads[0][:, 0], *grads[1:])
    return run


def papers_gru_backward(dh_t, cache):
    """The gradients by autograd, through the cell as Chung et al. write it, with biases that give the cache's gates."""
    x_t, h_prev, W_ih, W_hh = (cache[key].clone().requires_grad_() for key in ("x_t", "h_prev", "W_ih", "W_hh"))
    (W_ir, W_iz, W_in), (W_hr, W_hz, W_hn) = (W.detach().chunk(3) for W in (W_ih, W_hh))
    x, h = cache["x_t"], cache["h_prev"]
    b_ih = torch.cat([(torch.logit(cache["r"]) - x @ W_ir.T - h @ W_hr.T)[0],
                      (torch.logit(cache["z"]) - x @ W_iz.T - h @ W_hz.T)[0],
                      (torch.atanh(cache["n"]) - x @ W_in.T - (cache["r"] * h) @ W_hn.T)[0]]).requires_grad_()
    b_hh = torch.zeros_like(b_ih, requires_grad=True)
    (a_r, a_z, a_n), (W_r, W_z, W_n) = (x_t @ W_ih.T + b_ih).chunk(3, 1), W_hh.chunk(3)
    b_r, b_z, b_n = b_hh.chunk(3)
    r, z = torch.sigmoid(a_r + h_prev @ W_r.T + b_r), torch.sigmoid(a_z + h_prev @ W_z.T + b_z)
    n = torch.tanh(a_n + (r * h_prev) @ W_n.T + b_n)
    h_t = (1 - z) * h_prev + z * n
    dx_t, dh_prev, *grads = torch.autograd.grad(h_t, [x_t, h_prev, W_ih, W_hh, b_ih, b_hh], dh_t)
    return dx_t, dh_prev, dict(zip(("W_ih", "W_hh", "b_ih", "b_hh"), grads, strict=True))


def biases_of(kind, cache, x_0, h_0, H):
    """Biases with which the forward pass gives the gates of the cache; how they share matters only for the GRU's n."""
    def step(key):
        value = cache[key]
        return value[:, 0] if value.ndim == 3 else value

    def logit(p):
        return np.log(p) - np.log1p(-p)

    if kind == "rnn":
        a = np.arctanh(step("h" if "h" in cache else "h_t"))
    elif kind == "lstm":
        a = np.hstack([logit(step("i")), logit(step("f")), np.arctanh(step("g")), logit(step("o"))])
    else:
        b_hn = (cache["u_n"] - h_0 @ cache["W_hh"][2 * H:].T)[0]
        a = np.hstack([logit(cache["r"]), logit(cache["z"]), np.arctanh(cache["n"]) - cache["r"] * cache["u_n"]])
        recurrent = np.hstack([h_0 @ cache["W_hh"][:2 * H].T, 0 * h_0])
        return {"b_ih": (a - x_0 @ cache["W_ih"].T - recurrent)[0],
                "b_hh": np.concatenate([np.zeros(2 * H), b_hn])}
    total = (a - x_0 @ cache["W_ih"].T - h_0 @ cache["W_hh"].T)[0]
    return {"b_ih": total / 3, "b_hh": 2 * total / 3}


def leaky_backward(dh_t, cache):
    """The gradients by autograd."""
    params = {key: cache[key] for key in ("W_ih", "W_hh")}
    params |= biases_of("rnn", {"h_t": cache["new"], **cache}, cache["x_t"], cache["h_prev"], dh_t.shape[1])
    params["keep"] = cache["keep"]
    _, grads = torch_ref.torch_gradients(lambda *args: (leaky_cell(*args),), [cache["x_t"], cache["h_prev"], params],
                                         [dh_t])
    return tuple(grads)


def tied(dx, tokens, dlogits, h):
    W = torch.zeros(dlogits.shape[-1], dx.shape[-1], dtype=dx.dtype, requires_grad=True)
    return torch.autograd.grad([F.embedding(tokens, W), F.linear(h, W)], W, [dx, dlogits])[0]


def windowed(dh, cache, k):
    """For each loss: the window before it by torch's own RNN, from the state that was carried there, detached."""
    T, total = dh.shape[1], None
    for t in range(T):
        first = max(0, t - k + 1)
        state = cache["h"][:, first - 1] if first else cache["h_0"]
        part = {**cache, "x": cache["x"][:, first:t + 1], "h": cache["h"][:, first:t + 1], "h_0": state}
        only_t = np.zeros_like(part["h"])
        only_t[:, -1] = dh[:, t]
        grads = backward("rnn", sequence=True)(only_t, part)[-1]
        total = grads if total is None else {key: total[key] + grads[key] for key in grads}
    return total


def clipped(grads, max_norm):
    """torch's own, which adds 1e-6 to the norm: undone by scaling everything up before and down again after."""
    leaves = {key: torch.zeros_like(g) for key, g in grads.items()}
    for key, leaf in leaves.items():
        leaf.grad = 1e6 * grads[key]
    torch.nn.utils.clip_grad_norm_(leaves.values(), 1e6 * max_norm)
    return {key: leaf.grad / 1e6 for key, leaf in leaves.items()}


def clipped_step(params, grads, lr, max_norm):
    leaves, found = {key: p.clone() for key, p in params.items()}, clipped(grads, max_norm)
    for key, leaf in leaves.items():
        leaf.grad = found[key]
    torch.optim.SGD(leaves.values(), lr=lr).step()
    return leaves


def leaky_norms_by_lag(n, W_hh, alpha):
    h, inputs = [0 * n[0]], []                                       # inputs with which a leaky RNN has these n
    for n_t in n:
        inputs.append(torch.atanh(n_t) - W_hh @ h[-1])
        h.append((1 - alpha) * h[-1] + alpha * n_t)

    def run(h_t, steps):
        for a_t in inputs[len(inputs) - steps:]:
            h_t = torch.lerp(h_t, torch.tanh(a_t + W_hh @ h_t), alpha)
        return h_t
    J = [torch.autograd.functional.jacobian(lambda h_t, lag=lag: run(h_t, lag), h[len(n) - lag])
         for lag in range(len(n))]
    return torch.stack([torch.linalg.matrix_norm(each, 2) for each in J])


def lyapunov_exponent(x, h_0, v_0, params):
    """A change is pushed through torch.nn's cell; its norm is kept as a power of two beside a small number."""
    h, v, powers = h_0[None], v_0[None], 0
    for x_t in x:
        h, v = torch.func.jvp(lambda h, x_t=x_t: torch_cell("rnn", x_t[None], [h], params)[0], (h,), (v,))
        power = int(torch.frexp(v.abs().max()).exponent)
        v, powers = torch.ldexp(v, torch.tensor(-power)), powers + power
    norms = [torch.linalg.vector_norm(each).log().item() for each in (v, v_0)]
    return (norms[0] - norms[1] + powers * np.log(2)) / len(x)


def forget_gate(x_t, h_prev, params):
    rows = slice(h_prev.shape[1], 2 * h_prev.shape[1])
    return torch.sigmoid(F.linear(x_t, params["W_ih"][rows], params["b_ih"][rows])
                         + F.linear(h_prev, params["W_hh"][rows], params["b_hh"][rows]))


def cell_update(c_prev, i, f, g):
    """torch.nn.LSTMCell with weights of 0, whose biases make these gates, a row and a unit at a time."""
    c_t = torch.zeros_like(c_prev)
    for b in range(c_prev.shape[0]):
        for j in range(c_prev.shape[1]):
            biases = torch.stack([torch.logit(i[b, j]), torch.logit(f[b, j]), torch.atanh(g[b, j]), i[b, j]])
            zero = torch.zeros(1, 1, dtype=c_prev.dtype)
            params = {"W_ih": zero.expand(4, 1), "W_hh": zero.expand(4, 1), "b_ih": biases, "b_hh": 0 * biases}
            c_t[b, j] = torch_cell("lstm", zero, [zero, c_prev[b:b + 1, j:j + 1]], params)[1]
    return c_t


def coupled_backward(dh_t, dc_t, cache):
    """Autograd through the coupled cell, its gates made again from pre-activations that give them, leaves of their own.

    The pre-activations' gradients are those of the biases, row by row; the weights' follow from the inputs.
    """
    with torch.enable_grad():
        joined = torch.cat([torch.logit(cache["f"]), torch.atanh(cache["g"]), torch.logit(cache["o"])], dim=1)
        x_t, h_prev, c_prev = (cache[key].clone().requires_grad_() for key in ("x_t", "h_prev", "c_prev"))
        W_ih, W_hh = (cache[key].clone().requires_grad_() for key in ("W_ih", "W_hh"))
        rest = (joined - F.linear(x_t, W_ih) - F.linear(h_prev, W_hh)).detach()        # the biases, a row each
        b_ih = torch.zeros(len(W_ih), dtype=x_t.dtype, requires_grad=True)
        a_f, a_g, a_o = (F.linear(x_t, W_ih, b_ih) + F.linear(h_prev, W_hh) + rest).chunk(3, dim=1)
        f = torch.sigmoid(a_f)
        c_t = f * c_prev + (1 - f) * torch.tanh(a_g)
        h_t = torch.sigmoid(a_o) * torch.tanh(c_t)
        dx, dh_prev, dc_prev, dW_ih, dW_hh, db = torch.autograd.grad(
            [h_t, c_t], [x_t, h_prev, c_prev, W_ih, W_hh, b_ih], [dh_t, dc_t])
    return dx, dh_prev, dc_prev, {"W_ih": dW_ih, "W_hh": dW_hh, "b_ih": db, "b_hh": db}


def bias_by_bisection(lags, kept, b_ih, b_hh):
    """No formula: the gate is moved until what is kept after the lag is right, unit by unit."""
    H, (b_ih, b_hh) = len(lags), (b_ih.copy(), b_hh.copy())
    for unit, lag in enumerate(lags):
        low, high = -50.0, 50.0
        for _ in range(200):
            middle = (low + high) / 2
            low, high = (middle, high) if (1 / (1 + np.exp(-middle))) ** lag < kept else (low, middle)
        b_ih[H + unit], b_hh[H + unit] = low, 0
    return b_ih, b_hh


def parameter_count(kind, D, H, layers, bidirectional):
    return sum(p.numel() for p in torch_ref.MODULES[kind](D, H, layers, bidirectional=bidirectional).parameters())


def shift_right(targets, bos):
    return np.array([[bos, *sentence[:-1]] for sentence in targets.tolist()])


def last_states(h, lengths):
    return np.array([list(h[b])[:n][-1] for b, n in enumerate(lengths.tolist())])


def both_ends(h_forward, h_backward, lengths):
    return np.array([[*list(h_forward[b])[:n][-1], *h_backward[b][0]] for b, n in enumerate(lengths.tolist())])


def perplexity(losses, tokens):
    """By its definition: every single token is counted with its loss."""
    return float(np.exp(np.mean([loss for loss, n in zip(losses, tokens, strict=True) for _ in range(n)])))


def greedy_batch(h, c, params, bos, eos, most):
    """Each sentence by itself, with PyTorch's cell, and filled up afterwards."""
    params = {name: torch.tensor(value) for name, value in params.items()}
    cell = torch.nn.LSTMCell(params["embedding"].shape[1], params["W"].shape[1], dtype=torch.float64)
    cell.load_state_dict({ours.replace("W_", "weight_").replace("b_", "bias_"): params[ours]
                          for ours in ("W_ih", "W_hh", "b_ih", "b_hh")})
    rows = []
    for state in zip(torch.tensor(h)[:, None], torch.tensor(c)[:, None], strict=True):
        words = [bos]
        while len(words) <= most and (words[-1] != eos or len(words) == 1):
            state = cell(params["embedding"][words[-1]][None], state)
            words.append(int(F.linear(state[0], params["W"], params["b"]).argmax()))
        rows.append(words[1:])
    longest = max(map(len, rows))
    return np.array([row + [eos] * (longest - len(row)) for row in rows])


def beam_against_greedy(log_p, width):
    """With a heap of all longer beginnings at each step."""
    found = {}
    for w in (width, 1):
        beams = [(0.0, (0,))]
        for table in log_p.tolist():
            beams = heapq.nlargest(w, ((p + q, (*words, k)) for p, words in beams
                                       for k, q in enumerate(table[words[-1]])))
        found[w] = max(beams)
    return np.array(found[width][1][1:]), found[width][0] - found[1][0]


def masked_softmax(scores, mask):
    return torch.nan_to_num(torch.softmax(scores.masked_fill(~mask[:, None], -torch.inf), dim=-1))


def additive_scores(query, keys, params):
    """One pair of target word and source word at a time."""
    B, T_tgt, T_src = *query.shape[:2], keys.shape[1]
    return np.array([[[sum(params["v"] * np.tanh(params["W_q"] @ query[b, t] + params["W_k"] @ keys[b, s]))
                       for s in range(T_src)] for t in range(T_tgt)] for b in range(B)])


def dot_backward(dcontext, cache):
    leaves = [cache[key].clone().requires_grad_() for key in ("query", "keys", "values")]
    return torch.autograd.grad(F.scaled_dot_product_attention(*leaves), leaves, dcontext)


def ibm_round(table, source, target):
    """With dictionaries, one word at a time, as Brown et al. 1993 define model 1."""
    counts, totals = {}, {}
    for source_row, target_row in zip(source, target, strict=True):
        words = [0, *(word for word in source_row if word)]
        for english in (word for word in target_row if word):
            for word in words:
                fraction = table[english, word] / sum(table[english, other] for other in words)
                counts[english, word] = counts.get((english, word), 0) + fraction
                totals[word] = totals.get(word, 0) + fraction
    found = np.zeros_like(table)
    for (english, word), count in counts.items():
        found[english, word] = count / totals[word]
    return found


def two_looks(scores, values, mask):
    """One target word at a time, over lists of the words that may be looked at."""
    without, alone = np.zeros((2, *scores.shape[:2], values.shape[2]))
    for b, t in np.ndindex(*scores.shape[:2]):
        real = [s for s in range(scores.shape[2]) if mask[b, s]]
        top = max(real, key=lambda s: scores[b, t, s])
        rest = [s for s in real if s != top]
        e = np.exp(scores[b, t, rest] - max(scores[b, t, rest]))
        without[b, t], alone[b, t] = e / e.sum() @ values[b, rest], values[b, top]
    return without, alone


def alignment_error_rate(alpha, sure, possible):
    """With sets of links, as Och and Ney define it."""
    A = {(t, max(range(alpha.shape[1]), key=lambda s, t=t: alpha[t, s])) for t in range(alpha.shape[0])}
    S, P = (set(map(tuple, np.argwhere(links).tolist())) for links in (sure, possible))
    return 1 - (len(A & S) + len(A & P)) / (len(A) + len(S))


def causal_self_attention(x, params):
    query, keys, values = (F.linear(x, params[name]) for name in ("W_q", "W_k", "W_v"))
    return F.scaled_dot_product_attention(query, keys, values, is_causal=True)


def bit_by_bit(tokens):
    """Every command is a function of the bit; a line through its values at 1 and -1 is what it keeps and adds."""
    does = [lambda bit: bit, lambda bit: -bit, lambda bit: 1, lambda bit: -1]

    def line(function):
        up, down = function(1), function(-1)
        return (up - down) / 2, (up + down) / 2

    def all_of(row):
        def run(bit):
            for token in row:
                bit = does[token](bit)
            return bit
        return run

    steps = np.array([[line(does[token]) for token in row] for row in tokens])
    whole = np.array([line(all_of(row)) for row in tokens])
    return steps[..., 0], steps[..., 1], whole[:, 0], whole[:, 1]


def rotated(q):
    T, K = q.shape[1:]
    speed = 10000.0 ** (-torch.arange(K // 2, dtype=q.dtype) * 2 / K)
    angle = torch.outer(torch.arange(T, dtype=q.dtype), speed)
    pairs = torch.view_as_complex(q.reshape(*q.shape[:2], K // 2, 2).contiguous())
    return torch.view_as_real(pairs * torch.polar(torch.ones_like(angle), angle)).reshape(q.shape)


def grouped(q, k, v, heads):
    d = q.shape[2] // heads
    q, k, v = (a.unflatten(2, (-1, d)).transpose(1, 2) for a in (q, k, v))
    k, v = (a.repeat_interleave(heads // a.shape[1], dim=1) for a in (k, v))
    return F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).flatten(2)


def packed(x, lengths):
    found = torch.nn.utils.rnn.pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
    return found.data, found.batch_sizes


def rows_that_go_on(tokens, B, T):
    L = len(tokens) // B
    return np.array([[[tokens[b * L + k * T + i] for i in range(T + 1)] for b in range(B)]
                     for k in range((L - 1) // T)])


def gate_by_gate(kernel, bias, forget_bias):
    H = len(bias) // 4
    theirs = {name: (kernel[:, k * H:(k + 1) * H], bias[k * H:(k + 1) * H]) for k, name in enumerate("ijfo")}
    blocks = [theirs["i"], (theirs["f"][0], theirs["f"][1] + forget_bias), theirs["j"], theirs["o"]]
    return {"W_ih": np.vstack([W[:-H].T for W, _ in blocks]), "W_hh": np.vstack([W[-H:].T for W, _ in blocks]),
            "b_ih": np.hstack([b for _, b in blocks]), "b_hh": np.zeros(4 * H)}


def bits_of(logits, targets, mask, size):
    bits = F.cross_entropy(logits[mask], targets[mask], reduction="sum") / np.log(2)
    return bits / mask.sum(), bits / size[targets[mask]].sum()


def discounted(counts, shorter, d):
    p = np.array(shorter)
    for row, seen in enumerate(counts.tolist()):
        if any(seen):
            spared = sum(min(d, n) for n in seen)
            p[row] = [(max(n - d, 0) + spared * q) / sum(seen) for n, q in zip(seen, shorter[row], strict=True)]
    return p


def fair_score(states, label, new_states, new_label):
    varies = states.std(0) > 1e-12
    standard = (states - states.mean(0)) / torch.where(varies, states.std(0), torch.inf)
    unit = int((standard * (label - label.mean())[:, None]).sum(0).abs().argmax())
    ones = torch.ones_like(label)
    line = torch.linalg.lstsq(torch.stack([states[:, unit], ones], dim=1), label[:, None]).solution
    said = torch.stack([new_states[:, unit], torch.ones_like(new_label)], dim=1) @ line
    return unit, float(1 - F.mse_loss(said[:, 0], new_label) / new_label.var(correction=0))


def windows_by_hand(values, past, horizon, target):
    M = len(values) - past - horizon + 1
    return (np.array([[values[m + p] for p in range(past)] for m in range(M)]),
            np.array([[values[m + past + k, target] for k in range(horizon)] for m in range(M)]))


def pinball(y, forecast, q):
    leaf = forecast.clone().requires_grad_()
    loss = torch.maximum(q * (y - leaf), (q - 1) * (y - leaf)).mean()
    return loss.item(), torch.autograd.grad(loss, leaf)[0]


def scaled_by_hand(y, forecast, train, season):
    ours = sum(abs(a - b) for a, b in zip(y, forecast, strict=True)) / len(y)
    naive = [abs(train[n] - train[n - season]) for n in range(season, len(train))]
    return ours / (sum(naive) / len(naive))


def row_by_row(h, lengths, W, b, y):
    answers = torch.stack([W @ row[:n][-1] + b for row, n in zip(h, lengths.tolist(), strict=True)])[:, 0]
    return answers, F.mse_loss(answers, y)


def pair_by_pair(base, moved):
    S, B, T, K = moved.shape
    reach = np.array([[max(abs(moved[s, b, t, k] - base[b, t, k]) for b in range(B) for k in range(K))
                       for t in range(T)] for s in range(S)])
    return reach, max([s - t for s in range(S) for t in range(T) if s > t and reach[s, t] > 1e-6], default=0)


# id -> (what it is held to, the independent implementation)
INDEPENDENT = {
    "1.1": ("PyTorch", in_torch(leaky_cell)),
    "1.2": ("PyTorch, sentence by sentence", in_torch(padded_rnn)),
    "1.3": ("PyTorch", in_torch(cross_entropy)),
    "1.4": ("the running sum, word by word", first_above),
    "2.1": ("PyTorch", leaky_backward),
    "2.2": ("PyTorch", backward("rnn", sequence=True)),
    "2.3": ("PyTorch", in_torch(tied)),
    "2.4": ("PyTorch, window by window", windowed),
    "3.1": ("PyTorch", in_torch(clipped)),
    "3.2": ("PyTorch", in_torch(leaky_norms_by_lag)),
    "3.3": ("PyTorch", in_torch(clipped_step)),
    "3.4": ("PyTorch", in_torch(lyapunov_exponent)),
    "4.1": ("PyTorch", in_torch(forget_gate)),
    "4.2": ("PyTorch", in_torch(cell_update)),
    "4.3": ("PyTorch", cell("lstm")),
    "4.4": ("PyTorch", None),                      # by its property: test_the_latch_holds_its_bit_in_torch
    "5.1": ("PyTorch", backward("lstm", sequence=False)),
    "5.2": ("PyTorch", backward("lstm", sequence=True)),
    "5.3": ("PyTorch", in_torch(coupled_backward)),
    "5.4": ("bisection", bias_by_bisection),
    "6.1": ("PyTorch", cell("gru")),
    "6.2": ("PyTorch", backward("gru", sequence=False)),
    "6.3": ("PyTorch", parameter_count),
    "6.4": ("autograd", in_torch(papers_gru_backward)),
    "7.1": ("lists, by hand", shift_right),
    "7.2": ("lists, by hand", last_states),
    "7.3": ("PyTorch", in_torch(loss_and_gradient)),
    "7.4": ("lists, by hand", both_ends),
    "7.5": ("the definition, token by token", perplexity),
    "7.6": ("PyTorch, one sentence after the other", greedy_batch),
    "7.7": ("a heap", beam_against_greedy),
    "8.1": ("PyTorch", in_torch(masked_softmax)),
    "8.2": ("the definition, pair by pair", additive_scores),
    "8.3": ("PyTorch", in_torch(torch.bmm)),
    "8.4": ("PyTorch", in_torch(dot_backward)),
    "8.5": ("sets of links", alignment_error_rate),
    "8.6": ("dictionaries, word by word", ibm_round),
    "8.7": ("lists, word by word", two_looks),
    "9.1": ("PyTorch", in_torch(causal_self_attention)),
    "9.2": ("bit by bit", bit_by_bit),
    "9.3": ("PyTorch's complex numbers", in_torch(rotated)),
    "9.4": ("PyTorch", in_torch(grouped)),
    "10.1": ("PyTorch", in_torch(bits_of)),
    "10.2": ("the definition, character by character", discounted),
    "10.3": ("PyTorch", lambda *args: fair_score(*map(tensor, args))),
    "11.1": ("PyTorch", in_torch(packed)),
    "11.2": ("the definition, token by token", rows_that_go_on),
    "12.1": ("the definition, number by number", windows_by_hand),
    "12.2": ("PyTorch", in_torch(pinball)),
    "12.3": ("the definition, number by number", scaled_by_hand),
    "11.3": ("gate by gate", gate_by_gate),        # and test_the_converted_weights_compute_tensorflows_cell
    "13.1": ("PyTorch", in_torch(row_by_row)),
    "13.2": ("the definition, pair by pair", pair_by_pair),
}


def test_every_reference_has_a_second_source():
    assert sorted(INDEPENDENT) == sorted(EXERCISES)


def leaves(value):
    if isinstance(value, dict):
        return [leaf for key in sorted(value) for leaf in leaves(value[key])]
    return [leaf for entry in value for leaf in leaves(entry)] if isinstance(value, tuple) else [np.asarray(value)]


@pytest.mark.parametrize("id", [id for id, (_, other) in INDEPENDENT.items() if other])
def test_a_reference_agrees_with_its_independent_implementation(id):
    """To 1e-10, much finer than the judge."""
    for seed in SEEDS:
        for args in EXERCISES[id].cases(np.random.default_rng(seed)):
            ours, theirs = (leaves(f(*args)) for f in (EXERCISES[id].reference, INDEPENDENT[id][1]))
            for a, b in zip(ours, theirs, strict=True):
                assert a.shape == b.shape
                assert np.abs(a - b).max() <= 1e-10 * max(1, np.abs(b).max()), (id, seed)


def test_the_latch_holds_its_bit_in_torch():
    for D, H in EXERCISES["4.4"].cases(np.random.default_rng(0)):
        params = tensor(EXERCISES["4.4"].reference(D, H))
        module = torch.nn.LSTM(D, H, batch_first=True, dtype=torch.float64)
        x = torch.rand(8, 1000, D, dtype=torch.float64, generator=torch.Generator().manual_seed(D)) * 2 - 1
        x[:, :, 0], x[::2, 0, 0], x[1::2, 0, 0] = 0, 1, -1
        weights = {f"{name}_l0": params[ours] for name, ours in torch_ref.RENAMES.items()}
        h = torch.func.functional_call(module, weights, (x,))[0]
        assert (h[:, :, 0] * x[:, :1, 0] > 0.01).all()


def test_the_converted_weights_compute_tensorflows_cell():
    for kernel, bias, forget_bias in EXERCISES["11.3"].cases(np.random.default_rng(0)):
        rng, H = np.random.default_rng(1), len(bias) // 4
        x, h, c = rng.standard_normal((2, len(kernel) - H)), rng.standard_normal((2, H)), rng.standard_normal((2, H))
        i, j, f, o = np.split(np.hstack([x, h]) @ kernel + bias, 4, axis=1)
        sigma = lambda a: 1 / (1 + np.exp(-a))                                                   # noqa: E731
        c_new = c * sigma(f + forget_bias) + sigma(i) * np.tanh(j)
        params = tensor(EXERCISES["11.3"].reference(kernel, bias, forget_bias))
        ours = array(tuple(torch_cell("lstm", tensor(x), [tensor(h), tensor(c)], params)))
        assert np.abs(ours[1] - c_new).max() < 1e-12
        assert np.abs(ours[0] - sigma(o) * np.tanh(c_new)).max() < 1e-12
