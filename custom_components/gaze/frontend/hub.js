// The state of all servers, which the cards of a page share.

/** Milliseconds until a subscription without listeners ends: dashboards remove and add cards. */
const LINGER = 5000;
/** Milliseconds until the next try while the integration is not set up. */
const RETRY = 2000;

/** The state of all servers over one connection. It outlives a lost connection and a reload. */
export class Hub {
  /** @param {Hass} hass */
  constructor(hass) {
    this._hass = hass;
    this._connection = hass.connection;
    /** @type {Set<() => void>} */
    this._listeners = new Set();
    /** @type {(() => void) | undefined} */
    this._unsubscribe = undefined;
    this._asking = false;
    /** @type {number | undefined} */
    this._timer = undefined;
    /** @type {Map<string, {slug: string, name: string}[]>} */
    this._longLists = new Map();
    /** Whether a first state came. */
    this.ready = false;
    /** Whether Home Assistant is connected. */
    this.online = true;
    /** @type {Server[]} */
    this.servers = [];
    /** Milliseconds that the server's clock is ahead of this one. */
    this.ahead = 0;
    this._connection.addEventListener("ready", () => this._reconnected());
    this._connection.addEventListener("disconnected", () => this._disconnected());
  }

  /** @returns {number} the time on the server's clock, in milliseconds */
  get now() {
    return Date.now() + this.ahead;
  }

  /**
   * Call a listener after each change. Returns how to stop that.
   * @param {() => void} listener
   */
  listen(listener) {
    this._listeners.add(listener);
    window.clearTimeout(this._timer);
    this._subscribe();
    return () => {
      this._listeners.delete(listener);
      if (!this._listeners.size) {
        this._timer = window.setTimeout(() => this._stop(), LINGER);
      }
    };
  }

  /**
   * Return a server, or the first one.
   * @param {string | undefined} entryId
   */
  server(entryId) {
    return entryId ? this.servers.find((server) => server.entry_id === entryId) : this.servers[0];
  }

  async _subscribe() {
    if (this._asking || this._unsubscribe || !this._listeners.size) return;
    this._asking = true;
    try {
      this._unsubscribe = await this._connection.subscribeMessage(
        (message) => this._receive(message),
        { type: "gaze/subscribe" },
        { resubscribe: false }
      );
    } catch (_error) {
      // Home Assistant knows the command when it has set up the integration.
      this._timer = window.setTimeout(() => this._subscribe(), RETRY);
    } finally {
      this._asking = false;
    }
  }

  _stop() {
    const unsubscribe = this._unsubscribe;
    this._unsubscribe = undefined;
    if (unsubscribe) unsubscribe();
  }

  _disconnected() {
    this.online = false;
    this._unsubscribe = undefined;
    this._notify();
  }

  _reconnected() {
    this.online = true;
    this._unsubscribe = undefined;
    this._subscribe();
    this._notify();
  }

  /** @param {{now: string, servers: Server[]}} message */
  _receive(message) {
    this.ahead = Date.parse(message.now) - Date.now();
    this.servers = message.servers.map((server) => this._merge(server));
    this.ready = true;
    this._notify();
  }

  /**
   * Return a server with what is known of it: while it is reloaded, nothing disappears.
   * @param {Server} server
   * @returns {Server}
   */
  _merge(server) {
    const known = this.server(server.entry_id);
    if (!server.loaded && known) {
      return { ...known, loaded: false, connected: false, status: server.status };
    }
    if (server.preset_count > server.presets.length) {
      const key = `${server.entry_id} ${server.preset_count}`;
      const list = this._longLists.get(key);
      if (list) return { ...server, presets: list };
      this._loadPresets(server.entry_id, key);
    }
    return server;
  }

  /**
   * Load the presets of a server that has more than a message holds.
   * @param {string} entryId
   * @param {string} key
   */
  async _loadPresets(entryId, key) {
    this._longLists.set(key, []);
    try {
      const data = { config_entry_id: entryId };
      const { response } = await this._hass.callService(
        "gaze",
        "list_presets",
        data,
        undefined,
        false,
        true
      );
      this._longLists.set(key, response.presets);
      this.servers = this.servers.map((server) =>
        server.entry_id === entryId ? { ...server, presets: response.presets } : server
      );
      this._notify();
    } catch (_error) {
      this._longLists.delete(key);
    }
  }

  _notify() {
    for (const listener of [...this._listeners]) listener();
  }
}

/** @type {WeakMap<object, Hub>} */
const hubs = new WeakMap();
/** @type {Hub | undefined} */
let latest;

/**
 * Return the hub of a connection.
 * @param {Hass} hass
 * @returns {Hub}
 */
export function hubOf(hass) {
  let hub = hubs.get(hass.connection);
  if (!hub) {
    hub = new Hub(hass);
    hubs.set(hass.connection, hub);
  }
  latest = hub;
  return hub;
}

/** Return the servers that are known without a connection at hand, for the editors of the cards. */
export const knownServers = () => (latest ? latest.servers : []);

/**
 * Return a page of saved images.
 * @param {Hass} hass
 * @param {Record<string, unknown>} filters
 * @returns {Promise<Page>}
 */
export const listImages = (hass, filters) =>
  hass.connection.sendMessagePromise({ type: "gaze/images", ...filters });
