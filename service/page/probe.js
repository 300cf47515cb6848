/** Draws the probe accuracy over the strip of layers as a curve, with the accuracy of guessing. */

import { drawn } from "./element.js";
import { percent } from "./words.js";

const HEIGHT_PX = 116;
const MARGIN_PX = 20; // above and below the range of 0 to 1: room for a number

/**
 * @param {number[]} middles_px where each layer stands
 * @param {(?number)[]} accuracies of the layers, 0 to 1; null: not measured
 * @param {?number} chance
 * @returns {?SVGElement} null when nothing was measured
 */
export function drawProbe(middles_px, accuracies, chance, width_px) {
  const measured = accuracies.flatMap((accuracy, at) => (accuracy === null ? [] : [at]));
  if (!measured.length) return null;
  const y = (share) => MARGIN_PX + (1 - share) * (HEIGHT_PX - 2 * MARGIN_PX);
  const spot = (at) => `${middles_px[at]} ${y(accuracies[at]).toFixed(1)}`;
  const [first, last] = [measured[0], measured.at(-1)];
  const words = `Probe accuracy by layer: ${percent(accuracies[first])} at layer ${first + 1}, `
    + `${percent(accuracies[last])} at layer ${last + 1}`
    + (chance === null ? "." : `; guessing gives ${percent(chance)}.`);
  const drawing = drawn("svg", {
    class: "probe", role: "img", "aria-label": words,
    width: width_px, height: HEIGHT_PX, viewBox: `0 0 ${width_px} ${HEIGHT_PX}`,
  });
  const line = `M${measured.map(spot).join("L")}`;
  const floor = HEIGHT_PX;
  drawing.append(
    drawn("path", {
      class: "probe-area",
      d: `${line}L${middles_px[last]} ${floor}L${middles_px[first]} ${floor}Z`,
    }),
    drawn("path", { class: "probe-line", d: line }),
    ...measured.map((at) => {
      const dot = drawn("circle", { cx: middles_px[at], cy: y(accuracies[at]), r: 3.5 });
      dot.dataset.at = at;
      return dot;
    }),
    ...[...new Set([first, last])].map((at) => note(middles_px[at], y(accuracies[at]) - 9,
      percent(accuracies[at]), "middle")),
  );
  if (chance !== null) {
    drawing.prepend(drawn("line", {
      class: "chance", x1: 0, x2: width_px, y1: y(chance), y2: y(chance),
    }));
    drawing.append(note(4, y(chance) + 14, `chance ${percent(chance)}`, "start"));
  }
  return drawing;
}

function note(x, y, words, anchor) {
  return drawn("text", { x, y, "text-anchor": anchor }, words);
}
