// What both cards have in common.
import { LitElement, css, html, nothing } from "./vendor/lit.js";
import { hubOf } from "./hub.js";
import { loadTexts, text } from "./texts.js";

/**
 * Perform an action of the integration. Raises what it reports when it fails.
 * @param {Hass} hass
 * @param {string} action
 * @param {Record<string, unknown>} data
 */
export const perform = (hass, action, data) =>
  hass.callService("gaze", action, data, undefined, false, true);

/** @param {Hass | undefined} hass */
export const canMark = (hass) => Boolean(hass && hass.services.gaze && hass.services.gaze.mark_images);

/** Milliseconds until a spinner shows that something loads. */
const SPINNER_DELAY = 300;

const ICONS = {
  again: "refresh",
  same_seed: "lock-outline",
  favorite: "heart-outline",
  unfavorite: "heart",
  download: "download",
  hide: "eye-off",
  delete: "delete",
  close: "close",
  previous: "chevron-left",
  next: "chevron-right",
  details: "information-outline",
  pause: "pause",
  play: "play",
};

/** @param {string} name */
export const icon = (name) =>
  html`<ha-icon .icon=${`mdi:${ICONS[/** @type {keyof typeof ICONS} */ (name)]}`}></ha-icon>`;

/** Styles of buttons, fields, and notes, for everything that the integration shows. */
export const controlStyles = css`
  :host {
    --gaze-accent: var(--primary-color, #009ac7);
    --gaze-strong: var(--primary-color, #006787);
    --gaze-strong: color-mix(in srgb, var(--primary-color, #009ac7) 62%, #000);
    --gaze-line: var(--outline-color, var(--divider-color, #0000001f));
    --gaze-soft: var(--secondary-background-color, #f0f0f0);
    --gaze-radius: var(--ha-border-radius-lg, 12px);
    color: var(--primary-text-color, #141414);
  }
  *,
  ::before {
    box-sizing: border-box;
  }
  button,
  input,
  select,
  textarea {
    font: inherit;
    color: inherit;
    min-height: 44px;
    border-radius: var(--gaze-radius);
  }
  button {
    min-width: 44px;
    padding: 0 12px;
    border: 1px solid transparent;
    background: none;
    cursor: pointer;
  }
  button:hover {
    background: var(--gaze-soft);
  }
  button[disabled] {
    opacity: 0.5;
    cursor: default;
  }
  button.icon {
    padding: 0;
    display: inline-grid;
    place-items: center;
  }
  button.strong {
    background: var(--gaze-strong);
    color: #fff;
    font-weight: 500;
  }
  button.plain {
    border-color: var(--gaze-line);
  }
  input,
  select,
  textarea {
    width: 100%;
    min-width: 0;
    padding: 10px 12px;
    border: 1px solid var(--gaze-line);
    background: var(--card-background-color, #fff);
  }
  :focus-visible {
    outline: 2px solid var(--gaze-accent);
    outline-offset: 2px;
  }
  .note {
    margin: 0;
    padding: 12px;
    border-radius: var(--gaze-radius);
    background: var(--gaze-soft);
    overflow-wrap: anywhere;
  }
  .error {
    border-inline-start: 4px solid var(--error-color, #db4437);
  }
  .row {
    display: flex;
    flex-wrap: wrap;
    gap: 8px;
    align-items: center;
  }
  .for-readers {
    position: absolute;
    width: 1px;
    height: 1px;
    overflow: hidden;
    clip-path: inset(50%);
    white-space: nowrap;
  }
  @media (prefers-reduced-motion: no-preference) {
    gaze-image img {
      animation: appear 0.2s;
    }
  }
  @keyframes appear {
    from {
      opacity: 0.4;
    }
  }
`;

