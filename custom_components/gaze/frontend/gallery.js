// The card that shows saved images.
import { css, html, nothing, repeat } from "./vendor/lit.js";
import { GazeCard, canMark, cardStyles, controlStyles, icon } from "./card.js";
import { MAX_LIMIT } from "./config.js";
import { define } from "./define.js";
import { listImages } from "./hub.js";
import { GazeImage, describe, imagePath } from "./images.js";
import { describeError, formatTime, text } from "./texts.js";

export const SIZES = { s: 88, m: 136, l: 220 };
const PAGE = 24;
/** Milliseconds that people have to stop typing before the search starts. */
const TYPING = 300;

/** @param {GazeImageInfo} image */
const keyOf = (image) => `${image.entry_id}/${image.job_id}`;

export class GazeGallery extends GazeCard {
  /** @returns {import("./vendor/lit.js").PropertyDeclarations} */
  static get properties() {
    return {
      _config: { state: true },
      _images: { state: true },
      _filter: { state: true },
      _waiting: { state: true },
      _error: { state: true },
      _active: { state: true },
      _slide: { state: true },
      _paused: { state: true },
    };
  }

  constructor() {
    super();
    /** @type {GalleryConfig} */
    this._config = { type: "" };
    /** @type {GazeImageInfo[]} */
    this._images = [];
    /** @type {{slug: string, name: string, count: number}[]} */
    this._presets = [];
    /** @type {{preset?: string, favorite?: boolean, search?: string}} */
    this._filter = {};
    /** @type {GazeImageInfo[] | undefined} a first page that waits until people look at the top */
    this._waiting = undefined;
    /** @type {string | null} */
    this._cursor = null;
    this._error = "";
    this._active = "";
    this._slide = 0;
    this._paused = false;
    /** @type {Set<string>} */
    this._uncovered = new Set();
    this._version = "";
    this._loaded = false;
    this._loading = false;
    this._again = false;
    this._generation = 0;
    /** @type {number | undefined} */
    this._typing = undefined;
    /** @type {number | undefined} */
    this._timer = undefined;
    this._said = "";
  }

  /** @param {GalleryConfig} config */
  setConfig(config) {
    this._config = config;
    this._reload();
  }

  disconnectedCallback() {
    super.disconnectedCallback();
    window.clearTimeout(this._typing);
    window.clearInterval(this._timer);
    this._timer = undefined;
  }

  // State

  get _limit() {
    return this._config.limit || MAX_LIMIT;
  }

  get _pageSize() {
    return Math.min(PAGE, this._limit);
  }

  _connect() {
    super._connect();
    // The first images need not wait for the state of the servers.
    if (this._stopListening && !this._loaded) this._refresh();
  }

  _stateChanged() {
    this.requestUpdate();
    const hub = this._hub;
    if (!hub || !hub.ready || !hub.online) return;
    const version = hub.servers
      .filter((server) => server.loaded && [undefined, server.entry_id].includes(this._config.server))
      .map((server) => `${server.entry_id} ${server.images.newest} ${server.images.count}`)
      .join();
    if (version === this._version) return;
    const first = !this._version && this._loaded;
    this._version = version;
    if (!first || !this._images.length) this._refresh();
  }

  /** @returns {Record<string, unknown>} */
  get _filters() {
    const { server, preset, recipe, tag, favorites, search } = this._config;
    /** @type {Record<string, unknown>} */
    const filters = {
      entry_id: server,
      preset,
      recipe,
      tag,
      favorite: favorites || undefined,
      search: typeof search === "string" ? search : undefined,
      ...this._filter,
    };
    for (const name of Object.keys(filters)) {
      if (filters[name] === undefined || filters[name] === "") delete filters[name];
    }
    return filters;
  }

  /** Show the images from the beginning. */
  _reload() {
    this._generation += 1;
    this._cursor = null;
    this._loaded = false;
    this._waiting = undefined;
    this._loading = false;
    this._refresh();
  }

