// Where everything lies in the grid, in CSS pixels from its top: headers, rows and cells. It is calculated, never
// measured, so that ten thousand images cost no more than ten. A place counts images through all sections, from 0.

export const HEADER = 34; // of a section
export const LINE = 22; // of words under a thumbnail
const AFTER = 14; // under a section

/** The integers from the first, so many of them. */
export function range(first, count) {
  return Array.from({ length: Math.max(0, count) }, (_, i) => first + i);
}

export class GridGeometry {
  /** @param counts images of each section; cell: the least width of one */
  constructor(counts, width, cell) {
    this.columns = Math.max(1, Math.floor(width / cell));
    this.width = Math.floor(width / this.columns);
    this.height = Math.round(this.width * 0.86) + LINE;
    this.sections = [];
    let [top, first] = [0, 0];
    for (const count of counts) {
      const rows = Math.ceil(count / this.columns);
      const height = HEADER + rows * this.height + AFTER;
      this.sections.push({ top, first, count, rows, height });
      top += height;
      first += count;
    }
    this.total = top;
    this.count = first;
  }

  /** Indexes [from, to) of the sections that a range of pixels meets. */
  met(top, bottom) {
    const from = this.sections.findIndex((one) => one.top + one.height > top);
    if (from < 0) return [0, 0];
    let to = from;
    while (to < this.sections.length && this.sections[to].top < bottom) to += 1;
    return [from, to];
  }

  /** Places [from, to) of one section whose rows a range of pixels meets. */
  places({ top, first, count, rows }, from, to) {
    const row = (y) => Math.max(0, Math.min(rows, y));
    const start = row(Math.floor((from - top - HEADER) / this.height));
    const end = row(Math.ceil((to - top - HEADER) / this.height));
    return [first + Math.min(count, start * this.columns), first + Math.min(count, end * this.columns)];
  }

  /** Every place whose row a range of pixels meets. */
  placesBetween(top, bottom) {
    return this.sections.slice(...this.met(top, bottom)).flatMap((section) => {
      const [first, end] = this.places(section, top, bottom);
      return range(first, end - first);
    });
  }

  /** The first place whose row ends below a height, undefined when there is none. */
  placeBelow(top) {
    const section = this.sections.find((one) => one.count && one.top + one.height - AFTER > top);
    return section && this.places(section, top, top)[0];
  }

  /** (x, y) of a cell inside its section. */
  inside(section, place) {
    const at = place - section.first;
    return [(at % this.columns) * this.width, HEADER + Math.floor(at / this.columns) * this.height];
  }

  /** The top of a cell, undefined for a place that no section has. */
  topOf(place) {
    const section = this.sections.find((one) => place >= one.first && place < one.first + one.count);
    return section && section.top + this.inside(section, place)[1];
  }

  /** Runs [first, last] of the places that a rectangle (left, top, right, bottom) touches. */
  touched([left, top, right, bottom]) {
    const from = Math.max(0, Math.floor(left / this.width));
    const to = Math.min(this.columns - 1, Math.floor(right / this.width));
    const runs = [];
    for (const section of this.sections.slice(...this.met(top, bottom))) {
      const [first, last] = this.places(section, top, bottom);
      for (let row = first; row < last; row += this.columns) {
        const run = [row + from, Math.min(row + to, section.first + section.count - 1)];
        if (run[0] <= run[1]) runs.push(run);
      }
    }
    return runs;
  }
}
