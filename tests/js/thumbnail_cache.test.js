import assert from "node:assert/strict";
import { afterEach, beforeEach, describe, mock, test } from "node:test";

import { ASK_AGAIN_MS, ThumbnailCache } from "../../lib/pickroom/app/js/thumbnail_cache.js";
import { range } from "../../lib/pickroom/app/js/grid_geometry.js";

describe("thumbnail cache", () => {
  let cache, sent, changes, now;
  const receive = (numbers, kind = "thumb", reason = null) => {
    const buffers = reason === null ? numbers.map((number) => new Uint8Array([number])) : [];
    cache.receive({ type: "pictures", kind, rows: numbers.map((number) => [number, reason]) }, buffers);
  };
  const texts = (numbers, version = 1) => {
    cache.receive({ type: "texts", version, rows: numbers.map((n) => [n, `image ${n}`, "", "", false]) }, []);
  };

  beforeEach(() => {
    [sent, changes, now] = [[], 0, 0];
    mock.method(performance, "now", () => now);
    cache = new ThumbnailCache((message) => sent.push(message), () => (changes += 1));
  });
  afterEach(() => mock.restoreAll());

  test("asks for words of all, and pictures of the first few", () => {
    cache.want(range(100, 40).reverse(), [], 1);
    assert.equal(sent.length, 1);
    assert.deepEqual(sent[0].texts, range(100, 40).reverse());
    assert.deepEqual(sent[0].thumbs, range(128, 12).reverse());
    assert.deepEqual([sent[0].large, sent[0].version], [[], 1]);
  });

  test("asks for nothing twice, and for two chunks at a time", () => {
    const numbers = range(0, 40);
    for (let i = 0; i < 5; i += 1) cache.want(numbers, [], 1);
    assert.deepEqual(sent.map((message) => message.thumbs), [range(0, 12), range(12, 12)]);
    receive(range(0, 12));
    cache.want(numbers, [], 1);
    assert.deepEqual(sent.at(-1).thumbs, range(24, 12));
    assert.deepEqual(sent.at(-1).texts, []);
  });

  test("asks again for what did not come", () => {
    cache.want([1, 2], [], 1);
    cache.want([1, 2], [], 1);
    assert.equal(sent.length, 1);
    now = ASK_AGAIN_MS;
    cache.want([1, 2], [], 1);
    assert.deepEqual([sent.length, sent[1].thumbs, sent[1].texts], [2, [1, 2], [1, 2]]);
  });

  test("asks for words of a newer version only", () => {
    cache.want([1, 2], [], 1);
    texts([1, 2]);
    receive([1, 2]);
    cache.want([1, 2], [], 1);
    assert.equal(sent.length, 1);
    cache.want([1, 2], [], 2);
    assert.deepEqual([sent[1].texts, sent[1].thumbs, sent[1].version], [[1, 2], [], 2]);
    assert.equal(cache.texts.get(2).label, "image 2");
    assert.equal(changes, 2);
  });

  test("keeps why an image cannot be shown and asks no more", () => {
    cache.want([7], [7], 1);
    receive([7], "thumb", "truncated file");
    now = ASK_AGAIN_MS;
    texts([7]);
    cache.want([7], [7], 1);
    assert.equal(sent.length, 1);
    assert.deepEqual([cache.reasons.get(7), cache.url("thumb", 7)], ["truncated file", undefined]);
  });

  test("forgets the large images used longest ago", () => {
    receive(range(0, 12), "large");
    cache.url("large", 0);
    receive([12], "large");
    assert.deepEqual([0, 1, 12].map((number) => cache.lacks("large", number)), [false, true, false]);
  });
});
