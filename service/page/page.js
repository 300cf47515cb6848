/**
 * The page: shows what its address names.
 *
 * A click writes the address, and `follow` shows it: the photo at once, then the answer to it,
 * then the network, a layer or a channel. Each time, work still under way is given up, so nothing
 * of an earlier photo, model or layer appears next to the new one.
 *
 * A tour of the files, in the order in which a photo meets them:
 *
 * address.js      the view in the address bar, read and written
 * intake.js       a photo dropped, pasted or chosen;  samples.js  the model's own photos
 * photos.js       the photos that this page knows
 * api.js          requests to the service's routes
 * model.js        the choice of a model, and its facts
 * frame.js        the photo on view;  framing.js  the part of it that the network sees
 * look.js         one photo's answer: predictions, and every layer's maps
 * predictions.js  the most probable classes, as bars
 * saliency.js     which parts of the photo speak for a class
 * compare.js      a second photo next to the first
 * strip.js        the network as a row of boxes;  thumbnail.js  the maps in a box;
 *                 probe.js  the curve above them
 * overview.js     strong channels of early, middle and late layers
 * layer.js        one layer;  grid.js  its channels as tiles;  order.js  their order
 * channel.js      one channel;  exemplars.js  photos that excite it;  weights.js  its classes
 *
 * And what many of them use: element.js makes DOM elements, sheet.js decodes maps, ember.js
 * colours them, save.js downloads a picture, roving.js moves the focus by arrow keys, words.js
 * writes numbers, lessons.js explains.
 */

import { readAddress, writeAddress } from "./address.js";
import * as api from "./api.js";
import { openChannel, showChannel } from "./channel.js";
import { offerSecond, openCompare, showSecond } from "./compare.js";
import { byId } from "./element.js";
import { Frame } from "./frame.js";
import { focusTile } from "./grid.js";
import { openIntake } from "./intake.js";
import { openLayer, showLayer } from "./layer.js";
import { teach } from "./lessons.js";
import { layersShown, takeLook } from "./look.js";
import { fillPicker, showModel } from "./model.js";
import { showOverview } from "./overview.js";
import { findPhoto, keepPhoto } from "./photos.js";
import { awaitPredictions, clearPredictions, showPredictions } from "./predictions.js";
import { clearSaliency, openSaliency, showSaliency } from "./saliency.js";
import { markSample, showSamples } from "./samples.js";
import { focusBox, openStrip, showStrip } from "./strip.js";
import { percent } from "./words.js";

const PLACEHOLDERS = 5; // predictions to come

let models = [];
let model = null; // on view: one of `models`
let frames = []; // of the photo and the second photo
let current = new AbortController(); // what is under way
let answered = null; // the photos that the answers on view belong to: {model, first, second}
let from = null; // the address shown last

async function start() {
  teach();
  openIntake(
    ({ name, blob }) => model && go({ sample: null, own: keepPhoto({ name, blob }), label: null }),
    (photo) => go({ with: null, withOwn: keepPhoto(photo) }),
    trouble,
  );
  frames = [new Frame(byId("frame")), openCompare(go)];
  openSaliency(trouble);
  openStrip((layer) => go({ layer, channel: null }));
  openLayer(go);
  openChannel(go);
  try {
    models = await api.models();
  } catch (error) {
    return trouble(error.message);
  }
  if (!models.length) return trouble("The service has no model to show. Start it with a bundle.");
  fillPicker(models, switchModel);
  window.addEventListener("popstate", follow);
  document.addEventListener("keydown", goUp);
  return follow();
}

/** Change the address, and follow it. */
function go(changes) {
  writeAddress({ ...readAddress(), model: model.name, ...changes });
  return follow();
}

/** The photos stay and go through the other model; a sample is then a photo like any other. */
function switchModel(name) {
  const { first, second } = answered ?? {};
  writeAddress({
    model: name,
    own: first?.blob ? keepPhoto(first) : null,
    withOwn: second?.blob ? keepPhoto(second) : null,
  });
  follow();
}

/** Escape: from a channel to its layer, from a layer to the network. */
function goUp(event) {
  const { layer, channel } = readAddress();
  if (event.key !== "Escape" || event.defaultPrevented || layer === null) return;
  if (event.target.matches("select, input[type='file']")) return;
  go(channel === null ? { layer: null } : { channel: null });
}

/** Show what the address names. */
async function follow() {
  current.abort();
  current = new AbortController();
  const { signal } = current;
  const address = readAddress();
  const known = models.find(({ name }) => name === address.model);
  enter(known ?? models[0]);
  if (address.model !== null && !known) {
    writeAddress({ model: model.name }, { replace: true });
    await follow();
    return trouble(`There is no model “${address.model}” here; this is “${model.name}”.`);
  }
  trouble("");
  const first = findPhoto(model, address.sample, address.own);
  const second = first && findPhoto(model, address.with, address.withOwn);
  hang(first, second, address);
  try {
    const scene = await answer(first, second, address, signal);
    await open(scene, address, signal);
  } catch (error) {
    if (signal.aborted) return undefined;
    current.abort(); // nothing of a failed look may arrive later
    clear();
    announce("");
    if (error instanceof api.ApiError) return trouble(error.message);
    trouble("The page met something it did not expect. Reload it, or try another photo.");
    throw error;
  }
  return undefined;
}

