/**
 * Activation sheets: for a few layers across the depth, the strongest channels on this photo.
 *
 * One card a layer, grouped in stages from shallow to deep. Each card is one request; the
 * layer explorer will ask for all layers at once and draw into the same cards.
 */

import * as api from "./api.js";
import { byId, element, pairs } from "./element.js";
import { size, stage } from "./words.js";

export const CHANNELS = 16; // a sheet of 4 x 4 tiles
const AT_ONCE = 2; // requests under way: a small service has two cores

let pictures = []; // object URLs of the sheets on view

/** Empty cards for the layers of `model`; nothing of an earlier photo stays. */
export function awaitSheets(model) {
  dropPictures();
  const stages = new Map();
  model.depths.forEach((name, index) => {
    const at = stage(index, model.depths.length);
    stages.set(at, [...(stages.get(at) ?? []), card(name)]);
  });
  byId("depths").replaceChildren(...[...stages].map(([at, cards]) => column(at, cards)));
  byId("inside").hidden = false;
  byId("inside").setAttribute("aria-busy", "true");
}

/**
 * Fill the cards, from the photo inwards.
 *
 * @param {Map<string, object>} layers of the model, by name
 * @returns {Promise<number>} how many sheets could not be drawn; each card says why
 */
export async function showSheets(model, layers, photo, signal) {
  const cards = [...byId("depths").querySelectorAll(".card")];
  for (const each of cards) describe(each, layers, model.image_size);
  const waiting = [...cards];
  let failures = 0;
  const work = async () => {
    for (let next = waiting.shift(); next; next = waiting.shift()) {
      if (!(await fill(next, model, photo, signal))) failures += 1;
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
  byId("inside").setAttribute("aria-busy", "false");
  return failures;
}

export function clearSheets() {
  dropPictures();
  byId("depths").replaceChildren();
  byId("inside").hidden = true;
}

function dropPictures() {
  pictures.forEach((url) => URL.revokeObjectURL(url));
  pictures = [];
}

function column(at, cards) {
  return element(
    "section",
    { className: "stage" },
    element("h3", {}, element("span", {}, `${at.title} `), at.finds),
    element("p", {}, at.sentence),
    element("div", { className: "cards" }, ...cards),
  );
}

function card(name) {
  const made = element(
    "article",
    { className: "card", "aria-busy": "true" },
    element("div", { className: "tiles" }),
    element("h4", {}, name),
    element("dl"),
  );
  made.dataset.layer = name;
  return made;
}

/** Write a layer's numbers under its sheet. */
function describe(on, layers, photo_px) {
  const layer = layers.get(on.dataset.layer);
  if (!layer) return;
  on.dataset.channels = layer.channels;
  const at = [...layers.keys()].indexOf(layer.name) + 1;
  const facts = [["Depth", `layer ${at} of ${layers.size}`], ["Size", size(layer)]];
  if (layer.stride) facts.push(["Stride", `${layer.stride} px`]);
  const field_px = layer.receptive_field;
  if (field_px) {
    const inner = element("i");
    const share = Math.min(field_px / photo_px, 1);
    inner.style.width = inner.style.height = `${Math.max(share * 100, 8)}%`; // 8: still a dot
    const drawing = element("span", { className: "field", "aria-hidden": "true" }, inner);
    const text = field_px < photo_px ? `${field_px} × ${field_px} px` : "the whole photo";
    facts.push(["Receptive field", element("span", { className: "with-field" }, text, drawing)]);
  }
  on.querySelector("dl").replaceChildren(...pairs(facts));
}

/** Ask for one sheet and draw it; a refusal is written in its place. */
async function fill(on, model, photo, signal) {
  const layer = on.dataset.layer;
  const tiles = on.querySelector(".tiles");
  try {
    const url = URL.createObjectURL(await api.sheet(model.name, layer, photo, CHANNELS, signal));
    pictures.push(url);
    const alt = `The strongest channels of ${layer} on this photo, one tile each`;
    const picture = element("img", { src: url, alt });
    await picture.decode();
    signal.throwIfAborted();
    picture.classList.toggle("fine", picture.naturalWidth > tiles.clientWidth * devicePixelRatio);
    const squareTiles = picture.naturalWidth === picture.naturalHeight;
    tiles.classList.toggle("ruled", squareTiles && Number(on.dataset.channels) >= CHANNELS);
    tiles.replaceChildren(picture);
    return true;
  } catch (error) {
    signal.throwIfAborted();
    const words = error instanceof api.ApiError ? error.message : "The sheet is not a picture.";
    tiles.replaceChildren(element("p", {}, words));
    return false;
  } finally {
    on.setAttribute("aria-busy", "false");
  }
}
