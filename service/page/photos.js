/** Keeps the photos of this page: samples of the models, and the visitor's own while it is open. */

const samples = new Map(); // model and sample name -> photo
const owned = new Map(); // number in the history -> photo

/**
 * @typedef {object} Photo the same photo is the same object, so that what is known of it is found
 * @property {string} name
 * @property {?Blob} blob encoded; a sample's comes when it is first needed
 * @property {?string} sample its name among the samples of the model
 * @property {?string} label what the sample is labelled
 */

/** @returns {?Photo} the photo that an address names */
export function findPhoto(model, sample, own) {
  if (sample === null) return owned.get(own) ?? null;
  const key = `${model.name}/${sample}`;
  if (!samples.has(key)) {
    const known = model.samples.find(({ name }) => name === sample);
    samples.set(key, { name: sample, blob: null, sample, label: known?.label ?? null });
  }
  return samples.get(key);
}

/** Keep a photo; returns the number by which Back finds it: a time, unique across reloads. */
export function keepPhoto({ name, blob }) {
  const number = Math.max(Date.now(), ...[...owned.keys()].map((taken) => taken + 1));
  owned.set(number, { name, blob, sample: null, label: null });
  return number;
}

/** Returns the name of a photo in a sentence. */
export function titleOf(photo) {
  return photo.label ? `Sample, labelled “${photo.label}”` : photo.name;
}