function enter(chosen) {
  if (chosen === model) return;
  model = chosen;
  showModel(model);
  showSamples(byId("samples"), model, (name) => go({ sample: name, own: null, label: null }));
  byId("samples-section").hidden = model.samples.length === 0;
}

/** Show the photos at once, before any answer; nothing of earlier photos stays. */
function hang(first, second, address) {
  const changed = answered?.model !== model || answered.first !== first || answered.second !== second;
  if (changed) clear();
  answered = { model, first, second };
  byId("main").dataset.state = first ? "photo" : address.layer === null ? "empty" : "facts";
  byId("choose").textContent = first ? "Choose another photo" : "Choose a photo";
  byId("hint").textContent = first ? "or drop or paste one anywhere" : "or paste one";
  frames[0].show(first, model, second ? "A" : "");
  offerSecond(model, first, second, go);
  markSample(byId("samples"), first?.sample ?? null);
  const title = [address.channel !== null && `Channel ${address.channel}`, address.layer,
    first && (first.label ?? first.name), first && model.name, "Layerscope"];
  document.title = title.filter(Boolean).join(" · ");
}

function clear() {
  answered = null;
  clearPredictions();
  clearSaliency();
  showSecond(null);
  for (const view of ["strip", "overview", "layer", "channel", "reading"]) byId(view).hidden = true;
}

/** Run the photos through the model: one request each, none if the answer is kept. */
async function answer(first, second, address, signal) {
  if (first && byId("predictions").hidden) {
    announce("Working on the photo.");
    awaitPredictions(Math.min(PLACEHOLDERS, model.classes));
  }
  const list = await api.layers(model.name);
  signal.throwIfAborted();
  const looks = [];
  if (first) {
    const look = await takeLook(model, first, address.label, signal);
    signal.throwIfAborted();
    showPredictions(look, model, (label) =>
      go({ label: label === look.predictions[0].label ? null : label }));
    looks.push(look);
  }
  if (second) looks.push(...await answerSecond(second, looks[0].label, signal));
  if (first) showSaliency(model, looks, frames);
  return { model, looks, chance: list.chance ?? null, layers: layersShown(list.layers, looks[0]) };
}

/** Run the second photo through the model; if it cannot be read, the first one stays. */
async function answerSecond(second, label, signal) {
  try {
    const look = await takeLook(model, second, label, signal);
    signal.throwIfAborted();
    showSecond(look);
    return [look];
  } catch (error) {
    if (signal.aborted || !(error instanceof api.ApiError)) throw error;
    trouble(`The second photo: ${error.message}`);
    return [];
  }
}

/** Show the network, and the layer or channel that the address names. */
async function open(scene, address, signal) {
  const { layers, looks } = scene;
  const layer = layers.find(({ name }) => name === address.layer);
  const channel = /^\d{1,6}$/.test(address.channel) ? Number(address.channel) : null;
  const hasChannel = layer && channel !== null && channel < layer.channels;
  const view = hasChannel ? "channel" : layer ? "layer" : "overview";
  showStrip(layers, { look: looks[0] ?? null, chance: scene.chance, open: layer?.name ?? null });
  for (const each of ["overview", "layer", "channel"]) byId(each).hidden = each !== view;
  byId("reading").hidden = false;
  byId("strip-lesson").hidden = view !== "overview"; // what is opened is close below its layer
  if (view === "overview") {
    await showOverview(layers, looks[0] ?? null, (name, at) => go({ layer: name, channel: at }), signal);
  } else if (view === "layer") await showLayer(scene, address, from?.channel ?? null, signal);
  else await showChannel(scene, address, signal);
  if (address.layer !== null && !layer) trouble(`There is no layer “${address.layer}” to show here.`);
  else if (address.channel !== null && layer && !hasChannel) {
    trouble(`There is no channel ${address.channel} in ${layer.name}; it has ${layer.channels}.`);
  }
  settle(view);
  from = address;
  announce(summary(view, address, looks[0]));
}

/** Scroll to a shared view; if the focused element is gone, move the focus with the visitor. */
function settle(view) {
  if (!from) {
    const far = byId("strip").getBoundingClientRect().top > innerHeight / 2; // as on a phone
    if (far && view !== "overview") byId("strip").scrollIntoView();
    return;
  }
  const focused = document.activeElement;
  if (focused !== document.body && !focused.closest("[hidden]")) return;
  if (view === "layer" && from.channel !== null) focusTile(Number(from.channel));
  else if (view === "overview" && from.layer !== null) focusBox(from.layer);
  else if (view !== "overview") byId(`${view}-title`).focus();
}

function summary(view, address, look) {
  const [best] = look?.predictions ?? [];
  if (view === "channel") {
    return `Channel ${address.channel} of ${address.layer}. ${byId("channel-words").textContent}`.trim();
  }
  if (view === "layer") return `Layer ${address.layer}, ${byId("channels").children.length} channels shown.`;
  if (!best) return "";
  const warning = look.in_distribution === false ? " Unlike the training photos." : "";
  return `Done: ${best.label}, ${percent(best.probability)}; ${look.layers.size} layers shown.${warning}`;
}

/** Show what went wrong; "" hides it. */
function trouble(message) {
  byId("trouble").textContent = message;
  byId("trouble").hidden = message === "";
}

/** Announce to screen readers what the page is doing. */
function announce(message) {
  byId("status").textContent = message;
}

start();
