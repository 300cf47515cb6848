/**
 * The page's one story: a model and a photo go in, predictions and sheets come out.
 *
 * `look` is the only place that shows results. Each look aborts the one before it, so what
 * is on the page always belongs to the photo and the model on the page.
 */

import { readAddress, writeAddress } from "./address.js";
import * as api from "./api.js";
import { byId } from "./element.js";
import { openIntake } from "./intake.js";
import { fillPicker, showModel } from "./model.js";
import { awaitPredictions, clearPredictions, showPredictions } from "./predictions.js";
import { markSample, showSamples } from "./samples.js";
import { awaitSheets, clearSheets, showSheets } from "./sheets.js";
import { percent } from "./words.js";

const TOP = 5; // predictions shown

let models = [];
let model = null; // on view: one of `models`
let photo = null; // on view: {name, blob} and for a sample {sample, label}; null before the first
let current = new AbortController(); // the look under way
let previewUrl = null;
const ownPhotos = new Map(); // key in the history -> the visitor's own photo

async function start() {
  openIntake(takeOwn, trouble);
  try {
    models = await api.models();
  } catch (error) {
    return trouble(error.message);
  }
  if (!models.length) return trouble("The service has no model to show. Start it with a bundle.");
  fillPicker(models, switchModel);
  window.addEventListener("popstate", follow);
  follow();
}

/** Show what the address asks for. */
function follow() {
  const asked = readAddress();
  const found = models.find(({ name }) => name === asked.model);
  enter(found ?? models[0]);
  photo = null;
  if (asked.model !== null && !found) {
    writeAddress({ model: model.name }, { replace: true });
    look();
    trouble(`There is no model “${asked.model}” here; this is “${model.name}”.`);
    return;
  }
  if (asked.sample !== null) photo = asSample(asked.sample);
  else if (asked.own !== null) photo = ownPhotos.get(asked.own) ?? null;
  look();
}

function takeOwn(taken) {
  if (!model) return;
  photo = taken;
  writeAddress({ model: model.name, own: keep(taken) });
  look();
}

/** The key under which Back finds this photo again; a time, so that no reload repeats it. */
function keep(taken) {
  const key = Date.now();
  ownPhotos.set(key, taken);
  return key;
}

function takeSample({ name }) {
  photo = asSample(name);
  writeAddress({ model: model.name, sample: name });
  look();
}

/** The photo stays and goes through the other model; a sample is then a photo like any other. */
function switchModel(name) {
  enter(models.find((each) => each.name === name));
  let own = null;
  if (photo?.blob) {
    photo = { name: photo.name, blob: photo.blob };
    own = keep(photo);
  } else {
    photo = null;
  }
  writeAddress({ model: name, own });
  look();
}

function enter(chosen) {
  if (chosen === model) return;
  model = chosen;
  showModel(model);
  showSamples(model, takeSample);
}

function asSample(name) {
  const known = model.samples.find((sample) => sample.name === name);
  return { name, sample: name, label: known?.label ?? null };
}

/** Put the photo on view through the model on view, from a clean page. */
async function look() {
  current.abort();
  current = new AbortController();
  const { signal } = current;
  const [through, at] = [model, photo];
  trouble("");
  preview(at);
  markSample(at?.sample ?? null);
  clearPredictions();
  clearSheets();
  if (!at) return say("");
  say("Working on the photo.");
  awaitPredictions(Math.min(TOP, through.classes));
  awaitSheets(through);
  try {
    at.blob ??= await api.samplePhoto(through.name, at.sample, signal);
    const asked = api.predict(through.name, at.blob, TOP, signal);
    const [predictions, layers] = await Promise.all([asked, api.layers(through.name)]);
    signal.throwIfAborted();
    showPredictions(predictions, through.classes);
    const [best] = predictions;
    say(`${best.label}, ${percent(best.probability)}. Drawing the layers.`);
    const failures = await showSheets(through, layers, at.blob, signal);
    const drawn = through.depths.length - failures;
    say(`Done: ${best.label}, ${percent(best.probability)}; ${drawn} layers shown.`);
  } catch (error) {
    if (signal.aborted) return;
    current.abort(); // nothing of a failed look may arrive later
    clearPredictions();
    clearSheets();
    say("");
    if (error instanceof api.ApiError) return trouble(error.message);
    trouble("The page met something it did not expect. Reload it, or try another photo.");
    throw error;
  }
}

/** The photo itself, at once, before any answer. */
function preview(at) {
  byId("main").dataset.state = at ? "photo" : "empty";
  byId("choose").textContent = at ? "Choose another photo" : "Choose a photo";
  byId("hint").textContent = at ? "or drop or paste one anywhere" : "or paste one";
  document.title = at ? `${at.label ?? at.name} · ${model.name} · Layerscope` : "Layerscope";
  const picture = byId("photo");
  if (previewUrl) URL.revokeObjectURL(previewUrl);
  previewUrl = at && !at.sample ? URL.createObjectURL(at.blob) : null;
  byId("blank").hidden = true;
  picture.hidden = !at;
  picture.onerror = () => {
    picture.hidden = true;
    byId("blank").hidden = false;
  };
  if (at) picture.src = previewUrl ?? api.sampleUrl(model.name, at.sample);
  else picture.removeAttribute("src");
  picture.alt = at ? `The photo on view: ${at.label ?? at.name}` : "";
  byId("caption").hidden = !at;
  byId("caption").textContent = at?.label ? `Sample, labelled “${at.label}”` : (at?.name ?? "");
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
