import assert from "node:assert/strict";
import { test } from "node:test";

import { load } from "../../lib/pickroom/app/js/load.js";

const dataAddress = (source) => `data:text/javascript,${encodeURIComponent(source)}`; // node imports no blob: addresses

test("modules are linked, each with a scope of its own", async () => {
  const sources = {
    "one.js": "const own = 1;\nexport const one = () => own;",
    "two.js": 'import { one } from "./one.js";\n\nconst own = 20;\nexport const two = () => own + one();',
    "widget.js": [
      'import { one } from "./one.js";',
      'import {\n  two,\n} from "./two.js";',
      "export default [one(), two(), typeof own];",
    ].join("\n"),
  };
  assert.deepEqual(await load(sources, dataAddress), [1, 21, "undefined"]);
});

test("a module is made once, however many import it", async () => {
  const sources = {
    "count.js": "export const numbers = [];",
    "left.js": 'import { numbers } from "./count.js";\nexport const left = numbers.push("left");',
    "right.js": 'import { numbers } from "./count.js";\nexport const right = numbers.push("right");',
    "widget.js": ["count", "left", "right"].map((name, i) => {
      return `import { ${["numbers", "left", "right"][i]} } from "./${name}.js";`;
    }).join("\n") + "\nexport default [...numbers, left, right];",
  };
  assert.deepEqual(await load(sources, dataAddress), ["left", "right", 1, 2]);
});

test("every module of the widgets has what others import from it", async () => {
  globalThis.crypto ??= (await import("node:crypto")).webcrypto; // Node 18
  for (const name of ["image_view", "grid", "links"]) {
    const { default: widget } = await import(`../../lib/pickroom/app/js/${name}.js`);
    assert.equal(typeof widget.render, "function");
  }
});
