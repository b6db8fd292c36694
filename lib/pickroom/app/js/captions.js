// The words under the images: number, what is chosen, what is known. The kernel says them, and how much room there is.

import { element, place } from "./element.js";

const ABOVE = 5; // CSS pixels over the first line: the image's frame
const LINE = 19; // height of a line in desk.css
const WITHIN = /(?<! ·) (?!· )/g; // spaces in a name or a quantity, which stays on one line
const IN_DATE = /(?<=\d)-(?=\d)/g;

export class Captions {
  constructor(parent) {
    this.el = element("div", "pickroom-captions");
    parent.append(this.el);
  }

  /** Under these cells; nothing is made anew while they and their places are the same. */
  show(cells, zoomed, { width, height }) {
    const shown = JSON.stringify([cells.map(({ box, caption }) => [box, caption]), zoomed, width]);
    if (shown === this.shown) return;
    this.shown = shown;
    this.el.replaceChildren(
      ...cells.map(({ number, caption: { title, quiet, mark, flag }, bottom, ...cell }) => {
        const [x, y, w, h] = zoomed ? cell.window : cell.box;
        const parts = [element("b", "", {}, String(number)), flag && element("em", "flag", {}, flag), title];
        const whole = quiet.replace(WITHIN, "\u00a0").replace(IN_DATE, "-\u2060");
        if (whole) parts.push(element("small", "", {}, ` · ${whole}`));
        const el = element("div", "pickroom-caption", { title: `${title} · ${quiet}` }, ...parts);
        place(el, [x, y + h + ABOVE, w], [width, height]);
        el.style.webkitLineClamp = Math.max(1, Math.floor((bottom - y - h - ABOVE) / LINE));
        el.dataset.mark = mark;
        return el;
      }),
    );
  }
}
