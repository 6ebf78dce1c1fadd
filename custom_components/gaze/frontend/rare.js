// What cards rarely need: errors, long lists of presets, search, and a home without a server.
import { html, nothing } from "./vendor/lit.js";
import { perform, text } from "./shared.js";

/** Milliseconds that people have to stop typing before the search starts. */
const TYPING = 300;
let typing = 0;

/**
 * Return what an action reports when it fails, in the user's language.
 * @param {Hass} hass @param {ActionError} error
 */
export async function describeError(hass, error) {
  const { translation_domain: domain, translation_key: key } = error;
  if (error.message === "Unauthorized") return text("not_allowed");
  if (domain && key) {
    const texts = await hass.loadBackendTranslation("exceptions", domain);
    const words = texts(`component.${domain}.exceptions.${key}.message`, error.translation_placeholders);
    if (words) return words;
  }
  return error.message || error.error || text("unknown_error");
}

/**
 * Load presets that did not fit into a message. Those of the message stay if that fails.
 * @param {Hub} hub @param {Server} server @param {string} key
 */
export async function loadPresets(hub, { entry_id }, key) {
  const { presets } = await perform(hub.hass, "list_presets", { config_entry_id: entry_id });
  hub.takePresets(key, presets);
}

/** Only administrators can add a server. @param {Card} card */
export const renderNoServer = ({ hass: { user } }) => html`<div class="note">
  <p>${text("no_server")}</p>
  ${user && !user.is_admin
    ? nothing
    : html`<a href="/config/integrations/dashboard/add?domain=gaze">${text("add_server")}</a>`}
</div>`;

/** @param {(search: string) => void} choose */
export function renderSearch(choose) {
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
    @input=${type}
  />`;
}
