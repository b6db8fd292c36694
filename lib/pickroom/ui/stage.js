// The stage: focus, keys, pointer and the photo layer. stage.py says which messages it exchanges with the kernel.
// It holds pictures and the keys that are not answered yet, nothing else: what the kernel says wins.

const CLICK_SLOP = 4; // CSS pixels a pointer may move and still click
const MOVES_AHEAD = 3; // pointer moves sent before the first of them is answered
const MOVE_MS = 1000; // answers that got lost hold the next move up no longer than this

const NOTES = {
  "": "",
  silent: "Still waiting for the kernel. If it was restarted, run the cells again: nothing saved is lost.",
  gone: "The kernel was restarted: run the cells again. Nothing saved is lost; this key was not recorded.",
};

class StageView {
  constructor(model, el, pictures) {
    this.model = model;
    this.pictures = pictures;
    this.id = crypto.randomUUID();
    this.zoom = new Zoom();
    this.scene = null; // the kernel's last answer
    this.shown = null; // {token, cells} on screen
    this.position = 0;
    this.predicted = false; // what is on screen is ours, the kernel has not drawn it yet
    this.guessing = true; // every key that waits leads where we think
    this.pointer = null;
    this.drag = null;
    this.moved = null; // the last pointer event that was not sent yet
    this.unanswered = 0; // pointer moves sent
    this.hadFocus = false;
    this.build(el);
    this.listen();
  }

  build(el) {
    this.el = Object.assign(document.createElement("div"), { className: "pickroom-stage", tabIndex: 0 });
    this.el.setAttribute("role", "application");
    this.painter = new Painter(this.el, this.pictures, this.zoom);
    this.rubber = new Rubber(this.el);
    this.note = Object.assign(document.createElement("div"), { className: "pickroom-note" });
    this.note.setAttribute("role", "status");
    this.el.append(this.note);
    el.append(this.el);
    this.keys = new KeyLine((message) => this.send(message), (what) => (this.note.textContent = NOTES[what]));
  }

  listen() {
    this.stop = new AbortController();
    const on = (target, name, handler) =>
      target.addEventListener(name, handler.bind(this), { signal: this.stop.signal });
    on(this.el, "keydown", this.onKeyDown);
    on(this.el, "keyup", this.shieldKeys);
    on(this.el, "focus", this.onFocus);
    on(this.el, "blur", this.onBlur);
    on(this.el, "pointerdown", this.onPointerDown);
    on(this.el, "pointermove", this.onPointerMove);
    on(this.el, "pointerup", this.onPointerUp);
    on(this.el, "pointercancel", this.onPointerUp);
    on(this.el, "pointerleave", () => (this.pointer = null));
    on(window, "resize", this.measureSoon);
    // ResizeObserver also tells when the notebook detaches the output (size 0) and puts it back
    this.sizes = new ResizeObserver(() => this.measureSoon());
    this.sizes.observe(this.el);
    this.theme = new MutationObserver(() => this.measureSoon());
    this.theme.observe(document.body, { attributes: true, attributeFilter: ["data-jp-theme-light"] });
    this.showCursor = () => (this.el.style.cursor = this.model.get("cursor"));
    this.model.on("change:cursor", this.showCursor);
    this.showCursor();
  }

  close() {
    this.stop.abort();
    this.sizes.disconnect();
    this.theme.disconnect();
    clearTimeout(this.measuring);
    clearTimeout(this.moving);
    this.keys.close();
    this.model.off("change:cursor", this.showCursor);
  }

  send(message) {
    this.model.send({ view: this.id, ...message });
  }

  // --- room -------------------------------------------------------------------------------------------------

  measureSoon() {
    clearTimeout(this.measuring);
    this.measuring = setTimeout(() => this.measure(), this.room ? 80 : 0);
  }

  measure() {
    const room = roomOf(this.el);
    if (!room) {
      this.away = true;
      return;
    }
    const came = !this.room || this.away;
    if (!came && JSON.stringify(room) === JSON.stringify(this.room)) return;
    this.away = false;
    this.room = room;
    this.attach();
    this.send({ type: came ? "hello" : "size", ...room });
  }

