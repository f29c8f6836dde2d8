"""The capstone: a network on the learner's own functions computes what the library's does, or the library's stays."""

from functools import partial

import numpy as np
import pytest

from lstmcourse import attention, recurrent, train
from lstmcourse.data import hindi
from lstmcourse.lab import translation
from lstmcourse.lab.models import init_network, token_loss
from lstmcourse.lab.translation import only, teacher_forced, write
from lstmcourse.practice import EXERCISES, capstone, kept, progress
from lstmcourse.practice.adapters import ADAPTERS
from lstmcourse.practice.capstone import put_together
from lstmcourse.practice.exercise import PARTS
from lstmcourse.seq2seq import Model, decoder, greedy, init_seq2seq, loss_and_grads, model
from lstmcourse.train import leaves

from .mutants import solutions

USED = [id for ids in progress.TRANSLATOR.values() for id in ids]
BEST = {part: ids[0] for part, ids in progress.TRANSLATOR.items()}
TRANSLATOR = Model("lstm", bidirectional=True, attention="dot", values="words")
LOSS = partial(loss_and_grads, model=TRANSLATOR)
SAID = hindi.sentences(np.random.default_rng(6), 3, 2)
WRITE = partial(write, model=TRANSLATOR, pairs=SAID, max_length=6)


@pytest.fixture(autouse=True)
def own_progress(tmp_path, monkeypatch):
    monkeypatch.setenv("LSTMCOURSE_PROGRESS", str(tmp_path / "progress"))


def keep(id, source=None):
    """As after a pass: the solution's source, or another one, in the progress folder."""
    if source is None:
        source = "\n\n\n".join(solutions()[id])
    assert progress.write(progress.place(id, "py"), source) == ""


def translator(kinds=(1, 2), H=8):
    """Initial weights and three small batches."""
    rng = np.random.default_rng(3)
    pairs = [pair for k in kinds for pair in hindi.sentences(rng, 12, k)]
    return init_seq2seq(TRANSLATOR, *map(len, hindi.vocabularies()), 5, H, rng), hindi.batches(pairs, 8, rng)


def results(machine, params, batches):
    """The weights and losses after training, and what is written then."""
    with machine:
        params, losses = train.train(LOSS, params, batches, progress=False)
        source, lengths, *_ = batches[0]
        return params, losses, translation.greedy(source, lengths, params, TRANSLATOR, hindi.BOS, hindi.EOS, 6)


def assert_as_the_library(machine):
    params, batches = translator()
    got, losses, (tokens, alpha) = results(machine, params, batches)
    wanted, wanted_losses = train.train(LOSS, params, batches, progress=False)
    source, lengths, *_ = batches[0]
    wanted_tokens, wanted_alpha = greedy(source, lengths, wanted, TRANSLATOR, hindi.BOS, hindi.EOS, 6)
    assert np.allclose(losses, wanted_losses, rtol=1e-9)
    for a, b in zip(leaves(got), leaves(wanted), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-9)
    assert np.array_equal(tokens, wanted_tokens)
    assert np.allclose(alpha, wanted_alpha, atol=1e-6)


def test_without_a_kept_function_every_part_is_the_library_s():
    machine = put_together(LOSS, *translator(), WRITE)
    assert machine.whose == dict.fromkeys(progress.TRANSLATOR)
    assert str(machine).splitlines() == [f"{part}: the library's" for part in progress.TRANSLATOR]
    assert machine.timing().startswith("no part of a training step is yours; training: 3 steps of ")
    assert_as_the_library(machine)


def test_with_every_function_of_the_learner_s_the_network_is_the_same():
    for id in USED:
        keep(id)
    machine = put_together(LOSS, *translator(), WRITE)
    assert machine.whose == BEST
    assert machine.notes == []
    assert [line.split("  ")[0] for line in machine.timing().splitlines()[1:8]] == [
        f"{part} ({id})" for part, id in BEST.items() if part != "decoding"]
    assert_as_the_library(machine)


@pytest.mark.parametrize("id", USED)
def test_each_function_alone_fits_beside_the_library_s(id):
    keep(id)
    machine = put_together(LOSS, *translator(), WRITE)
    part, = (part for part, ids in progress.TRANSLATOR.items() if id in ids)
    assert {part: id for part, id in machine.whose.items() if id} == {part: id}
    assert_as_the_library(machine)


def test_progress_prints_the_same_list():
    for id in ("4.3", "5.1", "7.6", "8.1"):
        keep(id)
    assert [f"  {line}" for line in str(put_together(LOSS, *translator(), WRITE)).splitlines()] == \
        str(progress.show_progress()).splitlines()[-len(progress.TRANSLATOR):]