  /** @param {GalleryCardFilter} filter */
  _choose(filter) {
    this._filter = { ...this._filter, ...filter };
    this._reload();
  }

  /** Load the first page again; images that were loaded before stay. */
  async _refresh() {
    if (!this._hass || !this._stopListening) return;
    if (this._loading) {
      this._again = true;
      return;
    }
    const generation = this._generation;
    this._loading = true;
    try {
      const limit = Math.min(100, Math.max(this._pageSize, this._loaded ? this._images.length : 0));
      const page = await listImages(this._hass, { ...this._filters, limit });
      if (generation === this._generation) this._take(page, limit);
    } catch (error) {
      if (generation === this._generation && this._hub && this._hub.ready && this._hub.online) {
        this._error = await describeError(this._hass, /** @type {ActionError} */ (error));
      }
    } finally {
      if (generation === this._generation) {
        this._loading = false;
        if (this._again) {
          this._again = false;
          this._refresh();
        }
      }
    }
  }

  /** @param {Page} page @param {number} limit */
  _take(page, limit) {
    this._error = "";
    this._presets = page.presets || [];
    const first = !this._loaded;
    this._loaded = true;
    const listed = new Set(page.images.map(keyOf));
    const known = new Set(this._images.map(keyOf));
    const oldest = page.images[page.images.length - 1];
    const complete = first || page.images.length < limit || !page.cursor;
    const rest = complete
      ? []
      : this._images.filter(
          (image) => !listed.has(keyOf(image)) && image.finished_at < oldest.finished_at
        );
    if (complete || !rest.length) this._cursor = page.cursor;
    const images = [...page.images, ...rest];
    const added = page.images.filter((image) => !known.has(keyOf(image))).length;
    if (!first && added && this._isScrolled) {
      this._waiting = images;
      this._said = text("new_images", { count: this._newCount });
    } else {
      this._show(images);
      if (!first && added) this._said = text("new_images", { count: added });
    }
  }

  /** @param {GazeImageInfo[]} images */
  _show(images) {
    this._waiting = undefined;
    this._images = images.slice(0, Math.max(this._limit, 1));
    if (!this._images.some((image) => keyOf(image) === this._active)) {
      this._active = this._images.length ? keyOf(this._images[0]) : "";
    }
  }

  get _newCount() {
    const known = new Set(this._images.map(keyOf));
    return (this._waiting || []).filter((image) => !known.has(keyOf(image))).length;
  }

  /** Whether people look at something else than the newest images. */
  get _isScrolled() {
    const body = this.renderRoot.querySelector(".body");
    const strip = this.renderRoot.querySelector(".images");
    const inside = [body, strip].some((part) => part && (part.scrollTop > 20 || Math.abs(part.scrollLeft) > 20));
    return inside || this.getBoundingClientRect().top < -60;
  }

  _showNew() {
    if (this._waiting) this._show(this._waiting);
    this.scrollIntoView({ block: "start" });
    for (const part of this.renderRoot.querySelectorAll(".body, .images")) part.scrollTo(0, 0);
  }

  get _hasMore() {
    return Boolean(this._cursor) && this._images.length < this._limit;
  }

  async _loadMore() {
    if (!this._hass || this._loading || !this._hasMore) return;
    const generation = this._generation;
    this._loading = true;
    try {
      const limit = Math.min(48, this._limit - this._images.length);
      const page = await listImages(this._hass, {
        ...this._filters,
        limit,
        cursor: this._cursor,
      });
      if (generation !== this._generation) return;
      const known = new Set(this._images.map(keyOf));
      this._cursor = page.cursor;
      this._images = [...this._images, ...page.images.filter((image) => !known.has(keyOf(image)))];
    } catch (error) {
      this._error = await describeError(this._hass, /** @type {ActionError} */ (error));
    } finally {
      if (generation === this._generation) this._loading = false;
    }
  }

