/** Shows one layer: its numbers, and its channels as a grid, sorted and scaled as chosen. */

import * as api from "./api.js";
import { byId, element, pairs } from "./element.js";
import { clearGrid, drawSheet, fillGrid, openGrid } from "./grid.js";
import { fieldSentence, stage } from "./lessons.js";
import { chooseSort, orderChannels, sortsOf } from "./order.js";
import { saveButtons } from "./save.js";
import { count, percent } from "./words.js";

const SCALES = { layer: "Layer", channel: "Channel" };
let go = null;
let view = null; // {layer, looks}: what a download is named after
let steps = {};

/** @param {(changes: object) => void} follow called with the changes of the address */
export function openLayer(follow) {
  go = follow;
  openGrid((channel) => go({ channel }));
  byId("layer-up").addEventListener("click", () => go({ layer: null, channel: null }));
  byId("layer-before").addEventListener("click", () => go({ layer: steps.before }));
  byId("layer-after").addEventListener("click", () => go({ layer: steps.after }));
  byId("layer-save").append(saveButtons("the layer sheet", () =>
    ({ picture: drawSheet(), name: `${view.looks[0].photo.name}-${view.layer.name}` })));
}

/**
 * @param {object} scene model, layers, looks: the photos' answers, none, A, or A and B
 * @param {object} address
 * @param {?number} came the channel one comes back from
 */
export async function showLayer(scene, address, came, signal) {
  const { model, layers, looks } = scene;
  const at = layers.findIndex(({ name }) => name === address.layer);
  const layer = layers[at];
  view = { layer, looks };
  clearGrid();
  describe(layer, at, layers, model);
  byId("layer").setAttribute("aria-busy", "true");
  const maps = looks.map((look) => look.layers.get(layer.name));
  const [{ channels: facts, hint }] = await Promise.all([
    api.layer(model.name, layer.name),
    ...maps.map(({ sheet }) => sheet.ready()),
  ]);
  signal.throwIfAborted();
  byId("layer-hint").textContent = hint ?? "";
  byId("layer-hint").hidden = !hint;
  const channels = { count: layer.channels, maps: maps[0] ?? null, facts };
  const sort = chooseSort(address.sort, channels);
  const scale = address.scale === "channel" ? "channel" : "layer";
  showChoices(channels, sort, scale, looks[0]?.label);
  for (const each of ["layer-save", "scales", "legend"]) byId(each).hidden = !maps.length;
  byId("pair-note").hidden = maps.length < 2;
  fillGrid({ order: orderChannels(sort, channels), maps, facts, sort, scale }, came);
  byId("layer").setAttribute("aria-busy", "false");
}

function describe(layer, at, layers, model) {
  byId("layer-title").textContent = layer.name;
  byId("layer-place").textContent = `Layer ${at + 1} of ${layers.length}`;
  steps = { before: layers[at - 1]?.name, after: layers[at + 1]?.name };
  byId("layer-before").disabled = !steps.before;
  byId("layer-after").disabled = !steps.after;
  const { finds, sentence } = stage(at, layers.length);
  byId("layer-lesson").textContent = `${finds}. ${sentence} ${fieldSentence(layer, model.image_size)}`;
  const facts = [
    ["Maps", `${layer.height} × ${layer.width}`],
    ["Channels", count(layer.channels)],
    ["Stride", layer.stride ? `${layer.stride} px` : "unknown"],
    ["Receptive field", layer.receptive_field ? field(layer, model.image_size) : "unknown"],
  ];
  const measured = { "Probe accuracy": "probe_accuracy", Dead: "dead_share", "Near copies": "duplicate_share" };
  for (const [title, name] of Object.entries(measured)) {
    const share = layer[name] ?? null;
    if (share !== null) facts.push([title, percent(share)]);
  }
  byId("layer-facts").replaceChildren(...pairs(facts));
}

/** A square in a square: the receptive field inside the photo. */
function field({ receptive_field: field_px }, photo_px) {
  const inner = element("i");
  inner.style.width = inner.style.height = `${Math.max(Math.min(field_px / photo_px, 1) * 100, 8)}%`;
  const words = field_px < photo_px ? `${count(field_px)} px` : "the whole photo";
  return element("span", { className: "with-field" }, words,
    element("span", { className: "field", "aria-hidden": "true" }, inner));
}

function showChoices(channels, sort, scale, label) {
  const sorts = sortsOf(channels);
  const titles = sorts.map(([name, { title }]) =>
    [name, name === "effect" ? `Effect on “${label.split(",")[0]}”` : title]);
  fillChoices("sorts", titles, sort, (name) => go({ sort: name }));
  fillChoices("scales", Object.entries(SCALES), scale, (name) =>
    go({ scale: name === "layer" ? null : name }));
  byId("sort-sentence").textContent = sorts.find(([name]) => name === sort)[1].sentence;
}

/** Fill a group of buttons, one of them pressed; they are kept, or the focus would be lost. */
function fillChoices(id, choices, chosen, choose) {
  const group = byId(id).querySelector("div");
  const same = choices.length === group.children.length;
  choices.forEach(([name, title], at) => {
    const button = same ? group.children[at] : element("button", { type: "button" });
    button.textContent = title;
    button.onclick = () => choose(name);
    button.setAttribute("aria-pressed", String(name === chosen));
    if (!same) choices[at] = button;
  });
  if (!same) group.replaceChildren(...choices);
}
