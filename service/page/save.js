/** Downloads any picture on view, as PNG or WebP. */

import { element } from "./element.js";

const KINDS = { PNG: "image/png", WebP: "image/webp" };

/**
 * Two buttons that save a picture.
 *
 * @param {string} what is saved, for screen readers: "the layer sheet"
 * @param {() => {picture: HTMLCanvasElement, name: string}} draw called on a click
 */
export function saveButtons(what, draw) {
  const buttons = Object.entries(KINDS).map(([kind, type]) =>
    element("button", {
      type: "button",
      "aria-label": `Save ${what} as ${kind}`,
      onclick: () => {
        const { picture, name } = draw();
        picture.toBlob((blob) => hand(blob, `${name}.${kind.toLowerCase()}`), type, 0.95);
      },
    }, kind));
  return element("div", { className: "save" }, element("span", {}, "Save"), ...buttons);
}

function hand(blob, name) {
  const url = URL.createObjectURL(blob);
  element("a", { href: url, download: name.replace(/[^\w.-]+/g, "-") }).click();
  setTimeout(() => URL.revokeObjectURL(url), 60_000); // the browser reads it after the click
}