  // What people do

  /** @param {GazeImageInfo} image */
  _open(image) {
    const key = keyOf(image);
    if (this._config.blur && !this._uncovered.has(key)) {
      this._uncovered.add(key);
      this.requestUpdate();
      return;
    }
    this._active = key;
    const detail = {
      dialogTag: "gaze-viewer",
      dialogImport: () => import("./viewer.js"),
      dialogParams: {
        images: this._images,
        index: this._images.indexOf(image),
        actions: this._config.actions,
        /** @param {CustomEvent} event */
        acted: (event) => this._acted(event),
        more: async () => {
          await this._loadMore();
          return this._images;
        },
      },
    };
    this.dispatchEvent(new CustomEvent("show-dialog", { detail, bubbles: true, composed: true }));
  }

  /** @param {CustomEvent} event */
  _acted(event) {
    const { action, image } = event.detail;
    if (action === "delete" || action === "hide") this._remove(keyOf(image));
    if (action === "favorite") {
      this._images = this._images.map((known) =>
        keyOf(known) === keyOf(image) ? { ...known, favorite: !known.favorite } : known
      );
    }
  }

  /** @param {string} key */
  _remove(key) {
    this._show(this._images.filter((image) => keyOf(image) !== key));
  }

  /** Move the focus among the images. @param {KeyboardEvent} event */
  _keydown(event) {
    const tiles = /** @type {HTMLElement[]} */ ([...this.renderRoot.querySelectorAll(".tile")]);
    const at = tiles.indexOf(/** @type {HTMLElement} */ (event.target));
    if (at < 0) return;
    const rtl = getComputedStyle(this).direction === "rtl" ? -1 : 1;
    const first = tiles[0].offsetTop;
    const columns = Math.max(1, tiles.findIndex((tile) => tile.offsetTop > first));
    const steps = {
      ArrowRight: rtl,
      ArrowLeft: -rtl,
      ArrowDown: columns,
      ArrowUp: -columns,
      Home: -at,
      End: tiles.length - 1 - at,
    };
    const step = steps[/** @type {keyof typeof steps} */ (event.key)];
    if (step === undefined) return;
    event.preventDefault();
    const next = tiles[Math.min(Math.max(at + step, 0), tiles.length - 1)];
    this._active = next.dataset.key || "";
    next.focus();
  }

  /** @param {InputEvent} event */
  _search(event) {
    const { value } = /** @type {HTMLInputElement} */ (event.target);
    window.clearTimeout(this._typing);
    this._typing = window.setTimeout(() => this._choose({ search: value.trim() || undefined }), TYPING);
  }

  // Rendering

  updated() {
    const seconds = this._config.slideshow || 0;
    const wanted = seconds > 0 && !this._paused && this._images.length > 1 && !this.preview;
    if (wanted && !this._timer) {
      this._timer = window.setInterval(() => this._advance(), seconds * 1000);
    } else if (!wanted && this._timer) {
      window.clearInterval(this._timer);
      this._timer = undefined;
    }
  }

  _advance() {
    if (document.hidden) return;
    this._slide = (this._slide + 1) % Math.max(this._images.length, 1);
  }