def test_every_exercise_of_the_list_says_which_part_it_can_be_and_has_an_adapter():
    assert {part.split(",")[0] for part in progress.TRANSLATOR} == set(PARTS)
    for part, (_, adapters) in ADAPTERS.items():
        assert set(adapters) == set(progress.TRANSLATOR[part])
        assert {EXERCISES[id].part for id in adapters} == {part.split(",")[0]}
    assert set(ADAPTERS) == set(progress.TRANSLATOR)


def planted(monkeypatch, **functions):
    """As if these functions were kept and had passed their checks: {"e4_3": function}."""
    monkeypatch.setattr(capstone, "look", lambda id: (functions.get(f"e{id.replace('.', '_')}"), ""))


def test_a_part_that_raises_here_stays_the_library_s(monkeypatch):
    def picky(scores, mask):
        raise TypeError("only for four sentences")
    planted(monkeypatch, e8_1=picky)
    machine = put_together(LOSS, *translator())
    assert machine.notes == ["8.1 softmax with a mask: the library's, since yours raised TypeError: only for four "
                             "sentences"]
    assert_as_the_library(machine)


@pytest.mark.parametrize("wrong", [lambda alpha, values: 2 * (alpha @ values), lambda alpha, values: None,
                                   lambda alpha, values: (alpha @ values)[:, :1]])
def test_a_part_that_returns_something_else_here_stays_the_library_s(monkeypatch, wrong):
    planted(monkeypatch, e8_3=wrong)
    machine = put_together(LOSS, *translator())
    assert machine.whose["attention, context"] is None
    assert "does not fit" in machine.notes[0]
    assert_as_the_library(machine)


def test_a_second_choice_is_taken_where_the_first_does_not_fit(monkeypatch):
    keep("5.1")
    planted(monkeypatch, e5_2=lambda dh, dc, cache: None, e5_1=kept.look("5.1")[0])
    machine = put_together(LOSS, *translator())
    assert machine.whose["backward pass"] == "5.1"
    assert machine.notes[0].startswith("5.2 ")


def test_a_part_that_raises_later_is_replaced_while_it_runs(monkeypatch, capsys):
    left = iter(range(6))

    def tired(alpha, values):
        if next(left, None) is None:
            raise RuntimeError("no more")
        return alpha @ values
    planted(monkeypatch, e8_3=tired)
    machine = put_together(LOSS, *translator())
    assert machine.whose["attention, context"] == "8.3"
    assert_as_the_library(machine)
    assert machine.whose["attention, context"] is None
    assert capsys.readouterr().out == "8.3 the context: the library's, since yours raised RuntimeError: no more\n"


def test_the_learner_s_loop_writes_with_attention_and_leaves_its_step_as_it_was():
    keep("7.6")
    params, batches = translator()
    machine = put_together(LOSS, params, batches, WRITE)
    steps, loop = [], machine.functions["decoding"]
    machine.functions["decoding"] = lambda *args: steps.append(1) or loop(*args)
    with machine:
        got = write(params, TRANSLATOR, SAID, 6)
    assert (got, steps) == (write(params, TRANSLATOR, SAID, 6), [1])
    function, _ = kept.look("7.6")
    before = function.__globals__["lstm_step"]
    ADAPTERS["decoding"][1]["7.6"](function, *batches[0][:2], params, TRANSLATOR, hindi.BOS, hindi.EOS, 6)
    assert function.__globals__["lstm_step"] is before


@pytest.mark.parametrize(("kind", "attention"), [("lstm", None), ("gru", "additive")])
def test_the_learner_s_loop_fits_every_decoder(kind, attention):
    keep("7.6")
    other = Model(kind, attention=attention)
    rng, (_, batches) = np.random.default_rng(2), translator()
    params = init_seq2seq(other, *map(len, hindi.vocabularies()), 5, 8, rng)
    args = *batches[0][:2], params, other, hindi.BOS, hindi.EOS, 6
    tokens, alpha = ADAPTERS["decoding"][1]["7.6"](kept.look("7.6")[0], *args)
    wanted, wanted_alpha = greedy(*args)
    assert np.array_equal(tokens, wanted)
    assert alpha is wanted_alpha is None or np.allclose(alpha, wanted_alpha)


