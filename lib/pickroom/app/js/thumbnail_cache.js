// The thumbnails of a grid: Blob URLs by number, least recently used first out, and the words under them. The page asks
// the kernel for a few at a time, those on screen first, so that a jump far down waits only for the chunks that are on
// their way. A page that lost them asks again.

const KEPT = { thumb: 2000, large: 12 }; // 2000 are about 25 MB of 256-px JPEGs
const CHUNK = 12; // thumbnails in one message
const CHUNKS_AT_ONCE = 2;
export const ASK_AGAIN_MS = 10000;

export class ThumbnailCache {
  /**
   * @param send (message) => void: to the kernel
   * @param changed () => void: something arrived
   */
  constructor(send, changed) {
    Object.assign(this, { send, changed });
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
    const fresh = (kind, missing, most = missing.length) => {
      const chosen = missing.filter((n) => !this.asked.has(`${kind} ${n}`)).slice(0, most);
      for (const n of chosen) this.asked.set(`${kind} ${n}`, now);
      return chosen;
    };
    const texts = fresh(`text${version}`, numbers.filter((n) => this.texts.get(n)?.version !== version));
    const room = this.chunks < CHUNKS_AT_ONCE ? CHUNK : 0;
    const thumbs = fresh("thumb", numbers.filter((n) => this.lacks("thumb", n)), room);
    const whole = fresh("large", large.filter((n) => this.lacks("large", n)));
    if (thumbs.length) this.chunks += 1;
    if (texts.length + thumbs.length + whole.length) this.send({ type: "want", texts, thumbs, large: whole, version });
  }

  lacks(kind, number) {
    return !this.urls[kind].has(number) && !this.reasons.has(number);
  }

  receive({ type, kind, version, rows }, buffers) {
    for (const [number, label, words, title, warn] of type === "texts" ? rows : []) {
      this.asked.delete(`text${version} ${number}`);
      this.texts.set(number, { version, label, words, title, warn });
    }
    if (type === "pictures") this.keep(kind, rows, buffers);
    this.changed();
  }

  keep(kind, rows, buffers) {
    const kept = this.urls[kind];
    let next = 0;
    for (const [number, reason] of rows) {
      this.asked.delete(`${kind} ${number}`);
      if (reason !== null) this.reasons.set(number, reason);
      else kept.set(number, URL.createObjectURL(new Blob([buffers[next++]], { type: "image/jpeg" })));
    }
    for (const [number, url] of [...kept].slice(0, Math.max(0, kept.size - KEPT[kind]))) {
      kept.delete(number);
      URL.revokeObjectURL(url);
    }
    if (kind === "thumb") this.chunks = Math.max(0, this.chunks - 1);
  }
}
