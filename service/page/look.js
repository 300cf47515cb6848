/**
 * Runs a photo through a model: predictions and the maps of every layer, called a look. There is
 * one request for each photo, model and class; everything drawn of a photo comes from here.
 */

import * as api from "./api.js";
import { drawSeen } from "./framing.js";
import { Sheet } from "./sheet.js";

const TOP = 5; // predictions shown
const KEPT = 6; // looks; going back to one needs no request
const recent = []; // newest first
const shownFor = new WeakMap(); // look, or list of layers -> the layers the page shows

/**
 * @typedef {object} Look
 * @property {object} photo
 * @property {object[]} predictions best first
 * @property {string} label the class that `effects` and `saliency` explain
 * @property {object} saliency
 * @property {Map<string, object>} layers name -> layer with peaks, strengths, effects and `sheet`
 * @property {?HTMLCanvasElement} seen the photo as the network sees it
 */

/** @returns {Promise<Look>} `label` null: explain the predicted class */
export async function takeLook(model, photo, label, signal) {
  const before = recent.filter((one) => one.model === model.name && one.photo === photo);
  const known = before.find((one) => one.requested === label || one.label === label);
  if (known) return known;
  photo.blob ??= await api.samplePhoto(model.name, photo.sample, signal);
  const [answer, seen] = await Promise.all([
    api.activations(model.name, photo.blob, { label, top: TOP }, signal),
    before[0]?.seen ?? drawSeen(model, photo.blob),
  ]);
  signal.throwIfAborted();
  const layers = new Map();
  for (const layer of answer.layers) {
    // The maps do not depend on the class: what is decoded already stays.
    const sheet = before[0]?.layers.get(layer.name)?.sheet ?? new Sheet(layer);
    layers.set(layer.name, { ...layer, sheet });
  }
  const look = { ...answer, model: model.name, photo, requested: label, layers, seen };
  recent.unshift(look);
  recent.length = Math.min(recent.length, KEPT);
  return look;
}

/**
 * The layers the page shows, with their numbers: those of the photo, or without one the ends of
 * the network's blocks.
 *
 * @param {object[]} all as GET /layers lists them
 * @param {?Look} look
 */
export function layersShown(all, look) {
  const key = look ?? all; // the same answer has the same list: the strip is drawn once for it
  if (!shownFor.has(key)) {
    const ends = all.filter(({ block }) => block);
    const names = look && [...look.layers.keys()];
    const own = names?.map((name) => all.find((each) => each.name === name));
    shownFor.set(key, own ?? (ends.length ? ends : all));
  }
  return shownFor.get(key);
}
