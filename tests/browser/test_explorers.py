"""Each explorer moved by mouse and by keyboard in JupyterLab; what it draws is read from the page."""

import math
import os
import pathlib
import re

import numpy as np
import pytest
from mouse import drag

from lstmcourse.data.pizza import WORDS, encode
from lstmcourse.lab.interventions import run_clamped
from lstmcourse.lab.models import init_network, network_forward
from lstmcourse.widgets.by_hand import gru_by_hand, lstm_by_hand, rnn_by_hand

NETWORKS = {"LSTM": lstm_by_hand(), "GRU": gru_by_hand(), "RNN": rnn_by_hand()}
SENTENCE = "nishchal likes pizza but his friend likes burger so friend orders"
X = np.eye(len(WORDS))[encode(SENTENCE)]
WHOLE = init_network("lstm", len(WORDS), 6, len(WORDS), np.random.default_rng(0))      # as on the stage
GATES, GRADIENT, ATTENTION = ".lc-gates", ".lc-gradient", ".lc-attention"
NOTEBOOK = """() => [window.jupyterapp.shell.currentWidget.content.activeCellIndex,
    window.jupyterapp.shell.currentWidget.model.cells.length,
    document.querySelectorAll(".jp-Cell.jp-mod-selected").length,
    [...document.querySelectorAll(".jp-MarkdownCell")].filter((cell) => cell.offsetHeight > 0).length]"""


@pytest.fixture(scope="module")
def opened(page):
    """The stage, run once."""
    page.page.set_viewport_size({"width": 1400, "height": 1000})
    page.open("stage")
    page.run_all()
    page.page.wait_for_selector(ATTENTION, timeout=60_000)
    return page


@pytest.fixture
def gates(opened):
    """The gate explorer, nothing clamped and its first word chosen."""
    root = opened.page.locator(GATES)
    root.scroll_into_view_if_needed()
    root.locator("select").first.select_option(label="LSTM")
    back = root.locator(".lc-back")
    if back.is_enabled():
        back.click()
    root.locator("input[type=checkbox]").uncheck()
    choose(root, 0, 0)
    return root


@pytest.fixture
def gradient(opened):
    root = opened.page.locator(GRADIENT)
    root.scroll_into_view_if_needed()
    return root


def number(text):
    return float(text.replace("−", "-").split(",")[0])


def choose(root, word, unit):
    """By mouse: a click on the board."""
    root.locator("tbody tr").nth(unit).locator("td").nth(word).click()


def drawn(root, name):
    """The number that stands in the diagram under this name."""
    return number(root.locator(f"[data-value={name}]").first.text_content())


def board(root, state, units):
    """The numbers on the board, (T, units). units: how many, or which."""
    units = range(units) if isinstance(units, int) else units
    return np.array([[number(root.locator(f'[data-cell="{t} {state} {j}"]').text_content()) for j in units]
                     for t in range(len(X))])


def press(page, *keys):
    for key in keys:
        page.keyboard.press(key)


# The gate explorer

@pytest.mark.parametrize("name", NETWORKS)
def test_board_shows_what_the_library_computes(gates, name):
    gates.locator("select").first.select_option(label=name)
    params, units = NETWORKS[name]
    for state, values in run_clamped(X, params).items():
        if state in "ch":
            assert np.allclose(board(gates, state, len(units)), values, atol=0.00501)


def test_arrow_keys_step_through_the_words_and_stay_inside(gates, opened):
    radios = gates.locator("input[type=radio]")
    radios.first.focus()
    before = opened.page.evaluate(NOTEBOOK)
    seen = run_clamped(X, NETWORKS["LSTM"][0])
    for t in range(1, 6):
        press(opened.page, "ArrowRight")
        assert radios.nth(t).is_checked()
        assert math.isclose(drawn(gates, "c"), seen["c"][t, 0], abs_tol=0.00501)
        assert math.isclose(drawn(gates, "f"), seen["f"][t, 0], abs_tol=0.00501)
    press(opened.page, "ArrowLeft", "ArrowUp", "ArrowDown")
    assert opened.page.evaluate(NOTEBOOK) == before
    assert "At “his”" in gates.locator(".lc-story").inner_text()


def test_letters_typed_in_an_explorer_do_nothing_to_the_notebook(gates, opened):
    before = opened.page.evaluate(NOTEBOOK)
    gates.locator("input[type=radio]").first.focus()
    press(opened.page, "d", "d", "b", "a", "x", "m", "ArrowRight")
    assert opened.page.evaluate(NOTEBOOK) == before
    assert gates.locator("input[type=radio]").nth(1).is_checked()