def test_a_loop_with_a_step_of_its_own_is_left_out_with_a_sentence(monkeypatch):
    planted(monkeypatch, e7_6=lambda h, c, params, bos, eos, most: None)
    machine = put_together(LOSS, *translator(), WRITE)
    assert machine.whose["decoding"] is None
    assert machine.notes == [f"7.6 {EXERCISES['7.6'].title}: the library's, since yours raised ValueError: it does not "
                             "call lstm_step, so attention has no place in it"]


def slowly(alpha, values):
    """The context, one number at a time and each a thousand times."""
    context = np.zeros((*alpha.shape[:2], values.shape[2]))
    for b, t in np.ndindex(alpha.shape[:2]):
        for _ in range(1000):
            context[b, t] = alpha[b, t] @ values[b]
    return context


def test_a_slow_part_is_named(monkeypatch):
    planted(monkeypatch, e8_3=slowly)
    machine = put_together(LOSS, *translator())
    assert machine.whose["attention, context"] == "8.3"
    assert machine.timing().splitlines()[-1].startswith("the slow part: attention, context, ")


def test_a_part_with_which_training_takes_too_long_stays_the_library_s(monkeypatch):
    keep("4.3")
    planted(monkeypatch, e8_3=slowly, e4_3=kept.look("4.3")[0])
    params, batches = translator()
    machine = put_together(LOSS, params, batches[:1] * 2000, seconds=1)
    assert machine.whose["attention, context"] is None
    assert machine.notes[-1].startswith("8.3 the context: the library's, since yours is too slow: the training would")


def test_a_kept_function_that_no_longer_passes_is_left_out_with_a_sentence():
    keep("8.3", "def attend(alpha, values):\n    return 2 * (alpha @ values)\n")
    machine = put_together(LOSS, *translator())
    assert machine.notes == ["8.3 the context: the library's function, since yours does not pass its check on its own; "
                             "check it again"]
    assert machine.whose["attention, context"] is None


def test_the_library_is_what_it_was_afterwards_even_after_an_error():
    def inside():
        return (recurrent.KINDS["lstm"], decoder.dot_attention_forward, decoder.dot_attention_backward,
                model.cross_entropy_forward, model.cross_entropy_backward, train.clip_grads)
    before = inside()
    machine = put_together(LOSS, *translator())
    assert inside() == before
    with machine:
        assert decoder.dot_attention_forward != attention.dot_attention_forward
        with pytest.raises(ZeroDivisionError), machine:
            raise ZeroDivisionError
        assert decoder.dot_attention_forward != attention.dot_attention_forward
    assert inside() == before


def test_weights_take_a_mask_of_their_own_for_each_target_word():
    rng = np.random.default_rng(0)
    scores, mask = rng.standard_normal((2, 3, 4)), rng.random((2, 3, 4)) < 0.7
    mask[..., 0] = True
    library, adapters = ADAPTERS["attention, weights"]
    mine = adapters["8.1"](EXERCISES["8.1"].reference, scores, mask)
    assert np.allclose(mine, library(scores, mask))


def test_a_network_without_attention_has_only_the_parts_that_it_uses():
    for id in USED:
        keep(id)
    rng = np.random.default_rng(1)
    params, tokens = init_network("lstm", 4, 6, 4, rng), rng.integers(4, size=(3, 5))
    batches = [(tokens, tokens)] * 3
    machine = put_together(token_loss, params, batches)
    assert machine.whose == {"cell": "4.3", "backward pass": "5.2", "loss": "7.3", "clipping": "3.1"}
    with machine:
        got, losses = train.train(token_loss, params, batches, progress=False)
    wanted, wanted_losses = train.train(token_loss, params, batches, progress=False)
    assert np.allclose(losses, wanted_losses, rtol=1e-9)
    for a, b in zip(leaves(got), leaves(wanted), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-7)


def test_a_function_can_be_made_to_run_on_the_learner_s_parts_with_any_look():
    keep("8.1")
    params, (batch, *_) = translator()
    pairs = hindi.sentences(np.random.default_rng(4), 5, 2)
    machine = put_together(LOSS, params, [batch])
    used = []
    yours = machine.functions["attention, weights"]
    machine.functions["attention, weights"] = lambda *args: used.append(1) or yours(*args)
    _, alpha = teacher_forced(params, TRANSLATOR, pairs)
    for mask in (None, only(alpha.argmax(axis=2), alpha), alpha < alpha.max(axis=2, keepdims=True)):
        wanted = teacher_forced(params, TRANSLATOR, pairs, mask)
        got = machine(teacher_forced)(params, TRANSLATOR, pairs, mask)
        for a, b in zip(got, wanted, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-9)
    assert len(used) == 3
