/** Shows the exemplars of a channel: the patches, out of many photos, that excite it most. */

import * as api from "./api.js";
import { byId, element } from "./element.js";
import { saveButtons } from "./save.js";
import { rounded } from "./words.js";

const COLUMNS = 3; // of the sprite

/** @param {object} known the service's answer on the channel @param {string} name of a download */
export async function showExemplars({ exemplars, image, tile, ...known }, name, signal) {
  byId("computed").hidden = !known.visualisation;
  if (known.visualisation) byId("visualisation").src = api.urlOf(known.visualisation);
  byId("unsettled").hidden = known.visualisation_converged !== false;
  byId("exemplars").hidden = !exemplars.length || !image;
  if (!image) return;
  const sprite = element("img", { src: api.urlOf(image), alt: "" });
  try {
    await sprite.decode();
  } catch {
    signal.throwIfAborted();
    throw new api.ApiError("The exemplars of this channel could not be loaded.");
  }
  signal.throwIfAborted();
  byId("exemplar-list").replaceChildren(...exemplars.map((each, at) => patch(each, at, sprite, tile)));
  byId("exemplar-save").replaceChildren(saveButtons("the exemplars", () =>
    ({ picture: cut(sprite, 0, 0, sprite.naturalWidth, sprite.naturalHeight), name: `${name}-exemplars` })));
}

export function clearExemplars() {
  byId("exemplar-list").replaceChildren();
  byId("exemplars").hidden = byId("computed").hidden = true;
}

function patch({ photo, label, value, box, at: spot }, at, sprite, tile) {
  const left = (at % COLUMNS) * tile;
  const picture = cut(sprite, left, Math.floor(at / COLUMNS) * tile, tile, tile);
  picture.setAttribute("role", "img");
  picture.setAttribute("aria-label", `A patch of ${photo}`);
  const ring = element("i", { className: "ring" });
  const { x, y } = placeOf(box, spot);
  ring.style.left = `${x * 100}%`;
  ring.style.top = `${y * 100}%`;
  return element("li", {},
    element("span", { className: "patch" }, picture, ring),
    element("span", { className: "label" }, label.split(",")[0]),
    element("span", { className: "share" }, rounded(value)));
}

/** Returns where a position of the photo is in its tile: a patch keeps its proportions, centred. */
function placeOf([left, top, right, bottom], [x, y]) {
  const [width, height] = [right - left, bottom - top];
  const side = Math.max(width, height);
  return {
    x: 0.5 + (x - left - width / 2) / side,
    y: 0.5 + (y - top - height / 2) / side,
  };
}

function cut(sprite, left, top, width, height) {
  const canvas = element("canvas", { width, height });
  canvas.getContext("2d").drawImage(sprite, left, top, width, height, 0, 0, width, height);
  return canvas;
}
