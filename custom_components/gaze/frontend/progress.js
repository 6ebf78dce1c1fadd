// How far images are, and the queue. Loaded with the first job.
import { html, nothing } from "./vendor/lit.js";
import { GazeElement, define, describeError, text } from "./shared.js";

/** Milliseconds between two steps of the bar. */
const STEP = 500;
/** How full the bar is at most before the images are there. */
const ALMOST = 0.95;

/**
 * Note what a screen reader should say of the last request of a card, and why it failed.
 * @param {GenerateCard} card
 */
export function announce(card) {
  const { server, batch } = card;
  const own = server ? server.jobs.filter(({ job_id }) => batch.includes(job_id)) : [];
  const failed = own.find(({ status }) => status === "failed");
  if (failed) blame(card, failed);
  else if (own.some(({ status }) => status === "processing")) card.said = text("generating");
  else if (own.length && own.every(({ status }) => status === "done")) {
    card.said = text("finished", { count: batch.length });
    showResult(card);
  }
}

/** @type {WeakMap<GenerateCard, string[]>} the finished requests whose images cards showed */
const scrolled = new WeakMap();

/** Scroll to the result, for people who watch the bar below it and do not type. @param {GenerateCard} card */
function showResult(card) {
  const { root, batch } = card;
  const bar = root.querySelector("gaze-progress");
  if (!bar || scrolled.get(card) === batch) return;
  scrolled.set(card, batch);
  const { top } = bar.getBoundingClientRect();
  /** @type {HTMLElement | null} */
  const result = root.querySelector(".result");
  const types = root.activeElement && root.activeElement.matches("input, textarea, select");
  if (!result || types || top < 0 || top > innerHeight) return;
  result.style.scrollMargin = "calc(var(--header-height, 56px) + 8px)";
  result.scrollIntoView({ block: "nearest" });
}

/** @type {WeakMap<GenerateCard, string>} the failed jobs that cards showed */
const shown = new WeakMap();

/** @param {GenerateCard} card @param {Job} job */
async function blame(card, { job_id, reason }) {
  if (shown.get(card) === job_id) return;
  shown.set(card, job_id);
  const key = `job_failed_${reason}`;
  const words = { message: text("failed"), translation_domain: "gaze", translation_key: key };
  card.problem = { text: await describeError(card.hass, words) };
  card.update();
}

/** Return how far the images of a card are, or else what its server generates. @param {GenerateCard} card */
function progressOf({ openJobs: open, batch }) {
  const own = open.filter(({ job_id }) => batch.includes(job_id));
  const [job] = own.length ? own : open;
  if (!job) return undefined;
  const { index, count, batch_id } = job;
  const last = open.filter((other) => other.batch_id === batch_id).pop() || job;
  return {
    job,
    // Of a long queue, only the first jobs are known.
    end: last.index === count ? Date.parse(last.expected_end || "") : NaN,
    ahead: own.length ? open.indexOf(job) : 0,
    done: index - 1,
    total: count,
  };
}

/**
 * Return which part of a job is done, or undefined if it is overdue or its duration is unknown.
 * @param {Job} job @param {number} now
 */
function fractionOf({ started_at, expected_start, expected_end, requested_at }, now) {
  const start = Date.parse(started_at || expected_start || requested_at);
  const end = Date.parse(expected_end || "");
  return now < end && start < end ? Math.max((now - start) / (end - start), 0) : undefined;
}

/** @param {number} milliseconds */
function aboutTime(milliseconds) {
  const seconds = Math.max(1, Math.round(milliseconds / 1000));
  return seconds < 90
    ? text("about_seconds", { seconds })
    : text("about_minutes", { minutes: Math.round(seconds / 60) });
}

/** The bar, the words below it, and the queue. It moves without rendering the card. */
class GazeProgress extends GazeElement {
  constructor() {
    super();
    /** @type {GenerateCard | undefined} */
    this._card = undefined;
    /** @type {string[]} the jobs of the last request */
    this._batch = [];
    this._timer = 0;
  }

  /** @param {GenerateCard} card */
  set card(card) {
    this._card = card;
    const requested = card.batch !== this._batch;
    this._batch = card.batch;
    // On a phone, the bar would appear below the button, out of view.
    this.update().then(() => requested && this._batch.length && this.scrollIntoView({ block: "nearest" }));
  }

  connectedCallback() {
    this._timer = window.setInterval(() => this.update(), STEP);
  }

  disconnectedCallback() {
    clearInterval(this._timer);
  }

  get styles() {
    return `
      progress {
        appearance: none;
        display: block;
        width: 100%;
        height: 8px;
        border: 0;
        border-radius: 4px;
        overflow: hidden;
        background: var(--gaze-soft);
        color: var(--gaze-accent);
      }
      ::-webkit-progress-bar {
        background: none;
      }
      ::-webkit-progress-value {
        background: currentColor;
        transition: width 0.5s linear;
      }
      ::-moz-progress-bar {
        background: currentColor;
      }
      :indeterminate::-moz-progress-bar {
        background: none;
      }
      :indeterminate {
        background: linear-gradient(90deg, var(--gaze-soft) 33%, var(--gaze-accent) 50%, var(--gaze-soft) 67%) 0 / 300% 100%;
      }
      @media (prefers-reduced-motion: no-preference) {
        :indeterminate {
          animation: pass 2s linear infinite;
        }
      }
      @keyframes pass {
        from {
          background-position: 100% 0;
        }
        to {
          background-position: 0 0;
        }
      }
      p {
        margin: 4px 0 0;
        font-variant-numeric: tabular-nums;
      }
      summary {
        line-height: 44px;
        cursor: pointer;
      }
      ol {
        margin: 0;
        padding: 0;
        list-style: none;
      }
      li {
        display: flex;
        justify-content: space-between;
        gap: 8px;
        padding: 6px 0;
        border-block-end: 1px solid var(--gaze-line);
        overflow-wrap: anywhere;
      }
    `;
  }

  render() {
    const card = this._card;
    const progress = card && progressOf(card);
    if (!card || !card.hub || !progress) return nothing;
    const { job, end, ahead, done, total } = progress;
    const now = Date.now() + card.hub.ahead;
    const fraction = fractionOf(job, now);
    const left = end - now;
    let words = text(job.status === "queued" ? "queued_one" : "generating");
    if (total > 1 && (done || job.status !== "queued")) words = text("progress", { number: done + 1, count: total });
    if (ahead > 0) words = text(ahead > 1 ? "waiting" : "waiting_one", { count: ahead });
    return html`
      <progress
        aria-label=${text("progress_label")}
        value=${fraction === undefined ? nothing : Math.min((done + fraction) / total, ALMOST)}
      ></progress>
      <p>${left > 0 ? `${words}, ${aboutTime(left)}` : words}</p>
      ${card.config.queue === false ? nothing : this._renderQueue(card)}
    `;
  }

  /** @param {GenerateCard} card */
  _renderQueue({ server, openJobs }) {
    const count = server ? server.open_jobs : 0;
    if (count < 2) return nothing;
    return html`<details>
      <summary>${text("queue", { count })}</summary>
      <ol>
        ${openJobs.map(
          ({ recipe_name, preset_name, status }) => html`<li>
            <span>${recipe_name || preset_name}</span>
            <span>${text(status === "processing" ? "generating" : "queued_one")}</span>
          </li>`
        )}
        ${count > openJobs.length ? html`<li>…</li>` : nothing}
      </ol>
    </details>`;
  }
}

define("gaze-progress", GazeProgress);

/** @param {GenerateCard} card */
export const render = (card) => html`<gaze-progress .card=${card}></gaze-progress>`;
