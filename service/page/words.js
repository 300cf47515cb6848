/** What the page says: numbers as people read them, and the sentences for learners. */

/** 0.9312 -> "93.1%"; never "100.0%" or "0.0%" for what is not certain or impossible. */
export function percent(probability) {
  if (probability > 0 && probability < 0.001) return "< 0.1%";
  if (probability < 1 && probability > 0.999) return "> 99.9%";
  return `${(probability * 100).toFixed(1)}%`;
}

/** 1000 -> "1,000" */
export function count(number) {
  return number.toLocaleString("en");
}

/** "56 × 56, 24 channels" */
export function size(layer) {
  return `${layer.height} × ${layer.width}, ${count(layer.channels)} channels`;
}

/** What a visitor should make of a weak best guess; "" when there is nothing to say. */
export function doubt(best, classes) {
  if (best.probability >= 0.5) return "";
  const known = classes === 1 ? "its one class" : `its ${count(classes)} classes`;
  return `The model is not sure. It can only choose among ${known}, and the answer may be none of them.`;
}

const STAGES = [
  {
    title: "Shallow layers",
    finds: "Edges and colours",
    sentence: "Close to the photo, a channel looks at a few pixels at a time. It can tell only "
      + "simple things apart: an edge and its direction, a colour, light from dark.",
  },
  {
    title: "Middle layers",
    finds: "Textures and patterns",
    sentence: "Further in, channels combine the edges below them into textures and patterns: "
      + "fur, stripes, grids, corners, curves.",
  },
  {
    title: "Deep layers",
    finds: "Parts and objects",
    sentence: "Near the answer, channels respond to parts and whole objects, an eye, a wheel, a "
      + "collar, wherever they are. The maps are coarse: what matters more than where.",
  },
];

/** The stage of the `index`-th of `total` layers spread from the photo to the answer. */
export function stage(index, total) {
  const depth = total > 1 ? index / (total - 1) : 1;
  return STAGES[Math.min(Math.floor(depth * STAGES.length), STAGES.length - 1)];
}
