// Zoom to 100 %: every image of the frame at the same place of its picture and at the same size on screen, so that they
// can be compared. The image with the most pixels has one of them on each device pixel; smaller ones are enlarged.

export class Zoom {
  constructor() {
    this.on = false;
    this.times = 1; // how much larger than fitted
    this.x = 0.5; // the place in the middle of every window, as fractions of the image
    this.y = 0.5;
  }

  /** Zoom into these images; fitted they are all of one height. */
  into(cells) {
    const dpr = window.devicePixelRatio || 1;
    this.times = Math.max(...cells.map((cell) => cell.size[1] / (cell.box[3] * dpr)));
  }

  /** Size in CSS pixels. */
  size(cell) {
    return [cell.box[2] * this.times, cell.box[3] * this.times];
  }

  /** The side of an image pixel, in percent of a device pixel's: 100, or more for an image that was enlarged. */
  percent(cell) {
    return Math.round((100 * this.size(cell)[1] * (window.devicePixelRatio || 1)) / cell.size[1]);
  }

  /** Begin with the place under the pointer staying under it; without a pointer, in the middle. */
  start(cell, pointer) {
    Object.assign(this, { on: true, x: 0.5, y: 0.5 });
    if (!cell) return;
    const [bx, by, bw, bh] = cell.box;
    const [wx, wy, ww, wh] = cell.window;
    const [width, height] = this.size(cell);
    this.x = (pointer.x - bx) / bw - (pointer.x - wx - ww / 2) / width;
    this.y = (pointer.y - by) / bh - (pointer.y - wy - wh / 2) / height;
    this.keepInside(cell);
  }

  /** Drag by CSS pixels: every image moves by the same part of itself. */
  pan(cell, dx, dy) {
    const [width, height] = this.size(cell);
    this.x -= dx / width;
    this.y -= dy / height;
    this.keepInside(cell);
  }

  keepInside(cell) {
    const [width, height] = this.size(cell);
    this.x = inside(this.x, cell.window[2] / width);
    this.y = inside(this.y, cell.window[3] / height);
  }

  /** Where the whole image lies now (x, y, width, height); only what lies in its window is seen. */
  box(cell) {
    const [wx, wy, ww, wh] = cell.window;
    const [width, height] = this.size(cell);
    const left = wx + ww / 2 - inside(this.x, ww / width) * width;
    return [left, wy + wh / 2 - inside(this.y, wh / height) * height, width, height];
  }
}

/** A middle that leaves no empty edge: `share` is the part of the image that its window shows. */
function inside(middle, share) {
  return share >= 1 ? 0.5 : Math.min(1 - share / 2, Math.max(share / 2, middle));
}
