/** Saliency: which parts of the photo speak for the chosen class, laid over the photo. */

import * as api from "./api.js";
import { byId } from "./element.js";
import { levelsOf, paint } from "./ember.js";
import { layOver } from "./framing.js";
import { hasPositions, methodWords, trustWords } from "./lessons.js";
import { saveButtons } from "./save.js";

let shown = null; // {model, looks, frames}
let finer = false; // the method chosen; the next photo starts with the quick one
let requests = new AbortController(); // lasts as long as the looks: walking layers stops nothing
let refuse = null;

/** @param {(message: string) => void} report called with an error of the service */
export function openSaliency(report) {
  refuse = report;
  byId("saliency-on").addEventListener("change", lay);
  byId("saliency-opacity").addEventListener("input", lay);
  byId("saliency-finer").addEventListener("click", () => {
    finer = !finer;
    describe();
  });
  byId("saliency-save").append(saveButtons("the photo with its saliency", () => {
    const [look] = shown.looks;
    const picture = layOver(look.seen, draw(look), opacity(), { smooth: true });
    return { picture, name: `${look.photo.name}-${look.label}-saliency` };
  }));
}

/**
 * @param {object[]} looks the photo's, and the second photo's if there is one
 * @param {Frame[]} frames where they hang, in the same order
 */
export function showSaliency(model, looks, frames) {
  const same = shown && shown.looks.length === looks.length
    && looks.every((look, at) => look === shown.looks[at]);
  if (same) return;
  clearSaliency();
  shown = { model, looks, frames };
  byId("saliency").hidden = false;
  const [look] = looks;
  finer = !hasPositions(look);
  byId("saliency-finer").hidden = finer; // there is no other way then
  describe();
}

export function clearSaliency() {
  requests.abort();
  requests = new AbortController();
  shown = null;
  finer = false;
  byId("saliency").hidden = true;
}

/** Show words and maps of the chosen method; the finer one is requested once for each look. */
async function describe() {
  const { model, looks } = shown;
  const { signal } = requests;
  const [look] = looks;
  byId("saliency-title").textContent = `What speaks for “${look.label}”`;
  byId("saliency-finer").setAttribute("aria-pressed", String(finer));
  byId("saliency-words").textContent = methodWords(look, finer);
  byId("saliency-trust").textContent = trustWords(model.trust);
  byId("saliency").setAttribute("aria-busy", "false");
  lay();
  if (!finer) return;
  byId("saliency").setAttribute("aria-busy", "true");
  try {
    for (const each of looks) {
      each.finer ??= await api.finerSaliency(model.name, each.photo.blob, look.label, signal);
      signal.throwIfAborted();
      byId("saliency-words").textContent = methodWords(look, finer);
      lay();
    }
  } catch (error) {
    if (signal.aborted) return;
    finer = false;
    byId("saliency-finer").setAttribute("aria-pressed", "false");
    refuse(error.message);
  } finally {
    if (!signal.aborted) byId("saliency").setAttribute("aria-busy", "false");
  }
}

/** Draw the maps at the strength chosen. */
function lay() {
  const on = byId("saliency-on").checked;
  byId("saliency-opacity").disabled = !on;
  shown?.looks.forEach((look, at) => {
    const map = draw(look);
    shown.frames[at].lay(on ? map : null, opacity());
  });
}

function draw(look) {
  const { map } = (finer && look.finer) || look.saliency;
  return paint(document.createElement("canvas"), levelsOf(map, Math.max(...map.flat(), 0)));
}

function opacity() {
  return byId("saliency-opacity").value / 100;
}
