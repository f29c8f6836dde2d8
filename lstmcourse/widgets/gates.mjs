// The gate explorer: one unit of a recurrent cell, word by word; every gate can be clamped.
import { GATES, answer, equations, key, run, signed, spoken, story } from "./cells.mjs";
import { drawing, dropdown, element, keepKeys, slider, timed, unique } from "./page.mjs";

// The drawings, as data. `flows` carry a value: wide for a large one, coloured by its sign. `wires` only
// connect. `numbers` stand where they say. All names are those of the equations in cells.mjs.
export const DRAWINGS = {
  lstm: {
    height: 342,
    wires: [["", "M62 300H485"], ["", "M105 325V300"], ["f", "M175 300V270"], ["i", "M285 300V270"],
      ["g", "M375 300V270"], ["o", "M485 300V270"], ["f", "M175 230V92"], ["i", "M285 230V160H313"],
      ["o", "M516 250H573"]],
    flows: [["c_prev", "M62 75H158"], ["kept", "M192 75H313"], ["c", "M347 75H675"], ["g", "M375 230V160H347"],
      ["written", "M330 143V92"], ["c", "M590 75V115"], ["tanh_c", "M590 155V233"], ["h", "M590 267V300H675"]],
    boxes: [[175, 250, "σ", "f"], [285, 250, "σ", "i"], [375, 250, "tanh", "g"], [485, 250, "σ", "o"],
      [590, 135, "tanh", ""]],
    dots: [[175, 75, "×", "f"], [330, 75, "+", ""], [330, 160, "×", "i"], [590, 250, "×", "o"]],
    texts: [[175, 40, "keep", "f"], [330, 40, "write", "i"], [636, 246, "read", "o"], [100, 338, "x, the word", ""],
      [30, 296, "h_prev", ""], [30, 60, "c_prev", ""], [708, 60, "c", ""], [708, 285, "h", ""]],
    numbers: [["c_prev", 30, 80], ["kept", 252, 62], ["written", 366, 116], ["c", 708, 80], ["h_prev", 30, 316],
      ["h", 708, 305], ["tanh_c", 622, 198], ["f", 148, 205, "f"], ["i", 258, 205, "i"], ["g", 408, 205, "g"],
      ["o", 542, 238, "o"]],
  },
  gru: {
    height: 342,
    wires: [["", "M62 300H460"], ["", "M105 325V300"], ["z", "M175 300V270"], ["r", "M330 300V270"],
      ["n", "M460 300V270"], ["z", "M175 230V92"], ["z", "M175 160H433"], ["r", "M361 250H425"]],
    flows: [["h_prev", "M62 75H158"], ["kept", "M192 75H443"], ["h", "M477 75H675"], ["n", "M460 230V177"],
      ["written", "M460 143V92"]],
    boxes: [[175, 250, "σ", "z"], [330, 250, "σ", "r"], [460, 250, "tanh", "n"]],
    dots: [[175, 75, "×", "z"], [460, 75, "+", ""], [460, 160, "×", "z"]],
    texts: [[175, 40, "keep", "z"], [460, 40, "write", "n"], [300, 150, "1 − z", "z"],
      [100, 338, "x, the word", ""], [30, 60, "h_prev", ""], [708, 60, "h", ""], [395, 240, "reset", "r"],
      [30, 296, "h_prev", ""]],
    numbers: [["h_prev", 30, 80], ["h_prev", 30, 316], ["kept", 320, 62], ["written", 496, 118], ["h", 708, 80],
      ["z", 148, 205, "z"], ["r", 303, 205, "r"], ["n", 493, 208, "n"]],
  },
  rnn: {
    height: 222,
    wires: [["", "M62 75H170"], ["", "M330 200V180"]],
    flows: [["h_prev", "M62 75H170"], ["past", "M230 75H313"], ["word", "M330 140V92"], ["sum", "M347 75H400"],
      ["h", "M470 75H675"]],
    boxes: [[200, 75, "W_hh", ""], [330, 160, "W_ih", ""], [435, 75, "tanh", ""]],
    dots: [[330, 75, "+", ""]],
    texts: [[330, 214, "x, the word", ""], [30, 60, "h_prev", ""], [708, 60, "h", ""]],
    numbers: [["h_prev", 30, 80], ["past", 270, 62], ["word", 368, 122], ["sum", 374, 62], ["h", 708, 80]],
  },
};

// How wide a value is drawn, and which colour class it has.
export const thickness = (value) => 1.5 + 7 * Math.min(1, Math.abs(value));
export const sign = (value) => (Math.abs(value) < 0.005 ? "zero" : value > 0 ? "plus" : "minus");

// A gate runs from 0 to 1 and needs no sign.
const number = (value, low) => (low < 0 ? signed(value) : value.toFixed(2));

