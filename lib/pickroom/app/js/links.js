// The app's links: a button tells the kernel where to go; the address bar follows, without the token.

export default {
  render({ model, el }) {
    const show = () => {
      el.innerHTML = model.get("html");
    };
    const here = () => location.search.slice(1);
    const follow = (how, query = model.get("query")) => {
      if (query === null || query === here() || !document.body.dataset.voila) return;
      history[how](null, "", query ? `?${query}` : location.pathname);
    };
    const back = () => model.get("query") !== null && model.send({ go: here() });
    el.classList.add("pickroom-links");
    el.addEventListener("click", (event) => {
      const button = event.target.closest("[data-go]");
      if (!button) return;
      button.blur(); // the keys are for the desk that comes
      model.send({ go: button.dataset.go });
    });
    model.on("change:html", show); // anywidget takes both off when the view closes
    model.on("change:query", () => follow("pushState"));
    addEventListener("popstate", back);
    show();
    follow("replaceState");
    return () => removeEventListener("popstate", back);
  },
};
