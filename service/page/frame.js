/** Shows a photo in its frame: the picture at once, later a map over what the network sees. */

import { sampleUrl } from "./api.js";
import { element } from "./element.js";
import { seenPart } from "./framing.js";
import { titleOf } from "./photos.js";

export class Frame {
  #picture = element("img", { alt: "" });
  #map = element("canvas", { className: "laid", hidden: true });
  #blank = element("p", { className: "blank", hidden: true }, "There is no picture to show.");
  #badge = element("span", { className: "badge", hidden: true });
  #caption = element("figcaption");
  #slide;
  #shown = null;
  #url = null;

  /** @param {HTMLElement} figure an empty one */
  constructor(figure) {
    this.#slide = element("div", { className: "slide" }, this.#picture, this.#map, this.#badge);
    this.figure = figure;
    figure.append(this.#slide, this.#blank, this.#caption);
  }

  /** Show a photo, or null for none; `letter` names it where there are two. */
  show(photo, model, letter = "") {
    this.figure.hidden = photo === null;
    this.#badge.textContent = letter;
    this.#badge.hidden = letter === "";
    if (photo === this.#shown) return;
    this.#shown = photo;
    this.lay(null);
    if (this.#url) URL.revokeObjectURL(this.#url);
    this.#url = photo && !photo.sample ? URL.createObjectURL(photo.blob) : null;
    this.#showPicture(true);
    if (!photo) return this.#picture.removeAttribute("src");
    this.#picture.onerror = () => this.#showPicture(false);
    this.#picture.onload = () => this.#fit(model);
    this.#picture.src = this.#url ?? sampleUrl(model.name, photo.sample);
    this.#picture.alt = `The photo on view: ${photo.label ?? photo.name}`;
    this.#caption.textContent = titleOf(photo);
  }

  /** Lay a map over the photo, this strong; null takes it away. */
  lay(map, opacity = 1) {
    this.#map.hidden = map === null;
    if (!map) return;
    this.#map.width = map.width;
    this.#map.height = map.height;
    this.#map.getContext("2d").drawImage(map, 0, 0);
    this.#map.style.opacity = opacity;
  }

  #showPicture(hasPicture) {
    this.#slide.hidden = !hasPicture;
    this.#blank.hidden = hasPicture;
  }

  #fit(model) {
    const { naturalWidth: width, naturalHeight: height } = this.#picture;
    this.#slide.style.setProperty("--ratio", width / height);
    for (const [side, share] of Object.entries(seenPart(model, width, height))) {
      this.#map.style[side] = `${share * 100}%`;
    }
  }
}
