// The forms that edit the cards. Loaded on first use.
import { hubOf, loadTexts, text } from "./shared.js";

const ACTIONS = ["again", "favorite", "download", "hide", "delete"];
/** How long a form waits for the names of presets and recipes, in milliseconds. */
const PATIENCE = 2000;

/** @typedef {{name: string, selector: object, default?: boolean}} Field */

/** @param {string} name @param {object} [selector] @returns {Field} */
const words = (name, selector = { text: {} }) => ({ name, selector });
/** @param {string} name @param {boolean} [value] of a card without the option @returns {Field} */
const flag = (name, value = false) => ({ ...words(name, { boolean: {} }), default: value });
/** @param {string} name @param {number} min @param {number} max */
const number = (name, min, max) => words(name, { number: { min, max, mode: "box" } });

/** @param {string} name @param {{value: string, label: string}[]} options @param {object} more */
const select = (name, options, more) => words(name, { select: { options, mode: "dropdown", ...more } });

/** @param {string} name @param {string[]} values @param {boolean} [multiple] */
const choice = (name, values, multiple = false) =>
  select(
    name,
    values.map((value) => ({ value, label: text(`choice_${value}`) })),
    { multiple, mode: multiple ? "list" : "dropdown" }
  );

/** Return a field with known values, or others that people type. @type {(name: string, known: Map<string, string>, multiple?: boolean) => Field} */
const named = (name, known, multiple = false) =>
  select(
    name,
    [...known].map(([value, label]) => ({ value, label })),
    { multiple, custom_value: true }
  );

/** Return the servers as soon as they are known. @param {Hass} hass @returns {Promise<Server[]>} */
const serversOf = (hass) =>
  new Promise((resolve) => {
    const hub = hubOf(hass);
    const end = () => {
      clearTimeout(timer);
      stop();
      resolve(hub.servers);
    };
    const timer = setTimeout(end, hub.ready ? 0 : PATIENCE);
    const stop = hub.listen(() => hub.ready && end());
  });

/**
 * Return the form that edits a card.
 * @param {"generate" | "gallery"} kind
 * @param {Hass | undefined} hass
 */
export async function form(kind, hass) {
  const servers = hass ? await serversOf(hass) : [];
  if (hass) await loadTexts(hass);
  const presets = new Map(servers.flatMap((server) => server.presets.map(({ slug, name }) => [slug, name])));
  const recipes = new Map(servers.flatMap((server) => server.recipes.map(({ id, name }) => [id, name])));
  const common = [
    words("title"),
    words("server", { config_entry: { integration: "gaze" } }),
    named("preset", presets),
    named("recipe", recipes),
  ];
  const generate = [
    named("presets", presets, true),
    choice("fields", ["prompt", "negative", "size", "seed", "checkpoint", "count"], true),
    choice("actions", ACTIONS, true),
    flag("queue", true),
    flag("result", true),
    flag("blur"),
    words("tag"),
  ];
  const gallery = [
    words("tag"),
    named("search", new Map([["true", text("search_field")]])),
    flag("favorites"),
    choice("layout", ["grid", "hero", "strip"]),
    choice("thumbnails", ["s", "m", "l"]),
    choice("fit", ["cover", "contain"]),
    choice("caption", ["none", "preset", "prompt", "time"]),
    choice("filter", ["chips", "none"]),
    number("limit", 1, 1000),
    number("slideshow", 0, 3600),
    choice("actions", ACTIONS, true),
    flag("blur"),
  ];
  return {
    schema: [...common, ...(kind === "generate" ? generate : gallery)],
    /** @param {Field} field */
    computeLabel: ({ name }) => text(`option_${name}`),
    /** @param {Field} field */
    computeHelper: ({ name }) =>
      (kind === "gallery" && name === "preset" ? "" : text(`option_${name}_help`)) || undefined,
  };
}
