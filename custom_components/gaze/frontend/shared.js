// What the cards share: texts, the state of the servers, images, and the base of a card.
import { html, nothing, render } from "./vendor/lit.js";

const CARDS = "component.gaze.config_panel.cards.";
/** @type {Localize} */
let localize = () => "";

/** Home Assistant resolves all but the first of several calls too early. @param {Localize} found */
const take = (found) => {
  if (found(`${CARDS}open`)) localize = found;
};

/** @param {Hass} hass */
export const loadTexts = async (hass) => take(await hass.loadBackendTranslation("config_panel", "gaze"));

/** Empty until the texts are loaded. @type {Localize} */
export const text = (key, values) => localize(CARDS + key, values);

export const loadRare = () => import("./rare.js");

/** @type {(hass: Hass, error: ActionError) => Promise<string>} */
export const describeError = (hass, error) =>
  loadRare().then(
    (rare) => rare.describeError(hass, error, text),
    () => error.message || text("unknown_error")
  );

/** @param {GazeImageInfo} image */
export const describe = (image) =>
  [image.preset_name, image.extra_positive].filter(Boolean).join(": ").slice(0, 200);

/** @type {Perform} */
export const perform = async (hass, action, data) =>
  (await hass.callService("gaze", action, data, undefined, false, true)).response;

/** @type {ListImages} */
export const listImages = (hass, filters) =>
  hass.connection.sendMessagePromise({ type: "gaze/images", ...filters });

/** Sorts the newest first. @param {GazeImageInfo} one @param {GazeImageInfo} other */
export const byTime = (one, other) => Date.parse(other.finished_at) - Date.parse(one.finished_at);

/** @param {string} name @param {CustomElementConstructor} element */
export function define(name, element) {
  if (!customElements.get(name)) customElements.define(name, element);
}

/** @param {EventTarget} target @param {string} type @param {object} [detail] */
export const fire = (target, type, detail) =>
  target.dispatchEvent(new CustomEvent(type, { detail, bubbles: true, composed: true }));

/** Milliseconds until an unused hub stops. */
const LINGER = 5000;
/** Milliseconds until the next try. */
const RETRY = 2000;

/** The state of all servers. */
export class Hub {
  /** @param {Hass} hass */
  constructor(hass) {
    this.hass = hass;
    /** Whether a first state came. */
    this.ready = false;
    /** Whether Home Assistant is connected. */
    this.online = hass.connection.connected;
    /** Whether Home Assistant sends each change. */
    this.live = false;
    /** @type {Server[]} */
    this.servers = [];
    /** Milliseconds that the server's clock is ahead of this one. */
    this.ahead = 0;
    /** @type {Set<() => void>} */
    this._listeners = new Set();
    /** @type {Map<string, Preset[] | undefined>} */
    this._longLists = new Map();
    /** @type {Promise<() => void> | undefined} */
    this._subscription = undefined;
    /** @type {(() => void) | undefined} */
    this._unsubscribe = undefined;
    this._timer = 0;
    /** Cards by configuration. @type {Map<string, any>} */
    this.cards = new Map();
    hass.connection.addEventListener("ready", () => this._connectionChanged(true));
    hass.connection.addEventListener("disconnected", () => this._connectionChanged(false));
  }

  /** Call a listener after each change. Returns how to stop that. @param {() => void} listener */
  listen(listener) {
    this._listeners.add(listener);
    clearTimeout(this._timer);
    this._subscribe();
    return () => {
      this._listeners.delete(listener);
      if (!this._listeners.size) this._timer = window.setTimeout(() => this._stop(), LINGER);
    };
  }

  /** Return a server, or the first one. @param {string | undefined} entryId */
  server(entryId) {
    return entryId ? this.servers.find((server) => server.entry_id === entryId) : this.servers[0];
  }

