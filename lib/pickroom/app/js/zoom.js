// Zoom to 100 %: every image of the frame at the same place of its picture and at the same size on screen, so that they
// can be compared. The image with the most pixels has one of them on each device pixel; smaller ones are enlarged.

const AXES = [0, 1];

export class Zoom {
  constructor() {
    this.on = false;
    this.times = 1; // how much larger than fitted
    this.middle = [0.5, 0.5]; // the place in the middle of every window, as fractions of the image
  }

  /** Zoom into these images, each as many times larger as the others. */
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

  /** Begin with the place under the pointer staying under it; without an image, in the middle. */
  start(cell, pointer) {
    Object.assign(this, { on: true, middle: [0.5, 0.5] });
    if (!cell) return;
    const { box, window: shown } = cell;
    const size = this.size(cell);
    const at = [pointer.x, pointer.y];
    const under = AXES.map((i) => (at[i] - box[i]) / box[i + 2]);
    this.middle = this.inside(cell, AXES.map((i) => under[i] - (at[i] - shown[i] - shown[i + 2] / 2) / size[i]));
  }

  /** Drag by CSS pixels: every image moves by the same part of itself. */
  pan(cell, ...by) {
    const size = this.size(cell);
    this.middle = this.inside(cell, AXES.map((i) => this.middle[i] - by[i] / size[i]));
  }

  /** A middle that leaves no empty edge in the window of an image. */
  inside(cell, middle) {
    return this.size(cell).map((length, i) => {
      const half = cell.window[i + 2] / length / 2; // of the part of the image that its window shows
      return half >= 0.5 ? 0.5 : Math.min(1 - half, Math.max(half, middle[i]));
    });
  }

  /** Where the whole image lies now (x, y, width, height); only what lies in its window is seen. */
  box(cell) {
    const [size, middle] = [this.size(cell), this.inside(cell, this.middle)];
    const corner = AXES.map((i) => cell.window[i] + cell.window[i + 2] / 2 - middle[i] * size[i]);
    return [...corner, ...size];
  }
}
