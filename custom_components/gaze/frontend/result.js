// What belongs to the result of the generate card. Loaded with the first image.
import { html, nothing } from "./vendor/lit.js";
import { ACTIONS, renderActions, showChange } from "./actions.js";
import { renderImage, text } from "./shared.js";

/**
 * Return the buttons below the result of a card, and a strip if it shows several images.
 * @param {GenerateCard} card @param {GazeImageInfo} image
 */
export function render(card, image) {
  const { config, images, hass } = card;
  return html`
    ${images.length > 1
      ? html`<style>
            .strip {
              --fit: cover;
              margin-block: 8px;
            }
            .strip .tile {
              width: 64px;
              height: 64px;
            }
            [aria-pressed="true"] {
              outline: 2px solid var(--gaze-accent);
            }
          </style>
          <div class="row strip">
            ${images.map((one, number) => {
              const label = text("image_number", { number: images.length - number });
              return html`<button
                type="button"
                class="tile ${card.isCovered(one) ? "blurred" : ""}"
                aria-pressed=${one === image ? "true" : "false"}
                aria-label=${label}
                @click=${() => {
                  card.chosen = one.job_id;
                  card.update();
                }}
              >
                ${renderImage(hass, one, 256, () => card.drop(one), "")}
              </button>`;
            })}
          </div>`
      : nothing}
    ${renderActions(hass, image, config.actions || ACTIONS, (/** @type {CustomEvent<Done>} */ event) =>
      showChange(card, event.detail)
    )}
  `;
}
