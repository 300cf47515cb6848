/** Shows the weights of a channel of the last layer: for and against each class. */

import { byId, element } from "./element.js";
import { signed } from "./words.js";

const ALL = 12; // classes; of more, the ends are shown
const ENDS = [8, 4];

/** @param {?{label: string, weight: number}[]} weights largest first; null: not the last layer */
export function showWeights(weights) {
  byId("weights").hidden = !weights;
  if (!weights) return byId("weight-list").replaceChildren();
  const shown = weights.length <= ALL
    ? weights : [...weights.slice(0, ENDS[0]), ...weights.slice(-ENDS[1])];
  const largest = Math.max(...weights.map(({ weight }) => Math.abs(weight))) || 1;
  return byId("weight-list").replaceChildren(...shown.map((each) => row(each, largest)));
}

function row({ label, weight }, largest) {
  const bar = element("i", { className: weight < 0 ? "against" : "for" });
  bar.style.width = `${(Math.abs(weight) / largest) * 50}%`; // half the track for each side
  return element("li", {},
    element("span", { className: "label" }, label),
    element("span", { className: "balance", "aria-hidden": "true" }, bar),
    element("span", { className: "share" }, signed(weight)));
}
