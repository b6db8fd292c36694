// The grid: the thumbnails that are near, drawn from the kernel's scene. grid.py says which messages it exchanges with
// the kernel. It holds pictures, scroll position and the keys that are not answered yet, nothing else.

class GridView extends Surface {
  constructor(model, el, thumbs) {
    super(model);
    this.thumbs = thumbs;
    this.scene = null;
    this.layout = null; // {sections: [{title, note, count}], ids: numbers by place}
    this.geometry = new Geometry([], 1, 1);
    this.cells = new Map(); // place -> Cell
    this.boxes = new Map(); // section index -> its element
    this.spare = [];
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
    this.band = new Band(this, (key) => this.press(key));
    this.large = new Large(this, (event) => {
      event.preventDefault();
      if (this.claim()) this.press("Enter");
    });
    this.box.append(this.large.el, this.note);
  }

  listen() {
    super.listen();
    this.on(this.el, "scroll", this.drawSoon);
    this.on(this.el, "dblclick", (event) => event.target.closest(".pickroom-cell") && this.press("Enter"));
    this.sizes.observe(this.box);
  }

  close() {
    super.close();
    cancelAnimationFrame(this.drawing);
  }

  onFocus(on) {
    this.box.classList.toggle("pickroom-focus", on);
    super.onFocus(on);
  }

  press(key) {
    this.comeIntoView();
    this.keys.push(key, this.scene?.token ?? "");
  }

  // --- viewport -------------------------------------------------------------------------------------------------

  viewportChanged(came) {
    this.el.style.height = `${this.viewport.height}px`;
    this.arrange(came ? "hello" : "size");
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
      this.send({ type: why === "hello" ? "hello" : "size", columns, dark: this.viewport?.dark ?? false });
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
    if (!this.greeted && this.viewport) requestAnimationFrame(() => this.greet()); // its words have their height by then
    this.greeted ||= Boolean(this.viewport);
    requestAnimationFrame(() => {
      const answered = scene.applied[this.id] ?? 0;
      Object.assign(this.el.dataset, { answered, token: scene.token, cursor: scene.cursor, number: scene.number });
    });
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
    this.large.show(this.scene.large, this.thumbs, this.markOf(this.scene.cursor));
  }

  markOf(place) {
    return this.names?.[(this.marks?.[place] ?? 0) - 1];
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
    if (!this.scene || !this.layout || !this.viewport) return;
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
    cell.fill(this.layout.ids[place], this.thumbs, {
      mark: this.markOf(place),
      selected: this.band.holds(place) || Boolean(this.selected?.[place]),
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
}

/** One small number an image, from runs [first, last, value]. */
function marked(count, runs) {
  const values = new Uint16Array(count);
  for (const [first, last, value] of runs) values.fill(value, first, last + 1);
  return values;
}

export default moduleOf(
  GridView,
  (model, views) => {
    const changed = () => views.forEach((view) => {
      view.drawSoon();
      if (view.scene) view.showLarge();
    });
    return new Thumbs(crypto.randomUUID(), (message) => model.send(message), changed);
  },
  (content, buffers, views, thumbs) => {
    const mine = content.page === thumbs.page;
    if (content.type === "scene") views.forEach((view) => view.onScene(content));
    else if (content.type === "texts" && mine) thumbs.receiveTexts(content);
    else if (content.type === "pictures" && mine) thumbs.receivePictures(content, buffers);
  },
);
