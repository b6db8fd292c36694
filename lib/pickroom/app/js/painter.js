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
    return cells.filter((cell) => this.paintCell(cell)).length;
  }

  /** The picture at the device pixels it takes on the canvas, undefined while it is not ready. */
  fitted(cell) {
    const dpr = window.devicePixelRatio || 1;
    const size = [cell.box[2], cell.box[3]].map((length) => Math.max(1, Math.round(length * dpr)));
    return this.pictures.fit(cell.name, ...size);
  }

  paintCell(cell) {
    const { on } = this.zoom;
    const bitmap = on ? this.pictures.full(cell.name) : this.fitted(cell);
    const room = on ? cell.window : cell.box;
    this.ctx.save();
    this.ctx.beginPath();
    this.ctx.rect(...room);
    this.ctx.clip();
    if (bitmap) this.ctx.drawImage(bitmap, ...(on ? this.zoom.box(cell) : cell.box));
    else this.placeholder(cell, room);
    const percent = this.zoom.percent(cell);
    if (on === "faces" && !cell.face) this.tag(room, cell.noFace);
    else if (on === "full" && bitmap && this.pictures.sharpening(cell.name)) this.tag(room, `Loading ${percent} %…`);
    else if (on === "full" && bitmap && percent !== 100) this.tag(room, `Enlarged to ${percent} %`);
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
    this.ctx.fillText(reason ? `Cannot be shown: ${reason}` : "Loading…", x + w / 2, y + h / 2, w - 12);
  }

  tag([x, y, w, h], text) {
    Object.assign(this.ctx, { fillStyle: "rgba(0, 0, 0, 0.75)", font: "12px system-ui, sans-serif", textAlign: "right" });
    const wide = this.ctx.measureText(text).width + 16;
    this.ctx.fillRect(x + w - wide - 6, y + h - 26, wide, 20);
    this.ctx.fillStyle = "white";
    this.ctx.fillText(text, x + w - 14, y + h - 12);
  }
}
