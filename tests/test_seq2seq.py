import itertools

import numpy as np
import pytest
import torch

from lstmcourse import bench, seq2seq, torch_ref, train
from lstmcourse.gradcheck import assert_gradients, relative_error
from lstmcourse.layers import cross_entropy_forward
from lstmcourse.seq2seq import Memory, Model
from tests import torch_models
from tests.compare import assert_agree

B, T_SRC, T_TGT, V_SRC, V_TGT, E, H = 3, 5, 4, 11, 9, 7, 6
LENGTHS = np.array([5, 2, 3])
TARGET_LENGTHS = np.array([2, 4, 3])
BOS, EOS = 1, 2
MODELS = [Model(kind, both, attention, values) for kind in ("lstm", "gru") for both in (False, True)
          for attention, values in ((None, "states"), ("dot", "states"), ("scaled", "words"), ("additive", "states"),
                                    ("additive", "words"))]
models = pytest.mark.parametrize("model", MODELS, ids=lambda m: "-".join(map(str, m)))


@pytest.fixture
def rng():
    return np.random.default_rng(7)


def big_params(model, rng):
    """Weights larger than first weights are, so that no gate and no softmax sits in its middle."""
    params = seq2seq.init_seq2seq(model, V_SRC, V_TGT, E, H, rng)
    return train.tree_map(lambda w: 1.5 * rng.standard_normal(w.shape) / np.sqrt(w.shape[-1]), params)


def sentences(rng, more=0):
    """source, lengths, inputs, targets, mask; `more` adds so much padding, of random tokens."""
    source, targets = rng.integers(3, V_SRC, (B, T_SRC)), rng.integers(3, V_TGT, (B, T_TGT))
    filler = np.random.default_rng(more)
    source, targets = (np.concatenate([a, np.zeros((B, more), int)], axis=1) for a in (source, targets))
    mask = np.arange(T_TGT + more) < TARGET_LENGTHS[:, None]
    source = np.where(np.arange(T_SRC + more) < LENGTHS[:, None], source, filler.integers(0, V_SRC, source.shape))
    inputs = seq2seq.shift_right(targets, BOS)
    inputs, targets = (np.where(mask, a, filler.integers(0, V_TGT, a.shape)) for a in (inputs, targets))
    return source, LENGTHS, inputs, targets, mask


def flat(params):
    return {f"{part}.{name}": value for part, inner in params.items() for name, value in inner.items()}


def nested(params):
    found = {}
    for key, value in params.items():
        part, name = key.split(".")
        found.setdefault(part, {})[name] = value
    return found


def test_last_states_reads_before_the_padding(rng):
    h = rng.standard_normal((B, T_SRC, H))
    np.testing.assert_array_equal(seq2seq.last_states(h, LENGTHS), [h[0, 4], h[1, 1], h[2, 2]])


def test_reverse_sequences_turns_only_the_real_part(rng):
    x = rng.standard_normal((B, T_SRC, E))
    turned = seq2seq.reverse_sequences(x, LENGTHS)
    np.testing.assert_array_equal(turned[1], x[1, [1, 0, 2, 3, 4]])
    np.testing.assert_array_equal(seq2seq.reverse_sequences(turned, LENGTHS), x)


def test_shift_right_starts_with_bos_and_drops_the_last():
    np.testing.assert_array_equal(seq2seq.shift_right(np.array([[5, 6, 2], [7, 2, 0]]), 1), [[1, 5, 6], [1, 7, 2]])


@models
def test_encoder_matches_packed_sequences_of_torch(rng, model):
    params, (source, lengths, *_) = big_params(model, rng), sentences(rng)
    h, last, words, cache = seq2seq.encoder_forward(source, lengths, params, model.kind)
    real = (np.arange(T_SRC) < lengths[:, None])[..., None]
    dh, dwords = rng.standard_normal(h.shape) * real, rng.standard_normal(words.shape) * real
    dlast = tuple(rng.standard_normal(s.shape) for s in last)
    parts = {name: params[name] for name in params if "encoder" in name or "source" in name}

    def run(p):
        h_torch, last_torch, words_torch = torch_models.torch_encoder(torch.tensor(source), lengths, p, model.kind)
        return h_torch, words_torch, *last_torch
    (h_torch, _, *last_torch), (grads_torch,) = torch_ref.torch_gradients(run, [parts], [dh, dwords, *dlast])
    assert relative_error(h * real, h_torch) < 1e-12
    for ours, theirs in zip(last, last_torch, strict=True):
        assert relative_error(ours, theirs) < 1e-12
    grads = seq2seq.encoder_backward(dh, dlast, dwords, cache)
    assert_agree(flat(grads), flat(grads_torch), 1e-12)


