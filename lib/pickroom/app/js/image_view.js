// The image view: the pictures of a frame, the pointer over them, and where keys lead. stage.py says which messages it
// exchanges with the kernel. It holds only pictures and keys that are not answered yet: what the kernel says wins.

import { DragOutline } from "./drag_outline.js";
import { element } from "./element.js";
import { Painter } from "./painter.js";
import { PictureCache } from "./picture_cache.js";
import { View, widgetOf } from "./view.js";
import { Zoom } from "./zoom.js";

const CLICK_SLOP = 4; // CSS pixels a pointer may move and still click
const MOVES_AHEAD = 3; // pointer moves sent before the first of them is answered
const MOVE_MS = 1000; // answers that got lost hold the next move up no longer than this

class ImageView extends View {
  constructor(model, el, pictures) {
    super(model);
    this.pictures = pictures;
    this.zoom = new Zoom();
    this.scene = null; // the kernel's last answer
    this.shown = null; // {token, cells} on screen
    this.position = 0;
    this.predicted = false; // the page swapped to what is on screen; the kernel has not drawn it yet
    this.guessing = true; // for every key that waits, the page knows where it leads
    this.pointer = null;
    this.drag = null;
    this.moved = null; // the last pointer event that was not sent yet
    this.unanswered = 0; // pointer moves sent
    this.hadFocus = false;
    this.el = element("div", "pickroom-image-view", { tabIndex: 0, role: "application", ariaLabel: "Images" });
    this.painter = new Painter(this.el, pictures, this.zoom);
    this.captions = element("div", "pickroom-captions");
    this.outline = new DragOutline(this.el);
    this.el.append(this.captions, this.note);
    el.append(this.el);
    this.listen();
  }

  listen() {
    super.listen();
    this.on(this.el, "pointerdown", this.onPointerDown);
    this.on(this.el, "pointermove", this.onPointerMove);
    this.on(this.el, "pointerup", this.onPointerUp);
    this.on(this.el, "pointercancel", this.onPointerUp);
    this.on(this.el, "pointerleave", () => (this.pointer = null));
    const showCursor = () => (this.el.style.cursor = this.model.get("cursor"));
    this.model.on("change:cursor", showCursor); // anywidget takes it off when the view closes
    showCursor();
  }

  close() {
    super.close();
    clearTimeout(this.moving);
  }

  receive(content) {
    super.receive(content);
    if (content.type === "frame") this.onFrame(content);
    else if (content.type === "moved") this.onMoved();
  }

  viewportChanged(appeared) {
    this.send({ type: appeared ? "hello" : "size", ...this.viewport });
  }

  /** After every attach: the overlay must not take the keys, and the focus is taken back if it was here. */
  attach() {
    super.attach();
    const box = this.el.closest(".pickroom-layers");
    for (const canvas of box?.querySelectorAll(".pickroom-overlay") ?? []) canvas.tabIndex = -1;
    this.takeFocusBack();
  }

  onFocus(on) {
    // focus lost by a detach is taken back on return; focus that the user moved elsewhere is not
    if (on || this.el.isConnected) this.hadFocus = on;
    super.onFocus(on);
  }

  takeFocusBack() {
    const free = !document.activeElement || document.activeElement === document.body;
    if (this.hadFocus && free) this.focus();
  }

  /** Names what is on screen. */
  get token() {
    return this.shown?.token ?? "";
  }

  press(key) {
    super.press(key);
    this.guess(key);
  }

  /** Swap at once to where the key leads, when that is known and the frame is here. */
  guess(key) {
    const alone = this.keys.length === 1; // no other key waits for its answer
    if (!this.scene || (!alone && !this.guessing)) return;
    const { destinations, steps, count, ahead } = this.scene;
    let target;
    if (alone && key in destinations) target = destinations[key];
    else if (key in steps) target = Math.max(0, Math.min(count - 1, this.position + steps[key]));
    if (target === this.position) return;
    const frame = ahead.find(([position]) => position === target)?.[1];
    this.guessing = frame !== undefined;
    if (frame) this.put(frame, target, true);
  }

  onFrame(scene) {
    const grown = scene.height !== this.scene?.height;
    this.scene = scene;
    this.outline.follow(scene);
    if (this.drag?.moved && this.pointer) this.outline.move(this.pointer);
    this.keys.taken(scene.applied[this.id] ?? 0);
    this.greetOnce();
    if (this.keys.length && this.guessing) return; // the page is further on; the answer to its key will come
    this.guessing = this.keys.length === 0;
    this.zoomTo(scene);
    this.put(scene.frame, scene.position, false, grown);
    this.takeFocusBack();
  }

  zoomTo(scene) {
    const known = scene.frame.token === this.shown?.token;
    if (scene.zoom && !(this.zoom.on === scene.zoom && known)) {
      const under = known && this.pointer ? this.cellAt(this.pointer) : null;
      this.zoom.start(scene.zoom, scene.frame.cells, under, this.pointer);
    }
    this.zoom.on = scene.zoom;
    if (scene.zoom === "full") for (const cell of scene.frame.cells) this.pictures.need([cell.name], "original");
  }

