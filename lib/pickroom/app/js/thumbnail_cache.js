// The thumbnails one page holds of one grid, shared by its views: Blob URLs by number, least recently used first out,
// and the words under them. Asked of the kernel a few at a time, those on screen first: a jump far down waits for no
// more than the chunks that are on their way. Nothing here is a truth: a page that lost it all asks again.

const THUMBS_KEPT = 2000; // about 25 MB of 256-px JPEGs
const LARGE_KEPT = 12;
const CHUNK = 12; // thumbnails in one message
const CHUNKS_AT_ONCE = 2;
const ASK_AGAIN_MS = 10000;

class Thumbs {
  /**
   * @param send (message) => void: to the kernel
   * @param changed () => void: something arrived
   */
  constructor(page, send, changed) {
    Object.assign(this, { page, send, changed });
    this.urls = { thumb: new Map(), large: new Map() }; // number -> Blob URL
    this.reasons = new Map(); // number -> why it cannot be shown
    this.texts = new Map(); // number -> {version, label, words, title, warn}
    this.asked = new Map(); // "kind number" -> time
    this.chunks = 0;
  }

  url(kind, number) {
    const kept = this.urls[kind];
    const url = kept.get(number);
    if (url) {
      kept.delete(number);
      kept.set(number, url); // most recently used
    }
    return url;
  }

  /** Ask for the first of these that are missing; numbers in the order in which they matter. */
  want(numbers, large, version) {
    const now = performance.now();
    for (const [key, since] of this.asked) {
      if (now - since < ASK_AGAIN_MS) continue;
      this.asked.delete(key);
      this.chunks = 0;
    }
    const fresh = (kind) => (n) => !this.asked.has(`${kind} ${n}`);
    const texts = numbers.filter((n) => this.texts.get(n)?.version !== version).filter(fresh(`text${version}`));
    const room = this.chunks < CHUNKS_AT_ONCE ? CHUNK : 0;
    const thumbs = room ? numbers.filter((n) => this.lacks("thumb", n)).filter(fresh("thumb")).slice(0, room) : [];
    const whole = large.filter((n) => this.lacks("large", n)).filter(fresh("large"));
    if (!texts.length && !thumbs.length && !whole.length) return;
    for (const n of texts) this.asked.set(`text${version} ${n}`, now);
    for (const n of thumbs) this.asked.set(`thumb ${n}`, now);
    for (const n of whole) this.asked.set(`large ${n}`, now);
    if (thumbs.length) this.chunks += 1;
    this.send({ type: "want", page: this.page, texts, thumbs, large: whole, version });
  }

  lacks(kind, number) {
    return !this.urls[kind].has(number) && !this.reasons.has(number);
  }

  receiveTexts({ version, rows }) {
    for (const [number, label, words, title, warn] of rows) {
      this.asked.delete(`text${version} ${number}`);
      this.texts.set(number, { version, label, words, title, warn });
    }
    this.changed();
  }

  receivePictures({ kind, rows }, buffers) {
    const kept = this.urls[kind];
    let next = 0;
    for (const [number, reason] of rows) {
      this.asked.delete(`${kind} ${number}`);
      if (reason !== null) this.reasons.set(number, reason);
      else kept.set(number, URL.createObjectURL(new Blob([buffers[next++]], { type: "image/jpeg" })));
    }
    const most = kind === "thumb" ? THUMBS_KEPT : LARGE_KEPT;
    for (const [number, url] of [...kept].slice(0, Math.max(0, kept.size - most))) {
      kept.delete(number);
      URL.revokeObjectURL(url);
    }
    if (kind === "thumb") this.chunks = Math.max(0, this.chunks - 1);
    this.changed();
  }
}
