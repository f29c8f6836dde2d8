"""Romanised Hindi and its English, from one grammar that writes both at once, with gold alignments.

    mai ghar jaa raha hu                      ->  i am going home
    vah abhi nayi kitaab padh rahi hai        ->  she is reading a new book now

Hindi puts the verb last (subject, adverb, object, verb), English in the middle (subject, verb,
object, adverb). raha, rahi, rahe and the last word agree with the subject, and "vah" is "he" or
"she" only by raha or rahi, at the other end of the clause. Each Hindi clause has one English clause.

The gold alignment says which Hindi words an English word stands for. "Sure" links are those on
which two annotators would agree, "possible" ones those that a careful annotator may also draw
(Och and Ney 2003); every sure link is possible too. It was written from the grammar, before any
model or aligner had run, by these rules:

    sure       a word and its translation: i - mai, home - ghar, going - jaa, am - hu, my - mera,
               new - nayi, and - aur; slowly - dheere dheere, with both words
    possible   -ing is what raha adds to the bare jaa: going - raha
               he, she: the gender is said by raha or rahi alone: he - raha
               a, an, the, to have no Hindi word: they belong to the whole of their phrase:
               "to the market" - bazaar, "a new book" - nayi and kitaab, "listening to" - sun
    none       everything else: am - raha is wrong, and so is i - hu; raha has no sure link at all

Held out is a clause whose English hashes to HELD_OUT: never chance, the same on every machine. All
Hindi clauses with that English are held out together, so a model has seen neither side of any.
"""

import hashlib
from functools import cache
from typing import NamedTuple

import numpy as np

SUBJECTS = """mai=i raha hu, mai=i rahi hu, tum=you rahe ho, tum=you rahi ho, aap=you rahe hain, aap=you rahi hain,
vah=he raha hai, vah=she rahi hai, ham=we rahe hain, ve=they rahe hain, ve=they rahi hain,
nishchal=nishchal raha hai, rahul=rahul raha hai, priya=priya rahi hai, meera=meera rahi hai,
ladka=the boy raha hai, ladki=the girl rahi hai, ladke=the boys rahe hain, ladkiyaan=the girls rahi hain,
mera bhai=my brother raha hai, meri behen=my sister rahi hai,
mera dost=my friend raha hai, meri dost=my friend rahi hai"""
BE = {"hu": "am", "hai": "is", "ho": "are", "hain": "are"}
PLACES = """ghar=home, school=to school, dilli=to delhi, bazaar=to the market, daftar=to the office,
gaon=to the village, shahar=to the city, mandir=to the temple, station=to the station, park=to the park,
dukaan=to the shop, aspataal=to the hospital"""
MOTION = "jaa=going, aa=coming, laut=returning"
ACTIONS = {
    "khaa=eating": "seb aam roti chaaval pizza burger khaana", "pi=drinking": "chai paani doodh lassi",
    "padh=reading": "kitaab akhbaar chitthi kahaani kavita", "likh=writing": "chitthi kahaani kavita",
    "dekh=watching": "film match", "sun=listening to": "gaana kahaani kavita radio", "gaa=singing": "gaana",
    "khareed=buying": "seb aam doodh kitaab akhbaar kapde gaadi",
    "bech=selling": "seb aam doodh kitaab akhbaar kapde gaadi",
    "bana=making": "chai lassi roti pizza khaana", "pakaa=cooking": "chaaval khaana",
    "dho=washing": "kapde bartan gaadi seb", "khel=playing": "cricket football",
    "seekh=learning": "hindi angrezi cricket"}
OBJECTS = {   # English, then the adjectives that go with it, in the form that agrees
    "seb": "an apple, laal meetha", "aam": "a mango, meetha", "roti": "bread, garam", "chaaval": "rice, garam",
    "pizza": "pizza, garam", "burger": "a burger, garam", "khaana": "food, garam", "chai": "tea, garam thandi",
    "paani": "water, garam thanda", "doodh": "milk, garam thanda", "lassi": "lassi, thandi meethi",
    "kitaab": "a book, nayi puraani", "akhbaar": "a newspaper, puraana", "chitthi": "a letter, lambi",
    "kahaani": "a story, nayi lambi", "kavita": "a poem, nayi lambi", "film": "a film, nayi puraani lambi",
    "match": "a match, lamba", "gaana": "a song, naya puraana lamba", "radio": "the radio,",
    "kapde": "clothes, naye puraane", "bartan": "dishes, puraane", "gaadi": "a car, nayi puraani laal",
    "cricket": "cricket,", "football": "football,", "hindi": "hindi,", "angrezi": "english,"}
ADJECTIVES = {"laal": "red", "garam": "hot", "meetha": "sweet", "meethi": "sweet", "thanda": "cold", "thandi": "cold",
              "naya": "new", "nayi": "new", "naye": "new", "puraana": "old", "puraani": "old", "puraane": "old",
              "lamba": "long", "lambi": "long"}