def decoder_inputs(model, rng):
    """inputs, the initial state and the memory of a decoder."""
    memory = None if model.attention is None else Memory(
        rng.standard_normal((B, T_SRC, H)), rng.standard_normal((B, T_SRC, E if model.values == "words" else H)),
        np.arange(T_SRC) < LENGTHS[:, None], 0.4)
    state = tuple(rng.standard_normal((B, H)) for _ in range(2 if model.kind == "lstm" else 1))
    return rng.integers(0, V_TGT, (B, T_TGT)), state, memory


@models
def test_decoder_matches_torch(rng, model):
    params, (inputs, state, memory) = big_params(model, rng), decoder_inputs(model, rng)
    parts = {name: params[name] for name in params if "encoder" not in name and "source" not in name}
    logits, _, alpha, cache = seq2seq.decoder_forward(inputs, state, memory, params)
    dlogits = rng.standard_normal(logits.shape)
    decoder, keys_values = bench.torch_decoder(model.kind, E, H, "float64"), () if memory is None else memory[:2]

    def run(s, kv, p):
        memory_torch = (*kv, torch.tensor(memory.mask)) if kv else None
        logits_torch, alpha_torch = decoder(torch.tensor(inputs), s, memory_torch, p, 0.4)
        return logits_torch if alpha_torch is None else (logits_torch, alpha_torch)
    upstream = [dlogits] if alpha is None else [dlogits, np.zeros(alpha.shape)]
    outputs, (dstate_torch, dkv_torch, grads_torch) = torch_ref.torch_gradients(
        run, [state, tuple(keys_values), parts], upstream)
    for ours, theirs in zip([logits, alpha], outputs, strict=False):
        assert relative_error(ours, theirs) < 1e-12
    dstate, dkeys, dvalues, grads = seq2seq.decoder_backward(dlogits, cache)
    for ours, theirs in zip(dstate, dstate_torch, strict=True):
        assert relative_error(ours, theirs) < 1e-12
    for ours, theirs in zip([dkeys, dvalues], dkv_torch, strict=False):
        assert relative_error(ours, theirs) < 1e-12
    assert_agree(flat(grads), flat(grads_torch), 1e-12)


@models
def test_loss_and_every_gradient_match_torch(rng, model):
    params, batch = big_params(model, rng), sentences(rng)
    source, lengths, inputs, targets, mask = batch
    loss, grads = seq2seq.loss_and_grads(params, *batch, model)
    decoder = bench.torch_decoder(model.kind, E, H, "float64")
    scale = H**-0.5 if model.attention == "scaled" else 1.0

    def run(p):
        h, last, words = torch_models.torch_encoder(torch.tensor(source), lengths, p, model.kind)
        memory = None if model.attention is None else (
            h, words if model.values == "words" else h, torch.tensor(np.arange(T_SRC) < lengths[:, None]))
        logits, _ = decoder(torch.tensor(inputs), last, memory, p, scale)
        return torch.nn.functional.cross_entropy(logits[torch.tensor(mask)], torch.tensor(targets[mask]))
    (loss_torch,), (grads_torch,) = torch_ref.torch_gradients(run, [params], [np.array(1.0)])
    assert abs(loss - loss_torch) < 1e-12 * loss
    assert_agree(flat(grads), flat(grads_torch), 1e-12)


@pytest.mark.parametrize("model", [Model("lstm", True, "additive", "words"), Model("gru", True, "scaled", "states"),
                                   Model("lstm", False, None), Model("gru", False, "dot", "words")],
                         ids=lambda m: "-".join(map(str, m)))
