"""The website as a visitor meets it: pages, links, search, live figures, predictions, themes, narrow, no kernel."""

import html.parser
import json
import math
import os
import pathlib
import re
import urllib.parse

import nbformat
import numpy as np
import pytest
from mouse import drag

from lstmcourse.data import hindi
from lstmcourse.data.pizza import WORDS, encode
from lstmcourse.lab.interventions import run_clamped
from lstmcourse.lab.trials import load_weights
from lstmcourse.lstm import lstm_backward, lstm_cell_forward, lstm_forward
from lstmcourse.rnn import rnn_backward, rnn_forward
from lstmcourse.seq2seq import Model, greedy
from lstmcourse.train import init_recurrent
from lstmcourse.widgets.by_hand import gru_by_hand, lstm_by_hand, rnn_by_hand

ROOT = pathlib.Path(__file__).parent.parent.parent
BUILT = ROOT / "build" / "site"
PAGES = sorted(path.relative_to(BUILT).as_posix() for path in BUILT.rglob("*.html"))
COURSE = [name for name in PAGES if not name.startswith("_modules/")]
LESSONS = [name for name in PAGES if re.fullmatch(r"notebooks/\d\d[a-z]?_\w+\.html", name)]
TRIALS = [name for name in PAGES if re.fullmatch(r"notebooks/trials/\d\d_\w+\.html", name)]
SENTENCE = "nishchal likes pizza but his friend likes burger so friend orders"
X = np.eye(len(WORDS))[encode(SENTENCE)]
AUDITED = COURSE if os.environ.get("LESSONS") == "all" else [
    "index.html", "search.html", "notebooks/04_lstm.html", "notebooks/08_attention.html", "notebooks/glossary.html",
    "exercises/04_lstm.html", "docs/grading.html", "docs/reference.html", *TRIALS[:1]]


class Read(html.parser.HTMLParser):
    """Links, ids, pictures and scripts of a page, without a browser."""

    def __init__(self, name):
        super().__init__()
        self.name, self.links, self.ids, self.pictures, self.files = name, [], set(), [], []
        self.feed((BUILT / name).read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attributes):
        found = dict(attributes)
        self.ids.add(found.get("id"))
        if tag == "a" and found.get("href"):
            self.links.append(found["href"])
        if tag == "img":
            self.pictures.append(found)
        if tag in ("img", "script") and found.get("src"):
            self.files.append(found["src"])
        if tag == "link" and found.get("rel") == "stylesheet":
            self.files.append(found["href"])


@pytest.fixture(scope="session")
def read():
    return {name: Read(name) for name in PAGES}


def number(text):
    return float(text.replace("−", "-").split(",")[0])


def figures(name):
    """The live figures of a page: id -> (kind, numbers)."""
    text = (BUILT / name).read_text(encoding="utf-8")
    kinds = dict(re.findall(r'id="(live-[\w-]+)" data-figure="(\w+)"', text))
    return {one: (kind, json.loads(re.search(rf'id="{one}-numbers">(.*?)</script>', text, re.DOTALL)[1]))
            for one, kind in kinds.items()}


def live(kind):
    """Page and id of every live figure of a kind."""
    return [(name, one) for name in COURSE for one, (found, _) in figures(name).items() if found == kind]


# Pages, without a browser

def test_every_notebook_of_the_course_has_its_page():
    wanted = {path.relative_to(ROOT).with_suffix(".html").as_posix() for folder in ("notebooks", "notebooks/trials")
              for path in (ROOT / folder).glob("*.ipynb")}
    wanted |= {f"exercises/{path.stem}.html" for path in (ROOT / "solutions").glob("*.ipynb")}
    assert wanted <= set(PAGES)


def test_no_link_is_broken(read):
    broken = []
    for name, page in read.items():
        for link in page.links:
            if re.match(r"[a-z]+:", link):
                continue
            path, _, fragment = link.partition("#")
            target = pathlib.Path(os.path.normpath(BUILT / name / ".." / urllib.parse.unquote(path))) if path else \
                BUILT / name
            inside = target.relative_to(BUILT).as_posix() if target.is_relative_to(BUILT) else None
            if inside is None or not target.is_file() or (
                    fragment and inside in read and urllib.parse.unquote(fragment) not in read[inside].ids):
                broken.append(f"{name}: {link}")
    assert broken == [], "\n".join(broken)


