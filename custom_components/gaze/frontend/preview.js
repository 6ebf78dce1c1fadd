// Samples for the card picker and the editor: cards show them without a request. Loaded on first use.

const SERVER = "sample";
const HUES = [205, 28, 330, 150, 262, 48, 190, 350];
const WIDTH = 600;
const HEIGHT = 400;

const PRESETS = ["Neon city", "Watercolor harbor", "Oil painting", "Paper forest"].map((name) => ({
  slug: name.toLowerCase().replace(" ", "_"),
  name,
}));

const PROMPTS = ["at dawn, soft light", "after the rain", "in autumn"];

/** @type {GazeImageInfo[]} */
const IMAGES = HUES.map((_hue, number) => {
  const { slug, name } = PRESETS[number % PRESETS.length];
  return {
    entry_id: SERVER,
    job_id: `${number}`,
    preset: slug,
    preset_name: name,
    tag: null,
    seed: null,
    width: WIDTH,
    height: HEIGHT,
    checkpoint: null,
    extra_positive: PROMPTS[number % PROMPTS.length],
    extra_negative: null,
    finished_at: new Date(Date.now() - number * 3600000).toISOString(),
    content_type: "image/png",
    favorite: number === 1,
  };
});

/** @type {Server} */
const STATE = {
  entry_id: SERVER,
  title: "GAZE",
  loaded: true,
  connected: true,
  status: "idle",
  presets: PRESETS,
  preset_count: PRESETS.length,
  preset_list: "",
  recipes: [],
  images: { newest: IMAGES[0].job_id, count: IMAGES.length, changes: 0 },
  jobs: [],
  open_jobs: 0,
};

/** @param {string} slug */
const nameOf = (slug) => (PRESETS.find((preset) => preset.slug === slug) || { name: slug }).name;

/** Responds in place of Home Assistant. @type {any} */
const connection = {
  connected: true,
  addEventListener() {},
  /** @param {(message: object) => void} listener */
  async subscribeMessage(listener) {
    listener({ now: new Date().toISOString(), servers: [STATE] });
    return async () => {};
  },
  /** Each sample matches each filter. @param {{limit: number, favorite?: boolean, preset?: string}} command */
  async sendMessagePromise({ limit, favorite, preset }) {
    const images = IMAGES.slice(0, limit).map((image) => ({
      ...image,
      favorite: favorite || image.favorite,
      preset_name: preset ? nameOf(preset) : image.preset_name,
    }));
    return { images, cursor: null, presets: PRESETS };
  },
};

/** Draw the sample of a path. @param {string} path */
async function draw(path) {
  const hue = HUES[parseInt(path.slice(path.lastIndexOf("/") + 1), 10)];
  const canvas = document.createElement("canvas");
  canvas.width = WIDTH;
  canvas.height = HEIGHT;
  const pen = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
  /** @param {string} color @param {[number, number][]} corners */
  const fill = (color, corners) => {
    pen.fillStyle = color;
    pen.beginPath();
    corners.forEach(([x, y]) => pen.lineTo(x * WIDTH, y * HEIGHT));
    pen.fill();
  };
  fill(`hsl(${hue}, 70%, 68%)`, [[0, 0], [1, 0], [1, 1], [0, 1]]);
  fill(`hsl(${hue + 70}, 45%, 38%)`, [[0, 0.6], [1, 0.4], [1, 1], [0, 1]]);
  fill(`hsl(${hue + 90}, 50%, 24%)`, [[0, 0.85], [1, 0.65], [1, 1], [0, 1]]);
  pen.fillStyle = `hsl(${hue + 40}, 90%, 82%)`;
  pen.beginPath();
  pen.arc(WIDTH * 0.4, HEIGHT * 0.28, HEIGHT * 0.14, 0, 7);
  pen.fill();
  return new Response(await new Promise((resolve) => canvas.toBlob(resolve)));
}

/**
 * Replace what leads to real servers and images.
 * @param {{config?: CardConfig, hass?: Hass}} values
 */
export function replace({ config, hass }) {
  return {
    ...(config && { config: { ...config, server: undefined } }),
    ...(hass && { hass: { ...hass, connection, fetchWithAuth: draw } }),
  };
}
