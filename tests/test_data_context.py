"""The context switch."""

import numpy as np
import pytest

from lstmcourse.data.context import SWITCH, context_switch
from lstmcourse.data.pizza import FILLER, FOODS, PEOPLE, WORDS


@pytest.fixture(params=[False, True], ids=["plain", "but is filler"])
def drawn(request, rng):
    return context_switch(rng, 300, 5, request.param) | {"but_is_filler": request.param}


def test_context_switch_asks_twice_after_orders(drawn):
    assert drawn["tokens"].shape == drawn["targets"].shape == drawn["mask"].shape == (300, 22)
    assert (drawn["mask"].sum(axis=1) == 2).all()
    assert (drawn["tokens"][drawn["mask"]] == WORDS.index("orders")).all()
    assert (drawn["targets"][~drawn["mask"]] == 0).all()


def test_context_switch_answers_are_the_two_foods_in_order(drawn):
    assert (drawn["targets"][drawn["mask"]].reshape(300, 2) == drawn["foods"]).all()


def test_context_switch_phrase_stands_where_it_says(drawn):
    for tokens, start, foods in zip(drawn["tokens"], drawn["starts"], drawn["foods"], strict=True):
        but, friend, name, likes, food = (WORDS[token] for token in tokens[start:start + len(SWITCH)])
        assert (but, friend, likes) == ("but", "friend", "likes")
        assert name in PEOPLE
        assert name != WORDS[tokens[0]]
        assert food == WORDS[foods[1]]


def test_context_switch_but_is_filler_only_where_asked_for(drawn):
    idle = [[WORDS[token] for token in tokens[3:start - 2]]
            for tokens, start in zip(drawn["tokens"], drawn["starts"], strict=True)]
    words = {word for part in idle for word in part}
    assert words == set(FILLER) | ({"but"} if drawn["but_is_filler"] else set())


def test_context_switch_food_tells_nothing_about_the_other(rng):
    foods = context_switch(rng, 6000, 0)["foods"]
    assert np.mean(foods[:, 0] == foods[:, 1]) == pytest.approx(1 / len(FOODS), abs=0.02)


def test_context_switch_filler_takes_every_length(rng):
    starts = context_switch(rng, 400, 3)["starts"]
    assert set((starts - 5).tolist()) == {0, 1, 2, 3}
