// Two stacked panels, raw and detrended, with a strip for gaps and events between.
// SVG scatter only: a control-room PC without GPU has no WebGL.

import { frameTicks, fullRange, robustRange, steppedEnd } from "./axes.js";
import { colour } from "./figures.js";
import { FOUND_WORDS, KIND_WORDS, span as framesText } from "./format.js";

const CONFIG = { displayModeBar: false, doubleClick: false, responsive: false, showTips: false };
const PANELS = [
  { name: "raw", block: "raw", yaxis: "y", title: "raw / mean" },
  { name: "detrended", block: "det", yaxis: "y2", title: "detrended / mean" },
];
const NOTHING = ["y", "y2", "y3"].map((yaxis) => ({ type: "scatter", x: [], y: [], yaxis }));
const EVENT_SYMBOLS = {
  topup: "triangle-up-open", damaged: "diamond-open", empty: "circle-open",
  step: "triangle-right-open", spike: "star-triangle-up-open", settings: "square-open",
};
// Of what the analysis found; filled where the frames do not count.
const FOUND_SYMBOLS = {
  empty: "circle", damaged: "diamond", topup: "triangle-up", step: "triangle-right",
  spike: "star", drift: "triangle-ne",
};
const ALARMING = ["empty", "damaged"];
const MOST_MARKED = 200;

export class Plots {
  // onRange(from, to): the user zoomed to these frames; (null, null): back to all.
  constructor(element, onRange) {
    this.element = element;
    this.onRange = onRange;
    this.mode = "robust";
    this.tick = null;
    this.events = [];
    this.found = { events: [], intervals: [] };
    this.drawn = false;
    this.queue = Promise.resolve();
    new ResizeObserver(() => this.resized()).observe(element);
  }

  setMode(mode) {
    this.mode = mode;
    return this.redraw();
  }

  setEvents(events) {
    this.events = events;
  }

  // What the analysis found: events, and the intervals that do not count.
  setFound(found) {
    this.found = found;
    return this.tick ? this.redraw() : this.queue;
  }

  clear() {
    this.tick = null;
    return this.redraw();
  }

  draw(tick) {
    this.tick = tick;
    return this.redraw();
  }

  // One after the other: Plotly's calls end later than they return.
  redraw() {
    this.queue = this.queue.catch(() => {}).then(() => this.redrawNow());
    return this.queue;
  }

  async redrawNow() {
    if (!globalThis.Plotly) throw new Error("plotly.js is not loaded");
    if (!this.drawn) {
      this.element.replaceChildren();
      this.drawn = true;
      await Plotly.newPlot(this.element, NOTHING, this.layout([[0, 2], [0, 2]], [0, 100]), CONFIG);
      this.element.on("plotly_relayout", (change) => this.relayouted(change));
      this.element.on("plotly_doubleclick", () => this.onRange(null, null));
    }
    const traces = this.tick ? [] : NOTHING;
    const ranges = [[0, 2], [0, 2]];
    let span = [0, 100];
    if (this.tick) {
      const { header, blocks } = this.tick;
      span = this.span(header);
      PANELS.forEach((panel, index) => {
        const values = blocks[panel.block];
        const robust = this.mode === "robust" && blocks.frame.length > 7;
        const quartiles = header.quartiles[panel.block];
        ranges[index] = robust && quartiles[0] !== null
          ? robustRange(quartiles, values) : fullRange(values);
        traces.push(...this.panelTraces(panel, values, ranges[index]));
      });
      PANELS.forEach((panel, index) => traces.push(this.shade(panel, ranges[index], span)));
      traces.push(...this.stripTraces(span), this.foundTrace(span));
    }
    await Plotly.react(this.element, traces, this.layout(ranges, span), CONFIG);
  }

  span(header) {
    const zoomed = this.zoomed(header);
    if (zoomed) return [header.from - 0.5, header.to - 0.5];
    const growing = ["collecting", "settling", "stalled"].includes(header.source);
    const end = growing ? steppedEnd(header.n, header.n_total) : header.n;
    return [-0.5, Math.max(end, 10) - 0.5];
  }

  zoomed(header) {
    return header.from > 0 || header.to < header.n;
  }

