// The card that generates images.
import { html, nothing } from "./vendor/lit.js";
import { GazeCard, define, describeError, listImages, perform, text } from "./shared.js";

const FIELDS = ["prompt", "negative", "size", "seed", "checkpoint", "count"];
const loadResult = () => import("./result.js");
const loadFields = () => import("./fields.js");
const loadProgress = () => import("./progress.js");

export class GazeGenerate extends GazeCard {
  constructor() {
    super();
    /** @type {Record<string, string>} what people entered */
    this.form = {};
    /** @type {{text: string, field?: string} | undefined} */
    this.problem = undefined;
    /** @type {string[]} the jobs of the last request of this card */
    this.batch = [];
    /** @type {string | undefined} the image that people selected */
    this.chosen = undefined;
    this._sending = false;
    this._expanded = false;
    this._listed = "";
  }

  get kept() {
    return [...super.kept, "form", "problem", "batch", "chosen", "_expanded"];
  }

  get server() {
    const { hub, config, form } = this;
    return hub && (hub.server(config.server || form.config_entry_id) || hub.server(config.server));
  }

  /** @returns {Choice[]} */
  get choices() {
    const { presets = [], recipes = [] } = this.server || {};
    const all = [
      ...presets.map(({ slug, name }) => ({ kind: "preset", id: slug, name })),
      ...recipes.map(({ id, name }) => ({ kind: "recipe", id, name })),
    ];
    const { preset, recipe, presets: several } = this.config;
    const kind = recipe ? "recipe" : "preset";
    const wanted = recipe || preset ? [recipe || preset || ""] : several || [];
    if (!wanted.length) return all;
    const found = all.filter((one) => one.kind === kind && [one.id, one.name].some((name) => wanted.includes(name)));
    return found.length ? found : wanted.map((name) => ({ kind, id: name, name }));
  }

  /** What is generated next. */
  get choice() {
    const { choices } = this;
    return choices.find(({ kind, id }) => `${kind} ${id}` === this.form.choice) || choices[0];
  }

  get openJobs() {
    const { jobs = [] } = this.server || {};
    return jobs.filter(({ status }) => status === "queued" || status === "processing");
  }

  stateChanged() {
    this.update();
    const { server } = this;
    if (!server || !server.loaded || this.config.result === false) return;
    const version = JSON.stringify([server.entry_id, server.images, this.batch, this.config]);
    if (version !== this._listed) this._list(server, version);
  }

  /** @param {Server} server @param {string} version */
  async _list(server, version) {
    this._listed = version;
    const { tag, preset, recipe } = this.config;
    const { kind, id } = this.choice || {};
    try {
      const { images } = await listImages(this.hass, {
        entry_id: server.entry_id,
        limit: this.batch.length || 1,
        ...(tag && { tag }),
        ...(kind && (preset || recipe) && { [kind]: id }),
      });
      if (version !== this._listed) return;
      const own = images.filter(({ job_id }) => this.batch.includes(job_id));
      this.loaded = true;
      this.show(own.length ? own : images.slice(0, 1));
    } catch {
      if (version === this._listed) this._listed = "";
    }
  }

  /** @param {GazeImageInfo} image */
  drop(image) {
    super.drop(image);
    this._listed = "";
    this.stateChanged();
  }

  /** @param {Event} [event] */
  async generate(event) {
    if (event) event.preventDefault();
    const { server, choice, config } = this;
    if (!server || !choice || this._sending) return;
    this._sending = true;
    this.problem = undefined;
    const wrong = this.root.querySelector("[aria-invalid]");
    if (wrong) wrong.removeAttribute("aria-invalid");
    this.update();
    const entered = Object.entries(this.form).filter(([name, value]) => name !== "choice" && value.trim());
    const data = {
      ...Object.fromEntries(entered),
      ...(config.tag && { tag: config.tag }),
      config_entry_id: server.entry_id,
      [choice.kind]: choice.id,
    };
    try {
      this.take(await perform(this.hass, "generate", data));
    } catch (error) {
      const failed = /** @type {ActionError} */ (error);
      this.problem = { text: await describeError(this.hass, failed) };
      await loadFields().then(
        ({ blame }) => blame(this, failed),
        () => {}
      );
    }
    this._sending = false;
    this.update();
  }