def test_gradients_match_finite_differences(rng, model):
    source, lengths, inputs, targets, mask = batch = sentences(rng)

    def forward(params):                                      # without its gradients, which take longer
        state, memory, _ = seq2seq.read_source(source, lengths, nested(params), model)
        logits, *_ = seq2seq.decoder_forward(inputs, state, memory, nested(params))
        return np.array(cross_entropy_forward(logits, targets, mask)[0]), params

    def backward(dloss, params):
        return {key: dloss * g for key, g in flat(seq2seq.loss_and_grads(nested(params), *batch, model)[1]).items()}
    assert_gradients(forward, backward, [flat(big_params(model, rng))], rng)


@pytest.fixture
def padded(model):
    """The same sentences with no and with three more columns of padding, and the weights that read them."""
    return (big_params(model, np.random.default_rng(0)),
            *(sentences(np.random.default_rng(1), more) for more in (0, 3)))


@models
def test_more_padding_does_not_change_the_loss(model, padded):
    params, short, long = padded
    (loss, _), (loss_long, _) = (seq2seq.loss_and_grads(params, *batch, model) for batch in (short, long))
    assert loss == pytest.approx(loss_long, rel=1e-14)


@models
def test_more_padding_does_not_change_the_gradients(model, padded):
    params, short, long = padded
    (_, grads), (_, grads_long) = (seq2seq.loss_and_grads(params, *batch, model) for batch in (short, long))
    assert_agree(flat(grads), flat(grads_long), 1e-13)


@models
def test_more_padding_does_not_change_the_states(model, padded):
    params, short, long = padded
    (h, last, *_), (h_long, last_long, *_) = (
        seq2seq.encoder_forward(batch[0], LENGTHS, params, model.kind) for batch in (short, long))
    real = {f"h of row {row}": (h[row, :n], h_long[row, :n]) for row, n in enumerate(LENGTHS)}
    real |= {f"last {k}": pair for k, pair in enumerate(zip(last, last_long, strict=True))}
    assert_agree(*({name: pair[k] for name, pair in real.items()} for k in range(2)), 1e-14)


@models
def test_more_padding_does_not_change_what_is_written(model, padded):
    params, short, long = padded
    one, other = (seq2seq.greedy(batch[0], LENGTHS, params, model, BOS, EOS, 6)[0] for batch in (short, long))
    np.testing.assert_array_equal(one, other)


def test_padding_embeddings_get_no_gradient(rng):
    model = Model("lstm", True, "dot", "words")
    source, lengths, inputs, targets, mask = sentences(rng)
    source = np.where(np.arange(T_SRC) < lengths[:, None], source, 0)
    _, grads = seq2seq.loss_and_grads(big_params(model, rng), source, lengths, np.where(mask, inputs, 0), targets,
                                      mask, model)
    assert (grads["source_embedding"]["W"][0] == 0).all()
    assert (grads["target_embedding"]["W"][0] == 0).all()


@pytest.mark.parametrize("model", MODELS[:4], ids=lambda m: "-".join(map(str, m)))
def test_nothing_given_is_changed(rng, model):
    params, batch = big_params(model, rng), sentences(rng)
    before = train.tree_map(np.copy, params), [a.copy() for a in batch]
    seq2seq.loss_and_grads(params, *batch, model)
    seq2seq.greedy(*batch[:2], params, model, BOS, EOS, 5)
    seq2seq.beam_search(batch[0][0], params, model, BOS, EOS, 5)
    for one, other in zip(train.leaves(params), train.leaves(before[0]), strict=True):
        np.testing.assert_array_equal(one, other)
    for one, other in zip(batch, before[1], strict=True):
        np.testing.assert_array_equal(one, other)


def test_float32_stays_float32(rng):
    for model in MODELS:
        params = train.tree_map(lambda w: w.astype("float32"), big_params(model, rng))
        _, grads = seq2seq.loss_and_grads(params, *sentences(rng), model)
        assert {g.dtype for g in train.leaves(grads)} == {np.dtype("float32")}


@models
def test_word_by_word_gives_the_same_logits_as_all_at_once(rng, model):
    params, (inputs, state, memory) = big_params(model, rng), decoder_inputs(model, rng)
    logits, last, alpha, _ = seq2seq.decoder_forward(inputs, state, memory, params)
    for t in range(T_TGT):
        logits_t, state, alpha_t, _ = seq2seq.decoder_forward(inputs[:, t:t + 1], state, memory, params)
        assert relative_error(logits_t[:, 0], logits[:, t]) < 1e-12
        if memory is not None:
            assert relative_error(alpha_t[:, 0], alpha[:, t]) < 1e-12
    for one, other in zip(state, last, strict=True):
        assert relative_error(one, other) < 1e-12


