// Two stacked panels, raw and detrended, with a strip for gaps and events between.
// SVG scatter only: a control-room PC without GPU has no WebGL.

import { frameTicks, fullRange, robustRange, steppedEnd, timeTicks, valueFormat } from "./axes.js";
import { colour } from "./figures.js";
import { KIND_WORDS, counts } from "./format.js";
import { foundTrace, shade, stripTraces } from "./strip.js";
import { isWall } from "./wall.js";

const CONFIG = { displayModeBar: false, doubleClick: false, responsive: false, showTips: false };
const PANELS = [
  { name: "raw", block: "raw", yaxis: "y" },
  { name: "detrended", block: "det", yaxis: "y2" },
];
const NOTHING = ["y", "y2", "y3"].map((yaxis) => ({ type: "scatter", x: [], y: [], yaxis }));

export class Plots {
  // view: with y (robust, full) and axis (frame, time); onRange(from, to): the user
  // zoomed to these frames; (null, null): back to all.
  constructor(element, view, onRange) {
    this.element = element;
    this.view = view;
    this.onRange = onRange;
    this.tick = null;
    this.reference = null;
    this.events = [];
    this.found = { events: [], intervals: [] };
    this.drawn = false;
    this.queue = Promise.resolve();
    new ResizeObserver(() => this.resized()).observe(element);
  }

  setEvents(events) {
    this.events = events;
  }

  // What the analysis found: events, and the intervals that do not count.
  setFound(found) {
    this.found = found;
    return this.tick ? this.redraw() : this.queue;
  }

