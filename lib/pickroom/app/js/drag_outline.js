// The outline of the box that is being dragged, drawn at once: it follows the pointer while the kernel's drawing of the
// same box is on its way. The kernel's box is the one that counts. The rules are those of sessions/crop/editing.py
// without its whole pixels; lengths are CSS pixels of the layout.

import { element } from "./element.js";

export class DragOutline {
  constructor(parent) {
    this.el = element("div", "pickroom-drag-outline", { hidden: true });
    this.drag = null;
    parent.append(this.el);
  }

  /** What the kernel says with each frame: the drag that is under way, or null. */
  follow({ drag, width, height }) {
    this.drag = drag;
    this.layout = [width, height];
    if (!drag) this.el.hidden = true;
  }

  /** The pointer is here now. */
  move({ x, y }) {
    const box = this.drag && dragged(this.drag, x, y);
    this.el.hidden = !box;
    if (!box) return;
    const percent = box.map((length, i) => `${(100 * length) / this.layout[i % 2]}%`);
    ["left", "top", "width", "height"].forEach((name, i) => (this.el.style[name] = percent[i]));
    this.el.dataset.box = box.join(" ");
  }
}

/**
 * The box (x, y, width, height) of a drag whose pointer is at a place; null while it is too small to be meant.
 * @param drag `DragShape` of stage.py
 */
export function dragged({ mode, start, box, bounds, ratio, at, least }, x, y) {
  const axes = [0, 1];
  const pointer = [x, y];
  const ends = axes.map((i) => bounds[i] + bounds[i + 2]);
  if (mode === "move") {
    const corner = axes.map((i) => clamp(box[i] + pointer[i] - start[i], bounds[i], ends[i] - box[i + 2]));
    return [...corner, ...box.slice(2)];
  }
  // drawn: from the start; a handle: from what lies opposite, an edge's other axis growing about its middle (way 0)
  const drawn = mode === "draw";
  const anchor = axes.map((i) => (drawn ? clamp(start[i], bounds[i], ends[i]) : box[i] + (1 - at[i]) * box[i + 2]));
  const way = axes.map((i) => (drawn ? (pointer[i] >= anchor[i] ? 1 : -1) : 2 * at[i] - 1));
  const end = axes.map((i) => (drawn ? pointer[i] : box[i] + at[i] * box[i + 2] + pointer[i] - start[i]));
  // a handle pulled over to the other side stops there
  const sides = axes.map((i) => Math.max(0, way[i] * (end[i] - anchor[i])));
  const room = axes.map((i) => {
    const [before, after] = [anchor[i] - bounds[i], ends[i] - anchor[i]];
    if (way[i] === 0) return 2 * Math.min(before, after);
    return way[i] > 0 ? after : before;
  });
  let size = axes.map((i) => (way[i] ? Math.min(sides[i], room[i]) : box[i + 2]));
  if (ratio) {
    const wide = Math.min(Math.max(sides[0], sides[1] * ratio), room[0], room[1] * ratio);
    size = [wide, wide / ratio];
  }
  if (way[0] && way[1] && Math.min(...size) < least) return null;
  return [...axes.map((i) => anchor[i] - (size[i] * (1 - way[i])) / 2), ...size];
}

function clamp(value, low, high) {
  return Math.min(Math.max(value, low), high);
}
