// Texts in the user's language. They come from the integration's translations.

/** @type {Localize | undefined} */
let localize;
let language = "";

/**
 * Load the texts in the language of the user.
 * @param {Hass} hass
 * @returns {Promise<void>}
 */
export async function loadTexts(hass) {
  if (language === hass.language && localize) return;
  const wanted = hass.language;
  localize = await hass.loadBackendTranslation("config_panel", "gaze");
  language = wanted;
}

/**
 * Return a text of the cards; an empty one while the texts are not loaded.
 * @param {string} key
 * @param {Record<string, string | number>} [values]
 * @returns {string}
 */
export const text = (key, values) =>
  localize ? localize(`component.gaze.config_panel.cards.${key}`, values) : "";

/**
 * Return what an action reports when it fails, in the language of the user.
 * @param {Hass} hass
 * @param {ActionError} error
 * @returns {Promise<string>}
 */
export async function describeError(hass, error) {
  const { translation_domain: domain, translation_key: key } = error;
  if (domain && key) {
    const texts = await hass.loadBackendTranslation("exceptions", domain);
    const described = texts(
      `component.${domain}.exceptions.${key}.message`,
      error.translation_placeholders
    );
    if (described) return described;
  }
  return error.message || error.error || text("unknown_error");
}

/**
 * Return a duration in words.
 * @param {number} seconds
 */
export function aboutSeconds(seconds) {
  const whole = Math.max(1, Math.round(seconds));
  return whole < 90
    ? text("about_seconds", { seconds: whole })
    : text("about_minutes", { minutes: Math.round(whole / 60) });
}

/**
 * Return a time as people write it.
 * @param {Hass} hass
 * @param {string | null} time
 */
export function formatTime(hass, time) {
  if (!time) return "";
  const style = /** @type {const} */ ({ dateStyle: "medium", timeStyle: "short" });
  return new Intl.DateTimeFormat(hass.language, style).format(new Date(time));
}
