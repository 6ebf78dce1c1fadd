// The card that generates images and shows how far they are.
import { css, html, nothing } from "./vendor/lit.js";
import { GazeActions } from "./actions.js";
import { GazeCard, cardStyles, controlStyles, perform } from "./card.js";
import { ACTIONS, FIELDS } from "./config.js";
import { define } from "./define.js";
import { listImages } from "./hub.js";
import { GazeImage, describe, imagePath } from "./images.js";
import { aboutSeconds, describeError, text } from "./texts.js";

const SHOWN_FIELDS = ["prompt", "count"];
const MAX_COUNT = 20;
/** Milliseconds between two steps of the progress bar. */
const STEP = 500;
/** How full the bar is at most before the image is there. */
const ALMOST = 0.95;
/** Fields of the action, and the field of the card that they belong to. */
const FIELD_OF = {
  extra_positive: "prompt",
  extra_negative: "negative",
  width: "size",
  height: "size",
  seed: "seed",
  count: "count",
  checkpoint: "checkpoint",
};
/** Errors of the action, and the field of the card that they are about. */
const FIELD_OF_ERROR = {
  invalid_seed: "seed",
  invalid_count: "count",
  size_incomplete: "size",
  size_too_large: "size",
  unknown_preset: "preset",
  unknown_preset_near: "preset",
  preset_gone: "preset",
};

/** @param {Job} job */
const isOpen = (job) => job.status === "queued" || job.status === "processing";

export class GazeGenerate extends GazeCard {
  /** @returns {import("./vendor/lit.js").PropertyDeclarations} */
  static get properties() {
    return {
      _config: { state: true },
      _sending: { state: true },
      _problem: { state: true },
      _results: { state: true },
      _chosen: { state: true },
    };
  }

  constructor() {
    super();
    /** @type {GenerateConfig} */
    this._config = { type: "" };
    this._sending = false;
    /** @type {{text: string, field?: string} | undefined} */
    this._problem = undefined;
    /** @type {GazeImageInfo[]} newest first */
    this._results = [];
    /** @type {string | undefined} the image that people selected among the results */
    this._chosen = undefined;
    /** @type {Record<string, string>} what stands in the form */
    this._form = { count: "1" };
    /** @type {{ids: string[], entryId: string, failed: boolean} | undefined} */
    this._batch = undefined;
    this._uncovered = "";
    this._announced = "";
    this._version = "";
    this._loaded = false;
    /** @type {number | undefined} */
    this._timer = undefined;
  }

  /** @param {GenerateConfig} config */
  setConfig(config) {
    this._config = config;
    this._version = "";
    this._stateChanged();
  }

  disconnectedCallback() {
    super.disconnectedCallback();
    window.clearInterval(this._timer);
    this._timer = undefined;
  }

  // State

  get _server() {
    if (!this._hub) return undefined;
    return this._hub.server(this._config.server || this._form.server);
  }

  get _preset() {
    const { preset } = this._config;
    if (preset) return preset;
    const [first] = this._presets;
    return this._form.preset || (first && first.slug) || "";
  }

  /** @returns {{slug: string, name: string}[]} */
  get _presets() {
    const server = this._server;
    const presets = server ? server.presets : [];
    const wanted = this._config.presets;
    if (!wanted || !wanted.length) return presets;
    return presets.filter((preset) => wanted.includes(preset.slug) || wanted.includes(preset.name));
  }

  /** @returns {Job[]} */
  get _openJobs() {
    const server = this._server;
    return server ? server.jobs.filter(isOpen) : [];
  }

  /** Return the jobs of the last request of this card that the server still lists. */
  get _ownJobs() {
    const server = this._server;
    const ids = this._batch ? this._batch.ids : [];
    return server ? server.jobs.filter((job) => ids.includes(job.job_id)) : [];
  }

  _stateChanged() {
    this.requestUpdate();
    const server = this._server;
    if (!server || !this._hass || this._config.result === false) return;
    const version = `${server.entry_id} ${server.images.newest} ${server.images.count}`;
    if (version !== this._version && server.loaded) {
      this._version = version;
      this._loadResults();
    }
  }