  static get styles() {
    return [
      controlStyles,
      cardStyles,
      css`
        .images {
          display: grid;
          gap: 8px;
          grid-template-columns: repeat(auto-fill, minmax(min(var(--tile), 44%), 1fr));
          margin: 0;
          padding: 0;
          list-style: none;
        }
        .hero > :first-child {
          grid-column: 1 / -1;
        }
        .hero > :first-child .tile {
          aspect-ratio: 3 / 2;
        }
        .strip {
          display: flex;
          overflow-x: auto;
          padding: 4px;
        }
        .strip > * {
          flex: none;
          width: var(--tile);
        }
        .tile {
          display: block;
          position: relative;
          width: 100%;
          aspect-ratio: 1;
          padding: 0;
          overflow: hidden;
          background: var(--gaze-soft);
        }
        .tile gaze-image,
        .tile .sample {
          height: 100%;
        }
        .tile gaze-image img {
          object-fit: var(--fit);
        }
        .slide {
          aspect-ratio: 3 / 2;
          max-height: 70vh;
        }
        .heart {
          position: absolute;
          inset-block-start: 6px;
          inset-inline-end: 6px;
          color: #fff;
          filter: drop-shadow(0 0 2px #000);
        }
        .caption {
          display: block;
          margin-block-start: 4px;
          overflow: hidden;
          text-overflow: ellipsis;
          white-space: nowrap;
          font-size: 0.85em;
          color: var(--secondary-text-color, #5e5e5e);
        }
        .chips button {
          border-color: var(--gaze-line);
          border-radius: 99px;
          max-width: 100%;
          overflow: hidden;
          text-overflow: ellipsis;
          white-space: nowrap;
        }
        .chips button[aria-pressed="true"] {
          background: var(--gaze-strong);
          color: #fff;
        }
        .new {
          position: sticky;
          top: 0;
          z-index: 1;
          align-self: center;
          border-radius: 99px;
          box-shadow: 0 2px 8px #0006;
        }
        input[type="search"] {
          flex: 1 1 160px;
          width: auto;
        }
      `,
    ];
  }

  render() {
    const { title, thumbnails, fit } = this._config;
    const size = SIZES[/** @type {keyof typeof SIZES} */ (thumbnails || "m")];
    const style = `--tile: ${size}px; --fit: ${fit === "contain" ? "contain" : "cover"}`;
    if (this.preview) return this._renderPreview("gallery", this._config);
    return html`<ha-card>
      ${this._renderTitle(title)}
      <div class="body" style=${style}>${this._renderBody()}</div>
      <div class="for-readers" role="status">${this._said}</div>
    </ha-card>`;
  }

  _renderBody() {
    const hub = this._hub;
    if (!hub || !text("generate")) return this._renderLoading();
    if (!this._loaded && !hub.ready) return this._renderLoading();
    if (hub.ready && !hub.servers.length) return this._renderNoServer();
    return html`
      ${hub.online ? nothing : html`<p class="note">${text("reconnecting")}</p>`}
      ${this._renderFilters()} ${this._renderNew()}
      ${this._error ? this._renderError() : nothing}
      ${this._images.length ? this._renderImages() : this._renderEmpty()}
      ${this._hasMore && !this._config.slideshow
        ? html`<button class="plain" @click=${this._loadMore}>${text("show_more")}</button>`
        : nothing}
    `;
  }

  _renderError() {
    return html`<div class="note error" role="alert">
      <p>${this._error}</p>
      <button class="plain" @click=${this._reload}>${text("try_again")}</button>
    </div>`;
  }

  _renderEmpty() {
    if (!this._loaded) return this._error ? nothing : this._renderLoading();
    const filtered = this._filter.preset || this._filter.search || this._filter.favorite;
    return html`<p class="note">${text(filtered ? "nothing_found" : "no_images")}</p>`;
  }

  _renderNew() {
    const count = this._newCount;
    if (!count) return nothing;
    return html`<button class="new strong" @click=${this._showNew}>
      ${text("new_images", { count })}
    </button>`;
  }