def test_every_picture_has_an_alternative_text_and_its_size(read):
    assert [f"{name}: {one.get('src')}" for name, page in read.items() if not name.startswith("_modules/")
            for one in page.pictures if not (one.get("alt") and one.get("width") and one.get("height"))] == []


@pytest.mark.parametrize("name", LESSONS)
def test_a_lesson_with_all_its_files_weighs_less_than_one_and_a_half_megabytes(read, name):
    files = {os.path.normpath(BUILT / name / ".." / file.split("?")[0]) for file in read[name].files}
    weight = (BUILT / name).stat().st_size + sum(os.path.getsize(file) for file in files)
    print(f"{name}: {weight / 1000:.0f} kB")
    assert weight < 1_500_000


@pytest.mark.parametrize("name", COURSE)
def test_each_heading_has_a_link_code_can_be_copied_and_the_page_says_where_it_comes_from(name):
    text = (BUILT / name).read_text(encoding="utf-8")
    article = text[text.index("<article"):text.index("</article>")]
    assert "copybutton.js" in text
    if name not in ("search.html", "genindex.html"):
        assert [found for found in re.findall(r"<h[1-6]>.*?</h[1-6]>", article, re.DOTALL)
                if 'class="headerlink"' not in found] == []
        assert "Edit this page" in text
    if name.startswith(("notebooks/", "exercises/")):
        assert f"make lab OPEN={name.removesuffix('.html')}.ipynb" in text


def test_every_formula_is_mathml_without_a_command_left_in_it():
    for name in COURSE:
        for formula in re.findall(r"<math.*?</math>", (BUILT / name).read_text(encoding="utf-8"), re.DOTALL):
            assert "\\" not in formula, f"{name}: {formula}"


def test_every_live_figure_of_a_lesson_has_its_numbers():
    from live_figures import before, figures_of, is_figure
    missing = []
    for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
        cells = nbformat.read(path, as_version=4).cells
        kept = figures_of(path, cells)
        missing += [f"{path.name} {cell.id}" for cell in cells if is_figure(cell)
                    and kept.get(cell.id, {}).get("before") != before(cells, cell.id)]
    assert missing == [], "the lesson has changed: run `make site-figures NOTEBOOKS=…`"


def test_solutions_can_be_left_out(tmp_path):
    from course_site import exercises
    path = ROOT / "solutions" / "04_lstm.ipynb"
    with_them, without = (nbformat.writes(exercises(path, "exercises/04_lstm", tmp_path, {}, solutions))
                          for solutions in (True, False))
    assert "return f * c_prev + i * g" in with_them
    assert "return f * c_prev + i * g" not in without
    assert "BEGIN SOLUTION" not in with_them + without


# Pages, in a browser

@pytest.mark.parametrize("name", PAGES)
def test_page_opens_without_an_error_and_asks_nobody_else(seen, name):
    page = seen(name, name in AUDITED)
    assert page.complaints == []
    assert page.headings >= 1


@pytest.mark.parametrize("name", COURSE)
def test_nothing_moves_while_a_page_is_loading(seen, name):
    assert seen(name, name in AUDITED).moved < 0.1           # the limit of "good" in Core Web Vitals


@pytest.mark.parametrize("name", COURSE)
def test_a_page_does_not_scroll_sideways_in_any_width(seen, name):
    wide = {window: page for window, page in seen(name, name in AUDITED).widths.items() if page > window + 1}
    assert wide == {}


@pytest.mark.parametrize("name", AUDITED)
def test_axe_finds_nothing_serious_in_both_themes_and_narrow(seen, name):
    findings = seen(name, True).findings
    if None in findings.values():
        pytest.skip("axe-core is not installed")
    assert len(findings) == 3
    assert {look: found for look, found in findings.items() if found} == {}


@pytest.mark.parametrize("name", AUDITED)
def test_a_screenshot_shows_the_page(seen, name):
    assert seen(name, True).blank == []