// Draws one kind of cell; returns the SVG and a function that puts the values of a unit into it.
function diagram(kind) {
  const { height, wires, flows, boxes, dots, texts, numbers } = DRAWINGS[kind];
  const svg = drawing("svg", { viewBox: `0 0 740 ${height}`, class: "lc-cell", "aria-hidden": "true" });
  const put = (tag, attributes, ...children) => svg.appendChild(drawing(tag, attributes, ...children));
  for (const [part, d] of wires) put("path", { d, class: `lc-wire lc-${part}` });
  const lines = flows.map(([name, d]) => [name, put("path", { d, class: "lc-flow", "data-flow": name })]);
  for (const [x, y, text, part] of boxes) {
    put("rect", { x: x - 31, y: y - 20, width: 62, height: 40, rx: 8, class: `lc-box lc-${part}` });
    put("text", { x, y: y + 5, class: `lc-${part}` }, text);
  }
  for (const [x, y, text, part] of dots) {
    put("circle", { cx: x, cy: y, r: 17, class: `lc-box lc-${part}` });
    put("text", { x, y: y + 6, class: `lc-sign lc-${part}` }, text);
  }
  for (const [x, y, text, part] of texts) put("text", { x, y, class: `lc-name lc-${part}` }, text);
  const values = numbers.map(([name, x, y, part = ""]) => {
    if (part) put("text", { x, y: y - 17, class: `lc-letter lc-${part}` }, part);
    const low = GATES[kind].find((one) => one.name === name)?.low ?? -1;
    return [name, put("text", { x, y, class: "lc-value", "data-value": name }), low];
  });
  const update = (s, j) => {
    for (const [name, line] of lines) {
      line.style.strokeWidth = thickness(s[name][j]);
      line.setAttribute("class", `lc-flow lc-${sign(s[name][j])}`);
    }
    for (const [name, text, low] of values) text.textContent = number(s[name][j], low);
  };
  return { svg, update };
}

// The board: a table with a column for every word (its head chooses the word), a row for every unit that is
// shown, and for a trained network a row with its answers at the marked words.
function board(words, answerAt, choose) {
  const group = unique("word");
  const table = element("table", { class: "lc-board lc-fixed" });
  const corner = element("td");
  const heads = element("tr", {}, corner);
  const longest = (names) => Math.max(...names.map((name) => name.length));
  const column = Math.max(4.1, 0.55 * longest(words) + 0.5);  // fixed widths, in em: a new number moves no other
  const radios = words.map((word, t) => {
    const radio = element("input", { type: "radio", name: group, value: t, "aria-label": `word ${t + 1}: ${word}` });
    radio.addEventListener("change", () => choose({ word: t }));
    heads.append(element("th", { scope: "col" }, element("label", {}, radio, word)));
    return radio;
  });
  const body = element("tbody");
  table.append(element("thead", {}, heads), body);
  const scroller = element("div", { class: "lc-scroll" }, table);
  let rows = [];
  let answers = [];
  let shown = null;
  const build = (net) => {
    rows = [];
    answers = [];
    body.replaceChildren();
    const first = 0.55 * longest(net.units) + 2.2;
    corner.style.width = `${first}em`;
    table.style.width = `${first + column * words.length}em`;
    for (const state of net.kind === "lstm" ? ["c", "h"] : ["h"]) {
      net.shown.forEach((j, k) => {
        const unit = net.units[k];
        const head = element("th", { scope: "row" }, `${state} · ${unit}`);
        const cells = words.map((_, t) => {
          const cell = element("td", { "data-cell": key(t, state, j) });
          cell.addEventListener("click", () => choose({ word: t, unit: j }));
          return cell;
        });
        body.append(element("tr", {}, head, ...cells));
        rows.push({ state, j, head, cells });
      });
    }
    if (net.linear && answerAt.length > 0) {
      answers = words.map((_, t) => element("td", { "data-answer": t }));
      body.append(element("tr", {}, element("th", { scope: "row" }, "answer"), ...answers));
    }
  };
  const update = (net, steps, clamped, { word, unit }) => {
    if (answers.length > 0) for (const t of answerAt) answers[t].textContent = answer(net, steps[t]);
    if (word !== shown) {
      radios[word].checked = true;
      radios.forEach((radio, t) => radio.closest("th").classList.toggle("lc-here", t === word));
    }
    radios.forEach((radio, t) => {                           // where is a gate clamped?
      const mark = Object.keys(clamped).some((one) => one.startsWith(`${t} `));
      if (mark === radio.closest("th").classList.contains("lc-clamped-word")) return;
      radio.closest("th").classList.toggle("lc-clamped-word", mark);
      radio.setAttribute("aria-label", `word ${t + 1}: ${words[t]}${mark ? ", clamped" : ""}`);
    });
    for (const { state, j, head, cells } of rows) {
      head.classList.toggle("lc-here", j === unit);
      cells.forEach((cell, t) => {
        const value = steps[t][state][j];
        const focus = t === word && j === unit;
        const look = `lc-${sign(value)}${t === word ? " lc-here" : ""}${focus ? " lc-focus" : ""}`;
        if (cell.className !== look) cell.className = look;      // most cells stay: touch only what changes
        if (cell.textContent === signed(value)) return;
        cell.textContent = signed(value);
        cell.style.setProperty("--lc-share", `${Math.round(42 * Math.min(1, Math.abs(value)))}%`);
      });
    }
    if (word === shown) return;
    shown = word;
    const here = radios[word].closest("th");                 // bring the chosen word into view, by whole columns
    const first = table.rows[0].cells[0].offsetWidth;
    const left = here.offsetLeft - first;
    if (left < scroller.scrollLeft) scroller.scrollLeft = left;
    const right = here.offsetLeft + here.offsetWidth - scroller.clientWidth;
    if (right > scroller.scrollLeft) scroller.scrollLeft = Math.ceil(right / here.offsetWidth) * here.offsetWidth;
  };
  return { node: scroller, build, update };
}

