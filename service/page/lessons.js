/** Explains each view in a sentence or two, for someone who is new to neural networks. */

import { byId, pairs } from "./element.js";
import { count, percent } from "./words.js";

export const STAGES = [
  {
    title: "Shallow layers",
    finds: "Edges and colours",
    sentence: "Close to the photo, a channel looks at a few pixels at a time. It can tell only "
      + "simple things apart: an edge and its direction, a colour, light from dark.",
  },
  {
    title: "Middle layers",
    finds: "Textures and patterns",
    sentence: "Further in, channels combine the edges below them into textures and patterns: "
      + "fur, stripes, grids, corners, curves.",
  },
  {
    title: "Deep layers",
    finds: "Parts and objects",
    sentence: "Near the answer, channels respond to parts and whole objects, an eye, a wheel, a "
      + "collar, wherever they are. The maps are coarse: what matters more than where.",
  },
];

/** The stage of the `index`-th of `total` layers from the photo to the answer. */
export function stage(index, total) {
  const depth = total > 1 ? index / (total - 1) : 1;
  return STAGES[Math.min(Math.floor(depth * STAGES.length), STAGES.length - 1)];
}

/** How much of the photo one position of a layer can know of. */
export function fieldSentence({ receptive_field: field_px, stride }, photo_px) {
  if (!field_px) return "";
  const seen = field_px < photo_px
    ? `only a square of ${count(field_px)} × ${count(field_px)} px of the photo can influence it`
    : "the whole photo can influence it";
  return `Each position of a map stands for ${stride} × ${stride} px, and ${seen}: that is its `
    + "receptive field.";
}

const PROBE = "The curve is the probe accuracy: how often a simple classifier names the "
  + "class when it is given that layer’s answers and nothing else. Where the curve climbs, the "
  + "network works out what it needs; the dashed line is guessing.";

const WORDS = [
  ["Channel", "One small detector, slid over the whole photo. Its map is bright where it found "
    + "what it looks for and black where it found nothing."],
  ["Strength", "The mean of a channel’s map on this photo."],
  ["Effect", "How much the channel speaks for the chosen class on this photo; below zero it "
    + "speaks against it."],
  ["Selectivity", "From 0, answers to all classes alike, to 1, answers to one class only. "
    + "Measured on many photos."],
  ["Dead", "A channel that stayed silent on every photo it was tried on: it takes part in nothing."],
  ["Receptive field", "The part of the photo that can influence one position of a map. It grows "
    + "with every layer."],
];

const CHANNEL = "Bright is where this detector found what it looks for. The ring marks its "
  + "strongest position; a dashed square, where the photo is larger, all that could influence it.";

const EXEMPLARS = "The patches, out of many photos, that excite this channel most; the ring "
  + "is where. What they have in common is what it looks for.";

const METHODS = {
  position: "Bright: without this part the score of the class falls. It shows what the model "
    + "used, not whether the model is right; one square of the last map at a time, so it is coarse.",
  masks: "Bright: with this part hidden, and each time half of the others, the score of the class "
    + "falls on average. It shows what the model used, not whether the model is right.",
  occlusion: "Bright: with this patch covered the score of the class falls. It shows what the "
    + "model used, not whether the model is right.",
};

const NO_POSITIONS = " Its head does not read the mean of the last maps, so no position of theirs "
  + "can be left out: parts of the photo are hidden instead.";

/** Whether there is saliency by position: else the service answers one 0. */
export function hasPositions({ saliency }) {
  return saliency.map.length > 1 || saliency.map[0].length > 1;
}

/** What the saliency on view shows. */
export function methodWords(look, finer) {
  const found = finer ? look.finer : look.saliency; // undefined: still on its way
  if (found?.map.flat().every((drop) => drop <= 0)) {
    return `No part of this photo speaks for “${look.label}”: without any of them its score rises.`;
  }
  const method = finer ? found?.method ?? "masks" : "position";
  return METHODS[method] + (hasPositions(look) ? "" : NO_POSITIONS);
}

/** Write the sentences that never change into the page. */
export function teach() {
  byId("probe-lesson").textContent = PROBE;
  byId("words").replaceChildren(...pairs(WORDS));
  byId("channel-lesson").textContent = CHANNEL;
  byId("exemplars-lesson").textContent = EXEMPLARS;
}

/** How far saliency can be trusted, from what was measured. */
export function trustWords(trust) {
  if (!trust) {
    return "How far to trust it has not been measured for this model: "
      + "python -m training insight BUNDLE PHOTOS does that.";
  }
  const { deletion, insertion, randomised_correlation: alike, photos } = trust;
  const points = deletion.saliency < deletion.random && insertion.saliency > insertion.random;
  const follows = Math.abs(alike) < 0.3; // of 1: mostly another map once the head knows nothing
  return [
    `Tried on ${count(photos)} photos: with the brightest parts taken out first, the class keeps `
      + `${percent(deletion.saliency)} on average, with random parts ${percent(deletion.random)}. `
      + `With only the brightest parts put in first, it has ${percent(insertion.saliency)}, with `
      + `random parts ${percent(insertion.random)}.`,
    points ? "So the bright parts do matter to the model." : "So do not rely on it for this model.",
    alike === null ? "" : follows
      ? "When the head’s weights are random the map changes, as it should "
        + `(likeness ${alike.toFixed(2)} of 1).`
      : `It hardly changes when the head’s weights are random (likeness ${alike.toFixed(2)} of 1): `
        + "it shows the photo more than what the model learned.",
  ].join(" ");
}