def test_search_finds_the_forget_gate(visit):
    page = visit().open("search.html?q=forget+gate")
    page.wait_for_selector("#search-results li a")
    found = page.locator("#search-results li:nth-child(-n+5) a", has_text="04 ·").first
    found.click()                                            # among the first five: search goes by words, not phrases
    page.wait_for_load_state()
    assert "forget gate" in page.locator("article").inner_text().lower()


def test_without_javascript_a_lesson_is_all_there(visit):
    page = visit(scripts=False).open("notebooks/04_lstm.html")
    assert page.locator("figure.live-figure img").count() == 1
    assert not page.locator("form.prediction").first.is_visible()
    assert page.locator("math").first.is_visible()
    answer = page.locator("details.answer").first
    answer.locator("summary").click()
    assert answer.locator(".cell_output").first.is_visible()


# Predictions

def test_a_prediction_opens_its_answer_and_is_kept_over_a_reload(visit):
    visitor = visit()
    page = visitor.open("notebooks/04_lstm.html")
    form, answer = page.locator("form.prediction").first, page.locator("details.answer").first
    assert answer.get_attribute("open") is None
    form.locator("button").click()
    assert answer.get_attribute("open") is None              # nothing typed, nothing shown
    form.locator("input").fill("-1")
    page.keyboard.press("Enter")
    assert answer.get_attribute("open") is not None
    assert answer.locator(".cell_output").first.is_visible()
    page.reload()
    assert form.locator("input").input_value() == "-1"
    assert answer.get_attribute("open") is not None
    said = form.locator("output").inner_text()
    assert said == f"You said -1; it is {form.get_attribute('data-answer')}."
    assert page.locator("details.answer").nth(1).get_attribute("open") is None


@pytest.mark.parametrize("name", LESSONS + TRIALS)
def test_every_prediction_has_its_answer(read, name):
    text = (BUILT / name).read_text(encoding="utf-8")
    asked = re.findall(r'<form class="prediction" data-key="([^"]+)" data-fold="([^"]+)" data-answer="([^"]+)"', text)
    assert len(asked) == text.count('<form class="prediction"')
    assert len({key for key, _, _ in asked}) == len(asked)
    assert sorted({fold for _, fold, _ in asked}) == sorted(
        re.findall(r'<details class="answer" data-key="([^"]+)"', text))
    assert "no guess made" not in text


# Live figures

def frame(page, one):
    root = page.locator(f"#{one} .lc")
    root.scroll_into_view_if_needed()
    return root


def board(root, state, units, steps):
    return np.array([[number(root.locator(f'[data-cell="{t} {state} {j}"]').text_content()) for j in units]
                     for t in range(steps)])


@pytest.mark.parametrize(("name", "params"), [("LSTM", lstm_by_hand()[0]), ("GRU", gru_by_hand()[0]),
                                              ("RNN", rnn_by_hand()[0])])
def test_the_front_page_computes_what_the_library_computes(visit, name, params):
    page = visit().open("index.html")
    root = frame(page, "live-front")
    root.locator("select").first.select_option(label=name)
    for state, values in run_clamped(X, params).items():
        if state in "ch":
            assert np.allclose(board(root, state, range(values.shape[1]), len(X)), values, atol=0.00501)


def test_a_gate_is_clamped_by_keyboard_and_by_mouse_on_the_front_page(visit, pictures):
    page = visit().open("index.html")
    root = frame(page, "live-front")
    assert root.locator("input[type=radio]").nth(5).is_checked()         # it starts at the first "friend"
    assert board(root, "h", [2], len(X))[-1] == -0.76
    root.locator("input[data-control=f]").focus()
    page.keyboard.press("End")
    assert board(root, "h", range(1, 3), len(X))[-1].tolist() == [0, 0]
    clamped = run_clamped(X, lstm_by_hand()[0], {(5, "f", 0): 1.0})
    assert np.allclose(board(root, "c", range(3), len(X)), clamped["c"], atol=0.00501)
    drag(page, root.locator("input[data-control=f]"), 0.5)
    value = float(root.locator("input[data-control=f]").input_value())
    assert abs(value - 0.5) < 0.1
    clamped = run_clamped(X, lstm_by_hand()[0], {(5, "f", 0): value})
    assert np.allclose(board(root, "h", range(3), len(X)), clamped["h"], atol=0.00501)
    root.screenshot(path=pictures / "front_figure.png")