  _subscribe() {
    if (this._subscription || !this._listeners.size) return;
    const subscription = this.hass.connection.subscribeMessage(
      (message) => {
        if (message) this._receive(message);
        // The frontend may end it by mistake.
        else if (subscription === this._subscription) this._connectionChanged(true);
      },
      { type: "gaze/subscribe" },
      { resubscribe: false }
    );
    this._subscription = subscription;
    subscription.then(
      (unsubscribe) => {
        // It is late if the connection was lost.
        if (subscription === this._subscription) this._unsubscribe = unsubscribe;
        else unsubscribe();
      },
      () => {
        if (subscription !== this._subscription) return;
        // The integration may not be set up yet.
        this._subscription = undefined;
        this._timer = window.setTimeout(() => this._subscribe(), RETRY);
      }
    );
  }

  _stop() {
    if (this._unsubscribe) this._unsubscribe();
    this._connectionChanged(this.online);
  }

  /** @param {boolean} online */
  _connectionChanged(online) {
    this.online = online;
    // The next connection has its own numbers.
    this._subscription = this._unsubscribe = undefined;
    this.live = false;
    if (online) this._subscribe();
    this._notify();
  }

  /** @param {{now: string, servers: Server[]}} message */
  _receive(message) {
    this.ahead = Date.parse(message.now) - Date.now();
    this.ready = this.live = true;
    this._update(message.servers);
  }

  /** @param {Server[]} servers */
  _update(servers) {
    this.servers = servers.map((server) => this._merge(server));
    this._notify();
  }

  /** Nothing disappears while a server is reloaded. @param {Server} server @returns {Server} */
  _merge(server) {
    const known = this.server(server.entry_id);
    if (!server.loaded && known) {
      return { ...known, loaded: false, connected: false, status: server.status };
    }
    const { preset_list: key } = server;
    const presets = this._longLists.get(key);
    if (presets) return { ...server, presets };
    if (server.preset_count <= server.presets.length) return server;
    if (!this._longLists.has(key)) {
      if (known) this._longLists.delete(known.preset_list);
      this._longLists.set(key, undefined);
      perform(this.hass, "list_presets", { config_entry_id: server.entry_id }).then(
        (response) => {
          this._longLists.set(key, response.presets);
          this._update(this.servers);
        },
        () => this._longLists.delete(key)
      );
    }
    return { ...server, presets: (known && known.presets[0] ? known : server).presets };
  }

  _notify() {
    for (const listener of [...this._listeners]) listener();
  }
}

/** @type {WeakMap<Connection, Hub>} */
const hubs = new WeakMap();

/** Return the state of the servers over a connection. @param {Hass} hass */
export function hubOf(hass) {
  const hub = hubs.get(hass.connection) || new Hub(hass);
  hubs.set(hass.connection, hub);
  return hub;
}

/** Milliseconds until the next try. */
const PAUSES = [1000, 4000, 0];

/** @type {Promise<unknown>} */
let firstImage = Promise.resolve();
/** @type {Map<string, ReturnType<LoadImage>>} */
const early = new Map();

/** @type {ImagePath} */
export const imagePath = (image, side) =>
  `/api/gaze/image/${encodeURIComponent(image.entry_id)}/${encodeURIComponent(image.job_id)}` +
  (side ? `?size=${side}` : "");

/** Return an image, or undefined if it is gone. @type {LoadImage} */
async function loadImage(hass, path, init) {
  const response = await hass.fetchWithAuth(path, init);
  // Home Assistant may be starting.
  if (response.status === 404 && hubOf(hass).live) return undefined;
  if (!response.ok) throw response;
  // The URL of a blob is slow.
  const url = path.includes("?")
    ? `data:image/webp;base64,${btoa(
        new Uint8Array(await response.arrayBuffer()).reduce((image, byte) => image + String.fromCharCode(byte), "")
      )}`
    : URL.createObjectURL(await response.blob());
  const image = new Image();
  image.draggable = false;
  await new Promise((resolve, reject) => {
    image.onload = resolve;
    image.onerror = reject;
    image.src = url;
  }).finally(() => URL.revokeObjectURL(url));
  return image;
}

/** Load an image before it is rendered. @type {LoadEarly} */
export function loadEarly(hass, image, side) {
  const path = imagePath(image, side);
  const request = loadImage(hass, path);
  early.set(path, request);
  firstImage = new Promise((resolve) => {
    setTimeout(resolve, PAUSES[0]);
    request.then(() => setTimeout(resolve), resolve);
  });
}

