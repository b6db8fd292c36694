// The grid: focus, keys, pointer and the thumbnails that are near. grid.py says which messages it exchanges with the
// kernel. It holds pictures, scroll position and the keys that are not answered yet, nothing else.

const SLOP = 5; // CSS pixels a pointer may move and still click
const EDGE = 36; // this near to an edge, a rubber band scrolls
const WORDS = {
  "": "",
  silent: "Still waiting for the kernel. If it was restarted, run the cells again: nothing saved is lost.",
  gone: "The kernel was restarted: run the cells again. Nothing saved is lost; this key was not recorded.",
};

class GridView {
  constructor(model, el, thumbs) {
    Object.assign(this, { model, thumbs });
    this.id = crypto.randomUUID();
    this.scene = null;
    this.layout = null; // {token, sections: [{title, note}], ids: Int32Array}
    this.geometry = new Geometry([], 1, 1);
    this.cells = new Map(); // place -> Cell
    this.boxes = new Map(); // section index -> its element
    this.spare = [];
    this.band = null;
    this.last = 0; // scrollTop of the last drawing: tells which way it goes
    this.build(el);
    this.listen();
  }

  build(el) {
    const make = (name, parent) => {
      const made = Object.assign(document.createElement("div"), { className: name });
      parent.append(made);
      return made;
    };
    this.box = make("pickroom-gridbox", el);
    this.el = make("pickroom-grid", this.box);
    this.el.tabIndex = 0;
    this.el.setAttribute("role", "application");
    this.el.setAttribute("aria-label", "thumbnails");
    this.space = make("pickroom-grid-space", this.el);
    this.rubber = make("pickroom-grid-band", this.space);
    this.rubber.hidden = true;
    this.large = make("pickroom-grid-large", this.box);
    this.large.hidden = true;
    this.picture = document.createElement("img");
    this.caption = document.createElement("div");
    this.large.append(this.picture, this.caption);
    this.note = make("pickroom-note", this.box);
    this.note.setAttribute("role", "status");
    this.keys = new KeyLine((message) => this.send(message), (what) => (this.note.textContent = WORDS[what]));
  }

  listen() {
    this.stop = new AbortController();
    const on = (target, name, handler) => target.addEventListener(name, handler.bind(this), { signal: this.stop.signal });
    on(this.el, "keydown", this.onKeyDown);
    on(this.el, "keyup", this.shieldKeys);
    on(this.el, "focus", () => this.onFocus(true));
    on(this.el, "blur", () => this.onFocus(false));
    on(this.el, "scroll", this.drawSoon);
    on(this.el, "pointerdown", this.onPointerDown);
    on(this.el, "pointermove", this.onPointerMove);
    on(this.el, "pointerup", this.onPointerUp);
    on(this.el, "pointercancel", this.onPointerUp);
    on(this.el, "dblclick", (event) => event.target.closest(".pickroom-cell") && this.press("Enter"));
    on(this.large, "pointerdown", (event) => {
      event.preventDefault();
      this.focus();
      this.press("Enter");
    });
    on(window, "resize", this.measureSoon);
    this.sizes = new ResizeObserver(() => this.measureSoon());
    this.sizes.observe(this.box);
    this.shieldKeys();
  }

  close() {
    this.stop.abort();
    this.sizes.disconnect();
    clearTimeout(this.measuring);
    cancelAnimationFrame(this.drawing);
    this.keys.close();
  }

  send(message) {
    this.model.send({ view: this.id, ...message });
  }

  // --- room -------------------------------------------------------------------------------------------------

  measureSoon() {
    clearTimeout(this.measuring);
    this.measuring = setTimeout(() => this.measure(), this.room ? 60 : 0);
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
    this.el.style.height = `${room.height}px`;
    if (came) this.attach();
    this.arrange(came ? "hello" : "size");
  }

  /** After every attach: the desk's buttons press keys, and the desk's own size matters for the room that is left. */
  attach() {
    this.shieldKeys();
    const desk = this.el.closest(".pickroom-desk");
    if (!desk || desk === this.desk) return;
    this.desk = desk;
    this.sizes.observe(desk);
    const on = (name, handler) => desk.addEventListener(name, handler, { signal: this.stop.signal });
    on("click", (event) => {
      const button = event.target.closest("button[data-press]");
      if (button) this.press(button.dataset.press);
      const typing = event.target.closest("input, select, button:not([data-press])");
      if (button || (!typing && !this.el.contains(event.target) && getSelection().isCollapsed)) this.focus();
    });
    on("mousedown", (event) => {
      if (event.target.closest("button[data-press]")) event.preventDefault(); // the keys stay here all the while
    });
    on("keydown", (event) => {
      if (event.key !== "Escape" || !event.target.closest("input, select")) return;
      event.stopPropagation();
      this.focus();
    });
  }

