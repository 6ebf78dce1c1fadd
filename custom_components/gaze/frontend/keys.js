// Moves the focus among the images of the gallery. Loaded when an image first has the focus.

/** @param {GalleryCard} card @param {KeyboardEvent} event */
export function moveFocus(card, event) {
  /** @type {HTMLElement[]} */
  const tiles = [...card.root.querySelectorAll(/** @type {"a"} */ (".tile"))];
  const at = tiles.indexOf(/** @type {HTMLElement} */ (event.target));
  if (at < 0) return;
  const ahead = getComputedStyle(card).direction === "rtl" ? -1 : 1;
  /** Return how many images are in the row of an image. @param {HTMLElement} tile */
  const countInRow = (tile) => tiles.filter(({ offsetTop }) => offsetTop === tile.offsetTop).length;
  const columns = countInRow(tiles[tiles.length > 1 ? 1 : 0]);
  const isOneRow = columns === tiles.length;
  // The first image may be larger than the others.
  const below = at ? columns : countInRow(tiles[0]);
  /** @type {Record<string, number>} */
  const steps = {
    ArrowRight: at + ahead,
    ArrowLeft: at - ahead,
    ...(!isOneRow && { ArrowDown: at + below, ArrowUp: at - columns }),
    Home: 0,
    End: tiles.length - 1,
  };
  const to = steps[event.key];
  if (to === undefined) return;
  event.preventDefault();
  tiles[Math.min(Math.max(to, 0), tiles.length - 1)].focus();
}
