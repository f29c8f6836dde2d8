"""Live figures: the data they carry, what they show where nothing is live, and their JavaScript (where node is)."""

import base64
import itertools
import json
import pathlib
import re
import shutil
import subprocess
from types import SimpleNamespace

import numpy as np
import pytest

from lstmcourse import widgets
from lstmcourse.data.pizza import WORDS, encode
from lstmcourse.gru import gru_forward
from lstmcourse.lab.interventions import run_clamped
from lstmcourse.lab.models import init_network, network_forward
from lstmcourse.layers import sigmoid
from lstmcourse.lstm import lstm_forward
from lstmcourse.recurrent import KINDS
from lstmcourse.rnn import rnn_forward
from lstmcourse.train import init_recurrent
from lstmcourse.widgets import attention_explorer, gate_explorer, gradient_explorer
from lstmcourse.widgets.by_hand import gru_by_hand, lstm_by_hand, rnn_by_hand

ROOT = pathlib.Path(__file__).parent.parent
NODE = shutil.which("node")
SENTENCE = "nishchal likes pizza but his friend likes burger so friend orders"
one_hot = np.eye(len(WORDS))


def network(kind, rng, T=5, D=4, H=3):
    """A random sentence x (T, D), and params with large weights and different biases."""
    params = init_recurrent(kind, D, H, rng)
    return rng.standard_normal((T, D)), {name: 2 * rng.standard_normal(value.shape) for name, value in params.items()}


# run_clamped: the library's cells, with clamped gates

@pytest.mark.parametrize("kind", ["rnn", "gru", "lstm"])
def test_run_clamped_is_what_the_library_computes(kind, rng):
    x, params = network(kind, rng)
    zeros = np.zeros((1, 3))
    seen = run_clamped(x, params)
    if kind == "lstm":
        h, c, cache = lstm_forward(x[None], zeros, zeros, params)
        assert np.allclose(seen["c"], c[0], atol=1e-13)
        for gate in "ifgo":
            np.testing.assert_allclose(seen[gate], getattr(cache, gate)[0], atol=1e-13, err_msg=gate)
    else:
        h, _ = {"rnn": rnn_forward, "gru": gru_forward}[kind](x[None], zeros, params)
    assert np.allclose(seen["h"], h[0], atol=1e-13)


@pytest.mark.parametrize(("kind", "part"), [(name, part) for name, kind in KINDS.items() for part in kind.gates])
def test_run_clamped_holds_a_part_and_all_later_words_see_it(kind, part, rng):
    x, params = network(kind, rng)
    free, held = run_clamped(x, params), run_clamped(x, params, {(2, part, 1): 0.9})
    assert held[part][2, 1] == 0.9
    assert np.array_equal(held["h"][:2], free["h"][:2])
    assert not np.allclose(held["h"][3], free["h"][3])
    others = np.delete(np.arange(3), 1)
    assert np.array_equal(held["h"][2, others], free["h"][2, others])


def test_run_clamped_holding_what_is_there_anyway_changes_nothing(rng):
    x, params = network("gru", rng)
    free = run_clamped(x, params)
    held = run_clamped(
        x, params, {(t, gate, j): free[gate][t, j] for t in range(5) for gate in "rzn" for j in range(3)})
    assert np.allclose(held["h"], free["h"], atol=1e-14)


@pytest.mark.parametrize("held", [(5, "f", 0), (0, "z", 0), (0, "f", 3), (-1, "f", 0)])
def test_run_clamped_names_a_gate_that_does_not_exist(held, rng):
    x, params = network("lstm", rng)
    with pytest.raises(ValueError, match="clamped has .* wanted"):
        run_clamped(x, params, {held: 1.0})


# The networks written by hand

def test_lstm_by_hand_is_the_one_of_lesson_04():
    cells = json.loads((ROOT / "notebooks" / "04_lstm.ipynb").read_text(encoding="utf-8"))["cells"]
    by_id = {cell["id"]: "".join(cell["source"]) for cell in cells}
    lesson = {"np": np, "WORDS": WORDS, "sigmoid": sigmoid}
    for cell in ("04-21", "04-23"):                        # 'who', then the foods
        exec(by_id[cell], lesson)
    params, units = lstm_by_hand()
    assert params["W_ih"].tolist() == lesson["W_ih"].reshape(12, -1).tolist()
    assert params["W_hh"].tolist() == lesson["W_hh"].reshape(12, 3).tolist()
    assert params["b_ih"].tolist() == lesson["b"].reshape(12).tolist()
    assert len(units) == lesson["H"]