def test_clamped_gate_by_keyboard_changes_all_that_follows(gates, opened):
    choose(gates, 5, 0)                                      # the first "friend", the unit "who"
    gates.locator("input[data-control=f]").focus()
    press(opened.page, "End")
    clamped = run_clamped(X, NETWORKS["LSTM"][0], {(5, "f", 0): 1.0})
    assert np.allclose(board(gates, "c", 3), clamped["c"], atol=0.00501)
    assert np.allclose(board(gates, "h", 3), clamped["h"], atol=0.00501)
    press(opened.page, *["ArrowLeft"] * 25)
    clamped = run_clamped(X, NETWORKS["LSTM"][0], {(5, "f", 0): 0.75})
    assert np.allclose(board(gates, "c", 3), clamped["c"], atol=0.00501)
    gates.locator(".lc-back").focus()
    press(opened.page, "Enter")
    assert np.allclose(board(gates, "c", 3), run_clamped(X, NETWORKS["LSTM"][0])["c"], atol=0.00501)


def test_clamped_gate_by_mouse_widens_and_colours_the_flow(gates, opened):
    choose(gates, 2, 1)                                      # "pizza", nishchal's food
    flow = gates.locator("[data-flow=written]")
    wide = flow.evaluate("e => parseFloat(getComputedStyle(e).strokeWidth)")
    assert "lc-plus" in flow.get_attribute("class")
    drag(opened.page, gates.locator("input[data-control=g]"), 0.25)
    g = number(gates.locator(".lc-slider.lc-g .lc-number").inner_text())
    assert math.isclose(g, -0.5, abs_tol=0.1)
    assert "lc-minus" in flow.get_attribute("class")
    narrow = flow.evaluate("e => parseFloat(getComputedStyle(e).strokeWidth)")
    assert math.isclose(wide - narrow, 7 * (1 - abs(g)), abs_tol=0.1)
    assert math.isclose(drawn(gates, "c"), g, abs_tol=0.011)
    assert "clamped" in gates.locator(".lc-slider.lc-g .lc-number").inner_text()


def test_clamped_gates_reach_python(gates, opened):
    """What the figure holds is sent to the kernel in its own time, so the kernel is asked until it has come."""
    choose(gates, 5, 0)
    gates.locator("input[data-control=f]").focus()
    press(opened.page, "End")
    for _ in range(40):
        told = opened.page.evaluate("""async () => {
            const kernel = window.jupyterapp.shell.currentWidget.sessionContext.session.kernel;
            let told = "";
            const here = "for e in gc.get_objects() if type(e).__name__ == 'GateExplorer'";
            const future = kernel.requestExecute({ code: `import gc; print([e.clamped ${here}])` });
            future.onIOPub = (m) => { if (m.header.msg_type === "stream") told += m.content.text; };
            await future.done;
            return told;
        }""")
        if "{'5 f 0': 1}" in told:
            return
        opened.page.wait_for_timeout(250)
    assert "{'5 f 0': 1}" in told


def test_switch_of_the_network_changes_diagram_and_sliders(gates):
    gates.locator("select").first.select_option(label="RNN")
    assert gates.locator(".lc-sliders input").count() == 1
    assert gates.locator("[data-value=f]").count() == 0
    assert "There is no gate" in gates.locator(".lc-story").inner_text()
    gates.locator("select").first.select_option(label="GRU")
    assert gates.locator(".lc-sliders input").count() == 3


def test_whole_network_shows_the_named_units_and_its_answers(gates):
    gates.locator("select").first.select_option(label="whole")
    seen = run_clamped(X, WHOLE["recurrent"])
    assert np.allclose(board(gates, "c", [5, 1]), seen["c"][:, [5, 1]], atol=0.00501)
    assert gates.locator('[data-cell="0 c 0"]').count() == 0
    logits = network_forward(X[None], WHOLE)[0][0]
    shown = gates.locator("[data-answer]").all_text_contents()
    assert shown == [WORDS[logits[t].argmax()] if t in (4, 10) else "" for t in range(len(X))]
    gates.locator("select").nth(1).select_option(label="the first")
    assert math.isclose(drawn(gates, "c"), seen["c"][0, 1], abs_tol=0.00501)
    assert "unit “the first”" in gates.locator(".lc-story").inner_text()


