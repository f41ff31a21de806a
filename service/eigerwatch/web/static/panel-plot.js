// A panel of the main plot, raw or detrended: the curve, what is off its scale, the
// reference behind it, shades over the frames that do not count.

import { FEW_FRAMES, frameTicks, marks, timeTicks, valueFormat } from "./axes.js";
import { colour } from "./figures.js";
import { counts, integer } from "./format.js";
import { MainPart } from "./main-part.js";
import { sketch } from "./sketch.js";
import { shade } from "./strip.js";
import { isWall } from "./wall.js";

export const PANELS = [
  { name: "raw", block: "raw", tint: "--raw" },
  { name: "detrended", block: "det", tint: "--det" },
];

const LETTER_WIDTH = 0.56; // of digits, to the letters' size

export class PanelPlot extends MainPart {
  constructor(box, panel, on) {
    super(box, on);
    this.panel = panel;
    this.watermark = document.createElement("p");
    this.watermark.className = "watermark";
    this.watermark.setAttribute("aria-hidden", "true"); // the header says it
    this.note = document.createElement("p");
    this.note.className = "empty";
    box.append(this.watermark, this.note);
  }

  // The lower panel has the labels of the x axis.
  get labelled() {
    return this.panel === PANELS[1];
  }

  show(scene) {
    this.watermark.textContent = scene.word;
    this.note.textContent = scene.header?.n || this.labelled ? "" : "no frames yet";
    if (globalThis.Plotly) return super.show(scene);
    this.scene = scene;
    if (scene.header) this.sketch();
    return Promise.resolve();
  }

  sketch() {
    if (this.width === 0) return;
    const { blocks, ranges, span } = this.scene;
    const { block, tint } = this.panel;
    const range = ranges[block];
    const places = { ...this.margin, width: this.width, height: this.height, size: this.size };
    sketch(this.element, blocks.frame, blocks[block], {
      range, span, places, stroke: colour(tint), ticks: this.labelled ? this.ticks() : null,
    });
  }

  figure() {
    if (!this.scene) return null;
    const { blocks, reference, found, span, ranges } = this.scene;
    const { name, block } = this.panel;
    const range = ranges[block];
    const traces = [
      ...this.behind(reference, range), ...this.curve(blocks, range), ...this.fit(), ...this.average(),
      shade(name, found.intervals, range, span),
    ];
    return { traces, layout: this.layout(range) };
  }

  // The values of the reference series; and, laid over each other, the raw ones.
  behind(reference, range) {
    const { name, block } = this.panel;
    const { blocks, overlaid } = this.scene;
    const drawn = [];
    if (reference) {
      const hover = { text: reference.name, hovertemplate: "%{text}<br>frame %{x:,d}<extra></extra>" };
      drawn.push(...this.thin(`${name}, reference`, reference.blocks, block, range, { tint: "--reference", width: 0.8, hover }));
    }
    if (overlaid && this.labelled) {
      drawn.push(...this.thin("raw", blocks, "raw", range, { tint: "--raw", width: 1.2, hover: { hoverinfo: "skip" } }));
    }
    return drawn;
  }

  // A curve with less to say than the panel's own; no frame of it is hidden either.
  thin(name, blocks, block, range, { tint, width, hover }) {
    const stroke = colour(tint);
    const { alone, outside } = marks(blocks, block, range);
    const base = { type: "scatter", ...hover };
    const { x, y, symbol } = outside;
    return [
      { ...base, mode: "lines", name, x: blocks.frame, y: blocks[block], line: { color: stroke, width: width * this.thickness } },
      { ...base, mode: "markers", name: `${name}, single frames`, ...alone, marker: { color: stroke, size: 4 } },
      { ...base, mode: "markers", name: `${name}, off scale`, x, y, marker: { color: stroke, size: 8, symbol } },
    ];
  }

  // The moving average of the detrended values.
  average() {
    const { header, blocks } = this.scene;
    if (this.panel.block !== "det" || !blocks.average?.length) return [];
    return [{
      type: "scatter", mode: "lines", name: "moving average", x: blocks.average_frame, y: blocks.average,
      line: { color: colour("--text"), width: 1.6 * this.thickness },
      hovertemplate: `mean of ${integer(header.averaged)} frames around %{x:,d}<br>%{y:,.6~g}<extra></extra>`,
    }];
  }

