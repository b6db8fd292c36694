// One thumbnail: made once, used again for whichever image scrolls into its place.

import { element } from "./element.js";
import { LINE } from "./grid_geometry.js";

export class Thumbnail {
  constructor() {
    this.img = element("img", "pickroom-cell-image", { alt: "", decoding: "async", draggable: false });
    this.reason = element("div", "pickroom-cell-reason");
    this.badge = element("div", "pickroom-cell-mark");
    this.label = element("span", "pickroom-cell-label");
    this.words = element("span", "pickroom-cell-words");
    const line = element("div", "pickroom-cell-line", {}, this.label, this.words);
    this.el = element("div", "pickroom-cell", {}, this.img, this.reason, this.badge, line);
  }

  /** Put it somewhere; only what changed is written, since layout is what makes scrolling slow. */
  put(place, [x, y], { width, height }) {
    this.place = place;
    const where = `${x} ${y} ${width} ${height}`;
    if (where === this.where) return;
    this.where = where;
    const transform = `translate(${x}px, ${y}px)`;
    Object.assign(this.el.style, { transform, width: `${width}px`, height: `${height}px` });
    this.img.style.height = `${height - LINE - 8}px`;
  }

  fill(number, thumbnails, { mark, selected, active }) {
    this.el.dataset.place = this.place;
    const url = thumbnails.url("thumb", number);
    if (url !== this.url) {
      this.url = url;
      if (url) this.img.src = url;
      else this.img.removeAttribute("src");
    }
    const reason = url ? "" : (thumbnails.reasons.get(number) ?? "");
    if (reason !== this.reason.textContent) this.reason.textContent = reason;
    const text = thumbnails.texts.get(number) ?? { label: "", words: "", title: "", warn: false };
    if (text !== this.text) {
      this.text = text;
      this.label.textContent = text.label;
      this.words.textContent = text.words;
      this.words.classList.toggle("pickroom-warn", text.warn);
      this.el.title = text.title;
    }
    if (mark?.text !== this.mark?.text || mark?.kind !== this.mark?.kind) {
      this.mark = mark;
      this.badge.textContent = mark?.text ?? "";
      this.el.dataset.mark = mark?.kind ?? "";
    }
    this.el.classList.toggle("pickroom-selected", selected);
    this.el.classList.toggle("pickroom-active", active);
  }
}