  async _loadResults() {
    const server = this._server;
    if (!this._hass || !server) return;
    const batch = this._batch && this._batch.entryId === server.entry_id ? this._batch.ids : [];
    /** @type {Record<string, unknown>} */
    const filters = { entry_id: server.entry_id, limit: Math.max(1, batch.length) };
    if (this._config.preset) filters.preset = this._slugOf(this._config.preset);
    if (this._config.tag) filters.tag = this._config.tag;
    try {
      const { images } = await listImages(this._hass, filters);
      const own = images.filter((image) => batch.includes(image.job_id));
      this._results = own.length ? own : images.slice(0, 1);
    } catch (_error) {
      this._version = "";
    }
    this._loaded = true;
    this.requestUpdate();
  }

  /** @param {string} preset */
  _slugOf(preset) {
    const found = this._presets.find((known) => known.slug === preset || known.name === preset);
    return found ? found.slug : preset;
  }

  /** Return how far the images of this card are, or else what the server generates. */
  get _progress() {
    const open = this._openJobs;
    const own = open.filter((job) => this._batch && this._batch.ids.includes(job.job_id));
    const total = this._batch ? this._batch.ids.length : 0;
    if (own.length) {
      const ahead = open.indexOf(own[0]);
      return { job: own[0], ahead, done: total - own.length, total, own: true };
    }
    const [job] = open;
    if (!job) return undefined;
    return { job, ahead: 0, done: job.index - 1, total: job.count, own: false };
  }

  /** @param {Job} job Return which part of a job is done, or undefined if nobody knows. */
  _fraction(job) {
    if (!this._hub || !job.expected_end) return undefined;
    const start = Date.parse(job.started_at || job.expected_start || job.requested_at);
    const end = Date.parse(job.expected_end);
    const { now } = this._hub;
    if (now > end || end <= start) return undefined;
    return Math.min(Math.max((now - start) / (end - start), 0), ALMOST);
  }

  // What people do

  /** @param {Event} event */
  _submit(event) {
    event.preventDefault();
    this._generate();
  }

  _request() {
    const { server, preset, recipe, tag } = this._config;
    const target = this._server;
    /** @type {Record<string, unknown>} */
    const data = { config_entry_id: server || (target && target.entry_id) };
    if (recipe) data.recipe = recipe;
    else data.preset = preset || this._preset;
    if (tag) data.tag = tag;
    const sources = {
      extra_positive: "prompt",
      extra_negative: "negative",
      width: "width",
      height: "height",
      seed: "seed",
      checkpoint: "checkpoint",
      count: "count",
    };
    for (const [field, source] of Object.entries(sources)) {
      const value = (this._form[source] || "").trim();
      if (value && !(recipe && field === "count" && value === "1")) data[field] = value;
    }
    return data;
  }

  async _generate() {
    if (!this._hass || this._sending || !this._server) return;
    this._sending = true;
    this._problem = undefined;
    try {
      const { response } = await perform(this._hass, "generate", this._request());
      this._take(response);
    } catch (error) {
      await this._reject(/** @type {ActionError} */ (error));
    } finally {
      this._sending = false;
    }
  }

  /** @param {{jobs: Job[]}} response */
  _take(response) {
    const server = this._server;
    if (!server || !response || !response.jobs.length) return;
    const ids = response.jobs.map((job) => job.job_id);
    this._batch = { ids, entryId: server.entry_id, failed: false };
    this._chosen = undefined;
    this._announce(text("queued", { count: ids.length }));
  }

  /** @param {ActionError} error */
  async _reject(error) {
    if (!this._hass) return;
    const placeholders = error.translation_placeholders || {};
    const key = /** @type {keyof typeof FIELD_OF_ERROR} */ (error.translation_key || "");
    const name = /** @type {keyof typeof FIELD_OF} */ (placeholders.field || "");
    const field = FIELD_OF[name] || FIELD_OF_ERROR[key];
    this._problem = { text: await describeError(this._hass, error), field };
    await this.updateComplete;
    const input = /** @type {HTMLElement | null} */ (
      this.renderRoot.querySelector('[aria-invalid="true"]')
    );
    if (input) input.focus();
  }

