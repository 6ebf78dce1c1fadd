// Defines the elements and offers the cards and the dashboard to the frontend.
import { GALLERY_RULES, GENERATE_RULES, validate } from "./config.js";
import { define } from "./define.js";
import { text } from "./texts.js";

/** @typedef {[load: () => Promise<unknown>, name: string, rules: Record<string, import("./config.js").Rule>]} Kind */

/**
 * A card as Home Assistant sees it. What people see is loaded when the first one is shown, so
 * pages without our cards stay as fast as before.
 */
class LazyCard extends HTMLElement {
  constructor() {
    super();
    /** @type {InnerCard | undefined} */
    this._inner = undefined;
    /** @type {CardConfig | undefined} */
    this._config = undefined;
    /** @type {Hass | undefined} */
    this._hass = undefined;
    this._preview = false;
  }

  static getStubConfig() {
    return {};
  }

  /** @returns {Kind} */
  get _kind() {
    throw new Error("A kind of card is needed");
  }

  /** @param {CardConfig} config */
  setConfig(config) {
    validate(config, this._kind[2]);
    this._config = config;
    if (this._inner) this._inner.setConfig(config);
  }

  /** @param {Hass} hass */
  set hass(hass) {
    this._hass = hass;
    if (this._inner) this._inner.hass = hass;
  }

  /** @param {boolean} preview */
  set preview(preview) {
    this._preview = preview;
    if (this._inner) this._inner.preview = preview;
  }

  getGridOptions() {
    return { columns: 12, min_columns: 6 };
  }

  getCardSize() {
    return 8;
  }

  async connectedCallback() {
    this.style.display = "block";
    this.style.height = "100%";
    if (this._inner) return;
    const [load, name] = this._kind;
    await load();
    if (this._inner || !this._config) return;
    const inner = /** @type {InnerCard} */ (document.createElement(name));
    this._inner = inner;
    inner.preview = this._preview;
    inner.setConfig(this._config);
    if (this._hass) inner.hass = this._hass;
    this.replaceChildren(inner);
  }
}

class GazeGenerateCard extends LazyCard {
  get _kind() {
    return /** @type {Kind} */ ([() => import("./generate.js"), "gaze-generate", GENERATE_RULES]);
  }

  static async getConfigForm() {
    return (await import("./editor.js")).generateForm();
  }
}

class GazeGalleryCard extends LazyCard {
  get _kind() {
    return /** @type {Kind} */ ([() => import("./gallery.js"), "gaze-gallery", GALLERY_RULES]);
  }

  static async getConfigForm() {
    return (await import("./editor.js")).galleryForm();
  }
}

class GazeDashboardStrategy extends HTMLElement {
  /** @param {{server?: string}} config @param {Hass} hass */
  static async generate(config, hass) {
    return (await import("./strategy.js")).dashboard(config, hass);
  }
}

class GazeSectionStrategy extends HTMLElement {
  /** @param {{server?: string}} config @param {Hass} hass */
  static async generate(config, hass) {
    return (await import("./strategy.js")).sectionOfCards(config, hass);
  }
}

/** @type {[string, CustomElementConstructor][]} */
const ELEMENTS = [
  ["gaze-generate-card", GazeGenerateCard],
  ["gaze-gallery-card", GazeGalleryCard],
  ["ll-strategy-dashboard-gaze", GazeDashboardStrategy],
  ["ll-strategy-section-gaze", GazeSectionStrategy],
];

/**
 * Return the text of a key, or the English one before the texts are loaded.
 * @param {string} key
 * @param {string} english
 */
const named = (key, english) => text(key) || english;

/**
 * Return the configuration of a card for an entity of GAZE, or null for any other entity.
 * @param {Hass} hass
 * @param {string} entityId
 * @param {(domain: string) => boolean} fits
 * @param {string} type
 */
function suggest(hass, entityId, fits, type) {
  const entity = hass.entities[entityId];
  if (!entity || entity.platform !== "gaze" || !fits(entityId.split(".")[0])) return null;
  return { config: { type: `custom:${type}` } };
}

const CARDS = [
  {
    type: "gaze-generate-card",
    get name() {
      return named("generate_card", "GAZE generate");
    },
    get description() {
      return named("generate_card_description", "Generate images and watch their progress.");
    },
    preview: true,
    /** @param {Hass} hass @param {string} entityId */
    getEntitySuggestion: (hass, entityId) =>
      suggest(hass, entityId, (domain) => domain !== "image", "gaze-generate-card"),
  },
  {
    type: "gaze-gallery-card",
    get name() {
      return named("gallery_card", "GAZE gallery");
    },
    get description() {
      return named("gallery_card_description", "Browse the saved images.");
    },
    preview: true,
    /** @param {Hass} hass @param {string} entityId */
    getEntitySuggestion: (hass, entityId) =>
      suggest(hass, entityId, (domain) => domain === "image", "gaze-gallery-card"),
  },
];

const STRATEGY = {
  type: "gaze",
  strategyType: "dashboard",
  name: "GAZE",
  get description() {
    return named("dashboard_description", "Generate and browse images, with all that happened.");
  },
};

/**
 * Add an offer to a list of the frontend, which another copy of the cards may have done before.
 * @param {"customCards" | "customStrategies"} list
 * @param {{type: string}} offer
 */
function offerOnce(list, offer) {
  window[list] = window[list] || [];
  if (!window[list].some((known) => known.type === offer.type)) window[list].push(offer);
}

/** Define the elements and offer them. */
export function start() {
  for (const [name, element] of ELEMENTS) define(name, element);
  for (const card of CARDS) offerOnce("customCards", card);
  offerOnce("customStrategies", STRATEGY);
}