  panelTraces(panel, values, [low, high]) {
    const { header, blocks } = this.tick;
    const x = blocks.frame;
    const stroke = colour(panel.name === "raw" ? "--raw" : "--det");
    const hovertemplate = `frame %{x:,d}<br>${panel.name} %{y:.5f} of the mean<extra></extra>`;
    const shared = { x, y: values, yaxis: panel.yaxis, type: "scatter", hovertemplate };
    const few = blocks.frame.length <= 300;
    const traces = [{
      ...shared, mode: few ? "lines+markers" : "lines", name: panel.name,
      line: { color: stroke, width: 1.2 }, marker: { color: stroke, size: 4 },
    }];
    const alone = { x: [], y: [] };
    const outside = { x: [], y: [], text: [], symbol: [] };
    const edge = 0.02 * (high - low);
    for (let i = 0; i < x.length; i += 1) {
      const value = values[i];
      if (value < low || value > high) {
        outside.x.push(x[i]);
        outside.y.push(value < low ? low + edge : high - edge);
        outside.symbol.push(value < low ? "triangle-down" : "triangle-up");
        outside.text.push(value.toFixed(5));
      } else if (blocks.alone[i] && !few) {
        alone.x.push(x[i]);
        alone.y.push(value);
      }
    }
    traces.push({
      ...shared, ...alone, mode: "markers", name: `${panel.name}, single frames`,
      marker: { color: stroke, size: 4 },
    });
    traces.push({
      ...shared, x: outside.x, y: outside.y, text: outside.text, mode: "markers",
      name: `${panel.name}, off scale`,
      hovertemplate: `frame %{x:,d}<br>${panel.name} %{text} of the mean, off scale<extra></extra>`,
      marker: { color: colour("--alarm"), size: 11, symbol: outside.symbol },
    });
    if (panel.name === "raw") {
      const at = (frame) => 1 + (header.slope * (frame - header.x_mid)) / header.mean;
      const ends = header.mean ? [header.from, header.to - 1] : [];
      traces.push({
        ...shared, x: ends, y: ends.map(at), mode: "lines", hoverinfo: "skip",
        hovertemplate: undefined, name: "fit", line: { color: colour("--text"), width: 1.3, dash: "dash" },
      });
    }
    return traces;
  }

  stripTraces([from, to]) {
    const { blocks } = this.tick;
    const base = { yaxis: "y3", type: "scatter", mode: "markers" };
    const runs = { x: [], y: [] };
    const missing = { x: [], y: [], text: [] };
    const rejected = { x: [], y: [], text: [] };
    for (let i = 0; i < blocks.hole_first.length; i += 1) {
      const first = blocks.hole_first[i];
      const length = blocks.hole_len[i];
      const bad = blocks.hole_rejected[i];
      runs.x.push(first - 0.5, first + length - 0.5, null);
      runs.y.push(0, 0, null);
      const kind = bad > 0 ? rejected : missing;
      kind.x.push(first + (length - 1) / 2);
      kind.y.push(0);
      const last = first + length - 1;
      const what = bad > 0 ? `${bad} rejected` : `${length} missing`;
      kind.text.push(length > 1 ? `frames ${first} to ${last}: ${what}` : `frame ${first}: ${what}`);
    }
    const hovertemplate = "%{text}<extra></extra>";
    const traces = [
      { ...base, ...runs, mode: "lines", hoverinfo: "skip", name: "gaps", line: { color: colour("--missing"), width: 6 } },
      { ...base, ...missing, hovertemplate, name: "missing", marker: { symbol: "x-thin", size: 9, color: colour("--missing"), line: { color: colour("--missing"), width: 2 } } },
      { ...base, ...rejected, hovertemplate, name: "rejected", marker: { symbol: "diamond", size: 9, color: colour("--alarm") } },
    ];
    const shown = this.events.filter(
      (e) => e.frame !== null && e.kind in EVENT_SYMBOLS && e.frame >= from && e.frame <= to,
    ).slice(0, 200);
    traces.push({
      ...base, name: "events", x: shown.map((e) => e.frame), y: shown.map(() => 0),
      text: shown.map((e) => `frame ${e.frame}: ${e.kind}`), hovertemplate,
      marker: { symbol: shown.map((e) => EVENT_SYMBOLS[e.kind]), size: 10, color: colour("--text") },
    });
    return traces;
  }

  // One closed path per excluded interval, over the panel's height.
  shade(panel, [low, high], [from, to]) {
    const x = [];
    const y = [];
    for (const { first, last } of this.found.intervals) {
      const a = Math.max(from, first - 0.5);
      const b = Math.min(to, last === null ? to : last + 0.5);
      if (!(b > a)) continue;
      x.push(a, a, b, b, null);
      y.push(low, high, high, low, null);
    }
    return {
      type: "scatter", mode: "lines", name: `${panel.name}, excluded`, x, y, yaxis: panel.yaxis,
      fill: "toself", fillcolor: colour("--shade"), hoverinfo: "skip",
      line: { color: colour("--shade"), width: 1 },
    };
  }

