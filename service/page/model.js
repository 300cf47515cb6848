/** Shows the model: the picker in the header, and the facts next to the photo. */

import { urlOf } from "./api.js";
import { byId, element, pairs } from "./element.js";
import { count, percent } from "./words.js";

const NAMES_SHOWN = 12; // of the classes; ImageNet has 1,000

/** Fill the picker; it shows only where there is a choice. */
export function fillPicker(models, choose) {
  const select = byId("model");
  select.replaceChildren(...models.map(({ name }) => element("option", { value: name }, name)));
  select.addEventListener("change", () => choose(select.value));
  byId("picker").hidden = models.length < 2;
}

/** Describe the model on view. */
export function showModel(model) {
  byId("model").value = model.name;
  const facts = [
    ["Name", `${model.name}, version ${model.version}`],
    ["Photo size", `${model.image_size} × ${model.image_size} px`],
    ["Classes", count(model.classes)],
  ];
  if (model.backbone) facts.splice(1, 0, ["Backbone", model.backbone]);
  const measured = model.accuracy !== null;
  facts.push(["Test accuracy", measured ? percent(model.accuracy) : "not measured"]);
  byId("facts").replaceChildren(...pairs(facts));
  const names = model.class_names.slice(0, NAMES_SHOWN).map((name) => name.split(",")[0]);
  const more = model.classes - names.length;
  byId("knows").textContent = `Knows ${names.join(", ")}${more ? ` and ${count(more)} more` : ""}.`;
  const report = byId("report");
  report.hidden = !model.report;
  if (model.report) report.href = urlOf(model.report);
  byId("about").hidden = false;
}
