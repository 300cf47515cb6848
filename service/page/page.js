/**
 * The page: what the address asks for, on view.
 *
 * A click writes the address, and `follow` shows it: the photo at once, then the answer to it,
 * then the network, a layer or a channel. Each time it gives up what was still under way, so
 * nothing of an earlier photo, model or layer ever arrives beside the next one.
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

/** Show what the address asks for. */
async function follow() {
  current.abort();
  current = new AbortController();
  const { signal } = current;
  const asked = readAddress();
  const known = models.find(({ name }) => name === asked.model);
  enter(known ?? models[0]);
  if (asked.model !== null && !known) {
    writeAddress({ model: model.name }, { replace: true });
    await follow();
    return trouble(`There is no model “${asked.model}” here; this is “${model.name}”.`);
  }
  trouble("");
  const first = findPhoto(model, asked.sample, asked.own);
  const second = first && findPhoto(model, asked.with, asked.withOwn);
  hang(first, second, asked);
  try {
    const scene = await answer(first, second, asked, signal);
    await open(scene, asked, signal);
  } catch (error) {
    if (signal.aborted) return undefined;
    current.abort(); // nothing of a failed look may arrive later
    clear();
    say("");
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

/** The photos themselves, at once, before any answer; nothing of earlier photos stays. */
function hang(first, second, asked) {
  const changed = answered?.model !== model || answered.first !== first || answered.second !== second;
  if (changed) clear();
  answered = { model, first, second };
  byId("main").dataset.state = first ? "photo" : asked.layer === null ? "empty" : "facts";
  byId("choose").textContent = first ? "Choose another photo" : "Choose a photo";
  byId("hint").textContent = first ? "or drop or paste one anywhere" : "or paste one";
  frames[0].show(first, model, second ? "A" : "");
  offerSecond(model, first, second, go);
  markSample(byId("samples"), first?.sample ?? null);
  const title = [asked.channel !== null && `Channel ${asked.channel}`, asked.layer,
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

/** What the model says of the photos: one request each, or none if it was asked before. */
async function answer(first, second, asked, signal) {
  if (first && byId("predictions").hidden) {
    say("Working on the photo.");
    awaitPredictions(Math.min(PLACEHOLDERS, model.classes));
  }
  const list = await api.layers(model.name);
  signal.throwIfAborted();
  const looks = [];
  if (first) {
    const look = await takeLook(model, first, asked.label, signal);
    signal.throwIfAborted();
    showPredictions(look, model, (label) =>
      go({ label: label === look.predictions[0].label ? null : label }));
    looks.push(look);
  }
  if (second) looks.push(...await answerSecond(second, looks[0].label, signal));
  if (first) showSaliency(model, looks, frames);
  return { model, looks, chance: list.chance ?? null, layers: layersShown(list.layers, looks[0]) };
}

/** What the model says of the second photo; if it cannot be read, the first one stays. */
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

/** The network, and of it the layer or the channel that the address names. */
async function open(scene, asked, signal) {
  const { layers, looks } = scene;
  const layer = layers.find(({ name }) => name === asked.layer);
  const channel = /^\d{1,6}$/.test(asked.channel) ? Number(asked.channel) : null;
  const hasChannel = layer && channel !== null && channel < layer.channels;
  const view = hasChannel ? "channel" : layer ? "layer" : "overview";
  showStrip(layers, { look: looks[0] ?? null, chance: scene.chance, open: layer?.name ?? null });
  for (const each of ["overview", "layer", "channel"]) byId(each).hidden = each !== view;
  byId("reading").hidden = false;
  byId("strip-lesson").hidden = view !== "overview"; // what is opened is close below its layer
  if (view === "overview") {
    await showOverview(layers, looks[0] ?? null, (name, at) => go({ layer: name, channel: at }), signal);
  } else if (view === "layer") await showLayer(scene, asked, from?.channel ?? null, signal);
  else await showChannel(scene, asked, signal);
  if (asked.layer !== null && !layer) trouble(`There is no layer “${asked.layer}” to show here.`);
  else if (asked.channel !== null && layer && !hasChannel) {
    trouble(`There is no channel ${asked.channel} in ${layer.name}; it has ${layer.channels}.`);
  }
  settle(view);
  from = asked;
  say(summary(view, asked, looks[0]));
}

/** Bring a shared view into sight; where the focus was is gone, put it where the visitor went. */
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

function summary(view, asked, look) {
  const [best] = look?.predictions ?? [];
  if (view === "channel") {
    return `Channel ${asked.channel} of ${asked.layer}. ${byId("channel-words").textContent}`.trim();
  }
  if (view === "layer") return `Layer ${asked.layer}, ${byId("channels").children.length} channels shown.`;
  if (!best) return "";
  const warning = look.in_distribution === false ? " Unlike the training photos." : "";
  return `Done: ${best.label}, ${percent(best.probability)}; ${look.layers.size} layers shown.${warning}`;
}

/** What went wrong, in words; "" takes it away. */
function trouble(message) {
  byId("trouble").textContent = message;
  byId("trouble").hidden = message === "";
}

/** For screen readers: what the page is doing. */
function say(message) {
  byId("status").textContent = message;
}

start();
