// The card that shows saved images.
import { html, nothing, repeat } from "./vendor/lit.js";
import { GazeCard, byTime, define, describeError, loadEarly, listImages, loadRare, text } from "./shared.js";

const loadKeys = () => import("./keys.js");
const loadCaptions = () => import("./captions.js");
const loadSlideshow = () => import("./slideshow.js");
const PAGE = 24;
/** Images of one request. */
const MOST = 100;
/** Pixels that count as scrolled. */
const SCROLLED = 20;

/** @type {Record<string, number>} */
const SIZES = { s: 88, m: 136, l: 220 };

/** Remove empty values. @param {object} filter @returns {Filter} */
const given = (filter) => Object.fromEntries(Object.entries(filter).filter(([, value]) => value));

export class GazeGallery extends GazeCard {
  constructor() {
    super();
    /** @type {{slug: string, name: string}[]} */
    this._presets = [];
    /** @type {Filter} what people chose */
    this._filter = {};
    /** @type {GazeImageInfo[] | undefined} images that wait until people look at the top */
    this._waiting = undefined;
    /** @type {string | null} */
    this._cursor = null;
    this._error = "";
    /** The image that the Tab key leads to. */
    this._active = "";
    this._listed = "";
    this._inView = false;
    this._generation = 0;
    this._loading = false;
    this._again = false;
  }

  get kept() {
    return [...super.kept, "_filter", "_cursor", "_presets"];
  }

  get _limit() {
    return this.config.limit || 1000;
  }

  connect() {
    this._restore();
    const first = this._hass && !this.loaded;
    if (first && !this._loading) this._refresh();
    super.connect();
    if (first) this._inView = this.isConnected && this.getBoundingClientRect().top < innerHeight;
  }

  /** @param {Filter} [filter] what people chose */
  configured(filter = {}) {
    this._filter = filter;
    this._generation += 1;
    this._cursor = null;
    this._waiting = undefined;
    this._loading = this.loaded = false;
    if (this.isConnected) this.connect();
  }

  stateChanged() {
    this.update();
    const { hub, config } = this;
    if (!hub || !hub.ready || !hub.online) return;
    const version = JSON.stringify(
      hub.servers
        .filter(({ entry_id, loaded }) => loaded && [undefined, "", entry_id].includes(config.server))
        .map(({ entry_id, images }) => [entry_id, images])
    );
    const listed = this.loaded || this._loading;
    if ((listed || this._error) && version === this._listed) return;
    // The first images are listed after the first state.
    const covered = listed && !this._listed;
    this._listed = version;
    if (!covered) this._refresh();
  }

  /** A form saves a text. */
  get _searches() {
    return `${this.config.search}` === "true";
  }

  /** @param {Filter} [more] */
  _list(more) {
    const { server, preset, recipe, tag, favorites, search } = this.config;
    const filters = given({
      entry_id: server,
      preset,
      recipe,
      tag,
      favorite: favorites,
      search: this._searches ? "" : search,
      ...this._filter,
      ...more,
    });
    return listImages(this.hass, filters);
  }

  /** @param {Filter} filter */
  _choose(filter) {
    this.configured(given({ ...this._filter, ...filter }));
  }

  /** List the first images again; the others stay. */
  async _refresh() {
    if (this._loading) {
      this._again = true;
      return;
    }
    const limit = Math.min(MOST, Math.max(Math.min(PAGE, this._limit), this.loaded ? this.images.length : 0));
    await this._load({ limit }, (page) => this._take(page, limit));
    if (this._again && !this._loading) {
      this._again = false;
      this._refresh();
    }
  }

  async more() {
    if (this._loading || !this.hasMore) return;
    const limit = Math.min(2 * PAGE, this._limit - this.images.length);
    await this._load({ limit, cursor: this._cursor }, ({ images, cursor }) => {
      const known = new Set(this.images.map(({ job_id }) => job_id));
      this._cursor = cursor;
      this.show([...this.images, ...images.filter(({ job_id }) => !known.has(job_id))]);
    });
  }

  /** @param {Filter} filter @param {(page: Page) => void} take */
  async _load(filter, take) {
    const generation = this._generation;
    this._loading = true;
    let error = "";
    try {
      const page = await this._list(filter);
      if (generation === this._generation) take(page);
    } catch (failure) {
      // Otherwise, the state of the servers says more.
      if (this.hub && this.hub.live) error = await describeError(this.hass, /** @type {ActionError} */ (failure));
    }
    if (generation !== this._generation) return;
    this._loading = false;
    this._error = error;
    this.update();
  }

  /** @param {Page} page @param {number} limit */
  _take({ images, cursor, presets }, limit) {
    this._presets = presets || [];
    const first = !this.loaded;
    this.loaded = true;
    if (first && this._inView && images[0] && !this.config.slideshow) {
      loadEarly(this.hass, images[0], this._sideOf(0));
    }
    const listed = new Set(images.map(({ job_id }) => job_id));
    const oldest = images[images.length - 1];
    const all = images.length < limit || !cursor;
    const rest = this.images.filter(
      (image) =>
        !first &&
        (this._isAway(image) || (!all && !listed.has(image.job_id) && image.finished_at < oldest.finished_at))
    );
    if (!rest.length) this._cursor = cursor;
    this._waiting = [...images, ...rest];
    if (rest.some(this._isAway, this)) this._waiting.sort(byTime);
    const added = first ? 0 : this._newCount;
    if (added) this.said = text("new_images", { count: added });
    if (!added || !this._isScrolled) this.show(this._waiting);
  }

