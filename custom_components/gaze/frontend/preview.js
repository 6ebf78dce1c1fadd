// What cards look like, drawn with samples: no request is sent. Loaded on first use.
import { html, nothing } from "./vendor/lit.js";
import { text } from "./shared.js";

const NAMES = ["Neon city", "Watercolor harbor", "Oil painting", "Paper forest"];

/** @param {number} hue */
const drawing = (hue) =>
  `height: 100%; background: ` +
  `radial-gradient(circle at 30% 28%, hsl(${hue + 40} 90% 82%) 0 12%, transparent 13%), ` +
  `linear-gradient(165deg, hsl(${hue} 70% 68%) 0 45%, hsl(${hue + 70} 45% 38%) 46% 68%, ` +
  `hsl(${hue + 90} 50% 24%) 69%)`;

const SAMPLES = [205, 28, 330, 150, 262, 48, 190, 350].map((hue, number) => ({
  name: NAMES[number % NAMES.length],
  style: drawing(hue),
}));

/** Draw a card. @param {Card} card */
export const render = ({ localName, config }) =>
  localName === "gaze-generate" ? renderGenerate(config) : renderGallery(config);

/** @param {CardConfig} config */
function renderGenerate({ preset, recipe, result }) {
  const name = preset || recipe;
  return html`
    ${result === false
      ? nothing
      : html`<div class="tile" style="aspect-ratio: 3 / 2; border-radius: var(--gaze-radius)">
          <div style=${SAMPLES[0].style}></div>
        </div>`}
    ${name
      ? nothing
      : html`<select aria-label=${text("preset")}>
          <option>${NAMES[0]}</option>
        </select>`}
    <button class="strong" type="button">${name ? text("generate_this", { name }) : text("generate")}</button>
  `;
}

/** @param {CardConfig} config */
function renderGallery({ layout = "grid", caption }) {
  const named = caption && caption !== "none";
  return html`<div class="images ${layout}">
    ${SAMPLES.slice(0, layout === "hero" ? 5 : 8).map(
      ({ name, style }) => html`<div>
        <div class="tile" style="border-radius: var(--gaze-radius)"><div style=${style}></div></div>
        ${named ? html`<span class="caption">${name}</span>` : nothing}
      </div>`
    )}
  </div>`;
}