const near = new IntersectionObserver(
  (entries) => {
    for (const { target, isIntersecting } of entries) /** @type {GazeImage} */ (target).setNear(isIntersecting);
  },
  { rootMargin: "600px" }
);

/** An image that requires a login. It loads near the view, and stays until the next one is decoded. */
class GazeImage extends HTMLElement {
  constructor() {
    super();
    /** @type {ImageSource | undefined} */
    this._source = undefined;
    this._shown = "";
    this._near = false;
    this._request = new AbortController();
  }

  /** @param {ImageSource} source */
  set source(source) {
    const { path } = this._source || {};
    this._source = source;
    const image = this.querySelector("img");
    if (image) image.alt = source.alt;
    if (path === source.path) return;
    if (early.has(source.path)) this._near = true;
    this._update();
  }

  connectedCallback() {
    near.observe(this);
  }

  disconnectedCallback() {
    near.unobserve(this);
    this.setNear(false);
  }

  /** @param {boolean} isNear */
  setNear(isNear) {
    if (isNear === this._near) return;
    this._near = isNear;
    if (!isNear) this.replaceChildren();
    this._shown = "";
    this._update();
  }

  async _update() {
    this._request.abort();
    const { signal } = (this._request = new AbortController());
    for (const pause of PAUSES) {
      const source = this._source;
      if (!this._near || !source || source.path === this._shown || signal.aborted) return;
      try {
        await this._load(source, signal);
        return;
      } catch {
        await new Promise((resolve) => setTimeout(resolve, pause));
      }
    }
  }

  /** @param {ImageSource} source @param {AbortSignal} signal */
  async _load({ hass, path, missing }, signal) {
    const request = early.get(path) || firstImage.then(() => loadImage(hass, path, { signal }));
    early.delete(path);
    const image = await request;
    if (!image) {
      missing();
      return;
    }
    // Decoding waits for a frame.
    if (this.firstChild) await image.decode();
    if (signal.aborted || !this._source) return;
    image.alt = this._source.alt;
    this.replaceChildren(image);
    this._shown = path;
  }
}

define("gaze-image", GazeImage);

/** @type {RenderImage} */
export const renderImage = (hass, image, side, missing, alt = describe(image)) =>
  html`<gaze-image .source=${{ hass, path: imagePath(image, side), alt, missing }}></gaze-image>`;

/** @param {string} name */
export const icon = (name) => html`<ha-icon .icon=${`mdi:${name}`}></ha-icon>`;

/** @type {Map<unknown, unknown>} */
const modules = new Map();

/** An element that renders into its shadow root, once for several changes. @abstract */
export class GazeElement extends HTMLElement {
  constructor() {
    super();
    this.root = this.attachShadow({ mode: "open" });
    const style = document.createElement("style");
    style.textContent = controlStyles + this.styles;
    this.root.append(style);
    /** @type {Promise<void> | undefined} */
    this._updating = undefined;
  }

  get styles() {
    return "";
  }

  update() {
    this._updating = this._updating || this._update();
    return this._updating;
  }

  async _update() {
    await undefined;
    this._updating = undefined;
    render(this.render(), this.root, { host: this });
  }

  /** Load a module on first use. @template T @param {() => Promise<T>} load @returns {T | undefined} */
  use(load) {
    const known = modules.get(load);
    if (known && !(known instanceof Promise)) return /** @type {T} */ (known);
    const loading =
      known ||
      load().then(
        (module) => modules.set(load, module),
        () => new Promise((resolve) => setTimeout(resolve, RETRY)).then(() => modules.delete(load))
      );
    modules.set(load, loading);
    /** @type {Promise<unknown>} */ (loading).then(() => this.update());
    return undefined;
  }

  /** @returns {unknown} */
  render() {
    return nothing;
  }
}

