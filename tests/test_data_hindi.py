import hashlib
import os
import subprocess
import sys

import numpy as np
import pytest

from lstmcourse.data import hindi

EXAMPLE = "mai ghar jaa raha hu"


def test_grammar_has_ten_thousand_distinct_clauses():
    assert len({pair.hindi for pair in hindi.all_clauses()}) >= 10_000
    assert len({pair.english for pair in hindi.all_clauses()}) >= 10_000


def test_each_hindi_clause_has_one_english():
    assert len({pair.hindi for pair in hindi.all_clauses()}) == len(hindi.all_clauses())


def test_running_example_is_made_and_held_out():
    pair = hindi.pair_of(EXAMPLE)
    assert pair.english == "i am going home"
    assert pair in hindi.clauses_of(held_out=True)
    with pytest.raises(ValueError, match="hindi is 'ghar mai'"):
        hindi.pair_of("ghar mai")


def test_held_out_sentences_are_unseen_in_both_languages():
    seen, unseen = hindi.clauses_of(held_out=False), hindi.clauses_of(held_out=True)
    assert 0.05 < len(unseen) / len(hindi.all_clauses()) < 0.15
    for side in ("hindi", "english"):
        assert not {getattr(p, side) for p in seen} & {getattr(p, side) for p in unseen}


def test_held_out_words_all_occur_in_training():
    for side in ("hindi", "english"):
        seen, unseen = ({w for p in hindi.clauses_of(part) for w in getattr(p, side).split()} for part in (False, True))
        assert unseen <= seen


def test_held_out_is_the_same_in_another_python_process():
    code = ("from lstmcourse.data import hindi; import hashlib;"
            "print(hashlib.sha256(repr([p.hindi for p in hindi.clauses_of(True)]).encode()).hexdigest())")
    digests = {subprocess.run([sys.executable, "-c", code], env=os.environ | {"PYTHONHASHSEED": seed},
                              capture_output=True, text=True, check=True).stdout for seed in ("1", "2")}
    assert len(digests) == 1


@pytest.mark.parametrize(("subject", "endings"), [
    ("mai", {"raha hu", "rahi hu"}), ("tum", {"rahe ho", "rahi ho"}), ("vah", {"raha hai", "rahi hai"}),
    ("ve", {"rahe hain", "rahi hain"}), ("ham", {"rahe hain"}), ("ladki", {"rahi hai"}), ("ladke", {"rahe hain"}),
    ("mera", {"raha hai"}), ("meri", {"rahi hai"})])
def test_verb_agrees_with_its_subject(subject, endings):
    found = {" ".join(p.hindi.split()[-2:]) for p in hindi.all_clauses() if p.hindi.split()[0] == subject}
    assert found == endings


def test_he_and_she_differ_only_in_raha_and_rahi():
    assert hindi.pair_of("vah abhi film dekh raha hai").english == "he is watching a film now"
    assert hindi.pair_of("vah abhi film dekh rahi hai").english == "she is watching a film now"


def test_adjectives_agree_with_their_noun():
    phrases = {tuple(p.hindi.split()[-5:-3]) for p in hindi.all_clauses()}
    assert {("nayi", "kitaab"), ("naya", "gaana"), ("naye", "kapde")} <= phrases
    assert not {("naya", "kitaab"), ("nayi", "gaana"), ("naya", "kapde")} & phrases


def test_an_stands_before_a_vowel_and_nowhere_else():
    for pair in hindi.all_clauses():
        words = pair.english.split()
        for article, following in zip(words, words[1:], strict=False):
            if article in ("a", "an"):
                assert (article == "an") == (following[0] in "aeiou")


def links(text):
    """"home-ghar going-raha?" as sets of word pairs: sure, possible."""
    sure = {tuple(link.split("-")) for link in text.split() if not link.endswith("?")}
    return sure, sure | {tuple(link.rstrip("?").split("-")) for link in text.split()}


@pytest.mark.parametrize(("clause", "gold"), [
    (EXAMPLE, "i-mai am-hu going-jaa going-raha? home-ghar"),
    ("vah kal dilli laut rahi hai",
     "she-vah she-rahi? is-hai returning-laut returning-rahi? to-dilli? delhi-dilli tomorrow-kal"),
    ("ladke dheere dheere puraani gaadi dho rahe hain",
     "the-ladke? boys-ladke are-hain washing-dho washing-rahe? an-puraani? an-gaadi? old-puraani car-gaadi "
     "slowly-dheere"),
    ("mera bhai radio sun raha hai",
     "my-mera brother-bhai is-hai listening-sun listening-raha? to-sun? the-radio? radio-radio"),
])
def test_gold_alignment_is_what_the_rules_say(clause, gold):
    pair = hindi.pair_of(clause)
    source, target = pair.hindi.split(), pair.english.split()
    for found, wanted in zip((pair.sure, pair.possible), links(gold), strict=True):
        assert {(target[t], source[s]) for t, s in found} == wanted