def test_on_a_phone_the_front_page_shows_the_chosen_word(visit):
    root = frame(visit(width=390, height=800).open("index.html"), "live-front")
    board_box, word = root.locator(".lc-scroll").bounding_box(), root.locator("thead th.lc-here").bounding_box()
    assert board_box["x"] < word["x"]
    assert word["x"] + word["width"] <= board_box["x"] + board_box["width"] + 1


@pytest.mark.parametrize(("name", "one"), live("GateExplorer"))
def test_every_gate_explorer_shows_the_numbers_of_the_library(visit, name, one):
    page = visit().open(name)
    root = frame(page, one)
    for k, net in enumerate(figures(name)[one][1]["networks"]):
        root.locator("select").first.select_option(index=k)
        steps = len(net["a"])                                # what the words add stands for words and weights together
        params = {"W_ih": np.array(net["a"]).T, "W_hh": np.array(net["W_hh"]), "b_ih": np.zeros(len(net["b_hh"])),
                  "b_hh": np.array(net["b_hh"])}
        for state, values in run_clamped(np.eye(steps), params).items():
            if state in "ch":
                assert np.allclose(board(root, state, net["shown"], steps), values[:, net["shown"]], atol=0.00502)


@pytest.mark.parametrize(("name", "one"), live("GradientExplorer"))
def test_every_gradient_explorer_moves_and_shows_its_curve(visit, name, one):
    page = visit().open(name)
    root = frame(page, one)
    family = figures(name)[one][1]["families"][0]
    setting, lag = root.locator("[data-control=setting]"), root.locator("[data-control=lag]")
    setting.focus()
    page.keyboard.press("End")
    lag.focus()
    page.keyboard.press("Home")
    for _ in range(3):
        page.keyboard.press("ArrowRight")
    assert shown_fraction(root) == pytest.approx(family["curves"][-1][3], rel=0.05)
    drag(page, lag, 0.5)
    at = int(lag.input_value())
    assert abs(at - len(family["curves"][0]) / 2) < 4
    assert shown_fraction(root) == pytest.approx(family["curves"][-1][at], rel=0.05)


def shown_fraction(root):
    """What the sentence below a gradient explorer says is left: "0.0012" or "3.2 · 10⁻⁷"."""
    found = re.search(r"left is ([\d.]+)(?: · 10(\S+?))?\. ", root.locator(".lc-story").inner_text())
    power = int(found[2].translate(str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "-0123456789"))) if found[2] else 0
    return float(found[1]) * 10.0**power


@pytest.mark.parametrize(("name", "one"), live("AttentionExplorer"))
def test_every_attention_explorer_moves_and_says_that_own_sentences_need_python(visit, name, one):
    page = visit().open(name)
    root = frame(page, one)
    examples = figures(name)[one][1]["examples"]
    for k, shown in enumerate(examples):
        root.locator("select").first.select_option(index=k)
        seen = [[number(re.sub("[ ●○]", "", root.locator(f'[data-cell="{t} {s}"]').text_content()))
                 for s in range(len(shown["source"]))] for t in range(len(shown["target"]))]
        assert np.allclose(seen, shown["alpha"], atol=0.00501)
    root.locator("input[type=radio]").first.focus()
    page.keyboard.press("ArrowDown")
    assert f"“{shown['target'][1]}” looks at" in root.locator(".lc-story").inner_text()
    root.locator("tbody tr").first.click()
    assert f"“{shown['target'][0]}” looks at" in root.locator(".lc-story").inner_text()
    assert root.locator("input[type=text]").count() == 0
    assert "JupyterLab" in root.inner_text()
    assert all(math.isclose(sum(row), 1, abs_tol=0.01) for row in shown["alpha"])


# Live figures against the library's own functions, from the weights on, not from the numbers saved for the page

