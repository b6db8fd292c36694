// Where everything lies on the board, in CSS pixels from its top: headers, rows and cells, worked out and never
// measured, so that ten thousand images cost no more than ten.

const HEADER = 34; // of a section
const LINE = 22; // of words under a thumbnail
const AFTER = 14; // under a section

class Geometry {
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

  /** Indexes [from, to) of the sections that a span of pixels meets. */
  met(top, bottom) {
    const from = this.sections.findIndex((one) => one.top + one.height > top);
    if (from < 0) return [0, 0];
    let to = from;
    while (to < this.sections.length && this.sections[to].top < bottom) to += 1;
    return [from, to];
  }

  /** Places [from, to) of one section whose rows a span of pixels meets. */
  places({ top, first, count, rows }, from, to) {
    const row = (y) => Math.max(0, Math.min(rows, y));
    const start = row(Math.floor((from - top - HEADER) / this.height));
    const end = row(Math.ceil((to - top - HEADER) / this.height));
    return [first + Math.min(count, start * this.columns), first + Math.min(count, end * this.columns)];
  }

  sectionOf(place) {
    return this.sections.find((one) => place >= one.first && place < one.first + one.count);
  }

  /** (x, y) of a cell inside its section. */
  inside(section, place) {
    const at = place - section.first;
    return [(at % this.columns) * this.width, HEADER + Math.floor(at / this.columns) * this.height];
  }

  /** Runs [first, last] of the places that a rectangle (left, top, right, bottom) touches. */
  touched([left, top, right, bottom]) {
    const from = Math.max(0, Math.floor(left / this.width));
    const to = Math.min(this.columns - 1, Math.floor(right / this.width));
    const runs = [];
    const [begin, end] = this.met(top, bottom);
    for (const section of this.sections.slice(begin, end)) {
      const [first, last] = this.places(section, top, bottom);
      for (let row = first; row < last; row += this.columns) {
        const run = [row + from, Math.min(row + to, section.first + section.count - 1)];
        if (run[0] <= run[1]) runs.push(run);
      }
    }
    return runs;
  }
}
