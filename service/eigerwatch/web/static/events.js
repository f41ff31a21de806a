// The list of events, newest first; a click shows the frames around one.

import { ask, seriesPath } from "./api.js";
import { clock, integer } from "./format.js";
import { set } from "./figures.js";

const SHOWN = 200;
const PAGE = 10000;
const KEPT = 20000; // as many as the store keeps of a series
const SHOW_MS = 100;
const RETRY_MS = 5000;
const HIDDEN_FIELDS = new Set(["id", "kind", "series", "frame", "first", "last", "image_id", "channel", "n", "text"]);

export class Events {
  // onPick(frame); onRead(): events were read, which may be more than the live ones.
  constructor(list, { onPick, onRead }) {
    Object.assign(this, { list, onPick, onRead });
    this.series = null;
    this.known = new Map();
    this.items = new Map();
    this.after = null; // the last entry that was read
    this.loading = false;
    this.wanted = false; // something is to be read
    this.retry = null;
    this.dropped = 0;
    this.timer = null;
    this.none = document.createElement("li");
    this.none.className = "none";
    this.none.textContent = "none";
    this.list.replaceChildren(this.none);
  }

  // All events of a series, parsed for the plot: { id, ms, kind, frame, text }.
  get all() {
    return [...this.known.values()];
  }

  // How many there were, those included that are not kept any more.
  get count() {
    return this.known.size + this.dropped;
  }

  // What is shown is of no series.
  forget(series = null) {
    Object.assign(this, { series, after: null, dropped: 0 });
    this.known.clear();
    this.show();
  }

  // Reads what came since the last time; one question at a time.
  async load(series) {
    if (series !== this.series) this.forget(series);
    this.wanted = true;
    clearTimeout(this.retry);
    if (this.loading) return;
    this.loading = true;
    while (this.wanted && this.series !== null) {
      this.wanted = false;
      await this.read(this.series);
    }
    this.loading = false;
  }

  async read(series) {
    try {
      const { events } = await ask(seriesPath(series, "/events", { after: this.after, limit: PAGE }));
      if (this.series !== series) return;
      for (const event of events) this.keep(event);
      this.after = events.at(-1)?.entry ?? this.after;
      if (events.length === PAGE) this.wanted = true;
      this.show();
      this.onRead();
    } catch {
      if (this.series !== series) return;
      this.retry = setTimeout(() => this.series === series && this.load(series), RETRY_MS);
    }
  }

  add(message) {
    if (message.series !== this.series) return;
    this.keep(message);
    // Many may come at once.
    this.timer ??= setTimeout(() => this.show(), SHOW_MS);
  }

  keep(event) {
    this.known.set(event.id, parse(event));
    if (this.known.size <= KEPT) return;
    this.known.delete(this.known.keys().next().value);
    this.dropped += 1;
  }

  show() {
    clearTimeout(this.timer);
    this.timer = null;
    const n = this.count;
    set("events-count", n ? `(${integer(n)})` : "");
    const shown = this.all.slice(-SHOWN).reverse();
    const kept = new Set(shown.map((event) => event.id));
    for (const [id, item] of this.items) {
      if (kept.has(id)) continue;
      item.remove();
      this.items.delete(id);
    }
    this.none.hidden = shown.length > 0;
    // What stands already stays where it is, and keeps the focus.
    let place = this.list.firstElementChild;
    for (const event of shown) {
      const known = this.items.get(event.id) ?? this.item(event);
      this.items.set(event.id, known);
      if (known === place) place = place.nextElementSibling;
      else this.list.insertBefore(known, place);
    }
  }

  item(event) {
    const item = document.createElement("li");
    item.className = event.kind;
    const text = document.createElement(event.frame === null ? "span" : "button");
    const time = document.createElement("time");
    time.textContent = clock(event.ms);
    const kind = document.createElement("b");
    kind.textContent = event.kind.replace("_", " ");
    text.append(time, " ", kind, ` ${event.text}`);
    if (event.frame !== null) {
      text.type = "button";
      text.title = "Show the frames around it";
      text.addEventListener("click", () => this.onPick(event.frame));
    }
    item.append(text);
    return item;
  }
}

function parse({ id, ms, kind, fields }) {
  const number = (value) => (/^\d+$/.test(value ?? "") ? Number(value) : null);
  const frame = number(fields.frame ?? fields.first ?? fields.image_id);
  const parts = [];
  const last = number(fields.last);
  if (last !== null && last > frame) parts.push(`frames ${integer(frame)} to ${integer(last)}`);
  else if (frame !== null) parts.push(`frame ${integer(frame)}`);
  if (number(fields.n) > 1) parts.push(`${integer(number(fields.n))} frames`);
  if (fields.text) parts.push(fields.text);
  else {
    for (const [name, value] of Object.entries(fields)) {
      if (!HIDDEN_FIELDS.has(name)) parts.push(`${name} ${value}`);
    }
  }
  return { id, ms, kind, frame, text: parts.join(", ") };
}
