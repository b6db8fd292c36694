// The pictures of an image view: encoded bytes by name (a sha256), which the page asks the kernel for when they are
// missing, and bitmaps of the frames that are near, ready to draw. A page that lost them asks again.

const KEPT = 60; // encoded previews, least recently used first out (about 12 MB of 1024-px JPEGs)
const AHEAD_AT_ONCE = 2; // pictures asked for ahead of time; a key pressed meanwhile waits for these two at most
const ANSWER_MS = 10000; // a picture not sent after this is asked for again
const TRIES = 3;

export class PictureCache {
  /**
   * @param send (message) => void: to the kernel
   * @param changed (name) => void: a picture arrived, became ready to draw, or was refused
   */
  constructor(send, changed) {
    Object.assign(this, { send, changed });
    this.blobs = new Map(); // name -> Blob
    this.reasons = new Map(); // name -> why it cannot be shown
    this.fitted = new Map(); // "name@WxH" -> ImageBitmap, or the promise of one
    this.whole = new Map(); // "kind:name" -> ImageBitmap, or the promise of one (zoom)
    this.asked = new Map(); // "kind:name" -> {timer, ahead}
  }

  /** Ask for these now, all at once: they are on screen. */
  need(names, kind = "preview") {
    this.ask(names.filter((name) => this.lacks(name, kind)), kind, false);
  }

  /** Ask for the first few of these that are missing; call again whenever the page is idle. */
  prefetch(names) {
    const running = [...this.asked.values()].filter((one) => one.ahead).length;
    const missing = [...new Set(names)].filter((name) => this.lacks(name, "preview"));
    this.ask(missing.slice(0, Math.max(0, AHEAD_AT_ONCE - running)), "preview", true);
  }

  lacks(name, kind) {
    if (this.asked.has(`${kind}:${name}`) || this.reasons.has(name)) return false;
    return kind === "preview" ? !this.blobs.has(name) : !this.whole.has(`original:${name}`);
  }

  ask(names, kind, ahead, tries = 1) {
    if (!names.length) return;
    for (const name of names) {
      const timer = setTimeout(() => {
        this.asked.delete(`${kind}:${name}`);
        if (tries < TRIES) this.ask([name], kind, ahead, tries + 1);
      }, ANSWER_MS * tries);
      this.asked.set(`${kind}:${name}`, { timer, ahead });
    }
    this.send({ type: "want", kind, names });
  }

  /** One picture as the kernel sent it, or the reason why it cannot be shown. */
  receive({ name, kind, mime, reason }, buffers) {
    const key = `${kind}:${name}`;
    clearTimeout(this.asked.get(key)?.timer);
    this.asked.delete(key);
    if (reason === undefined && !mime) return; // asked for a frame that has gone by
    const blob = mime && new Blob([buffers[0]], { type: mime });
    if (kind === "original") {
      if (blob) this.decode(this.whole, key, blob, {}, name);
      else this.whole.set(key, null); // zoom goes on with the preview
    } else if (blob) {
      this.blobs.set(name, blob);
      for (const old of [...this.blobs.keys()].slice(0, Math.max(0, this.blobs.size - KEPT))) this.blobs.delete(old);
    } else this.reasons.set(name, reason);
    this.changed(name);
  }

  /** The picture at exactly this many device pixels, undefined while it is not ready. */
  fit(name, width, height) {
    const blob = this.blobs.get(name);
    const key = `${name}@${width}x${height}`;
    if (blob) {
      this.blobs.delete(name);
      this.blobs.set(name, blob); // most recently used
      const options = { resizeWidth: width, resizeHeight: height, resizeQuality: "high" };
      if (!this.fitted.has(key)) this.decode(this.fitted, key, blob, options, name);
    }
    return ready(this.fitted.get(key));
  }

  /** The original if it is here, else the preview, both whole; undefined while neither is ready. */
  full(name) {
    const original = ready(this.whole.get(`original:${name}`));
    if (original) return original;
    const key = `preview:${name}`;
    const blob = this.blobs.get(name);
    if (blob && !this.whole.has(key)) this.decode(this.whole, key, blob, {}, name);
    return ready(this.whole.get(key));
  }

  /** Whether the original is still on its way. */
  sharpening(name) {
    const key = `original:${name}`;
    return this.asked.has(key) || this.whole.get(key) instanceof Promise;
  }

  decode(store, key, blob, options, name) {
    const promise = createImageBitmap(blob, options).then(
      (bitmap) => {
        if (store.get(key) === promise) store.set(key, bitmap);
        else bitmap.close(); // forgotten meanwhile
        this.changed(name);
      },
      () => {
        if (store === this.fitted) this.reasons.set(name, "this browser cannot decode it");
        store.set(key, null);
        this.changed(name);
      },
    );
    store.set(key, promise);
  }

  /** Free the bitmaps of pictures that are neither shown nor near. */
  keepBitmaps(names) {
    this.free(this.fitted, (key) => names.has(key.split("@")[0]));
  }

  /** Free what zooming decoded, up to 80 MB per image, but of these names. */
  dropWhole(names = []) {
    this.free(this.whole, (key) => names.includes(key.split(":")[1]));
  }

  free(store, keeps) {
    for (const [key, held] of store) {
      if (keeps(key)) continue;
      ready(held)?.close();
      store.delete(key);
    }
  }
}

function ready(held) {
  return held instanceof ImageBitmap ? held : undefined;
}
