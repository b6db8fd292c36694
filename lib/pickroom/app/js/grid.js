// The grid: the thumbnails that are near, drawn from the kernel's scene. grid.py says which messages it exchanges with
// the kernel. It holds only images, the scroll position and the keys that are not answered yet.

import { element } from "./element.js";
import { GridGeometry, HEADER, range } from "./grid_geometry.js";
import { SelectionBand } from "./selection_band.js";
import { Thumbnail } from "./thumbnail.js";
import { ThumbnailCache } from "./thumbnail_cache.js";
import { View, widgetOf } from "./view.js";

const SPARE = 200; // thumbnails kept for use in another place
const CELL = 152; // least width of a thumbnail before the kernel says one

class GridView extends View {
  constructor(model, el, thumbnails) {
    super(model);
    this.thumbnails = thumbnails;
    this.scene = null;
    this.layout = null; // {sections: [{title, note, count}], ids: numbers by place, shape: tells layouts apart}
    this.geometry = new GridGeometry([], 1, 1);
    this.cells = new Map(); // place -> Thumbnail
    this.boxes = new Map(); // section index -> its element
    this.spare = [];
    this.last = 0; // scrollTop of the last drawing: tells which way it goes
    this.space = element("div", "pickroom-grid-space");
    const role = { role: "application", ariaLabel: "thumbnails" };
    this.el = element("div", "pickroom-grid", { tabIndex: 0, ...role }, this.space);
    this.band = new SelectionBand(this);
    this.picture = element("img", "", { alt: "" }); // the caption has the words
    this.caption = element("div", "");
    this.large = element("div", "pickroom-grid-large", { hidden: true }, this.picture, this.caption); // one image
    this.box = element("div", "pickroom-gridbox", {}, this.el, this.large, this.note);
    el.append(this.box);
    this.listen();
  }

  listen() {
    super.listen();
    this.on(this.el, "scroll", this.drawSoon);
    this.on(this.el, "dblclick", (event) => event.target.closest(".pickroom-cell") && this.press("Enter"));
    this.on(this.large, "pointerdown", (event) => {
      event.preventDefault();
      if (this.claim()) this.press("Enter");
    });
    this.sizes.observe(this.box);
  }

  close() {
    super.close();
    cancelAnimationFrame(this.drawing);
  }

  get token() {
    return this.scene?.token ?? "";
  }

  receive(content) {
    super.receive(content);
    if (content.type === "scene") this.onScene(content);
  }

  cacheChanged() {
    this.drawSoon();
    if (this.scene) this.showLarge();
  }

  viewportChanged(appeared) {
    this.el.style.height = `${this.viewport.height}px`;
    this.arrange(appeared);
  }

  /** Lay out for this width; the kernel must know how many images are side by side. */
  arrange(appeared = false) {
    const counts = this.layout?.sections.map((one) => one.count) ?? [];
    const before = this.geometry;
    const anchor = before.placeBelow(this.el.scrollTop);
    this.geometry = new GridGeometry(counts, Math.max(1, this.el.clientWidth - 2), this.scene?.cell ?? CELL);
    this.space.style.height = `${this.geometry.total}px`;
    const { columns, count } = this.geometry;
    if (before.columns !== columns && before.count === count && anchor !== undefined) {
      this.el.scrollTop = this.geometry.topOf(anchor) - HEADER;
    }
    this.clear();
    if (appeared || this.columns !== columns) {
      this.columns = columns;
      this.send({ type: appeared ? "hello" : "size", columns, dark: this.viewport?.dark ?? false });
    }
    this.draw();
  }

  onScene(scene) {
    const before = this.scene;
    this.scene = scene;
    const answered = scene.applied[this.id] ?? 0;
    this.keys.taken(answered);
    const shape = this.layout?.shape;
    if (scene.layout) this.layout = layoutOf(scene.layout.sections);
    if (!this.layout) return;
    const count = this.layout.ids.length;
    this.selected = marked(count, scene.selected.map(([first, last]) => [first, last, 1]));
    if (scene.marks) {
      this.marks = marked(count, scene.marks.runs.map(([first, last, at]) => [first, last, at + 1]));
      this.names = scene.marks.names;
    }
    if (before?.cell !== scene.cell || shape !== this.layout.shape) this.arrange();
    if (before && before.cursor !== scene.cursor) this.reveal(scene.cursor);
    this.showLarge();
    this.draw();
    if (scene.asking) this.desk?.querySelector(".pickroom-ask input")?.focus();
    else if (before?.asking) this.focus();
    this.greetOnce();
    const { token, cursor, number } = scene;
    requestAnimationFrame(() => Object.assign(this.el.dataset, { answered, token, cursor, number }));
  }

