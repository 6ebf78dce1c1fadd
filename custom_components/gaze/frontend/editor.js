// The forms that edit the cards. They are loaded on first use.
import { ACTIONS, CAPTIONS, FIELDS, LAYOUTS, MAX_LIMIT, MAX_PAUSE, THUMBNAILS } from "./config.js";
import { knownServers } from "./hub.js";
import { text } from "./texts.js";

/**
 * Return the selector of a choice of texts.
 * @param {string} option
 * @param {string[]} values
 * @param {boolean} [multiple]
 */
const choice = (option, values, multiple = false) => ({
  name: option,
  selector: {
    select: {
      multiple,
      mode: multiple ? "list" : "dropdown",
      options: values.map((value) => ({ value, label: text(`choice_${value}`) || value })),
    },
  },
});

/**
 * Return the selector of presets, which may be typed too.
 * @param {string} option
 * @param {boolean} [multiple]
 */
function presetChoice(option, multiple = false) {
  const options = new Map();
  for (const server of knownServers()) {
    for (const preset of server.presets) options.set(preset.slug, preset.name);
  }
  return {
    name: option,
    selector: {
      select: {
        multiple,
        custom_value: true,
        mode: "dropdown",
        options: [...options].map(([value, label]) => ({ value, label })),
      },
    },
  };
}

/**
 * Return the form that edits a card.
 * @param {object[]} schema
 */
const form = (schema) => ({
  schema,
  /** @param {{name: string}} field */
  computeLabel: (field) => text(`option_${field.name}`) || field.name,
  /** @param {{name: string}} field */
  computeHelper: (field) => text(`option_${field.name}_help`) || undefined,
});

/** Return the form of the card that generates. */
export function generateForm() {
  return form([
    { name: "title", selector: { text: {} } },
    { name: "server", selector: { config_entry: { integration: "gaze" } } },
    presetChoice("preset"),
    presetChoice("presets", true),
    choice("fields", FIELDS, true),
    choice("actions", ACTIONS, true),
    { name: "queue", selector: { boolean: {} } },
    { name: "result", selector: { boolean: {} } },
    { name: "blur", selector: { boolean: {} } },
    { name: "tag", selector: { text: {} } },
  ]);
}

/** Return the form of the gallery. */
export function galleryForm() {
  return form([
    { name: "title", selector: { text: {} } },
    { name: "server", selector: { config_entry: { integration: "gaze" } } },
    presetChoice("preset"),
    { name: "tag", selector: { text: {} } },
    { name: "search", selector: { text: {} } },
    { name: "favorites", selector: { boolean: {} } },
    choice("layout", LAYOUTS),
    choice("thumbnails", THUMBNAILS),
    choice("fit", ["cover", "contain"]),
    choice("caption", CAPTIONS),
    choice("filter", ["chips", "none"]),
    { name: "limit", selector: { number: { min: 1, max: MAX_LIMIT, mode: "box" } } },
    { name: "slideshow", selector: { number: { min: 0, max: MAX_PAUSE, mode: "box" } } },
    choice("actions", ACTIONS, true),
    { name: "blur", selector: { boolean: {} } },
  ]);
}