def test_gru_by_hand_keeps_both_foods_apart():
    params, places = gru_by_hand()
    for his, friends in itertools.product(("pizza", "burger"), repeat=2):
        h = run_clamped(one_hot[encode(f"nishchal likes {his} but his friend likes {friends}")], params)["h"][-1]
        told = dict(zip(places, h.round(1), strict=True))
        assert told == {"who": -1, "nishchal's food": 1 if his == "pizza" else -1,
                        "friend's food": 1 if friends == "pizza" else -1}


def test_rnn_by_hand_holds_the_last_person_and_the_last_food():
    params, places = rnn_by_hand()
    x = one_hot[encode("nishchal likes pizza but his friend likes burger today again often really")]
    h = run_clamped(x, params)["h"]
    assert dict(zip(places, h[-1].round(1), strict=True)) == {"who": -1, "food": -1}
    assert h[4].round(1).tolist() == [1, 1]


# The gate explorer

@pytest.fixture
def gates():
    return gate_explorer(SENTENCE, GRU=gru_by_hand(), RNN=rnn_by_hand())


def test_gate_explorer_sends_the_words_and_every_network(gates):
    state = gates.get_state()
    assert state["words"] == SENTENCE.split()
    assert [(net["name"], net["kind"]) for net in state["networks"]] == [("GRU", "gru"), ("RNN", "rnn")]
    json.dumps(state["networks"], allow_nan=False)


def test_gate_explorer_holds_what_run_clamped_returns(gates):
    assert np.array_equal(gates.runs["RNN"]["h"], run_clamped(one_hot[encode(SENTENCE)], rnn_by_hand()[0])["h"])


def test_gate_explorer_takes_other_words_with_their_inputs(rng):
    x, params = network("lstm", rng)
    explorer = gate_explorer(["a", "b", "c", "d", "e"], x, net=(params, ["1", "2", "3"]))
    assert np.allclose(explorer.networks[0]["a"], x @ params["W_ih"].T + params["b_ih"])


def trained_network(rng, H=5):
    """A network with an output for every word, as lessons 05 and 06 train them."""
    return init_network("lstm", len(WORDS), H, len(WORDS), rng)


def test_gate_explorer_shows_the_named_units_and_runs_all(rng):
    params = trained_network(rng)
    explorer = gate_explorer(SENTENCE, answer_at=[10], trained=(params, {3: "c", 1: "a"}))
    net = explorer.networks[0]
    assert (net["shown"], net["units"], net["size"], explorer.unit) == ([3, 1], ["c", "a"], 5, 3)
    assert np.shape(net["W_hh"]) == (20, 5)
    h = run_clamped(one_hot[encode(SENTENCE)], params["recurrent"])["h"]
    assert np.array_equal(explorer.runs["trained"]["h"], h)
    assert b"trained c: a" in explorer._repr_mimebundle_()["image/svg+xml"].encode()


@pytest.mark.parametrize(("arguments", "networks", "message"), [
    ((SENTENCE,), {}, "no network given"),
    ((SENTENCE, None, [11]), {"RNN": rnn_by_hand()}, r"answer_at is \(11,\); wanted indices of words, 0 to 10"),
    ((SENTENCE,), {"RNN": (rnn_by_hand()[0], {2: "who"})}, r"RNN has the units \[2\]; wanted at least one, of 0 to 1"),
    ((SENTENCE,), {"RNN": ({"recurrent": rnn_by_hand()[0], "linear": {"W": np.zeros((2, 2))}}, {0: "who"})},
     "RNN has 2 outputs; wanted 24"),
    (("likes but", np.zeros((3, 4))), {"RNN": rnn_by_hand()}, r"x has the shape \(3, 4\); wanted a row for each"),
    ((SENTENCE,), {"RNN": (rnn_by_hand()[0], ["who"])}, "RNN has 1 units named; wanted 2"),
    (("nishchal likes sushi",), {"RNN": rnn_by_hand()}, "unknown word 'sushi'")])
def test_gate_explorer_names_what_is_wrong(arguments, networks, message):
    with pytest.raises(ValueError, match=message):
        gate_explorer(*arguments, **networks)


# The gradient explorer

@pytest.fixture
def gradient():
    lags = np.arange(21)
    return gradient_explorer({"quiet": {0.5: 0.5**lags, 0.9: 0.9**lags},
                              "loud": {0.5: 0.25**lags, 0.9: 0.4**lags}}, "radius")


