/** Shows the sample photos of a model as a row of buttons. */

import { sampleUrl } from "./api.js";
import { element } from "./element.js";

/** Draw the samples of `model` in `list`; `choose` is called with the name of the one picked. */
export function showSamples(list, model, choose) {
  list.replaceChildren(
    ...model.samples.map((sample) => {
      const about = sample.label ? `Sample photo: ${sample.label}` : `Sample photo ${sample.name}`;
      const picture = element("img", { src: sampleUrl(model.name, sample.name), alt: about });
      const settings = { type: "button", title: sample.label ?? "", "aria-pressed": "false" };
      const button = element("button", { ...settings, onclick: () => choose(sample.name) }, picture);
      button.dataset.sample = sample.name;
      return element("li", {}, button);
    }),
  );
}

/** Mark the sample that is on view; null for none. */
export function markSample(list, name) {
  for (const button of list.querySelectorAll("button")) {
    button.setAttribute("aria-pressed", String(button.dataset.sample === name));
  }
}
