// What a stage and a grid have in common: the keyboard, the viewport, the desk they stand in, the kernel's answers.

const AGAIN = document.body.dataset.voila ? "reload this page" : "run the cells again"; // the app has no cells
const NOTES = {
  "": "",
  silent: `Still waiting for the kernel. If it was restarted, ${AGAIN}: nothing saved is lost.`,
  gone: `The kernel was restarted: ${AGAIN}. Nothing saved is lost; this key was not recorded.`,
};
const MEASURE_MS = 80; // that a window or a desk must keep its size before it is measured again
const TYPING = "input, select, textarea";
const WHOLE_SCREEN = "Shift+Space"; // the one key that is the page's own: no kernel knows of screens

/** One view. A kind of it sets `el`, which takes the keys, and says what `press(key)` and `viewportChanged(came)` do. */
class Surface {
  constructor(model) {
    this.model = model;
    this.id = crypto.randomUUID();
    this.stop = new AbortController();
    this.viewport = null; // as `viewportOf` says, null until it was shown once
    this.used = false; // a key or a pointer went down here since it was made, and since the window was last in front
    this.note = Object.assign(document.createElement("div"), { className: "pickroom-note" });
    this.note.setAttribute("role", "status");
    this.keys = new KeyQueue((message) => this.send(message), (what) => (this.note.textContent = NOTES[what]));
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
    // ResizeObserver also tells when the notebook detaches the output (size 0) and puts it back
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

  // --- viewport -------------------------------------------------------------------------------------------------

  measureSoon() {
    clearTimeout(this.measuring);
    this.measuring = setTimeout(() => this.measure(), this.viewport ? MEASURE_MS : 0);
  }

  measure() {
    const viewport = viewportOf(this.el);
    if (!viewport) {
      this.away = true;
      return;
    }
    const came = !this.viewport || this.away;
    if (!came && JSON.stringify(viewport) === JSON.stringify(this.viewport)) return;
    this.away = false;
    this.viewport = viewport;
    this.attach();
    this.viewportChanged(came);
  }

  /** After every attach: the desk's buttons press keys, and more words in the desk leave less room. */
  attach() {
    this.shieldKeys();
    this.el.tabIndex = 0;
    const desk = this.el.closest(".pickroom-desk");
    if (!desk || desk === this.desk) return;
    this.desk = desk;
    this.sizes.observe(desk);
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
    // the field has taken what was typed by the time its Enter comes up again: the next keys are for the pictures
    this.on(desk, "keyup", (event) => {
      if (event.key === "Enter" && !event.isComposing && event.target.closest("input")) this.take();
    });
  }

  // --- focus and keys ---------------------------------------------------------------------------------------

  focus() {
    this.el.focus({ preventScroll: true });
  }

  /** Take the keyboard for something that the user did on this desk. */
  take() {
    this.used = true;
    this.focus();
  }

  /**
   * Take the keyboard for a pointer that goes down here; whether the user had it here already, in a window that was in
   * front. If not, the pointer did no more than bring it: nobody picks an image by the click that the desk asks for. A
   * desk that took the keyboard itself as it appeared counts as not used: the user may not have seen that it did.
   */
  claim() {
    const here = this.used && document.activeElement === this.el && document.hasFocus();
    this.take();
    return here;
  }

  /** Take the keyboard when the desk appears and nobody is typing; and be seen: a key must not decide out of sight. */
  greet() {
    const active = document.activeElement;
    const typing = active?.closest(`${TYPING}, [contenteditable='true'], .jp-Dialog`);
    const here = !active || active === document.body || active.closest(".jp-Notebook")?.contains(this.el);
    if (here && !typing) this.focus();
    this.comeIntoView();
  }

  /** The whole desk, words included, while the keys are here; nothing moves when it is in view already. */
  comeIntoView() {
    if (document.activeElement === this.el) this.layers().scrollIntoView({ block: "nearest" });
  }

  layers() {
    return this.el.closest(".pickroom-desk") ?? this.el;
  }

  /** The notebook's shortcuts are kept away, but for those with Ctrl or Cmd: saving works from here too. */
  shieldKeys(event) {
    if (event?.ctrlKey || event?.metaKey) delete this.el.dataset.lmSuppressShortcuts;
    else this.el.dataset.lmSuppressShortcuts = "true";
  }

  onFocus(on) {
    this.shieldKeys();
    this.send({ type: "focus", on });
  }

  /** The desk on the whole screen, and back; the window's own resize measures it anew. */
  fillScreen() {
    // what lies around the desk, not itself: stretched, it would not show how much its words take
    if (document.fullscreenElement) document.exitFullscreen();
    else this.desk?.parentElement.requestFullscreen?.().then(() => this.focus());
  }

  onKeyDown(event) {
    this.used = true;
    this.shieldKeys(event); // Ctrl goes down before the key it belongs to
    const key = spell(event);
    if (key === WHOLE_SCREEN) {
      event.preventDefault();
      event.stopPropagation();
      if (!event.repeat) this.fillScreen();
    }
    if (!key || !this.model.get("key_names").includes(key)) return;
    event.preventDefault();
    event.stopPropagation();
    // a key held down counts only where that is meant, and then no faster than it is answered
    if (!event.repeat || (this.model.get("repeating").includes(key) && !this.keys.length)) this.press(key);
  }
}

/**
 * The module of a widget: its views on this page, which share what the page holds of pictures.
 * @param View (model, el, store) a Surface
 * @param open (model, views) => the store
 * @param receive (content, buffers, views, store) => void: a message of the kernel that is not for the keys
 */
function moduleOf(View, open, receive) {
  return () => {
    const views = new Set();
    let store;
    return {
      initialize({ model }) {
        store = open(model, views);
        model.on("msg:custom", (content, buffers) => {
          if (content.type !== "resend") receive(content, buffers, views, store);
          else views.forEach((view) => view.id === content.view && view.keys.sendAgain(content.number));
        });
      },
      render({ model, el }) {
        const view = new View(model, el, store);
        views.add(view);
        return () => {
          views.delete(view);
          view.close();
        };
      },
    };
  };
}