  _renderFilters() {
    const { filter, preset, recipe, favorites, search } = this._config;
    const chips = !preset && !recipe && (this._presets.length > 1 || this._filter.preset);
    if (filter === "none" || this._config.slideshow) return nothing;
    const hearts = canMark(this._hass) && !favorites;
    if (!chips && !hearts && search !== true) return nothing;
    const { preset: chosen, favorite } = this._filter;
    return html`<div class="row chips" role="group" aria-label=${text("filter")}>
      ${search === true
        ? html`<input
            type="search"
            aria-label=${text("search")}
            placeholder=${text("search")}
            @input=${this._search}
          />`
        : nothing}
      ${chips || hearts
        ? this._renderChip(text("all"), !chosen && !favorite, { preset: undefined, favorite: undefined })
        : nothing}
      ${hearts
        ? this._renderChip(text("favorites"), Boolean(favorite), { favorite: favorite ? undefined : true })
        : nothing}
      ${chips
        ? this._presets.map((one) =>
            this._renderChip(one.name, chosen === one.slug, {
              preset: chosen === one.slug ? undefined : one.slug,
            })
          )
        : nothing}
    </div>`;
  }

  /** @param {string} name @param {boolean} pressed @param {GalleryCardFilter} filter */
  _renderChip(name, pressed, filter) {
    return html`<button aria-pressed=${pressed ? "true" : "false"} @click=${() => this._choose(filter)}>
      ${name}
    </button>`;
  }

  _renderImages() {
    const { layout, slideshow } = this._config;
    if (slideshow) return this._renderSlide(this._images[this._slide % this._images.length]);
    return html`<ul class="images ${layout || "grid"}" @keydown=${this._keydown}>
      ${repeat(this._images, keyOf, (image, number) => this._renderTile(image, layout === "hero" && !number))}
    </ul>`;
  }

  /** @param {GazeImageInfo} image @param {boolean} large */
  _renderTile(image, large) {
    const key = keyOf(image);
    const covered = Boolean(this._config.blur) && !this._uncovered.has(key);
    const side = large || this._config.thumbnails === "l" ? 512 : 256;
    return html`<li>
      <button
        class="tile ${covered ? "blurred" : ""}"
        data-key=${key}
        tabindex=${key === this._active ? "0" : "-1"}
        aria-label=${covered ? text("uncover") : `${text("open")}: ${describe(image)}`}
        @focus=${() => (this._active = key)}
        @click=${() => this._open(image)}
      >
        <gaze-image
          .hass=${this._hass}
          .path=${imagePath(image, side)}
          .alt=${covered ? "" : describe(image)}
          @gaze-missing=${() => this._remove(key)}
        ></gaze-image>
        ${image.favorite ? html`<span class="heart">${icon("unfavorite")}</span>` : nothing}
      </button>
      ${this._renderCaption(image)}
    </li>`;
  }

  /** @param {GazeImageInfo} image */
  _renderCaption(image) {
    const caption = `${this._config.caption || "none"}`;
    if (!this._hass || caption === "none" || caption === "false") return nothing;
    const captions = {
      prompt: image.extra_positive || image.preset_name,
      time: formatTime(this._hass, image.finished_at),
    };
    const shown = captions[/** @type {keyof typeof captions} */ (caption)] || image.preset_name;
    return html`<span class="caption">${shown}</span>`;
  }

  /** @param {GazeImageInfo} image */
  _renderSlide(image) {
    const label = text(this._paused ? "play" : "pause");
    const covered = Boolean(this._config.blur) && !this._uncovered.has(keyOf(image));
    return html`
      <button
        class="tile slide ${covered ? "blurred" : ""}"
        aria-label=${covered ? text("uncover") : `${text("open")}: ${describe(image)}`}
        @click=${() => this._open(image)}
      >
        <gaze-image
          .hass=${this._hass}
          .path=${imagePath(image)}
          .alt=${covered ? "" : describe(image)}
          @gaze-missing=${() => this._remove(keyOf(image))}
        ></gaze-image>
      </button>
      <div class="row">
        <button class="icon" title=${label} aria-label=${label} @click=${() => (this._paused = !this._paused)}>
          ${icon(this._paused ? "play" : "pause")}
        </button>
        ${this._renderCaption(image)}
      </div>
    `;
  }
}

define("gaze-image", GazeImage);
define("gaze-gallery", GazeGallery);