def test_clamp_on_all_units_by_keyboard_and_by_mouse(gates, opened):
    gates.locator("select").first.select_option(label="whole")
    gates.locator("input[type=checkbox]").focus()
    press(opened.page, "Space")
    assert "all units" in gates.locator("legend").inner_text()
    choose(gates, 5, 0)
    gates.locator("input[data-control=f]").focus()
    press(opened.page, "End")
    clamped = run_clamped(X, WHOLE["recurrent"], {(5, "f", unit): 1.0 for unit in range(6)})
    assert np.allclose(board(gates, "c", [5, 1]), clamped["c"][:, [5, 1]], atol=0.00501)
    marked = [radio.get_attribute("aria-label") for radio in gates.locator("input[type=radio]").all()]
    assert [label for label in marked if label.endswith("clamped")] == ["word 6: friend, clamped"]
    gates.locator("input[type=checkbox]").click()
    assert "this unit" in gates.locator("legend").inner_text()


def test_another_network_is_found_without_clamps(gates):
    gates.locator("input[type=checkbox]").check()
    gates.locator("input[data-control=f]").focus()
    gates.page.keyboard.press("End")
    gates.locator("select").first.select_option(label="GRU")
    assert not gates.locator("input[type=checkbox]").is_checked()
    assert gates.locator(".lc-back").is_disabled()
    assert gates.locator(".lc-clamped-word").count() == 0


# The gradient explorer

def test_radius_and_lag_by_keyboard(gradient, opened):
    gradient.locator("select").select_option(label="quiet")
    gradient.locator("input[data-control=setting]").focus()
    press(opened.page, "Home", "ArrowRight")
    gradient.locator("input[data-control=lag]").focus()
    press(opened.page, "Home", *["ArrowRight"] * 10)
    told = gradient.locator(".lc-story").inner_text()
    assert f"at lag 10, the fraction of the gradient left is {0.9**10:.2g}." in told
    assert "spectral radius 0.9" in told
    dot = gradient.locator(".lc-dot")
    low = float(dot.get_attribute("cy"))
    press(opened.page, *["ArrowLeft"] * 10)
    high = float(dot.get_attribute("cy"))
    decades = 12 + math.ceil(50 * math.log10(1.1))           # floor at 1e-12; the largest value is 1.1^50
    assert math.isclose((low - high) / (262 - 14), -10 * math.log10(0.9) / decades, rel_tol=0.02)


def test_radius_by_mouse_redraws_the_curve(gradient, opened):
    gradient.locator("select").select_option(label="loud")
    slider, line = gradient.locator("input[data-control=setting]"), gradient.locator(".lc-curve")
    drag(opened.page, slider, 0.0)
    low = line.get_attribute("d")
    drag(opened.page, slider, 1.0)
    assert line.get_attribute("d") != low
    assert "loud, spectral radius 0.9" in gradient.locator(".lc-story").inner_text()
    assert len(line.get_attribute("d").split("L")) == 32     # 0.4^31 is the first below 1e-12


# The attention explorer

@pytest.fixture
def attention(opened):
    root = opened.page.locator(ATTENTION)
    root.scroll_into_view_if_needed()
    root.locator("select").select_option(index=1)
    root.locator("select").select_option(index=0)
    return root


def test_target_words_by_keyboard_light_up_what_they_look_at(attention, opened):
    attention.locator("input[type=radio]").first.focus()
    press(opened.page, "ArrowDown", "ArrowDown")             # i, am, going
    assert "“going” looks at jaa 0.73" in attention.locator(".lc-story").inner_text()
    assert "Gold: jaa (sure), raha (possible)" in attention.locator(".lc-story").inner_text()
    assert attention.locator("thead th.lc-lit").all_inner_texts() == ["jaa"]
    assert math.isclose(number(attention.locator('[data-cell="2 2"]').inner_text().split()[0]), 1.1 / 1.5, abs_tol=0.01)


def test_hover_over_a_target_word_chooses_it(attention):
    attention.locator("tbody tr").nth(3).hover()
    assert "“home” looks at ghar" in attention.locator(".lc-story").inner_text()


def test_typed_sentence_is_translated_and_an_unknown_word_is_named(attention, opened):
    own, root = attention.locator("input[type=text]"), opened.page.locator(ATTENTION)
    own.fill("vah ghar jaa rahi hai")
    own.press("Enter")
    opened.page.wait_for_function("root => document.querySelector(root).dataset.answered > 0", arg=ATTENTION)
    assert root.locator("tbody tr").count() == 4                # she is going home
    own.fill("vah sushi khaa rahi hai")
    attention.locator("button").click()
    opened.page.wait_for_function("root => document.querySelector(root).dataset.answered > 1", arg=ATTENTION)
    assert "unknown word 'sushi'" in root.locator(".lc-said").inner_text()