def test_gold_links_every_word_except_raha_surely():
    for pair in [*hindi.all_clauses(), *hindi.sentences(np.random.default_rng(0), 50, clauses=3)]:
        source, target = pair.hindi.split(), pair.english.split()
        assert pair.sure <= pair.possible
        assert {t for t, _ in pair.possible} == set(range(len(target)))
        assert {s for _, s in pair.sure} == {s for s, word in enumerate(source) if word not in ("raha", "rahi", "rahe")}


def test_gold_is_what_was_committed_before_any_aligner_ran():
    text = "\n".join(f"{p.hindi}|{p.english}|{sorted(p.sure)}|{sorted(p.possible)}" for p in hindi.all_clauses())
    assert hashlib.sha256(text.encode()).hexdigest()[:16] == "9568e794bcc9921c"


def test_sentences_follow_the_rng_and_the_part():
    one, again = (hindi.sentences(np.random.default_rng(3), 20, clauses=2, held_out=True) for _ in range(2))
    assert one == again
    unseen = {pair.hindi for pair in hindi.clauses_of(held_out=True)}
    for pair in one:
        first, second = pair.hindi.replace(" lekin ", " aur ").split(" aur ")
        assert {first, second} <= unseen
        assert len(pair.subjects) == 2


def test_joined_clauses_keep_their_gold():
    pair = hindi.sentences(np.random.default_rng(5), 1, clauses=3)[0]
    source, target = pair.hindi.split(), pair.english.split()
    for t, s in pair.sure:
        assert (target[t] in ("and", "but")) == (source[s] in ("aur", "lekin"))
    assert sum(word in ("and", "but") for word in target) == 2


def test_batch_pads_both_sides_and_counts_the_source():
    pairs = [hindi.pair_of(EXAMPLE), hindi.pair_of("mera bhai radio sun raha hai")]
    source, lengths, inputs, target, mask = hindi.batch(pairs)
    assert inputs[0].tolist()[:6] == [hindi.BOS, *target[0, :4], hindi.PAD]
    assert mask.sum(axis=1).tolist() == [5, 8]
    source_words, target_words = hindi.vocabularies()
    assert source.shape == (2, 6)
    assert lengths.tolist() == [5, 6]
    assert source[0, 5] == hindi.PAD
    assert target[0].tolist() == [*target_words.encode("i am going home"), hindi.EOS, *[hindi.PAD] * 3]
    assert source_words.decode(source[0, :5]) == EXAMPLE
    assert target_words.decode(target[0]) == "i am going home"
    sure, possible = hindi.gold(pairs)
    assert sure.shape == possible.shape == (2, target.shape[1], source.shape[1])
    assert {tuple(link) for link in np.argwhere(possible[0])} == set(pairs[0].possible)


def test_batches_hold_each_pair_once_an_epoch():
    pairs = list(hindi.clauses_of(held_out=True)[::40])
    found = hindi.batches(pairs, 6, np.random.default_rng(0), epochs=2)
    rows = [tuple(row[:n]) for source, lengths, *_ in found for row, n in zip(source, lengths, strict=True)]
    assert len(rows) == 2 * (len(pairs) // 6) * 6
    assert max(rows.count(row) for row in rows) == 2


def test_unknown_word_is_a_clear_error():
    with pytest.raises(ValueError, match="unknown word 'kutta'; the Hindi words known here are: aa aaj"):
        hindi.vocabularies()[0].encode("mai kutta dekh raha hu")


def test_impossible_numbers_are_clear_errors():
    with pytest.raises(ValueError, match="clauses is 13; wanted 1 … 12"):
        hindi.sentences(np.random.default_rng(0), 1, clauses=13)
    with pytest.raises(ValueError, match="B is 5; wanted 1 … 2, the number of pairs"):
        hindi.batches(list(hindi.all_clauses()[:2]), 5, np.random.default_rng(0))


def test_gold_of_a_pair_without_links_is_all_false():
    sure, possible = hindi.gold([hindi.Pair("mai", "i", frozenset(), frozenset([(0, 0)]), frozenset())])
    assert (sure.any(), possible.sum()) == (False, 1)
