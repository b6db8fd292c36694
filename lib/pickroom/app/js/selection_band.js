// The pointer over the grid: a click on a thumbnail or a header, or a rubber band around several; it scrolls at an edge.
// What is caught is worked out, not measured, and marked at once; the kernel's answer is the one that counts.

const SLOP = 5; // CSS pixels a pointer may move and still click
const EDGE = 36; // this near to an edge, a rubber band scrolls

class Band {
  /**
   * @param view the GridView: its `el`, `space`, `geometry`
   * @param press (key) => void: what the click or the band stands for
   */
  constructor(view, press) {
    Object.assign(this, { view, press, drag: null });
    this.el = Object.assign(document.createElement("div"), { className: "pickroom-grid-band", hidden: true });
    view.space.append(this.el);
    view.on(view.el, "pointerdown", (event) => this.down(event));
    view.on(view.el, "pointermove", (event) => this.move(event));
    view.on(view.el, "pointerup", (event) => this.up(event));
    view.on(view.el, "pointercancel", (event) => this.up(event));
  }

  /** Whether the band being drawn is around a place. */
  holds(place) {
    return this.drag?.caught?.has(place) ?? false;
  }

  /** CSS pixels from the top left of the board, however far it is scrolled. */
  point(event) {
    const rect = this.view.space.getBoundingClientRect();
    return [event.clientX - rect.left, event.clientY - rect.top];
  }

  down(event) {
    const { el } = this.view;
    if (event.button !== 0 || event.clientX > el.getBoundingClientRect().left + el.clientWidth) return; // the scroll bar
    event.preventDefault();
    if (!this.view.claim()) {
      this.view.comeIntoView();
      return;
    }
    const cell = event.target.closest(".pickroom-cell");
    const header = event.target.closest(".pickroom-grid-header");
    this.drag = { from: this.point(event), place: cell?.dataset.place, section: header?.dataset.section, event };
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
    const [left, top] = [0, 1].map((i) => Math.min(drag.from[i], to[i]));
    const [right, bottom] = [0, 1].map((i) => Math.max(drag.from[i], to[i]));
    drag.runs = this.view.geometry.touched([left, top, right, bottom]);
    drag.caught = new Set(drag.runs.flatMap(([first, last]) => span(first, last - first + 1)));
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
      const by = y < top + EDGE ? y - top - EDGE : y > bottom - EDGE ? y - bottom + EDGE : 0;
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
    if (!drag) return;
    const add = event.ctrlKey || event.metaKey;
    const how = event.shiftKey ? "+shift" : add ? "+ctrl" : "";
    if (drag.moved) this.press(`band${how}:${(drag.runs ?? []).map((run) => run.join("-")).join(",")}`);
    else if (event.type !== "pointerup") return;
    else if (drag.place !== undefined) this.press(`click${how}:${drag.place}`);
    else if (drag.section !== undefined) this.press(`section${how}:${drag.section}`);
    else if (!how) this.press("band:"); // a click beside everything selects nothing
  }
}

function span(first, count) {
  return Array.from({ length: Math.max(0, count) }, (_, i) => first + i);
}
