// Paints the pictures of a frame that are here, in CSS pixels of the kernel's layout.

import { element } from "./element.js";

export class Painter {
  constructor(el, pictures, zoom) {
    Object.assign(this, { el, pictures, zoom });
    this.canvas = element("canvas", "", { width: 1, height: 0 });
    this.ctx = this.canvas.getContext("2d");
    el.append(this.canvas);
  }

  /** Paint a frame; how many of its pictures are there. */
  paint({ width, height }, { cells }) {
    const dpr = window.devicePixelRatio || 1;
    const [w, h] = [Math.round(width * dpr), Math.round(height * dpr)];
    if (this.canvas.width !== w || this.canvas.height !== h) Object.assign(this.canvas, { width: w, height: h });
    this.ctx.setTransform(dpr, 0, 0, dpr, 0, 0);
    this.ctx.clearRect(0, 0, width, height);
    if (this.zoom.on) this.zoom.into(cells);
    return cells.filter((cell) => (this.zoom.on ? this.paintWhole(cell) : this.paintFit(cell))).length;
  }

  /** The picture at the device pixels it takes on the canvas, undefined while it is not ready. */
  fitted(cell) {
    const dpr = window.devicePixelRatio || 1;
    const size = [cell.box[2], cell.box[3]].map((length) => Math.max(1, Math.round(length * dpr)));
    return this.pictures.fit(cell.name, ...size);
  }

  paintFit(cell) {
    const bitmap = this.fitted(cell);
    if (bitmap) this.ctx.drawImage(bitmap, ...cell.box);
    else this.placeholder(cell, cell.box);
    return Boolean(bitmap);
  }

  paintWhole(cell) {
    const bitmap = this.pictures.full(cell.name);
    this.ctx.save();
    this.ctx.beginPath();
    this.ctx.rect(...cell.window);
    this.ctx.clip();
    if (bitmap) this.ctx.drawImage(bitmap, ...this.zoom.box(cell));
    else this.placeholder(cell, cell.window);
    const percent = this.zoom.on === "full" ? this.zoom.percent(cell) : 100; // no face is at 100 %
    if (this.zoom.on === "faces" && !cell.face) this.tag(cell.window, cell.noFace);
    else if (bitmap && this.pictures.sharpening(cell.name)) this.tag(cell.window, `loading ${percent} %…`);
    else if (bitmap && percent !== 100) this.tag(cell.window, `enlarged to ${percent} %`);
    this.ctx.restore();
    return Boolean(bitmap);
  }

  placeholder(cell, [x, y, w, h]) {
    const style = getComputedStyle(this.el);
    this.ctx.fillStyle = style.getPropertyValue("--pickroom-empty");
    this.ctx.fillRect(x, y, w, h);
    const reason = this.pictures.reasons.get(cell.name);
    const [colour, font] = [style.getPropertyValue("--pickroom-faint"), "13px system-ui, sans-serif"];
    Object.assign(this.ctx, { fillStyle: colour, font, textAlign: "center" });
    this.ctx.fillText(reason ? `cannot be shown: ${reason}` : "loading…", x + w / 2, y + h / 2, w - 12);
  }

  tag([x, y, w, h], text) {
    Object.assign(this.ctx, { fillStyle: "rgba(0, 0, 0, 0.75)", font: "12px system-ui, sans-serif", textAlign: "right" });
    const wide = this.ctx.measureText(text).width + 16;
    this.ctx.fillRect(x + w - wide - 6, y + h - 26, wide, 20);
    this.ctx.fillStyle = "white";
    this.ctx.fillText(text, x + w - 14, y + h - 12);
  }
}
