import assert from "node:assert/strict";
import { test } from "node:test";

import { keyOf } from "../../lib/pickroom/app/js/selection_band.js";

const cases = [
  ["a click on a thumbnail", { place: "12" }, {}, "click:12"],
  ["a click with Shift", { place: "12" }, { shiftKey: true }, "click+shift:12"],
  ["a click with Ctrl", { place: "12" }, { ctrlKey: true }, "click+ctrl:12"],
  ["a click with Cmd", { place: "12" }, { metaKey: true }, "click+ctrl:12"],
  ["a click on a header", { section: "0" }, {}, "section:0"],
  ["a click on a header with Shift", { section: "0" }, { shiftKey: true }, "section+shift:0"],
  ["a click on nothing selects nothing", {}, {}, "band:"],
  ["a click on nothing with Ctrl changes nothing", {}, { ctrlKey: true }, null],
  ["a band around places", { moved: true, place: "3", runs: [[3, 5], [9, 11]] }, {}, "band:3-5,9-11"],
  ["a band with Ctrl adds", { moved: true, runs: [[3, 3]] }, { ctrlKey: true }, "band+ctrl:3-3"],
  ["a band around nothing", { moved: true, runs: [] }, {}, "band:"],
];
for (const [name, drag, event, key] of cases) test(name, () => assert.equal(keyOf(drag, event), key));
