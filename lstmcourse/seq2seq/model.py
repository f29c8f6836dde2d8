"""A whole model: which parts it has, their initial weights, and the loss with all its gradients."""

from typing import NamedTuple

import numpy as np

from lstmcourse.layers import cross_entropy_backward, cross_entropy_forward
from lstmcourse.recurrent import KINDS, kind_of
from lstmcourse.seq2seq.decoder import Memory, decoder_backward, decoder_forward
from lstmcourse.seq2seq.encoder import encoder_backward, encoder_forward
from lstmcourse.train import init_embedding, init_linear, init_recurrent
from lstmcourse.validation import check_array, check_keys

ALLOWED = {"kind": tuple(name for name, kind in KINDS.items() if len(kind.gates) > 1), "bidirectional": (False, True),
           "attention": (None, "dot", "scaled", "additive"), "values": ("states", "words")}


class Model(NamedTuple):
    """Which parts a model has; what is in them are its params."""
    kind: str = "lstm"               # "lstm" or "gru", in both halves
    bidirectional: bool = False      # the encoder reads in both directions, each with half of H
    attention: str | None = "dot"    # None, "dot", "scaled" (dot / sqrt(H)) or "additive"
    values: str = "states"           # what attention averages: the encoder's "states" or the source "words"' embeddings


def check_parts(model):
    """ValueError that names the part of the model that there is not."""
    for name, allowed in ALLOWED.items():
        if getattr(model, name) not in allowed:
            raise ValueError(f"model.{name} is {getattr(model, name)!r}; wanted one of {allowed}")


def check_model(params, model):
    """ValueError unless params are those of such a model: the same parts, kinds and widths.

    Not told apart, since their params are alike: "dot" and "scaled"; "states" and "words" where E = H.
    """
    check_parts(model)
    keys = ["source_embedding", "encoder", "target_embedding", "decoder", "output"]
    keys += ["encoder_reverse"] * model.bidirectional + ["combine"] * (model.attention is not None)
    check_keys("params", params, keys + ["attention"] * (model.attention == "additive"))
    for part in ("encoder", "decoder"):
        if kind_of(params[part]) != model.kind:
            raise ValueError(f"model.kind is {model.kind!r}; params[{part!r}] are of kind {kind_of(params[part])!r}")
    if model.attention is not None:
        H, E = (params["decoder"][key].shape[1] for key in ("W_hh", "W_ih"))
        check_array("params['combine']['W']", params["combine"]["W"], (H, (E if model.values == "words" else H) + H),
                    note=f", since model.values is {model.values!r}")


def init_seq2seq(model, V_src, V_tgt, E, H, rng, dtype="float64"):
    """Initial weights, each as `train` makes it.

    V_src, V_tgt  sizes of the two vocabularies
    E, H          width of the embeddings; of the decoder's state (and of additive attention)

    Returns params, a dict of dicts. Raises ValueError for an unknown part or an odd H in two directions.
    """
    check_parts(model)
    if model.bidirectional and H % 2:
        raise ValueError(f"H is {H}; wanted an even number: each direction of the encoder gets half")
    H_encoder = H // 2 if model.bidirectional else H
    params = {"source_embedding": init_embedding(V_src, E, rng, dtype),
              "encoder": init_recurrent(model.kind, E, H_encoder, rng, dtype=dtype)}
    if model.bidirectional:
        params["encoder_reverse"] = init_recurrent(model.kind, E, H_encoder, rng, dtype=dtype)
    params["target_embedding"] = init_embedding(V_tgt, E, rng, dtype)
    params["decoder"] = init_recurrent(model.kind, E, H, rng, dtype=dtype)
    if model.attention is not None:
        params["combine"] = init_linear((E if model.values == "words" else H) + H, H, rng, dtype)
    if model.attention == "additive":
        params["attention"] = {"W_q": init_linear(H, H, rng, dtype)["W"], "W_k": init_linear(H, H, rng, dtype)["W"],
                               "v": init_linear(H, 1, rng, dtype)["W"][0]}
    params["output"] = init_linear(H, V_tgt, rng, dtype)
    return params


def shift_right(targets, bos):
    """The decoder's inputs: <bos>, then every target but the last.  (B, T_tgt) -> (B, T_tgt)

    At step t the decoder is given word t-1 and has to name word t. Given word t itself it would
    only have to copy: the loss would fall to nothing, and free-running it would write nonsense.
    """
    return np.concatenate([np.full_like(targets[:, :1], bos), targets[:, :-1]], axis=1)


def read_source(source, lengths, params, model):
    """Encoder only: the state for the decoder to start from, its Memory (None without attention), a cache.

    Raises ValueError for a model that params are not made for (see `check_model`).
    """
    check_model(params, model)
    h, last, words, cache = encoder_forward(source, lengths, params, model.kind)
    if model.attention is None:
        return last, None, cache
    mask = np.arange(source.shape[1]) < np.asarray(lengths)[:, None]
    scale = h.shape[2]**-0.5 if model.attention == "scaled" else 1.0
    return last, Memory(h, words if model.values == "words" else h, mask, scale), cache


def loss_and_grads(params, source, lengths, inputs, targets, mask, model):
    """Teacher forcing: the loss of every next word, given the reference words before it.   (eq. 7f)

    source, lengths  (B, T_src) and (B,)  as for `encoder_forward`
    inputs           (B, T_tgt)           `shift_right` of the targets
    targets, mask    (B, T_tgt)           what to write; True where a target is real

    Returns the mean loss, in nats per real target token, and grads, keyed like params: as `train` wants it.
    Raises ValueError for a wrong shape, dtype or token, and for a model that params are not made for.
    """
    state, memory, encoder_cache = read_source(source, lengths, params, model)
    logits, _, _, decoder_cache = decoder_forward(inputs, state, memory, params)
    loss, loss_cache = cross_entropy_forward(logits, targets, mask)

    dlogits = cross_entropy_backward(loss_cache)
    dstate, dkeys, dvalues, grads = decoder_backward(dlogits, decoder_cache)
    dh, dwords = (dkeys, dvalues) if model.values == "words" else (dkeys + dvalues, 0)
    return loss, {**encoder_backward(dh, dstate, dwords, encoder_cache), **grads}