  foundTrace([from, to]) {
    const shown = this.found.events.filter(
      (e) => e.kind in FOUND_SYMBOLS && e.last >= from && e.first <= to,
    ).slice(0, MOST_MARKED);
    return {
      type: "scatter", mode: "markers", yaxis: "y3", name: "found",
      x: shown.map((e) => Math.max(from, e.first)), y: shown.map(() => 0),
      text: shown.map((e) => `${FOUND_WORDS[e.kind]}, ${framesText(e.first, e.last, "frame")}, ${e.excluded_by ? "excluded" : "counts"}`),
      hovertemplate: "%{text}<extra></extra>",
      marker: {
        symbol: shown.map((e) => (e.excluded_by ? FOUND_SYMBOLS[e.kind] : `${FOUND_SYMBOLS[e.kind]}-open`)),
        size: 11, color: shown.map((e) => colour(ALARMING.includes(e.kind) ? "--alarm" : "--text")),
        line: { width: 1.5 },
      },
    };
  }

  layout(ranges, span) {
    const text = colour("--text");
    const grid = colour("--grid");
    const header = this.tick?.header;
    const size = this.element.clientWidth > 1500 ? 15 : 12;
    const axis = {
      gridcolor: grid, linecolor: grid, zeroline: false, fixedrange: true,
      tickfont: { size }, title: { font: { size }, standoff: 8 }, automargin: false,
    };
    const y = (title, range, domain) => ({
      ...axis, range, domain, title: { ...axis.title, text: title },
      tickformat: tickFormat(range), nticks: 7,
    });
    const frameTime = header?.frame_time_s ?? null;
    return {
      autosize: true,
      margin: { l: size * 6.4, r: 14, t: 8, b: frameTime ? size * 4.6 : size * 3.4 },
      paper_bgcolor: colour("--panel"), plot_bgcolor: colour("--panel"),
      font: { color: text, size, family: "system-ui, sans-serif" },
      separators: ".\u202f", showlegend: false, hovermode: "closest", dragmode: "zoom", uirevision: "same",
      hoverlabel: { bgcolor: colour("--panel"), font: { color: text, size } },
      xaxis: {
        ...axis, fixedrange: false, range: span, anchor: "y2",
        ...frameTicks(span, this.element.clientWidth - 90, frameTime),
        title: { ...axis.title, standoff: 4, text: frameTime ? "frame and time" : "frame" },
      },
      yaxis: y(PANELS[0].title, ranges[0], [0.55, 1]),
      yaxis3: { ...axis, domain: [0.475, 0.525], range: [-1, 1], showgrid: false, showticklabels: false, title: { ...axis.title, text: "" } },
      yaxis2: y(PANELS[1].title, ranges[1], [0, 0.45]),
      shapes: [{ type: "rect", xref: "paper", yref: "paper", x0: 0, x1: 1, y0: 0.475, y1: 0.525, fillcolor: colour("--strip"), line: { width: 0 }, layer: "below" }],
      annotations: this.annotations(header, size),
    };
  }

  annotations(header, size) {
    const shared = { xref: "paper", yref: "paper", showarrow: false };
    const notes = [];
    const word = header && KIND_WORDS[header.kind];
    if (word) {
      for (const y of [0.775, 0.225]) {
        notes.push({ ...shared, x: 0.5, y, text: word, opacity: 0.1, font: { size: Math.max(24, this.element.clientWidth / 14), color: colour("--text") } });
      }
    }
    notes.push({ ...shared, x: 0, y: 0.5, xanchor: "right", text: "gaps,<br>events", align: "right", xshift: -6, font: { size: 0.85 * size, color: colour("--soft") } });
    if (!header || !header.n) {
      notes.push({ ...shared, x: 0.5, y: 0.8, text: "no frames yet", font: { size: 2 * size } });
    }
    return notes;
  }

  relayouted(change) {
    const from = change["xaxis.range[0]"] ?? change["xaxis.range"]?.[0];
    const to = change["xaxis.range[1]"] ?? change["xaxis.range"]?.[1];
    if (from === undefined || to === undefined || !this.tick) return;
    const n = this.tick.header.n;
    const first = Math.max(0, Math.min(n - 1, Math.ceil(from)));
    this.onRange(first, Math.max(first + 1, Math.min(n, Math.floor(to) + 1)));
  }

  resized() {
    if (this.drawn && this.element.clientWidth > 0) {
      requestAnimationFrame(() => this.redraw().then(() => Plotly.Plots.resize(this.element)));
    }
  }

  save(name) {
    return Plotly.downloadImage(this.element, { format: "png", width: 1600, height: 900, filename: name });
  }
}

// As many decimals as the range needs.
function tickFormat([low, high]) {
  const digits = Math.max(0, Math.min(8, 1 - Math.floor(Math.log10((high - low) || 1))));
  return `.${digits}f`;
}
