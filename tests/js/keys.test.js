import assert from "node:assert/strict";
import { beforeEach, afterEach, describe, test } from "node:test";

import { Clock } from "./clock.js";
import { KeyQueue, REPEAT_MS, SILENT_MS, spell } from "../../lib/pickroom/app/js/keys.js";

describe("spelling of keys", () => {
  const cases = [
    ["a letter", { key: "a", code: "KeyA" }, "a"],
    ["a letter with caps lock", { key: "A", code: "KeyA" }, "a"],
    ["a letter with Shift", { key: "A", code: "KeyA", shiftKey: true }, "Shift+a"],
    ["a letter of another layout", { key: "z", code: "KeyY" }, "z"],
    ["a digit", { key: "1", code: "Digit1" }, "1"],
    ["a digit of a layout that types digits with Shift", { key: "&", code: "Digit1" }, "1"],
    ["a digit with Shift", { key: "!", code: "Digit1", shiftKey: true }, "Shift+1"],
    ["a digit of the number pad", { key: "4", code: "Numpad4" }, "4"],
    ["an arrow of the number pad", { key: "ArrowLeft", code: "Numpad4" }, "ArrowLeft"],
    ["the space bar", { key: " ", code: "Space" }, "Space"],
    ["the space bar with Shift", { key: " ", code: "Space", shiftKey: true }, "Shift+Space"],
    ["a named key", { key: "Enter", code: "Enter" }, "Enter"],
    ["a named key with Shift", { key: "Tab", code: "Tab", shiftKey: true }, "Shift+Tab"],
    ["a question mark, without its Shift", { key: "?", code: "Slash", shiftKey: true }, "?"],
    ["a bracket", { key: "[", code: "BracketLeft" }, "["],
    ["a key with Ctrl", { key: "s", code: "KeyS", ctrlKey: true }, null],
    ["a key with Cmd", { key: "s", code: "KeyS", metaKey: true }, null],
    ["a key with Alt", { key: "s", code: "KeyS", altKey: true }, null],
    ["a bracket that Option types", { key: "[", code: "Digit5", altKey: true }, "["],
    ["a modifier alone", { key: "Shift", code: "ShiftLeft", shiftKey: true }, null],
    ["a letter outside a to z", { key: "ß", code: "Minus" }, null],
    ["a function key", { key: "F5", code: "F5" }, null],
    ["an event of the browser without a key", {}, null],
    ["Russian", { key: "й", code: "KeyQ" }, "q"],
    ["Russian with Shift", { key: "Ф", code: "KeyA", shiftKey: true }, "Shift+a"],
    ["Russian in place of a bracket", { key: "х", code: "BracketLeft" }, "["],
    ["Russian in place of a brace", { key: "Х", code: "BracketLeft", shiftKey: true }, null],
    ["Russian next to the digits", { key: "ё", code: "Backquote" }, null],
    ["Ukrainian", { key: "і", code: "KeyS" }, "s"],
    ["Greek", { key: "ς", code: "KeyW" }, "w"],
    ["a sign of the Greek layout", { key: ";", code: "KeyQ" }, "q"],
    ["a sign of the Greek layout with Shift", { key: ":", code: "KeyQ", shiftKey: true }, "Shift+q"],
    ["a sign of the Hebrew layout", { key: "/", code: "KeyQ" }, "q"],
    ["an apostrophe of the Hebrew layout", { key: "'", code: "KeyW" }, "w"],
    ["Arabic, two characters at once", { key: "لا", code: "KeyB" }, "b"],
    ["an Arabic question mark", { key: "؟", code: "Slash", shiftKey: true }, "?"],
    ["a Persian digit", { key: "۳", code: "Digit3" }, "3"],
    ["an Arabic digit of the number pad", { key: "٤", code: "Numpad4" }, "4"],
    ["Thai", { key: "ๆ", code: "KeyQ" }, "q"],
    ["Thai in place of a digit", { key: "ๅ", code: "Digit1" }, "1"],
    ["Korean", { key: "ㅂ", code: "KeyQ" }, "q"],
    ["Japanese kana", { key: "ち", code: "KeyA" }, "a"],
    ["Devanagari", { key: "ो", code: "KeyA" }, "a"],
    ["a letter in an input method", { key: "Process", code: "KeyA", isComposing: true }, "a"],
    ["a letter while a text is composed", { key: "a", code: "KeyA", isComposing: true }, "a"],
    ["a digit in an input method", { key: "Process", code: "Digit2" }, "2"],
    ["a digit of the number pad in an input method", { key: "Unidentified", code: "Numpad7" }, "7"],
    ["Enter in an input method", { key: "Process", code: "Enter", shiftKey: true }, "Shift+Enter"],
    ["Enter of the number pad in an input method", { key: "Process", code: "NumpadEnter" }, "Enter"],
    ["an arrow in an input method", { key: "Process", code: "ArrowDown" }, "ArrowDown"],
    ["the space bar in an input method", { key: "Process", code: "Space", shiftKey: true }, "Shift+Space"],
    ["a question mark in an input method", { key: "Process", code: "Slash", shiftKey: true }, "?"],
    ["a bracket in an input method", { key: "Process", code: "BracketRight" }, "]"],
    ["a modifier in an input method", { key: "Process", code: "ShiftLeft", shiftKey: true }, null],
    ["a wide letter of an input method", { key: "ｑ", code: "KeyQ" }, "q"],
    ["a wide digit of an input method", { key: "３", code: "Digit3" }, "3"],
    ["a wide space", { key: "　", code: "Space" }, "Space"],
    ["French", { key: "a", code: "KeyQ" }, "a"],
    ["French, with Shift for a digit", { key: "1", code: "Digit1", shiftKey: true }, "Shift+1"],
    ["French, with caps lock for a digit", { key: "1", code: "Digit1" }, "1"],
    ["a comma of the French layout", { key: ",", code: "KeyM" }, null],
    ["Czech in place of a digit", { key: "ě", code: "Digit2" }, "2"],
    ["German", { key: "y", code: "KeyZ" }, "y"],
    ["a question mark of the German layout", { key: "?", code: "Minus", shiftKey: true }, "?"],
    ["Dvorak", { key: "x", code: "KeyB" }, "x"],
    ["an apostrophe of the Dvorak layout", { key: "'", code: "KeyQ" }, null],
    ["an accent of the Bépo layout", { key: "é", code: "KeyW" }, null],
    ["a dead key", { key: "Dead", code: "BracketLeft" }, null],
    ["Turkish, without its dot", { key: "ı", code: "KeyI" }, "i"],
    ["Turkish, with its dot", { key: "İ", code: "Quote", shiftKey: true }, "Shift+i"],
  ];
  for (const [name, event, spelled] of cases) test(name, () => assert.equal(spell(event), spelled));
});

