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
  const [bx, by, bw, bh] = box;
  const [ix, iy, iw, ih] = bounds;
  const [dx, dy] = [x - start[0], y - start[1]];
  if (mode === "move") return [clamp(bx + dx, ix, ix + iw - bw), clamp(by + dy, iy, iy + ih - bh), bw, bh];
  if (mode === "draw") {
    const anchor = [clamp(start[0], ix, ix + iw), clamp(start[1], iy, iy + ih)];
    const way = [x >= anchor[0] ? 1 : -1, y >= anchor[1] ? 1 : -1];
    return fromCorner(anchor, [Math.abs(x - anchor[0]), Math.abs(y - anchor[1])], way, bounds, ratio, least);
  }
  // a handle: what lies opposite stays, and a handle pulled over to the other side stops there
  const way = [2 * at[0] - 1, 2 * at[1] - 1];
  const anchor = [bx + (1 - at[0]) * bw, by + (1 - at[1]) * bh];
  const sides = [
    Math.max(0, way[0] * (bx + at[0] * bw + dx - anchor[0])),
    Math.max(0, way[1] * (by + at[1] * bh + dy - anchor[1])),
  ];
  if (way[0] && way[1]) return fromCorner(anchor, sides, way, bounds, ratio, least);
  const axis = way[0] ? 0 : 1;
  return fromEdge(box, anchor, sides[axis], way[axis], axis, bounds, ratio);
}

/** From a corner that stays, toward a way (1 or -1 for x and y), inside the bounds and in shape. */
function fromCorner(anchor, sides, way, bounds, ratio, least) {
  const room = [0, 1].map((i) => roomToward(anchor, way[i], i, bounds));
  let [wide, tall] = sides.map((side, i) => Math.min(side, room[i]));
  if (ratio) {
    wide = Math.min(Math.max(sides[0], sides[1] * ratio), room[0], room[1] * ratio);
    tall = wide / ratio;
  }
  if (Math.min(wide, tall) < least) return null;
  return [way[0] > 0 ? anchor[0] : anchor[0] - wide, way[1] > 0 ? anchor[1] : anchor[1] - tall, wide, tall];
}

/** An edge pulled to a distance from the opposite one; in shape, the other axis (1 - i) grows about its middle. */
function fromEdge(box, anchor, side, way, i, bounds, ratio) {
  const j = 1 - i;
  const shape = ratio && (i === 0 ? ratio : 1 / ratio); // this axis over the other
  let along = Math.min(side, roomToward(anchor, way, i, bounds));
  let across = shape ? along / shape : box[j + 2];
  const room = 2 * Math.min(roomToward(anchor, -1, j, bounds), roomToward(anchor, 1, j, bounds));
  if (shape && across > room) [along, across] = [room * shape, room];
  const result = [];
  result[i] = way > 0 ? anchor[i] : anchor[i] - along;
  result[j] = shape ? anchor[j] - across / 2 : box[j];
  result[i + 2] = along;
  result[j + 2] = across;
  return result;
}

/** How far the bounds reach from a point, toward a way on one axis. */
function roomToward(point, way, axis, bounds) {
  return way > 0 ? bounds[axis] + bounds[axis + 2] - point[axis] : point[axis] - bounds[axis];
}

function clamp(value, low, high) {
  return Math.min(Math.max(value, low), high);
}
