// One image large over the grid, with what is said about it; a click closes it.

import { element } from "./element.js";

export class LargeImage {
  constructor() {
    this.picture = element("img", "");
    this.caption = element("div", "");
    this.el = element("div", "pickroom-grid-large", { hidden: true }, this.picture, this.caption);
  }

  /** Show an image by its number, with its mark; null shows none. */
  show(number, thumbnails, mark) {
    this.el.hidden = number === null;
    if (number === null) return;
    const url = thumbnails.url("large", number) ?? thumbnails.url("thumb", number);
    if (url && this.picture.src !== url) this.picture.src = url;
    this.picture.hidden = !url;
    const text = thumbnails.texts.get(number);
    const words = [text?.title || text?.label, text?.words];
    const reason = thumbnails.reasons.get(number);
    this.caption.textContent = [...(reason ? [reason] : words), mark?.text].filter(Boolean).join("  ·  ");
    this.el.dataset.mark = mark?.kind ?? "";
  }
}