  // { blocks, name } of another series, drawn behind; null: none.
  setReference(reference) {
    this.reference = reference;
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
        const robust = this.view.y === "robust" && blocks.frame.length > 7;
        const quartiles = header.quartiles[panel.block];
        ranges[index] = robust && quartiles[0] !== null
          ? robustRange(quartiles, values) : fullRange(values);
        traces.push(...this.behind(panel), ...this.panelTraces(panel, values, ranges[index]));
      });
      PANELS.forEach((panel, index) => traces.push(shade(panel, this.found.intervals, ranges[index], span)));
      traces.push(...stripTraces(this.tick.blocks, this.events, span));
      traces.push(foundTrace(this.found.events, span));
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

  // The x axis tells time where that was chosen and the frame time is known.
  get frameTime() {
    return this.view.axis === "time" ? this.tick?.header.frame_time_s ?? null : null;
  }

  // The panel's values of the reference series; nothing without one.
  behind(panel) {
    if (!this.reference) return [];
    const { blocks, name } = this.reference;
    return [{
      type: "scatter", mode: "lines", name: `${panel.name}, reference`, yaxis: panel.yaxis,
      x: blocks.frame, y: blocks[panel.block], line: { color: colour("--reference"), width: 0.8 * thickness() },
      text: name, hovertemplate: "%{text}<br>frame %{x:,d}<extra></extra>",
    }];
  }

  panelTraces(panel, values, [low, high]) {
    const { header, blocks } = this.tick;
    const x = blocks.frame;
    const inCounts = header.unit === "counts";
    const stroke = colour(panel.name === "raw" ? "--raw" : "--det");
    const { frameTime } = this;
    const at = frameTime ? "%{customdata:.4f} s, frame %{x:,d}" : "frame %{x:,d}";
    const told = inCounts ? "%{y:,.1f} counts" : "%{y:.5f} of the mean";
    const seconds = (frames) => (frameTime ? Array.from(frames, (k) => k * frameTime) : undefined);
    const hovertemplate = `${at}<br>${panel.name} ${told}<extra></extra>`;
    const shared = {
      x, y: values, yaxis: panel.yaxis, type: "scatter", hovertemplate, customdata: seconds(x),
    };
    const few = blocks.frame.length <= 300;
    const traces = [{
      ...shared, mode: few ? "lines+markers" : "lines", name: panel.name,
      line: { color: stroke, width: 1.2 * thickness() }, marker: { color: stroke, size: 4 },
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
        outside.text.push(inCounts ? `${counts(value)} counts` : `${value.toFixed(5)} of the mean`);
      } else if (blocks.alone[i] && !few) {
        alone.x.push(x[i]);
        alone.y.push(value);
      }
    }
    traces.push({
      ...shared, ...alone, customdata: seconds(alone.x), mode: "markers", name: `${panel.name}, single frames`,
      marker: { color: stroke, size: 4 },
    });
    traces.push({
      ...shared, x: outside.x, y: outside.y, text: outside.text, mode: "markers",
      name: `${panel.name}, off scale`, customdata: seconds(outside.x),
      hovertemplate: `${at}<br>${panel.name} %{text}, off scale<extra></extra>`,
      marker: { color: colour("--alarm"), size: 11 * thickness(), symbol: outside.symbol },
    });
    if (panel.name === "raw") {
      traces.push({
        ...shared, x: header.fit ? [header.from, header.to - 1] : [], y: header.fit ?? [],
        mode: "lines", hoverinfo: "skip", hovertemplate: undefined, customdata: undefined, name: "fit", line: { color: colour("--text"), width: 1.3, dash: "dash" },
      });
    }
    return traces;
  }

  layout(ranges, span) {
    const text = colour("--text");
    const grid = colour("--grid");
    const header = this.tick?.header;
    const size = fontSize(this.element);
    const inCounts = header?.unit === "counts";
    const title = (panel) => (inCounts ? `${panel.name} (counts)` : `${panel.name} / mean`);
    const axis = {
      gridcolor: grid, linecolor: grid, zeroline: false, fixedrange: true,
      tickfont: { size }, title: { font: { size }, standoff: 8 }, automargin: false,
    };
    const y = (panel, range, domain) => ({
      ...axis, range, domain, title: { ...axis.title, text: title(panel) },
      tickformat: valueFormat(range), nticks: 7,
    });
    const width = this.element.clientWidth - size * 8;
    const { frameTime } = this;
    const second = frameTime ? null : header?.frame_time_s ?? null; // line of labels
    const most = width / (isWall() ? size * 7 : 120);
    const ticks = frameTime ? timeTicks(span, most, frameTime) : frameTicks(span, most, second);
    const across = second ? "frame and time" : "frame";
    return {
      autosize: true,
      margin: { l: size * (inCounts ? 8 : 6.4), r: 14, t: 8, b: size * (second ? 4.6 : 3.4) },
      paper_bgcolor: colour("--panel"), plot_bgcolor: colour("--panel"),
      font: { color: text, size, family: "system-ui, sans-serif" },
      separators: ".\u202f", showlegend: false, hovermode: "closest", dragmode: "zoom", uirevision: "same",
      hoverlabel: { bgcolor: colour("--panel"), font: { color: text, size } },
      xaxis: {
        ...axis, fixedrange: false, range: span, anchor: "y2",
        ...ticks,
        title: { ...axis.title, standoff: 4, text: frameTime ? "time since the first frame (s)" : across },
      },
      yaxis: y(PANELS[0], ranges[0], [0.55, 1]),
      yaxis3: { ...axis, domain: [0.475, 0.525], range: [-1, 1], showgrid: false, showticklabels: false, title: { ...axis.title, text: "" } },
      yaxis2: y(PANELS[1], ranges[1], [0, 0.45]),
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

// Of the plot's labels; on the wall as large as the page's.
function fontSize(element) {
  if (isWall()) return 1.15 * rootSize();
  return element.clientWidth > 1500 ? 15 : 12;
}

// Lines and signs grow with the letters on the wall.
function thickness() {
  return isWall() ? Math.max(1, rootSize() / 16) : 1;
}

function rootSize() {
  return Number.parseFloat(getComputedStyle(document.documentElement).fontSize);
}
