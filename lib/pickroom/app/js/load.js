// A widget of anywidget is one text. `app/widgets/stage.py` sends the widget's modules as texts and this function with
// them: each becomes a module with a scope of its own, from a blob: address, which is how anywidget loads a widget.

const IMPORT = /from "\.\/(.+)";$/gm; // app/widgets/stage.py looks for the same

/**
 * Import the last of some modules.
 * @param sources module name -> its text; a module comes after those that it imports
 * @param addressOf text -> the address to import it from
 */
export async function load(sources, addressOf = blobAddress) {
  const addresses = {};
  for (const [name, source] of Object.entries(sources)) {
    const linked = source.replace(IMPORT, (_, imported) => `from "${addresses[imported]}";`);
    addresses[name] = addressOf(`${linked}\n//# sourceURL=pickroom/${name}`); // the name in the browser's tools
  }
  const widget = await import(Object.values(addresses).at(-1));
  for (const address of Object.values(addresses)) URL.revokeObjectURL(address);
  return widget.default;
}

function blobAddress(source) {
  return URL.createObjectURL(new Blob([source], { type: "text/javascript" }));
}
