// The cells in JavaScript against the library's numbers, which the caller (tests/test_widgets.py) computed.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { GATES, answer, equations, factor, key, run, signed, spoken, story } from "../../lstmcourse/widgets/cells.mjs";

const { cells: cases, trained } = JSON.parse(readFileSync(process.env.CASES, "utf8"));

for (const { name, net, clamped, values: wanted } of cases) {
  test(`run computes what the library computes: ${name}`, () => {
    const steps = run(net, clamped);
    assert.equal(steps.length, net.a.length);
    for (const [part, values] of Object.entries(wanted)) {
      values.forEach((row, t) => row.forEach((value, j) => {
        assert.ok(Math.abs(steps[t][part][j] - value) < 1e-12, `${part} at word ${t}, unit ${j}`);
      }));
    }
  });

  test(`clamping any gate changes this word and no word before: ${name}`, () => {
    const free = run(net);
    for (const { name: part, low } of GATES[net.kind]) {
      const after = run(net, { [key(2, part, 1)]: low });
      assert.deepEqual(after.slice(0, 2), free.slice(0, 2));
      assert.equal(after[2][part][1], low);
      assert.notDeepEqual(after[2], free[2]);
    }
  });

  test(`the words and equations end with the number that is drawn: ${name}`, () => {
    const steps = run(net);
    const last = equations(net.kind, steps[1], 0).at(-1);
    assert.ok(last.endsWith(signed(steps[1].h[0]).replace("+", "")), last);
    const told = story(net.kind, steps[1], 0, "pizza", "who");
    assert.ok(told.includes("pizza") && told.includes("who") && told.includes(signed(steps[1].h[0])), told);
  });
}

test("a trained network says the words that the library's says", () => {
  const steps = run(trained.net);
  assert.deepEqual(steps.map((s) => answer(trained.net, s)), trained.answers);
  const told = spoken(trained.net, steps, [4, 10]);
  assert.ok(told.endsWith(`answers: ${trained.answers[4]}, then ${trained.answers[10]}.`), told);
  assert.equal(spoken(cases[0].net, run(cases[0].net), [4]), "");
});

test("signed has two digits, a true minus sign and no sign on a zero", () => {
  assert.deepEqual([0.5, -0.5, 0, -0.001, 0.004, 1].map(signed), ["+0.50", "−0.50", "0.00", "0.00", "0.00", "+1.00"]);
});

test("factor puts a negative number in brackets", () => {
  assert.deepEqual([0.5, -0.5, -0.001].map(factor), ["0.50", "(−0.50)", "0.00"]);
});
