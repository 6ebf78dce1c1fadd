// What people may write into the configuration of a card.

/** What people can do with an image. */
export const ACTIONS = ["again", "favorite", "download", "hide", "delete"];
export const FIELDS = ["prompt", "negative", "size", "seed", "checkpoint", "count"];
export const LAYOUTS = ["grid", "hero", "strip"];
export const CAPTIONS = ["none", "preset", "prompt", "time"];
export const THUMBNAILS = ["s", "m", "l"];
export const MAX_LIMIT = 1000;
export const MAX_PAUSE = 3600;

/** @typedef {[valid: (value: any) => boolean, must: string]} Rule */

/** @param {unknown} value */
const isText = (value) => typeof value === "string";

/** @param {string[]} values @returns {Rule} */
const oneOf = (values) => [(value) => values.includes(value), `one of ${values.join(", ")}`];

/** @param {string[]} values @returns {Rule} */
const listOf = (values) => [
  (list) => Array.isArray(list) && list.every((value) => values.includes(value)),
  `a list of ${values.join(", ")}`,
];

/** @param {number} least @param {number} most @returns {Rule} */
const number = (least, most) => [
  (value) => Number.isInteger(value) && value >= least && value <= most,
  `a whole number from ${least} to ${most}`,
];

/** @type {Rule} */
const someText = [isText, "a text"];
/** @type {Rule} */
const flag = [(value) => typeof value === "boolean", "true or false"];

/** @type {Record<string, Rule>} */
const COMMON = {
  server: [isText, "the ID of a GAZE server"],
  preset: [isText, "the name of a preset"],
  recipe: [isText, "the name of a recipe"],
  tag: someText,
  title: someText,
  actions: listOf(ACTIONS),
  blur: flag,
};

/** @type {Record<string, Rule>} */
export const GENERATE_RULES = {
  ...COMMON,
  presets: [(value) => Array.isArray(value) && value.every(isText), "a list of presets"],
  fields: listOf(FIELDS),
  queue: flag,
  result: flag,
};

/** @type {Record<string, Rule>} */
export const GALLERY_RULES = {
  ...COMMON,
  favorites: flag,
  search: [(value) => isText(value) || typeof value === "boolean", "a text, or true for a field"],
  filter: oneOf(["chips", "none"]),
  layout: oneOf(LAYOUTS),
  thumbnails: oneOf(THUMBNAILS),
  fit: oneOf(["cover", "contain"]),
  caption: [
    (value) => typeof value === "boolean" || CAPTIONS.includes(value),
    `one of ${CAPTIONS.join(", ")}`,
  ],
  limit: number(1, MAX_LIMIT),
  slideshow: number(0, MAX_PAUSE),
};

/**
 * Raise an error with a sentence that helps if an option has none of the values that it may have.
 * Home Assistant shows it in place of the card.
 * @param {Record<string, unknown>} config
 * @param {Record<string, Rule>} rules
 */
export function validate(config, rules) {
  for (const [option, [valid, must]] of Object.entries(rules)) {
    const value = config[option];
    if (value !== undefined && value !== null && value !== "" && !valid(value)) {
      throw new Error(`"${option}" must be ${must}.`);
    }
  }
  if (config.preset && config.recipe) throw new Error('Use "preset" or "recipe", not both.');
}
