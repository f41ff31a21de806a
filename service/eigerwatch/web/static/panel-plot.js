// A panel of the main plot, raw or detrended: the curve, what is off its scale, the
// reference behind it, shades over the frames that do not count.

import { frameTicks, timeTicks, valueFormat } from "./axes.js";
import { colour } from "./figures.js";
import { counts } from "./format.js";
import { MainPart } from "./main-part.js";
import { sketch } from "./sketch.js";
import { shade } from "./strip.js";
import { isWall } from "./wall.js";

export const PANELS = [
  { name: "raw", block: "raw", tint: "--raw" },
  { name: "detrended", block: "det", tint: "--det" },
];
const FEW_FRAMES = 300; // so many are drawn as points, too

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
      ...this.behind(reference), ...this.curve(blocks, range), ...this.fit(),
      shade(name, found.intervals, range, span),
    ];
    return { traces, layout: this.layout(range) };
  }

  // The values of the reference series.
  behind(reference) {
    if (!reference) return [];
    const { blocks, name } = reference;
    return [{
      type: "scatter", mode: "lines", name: `${this.panel.name}, reference`,
      x: blocks.frame, y: blocks[this.panel.block], line: { color: colour("--reference"), width: 0.8 * this.thickness },
      text: name, hovertemplate: "%{text}<br>frame %{x:,d}<extra></extra>",
    }];
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
  curve(blocks, [low, high]) {
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
    return [
      {
        ...shared, name, x, y: values, customdata: seconds(x), mode: few ? "lines+markers" : "lines",
        line: { color: stroke, width: 1.2 * this.thickness }, marker: { color: stroke, size: 4 },
      },
      {
        ...shared, ...alone, name: `${name}, single frames`, customdata: seconds(alone.x), mode: "markers",
        marker: { color: stroke, size: 4 },
      },
      {
        ...shared, name: `${name}, off scale`, x: outside.x, y: outside.y, text: outside.text,
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

  ticks() {
    const { span, frameTime } = this.scene;
    const most = (this.width - this.size * 8) / (isWall() ? this.size * 7 : 120);
    return frameTime ? timeTicks(span, most, frameTime) : frameTicks(span, most, this.second);
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
    const value = this.axis(`${this.panel.name} ${unit}`, { range, tickformat: valueFormat(range), nticks: 7 });
    const along = this.axis(labelled ? title : "", {
      fixedrange: false, range: span, showticklabels: labelled, ...this.ticks(),
    });
    return {
      dragmode: "zoom", margin: this.margin,
      xaxis: { ...along, title: { ...along.title, standoff: 4 } },
      yaxis: { ...value, title: { ...value.title, standoff: 8 } },
    };
  }
}
