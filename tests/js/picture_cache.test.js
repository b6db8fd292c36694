import assert from "node:assert/strict";
import { afterEach, beforeEach, describe, test } from "node:test";

import { Clock } from "./clock.js";
import { PictureCache } from "../../lib/pickroom/app/js/picture_cache.js";

const ANSWER_MS = 10000;

describe("picture cache", () => {
  let clock, cache, sent, changed;
  const receive = (name) => cache.receive({ name, kind: "preview", mime: "image/jpeg" }, [new Uint8Array(1)]);
  const names = () => sent.splice(0).map((message) => message.names);

  beforeEach(() => {
    clock = new Clock();
    [sent, changed] = [[], []];
    cache = new PictureCache((message) => sent.push(message), (name) => changed.push(name));
  });
  afterEach(() => clock.restore());

  test("asks once for what is on screen", () => {
    cache.need(["a", "b"]);
    cache.need(["a", "b", "c"]);
    assert.deepEqual(sent, [
      { type: "want", kind: "preview", names: ["a", "b"] },
      { type: "want", kind: "preview", names: ["c"] },
    ]);
    receive("a");
    cache.need(["a"]);
    assert.deepEqual([sent.length, changed], [2, ["a"]]);
  });

  test("asks for two pictures ahead of time", () => {
    cache.prefetch(["a", "b", "c", "a"]);
    cache.prefetch(["a", "b", "c"]);
    assert.deepEqual(names(), [["a", "b"]]);
    receive("b");
    cache.prefetch(["a", "b", "c"]);
    assert.deepEqual(names(), [["c"]]);
  });

  test("asks three times for a picture that does not come", () => {
    cache.need(["a"]);
    clock.tick(ANSWER_MS);
    clock.tick(2 * ANSWER_MS);
    assert.deepEqual(names(), [["a"], ["a"], ["a"]]);
    clock.tick(100 * ANSWER_MS);
    assert.deepEqual(names(), []);
  });

  test("asks again for a picture that was not near any more", () => {
    cache.need(["a"]);
    cache.receive({ name: "a", kind: "preview", mime: null }, []);
    assert.deepEqual(changed, []);
    cache.need(["a"]);
    assert.deepEqual(names(), [["a"], ["a"]]);
  });

  test("keeps the reason of a picture that cannot be shown", () => {
    cache.need(["a"]);
    cache.receive({ name: "a", kind: "preview", reason: "truncated file" }, []);
    cache.need(["a"]);
    assert.deepEqual([cache.reasons.get("a"), names(), changed], ["truncated file", [["a"]], ["a"]]);
  });

  test("without an original, zoom goes on with the preview", () => {
    cache.need(["a"], "original");
    assert.ok(cache.sharpening("a"));
    cache.receive({ name: "a", kind: "original", reason: "out of reach" }, []);
    cache.need(["a"], "original");
    assert.deepEqual([cache.sharpening("a"), cache.reasons.size, sent.length], [false, 0, 1]);
  });

  test("forgets the previews received longest ago", () => {
    const many = Array.from({ length: 61 }, (_, i) => `picture ${i}`);
    many.forEach(receive);
    assert.equal(cache.blobs.size, 60);
    assert.deepEqual(many.filter((name) => cache.lacks(name, "preview")), [many[0]]);
  });
});
