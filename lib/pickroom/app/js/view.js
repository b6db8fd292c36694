// What the image view and the grid have in common: the keyboard, the viewport, the desk around them, the kernel's
// answers.

import { element } from "./element.js";
import { KeyQueue, spell } from "./keys.js";

const SLACK = 8; // CSS pixels over and under a desk that fills its window
const MEASURE_MS = 80; // that a window or a desk must keep its size before it is measured again
const TYPING = "input, select, textarea";
const FULL_SCREEN = "Shift+Space"; // the only key that the page handles itself: the kernel does not know the screen

/** One view. A subclass sets `el`, which takes the keys, and `token`, and has `viewportChanged(appeared)`. */
export class View {
  constructor(model) {
    this.model = model;
    this.id = crypto.randomUUID();
    this.stop = new AbortController();
    this.viewport = null; // see `viewportOf`
    this.used = false; // a key or a pointer went down here since it was made, and since the window was last in front
    this.note = element("div", "pickroom-note", { role: "status" });
    this.keys = new KeyQueue((message) => this.send(message), (what) => this.say(what));
  }

  /** Call a method on an event, until the view closes. */
  on(target, name, handler) {
    target.addEventListener(name, handler.bind(this), { signal: this.stop.signal });
  }

  listen() {
    this.on(this.el, "keydown", this.onKeyDown);
    this.on(this.el, "keyup", this.shieldKeys);
    this.on(this.el, "focus", () => this.onFocus(true));
    this.on(this.el, "blur", () => this.onFocus(false));
    this.on(window, "blur", () => (this.used = false));
    this.on(document, "visibilitychange", () => (this.used = false));
    this.on(window, "resize", this.measureSoon);
    // ResizeObserver also tells when the notebook detaches the output (size 0) and attaches it again
    this.sizes = new ResizeObserver(() => this.measureSoon());
    this.sizes.observe(this.el);
    this.theme = new MutationObserver(() => this.measureSoon());
    this.theme.observe(document.body, { attributes: true, attributeFilter: ["data-jp-theme-light"] });
    this.shieldKeys();
  }

  close() {
    this.stop.abort();
    this.sizes.disconnect();
    this.theme.disconnect();
    clearTimeout(this.measuring);
    this.keys.close();
  }

  send(message) {
    this.model.send({ view: this.id, ...message });
  }

  /** A message of the kernel to this view, or to every view. */
  receive(content) {
    if (content.type === "resend") this.keys.sendAgain(content.number);
  }

  /** Tell the user how the kernel answers: `silent`, `gone`, or "" for as it should. */
  say(what) {
    const again = document.body.dataset.voila ? "reload this page" : "run the cells again"; // the app has no cells
    const words = {
      silent: `Still waiting for the kernel. If it was restarted, ${again}: nothing saved is lost.`,
      gone: `The kernel was restarted: ${again}. Nothing saved is lost, but this key was not recorded.`,
    };
    this.note.textContent = words[what] ?? "";
  }

  measureSoon() {
    clearTimeout(this.measuring);
    this.measuring = setTimeout(() => this.measure(), this.viewport ? MEASURE_MS : 0);
  }

  measure() {
    const before = this.viewport;
    this.viewport = viewportOf(this.el);
    if (!this.viewport || JSON.stringify(this.viewport) === JSON.stringify(before)) return;
    this.attach();
    this.viewportChanged(!before);
  }

  /** After every attach: the desk's buttons press keys, and more words in the desk leave less room. */
  attach() {
    this.shieldKeys();
    this.el.tabIndex = 0;
    const desk = this.el.closest(".pickroom-desk");
    if (!desk || desk === this.desk) return;
    this.desk = desk;
    for (const box of [desk, scroller(this.el)]) this.sizes.observe(box); // lines above the desk come and go as well
    for (const part of desk.querySelectorAll(".pickroom-words, .pickroom-panel")) part.ariaLive = "polite";
    // fields without a label of their own are called by what stands in them at first
    for (const field of desk.querySelectorAll("input, select")) field.ariaLabel ||= field.placeholder ?? field.value;
    // a click on the words or on a panel keeps the keys here, unless it selects text or is for typing
    this.on(desk, "click", (event) => {
      const button = event.target.closest("button[data-press]");
      if (button) this.press(button.dataset.press); // numbered, and never applied to what was not on screen
      const elsewhere = !this.el.contains(event.target) && !event.target.closest(TYPING);
      if (button || (elsewhere && getSelection().isCollapsed)) this.take();
    });
    this.on(desk, "mousedown", (event) => {
      if (event.target.closest("button[data-press]")) event.preventDefault(); // the keys stay here all the while
    });
    this.on(desk, "keydown", (event) => {
      if (event.key !== "Escape" || !event.target.closest(TYPING)) return;
      event.stopPropagation();
      this.take();
    });
    // when Enter comes up, the field has taken what was typed: the next keys are for the images
    this.on(desk, "keyup", (event) => {
      if (event.key === "Enter" && !event.isComposing && event.target.closest("input")) this.take();
    });
  }

  focus() {
    this.el.focus({ preventScroll: true });
  }

  /** Take the keyboard for something that the user did on this desk. */
  take() {
    this.used = true;
    this.focus();
  }