  /** After every attach: the marks that keep the notebook's shortcuts away, and the focus if it was ours. */
  attach() {
    this.shieldKeys();
    this.el.tabIndex = 0;
    const box = this.el.closest(".pickroom-layers");
    for (const canvas of box?.querySelectorAll(".pickroom-overlay") ?? []) canvas.tabIndex = -1;
    const deck = this.el.closest(".pickroom-desk");
    if (deck && deck !== this.deck) {
      this.deck = deck;
      this.sizes.observe(deck); // more words leave less room
      const on = (name, handler) => deck.addEventListener(name, handler, { signal: this.stop.signal });
      // a click on the words or on a panel keeps the keys here, unless it selects text
      on("click", (event) => {
        const button = event.target.closest("button[data-press]");
        if (button) this.press(button.dataset.press); // numbered, and never applied to what was not on screen
        if (button || (!this.el.contains(event.target) && getSelection().isCollapsed)) this.focus();
      });
      on("mousedown", (event) => {
        if (event.target.closest("button[data-press]")) event.preventDefault(); // the keys stay here all the while
      });
    }
    this.takeFocusBack();
  }

  /** Take the keyboard when the deck appears and nobody is typing, and be seen: a key must not decide out of sight. */
  greet() {
    const active = document.activeElement;
    const typing = active?.closest("input, textarea, [contenteditable='true'], .jp-Dialog");
    const here = !active || active === document.body || active.closest(".jp-Notebook")?.contains(this.el);
    if (here && !typing) this.focus();
    this.comeIntoView();
  }

  /** The whole desk, words included, while the keys are here; nothing moves when it is in view already. */
  comeIntoView() {
    if (document.activeElement === this.el) this.layers().scrollIntoView({ block: "nearest" });
  }

  // --- focus ------------------------------------------------------------------------------------------------

  focus() {
    this.el.focus({ preventScroll: true });
  }

  /** The notebook's shortcuts are kept away, but for those with Ctrl or Cmd: saving works from here too. */
  shieldKeys(event) {
    if (event?.ctrlKey || event?.metaKey) delete this.el.dataset.lmSuppressShortcuts;
    else this.el.dataset.lmSuppressShortcuts = "true";
  }

  onFocus() {
    this.shieldKeys();
    this.hadFocus = true;
    this.send({ type: "focus", on: true });
  }

  onBlur() {
    // taken away by a detach, it is taken back on return; given away by the person, it is not
    if (this.el.isConnected) this.hadFocus = false;
    this.send({ type: "focus", on: false });
  }

  takeFocusBack() {
    const free = !document.activeElement || document.activeElement === document.body;
    if (this.hadFocus && free) this.focus();
  }

  // --- keys -------------------------------------------------------------------------------------------------

  onKeyDown(event) {
    this.shieldKeys(event); // Ctrl goes down before the key it belongs to
    const key = spell(event);
    if (!key || !this.model.get("key_names").includes(key)) return;
    event.preventDefault();
    event.stopPropagation();
    this.comeIntoView();
    // a key held down counts only where that is meant, and then no faster than it is answered
    if (!event.repeat || (this.model.get("repeating").includes(key) && !this.keys.length)) this.press(key);
  }

  press(key) {
    this.keys.push(key, this.shown?.token ?? "");
    this.guess(key);
  }

  /** Swap at once to where the key leads, when that is known and the frame is here. */
  guess(key) {
    const { destinations, steps, count, ahead } = this.scene ?? {};
    const alone = this.keys.length === 1; // no other key waits for its answer
    if (!this.scene || (!alone && !this.guessing)) return;
    let target = this.position;
    if (alone && key in destinations) target = destinations[key];
    else if (key in steps) target = Math.max(0, Math.min(count - 1, this.position + steps[key]));
    else {
      this.guessing = false;
      return;
    }
    if (target === this.position) return;
    const frame = ahead.find(([position]) => position === target)?.[1];
    this.guessing = frame !== undefined;
    if (frame) this.put(frame, target, true);
  }

  // --- what the kernel says ---------------------------------------------------------------------------------

  onFrame(scene) {
    const grown = scene.height !== this.scene?.height;
    this.scene = scene;
    this.rubber.follow(scene);
    if (this.drag?.moved && this.pointer) this.rubber.move(this.pointer);
    const applied = scene.applied[this.id] ?? 0;
    this.keys.taken(applied);
    if (!this.greeted) requestAnimationFrame(() => this.greet());
    this.greeted = true;
    if (this.keys.length && this.guessing) return; // ours is further on; the answer to its key will come
    this.guessing = this.keys.length === 0;
    this.zoomTo(scene);
    this.put(scene.frame, scene.position, false, grown);
    this.takeFocusBack();
  }

