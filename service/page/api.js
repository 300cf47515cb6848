/**
 * The service's HTTP routes. Every failure leaves here as an ApiError whose message can be
 * shown as it is; an aborted request leaves as an AbortError. Knows nothing of the page.
 */

const TRIES = 4; // requests to a busy service (429, 503) before the visitor sees an error
const LONGEST_WAIT_S = 5;

export class ApiError extends Error {}

/** @returns {Promise<object[]>} the models being served, first one first */
export async function models() {
  return (await (await request("models")).json()).models;
}

const answers = new Map(); // path -> promise: a model's layers never change

/** Request once and keep the answer; a failure is tried again. */
function once(path) {
  if (!answers.has(path)) {
    const answer = request(path).then((body) => body.json());
    answer.catch(() => answers.delete(path));
    answers.set(path, answer);
  }
  return answers.get(path);
}

/** @returns {Promise<{chance: ?number, insight: boolean, layers: object[]}>} photo to answer */
export function layers(model) {
  return once(`${below(model)}/layers`);
}

/** @returns {Promise<{channels: ?object[], hint: ?string}>} a layer's channels in numbers */
export function layer(model, name) {
  return once(`${below(model)}/layers/${encodeURIComponent(name)}`);
}

/** @returns {Promise<object>} what one channel detects: facts, words, exemplars */
export function channel(model, name, index) {
  return once(`${below(model)}/layers/${encodeURIComponent(name)}/channels/${index}`);
}

/** Resolve a path of an answer below the place of this page. */
export function urlOf(path) {
  return new URL(path.replace(/^\/+/, ""), document.baseURI).href;
}

/** The address of a sample photo of a model. */
export function sampleUrl(model, sample) {
  return new URL(`${below(model)}/samples/${encodeURIComponent(sample)}`, document.baseURI).href;
}

/** @returns {Promise<Blob>} a sample photo, encoded */
export async function samplePhoto(model, sample, signal) {
  return (await request(sampleUrl(model, sample), { signal })).blob();
}

/** @returns {Promise<object>} predictions, every layer's maps and the saliency of `label` */
export async function activations(model, photo, { label, top }, signal) {
  const query = new URLSearchParams({ top });
  if (label !== null) query.set("label", label);
  return (await send(`${below(model)}/activations?${query}`, photo, signal)).json();
}

/** @returns {Promise<object>} finer saliency; its `method` says how it was computed */
export async function finerSaliency(model, photo, label, signal) {
  const query = new URLSearchParams({ label, method: "masks" });
  return (await send(`${below(model)}/saliency?${query}`, photo, signal)).json();
}

function below(model) {
  return `models/${encodeURIComponent(model)}`;
}

function send(path, photo, signal) {
  const headers = { "Content-Type": "application/octet-stream", Accept: "application/json" };
  return request(path, { method: "POST", body: photo, headers, signal });
}

async function request(path, options = {}) {
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
    const wait_s = Number(wait) || attempt / 2;
    await pause(Math.min(wait_s, LONGEST_WAIT_S), options.signal);
  }
}

/** Returns why the service refused, in its own words where it gave any. */
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
