"""Copy memory."""

import numpy as np
import pytest

from lstmcourse.data.copying import copy_memory


@pytest.mark.parametrize("delay", [1, 2, 7])
def test_copy_memory_asks_for_what_was_read_after_the_delay(delay, rng):
    tokens, targets, mask = copy_memory(rng, 4, 3, delay, symbols=5)
    assert tokens.shape == targets.shape == mask.shape == (4, 2 * 3 + delay - 1)
    assert (mask == (np.arange(tokens.shape[1]) >= 3 + delay - 1)).all()
    assert (targets[mask].reshape(4, 3) == tokens[:, :3]).all()


def test_copy_memory_question_mark_is_the_step_of_the_first_answer(rng):
    tokens, _, mask = copy_memory(rng, 4, 3, 6, symbols=5)
    assert (mask.argmax(axis=1) == (tokens == 6).argmax(axis=1)).all()
    assert (tokens[:, 3:] >= 5).all()
    assert ((tokens == 6).sum(axis=1) == 1).all()


def test_copy_memory_rejects_a_delay_of_zero(rng):
    with pytest.raises(ValueError, match="delay is 0; wanted at least 1"):
        copy_memory(rng, 2, 3, 0)


def test_copy_memory_draws_each_symbol_by_itself(rng):
    tokens, *_ = copy_memory(rng, 50, 3, 2, symbols=5)
    assert len({tuple(row) for row in tokens[:, :3]}) > 30