  zoomTo(scene) {
    const known = scene.frame.token === this.shown?.token;
    if (scene.zoom && !(this.zoom.on && known)) {
      this.zoom.start(known && this.pointer ? this.cellAt(this.pointer) : null, this.pointer);
    }
    this.zoom.on = scene.zoom;
    if (scene.zoom) for (const cell of scene.frame.cells) this.pictures.need([cell.name], "original");
  }

  put(frame, position, predicted, grown = false) {
    const changed = frame.token !== this.shown?.token;
    if (changed && (predicted || !this.scene.zoom)) {
      this.zoom.on = false;
      this.pictures.dropWhole();
    }
    Object.assign(this, { shown: frame, position, predicted });
    this.pictures.need(frame.cells.map((cell) => cell.name));
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

  layers() {
    return this.el.closest(".pickroom-desk") ?? this.el;
  }

  /** Ask for the neighbours' pictures in the idle moment after a frame, never before an answer that is due. */
  prefetchSoon() {
    const idle = window.requestIdleCallback ?? ((work) => setTimeout(work, 30));
    idle(() => {
      if (this.keys.length || !this.scene) return;
      const cells = this.scene.ahead.flatMap(([, frame]) => frame.cells);
      this.pictures.prefetch(cells.map((cell) => cell.name));
      this.pictures.keepBitmaps(new Set([...cells, ...this.shown.cells].map((cell) => cell.name)));
      for (const cell of cells) this.painter.fitted(cell); // decode ahead, so that a swap only draws
    }, { timeout: 300 });
  }

  paint() {
    const { token, cells } = this.shown;
    const drawn = this.painter.paint(this.scene, this.shown);
    this.el.classList.toggle("pickroom-zoomed", this.zoom.on);
    this.el.setAttribute("aria-label", cells.map((cell) => cell.label).join("; "));
    Object.assign(this.el.dataset, { token, drawn, images: cells.length });
  }

  onPicture(name) {
    if (this.shown?.cells.some((cell) => cell.name === name)) this.paint();
    this.prefetchSoon();
  }

  // --- pointer ----------------------------------------------------------------------------------------------

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
    this.focus();
    if (event.button !== 0 || !this.shown || event.target === this.note) return;
    event.preventDefault();
    this.pointer = this.point(event);
    const from = { x: event.clientX, y: event.clientY }; // of the window: the notebook may scroll in between
    this.drag = { from, last: this.pointer, cell: this.cellAt(this.pointer), moved: false };
    this.layers().scrollIntoView({ block: "nearest" });
    this.el.setPointerCapture(event.pointerId);
    this.forward("down", event);
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
      if (drag.moved) this.rubber.move(this.pointer);
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
    this.forward(this.drag ? "move" : "hover", event);
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
    this.forward("up", event, drag);
    const clicked = event.type === "pointerup" && !drag.moved && drag.cell;
    if (clicked && this.model.get("pointer") === "keys") this.press(String(drag.cell.number));
  }

  forward(phase, event, drag = this.drag) {
    if (this.model.get("pointer") !== "drag") return;
    const cell = drag ? drag.cell : this.cellAt(this.pointer);
    const seen = this.shown?.token ?? "";
    const number = cell?.number ?? null;
    this.send({ type: "pointer", phase, ...this.pointer, number, shift: event.shiftKey, seen });
  }
}

export default () => {
  const views = new Set();
  let pictures;
  return {
    initialize({ model }) {
      const changed = (name) => views.forEach((view) => view.onPicture(name));
      pictures = new Pictures(crypto.randomUUID(), (message) => model.send(message), changed);
      model.on("msg:custom", (content, buffers) => {
        if (content.type === "frame") views.forEach((view) => view.onFrame(content));
        else if (content.type === "picture" && content.page === pictures.page) pictures.receive(content, buffers);
        else if (content.type === "resend") {
          views.forEach((view) => view.id === content.view && view.keys.sendAgain(content.number));
        } else if (content.type === "moved") {
          views.forEach((view) => view.id === content.view && view.onMoved());
        }
      });
    },
    render({ model, el }) {
      const view = new StageView(model, el, pictures);
      views.add(view);
      return () => {
        views.delete(view);
        view.close();
      };
    },
  };
};