  /** Lay out for this width; the kernel must know how many images are side by side. */
  arrange(why) {
    const cell = this.scene?.cell ?? 152;
    const counts = this.layout?.sections.map((one) => one.count) ?? [];
    const before = this.geometry;
    const anchor = this.topPlace();
    this.geometry = new Geometry(counts, Math.max(1, this.el.clientWidth - 2), cell);
    this.space.style.height = `${this.geometry.total}px`;
    if (before.columns !== this.geometry.columns && anchor !== null && before.count === this.geometry.count) {
      this.el.scrollTop = this.placeTop(anchor);
    }
    this.clear();
    const { columns } = this.geometry;
    if (why === "hello" || this.told !== `${columns}`) {
      this.told = `${columns}`;
      this.send({ type: why === "hello" ? "hello" : "size", columns, dark: this.room?.dark ?? false });
    }
    this.draw();
  }

  topPlace() {
    const [from] = this.geometry.met(this.el.scrollTop, this.el.scrollTop + 1);
    const section = this.geometry.sections[from];
    if (!section || !section.count) return null;
    return this.geometry.places(section, this.el.scrollTop, this.el.scrollTop + 1)[0];
  }

  placeTop(place) {
    const section = this.geometry.sectionOf(place);
    return section ? section.top + this.geometry.inside(section, place)[1] - HEADER : 0;
  }

  // --- what the kernel says ---------------------------------------------------------------------------------

  onScene(scene) {
    const before = this.scene;
    this.scene = scene;
    this.keys.taken(scene.applied[this.id] ?? 0);
    let anew = before?.cell !== scene.cell;
    if (scene.layout) {
      const ids = scene.layout.sections.flatMap((one) => one.ids.flatMap(([first, count]) => span(first, count)));
      const sections = scene.layout.sections.map(({ title, note, count }) => ({ title, note, count }));
      const same = (one, other) => one.length === other?.length && one.every((value, at) => value === other[at]);
      const counts = (all) => all?.map((one) => one.count);
      anew ||= !same(ids, this.layout?.ids) || !same(counts(sections), counts(this.layout?.sections));
      this.layout = { sections, ids };
    }
    if (!this.layout) return;
    const count = this.layout.ids.length;
    this.selected = marked(count, scene.selected.map(([first, last]) => [first, last, 1]));
    if (scene.marks) this.marks = marked(count, scene.marks.runs.map(([first, last, at]) => [first, last, at + 1]));
    if (scene.marks) this.names = scene.marks.names;
    if (anew) this.arrange("size");
    if (before && before.cursor !== scene.cursor) this.reveal(scene.cursor);
    this.showLarge();
    this.draw();
    if (scene.asking) this.desk?.querySelector(".pickroom-ask input")?.focus();
    else if (before?.asking) this.focus();
    if (!this.greeted && this.room) this.greet();
    requestAnimationFrame(() => {
      const answered = scene.applied[this.id] ?? 0;
      Object.assign(this.el.dataset, { answered, token: scene.token, cursor: scene.cursor, number: scene.number });
    });
  }

  greet() {
    this.greeted = true;
    const active = document.activeElement;
    const typing = active?.closest("input, textarea, [contenteditable='true'], .jp-Dialog");
    const here = !active || active === document.body || active.closest(".jp-Notebook")?.contains(this.el);
    if (here && !typing) this.focus();
  }

  /** Scroll no further than it takes to see a place whole. */
  reveal(place) {
    const section = this.geometry.sectionOf(place);
    if (!section) return;
    const top = section.top + this.geometry.inside(section, place)[1];
    const { scrollTop, clientHeight } = this.el;
    if (top - HEADER < scrollTop) this.el.scrollTop = top - HEADER;
    else if (top + this.geometry.height > scrollTop + clientHeight) {
      this.el.scrollTop = top + this.geometry.height - clientHeight + 4;
    }
  }

  showLarge() {
    const { large } = this.scene;
    this.large.hidden = large === null;
    if (large === null) return;
    const url = this.thumbs.url("large", large) ?? this.thumbs.url("thumb", large);
    if (url && this.picture.src !== url) this.picture.src = url;
    this.picture.hidden = !url;
    const text = this.thumbs.texts.get(large);
    const mark = this.names?.[(this.marks?.[this.scene.cursor] ?? 0) - 1];
    const told = this.thumbs.reasons.get(large) ?? [text?.title || text?.label, text?.words].filter(Boolean).join("  ·  ");
    this.caption.textContent = mark ? `${told}  ·  ${mark.text}` : told;
    this.large.dataset.mark = mark?.kind ?? "";
  }

  // --- drawing ----------------------------------------------------------------------------------------------

