// Offers the cards and the dashboard to Home Assistant. A card loads its modules when it is shown.

/** Texts until the translations are loaded. @type {Record<string, string>} */
const ENGLISH = {
  generate_card: "GAZE generate",
  generate_card_description: "Generate images and see their progress.",
  gallery_card: "GAZE gallery",
  gallery_card_description: "Browse saved images.",
  dashboard_description: "Generate and browse images on one page.",
  invalid_choice: 'Change "{option}" to one of these values: {values}.',
  invalid_list: 'Change "{option}" to a list of these values: {values}.',
  invalid_text: 'Change "{option}" to a text.',
  invalid_texts: 'Change "{option}" to a list of presets.',
  invalid_both: 'Remove either "preset" or "recipe".',
};

/** Milliseconds until a retry. */
const RETRY = 2000;

/** The root element. @returns {any} */
const page = () => document.querySelector("home-assistant, hc-main") || {};
/** @param {string} module */
const load = (module) => import(`./${module}.js`);

/** In English if the texts are not loaded. @type {Localize} */
const say = (key, values = {}) => {
  const { hass } = page();
  const words = hass && hass.localize(`component.gaze.config_panel.cards.${key}`, values);
  if (hass && !words) hass.loadBackendTranslation("config_panel", "gaze");
  return words || ENGLISH[key].replace(/{(\w+)}/g, (_match, name) => `${values[name]}`);
};

/** @type {ChoiceRule} */
const choice = (...choices) => [(value) => choices.includes(value), "invalid_choice", choices.join(", ")];
/** @type {ChoiceRule} */
const list = (...choices) => [
  (value) => Array.isArray(value) && value.every((one) => choices.includes(one)),
  "invalid_list",
  choices.join(", "),
];
/** @param {number} min @param {number} max @returns {Rule} */
const number = (min, max) => [
  (value) => Number.isInteger(value) && value >= min && value <= max,
  "invalid_choice",
  `${min}–${max}`,
];
const flag = choice(true, false);
/** @param {unknown} value */
const isText = (value) => typeof value === "string";
/** @type {Rule} */
const words = [isText, "invalid_text"];

/** @type {Rules} */
const COMMON = {
  server: words,
  preset: words,
  recipe: words,
  tag: words,
  title: words,
  actions: list("again", "favorite", "download", "hide", "delete"),
  blur: flag,
};

/** @type {Rules} */
const GENERATE = {
  ...COMMON,
  presets: [(value) => Array.isArray(value) && value.every(isText), "invalid_texts"],
  fields: list("prompt", "negative", "size", "seed", "checkpoint", "count"),
  queue: flag,
  result: flag,
};

/** @type {Rules} */
const GALLERY = {
  ...COMMON,
  favorites: flag,
  search: [(value) => isText(value) || typeof value === "boolean", "invalid_text"],
  filter: choice("chips", "none"),
  layout: choice("grid", "hero", "strip"),
  thumbnails: choice("s", "m", "l"),
  fit: choice("cover", "contain"),
  caption: choice("none", "preset", "prompt", "time", true, false),
  limit: number(1, 1000),
  slideshow: number(0, 3600),
};

/** @param {CardConfig} config @param {Rules} rules */
function validate(config, rules) {
  for (const [option, [valid, key, values]] of Object.entries(rules)) {
    const value = config[option];
    const set = value !== undefined && value !== null && value !== "";
    if (set && !valid(value)) throw new Error(say(key, { option, values }));
  }
  if (config.preset && config.recipe) throw new Error(say("invalid_both"));
}

/** @param {"customCards" | "customStrategies"} name @param {Offer} offer */
function offerOnce(name, offer) {
  const offers = (window[name] = window[name] || []);
  if (!offers.some(({ type }) => type === offer.type)) offers.push(offer);
}

/** @param {string} name @param {CustomElementConstructor} element */
function define(name, element) {
  if (!customElements.get(name)) customElements.define(name, element);
}

/** The card picker or the editor. @param {Element} node */
const isDialog = ({ localName }) => /^hui-dialog/.test(localName);

/** @param {any} node */
function isInDialog(node) {
  while (node && !isDialog(node)) node = node.parentNode || node.host;
  return Boolean(node);
}