# All of them

@pytest.mark.parametrize("theme", ["JupyterLab Light", "JupyterLab Dark"])
@pytest.mark.parametrize("root", [GATES, GRADIENT, ATTENTION])
def test_explorer_reads_in_both_themes(gates, opened, pictures, theme, root):
    choose(gates, 5, 0)
    opened.theme(theme)
    try:
        here = opened.page.locator(root)
        here.scroll_into_view_if_needed()
        ink, paper = here.evaluate("e => [getComputedStyle(e).color, getComputedStyle(e).backgroundColor]")
        here.screenshot(path=pictures / f"{root[4:]}_{theme.split()[1].lower()}.png")
        ink, paper = (sum(float(part) for part in re.findall(r"[\d.]+", colour)[:3]) for colour in (ink, paper))
        assert (ink > paper) == ("Dark" in theme)
        assert abs(ink - paper) > 450                        # of 765, black on white
        serious = audit(opened.page, root)
        assert serious == []
    finally:
        opened.theme("JupyterLab Light")


def audit(page, root):
    """Serious findings of axe-core in one explorer."""
    script = pathlib.Path(os.environ.get("AXE", "absent"))
    if not script.exists():
        pytest.skip("axe-core is not installed: no accessibility audit")
    page.evaluate(script.read_text(encoding="utf-8"))
    found = page.evaluate("root => axe.run(root)", root)
    return [f"{one['id']}: {one['nodes'][0]['html'][:150]}" for one in found["violations"]
            if one["impact"] in ("serious", "critical", "moderate")]


def test_audit_finds_a_planted_fault(opened):
    opened.page.evaluate("root => { const i = document.createElement('input'); i.id = 'planted';"
                         "document.querySelector(root).append(i); }", GATES)
    try:
        assert any("label" in finding for finding in audit(opened.page, GATES))
    finally:
        opened.page.evaluate("() => document.getElementById('planted').remove()")


def test_explorers_fit_a_narrow_window(gates, opened, pictures):
    opened.page.evaluate("() => window.jupyterapp.commands.execute('application:toggle-left-area')")
    opened.page.set_viewport_size({"width": 560, "height": 1000})
    try:
        for root in (GATES, GRADIENT, ATTENTION):
            here = opened.page.locator(root)
            here.scroll_into_view_if_needed()
            assert here.evaluate("e => e.scrollWidth <= e.clientWidth + 1")
            here.screenshot(path=pictures / f"{root[4:]}_narrow.png")
    finally:
        opened.page.set_viewport_size({"width": 1400, "height": 1000})
        opened.page.evaluate("() => window.jupyterapp.commands.execute('application:toggle-left-area')")


REDRAW = """([root, inside]) => {
    const explorer = document.querySelector(root);
    const input = explorer.querySelector(inside);
    const times = [];
    for (let k = 0; k < 60; k += 1) {
        const start = performance.now();
        if (input.type === "range") {
            const [low, high] = [Number(input.min), Number(input.max)];
            input.value = low + (high - low) * (k % 20) / 19;
            input.dispatchEvent(new Event("input"));
        } else {
            const radios = explorer.querySelectorAll(inside);
            radios[k % radios.length].dispatchEvent(new Event("change"));
        }
        explorer.getBoundingClientRect();
        explorer.querySelector("svg, table").getBoundingClientRect();
        times.push(performance.now() - start);
    }
    return times;
}"""


@pytest.mark.parametrize(("root", "inside"), [
    (GATES, "input[data-control=f]"), (GATES, "input[type=radio]"), (GRADIENT, "input[data-control=setting]"),
    (ATTENTION, "input[type=radio]")])
def test_redraw_time_is_measured(gates, opened, root, inside):
    """From the event to the finished layout, painting left out. Reported; 16 ms is the aim, and no gate."""
    times = opened.page.evaluate(REDRAW, [root, inside])
    print(f"\n{root[4:]} explorer, {inside}: redraw with layout in {np.median(times):.1f} ms (median of {len(times)}), "
          f"{min(times):.1f} to {max(times):.1f} ms, at a load of {os.getloadavg()[0]:.0f} on {os.cpu_count()} cores")
    assert np.median(times) < 200
