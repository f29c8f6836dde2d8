// The gradient explorer: how much of a gradient is left, by lag, as one knob of the network is turned.
import { drawing, dropdown, element, keepKeys, slider, timed } from "./page.mjs";

const BOX = { left: 64, right: 700, top: 14, bottom: 262 };

// The smallest and largest power of ten that the curves need; nothing below 10^floor is drawn.
export function decades(curves, floor = -12) {
  const logs = curves.flat().filter((value) => value > 0).map(Math.log10);
  const low = Math.max(floor, Math.floor(Math.min(0, ...logs)));
  const high = Math.ceil(Math.max(0, ...logs));
  return [low, Math.max(high, low + 1)];
}

// Where a lag and a value stand in the drawing.
export const atLag = (lag, last) => BOX.left + (BOX.right - BOX.left) * (last ? lag / last : 0);
export function atValue(value, [low, high]) {
  const power = value > 0 ? Math.min(high, Math.max(low, Math.log10(value))) : low;
  return BOX.bottom - (BOX.bottom - BOX.top) * ((power - low) / (high - low));
}

// The curve as far as it is above the floor, and down to the floor where it leaves.
export function path(curve, range) {
  const floor = 10 ** range[0];
  let points = "";
  curve.forEach((value, lag) => {
    if (value < floor && (lag === 0 || curve[lag - 1] < floor)) return;
    const start = lag === 0 || curve[lag - 1] < floor;
    points += `${start ? "M" : "L"}${atLag(lag, curve.length - 1).toFixed(1)} ${atValue(value, range).toFixed(1)}`;
  });
  return points;
}

// Round numbers from 0 to last, at most seven of them.
export function ticks(last) {
  const step = [1, 2, 5, 10, 20, 25, 50, 100, 200, 500, 1000].find((one) => last / one <= 6) ?? last;
  return Array.from({ length: Math.floor(last / step) + 1 }, (_, k) => k * step);
}

// The first lag from which on the curve stays below the limit; null if it ends above.
export function staysBelow(curve, limit) {
  const last = curve.findLastIndex((value) => value >= limit);
  return last === curve.length - 1 ? null : last + 1;
}

// 0.00123 -> "0.0012", 3.2e-7 -> "3.2 · 10⁻⁷"
export function small(value) {
  if (value === 0 || (value >= 0.001 && value < 1000)) return String(Number(value.toPrecision(2)));
  const [digits, power] = value.toExponential(1).split("e");
  return `${digits} · 10${[...String(Number(power))].map((sign) => "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"["-0123456789".indexOf(sign)]).join("")}`;
}

export function story(knob, setting, family, curve, lag) {
  const end = staysBelow(curve, 0.001);
  return `${family}, ${knob} ${setting}: at lag ${lag}, the fraction of the gradient left is ${small(curve[lag])}. ` +
    (end === null ? "At the longest lag it is not below a thousandth."
      : `From lag ${end} on it is below a thousandth.`);
}

function render({ model, el }) {
  const knob = model.get("knob");
  const families = model.get("families");
  const state = { family: model.get("family"), setting: model.get("setting"), lag: model.get("lag") };
  const root = element("div", { class: "lc lc-gradient", role: "group", "aria-label": "Gradient explorer" });
  keepKeys(root);
  const here = () => families[state.family];
  const range = decades(families.flatMap(({ curves }) => curves));
  const longest = families[0].curves[0].length - 1;

  const svg = drawing("svg", { viewBox: "0 0 740 312", class: "lc-plot", "aria-hidden": "true" });
  const put = (tag, attributes, ...children) => svg.appendChild(drawing(tag, attributes, ...children));
  const every = Math.max(1, Math.ceil((range[1] - range[0]) / 8));
  for (let power = range[0]; power <= range[1]; power += 1) {
    if (power % every) continue;
    const y = atValue(10 ** power, range);
    put("path", { d: `M${BOX.left} ${y}H${BOX.right}`, class: power ? "lc-grid" : "lc-grid lc-one" });
    put("text", { x: BOX.left - 8, y: y + 4, class: "lc-tick lc-end" },
      power ? "10" : "1", ...(power ? [drawing("tspan", { dy: -5, "font-size": 9 }, String(power).replace("-", "−"))] : []));
  }
  for (const lag of ticks(longest)) {
    put("text", { x: atLag(lag, longest), y: BOX.bottom + 18, class: "lc-tick" }, String(lag));
  }
  put("text", { x: (BOX.left + BOX.right) / 2, y: BOX.bottom + 40, class: "lc-name" }, model.get("xlabel"));
  const others = svg.appendChild(drawing("g"));
  const cursor = put("path", { class: "lc-cursor" });
  const line = put("path", { class: "lc-curve" });
  const dot = put("circle", { r: 6, class: "lc-dot" });

  const choose = (change) => {
    Object.assign(state, change);
    draw();
  };
  const save = () => {
    for (const [name, value] of Object.entries(state)) model.set(name, value);
    model.save_changes();
  };
  const family = dropdown("network", families.map(({ name }) => name), state.family, (chosen) => {
    choose({ family: chosen, setting: Math.min(state.setting, families[chosen].settings.length - 1) });
    save();
  });
  const turn = slider(knob, { min: 0, max: 1, step: 1 }, (setting) => choose({ setting }), save);
  const move = slider("lag", { min: 0, max: longest, step: 1 }, (lag) => choose({ lag }), save);
  turn.input.dataset.control = "setting";
  move.input.dataset.control = "lag";
  const told = element("p", { class: "lc-story", "aria-live": "polite" });
  if (families.length > 1) root.append(element("div", { class: "lc-bar" }, family.node));
  root.append(element("div", { class: "lc-sliders" }, turn.node, move.node), svg, told);

  let drawn = null;
  const draw = timed(root, () => {
    const { name, settings, curves } = here();
    const curve = curves[state.setting];
    if (drawn !== state.family) {                            // the faint curves change only with the network
      others.replaceChildren(...curves.map((one) => drawing("path", { d: path(one, range), class: "lc-other" })));
      turn.input.max = settings.length - 1;
      drawn = state.family;
    }
    turn.set(state.setting, String(settings[state.setting]));
    move.set(state.lag, String(state.lag));
    line.setAttribute("d", path(curve, range));
    const x = atLag(state.lag, longest);
    cursor.setAttribute("d", `M${x} ${BOX.top}V${BOX.bottom}`);
    dot.setAttribute("cx", x);
    dot.setAttribute("cy", atValue(curve[state.lag], range));
    dot.setAttribute("class", curve[state.lag] < 10 ** range[0] ? "lc-dot lc-below" : "lc-dot");
    told.textContent = story(knob, settings[state.setting], name, curve, state.lag);
  });
  el.append(root);
  draw();
}

export default { render };
