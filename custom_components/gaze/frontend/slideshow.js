// One image of the gallery after the other. Loaded on first use.
import { html } from "./vendor/lit.js";
import { iconButton } from "./actions.js";
import { render as renderCaption } from "./captions.js";

/** @type {WeakMap<GalleryCard, {seconds: number, at: number, paused: boolean, timer: number}>} */
const shows = new WeakMap();

/** @param {GalleryCard} card @param {number} seconds */
function start(card, seconds) {
  const show = { seconds, at: 0, paused: false, timer: window.setInterval(advance, seconds * 1000) };
  shows.set(card, show);
  return show;

  function advance() {
    if (!card.isConnected) {
      stop(card);
    } else if (!document.hidden && !show.paused) {
      show.at = (show.at + 1) % (card.images.length || 1);
      // List more images before the last one has been shown.
      if (show.at + 1 >= card.images.length) card.more();
      card.update();
    }
  }
}

/** @param {GalleryCard} card */
function stop(card) {
  const show = shows.get(card);
  if (show) clearInterval(show.timer);
  shows.delete(card);
}

/** Return the current image of a card, which shows each for so many seconds. @param {GalleryCard} card @param {number} seconds */
export function render(card, seconds) {
  const known = shows.get(card);
  if (known && known.seconds !== seconds) stop(card);
  const show = shows.get(card) || start(card, seconds);
  const image = card.images[show.at] || card.images[0];
  const toggle = () => {
    show.paused = !show.paused;
    card.update();
  };
  return html`
    ${card.renderTile(image, 0, { style: "aspect-ratio: 3 / 2; max-height: 70vh" })}
    <div class="row">${iconButton(show.paused ? "play" : "pause", toggle)} ${renderCaption(card, image)}</div>
  `;
}
