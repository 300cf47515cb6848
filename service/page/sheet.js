/**
 * Decodes a layer's maps on one photo, when first needed: a sheet of grey tiles, one a channel.
 *
 * A level is a share of the channel's own peak: value = level / 255 * peak.
 */

export class Sheet {
  #decoding = null;
  #pixels = null; // a level for every position of the sheet
  #encoded;

  /** @param {object} layer as POST /activations answers it */
  constructor({ height, width, columns, sheet }) {
    Object.assign(this, { height, width, columns });
    this.#encoded = sheet;
  }

  /** Decode, once; every later call is the same promise. */
  ready() {
    this.#decoding ??= this.#decode();
    return this.#decoding;
  }

  /** One channel's levels; only after `ready`. */
  tile(channel) {
    const { height, width, columns } = this;
    const levels = new Uint8Array(height * width);
    const left = (channel % columns) * width;
    const top = Math.floor(channel / columns) * height;
    for (let row = 0; row < height; row += 1) {
      const start = (top + row) * columns * width + left;
      levels.set(this.#pixels.subarray(start, start + width), row * width);
    }
    return { levels, width, height };
  }

  async #decode() {
    const bytes = Uint8Array.from(atob(this.#encoded), (letter) => letter.charCodeAt(0));
    this.#encoded = null;
    const options = { colorSpaceConversion: "none", premultiplyAlpha: "none" };
    const picture = await createImageBitmap(new Blob([bytes], { type: "image/png" }), options);
    const canvas = document.createElement("canvas");
    canvas.width = picture.width;
    canvas.height = picture.height;
    const context = canvas.getContext("2d", { willReadFrequently: true });
    context.drawImage(picture, 0, 0);
    picture.close();
    const { data } = context.getImageData(0, 0, canvas.width, canvas.height);
    this.#pixels = Uint8Array.from({ length: data.length / 4 }, (_, at) => data[at * 4]);
  }
}

/** Returns where a tile is brightest, as shares of its width and height. */
export function brightestSpot({ levels, width, height }) {
  const at = levels.indexOf(Math.max(...levels));
  return { x: ((at % width) + 0.5) / width, y: (Math.floor(at / width) + 0.5) / height };
}
