// The large view of the images of a card. Loaded on first use.
import { html, nothing } from "./vendor/lit.js";
import { GazeElement, byTime, define, describe, fire, listImages, renderImage, text } from "./shared.js";
import { ACTIONS, iconButton, renderActions, showChange } from "./actions.js";

const loadDetails = () => import("./details.js");
/** Pixels that a finger moves before it turns the page. */
const SWIPE = 48;
/** Milliseconds until a button has lost the focus. */
const SETTLED = 50;

/**
 * The dialog that Home Assistant shows for `show-dialog`, so the back button of a phone closes it.
 */
class GazeViewer extends GazeElement {
  constructor() {
    super();
    /** @type {Hass | undefined} set by Home Assistant */
    this.hass = undefined;
    /** @type {Card | undefined} */
    this._card = undefined;
    /** @type {GazeImageInfo | undefined} */
    this._image = undefined;
    /** @type {GazeImageInfo | undefined} the image with its whole texts */
    this._whole = undefined;
    this._details = false;
    this._gone = false;
    this._said = "";
    /** @type {PointerEvent | undefined} */
    this._pressed = undefined;
  }

  /** @param {{card: Card, image: GazeImageInfo}} params */
  async showDialog({ card, image }) {
    this._card = card;
    this._said = "";
    this._show(image);
    await this.update();
    const dialog = this.root.querySelector("dialog");
    if (dialog && !dialog.open) dialog.showModal();
  }

  async _update() {
    await super._update();
    // The button that had the focus may be gone.
    setTimeout(() => {
      const dialog = this.root.querySelector("dialog");
      if (dialog && document.activeElement === document.body) dialog.focus();
    }, SETTLED);
  }

  closeDialog() {
    const dialog = this.root.querySelector("dialog");
    if (dialog) dialog.close();
    return true;
  }

  _closed() {
    this._image = undefined;
    this.update();
    fire(this, "dialog-closed", { dialog: this.localName });
  }

  get _images() {
    return this._card ? this._card.images : [];
  }

  get _index() {
    const { job_id = "" } = this._image || {};
    return this._images.findIndex((image) => image.job_id === job_id);
  }

  /** Return the place beside the image, which may have left the list. @param {number} step */
  _beside(step) {
    const index = this._index;
    if (index >= 0) return index + step;
    const image = this._image;
    const newer = this._images.filter((one) => image && byTime(one, image) < 0).length;
    return step > 0 ? newer : newer - 1;
  }

  /** @param {GazeImageInfo} image */
  _show(image) {
    this._image = image;
    this._gone = false;
    this._whole = undefined;
    if (this._details) this._loadDetails(image);
    this.update();
  }

  /** @param {number} step */
  async _turn(step) {
    const index = this._beside(step);
    if (index >= this._images.length && this._card) await this._card.more();
    const image = this._images[index];
    if (image) this._show(image);
  }

  /** Turn to the right of the screen, or to its left. @param {boolean} right */
  _turnTo(right) {
    this._turn(right === (getComputedStyle(this).direction === "rtl") ? -1 : 1);
  }

  /** @param {GazeImageInfo} image */
  async _loadDetails(image) {
    if (!this.hass) return;
    const { entry_id, job_id } = image;
    try {
      const { images } = await listImages(this.hass, { entry_id, job_id });
      if (this._image === image) this._whole = images[0];
    } catch {
      // The shorter texts stay.
    }
    this.update();
  }

  _toggleDetails() {
    this._details = !this._details;
    if (this._details && this._image) this._loadDetails(this._image);
    this.update();
  }

  /** @param {KeyboardEvent} event */
  _keydown(event) {
    if (event.key !== "ArrowRight" && event.key !== "ArrowLeft") return;
    event.preventDefault();
    this._turnTo(event.key === "ArrowRight");
  }

  /** @param {PointerEvent} event */
  _down(event) {
    this._pressed = event.isPrimary ? event : undefined;
  }

