import assert from "node:assert/strict";
import { beforeEach, describe, test } from "node:test";

import { Zoom } from "../../lib/pickroom/app/js/zoom.js";

const small = { size: [1000, 500], box: [0, 0, 200, 100], window: [0, 0, 200, 150] };
const large = { size: [2000, 1000], box: [200, 0, 200, 100], window: [200, 0, 200, 150] };

describe("zoom to 100 %", () => {
  let zoom;

  beforeEach(() => {
    globalThis.window = { devicePixelRatio: 1 };
    zoom = new Zoom();
    zoom.start("full", [small, large]);
  });

  test("smaller images are enlarged to the size of the largest", () => {
    assert.deepEqual([zoom.size(small), zoom.size(large)], [[2000, 1000], [2000, 1000]]);
    assert.deepEqual([zoom.percent(small), zoom.percent(large)], [200, 100]);
  });

  test("on a screen of two device pixels it has half the CSS size", () => {
    window.devicePixelRatio = 2;
    zoom.into([small, large]);
    assert.deepEqual([zoom.size(large), zoom.percent(large)], [[1000, 500], 100]);
  });

  test("without a pointer the middle is in the middle", () => {
    zoom.start("full", [small, large]);
    assert.deepEqual(zoom.box(small), [100 - 1000, 75 - 500, 2000, 1000]);
    assert.deepEqual(zoom.box(large), [300 - 1000, 75 - 500, 2000, 1000]);
  });

  test("the place under the pointer stays under it", () => {
    zoom.start("full", [small, large], large, { x: 250, y: 40 }); // a quarter, and 0.4
    const [x, y, width, height] = zoom.box(large);
    assert.ok(Math.abs((250 - x) / width - 0.25) < 1e-9);
    assert.ok(Math.abs((40 - y) / height - 0.4) < 1e-9);
  });

  test("at an edge no empty space is shown", () => {
    zoom.start("full", [small, large], large, { x: 200, y: 0 });
    assert.deepEqual(zoom.box(large).slice(0, 2).map((n) => Math.round(n) + 0), [200, 0]);
    zoom.pan(large, -1e6, -1e6);
    assert.deepEqual(zoom.box(large), [400 - 2000, 150 - 1000, 2000, 1000]);
  });

  test("dragging moves every image by the same part of itself", () => {
    zoom.start("full", [small, large]);
    zoom.pan(large, 20, 10);
    assert.deepEqual(zoom.box(small).slice(0, 2), [100 - 1000 + 20, 75 - 500 + 10]);
    assert.deepEqual(zoom.box(large).slice(0, 2), [300 - 1000 + 20, 75 - 500 + 10]);
  });

  test("an axis that fits into its window stays in the middle", () => {
    const low = { size: [2000, 100], box: [0, 0, 200, 10], window: [0, 0, 200, 300] };
    zoom.start("full", [low], low, { x: 0, y: 9 });
    zoom.pan(low, 0, 500);
    assert.deepEqual(zoom.box(low), [0, 100, 2000, 100]);
  });
});

describe("zoom to the faces", () => {
  const near = { ...small, face: [0.5, 0.25, 0.5] }; // half as tall as wide: a face of 0.5 * sqrt(200 * 100)
  const far = { ...large, face: [0.1, 0.9, 0.1] };
  const without = { ...small, face: null };
  const cells = [near, far, without];
  const faceOf = (zoom, cell) => {
    const [x, y, width, height] = zoom.box(cell);
    const [across, down, size] = cell.face;
    return [x + across * width, y + down * height, size * Math.sqrt(width * height)].map((n) => Math.round(n * 1e6) / 1e6);
  };
  let zoom;

  beforeEach(() => {
    globalThis.window = { devicePixelRatio: 1 };
    zoom = new Zoom();
    zoom.start("faces", cells, near, { x: 3, y: 4 });
  });

  test("every face has one size and is in the middle of its window", () => {
    assert.deepEqual(faceOf(zoom, near), [100, 75, 90]);
    assert.deepEqual(faceOf(zoom, far), [300, 75, 90]);
  });

  test("an image without a face is shown whole", () => {
    assert.deepEqual(zoom.box(without), [0, 25, 200, 100]);
  });

  test("dragging moves every face by the same part of a face", () => {
    zoom.pan(near, 9, -9);
    assert.deepEqual([faceOf(zoom, near), faceOf(zoom, far)], [[109, 66, 90], [309, 66, 90]]);
    zoom.pan(without, 50, 50);
    assert.deepEqual(faceOf(zoom, near), [109, 66, 90]);
  });

  test("100 % from there begins with the faces in the middle", () => {
    zoom.start("full", cells, far, { x: 210, y: 10 });
    assert.deepEqual(zoom.size(near), [2000, 1000]);
    assert.deepEqual(faceOf(zoom, near).slice(0, 2), [100, 75]);
    assert.deepEqual(faceOf(zoom, far).slice(0, 2), [300, 75]);
  });
});