ADVERBS = "aaj=today, abhi=now, chupchaap=quietly, dheere dheere=slowly"
ADVERBS_OF_MOTION = ADVERBS + ", kal=tomorrow"        # kal is also "yesterday", but not with "hai"
CONJUNCTIONS = "aur=and, lekin=but"
NO_HINDI_WORD = {"a", "an", "the", "to"}
PAD, BOS, EOS = 0, 1, 2                               # the first three tokens of both vocabularies


class Pair(NamedTuple):
    hindi: str
    english: str
    sure: frozenset        # of (English position, Hindi position), both from 0
    possible: frozenset    # the same, the sure ones among them
    subjects: frozenset    # in English: no two clauses of a sentence share one


def join_phrases(parts, english_order):
    """One long phrase from parts in Hindi order; each, and the result, is (hindi, english, sure, possible).

    english_order  the positions of the parts as English wants them
    """
    hindi, english, sure, possible = [], [], set(), set()
    source_start, target_start = {}, {}
    for k, part in enumerate(parts):
        source_start[k] = len(hindi)
        hindi += part[0].split()
    for k in english_order:
        target_start[k] = len(english)
        english += parts[k][1].split()
    for k, part in enumerate(parts):
        for links, collected in zip(part[2:], (sure, possible), strict=True):
            collected.update((target_start[k] + t, source_start[k] + s) for t, s in links)
    return " ".join(hindi), " ".join(english), sure, possible


def phrase(text):
    """(hindi, english, sure, possible) of "hindi words=english words", by the rules at the top.

    Words that have a translation stand in the same order in both languages.
    """
    hindi, english = text.strip().split("=")
    n, words = len(hindi.split()), english.split()
    translated = [t for t, word in enumerate(words) if word not in NO_HINDI_WORD]
    sure = {(translated[min(s, len(translated) - 1)], s) for s in range(n)}
    return hindi, english, sure, sure | {(t, s) for t in range(len(words)) if t not in translated for s in range(n)}


def phrases(table):
    """The phrases of a table above: "hindi=english, hindi=english"."""
    return [phrase(text) for text in table.split(",")]


def objects(noun):
    """The phrases of a noun, alone and with each of its adjectives: kitaab, nayi kitaab, puraani kitaab."""
    english, adjectives = OBJECTS[noun].split(",")
    *article, name = english.split()
    found = [phrase(f"{noun}={english}")]
    for adjective in adjectives.split():
        words = [ADJECTIVES[adjective], name]
        if article:
            words.insert(0, "an" if words[0][0] in "aeiou" else "a")
        found.append(phrase(f"{adjective} {noun}={' '.join(words)}"))
    return found


def clause(subject, adverb, thing, verb):
    """One clause as a Pair, from a row of SUBJECTS and three phrases (adverb may be None)."""
    subject, raha, be = subject.strip().rsplit(" ", 2)
    subject = phrase(subject)
    adverb = adverb or ("", "", set(), set())
    hindi, english, sure, possible = join_phrases(
        [subject, adverb, thing, verb, (raha, "", set(), set()), phrase(f"{be}={BE[be]}")], (0, 5, 3, 2, 1))
    at_raha = len(hindi.split()) - 2
    verb_at = len(subject[1].split()) + 1
    possible.add((verb_at, at_raha))                                    # the -ing
    if subject[1] in ("he", "she"):
        possible.add((0, at_raha))                                      # the gender
    return Pair(hindi, english, frozenset(sure), frozenset(possible), frozenset([subject[1]]))


@cache
def all_clauses():
    """Every clause of the grammar, a tuple of Pairs, always in the same order."""
    ways = [(adverb, place, verb) for verb in phrases(MOTION) for place in phrases(PLACES)
            for adverb in [None, *phrases(ADVERBS_OF_MOTION)]]
    ways += [(adverb, thing, phrase(verb)) for verb, nouns in ACTIONS.items() for noun in nouns.split()
             for thing in objects(noun) for adverb in [None, *phrases(ADVERBS)]]
    return tuple(clause(subject, *way) for subject in SUBJECTS.split(",") for way in ways)


def hash_digit(english):
    """0 … 9, by SHA-256 of the text: Python's own hash() differs from run to run."""
    return hashlib.sha256(english.encode()).digest()[0] % 10


HELD_OUT = hash_digit("i am going home")


@cache
def clauses_of(held_out):
    """The clauses that are held out (True), or those to train on (False)."""
    return tuple(pair for pair in all_clauses() if (hash_digit(pair.english) == HELD_OUT) == held_out)


def pair_of(hindi):
    """The Pair of one clause. Raises ValueError if the grammar does not make it."""
    for pair in all_clauses():
        if pair.hindi == hindi:
            return pair
    raise ValueError(f"hindi is {hindi!r}; wanted a clause of the grammar, such as {all_clauses()[0].hindi!r}")


