/** What the page says: numbers as people read them. */

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

const ROUNDED = new Intl.NumberFormat("en", { maximumSignificantDigits: 2 });

/** 0.04172 -> "0.042" */
export function rounded(number) {
  return ROUNDED.format(number);
}

/** 0.5 -> "+0.5", -0.5 -> "−0.5" */
export function signed(number) {
  return `${number > 0 ? "+" : ""}${rounded(number)}`.replace("-", "−");
}