@pytest.fixture(scope="module")
def opened(browser, address):
    """One window for tests that only choose something in a figure: opened(page) opens a page in it, once."""
    context = browser.new_context(viewport={"width": 1300, "height": 1000}, reduced_motion="reduce")
    page, at = context.new_page(), []

    def show(name):
        if at != [name]:
            page.goto(address + name, wait_until="load")
            at[:] = [name]
        return page

    yield show
    context.close()


def lstm_states(x, params):
    """c and h (T, H), one `lstm_cell_forward` after another."""
    h = c = np.zeros((1, params["W_hh"].shape[1]))
    states = []
    for x_t in x:
        h, c, _ = lstm_cell_forward(x_t[None], h, c, params)
        states.append((c[0], h[0]))
    return np.array(states).swapaxes(0, 1)


@pytest.mark.parametrize("name", ["index.html", "notebooks/04_lstm.html"])
def test_gate_explorer_of_the_lstm_by_hand_shows_lstm_cell_forward(opened, name):
    (_, one), = [(page, one) for page, one in live("GateExplorer") if page == name]
    root = frame(opened(name), one)
    root.locator("select").first.select_option(label="LSTM")
    for state, values in zip("ch", lstm_states(X, lstm_by_hand()[0]), strict=True):
        assert np.allclose(board(root, state, range(3), len(X)), values, atol=0.00501)


def test_gate_explorer_of_the_trained_lstm_shows_lstm_cell_forward_on_the_saved_weights(opened):
    (name, one), = [found for found in live("GateExplorer") if found[0] == "notebooks/05b_look_inside.html"]
    numbers = figures(name)[one][1]
    root = frame(opened(name), one)
    root.locator("select").first.select_option(label="trained LSTM")
    params = load_weights(ROOT / "notebooks" / "trials" / "05_units.npz")["recurrent"]
    x = np.eye(len(WORDS))[encode(" ".join(numbers["words"]))]
    shown = numbers["networks"][0]["shown"]
    for state, values in zip("ch", lstm_states(x, params), strict=True):
        assert np.allclose(board(root, state, shown, len(x)), values[:, shown], atol=0.00502)


def fraction_at(root, setting, lag):
    """Turn both knobs of a gradient explorer, and read the fraction that is left."""
    for control, value in (("setting", setting), ("lag", lag)):
        root.locator(f"[data-control={control}]").evaluate(
            "(input, value) => { input.value = value; input.dispatchEvent(new Event('input')); }", value)
    return shown_fraction(root)


def left_in_an_rnn(radius, noise, lags, T=100, H=64):
    """Spectral norm of dh_T/dh_{T-lag} by `rnn_backward`, row k of the batch sending h_T[k] back; five networks."""
    found = []
    for seed in range(5):
        rng = np.random.default_rng(seed)
        W = rng.standard_normal((H, H))
        W *= radius / np.abs(np.linalg.eigvals(W)).max()
        x, h_0 = noise * rng.standard_normal((1, 2 * T, H)), rng.standard_normal((1, H))
        params = {"W_ih": np.eye(H), "W_hh": W, "b_ih": np.zeros(H), "b_hh": np.zeros(H)}
        h, _ = rnn_forward(x, h_0, params)
        norms = []
        for lag in lags:
            start = 2 * T - lag
            _, cache = rnn_forward(np.repeat(x[:, start:], H, axis=0), np.repeat(h[:, start - 1], H, axis=0), params)
            dh = np.zeros((H, lag, H))
            dh[:, -1] = np.eye(H)
            norms.append(np.linalg.norm(rnn_backward(dh, cache)[1], 2))
        found.append(norms)
    return np.median(found, axis=0)


@pytest.mark.parametrize(("family", "noise"), [("quiet noise", 0.1), ("loud noise", 1.0)])
def test_gradient_explorer_of_lesson_03_shows_rnn_backward(opened, family, noise):
    (name, one), = [found for found in live("GradientExplorer") if found[0] == "notebooks/03_forgetting.html"]
    settings = figures(name)[one][1]["families"][0]["settings"]
    root, lags = frame(opened(name), one), (1, 5, 20)
    root.locator("select").select_option(label=family)
    for radius in (0.5, 1.0, 2.0):
        seen = [fraction_at(root, settings.index(radius), lag) for lag in lags]
        assert seen == pytest.approx(left_in_an_rnn(radius, noise, lags), rel=0.051)


