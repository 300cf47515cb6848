/** The predictions, as bars. */

import { byId, element } from "./element.js";
import { doubt, percent } from "./words.js";

/** Placeholders while the service works: no answer of an earlier photo stays. */
export function awaitPredictions(rows) {
  const section = byId("predictions");
  section.hidden = false;
  section.setAttribute("aria-busy", "true");
  const placeholder = () => element("li", { className: "waiting", "aria-hidden": "true" });
  byId("prediction-list").replaceChildren(...Array.from({ length: rows }, placeholder));
  byId("doubt").hidden = true;
}

/** @param {{label: string, probability: number}[]} predictions best first */
export function showPredictions(predictions, classes) {
  byId("predictions").setAttribute("aria-busy", "false");
  byId("prediction-list").replaceChildren(...predictions.map(row));
  const said = doubt(predictions[0], classes);
  byId("doubt").textContent = said;
  byId("doubt").hidden = said === "";
}

export function clearPredictions() {
  byId("predictions").hidden = true;
  byId("prediction-list").replaceChildren();
  byId("doubt").hidden = true;
}

function row({ label, probability }) {
  const fill = element("span", { className: "fill" });
  fill.style.width = `${probability * 100}%`; // by the object model: the policy allows no style=""
  return element(
    "li",
    {},
    element("span", { className: "label" }, label),
    element("span", { className: "share" }, percent(probability)),
    element("span", { className: "track", "aria-hidden": "true" }, fill),
  );
}