def log_p(source, tokens, params, model):
    """Log probability of a given translation of one sentence, by teacher forcing."""
    target = np.array([tokens])
    loss, _ = seq2seq.loss_and_grads(params, np.asarray(source)[None], np.array([len(source)]),
                                     seq2seq.shift_right(target, BOS), target, np.ones(target.shape, bool), model)
    return -loss * len(tokens)


@models
def test_greedy_writes_the_likeliest_next_word(rng, model):
    params, (source, lengths, *_) = big_params(model, rng), sentences(rng)
    tokens, alpha = seq2seq.greedy(source, lengths, params, model, BOS, EOS, 6)
    state, memory, _ = seq2seq.read_source(source, lengths, params, model)
    logits, _, _, _ = seq2seq.decoder_forward(seq2seq.shift_right(tokens, BOS), state, memory, params)
    running = np.cumsum(tokens == EOS, axis=1) - (tokens == EOS) == 0
    np.testing.assert_array_equal(tokens[running], logits.argmax(axis=2)[running])
    assert (tokens[~running] == EOS).all()
    assert alpha is None if memory is None else alpha.shape == (B, tokens.shape[1], T_SRC)


@models
def test_beam_of_one_is_greedy(rng, model):
    params, (source, lengths, *_) = big_params(model, rng), sentences(rng)
    for row, n in zip(source, lengths, strict=True):
        tokens, _ = seq2seq.greedy(row[None, :n], np.array([n]), params, model, BOS, EOS, 6)
        (best, _), *_ = seq2seq.beam_search(row[:n], params, model, BOS, EOS, 6, width=1)
        assert list(best) == tokens[0].tolist()


@pytest.mark.parametrize("model", [Model("lstm", True, "additive"), Model("gru", False, None)],
                         ids=["additive", "none"])
def test_wide_beam_finds_the_likeliest_of_all_sentences(rng, model):
    params, source = big_params(model, rng), np.array([4, 7, 3])
    words, longest = range(V_TGT), 3
    every = [tokens for n in range(1, longest + 1) for tokens in itertools.product(words, repeat=n)
             if EOS not in tokens[:-1] and (tokens[-1] == EOS or n == longest)]
    best = max(every, key=lambda tokens: log_p(source, tokens, params, model))
    found = seq2seq.beam_search(source, params, model, BOS, EOS, longest, width=len(every))
    assert found[0][0] == best
    assert found[0][1] == pytest.approx(log_p(source, best, params, model), abs=1e-10)


@models
def test_beam_scores_are_the_log_probabilities_of_its_sentences(rng, model):
    params, source = big_params(model, rng), np.array([4, 7, 3, 3])
    found = seq2seq.beam_search(source, params, model, BOS, EOS, 5, width=3)
    assert [p for _, p in found] == sorted((p for _, p in found), reverse=True)
    for tokens, p in found:
        assert p == pytest.approx(log_p(source, tokens, params, model), abs=1e-10)


def test_loss_is_the_mean_over_real_tokens_only(rng):
    model = Model()
    params, (source, lengths, inputs, targets, mask) = big_params(model, rng), sentences(rng)
    loss, _ = seq2seq.loss_and_grads(params, source, lengths, inputs, targets, mask, model)
    state, memory, _ = seq2seq.read_source(source, lengths, params, model)
    logits, *_ = seq2seq.decoder_forward(inputs, state, memory, params)
    assert loss == pytest.approx(cross_entropy_forward(logits[mask], targets[mask])[0], rel=1e-14)


def test_model_learns_to_copy_in_a_few_steps(rng):
    model = Model("gru", True, "dot")
    params = seq2seq.init_seq2seq(model, V_SRC, V_SRC, 16, 16, rng)
    source = rng.integers(3, V_SRC, (200, 32, 4))
    ends = np.full((32, 1), EOS)
    batches = [(s, np.full(32, 4), seq2seq.shift_right(np.hstack([s, ends]), BOS), np.hstack([s, ends]),
                np.ones((32, 5), bool), model) for s in source]
    _, losses = train.train(seq2seq.loss_and_grads, params, batches, lr=1e-2)
    assert losses[-1] < 0.3 * losses[0]