  /** @param {PointerEvent} event */
  _up({ clientX, clientY }) {
    if (!this._pressed) return;
    const x = clientX - this._pressed.clientX;
    const y = clientY - this._pressed.clientY;
    this._pressed = undefined;
    if (Math.abs(x) >= SWIPE && Math.abs(x) >= Math.abs(y)) this._turnTo(x < 0);
  }

  /** @param {CustomEvent<Done>} event */
  _acted({ detail }) {
    if (!this._card) return;
    showChange(this._card, detail);
    const { action, image } = detail;
    if (action === "again" || action === "same_seed") this._said = text("queued_one");
    if (action === "delete" || action === "hide") {
      const next = this._images[Math.min(this._beside(1), this._images.length - 1)];
      if (next) this._show(next);
      else this.closeDialog();
    } else {
      this._image = this._images.find(({ job_id }) => job_id === image.job_id) || image;
    }
    this.update();
  }

  get styles() {
    return `
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
        outline: none;
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
        overflow: hidden;
        min-height: 0;
        touch-action: pan-y pinch-zoom;
        user-select: none;
      }
      .previous,
      .next {
        position: absolute;
        inset-block-start: calc(50% - 24px);
        width: 48px;
        height: 48px;
        border-radius: 50%;
        background: #0009;
      }
      .previous {
        inset-inline-start: 8px;
      }
      .next {
        inset-inline-end: 8px;
      }
      .stage:dir(rtl) ha-icon {
        transform: scaleX(-1);
      }
      .blurred gaze-image {
        filter: blur(24px);
      }
      .gone,
      .uncover {
        position: absolute;
        inset: 0;
        display: grid;
        place-items: center;
        width: 100%;
      }
      .uncover:hover {
        background: none;
      }
      footer {
        padding: 4px;
      }
      .said {
        margin: 0;
        text-align: center;
        min-height: 1.4em;
      }
    `;
  }

  render() {
    const image = this._image;
    return html`<dialog
      tabindex="-1"
      aria-label=${image ? describe(image) : ""}
      @close=${this._closed}
      @keydown=${this._keydown}
    >
      ${image && this.hass && this._card ? this._renderPage(image, this.hass, this._card) : nothing}
    </dialog>`;
  }

  /** @param {GazeImageInfo} image @param {Hass} hass @param {Card} card */
  _renderPage(image, hass, card) {
    const { actions = ACTIONS } = card.config;
    const offered = actions.flatMap((action) => (action === "again" ? [action, "same_seed"] : [action]));
    const index = this._index;
    const gone = () => {
      this._gone = true;
      this.update();
    };
    const covered = card.isCovered(image);
    const details = this._details && this.use(loadDetails);
    const uncover = () => {
      card.open(image);
      this.update();
    };
    return html`<div class="page">
      <header>
        <h2>${image.preset_name}</h2>
        <span>${this._images.length > 1 && index >= 0 ? `${index + 1} / ${this._images.length}` : ""}</span>
        ${iconButton("details", () => this._toggleDetails(), false, `${this._details}`)} ${iconButton("close", () => this.closeDialog())}
      </header>
      <div class="stage ${covered ? "blurred" : ""}" @pointerdown=${this._down} @pointerup=${this._up}>
        ${renderImage(hass, image, 0, gone)}
        ${covered ? iconButton("uncover", uncover) : nothing}
        ${this._gone ? html`<p class="gone" role="alert">${text("image_gone")}</p>` : nothing}
        ${this._beside(-1) >= 0 ? iconButton("previous", () => this._turn(-1)) : nothing}
        ${this._beside(1) < this._images.length || card.hasMore ? iconButton("next", () => this._turn(1)) : nothing}
      </div>
      <footer>
        ${details ? details.render(this._whole || image, card) : nothing}
        <p class="said" role="status">${this._said}</p>
        ${renderActions(hass, image, offered, this._acted)}
      </footer>
    </div>`;
  }
}

define("gaze-viewer", GazeViewer);