  /** @param {{jobs: Job[]}} response */
  take({ jobs }) {
    this.batch = jobs.map(({ job_id }) => job_id);
    this.chosen = undefined;
    this.said = text("queued", { count: jobs.length });
    this.stateChanged();
  }

  get styles() {
    return `${super.styles}
      form,
      .fields {
        display: grid;
        gap: 12px;
        align-content: start;
      }
      .fields {
        grid-template-columns: repeat(auto-fit, minmax(min(100%, 120px), 1fr));
      }
      .wide {
        grid-column: 1 / -1;
      }
      label {
        display: block;
        margin-block-end: 4px;
        font-size: 0.9em;
        color: var(--gaze-quiet);
      }
      textarea {
        display: block;
        min-height: 72px;
        max-height: 240px;
        resize: vertical;
        field-sizing: content;
      }
      .send {
        display: flex;
        flex-wrap: wrap;
        gap: 12px;
        align-items: end;
      }
      .send > div {
        flex: 0 1 88px;
      }
      .send > button {
        flex: 1 0 auto;
      }
      summary {
        line-height: 44px;
        cursor: pointer;
      }
      .result {
        max-height: 40vh;
        background: none;
      }
      .result:not(.blurred) .badge {
        display: none;
      }
      .empty {
        aspect-ratio: 2;
        display: grid;
        place-items: center;
        border-radius: var(--gaze-radius);
      }
      .actions {
        min-height: 44px;
      }
      .columns {
        display: grid;
        gap: 16px;
      }
      @container (min-width: 640px) {
        .columns {
          grid-template-columns: repeat(2, minmax(0, 1fr));
        }
        .result {
          max-height: 60vh;
        }
      }
    `;
  }

  /** @param {Hub} hub */
  renderBody(hub) {
    const { server, problem } = this;
    if (!server) return this.renderLoading();
    const progress = (this.batch.length || this.openJobs.length) && this.use(loadProgress);
    if (progress) progress.announce(this);
    return html`<div class=${this.config.result === false ? "" : "columns"}>
      ${this.config.result === false ? nothing : this._renderResult()}
      <form @submit=${this.generate} @keydown=${this._keydown} @input=${this._input}>
        ${this._renderNotice(hub, server)} ${this._renderChoices(hub, server)} ${this._renderFields(hub)}
        ${problem && !problem.field
          ? html`<div class="error" role="alert">
              <p>${problem.text}</p>
              <button class="plain" type="submit">${text("try_again")}</button>
            </div>`
          : nothing}
        ${progress ? progress.render(this) : nothing}
      </form>
    </div>`;
  }

