// Keys: spelled as in FORMATS.md, numbered, and sent until the kernel has taken them.

const NAMED = ["Enter", "Escape", "Tab", "Home", "End", "ArrowUp", "ArrowDown", "ArrowLeft", "ArrowRight"];
const FULL_WIDTH = /[\uff01-\uff5e]/g; // of Chinese and Japanese input methods: each 0xfee0 above its ASCII character
const SIGNS = { KeyQ: "/;:", KeyW: "'" }; // Hebrew and Greek layouts type them here, Latin ones others
const PLACES = { Space: " ", "Shift+Space": " ", BracketLeft: "[", BracketRight: "]", "Shift+Slash": "?" };
const AS_TYPED = "?[]"; // Shift only makes these characters
export const REPEAT_MS = 2000; // a key without an answer is sent again after this, then each time after twice as long
export const SILENT_MS = 4000; // after this the user is told

/**
 * A keyboard event as FORMATS.md spells it: what the key types, or null. Where that is not a Latin letter (Cyrillic, Greek,
 * Thai, an input method) or no digit, the key's place on a US keyboard decides: `code`, W3C UI Events KeyboardEvent code.
 */
export function spell({ key: typed, code, ctrlKey, metaKey, altKey, shiftKey }) {
  let key = String(typed).replace(FULL_WIDTH, (sign) => String.fromCharCode(sign.charCodeAt(0) - 0xfee0));
  if (ctrlKey || metaKey || (altKey && !AS_TYPED.includes(key))) return null; // Option types brackets on some Macs
  const shift = shiftKey ? "Shift+" : "";
  const foreign = /\P{ASCII}/u.test(key) && !/\p{Script=Latin}/u.test(key);
  if (foreign || ["Process", "Unidentified"].includes(key) || SIGNS[code]?.includes(key)) {
    key = /^(?:Key|Numpad)([A-Z\d]|Enter)$/.exec(code)?.[1] ?? PLACES[shift + code] ?? code;
  }
  if (AS_TYPED.includes(key)) return key;
  const digit = /^\d$/.exec(key) ?? /^Digit(\d)$/.exec(code);
  let name = null;
  if (digit) name = digit.at(-1);
  else if (key === " ") name = "Space";
  else if (NAMED.includes(key)) name = key;
  else if (/^[a-z]$/i.test(key)) name = key.toLowerCase();
  else if (/^[ıİ]$/.test(key)) name = "i"; // Turkish keyboards have two keys for this letter
  return name && shift + name;
}

/** The keys of one view that wait for their answer; the kernel takes each number once, and in order. */
export class KeyQueue {
  /**
   * @param send (message) => void: to the kernel; throws when the kernel that made this widget is gone
   * @param say ("silent" | "gone" | "") => void: to the user
   */
  constructor(send, say) {
    Object.assign(this, { send, say });
    this.number = 0; // of the last key sent
    this.pending = []; // oldest first
  }

  get length() {
    return this.pending.length;
  }

  push(key, seen) {
    this.number += 1;
    this.pending.push({ type: "key", number: this.number, key, seen });
    try {
      this.sendAgain(this.number);
    } catch (error) {
      this.pending.pop(); // it is not recorded, and never will be
      this.number -= 1;
      this.say("gone");
      throw error;
    }
    if (this.length === 1) this.expectAnswer();
  }

  /** Send every waiting key from this number on. */
  sendAgain(from = 0) {
    for (const sent of this.pending) {
      if (sent.number >= from) this.send({ ...sent, oldest: this.pending[0].number });
    }
  }

  expectAnswer(wait = REPEAT_MS) {
    clearTimeout(this.repeating);
    this.silent ??= setTimeout(() => this.say("silent"), SILENT_MS);
    this.repeating = setTimeout(() => {
      this.sendAgain();
      this.expectAnswer(2 * wait);
    }, wait);
  }

  /** The kernel has taken every key up to this number. */
  taken(number) {
    if (!this.length) return;
    this.pending = this.pending.filter((sent) => sent.number > number);
    this.close();
    this.say("");
    if (this.length) this.expectAnswer();
  }

  close() {
    clearTimeout(this.repeating);
    clearTimeout(this.silent);
    this.silent = null;
  }
}
