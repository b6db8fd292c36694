// The rules of sessions/crop/editing.py. tests/app/test_javascript.py compares both on many drags.
import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { dragged } from "../../lib/pickroom/app/js/drag_outline.js";

const BOUNDS = [100, 50, 400, 200]; // the image: x from 100 to 500, y from 50 to 250
const plain = { bounds: BOUNDS, box: [200, 100, 100, 50], start: [0, 0], ratio: null, at: null, least: 8 };
const corner = { nw: [0, 0], ne: [1, 0], se: [1, 1], sw: [0, 1] };
const edge = { n: [0.5, 0], e: [1, 0.5], s: [0.5, 1], w: [0, 0.5] };

describe("drawing a box", () => {
  const draw = (start, to, options = {}) => dragged({ ...plain, mode: "draw", start, ...options }, ...to);

  test("spans from the start to the pointer, in every direction", () => {
    assert.deepEqual(draw([200, 100], [260, 140]), [200, 100, 60, 40]);
    assert.deepEqual(draw([200, 100], [140, 60]), [140, 60, 60, 40]);
    assert.deepEqual(draw([200, 100], [260, 60]), [200, 60, 60, 40]);
  });

  test("stays inside the image", () => {
    assert.deepEqual(draw([450, 200], [900, 900]), [450, 200, 50, 50]);
    assert.deepEqual(draw([90, 40], [150, 100]), [100, 50, 50, 50]);
  });

  test("keeps its ratio by the longer side, as far as there is room", () => {
    assert.deepEqual(draw([200, 100], [300, 110], { ratio: 2 }), [200, 100, 100, 50]);
    assert.deepEqual(draw([200, 100], [210, 200], { ratio: 2 }), [200, 100, 200, 100]);
    assert.deepEqual(draw([200, 200], [490, 900], { ratio: 2 }), [200, 200, 100, 50]);
  });

  test("is not a box while its shorter side is too short", () => {
    assert.equal(draw([200, 100], [300, 107]), null);
    assert.deepEqual(draw([200, 100], [300, 108]), [200, 100, 100, 8]);
  });
});

describe("moving a box", () => {
  const move = (dx, dy) => dragged({ ...plain, mode: "move", start: [210, 110] }, 210 + dx, 110 + dy);

  test("follows the pointer", () => assert.deepEqual(move(20, -10), [220, 90, 100, 50]));
  test("stops at the edges of the image with its size", () => {
    assert.deepEqual(move(1000, 1000), [400, 200, 100, 50]);
    assert.deepEqual(move(-1000, -1000), [100, 50, 100, 50]);
  });
});

describe("dragging a handle", () => {
  const pull = (at, dx, dy, options = {}) => {
    const start = [plain.box[0] + at[0] * plain.box[2], plain.box[1] + at[1] * plain.box[3]];
    return dragged({ ...plain, mode: "handle", at, start, ...options }, start[0] + dx, start[1] + dy);
  };

  test("the opposite corner stays", () => {
    assert.deepEqual(pull(corner.se, 20, 10), [200, 100, 120, 60]);
    assert.deepEqual(pull(corner.nw, 20, 10), [220, 110, 80, 40]);
    assert.deepEqual(pull(corner.ne, 20, 10), [200, 110, 120, 40]);
    assert.deepEqual(pull(corner.sw, 20, 10), [220, 100, 80, 60]);
  });

  test("a corner pulled over to the other side stops there", () => assert.equal(pull(corner.se, -500, -500), null));

  test("a corner keeps the ratio", () => {
    assert.deepEqual(pull(corner.se, 100, 0, { ratio: 2 }), [200, 100, 200, 100]);
    assert.deepEqual(pull(corner.nw, -500, 0, { ratio: 2 }), [100, 50, 200, 100]);
  });

  test("an edge moves alone in a free box", () => {
    assert.deepEqual(pull(edge.e, 30, 99), [200, 100, 130, 50]);
    assert.deepEqual(pull(edge.w, 30, 99), [230, 100, 70, 50]);
    assert.deepEqual(pull(edge.n, 99, -30), [200, 70, 100, 80]);
    assert.deepEqual(pull(edge.s, 99, 900), [200, 100, 100, 150]);
  });

  test("in shape, the other axis grows about its middle", () => {
    assert.deepEqual(pull(edge.e, 20, 0, { ratio: 2 }), [200, 95, 120, 60]);
    assert.deepEqual(pull(edge.s, 0, 10, { ratio: 2 }), [190, 100, 120, 60]);
  });

  test("in shape, an edge stops where the other axis ends", () => {
    assert.deepEqual(pull(edge.e, 900, 0, { ratio: 2 }), [200, 50, 300, 150]);
    assert.deepEqual(pull(edge.e, 900, 0, { ratio: 1 }), [200, 50, 150, 150]);
  });

  test("an edge pulled over to the other side stops there", () => {
    assert.deepEqual(pull(edge.e, -500, 0), [200, 100, 0, 50]);
  });
});
