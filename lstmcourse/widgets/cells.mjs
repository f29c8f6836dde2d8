// The recurrent cells once more, in JavaScript, so that a slider needs no answer from Python.
// The tests hold `run` to the library's own numbers. No drawing in this file.

const sigmoid = (a) => 1 / (1 + Math.exp(-a));

// The gates that can be clamped, by kind of network, in the order of the rows of the weights.
export const GATES = {
  rnn: [{ name: "h", low: -1, high: 1, role: "the state itself" }],
  gru: [
    { name: "r", low: 0, high: 1, role: "how much of the past the candidate sees" },
    { name: "z", low: 0, high: 1, role: "how much is kept" },
    { name: "n", low: -1, high: 1, role: "what could be written" },
  ],
  lstm: [
    { name: "f", low: 0, high: 1, role: "how much is kept" },
    { name: "i", low: 0, high: 1, role: "how much is written" },
    { name: "g", low: -1, high: 1, role: "what could be written" },
    { name: "o", low: 0, high: 1, role: "how much is read" },
  ],
};

export const key = (step, gate, unit) => `${step} ${gate} ${unit}`;

// Runs a network over its sentence.
//   net      { kind, a: (T, kH) what the words add to each gate, W_hh: (kH, H), b_hh: (kH) }
//   clamped  { "step gate unit": value }: gates that are clamped to a value
// Returns one object per word; each of its fields is an array over the units.
export function run(net, clamped = {}) {
  const H = net.W_hh[0].length;
  const steps = [];
  let h_prev = new Array(H).fill(0);
  let c_prev = new Array(H).fill(0);
  net.a.forEach((a, t) => {
    const u = net.W_hh.map((row, k) => row.reduce((sum, w, j) => sum + w * h_prev[j], net.b_hh[k]));
    const gate = (name, value) =>
      Array.from({ length: H }, (_, j) => clamped[key(t, name, j)] ?? value(j));
    let s;
    if (net.kind === "lstm") {
      const i = gate("i", (j) => sigmoid(a[j] + u[j]));
      const f = gate("f", (j) => sigmoid(a[H + j] + u[H + j]));
      const g = gate("g", (j) => Math.tanh(a[2 * H + j] + u[2 * H + j]));
      const o = gate("o", (j) => sigmoid(a[3 * H + j] + u[3 * H + j]));
      const kept = f.map((value, j) => value * c_prev[j]);
      const written = i.map((value, j) => value * g[j]);
      const c = kept.map((value, j) => value + written[j]);
      const tanh_c = c.map(Math.tanh);
      const h = o.map((value, j) => value * tanh_c[j]);
      s = { i, f, g, o, c_prev, kept, written, c, tanh_c, h_prev, h };
    } else if (net.kind === "gru") {
      const r = gate("r", (j) => sigmoid(a[j] + u[j]));
      const z = gate("z", (j) => sigmoid(a[H + j] + u[H + j]));
      const n = gate("n", (j) => Math.tanh(a[2 * H + j] + r[j] * u[2 * H + j]));
      const kept = z.map((value, j) => value * h_prev[j]);
      const written = z.map((value, j) => (1 - value) * n[j]);
      const h = kept.map((value, j) => value + written[j]);
      s = { r, z, n, h_prev, kept, written, h };
    } else {
      const word = a.slice();
      const sum = word.map((value, j) => value + u[j]);
      const h = gate("h", (j) => Math.tanh(sum[j]));
      s = { h_prev, past: u, word, sum, h };
    }
    steps.push(s);
    h_prev = s.h;
    c_prev = s.c ?? c_prev;
  });
  return steps;
}

// What a trained network would say after this word: the name of its largest output.
export function answer(net, s) {
  const { W, b, names } = net.linear;
  const logits = W.map((row, k) => row.reduce((sum, w, j) => sum + w * s.h[j], b[k]));
  return names[logits.indexOf(Math.max(...logits))];
}

// 0.5 -> "+0.50", -0.001 -> "0.00": two digits, a true minus sign, no sign on a zero.
export function signed(value) {
  const text = Math.abs(value).toFixed(2);
  return Number(text) === 0 ? text : (value > 0 ? "+" : "−") + text;
}

// 0.5 -> "0.50", -0.5 -> "(−0.50)": for use inside an equation.
export function factor(value) {
  const text = signed(value).replace("+", "");
  return text.startsWith("−") ? `(${text})` : text;
}

// The equations of one unit at one word, with its numbers.
export function equations(kind, s, j) {
  const n = (name) => factor(s[name][j]);
  const end = (name) => signed(s[name][j]).replace("+", "");
  if (kind === "lstm") {
    return [
      `c = f · c_prev + i · g = ${n("f")} · ${n("c_prev")} + ${n("i")} · ${n("g")} = ${end("c")}`,
      `h = o · tanh(c) = ${n("o")} · ${n("tanh_c")} = ${end("h")}`,
    ];
  }
  if (kind === "gru") {
    return [
      `h = z · h_prev + (1 − z) · n = ${n("z")} · ${n("h_prev")} + ${factor(1 - s.z[j])} · ${n("n")} = ${end("h")}`,
    ];
  }
  return [`h = tanh(from the word + from the past) = tanh(${n("word")} + ${n("past")}) = ${end("h")}`];
}

// The same in words.
export function story(kind, s, j, word, unit) {
  const much = (value) => (value > 0.95 ? "all" : value < 0.05 ? "nothing" : `${Math.round(100 * value)} percent`);
  const where = `At “${word}”, unit “${unit}”:`;
  if (kind === "lstm") {
    return `${where} ${much(s.f[j])} of the ${signed(s.c_prev[j])} in the cell state is kept, ` +
      `${signed(s.written[j])} is written, which makes ${signed(s.c[j])}; ` +
      `${much(s.o[j])} of it is read, so h is ${signed(s.h[j])}.`;
  }
  if (kind === "gru") {
    return `${where} ${much(s.z[j])} of the ${signed(s.h_prev[j])} from before is kept, ` +
      `${signed(s.written[j])} is written, which makes ${signed(s.h[j])}. There is no output gate: h is the whole state.`;
  }
  return `${where} the word says ${signed(s.word[j])}, the past says ${signed(s.past[j])}; ` +
    `tanh of the sum is ${signed(s.h[j])}. There is no gate: the state is computed anew.`;
}

// And what the network answers at the marked words.
export function spoken(net, steps, answerAt) {
  if (!net.linear || answerAt.length === 0) return "";
  return ` At the marked words the network answers: ${answerAt.map((t) => answer(net, steps[t])).join(", then ")}.`;
}
