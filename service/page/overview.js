/** Shows the network as a whole, from edges to objects: a few strong channels of each depth. */

import { byId, element } from "./element.js";
import { paint } from "./ember.js";
import { STAGES, stage } from "./lessons.js";

const TILES = 4; // channels shown of each stage

/**
 * @param {object[]} layers of the strip
 * @param {?object} look null: no photo, words only
 * @param {(layer: string, channel: number) => void} open
 */
export async function showOverview(layers, look, open, signal) {
  byId("stages").replaceChildren(...STAGES.map((each) => {
    const within = layers.filter((_, at) => stage(at, layers.length) === each);
    // The last of the deep ones, where the network has got furthest; of the others the middle one.
    const at = each === STAGES.at(-1) ? within.length - 1 : within.length >> 1;
    return column(each, within[at]?.name);
  }));
  for (const tiles of look ? byId("stages").querySelectorAll(".few") : []) {
    const layer = look.layers.get(tiles.dataset.layer);
    if (!layer) continue;
    await layer.sheet.ready();
    signal.throwIfAborted();
    tiles.replaceChildren(...strongest(layer).map((channel) => tile(layer, channel, open)));
    tiles.after(element("small", {}, `Strongest of ${layer.name}`));
  }
}

function column(each, layer) {
  const tiles = element("div", { className: "few" });
  tiles.dataset.layer = layer;
  return element("section", { className: "stage" },
    element("h3", {}, element("span", {}, `${each.title} `), each.finds),
    element("p", {}, each.sentence),
    tiles);
}

function strongest({ strengths }) {
  const channels = strengths.map((_, channel) => channel);
  return channels.sort((one, other) => strengths[other] - strengths[one]).slice(0, TILES);
}

function tile(layer, channel, open) {
  const map = paint(element("canvas"), layer.sheet.tile(channel));
  return element("button", {
    type: "button",
    className: "tile",
    "aria-label": `Channel ${channel} of ${layer.name}`,
    title: `Channel ${channel} of ${layer.name}`,
    onclick: () => open(layer.name, channel),
  }, map);
}