  /** @param {KeyboardEvent} event */
  _keydown(event) {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) this.generate(event);
  }

  /** @param {Event} event */
  _input(event) {
    const { name, value } = /** @type {HTMLInputElement} */ (event.target);
    this.form = { ...this.form, [name]: value };
    if (name === "config_entry_id" || name === "choice") this.stateChanged();
  }

  /** @param {Hub} hub @param {Server} server */
  _renderNotice(hub, server) {
    const missing = !server.loaded ? "server_starting" : !server.connected ? "server_off" : this.choice ? "" : "no_presets";
    const notice = hub.online ? missing : "reconnecting";
    return notice ? html`<p class=${server.loaded && hub.online ? "error" : "note"}>${text(notice)}</p>` : nothing;
  }

  /** @param {Hub} hub @param {Server} server */
  _renderChoices(hub, server) {
    const { config, choice, choices } = this;
    const servers = hub.servers.map(({ entry_id, title }) => ({ value: entry_id, name: title }));
    /** @param {string} wanted */
    const list = (wanted) =>
      options(
        choices.filter(({ kind }) => kind === wanted).map(({ kind, id, name }) => ({ value: `${kind} ${id}`, name })),
        `${choice.kind} ${choice.id}`
      );
    return html`
      ${servers.length > 1 && !config.server
        ? this.renderField(
            "server",
            html`<select id="server" name="config_entry_id">
              ${options(servers, server.entry_id)}
            </select>`
          )
        : nothing}
      ${choices.length && !config.preset && !config.recipe
        ? this.renderField(
            "preset",
            html`<select id="preset" name="choice">
              ${list("preset")}
              ${choices.some(({ kind }) => kind === "recipe")
                ? html`<optgroup label=${text("section_recipes")}>${list("recipe")}</optgroup>`
                : nothing}
            </select>`
          )
        : nothing}
    `;
  }

  /** @param {string} name @param {unknown} control */
  renderField(name, control) {
    const { problem } = this;
    return html`<div class=${["prompt", "negative", "size"].includes(name) ? "wide" : ""}>
      <label for=${name}>${text(name)}</label>
      ${control}
      ${problem && problem.field === name ? html`<p class="error" id="problem">${problem.text}</p>` : nothing}
    </div>`;
  }

  /** @param {Hub} hub */
  _renderFields(hub) {
    const { choice, problem } = this;
    const { preset, recipe } = this.config;
    const fixed = preset || recipe;
    const { fields: shown = fixed ? [] : ["prompt", "count"] } = this.config;
    const rest = FIELDS.filter((name) => !shown.includes(name));
    this._expanded = this._expanded || rest.some((name) => problem && problem.field === name);
    /** @param {string} name */
    const field = (name) => {
      if (name === "prompt") {
        return this.renderField(
          name,
          html`<textarea id="prompt" name="extra_positive" rows="2" maxlength="20000" .value=${this.form.extra_positive || ""}></textarea>`
        );
      }
      if (name === "count") {
        const usual = choice && choice.kind === "recipe" ? "" : "1";
        return this.renderField(
          name,
          html`<input id="count" name="count" type="number" min="1" max="20" placeholder=${usual} .value=${this.form.count || ""} />`
        );
      }
      const fields = this.use(loadFields);
      return fields && fields.renderField(this, name);
    };
    const first = shown.filter((name) => name !== "count");
    return html`
      ${first.length ? html`<div class="fields">${first.map(field)}</div>` : nothing}
      ${rest.length
        ? html`<details ?open=${this._expanded} @toggle=${this._toggle}>
            <summary>${text("more")}</summary>
            ${this._expanded ? html`<div class="fields">${rest.map(field)}</div>` : nothing}
          </details>`
        : nothing}
      <div class="send">
        ${shown.includes("count") ? field("count") : nothing}
        <button class="strong" ?disabled=${this._sending || !hub.online || !choice}>
          ${this._sending
            ? text("sending")
            : fixed && choice
              ? text("generate_this", { name: choice.name })
              : text("generate")}
        </button>
      </div>
    `;
  }

  /** @param {Event} event */
  _toggle(event) {
    if (!(/** @type {HTMLDetailsElement} */ (event.target).open)) return;
    this._expanded = true;
    this.update();
  }

  _renderResult() {
    const { images, chosen } = this;
    const image = images.find(({ job_id }) => job_id === chosen) || images[0];
    if (!image) {
      return this.loaded ? html`<div class="tile empty">${text("no_images")}</div>` : this.renderLoading();
    }
    const parts = this.use(loadResult);
    const style = `aspect-ratio: ${image.width || 1} / ${image.height || 1}`;
    return html`<div>
      ${this.renderTile(image, 0, { kind: "result", style })}
      <div class="actions">${parts ? parts.render(this, image) : nothing}</div>
    </div>`;
  }
}

/** @param {{value: string, name: string}[]} list @param {string} selected */
const options = (list, selected) =>
  list.map(({ value, name }) => html`<option .value=${value} .selected=${value === selected}>${name}</option>`);

define("gaze-generate", GazeGenerate);
