// Questions to the REST API, and panels that ask again as long as somebody looks.

import { clock } from "./format.js";
import { serverClock } from "./server-clock.js";
import { decodeTick } from "./tick.js";

const TIMEOUT_MS = 60000;
const MOST_OF_TIME = 20; // a panel waits so many times as long as its answer took, ...
const LONGEST_PAUSE = 6; // ... but so many times its usual pause: the server may have stood still

// The JSON of an answer; throws an Error with the server's sentence.
export async function ask(path, { method = "GET", body = null } = {}) {
  const response = await fetch(path, {
    method,
    body: body === null ? null : JSON.stringify(body),
    headers: body === null ? {} : { "Content-Type": "application/json" },
    signal: AbortSignal.timeout(TIMEOUT_MS),
  });
  if (!response.ok) throw new Error(await sentence(response));
  return response.status === 204 ? null : response.json();
}

// The tick of an answer, as the live connection brings it.
export async function askTick(path) {
  const response = await fetch(path, { signal: AbortSignal.timeout(TIMEOUT_MS) });
  if (!response.ok) throw new Error(await sentence(response));
  return decodeTick(await response.arrayBuffer());
}

async function sentence(response) {
  try {
    const { detail } = await response.json();
    if (typeof detail === "string") return detail;
    return detail[0].msg;
  } catch {
    return `HTTP ${response.status}`;
  }
}

export function seriesPath(series, rest, query = {}) {
  const given = Object.entries(query).filter(([, value]) => value !== null && value !== undefined);
  const text = new URLSearchParams(given).toString();
  return `/api/v1/series/${encodeURIComponent(series)}${rest}${text ? `?${text}` : ""}`;
}

// Loads its content anew while it is open, in sight, and there is something new.
export class Panel {
  // wanted() -> { series, ... , version } or null; all but version say what it is about.
  // load(what, fresh) -> promise; clear() forgets; failed(text) tells, "" that all is well.
  constructor(element, { everyMs, wanted, load, clear, failed, always = false }) {
    Object.assign(this, { element, everyMs, wanted, load, clear, failed, always });
    this.about = null;
    this.version = null;
    this.dueAt = 0;
    this.busy = false;
    this.fresh = false;
    this.inSight = always;
    this.age = document.createElement("small");
    this.age.className = "as-of";
    element.querySelector("h2")?.append(" ", this.age);
    if (!always) {
      new IntersectionObserver(([entry]) => {
        this.inSight = entry.isIntersecting;
        this.look();
      }).observe(element);
      element.addEventListener("toggle", () => this.look());
    }
    setInterval(() => this.look(), 500);
  }

  // Somebody changed something: ask at once, and not for an old answer.
  hurry() {
    this.version = null;
    this.dueAt = 0;
    this.fresh = true;
    this.look();
  }

  async look() {
    const what = this.wanted();
    const { version, ...rest } = what ?? { version: null };
    const about = what && JSON.stringify(rest);
    if (about !== this.about) {
      const before = this.about;
      this.about = about;
      if (before !== null) this.clear();
      this.age.textContent = "";
      this.version = null;
      this.dueAt = 0;
    }
    const shown = this.always || (this.inSight && this.element.open !== false);
    if (!what || !shown || document.hidden || this.busy) return;
    if (version === this.version || performance.now() < this.dueAt) return;
    this.busy = true;
    const { fresh } = this;
    this.fresh = false;
    this.version = version;
    const start = performance.now();
    let pause = this.everyMs;
    try {
      const show = await this.load(what, fresh);
      if (this.about === about) {
        this.failed("");
        await show();
        this.age.textContent = `as of ${clock(serverClock.now())}`;
      }
      pause = Math.max(pause, Math.min(LONGEST_PAUSE * this.everyMs, MOST_OF_TIME * (performance.now() - start)));
    } catch (error) {
      this.version = null;
      if (this.about === about) this.failed(error.message);
    } finally {
      // What it is about now has not waited for its own answer.
      this.dueAt = this.fresh || this.about !== about ? 0 : performance.now() + pause;
      this.busy = false;
    }
  }
}
