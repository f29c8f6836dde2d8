// What the explorers share: making elements, and keeping the keyboard inside.

const SVG = "http://www.w3.org/2000/svg";
let made = 0;

// A name that no other element on the page has.
export const unique = (stem) => `lc-${stem}-${(made += 1)}`;

export function element(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

export function drawing(tag, attributes = {}, ...children) {
  const node = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

export function dropdown(name, options, chosen, onChange) {
  const select = element("select");
  options.forEach((text, k) => select.append(element("option", { value: k }, text)));
  select.value = chosen;
  select.addEventListener("change", () => onChange(Number(select.value)));
  return { node: element("label", { class: "lc-choice" }, `${name} `, select), select };
}

// A slider with its name before it and its number after it.
export function slider(name, { min, max, step, cls = "" }, onInput, onChange = () => {}) {
  const input = element("input", { type: "range", min, max, step, "aria-label": name });
  const number = element("span", { class: "lc-number", "aria-hidden": "true" });
  const node = element("label", { class: `lc-slider ${cls}` }, element("span", {}, name), input, number);
  input.addEventListener("input", () => onInput(Number(input.value)));
  input.addEventListener("change", () => onChange(Number(input.value)));
  const set = (value, text) => {
    input.value = value;
    input.setAttribute("aria-valuetext", text);
    number.textContent = text;
  };
  return { node, input, set };
}

// JupyterLab listens to every key of the page: an arrow key on a slider would collapse a heading, a
// letter would delete a cell. Keys pressed in an explorer stay there, but for the ways out.
export function keepKeys(root) {
  root.addEventListener("keydown", (event) => {
    const wayOut = event.key === "Escape" || event.key === "Tab" || event.ctrlKey || event.metaKey
      || (event.key === "Enter" && event.shiftKey);
    if (!wayOut) event.stopPropagation();
  });
}

// Runs `draw` and notes on the root how long it took, in milliseconds.
export function timed(root, draw) {
  return () => {
    const start = performance.now();
    draw();
    root.dataset.redraw = (performance.now() - start).toFixed(2);
  };
}
