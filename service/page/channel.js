/** Shows one channel: its map over the photo, and what it detects. */

import * as api from "./api.js";
import { byId, element, pairs } from "./element.js";
import { paint } from "./ember.js";
import { clearExemplars, showExemplars } from "./exemplars.js";
import { layOver } from "./framing.js";
import { gainsOf } from "./grid.js";
import { chooseSort, orderChannels } from "./order.js";
import { saveButtons } from "./save.js";
import { brightestSpot } from "./sheet.js";
import { showWeights } from "./weights.js";
import { percent, rounded, signed } from "./words.js";

let go = null;
let steps = {};

/** @param {(changes: object) => void} follow called with the changes of the address */
export function openChannel(follow) {
  go = follow;
  byId("channel-up").addEventListener("click", () => go({ layer: null, channel: null }));
  byId("channel-layer").addEventListener("click", () => go({ channel: null }));
  byId("channel-before").addEventListener("click", () => go({ channel: steps.before }));
  byId("channel-after").addEventListener("click", () => go({ channel: steps.after }));
  byId("channel-opacity").addEventListener("input", fade);
}

/**
 * @param {object} scene model, layers, looks: the photos' answers, none, A, or A and B
 * @param {object} address
 */
export async function showChannel({ model, layers, looks }, address, signal) {
  const layer = layers.find(({ name }) => name === address.layer);
  const channel = Number(address.channel);
  byId("channel-title").textContent = `Channel ${channel}`;
  byId("channel-layer").textContent = layer.name;
  clear();
  byId("channel").setAttribute("aria-busy", "true");
  const maps = looks.map((look) => look.layers.get(layer.name));
  await Promise.all(maps.map(({ sheet }) => sheet.ready()));
  signal.throwIfAborted();
  showMaps(maps, looks, layer, channel, model.image_size);
  const [{ channels: all }, known] = await Promise.all([
    api.layer(model.name, layer.name),
    api.channel(model.name, layer.name, channel),
  ]);
  signal.throwIfAborted();
  const channels = { count: layer.channels, maps: maps[0] ?? null, facts: all };
  const order = orderChannels(chooseSort(address.sort, channels), channels);
  const place = order.indexOf(channel);
  steps = { before: order[place - 1], after: order[place + 1] };
  byId("channel-before").disabled = steps.before === undefined;
  byId("channel-after").disabled = steps.after === undefined;
  describe(known, maps, channel, looks[0]?.label);
  showWeights(known.facts?.weights ?? null);
  await showExemplars(known, `${layer.name}-${channel}`, signal);
  byId("channel").setAttribute("aria-busy", "false");
}

/** Remove everything of another channel. */
function clear() {
  byId("channel-maps").replaceChildren();
  byId("channel-words").textContent = "";
  byId("channel-facts").replaceChildren();
  showWeights(null);
  clearExemplars();
}

function describe({ facts, words, hint }, maps, channel, label) {
  byId("channel-words").textContent = words ? `${words[0].toUpperCase()}${words.slice(1)}.` : "";
  byId("channel-hint").textContent = hint ?? "";
  byId("channel-hint").hidden = !hint;
  const rows = [];
  const ofEach = (values) => (values.length < 2 ? values.join("") : `A ${values[0]}, B ${values[1]}`);
  if (maps.length) {
    rows.push(["Strength on the photo", ofEach(maps.map((map) => rounded(map.strengths[channel])))]);
  }
  if (maps[0]?.effects) {
    rows.push([`Effect on “${label}”`, ofEach(maps.map((map) => signed(map.effects[channel])))]);
  }
  if (facts) {
    rows.push(["Mean over photos", rounded(facts.mean)], ["Largest over photos", rounded(facts.peak)]);
    rows.push(["Answers to", `${percent(facts.alive)} of photos`]);
    if (facts.selectivity !== null) rows.push(["Selectivity", facts.selectivity.toFixed(2)]);
  }
  byId("channel-facts").replaceChildren(...pairs(rows));
}

function showMaps(maps, looks, layer, channel, photo_px) {
  const gains = gainsOf(maps, channel);
  const figures = maps.map((map, at) =>
    figure(looks[at], map, channel, gains[at], layer, photo_px, looks.length > 1 ? "AB"[at] : ""));
  byId("channel-maps").replaceChildren(...figures);
  byId("channel-fade").hidden = byId("channel-lesson").hidden = !maps.length;
  fade();
}

function figure(look, map, channel, gain, layer, photo_px, letter) {
  const tile = map.sheet.tile(channel);
  const drawn = paint(element("canvas", { className: "laid" }), tile, gain);
  const slide = element("div", { className: "slide square" });
  if (look.seen) slide.append(copyOf(look.seen));
  slide.append(drawn);
  if (gain > 0) slide.append(...marks(brightestSpot(tile), layer, photo_px));
  if (letter) slide.append(element("span", { className: "badge" }, letter));
  const peak = map.peaks[channel];
  const words = peak > 0 ? `strongest ${rounded(peak)}` : "silent on this photo";
  const name = look.photo.label ?? look.photo.name;
  slide.setAttribute("role", "img");
  slide.setAttribute("aria-label", `The map of channel ${channel} over ${name}: ${words}`);
  const save = saveButtons(letter ? `map ${letter}` : "the map", () => ({
    picture: layOver(look.seen, drawn, opacity()),
    name: `${look.photo.name}-${layer.name}-${channel}`,
  }));
  return element("figure", {}, slide,
    element("figcaption", {}, element("span", {}, `${letter ? `${letter}: ` : ""}${name}, ${words}`), save));
}

function copyOf(seen) {
  const canvas = element("canvas", { className: "seen", width: seen.width, height: seen.height });
  canvas.getContext("2d").drawImage(seen, 0, 0);
  return canvas;
}

/** Mark the strongest position with a ring, and the square that can influence it. */
function marks({ x, y }, { receptive_field: field_px }, photo_px) {
  const ring = element("i", { className: "ring" });
  ring.style.left = `${x * 100}%`;
  ring.style.top = `${y * 100}%`;
  if (!field_px || field_px >= photo_px) return [ring];
  const field = element("i", { className: "reach" });
  const share = field_px / photo_px;
  field.style.left = `${(x - share / 2) * 100}%`;
  field.style.top = `${(y - share / 2) * 100}%`;
  field.style.width = field.style.height = `${share * 100}%`;
  return [field, ring];
}

function fade() {
  for (const map of byId("channel-maps").querySelectorAll(".laid")) map.style.opacity = opacity();
}

function opacity() {
  return byId("channel-opacity").value / 100;
}