  drawSoon() {
    if (!this.drawing) {
      this.drawing = requestAnimationFrame(() => {
        this.drawing = 0;
        this.draw();
      });
    }
  }

  draw() {
    if (!this.scene || !this.layout || !this.room) return;
    const { scrollTop: top, clientHeight: view } = this.el;
    const down = top >= this.last;
    this.last = top;
    const shown = new Set();
    // half a window more than is seen, so that a wheel's step meets cells that are there
    const [from, to] = this.geometry.met(top - view / 2, top + view * 1.5);
    for (let index = from; index < to; index += 1) {
      const section = this.geometry.sections[index];
      const box = this.boxFor(index, section);
      const [first, end] = this.geometry.places(section, top - view / 2, top + view * 1.5);
      for (let place = first; place < end; place += 1) {
        shown.add(place);
        this.drawCell(place, section, box);
      }
    }
    for (const [place, cell] of this.cells) if (!shown.has(place)) this.drop(place, cell);
    for (const [index, box] of this.boxes) {
      if (index >= from && index < to) continue;
      box.remove();
      this.boxes.delete(index);
    }
    this.ask(top, view, down);
  }

  drawCell(place, section, box) {
    let cell = this.cells.get(place);
    if (!cell) {
      cell = this.spare.pop() ?? new Cell();
      this.cells.set(place, cell);
      cell.put(place, this.geometry.inside(section, place), this.geometry);
    }
    if (cell.el.parentElement !== box) box.append(cell.el);
    const banded = this.band?.caught?.has(place) ?? false;
    cell.fill(this.layout.ids[place], this.thumbs, {
      mark: this.names?.[(this.marks?.[place] ?? 0) - 1],
      selected: banded || Boolean(this.selected?.[place]),
      active: place === this.scene.cursor,
    });
  }

  boxFor(index, { top, height, count }) {
    let box = this.boxes.get(index);
    const { title, note } = this.layout.sections[index];
    if (!box) {
      box = Object.assign(document.createElement("div"), { className: "pickroom-grid-section" });
      Object.assign(box.style, { top: `${top}px`, height: `${height}px` });
      const header = Object.assign(document.createElement("div"), { className: "pickroom-grid-header" });
      header.dataset.section = index;
      const names = ["title", "count", "note"];
      const make = (name) => Object.assign(document.createElement("span"), { className: `pickroom-grid-${name}` });
      header.append(...names.map(make));
      box.append(header);
      this.space.append(box);
      this.boxes.set(index, box);
    }
    [title, count.toLocaleString("en"), note].forEach((text, at) => {
      const part = box.firstChild.children[at];
      if (part.textContent !== text) part.textContent = text;
    });
    return box;
  }

  drop(place, cell) {
    cell.el.remove();
    cell.where = "";
    this.cells.delete(place);
    if (this.spare.length < 200) this.spare.push(cell);
  }

  clear() {
    for (const [place, cell] of this.cells) this.drop(place, cell);
    for (const box of this.boxes.values()) box.remove();
    this.boxes.clear();
  }

  /** What is on screen, then what comes next the way it is scrolled, then what lies behind. */
  ask(top, view, down) {
    const seen = this.span(top, top + view);
    const later = this.span(top + view, top + 3 * view);
    const before = this.span(top - 2 * view, top).reverse();
    const near = down ? [...later, ...before.slice(0, before.length / 2)] : [...before, ...later.slice(0, later.length / 2)];
    const number = (place) => this.layout.ids[place];
    const { large, cursor, notes } = this.scene;
    const whole = large === null ? [] : [cursor, cursor + 1, cursor - 1].filter((p) => p in this.layout.ids).map(number);
    this.thumbs.want([...seen, ...near].map(number), whole, notes);
    const ready = seen.filter((place) => this.thumbs.url("thumb", number(place)) || this.thumbs.reasons.has(number(place)));
    Object.assign(this.el.dataset, { seen: seen.length, ready: ready.length, cells: this.cells.size });
  }

  span(top, bottom) {
    const [from, to] = this.geometry.met(top, bottom);
    return this.geometry.sections.slice(from, to).flatMap((section) => {
      const [first, end] = this.geometry.places(section, top, bottom);
      return span(first, end - first);
    });
  }

  // --- focus and keys ---------------------------------------------------------------------------------------

  focus() {
    this.el.focus({ preventScroll: true });
  }

  /** The notebook's shortcuts are kept away, but for those with Ctrl or Cmd: saving works from here too. */
  shieldKeys(event) {
    if (event?.ctrlKey || event?.metaKey) delete this.el.dataset.lmSuppressShortcuts;
    else this.el.dataset.lmSuppressShortcuts = "true";
  }

