/** Draws a layer small: its strongest channels on the photo, as many as fill a box of the strip. */

import { element } from "./element.js";
import { paint } from "./ember.js";

const TILE_PX = 34; // about: the tiles fill the box

/** @returns {HTMLCanvasElement} each channel on its own scale; only after `layer.sheet.ready()` */
export function drawThumbnail(layer, width, height) {
  const columns = Math.max(Math.round(width / TILE_PX), 1);
  const rows = Math.max(Math.round(height / (width / columns)), 1);
  const side = Math.min(width / columns, height / rows);
  const strongest = layer.strengths.map((_, channel) => channel)
    .sort((one, other) => layer.strengths[other] - layer.strengths[one]);
  const sharp = Math.max(devicePixelRatio, 2);
  const canvas = element("canvas", { width: width * sharp, height: height * sharp });
  const context = canvas.getContext("2d");
  context.scale(sharp, sharp);
  context.translate((width - columns * side) / 2, (height - rows * side) / 2);
  context.imageSmoothingEnabled = layer.width > side;
  const tile = document.createElement("canvas");
  strongest.slice(0, columns * rows).forEach((channel, at) => {
    paint(tile, layer.sheet.tile(channel));
    const [x, y] = [(at % columns) * side, Math.floor(at / columns) * side];
    context.drawImage(tile, x, y, side - 1, side - 1);
  });
  return canvas;
}
