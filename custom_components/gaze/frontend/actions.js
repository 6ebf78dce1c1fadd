// What people do with an image. Loaded with the first image.
import { html, nothing } from "./vendor/lit.js";
import { GazeElement, byTime, define, describeError, fire, icon, loadRare, perform, text } from "./shared.js";

export const ACTIONS = ["again", "favorite", "download", "hide", "delete"];

/** @type {Record<string, string>} */
const ICONS = {
  again: "refresh",
  same_seed: "seed-outline",
  favorite: "heart-outline",
  unfavorite: "heart",
  hide: "eye-off",
  uncover: "eye",
  previous: "chevron-left",
  next: "chevron-right",
  details: "information-outline",
};

/** @type {IconButton} */
export const iconButton = (name, click, disabled = false, expanded = nothing) =>
  html`<button
    type="button"
    class="icon ${name}"
    title=${text(name)}
    aria-label=${text(name)}
    aria-expanded=${expanded}
    ?disabled=${disabled}
    @click=${click}
  >
    ${icon(ICONS[name] || name)}
  </button>`;

/**
 * Buttons for an image. Fires `gaze-done` after an action.
 *
 * Deleting asks in place, with the focus on *No*.
 */
class GazeActions extends GazeElement {
  constructor() {
    super();
    /** @type {Task | undefined} */
    this._task = undefined;
    this._asking = false;
    this._busy = false;
    this._error = "";
  }

  /** @param {Task} task */
  set task(task) {
    if (!this._task || this._task.image.job_id !== task.image.job_id) {
      this._asking = false;
      this._error = "";
    }
    this._task = task;
    this.update();
  }

  get styles() {
    return `
      :host {
        color: inherit;
        --gaze-accent: inherit;
        --gaze-line: inherit;
        --gaze-soft: inherit;
      }
      .row {
        gap: 4px;
        justify-content: center;
      }
      .danger,
      .danger:hover {
        background: #b3261e;
        color: #fff;
      }
    `;
  }

  render() {
    if (!this._task) return nothing;
    return html`
      ${this._asking ? this._renderQuestion(this._task) : this._renderButtons(this._task)}
      ${this._error ? html`<p class="error" role="alert">${this._error}</p>` : nothing}
    `;
  }

  /** @param {Task} task */
  _renderButtons({ image, actions }) {
    return html`<div class="row">
      ${actions.map((action) =>
        iconButton(
          action === "favorite" && image.favorite ? "unfavorite" : action,
          () => (action === "delete" ? this._ask(true) : this._run(action)),
          this._busy
        )
      )}
    </div>`;
  }

  /** @param {Task} task */
  _renderQuestion({ image }) {
    const label = text(image.favorite ? "delete_favorite_question" : "delete_question");
    return html`<div class="row" role="group" aria-label=${label} @keydown=${this._keydown}>
      <span>${label}</span>
      <button type="button" class="no plain" @click=${() => this._ask(false)}>${text("no")}</button>
      <button type="button" class="danger" ?disabled=${this._busy} @click=${() => this._run("delete")}>
        ${text("delete")}
      </button>
    </div>`;
  }

  /** @param {KeyboardEvent} event */
  _keydown(event) {
    if (event.key !== "Escape") return;
    event.preventDefault();
    event.stopPropagation();
    this._ask(false);
  }

  /** @param {boolean} asking */
  async _ask(asking) {
    this._asking = asking;
    await this.update();
    /** @type {HTMLElement | null} */
    const button = this.root.querySelector(asking ? ".no" : ".delete");
    if (button) button.focus();
  }

  /** @param {string} action */
  async _run(action) {
    const task = this._task;
    if (!task || this._busy) return;
    this._busy = true;
    this._error = "";
    this.update();
    try {
      const response = await run(task, action);
      this._asking = false;
      fire(this, "gaze-done", { action, image: task.image, response });
      if (action === "hide") (await loadRare()).reportHidden(this, task, text);
    } catch (error) {
      this._error = await describeError(task.hass, /** @type {ActionError} */ (error));
    }
    this._busy = false;
    this.update();
  }
}

/** @param {Task} task @param {string} action @returns {Promise<any>} */
function run({ hass, image }, action) {
  const { entry_id, job_id, favorite } = image;
  const data = { config_entry_id: entry_id, job_id };
  switch (action) {
    case "again":
      return perform(hass, "regenerate", data);
    case "same_seed":
      return perform(hass, "regenerate", { ...data, same_seed: true });
    case "favorite":
      return perform(hass, "mark_images", { ...data, favorite: !favorite });
    case "hide":
      return perform(hass, "mark_images", { ...data, hidden: true });
    case "delete":
      return perform(hass, "delete_images", { ...data, ...(favorite && { include_favorites: true }) });
    default:
      return import("./download.js").then(({ download }) => download(hass, image));
  }
}

define("gaze-actions", GazeActions);

/** Show in a card what an action changed. @param {Card} card @param {Done} done */
export function showChange(card, { action, image, response }) {
  const { images } = card;
  if (action === "delete" || action === "hide") card.drop(image);
  if (action === "undo") card.show([...images, image].sort(byTime));
  if (action === "favorite") {
    card.show(images.map((one) => (one.job_id === image.job_id ? { ...one, favorite: !one.favorite } : one)));
  }
  if (response && response.jobs && "take" in card) /** @type {GenerateCard} */ (card).take(response);
}

/** Return the buttons of an image. @type {RenderActions} */
export const renderActions = (hass, image, actions, done) =>
  html`<gaze-actions .task=${{ hass, image, actions }} @gaze-done=${done}></gaze-actions>`;
