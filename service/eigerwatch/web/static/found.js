// What the analysis found: events with their reasons, and frames that do not count.

import { Panel, ask, seriesPath } from "./api.js";
import { FOUND_WORDS, fixed, integer, span } from "./format.js";
import { set } from "./figures.js";
import { author } from "./notes.js";

const SHOWN = 100;
const EVERY_MS = 5000;
const TWICE_MS = 10000;
const END = 2 ** 40 - 1; // stands for the end of a series that may still grow
const $ = (id) => document.getElementById(id);
const UNITS = { relative: "%", "relative/s": "%/s", "relative/frame": "%/frame" };
const NOTHING = { events: [], intervals: [] };

export class Found {
  // wanted() -> { series, channel, version } or null; onFound({ events, intervals }).
  constructor({ wanted, onFound, onPick, onDecided }) {
    Object.assign(this, { onFound, onPick, onDecided });
    this.rows = new Map();
    this.events = [];
    this.series = null;
    this.undone = null; // { series, id } of the last decision
    this.deciding = null; // the one on its way
    this.decision = { text: "", at: -Infinity }; // what was asked for last
    this.panel = new Panel($("found-panel"), {
      everyMs: EVERY_MS,
      always: true,
      wanted,
      load: async (what, fresh) => {
        const path = seriesPath(what.series, "/analysis", { channel: what.channel, recent: !fresh });
        const told = await ask(path);
        return () => this.show(what.series, told);
      },
      clear: () => this.forget(),
      failed: (text) => this.problem(text),
    });
    $("undo").addEventListener("click", () => this.undo());
  }

  forget() {
    this.series = null;
    this.say("", null);
    this.show(null, { events: [], usage: { intervals: [] } });
  }

  show(series, { events, usage }) {
    this.series = series;
    const byHand = usage.intervals
      .filter((one) => one.kind === "user")
      .map((one) => ({ ...one, size: null, confidence: null, excluded_by: one }));
    this.events = [...events, ...byHand].sort((a, b) => b.first - a.first);
    this.onFound(series ? { events: this.events, intervals: usage.intervals } : NOTHING);
    const listed = this.events.slice(0, SHOWN);
    set("found-count", this.events.length ? `(${integer(this.events.length)})` : "");
    const left = this.events.length - listed.length;
    set("found-more", left > 0 ? `and ${integer(left)} earlier ones: they stand in the report` : "");
    $("found-none").hidden = listed.length > 0;
    $("found-table").hidden = listed.length === 0;
    const wanted = new Map(listed.map((event) => [keyOf(event), event]));
    // First those that are gone: rows that move lose the focus.
    for (const [key, row] of this.rows) {
      if (wanted.has(key)) continue;
      row.element.remove();
      this.rows.delete(key);
    }
    let place = $("found").firstElementChild;
    for (const [key, event] of wanted) {
      let row = this.rows.get(key);
      if (!row) {
        row = this.newRow();
        this.rows.set(key, row);
      }
      this.fill(row, event);
      if (row.element === place) place = place.nextElementSibling;
      else $("found").insertBefore(row.element, place);
    }
  }

  newRow() {
    const element = $("found-row").content.firstElementChild.cloneNode(true);
    const part = (name) => element.querySelector(`.${name}`);
    const row = { element, event: null };
    for (const name of ["icon", "what", "frames", "size", "sure", "why", "state", "show", "decide"]) {
      row[name] = part(name);
    }
    row.show.addEventListener("click", () => this.onPick(row.event));
    row.decide.addEventListener("click", () => this.decideEvent(row.event));
    return row;
  }

