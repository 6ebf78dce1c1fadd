// The words below an image, and times. Loaded on first use.
import { html, nothing } from "./vendor/lit.js";

/** @param {Card} card @param {string} time */
export const formatTime = ({ hass: { language } }, time) =>
  new Intl.DateTimeFormat(language, { dateStyle: "medium", timeStyle: "short" }).format(new Date(time));

/** @param {GalleryCard} card @param {GazeImageInfo} image */
export function render(card, image) {
  const { caption } = card.config;
  if (!caption || caption === "none") return nothing;
  let words = image.preset_name;
  if (caption === "prompt") words = image.extra_positive || words;
  if (caption === "time") words = formatTime(card, image.finished_at);
  return html`<style>
      .caption {
        display: block;
        max-width: 100%;
        margin-block-start: 4px;
        overflow: hidden;
        text-overflow: ellipsis;
        white-space: nowrap;
        font-size: 0.85em;
        color: var(--gaze-quiet);
      }
    </style>
    <span class="caption">${words}</span>`;
}