  /** Nothing disappears while its server is reloaded. @param {GazeImageInfo} image */
  _isAway({ entry_id }) {
    const server = this.hub && this.hub.server(entry_id);
    return Boolean(server && !server.loaded);
  }

  /** @param {GazeImageInfo[]} images */
  show(images) {
    this._waiting = undefined;
    super.show(images.slice(0, this._limit));
  }

  get _newCount() {
    const known = new Set(this.images.map(({ job_id }) => job_id));
    return (this._waiting || []).filter(({ job_id }) => !known.has(job_id)).length;
  }

  get _scrolling() {
    return [...this.root.querySelectorAll(".body, .images")];
  }

  /** Whether people look at older images. */
  get _isScrolled() {
    const inside = this._scrolling.some((part) => part.scrollTop > SCROLLED || Math.abs(part.scrollLeft) > SCROLLED);
    return inside || this.getBoundingClientRect().top < -3 * SCROLLED;
  }

  _showNew() {
    this.show(this._waiting || this.images);
    this.scrollIntoView({ block: "start" });
    for (const part of this._scrolling) part.scrollTo(0, 0);
  }

  get hasMore() {
    return Boolean(this._cursor) && this.images.length < this._limit;
  }

  get styles() {
    return `${super.styles}
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
      .tile {
        aspect-ratio: 1;
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
      .chip {
        max-width: 100%;
        overflow: hidden;
        text-overflow: ellipsis;
        white-space: nowrap;
        border-color: var(--gaze-line);
        border-radius: 99px;
      }
      .new {
        position: sticky;
        top: calc(var(--header-height, 56px) + 8px);
        z-index: 1;
        align-self: center;
        margin-block-end: -44px;
        border-radius: 99px;
      }
    `;
  }

  get bodyStyle() {
    const { thumbnails = "m", fit = "cover" } = this.config;
    return `--tile: ${SIZES[thumbnails]}px; --fit: ${fit}`;
  }

  renderAbove() {
    const count = this._newCount;
    return count
      ? html`<button class="new strong" @click=${this._showNew}>${text("new_images", { count })}</button>`
      : nothing;
  }

  /** @param {Hub} hub */
  renderBody(hub) {
    const { slideshow } = this.config;
    return html`
      ${hub.online ? nothing : html`<p class="note">${text("reconnecting")}</p>`}
      ${slideshow || this.config.filter === "none" ? nothing : this._renderFilters()}
      ${this._error
        ? html`<div class="error" role="alert">
            <p>${this._error}</p>
            <button class="plain" @click=${this._refresh}>${text("try_again")}</button>
          </div>`
        : nothing}
      ${this.images.length ? this._renderImages() : this._renderEmpty()}
      ${this.hasMore && !slideshow
        ? html`<button class="plain" @click=${this.more}>${text("show_more")}</button>`
        : nothing}
    `;
  }

  _renderEmpty() {
    if (!this.loaded) return this._error ? nothing : this.renderLoading();
    return html`<p class="note">${text(Object.keys(this._filter).length ? "nothing_found" : "no_images")}</p>`;
  }

  _renderFilters() {
    const { preset, recipe, favorites } = this.config;
    const { preset: chosen, favorite } = this._filter;
    const presets = !preset && !recipe && (this._presets.length > 1 || chosen) ? this._presets : [];
    const hearts = !favorites;
    if (!presets.length && !hearts && !this._searches) return nothing;
    const rare = this._searches && this.use(loadRare);
    /** @type {(name: string, pressed: unknown, filter: Filter) => unknown} */
    const chip = (name, pressed, filter) =>
      html`<button
        class="chip ${pressed ? "strong" : ""}"
        aria-pressed=${pressed ? "true" : "false"}
        @click=${() => this._choose(filter)}
      >
        ${name}
      </button>`;
    return html`<div class="row" role="group" aria-label=${text("filter")}>
      ${rare ? rare.renderSearch((search) => this._choose({ search }), text, this._filter.search) : nothing}
      ${presets.length || hearts ? chip(text("all"), !chosen && !favorite, { preset: "", favorite: false }) : nothing}
      ${hearts ? chip(text("favorites"), favorite, { favorite: !favorite }) : nothing}
      ${presets.map(({ slug, name }) => chip(name, slug === chosen, { preset: slug === chosen ? "" : slug }))}
    </div>`;
  }

  /** @param {number} number */
  _sideOf(number) {
    const { layout, thumbnails } = this.config;
    return thumbnails === "l" || (layout === "hero" && !number) ? 512 : 256;
  }

  _renderImages() {
    const { layout = "grid", slideshow, caption = "none" } = this.config;
    const { images } = this;
    if (slideshow) {
      const module = this.use(loadSlideshow);
      return module ? module.render(this, slideshow) : this.renderLoading();
    }
    const captions = caption !== "none" && this.use(loadCaptions);
    const active = images.some(({ job_id }) => job_id === this._active) ? this._active : images[0].job_id;
    return html`<ul class="images ${layout}" @keydown=${(/** @type {KeyboardEvent} */ event) => {
        const keys = this.use(loadKeys);
        if (keys) keys.moveFocus(this, event);
      }}>
      ${repeat(
        images,
        ({ job_id }) => job_id,
        (image, number) => html`<li>
          ${this.renderTile(image, this._sideOf(number), {
            current: image.job_id === active,
            focused: () => {
              this._active = image.job_id;
              this.use(loadKeys);
              this.update();
            },
          })}
          ${captions ? captions.render(this, image) : nothing}
        </li>`
      )}
    </ul>`;
  }
}

define("gaze-gallery", GazeGallery);
