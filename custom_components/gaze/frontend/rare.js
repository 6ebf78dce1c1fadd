// What cards rarely need: errors, hidden images, search, and a home without a server. Loaded on first use.
import { html, nothing } from "./vendor/lit.js";

/** Milliseconds that people have to stop typing before the search starts. */
const TYPING = 300;
/** Milliseconds that a message stays. */
const LEGIBLE = 10000;
/** What Home Assistant's connection reports for a command without a response. */
const CONNECTION_LOST = 3;
let typing = 0;

/**
 * Return what an action reports when it fails, in the user's language.
 * @param {Hass} hass @param {ActionError} error @param {Localize} text
 */
export async function describeError(hass, error, text) {
  const { translation_domain: domain, translation_key: key } = error;
  if (error.message === "Unauthorized") return text("not_allowed");
  if (domain && key) {
    const texts = await hass.loadBackendTranslation("exceptions", domain);
    const words = texts(`component.${domain}.exceptions.${key}.message`, error.translation_placeholders);
    if (words) return words;
  }
  if (error.error && error.error.code === CONNECTION_LOST) return text("connection_lost");
  return error.message || text("unknown_error");
}

/** Only administrators can add a server. @param {Card} card @param {Localize} text */
export const renderNoServer = ({ hass: { user } }, text) => html`<div class="note">
  <p>${text("no_server")}</p>
  ${user && !user.is_admin
    ? nothing
    : html`<a href="/config/integrations/dashboard/add?domain=gaze">${text("add_server")}</a>`}
</div>`;

/**
 * Show where a hidden image is, and how to show it again.
 * @param {HTMLElement} element @param {Task} task @param {Localize} text
 */
export async function reportHidden(element, { hass, image }, text) {
  const dialog = /** @type {ShadowRoot} */ (element.getRootNode()).querySelector("dialog[open]");
  // Nothing outside a modal dialog can be selected.
  if (dialog) await new Promise((resolve) => dialog.addEventListener("close", resolve, { once: true }));
  const data = { config_entry_id: image.entry_id, job_id: image.job_id, hidden: false };
  const undo = async () => {
    await hass.callService("gaze", "mark_images", data);
    element.dispatchEvent(new CustomEvent("gaze-done", { detail: { action: "undo", image } }));
  };
  const detail = {
    message: text("hidden"),
    duration: LEGIBLE,
    action: { text: hass.localize("ui.common.undo"), action: undo },
  };
  // The element may be gone together with its image.
  const page = document.querySelector("home-assistant, hc-main") || element;
  page.dispatchEvent(new CustomEvent("hass-notification", { detail }));
}

/** @param {(search: string) => void} choose @param {Localize} text */
export function renderSearch(choose, text, search = "") {
  /** @param {Event} event */
  const type = ({ target }) => {
    const search = /** @type {HTMLInputElement} */ (target).value.trim();
    clearTimeout(typing);
    typing = window.setTimeout(() => choose(search), TYPING);
  };
  return html`<input
    type="search"
    style="flex: 1 1 160px; width: auto"
    aria-label=${text("search")}
    placeholder=${text("search")}
    value=${search}
    @input=${type}
  />`;
}
