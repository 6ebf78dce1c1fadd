// What cards rarely need: errors, long lists of presets, and a home without a server.
import { html, nothing } from "./vendor/lit.js";
import { perform, text } from "./shared.js";

/**
 * Return what an action reports when it fails, in the user's language.
 * @param {Hass} hass @param {ActionError} error
 */
export async function describeError(hass, error) {
  const { translation_domain: domain, translation_key: key } = error;
  if (error.code === "unauthorized") return text("not_allowed");
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
