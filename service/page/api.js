/**
 * The service's HTTP routes. Every failure leaves here as an ApiError whose message can be
 * shown as it is; an aborted request leaves as an AbortError. Knows nothing of the page.
 */

const TRIES = 4; // a busy service (429, 503) is asked again before the visitor hears of it
const LONGEST_WAIT_S = 5;

export class ApiError extends Error {}

/** @returns {Promise<object[]>} the models being served, first one first */
export async function models() {
  return (await (await ask("models")).json()).models;
}

const layerLists = new Map(); // model name -> promise; a model's layers never change

/** @returns {Promise<Map<string, object>>} layer name -> size, stride, receptive field */
export function layers(model) {
  if (!layerLists.has(model)) {
    const list = ask(`models/${encodeURIComponent(model)}/layers`)
      .then((answer) => answer.json())
      .then((body) => new Map(body.layers.map((layer) => [layer.name, layer])));
    list.catch(() => layerLists.delete(model)); // so that the next photo asks again
    layerLists.set(model, list);
  }
  return layerLists.get(model);
}

/** Where a sample photo of a model is. */
export function sampleUrl(model, sample) {
  const path = `models/${encodeURIComponent(model)}/samples/${encodeURIComponent(sample)}`;
  return new URL(path, document.baseURI).href;
}

/** @returns {Promise<Blob>} a sample photo, encoded */
export async function samplePhoto(model, sample, signal) {
  return (await ask(sampleUrl(model, sample), { signal })).blob();
}

/** @returns {Promise<{label: string, probability: number}[]>} best first */
export async function predict(model, photo, top, signal) {
  const path = `models/${encodeURIComponent(model)}/predict?top=${top}`;
  return (await (await send(path, photo, signal)).json()).predictions;
}

/** @returns {Promise<Blob>} PNG: the strongest channels of one layer, as tiles */
export async function sheet(model, layer, photo, channels, signal) {
  const names = `${encodeURIComponent(model)}/activations/${encodeURIComponent(layer)}`;
  const path = `models/${names}?channels=top:${channels}&tile=56`;
  return (await send(path, photo, signal)).blob();
}

function send(path, photo, signal) {
  const headers = { "Content-Type": "application/octet-stream" };
  return ask(path, { method: "POST", body: photo, headers, signal });
}

async function ask(path, options = {}) {
  for (let attempt = 1; ; attempt += 1) {
    let answer;
    try {
      answer = await fetch(new URL(path, document.baseURI), options);
    } catch (error) {
      if (error.name === "AbortError") throw error;
      throw new ApiError(
        "No answer from the service. Either it is not running, or it closed the connection, "
          + "as it may when a photo is far too large.",
      );
    }
    if (answer.ok) return answer;
    const wait = answer.headers.get("Retry-After");
    const busy = answer.status === 429 || (answer.status === 503 && wait !== null);
    if (!busy || attempt === TRIES) throw new ApiError(await reason(answer));
    const asked_s = Number(wait) || attempt / 2;
    await pause(Math.min(asked_s, LONGEST_WAIT_S), options.signal);
  }
}

/** Why the service refused, in its own words where it gave any. */
async function reason(answer) {
  try {
    return (await answer.json()).error.message;
  } catch {
    return `The service answered ${answer.status} ${answer.statusText}`.trim() + ".";
  }
}

function pause(seconds, signal) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, seconds * 1000);
    signal?.addEventListener("abort", () => {
      clearTimeout(timer);
      reject(signal.reason);
    });
  });
}
