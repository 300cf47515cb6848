/** Orders the channels of a layer, the same in its grid and for "next channel". */

/**
 * @typedef {object} Channels of one layer, from the photo and from the insight
 * @property {number} count
 * @property {?object} maps the layer of a look; null: no photo
 * @property {?object[]} facts a record for every channel; null: no insight
 */

const SORTS = {
  strength: {
    title: "Strength",
    of: ({ maps }) => maps?.strengths,
    sentence: "Strongest on this photo first: the mean of the map.",
  },
  effect: {
    title: "Effect",
    of: ({ maps }) => maps?.effects,
    sentence: "First the channels that speak most for the class, last those that speak against it.",
  },
  selectivity: {
    title: "Selectivity",
    of: ({ facts }) => facts?.map((fact) => fact.selectivity ?? -1),
    sentence: "Most selective first: near 1, a channel answers to one class and hardly to the "
      + "others; near 0, to all alike.",
  },
  index: { title: "Number", of: () => [], sentence: "As the network numbers them." },
};

/** @returns {[string, object][]} the sorts that these channels have numbers for */
export function sortsOf(channels) {
  return Object.entries(SORTS).filter(([, sort]) => sort.of(channels));
}

/** Choose the wanted sort, or else the first one there is. */
export function chooseSort(wanted, channels) {
  const names = sortsOf(channels).map(([name]) => name);
  return names.includes(wanted) ? wanted : names[0];
}

/** @returns {number[]} channel numbers, first one first; equals stay in number order */
export function orderChannels(sort, channels) {
  const all = Array.from({ length: channels.count }, (_, channel) => channel);
  const values = SORTS[sort].of(channels);
  return sort === "index" ? all : all.sort((one, other) => values[other] - values[one]);
}
