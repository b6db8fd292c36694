import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { GridGeometry, HEADER, LINE, range } from "../../lib/pickroom/app/js/grid_geometry.js";

const UNDER = 14; // CSS pixels under a section
const ROW = 86 + LINE; // of cells 100 wide
// three columns; rows of 3, 2; of 1; none; of 3, 3
const grid = new GridGeometry([5, 1, 0, 6], 310, 100);

describe("grid geometry", () => {
  test("as many columns as fit, at least one", () => {
    assert.deepEqual([grid.columns, grid.width, grid.height], [3, 103, Math.round(103 * 0.86) + LINE]);
    assert.equal(new GridGeometry([1], 20, 100).columns, 1);
  });

  const even = new GridGeometry([5, 1, 0, 6], 300, 100);

  test("sections lie under each other with header and rows", () => {
    const heights = [2, 1, 0, 2].map((rows) => HEADER + rows * ROW + UNDER);
    assert.deepEqual(even.sections.map((one) => one.height), heights);
    assert.deepEqual(even.sections.map((one) => one.first), [0, 5, 6, 6]);
    assert.equal(even.sections[2].top, heights[0] + heights[1]);
    assert.deepEqual([even.total, even.count], [heights.reduce((sum, height) => sum + height), 12]);
  });

  test("an empty grid has no places", () => {
    const empty = new GridGeometry([], 300, 100);
    assert.deepEqual([empty.total, empty.count, empty.met(0, 500)], [0, 0, [0, 0]]);
    assert.deepEqual([empty.placesBetween(0, 500), empty.placeBelow(0), empty.topOf(0)], [[], undefined, undefined]);
  });

  test("the sections that a range of pixels meets", () => {
    const { sections, total } = even;
    assert.deepEqual(even.met(0, 1), [0, 1]);
    assert.deepEqual(even.met(sections[1].top - 1, sections[1].top + 1), [0, 2]);
    assert.deepEqual(even.met(-500, total + 500), [0, 4]);
    assert.deepEqual(even.met(total, total + 10), [0, 0]);
  });

  test("the places whose rows a range of pixels meets", () => {
    assert.deepEqual(even.placesBetween(0, HEADER), []);
    assert.deepEqual(even.placesBetween(0, HEADER + 1), [0, 1, 2]);
    assert.deepEqual(even.placesBetween(HEADER + ROW, HEADER + ROW + 1), [3, 4]);
    assert.deepEqual(even.placesBetween(HEADER + ROW - 1, HEADER + ROW + 1), [0, 1, 2, 3, 4]);
    assert.deepEqual(even.placesBetween(0, even.total), range(0, 12));
  });

  test("a cell lies where its place says", () => {
    assert.deepEqual(even.inside(even.sections[0], 4), [100, HEADER + ROW]);
    assert.deepEqual(even.inside(even.sections[3], 8), [200, HEADER]);
    assert.equal(even.topOf(5), even.sections[1].top + HEADER);
    assert.equal(even.topOf(12), undefined);
  });

  test("the first place below a height, also from within a header", () => {
    assert.equal(even.placeBelow(0), 0);
    assert.equal(even.placeBelow(HEADER + ROW), 3);
    assert.equal(even.placeBelow(even.sections[1].top), 5);
    assert.equal(even.placeBelow(even.sections[2].top), 6);
    assert.equal(even.placeBelow(even.total), undefined);
  });

  test("a rectangle touches runs of places, row by row", () => {
    const row = even.sections[0].top + HEADER;
    assert.deepEqual(even.touched([110, row + 5, 120, row + 6]), [[1, 1]]);
    assert.deepEqual(even.touched([110, row + 5, 290, row + ROW + 5]), [[1, 2], [4, 4]]);
    assert.deepEqual(even.touched([250, row + ROW + 5, 290, row + ROW + 6]), []); // beyond the last image of a section
    assert.deepEqual(even.touched([-50, 0, 50, even.total]), [[0, 0], [3, 3], [5, 5], [6, 6], [9, 9]]);
    assert.deepEqual(even.touched([0, 0, 299, HEADER]), []);
  });

  test("what is touched is where the cells lie", () => {
    for (const section of even.sections) {
      for (const place of range(section.first, section.count)) {
        const [x, y] = even.inside(section, place);
        const middle = [x + even.width / 2, section.top + y + even.height / 2];
        assert.deepEqual(even.touched([...middle, ...middle]), [[place, place]]);
      }
    }
  });
});

test("a range of no or fewer places is empty", () => {
  assert.deepEqual([range(3, 2), range(3, 0), range(3, -1)], [[3, 4], [], []]);
});
