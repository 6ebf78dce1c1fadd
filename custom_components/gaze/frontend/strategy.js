// The dashboard that people choose under *Community dashboards*.
import { loadTexts, text } from "./shared.js";

/** @param {string} name @param {string} icon */
const heading = (name, icon) => ({ type: "heading", heading: name, icon });
/** @param {object[]} cards */
const grid = (cards) => ({ type: "grid", cards });

/**
 * Return the entities of GAZE in a domain whose device is of a model, or of any model.
 * @param {Hass} hass
 * @param {string} domain
 * @param {string} [model]
 */
function entitiesOf(hass, domain, model) {
  return Object.values(hass.entities)
    .filter((entity) => {
      const device = hass.devices[entity.device_id || ""];
      return (
        entity.platform === "gaze" &&
        !entity.hidden &&
        entity.entity_id.startsWith(`${domain}.`) &&
        (!model || (device && device.model === model))
      );
    })
    .map((entity) => entity.entity_id);
}

/**
 * Return the sections of the dashboard that have content.
 * @param {Hass} hass
 * @param {{server?: string}} config
 */
async function sectionsOf(hass, config) {
  await loadTexts(hass);
  const server = config.server ? { server: config.server } : {};
  const recipes = entitiesOf(hass, "button", "Recipe");
  const displays = entitiesOf(hass, "image", "Display");
  const events = entitiesOf(hass, "event");
  const full = { columns: "full" };
  /** @param {string} entity */
  const tile = (entity) => ({ type: "tile", entity, grid_options: { columns: 6 } });
  const sections = [
    grid([
      heading(text("section_generate"), "mdi:creation"),
      { type: "custom:gaze-generate-card", ...server, grid_options: full },
    ]),
    grid([
      heading(text("section_gallery"), "mdi:image-multiple"),
      { type: "custom:gaze-gallery-card", ...server, grid_options: full },
    ]),
  ];
  if (recipes.length) {
    sections.push(
      grid([heading(text("section_recipes"), "mdi:book-open-variant"), ...recipes.map(tile)])
    );
  }
  if (displays.length) {
    const cards = displays.map((entity) => ({ type: "picture-entity", entity, show_state: false }));
    sections.push(grid([heading(text("section_displays"), "mdi:monitor"), ...cards]));
  }
  if (events.length) {
    const log = { type: "logbook", target: { entity_id: events }, hours_to_show: 24 };
    sections.push(
      grid([
        heading(text("section_activity"), "mdi:timeline-text"),
        { ...log, grid_options: { ...full, rows: 6 } },
      ])
    );
  }
  return sections;
}

/** @param {{server?: string}} config @param {Hass} hass */
export async function dashboard(config, hass) {
  const sections = await sectionsOf(hass, config);
  const view = { type: "sections", title: "GAZE", path: "gaze", icon: "mdi:creation" };
  return { title: "GAZE", views: [{ ...view, max_columns: 3, sections }] };
}

/** @param {{server?: string}} config @param {Hass} hass */
export async function section(config, hass) {
  const [generate, gallery] = await sectionsOf(hass, config);
  return grid([...generate.cards, ...gallery.cards]);
}
