// The coordinates of the crop under the pointer, in the corner of its box; the kernel drew the box and wrote the words.

import { element, place } from "./element.js";

export class CropWords {
  constructor(parent) {
    this.el = element("div", "pickroom-crop-words", { hidden: true });
    parent.append(this.el);
  }

  /** Cells whose crops are on screen, the pointer (null: not over the view), and the size of the layout. */
  show(cells, pointer, { width, height }) {
    const crop = pointer && cropAt(cells, pointer);
    this.el.hidden = !crop;
    if (!crop) return;
    place(this.el, crop.box.slice(0, 2), [width, height]);
    this.el.textContent = crop.words;
  }
}

/** The crop whose box holds a place; undefined where none does. */
export function cropAt(cells, { x, y }) {
  const holds = ([left, top, w, h]) => x >= left && x <= left + w && y >= top && y <= top + h;
  return cells.map((cell) => cell.crop).find((crop) => crop && holds(crop.box));
}
