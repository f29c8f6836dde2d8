"""How far does a gradient reach? Products of Jacobians, and their largest singular value.

    RNN    J_t = dh_t/dh_{t-1} = diag(1 - h_t^2) W_hh                       (eq. 3a)
           dh_T/dh_{T-lag} = J_T J_{T-1} … J_{T-lag+1}                      (eq. 3b)
    LSTM   dc_t/dc_{t-1} = diag(f_t) + what flows through h_{t-1}           (eq. 4l)
"""

import numpy as np

from lstmcourse.lstm import lstm_cell_backward, lstm_cell_forward
from lstmcourse.recurrent import KINDS, kind_of
from lstmcourse.rnn import rnn_forward
from lstmcourse.train import init_orthogonal
from lstmcourse.validation import check_array


def jacobian_norms_by_lag(h, W_hh):
    """Spectral norm (largest singular value) of dh_T/dh_{T-lag}, for lag 0 … T-1.   (eq. 3b)

    h     (T, H)  the states h_1 … h_T of one sequence
    W_hh  (H, H)

    Returns (T,): the largest factor by which the norm of a gradient at h_T can have changed when it
    arrives lag steps earlier. Entry 0 is 1.
    Raises ValueError for a wrong shape.
    """
    check_array("h", h, (None, None))
    check_array("W_hh", W_hh, (h.shape[1], h.shape[1]), h.dtype)
    product, norms = np.eye(h.shape[1], dtype=h.dtype), [1.0]
    for h_t in h[:0:-1]:                                   # h_T, h_{T-1}, … h_2
        product = product @ ((1 - h_t**2)[:, None] * W_hh)
        norms.append(np.linalg.norm(product, 2))
    return np.array(norms)


def cell_state_jacobian_norms_by_lag(x, params):
    """The same measure for the cell state of an LSTM: spectral norm of dc_T/dc_{T-lag}.   (eq. 4l)

    x       (T, D)  one sequence; the states start at zero
    params  of an LSTM

    Returns two arrays (T,), for lag 0 … T-1: over all paths, and along the cell state alone, where it is the
    largest entry of the product of the diag(f_t). Entry 0 of both is 1.
    """
    H = params["W_hh"].shape[1]
    h = c = np.zeros((H, H), x.dtype)                      # H copies of the sequence: row k sends c_T[k] back
    caches, norms = [], []
    for x_t in x:
        h, c, cache = lstm_cell_forward(np.tile(x_t, (H, 1)), h, c, params)
        caches.append(cache)
    dh, dc, f_product = np.zeros((H, H), x.dtype), np.eye(H, dtype=x.dtype), np.ones(H, x.dtype)
    for cache in reversed(caches):
        from_h = dh * cache.o * (1 - np.tanh(cache.c_t) ** 2)
        norms.append((np.linalg.norm(dc + from_h, 2), f_product.max()))
        _, dh, dc, _ = lstm_cell_backward(dh, dc, cache)
        f_product = f_product * cache.f[0]
    every_path, cell_state_alone = np.array(norms).T
    return every_path, cell_state_alone


def lyapunov_exponent(h, W_hh, rng):
    """Largest Lyapunov exponent of a tanh RNN: how fast a small change of the state grows, per step, on average.

        v_t = J_t v_{t-1};  exponent = mean of ln(|v_t| / |v_{t-1}|)       (eq. 3c; Benettin et al. 1980)

    h     (T, H)  the states h_1 … h_T of one sequence, after the network has forgotten its start
    W_hh  (H, H)
    rng   draws the direction of the first change

    Returns a float, in nats per step: negative, changes die out (gradients vanish); positive, they grow (chaos).
    Raises ValueError for a wrong shape.
    """
    check_array("h", h, (None, None))
    check_array("W_hh", W_hh, (h.shape[1], h.shape[1]), h.dtype)
    v, growth = rng.standard_normal(h.shape[1]), []
    for h_t in h:
        v = (1 - h_t**2) * (W_hh @ (v / np.linalg.norm(v)))
        growth.append(np.log(np.linalg.norm(v)))
    return float(np.mean(growth))


def scale_to_spectral_radius(W, radius):
    """W scaled so that its spectral radius, the largest magnitude of an eigenvalue, is radius."""
    return W * (radius / np.abs(np.linalg.eigvals(W)).max())


def jacobian_norms_at_radius(radius, input_size, rng, T=100, H=64, orthogonal=False):
    """`jacobian_norms_by_lag` of a random tanh RNN whose W_hh has this spectral radius, fed with noise.

    input_size  standard deviation of what the input adds to each pre-activation; 0 is silence
    orthogonal  W_hh is a random orthogonal matrix times radius, instead of normal numbers

    Returns (T,). Before the T steps that count, the network runs T steps to forget its start.
    """
    W_hh = scale_to_spectral_radius(init_orthogonal(H, rng) if orthogonal else rng.standard_normal((H, H)), radius)
    x, h_0 = input_size * rng.standard_normal((1, 2 * T, H)), rng.standard_normal((1, H))
    params = {"W_ih": np.eye(H), "W_hh": W_hh, "b_ih": np.zeros(H), "b_hh": np.zeros(H)}
    h, _ = rnn_forward(x, h_0, params)
    return jacobian_norms_by_lag(h[0, T:], W_hh)


def gradient_norms_by_lag(x, dh_last, params, **options):
    """The fraction of a gradient at the last step that is left, lag steps before.

    x        (B, T, D)  inputs; the states start at zero
    dh_last  (B, H)     dL/dh_T
    params   of any of `recurrent.KINDS`
    options  of its cell: nonlinearity="relu" of the RNN

    Returns an array (T,): at index lag the norm of dL/dc_{T-lag} (LSTM) or dL/dh_{T-lag} (RNN, GRU),
    root mean square over the batch, divided by the value at lag 0.
    Raises ValueError for a wrong shape or dtype.
    """
    kind, H = KINDS[kind_of(params)], params["W_hh"].shape[1]
    check_array("x", x, (None, None, params["W_ih"].shape[1]), params["W_hh"].dtype)
    check_array("dh_last", dh_last, (len(x), H), x.dtype)
    states = [np.zeros((len(x), H), x.dtype) for _ in kind.states]
    caches, norms = [], []
    for t in range(x.shape[1]):
        *states, cache = kind.cell_forward(x[:, t], *states, params, **options)
        caches.append(cache)
    dstates = [dh_last, *(np.zeros_like(dh_last) for _ in kind.states[1:])]
    for cache in reversed(caches):
        norms.append(np.sqrt(np.mean((_arriving(dstates, cache)**2).sum(axis=1))))
        _, *dstates, _ = kind.cell_backward(*dstates, cache)
    return np.array(norms) / norms[0]


def _arriving(dstates, cache):
    """dL/dh_t, or with a cell state dL/dc_t: what arrives directly and what comes through h_t."""
    if len(dstates) == 1:
        return dstates[0]
    dh, dc = dstates
    return dc + dh * cache.o * (1 - np.tanh(cache.c_t) ** 2)