  onFocus(on) {
    this.shieldKeys();
    this.box.classList.toggle("pickroom-focus", on);
    this.send({ type: "focus", on });
  }

  onKeyDown(event) {
    this.shieldKeys(event);
    const key = spell(event);
    if (!key || !this.model.get("key_names").includes(key)) return;
    event.preventDefault();
    event.stopPropagation();
    if (!event.repeat || (this.model.get("repeating").includes(key) && !this.keys.length)) this.press(key);
  }

  press(key) {
    this.keys.push(key, this.scene?.token ?? "");
  }

  // --- pointer ----------------------------------------------------------------------------------------------

  /** CSS pixels from the top left of the board, however far it is scrolled. */
  point(event) {
    const rect = this.space.getBoundingClientRect();
    return [event.clientX - rect.left, event.clientY - rect.top];
  }

  onPointerDown(event) {
    if (event.button !== 0 || event.clientX > this.el.getBoundingClientRect().left + this.el.clientWidth) return;
    event.preventDefault();
    this.focus();
    const cell = event.target.closest(".pickroom-cell");
    const header = event.target.closest(".pickroom-grid-header");
    this.band = { from: this.point(event), place: cell?.dataset.place, section: header?.dataset.section, event };
    this.el.setPointerCapture(event.pointerId);
  }

  onPointerMove(event) {
    const { band } = this;
    if (!band) return;
    const to = this.point(event);
    band.moved ||= Math.hypot(to[0] - band.from[0], to[1] - band.from[1]) > SLOP;
    if (!band.moved) return;
    band.event = event;
    this.stretch();
    this.scrollAtEdge();
  }

  stretch() {
    const { band } = this;
    const to = this.point(band.event);
    const rect = [0, 1].map((i) => Math.min(band.from[i], to[i])).concat([0, 1].map((i) => Math.max(band.from[i], to[i])));
    band.runs = this.geometry.touched(rect);
    band.caught = new Set(band.runs.flatMap(([first, last]) => span(first, last - first + 1)));
    const [left, top, right, bottom] = rect;
    const style = { left: `${left}px`, top: `${top}px`, width: `${right - left}px`, height: `${bottom - top}px` };
    Object.assign(this.rubber.style, style);
    this.rubber.hidden = false;
    this.drawSoon();
  }

  scrollAtEdge() {
    if (this.edging) return;
    const step = () => {
      this.edging = 0;
      if (!this.band?.moved) return;
      const { top, bottom } = this.el.getBoundingClientRect();
      const y = this.band.event.clientY;
      const by = y < top + EDGE ? y - top - EDGE : y > bottom - EDGE ? y - bottom + EDGE : 0;
      if (!by) return;
      this.el.scrollTop += by / 2;
      this.stretch();
      this.edging = requestAnimationFrame(step);
    };
    this.edging = requestAnimationFrame(step);
  }

  onPointerUp(event) {
    const { band } = this;
    this.band = null;
    this.rubber.hidden = true;
    if (!band) return;
    const add = event.ctrlKey || event.metaKey;
    const how = event.shiftKey ? "+shift" : add ? "+ctrl" : "";
    if (band.moved) this.press(`band${how}:${(band.runs ?? []).map((run) => run.join("-")).join(",")}`);
    else if (event.type !== "pointerup") return;
    else if (band.place !== undefined) this.press(`click${how}:${band.place}`);
    else if (band.section !== undefined) this.press(`section${how}:${band.section}`);
    else if (!how) this.press("band:"); // a click beside everything selects nothing
  }
}

function span(first, count) {
  return Array.from({ length: Math.max(0, count) }, (_, i) => first + i);
}

/** One small number an image, from runs [first, last, value]. */
function marked(count, runs) {
  const values = new Uint16Array(count);
  for (const [first, last, value] of runs) values.fill(value, first, last + 1);
  return values;
}

export default () => {
  const views = new Set();
  let thumbs;
  return {
    initialize({ model }) {
      const changed = () => views.forEach((view) => {
        view.drawSoon();
        if (view.scene) view.showLarge();
      });
      thumbs = new Thumbs(crypto.randomUUID(), (message) => model.send(message), changed);
      model.on("msg:custom", (content, buffers) => {
        const mine = content.page === thumbs.page;
        if (content.type === "scene") views.forEach((view) => view.onScene(content));
        else if (content.type === "texts" && mine) thumbs.receiveTexts(content);
        else if (content.type === "pictures" && mine) thumbs.receivePictures(content, buffers);
        else if (content.type === "resend") {
          views.forEach((view) => view.id === content.view && view.keys.sendAgain(content.number));
        }
      });
    },
    render({ model, el }) {
      const view = new GridView(model, el, thumbs);
      views.add(view);
      return () => {
        views.delete(view);
        view.close();
      };
    },
  };
};
