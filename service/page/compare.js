/** Shows a second photo next to the first, with its predictions. */

import { byId } from "./element.js";
import { Frame } from "./frame.js";
import { listPredictions, showSentence } from "./predictions.js";
import { markSample, showSamples } from "./samples.js";
import { strange } from "./words.js";

let frame = null;
let filled = null; // the model whose samples are offered

/** @returns {Frame} of the second photo @param {(changes: object) => void} go */
export function openCompare(go) {
  frame = new Frame(byId("second-frame"));
  byId("second-away").addEventListener("click", () => go({ with: null, withOwn: null }));
  return frame;
}

/** Offer photos to compare with, and show the one chosen; no photo yet, no comparison. */
export function offerSecond(model, first, second, go) {
  byId("compare").hidden = !first;
  frame.show(second, model, "B");
  byId("second-away").hidden = !second;
  if (second) byId("compare-fold").open = true;
  if (filled !== model) {
    showSamples(byId("second-samples"), model, (name) => go({ with: name, withOwn: null }));
    filled = model;
  }
  markSample(byId("second-samples"), second?.sample ?? null);
  if (!second) showSecond(null);
}

export function showSecond(look) {
  listPredictions(byId("second-predictions"), look ? look.predictions.slice(0, 3) : []);
  showSentence("second-strange", strange(look));
}