function render({ model, el }) {
  const words = model.get("words");
  const networks = model.get("networks");
  const root = element("div", { class: "lc lc-gates", role: "group", "aria-label": "Gate explorer" });
  keepKeys(root);
  const state = { network: model.get("network"), word: model.get("word"), unit: model.get("unit") };
  let clamped = { ...model.get("clamped") };
  const net = () => networks[state.network];

  const choose = (change) => {
    Object.assign(state, change);
    draw();
    for (const [name, value] of Object.entries(state)) model.set(name, value);
    model.save_changes();
  };
  const clamp = (next, done) => {
    clamped = next;
    draw();
    if (done) {
      model.set("clamped", clamped);
      model.save_changes();
    }
  };

  const which = dropdown("network", networks.map(({ name }) => name), state.network, (network) => {
    clamped = {};                                            // a clamped gate of one network fits no other's
    all.checked = false;
    model.set("clamped", clamped);
    state.network = network;
    if (!net().shown.includes(state.unit)) [state.unit] = net().shown;
    build();
    choose({});
  });
  const where = element("span");
  const all = element("input", { type: "checkbox" });      // clamp the gate of all units, or of the chosen one?
  const legend = element("legend");
  all.addEventListener("change", () => draw());
  const everywhere = element("label", { class: "lc-choice" }, all, " apply to all units");
  const back = element("button", { type: "button", class: "lc-back" }, "release");
  back.addEventListener("click", () => clamp({}, true));
  const stage = element("div", { class: "lc-stage" });
  const sliders = element("fieldset", { class: "lc-sliders" });
  const formula = element("div", { class: "lc-formula" });
  const told = element("p", { class: "lc-story", "aria-live": "polite" });
  const answerAt = model.get("answer_at");
  const table = board(words, answerAt, choose);
  root.append(element("div", { class: "lc-bar" }, which.node, where, everywhere, back), table.node,
    element("div", { class: "lc-main" }, stage, sliders), formula, told);

  let picture, units, gates;
  const build = () => {
    picture = diagram(net().kind);
    stage.replaceChildren(picture.svg);
    units = dropdown("unit", net().units, 0, (k) => choose({ unit: net().shown[k] }));
    where.replaceChildren(units.node);
    gates = GATES[net().kind].map(({ name, low, high, role }) => {
      const take = (done) => (value) => {
        const next = { ...clamped };
        const on = all.checked ? Array(net().size).keys() : [state.unit];
        for (const j of on) next[key(state.word, name, j)] = value;
        clamp(next, done);
      };
      const range = { min: low, max: high, step: 0.01, cls: `lc-${name}` };
      const one = slider(`${name}, ${role}`, range, take(false), take(true));
      one.input.dataset.control = name;
      return { name, low, ...one };
    });
    sliders.replaceChildren(legend, ...gates.map(({ node }) => node));
    table.build(net());
  };
  const draw = timed(root, () => {
    const { word, unit } = state;
    const steps = run(net(), clamped);
    const s = steps[word];
    picture.update(s, unit);
    units.select.value = net().shown.indexOf(unit);
    for (const { name, low, node, set } of gates) {
      const mine = key(word, name, unit) in clamped;
      set(s[name][unit], number(s[name][unit], low) + (mine ? ", clamped" : ""));
      node.classList.toggle("lc-clamped", mine);
    }
    legend.textContent = `clamp a gate at this word, in ${all.checked ? "all units" : "this unit"}`;
    back.disabled = Object.keys(clamped).length === 0;
    formula.replaceChildren(...equations(net().kind, s, unit).map((text) => element("div", {}, text)));
    told.textContent = story(net().kind, s, unit, words[word], net().units[net().shown.indexOf(unit)])
      + spoken(net(), steps, answerAt);
    table.update(net(), steps, clamped, state);
  });
  build();
  el.append(root);
  draw();
}

export default { render };