@pytest.mark.parametrize(("family", "gates"), [("LSTM", 1), ("the cell state alone", 0)])
def test_gradient_explorer_of_lesson_05_shows_lstm_backward(opened, family, gates):
    """dL/dc at a step is what `lstm_backward` returns for the state before the steps that follow."""
    (name, one), = [found for found in live("GradientExplorer") if found[0] == "notebooks/05_lstm_learns.html"]
    root, B, T, D, H = frame(opened(name), one), 8, 101, 8, 32
    root.locator("select").select_option(label=family)
    for bias in (0, 1, 3):
        params = init_recurrent("lstm", D, H, np.random.default_rng(1), forget_bias=bias)
        params["W_hh"] = gates * params["W_hh"]
        rng = np.random.default_rng(0)
        x, dh_last = rng.standard_normal((B, T, D)), rng.standard_normal((B, H))
        zeros = np.zeros((B, H))
        h, c, cache = lstm_forward(x, zeros, zeros, params)
        first = dh_last * cache.o[:, -1] * (1 - np.tanh(c[:, -1]) ** 2)
        for lag in (1, 10, 30):
            start = T - lag
            _, _, cache = lstm_forward(x[:, start:], h[:, start - 1], c[:, start - 1], params)
            dh = np.zeros((B, lag, H))
            dh[:, -1] = dh_last
            _, dh_0, dc_0, _ = lstm_backward(dh, None, cache)
            o = lstm_forward(x[:, :start], zeros, zeros, params)[2].o[:, -1]
            arriving = dc_0 + dh_0 * o * (1 - np.tanh(c[:, start - 1]) ** 2)
            left = np.sqrt((arriving**2).sum() / (first**2).sum())
            assert fraction_at(root, bias, lag) == pytest.approx(left, rel=0.051)


def test_attention_explorer_shows_what_the_saved_network_writes_and_where_it_looks(opened):
    (name, one), = live("AttentionExplorer")
    params = load_weights(ROOT / "notebooks" / "trials" / "08_weights.npz")
    model = Model("lstm", bidirectional=True, attention="dot", values="words")
    root = frame(opened(name), one)
    for k, sentence in enumerate(root.locator("select option").all_inner_texts()):
        root.locator("select").select_option(index=k)
        source = np.array([hindi.vocabularies()[0].encode(sentence)])
        tokens, alpha = greedy(source, np.array([source.shape[1]]), params, model, hindi.BOS, hindi.EOS, max_length=60)
        words = hindi.vocabularies()[1].decode(tokens[0]).split()
        assert [head.strip() for head in root.locator("tbody th").all_inner_texts()] == words
        seen = [[number(re.sub("[ ●○]", "", root.locator(f'[data-cell="{t} {s}"]').text_content()))
                 for s in range(source.shape[1])] for t in range(len(words))]
        assert np.allclose(seen, alpha[0, :len(words)], atol=0.00506)


# From a folder

def test_from_a_folder_everything_but_the_excerpts_of_search_works(visit):
    """file://: a browser does not let a page read its neighbours, so search shows titles only."""
    visitor = visit(where=BUILT.as_uri() + "/")
    page = visitor.open("index.html")
    root = frame(page, "live-front")
    root.locator("input[data-control=f]").focus()
    page.keyboard.press("End")
    assert "clamped" in root.locator(".lc-slider").first.inner_text()
    page = visitor.open("search.html?q=forget+gate")
    page.wait_for_selector("#search-results li a")
    assert page.locator("#search-results li a").count() > 3
    assert page.locator("#search-results p.context").count() == 0
    page = visitor.open("notebooks/04_lstm.html")
    page.locator("form.prediction input").first.fill("0")
    page.keyboard.press("Enter")
    page.reload()
    assert page.locator("form.prediction input").first.input_value() == "0"
