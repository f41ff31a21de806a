// Choice of series and channel, what the chosen one is, and its downloads.

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
    } catch { /* the link pill tells */ }
    this.show();
  }

  refreshIfNew(...what) {
    const seen = JSON.stringify(what);
    if (seen === this.seen) return;
    this.seen = seen;
    this.refresh();
  }

  shown(series, channel, region) {
    if (series === this.current && channel === this.channel && region === this.region) return;
    Object.assign(this, { channel, region });
    if (series === this.current) return this.show();
    this.current = series;
    this.show();
    if (!this.list.some((s) => s.series === series)) this.refresh();
  }

  problem(text) {
    set("identity", text);
  }

  show() {
    const options = this.list.map((s) => this.option(s));
    if (this.current && !this.list.some((s) => s.series === this.current)) {
      options.unshift(option(this.current, this.current));
    }
    if (!options.length) options.push(option("", "none yet"));
    $("series").replaceChildren(...options);
    if (this.current) $("series").value = this.current;
    const info = this.list.find((s) => s.series === this.current);
    const channels = info?.channels ?? [];
    $("channel").hidden = channels.length < 2;
    $("channel").replaceChildren(...channels.map((name) => option(name, name)));
    if (this.channel) $("channel").value = this.channel;
    if (info) {
      const parts = [`no. ${info.series_id ?? "?"}`, info.detector, info.started_ms && `started ${moment(info.started_ms)}`];
      set("identity", parts.filter(Boolean).join(" · "));
      $("identity").title = info.series;
    }
    this.link();
    this.onList(this.list, this.current);
  }

  option(s) {
    return option(s.series, label(s));
  }

  link() {
    const base = this.current && `/api/v1/series/${encodeURIComponent(this.current)}`;
    const query = new URLSearchParams(this.channel ? { channel: this.channel } : {});
    const ofRegion = new URLSearchParams(query);
    if (this.region) ofRegion.set("region", this.region);
    for (const [id, path] of [
      ["get-table", `/download.csv?content=table&${ofRegion}`],
      ["get-frames", `/download.csv?content=frames&${ofRegion}`],
      ["get-nexus", `/download.nxs?${query}`],
      ["get-html", `/download.html?${ofRegion}`],
      ["get-report", `/report.html?${query}`],
      ["get-pdf", `/report.pdf?${query}`],
    ]) {
      if (base) $(id).href = base + path;
      else $(id).removeAttribute("href");
    }
  }
}

// A series in a list.
export function label(s) {
  const kind = KIND_WORDS[s.source] ? `${KIND_WORDS[s.source]} ` : "";
  const when = s.started_ms ? moment(s.started_ms) : "";
  const size = s.ended_ms ? `, ${integer(s.frames)} frames` : ""; // else it still grows
  return `${kind}no. ${s.series_id ?? "?"}, ${when}, ${STATE_WORDS[s.state] ?? s.state}${size}`;
}
