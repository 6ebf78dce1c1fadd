// What cards rarely need: errors, search, and a home without a server. Loaded on first use.
import { html, nothing } from "./vendor/lit.js";

/** Milliseconds that people have to stop typing before the search starts. */
const TYPING = 300;
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
  return error.message || error.error || text("unknown_error");
}

/** Only administrators can add a server. @param {Card} card @param {Localize} text */
export const renderNoServer = ({ hass: { user } }, text) => html`<div class="note">
  <p>${text("no_server")}</p>
  ${user && !user.is_admin
    ? nothing
    : html`<a href="/config/integrations/dashboard/add?domain=gaze">${text("add_server")}</a>`}
</div>`;

/** @param {(search: string) => void} choose @param {Localize} text */
export function renderSearch(choose, text) {
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
