// What cards look like, drawn with samples. It is loaded on first use.
import { html, nothing } from "./vendor/lit.js";
import { SIZES } from "./gallery.js";
import { text } from "./texts.js";

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

/** @param {string | undefined} title */
const heading = (title) => (title ? html`<h2>${title}</h2>` : nothing);

/** @param {GenerateConfig} config */
export const generate = ({ title, preset, recipe, result }) => html`<ha-card inert>
  ${heading(title)}
  <div class="body">
    ${result === false
      ? nothing
      : html`<div class="result" style="aspect-ratio: 3 / 2">
          <div style=${SAMPLES[0].style}></div>
        </div>`}
    ${preset || recipe
      ? nothing
      : html`<select aria-label=${text("preset")}>
          <option>${NAMES[0]}</option>
        </select>`}
    <button class="strong" type="button">
      ${preset || recipe ? text("generate_this", { name: preset || recipe || "" }) : text("generate")}
    </button>
  </div>
</ha-card>`;

/** @param {GalleryConfig} config */
export function gallery({ title, layout, caption, thumbnails }) {
  const size = SIZES[/** @type {keyof typeof SIZES} */ (thumbnails || "m")];
  const named = caption && caption !== "none";
  return html`<ha-card inert>
    ${heading(title)}
    <div class="body" style="--tile: ${size}px">
      <div class="images ${layout || "grid"}">
        ${SAMPLES.slice(0, layout === "hero" ? 5 : 8).map(
          (sample) => html`<div>
            <div class="tile"><div style=${sample.style}></div></div>
            ${named ? html`<span class="caption">${sample.name}</span>` : nothing}
          </div>`
        )}
      </div>
    </div>
  </ha-card>`;
}