@pytest.mark.parametrize(("lengths", "message"), [([5, 0, 3], "wanted 3 integers in 1 … 5"), ([6, 2, 3], "in 1 … 5"),
                                                 ([5, 2], "wanted 3 integers")])
def test_wrong_lengths_are_a_clear_error(rng, lengths, message):
    params = big_params(Model(), rng)
    with pytest.raises(ValueError, match=f"lengths is .*{message}"):
        seq2seq.encoder_forward(sentences(rng)[0], lengths, params)


@pytest.mark.parametrize(("model", "message"), [
    (Model(kind="rnn"), "model.kind is 'rnn'; wanted one of"), (Model(attention="luong"), "model.attention is 'luong'"),
    (Model(values="keys"), "model.values is 'keys'"), (Model(bidirectional=True), "H is 5; wanted an even number")])
def test_unknown_part_of_a_model_is_a_clear_error(rng, model, message):
    with pytest.raises(ValueError, match=message):
        seq2seq.init_seq2seq(model, V_SRC, V_TGT, E, 5, rng)


def test_beam_without_width_is_a_clear_error(rng):
    with pytest.raises(ValueError, match="width is 0; wanted an integer, at least 1"):
        seq2seq.beam_search(np.array([3]), big_params(Model(), rng), Model(), BOS, EOS, 4, width=0)


def test_model_has_its_defaults():
    assert Model() == ("lstm", False, "dot", "states")


def test_memory_has_no_scale_unless_asked():
    assert Memory(None, None, None).scale == 1.0


@models
def test_init_seq2seq_makes_every_array_of_the_dtype(rng, model):
    params = seq2seq.init_seq2seq(model, V_SRC, V_TGT, E, H, rng, "float32")
    assert {a.dtype.name for a in train.leaves(params)} == {"float32"}


@pytest.mark.parametrize(("made", "asked", "message"), [
    (Model(), Model(attention="additive"), "^params has no 'attention'"),
    (Model(attention="additive"), Model(), r"^params has \['attention'\] besides"),
    (Model(), Model(attention=None), r"^params has \['combine'\] besides"),
    (Model(attention=None), Model(), "^params has no 'combine'"),
    (Model(), Model(bidirectional=True), "^params has no 'encoder_reverse'"),
    (Model(bidirectional=True), Model(), r"^params has \['encoder_reverse'\] besides"),
    (Model("gru"), Model("lstm"), r"^model\.kind is 'lstm'; params\['encoder'\] are of kind 'gru'"),
    (Model(values="words"), Model(), r"^params\['combine'\]\['W'\] has shape \(6, 13\); wanted \(6, 12\), since"),
    (Model(), Model(values="words"), r"^params\['combine'\]\['W'\] has shape \(6, 12\); wanted \(6, 13\), since"),
    (Model(), Model(attention="bogus"), "^model.attention is 'bogus'; wanted one of"),
    (Model(), Model(values="word"), "^model.values is 'word'; wanted one of"),
    (Model(), Model(kind="rnn"), "^model.kind is 'rnn'; wanted one of"),
    (Model(), Model(bidirectional=None), "^model.bidirectional is None; wanted one of")],
    ids=lambda v: "-".join(map(str, v)) if isinstance(v, Model) else "")
def test_params_of_another_model_are_refused(rng, made, asked, message):
    with pytest.raises(ValueError, match=message):
        seq2seq.loss_and_grads(big_params(made, rng), *sentences(rng), asked)


@pytest.mark.parametrize("write", ["greedy", "beam_search"])
def test_search_refuses_params_of_another_model(rng, write):
    source = sentences(rng)[0]
    given = (source, LENGTHS) if write == "greedy" else (source[0],)
    with pytest.raises(ValueError, match="^params has no 'attention'"):
        getattr(seq2seq, write)(*given, big_params(Model(), rng), Model(attention="additive"), BOS, EOS, 5)


@pytest.mark.parametrize("kind", ["rnn", "LSTM", "gru"])
def test_encoder_refuses_params_of_another_kind(rng, kind):
    with pytest.raises(ValueError, match=rf"^kind is '{kind}'; params\['encoder'\] are of kind 'lstm'"):
        seq2seq.encoder_forward(sentences(rng)[0], LENGTHS, big_params(Model(), rng), kind)


