// The attention explorer: choose a word that was written, and see which words of the source it looks at.
import { dropdown, element, keepKeys, timed, unique } from "./page.mjs";

// The source words a row of weights looks at, the strongest first, as far as they matter: [[word, weight], …]
export function looksAt(weights, source, least = 0.1) {
  return weights.map((weight, s) => [source[s], weight]).filter(([, weight]) => weight >= least)
    .sort((one, other) => other[1] - one[1]);
}

// How the gold alignment links a target word and a source word: "sure", "possible" or "".
export function linked({ sure, possible }, t, s) {
  const has = (links) => links.some(([target, from]) => target === t && from === s);
  return has(sure) ? "sure" : has(possible) ? "possible" : "";
}

export function story(shown, t) {
  const list = looksAt(shown.alpha[t], shown.source).map(([word, weight]) => `${word} ${weight.toFixed(2)}`);
  const gold = shown.source.map((word, s) => [word, linked(shown, t, s)]).filter(([, link]) => link)
    .map(([word, link]) => `${word} (${link})`);
  return `“${shown.target[t]}” looks at ${list.join(", ") || "no word in particular"}. ` +
    (shown.gold ? `Gold: ${gold.join(", ") || "no link"}.` : "There is no gold alignment for this translation.");
}

function render({ model, el }) {
  const examples = model.get("examples");
  const root = element("div", { class: "lc lc-attention", role: "group", "aria-label": "Attention explorer" });
  keepKeys(root);
  let shown = examples[0];
  let word = 0;

  const pick = dropdown("sentence", examples.map(({ source }) => source.join(" ")), 0, (k) => show(examples[k]));
  const own = element("input", { type: "text", "aria-label": "your own sentence", size: 34, spellcheck: "false" });
  const ask = element("button", { type: "button" }, "translate");
  const said = element("span", { class: "lc-said", role: "status" });
  const head = element("tr");
  const body = element("tbody");
  const table = element("table", { class: "lc-board lc-map" }, element("thead", {}, head), body);
  const told = element("p", { class: "lc-story", "aria-live": "polite" });
  const typed = element("label", { class: "lc-choice" }, "or your own ", own);
  const asks = model.get("asks") === false                   // a page without Python behind it
    ? [element("span", { class: "lc-choice" }, "To translate a sentence of your own, open this lesson in JupyterLab.")]
    : [typed, ask, said];
  root.append(element("div", { class: "lc-bar" }, pick.node, ...asks),
    element("div", { class: "lc-scroll" }, table), told);

  let rows = [];
  let heads = [];
  const build = () => {
    const group = unique("target");
    heads = shown.source.map((text) => element("th", { scope: "col" }, text));
    head.replaceChildren(element("td"), ...heads);
    rows = shown.target.map((text, t) => {
      const radio = element("input", { type: "radio", name: group, "aria-label": `written word ${t + 1}: ${text}` });
      const choose = () => {
        word = t;
        radio.checked = true;
        draw();
      };
      radio.addEventListener("change", choose);
      const cells = shown.source.map((_, s) => {
        const link = linked(shown, t, s);
        const cell = element("td", { class: `lc-plus ${link ? `lc-${link}` : ""}`, "data-cell": `${t} ${s}` });
        cell.textContent = shown.alpha[t][s].toFixed(2) + { sure: " ●", possible: " ○", "": "" }[link];
        cell.style.setProperty("--lc-share", `${Math.round(60 * shown.alpha[t][s])}%`);
        return cell;
      });
      const row = element("tr", {}, element("th", { scope: "row" }, element("label", {}, radio, ` ${text}`)), ...cells);
      row.addEventListener("mouseenter", choose);
      row.addEventListener("click", choose);
      return { row, radio };
    });
    body.replaceChildren(...rows.map(({ row }) => row));
  };
  const draw = timed(root, () => {
    rows.forEach(({ row, radio }, t) => {
      row.classList.toggle("lc-here", t === word);
      radio.checked = t === word;
    });
    heads.forEach((one, s) => {
      one.style.setProperty("--lc-share", `${Math.round(60 * shown.alpha[word][s])}%`);
      one.classList.toggle("lc-lit", shown.alpha[word][s] >= 0.1);
    });
    told.textContent = story(shown, word);
  });
  const show = (next) => {
    shown = next;
    word = 0;
    said.textContent = "";
    build();
    draw();
  };

  const send = () => {
    said.textContent = "translating …";
    model.set("request", { text: own.value, number: (model.get("request").number ?? 0) + 1 });
    model.save_changes();
  };
  ask.addEventListener("click", send);
  own.addEventListener("keydown", (event) => {
    if (event.key === "Enter") send();
  });
  const answered = () => {
    const { error, shown: next } = model.get("response");
    if (next) {
      show(next);
      pick.select.selectedIndex = -1;                        // none of the listed ones
    }
    said.textContent = error ?? "translated";
    root.dataset.answered = model.get("response").number;
  };
  model.on("change:response", answered);
  el.append(root);
  show(shown);
  return () => model.off("change:response", answered);
}

export default { render };
