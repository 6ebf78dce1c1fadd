// What the cards use of Home Assistant's frontend, and what the integration sends.

type Localize = (key: string, values?: Record<string, any>) => string;

interface ActionError {
  message?: string;
  error?: { code: number };
  translation_domain?: string;
  translation_key?: string;
  translation_placeholders?: Record<string, string>;
}

interface Connection {
  connected: boolean;
  addEventListener(type: "ready" | "disconnected", listener: () => void): void;
  subscribeMessage<T>(
    listener: (message: T) => void,
    command: object,
    options?: { resubscribe?: boolean },
  ): Promise<() => Promise<void>>;
  sendMessagePromise<T>(command: object): Promise<T>;
}

interface EntityEntry {
  entity_id: string;
  device_id?: string;
  platform?: string;
  hidden?: boolean;
}

interface DeviceEntry {
  model?: string | null;
  manufacturer?: string | null;
  primary_config_entry?: string | null;
  identifiers?: [string, string][];
}

interface Hass {
  user?: { is_admin: boolean };
  connection: Connection;
  language: string;
  entities: Record<string, EntityEntry>;
  devices: Record<string, DeviceEntry>;
  localize: Localize;
  loadBackendTranslation(category: string, integration: string): Promise<Localize>;
  fetchWithAuth(path: string, init?: RequestInit): Promise<Response>;
  callService(
    domain: string,
    service: string,
    data: object,
    target?: undefined,
    notifyOnError?: boolean,
    returnResponse?: boolean,
  ): Promise<{ response: any }>;
}

interface Preset {
  slug: string;
  name: string;
}

interface Job {
  job_id: string;
  batch_id: string;
  index: number;
  count: number;
  status: "queued" | "processing" | "done" | "failed";
  reason: string | null;
  error: string | null;
  preset: string;
  preset_name: string;
  recipe_name: string | null;
  requested_at: string;
  started_at: string | null;
  expected_start: string | null;
  expected_end: string | null;
  expected_margin: number | null;
}

interface Server {
  entry_id: string;
  title: string;
  loaded: boolean;
  connected: boolean;
  status: string;
  presets: Preset[];
  preset_count: number;
  preset_list: string;
  recipes: { id: string; name: string; preset: string }[];
  images: { newest: string | null; count: number; changes: number };
  jobs: Job[];
  open_jobs: number;
}

interface GazeImageInfo {
  entry_id: string;
  job_id: string;
  preset: string;
  preset_name: string;
  recipe_name?: string | null;
  tag: string | null;
  seed: string | null;
  width: number;
  height: number;
  checkpoint: string | null;
  extra_positive: string | null;
  extra_negative: string | null;
  finished_at: string;
  content_type: string;
  favorite?: boolean;
}

interface Page {
  images: GazeImageInfo[];
  cursor: string | null;
  presets?: { slug: string; name: string; count: number }[];
}

interface CardConfig {
  type: string;
  title?: string;
  server?: string;
  preset?: string;
  recipe?: string;
  tag?: string;
  actions?: string[];
  blur?: boolean;
  presets?: string[];
  fields?: string[];
  queue?: boolean;
  result?: boolean;
  favorites?: boolean;
  search?: string | boolean;
  filter?: string;
  layout?: string;
  thumbnails?: string;
  fit?: string;
  caption?: string | boolean;
  limit?: number;
  slideshow?: number;
  [option: string]: unknown;
}

/** A preset or a recipe that people can choose. */
interface Choice {
  kind: string;
  id: string;
  name: string;
}

/** What people chose to see, and where a page of images begins. */
interface Filter {
  preset?: string;
  favorite?: boolean;
  search?: string;
  limit?: number;
  cursor?: string | null;
}

/** What people did with an image. */
interface Done {
  action: string;
  image: GazeImageInfo;
  response?: any;
}

/** An image and what people can do with it. */
interface Task {
  hass: Hass;
  image: GazeImageInfo;
  actions: string[];
}

interface ImageSource {
  hass: Hass;
  path: string;
  alt: string;
  missing: () => void;
}

/** The side of a thumbnail is 256 or 512 pixels. */
type ImagePath = (image: { entry_id: string; job_id: string }, side?: number) => string;
type LoadImage = (hass: Hass, path: string, init?: RequestInit) => Promise<HTMLImageElement | undefined>;
type LoadEarly = (hass: Hass, image: GazeImageInfo, side: number) => void;
type RenderImage = (
  hass: Hass,
  image: GazeImageInfo,
  side: number,
  missing: () => void,
  alt?: string,
) => unknown;
type RenderTile = (
  image: GazeImageInfo,
  side: number,
  options: { kind?: string; style?: string; current?: boolean; focused?: () => void },
) => unknown;
type RenderActions = (
  hass: Hass,
  image: GazeImageInfo,
  actions: string[],
  done: (event: CustomEvent<Done>) => void,
) => unknown;

interface InnerCard extends HTMLElement {
  loadViewer: () => Promise<unknown>;
  config: CardConfig;
  hass: Hass;
}

interface Offer {
  type: string;
  name: string;
  description: string;
  [more: string]: unknown;
}

interface Window {
  customCards: Offer[];
  customStrategies: Offer[];
}

type Hub = import("./shared.js").Hub;
type Card = import("./shared.js").GazeCard;
type GalleryCard = import("./gallery.js").GazeGallery;
type GenerateCard = import("./generate.js").GazeGenerate;

/** Whether a value of an option is valid, the text of the error, and the values that it names. */
type Rule = [valid: (value: any) => boolean, key: string, values?: string];
type Rules = Record<string, Rule>;
type ChoiceRule = (...choices: unknown[]) => Rule;

type Perform = <T>(hass: Hass, action: string, data: object) => Promise<T>;
type ListImages = (hass: Hass, filters: object) => Promise<Page>;
type IconButton = (name: string, click: () => void, disabled?: boolean, expanded?: unknown) => unknown;
