/**
 * Colours maps, from black through red to pale yellow: the same ramp as in models/mosaic.py, which
 * a test compares with this one.
 */

const ANCHORS = [
  [0, 0, 4], [40, 11, 84], [101, 21, 110], [159, 42, 99], [212, 72, 66], [245, 125, 21],
  [250, 193, 39], [252, 255, 164],
];
const STEP = 255 / (ANCHORS.length - 1);

/** Level -> colour as canvases store it: red, green, blue, opaque. */
const EMBER = new Uint32Array(Uint8Array.from({ length: 256 * 4 }, (_, at) => {
  const [level, band] = [at >> 2, at & 3];
  if (band === 3) return 255;
  const lower = Math.min(Math.floor(level / STEP), ANCHORS.length - 2);
  const [from, to] = [ANCHORS[lower][band], ANCHORS[lower + 1][band]];
  return from + (level / STEP - lower) * (to - from);
}).buffer);

/**
 * Draw levels on a canvas, one pixel a position; the canvas takes their size.
 *
 * @param {{levels: Uint8Array, width: number, height: number}} tile
 * @param {number} gain what to multiply the levels by, 0 to 1
 */
export function paint(canvas, { levels, width, height }, gain = 1) {
  canvas.width = width;
  canvas.height = height;
  const context = canvas.getContext("2d");
  const picture = context.createImageData(width, height);
  const colours = new Uint32Array(picture.data.buffer);
  for (let at = 0; at < levels.length; at += 1) colours[at] = EMBER[Math.round(levels[at] * gain)];
  context.putImageData(picture, 0, 0);
  return canvas;
}

/** Turn numbers into levels: 0 and less is 0, `brightest` is 255. */
export function levelsOf(rows, brightest) {
  const flat = rows.flat();
  const levels = Uint8Array.from(flat, (value) => (Math.max(value, 0) / (brightest || 1)) * 255);
  return { levels, width: rows[0].length, height: rows.length };
}
