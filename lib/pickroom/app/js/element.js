/** A new element of the page with a class, properties and children. */
export function element(tag, className, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), { className, ...properties });
  made.append(...children);
  return made;
}

/** Lay an element over a view: x, y and perhaps width and height in CSS pixels of a layout of [width, height]. */
export function place(el, lengths, size) {
  const names = ["left", "top", "width", "height"];
  lengths.forEach((length, i) => (el.style[names[i]] = `${(100 * length) / size[i % 2]}%`));
}