  /**
   * Take the keyboard for a pointer that goes down here.
   * @return whether the user had it here already, in a window that was in front. If not, the pointer only brings it:
   *     the click that the desk asks for must not pick an image. A desk that took the keyboard itself as it appeared
   *     counts as not used, since the user may not have seen that it did.
   */
  claim() {
    const here = this.used && document.activeElement === this.el && document.hasFocus();
    this.take();
    return here;
  }

  /** When the desk appears, its words laid out: take the keyboard unless the user types, and scroll into view. */
  greetOnce() {
    if (!this.greeted && this.viewport) requestAnimationFrame(() => this.greet());
    this.greeted ||= Boolean(this.viewport);
  }

  greet() {
    const active = document.activeElement;
    const typing = active?.closest(`${TYPING}, [contenteditable='true'], .jp-Dialog`);
    const here = !active || active === document.body || active.closest(".jp-Notebook")?.contains(this.el);
    if (here && !typing) this.focus();
    this.comeIntoView();
  }

  /** Show the whole desk, words included, while the keys are here; nothing moves when it is in view already. */
  comeIntoView() {
    if (document.activeElement === this.el) this.layers().scrollIntoView({ block: "nearest" });
  }

  layers() {
    return this.el.closest(".pickroom-desk") ?? this.el;
  }

  /** Keep the notebook's shortcuts away, except those with Ctrl or Cmd: saving works from here, too. */
  shieldKeys(event) {
    if (event?.ctrlKey || event?.metaKey) delete this.el.dataset.lmSuppressShortcuts;
    else this.el.dataset.lmSuppressShortcuts = "true";
  }

  onFocus(on) {
    this.shieldKeys();
    this.send({ type: "focus", on });
  }

  /** Show the desk on the whole screen, or leave it; the window's resize has it measured. */
  toggleFullScreen() {
    // what lies around the desk, not the desk: stretched, it would not show how much room its words take
    if (document.fullscreenElement) document.exitFullscreen();
    else this.desk?.parentElement.requestFullscreen?.().then(() => this.focus());
  }

  /** Send a key to the kernel; no key decides out of sight. */
  press(key) {
    this.comeIntoView();
    this.keys.push(key, this.token);
  }

  onKeyDown(event) {
    this.used = true;
    this.shieldKeys(event); // Ctrl goes down before the key it belongs to
    const key = spell(event);
    // where Tab stands for something, Escape lets the next one lead on: no trap for the keyboard
    const leaves = this.leaving && key?.endsWith("Tab");
    this.leaving = key === "Escape";
    if (leaves) return;
    const own = key === FULL_SCREEN;
    if (!own && (!key || !this.model.get("key_names").includes(key))) return;
    event.preventDefault();
    event.stopPropagation();
    if (own && !event.repeat) this.toggleFullScreen();
    // a key held down counts only where that is meant, and then no faster than it is answered
    const again = this.model.get("repeating").includes(key) && !this.keys.length;
    if (!own && (!event.repeat || again)) this.press(key);
  }
}

/** The output's width, and what the window leaves of its height next to the desk's words; null while not shown. */
function viewportOf(el) {
  if (!el.isConnected || el.clientWidth === 0) return null;
  const box = el.closest(".pickroom-layers") ?? el;
  const desk = el.closest(".pickroom-desk") ?? box;
  const rest = desk.offsetHeight - box.offsetHeight;
  return {
    width: Math.floor(box.clientWidth),
    height: Math.max(240, Math.floor(scroller(el).clientHeight - rest - SLACK)),
    dpr: window.devicePixelRatio || 1,
    dark: document.body.dataset.jpThemeLight === "false",
  };
}

/** The element that scrolls the notebook, the app's page or the whole screen: its height is what is seen at a time. */
function scroller(el) {
  for (let node = el.parentElement; node; node = node.parentElement) {
    if (node.classList.contains("pickroom-app-room") || node === document.fullscreenElement) return node;
    const scrolls = ["auto", "scroll"].includes(getComputedStyle(node).overflowY);
    if (scrolls && node.clientHeight > 200 && !node.closest(".jp-OutputArea")) return node;
  }
  return document.documentElement;
}

/**
 * A widget: its views on this page, and the cache of images that they share.
 * @param ViewClass (model, el, cache) a View
 * @param CacheClass (send, changed) with `receive(content, buffers)`; calls `changed(name)` for each image that arrived
 */
export function widgetOf(ViewClass, CacheClass) {
  const page = crypto.randomUUID(); // the kernel's name for this page
  const views = new Set();
  let cache;
  return {
    initialize({ model }) {
      const changed = (name) => views.forEach((view) => view.cacheChanged(name));
      cache = new CacheClass((message) => model.send({ page, ...message }), changed);
      model.on("msg:custom", (content, buffers) => {
        if (content.page === page) cache.receive(content, buffers);
        if (content.page) return;
        for (const view of views) if (!content.view || content.view === view.id) view.receive(content);
      });
    },
    render({ model, el }) {
      const view = new ViewClass(model, el, cache);
      views.add(view);
      return () => {
        views.delete(view);
        view.close();
      };
    },
  };
}
