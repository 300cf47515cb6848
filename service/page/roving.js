/** Moves the focus among many buttons with one Tab stop: arrow keys, Home and End. */

/** Walk the buttons of `container` that match `selector`; call once, they may change later. */
export function rove(container, selector) {
  container.addEventListener("keydown", (event) => {
    const all = [...container.querySelectorAll(selector)];
    const from = all.indexOf(document.activeElement);
    const to = from < 0 || event.altKey || event.ctrlKey || event.metaKey
      ? undefined : target(event.key, all, from);
    if (to === undefined) return;
    event.preventDefault();
    all[to]?.focus();
  });
  container.addEventListener("focusin", ({ target: focused }) => {
    if (focused.matches(selector)) stopAt(container, selector, focused);
  });
}

/** Make `chosen` the one that Tab reaches; by default the first. */
export function stopAt(container, selector, chosen = container.querySelector(selector)) {
  for (const each of container.querySelectorAll(selector)) each.tabIndex = each === chosen ? 0 : -1;
}

/** @returns {number|undefined} the index to go to; undefined: not a key for walking */
function target(key, all, from) {
  const last = all.length - 1;
  if (key === "ArrowRight") return Math.min(from + 1, last);
  if (key === "ArrowLeft") return Math.max(from - 1, 0);
  if (key === "Home") return 0;
  if (key === "End") return last;
  if (key === "ArrowDown" || key === "ArrowUp") return aboveOrBelow(all, from, key === "ArrowDown");
  return undefined;
}

/** The nearest one in the row below or above; undefined in a single row: the page scrolls. */
function aboveOrBelow(all, from, down) {
  const boxes = all.map((each) => each.getBoundingClientRect());
  const own = boxes[from];
  const far = (at) => Math.abs(boxes[at].top - own.top) * 1000 + Math.abs(boxes[at].left - own.left);
  const others = boxes.map((_, at) => at).filter((at) =>
    down ? boxes[at].top >= own.bottom - 1 : boxes[at].bottom <= own.top + 1);
  return others.length ? others.reduce((best, at) => (far(at) < far(best) ? at : best)) : undefined;
}
