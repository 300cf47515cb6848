/** Shows the predictions as bars; each is a button that chooses the class to explain. */

import { byId, element } from "./element.js";
import { doubt, mayBe, percent, strange } from "./words.js";

/** Show placeholders while the service works; no answer of an earlier photo stays. */
export function awaitPredictions(rows) {
  byId("predictions").hidden = false;
  byId("predictions").setAttribute("aria-busy", "true");
  const placeholder = () => element("li", { className: "waiting", "aria-hidden": "true" });
  byId("prediction-list").replaceChildren(...Array.from({ length: rows }, placeholder));
  for (const id of ["doubt", "strange", "prediction-set"]) showSentence(id, "");
}

export function clearPredictions() {
  byId("predictions").hidden = true;
  byId("prediction-list").replaceChildren();
}

/**
 * @param {object} look best prediction first; the chosen class may be none of them
 * @param {{classes: number, coverage: ?number}} model how many classes it has, and for what
 *   share of photos its prediction sets hold the truth
 * @param {(label: string) => void} choose
 */
export function showPredictions(look, { classes, coverage }, choose) {
  const list = byId("prediction-list");
  const chosen = { label: look.label, probability: look.saliency.probability };
  const known = look.predictions.some(({ label }) => label === look.label);
  const shown = known ? look.predictions : [...look.predictions, chosen];
  fill(list, shown.map((each) => row(each, element("button", {
    type: "button",
    "aria-pressed": String(each.label === look.label),
    onclick: () => choose(each.label),
  }))));
  byId("predictions").setAttribute("aria-busy", "false");
  const unlike = strange(look);
  showSentence("strange", unlike);
  showSentence("prediction-set", mayBe(look, coverage));
  showSentence("doubt", unlike ? "" : doubt(look.predictions[0], classes));
}

/** Show a sentence in its element; "" hides it. */
export function showSentence(id, sentence) {
  byId(id).textContent = sentence;
  byId(id).hidden = sentence === "";
}

/** List the predictions of a second photo: the same bars, nothing to choose. */
export function listPredictions(list, predictions) {
  list.replaceChildren(...predictions.map((each) => row(each, element("div"))));
}

/** Replace the rows; the focus stays on the same row. */
function fill(list, rows) {
  const stood = [...list.children].findIndex((each) => each.contains(document.activeElement));
  list.replaceChildren(...rows);
  if (stood >= 0) list.children[stood]?.firstElementChild.focus();
}

function row({ label, probability }, on) {
  const bar = element("span", { className: "fill" });
  bar.style.width = `${probability * 100}%`; // by the object model: the policy allows no style=""
  on.append(
    element("span", { className: "label" }, label),
    element("span", { className: "share" }, percent(probability)),
    element("span", { className: "track", "aria-hidden": "true" }, bar),
  );
  return element("li", {}, on);
}