  fill(row, event) {
    row.event = event;
    const out = event.excluded_by !== null;
    const word = FOUND_WORDS[event.kind] ?? event.kind;
    const frames = span(event.first, event.last);
    const known = event.kind in FOUND_WORDS ? event.kind : "user";
    row.icon.setAttribute("href", `#k-${known}`);
    row.element.dataset.kind = known;
    row.element.dataset.excluded = String(out);
    set(row.what, word);
    set(row.frames, frames);
    set(row.size, sizeOf(event));
    set(row.sure, event.confidence === null ? "" : fixed(event.confidence, 2));
    set(row.why, event.reason);
    set(row.state, event.kind === "gap" ? "missing" : out ? "excluded" : "counts");
    row.decide.hidden = event.kind === "gap";
    set(row.decide, out ? "Include" : "Exclude");
    const label = `${out ? "Include" : "Exclude"} ${word}, ${frames}`;
    if (row.decide.getAttribute("aria-label") !== label) {
      row.decide.setAttribute("aria-label", label);
      row.show.setAttribute("aria-label", `Show ${word}, ${frames}`);
    }
  }

  decideEvent(event) {
    const by = event.excluded_by;
    if (by) this.decide({ first: by.first, last: by.last ?? END }, false, { why: event.reason });
    else this.decide(event, true, { why: event.reason });
  }

  // Frames first..last do not count any more (excluded), or count again. Resolves to
  // what is to be told.
  decide(frames, excluded, more = {}) {
    const text = JSON.stringify([more.series ?? this.series, frames.first, frames.last, excluded]);
    const at = performance.now();
    // The button says so until the analysis has answered: pressed twice, it is one.
    if (text === this.decision.text && at - this.decision.at < TWICE_MS) return this.deciding;
    this.decision = { text, at };
    this.deciding = this.decideNow(frames, excluded, more);
    return this.deciding;
  }

  async decideNow({ first, last }, excluded, { why = "", series = this.series }) {
    if (!series) return "";
    const reason = ($("reason").value.trim() || why).slice(0, 4000);
    const body = { first, last, excluded, reason, author: author() };
    const frames = last === END ? `frames from ${integer(first)} on` : span(first, last, "frame");
    try {
      const made = await ask(seriesPath(series, "/exclusions"), { method: "POST", body });
      $("reason").value = "";
      return this.decided(excluded ? `Excluded: ${frames}.` : `Included again: ${frames}.`, { series, id: made.id });
    } catch (error) {
      this.decision.text = "";
      return this.decided(`Not done: ${error.message}`, null);
    }
  }

  async undo() {
    const { undone } = this;
    if (!undone) return "";
    this.undone = null; // so that it is not asked for twice
    this.decision.text = "";
    try {
      const path = seriesPath(undone.series, `/exclusions/${encodeURIComponent(undone.id)}`);
      await ask(path, { method: "DELETE" });
      return this.decided("Undone.", null);
    } catch (error) {
      return this.decided(`Not undone: ${error.message}`, undone);
    }
  }

  decided(text, undone) {
    this.say(text, undone);
    this.panel.hurry();
    this.onDecided();
    return text;
  }

  say(text, undone) {
    this.undone = undone;
    set("decided", text);
    const focused = document.activeElement === $("undo");
    $("undo").hidden = undone === null;
    if (focused && undone === null) $("found-title").focus();
  }

  problem(text) {
    set("found-problem", text ? `The analysis does not answer: ${text}` : "");
  }

  // The event next to a frame, to the left (-1) or to the right (1).
  beside(frame, direction) {
    const ahead = this.events.filter((e) => (e.first - frame) * direction > 0);
    return direction > 0 ? ahead.at(-1) : ahead[0];
  }
}

function keyOf({ kind, first, last }) {
  return `${kind} ${first} ${kind === "user" ? last : ""}`;
}

function sizeOf({ size, unit, frames }) {
  if (size === null || size === undefined) return "";
  if (unit === "frames") return `${integer(frames)} frames`;
  const value = 100 * size;
  const digits = Math.abs(value) >= 9.95 ? 1 : 3;
  return `${value > 0 ? "+" : ""}${fixed(value, digits)} ${UNITS[unit] ?? unit}`;
}