/** @param {"generate" | "gallery"} kind @param {Rules} rules */
function offerCard(kind, rules) {
  const type = `gaze-${kind}-card`;

  class Card extends HTMLElement {
    constructor() {
      super();
      /** @type {Partial<InnerCard>} */
      this._known = {};
      /** @type {InnerCard | undefined} */
      this._inner = undefined;
      /** @type {typeof import("./preview.js") | undefined} */
      this._samples = undefined;
    }

    static getStubConfig() {
      return {};
    }

    static async getConfigForm() {
      return (await import("./editor.js")).form(kind, page().hass);
    }

    /** @param {CardConfig} config */
    setConfig(config) {
      validate(config, rules);
      this._pass({ config });
    }

    /** @param {Hass} hass */
    set hass(hass) {
      this._pass({ hass });
      // A card in a dialog shows samples.
      if (!this.inert && ![...page().shadowRoot.children].some(isDialog)) this._show();
    }

    getGridOptions() {
      return { columns: 12, min_columns: 6 };
    }

    getCardSize() {
      return 8;
    }

    /** @param {Partial<InnerCard>} values */
    _pass(values) {
      Object.assign(this._known, values);
      const { _inner, _samples } = this;
      if (_inner) Object.assign(_inner, _samples ? _samples.replace(values) : values);
    }

    connectedCallback() {
      this.style.cssText = "display: block; height: 100%";
      this.inert = isInDialog(this);
      if (this.inert) this._inner = undefined;
      else this._show();
      if (!this._inner) this._load();
    }

    async _load() {
      const samples = this.inert ? import("./preview.js") : undefined;
      try {
        await load(kind);
        this._samples = await samples;
      } catch {
        // Home Assistant may be starting.
        setTimeout(() => this.isConnected && this._load(), RETRY);
        return;
      }
      this._show();
    }

    _show() {
      if (this._inner || !customElements.get(`gaze-${kind}`)) return;
      this._inner = /** @type {InnerCard} */ (document.createElement(`gaze-${kind}`));
      this._inner.loadViewer = () => import("./viewer.js");
      this._pass(this._known);
      this.replaceChildren(this._inner);
    }
  }

  define(type, Card);
  offerOnce("customCards", {
    type,
    get name() {
      return say(`${kind}_card`);
    },
    get description() {
      return say(`${kind}_card_description`);
    },
    preview: true,
    documentationURL: "https://github.com/gaze-home-assistant/gaze/blob/main/docs/dashboards.md",
    /** @param {Hass} hass @param {string} entityId */
    getEntitySuggestion({ entities, devices }, entityId) {
      const { platform, device_id = "" } = entities[entityId] || {};
      if (platform !== "gaze" || entityId.startsWith("image.") !== (kind === "gallery")) return null;
      const { model, identifiers: [[, id] = ["", ""]] = [], primary_config_entry: server } = devices[device_id] || {};
      const others = Object.values(devices).some((one) => one.manufacturer === "GAZE" && one.primary_config_entry !== server);
      const config = { type: `custom:${type}`, ...(others && { server }) };
      // The ID of its server is first.
      if (model === "Preset") return { config: { ...config, preset: id.slice(27) } };
      return { config: model === "Recipe" ? { ...config, recipe: id } : config };
    },
  });
}

/** @param {"dashboard" | "section"} kind */
function offerStrategy(kind) {
  class Strategy extends HTMLElement {
    /** @param {{server?: string}} config @param {Hass} hass */
    static async generate(config, hass) {
      return (await import("./strategy.js"))[kind](config, hass);
    }
  }
  define(`ll-strategy-${kind}-gaze`, Strategy);
  offerOnce("customStrategies", {
    type: "gaze",
    strategyType: kind,
    name: "GAZE",
    get description() {
      return say("dashboard_description");
    },
  });
}

function start() {
  offerCard("generate", GENERATE);
  offerCard("gallery", GALLERY);
  offerStrategy("dashboard");
  offerStrategy("section");
  // Modules that wait for each other would delay the images of a dashboard.
  customElements
    .whenDefined("ha-panel-lovelace")
    .then(() => Promise.all(["vendor/lit", "shared", "generate", "gallery"].map(load)))
    .catch(() => {});
}

// Home Assistant 2026.10 replaces `customElements`, and an element that was defined before is lost.
// The root element comes after that; it is another one on Cast.
Promise.race(["home-assistant", "hc-main"].map((name) => customElements.whenDefined(name)))
  .then(start)
  .catch((error) => console.error("The GAZE cards did not load.", error));
