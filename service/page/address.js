/**
 * The view in the address bar: ?model=digits&sample=0.png&layer=stem&channel=3.
 *
 * The address is the one source of what is on view: a click writes it, then the page follows it,
 * as it follows Back, Forward and a shared link. A photo of the visitor's own has no address;
 * history entries carry its number, so that Back finds it as long as the page is open.
 *
 * @typedef {object} Address
 * @property {?string} model
 * @property {?string} sample the photo, one of the model's samples
 * @property {?string} with the second photo, likewise
 * @property {?number} own the photo, one of the visitor's own
 * @property {?number} withOwn the second photo, likewise
 * @property {?string} label the class to explain; null: the predicted one
 * @property {?string} layer
 * @property {?string} channel
 * @property {?string} sort order of a layer's channels
 * @property {?string} scale "channel" or, by default, "layer": what the brightest colour means
 */

const SHOWN = ["model", "sample", "label", "layer", "channel", "sort", "scale", "with"];
const CARRIED = ["own", "withOwn"];

/** @returns {Address} what the address names */
export function readAddress() {
  const query = new URLSearchParams(location.search);
  return Object.fromEntries([
    ...SHOWN.map((name) => [name, query.get(name)]),
    ...CARRIED.map((name) => [name, history.state?.[name] ?? null]),
  ]);
}

/** Write the view into the address bar; `replace` corrects it without a step in the history. */
export function writeAddress(view, { replace = false } = {}) {
  const state = Object.fromEntries(CARRIED.map((name) => [name, view[name] ?? null]));
  if (replace) history.replaceState(state, "", hrefOf(view));
  else history.pushState(state, "", hrefOf(view));
}

/** The address of a view, for links. */
export function hrefOf(view) {
  const query = new URLSearchParams();
  for (const name of SHOWN) {
    if (view[name] !== null && view[name] !== undefined) query.set(name, view[name]);
  }
  return `${location.pathname}?${query}`;
}
