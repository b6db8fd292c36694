// The pointer over the grid: a click on a thumbnail or a header, or a band around several, which scrolls at an edge.
// What the band touches is calculated and shown at once; the kernel's answer is the one that counts.

import { element } from "./element.js";
import { range } from "./grid_geometry.js";

const SLOP = 5; // CSS pixels a pointer may move and still click
const EDGE = 36; // this near to an edge, a band scrolls

export class SelectionBand {
  /** @param view the GridView: its `el`, `space`, `geometry`; `press(key)` takes what a click or a band stands for */
  constructor(view) {
    Object.assign(this, { view, drag: null });
    this.el = element("div", "pickroom-grid-band", { hidden: true });
    view.space.append(this.el);
    view.on(view.el, "pointerdown", (event) => this.down(event));
    view.on(view.el, "pointermove", (event) => this.move(event));
    view.on(view.el, "pointerup", (event) => this.up(event));
    view.on(view.el, "pointercancel", (event) => this.up(event));
  }

  /** Whether the band being drawn touches a place. */
  holds(place) {
    return this.drag?.caught?.has(place) ?? false;
  }

  /** CSS pixels from the top left of the grid's content, however far it is scrolled. */
  point(event) {
    const rect = this.view.space.getBoundingClientRect();
    return [event.clientX - rect.left, event.clientY - rect.top];
  }

  down(event) {
    const { el } = this.view;
    const onScrollBar = event.clientX > el.getBoundingClientRect().left + el.clientWidth;
    if (event.button !== 0 || onScrollBar) return;
    event.preventDefault();
    if (!this.view.claim()) {
      this.view.comeIntoView();
      return;
    }
    const place = event.target.closest(".pickroom-cell")?.dataset.place;
    const section = event.target.closest(".pickroom-grid-header")?.dataset.section;
    this.drag = { from: this.point(event), place, section, event };
    el.setPointerCapture(event.pointerId);
  }

  move(event) {
    const { drag } = this;
    if (!drag) return;
    const to = this.point(event);
    drag.moved ||= Math.hypot(to[0] - drag.from[0], to[1] - drag.from[1]) > SLOP;
    if (!drag.moved) return;
    drag.event = event;
    this.stretch();
    this.scrollAtEdge();
  }

  stretch() {
    const { drag } = this;
    const to = this.point(drag.event);
    const [left, top] = to.map((at, i) => Math.min(drag.from[i], at));
    const [right, bottom] = to.map((at, i) => Math.max(drag.from[i], at));
    drag.runs = this.view.geometry.touched([left, top, right, bottom]);
    drag.caught = new Set(drag.runs.flatMap(([first, last]) => range(first, last - first + 1)));
    const style = { left: `${left}px`, top: `${top}px`, width: `${right - left}px`, height: `${bottom - top}px` };
    Object.assign(this.el.style, style);
    this.el.hidden = false;
    this.view.drawSoon();
  }

  scrollAtEdge() {
    if (this.edging) return;
    const step = () => {
      this.edging = 0;
      if (!this.drag?.moved) return;
      const { top, bottom } = this.view.el.getBoundingClientRect();
      const y = this.drag.event.clientY;
      const by = Math.min(0, y - top - EDGE) || Math.max(0, y - bottom + EDGE);
      if (!by) return;
      this.view.el.scrollTop += by / 2;
      this.stretch();
      this.edging = requestAnimationFrame(step);
    };
    this.edging = requestAnimationFrame(step);
  }

  up(event) {
    const { drag } = this;
    this.drag = null;
    this.el.hidden = true;
    if (drag && (drag.moved || event.type === "pointerup")) {
      const key = keyOf(drag, event);
      if (key) this.view.press(key);
    }
  }
}

/** What a click or a band stands for, as FORMATS.md spells it; null for a click that changes nothing. */
export function keyOf({ moved, runs = [], place, section }, { shiftKey, ctrlKey, metaKey }) {
  const how = shiftKey ? "+shift" : ctrlKey || metaKey ? "+ctrl" : "";
  if (moved) return `band${how}:${runs.map((run) => run.join("-")).join(",")}`;
  if (place !== undefined) return `click${how}:${place}`;
  if (section !== undefined) return `section${how}:${section}`;
  return how ? null : "band:"; // a click on nothing selects nothing
}
