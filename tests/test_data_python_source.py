"""The text of lesson 10: the listed bytes and no others, three sets without a leak, and what stands where in it."""

import hashlib

import numpy as np
import pytest

from lstmcourse.data import python_source as st

TEXT = "x = f(a[1], {'b': 'it(s'})  # (\ndef g():\n    '''doc (\n      more'''\n    return r'(' + f'{x(1)} b'\n"


@pytest.fixture
def package(tmp_path):
    """A small package of 60 files; folder and list."""
    lines = []
    for k in range(60):
        (tmp_path / f"m{k}.py").write_bytes(b"a = %d\n" % k)
        lines.append(f"{hashlib.sha256(b'a = %d' % k + bytes([10])).hexdigest()}  m{k}.py")
    listed = tmp_path / "listed.sha256"
    listed.write_text("\n".join(lines) + "\n")
    return tmp_path, listed


def test_python_source_gives_every_file_to_one_set_only(package):
    sets = st.python_source(*package)
    names = [name for texts in sets.values() for name in texts]
    assert sorted(names) == sorted(f"m{k}.py" for k in range(60))
    assert {name: st.set_of(name) for name in names} == {name: which for which, texts in sets.items() for name in texts}


def test_python_source_names_a_file_with_another_byte(package):
    (package[0] / "m7.py").write_bytes(b"a = 8\n")
    with pytest.raises(ValueError, match=r"m7\.py of sympy is another file; wanted the one whose SHA-256 is"):
        st.python_source(*package)


def test_python_source_names_a_file_that_is_missing(package):
    (package[0] / "m7.py").unlink()
    with pytest.raises(ValueError, match=r"m7\.py of sympy is missing"):
        st.python_source(*package)


def test_python_source_is_enough_and_no_text_is_there_twice():
    sets = st.python_source()
    size = {which: sum(map(len, texts.values())) for which, texts in sets.items()}
    assert size["training"] > 2_500_000
    assert min(size["validation"], size["test"]) > 200_000
    texts = [text for texts in sets.values() for text in texts.values()]
    assert len(set(texts)) == len(texts)
    assert set("".join(texts)) - set(st.ALPHABET) == set()


def test_labels_of_the_test_text_are_the_same_in_every_version_of_python():
    _, told = st.labelled(st.python_source()["test"].values(), 200_000)
    assert hashlib.sha256(told.astype("<i8").tobytes()).hexdigest() == (
        "8e405ae62666b735af3dd98aed5b3a210b3a2735eec54e24705079b29b22816b")


def test_set_of_depends_on_the_name_alone_and_keeps_the_shares():
    sets = [st.set_of(f"folder/name{k}.py") for k in range(4000)]
    assert sets == [st.set_of(f"folder/name{k}.py") for k in range(4000)]
    assert [abs(sets.count(which) / 4000 - tenths / 10) < 0.03 for which, tenths in st.SETS.items()] == [True] * 3
    assert st.set_of("core/add.py") == "training"           # on every machine


def test_decode_undoes_encode():
    assert st.decode(st.encode(TEXT)) == TEXT


def test_encode_names_the_unknown_character():
    with pytest.raises(ValueError, match="'é'"):
        st.encode("café")


def test_clean_leaves_only_the_alphabet():
    assert st.clean("\tcafé\f\r\n") == "        caf_\n"


def where(text, label):
    """One digit for each character."""
    return "".join(map(str, st.labels(text)[label]))


def test_labels_count_open_brackets_but_not_those_in_strings_and_comments():
    assert where("f(a[1], '(') # (\n", "brackets") == "01122111111000000"


def test_labels_know_the_inside_of_a_string():
    assert where("a = 'b' + \"it's\"\n", "string") == "00001100001111100"
    assert where("f = r'b'\n", "string") == "000001100"


def test_labels_take_an_f_string_as_one_string():
    text = "f'{g(1)} {h(\"x\")}' + (1)\n"
    inside = text.index("' +")
    assert where(text, "string") == "0" + "1" * (inside - 1) + "0" * (len(text) - inside)
    assert where(text, "brackets") == "0" * (inside + 4) + "11" + "00"


def test_labels_read_the_tokens_that_python_3_12_makes_of_an_f_string(monkeypatch):
    text = "f'{g(1)}a' + (1)\n"
    tokens = [("FSTRING_START", "f'", 0), ("OP", "{", 2), ("NAME", "g", 3), ("OP", "(", 4), ("NUMBER", "1", 5),
              ("OP", ")", 6), ("OP", "}", 7), ("FSTRING_MIDDLE", "a", 8), ("FSTRING_END", "'", 9), ("OP", "+", 11),
              ("OP", "(", 13), ("NUMBER", "1", 14), ("OP", ")", 15), ("NEWLINE", "\n", 16)]
    made = [(name, token, (1, at), (1, at + len(token)), text) for name, token, at in tokens]
    wanted = where(text, "string"), where(text, "brackets")
    monkeypatch.setattr(st.tokenize, "generate_tokens", lambda readline: made)
    monkeypatch.setattr(st.tokenize, "tok_name", {name: name for name, _, _ in tokens})
    assert (where(text, "string"), where(text, "brackets")) == wanted == ("01111111100000000", "00000000000001100")


def test_labels_know_a_string_of_several_lines():
    label = st.labels(TEXT)["string"]
    first, last = TEXT.index("'''"), TEXT.index("'''\n") + 2
    assert label[first:last].all()
    assert label[first - 1] == label[last] == 0


def test_labels_count_indentation_and_position_as_far_as_read():
    assert where("if a:\n    b c\n\nd", "indentation") == "0000001234444000"
    assert where("if a:\n    b c\n\nd", "position") == "1234501234567001"


def test_labels_reject_what_is_not_python():
    with pytest.raises((SyntaxError, st.tokenize.TokenError)):
        st.labels("f((\n")


def test_labelled_gives_a_label_for_every_token():
    tokens, told = st.labelled([TEXT, TEXT, TEXT], len(TEXT) + 10)
    assert told.shape == (len(TEXT) + 10, 4)
    assert st.decode(tokens) == (TEXT + TEXT)[:len(tokens)]
    for k, name in enumerate(st.LABELS):
        assert np.array_equal(told[:len(TEXT), k], st.labels(TEXT)[name])
        assert np.array_equal(told[len(TEXT):, k], st.labels(TEXT)[name][:10])


def test_alphabet_is_the_line_end_and_printable_ascii():
    assert "\n" + "".join(chr(k) for k in range(128) if chr(k).isprintable()) == st.ALPHABET


def test_labels_end_an_f_string_in_three_quotes_at_its_last_quote(monkeypatch):
    text = "f'''a''' + 1\n"
    tokens = [("FSTRING_START", "f'''", 0), ("FSTRING_MIDDLE", "a", 4), ("FSTRING_END", "'''", 5), ("OP", "+", 9),
              ("NUMBER", "1", 11), ("NEWLINE", "\n", 12)]
    made = [(name, token, (1, at), (1, at + len(token)), text) for name, token, at in tokens]
    wanted = where(text, "string")
    monkeypatch.setattr(st.tokenize, "generate_tokens", lambda readline: made)
    monkeypatch.setattr(st.tokenize, "tok_name", {name: name for name, _, _ in tokens})
    assert where(text, "string") == wanted == "0111111000000"