def test_decoder_refuses_a_state_of_another_kind(rng):
    params, (inputs, state, memory) = big_params(Model(), rng), decoder_inputs(Model(), rng)
    with pytest.raises(ValueError, match="^state has 1 arrays; wanted h and c: params are of kind 'lstm'"):
        seq2seq.decoder_forward(inputs, state[:1], memory, params)


@pytest.mark.parametrize(("attention", "message"), [
    ("dot", "^memory is None; wanted one, since params has 'combine'"),
    (None, "^memory is given; wanted None, since params has no 'combine'")])
def test_decoder_refuses_a_memory_that_params_do_not_go_with(rng, attention, message):
    params = big_params(Model(attention=attention), rng)
    inputs, state, memory = decoder_inputs(Model(attention=None if attention else "dot"), rng)
    with pytest.raises(ValueError, match=message):
        seq2seq.decoder_forward(inputs, state, memory, params)


def test_lengths_that_are_floats_are_a_clear_error(rng):
    with pytest.raises(ValueError, match=r"^lengths is \[5\.0, 2\.0, 3\.0\]; wanted 3 integers in 1 … 5"):
        seq2seq.encoder_forward(sentences(rng)[0], LENGTHS.astype(float), big_params(Model(), rng))


def test_source_of_one_axis_is_a_clear_error(rng):
    with pytest.raises(ValueError, match=r"^source has shape \(5,\); wanted \(B, T_src\)"):
        seq2seq.encoder_forward(sentences(rng)[0][0], LENGTHS[:1], big_params(Model(), rng))


@pytest.mark.parametrize("max_length", [0, -1, 2.5])
@pytest.mark.parametrize("write", ["greedy", "beam_search"])
def test_search_of_no_length_is_a_clear_error(rng, write, max_length):
    source = sentences(rng)[0]
    given = (source, LENGTHS) if write == "greedy" else (source[0],)
    with pytest.raises(ValueError, match=f"^max_length is {max_length}; wanted an integer, at least 1"):
        getattr(seq2seq, write)(*given, big_params(Model(), rng), Model(), BOS, EOS, max_length)


@pytest.mark.parametrize("write", ["greedy", "beam_search"])
def test_search_stops_at_logits_that_are_not_finite(rng, write):
    params, source = big_params(Model(), rng), sentences(rng)[0]
    params["output"]["W"][3] = np.nan
    given = (source, LENGTHS) if write == "greedy" else (source[0],)
    with pytest.raises(FloatingPointError, match="^the logits hold NaN or infinity"):
        getattr(seq2seq, write)(*given, params, Model(), BOS, EOS, 5)


@models
def test_beam_search_ends_a_sentence_at_its_eos(rng, model):
    found = seq2seq.beam_search(np.array([4, 7, 3, 3]), big_params(model, rng), model, BOS, EOS, 6, width=9)
    assert EOS in [tokens[-1] for tokens, _ in found]
    assert [tokens for tokens, _ in found if EOS in tokens[:-1]] == []


def test_beam_scores_of_huge_logits_are_finite(rng):
    params = big_params(Model(), rng)
    params["output"] = {"W": 0 * params["output"]["W"], "b": 1e3 * np.arange(V_TGT)}
    (tokens, p), *_ = seq2seq.beam_search(np.array([4, 7]), params, Model(), BOS, EOS, 3, width=2)
    assert (tokens, p) == ((V_TGT - 1,) * 3, 0.0)


def test_alpha_of_the_decoder_is_read_only(rng):
    inputs, state, memory = decoder_inputs(Model(), rng)
    *_, alpha, _ = seq2seq.decoder_forward(inputs, state, memory, big_params(Model(), rng))
    assert not alpha.flags.writeable


def test_decoder_takes_as_many_sentences_as_words(rng):
    """B = T_tgt = T_src: where a mask of two axes could be read either way."""
    model, n = Model(), 4
    params, source = big_params(model, rng), rng.integers(3, V_SRC, (n, n))
    targets = rng.integers(3, V_TGT, (n, n))
    everywhere = np.ones((n, n), bool)
    loss, _ = seq2seq.loss_and_grads(params, source, np.arange(1, n + 1), targets, targets, everywhere, model)
    assert np.isfinite(loss)
