// What is known of an image in the large view. Loaded on first use.
import { html, nothing } from "./vendor/lit.js";
import { formatTime } from "./captions.js";
import { text } from "./shared.js";

/** @param {GazeImageInfo} image @param {Card} card */
export function render(image, card) {
  /** @type {[string, string | null | undefined][]} */
  const rows = [
    ["preset", image.preset_name],
    ["recipe", image.recipe_name],
    ["prompt", image.extra_positive],
    ["negative", image.extra_negative],
    ["seed", image.seed],
    ["checkpoint", image.checkpoint],
    ["size", image.width ? `${image.width} × ${image.height}` : ""],
    ["tag", image.tag],
    ["time", formatTime(card, image.finished_at)],
  ];
  return html`<style>
      dl {
        max-height: 34dvh;
        margin: 0;
        padding: 8px 16px;
        overflow: auto;
        display: grid;
        grid-template-columns: auto minmax(0, 1fr);
        gap: 4px 16px;
        background: #222;
      }
      dt {
        color: #bbb;
      }
      dd {
        margin: 0;
        overflow-wrap: anywhere;
        white-space: pre-wrap;
        user-select: text;
      }
    </style>
    <dl tabindex="0" aria-label=${text("details")}>
      ${rows.map(([name, value]) => (value ? html`<dt>${text(name)}</dt><dd>${value}</dd>` : nothing))}
    </dl>`;
}
