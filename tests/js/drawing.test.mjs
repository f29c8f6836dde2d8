// What decides where and how wide things are drawn.
import assert from "node:assert/strict";
import { test } from "node:test";
import { linked, looksAt, story as attentionStory } from "../../lstmcourse/widgets/attention.mjs";
import { DRAWINGS, sign, thickness } from "../../lstmcourse/widgets/gates.mjs";
import { atLag, atValue, decades, path, small, staysBelow, story, ticks } from "../../lstmcourse/widgets/gradient.mjs";

test("a flow is wider for a larger value, of either sign, up to one", () => {
  assert.ok(thickness(0) < thickness(0.5) && thickness(0.5) < thickness(1));
  assert.equal(thickness(-0.5), thickness(0.5));
  assert.equal(thickness(3), thickness(1));
});

// The corners of a path of the drawings ("M330 143V92H347") as [x, y].
function corners(d) {
  let [x, y] = [0, 0];
  return [...d.matchAll(/([MVH])(\d+)(?: (\d+))?/g)].map(([, letter, one, two]) => {
    if (letter !== "V") x = Number(one);
    if (letter === "V") y = Number(one);
    if (letter === "M") y = Number(two);
    return [x, y];
  });
}

// How far a point is from such a path.
function distance(x, y, d) {
  const points = corners(d);
  return Math.min(...points.slice(1).map(([x2, y2], k) => {
    const [x1, y1] = points[k];
    const [across, down] = [[x1, x2, x], [y1, y2, y]].map(([a, b, at]) =>
      Math.max(Math.min(a, b) - at, at - Math.max(a, b), 0));
    return Math.hypot(across, down);
  }));
}

const nearest = (list, how) => list.reduce((best, one) => (how(one) < how(best) ? one : best));

for (const [kind, { boxes, flows, numbers, wires }] of Object.entries(DRAWINGS)) {
  test(`every gate's letter stands beside its own gate, over its own number: ${kind}`, () => {
    for (const [name, x, y, letter] of numbers.filter(([, , , part]) => part)) {
      assert.equal(letter, name);
      assert.equal(nearest(boxes, ([bx, by]) => Math.hypot(bx - x, by - y))[3], letter, `${letter} at ${x}, ${y}`);
    }
  });

  test(`every number that flows stands at its own arrow: ${kind}`, () => {
    for (const [name, x, y] of numbers.filter(([one]) => flows.some(([flow]) => flow === one))) {
      assert.equal(nearest(flows, ([, d]) => distance(x, y, d))[0], name, `${name} at ${x}, ${y}`);
    }
  });

  test(`every gate's wire begins at its own gate: ${kind}`, () => {
    for (const [part, d] of wires.filter(([one]) => one)) {
      assert.equal(nearest(boxes, ([x]) => Math.abs(x - corners(d)[0][0]))[3], part, d);
    }
  });
}

test("sign names what a number shown with two digits shows", () => {
  assert.deepEqual([0.004, -0.004, 0.006, -0.006].map(sign), ["zero", "zero", "plus", "minus"]);
});

test("decades hold all curves, one at least, and not less than the floor", () => {
  assert.deepEqual(decades([[1, 0.02], [1, 30]]), [-2, 2]);
  assert.deepEqual(decades([[1, 0]]), [0, 1]);
  assert.deepEqual(decades([[1, 1e-300]]), [-12, 0]);
});

test("a tenth less is one decade lower, wherever it is", () => {
  const range = [-6, 0];
  const step = atValue(0.1, range) - atValue(1, range);
  assert.ok(step > 0);
  assert.ok(Math.abs(atValue(1e-5, range) - atValue(1e-4, range) - step) < 1e-9);
});

test("what is below the floor, or zero, is drawn on the floor", () => {
  assert.equal(atValue(0, [-6, 0]), atValue(1e-6, [-6, 0]));
  assert.equal(atValue(1e-40, [-6, 0]), atValue(1e-6, [-6, 0]));
});

test("a path has one point for every lag, from the left edge to the right", () => {
  const points = path([1, 0.1, 0.01], [-2, 0]).slice(1).split("L");
  assert.equal(points.length, 3);
  assert.equal(Number(points[0].split(" ")[0]), atLag(0, 2));
  assert.equal(Number(points[2].split(" ")[0]), atLag(2, 2));
});

test("a path goes down to the floor and stops there, and comes back where the curve does", () => {
  const [down, back] = path([1, 0.1, 1e-9, 1e-10, 1e-11, 0.1, 1], [-6, 0]).slice(1).split("M");
  assert.equal(down.split("L").length, 3);
  assert.equal(back.split("L").length, 2);
});

test("ticks are round, start at 0, and are few", () => {
  assert.deepEqual(ticks(50), [0, 10, 20, 30, 40, 50]);
  assert.deepEqual(ticks(99), [0, 20, 40, 60, 80]);
  assert.deepEqual(ticks(4), [0, 1, 2, 3, 4]);
});

test("staysBelow finds the first lag after the last one above, null where the end is above", () => {
  assert.equal(staysBelow([1, 0.0001, 0.5, 0.0001, 0], 0.001), 3);
  assert.equal(staysBelow([1, 0.5], 0.001), null);
  assert.equal(staysBelow([1e-4, 1e-5], 0.001), 0);
});

test("small writes few digits, and powers of ten for tiny and huge numbers", () => {
  assert.deepEqual([1, 0.0123, 3.21e-7, 45678, 0].map(small), ["1", "0.012", "3.2 · 10⁻⁷", "4.6 · 10⁴", "0"]);
});

test("the story names the setting, the lag and the share", () => {
  const told = story("spectral radius", 0.9, "quiet", [1, 0.5, 1e-4], 1);
  for (const part of ["quiet", "spectral radius 0.9", "0.5", "lag 1", "From lag 2"]) assert.ok(told.includes(part), told);
});

const SHOWN = { source: ["ghar", "jaa", "raha"], target: ["going"], alpha: [[0.05, 0.3, 0.65]], gold: true,
  sure: [[0, 1]], possible: [[0, 1], [0, 2]] };

test("looksAt names what matters, the strongest first", () => {
  assert.deepEqual(looksAt(SHOWN.alpha[0], SHOWN.source), [["raha", 0.65], ["jaa", 0.3]]);
});

test("a link is sure, possible, or none", () => {
  assert.deepEqual([0, 1, 2].map((s) => linked(SHOWN, 0, s)), ["", "sure", "possible"]);
});

test("the story of a word names its weights and its gold links", () => {
  assert.equal(attentionStory(SHOWN, 0), "“going” looks at raha 0.65, jaa 0.30. Gold: jaa (sure), raha (possible).");
  assert.ok(attentionStory({ ...SHOWN, gold: false }, 0).includes("no gold alignment"));
});