  /** @param {CustomEvent} event */
  _acted(event) {
    const { action, response, image } = event.detail;
    if (response && response.jobs) this._take(response);
    if (action === "delete" || action === "hide") {
      this._results = this._results.filter((known) => known.job_id !== image.job_id);
      if (!this._results.length) this._loadResults();
    } else if (action === "favorite") {
      this._results = this._results.map((known) =>
        known.job_id === image.job_id ? { ...known, favorite: !known.favorite } : known
      );
    }
  }

  /** @param {GazeImageInfo} image */
  _open(image) {
    if (this._config.blur && this._uncovered !== image.job_id) {
      this._uncovered = image.job_id;
      this.requestUpdate();
      return;
    }
    const detail = {
      dialogTag: "gaze-viewer",
      dialogImport: () => import("./viewer.js"),
      dialogParams: {
        images: this._results,
        index: Math.max(0, this._results.indexOf(image)),
        actions: this._config.actions,
        /** @param {CustomEvent} event */
        acted: (event) => this._acted(event),
      },
    };
    this.dispatchEvent(new CustomEvent("show-dialog", { detail, bubbles: true, composed: true }));
  }

  /** @param {string} said */
  _announce(said) {
    this._announced = said;
    this.requestUpdate();
  }

  // Rendering

  willUpdate() {
    const own = this._ownJobs;
    const batch = this._batch;
    if (!batch || !own.length) return;
    const failed = own.find((job) => job.status === "failed");
    if (failed && !batch.failed) {
      batch.failed = true;
      this._problem = { text: this._reason(failed) };
    }
    const progress = this._progress;
    if (progress && progress.own && progress.job.status === "processing") {
      this._announced = text("generating");
    } else if (!own.some(isOpen) && !failed) {
      this._announced = text("finished", { count: batch.ids.length });
    }
  }

  updated() {
    const wanted = Boolean(this._progress && this._hub && this._hub.online);
    if (wanted && !this._timer) {
      this._timer = window.setInterval(() => this._step(), STEP);
    } else if (!wanted && this._timer) {
      window.clearInterval(this._timer);
      this._timer = undefined;
    }
    this._step();
  }

  /** Move the bar without rendering the card. */
  _step() {
    const bar = this.renderRoot.querySelector("progress");
    const words = this.renderRoot.querySelector(".words");
    const progress = this._progress;
    if (!bar || !words || !progress) return;
    const fraction = this._fraction(progress.job);
    if (fraction === undefined) bar.removeAttribute("value");
    else bar.value = (progress.done + fraction) / Math.max(progress.total, 1);
    words.textContent = this._describeProgress(progress);
  }

  /** @param {NonNullable<GazeGenerate["_progress"]>} progress */
  _describeProgress({ job, ahead, done, total, own }) {
    const { now } = /** @type {import("./hub.js").Hub} */ (this._hub);
    const end = job.expected_end ? Date.parse(job.expected_end) : 0;
    const left = end > now ? aboutSeconds((end - now) / 1000) : "";
    let state;
    if (own && ahead > 0) state = text("waiting", { count: ahead });
    else if (total > 1) state = text("progress", { number: done + 1, count: total });
    else state = text(job.status === "queued" ? "queued_one" : "generating");
    return [state, left].filter(Boolean).join(", ");
  }

  /** @param {Job} job */
  _reason(job) {
    const reason = text(`failed_${job.reason}`, { error: job.error || "" });
    return reason || job.error || text("failed");
  }

