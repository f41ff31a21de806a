// The list of events, newest first; a click shows the frames around one.

import { clock, integer } from "./format.js";
import { set } from "./figures.js";

const SHOWN = 200;
const HIDDEN_FIELDS = new Set(["id", "kind", "series", "frame", "first", "last", "image_id", "channel", "n", "text"]);

export class Events {
  constructor(list, onPick) {
    this.list = list;
    this.onPick = onPick;
    this.series = null;
    this.known = new Map();
  }

  // All events of a series, parsed for the plot: { id, ms, kind, frame, text }.
  get all() {
    return [...this.known.values()];
  }

  async load(series) {
    if (series !== this.series) {
      this.series = series;
      this.known.clear();
      this.show();
    }
    const response = await fetch(`/api/v1/series/${encodeURIComponent(series)}/events`);
    if (!response.ok || this.series !== series) return;
    const { events } = await response.json();
    for (const event of events) this.known.set(event.id, parse(event));
    this.show();
  }

  add(message) {
    if (message.series !== this.series) return;
    this.known.set(message.id, parse(message));
    this.show();
  }

  show() {
    set("events-count", this.known.size ? `(${integer(this.known.size)})` : "");
    const items = this.all.reverse().slice(0, SHOWN).map((event) => this.item(event));
    if (!items.length) {
      const none = document.createElement("li");
      none.className = "none";
      none.textContent = "none";
      items.push(none);
    }
    this.list.replaceChildren(...items);
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
