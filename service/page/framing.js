/** Finds the part of a photo that the network sees; maps are laid over that part only. */

const SIDE_PX = 448; // of the drawing: sharp on a dense screen, small in memory

/** @returns {{left: number, top: number, width: number, height: number}} shares of the photo */
export function seenPart({ resize, fraction }, width, height) {
  if (resize === "squash") return { left: 0, top: 0, width: 1, height: 1 };
  // Padded, the square is larger than the photo: what lies outside of it stays black.
  const side = resize === "pad" ? Math.max(width, height) : fraction * Math.min(width, height);
  const [wide, high] = [side / width, side / height];
  return { left: (1 - wide) / 2, top: (1 - high) / 2, width: wide, height: high };
}

/** @returns {Promise<?HTMLCanvasElement>} the photo as the network sees it; null: no picture */
export async function drawSeen(model, blob) {
  let photo;
  try {
    photo = await createImageBitmap(blob);
  } catch {
    return null; // the service reads formats that this browser does not
  }
  const part = seenPart(model, photo.width, photo.height);
  const canvas = blackSquare();
  canvas.getContext("2d").drawImage(
    photo,
    part.left * photo.width, part.top * photo.height,
    part.width * photo.width, part.height * photo.height,
    0, 0, SIDE_PX, SIDE_PX,
  );
  photo.close();
  return canvas;
}

/** Draw a map over the photo as the network sees it, as one picture. */
export function layOver(seen, map, opacity, { smooth = false } = {}) {
  const canvas = blackSquare();
  const context = canvas.getContext("2d");
  if (seen) context.drawImage(seen, 0, 0);
  context.globalAlpha = seen ? opacity : 1;
  context.imageSmoothingEnabled = smooth;
  context.imageSmoothingQuality = "high";
  context.drawImage(map, 0, 0, SIDE_PX, SIDE_PX);
  return canvas;
}

function blackSquare() {
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = SIDE_PX;
  const context = canvas.getContext("2d");
  context.fillRect(0, 0, SIDE_PX, SIDE_PX);
  return canvas;
}
