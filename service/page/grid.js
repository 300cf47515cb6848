/** Shows the channels of a layer as a grid of tiles, with one map for each photo; many in steps. */

import { byId, element } from "./element.js";
import { paint } from "./ember.js";
import { rove, stopAt } from "./roving.js";
import { count, rounded, signed } from "./words.js";

const STEP = 96; // tiles drawn at a time
let drawn = null; // what the grid shows

/**
 * @typedef {object} Shown
 * @property {number[]} order of the channels
 * @property {object[]} maps a layer for each photo, decoded: none, A, or A and B
 * @property {?object[]} facts a record for every channel
 * @property {string} sort
 * @property {string} scale "channel" or "layer"
 */

/** @param {(channel: number) => void} open called with the channel chosen */
export function openGrid(open) {
  const grid = byId("channels");
  rove(grid, "button");
  grid.addEventListener("click", ({ target }) => {
    const tile = target.closest("button");
    if (tile) open(Number(tile.dataset.channel));
  });
  byId("more").addEventListener("click", () => {
    const from = grid.children.length;
    draw(from + STEP);
    grid.children[from].firstElementChild.focus();
  });
}

/** @param {Shown} shown @param {?number} including a channel that must be among the first */
export function fillGrid(shown, including = null) {
  const most = () => Math.max(...shown.maps.flatMap(({ peaks }) => peaks));
  drawn = { ...shown, brightest: shown.scale === "layer" ? most() : null };
  byId("channels").replaceChildren();
  draw(Math.max(STEP, shown.order.indexOf(including) + 1));
  stopAt(byId("channels"), "button");
}

export function clearGrid() {
  drawn = null;
  byId("channels").replaceChildren();
  byId("more").hidden = true;
}

export function focusTile(channel) {
  byId("channels").querySelector(`[data-channel="${channel}"]`)?.focus();
}

/** Draw more tiles, `upto` in all. */
function draw(upto) {
  const grid = byId("channels");
  const next = drawn.order.slice(grid.children.length, upto);
  grid.append(...next.map((channel) => element("li", {}, tile(channel))));
  const left = drawn.order.length - grid.children.length;
  byId("more").hidden = left === 0;
  byId("more").textContent = `Show ${count(Math.min(left, STEP))} more of ${count(left)}`;
}

function tile(channel) {
  const { maps, facts } = drawn;
  const fact = facts?.[channel];
  const dead = fact?.dead ?? false;
  const silent = maps.length > 0 && maps.every(({ peaks }) => peaks[channel] === 0);
  const [title, value] = measure(channel, fact);
  const button = element(
    "button",
    { type: "button", className: dead ? "tile dead" : "tile" },
    ...(maps.length ? [element("span", { className: "maps" }, ...drawMaps(channel))] : []),
    element("span", { className: "under" },
      element("span", { className: "at" }, String(channel)),
      element("span", { className: "value" }, dead ? "dead" : value)),
  );
  const words = [`Channel ${channel}`, dead ? "dead" : `${title} ${value}`.trim()];
  if (silent && !dead) words.push("silent on this photo");
  button.setAttribute("aria-label", words.join(", "));
  if (fact?.class) button.title = `${words[0]}, most for ${fact.class}`;
  button.dataset.channel = channel;
  return button;
}

/** Returns the measure that channels are sorted by: its name, and its number on each photo. */
function measure(channel, fact) {
  const { sort, maps } = drawn;
  const numbers = {
    strength: ({ strengths }) => rounded(strengths[channel]),
    effect: ({ effects }) => signed(effects[channel]),
  };
  if (sort in numbers) {
    const values = maps.map(numbers[sort]);
    return [sort, values.length === 1 ? values[0] : `A ${values[0]} B ${values[1]}`];
  }
  if (!fact?.class) return ["", ""];
  return ["selectivity", `${fact.selectivity.toFixed(2)} ${fact.class.split(",")[0]}`];
}

function drawMaps(channel) {
  const gains = gainsOf(drawn.maps, channel, drawn.brightest);
  return drawn.maps.map(({ sheet }, at) => paint(element("canvas"), sheet.tile(channel), gains[at]));
}

/**
 * Returns the factors that bring a channel's maps to one scale: levels are shares of each peak.
 *
 * @param {object[]} maps of one layer, a photo each
 * @param {?number} brightest what the last colour means; null: the peak of this channel
 */
export function gainsOf(maps, channel, brightest = null) {
  const most = brightest ?? Math.max(...maps.map(({ peaks }) => peaks[channel]));
  return maps.map(({ peaks }) => (most > 0 ? peaks[channel] / most : 0));
}

/** Draw all channels of the layer as one picture, in the order on view, photos side by side. */
export function drawSheet() {
  const { maps, order, brightest } = drawn;
  const { height, width } = maps[0].sheet;
  const zoom = Math.max(1, Math.round(32 / Math.max(height, width))); // deep maps are 7 x 7
  const [wide, high] = [width * zoom * maps.length + maps.length, height * zoom + 1];
  const columns = Math.ceil(Math.sqrt((order.length * high) / wide));
  const rows = Math.ceil(order.length / columns);
  const picture = element("canvas", { width: columns * wide, height: rows * high });
  const context = picture.getContext("2d");
  context.fillRect(0, 0, picture.width, picture.height);
  context.imageSmoothingEnabled = false;
  const one = document.createElement("canvas");
  order.forEach((channel, at) => {
    const gains = gainsOf(maps, channel, brightest);
    maps.forEach(({ sheet }, photo) => {
      const x = (at % columns) * wide + photo * width * zoom;
      context.drawImage(paint(one, sheet.tile(channel), gains[photo]),
        x, Math.floor(at / columns) * high, width * zoom, height * zoom);
    });
  });
  return picture;
}