const controlStyles = `
  :host {
    --gaze-accent: var(--primary-color, #009ac7);
    --gaze-strong: var(--primary-color, #006787);
    --gaze-strong: color-mix(in srgb, var(--primary-color, #009ac7) 62%, #000);
    --gaze-line: var(--outline-color, var(--divider-color, #0000001f));
    --gaze-soft: var(--secondary-background-color, #f0f0f0);
    --gaze-quiet: var(--secondary-text-color, #5e5e5e);
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
  @media (hover: hover) {
    button:hover {
      background: var(--gaze-soft);
    }
  }
  [disabled] {
    opacity: 0.5;
    cursor: default;
  }
  .icon {
    padding: 0;
    display: inline-grid;
    place-items: center;
  }
  .strong,
  .strong:hover {
    background: var(--gaze-strong);
    color: #fff;
    font-weight: 500;
  }
  .plain {
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
    text-overflow: ellipsis;
  }
  :focus-visible {
    outline: 2px solid var(--gaze-accent);
    outline-offset: 2px;
  }
  .note,
  .error {
    margin: 0;
    padding: 12px;
    border-radius: var(--gaze-radius);
    background: var(--gaze-soft);
    overflow-wrap: anywhere;
  }
  .error {
    margin-block-start: 4px;
    border-inline-start: 4px solid var(--error-color, #db4437);
  }
  div > p:first-child {
    margin: 0 0 8px;
  }
  .row {
    display: flex;
    flex-wrap: wrap;
    gap: 8px;
    align-items: center;
  }
  gaze-image,
  gaze-image img {
    display: block;
    width: 100%;
    height: 100%;
    object-fit: var(--fit, contain);
  }
  @media (prefers-reduced-motion: no-preference) {
    .spinner::before {
      animation: show 0s 300ms forwards, turn 1s linear infinite;
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
`;

const cardStyles = `
  :host {
    display: block;
    height: 100%;
    container-type: inline-size;
    scroll-margin-top: calc(var(--header-height, 56px) + 8px);
  }
  ha-card {
    height: 100%;
    display: flex;
    flex-direction: column;
    overflow: clip;
  }
  h2 {
    margin: 0;
    padding: 12px 16px 0;
    font-size: 1.15em;
    font-weight: 500;
    overflow-wrap: anywhere;
  }
  .body {
    display: flex;
    flex-direction: column;
    gap: 12px;
    padding: 16px;
    overflow: auto;
    min-height: 0;
  }
  .spinner {
    min-height: 240px;
    display: grid;
    place-items: center;
  }
  .spinner::before {
    content: "";
    width: 32px;
    height: 32px;
    border: 3px solid var(--gaze-line);
    border-top-color: var(--gaze-accent);
    border-radius: 50%;
    opacity: 0;
    animation: show 0s 300ms forwards;
  }
  .tile {
    display: block;
    position: relative;
    width: 100%;
    padding: 0;
    overflow: hidden;
    background: var(--gaze-soft);
  }
  .blurred gaze-image {
    filter: blur(24px);
  }
  .badge {
    position: absolute;
    inset-block-start: 6px;
    inset-inline-end: 6px;
    color: #fff;
    filter: drop-shadow(0 0 2px #000);
  }
  [role="status"] {
    position: absolute;
    clip-path: inset(50%);
    white-space: nowrap;
  }
  a {
    color: inherit;
  }
`;

/** The base of both cards. */
export class GazeCard extends GazeElement {
  get styles() {
    return cardStyles;
  }

  constructor() {
    super();
    /** @type {CardConfig} */
    this._config = { type: "" };
    /** @type {(() => Promise<unknown>) | undefined} */
    this.loadViewer = undefined;
    /** @type {GazeImageInfo[]} the shown images, newest first */
    this.images = [];
    /** Whether images were listed. */
    this.loaded = false;
    /** What a screen reader says next. */
    this.said = "";
    /** @type {Hub | undefined} */
    this.hub = undefined;
    /** @type {Set<string>} jobs whose blurred images people selected */
    this._uncovered = new Set();
    /** @type {Hass | undefined} */
    this._hass = undefined;
    /** @type {(() => void) | undefined} */
    this._stop = undefined;
  }

  /** @type {Hass} */
  get hass() {
    return /** @type {Hass} */ (this._hass);
  }