  put(frame, position, predicted, grown = false) {
    const changed = frame.token !== this.shown?.token;
    const names = frame.cells.map((cell) => cell.name);
    if (changed) this.pictures.dropWhole(names);
    if (changed && predicted) this.zoom.on = "";
    Object.assign(this, { shown: frame, position, predicted });
    this.pictures.need(names);
    if (predicted) {
      this.layers().classList.add("pickroom-ahead"); // the overlay still shows the frame before
      this.paint();
      return;
    }
    // ipycanvas draws in promises that began before this message: by the next painted frame they are done
    requestAnimationFrame(() => {
      if (this.predicted) return; // a key came in between
      this.paint();
      this.layers().classList.remove("pickroom-ahead");
      const { number, applied } = this.scene;
      Object.assign(this.el.dataset, { settled: number, position: this.position, answered: applied[this.id] ?? 0 });
      if (grown) this.comeIntoView();
      this.prefetchSoon();
    });
  }

  /** Ask for the neighbours' pictures in the idle moment after a frame, never before an answer that is due. */
  prefetchSoon() {
    const idle = window.requestIdleCallback ?? ((work) => setTimeout(work, 30));
    const prefetch = () => {
      if (this.keys.length || !this.scene) return;
      const cells = this.scene.ahead.flatMap(([, frame]) => frame.cells);
      this.pictures.prefetch(cells.map((cell) => cell.name));
      this.pictures.keepBitmaps(new Set([...cells, ...this.shown.cells].map((cell) => cell.name)));
      for (const cell of cells) this.painter.fitted(cell); // decode ahead, so that a swap only draws
    };
    idle(prefetch, { timeout: 300 });
  }

  paint() {
    const { token, cells, label, captions } = this.shown;
    const drawn = this.painter.paint(this.scene, this.shown);
    if (captions !== this.said) this.captions.innerHTML = captions;
    this.said = captions;
    this.el.classList.toggle("pickroom-zoomed", Boolean(this.zoom.on));
    this.el.ariaLabel = label;
    Object.assign(this.el.dataset, { token, drawn, images: cells.length });
  }

  cacheChanged(name) {
    if (this.shown?.cells.some((cell) => cell.name === name)) this.paint();
    this.prefetchSoon();
  }

  /** Layout coordinates: a view narrower than the layout shows it scaled down. */
  point(event) {
    const rect = this.painter.canvas.getBoundingClientRect();
    const scale = (this.scene?.width ?? rect.width) / rect.width;
    return { x: (event.clientX - rect.left) * scale, y: (event.clientY - rect.top) * scale };
  }

  cellAt({ x, y }) {
    const inBox = ([left, top, w, h]) => x >= left && x < left + w && y >= top && y < top + h;
    return this.shown?.cells.find((cell) => inBox(this.zoom.on ? cell.window : cell.box)) ?? null;
  }

  onPointerDown(event) {
    const here = this.claim();
    if (event.button !== 0 || !this.shown || event.target.closest(".pickroom-note, button")) return;
    event.preventDefault();
    this.pointer = this.point(event); // before the notebook scrolls
    this.comeIntoView();
    if (!here) return;
    const from = { x: event.clientX, y: event.clientY }; // of the window
    this.drag = { from, last: this.pointer, cell: this.cellAt(this.pointer), moved: false };
    this.el.setPointerCapture(event.pointerId);
    this.forward("down");
  }

  onPointerMove(event) {
    this.pointer = this.point(event);
    const { drag } = this;
    if (drag) {
      drag.moved ||= Math.hypot(event.clientX - drag.from.x, event.clientY - drag.from.y) > CLICK_SLOP;
      if (drag.moved && this.zoom.on && drag.cell) {
        this.zoom.pan(drag.cell, this.pointer.x - drag.last.x, this.pointer.y - drag.last.y);
        this.paint();
      }
      if (drag.moved) this.outline.move(this.pointer);
      drag.last = this.pointer;
    }
    this.moved = event;
    this.sendMove();
  }

  /** Where the pointer is now, unless the kernel is behind: moves never pile up, and the last one is never lost. */
  sendMove() {
    const event = this.moved;
    if (this.model.get("pointer") !== "drag" || !event || !this.pointer || this.unanswered >= MOVES_AHEAD) return;
    this.moved = null;
    this.unanswered += 1;
    clearTimeout(this.moving);
    this.moving = setTimeout(() => this.onMoved(0), MOVE_MS);
    this.forward(this.drag ? "move" : "hover");
  }

  onMoved(left = Math.max(0, this.unanswered - 1)) {
    this.unanswered = left;
    if (!left) clearTimeout(this.moving);
    this.sendMove();
  }

  onPointerUp(event) {
    const { drag } = this;
    this.drag = this.moved = null;
    if (!drag) return;
    this.pointer = this.point(event);
    this.forward("up");
    const clicked = event.type === "pointerup" && !drag.moved && drag.cell;
    if (clicked && this.model.get("pointer") === "keys") this.press(String(drag.cell.number));
  }

  forward(phase) {
    if (this.model.get("pointer") !== "drag") return;
    this.send({ type: "pointer", phase, ...this.pointer, seen: this.token });
  }
}

export default widgetOf(ImageView, PictureCache);
