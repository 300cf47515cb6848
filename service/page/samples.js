/** The sample photos of a model, as a row of buttons. */

import { sampleUrl } from "./api.js";
import { byId, element } from "./element.js";

/** Draw the samples of `model`; `choose` is called with the sample picked. */
export function showSamples(model, choose) {
  byId("samples-section").hidden = model.samples.length === 0;
  byId("samples").replaceChildren(
    ...model.samples.map((sample) => {
      const about = sample.label ? `Sample photo: ${sample.label}` : `Sample photo ${sample.name}`;
      const picture = element("img", { src: sampleUrl(model.name, sample.name), alt: about });
      const settings = { type: "button", title: sample.label ?? "", "aria-pressed": "false" };
      const button = element("button", { ...settings, onclick: () => choose(sample) }, picture);
      button.dataset.sample = sample.name;
      return element("li", {}, button);
    }),
  );
}

/** Mark the sample that is on view; null for none. */
export function markSample(name) {
  for (const button of byId("samples").querySelectorAll("button")) {
    button.setAttribute("aria-pressed", String(button.dataset.sample === name));
  }
}
