// How much room a view has in its notebook.

/** The output's width, and what the window leaves of its height beside the desk's words; null while it is not shown. */
function viewportOf(el) {
  if (!el.isConnected || el.clientWidth === 0) return null;
  const box = el.closest(".pickroom-layers") ?? el;
  const desk = el.closest(".pickroom-desk") ?? box;
  const rest = desk.offsetHeight - box.offsetHeight;
  return {
    width: Math.floor(box.clientWidth),
    height: Math.max(240, Math.floor(scroller(el).clientHeight - rest - 24)),
    dpr: window.devicePixelRatio || 1,
    dark: document.body.dataset.jpThemeLight === "false",
  };
}

/** The element that scrolls the notebook, the app's room or the whole screen: its height is what one sees at a time. */
function scroller(el) {
  for (let node = el.parentElement; node; node = node.parentElement) {
    if (node.classList.contains("pickroom-app-room") || node === document.fullscreenElement) return node;
    const { overflowY } = getComputedStyle(node);
    if ((overflowY === "auto" || overflowY === "scroll") && node.clientHeight > 200 && !node.closest(".jp-OutputArea")) {
      return node;
    }
  }
  return document.documentElement;
}