export const cardStyles = css`
  :host {
    display: block;
    height: 100%;
    container-type: inline-size;
  }
  ha-card {
    height: 100%;
    display: flex;
    flex-direction: column;
    overflow: hidden;
  }
  h2 {
    margin: 0;
    padding: 12px 16px 0;
    font-size: 1.15em;
    font-weight: 500;
  }
  .body {
    display: flex;
    flex-direction: column;
    gap: 12px;
    padding: 16px;
    overflow: auto;
    min-height: 0;
  }
  .loading {
    min-height: 240px;
    display: grid;
    place-items: center;
  }
  .spinner {
    width: 32px;
    height: 32px;
    border: 3px solid var(--gaze-line);
    border-top-color: var(--gaze-accent);
    border-radius: 50%;
    opacity: 0;
    animation: show 0s ${SPINNER_DELAY}ms forwards;
  }
  @media (prefers-reduced-motion: no-preference) {
    .spinner {
      animation:
        show 0s ${SPINNER_DELAY}ms forwards,
        turn 1s linear infinite;
    }
  }
  @keyframes show {
    to {
      opacity: 1;
    }
  }
  @keyframes turn {
    to {
      transform: rotate(1turn);
    }
  }
  gaze-image {
    display: block;
    overflow: hidden;
  }
  gaze-image img {
    display: block;
    width: 100%;
    height: 100%;
  }
  .blurred gaze-image img {
    filter: blur(24px);
  }
  a {
    color: inherit;
  }
`;

/**
 * A card that shows the state of servers. It renders when that state or its own changes, and
 * never for the states of entities.
 */
export class GazeCard extends LitElement {
  /** @returns {import("./vendor/lit.js").PropertyDeclarations} */
  static get properties() {
    return { preview: { type: Boolean }, _texts: { state: true } };
  }

  constructor() {
    super();
    this.preview = false;
    this._texts = 0;
    /** @type {Hass | undefined} */
    this._hass = undefined;
    /** @type {import("./hub.js").Hub | undefined} */
    this._hub = undefined;
    /** @type {(() => void) | undefined} */
    this._stopListening = undefined;
    /** @type {typeof import("./preview.js") | undefined} */
    this._drawing = undefined;
  }

  /** @returns {Hass | undefined} */
  get hass() {
    return this._hass;
  }

  set hass(hass) {
    const before = this._hass;
    this._hass = hass;
    if (!hass) return;
    if (!before || before.language !== hass.language) {
      loadTexts(hass).then(() => {
        this._texts += 1;
      });
    }
    if (!before) this._connect();
    const services = before && before.services.gaze;
    if (services !== hass.services.gaze) this.requestUpdate();
  }

  connectedCallback() {
    super.connectedCallback();
    this._connect();
  }

  disconnectedCallback() {
    super.disconnectedCallback();
    if (this._stopListening) this._stopListening();
    this._stopListening = undefined;
  }

  _connect() {
    if (!this._hass || !this.isConnected || this._stopListening || this.preview) return;
    this._hub = hubOf(this._hass);
    this._stopListening = this._hub.listen(() => this._stateChanged());
    this._stateChanged();
  }

  /** Called when the state of the servers changed. */
  _stateChanged() {
    this.requestUpdate();
  }

  /** @param {string | undefined} title */
  _renderTitle(title) {
    return title ? html`<h2>${title}</h2>` : nothing;
  }

  /**
   * Draw a card with samples, which requests nothing. The module is loaded on first use.
   * @param {"generate" | "gallery"} kind
   * @param {GenerateConfig & GalleryConfig} config
   */
  _renderPreview(kind, config) {
    if (!this._drawing) {
      import("./preview.js").then((drawing) => {
        this._drawing = drawing;
        this.requestUpdate();
      });
      return this._renderLoading();
    }
    return this._drawing[kind](config);
  }

  _renderLoading() {
    return html`<div class="loading"><div class="spinner"></div></div>`;
  }

  _renderNoServer() {
    return html`<div class="note">
      <p>${text("no_server")}</p>
      <a href="/config/integrations/dashboard/add?domain=gaze">${text("add_server")}</a>
    </div>`;
  }
}
