/**
 * Draws the whole network as a strip, from photo to answer: each layer is a box, as high as its
 * maps are large and as wide as it has channels, with its strongest channels on this photo.
 */

import { byId, element } from "./element.js";
import { drawProbe } from "./probe.js";
import { rove, stopAt } from "./roving.js";
import { drawThumbnail } from "./thumbnail.js";
import { percent, size } from "./words.js";

const GAP_PX = 5;
const ENDS_PX = 68; // the photo and the answer
const TALLEST_PX = 144;
let built = {}; // what the strip shows

/** @param {(layer: string) => void} open called with the layer chosen */
export function openStrip(open) {
  const boxes = byId("boxes");
  rove(boxes, "button");
  boxes.addEventListener("click", ({ target }) => {
    const box = target.closest("button");
    if (box) open(box.dataset.layer);
  });
  for (const event of ["pointerover", "focusin"]) {
    boxes.addEventListener(event, ({ target }) => read(target.closest("button")));
  }
  for (const event of ["pointerleave", "focusout"]) {
    boxes.addEventListener(event, () => read(current()));
  }
}

/**
 * @param {object[]} layers in the order of the network
 * @param {?object} look null: no photo
 * @param {?string} open the layer on view
 */
export function showStrip(layers, { look, chance, open }) {
  if (built.layers !== layers || built.look !== look) build(layers, look, chance);
  for (const box of byId("boxes").querySelectorAll("button")) {
    if (box.dataset.layer === open) box.setAttribute("aria-current", "true");
    else box.removeAttribute("aria-current");
  }
  byId("strip").hidden = false;
  const at = layers.findIndex(({ name }) => name === open);
  for (const dot of byId("probe").querySelectorAll("circle")) {
    dot.classList.toggle("on", Number(dot.dataset.at) === at);
  }
  stopAt(byId("boxes"), "button", current() ?? undefined);
  read(current());
  const scroller = byId("strip-scroll"); // and not the page with it
  const box = current();
  if (box && box !== document.activeElement) {
    scroller.scrollLeft = box.offsetLeft - (scroller.clientWidth - box.offsetWidth) / 2;
  }
}

export function focusBox(layer) {
  [...byId("boxes").querySelectorAll("button")].find((box) => box.dataset.layer === layer)?.focus();
}

function current() {
  return byId("boxes").querySelector("[aria-current]");
}

/** Describe the box under the pointer or the focus; boxes are too small for their names. */
function read(box) {
  byId("readout").textContent = box?.title ?? "Each box is a layer. Choose one to open it.";
}

function build(layers, look, chance) {
  const mine = { layers, look };
  built = mine;
  const sizes = layers.map(boxSize(layers));
  const middles = [];
  let right = ENDS_PX;
  for (const { width } of sizes) {
    middles.push(right + GAP_PX + width / 2);
    right += GAP_PX + width;
  }
  const boxes = layers.map((layer, at) =>
    ({ box: box(layer, at, layers.length, sizes[at]), ...sizes[at] }));
  const items = boxes.map(({ box: each }, at) => item(each, String(at + 1)));
  byId("boxes").replaceChildren(item(photoEnd(look), "photo"), ...items, item(answer(look), "answer"));
  const accuracies = layers.map((layer) => layer.probe_accuracy ?? null);
  const curve = drawProbe(middles, accuracies, chance, right + GAP_PX + ENDS_PX);
  byId("probe").replaceChildren(...(curve ? [curve] : []));
  byId("probe-lesson").hidden = !curve;
  if (look) drawThumbnails(layers, look, boxes, () => built === mine);
}

/** The size of a box; heights are as the roots of the maps' sides, or deep layers would vanish. */
function boxSize(layers) {
  const side = ({ height, width }) => Math.sqrt(height * width);
  const largest = Math.max(...layers.map(side));
  return (layer) => ({
    height: Math.max(Math.round(TALLEST_PX * Math.sqrt(side(layer) / largest)), 30),
    width: Math.round(Math.min(Math.max(12 + 5.7 * Math.log2(layer.channels), 28), 84)),
  });
}

function box(layer, at, total, { width, height }) {
  const probed = layer.probe_accuracy ?? null;
  const facts = size(layer) + (probed === null ? "" : `; probe accuracy ${percent(probed)}`);
  const made = element("button", {
    type: "button",
    className: "box",
    title: `${at + 1} of ${total} · ${layer.name} · ${facts}`,
    "aria-label": `Layer ${at + 1} of ${total}, ${layer.name}: ${facts}`,
  });
  made.dataset.layer = layer.name;
  made.style.width = `${width}px`;
  made.style.height = `${height}px`;
  return made;
}

function item(content, words) {
  const place = element("div", { className: "place" }, content);
  return element("li", {}, place, element("span", { className: "number", "aria-hidden": "true" }, words));
}

function photoEnd(look) {
  const end = element("div", { className: "end" });
  if (!look?.seen) return end;
  const canvas = element("canvas", { width: 160, height: 160, role: "img",
    "aria-label": "The photo as the network sees it" });
  canvas.getContext("2d").drawImage(look.seen, 0, 0, 160, 160);
  end.append(canvas);
  return end;
}

function answer(look) {
  if (!look) return element("div", { className: "end" });
  const [best] = look.predictions;
  return element("div", { className: "end answer" },
    element("strong", {}, best.label.split(",")[0]), element("span", {}, percent(best.probability)));
}

/** Draw one layer after the other, as their sheets are decoded. */
async function drawThumbnails(layers, look, boxes, wanted) {
  for (const [at, { name }] of layers.entries()) {
    const layer = look.layers.get(name);
    if (!layer) continue;
    await layer.sheet.ready();
    if (!wanted()) return;
    boxes[at].box.replaceChildren(drawThumbnail(layer, boxes[at].width - 2, boxes[at].height - 2));
  }
}
