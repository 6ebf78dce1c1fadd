// What people do with an image, as a row of buttons.
import { LitElement, css, html, nothing } from "./vendor/lit.js";
import { canMark, controlStyles, icon, perform } from "./card.js";
import { ACTIONS } from "./config.js";
import { imagePath } from "./images.js";
import { describeError, text } from "./texts.js";

/**
 * Buttons for an image. Fires `gaze-done` with the action and its response.
 *
 * Deleting asks in place, with the focus on *No*.
 */
export class GazeActions extends LitElement {
  static get properties() {
    return {
      hass: { attribute: false, hasChanged: () => false },
      image: { attribute: false },
      actions: { attribute: false },
      _asking: { state: true },
      _busy: { state: true },
      _error: { state: true },
    };
  }

  constructor() {
    super();
    /** @type {Hass | undefined} */
    this.hass = undefined;
    /** @type {GazeImageInfo | undefined} */
    this.image = undefined;
    this.actions = ACTIONS;
    this._asking = false;
    this._busy = false;
    this._error = "";
  }

  static get styles() {
    return [
      controlStyles,
      css`
        :host {
          color: inherit;
        }
        .row {
          gap: 4px;
          justify-content: center;
        }
        .note {
          margin-block-start: 8px;
        }
        button.danger {
          background: #b3261e;
          color: #fff;
        }
      `,
    ];
  }

  /** @param {Map<string, unknown>} changed */
  willUpdate(changed) {
    if (changed.has("image")) {
      const before = /** @type {GazeImageInfo | undefined} */ (changed.get("image"));
      if (!before || !this.image || before.job_id !== this.image.job_id) {
        this._asking = false;
        this._error = "";
      }
    }
  }

  /** @param {Map<string, unknown>} changed */
  updated(changed) {
    if (!changed.has("_asking") || changed.get("_asking") === undefined) return;
    const wanted = this._asking ? ".no" : ".delete";
    const button = /** @type {HTMLElement | null} */ (this.renderRoot.querySelector(wanted));
    if (button) button.focus();
  }

  render() {
    if (!this.hass || !this.image) return nothing;
    return html`
      ${this._asking ? this._renderQuestion() : this._renderButtons(this.hass, this.image)}
      ${this._error ? html`<p class="note error" role="alert">${this._error}</p>` : nothing}
    `;
  }

  /** @param {Hass} hass @param {GazeImageInfo} image */
  _renderButtons(hass, image) {
    const shown = this.actions.filter(
      (action) => canMark(hass) || (action !== "favorite" && action !== "hide")
    );
    return html`<div class="row">
      ${shown.map((action) => {
        const marked = action === "favorite" && image.favorite;
        const label = text(marked ? "unfavorite" : action);
        return html`<button
          class="icon ${action}"
          title=${label}
          aria-label=${label}
          ?disabled=${this._busy}
          @click=${() => this._start(action)}
        >
          ${icon(marked ? "unfavorite" : action)}
        </button>`;
      })}
    </div>`;
  }

  _renderQuestion() {
    const label = text("delete_question");
    return html`<div
      class="row"
      role="group"
      aria-label=${label}
      @keydown=${(/** @type {KeyboardEvent} */ event) => {
        if (event.key !== "Escape") return;
        event.preventDefault();
        event.stopPropagation();
        this._asking = false;
      }}
    >
      <span>${label}</span>
      <button class="no plain" @click=${() => (this._asking = false)}>${text("no")}</button>
      <button class="danger" ?disabled=${this._busy} @click=${() => this._run("delete")}>
        ${text("delete")}
      </button>
    </div>`;
  }

  /** @param {string} action */
  _start(action) {
    if (action === "delete") this._asking = true;
    else this._run(action);
  }

  /** @param {string} action */
  async _run(action) {
    const { hass, image } = this;
    if (!hass || !image || this._busy) return;
    this._busy = true;
    this._error = "";
    try {
      const result = await this._perform(hass, image, action);
      const detail = { action, image, response: result && result.response };
      this.dispatchEvent(
        new CustomEvent("gaze-done", { detail, bubbles: true, composed: true })
      );
      if (action === "delete") this._asking = false;
    } catch (error) {
      this._error = await describeError(hass, /** @type {ActionError} */ (error));
    } finally {
      this._busy = false;
    }
  }

  /**
   * @param {Hass} hass
   * @param {GazeImageInfo} image
   * @param {string} action
   * @returns {Promise<{response: any} | void>}
   */
  async _perform(hass, image, action) {
    const data = { config_entry_id: image.entry_id, job_id: image.job_id };
    switch (action) {
      case "again":
        return perform(hass, "regenerate", data);
      case "same_seed":
        return perform(hass, "regenerate", { ...data, same_seed: true });
      case "favorite":
        return perform(hass, "mark_images", { ...data, favorite: !image.favorite });
      case "hide":
        return perform(hass, "mark_images", { ...data, hidden: true });
      case "delete":
        return perform(hass, "delete_images", { ...data, ...(image.favorite && { include_favorites: true }) });
      default:
        return download(hass, image);
    }
  }
}

/**
 * Save the bytes of an image on the device.
 * @param {Hass} hass
 * @param {GazeImageInfo} image
 */
async function download(hass, image) {
  const response = await hass.fetchWithAuth(imagePath(image));
  if (!response.ok) throw new Error(text("image_gone"));
  const url = URL.createObjectURL(await response.blob());
  const link = document.createElement("a");
  link.href = url;
  link.download = fileName(image);
  link.click();
  window.setTimeout(() => URL.revokeObjectURL(url), 1000);
}

/** @param {GazeImageInfo} image */
function fileName(image) {
  const extension = { "image/png": "png", "image/jpeg": "jpg", "image/webp": "webp" };
  const name = image.preset.replace(/[^\w-]+/g, "_").slice(0, 40) || "image";
  const type = /** @type {keyof typeof extension} */ (image.content_type);
  return `gaze_${name}_${image.job_id.slice(0, 8)}.${extension[type] || "png"}`;
}