def sentences(rng, n, clauses=1, held_out=False):
    """n random sentences, a list of Pairs.

    clauses   how many clauses each has, 1 … 12, joined by aur or lekin, all with different subjects
    held_out  every clause is from the held-out part; False: none is
    """
    if not 1 <= clauses <= 12:
        raise ValueError(f"clauses is {clauses}; wanted 1 … 12: each clause of a sentence needs another subject")
    pool, conjunctions, found = clauses_of(held_out), phrases(CONJUNCTIONS), []
    while len(found) < n:
        parts = [pool[k] for k in rng.integers(len(pool), size=clauses)]
        subjects = frozenset().union(*(part.subjects for part in parts))
        joints = rng.integers(len(conjunctions), size=clauses - 1)
        if len(subjects) == clauses:
            row = [part[:4] for part in parts]
            for k, joint in enumerate(joints):
                row.insert(2 * k + 1, conjunctions[joint])
            hindi, english, sure, possible = join_phrases(row, range(len(row)))
            found.append(Pair(hindi, english, frozenset(sure), frozenset(possible), subjects))
    return found


class Vocabulary:
    """Words and their tokens; 0, 1 and 2 are <pad>, <bos> and <eos>."""

    def __init__(self, name, words):
        self.name, self.words = name, ["<pad>", "<bos>", "<eos>", *sorted(words)]
        self.tokens = {word: token for token, word in enumerate(self.words)}

    def __len__(self):
        return len(self.words)

    def encode(self, sentence):
        """The tokens of a sentence, a list of integers. Raises ValueError for an unknown word."""
        unknown = [word for word in sentence.split() if word not in self.tokens]
        if unknown:
            raise ValueError(f"sentence has the unknown word {unknown[0]!r}; the {self.name} words known here are: "
                             + " ".join(self.words[3:]))
        return [self.tokens[word] for word in sentence.split()]

    def decode(self, tokens):
        """The words of tokens up to the first <eos>, as one string."""
        tokens = list(tokens)
        return " ".join(self.words[token] for token in tokens[:tokens.index(EOS) if EOS in tokens else None])


@cache
def vocabularies():
    """The Hindi and the English Vocabulary."""
    texts = [(hindi, english) for hindi, english, *_ in (*all_clauses(), *phrases(CONJUNCTIONS))]
    hindi, english = (set(" ".join(side).split()) for side in zip(*texts, strict=True))
    return Vocabulary("Hindi", hindi), Vocabulary("English", english)


def batch(pairs):
    """Sentences as arrays, the short ones padded at the end with <pad>.

    Returns source (B, T_src), lengths (B,) of its rows, inputs (B, T_tgt), which start with <bos>, targets
    (B, T_tgt), which end with <eos>, and mask (B, T_tgt), True where a target is real.
    """
    hindi, english = vocabularies()
    source, translation = [hindi.encode(p.hindi) for p in pairs], [english.encode(p.english) for p in pairs]
    targets = pad([[*row, EOS] for row in translation])
    lengths = np.array([len(row) for row in source])
    return pad(source), lengths, pad([[BOS, *row] for row in translation]), targets, targets != PAD


def pad(rows):
    """Lists of tokens as one array (B, longest), filled up with <pad>."""
    tokens = np.full((len(rows), max(map(len, rows))), PAD)
    for filled, row in zip(tokens, rows, strict=True):
        filled[:len(row)] = row
    return tokens


def batches(pairs, B, rng, epochs=1):
    """Shuffled batches of B pairs, each as `batch` makes it: a list, for `train`.

    A batch holds sentences of like length (less padding, less work); a rest of fewer than B is left out.
    """
    if not 1 <= B <= len(pairs):
        raise ValueError(f"B is {B}; wanted 1 … {len(pairs)}, the number of pairs")
    found = []
    for _ in range(epochs):
        order = rng.permutation(len(pairs))[:len(pairs) // B * B]
        by_length = sorted(order, key=lambda k: pairs[k].hindi.count(" "))
        for rows in rng.permutation(np.reshape(by_length, (-1, B))):
            found.append(batch([pairs[k] for k in rows]))
    return found


def gold(pairs):
    """The gold links of a batch: sure and possible, each (B, T_tgt, T_src) of True and False.

    T_tgt counts <eos>, as in `batch`; <eos> and padding have no links.
    """
    shape = (len(pairs), max(len(p.english.split()) for p in pairs) + 1, max(len(p.hindi.split()) for p in pairs))
    sure, possible = np.zeros(shape, bool), np.zeros(shape, bool)
    for b, pair in enumerate(pairs):
        for links, filled in ((pair.sure, sure), (pair.possible, possible)):
            for target, source in links:
                filled[b, target, source] = True
    return sure, possible