describe("key queue", () => {
  let clock, sent, said, queue;
  const numbers = () => sent.splice(0).map((message) => message.number);

  beforeEach(() => {
    clock = new Clock();
    [sent, said] = [[], []];
    queue = new KeyQueue((message) => sent.push(message), (what) => said.push(what));
  });
  afterEach(() => {
    queue.close();
    clock.restore();
  });

  test("keys are numbered from 1 and name the oldest that waits", () => {
    queue.push("a", "group 1");
    queue.push("x", "group 2");
    assert.deepEqual(sent, [
      { type: "key", number: 1, key: "a", seen: "group 1", oldest: 1 },
      { type: "key", number: 2, key: "x", seen: "group 2", oldest: 1 },
    ]);
  });

  test("an answer takes every key up to its number", () => {
    for (const key of "abc") queue.push(key, "");
    queue.taken(2);
    assert.equal(queue.length, 1);
    queue.push("d", "");
    assert.deepEqual(sent.at(-1), { type: "key", number: 4, key: "d", seen: "", oldest: 3 });
    queue.taken(4);
    assert.equal(queue.length, 0);
  });

  test("an answer without a waiting key changes nothing", () => {
    queue.taken(7);
    assert.deepEqual([queue.length, said], [0, []]);
    queue.push("a", "");
    assert.deepEqual(numbers(), [1]);
  });

  test("keys that did not arrive are sent again, in order", () => {
    for (const key of "abcd") queue.push(key, "");
    numbers();
    queue.sendAgain(3);
    assert.deepEqual(numbers(), [3, 4]);
    queue.taken(3);
    queue.sendAgain(1);
    assert.deepEqual(numbers(), [4]);
  });

  test("keys without an answer are sent again after twice the time", () => {
    queue.push("a", "");
    queue.push("b", "");
    numbers();
    clock.tick(REPEAT_MS - 1);
    assert.deepEqual(numbers(), []);
    clock.tick(1);
    assert.deepEqual(numbers(), [1, 2]);
    clock.tick(2 * REPEAT_MS - 1);
    assert.deepEqual(numbers(), []);
    clock.tick(1);
    assert.deepEqual(numbers(), [1, 2]);
    clock.tick(4 * REPEAT_MS);
    assert.deepEqual(numbers(), [1, 2]);
  });

  test("the user is told once that no answer comes, and when it came", () => {
    queue.push("a", "");
    clock.tick(SILENT_MS - 1);
    assert.deepEqual(said, []);
    clock.tick(1 + SILENT_MS);
    assert.deepEqual(said, ["silent"]);
    queue.taken(1);
    assert.deepEqual(said, ["silent", ""]);
    clock.tick(10 * SILENT_MS);
    assert.deepEqual(said, ["silent", ""]);
    assert.deepEqual(numbers().filter((number) => number > 1), []);
  });

  test("the wait for the next key begins with the answer to the last", () => {
    queue.push("a", "");
    queue.push("b", "");
    clock.tick(REPEAT_MS - 1);
    queue.taken(1);
    numbers();
    clock.tick(REPEAT_MS - 1);
    assert.deepEqual(numbers(), []);
    clock.tick(1);
    assert.deepEqual(numbers(), [2]);
  });

  test("a key that a gone kernel refuses is not kept", () => {
    queue.push("a", "");
    queue.send = () => {
      throw new Error("the comm is closed");
    };
    assert.throws(() => queue.push("b", ""), /comm is closed/);
    assert.deepEqual([queue.length, queue.number, said], [1, 1, ["gone"]]);
  });

  test("a closed queue sends nothing more", () => {
    queue.push("a", "");
    numbers();
    queue.close();
    clock.tick(10 * SILENT_MS);
    assert.deepEqual([numbers(), said], [[], []]);
  });
});