def test_gradient_explorer_sends_every_curve(gradient):
    family = gradient.get_state()["families"][1]
    assert (family["name"], family["settings"]) == ("loud", [0.5, 0.9])
    assert np.allclose(family["curves"][1], 0.4 ** np.arange(21), rtol=1e-3)


@pytest.mark.parametrize(("families", "message"), [
    ({}, "families is empty"),
    ({"a": {1: [1, 0.5], 2: [1, 0.5, 0.2]}}, "curves of the shapes"),
    ({"a": {1: [1, -0.5]}}, "negative number"),
    ({"a": {1: [1, np.nan]}}, "a NaN")])
def test_gradient_explorer_names_what_is_wrong(families, message):
    with pytest.raises(ValueError, match=message):
        gradient_explorer(families, "radius")


# The attention explorer

GOLD = {"mai ghar": SimpleNamespace(english="i home", sure={(0, 0), (1, 1)}, possible={(0, 0), (1, 1), (1, 0)}),
        "ghar mai": SimpleNamespace(english="me home", sure=set(), possible=set())}


def translate(sentence):
    """A translator that knows two words and looks at one word at a time."""
    unknown = [word for word in sentence.split() if word not in ("mai", "ghar")]
    if unknown:
        raise ValueError(f"unknown word {unknown[0]!r}")
    words = sorted(sentence.split(), reverse=True)
    alpha = np.array([[word == other for other in sentence.split()] for word in words])
    return [{"mai": "i", "ghar": "home"}[word] for word in words], alpha / alpha.sum(axis=1, keepdims=True)


@pytest.fixture
def attention():
    return attention_explorer(translate, ["mai ghar", "ghar mai", "mai mai"], lambda sentence: GOLD[sentence]
                              if sentence in GOLD else translate("nobody knows"))


def test_attention_explorer_shows_words_weights_and_links(attention):
    first = attention.examples[0]
    assert (first["source"], first["target"], first["alpha"]) == (["mai", "ghar"], ["i", "home"], [[1, 0], [0, 1]])
    assert first["gold"]
    assert (first["sure"], first["possible"]) == ([[0, 0], [1, 1]], [[0, 0], [1, 0], [1, 1]])


def test_attention_explorer_shows_no_links_for_another_translation_or_an_unknown_sentence(attention):
    assert [example["gold"] for example in attention.examples] == [True, False, False]


def test_attention_explorer_answers_what_is_typed(attention):
    attention.request = {"text": "  Mai  GHAR ghar", "number": 1}
    assert attention.response["shown"]["target"] == ["i", "home", "home"]
    assert attention.response["shown"]["alpha"][1] == [0, 0.5, 0.5]


@pytest.mark.parametrize(("text", "error"), [("mai sushi", "unknown word 'sushi'"), ("  ", "type a sentence first")])
def test_attention_explorer_says_what_it_cannot_translate(attention, text, error):
    attention.request = {"text": text, "number": 2}
    assert attention.response == {"number": 2, "error": error}


def test_attention_explorer_names_what_is_wrong():
    with pytest.raises(ValueError, match="sentences is empty"):
        attention_explorer(translate, [])
    with pytest.raises(ValueError, match=r"alpha has the shape \(1, 3\); wanted \(1, 2\)"):
        attention_explorer(lambda _: (["i"], np.ones((1, 3))), ["mai ghar"])


# Where nothing is live

VIEW = "application/vnd.jupyter.widget-view+json"


@pytest.mark.parametrize("name", ["gates", "gradient", "attention"])
def test_explorer_brings_a_picture_and_a_sentence(name, request, monkeypatch):
    explorer = request.getfixturevalue(name)
    monkeypatch.delenv("LSTMCOURSE_STILL", raising=False)
    bundle = explorer._repr_mimebundle_()
    assert set(bundle) == {VIEW, "image/svg+xml", "image/png", "text/plain"}
    assert "Live in JupyterLab" in bundle["text/plain"]
    assert len(bundle["image/svg+xml"]) < 100_000


def test_explorer_is_only_the_picture_in_a_saved_notebook(gates, monkeypatch):
    monkeypatch.setenv("LSTMCOURSE_STILL", "1")
    assert set(gates._repr_mimebundle_()) == {"image/svg+xml", "image/png", "text/plain"}


def test_explorer_picture_is_the_same_every_time(gates):
    again = gate_explorer(SENTENCE, GRU=gru_by_hand(), RNN=rnn_by_hand())
    assert again._repr_mimebundle_()["image/svg+xml"] == gates._repr_mimebundle_()["image/svg+xml"]