  static get styles() {
    return [
      controlStyles,
      cardStyles,
      css`
        form {
          display: grid;
          gap: 12px;
        }
        label,
        .label {
          display: block;
          margin-block-end: 4px;
          font-size: 0.9em;
          color: var(--secondary-text-color, #5e5e5e);
        }
        textarea {
          min-height: 72px;
          resize: vertical;
          field-sizing: content;
          max-height: 240px;
        }
        .send {
          display: grid;
          grid-template-columns: 1fr;
          gap: 12px;
          align-items: end;
        }
        .send.counted {
          grid-template-columns: minmax(72px, 96px) 1fr;
        }
        .fields {
          display: grid;
          gap: 12px;
          grid-template-columns: repeat(auto-fit, minmax(min(100%, 140px), 1fr));
        }
        .wide {
          grid-column: 1 / -1;
        }
        .pair {
          display: flex;
          gap: 8px;
          align-items: center;
        }
        summary {
          min-height: 44px;
          display: flex;
          align-items: center;
          cursor: pointer;
          border-radius: var(--gaze-radius);
        }
        summary::before {
          content: "▸";
          width: 1.4em;
        }
        details[open] > summary::before {
          content: "▾";
        }
        .result {
          display: block;
          position: relative;
          width: 100%;
          padding: 0;
          overflow: hidden;
          background: var(--gaze-soft);
          aspect-ratio: 1;
          max-height: 60vh;
        }
        .result gaze-image,
        .result .sample {
          height: 100%;
        }
        .result gaze-image img {
          object-fit: contain;
        }
        .result.empty {
          display: grid;
          place-items: center;
          padding: 16px;
          text-align: center;
          border-radius: var(--gaze-radius);
          aspect-ratio: 2;
          color: var(--secondary-text-color, #5e5e5e);
        }
        .uncover {
          position: absolute;
          inset: auto 0 12px;
          margin: auto;
          width: fit-content;
          padding: 4px 12px;
          border-radius: 99px;
          background: #000b;
          color: #fff;
        }
        .strip {
          display: flex;
          gap: 8px;
          overflow-x: auto;
          padding: 4px;
        }
        .strip button {
          flex: none;
          width: 64px;
          height: 64px;
          padding: 0;
          overflow: hidden;
        }
        .strip button[aria-pressed="true"] {
          outline: 2px solid var(--gaze-accent);
        }
        .strip gaze-image {
          height: 100%;
        }
        .strip gaze-image img {
          object-fit: cover;
        }
        progress {
          width: 100%;
          height: 8px;
          accent-color: var(--gaze-accent);
        }
        .words {
          margin: 4px 0 0;
          font-variant-numeric: tabular-nums;
        }
        ol {
          margin: 0;
          padding: 0;
          list-style: none;
        }
        li {
          display: flex;
          justify-content: space-between;
          gap: 8px;
          padding: 6px 0;
          border-block-end: 1px solid var(--gaze-line);
        }
        .problem {
          margin: 4px 0 0;
          color: var(--error-color, #b3261e);
          color: color-mix(in srgb, var(--error-color, #db4437) 70%, var(--primary-text-color, #000));
        }
        @container (min-width: 640px) {
          .body.with-result {
            display: grid;
            grid-template-columns: minmax(0, 1fr) minmax(0, 1fr);
            align-items: start;
          }
        }
      `,
    ];
  }

  render() {
    if (this.preview) return this._renderPreview("generate", this._config);
    const hub = this._hub;
    let content;
    if (!hub || !hub.ready || !text("generate")) content = this._renderLoading();
    else if (!this._server) content = this._renderNoServer();
    else content = this._renderCard(this._server);
    return html`<ha-card>${this._renderTitle(this._config.title)}${content}</ha-card>`;
  }

  /** @param {Server} server */
  _renderCard(server) {
    const result = this._config.result !== false;
    return html`
      <div class="body ${result ? "with-result" : ""}">
        ${result ? this._renderResult() : nothing}
        <form @submit=${this._submit} @keydown=${this._keydown}>
          ${this._renderNotice(server)} ${this._renderChoices()} ${this._renderFields()}
          ${this._renderProblem()} ${this._renderProgress()} ${this._renderQueue()}
        </form>
      </div>
      <div class="for-readers" role="status">${this._announced}</div>
    `;
  }

