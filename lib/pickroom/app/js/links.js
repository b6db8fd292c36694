// The app's links: a button tells the kernel where to go; the address bar follows, without the token.

export default {
  render({ model, el }) {
    const show = () => {
      el.innerHTML = model.get("html");
    };
    const follow = () => {
      const query = model.get("query");
      if (document.body.dataset.voila) history.replaceState(null, "", query ? `?${query}` : location.pathname);
    };
    el.classList.add("pickroom-links");
    el.addEventListener("click", (event) => {
      const button = event.target.closest("[data-go]");
      if (!button) return;
      button.blur(); // the keys are for the desk that comes
      model.send({ go: button.dataset.go });
    });
    model.on("change:html", show); // anywidget takes both off when the view closes
    model.on("change:query", follow);
    show();
    follow();
  },
};
