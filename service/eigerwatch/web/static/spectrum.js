// The fluctuation by frequency: density over the level of counting, lines, bands.

import { Panel, ask, seriesPath } from "./api.js";
import { integer, significant } from "./format.js";
import { colour, set } from "./figures.js";
import { fillRows } from "./rows.js";
import { SmallPlot } from "./small-plot.js";

const EVERY_MS = 6000;
const LINES = 8; // lines shown, strongest first
const LONGEST_NAME = 16; // letters over a line
const $ = (id) => document.getElementById(id);

export class SpectrumPanel extends SmallPlot {
  // wanted() -> { series, channel, from, to, version } or null.
  constructor({ wanted }) {
    super($("spectrum-plot"));
    this.panel = new Panel($("spectrum-panel"), {
      everyMs: EVERY_MS,
      wanted,
      load: async ({ series, channel, from, to }, fresh) => {
        const told = await ask(seriesPath(series, "/spectrum", { channel, from, to, recent: !fresh, brief: true }));
        return () => this.show(told, `Of ${rangeText(from, to)}, whole image. `);
      },
      clear: () => this.show(null),
      failed: (text) => set("spectrum-problem", text),
    });
  }

  // about: which frames and pixels, in words.
  show(told, about = "") {
    const unit = told?.spectrum.unit === "Hz" ? "Hz" : "1/frame";
    set("spectrum-text", told ? about + told.spectrum.text : "");
    set("lines-text", told ? told.search.text : "");
    set("bands-text", told ? told.bands.text : "");
    for (const cell of document.querySelectorAll(".frequency-unit")) set(cell, unit);
    fillRows($("bands"), (told?.bands.bands ?? []).map((band) => [
      `${significant(band.low_hz)} to ${significant(band.high_hz)}`,
      significant(band.rms_percent),
      percent(band.share),
      percent(band.shot_share),
    ]));
    const lines = told?.search.lines ?? [];
    fillRows($("lines"), lines.slice(0, LINES).map((line) => [
      significant(line.frequency_hz, 5),
      percent(line.amplitude, 3),
      line.naming?.name ?? (line.width_hz > 0 ? `wanders over ${significant(line.width_hz)} ${unit}` : ""),
    ]));
    const left = lines.length - LINES;
    set("lines-more", left > 0 ? `and ${left} weaker ones` : "");
    return super.show(told);
  }

  traces() {
    const told = this.told?.spectrum ?? { frequencies_hz: [], density: [], shot_density: null };
    // The mean (0 Hz) has no place on a logarithmic axis.
    const x = told.frequencies_hz.slice(1);
    const y = told.density.slice(1);
    const ends = x.length && told.shot_density ? [x[0], x.at(-1)] : [];
    const lines = (this.told?.search.lines ?? []).slice(0, LINES);
    const top = Math.max(...y, 0);
    const unit = told.unit === "Hz" ? "Hz" : "per frame";
    const base = { type: "scatter", mode: "lines" };
    return [
      {
        ...base, name: "density", x, y, line: { color: colour("--raw"), width: 1.3 },
        hovertemplate: `%{x:.4~g} ${unit}<br>%{y:.3~g}<extra></extra>`,
      },
      {
        ...base, name: "shot noise", x: ends, y: ends.map(() => told.shot_density), hoverinfo: "name",
        line: { color: colour("--text"), width: 1.3, dash: "dash" },
      },
      {
        ...base, name: "lines", mode: "markers+text", x: lines.map((line) => line.frequency_hz),
        y: lines.map(() => top * 1.6), text: lines.map(nameOf),
        textposition: "top center", cliponaxis: false,
        customdata: lines.map((line) => `${significant(line.frequency_hz, 5)} ${unit}, ${percent(line.amplitude, 3)} %`),
        hovertemplate: "%{customdata}<extra></extra>",
        marker: { symbol: "triangle-down", size: 9, color: colour("--det") },
        textfont: { color: colour("--text") },
      },
    ];
  }

  axes(axis) {
    const { size } = this;
    const log = { type: "log", dtick: 1 };
    const unit = this.told?.spectrum.unit === "per frame" ? "per frame" : "Hz";
    const edges = (this.told?.bands.bands ?? []).slice(1).map((band) => band.low_hz);
    return {
      margin: { l: size * 5.4, r: 14, t: size * 2, b: size * 3.4 },
      xaxis: axis(`frequency (${unit})`, { ...log, tickformat: "~g" }),
      // No powers as superscripts: they have inline styles.
      yaxis: axis(unit === "Hz" ? "density (1/Hz)" : "density (frames)", { ...log, tickformat: ".0e" }),
      shapes: edges.map((edge) => ({
        type: "line", xref: "x", yref: "paper", x0: edge, x1: edge, y0: 0, y1: 1,
        line: { color: colour("--line"), width: 1, dash: "dot" }, layer: "below",
      })),
    };
  }
}

function rangeText(from, to) {
  if (from === null && to === null) return "the whole series";
  return `frames ${integer(from ?? 0)} to ${to === null ? "the newest" : integer(to - 1)}`;
}

// What stands over a line: its name where that is short.
function nameOf(line) {
  const name = line.naming?.name ?? "";
  return name && name.length <= LONGEST_NAME ? name : significant(line.frequency_hz);
}

function percent(share, digits = 2) {
  return share === null ? "–" : significant(100 * share, digits);
}
