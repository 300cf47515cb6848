/** Makes DOM elements with their properties and children. Text is always text, never HTML. */

/**
 * @param {string} tag e.g. "li"
 * @param {object} settings properties (className, onclick, ...); `aria-*` and `data-*` attributes
 * @param {...(Node|string)} children
 */
export function element(tag, settings = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(settings)) {
    if (name.includes("-")) made.setAttribute(name, value);
    else made[name] = value;
  }
  made.append(...children);
  return made;
}

/** One SVG element with its attributes. */
export function drawn(tag, attributes = {}, ...children) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

/** A list of terms and what each is: a <dl> reads each pair as one row. */
export function pairs(list) {
  return list.map(([term, fact]) =>
    element("div", {}, element("dt", {}, term), element("dd", {}, fact)));
}

/** The element of the page with this id; the page is broken without it, so fail loudly. */
export function byId(id) {
  const found = document.getElementById(id);
  if (!found) throw new Error(`index.html has no element with id "${id}"`);
  return found;
}
