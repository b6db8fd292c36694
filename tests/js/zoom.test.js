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
    zoom.into([small, large]);
  });

  test("the largest image has its own pixels, smaller ones are enlarged to its size", () => {
    assert.deepEqual([zoom.size(small), zoom.size(large)], [[2000, 1000], [2000, 1000]]);
    assert.deepEqual([zoom.percent(small), zoom.percent(large)], [200, 100]);
  });

  test("a screen with two device pixels in each CSS pixel shows it at half the CSS size", () => {
    window.devicePixelRatio = 2;
    zoom.into([small, large]);
    assert.deepEqual([zoom.size(large), zoom.percent(large)], [[1000, 500], 100]);
  });

  test("without a pointer the middle of the image is in the middle of its window", () => {
    zoom.start(null, null);
    assert.deepEqual(zoom.box(small), [100 - 1000, 75 - 500, 2000, 1000]);
    assert.deepEqual(zoom.box(large), [300 - 1000, 75 - 500, 2000, 1000]);
  });

  test("the place under the pointer stays under it", () => {
    zoom.start(large, { x: 250, y: 40 }); // a quarter, and 0.4
    const [x, y, width, height] = zoom.box(large);
    assert.ok(Math.abs((250 - x) / width - 0.25) < 1e-9);
    assert.ok(Math.abs((40 - y) / height - 0.4) < 1e-9);
  });

  test("at an edge no empty space is shown", () => {
    zoom.start(large, { x: 200, y: 0 });
    assert.deepEqual(zoom.box(large).slice(0, 2), [200, 0]);
    zoom.pan(large, -1e6, -1e6);
    assert.deepEqual(zoom.box(large), [400 - 2000, 150 - 1000, 2000, 1000]);
  });

  test("dragging moves every image by the same part of itself", () => {
    zoom.start(null, null);
    zoom.pan(large, 20, 10);
    assert.deepEqual(zoom.box(small).slice(0, 2), [100 - 1000 + 20, 75 - 500 + 10]);
    assert.deepEqual(zoom.box(large).slice(0, 2), [300 - 1000 + 20, 75 - 500 + 10]);
  });

  test("an axis that fits into its window stays in the middle", () => {
    const low = { size: [2000, 100], box: [0, 0, 200, 10], window: [0, 0, 200, 300] };
    zoom.into([low]);
    zoom.start(low, { x: 0, y: 9 });
    zoom.pan(low, 0, 500);
    assert.deepEqual(zoom.box(low), [0, 100, 2000, 100]);
  });
});
