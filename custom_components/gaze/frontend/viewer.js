// The large view of an image. It is loaded on first use.
import { LitElement, css, html, nothing } from "./vendor/lit.js";
import { controlStyles, icon } from "./card.js";
import { ACTIONS } from "./config.js";
import { listImages } from "./hub.js";
import { GazeActions } from "./actions.js";
import { define } from "./define.js";
import { GazeImage, describe, imagePath } from "./images.js";
import { formatTime, text } from "./texts.js";

/** Pixels that a finger moves before it turns the page. */
const SWIPE = 48;

/**
 * The dialog that Home Assistant shows for `show-dialog`, so the back button of a phone closes it.
 */
export class GazeViewer extends LitElement {
  static get properties() {
    return {
      hass: { attribute: false, hasChanged: () => false },
      _params: { state: true },
      _index: { state: true },
      _details: { state: true },
      _whole: { state: true },
      _gone: { state: true },
      _said: { state: true },
    };
  }

  constructor() {
    super();
    /** @type {Hass | undefined} */
    this.hass = undefined;
    /** @type {ViewerParams | undefined} */
    this._params = undefined;
    this._index = 0;
    this._details = false;
    /** @type {GazeImageInfo | undefined} the image with its whole texts */
    this._whole = undefined;
    this._gone = false;
    this._said = "";
    /** @type {{x: number, y: number} | undefined} */
    this._pressed = undefined;
  }

  /** @param {ViewerParams} params */
  async showDialog(params) {
    this._params = params;
    this._said = "";
    this._go(params.index);
    await this.updateComplete;
    const dialog = this.renderRoot.querySelector("dialog");
    if (dialog && !dialog.open) dialog.showModal();
  }

  closeDialog() {
    const dialog = this.renderRoot.querySelector("dialog");
    if (dialog) dialog.close();
    return true;
  }

  get _image() {
    return this._params && this._params.images[this._index];
  }

  _closed() {
    this._params = undefined;
    const detail = { dialog: this.localName };
    this.dispatchEvent(new CustomEvent("dialog-closed", { detail, bubbles: true, composed: true }));
  }

  /** @param {number} index */
  async _go(index) {
    if (!this._params) return;
    if (index >= this._params.images.length && this._params.more) {
      const images = await this._params.more();
      if (this._params) this._params = { ...this._params, images };
    }
    if (!this._params || index < 0 || index >= this._params.images.length) return;
    this._index = index;
    this._gone = false;
    this._whole = undefined;
    if (this._details) this._loadDetails();
  }

  async _loadDetails() {
    const image = this._image;
    if (!image || !this.hass) return;
    try {
      const filters = { entry_id: image.entry_id, job_id: image.job_id };
      const { images } = await listImages(this.hass, filters);
      if (this._image === image) this._whole = images[0];
    } catch (_error) {
      this._whole = undefined;
    }
  }

  _toggleDetails() {
    this._details = !this._details;
    if (this._details) this._loadDetails();
  }

  /** @param {KeyboardEvent} event */
  _keydown(event) {
    const rtl = getComputedStyle(this).direction === "rtl" ? -1 : 1;
    const step = { ArrowRight: rtl, ArrowLeft: -rtl }[event.key];
    if (!step) return;
    event.preventDefault();
    this._go(this._index + step);
  }

  /** @param {PointerEvent} event */
  _down(event) {
    this._pressed = event.isPrimary ? { x: event.clientX, y: event.clientY } : undefined;
  }

  /** @param {PointerEvent} event */
  _up(event) {
    const from = this._pressed;
    this._pressed = undefined;
    if (!from) return;
    const x = event.clientX - from.x;
    if (Math.abs(x) < SWIPE || Math.abs(x) < Math.abs(event.clientY - from.y)) return;
    const rtl = getComputedStyle(this).direction === "rtl" ? -1 : 1;
    this._go(this._index + (x < 0 ? rtl : -rtl));
  }

  /** @param {CustomEvent} event */
  _acted(event) {
    if (!this._params) return;
    event.stopPropagation();
    this._params.acted(event);
    const { action, image } = event.detail;
    if (action === "delete" || action === "hide") {
      this._removed(image);
    } else if (action === "favorite") {
      const images = this._params.images.map((known) =>
        known.job_id === image.job_id ? { ...known, favorite: !known.favorite } : known
      );
      this._params = { ...this._params, images };
    } else if (action === "again" || action === "same_seed") {
      this._said = text("queued_one");
    }
  }

  /** @param {GazeImageInfo} image */
  _removed(image) {
    if (!this._params) return;
    const images = this._params.images.filter((known) => known.job_id !== image.job_id);
    this._params = { ...this._params, images };
    if (!images.length) this.closeDialog();
    else this._go(Math.min(this._index, images.length - 1));
  }

