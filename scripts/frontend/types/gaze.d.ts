// What the cards use of Home Assistant's frontend, and what the integration sends.

type Localize = (key: string, values?: Record<string, string | number>) => string;

interface ActionError {
  message?: string;
  error?: string;
  translation_domain?: string;
  translation_key?: string;
  translation_placeholders?: Record<string, string>;
}

interface Connection {
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
}

interface Hass {
  connection: Connection;
  language: string;
  entities: Record<string, EntityEntry>;
  devices: Record<string, DeviceEntry>;
  services: Record<string, Record<string, unknown>>;
  loadBackendTranslation(category: string, integration: string): Promise<Localize>;
  fetchWithAuth(path: string, init?: RequestInit): Promise<Response>;
  callService(
    domain: string,
    service: string,
    data: object,
    target: undefined,
    notifyOnError: boolean,
    returnResponse: boolean,
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
}

interface Server {
  entry_id: string;
  title: string;
  loaded: boolean;
  connected: boolean;
  status: string;
  presets: Preset[];
  preset_count: number;
  recipes: { id: string; name: string; preset: string }[];
  images: { newest: string | null; count: number };
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
  [option: string]: any;
}

interface GenerateConfig extends CardConfig {
  server?: string;
  preset?: string;
  recipe?: string;
  presets?: string[];
  fields?: string[];
  actions?: string[];
  queue?: boolean;
  result?: boolean;
  blur?: boolean;
  tag?: string;
  title?: string;
}

interface GalleryConfig extends CardConfig {
  server?: string;
  preset?: string;
  recipe?: string;
  tag?: string;
  favorites?: boolean;
  search?: string | boolean;
  filter?: "chips" | "none";
  layout?: "grid" | "hero" | "strip";
  thumbnails?: "s" | "m" | "l";
  fit?: "cover" | "contain";
  caption?: string | boolean;
  limit?: number;
  slideshow?: number;
  actions?: string[];
  blur?: boolean;
  title?: string;
}

interface GalleryCardFilter {
  preset?: string;
  favorite?: boolean;
  search?: string;
}

interface ViewerParams {
  images: GazeImageInfo[];
  index: number;
  actions?: string[];
  acted: (event: CustomEvent) => void;
  more?: () => Promise<GazeImageInfo[]>;
}

interface InnerCard extends HTMLElement {
  hass: Hass;
  preview: boolean;
  setConfig(config: CardConfig): void;
}

interface Window {
  customCards: { type: string }[];
  customStrategies: { type: string }[];
}
