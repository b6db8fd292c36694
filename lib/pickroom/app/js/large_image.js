// One image large over the grid, with what is said about it; a click closes it.

class Large {
  /** @param close (event) => void: a click on it */
  constructor(view, close) {
    this.el = Object.assign(document.createElement("div"), { className: "pickroom-grid-large", hidden: true });
    this.picture = document.createElement("img");
    this.caption = document.createElement("div");
    this.el.append(this.picture, this.caption);
    view.on(this.el, "pointerdown", close);
  }

  /** Show an image by its number, with its mark; null shows none. */
  show(number, thumbs, mark) {
    this.el.hidden = number === null;
    if (number === null) return;
    const url = thumbs.url("large", number) ?? thumbs.url("thumb", number);
    if (url && this.picture.src !== url) this.picture.src = url;
    this.picture.hidden = !url;
    const text = thumbs.texts.get(number);
    const told = thumbs.reasons.get(number) ?? [text?.title || text?.label, text?.words].filter(Boolean).join("  ·  ");
    this.caption.textContent = mark ? `${told}  ·  ${mark.text}` : told;
    this.el.dataset.mark = mark?.kind ?? "";
  }
}
