// Keys: spelled as in FORMATS.md, numbered, and sent until the kernel has taken them.

const NAMED = ["Enter", "Escape", "Tab", "Home", "End", "ArrowUp", "ArrowDown", "ArrowLeft", "ArrowRight"];
const AS_TYPED = "?[]"; // Shift only makes these characters
export const REPEAT_MS = 2000; // a key without an answer is sent again after this, then each time after twice as long
export const SILENT_MS = 4000; // after this the user is told

/** A keyboard event as FORMATS.md spells it: letters by what they type, digits by where they are; null for no key. */
export function spell(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return null;
  if (AS_TYPED.includes(event.key)) return event.key;
  const digit = /^Digit(\d)$/.exec(event.code) ?? (/^\d$/.test(event.key) && /^Numpad(\d)$/.exec(event.code));
  let name = null;
  if (digit) name = digit[1];
  else if (event.key === " ") name = "Space";
  else if (NAMED.includes(event.key)) name = event.key;
  else if (/^[a-z]$/i.test(event.key)) name = event.key.toLowerCase();
  return name && (event.shiftKey ? `Shift+${name}` : name);
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