@pytest.mark.parametrize("still", ["", "1"])
def test_nbconvert_shows_picture_and_sentence_and_needs_no_network(gates, still, monkeypatch):
    import nbformat
    from nbconvert import HTMLExporter
    monkeypatch.setenv("LSTMCOURSE_STILL", still)
    shown = []
    monkeypatch.setattr("IPython.display.display", lambda what, raw=False, **_: shown.append(
        what if raw else {"text/markdown": what.data}))
    gates._ipython_display_()
    cell = nbformat.v4.new_code_cell("explorer", execution_count=1)
    shown[0].pop("image/png")                              # bytes; the kernel sends them as text
    cell.outputs = [nbformat.v4.new_output("display_data", data=data) for data in shown]
    html, _ = HTMLExporter().from_notebook_node(nbformat.v4.new_notebook(cells=[cell]))
    image = re.search(r'src="data:image/svg\+xml;base64,([^"]*)"', html)
    assert "GRU h: friend's food" in base64.b64decode(image[1]).decode()
    assert "<em>Gate explorer: the states of the GRU and the RNN after each word" in html
    assert "widget-view" not in html[html.index("<body"):]


# The JavaScript

SOURCES = sorted(widgets.FOLDER.glob("*.mjs"))
every_source = pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.name)
with_node = pytest.mark.skipif(NODE is None, reason="node is not installed: the JavaScript was not run")


@every_source
def test_javascript_asks_for_nothing_outside_and_writes_no_raw_html(path):
    source = path.read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")
    assert not re.search(r"https?:|fetch\(|XMLHttpRequest|import\(|innerHTML|eval\(|console\.", source)


@pytest.mark.parametrize("explorer", [widgets.GateExplorer, widgets.GradientExplorer, widgets.AttentionExplorer])
def test_the_joined_module_has_no_import_left_and_every_name_once(explorer):
    source = explorer._esm
    assert "import " not in source
    names = re.findall(r"^(?:export )?(?:const|let|function) (\w+)", source, flags=re.MULTILINE)
    assert len(names) == len(set(names))
    assert source.count("export default") == 1


@with_node
@pytest.mark.parametrize("explorer", [widgets.GateExplorer, widgets.GradientExplorer, widgets.AttentionExplorer])
def test_the_joined_module_is_valid_javascript(explorer, tmp_path):
    (tmp_path / "joined.mjs").write_text(explorer._esm, encoding="utf-8")
    subprocess.run([NODE, "--check", tmp_path / "joined.mjs"], check=True)


@with_node
def test_javascript_unit_tests(rng, tmp_path):
    """`node --test`, with the library's numbers for random networks, free and with clamped gates."""
    cases = []
    for kind, (parts, *_) in KINDS.items():
        x, params = network(kind, rng)
        net = gate_explorer(list("abcde"), x, one=(params, ["p", "q", "r"])).networks[0]
        for clamps in (0, 4):
            held = {(int(rng.integers(5)), str(rng.choice(list(parts))), int(rng.integers(3))): float(rng.uniform())
                    for _ in range(clamps)}
            cases.append({"name": f"{kind}, {clamps} clamped", "net": net,
                          "clamped": {" ".join(map(str, spot)): value for spot, value in held.items()},
                          "values": {name: values.tolist() for name, values in run_clamped(x, params, held).items()}})
    params = trained_network(rng)
    net = gate_explorer(SENTENCE, trained=(params, {3: "c"})).networks[0]
    logits = network_forward(one_hot[encode(SENTENCE)][None], params)[0][0]
    answers = [WORDS[k] for k in logits.argmax(axis=1)]
    (tmp_path / "cases.json").write_text(json.dumps({"cells": cases, "trained": {"net": net, "answers": answers}}))
    done = subprocess.run([NODE, "--test", "--test-reporter=tap", *sorted(ROOT.glob("tests/js/*.test.mjs"))],
                          capture_output=True, text=True,
                          env={"CASES": str(tmp_path / "cases.json"), "PATH": str(pathlib.Path(NODE).parent)})
    first = re.search(r"^ *not ok .*", done.stdout, flags=re.MULTILINE)         # what failed, not what passed
    assert done.returncode == 0, done.stdout[first.start() if first else 0:][:3000] + done.stderr[-2000:]
    counts = dict(re.findall(r"^# (tests|pass) (\d+)$", done.stdout, flags=re.MULTILINE))
    assert counts["pass"] == counts["tests"] != "0"         # none was skipped
