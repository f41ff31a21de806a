// Choice of series and channel, what the chosen one is.

import { KIND_WORDS, STATE_WORDS, integer, moment } from "./format.js";
import { set } from "./figures.js";
import { option } from "./toolbar.js";

const LISTED = 100;
const $ = (id) => document.getElementById(id);

export class SeriesChoice {
  // onSeries, onChannel: it was chosen; onList: what there is was read.
  constructor({ onSeries, onChannel, onList }) {
    this.onList = onList;
    this.list = [];
    this.older = null; // what is known of the one shown, where the list ends before it
    this.current = null;
    this.seen = "";
    $("series").addEventListener("change", () => {
      $("series").blur(); // so that the keys work again
      onSeries($("series").value);
    });
    $("series").addEventListener("focus", () => this.refresh());
    $("channel").addEventListener("change", () => {
      $("channel").blur();
      onChannel($("channel").value);
    });
  }

  async refresh() {
    try {
      const response = await fetch(`/api/v1/series?limit=${LISTED}`);
      if (response.ok) this.list = (await response.json()).series;
      if (this.current && !this.listed(this.current)) await this.readOlder(this.current);
    } catch { /* the link pill tells */ }
    this.show();
  }

  async readOlder(series) {
    const response = await fetch(`/api/v1/series/${encodeURIComponent(series)}`);
    this.older = response.ok ? await response.json() : null;
  }

  listed(series) {
    return this.list.find((one) => one.series === series);
  }

  // What is known of the series shown.
  info() {
    return this.listed(this.current) ?? (this.older?.series === this.current ? this.older : null);
  }

  refreshIfNew(...what) {
    const seen = JSON.stringify(what);
    if (seen === this.seen) return;
    this.seen = seen;
    this.refresh();
  }

  shown(series, channel) {
    if (series === this.current && channel === this.channel) return;
    this.channel = channel;
    if (series === this.current) return this.show();
    this.current = series;
    this.show();
    if (!this.listed(series)) this.refresh();
  }

  problem(text) {
    set("identity", text);
  }

  show() {
    const info = this.info();
    const options = this.list.map((s) => this.option(s));
    if (this.current && !this.listed(this.current)) {
      options.unshift(info ? this.option(info) : option(this.current, this.current));
    }
    if (!options.length) options.push(option("", "none yet"));
    $("series").replaceChildren(...options);
    if (this.current) $("series").value = this.current;
    const channels = info?.channels ?? [];
    $("channel").hidden = channels.length < 2;
    $("channel").replaceChildren(...channels.map((name) => option(name, name)));
    if (this.channel) $("channel").value = this.channel;
    const parts = info
      ? [info.detector, `no. ${info.series_id ?? "?"}`, info.started_ms && `started ${moment(info.started_ms)}`]
      : [this.current];
    const text = parts.filter(Boolean).join(" · ");
    set("identity", text || "–");
    $("identity").title = info ? `${text} · ${info.series}` : "";
    this.onList(this.list, this.current);
  }

  option(s) {
    return option(s.series, label(s));
  }
}

// A series in a list.
export function label(s) {
  const kind = KIND_WORDS[s.source] ? `${KIND_WORDS[s.source]} ` : "";
  const when = s.started_ms ? moment(s.started_ms) : "";
  const size = s.ended_ms ? `, ${integer(s.frames)} frames` : ""; // else it still grows
  return `${kind}no. ${s.series_id ?? "?"}, ${when}, ${STATE_WORDS[s.state] ?? s.state}${size}`;
}
