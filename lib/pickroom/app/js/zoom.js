// Zoom to 100 %: every image of the frame at the same place of its picture and at the same size on screen, so that they
// can be compared. The image with the most pixels has one of them on each device pixel; smaller ones are enlarged.
// Or zoom to the faces: the face of every image in the middle of its window, all of them as large.

const AXES = [0, 1];
const FACE = 0.6; // side of a face, in sides of the smallest window

export class Zoom {
  constructor() {
    this.on = ""; // "full", "faces", or "" while the images are as large as fits
    this.atFaces = false; // whether it began with each face in the middle; else with the middle of each image
    this.offset = [0, 0]; // moved from there: in fractions of the image, or among the faces in sides of a face
  }

  /** Zoom into these images, each as many times larger as the others, or each so that its face has the common size. */
  into(cells) {
    const dpr = window.devicePixelRatio || 1;
    this.times = Math.max(...cells.map((cell) => cell.size[1] / (cell.box[3] * dpr))); // larger than fitted
    this.side = FACE * Math.min(...cells.flatMap((cell) => cell.window.slice(2))); // of a face, in CSS pixels
  }

  /** Whether an image is shown by its face; one without a face is shown whole among the faces. */
  byFace({ face }) {
    return this.on === "faces" && Boolean(face);
  }

  /** Size in CSS pixels. */
  size(cell) {
    const [, , w, h] = cell.box;
    let times = this.on === "faces" ? 1 : this.times;
    if (this.byFace(cell)) times = this.side / (cell.face[2] * Math.sqrt(w * h));
    return [w * times, h * times];
  }

  /** The side of an image pixel, in percent of a device pixel's: 100, or more for an image that was enlarged. */
  percent(cell) {
    return Math.round((100 * this.size(cell)[1] * (window.devicePixelRatio || 1)) / cell.size[1]);
  }

  /**
   * Begin with the place under the pointer staying under it; without an image, in the middle. The faces begin in the
   * middle, and so does the zoom to 100 % from there.
   */
  start(kind, cells, cell, pointer) {
    this.atFaces = [kind, this.on].includes("faces");
    Object.assign(this, { on: kind, offset: [0, 0] });
    this.into(cells);
    if (!cell || this.atFaces) return;
    const { box, window: shown } = cell;
    const size = this.size(cell);
    const at = [pointer.x, pointer.y];
    const under = AXES.map((i) => (at[i] - box[i]) / box[i + 2]);
    this.moveTo(cell, AXES.map((i) => under[i] - (at[i] - shown[i] - shown[i + 2] / 2) / size[i]));
  }

  /** Drag by CSS pixels: every image moves by the same part of itself, every face by the same part of a face. */
  pan(cell, ...by) {
    if (this.on === "faces" && !cell.face) return;
    const [size, middle] = [this.size(cell), this.middle(cell)];
    this.moveTo(cell, AXES.map((i) => middle[i] - by[i] / size[i]));
  }

  /** Move all images, so that this place of one of them comes into the middle of its window. */
  moveTo(cell, place) {
    const middle = this.inside(cell, place);
    this.offset = this.origin(cell).map(([from, unit], i) => (middle[i] - from) / unit);
  }

  /** The place in the middle of an image's window, as fractions of the image. */
  middle(cell) {
    return this.inside(cell, this.origin(cell).map(([from, unit], i) => from + this.offset[i] * unit));
  }

  /** For each axis where the offset counts from and what it counts in, both as fractions of the image. */
  origin(cell) {
    const from = (this.atFaces && cell.face) || [0.5, 0.5];
    return this.size(cell).map((length, i) => [from[i], this.on === "faces" ? this.side / length : 1]);
  }

  /** A middle that leaves no empty edge in the window of an image; a face at the edge of its image stays in the middle. */
  inside(cell, middle) {
    return this.size(cell).map((length, i) => {
      const half = this.byFace(cell) ? 0 : cell.window[i + 2] / length / 2; // of what the window shows of the image
      return half >= 0.5 ? 0.5 : Math.min(1 - half, Math.max(half, middle[i]));
    });
  }

  /** Where the whole image lies now (x, y, width, height); only what lies in its window is seen. */
  box(cell) {
    const [size, middle] = [this.size(cell), this.middle(cell)];
    const corner = AXES.map((i) => cell.window[i] + cell.window[i + 2] / 2 - middle[i] * size[i]);
    return [...corner, ...size];
  }
}