  set hass(hass) {
    const before = this._hass;
    this._hass = hass;
    if (!before || before.language !== hass.language) loadTexts(hass).then(() => this.update());
    if (!before || before.localize !== hass.localize) {
      take(hass.localize);
      this.update();
    }
    if (!before) this.connect();
  }

  get config() {
    return this._config;
  }

  set config(config) {
    this._config = config;
    this.configured();
    this.update();
  }

  configured() {}

  connectedCallback() {
    this.connect();
  }

  disconnectedCallback() {
    if (this._stop) this._stop();
    this._stop = undefined;
  }

  /** What a card takes from the one before: Home Assistant replaces cards when it reconnects. */
  get kept() {
    return ["images", "loaded"];
  }

  _restore() {
    if (!this._hass || this.hub) return;
    this.hub = hubOf(this._hass);
    const key = JSON.stringify(this.config);
    const before = this.hub.cards.get(key);
    // It may not show its list yet.
    if (before) Object.assign(this, { _listed: key }, ...this.kept.map((name) => ({ [name]: before[name] })));
    this.hub.cards.set(key, this);
  }

  connect() {
    this._restore();
    if (!this.hub || this._stop) return;
    this._stop = this.hub.listen(() => this.stateChanged());
    this.stateChanged();
    // The subscription lingers until then.
    if (!this.isConnected) this.disconnectedCallback();
  }

  stateChanged() {
    this.update();
  }

  /** Show an image in large, or first without its blur. @param {GazeImageInfo} image */
  open(image) {
    if (this.isCovered(image)) {
      this._uncovered.add(image.job_id);
      this.update();
      return;
    }
    fire(this, "show-dialog", {
      dialogTag: "gaze-viewer",
      dialogImport: this.loadViewer,
      dialogParams: { card: this, image },
    });
  }

  /** Whether there are more images. */
  get hasMore() {
    return false;
  }

  /** Load more images. @returns {Promise<void>} */
  async more() {}

  /** @param {GazeImageInfo[]} images */
  show(images) {
    this.images = images;
    this.update();
  }

  /** @param {GazeImageInfo} image */
  drop(image) {
    this.show(this.images.filter(({ job_id }) => job_id !== image.job_id));
  }

  /** @param {GazeImageInfo} image */
  isCovered(image) {
    return Boolean(this.config.blur) && !this._uncovered.has(image.job_id);
  }

  /** Return a button with an image that opens it. @type {RenderTile} */
  renderTile(image, side, { kind = "", style = "", current = true, focused = () => {} }) {
    const covered = this.isCovered(image);
    return html`<button
      type="button"
      class="tile ${kind} ${covered ? "blurred" : ""}"
      style=${style}
      data-job=${image.job_id}
      tabindex=${current ? 0 : -1}
      aria-label=${covered ? text("uncover") : `${text("open")}: ${describe(image)}`}
      @focus=${focused}
      @click=${() => this.open(image)}
    >
      ${renderImage(this.hass, image, side, () => this.drop(image), covered ? "" : undefined)}
      ${covered || image.favorite
        ? html`<span class="badge">${icon(covered ? "eye" : "heart")}</span>`
        : nothing}
    </button>`;
  }

  render() {
    const { hub } = this;
    let content;
    if (!hub || !text("open") || (!hub.ready && !this.loaded)) content = this.renderLoading();
    else if (hub.ready && !hub.server(this.config.server)) {
      const rare = this.use(loadRare);
      content = rare ? rare.renderNoServer(this, text) : this.renderLoading();
    } else content = this.renderBody(hub);
    const { title } = this.config;
    const name = title || text(`${this.localName.slice(5)}_card`);
    return html`<ha-card role="region" aria-label=${name}>
      ${title ? html`<h2>${title}</h2>` : nothing} ${this.renderAbove()}
      <div class="body" style=${this.bodyStyle}>${content}</div>
      <div role="status">${this.said}</div>
    </ha-card>`;
  }

  get bodyStyle() {
    return "";
  }

  /** What stays in view when people scroll. @returns {unknown} */
  renderAbove() {
    return nothing;
  }

  /** @type {(hub: Hub) => unknown} */
  renderBody() {
    return nothing;
  }

  renderLoading() {
    return html`<div class="spinner"></div>`;
  }
}