  /** Scroll only as far as it takes to show a place whole. */
  reveal(place) {
    const top = this.geometry.topOf(place);
    if (top === undefined) return;
    const { scrollTop, clientHeight } = this.el;
    const bottom = top + this.geometry.height;
    if (top - HEADER < scrollTop) this.el.scrollTop = top - HEADER;
    else if (bottom > scrollTop + clientHeight) this.el.scrollTop = bottom - clientHeight + 4;
  }

  /** The image that the scene shows large, with what is said about it; a click closes it. */
  showLarge() {
    const { large: number, cursor } = this.scene;
    const { thumbnails } = this;
    this.large.hidden = number === null;
    if (number === null) return;
    const url = thumbnails.url("large", number) ?? thumbnails.url("thumb", number);
    if (url && this.picture.src !== url) this.picture.src = url;
    this.picture.hidden = !url;
    const text = thumbnails.texts.get(number);
    const mark = this.markOf(cursor);
    const reason = thumbnails.reasons.get(number);
    const words = reason ? [reason] : [text?.title || text?.label, text?.words];
    this.caption.textContent = [...words, mark?.text].filter(Boolean).join("  ·  ");
    this.large.dataset.mark = mark?.kind ?? "";
  }

  markOf(place) {
    return this.names?.[(this.marks?.[place] ?? 0) - 1];
  }

  drawSoon() {
    this.drawing ||= requestAnimationFrame(() => {
      this.drawing = 0;
      this.draw();
    });
  }

  draw() {
    if (!this.scene || !this.layout || !this.viewport) return;
    const { scrollTop: top, clientHeight: height } = this.el;
    // half a window more than is seen, so that a wheel's step meets cells that are there
    const [above, below] = [top - height / 2, top + height * 1.5];
    const [from, to] = this.geometry.met(above, below);
    const shown = new Set();
    for (let index = from; index < to; index += 1) {
      const section = this.geometry.sections[index];
      const box = this.boxFor(index, section);
      const [first, end] = this.geometry.places(section, above, below);
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
    this.ask(top, height, top >= this.last);
    this.last = top;
  }

  drawCell(place, section, box) {
    let cell = this.cells.get(place);
    if (!cell) {
      cell = this.spare.pop() ?? new Thumbnail();
      this.cells.set(place, cell);
      cell.put(place, this.geometry.inside(section, place), this.geometry);
    }
    if (cell.el.parentElement !== box) box.append(cell.el);
    cell.fill(this.layout.ids[place], this.thumbnails, {
      mark: this.markOf(place),
      selected: this.band.holds(place) || Boolean(this.selected?.[place]),
      active: place === this.scene.cursor,
    });
  }

  boxFor(index, { top, height, count }) {
    let box = this.boxes.get(index);
    if (!box) {
      const names = { title: "b", count: "span", note: "span" };
      const parts = Object.entries(names).map(([name, tag]) => element(tag, `pickroom-grid-${name}`));
      const header = element("div", "pickroom-grid-header", {}, ...parts);
      header.dataset.section = index;
      box = element("div", "pickroom-grid-section", {}, header);
      Object.assign(box.style, { top: `${top}px`, height: `${height}px` });
      this.space.append(box);
      this.boxes.set(index, box);
    }
    const { title, note } = this.layout.sections[index];
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
    if (this.spare.length < SPARE) this.spare.push(cell);
  }

  clear() {
    for (const [place, cell] of this.cells) this.drop(place, cell);
    for (const box of this.boxes.values()) box.remove();
    this.boxes.clear();
  }

  /** Ask for what is on screen, then for what comes next the way it is scrolled, then for what lies behind. */
  ask(top, height, down) {
    const { geometry, thumbnails } = this;
    const seen = geometry.placesBetween(top, top + height);
    const later = geometry.placesBetween(top + height, top + 3 * height);
    const before = geometry.placesBetween(top - 2 * height, top).reverse();
    const [next, behind] = down ? [later, before] : [before, later];
    const number = (place) => this.layout.ids[place];
    const { large, cursor, notes } = this.scene;
    const whole = large === null ? [] : [cursor, cursor + 1, cursor - 1].filter((at) => at in this.layout.ids);
    const near = [...seen, ...next, ...behind.slice(0, behind.length / 2)];
    thumbnails.want(near.map(number), whole.map(number), notes);
    const ready = seen.filter((place) => !thumbnails.lacks("thumb", number(place)));
    Object.assign(this.el.dataset, { seen: seen.length, ready: ready.length, cells: this.cells.size });
  }
}

/** The kernel's sections as the grid keeps them. */
function layoutOf(sections) {
  return {
    sections,
    ids: sections.flatMap(({ ids }) => ids.flatMap(([first, count]) => range(first, count))),
    shape: JSON.stringify(sections.map(({ count, ids }) => [count, ids])),
  };
}

/** One small number for each image, from runs [first, last, value]. */
function marked(count, runs) {
  const values = new Uint16Array(count);
  for (const [first, last, value] of runs) values.fill(value, first, last + 1);
  return values;
}

export default widgetOf(GridView, ThumbnailCache);
