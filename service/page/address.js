/**
 * The view in the address bar: ?model=digits&sample=0.png.
 *
 * A photo of the visitor's own has no address; history entries carry its number instead, so
 * that Back and Forward work as long as the page is open.
 */

/** @returns {{model: ?string, sample: ?string, own: ?number}} what the address asks for */
export function readAddress() {
  const asked = new URLSearchParams(location.search);
  return {
    model: asked.get("model"),
    sample: asked.get("sample"),
    own: history.state?.own ?? null,
  };
}

/** Write the view into the address bar; `replace` corrects it without a step in the history. */
export function writeAddress({ model, sample = null, own = null }, { replace = false } = {}) {
  const asked = new URLSearchParams({ model });
  if (sample !== null) asked.set("sample", sample);
  const url = `${location.pathname}?${asked}`;
  if (replace) history.replaceState({ own }, "", url);
  else history.pushState({ own }, "", url);
}