  static get styles() {
    return [
      controlStyles,
      css`
        dialog {
          width: 100vw;
          height: 100dvh;
          max-width: none;
          max-height: none;
          margin: 0;
          padding: 0;
          border: 0;
          background: #111;
          color: #fff;
          --gaze-soft: #333;
          --gaze-line: #777;
          --gaze-accent: #8fd8f0;
        }
        .page {
          display: grid;
          grid-template-rows: auto minmax(0, 1fr) auto;
          height: 100%;
          padding: env(safe-area-inset-top) env(safe-area-inset-right) env(safe-area-inset-bottom)
            env(safe-area-inset-left);
        }
        header {
          display: flex;
          align-items: center;
          gap: 4px;
          padding: 4px;
        }
        h2 {
          flex: 1;
          min-width: 0;
          margin: 0;
          padding-inline: 8px;
          overflow: hidden;
          text-overflow: ellipsis;
          white-space: nowrap;
          font-size: 1em;
          font-weight: 500;
        }
        .stage {
          position: relative;
          min-height: 0;
          touch-action: pan-y pinch-zoom;
        }
        gaze-image {
          display: block;
          height: 100%;
        }
        gaze-image img {
          width: 100%;
          height: 100%;
          object-fit: contain;
          user-select: none;
        }
        .turn {
          position: absolute;
          inset-block-start: calc(50% - 24px);
          width: 48px;
          height: 48px;
          border-radius: 50%;
          background: #0009;
        }
        .turn.previous {
          inset-inline-start: 8px;
        }
        .turn.next {
          inset-inline-end: 8px;
        }
        :dir(rtl) > .turn ha-icon {
          transform: scaleX(-1);
        }
        .gone {
          position: absolute;
          inset: 0;
          display: grid;
          place-items: center;
        }
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
        footer {
          padding: 4px;
        }
        .said {
          margin: 0;
          text-align: center;
          min-height: 1.4em;
        }
      `,
    ];
  }

  render() {
    const image = this._image;
    return html`<dialog
      aria-label=${image ? describe(image) : ""}
      @close=${this._closed}
      @keydown=${this._keydown}
    >
      ${image && this._params ? this._renderPage(image, this._params) : nothing}
    </dialog>`;
  }

  /** @param {GazeImageInfo} image @param {ViewerParams} params */
  _renderPage(image, params) {
    const wanted = params.actions || ACTIONS;
    const actions = wanted.includes("again")
      ? wanted.flatMap((action) => (action === "again" ? ["again", "same_seed"] : [action]))
      : wanted;
    const last = this._index + 1 >= params.images.length;
    return html`<div class="page">
      <header>
        <h2>${image.preset_name}</h2>
        <button
          class="icon details"
          title=${text("details")}
          aria-label=${text("details")}
          aria-expanded=${this._details ? "true" : "false"}
          @click=${this._toggleDetails}
        >
          ${icon("details")}
        </button>
        <button class="icon close" title=${text("close")} aria-label=${text("close")} @click=${this.closeDialog}>
          ${icon("close")}
        </button>
      </header>
      <div class="stage" @pointerdown=${this._down} @pointerup=${this._up}>
        <gaze-image
          .hass=${this.hass}
          .path=${imagePath(image)}
          .alt=${describe(image)}
          @gaze-missing=${() => (this._gone = true)}
        ></gaze-image>
        ${this._gone ? html`<p class="gone" role="alert">${text("image_gone")}</p>` : nothing}
        ${this._index ? this._renderTurn("previous", -1) : nothing}
        ${last && !params.more ? nothing : this._renderTurn("next", 1)}
      </div>
      <footer>
        ${this._details ? this._renderDetails(this._whole || image) : nothing}
        <p class="said" role="status">${this._said}</p>
        <gaze-actions
          .hass=${this.hass}
          .image=${image}
          .actions=${actions}
          @gaze-done=${this._acted}
        ></gaze-actions>
      </footer>
    </div>`;
  }

  /** @param {"previous" | "next"} name @param {number} step */
  _renderTurn(name, step) {
    return html`<button
      class="icon turn ${name}"
      title=${text(name)}
      aria-label=${text(name)}
      @click=${() => this._go(this._index + step)}
    >
      ${icon(name)}
    </button>`;
  }

  /** @param {GazeImageInfo} image */
  _renderDetails(image) {
    const hass = /** @type {Hass} */ (this.hass);
    const rows = [
      ["preset", image.preset_name],
      ["recipe", image.recipe_name],
      ["prompt", image.extra_positive],
      ["negative", image.extra_negative],
      ["seed", image.seed],
      ["checkpoint", image.checkpoint],
      ["size", `${image.width} × ${image.height}`],
      ["tag", image.tag],
      ["time", formatTime(hass, image.finished_at)],
    ];
    return html`<dl tabindex="0" aria-label=${text("details")}>
      ${rows.map(([name, value]) =>
        value ? html`<dt>${text(`${name}`)}</dt><dd>${value}</dd>` : nothing
      )}
    </dl>`;
  }
}

define("gaze-viewer", GazeViewer);
define("gaze-actions", GazeActions);
define("gaze-image", GazeImage);
