/** Writes numbers and short sentences as people read them. */

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

/** A sentence on a photo that is unlike the training photos; "" where it is like them or not known. */
export function strange(look) {
  if (look?.in_distribution !== false) return "";
  return "This is unlike the photos the model was trained on: the answer may be none of its classes.";
}

/** A sentence on the classes it may be, and how often that is right; "" where not known. */
export function mayBe(look, coverage) {
  if (!look.prediction_set || !coverage || look.in_distribution === false) return "";
  const classes = look.prediction_set;
  const some = classes.length > 6 ? `one of ${count(classes.length)} classes` : either(classes);
  return `It is ${some}: such an answer is right for ${Math.round(coverage * 1000) / 10}% of photos like the training ones.`;
}

/** ["a", "b", "c"] -> "a, b or c" */
function either(names) {
  return new Intl.ListFormat("en", { type: "disjunction" }).format(names);
}

/** A sentence on a weak best guess; "" where it is strong. */
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