  /** @param {KeyboardEvent} event */
  _keydown(event) {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
      event.preventDefault();
      this._generate();
    }
  }

  /** @param {Server} server */
  _renderNotice(server) {
    const hub = /** @type {import("./hub.js").Hub} */ (this._hub);
    if (!hub.online) return html`<p class="note">${text("reconnecting")}</p>`;
    if (!server.loaded) return html`<p class="note">${text("server_starting")}</p>`;
    if (!server.connected) return html`<p class="note error">${text("server_off")}</p>`;
    if (!server.presets.length) return html`<p class="note">${text("no_presets")}</p>`;
    return nothing;
  }

  _renderChoices() {
    const hub = /** @type {import("./hub.js").Hub} */ (this._hub);
    const { server, preset, recipe } = this._config;
    const servers = hub.servers.map((one) => ({ slug: one.entry_id, name: one.title }));
    const chosen = this._server;
    return html`
      ${!server && servers.length > 1
        ? this._renderSelect("server", servers, chosen ? chosen.entry_id : "")
        : nothing}
      ${preset || recipe ? nothing : this._renderSelect("preset", this._presets, this._preset)}
    `;
  }

  /**
   * @param {string} name
   * @param {{slug: string, name: string}[]} options
   * @param {string} value
   */
  _renderSelect(name, options, value) {
    return html`<div>
      <label for=${name}>${text(name)}</label>
      <select
        id=${name}
        aria-invalid=${this._isWrong(name)}
        aria-describedby=${`${name}-problem`}
        @change=${(/** @type {Event} */ event) => {
          this._form[name] = /** @type {HTMLSelectElement} */ (event.target).value;
          if (name === "server") delete this._form.preset;
          this._stateChanged();
        }}
      >
        ${options.map(
          (one) => html`<option value=${one.slug} ?selected=${one.slug === value}>${one.name}</option>`
        )}
      </select>
      ${this._renderFieldProblem(name)}
    </div>`;
  }

  _renderFields() {
    const shown = this._config.fields || SHOWN_FIELDS;
    const more = FIELDS.filter((field) => !shown.includes(field) && field !== "count");
    const compact = Boolean(this._config.preset || this._config.recipe) && !this._config.fields;
    const first = compact ? [] : shown.filter((field) => field !== "count");
    const counted = !compact && shown.includes("count");
    const rest = compact ? FIELDS : [...more, ...(counted ? [] : ["count"])];
    return html`
      ${first.length ? html`<div class="fields">${first.map((name) => this._renderField(name))}</div>` : nothing}
      <details ?open=${Boolean(this._problem && rest.includes(this._problem.field || ""))}>
        <summary>${text("more")}</summary>
        <div class="fields">${rest.map((name) => this._renderField(name))}</div>
      </details>
      <div class="send ${counted ? "counted" : ""}">
        ${counted ? this._renderField("count") : nothing}
        <button class="strong" ?disabled=${this._sending || !this._canGenerate}>
          ${this._sending ? text("sending") : this._label}
        </button>
      </div>
    `;
  }

  get _canGenerate() {
    return Boolean(this._hub && this._hub.online && (this._config.recipe || this._preset));
  }

  get _label() {
    const { preset, recipe } = this._config;
    const wanted = preset || recipe;
    if (!wanted) return text("generate");
    const found = this._presets.find((known) => known.slug === wanted);
    return text("generate_this", { name: found ? found.name : wanted });
  }

  /** @param {string} name */
  _renderField(name) {
    switch (name) {
      case "prompt":
      case "negative":
        return html`<div class="wide">
          <label for=${name}>${text(name)}</label>
          <textarea id=${name} rows="2" maxlength="20000"
            aria-invalid=${this._isWrong(name)}
            aria-describedby=${`${name}-problem`}
            .value=${this._form[name] || ""}
            @input=${this._typed}
          ></textarea>
          ${this._renderFieldProblem(name)}
        </div>`;
      case "size":
        return html`<div class="wide" role="group" aria-labelledby="size-label">
          <span class="label" id="size-label">${text("size")}</span>
          <div class="pair">
            ${this._renderInput("width", "size", "numeric", text("width"))} ×
            ${this._renderInput("height", "size", "numeric", text("height"))}
          </div>
          ${this._renderFieldProblem("size")}
        </div>`;
      default:
        return html`<div>
          <label for=${name}>${text(name)}</label>
          ${this._renderInput(name, name, name === "checkpoint" ? "text" : "numeric")}
          ${this._renderFieldProblem(name)}
        </div>`;
    }
  }

  /**
   * @param {string} name
   * @param {string} field
   * @param {string} mode
   * @param {string} [label] for a field without a visible label
   */
  _renderInput(name, field, mode, label) {
    return html`<input
      id=${name}
      type=${name === "count" ? "number" : "text"}
      min="1"
      max=${MAX_COUNT}
      inputmode=${mode}
      autocomplete="off"
      aria-label=${label || nothing}
      placeholder=${label || (name === "seed" ? text("random") : "")}
      aria-invalid=${this._isWrong(field)}
      aria-describedby=${`${field}-problem`}
      .value=${this._form[name] || ""}
      @input=${this._typed}
    />`;
  }

  /** @param {InputEvent} event */
  _typed(event) {
    const input = /** @type {HTMLInputElement} */ (event.target);
    this._form[input.id] = input.value;
  }

  /** @param {string} field */
  _isWrong(field) {
    return this._problem && this._problem.field === field ? "true" : "false";
  }

  /** @param {string} field */
  _renderFieldProblem(field) {
    const problem = this._problem;
    return html`<p class="problem" id=${`${field}-problem`} ?hidden=${this._isWrong(field) === "false"}>
      ${problem && problem.field === field ? problem.text : ""}
    </p>`;
  }

  _renderProblem() {
    const problem = this._problem;
    if (!problem || problem.field) return nothing;
    return html`<div class="note error" role="alert">
      <p>${problem.text}</p>
      <button class="plain" type="button" ?disabled=${this._sending} @click=${() => this._generate()}>
        ${text("try_again")}
      </button>
    </div>`;
  }

  _renderProgress() {
    if (!this._progress) return nothing;
    return html`<div>
      <progress aria-label=${text("progress_label")}></progress>
      <p class="words"></p>
    </div>`;
  }

  _renderQueue() {
    const jobs = this._openJobs;
    const server = this._server;
    if (this._config.queue === false || !server || server.open_jobs < 2) return nothing;
    return html`<details>
      <summary>${text("queue", { count: server.open_jobs })}</summary>
      <ol>
        ${jobs.map(
          (job) => html`<li>
            <span>${job.recipe_name || job.preset_name}</span>
            <span>${text(job.status === "processing" ? "generating" : "queued_one")}</span>
          </li>`
        )}
      </ol>
    </details>`;
  }

  _renderResult() {
    const image =
      this._results.find((known) => known.job_id === this._chosen) || this._results[0];
    if (!image) {
      return this._loaded
        ? html`<div class="result empty">${text("no_images")}</div>`
        : this._renderLoading();
    }
    const covered = this._config.blur && this._uncovered !== image.job_id;
    const width = image.width || 1;
    const height = image.height || 1;
    return html`<div>
      <button
        type="button"
        class="result ${covered ? "blurred" : ""}"
        style="aspect-ratio: ${width} / ${height}"
        aria-label=${covered ? text("uncover") : `${text("open")}: ${describe(image)}`}
        @click=${() => this._open(image)}
      >
        <gaze-image
          .hass=${this._hass}
          .path=${imagePath(image)}
          .alt=${describe(image)}
          @gaze-missing=${() => this._loadResults()}
        ></gaze-image>
        ${covered ? html`<span class="uncover">${text("uncover")}</span>` : nothing}
      </button>
      ${this._results.length > 1 ? this._renderStrip(image) : nothing}
      <gaze-actions
        .hass=${this._hass}
        .image=${image}
        .actions=${this._config.actions || ACTIONS}
        @gaze-done=${this._acted}
      ></gaze-actions>
    </div>`;
  }

  /** @param {GazeImageInfo} shown */
  _renderStrip(shown) {
    return html`<div class="strip ${this._config.blur ? "blurred" : ""}">
      ${this._results.map(
        (image, number) => html`<button
          type="button"
          aria-pressed=${image === shown ? "true" : "false"}
          aria-label=${text("image_number", { number: this._results.length - number })}
          @click=${() => (this._chosen = image.job_id)}
        >
          <gaze-image .hass=${this._hass} .path=${imagePath(image, 256)} .alt=${""}></gaze-image>
        </button>`
      )}
    </div>`;
  }
}

define("gaze-image", GazeImage);
define("gaze-actions", GazeActions);
define("gaze-generate", GazeGenerate);
