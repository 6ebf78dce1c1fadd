// Images from views that require a login.

/** How many images load at the same time. */
const AT_ONCE = 12;
/** Milliseconds until the next try after each failure. */
const RETRIES = [1000, 4000];

let loading = 0;
/** @type {(() => void)[]} */
const waiting = [];

async function takeTurn() {
  if (loading >= AT_ONCE) await new Promise((resolve) => waiting.push(() => resolve(undefined)));
  loading += 1;
}

function endTurn() {
  loading -= 1;
  const next = waiting.shift();
  if (next) next();
}

/**
 * Return the path of an image, or of its thumbnail whose longer side has 256 or 512 pixels.
 * @param {{entry_id: string, job_id: string}} image
 * @param {number} [side]
 */
export const imagePath = (image, side) =>
  `/api/gaze/image/${encodeURIComponent(image.entry_id)}/${encodeURIComponent(image.job_id)}` +
  (side ? `?size=${side}` : "");

/**
 * Return what an image shows, for people who cannot see it.
 * @param {GazeImageInfo} image
 */
export const describe = (image) =>
  [image.preset_name, image.extra_positive].filter(Boolean).join(": ").slice(0, 200);

const near = new IntersectionObserver(
  (entries) => {
    for (const entry of entries) {
      /** @type {GazeImage} */ (entry.target).setNear(entry.isIntersecting);
    }
  },
  { rootMargin: "600px" }
);

/**
 * An image of a path that requires a login. It loads near the visible part of the page and goes
 * when it is far. The image before stays until the next one is decoded, so nothing flickers.
 *
 * A signed address would not do: it dies when Home Assistant restarts, and the failed logins of
 * a dashboard that stays open get its device banned.
 *
 * Fires `gaze-missing` if the image does not exist and `gaze-shown` when it is visible.
 */
export class GazeImage extends HTMLElement {
  constructor() {
    super();
    /** @type {Hass | undefined} */
    this.hass = undefined;
    this._path = "";
    this._alt = "";
    this._shown = "";
    this._near = false;
    /** @type {AbortController | undefined} */
    this._request = undefined;
  }

  get path() {
    return this._path;
  }

  set path(path) {
    if (path === this._path) return;
    this._path = path;
    this._update();
  }

  get alt() {
    return this._alt;
  }

  set alt(alt) {
    this._alt = alt;
    const image = this.querySelector("img");
    if (image) image.alt = alt;
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
    if (!isNear) {
      this.replaceChildren();
      this._shown = "";
    }
    this._update();
  }

  _update() {
    if (this._request) this._request.abort();
    this._request = undefined;
    if (!this._near || !this._path || this._path === this._shown) return;
    this._request = new AbortController();
    this._load(this._path, this._request.signal);
  }

  /**
   * @param {string} path
   * @param {AbortSignal} signal
   */
  async _load(path, signal) {
    for (const pause of [...RETRIES, 0]) {
      try {
        const found = await this._fetch(path, signal);
        if (signal.aborted) return;
        this.toggleAttribute("missing", !found);
        if (!found) this.dispatchEvent(new CustomEvent("gaze-missing", { bubbles: true }));
        return;
      } catch (_error) {
        if (signal.aborted) return;
        if (!pause) this.toggleAttribute("missing", true);
        else await new Promise((resolve) => window.setTimeout(resolve, pause));
        if (signal.aborted) return;
      }
    }
  }

  /**
   * Show the image of a path. Returns false if it does not exist; raises if the request failed.
   * @param {string} path
   * @param {AbortSignal} signal
   */
  async _fetch(path, signal) {
    if (!this.hass) return true;
    await takeTurn();
    let url = "";
    try {
      if (signal.aborted) return true;
      const response = await this.hass.fetchWithAuth(path, { signal });
      if (response.status === 404) return false;
      if (!response.ok) throw new Error(String(response.status));
      url = URL.createObjectURL(await response.blob());
      const image = new Image();
      image.alt = this._alt;
      image.draggable = false;
      image.src = url;
      await image.decode();
      if (signal.aborted) return true;
      this.replaceChildren(image);
      this._shown = path;
      this.dispatchEvent(new CustomEvent("gaze-shown", { bubbles: true }));
      return true;
    } finally {
      // A decoded image does not need its address any more.
      if (url) URL.revokeObjectURL(url);
      endTurn();
    }
  }
}
