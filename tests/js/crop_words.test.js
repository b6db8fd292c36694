import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { cropAt } from "../../lib/pickroom/app/js/crop_words.js";

const crop = { box: [110, 20, 50, 60], words: "12, 0 - 60, 70 px" };
const cells = [{ box: [0, 0, 90, 90], crop: null }, { box: [100, 0, 90, 90] }, { box: [100, 0, 90, 90], crop }];

describe("the crop under the pointer", () => {
  test("is found in its box, edges included", () => {
    for (const [x, y] of [[110, 20], [135, 50], [160, 80]]) assert.equal(cropAt(cells, { x, y }), crop);
  });

  test("is none beside it, though on its image", () => {
    for (const [x, y] of [[109, 50], [161, 50], [135, 19], [135, 81], [45, 45]]) {
      assert.equal(cropAt(cells, { x, y }), undefined);
    }
  });
});
