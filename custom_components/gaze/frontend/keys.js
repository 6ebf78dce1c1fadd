// Moves the focus among the images of the gallery. Loaded when an image first has the focus.

/** @param {GalleryCard} card @param {KeyboardEvent} event */
export function moveFocus(card, event) {
  /** @type {HTMLElement[]} */
  const tiles = [...card.root.querySelectorAll(/** @type {"a"} */ (".tile"))];
  const at = tiles.indexOf(/** @type {HTMLElement} */ (event.target));
  const ahead = getComputedStyle(card).direction === "rtl" ? -1 : 1;
  const columns = tiles.filter(({ offsetTop }) => offsetTop === tiles[tiles.length > 1 ? 1 : 0].offsetTop).length;
  /** @type {Record<string, number>} */
  const steps = {
    ArrowRight: at + ahead,
    ArrowLeft: at - ahead,
    ArrowDown: at + columns,
    ArrowUp: at - columns,
    Home: 0,
    End: tiles.length - 1,
  };
  const to = steps[event.key];
  if (at < 0 || to === undefined) return;
  event.preventDefault();
  tiles[Math.min(Math.max(to, 0), tiles.length - 1)].focus();
}