  // One standard deviation of the detrended values above and below their mean.
  band() {
    const { header } = this.scene;
    if (this.panel.block !== "det" || !header?.sigma) return [];
    const middle = header.unit === "counts" ? header.mean : 1;
    return [middle - header.sigma, middle + header.sigma].map((y) => ({
      type: "line", xref: "paper", x0: 0, x1: 1, yref: "y", y0: y, y1: y,
      line: { color: colour("--text"), width: this.thickness, dash: "dot" },
    }));
  }

  // The line through the raw values.
  fit() {
    const { header } = this.scene;
    if (!header?.fit || this.panel.name !== "raw") return [];
    return [{
      type: "scatter", mode: "lines", name: "fit", x: [header.from, header.to - 1], y: header.fit,
      hoverinfo: "skip", line: { color: colour("--text"), width: 1.3, dash: "dash" },
    }];
  }

  // The curve; frames between two missing ones, which no line shows; frames off scale.
  curve(blocks, range) {
    const { header, frameTime } = this.scene;
    const { name, block, tint } = this.panel;
    const { frame: x, [block]: values } = blocks;
    const inCounts = header?.unit === "counts";
    const stroke = colour(tint);
    const at = frameTime ? "%{customdata:.4f} s, frame %{x:,d}" : "frame %{x:,d}";
    const told = inCounts ? "%{y:,.1f} counts" : "%{y:.5f} of the mean";
    const seconds = (frames) => (frameTime ? Array.from(frames, (k) => k * frameTime) : undefined);
    const shared = { type: "scatter", hovertemplate: `${at}<br>${name} ${told}<extra></extra>` };
    const few = x.length <= FEW_FRAMES;
    const { alone, outside } = marks(blocks, block, range);
    const text = outside.values.map((value) => (inCounts ? `${counts(value)} counts` : `${value.toFixed(5)} of the mean`));
    return [
      {
        ...shared, name, x, y: values, customdata: seconds(x), mode: few ? "lines+markers" : "lines",
        line: { color: stroke, width: 1.2 * this.thickness }, marker: { color: stroke, size: 4 },
      },
      {
        ...shared, ...(few ? { x: [], y: [] } : alone), name: `${name}, single frames`, customdata: seconds(alone.x), mode: "markers",
        marker: { color: stroke, size: 4 },
      },
      {
        ...shared, name: `${name}, off scale`, x: outside.x, y: outside.y, text,
        customdata: seconds(outside.x), mode: "markers",
        hovertemplate: `${at}<br>${name} %{text}, off scale<extra></extra>`,
        marker: { color: colour("--alarm"), size: 11 * this.thickness, symbol: outside.symbol },
      },
    ];
  }

  // Seconds of a frame, where the labels say frame and time.
  get second() {
    const { frameTime, header } = this.scene;
    return frameTime ? null : header?.frame_time_s ?? null;
  }

  // Those whose labels the plot has room for; Plotly would measure each of them.
  ticks() {
    const { span: [from, to], frameTime } = this.scene;
    const { l, r } = this.sides;
    const most = (this.width - this.size * 8) / (isWall() ? this.size * 7 : 120);
    const ticks = frameTime ? timeTicks([from, to], most, frameTime) : frameTicks([from, to], most, this.second);
    const perPixel = (to - from) / (this.width - l - r);
    const letters = (text) => Math.max(...text.split("<br>").map((line) => line.length));
    const ticktext = ticks.ticktext.map((text, index) => {
      const half = (letters(text) * this.size * LETTER_WIDTH) / 2;
      return (to - ticks.tickvals[index]) / perPixel + r < half ? "" : text;
    });
    return { ...ticks, ticktext, ticklabeloverflow: "allow" };
  }

  get margin() {
    const below = this.labelled ? this.size * (this.second ? 4.6 : 3.4) : 2;
    return { ...this.sides, t: this.labelled ? 2 : 8, b: below };
  }

  layout(range) {
    const { header, span, frameTime } = this.scene;
    const { labelled } = this;
    const unit = header?.unit === "counts" ? "(counts)" : "/ mean";
    const across = this.second ? "frame and time" : "frame";
    const title = frameTime ? "time since the first frame (s)" : across;
    const name = this.scene.overlaid ? "raw, detrended" : this.panel.name;
    const value = this.axis(`${name} ${unit}`, { range, tickformat: valueFormat(range), nticks: 7 });
    const along = this.axis(labelled ? title : "", {
      fixedrange: false, range: span, showticklabels: labelled, ...this.ticks(),
    });
    return {
      dragmode: "zoom", margin: this.margin, shapes: this.band(),
      xaxis: { ...along, title: { ...along.title, standoff: 4 } },
      yaxis: { ...value, title: { ...value.title, standoff: 8 } },
    };
  }
}
