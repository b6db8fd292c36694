// One thumbnail: made once, used again for whichever image scrolls into its place.

class Cell {
  constructor() {
    const make = (tag, name) => Object.assign(document.createElement(tag), { className: `pickroom-cell-${name}` });
    this.el = Object.assign(document.createElement("div"), { className: "pickroom-cell" });
    this.img = Object.assign(make("img", "image"), { alt: "", decoding: "async", draggable: false });
    this.reason = make("div", "reason");
    this.badge = make("div", "mark");
    this.label = make("span", "label");
    this.words = make("span", "words");
    const line = make("div", "line");
    line.append(this.label, this.words);
    this.el.append(this.img, this.reason, this.badge, line);
  }

  /** Put it somewhere; only what changed is written: layout is what scrolling pays for. */
  put(place, [x, y], { width, height }) {
    this.place = place;
    const where = `${x} ${y} ${width} ${height}`;
    if (where === this.where) return;
    this.where = where;
    Object.assign(this.el.style, { transform: `translate(${x}px, ${y}px)`, width: `${width}px`, height: `${height}px` });
    this.img.style.height = `${height - LINE - 8}px`;
    this.el.dataset.place = place;
  }

  fill(number, thumbs, { mark, selected, active }) {
    this.el.dataset.place = this.place;
    const url = thumbs.url("thumb", number);
    if (url !== this.url) {
      this.url = url;
      if (url) this.img.src = url;
      else this.img.removeAttribute("src");
    }
    const reason = url ? "" : (thumbs.reasons.get(number) ?? "");
    if (reason !== this.reason.textContent) this.reason.textContent = reason;
    const text = thumbs.texts.get(number) ?? { label: "", words: "", title: "", warn: false };
    if (text !== this.text) {
      this.text = text;
      this.label.textContent = text.label;
      this.words.textContent = text.words;
      this.words.classList.toggle("pickroom-warn", text.warn);
      this.el.title = text.title;
    }
    if (mark?.text !== this.mark?.text || mark?.kind !== this.mark?.kind) {
      this.mark = mark;
      this.badge.textContent = mark?.text ?? "";
      this.el.dataset.mark = mark?.kind ?? "";
    }
    this.el.classList.toggle("pickroom-selected", selected);
    this.el.classList.toggle("pickroom-active", active);
  }
}
